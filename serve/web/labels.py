"""Corrections as a dataset: the form that training reads, written anew whenever something is corrected.

::

    STORE/labels/
    ├── frames/<key>/      the archive files of each corrected frame as they are; a frame whose name was changed to tell
    │                      it from another product's is written as FITS, so that the reader gives it that name
    ├── labels.coco.json   categories 1 plume and 2 hotspot, one compressed RLE an object
    ├── truth.csv          one row an object; what a correction does not know is empty
    ├── splits.csv         by observation, drawn by its hash: 80 % train, 10 % val, 10 % test
    └── dataset.lock       the sha256 of every file

What is accepted or redrawn is an object. What is rejected is none, and its pixels are known to be empty. Detections
that nobody judged are neither: their pixels are ``unknown``. The rest of a corrected frame was looked at.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from pycocotools import mask as rle

from detector.frame import CLASSES, sha256_of
from serve.atomic import sweep, write_whole
from serve.batch import software_version
from serve.web.outlines import Polygon, pixels_of
from serve.web.pictures import read_pixels
from serve.web.store import Document, Store

DATASET_VERSION = 1
TRUTH_COLUMNS = (
    "object_id", "frame_id", "kind", "name", "lat_deg", "lon_e_deg", "lon_w_deg", "height_km", "width_km",
    "optical_depth", "peak_i_over_f", "temperature_k", "area_km2", "power_gw_um", "snr_mf", "x_px", "y_px", "area_px",
    "family",
)  # fmt: skip
SPLIT_COLUMNS = ("frame_id", "observation", "split")
FAMILY = "correction"
SPLITS = ((0.8, "train"), (0.9, "val"), (1.0, "test"))


@dataclass(frozen=True)
class Labelled:
    """One object on a frame.

    Attributes:
        object_id: unique on the frame.
        kind: ``plume`` or ``hotspot``.
        pixels: (H, W) bool, at least one.
        name: the volcano, where the detection that it rests on has one.

    """

    object_id: str
    kind: str
    pixels: NDArray[np.bool_]
    name: str = ""


def objects_of(document: Document, correction: Document) -> list[Labelled]:
    """Return the objects that a correction leaves on a frame; of a redraw that covers no pixel, none.

    Args:
        document: the frame's.
        correction: what was said to it.

    """
    rows = {row["detection_id"]: row for row in document["detections"]}
    outlines = _outlines(document)
    found = []
    for one in correction["objects"]:
        polygons = one["polygons"] if one["decision"] == "redraw" else outlines.get(one["detection_id"], [])
        if one["decision"] != "reject" and polygons:
            pixels = pixels_of(polygons, _shape(document))
            name = (rows.get(one["detection_id"]) or {}).get("volcano") or ""
            found.append(Labelled(one["object_id"], one["kind"], pixels, name))
    return [one for one in found if one.pixels.any()]


def unknown_of(document: Document, correction: Document) -> NDArray[np.bool_]:
    """(H, W) bool: pixels of detections that nobody judged."""
    judged = {one["detection_id"] for one in correction["objects"]}
    left = [polygon for name, outline in _outlines(document).items() if name not in judged for polygon in outline]
    return pixels_of(left, _shape(document)) if left else np.zeros(_shape(document), bool)


class Labels:
    """The dataset of one store."""

    def __init__(self, store: Store) -> None:
        self._store, self._folder = store, store.labels
        self._lock = threading.Lock()
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._entries: dict[tuple[str, int, str], _Entry] = {}

    def write(self) -> None:
        """Write the dataset anew; without a correction there is none."""
        with self._lock:
            frames = [self._entry(frame) for frame in self._store.corrected()]
            known = [entry for entry in frames if entry is not None]
            if not known and not self._folder.exists():
                return
            sweep(self._folder)
            write_whole(self._folder / "labels.coco.json", _json(_coco(known)))
            write_whole(self._folder / "truth.csv", _csv(TRUTH_COLUMNS, (row for one in known for row in one.truth)))
            write_whole(self._folder / "splits.csv", _csv(SPLIT_COLUMNS, (one.split for one in known)))
            write_whole(self._folder / "dataset.lock", _json(self._lock_document(), indent=1))

    def _entry(self, frame: str) -> _Entry | None:
        """Return what the tables hold of a frame; None where the frame is gone."""
        document, correction = self._store.frame(frame), self._store.correction(frame)
        if document is None or correction is None or not document["opened"]:
            return None
        key = frame, correction["revision"], document["added"]
        if key not in self._entries:
            file_name = self._put_files(frame, document)
            self._entries[key] = _Entry.of(document, file_name, correction)
        return self._entries[key]

    def _put_files(self, frame: str, document: Document) -> str:
        """Put the frame's files into ``frames/`` and return the path of the one with the pixels, from there."""
        files = self._store.files_of(document["digest"])
        renamed = document["digest"][:8] in frame
        folder = self._folder / "frames" / document["digest"][:12]
        folder.mkdir(parents=True, exist_ok=True)
        if renamed or not files or not all(path.is_file() for path in files.values()):
            path = folder / f"{frame}.fits"
            if not path.exists():
                write_whole(path, _as_fits(document, read_pixels(self._store.frames / frame)))
            return path.relative_to(self._folder / "frames").as_posix()
        for path in files.values():
            _link(path, folder / path.name)
        return (folder / files["data"].name).relative_to(self._folder / "frames").as_posix()

    def _lock_document(self) -> Document:
        made = {"generator": "io-detector serve", "version": software_version(), "how": "corrections by hand"}
        return {"dataset_version": DATASET_VERSION, "made": made, "files": dict(self._hashed())}

    def _hashed(self) -> Iterator[tuple[str, str]]:
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            name = path.relative_to(self._folder).as_posix()
            if name != "dataset.lock":
                status = path.stat()
                key = name, status.st_size, status.st_mtime_ns
                if key not in self._hashes:
                    self._hashes[key] = sha256_of(path)
                yield name, self._hashes[key]


