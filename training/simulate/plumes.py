"""Volcanic plumes: fountains of dust on ballistic paths, seen as the column of dust along each line of sight.

Every grain leaves its vent with its own speed and angle, flies a Kepler ellipse, and is caught at a random moment of
its flight: the steady state is drawn exactly, and the picture is the grains' column density, smoothed with a grain that
is fine near the vent. Families after Strom et al. 1981 (ballistic umbrellas), Geissler & McMillan 2008 (dust columns
and gas haloes), Spencer et al. 2007 (Tvashtar's canopy); see ``FAMILIES``.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADIUS_KM
from detector.volcanoes import volcanoes
from training.simulate.dice import Rng, log_uniform
from training.simulate.geometry import Array, Geometry, direction, lat_lon_w
from training.simulate.light import Image

GRAVITY_KM_S2 = 1.796e-3
MU_KM3_S2 = GRAVITY_KM_S2 * IO_RADIUS_KM**2
GRAINS = 6000
WAVELENGTH_UM = 0.55
LARGEST_PX, TALLEST_PX = 320, 80
"""Larger patches and taller plumes are drawn at reduced resolution: a plume is smooth."""
SOFT = (0.015, 0.035, 0.06, 0.11)
"""1-sigma of a grain in plume heights: near the vent, further, far, and in the halo."""


@dataclass(frozen=True)
class Family:
    """How the grains of a kind of plume are launched.

    Attributes:
        speed_spread: relative 1-sigma of the launch speed.
        cone_deg: range of angles from the plume's axis, uniform in solid angle.
        tilt_deg: largest tilt of the axis from the vertical.
        halo: share of grains in a diffuse envelope, up to 1.6 times as fast.
        streaks: how unevenly the grains are spread in azimuth and speed, 0 smooth .. 1 filaments.
        vents_km: length of the fissure or radius of the lake that they come from.
        ring: whether the vents lie on a ring, not along a line.
        one_sided: whether grains leave to one side only.

    """

    speed_spread: float
    cone_deg: tuple[float, float]
    tilt_deg: float
    halo: float
    streaks: float = 0.2
    vents_km: float = 0.0
    ring: bool = False
    one_sided: bool = False


FAMILIES = {
    "umbrella": Family(0.07, (0, 55), 5, 0.1),  # Prometheus
    "canopy": Family(0.015, (20, 60), 5, 0.04, streaks=0.8),  # Pele, Tvashtar: bright rim, filaments
    "core_halo": Family(0.3, (0, 30), 8, 0.4),  # Thor: dense column in a faint wide halo
    "jet": Family(0.15, (0, 12), 35, 0.05),
    "dome": Family(0.45, (0, 75), 5, 0.3),
    "asymmetric": Family(0.15, (0, 45), 25, 0.1, streaks=0.5, one_sided=True),
    "ring_jet": Family(0.1, (0, 25), 10, 0.1, streaks=0.5, vents_km=60, ring=True),
    "fissure": Family(0.2, (0, 20), 10, 0.15, streaks=0.5, vents_km=120),
    "gas_halo": Family(0.5, (0, 85), 3, 1.0, streaks=0.0),  # what glows in eclipse
}
FAMILY_SHARES = (0.28, 0.12, 0.16, 0.08, 0.12, 0.08, 0.05, 0.06, 0.05)
PLACE_SHARES = {"limb": 0.65, "disk": 0.2, "terminator": 0.15}


@dataclass(frozen=True)
class Plume:
    """One plume.

    Attributes:
        lat_deg, lon_w_deg: the vent.
        height_km: of the fastest ordinary grain that goes straight up.
        family: a key of ``FAMILIES``.
        optical_depth: at 0.55 um, of the densest line of sight when the whole plume is seen from the side.
        seed: of its grains.
        name: of the volcano; empty for a made-up one.
        blueness: optical depth goes as wavelength^-blueness.
        glow: in eclipse, the I/F-equivalent emission of the densest line of sight; 0 by day.
        albedo: single-scattering albedo.
        forward: Henyey-Greenstein asymmetry of the grains.

    """

    lat_deg: float
    lon_w_deg: float
    height_km: float
    family: str
    optical_depth: float
    seed: int
    name: str = ""
    blueness: float = 2.0
    glow: float = 0.0
    albedo: float = 0.9
    forward: float = 0.4

    def source_i_over_f(self, phase_deg: float) -> float:
        """I/F of an optically thick column in sunlight by single scattering, w p(alpha) / 4; brighter forward."""
        cosine = -math.cos(math.radians(phase_deg))  # of the scattering angle
        g = self.forward
        p = (1 - g * g) / (1 + g * g - 2 * g * cosine) ** 1.5
        return self.albedo * p / 4

    def depth_at(self, wavelength_um: float) -> float:
        """Optical depth of the densest side-on line of sight at a wavelength."""
        return self.optical_depth * (WAVELENGTH_UM / wavelength_um) ** self.blueness


# -- flight ---------------------------------------------------------------------------------------------------------


def launch_speed(height_km: float) -> float:
    """Speed, km/s, of a grain that goes straight up to a height, in 1/r² gravity."""
    return math.sqrt(2 * MU_KM3_S2 * (1 / IO_RADIUS_KM - 1 / (IO_RADIUS_KM + height_km)))


def fly(speed: Array, angle: Array, moment: Array) -> tuple[Array, Array, Array]:
    """Kepler flight in 1/r² gravity.

    Args:
        speed: km/s, below the escape speed of 2.56. angle: from the vertical, radians. moment: 0..1 of the time from
            launch to landing.

    Returns:
        angle along the ground from the vent (radians), altitude in km, and the whole flight's duration in s.

    """
    square = speed**2 * IO_RADIUS_KM / MU_KM3_S2  # in units of the circular speed
    axis = IO_RADIUS_KM / (2 - square)
    momentum = square * np.sin(angle) ** 2  # p / R
    eccentricity = np.sqrt(np.maximum(1 - momentum * (2 - square), 1e-12))
    start = np.arccos(np.clip((1 - IO_RADIUS_KM / axis) / eccentricity, -1, 1))  # eccentric anomaly at launch
    rate = np.sqrt(MU_KM3_S2 / axis**3)
    mean = start - eccentricity * np.sin(start)
    wanted = mean + moment * 2 * (np.pi - mean)
    anomaly = start + moment * 2 * (np.pi - start)
    for _ in range(6):  # Newton on Kepler's equation; the arc lies around apocentre, where it is nearly straight
        anomaly -= (anomaly - eccentricity * np.sin(anomaly) - wanted) / (1 - eccentricity * np.cos(anomaly))
    radius = axis * (1 - eccentricity * np.cos(anomaly))
    bend = np.sqrt((1 + eccentricity) / np.maximum(1 - eccentricity, 1e-12))
    arc = 2 * (np.arctan2(bend * np.sin(anomaly / 2), np.cos(anomaly / 2)) - np.arctan2(
        bend * np.sin(start / 2), np.cos(start / 2)
    ))  # fmt: skip
    return arc, np.maximum(radius - IO_RADIUS_KM, 0), 2 * (np.pi - mean) / rate


@dataclass(frozen=True)
class Dust:
    """The grains of a plume.

    Attributes:
        places: (N, 3) km in the body's frame.
        weight: (N,) time aloft, times the jet's density; sums to 1.
        thin: (N,) bool: of the halo, where grains are few and stand for much.

    """

    places: Array
    weight: Array
    thin: NDArray[np.bool_]


@functools.lru_cache(maxsize=64)
def grains(plume: Plume, count: int = GRAINS) -> Dust:
    """The steady state of a plume: grains caught at random moments of their flights."""
    family, rng = FAMILIES[plume.family], np.random.default_rng(plume.seed)
    top = launch_speed(plume.height_km)
    speed: Array = top * np.clip(1 - np.abs(rng.normal(0, family.speed_spread, count)), 0.05, 1)
    halo = rng.random(count) < family.halo
    fastest = rng.uniform(1.05, 1.6) if family.halo < 1 else 1.25
    speed[halo] = top * fastest * rng.random(int(halo.sum())) ** 0.5
    low, high = np.cos(np.radians(family.cone_deg))
    angle = np.arccos(rng.uniform(high, low, count))
    heading = rng.uniform(0, 2 * np.pi, count) if not family.one_sided else rng.normal(0, 0.6, count)
    across = np.stack([np.sin(angle) * np.cos(heading), np.sin(angle) * np.sin(heading), np.cos(angle)], -1)
    lean = _lean(np.radians(rng.uniform(0.3, 1) * family.tilt_deg), rng.uniform(0, 2 * np.pi))
    launched = across @ lean.T
    angle = np.arccos(np.clip(launched[:, 2], 0.03, 1))
    heading = np.arctan2(launched[:, 1], launched[:, 0])
    uneven = _streaks(rng, heading, speed / top, family.streaks)
    arc, altitude, aloft = fly(np.minimum(speed, 2.2), angle, rng.random(count))
    vents = _vents(rng, plume, family, count)
    weight = aloft * uneven
    return Dust(_placed(vents, heading, arc, altitude), weight / weight.sum(), halo)


def _streaks(rng: Rng, heading: Array, speed: Array, amount: float) -> Array:
    """Relative density of grains by heading and speed: jets within the cone, and pulses."""
    if amount <= 0:
        return np.ones(len(heading))
    density = np.zeros(len(heading))
    for k in (1, 2, 3, 5, 8):
        density += rng.normal(0, 1 / math.sqrt(k)) * np.cos(k * heading + rng.uniform(0, 2 * np.pi))
    density += rng.normal(0, 0.5) * np.cos(2 * np.pi * speed * rng.uniform(1, 3))
    return np.asarray(np.exp(0.7 * amount * density))


def _vents(rng: Rng, plume: Plume, family: Family, count: int) -> Array:
    """Unit vectors of the places that the grains come from (count, 3)."""
    vent = direction(plume.lat_deg, plume.lon_w_deg)
    if family.vents_km == 0:
        return np.broadcast_to(vent, (count, 3))
    east = np.cross([0, 0, 1.0], vent)
    east /= np.linalg.norm(east)
    north = np.cross(vent, east)
    size = family.vents_km * rng.uniform(0.3, 1) / IO_RADIUS_KM
    if family.ring:
        jets = rng.uniform(0, 2 * np.pi, rng.integers(3, 9))
        turn = rng.choice(jets, count) + rng.normal(0, 0.05, count)
        where = size * (np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north)
    else:
        strike = rng.uniform(0, np.pi)
        where = size * rng.uniform(-0.5, 0.5, count)[:, None] * (np.cos(strike) * east + np.sin(strike) * north)
    places = vent + where
    return np.asarray(places / np.linalg.norm(places, axis=1, keepdims=True))


def _placed(vents: Array, heading: Array, arc: Array, altitude: Array) -> Array:
    east = np.stack([-vents[:, 1], vents[:, 0], np.zeros(len(vents))], -1)
    east /= np.maximum(np.linalg.norm(east, axis=1, keepdims=True), 1e-9)
    north = np.cross(vents, east)
    ways = np.cos(heading)[:, None] * east + np.sin(heading)[:, None] * north
    return (IO_RADIUS_KM + altitude[:, None]) * (np.cos(arc)[:, None] * vents + np.sin(arc)[:, None] * ways)


def _lean(tilt: float, towards: float) -> Array:
    c, s = np.cos(tilt), np.sin(tilt)
    a, b = np.cos(towards), np.sin(towards)
    turn = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])
    return turn @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ turn.T


# -- on the picture -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """Column densities, each (h, w) float32; 1 = the densest line of sight of the whole plume seen from the side.

    Attributes:
        row, column: of the patch's first pixel on the picture.
        seen: in front of the body or the sky; what the body hides is left out.
        lit: the part of ``seen`` that the Sun reaches.
        shadow: along the ray of the Sun that reaches the ground of each pixel; 0 where none is in shadow.

    """

    row: int
    column: int
    seen: Image
    lit: Image
    shadow: Image


def plume_columns(plume: Plume, geometry: Geometry, shape: tuple[int, int]) -> Columns | None:
    """The plume's columns on the picture; None when nothing of it is there."""
    dust = grains(_unscaled(plume))
    points = dust.places @ geometry.rotation.T
    seen = ~_hidden(points, geometry.range_km)
    x, y = geometry.project(points)
    margin = 3 * SOFT[-1] * plume.height_km / geometry.km_per_px + 3
    ground, shaded = _shadows(points, geometry)
    gx, gy = geometry.project(ground[shaded])
    box = _box(np.concatenate([x[seen], gx]), np.concatenate([y[seen], gy]), margin, shape)
    if box is None or not seen.any():
        return None
    tall = plume.height_km / geometry.km_per_px
    shrink = max(1.0, max(box[2], box[3]) / LARGEST_PX, tall / TALLEST_PX)
    canvas = _Canvas(box, shrink, tall / shrink)
    lit = seen & _sunlit(points, geometry.sun)
    unit = _densest(_unscaled(plume)) * geometry.km_per_px**2 * shrink**2
    soft = _softness(dust, plume)
    maps = [canvas.column(x[some], y[some], dust.weight[some], soft[some]) / unit for some in (seen, lit)]
    shadow = canvas.column(gx, gy, dust.weight[shaded], soft[shaded]) / unit
    return Columns(box[0], box[1], *(canvas.enlarged(each) for each in (*maps, shadow)))


