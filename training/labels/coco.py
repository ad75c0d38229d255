"""COCO: polygons and run lengths, as pycocotools, CVAT and Label Studio write them, and as a dataset keeps them.

Conventions
-----------
* The first pixel covers 0..1: the outline 2,3, 6,3, 6,7, 2,7 is columns 2 to 5 of rows 3 to 6. Polygons are filled as
  pycocotools fills them. Several polygons of one annotation are one object.
* ``segmentation`` is a list of polygons, or run lengths, compressed (text) or not (numbers). CVAT writes what was
  painted with the brush as numbers and calls it ``iscrowd``: here it is an object like any other.
* Categories go by name, in any case; their ids may begin with 0, as Label Studio's do, or with 1. A class without
  a category was not looked for. A category ``unknown`` marks pixels that nobody could tell.
* A picture that is listed without annotation is one on which nothing was found, not one that nobody looked at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from detector.errors import InputError
from detector.frame import CLASSES
from detector.limb import Limb
from detector.readers.layout import check_size
from training.labels.documents import Part, Problems, parsed, read_json, shown
from training.labels.picture_labels import NO_ALIASES, UNKNOWN, Aliases, Drawn, PictureLabels, kind_of, polygon_pixels
from training.labels.rle import Plane, bounding_box, decode, encode, outlines
from training.labels.truth import UNSTATED, LabelledFrame, LimbInterval

DATASET_VERSION = 1
Id = int | str


class Category(Part):
    """A class of the file."""

    id: int
    name: str


class Image(Part):
    """A picture of the file; ``io`` and ``frame_id`` are there where this project wrote it."""

    id: Id
    file_name: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    frame_id: str = ""
    io: dict[str, Any] = Field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width


class Annotation(Part):
    """A shape of the file."""

    id: Any = None
    image_id: Id
    category_id: int
    segmentation: Any = None
    io: dict[str, Any] = Field(default_factory=dict)


class Interval(Part):
    """A stretch of limb."""

    frame_id: str
    kind: str
    start_rad: float = Field(allow_inf_nan=False)
    stop_rad: float = Field(allow_inf_nan=False)
    name: str = ""


class Coco(Part):
    """The file."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]
    limb_intervals: list[Interval] = Field(default_factory=list)


# -- reading ----------------------------------------------------------------------------------------------------------


def read(path: Path, aliases: Aliases = NO_ALIASES) -> list[PictureLabels]:
    """Read what a file says about each of its pictures.

    Args:
        path: the JSON file.
        aliases: further names of categories, and the class of each.

    Raises:
        InputError: whatever is wrong with it; several things in one error.

    """
    coco = parsed(Coco, read_json(path), path)
    _check_ids(path, coco)
    names = {entry.id: entry.name for entry in coco.categories}
    notes: dict[Id, list[Annotation]] = defaultdict(list)
    for note in coco.annotations:
        notes[note.image_id].append(note)
    problems = Problems()
    kinds: dict[int, str] = {}
    for number in {note.category_id for note in coco.annotations}:
        with problems.noted():
            kinds[number] = _kind(path, names, number, aliases)
    pictures = []
    for image in coco.images:
        with problems.noted():
            pictures.append(_picture(path, coco, image, notes[image.id], kinds, _looked_for(names.values(), aliases)))
    problems.refuse(path)
    return pictures


def _check_ids(path: Path, coco: Coco) -> None:
    """Refuse ids that are not unique, or lead nowhere."""
    if not coco.images:
        raise InputError(path, "lists no picture", "export it with its images")
    for what, entries in (("images", coco.images), ("categories", coco.categories)):
        for key, count in Counter(entry.id for entry in entries).items():  # type: ignore[attr-defined]
            if count > 1:
                raise InputError(path, f"{what}: id {key!r} appears {count} times, expected each once")
    known = {image.id for image in coco.images}
    for note in coco.annotations:
        if note.image_id not in known:
            raise InputError(path, f"annotation {note.id!r} belongs to image {note.image_id!r}, which is not listed")


def _kind(path: Path, names: Mapping[int, str], number: int, aliases: Aliases) -> str:
    if number not in names:
        raise InputError(path, f"category {number} is not listed, there are {dict(names)}")
    try:
        return kind_of(names[number], aliases)
    except ValueError as error:
        raise InputError(path, str(error), "rename it, or say what it is with --category") from error


