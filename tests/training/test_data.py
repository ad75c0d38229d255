"""A cache that holds whole blocks only, and draws that come from all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.network import NetworkConfig
from training.config import DataConfig, TrainConfig
from training.data import BLOCK, ItemCache, Items, write_array
from training.items import Item

SMALL = NetworkConfig(altitudes=32, azimuths=64, limb_widths=(4, 6), disk_widths=(4, 6))


def tiny(tmp_path: Path) -> TrainConfig:
    data = DataConfig(sides_px=(64, 80), cache=tmp_path / "cache", disk_crop_px=64, with_object=0.5)
    return TrainConfig(network=SMALL, data=data)


@pytest.fixture
def cache(tmp_path: Path) -> ItemCache:
    cache = ItemCache(tiny(tmp_path), seed=11, frames=4, augmented=True)
    cache.folder.mkdir(parents=True)
    cache.make(0)
    return cache


_never: Callable[[int, int], None] = lambda done, total: pytest.fail(f"drew {done} of {total}")  # noqa: E731


class Broken:
    """An array that fails when it is written."""

    def __array__(self, *_: object, **__: object) -> NDArray[np.float32]:
        raise OSError("no space left on device")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_array(tmp_path / "a.npy", np.arange(3))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(OSError, match="no space"):
            write_array(tmp_path / name, Broken())  # type: ignore[arg-type]
    assert np.load(tmp_path / "a.npy").tolist() == [0, 1, 2]
    assert not (tmp_path / "b.npy").exists()


def test_the_same_items_however_they_are_made(cache: ItemCache, tmp_path: Path) -> None:
    other = ItemCache(tiny(tmp_path / "other"), seed=11, frames=4, augmented=True)
    other.build(2)
    for kind in ("limb", "disk"):
        assert cache.path(kind, 0).read_bytes() == other.path(kind, 0).read_bytes()
        assert len(cache.items(kind, 0)) == 8


def test_only_what_is_missing_is_drawn(cache: ItemCache) -> None:
    cache.build(1, _never)
    cache.path("disk-holds", 0).unlink()
    seen: list[tuple[int, int]] = []
    cache.build(1, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 1)]


def test_the_folder_says_what_is_in_it(cache: ItemCache) -> None:
    config = cache.config
    recipe = config.data.model_copy(update={"recipe": replace(config.data.recipe, empty=0.3)})
    changed = config.model_copy(update={"data": recipe})
    folders = [
        ItemCache(config, 11, 500, True), ItemCache(config, 12, 4, True), ItemCache(changed, 11, 4, True),
        ItemCache(config, 11, 4, False),
    ]  # fmt: skip
    assert folders[0].folder == cache.folder
    assert len({one.folder for one in folders}) == 4
    assert folders[0].path("limb", 0) != cache.path("limb", 0)  # a whole block is not a part of one
    assert ItemCache(config, 11, 2 * BLOCK + 1, True).blocks == 3


def test_items_that_hold_something_are_drawn_more_often(cache: ItemCache) -> None:
    write_array(cache.path("limb-holds", 0), np.arange(8) == 5)
    items = Items([cache], "limb", length=2000, training=True)
    rng = np.random.default_rng(0)
    drawn = np.bincount([items.draw(rng) for _ in range(4000)], minlength=8) / 4000
    assert drawn[5] == pytest.approx(0.5 + 0.5 / 8, abs=0.03)
    assert drawn[[0, 7]] == pytest.approx(0.5 / 8, abs=0.02)


def test_validation_shows_the_same_items_in_order(cache: ItemCache) -> None:
    items = Items([cache], "disk", length=10, training=False)
    stored = [np.array(cache.items("disk", 0)[i]["frame"]) for i in range(8)]
    for position in (0, 7, 9):
        assert np.array_equal(items[position]["frame"][0].numpy(), stored[position % 8])


def test_every_epoch_draws_anew_and_repeatably(cache: ItemCache) -> None:
    def first(epoch: int) -> Item:
        return Items([cache], "limb", length=4, training=True, epoch=epoch)[1]

    assert torch.equal(first(0)["strip"], first(0)["strip"])
    assert not torch.equal(first(0)["strip"], first(1)["strip"])


def test_further_frames_follow_the_first_ones(cache: ItemCache, tmp_path: Path) -> None:
    more = ItemCache(cache.config, seed=12, frames=3, augmented=True)
    more.folder.mkdir(parents=True)
    more.make(0)
    items = Items([cache, more], "disk", length=14, training=False)
    stored = [np.array(one["frame"]) for some in (cache, more) for one in some.items("disk", 0)]
    assert items.count == len(stored) == 8 + 6
    for position in (0, 7, 8, 13):
        assert np.array_equal(items[position]["frame"][0].numpy(), stored[position])
    first, second = (some.holding["disk"] for some in (cache, more))
    assert items.holding.tolist() == np.flatnonzero(np.concatenate([first, second])).tolist()
