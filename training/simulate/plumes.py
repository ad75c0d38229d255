"""Volcanic plumes: fountains of dust on ballistic paths, seen as the column of dust along each line of sight.

Every grain leaves its vent with its own speed and angle, flies a Kepler ellipse, and is caught somewhere on its
flight: the steady state is drawn exactly, and the picture is the grains' column density, smoothed with a grain that is
fine near the vent. Families after Strom et al. 1981 (ballistic umbrellas), Geissler & McMillan 2008 (dust columns and
gas haloes), Spencer et al. 2007 (Tvashtar's canopy); see ``FAMILIES``.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import erfinv

from detector.frame import IO_RADII_KM, IO_RADIUS_KM
from detector.volcanoes import volcanoes
from training.simulate.ballistics import compass, fly, launch_speed, places
from training.simulate.dice import Rng, log_uniform
from training.simulate.geometry import Array, Geometry, direction, lat_lon_w
from training.simulate.lens import Pinhole
from training.simulate.light import Image

GRAINS = 3600
WAVELENGTH_UM = 0.55
SOFT = (0.012, 0.027, 0.055, 0.10)
"""1-sigma of a grain in plume heights: near its vent, further, far, and in the halo."""
REACH = 8.0
"""Shadows further from the vent than so many plume heights are too thin to matter."""
HALO_GRAINS = 0.2
"""Share of the grains that make the halo, however little dust it holds: few would show as blots."""
LEAST_SUN = 0.03
"""Ground on which the Sun stands lower (cosine of the incidence) is dark with or without a plume's shadow."""


@dataclass(frozen=True)
class Family:
    """How the grains of a kind of plume are launched.

    Attributes:
        speed_spread: relative 1-sigma of the launch speed.
        cone_deg: range of angles from the plume's axis, uniform in solid angle.
        tilt_deg: largest tilt of the axis from the vertical.
        halo: share of the dust in a diffuse envelope.
        halo_height: range of its height, in heights of the ordinary grains.
        streaks: how unevenly the grains are spread over directions and moments, 0 smooth .. 1 filaments.
        canopy: share of the dust that only condenses near the top of its flight.
        vents: length of the fissure or radius of the lake that they come from, in plume heights; at most 120 km.
        ring: whether the vents lie on a ring, not along a line.
        one_sided: whether grains leave to one side only.

    """

    speed_spread: float
    cone_deg: tuple[float, float]
    tilt_deg: float
    halo: float
    halo_height: tuple[float, float] = (1.1, 1.8)
    streaks: float = 0.25
    canopy: float = 0.0
    vents: float = 0.0
    ring: bool = False
    one_sided: bool = False


FAMILIES = {
    "umbrella": Family(0.07, (0, 55), 5, 0.1),  # Prometheus
    "canopy": Family(0.02, (0, 50), 5, 0.05, (1.05, 1.3), streaks=0.9, canopy=0.9),  # Pele, Tvashtar
    "core_halo": Family(0.3, (0, 30), 8, 0.5, (2.5, 4.4)),  # Thor: 110 km of dust in a faint halo of 440
    "jet": Family(0.15, (0, 12), 35, 0.05),
    "dome": Family(0.45, (0, 75), 5, 0.3),
    "asymmetric": Family(0.15, (0, 45), 25, 0.1, streaks=0.5, one_sided=True),
    "ring_jet": Family(0.1, (0, 25), 10, 0.1, streaks=0.5, vents=0.6, ring=True),
    "fissure": Family(0.2, (0, 20), 10, 0.15, streaks=0.5, vents=1.3),
    "gas_halo": Family(0.0, (0, 0), 0, 1.0, streaks=0.0),  # what glows in eclipse: not ballistic
}
FAMILY_SHARES = (0.28, 0.12, 0.16, 0.08, 0.12, 0.08, 0.05, 0.06, 0.05)
PLACE_SHARES = {"limb": 0.65, "disk": 0.2, "terminator": 0.15}
HEIGHTS_KM = ((20, 40), (40, 120), (120, 250), (250, 450))
HEIGHT_SHARES = (0.08, 0.62, 0.2, 0.1)


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


