"""What may be doubtful about a detection, as named bits. A doubtful detection is kept and marked, not dropped."""

from __future__ import annotations

from enum import Flag, auto

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.frame import Frame
from detector.regions import EVERY_NEIGHBOUR, Region

SMALL_PX = 4
"""A region of fewer pixels than this is SMALL: its shape says nothing."""
SHARP = 0.1
"""Brightest neighbour over brightest pixel, both above background, below which no optics made the peak. A point source
seen through a Gaussian PSF of 1 pixel full width, centred in its pixel, gives 0.15; a wider or off-centre one more."""
SHARP_SNR = 10.0
"""Below this signal-to-noise the noise alone can hide a point source's neighbours."""


class Doubt(Flag):
    """The registry. NEW_CANDIDATE is no doubt but news."""

    EDGE = auto()  # touches the frame's border: it may go on outside
    GAP = auto()  # touches pixels that were not observed
    SATURATED = auto()  # holds a saturated pixel: brightness is a lower bound
    SMALL = auto()
    SINGLE_PIXEL = auto()
    ON_DISK = auto()  # a plume of which nothing stands over the limb: no height; a lit mountain top looks like it
    RADIATION_SUSPECT = auto()  # one sharp pixel, unlike a point source
    OUT_OF_DISTRIBUTION = auto()  # the label names another target than Io
    LIMB_DOUBTED = auto()  # a plume at a circle that was not trusted to be Io's limb
    NEW_CANDIDATE = auto()  # further from every known volcano than its place is uncertain: see detector.measure

    @property
    def text(self) -> str:
        """The names joined by ``|``, in the registry's order; empty when nothing is doubtful."""
        return "|".join(str(member.name) for member in self)


def doubts_of(frame: Frame, region: Region, excess: NDArray[np.float64], sigma: float) -> Doubt:
    """Everything that is doubtful about a region.

    Args:
        frame: the frame it was found in.
        region: the region.
        excess: (h, w) signal above the local background over the region's box grown by one pixel inside the frame
            (:meth:`Region.grown_box`), in the frame's unit.
        sigma: 1-sigma noise at the region's brightest pixel.

    """
    tests = {
        Doubt.EDGE: _at_edge(region, frame.shape),
        Doubt.GAP: _at_gap(frame, region),
        Doubt.SATURATED: bool((frame.image[region.box][region.pixels] >= frame.saturation).any()),
        Doubt.SMALL: region.area_px < SMALL_PX,
        Doubt.SINGLE_PIXEL: region.area_px == 1,
        Doubt.RADIATION_SUSPECT: _too_sharp(frame, region, excess, sigma),
        Doubt.OUT_OF_DISTRIBUTION: not frame.may_show_io,
    }
    return Doubt(sum(doubt.value for doubt, found in tests.items() if found))


def _at_edge(region: Region, shape: tuple[int, int]) -> bool:
    rows, columns = region.box
    return rows.start == 0 or columns.start == 0 or rows.stop == shape[0] or columns.stop == shape[1]


def _at_gap(frame: Frame, region: Region) -> bool:
    box = region.grown_box(1, frame.shape)
    around = ndimage.binary_dilation(region.within(box), EVERY_NEIGHBOUR)
    return bool((around & ~frame.valid[box]).any())


def _too_sharp(frame: Frame, region: Region, excess: NDArray[np.float64], sigma: float) -> bool:
    box = region.grown_box(1, frame.shape)
    inside = region.within(box)
    row, column = divmod(int(np.where(inside, excess, -np.inf).argmax()), excess.shape[1])
    peak = excess[row, column]
    near = (slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2))
    neighbours = frame.valid[box][near].copy()
    neighbours[min(row, 1), min(column, 1)] = False
    if peak < SHARP_SNR * sigma or neighbours.sum() < 3:
        return False
    return bool(excess[near][neighbours].max() < SHARP * peak)
