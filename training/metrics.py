"""Every number that judges a detector, once: first counts, then scores that are pure functions of counts.

What counts as found
--------------------
A predicted region and a true object of the same class are a *pair* when their pixels' IoU is at least 0.1, or when the
region's score-weighted centroid lies within 2 px of a true pixel's centre. (A hot spot is one to ten pixels wide: an
IoU alone would call a neighbouring pixel a miss; a plume's outline is soft, so the IoU asked for is small.) Regions and
objects are paired one to one so that as many objects as possible are found, then so that the sum of IoUs is largest.

* An object with a region is a true positive, one without is a false negative, a region without an object is a false
  positive. Two regions on one plume are one true and one false positive: a catalogue would hold two rows.
* *Faint* objects (``snr_mf`` < 5) cannot be demanded: in a tally they are neither found nor missed, and a region that
  is a pair with faint objects only is neither true nor false. Completeness curves do show whether they were found.

What 0/0 is
-----------
A score that had nothing to be wrong about is 1: precision where nothing was claimed, recall where nothing was to be
found, F1 and IoU where both. Reports show the counts beside it, so that "1.0 of nothing" is seen for what it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import chi2, norm
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import average_precision_score

from detector.frame import CLASSES
from detector.regions import Region
from training.labels import Truth

MIN_IOU = 0.1
NEAR_PX = 2.0
FALSE_ALARM, IGNORED = -1, -2
SNR_EDGES = (0.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, math.inf)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """Counts of one class; tallies add, and scores follow from the sum.

    Attributes:
        tp, fp, fn: true positives, false positives, false negatives: of pixels or of objects.

    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Share of what was claimed that is true."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of what is true that was found."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall (Dice coefficient)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard index)."""
        return ratio(self.tp, self.tp + self.fp + self.fn)


def ratio(part: float, whole: float) -> float:
    """``part / whole``, and 1 for 0/0: see the module's convention."""
    return part / whole if whole else 1.0


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; NaN where it cannot be given."""

    low: float = math.nan
    high: float = math.nan


# --------------------------------------------------------------------------------------------------------- counting


def pixel_tally(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], known: NDArray[np.bool_]) -> Tally:
    """Compare two planes of one class pixel by pixel where ``known``; all (H, W) bool."""
    return Tally(
        tp=int((predicted & truth & known).sum()),
        fp=int((predicted & ~truth & known).sum()),
        fn=int((~predicted & truth & known).sum()),
    )


@dataclass(frozen=True)
class Match:
    """Who was paired with whom on one frame.

    Attributes:
        of_truth: for each object the index of its region, or -1.
        of_region: for each region the index of its object, ``FALSE_ALARM``, or ``IGNORED`` (pairs with the faint only).
        tally: of the objects that are not faint.

    """

    of_truth: tuple[int, ...]
    of_region: tuple[int, ...]
    tally: Tally


def match_objects(truths: Sequence[Truth], regions: Sequence[Region], scores: NDArray[np.float32]) -> Match:
    """Pair the true objects and the predicted regions of one frame, one to one; see the module's rules.

    Args:
        truths: of any class; an object without pixels stands at its ``x_px, y_px``.
        regions: of any class; pairs are of one class.
        scores: (2, H, W), what the regions were found in: the weights of their centroids.

    """
    overlap, paired = pairs(truths, regions, [centroid(region, scores) for region in regions])
    return pair_up(overlap, paired, np.array([truth.faint for truth in truths], bool))


def pair_up(overlap: Floats, paired: NDArray[np.bool_], faint: NDArray[np.bool_]) -> Match:
    """Pair one to one.

    Args:
        overlap: (truths, regions) IoU.
        paired: the same shape; whether they may be a pair.
        faint: (truths,) which objects cannot be demanded.

    """
    truths, regions = overlap.shape
    of_truth = np.full(truths, -1)
    of_region = np.full(regions, FALSE_ALARM)
    for wave in (~faint, faint):  # what must be found has the first choice
        free = wave[:, None] & (of_region == FALSE_ALARM)[None, :] & paired
        for row, column in _assign(free, overlap):
            of_truth[row], of_region[column] = column, row
    demanded = np.flatnonzero(~faint)
    of_region[~np.isin(of_region, demanded) & paired[faint].any(axis=0)] = IGNORED
    found = int((of_truth[demanded] >= 0).sum())
    tally = Tally(found, int((of_region == FALSE_ALARM).sum()), len(demanded) - found)
    return Match(tuple(of_truth.tolist()), tuple(of_region.tolist()), tally)


def pairs(
    truths: Sequence[Truth], regions: Sequence[Region], centres: Sequence[tuple[float, float]]
) -> tuple[Floats, NDArray[np.bool_]]:
    """IoU and whether it is a pair, both (truths, regions); ``centres`` are (x, y) of each region in pixels."""
    overlap = np.zeros((len(truths), len(regions)))
    paired = np.zeros(overlap.shape, bool)
    for column, (region, centre) in enumerate(zip(regions, centres, strict=True)):
        for row, truth in enumerate(truths):
            if truth.kind == region.kind:
                overlap[row, column] = object_iou(truth, region)
                paired[row, column] = overlap[row, column] >= MIN_IOU or _distance_px(truth, centre) <= NEAR_PX
    return overlap, paired


def centroid(region: Region, scores: NDArray[np.float32]) -> tuple[float, float]:
    """(x, y) of a region in pixels, weighted by the scores (2, H, W) of its class."""
    x, y = region.points()
    weights = scores[CLASSES.index(region.kind)][region.box][region.pixels].astype(float)
    weights = weights if weights.sum() > 0 else np.ones_like(weights)
    return float(np.average(x, weights=weights)), float(np.average(y, weights=weights))


def object_iou(truth: Truth, region: Region) -> float:
    """Intersection over union of the pixels of an object and of a region; 0 where they do not touch."""
    (rows, columns), (height, width) = region.box, truth.patch.shape
    top, bottom = max(rows.start, truth.y0_px), min(rows.stop, truth.y0_px + height)
    left, right = max(columns.start, truth.x0_px), min(columns.stop, truth.x0_px + width)
    if top >= bottom or left >= right:
        return 0.0
    mine = truth.patch[top - truth.y0_px : bottom - truth.y0_px, left - truth.x0_px : right - truth.x0_px]
    theirs = region.pixels[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
    both = int((mine & theirs).sum())
    return both / (truth.area_px + region.area_px - both)


def _distance_px(truth: Truth, point: tuple[float, float]) -> float:
    """From a point (x, y) to the centre of the nearest pixel of an object, or to its position if it has none."""
    rows, columns = np.nonzero(truth.patch)
    if not rows.size:
        distance = math.hypot(truth.x_px - point[0], truth.y_px - point[1])
        return distance if math.isfinite(distance) else math.inf
    return float(np.hypot(columns + truth.x0_px - point[0], rows + truth.y0_px - point[1]).min())


def _assign(allowed: NDArray[np.bool_], overlap: Floats) -> list[tuple[int, int]]:
    """One-to-one pairs among the allowed: as many as possible, then the largest sum of IoUs."""
    gain = np.where(allowed, min(allowed.shape) + 1 + overlap, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [(row, column) for row, column in zip(rows, columns, strict=True) if allowed[row, column]]


# ---------------------------------------------------------------------------------------------------------- intervals


def wilson(successes: int, trials: int) -> Interval:
    """95 % interval of a proportion (Wilson 1927): honest at 0 %, at 100 % and for few trials; NaN for no trial."""
    if not trials:
        return Interval()
    z = float(norm.ppf(0.975))
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half)


def bootstrap_ratio(part: Sequence[float], whole: Sequence[float], seed: int = 0, draws: int = 1000) -> Interval:
    """95 % interval of sum(part) / sum(whole), drawing whole observations with replacement.

    Frames of one observation show the same scene, so they are not independent; observations are.

    Args:
        part: one number an observation: what is counted.
        whole: the same for what it is counted of.
        seed: the same seed gives the same interval.
        draws: how many resamples.

    Returns:
        NaN for fewer than two observations, or where no draw has anything to divide by.

    """
    parts, wholes = np.asarray(part, float), np.asarray(whole, float)
    if parts.size < 2 or not wholes.any():
        return Interval()
    weights = resamples(parts.size, seed, draws)
    bottom = weights @ wholes
    values = (weights @ parts)[bottom > 0] / bottom[bottom > 0]
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))


@lru_cache(maxsize=2)  # a report asks for the same one dozens of times
def resamples(size: int, seed: int, draws: int) -> Floats:
    """How often each of ``size`` observations is drawn in each resample, (draws, size)."""
    rng = np.random.default_rng(seed)
    rows = [np.bincount(rng.integers(size, size=size), minlength=size) for _ in range(draws)]
    return np.array(rows, float)


def rate_interval(part: Sequence[int], whole: Sequence[int], seed: int = 0) -> Interval:
    """95 % interval of a count per frame, summed over observations.

    The bootstrap by observation; where every draw gives the same (no event, or one observation), the exact Poisson
    interval (Garwood 1936): "none on 60 frames" means "up to 3.7 on 60 frames".
    """
    interval = bootstrap_ratio(part, whole, seed)
    if interval.low < interval.high or not sum(whole):
        return interval
    events, exposure = sum(part), sum(whole)
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return Interval(float(low / exposure), float(chi2.ppf(0.975, 2 * events + 2) / 2 / exposure))


def share_interval(part: Sequence[int], whole: Sequence[int], seed: int = 0) -> Interval:
    """95 % interval of a proportion counted over observations.

    The bootstrap by observation; Wilson's where every draw gives the same (all or none, or one observation), because
    "10 of 10" does not mean "between 100 % and 100 %".
    """
    interval = bootstrap_ratio(part, whole, seed)
    return interval if interval.low < interval.high else wilson(int(sum(part)), int(sum(whole)))


# ------------------------------------------------------------------------------------------------------------ curves


@dataclass(frozen=True)
class Bin:
    """Objects of one range of ``snr_mf``: ``low`` <= snr < ``high``, how many, and how many of them were found."""

    low: float
    high: float
    total: int
    found: int

    @property
    def recall(self) -> float:
        """Share found; NaN for an empty bin."""
        return self.found / self.total if self.total else math.nan

    @property
    def interval(self) -> Interval:
        """Wilson's."""
        return wilson(self.found, self.total)

    @property
    def middle(self) -> float:
        """Where a bin is drawn: its geometric middle; an open end lies a factor of four away."""
        low = self.low if self.low > 0 else self.high / 4
        return math.sqrt(low * (self.high if math.isfinite(self.high) else 4 * self.low))


