"""Judging a model: every frame of a dataset walks the same road as in ``detect``, then what was found is counted.

file -> Frame -> limb -> scores -> regions at both operating points -> counts -> report.json, report.html.

A folder without ``labels.coco.json`` is a set of *unlabelled* frames: then what was reported is listed frame by frame,
as candidates, and nothing is called right or wrong.
"""

from __future__ import annotations

import heapq
import math
import re
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.card import OPERATING_POINTS, ModelCard, Threshold
from detector.errors import InputError
from detector.frame import CLASSES, Frame, sha256_of
from detector.limb import Limb, find_limb
from detector.mask import Mask
from detector.measure import measure
from detector.products import Product, find_products
from detector.readers import read_frames
from detector.regions import Region, mask_of
from detector.session import Model
from training.accuracy import Pair, accuracies
from training.compare import compare
from training.labels import Dataset, LabelledFrame, Truth, read_dataset, sector
from training.labels.splits import refuse_leaks, refuse_seen
from training.metrics import (
    FALSE_ALARM,
    IGNORED,
    Interval,
    Match,
    Tally,
    average_precision,
    bootstrap_ratio,
    centroid,
    froc,
    half_completeness,
    match_objects,
    pixel_tally,
    rate_interval,
    ratio,
    recall_by_snr,
    reliability,
    share_interval,
    wilson,
)
from training.report import (
    ClassReport,
    ClassScores,
    DatasetSummary,
    Example,
    Finds,
    FrameRecord,
    Group,
    LimbScores,
    Measured,
    ObjectRecord,
    RegionRecord,
    Report,
    Speed,
    write_report,
)
from training.rival_curves import read_rivals

CANDIDATE, CONFIDENT = "candidate", "confident"
SIZES_PX = (0, 30, 100, 300)
PHASES_DEG = (0, 45, 90, 135)
"""Edges of the groups by the disk's radius and by phase angle."""
EXAMPLES = 8
"""Pictures a class and verdict."""
CROP_PX = 48
"""A cut-out is at least this wide, and as much wider as the object asks for."""

Progress = Callable[[int, int], None]
Counts = Sequence[int] | NDArray[np.integer]
T = TypeVar("T")


class Scorer(Protocol):
    """What is judged: :class:`detector.session.Model`, or anything that scores like it."""

    card: ModelCard
    path: Path
    sha256: str

    def scores(self, frame: Frame, limb: Limb) -> NDArray[np.float32]:
        """(2, H, W) float32, 0..1; NaN where not known."""

    def regions(
        self, frame: Frame, limb: Limb, scores: NDArray[np.float32], thresholds: Mapping[str, Threshold]
    ) -> tuple[Region, ...]:
        """Regions at these thresholds, scored."""


