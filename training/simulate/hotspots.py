"""Hot spots: one to three blackbodies each, in points, lava lakes, flows and fountains.

Populations: Veeder et al. 2012 and 2015 (cool crusts), Davies 2003 and McEwen et al. 1998 (hot components), Davies et
al. 2024 (number against power). A spot's parts are put on the ground, each with its share of the components' areas,
and projected: foreshortening, scale and lens follow from the geometry.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADIUS_KM
from detector.volcanoes import volcanoes
from training.simulate.bands import band_mean_radiance, planck
from training.simulate.dice import Rng, log_uniform
from training.simulate.geometry import Array, Geometry, direction, lat_lon_w
from training.simulate.light import Bandpass, Stamp

SHAPES = ("point", "lake", "flow", "fountain")
SHAPE_SHARES = (0.45, 0.25, 0.2, 0.1)
STEFAN_BOLTZMANN = 5.670374419e-8
PARTS = 900
"""Pieces that an extended spot is made of; more where it covers many pixels."""
MOST_PARTS = 40_000
POWER_GW = (3e-2, 3e4)
"""Six decades of total power (Davies et al. 2024)."""
POWER_SLOPE = 0.45
"""N(> P) as P^-slope: shallower than the published 0.6-0.8, so that the bright ones are not too rare to learn from."""


@dataclass(frozen=True)
class Component:
    """One blackbody: its temperature and its area."""

    temperature_k: float
    area_km2: float


@dataclass(frozen=True)
class HotSpot:
    """One hot spot.

    Attributes:
        lat_deg, lon_w_deg: its centre.
        components: one to three, the hottest first.
        size_km: across, of the outline on which they lie; below a pixel it is a point.
        shape: one of ``SHAPES``.
        seed: of its outline.
        name: of the volcano; empty for a made-up one.
        falloff: brightness goes as cos(emission)^falloff: 1 flat ground, 0 an upright fountain, more behind walls.

    """

    lat_deg: float
    lon_w_deg: float
    components: tuple[Component, ...]
    size_km: float
    shape: str
    seed: int
    name: str = ""
    falloff: float = 1.0

    def times(self, factor: float) -> HotSpot:
        """All areas scaled; the outline grows when they no longer fit it."""
        parts = tuple(replace(part, area_km2=part.area_km2 * factor) for part in self.components)
        return replace(self, components=parts, size_km=max(self.size_km, 1.2 * math.sqrt(self.area_km2 * factor)))

    @property
    def area_km2(self) -> float:
        """Of all components."""
        return sum(part.area_km2 for part in self.components)

    @property
    def temperature_k(self) -> float:
        """The temperature of a single blackbody of the same area and total power."""
        return (1e3 * self.power_gw() / STEFAN_BOLTZMANN / self.area_km2) ** 0.25

    def temperature_in(self, low: Bandpass, high: Bandpass) -> float:
        """Colour temperature: of the blackbody with the same ratio of two bands."""
        wanted = self.radiance(high) / self.radiance(low)
        kelvin = np.geomspace(100, 3000, 400)
        ratio = [band_mean_radiance(high, t) / max(band_mean_radiance(low, t), 1e-300) for t in kelvin]
        order = np.argsort(ratio)
        return float(np.interp(wanted, np.array(ratio)[order], kelvin[order]))

    def radiance(self, band: Bandpass) -> float:
        """Sum over the components of radiance times area, W sr-1 um-1 km2 m-2."""
        return sum(band_mean_radiance(band, part.temperature_k) * part.area_km2 for part in self.components)

    def power_gw_um(self, wavelength_um: float) -> float:
        """Spectral power as published, pi x sum B(T) A, emissivity 1, GW um-1 (1 km2 is 1e6 m2)."""
        total = sum(float(planck(wavelength_um, part.temperature_k)) * part.area_km2 for part in self.components)
        return math.pi * total * 1e-3

    def power_gw(self) -> float:
        """Total power, sum sigma T^4 A, GW."""
        return sum(STEFAN_BOLTZMANN * part.temperature_k**4 * part.area_km2 for part in self.components) * 1e-3


# -- on the picture -------------------------------------------------------------------------------------------------


def spot_stamp(spot: HotSpot, geometry: Geometry, band: Bandpass, shape: tuple[int, int]) -> Stamp | None:
    """Mean spectral radiance that the spot adds to each pixel, W m-2 sr-1 um-1, before the PSF.

    The sum over pixels times a pixel's solid angle is sum B(T) A cos(e)^falloff / distance². None on the far side and
    off the picture.
    """
    up = direction(spot.lat_deg, spot.lon_w_deg)
    here = IO_RADIUS_KM * (geometry.rotation @ up)
    if _cosine(here, geometry) <= 0.03:
        return None
    km_per_px = (geometry.range_km - here[2]) * geometry.ifov_rad
    ground, weight = _parts(spot, band, spot.size_km / km_per_px)
    points = _on_sphere(ground, up) @ geometry.rotation.T
    cosine = _cosine(points, geometry)
    distance2 = (points[:, 0] ** 2) + points[:, 1] ** 2 + (geometry.range_km - points[:, 2]) ** 2
    flux = weight * np.where(cosine > 0.02, np.maximum(cosine, 0.02) ** spot.falloff, 0) / distance2
    x, y = geometry.project(points)
    return _shared_out(x, y, flux / geometry.ifov_rad**2, shape)


def _cosine(points: Array, geometry: Geometry) -> Array:
    """Cosine of the emission angle at points of the sphere (..., 3) in the camera's frame."""
    towards = np.array([0, 0, geometry.range_km]) - points
    length = np.linalg.norm(towards, axis=-1) * np.linalg.norm(points, axis=-1)
    return np.asarray((points * towards).sum(-1) / length)