def recall_by_snr(snr: Floats, found: NDArray[np.bool_], edges: Sequence[float] = SNR_EDGES) -> list[Bin]:
    """Count found objects in bins of ``snr_mf``; objects without one are left out."""
    place = np.digitize(snr, edges) - 1
    known = np.isfinite(snr)
    return [
        Bin(low, high, int((known & (place == i)).sum()), int((known & (place == i) & found).sum()))
        for i, (low, high) in enumerate(pairwise(edges))
    ]


def half_completeness(snr: Floats, found: NDArray[np.bool_]) -> float:
    """Signal-to-noise at which half of the objects are found.

    Isotonic regression of found (0 or 1) on log10(snr), which assumes only that stronger objects are found more often,
    read where it crosses 0.5.

    Returns:
        The ``snr_mf``; NaN where the fit does not cross 0.5 inside the data.

    """
    known = np.isfinite(snr) & (snr > 0)
    strength, seen = np.log10(snr[known]), found[known].astype(float)
    if strength.size < 2 or seen.all() or not seen.any():
        return math.nan
    order = np.argsort(strength, kind="stable")
    strength, level = strength[order], IsotonicRegression(y_min=0, y_max=1).fit_transform(strength[order], seen[order])
    above = np.flatnonzero(level >= 0.5)
    if not above.size or above[0] == 0:
        return math.nan
    last, first = above[0] - 1, above[0]
    share = (0.5 - level[last]) / (level[first] - level[last])
    return float(10 ** (strength[last] + share * (strength[first] - strength[last])))


