"""What else is in the picture: stars, other moons, Jupiter, rings, stray light, and pictures set into pictures.

Textures are tiles that repeat without a seam, made once a process; every picture looks at another piece of them, at
another scale and turned another way. Directions are those of the camera: x to the right, y down, z towards the camera.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Shape = tuple[int, int]

SUN_MAGNITUDE = -26.74 + 5 * math.log10(5.2)
"""V magnitude of the Sun as seen from Jupiter."""

STAR_MAGNITUDES = (-1.5, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
STARS_PER_DEG2 = (5e-5, 1.2e-3, 0.012, 0.12, 1.0, 7.6, 50, 270, 1200, 4000, 11000)
"""Stars brighter than a magnitude in a square degree, mean of the whole sky (Allen's Astrophysical Quantities, as
recalled)."""

MOST_STARS = 0.02
"""Stars in a pixel at most: beyond it they are a background."""

JUPITER_FLATTENING = 0.0649
DAYLIGHT = 0.1
"""Below this sunlight Io stands in Jupiter's shadow, and what else is in the picture may still stand in the Sun."""

# Planetographic latitude of Jupiter's belts and zones, degrees, and how bright they are in visible light, as recalled.
JUPITER_BANDS = (
    (-90, 0.62), (-62, 0.68), (-48, 0.78), (-42, 0.74), (-38, 0.84), (-35, 0.9), (-31, 0.8), (-27, 0.86), (-24, 0.98),
    (-20.5, 0.95), (-19, 0.74), (-13, 0.66), (-8, 0.72), (-6, 0.96), (0, 0.9), (2, 0.99), (6.5, 0.95), (8, 0.68),
    (13, 0.62), (17.5, 0.72), (20, 0.97), (24, 0.92), (26, 0.76), (30, 0.82), (33, 0.9), (38, 0.76), (42, 0.84),
    (48, 0.76), (62, 0.68), (90, 0.6),
)  # fmt: skip

TILE = 512


# -- behind Io ------------------------------------------------------------------------------------------------------


def backdrop(
    dice: Dice, shape: Shape, faintest_i_over_f: float, ifov_rad: float, sunlight: float, sun: Array | None = None
) -> Image:
    """Light behind Io, I/F (H, W): effects ``stars``, ``moon``, ``jupiter``, ``ring``.

    Args:
        dice: of the picture.
        shape: rows and columns.
        faintest_i_over_f: of a star that is just worth drawing, all its light in one pixel.
        ifov_rad: angle of a pixel.
        sunlight: what falls on bodies beside Io's: 1 by day, next to nothing in eclipse, when Jupiter and the moons
            may still stand in the Sun. Stars do not care; a ring is at most as bright as the light on it allows.
        sun: (3,) unit vector to the Sun in the camera's frame; drawn when not given.

    """
    rng = dice.rng("what else the Sun lights")
    lit = sunlight if sunlight >= DAYLIGHT or rng.random() < 0.6 else 1.0
    sun = _sun(rng) if sun is None else sun
    image = np.zeros(shape, np.float32)
    if (rng_stars := dice.effect("stars", 0.4)) is not None:
        add_stars(rng_stars, image, faintest_i_over_f, ifov_rad)
    if (rng_jupiter := dice.effect("jupiter", 0.1)) is not None:
        add_jupiter(rng_jupiter, image, sun, lit, filled=bool(rng_jupiter.random() < 0.15))
    if (rng_ring := dice.effect("ring", 0.05)) is not None:
        add_ring(rng_ring, image, min(faintest_i_over_f * log_uniform(rng_ring, 1, 200), 0.3 * lit))
    if (rng_moon := dice.effect("moon", 0.12)) is not None:
        for _ in range(rng_moon.choice([1, 2, 3], p=[0.75, 0.18, 0.07])):
            add_moon(rng_moon, image, _somewhere(rng_moon, shape), sun, lit)
    return image


NO_IO = {"jupiter": 0.4, "moon": 0.35, "stars": 0.1, "ring": 0.05, "": 0.1}
"""What pictures without Io show, and how often; "" is blank sky."""


def no_io(dice: Dice, shape: Shape, faintest_i_over_f: float = 3e-3, ifov_rad: float = 1e-5) -> Image:
    """A picture without Io, I/F in full sunlight (H, W): Jupiter, a moon large in it, a ring, stars, or nothing.

    What it shows is one of the effects of ``backdrop`` and keeps to those that are allowed; blank sky if none is.
    """
    dice = dice.part("no Io")
    rng = dice.rng("what it shows")
    streams = {name: dice.effect(name, 1.0) if name else rng for name in NO_IO}
    allowed = {name: share for name, share in NO_IO.items() if streams[name] is not None}
    odds = np.array(list(allowed.values()))
    kind = str(rng.choice(list(allowed), p=odds / odds.sum()))
    stream, sun = streams[kind], _sun(rng)
    image = np.zeros(shape, np.float32)
    if (sky := streams["stars"]) is not None and (kind in ("stars", "ring") or rng.random() < 0.2):
        add_stars(sky, image, faintest_i_over_f, ifov_rad)
    if kind == "jupiter" and stream is not None:
        add_jupiter(stream, image, sun, 1.0, filled=bool(stream.random() < 0.6))
    elif kind == "moon" and stream is not None:
        add_moon(stream, image, _close(stream, shape), sun, 1.0)
    elif kind == "ring" and stream is not None:
        add_ring(stream, image, log_uniform(stream, min(faintest_i_over_f, 0.1), 0.3))
    return image


