"""Calibration draws no more than it needs."""

from __future__ import annotations

import numpy as np
import pytest

from models.network import IoNetwork, NetworkConfig
from training.config import DataConfig, TrainConfig
from training.data import ItemCache
from training.release import calibrate


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