@dataclass(frozen=True)
class Froc:
    """Free-response curve: what each threshold on a region's score finds, and what it costs.

    Attributes:
        threshold: (n,) falling; a region counts when its score is at least this.
        recall: (n,) share of the objects found.
        false_per_frame: (n,) false alarms a frame.

    """

    threshold: Floats
    recall: Floats
    false_per_frame: Floats


def froc(found_scores: Floats, false_scores: Floats, objects: int, frames: int) -> Froc:
    """Free-response curve of one class.

    Args:
        found_scores: score of the region of each found object.
        false_scores: score of each false alarm.
        objects: how many there were to find; 0 gives recall 1 by the module's convention.
        frames: how many frames were looked at.

    """
    threshold = np.unique(np.concatenate([found_scores, false_scores]))[::-1]
    hits = np.array([(found_scores >= level).sum() for level in threshold], float)
    alarms = np.array([(false_scores >= level).sum() for level in threshold], float)
    recall = hits / objects if objects else np.ones_like(hits)
    return Froc(threshold, recall, alarms / max(frames, 1))


def average_precision(found_scores: Floats, false_scores: Floats, objects: int) -> float:
    """Area under precision against recall: sum of (R_n - R_{n-1}) P_n, objects never found counting as recall lost.

    Returns:
        0..1; NaN where there is nothing to find.

    """
    if not objects:
        return math.nan
    if not found_scores.size:
        return 0.0
    truth = np.concatenate([np.ones(found_scores.size), np.zeros(false_scores.size)])
    among_found = average_precision_score(truth, np.concatenate([found_scores, false_scores]))
    return float(among_found) * found_scores.size / objects


