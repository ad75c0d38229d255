"""Simulated frames, cached on disk, as the two branches of the network want to see them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities import CombinedLoader
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detector.frame import CLASSES
from detector.levels import measure_levels
from models.network import Unwrap
from training.augment import Augmenter
from training.config import CircleConfig, DataConfig, TrainConfig
from training.simulate.draw import Recipe, draw_sample

CACHE_VERSION = 1


@dataclass(frozen=True)
class Stored:
    """One cached frame: image (H, W) float32, planes (H, W, 5) uint8 = valid, truth x 2, ignored x 2, circle (3,)."""

    image: NDArray[np.float32]
    planes: NDArray[np.uint8]
    circle: NDArray[np.float32]


class FrameCache:
    """Frames drawn from a recipe, made once, read many times. The folder's name says what is in it."""

    def __init__(self, config: DataConfig, seed: int, count: int) -> None:
        self.config, self.seed, self.count = config, seed, count
        made_from = {"recipe": asdict(config.recipe), "sides": config.sides_px, "seed": seed, "version": CACHE_VERSION}
        self.digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = config.cache / f"frames-{self.digest}"

    def __len__(self) -> int:
        return self.count

    def path(self, index: int) -> Path:
        """File of one frame."""
        return self.folder / f"{index // 1000:04d}" / f"{index:06d}.npz"

    def load(self, index: int) -> Stored:
        """Read one frame."""
        with np.load(self.path(index)) as held:
            shape = tuple(held["shape"])
            planes = np.unpackbits(held["planes"])[: np.prod(shape) * 5].reshape(*shape, 5)
            return Stored(held["image"], planes, held["circle"])

    def holding(self, kind: str) -> NDArray[np.int64]:
        """Indices of the frames with a pixel of a class in ``CLASSES``; noted beside the frames when all are there."""
        noted = self.folder / f"holding-{self.count}.npy"
        if not noted.is_file():
            flags = [self.load(i).planes[..., 1:3].any((0, 1)) for i in range(self.count)]
            with noted.with_suffix(".part").open("wb") as stream:
                np.save(stream, np.array(flags))
            noted.with_suffix(".part").replace(noted)
        return np.flatnonzero(np.load(noted)[:, CLASSES.index(kind)])

    def build(self, workers: int, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Make the frames that are not there yet."""
        missing = [i for i in range(self.count) if not self.path(i).is_file()]
        if not missing:
            return
        for block in {self.path(i).parent for i in missing}:
            block.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(max(workers, 1), mp_context=get_context("spawn")) as pool:
            chunks = [missing[i : i + 50] for i in range(0, len(missing), 50)]
            for done, _ in enumerate(pool.map(self.make, chunks), start=1):
                progress(min(done * 50, len(missing)), len(missing))

    def make(self, indices: list[int]) -> None:
        """Draw and store some frames; a frame is written whole or not at all."""
        for index in indices:
            rng = np.random.default_rng([self.seed, index, 7])
            low, high = np.log(self.config.sides_px)
            side = int(np.exp(rng.uniform(low, high))) // 16 * 16
            store(draw_frame(replace(self.config.recipe, shape=(side, side)), self.seed, index), self.path(index))


def draw_frame(recipe: Recipe, seed: int, index: int) -> Stored:
    """Simulate one frame and put it into the form of the cache."""
    sample = draw_sample(recipe, seed, index)
    planes = np.concatenate([sample.frame.valid[None], sample.mask().planes, sample.ignored()])
    circle = sample.limb.as_array()
    return Stored(sample.frame.image, planes.transpose(1, 2, 0).astype(np.uint8), circle)


def store(frame: Stored, path: Path) -> None:
    """Write one frame atomically."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as stream:
        np.savez(
            stream, image=frame.image, planes=np.packbits(frame.planes), shape=frame.image.shape, circle=frame.circle
        )
    part.replace(path)


class _Frames(Dataset[dict[str, Tensor]]):
    """Frames of a cache; while training drawn at random, those with an object more often, and augmented."""

    kind: str

    def __init__(self, cache: FrameCache, config: TrainConfig, length: int, training: bool, salt: int) -> None:
        self.cache, self.config, self.length, self.training, self.salt = cache, config, length, training, salt
        self.epoch = 0
        self.holding = cache.holding(self.kind) if training else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        turn = self.epoch * self.length + position if self.training else position
        rng = np.random.default_rng([self.config.seed, self.salt, turn])
        index = self.draw(rng) if self.training else position % len(self.cache)
        frame = self.cache.load(index)
        if self.training:
            augment = Augmenter(self.config.data.augment, int(rng.integers(2**31)))
            frame = Stored(*augment(frame.image, frame.planes, frame.circle))
        return self.prepare(frame, rng)

    def draw(self, rng: np.random.Generator) -> int:
        """A frame to train on."""
        if len(self.holding) and rng.random() < self.config.data.with_object:
            return int(rng.choice(self.holding))
        return int(rng.integers(len(self.cache)))

    def prepare(self, frame: Stored, rng: np.random.Generator) -> dict[str, Tensor]:
        """What the branch wants to see."""
        raise NotImplementedError


class LimbStrips(_Frames):
    """Unwrapped limbs: strip, seen, target, ignored (1, A, T), levels (3,), radius ()."""

    kind = "plume"

    def __init__(self, cache: FrameCache, config: TrainConfig, length: int, training: bool) -> None:
        super().__init__(cache, config, length, training, salt=1)
        self.unwrap = Unwrap(config.network)

    def prepare(self, frame: Stored, rng: np.random.Generator) -> dict[str, Tensor]:
        """Unwrap around the true circle, a jittered one, or a wrong one on which there is nothing to find."""
        circle, right = choose_circle(frame, self.config.circles, rng)
        levels = measure_levels(frame.image, frame.planes[..., 0] > 0)
        pixels = np.concatenate([frame.image[None], frame.planes[..., [1, 3]].transpose(2, 0, 1)]).astype(np.float32)
        valid = torch.from_numpy(frame.planes[..., 0].astype(np.float32))[None, None]
        pixels[0][frame.planes[..., 0] == 0] = levels.sky
        strips, seen = self.unwrap(torch.from_numpy(pixels)[None], valid, torch.from_numpy(circle)[None])
        target = (strips[:, 1:2] >= 0.5).float() * float(right)
        return {
            "strip": strips[0, :1],
            "seen": seen[0],
            "target": target[0],
            "ignored": (strips[0, 2:3] > 0.1).float(),
            "levels": torch.from_numpy(levels.as_array()),
            "radius": torch.tensor(circle[2]),
        }


class DiskCrops(_Frames):
    """Pieces of frames: frame, valid (1, S, S), target, ignored (2, S, S), levels (3,), limb (3,)."""

    kind = "hotspot"

    def __init__(self, cache: FrameCache, config: TrainConfig, length: int, training: bool) -> None:
        super().__init__(cache, config, length, training, salt=2)

    def prepare(self, frame: Stored, rng: np.random.Generator) -> dict[str, Tensor]:
        """Cut a square, around an object half of the time; levels are the whole frame's."""
        side = self.config.data.disk_crop_px
        levels = measure_levels(frame.image, frame.planes[..., 0] > 0)
        row, column = _corner(frame, side, rng)
        image, planes = _cut(frame.image, row, column, side), _cut(frame.planes, row, column, side).transpose(2, 0, 1)
        limb = frame.circle.copy()
        limb[:2] += rng.normal(0, 0.004 * limb[2], 2).astype(np.float32) - np.array([column, row], np.float32)
        if rng.random() < 0.15:
            limb[:] = 0
        planes = np.ascontiguousarray(planes, dtype=np.float32)
        return {
            "frame": torch.from_numpy(np.ascontiguousarray(image))[None],
            "valid": torch.from_numpy(planes[:1]),
            "target": torch.from_numpy(planes[1:3]),
            "ignored": torch.from_numpy(planes[3:5]),
            "levels": torch.from_numpy(levels.as_array()),
            "limb": torch.from_numpy(limb),
        }


def choose_circle(frame: Stored, config: CircleConfig, rng: np.random.Generator) -> tuple[NDArray[np.float32], bool]:
    """A circle to unwrap around, and whether what is found on it counts."""
    size = max(frame.image.shape)
    true = frame.circle
    draw = rng.random()
    if true[2] <= 0 or draw < config.wrong:
        anywhere = np.array(
            [rng.uniform(0, size), rng.uniform(0, size), np.exp(rng.uniform(np.log(8), np.log(2 * size)))]
        )
        if true[2] > 0 and rng.random() < 0.5:  # beside the truth, by more than a plume's height
            anywhere = true + true[2] * rng.uniform(0.25, 0.7) * np.array([*_unit(rng), rng.choice([-1, 1]) * 0.6])
        return np.maximum(anywhere, [-np.inf, -np.inf, 6]).astype(np.float32), False
    if draw < config.wrong + config.jittered:
        shift = true[2] * config.jitter * rng.uniform(0, 1)
        return (true + shift * np.array([*_unit(rng), rng.uniform(-1, 1)])).astype(np.float32), True
    return true, True


def _unit(rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))


