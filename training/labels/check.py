"""Everything that is wrong with a dataset, said in one sentence each."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from detector.errors import InputError
from detector.frame import CLASSES, Frame
from training.labels.coco import limb_of
from training.labels.dataset import LABELS, Dataset, lock_problems, read_dataset
from training.labels.documents import read_json
from training.labels.splits import SPLITS, leaks
from training.labels.truth import LabelledFrame, LimbInterval


def check_dataset(folder: Path, read_pixels: bool = True) -> list[str]:
    """Everything that is wrong with a dataset, one sentence each; an empty list is a sound dataset.

    Args:
        folder: the dataset.
        read_pixels: also open every file and compare the frames' ids, sizes and pixels with the labels'.

    """
    try:
        dataset = read_dataset(folder)
        document = read_json(folder / LABELS)
    except InputError as error:
        return [str(error)]
    problems = _repeated(document, dataset) + _stray(document) + _split_problems(dataset) + _table_problems(dataset)
    problems += _label_problems(dataset) + lock_problems(folder, dataset.lock)
    names = {image["file_name"] for image in document["images"]}
    missing = [name for name in sorted(names) if not (folder / "frames" / name).is_file()]
    problems += [f"frames/{name}: is missing" for name in missing]
    if read_pixels and not missing:
        problems += _pixel_problems(dataset)
    return problems


def _repeated(document: dict, dataset: Dataset) -> list[str]:
    frames = Counter(image.get("frame_id", "") for image in document["images"])
    objects = Counter((frame, row["object_id"]) for frame, rows in dataset.truth.items() for row in rows)
    problems = [f"{LABELS}: frame_id {name!r} appears {n} times" for name, n in frames.items() if n > 1]
    for what in ("images", "annotations"):
        ids = Counter(repr(entry.get("id")) for entry in document[what])
        problems += [f"{LABELS}: {what}: id {name} appears {n} times" for name, n in ids.items() if n > 1]
    return problems + [f"truth.csv: object {key} appears {count} times" for key, count in objects.items() if count > 1]


def _stray(document: dict) -> list[str]:
    """Annotations and intervals that belong to nothing that is listed."""
    images, frames = ({image.get(key) for image in document["images"]} for key in ("id", "frame_id"))
    categories = {entry["id"] for entry in document["categories"]}
    problems = []
    for note in document["annotations"]:
        name = f"{LABELS}: annotation {note.get('id')!r}"
        if note["image_id"] not in images:
            problems.append(f"{name} belongs to image {note['image_id']!r}, which is not listed")
        if note["category_id"] not in categories:
            problems.append(f"{name} has category {note['category_id']!r}, expected one of {sorted(categories)}")
    for entry in document.get("limb_intervals", []):
        if entry["frame_id"] not in frames:
            problems.append(f"{LABELS}: limb interval of frame {entry['frame_id']!r}, which is not listed")
    return problems


def _split_problems(dataset: Dataset) -> list[str]:
    labelled, listed = set(dataset.images), set(dataset.splits)
    problems = leaks(dataset)
    problems += [
        f"splits.csv: frame {frame!r} is in split {split!r}, expected {', '.join(SPLITS)}"
        for frame, (_, split) in dataset.splits.items()
        if split not in SPLITS
    ]
    problems += [f"splits.csv: frame {name!r} has no split" for name in sorted(labelled - listed)]
    return problems + [f"splits.csv: frame {name!r} has no label" for name in sorted(listed - labelled)]


def _table_problems(dataset: Dataset) -> list[str]:
    """Where the truth table and the annotations disagree."""
    problems = [f"truth.csv: frame {name!r} has no label" for name in dataset.truth if name not in dataset.images]
    for name, notes in dataset.annotations.items():
        listed = {row["object_id"]: row["kind"] for row in dataset.truth.get(name, [])}
        for note in notes:
            object_id, kind = note.get("io", {}).get("object_id", ""), _kind(note)
            if object_id and kind and listed.get(object_id) != kind:
                found = listed.get(object_id, "missing")
                problems.append(f"truth.csv: {kind} {object_id!r} of frame {name!r} is {found}")
    return problems


def _kind(note: dict) -> str:
    return dict(enumerate(CLASSES, 1)).get(note["category_id"], "")


def _label_problems(dataset: Dataset) -> list[str]:
    """Masks, circles and stretches of limb that cannot be."""
    return [f"{LABELS}: {problem}" for name in dataset.images for problem in _flaws(dataset, name)] + [
        f"truth.csv: {problem}" for name in dataset.images for problem in _number_flaws(dataset, name)
    ]


def _flaws(dataset: Dataset, frame_id: str) -> Iterator[str]:
    """What is wrong with the labels of one frame."""
    image = dataset.images[frame_id]
    size = [image["height"], image["width"]]
    for note in dataset.annotations.get(frame_id, []):
        code = note.get("segmentation")
        if isinstance(code, dict) and code.get("size") != size:
            yield f"annotation {note.get('id')} is {code.get('size')}, its image {size} (rows, columns)"
            continue
        try:
            if not dataset.pixels(note, (size[0], size[1])).any():
                yield f"annotation {note.get('id')} of frame {frame_id!r} covers no pixel"
        except InputError as error:
            yield f"{error.problem} (frame {frame_id!r})"
    try:
        limb = limb_of(image.get("io", {}), dataset.folder / LABELS).trusted
    except InputError as error:
        limb = True
        yield f"{error.problem} (frame {frame_id!r})"
    for interval in dataset.intervals.get(frame_id, ()):
        yield from _interval_flaws(interval, frame_id, limb)


def _interval_flaws(interval: LimbInterval, frame_id: str, limb: bool) -> Iterator[str]:
    stretch = f"limb interval [{interval.start_rad:g}, {interval.stop_rad:g}] of frame {frame_id!r}"
    if interval.kind not in CLASSES:
        yield f"{stretch} is a {interval.kind!r}, expected one of {CLASSES}"
    if not 0 < interval.width_rad <= math.pi:
        yield f"{stretch} is {interval.width_rad:g} rad wide, expected more than 0 and at most pi"
    if not limb:
        yield f"{stretch} has no limb to lie on"


def _number_flaws(dataset: Dataset, frame_id: str) -> Iterator[str]:
    """What is wrong with the numbers of one frame; flaws of its masks are told elsewhere."""
    try:
        dataset.labelled(frame_id)
    except InputError as error:
        if error.source == dataset.folder / "truth.csv":
            yield error.problem


# -- pixels -----------------------------------------------------------------------------------------------------------


def _pixel_problems(dataset: Dataset) -> list[str]:
    """Frames that the readers do not give, or give in another size; the same pixels twice; masks on nothing."""
    problems = []
    digests: dict[str, list[str]] = defaultdict(list)
    for file_name, names in sorted(dataset.by_file(dataset.images).items()):
        try:
            found = {frame.id: frame for frame in dataset.frames(file_name)}
        except InputError as error:
            problems.append(str(error))
            continue
        for name in names:
            image, frame = dataset.images[name], found.get(name)
            if frame is None or frame.shape != (image["height"], image["width"]):
                is_now = frame.shape if frame is not None else f"not among {sorted(found)}"
                wanted = (image["height"], image["width"])
                problems.append(f"frames/{file_name}: {name} is {is_now}, expected {wanted}")
                continue
            if np.ptp(frame.image):  # two frames without anything on them are alike and no copies
                digests[hashlib.sha256(frame.image.tobytes()).hexdigest()].append(name)
            problems += _unseen(dataset, frame)
    return problems + [_same(dataset, names) for names in digests.values() if len(names) > 1]


def _unseen(dataset: Dataset, frame: Frame) -> list[str]:
    """Objects most of whose pixels lie where nothing was observed."""
    try:
        labelled: LabelledFrame = dataset.labelled(frame.id)
    except InputError:  # said already
        return []
    return [
        f"{LABELS}: {truth.kind} {truth.object_id!r} of frame {frame.id!r}: {blind} of its {truth.area_px} pixels lie "
        "where nothing was observed"
        for truth in labelled.objects
        for blind in [int((truth.mask(frame.shape) & ~frame.valid).sum())]
        if 2 * blind > truth.area_px
    ]


def _same(dataset: Dataset, names: list[str]) -> str:
    """Say that frames hold the same pixels."""
    places = sorted({dataset.splits.get(name, ("", "no split"))[1] for name in names})
    where = f", in the splits {places}: a leak" if len(places) > 1 else ""
    return f"frames {names} hold the same pixels under {len(names)} names{where}"
