"""What else is in the picture: stars, other moons, Jupiter, rings, stray light, and pictures set into pictures."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image

Array = NDArray[np.float64]

STAR_SLOPE = 1.0
"""N(> flux) as flux^-slope."""
REDUCED = 4


# -- behind Io ------------------------------------------------------------------------------------------------------


def backdrop(dice: Dice, shape: tuple[int, int], faintest: float, ifov_rad: float, sunlight: float) -> Image:
    """Light behind Io in I/F (H, W): effects ``stars``, ``moon``, ``jupiter``, ``ring``.

    Args:
        dice: of the picture.
        shape: rows and columns.
        faintest: I/F in one pixel of the faintest stars worth drawing.
        ifov_rad: angle of a pixel: the wider, the more stars.
        sunlight: 1 by day; in Io's eclipse next to nothing, but other bodies may still stand in the Sun.

    """
    image = np.zeros(shape, np.float32)
    if (rng := dice.effect("stars", 0.4)) is not None:
        crowd = 3.0 if ifov_rad > 1e-4 else 1.0
        image += stars(rng, shape, int(log_uniform(rng, 1, 60 * crowd)), faintest)
    lit = sunlight if dice.rng("who stands in the Sun").random() < 0.5 else 1.0
    if (rng := dice.effect("jupiter", 0.1)) is not None:
        image += lit * rng.uniform(0.05, 0.6) * jupiter(rng, shape)
    if (rng := dice.effect("moon", 0.12)) is not None:
        for _ in range(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])):
            radius = log_uniform(rng, 0.3, 0.15 * min(shape) if rng.random() < 0.85 else 0.33 * min(shape))
            centre = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
            image = np.maximum(image, lit * rng.uniform(0.1, 0.8) * moon(rng, shape, centre, radius))
    if (rng := dice.effect("ring", 0.05)) is not None:
        image += lit * log_uniform(rng, 1e-4, 0.1) * ring(rng, shape)
    return image


def no_io(dice: Dice, shape: tuple[int, int]) -> Image:
    """A picture without Io, I/F (H, W): Jupiter's clouds, another moon large in it, a ring, stars, or nothing."""
    rng = dice.rng("no Io")
    kind = rng.choice(
        ["clouds", "limb of Jupiter", "moon", "ring", "stars", "nothing"], p=[0.25, 0.2, 0.3, 0.05, 0.1, 0.1]
    )
    image = np.zeros(shape, np.float32)
    size = min(shape)
    if kind == "clouds":
        return np.asarray(rng.uniform(0.1, 0.7) * clouds(rng, shape), np.float32)
    if kind == "limb of Jupiter":
        image = rng.uniform(0.1, 0.7) * jupiter(rng, shape)
    elif kind == "moon":
        radius = log_uniform(rng, 0.1, 2.0) * size
        depth = rng.uniform(-0.3, 0.6) * min(radius, size)
        angle = rng.uniform(0, 2 * np.pi)
        reach = max(radius - depth, 0)
        centre = shape[1] / 2 + reach * math.cos(angle), shape[0] / 2 + reach * math.sin(angle)
        image = rng.uniform(0.2, 1.0) * moon(rng, shape, centre, radius)
    elif kind == "ring":
        image = log_uniform(rng, 1e-3, 0.1) * ring(rng, shape)
    elif kind == "stars":
        image = stars(rng, shape, int(log_uniform(rng, 5, 300)), log_uniform(rng, 1e-4, 1e-2))
    return np.asarray(image, np.float32)


