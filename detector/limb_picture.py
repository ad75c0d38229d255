"""The picture that the limb is sought in: a frame without radiation hits, its brightness in units of the noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame
from detector.levels import Levels, measure_levels

Image = NDArray[np.float32]

FULL_PX = 4096
"""Larger frames are binned."""


@dataclass(frozen=True)
class Picture:
    """What the search looks at: the frame without radiation hits, binned when very large.

    Attributes:
        linear: (H, W) float32, (value - sky) / sigma; NaN where not valid.
        soft: sigmas up to which the compressed picture, asinh(linear / soft), is nearly linear. Compressed, the limb is
            the largest step, whatever the exposure.
        factor: the frame was binned factor x factor.
        sky, sigma: levels of the binned frame, in its unit.

    """

    linear: Image
    soft: float
    factor: int
    sky: float = 0.0
    sigma: float = 1.0

    @cached_property
    def full(self) -> float:
        """How far the brightest surface rises above the sky, sigmas."""
        few = self.linear[::4, ::4]
        return float(np.nanpercentile(few if np.isfinite(few).any() else self.linear, 99.5))

    @cached_property
    def brightest(self) -> float:
        """The highest value, sigmas."""
        return float(np.nanmax(self.linear))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.linear.shape
        return rows, columns


def picture_of(frame: Frame, largest_px: int = FULL_PX) -> Picture:
    """Prepare the frame as the search looks at it, binned to ``largest_px``; brightness scale and offset fall out."""
    factor = max(1, -(-max(frame.shape) // largest_px))
    pixels = frame.image if frame.valid.all() else np.where(frame.valid, frame.image, np.float32(np.nan))
    binned = bin_mean(pixels, factor)
    levels = measured(binned, frame.levels if factor == 1 else None)
    cleaned = without_hits(binned, levels.sigma) if factor == 1 else binned
    linear = (cleaned - np.float32(levels.sky)) / np.float32(levels.sigma)
    return Picture(linear, softening(levels), factor, levels.sky, levels.sigma)


def measured(image: Image, known: Levels | None = None) -> Levels:
    """Measure the levels; where gaps filled with one value hide the noise, it is that of the other darker pixels."""
    levels = known or measure_levels(image, np.isfinite(image))
    if levels.sigma > 2e-4 * levels.bright:
        return levels
    others = image > np.nanmin(image)
    if others.sum() < 100:
        return levels
    return replace(levels, sigma=max(levels.sigma, measure_levels(image, others).sigma))


def softening(levels: Levels) -> float:
    """Sigmas up to which the compressed picture is linear: noise stays small, and 2 % of the bright surface too."""
    return max(2.0, 0.02 * levels.bright / levels.sigma)


def without_hits(image: Image, sigma: float) -> Image:
    """Hold every pixel that tops (or undercuts) all four neighbours by over 4 sigma to their range.

    Nothing that the camera's blur has passed through does so, the limb of a small disk included.
    """
    around = np.pad(image, 1, mode="edge")
    up, down, left, right = around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]
    low, high = np.minimum(up, down), np.maximum(up, down)
    for beside in (left, right):
        np.minimum(low, beside, out=low)
        np.maximum(high, beside, out=high)
    slack = high - low
    slack *= np.float32(0.3)
    slack += np.float32(4 * sigma)
    held = image.copy()
    np.copyto(held, high, where=image - high > slack)
    np.copyto(held, low, where=low - image > slack)
    return held


def bin_mean(image: Image, factor: int) -> Image:
    """Mean over factor x factor blocks (rest rows and columns dropped); NaN where under half of a block is finite."""
    if factor == 1:
        return image
    rows, columns = (n // factor * factor for n in image.shape)
    blocks = image[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor)
    total = block_sum(blocks)
    gone = np.isnan(total)
    if gone.any():
        part = blocks.transpose(0, 2, 1, 3)[gone]
        count = np.isfinite(part).sum(axis=(1, 2))
        few = 2 * count < factor**2
        total[gone] = np.where(few, np.nan, np.nansum(part, axis=(1, 2)) * (factor**2 / np.maximum(count, 1)))
    return total / np.float32(factor**2)


def block_sum(blocks: Image) -> Image:
    """(R, C) sum of (R, f, C, f) blocks; row sums first, which is several times faster than both axes at once."""
    rows = blocks[:, 0].copy()
    for k in range(1, blocks.shape[1]):
        rows += blocks[:, k]
    return rows.sum(axis=-1)
