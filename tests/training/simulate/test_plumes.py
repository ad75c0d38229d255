"""Plumes: flight in 1/r² gravity, what is seen, lit and shadowed, and the published population."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.frame import IO_RADIUS_KM
from detector.volcanoes import volcanoes
from training.simulate.geometry import Geometry, direction
from training.simulate.plumes import (
    FAMILIES,
    GRAVITY_KM_S2,
    MU_KM3_S2,
    Plume,
    draw_plume,
    fly,
    grains,
    launch_speed,
    plume_columns,
    plume_width_km,
)

SHAPE = (300, 320)


def looking(radius_px: float = 100.0, **changes: object) -> Geometry:
    """From far away, straight down on 0 N 0 W, north up, the Sun behind the camera."""
    ifov = 1e-5
    range_km = IO_RADIUS_KM / math.sin(math.atan(radius_px * ifov))
    return replace(Geometry(160.0, 160.0, range_km, ifov, (0.0, 0.0), (0.0, 0.0), -90.0), **changes)  # type: ignore[arg-type]


def a_plume(family: str = "umbrella", lat: float = 89.99, height: float = 150.0) -> Plume:
    return Plume(lat, 0.0, height, family, 0.1, 5)


# -- flight ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.02, 0.05, 0.1])
def test_slow_grains_fly_as_on_a_flat_ground(speed: float) -> None:
    v = np.array([speed])
    arc, top, _ = fly(v, np.zeros(1), np.full(1, 0.5))
    assert top[0] == pytest.approx(speed**2 / (2 * GRAVITY_KM_S2), rel=0.01)
    arc, down, aloft = fly(v, np.full(1, math.pi / 4), np.ones(1))
    assert arc[0] * IO_RADIUS_KM == pytest.approx(speed**2 / GRAVITY_KM_S2, rel=0.01)
    assert down[0] == pytest.approx(0, abs=1e-4)
    assert aloft[0] == pytest.approx(2 * speed * math.sin(math.pi / 4) / GRAVITY_KM_S2, rel=0.01)


@pytest.mark.parametrize(("speed", "height"), [(0.5, 72), (0.7, 147), (0.8, 197), (1.0, 329), (1.15, 461)])
def test_heights_in_real_gravity(speed: float, height: float) -> None:
    """The heights that the facts give for 1/r² gravity, and back."""
    _, top, _ = fly(np.array([speed]), np.full(1, 1e-6), np.full(1, 0.5))
    assert top[0] == pytest.approx(height, abs=1.0)
    assert launch_speed(float(top[0])) == pytest.approx(speed, rel=1e-4)


@given(st.floats(0.1, 1.6), st.floats(0.02, 1.3), st.floats(0.05, 0.95))
def test_energy_and_angular_momentum_are_kept(speed: float, angle: float, moment: float) -> None:
    """Between two moments of a flight, from positions alone: vis-viva and Kepler's second law."""
    step = 1e-4
    v, a = np.full(2, speed), np.full(2, angle)
    arc, altitude, aloft = fly(v, a, np.array([moment - step, moment + step]))
    radius = IO_RADIUS_KM + altitude
    seconds = 2 * step * aloft[0]
    swept = radius.mean() ** 2 * (arc[1] - arc[0]) / seconds
    assert swept == pytest.approx(IO_RADIUS_KM * speed * math.sin(angle), rel=2e-3)
    up, along = (radius[1] - radius[0]) / seconds, radius.mean() * (arc[1] - arc[0]) / seconds
    energy = 0.5 * (up**2 + along**2) - MU_KM3_S2 / radius.mean()
    assert energy == pytest.approx(0.5 * speed**2 - MU_KM3_S2 / IO_RADIUS_KM, abs=2e-3)


def test_prometheus_as_strom_1981_has_it() -> None:
    """0.5 km/s at 0-55 degrees: about 70 km high and 280 km wide."""
    prometheus = Plume(-1.5, 153.9, 72.0, "umbrella", 0.1, 3)
    dust = grains(prometheus)
    altitude = np.linalg.norm(dust.places, axis=1) - IO_RADIUS_KM
    order = np.argsort(altitude)
    most = altitude[order][np.searchsorted(np.cumsum(dust.weight[order]), 0.95)]
    assert 55 < most < 80
    assert 200 < plume_width_km(prometheus) < 320


# -- what is seen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["umbrella", "canopy", "dome", "core_halo"])
def test_a_plume_on_the_limb_rises_to_its_height(family: str) -> None:
    geometry = looking(200.0, centre_y_px=300.0)
    columns = plume_columns(a_plume(family), geometry, SHAPE)
    assert columns is not None
    profile = columns.seen.max(axis=1)
    top = columns.row + int(np.argmax(profile > 0.03 * profile.max()))
    height_km = (300 - geometry.radius_px - top) * geometry.km_per_px
    assert height_km == pytest.approx(150, rel=0.3)


def test_what_io_hides_is_not_seen() -> None:
    geometry = looking()
    sums = []
    for lat, lon in ((89.99, 0), (75, 180), (60, 180)):  # on the limb, a little behind it, far behind it
        columns = plume_columns(replace(a_plume(), lat_deg=lat, lon_w_deg=lon), geometry, SHAPE)
        sums.append(0.0 if columns is None else float(columns.seen.sum()))
    assert sums[0] > sums[1] > sums[2]
    assert sums[2] < 0.02 * sums[0]  # a few grains of the halo fly that high


