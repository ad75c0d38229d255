"""What the model and every rival report on every frame, and which of it can be a pair with what is true there.

One JSON file a frame file holds it, so that an interrupted run goes on, and so that every threshold can be tried
afterwards without a look at a pixel. Wherever the frames, the model or a rival changed, a frame is looked at anew.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import detector
from detector.card import OPERATING_POINTS
from detector.frame import CLASSES, Frame, sha256_of
from detector.limb import Limb, find_limb
from detector.regions import Region
from detector.session import Model
from training import rivals
from training.evaluate import judge_limb, lowered, truths_of
from training.labels import Dataset, LabelledFrame, Truth, read_dataset
from training.metrics import centroid, pairs
from training.rivals import RIVALS, Sight
from training.rivals.annulus import HIGHEST

LEAST_JUDGED = 0.5
"""A find counts as false only where at least so much of it lies on pixels that somebody judged."""


@dataclass(frozen=True, order=True)
class Entrant:
    """Who takes part: a class, a name, and which of its settings; ``str`` of it is a key."""

    kind: str
    name: str
    settings: int = 0

    def __str__(self) -> str:
        return f"{self.kind}: {self.name} #{self.settings}"


MODEL_NAME = "model"
MODEL = Entrant("", MODEL_NAME)
"""Stands for the model in both classes."""


@dataclass(frozen=True)
class Frames:
    """Frames of a dataset: its folder, their ids, and what is said of them in the result."""

    folder: Path
    ids: tuple[str, ...]
    said: Mapping[str, object]


@dataclass(frozen=True)
class FindRecord:
    """One find.

    Attributes:
        score: rising with certainty.
        x_px, y_px, area_px: where, and how large.
        judged: whether enough of it lies where somebody judged.
        pairs: (index of a truth of the frame, IoU) of all that it may be a pair with.

    """

    score: float
    x_px: float
    y_px: float
    area_px: int
    judged: bool
    pairs: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class TruthRecord:
    """One true object; ``trials``: independent places that a perfect filter had to look at (see ``rivals.ceiling``)."""

    kind: str
    object_id: str
    family: str
    snr_mf: float
    faint: bool
    area_px: int
    trials: float


@dataclass(frozen=True)
class FrameFinds:
    """One frame: what is true, how its limb was found, and the finds by key of the entrant."""

    frame_id: str
    observation: str
    instrument: str
    filter: str
    limb: str
    truths: tuple[TruthRecord, ...]
    finds: Mapping[str, tuple[FindRecord, ...]]

    @classmethod
    def of(cls, plain: Mapping) -> FrameFinds:
        """Read back what ``asdict`` and JSON made of it."""
        finds = {
            key: tuple(FindRecord(**{**one, "pairs": tuple(map(tuple, one["pairs"]))}) for one in found)
            for key, found in plain["finds"].items()
        }
        truths = tuple(TruthRecord(**_with_nan(one, "snr_mf")) for one in plain["truths"])
        return cls(**{**plain, "truths": truths, "finds": finds})


def _with_nan(plain: Mapping, name: str) -> dict:
    return {**plain, name: math.nan if plain[name] is None else plain[name]}


def key_of(entrant: Entrant, kind: str) -> str:
    """Under which the finds of a class are kept; the model stands for both classes."""
    return str(Entrant(kind, entrant.name, entrant.settings))


def look(
    frames: Frames,
    entrants: Sequence[Entrant],
    model: Path,
    kept: Path,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[FrameFinds]:
    """Look at every frame with every entrant, or take what is kept; in the order of the frames.

    Args:
        frames: which.
        entrants: who.
        model: the .onnx file.
        kept: folder of what was found before; made where it is not there.
        workers: processes.
        progress: is told files done and all.

    """
    data = read_dataset(frames.folder)
    files = data.by_file(frames.ids)
    stamp = _stamp(frames.folder, model)
    kept.mkdir(parents=True, exist_ok=True)
    look_at = partial(_kept_or_looked, frames.folder, tuple(entrants), model, kept, stamp)
    found: list[FrameFinds] = []
    for done, some in enumerate(_mapped(look_at, list(files.items()), workers), start=1):
        found += some
        progress(done, len(files))
    return found


def _mapped(
    function: Callable[[tuple[str, list[str]]], list[FrameFinds]], items: list[tuple[str, list[str]]], workers: int
) -> Iterator[list[FrameFinds]]:
    if workers == 1:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(function, items)


def _stamp(folder: Path, model: Path) -> str:
    """What the finds rest on: dataset, model, the detector's code, and the rivals' code and settings."""
    parts = [sha256_of(folder / "labels.coco.json"), sha256_of(model), repr(RIVALS)]
    for room in (detector, rivals):
        parts += [sha256_of(path) for path in sorted(Path(room.__path__[0]).glob("*.py"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _kept_or_looked(
    folder: Path, entrants: Sequence[Entrant], model: Path, kept: Path, stamp: str, item: tuple[str, list[str]]
) -> list[FrameFinds]:
    file_name, frame_ids = item
    path = kept / f"{stamp[:12]}-{file_name.replace('/', '_')}.json"
    wanted = {key_of(one, kind) for one in entrants for kind in CLASSES if one.kind in ("", kind)}
    held = [FrameFinds.of(one) for one in json.loads(path.read_text())] if path.is_file() else []
    by_id = {one.frame_id: one for one in held if wanted <= one.finds.keys()}
    if not set(frame_ids) <= by_id.keys():
        cv2.setNumThreads(1)
        looked = [_look(*pair, entrants, _model(model)) for pair in _dataset(folder).pairs(frame_ids)]
        text = json.dumps([_plain(asdict(one)) for one in looked], allow_nan=False)
        part = path.with_suffix(".part")
        part.write_text(text)
        part.replace(path)
        by_id = {one.frame_id: one for one in looked}
    return [by_id[frame_id] for frame_id in frame_ids]


@lru_cache(maxsize=2)
def _dataset(folder: Path) -> Dataset:
    return read_dataset(folder)


@lru_cache(maxsize=1)
def _model(path: Path) -> Model:
    return Model.open(path, device="cpu", threads=1)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _look(frame: Frame, labelled: LabelledFrame, entrants: Sequence[Entrant], model: Model) -> FrameFinds:
    """Look at one frame: one limb for all."""
    limb = find_limb(frame)
    sight = Sight(frame, limb)
    finds: dict[str, tuple[FindRecord, ...]] = {}
    for entrant in entrants:
        if entrant.name == MODEL_NAME:
            finds |= _of_model(frame, labelled, limb, model)
            continue
        found = RIVALS[entrant.kind][entrant.name][entrant.settings](sight)
        finds[str(entrant)] = _records(
            labelled,
            [one.region for one in found],
            [(one.x_px, one.y_px) for one in found],
            [one.score for one in found],
        )
    truths = tuple(_truth_record(one, labelled) for one in truths_of(labelled))
    return FrameFinds(
        frame.id, labelled.observation or frame.observation, frame.instrument, frame.filter,
        judge_limb(limb, labelled)[0], truths, finds,
    )  # fmt: skip


def _of_model(frame: Frame, labelled: LabelledFrame, limb: Limb, model: Model) -> dict[str, tuple[FindRecord, ...]]:
    """The model's candidate regions with their scores, which its operating points ask for."""
    scores = model.scores(frame, limb)
    regions = model.regions(frame, limb, scores, lowered(model.card.operating_points[OPERATING_POINTS[0]]))
    finds = {}
    for kind in CLASSES:
        mine = [one for one in regions if one.kind == kind]
        centres = [centroid(one, scores) for one in mine]
        finds[key_of(MODEL, kind)] = _records(labelled, mine, centres, [one.score for one in mine])
    return finds