@dataclass(frozen=True)
class Reliability:
    """How far scores may be read as probabilities.

    Attributes:
        score: (bins,) mean score of the regions of a bin; NaN where it is empty.
        share_true: (bins,) share of them that are true; NaN where it is empty.
        count: (bins,) how many.
        ece: expected calibration error: mean of |score - share_true| weighted by count; NaN without regions.
        ece_by_chance: mean error that perfect scores would show on so few regions; NaN without regions.

    """

    score: Floats
    share_true: Floats
    count: NDArray[np.intp]
    ece: float
    ece_by_chance: float = math.nan


CHANCE_DRAWS = 400


def reliability(scores: Floats, true: NDArray[np.bool_], bins: int = 10) -> Reliability:
    """Compare regions' scores (0..1) with the share that is true, in equal bins (Naeini et al. 2015)."""
    place = np.clip((scores * bins).astype(int), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    mean = np.bincount(place, weights=scores, minlength=bins) / some
    share = np.bincount(place, weights=true.astype(float), minlength=bins) / some
    drawn = np.random.default_rng(0).random((CHANCE_DRAWS, scores.size)) < scores
    shares = np.stack([np.bincount(place, weights=one, minlength=bins) for one in drawn.astype(float)]) / some
    ece, by_chance = (
        float(np.nansum(np.abs(mean - seen) * count, axis=-1).mean() / scores.size) if scores.size else math.nan
        for seen in (share, shares)
    )
    return Reliability(mean, share, count, ece, by_chance)
