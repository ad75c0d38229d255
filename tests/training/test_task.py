"""One step of training on one batch, and the schedule in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from models.network import NetworkConfig, Unwrap
from training.config import DataConfig, TrainConfig
from training.items import Picture, crop_item, crop_tensors, strip_item, strip_tensors
from training.task import KINDS, Batch, IoTask, one_cycle

SMALL = NetworkConfig(altitudes=32, azimuths=64, limb_widths=(4, 6), disk_widths=(4, 6))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig(network=SMALL, data=DataConfig(cache=tmp_path, disk_crop_px=64))


@pytest.fixture
def batch(config: TrainConfig) -> Batch:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    image = (100.0 * (np.hypot(x - 46, y - 50) < 28) + rng.normal(10, 1, (96, 96))).astype(np.float32)
    planes = np.zeros((96, 96, 5), np.uint8)
    planes[..., 0], planes[45:55, 74:82, 1], planes[40:42, 40:42, 2] = 1, 1, 1
    image[planes[..., 1:3].any(-1)] += 30
    picture = Picture(image, planes, np.array([46, 50, 28], np.float32))
    unwrap = Unwrap(config.network)
    strips = [strip_tensors(strip_item(picture, unwrap, config.circles, rng), None) for _ in range(3)]
    crops = [crop_tensors(crop_item(picture, 64, rng), None) for _ in range(3)]
    return {"limb": default_collate(strips), "disk": default_collate(crops)}


@pytest.mark.filterwarnings("ignore:You are trying to `self.log:UserWarning")  # there is no trainer here
def test_a_step_lowers_the_loss_of_both_branches(config: TrainConfig, batch: Batch) -> None:
    torch.manual_seed(1)
    task = IoTask(config)
    optimiser = task.configure_optimizers()["optimizer"]
    before = task._losses(batch)
    task.training_step(batch, 0).backward()
    optimiser.step()
    after = task._losses(batch)
    assert set(before) == {"limb", "disk"}
    assert all(after[branch] < before[branch] for branch in before)


def test_a_branch_without_a_batch_has_no_loss(config: TrainConfig, batch: Batch) -> None:
    assert set(IoTask(config)._losses(batch | {"limb": None})) == {"disk"}


def test_every_counted_pixel_is_tallied_in_validation(config: TrainConfig, batch: Batch) -> None:
    """True positives and misses add up to the true pixels that count."""
    task = IoTask(config).eval()
    task.on_validation_epoch_start()
    with torch.no_grad():
        task._losses(batch)
    strips, crops = batch["limb"], batch["disk"]
    assert strips is not None
    assert crops is not None
    asked = strips["target"] * strips["seen"] * (1 - strips["ignored"])
    true = [asked.sum(), *(crops["target"] * crops["valid"] * (1 - crops["ignored"])).sum((0, 2, 3))]
    assert len(true) == len(KINDS)
    torch.testing.assert_close(task._counts[:, 0] + task._counts[:, 2], torch.stack(true))


@pytest.mark.parametrize(("progress", "share"), [(0, 0.04), (0.05, 0.52), (0.1, 1), (0.55, 0.5), (1, 0), (1.2, 0)])
def test_the_learning_rate_rises_and_falls(progress: float, share: float) -> None:
    assert one_cycle(progress) == pytest.approx(share, abs=1e-12)
