"""A dataset: frames with what is true about them, in one folder that can be checked to the last byte.

::

    DATASET/
    ├── frames/            archive files as they are, or FITS; one file may hold several frames (a strip)
    ├── labels.coco.json   COCO: images, categories 1 plume and 2 hotspot, one compressed RLE an object
    ├── truth.csv          one row an object: its physical truth; not known is empty
    ├── splits.csv         frame_id, observation, split: split by observation, never by frame
    └── dataset.lock       JSON: the sha256 of every file, and how the dataset was made

What the COCO file adds to the standard lies under ``io``: an image has ``{instrument, filter, observation, limb}``
(``limb`` is ``[x, y, radius]`` in pixels, an integer being a pixel's centre, or null) and, where part of it was not
looked at, ``unknown`` (an RLE); an annotation has ``{object_id}``, empty for pixels of a class that no listed object
owns. ``bbox`` follows COCO: ``[x, y, width, height]`` with the first pixel covering 0..1. Top-level ``limb_intervals``
are labels that only name a stretch of limb. The same content always gives the same bytes.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import CLASSES, Frame, sha256_of
from detector.mask import Mask
from detector.products import Product, find_products
from detector.readers import read_frames
from training.labels import coco
from training.labels.coco import DATASET_VERSION
from training.labels.documents import parsed, read_csv, read_json
from training.labels.rle import Plane
from training.labels.truth import LabelledFrame, LimbInterval, Truth

LABELS, LOCK = "labels.coco.json", "dataset.lock"
TRUTH_COLUMNS = (
    "object_id", "frame_id", "kind", "name", "lat_deg", "lon_e_deg", "lon_w_deg", "height_km", "width_km",
    "optical_depth", "peak_i_over_f", "temperature_k", "area_km2", "power_gw_um", "snr_mf", "x_px", "y_px", "area_px",
    "family",
)  # fmt: skip
_TEXT_COLUMNS = ("object_id", "kind", "name", "family")
_DERIVED_COLUMNS = ("frame_id", "lon_w_deg", "area_px")
_SPLIT_COLUMNS = ("frame_id", "observation", "split")
_NO_PIXELS = np.zeros((0, 0), bool)


# -------------------------------------------------------------------------------------------------------------- writing


class DatasetWriter:
    """Collects labelled frames and writes the four tables of a dataset; the frames' files are put there by the caller.

    Args:
        folder: the dataset; made when it is not there. Files of frames belong in ``folder / "frames"``.
        made: how the dataset was made (generator, version, seed, settings): goes into ``dataset.lock`` as it is.

    """

    def __init__(self, folder: Path, made: Mapping[str, object] = MappingProxyType({})) -> None:
        self.folder, self.made = folder, dict(made)
        self.frames = folder / "frames"
        self.frames.mkdir(parents=True, exist_ok=True)
        self._images: dict[str, dict] = {}
        self._annotations: dict[str, list[dict]] = {}
        self._intervals: dict[str, list[dict]] = {}
        self._truth: dict[str, list[list[str]]] = {}
        self._splits: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()

    def add(self, file_name: str, labelled: LabelledFrame) -> None:
        """Take one frame; the order of calls does not matter to the bytes written.

        Args:
            file_name: path of its file below ``frames/``.
            labelled: what is true about it.

        Raises:
            InputError: the id was added before, two objects share an id, or an object has pixels that the mask lacks.

        """
        known = replace(labelled, file=Path(file_name).as_posix())
        if known.frame_id in self._images:
            raise InputError(known.frame_id, "this frame_id was added before, expected each frame once")
        _check_objects(known)
        self._images[known.frame_id] = coco.image_entry(known)
        self._annotations[known.frame_id] = coco.annotation_entries(known)
        self._intervals[known.frame_id] = coco.interval_entries(known)
        self._truth[known.frame_id] = [_truth_row(known.frame_id, truth) for truth in known.objects]
        self._splits[known.frame_id] = (known.observation, known.split)

    def close(self) -> None:
        """Write labels.coco.json, truth.csv, splits.csv and dataset.lock."""
        order = sorted(self._images)
        write_json(self.folder / LABELS, self._coco(order))
        _write_csv(self.folder / "truth.csv", TRUTH_COLUMNS, (row for frame in order for row in self._truth[frame]))
        write_splits(self.folder, self._splits)
        write_lock(self.folder, self.made)

    def _coco(self, order: list[str]) -> dict:
        """Build the COCO document, with ids counted in the order of frame ids."""
        return coco.document(
            [self._images[frame] for frame in order],
            [self._annotations[frame] for frame in order],
            [entry for frame in order for entry in self._intervals[frame]],
        )


def write_splits(folder: Path, splits: Mapping[str, tuple[str, str]]) -> None:
    """Write ``splits.csv`` of (observation, split) by frame id."""
    _write_csv(folder / "splits.csv", _SPLIT_COLUMNS, ((frame, *splits[frame]) for frame in sorted(splits)))


def write_lock(folder: Path, made: Mapping[str, object]) -> None:
    """Write ``dataset.lock``: the sha256 of every other file of the folder, and how it was made."""
    files = {path: sha256_of(folder / path) for path in _files_of(folder)}
    lock = {"dataset_version": DATASET_VERSION, "made": dict(made), "files": files}
    write_json(folder / LOCK, lock, indent=1)


def lock_problems(folder: Path, lock: Mapping) -> list[str]:
    """What is not as ``dataset.lock`` says, one sentence each."""
    if not lock:
        return ["dataset.lock: is missing"]
    locked, present = lock.get("files", {}), _files_of(folder)
    problems = [f"{name}: is in dataset.lock but not in the folder" for name in sorted(set(locked) - set(present))]
    problems += [f"{name}: is not in dataset.lock" for name in present if name not in locked]
    changed = [name for name in present if name in locked and sha256_of(folder / name) != locked[name]]
    return problems + [f"{name}: its sha256 is not the one in dataset.lock: the file was changed" for name in changed]


def _files_of(folder: Path) -> list[str]:
    """Every file of a dataset but its lock, sorted, with ``/``."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path != LOCK)