# -- grains ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dust:
    """The grains of a plume, the finest first.

    Attributes:
        places: (N, 3) km in the body's frame.
        weight: (N,) share of the plume's dust; sums to 1.
        ends: after how many grains each size of ``SOFT`` ends.

    """

    places: Array
    weight: Array
    ends: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def grains(plume: Plume, count: int = GRAINS) -> Dust:
    """The steady state of a plume: grains caught anywhere on their flights, weighted by the time spent there."""
    family, rng = FAMILIES[plume.family], np.random.default_rng(plume.seed)
    chances = _even(rng, count, 6)
    if plume.family == "gas_halo":
        return _gas(plume, rng, chances)
    thin = np.arange(count) < count * HALO_GRAINS
    speed = _speeds(plume, family, rng, chances[:, 0], thin)
    angle, heading = _aims(family, rng, chances[:, 1], chances[:, 2])
    crowd = 1.0 if family.canopy > 0 else 1.7  # more and lighter grains near a vent that is bright and fine
    share = chances[:, 3] ** crowd
    flight = fly(speed, angle, share)
    clumps = _clumps(rng, heading, angle, share, family)
    weight = flight.dwell * chances[:, 3] ** (crowd - 1) * np.where(thin, 1.0, clumps)
    weight[thin] *= family.halo / weight[thin].sum() * weight[~thin].sum() / (1 - family.halo)
    vents = _vents(rng, plume, family, chances[:, 4])
    far = np.hypot(flight.arc * IO_RADIUS_KM, flight.altitude) / plume.height_km
    size = np.where(thin, 3, np.digitize(far * (0.7 + 0.6 * chances[:, 5]), (0.13, 0.4)))
    return _sorted(places(vents, heading, flight.arc, flight.altitude), weight, size)


def _even(rng: Rng, count: int, dimensions: int) -> Array:
    """(count, dimensions) numbers 0..1 spread more evenly than chance does: Roberts' additive sequence, shifted."""
    ratio = 1.5
    for _ in range(30):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return np.asarray((rng.random(dimensions) + np.arange(1, count + 1)[:, None] * steps) % 1)


def _speeds(plume: Plume, family: Family, rng: Rng, chance: Array, thin: NDArray[np.bool_]) -> Array:
    """Launch speeds: a half-normal spread below the fastest; the halo's go on to a height of its own."""
    slower = math.sqrt(2) * erfinv(0.999 * chance) * family.speed_spread
    ordinary = launch_speed(plume.height_km) * np.clip(1 - slower, 0.15, 1)
    highest = min(plume.height_km * rng.uniform(*family.halo_height), max(plume.height_km * 1.1, 600.0))
    return np.where(thin, launch_speed(highest) * (0.05 + 0.95 * np.sqrt(chance)), ordinary)


def _aims(family: Family, rng: Rng, up: Array, around: Array) -> tuple[Array, Array]:
    """Angle from the vertical and heading of each grain, radians: within a cone about a leaning axis."""
    low, high = np.cos(np.radians(family.cone_deg))
    angle = np.arccos(high + (low - high) * up)
    side = 0.85 * erfinv(1.99 * (around - 0.5)) if family.one_sided else 2 * np.pi * around
    across = np.stack([np.sin(angle) * np.cos(side), np.sin(angle) * np.sin(side), np.cos(angle)], -1)
    lean = _lean(np.radians(rng.uniform(0.3, 1) * family.tilt_deg), rng.uniform(0, 2 * np.pi))
    launched = across @ lean.T
    return np.arccos(np.clip(launched[:, 2], 0.03, 0.99999)), np.arctan2(launched[:, 1], launched[:, 0])


def _lean(tilt: float, towards: float) -> Array:
    c, s = np.cos(tilt), np.sin(tilt)
    a, b = np.cos(towards), np.sin(towards)
    turn = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])
    return turn @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ turn.T


def _clumps(rng: Rng, heading: Array, angle: Array, share: Array, family: Family) -> Array:
    """Relative density of grains: jets within the cone, pulses in time, and dust that condenses on high."""
    table = (0.6 * rng.normal(size=(4, 24)) + 0.8 * rng.normal(size=24)).astype(np.float32)
    x = (heading / (2 * np.pi) % 1 * 24).astype(np.float32)
    y = (3 * angle / max(math.radians(family.cone_deg[1]), 0.2)).astype(np.float32)
    wrapped = np.concatenate([table, table[:, :1]], 1)
    jets = cv2.remap(wrapped, x[None], np.clip(y, 0, 3)[None], cv2.INTER_LINEAR)[0]
    pulses = np.interp(share, np.linspace(0, 1, 9), rng.normal(0, 0.5, 9))
    condensed = 1 / (1 + np.exp(-(share - rng.uniform(0.3, 0.42)) / 0.04))
    return np.asarray(np.exp(family.streaks * (jets + pulses)) * (1 - family.canopy * (1 - condensed)))