def _on_sphere(ground_km: Array, up: Array) -> Array:
    """Points east and north of a centre (N, 2), along the ground, in the body's frame."""
    east = np.cross([0, 0, 1.0], up)
    east /= max(float(np.linalg.norm(east)), 1e-9)
    north = np.cross(up, east)
    flat = IO_RADIUS_KM * up + ground_km[:, :1] * east + ground_km[:, 1:] * north
    return np.asarray(IO_RADIUS_KM * flat / np.linalg.norm(flat, axis=1, keepdims=True))


def _shared_out(x: Array, y: Array, value: Array, shape: tuple[int, int]) -> Stamp | None:
    """Values shared among the four pixels around each point; those off the picture are lost."""
    rows, columns = shape
    left, top = max(int(np.floor(x.min())), 0), max(int(np.floor(y.min())), 0)
    right, bottom = min(int(np.floor(x.max())) + 2, columns), min(int(np.floor(y.max())) + 2, rows)
    if right <= left or bottom <= top:
        return None
    patch = np.zeros((bottom - top + 2, right - left + 2))  # a rim for what falls outside
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - column, y - row
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        c = np.clip(column + dx - left + 1, 0, patch.shape[1] - 1)
        r = np.clip(row + dy - top + 1, 0, patch.shape[0] - 1)
        np.add.at(patch, (r, c), value * share)
    inner = patch[1:-1, 1:-1]
    return Stamp(top, left, inner.astype(np.float32)) if inner.any() else None


# -- on the ground --------------------------------------------------------------------------------------------------


def _parts(spot: HotSpot, band: Bandpass, across_px: float) -> tuple[Array, Array]:
    """Where the spot's pieces lie (N, 2), km east and north, and radiance times area of each."""
    if spot.shape == "point" or across_px < 1.2:
        return np.zeros((1, 2)), np.array([spot.radiance(band)])
    rng = np.random.default_rng(spot.seed)
    count = int(np.clip(3 * across_px**2, PARTS, MOST_PARTS))
    places, weights = [], []
    for number, part in enumerate(spot.components):
        share = count if number == len(spot.components) - 1 else max(count // 3, 200)
        where, shine = _OUTLINES[spot.shape](rng, share, hot=number == 0 and len(spot.components) > 1)
        places.append(where * spot.size_km / 2)
        weights.append(band_mean_radiance(band, part.temperature_k) * part.area_km2 * shine / shine.sum())
    turn = rng.uniform(0, 2 * np.pi)
    c, s = math.cos(turn), math.sin(turn)
    return np.concatenate(places) @ np.array([[c, s], [-s, c]]), np.concatenate(weights)


def _lake(rng: Rng, count: int, hot: bool) -> tuple[Array, Array]:
    """A crust inside a thin bright rim: all round, or a horseshoe (Loki); the outline is a little irregular."""
    angle = rng.uniform(0, 2 * np.pi, count)
    outline = 1 + sum(rng.normal(0, 0.12 / k) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4))
    flat = rng.uniform(0.6, 1)
    if hot:
        radius = outline * (1 - np.abs(rng.normal(0, 0.03, count)))
        gap = rng.uniform(0.2, 2.5) if rng.random() < 0.4 else 0.0
        shine = np.where(angle < gap, 0.05, 1 + 0.5 * np.sin(angle * rng.integers(1, 5)))
    else:
        radius, shine = outline * np.sqrt(rng.random(count)), np.ones(count)
    return np.stack([radius * np.cos(angle), flat * radius * np.sin(angle)], 1), shine


