"""A dataset's labels in the formats of other tools, with pictures to look at them on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detector.errors import InputError
from detector.readers.names import frame_id
from training.labels import coco, index_mask, labelme, limb_plume
from training.labels.dataset import Dataset, read_dataset, write_json
from training.labels.importing import FORMATS
from training.labels.pictures import Stretch, picture
from training.labels.truth import LabelledFrame

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What was written: how many frames, and what the format could not hold."""

    frames: int
    lost: tuple[str, ...]


def export_labels(
    folder: Path,
    kind: str,
    out: Path,
    *,
    pictures: bool = False,
    polygons: bool = False,
    progress: Progress = lambda done, total: None,
) -> Exported:
    """Write a dataset's labels in another format; every picture is called after its frame.

    Args:
        folder: the dataset.
        kind: one of ``FORMATS``.
        out: a new or empty folder.
        pictures: also write ``images/*.png``, the frames stretched to 8 bits.
        polygons: COCO outlines instead of run lengths, for tools that edit outlines.
        progress: is told frames done and all.

    Raises:
        InputError: the dataset cannot be read, ``out`` is in use, or there is nothing that the format can hold.

    """
    if kind not in FORMATS:
        raise InputError("--format", f"is {kind!r}, expected {', '.join(FORMATS)}")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(out, "is not empty", "name a new folder, or empty this one")
    dataset = read_dataset(folder)
    held = [labelled for labelled in dataset if kind != "limb-plume-yaml" or labelled.limb.trusted]
    lost = _lost(dataset, kind)
    if not held:
        raise InputError(folder, f"has nothing that {kind} can hold: {'; '.join(lost)}", "choose another format")
    out.mkdir(parents=True, exist_ok=True)
    if kind == "coco":
        named = ((f"{_name(labelled)}.png", labelled) for labelled in held)
        write_json(out / "labels.coco.json", coco.exchange(named, polygons))
    else:
        for labelled in held:
            _write_one(out, kind, labelled)
    if pictures:
        _write_pictures(out / "images", dataset, [labelled.frame_id for labelled in held], progress)
    return Exported(len(held), lost)


def _name(labelled: LabelledFrame) -> str:
    return frame_id(labelled.frame_id)


def _write_one(out: Path, kind: str, labelled: LabelledFrame) -> None:
    name = _name(labelled)
    if kind == "labelme":
        text = json.dumps(labelme.page(f"{name}.png", labelled), ensure_ascii=False, indent=2)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    elif kind == "png":
        index_mask.write(out / f"{name}.png", labelled)
    else:
        (out / f"{name}_label.yml").write_text(limb_plume.text(labelled), encoding="utf-8")


def _write_pictures(folder: Path, dataset: Dataset, frame_ids: list[str], progress: Progress) -> None:
    folder.mkdir()
    for number, (frame, labelled) in enumerate(dataset.pairs(frame_ids), 1):
        (folder / f"{_name(labelled)}.png").write_bytes(picture(frame, Stretch.of(frame)))
        progress(number, len(frame_ids))


def _lost(dataset: Dataset, kind: str) -> tuple[str, ...]:
    """Say what a format cannot hold of a dataset; physical truth none of them holds."""
    frames = list(dataset)
    objects = [truth for labelled in frames for truth in labelled.objects]
    counts = {
        "heights, powers and the like of {} objects": len(objects),
        "{} stretches of limb": sum(len(one.limb_intervals) for one in frames) * (kind in ("png", "labelme")),
        "the limb of {} frames": sum(one.limb.trusted for one in frames) * (kind in ("png", "labelme")),
        "which pixels belong to which of {} objects that touch": len(objects) * (kind == "png"),
        "{} frames without a limb": sum(not one.limb.trusted for one in frames) * (kind == "limb-plume-yaml"),
        "{} hot spots": sum(one.kind == "hotspot" for one in objects) * (kind == "limb-plume-yaml"),
        "pixels of {} plumes": sum(one.kind == "plume" for one in objects) * (kind == "limb-plume-yaml"),
    }
    return tuple(words.format(count) for words, count in counts.items() if count)