def _records(
    labelled: LabelledFrame,
    regions: Sequence[Region],
    centres: Sequence[tuple[float, float]],
    scores: Sequence[float],
) -> tuple[FindRecord, ...]:
    overlap, paired = pairs(truths_of(labelled), regions, centres)
    return tuple(
        FindRecord(
            float(score), round(float(x), 2), round(float(y), 2), region.area_px,
            bool(labelled.limb_intervals or labelled.mask.known[region.box][region.pixels].mean() >= LEAST_JUDGED),
            tuple((int(row), round(float(overlap[row, column]), 6)) for row in np.flatnonzero(paired[:, column])),
        )
        for column, (region, (x, y), score) in enumerate(zip(regions, centres, scores, strict=True))
    )  # fmt: skip


def _truth_record(truth: Truth, labelled: LabelledFrame) -> TruthRecord:
    trials = max(_searched(truth.kind, labelled).sum() / max(truth.area_px, 1), 1.0)
    return TruthRecord(
        truth.kind, truth.object_id, truth.family, truth.snr_mf, truth.faint, truth.area_px, float(trials)
    )


def _searched(kind: str, labelled: LabelledFrame) -> NDArray[np.bool_]:
    """(H, W) bool: where such an object may be: the disk or the annulus above it; everywhere without a true limb."""
    known, limb = labelled.mask.known, labelled.limb
    if not limb.trusted:
        return known
    y, x = np.indices(known.shape, np.float32)
    altitude = np.hypot(x - limb.x_px, y - limb.y_px) / limb.radius_px - 1
    return known & ((altitude <= 0) if kind == "hotspot" else (altitude >= 0) & (altitude <= HIGHEST))
