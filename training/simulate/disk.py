"""Io's disk: reflected sunlight and Jupiter-shine, with mountains on the limb."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulate.geometry import Geometry, direction, lat_lon_w
from training.simulate.surface import albedo_at

RELIEF_COLUMNS = 720


@dataclass(frozen=True)
class Surface:
    """How the surface scatters.

    Attributes:
        colour: 0 blue .. 2 red: which mixture of the map's bands.
        level: normal reflectance where the map is 0.6.
        contrast: exponent on the map; 0 is a uniform ball.
        minnaert: exponent k of I/F = B0 mu0^k mu^(k-1) (Simonelli & Veverka 1984: 0.5 violet .. 0.7 red).
        jupiter_shine: brightness of the night side that faces Jupiter, relative to the day side.
        mountains_km: height of the largest peaks on the limb.
        seed: of the mountains.

    """

    colour: float = 1.0
    level: float = 0.6
    contrast: float = 1.0
    minnaert: float = 0.6
    jupiter_shine: float = 0.0
    mountains_km: float = 0.0
    seed: int = 0


def disk_image(geometry: Geometry, surface: Surface, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) float32 I/F; 0 off the disk. The limb's pixels are shared by area to first order."""
    image = np.zeros(shape, np.float32)
    box = _box(geometry, shape)
    if box[0] >= box[1] or box[2] >= box[3]:
        return image
    y, x = np.mgrid[box[0] : box[1], box[2] : box[3]].astype(np.float64)
    dx, dy = x - geometry.centre_x_px, y - geometry.centre_y_px
    azimuth = np.arctan2(dx, -dy) % (2 * np.pi)
    limb = np.interp(azimuth, *_limb_table(geometry, surface), period=2 * np.pi)
    distance = np.hypot(dx, dy)
    cover = np.clip(limb - distance + 0.5, 0, 1)
    inward = np.minimum(
        1.0, (limb - 0.3) / np.maximum(distance, 1e-6)
    )  # mountains and edge pixels take the limb's own surface
    points, normals = geometry.surface(geometry.centre_x_px + dx * inward, geometry.centre_y_px + dy * inward)
    image[box[0] : box[1], box[2] : box[3]] = cover * _shade(geometry, surface, points, normals)
    return image


def _box(geometry: Geometry, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    reach = geometry.radius_px * 1.02 + 2
    x, y = geometry.centre_x_px, geometry.centre_y_px
    return (
        max(0, int(y - reach)),
        min(shape[0], int(y + reach) + 1),
        max(0, int(x - reach)),
        min(shape[1], int(x + reach) + 1),
    )


def _limb_table(geometry: Geometry, surface: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    azimuth = np.linspace(0, 2 * np.pi, RELIEF_COLUMNS, endpoint=False)
    radius = geometry.limb_radius_px(azimuth)
    if surface.mountains_km > 0:
        rng = np.random.default_rng(surface.seed)
        relief = np.zeros(RELIEF_COLUMNS)
        for _ in range(rng.integers(1, 9)):
            apart = (azimuth - rng.uniform(0, 2 * np.pi) + np.pi) % (2 * np.pi) - np.pi
            relief += surface.mountains_km * rng.uniform(0.2, 1) * np.exp(-((apart / rng.uniform(0.01, 0.05)) ** 2))
        radius = radius + relief / geometry.km_per_px
    return azimuth, radius


def _shade(
    geometry: Geometry, surface: Surface, points: NDArray[np.float64], normals: NDArray[np.float64]
) -> NDArray[np.float64]:
    lat, lon_w = lat_lon_w(points @ geometry.rotation)
    pattern = albedo_at(lat.astype(np.float32), lon_w.astype(np.float32), surface.colour)
    reflectance = surface.level * (np.maximum(pattern, 0.02) / 0.6) ** surface.contrast
    to_camera = np.array([0, 0, geometry.range_km]) - points
    mu = np.clip(np.einsum("...i,...i", normals, to_camera) / np.linalg.norm(to_camera, axis=-1), 0.08, 1)

    def lit_by(light: NDArray[np.float64]) -> NDArray[np.float64]:
        mu0 = np.maximum(normals @ light, 0)
        return mu0**surface.minnaert * mu ** (surface.minnaert - 1)

    light = lit_by(geometry.sun)
    if surface.jupiter_shine > 0:
        light = light + surface.jupiter_shine * lit_by(geometry.rotation @ direction(0, 0))
    return reflectance * light
