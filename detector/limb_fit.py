"""The last fit of a limb: a circle to every azimuth's edge by what is expected there, and its honest error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.circle import Circle
from detector.expected import (
    EXPOSURES,
    LEAST_LIKENESS,
    Expected,
    LitLimb,
    expected_at,
    log_exposure,
    refined_sun,
    summits,
    sun_of_disk,
    sun_of_view,
)
from detector.frame import Frame
from detector.limb_edges import Picture, profiles

Array = NDArray[np.float64]

BLUR_PX = 1.0
PSF_PX = {"galileo_ssi": 0.75, "jiram": 0.75, "lorri": 0.75}
OTHER_PSF_PX = 1.0
"""1-sigma blur of a picture as it is sampled here: the camera's, and 0.4 px of the pixels and of interpolation."""
STEP_PX = 0.5
SECTORS = 720
ROUNDS = 4
TURNS = 8
SETTLED_PX = 0.02
"""Rounds end when the last one moved the circle by less."""
WINDOW_PX = 4.0
SKY_FROM = 0.8
"""The sky's noise is measured beyond so much of the window: overexposed limbs reach far."""
UNQUIET, UNQUIET_SHARE = 3.0, 0.02
"""The sky's noise is no more than this, sigmas and share of the full scale a px: else it is charge that ran out."""
FEWEST = 10
FLOOR_PX = 0.1
"""1-sigma of a well-seen edge point: relief, albedo and the grid of pixels."""
ALIKE_DEG = 7.0
"""Edges so close to one another stray alike: all of them count as one, but for their noise."""
GRAZING_PX = 0.4
APPARENT_GRAZING_PX = 0.2
"""1-sigma of an edge times the sine of the Sun's height there: laws of scattering differ most where light grazes, and
the apparent light is off by some degrees."""
LEAST_STEEP = 0.2
LEAST_SNR = 5.0
BLEED_SIGMA_PX = 1.5
"""1-sigma of how far outwards an overexposed limb is seen where the light is not known."""
PUSH_SIGMA_PX = 0.3
"""1-sigma of what the known light leaves of that: blurs differ."""
BLOOM_SIGMA_PX = 0.3
"""1-sigma of how much farther it is seen along the columns: charge that runs, and smear."""
BLOOMING = ("sru",)
"""Cameras whose charge runs far; where ``MOSTLY_FULL`` of the edge is full, a wider window is searched."""
FAR_BLOOM_SIGMA_PX = 4.0
MOSTLY_FULL = 0.3
FAR_WINDOW_SHARE, FAR_WINDOW_PX = 0.1, 16.0
FIGURE_SHARE = 0.002
"""1-sigma of how much longer than the other one an axis of the outline is, where Io's orientation is not known, over
its diameter: 1829, 1819 and 1816 km are turned any way."""
RATE_SIGMA_PX = 0.2
"""1-sigma of the rows by which framelets drift from each to the next: the spin is not quite 2 rpm."""
JOG_SIGMA_PX = 0.1
"""1-sigma of a framelet's own place, rows and columns."""
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


@dataclass(frozen=True)
class _Light:
    """How a limb is lit, and what that says of where its edges are seen.

    Attributes:
        sun: (3,) as ``expected.sun_of_view``.
        limb: its edges.
        grazing_px: 1-sigma of where an edge is seen, times the sine of the Sun's height there.
        exposure: logarithm of the brightness over the full scale, by how much of the disk is full, and its 1-sigma.

    """

    sun: Array
    limb: LitLimb
    exposure: tuple[float, float]
    grazing_px: float

    @classmethod
    def of(cls, picture: Picture, frame: Frame, circle: Circle, window: float, full_scale: float) -> _Light | None:
        """The light that the view or the picture itself tells; None where neither does."""
        sun = _sun(picture, frame, circle)
        if sun is None:
            return None
        psf = PSF_PX.get(frame.instrument, OTHER_PSF_PX)
        limb = LitLimb(sun, circle.r, (psf, BLUR_PX), window)
        exposure = log_exposure(picture.linear, circle, sun, full_scale)
        grazing = GRAZING_PX if sun_of_view(frame.view) is not None else APPARENT_GRAZING_PX
        return cls(sun, limb, exposure, grazing)


