"""The glance network's training: thumbnails tell the truth, turning keeps it, a run goes on, and its file opens."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from detector.errors import InputError
from detector.limb_glance import INPUTS, OUTPUTS
from detector.limb_thumb import CELL_PX
from training import glance_train, small_run
from training.glance_frames import thumbnails
from training.glance_task import Batch, GlanceTask, _off, limb_cells, reach_of, turned
from training.glance_train import Thumbnails, train_and_release
from training.small_run import SmallConfig

SETTINGS = "{seed: 78, products: 10, cache: %s, epochs: 1, batch: 4, precision: 32-true, threads: 1}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thumbnails")
    thumbnails(folder, 78, 10, 1)
    return folder


def ring(*circles: tuple[float, float, float], seen: float = 1.0) -> Batch:
    limb = torch.tensor(circles)
    stands_out = torch.rand((len(limb), 360), generator=torch.Generator().manual_seed(1)) < seen
    return {"limb": limb, "stands_out": stands_out, "scale": torch.full((len(limb),), 3.0)}


def drawn_on(batch: Batch, rows: int = 96, columns: int = 128) -> torch.Tensor:
    """(B, rows, columns) how many degrees of the limb that stand out lie on each pixel."""
    view = torch.zeros(len(batch["limb"]), rows, columns)
    for k, (x, y, r) in enumerate(batch["limb"]):
        angle = torch.arange(360)[batch["stands_out"][k]] * math.pi / 180
        column, row = (x + r * angle.cos()).round().long(), (y + r * angle.sin()).round().long()
        view[k].index_put_((row, column), torch.ones(len(angle)), accumulate=True)
    return view


def test_the_limb_is_where_the_disk_ends(drawn: Path) -> None:
    """Where a limb stands out the thumbnail is brighter inside than outside, nearly always."""
    inside_brighter = []
    for block in Thumbnails(list(drawn.rglob("*.np")), aside=False, batch=4, shuffled=False).shapes.values():
        for view, limb, seen in zip(block["view"], block["limb"], block["stands_out"], strict=True):
            if not np.isfinite(limb).all() or limb[2] < 8:
                continue
            angle = np.radians(np.flatnonzero(seen))
            pair = []
            for reach in (limb[2] - 2, limb[2] + 2):
                x, y = np.rint(limb[0] + reach * np.cos(angle)), np.rint(limb[1] + reach * np.sin(angle))
                on = (x >= 0) & (y >= 0) & (x < view.shape[1]) & (y < view.shape[0])
                values = np.full(len(angle), np.nan)
                values[on] = view[y[on].astype(int), x[on].astype(int)]
                pair.append(values)
            inside_brighter += list((pair[0] > pair[1])[np.isfinite(pair[0] + pair[1])])
    assert len(inside_brighter) > 300
    assert np.mean(inside_brighter) > 0.9


def test_turning_a_batch_keeps_the_limb_where_it_is_seen() -> None:
    batch = ring((60.0, 50.0, 30.0), (40.0, 40.0, 12.0), seen=0.3)
    for _ in range(12):
        after = turned({**batch, "view": drawn_on(batch)})
        moved = (drawn_on(after, *after["view"].shape[-2:]) - after["view"]).abs().sum()
        assert moved <= 8  # degrees that lie between two pixels
        batch = ring((60.0, 50.0, 30.0), (40.0, 40.0, 12.0), seen=0.3)


def test_cells_and_points_of_a_limb_by_hand() -> None:
    """A circle of radius 8 around the corner of four cells passes these four and no other."""
    batch = ring((2 * CELL_PX - 0.5, 2 * CELL_PX - 0.5, 7.9))
    passes, beside, points, count = limb_cells(batch, (6, 6))
    assert passes[0].nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert int(beside.sum()) == 16
    assert float(count[0]) == 360
    assert _off(batch["limb"], points, reach_of(batch["limb"], batch["scale"]))[0] == pytest.approx(0, abs=2e-3)
    larger = batch["limb"] + torch.tensor([0.0, 0.0, 1.0])
    assert _off(larger, points, torch.tensor([2.0]))[0] == pytest.approx(0.5, abs=1e-3)


def test_a_frame_without_a_limb_has_no_cells_and_finite_losses() -> None:
    task = GlanceTask(1e-3, 0.0, 10)
    batch = {**ring((math.nan, math.nan, math.nan)), "view": torch.rand(1, 64, 64)}
    batch |= {"facts": torch.tensor([[50.0, 2.0, 0.0]]), "reach": reach_of(batch["limb"], batch["scale"])}
    losses, asked = task._losses(batch)
    assert all(torch.isfinite(value) for value in losses.values())
    assert len(asked) == 0


def test_a_run_writes_a_file_that_opens_and_goes_on_where_it_stopped(drawn: Path, tmp_path: Path) -> None:
    config, out, file = tmp_path / "glance.yaml", tmp_path / "run", tmp_path / "glance.onnx"
    config.write_text(SETTINGS % drawn)
    assert train_and_release(config, out, file) < small_run.MAX_GAP
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert tuple(i.name for i in session.get_inputs()) == INPUTS
    assert tuple(o.name for o in session.get_outputs()) == OUTPUTS
    before = file.read_bytes()
    train_and_release(config, out, file)
    assert file.read_bytes() == before
    config.write_text((SETTINGS % drawn).replace("epochs: 1", "epochs: 2"))
    with pytest.raises(InputError, match="was begun with"):
        train_and_release(config, out, file)


def test_the_released_settings_can_be_read() -> None:
    for name in ("glance", "limb"):
        settings = SmallConfig.load(Path(glance_train.__file__).parent / "configs" / f"{name}.yaml")
        assert settings.products >= 10_000
        assert all(one.circle.r > 100 for one in settings.known_limbs)
