"""A frame, its masks and its limb circle change together, and nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest

from training.augment import Augmenter, Strength


def a_frame() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise around 20, a disk of 200, a hot spot of 5000, one lost line, all described by masks and a circle."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:96, :96]
    image = rng.normal(20, 2, (96, 96)) + 180.0 * (np.hypot(x - 40, y - 52) < 20)
    image[50, 44] = 5000.0
    planes = np.zeros((96, 96, 5), np.uint8)
    planes[..., 0] = 1
    planes[10, :, 0] = 0
    planes[50, 44, 2] = 1
    return image.astype(np.float32), planes, np.array([40.0, 52.0, 20.0], np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_turning_alone_moves_pixels_and_changes_none(seed: int) -> None:
    image, planes, circle = a_frame()
    turned, masks, limb = Augmenter(Strength(tone=0, texture=0), seed)(image, planes, circle)
    kept = planes[..., 0] > 0
    np.testing.assert_allclose(np.sort(turned[masks[..., 0] > 0]), np.sort(image[kept]), rtol=1e-4)
    assert planes.sum() == masks.sum()
    y, x = np.mgrid[:96, :96]
    disk = np.hypot(x - limb[0], y - limb[1]) < 18
    assert turned[disk & (masks[..., 0] > 0)].min() > 150
    assert limb[2] == 20


@pytest.mark.parametrize("seed", range(12))
def test_a_hot_spot_stays_hot(seed: int) -> None:
    image, planes, circle = a_frame()
    changed, masks, _ = Augmenter(Strength(tone=1, texture=1), seed)(image, planes, circle)
    assert changed[masks[..., 2] > 0].max() > 0.9 * 5000
    assert np.isfinite(changed).all()


def test_the_same_seed_changes_a_frame_the_same_way() -> None:
    one, two = (Augmenter(Strength(), 5)(*a_frame()) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