def _sun(rng: Rng) -> Array:
    """(3,) unit vector to a Sun at any phase angle up to 160 degrees, small ones more often."""
    phase, turn = math.radians(160) * rng.random() ** 1.3, rng.uniform(0, 2 * math.pi)
    return np.array([math.sin(phase) * math.cos(turn), math.sin(phase) * math.sin(turn), math.cos(phase)])


# -- stars ----------------------------------------------------------------------------------------------------------


def stars_expected(faintest_i_over_f: float, ifov_rad: float, pixels: int) -> float:
    """Stars of the mean sky in so many pixels, brighter than an I/F when all their light falls into one of them.

    The Sun's light on a surface of I/F = 1 is spread over pi steradians, so a star of magnitude m in a pixel of the
    solid angle w looks like I/F = pi / w * 10^(-0.4 (m - SUN_MAGNITUDE)).
    """
    solid_angle = ifov_rad**2
    magnitude = SUN_MAGNITUDE - 2.5 * math.log10(faintest_i_over_f * solid_angle / math.pi)
    per_deg2 = 10 ** np.interp(magnitude, STAR_MAGNITUDES, np.log10(STARS_PER_DEG2))
    return float(per_deg2 * pixels * solid_angle * math.degrees(1) ** 2)


def add_stars(rng: Rng, image: Image, faintest: float, ifov_rad: float) -> None:
    """Put stars, one at least, into ``image``; some fields lie in the Milky Way, some are trailed, all one way."""
    richness = log_uniform(rng, 10, 100) if rng.random() < 0.1 else log_uniform(rng, 0.2, 5)
    mean = richness * stars_expected(faintest, ifov_rad, image.size)
    count = 1 + int(rng.poisson(min(max(mean, log_uniform(rng, 0.5, 20)), MOST_STARS * image.size)))
    flux = star_fluxes(rng, count, faintest, rng.uniform(0.6, 1.3))
    row, column = rng.uniform(-0.5, image.shape[0] - 0.5, count), rng.uniform(-0.5, image.shape[1] - 0.5, count)
    if rng.random() < 0.12:
        row, column, flux = _trailed(rng, row, column, flux)
    add_points(image, row, column, flux)


def star_fluxes(rng: Rng, count: int, faintest: float, slope: float) -> Array:
    """(count,) fluxes with N(> flux) as flux^-slope above ``faintest``, cut at 1e5 times it."""
    return faintest * np.minimum((1 - rng.random(count)) ** (-1 / slope), 1e5)


def _trailed(rng: Rng, row: Array, column: Array, flux: Array) -> tuple[Array, Array, Array]:
    """Every star drawn out into the same streak of 2 to 40 px, a little bent."""
    length, angle, bend = log_uniform(rng, 2, 40), rng.uniform(0, 2 * math.pi), rng.normal(0, 0.08)
    steps = math.ceil(2 * length)
    t = (np.arange(steps) + 0.5) / steps - 0.5
    along, across = length * t, length * bend * t * t
    rows = row[:, None] + along * math.sin(angle) + across * math.cos(angle)
    columns = column[:, None] + along * math.cos(angle) - across * math.sin(angle)
    return rows.ravel(), columns.ravel(), np.repeat(flux / steps, steps)


def add_points(image: Image, row: Array, column: Array, flux: Array) -> None:
    """Add points to ``image`` (H, W), each shared among its four nearest pixels; what falls outside is lost."""
    top, left = np.floor(row), np.floor(column)
    down, right = row - top, column - left
    for dr, wr in ((0, 1 - down), (1, down)):
        for dc, wc in ((0, 1 - right), (1, right)):
            r, c = (top + dr).astype(np.int64), (left + dc).astype(np.int64)
            inside = (r >= 0) & (r < image.shape[0]) & (c >= 0) & (c < image.shape[1])
            np.add.at(image, (r[inside], c[inside]), (flux * wr * wc)[inside].astype(np.float32))


# -- textures -------------------------------------------------------------------------------------------------------


@functools.cache
def _noise(seed: int, slope: float, stretch: float = 1.0) -> Image:
    """(TILE, TILE) Gaussian noise, mean 0 and variance 1, amplitude falling as frequency^-slope, longer in x."""
    rng = np.random.default_rng([seed, TILE])
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]
    frequency = np.hypot(fy, fx * stretch)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) * frequency**-slope
    made = np.fft.irfft2(spectrum, (TILE, TILE))
    return np.asarray((made - made.mean()) / made.std(), np.float32)


@functools.cache
def _grid() -> tuple[Image, Image]:
    y, x = np.mgrid[:TILE, :TILE].astype(np.float32)
    return x, y


