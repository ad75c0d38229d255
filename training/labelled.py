"""Strips and crops of labelled frames: real ones, or real ones with eruptions put into them.

Only frames of the split ``train`` are shown, and only what their labels know is learnt from. Pixels that nobody looked
at, classes that nobody looked for and objects too faint to demand are left out. A frame whose plumes were labelled as
stretches of limb gives strips alone: at the azimuths of a stretch something must rise, at the others nothing does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import CLASSES, Frame, sha256_of
from detector.limb import find_limb
from models.network import Unwrap
from training.config import TrainConfig
from training.items import Item, Picture, crop_fields, crop_item, strip_fields, strip_item
from training.labels.dataset import LOCK, Dataset, read_dataset
from training.labels.splits import file_digests, refuse_leaks
from training.labels.truth import LabelledFrame, azimuths, limb_strip

VERSION = 1
KINDS = ("limb", "disk")
OPEN_FILES = 256
END_RAD = 0.02
"""A stretch's ends are set by hand: within this angle of them nothing is learnt."""


class LabelledItems:
    """Items of the labelled frames of a configuration, cut once and kept beside the simulated ones.

    Args:
        config: names the datasets, and says what is cut from each frame.

    Raises:
        InputError: a dataset cannot be read, something leaks between splits, or there is no frame to train on.

    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.datasets = [read_dataset(folder) for folder in config.data.labels]
        refuse_leaks(self.datasets, "train")
        self.files = [_File(dataset, name, tuple(ids)) for dataset in self.datasets for name, ids in _training(dataset)]
        if not self.files:
            raise InputError(config.data.labels[0], "has no frame in the split train", "io-detector labels split")
        data, network = config.data, config.network
        made_from = {
            "datasets": [sha256_of(dataset.folder / LOCK) for dataset in self.datasets],
            "each": data.labels_each,
            "crop": data.disk_crop_px,
            "circles": config.circles.model_dump(mode="json"),
            "strip": [network.altitudes, network.azimuths, network.lowest, network.highest],
            "seed": data.seed,
            "version": VERSION,
        }
        self.digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = data.cache / f"labels-{self.digest}"

    def facts(self) -> dict[str, object]:
        """What a reader needs to know which frames these were, by dataset."""
        return {
            dataset.folder.name: {
                "lock_sha256": sha256_of(dataset.folder / LOCK),
                "frames": len(dataset.ids("train")),
                "share": self.config.data.label_share,
            }
            for dataset in self.datasets
        }

    @property
    def seen(self) -> list[str]:
        """Sha256 of every file that is trained on, and of those that eruptions were put into."""
        own = {file_digests(one.dataset).get(frame, "") for one in self.files for frame in one.frame_ids}
        made = [dataset.lock.get("made", {}) for dataset in self.datasets]
        hosts = {digest for one in made if isinstance(one, Mapping) for digest in one.get("hosts", {})}
        return sorted(digest for digest in own | hosts if digest)

    def build(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Cut what is not there yet; ``progress`` is told files done and all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unwrap = Unwrap(self.config.network)
        for number in range(len(self.files)):
            if not self._path("disk", number).is_file():
                self._make(number, unwrap)
            progress(number + 1, len(self.files))

    @cached_property
    def holding(self) -> dict[str, NDArray[np.intp]]:
        """By branch: (n, 3) file, item, and whether it holds what the branch looks for, of every item."""
        rows = {
            kind: [
                (number, item, int(holds))
                for number in range(len(self.files))
                for item, holds in enumerate(_mapped(self._path(kind, number))["holds"])
            ]
            for kind in KINDS
        }
        return {kind: np.array(some, np.intp).reshape(-1, 3) for kind, some in rows.items()}

    def draw(self, kind: str, rng: np.random.Generator, with_object: float) -> Item:
        """An item to train on; a share of them among those that hold something."""
        rows = self.holding[kind]
        some = rows[rows[:, 2] > 0]
        rows = some if len(some) and rng.random() < with_object else rows
        number, item, _ = rows[int(rng.integers(len(rows)))]
        record: Item = _mapped(self._path(kind, int(number)))[int(item)]
        return record

    def _path(self, kind: str, number: int) -> Path:
        return self.folder / f"{number:05d}.{kind}.npy"

    def _make(self, number: int, unwrap: Unwrap) -> None:
        """Cut the items of one file's frames."""
        file, each, side = self.files[number], self.config.data.labels_each, self.config.data.disk_crop_px
        rng = np.random.default_rng([self.config.data.seed, number, 11])
        strips: list[Item] = []
        crops: list[Item] = []
        with torch.no_grad():
            for frame, labelled in file.dataset.pairs(file.frame_ids):
                picture = picture_of(frame, labelled)
                strips += [strip_item(picture, unwrap, self.config.circles, rng) for _ in range(each)]
                if not labelled.by_limb:
                    crops += [crop_item(picture, side, rng) for _ in range(each)]
        _store(self._path("limb", number), strips, strip_fields(self.config.network, stretches=True))
        _store(self._path("disk", number), crops, crop_fields(side))  # last: its presence says that both are whole


@dataclass(frozen=True)
class _File:
    """A file of a dataset, and its frames to train on."""

    dataset: Dataset
    name: str
    frame_ids: tuple[str, ...]


def _training(dataset: Dataset) -> Iterator[tuple[str, list[str]]]:
    yield from sorted(dataset.by_file(dataset.ids("train")).items())


def picture_of(frame: Frame, labelled: LabelledFrame) -> Picture:
    """A labelled frame as planes: what its labels do not know is ignored. Without a labelled limb one is looked for."""
    limb = labelled.limb if labelled.limb_known else find_limb(frame)
    unlearnt = np.stack([_unlearnt(labelled, kind) for kind in CLASSES])
    planes = np.concatenate([frame.valid[None], labelled.mask.planes, unlearnt])
    stretches = tuple(one for one in labelled.limb_intervals if one.kind == CLASSES[0])
    return Picture(frame.image, planes.transpose(1, 2, 0).astype(np.uint8), limb.as_array(), stretches)


def _unlearnt(labelled: LabelledFrame, kind: str) -> NDArray[np.bool_]:
    """(H, W) bool: pixels that nothing is known about, or that show only what is too faint to demand."""
    if kind not in labelled.looked_for:
        return np.ones(labelled.shape, bool)
    demanded, faint = np.zeros(labelled.shape, bool), np.zeros(labelled.shape, bool)
    for truth in labelled.objects:
        if truth.kind == kind:
            (faint if truth.faint else demanded)[...] |= truth.mask(labelled.shape)
    left_out = ~labelled.mask.known | (faint & ~demanded)
    for interval in labelled.limb_intervals if labelled.limb.trusted else ():
        if interval.kind == kind:
            angles = azimuths(labelled.limb, labelled.shape)
            left_out |= interval.holds(angles, END_RAD) & limb_strip(labelled.limb, labelled.shape)
    return left_out


def _store(path: Path, items: list[Item], fields: np.dtype[np.void]) -> None:
    """Write items whole or not at all."""
    table = np.zeros(len(items), fields)
    for row, item in zip(table, items, strict=True):
        for name in fields.names or ():
            row[name] = item[name]
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        np.save(stream, table)
    part.replace(path)


@lru_cache(maxsize=OPEN_FILES)
def _mapped(path: Path) -> NDArray[np.void]:
    return np.asarray(np.load(path, mmap_mode="r"))
