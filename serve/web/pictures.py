"""Pixels on their way to the page: windows of numbers, stretched pictures, masks, and the unwrapped limb.

A window is read from the frame's ``pixels.npy``, which is mapped, not loaded: only what is asked for is read.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from detector.frame import IO_RADIUS_KM
from serve.web.examine import PIXELS, PLACES
from serve.web.outlines import Polygon, pixels_of

LONGEST_PX = 2048
"""No picture is larger, on either side."""
SOFTENING, HEADROOM = 0.06, 1.15
"""The asinh stretch is linear below this share of white, and white is this much above the bright surface: as in
:mod:`detector.quicklook`."""
UNSEEN = (33, 43, 61)
COLOURS = {"plume": (86, 180, 233), "hotspot": (230, 159, 0)}
"""Okabe and Ito's sky blue and orange, as in :mod:`detector.quicklook`."""
MASK_ALPHA = 110
STRETCHES = ("linear", "asinh", "percentile")
HALF_PERCENT = (1, 9)
"""Where 0.5 and 99.5 stand among :data:`serve.web.examine.PERCENTILES`."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A part of a frame, and how much it is reduced.

    Attributes:
        x0, y0: its first column and row.
        width, height: in the frame's pixels.
        step: so many pixels a side become one, their mean.

    """

    x0: int
    y0: int
    width: int
    height: int
    step: int = 1

    @classmethod
    def within(cls, shape: tuple[int, int], x0: int, y0: int, width: int | None, height: int | None) -> Window:
        """Return the part of a window that lies in a frame of this shape; it may be empty."""
        rows, columns = shape
        wide = columns if width is None else width
        high = rows if height is None else height
        return cls(x0, y0, max(0, min(wide, columns - x0)), max(0, min(high, rows - y0)))

    def fitting(self, longest_px: int) -> Window:
        """Return the window reduced by a whole number so that no side is longer than this."""
        step = max(1, math.ceil(max(self.width, self.height) / longest_px))
        return Window(self.x0, self.y0, self.width, self.height, step)


@dataclass(frozen=True)
class Strip:
    """The unwrapped limb: columns are position angles, rows are altitudes, the highest first.

    Attributes:
        low_km, high_km: of the last row's lower and the first row's upper edge.
        km_per_row: altitude of a row.
        deg_per_column: position angle of a column; the first begins at 0, towards row 0, growing clockwise.
        rows, columns: its size.

    """

    low_km: float
    high_km: float
    km_per_row: float
    deg_per_column: float
    rows: int
    columns: int

    @classmethod
    def of(cls, radius_px: float, low_km: float = -150.0, high_km: float = 500.0) -> Strip:
        """Return the strip around a limb of this radius, about one row and column a pixel of the frame."""
        km_per_px = IO_RADIUS_KM / radius_px
        rows = int(np.clip(round((high_km - low_km) / km_per_px), 40, 400))
        columns = int(np.clip(round(2 * math.pi * radius_px), 360, LONGEST_PX))
        return cls(low_km, high_km, (high_km - low_km) / rows, 360.0 / columns, rows, columns)


def read_pixels(folder: Path) -> Floats:
    """(H, W) float32 of a frame, mapped; NaN where not observed."""
    mapped: Floats = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    return mapped


def place_at(folder: Path, step: int, x_px: float, y_px: float) -> tuple[float, float]:
    """Latitude and west longitude that a pixel sees, from the grid's; NaN off the disk and close to its edge."""
    if not step:
        return math.nan, math.nan
    lat, lon_w = np.load(folder / PLACES, mmap_mode="r", allow_pickle=False)
    row, column = y_px / step, x_px / step
    r, c = min(int(row), lat.shape[0] - 2), min(int(column), lat.shape[1] - 2)
    theta, phi = np.radians(lat[r : r + 2, c : c + 2]), np.radians(lon_w[r : r + 2, c : c + 2])
    down, along = np.array([1 - (row - r), row - r]), np.array([1 - (column - c), column - c])
    corners = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta)])
    x, y, z = (float(down @ corner @ along) for corner in corners)
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x)) % 360.0


