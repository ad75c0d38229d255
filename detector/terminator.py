"""Regions that may be eruptions: those of the scores, less what on the disk may be ground or a mountain top.

Where the Sun is an angle d below the horizon its light passes R (1 / cos d - 1) over the ground: 17 km, as high as Io's
tallest mountain, at 7.8 degrees. What shines deeper in the night than that stands higher than any mountain. On the lit
ground a plume is a matter of contrast, and so is the ground: there the network's plumes are hardly ever true.
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
from detector.regions import Region, altitude_px, find_regions

Floats = NDArray[np.float64]

MOUNTAIN_DEG = 9.0
"""A plume on the disk is reported only where the Sun is so far below the horizon: 7.8, and the error of the light."""


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
    on_disk = [limb.trusted and _on_disk(region, limb) for region in found]
    if not any(on_disk):
        return found
    sun = sun_on(frame, limb)
    return tuple(
        region
        for region, doubtful in zip(found, on_disk, strict=True)
        if not doubtful or (sun is not None and _sun_at_peak_deg(frame, region, limb, sun) < -MOUNTAIN_DEG)
    )


def _on_disk(region: Region, limb: Limb) -> bool:
    return region.kind == "plume" and bool(altitude_px(*region.points(), limb).max() < 0)


def _sun_at_peak_deg(frame: Frame, region: Region, limb: Limb, sun: Floats) -> float:
    x, y = region.peak(frame)
    return float(sun_height_deg(np.array([x]), np.array([y]), limb, sun)[0])


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