def test_only_what_rises_above_the_shadow_is_lit() -> None:
    plume = a_plume(height=300)
    lit = []
    for beyond in (-20, 5, 15, 40):  # degrees that the vent lies beyond the terminator
        sun = (0.0, 90.0) if beyond == 0 else (-float(beyond), 0.0)
        columns = plume_columns(plume, looking(100.0, sub_solar=sun), SHAPE)
        assert columns is not None
        assert (columns.lit <= columns.seen + 1e-6).all()
        lit.append(float(columns.lit.sum() / columns.seen.sum()))
    assert lit[0] > 0.9
    assert lit == sorted(lit, reverse=True)
    assert lit[-1] < 0.05


def test_the_shadow_falls_away_from_the_sun() -> None:
    """A tall narrow plume in the middle of the disk, the Sun 60 degrees high over the north: its shadow lies south."""
    jet = Plume(0.0, 0.0, 200.0, "jet", 0.1, 1)
    geometry = looking(140.0, sub_solar=(60.0, 0.0))
    columns = plume_columns(jet, geometry, SHAPE)
    assert columns is not None
    rows = np.arange(columns.shadow.shape[0]) + columns.row - 160
    south_km = float((columns.shadow.sum(1) * rows).sum() / columns.shadow.sum()) * geometry.km_per_px
    dust = grains(replace(jet, optical_depth=1.0, forward=0.4, albedo=0.9, blueness=2.0))
    height = float((np.linalg.norm(dust.places, axis=1) - IO_RADIUS_KM) @ dust.weight)
    leaning = -float(dust.places[:, 2] @ dust.weight)
    assert south_km == pytest.approx(height * math.tan(math.radians(60)) + leaning, rel=0.25)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 360), st.floats(-8, 8), st.floats(60, 160))
def test_the_column_is_kept_under_roll_shift_and_scale(roll: float, shift: float, radius: float) -> None:
    plume = a_plume("dome")
    plain = plume_columns(plume, looking(100.0), (600, 600))
    moved = looking(radius, centre_x_px=300 + shift, centre_y_px=300.0, north_azimuth_deg=roll)
    other = plume_columns(plume, moved, (600, 600))
    assert plain is not None
    assert other is not None
    # Of all the dust, not of what is seen: the limb cuts a pixel's width more or less off.
    assert other.seen.sum() / radius**2 == pytest.approx(plain.seen.sum() / 100.0**2, rel=0.03)


def test_the_densest_side_on_line_of_sight_is_one() -> None:
    geometry = looking(300.0, centre_y_px=420.0)
    for family in FAMILIES:
        columns = plume_columns(Plume(89.99, 0, 240.0, family, 0.1, 9), geometry, SHAPE)
        assert columns is not None
        assert 0.2 < columns.seen.max() < 1.3


def test_dust_is_bluer_and_brighter_forward() -> None:
    plume = replace(a_plume(), blueness=4.0, forward=0.5)
    assert plume.depth_at(0.40) / plume.depth_at(0.80) == pytest.approx(16)
    assert 5 < plume.source_i_over_f(140) / plume.source_i_over_f(30) < 30
    lambert = replace(plume, forward=0.0, albedo=1.0)
    assert lambert.source_i_over_f(73) == pytest.approx(0.25)


# -- the population -------------------------------------------------------------------------------------------------


def test_heights_and_names_of_the_population() -> None:
    rng = np.random.default_rng(8)
    drawn = [draw_plume(rng, looking()) for _ in range(1500)]
    heights = np.array([p.height_km for p in drawn])
    assert np.mean(heights < 120) == pytest.approx(0.70, abs=0.04)
    assert np.mean(heights > 250) == pytest.approx(0.10, abs=0.03)
    named = [p for p in drawn if p.name]
    assert 0.2 < len(named) / len(drawn) < 0.45
    known = {v.name: v for v in volcanoes()}
    for plume in named:
        away = direction(plume.lat_deg, plume.lon_w_deg) @ direction(
            known[plume.name].lat_deg, known[plume.name].lon_w_deg
        )
        assert math.acos(min(away, 1)) * IO_RADIUS_KM < 40


@pytest.mark.parametrize("place", ["limb", "disk", "terminator"])
def test_vents_lie_where_they_are_wanted(place: str) -> None:
    rng, geometry = np.random.default_rng(4), looking(sub_solar=(0.0, 80.0))
    for _ in range(40):
        plume = draw_plume(rng, geometry, place=place)
        vent = direction(plume.lat_deg, plume.lon_w_deg)
        apart = math.degrees(math.acos(vent @ direction(0, 0)))
        over = math.degrees(math.acos(IO_RADIUS_KM / (IO_RADIUS_KM + plume.height_km)))
        night = vent @ direction(0, 80) < 0.01
        assert {"limb": abs(apart - 90) < over + 2, "disk": apart < 90 - over + 2, "terminator": apart < 91 and night}[
            place
        ]


def test_the_same_plume_is_drawn_the_same() -> None:
    one, two = (plume_columns(a_plume("fissure"), looking(), SHAPE) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.seen.tobytes() == two.seen.tobytes()