@functools.cache
def _clouds(seed: int) -> Image:
    """(TILE, TILE) turbulence, variance 1: noise carried along by jets and by the eddies between them."""
    x, y = _grid()
    stream = _noise(seed, 2.4, 1.6)
    eddy_x, eddy_y = np.roll(stream, -1, 0) - np.roll(stream, 1, 0), np.roll(stream, 1, 1) - np.roll(stream, -1, 1)
    speed = 1 / float(np.hypot(eddy_x, eddy_y).std())
    jets = sum(np.sin(2 * np.pi * k * y / TILE + seed + k) / k for k in (2, 5, 9))
    grain = _noise(seed + 1, 1.1)
    for _ in range(12):
        grain = cv2.remap(
            grain, x + speed * eddy_x + 1.5 * jets, y + speed * eddy_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        grain = 0.97 * grain + 0.06 * _noise(seed + 1, 1.1)
    return np.asarray((grain - grain.mean()) / grain.std(), np.float32)


@functools.cache
def _craters(seed: int) -> tuple[Image, Image]:
    """(TILE, TILE) heights of cratered ground, in pixels, and how bright its fresh craters and rays are, 0..1."""
    rng = np.random.default_rng([seed, TILE])
    height, bright = np.zeros((TILE, TILE), np.float32), np.zeros((TILE, TILE), np.float32)
    for radius in sorted(np.minimum(1.5 * (1 - rng.random(900)) ** (-1 / 1.9), 60), reverse=True):
        reach = int(2.5 * radius) + 2
        dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1] + rng.uniform(-0.5, 0.5, (2, 1, 1))
        d = np.hypot(dy, dx) / radius
        where = np.ix_(*((rng.integers(0, TILE) + np.arange(-reach, reach + 1)) % TILE for _ in range(2)))
        bowl = np.where(d < 1, 0.16 * (d * d - 1), 0) + 0.06 * np.exp(-(((d - 1) / 0.25) ** 2))
        height[where] = height[where] * np.clip(d, 0.3, 1) + np.minimum(radius, 8) * bowl
        if rng.random() < 0.12:
            theta, (m, n) = np.arctan2(dy, dx), rng.integers(3, 12, 2)
            rays = 0.5 + 0.5 * np.cos(m * theta + rng.uniform(0, 6)) * np.cos(n * theta + rng.uniform(0, 6))
            bright[where] += np.exp(-((d / 1.1) ** 2)) + 0.5 * rays * np.exp(-d)
    return height + 0.4 * _noise(seed, 1.8), np.minimum(bright, 1)


@functools.cache
def _ridges(seed: int) -> tuple[Image, Image]:
    """(TILE, TILE) heights of ridged ground, in pixels, and how dark the stained ground along the ridges is, 0..1."""
    rng = np.random.default_rng([seed, TILE])
    x, y = _grid()
    wave = 6 * _noise(seed + 1, 2.6)
    height, stain = 0.5 * _noise(seed + 2, 1.6), np.zeros((TILE, TILE), np.float32)
    for _ in range(26):
        # whole numbers of waves along both sides: the line closes on itself
        p, q = int(rng.integers(-3, 4)), int(rng.integers(1, 4))
        turns = (p * x + q * y) / np.float32(TILE) + np.float32(rng.random())
        off = (turns - np.round(turns)) * np.float32(TILE / math.hypot(p, q)) + wave * np.float32(rng.uniform(0, 1))
        width = log_uniform(rng, 1.0, 6.0)
        crest = np.exp(-((off / width) ** 2))
        height += rng.uniform(0.3, 0.8) * width * (crest - 0.7 * crest**6)
        stain = np.maximum(stain, rng.uniform(0.1, 1) * np.exp(-((off / (2 * width)) ** 2)))
    return height, stain