def read_window(pixels: Floats, window: Window) -> Floats:
    """(h, w) float32: the means of the observed pixels of each step x step block; NaN where there is none."""
    part = np.asarray(pixels[window.y0 : window.y0 + window.height, window.x0 : window.x0 + window.width])
    step = window.step
    if step == 1:
        return part
    padded = np.pad(part, ((0, -part.shape[0] % step), (0, -part.shape[1] % step)), constant_values=np.nan)
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    seen = np.isfinite(blocks)
    count = seen.sum(axis=(1, 3))
    total = np.where(seen, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    return np.where(count, total / np.maximum(count, 1), np.nan).astype(np.float32)


def range_of(stretch: str, levels: Mapping[str, Any]) -> tuple[float, float]:
    """Return black and white of a stretch where none are given."""
    sky, sigma, bright = (float(levels[key] or 0) for key in ("sky", "sigma", "bright"))
    low, high = float(levels["least"] or 0), float(levels["most"] or 0)
    if stretch == "asinh":
        low = sky - sigma
        high = max(low + HEADROOM * bright, float(levels["percentiles"][-1] or 0))
    elif stretch == "percentile":
        low, high = (float(levels["percentiles"][n] or 0) for n in HALF_PERCENT)
    return (low, high) if high > low else (low, low + 1.0)


def softening_of(levels: Mapping[str, Any], black: float, white: float) -> float:
    """Return below which share of white the asinh stretch is linear: above the noise, so that the sky stays dark."""
    return max(SOFTENING, min(3 * float(levels["sigma"] or 0) / (white - black), 0.5))


def stretched(
    part: Floats, stretch: str, black: float, white: float, softening: float = SOFTENING
) -> NDArray[np.uint8]:
    """(h, w, 3) uint8: grey from black to white; a dark blue where not observed."""
    share = np.clip((part.astype(np.float64) - black) / (white - black), 0, 1)
    if stretch == "asinh":
        share = np.arcsinh(share / softening) / math.asinh(1 / softening)
    seen = np.isfinite(part)
    grey = np.where(seen, share * 255 + 0.5, 0).astype(np.uint8)
    return np.where(seen[..., None], grey[..., None], np.array(UNSEEN, np.uint8))


def png(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture (h, w, 3 or 4) as PNG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def mask_picture(
    document: Mapping[str, Any], shape: tuple[int, int], window: Window, least: float
) -> NDArray[np.uint8]:
    """(h, w, 4) uint8: what was found, transparent elsewhere; orange over blue where both are.

    Args:
        document: the frame's.
        shape: of the frame.
        window: what is shown.
        least: score below which nothing is shown.

    """
    picture = np.zeros((*shape, 4), np.uint8)
    pairs = zip(document["detections"], document["outlines"], strict=True)
    chosen = [(row["kind"], outline["coordinates"]) for row, outline in pairs if (row["score"] or 0) >= least]
    for kind, colour in COLOURS.items():
        polygons = [polygon for found, outline in chosen if found == kind for polygon in outline]
        if polygons:
            picture[pixels_of(polygons, shape)] = (*colour, MASK_ALPHA)
    return picture[
        window.y0 : window.y0 + window.height : window.step, window.x0 : window.x0 + window.width : window.step
    ]


def unwrap(pixels: Floats, limb: Mapping[str, Any], strip: Strip, flat: bool) -> Floats:
    """(rows, columns) float32 of the unwrapped limb, NaN outside the frame and where not observed.

    Args:
        pixels: of the frame.
        limb: ``x_px``, ``y_px``, ``radius_px``.
        strip: what to show.
        flat: subtract each altitude's median over all angles, so that what stands out is local.

    """
    altitude = strip.high_km - (np.arange(strip.rows) + 0.5) * strip.km_per_row
    radius = limb["radius_px"] * (1 + altitude / IO_RADIUS_KM)
    angle = np.radians((np.arange(strip.columns) + 0.5) * strip.deg_per_column)
    x = limb["x_px"] + radius[:, None] * np.sin(angle)
    y = limb["y_px"] - radius[:, None] * np.cos(angle)
    rows, columns = _box(y, pixels.shape[0]), _box(x, pixels.shape[1])
    part = np.asarray(pixels[rows, columns], np.float32)
    if not part.size:
        return np.full(x.shape, np.nan, np.float32)
    found = ndimage.map_coordinates(part, [y - rows.start, x - columns.start], order=1, mode="constant", cval=np.nan)
    return _flattened(found) if flat else found.astype(np.float32)


def _flattened(strip: Floats) -> Floats:
    seen = np.isfinite(strip)
    known = seen.any(axis=1)
    medians = np.zeros(len(strip), np.float32)
    medians[known] = np.nanmedian(strip[known], axis=1)
    return strip - medians[:, None]


def _box(positions: NDArray[np.float64], length: int) -> slice:
    """Return the part of an axis that positions fall on."""
    first = int(np.clip(math.floor(positions.min()), 0, length))
    return slice(first, int(np.clip(math.ceil(positions.max()) + 1, first, length)))


def spread(values: Floats) -> tuple[float, float]:
    """Return the 1st and the 99.5th percentile of what is known; black and white of a strip."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(known, [1, 99.5]))
    return (low, high) if high > low else (low, low + 1.0)


def above_limb(limb: Mapping[str, Any], x_px: float, y_px: float) -> tuple[float, float]:
    """Altitude in km above the limb's circle and position angle in degrees; NaN where there is no limb."""
    if limb["radius_px"] is None:
        return math.nan, math.nan
    dx, dy = x_px - limb["x_px"], y_px - limb["y_px"]
    altitude = (math.hypot(dx, dy) / limb["radius_px"] - 1) * IO_RADIUS_KM
    return altitude, math.degrees(math.atan2(dx, -dy)) % 360.0


def holds(polygons: Sequence[Polygon], x_px: float, y_px: float) -> bool:
    """Whether a point lies in polygons: on their inside, and in none of their holes."""
    return any(_crossings(polygon, x_px, y_px) % 2 for polygon in polygons)


def _crossings(polygon: Polygon, x_px: float, y_px: float) -> int:
    """How many edges a ray to the right crosses."""
    edges = ((a, b) for ring in polygon for a, b in pairwise(ring))
    return sum(
        (a[1] > y_px) != (b[1] > y_px) and x_px < a[0] + (y_px - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) for a, b in edges
    )