def _check_objects(labelled: LabelledFrame) -> None:
    """Refuse labels that cannot be written without loss."""
    repeated = [name for name, count in Counter(truth.object_id for truth in labelled.objects).items() if count > 1]
    if repeated or any(not truth.object_id for truth in labelled.objects):
        raise InputError(labelled.frame_id, f"object ids must be unique and not empty, repeated: {repeated}")
    for truth in labelled.objects:
        outside = truth.mask(labelled.shape) & ~labelled.mask.planes[CLASSES.index(truth.kind)]
        if outside.any():
            raise InputError(
                labelled.frame_id,
                f"object {truth.object_id} has {int(outside.sum())} pixels that the {truth.kind} mask lacks",
                "draw every object into the mask of its class",
            )


def _truth_row(frame_id: str, truth: Truth) -> list[str]:
    """Write an object as a row of truth.csv, in the order of its columns."""
    return [frame_id if column == "frame_id" else _as_text(getattr(truth, column)) for column in TRUTH_COLUMNS]


def _as_text(value: object) -> str:
    """Shortest text that reads back to the same value; empty for NaN."""
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_json(path: Path, document: object, indent: int | None = None) -> None:
    """Write a document: the same content always gives the same bytes."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent, sort_keys=indent is not None)
    path.write_text(text + "\n", encoding="utf-8")


# -------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Dataset:
    """A dataset's tables, read; masks are decoded and frames opened only when they are asked for.

    Attributes:
        folder: where it is.
        images: the COCO image of every frame, by frame id, in the order of ids.
        annotations: COCO annotations by frame id.
        truth: rows of truth.csv by frame id.
        splits: (observation, split) by frame id.
        intervals: labels without pixels, by frame id.
        lock: the content of ``dataset.lock``; empty where there is none.

    """

    folder: Path
    images: Mapping[str, dict]
    annotations: Mapping[str, list[dict]]
    truth: Mapping[str, list[dict[str, str]]]
    splits: Mapping[str, tuple[str, str]]
    intervals: Mapping[str, tuple[LimbInterval, ...]]
    lock: Mapping[str, object]

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[LabelledFrame]:
        return (self.labelled(frame_id) for frame_id in self.images)

    def ids(self, split: str | None = None) -> list[str]:
        """Frame ids, of one split or of all, sorted."""
        return [name for name in self.images if split is None or self.splits.get(name, ("", ""))[1] == split]

    def labelled(self, frame_id: str) -> LabelledFrame:
        """Decode what is true about one frame."""
        image = self.images[frame_id]
        extra = image.get("io", {})
        shape = (int(image["height"]), int(image["width"]))
        notes = [(note, self.pixels(note, shape)) for note in self.annotations.get(frame_id, [])]
        patches = {note.get("io", {}).get("object_id", ""): pixels for note, pixels in notes}
        observation, split = self.splits.get(frame_id, (extra.get("observation", ""), ""))
        return LabelledFrame(
            frame_id=frame_id,
            file=image["file_name"],
            mask=Mask(_planes(shape, notes), self._known(image, shape)),
            limb=coco.limb_of(extra, self.folder / LABELS),
            objects=tuple(self._truth(row, patches.get(row["object_id"])) for row in self.truth.get(frame_id, [])),
            observation=observation,
            split=split,
            instrument=extra.get("instrument", "unknown"),
            filter=extra.get("filter", ""),
            limb_intervals=self.intervals.get(frame_id, ()),
            orbit=extra.get("orbit", ""),
            looked_for=tuple(extra.get("looked_for", CLASSES)),
            by_limb=bool(extra.get("by_limb", False)),
        )

    def pixels(self, note: Mapping, shape: tuple[int, int]) -> Plane:
        """(H, W) bool of one annotation.

        Raises:
            InputError: its segmentation cannot be drawn, or it is of no class.

        """
        if not 1 <= note["category_id"] <= len(CLASSES):
            problem = f"annotation {note.get('id')!r} has category {note['category_id']}"
            raise InputError(self.folder / LABELS, problem, f"expected 1 to {len(CLASSES)}")
        return self._drawn(f"annotation {note.get('id')!r}", note.get("segmentation"), shape)

    def _truth(self, row: Mapping[str, str], pixels: Plane | None) -> Truth:
        """Read an object from its row and, where it has pixels, its annotation."""
        names = [name for name in TRUTH_COLUMNS if name not in _TEXT_COLUMNS + _DERIVED_COLUMNS]
        known: dict[str, object] = {name: row.get(name, "") for name in ("name", "family")}
        try:
            known |= {name: float(row[name]) if row.get(name) else math.nan for name in names}
            return Truth.cut(row["object_id"], row["kind"], _NO_PIXELS if pixels is None else pixels, **known)
        except ValueError as error:
            what = f"object {row['object_id']!r} of frame {row['frame_id']!r}"
            raise InputError(self.folder / "truth.csv", f"{what}: {error}") from error

    def _known(self, image: Mapping, shape: tuple[int, int]) -> Plane:
        unknown = image.get("io", {}).get("unknown")
        if unknown is None:
            return np.ones(shape, bool)
        return ~self._drawn(f"io.unknown of image {image['id']!r}", unknown, shape)

    def _drawn(self, what: str, segmentation: object, shape: tuple[int, int]) -> Plane:
        try:
            return coco.segmentation_pixels(segmentation, shape)
        except ValueError as error:
            raise InputError(self.folder / LABELS, f"{what}: {error}", "see io-detector labels check") from error

    def frames(self, file_name: str) -> list[Frame]:
        """Every frame that the project's readers find in one file of ``frames/``.

        Raises:
            InputError: the file is missing, or cannot be read.

        """
        path = self.folder / "frames" / file_name
        return read_frames(self._products.get(path, path))

    @cached_property
    def _products(self) -> dict[Path, Product]:
        """The products of ``frames/`` by their image: found once, for finding them reads every label of the folder."""
        return {product.data: product for product in find_products([self.folder / "frames"])}

    def by_file(self, frame_ids: Iterable[str]) -> dict[str, list[str]]:
        """Group frame ids by the file that holds them."""
        groups: dict[str, list[str]] = defaultdict(list)
        for frame_id in frame_ids:
            groups[self.images[frame_id]["file_name"]].append(frame_id)
        return dict(groups)

    def pairs(self, frame_ids: Iterable[str] | None = None) -> Iterator[tuple[Frame, LabelledFrame]]:
        """Frames with what is true about them, file by file.

        Args:
            frame_ids: which frames; None gives all.

        Raises:
            InputError: a labelled frame is not in its file, or its size is not the labels' size.

        """
        for file_name, names in self.by_file(self.images if frame_ids is None else frame_ids).items():
            found = {frame.id: frame for frame in self.frames(file_name)}
            for frame_id in names:
                yield _matched(self.folder / "frames" / file_name, found, self.labelled(frame_id))


def _matched(path: Path, found: Mapping[str, Frame], labelled: LabelledFrame) -> tuple[Frame, LabelledFrame]:
    """Match a label with the frame that it speaks of."""
    frame = found.get(labelled.frame_id)
    if frame is None:
        raise InputError(path, f"holds frames {sorted(found)}, but the labels speak of {labelled.frame_id}")
    if frame.shape != labelled.shape:
        raise InputError(path, f"frame {frame.id} is {frame.shape} (rows, columns), its labels are {labelled.shape}")
    return frame, labelled


def read_dataset(folder: Path) -> Dataset:
    """Read a dataset's tables.

    Raises:
        InputError: a table is missing, or is not what it must be.

    """
    path = folder / LABELS
    document = read_json(path)
    missing = [key for key in ("images", "annotations", "categories") if key not in document]
    if missing:
        raise InputError(path, f"lacks {missing}: not a COCO file")
    parsed(coco.Coco, document, path)
    _check_categories(path, document["categories"])
    names = {image["id"]: image.get("frame_id", Path(image["file_name"]).stem) for image in document["images"]}
    images = {names[image["id"]]: image for image in document["images"]}
    lock = folder / LOCK
    return Dataset(
        folder=folder,
        images={name: images[name] for name in sorted(images)},
        annotations=_grouped(document["annotations"], lambda note: names.get(note["image_id"], "")),
        truth=_grouped(_table(folder / "truth.csv", ("object_id", "frame_id", "kind")), lambda row: row["frame_id"]),
        splits={
            row["frame_id"]: (row["observation"], row["split"]) for row in _table(folder / "splits.csv", _SPLIT_COLUMNS)
        },
        intervals=_intervals(document.get("limb_intervals", [])),
        lock=read_json(lock) if lock.is_file() else {},
    )


def _check_categories(path: Path, categories: list[dict]) -> None:
    named = {entry["id"]: entry["name"] for entry in categories}
    wanted = dict(enumerate(CLASSES, 1))
    if named != wanted:
        raise InputError(path, f"categories are {named}, expected {wanted}", "renumber the category ids")


def _table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a table that must have these columns."""
    rows = read_csv(path)
    missing = [name for name in columns if rows and name not in rows[0]]
    if missing:
        raise InputError(path, f"lacks the columns {missing}", f"its first line is {','.join(rows[0])}")
    return rows


def _grouped(entries: Iterable[dict], key: Callable[[dict], str]) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return dict(groups)


def _intervals(entries: Iterable[dict]) -> dict[str, tuple[LimbInterval, ...]]:
    groups: dict[str, tuple[LimbInterval, ...]] = defaultdict(tuple)
    for entry in entries:
        known = {name: value for name, value in entry.items() if name != "frame_id"}
        groups[entry["frame_id"]] += (LimbInterval(**known),)
    return dict(groups)


def _planes(shape: tuple[int, int], notes: Iterable[tuple[Mapping, Plane]]) -> NDArray[np.bool_]:
    planes = np.zeros((len(CLASSES), *shape), bool)
    for note, pixels in notes:
        planes[note["category_id"] - 1] |= pixels
    return planes
