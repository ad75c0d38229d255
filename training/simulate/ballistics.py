"""Flight of a grain in 1/r² gravity, and where on a triaxial body it is then.

Closed forms of the Kepler problem: a grain launched at speed v rises v²/2g / (1 - v²/(2 g R)) when it goes straight up,
and stays on an ellipse with a focus in Io's centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detector.frame import IO_RADII_KM, IO_RADIUS_KM
from training.simulate.geometry import Array

GRAVITY_KM_S2 = 1.796e-3
MU_KM3_S2 = GRAVITY_KM_S2 * IO_RADIUS_KM**2
"""Gravity on Io's surface (escape speed 2.56 km/s) and the gravitational parameter that goes with it."""


@dataclass(frozen=True)
class Flight:
    """Grains on their way, all (N,).

    Attributes:
        arc: angle along the ground from the vent, radians.
        altitude: km.
        dwell: s spent per unit of ``share``: its integral from 0 to 1 is the flight's duration.

    """

    arc: Array
    altitude: Array
    dwell: Array


def launch_speed(height_km: float) -> float:
    """Speed, km/s, of a grain that goes straight up to a height (km)."""
    return math.sqrt(2 * MU_KM3_S2 * (1 / IO_RADIUS_KM - 1 / (IO_RADIUS_KM + height_km)))


def fly(speed: Array, angle: Array, share: Array) -> Flight:
    """Where grains are after a share of their flights.

    The share is of the eccentric anomaly, not of time: no equation has to be solved, and what is weighted by ``dwell``
    is a steady state.

    Args:
        speed: km/s, above 0 and below the escape speed.
        angle: from the vertical, radians, above 0 and below a right angle.
        share: 0 at launch, 1/2 at the top, 1 at landing.

    """
    square = speed**2 * IO_RADIUS_KM / MU_KM3_S2  # in units of the circular speed
    axis = IO_RADIUS_KM / (2 - square)
    flat = square * np.sin(angle) ** 2 * (2 - square)  # 1 - e²
    eccentricity = np.sqrt(1 - flat)
    start = np.arccos(np.clip((square - 1) / eccentricity, -1, 1))  # eccentric anomaly at launch
    sweep = 2 * (np.pi - start)
    beyond = (share - 0.5) * sweep  # from the top
    radius = axis * (1 + eccentricity * np.cos(beyond))
    bend = np.sqrt(flat) / (1 + eccentricity)
    arc = 2 * (np.arctan(bend * np.tan(beyond / 2)) + np.arctan(bend * np.tan(sweep / 4)))
    dwell = sweep * (radius / axis) * np.sqrt(axis**3 / MU_KM3_S2)
    return Flight(arc, np.maximum(radius - IO_RADIUS_KM, 0), dwell)


def compass(vents: Array) -> tuple[Array, Array]:
    """Unit vectors to the east and the north (N, 3) at unit vectors (N, 3) of the body's frame."""
    east = np.stack([-vents[..., 1], vents[..., 0], np.zeros_like(vents[..., 0])], -1)
    east /= np.maximum(np.linalg.norm(east, axis=-1, keepdims=True), 1e-9)
    return east, np.cross(vents, east)


def places(vents: Array, heading: Array, arc: Array, altitude: Array) -> Array:
    """(N, 3) km in the body's frame of grains above the ellipsoid.

    Args:
        vents: (N, 3) unit vectors. heading: from east to north, radians. arc: along the ground, radians. altitude: km.

    """
    east, north = compass(vents)
    ways = np.cos(heading)[:, None] * east + np.sin(heading)[:, None] * north
    up = np.cos(arc)[:, None] * vents + np.sin(arc)[:, None] * ways
    ground = 1 / np.linalg.norm(up / np.array(IO_RADII_KM), axis=1)
    return np.asarray((ground + altitude)[:, None] * up)
