"""Proposed circles moved to the nearest limb, all at once, and a first look at how much of a limb each has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.circle import Circle
from detector.expected import summits
from detector.limb_edges import Picture

Array = NDArray[np.float64]

PASSES = ((0.08, 3.0, True), (0.028, 2.5, True))
"""Share of the radius and least px searched to either side, and whether on the compressed picture: there the limb is
the steepest fall, but up to two pixels too far out, in the wings of the camera's blur."""
SECTORS = 72
ROUNDS = 6
FLOOR_PX = 0.05
LEAST_EDGES = 12
SIGNIFICANT = 5.0


@dataclass(frozen=True)
class Settled:
    """A proposal that came to rest.

    Attributes:
        circle: in pixels of the working picture.
        arc_deg: azimuths bright inside and dark outside, roughly, 0..360.

    """

    circle: Circle
    arc_deg: float

    @property
    def promise(self) -> float:
        """What it is worth a closer look, larger is better: Io is seldom the smaller disk."""
        return self.arc_deg * self.circle.r**0.5


def settle(picture: Picture, starts: list[Circle], known: list[tuple[float, float]]) -> list[Settled]:
    """Move proposals to the nearest circles of steep falls, roughly; those that run away are left out.

    Args:
        picture: the working picture.
        starts: circles near limbs.
        known: for each the radius known from elsewhere and its 1-sigma, px; NaN and inf where it is not known.

    """
    circles = np.array([(c.x, c.y, c.r) for c in starts]).reshape(-1, 3)
    prior = np.array(known, float).reshape(-1, 2)
    for share, least_px, compressed in PASSES:
        if not len(circles):
            return []
        window = np.maximum(least_px, share * circles[:, 2])
        moved = _fitted(picture, circles, window, prior, compressed)
        apart = np.hypot(*(moved - circles)[:, :2].T) + np.abs(moved - circles)[:, 2]
        kept = (moved[:, 2] > 3) & (apart < 2.5 * window + 2 + 0.1 * circles[:, 2])
        kept[kept] = _first_of_alike(moved[kept])
        circles, prior = moved[kept], prior[kept]
    arcs = _arcs(picture, circles) if len(circles) else np.zeros(0)
    found = [Settled(Circle(*map(float, c)), float(arc)) for c, arc in zip(circles, arcs, strict=True)]
    return sorted(found, key=lambda s: -s.promise)


def _first_of_alike(circles: Array) -> NDArray[np.bool_]:
    """(c,) whether no circle before it is the same to 1 % of the radius or half a pixel."""
    apart = np.hypot(*(circles[:, None, :2] - circles[None, :, :2]).transpose(2, 0, 1))
    apart += np.abs(circles[:, None, 2] - circles[None, :, 2])
    alike = apart < np.maximum(0.5, 0.01 * np.minimum(circles[:, None, 2], circles[None, :, 2]))
    return ~np.tril(alike, -1).any(axis=1)


def _azimuths(shape: tuple[int, int], circles: Array, margin: Array) -> tuple[Array, Array]:
    """(c, SECTORS) azimuths spread over the part of each circle within the widened frame, and (c,) its share."""
    fine = np.radians(np.arange(0.0, 360.0, 0.5))
    x = circles[:, :1] + circles[:, 2:] * np.cos(fine)
    y = circles[:, 1:2] + circles[:, 2:] * np.sin(fine)
    edge = margin[:, None]
    seen = (x > -edge) & (x < shape[1] + edge) & (y > -edge) & (y < shape[0] + edge)
    count = seen.sum(axis=1)
    place = (np.arange(SECTORS) + 0.5) / SECTORS * count[:, None]
    order = np.cumsum(seen, axis=1)
    nth = np.stack([np.searchsorted(row, p, side="right") for row, p in zip(order, place, strict=True)])
    return fine[np.minimum(nth, len(fine) - 1)], count / len(fine)


def _sampled(picture: Picture, circles: Array, azimuth: Array, offset: Array) -> NDArray[np.float32]:
    """(c, S, M) brightness along radii; NaN beyond the frame and on pixels that are not valid."""
    reach = circles[:, 2, None, None] + offset[:, None, :]
    y = circles[:, 1, None, None] + np.sin(azimuth)[:, :, None] * reach
    x = circles[:, 0, None, None] + np.cos(azimuth)[:, :, None] * reach
    values = ndimage.map_coordinates(picture.linear, [y, x], order=1, mode="constant", cval=np.nan, output=np.float32)
    return np.where(reach < 0, np.float32(np.nan), values)