def _flow(rng: Rng, count: int, hot: bool) -> tuple[Array, Array]:
    """A winding, branching ribbon: hot lava near the vent and in breakouts, cooling away from it."""
    along = rng.random(count) ** (3.0 if hot else 1.0)
    bends = [(rng.normal(0, 0.25 / k), rng.uniform(0, 6)) for k in (1, 2, 3)]
    middle = sum(size * np.sin(np.pi * k * along + phase) for k, (size, phase) in enumerate(bends, 1))
    branch = (along > 0.4) & (rng.random(count) < 0.3)
    spread = rng.normal(0, rng.uniform(0.03, 0.12), count) * (1 + along)
    across = middle + spread + np.where(branch, rng.choice([-1, 1]) * 0.7 * (along - 0.4), 0)
    return np.stack([2 * along - 1, across], 1), np.exp(-rng.uniform(0, 3) * along)


def _fountain(rng: Rng, count: int, hot: bool) -> tuple[Array, Array]:
    """A line of fire along a fissure, hot; cooling spatter around it."""
    along = rng.uniform(-1, 1, count)
    across = rng.normal(0, 0.03 if hot else 0.2, count)
    return np.stack([along, across], 1), np.exp(-2 * along**2) * (1 + 0.8 * np.sin(9 * along + rng.uniform(0, 6)))


def _point(rng: Rng, count: int, hot: bool) -> tuple[Array, Array]:
    return np.zeros((count, 2)), np.ones(count)


_OUTLINES = {"point": _point, "lake": _lake, "flow": _flow, "fountain": _fountain}


# -- the population -------------------------------------------------------------------------------------------------


def draw_spot(rng: Rng, geometry: Geometry, names_share: float = 0.5) -> HotSpot:
    """A hot spot on the side of Io that the camera sees: of a known volcano in ``names_share`` of the cases."""
    lat, lon_w, name = _place(rng, geometry, named=rng.random() < names_share)
    shape = str(rng.choice(SHAPES, p=SHAPE_SHARES))
    components = draw_components(rng, shape)
    area = sum(part.area_km2 for part in components)
    size = max(1.2 * math.sqrt(area), log_uniform(rng, 1, 60) if shape != "point" else 0.0)
    falloff = {"fountain": 0.0, "lake": rng.uniform(1, 1.6)}.get(shape, 1.0)
    return HotSpot(lat, lon_w, components, size, shape, int(rng.integers(2**31)), name, falloff)


def draw_components(rng: Rng, shape: str) -> tuple[Component, ...]:
    """One to three blackbodies whose total power follows the published power law."""
    number = int(rng.choice([1, 2, 3], p=[0.3, 0.45, 0.25]))
    alone = str(rng.choice(["cool", "warm", "hot"], p=[0.4, 0.35, 0.25]))
    kinds = {1: [alone], 2: ["hot", "cool"], 3: ["hot", "warm", "cool"]}[number]
    if shape == "fountain" and "hot" not in kinds:
        kinds = ["hot", *kinds][:3]
    kelvin = {"cool": (190, 460), "warm": (460, 900), "hot": (900, 1600)}
    area = {"cool": (10, 4000), "warm": (0.1, 100), "hot": (1e-4, 30)}
    parts = [Component(rng.uniform(*kelvin[k]), log_uniform(rng, *area[k])) for k in kinds]
    power = sum(STEFAN_BOLTZMANN * p.temperature_k**4 * p.area_km2 for p in parts) * 1e-3
    low, high = (p**-POWER_SLOPE for p in POWER_GW)
    wanted = rng.uniform(high, low) ** (-1 / POWER_SLOPE)
    return tuple(replace(p, area_km2=p.area_km2 * wanted / power) for p in parts)


@functools.cache
def _known() -> tuple[NDArray[np.str_], Array]:
    """Names and unit vectors of the catalogued hot spots."""
    hot = [v for v in volcanoes() if v.hot_spot]
    return np.array([v.name for v in hot]), np.stack([direction(v.lat_deg, v.lon_w_deg) for v in hot])


def _place(rng: Rng, geometry: Geometry, named: bool) -> tuple[float, float, str]:
    """Latitude, west longitude and name of a place in view."""
    horizon = IO_RADIUS_KM / geometry.range_km
    towards = direction(*geometry.sub_spacecraft)
    names, known = _known()
    seen = np.flatnonzero(known @ towards > horizon + 0.03)
    if named and len(seen):
        chosen = int(rng.choice(seen))
        lat, lon_w = lat_lon_w(_on_sphere(rng.normal(0, 8, (1, 2)), known[chosen]))
        return float(lat[0]), float(lon_w[0]), str(names[chosen])
    cosine = rng.uniform(min(horizon + 0.03, 0.999), 1)
    aside = np.cross(towards, rng.normal(size=3))
    point = cosine * towards + math.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside)
    lat, lon_w = lat_lon_w(point)
    return float(lat), float(lon_w), ""
