"""What Io's limb should look like: closed forms of its figure and light, and looks at such disks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from detector.circle import Circle
from detector.expected import expected_at, expected_radius, sun_of_disk, sun_of_view
from detector.frame import IO_RADII_KM, Frame, View
from detector.limb_look import first_looks, last_look
from detector.limb_picture import picture_of

VIEW = View(
    "label",
    "IO",
    range_km=1.2e6,
    ifov_rad=1.0157e-5,
    sub_spacecraft_lat_deg=0.0,
    sub_spacecraft_lon_w_deg=90.0,
    sub_solar_lat_deg=0.0,
    sub_solar_lon_w_deg=30.0,
    north_azimuth_deg=-90.0,
)
BLANK = Frame.of(np.zeros((512, 512), np.float32), target="IO", view=VIEW)
PLACE = Circle(250.0, 260.0, 149.0)


def lambert(
    circle: Circle, sun: np.ndarray, shape: tuple[int, int] = (512, 512), fine: int = 5, k: float = 1.0
) -> np.ndarray:
    """A sphere's mean brightness in each pixel by Minnaert's law (k = 1: Lambert's), 1 at the sub-solar point."""
    y, x = (np.mgrid[: shape[0] * fine, : shape[1] * fine] + 0.5) / fine - 0.5
    u, v = (x - circle.x) / circle.r, (y - circle.y) / circle.r
    w = np.sqrt(np.maximum(1 - u * u - v * v, 0))
    mu0 = np.maximum(u * sun[0] + v * sun[1] + w * sun[2], 0)
    light = np.where(w > 0, mu0**k * np.maximum(w, 0.12) ** (k - 1), 0)
    return light.reshape(shape[0], fine, shape[1], fine).mean(axis=(1, 3))


def towards(phase_deg: float, side_deg: float) -> np.ndarray:
    phase, side = math.radians(phase_deg), math.radians(side_deg)
    return np.array([math.sin(phase) * math.cos(side), math.sin(phase) * math.sin(side), math.cos(phase)])


def test_the_outline_is_the_ellipse_of_the_two_axes_that_are_seen() -> None:
    """Seen along the second axis the outline has the first along the equator and the third along the poles."""
    expected = expected_at(BLANK, PLACE)
    assert expected.radius_px == pytest.approx(VIEW.io_radius_px, rel=0.003)
    a, _, c = IO_RADII_KM
    swing = 0.5 * (a - c) / (0.5 * (a + c)) * expected.radius_px
    azimuth = np.linspace(0, 2 * math.pi, 50)
    np.testing.assert_allclose(expected.departure(azimuth), swing * np.cos(2 * azimuth), atol=0.02)


def test_nothing_is_expected_of_a_frame_that_does_not_say_what_it_is_of() -> None:
    expected = expected_at(replace(BLANK, view=View(), target=""), PLACE)
    assert math.isnan(expected.radius_px)
    assert expected.radius_sigma_px == math.inf
    assert not expected.departure(np.arange(6.0)).any()


@pytest.mark.parametrize(("x_px", "low", "high"), [(814.0, 0.999, 1.001), (300.0, 1.06, 1.08), (1330.0, 1.06, 1.08)])
def test_disks_far_off_the_middle_of_a_mosaic_are_larger(x_px: float, low: float, high: float) -> None:
    """Tangents along the lines and the spin's angle across them, less the lens: 7 % at 500 px."""
    view = replace(VIEW, ifov_rad=672.7e-6, range_km=30000.0)
    strip = Frame.of(np.zeros((360, 1648), np.float32), target="IO", view=view, instrument="junocam", filter="RED")
    radius, sigma = expected_radius(strip, Circle(x_px, 180.0, 90.0))
    assert low < radius / view.io_radius_px < high
    assert 0 < sigma < 0.02 * radius


def test_the_sun_is_60_degrees_west_and_on_the_side_where_longitudes_fall() -> None:
    """North up, 90 W in the middle: 30 W lies to the right (west longitudes grow to the left)."""
    sun = sun_of_view(VIEW)
    assert sun is not None
    np.testing.assert_allclose(sun, [math.sin(math.radians(60)), 0, math.cos(math.radians(60))], atol=1e-9)
    mirrored = sun_of_view(replace(VIEW, mirrored=True))
    assert mirrored is not None
    np.testing.assert_allclose(mirrored, sun * [-1, 1, 1], atol=1e-9)
    assert sun_of_view(View()) is None


@pytest.mark.parametrize(("phase", "side"), [(20, 40), (75, 200), (110, 310), (140, 100)])
def test_the_light_is_read_off_the_disk(phase: float, side: float) -> None:
    sun = towards(phase, side)
    found, likeness = sun_of_disk(lambert(Circle(250, 240, 80), sun).astype(np.float32), Circle(250, 240, 80))
    assert found is not None
    assert likeness > 0.7
    assert math.degrees(math.acos(float(np.clip(found @ sun, -1, 1)))) < 20


def test_a_flat_picture_is_like_no_lit_sphere() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (300, 300)).astype(np.float32)
    assert sun_of_disk(noise, Circle(150, 150, 80))[1] < 0.3
    assert sun_of_disk(noise, Circle(-900, 150, 80)) == (None, 0.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("phase", "exposure"), [(30, 1.0), (80, 1.0), (80, 12.0), (120, 12.0)])
def test_looks_are_right_on_gibbous_half_and_overexposed_disks(phase: float, exposure: float, seed: int) -> None:
    """A sphere by Minnaert's law, not the one that is expected; without a view it might be any ellipsoid of Io's."""
    rng = np.random.default_rng([seed, phase])
    true = Circle(250 + rng.uniform(-5, 5), 250 + rng.uniform(-5, 5), 90 + rng.uniform(-3, 3))
    light = ndimage.gaussian_filter(lambert(true, towards(phase, rng.uniform(0, 360)), k=0.65), 0.7)
    image = np.minimum(10 + 200 * exposure * light + rng.normal(0, 1, light.shape), 255).astype(np.float32)
    frame = Frame.of(image, saturation=255.0)
    start = Circle(true.x + 3, true.y - 2, true.r + 4)
    (first,) = first_looks(picture_of(frame), frame, [start])
    assert first.limb > 0
    found = last_look(picture_of(frame), frame, first).circle
    assert math.hypot(found.x - true.x, found.y - true.y) < 0.9
