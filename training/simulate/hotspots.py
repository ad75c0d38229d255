"""Hot spots: one to three blackbodies each, laid out as points, lava lakes, flows and fountains.

A spot is drawn as clouds of points on the ground, each with its share of a component's radiance times area, that are
projected and shared out among the pixels. So foreshortening, the limb and the lens follow from the geometry and the
flux is kept whatever the shape.

Sources
-------
* Areas and temperatures of crusts: Veeder et al. (2015). Hot components: Davies (2003), McEwen et al. (1998); the
  outburst at Surt of 2001 was 520 km2 at 900 K and 27 km2 at 1500 K (Marchis et al. 2002).
* Number against power, N(> P) as P^-0.6 to P^-0.8 over six decades: Davies et al. (2023) for the range; the slope as
  recalled.
* Lava lakes 10 to 100 km across, cooler than their rims, which are metres to tens of metres wide: Mura et al. (2024).
  Loki's horseshoe about an island: Voyager and Galileo pictures (PIA00320).
* Walls hide the lake's floor at a slant: Pele fades faster than the cosine (Radebaugh et al. 2004); fountains do not.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADII_KM, IO_RADIUS_KM
from detector.volcanoes import volcanoes
from training.simulate.bands import band_mean_radiance, planck
from training.simulate.dice import Rng, log_uniform
from training.simulate.geometry import Array, Geometry, direction, lat_lon_w
from training.simulate.lens import PINHOLE
from training.simulate.light import Bandpass, Image, Stamp, clipped_stamp

STEFAN_BOLTZMANN = 5.670374419e-8
SHAPES = ("point", "lake", "flow", "fountain")

EXTENDED_PX = 0.8
"""A spot that is smaller than this is drawn as a point."""
MOST_CELLS = 64
"""Surfaces that cover more pixels than this are drawn in cells of several pixels; thin rims and fissures never are."""
LINE_POINTS = (48, 4096)
SMALLEST_LIGHT = 1e-30
"""Less of a spot's light than this share cannot be told from none in 32 bits."""


@dataclass(frozen=True)
class Component:
    """One blackbody of emissivity 1.

    Attributes:
        temperature_k: of its surface.
        area_km2: of ground that it covers.

    """

    temperature_k: float
    area_km2: float

    @property
    def power_gw(self) -> float:
        """Over all wavelengths, sigma T^4 A."""
        return STEFAN_BOLTZMANN * self.temperature_k**4 * self.area_km2 * 1e-3


@dataclass(frozen=True)
class HotSpot:
    """One hot spot.

    Attributes:
        lat_deg, lon_w_deg: planetocentric; the middle of a lake or of a fissure, the vent of a flow.
        components: one to three.
        size_km: across, of the radiating outline; much below a pixel it is a point.
        shape: one of ``SHAPES``.
        seed: of its outline.
        name: of the volcano; empty for a made-up one.
        falloff: brightness goes as cos(emission)^falloff: 1 a flat surface, 0 an upright fountain, more a lake behind
            walls.

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
        """All areas scaled within the same outline: its stamps are ``factor`` times as bright in every band."""
        scaled = tuple(replace(part, area_km2=part.area_km2 * factor) for part in self.components)
        return replace(self, components=scaled)

    @property
    def area_km2(self) -> float:
        """Of all components."""
        return sum(part.area_km2 for part in self.components)

    @property
    def temperature_k(self) -> float:
        """Of a single blackbody of the same area and power: the effective temperature of catalogues."""
        return (self.power_gw() / self.area_km2 / STEFAN_BOLTZMANN * 1e3) ** 0.25

    def temperature_in(self, band: Bandpass) -> float:
        """Mean of the components' temperatures by the light that they give to a band."""
        light = [band_mean_radiance(band, part.temperature_k) * part.area_km2 for part in self.components]
        if not sum(light) > 0:
            return max(part.temperature_k for part in self.components)
        weighted = (part.temperature_k * share for part, share in zip(self.components, light, strict=True))
        return sum(weighted) / sum(light)

    def power_gw_um(self, wavelength_um: float) -> float:
        """Spectral power as published: pi x sum B(T) A, as if seen from above, GW um-1 (1 km2 is 1e6 m2)."""
        total = sum(float(planck(wavelength_um, part.temperature_k)) * part.area_km2 for part in self.components)
        return math.pi * total * 1e-3

    def band_power_gw_um(self, band: Bandpass) -> float:
        """Mean of ``power_gw_um`` across a band: what a camera tells; in a wide band it is far from its middle's."""
        total = sum(band_mean_radiance(band, part.temperature_k) * part.area_km2 for part in self.components)
        return math.pi * total * 1e-3

    def power_gw(self) -> float:
        """Power over all wavelengths."""
        return sum(part.power_gw for part in self.components)