def stars(rng: Rng, shape: tuple[int, int], count: int, faintest: float) -> Image:
    """Point sources, N(> flux) ~ 1 / flux above ``faintest``; now and then all trailed one way."""
    image = np.zeros(shape, np.float32)
    rows, columns = rng.uniform(0, shape[0] - 1, count), rng.uniform(0, shape[1] - 1, count)
    flux = faintest * rng.uniform(1e-4, 1, count) ** (-1 / STAR_SLOPE)
    steps = int(rng.integers(2, 12)) if rng.random() < 0.1 else 1
    turn = rng.uniform(0, np.pi)
    for step in range(steps):
        r = np.rint(rows + 0.7 * step * math.sin(turn)).astype(int)
        c = np.rint(columns + 0.7 * step * math.cos(turn)).astype(int)
        inside = (r >= 0) & (r < shape[0]) & (c >= 0) & (c < shape[1])
        np.add.at(image, (r[inside], c[inside]), (flux[inside] / steps).astype(np.float32))
    return image


def moon(rng: Rng, shape: tuple[int, int], centre: tuple[float, float], radius_px: float) -> Image:
    """An icy moon, 0..about 1 (H, W): a ball lit by some Sun, with bright craters, dark stains and cracks."""
    image = np.zeros(shape, np.float32)
    box = _box(centre, radius_px + 1.5, shape)
    if box is None:
        return image
    light = ball(box, centre, radius_px, _sun(rng))
    if radius_px > 4:
        light *= np.clip(1 + _mottled(rng, light.shape, radius_px), 0.2, 2)
    image[box] = light
    return image


def jupiter(rng: Rng, shape: tuple[int, int]) -> Image:
    """Jupiter's limb and clouds, 0..about 1 (H, W): a huge banded ball whose edge crosses the picture."""
    size = max(shape)
    radius = size * log_uniform(rng, 0.5, 8)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(-0.7, 0.45) * size
    reach = radius - depth
    centre = shape[1] / 2 + reach * math.cos(angle), shape[0] / 2 + reach * math.sin(angle)
    light = ball((slice(0, shape[0]), slice(0, shape[1])), centre, radius, _sun(rng))
    soft = rng.uniform(0, 3)  # the haze has no sharp limb
    if soft > 0.5:
        light = cv2.GaussianBlur(light, (0, 0), soft)
    return np.asarray(light * clouds(rng, shape), np.float32)


def clouds(rng: Rng, shape: tuple[int, int]) -> Image:
    """Belts and zones of uneven width, turbulent at their edges, with ovals, around 1 (H, W)."""
    size = max(shape)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / size
    turn = rng.uniform(0, np.pi)
    c, s = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    across, along = rows * c + columns * s, columns * c - rows * s
    across = across + _mottle(rng, shape, 5, 0.02) + _mottle(rng, shape, 16, rng.uniform(0, 0.012))
    latitude = np.linspace(-1.5, 1.5, 400)
    belts = sum(
        rng.uniform(0, 0.5 / count) * np.interp(latitude, np.linspace(-1.5, 1.5, count), rng.normal(0, 1, count)) * 3
        for count in (8, 20, 60)
    )
    light = 1 + np.interp(across, latitude, belts).astype(np.float32)
    for _ in range(rng.integers(0, 4)):
        y, x, wide = rng.uniform(-0.5, 1), rng.uniform(-0.5, 1), rng.uniform(0.02, 0.12)
        light = light + rng.normal(0, 0.25) * np.exp(-(((across - y) / (0.5 * wide)) ** 2 + ((along - x) / wide) ** 2))
    return np.clip(light + _mottle(rng, shape, 30, 0.03), 0.15, 2).astype(np.float32)


