"""Metrics against hand counts, closed forms and independent libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, precision_score, recall_score

from detector.regions import Region
from training.labels import Truth
from training.metrics import (
    FALSE_ALARM,
    IGNORED,
    Interval,
    Tally,
    average_precision,
    bootstrap_ratio,
    centroid,
    froc,
    half_completeness,
    match_objects,
    object_iou,
    pixel_tally,
    recall_by_snr,
    reliability,
    share_interval,
    wilson,
)

SHAPE = (20, 30)
COUNTS = st.integers(0, 1000)
PLANES = st.tuples(*[hnp.arrays(bool, (7, 9)) for _ in range(3)])


def box(rows: slice, columns: slice) -> np.ndarray:
    plane = np.zeros(SHAPE, bool)
    plane[rows, columns] = True
    return plane


def truth(rows: slice, columns: slice, kind: str = "plume", snr: float = 20.0) -> Truth:
    return Truth.cut(f"{kind}-{rows}-{columns}", kind, box(rows, columns), snr_mf=snr)


def region(rows: slice, columns: slice, kind: str = "plume", score: float = 0.9) -> Region:
    pixels = np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
    return Region(kind, score, columns.start, rows.start, pixels)


def match(truths: list[Truth], regions: list[Region], scores: np.ndarray | None = None):
    return match_objects(truths, regions, np.full((2, *SHAPE), 0.9, np.float32) if scores is None else scores)


# ------------------------------------------------------------------------------------------------------------- tally


def test_hand_counted_tally():
    tally = Tally(tp=6, fp=2, fn=4)
    assert tally.precision == 6 / 8
    assert tally.recall == 6 / 10
    assert tally.f1 == 12 / 18
    assert tally.iou == 6 / 12


def test_nothing_to_be_wrong_about_is_one_and_claiming_nothing_finds_nothing():
    nothing = Tally()
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.iou) == (1, 1, 1, 1)
    silent = Tally(fn=3)
    assert (silent.precision, silent.recall, silent.f1, silent.iou) == (1, 0, 0, 0)
    noisy = Tally(fp=3)
    assert (noisy.precision, noisy.recall, noisy.f1, noisy.iou) == (0, 1, 0, 0)


@given(*[COUNTS] * 6)
def test_tallies_add_like_their_counts(a, b, c, d, e, f):
    assert Tally(a, b, c) + Tally(d, e, f) == Tally(a + d, b + e, c + f)


@given(PLANES, PLANES)
def test_sum_of_tallies_is_tally_of_the_concatenation(one, other):
    together = pixel_tally(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))
    assert pixel_tally(*one) + pixel_tally(*other) == together


def test_pixel_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    predicted, true, known = rng.random((3, 40, 50)) > 0.6
    tally = pixel_tally(predicted, true, known)
    pair = (true[known], predicted[known])
    assert tally.precision == pytest.approx(precision_score(*pair))
    assert tally.recall == pytest.approx(recall_score(*pair))
    assert tally.f1 == pytest.approx(f1_score(*pair))
    assert tally.iou == pytest.approx(jaccard_score(*pair))


# ---------------------------------------------------------------------------------------------------------- matching


def test_iou_of_hand_counted_boxes():
    # 4 x 4 and 4 x 4, sharing 2 x 4 = 8 of 24 pixels
    assert object_iou(truth(slice(2, 6), slice(2, 6)), region(slice(4, 8), slice(2, 6))) == 8 / 24
    assert object_iou(truth(slice(2, 6), slice(2, 6)), region(slice(6, 8), slice(2, 6))) == 0
    assert object_iou(truth(slice(2, 6), slice(2, 6)), region(slice(2, 6), slice(2, 6))) == 1


@given(hnp.arrays(bool, SHAPE), hnp.arrays(bool, SHAPE))
def test_iou_agrees_with_whole_planes(one, other):
    if not (one.any() and other.any()):
        return
    cut = Truth.cut("x", "plume", other)
    found = Region("plume", 0.9, cut.x0_px, cut.y0_px, cut.patch)
    assert object_iou(Truth.cut("y", "plume", one), found) == pytest.approx((one & other).sum() / (one | other).sum())


def test_centroid_is_weighted_by_score():
    scores = np.zeros((2, *SHAPE), np.float32)
    scores[0, 5, 4:6] = 0.25, 0.75
    assert centroid(region(slice(5, 6), slice(4, 6)), scores) == (4.75, 5.0)


def test_one_found_one_missed_one_false_and_classes_apart():
    truths = [truth(slice(2, 6), slice(2, 6)), truth(slice(12, 14), slice(20, 22), "hotspot")]
    regions = [
        region(slice(3, 7), slice(2, 6)),
        region(slice(12, 14), slice(20, 22)),
    ]  # the second is of the wrong class
    result = match(truths, regions)
    assert result.of_truth == (0, -1)
    assert result.of_region == (0, FALSE_ALARM)
    assert result.tally == Tally(1, 1, 1)


def test_neighbouring_pixel_finds_a_hot_spot_and_three_pixels_away_does_not():
    spot = truth(slice(10, 11), slice(10, 11), "hotspot")
    near, far = region(slice(10, 11), slice(12, 13), "hotspot"), region(slice(10, 11), slice(13, 14), "hotspot")
    assert match([spot], [near]).tally == Tally(1, 0, 0)
    assert match([spot], [far]).tally == Tally(0, 1, 1)


def test_large_region_over_a_small_object_is_judged_by_its_iou():
    # 2 x 2 in 6 x 6: IoU 4 / 36 = 0.11 is enough; in 7 x 7: 4 / 49 = 0.08 is not, and the centroid is far away
    corner = truth(slice(0, 2), slice(0, 2))
    assert match([corner], [region(slice(0, 6), slice(0, 6))]).tally == Tally(1, 0, 0)
    assert match([corner], [region(slice(0, 7), slice(0, 7))]).tally == Tally(0, 1, 1)


def test_assignment_finds_as_many_objects_as_possible():
    # Region 0 fits both objects, region 1 only the left: the best single IoU would leave one object without.
    left, right = truth(slice(5, 9), slice(2, 8)), truth(slice(5, 9), slice(8, 14))
    both, only_left = region(slice(5, 9), slice(2, 13)), region(slice(5, 9), slice(2, 4))
    result = match([left, right], [both, only_left])
    assert result.of_truth == (1, 0)
    assert result.tally == Tally(2, 0, 0)


def test_second_region_on_one_object_is_a_false_alarm():
    plume = truth(slice(2, 10), slice(2, 10))
    result = match([plume], [region(slice(2, 10), slice(2, 6)), region(slice(2, 10), slice(7, 10))])
    assert result.tally == Tally(1, 1, 0)
    assert result.of_truth == (0,)  # the larger overlap


def test_faint_objects_are_neither_demanded_nor_punished():
    faint, strong = truth(slice(2, 6), slice(2, 6), snr=4.9), truth(slice(2, 6), slice(20, 24), snr=5.0)
    on_faint, nowhere = region(slice(2, 6), slice(2, 6)), region(slice(15, 17), slice(10, 12))
    result = match([faint, strong], [on_faint, nowhere])
    assert result.of_region == (IGNORED, FALSE_ALARM)
    assert result.of_truth == (0, -1)
    assert result.tally == Tally(0, 1, 1)


def test_region_on_a_faint_and_a_strong_object_belongs_to_the_strong():
    faint, strong = truth(slice(2, 6), slice(2, 6), snr=1.0), truth(slice(2, 6), slice(6, 10))
    result = match([faint, strong], [region(slice(2, 6), slice(2, 10))])
    assert result.of_region == (1,)
    assert result.tally == Tally(1, 0, 0)


def test_object_of_unknown_strength_is_demanded():
    assert match([truth(slice(2, 6), slice(2, 6), snr=math.nan)], []).tally == Tally(0, 0, 1)


def test_object_without_pixels_stands_at_its_position():
    spot = Truth("h", "hotspot", snr_mf=9.0, x_px=10.0, y_px=11.5)
    assert match([spot], [region(slice(11, 12), slice(10, 11), "hotspot")]).tally == Tally(1, 0, 0)
    lost = Truth("h", "hotspot", snr_mf=9.0)
    assert match([lost], [region(slice(11, 12), slice(10, 11), "hotspot")]).tally == Tally(0, 1, 1)


def test_nothing_against_nothing():
    assert match([], []).tally == Tally()
    assert match([], [region(slice(1, 3), slice(1, 3))]).tally == Tally(0, 1, 0)


boxes = st.builds(
    lambda y, x, h, w: (slice(y, y + h), slice(x, x + w)),
    st.integers(0, 14), st.integers(0, 24), st.integers(1, 5), st.integers(1, 5),
)  # fmt: skip


@given(st.lists(st.tuples(boxes, st.floats(0, 50)), max_size=5), st.lists(boxes, max_size=5))
def test_matching_keeps_its_books(objects, found):
    truths = [truth(*place, snr=snr) for place, snr in objects]
    regions = [region(*place) for place in found]
    result = match(truths, regions)
    demanded = [i for i, one in enumerate(truths) if not one.faint]
    assert result.tally.tp + result.tally.fn == len(demanded)
    owned = sum(owner in demanded for owner in result.of_region)
    assert owned == result.tally.tp
    assert owned + result.tally.fp + result.of_region.count(IGNORED) == len(regions)
    partners = [partner for partner in result.of_truth if partner >= 0]
    assert len(partners) == len(set(partners))


# --------------------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (83, 100), (1, 1)])
def test_wilson_agrees_with_scipy(successes, trials):
    theirs = binomtest(successes, trials).proportion_ci(method="wilson")
    ours = wilson(successes, trials)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_no_trial_has_no_interval():
    assert math.isnan(wilson(0, 0).low)
    assert math.isnan(bootstrap_ratio([], []).low)
    assert math.isnan(bootstrap_ratio([1], [2]).low)
    assert math.isnan(bootstrap_ratio([0, 0], [0, 0]).low)


def test_bootstrap_is_seeded_and_near_the_closed_form_for_independent_trials():
    rng = np.random.default_rng(3)
    hits = (rng.random(400) < 0.3).astype(int)
    interval = bootstrap_ratio(hits, np.ones(400), seed=5)
    assert interval == bootstrap_ratio(hits, np.ones(400), seed=5)
    share = hits.mean()
    half = 1.96 * math.sqrt(share * (1 - share) / 400)
    assert interval.low == pytest.approx(share - half, abs=0.01)
    assert interval.high == pytest.approx(share + half, abs=0.01)


def test_frames_of_one_observation_do_not_count_as_independent():
    # 20 observations of 20 frames, all frames of one alike: the interval must be that of 20 trials, not of 400.
    hits = np.array([0, 1] * 10)
    apart = bootstrap_ratio(np.repeat(hits, 20), np.ones(400))
    together = bootstrap_ratio(20 * hits, np.full(20, 20))
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_all_found_does_not_mean_certainty():
    assert share_interval([2, 3], [2, 3]) == wilson(5, 5)
    assert share_interval([5], [8]) == wilson(5, 8)
    assert share_interval([0, 1, 2], [2, 2, 2]) != wilson(3, 6)
    assert isinstance(share_interval([], []), Interval)


# ------------------------------------------------------------------------------------------------------------ curves


def test_recall_in_bins_by_hand():
    snr = np.array([1.0, 5.0, 6.9, 7.0, 500.0, math.nan])
    found = np.array([False, True, False, True, True, True])
    bins = {(one.low, one.high): (one.total, one.found) for one in recall_by_snr(snr, found)}
    assert bins[0, 3] == (1, 0)
    assert bins[5, 7] == (2, 1)
    assert bins[7, 10] == (1, 1)
    assert bins[100, math.inf] == (1, 1)
    assert sum(total for total, _ in bins.values()) == 5


def test_half_completeness_of_a_step_and_of_a_logistic():
    snr = np.array([1.0, 2.0, 4.0, 16.0, 32.0])
    assert half_completeness(snr, snr > 5) == pytest.approx(8.0)  # the geometric middle of 4 and 16
    rng = np.random.default_rng(2)
    strength = 10 ** rng.uniform(0, 2, 20_000)
    found = rng.random(20_000) < 1 / (1 + (strength / 12.0) ** -4)
    assert half_completeness(strength, found) == pytest.approx(12.0, rel=0.06)  # converges as n^(-1/3)


def test_half_completeness_is_not_invented():
    snr = np.array([1.0, 2.0, 4.0])
    assert math.isnan(half_completeness(snr, np.array([True] * 3)))
    assert math.isnan(half_completeness(snr, np.array([False] * 3)))
    assert math.isnan(half_completeness(np.array([]), np.array([], bool)))


def test_froc_by_hand():
    curve = froc(np.array([0.9, 0.6]), np.array([0.8, 0.6]), objects=4, frames=10)
    assert curve.threshold.tolist() == [0.9, 0.8, 0.6]
    assert curve.recall.tolist() == [0.25, 0.25, 0.5]
    assert curve.false_per_frame.tolist() == [0.0, 0.1, 0.2]


def test_average_precision_agrees_with_scikit_learn():
    rng = np.random.default_rng(4)
    true, false = np.round(rng.beta(4, 2, 60), 2), np.round(rng.beta(2, 3, 40), 2)
    labels = np.r_[np.ones(60), np.zeros(40)]
    assert average_precision(true, false, 60) == pytest.approx(average_precision_score(labels, np.r_[true, false]))


def test_average_precision_by_hand():
    # ranks: true, false, true; 4 objects: 1/4 * 1 + 1/4 * 2/3
    assert average_precision(np.array([0.9, 0.5]), np.array([0.7]), 4) == pytest.approx(0.25 + 0.25 * 2 / 3)
    assert average_precision(np.array([]), np.array([0.7]), 4) == 0
    assert math.isnan(average_precision(np.array([]), np.array([0.7]), 0))


def test_calibration_error_by_hand():
    # bin 0.9: two regions of 0.95, one true: |0.95 - 0.5| = 0.45; bin 0.2: one of 0.25, false: 0.25
    result = reliability(np.array([0.95, 0.95, 0.25]), np.array([True, False, False]))
    assert result.ece == pytest.approx((2 * 0.45 + 0.25) / 3)
    assert result.count.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 2]
    assert reliability(np.array([1.0]), np.array([True])).ece == 0
    assert math.isnan(reliability(np.array([]), np.array([], bool)).ece)


def test_chance_alone_shows_an_error_on_few_regions():
    # one region of 0.5: |0.5 - 0| or |0.5 - 1|, whichever it is
    assert reliability(np.array([0.5]), np.array([True])).ece_by_chance == 0.5
    # sixteen of 0.5: mean |binomial(16, 1/2) / 16 - 1/2| = 16 * C(15, 8) / 2 ** 16 / 16
    sixteen = reliability(np.full(16, 0.5), np.ones(16, bool))
    assert sixteen.ece_by_chance == pytest.approx(6435 / 65536, rel=0.1)
    assert math.isnan(reliability(np.array([]), np.array([], bool)).ece_by_chance)


def test_honest_scores_have_a_small_calibration_error():
    rng = np.random.default_rng(6)
    scores = rng.random(20_000)
    assert reliability(scores, rng.random(20_000) < scores).ece < 0.02
    assert reliability(scores, rng.random(20_000) < scores**3).ece > 0.15