def _looked_for(names: Iterable[str], aliases: Aliases) -> tuple[str, ...]:
    """List the classes that the file has a category for."""
    found = set()
    for name in names:
        try:
            found.add(kind_of(name, aliases))
        except ValueError:  # a category that nobody used may be called anything
            continue
    return tuple(kind for kind in CLASSES if kind in found)


def _picture(
    path: Path, coco: Coco, image: Image, notes: Sequence[Annotation], kinds: Mapping[int, str], looked: tuple[str, ...]
) -> PictureLabels:
    check_size(path, image.height, image.width)
    drawn = [_drawn(path, image, note, kinds[note.category_id]) for note in notes if note.category_id in kinds]
    if image.io.get("unknown"):
        drawn.append(Drawn.of(UNKNOWN, _pixels(path, image, "unknown", image.io["unknown"])))
    mine = [entry for entry in coco.limb_intervals if image.frame_id and entry.frame_id == image.frame_id]
    return PictureLabels(
        source=path,
        picture=image.file_name,
        shape=image.shape,
        drawn=tuple(drawn),
        looked_for=tuple(image.io.get("looked_for", looked)),
        limb=limb_of(image.io, path),
        intervals=tuple(LimbInterval(one.kind, one.start_rad, one.stop_rad, one.name) for one in mine),
        by_limb=bool(image.io.get("by_limb", False)),
        frame_id=image.frame_id,
    )


def _drawn(path: Path, image: Image, note: Annotation, kind: str) -> Drawn:
    pixels = _pixels(path, image, f"annotation {note.id!r}", note.segmentation)
    return Drawn.of(kind, pixels, note.io.get("object_id"), str(note.io.get("name", "")))


def _pixels(path: Path, image: Image, what: str, segmentation: Any) -> Plane:
    try:
        pixels = segmentation_pixels(segmentation, image.shape)
        if not pixels.any():
            raise ValueError("covers no pixel")
    except ValueError as error:
        raise InputError(path, f"{what} of {image.file_name}: {error}", "draw it again, or remove it") from error
    return pixels


def segmentation_pixels(segmentation: Any, shape: tuple[int, int]) -> Plane:
    """(H, W) bool of a COCO segmentation of any kind.

    Raises:
        ValueError: it is empty, of another size, damaged, or has points that cannot be.

    """
    if not segmentation:
        raise ValueError(f"has no outline ({shown(segmentation)}); a box alone is not a mask")
    if isinstance(segmentation, Mapping):
        return _run_lengths(segmentation, shape)
    if not isinstance(segmentation, list):
        raise ValueError(f"segmentation {shown(segmentation)}, expected polygons or run lengths")
    polygons = [segmentation] if all(isinstance(one, int | float) for one in segmentation) else segmentation
    for polygon in polygons:
        if not isinstance(polygon, list) or not all(isinstance(one, int | float) for one in polygon):
            raise ValueError(f"polygon {shown(polygon)}, expected a list of numbers")
    return polygon_pixels(polygons, shape)


def _run_lengths(code: Mapping, shape: tuple[int, int]) -> Plane:
    size, counts = code.get("size"), code.get("counts")
    if size != list(shape):
        raise ValueError(f"run lengths of size {size}, its image is {list(shape)} (rows, columns)")
    if not isinstance(counts, str | list) or (isinstance(counts, list) and not all(isinstance(n, int) for n in counts)):
        raise ValueError(f"counts {shown(counts)}, expected text or whole numbers")
    return decode(code)


def limb_of(extra: Mapping[str, Any], path: Path) -> Limb:
    """Circle that ``io`` names: x, y and radius, null where there is none, nothing where it is not known.

    Raises:
        InputError: it is no circle.

    """
    if "limb" not in extra:
        return Limb.none(UNSTATED)
    circle = extra["limb"]
    if circle is None:
        return Limb.none("the labels name none")
    numbers = isinstance(circle, list) and len(circle) == 3 and all(isinstance(n, int | float) for n in circle)
    if not numbers or not np.isfinite(circle).all() or circle[2] <= 0:
        raise InputError(path, f"limb {shown(circle)}, expected [x, y, radius] in pixels, finite, radius above 0")
    x, y, radius = circle
    return Limb(x, y, radius, source="label")


# -- writing ----------------------------------------------------------------------------------------------------------