def ring(rng: Rng, shape: tuple[int, int]) -> Image:
    """A thin straight or bent band of peak 1 (H, W)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    turn, size = rng.uniform(0, np.pi), max(shape)
    x, y = columns - shape[1] / 2, rows - shape[0] / 2
    along, off = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    off = off - rng.uniform(-0.5, 0.5) * size - rng.uniform(-0.4, 0.4) * along**2 / size
    return np.asarray(np.exp(-((off / log_uniform(rng, 0.7, 0.05 * size)) ** 2)), np.float32)


Box = tuple[slice, slice]


def ball(box: Box, centre: tuple[float, float], radius: float, sun: Array) -> Image:
    """A Lambert ball with an edge shared by area, on a part of the picture."""
    y, x = np.mgrid[box].astype(np.float32)
    nx, ny = (x - np.float32(centre[0])) / np.float32(radius), (y - np.float32(centre[1])) / np.float32(radius)
    distance = np.sqrt(nx * nx + ny * ny)
    nz = np.sqrt(np.maximum(1 - np.minimum(distance, 1) ** 2, 0))
    cover = np.clip((1 - distance) * radius + 0.5, 0, 1)
    shine = np.maximum(nx * np.float32(sun[0]) + ny * np.float32(sun[1]) + nz * np.float32(sun[2]), 0)
    return np.asarray(cover * shine**0.7, np.float32)


def _box(centre: tuple[float, float], reach: float, shape: tuple[int, int]) -> Box | None:
    left, right = max(int(centre[0] - reach), 0), min(int(centre[0] + reach) + 1, shape[1])
    top, bottom = max(int(centre[1] - reach), 0), min(int(centre[1] + reach) + 1, shape[0])
    return (slice(top, bottom), slice(left, right)) if bottom > top and right > left else None


def _sun(rng: Rng) -> Array:
    sun = rng.normal(size=3) + np.array([0, 0, 0.6])
    return np.asarray(sun / np.linalg.norm(sun))


def _mottle(rng: Rng, shape: tuple[int, int], cells: int, amount: float) -> Image:
    small = rng.normal(0, amount, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _mottled(rng: Rng, shape: tuple[int, int], radius_px: float) -> Image:
    """Relief of an icy ground about 0: stains, craters with rays, and cracks (Europa)."""
    ground = _mottle(rng, shape, 5, 0.15) + _mottle(rng, shape, 18, 0.06)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    for _ in range(rng.integers(0, 12)):
        y, x, size = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), radius_px * log_uniform(rng, 0.01, 0.1)
        ground += rng.normal(0.1, 0.2) * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / size**2)
    for _ in range(rng.integers(0, 14) if rng.random() < 0.5 else 0):
        turn, off = rng.uniform(0, np.pi), rng.uniform(-1, 1) * radius_px
        line = (columns - shape[1] / 2) * math.sin(turn) - (rows - shape[0] / 2) * math.cos(turn) - off
        ground -= rng.uniform(0, 0.25) * np.exp(-((line / max(0.012 * radius_px, 0.7)) ** 2))
    return np.asarray(ground, np.float32)


# -- in front of everything -----------------------------------------------------------------------------------------


def veil(dice: Dice, light: Image, dark: float) -> Image:
    """Stray light in front of everything (H, W): effects ``gradient``, ``scattered_light``, ``ghost``.

    Args:
        dice: of the picture.
        light: (H, W) what the optics let through; the answer is in its unit.
        dark: 1-sigma noise of a dark pixel in the same unit: the scale of a gradient.

    """
    stray = np.zeros(light.shape, np.float32)
    if (rng := dice.effect("gradient", 0.5)) is not None:
        stray += gradient(rng, light.shape, dark * log_uniform(rng, 0.3, 50 if rng.random() < 0.1 else 15))
    if (rng := dice.effect("scattered_light", 0.75)) is not None:
        stray += scattered(rng, light, log_uniform(rng, 0.001, 0.1))
    if (rng := dice.effect("ghost", 0.1)) is not None:
        stray += ghost(rng, light, log_uniform(rng, 1e-3, 0.03))
    return stray


def gradient(rng: Rng, shape: tuple[int, int], amount: float) -> Image:
    """A smooth background: plane, saddle and bowl, from 0 to ``amount``."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    a, b, c, d = rng.normal(0, 1, 4).astype(np.float32)
    smooth = a * x + b * y + c * x * y + d * (x * x + y * y)
    return np.asarray(amount * (smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-9), np.float32)