def _gas(plume: Plume, rng: Rng, chances: Array) -> Dust:
    """A smooth envelope: thins out upwards with a scale height of about a third of the plume's, and sideways."""
    vent = np.broadcast_to(direction(plume.lat_deg, plume.lon_w_deg), (len(chances), 3))
    altitude = plume.height_km * (1 - chances[:, 0] ** (1 / rng.uniform(2.5, 4.5)))
    wide = plume.height_km * rng.uniform(0.6, 1.6)
    outline = 1 - (altitude / plume.height_km) ** 2
    arc = wide / IO_RADIUS_KM * np.sqrt(outline * (1 - chances[:, 1] ** (1 / 3.5)))
    where = places(vent, 2 * np.pi * chances[:, 2], arc, altitude)
    return _sorted(where, np.ones(len(where)), np.full(len(where), 3))


def _vents(rng: Rng, plume: Plume, family: Family, chance: Array) -> Array:
    """Unit vectors of the places that the grains come from (N, 3)."""
    vent = direction(plume.lat_deg, plume.lon_w_deg)
    if family.vents == 0:
        return np.broadcast_to(vent, (len(chance), 3))
    east, north = compass(vent)
    size = min(family.vents * plume.height_km, 120) * rng.uniform(0.4, 1) / IO_RADIUS_KM
    if family.ring:
        jets = rng.uniform(0, 2 * np.pi, rng.integers(3, 9))
        turn = jets[(chance * len(jets)).astype(int)] + 0.2 * (chance * len(jets) % 1 - 0.5)
        where = size * (np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north)
    else:
        strike = rng.uniform(0, np.pi)
        along = np.interp(chance, np.r_[0, np.sort(rng.random(6)), 1], np.linspace(-0.5, 0.5, 8))
        where = size * along[:, None] * (np.cos(strike) * east + np.sin(strike) * north)
    spread = vent + where
    return np.asarray(spread / np.linalg.norm(spread, axis=1, keepdims=True))


def _sorted(where: Array, weight: Array, size: NDArray[np.int64]) -> Dust:
    order = np.argsort(size, kind="stable")
    ends = tuple(int(n) for n in np.cumsum(np.bincount(size, minlength=len(SOFT))))
    return Dust(np.ascontiguousarray(where[order]), weight[order] / weight.sum(), ends)


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
    """The plume's columns on the picture; None when nothing of it is there.

    Args:
        plume: its place, size and grains; how bright it is does not matter here.
        geometry: who looks from where.
        shape: rows and columns of the picture.

    """
    key = _unscaled(plume)
    dust, view = grains(key), _View.of(geometry)
    points = dust.places @ geometry.rotation.T
    vent = geometry.rotation @ direction(plume.lat_deg, plume.lon_w_deg) * IO_RADIUS_KM
    tall = plume.height_km / (view.km_per_px(vent[None])[0])
    before, lit = view.before(points), view.lit(points)
    here = _Grains(*geometry.project(points), dust.weight / view.km_per_px(points) ** 2, dust.ends)
    there = _shadows(points, dust, view, vent, REACH * plume.height_km)
    soft = tall * _stretch(view, vent)
    box = _box(((here, tall), (there, soft)), shape)
    if box is None:
        return None
    layers = _Canvas(box, tall).painted(here, 2 * before + lit, 4)  # behind the limb: dark, lit; before it: dark, lit
    (shade,) = _Canvas(box, soft).painted(there, np.zeros(len(there.x), np.int64), 1)
    return _columns(layers, shade, box, view, _densest(key)).within(shape)


def _unscaled(plume: Plume) -> Plume:
    """The plume without what does not move its grains: the key of what is kept of it."""
    return replace(plume, optical_depth=1.0, glow=0.0, blueness=2.0, albedo=0.9, forward=0.4, name="")


