"""The limb network's training: strips tell the truth, mirrors keep it, a run goes on, and its file opens."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from detector.errors import InputError
from detector.limb_strip import INPUTS, OUTPUTS
from training import small_run
from training.limb_strips import STRIP, strips
from training.limb_task import azimuths, laid_through, mirrored, unlikely
from training.limb_train import tensors, train_and_release
from training.small_run import SmallConfig

SETTINGS = "{seed: 77, products: 10, cache: %s, epochs: 1, batch: 16, precision: 32-true, threads: 1}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strips")
    strips(folder, 77, 10, 1)
    return folder


@pytest.fixture(scope="module")
def rows(drawn: Path) -> np.ndarray:
    (file,) = drawn.rglob("*.np")
    found = np.load(file)
    assert found.dtype == STRIP
    return found


def test_the_true_circle_goes_through_the_offsets(rows: np.ndarray) -> None:
    """A circle near another one is off by x cos + y sin + r, to second order."""
    limbs = rows[rows["limb"]]
    assert len(limbs) > 20
    for row in limbs:
        azimuth = row["facts"][5] + np.arange(len(row["offset"])) * row["facts"][6]
        x, y, r = row["step"]
        off = row["offset"] - (x * np.cos(azimuth) + y * np.sin(azimuth) + r)
        assert np.abs(off).max() <= (x * x + y * y) / (2 * (row["facts"][1] + r)) * 1.1 + 0.01
        assert np.abs(row["offset"][row["stands_out"]]).max(initial=0) < row["facts"][0]


def test_there_are_circles_of_the_search_with_and_without_a_limb(rows: np.ndarray) -> None:
    judged = rows[rows["judged"]]
    assert 0 < judged["limb"].sum() < len(judged)
    assert rows[~rows["judged"]]["limb"].all()


def test_a_mirrored_frame_has_its_circle_on_the_other_side(rows: np.ndarray) -> None:
    batch = tensors(rows[rows["limb"]][:16])
    for _ in range(6):
        turned = mirrored(batch)
        weight = torch.full_like(turned["offset"], 6.0)
        step, _ = laid_through(turned["offset"], weight, azimuths(turned["facts"]), torch.full((16,), 1e-4))
        whole = turned["facts"][:, 6] * turned["offset"].shape[1] > 6
        near = turned["step"].abs().amax(dim=1) < 0.05 * turned["facts"][:, 1]
        np.testing.assert_allclose(step[whole & near], turned["step"][whole & near], atol=0.3)


def test_the_density_of_errors_is_students() -> None:
    """One axis against the closed form, and a thousand-fold error costs a logarithm, not a square."""
    covariance = torch.eye(3, dtype=torch.float64)[None] * 4.0
    one, other = (unlikely(torch.tensor([[x, 0.0, 0.0]], dtype=torch.float64), covariance) for x in (0.0, 2.0))
    assert float(other - one) == pytest.approx(3.5 * math.log(1 + 1 / 4))
    far = unlikely(torch.tensor([[2e3, 0.0, 0.0]], dtype=torch.float64), covariance)
    assert float(far - one) < 60


def test_a_run_writes_a_file_that_opens_and_goes_on_where_it_stopped(drawn: Path, tmp_path: Path) -> None:
    config, out, file = tmp_path / "limb.yaml", tmp_path / "run", tmp_path / "limb.onnx"
    config.write_text(SETTINGS % drawn)
    assert train_and_release(config, out, file) < small_run.MAX_GAP
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert tuple(i.name for i in session.get_inputs()) == INPUTS
    assert tuple(o.name for o in session.get_outputs()) == OUTPUTS
    assert "seen" in session.get_modelmeta().custom_metadata_map["training"]
    before = file.read_bytes()
    train_and_release(config, out, file)
    assert file.read_bytes() == before
    config.write_text((SETTINGS % drawn).replace("epochs: 1", "epochs: 2"))
    with pytest.raises(InputError, match="was begun with"):
        train_and_release(config, out, file)


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "limb.yaml"
    file.write_text("sed: 3")
    with pytest.raises(InputError, match="sed"):
        SmallConfig.load(file)
    with pytest.raises(InputError, match="cannot be read"):
        SmallConfig.load(tmp_path / "none.yaml")
    file.write_text("")
    assert SmallConfig.load(file) == SmallConfig()
