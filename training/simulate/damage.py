"""Damage that any camera may show: columns that glow, and pieces of a picture that never came down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image

Mask = NDArray[np.bool_]

BLOCK_LINES = 8
"""Lines that share a packet where a picture is coded in 8 x 8 blocks."""


def hot_columns(counts: Image, dice: Dice, level: float) -> Image:
    """A copy of ``counts`` (H, W) with the effect ``hot_columns``: bright single columns.

    A column is hot from a defect to the last line read out after it, so that it may begin anywhere and ends at the top
    or at the bottom of the picture, the same end for all.

    Args:
        counts: in the camera's unit.
        dice: decides.
        level: mean excess of a hot column, in the same unit.

    """
    rng = dice.effect("hot_columns", 0.15)
    out = counts.copy()
    if rng is None:
        return out
    height, width = counts.shape
    many = 1 + int(rng.poisson(log_uniform(rng, 0.3, 0.03 * width + 0.5)))
    upwards = rng.random() < 0.5
    for column in rng.integers(0, width, many):
        start = 0 if rng.random() < 0.5 else int(rng.integers(height))
        rows = slice(0, height - start) if upwards else slice(start, height)
        out[rows, column] += np.float32(rng.exponential(level))
    return out


def missing(dice: Dice, shape: tuple[int, int]) -> Mask:
    """(H, W) bool: pixels that came down; effects ``dropped_lines`` and ``margins``. At least one pixel always does."""
    valid = np.ones(shape, bool)
    if (rng := dice.effect("margins", 0.1)) is not None:
        _window(rng, valid)
    if (rng := dice.effect("dropped_lines", 0.12)) is not None:
        _drop(rng, valid)
    return valid if valid.any() else np.ones(shape, bool)


def _window(rng: Rng, valid: Mask) -> None:
    """Leave a window: some or all of the four margins are cut."""
    height, width = valid.shape
    cut = rng.uniform(0.02, 0.35, 4) * (rng.random(4) < 0.6)
    if not cut.any():
        cut[rng.integers(4)] = rng.uniform(0.02, 0.35)
    top, bottom = (max(int(c * height), int(c > 0)) for c in cut[:2])
    left, right = (max(int(c * width), int(c > 0)) for c in cut[2:])
    inside = np.zeros_like(valid)
    inside[top : height - bottom, left : width - right] = True
    valid &= inside


def _drop(rng: Rng, valid: Mask) -> None:
    """Take away single lines, runs of lines, blocks of eight, or the ends of lines."""
    kinds = ("single", "run", "block", "ends")
    for kind in rng.choice(kinds, 1 + int(rng.random() < 0.25), replace=False):
        for _ in range(1 + int(rng.poisson(1.5))):
            rows, start = _lines(rng, str(kind), valid.shape)
            valid[rows, start:] = False


def _lines(rng: Rng, kind: str, shape: tuple[int, int]) -> tuple[slice, int]:
    """Which lines are gone, and from which column on."""
    height, width = shape
    if kind == "block":
        first = BLOCK_LINES * int(rng.integers(-(-height // BLOCK_LINES)))
        # a coded stream that breaks is lost from there to the end of its block
        start = 0 if rng.random() < 0.5 else BLOCK_LINES * int(rng.integers(-(-width // BLOCK_LINES)))
        return slice(first, first + BLOCK_LINES), start
    first = int(rng.integers(height))
    if kind == "single":
        return slice(first, first + 1), 0
    if kind == "ends":
        return slice(first, first + 1), int(rng.integers(width))
    return slice(first, first + max(2, int(log_uniform(rng, 2, 2 + 0.12 * height)))), 0
