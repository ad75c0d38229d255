"""Where Io is in the picture: a pinhole camera that looks at a triaxial body.

The camera's frame has x to the right, y down and z **towards** the camera, lengths in km from Io's centre. The body's
frame has z to the north pole and x to longitude 0.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADII_KM, IO_RADIUS_KM

Array = NDArray[np.float64]


def direction(lat_deg: float, lon_w_deg: float) -> Array:
    """Unit vector in the body's frame of a planetocentric latitude and a west longitude."""
    lat, lon = math.radians(lat_deg), math.radians(-lon_w_deg)
    return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])


def lat_lon_w(vectors: Array) -> tuple[Array, Array]:
    """Planetocentric latitude and west longitude (0..360), degrees, of vectors (..., 3) in the body's frame."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(z, np.hypot(x, y))), (-np.degrees(np.arctan2(y, x))) % 360


@dataclass(frozen=True)
class Geometry:
    """Who looks from where.

    Attributes:
        centre_x_px, centre_y_px: where Io's centre falls.
        range_km: camera to Io's centre.
        ifov_rad: angle of one pixel.
        sub_spacecraft: latitude and west longitude in degrees.
        sub_solar: the same of the Sun.
        north_azimuth_deg: direction of Io's north on the picture, clockwise from +x.

    """

    centre_x_px: float
    centre_y_px: float
    range_km: float
    ifov_rad: float
    sub_spacecraft: tuple[float, float]
    sub_solar: tuple[float, float]
    north_azimuth_deg: float

    @property
    def radius_px(self) -> float:
        """Mean radius of the limb, asin(R / range) / IFOV."""
        return math.asin(IO_RADIUS_KM / self.range_km) / self.ifov_rad

    @property
    def km_per_px(self) -> float:
        """Scale at the limb's distance."""
        return math.sqrt(self.range_km**2 - IO_RADIUS_KM**2) * self.ifov_rad

    @property
    def phase_deg(self) -> float:
        """Sun-Io-camera angle."""
        return math.degrees(math.acos(np.clip(direction(*self.sub_spacecraft) @ direction(*self.sub_solar), -1, 1)))

    @functools.cached_property
    def rotation(self) -> Array:
        """(3, 3): body's frame -> camera's frame. East is 90 degrees clockwise from north on the picture."""
        towards = direction(*self.sub_spacecraft)
        pole = np.array([0.0, 0.0, 1.0])
        north = pole - (pole @ towards) * towards
        north /= np.linalg.norm(north)
        east = np.cross(pole, towards)
        east /= np.linalg.norm(east)
        a = math.radians(self.north_azimuth_deg)
        right = math.cos(a) * north - math.sin(a) * east
        down = math.sin(a) * north + math.cos(a) * east
        return np.stack([right, down, towards])

    @property
    def sun(self) -> Array:
        """Unit vector to the Sun in the camera's frame."""
        return self.rotation @ direction(*self.sub_solar)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Camera-frame points (..., 3) in km -> x, y in pixels."""
        scale = 1 / ((self.range_km - points[..., 2]) * self.ifov_rad)
        return self.centre_x_px + points[..., 0] * scale, self.centre_y_px + points[..., 1] * scale

    def limb_radius_px(self, azimuth: Array) -> Array:
        """Distance of the limb from the projected centre, in pixels, at azimuths (radians, 0 = up, clockwise).

        Along one azimuth the discriminant of ray against ellipsoid is a quadratic in the tangent of the angle off
        centre; its root is the limb.
        """
        camera = self.rotation.T @ np.array([0, 0, self.range_km]) / IO_RADII_KM
        forward = self.rotation.T @ np.array([0, 0, -1.0]) / IO_RADII_KM
        across = np.stack([np.sin(azimuth), -np.cos(azimuth), np.zeros_like(azimuth)], -1) @ self.rotation / IO_RADII_KM
        c = camera @ camera - 1
        # (O·(f + t a))² - c |f + t a|² = 0
        qa = (across @ camera) ** 2 - c * (across * across).sum(-1)
        qb = 2 * ((forward @ camera) * (across @ camera) - c * (across @ forward))
        qc = (forward @ camera) ** 2 - c * (forward @ forward)
        tangent = (-qb - np.sqrt(np.maximum(qb * qb - 4 * qa * qc, 0))) / (2 * qa)
        return tangent / self.ifov_rad

    def limb_circle(self) -> tuple[float, float, float]:
        """x, y, radius in pixels of the circle closest to the limb (least squares)."""
        azimuth = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        radius = self.limb_radius_px(azimuth)
        x, y = float(2 * np.mean(radius * np.sin(azimuth))), float(-2 * np.mean(radius * np.cos(azimuth)))
        return self.centre_x_px + x, self.centre_y_px + y, float(radius.mean())

    def surface(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Where the line of sight of each pixel meets the body (or passes it closest), and the outward normal.

        Args:
            x_px, y_px: (H, W).

        Returns:
            points (H, W, 3) in km and unit normals (H, W, 3), both in the camera's frame.

        """
        u = (x_px - self.centre_x_px) * self.ifov_rad
        v = (y_px - self.centre_y_px) * self.ifov_rad
        rays = np.stack([u, v, -np.ones_like(u)], -1)
        to_unit = self.rotation / np.array(IO_RADII_KM)  # camera row-vector @ this = scaled body frame
        scaled = rays @ to_unit
        origin = np.array([0, 0, self.range_km]) @ to_unit
        a = (scaled * scaled).sum(-1)
        b = scaled @ origin
        reach = (-b - np.sqrt(np.maximum(b * b - a * (origin @ origin - 1), 0))) / a
        points = rays * reach[..., None]
        points[..., 2] += self.range_km
        normals = (points @ to_unit) @ to_unit.T
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        return points, normals