def evaluate(
    dataset: Path,
    out: Path,
    model: Path | None = None,
    *,
    limit: int | None = None,
    split: str | None = None,
    rivals: Path | None = None,
    against: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge a model on a dataset and write ``report.json`` and ``report.html`` into ``out``.

    Args:
        dataset: a dataset folder, or a folder of frames without labels.
        out: where the report goes; not inside ``dataset``.
        model: the .onnx file; None judges the released model.
        limit: judge at most this many frames (files, where there are no labels), spread evenly over the dataset.
        split: ``train``, ``val`` or ``test``; None takes ``test`` where there is one, else all.
        rivals: the power.json of ``io-detector benchmark power``, whose curves the report shows beside the model's.
        against: another model, judged on the same frames; the report says whether this one is better.
        progress: called with (done, total) frames.

    Raises:
        InputError: there is nothing to judge, the labels cannot be read, something leaks between the dataset's splits,
            the model was trained on one of the frames, or ``out`` lies inside the dataset.
        ModelError: the model cannot be used.

    """
    if out.resolve().is_relative_to(dataset.resolve()):
        raise InputError(out, f"lies inside the dataset {dataset}", "write the report beside it")
    others = None if rivals is None else read_rivals(rivals)
    other = None if against is None else Model.open(against)
    report = evaluate_model(Model.open(model), dataset, limit=limit, split=split, progress=progress)
    report = report if others is None else report.with_rivals(others)
    if other is not None:
        theirs = evaluate_model(other, dataset, limit=limit, split=split, progress=progress)
        named = f"{other.name} ({other.path.name}, sha256 {other.sha256[:12]})"
        report = replace(report, comparison=compare(report.frames, theirs.frames, named))
    write_report(report, out)
    return report


def evaluate_model(
    scorer: Scorer,
    dataset: Path,
    *,
    limit: int | None = None,
    split: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge an open model on a dataset; see :func:`evaluate`."""
    if _has_labels(dataset):
        stream = _labelled_stream(dataset, scorer.card, split, limit)
    else:
        stream = _plain_stream(dataset, limit)
    gallery = Gallery()
    records: list[FrameRecord] = []
    pairs: list[Pair] = []
    for file_name, frame, labelled in stream.frames:
        judged = Judged.of(frame, labelled, scorer)
        records.append(judged.record(file_name))
        gallery.offer(judged)
        pairs += judged.measured(scorer.card)
        if progress is not None:
            progress(min(len(records), stream.total), stream.total)
    if not records:
        why = stream.failed[0] if stream.failed else "it holds none"
        raise InputError(dataset, f"not one frame could be judged: {why}", "give a dataset, or a folder of frames")
    report = summarise(records, scorer, _summary(dataset, stream, records), gallery.chosen())
    return replace(report, accuracy=accuracies(pairs))


# ----------------------------------------------------------------------------------------------------------- frames


@dataclass
class _Stream:
    """The frames to judge: (file name, frame, labels or None), and what is known beforehand."""

    frames: Iterator[tuple[str, Frame, LabelledFrame | None]]
    total: int
    failed: list[str]
    split: str = ""
    made: Mapping[str, object] = field(default_factory=dict)


def _has_labels(folder: Path) -> bool:
    return (folder / "labels.coco.json").is_file()


def _spread(items: Sequence[T], limit: int | None) -> list[T]:
    """At most ``limit`` of the items, evenly spread."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, max(limit, 1)).round().astype(int)]


def _labelled_stream(folder: Path, card: ModelCard, split: str | None, limit: int | None) -> _Stream:
    data = read_dataset(folder)
    refuse_leaks([data])
    chosen = ("test" if data.ids("test") else "") if split is None else split
    frame_ids = data.ids(chosen or None)
    if not frame_ids:
        splits = sorted({name for _, name in data.splits.values()})
        raise InputError(folder, f"has no frame of split {chosen!r}, it has {splits}", "choose one of these")
    picked = _spread(frame_ids, limit)
    refuse_seen(data, picked, card.training.get("seen_files", ()), f"{card.name}@{card.version}")
    failed: list[str] = []
    made = data.lock.get("made", {})
    return _Stream(
        _labelled_frames(data, picked, failed), len(picked), failed, chosen, made if isinstance(made, Mapping) else {}
    )


def _labelled_frames(
    data: Dataset, frame_ids: Sequence[str], failed: list[str]
) -> Iterator[tuple[str, Frame, LabelledFrame | None]]:
    """Go file by file; what cannot be read is noted and left out."""
    for file_name, names in data.by_file(frame_ids).items():
        try:
            pairs = list(data.pairs(names))
        except InputError as error:
            failed.append(f"{file_name}: {error.problem}")
            continue
        yield from ((file_name, frame, labelled) for frame, labelled in pairs)


def _plain_stream(folder: Path, limit: int | None) -> _Stream:
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "give a dataset, or a folder of frames")
    products = {product.data.relative_to(folder).as_posix(): product for product in find_products([folder])}
    picked = _spread(list(products), limit)
    failed: list[str] = []
    return _Stream(_plain_frames({name: products[name] for name in picked}, failed), len(picked), failed)


def _plain_frames(products: Mapping[str, Product], failed: list[str]) -> Iterator[tuple[str, Frame, None]]:
    for name, product in products.items():
        try:
            frames = read_frames(product)
        except InputError as error:
            failed.append(f"{name}: {error.problem}")
            continue
        yield from ((name, frame, None) for frame in frames)


def _summary(folder: Path, stream: _Stream, records: Sequence[FrameRecord]) -> DatasetSummary:
    lock = folder / "dataset.lock"
    objects = Counter((truth.kind, truth.faint) for record in records for truth in record.objects)
    return DatasetSummary(
        name=folder.resolve().name,
        labelled=records[0].labelled,
        split=stream.split,
        frames=len(records),
        observations=len({record.observation for record in records}),
        objects={kind: objects[kind, False] for kind in CLASSES},
        faint={kind: objects[kind, True] for kind in CLASSES},
        empty_frames=sum(record.empty for record in records),
        lock_sha256=sha256_of(lock) if lock.is_file() else "",
        made=stream.made,
        failed=tuple(stream.failed),
    )


# --------------------------------------------------------------------------------------------------------- one frame


@dataclass(frozen=True)
class Judged:
    """One frame, what is true about it, and what the model says, by operating point and for the candidates.

    Attributes:
        frame, labelled, limb, scores: as in :class:`detector.detect.Result`; ``labelled`` is None without labels.
        truths: the objects, and the labelled stretches of limb as objects.
        regions: by operating point, and ``candidate``.
        matches: the same; empty without labels.
        limb_s, model_s, whole_s: seconds.

    """

    frame: Frame
    labelled: LabelledFrame | None
    limb: Limb
    scores: NDArray[np.float32]
    truths: tuple[Truth, ...]
    regions: Mapping[str, tuple[Region, ...]]
    matches: Mapping[str, Match]
    limb_s: float
    model_s: float
    whole_s: float

    @classmethod
    def of(cls, frame: Frame, labelled: LabelledFrame | None, scorer: Scorer) -> Judged:
        """Walk the road of :class:`detector.detect.Detector` with both operating points at once."""
        points = scorer.card.operating_points
        start = perf_counter()
        limb = find_limb(frame)
        after_limb = perf_counter()
        scores = scorer.scores(frame, limb)
        after_scores = perf_counter()
        regions = {point: scorer.regions(frame, limb, scores, points[point]) for point in OPERATING_POINTS}
        end = perf_counter()
        regions[CANDIDATE] = scorer.regions(frame, limb, scores, lowered(points[OPERATING_POINTS[0]]))
        truths = () if labelled is None else truths_of(labelled)
        matches = {} if labelled is None else {
            point: match_objects(truths, found, scores) for point, found in regions.items()
        }  # fmt: skip
        return cls(frame, labelled, limb, scores, truths, regions, matches,
                   after_limb - start, after_scores - after_limb, end - start)  # fmt: skip

    def measured(self, card: ModelCard) -> list[Pair]:
        """What the catalogue would say of the objects found at the confident point, each with its truth."""
        if self.labelled is None:
            return []
        regions = self.regions[CONFIDENT]
        if not regions:
            return []
        rows = measure(self.frame, self.limb, regions, f"{card.name}@{card.version}")
        owners = self.matches[CONFIDENT].of_region
        return [(self.truths[owner], row) for owner, row in zip(owners, rows, strict=True) if owner >= 0]

    def record(self, file_name: str) -> FrameRecord:
        """Count this frame."""
        verdict, offset, radius_error = judge_limb(self.limb, self.labelled)
        return FrameRecord(
            frame_id=self.frame.id,
            file=file_name,
            observation=self.frame.observation if self.labelled is None else self.labelled.observation,
            instrument=self.frame.instrument,
            filter=self.frame.filter,
            megapixels=self.frame.image.size / 1e6,
            labelled=self.labelled is not None,
            empty=self.labelled is not None and self.labelled.empty,
            looked_for=CLASSES if self.labelled is None else self.labelled.looked_for,
            limb=verdict,
            limb_offset_px=offset,
            limb_radius_error_px=radius_error,
            pixels=self._pixels(),
            objects=tuple(self._object(index) for index in range(len(self.truths))),
            regions=tuple(self._region(point, i) for point, found in self.regions.items() for i in range(len(found))),
            limb_s=self.limb_s,
            model_s=self.model_s,
            whole_s=self.whole_s,
            disk_radius_px=math.nan if self.labelled is None else self.labelled.limb.radius_px,
            phase_deg=self.frame.view.phase_deg,
        )

    def planes(self, point: str) -> Mask:
        """Draw what the model says at an operating point."""
        return mask_of(self.regions[point], np.asarray(np.isfinite(self.scores).any(axis=0)))

    def _pixels(self) -> dict[str, dict[str, Tally]]:
        """Pixels of both classes at both points; none where the labels only name stretches of limb.

        Where the truth is known, a pixel that the model did not look at counts as a "no": a limb that was not found, or
        found in a wrong place, must not hide what it missed.
        """
        if self.labelled is None or self.labelled.limb_intervals or self.labelled.by_limb:
            return {}
        truth = self.labelled.mask
        judged = truth.known & self.frame.valid
        counted = [judged & ~_only_faint(self.labelled, number) for number in range(len(CLASSES))]
        return {
            point: {
                kind: pixel_tally(self.planes(point).planes[number], truth.planes[number], counted[number])
                for number, kind in enumerate(CLASSES)
                if kind in self.labelled.looked_for
            }
            for point in OPERATING_POINTS
        }

    def _object(self, index: int) -> ObjectRecord:
        truth, candidate = self.truths[index], self.matches[CANDIDATE].of_truth[index]
        return ObjectRecord(
            kind=truth.kind,
            object_id=truth.object_id,
            name=truth.name,
            family=truth.family,
            snr_mf=truth.snr_mf,
            area_px=truth.area_px,
            faint=truth.faint,
            found={point: self.matches[point].of_truth[index] >= 0 for point in OPERATING_POINTS},
            candidate_score=self.regions[CANDIDATE][candidate].score if candidate >= 0 else math.nan,
        )

    def _region(self, point: str, index: int) -> RegionRecord:
        region = self.regions[point][index]
        x, y = centroid(region, self.scores)
        verdict = self.verdict(point, index)
        return RegionRecord(point, region.kind, region.score, verdict, round(x, 2), round(y, 2), region.area_px)

    def verdict(self, point: str, index: int) -> str:
        """Say what became of a region: ``true``, ``false``, ``ignored`` or ``unjudged``."""
        if self.labelled is None:
            return "unjudged"
        owner = self.matches[point].of_region[index]
        if owner == IGNORED:
            return "ignored"
        if owner != FALSE_ALARM:
            return "true"
        region = self.regions[point][index]
        looked_at = self.labelled.mask.known[region.box][region.pixels].mean()
        return "false" if region.kind in self.labelled.looked_for and looked_at >= 0.5 else "unjudged"


def lowered(thresholds: Mapping[str, Threshold]) -> dict[str, Threshold]:
    """Thresholds that keep every region a lower seed or score could ever give."""
    return {kind: limit.model_copy(update={"seed": limit.grow, "score": 0.0}) for kind, limit in thresholds.items()}


def truths_of(labelled: LabelledFrame) -> tuple[Truth, ...]:
    """Objects, and labelled stretches of limb as objects of their own."""
    stretches = (sector(interval, labelled.limb, labelled.shape) for interval in labelled.limb_intervals)
    return labelled.objects + tuple(stretches)


def _only_faint(labelled: LabelledFrame, number: int) -> NDArray[np.bool_]:
    """(H, W) bool: pixels of a class that belong to faint objects and to no other."""
    pixels = {False: np.zeros(labelled.shape, bool), True: np.zeros(labelled.shape, bool)}
    for truth in labelled.objects:
        if truth.kind == CLASSES[number]:
            pixels[truth.faint] |= truth.mask(labelled.shape)
    return pixels[True] & ~pixels[False]


def judge_limb(found: Limb, labelled: LabelledFrame | None) -> tuple[str, float, float]:
    """Verdict, distance of the centres, and difference of the radii (found minus true), pixels."""
    if labelled is None:
        return ("found" if found.trusted else "none"), math.nan, math.nan
    true = labelled.limb
    if not labelled.limb_known:
        return ("found" if found.trusted else "none"), math.nan, math.nan
    if not true.trusted:
        return ("invented" if found.trusted else "none"), math.nan, math.nan
    if not found.trusted:
        return "missed", math.nan, math.nan
    offset = math.hypot(found.x_px - true.x_px, found.y_px - true.y_px)
    right = offset <= max(1.0, 0.01 * true.radius_px)
    return ("right" if right else "wrong"), offset, found.radius_px - true.radius_px


# --------------------------------------------------------------------------------------------------------- pictures


class Gallery:
    """Keeps the few cut-outs worth showing, whatever the number of frames."""

    def __init__(self, size: int = EXAMPLES) -> None:
        self.size = size
        self._heaps: dict[tuple[str, str], list[tuple[float, int, Example]]] = defaultdict(list)
        self._seen = 0

    def offer(self, judged: Judged) -> None:
        """Consider every object and every region of a frame."""
        for index, truth in enumerate(judged.truths):
            if not truth.faint:
                self._offer_object(judged, index)
        point = OPERATING_POINTS[0]
        for index, region in enumerate(judged.regions[point]):
            verdict = {"false": "false", "unjudged": "reported"}.get(judged.verdict(point, index))
            if verdict:
                caption = f"score {region.score:.2f}, {region.area_px} px"
                self._keep(judged, (region.kind, verdict), region.score, region.box, caption)

    def chosen(self) -> tuple[Example, ...]:
        """Every picture kept, in a fixed order."""
        kept = (item for key in sorted(self._heaps) for item in sorted(self._heaps[key], key=lambda one: -one[0]))
        return tuple(example for _, _, example in kept)

    def _offer_object(self, judged: Judged, index: int) -> None:
        truth = judged.truths[index]
        found = judged.matches[OPERATING_POINTS[0]].of_truth[index] >= 0
        strength = truth.snr_mf if math.isfinite(truth.snr_mf) else float(truth.area_px)
        snr = f"S/N {truth.snr_mf:.1f}, " if math.isfinite(truth.snr_mf) else ""
        caption = f"{truth.name or truth.family or truth.object_id}: {snr}{truth.area_px} px"
        verdict, rank = ("found", -strength) if found else ("missed", strength)
        self._keep(judged, (truth.kind, verdict), rank, _box_of(truth), caption)

    def _keep(self, judged: Judged, key: tuple[str, str], rank: float, box: tuple[slice, slice], caption: str) -> None:
        heap = self._heaps[key]
        if len(heap) == self.size and rank <= heap[0][0]:
            return
        self._seen += 1
        entry = (rank, -self._seen, _cut_out(judged, key, rank, box, caption))
        (heapq.heappush if len(heap) < self.size else heapq.heapreplace)(heap, entry)


def _box_of(truth: Truth) -> tuple[slice, slice]:
    """Box an object's pixels, or the pixel at its position; the frame's corner where that is not known."""
    if truth.patch.any():
        rows, columns = truth.patch.shape
        return slice(truth.y0_px, truth.y0_px + rows), slice(truth.x0_px, truth.x0_px + columns)
    y, x = (round(place) if math.isfinite(place) else 0 for place in (truth.y_px, truth.x_px))
    return slice(y, y + 1), slice(x, x + 1)


def _cut_out(judged: Judged, key: tuple[str, str], rank: float, box: tuple[slice, slice], caption: str) -> Example:
    """Cut a square with some surroundings out of a frame, stretched so that faint sky and bright disk both show."""
    kind, verdict = key
    number, frame = CLASSES.index(kind), judged.frame
    rows, columns = (_widened(side, size, box) for side, size in zip(box, frame.shape, strict=True))
    window = (rows, columns)
    levels = frame.levels
    shown = np.arcsinh((frame.image[window] - levels.sky) / (3 * levels.sigma))
    truth = np.zeros(frame.shape, bool) if judged.labelled is None else judged.labelled.mask.planes[number].copy()
    for one in judged.truths:  # stretches of limb are no part of the mask
        truth |= one.mask(frame.shape) if one.kind == kind else False
    limb = judged.limb
    return Example(
        kind=kind,
        verdict=verdict,
        rank=rank,
        frame_id=frame.id,
        caption=caption,
        image=np.where(frame.valid[window], shown, np.nan).astype(np.float32),
        truth=truth[window].copy(),
        found=judged.planes(OPERATING_POINTS[0]).planes[number][window],
        limb=(limb.x_px - columns.start, limb.y_px - rows.start, limb.radius_px),
    )


def _widened(side: slice, size: int, box: tuple[slice, slice]) -> slice:
    """Widen a side of the box: made as long as the square cut-out asks for, moved into a frame of ``size``."""
    longest = max(part.stop - part.start for part in box)
    wanted = min(max(CROP_PX, int(1.8 * longest)), size)
    start = (side.start + side.stop - wanted) // 2
    start = min(max(start, 0), size - wanted)
    return slice(start, start + wanted)


# ---------------------------------------------------------------------------------------------------------- summary


def summarise(
    records: Sequence[FrameRecord], scorer: Scorer, dataset: DatasetSummary, examples: tuple[Example, ...] = ()
) -> Report:
    """Add up the frames: every number of a report is a function of these records."""
    return Report(
        model={
            "name": scorer.card.name,
            "version": scorer.card.version,
            "file": scorer.path.name,
            "sha256": scorer.sha256,
            "card": scorer.card.model_dump(mode="json"),
        },
        dataset=dataset,
        classes={kind: _class_report(records, kind, dataset.labelled) for kind in CLASSES},
        limb=_limb_scores(records),
        speed=_speed(records),
        frames=tuple(records),
        examples=examples,
    )


def _class_report(records: Sequence[FrameRecord], kind: str, labelled: bool) -> ClassReport:
    records = [record for record in records if kind in record.looked_for]
    finds = {point: count_finds(records, kind, point) for point in OPERATING_POINTS}
    if not labelled:
        return ClassReport(finds)
    objects = [truth for record in records for truth in record.objects if truth.kind == kind]
    snr = np.array([truth.snr_mf for truth in objects], float)
    found = {point: np.array([truth.found[point] for truth in objects], bool) for point in OPERATING_POINTS}
    true, false, demanded = _candidates(records, kind)
    scores, is_true = np.concatenate([true, false]), np.arange(true.size + false.size) < true.size
    return ClassReport(
        finds=finds,
        points={point: score_class(records, kind, point) for point in OPERATING_POINTS},
        groups=tuple(_groups(records, kind)),
        by_snr={point: recall_by_snr(snr, found[point]) for point in OPERATING_POINTS},
        half_snr={point: half_completeness(snr, found[point]) for point in OPERATING_POINTS},
        froc=froc(true, false, demanded, len(records)),
        average_precision=average_precision(true, false, demanded),
        reliability=reliability(scores, is_true),
    )


def _candidates(records: Sequence[FrameRecord], kind: str) -> tuple[NDArray, NDArray, int]:
    """Scores of the true and of the false candidate regions, and how many objects there were to find."""
    regions = [
        region for record in records for region in record.regions if (region.point, region.kind) == (CANDIDATE, kind)
    ]
    true, false = (np.array([one.score for one in regions if one.verdict == word], float) for word in ("true", "false"))
    demanded = sum(truth.kind == kind and not truth.faint for record in records for truth in record.objects)
    return true, false, demanded


def _groups(records: Sequence[FrameRecord], kind: str) -> Iterator[Group]:
    """Scores by instrument, by instrument and filter, by what became of the limb, by size and by phase."""
    keys: dict[str, Callable[[FrameRecord], str]] = {
        "instrument": lambda record: record.instrument,
        "filter": lambda record: f"{record.instrument} {record.filter or 'not named'}",
        "limb": lambda record: record.limb or "not judged",
        "size": lambda record: _range("disk of", record.disk_radius_px, SIZES_PX, "px radius"),
        "phase": lambda record: _range("phase", record.phase_deg, PHASES_DEG, "degrees"),
    }
    for by, key in keys.items():
        for name in sorted({key(record) for record in records}, key=_natural):
            mine = [record for record in records if key(record) == name]
            yield from (Group(by, name, point, score_class(mine, kind, point)) for point in OPERATING_POINTS)


def _range(what: str, value: float, edges: Sequence[int], unit: str) -> str:
    """Name the range that a value lies in."""
    if not math.isfinite(value):
        return f"{what.removesuffix(' of')} not known"
    low, high = max((edge for edge in edges if edge <= value), default=0), next((e for e in edges if e > value), None)
    return f"{what} {low} {unit} and more" if high is None else f"{what} {low} to {high} {unit}"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 30 before 100."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def score_class(records: Sequence[FrameRecord], kind: str, point: str) -> ClassScores:
    """Add up one class at one operating point; intervals draw whole observations."""
    each = _tallies(records, kind, point)
    objects, pixels = [tally for tally, _ in each], [tally for _, tally in each]
    tp, fp, fn = (np.array([getattr(tally, name) for tally in objects]) for name in ("tp", "fp", "fn"))
    frames = np.array(list(Counter(record.observation for record in records).values()))
    all_pixels = sum(pixels, Tally())
    return ClassScores(
        frames=len(records),
        objects=sum(objects, Tally()),
        ignored=sum(region.verdict == "ignored" for record in records for region in _regions(record, kind, point)),
        recall=_share(tp, tp + fn),
        precision=_share(tp, tp + fp),
        f1=_score(2 * tp, 2 * tp + fp + fn),
        false_per_frame=_rate(fp, frames),
        pixels=all_pixels,
        pixel_precision=all_pixels.precision,
        pixel_recall=all_pixels.recall,
        pixel_iou=_score([tally.tp for tally in pixels], [tally.tp + tally.fp + tally.fn for tally in pixels]),
    )


def _tallies(records: Sequence[FrameRecord], kind: str, point: str) -> list[tuple[Tally, Tally]]:
    """Object and pixel tallies of each observation, in the order in which observations appear."""
    sums: dict[str, tuple[Tally, Tally]] = {}
    for record in records:
        objects, pixels = sums.get(record.observation, (Tally(), Tally()))
        here = record.pixels.get(point, {}).get(kind, Tally())
        sums[record.observation] = (objects + object_tally(record, kind, point), pixels + here)
    return list(sums.values())


def object_tally(record: FrameRecord, kind: str, point: str) -> Tally:
    """Objects of one frame: found, false alarms, missed; faint objects and unjudged regions are left out."""
    demanded = [truth for truth in record.objects if truth.kind == kind and not truth.faint]
    found = sum(truth.found[point] for truth in demanded)
    false = sum(region.verdict == "false" for region in _regions(record, kind, point))
    return Tally(found, false, len(demanded) - found)


def _regions(record: FrameRecord, kind: str, point: str) -> list[RegionRecord]:
    return [region for region in record.regions if (region.point, region.kind) == (point, kind)]


def count_finds(records: Sequence[FrameRecord], kind: str, point: str) -> Finds:
    """Count what was reported, on all frames and on those with nothing to find."""
    counts = [(record, len(_regions(record, kind, point))) for record in records]
    empty = [(record, count) for record, count in counts if record.empty]
    return Finds(
        frames=len(counts),
        regions=sum(count for _, count in counts),
        frames_hit=sum(count > 0 for _, count in counts),
        per_frame=_per_frame(counts),
        empty_frames=len(empty),
        empty_regions=sum(count for _, count in empty),
        empty_hit=sum(count > 0 for _, count in empty),
        per_empty_frame=_per_frame(empty),
    )


def _per_frame(counts: Iterable[tuple[FrameRecord, int]]) -> Measured:
    """Mean count a frame with its interval by observation."""
    sums: dict[str, tuple[int, int]] = {}
    for record, count in counts:
        regions, frames = sums.get(record.observation, (0, 0))
        sums[record.observation] = (regions + count, frames + 1)
    return _rate([regions for regions, _ in sums.values()], [frames for _, frames in sums.values()])


def _share(part: Counts, whole: Counts) -> Measured:
    """Measure a proportion counted over observations."""
    return _measured(part, whole, share_interval(list(part), list(whole)))


def _rate(part: Counts, whole: Counts) -> Measured:
    """Measure a count per frame."""
    return _measured(part, whole, rate_interval(list(part), list(whole)))


def _score(part: Counts, whole: Counts) -> Measured:
    """Measure a ratio that is neither (F1, IoU)."""
    return _measured(part, whole, bootstrap_ratio(list(part), list(whole)))


def _measured(part: Counts, whole: Counts, interval: Interval) -> Measured:
    top, bottom = int(np.sum(part)), int(np.sum(whole))
    return Measured(ratio(top, bottom), interval.low, interval.high, top, bottom)


def _limb_scores(records: Sequence[FrameRecord]) -> LimbScores:
    count = Counter(record.limb for record in records)
    right = [record for record in records if record.limb == "right"]
    found = len(records) - count["missed"] - count["none"]
    circles = count["right"] + count["wrong"] + count["missed"]
    return LimbScores(
        found=_measured([found], [len(records)], wilson(found, len(records))),
        right=_measured([len(right)], [circles], wilson(len(right), circles)),
        wrong=count["wrong"],
        missed=count["missed"],
        invented=count["invented"],
        none=count["none"],
        median_offset_px=_median([record.limb_offset_px for record in right]),
        median_radius_error_px=_median([record.limb_radius_error_px for record in right]),
    )


def _speed(records: Sequence[FrameRecord]) -> Speed:
    return Speed(
        limb_ms=1000 * _median([record.limb_s for record in records]),
        model_ms=1000 * _median([record.model_s for record in records]),
        whole_ms=1000 * _median([record.whole_s for record in records]),
        median_megapixels=_median([record.megapixels for record in records]),
        peak_memory_mb=_peak_memory_mb(),
    )


def _peak_memory_mb() -> float:
    """The most memory that this process ever held; Linux counts in KiB, macOS in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan
