"""Light that is not Io's."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.simulate.dice import Dice
from training.simulate.sky import (
    Disk,
    add_jupiter,
    add_moon,
    add_ring,
    add_stars,
    backdrop,
    ghost,
    gradient,
    inset,
    no_io,
    scattered,
    star_fluxes,
    stars_expected,
    veil,
)

SHAPE = (240, 280)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


SUN = np.array([0.0, 0.0, 1.0])


def a_moon(seed: int, disk: Disk, sun: NDArray[np.float64] = SUN) -> NDArray[np.float32]:
    image = np.zeros(SHAPE, np.float32)
    add_moon(rng(seed), image, disk, sun, 1.0)
    return image


@pytest.mark.parametrize("slope", [0.6, 1.0, 1.3])
def test_star_fluxes_follow_their_power_law(slope: float) -> None:
    fluxes = star_fluxes(rng(1), 200_000, 2.0, slope)
    assert fluxes.min() >= 2.0
    for times in (3, 10, 30):
        assert np.mean(fluxes > 2.0 * times) == pytest.approx(times**-slope, rel=0.05)


def test_deeper_and_larger_pictures_see_more_stars() -> None:
    assert stars_expected(1e-4, 1e-5, 10**6) > stars_expected(1e-3, 1e-5, 10**6) > 0
    assert stars_expected(1e-4, 1e-5, 10**6) == pytest.approx(10 * stars_expected(1e-4, 1e-5, 10**5))
    for seed in range(10):
        image = np.zeros(SHAPE, np.float32)
        add_stars(rng(seed), image, 1e-4, 1e-5)
        assert image.sum() > 0


@settings(max_examples=25, deadline=None)
@given(st.floats(0.5, 40), st.floats(60, 180), st.floats(60, 180))
def test_a_full_moon_covers_the_area_of_its_disk(radius: float, x: float, y: float) -> None:
    light = a_moon(3, Disk(x, y, radius))
    rows, columns = np.nonzero(light)
    assert np.hypot(columns - x, rows - y).max() < radius + 1.5
    assert len(rows) == pytest.approx(math.pi * radius**2, abs=2 * math.pi * radius + 12)


def test_a_moon_of_which_the_frame_shows_a_sliver_has_numbers() -> None:
    reach = a_moon(3, Disk(140, 120, 90)).shape[1]
    light = a_moon(3, Disk(reach + 88.0, 120, 90))
    assert np.isfinite(light).all()
    assert light.any()


def test_a_moon_is_lit_from_its_sun() -> None:
    light = a_moon(3, Disk(140, 120, 40), np.array([1.0, 0.0, 0.0]))
    assert light[:, :138].sum() < 0.05 * light[:, 142:].sum()
    assert not a_moon(3, Disk(-500, 80, 20)).any()


def test_bodies_are_bright_and_bounded() -> None:
    for seed in range(12):
        image = np.zeros(SHAPE, np.float32)
        add_jupiter(rng(seed), image, SUN, 1.0, filled=seed % 2 == 0)
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() < 2
        band = np.zeros(SHAPE, np.float32)
        add_ring(rng(seed), band, 0.01)
        assert band.min() >= 0
        assert band.max() <= 0.0101


@given(st.integers(0, 1000), st.floats(0.1, 100))
@settings(max_examples=30)
def test_a_gradient_runs_from_zero_to_its_amount(seed: int, amount: float) -> None:
    smooth = gradient(rng(seed), SHAPE, amount)
    assert smooth.min() == pytest.approx(0, abs=1e-5 * amount)
    assert smooth.max() == pytest.approx(amount, rel=1e-4)
    assert np.abs(np.diff(smooth, axis=0)).max() < 0.1 * amount


def test_scattered_light_is_its_share_and_falls_outward() -> None:
    y, x = np.mgrid[:480, :480]
    distance = np.hypot(x - 240, y - 240)
    disk = (distance < 40).astype(np.float32)
    for seed in range(6):
        halo = scattered(rng(seed), disk, 0.05)
        assert 0.02 * disk.sum() < halo.sum() < 0.051 * disk.sum()  # the widest wings leave the picture
        rings = [float(halo[(distance > r) & (distance < r + 8)].mean()) for r in range(44, 200, 16)]
        assert all(inner >= 0.98 * outer for inner, outer in pairwise(rings))


def test_a_ghost_is_faint() -> None:
    image = a_moon(1, Disk(140, 120, 40))
    for seed in range(10):
        copy = ghost(rng(seed), image, 0.02)
        assert copy.shape == SHAPE
        assert copy.max() <= 0.03 * image.max()


def test_every_sky_effect_can_be_switched() -> None:
    for name in ("stars", "moon", "jupiter", "ring"):
        shown = [backdrop(Dice(5, i, only=(name,)), SHAPE, 1e-4, 1e-5, 1.0).any() for i in range(8)]
        assert any(shown)
    assert not backdrop(Dice(5, 0, only=()), SHAPE, 1e-4, 1e-5, 1.0).any()
    light = a_moon(1, Disk(140, 120, 60))
    for name in ("gradient", "scattered_light", "ghost"):
        assert veil(Dice(5, 1, only=(name,)), light, 1e-3).max() > 0
    assert not veil(Dice(5, 1, only=()), light, 1e-3).any()


@pytest.mark.parametrize("faintest", [1e-9, 3e-3, 20.0])
def test_cameras_from_deep_to_blind_see_some_sky(faintest: float) -> None:
    for index in range(30):
        for light in (
            no_io(Dice(11, index), SHAPE, faintest, 2e-4),
            backdrop(Dice(11, index), SHAPE, faintest, 2e-4, 1.0),
        ):
            assert np.isfinite(light).all()
            assert light.min() >= 0


def test_pictures_without_io_are_of_many_kinds() -> None:
    brightest = [float(no_io(Dice(9, index), SHAPE).max()) for index in range(40)]
    assert min(brightest) == 0
    assert max(brightest) > 0.3


def test_an_inset_covers_what_it_says() -> None:
    counts = rng(2).random(SHAPE, dtype=np.float32)
    changed, covered = inset(Dice(3, 1, only=("inset",)), counts)
    assert 0.01 < covered.mean() < 0.2
    assert np.array_equal(changed[~covered], counts[~covered])
    assert changed.min() >= counts.min()
    assert changed.max() <= counts.max()
    same, none = inset(Dice(3, 1, only=()), counts)
    assert same is counts
    assert not none.any()
