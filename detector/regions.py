"""From probabilities to regions: hysteresis thresholds, and what the limb says about where a region may lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.card import Threshold
from detector.frame import CLASSES, Frame
from detector.limb import GUESS, Limb
from detector.mask import Mask

LIMB_ZONE_PX = 3.0
LIMB_ZONE_RADII = 0.03
"""A plume must reach the limb to within this share of the radius (55 km), or within LIMB_ZONE_PX on a small disk."""
PLUME_SPAN_DEG = 110.0
"""A plume spans less of the limb than this. The largest known, Pele, spans 40 degrees; a wrong circle spans more."""
TOP_PIXELS = 9
"""A region's score is the mean of this many of its most probable pixels, a 3 x 3 core: one hot pixel cannot make it,
and the wide faint skirt of a large plume cannot spoil it."""
EVERY_NEIGHBOUR = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Region:
    """Connected pixels of one class.

    Attributes:
        kind: ``plume`` or ``hotspot``.
        score: 0..1. As it is found: mean of the region's TOP_PIXELS most probable pixels (of all of them when there are
            fewer); after :class:`detector.judge.Judge`: the probability that the region is an eruption.
        x0, y0: column and row of the box's first pixel in the frame.
        pixels: (h, w) bool, the region within its box; every edge of the box holds a pixel of the region.

    """

    kind: str
    score: float
    x0: int
    y0: int
    pixels: NDArray[np.bool_]

    @property
    def box(self) -> tuple[slice, slice]:
        """Index of the box in the frame: ``frame.image[region.box][region.pixels]`` are the region's pixels."""
        rows, columns = self.pixels.shape
        return slice(self.y0, self.y0 + rows), slice(self.x0, self.x0 + columns)

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(self.pixels.sum())

    def grown_box(self, margin: int, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the box with ``margin`` pixels more on every side, cut at the border of a frame of this shape."""
        rows, columns = self.box
        return (
            slice(max(0, rows.start - margin), min(shape[0], rows.stop + margin)),
            slice(max(0, columns.start - margin), min(shape[1], columns.stop + margin)),
        )

    def within(self, box: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Return the region's pixels over another box of the frame that holds its own."""
        inside = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), bool)
        rows, columns = self.pixels.shape
        y, x = self.y0 - box[0].start, self.x0 - box[1].start
        inside[y : y + rows, x : x + columns] = self.pixels
        return inside

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) x and (n,) y of the region's pixel centres in the frame."""
        rows, columns = np.nonzero(self.pixels)
        return columns.astype(float) + self.x0, rows.astype(float) + self.y0

    def peak(self, frame: Frame) -> tuple[float, float]:
        """Column and row of the brightest valid pixel."""
        light = np.where(self.pixels & frame.valid[self.box], frame.image[self.box], -np.inf)
        row, column = divmod(int(light.argmax()), light.shape[1])
        return float(self.x0 + column), float(self.y0 + row)


def find_regions(
    scores: NDArray[np.float32], thresholds: Mapping[str, Threshold], limb: Limb
) -> tuple[Region, ...]:
    """Regions of both classes, in a fixed order: plumes before hot spots, the most certain first, then from the top.

    A region is 8-connected, holds a pixel at least ``seed`` probable, reaches down to ``grow`` and covers at least
    ``min_area_px`` pixels. A plume must touch the limb (or its guess) and span less than PLUME_SPAN_DEG of it, or lie
    wholly on the disk; where a limb is trusted, a hot spot must lie on the disk. Pixels that are not known (NaN) belong
    to no region.

    Args:
        scores: (2, H, W) float32, 0..1 in the order of CLASSES; NaN where not known.
        thresholds: one per class.
        limb: the trusted limb, or none.

    """
    found = (
        region
        for plane, kind in zip(scores, CLASSES, strict=True)
        for region in _connected(plane, kind, thresholds[kind])
        if _belongs(region, plane, limb.for_plumes if kind == "plume" else limb)
    )
    return ordered(found)


def ordered(regions: Iterable[Region]) -> tuple[Region, ...]:
    """Plumes before hot spots, the most certain first, then from the top."""
    return tuple(sorted(regions, key=_order))


def mask_of(regions: Iterable[Region], known: NDArray[np.bool_]) -> Mask:
    """Return the regions as two planes over ``known`` (H, W)."""
    return Mask(labels_of(regions, known.shape) > 0, known)


def labels_of(regions: Iterable[Region], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """(2, H, W) int32: 0, or the number of the region in the order given, from 1."""
    labels = np.zeros((len(CLASSES), *shape), np.int32)
    for number, region in enumerate(regions, start=1):
        labels[CLASSES.index(region.kind)][region.box][region.pixels] = number
    return labels


def altitude_px(x: NDArray[np.float64], y: NDArray[np.float64], limb: Limb) -> NDArray[np.float64]:
    """Height above the limb in pixels, negative on the disk."""
    return np.hypot(x - limb.x_px, y - limb.y_px) - limb.radius_px


def on_the_disk(region: Region, limb: Limb) -> bool:
    """Whether nothing of a region stands over a limb."""
    return bool(altitude_px(*region.points(), limb).max() <= 0)


def azimuth_deg(x: NDArray[np.float64], y: NDArray[np.float64], limb: Limb) -> NDArray[np.float64]:
    """Position angle on the limb, 0..360: 0 = towards row 0, growing clockwise as the picture is seen."""
    return np.degrees(np.arctan2(x - limb.x_px, limb.y_px - y)) % 360.0


def span_deg(azimuths: NDArray[np.float64]) -> float:
    """Return the shortest arc that holds all these azimuths (degrees, any order), 0..360."""
    around = np.sort(azimuths)
    gaps = np.diff(around, append=around[0] + 360.0)
    return 360.0 - float(gaps.max())


def limb_zone_px(limb: Limb) -> float:
    """How near the limb counts as at the limb, in pixels; never nearer than twice the circle's own error."""
    error = 2.0 * limb.sigma_px if math.isfinite(limb.sigma_px) else 0.0
    return max(LIMB_ZONE_PX, LIMB_ZONE_RADII * limb.radius_px, error)


def _connected(plane: NDArray[np.float32], kind: str, threshold: Threshold) -> Iterator[Region]:
    candidate = plane >= threshold.grow  # False where NaN
    labels, _ = ndimage.label(candidate, structure=EVERY_NEIGHBOUR)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        pixels = labels[box] == label
        probable = plane[box][pixels]
        if probable.size >= threshold.min_area_px and probable.max() >= threshold.seed:
            yield Region(kind, _score(probable), box[1].start, box[0].start, pixels)


def _score(probable: NDArray[np.float32]) -> float:
    return float(np.sort(probable)[-TOP_PIXELS:].mean(dtype=np.float64))


def _belongs(region: Region, plane: NDArray[np.float32], limb: Limb) -> bool:
    if not limb.trusted:
        return True
    x, y = region.points()
    altitude, zone = altitude_px(x, y, limb), limb_zone_px(limb)
    if region.kind == "hotspot":
        return bool(altitude[plane[region.box][region.pixels].argmax()] <= zone)
    if (np.abs(altitude) <= zone).any():
        return span_deg(azimuth_deg(x, y, limb)) < PLUME_SPAN_DEG
    return on_the_disk(region, limb) and limb.source != GUESS


def _order(region: Region) -> tuple[int, float, int, int]:
    return CLASSES.index(region.kind), -round(region.score, 4), region.y0, region.x0
