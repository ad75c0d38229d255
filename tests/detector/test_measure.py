"""Measurements against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.flags import Doubt
from detector.frame import IO_RADIUS_KM, Frame, Noise, View
from detector.instruments import JIRAM
from detector.limb import Limb
from detector.measure import measure
from detector.regions import Region
from detector.vents import unknown_vent
from detector.volcanoes import great_circle_km, nearest

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


def dome(height: float, power: float) -> np.ndarray:
    """Light of a plume above the top of the disk that falls to zero at a height as (1 - a / h)^power."""
    left = np.clip(1 - np.maximum(ALTITUDE, 0) / height, 0, None)
    return np.where((np.abs(X - 100) <= 12) & (Y < 110) & (left > 0), left**power, 0)


@pytest.mark.parametrize("height", [12.0, 25.0, 41.5])
@pytest.mark.parametrize("power", [0.4, 1.0])
def test_a_plume_of_known_height_and_width(height: float, power: float) -> None:
    light = 40 * dome(height, power) * (ALTITUDE > 0)
    frame = Frame.of((np.where(ALTITUDE < 0, 200, SKY) + light).astype(np.float32), target="IO")
    (row,) = measure(frame, LIMB, [region("plume", light > 2)], "m@1")
    scale = IO_RADIUS_KM / 60
    assert row.plume_height_km == pytest.approx(height * scale, rel=0.12)
    assert abs(row.plume_height_km - height * scale) < 2 * row.plume_height_sigma_km
    assert row.plume_height_sigma_km < 0.25 * height * scale
    assert row.plume_width_km == pytest.approx(25 * scale, rel=0.02)
    assert row.plume_azimuth_deg == pytest.approx(0, abs=0.5) or row.plume_azimuth_deg == pytest.approx(360, abs=0.5)
    assert row.plume_vent_height_km >= row.plume_height_km  # a vent that is not on the limb only adds
    assert row.peak_snr == pytest.approx(40, abs=8)
    assert row.x_px == pytest.approx(100, abs=0.5)
    assert row.geometry_source == "limb"
    assert math.isnan(row.lat_deg)


def test_a_worse_limb_makes_a_worse_height() -> None:
    light = 40 * dome(25.0, 0.7) * (ALTITUDE > 0)
    frame = Frame.of((np.where(ALTITUDE < 0, 200, SKY) + light).astype(np.float32), target="IO")
    good, bad = (
        measure(frame, Limb(100.0, 110.0, 60.0, sigma), [region("plume", light > 2)], "m@1")[0] for sigma in (0.1, 4.0)
    )
    assert good.plume_height_km == pytest.approx(bad.plume_height_km)
    added = bad.plume_height_sigma_km**2 - good.plume_height_sigma_km**2
    assert math.sqrt(added) == pytest.approx(4 * IO_RADIUS_KM / 60 * math.hypot(1, 25 / 60), rel=0.02)


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
    (row,) = measure(Frame.of(SKY, target="IO"), LIMB, [region("plume", low)], "m@1")
    assert math.isnan(row.plume_height_km)
    assert math.isnan(row.plume_width_km)
    assert row.flags == "ON_DISK"


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
    image = (10 + np.random.default_rng(2).normal(0, 0.3, (40, 40))).astype(np.float32)  # less than the camera's noise
    image[20, 20] = 910
    where = np.zeros((40, 40), bool)
    where[20, 20] = True
    (row,) = measure(Frame.of(image, noise=Noise(read=3.0, gain=10.0)), NO_LIMB, [region("hotspot", where)], "m@1")
    assert row.peak_snr == pytest.approx(900 / math.sqrt(9 + 90), rel=2e-3)


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


@settings(max_examples=25, deadline=None)
@given(st.floats(-40, 70), st.floats(150, 250), st.floats(0, 359), st.floats(4000, 1e6))
def test_a_place_is_found_back_from_its_pixel(lat: float, lon_w: float, north: float, range_km: float) -> None:
    """A spot of one pixel, on a sphere; the ellipsoid of the answer differs by half a degree at most."""
    view = replace(VIEW, north_azimuth_deg=north, range_km=range_km)
    x, y, cos_emission = seen_at(lat, lon_w, view, LIMB)
    if cos_emission < 0.3:
        return
    column, row_number = round(x), round(y)
    image = SKY.copy()
    image[row_number, column] += 500
    one = (column == X) & (row_number == Y)
    (row,) = measure(Frame.of(image, view=view, target="IO"), LIMB, [region("hotspot", one)], "m@1")
    apart = math.degrees(great_circle_km(row.lat_deg, row.lon_w_deg, lat, lon_w) / IO_RADIUS_KM)
    half_pixel = math.degrees(0.71 / 60) / cos_emission  # from rounding to whole pixels
    assert apart < half_pixel + 0.7 / cos_emission
    assert row.emission_deg == pytest.approx(math.degrees(math.acos(cos_emission)), abs=2 * half_pixel + 1)
    assert row.position_sigma_deg >= math.degrees(0.5 / 60) * 0.5  # of the limb; a pixel is finer where Io is nearer


@pytest.mark.parametrize("view", [View(), View("label", "EUROPA", 2e4, sub_spacecraft_lat_deg=0.0)])
@pytest.mark.parametrize("limb", [LIMB, NO_LIMB])
def test_a_place_is_not_guessed(view: View, limb: Limb) -> None:
    frame = Frame.of((SKY + spot(100, 100, 400, 2)).astype(np.float32), view=view, target=view.target)
    (row,) = measure(frame, limb, [region("hotspot", np.hypot(X - 100, Y - 100) <= 2.5)], "m@1")
    assert math.isnan(row.lat_deg)
    assert math.isnan(row.spectral_power_gw_um)
    assert (row.volcano, row.flags) == ("", "" if view.target == "" else "OUT_OF_DISTRIBUTION")


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
    assert "NEW_CANDIDATE" not in row.flags


def test_far_from_every_volcano_is_a_new_candidate() -> None:
    """Somewhere in sight, further from every catalogued centre than 100 km and two sigmas, and just nearer."""
    far = max(
        ((lat, lon) for lat in range(-60, 80, 4) for lon in range(150, 250, 4)), key=lambda place: nearest(*place)[1]
    )
    rows = []
    view = replace(VIEW, sub_spacecraft_lat_deg=far[0] / 2, sub_spacecraft_lon_w_deg=float(far[1]))
    for place in (far, (nearest(*far)[0].lat_deg, nearest(*far)[0].lon_w_deg)):
        x, y, _ = seen_at(*place, view, LIMB)
        frame = Frame.of((SKY + spot(x, y, 400, 2)).astype(np.float32), view=view, target="IO")
        rows += measure(frame, LIMB, [region("hotspot", np.hypot(X - x, Y - y) <= 2.5)], "m@1")
    assert rows[0].volcano_distance_km > 200
    assert ["NEW_CANDIDATE" in row.flags for row in rows] == [True, False]


def test_a_plume_on_the_limb_has_a_vent_as_uncertain_as_its_height_allows() -> None:
    light = 40 * dome(10.0, 0.7) * (ALTITUDE > 0)
    view = replace(VIEW, range_km=2e5)
    frame = Frame.of((np.where(ALTITUDE < 0, 200, SKY) + light).astype(np.float32), view=view, target="IO")
    (row,) = measure(frame, LIMB, [region("plume", light > 2)], "m@1")
    up = seen_at(row.lat_deg, row.lon_w_deg, view, LIMB)
    assert up[:2] == pytest.approx((100, 50), abs=1.5)  # the top of the disk
    assert up[2] == pytest.approx(0, abs=0.05)  # on the limb: seen edge on
    expected = unknown_vent(row.plume_height_km)
    assert row.position_sigma_deg >= expected.beta_sigma_deg
    assert row.plume_vent_height_km == pytest.approx(expected.height_km)
    assert row.plume_vent_height_sigma_km > row.plume_height_sigma_km


JIRAM_VIEW = View("label", "IO", range_km=2e5, ifov_rad=JIRAM.ifov_rad)
DISK = Limb(215.0, 64.0, math.tan(math.asin(IO_RADIUS_KM / 2e5)) / JIRAM.ifov_rad, 0.1)


def jiram_spot(flux: float, dx: float, **known: object) -> Frame:
    """A night-side frame with a point of ``flux`` W m-2 sr-1 x pixels, dx radii from the disk's middle."""
    y, x = np.mgrid[:128, :432].astype(float)
    x0, fwhm = DISK.x_px + dx * DISK.radius_px, 1.6
    point = np.exp(-4 * math.log(2) * ((x - x0) ** 2 + (y - DISK.y_px) ** 2) / fwhm**2)
    image = 0.02 + rng.normal(0, 1e-3, (128, 432)) + flux * point / point.sum()
    terms: dict[str, object] = {"unit": "W m-2 sr-1", "instrument": "jiram", "filter": "M", "view": JIRAM_VIEW}
    return Frame.of(image.astype(np.float32), target="IO", id="j", **(terms | known))