@dataclass(frozen=True)
class _View:
    """The camera and the Sun where the body is the unit ball: what hides and shades is then exact for three axes.

    Attributes:
        geometry: who looks from where.
        to_ball: (3, 3): camera-frame row vectors @ this = lengths in the body's radii.
        camera, sun: (3,) in those lengths; the Sun's is a direction.

    """

    geometry: Geometry
    to_ball: Array
    camera: Array
    sun: Array

    @classmethod
    def of(cls, geometry: Geometry) -> _View:
        to_ball = geometry.rotation / np.array(IO_RADII_KM)
        sun = geometry.sun @ to_ball
        return cls(geometry, to_ball, np.array([0, 0, geometry.range_km]) @ to_ball, sun)

    def km_per_px(self, points: Array) -> Array:
        """Scale (N,) at the distance of points (N, 3)."""
        return np.asarray((self.geometry.range_km - points[:, 2]) * self.geometry.ifov_rad)

    def before(self, points: Array) -> NDArray[np.bool_]:
        """On this side of the plane through the limb: seen even in front of the disk."""
        return np.asarray((points @ self.to_ball) @ self.camera > 1)

    def lit(self, points: Array) -> NDArray[np.bool_]:
        """Outside Io's shadow."""
        ball = points @ self.to_ball
        along = ball @ self.sun
        return np.asarray((along > 0) | ((ball * ball).sum(1) - along**2 / (self.sun @ self.sun) > 1))

    def cover(self, box: tuple[int, int, int, int]) -> Image:
        """(h, w) share of each pixel of a box (row, column, height, width) that the body fills.

        A lens that knows no ideal place of a pixel, because it looks to the side of Io, shows none of Io there.
        """
        row, column, height, width = box
        lens, ifov = self.geometry.lens, self.geometry.ifov_rad
        x, y = np.arange(column, column + width)[None, :] + 0.0, np.arange(row, row + height)[:, None] + 0.0
        if not isinstance(lens, Pinhole):
            x, y = lens.ideal(*np.broadcast_arrays(x, y))
        u = ((x - self.geometry.centre_x_px) * ifov).astype(np.float32)
        v = ((y - self.geometry.centre_y_px) * ifov).astype(np.float32)
        towards = self.to_ball @ self.camera
        cone = np.outer(towards, towards) - (self.camera @ self.camera - 1) * self.to_ball @ self.to_ball.T
        cone = (cone / np.abs(cone).max()).astype(np.float32)
        du, dv, dw = (each[0] * u + (each[1] * v - each[2]) for each in cone)
        inside = u * du + v * dv - dw  # of the cone of tangents; its slope turns it into pixels
        slope = np.sqrt(du * du + dv * dv) * np.float32(2 * ifov)
        share = np.clip(inside / np.maximum(slope, np.float32(1e-30)) + np.float32(0.5), 0, 1)
        return np.asarray(np.nan_to_num(share, nan=0.0))


@dataclass(frozen=True)
class _Grains:
    """Grains on the picture, the finest first: pixels x, y and column density (N,), and ``ends`` as in ``Dust``."""

    x: Array
    y: Array
    weight: Array
    ends: tuple[int, ...]


def _shadows(points: Array, dust: Dust, view: _View, vent: Array, reach_km: float) -> _Grains:
    """Shadows of grains on ground that the camera sees; weighted by how thin the Sun's slant rays spread them."""
    ball, square = points @ view.to_ball, view.sun @ view.sun
    along = ball @ view.sun
    root = along**2 - square * ((ball * ball).sum(1) - 1)
    ground = points - ((along - np.sqrt(np.maximum(root, 0))) / square)[:, None] * view.geometry.sun
    normal = ground @ view.to_ball @ view.to_ball.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    towards = np.array([0, 0, view.geometry.range_km]) - ground
    mu0, mu = normal @ view.geometry.sun, (normal * towards).sum(1) / np.linalg.norm(towards, axis=1)
    near = np.linalg.norm(ground - vent, axis=1) < reach_km
    falls = (root > 0) & (along > 0) & (mu0 > LEAST_SUN) & (mu > 0) & near
    ends = tuple(int(falls[:end].sum()) for end in dust.ends)
    # A pixel's ground is 1/mu of the pixel, and mu0 of that stands across the Sun's rays.
    density = dust.weight * mu / np.maximum(mu0, LEAST_SUN) / view.km_per_px(ground) ** 2
    x, y = view.geometry.project(ground[falls])
    return _Grains(x, y, density[falls], ends)


def _stretch(view: _View, vent: Array) -> float:
    """How much softer than the grains their shadows are drawn: slant rays set them far apart on the ground."""
    mu0 = float(vent @ view.geometry.sun) / IO_RADIUS_KM
    return 2.5 * min(1 / math.sqrt(max(mu0, LEAST_SUN)), 3.0)


