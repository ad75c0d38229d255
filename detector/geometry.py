"""Where on Io each pixel looks: camera, body, and what the lines of sight meet.

Frames of reference: the body's has z to Io's north pole and x to longitude 0 (the sub-Jovian meridian), lengths in km
from the centre; the camera's has x to the right and y down as the unmirrored scene is seen, and z forward.

The body is the ellipsoid of 1829.4 / 1819.4 / 1815.7 km. Divided by its axes it is the unit sphere, and a line of sight
that passes it at k units touches the ellipsoid that is k times as large. ``altitude_km`` is the height of that point
of touch over the surface: 0 on the limb, positive on the sky, negative on the disk (how deep the line dives).

Latitudes are planetocentric; longitudes come both ways, east in [-180, 180) and west in [0, 360).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADII_KM, IO_RADIUS_KM
from detector.optics import Optics

Array = NDArray[np.float64]

BLOCK_ROWS = 16
"""Rows worked on at a time, so that what belongs to them stays in the processor's cache."""


def direction(lat_deg: float | Array, lon_w_deg: float | Array) -> Array:
    """Unit vectors (..., 3) in the body's frame of planetocentric latitudes and west longitudes."""
    lat, lon = np.radians(lat_deg), -np.radians(lon_w_deg)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat) + 0 * lon], axis=-1)


def latitude(x: Array, y: Array, z: Array) -> Array:
    """Planetocentric latitude, degrees, of vectors in the body's frame."""
    return np.degrees(np.arctan2(z, np.sqrt(x * x + y * y)))


def east(longitude_deg: Array) -> Array:
    """East longitudes brought into [-180, 180)."""
    turned = np.where(longitude_deg >= 180, longitude_deg - 360, longitude_deg)
    return np.where(turned < -180, turned + 360, turned)


def west(lon_e_deg: Array) -> Array:
    """West longitudes [0, 360) of east longitudes in [-180, 180)."""
    turned = np.where(lon_e_deg > 0, 360 - lon_e_deg, -lon_e_deg)
    return np.where(turned >= 360, 0.0, turned) + 0.0


@dataclass(frozen=True)
class Pose:
    """Where the camera was and how it was turned.

    Attributes:
        position_km: (3,) in the body's frame.
        rotation: (3, 3) body's frame -> camera's frame.

    """

    position_km: Array
    rotation: Array

    @classmethod
    def of(cls, position_km: Array, sight: Array, north: Array) -> Pose:
        """Return a camera that sees the body's centre in one direction and its north in another.

        Args:
            position_km: (3,) in the body's frame.
            sight: (3,) direction of the body's centre in the camera's frame.
            north: (3,) direction in the camera's frame that, with ``sight``, spans the plane of the body's north pole.

        """
        towards = position_km / np.linalg.norm(position_km)
        forward = sight / np.linalg.norm(sight)
        up = north - (north @ forward) * forward
        up /= np.linalg.norm(up)
        pole = np.array([0.0, 0.0, 1.0]) - towards[2] * towards
        pole /= np.linalg.norm(pole)
        camera = np.stack([np.cross(forward, up), up, -forward])
        body = np.stack([np.cross(pole, towards), pole, towards])
        return cls(position_km, camera.T @ body)

    @property
    def range_km(self) -> float:
        """Distance from the body's centre."""
        return float(np.linalg.norm(self.position_km))

    def turned(self, start: Array, end: Array) -> Pose:
        """Return the camera turned by the smallest angle that brings what it saw in direction ``start`` to ``end``."""
        a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
        axis = np.cross(a, b)
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        return replace(self, rotation=(np.eye(3) + cross + cross @ cross / (1 + a @ b)) @ self.rotation)


@dataclass(frozen=True)
class Strip:
    """How the mosaic of a push-frame camera is laid out: each framelet has a pose of its own.

    Attributes:
        tops: (n,) first mosaic row of each framelet.
        framelet: (rows,) which framelet is shown in each row of the mosaic; -1 for none.

    """

    tops: NDArray[np.int64]
    framelet: NDArray[np.int64]

    def shown(self, y_px: Array) -> NDArray[np.int64]:
        """Return which framelet is shown at rows of the mosaic; -1 outside it."""
        row = np.rint(np.nan_to_num(y_px, nan=-1.0, posinf=-1.0, neginf=-1.0)).astype(np.int64)
        inside = (row >= 0) & (row < self.framelet.size)
        return np.where(inside, self.framelet[np.clip(row, 0, self.framelet.size - 1)], -1)


