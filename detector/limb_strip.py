"""The surroundings of a circle unwrapped: what the limb network looks at, near the circle and in a wider view.

Rows are distances from the circle, the innermost first; columns are azimuths over the part of the circle that the frame
shows. A strip of a circle near Io's limb shows the limb as a line that wavers about the middle row: how far it is off
there, azimuth by azimuth, is what the network tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.circle import Circle
from detector.limb_picture import Image, Picture

Array = NDArray[np.float64]

ROWS, WIDE_ROWS, COLUMNS = 48, 24, 128
FACTS = 8
INPUTS = ("near", "wide", "facts")
OUTPUTS = ("offset", "weight", "stands_out", "limb")
"""Of the network."""
WIDER = 5.0
"""The wide view reaches so many times farther to either side."""
ROUGH_SHARE, ROUGH_PX = 0.3, (18.0, 144.0)
COARSE_SHARE, COARSE_PX = 0.1, (6.0, 48.0)
FINE_SHARE, FINE_PX = 0.025, (3.0, 12.0)
"""Reach to either side of the circle: a share of its radius, at least and at most so many pixels."""
BRIGHTEST_PERCENT, LEAST_FULL = 98.0, 5.0
"""The brightest surface is this percentile of the wide view, and at least so many sigmas."""
LARGEST_SHARE, LEAST_SHARE = 4.0, -1.0
"""Limits of brightness in a strip, in units of the brightest surface."""
WHOLE_SHARE, MARGIN, LEAST_SPAN_DEG = 0.9, 1.06, 20.0
"""Where more of the circle than this is seen the strip goes all the way round; else it is so much longer than the part
that is seen, and not shorter than so many degrees."""
SAMPLE_PX, MOST_SAMPLES = 1.5, 7
"""Columns are means of samples so far apart."""


@dataclass(frozen=True)
class LimbStrip:
    """One circle's strip.

    Attributes:
        near: (ROWS, COLUMNS) float32 brightness over the sky as a share of the brightest surface's; NaN where not seen.
        wide: (WIDE_ROWS, COLUMNS) the same, ``WIDER`` times farther to either side.
        azimuth_rad: (COLUMNS,) middles of the columns, 0 along +x, growing towards +y.
        facts: (8,) float32: reach to either side and radius, px; brightest surface and softening, sigmas of the noise;
            full scale as a share of the brightest surface; first azimuth and width of a column, radians; and the
            brightest surface of the whole picture as a share of that of the strip.

    """

    near: Image
    wide: Image
    azimuth_rad: Array
    facts: NDArray[np.float32]

    @property
    def reach_px(self) -> float:
        """How far it goes to either side of the circle."""
        return float(self.facts[0])

    @property
    def column_rad(self) -> float:
        """Width of a column."""
        return float(self.facts[6])

    @property
    def whole(self) -> bool:
        """Whether it goes all the way round."""
        return self.column_rad * COLUMNS > 2 * math.pi - 1e-3


def rough_reach_px(radius_px: float) -> float:
    """How far off a circle that a glance proposes may be."""
    return float(np.clip(ROUGH_SHARE * radius_px, *ROUGH_PX))


def coarse_reach_px(radius_px: float) -> float:
    """How far off a circle may be for a first look."""
    return float(np.clip(COARSE_SHARE * radius_px, *COARSE_PX))


def fine_reach_px(radius_px: float) -> float:
    """How far off a circle may be for the last look."""
    return float(np.clip(FINE_SHARE * radius_px, *FINE_PX))


def strip_of(picture: Picture, circle: Circle, reach_px: float, full_scale: float) -> LimbStrip | None:
    """Unwrap the surroundings of a circle; None where the frame shows nothing of them.

    Args:
        picture: the frame, binned or not.
        circle: in the picture's pixels.
        reach_px: to either side.
        full_scale: sigmas from which pixels count as overexposed.

    """
    start, span = seen_span(picture.shape, circle, reach_px)
    column = span / COLUMNS
    azimuth = np.asarray(start + (np.arange(COLUMNS) + 0.5) * column, np.float64)
    near, wide = (
        _unwrapped(picture.linear, circle, _middles_px(rows, reach), azimuth, column)
        for rows, reach in ((ROWS, reach_px), (WIDE_ROWS, WIDER * reach_px))
    )
    if not np.isfinite(near).any():
        return None
    full = max(float(np.nanpercentile(wide, BRIGHTEST_PERCENT)), LEAST_FULL)
    brighter = max(picture.full, LEAST_FULL) / full
    facts = (reach_px, circle.r, full, picture.soft, full_scale / full, azimuth[0], column, brighter)
    near, wide = (np.clip(view / np.float32(full), LEAST_SHARE, LARGEST_SHARE) for view in (near, wide))
    return LimbStrip(near, wide, azimuth, np.array(facts, np.float32))


def seen_span(shape: tuple[int, int], circle: Circle, margin_px: float) -> tuple[float, float]:
    """First azimuth and length, radians, of the shortest stretch that holds all of the circle that a frame shows."""
    step_deg = 0.5
    azimuth = np.radians(np.arange(0.0, 360.0, step_deg))
    x, y = circle.x + circle.r * np.cos(azimuth), circle.y + circle.r * np.sin(azimuth)
    seen = np.flatnonzero((x > -margin_px) & (x < shape[1] + margin_px) & (y > -margin_px) & (y < shape[0] + margin_px))
    if len(seen) in (0, len(azimuth)):
        return 0.0, 2 * math.pi
    gaps = np.diff(seen, append=seen[0] + len(azimuth))
    widest = int(gaps.argmax())
    length = len(azimuth) - int(gaps[widest]) + 1
    if length > WHOLE_SHARE * len(azimuth):
        return 0.0, 2 * math.pi
    span_deg = max(MARGIN * step_deg * length, LEAST_SPAN_DEG)
    middle_deg = step_deg * (seen[(widest + 1) % len(seen)] + length / 2)
    return math.radians(middle_deg - span_deg / 2), math.radians(span_deg)


def _middles_px(rows: int, reach_px: float) -> Array:
    """(rows,) distances of the rows' middles from the circle."""
    return np.asarray((np.arange(rows) + 0.5 - rows / 2) * (2 * reach_px / rows), np.float64)


def _unwrapped(image: Image, circle: Circle, offset_px: Array, azimuth_rad: Array, column_rad: float) -> Image:
    """(rows, columns) means over the cells; NaN where less than half of one is seen, and beyond the centre."""
    count = int(np.clip(math.ceil(column_rad * circle.r / SAMPLE_PX), 1, MOST_SAMPLES))
    within = (np.arange(count) + 0.5) / count - 0.5
    angle = (azimuth_rad[:, None] + within * column_rad).ravel()
    distance = circle.r + offset_px
    y, x = (centre + side(angle) * distance[:, None] for centre, side in ((circle.y, np.sin), (circle.x, np.cos)))
    values = ndimage.map_coordinates(image, [y, x], order=1, mode="constant", cval=np.nan, output=np.float32)
    values[distance < 0] = np.nan
    cells = values.reshape(len(offset_px), len(azimuth_rad), count)
    known = np.isfinite(cells)
    seen = known.sum(axis=-1)
    total = np.where(known, cells, np.float32(0)).sum(axis=-1)
    return np.where(2 * seen >= count, total / np.maximum(seen, 1), np.float32(np.nan)).astype(np.float32)
