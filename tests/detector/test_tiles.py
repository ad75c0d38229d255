"""Which windows are looked at: every pixel once without a limb, the limb's surroundings whole with one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.limb import Limb
from detector.tiles import OVERLAP_PX, REACH, TILE_PX, windows

NO_LIMB = Limb.none("none")
lengths = st.integers(1, 2 * TILE_PX + 3)


@given(rows=lengths, columns=lengths)
def test_every_pixel_is_in_exactly_one_inner_window(rows: int, columns: int) -> None:
    counted = np.zeros((rows, columns), np.int8)
    for window in windows((rows, columns), NO_LIMB):
        counted[window.inner] += 1
        image = counted[window.outer]
        assert image.shape == (window.y1 - window.y0, window.x1 - window.x0)
        assert np.shares_memory(image[window.inner_in_outer], counted[window.inner])
        assert image[window.inner_in_outer].shape == counted[window.inner].shape
    assert (counted == 1).all()


def test_a_tile_sees_its_neighbours_border() -> None:
    seen = [(window.outer, window.inner) for window in windows((TILE_PX + 10, TILE_PX), NO_LIMB)]
    upper, lower = slice(0, TILE_PX), slice(TILE_PX, TILE_PX + 10)
    every = slice(0, TILE_PX)
    assert seen == [
        ((slice(0, TILE_PX + 10), every), (upper, every)),
        ((slice(TILE_PX - OVERLAP_PX, TILE_PX + 10), every), (lower, every)),
    ]


@given(x=st.floats(-300, 900), y=st.floats(-300, 900), radius=st.floats(8, 700))
def test_the_limb_window_holds_every_pixel_within_reach(x: float, y: float, radius: float) -> None:
    shape = (400, 600)
    rows, columns = np.indices(shape)
    near = np.hypot(rows - y, columns - x) <= REACH * radius
    looked_at = np.zeros(shape, bool)
    found = list(windows(shape, Limb(x, y, radius)))
    for window in found:
        assert window.inner == window.outer
        looked_at[window.outer] = True
    assert len(found) <= 1
    assert looked_at[near].all()
    assert not looked_at[(np.abs(rows - y) > REACH * radius + 2) | (np.abs(columns - x) > REACH * radius + 2)].any()


@pytest.mark.parametrize("place", [(-200.0, 50.0), (50.0, 400.0)])
def test_a_limb_out_of_the_frame_has_no_window(place: tuple[float, float]) -> None:
    assert list(windows((100, 100), Limb(*place, 50.0))) == []
