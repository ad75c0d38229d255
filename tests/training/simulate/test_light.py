"""Stamps: patches of light that keep their place and their flux."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.simulate.light import Bandpass, Stamp, clipped_stamp

SHAPE = (60, 70)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 50), st.integers(0, 60), st.integers(1, 10), st.integers(1, 10), st.floats(0.3, 2.5))
def test_a_blurred_stamp_is_the_blurred_picture(row: int, column: int, height: int, width: int, sigma: float) -> None:
    stamp = Stamp(row, column, np.random.default_rng(row).random((height, width)).astype(np.float32))
    margin = int(np.ceil(4 * sigma))
    kernel = (2 * margin + 1, 2 * margin + 1)
    whole = cv2.GaussianBlur(stamp.on(SHAPE), kernel, sigma, borderType=cv2.BORDER_CONSTANT)
    np.testing.assert_allclose(stamp.blurred(sigma, SHAPE).on(SHAPE), whole, atol=1e-5)


def test_the_psf_keeps_the_flux() -> None:
    stamp = Stamp(30, 30, np.full((3, 4), 2.0, np.float32))
    assert stamp.blurred(1.1, SHAPE).patch.sum() == pytest.approx(24, rel=1e-3)


@given(st.integers(-12, 70), st.integers(-12, 80))
def test_what_stands_out_of_the_picture_is_cut(row: int, column: int) -> None:
    patch = np.arange(1, 101, dtype=np.float32).reshape(10, 10)
    stamp = clipped_stamp(row, column, patch, SHAPE)
    padded = np.zeros((100, 110), np.float32)
    padded[row + 20 : row + 30, column + 20 : column + 30] = patch
    expected = padded[20:80, 20:90]
    if stamp is None:
        assert not expected.any()
    else:
        assert np.array_equal(stamp.on(SHAPE), expected)


def test_a_band_has_a_width() -> None:
    assert Bandpass("RED", 0.62, 0.73, 0.671, 18.2).width_um == pytest.approx(0.11)
