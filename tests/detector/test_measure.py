"""Measurements against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.flags import Doubt
from detector.frame import IO_RADIUS_KM, Frame, Noise, View
from detector.limb import Limb
from detector.measure import measure, place_on_io, plume_height_px
from detector.regions import Region

LIMB = Limb(100.0, 110.0, 60.0, 0.5)
NO_LIMB = Limb.none("none in this test")
Y, X = np.mgrid[:200, :200].astype(float)
ALTITUDE = np.hypot(X - 100, Y - 110) - 60
rng = np.random.default_rng(7)
SKY = (10 + rng.normal(0, 1, (200, 200))).astype(np.float32)


def region(kind: str, where: np.ndarray) -> Region:
    rows, columns = np.nonzero(where)
    y0, x0 = rows.min(), columns.min()
    return Region(kind, 0.9, int(x0), int(y0), where[y0 : rows.max() + 1, x0 : columns.max() + 1])


def spot(x: float, y: float, peak: float, fwhm: float) -> np.ndarray:
    return peak * np.exp(-4 * math.log(2) * ((X - x) ** 2 + (Y - y) ** 2) / fwhm**2)


def test_a_plume_of_known_height_and_width() -> None:
    column = (np.abs(X - 100) <= 8) & (ALTITUDE >= -2) & (Y >= 30) & (Y < 60)
    frame = Frame.of(np.where(ALTITUDE < 0, 200, SKY) + 30 * column * (ALTITUDE > 0), target="IO")
    (row,) = measure(frame, LIMB, [region("plume", column)], "m@1")
    # the highest pixels are the corners of row 30, 8 columns beside the axis
    highest = math.hypot(8, 80) - 60
    scale = IO_RADIUS_KM / 60
    assert row.plume_height_km == pytest.approx(highest * scale)
    assert row.plume_width_km == pytest.approx(17 * scale)
    sigma = math.hypot(0.5, 0.5 * highest / 60, 1.0, highest / row.peak_snr)
    assert row.plume_height_sigma_km == pytest.approx(sigma * scale)
    assert row.peak_snr == pytest.approx(32, abs=4)  # 30 and the brightest of some 400 noise pixels
    assert row.x_px == pytest.approx(100, abs=0.5)
    assert row.geometry_source == "limb"
    assert math.isnan(row.lat_deg)


def test_the_ground_below_the_limb_does_not_count_as_plume() -> None:
    column = (np.abs(X - 100) <= 8) & (ALTITUDE >= -8) & (ALTITUDE < 12) & (Y < 100)
    bright_ground = np.where(ALTITUDE < 0, 500 + 400 * (X > 104), SKY)
    frame = Frame.of(bright_ground + 30 * column * (ALTITUDE > 0))
    (row,) = measure(frame, LIMB, [region("plume", column)], "m@1")
    assert row.y_px < 50
    assert row.x_px == pytest.approx(100, abs=0.5)


def test_without_a_limb_or_of_another_body_kilometres_are_not_known() -> None:
    column = (np.abs(X - 100) <= 8) & (Y >= 30) & (Y < 50)
    for frame, limb in ((Frame.of(SKY), NO_LIMB), (Frame.of(SKY, target="EUROPA"), LIMB)):
        (row,) = measure(frame, limb, [region("plume", column)], "m@1")
        assert math.isnan(row.plume_height_km)
        assert math.isnan(row.plume_width_km)
        assert row.geometry_source == "none"


def test_a_plume_that_stays_below_the_limb_has_no_height() -> None:
    low = (np.abs(X - 100) <= 4) & (ALTITUDE < -1) & (ALTITUDE > -6) & (Y < 100)
    assert all(map(math.isnan, plume_height_px(region("plume", low), LIMB, 10.0)))


def test_centroid_and_signal_to_noise_of_a_point_source_on_a_slope() -> None:
    slope = 100 + 0.5 * (X - 100)
    frame = Frame.of((SKY + slope + spot(120.3, 90.7, 50, 3)).astype(np.float32), noise=Noise(read=2.0))
    (row,) = measure(frame, NO_LIMB, [region("hotspot", np.hypot(X - 120, Y - 91) <= 3)], "m@1")
    assert (row.x_px, row.y_px) == pytest.approx((120.3, 90.7), abs=0.25)
    assert row.peak_snr == pytest.approx(50 / 2.0, rel=0.15)
    assert (row.bbox_x0_px, row.bbox_y0_px, row.bbox_x1_px, row.bbox_y1_px) == (117, 88, 123, 94)
    assert row.area_px == 29
    assert row.flags == ""


def test_shot_noise_counts_where_the_gain_is_known() -> None:
    image = np.full((40, 40), 10.0, np.float32)
    image[::2] += 0.001
    image[20, 20] = 910
    where = np.zeros((40, 40), bool)
    where[20, 20] = True
    (row,) = measure(Frame.of(image, noise=Noise(read=3.0, gain=10.0)), NO_LIMB, [region("hotspot", where)], "m@1")
    assert row.peak_snr == pytest.approx(900 / math.sqrt(9 + 90), rel=1e-3)


def flags_of(image: np.ndarray, where: np.ndarray, valid: np.ndarray | None = None, **known: object) -> set[str]:
    frame = Frame.of(image.astype(np.float32), valid, **known)
    (row,) = measure(frame, NO_LIMB, [region("hotspot", where)], "m@1")
    return set(filter(None, row.flags.split("|")))


def test_flags() -> None:
    block = (np.abs(X - 50) <= 2) & (np.abs(Y - 50) <= 2)
    hot = SKY + spot(50, 50, 300, 3)
    assert flags_of(hot, block) == set()
    assert flags_of(hot, block, saturation=250.0) == {"SATURATED"}
    hole = np.ones((200, 200), bool)
    hole[50, 53] = False
    assert flags_of(hot, block, hole) == {"GAP"}
    hole[50, 53], hole[50, 54] = True, False
    assert flags_of(hot, block, hole) == set()
    assert flags_of(SKY + spot(0, 50, 300, 3), (X <= 1) & (np.abs(Y - 50) <= 2)) == {"EDGE"}
    assert flags_of(hot, (np.abs(X - 50) <= 1) & (Y == 50)) == {"SMALL"}
    one = (X == 50) & (Y == 50)
    assert flags_of(hot, one) == {"SMALL", "SINGLE_PIXEL"}
    assert flags_of(hot, block, target="EUROPA") == {"OUT_OF_DISTRIBUTION"}
    assert flags_of(hot, block, target="IO") == set()
    assert flags_of(SKY + 300 * one, one) == {"SMALL", "SINGLE_PIXEL", "RADIATION_SUSPECT"}


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5])
def test_a_star_seen_through_sharp_optics_is_not_radiation(offset: float) -> None:
    """A Gaussian of 1 pixel full width, integrated over pixels."""
    fine = np.mgrid[-0.45:0.5:0.1]
    sigma = 1 / 2.3548
    line = np.array([np.exp(-(((np.arange(200) + d - 50 - offset) / sigma) ** 2) / 2) for d in fine]).mean(axis=0)
    image = SKY + 3000 * np.outer(line, line)
    assert "RADIATION_SUSPECT" not in flags_of(image, (np.abs(X - 50) <= 1) & (np.abs(Y - 50) <= 1))


def test_flag_names_are_written_in_the_registry_order() -> None:
    assert (Doubt.SINGLE_PIXEL | Doubt.EDGE).text == "EDGE|SINGLE_PIXEL"
    assert Doubt(0).text == ""


def test_detections_are_numbered_within_their_class() -> None:
    block = (np.abs(X - 50) <= 2) & (np.abs(Y - 50) <= 2)
    rows = measure(Frame.of(SKY, id="f"), NO_LIMB, [region(k, block) for k in ("plume", "hotspot", "hotspot")], "m@1")
    assert [row.detection_id for row in rows] == ["f-p01", "f-h01", "f-h02"]
    assert measure(Frame.of(SKY), NO_LIMB, [], "m@1") == ()


VIEW = View(
    "label",
    "IO",
    range_km=20_000.0,
    sub_spacecraft_lat_deg=20.0,
    sub_spacecraft_lon_w_deg=200.0,
    north_azimuth_deg=250.0,
)


def seen_at(lat_deg: float, lon_w_deg: float, view: View, limb: Limb) -> tuple[float, float, float]:
    """Pixel of a place by vectors alone, and its cosine of emission: Io at the origin, z north, a pinhole camera."""

    def direction(lat: float, lon_w: float) -> np.ndarray:
        a, b = math.radians(lat), -math.radians(lon_w)
        return np.array([math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)])

    out = direction(view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg)
    place, camera = IO_RADIUS_KM * direction(lat_deg, lon_w_deg), view.range_km * out
    north = np.array([0.0, 0.0, 1.0]) - out[2] * out
    north /= np.linalg.norm(north)
    east = np.cross(north, out)
    ray = place - camera
    focal = limb.radius_px / math.tan(math.asin(IO_RADIUS_KM / view.range_km))
    up, right = focal * ray @ north / (-ray @ out), focal * ray @ east / (-ray @ out)
    angle = math.radians(view.north_azimuth_deg)
    x = limb.x_px + up * math.cos(angle) - right * math.sin(angle)
    y = limb.y_px + up * math.sin(angle) + right * math.cos(angle)
    return x, y, float(-ray @ place / np.linalg.norm(ray) / IO_RADIUS_KM)


@settings(max_examples=60, deadline=None)
@given(st.floats(-60, 80), st.floats(130, 270), st.floats(0, 359), st.floats(4000, 1e6))
def test_a_place_is_found_back_from_its_pixel(lat: float, lon_w: float, north: float, range_km: float) -> None:
    view = View(
        "label",
        "IO",
        range_km=range_km,
        sub_spacecraft_lat_deg=20.0,
        sub_spacecraft_lon_w_deg=200.0,
        north_azimuth_deg=north,
    )
    x, y, cos_emission = seen_at(lat, lon_w, view, LIMB)
    if cos_emission > 0.1:
        found_lat, found_lon, sigma = place_on_io(x, y, LIMB, view)
        assert found_lat == pytest.approx(lat, abs=1e-6)
        assert (found_lon - lon_w + 180) % 360 - 180 == pytest.approx(0, abs=1e-5)
        assert sigma >= math.degrees(math.hypot(0.5, 0.5) / 60) * 0.99


def test_east_is_right_of_north() -> None:
    """North up: a place east of the sub-spacecraft point, so at a smaller west longitude, lies to the right."""
    up = View(
        "label", "IO", range_km=1e5, sub_spacecraft_lat_deg=0.0, sub_spacecraft_lon_w_deg=100.0, north_azimuth_deg=270.0
    )
    lat, lon_w, _ = place_on_io(LIMB.x_px + 30, LIMB.y_px, LIMB, up)
    assert lat == pytest.approx(0, abs=1e-9)
    assert lon_w < 100
    assert place_on_io(LIMB.x_px, LIMB.y_px - 30, LIMB, up)[0] > 0


@pytest.mark.parametrize("view", [View(), View("label", "EUROPA", 2e4, sub_spacecraft_lat_deg=0.0)])
def test_a_place_is_not_guessed(view: View) -> None:
    assert all(map(math.isnan, place_on_io(100, 110, LIMB, view)))
    assert all(map(math.isnan, place_on_io(100, 110, NO_LIMB, VIEW)))
    assert all(map(math.isnan, place_on_io(161, 110, LIMB, VIEW)))


def test_a_hot_spot_gets_its_place_and_the_nearest_volcano() -> None:
    x, y, _ = seen_at(-1.5244, 153.939, VIEW, LIMB)  # Prometheus
    image = SKY + spot(x, y, 400, 2)
    frame = Frame.of(image.astype(np.float32), view=VIEW, target="IO")
    (row,) = measure(frame, LIMB, [region("hotspot", np.hypot(X - x, Y - y) <= 2.5)], "m@1")
    assert row.volcano == "Prometheus"
    assert row.volcano_distance_km < 30  # a pixel is 30 km here
    assert row.lon_w_deg == pytest.approx(153.939, abs=1)
    assert row.lon_e_deg == pytest.approx(-153.939, abs=1)
    assert row.geometry_source == "label"