@dataclass(frozen=True)
class _Problem:
    """What is to be fitted to edges (n,).

    Attributes:
        azimuth: of the edges, radians.
        offset: how far outside the expected edge of the circle they lie, px, but for overexposure's push.
        weight: inverse variances; 0 for those that say nothing.
        alike: (n,) how many edges count as one.
        full: 1. for edges of overexposed ground.
        nuisance: (n, k) what else moves the edges outwards, for each pixel of its cause.
        nuisance_sigma: (k,) 1-sigma of the causes, px.
        radius: how much larger than the circle the view has it, px, and 1-sigma of that; NaN and inf where unknown.

    """

    azimuth: Array
    offset: Array
    weight: Array
    alike: Array
    full: Array
    nuisance: Array
    nuisance_sigma: Array
    radius: tuple[float, float]


def precise(picture: Picture, frame: Frame, start: Circle) -> Precise | None:
    """Fit a circle to the limb near ``start`` (all in pixels of the frame; the picture is not binned).

    Each edge is compared with where it is expected: on the ellipsoid's outline as the lens shows it, moved by limb
    darkening and the terminator under the known or the apparent light. Solved for are the centre, the radius (held by
    the view), how far overexposure pushes the limb outwards, and how the framelets of a mosaic are off their places.
    None where too few edges stand out or it runs away.
    """
    full_scale = _full_scale(picture, frame)
    window = max(WINDOW_PX, 0.015 * start.r)
    light = _Light.of(picture, frame, start, window, full_scale)
    circle, solved, expected = start, _Solved(np.zeros(3), np.eye(3), 0), Expected()
    for _ in range(ROUNDS):
        seen = _edges(picture, circle, window, full_scale)
        if len(seen.azimuth) < FEWEST:
            return None
        if frame.instrument in BLOOMING and seen.full.mean() > MOSTLY_FULL:
            window = float(np.clip(FAR_WINDOW_SHARE * start.r, window, FAR_WINDOW_PX))
            seen = _edges(picture, circle, window, full_scale)
        expected = expected_at(frame, circle)
        blooms = frame.instrument in BLOOMING
        problem = _problem(seen, expected, light, circle, blooms)
        if (problem.weight > 0).sum() < FEWEST:
            return None
        solved = _solved(problem, light)
        circle = Circle(circle.x + solved.step[0], circle.y + solved.step[1], circle.r + solved.step[2])
        if max(map(abs, solved.step)) < SETTLED_PX:
            break
        moved = math.hypot(circle.x - start.x, circle.y - start.y) + abs(circle.r - start.r)
        if not (circle.r > 3 and moved < 3 + 0.1 * start.r):
            return None
    return Precise(circle, solved.covariance, solved.points, bool(np.any(expected.departure_px)))


def _sun(picture: Picture, frame: Frame, circle: Circle) -> Array | None:
    known = sun_of_view(frame.view)
    if known is not None:
        return known
    apparent, likeness = sun_of_disk(picture.linear, circle)
    if apparent is None or likeness < LEAST_LIKENESS:
        return None
    return refined_sun(picture.linear, circle, apparent)


def _full_scale(picture: Picture, frame: Frame) -> float:
    """The level from which pixels count as overexposed, in the picture's sigmas."""
    top = float(np.nanmax(picture.linear))
    if math.isfinite(frame.saturation):
        top = min(top, (frame.saturation - picture.sky) / picture.sigma)
    return 0.97 * top


