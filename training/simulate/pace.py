"""How fast the simulator is: samples a second, by themselves and from the cache."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from models.network import Unwrap
from training.config import DataConfig, TrainConfig
from training.data import ItemCache, Items
from training.items import Picture, crop_item, strip_item
from training.simulate.draw import draw_sample
from training.simulate.product import expose
from training.simulate.recipe import Recipe

Progress = Callable[[int, int], None]
SIDE_PX = 256
CACHED_FRAMES = 200
WARM_UP = 40
"""Samples before the clock: textures are made once a process."""


@dataclass(frozen=True)
class Pace:
    """One measured rate.

    Attributes:
        what: the kind of sample.
        per_second: all workers together.
        workers: processes, one thread each.
        samples: how many were made while the clock ran.

    """

    what: str
    per_second: float
    workers: int
    samples: int


def measure(seconds: float, workers: int, seed: int, progress: Progress = lambda done, total: None) -> list[Pace]:
    """Run each kind of sample for some seconds in every worker.

    Cold strips are whole: a 256 x 256 frame of any instrument is drawn and unwrapped to 96 x 512; cold crops are
    256 x 256 frames; cached ones are read from files that were read before, turned and made tensors. The archive frames
    are Galileo SSI's, 800 x 800.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(data=DataConfig(cache=Path(folder)))
        cache = ItemCache(config, seed, CACHED_FRAMES, augmented=True)
        cache.build(workers)
        kinds: dict[str, Callable[[int], Iterator[object]]] = {
            "cold limb strips": cold_strips,
            "cold disk crops": cold_crops,
            "cached limb strips": partial(cached, cache, "limb"),
            "cached disk crops": partial(cached, cache, "disk"),
            "archive frames 800x800": archive_frames,
        }
        paces = []
        for done, (what, samples) in enumerate(kinds.items(), 1):
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                made = list(pool.map(partial(_count, samples, seconds), range(seed, seed + workers)))
            paces.append(Pace(what, sum(n / s for n, s in made), workers, sum(n for n, _ in made)))
            progress(done, len(kinds))
    return paces


def _count(samples: Callable[[int], Iterator[object]], seconds: float, seed: int) -> tuple[int, float]:
    """Samples made, and the seconds that they took."""
    torch.set_num_threads(1)
    stream = samples(seed)
    for _ in range(WARM_UP):
        next(stream)
    start, made = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        next(stream)
        made += 1
    return made, time.perf_counter() - start


def cold_strips(seed: int) -> Iterator[object]:
    """Draw a frame, unwrap it."""
    config = TrainConfig()
    unwrap, rng = Unwrap(config.network), np.random.default_rng(seed)
    for picture in _pictures(seed):
        yield strip_item(picture, unwrap, config.circles, rng)


def cold_crops(seed: int) -> Iterator[object]:
    """Draw a frame, cut it."""
    rng = np.random.default_rng(seed)
    for picture in _pictures(seed):
        yield crop_item(picture, SIDE_PX, rng)


def _pictures(seed: int) -> Iterator[Picture]:
    index = 0
    while True:
        yield Picture.of(draw_sample(Recipe(shape=(SIDE_PX, SIDE_PX)), seed, index))
        index += 1


def cached(cache: ItemCache, kind: str, seed: int) -> Iterator[object]:
    """Draw from the cache as training does."""
    items = Items([cache], kind, length=10**9, training=True, epoch=0)
    position = seed * 10**6
    while True:
        yield items[position]
        position += 1


def archive_frames(seed: int) -> Iterator[object]:
    """Whole SSI frames with their truth."""
    index = 0
    while True:
        yield expose("ssi", Recipe(), seed, index)
        index += 1
