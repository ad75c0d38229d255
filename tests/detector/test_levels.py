"""The levels of a frame: they follow scale and offset, are right on Gaussian sky, and are never 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from detector.levels import Levels, measure_levels

SHAPE = (256, 256)
SEEN = np.ones(SHAPE, bool)


def sky(seed: int, disk: float = 0.0) -> np.ndarray:
    """Gaussian sky of 100 ± 5, with a brighter square on a quarter of the frame."""
    image = np.random.default_rng(seed).normal(100, 5, SHAPE)
    image[64:192, 64:192] += disk
    return image.astype(np.float32)


@pytest.mark.parametrize("scale", [1e-6, 0.25, 1.0, 3e4])
@pytest.mark.parametrize("offset", [0.0, -40.0, 500.0])
def test_levels_follow_scale_and_offset(scale: float, offset: float) -> None:
    image = sky(1, 300).astype(np.float64)
    plain = measure_levels(image.astype(np.float32), SEEN)
    moved = measure_levels((scale * (image + offset)).astype(np.float32), SEEN)
    assert moved.sky == pytest.approx(scale * (plain.sky + offset), rel=1e-4)
    assert moved.sigma == pytest.approx(scale * plain.sigma, rel=1e-3)
    assert moved.bright == pytest.approx(scale * plain.bright, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("disk", [0.0, 8.0, 300.0])
def test_gaussian_sky_is_measured_right(seed: int, disk: float) -> None:
    """Alone and beside a bright square 100 and 5 to a few per cent; under a faint one the sky within 0.4 sigma."""
    levels = measure_levels(sky(seed, disk), SEEN)
    assert levels.sky == pytest.approx(100, abs=2.0 if disk == 8.0 else 0.25)
    assert levels.sigma == pytest.approx(5, rel=0.12 if disk == 8.0 else 0.06)


def test_a_gradient_does_not_swell_the_noise() -> None:
    image = sky(4) + np.linspace(0, 200, SHAPE[1], dtype=np.float32)[None]
    assert measure_levels(image, SEEN).sigma == pytest.approx(5, rel=0.08)


def test_bright_is_the_brightest_surface_above_the_sky() -> None:
    image = np.full(SHAPE, 10, np.float32)
    image[::2] = 11
    image[:128, :128] = 210
    levels = measure_levels(image, SEEN)
    assert levels.bright == pytest.approx(200, abs=1)
    assert levels.sigma == pytest.approx(1e-4 * 200, rel=0.01)  # rows are even: no step from neighbour to neighbour


def test_rounding_is_noise() -> None:
    image = np.random.default_rng(0).normal(10, 0.2, SHAPE).round().astype(np.float32)
    assert measure_levels(image, SEEN).sigma >= 0.29 or np.ptp(image) == 0


def test_what_is_not_valid_does_not_count() -> None:
    image, valid = sky(2, 300), np.random.default_rng(3).random(SHAPE) > 0.2
    spoilt = np.where(valid, image, np.float32(1e6))
    assert measure_levels(spoilt, valid) == measure_levels(np.where(valid, image, np.float32(0)), valid)
    assert measure_levels(image, np.zeros(SHAPE, bool)) == Levels(0.0, 1.0, 1.0)


@given(arrays.arrays(np.float32, (7, 9), elements=st.floats(-1e6, 1e6, width=32)), arrays.arrays(bool, (7, 9)))
def test_noise_and_brightness_are_never_zero(image: np.ndarray, valid: np.ndarray) -> None:
    levels = measure_levels(image, valid)
    assert np.isfinite([levels.sky, levels.sigma, levels.bright]).all()
    assert 0 < levels.sigma <= levels.bright


def test_a_small_disk_on_a_sky_of_one_value_has_the_brightness_of_the_disk() -> None:
    rows, columns = np.mgrid[:800, :800]
    image = np.where(np.hypot(columns - 400, rows - 390) < 25, 180 + columns % 7, 0).astype(np.float32)
    levels = measure_levels(image, np.ones(image.shape, bool))
    assert levels.sky == 0
    assert levels.sigma == pytest.approx(0.29)
    assert 180 < levels.bright < 187


def test_one_outlier_on_a_blank_picture_is_not_taken_for_rounding() -> None:
    image = np.full(SHAPE, 7.0, np.float32)
    image[40, 40] = 1000.0
    levels = measure_levels(image, SEEN)
    assert levels.sky == 7.0
    assert levels.sigma < 1e-3
