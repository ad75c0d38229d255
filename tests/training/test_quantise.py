"""A model in whole numbers of 8 bits is still a model file, and is counted by the same rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detector.frame import CLASSES
from detector.limb import find_limb
from detector.session import RELEASED, Model
from training.quantise import _samples, compare, quantised


def test_the_quantised_file_carries_card_and_judge_and_is_smaller(tmp_path: Path) -> None:
    sights = [(frame, find_limb(frame)) for _, frame in _samples(3, 5)]
    quantised(RELEASED, tmp_path / "int8.onnx", sights)
    small, whole = Model.open(tmp_path / "int8.onnx", device="cpu"), Model.open(device="cpu")
    assert (small.card, small.judge) == (whole.card, whole.judge)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.7 * RELEASED.stat().st_size
    frame, limb = sights[0]
    theirs, ours = small.scores(frame, limb), whole.scores(frame, limb)
    assert theirs.shape == ours.shape
    looked = np.isfinite(ours)
    assert np.array_equal(looked, np.isfinite(theirs))
    assert 0 < np.abs(theirs[looked] - ours[looked]).max() <= 1  # coarser, and no copy


def test_a_comparison_counts_both_on_the_same_frames() -> None:
    comparison = compare(RELEASED, 3, 3, calibration_frames=2)
    assert comparison.frames == 3
    for one in (comparison.float32, comparison.int8):
        assert set(one.found) == set(one.false) == set(CLASSES)
        assert one.milliseconds > 0
    said = sum(comparison.float32.found.values()) + sum(comparison.float32.false.values())
    assert said <= comparison.regions  # regions on objects too faint to ask for count neither way
    assert len(comparison.lines()) == 4
