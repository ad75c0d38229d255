"""A frame with everything that its regions are measured against: noise, levels, background, geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.frame import CLASSES, IO_RADIUS_KM, Frame
from detector.geometry import Pointing
from detector.levels import Levels
from detector.limb import Limb
from detector.pointing import geometry_of
from detector.regions import EVERY_NEIGHBOUR, Region, altitude_px, labels_of

SURROUNDINGS_PX = (6, 40)
"""The background is taken from a margin as wide as the region itself, within these limits."""
ENOUGH = 5
"""A background needs at least this many free pixels; with fewer the frame's sky level stands in."""
SKY_SIGMAS, SKY_ROUNDS = 6.0, 4
"""Pixels within so many sigmas of the sky's level are sky, sought anew in so many rounds."""
TO_SIGMA = 1.4826
"""1-sigma of a normal distribution over its median absolute deviation."""

Floats = NDArray[np.float64]
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Scene:
    """A frame with everything that every one of its regions is measured against.

    Attributes:
        frame, limb: as found.
        pointing: the frame's geometry; its source is ``none`` where there is none.
        levels: of the whole frame.
        sky_sigma: 1-sigma noise of a pixel of the sky.
        free: (H, W) bool, pixels that may serve as background: observed, and not beside any region.
        labels: (2, H, W) int32 of the regions (:func:`detector.regions.labels_of`).

    """

    frame: Frame
    limb: Limb
    pointing: Pointing
    levels: Levels
    sky_sigma: float
    free: NDArray[np.bool_]
    labels: NDArray[np.int32]

    @classmethod
    def of(cls, frame: Frame, limb: Limb, regions: Sequence[Region], pointing: Pointing | None = None) -> Scene:
        """Return the scene of a frame in which these regions were found; its geometry is sought where not given."""
        labels = labels_of(regions, frame.shape)
        taken = labels.any(axis=0)
        if regions:
            taken = ndimage.binary_dilation(taken, EVERY_NEIGHBOUR)
        levels = frame.levels
        pointing = geometry_of(frame, limb) if pointing is None else pointing
        return cls(frame, limb, pointing, levels, _sky_sigma(frame, levels), frame.valid & ~taken, labels)

    @property
    def km_per_px(self) -> float:
        """Scale at the limb from its own radius; NaN without a trusted limb, or when the target is another body."""
        return IO_RADIUS_KM / self.limb.radius_px if self.limb.trusted and self.frame.may_show_io else math.nan

    def taken(self, kind: str) -> NDArray[np.bool_]:
        """(H, W) bool: pixels of any region of a class."""
        return np.asarray(self.labels[CLASSES.index(kind)] > 0)

    @property
    def limb_sigma_px(self) -> float:
        """1-sigma of the limb's place; 0 where it is not known."""
        return self.limb.sigma_px if math.isfinite(self.limb.sigma_px) else 0.0

    def sigma(self, value: float) -> float:
        """1-sigma noise of a pixel of this value: the camera's where it is known, never less than the sky's."""
        signal = np.array(value - self.levels.sky, np.float32)
        camera = float(self.frame.noise.sigma(signal)) if math.isfinite(self.frame.noise.read) else 0.0
        return max(self.sky_sigma, camera)


def surroundings(region: Region, shape: tuple[int, int]) -> Box:
    """Return the box from which a region's background is taken."""
    low, high = SURROUNDINGS_PX
    return region.grown_box(int(np.clip(max(region.pixels.shape), low, high)), shape)


def excess_above_background(scene: Scene, region: Region) -> Floats:
    """Return the signal above the local background, in the frame's unit, over the region's box grown by one pixel.

    Beside a trusted limb a plume is compared with its neighbours at the same altitude, in steps of a pixel; everything
    else with the median of its surroundings. It is 0 where the frame is not valid.
    """
    wide, close = surroundings(region, scene.frame.shape), region.grown_box(1, scene.frame.shape)
    image, free = scene.frame.image[wide].astype(float), scene.free[wide]
    by_altitude = region.kind == "plume" and scene.limb.trusted
    background = _altitude_median(scene, wide, image, free) if by_altitude else _median(scene, image, free)
    excess = np.where(scene.frame.valid[wide], image - background, 0.0)
    rows, columns = (slice(c.start - w.start, c.stop - w.start) for c, w in zip(close, wide, strict=True))
    return excess[rows, columns]


def grid(box: Box) -> tuple[Floats, Floats]:
    """(h, w) x and (h, w) y of the pixel centres of a box of the frame."""
    y, x = np.mgrid[box].astype(float)
    return x, y


def _sky_sigma(frame: Frame, levels: Levels) -> float:
    """Noise of the sky from differences of horizontal neighbours.

    ``levels.sigma`` looks at the darker part of the sky only, which is narrower than the whole; from there the sky's
    level and noise are sought again among all pixels near it. Never less than ``levels.sigma``, which knows rounding.
    """
    thin = max(1, frame.image.size // 200_000)
    image, valid = frame.image[::thin], frame.valid[::thin]
    level, sigma = levels.sky, float(levels.sigma)
    for _ in range(SKY_ROUNDS):
        sky = valid & (np.abs(image - level) <= SKY_SIGMAS * sigma)
        steps = np.diff(image, axis=1)[sky[:, 1:] & sky[:, :-1]]
        if steps.size < ENOUGH:
            break
        level = float(np.median(image[sky]))
        sigma = max(TO_SIGMA * float(np.median(np.abs(steps))) / math.sqrt(2.0), float(levels.sigma))
    return sigma


def _median(scene: Scene, image: Floats, free: NDArray[np.bool_]) -> float:
    return float(np.median(image[free])) if free.sum() >= ENOUGH else scene.levels.sky


def _altitude_median(scene: Scene, box: Box, image: Floats, free: NDArray[np.bool_]) -> Floats:
    """Median of the free pixels at the same altitude, over the box; the sky's level where too few are free."""
    altitude = np.rint(altitude_px(*grid(box), scene.limb)).astype(int)
    step = altitude - altitude.min()
    steps = np.arange(step.max() + 1)
    medians = np.full(steps.size, scene.levels.sky)
    enough = np.bincount(step[free], minlength=steps.size) >= ENOUGH
    if enough.any():
        medians[enough] = ndimage.median(image, np.where(free, step, -1), steps[enough])
    return medians[step]