@dataclass(frozen=True)
class _View:
    """How a piece of a tile is looked at: (u, v) -> pixel of the tile."""

    matrix: Array
    offset: Array

    def of(self, tile: Image, u: Image, v: Image, magnified: float = 1.0) -> Image:
        """The tile at (u, v), (H, W); seen larger by ``magnified``."""
        a = (self.matrix / magnified).astype(np.float32)
        x, y = a[0, 0] * u + a[0, 1] * v, a[1, 0] * u + a[1, 1] * v
        x += np.float32(self.offset[0])
        y += np.float32(self.offset[1])
        return np.asarray(cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


def _view(rng: Rng, scale: float, turned: bool = True) -> _View:
    """Any piece of a tile, ``scale`` of its pixels a unit; mirrored, and turned any way unless told not to."""
    angle = rng.uniform(0, 2 * math.pi) if turned else 0.0
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return _View(scale * turn @ np.diag(rng.choice([-1, 1], 2)), rng.uniform(0, TILE, 2))


# -- moons ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disk:
    """Where a body is.

    Attributes:
        x, y, radius: centre and longest radius in pixels; whole numbers are the middles of pixels.
        ratio: short axis over long axis, 0..1.
        turn: direction of the long axis, radians from +x towards +y.

    """

    x: float
    y: float
    radius: float
    ratio: float = 1.0
    turn: float = 0.0


@dataclass(frozen=True)
class _Ground:
    """What a moon is made of.

    Attributes:
        albedo: I/F at no phase.
        lunar: share of its light that is scattered once, as the Moon's is; the rest as by snow (Lambert).
        slope: relief, standard deviation of the slope.
        ridges: share of the relief that is ridges, not craters.
        patches: scatter of the albedo over wide areas.
        marks: albedo of fresh craters (> 0) or of the ground along ridges (< 0) more than around them.

    """

    albedo: float
    lunar: float
    slope: float
    ridges: float
    patches: float
    marks: float


_GROUNDS = (
    # bright ice with dark lines; ice and dark ground; dark and cratered; small, dark and red
    _Ground(0.65, 0.5, 0.10, 1.0, 0.06, -0.35),
    _Ground(0.43, 0.7, 0.15, 0.5, 0.2, 0.4),
    _Ground(0.2, 0.9, 0.2, 0.0, 0.1, 0.5),
    _Ground(0.08, 1.0, 0.25, 0.0, 0.1, 0.3),
)
"""Kinds of Europa, Ganymede, Callisto and Amalthea; albedos as recalled, relief made up."""


def _somewhere(rng: Rng, shape: Shape) -> Disk:
    """A moon anywhere, from less than a pixel to a third of the picture."""
    radius = log_uniform(rng, 0.3, max(min(shape) / 3, 0.4))
    reach = 0.6 * radius
    x, y = rng.uniform(-reach, shape[1] - 1 + reach), rng.uniform(-reach, shape[0] - 1 + reach)
    small = rng.random() < 0.2
    return Disk(x, y, radius, rng.uniform(0.55, 1) if small else 1.0, rng.uniform(0, math.pi))


def _close(rng: Rng, shape: Shape) -> Disk:
    """A moon large in the picture: as a whole, its limb across the picture, or ground all over."""
    size, angle = min(shape), rng.uniform(0, 2 * math.pi)
    radius = log_uniform(rng, 0.15, 4) * size
    off = max(radius + rng.uniform(-1.2, 0.25) * size, 0) if radius > 0.4 * size else rng.uniform(0, 0.4) * size
    return Disk(shape[1] / 2 + off * math.cos(angle), shape[0] / 2 + off * math.sin(angle), radius)


def add_moon(rng: Rng, image: Image, disk: Disk, sun: Array, lit: float) -> None:
    """Put a moon, I/F, in front of what is in ``image`` already."""
    ground = _GROUNDS[3] if disk.ratio < 1 else _GROUNDS[rng.integers(3)]
    light = lit * ground.albedo * rng.uniform(0.6, 1.3)
    reach = disk.radius + 2
    top, bottom = max(math.floor(disk.y - reach), 0), min(math.ceil(disk.y + reach) + 1, image.shape[0])
    left, right = max(math.floor(disk.x - reach), 0), min(math.ceil(disk.x + reach) + 1, image.shape[1])
    if bottom <= top or right <= left:
        return
    fine = 8 if disk.radius < 4 else 1
    y = np.arange(top, bottom, 1 / fine, dtype=np.float32) + np.float32(0.5 / fine - 0.5)
    x = np.arange(left, right, 1 / fine, dtype=np.float32) + np.float32(0.5 / fine - 0.5)
    cover, shine = _moon(rng, (x, y), disk, ground, sun)
    shine *= cover
    if fine > 1:
        size = right - left, bottom - top
        cover, shine = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (cover, shine))
    here = image[top:bottom, left:right]
    here *= 1 - cover
    here += np.float32(light) * shine


def _normals(x: Image, y: Image, disk: Disk) -> tuple[Image, Image, Image, Image]:
    """Unit normals of a ball seen from afar at columns x (w,) and rows y (h,), and the share of each pixel it covers.

    A body out of round is a ball that is looked at through a lens that squeezes it.
    """
    dx, dy = (
        ((x - np.float32(disk.x)) / np.float32(disk.radius))[None],
        ((y - np.float32(disk.y)) / np.float32(disk.radius))[:, None],
    )
    if disk.ratio < 1:
        cos, sin = np.float32(math.cos(disk.turn)), np.float32(math.sin(disk.turn))
        dx, dy = dx * cos + dy * sin, (dy * cos - dx * sin) / np.float32(disk.ratio)
    squared = dx * dx + dy * dy
    pixels = np.float32(disk.radius / max(float(x[1] - x[0]) if len(x) > 1 else 1.0, 1e-6))
    cover = np.clip((1 - np.sqrt(squared)) * pixels + np.float32(0.5), 0, 1)
    nz = np.sqrt(np.maximum(1 - squared, 0))
    shrink = 1 / np.sqrt(np.maximum(squared, 1))
    return dx * shrink, dy * shrink, nz, cover


def _moon(rng: Rng, pixels: tuple[Image, Image], disk: Disk, ground: _Ground, sun: Array) -> tuple[Image, Image]:
    """Share of each pixel that the moon covers and its brightness there, about 1 at no phase; both (h, w)."""
    nx, ny, nz, cover = _normals(*pixels, disk)
    sx, sy, sz = (np.float32(s) for s in sun)
    mu0 = nx * sx + ny * sy + nz * sz
    if disk.radius < 4:
        return cover, _shaded(mu0, nz, ground.lunar)
    # angle from the middle of the disk along both axes: ground near the limb is seen foreshortened
    stretch = np.arctan2(np.hypot(nx, ny), nz) / np.maximum(np.hypot(nx, ny), np.float32(1e-3))
    view = _view(rng, disk.radius * log_uniform(rng, 0.5, 2.0))
    u, v = np.asarray(nx * stretch, np.float32), np.asarray(ny * stretch, np.float32)
    height, albedo = _textured(rng, view, ground, u, v)
    if disk.radius > 12:
        slope_x, slope_y = cv2.Sobel(height, -1, 1, 0, ksize=1), cv2.Sobel(height, -1, 0, 1, ksize=1)
        face = nz > 0.3
        spread = float(np.std(slope_x[face] if face.any() else slope_x))  # of a sliver at the frame's edge: all of it
        steep = np.float32(ground.slope * rng.uniform(0.3, 1.5) / max(spread, 1e-6))
        tilt = steep * nz * np.clip(4 * mu0 + np.float32(0.4), 0, 1)  # no peak is lit deep in the night
        mu0 -= np.clip(tilt * (slope_x * sx + slope_y * sy), -0.5, 0.5)
    return cover, _shaded(mu0, nz, ground.lunar) * albedo


