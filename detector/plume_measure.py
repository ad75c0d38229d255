"""How high and how wide a plume stands over the limb, and at which azimuth.

The height is read off the plume's light by altitude: all of it at one altitude above the limb, compared with the same
altitude beside it, summed along the azimuth. That sum falls to zero at the top roughly as A (1 - a / h)^p, blurred by
the optics: p is near 1/2 to 1 for dust on ballistic paths (which is slow, and so piles up, near its highest point) and
larger for what thins out upwards. TOP_SHARE of the mask's own top comes in as a first guess, wrong by TOP_SPREAD and
TOP_SPREAD_PX: it is too high by the blur where pixels are large, and too low where the top is lost in the noise.
Height and error are mean and 1-sigma of the logarithm of h over all h and p, each weighed by its likelihood; where the
curve fits worse than the noise allows the errors are widened until it does.

The constants were chosen on simulated plumes of nine families (``training.measure_trial``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.regions import EVERY_NEIGHBOUR, Region, altitude_px
from detector.scene import ENOUGH, TO_SIGMA, Box, Floats, Scene, grid

BLUR_PX = 1.0
"""1-sigma of the cameras' optics and of one step of altitude together, in pixels."""
USED_FROM = 0.6
"""The curve is laid through the light above this share of the mask's top: below it the ground's own pattern tells."""
RELATIVE_HEIGHTS = np.geomspace(0.35, 3.0, 80)
POWERS = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
USUAL_POWER, POWER_SPREAD = 0.5, 0.5
TOP_SHARE, TOP_SPREAD, TOP_SPREAD_PX = 0.9, 0.2, 1.0
"""The true height is so much of the mask's, as the model draws it, on average; 1-sigma: a share, and pixels."""
CURVE_SHARE = 0.05
"""How far the light may be off the curve, as a share of the brightest step: plumes have clumps."""
SHAPE_SHARE = {"junocam": 0.28, "": 0.12}
"""1-sigma of the height from plumes of another shape: tilted, with haloes, the fastest dust too thin to see; and from
masks that are the model's. By camera; the empty name stands for all others."""
SEEN_SHARE = {"junocam": 0.87, "": 1.0}
"""How much of the height shows: JunoCam, with its few electrons, loses the thin tops."""
BESIDE_PX = 60
"""The background is taken from no further beside the plume than this."""
FINE = 0.25


@dataclass(frozen=True)
class Extent:
    """What a plume's pixels over the limb say; NaN where nothing stands above it.

    Attributes:
        height_px, height_sigma_px: its top above the limb.
        width_px: extent along the limb's tangent.
        azimuth_rad: direction of its light from the disk's centre, atan2(y, x) on the frame.
        azimuth_sigma_rad: 1-sigma.

    """

    height_px: float = math.nan
    height_sigma_px: float = math.nan
    width_px: float = math.nan
    azimuth_rad: float = math.nan
    azimuth_sigma_rad: float = math.nan


@dataclass(frozen=True)
class Profile:
    """A plume's light by altitude.

    Attributes:
        altitude_px: (n,) middles of the steps.
        light: (n,) sum along the azimuth of what is above the background, frame's unit times pixels.
        sigma: (n,) its 1-sigma, > 0.

    """

    altitude_px: Floats
    light: Floats
    sigma: Floats


def extent_of(scene: Scene, region: Region, excess: Floats) -> Extent:
    """Measure a plume against a trusted limb.

    Args:
        scene: with a trusted limb.
        region: the plume.
        excess: over its box grown by one pixel (:func:`detector.scene.excess_above_background`).

    """
    limb = scene.limb
    x, y = region.points()
    altitude = altitude_px(x, y, limb)
    above = altitude > 0
    if not above.any():
        return Extent()
    dx, dy = x[above] - limb.x_px, y[above] - limb.y_px
    middle = math.atan2(float(dy.sum()), float(dx.sum()))
    aside = _turned(np.arctan2(dy, dx), middle)
    along = np.hypot(dx, dy) * np.sin(aside)
    camera = scene.frame.instrument if scene.frame.instrument in SEEN_SHARE else ""
    height, sigma = height_px(profile_of(scene, region, middle, aside), float(altitude.max()), camera)
    sigma = math.hypot(sigma, scene.limb_sigma_px, scene.limb_sigma_px * height / limb.radius_px)
    azimuth, azimuth_sigma = _azimuth(scene, region, excess, middle)
    return Extent(height, sigma, float(along.max() - along.min()) + 1.0, azimuth, azimuth_sigma)


def height_px(profile: Profile, mask_top_px: float, camera: str = "") -> tuple[float, float]:
    """Altitude where a plume's light ends and its 1-sigma, in pixels.

    Args:
        profile: its light by altitude.
        mask_top_px: altitude of its highest pixel, > 0.
        camera: a key of ``SEEN_SHARE``.

    """
    mask_top_px = TOP_SHARE * mask_top_px
    used = (profile.altitude_px > max(USED_FROM * mask_top_px, 1.0)) & (profile.sigma > 0)
    if used.sum() < 3 or not (profile.light[used] > 0).any():
        return mask_top_px / SEEN_SHARE[camera], math.hypot(3 * TOP_SPREAD * mask_top_px, TOP_SPREAD_PX)
    altitude, light = profile.altitude_px[used], profile.light[used]
    weight = 1 / (profile.sigma[used] ** 2 + (CURVE_SHARE * np.abs(profile.light).max()) ** 2)
    chi2 = _misfits(_curves(mask_top_px * RELATIVE_HEIGHTS, altitude), light, weight)
    spread = max(float(chi2.min()) / max(len(light) - 3, 1), 1.0)
    likely = -chi2 / (2 * spread) - (np.log(POWERS / USUAL_POWER) / POWER_SPREAD) ** 2 / 2
    likely -= (np.log(RELATIVE_HEIGHTS)[:, None] / math.hypot(TOP_SPREAD, TOP_SPREAD_PX / mask_top_px)) ** 2 / 2
    share = np.exp(likely - likely.max()).sum(axis=1)
    scaled = np.log(RELATIVE_HEIGHTS)
    mean = float(np.average(scaled, weights=share))
    sigma = math.sqrt(float(np.average((scaled - mean) ** 2, weights=share)))
    height = mask_top_px * math.exp(mean) / SEEN_SHARE[camera]
    return height, math.hypot(sigma * height, SHAPE_SHARE[camera] * height, 0.3)


