"""Radiation: only more light, as often as asked, of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from training.simulate.dice import Dice
from training.simulate.radiation import energies, strike

SHAPE = (400, 500)
DARK = np.zeros(SHAPE, np.float32)


@pytest.mark.parametrize("kind", ["hits", "tracks", "clusters"])
def test_a_strike_only_adds_and_never_more_than_a_pixel_holds(kind: str) -> None:
    dark = np.random.default_rng(0).normal(10, 1, SHAPE).astype(np.float32)
    struck = strike(dark, Dice(1, 2, only=(kind,)), 50.0, 40.0, 255.0)
    assert (struck >= dark).all()
    assert struck.max() <= 255
    assert 0 < (struck > dark + 5).mean() < 0.02
    assert struck.tobytes() == strike(dark, Dice(1, 2, only=(kind,)), 50.0, 40.0, 255.0).tobytes()


def test_what_is_switched_off_does_not_strike() -> None:
    without = Dice(1, 2, without=("hits", "tracks", "clusters"))
    assert np.array_equal(strike(DARK, without, 50, 40, 255), DARK)
    assert not DARK.any()


def test_the_number_of_hits_is_poisson_about_the_rate() -> None:
    """Connected groups of struck pixels are counted: a hit may share its charge with its neighbours."""
    counts = []
    for index in range(300):
        struck = strike(DARK, Dice(7, index, only=("hits",)), 20.0, 40.0, 1e9)
        counts.append(ndimage.label(struck > 0, np.ones((3, 3)))[1])
    assert np.mean(counts) == pytest.approx(40, abs=4 * np.sqrt(40 / 300) + 0.5)
    assert np.var(counts) == pytest.approx(40, rel=0.35)


def test_tracks_are_long_and_thin_and_clusters_round() -> None:
    shapes = {}
    for kind in ("tracks", "clusters"):
        ratios, sizes = [], []
        for index in range(150):
            struck = strike(DARK, Dice(8, index, only=(kind,)), 0.01, 400.0, 1e9)  # one of a kind, as it is forced
            rows, columns = np.nonzero(struck > 5)
            if len(rows) < 2:
                continue
            weight = struck[rows, columns] / struck[rows, columns].sum()
            points = np.stack([rows - rows @ weight, columns - columns @ weight])
            spread = np.sqrt(np.maximum(np.linalg.eigvalsh((points * weight) @ points.T), 0))
            ratios.append(spread[0] / spread[1])
            sizes.append(len(rows))
        shapes[kind] = float(np.median(ratios)), max(sizes)
    assert shapes["clusters"][0] > 0.55
    assert shapes["tracks"][0] < 0.45
    assert shapes["clusters"][1] < 120
    assert shapes["tracks"][1] > 20


def test_energies_have_a_mean_and_a_heavy_tail() -> None:
    energy = energies(np.random.default_rng(2), 200_000, 10.0)
    assert (energy > 0).all()
    assert energy.mean() == pytest.approx(10, rel=0.3)
    assert 1e-5 < np.mean(energy > 150) < 1e-2  # an exponential of this mean would have 3e-7
