"""Radiation: particles of Jupiter's belts that strike the detector.

Three kinds, each an effect of its own: single pixels and pairs, straight streaks of particles that graze the chip, and
round blobs that look like a hot spot. Their numbers are Poisson, their energies an exponential with a power-law tail.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image

Array = NDArray[np.float64]

TRACKS_PER_HIT = (0.02, 0.6)
CLUSTERS_PER_HIT = (0.004, 0.05)
"""Streaks and blobs for every hit, drawn for each picture: no published numbers, chosen wide."""

TAIL_SHARE, TAIL_INDEX = 0.15, 1.7
"""Share of the hits whose energy follows a power law, and the index of its cumulative distribution."""

NEIGHBOURS = np.array([[0, 0, -1, 1], [-1, 1, 0, 0]])
TRACK_STEP_PX = 0.5
PATCH_PX = 9
CLUSTER_SIGMA_PX = (0.4, 0.9)
"""Blobs of 2 to 12 pixels above a tenth of their peak, 2 ln(10) pi sigma^2."""


def strike(counts: Image, dice: Dice, rate: float, level: float, high: float) -> Image:
    """A copy of ``counts`` (H, W) with the hits, tracks and clusters of one exposure on it.

    Args:
        counts: anything finite, in the camera's unit.
        dice: decides by the effects ``hits``, ``tracks`` and ``clusters``. Over many pictures each has Poisson
            numbers; where one is forced by ``only`` there is at least one of it.
        rate: mean number of hits in 1e5 pixels, >= 0; tracks and clusters come on top, a few per hundred hits.
        level: mean signal of a hit in the pixel struck, before clipping.
        high: no strike lifts a pixel above it; pixels that are above it already stay as they are.

    """
    mean = rate * counts.size / 1e5
    shares = dice.rng("radiation by kind")
    tracks, clusters = log_uniform(shares, *TRACKS_PER_HIT), log_uniform(shares, *CLUSTERS_PER_HIT)
    struck = []
    if (found := some(dice, "hits", mean)) is not None:
        struck.append(_hits(*found, counts.shape, level))
    if (found := some(dice, "tracks", mean * tracks)) is not None:
        struck.append(_tracks(*found, counts.shape, level))
    if (found := some(dice, "clusters", mean * clusters)) is not None:
        struck.append(_clusters(*found, counts.shape, level))
    return _added(counts, struck, high)


def some(dice: Dice, name: str, mean: float) -> tuple[Rng, int] | None:
    """The stream of an effect and how many of it there are, at least 1; None when there is none.

    Shows with the chance 1 - exp(-mean), so that the numbers of many pictures are Poisson about ``mean``.
    """
    rng = dice.effect(name, -math.expm1(-mean))
    if rng is None:
        return None
    # the first arrival of a Poisson process, known to come before `mean`; the rest is Poisson again
    first = -math.log1p(rng.random() * math.expm1(-mean))
    return rng, 1 + int(rng.poisson(max(mean - first, 0.0)))


def energies(rng: Rng, count: int, level: float) -> Array:
    """(count,) signals >= 0 of mean ``level``: most exponential, some of a power law without an upper end."""
    tail = rng.random(count) < TAIL_SHARE
    soft = rng.exponential(0.75 * level, count)
    # the tail's mean makes up what the soft part lacks; a Pareto's mean is index / (index - 1) of its least value
    mean = (1 - 0.75 * (1 - TAIL_SHARE)) / TAIL_SHARE
    hard = level * mean * (TAIL_INDEX - 1) / TAIL_INDEX * (1 - rng.random(count)) ** (-1 / TAIL_INDEX)
    return np.where(tail, hard, soft)


Struck = tuple[NDArray[np.int64], NDArray[np.int64], Array]
"""Rows, columns and signal of the pixels struck; may lie outside the picture, may come twice."""


def _added(counts: Image, struck: list[Struck], high: float) -> Image:
    out = counts.copy()
    if not struck:
        return out
    height, width = counts.shape
    row, column, signal = (np.concatenate(part) for part in zip(*struck, strict=True))
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    flat = out.reshape(-1)
    index = row[inside] * width + column[inside]
    before = flat[index]
    np.add.at(flat, index, signal[inside].astype(np.float32))
    flat[index] = np.maximum(before, np.minimum(flat[index], np.float32(high)))
    return out


def _hits(rng: Rng, count: int, shape: tuple[int, ...], level: float) -> Struck:
    """Single pixels; up to half of them spill over into one neighbour."""
    row, column = rng.integers(0, shape[0], count), rng.integers(0, shape[1], count)
    signal = energies(rng, count, level)
    spilt = rng.random(count) < rng.uniform(0, 0.5)
    step = NEIGHBOURS[:, rng.integers(0, NEIGHBOURS.shape[1], count)]
    share = rng.uniform(0.1, 1, count)
    return (
        np.concatenate([row, (row + step[0])[spilt]]),
        np.concatenate([column, (column + step[1])[spilt]]),
        np.concatenate([signal, (signal * share)[spilt]]),
    )


def _tracks(rng: Rng, count: int, shape: tuple[int, ...], level: float) -> Struck:
    """Straight streaks whose middles lie in the picture, drawn as points half a pixel apart."""
    longest = 0.5 * math.hypot(shape[0], shape[1])
    # lengths above 2 px fall as their square: most are stubs
    length = np.minimum(2 / (1 - rng.random(count)), longest)
    angle = rng.uniform(0, math.pi, count)
    middle = rng.uniform(0, 1, (2, count)) * np.array(shape)[:, None] - 0.5
    # signal in a pixel across: grazing particles leave less in each pixel than one that ends there
    signal = energies(rng, count, level) * rng.uniform(0.2, 1, count)
    slope = np.where(rng.random(count) < 0.5, 0.0, rng.uniform(-1, 1, count))
    points = np.maximum(np.ceil(length / TRACK_STEP_PX).astype(np.int64), 1)
    which = np.repeat(np.arange(count), points)
    along = np.arange(len(which)) - np.repeat(np.cumsum(points) - points, points)
    t = (along + 0.5) / points[which] - 0.5
    across = rng.normal(0, 1, len(which)) * np.repeat(rng.uniform(0, 0.35, count), points)
    row = middle[0, which] + t * (length * np.sin(angle))[which] + across * np.cos(angle)[which]
    column = middle[1, which] + t * (length * np.cos(angle))[which] - across * np.sin(angle)[which]
    grain = rng.gamma(6, 1 / 6, len(which))
    weight = (TRACK_STEP_PX * signal)[which] * (1 + 2 * slope[which] * t) * grain
    return spread(row, column, weight)


def spread(row: Array, column: Array, weight: Array) -> Struck:
    """Points anywhere, shared among the four pixels nearest to each by distance; keeps the sum and the centroid."""
    top, left = np.floor(row), np.floor(column)
    down, right = row - top, column - left
    r, c = top.astype(np.int64), left.astype(np.int64)
    return (
        np.concatenate([r, r, r + 1, r + 1]),
        np.concatenate([c, c + 1, c, c + 1]),
        np.concatenate(
            [weight * w for w in ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)]
        ),
    )


def _clusters(rng: Rng, count: int, shape: tuple[int, ...], level: float) -> Struck:
    """Gaussian blobs of 2 to 12 pixels, a little out of round, whose peak is as bright as a hit."""
    centre = rng.uniform(0, 1, (2, count)) * np.array(shape)[:, None] - 0.5
    sigma = rng.uniform(*CLUSTER_SIGMA_PX, count)
    longer = rng.uniform(1, 1.25, count)
    angle = rng.uniform(0, math.pi, count)
    peak = energies(rng, count, level)
    near = np.round(centre).astype(np.int64)
    step = np.arange(PATCH_PX) - PATCH_PX // 2
    y = (near[0] - centre[0])[:, None, None] + step[None, :, None]
    x = (near[1] - centre[1])[:, None, None] + step[None, None, :]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    u, v = x * cos + y * sin, y * cos - x * sin
    long_px, short_px = sigma * np.sqrt(longer), sigma / np.sqrt(longer)
    blob = np.exp(-0.5 * ((u / long_px[:, None, None]) ** 2 + (v / short_px[:, None, None]) ** 2))
    row = near[0][:, None, None] + step[None, :, None] + np.zeros_like(step)
    column = near[1][:, None, None] + step[None, None, :] + np.zeros_like(step)[:, None]
    signal = peak[:, None, None] * blob
    kept = blob > 0.01
    return row[kept], column[kept], signal[kept]