def _edges(picture: Picture, circle: Circle, window: float, full_scale: float) -> _Edges:
    margin = 3 * BLUR_PX
    offset = np.arange(-window - margin, window + margin + STEP_PX, STEP_PX)
    seen = profiles(picture.linear, circle, _sectors(circle), offset, 3)
    slope = -ndimage.gaussian_filter1d(seen.values, BLUR_PX / STEP_PX, axis=1, order=1, mode="nearest") / STEP_PX
    sky = slope[:, offset > SKY_FROM * window]
    sky = sky[np.isfinite(sky).all(axis=1)]
    noise = 1.4826 * float(np.median(np.abs(sky - np.median(sky, axis=1, keepdims=True)))) if sky.size else 1.0
    noise = min(noise, max(UNQUIET, UNQUIET_SHARE * full_scale))
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


def _sectors(circle: Circle) -> int:
    """Radii along which edges are sought."""
    return int(np.clip(math.pi * circle.r, 48, SECTORS))


def _problem(seen: _Edges, expected: Expected, light: _Light | None, circle: Circle, blooms: bool) -> _Problem:
    weight, offset = _weighed(seen, expected, light, circle.r)
    near = max(ALIKE_DEG / 360 * _sectors(circle), 1.0)
    noise = np.minimum((1.5 * BLUR_PX / seen.snr) ** 2 * weight, 1.0)
    nuisance, sigma = _nuisance(seen, expected, circle, light is not None, blooms)
    radius = expected.radius_px - circle.r, expected.radius_sigma_px
    return _Problem(seen.azimuth, offset, weight, noise + (1 - noise) * near, seen.full, nuisance, sigma, radius)


def _weighed(seen: _Edges, expected: Expected, light: _Light | None, radius_px: float) -> tuple[Array, Array]:
    """(n,) inverse variance of each edge, 0 for those that say nothing, and (n,) how far it is from where expected."""
    sigma = np.hypot(FLOOR_PX, 1.5 * BLUR_PX / seen.snr)
    good = seen.snr > LEAST_SNR
    offset = seen.offset - expected.departure(seen.azimuth)
    if light is None:
        return np.where(good, sigma**-2, 0.0), offset
    lit = light.limb.at(seen.azimuth)
    bright = lit.height > DIM
    terminator = np.where(bright, lit.offset_px < TERMINATOR_PX, light.sun[2] > 0.94)
    side = np.cos(seen.azimuth) * light.sun[0] + np.sin(seen.azimuth) * light.sun[1]
    steep = side / math.sqrt(2 * BLUR_PX / radius_px) + light.sun[2]
    grazing = np.where(bright, light.grazing_px / np.maximum(steep, LEAST_STEEP), 0.0)
    shift = np.where(bright & ~terminator & (seen.full == 0), np.clip(lit.offset_px, -1, 1), 0.0)
    return np.where(good & ~terminator, 1 / (sigma**2 + grazing**2), 0.0), offset - shift


def _nuisance(seen: _Edges, expected: Expected, circle: Circle, lit: bool, blooms: bool) -> tuple[Array, Array]:
    """(n, k) what else moves edges outwards, each by one pixel of its cause, and (k,) 1-sigma of the causes, px.

    What is left of overexposure's push, and charge that runs along the columns; and, on a mosaic, each framelet's place
    off the others': the spin rate's error, and a little of its own along and across the lines. Of these only what no
    circle can follow is left, so that the circle stays the one closest to the whole outline.
    """
    columns = [seen.full, seen.full * np.abs(np.sin(seen.azimuth))]
    sigmas = [PUSH_SIGMA_PX if lit else BLEED_SIGMA_PX, FAR_BLOOM_SIGMA_PX if blooms else BLOOM_SIGMA_PX]
    if not expected.oriented:
        columns += [np.cos(2 * seen.azimuth), np.sin(2 * seen.azimuth)]
        sigmas += [FIGURE_SHARE * circle.r] * 2
    if expected.framelet is not None:
        for here, outline, sigma in _jogs(seen.azimuth, expected):
            follows, *_ = np.linalg.lstsq(_circle_design(expected.azimuth), outline, rcond=None)
            columns.append(here - _circle_design(seen.azimuth) @ follows)
            sigmas.append(sigma)
    return np.stack(columns, axis=-1), np.array(sigmas)


