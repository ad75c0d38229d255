from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq

from detector.frame import IO_RADIUS_KM
from detector.instruments import JIRAM
from detector.volcanoes import nearest
from training.simulate.bands import band_mean_radiance, bandpass, broad
from training.simulate.geometry import Geometry
from training.simulate.hotspots import (
    MOST_KM2,
    POWER_GW,
    SHAPES,
    Component,
    HotSpot,
    draw_components,
    draw_power_gw,
    draw_spot,
    pixel_solid_angle,
    spot_stamp,
)

BAND_L, BAND_M = bandpass("jiram", "L"), bandpass("jiram", "M")
EXTENDED = ("lake", "flow", "fountain")
CRUST_AND_RIM = (Component(300.0, 400.0), Component(1000.0, 0.5))
MIXED = (Component(1200.0, 0.3), Component(320.0, 900.0), Component(650.0, 5.0))
SHAPE = (400, 400)


def looking(
    sub: tuple[float, float] = (0.0, 0.0), km_per_px: float = 12.0, range_km: float = 3e5, north: float = 250.0
) -> Geometry:
    ifov = km_per_px / (range_km - IO_RADIUS_KM)
    return Geometry(199.3, 200.6, range_km, ifov, sub, (0.0, 0.0), north)


def at_pixel(spot: HotSpot, geometry: Geometry) -> tuple[float, float, float, float]:
    """x, y, cosine of the emission angle and distance of a spot's place, by Newton steps on the pixels' own surface."""
    up = np.array([
        math.cos(math.radians(spot.lat_deg)) * math.cos(math.radians(spot.lon_w_deg)),
        -math.cos(math.radians(spot.lat_deg)) * math.sin(math.radians(spot.lon_w_deg)),
        math.sin(math.radians(spot.lat_deg)),
    ])  # fmt: skip
    radius = 1.0 / np.linalg.norm(up / np.array([1829.4, 1819.4, 1815.7]))
    x, y = (np.array([[float(v)]]) for v in geometry.project(geometry.rotation @ up * radius))
    point, normal = (v[0, 0] for v in geometry.surface(x, y))
    towards = np.array([0, 0, geometry.range_km]) - point
    distance = float(np.linalg.norm(towards))
    return x.item(), y.item(), float(normal @ towards) / distance, distance


def expected_flux(spot: HotSpot, geometry: Geometry) -> float:
    """W m-2 um-1 at the camera / (m2 / km2): sum B A cos(e)^falloff / distance²."""
    _, _, mu, distance = at_pixel(spot, geometry)
    light = sum(band_mean_radiance(BAND_M, c.temperature_k) * c.area_km2 for c in spot.components)
    return light * mu**spot.falloff / distance**2


def flux(spot: HotSpot, geometry: Geometry, shape: tuple[int, int] = SHAPE) -> float:
    stamp = spot_stamp(spot, geometry, BAND_M, shape)
    assert stamp is not None
    return float(stamp.patch.sum(dtype=np.float64)) * geometry.ifov_rad**2


# -- flux -------------------------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.floats(0.05, 300),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.floats(0, 2),
    st.integers(0, 10**6),
    st.sampled_from([(Component(900.0, 1.0),), (Component(280.0, 700.0),), CRUST_AND_RIM, MIXED]),
    st.floats(0, 360),
)
def test_flux_is_kept(
    shape: str,
    size: float,
    lat: float,
    lon: float,
    falloff: float,
    seed: int,
    parts: tuple[Component, ...],
    north: float,
) -> None:
    geometry = looking((10.0, 30.0), north=north)
    spot = HotSpot(lat, 30.0 + lon, parts, size, shape, seed, "", falloff)
    assert flux(spot, geometry) == pytest.approx(expected_flux(spot, geometry), rel=0.01)


@pytest.mark.parametrize("shape", EXTENDED)
def test_flux_is_kept_close_up(shape: str) -> None:
    """Some 300 pixels across, seen from 1500 km: drawn in cells, rims and fissures excepted."""
    geometry = Geometry(500, 500, IO_RADIUS_KM + 1500, 237.767e-6, (0, 0), (0, 0), 270)
    spot = HotSpot(0, 0, MIXED, 110.0, shape, 3)
    light = sum(band_mean_radiance(BAND_M, c.temperature_k) * c.area_km2 for c in MIXED)
    # The ground below is the end of the longest axis, 1829.4 km.
    assert flux(spot, geometry, (1000, 1000)) == pytest.approx(light / (geometry.range_km - 1829.4) ** 2, rel=0.01)