@dataclass(frozen=True)
class _Entry:
    """What the tables hold of one frame; images and annotations without their numbers."""

    image: Document
    annotations: tuple[Document, ...]
    truth: tuple[list[str], ...]
    split: tuple[str, str, str]

    @classmethod
    def of(cls, document: Document, file_name: str, correction: Document) -> _Entry:
        """Return the entry of a corrected frame."""
        frame, objects = str(document["frame"]["frame_id"]), objects_of(document, correction)
        return cls(
            _image(document, file_name, unknown_of(document, correction)),
            tuple(_annotation(one) for one in objects),
            tuple(_truth_row(frame, one) for one in objects),
            (frame, document["facts"]["observation"], _split(document["facts"]["observation"])),
        )


def _image(document: Document, file_name: str, unknown: NDArray[np.bool_]) -> Document:
    row, facts, limb = document["frame"], document["facts"], document["limb"]
    circle = [limb[key] for key in ("x_px", "y_px", "radius_px")]
    extra = {
        "instrument": row["instrument"] or "unknown",
        "filter": row["filter"] or "",
        "observation": facts["observation"],
        "limb": None if None in circle else circle,
    }
    if unknown.any():
        extra["unknown"] = _rle(unknown)
    size = {"width": facts["columns"], "height": facts["rows"]}
    return {"file_name": file_name, "frame_id": row["frame_id"], **size, "io": extra}


def _truth_row(frame: str, one: Labelled) -> list[str]:
    y, x = np.nonzero(one.pixels)
    known = {"object_id": one.object_id, "frame_id": frame, "kind": one.kind, "name": one.name, "family": FAMILY}
    known |= {"x_px": repr(float(x.mean())), "y_px": repr(float(y.mean())), "area_px": str(x.size)}
    return [known.get(column, "") for column in TRUTH_COLUMNS]


def _split(observation: str) -> str:
    """Draw a split by the observation's hash: the same one whenever it is asked for."""
    share = int(hashlib.sha256(observation.encode("utf-8", "backslashreplace")).hexdigest()[:8], 16) / 2**32
    return next(split for limit, split in SPLITS if share < limit)


def _coco(entries: Sequence[_Entry]) -> Document:
    pairs = [(number, one) for number, entry in enumerate(entries, 1) for one in entry.annotations]
    return {
        "info": {"description": "Plumes and hot spots on Io, corrected by hand", "version": str(DATASET_VERSION)},
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)],
        "images": [{"id": number, **entry.image} for number, entry in enumerate(entries, 1)],
        "annotations": [{"id": count, "image_id": number, **one} for count, (number, one) in enumerate(pairs, 1)],
        "limb_intervals": [],
    }


def _annotation(one: Labelled) -> Document:
    y, x = np.nonzero(one.pixels)
    box = (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1)
    return {
        "category_id": CLASSES.index(one.kind) + 1,
        "segmentation": _rle(one.pixels),
        "bbox": [float(side) for side in box],
        "area": int(x.size),
        "iscrowd": 0,
        "io": {"object_id": one.object_id},
    }


def _rle(pixels: NDArray[np.bool_]) -> Document:
    code = rle.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def _outlines(document: Mapping[str, Any]) -> dict[str, list[Polygon]]:
    pairs = zip(document["detections"], document["outlines"], strict=True)
    return {row["detection_id"]: outline["coordinates"] for row, outline in pairs}


def _shape(document: Document) -> tuple[int, int]:
    return document["facts"]["rows"], document["facts"]["columns"]


def _as_fits(document: Document, pixels: NDArray[np.float32]) -> bytes:
    row, facts = document["frame"], document["facts"]
    known = {
        "INSTRUME": row["instrument"],
        "FILTER": row["filter"],
        "DATE-OBS": row["start_time_utc"],
        "EXPTIME": facts["exposure_s"],
        "OBJECT": facts["target"],
        "BUNIT": facts["unit"],
    }
    hdu = fits.PrimaryHDU(np.asarray(pixels))
    for key, value in known.items():
        if value not in (None, ""):
            hdu.header[key] = value if not isinstance(value, str) else value.encode("ascii", "replace").decode()
    stream = io.BytesIO()
    hdu.writeto(stream)
    return stream.getvalue()


def _link(path: Path, place: Path) -> None:
    """Put a file into a second place without a copy, where the disk can."""
    if place.exists():
        return
    try:
        os.link(path, place)
    except OSError:
        shutil.copyfile(path, place)


def _csv(columns: Sequence[str], rows: Iterator[Sequence[str]] | Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _json(document: Document, indent: int | None = None) -> bytes:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)
    return (text + "\n").encode("utf-8", "backslashreplace")
