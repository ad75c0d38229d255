"""Hot spots: blackbody surfaces smaller than a pixel, lava lakes with bright rims, flows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.simulate.geometry import Geometry, direction

PLANCK, LIGHT, BOLTZMANN = 6.62607015e-34, 2.99792458e8, 1.380649e-23
SHAPES = ("point", "lake", "flow")


def planck(wavelength_um: NDArray[np.float64] | float, temperature_k: float) -> NDArray[np.float64]:
    """Spectral radiance of a blackbody, W m-2 sr-1 um-1."""
    metres = np.asarray(wavelength_um, dtype=np.float64) * 1e-6
    exponent = np.minimum(PLANCK * LIGHT / (metres * BOLTZMANN * temperature_k), 700)
    return 2e-6 * PLANCK * LIGHT**2 / metres**5 / np.expm1(exponent)


def band_radiance(low_um: float, high_um: float, temperature_k: float) -> float:
    """Radiance of a blackbody through a box filter, W m-2 sr-1 (trapezoid over 201 wavelengths)."""
    wavelengths = np.linspace(low_um, high_um, 201)
    return float(np.trapezoid(planck(wavelengths, temperature_k), wavelengths))


@dataclass(frozen=True)
class HotSpot:
    """One hot spot.

    Attributes:
        lat_deg, lon_w_deg: its centre.
        temperature_k, area_km2: of its radiating surface (one component).
        size_km: across; below a pixel it is a point.
        shape: ``point``, ``lake`` (bright rim) or ``flow``.
        peak: brightness it adds to its brightest pixel, in the frame's unit before the camera's PSF.
        seed: of its outline.
        name: of the volcano; empty for a made-up one.

    """

    lat_deg: float
    lon_w_deg: float
    temperature_k: float
    area_km2: float
    size_km: float
    shape: str
    peak: float
    seed: int
    name: str = ""


def spot_image(spot: HotSpot, geometry: Geometry, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) float32 in the frame's unit; zeros when the spot is on the far side or outside the picture."""
    image = np.zeros(shape, np.float32)
    up = geometry.rotation @ direction(spot.lat_deg, spot.lon_w_deg)
    centre = up * 1821.49
    x, y = (float(v) for v in geometry.project(centre))
    rows, columns = shape
    if up[2] < 1821.49 / geometry.range_km + 0.03 or not (0 <= x <= columns - 1 and 0 <= y <= rows - 1):
        return image
    radius = max(0.5 * spot.size_km / geometry.km_per_px, 0.0)
    if spot.shape == "point" or radius < 0.6:
        _add_point(image, x, y, spot.peak)
        return image
    _add_patch(image, (x, y), radius, up, spot)
    return image


def _add_point(image: NDArray[np.float32], x: float, y: float, flux: float) -> None:
    column, row = int(x), int(y)
    fx, fy = x - column, y - row
    patch = flux * np.outer([1 - fy, fy], [1 - fx, fx]).astype(np.float32)
    target = image[row : row + 2, column : column + 2]
    target += patch[: target.shape[0], : target.shape[1]]


def _add_patch(
    image: NDArray[np.float32], centre: tuple[float, float], radius: float, up: NDArray[np.float64], spot: HotSpot
) -> None:
    """An outline on the tilted surface: foreshortened along the direction to the disk's centre."""
    rng = np.random.default_rng(spot.seed)
    half = int(radius * 1.6) + 3
    x0, y0 = int(centre[0]) - half, int(centre[1]) - half
    y, x = np.mgrid[y0 : y0 + 2 * half + 1, x0 : x0 + 2 * half + 1]
    dx, dy = x - centre[0], y - centre[1]
    lean = np.hypot(up[0], up[1])
    out = np.array([up[0], up[1]]) / max(lean, 1e-6)
    radial = (dx * out[0] + dy * out[1]) / max(up[2], 0.15)
    across = -dx * out[1] + dy * out[0]
    if spot.shape == "flow":
        turn = rng.uniform(0, np.pi)
        a, b = radial * np.cos(turn) + across * np.sin(turn), -radial * np.sin(turn) + across * np.cos(turn)
        b = b + rng.uniform(-0.3, 0.3) * a**2 / radius
        profile = np.exp(-((a / radius) ** 4)) * np.exp(-((b / (0.22 * radius + 0.5)) ** 2))
    else:
        distance = np.hypot(radial, across) / radius
        rim = np.exp(-(((distance - 0.85) / max(0.12, 0.6 / radius)) ** 2))
        profile = rim + rng.uniform(0.05, 0.6) / (1 + np.exp(np.minimum(12 * (distance - 0.9), 50)))
    grain = cv2.GaussianBlur(rng.normal(size=profile.shape), (0, 0), 1.2)
    patch = (spot.peak * profile * np.clip(1 + 0.8 * grain, 0.1, 3)).astype(np.float32)
    rows, columns = image.shape
    r0, r1, c0, c1 = max(y0, 0), min(y0 + len(patch), rows), max(x0, 0), min(x0 + patch.shape[1], columns)
    image[r0:r1, c0:c1] += patch[r0 - y0 : r1 - y0, c0 - x0 : c1 - x0]
