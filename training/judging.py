"""The second look and the operating points, from what the exported network says of validation frames.

frames -> candidate regions with features and verdicts -> decision trees (``detector.judge``) -> thresholds of scores.

The trees are fitted on all candidates; the thresholds, and the numbers in the card, rest on scores that each candidate
got from trees that had not seen its frame.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict

from detector.card import Threshold
from detector.frame import CLASSES
from detector.judge import FEATURES, Judge, Tree, features_of
from detector.limb import find_limb
from detector.readers import read_frames
from detector.session import Model
from detector.terminator import possible_regions
from training.labels import FAINT_SNR, Truth
from training.metrics import FALSE_ALARM, half_completeness, match_objects
from training.retakes import retaken
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.scene import Sample
from training.simulate.told import as_filed, by_kernels

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

GROW = {"plume": 0.12, "hotspot": 0.12}
SMALLEST_PX = {"plume": 4, "hotspot": 1}
FALSE_ALARMS = {"screening": {"plume": 0.5, "hotspot": 0.5}, "confident": {"plume": 0.07, "hotspot": 0.08}}
"""False alarms a frame that each operating point may raise on validation frames. Plumes are the rarer news."""
LEAST_SCORE = 0.02
FOLDS = 5
LEAST_OF_EACH = 2 * FOLDS
"""True and false candidates of a class without so many of either are not judged: the network's score stands."""
FORESTS = {"plume": (150, 6), "hotspot": (300, 8)}
"""Trees, and leaves of each: there are ten times as many candidates for hot spots."""
RATE, PER_LEAF, SHARE, FEATURES_SHARE = 0.05, 20, 0.7, 0.3
JUDGING_SEED_OFFSET = 50_000
LARGE = Recipe(radius_px=(500.0, 1600.0), usual_radius_px=(500.0, 1600.0), natural=0.0)
LARGE_CAMERAS = ("ssi", "picture", "junocam", "sru", "picture")
LARGE_PER_FRAME = 0.05
"""So many frames of large disks are judged besides, for which limbs are looked at in sectors; thresholds rest on the
others alone."""
BY_KERNELS = 3
"""Every so many-th frame is told what kernels would tell, the others what their files do."""
RETAKES = 20
"""How often a real picture without eruptions is shown otherwise."""


@dataclass(frozen=True)
class Candidate:
    """A region of a validation frame.

    Attributes:
        frame: the frame's number.
        kind: its class.
        score: the network's own.
        features: (n,) what the judge knows of it.
        snr_mf: of the object that it is; NaN where it is none.

    """

    frame: int
    kind: str
    score: float
    features: NDArray[np.float64]
    snr_mf: float = math.nan

    @property
    def true(self) -> bool:
        """Whether it is a true object."""
        return math.isfinite(self.snr_mf)


@dataclass(frozen=True)
class Judgement:
    """What validation frames taught: the judge, the thresholds, and the numbers for the card."""

    judge: Judge
    points: dict[str, dict[str, Threshold]]
    measured: dict[str, object]


def every_region() -> dict[str, Threshold]:
    """Thresholds low enough to keep every candidate."""
    return {kind: Threshold(seed=GROW[kind], grow=GROW[kind], min_area_px=SMALLEST_PX[kind]) for kind in CLASSES}


def judge_and_points(
    model: Path,
    seed: int,
    frames: int,
    progress: Progress = lambda done, total: None,
    quiet: Sequence[Path] = (),
    workers: int = 1,
) -> Judgement:
    """Fit the judge and choose the scores that keep false alarms under ``FALSE_ALARMS``, limb finding included.

    Args:
        model: the exported file.
        seed, frames: of the simulated frames, see ``judging_draws``.
        progress: is told frames done and all.
        quiet: files of real frames on which nothing erupts: all that is found there is false.
        workers: processes.

    """
    candidates: list[Candidate] = []
    objects: dict[str, list[float]] = {kind: [] for kind in CLASSES}
    draws = judging_draws(seed, frames)
    of_quiet = quiet_candidates(Model.open(model, device="cpu"), quiet, seed, len(draws))  # a bad file shows at once
    with ProcessPoolExecutor(workers, get_context("spawn"), _open, (model,)) as pool:
        for done, (seen, things) in enumerate(pool.map(_looked_at, draws, chunksize=8), start=1):
            candidates += seen
            for kind, snr_mf in things if done <= frames else ():
                objects[kind].append(snr_mf)
            progress(done, len(draws))
    candidates += of_quiet
    judge, all_scores = fit_judge(candidates)
    usual = [n for n, candidate in enumerate(candidates) if candidate.frame <= frames]
    candidates, scores = [candidates[n] for n in usual], all_scores[usual]
    points = {
        point: {kind: _threshold(candidates, scores, kind, allowed[kind] * frames) for kind in CLASSES}
        for point, allowed in FALSE_ALARMS.items()
    }
    found = {
        f"{point} {kind}": _counts(candidates, scores, kind, points[point][kind].score, objects[kind])
        for point in points for kind in CLASSES
    }  # fmt: skip
    strong = {kind: sum(snr >= FAINT_SNR for snr in objects[kind]) for kind in CLASSES}
    return Judgement(judge, points, {"frames": frames, "objects": strong, **found})


