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
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from detector.errors import InputError
from detector.frame import CLASSES, Frame, sha256_of
from detector.limb import Limb
from detector.mask import Mask
from detector.products import Product, find_products
from detector.readers import read_frames

DATASET_VERSION = 1
FAINT_SNR = 5.0
"""Below this signal-to-noise of a perfect matched filter, an object cannot be asked of any detector: it is left out of
the training loss and stays in the evaluation."""
SECTOR_TOP = 1.3
"""How far up a labelled stretch of limb reaches, in radii: 550 km, above the highest plume known (Pele, 460 km)."""

TRUTH_COLUMNS = (
    "object_id", "frame_id", "kind", "name", "lat_deg", "lon_e_deg", "lon_w_deg", "height_km", "width_km",
    "optical_depth", "peak_i_over_f", "temperature_k", "area_km2", "power_gw_um", "snr_mf", "x_px", "y_px", "area_px",
    "family",
)  # fmt: skip
_TEXT_COLUMNS = ("object_id", "kind", "name", "family")
_DERIVED_COLUMNS = ("frame_id", "lon_w_deg", "area_px")
_SPLIT_COLUMNS = ("frame_id", "observation", "split")
_NO_PIXELS = np.zeros((0, 0), bool)


@dataclass(frozen=True)
class Truth:
    """One true object on one frame. NaN is "not known".

    Attributes:
        object_id: unique on its frame; the same object may carry the same id on other frames.
        kind: ``plume`` or ``hotspot``.
        patch: (h, w) bool, its pixels cut out of the frame; (0, 0) where none is above the truth limit.
        x0_px, y0_px: column and row of the patch's first pixel.
        x_px, y_px: where the object is: by default the centroid of its pixels.
        lat_deg, lon_e_deg: planetocentric, east-positive in [-180, 180).
        height_km, width_km, optical_depth, peak_i_over_f: of a plume.
        temperature_k, area_km2, power_gw_um: of a hot spot; the power is spectral, at the frame's wavelength.
        snr_mf: sqrt(sum s²/σ²) of the object's own noise-free signal: the signal-to-noise of a perfect matched filter.
        name, family: the volcano; the simulator's family of shapes, or where a real label came from.

    """

    object_id: str
    kind: str
    patch: NDArray[np.bool_] = field(default_factory=lambda: _NO_PIXELS, compare=False)
    x0_px: int = 0
    y0_px: int = 0
    name: str = ""
    lat_deg: float = math.nan
    lon_e_deg: float = math.nan
    height_km: float = math.nan
    width_km: float = math.nan
    optical_depth: float = math.nan
    peak_i_over_f: float = math.nan
    temperature_k: float = math.nan
    area_km2: float = math.nan
    power_gw_um: float = math.nan
    snr_mf: float = math.nan
    x_px: float = math.nan
    y_px: float = math.nan
    family: str = ""

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise ValueError(f"kind must be one of {CLASSES}, got {self.kind!r}")

    @classmethod
    def cut(cls, object_id: str, kind: str, mask: NDArray[np.bool_], **known: object) -> Truth:
        """Cut an object out of its pixels on the whole frame.

        Args:
            object_id: unique on the frame.
            kind: ``plume`` or ``hotspot``.
            mask: (H, W) bool; may be empty.
            **known: any other attribute.

        """
        rows, columns = np.nonzero(mask)
        if not rows.size:
            return cls(object_id, kind, **known)  # type: ignore[arg-type]
        y0, x0 = int(rows.min()), int(columns.min())
        patch = np.ascontiguousarray(mask[y0 : rows.max() + 1, x0 : columns.max() + 1], dtype=bool)
        known = {"x_px": float(columns.mean()), "y_px": float(rows.mean())} | known
        return cls(object_id, kind, patch, x0, y0, **known)  # type: ignore[arg-type]

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool: the object's pixels on a frame of ``shape``."""
        whole = np.zeros(shape, bool)
        height, width = self.patch.shape
        whole[self.y0_px : self.y0_px + height, self.x0_px : self.x0_px + width] = self.patch
        return whole

    @property
    def area_px(self) -> int:
        """How many pixels."""
        return int(self.patch.sum())

    @property
    def lon_w_deg(self) -> float:
        """West-positive longitude in [0, 360)."""
        west = -self.lon_e_deg % 360.0
        return 0.0 if west == 360.0 else west  # -1e-17 % 360 rounds up to 360

    @property
    def faint(self) -> bool:
        """Known to lie below what a detector can be asked for (``snr_mf`` < 5)."""
        return self.snr_mf < FAINT_SNR


