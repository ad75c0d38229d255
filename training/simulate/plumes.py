"""Volcanic plumes: fountains of particles on ballistic paths, seen as the column of particles along the line of sight.

Every particle leaves the vent with its own speed and angle and is caught at a random moment of its flight, so the
steady state is drawn exactly; gravity is constant (1.796 m/s²), good to a few per cent up to 150 km. Families after
Strom et al. 1981 and Geissler & McMillan 2008: see ``FAMILIES``.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADIUS_KM
from training.simulate.geometry import Array, Geometry, direction

GRAVITY_KM_S2 = 1.796e-3
PARTICLES = 12_000


@dataclass(frozen=True)
class Family:
    """How the particles of a kind of plume are launched.

    Attributes:
        speed_spread: relative 1-sigma of the launch speed.
        cone_deg: range of angles from the plume's axis, uniform in solid angle.
        tilt_deg: largest tilt of the axis from the vertical.
        halo: share of particles in a diffuse envelope, up to 1.1-1.5 times as fast as the others.

    """

    speed_spread: float
    cone_deg: tuple[float, float]
    tilt_deg: float
    halo: float


FAMILIES = {
    "umbrella": Family(0.07, (0, 55), 5, 0.1),  # Prometheus: a ballistic umbrella
    "canopy": Family(0.02, (25, 60), 5, 0.05),  # Pele, Tvashtar: bright rim, hollow inside
    "core_halo": Family(0.25, (0, 35), 8, 0.45),  # Thor: dense column in a faint wide halo
    "jet": Family(0.15, (0, 15), 35, 0.1),  # narrow, leaning
    "dome": Family(0.45, (0, 75), 5, 0.3),  # diffuse
}


@dataclass(frozen=True)
class Plume:
    """One plume.

    Attributes:
        lat_deg, lon_w_deg: the vent.
        height_km: of the fastest ordinary particle going straight up, v² / 2g.
        family: a key of ``FAMILIES``.
        peak: brightness of the brightest line of sight, in I/F.
        seed: of its particles.
        name: of the volcano; empty for a made-up one.

    """

    lat_deg: float
    lon_w_deg: float
    height_km: float
    family: str
    peak: float
    seed: int
    name: str = ""


def fly(speed: Array, angle: Array, moment: Array) -> tuple[Array, Array]:
    """Ballistic flight on constant gravity.

    Args:
        speed: km/s. angle: from the vertical, radians. moment: 0..1 of the flight from launch to landing.

    Returns:
        horizontal distance and altitude in km. At angle 0 the top is v²/2g; the range at 45 degrees is v²/g.

    """
    up, along = speed * np.cos(angle), speed * np.sin(angle)
    time = moment * 2 * up / GRAVITY_KM_S2
    return along * time, up * time - 0.5 * GRAVITY_KM_S2 * time**2


def particles(plume: Plume, count: int = PARTICLES) -> tuple[Array, Array]:
    """Positions of the plume's particles in the body's frame (count, 3) in km, and their weights (time aloft)."""
    family, rng = FAMILIES[plume.family], np.random.default_rng(plume.seed)
    top_speed = np.sqrt(2 * GRAVITY_KM_S2 * plume.height_km)
    speed = top_speed * np.clip(1 - np.abs(rng.normal(0, family.speed_spread, count)), 0.05, 1)
    halo = rng.random(count) < family.halo
    speed[halo] *= rng.uniform(1.0, rng.uniform(1.1, 1.5), halo.sum())
    low, high = np.cos(np.radians(family.cone_deg))
    angle = np.arccos(rng.uniform(high, low, count))
    heading = rng.uniform(0, 2 * np.pi, count)
    across = np.stack([np.sin(angle) * np.cos(heading), np.sin(angle) * np.sin(heading), np.cos(angle)], -1)
    launched = across @ _lean(np.radians(rng.uniform(0, family.tilt_deg)), rng.uniform(0, 2 * np.pi)).T
    angle = np.arccos(np.clip(launched[:, 2], 0.02, 1))
    heading = np.arctan2(launched[:, 1], launched[:, 0])
    distance, altitude = fly(speed, angle, rng.random(count))
    flight = speed * np.cos(angle)

    vent = direction(plume.lat_deg, plume.lon_w_deg)
    east = np.cross([0, 0, 1.0], vent)
    east /= np.linalg.norm(east)
    north = np.cross(vent, east)
    arc = (distance / IO_RADIUS_KM)[:, None]
    ways = np.cos(heading)[:, None] * east + np.sin(heading)[:, None] * north
    return (IO_RADIUS_KM + altitude[:, None]) * (np.cos(arc) * vent + np.sin(arc) * ways), flight / flight.sum()


def _lean(tilt: float, towards: float) -> Array:
    c, s = np.cos(tilt), np.sin(tilt)
    a, b = np.cos(towards), np.sin(towards)
    turn = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])
    return turn @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ turn.T


def plume_image(plume: Plume, geometry: Geometry, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) float32 I/F of the plume's sunlit column: what the body hides and what lies in its shadow is left out."""
    body, aloft = particles(plume)
    points = body @ geometry.rotation.T
    along_sun = points @ geometry.sun
    lit = (along_sun > 0) | (np.linalg.norm(points - along_sun[:, None] * geometry.sun, axis=-1) > IO_RADIUS_KM)
    weight = aloft * lit * ~_hidden(points, geometry.range_km)
    x, y = geometry.project(points)
    grain = min(max(0.45, 0.035 * plume.height_km / geometry.km_per_px), 40)
    column = cv2.GaussianBlur(_deposit(x, y, weight, shape), (0, 0), grain)
    whole = cv2.GaussianBlur(_deposit(x, y, aloft, shape), (0, 0), grain)
    # The whole plume, unhidden and sunlit, sets the scale: a vent behind the limb shows its fainter top only.
    return (plume.peak * column / max(float(whole.max()), 1e-12)).astype(np.float32)


def _hidden(points: Array, range_km: float) -> NDArray[np.bool_]:
    """Whether the body stands between the camera and each point."""
    ray = points - np.array([0, 0, range_km])
    length = np.linalg.norm(ray, axis=-1)
    nearest = -(ray[:, 2] * range_km) / length  # distance along the ray to the point closest to the centre
    miss = np.sqrt(np.maximum(range_km**2 - nearest**2, 0))
    return (miss < IO_RADIUS_KM) & (nearest < length)


def _deposit(x: Array, y: Array, weight: Array, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Weights shared among the four pixels around each point (H, W): their sum is kept inside the picture."""
    rows, columns = shape
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - column, y - row
    total = np.zeros(rows * columns)
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        c, r = column + dx, row + dy
        inside = (c >= 0) & (c < columns) & (r >= 0) & (r < rows)
        total += np.bincount((r * columns + c)[inside], (weight * share)[inside], minlength=rows * columns)
    return total.reshape(shape).astype(np.float32)
