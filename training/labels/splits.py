"""Train, val and test: whole observations and whole orbits, never single frames; and what leaks between them.

Frames of one observation show the same scene, and frames of one orbit the same eruptions a few hours apart: who has
seen one in training has seen the others. A group's place follows from its own name alone (CRC-32), so it stays where it
is when a dataset grows.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detector.errors import InputError
from detector.frame import Frame
from training.labels.dataset import (
    LABELS,
    LOCK,
    Dataset,
    lock_problems,
    read_dataset,
    write_json,
    write_lock,
    write_splits,
)
from training.labels.documents import read_json

SPLITS = ("train", "val", "test")
BY = ("orbit", "observation", "instrument")
SEEN_DIGITS = 16
"""A model's card names the files that it was trained on by so many digits of their sha256."""
PLACES = ("test", "val", *("train",) * 8)
"""A group goes to one of ten places by its name's CRC-32."""
SPACECRAFT = {"galileo_ssi": "galileo", "junocam": "juno", "jiram": "juno", "sru": "juno"}
ORBIT_KEYS = ("ORBIT_NUMBER", "ORBITNUMBER")
ORBIT_NAMES = {
    "galileo": re.compile(r"[A-Z]?(\d{1,2})[A-Z]\d{4}"),  # IMAGE_ID E6I0032, PICNO 26E0001
    "juno": re.compile(r"JNC[ER]_\d{7}_(\d\d)\w+|SRU_?\d?_\d{7}T\d{6}_(\d\d)_\w+"),  # JNCE_2022186_43C00078_V01
}


def orbit_of(frame: Frame) -> str:
    """Spacecraft and orbit of a frame, ``galileo 26``, by its label or its name; empty where neither says."""
    craft = SPACECRAFT.get(frame.instrument, "")
    named = {key.rpartition(".")[2].upper(): text.strip(' "') for key, text in frame.keywords.items()}
    for key in ORBIT_KEYS:
        if named.get(key, "").isdigit():
            return f"{craft or frame.instrument} {int(named[key])}"
    for name in (named.get("IMAGE_ID", ""), named.get("PICNO", ""), named.get("PRODUCT_ID", ""), frame.id):
        match = ORBIT_NAMES[craft].fullmatch(name) if craft else None
        if match:
            return f"{craft} {int(next(filter(None, match.groups())))}"
    return ""


def place_of(group: str) -> str:
    """Split of a group by its name alone."""
    return PLACES[zlib.crc32(group.encode()) % len(PLACES)]


# -- leaks ------------------------------------------------------------------------------------------------------------


def leaks(dataset: Dataset) -> list[str]:
    """Everything that stands in two splits and must not: observations, orbits, files; one sentence each.

    Orbits may be shared where the dataset says that it was split by observation or by instrument on purpose.
    """
    found = _shared("observation", {frame: dataset.splits[frame][0] for frame in dataset.splits}, dataset)
    if chosen_by(dataset) == "orbit":
        found += _shared("orbit", {frame: orbit_named(dataset, frame) for frame in dataset.images}, dataset)
    return found + _shared("file content (sha256)", file_digests(dataset), dataset)


def refuse_leaks(datasets: Sequence[Dataset], split: str = "") -> None:
    """Refuse datasets in which something leaks between splits, each alone or one into another.

    Args:
        datasets: those that are used together.
        split: what is taken of them; empty is all.

    Raises:
        InputError: naming the dataset and what leaks.

    """
    for dataset in datasets:
        found = leaks(dataset)
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise InputError(dataset.folder, f"leaks between its splits: {found[0]}{more}", "io-detector labels split")
    if split:
        _refuse_crossing(datasets, split)


def _refuse_crossing(datasets: Sequence[Dataset], split: str) -> None:
    """Refuse what one dataset gives to ``split`` and another keeps for something else."""
    seen: dict[tuple[str, str], tuple[Path, str]] = {}
    for dataset in datasets:
        for frame, digest in sorted(file_digests(dataset).items()):
            here = dataset.splits.get(frame, ("", ""))[1]
            for key in (("file", digest), ("observation", dataset.splits.get(frame, ("", ""))[0])):
                folder, there = seen.setdefault(key, (dataset.folder, here))
                if here != there and split in (here, there):
                    raise InputError(
                        dataset.folder,
                        f"leaks between datasets: {key[0]} {key[1]!r} is in {here!r} here and in {there!r} of {folder}",
                        "split both alike",
                    )


def chosen_by(dataset: Dataset) -> str:
    """What a dataset was split by: ``orbit`` unless it says otherwise."""
    made = dataset.lock.get("made", {})
    rule = made.get("split", {}) if isinstance(made, Mapping) else {}
    return str(rule.get("by", "orbit")) if isinstance(rule, Mapping) else "orbit"


def orbit_named(dataset: Dataset, frame_id: str) -> str:
    """Orbit that the labels name for a frame; empty where they name none."""
    return str(dataset.images[frame_id].get("io", {}).get("orbit", ""))


def file_digests(dataset: Dataset) -> dict[str, str]:
    """Sha256 of the file of each frame, where the lock has it."""
    locked = dataset.lock.get("files", {})
    files = {frame: f"frames/{image['file_name']}" for frame, image in dataset.images.items()}
    return {frame: locked[name] for frame, name in files.items() if isinstance(locked, Mapping) and name in locked}


