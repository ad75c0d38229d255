"""What else is in the sky: stars, other moons, Jupiter, rings, ghosts, gradients, and pictures set into pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


def stars(rng: np.random.Generator, shape: tuple[int, int], count: int, faintest: float) -> Image:
    """Point sources, fluxes a power law of slope -1 above ``faintest``."""
    image = np.zeros(shape, np.float32)
    rows, columns = rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)
    np.add.at(image, (rows, columns), (faintest / rng.uniform(0.002, 1, count)).astype(np.float32))
    return image


def moon(rng: np.random.Generator, shape: tuple[int, int], radius_px: float, brightness: float) -> Image:
    """A small lit ball anywhere, Lambert-shaded by a random Sun."""
    x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
    return _ball(shape, (x, y), radius_px, brightness, _sun(rng))


def jupiter(rng: np.random.Generator, shape: tuple[int, int], brightness: float) -> Image:
    """Jupiter's limb behind or beside Io: a huge banded ball whose edge crosses the picture."""
    size = max(shape)
    radius = size * rng.uniform(0.8, 6)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(-0.7, 0.4) * size
    reach = radius - depth
    centre = shape[1] / 2 + reach * np.cos(angle), shape[0] / 2 + reach * np.sin(angle)
    ball = _ball(shape, centre, radius, brightness, _sun(rng))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    turn = rng.uniform(0, np.pi)
    across = (rows * np.cos(turn) + columns * np.sin(turn)) / size
    bands = sum(rng.uniform(0, 0.12) * np.sin(2 * np.pi * across * k + rng.uniform(0, 6)) for k in (2, 3, 5, 9, 14))
    wisps = cv2.resize(rng.normal(0, 0.05, (12, 12)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return ball * np.clip(1 + bands + wisps, 0.2, 2).astype(np.float32)


def ring(rng: np.random.Generator, shape: tuple[int, int], brightness: float) -> Image:
    """A thin straight or bent band."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    turn, size = rng.uniform(0, np.pi), max(shape)
    along = (columns - shape[1] / 2) * np.cos(turn) + (rows - shape[0] / 2) * np.sin(turn)
    off = -(columns - shape[1] / 2) * np.sin(turn) + (rows - shape[0] / 2) * np.cos(turn)
    off = off - rng.uniform(-0.5, 0.5) * size - rng.uniform(-0.4, 0.4) * along**2 / size
    return (brightness * np.exp(-((off / rng.uniform(1, 0.05 * size)) ** 2))).astype(np.float32)


def gradient(rng: np.random.Generator, shape: tuple[int, int], amount: float) -> Image:
    """A smooth background: plane and bowl, from 0 to about ``amount``."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    a, b, c, d = rng.normal(0, 1, 4)
    smooth = a * x + b * y + c * x * y + d * (x * x + y * y)
    span = np.ptp(smooth)
    return (amount * (smooth - smooth.min()) / max(span, 1e-9)).astype(np.float32)


def scattered(rng: np.random.Generator, image: Image, share: float) -> Image:
    """Light that the optics spread far from where it belongs: a sum of broad Gaussians, scaled by ``share``."""
    factor = 4 if min(image.shape) >= 64 else 1
    small = cv2.resize(image, (image.shape[1] // factor, image.shape[0] // factor), interpolation=cv2.INTER_AREA)
    halo = np.zeros_like(small)
    for width in (0.012, 0.04, 0.15):
        halo += rng.uniform(0.1, 1) * cv2.GaussianBlur(
            small, (0, 0), max(width * max(small.shape), 0.6), borderType=cv2.BORDER_CONSTANT
        )
    return share * cv2.resize(halo, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def ghost(rng: np.random.Generator, image: Image, share: float) -> Image:
    """A faint displaced and blurred copy of the picture."""
    dx, dy = rng.uniform(-0.4, 0.4, 2) * (image.shape[1], image.shape[0])
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return share * cv2.GaussianBlur(cv2.warpAffine(image, shift, image.shape[::-1]), (0, 0), rng.uniform(1, 8))


def _sun(rng: np.random.Generator) -> NDArray[np.float64]:
    sun = rng.normal(size=3) + np.array([0, 0, 0.6])
    return sun / np.linalg.norm(sun)


def _ball(
    shape: tuple[int, int], centre: tuple[float, float], radius: float, brightness: float, sun: NDArray[np.float64]
) -> Image:
    y, x = np.mgrid[: shape[0], : shape[1]]
    nx, ny = (x - centre[0]) / radius, (y - centre[1]) / radius
    distance = np.hypot(nx, ny)
    nz = np.sqrt(np.maximum(1 - np.minimum(distance, 1) ** 2, 0))
    cover = np.clip((1 - distance) * radius + 0.5, 0, 1)
    return (brightness * cover * np.maximum(nx * sun[0] + ny * sun[1] + nz * sun[2], 0)).astype(np.float32)