@dataclass(frozen=True)
class LimbInterval:
    """A label that only names a stretch of limb: "something rises between these two angles".

    Attributes:
        kind: ``plume`` or ``hotspot``.
        start_rad, stop_rad: position angles, 0 = up, clockwise; the stretch runs clockwise from start to stop.
        name: what the labeller called it.

    """

    kind: str
    start_rad: float
    stop_rad: float
    name: str = ""


def sector(interval: LimbInterval, limb: Limb, shape: tuple[int, int]) -> Truth:
    """Turn a stretch of limb into an object: the ring sector from 0.97 to SECTOR_TOP radii between its two angles.

    Args:
        interval: the stretch.
        limb: the circle that its angles belong to; without one the object has no pixels.
        shape: (H, W) of the frame.

    """
    name = f"limb-{interval.kind}-{interval.start_rad:.3f}-{interval.stop_rad:.3f}"
    if not limb.trusted:
        return Truth(name, interval.kind, name=interval.name, family="limb interval")
    rows, columns = np.indices(shape)
    x, y = columns - limb.x_px, rows - limb.y_px
    radius = np.hypot(x, y) / limb.radius_px
    turned = (np.arctan2(x, -y) - interval.start_rad) % (2 * np.pi)
    inside = turned <= (interval.stop_rad - interval.start_rad) % (2 * np.pi)
    mask = inside & (radius >= 0.97) & (radius <= SECTOR_TOP)
    return Truth.cut(name, interval.kind, mask, name=interval.name, family="limb interval")


