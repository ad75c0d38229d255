"""Operating points counted by hand, and calibration that draws no more than it needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.card import OPERATING_POINTS
from detector.frame import CLASSES
from models.network import IoNetwork, NetworkConfig
from training.config import DataConfig, TrainConfig
from training.data import ItemCache
from training.release import HIGHEST_SEED, Candidate, calibrate, lowest_seed, provisional_points

FALSE = (0.9, 0.8, 0.7, 0.4)


def candidates(false: tuple[float, ...] = FALSE, true: tuple[float, ...] = (0.95, 0.5)) -> list[Candidate]:
    return [Candidate("plume", p, False) for p in false] + [Candidate("plume", p, True) for p in true]


@pytest.mark.parametrize(
    ("false", "allowed", "expected"),
    [
        ((), 0, 0.35),  # nothing is false: the least will do
        (FALSE, 4, 0.35),  # as many as allowed
        (FALSE, 3.9, 0.4),
        (FALSE, 1, 0.8),
        (FALSE, 0.5, 0.9),  # half a false alarm is none
        ((0.9, 0.8, 0.8, 0.8), 2, 0.8),  # of equals all go
        ((0.3, 0.2), 1, 0.35),  # never below the least
        ((0.999, 0.2), 0, HIGHEST_SEED),  # nor above the highest
    ],
)
def test_the_lowest_seed_counted_by_hand(false: tuple[float, ...], allowed: float, expected: float) -> None:
    seed = lowest_seed(candidates(false), allowed, 0.35)
    assert seed == pytest.approx(expected, abs=1e-6)
    if expected not in (0.35, HIGHEST_SEED):
        assert seed > expected  # that one no longer passes


@given(st.lists(st.floats(0.375, 1, width=32), max_size=40), st.floats(0, 20))
def test_no_more_false_alarms_than_allowed(false: list[float], allowed: float) -> None:
    seed = lowest_seed(candidates(tuple(false)), allowed, 0.35)
    assert 0.35 <= seed <= HIGHEST_SEED
    assert seed == HIGHEST_SEED or sum(peak >= seed for peak in false) <= allowed


def test_provisional_points_keep_every_candidate() -> None:
    points = provisional_points()
    assert set(points) == set(OPERATING_POINTS)
    assert all(set(p) == set(CLASSES) and all(t.seed == t.grow for t in p.values()) for p in points.values())


def test_calibration_draws_no_training_frame(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = DataConfig(
        cache=tmp_path_factory.mktemp("cache"), sides_px=(96, 112), validation_count=30, disk_crop_px=64, workers=0
    )
    small = NetworkConfig(altitudes=32, azimuths=64, limb_widths=(4, 6), disk_widths=(4, 6))
    config = TrainConfig(network=small, data=data)
    frames = ItemCache(config, data.validation_seed, data.validation_count, augmented=False)
    frames.folder.mkdir()
    frames.make(0)
    network = IoNetwork(small).eval()
    fitted = calibrate(network, config)
    assert [folder.name for folder in data.cache.iterdir()] == [frames.folder.name]
    assert fitted["limb_plume"]["slope"] == pytest.approx(float(network.slope[0]), rel=1e-6)  # type: ignore[index]
    assert np.isfinite(network.offset.numpy()).all()
