"""What a rival looks at: one frame, its limb, and the pictures that several rivals need, made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import astroscrappy
import cv2
import numpy as np
import sep
from numpy.typing import NDArray

from detector.frame import Frame
from detector.limb import Limb
from detector.regions import Region, altitude_px, limb_zone_px

Image = NDArray[np.float32]
Bools = NDArray[np.bool_]

MOST_FINDS = 300
"""Finds kept on a frame, the most certain: more than any budget lets through."""
CROWD, CROWD_SIGMAS = 20, 5.0
MARGIN_PX = 24
MESH_PX = 32
HIT_SIGMAS = 4.5


@dataclass(frozen=True)
class Find:
    """What a finder reports.

    Attributes:
        region: the pixels, and the class.
        x_px, y_px: where it says that the thing is.
        score: any unit, rising with certainty.

    """

    region: Region
    x_px: float
    y_px: float
    score: float


class Cut(NamedTuple):
    """A picture in units of its own noise around 0, cut out of a frame.

    Attributes:
        image: (h, w) float32; 0 where not valid.
        x0, y0: column and row of its first pixel.

    """

    image: Image
    x0: int
    y0: int


class Sight:
    """One frame and its limb.

    Args:
        frame: what is looked at.
        limb: the trusted limb, or none.

    """

    def __init__(self, frame: Frame, limb: Limb) -> None:
        self.frame, self.limb = frame, limb
        self.levels = frame.levels
        self.significance = lru_cache(maxsize=None)(self._significance)
        self._calm = lru_cache(maxsize=None)(self._without_hits)
        self._found: dict[Hashable, list[Find]] = {}

    @cached_property
    def box(self) -> tuple[slice, slice]:
        """Index of the disk and a margin in the frame; the whole frame without a limb."""
        rows, columns = self.frame.shape
        if not self.limb.trusted:
            return slice(0, rows), slice(0, columns)
        reach = self.limb.radius_px + limb_zone_px(self.limb) + MARGIN_PX
        return _side(self.limb.y_px, reach, rows), _side(self.limb.x_px, reach, columns)

    @property
    def blank(self) -> bool:
        """Whether there is nothing to look at."""
        return self.frame.valid[self.box].sum() < MESH_PX

    def once(self, key: Hashable, finder: Callable[[], list[Find]]) -> list[Find]:
        """What ``finder`` finds; looked for once a key."""
        if key not in self._found:
            self._found[key] = [] if self.blank else finder()
        return self._found[key]

    def spots(self, finds: list[Find], crowd: bool) -> list[Find]:
        """Of the finds those that may be hot spots (on the disk, where it is known), the most certain first.

        Args:
            finds: with signal-to-noise as score.
            crowd: whether a score counts relative to the frame's own CROWD-th best, where that is more than noise: one
                bright dot among hundreds of radiation hits means less than one alone.

        """
        best = sorted((find.score for find in finds), reverse=True)
        rank = max(best[CROWD - 1] / CROWD_SIGMAS, 1.0) if crowd and len(best) >= CROWD else 1.0
        kept = [
            replace(find, score=find.score / rank) for find in finds if not self.limb.trusted or self._on_disk(find)
        ]
        return sorted(kept, key=lambda find: (-find.score, find.y_px, find.x_px))[:MOST_FINDS]

    def _on_disk(self, find: Find) -> bool:
        place = np.array([find.x_px]), np.array([find.y_px])
        return bool(altitude_px(*place, self.limb)[0] <= limb_zone_px(self.limb))

    def _significance(self, spacing: int, objlim: float | None) -> Cut:
        """How far every pixel of ``box`` rises above its surroundings, in units of the local noise.

        The surroundings are the median of 5 x 5 pixels that lie ``spacing`` apart, so edges stay edges; the noise is
        the clipped deviation of what is left, in meshes of 32 pixels, at least the camera's and that of the sky.

        Args:
            spacing: pixels.
            objlim: astroscrappy's, to take radiation hits out before; None leaves them.

        """
        valid = self.frame.valid[self.box]
        image = self._filled() if objlim is None else self._calm(objlim)
        excess = image - spaced_median(image, spacing)
        noise = sep.Background(excess, mask=~valid, bw=MESH_PX, bh=MESH_PX).rms()
        sigmas = excess / np.maximum(noise, self._least_noise(image))
        return Cut(np.where(valid, sigmas, np.float32(0)), self.box[1].start, self.box[0].start)

    def _filled(self) -> Image:
        sky = np.float32(self.levels.sky)
        return np.ascontiguousarray(np.where(self.frame.valid[self.box], self.frame.image[self.box], sky))

    def _least_noise(self, image: Image) -> Image:
        """(h, w): the camera's noise where that is known, at least that of the sky and of rounding."""
        noise = self.frame.noise
        camera = noise.sigma(image) if np.isfinite(noise.read) else np.float32(0)
        return np.maximum(np.full_like(image, max(self.levels.sigma, self._rounding)), camera)

    @cached_property
    def _rounding(self) -> float:
        """Noise of rounding: 0.29 of the smallest step between values, at least a ten-thousandth of their range."""
        values = np.unique(self.frame.image[self.frame.valid])
        return max(0.29 * float(np.diff(values).min()), 1e-4 * float(np.ptp(values))) if values.size > 1 else 1.0

    def _without_hits(self, objlim: float) -> Image:
        """Clean radiation hits out of the picture by L.A.Cosmic (van Dokkum 2001) as astroscrappy does it."""
        image = self._filled()
        _, cleaned = astroscrappy.detect_cosmics(
            image - np.float32(self.levels.sky), inmask=~self.frame.valid[self.box],
            invar=self._least_noise(image) ** 2,
            sigclip=HIT_SIGMAS, objlim=objlim, satlevel=np.inf,
        )  # fmt: skip
        return np.asarray(cleaned + np.float32(self.levels.sky), np.float32)


def _side(centre: float, reach: float, size: int) -> slice:
    start = min(max(0, int(centre - reach)), size)
    return slice(start, max(start, min(size, int(centre + reach) + 1)))


def spaced_median(image: Image, spacing: int) -> Image:
    """Median of 5 x 5 pixels ``spacing`` apart around every pixel of an image (h, w)."""
    out = np.empty_like(image)
    for row in range(min(spacing, image.shape[0])):
        for column in range(min(spacing, image.shape[1])):
            part = np.ascontiguousarray(image[row::spacing, column::spacing])
            out[row::spacing, column::spacing] = cv2.medianBlur(part, 5)
    return out


def disc(kind: str, x: float, y: float, radius: float, cut: Cut) -> Region:
    """Draw the pixels within ``radius`` of a point (x, y) of a cut, at least the nearest one, as a region."""
    height, width = cut.image.shape
    row, column = min(max(round(y), 0), height - 1), min(max(round(x), 0), width - 1)
    reach = int(radius) + 1
    y0, x0 = max(0, row - reach), max(0, column - reach)
    rows, columns = np.mgrid[y0 : min(height, row + reach + 1), x0 : min(width, column + reach + 1)]
    inside = np.hypot(columns - x, rows - y) <= radius
    inside[row - y0, column - x0] = True
    return region_of(kind, inside, x0 + cut.x0, y0 + cut.y0)


def region_of(kind: str, pixels: Bools, x0: int, y0: int) -> Region:
    """Cut a region to its pixels; ``x0, y0`` is the place of the array's first one in the frame."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    tight = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Region(kind, 0.0, int(x0 + columns[0]), int(y0 + rows[0]), np.ascontiguousarray(tight))
