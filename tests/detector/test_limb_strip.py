"""Surroundings of a circle unwrapped: where an edge lies in a strip, and which part of a circle it goes along."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.circle import Circle
from detector.frame import Frame
from detector.limb_picture import Picture, picture_of
from detector.limb_strip import COLUMNS, ROWS, WIDE_ROWS, seen_span, strip_of


def flat_disk(x: float, y: float, r: float, shape: tuple[int, int] = (240, 260)) -> Picture:
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    edge = np.clip(r - np.hypot(columns - x, rows - y) + 0.5, 0, 1)
    noise = np.random.default_rng(1).normal(0, 1, shape)
    return picture_of(Frame.of((500 * edge + noise).astype(np.float32)))


@pytest.mark.parametrize("larger", [-4.0, 0.0, 3.0])
def test_an_edge_lies_at_the_row_of_its_distance(larger: float) -> None:
    picture = flat_disk(125, 118, 70 + larger)
    strip = strip_of(picture, Circle(125, 118, 70), 8.0, picture.brightest)
    assert strip is not None
    inside = (strip.near > 0.5).sum(axis=0) * 16.0 / ROWS - 8.0
    np.testing.assert_allclose(inside, larger, atol=0.5)
    assert strip.whole
    assert strip.reach_px == 8


def test_turning_the_frame_a_quarter_rolls_the_strip_a_quarter() -> None:
    picture = flat_disk(129.5, 119.5, 60, (240, 240))
    picture.linear[100:140, 10:200] += 300
    circle = Circle(119.5, 119.5, 64)
    turned = Picture(np.rot90(picture.linear, -1).copy(), picture.soft, 1, picture.sky, picture.sigma)
    strips = [strip_of(one, circle, 8.0, 500.0) for one in (picture, turned)]
    assert strips[0] is not None
    assert strips[1] is not None
    rolled = np.roll(strips[0].near, COLUMNS // 4, axis=1)
    np.testing.assert_allclose(strips[1].near, rolled, atol=2e-3)


def test_what_lies_beyond_the_frame_or_the_centre_is_not_known() -> None:
    picture = flat_disk(0, 120, 60)
    strip = strip_of(picture, Circle(0, 120, 60), 6.0, 500.0)
    assert strip is not None
    assert not strip.whole
    seen = np.cos(strip.azimuth_rad) * 66 > 1
    assert np.isfinite(strip.near[:, seen]).all()
    assert np.isnan(strip.near[-1, np.cos(strip.azimuth_rad) * 66 < -1]).all()
    small = strip_of(picture, Circle(100, 120, 8), 6.0, 500.0)
    assert small is not None
    assert np.isnan(small.wide[: WIDE_ROWS // 4]).all()
    assert strip_of(picture, Circle(-500, 120, 60), 6.0, 500.0) is None


@given(st.floats(-300, 500), st.floats(-300, 500), st.floats(8, 900))
def test_the_strip_goes_along_all_of_the_circle_that_is_seen(x: float, y: float, r: float) -> None:
    start, span = seen_span((200, 260), Circle(x, y, r), 5.0)
    assert 0 < span <= 2 * math.pi * 1.06
    azimuth = np.radians(np.arange(0, 360, 0.5))
    column, row = x + r * np.cos(azimuth), y + r * np.sin(azimuth)
    inside = (column > -5) & (column < 265) & (row > -5) & (row < 205)
    assert ((azimuth[inside] - start) % (2 * math.pi) <= span + 1e-6).all()