@dataclass(frozen=True)
class LabelledFrame:
    """What is true about one frame.

    Attributes:
        frame_id: the id that the reader gives the frame.
        file: path of its file below ``frames/``, with ``/``; the writer fills it in.
        mask: the true pixels of both classes, and where anybody looked.
        limb: the true circle, or none.
        objects: the objects; their pixels lie in ``mask``, which may hold more.
        observation: frames of one moment share it.
        split: ``train``, ``val`` or ``test``.
        instrument, filter: as the reader names them.
        limb_intervals: labels without pixels.

    """

    frame_id: str
    file: str
    mask: Mask
    limb: Limb
    objects: tuple[Truth, ...] = ()
    observation: str = ""
    split: str = "test"
    instrument: str = "unknown"
    filter: str = ""
    limb_intervals: tuple[LimbInterval, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.mask.known.shape
        return rows, columns

    @property
    def empty(self) -> bool:
        """Nothing to be found: no object, no labelled pixel, no labelled stretch of limb."""
        return not (self.objects or self.limb_intervals or self.mask.planes.any())


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
        self._splits: dict[str, tuple[str, str, str]] = {}

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
        self._images[known.frame_id] = _image_entry(known)
        self._annotations[known.frame_id] = _annotation_entries(known)
        self._intervals[known.frame_id] = [
            {"frame_id": known.frame_id, **asdict(interval)} for interval in known.limb_intervals
        ]
        self._truth[known.frame_id] = [_truth_row(known.frame_id, truth) for truth in known.objects]
        self._splits[known.frame_id] = (known.frame_id, known.observation, known.split)

    def close(self) -> None:
        """Write labels.coco.json, truth.csv, splits.csv and dataset.lock."""
        order = sorted(self._images)
        _write_json(self.folder / "labels.coco.json", self._coco(order))
        _write_csv(self.folder / "truth.csv", TRUTH_COLUMNS, (row for frame in order for row in self._truth[frame]))
        _write_csv(self.folder / "splits.csv", _SPLIT_COLUMNS, (self._splits[frame] for frame in order))
        write_lock(self.folder, self.made)

    def _coco(self, order: list[str]) -> dict:
        """Build the COCO document, with ids counted in the order of frame ids."""
        numbers = {frame: number for number, frame in enumerate(order, 1)}
        annotations = [
            {"id": 0, "image_id": numbers[frame], **entry} for frame in order for entry in self._annotations[frame]
        ]
        for number, annotation in enumerate(annotations, 1):
            annotation["id"] = number
        return {
            "info": {"description": "Plumes and hot spots on Io", "version": str(DATASET_VERSION)},
            "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)],
            "images": [{"id": numbers[frame], **self._images[frame]} for frame in order],
            "annotations": annotations,
            "limb_intervals": [entry for frame in order for entry in self._intervals[frame]],
        }


def write_lock(folder: Path, made: Mapping[str, object]) -> None:
    """Write ``dataset.lock``: the sha256 of every other file of the folder, and how it was made."""
    files = {path: sha256_of(folder / path) for path in _files_of(folder)}
    lock = {"dataset_version": DATASET_VERSION, "made": dict(made), "files": files}
    _write_json(folder / "dataset.lock", lock, indent=1)


def _files_of(folder: Path) -> list[str]:
    """Every file of a dataset but its lock, sorted, with ``/``."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path != "dataset.lock")


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


def _image_entry(labelled: LabelledFrame) -> dict:
    """Build the COCO image of a frame, without its number."""
    limb = labelled.limb
    extra: dict[str, object] = {
        "instrument": labelled.instrument,
        "filter": labelled.filter,
        "observation": labelled.observation,
        "limb": [float(limb.x_px), float(limb.y_px), float(limb.radius_px)] if limb.trusted else None,
    }
    if not labelled.mask.known.all():
        extra["unknown"] = _encode(~labelled.mask.known)
    rows, columns = labelled.shape
    return {
        "file_name": labelled.file,
        "frame_id": labelled.frame_id,
        "width": columns,
        "height": rows,
        "io": extra,
    }


def _annotation_entries(labelled: LabelledFrame) -> list[dict]:
    """One entry an object with pixels, and one for each class's pixels that no object owns."""
    left = labelled.mask.planes.copy()
    entries = []
    for truth in labelled.objects:
        pixels = truth.mask(labelled.shape)
        left[CLASSES.index(truth.kind)] &= ~pixels
        if pixels.any():
            entries.append(_annotation(truth.kind, truth.object_id, pixels))
    entries += [_annotation(kind, "", plane) for kind, plane in zip(CLASSES, left, strict=True) if plane.any()]
    return entries


def _annotation(kind: str, object_id: str, pixels: NDArray[np.bool_]) -> dict:
    code = _encode(pixels)
    return {
        "category_id": CLASSES.index(kind) + 1,
        "segmentation": code,
        "bbox": [float(side) for side in rle.toBbox(_as_bytes(code))],
        "area": int(pixels.sum()),
        "iscrowd": 0,
        "io": {"object_id": object_id},
    }


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


def _write_json(path: Path, document: object, indent: int | None = None) -> None:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent, sort_keys=indent is not None)
    path.write_text(text + "\n", encoding="utf-8")


def _encode(pixels: NDArray[np.bool_]) -> dict:
    """Compressed COCO RLE (column-major) of a (H, W) mask, with its counts as text so that JSON can hold it."""
    code = rle.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def _as_bytes(code: Mapping) -> dict:
    return {"size": list(code["size"]), "counts": code["counts"].encode("ascii")}