def test_a_point_lies_where_it_should() -> None:
    geometry = looking((20, 100))
    spot = HotSpot(-10, 120, (Component(900, 1),), 0.1, "point", 0)
    x, y, _, _ = at_pixel(spot, geometry)
    image = spot_stamp(spot, geometry, BAND_M, SHAPE).on(SHAPE)  # type: ignore[union-attr]
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    assert np.count_nonzero(image) <= 4
    assert (image * columns).sum() / image.sum() == pytest.approx(x, abs=1e-3)
    assert (image * rows).sum() / image.sum() == pytest.approx(y, abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("falloff", [0.0, 1.0, 1.7])
def test_brightness_falls_with_the_cosine_to_a_power(shape: str, falloff: float) -> None:
    spot = HotSpot(0, 90, CRUST_AND_RIM, 60, shape, 5, "", falloff)
    above, aslant = looking((0, 90)), looking((0, 20))
    _, _, mu, distance = at_pixel(spot, aslant)
    ratio = flux(spot, aslant) / flux(spot, above) * (distance / at_pixel(spot, above)[3]) ** 2
    assert mu == pytest.approx(math.cos(math.radians(70)), abs=0.01)
    assert ratio == pytest.approx(mu**falloff, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_far_side_shows_nothing(shape: str) -> None:
    for lon in (91, 120, 180, 269):
        assert spot_stamp(HotSpot(0, lon, MIXED, 30, shape, 1), looking((0, 0)), BAND_M, SHAPE) is None


def test_nothing_off_the_picture() -> None:
    spot = HotSpot(0, 0, MIXED, 30, "lake", 1)
    assert spot_stamp(spot, replace(looking(), centre_x_px=-300.0), BAND_M, SHAPE) is None
    assert spot_stamp(spot, replace(looking(), centre_y_px=700.0), BAND_M, SHAPE) is None


def test_nothing_where_the_light_is_less_than_a_number_can_hold() -> None:
    cold = HotSpot(0, 0, (Component(120.0, 1.0),), 0.1, "point", 0)
    violet = bandpass("galileo_ssi", "VIOLET")
    assert spot_stamp(cold, looking(), violet, SHAPE) is None
    rim = spot_stamp(
        HotSpot(0, 0, (*cold.components, Component(1200.0, 1.0)), 200, "lake", 0), looking(), violet, SHAPE
    )
    assert rim is not None
    assert np.isfinite(rim.patch).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_edge_of_the_picture_only_cuts(shape: str) -> None:
    spot, geometry = HotSpot(0, 0, MIXED, 400, shape, 2), looking()
    whole = spot_stamp(spot, geometry, BAND_M, SHAPE).on(SHAPE)  # type: ignore[union-attr]
    cut = spot_stamp(spot, replace(geometry, centre_x_px=geometry.centre_x_px - 198), BAND_M, (220, 150))
    assert cut is not None
    np.testing.assert_allclose(cut.on((220, 150)), whole[:220, 198:348], rtol=1e-4, atol=1e-6 * float(whole.max()))


# -- published numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "size"), [("point", 0.1), ("lake", 40), ("flow", 90)])
@pytest.mark.parametrize("lon", [0.0, 55.0])
def test_jiram_power_by_the_published_formula(shape: str, size: float, lon: float) -> None:
    """P [GW/um] = sum L / 0.4975 * pi * (km * 0.237767)² / cos(e) / 1e9, L in W m-2 sr-1."""
    geometry = Geometry(200, 200, 40_000.0, JIRAM.ifov_rad, (0, 0), (0, 0), 270)
    spot = HotSpot(0, lon, MIXED, size, shape, 4)
    _, _, mu, distance = at_pixel(spot, geometry)
    pixels = spot_stamp(spot, geometry, BAND_M, SHAPE).patch * BAND_M.width_um  # type: ignore[union-attr]
    metres = distance * 0.237767
    power = float(pixels.sum()) / 0.4975 * math.pi * metres**2 / mu / 1e9
    assert power == pytest.approx(spot.power_gw_um(4.78), rel=0.02)


@settings(max_examples=25, deadline=None)
@given(st.floats(250, 1600), st.sampled_from(SHAPES))
def test_the_ratio_of_l_to_m_gives_back_the_temperature(kelvin: float, shape: str) -> None:
    spot = HotSpot(20, 10, (Component(kelvin, 3.0),), 50, shape, 9)
    seen = [spot_stamp(spot, looking(), band, SHAPE) for band in (BAND_L, BAND_M)]
    ratio = seen[0].patch.sum(dtype=np.float64) / seen[1].patch.sum(dtype=np.float64)  # type: ignore[union-attr]

    def off(trial: float) -> float:
        return math.log(band_mean_radiance(BAND_L, trial) / band_mean_radiance(BAND_M, trial) / ratio)

    assert brentq(off, 150, 3000) == pytest.approx(kelvin, rel=1e-3)


def test_powers_of_the_catalogue(shared: Path) -> None:
    """Areas, effective temperatures and powers of Veeder et al. (2015) go together as sigma T⁴ A."""
    with (shared / "catalogs" / "io_veeder2015_excerpt.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if float(row["power_GW"]) >= 30]
    off = []
    for row in rows:
        kelvin, area = float(row["teff_K"]), float(row["area_km2"])
        spot = HotSpot(0, 0, (Component(kelvin, area),), 1, "point", 0)
        assert spot.temperature_k == pytest.approx(kelvin)
        off.append(abs(spot.power_gw() / float(row["power_GW"]) - 1))
    assert len(off) > 30
    assert np.median(off) < 0.02


def test_spectral_power_of_a_square_kilometre() -> None:
    """pi B(4.78 um, 1000 K) = 7.73 GW um-1 from 1 km2: its M band radiance is 1190 W m-2 sr-1 over 0.48 um."""
    spot = HotSpot(0, 0, (Component(1000, 1.0),), 1, "point", 0)
    assert spot.power_gw_um(4.78) == pytest.approx(math.pi * 1190 / 0.48 * 1e-3, rel=0.02)


def test_temperatures_of_a_mixture() -> None:
    spot = HotSpot(0, 0, (Component(300, 1000.0), Component(1200, 1.0)), 1, "point", 0)
    assert 300 < spot.temperature_k < 400  # its power is mostly the crust's area
    assert spot.temperature_in(broad(0.9, 0.2)) == pytest.approx(1200, abs=1)
    assert 300 < spot.temperature_in(BAND_M) < spot.temperature_in(BAND_L) < 1200


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SHAPES), st.floats(1e-4, 1e4), st.integers(0, 1000))
def test_areas_scale_the_picture_and_nothing_else(shape: str, factor: float, seed: int) -> None:
    spot = HotSpot(10, 5, MIXED, 80, shape, seed, "Loki Patera", 1.3)
    once, more = (spot_stamp(s, looking(), BAND_M, SHAPE) for s in (spot, spot.times(factor)))
    assert once is not None
    assert more is not None
    assert (more.row, more.column) == (once.row, once.column)
    np.testing.assert_allclose(more.patch, once.patch * factor, rtol=1e-4, atol=1e-6 * float(more.patch.max()))
    assert spot.times(factor).area_km2 == pytest.approx(spot.area_km2 * factor)
    assert spot.times(factor).temperature_k == pytest.approx(spot.temperature_k)


# -- outlines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", EXTENDED)
def test_an_outline_is_its_seeds(shape: str) -> None:
    spot = HotSpot(0, 0, CRUST_AND_RIM, 400, shape, 7)
    first, again = (spot_stamp(spot, looking(), BAND_M, SHAPE) for _ in range(2))
    other = spot_stamp(replace(spot, seed=8), looking(), BAND_M, SHAPE)
    np.testing.assert_array_equal(first.patch, again.patch)  # type: ignore[union-attr]
    assert not np.array_equal(first.on(SHAPE), other.on(SHAPE))  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", EXTENDED)
def test_one_component_looks_the_same_in_every_band(shape: str) -> None:
    spot = HotSpot(0, 0, (Component(1200, 1),), 300, shape, 7)
    long, short = (spot_stamp(spot, looking(), band, SHAPE).patch for band in (BAND_M, broad(0.9, 0.2)))  # type: ignore[union-attr]
    np.testing.assert_allclose(long / long.sum(), short / short.sum(), rtol=1e-3, atol=1e-9)


def test_ground_is_foreshortened() -> None:
    """From 60 degrees off, a lake covers half the pixels."""

    def covered(sub_lon: float, seed: int) -> float:
        spot = HotSpot(0, 90, (Component(300, 900),), 300, "lake", seed)
        geometry = replace(looking((0, sub_lon), 5.0), centre_x_px=400.0, centre_y_px=400.0)
        patch = spot_stamp(spot, geometry, BAND_M, (800, 800)).patch  # type: ignore[union-attr]
        return float(patch.sum()) ** 2 / float((patch**2).sum())

    ratio = np.mean([covered(30, seed) / covered(90, seed) for seed in range(20)])
    assert ratio == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("shape", ["lake", "flow"])
@pytest.mark.parametrize("lon", [75.0, 87.0])
def test_nothing_on_the_ground_shines_beyond_the_limb(shape: str, lon: float) -> None:
    geometry = looking((0, 0))
    for seed in range(10):
        image = spot_stamp(HotSpot(5, lon, MIXED, 300, shape, seed), geometry, BAND_M, SHAPE).on(SHAPE)  # type: ignore[union-attr]
        row, column = np.nonzero(image)
        dx, dy = column - geometry.centre_x_px, row - geometry.centre_y_px
        beyond = np.hypot(dx, dy) - geometry.limb_radius_px(np.arctan2(dx, -dy))
        assert beyond.max() < 1.5


def test_a_lakes_rim_outshines_its_crust() -> None:
    """Half of the light of a hot rim lies in the outer tenth of a lake, on a line about a pixel wide."""
    geometry = looking(km_per_px=1.0)
    for seed in range(5):
        rim_only = spot_stamp(
            HotSpot(0, 0, (Component(200, 1e-9), Component(1000, 1)), 80, "lake", seed), geometry, BAND_M, SHAPE
        )
        image = rim_only.on(SHAPE)  # type: ignore[union-attr]
        assert np.count_nonzero(image > 0.02 * image.max()) < 2.7 * math.pi * 80
        crust = spot_stamp(HotSpot(0, 0, (Component(300, 500),), 80, "lake", seed), geometry, BAND_M, SHAPE)
        assert np.count_nonzero(crust.patch) > 1200  # type: ignore[union-attr]


def test_a_flow_is_brightest_at_its_vent_and_reaches_its_size() -> None:
    geometry = looking(km_per_px=1.0)
    reach = []
    for seed in range(12):
        spot = HotSpot(0, 0, (Component(350, 100), Component(1100, 1)), 80, "flow", seed)
        x, y, _, _ = at_pixel(spot, geometry)
        image = spot_stamp(spot, geometry, BAND_M, SHAPE).on(SHAPE)  # type: ignore[union-attr]
        row, column = np.nonzero(image)
        reach.append(np.hypot(column - x, row - y).max())
        near = np.hypot(*np.ogrid[-y : SHAPE[0] - y - 0.5, -x : SHAPE[1] - x - 0.5]) < 8
        assert image[near].max() > 0.3 * image.max()
    assert np.median(reach) == pytest.approx(80, rel=0.2)


def test_a_fountain_stands_out_of_the_limb() -> None:
    """Seen from the side at 0.1 km a pixel, jets of up to 1.6 km stand above the fissure."""
    geometry = replace(looking((0, 0), km_per_px=0.1), centre_x_px=200.0, centre_y_px=200.0)
    spot = HotSpot(0, 85.0, (Component(1300, 1.0),), 3.0, "fountain", 11, "", 0.0)
    x, y, mu, _ = at_pixel(spot, geometry)
    geometry = replace(geometry, centre_x_px=400.0 - x, centre_y_px=400.0 - y)
    image = spot_stamp(spot, geometry, BAND_M, SHAPE).on(SHAPE)  # type: ignore[union-attr]
    out = np.array([x - 200.0, y - 200.0]) / math.hypot(x - 200.0, y - 200.0)
    row, column = np.nonzero(image)
    height = (column - 200.0) * out[0] + (row - 200.0) * out[1]
    flat = 1.5 * mu / 0.1  # half the fissure, foreshortened
    assert 2 < height.max() - flat < 17


# -- lenses -----------------------------------------------------------------------------------------------------------


def test_the_pixels_of_a_wide_camera_make_up_its_field() -> None:
    """Solid angle of a rectangle: 4 asin(sin a sin b), a and b half the angles of its sides."""
    geometry = Geometry(49.5, 29.5, 1e5, 0.01, (0, 0), (0, 0), 270)
    total = sum(pixel_solid_angle(geometry, x, y) for x in range(100) for y in range(60))
    a, b = math.atan(0.5), math.atan(0.3)
    assert total == pytest.approx(4 * math.asin(math.sin(a) * math.sin(b)), rel=1e-4)


@dataclass(frozen=True)
class Barrel:
    """Pixels that lie nearer to the axis (100, 100) than a pinhole's would."""

    strength: float = 2e-5

    def ideal(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        stretch = 1 + self.strength * ((x_px - 100) ** 2 + (y_px - 100) ** 2)
        return 100 + (x_px - 100) * stretch, 100 + (y_px - 100) * stretch

    def pixel(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        x, y = x_px, y_px
        for _ in range(60):
            stretch = 1 + self.strength * ((x - 100) ** 2 + (y - 100) ** 2)
            x, y = 100 + (x_px - 100) / stretch, 100 + (y_px - 100) / stretch
        return x, y


def test_a_distorted_camera_sees_the_same_flux_and_radiance() -> None:
    """Off the axis pixels see more sky: an outline covers fewer, each as bright as through a pinhole."""
    straight = replace(looking(), centre_x_px=200.0, centre_y_px=200.0)
    bent = replace(straight, lens=Barrel())
    spot = HotSpot(0, 0, (Component(300, 900),), 500, "lake", 1)
    through = spot_stamp(spot, bent, BAND_M, SHAPE)
    plain = spot_stamp(spot, straight, BAND_M, SHAPE)
    assert through is not None
    assert plain is not None
    assert through.patch.size < 0.8 * plain.patch.size
    assert np.median(through.patch[through.patch > 0]) == pytest.approx(
        np.median(plain.patch[plain.patch > 0]), rel=0.1
    )
    x, y = (float(v) for v in bent.project(np.array([0.0, 0.0, 1829.4])))
    solid = pixel_solid_angle(bent, x, y)
    assert solid > 1.3 * bent.ifov_rad**2
    total = float(through.patch.sum(dtype=np.float64)) * solid
    assert total == pytest.approx(float(plain.patch.sum(dtype=np.float64)) * straight.ifov_rad**2, rel=0.01)


# -- the population ---------------------------------------------------------------------------------------------------


def test_powers_follow_a_power_law_over_six_decades() -> None:
    rng = np.random.default_rng(3)
    power = np.array([draw_power_gw(rng) for _ in range(30_000)])
    assert math.log10(POWER_GW[1] / POWER_GW[0]) == pytest.approx(6)
    assert POWER_GW[0] <= power.min() < 1.01 * POWER_GW[0]
    assert 0.03 * POWER_GW[1] < power.max() <= POWER_GW[1]
    more = [float((power > POWER_GW[0] * 10**k).mean()) for k in range(5)]
    slopes = np.diff(np.log10(more))
    assert (slopes < -0.58).all()
    assert (slopes > -0.85).all()


def test_components_add_up_and_keep_their_limits() -> None:
    rng = np.random.default_rng(4)
    numbers = set()
    for power in np.geomspace(*POWER_GW, 400):
        kinds, parts = draw_components(rng, float(power))
        numbers.add(len(parts))
        assert sum(part.power_gw for part in parts) == pytest.approx(power)
        if power < 5000:  # above, a crust of limited area may be hotter than lava
            assert [part.temperature_k for part in parts] == sorted(part.temperature_k for part in parts)
        for kind, part in zip(kinds, parts, strict=True):
            assert 0 < part.area_km2 <= MOST_KM2[kind] * 1.0001
            assert 190 <= part.temperature_k <= 1700
    assert numbers == {1, 2, 3}


def test_drawn_spots_are_in_sight_and_named_where_a_volcano_is() -> None:
    geometry, rng = looking((-5, 200)), np.random.default_rng(5)
    spots = [draw_spot(rng, geometry) for _ in range(600)]
    assert all(at_pixel(spot, geometry)[2] > 0 for spot in spots)
    assert {spot.shape for spot in spots} == set(SHAPES)
    named = [spot for spot in spots if spot.name]
    assert len(named) == pytest.approx(300, abs=60)
    for spot in named:
        _, distance = nearest(spot.lat_deg, spot.lon_w_deg)
        assert distance < 25
    assert sum(nearest(s.lat_deg, s.lon_w_deg)[0].name == s.name for s in named) > 0.95 * len(named)
    assert len({spot.name for spot in named}) > 30
    assert all(spot.size_km**2 >= spot.area_km2 for spot in spots)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 50)])
def test_the_share_of_names(share: float, expected: int) -> None:
    rng = np.random.default_rng(6)
    assert sum(bool(draw_spot(rng, looking((0, 300)), share).name) for _ in range(50)) == expected


def test_places_are_spread_evenly_over_what_is_seen() -> None:
    """A sphere's visible cap has equal areas at equal steps of the cosine from its middle."""
    geometry, rng = looking((0, 0)), np.random.default_rng(7)
    spots = [draw_spot(rng, geometry, 0.0) for _ in range(2000)]
    cosine = [math.cos(math.radians(s.lat_deg)) * math.cos(math.radians(s.lon_w_deg)) for s in spots]
    assert np.histogram(cosine, 5, (0.026, 1.0))[0] == pytest.approx(np.full(5, 400), abs=80)