def _textured(rng: Rng, view: _View, ground: _Ground, u: Image, v: Image) -> tuple[Image, Image]:
    """Height and relative albedo of a moon's ground at (u, v), from coarse and fine pieces of the tiles."""
    finer, seed = rng.uniform(2.2, 4.2), int(rng.integers(2))
    craters, rays = _craters(seed)
    height = view.of(craters, u, v)
    patches = view.of(_noise(seed + 20, 1.8), u, v, 3.0)
    albedo: Image = 1 + np.float32(ground.patches) * np.tanh(3 * patches)
    if ground.ridges > 0:
        ridges, stain = _ridges(seed)
        height *= np.float32(1 - ground.ridges)
        height += np.float32(ground.ridges) * (view.of(ridges, u, v) + 0.4 * view.of(ridges, v, u, 1 / finer))
        marks = view.of(stain if ground.marks < 0 else rays, u, v)
    else:
        height += view.of(craters, v, u, finer) + 0.3 * view.of(craters, v, u, 1 / finer)
        marks = view.of(rays, u, v)
    albedo += np.float32(ground.marks) * marks + np.float32(0.03) * view.of(_noise(seed + 22, 1.0), v, u)
    return np.asarray(height, np.float32), np.clip(albedo, 0.1, 2)


def _shaded(mu0: Image, mu: Image, lunar: float) -> Image:
    """Brightness of ground about 1 at no phase: 2 mu0 / (mu0 + mu) of single scattering, mu0 of the rest."""
    lit = np.maximum(mu0, 0)
    single = 2 * lit / (lit + np.maximum(mu, np.float32(0.02)))
    return np.asarray(np.float32(lunar) * single + np.float32(1 - lunar) * lit, np.float32)


# -- Jupiter --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Planet:
    """How Jupiter is seen: its disk (radius at the equator), and the latitude of its middle in radians."""

    disk: Disk
    tilt: float


def add_jupiter(rng: Rng, image: Image, sun: Array, lit: float, filled: bool) -> None:
    """Put Jupiter, I/F, in front of what is in ``image``; its clouds fill all of it when ``filled``."""
    planet = _where_jupiter(rng, image.shape, filled)
    if filled and sun[2] < 0.3:  # a picture of nothing but clouds was taken where it was day
        sun = np.array([*sun[:2], 0.6])
        sun /= np.linalg.norm(sun)
    x, y = np.arange(image.shape[1], dtype=np.float32), np.arange(image.shape[0], dtype=np.float32)
    nx, ny, nz, cover = _normals(x, y, planet.disk)
    cos, sin = math.cos(planet.disk.turn), math.sin(planet.disk.turn)
    sx, sy = sun[0] * cos + sun[1] * sin, sun[1] * cos - sun[0] * sin
    mu0 = nx * np.float32(sx) + ny * np.float32(sy) + nz * np.float32(sun[2])
    pattern = _cloud_pattern(rng, planet, (nx, ny, nz))
    mu0 += np.float32(rng.uniform(0, 0.03)) * (pattern - 1)  # cloud tops at many heights fray the terminator
    twilight = np.float32(log_uniform(rng, 0.005, 0.05))
    mu0 = np.maximum((mu0 + np.sqrt(mu0 * mu0 + twilight * twilight)) / 2 - twilight * twilight, 0)
    light = np.float32(lit * log_uniform(rng, 0.05, 0.7)) * _clouded(mu0, nz, rng.uniform(0.75, 1.0)) * pattern * cover
    image *= 1 - cover
    image += light + _haze(rng, planet, (x, y), light, mu0)


def _clouded(mu0: Image, mu: Image, k: float) -> Image:
    """Minnaert's mu0^k mu^(k - 1) of deep clouds; the haze keeps it from growing beyond bounds at the limb."""
    return np.asarray(cv2.pow(np.maximum(mu0, 0), k) * cv2.pow(np.maximum(mu, np.float32(0.1)), k - 1), np.float32)


def _where_jupiter(rng: Rng, shape: tuple[int, ...], filled: bool) -> _Planet:
    size = max(shape)
    radius = size * log_uniform(rng, 1.3 if filled else 0.5, 8)
    # the limb crosses the picture this far from its middle, or stays well outside it
    inside = rng.uniform(0.85 * size, 0.95 * radius) if filled else rng.uniform(-0.35, 0.6) * size
    reach, angle = max(radius - inside, 0.0), rng.uniform(0, 2 * math.pi)
    x, y = shape[1] / 2 + reach * math.cos(angle), shape[0] / 2 + reach * math.sin(angle)
    tilt = rng.normal(0, 0.06) if rng.random() < 0.6 else rng.uniform(-1.4, 1.4)
    return _Planet(Disk(x, y, radius, 1 - JUPITER_FLATTENING, rng.uniform(0, 2 * math.pi)), tilt)