def _columns(layers: list[Image], shade: Image, box: tuple[int, int, int, int], view: _View, unit: float) -> _Cut:
    """What the body leaves of the layers behind and before its limb, and of the shadows, each (h, w)."""
    cover = view.cover(box)
    dark, lit = (layers[2 + n] + layers[n] * (1 - cover) for n in (0, 1))
    scale = np.float32(1 / unit)
    return _Cut(box[0], box[1], ((dark + lit) * scale, lit * scale, shade * cover * scale))


@dataclass(frozen=True)
class _Cut:
    """Patches that may stand out of the picture: first row and column, and ``seen``, ``lit``, ``shadow``."""

    row: int
    column: int
    patches: tuple[Image, ...]

    def within(self, shape: tuple[int, int]) -> Columns | None:
        """What lies inside the picture; None when nothing does."""
        height, width = self.patches[0].shape
        rows = slice(max(0, -self.row), min(height, shape[0] - self.row))
        columns = slice(max(0, -self.column), min(width, shape[1] - self.column))
        seen, lit, shadow = (np.ascontiguousarray(each[rows, columns]) for each in self.patches)
        if not seen.size or max(seen.max(), shadow.max()) <= 0:
            return None
        return Columns(self.row + rows.start, self.column + columns.start, seen, lit, shadow)


@functools.lru_cache(maxsize=256)
def _densest(plume: Plume) -> float:
    """Column of the densest line of sight from the side, 1/km², smoothed as the pictures are."""
    dust, tall = grains(plume), 40.0
    vent = direction(plume.lat_deg, plume.lon_w_deg)
    side, km = compass(vent)[0], plume.height_km / tall
    ground = 1 / np.linalg.norm(vent / np.array(IO_RADII_KM))
    x, y = dust.places @ side / km + 80, 56 - (dust.places @ vent - ground) / km
    canvas = _Canvas((0, 0, 64, 160), tall)
    return float(canvas.painted(_Grains(x, y, dust.weight, dust.ends), np.zeros(len(x), np.int64), 1)[0].max()) / km**2


@dataclass(frozen=True)
class _Canvas:
    """A patch drawn at four resolutions, each as coarse as its grains allow.

    Attributes:
        box: row, column, height, width; the last two are whole numbers of the coarsest pixels.
        tall_px: height of the plume.

    """

    box: tuple[int, int, int, int]
    tall_px: float

    def painted(self, dust: _Grains, layer: NDArray[np.int64], layers: int) -> list[Image]:
        """Column density of each layer (height, width), each grain in its own."""
        held = np.flatnonzero(np.bincount(layer, minlength=layers))
        index = np.searchsorted(held, layer)
        total = np.zeros((1, 1, max(len(held), 1)), np.float32)
        for size in reversed(range(len(SOFT))):
            shrink = _shrinks(self.tall_px)[size]
            total = _enlarged(total, (self.box[2] // shrink, self.box[3] // shrink))
            some = slice((0, *dust.ends)[size], dust.ends[size])
            x = (dust.x[some] - self.box[1] + 0.5) / shrink - 0.5
            y = (dust.y[some] - self.box[0] + 0.5) / shrink - 0.5
            sigma = max(0.5, SOFT[size] * self.tall_px / shrink)
            _splash(total, (x, y), dust.weight[some] / shrink**2, index[some], sigma)
        planes = dict(zip(held, cv2.split(_enlarged(total, self.box[2:])), strict=False))
        blank = np.zeros(self.box[2:], np.float32)
        return [np.asarray(planes.get(n, blank)) for n in range(layers)]


def _enlarged(image: Image, size: tuple[int, int]) -> Image:
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)).reshape(*size, -1)


def _splash(total: Image, xy: tuple[Array, Array], weight: Array, layer: NDArray[np.int64], sigma: float) -> None:
    """Add grains to (H, W, layers), each spread by a Gaussian; only the rectangle that they touch is worked on."""
    rows, columns, layers = total.shape
    margin = math.ceil(3 * sigma)
    x, y = xy
    near = (x > -margin - 1) & (x < columns + margin) & (y > -margin - 1) & (y < rows + margin)
    if not near.any():
        return
    x, y, weight, layer = x[near], y[near], weight[near], layer[near]
    left, top = math.floor(x.min()) - margin, math.floor(y.min()) - margin
    size = math.floor(y.max()) + margin + 2 - top, math.floor(x.max()) + margin + 2 - left
    piece = _deposit(x - left, y - top, weight, layer, (*size, layers))
    soft = cv2.GaussianBlur(piece, (2 * margin + 1, 2 * margin + 1), sigma, borderType=cv2.BORDER_CONSTANT)
    soft = soft.reshape(*size, layers)
    r0, c0, r1, c1 = max(top, 0), max(left, 0), min(top + size[0], rows), min(left + size[1], columns)
    total[r0:r1, c0:c1] += soft[r0 - top : r1 - top, c0 - left : c1 - left]


