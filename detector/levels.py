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


def measure_levels(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> Levels:
    """Measure the levels of a frame on its valid pixels, whole, never per tile.

    The noise is 1.4826 x the median absolute difference of horizontal neighbours / sqrt(2), taken among the darker
    pixels, so a gradient or a textured disk does not swell it. It is at least 0.29 of the smallest step between
    values (the rounding noise of integers) and at least 1e-4 of the frame's range.

    On Gaussian sky the darker pixels are its lower tail, so both numbers are biased, always alike: with nothing but sky
    ``sky`` lies 1.5 true sigmas too low and ``sigma`` is 0.37 of the true one; with a bright disk on a quarter of the
    frame, 0.43 too low and 0.65. :mod:`detector.measure` measures the sky's noise anew.

    Args:
        image: (H, W) float32, any unit.
        valid: (H, W) bool; a frame without a valid pixel gets (0, 1, 1).

    """
    seen = image[valid]
    if seen.size == 0:
        return Levels(0.0, 1.0, 1.0)
    thinned = seen[:: max(1, seen.size // 100_000)]
    low, middle, high = np.percentile(thinned, [1, 50, 99.5]).astype(float)
    cut = min(middle, low + 0.25 * (high - low))
    dark = thinned[thinned <= cut]
    sky = float(np.median(dark)) if dark.size else low

    both = valid[:, 1:] & valid[:, :-1] & (image[:, 1:] <= cut) & (image[:, :-1] <= cut)
    steps = np.abs(image[:, 1:] - image[:, :-1])[both]
    noise = 1.4826 * float(np.median(steps)) / np.sqrt(2) if steps.size else 0.0
    jumps = steps[steps > 0]
    rounding = 0.29 * float(jumps.min()) if jumps.size else 0.0
    sigma = max(noise, rounding, 1e-4 * (high - low), 1e-12)
    return Levels(sky, sigma, max(high - sky, sigma))
