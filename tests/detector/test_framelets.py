"""Where a mosaic of JunoCam's framelets shows directions, against simulated mosaics; and limbs that jump at seams."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from detector.circle import Circle
from detector.expected import circle_through, expected_at
from detector.frame import IO_RADIUS_KM, Frame, View
from detector.framelets import Framelets
from detector.instruments import JUNOCAM
from detector.limb_look import first_looks, last_look
from detector.limb_picture import picture_of
from training.simulate.pushframe import PushFrame

RANGE_KM = 30000.0
RADIUS_PX = math.tan(math.asin(IO_RADIUS_KM / RANGE_KM)) / JUNOCAM.ifov_rad
VIEW = View("label", "IO", range_km=RANGE_KM, ifov_rad=JUNOCAM.ifov_rad)


def mosaic(colour: str, rows: int = 362) -> Frame:
    image = np.zeros((rows, JUNOCAM.shape[1]), np.float32)
    return Frame.of(image, target="IO", view=VIEW, instrument=JUNOCAM.name, filter=colour)


def simulated(colour: str, io_px: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The limb of a sphere in a simulated mosaic."""
    azimuth = np.linspace(0, 2 * math.pi, 360, endpoint=False)
    lens = PushFrame(colour, 3, 0.372, io_px)
    return lens.pixel(io_px[0] + RADIUS_PX * np.cos(azimuth), io_px[1] + RADIUS_PX * np.sin(azimuth))


@pytest.mark.parametrize(("colour", "rows"), [("BLUE", 360), ("GREEN", 360), ("RED", 362)])
@pytest.mark.parametrize("io_px", [(260.0, 130.0), (800.0, 200.0), (1400.0, 250.0)])
def test_the_limb_jumps_where_it_does_in_simulated_mosaics(colour: str, rows: int, io_px: tuple[float, float]) -> None:
    x, y = simulated(colour, io_px)
    best = circle_through(x, y)
    expected = expected_at(mosaic(colour, rows), best)
    assert expected.radius_px == pytest.approx(best.r, abs=0.1)
    away = np.hypot(x - best.x, y - best.y) - best.r
    off = away - expected.departure(np.arctan2(y - best.y, x - best.x))
    assert np.percentile(np.abs(off), 90) < 0.1
    assert np.ptp(away) > 1.0 or io_px[0] == 800.0


@pytest.mark.parametrize("colour", ["GREEN", "RED"])
def test_looks_follow_a_limb_that_jumps_at_a_seam(colour: str) -> None:
    io_px = (260.0, 130.0)
    best = circle_through(*simulated(colour, io_px))
    frame = mosaic(colour, {"GREEN": 360, "RED": 362}[colour])
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(float)
    u, v = PushFrame(colour, 3, 0.372, io_px).ideal(x, y)
    z2 = 1 - ((u - io_px[0]) ** 2 + (v - io_px[1]) ** 2) / RADIUS_PX**2
    light = np.where(z2 > 0, np.maximum((u - io_px[0]) / RADIUS_PX, 0) ** 0.6, 0)
    light = ndimage.gaussian_filter(np.nan_to_num(light), 0.8)
    image = 5 + 300 * light + np.random.default_rng(4).normal(0, 1, light.shape)
    frame = replace(frame, image=image.astype(np.float32))
    picture = picture_of(frame)
    (first,) = first_looks(picture, frame, [Circle(best.x + 2.0, best.y - 1.8, best.r + 1.4)])
    found = last_look(picture, frame, first)
    assert math.hypot(found.circle.x - best.x, found.circle.y - best.y) < 0.8


def test_a_picture_that_is_no_whole_mosaic_has_no_framelets() -> None:
    assert Framelets.of(mosaic("RED", 300)) is None
    assert Framelets.of(Frame.of(np.zeros((64, 64), np.float32))) is None