@dataclass(frozen=True)
class Backplanes:
    """What pixels see; arrays of one shape, NaN off the disk (the altitude is known everywhere).

    Attributes:
        lat_deg, lon_e_deg, lon_w_deg: where the line of sight meets the surface.
        altitude_km: height of the line of sight over the surface where it passes it closest; less than 0 on the disk.
        emission_deg: angle between the surface's normal and the camera.
        incidence_deg: angle between the surface's normal and the Sun.
        phase_deg: angle at the surface between the Sun and the camera.
        km_per_px: side of a pixel across the line of sight, at the surface.

    """

    lat_deg: NDArray[Any]
    lon_e_deg: NDArray[Any]
    lon_w_deg: NDArray[Any]
    altitude_km: NDArray[Any]
    emission_deg: NDArray[Any]
    incidence_deg: NDArray[Any]
    phase_deg: NDArray[Any]
    km_per_px: NDArray[Any]

    @classmethod
    def unknown(cls, shape: tuple[int, ...], dtype: type = np.float64) -> Backplanes:
        """Return planes that know nothing."""
        return cls(*(np.full(shape, np.nan, dtype) for _ in fields(cls)))


@dataclass(frozen=True)
class Pointing:
    """The geometry of a frame, and what it rests on. Everything that is not known is NaN.

    Attributes:
        source: ``spice``, ``label``, ``index``, ``limb`` or ``none``.
        optics: the camera; of a framelet where there is a strip.
        poses: the camera's, one, or one for each framelet of the strip; none where nothing is known.
        strip: layout of the framelets' mosaic.
        sun: (3,) unit vector to the Sun in the body's frame; NaN where not known.
        radii_km: the body's axes.
        oriented: whether the body's frame is known; if not there are altitudes and scales, but no places.
        phase_deg: phase angle at the centre, for where the Sun's place is not known.
        centre_sigma_px: 1-sigma of the disk's place on the frame.
        notes: what was tried before, and what did not fit.

    """

    source: str
    optics: Optics
    poses: tuple[Pose, ...] = ()
    strip: Strip | None = None
    sun: Array = field(default_factory=lambda: np.full(3, np.nan))
    radii_km: tuple[float, float, float] = IO_RADII_KM
    oriented: bool = True
    phase_deg: float = math.nan
    centre_sigma_px: float = math.nan
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is any geometry."""
        return bool(self.poses)

    @property
    def range_km(self) -> float:
        """From the camera to the body's centre; of the middle pose where there are several."""
        return self.poses[len(self.poses) // 2].range_km if self.poses else math.nan

    def noting(self, *notes: str) -> Pointing:
        """Return the same with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    @cached_property
    def sights(self) -> tuple[Sight, ...]:
        """What each pose sees."""
        return tuple(Sight.of(pose, self) for pose in self.poses)

    def at(self, x_px: float | Array, y_px: float | Array) -> Backplanes:
        """Return what pixels see, arrays of the shape of ``x_px`` and ``y_px`` together, float64."""
        x, y = np.broadcast_arrays(np.asarray(x_px, float), np.asarray(y_px, float))
        planes = Backplanes.unknown(x.shape)
        for sight, chosen, u, v in self._lines(x, y):
            sight.fill(planes, chosen, u, v)
        return planes

    def surface_point(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Planetocentric latitude and west longitude that a pixel sees, degrees; NaN off the disk."""
        seen = self.at(x_px, y_px)
        return float(seen.lat_deg), float(seen.lon_w_deg)

    def limb_point(self, x_px: float, y_px: float) -> tuple[float, float, float]:
        """Return over which place a line of sight passes the surface closest: latitude, west longitude, altitude in km.

        On the sky it is the foot of the point that is seen if it lies in the plane of the limb.
        """
        for sight, _, u, v in self._lines(np.asarray(x_px, float), np.asarray(y_px, float)):
            x, y, z = sight.closest(u, v)
            unknown = 0.0 if self.oriented else math.nan
            lat, lon = latitude(x, y, z) + unknown, west(east(np.degrees(np.arctan2(y, x)))) + unknown
            return float(lat), float(lon), float(sight.altitude(u, v)[0])
        return math.nan, math.nan, math.nan

    def pose_at(self, y_px: float) -> Pose:
        """The camera when it took a row of the frame; the first where no framelet shows the row."""
        number = 0 if self.strip is None else int(self.strip.shown(np.array(y_px, float)))
        return self.poses[max(number, 0)]

    def place_sigma_deg(self, x_px: float, y_px: float, sigma_px: float) -> float:
        """1-sigma in degrees of arc of a place read off with an error of ``sigma_px``, at most 90; NaN off the disk."""
        seen = self.at(x_px, y_px)
        across = sigma_px * float(seen.km_per_px) / IO_RADIUS_KM
        return min(90.0, math.degrees(across) / max(math.cos(math.radians(float(seen.emission_deg))), 1e-3))

    def project(
        self, lat_deg: float | Array, lon_w_deg: float | Array, altitude_km: float | Array = 0.0
    ) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return where places on (or above) the surface fall on the frame.

        Returns:
            x and y in pixels, perhaps outside the frame, NaN behind the camera or in no framelet; and whether the place
            is in front of the camera and not hidden by the body.

        """
        towards = direction(lat_deg, lon_w_deg)
        if not (self.known and self.oriented):
            nowhere = np.full(towards.shape[:-1], np.nan)
            return nowhere, nowhere.copy(), np.zeros(nowhere.shape, bool)
        level = 1 / np.sqrt(((towards / self.radii_km) ** 2).sum(-1))
        points = towards * (level + altitude_km)[..., None]
        return self.pixels(points)

    def pixels(self, points_km: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Return where points (..., 3) of the body's frame fall, as ``project``."""
        shape = points_km.shape[:-1]
        x, y, visible = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool)
        for number, sight in enumerate(self.sights):
            px, py, seen = sight.image(points_km)
            if self.strip is not None:
                py = py + self.strip.tops[number]
                px = np.where(self.strip.shown(py) == number, px, np.nan)
            first = np.isnan(x) & np.isfinite(px)
            x, y, visible = np.where(first, px, x), np.where(first, py, y), np.where(first, seen, visible)
        return x, y, visible

    def outline(self, count: int = 720) -> tuple[Array, Array, Array]:
        """Return the limb as it is seen: x, y in pixels (NaN where not seen), and the cosine of the Sun's incidence."""
        x: list[Array] = []
        y: list[Array] = []
        light: list[Array] = []
        for number, sight in enumerate(self.sights):
            rim = sight.rim(count)
            px, py, _ = sight.image(rim)
            if self.strip is not None:
                py = py + self.strip.tops[number]
                px = np.where(self.strip.shown(py) == number, px, np.nan)
            x, y, light = [*x, px], [*y, py], [*light, sight.sunlight(rim)]
        return np.concatenate([[], *x]), np.concatenate([[], *y]), np.concatenate([[], *light])

    def _lines(self, x: Array, y: Array) -> Iterator[tuple[Sight, NDArray[np.bool_] | Any, Array, Array]]:
        """Lines of sight by pose: what the pose sees, which of the pixels are its own, their directions."""
        if self.strip is None:
            for sight in self.sights:
                yield sight, ..., *self.optics.directions(x, y)
            return
        shown = self.strip.shown(y)
        for number in np.unique(shown[shown >= 0]):
            chosen = shown == number
            u, v = self.optics.directions(x[chosen], y[chosen] - self.strip.tops[number])
            yield self.sights[number], chosen, u, v


