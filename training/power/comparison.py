"""From finds to figures: thresholds from the tuning frames, scores on the test frames, and what chance could do.

A *budget* is a number of false alarms a frame that all are held to. ``screening`` and ``confident`` are what the model
lets through at its operating points on the tuning frames; the third is a tenth of a false alarm a frame. Everybody's
threshold is the lowest that stays within the budget on the tuning frames; what it then costs on the test frames stands
beside what it finds. Because that may differ a little from finder to finder, recall is also read off each finder's own
test curve at exactly the budget. Intervals draw whole observations, the same for all, so differences are paired.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, isotonic_regression

from detector.card import OPERATING_POINTS, ModelCard, Threshold
from detector.frame import CLASSES
from training.metrics import (
    FALSE_ALARM,
    Bin,
    pair_up,
    rate_interval,
    ratio,
    recall_by_snr,
    resamples,
    share_interval,
)
from training.power.finds import MODEL, MODEL_NAME, Entrant, FindRecord, FrameFinds, TruthRecord, key_of
from training.report import Measured
from training.rivals import RIVALS, ceiling

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TENTH, TENTH_RATE = "0.1 a frame", 0.1
SEED, DRAWS, HALF_DRAWS = 5, 1000, 300
FLOOR = -math.inf
CURVE_RATE = 10.0
BLOCK = 2_000_000
"""Numbers held at a time while drawing."""
CURVE_POINTS = 200


# ------------------------------------------------------------------------------------------------------- one finder


@dataclass(frozen=True)
class Steps:
    """What a finder has found on one frame as its threshold falls, by the rules of :mod:`training.metrics`.

    Attributes:
        score: (n,) falling: the thresholds at which something changes.
        found: (n, truths) bool.
        false: (n,) false alarms so far.

    """

    score: Floats
    found: Bools
    false: NDArray[np.intp]

    @classmethod
    def of(cls, truths: Sequence[TruthRecord], places: Sequence[int], finds: Sequence[FindRecord]) -> Steps:
        """Pair anew at each threshold.

        Args:
            truths: of the class.
            places: their indices among all truths of the frame, which ``FindRecord.pairs`` speaks of.
            finds: in any order.

        """
        finds = sorted(finds, key=lambda one: -one.score)
        column_of = {place: row for row, place in enumerate(places)}
        overlap, paired = np.zeros((len(truths), len(finds))), np.zeros((len(truths), len(finds)), bool)
        for column, find in enumerate(finds):
            for place, iou in find.pairs:
                overlap[column_of[place], column], paired[column_of[place], column] = iou, True
        faint = np.array([truth.faint for truth in truths], bool)
        judged = np.array([find.judged for find in finds], bool)
        scores = np.array([find.score for find in finds], float)
        ends = [end for end in range(1, len(finds) + 1) if end == len(finds) or scores[end] < scores[end - 1]]
        found, false = np.zeros((len(ends), len(truths)), bool), np.zeros(len(ends), np.intp)
        for step, end in enumerate(ends):
            start = ends[step - 1] if step else 0
            if paired[:, start:end].any():
                match = pair_up(overlap[:, :end], paired[:, :end], faint)
                found[step] = np.array(match.of_truth) >= 0
                false[step] = (judged[:end] & (np.array(match.of_region) == FALSE_ALARM)).sum()
            else:
                found[step] = found[step - 1] if step else False
                false[step] = (false[step - 1] if step else 0) + judged[start:end].sum()
        return cls(scores[np.array(ends, int) - 1], found, false)

    def at(self, cut: float) -> tuple[Bools, int]:
        """(truths,) whether each is found, and false alarms, by what scores at least ``cut``."""
        steps = int((self.score >= cut).sum())
        if not steps:
            return np.zeros(self.found.shape[1], bool), 0
        return self.found[steps - 1], int(self.false[steps - 1])


@dataclass(frozen=True)
class Record:
    """One finder and one class on many frames.

    Attributes:
        frames: which.
        kind: class.
        steps: one a frame.

    """

    frames: Sequence[FrameFinds]
    kind: str
    steps: Sequence[Steps]

    @classmethod
    def of(cls, frames: Sequence[FrameFinds], entrant: Entrant, kind: str) -> Record:
        """Gather what an entrant found of a class."""
        steps = []
        for frame in frames:
            places = [place for place, truth in enumerate(frame.truths) if truth.kind == kind]
            truths = [frame.truths[place] for place in places]
            steps.append(Steps.of(truths, places, frame.finds[key_of(entrant, kind)]))
        return cls(frames, kind, steps)

    @cached_property
    def truths(self) -> list[TruthRecord]:
        """Every object of the class, frame by frame."""
        return [truth for frame in self.frames for truth in frame.truths if truth.kind == self.kind]

    @cached_property
    def demanded(self) -> Bools:
        """(truths,) which of them are not faint."""
        return np.array([not truth.faint for truth in self.truths], bool)

    @cached_property
    def snr(self) -> Floats:
        """(truths,) ``snr_mf``."""
        return np.array([truth.snr_mf for truth in self.truths], float)

    @cached_property
    def owner(self) -> NDArray[np.intp]:
        """(frames,) number of each frame's observation."""
        return np.unique([frame.observation for frame in self.frames], return_inverse=True)[1]

    @cached_property
    def owner_of_truth(self) -> NDArray[np.intp]:
        """(truths,) number of the observation."""
        counts = [steps.found.shape[1] for steps in self.steps]
        return np.repeat(self.owner, counts)

    @cached_property
    def events(self) -> tuple[Floats, Floats, Floats, NDArray[np.intp]]:
        """Every change as the threshold falls: score, false alarms gained, objects gained, number of observation."""
        parts: list[tuple[float, int, int, int]] = []
        offset = 0
        for steps, owner in zip(self.steps, self.owner, strict=True):
            asked = self.demanded[offset : offset + steps.found.shape[1]]
            offset += steps.found.shape[1]
            found = (steps.found & asked).sum(axis=1)
            gains = zip(steps.score, np.diff(steps.false, prepend=0), np.diff(found, prepend=0), strict=True)
            parts += [(score, false, hit, owner) for score, false, hit in gains]
        table = np.array(sorted(parts, key=lambda part: -part[0]), float).reshape(-1, 4)
        return table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(np.intp)

    def cut_for(self, rate: float) -> float:
        """The lowest threshold with at most ``rate`` false alarms a frame."""
        score, false, _, _ = self.events
        over = np.flatnonzero(np.cumsum(false) > rate * len(self.frames) + 1e-9)
        return float(np.nextafter(score[over[0]], math.inf)) if over.size else FLOOR

    def at(self, cut: float) -> tuple[Bools, NDArray[np.intp]]:
        """(truths,) whether each is found, and (frames,) false alarms, at a threshold."""
        each = [steps.at(cut) for steps in self.steps]
        found = np.concatenate([hit for hit, _ in each]) if each else np.zeros(0, bool)
        return found.astype(bool), np.array([false for _, false in each], np.intp)

    def curve(self) -> tuple[Floats, Floats]:
        """Free-response curve: false alarms a frame (rising) and recall, thinned to CURVE_POINTS."""
        _, false, hit, _ = self.events
        rate = np.cumsum(false) / max(len(self.frames), 1)
        recall = np.cumsum(hit) / max(int(self.demanded.sum()), 1)
        kept = np.flatnonzero(rate <= CURVE_RATE)
        if kept.size > CURVE_POINTS:
            kept = kept[np.unique(np.linspace(0, kept.size - 1, CURVE_POINTS).astype(int))]
        return rate[kept], recall[kept]

    def recall_at(self, rate: float, weights: Floats) -> Floats:
        """(draws,) recall at exactly ``rate`` false alarms a frame when observations are drawn ``weights`` times.

        Args:
            rate: false alarms a frame.
            weights: (draws, observations).

        """
        _, false, hit, owner = self.events
        frames = weights @ np.bincount(self.owner, minlength=weights.shape[1])
        asked = weights @ np.bincount(self.owner_of_truth[self.demanded], minlength=weights.shape[1])
        found = np.zeros(len(weights))
        end = int(np.searchsorted(np.cumsum(false), 4 * rate * len(self.frames) + 10)) + 1
        pending = np.arange(len(weights))
        while pending.size:  # the surest finds settle nearly every draw
            for part in np.array_split(pending, 1 + pending.size * end // BLOCK):
                drawn = weights[part][:, owner[:end]]
                within = np.cumsum(drawn * false[:end], axis=1) <= rate * frames[part, None] + 1e-9
                found[part] = (drawn * hit[:end] * within).sum(axis=1)
            spent = weights[pending] @ np.bincount(owner[:end], weights=false[:end], minlength=weights.shape[1])
            pending = pending[(spent <= rate * frames[pending] + 1e-9) & (end < false.size)]
            end *= 4
        return found / np.where(asked > 0, asked, np.nan)


# ------------------------------------------------------------------------------------------------------------ tuning


def rates_of(frames: Sequence[FrameFinds], card: ModelCard) -> dict[str, dict[str, float]]:
    """False alarms a frame of each class and budget; at the operating points at least one on all tuning frames."""
    rates: dict[str, dict[str, float]] = {}
    for kind in CLASSES:
        record = Record.of(frames, MODEL, kind)
        own = {
            point: max(int(record.at(asked_score(card.operating_points[point][kind]))[1].sum()), 1) / len(frames)
            for point in OPERATING_POINTS
        }
        rates[kind] = own | {TENTH: TENTH_RATE}
    return rates


def best_settings(frames: Sequence[FrameFinds], rates: Mapping[str, Mapping[str, float]]) -> list[Entrant]:
    """Of each rival the settings with the highest mean recall over the budgets on the tuning frames."""
    chosen = []
    for kind in CLASSES:
        for name, settings in RIVALS[kind].items():
            entrants = [Entrant(kind, name, number) for number in range(len(settings))]
            chosen.append(max(entrants, key=lambda one: _mean_recall(frames, one, rates[one.kind])))
    return chosen


def _mean_recall(frames: Sequence[FrameFinds], entrant: Entrant, rates: Mapping[str, float]) -> float:
    record = Record.of(frames, entrant, entrant.kind)
    found = [record.at(record.cut_for(rate))[0] & record.demanded for rate in rates.values()]
    return float(np.mean([hit.sum() for hit in found]))


# ----------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True)
class Value:
    """A number and its 95 % interval; NaN where it cannot be given, infinite where half are never found."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class FinderScores:
    """One finder within one budget.

    Attributes:
        name, settings: who, and with what.
        cut: threshold on its score.
        tuned_rate: false alarms a frame on the tuning frames.
        recall, false_per_frame: on the test frames.
        frames_hit: frames with a false alarm: one frame of hundreds can carry most of them.
        recall_at_rate: recall on its own test curve at exactly the budget.
        half_snr: ``snr_mf`` at which half of the objects are found; infinite where that is never reached.
        by_snr: found objects in bins of ``snr_mf``, faint ones too.
        by_instrument: recall and false alarms a frame.

    """

    name: str
    settings: str
    cut: float
    tuned_rate: float
    recall: Measured
    false_per_frame: Measured
    frames_hit: int
    recall_at_rate: Value
    half_snr: Value
    by_snr: list[Bin]
    by_instrument: Mapping[str, tuple[Measured, Measured]]


@dataclass(frozen=True)
class Against:
    """The model compared with a rival on the same draws of observations.

    Attributes:
        rival: its name.
        recall_gain: recall of the model minus that of the rival, thresholds from the tuning frames.
        recall_gain_at_rate: the same on the test curves at exactly the budget.
        half_ratio: how much fainter the model's 50 % completeness lies: that of the rival over that of the model.

    """

    rival: str
    recall_gain: Value
    recall_gain_at_rate: Value
    half_ratio: Value


@dataclass(frozen=True)
class Ceiling:
    """The matched filter that knows every template (see :mod:`training.rivals.ceiling`).

    Attributes:
        recall: share of the demanded objects that it finds.
        half_snr: ``snr_mf`` at which it finds half.
        snr, share: its completeness curve.
        trials: median of the independent places looked at on a frame.

    """

    recall: float
    half_snr: float
    snr: Floats
    share: Floats
    trials: float


@dataclass(frozen=True)
class Budget:
    """All finders of a class held to the same false alarms a frame; the model stands first."""

    name: str
    rate: float
    finders: tuple[FinderScores, ...]
    against: tuple[Against, ...]
    ceiling: Ceiling


@dataclass(frozen=True)
class ClassPower:
    """One class.

    Attributes:
        objects, faint: demanded and faint objects on the test frames.
        budgets: in the order screening, confident, 0.1 a frame.
        curves: by finder the free-response curve on the test frames: false alarms a frame, recall.

    """

    kind: str
    objects: int
    faint: int
    budgets: tuple[Budget, ...]
    curves: Mapping[str, tuple[Floats, Floats]]


@dataclass(frozen=True)
class Power:
    """The whole comparison: what is judged on what, and one part a class."""

    about: Mapping[str, object]
    observations: int
    frames: Mapping[str, int]
    classes: Mapping[str, ClassPower]
    schema_version: int = field(default=1)


def compare(
    tuned_on: Sequence[FrameFinds],
    judged_on: Sequence[FrameFinds],
    rivals: Sequence[Entrant],
    rates: Mapping[str, Mapping[str, float]],
    about: Mapping[str, object],
) -> Power:
    """Score everybody on the test frames.

    Args:
        tuned_on, judged_on: tuning and test frames with the finds of the model and of ``rivals`` at least.
        rivals: with the settings chosen.
        rates: false alarms a frame by class and budget.
        about: what was judged on what.

    """
    instruments = Counter(frame.instrument for frame in judged_on)
    return Power(
        about=about,
        observations=len({frame.observation for frame in judged_on}),
        frames=dict(sorted(instruments.items())),
        classes={
            kind: _class(kind, tuned_on, judged_on, [one for one in rivals if one.kind == kind], rates[kind])
            for kind in CLASSES
        },
    )


def _class(
    kind: str,
    tuned_on: Sequence[FrameFinds],
    judged_on: Sequence[FrameFinds],
    rivals: Sequence[Entrant],
    rates: Mapping[str, float],
) -> ClassPower:
    entrants = [MODEL, *rivals]
    tuned = [Record.of(tuned_on, one, kind) for one in entrants]
    judged = [Record.of(judged_on, one, kind) for one in entrants]
    budgets = tuple(_budget(name, rate, entrants, tuned, judged) for name, rate in rates.items())
    curves = {one.name: record.curve() for one, record in zip(entrants, judged, strict=True)}
    asked = judged[0].demanded
    return ClassPower(kind, int(asked.sum()), int((~asked).sum()), budgets, curves)


def _budget(
    name: str, rate: float, entrants: Sequence[Entrant], tuned: Sequence[Record], judged: Sequence[Record]
) -> Budget:
    scored = [_score(one, before, after, rate) for one, before, after in zip(entrants, tuned, judged, strict=True)]
    first, draws = scored[0][1], [drawn for _, drawn in scored]
    against = tuple(
        Against(
            scores.name,
            _difference(first[0], drawn[0], scored[0][0].recall.value - scores.recall.value),
            _difference(first[1], drawn[1], scored[0][0].recall_at_rate.value - scores.recall_at_rate.value),
            _quotient(drawn[2], first[2], scores.half_snr.value, scored[0][0].half_snr.value),
        )
        for (scores, _), drawn in list(zip(scored, draws, strict=True))[1:]
    )
    return Budget(name, rate, tuple(scores for scores, _ in scored), against, _ceiling(judged[0], rate))


Draws = tuple[Floats, Floats, Floats]
"""Recall, recall at exactly the rate (DRAWS,), and half completeness (HALF_DRAWS,) of each draw of observations."""


def _score(entrant: Entrant, tuned: Record, judged: Record, rate: float) -> tuple[FinderScores, Draws]:
    cut = tuned.cut_for(rate)
    found, false = judged.at(cut)
    size = int(judged.owner.max()) + 1
    weights = resamples(size, SEED, DRAWS)
    hits = np.bincount(judged.owner_of_truth[judged.demanded & found], minlength=size)
    asked = np.bincount(judged.owner_of_truth[judged.demanded], minlength=size)
    bottom = weights @ asked
    drawn = (
        (weights @ hits) / np.where(bottom > 0, bottom, np.nan),
        judged.recall_at(rate, weights),
        _half_draws(judged, found, weights[:HALF_DRAWS]),
    )
    exact = float(judged.recall_at(rate, np.ones((1, size)))[0])
    scores = FinderScores(
        name=entrant.name,
        settings="" if entrant.name == MODEL_NAME else repr(RIVALS[entrant.kind][entrant.name][entrant.settings]),
        cut=cut,
        tuned_rate=float(tuned.at(cut)[1].mean()),
        recall=_share(hits, asked),
        false_per_frame=_rate(judged, false, np.ones(len(judged.frames), bool)),
        frames_hit=int((false > 0).sum()),
        recall_at_rate=_interval(exact, drawn[1]),
        half_snr=_interval(half_point(judged.snr, found), drawn[2]),
        by_snr=recall_by_snr(judged.snr, found),
        by_instrument=_by_instrument(judged, found, false),
    )
    return scores, drawn


def _by_instrument(judged: Record, found: Bools, false: NDArray[np.intp]) -> dict[str, tuple[Measured, Measured]]:
    instruments = np.array([frame.instrument for frame in judged.frames])
    of_truth = np.repeat(instruments, [steps.found.shape[1] for steps in judged.steps])
    size = int(judged.owner.max()) + 1
    groups = {}
    for name in np.unique(instruments):
        mine = judged.demanded & (of_truth == name)
        hits = np.bincount(judged.owner_of_truth[mine & found], minlength=size)
        asked = np.bincount(judged.owner_of_truth[mine], minlength=size)
        groups[str(name)] = _share(hits[asked > 0], asked[asked > 0]), _rate(judged, false, instruments == name)
    return groups


def _share(part: NDArray, whole: NDArray) -> Measured:
    interval = share_interval(part.tolist(), whole.tolist())
    return Measured(ratio(part.sum(), whole.sum()), interval.low, interval.high, int(part.sum()), int(whole.sum()))


def _rate(judged: Record, false: NDArray[np.intp], chosen: Bools) -> Measured:
    """False alarms a frame over the chosen frames."""
    owners = judged.owner[chosen]
    whole = np.bincount(owners)
    part = np.bincount(owners, weights=false[chosen], minlength=whole.size).astype(int)[whole > 0]
    whole = whole[whole > 0]
    interval = rate_interval(part.tolist(), whole.tolist())
    return Measured(ratio(part.sum(), whole.sum()), interval.low, interval.high, int(part.sum()), int(whole.sum()))


# ------------------------------------------------------------------------------------------------- half completeness


def half_point(snr: Floats, found: Bools, weight: Floats | None = None) -> float:
    """Signal-to-noise at which half of the objects are found, as ``metrics.half_completeness`` with weights.

    Returns:
        infinite where half are never found, the smallest ``snr_mf`` where they always are, NaN without objects.

    """
    weight = np.ones(snr.size) if weight is None else weight
    known = np.isfinite(snr) & (snr > 0) & (weight > 0)
    if not known.any():
        return math.nan
    order = np.argsort(snr[known], kind="stable")
    strength, seen, weight = np.log10(snr[known][order]), found[known][order].astype(float), weight[known][order]
    level = isotonic_regression(seen, weights=weight).x
    above = np.flatnonzero(level >= 0.5)
    if not above.size:
        return math.inf
    if above[0] == 0:
        return float(10 ** strength[0])
    last, first = above[0] - 1, above[0]
    share = (0.5 - level[last]) / (level[first] - level[last])
    return float(10 ** (strength[last] + share * (strength[first] - strength[last])))


def _half_draws(judged: Record, found: Bools, weights: Floats) -> Floats:
    return np.array([half_point(judged.snr, found, weight[judged.owner_of_truth]) for weight in weights])


def _interval(value: float, drawn: Floats) -> Value:
    """95 % of the draws; no interpolation, so that an infinite end stays one."""
    drawn = drawn[~np.isnan(drawn)]
    if drawn.size < 2:
        return Value(value)
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    return Value(value, float(low), float(high))


def _difference(first: Floats, second: Floats, value: float) -> Value:
    return _interval(value, first - second)


def _quotient(top: Floats, bottom: Floats, value_top: float, value_bottom: float) -> Value:
    """A ratio of half points; NaN where neither finder ever finds half."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return _interval(float(np.float64(value_top) / np.float64(value_bottom)), top / bottom)


# ----------------------------------------------------------------------------------------------------------- ceiling


def _ceiling(judged: Record, rate: float) -> Ceiling:
    trials = np.array([truth.trials for truth in judged.truths], float)
    known = judged.demanded & np.isfinite(judged.snr)
    snr = np.geomspace(1, 300, 60)
    if not known.any():
        nothing = np.full(snr.size, math.nan)
        return Ceiling(math.nan, math.nan, snr, nothing, math.nan)

    def share(at: float) -> float:
        return float(ceiling.detected(at, rate, trials[known]).mean())

    return Ceiling(
        recall=float(ceiling.detected(judged.snr[known], rate, trials[known]).mean()),
        half_snr=float(brentq(lambda at: share(at) - 0.5, -50.0, 100.0)),
        snr=snr,
        share=np.array([share(at) for at in snr]),
        trials=float(np.median(trials[known])),
    )


def asked_score(limit: Threshold) -> float:
    """The least score of a region at an operating point; of a model without a judge of regions, that of its seed."""
    return limit.score or limit.seed
