"""Training that begins with a model file says at first what the file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from detector.card import ModelCard, Threshold
from detector.errors import InputError, ModelError
from detector.session import RELEASED, Model
from models.export import export, measure_parity, parity_cases
from models.network import LIMB_CHANNELS, IoNetwork, NetworkConfig
from training.config import TrainConfig
from training.data import IoData
from training.start import network_of, seen_by, start_from
from training.task import IoTask
from training.train import seen_files, train

SMALL = NetworkConfig(altitudes=32, azimuths=64, limb_widths=(4, 6), disk_widths=(4, 6))
FIRST = "limb_branch.net.down.0.0.1.weight"


def lively(network: IoNetwork) -> IoNetwork:
    """With statistics and scales that differ from layer to layer."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.data.uniform_(-1, 1)  # type: ignore[union-attr]
            for held in (module.running_var, module.weight):
                held.data.uniform_(0.5, 2)  # type: ignore[union-attr]
            module.bias.data.uniform_(-0.5, 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[IoNetwork, Path]:
    torch.manual_seed(7)
    network, file = lively(IoNetwork(SMALL)), tmp_path_factory.mktemp("model") / "old.onnx"
    cut = Threshold(seed=0.5, grow=0.4, min_area_px=2)
    points = {p: {"plume": cut, "hotspot": cut} for p in ("screening", "confident")}
    export(network, ModelCard(name="old", version="1", operating_points=points), file)
    return network, file


def batches(seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    made = torch.Generator().manual_seed(seed)
    levels = torch.tensor([[0.0, 1.0, 5.0]]).repeat(4, 1)
    strip, frame = (torch.randn(4, 1, rows, 64, generator=made) for rows in (32, 64))
    limb = {"strip": strip, "seen": torch.ones_like(strip), "levels": levels, "radius": torch.full((4,), 40.0)}
    circle = torch.tensor([[30.0, 30.0, 20.0]]).repeat(4, 1)
    return {"limb": limb, "disk": {"frame": frame, "valid": torch.ones_like(frame), "levels": levels, "limb": circle}}


def answers(network: IoNetwork) -> list[np.ndarray]:
    with torch.no_grad():
        return [network(*map(torch.from_numpy, case.arrays().values())).numpy() for case in parity_cases(3)]


def test_the_network_says_what_the_file_says(released: tuple[IoNetwork, Path]) -> None:
    network, file = released
    task = IoTask(TrainConfig(network=SMALL))
    start_from(task, file, batches())
    assert task.network.training
    for ours, theirs in zip(answers(task.network.eval()), answers(network), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_it_goes_on_from_there_when_it_is_trained(released: tuple[IoNetwork, Path]) -> None:
    task = IoTask(TrainConfig(network=SMALL))
    start_from(task, released[1], batches())
    with torch.no_grad():
        trained = task.limb_logits(batches()["limb"])
        task.network.eval()
        fixed = task.limb_logits(batches()["limb"])
    np.testing.assert_allclose(trained.numpy(), fixed.numpy(), atol=0.02)  # the batch's own statistics are those


def test_new_inputs_are_not_listened_to_yet(released: tuple[IoNetwork, Path], tmp_path: Path) -> None:
    """A file of fewer channels: its weights stand first, the rest is zero."""
    model = onnx.load(str(released[1]))
    (first,) = (one for one in model.graph.initializer if one.name == FIRST)
    weights = numpy_helper.to_array(first)
    fewer = weights[:, : 4 * (LIMB_CHANNELS - 2)]
    first.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(fewer), FIRST))
    onnx.save(model, str(tmp_path / "fewer.onnx"))
    task = IoTask(TrainConfig(network=SMALL))
    start_from(task, tmp_path / "fewer.onnx", batches())
    held = dict(task.network.named_parameters())[FIRST].detach().numpy()
    assert np.array_equal(held[:, : fewer.shape[1]], fewer)
    assert not held[:, fewer.shape[1] :].any()
    assert held.shape == weights.shape


def test_a_file_of_other_sizes_or_none_at_all_is_refused(released: tuple[IoNetwork, Path], tmp_path: Path) -> None:
    wider = NetworkConfig(altitudes=32, azimuths=64, limb_widths=(5, 6), disk_widths=(4, 6))
    with pytest.raises(ModelError, match=r"layer limb_branch.*has shape \(4, .*expected \(5, "):
        start_from(IoTask(TrainConfig(network=wider)), released[1], batches())
    nothing = tmp_path / "nothing.onnx"
    nothing.write_bytes(b"no model")
    for file in (nothing, tmp_path / "missing.onnx"):
        with pytest.raises(ModelError, match="cannot be read"):
            start_from(IoTask(TrainConfig(network=SMALL)), file, batches())


def test_a_run_that_cannot_start_says_so_before_it_draws_a_frame(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(f"start: {tmp_path}/missing.onnx\ndata: {{cache: {tmp_path}/cache}}\n")
    with pytest.raises(InputError, match=r"missing\.onnx: no such model file"):
        train(config, tmp_path / "out")
    assert not (tmp_path / "cache").exists()


def test_a_released_file_gives_its_network_back_calibration_included() -> None:
    card = Model.open(RELEASED, device="cpu").card
    parity = measure_parity(network_of(RELEASED, card), RELEASED, card)
    assert parity["largest_gap"] < 1e-4
    assert parity["regions"] > 20
    assert parity["unmatched_regions"] == parity["flipped_share"] == 0


def test_a_card_that_does_not_say_how_the_network_is_built_is_refused(released: tuple[IoNetwork, Path]) -> None:
    card = Model.open(released[1], device="cpu").card
    with pytest.raises(ModelError, match="its card does not say how the network is built: KeyError"):
        network_of(released[1], card)


def test_what_the_first_model_had_seen_stays_known(tmp_path: Path) -> None:
    seen = seen_by(RELEASED)
    assert len(seen) == 5  # the real frames without eruptions that its card names
    assert seen_files(IoData(TrainConfig(start=RELEASED))) == sorted(seen)
    (tmp_path / "nothing.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="its card cannot be read"):
        seen_by(tmp_path / "nothing.onnx")