def jiram_region(frame: Frame) -> Region:
    """Where the spot stands out: fewer pixels than it has light in."""
    y, x = np.nonzero(frame.image > 0.02 + 0.1 * (frame.image.max() - 0.02))
    pixels = frame.image[y.min() : y.max() + 1, x.min() : x.max() + 1] > 0.02 + 0.1 * (frame.image.max() - 0.02)
    return Region("hotspot", 0.9, int(x.min()), int(y.min()), pixels)


@pytest.mark.parametrize("dx", [0.0, 0.5, 0.8])
def test_the_power_of_a_point_is_the_published_formula(dx: float) -> None:
    """P = L / 0.4975 * pi * (range * IFOV)^2 / cos(e), summed (Davies et al.)."""
    frame = jiram_spot(3.0, dx)
    (row,) = measure(frame, DISK, [jiram_region(frame)], "m@1")
    slant = math.sqrt(1 - dx**2)  # to 1 % at this range
    side_m = (2e5 - IO_RADIUS_KM * slant) * 1000 * JIRAM.ifov_rad
    expected = 3.0 / 0.4975 * math.pi * side_m**2 / slant / 1e9
    assert row.spectral_power_gw_um == pytest.approx(expected, rel=0.06)
    assert row.emission_deg == pytest.approx(math.degrees(math.asin(dx)), abs=1.5)
    assert 0.04 * expected < row.spectral_power_sigma_gw_um < 0.3 * expected
    assert row.geometry_source == "limb"