def _fitted(picture: Picture, circles: Array, window: Array, prior: Array, compressed: bool) -> Array:
    """(c, 3) circles fitted to the steepest falls within ``window`` px; radius 0 where too few are seen."""
    blur = np.maximum(1.0, window / 10)
    half = int(np.ceil(2 * (window / blur).max())) + 5
    grid = np.arange(-half, half + 1.0)
    offset = grid * 0.5 * blur[:, None]
    azimuth, _ = _azimuths(picture.shape, circles, window + 3 * blur)
    values = _sampled(picture, circles, azimuth, offset)
    values = picture.compress(values) if compressed else values
    slope = -ndimage.gaussian_filter1d(values, 2.0, axis=2, order=1, mode="nearest")
    beyond = np.abs(offset) > (window + 0.5 * blur)[:, None]
    slope = np.where(beyond[:, None, :] | np.isnan(slope), -np.inf, slope)
    peak, shift, top = (part.reshape(azimuth.shape) for part in summits(slope.reshape(-1, len(grid))))
    good = (top > 0) & (np.abs(shift) < 0.5)  # else its neighbour is steeper, or out of the window
    reach = circles[:, 2:] + (peak - half + shift) * 0.5 * blur[:, None]
    fall = np.where(good, top, 0.0) / blur[:, None]
    typical = np.array([np.percentile(f[g], 80) if g.any() else 1.0 for f, g in zip(fall, good, strict=True)])
    weights = np.clip(fall / typical[:, None], 0, 1) ** 2
    points = circles[:, None, :2] + reach[..., None] * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1)
    fitted = _robust(points, weights, circles, prior)
    fitted[good.sum(axis=1) < LEAST_EDGES, 2] = 0.0
    return fitted


def _robust(points: Array, weights: Array, start: Array, prior: Array) -> Array:
    """(c, 3) circles through (c, n, 2) points by Tukey's biweight, its scale falling with the scatter."""
    circles = start.copy()
    known = np.isfinite(prior[:, 0])
    pull = np.where(known, np.where(known, prior[:, 1], 1.0) ** -2.0, 0.0)
    for _ in range(ROUNDS):
        toward = points - circles[:, None, :2]
        distance = np.hypot(toward[..., 0], toward[..., 1]) + 1e-9
        off = distance - circles[:, 2:]
        scatter = np.maximum(FLOOR_PX, 1.4826 * _weighted_medians(np.abs(off), weights))[:, None]
        robust = weights * np.clip(1 - (off / (4.0 * scatter)) ** 2, 0, None) ** 2 / scatter**2
        design = np.concatenate([toward / distance[..., None], np.ones((*off.shape, 1))], axis=-1)
        weighted = design * robust[..., None]
        normal = np.swapaxes(weighted, 1, 2) @ design
        right = (weighted * off[..., None]).sum(axis=1)
        normal[:, 2, 2] += pull
        right[:, 2] += pull * np.where(known, prior[:, 0] - circles[:, 2], 0.0)
        ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2) + 1e-12
        step = np.linalg.solve(normal + ridge[:, None, None] * np.eye(3), right[..., None])[..., 0]
        circles = circles + np.where((circles[:, 2:] > 0), step, 0.0)
    return circles


def _weighted_medians(values: Array, weights: Array) -> Array:
    """(c,) value of each row with half of the weight below it."""
    order = np.argsort(values, axis=1)
    mass = np.cumsum(np.take_along_axis(weights, order, 1), axis=1)
    half = (mass < 0.5 * mass[:, -1:]).sum(axis=1, keepdims=True)
    return np.take_along_axis(np.take_along_axis(values, order, 1), np.minimum(half, values.shape[1] - 1), 1)[:, 0]


def _arcs(picture: Picture, circles: Array) -> Array:
    """(c,) degrees of each circle with a step from bright inside to one dark level outside."""
    gap = np.maximum(1.5, 0.008 * circles[:, 2:])
    depth = np.clip(0.06 * circles[:, 2:], 2.0, 20.0)
    along = np.array([0.0, 1 / 3, 2 / 3, 1.0])
    offset = np.concatenate([-gap - depth * along[::-1], gap + depth * along], axis=1)
    azimuth, share = _azimuths(picture.shape, circles, np.zeros(len(circles)))
    seen = _sampled(picture, circles, azimuth, offset)
    inside, outside = seen[..., :4].mean(axis=2), seen[..., 4:].mean(axis=2)
    rise = inside - outside
    area = 2 * np.pi * circles[:, 2] * share / SECTORS * depth[:, 0]
    noise = np.sqrt(2.0 / np.clip(area, 1.0, 4.0))[:, None]
    arcs = np.zeros(len(circles))
    for k, significant in enumerate(rise > SIGNIFICANT * noise):
        if significant.any():
            sky = np.percentile(outside[k, significant], 30)
            step = np.median(rise[k, significant])
            dark = significant & (outside[k] < sky + 0.5 * np.maximum(step, rise[k]))
            arcs[k] = dark.mean() * share[k] * 360
    return arcs