def _shared(what: str, groups: Mapping[str, str], dataset: Dataset) -> list[str]:
    """Say which groups of frames stand in two splits."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for frame, group in groups.items():
        if group and frame in dataset.splits:
            places[group].setdefault(dataset.splits[frame][1], frame)
    return [
        f"splits.csv: {what} {group!r} is in {sorted(splits)}, expected one split ({', '.join(splits.values())})"
        for group, splits in places.items()
        if len(splits) > 1
    ]


def refuse_seen(dataset: Dataset, frame_ids: Iterable[str], seen: Iterable[str], model: str) -> None:
    """Refuse frames whose files a model was trained on.

    Args:
        dataset: that is judged.
        frame_ids: of the frames.
        seen: beginnings of the files' sha256, as the model's card lists them.
        model: its name.

    Raises:
        InputError: naming some of the files.

    """
    known, digests = set(seen), file_digests(dataset)
    found = [frame for frame in frame_ids if digests.get(frame, "")[:SEEN_DIGITS] in known]
    if found:
        some = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        problem = f"{model} was trained on {len(found)} of these frames: {some}"
        raise InputError(dataset.folder, problem, "judge it on frames that it has not seen")


# -- splitting --------------------------------------------------------------------------------------------------------


def split_dataset(folder: Path, by: str = "orbit", leave_out: Iterable[str] = ()) -> Counter[str]:
    """Split a dataset anew and write ``splits.csv`` and ``dataset.lock``.

    A frame whose orbit is not known stays with its observation. Without ``leave_out`` a group's name decides, one tenth
    each for test and val; with it, what is named is the test and a tenth of the other orbits is for validation.

    Args:
        folder: the dataset.
        by: ``orbit``, ``observation`` or ``instrument``.
        leave_out: names of groups that make the test: ``juno 43`` or ``43``, an observation, ``jiram``.

    Returns:
        frames by split.

    Raises:
        InputError: the dataset is not sound, no group has such a name, or train or test would be empty.

    """
    if by not in BY:
        raise InputError("--by", f"is {by!r}, expected {', '.join(BY)}")
    dataset = read_dataset(folder)
    changed = lock_problems(folder, dataset.lock)
    if changed:
        raise InputError(folder, changed[0], "io-detector labels check")
    orbits = _orbits(dataset) if by != "observation" else {}
    splits = _places(dataset, by, orbits, list(leave_out))
    counts = Counter(splits.values())
    for name in ("train", "test"):
        if not counts[name]:
            problem = f"no {by} of {len(splits)} frames falls into {name}"
            raise InputError(folder, problem, "name others with --leave-out")
    rows = {frame: (_observation(dataset, frame), split) for frame, split in splits.items()}
    _write(folder, dataset, rows, orbits, {"by": by, "leave_out": sorted(leave_out)})
    return counts


def _orbits(dataset: Dataset) -> dict[str, str]:
    """Orbit of every frame: as the labels name it, else as the frame itself does."""
    orbits = {frame: orbit_named(dataset, frame) for frame in dataset.images}
    unread = [frame for frame, orbit in orbits.items() if not orbit]
    return orbits | {labelled.frame_id: orbit_of(frame) for frame, labelled in dataset.pairs(unread)}


def _places(dataset: Dataset, by: str, orbits: Mapping[str, str], leave_out: Sequence[str]) -> dict[str, str]:
    """Split of each frame."""
    units = {frame: orbits.get(frame) or _observation(dataset, frame) for frame in dataset.images}
    if by == "instrument":
        extras = {frame: image.get("io", {}) for frame, image in dataset.images.items()}
        groups = {frame: str(extra.get("instrument", "unknown")) for frame, extra in extras.items()}
    else:
        groups = units
    if not leave_out and by == "instrument":
        raise InputError("--leave-out", "is missing: instruments are left out one at a time", _choice(groups.values()))
    left = {name for wanted in leave_out for name in _named(wanted, sorted(set(groups.values())), by)}
    places = {frame: place_of(unit) for frame, unit in units.items()}
    if left:
        places = {frame: "val" if place == "val" else "train" for frame, place in places.items()}
    return {frame: "test" if groups[frame] in left else places[frame] for frame in dataset.images}


def _named(wanted: str, groups: Sequence[str], by: str) -> list[str]:
    """Find the groups of a name, or of a name that ends with it."""
    plain = wanted.strip().casefold()
    exact = [group for group in groups if group.casefold() == plain]
    found = exact or [group for group in groups if group.casefold().split(" ")[-1] == plain]
    if len(found) != 1:
        problem = f"fits {found}" if found else f"is no {by} of this dataset"
        raise InputError("--leave-out", f"{wanted!r} {problem}", _choice(groups))
    return found


def _choice(groups: Iterable[str]) -> str:
    names = sorted(set(groups))
    return f"choose of {', '.join(names[:20])}" + (", ..." if len(names) > 20 else "")


def _observation(dataset: Dataset, frame: str) -> str:
    return dataset.splits.get(frame, ("", ""))[0] or dataset.images[frame].get("io", {}).get("observation", "") or frame


def _write(
    folder: Path,
    dataset: Dataset,
    rows: Mapping[str, tuple[str, str]],
    orbits: Mapping[str, str],
    rule: Mapping[str, object],
) -> None:
    """Write the tables that a split changes."""
    document = read_json(folder / LABELS)
    for image in document["images"]:
        orbit = orbits.get(image.get("frame_id", ""))
        if orbit:
            image.setdefault("io", {})["orbit"] = orbit
    write_json(folder / LABELS, document)
    write_splits(folder, rows)
    made = dataset.lock.get("made", {})
    write_lock(folder, {**(made if isinstance(made, Mapping) else {}), "split": dict(rule)})
    again = leaks(read_dataset(folder))
    if again:
        raise InputError(folder / LOCK, f"was split, but {again[0]}", "one observation has frames of two groups")