def _decode(code: Mapping) -> NDArray[np.bool_]:
    """(H, W) bool of a compressed RLE."""
    return rle.decode(_as_bytes(code)).astype(bool)


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
        patches = {note.get("io", {}).get("object_id", ""): note for note in self.annotations.get(frame_id, [])}
        observation, split = self.splits.get(frame_id, (extra.get("observation", ""), ""))
        return LabelledFrame(
            frame_id=frame_id,
            file=image["file_name"],
            mask=Mask(_planes(shape, self.annotations.get(frame_id, [])), _known(shape, extra.get("unknown"))),
            limb=_limb(extra.get("limb")),
            objects=tuple(_truth_of(row, patches.get(row["object_id"])) for row in self.truth.get(frame_id, [])),
            observation=observation,
            split=split,
            instrument=extra.get("instrument", "unknown"),
            filter=extra.get("filter", ""),
            limb_intervals=self.intervals.get(frame_id, ()),
        )

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
    coco = _read_json(folder / "labels.coco.json")
    missing = [key for key in ("images", "annotations", "categories") if key not in coco]
    if missing:
        raise InputError(folder / "labels.coco.json", f"lacks {missing}: not a COCO file")
    _check_categories(folder / "labels.coco.json", coco["categories"])
    names = {image["id"]: image.get("frame_id", Path(image["file_name"]).stem) for image in coco["images"]}
    images = {names[image["id"]]: image for image in coco["images"]}
    lock = folder / "dataset.lock"
    return Dataset(
        folder=folder,
        images={name: images[name] for name in sorted(images)},
        annotations=_grouped(coco["annotations"], lambda note: names.get(note["image_id"], "")),
        truth=_grouped(_read_csv(folder / "truth.csv"), lambda row: row["frame_id"]),
        splits={row["frame_id"]: (row["observation"], row["split"]) for row in _read_csv(folder / "splits.csv")},
        intervals=_intervals(coco.get("limb_intervals", [])),
        lock=_read_json(lock) if lock.is_file() else {},
    )


def _check_categories(path: Path, categories: list[dict]) -> None:
    named = {entry["id"]: entry["name"] for entry in categories}
    wanted = dict(enumerate(CLASSES, 1))
    if named != wanted:
        raise InputError(path, f"categories are {named}, expected {wanted}", "renumber the category ids")


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


def _planes(shape: tuple[int, int], notes: Iterable[dict]) -> NDArray[np.bool_]:
    planes = np.zeros((len(CLASSES), *shape), bool)
    for note in notes:
        planes[note["category_id"] - 1] |= _decode(note["segmentation"])
    return planes


def _known(shape: tuple[int, int], unknown: Mapping | None) -> NDArray[np.bool_]:
    return np.ones(shape, bool) if unknown is None else ~_decode(unknown)


def _limb(circle: list[float] | None) -> Limb:
    if not circle:
        return Limb.none("the labels name none")
    x, y, radius = circle
    return Limb(x, y, radius, source="label")


def _truth_of(row: Mapping[str, str], note: Mapping | None) -> Truth:
    """Read an object from its row and, where it has pixels, its annotation."""
    numbers = [name for name in TRUTH_COLUMNS if name not in _TEXT_COLUMNS + _DERIVED_COLUMNS]
    known: dict[str, object] = {name: float(row[name]) if row.get(name) else math.nan for name in numbers}
    known |= {name: row.get(name, "") for name in ("name", "family")}
    pixels = _NO_PIXELS if note is None else _decode(note["segmentation"])
    return Truth.cut(row["object_id"], row["kind"], pixels, **known)


