"""The camera whose axis is not on Io, against the closed form of a flat detector."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.simulate.lens import OffAxis

IFOV = 5e-4
AXIS = (255.5, 255.5)
places = st.floats(-200, 700)


@given(places, places, places, places)
def test_there_and_back_is_the_same_pixel(io_x: float, io_y: float, x: float, y: float) -> None:
    lens = OffAxis((io_x, io_y), AXIS, IFOV)
    there = lens.ideal(np.array([x]), np.array([y]))
    assert np.ravel(lens.pixel(*there)) == pytest.approx([x, y], abs=1e-6)


def test_io_falls_where_it_was_put_and_on_the_axis_nothing_changes() -> None:
    lens = OffAxis((400.0, 30.0), AXIS, IFOV)
    assert np.ravel(lens.ideal(np.array([400.0]), np.array([30.0]))) == pytest.approx([400, 30])
    x, y = np.array([3.0, 77.0]), np.array([500.0, 12.0])
    assert np.array(OffAxis(AXIS, AXIS, IFOV).ideal(x, y)) == pytest.approx(np.array([x, y]))


def test_angles_are_those_of_a_flat_detector() -> None:
    """A limb at the angle t about Io at the angle u off the axis ends at tan(u - t) and tan(u + t) along the line."""
    off, t = 240.0, 0.04
    lens = OffAxis((AXIS[0] + off, AXIS[1]), AXIS, IFOV)
    u, r = math.atan(off * IFOV), math.tan(t) / IFOV
    x, y = lens.pixel(np.array([lens.io[0] - r, lens.io[0] + r]), np.array([AXIS[1]] * 2))
    assert x - AXIS[0] == pytest.approx([math.tan(u - t) / IFOV, math.tan(u + t) / IFOV])
    assert y == pytest.approx([AXIS[1]] * 2)
