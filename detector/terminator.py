"""Regions that may be eruptions: those of the scores, less what on the disk may be ground or a mountain top.

Where the Sun is an angle d below the horizon its light passes R (1 / cos d - 1) over the ground: 17 km, as high as Io's
tallest mountain, at 7.8 degrees. What shines deeper in the night than that stands higher than any mountain. How far the
day reaches is seen on the ground beside the region, since a picture's tones put the light's direction off by degrees.
On lit ground a plume is a matter of contrast, and so is the ground: there the network's plumes are hardly ever true.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detector.card import Threshold
from detector.circle import Circle
from detector.expected import LEAST_LIKENESS, refined_sun, sun_of_disk, sun_of_view
from detector.frame import Frame
from detector.limb import Limb
from detector.regions import Region, find_regions, on_the_disk

Floats = NDArray[np.float64]

MOUNTAIN_DEG = 10.0
"""A plume on the disk is reported only so far beyond the last lit ground: 7.8, and what a picture's tones hide."""
STRIP_RADII = 0.25
"""Half the width of the strip, along the Sun's direction, in which lit ground is looked for."""
LIT_SIGMAS, LIT_SHARE = 5.0, 0.01
"""Ground is lit where it is brighter than the sky by so many sigmas and by this share of the brightest surface."""
LEAST_SHARE = 0.01
"""A plume on the disk is at least so bright above the sky, of the brightest surface: what compression leaves is not."""
DAY_DEG = 20
"""The day is followed from here downwards, degree by degree."""


def possible_regions(
    frame: Frame, limb: Limb, scores: NDArray[np.float32], thresholds: Mapping[str, Threshold]
) -> tuple[Region, ...]:
    """Regions of :func:`detector.regions.find_regions`; of plumes wholly on the disk those deep in the night alone.

    Args:
        frame, limb: what the scores are of.
        scores: (2, H, W) float32 of the network.
        thresholds: one per class.

    """
    found = find_regions(scores, thresholds, limb)
    on_disk = [limb.trusted and region.kind == "plume" and on_the_disk(region, limb) for region in found]
    if not any(on_disk):
        return found
    sun = sun_on(frame, limb)
    return tuple(
        region
        for region, doubtful in zip(found, on_disk, strict=True)
        if not doubtful or (sun is not None and _above_mountains(frame, limb, region, sun))
    )


def _above_mountains(frame: Frame, limb: Limb, region: Region, sun: Floats) -> bool:
    """Whether a region on the disk is bright enough, and far enough in the night, to be a plume."""
    (x, y), levels = region.peak(frame), frame.levels
    least = levels.sky + LEAST_SHARE * (levels.bright - levels.sky)
    return frame.image[int(y), int(x)] > least and beyond_day_deg(frame, limb, sun, (x, y)) > MOUNTAIN_DEG


def beyond_day_deg(frame: Frame, limb: Limb, sun: Floats, place_px: tuple[float, float]) -> float:
    """How far beyond the last lit ground of its strip a place on the disk lies, in degrees of the Sun's height.

    Less than 0 on lit ground. The day ends where the ground of the strip does not shine any more, seen from the bright
    side, or at the terminator of ``sun``, whichever lies deeper in the night.

    Args:
        frame: the picture.
        limb: trusted.
        sun: (3,) as :func:`sun_on` says.
        place_px: column and row.

    """
    x, y = np.meshgrid(np.arange(frame.shape[1], dtype=float), np.arange(frame.shape[0], dtype=float))
    side = np.array([-sun[1], sun[0]]) / max(float(np.hypot(sun[0], sun[1])), 1e-9)
    aside = ((x - place_px[0]) * side[0] + (y - place_px[1]) * side[1]) / limb.radius_px
    height = np.where((np.abs(aside) < STRIP_RADII) & frame.valid, sun_height_deg(x, y, limb, sun), np.nan)
    levels = frame.levels
    dark = levels.sky + max(LIT_SIGMAS * levels.sigma, LIT_SHARE * (levels.bright - levels.sky))
    day = DAY_DEG
    while day > -90:
        ground = frame.image[(height > day - 1) & (height <= day)]
        if ground.size and np.median(ground) <= dark:
            break
        day -= 1
    here = sun_height_deg(np.array([place_px[0]]), np.array([place_px[1]]), limb, sun)
    return min(day, 0.0) - float(here[0])


def sun_on(frame: Frame, limb: Limb) -> Floats | None:
    """(3,) unit vector to the Sun, x right, y down, z to the camera: by the view, else by the disk's light.

    None where neither tells, or no limb is trusted.
    """
    if not limb.trusted:
        return None
    known = sun_of_view(frame.view)
    if known is not None:
        return known
    levels = frame.levels
    linear = np.where(frame.valid, (frame.image - levels.sky) / levels.sigma, np.nan).astype(np.float32)
    circle = Circle(limb.x_px, limb.y_px, limb.radius_px)
    apparent, likeness = sun_of_disk(linear, circle)
    if apparent is None or likeness < LEAST_LIKENESS:
        return None
    return refined_sun(linear, circle, apparent)


def sun_height_deg(x_px: Floats, y_px: Floats, limb: Limb, sun: Floats) -> Floats:
    """(n,) height of the Sun over the horizon of the sphere's ground at pixels, degrees; NaN off the disk."""
    x, y = (x_px - limb.x_px) / limb.radius_px, (y_px - limb.y_px) / limb.radius_px
    with np.errstate(invalid="ignore"):
        z = np.sqrt(1 - x * x - y * y)
    return np.asarray(np.degrees(np.arcsin(np.clip(sun[0] * x + sun[1] * y + sun[2] * z, -1, 1))))
