"""Label files and the archive frames that they speak of become a dataset, and a dataset becomes label files."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from detector.errors import InputError
from detector.frame import CLASSES, sha256_of
from detector.mask import Mask
from training.labels import coco, index_mask, labelme, limb_plume
from training.labels.dataset import LABELS, Dataset, DatasetWriter, lock_problems, read_dataset
from training.labels.documents import Problems
from training.labels.frame_finder import Found, FrameFinder
from training.labels.picture_labels import NO_ALIASES, Aliases, PictureLabels
from training.labels.splits import place_of, split_dataset
from training.labels.truth import LabelledFrame, limb_strip

FORMATS = ("coco", "labelme", "png", "limb-plume-yaml")
ENDINGS = {
    "coco": (".json",), "labelme": (".json",), "png": index_mask.ENDINGS, "limb-plume-yaml": limb_plume.ENDINGS,
}  # fmt: skip
GENERATOR = "io-detector labels import"

Progress = Callable[[int, int], None]
Pairs = Mapping[str, tuple[PictureLabels, Found]]


@dataclass(frozen=True)
class Options:
    """How label files are read.

    Attributes:
        aliases: further names of classes, and the class of each.
        table: values of an indexed mask, and what each stands for.
        replace: labels of a frame that the dataset has already take the place of the old ones.

    """

    aliases: Aliases = field(default_factory=lambda: NO_ALIASES)
    table: index_mask.Table = field(default_factory=lambda: index_mask.USUAL)
    replace: bool = False


@dataclass(frozen=True)
class Imported:
    """What an import brought: frames, objects by class, stretches of limb, and frames on which nothing was marked."""

    frames: int
    objects: Counter[str] = field(default_factory=Counter)
    intervals: int = 0
    empty: int = 0


def import_labels(
    source: Path,
    kind: str,
    frames: Path,
    out: Path,
    options: Options = Options(),
    progress: Progress = lambda done, total: None,
) -> Imported:
    """Put labels on archive frames: make a dataset, or add to one.

    Nothing is written unless everything is right. The frames are copied as they are, with their labels. A frame's split
    follows from its orbit, or observation where that is not known, or is that of the frames of its observation; a rule
    that the dataset was split by holds for what is added.

    Args:
        source: a label file, a folder of them, or a zip file as CVAT and Label Studio export it.
        kind: one of ``FORMATS``.
        frames: folder of the archive frames, or one of their files.
        out: the dataset; made when it is not there.
        options: how to read.
        progress: is told pictures done and all.

    Raises:
        InputError: everything that is wrong with the label files, or the dataset is not sound.

    """
    old = _old(out)
    finder = FrameFinder(frames)
    with opened(source) as folder:
        labels = read_labels(folder, kind, options)
        found = _matched(source, labels, finder, old, options.replace, progress)
        _write(out, found, old, kind, source)
        return _summary([one for one, _ in found])


# -- label files ------------------------------------------------------------------------------------------------------


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """Give a label file or a folder of them; a zip file is unpacked for as long as it is needed.

    Raises:
        InputError: it is not there, or a damaged zip file.

    """
    if not source.exists():
        raise InputError(source, "is missing", "check the path")
    if source.suffix.lower() != ".zip":
        yield source
        return
    with tempfile.TemporaryDirectory() as place:
        try:
            with zipfile.ZipFile(source) as archive:
                archive.extractall(place)
        except zipfile.BadZipFile as error:
            raise InputError(source, f"cannot be unpacked: {error}", "export it again") from error
        yield Path(place)


def read_labels(source: Path, kind: str, options: Options = Options()) -> list[PictureLabels]:
    """Read every label file of a format.

    Raises:
        InputError: there is none, or everything that is wrong with them.

    """
    files = _files(source, kind)
    problems = Problems()
    found: list[PictureLabels] = []
    for path in files:
        with problems.noted():
            found += _read(path, kind, options)
    problems.refuse(source)
    return found


def _files(source: Path, kind: str) -> list[Path]:
    if kind not in FORMATS:
        raise InputError("--format", f"is {kind!r}, expected {', '.join(FORMATS)}")
    if source.is_file():
        return [source]
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in ENDINGS[kind] and not path.name.startswith(".") and path.is_file()
    ]
    if not files:
        raise InputError(source, f"holds no file of {', '.join(ENDINGS[kind])}", f"name the folder of the {kind} files")
    return files


def _read(path: Path, kind: str, options: Options) -> list[PictureLabels]:
    if kind == "coco":
        return coco.read(path, options.aliases)
    if kind == "labelme":
        return labelme.read(path, options.aliases)
    return index_mask.read(path, options.table) if kind == "png" else limb_plume.read(path)


# -- import -----------------------------------------------------------------------------------------------------------


def _old(out: Path) -> Dataset | None:
    """Give the dataset that is added to, which must be sound; None for a new one."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / LABELS).is_file():
        raise InputError(out, "is not empty and no dataset", "name a new folder, or a dataset to add to")
    old = read_dataset(out)
    changed = lock_problems(out, old.lock)
    if changed:
        raise InputError(out, changed[0], "io-detector labels check")
    return old