def test_power_scales_and_its_noise_does_not() -> None:
    rows = []
    for flux in (0.05, 5.0):
        frame = jiram_spot(flux, 0.2)
        rows += measure(frame, DISK, [jiram_region(jiram_spot(5.0, 0.2))], "m@1")
    faint, bright = rows
    assert bright.spectral_power_gw_um / faint.spectral_power_gw_um == pytest.approx(100, rel=0.35)
    relative = [row.spectral_power_sigma_gw_um / row.spectral_power_gw_um for row in rows]
    assert relative[0] > 2 * relative[1]


def test_a_saturated_spot_says_so_and_gives_less() -> None:
    frame = jiram_spot(3.0, 0.0)
    clipped = Frame.of(
        np.minimum(frame.image, 0.5), unit=frame.unit, instrument="jiram", filter="M", view=JIRAM_VIEW, target="IO",
        saturation=0.5,
    )  # fmt: skip
    where = [jiram_region(frame)]
    (whole,), (limit,) = measure(frame, DISK, where, "m@1"), measure(clipped, DISK, where, "m@1")
    assert limit.spectral_power_gw_um < 0.9 * whole.spectral_power_gw_um
    assert "SATURATED" in limit.flags


def test_no_power_near_the_limb_without_scale_or_calibration() -> None:
    for frame, limb in (
        (jiram_spot(3.0, 0.995), DISK),
        (jiram_spot(3.0, 0.0), NO_LIMB),
        (jiram_spot(3.0, 0.0, unit="DN"), DISK),
        (jiram_spot(3.0, 0.0, instrument="lorri", filter=""), DISK),
    ):
        (row,) = measure(frame, limb, [jiram_region(frame)], "m@1")
        assert math.isnan(row.spectral_power_gw_um)
