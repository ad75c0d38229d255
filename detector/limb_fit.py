"""The last fit of a limb: a circle to every azimuth's edge by what is expected there, and its honest error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.circle import Circle
from detector.expected import LEAST_LIKENESS, Expected, expected_at, lit_edge, summits, sun_of_disk, sun_of_view
from detector.frame import Frame
from detector.limb_edges import Picture, profiles

Array = NDArray[np.float64]

BLUR_PX = 1.0
PSF_PX = 0.8
STEP_PX = 0.5
SECTORS = 720
ROUNDS = 4
FLOOR_PX = 0.1
"""1-sigma of a well-seen edge point: relief, albedo and the grid of pixels."""
LEAST_SNR = 5.0
BLEED_SIGMA_PX = 1.5
"""1-sigma of how far outwards an overexposed limb is seen: blooming, and wings of the blur at full scale."""
DIM = 0.03
"""Edges whose expected height, of the brightest, is less say where the night side ends, not the lit one."""
TERMINATOR_PX = -0.45
"""An expected edge that far inside the limb is a terminator's: its place depends on the ground."""


@dataclass(frozen=True)
class Precise:
    """A limb circle in pixels of the frame.

    Attributes:
        circle: the circle.
        covariance: (3, 3) of x, y, r, px², from noise and from how the points scatter.
        points: how many edges carry it.
        figured: whether the ellipsoid's outline was known.

    """

    circle: Circle
    covariance: Array
    points: int
    figured: bool


@dataclass(frozen=True)
class _Edges:
    """The steepest fall along each radius where there is one: places (n,) px from the circle, and trust in them."""

    azimuth: Array
    offset: Array
    snr: Array
    full: Array


def precise(picture: Picture, frame: Frame, start: Circle) -> Precise | None:
    """Fit a circle to the limb near ``start`` (all in pixels of the frame; the picture is not binned).

    Each edge is compared with where it is expected: on the ellipsoid's outline as the lens shows it, moved by limb
    darkening and the terminator under the known or the apparent light. Four numbers are solved for: the centre, the
    radius (held by the view), and how far overexposure pushes the limb outwards. None where too few edges stand out or
    it runs away.
    """
    circle, expected, sun = start, Expected(), _sun(picture, frame, start)
    full_scale = _full_scale(picture, frame)
    for turn in range(ROUNDS):
        window = max(*((4.0, 0.015 * circle.r) if turn < ROUNDS // 2 else (3.0, 0.01 * circle.r)))
        seen = _edges(picture, circle, window, full_scale)
        if len(seen.azimuth) < 10:
            return None
        expected = expected_at(frame, circle)
        weight, offset = _weighed(seen, expected, sun, circle, window)
        if (weight > 0).sum() < 10:
            return None
        step, covariance, used = _solved(seen, weight, offset, expected.radius_px - circle.r, expected.radius_sigma_px)
        circle = Circle(circle.x + step[0], circle.y + step[1], circle.r + step[2])
        moved = math.hypot(circle.x - start.x, circle.y - start.y) + abs(circle.r - start.r)
        if not (circle.r > 3 and moved < 3 + 0.1 * start.r):
            return None
    return Precise(circle, covariance, used, bool(np.any(expected.departure_px)))


def _sun(picture: Picture, frame: Frame, circle: Circle) -> Array | None:
    known = sun_of_view(frame.view)
    if known is not None:
        return known
    apparent, likeness = sun_of_disk(picture.linear, circle)
    return apparent if likeness > LEAST_LIKENESS else None


def _full_scale(picture: Picture, frame: Frame) -> float:
    """The level from which pixels count as overexposed, in the picture's sigmas."""
    top = float(np.nanmax(picture.linear))
    if math.isfinite(frame.saturation):
        top = min(top, (frame.saturation - picture.sky) / picture.sigma)
    return 0.97 * top


def _edges(picture: Picture, circle: Circle, window: float, full_scale: float) -> _Edges:
    margin = 3 * BLUR_PX
    offset = np.arange(-window - margin, window + margin + STEP_PX, STEP_PX)
    sectors = int(np.clip(math.pi * circle.r, 48, SECTORS))
    seen = profiles(picture.linear, circle, sectors, offset, 3)
    slope = -ndimage.gaussian_filter1d(seen.values, BLUR_PX / STEP_PX, axis=1, order=1, mode="nearest") / STEP_PX
    sky = slope[:, offset > max(2.0, 0.4 * window)]
    sky = sky[np.isfinite(sky).all(axis=1)]
    noise = 1.4826 * float(np.median(np.abs(sky - np.median(sky, axis=1, keepdims=True)))) if sky.size else 1.0
    within = np.where((np.abs(offset) <= window + STEP_PX / 2) & np.isfinite(slope), slope, -np.inf)
    peak, shift, top = summits(within)
    number = np.arange(len(peak))
    good = np.isfinite(within[number, peak - 1]) & np.isfinite(within[number, peak + 1]) & (top > 0)
    brightest = np.where(offset < 0, np.nan_to_num(seen.values, nan=-np.inf), -np.inf).max(axis=1)
    return _Edges(
        seen.azimuth[good],
        (offset[peak] + shift * STEP_PX)[good],
        (top / max(noise, 1e-3))[good],
        (brightest > full_scale)[good].astype(float),
    )


def _weighed(seen: _Edges, expected: Expected, sun: Array | None, circle: Circle, window: float) -> tuple[Array, Array]:
    """(n,) inverse variance of each edge, 0 for those that say nothing, and (n,) how far it is from where expected."""
    sigma = np.hypot(FLOOR_PX, 1.5 * BLUR_PX / seen.snr)
    weight = np.where(seen.snr > LEAST_SNR, sigma**-2, 0.0)
    offset = seen.offset - expected.departure(seen.azimuth)
    if sun is None:
        return weight, offset
    lit = lit_edge(sun, circle.r, seen.azimuth, math.hypot(PSF_PX, BLUR_PX), window)
    bright = lit.height > DIM
    terminator = np.where(bright, lit.offset_px < TERMINATOR_PX, sun[2] > 0.94)
    weight = np.where(terminator, 0.0, weight)
    return weight, offset - np.where(bright & ~terminator, np.clip(lit.offset_px, -1, 1), 0.0)


def _solved(
    seen: _Edges, weight: Array, offset: Array, radius_error: float, radius_sigma: float
) -> tuple[Array, Array, int]:
    """Step in (x, y, r) and its covariance by Tukey's biweight, and how many edges carry it."""
    design = np.stack([np.cos(seen.azimuth), np.sin(seen.azimuth), np.ones_like(offset), seen.full], axis=-1)
    solution, normal, robust, scatter = np.zeros(4), np.eye(4), weight, 1.0
    prior = np.array([1e-6, 1e-6, radius_sigma**-2 if math.isfinite(radius_error) else 1e-6, BLEED_SIGMA_PX**-2])
    wanted = np.array([0.0, 0.0, radius_error if math.isfinite(radius_error) else 0.0, 0.0])
    for _ in range(8):
        scaled = (offset - design @ solution) * np.sqrt(weight)
        scatter = max(1.0, 1.4826 * float(np.median(np.abs(scaled[weight > 0]))))
        robust = weight * np.clip(1 - (scaled / (4 * scatter)) ** 2, 0, None) ** 2 / scatter**2
        normal = (design * robust[:, None]).T @ design + np.diag(prior)
        solution = np.linalg.solve(normal, (design * robust[:, None]).T @ offset + prior * wanted)
    return solution[:3], np.asarray(np.linalg.inv(normal)[:3, :3], float), int((robust > 0).sum())
