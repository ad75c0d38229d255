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
from training.simulate.lens import PINHOLE, Lens
from training.simulate.light import Image

Array = NDArray[np.float64]

_FAR_PX = 1e7


def _form(form: Array, x: Image, y: Image) -> Image:
    """The quadratic form (3, 3) at (x, y, 1)."""
    f = form.astype(np.float32)
    return (
        (f[0, 0] * (x * x) + 2 * f[0, 2] * x + f[2, 2]) + (f[1, 1] * (y * y) + 2 * f[1, 2] * y) + 2 * f[0, 1] * (x * y)
    )


def direction(lat_deg: float, lon_w_deg: float) -> Array:
    """Unit vector in the body's frame of a planetocentric latitude and a west longitude."""
    lat, lon = math.radians(lat_deg), math.radians(-lon_w_deg)
    return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])


def lat_lon_w(vectors: Array) -> tuple[Array, Array]:
    """Planetocentric latitude and west longitude (0..360), degrees, of vectors (..., 3) in the body's frame."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(z, np.hypot(x, y))), (-np.degrees(np.arctan2(y, x))) % 360


@dataclass(frozen=True)
class Sight:
    """What the lines of sight of a rectangle of pixels meet; arrays are (H, W) float32, lengths in Io's mean radius.

    Attributes:
        inward_px: distance to the limb, in pixels of the ideal plane; less than 0 on the sky.
        x_px, y_px: ideal plane, from where Io's centre falls.
        points: x, y, z in the camera's frame of where the line of sight meets the body, or passes it closest.
        body: the same in the body's frame.
        mu: cosine of the emission angle; 0 off the body.
        steepness: 1 / length of the ellipsoid's gradient at the points: turns ``metric @ points`` into unit normals.

    """

    inward_px: Image
    x_px: Image
    y_px: Image
    points: tuple[Image, Image, Image]
    body: tuple[Image, Image, Image]
    mu: Image
    steepness: Image


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
        lens: from pixels to the ideal camera; ``centre_*_px`` are on the ideal side.

    """

    centre_x_px: float
    centre_y_px: float
    range_km: float
    ifov_rad: float
    sub_spacecraft: tuple[float, float]
    sub_solar: tuple[float, float]
    north_azimuth_deg: float
    lens: Lens = PINHOLE

    @property
    def radius_px(self) -> float:
        """Radius of the limb of a sphere of Io's mean radius, tan(asin(R / range)) / IFOV."""
        return math.tan(math.asin(IO_RADIUS_KM / self.range_km)) / self.ifov_rad

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
        return self.lens.pixel(self.centre_x_px + points[..., 0] * scale, self.centre_y_px + points[..., 1] * scale)

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

    @functools.cached_property
    def metric(self) -> Array:
        """(3, 3): points p of the ellipsoid, in the camera's frame and in mean radii, have p @ metric @ p = 1."""
        turned = self.rotation * (IO_RADIUS_KM / np.array(IO_RADII_KM)) ** 2
        return turned @ self.rotation.T

    def offsets(self, x_px: Array, y_px: Array) -> tuple[Image, Image]:
        """Pixels (H, W), or (1, W) and (H, 1) -> the ideal plane, counted from where Io's centre falls.

        Where the lens gives no number (behind the camera) they are far out in the sky.
        """
        if self.lens is not PINHOLE:
            ideal = self.lens.ideal(*np.broadcast_arrays(x_px, y_px))
            x_px, y_px = (np.nan_to_num(side, nan=_FAR_PX, posinf=_FAR_PX, neginf=-_FAR_PX) for side in ideal)
        return (x_px - self.centre_x_px).astype(np.float32), (y_px - self.centre_y_px).astype(np.float32)

    def inward_px(self, x: Image, y: Image) -> Image:
        """Distance inwards from the limb, along the radius, of offsets in the ideal plane; less than 0 on the sky."""
        scale = self.ifov_rad * self.range_km / IO_RADIUS_KM
        form = self._discriminant() * np.outer([scale, scale, 1], [scale, scale, 1])
        middle = np.float32(form[2, 2])
        slope = np.float32(2 * form[0, 2]) * x + np.float32(2 * form[1, 2]) * y
        bend = (
            np.float32(form[0, 0]) * (x * x) + np.float32(form[1, 1]) * (y * y) + np.float32(2 * form[0, 1]) * (x * y)
        )
        root = np.sqrt(np.maximum(slope * slope - 4 * middle * bend, 0))
        away = np.maximum(np.sqrt(x * x + y * y), np.float32(1e-3))
        # The limb along this radius lies at a multiple of (x, y) that is the root of a quadratic.
        limb = 2 * middle / np.maximum(root - slope, np.float32(1e-9))
        # At the very centre it would be anything.
        return np.asarray(np.minimum(away * (limb - 1), np.float32(1.02 * self.radius_px)), np.float32)

    def _discriminant(self) -> Array:
        """(3, 3): quadratic form in (x, y, 1), x and y in mean radii on the plane through Io's centre: > 0 on the disk.

        A line of sight has points p + z e with p = (x, y, 0) and e = (-x / D, -y / D, 1): a quadratic in z.
        """
        distance = self.range_km / IO_RADIUS_KM
        seen_from = self.metric[:, 2] * distance
        along = np.diag([-1 / distance, -1 / distance, 1.0])
        return along @ (np.outer(seen_from, seen_from) - self.metric * (seen_from[2] * distance - 1)) @ along

    def sight(self, x_px: Array, y_px: Array) -> Sight:
        """What the pixels (H, W), or (1, W) and (H, 1), of the picture see of the body."""
        distance = np.float32(self.range_km / IO_RADIUS_KM)
        scale = np.float32(self.ifov_rad * self.range_km / IO_RADIUS_KM)
        off_x, off_y = self.offsets(x_px, y_px)
        x, y = off_x * scale, off_y * scale
        across = np.diag([1.0, 1.0, 0.0])
        along = np.diag([-1 / distance, -1 / distance, 1.0])
        a = _form(along @ self.metric @ along, x, y)
        b = _form((across @ self.metric @ along + along @ self.metric @ across) / 2, x, y)
        root = np.sqrt(np.maximum(_form(self._discriminant(), x, y), 0))
        z = (root - b) / a
        shrink = 1 - z / distance
        points = (x * shrink, y * shrink, z)
        turn = self.rotation.astype(np.float32)
        bx, by, bz = (c[0] * points[0] + c[1] * points[1] + c[2] * z for c in turn.T)
        fx, fy, fz = ((IO_RADIUS_KM / np.array(IO_RADII_KM)) ** 4).astype(np.float32)
        steepness = 1 / np.sqrt(fx * bx * bx + fy * by * by + fz * bz * bz)
        mu = root * steepness / np.sqrt(1 + (x * x + y * y) / (distance * distance))
        whole_x, whole_y = np.broadcast_to(off_x, z.shape), np.broadcast_to(off_y, z.shape)
        return Sight(self.inward_px(off_x, off_y), whole_x, whole_y, points, (bx, by, bz), mu, steepness)

    def limb_circle(self) -> tuple[float, float, float]:
        """x, y, radius in pixels of the circle closest to the limb (least squares)."""
        return self._circle

    @functools.cached_property
    def _circle(self) -> tuple[float, float, float]:
        azimuth = np.linspace(0, 2 * np.pi, 360, endpoint=False)
        radius = self.limb_radius_px(azimuth)
        x, y = self.centre_x_px + radius * np.sin(azimuth), self.centre_y_px - radius * np.cos(azimuth)
        x, y = self.lens.pixel(x, y)
        # (x - a)² + (y - b)² = r² is linear in a, b and r² - a² - b²
        system = np.stack([2 * x, 2 * y, np.ones_like(x)], -1)
        a, b, c = np.linalg.lstsq(system, x * x + y * y, rcond=None)[0]
        return float(a), float(b), math.sqrt(c + a * a + b * b)

    def surface(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Where the line of sight of each pixel meets the body (or passes it closest), and the outward normal.

        Args:
            x_px, y_px: (H, W).

        Returns:
            points (H, W, 3) in km and unit normals (H, W, 3), both in the camera's frame.

        """
        x_px, y_px = self.lens.ideal(x_px, y_px)
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
