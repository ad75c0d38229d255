"""Disks far larger than the strip they are unwrapped to, thinned out to its resolution; and probabilities brought back.

Pixels are left out, not averaged: the unwrapped limb samples points of the frame anyway, noise and the traces of
compression stay what they are elsewhere, and on averaged pictures the network takes such traces for plumes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame
from detector.limb import Limb
from detector.tiles import windows

LARGE_PX = 2_000_000
"""A limb whose surroundings hold more pixels is unwrapped from a thinned frame: the network needs much less memory."""
PLENTY_PX = 400.0
"""The radius to which it is thinned, at least: its circumference is five times as long as the strip is wide."""


def factor_of(frame: Frame, limb: Limb) -> int:
    """Every how many-th row and column the limb is unwrapped from: 1 unless its surroundings are very large."""
    if not limb.trusted:
        return 1
    window = next(windows(frame.shape, limb), None)
    if window is None or (window.x1 - window.x0) * (window.y1 - window.y0) <= LARGE_PX:
        return 1
    return max(1, int(limb.radius_px // PLENTY_PX))


def shrunk(frame: Frame, limb: Limb, factor: int) -> tuple[Frame, Limb]:
    """Frame and limb with every ``factor``-th row and column kept, the middle one of each."""
    kept = slice(factor // 2, None, factor)
    small = replace(frame, image=frame.image[kept, kept], valid=frame.valid[kept, kept])
    x, y = ((centre - factor // 2) / factor for centre in (limb.x_px, limb.y_px))
    return small, replace(limb, x_px=x, y_px=y, radius_px=limb.radius_px / factor)


def enlarged(plane: NDArray[np.float32], factor: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A plane of a thinned frame, every value repeated to the whole ``shape``."""
    nearest = [np.minimum(np.arange(n) // factor, kept - 1) for n, kept in zip(shape, plane.shape, strict=True)]
    return plane[nearest[0]][:, nearest[1]]
