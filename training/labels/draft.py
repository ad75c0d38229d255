"""What the detector finds, as labels to correct: pictures and a COCO file for CVAT or Label Studio.

``labels import`` takes the corrected file back onto the archive frames: a picture's name carries the frame's id and the
first digits of its file's sha256, and no tool loses a name.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.detect import Detector, Result
from detector.errors import InputError
from detector.frame import CLASSES, Frame
from detector.products import Product, find_products
from detector.readers import read_frames
from detector.regions import Region
from detector.session import Model
from training.labels import coco
from training.labels.dataset import LABELS, write_json
from training.labels.documents import read_json
from training.labels.frame_finder import picture_name
from training.labels.picture_labels import UNKNOWN
from training.labels.pictures import Stretch, picture
from training.labels.rle import Polygon, outlines

IMAGES, PARTS, TABLE = "images", ".drafted", "pictures.csv"
TABLE_COLUMNS = (
    "picture", "frame_id", "file", "sha256", "width", "height", "unit", "function", "black", "white", "softening",
)  # fmt: skip


@dataclass(frozen=True)
class Drafted:
    """What was drafted.

    Attributes:
        pictures: how many.
        regions: how many, by class.
        failed: files that could not be read, and why.

    """

    pictures: int
    regions: dict[str, int]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Drafter:
    """Draws what a detector finds.

    Attributes:
        detector: with its model and operating point.
        simplify_px: outlines may run so far off the pixels' edges, to have fewer points; 0 is to the pixel.

    """

    detector: Detector
    simplify_px: float = 0.0

    @property
    def rule(self) -> dict[str, Any]:
        """What decides the draft of a frame."""
        return {
            "model": self.detector.model.name,
            "sha256": self.detector.model.sha256,
            "operating_point": self.detector.operating_point,
            "simplify_px": self.simplify_px,
        }

    def __call__(self, frame: Frame, file: str, stretch: Stretch) -> dict[str, Any]:
        """Build the COCO image of a frame and its annotations, neither numbered."""
        result = self.detector(frame)
        rows, columns = frame.shape
        extra = {
            "file": file, "sha256": frame.sha256, "instrument": frame.instrument, "filter": frame.filter,
            "observation": frame.observation, "unit": frame.unit, "stretch": stretch.as_dict(),
        }  # fmt: skip
        image = {"file_name": f"{picture_name(frame)}.png", "frame_id": frame.id, "width": columns, "height": rows}
        notes = [self._annotation(n, region, result) for n, region in enumerate(result.regions, 1)]
        return {"rule": self.rule, "image": image | {"io": extra}, "annotations": notes}

    def _annotation(self, number: int, region: Region, result: Result) -> dict[str, Any]:
        name = f"{result.frame.id}-{region.kind}-{number}"
        whole = np.zeros(result.frame.shape, bool)
        whole[region.box] = region.pixels
        draw = coco.annotation(region.kind, name, whole, lambda _: self._polygons(region))
        return draw | {"score": round(region.score, 4)}

    def _polygons(self, region: Region) -> list[list[float]]:
        corner = np.array([region.x0, region.y0], float)
        return [(self._simple(outline) + corner).ravel().tolist() for outline in outlines(region.pixels)]

    def _simple(self, outline: Polygon) -> Polygon:
        if not self.simplify_px:
            return outline
        fewer = cv2.approxPolyDP(outline.astype(np.float32), self.simplify_px, closed=True).reshape(-1, 2)
        return fewer.astype(float) if len(fewer) > 2 else outline


def draft(
    paths: Sequence[Path],
    out: Path,
    model: Path | None = None,
    operating_point: str = "screening",
    simplify_px: float = 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Drafted:
    """Write pictures of frames and what the detector finds on them.

    ``out`` gets ``images/*.png``, ``labels.coco.json`` and ``pictures.csv`` (which frame each picture is, and how it
    was stretched). Interrupted, the same command goes on; a finished draft is never written over.

    Args:
        paths: files, folders and patterns of readable products.
        out: the folder.
        model: the .onnx file; None takes the released model.
        operating_point: ``screening`` or ``confident``. To strike out what is wrong is less work than to find what is
            missing.
        simplify_px: see ``Drafter``.
        progress: is told products done and all.

    Raises:
        InputError: nothing to read, a finished draft, or one begun by another rule.
        ModelError: the model cannot be used.

    """
    products = find_products(paths)
    if not products:
        raise InputError(", ".join(map(str, paths)), "holds no frame that can be read", "check the paths")
    if (out / LABELS).exists():
        raise InputError(out, "holds a finished draft, which may have been corrected", "name another --out")
    drafter = Drafter(Detector(Model.open(model), operating_point), simplify_px)
    _check_begun(out, drafter.rule)
    (out / IMAGES).mkdir(parents=True, exist_ok=True)
    (out / PARTS).mkdir(exist_ok=True)
    parts: dict[str, dict[str, Any]] = {}
    failed: list[str] = []
    for number, product in enumerate(products, 1):
        try:
            parts |= {part["image"]["file_name"]: part for part in _parts(product, drafter, out)}
        except InputError as error:
            failed.append(str(error))
        progress(number, len(products))
    if not parts:
        raise InputError(out, f"not one frame could be read: {failed[0]}", "check the paths")
    _finish(out, [parts[name] for name in sorted(parts)])
    kinds = [note["category_id"] for part in parts.values() for note in part["annotations"]]
    return Drafted(len(parts), {kind: kinds.count(n) for n, kind in enumerate(CLASSES, 1)}, tuple(failed))


def _check_begun(out: Path, rule: dict[str, Any]) -> None:
    """Refuse to go on with what was begun by another rule."""
    for place in sorted((out / PARTS).glob("*.json"))[:1]:
        begun = read_json(place).get("rule")
        if begun != rule:
            raise InputError(out, f"was begun with {begun}, not {rule}", "name another --out")


def _parts(product: Product, drafter: Drafter, out: Path) -> Iterator[dict[str, Any]]:
    """Draft every frame of a product, or take up what an interrupted run has drafted."""
    for frame in read_frames(product):
        name = picture_name(frame)
        place = out / PARTS / f"{name}.json"
        if place.is_file():
            yield read_json(place)
            continue
        stretch = Stretch.of(frame)
        part = drafter(frame, product.data.name, stretch)
        (out / IMAGES / f"{name}.png").write_bytes(picture(frame, stretch))
        unfinished = place.with_suffix(".part")
        unfinished.write_text(json.dumps(part, allow_nan=False))
        unfinished.replace(place)
        yield part


def _finish(out: Path, parts: Sequence[dict[str, Any]]) -> None:
    """Put the parts together; the labels last, for they say that the draft is finished."""
    with (out / TABLE).open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, TABLE_COLUMNS, lineterminator="\n", extrasaction="ignore")
        table.writeheader()
        for image in (part["image"] for part in parts):
            table.writerow(image | image["io"] | image["io"]["stretch"] | {"picture": image["file_name"]})
    images, notes = [part["image"] for part in parts], [part["annotations"] for part in parts]
    write_json(out / LABELS, coco.document(images, notes, (), (*CLASSES, UNKNOWN)))
    for path in (out / PARTS).iterdir():
        path.unlink()
    (out / PARTS).rmdir()