def _matched(
    source: Path, labels: Sequence[PictureLabels], finder: FrameFinder, old: Dataset | None, again: bool, tell: Progress
) -> list[tuple[PictureLabels, Found]]:
    """Match every picture with its frame; whatever is wrong is told at once."""
    problems = Problems()
    pairs: dict[str, tuple[PictureLabels, Found]] = {}
    for number, one in enumerate(labels, 1):
        with problems.noted():
            found = finder(one)
            _check_new(one, found, pairs, old, again)
            pairs[found.frame_id] = (one, found)
        tell(number, len(labels))
    problems.refuse(source)
    return list(pairs.values())


def _check_new(labels: PictureLabels, found: Found, pairs: Pairs, old: Dataset | None, again: bool) -> None:
    """Refuse labels of a frame that has some already, files of a taken name, and limbs that lie off their frame."""
    if found.frame_id in pairs:
        first = pairs[found.frame_id][0]
        problem = f"picture {labels.picture!r} is frame {found.frame_id}, as is {first.picture!r} of {first.source}"
        raise InputError(labels.source, problem, "keep one of the two")
    if old is not None and found.frame_id in old.images and not again:
        problem = f"frame {found.frame_id} has labels in {old.folder} already"
        raise InputError(labels.source, problem, "--replace takes these in their place")
    place = None if old is None else old.folder / "frames" / found.file
    if place is not None and place.exists() and sha256_of(place) != found.sha256:
        raise InputError(found.product.data, f"another file of this name is {place}", "rename one of the two")
    if labels.limb.trusted and not limb_strip(labels.limb, found.shape).any():
        limb, (rows, columns) = labels.limb, found.shape
        circle = f"limb of radius {limb.radius_px:.1f} px around ({limb.x_px:.1f}, {limb.y_px:.1f})"
        raise InputError(labels.source, f"{circle} lies off the frame of {columns} x {rows} px")


def labelled_frame(labels: PictureLabels, found: Found, family: str) -> LabelledFrame:
    """Labels on their frame. What was drawn as a class is known, even where it was also marked as unknown."""
    planes = labels.planes(found.shape)
    known = planes.any(axis=0) | ~labels.unknown(found.shape)
    if labels.by_limb:
        known &= limb_strip(labels.limb, found.shape)
    return LabelledFrame(
        frame_id=found.frame_id,
        file=found.file,
        mask=Mask(planes, known),
        limb=labels.limb,
        objects=labels.objects(family),
        observation=found.observation,
        split=place_of(found.orbit or found.observation),
        instrument=found.instrument,
        filter=found.filter,
        limb_intervals=labels.intervals,
        orbit=found.orbit,
        looked_for=labels.looked_for,
        by_limb=labels.by_limb,
    )


def _write(
    out: Path, found: Sequence[tuple[PictureLabels, Found]], old: Dataset | None, kind: str, source: Path
) -> None:
    made: dict[str, Any] = {"generator": GENERATOR}
    if old is not None:
        made = dict(old.lock.get("made", {}))  # type: ignore[call-overload]
    imports = [*made.get("imports", []), {"format": kind, "source": source.name, "frames": len(found)}]
    places = {} if old is None else dict(old.splits.values())
    new = {one.frame_id for _, one in found}
    with DatasetWriter(out, made | {"imports": imports}) as writer:
        for labels, one in found:
            _copy(one, writer.frames)
            labelled = labelled_frame(labels, one, f"label {kind}")
            writer.add(one.file, replace(labelled, split=places.get(one.observation, labelled.split)))
        for labelled in old or ():
            if labelled.frame_id not in new:
                writer.add(labelled.file, labelled)
    rule = made.get("split")
    if rule:
        split_dataset(out, rule["by"], rule["leave_out"])


def _copy(found: Found, folder: Path) -> None:
    """Copy a product's files, as they are, to the same place below ``folder``."""
    root = Path(found.product.data.as_posix().removesuffix(found.file))
    for path in filter(None, (found.product.data, found.product.label)):
        place = folder / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copyfile(path, place)


def _summary(labels: Sequence[PictureLabels]) -> Imported:
    return Imported(
        frames=len(labels),
        objects=Counter(drawn.kind for one in labels for drawn in one.drawn if drawn.kind in CLASSES),
        intervals=sum(len(one.intervals) for one in labels),
        empty=sum(not one.drawn and not one.intervals for one in labels),
    )