def _unscaled(plume: Plume) -> Plume:
    """The plume without what does not move its grains: the key of what is kept of it."""
    return replace(plume, optical_depth=1.0, glow=0.0, blueness=2.0, albedo=0.9, forward=0.4, name="")


def _softness(dust: Dust, plume: Plume) -> NDArray[np.int64]:
    """Index into ``SOFT`` of each grain: fine near the vent, coarse far from it and in the halo (few grains)."""
    vent = IO_RADIUS_KM * direction(plume.lat_deg, plume.lon_w_deg)
    far = np.linalg.norm(dust.places - vent, axis=1) / plume.height_km
    return np.where(dust.thin, 3, np.digitize(far, (0.3, 0.7)))


@functools.lru_cache(maxsize=256)
def _densest(plume: Plume) -> float:
    """Column of the densest line of sight from the side, 1/km², smoothed like the pictures are."""
    dust = grains(plume)
    vent = direction(plume.lat_deg, plume.lon_w_deg)
    side = np.cross([0, 0, 1.0], vent)
    side /= np.linalg.norm(side)
    km = max(plume.height_km / 40, 0.2)  # of a pixel: 40 of them to the top
    canvas = _Canvas((0, 0, 64, 160), 1.0, 40.0)
    x, y = dust.places @ side / km + 80, 56 - (dust.places @ vent - IO_RADIUS_KM) / km
    return float(canvas.column(x, y, dust.weight, _softness(dust, plume)).max()) / km**2