def _deposit(x: Array, y: Array, weight: Array, layer: NDArray[np.int64], shape: tuple[int, int, int]) -> Image:
    """Weights shared among the four pixels around each point (H, W, layers): their sum is kept."""
    column, row = x.astype(np.int64), y.astype(np.int64)
    fx, fy = x - column, y - row
    first, right, down = (row * shape[1] + column) * shape[2] + layer, shape[2], shape[1] * shape[2]
    where = np.concatenate([first, first + right, first + down, first + down + right])
    left, rest = weight * (1 - fx), weight * fx
    share = np.concatenate([left * (1 - fy), rest * (1 - fy), left * fy, rest * fy])
    return np.bincount(where, share, math.prod(shape)).astype(np.float32).reshape(shape)


def _box(crowds: tuple[tuple[_Grains, float], ...], shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Row, column, height and width of what grains (each with its ``tall_px``) cover of the picture; None: nothing.

    Height and width are whole numbers of the coarsest pixels that they are drawn with, so it may stand out of the
    picture at the bottom and on the right.
    """
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for crowd, tall_px in crowds:
        for first, end, soft in zip((0, *crowd.ends), crowd.ends, SOFT, strict=False):
            if end > first:
                corner = np.array([crowd.y[first:end], crowd.x[first:end]])
                margin = 3 * max(soft * tall_px, 0.5) + 2
                low, high = np.minimum(low, corner.min(1) - margin), np.maximum(high, corner.max(1) + margin)
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    if not (low < high).all():
        return None
    unit = max(_shrinks(tall_px)[-1] for _, tall_px in crowds)
    (top, left), (rows, columns) = np.floor(low).astype(int), np.ceil((high - np.floor(low)) / unit).astype(int) * unit
    return int(top), int(left), int(rows), int(columns)


def _shrinks(tall_px: float) -> list[int]:
    """How many pixels one of each resolution is wide: a power of two, and at most a grain's sigma."""
    return [2 ** max(0, math.floor(math.log2(max(soft * tall_px / 1.1, 1)))) for soft in SOFT]


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
            ``any``. Where the camera sees no such place, the limb.

    """
    kind = place if place != "any" else str(rng.choice(list(PLACE_SHARES), p=list(PLACE_SHARES.values())))
    height = float(rng.uniform(*HEIGHTS_KM[rng.choice(len(HEIGHTS_KM), p=HEIGHT_SHARES)]))
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
        forward=rng.uniform(0.3, 0.6) if rng.random() < 0.7 else rng.uniform(0.2, 0.85),
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
        somewhere = rng.normal(size=(2500, 3))
        somewhere /= np.linalg.norm(somewhere, axis=1, keepdims=True)
        good = (np.flatnonzero(_fits(somewhere, geometry, each, height_km)) for each in (kind, "limb"))
        point, name = somewhere[next((int(found[0]) for found in good if len(found)), 0)], ""
    lat, lon_w = lat_lon_w(point)
    return float(lat), float(lon_w), name


def _fits(points: Array, geometry: Geometry, kind: str, height_km: float) -> NDArray[np.bool_]:
    """Whether vents at unit vectors (N, 3) of the body's frame lie where the kind of place wants them, partly lit."""
    horizon = math.acos(IO_RADIUS_KM / geometry.range_km)
    over = math.acos(IO_RADIUS_KM / (IO_RADIUS_KM + height_km))
    apart = np.arccos(np.clip(points @ direction(*geometry.sub_spacecraft), -1, 1)) - horizon
    night = np.arccos(np.clip(points @ direction(*geometry.sub_solar), -1, 1)) - math.pi / 2
    if kind == "limb":
        return (apart > -1.0 * over) & (apart < 0.75 * over) & (night < 0.7 * over)
    if kind == "terminator":
        return (apart < 0) & (night > 0) & (night < 0.8 * over)
    return (apart < -over) & (night < 0)
