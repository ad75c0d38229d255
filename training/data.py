"""Strips and crops of simulated frames, cached on disk in blocks, and the loaders that mix them with real ones."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property, lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities import CombinedLoader
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.network import Unwrap
from training.augment import Augmenter
from training.config import FurtherFrames, TrainConfig
from training.items import Item, Picture, crop_fields, crop_tensors, items_of, strip_fields, strip_tensors
from training.labelled import LabelledItems
from training.negatives import negatives
from training.simulate.draw import draw_sample
from training.simulate.source import source_digests

CACHE_VERSION = 2
BLOCK = 100
"""Frames a block; a block is written whole or not at all. The last one may have fewer."""
KINDS = ("limb", "disk")
OPEN_BLOCKS = 512
VALIDATED_TOGETHER = 8
"""Items of a branch that is not trained."""
START_BATCHES = 4
"""Batches that the first statistics of a network with given weights rest on."""


class ItemCache:
    """Strips and crops made once and read many times. The folder's name says what they were made from.

    Args:
        config: recipe, sizes, circles, augmentation and the strip's shape.
        seed: of the frames; frames of another seed stand in another folder.
        frames: how many; whole blocks are made.
        augmented: whether the frames are turned and roughened first (training) or left as they are (validation).

    """

    def __init__(self, config: TrainConfig, seed: int, frames: int, augmented: bool) -> None:
        self.config, self.seed, self.frames, self.augmented = config, seed, frames, augmented
        data, network = config.data, config.network
        made_from = {
            "recipe": asdict(data.recipe),
            "sides": data.sides_px,
            "crop": data.disk_crop_px,
            "each": [data.strips_per_frame, data.crops_per_frame],
            "augment": asdict(data.augment) if augmented else None,
            "circles": config.circles.model_dump(mode="json"),
            "strip": [network.altitudes, network.azimuths, network.lowest, network.highest],
            "seed": seed,
            "version": CACHE_VERSION,
            **source_digests(),
        }
        self.digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = data.cache / f"items-{self.digest}"

    def __len__(self) -> int:
        return self.frames

    @property
    def blocks(self) -> int:
        """How many blocks hold the frames."""
        return -(-self.frames // BLOCK)

    def indices(self, block: int) -> range:
        """The frames of a block; the last may have fewer."""
        return range(block * BLOCK, min((block + 1) * BLOCK, self.frames))

    def path(self, kind: str, block: int) -> Path:
        """File of the items of one branch of one block: a structured array of ``items.*_fields``."""
        return self.folder / f"{block:05d}-{len(self.indices(block))}.{kind}.npy"

    def items(self, kind: str, block: int) -> NDArray[np.void]:
        """A block's items, mapped into memory."""
        return _mapped(self.path(kind, block))

    @cached_property
    def holding(self) -> dict[str, NDArray[np.bool_]]:
        """For each branch, which of its items hold what it looks for, in the order of the blocks."""
        return {
            kind: np.concatenate([np.load(self.path(f"{kind}-holds", block)) for block in range(self.blocks)])
            for kind in KINDS
        }

    def build(self, workers: int, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Make the blocks that are not there yet; ``progress`` is told blocks done and all."""
        missing = [b for b in range(self.blocks) if not all(self.path(f"{k}-holds", b).is_file() for k in KINDS)]
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(max(workers, 1), mp_context=get_context("spawn")) as pool:
            for done, _ in enumerate(pool.map(self.make, missing), start=1):
                progress(done, len(missing))

    def make(self, block: int) -> None:
        """Draw the frames of a block and store what is cut from them."""
        torch.set_num_threads(1)
        unwrap = Unwrap(self.config.network)
        strips: list[Item] = []
        crops: list[Item] = []
        for index in self.indices(block):
            rng = np.random.default_rng([self.seed, index, 7])
            some = items_of(self.picture(index, rng), self.config, unwrap, rng)
            strips += some[0]
            crops += some[1]
        self._store("limb", block, strips, strip_fields(self.config.network))
        self._store("disk", block, crops, crop_fields(self.config.data.disk_crop_px))

    def picture(self, index: int, rng: np.random.Generator) -> Picture:
        """One frame, a square of a random side."""
        data = self.config.data
        low, high = np.log(data.sides_px)
        side = int(np.exp(rng.uniform(low, high))) // 16 * 16
        picture = Picture.of(draw_sample(replace(data.recipe, shape=(side, side)), self.seed, index))
        if not self.augmented:
            return picture
        augment = Augmenter(data.augment, int(rng.integers(2**31)))
        return Picture(*augment(picture.image, picture.planes, picture.circle))

    def _store(self, kind: str, block: int, items: list[Item], fields: np.dtype[np.void]) -> None:
        table = np.zeros(len(items), fields)
        for row, item in zip(table, items, strict=True):
            for name in fields.names or ():
                row[name] = item[name]
        write_array(self.path(kind, block), table)
        write_array(self.path(f"{kind}-holds", block), table["holds"])  # last: its presence says the block is whole


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array file whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as stream:
        np.save(stream, array)
    part.replace(path)


@lru_cache(maxsize=OPEN_BLOCKS)
def _mapped(path: Path) -> NDArray[np.void]:
    return np.asarray(np.load(path, mmap_mode="r"))


class Items(Dataset[dict[str, Tensor]]):
    """Items of one branch; while training drawn at random, those that hold something more often, and turned anew.

    ``negatives`` are items of real frames without eruptions, ``labelled`` those of labelled frames; some of both are
    drawn in between.
    """

    def __init__(
        self,
        caches: Sequence[ItemCache],
        kind: str,
        length: int,
        training: bool,
        epoch: int = 0,
        negatives: Sequence[Item] = (),
        labelled: LabelledItems | None = None,
    ) -> None:
        self.caches, self.kind, self.length, self.training, self.epoch = caches, kind, length, training, epoch
        self.config = caches[0].config
        self.negatives = negatives
        self.labelled = labelled if labelled is not None and len(labelled.holding[kind]) else None
        holds = [cache.holding[kind] for cache in caches]
        self.ends = np.cumsum([len(some) for some in holds])
        self.count = int(self.ends[-1])
        self.holding = np.flatnonzero(np.concatenate(holds))
        self.tensors = strip_tensors if kind == "limb" else crop_tensors

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        if not self.training:
            return self.tensors(self.item(position % self.count), None)
        turn = self.epoch * self.length + position
        rng = np.random.default_rng([self.config.seed, KINDS.index(self.kind), turn])
        return self.tensors(self.choose(rng), rng)

    def choose(self, rng: np.random.Generator) -> Item:
        """An item to train on: simulated, of a frame without eruptions, or of a labelled frame."""
        data = self.config.data
        place = rng.random() if self.negatives or self.labelled is not None else 0.5
        if self.negatives and place < data.negative_share:
            return self.negatives[int(rng.integers(len(self.negatives)))]
        if self.labelled is not None and place >= 1 - data.label_share:
            return self.labelled.draw(self.kind, rng, data.with_object)
        return self.item(self.draw(rng))

    def item(self, index: int) -> Item:
        """One item as it was stored."""
        number = int(np.searchsorted(self.ends, index, side="right"))
        cache = self.caches[number]
        block, row = divmod(index - (int(self.ends[number - 1]) if number else 0), len(cache.items(self.kind, 0)))
        record: Item = cache.items(self.kind, block)[row]
        return record

    def draw(self, rng: np.random.Generator) -> int:
        """Which simulated item to train on."""
        if len(self.holding) and rng.random() < self.config.data.with_object:
            return int(rng.choice(self.holding))
        return int(rng.integers(self.count))


class IoData(lightning.LightningDataModule):
    """Training and validation items for both branches."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        data = config.data
        self.frames = ItemCache(config, data.seed, data.count, augmented=True)
        self.further = [ItemCache(_instead(config, some), some.seed, some.count, True) for some in data.further]
        self.validation = ItemCache(config, data.validation_seed, data.validation_count, augmented=False)

    def prepare_data(self) -> None:
        """Make the items that are missing."""
        for cache in (self.frames, *self.further, self.validation):
            cache.build(os.cpu_count() or 1)
        if self.labelled is not None:
            self.labelled.build()

    @cached_property
    def labelled(self) -> LabelledItems | None:
        """Items of the labelled frames that the configuration names; None where it names none."""
        return LabelledItems(self.config) if self.config.data.labels else None

    @cached_property
    def negatives(self) -> dict[str, list[Item]]:
        """Items of the real frames without eruptions that the configuration names."""
        data = self.config.data
        return negatives(data.negatives, self.config, data.negatives_each, data.seed)

    def train_dataloader(self) -> CombinedLoader:
        """Endless fresh draws: every epoch sees other items, turned otherwise."""
        o = self.config.optimiser
        epoch = self.trainer.current_epoch if self.trainer else 0
        sizes = dict(zip(KINDS, (o.limb_batch, o.disk_batch), strict=True))
        frames = [self.frames, *self.further]
        items = {
            kind: Items(frames, kind, o.steps_per_epoch * batch, True, epoch, self.negatives[kind], self.labelled)
            for kind, batch in sizes.items()
            if batch
        }
        loaders = {kind: self._loader(items[kind], sizes[kind]) for kind in items}
        return CombinedLoader(loaders, "min_size")

    def some_items(self) -> dict[str, dict[str, Tensor]]:
        """Four batches of validation items of each branch, as one."""
        first = [batch for batch, number, _ in self.val_dataloader() if number < START_BATCHES]
        of = {kind: [batch[kind] for batch in first if batch[kind] is not None] for kind in KINDS}
        return {kind: {name: torch.cat([one[name] for one in some]) for name in some[0]} for kind, some in of.items()}

    def val_dataloader(self) -> CombinedLoader:
        """The same strips and crops every time."""
        o, count = self.config.optimiser, self.config.data.validation_count
        loaders = {
            kind: self._loader(Items([self.validation], kind, count, False), batch or VALIDATED_TOGETHER)
            for kind, batch in zip(KINDS, (o.limb_batch, o.disk_batch), strict=True)
        }
        return CombinedLoader(loaders, "max_size")

    def _loader(self, dataset: Items, batch: int) -> DataLoader[dict[str, Tensor]]:
        workers = self.config.data.workers
        return DataLoader(dataset, batch, num_workers=workers, persistent_workers=False, worker_init_fn=_one_thread)


def _instead(config: TrainConfig, some: FurtherFrames) -> TrainConfig:
    """The configuration with other frames."""
    data = config.data.model_copy(update={"recipe": some.recipe, "sides_px": some.sides_px})
    return config.model_copy(update={"data": data})


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
