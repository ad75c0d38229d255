"""Paired comparison of two models: scores by hand, and verdicts on drawn records."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from detector.errors import InputError
from training.compare import CANDIDATE, RATES, compare
from training.report import Difference, FrameRecord, ObjectRecord, RegionRecord


def frame(name: str, observation: str, objects: list[float], false: list[float], kind: str = "plume") -> FrameRecord:
    """A frame whose objects were found at these scores (NaN: not at all), with these false alarms."""
    things = tuple(
        ObjectRecord(kind, str(n), "", "", 30.0, 9, False, {}, score) for n, score in enumerate(objects)
    )
    regions = tuple(RegionRecord(CANDIDATE, kind, score, "false", 0, 0, 9) for score in false)
    return FrameRecord(
        name, "f", observation, "sru", "", 0.1, True, not objects, "right", 0.0, 0.0, {}, things, regions, 0, 0, 0
    )


def test_the_score_counted_by_hand() -> None:
    """20 frames: 0.02 and 0.05 allow 0 and 1 false alarms, 0.1, 0.2 and 0.5 allow 2, 4 and 10."""
    frames = [frame(f"f{n}", f"o{n}", [], []) for n in range(17)]
    frames += [frame("a", "a", [0.95, 0.5], [0.9]), frame("b", "b", [0.85, math.nan], [0.8])]
    frames += [frame("c", "c", [], [0.4])]
    found = compare(frames, frames, "same").by_class["plume"].ours
    # thresholds: above 0.9, above 0.8, above 0.4, none, none -> 1, 2, 3, 3, 3 of 4 objects
    assert RATES == (0.02, 0.05, 0.1, 0.2, 0.5)
    assert found == pytest.approx((1 + 2 + 3 + 3 + 3) / 4 / 5)


def drawn(seed: int, skill: float, shown: int = 7) -> list[FrameRecord]:
    """120 observations of one frame; objects score higher with skill; ``shown`` fixes which frames hold objects."""
    world, own = np.random.default_rng(shown), np.random.default_rng(seed)
    frames = []
    for n in range(120):
        here = int(world.integers(0, 4))
        scores = (1 / (1 + np.exp(-own.normal(skill, 1, here)))).tolist()
        false = (1 / (1 + np.exp(-own.normal(-1, 1, int(world.integers(0, 3)))))).tolist()
        frames.append(frame(f"f{n}", f"o{n}", scores, false))
    return frames


def test_a_weaker_model_is_worse_and_a_stronger_one_better() -> None:
    assert compare(drawn(1, 0.0), drawn(2, 1.5), "other").verdict == "worse"
    assert compare(drawn(1, 1.5), drawn(2, 0.0), "other").verdict == "better"


def test_the_same_skill_is_told_apart_in_about_one_of_twenty() -> None:
    verdicts = [compare(drawn(seed, 1.0), drawn(seed + 500, 1.0), "other").verdict for seed in range(20)]
    assert verdicts.count("not distinguishable") >= 16


def test_against_itself_a_model_is_not_distinguishable_and_a_class_without_objects_has_no_score() -> None:
    result = compare(drawn(3, 1.0), drawn(3, 1.0), "itself")
    assert (result.whole.difference, result.whole.low, result.whole.high) == (0, 0, 0)
    assert result.verdict == "not distinguishable"
    assert math.isnan(result.by_class["hotspot"].ours)
    assert result.by_class["hotspot"].verdict == "not distinguishable"


def test_swapping_the_models_turns_the_sign() -> None:
    one, other = compare(drawn(1, 0.3), drawn(2, 0.9), "b"), compare(drawn(2, 0.9), drawn(1, 0.3), "a")
    assert one.whole.difference == pytest.approx(-other.whole.difference)
    assert (one.whole.low, one.whole.high) == pytest.approx((-other.whole.high, -other.whole.low))


def test_frames_must_be_the_same_and_labelled() -> None:
    frames = drawn(1, 1.0)
    with pytest.raises(InputError, match="same labelled frames"):
        compare(frames, frames[1:], "other")
    with pytest.raises(InputError, match="same labelled frames"):
        compare([replace(frames[0], labelled=False)], [replace(frames[0], labelled=False)], "other")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "better"), (-0.2, -0.01, "worse"), (-0.1, 0.1, "not distinguishable"), (0, 0.1, "not distinguishable"),
     (math.nan, math.nan, "not distinguishable")],
)  # fmt: skip
def test_the_rule(low: float, high: float, verdict: str) -> None:
    assert Difference(0.5, 0.4, 0.1, low, high).verdict == verdict
