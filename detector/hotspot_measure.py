"""What a hot spot radiates: its light above the surroundings, as spectral power of a surface seen from above.

    P [GW um-1] = pi sum(L - L0) side² / cos e / 1000

with L the spectral radiance (W m-2 sr-1 um-1), L0 the median of the free surroundings, side the pixel's side across the
line of sight in km, and e the emission angle at the centroid. The sum runs over the region and one pixel around it, for
what the optics spread beyond the mask. Sunlight that the ground reflects is part of L0, as far as the ground is even.

The division by cos e makes a flat surface of what is seen aslant. Fountains stay as bright from the side and lakes
behind walls fade faster (Radebaugh et al. 2004): the exponent of cos e is taken as 1 with a 1-sigma of LAW_SIGMA.
Beyond MOST_EMISSION_DEG no power is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from detector.calibration import spectral_radiance_per_unit
from detector.regions import EVERY_NEIGHBOUR, Region
from detector.scene import ENOUGH, TO_SIGMA, Scene, surroundings

LAW_SIGMA = 0.35
MOST_EMISSION_DEG = 80.0
WINGS_PX = 1
"""Pixels around the region that are summed with it."""


@dataclass(frozen=True)
class Flux:
    """Light above the surroundings, summed, in the frame's unit times pixels; sigma from noise and background."""

    total: float
    sigma: float


@dataclass(frozen=True)
class Seen:
    """How a hot spot is seen: NaN where not known.

    Attributes:
        emission_deg: angle between the ground's normal and the camera.
        km_per_px: side of a pixel across the line of sight.
        sigma_deg: 1-sigma of its place, degrees of arc.

    """

    emission_deg: float = math.nan
    km_per_px: float = math.nan
    sigma_deg: float = math.nan


def flux_of(scene: Scene, region: Region) -> Flux:
    """Sum a hot spot's light above the median of its free surroundings, its wings included.

    Wings that belong to another region, or were not observed, are left out.
    """
    wide = surroundings(region, scene.frame.shape)
    image, inside = scene.frame.image[wide].astype(float), region.within(wide)
    grown = ndimage.binary_dilation(inside, EVERY_NEIGHBOUR, iterations=WINGS_PX)
    others = scene.taken(region.kind)[wide]
    summed = (inside | (grown & ~others)) & scene.frame.valid[wide]
    around = image[scene.free[wide] & ~grown]
    background, scatter, count = scene.levels.sky, scene.sky_sigma, float(ENOUGH)
    if around.size >= ENOUGH:
        background, count = float(np.median(around)), float(around.size)
        scatter = TO_SIGMA * float(np.median(np.abs(around - background)))
    total, number = float((image[summed] - background).sum()), float(summed.sum())
    gain = scene.frame.noise.gain
    shot = max(total, 0.0) / gain if math.isfinite(gain) else 0.0
    noise = max(scatter, scene.sigma(background))
    return Flux(total, math.sqrt(noise**2 * (number + number**2 * math.pi / 2 / count) + shot))


def power_of(scene: Scene, flux: Flux, seen: Seen) -> tuple[float, float]:
    """Spectral power and its 1-sigma, GW um-1; NaN twice where light, scale or slant is not known."""
    radiance, share = spectral_radiance_per_unit(scene.frame)
    if not (math.isfinite(radiance) and seen.emission_deg <= MOST_EMISSION_DEG):
        return math.nan, math.nan
    slant = math.cos(math.radians(seen.emission_deg))
    factor = math.pi * radiance * seen.km_per_px**2 / slant / 1000
    turned = seen.sigma_deg if math.isfinite(seen.sigma_deg) else 0.0
    tilt = math.tan(math.radians(seen.emission_deg)) * math.radians(turned)
    relative = math.hypot(share, emission_law_sigma(seen.emission_deg), tilt)
    return factor * flux.total, factor * math.hypot(flux.sigma, relative * flux.total)


def emission_law_sigma(emission_deg: float) -> float:
    """Relative 1-sigma of a power from not knowing how it falls off with the emission angle."""
    return LAW_SIGMA * -math.log(math.cos(math.radians(min(emission_deg, 89.0))))
