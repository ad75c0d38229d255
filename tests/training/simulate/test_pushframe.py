"""JunoCam's lens: mosaics of framelets against the ideal camera."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.frame import IO_RADIUS_KM
from detector.instruments import JUNOCAM, JUNOCAM_AXIS_Y_PX, JUNOCAM_FOCAL_PX
from detector.readers.junocam import framelet_step_px, framelet_tops, mosaic_rows
from training.simulate.disk import Surface, disk_light
from training.simulate.geometry import Geometry
from training.simulate.pushframe import PushFrame, distorted, frames_for, undistorted

DELAY = 0.372


def lens(filter_name: str = "GREEN", n_frames: int = 4, io: tuple[float, float] = (700.0, 220.0)) -> PushFrame:
    return PushFrame(filter_name, n_frames, DELAY, io)


@given(st.floats(-800, 800), st.floats(-400, 400))
def test_distortion_is_undone(x: float, y: float) -> None:
    back = undistorted(*distorted(np.array(x), np.array(y)))
    assert back == pytest.approx((x, y), abs=0.02)


def test_the_distortion_is_the_kernels() -> None:
    k1, k2 = JUNOCAM.radial
    x, y = distorted(np.array(600.0), np.array(0.0))
    assert y == 0
    assert x == pytest.approx(600 * (1 + k1 * 600**2 + k2 * 600**4))


@settings(max_examples=60)
@given(
    st.sampled_from(["BLUE", "GREEN", "RED", "METHANE"]),
    st.floats(30, 1600), st.floats(3, 460), st.floats(200, 1400), st.floats(60, 400),
)  # fmt: skip
def test_pixels_come_back(name: str, x: float, y: float, io_x: float, io_y: float) -> None:
    """To 0.05 px; where two framelets overlap at a seam, on one of them."""
    of = lens(name, io=(io_x, io_y))
    back = of.pixel(*of.ideal(np.array(x), np.array(y)))
    frames, rows, _ = of._layout
    row = rows[min(round(y), len(rows) - 1)]
    if 4 < row < 110:  # clear of the seams
        assert (float(back[0]), float(back[1])) == pytest.approx((x, y), abs=0.05)
    else:
        assert float(back[0]) == pytest.approx(x, abs=3)


def test_io_lies_where_it_is_put() -> None:
    of = lens()
    u, v = of.ideal(np.array(700.0), np.array(220.0))
    assert (float(u), float(v)) == pytest.approx((700, 220), abs=1e-6)


def test_the_scale_around_io_is_the_ifov() -> None:
    """Near the optical axis a pixel is 1 / focal length, along lines and along columns."""
    of = lens(io=(814.0, 60.0))
    x0, y0 = of.ideal(np.array(814.0), np.array(60.0))
    x1, _ = of.ideal(np.array(824.0), np.array(60.0))
    _, y1 = of.ideal(np.array(814.0), np.array(70.0))
    expected = 10 / JUNOCAM_FOCAL_PX / JUNOCAM.ifov_rad
    assert x1 - x0 == pytest.approx(expected, rel=0.01)
    assert y1 - y0 == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", ["BLUE", "GREEN", "RED"])
def test_a_star_moves_up_one_step_from_framelet_to_framelet(name: str) -> None:
    """The same direction, seen by two framelets, lies one step of the reader's mosaic apart: at the same mosaic row."""
    of = lens(name)
    step = framelet_step_px(name, DELAY)
    middle = 64.0
    slope, pitch = of._sky(np.array(700.0), np.array(middle + framelet_tops(4, step)[1]))
    rows = [float(of._on_framelet(np.array([k]), np.array([slope]), np.array([pitch]))[1][0]) for k in (0, 1, 2)]
    assert np.ptp(rows) < 1.6  # whole rows and the lens's bend


def test_a_pinhole_framelet_in_closed_form() -> None:
    """Io on the optical axis of framelet 0: an ideal pixel is tan(angle) / IFOV of the undistorted ray."""
    axis = JUNOCAM_AXIS_Y_PX["GREEN"]
    of = lens(io=(814.21, axis))
    u, v = of.ideal(np.array(1014.21), np.array(axis + 50))
    x, y = undistorted(np.array(200.0), np.array(50.0))
    assert float(u) - 814.21 == pytest.approx(float(x) / JUNOCAM_FOCAL_PX / JUNOCAM.ifov_rad, rel=1e-6)
    assert float(v) - axis == pytest.approx(float(y) / JUNOCAM_FOCAL_PX / JUNOCAM.ifov_rad, rel=1e-6)


def test_a_whole_disk_is_round_and_of_the_right_size() -> None:
    radius = 90.0
    range_km = IO_RADIUS_KM / math.sin(math.atan(radius * JUNOCAM.ifov_rad))
    geometry = Geometry(700.0, 220.0, range_km, JUNOCAM.ifov_rad, (0, 0), (0, 0), -90.0, lens())
    light, cover = disk_light(geometry, Surface(contrast=0), (430, 1648), 0.55)
    assert math.sqrt(cover.sum() / math.pi) == pytest.approx(radius, rel=0.02)
    x, y, fitted = geometry.limb_circle()
    assert (x, y) == pytest.approx((700, 220), abs=1.0)
    assert fitted == pytest.approx(radius, rel=0.015)
    assert light.max() > 0.3


def test_a_window_shows_a_part_of_the_mosaic() -> None:
    whole = lens(io=(700.0, 220.0))
    window = replace(whole, io_px=(700.0 - 300, 220.0 - 57), corner_px=(300, 57))
    inside = window.ideal(np.array(150.0), np.array(90.0))
    outside = whole.ideal(np.array(450.0), np.array(147.0))
    assert float(inside[0]) + 300 == pytest.approx(float(outside[0]))
    assert float(inside[1]) + 57 == pytest.approx(float(outside[1]))


def test_enough_framelets() -> None:
    step = framelet_step_px("RED", DELAY)
    for rows in (100, 128, 129, 400):
        count = frames_for("RED", DELAY, rows)
        assert mosaic_rows(count, step) >= rows
        assert count == 1 or mosaic_rows(count - 1, step) < rows