def scattered(rng: Rng, image: Image, share: float) -> Image:
    """Light that the optics spread far from where it belongs: broad Gaussians that together carry ``share`` of it."""
    small = _reduced(image)
    widths = (0.01, 0.03, 0.1, 0.3)
    weights = rng.dirichlet(np.ones(len(widths)))
    halo = np.zeros_like(small)
    for width, weight in zip(widths, weights, strict=True):
        halo += np.float32(weight) * _blurred(small, max(width * max(small.shape), 0.6))
    return np.asarray(share * cv2.resize(halo, image.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def ghost(rng: Rng, image: Image, share: float) -> Image:
    """A faint copy, displaced (often through the middle of the picture), blurred or spread into a ring or a pupil."""
    rows, columns = image.shape
    small = _reduced(image)
    if rng.random() < 0.4:
        small = np.ascontiguousarray(small[::-1, ::-1])
    dx, dy = rng.uniform(-0.4, 0.4, 2) * small.shape[::-1]
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(small, shift, small.shape[::-1])
    size = rng.uniform(0.5, 8)
    if rng.random() < 0.4:
        reach = int(2 * size) + 1
        distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
        kernel = ((distance < 2 * size) & (distance > rng.choice([0, 1.2]) * size)).astype(np.float32)
        moved = cv2.filter2D(moved, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)
    else:
        moved = cv2.GaussianBlur(moved, (0, 0), size, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(share * cv2.resize(moved, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32)


def _reduced(image: Image) -> Image:
    factor = REDUCED if min(image.shape) >= 16 * REDUCED else 1
    size = max(image.shape[1] // factor, 1), max(image.shape[0] // factor, 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def _blurred(image: Image, sigma_px: float) -> Image:
    """A Gaussian blur with darkness outside; wide ones on a smaller picture."""
    if sigma_px < 6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT), np.float32)
    margin = math.ceil(sigma_px)
    grown = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    factor = sigma_px / 3
    size = max(round(grown.shape[1] / factor), 2), max(round(grown.shape[0] / factor), 2)
    small = cv2.GaussianBlur(
        cv2.resize(grown, size, interpolation=cv2.INTER_AREA), (0, 0), 3, borderType=cv2.BORDER_CONSTANT
    )
    back = cv2.resize(small, grown.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(back[margin : margin + image.shape[0], margin : margin + image.shape[1]], np.float32)


# -- set into it ----------------------------------------------------------------------------------------------------


def inset(dice: Dice, counts: Image) -> tuple[Image, NDArray[np.bool_]]:
    """Effect ``inset``: another picture set into this one; returns the picture and where it no longer shows the scene.

    It is a magnified or plain copy of a part of it, with or without a frame, in a corner or anywhere.
    """
    covered = np.zeros(counts.shape, bool)
    rng = dice.effect("inset", 0.03)
    if rng is None:
        return counts, covered
    rows, columns = counts.shape
    height, width = (int(side * rng.uniform(0.15, 0.4)) for side in (rows, columns))
    if rng.random() < 0.6:
        top, left = rng.choice([0, rows - height]), rng.choice([0, columns - width])
    else:
        top, left = rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1)
    scale = rng.uniform(1, 4)
    cut_h, cut_w = max(int(height / scale), 2), max(int(width / scale), 2)
    r, c = rng.integers(0, rows - cut_h + 1), rng.integers(0, columns - cut_w + 1)
    piece = cv2.resize(counts[r : r + cut_h, c : c + cut_w], (width, height), interpolation=cv2.INTER_CUBIC)
    piece = np.clip(piece, counts.min(), counts.max())
    if rng.random() < 0.5:
        edge = int(rng.integers(1, 4))
        bright = counts.max() if rng.random() < 0.7 else counts.min()
        piece[:edge], piece[-edge:], piece[:, :edge], piece[:, -edge:] = bright, bright, bright, bright
    changed = counts.copy()
    place = slice(top, top + height), slice(left, left + width)
    changed[place], covered[place] = piece, True
    return changed, covered
