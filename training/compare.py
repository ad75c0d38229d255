"""Two models on the same frames: better, worse, or not distinguishable, by a rule fixed beforehand.

The rule: the free-response score of a class is the mean of the shares found at the false-alarm rates of ``RATES`` (each
model's threshold set where it raises just so many on these frames). Observations are drawn anew with replacement, the
same ones for both models; a model is better or worse when 95 % of the differences, averaged over the classes that have
objects, lie on one side of 0. Thresholds chosen at export play no part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import CLASSES
from training.report import Comparison, Difference, FrameRecord

RATES = (0.02, 0.05, 0.1, 0.2, 0.5)
"""False alarms a frame."""
DRAWS = 2000
SEED = 20_230_364
CANDIDATE = "candidate"
Floats = NDArray[np.float64]


def compare(ours: Sequence[FrameRecord], theirs: Sequence[FrameRecord], other: str) -> Comparison:
    """Compare what two models did on the same frames.

    Raises:
        InputError: they were not judged on the same labelled frames.

    """
    if [r.frame_id for r in ours] != [r.frame_id for r in theirs] or not all(r.labelled for r in ours):
        raise InputError(other, "the two models were not judged on the same labelled frames", "judge both on one set")
    observations = sorted({record.observation for record in ours})
    place = {name: n for n, name in enumerate(observations)}
    curves = {kind: tuple(_Curve.of(side, kind, place) for side in (ours, theirs)) for kind in CLASSES}
    weights = np.ones((1, len(observations)))
    drawn = np.random.default_rng(SEED).multinomial(len(observations), weights[0] / len(observations), DRAWS)
    plain = {kind: [curve.scores(weights) for curve in pair] for kind, pair in curves.items()}
    resampled = {kind: [curve.scores(drawn.astype(float)) for curve in pair] for kind, pair in curves.items()}
    by_class = {kind: _difference(plain[kind], resampled[kind]) for kind in CLASSES}
    asked = [kind for kind in CLASSES if math.isfinite(by_class[kind].ours)]
    both = ([_mean([held[kind][side] for kind in asked]) for side in (0, 1)] for held in (plain, resampled))
    whole = _difference(*both)
    return Comparison(other, by_class, whole, whole.verdict, RATES)


def _mean(of_classes: Sequence[Floats]) -> Floats:
    return np.mean(of_classes, axis=0) if of_classes else np.array([math.nan])


def _difference(plain: Sequence[Floats], resampled: Sequence[Floats]) -> Difference:
    gaps = resampled[0] - resampled[1]
    gaps = gaps[np.isfinite(gaps)]
    low, high = np.percentile(gaps, [2.5, 97.5]) if gaps.size else (math.nan, math.nan)
    ours, theirs = float(plain[0][0]), float(plain[1][0])
    return Difference(ours, theirs, ours - theirs, float(low), float(high))


@dataclass(frozen=True)
class _Curve:
    """What one model says of one class: scores of objects and of false alarms, each with its observation's number."""

    frames: Floats
    objects: NDArray[np.intp]
    found_at: Floats
    false: NDArray[np.intp]
    false_at: Floats

    @classmethod
    def of(cls, records: Sequence[FrameRecord], kind: str, place: Mapping[str, int]) -> _Curve:
        frames = np.zeros(len(place))
        objects: list[tuple[int, float]] = []
        false: list[tuple[int, float]] = []
        for record in records:
            at = place[record.observation]
            frames[at] += 1
            for thing in record.objects:
                if thing.kind == kind and not thing.faint:
                    score = thing.candidate_score
                    objects.append((at, score if math.isfinite(score) else -math.inf))
            false += [
                (at, region.score)
                for region in record.regions
                if (region.point, region.kind, region.verdict) == (CANDIDATE, kind, "false")
            ]
        false.sort(key=lambda one: -one[1])
        return cls(frames, *_columns(objects), *_columns(false))

    def scores(self, weights: Floats) -> Floats:
        """(draws, observations) weights -> (draws,) mean share found over ``RATES``; NaN without objects."""
        things, raised = weights[:, self.objects], np.cumsum(weights[:, self.false], axis=1)
        demanded = np.where(things.sum(axis=1) > 0, things.sum(axis=1), math.nan)
        least_of_all = np.append(self.false_at, 0.0)
        shares = np.zeros(len(weights))
        for rate in RATES:
            allowed = rate * (weights @ self.frames)
            least = least_of_all[(raised <= allowed[:, None]).sum(axis=1)]  # the first false alarm too many
            shares += (things * (self.found_at > least[:, None])).sum(axis=1) / demanded
        return shares / len(RATES)


def _columns(pairs: Sequence[tuple[int, float]]) -> tuple[NDArray[np.intp], Floats]:
    return np.array([at for at, _ in pairs], np.intp), np.array([score for _, score in pairs], float)