# -- on the picture -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where a spot lies, in the camera's frame.

    Attributes:
        centre: on the ellipsoid, km.
        axes: rows east, north, up.
        range_km: to the camera.
        mu: cosine of the emission angle.

    """

    centre: Array
    axes: Array
    range_km: float
    mu: float


def spot_stamp(spot: HotSpot, geometry: Geometry, band: Bandpass, shape: tuple[int, int]) -> Stamp | None:
    """Mean spectral radiance across the band that a spot adds to each pixel, W m-2 sr-1 um-1, before the PSF.

    Over the pixels of a picture that holds the whole spot, the sum times ``pixel_solid_angle`` is
    sum B(T) A cos(emission)^falloff / distance². The outline depends on the seed alone, so a spot looks the same in
    another band and with other areas.

    Returns:
        None on the far side, off the picture, and where float32 cannot hold so little light.

    """
    place = _place(spot, geometry)
    if place.mu <= 0:
        return None
    light = [band_mean_radiance(band, part.temperature_k) * part.area_km2 for part in spot.components]
    at_centre = geometry.project(place.centre)
    x, y = float(at_centre[0]), float(at_centre[1])
    across_px = spot.size_km / (place.range_km * geometry.ifov_rad)
    if not (math.isfinite(x) and math.isfinite(y)) or _off(x, y, 2 * across_px + 2, shape):
        return None
    flux = sum(light) * place.mu**spot.falloff / place.range_km**2 / pixel_solid_angle(geometry, x, y)
    if spot.shape == "point" or across_px < EXTENDED_PX:
        stamp = _point(x, y, flux, shape)
    else:
        stamp = _extended(spot, place, geometry, light, flux, shape)
    return stamp if stamp is not None and stamp.patch.any() else None


def _point(x: float, y: float, flux: float, shape: tuple[int, int]) -> Stamp | None:
    """Light shared among the four pixels around a point."""
    column, row = math.floor(x), math.floor(y)
    fx, fy = x - column, y - row
    shares = [[(1 - fx) * (1 - fy), fx * (1 - fy)], [(1 - fx) * fy, fx * fy]]
    return clipped_stamp(row, column, np.array(shares, np.float32) * np.float32(flux), shape)


def pixel_solid_angle(geometry: Geometry, x_px: float, y_px: float) -> float:
    """Solid angle of the pixel at a place of the picture, sr: IFOV² on the axis, less towards the edge of a wide lens.

    NaN where the lens gives no number.
    """
    stretch = 1.0
    if geometry.lens is not PINHOLE:
        step = np.array([-0.5, 0.5, 0.0, 0.0])
        u, v = geometry.lens.ideal(x_px + step, y_px + step[::-1])
        stretch = abs((u[1] - u[0]) * (v[3] - v[2]) - (u[3] - u[2]) * (v[1] - v[0]))
        x_px, y_px = float(u.mean()), float(v.mean())
    tangent = geometry.ifov_rad * math.hypot(x_px - geometry.centre_x_px, y_px - geometry.centre_y_px)
    return geometry.ifov_rad**2 * stretch / (1 + tangent * tangent) ** 1.5


def _place(spot: HotSpot, geometry: Geometry) -> _Place:
    up = direction(spot.lat_deg, spot.lon_w_deg)
    radii2 = np.square(IO_RADII_KM)
    surface = up / math.sqrt(float((up * up / radii2).sum()))
    normal = surface / radii2
    normal /= math.sqrt(float(normal @ normal))
    east = np.array([-normal[1], normal[0], 0.0]) if math.hypot(normal[0], normal[1]) > 1e-9 else np.array([0, 1.0, 0])
    east /= math.sqrt(float(east @ east))
    north = np.array([-normal[2] * east[1], normal[2] * east[0], normal[0] * east[1] - normal[1] * east[0]])
    turn = geometry.rotation.T
    centre, axes = surface @ turn, np.stack([east, north, normal]) @ turn
    towards = np.array([0, 0, geometry.range_km]) - centre
    distance = math.sqrt(float(towards @ towards))
    return _Place(centre, axes, distance, float(axes[2] @ towards) / distance)


def _off(x: float, y: float, reach: float, shape: tuple[int, int]) -> bool:
    return not (-reach <= x <= shape[1] - 1 + reach and -reach <= y <= shape[0] - 1 + reach)


@dataclass(frozen=True)
class _Box:
    """A rectangle of pixels; it may be empty."""

    row: int
    column: int
    height: int
    width: int

    @staticmethod
    def around(x: Array, y: Array, shape: tuple[int, int]) -> _Box:
        """The pixels that points touch, as far as the picture goes."""
        left, top = max(math.floor(np.min(x)), 0), max(math.floor(np.min(y)), 0)
        right, bottom = min(math.floor(np.max(x)) + 2, shape[1]), min(math.floor(np.max(y)) + 2, shape[0])
        return _Box(top, left, bottom - top, right - left)


def _shared_out(seen: Array, box: _Box, cell: int) -> Image:
    """(height, width): the light of points (N, 3: x, y, light) shared among the four cells around each."""
    rows, columns = -(-box.height // cell), -(-box.width // cell)
    # one cell of rim for what falls out
    gx, gy, value = (seen[:, 0] - box.column + 0.5) / cell + 0.5, (seen[:, 1] - box.row + 0.5) / cell + 0.5, seen[:, 2]
    inside = (gx >= 0) & (gx < columns + 1) & (gy >= 0) & (gy < rows + 1)
    if not inside.all():
        gx, gy, value = gx[inside], gy[inside], value[inside]
    column, row = gx.astype(np.int64), gy.astype(np.int64)
    right = (gx - column) * value
    low = gy - row
    left, width = value - right, columns + 2
    at = row * width + column
    where = np.concatenate([at, at + 1, at + width, at + width + 1])
    lower_left, lower_right = left * low, right * low
    shares = np.concatenate([left - lower_left, right - lower_right, lower_left, lower_right])
    grid = np.bincount(where, shares, (rows + 2) * width).reshape(rows + 2, width)[1:-1, 1:-1].astype(np.float32)
    if cell > 1:
        size = (columns * cell, rows * cell)
        grid = cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)[: box.height, : box.width] / np.float32(cell**2)
    return np.ascontiguousarray(grid)


# -- extended spots -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Surface:
    """Ground that glows, on a square canvas.

    Attributes:
        crust, middle: (n, n) share of a component's area in each texel, before they are brought to the sum of 1.
        x, y: (n,) where the texels lie along a side, east and north, in half sizes from the spot's place.

    """

    crust: Image
    middle: Image
    x: Array
    y: Array


@dataclass(frozen=True)
class _Line:
    """A thin line that glows, drawn at full resolution however close the camera is.

    Attributes:
        points: (N, 3) east, north and height in half sizes from the spot's place.
        share: (N,) of a component's area, before they are brought to the sum of 1.

    """

    points: Array
    share: Array

    @staticmethod
    def of(x: Array, y: Array, height: Array | float, share: Array) -> _Line:
        """Coordinates side by side."""
        points = np.empty((x.size, 3))
        points[:, 0], points[:, 1], points[:, 2] = x, y, height
        return _Line(points, share)


@dataclass(frozen=True)
class _Detail:
    """How finely an outline is drawn.

    Attributes:
        across_px: of the spot's size, seen from above.
        half_km: half its size.

    """

    across_px: float
    half_km: float

    @property
    def cell(self) -> int:
        """Pixels across a cell in which surfaces are drawn."""
        return max(1, math.ceil(self.across_px / MOST_CELLS))

    def texels(self, span: float) -> int:
        """For a square ``span`` half sizes wide, two to a cell: there, equal weights leave no ripple."""
        return int(np.clip(math.ceil(self.across_px * span / self.cell), 8, 4 * MOST_CELLS))

    def along(self, length: float) -> int:
        """Points for a line of a length in half sizes, two to a pixel."""
        return int(np.clip(self.across_px * length, *LINE_POINTS))


def _extended(
    spot: HotSpot, place: _Place, geometry: Geometry, light: list[float], flux: float, shape: tuple[int, int]
) -> Stamp | None:
    """A spot larger than a pixel: ``light`` is of each component, ``flux`` of all together in radiance x pixels."""
    detail = _Detail(spot.size_km / (place.range_km * geometry.ifov_rad), spot.size_km / 2)
    rng = np.random.default_rng(spot.seed)
    crust, middle, hot = np.array(light) @ _layer_shares(rng, [part.temperature_k for part in spot.components])
    surface, line = _OUTLINES[spot.shape](rng, detail)
    wide = _seen(*_shining(surface, crust, middle), place, geometry, spot)
    thin = _seen(line.points, line.share * (hot / line.share.sum()), place, geometry, spot)
    everything = np.concatenate([wide, thin])
    box, whole = _Box.around(everything[:, 0], everything[:, 1], shape), float(everything[:, 2].sum())
    if box.height <= 0 or box.width <= 0 or not whole > flux * SMALLEST_LIGHT:
        return None
    patch = _shared_out(thin, box, 1)
    patch += _shared_out(wide, box, detail.cell)
    return Stamp(box.row, box.column, patch * np.float32(flux / whole))


def _shining(surface: _Surface, crust: float, middle: float) -> tuple[Array, Array]:
    """The texels that shine, as points (N, 3), and the light of each (N,)."""
    light = surface.crust * np.float64(crust / surface.crust.sum(dtype=np.float64))
    if middle > 0:
        light = light + surface.middle * np.float64(middle / surface.middle.sum(dtype=np.float64))
    row, column = np.nonzero(light > 1e-3 * light.max())
    points = np.zeros((row.size, 3))
    points[:, 0], points[:, 1] = surface.x[column], surface.y[row]
    return points, light[row, column]


def _seen(ground: Array, light: Array, place: _Place, geometry: Geometry, spot: HotSpot) -> Array:
    """(M, 3): pixel x, y and light x cos(emission)^falloff / distance² of the points (N, 3) in sight.

    Not in sight is what lies beyond the limb or where the lens gives no number.
    """
    ground = ground * (spot.size_km / 2)
    tilt = ground / IO_RADIUS_KM
    tilt[:, 2] = 1
    ground[:, 2] -= (ground[:, 0] ** 2 + ground[:, 1] ** 2) / (2 * IO_RADIUS_KM)
    points = place.centre + ground @ place.axes
    towards = -points
    towards[:, 2] += geometry.range_km
    distance2 = np.einsum("ij,ij->i", towards, towards)
    facing = np.einsum("ij,ij->i", tilt @ place.axes, towards)
    cosine = facing / np.sqrt(distance2 * np.einsum("ij,ij->i", tilt, tilt))
    bright = np.maximum(cosine, 1e-6)
    light = light / distance2 * (bright if spot.falloff == 1 else bright**spot.falloff)
    found = np.stack([*geometry.project(points), light], 1)
    visible = (cosine > 0) & np.isfinite(found[:, 0]) & np.isfinite(found[:, 1])
    return found if visible.all() else found[visible]


def _layer_shares(rng: Rng, kelvin: list[float]) -> Array:
    """(components, 3): shares of each component's area in the layers crust, middle and hot, by its rank."""
    hot_when_alone = rng.uniform(0.01, 0.1) if kelvin[0] < 500 else rng.uniform(0.5, 1)
    if len(kelvin) == 1:
        return np.array([[1 - hot_when_alone, 0, hot_when_alone]])
    rank = np.argsort(np.argsort(kelvin))
    layer = np.where(rank == 0, 0, np.where(rank == len(kelvin) - 1, 2, 1))
    return np.eye(3)[layer]