def fit_judge(candidates: Sequence[Candidate]) -> tuple[Judge, NDArray[np.float64]]:
    """Fit the trees of each class.

    Returns:
        the judge, and (n,) each candidate's score by trees fitted without its frame (the network's own where a class
        has too few candidates to judge).

    """
    scores = np.array([c.score for c in candidates], float)
    start: dict[str, float] = {}
    trees: dict[str, tuple[Tree, ...]] = {}
    for kind in CLASSES:
        mine = [n for n, c in enumerate(candidates) if c.kind == kind]
        true = np.array([candidates[n].true for n in mine], bool)
        groups = np.array([candidates[n].frame for n in mine])
        if min(true.sum(), (~true).sum()) < LEAST_OF_EACH or len(np.unique(groups)) < FOLDS:
            log.warning("%s: %d true and %d false candidates are too few to judge by", kind, true.sum(), (~true).sum())
            continue
        rows = np.array([candidates[n].features for n in mine])
        scores[mine] = cross_val_predict(
            _forest(kind), rows, true, groups=groups, cv=GroupKFold(FOLDS), method="predict_proba"
        )[:, 1]
        fitted = _forest(kind).fit(rows, true)
        start[kind] = float(np.log(true.mean() / (1 - true.mean())))
        trees[kind] = tuple(_tree_of(stage[0].tree_) for stage in fitted.estimators_)
    return Judge(features=FEATURES, start=start, trees=trees), scores


def _forest(kind: str) -> GradientBoostingClassifier:
    trees, leaves = FORESTS[kind]
    return GradientBoostingClassifier(
        n_estimators=trees, max_leaf_nodes=leaves, learning_rate=RATE, min_samples_leaf=PER_LEAF, subsample=SHARE,
        max_features=FEATURES_SHARE, random_state=0,
    )  # fmt: skip


def _tree_of(tree: object) -> Tree:
    """A fitted scikit-learn tree as the model file carries it."""
    leaf = tree.children_left < 0  # type: ignore[attr-defined]
    return Tree(
        feature=tuple(np.where(leaf, -1, tree.feature).tolist()),  # type: ignore[attr-defined]
        threshold=tuple(np.where(leaf, 0.0, tree.threshold).tolist()),  # type: ignore[attr-defined]
        left=tuple(np.where(leaf, 0, tree.children_left).tolist()),  # type: ignore[attr-defined]
        right=tuple(np.where(leaf, 0, tree.children_right).tolist()),  # type: ignore[attr-defined]
        value=tuple((RATE * np.where(leaf, tree.value[:, 0, 0], 0.0)).tolist()),  # type: ignore[attr-defined]
    )


# -- operating points -----------------------------------------------------------------------------------------------


def _threshold(
    candidates: Sequence[Candidate], scores: NDArray[np.float64], kind: str, false_alarms: float
) -> Threshold:
    false = [score for c, score in zip(candidates, scores, strict=True) if c.kind == kind and not c.true]
    cut = lowest_score(false, false_alarms)
    return every_region()[kind].model_copy(update={"score": cut})


def lowest_score(false: Sequence[float], false_alarms: float) -> float:
    """The lowest threshold that at most ``false_alarms`` of the scores of false candidates reach."""
    ordered, allowed = sorted(false, reverse=True), int(false_alarms)
    if len(ordered) <= allowed:
        return LEAST_SCORE
    return min(max(float(np.nextafter(ordered[allowed], 1.0)), LEAST_SCORE), 1.0)


