"""Where the vent of a plume on the limb may be, and how high the plume then is.

A plume's top that stands h over the limb belongs to a vent somewhere on the great circle that runs through the limb
there, towards the camera and away from it. For a vent b degrees from the limb, on either side, the top is at

    (R + h) / cos b - R

and what is lower than R / cos b - R is hidden when the vent lies beyond the limb. So the height that is measured is the
least it can be. How far b may go is bounded by the tallest plume there is, and how likely each b is follows from how
many plumes of each height there are: with vents anywhere on the sphere, the ring of vents at b from the limb is cos b
wide and squeezes true heights by 1 / cos b, so b is as likely as the height that it makes. And a plume of which the
limb hides the lower, denser part is seldom found: dust thins out upwards (Strom et al. 1981), so a height counts by the
square of the share of it that shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADIUS_KM
from detector.geometry import Pointing, direction, east, latitude, west
from detector.volcanoes import Volcano, volcanoes

Array = NDArray[np.float64]

TALLEST_KM = 500.0
"""No plume is taller: Grian and Thor reached 400 to 500 km, Pele 420, Tvashtar 400."""
HEIGHT_SHARES = ((0.0, 40.0, 0.25), (40.0, 120.0, 1.0), (120.0, 250.0, 0.176), (250.0, 500.0, 0.046))
"""Plumes per km of height, from .. to, relative: 70 % are 40 to 120 km tall (Prometheus-type), 20 % to 250 km, and 10 %
to 450 km and more (Pele-type), after the Voyager and Galileo lists; small ones are often missed, hence a quarter."""
LEAST_KM = 1.0
SHOWN_POWER = 2.0
"""Power of the share of a plume's height that shows over the limb, by which it is found. Chosen on simulated SSI frames
of seed 81001; on those of seed 50500 heights are 13 % too large in the median (``io-detector evaluate``)."""
STEPS = 2000


@dataclass(frozen=True)
class UnknownVent:
    """What a plume's height over the limb says when its vent is not known.

    Attributes:
        apparent_km: the height over the limb: the least that it can be.
        height_km, sigma_km: mean and 1-sigma of the true height over all places that the vent may have.
        beta_sigma_deg: rms angle between vent and limb.
        beta_max_deg: largest angle at which the plume would not be taller than any.

    """

    apparent_km: float
    height_km: float
    sigma_km: float
    beta_sigma_deg: float
    beta_max_deg: float


@dataclass(frozen=True)
class Candidate:
    """A known volcano that may be the vent.

    Attributes:
        volcano: which.
        beta_deg: its angle beyond the limb along the line of sight; less than 0 in front of it.
        off_km: its distance from the line of possible vents.
        height_km: height of the plume if this is its vent.

    """

    volcano: Volcano
    beta_deg: float
    off_km: float
    height_km: float


def height_over_vent_km(apparent_km: float | Array, beta_deg: float | Array) -> Array:
    """True height of a plume's top that stands ``apparent_km`` over the limb, its vent ``beta_deg`` from the limb."""
    return np.asarray((IO_RADIUS_KM + apparent_km) / np.cos(np.radians(beta_deg)) - IO_RADIUS_KM)


def hidden_km(beta_deg: float | Array) -> Array:
    """Height below which a plume is hidden by the limb, its vent ``beta_deg`` beyond it."""
    return height_over_vent_km(0.0, np.maximum(beta_deg, 0.0))


def largest_beta_deg(apparent_km: float, tallest_km: float = TALLEST_KM) -> float:
    """Angle from the limb at which the plume would be as tall as any; 0 when it is taller already."""
    return math.degrees(math.acos(min(1.0, (IO_RADIUS_KM + apparent_km) / (IO_RADIUS_KM + tallest_km))))


def unknown_vent(apparent_km: float) -> UnknownVent:
    """Weigh all places that the vent of a plume on the limb may have.

    Args:
        apparent_km: height of its top over the limb, at least 0.

    """
    largest = largest_beta_deg(apparent_km)
    beta = (np.arange(STEPS) + 0.5) * largest / STEPS
    height = height_over_vent_km(apparent_km, beta)
    weight = np.array(sum(share * ((height >= low) & (height < high)) for low, high, share in HEIGHT_SHARES), float)
    weight *= (max(apparent_km, LEAST_KM) / np.maximum(height, LEAST_KM)) ** SHOWN_POWER
    if not weight.any():
        return UnknownVent(apparent_km, apparent_km, 0.0, 0.0, largest)
    mean = float(np.average(height, weights=weight))
    sigma = math.sqrt(float(np.average((height - mean) ** 2, weights=weight)))
    rms = math.sqrt(float(np.average(beta**2, weights=weight)))
    return UnknownVent(apparent_km, mean, sigma, rms, largest)


def vent_line(pointing: Pointing, x_px: float, y_px: float, beta_deg: Array) -> tuple[Array, Array]:
    """Places where the vent of what is seen at a pixel may be.

    Args:
        pointing: the frame's geometry.
        x_px, y_px: the plume on the limb.
        beta_deg: (n,) angles beyond the limb along the line of sight, less than 0 in front of it.

    Returns:
        (n,) planetocentric latitudes and (n,) west longitudes, degrees; NaN where the frame's places are not known.

    """
    foot, onwards = _foot(pointing, x_px, y_px)
    b = np.radians(np.asarray(beta_deg, float))[..., None]
    x, y, z = np.moveaxis(np.cos(b) * foot + np.sin(b) * onwards, -1, 0)
    return latitude(x, y, z), west(east(np.degrees(np.arctan2(y, x)))) + 0 * x


def candidates(pointing: Pointing, x_px: float, y_px: float, within_km: float = 150.0) -> list[Candidate]:
    """Known volcanoes that may be the vent of a plume on the limb, the nearest to the line of vents first.

    Args:
        pointing: the frame's geometry.
        x_px, y_px: the plume's top on the sky.
        within_km: distance from the line of possible vents, in km along the surface.

    Returns:
        Those that would not make the plume taller than any; none where the frame's places are not known.

    """
    foot, onwards = _foot(pointing, x_px, y_px)
    apparent_km = max(pointing.limb_point(x_px, y_px)[2], 0.0)
    if not np.isfinite(foot).all() or not math.isfinite(apparent_km):
        return []
    largest = largest_beta_deg(apparent_km)
    found = []
    for volcano in volcanoes():
        place = direction(volcano.lat_deg, volcano.lon_w_deg)
        beta = math.degrees(math.atan2(place @ onwards, place @ foot))
        off = IO_RADIUS_KM * math.asin(min(1.0, abs(float(place @ np.cross(foot, onwards)))))
        if abs(beta) <= largest and off <= within_km:
            found.append(Candidate(volcano, beta, off, float(height_over_vent_km(apparent_km, beta))))
    return sorted(found, key=lambda one: (one.off_km, one.volcano.name))


def _foot(pointing: Pointing, x_px: float, y_px: float) -> tuple[Array, Array]:
    """Unit vectors, body's frame: the place below the line of sight, and the way on along the line of sight there."""
    lat, lon_w, _ = pointing.limb_point(x_px, y_px)
    if not math.isfinite(lat):
        return np.full(3, np.nan), np.full(3, np.nan)
    foot = direction(lat, lon_w)
    onwards = -pointing.pose_at(y_px).position_km
    onwards = onwards - (onwards @ foot) * foot
    return foot, onwards / np.linalg.norm(onwards)
