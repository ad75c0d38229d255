"""The brightness levels of a whole frame: the one normalisation that training, export and inference share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Levels:
    """Three levels of a frame in its own unit.

    Attributes:
        sky: the dark background (median of the darker part of the frame).
        sigma: 1-sigma pixel-to-pixel noise of that background, always > 0.
        bright: how far the brightest surface rises above ``sky`` (99.5th percentile), always >= sigma.

    """

    sky: float
    sigma: float
    bright: float

    def as_array(self) -> NDArray[np.float32]:
        """(3,) float32: sky, sigma, bright: the form the model takes."""
        return np.array([self.sky, self.sigma, self.bright], dtype=np.float32)


SAMPLES = 40_000
"""Pixels and pairs of neighbours that the levels are measured on: the rest is passed over evenly."""
EDGES = 0.01
"""Share of the neighbours that differ at the edges of a flat picture."""
LEAST_LIT = 30
"""Pixels of a disk on a sky of one value: fewer are outliers."""
REACH = 3.0
"""Sky reaches this many sigmas above its middle."""


def measure_levels(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> Levels:
    """Measure the levels of a frame on its valid pixels, whole, never per tile.

    The dark part of the frame begins as its lower half, or what lies below a quarter of its range, and grows until it
    holds all that is within 3 sigmas of its median: on Gaussian sky, alone or beside a disk, both numbers are then
    right to a few per cent. The noise is 1.4826 x the median absolute difference of horizontal neighbours / sqrt(2)
    inside that part, so a gradient or a textured disk does not swell it. It is at least 0.29 of the smallest step
    between values (the rounding noise of integers) and at least 1e-4 of the frame's range.

    Args:
        image: (H, W) float32, any unit.
        valid: (H, W) bool; a frame without a valid pixel gets (0, 1, 1).

    """
    seen = image[valid]
    if seen.size == 0:
        return Levels(0.0, 1.0, 1.0)
    thinned = seen[:: max(1, seen.size // SAMPLES)]
    low, middle, high = np.percentile(thinned, [1, 50, 99.5]).astype(float)
    if high <= low:  # a small disk on a sky of one value
        lit = seen[seen > low]
        high = float(np.percentile(lit, 99.5)) if lit.size >= LEAST_LIT else high
    upper, steps = _neighbours(image, valid)
    jumps = steps[steps > 0]
    if jumps.size < EDGES * steps.size and jumps.size and jumps.min() > 0.25 * (high - low):
        jumps = jumps[:0]  # edges and outliers on flat ground, not rounding
    least = max(0.29 * float(jumps.min()) if jumps.size else 0.0, 1e-4 * (high - low), 1e-12)
    cut = min(middle, low + 0.25 * (high - low))
    for _ in range(8):
        dark, within = thinned[thinned <= cut], steps[upper <= cut]
        sky = float(np.median(dark)) if dark.size else low
        noise = 1.4826 * float(np.median(within)) / np.sqrt(2) if within.size else 0.0
        sigma = max(noise, least)
        if sky + REACH * sigma <= cut:
            break
        cut = sky + REACH * sigma
    return Levels(sky, sigma, max(high - sky, sigma))


def _neighbours(
    image: NDArray[np.float32], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The larger of two horizontal neighbours, and how far they differ, on evenly chosen rows."""
    every = max(1, image.size // SAMPLES)
    left, right = image[::every, :-1], image[::every, 1:]
    both = valid[::every, :-1] & valid[::every, 1:]
    return np.maximum(left, right)[both], np.abs(right - left)[both]