def profile_of(scene: Scene, region: Region, middle: float, aside: Floats) -> Profile:
    """Return a plume's light by altitude, in steps of a pixel.

    Args:
        scene: with a trusted limb.
        region: the plume.
        middle: its direction from the disk's centre, radians.
        aside: (n,) angles of its pixels above the limb from that direction, radians.

    """
    limb, radius = scene.limb, scene.limb.radius_px
    box = region.grown_box(int(np.clip(max(region.pixels.shape), 8, BESIDE_PX)), scene.frame.shape)
    x, y = grid(box)
    altitude = altitude_px(x, y, limb)
    angle = _turned(np.arctan2(y - limb.y_px, x - limb.x_px), middle)
    low, high = float(aside.min()) - 0.5 / radius, float(aside.max()) + 0.5 / radius
    own = ndimage.binary_dilation(region.within(box), EVERY_NEIGHBOUR, iterations=2)
    inside = scene.frame.valid[box] & (own | scene.free[box]) & (angle >= low) & (angle <= high)
    beside = scene.free[box] & ((angle < low - 1 / radius) | (angle > high + 1 / radius))
    top = float(altitude_px(*region.points(), limb).max())
    steps = [
        _step(scene, box, (altitude >= a) & (altitude < a + 1) & inside, (altitude >= a) & (altitude < a + 1) & beside)
        for a in range(int(1.8 * top + 6))
    ]
    values = np.array(steps).reshape(-1, 2)
    middles = np.arange(len(values)) + 0.5
    arc, known = (high - low) * (radius + middles), np.isfinite(values[:, 0])
    return Profile(middles[known], (values[:, 0] * arc)[known], (values[:, 1] * arc)[known])


def _step(scene: Scene, box: Box, inside: NDArray[np.bool_], beside: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean signal above the background of one altitude, and its 1-sigma; NaN twice where hardly a pixel is known."""
    image = scene.frame.image[box]
    if inside.sum() < 2:
        return math.nan, math.nan
    background, scatter, count = scene.levels.sky, scene.sky_sigma, float(ENOUGH)
    if beside.sum() >= ENOUGH:
        around = image[beside].astype(float)
        background, count = float(np.median(around)), float(around.size)
        scatter = TO_SIGMA * float(np.median(np.abs(around - background)))
    mean = float(image[inside].mean(dtype=float))
    noise = max(scatter, scene.sigma(mean))
    return mean - background, noise * math.sqrt(1 / float(inside.sum()) + math.pi / 2 / count)


def _curves(height: Floats, altitude: Floats) -> Floats:
    """(heights, powers, n): (1 - a / h)^p through the optics, at altitudes in pixels."""
    fine = np.arange(-4 * BLUR_PX, float(altitude.max()) + 4 * BLUR_PX + FINE, FINE)
    left = np.clip(1 - np.maximum(fine, 0) / height[:, None], 0, None)[:, None, :]
    curves = np.where(left > 0, left ** POWERS[:, None], 0.0)
    blurred = ndimage.gaussian_filter1d(curves, BLUR_PX / FINE, axis=-1, mode="nearest")
    place = (altitude - fine[0]) / FINE
    first = place.astype(int)
    share = place - first
    return np.asarray(blurred[..., first] * (1 - share) + blurred[..., first + 1] * share)


def _misfits(curves: Floats, light: Floats, weight: Floats) -> Floats:
    """(heights, powers) chi-square of each curve at its best brightness, at least 0."""
    size, match = (curves**2 * weight).sum(-1), (curves * light * weight).sum(-1)
    bright = np.maximum(match, 0) / np.maximum(size, 1e-300)
    return np.asarray(((light - bright[..., None] * curves) ** 2 * weight).sum(-1))


def _azimuth(scene: Scene, region: Region, excess: Floats, middle: float) -> tuple[float, float]:
    """Direction of the light above the limb from the disk's centre and its 1-sigma, radians."""
    box = region.grown_box(1, scene.frame.shape)
    x, y = grid(box)
    altitude = altitude_px(x, y, scene.limb)
    rows, columns = np.nonzero(region.within(box) & (altitude > 0))
    angle = _turned(np.arctan2(y - scene.limb.y_px, x - scene.limb.x_px)[rows, columns], middle)
    weight = np.maximum(excess[rows, columns], 0.0)
    weight = weight if weight.sum() > 0 else np.ones_like(weight)
    mean = float(np.average(angle, weights=weight))
    noise = scene.sky_sigma * math.sqrt(float(((angle - mean) ** 2).sum())) / float(weight.sum())
    half = 0.5 * math.sqrt(float(np.average((angle - mean) ** 2, weights=weight)))
    return middle + mean, math.hypot(noise, half, math.hypot(scene.limb_sigma_px, 0.5) / scene.limb.radius_px)


def _turned(angle: Floats, middle: float) -> Floats:
    """Angles counted from ``middle``, -pi .. pi."""
    return np.asarray((angle - middle + math.pi) % (2 * math.pi) - math.pi)