@dataclass(frozen=True)
class _Canvas:
    """A patch (row, column, height, width) drawn ``shrink`` times smaller; ``tall_px``: the plume's height there."""

    box: tuple[int, int, int, int]
    shrink: float
    tall_px: float

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the reduced patch."""
        return max(math.ceil(self.box[2] / self.shrink), 1), max(math.ceil(self.box[3] / self.shrink), 1)

    def column(self, x: Array, y: Array, weight: Array, soft: NDArray[np.int64]) -> Image:
        """Grains at picture pixels -> column density of the reduced patch; ``soft``: index of their size."""
        rows, columns = self.size
        px = (x - self.box[1] + 0.5) / self.shrink - 0.5
        py = (y - self.box[0] + 0.5) / self.shrink - 0.5
        total = np.zeros((rows, columns), np.float32)
        for kind, share in enumerate(SOFT):
            some = soft == kind
            if some.any():
                sigma = max(0.5, share * self.tall_px)
                piece = _deposit(px[some], py[some], weight[some], (rows, columns))
                total += cv2.GaussianBlur(piece, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        return total

    def enlarged(self, patch: Image) -> Image:
        """The reduced patch at the picture's resolution."""
        if self.shrink == 1:
            return patch
        return cv2.resize(patch, (self.box[3], self.box[2]), interpolation=cv2.INTER_LINEAR)