def image_entry(labelled: LabelledFrame) -> dict:
    """Build the COCO image of a frame, without its number."""
    limb = labelled.limb
    extra: dict[str, object] = {
        "instrument": labelled.instrument,
        "filter": labelled.filter,
        "observation": labelled.observation,
    }
    if labelled.limb_known:
        extra["limb"] = [float(limb.x_px), float(limb.y_px), float(limb.radius_px)] if limb.trusted else None
    if not labelled.mask.known.all():
        extra["unknown"] = encode(~labelled.mask.known)
    if labelled.orbit:
        extra["orbit"] = labelled.orbit
    if labelled.looked_for != CLASSES:
        extra["looked_for"] = list(labelled.looked_for)
    if labelled.by_limb:
        extra["by_limb"] = True
    rows, columns = labelled.shape
    return {
        "file_name": labelled.file,
        "frame_id": labelled.frame_id,
        "width": columns,
        "height": rows,
        "io": extra,
    }


def annotation_entries(labelled: LabelledFrame, draw: Callable[[Plane], Any] = encode) -> list[dict]:
    """One entry an object with pixels, and one for each class's pixels that no object owns.

    Args:
        labelled: the frame.
        draw: what makes the segmentation of a mask.

    """
    left = labelled.mask.planes.copy()
    entries = []
    for truth in labelled.objects:
        pixels = truth.mask(labelled.shape)
        left[CLASSES.index(truth.kind)] &= ~pixels
        if pixels.any():
            entries.append(annotation(truth.kind, truth.object_id, pixels, draw))
    return entries + [
        annotation(kind, "", plane, draw) for kind, plane in zip(CLASSES, left, strict=True) if plane.any()
    ]


def annotation(kind: str, object_id: str, pixels: Plane, draw: Callable[[Plane], Any] = encode) -> dict:
    """Build the COCO annotation of one mask (H, W), without its number."""
    return {
        "category_id": [*CLASSES, UNKNOWN].index(kind) + 1,
        "segmentation": draw(pixels),
        "bbox": bounding_box(encode(pixels)),
        "area": int(pixels.sum()),
        "iscrowd": 0,
        "io": {"object_id": object_id},
    }


def as_polygons(pixels: Plane) -> list[list[float]]:
    """Segmentation of a mask as polygons along its pixels' edges."""
    return [outline.ravel().tolist() for outline in outlines(pixels)]


def interval_entries(labelled: LabelledFrame) -> list[dict]:
    """Stretches of limb of one frame."""
    return [{"frame_id": labelled.frame_id, **asdict(interval)} for interval in labelled.limb_intervals]


def document(
    images: Sequence[dict],
    annotations: Iterable[Sequence[dict]],
    intervals: Iterable[dict] = (),
    names: Sequence[str] = CLASSES,
) -> dict:
    """Build the whole file: images are numbered in their order, and their annotations, given image by image, too."""
    notes = [{"id": 0, "image_id": number, **one} for number, some in enumerate(annotations, 1) for one in some]
    for number, note in enumerate(notes, 1):
        note["id"] = number
    return {
        "info": {"description": "Plumes and hot spots on Io", "version": str(DATASET_VERSION)},
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, 1)],
        "images": [{"id": number, **image} for number, image in enumerate(images, 1)],
        "annotations": notes,
        "limb_intervals": list(intervals),
    }


def exchange(frames: Iterable[tuple[str, LabelledFrame]], polygons: bool) -> dict:
    """Build a file for other tools: pictures by the names given, pixels that nobody could tell as a third category.

    Args:
        frames: the picture's name, and what is true about it.
        polygons: outlines instead of run lengths.

    """
    draw: Callable[[Plane], Any] = as_polygons if polygons else encode
    pairs = list(frames)
    images = []
    for name, labelled in pairs:
        entry = image_entry(labelled)
        entry["io"].pop("unknown", None)
        images.append(entry | {"file_name": name})
    notes = [annotation_entries(labelled, draw) + list(_unknown(labelled, draw)) for _, labelled in pairs]
    intervals = [entry for _, labelled in pairs for entry in interval_entries(labelled)]
    return document(images, notes, intervals, (*CLASSES, UNKNOWN))


def _unknown(labelled: LabelledFrame, draw: Callable[[Plane], Any]) -> Iterator[dict]:
    if not labelled.mask.known.all():
        yield annotation(UNKNOWN, "", ~labelled.mask.known, draw)
