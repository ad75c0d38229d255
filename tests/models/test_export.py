"""The exported file decides as the network does, or is not written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from detector.card import CARD_KEY, ModelCard, Threshold
from detector.errors import ModelError
from detector.frame import Frame
from detector.levels import measure_levels
from detector.limb import Limb
from detector.regions import Region
from detector.session import Model
from models.export import MAX_GAP, count_unmatched, export, measure_parity, parity_cases, render_card
from models.network import IoNetwork, NetworkConfig

SMALL = NetworkConfig(altitudes=48, azimuths=128, limb_widths=(4, 6, 8), disk_widths=(4, 6, 8))
CUT = Threshold(seed=0.5, grow=0.4, min_area_px=2)


def a_card() -> ModelCard:
    return ModelCard(
        name="trial",
        version="1",
        operating_points={p: {"plume": CUT, "hotspot": CUT} for p in ("screening", "confident")},
    )


def opinionated(network: IoNetwork) -> IoNetwork:
    """Untrained, a network says 0.018 everywhere; spread out around that, it says yes here and no there."""
    network.slope[:], network.offset[:] = 300, 300 * 4 - 2
    return network


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[IoNetwork, Path]:
    torch.manual_seed(5)
    network, path = opinionated(IoNetwork(SMALL)), tmp_path_factory.mktemp("model") / "trial.onnx"
    export(network, a_card(), path)
    return network.eval(), path


def test_the_card_comes_back_with_the_measured_parity(exported: tuple[IoNetwork, Path]) -> None:
    card = Model.open(exported[1], device="cpu").card
    assert card.name == "trial"
    assert 0 <= card.parity["largest_gap"] <= MAX_GAP
    assert card.parity["cases"] == len(list(parity_cases(2)))
    assert card.parity["regions"] > 0
    assert card.parity["unmatched_regions"] == 0
    assert "| confident | hotspot | 0.000 | 0.500 |" in render_card(card)


def test_from_frame_to_probability_both_runtimes_agree(exported: tuple[IoNetwork, Path]) -> None:
    network, path = exported
    rng = np.random.default_rng(8)
    image = rng.normal(20, 3, (211, 173)).astype(np.float32)
    image[60:140, 50:120] += 90
    image[100] = np.nan
    frame, limb = Frame.of(image), Limb(85.0, 105.0, 85.0)  # its surroundings are the whole frame
    theirs = Model.open(path, device="cpu").scores(frame, limb)
    levels = torch.from_numpy(measure_levels(frame.image, frame.valid).as_array())[None]
    with torch.no_grad():
        ours = network(
            torch.from_numpy(frame.image)[None, None],
            torch.from_numpy(frame.valid.astype(np.float32))[None, None],
            torch.from_numpy(limb.as_array())[None],
            levels,
        )[0].numpy()
    assert np.isnan(theirs[:, 100]).all()
    np.testing.assert_allclose(theirs[:, frame.valid], ours[:, frame.valid], atol=MAX_GAP)


class TwoFaced(IoNetwork):
    """Says something else when it is exported."""

    def forward(
        self, frame: torch.Tensor, valid: torch.Tensor, limb: torch.Tensor, levels: torch.Tensor
    ) -> torch.Tensor:
        answer = super().forward(frame, valid, limb, levels)
        return answer if torch.compiler.is_exporting() else answer * 0.9


def test_a_file_that_disagrees_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="torch and onnxruntime disagree"):
        export(TwoFaced(SMALL), a_card(), tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


class Blank(IoNetwork):
    """Knows nothing at all."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(*inputs) * torch.nan


class Contrary(IoNetwork):
    """Says yes for no."""

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return 1 - super().forward(*inputs)


def test_a_network_without_an_answer_is_refused(exported: tuple[IoNetwork, Path]) -> None:
    with pytest.raises(ModelError, match=r"torch gives .* not finite"):
        measure_parity(Blank(SMALL).eval(), exported[1], a_card())


def test_other_answers_are_other_regions(exported: tuple[IoNetwork, Path]) -> None:
    contrary = Contrary(SMALL).eval()
    contrary.load_state_dict(exported[0].state_dict())
    parity = measure_parity(contrary, exported[1], a_card())
    assert parity["unmatched_regions"] > 0
    assert parity["flipped_share"] > 0.1


def region(kind: str, x0: int, columns: int) -> Region:
    return Region(kind, 0.9, x0, 2, np.ones((1, columns), bool))


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ([region("plume", 3, 8), region("hotspot", 14, 1)], 0),
        ([region("plume", 4, 7), region("hotspot", 14, 1)], 0),  # a pixel of its edge less: 7 of 8 shared
        ([region("plume", 7, 8), region("hotspot", 14, 1)], 2),  # 4 of 12 shared: another region
        ([region("plume", 3, 4), region("plume", 8, 3), region("hotspot", 14, 1)], 3),  # in two, neither above half
        ([region("hotspot", 3, 8), region("hotspot", 14, 1)], 2),  # the other class
        ([], 2),
    ],
)
def test_regions_without_a_counterpart_are_counted_on_both_sides(theirs: list[Region], expected: int) -> None:
    ours = [region("plume", 3, 8), region("hotspot", 14, 1)]
    assert count_unmatched(ours, theirs, (5, 20)) == expected
    assert count_unmatched(theirs, ours, (5, 20)) == expected


def test_a_damaged_or_foreign_file_is_refused(exported: tuple[IoNetwork, Path], tmp_path: Path) -> None:
    data = exported[1].read_bytes()
    (tmp_path / "changed.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (tmp_path / "changed.sha256").write_text(exported[1].with_suffix(".sha256").read_text())
    (tmp_path / "junk.onnx").write_bytes(b"not a model")
    bare = onnx.load(str(exported[1]))
    onnx.helper.set_model_props(bare, {"other": "thing"})
    onnx.save(bare, str(tmp_path / "bare.onnx"))
    for name, reason in (
        ("changed", "sha256"),
        ("junk", "cannot load"),
        ("bare", CARD_KEY),
        ("absent", "no such model"),
    ):
        with pytest.raises(ModelError, match=reason):
            Model.open(tmp_path / f"{name}.onnx", device="cpu")
