"""Regions: hand-counted planes, the limb's rules, and what must hold for any scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector.card import Threshold
from detector.frame import CLASSES
from detector.limb import GUESS, Limb
from detector.regions import TOP_PIXELS, azimuth_deg, find_regions, labels_of, mask_of, span_deg

NO_LIMB = Limb.none("none in this test")
EASY = {kind: Threshold(seed=0.7, grow=0.4, min_area_px=1) for kind in ("plume", "hotspot")}
nan = np.nan


def planes(plume: list[list[float]], hotspot: list[list[float]] | None = None) -> np.ndarray:
    first = np.array(plume, np.float32)
    return np.stack([first, np.zeros_like(first) if hotspot is None else np.array(hotspot, np.float32)])


def test_a_region_needs_a_seed_and_grows_down_to_the_lower_threshold() -> None:
    scores = planes([
        [0.5, 0.8, 0.0, 0.0, 0.5],
        [0.3, 0.4, 0.0, 0.0, 0.6],
        [0.0, 0.0, 0.9, 0.0, 0.0],
    ])
    (region,) = find_regions(scores, EASY, NO_LIMB)
    assert (region.x0, region.y0, region.area_px) == (0, 0, 4)
    assert region.pixels.tolist() == [[True, True, False], [False, True, False], [False, False, True]]
    assert region.score == pytest.approx((0.5 + 0.8 + 0.4 + 0.9) / 4)


def test_unknown_pixels_part_two_regions() -> None:
    scores = planes([[0.9, 0.9, nan, 0.8]])
    first, second = find_regions(scores, EASY, NO_LIMB)
    assert (first.x0, first.area_px, second.x0, second.area_px) == (0, 2, 3, 1)


def test_small_regions_are_left_out() -> None:
    scores = planes([[0.9, 0.9, 0.0, 0.9, 0.9, 0.9]])
    limits = EASY | {"plume": Threshold(seed=0.7, grow=0.4, min_area_px=3)}
    assert [region.x0 for region in find_regions(scores, limits, NO_LIMB)] == [3]


def test_the_score_is_the_mean_of_the_most_probable_pixels() -> None:
    values = np.linspace(0.41, 0.95, 30, dtype=np.float32)
    (region,) = find_regions(np.stack([values[None], np.zeros((1, 30), np.float32)]), EASY, NO_LIMB)
    assert region.score == pytest.approx(float(values[-TOP_PIXELS:].mean()), abs=1e-6)


def test_plumes_come_before_hot_spots_and_the_most_certain_first() -> None:
    scores = planes([[0.8, 0.0, 0.0, 0.9]], [[0.0, 0.99, 0.0, 0.99]])
    found = find_regions(scores, EASY, NO_LIMB)
    assert [(region.kind, region.x0) for region in found] == [
        ("plume", 3), ("plume", 0), ("hotspot", 1), ("hotspot", 3),
    ]
    assert labels_of(found, (1, 4)).tolist() == [[[2, 0, 0, 1]], [[0, 3, 0, 4]]]
    mask = mask_of(found, np.ones((1, 4), bool))
    assert mask.plume.tolist() == [[True, False, False, True]]
    assert mask.hotspot.tolist() == [[False, True, False, True]]


LIMB = Limb(60.0, 60.0, 40.0, 0.2)
Y, X = np.mgrid[:121, :121].astype(float)
ALTITUDE = np.hypot(X - 60, Y - 60) - 40
AZIMUTH = azimuth_deg(X, Y, LIMB)


def drawn(where: np.ndarray, kind: int) -> np.ndarray:
    scores = np.zeros((2, 121, 121), np.float32)
    scores[kind][where] = 0.9
    return scores


def test_azimuth_grows_clockwise_from_the_top() -> None:
    x, y = np.array([60.0, 100.0, 60.0, 20.0]), np.array([20.0, 60.0, 100.0, 60.0])
    assert azimuth_deg(x, y, LIMB) == pytest.approx([0, 90, 180, 270])


@pytest.mark.parametrize(("lowest", "kept"), [(0, True), (2.5, True), (4.5, False)])
def test_a_plume_must_touch_the_limb(lowest: float, kept: bool) -> None:
    stem = (lowest <= ALTITUDE) & (ALTITUDE < 12) & (np.abs(X - 60) < 5) & (Y < 60)
    assert len(find_regions(drawn(stem, 0), EASY, LIMB)) == kept


@pytest.mark.parametrize(("highest", "at_a_guess"), [(-12, False), (-6, False), (-1, True)])
def test_a_plume_may_lie_wholly_on_the_disk_of_a_trusted_limb(highest: float, at_a_guess: bool) -> None:
    patch = (highest - 5 <= ALTITUDE) & (highest >= ALTITUDE) & (np.abs(X - 60) < 5) & (Y < 60)
    guess = replace(LIMB, source=GUESS)
    assert len(find_regions(drawn(patch, 0), EASY, LIMB)) == 1
    assert len(find_regions(drawn(patch, 0), EASY, Limb.none("doubted in this test", guess))) == at_a_guess


@pytest.mark.parametrize(("span", "kept"), [(80, True), (105, True), (115, False), (360, False)])
def test_a_plume_must_not_run_around_the_limb(span: float, kept: bool) -> None:
    arc = (np.abs(ALTITUDE - 3) <= 3) & (np.abs((AZIMUTH + 180) % 360 - 180) <= span / 2)
    assert len(find_regions(drawn(arc, 0), EASY, LIMB)) == kept


@pytest.mark.parametrize(("x", "kept"), [(60, True), (100, True), (102, True), (104, False), (115, False)])
def test_a_hot_spot_must_lie_on_the_disk(x: int, kept: bool) -> None:
    assert len(find_regions(drawn((x == X) & (Y == 60), 1), EASY, LIMB)) == kept


def test_a_plume_must_touch_the_guess_and_a_hot_spot_need_not() -> None:
    doubted = Limb.none("doubted in this test", replace(LIMB, source=GUESS))
    far = (X == 115) & (Y == 60)
    at_it = (ALTITUDE >= 0) & (ALTITUDE < 12) & (np.abs(X - 60) < 5) & (Y < 60)
    assert len(find_regions(drawn(at_it, 0), EASY, doubted)) == 1
    assert len(find_regions(drawn(far, 0), EASY, doubted)) == 0
    assert len(find_regions(drawn(far, 1), EASY, doubted)) == 1


def test_without_a_limb_everything_may_lie_anywhere() -> None:
    assert len(find_regions(drawn((X == 115) & (Y == 60), 1), EASY, NO_LIMB)) == 1
    assert len(find_regions(drawn(np.abs(ALTITUDE - 3) <= 3, 0), EASY, NO_LIMB)) == 1


def test_an_uncertain_circle_widens_the_zone() -> None:
    vague = Limb(60.0, 60.0, 40.0, 4.0)
    stem = (ALTITUDE >= 5) & (ALTITUDE < 12) & (np.abs(X - 60) < 5) & (Y < 60)
    assert not find_regions(drawn(stem, 0), EASY, LIMB)
    assert len(find_regions(drawn(stem, 0), EASY, vague)) == 1


@pytest.mark.parametrize(
    ("azimuths", "span"), [([10.0], 0), ([350.0, 10.0, 0.0], 20), ([0.0, 90.0, 180.0, 270.0], 270)]
)
def test_span_is_the_shortest_arc(azimuths: list[float], span: float) -> None:
    assert span_deg(np.array(azimuths)) == pytest.approx(span)


scores_with_gaps = arrays(
    np.float32, st.tuples(st.just(2), st.integers(1, 9), st.integers(1, 9)),
    elements=st.one_of(st.just(np.float32(np.nan)), st.floats(0, 1, width=16).map(np.float32)),
)


@settings(max_examples=80, deadline=None)
@given(scores_with_gaps)
def test_regions_are_exactly_what_a_flood_from_the_seeds_reaches(scores: np.ndarray) -> None:
    found = find_regions(scores, EASY, NO_LIMB)
    for region in found:
        inside = scores[CLASSES.index(region.kind)][region.box][region.pixels]
        assert not np.isnan(inside).any()
        assert inside.min() >= np.float32(0.4)
        assert inside.max() >= np.float32(0.7)
        assert 0 <= region.score <= 1
        pixels = region.pixels
        assert all(side.any() for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    labels = labels_of(found, scores.shape[1:])
    assert np.array_equal(labels > 0, np.stack([flooded(plane) for plane in scores]))
    assert sum(region.area_px for region in found) == np.count_nonzero(labels)
    assert len(np.unique(labels[labels > 0])) == len(found)


def flooded(plane: np.ndarray) -> np.ndarray:
    """Pixels reached from the seeds, by walking."""
    reached = np.zeros(plane.shape, bool)
    todo = [tuple(p) for p in np.argwhere(plane >= 0.7)]
    while todo:
        row, column = todo.pop()
        inside = 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]
        if inside and not reached[row, column] and plane[row, column] >= 0.4:
            reached[row, column] = True
            todo += [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return reached