def _box(x: Array, y: Array, margin: float, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Row, column, height and width of what the points cover of the picture."""
    if not x.size:
        return None
    left, right = max(int(x.min() - margin), 0), min(int(x.max() + margin) + 1, shape[1])
    top, bottom = max(int(y.min() - margin), 0), min(int(y.max() + margin) + 1, shape[0])
    return (top, left, bottom - top, right - left) if bottom > top and right > left else None


def _sunlit(points: Array, sun: Array) -> NDArray[np.bool_]:
    """Outside Io's shadow."""
    along = points @ sun
    return (along > 0) | (np.linalg.norm(points - along[:, None] * sun, axis=-1) > IO_RADIUS_KM)


def _shadows(points: Array, geometry: Geometry) -> tuple[Array, NDArray[np.bool_]]:
    """Where each grain's shadow falls (N, 3), and whether it falls on ground that the camera sees."""
    sun = geometry.sun
    along = points @ sun
    miss2 = np.maximum((points * points).sum(1) - along**2, 0)
    falls = (along > 0) & (miss2 < IO_RADIUS_KM**2)
    deep = np.sqrt(np.maximum(IO_RADIUS_KM**2 - miss2, 0))
    ground = points - (along - deep)[:, None] * sun
    towards = np.array([0, 0, geometry.range_km]) - ground
    return ground, falls & ((ground * towards).sum(1) > 0)


def _hidden(points: Array, range_km: float) -> NDArray[np.bool_]:
    """Whether the body stands between the camera and each point."""
    ray = points - np.array([0, 0, range_km])
    length = np.linalg.norm(ray, axis=-1)
    nearest = -(ray[:, 2] * range_km) / length  # distance along the ray to the point closest to the centre
    miss2 = np.maximum(range_km**2 - nearest**2, 0)
    return (miss2 < IO_RADIUS_KM**2) & (nearest < length)


def _deposit(x: Array, y: Array, weight: Array, shape: tuple[int, int]) -> Image:
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


def plume_width_km(plume: Plume) -> float:
    """Diameter of the circle around the vent over which all but 3 % of the plume's dust hangs."""
    dust = grains(_unscaled(plume))
    vent = direction(plume.lat_deg, plume.lon_w_deg)
    off = np.arccos(np.clip(dust.places @ vent / np.linalg.norm(dust.places, axis=1), -1, 1)) * IO_RADIUS_KM
    order = np.argsort(off)
    return float(2 * off[order][np.searchsorted(np.cumsum(dust.weight[order]), 0.97)])


# -- the population -------------------------------------------------------------------------------------------------


def draw_plume(rng: Rng, geometry: Geometry, families: tuple[str, ...] = (), place: str = "any") -> Plume:
    """A plume where something of it may be seen.

    Args:
        rng: of the plume.
        geometry: who looks from where.
        families: to choose from; none = all, as common as they are.
        place: ``limb`` (vent on, before or behind it), ``disk``, ``terminator`` (dark ground, the top in sunlight), or
            ``any``.

    """
    kind = place if place != "any" else str(rng.choice(list(PLACE_SHARES), p=list(PLACE_SHARES.values())))
    height = float(
        [rng.uniform(20, 40), rng.uniform(40, 120), rng.uniform(120, 250), rng.uniform(250, 450)][
            rng.choice(4, p=[0.08, 0.62, 0.2, 0.1])
        ]
    )
    lat, lon_w, name = _place(rng, geometry, kind, height)
    family = str(rng.choice(families)) if families else str(rng.choice(list(FAMILIES), p=FAMILY_SHARES))
    return Plume(
        lat,
        lon_w,
        height,
        family,
        log_uniform(rng, 0.005, 1.0),
        int(rng.integers(2**31)),
        name,
        blueness=rng.uniform(0, 4),
        albedo=rng.uniform(0.7, 1.0),
        forward=rng.uniform(0.3, 0.6) if rng.random() < 0.7 else rng.uniform(0.1, 0.85),
    )


@functools.cache
def _known() -> tuple[NDArray[np.str_], Array]:
    """Names and unit vectors of the volcanoes that have had plumes."""
    seen = [v for v in volcanoes() if v.plume]
    return np.array([v.name for v in seen]), np.stack([direction(v.lat_deg, v.lon_w_deg) for v in seen])


def _place(rng: Rng, geometry: Geometry, kind: str, height_km: float) -> tuple[float, float, str]:
    """Latitude, west longitude and name of a vent: two fifths of a known volcano, if one lies where it should."""
    names, known = _known()
    fits = np.flatnonzero(_fits(known, geometry, kind, height_km))
    if len(fits) and rng.random() < 0.4:
        chosen = int(rng.choice(fits))
        point, name = known[chosen] + rng.normal(0, 4 / IO_RADIUS_KM, 3), str(names[chosen])
    else:
        somewhere = rng.normal(size=(4000, 3))
        somewhere /= np.linalg.norm(somewhere, axis=1, keepdims=True)
        good = np.flatnonzero(_fits(somewhere, geometry, kind, height_km))
        point, name = somewhere[good[0] if len(good) else 0], ""
    lat, lon_w = lat_lon_w(point)
    return float(lat), float(lon_w), name


def _fits(points: Array, geometry: Geometry, kind: str, height_km: float) -> NDArray[np.bool_]:
    """Whether vents at unit vectors (N, 3) of the body's frame lie where the kind of place wants them."""
    horizon = math.acos(IO_RADIUS_KM / geometry.range_km)
    over = math.acos(IO_RADIUS_KM / (IO_RADIUS_KM + height_km))
    apart = np.arccos(np.clip(points @ direction(*geometry.sub_spacecraft), -1, 1)) - horizon
    night = np.arccos(np.clip(points @ direction(*geometry.sub_solar), -1, 1)) - math.pi / 2
    if kind == "limb":
        return (apart > -1.0 * over) & (apart < 0.75 * over)
    if kind == "terminator":
        return (apart < 0) & (night > 0) & (night < 0.8 * over)
    return apart < -over
