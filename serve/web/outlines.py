"""Pixels as polygons and back. Points are (x, y), an integer is a pixel's centre, so edges lie at halves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio import features
from rasterio.transform import Affine

Ring = Sequence[tuple[float, float]]
Polygon = Sequence[Ring]
"""An outer ring, then its holes; each ring's last point is its first."""


def polygons_of(pixels: NDArray[np.bool_], x0: int = 0, y0: int = 0) -> list[Polygon]:
    """Outline a mask exactly, along its pixels' edges; pixels that touch at a corner belong together.

    Args:
        pixels: (h, w) bool.
        x0, y0: column and row of its first pixel in the frame.

    """
    turned = Affine.translation(x0 - 0.5, y0 - 0.5)
    shapes = features.shapes(pixels.astype(np.uint8), mask=pixels, connectivity=8, transform=turned)
    return [shape["coordinates"] for shape, _ in shapes]


def multipolygon(polygons: Sequence[Polygon]) -> dict[str, Any]:
    """Return polygons as GeoJSON has them."""
    return {"type": "MultiPolygon", "coordinates": polygons}


def pixels_of(polygons: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: the pixels whose centres lie in the polygons; of a polygon that holds no centre, those it touches.

    Args:
        polygons: in the frame's pixels.
        shape: (H, W) of the frame.

    """
    geometry = multipolygon([[list(ring) for ring in polygon] for polygon in polygons])
    turned = Affine.translation(-0.5, -0.5)
    for touched in (False, True):
        drawn = features.rasterize([(geometry, 1)], shape, transform=turned, all_touched=touched, dtype=np.uint8)
        if drawn.any():
            break
    return np.asarray(drawn, dtype=bool)