def _corner(frame: Stored, side: int, rng: np.random.Generator) -> tuple[int, int]:
    rows, columns = frame.image.shape
    objects = np.argwhere(frame.planes[..., 1:3].any(-1))
    if len(objects) and rng.random() < 0.5:
        y, x = objects[rng.integers(len(objects))] - rng.integers(side // 8, side - side // 8, 2)
    else:
        y, x = (
            rng.integers(-side // 8, max(rows - side + side // 8, 1)),
            rng.integers(-side // 8, max(columns - side + side // 8, 1)),
        )
    return int(y), int(x)


def _cut(array: NDArray[np.generic], row: int, column: int, side: int) -> NDArray[np.generic]:
    """A square of ``array``, zero outside it."""
    piece = np.zeros((side, side, *array.shape[2:]), array.dtype)
    r0, c0 = max(row, 0), max(column, 0)
    r1, c1 = min(row + side, array.shape[0]), min(column + side, array.shape[1])
    if r1 > r0 and c1 > c0:
        piece[r0 - row : r1 - row, c0 - column : c1 - column] = array[r0:r1, c0:c1]
    return piece


class IoData(lightning.LightningDataModule):
    """Training and validation frames for both branches."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.frames = FrameCache(config.data, config.data.seed, config.data.count)
        self.validation = FrameCache(config.data, config.data.validation_seed, config.data.validation_count)

    def prepare_data(self) -> None:
        """Make the frames that are missing."""
        for cache in (self.frames, self.validation):
            cache.build(os.cpu_count() or 1)

    def train_dataloader(self) -> CombinedLoader:
        """Endless fresh draws: every epoch sees other frames, turns and circles."""
        o = self.config.optimiser
        epoch = self.trainer.current_epoch if self.trainer else 0
        limb = LimbStrips(self.frames, self.config, o.steps_per_epoch * o.limb_batch, training=True)
        disk = DiskCrops(self.frames, self.config, o.steps_per_epoch * o.disk_batch, training=True)
        limb.epoch = disk.epoch = epoch
        return CombinedLoader(
            {"limb": self._loader(limb, o.limb_batch), "disk": self._loader(disk, o.disk_batch)}, "min_size"
        )

    def val_dataloader(self) -> CombinedLoader:
        """The same strips and crops every time."""
        o, count = self.config.optimiser, self.config.data.validation_count
        limb, disk = (kind(self.validation, self.config, count, training=False) for kind in (LimbStrips, DiskCrops))
        return CombinedLoader(
            {"limb": self._loader(limb, o.limb_batch), "disk": self._loader(disk, o.disk_batch)}, "max_size"
        )

    def _loader(self, dataset: _Frames, batch: int) -> DataLoader[dict[str, Tensor]]:
        workers = self.config.data.workers
        return DataLoader(dataset, batch, num_workers=workers, persistent_workers=False, worker_init_fn=_one_thread)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