def _counts(
    candidates: Sequence[Candidate], scores: NDArray[np.float64], kind: str, cut: float, snr_mf: Sequence[float]
) -> dict[str, float | None]:
    """What a threshold keeps, and the signal-to-noise at which half of all objects (``snr_mf``) are found."""
    kept = [c for c, score in zip(candidates, scores, strict=True) if c.kind == kind and score >= cut]
    found = sorted(c.snr_mf for c in kept if c.true)
    missed = Counter(snr_mf) - Counter(found)
    every = np.array([*found, *missed.elements()])
    half = half_completeness(every, np.arange(every.size) < len(found))
    return {
        "found": len(found),
        "false": len(kept) - len(found),
        "half_found_snr_mf": round(half, 1) if math.isfinite(half) else None,
    }


# -- validation frames ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """One frame of one simulated product: ``number`` counts from 1."""

    number: int
    camera: str
    recipe: Recipe
    seed: int
    index: int
    turn: int

    def sample(self) -> Sample:
        """Draw it."""
        samples = expose(self.camera, self.recipe, self.seed, self.index).samples
        return samples[self.turn % len(samples)]


def judging_draws(seed: int, count: int) -> list[Draw]:
    """One frame each of products of all instruments in turn, drawn apart from those of the training's own validation.

    Whole products, as they come from an archive: scores are calibrated on what they will be asked about. ``count``
    usual ones come first, those of large disks last.
    """
    plans = (
        (INSTRUMENTS, Recipe(), seed + JUDGING_SEED_OFFSET, count),
        (LARGE_CAMERAS, LARGE, seed + 2 * JUDGING_SEED_OFFSET, int(count * LARGE_PER_FRAME)),
    )
    return [
        replace(draw, number=number)
        for number, draw in enumerate((draw for plan in plans for draw in draws_of(*plan)), start=1)
    ]


def draws_of(cameras: Sequence[str], recipe: Recipe, seed: int, count: int) -> list[Draw]:
    """One frame each of ``count`` products of the cameras in turn; of those with several frames, these in turn too."""
    several = len(cameras)
    return [Draw(n + 1, cameras[n % several], recipe, seed, n, n // several) for n in range(count)]


_model: list[Model] = []
"""The model of a worker process."""


def _open(file: Path) -> None:
    cv2.setNumThreads(1)
    _model[:] = [Model.open(file, device="cpu", threads=1)]


def _looked_at(draw: Draw) -> tuple[list[Candidate], list[tuple[str, float]]]:
    """The candidates of a frame, and class and signal-to-noise of the objects on it."""
    sample = draw.sample()
    return candidates_of(_model[0], sample, draw.number), [(thing.kind, thing.snr_mf) for thing in sample.objects]


def quiet_candidates(model: Model, files: Sequence[Path], seed: int, frames: int) -> list[Candidate]:
    """What is found on real frames without eruptions, all of it false; numbers go on from ``frames``.

    Pictures are also shown in ``RETAKES`` other sizes, tones and compressions: what is left of a plume-free limb by
    those is what false alarms on published pictures are made of.
    """
    found: list[Candidate] = []
    for file in files:
        rng = np.random.default_rng([seed, len(found)])
        for plane in read_frames(file):
            retakes = RETAKES if plane.instrument == "unknown" else 0
            for frame in (plane, *(retaken(plane, rng) for _ in range(retakes))):
                frames += 1
                limb = find_limb(frame)
                scores = model.scores(frame, limb)
                regions = possible_regions(frame, limb, scores, every_region())
                rows = features_of(frame, limb, scores, regions)
                found += [Candidate(frames, r.kind, r.score, row) for r, row in zip(regions, rows, strict=True)]
    return found


def candidates_of(model: Model, sample: Sample, number: int) -> list[Candidate]:
    """The candidates of one frame, each with its verdict; what matches only a faint object counts neither way."""
    kernels = number % BY_KERNELS == 0
    frame = by_kernels(sample.frame, np.random.default_rng(number)) if kernels else as_filed(sample.frame)
    limb = find_limb(frame)
    scores = model.scores(frame, limb)
    regions = possible_regions(frame, limb, scores, every_region())
    if not regions:
        return []
    truths = [Truth.cut(str(i), t.kind, t.on(frame.shape), snr_mf=t.snr_mf) for i, t in enumerate(sample.objects)]
    verdicts = match_objects(truths, regions, scores).of_region
    rows = features_of(frame, limb, scores, regions)
    return [
        Candidate(number, region.kind, region.score, row, truths[verdict].snr_mf if verdict >= 0 else math.nan)
        for region, row, verdict in zip(regions, rows, verdicts, strict=True)
        if verdict >= 0 or verdict == FALSE_ALARM
    ]