def _jogs(azimuth: Array, expected: Expected) -> Iterator[tuple[Array, Array, float]]:
    """How framelets off their places move a limb outwards: (n,) at azimuths, (m,) all round, and 1-sigma, px."""
    here, outline = expected.framelet_at(azimuth), expected.framelet_at(expected.azimuth)
    yield np.sin(azimuth) * here, np.sin(expected.azimuth) * outline, RATE_SIGMA_PX
    for k in np.unique(outline[outline != 0]):
        for side in (np.cos, np.sin):
            yield side(azimuth) * (here == k), side(expected.azimuth) * (outline == k), JOG_SIGMA_PX


def _circle_design(azimuth: Array) -> Array:
    """(n, 3) how far a circle moves outwards at azimuths for x, y and r."""
    return np.stack([np.cos(azimuth), np.sin(azimuth), np.ones_like(azimuth)], axis=-1)


@dataclass(frozen=True)
class _Push:
    """(m, n) how far overexposure pushes edges outwards at the logarithms (m,) of ``EXPOSURES``, px."""

    logarithms: Array
    push: Array

    @classmethod
    def of(cls, problem: _Problem, light: _Light | None) -> _Push:
        """The push of edges on overexposed ground; none where the light is not known."""
        logarithms, push = np.log(EXPOSURES), np.zeros((len(EXPOSURES), len(problem.azimuth)))
        full = problem.full > 0
        if light and full.any():
            push[:, full] = light.limb.overexposed(problem.azimuth[full])
        return cls(logarithms, push)

    def at(self, exposure: float) -> tuple[Array, Array]:
        """(n,) the push at an exposure's logarithm, and how it grows with that."""
        k = int(np.clip(np.searchsorted(self.logarithms, exposure) - 1, 0, len(self.logarithms) - 2))
        slope = (self.push[k + 1] - self.push[k]) / (self.logarithms[k + 1] - self.logarithms[k])
        return self.push[k] + slope * (exposure - self.logarithms[k]), slope


@dataclass(frozen=True)
class _Solved:
    """Step in (x, y, r), its covariance, and how many edges carry it."""

    step: Array
    covariance: Array
    points: int


def _solved(problem: _Problem, light: _Light | None) -> _Solved:
    """Solve by Tukey's biweight and, for the exposure, Newton's method."""
    fixed = np.concatenate([_circle_design(problem.azimuth), problem.nuisance], axis=1)
    guess, guess_sigma = light.exposure if light else (0.0, 1.0)
    known = math.isfinite(problem.radius[0])
    sigma = np.concatenate([[1e3, 1e3, problem.radius[1] if known else 1e3], problem.nuisance_sigma, [guess_sigma]])
    wanted = np.zeros(len(sigma))
    wanted[2], wanted[-1] = problem.radius[0] if known else 0.0, guess
    solution, exposure, weight = np.zeros(len(sigma)), guess, problem.weight
    solution[-1] = guess
    push = _Push.of(problem, light)
    for _ in range(TURNS):
        pushed, slope = push.at(exposure)
        design = np.concatenate([fixed, slope[:, None]], axis=1)
        target = problem.offset - pushed + slope * exposure
        scaled = (target - design @ solution) * np.sqrt(problem.weight)
        scatter = max(1.0, 1.4826 * float(np.median(np.abs(scaled[weight > 0]))))
        robust = problem.weight * np.clip(1 - (scaled / (4 * scatter)) ** 2, 0, None) ** 2 / scatter**2
        counted = (robust / problem.alike)[:, None]
        normal = (design * counted).T @ design + np.diag(sigma**-2)
        solution = np.linalg.solve(normal, (design * counted).T @ target + wanted * sigma**-2)
        exposure = solution[-1] = float(np.clip(solution[-1], 0.0, math.log(EXPOSURES[-1])))
    covariance = np.linalg.inv(normal)[:3, :3]
    return _Solved(solution[:3], np.asarray(covariance, float), int((robust > 0).sum()))