_CIRCLE = np.exp(2j * np.pi * np.arange(128) / 128)


def _lake(rng: Rng, detail: _Detail) -> tuple[_Surface, _Line]:
    """A crust, a part of it that was renewed last, and a bright thin rim; often a horseshoe about an island."""
    ring, island = _ring(rng), _ring(rng) * rng.uniform(0.3, 0.6)
    island = island + rng.uniform(-0.25, 0.25) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    with_island, towards, reach = rng.random() < 0.35, rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.6)
    texels = detail.texels(2.0)
    floor = np.zeros((texels, texels), np.float32)
    _fill(floor, ring, 1.0)
    if with_island:
        _fill(floor, island, 0.0)
    if not floor.any():
        _fill(floor, ring, 1.0)
    floor *= _mottle(rng, texels, rng.uniform(0.2, 0.9))
    place = _middles(texels, -1, 2)
    ahead = place[None, :] * math.cos(towards) + place[:, None] * math.sin(towards)
    front = ahead + 0.15 * np.log(_mottle(rng, texels, 1.0)) > reach
    rim = _rim(rng, ring, detail)
    if with_island and rng.random() < 0.6:
        rim = _joined(rim, _rim(rng, island, detail), rng.uniform(0.1, 0.5))
    return _Surface(floor, floor * (0.02 + front), place, place), rim


