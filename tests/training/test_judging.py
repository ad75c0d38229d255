"""Operating points counted by hand; the judge's trees against scikit-learn's own answer."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.card import OPERATING_POINTS
from detector.frame import CLASSES
from detector.judge import FEATURES
from training.judging import (
    FALSE_ALARMS,
    LEAST_SCORE,
    Candidate,
    _counts,
    _forest,
    draws_of,
    every_region,
    fit_judge,
    judging_draws,
    lowest_score,
)
from training.simulate.recipe import Recipe

FALSE = (0.9, 0.8, 0.7, 0.4)


@pytest.mark.parametrize(
    ("false", "allowed", "expected"),
    [
        ((), 0, LEAST_SCORE),  # nothing is false: the least will do
        (FALSE, 4, LEAST_SCORE),  # as many as allowed
        (FALSE, 3.9, 0.4),
        (FALSE, 1, 0.8),
        (FALSE, 0.5, 0.9),  # half a false alarm is none
        ((0.9, 0.8, 0.8, 0.8), 2, 0.8),  # of equals all go
        ((0.01, 0.001), 1, LEAST_SCORE),  # never below the least
    ],
)
def test_the_lowest_score_counted_by_hand(false: tuple[float, ...], allowed: float, expected: float) -> None:
    score = lowest_score(false, allowed)
    assert score == pytest.approx(expected, abs=1e-9)
    if expected != LEAST_SCORE:
        assert score > expected  # that one no longer passes


@given(st.lists(st.floats(0, 0.999), max_size=40), st.floats(0, 20))
def test_no_more_false_alarms_than_allowed(false: list[float], allowed: float) -> None:
    score = lowest_score(false, allowed)
    assert LEAST_SCORE <= score <= 1
    assert sum(one >= score for one in false) <= allowed


def test_usual_frames_come_first_and_every_camera_in_its_turn() -> None:
    draws = judging_draws(7, 60)
    assert [draw.number for draw in draws] == list(range(1, 64))
    usual, large = draws[:60], draws[60:]
    assert [draw.camera for draw in usual[:6]] == ["ssi", "junocam", "jiram", "sru", "picture", "ssi"]
    assert [draw.turn for draw in usual] == [index // 5 for index in range(60)]
    assert len(large) == 3
    assert {draw.seed for draw in usual}.isdisjoint(draw.seed for draw in large)
    assert min(draw.recipe.radius_px[0] for draw in large) == 500
    first = draws_of(("ssi",), Recipe(), 3, 1)[0]
    assert np.array_equal(first.sample().frame.image, first.sample().frame.image)


def test_every_region_is_kept_while_there_are_no_points() -> None:
    assert set(FALSE_ALARMS) == set(OPERATING_POINTS)
    assert set(every_region()) == set(CLASSES)
    assert all(t.seed == t.grow and t.score == 0 for t in every_region().values())


def drawn(seed: int, number: int = 400) -> list[Candidate]:
    """Hot spots whose truth hangs on two features together; plumes too few to judge."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(number, len(FEATURES)))
    true = (rows[:, 0] > 0) ^ (rows[:, 5] > 0.3)
    snr_mf = np.where(true, 9.0, math.nan)
    spots = [Candidate(n // 4, "hotspot", 0.5, rows[n], float(snr_mf[n])) for n in range(number)]
    return [*spots, Candidate(0, "plume", 0.7, rows[0], 9.0), Candidate(1, "plume", 0.6, rows[1])]


def test_the_trees_say_what_scikit_learn_says() -> None:
    candidates = drawn(3)
    judge, _ = fit_judge(candidates)
    spots = [c for c in candidates if c.kind == "hotspot"]
    rows = np.array([c.features for c in spots])
    theirs = _forest("hotspot").fit(rows, [c.true for c in spots]).predict_proba(rows)[:, 1]
    np.testing.assert_allclose(judge.probability("hotspot", rows), theirs, atol=1e-6)


def test_what_a_frame_taught_does_not_judge_it() -> None:
    """Out-of-frame scores tell true from false on drawn rules, and nothing at all where truth is a coin's toss."""
    rng = np.random.default_rng(1)
    candidates = drawn(4)
    _, scores = fit_judge(candidates)
    true = np.array([c.true for c in candidates])
    spots = np.array([c.kind == "hotspot" for c in candidates])
    assert np.median(scores[spots & true]) > np.median(scores[spots & ~true]) + 0.3
    tossed = [replace(c, snr_mf=9.0 if rng.integers(2) else math.nan) for c in candidates]
    _, blind = fit_judge(tossed)
    heads = np.array([c.true for c in tossed])
    assert abs(np.median(blind[spots & heads]) - np.median(blind[spots & ~heads])) < 0.1


def test_a_class_with_too_few_candidates_keeps_the_network_s_score() -> None:
    candidates = drawn(5)
    judge, scores = fit_judge(candidates)
    assert set(judge.trees) == {"hotspot"}
    assert scores[-2:].tolist() == [0.7, 0.6]


def test_what_a_threshold_keeps_counted_by_hand() -> None:
    row = np.zeros(len(FEATURES))
    candidates = [
        Candidate(0, "plume", 0, row, 40.0), Candidate(0, "plume", 0, row, 20.0), Candidate(1, "plume", 0, row, 5.0),
        Candidate(1, "plume", 0, row), Candidate(2, "hotspot", 0, row, 90.0),
    ]  # fmt: skip
    counts = _counts(candidates, np.array([0.9, 0.6, 0.2, 0.7, 0.9]), "plume", 0.5, [40.0, 20.0, 5.0, 10.0])
    assert counts == {"found": 2, "false": 1, "half_found_snr_mf": pytest.approx(math.sqrt(10 * 20), abs=0.1)}
