"""From finds to figures, on frames whose every count is known beforehand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("photutils", reason="the extra `bench` is not installed")

from detector.card import ModelCard, Threshold
from training.metrics import half_completeness
from training.power.comparison import MODEL, Record, Steps, best_settings, compare, half_point, rates_of
from training.power.finds import Entrant, FindRecord, FrameFinds, TruthRecord, key_of
from training.power.page import lines, render
from training.rivals import RIVALS


def truth(snr: float, kind: str = "hotspot", trials: float = 100.0) -> TruthRecord:
    return TruthRecord(kind, f"{snr}", "", snr, snr < 5, 4, trials)


def find(score: float, *pairs: tuple[int, float], judged: bool = True) -> FindRecord:
    return FindRecord(score, 0.0, 0.0, 4, judged, pairs)


def frame(name: str, truths: tuple[TruthRecord, ...] = (), instrument: str = "ssi", **finds: tuple) -> FrameFinds:
    """``model=`` finds of hot spots by the model, ``sep=`` by that rival; everybody else finds nothing."""
    nothing = {key_of(one, kind): () for kind in RIVALS for one in (MODEL, *everyone(kind))}
    named = {
        key_of(MODEL if who == "model" else Entrant("hotspot", who), "hotspot"): some for who, some in finds.items()
    }
    return FrameFinds(name, f"o-{name}", instrument, "", "right", truths, nothing | named)


def everyone(kind: str) -> list[Entrant]:
    return [Entrant(kind, name) for name in RIVALS[kind]]


SOME = (
    # a find, a false alarm above it, and another one on the same object
    frame("a", (truth(20), truth(8)), model=(find(9), find(8, (0, 0.5)), find(7, (0, 0.4)), find(2, (1, 0.3))),
          sep=(find(6, (0, 0.5)),)),
    # a faint object only: what is found of it counts neither way
    frame("b", (truth(3),), model=(find(5, (0, 0.9)),), sep=(find(3),)),
    # nothing to find; one false alarm, one where nobody judged
    frame("c", (), "jiram", model=(find(4), find(8.5, judged=False)), sep=(find(9), find(1))),
)  # fmt: skip


def test_steps_follow_the_threshold():
    a = SOME[0]
    steps = Steps.of(a.truths, [0, 1], a.finds[key_of(MODEL, "hotspot")])
    assert steps.score.tolist() == [9, 8, 7, 2]
    assert steps.found.tolist() == [[False, False], [True, False], [True, False], [True, True]]
    assert steps.false.tolist() == [1, 1, 2, 2]
    assert steps.at(math.inf)[1] == 0
    assert steps.at(8)[0].tolist() == [True, False]


def test_ties_come_in_together():
    steps = Steps.of([truth(9)], [0], (find(3, (0, 0.2)), find(3), find(3)))
    assert (steps.score.tolist(), steps.false.tolist(), steps.found.tolist()) == ([3], [2], [[True]])


def test_a_threshold_keeps_to_its_budget_and_goes_no_higher_than_it_must():
    record = Record.of(SOME, MODEL, "hotspot")
    assert record.at(-math.inf)[1].tolist() == [2, 0, 1]
    assert record.cut_for(1.0) == -math.inf
    for rate, total in ((0.99, 2), (0.34, 1), (0.3, 0)):
        cut = record.cut_for(rate)
        assert record.at(cut)[1].sum() == total
        assert record.at(np.nextafter(cut, -math.inf))[1].sum() == total + 1


def test_recall_at_a_rate_is_that_of_the_curve_and_a_double_weight_is_a_second_copy():
    record = Record.of(SOME, MODEL, "hotspot")
    assert record.recall_at(1 / 3, np.ones((1, 3))) == pytest.approx([0.5])
    assert record.recall_at(0.9, np.ones((1, 3))) == pytest.approx([0.5])
    assert record.recall_at(1.0, np.ones((1, 3))) == pytest.approx([1.0])
    twice = Record.of((*SOME, SOME[0]), MODEL, "hotspot")
    for rate in (0.1, 0.5, 0.8, 1.0, 2.0):
        assert record.recall_at(rate, np.array([[2.0, 1, 1]])) == pytest.approx(twice.recall_at(rate, np.ones((1, 3))))


@pytest.mark.parametrize("seed", range(8))
def test_half_is_where_the_metrics_have_it_and_weights_are_copies(seed):
    rng = np.random.default_rng(seed)
    snr = rng.uniform(1, 40, 60)
    found = rng.random(60) < 1 / (1 + np.exp(-(snr - 15) / 4))
    assert half_point(snr, found) == pytest.approx(half_completeness(snr, found))
    weight = rng.integers(0, 3, 60).astype(float)
    copies = np.repeat(np.arange(60), weight.astype(int))
    assert half_point(snr, found, weight) == pytest.approx(half_point(snr[copies], found[copies]))


def test_half_has_an_answer_at_either_end():
    snr = np.array([3.0, 9.0])
    assert half_point(snr, np.array([False, False])) == math.inf
    assert half_point(snr, np.array([True, True])) == pytest.approx(3.0)
    assert math.isnan(half_point(np.zeros(0), np.zeros(0, bool)))


CARD = ModelCard(
    name="m",
    version="1",
    operating_points={
        point: {kind: Threshold(seed=0.5, grow=0.1, min_area_px=1) for kind in RIVALS}
        for point in ("screening", "confident")
    },
)
ABOUT = {"model": {"name": "m", "version": "1", "sha256": ""}, "test": {"frames": 3}, "tuning": {"frames": 3}}


def test_the_model_sets_the_budgets_at_least_one_false_alarm():
    rates = rates_of(SOME, CARD)
    assert rates["hotspot"] == {"screening": 1.0, "confident": 1.0, "0.1 a frame": 0.1}
    assert rates["plume"]["confident"] == pytest.approx(1 / 3)


def test_figures_by_hand():
    judged = compare(SOME, SOME, [*everyone("plume"), *everyone("hotspot")], rates_of(SOME, CARD), ABOUT)
    one = judged.classes["hotspot"]
    assert (one.objects, one.faint, judged.observations, judged.frames) == (2, 1, 3, {"jiram": 1, "ssi": 2})
    screening = one.budgets[0]
    scores = {scores.name: scores for scores in screening.finders}
    assert (scores["model"].recall.part, scores["model"].recall.whole) == (2, 2)
    assert scores["model"].false_per_frame.value == pytest.approx(1.0)
    assert (scores["sep"].recall.part, scores["sep"].false_per_frame.part) == (1, 3)
    assert scores["sep"].by_instrument["jiram"][1].part == 2
    gains = {versus.rival: versus for versus in screening.against}
    assert gains["sep"].recall_gain.value == pytest.approx(0.5)
    assert gains["LoG"].recall_gain.value == pytest.approx(1.0)
    assert gains["LoG"].half_ratio.value == math.inf
    tenth = one.budgets[-1]
    assert tenth.finders[0].recall.part == 0  # its surest find is false
    assert 4 < tenth.ceiling.trials < 101
    assert tenth.ceiling.half_snr == pytest.approx(3.09, abs=0.01)  # 0.1 of 100 places: one in a thousand


def test_who_is_compared_with_himself_gains_nothing():
    other = key_of(Entrant("hotspot", "sep"), "hotspot")
    twin = [replace(one, finds={**one.finds, other: one.finds[key_of(MODEL, "hotspot")]}) for one in SOME]
    judged = compare(twin, twin, everyone("hotspot"), rates_of(twin, CARD), ABOUT)
    for budget in judged.classes["hotspot"].budgets:
        (versus,) = [one for one in budget.against if one.rival == "sep"]
        for gain in (versus.recall_gain, versus.recall_gain_at_rate):
            assert (gain.value, gain.low, gain.high) == (0, 0, 0)


@pytest.mark.parametrize("frames", [SOME[2:], (frame("e"), frame("f"))], ids=["no object", "nothing found either"])
def test_frames_without_objects_have_a_page_too(frames):
    judged = compare(frames, frames, [*everyone("plume"), *everyone("hotspot")], rates_of(frames, CARD), ABOUT)
    assert math.isnan(judged.classes["plume"].budgets[0].ceiling.recall)
    assert "0 to find" in render(judged)
    assert any("plumes, confident" in line for line in lines(judged))


def test_the_settings_that_find_most_are_chosen():
    key = str(Entrant("hotspot", "sep", 2))
    blind = {str(Entrant(kind, name, n)): () for kind, all_ in RIVALS.items() for name, some in all_.items()
             for n in range(len(some))}  # fmt: skip
    seen = replace(SOME[0], finds=blind | {key: (find(6, (0, 0.5)),)})
    chosen = best_settings([seen], {kind: {"confident": 1.0} for kind in RIVALS})
    assert Entrant("hotspot", "sep", 2) in chosen
    assert Entrant("hotspot", "LoG", 0) in chosen