def _ring(rng: Rng) -> NDArray[np.complex128]:
    """(128,): a closed outline about the origin, as paterae are: longish, a little angular, at most 1 from it."""
    radius = 1 + _waves(rng.normal(0, 0.25, (1, 8)) / np.arange(2, 10) ** 1.4, rng, 2)[0]
    turned = radius * (_CIRCLE.real + 1j * rng.uniform(0.5, 1) * _CIRCLE.imag) * np.exp(1j * rng.uniform(0, np.pi))
    return np.asarray(turned / np.abs(turned).max())


def _waves(size: Array, rng: Rng, first: int) -> Array:
    """(k, 128): sums of cosines around a circle, of amplitudes (k, n) and the orders ``first`` and up."""
    spectrum = np.zeros((size.shape[0], _CIRCLE.size // 2 + 1), np.complex128)
    spectrum[:, first : first + size.shape[1]] = size * np.exp(1j * rng.uniform(0, 2 * np.pi, size.shape))
    return np.asarray(np.fft.irfft(spectrum, axis=1) * (_CIRCLE.size / 2))


def _rim(rng: Rng, ring: NDArray[np.complex128], detail: _Detail) -> _Line:
    """The outline as a line of changing brightness, with or without gaps."""
    uneven, gaps = _waves(rng.normal(0, 0.6, (2, 24)) / np.arange(1, 25) ** 0.7, rng, 1)
    covered = rng.uniform(0.3, 1.6)
    bright = np.exp(rng.uniform(0.3, 1.0) * uneven)
    if covered < 1:
        bright /= 1 + np.exp(12 * (np.quantile(gaps, 1 - covered) - gaps))
    at = np.linspace(0, ring.size, detail.along(2 * np.pi), endpoint=False)
    line = np.interp(at, np.arange(ring.size + 1), np.append(ring, ring[0]))
    weight = np.interp(at, np.arange(ring.size + 1), np.append(bright, bright[0]))
    weight *= np.abs(np.append(line[1:], line[0]) - line)
    return _Line.of(line.real, line.imag, 0.0, weight)


def _flow(rng: Rng, detail: _Detail) -> tuple[_Surface, _Line]:
    """A winding, branching flow: its field, channels that cool from the vent on, and the vent and breakouts."""
    channels = _channels(rng)
    every = np.concatenate([path for path, _ in channels])
    low = np.array([every.real.min(), every.imag.min()]) - 0.25
    span = float(max(np.ptp(every.real), np.ptp(every.imag))) + 0.5
    width = log_uniform(rng, 0.03, 0.14)
    mottle, warmth = rng.uniform(0.5, 1.2), log_uniform(rng, 0.1, 0.5)
    breakouts = rng.uniform(0, 1, 5)[: rng.integers(0, 6)]
    texels = detail.texels(span)
    age = np.zeros((texels, texels), np.float32)
    for path, ages in reversed(channels):
        _paint(age, (path - complex(*low)) * (texels / span) - (0.5 + 0.5j), ages, width * texels / span)
    patches = _mottle(rng, texels, mottle) * (age > 0)
    warm = np.exp(-age / np.float32(warmth)) * patches * patches
    x, y = _middles(texels, low[0], span), _middles(texels, low[1], span)
    main, along = channels[0]
    at = np.linspace(0, 1, detail.along(2.5))
    strength = np.exp(-at / 0.04)
    for centre in breakouts:
        strength += 0.5 * np.exp(-(((at - centre) / 0.015) ** 2))
    hot = _Line.of(np.interp(at, along, main.real), np.interp(at, along, main.imag), 0.0, strength)
    return _Surface(patches, warm, x, y), hot


def _channels(rng: Rng) -> list[tuple[NDArray[np.complex128], Array]]:
    """Paths from the vent at 0, the main one first and 2 half sizes in reach, and the age (0..1) along each."""
    wander = rng.uniform(0.4, 1.4)

    def path(steps: int, heading: float) -> NDArray[np.complex128]:
        turns = np.cumsum(rng.normal(0, wander / math.sqrt(8), steps // 2)).repeat(2)
        return np.cumsum(np.exp(1j * (heading + turns - turns[0])))

    start = rng.uniform(0, 2 * np.pi)
    main = path(32, start)
    reach = 2 / np.abs(main).max()
    found = [(main * reach, np.linspace(0.0, 1, 32))]
    for _ in range(rng.integers(0, 4)):
        fork, steps = int(rng.integers(4, 26)), 2 * int(rng.integers(3, 8))
        heading = float(np.angle(main[fork] - main[fork - 1])) + rng.choice([-1, 1]) * rng.uniform(0.5, 1.3)
        branch = main[fork] + path(steps, heading)
        branch = branch * min(1.0, np.abs(main).max() / np.abs(branch).max())
        found.append((branch * reach, np.linspace(fork / 32, min(1, (fork + steps) / 32), steps)))
    return found


def _paint(age: Image, path: NDArray[np.complex128], ages: Array, width: float) -> None:
    """Draw a channel that widens from the vent, far end first; the canvas holds the age, at least 0.01."""
    fixed = np.round(np.stack([path.real, path.imag], -1) * 16).astype(np.int32)
    for first in range(len(path) - 2, -1, -3):
        start = max(first - 2, 0)
        thick = max(1, round(2 * width * (0.4 + ages[start])))
        piece = [fixed[start : first + 2].reshape(-1, 1, 2)]
        cv2.polylines(age, piece, False, max(float(ages[start]), 0.01), thick, cv2.LINE_8, 4)


def _fountain(rng: Rng, detail: _Detail) -> tuple[_Surface, _Line]:
    """A curtain of fire along a fissure, jets standing out of it, and cooling spatter at its foot."""
    turn = np.exp(1j * rng.uniform(0, 2 * np.pi))
    bend, jets = rng.normal(0, 0.15), rng.uniform(-1, 1, 6)[: rng.integers(1, 7)]
    reach, height = rng.uniform(0.06, 0.25, 2), rng.uniform(0.2, 1.6) / detail.half_km
    along = np.linspace(-1, 1, detail.along(2.0))
    strength = np.full(along.size, rng.uniform(0.02, 0.6))
    for jet in jets:
        strength += np.exp(-(((along - jet) / 0.06) ** 2))
    levels = np.array([0.0, 0.35, 0.7, 1.0])
    line = np.tile((along + 1j * bend * (along**2 - 0.5)) * turn, levels.size)
    tall = np.outer(levels, strength / strength.max())
    weight = strength * (1.3 - levels)[:, None]
    hot = _Line.of(line.real, line.imag, height * tall.ravel(), weight.ravel())
    texels = detail.texels(1.3)  # smooth: one to a pixel will do
    place = _middles(texels, -1.3, 2.6)
    on = (place[None, :] + 1j * place[:, None]) / turn
    off2 = (on.imag - bend * (on.real**2 - 0.5)) ** 2 + np.maximum(np.abs(on.real) - 0.8, 0) ** 2
    patches = _mottle(rng, texels, 0.8)
    apron = patches * np.exp(-off2 / reach.max() ** 2).astype(np.float32)
    spatter = patches * np.exp(-off2 / (0.5 * reach.min()) ** 2 - on.real**2).astype(np.float32)
    return _Surface(apron, spatter, place, place), hot


_OUTLINES = {"lake": _lake, "flow": _flow, "fountain": _fountain}


def _middles(texels: int, low: float, span: float) -> Array:
    """(texels,): where the texels of a canvas lie along one side."""
    return low + (np.arange(texels, dtype=np.float64) + 0.5) * (span / texels)


def _fill(canvas: Image, ring: NDArray[np.complex128], value: float) -> None:
    """Fill an outline on a square canvas that spans -1..1."""
    scale = 16 * canvas.shape[0] / 2
    corners = np.stack([(ring.real + 1) * scale - 8, (ring.imag + 1) * scale - 8], -1).round().astype(np.int32)
    cv2.fillPoly(canvas, [corners.reshape(-1, 1, 2)], value, cv2.LINE_8, 4)


def _mottle(rng: Rng, texels: int, strength: float) -> Image:
    """(texels, texels) patchy brightness about 1, the same pattern at any resolution."""
    coarse, fine = rng.standard_normal((10, 10), np.float32), rng.standard_normal((40, 40), np.float32)
    size = (texels, texels)
    rough = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    rough += np.float32(0.6) * cv2.resize(fine, size, interpolation=cv2.INTER_AREA if texels < 40 else cv2.INTER_LINEAR)
    return np.asarray(np.exp(np.float32(strength) * rough), np.float32)


def _joined(first: _Line, second: _Line, share: float) -> _Line:
    """Two lines as one, the second with a share of it all."""
    both = first.share * ((1 - share) / first.share.sum()), second.share * (share / second.share.sum())
    return _Line(np.concatenate([first.points, second.points]), np.concatenate(both))


# -- the population -------------------------------------------------------------------------------------------------

POWER_GW = (3e-2, 3e4)
POWER_SLOPE = (0.6, 0.8)
KELVIN = {"crust": (190.0, 460.0), "warm": (500.0, 900.0), "hot": (1000.0, 1600.0), "outburst": (900.0, 1500.0)}
MOST_KM2 = {"crust": 4000.0, "warm": 1000.0, "hot": 30.0, "outburst": 500.0}
POWER_RATIO = {"crust": (1.0, 1.0), "warm": (0.03, 3.0), "hot": (0.003, 3.0), "outburst": (1.0, 10.0)}
"""How much of the power a kind of component may have, against a crust's."""
MIXTURES: dict[tuple[str, ...], float] = {
    ("crust",): 0.2,
    ("warm",): 0.1,
    ("hot",): 0.1,
    ("crust", "hot"): 0.3,
    ("crust", "warm"): 0.1,
    ("warm", "hot"): 0.05,
    ("crust", "warm", "hot"): 0.15,
}
OUTBURST_GW = 1500.0
SHAPE_SHARES = {  # point, lake, flow, fountain
    "outburst": (0.15, 0.05, 0.35, 0.45),
    "crust": (0.35, 0.45, 0.2, 0.0),
    "warm": (0.4, 0.35, 0.2, 0.05),
    "hot": (0.3, 0.4, 0.2, 0.1),
}
"""By the hottest kind of component."""
SIZE_KM = {"point": (0.01, 0.3), "lake": (5.0, 100.0), "flow": (5.0, 250.0), "fountain": (1.0, 30.0)}
LEAST_SIZE = {"point": 1.13, "lake": 1.5, "flow": 3.0, "fountain": 1.5}
"""Sizes are at least so many times the square root of the area: the components fit on the outline."""
JITTER_KM = 4.0
HORIZON = 0.02


def draw_spot(rng: Rng, geometry: Geometry, names_share: float = 0.5) -> HotSpot:
    """A hot spot on the side of Io that the camera sees, from the population of Io's.

    Args:
        rng: of this spot.
        geometry: who looks from where.
        names_share: how often it lies within some km of a catalogued hot spot, where any is in sight, and has its name.

    """
    lat, lon_w, name = _somewhere(rng, geometry, names_share)
    kinds, components = draw_components(rng, draw_power_gw(rng))
    shape = SHAPES[int(rng.choice(4, p=SHAPE_SHARES[kinds[-1]]))]
    area = sum(part.area_km2 for part in components)
    size = max(log_uniform(rng, *SIZE_KM[shape]), LEAST_SIZE[shape] * math.sqrt(area))
    walls, upright = rng.uniform(1, 1.8) if rng.random() < 0.5 else 1.0, rng.uniform(0, 0.3)
    falloff = {"lake": walls, "fountain": upright}.get(shape, 1.0)
    return HotSpot(lat, lon_w, components, size, shape, int(rng.integers(2**31)), name, falloff)


def draw_power_gw(rng: Rng) -> float:
    """Total power with N(> P) as P^-slope between the ends of ``POWER_GW``."""
    slope = rng.uniform(*POWER_SLOPE)
    most, least = (end**-slope for end in POWER_GW)
    return float(rng.uniform(least, most) ** (-1 / slope))


def draw_components(rng: Rng, power_gw: float) -> tuple[tuple[str, ...], tuple[Component, ...]]:
    """One to three blackbodies of a total power: their kinds, from crust to hot, and they themselves.

    A component that would be larger than its kind gets is hotter instead.
    """
    kinds = list(MIXTURES)[int(rng.choice(len(MIXTURES), p=list(MIXTURES.values())))]
    if power_gw > OUTBURST_GW and (kinds[0] != "crust" or rng.random() < 0.5):
        kinds = (*(kind for kind in kinds if kind == "crust"), "outburst")
    ratios = np.array([log_uniform(rng, *POWER_RATIO[kind]) for kind in kinds])
    powers = power_gw * ratios / ratios.sum()
    return kinds, tuple(_component(rng, kind, float(power)) for kind, power in zip(kinds, powers, strict=True))


def _component(rng: Rng, kind: str, power_gw: float) -> Component:
    least = (power_gw * 1e3 / STEFAN_BOLTZMANN / MOST_KM2[kind]) ** 0.25
    kelvin = max(rng.uniform(*KELVIN[kind]), least)
    return Component(kelvin, power_gw * 1e3 / (STEFAN_BOLTZMANN * kelvin**4))


@functools.cache
def _catalogue() -> tuple[tuple[str, ...], Array]:
    """Names and unit vectors (N, 3) of the catalogued hot spots."""
    hot = [volcano for volcano in volcanoes() if volcano.hot_spot]
    return tuple(v.name for v in hot), np.stack([direction(v.lat_deg, v.lon_w_deg) for v in hot])


def _somewhere(rng: Rng, geometry: Geometry, names_share: float) -> tuple[float, float, str]:
    """Latitude, west longitude and name of a place in sight."""
    towards = direction(*geometry.sub_spacecraft)
    least = min(IO_RADIUS_KM / geometry.range_km + HORIZON, 0.999)
    names, known = _catalogue()
    seen = np.flatnonzero(known @ towards > least)
    if rng.random() < names_share and len(seen):
        chosen = int(rng.choice(seen))
        lat, lon_w = lat_lon_w(known[chosen] + rng.normal(0, JITTER_KM / IO_RADIUS_KM, 3))
        return float(lat), float(lon_w), names[chosen]
    cosine, aside = rng.uniform(least, 1), np.cross(towards, rng.normal(size=3))
    lat, lon_w = lat_lon_w(cosine * towards + math.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside))
    return float(lat), float(lon_w), ""