def _cloud_pattern(rng: Rng, planet: _Planet, normals: tuple[Image, Image, Image]) -> Image:
    """Brightness of the clouds, about 1 (H, W).

    Belts follow the latitude; turbulence lies along two angles from the middle of the disk, which know no pole.
    """
    shape = normals[0].shape
    # places change slowly from pixel to pixel, so every fourth will do
    factor = 0.25 if min(shape) >= 32 else 1.0
    nx, ny, nz = (cv2.resize(n, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for n in normals)
    latitude = np.arcsin(
        np.clip(nz * np.float32(math.sin(planet.tilt)) - ny * np.float32(math.cos(planet.tilt)), -1, 1)
    )
    u, v = np.arctan2(nx, nz), np.arctan2(-ny, nz)
    span = min(0.5 * max(shape) / planet.disk.radius, 1.0)  # half the picture, radians of the planet
    ovals, du, dv = _ovals(rng, u, v, span)
    u, v, latitude = u + du, v + dv, latitude + dv
    seed, scale = int(rng.integers(2)), planet.disk.radius * rng.uniform(0.5, 1.1)
    coarse = _view(rng, TILE / rng.uniform(1.5, 4), turned=False).of(_clouds(seed), 0.5 * u, v)
    latitude += np.float32(rng.uniform(0.003, 0.02)) * coarse
    u, v, latitude, ovals = (
        cv2.resize(part, shape[::-1], interpolation=cv2.INTER_LINEAR) for part in (u, v, latitude, ovals)
    )
    fine = _view(rng, scale, turned=False)
    texture = 0.7 * fine.of(_clouds(seed), 0.6 * u, v, 3.0) + fine.of(_clouds(1 - seed), 0.8 * u, v)
    bands = _banded(_profile(rng), latitude)
    return np.clip(bands * (1 + np.float32(log_uniform(rng, 0.012, 0.11)) * texture) + ovals, 0.1, 2)


def _ovals(rng: Rng, u: Image, v: Image, span: float) -> tuple[Image, Image, Image]:
    """Bright and dark ovals, and by how much their whirls have moved (u, v); none to five within ``span``."""
    light, du, dv = np.zeros_like(u), np.zeros_like(u), np.zeros_like(v)
    middle = float(np.median(u)), float(np.median(v))
    for _ in range(rng.integers(0, 6)):
        x, y = middle[0] + rng.uniform(-1, 1) * span, middle[1] + rng.uniform(-1, 1) * span
        tall = min(log_uniform(rng, 0.01, 0.11), 0.25 * span + 0.01)
        dx, dy = (u - np.float32(x)) / np.float32(rng.uniform(1.2, 2)), v - np.float32(y)
        squared = (dx * dx + dy * dy) / np.float32(tall * tall)
        whirl = np.exp(-squared / 2)
        turn = np.float32(rng.uniform(-2, 2)) * whirl
        du += (np.cos(turn) - 1) * dx - np.sin(turn) * dy
        dv += (np.cos(turn) - 1) * dy + np.sin(turn) * dx
        light += np.float32(rng.normal(0, 0.15)) * np.exp(-(squared**2)) - np.float32(0.05) * whirl * (squared > 1)
    return light, du, dv


def _profile(rng: Rng) -> Image:
    """(1, 2048) brightness from the south pole to the north pole: the mean belts, this year's, in some colour."""
    where, level = np.array(JUPITER_BANDS).T
    where = where + rng.normal(0, 0.8, len(where))
    where[[0, -1]] = -90, 90
    level = 0.82 + (level + rng.normal(0, 0.03, len(level)) - 0.82) * rng.choice([-0.5, 0.6, 1.0, 1.5, 2.0])
    latitude = np.linspace(-90, 90, 2048)
    narrow = _noise(30, 1.2)[rng.integers(TILE), np.arange(2048) % TILE]
    profile = np.interp(latitude, np.maximum.accumulate(where), level) + 0.012 * narrow
    return np.asarray(cv2.GaussianBlur(profile.astype(np.float32)[None], (0, 0), 4), np.float32)


def _banded(profile: Image, latitude: Image) -> Image:
    """(H, W): the profile (1, n) at latitudes in radians."""
    place = (latitude + np.float32(math.pi / 2)) * np.float32((profile.shape[1] - 1) / math.pi)
    return np.asarray(
        cv2.remap(profile, place, np.zeros_like(place), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _haze(rng: Rng, planet: _Planet, pixels: tuple[Image, Image], light: Image, mu0: Image) -> Image:
    """Thin haze beyond the limb: a tail of some tens of kilometres, as bright as the limb under it is lit."""
    height_px = planet.disk.radius * log_uniform(rng, 2e-4, 1.5e-3)
    share = np.float32(rng.uniform(0.1, 0.6) * float(np.percentile(light[::8, ::8], 90)))
    cos, sin = np.float32(math.cos(planet.disk.turn)), np.float32(math.sin(planet.disk.turn))
    dx, dy = (pixels[0] - np.float32(planet.disk.x))[None], (pixels[1] - np.float32(planet.disk.y))[:, None]
    u, v = dx * cos + dy * sin, (dy * cos - dx * sin) / np.float32(planet.disk.ratio)
    above = np.sqrt(u * u + v * v) - np.float32(planet.disk.radius)
    tail = cv2.exp(-np.maximum(above + np.float32(0.5), 0) / np.float32(height_px)) * (above > -0.5)
    return np.asarray(share * tail * cv2.pow(np.clip(mu0, 0, 1), 0.5), np.float32)


# -- rings ----------------------------------------------------------------------------------------------------------


def add_ring(rng: Rng, image: Image, i_over_f: float) -> None:
    """A thin band, edge-on or bent: one to three ringlets, ``i_over_f`` at the brightest; some end in a shadow."""
    height, width = image.shape
    size, turn = max(height, width), rng.uniform(0, math.pi)
    x, y = (
        np.arange(width, dtype=np.float32)[None] - width / 2,
        np.arange(height, dtype=np.float32)[:, None] - height / 2,
    )
    cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    along, off = x * cos + y * sin, y * cos - x * sin
    bend = 0.0 if rng.random() < 0.4 else rng.uniform(-0.4, 0.4) / size
    off = off - np.float32(rng.uniform(-0.4, 0.4) * size) - np.float32(bend) * along * along
    profile = np.zeros_like(off)
    for _ in range(rng.integers(1, 4)):
        sigma = np.float32(log_uniform(rng, 0.4, 0.02 * size + 0.5))
        profile += np.float32(rng.uniform(0.3, 1)) * cv2.exp(
            -0.5 * ((off - np.float32(rng.normal(0, 3) * sigma)) / sigma) ** 2
        )
    profile *= np.float32(i_over_f) / max(float(profile.max()), 1e-9)
    if rng.random() < 0.3:
        profile *= np.clip((along - np.float32(rng.uniform(-0.4, 0.4) * size)) / np.float32(rng.uniform(1, 20)), 0, 1)
    image += profile


# -- in front of everything -----------------------------------------------------------------------------------------


def veil(dice: Dice, light: Image, dark: float) -> Image:
    """Stray light in front of everything (H, W), unit of ``light``: ``gradient``, ``scattered_light``, ``ghost``.

    Args:
        dice: of the picture.
        light: (H, W) >= 0: what the optics let through.
        dark: 1-sigma noise of a dark pixel in the same unit, the scale of the gradient.

    """
    stray = np.zeros(light.shape, np.float32)
    if (rng := dice.effect("gradient", 0.5)) is not None:
        stray += gradient(rng, light.shape, dark * log_uniform(rng, 0.3, 50 if rng.random() < 0.05 else 15))
    if (rng := dice.effect("scattered_light", 0.75)) is not None:
        stray += scattered(rng, light, log_uniform(rng, 1e-3, 0.1))
    if (rng := dice.effect("ghost", 0.1)) is not None:
        stray += ghost(rng, light, log_uniform(rng, 3e-4, 0.03))
    return stray


def gradient(rng: Rng, shape: tuple[int, ...], amount: float) -> Image:
    """A smooth background (H, W) from 0 to ``amount``: plane, saddle and bowl, and a glow in or near a corner."""
    y, x = np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1])
    a, b, c, d = rng.normal(0, 1, 4)
    corner, wide = rng.choice([-1, 1], 2) * rng.uniform(0.7, 1.3, 2), rng.uniform(0.2, 0.8)
    glow = rng.exponential(1.5) if rng.random() < 0.4 else 0.0
    # every term is a function of the row times one of the column, so their sum is a product of thin matrices
    tall = [y, np.ones_like(y), c * y, glow * np.exp(-(((y - corner[0]) / wide) ** 2))]
    flat = [np.full_like(x, b), a * x + d * x * x, x, np.exp(-(((x - corner[1]) / wide) ** 2))]
    tall.append(d * y * y)
    flat.append(np.ones_like(x))
    smooth = np.stack(tall, 1).astype(np.float32) @ np.stack(flat).astype(np.float32)
    low, high, _, _ = cv2.minMaxLoc(smooth)
    return (smooth - np.float32(low)) * np.float32(amount / max(high - low, 1e-9))


def scattered(rng: Rng, light: Image, share: float) -> Image:
    """Light that the optics spread far from where it belongs (H, W): ``share`` of all there is, less what leaves.

    The spread is a power law of index 1.6 to 3 made of Gaussians, each on a picture half as fine as the one before,
    from 4 px up to the size of the picture; the broad ones may be a little off centre.
    Beyond Jupiter's limb JunoCam's strips of orbits 36 and 43 show 2 % of the disk's brightness at 4 px, 0.5 % at 32 px
    and 0.1 % at 128 px: a share of some 5 %.
    """
    size = max(light.shape)
    index = rng.uniform(1.6, 3.0)
    drift = rng.normal(0, 0.01 * size, 2) if rng.random() < 0.5 else np.zeros(2)
    levels = _halved(light)
    # a ring of a power law r^-index at the radius r holds r^(2 - index) of the light
    weights = 2.0 ** ((2 - index) * np.arange(len(levels))) * rng.uniform(0.5, 1.5, len(levels))
    weights *= share / weights.sum()
    halo = np.zeros_like(levels[-1])
    for level, weight in zip(reversed(levels), weights[::-1], strict=True):
        if halo.shape != level.shape:
            halo = _moved(halo, level.shape, drift / size * level.shape[1])
            halo = cv2.GaussianBlur(halo, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
        halo = halo + np.float32(weight) * cv2.GaussianBlur(level, (0, 0), 1.2, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(halo, light.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _halved(light: Image) -> list[Image]:
    """The picture at a quarter of its size, an eighth and so on, down to a handful of pixels."""
    levels = [_reduced(light, 4)]
    while min(levels[-1].shape) >= 6:
        levels.append(_reduced(levels[-1], 2))
    return levels


def _reduced(light: Image, factor: int) -> Image:
    size = max(round(light.shape[1] / factor), 1), max(round(light.shape[0] / factor), 1)
    return np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.float32)


def _moved(image: Image, shape: tuple[int, ...], by: Array) -> Image:
    """``image`` brought to another size and moved by (x, y) of its pixels; the edge goes on outside."""
    fx, fy = image.shape[1] / shape[1], image.shape[0] / shape[0]
    matrix = np.array([[fx, 0, 0.5 * fx - 0.5 - by[0] * fx], [0, fy, 0.5 * fy - 0.5 - by[1] * fy]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def ghost(rng: Rng, light: Image, share: float) -> Image:
    """A faint displaced copy (H, W): soft, or as far out of focus as to show the pupil, with or without a hole.

    Half of them are mirrored through the middle of the picture, as reflections between two lenses are.
    """
    small = _reduced(light, 4)
    height, width = small.shape
    flip, grown = (-1 if rng.random() < 0.5 else 1), log_uniform(rng, 0.6, 1.6)
    dx, dy = rng.normal(0, 0.2, 2) * (width, height)
    a = flip / grown
    centre = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[a, 0, centre[0] - a * (centre[0] + dx)], [0, a, centre[1] - a * (centre[1] + dy)]])
    copy = cv2.warpAffine(
        small, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT
    )
    if rng.random() < 0.5:
        sigma = log_uniform(rng, 0.5, 0.06 * max(small.shape) + 1)
        copy = cv2.GaussianBlur(copy, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    else:
        outer = log_uniform(rng, 1.5, min(0.08 * max(small.shape) + 2, 12))
        pupil = _pupil(outer, rng.choice([0.0, rng.uniform(0.3, 0.9)]))
        copy = cv2.filter2D(copy, -1, pupil, borderType=cv2.BORDER_CONSTANT)
    copy = np.maximum(copy, 0) * np.float32(share / grown**2)  # a wide pupil is convolved by FFT, which rounds
    return np.asarray(cv2.resize(copy, light.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _pupil(outer_px: float, hole: float) -> Image:
    """A disk of sum 1, or a ring when its ``hole`` is more than 0 of its radius."""
    reach = math.ceil(outer_px)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(x, y)
    pupil = np.clip(outer_px - distance + 0.5, 0, 1) * np.clip(distance - hole * outer_px + 0.5, 0, 1)
    if hole == 0:
        pupil = np.clip(outer_px - distance + 0.5, 0, 1)
    return np.asarray(pupil / pupil.sum(), np.float32)


# -- set into it ----------------------------------------------------------------------------------------------------


def inset(dice: Dice, counts: Image) -> tuple[Image, Mask]:
    """Effect ``inset``: a second picture set into ``counts`` (H, W), with or without a frame.

    It is a piece of the picture, magnified or not, another body, or noise; in a corner or anywhere.

    Returns:
        the picture (``counts`` itself when there is no inset), and (H, W) bool: what no longer shows the scene.

    """
    covered = np.zeros(counts.shape, bool)
    rng = dice.effect("inset", 0.03)
    if rng is None or min(counts.shape) < 8:
        return counts, covered
    rows, columns = counts.shape
    height, width = (max(int(side * rng.uniform(0.12, 0.45)), 4) for side in counts.shape)
    top, left = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
    if rng.random() < 0.6:
        top, left = int(rng.choice([0, rows - height])), int(rng.choice([0, columns - width]))
    low, high = (float(p) for p in np.percentile(counts[::4, ::4], [1, 99.5]))
    piece = _piece(rng, counts, (height, width), (low, high))
    if rng.random() < 0.5:
        edge = int(rng.integers(1, 4))
        value = high if rng.random() < 0.7 else low
        piece[:edge], piece[-edge:], piece[:, :edge], piece[:, -edge:] = value, value, value, value
    place = slice(top, top + height), slice(left, left + width)
    changed = counts.copy()
    changed[place], covered[place] = piece, True
    return changed, covered


def _piece(rng: Rng, counts: Image, shape: Shape, span: tuple[float, float]) -> Image:
    """The picture to set in (h, w), in the same range of counts."""
    kind = rng.choice(["copy", "body", "noise"], p=[0.65, 0.25, 0.1])
    if kind == "copy":
        magnified = rng.choice([1.0, log_uniform(rng, 0.5, 4)])
        height, width = (min(max(round(s / magnified), 2), side) for s, side in zip(shape, counts.shape, strict=True))
        rows, columns = (
            rng.integers(0, all_ - part + 1, 3) for all_, part in zip(counts.shape, (height, width), strict=True)
        )
        # the one of three that has most to show, as who sets pictures into pictures would choose
        cuts = [counts[r : r + height, c : c + width] for r, c in zip(rows, columns, strict=True)]
        cut = max(cuts, key=lambda piece: float(piece[::4, ::4].std()))
        return np.array(cv2.resize(cut, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    light = np.zeros(shape, np.float32)
    if kind == "body":
        add_moon(rng, light, _close(rng, shape), _sun(rng), 1.0)
        light /= max(float(light.max()), 1e-6)
    else:
        light += np.float32(rng.uniform(0, 0.8)) + np.float32(0.1) * rng.standard_normal(shape, np.float32)
    return np.asarray(span[0] + (span[1] - span[0]) * np.clip(light, 0, 1), np.float32)