def _read_json(path: Path) -> dict:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(path, "is missing", "give a dataset folder") from None
    except ValueError as error:
        raise InputError(path, f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(path, f"holds a {type(document).__name__}, expected an object")
    return document


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError:
        raise InputError(path, "is missing", "give a dataset folder") from None


# ------------------------------------------------------------------------------------------------------------- checking


def check_dataset(folder: Path, read_pixels: bool = True) -> list[str]:
    """Everything that is wrong with a dataset, one sentence each; an empty list is a sound dataset.

    Args:
        folder: the dataset.
        read_pixels: also open every file and compare the frames' ids and sizes with the labels'.

    """
    try:
        dataset = read_dataset(folder)
        images = _read_json(folder / "labels.coco.json")["images"]
    except InputError as error:
        return [str(error)]
    problems = _repeated(images, dataset) + _split_problems(dataset) + _table_problems(dataset)
    problems += _size_problems(dataset) + _lock_problems(folder, dataset.lock)
    missing = [image["file_name"] for image in images if not (folder / "frames" / image["file_name"]).is_file()]
    problems += [f"frames/{name}: is missing" for name in sorted(set(missing))]
    if read_pixels and not missing:
        problems += _pixel_problems(dataset)
    return problems


def _repeated(images: list[dict], dataset: Dataset) -> list[str]:
    frames = Counter(image.get("frame_id", "") for image in images)
    objects = Counter((frame, row["object_id"]) for frame, rows in dataset.truth.items() for row in rows)
    problems = [f"labels.coco.json: frame_id {name!r} appears {n} times" for name, n in frames.items() if n > 1]
    return problems + [f"truth.csv: object {key} appears {count} times" for key, count in objects.items() if count > 1]


def _split_problems(dataset: Dataset) -> list[str]:
    places: dict[str, set[str]] = defaultdict(set)
    for observation, split in dataset.splits.values():
        places[observation].add(split)
    problems = [
        f"splits.csv: observation {name!r} is in {sorted(splits)}, expected one split"
        for name, splits in places.items()
        if len(splits) > 1
    ]
    labelled, listed = set(dataset.images), set(dataset.splits)
    problems += [f"splits.csv: frame {name!r} has no split" for name in sorted(labelled - listed)]
    return problems + [f"splits.csv: frame {name!r} has no label" for name in sorted(listed - labelled)]


def _table_problems(dataset: Dataset) -> list[str]:
    """Where the truth table and the annotations disagree."""
    problems = [f"truth.csv: frame {name!r} has no label" for name in dataset.truth if name not in dataset.images]
    for name, notes in dataset.annotations.items():
        listed = {row["object_id"]: row["kind"] for row in dataset.truth.get(name, [])}
        for note in notes:
            object_id, kind = note.get("io", {}).get("object_id", ""), CLASSES[note["category_id"] - 1]
            if object_id and listed.get(object_id) != kind:
                found = listed.get(object_id, "missing")
                problems.append(f"truth.csv: {kind} {object_id!r} of frame {name!r} is {found}")
    return problems


def _size_problems(dataset: Dataset) -> list[str]:
    """Annotations that are not as large as their image."""
    return [
        f"labels.coco.json: annotation {note['id']} is {note['segmentation']['size']}, its image {size} (rows, columns)"
        for name, image in dataset.images.items()
        for size in [[image["height"], image["width"]]]
        for note in dataset.annotations.get(name, [])
        if note["segmentation"]["size"] != size
    ]


def _lock_problems(folder: Path, lock: Mapping) -> list[str]:
    if not lock:
        return ["dataset.lock: is missing"]
    locked, present = lock.get("files", {}), _files_of(folder)
    problems = [f"{name}: is in dataset.lock but not in the folder" for name in sorted(set(locked) - set(present))]
    problems += [f"{name}: is not in dataset.lock" for name in present if name not in locked]
    changed = [name for name in present if name in locked and sha256_of(folder / name) != locked[name]]
    return problems + [f"{name}: its sha256 is not the one in dataset.lock: the file was changed" for name in changed]


def _pixel_problems(dataset: Dataset) -> list[str]:
    """Frames that the readers do not give, or give in another size."""
    problems = []
    for file_name in sorted({image["file_name"] for image in dataset.images.values()}):
        wanted = {name: image for name, image in dataset.images.items() if image["file_name"] == file_name}
        try:
            sizes = {frame.id: frame.shape for frame in dataset.frames(file_name)}
        except InputError as error:
            problems.append(str(error))
            continue
        for name, image in wanted.items():
            if sizes.get(name) != (image["height"], image["width"]):
                found = sizes.get(name, f"not among {sorted(sizes)}")
                problems.append(f"frames/{file_name}: {name} is {found}, expected {(image['height'], image['width'])}")
    return problems
