"""Pixels as polygons and back: hand-counted, and any mask at all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serve.web.outlines import pixels_of, polygons_of

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def test_one_pixel_is_a_square_around_its_centre() -> None:
    (polygon,) = polygons_of(np.array([[True]]), x0=4, y0=7)
    (ring,) = polygon
    assert set(map(tuple, ring)) == {(3.5, 6.5), (4.5, 6.5), (4.5, 7.5), (3.5, 7.5)}
    assert ring[0] == ring[-1]


def test_a_ring_of_pixels_has_a_hole() -> None:
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    (polygon,) = polygons_of(mask)
    assert len(polygon) == 2
    assert {tuple(point) for point in polygon[1]} == {(0.5, 0.5), (1.5, 0.5), (1.5, 1.5), (0.5, 1.5)}


def test_pixels_that_touch_at_a_corner_belong_together() -> None:
    assert len(polygons_of(np.eye(3, dtype=bool))) == 1


@given(MASKS, st.integers(0, 5), st.integers(0, 5))
def test_outlining_and_filling_gives_the_mask_back(mask: np.ndarray, x0: int, y0: int) -> None:
    if not mask.any():
        return
    whole = np.zeros((20, 20), bool)
    whole[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]] = mask
    assert (pixels_of(polygons_of(mask, x0, y0), (20, 20)) == whole).all()


def test_a_drawn_triangle_holds_the_centres_inside_it() -> None:
    drawn = pixels_of([[[(0, 0), (4.4, 0), (0, 4.4), (0, 0)]]], (6, 6))
    y, x = np.mgrid[:6, :6]
    inside = (x > 0) & (y > 0) & (x + y < 4.4)
    assert drawn[inside].all()
    assert not drawn[x + y > 4.5].any()


def test_an_outline_smaller_than_a_pixel_is_that_pixel() -> None:
    drawn = pixels_of([[[(2.1, 3.1), (2.3, 3.1), (2.2, 3.3), (2.1, 3.1)]]], (6, 6))
    assert np.argwhere(drawn).tolist() == [[3, 2]]
