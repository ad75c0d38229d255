"""Plumes against Kepler's closed forms, published sizes, and what a picture has to keep."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.frame import IO_RADII_KM, IO_RADIUS_KM
from detector.instruments import JUNOCAM
from detector.volcanoes import great_circle_km, volcanoes
from training.simulate.ballistics import GRAVITY_KM_S2, MU_KM3_S2, Flight, fly, launch_speed
from training.simulate.geometry import Geometry
from training.simulate.light import Image
from training.simulate.plumes import (
    FAMILIES,
    Columns,
    Plume,
    _View,
    draw_plume,
    grains,
    plume_columns,
    plume_width_km,
)
from training.simulate.pushframe import PushFrame

FAR_KM = 1e7
BALLISTIC = sorted(FAMILIES.keys() - {"gas_halo"})


def limb_view(px_per_km: float = 0.5, phase_deg: float = 90.0, side: int = 300) -> Geometry:
    """From far above 0 N 0 W with north up: the north pole's limb crosses the picture's middle, the Sun to the left."""
    ifov = 1 / (px_per_km * FAR_KM)
    pole = IO_RADII_KM[2] * px_per_km
    return Geometry(side / 2, side * 0.8 + pole, FAR_KM, ifov, (0.0, 0.0), (0.0, phase_deg), -90.0)


def nadir_view(incidence_deg: float, px_per_km: float = 1.0, range_km: float = FAR_KM) -> Geometry:
    """From above 0 N 0 W, which falls on the middle of a picture of 301 x 301."""
    ifov = 1 / (px_per_km * (range_km - IO_RADII_KM[0]))
    return Geometry(150.0, 150.0, range_km, ifov, (0.0, 0.0), (0.0, incidence_deg), -90.0)


def whole(columns: Columns | None, part: str, shape: tuple[int, int]) -> Image:
    image = np.zeros(shape, np.float32)
    if columns is not None:
        patch = getattr(columns, part)
        image[columns.row : columns.row + patch.shape[0], columns.column : columns.column + patch.shape[1]] = patch
    return image


def at_pole(family: str = "umbrella", height_km: float = 100.0, seed: int = 4) -> Plume:
    return Plume(89.99, 0.0, height_km, family, 0.1, seed)


def path(speed: float, angle_deg: float, count: int = 4001) -> tuple[np.ndarray, Flight]:
    share = np.linspace(0, 1, count)
    return share, fly(np.full(count, speed), np.full(count, math.radians(angle_deg)), share)


# -- flight ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("speed", "top_km"), [(0.5, 72), (0.7, 147), (0.8, 197), (1.0, 329), (1.15, 461)])
def test_heights_in_gravity_that_falls_off(speed: float, top_km: float) -> None:
    _, flight = path(speed, 0.01)
    assert flight.altitude.max() == pytest.approx(top_km, abs=0.6)
    flat = speed**2 / (2 * GRAVITY_KM_S2)
    assert flight.altitude.max() == pytest.approx(flat / (1 - flat / IO_RADIUS_KM), rel=1e-6)
    assert launch_speed(float(flight.altitude.max())) == pytest.approx(speed, rel=1e-6)


@pytest.mark.parametrize("angle_deg", [20.0, 45.0, 70.0])
def test_slow_grains_fly_parabolas(angle_deg: float) -> None:
    speed, angle = 0.1, math.radians(angle_deg)
    share, flight = path(speed, angle_deg)
    assert flight.arc[-1] * IO_RADIUS_KM == pytest.approx(speed**2 * math.sin(2 * angle) / GRAVITY_KM_S2, rel=0.01)
    assert flight.altitude.max() == pytest.approx((speed * math.cos(angle)) ** 2 / (2 * GRAVITY_KM_S2), rel=0.01)
    aloft = np.trapezoid(flight.dwell, share)
    assert aloft == pytest.approx(2 * speed * math.cos(angle) / GRAVITY_KM_S2, rel=0.01)


@given(st.floats(0.1, 2.2), st.floats(1, 85))
def test_the_range_is_that_of_the_ellipse(speed: float, angle_deg: float) -> None:
    """tan(range / 2R) = Q sin cos / (1 - Q sin²) with Q = v² R / mu, the hit equation of ballistic missiles."""
    _, flight = path(speed, angle_deg, 3)
    s, c = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    q = speed**2 * IO_RADIUS_KM / MU_KM3_S2
    assert flight.arc[-1] == pytest.approx(2 * math.atan2(q * s * c, 1 - q * s * s), rel=1e-6)
    assert flight.altitude[[0, -1]] == pytest.approx([0, 0], abs=1e-6)


@given(st.floats(0.1, 2.2), st.floats(3, 80))
def test_energy_and_angular_momentum_stay(speed: float, angle_deg: float) -> None:
    share, flight = path(speed, angle_deg)
    radius, step = IO_RADIUS_KM + flight.altitude, share[1] - share[0]
    inner = slice(2, -2)
    rise = (np.gradient(flight.altitude, step) / flight.dwell)[inner]
    spin = (radius**2 * np.gradient(flight.arc, step) / flight.dwell)[inner]
    energy = 0.5 * (rise**2 + (spin / radius[inner]) ** 2) - MU_KM3_S2 / radius[inner]
    np.testing.assert_allclose(spin, IO_RADIUS_KM * speed * math.sin(math.radians(angle_deg)), rtol=1e-4)
    np.testing.assert_allclose(energy, speed**2 / 2 - MU_KM3_S2 / IO_RADIUS_KM, rtol=1e-5)


def test_prometheus_as_strom_1981_has_it() -> None:
    """0.5 km/s and angles to 55 degrees: some 70 km high and 278 km wide, where the range is largest (45 degrees)."""
    angles = np.radians(np.linspace(0.1, 55, 400))
    landed = fly(np.full(400, 0.5), angles, np.ones(400))
    assert 2 * IO_RADIUS_KM * landed.arc.max() == pytest.approx(278, rel=0.05)
    plume = Plume(0.0, 0.0, 72.4, "umbrella", 0.1, 1)
    altitude = np.linalg.norm(grains(plume).places, axis=1) - IO_RADII_KM[0]
    assert launch_speed(72.4) == pytest.approx(0.5, rel=1e-3)
    assert 65 < np.quantile(altitude[: grains(plume).ends[2]], 0.999) < 75
    assert plume_width_km(plume) == pytest.approx(278, rel=0.15)


# -- on the picture -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_plume_on_the_limb_rises_to_its_height(family: str) -> None:
    geometry = limb_view()
    seen = whole(plume_columns(at_pole(family), geometry, (300, 300)), "seen", (300, 300))
    altitude = (240 - np.nonzero(seen.max(1) > 0.01)[0].min()) / 0.5
    halo = 1.2 if family == "gas_halo" else FAMILIES[family].halo_height[1]
    assert 65 < altitude < 1.05 * 100 * halo


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_one_is_the_densest_line_of_sight(family: str) -> None:
    """Seen from the side at a quarter of a turn from where it is measured; one-sided plumes differ most."""
    seen = whole(plume_columns(at_pole(family), limb_view(0.4), (300, 300)), "seen", (300, 300))
    assert 0.6 < seen.max() < 1.6


def test_umbrellas_fade_upwards_and_a_canopy_is_bright_on_top() -> None:
    """Strom et al. 1981: brightness falls from the core to the top, except Pele's."""

    def by_height(family: str) -> list[float]:
        profiles = []
        for seed in range(8):
            seen = whole(plume_columns(at_pole(family, seed=seed), limb_view(), (300, 300)), "seen", (300, 300))
            profiles.append(seen[:, 140:161].mean(1))
        mean = np.mean(profiles, 0)
        return [float(mean[240 - 50 * k // 100]) for k in (20, 50, 85)]

    core, middle, top = by_height("umbrella")
    assert core > middle > top
    core, _, top = by_height("canopy")
    assert top > 1.2 * core


def test_the_body_hides_what_is_behind_it() -> None:
    shape, geometry = (300, 300), limb_view()
    assert plume_columns(Plume(0.0, 180.0, 100.0, "umbrella", 0.1, 4), geometry, shape) is None
    plume = Plume(76.0, 180.0, 200.0, "gas_halo", 0.1, 4)  # up to 10 degrees wide: all of it is beyond the limb
    behind = whole(plume_columns(plume, geometry, shape), "seen", shape)
    y, x = np.nonzero(behind > 1e-4)
    limb = geometry.limb_radius_px(np.arctan2(x - geometry.centre_x_px, geometry.centre_y_px - y))
    assert behind.sum() > 0
    assert (np.hypot(x - geometry.centre_x_px, y - geometry.centre_y_px) > limb - 1).all()


@pytest.mark.parametrize("family", ["umbrella", "jet", "gas_halo"])
@pytest.mark.parametrize("beyond_deg", [0.0, 4.0, 8.0, 12.0])
def test_beyond_the_terminator_only_the_top_is_lit(beyond_deg: float, family: str) -> None:
    """From above, the lit share is that of the dust whose (R + h) sin(zenith angle of the Sun) exceeds R."""
    plume = Plume(0.0, 0.0, 100.0, family, 0.1, 4)
    geometry = nadir_view(90 + beyond_deg, 0.3)
    columns = plume_columns(plume, geometry, (301, 301))
    assert columns is not None
    dust, sun = grains(replace(plume, optical_depth=1.0)), geometry.rotation.T @ geometry.sun
    radius = np.linalg.norm(dust.places, axis=1)
    ground = 1 / np.linalg.norm(dust.places / radius[:, None] / np.array(IO_RADII_KM), axis=1)
    height = dust.places @ sun / radius  # sine of the Sun's height
    lit = (height > 0) | (radius * np.sqrt(1 - height**2) > ground)
    assert (columns.lit <= columns.seen + 1e-6).all()
    assert columns.lit.sum() / columns.seen.sum() == pytest.approx(float(dust.weight @ lit), abs=0.01)
    assert beyond_deg < 12 or columns.lit.sum() < 0.85 * columns.seen.sum()


@settings(max_examples=12, deadline=None)
@given(st.floats(0, 360), st.floats(-20.4, 20.4), st.sampled_from(sorted(FAMILIES)))
def test_roll_and_shift_keep_the_flux(roll: float, shift: float, family: str) -> None:
    """Above the disk's middle nothing is hidden: the sum of the column is the plume's mass however the camera turns."""
    plume, shape = Plume(0.0, 0.0, 30.0, family, 0.1, 4), (301, 301)
    usual = nadir_view(0.0)
    turned = replace(usual, north_azimuth_deg=roll, centre_x_px=150.0 + shift, centre_y_px=150.0 - shift / 2)
    first, second = (whole(plume_columns(plume, g, shape), "seen", shape).sum() for g in (usual, turned))
    assert second == pytest.approx(first, rel=0.01)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("scale", [0.3, 2.0, 3.7])
def test_the_flux_goes_as_the_square_of_the_scale(family: str, scale: float) -> None:
    plume = Plume(0.0, 0.0, 30.0, family, 0.1, 4)
    usual = plume_columns(plume, replace(nadir_view(0.0), centre_x_px=600, centre_y_px=600), (1201, 1201))
    large = plume_columns(plume, replace(nadir_view(0.0, scale), centre_x_px=600, centre_y_px=600), (1201, 1201))
    assert usual is not None
    assert large is not None
    assert large.seen.sum() / scale**2 == pytest.approx(usual.seen.sum(), rel=0.01)


def test_a_near_camera_measures_the_same_column() -> None:
    plume = Plume(0.0, 0.0, 10.0, "umbrella", 0.1, 4)
    far, near = (plume_columns(plume, nadir_view(0.0, 3.0, km), (301, 301)) for km in (FAR_KM, IO_RADII_KM[0] + 600))
    assert far is not None
    assert near is not None
    assert near.seen.sum() == pytest.approx(far.seen.sum(), rel=0.03)


def test_a_plume_cut_by_the_border_is_the_same_plume() -> None:
    geometry, plume = limb_view(), at_pole()
    image = whole(plume_columns(plume, geometry, (300, 300)), "seen", (300, 300))
    left = replace(geometry, centre_x_px=geometry.centre_x_px - 150)
    half = whole(plume_columns(plume, left, (300, 150)), "seen", (300, 150))
    np.testing.assert_allclose(half.sum(0), image[:, 150:].sum(0), rtol=0.03, atol=0.03)


def test_a_camera_that_looks_past_io_sees_no_body_to_its_side() -> None:
    """Beside 450 km of altitude Io's centre is 87 degrees and more off some pixels of a mosaic: no body there."""
    place = (2764.0, 1432.0)
    lens = PushFrame("GREEN", 3, 0.372, io_px=place)
    geometry = Geometry(*place, 2276.9, JUNOCAM.ifov_rad, (28.9, 53.6), (8.2, 300.3), 190.2, lens=lens)
    x, y = np.meshgrid(np.arange(1648.0), np.arange(362.0))
    to_the_side = np.isnan(lens.ideal(x, y)[0])
    cover = _View.of(geometry).cover((0, 0, 362, 1648))
    assert 0 < to_the_side.sum() < to_the_side.size
    assert np.isfinite(cover).all()
    assert not cover[to_the_side].any()


# -- shadows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("incidence_deg", [20.0, 40.0, 60.0])
def test_the_shadow_lies_away_from_the_sun(incidence_deg: float) -> None:
    """Each grain's shadow falls h tan(incidence) from below it, and slant rays see 1 / cos(incidence) more dust."""
    plume = Plume(0.0, 0.0, 20.0, "gas_halo", 0.1, 4)
    geometry = nadir_view(incidence_deg, 1.5)
    columns = plume_columns(plume, geometry, (301, 301))
    seen, shadow = whole(columns, "seen", (301, 301)), whole(columns, "shadow", (301, 301))
    x = np.arange(301)
    moved = (x * shadow.sum(0)).sum() / shadow.sum() - (x * seen.sum(0)).sum() / seen.sum()
    dust = grains(replace(plume, optical_depth=1.0))
    mean_km = float(dust.weight @ (np.linalg.norm(dust.places, axis=1) - IO_RADII_KM[0]))
    towards_sun = np.sign(geometry.sun[0])
    assert -towards_sun * moved / 1.5 == pytest.approx(mean_km * math.tan(math.radians(incidence_deg)), rel=0.07)
    assert shadow.sum() / seen.sum() == pytest.approx(1 / math.cos(math.radians(incidence_deg)), rel=0.05)


def test_no_shadow_falls_on_the_night_or_off_the_disk() -> None:
    night = plume_columns(Plume(0.0, 0.0, 30.0, "umbrella", 0.1, 4), nadir_view(115.0), (301, 301))
    assert night is not None
    assert night.shadow.max() == 0
    assert night.lit.max() == 0
    geometry = limb_view(phase_deg=20.0)
    shadow = whole(
        plume_columns(Plume(87.0, 0.0, 100.0, "umbrella", 0.1, 4), geometry, (300, 300)), "shadow", (300, 300)
    )
    y, x = np.nonzero(shadow > 1e-5)
    assert np.hypot(x - geometry.centre_x_px, y - geometry.centre_y_px).max() < IO_RADII_KM[0] * 0.5 + 1


# -- light and population -------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_and_other_seeds_other_grains() -> None:
    one, two, other = (plume_columns(at_pole("canopy", seed=s), limb_view(), (300, 300)) for s in (7, 7, 8))
    grains.cache_clear()
    again = plume_columns(at_pole("canopy", seed=7), limb_view(), (300, 300))
    assert one is not None
    assert two is not None
    assert again is not None
    assert other is not None
    assert one.seen.tobytes() == two.seen.tobytes() == again.seen.tobytes()
    assert one.seen.tobytes() != other.seen.tobytes()


@given(st.floats(0.3, 0.6))
def test_dust_brightens_forward(forward: float) -> None:
    plume = replace(at_pole(), forward=forward)
    ratio = plume.source_i_over_f(150) / plume.source_i_over_f(30)
    assert ratio == pytest.approx(((1 + forward**2 + 3**0.5 * forward) / (1 + forward**2 - 3**0.5 * forward)) ** 1.5)
    assert 3.5 < ratio < 30
    assert replace(plume, forward=0.0, albedo=0.8).source_i_over_f(77) == pytest.approx(0.2)


def test_depth_goes_as_a_power_of_the_wavelength() -> None:
    plume = replace(at_pole(), optical_depth=0.2, blueness=4.0)
    assert plume.depth_at(0.55) == pytest.approx(0.2)
    assert plume.depth_at(1.1) == pytest.approx(0.2 / 16)


@pytest.mark.parametrize("place", ["limb", "disk", "terminator"])
def test_drawn_plumes_can_be_seen_where_they_were_wanted(place: str) -> None:
    rng, named = np.random.default_rng(5), 0
    geometry = Geometry(128.0, 128.0, 1e6, 2e-5, (5.0, 130.0), (0.0, 200.0), -90.0)
    for _ in range(40):
        plume = draw_plume(rng, geometry, (), place)
        columns = plume_columns(plume, geometry, (256, 256))
        assert columns is not None
        assert columns.lit.max() > 0
        assert 20 <= plume.height_km <= 450
        assert 0.005 <= plume.optical_depth <= 1
        if plume.name:
            named += 1
            home = next(v for v in volcanoes() if v.name == plume.name)
            assert great_circle_km(plume.lat_deg, plume.lon_w_deg, home.lat_deg, home.lon_w_deg) < 25
    assert named < 32
    assert named > 0 or place == "terminator"  # a narrow strip may have no volcano


def test_a_place_that_the_camera_cannot_see_becomes_the_limb() -> None:
    rng = np.random.default_rng(1)
    full = Geometry(128.0, 128.0, 1e6, 2e-5, (0.0, 0.0), (0.0, 0.0), -90.0)
    for _ in range(10):
        plume = draw_plume(rng, full, ("umbrella",), "terminator")
        assert great_circle_km(plume.lat_deg, plume.lon_w_deg, 0, 0) > 0.7 * math.pi / 2 * IO_RADIUS_KM