@dataclass(frozen=True)
class Sight:
    """What one pose sees, with everything about it that does not depend on the pixel.

    A line of sight is position + t R^T (u, v, 1) with t in km of depth; the body's scaled frame is divided by its axes.

    Attributes:
        pointing: to which the pose belongs.
        pose: the camera's.
        origin: (3,) the camera in the scaled frame.
        turn: (3, 3) camera's frame -> scaled frame.
        form: (3, 3), squared length of ``turn @ (u, v, 1)`` as a quadratic form.

    """

    pointing: Pointing
    pose: Pose
    origin: Array
    turn: Array
    form: Array

    @classmethod
    def of(cls, pose: Pose, pointing: Pointing) -> Sight:
        """Prepare one pose of a pointing."""
        radii = np.array(pointing.radii_km)
        turn = pose.rotation.T / radii[:, None]
        return cls(pointing, pose, pose.position_km / radii, turn, turn.T @ turn)

    def _scaled(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        """Squared length of the scaled direction, depth of the closest point and its squared distance, scaled."""
        f, g = self.form, self.origin @ self.turn
        square = (f[0, 0] * u + (2 * f[0, 2])) * u + (f[1, 1] * v + (2 * f[0, 1]) * u + 2 * f[1, 2]) * v + f[2, 2]
        along = g[0] * u + (g[1] * v + g[2])
        depth = np.maximum(-along / square, 0.0)
        return square, depth, self.origin @ self.origin + depth * (2 * along + depth * square)

    def altitude(self, u: Array, v: Array) -> tuple[Array, Array, Array, Array]:
        """Altitude in km, and what ``_scaled`` gives."""
        square, depth, near = self._scaled(u, v)
        position = self.pose.position_km
        h = self.pose.rotation @ position
        length2 = position @ position + depth * (2 * (h[0] * u + h[1] * v + h[2]) + depth * (1 + u * u + v * v))
        length = np.sqrt(np.maximum(length2, 0))
        radii = self.pointing.radii_km  # at the centre the quotient is lost in rounding
        level = np.clip(length / np.sqrt(np.maximum(near, 1e-12)), min(radii), max(radii))
        return length - level, square, depth, near

    def closest(self, u: Array, v: Array) -> tuple[Array, Array, Array]:
        """Return where lines of sight pass closest to the body, body's frame, km."""
        _, depth, _ = self._scaled(u, v)
        return self._along(u, v, depth)

    def _along(self, u: Array, v: Array, depth: Array) -> tuple[Array, Array, Array]:
        r, p = self.pose.rotation, self.pose.position_km
        x, y, z = (p[k] + depth * (r[0, k] * u + r[1, k] * v + r[2, k]) for k in range(3))
        return x, y, z

    def fill(self, planes: Backplanes, chosen: Any, u: Array, v: Array) -> None:
        """Write what lines of sight see into the ``chosen`` pixels of the planes.

        Args:
            planes: to be written to.
            chosen: index of pixels of the planes.
            u, v: their directions, arrays of the shape that the index gives, or that broadcast to it.

        """
        altitude, square, depth, near = self.altitude(u, v)
        planes.altitude_km[chosen] = altitude
        hit = (near < 1) & (depth > 0)
        if not hit.any():
            return
        whole = bool(hit.all())
        parts = (np.broadcast_to(a, hit.shape) for a in (u, v, square, depth, near))
        ground = self._ground(*(part if whole else part[hit] for part in parts))
        for name, values in ground.items():
            plane = getattr(planes, name)
            if whole:
                plane[chosen] = values
            else:
                block = plane[chosen]
                block[hit] = values
                plane[chosen] = block

    def _ground(self, u: Array, v: Array, square: Array, depth: Array, near: Array) -> dict[str, Array]:
        """Return every plane but the altitude for lines of sight that meet the body."""
        p, optics = self.pointing, self.pointing.optics
        inside = 1 - near
        depth = depth - np.sqrt(inside / square)
        x, y, z = self._along(u, v, depth)
        a, b, c = (1 / radius**2 for radius in p.radii_km)
        steep = 1 / np.sqrt((a * x) ** 2 + (b * y) ** 2 + (c * z) ** 2)
        length2 = 1 + u * u + v * v
        length = np.sqrt(length2)
        ground = {
            "emission_deg": _angle(np.sqrt(inside * square) * steep / length),
            "km_per_px": depth / (optics.focal_px * np.sqrt(length)),
        }
        if not p.oriented:
            return ground | {"phase_deg": np.full_like(depth, p.phase_deg)}
        lon = east(np.degrees(np.arctan2(y, x)))
        s, t = p.sun, self.pose.rotation @ p.sun
        return ground | {
            "lat_deg": latitude(x, y, z),
            "lon_e_deg": lon,
            "lon_w_deg": west(lon),
            "incidence_deg": _angle((a * s[0] * x + b * s[1] * y + c * s[2] * z) * steep),
            "phase_deg": _angle(-(t[0] * u + t[1] * v + t[2]) / length),
        }

    def image(self, points_km: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Where points (..., 3) of the body fall, x and y in pixels (NaN behind the camera); whether they are seen."""
        ray = (points_km - self.pose.position_km) @ self.pose.rotation.T
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = np.where(ray[..., 2] > 0, ray[..., 2], np.nan)
            u, v = ray[..., 0] / ahead, ray[..., 1] / ahead
        square, depth, near = self._scaled(u, v)
        surface = depth - np.sqrt(np.maximum(1 - near, 0) / square)
        # Lines that graze the body within a metre do not hide what they graze.
        hidden = (near < 1 - 1e-6) & (ray[..., 2] > surface + 1e-6 * depth)
        x, y = self.pointing.optics.pixels(u, v)
        return x, y, np.isfinite(u) & ~hidden

    def rim(self, count: int) -> Array:
        """(count, 3) points of the limb in the body's frame, km: where lines of sight touch the body."""
        distance = math.sqrt(self.origin @ self.origin)
        towards = self.origin / distance
        side = np.cross(towards, [0.0, 0.0, 1.0] if abs(towards[2]) < 0.9 else [1.0, 0.0, 0.0])
        side /= np.linalg.norm(side)
        turn = np.linspace(0, 2 * math.pi, count, endpoint=False)[:, None]
        ring = np.cos(turn) * side + np.sin(turn) * np.cross(towards, side)
        return (towards / distance + math.sqrt(1 - 1 / distance**2) * ring) * self.pointing.radii_km

    def sunlight(self, points_km: Array) -> Array:
        """Cosine of the Sun's incidence at points (n, 3) of the surface; NaN where the Sun's place is not known."""
        normal = points_km / np.array(self.pointing.radii_km) ** 2
        return normal @ self.pointing.sun / np.linalg.norm(normal, axis=-1)


def _angle(cosine: Array) -> Array:
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def backplanes(pointing: Pointing, where: tuple[int, int] | tuple[slice, slice]) -> Backplanes:
    """Return what every pixel of a frame, or of a box of it, sees.

    Args:
        pointing: the frame's geometry.
        where: (rows, columns) of the whole frame, or the box as (rows, columns) slices with a start and a stop.

    Returns:
        (h, w) float32 planes.

    """
    rows, columns = (part if isinstance(part, slice) else slice(0, part) for part in where)
    x, y = np.arange(columns.start, columns.stop, dtype=float)[None], np.arange(rows.start, rows.stop, dtype=float)
    planes = Backplanes.unknown((y.size, x.size), np.float32)
    for block in _blocks(pointing, y):
        for sight, top in _sight_of(pointing, y[block.start]):
            u, v = pointing.optics.directions(x, y[block][:, None] - top)
            sight.fill(planes, block, u, v)
    _in_range(planes)
    return planes


def _blocks(pointing: Pointing, y: Array) -> Iterator[slice]:
    """Runs of rows, none too long, each seen by one pose."""
    if not y.size:
        return
    shown = np.zeros(y.size, int) if pointing.strip is None else pointing.strip.shown(y)
    for run in np.split(np.arange(y.size), np.flatnonzero(np.diff(shown)) + 1):
        for start in range(int(run[0]), int(run[-1]) + 1, BLOCK_ROWS):
            yield slice(start, min(start + BLOCK_ROWS, int(run[-1]) + 1))


def _sight_of(pointing: Pointing, y: float) -> list[tuple[Sight, float]]:
    """What the pose of a row sees and the row where its picture begins; nothing for a row that none fills."""
    if pointing.strip is None:
        return [(sight, 0.0) for sight in pointing.sights]
    number = int(pointing.strip.shown(np.array(y)))
    return [(pointing.sights[number], float(pointing.strip.tops[number]))] if number >= 0 else []


def _in_range(planes: Backplanes) -> None:
    """Undo what rounding to float32 does at the ends of the longitudes."""
    planes.lon_w_deg[planes.lon_w_deg >= 360] = 0
    planes.lon_e_deg[planes.lon_e_deg >= 180] = -180
