"""What the network is shown: circles, crops, and a cache that holds whole frames only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.config import CircleConfig, DataConfig, TrainConfig
from training.data import DiskCrops, FrameCache, LimbStrips, Stored, _corner, _cut, choose_circle, draw_frame, store

TRUE = (50.0, 44.0, 30.0)
CIRCLE = np.array(TRUE, np.float32)


def a_frame(shape: tuple[int, int] = (90, 101), circle: NDArray[np.float32] = CIRCLE) -> Stored:
    """A lit ball with a plume above its eastern limb, all of it seen."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 100 * (np.hypot(x - TRUE[0], y - TRUE[1]) < TRUE[2]) + rng.normal(10, 1, shape)
    planes = np.zeros((*shape, 5), np.uint8)
    planes[..., 0] = 1
    planes[38:50, 78:90, 1] = 1
    return Stored(image.astype(np.float32), planes, circle)


def tiny(tmp_path: Path, **circles: float) -> TrainConfig:
    data = DataConfig(sides_px=(64, 80), cache=tmp_path / "cache", disk_crop_px=64)
    return TrainConfig(data=data, circles=CircleConfig(**circles))


# -- circles --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32))
def test_a_jittered_circle_is_near_the_limb_and_counts(seed: int) -> None:
    chosen, right = choose_circle(
        a_frame(), CircleConfig(jittered=1, jitter=0.02, wrong=0), np.random.default_rng(seed)
    )
    assert right
    assert chosen.dtype == np.float32
    assert np.hypot(*(chosen - CIRCLE)[:2]) <= 0.02 * 30 + 1e-4
    assert abs(chosen[2] - 30) <= 0.02 * 30 + 1e-4


def test_without_jitter_it_is_the_limb() -> None:
    chosen, right = choose_circle(a_frame(), CircleConfig(jittered=0, wrong=0), np.random.default_rng(0))
    assert right
    assert np.array_equal(chosen, CIRCLE)


@given(st.integers(0, 2**32), st.booleans())
def test_on_a_wrong_circle_nothing_counts(seed: int, limb: bool) -> None:
    frame = a_frame(circle=CIRCLE if limb else np.zeros(3, np.float32))
    chosen, right = choose_circle(frame, CircleConfig(wrong=1 if limb else 0), np.random.default_rng(seed))
    assert not right
    assert np.isfinite(chosen).all()
    assert chosen[2] >= 6


def test_shares_of_circles() -> None:
    rng, config = np.random.default_rng(1), CircleConfig(jittered=0.35, wrong=0.15)
    draws = [choose_circle(a_frame((8, 8)), config, rng) for _ in range(3000)]
    exact = np.mean([right and np.array_equal(circle, CIRCLE) for circle, right in draws])
    assert np.mean([right for _, right in draws]) == pytest.approx(0.85, abs=0.025)
    assert exact == pytest.approx(0.50, abs=0.035)


def test_a_plume_is_asked_for_on_the_right_circle_only(tmp_path: Path) -> None:
    def item(**circles: float) -> dict:
        config = tiny(tmp_path, **circles)
        strips = LimbStrips(FrameCache(config.data, 1, 1), config, length=1, training=False)
        return strips.prepare(a_frame(), np.random.default_rng(5))

    right, wrong = item(wrong=0, jittered=0), item(wrong=1)
    assert right["target"].sum() > 0
    assert (right["target"] * (1 - right["seen"])).sum() == 0
    assert right["radius"] == 30
    assert wrong["target"].sum() == 0


# -- crops ----------------------------------------------------------------------------------------------------------


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(1, 50))
def test_a_crop_is_the_frame_set_in_zeros(row: int, column: int, side: int) -> None:
    array = np.arange(1, 31 * 23 * 2 + 1).reshape(31, 23, 2)
    padded = np.pad(array, ((100, 100), (100, 100), (0, 0)))
    expected = padded[100 + row : 100 + row + side, 100 + column : 100 + column + side]
    assert np.array_equal(_cut(array, row, column, side), expected)


def test_half_of_the_crops_are_laid_around_an_object() -> None:
    frame = a_frame((200, 250))
    frame.planes[..., 1] = 0
    frame.planes[170, 60, 2] = 1
    rng = np.random.default_rng(2)
    corners = [_corner(frame, 48, rng) for _ in range(800)]
    holding = np.mean([_cut(frame.planes, row, column, 48)[..., 2].any() for row, column in corners])
    assert holding == pytest.approx(0.5, abs=0.06)
    assert all(_cut(frame.planes, row, column, 48)[..., 0].any() for row, column in corners)


def test_the_limb_moves_with_the_crop(tmp_path: Path) -> None:
    """The disk's edge in the crop lies where the item's circle says, to the circle's own jitter."""
    config = tiny(tmp_path)
    crops = DiskCrops(FrameCache(config.data, 1, 1), config, length=1, training=False)
    seen = 0
    for seed in range(12):
        item = crops.prepare(a_frame(), np.random.default_rng(seed))
        x, y, radius = (float(v) for v in item["limb"])
        if radius == 0:
            continue
        rows, columns = np.mgrid[:64, :64]
        inside = (np.hypot(columns - x, rows - y) < radius - 2) & (item["valid"][0].numpy() > 0)
        assert (item["frame"][0].numpy()[inside] > 50).all()
        seen += inside.any()
    assert seen >= 6


# -- the cache ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path) -> FrameCache:
    return FrameCache(tiny(tmp_path).data, seed=11, count=3)


@pytest.mark.parametrize("shape", [(90, 101), (7, 3), (64, 64)])
def test_a_frame_comes_back_as_it_was_stored(cache: FrameCache, shape: tuple[int, int]) -> None:
    frame = a_frame(shape)
    frame.planes[:] = np.random.default_rng(0).integers(0, 2, frame.planes.shape)
    cache.path(2).parent.mkdir(parents=True)
    store(frame, cache.path(2))
    back = cache.load(2)
    for one, other in ((frame.image, back.image), (frame.planes, back.planes), (frame.circle, back.circle)):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


class Broken:
    """An array that fails when it is written."""

    def __array__(self, *_: object, **__: object) -> NDArray[np.float32]:
        raise OSError("no space left on device")


def test_a_frame_is_written_whole_or_not_at_all(cache: FrameCache) -> None:
    cache.path(0).parent.mkdir(parents=True)
    store(a_frame(), cache.path(0))
    for index in (0, 1):
        with pytest.raises(OSError, match="no space"):
            store(replace(a_frame(), circle=Broken()), cache.path(index))  # type: ignore[arg-type]
    assert np.array_equal(cache.load(0).circle, CIRCLE)
    assert not cache.path(1).exists()


def test_only_what_is_missing_is_drawn(cache: FrameCache) -> None:
    cache.path(0).parent.mkdir(parents=True)
    cache.make([0, 1, 2])
    image = cache.load(1).image
    again = draw_frame(replace(cache.config.recipe, shape=image.shape), cache.seed, 1)
    assert np.array_equal(image, again.image)
    assert all(64 <= side <= 80 and side % 16 == 0 for side in image.shape)
    times = [cache.path(i).stat().st_mtime_ns for i in range(3)]
    cache.build(1, _never)
    assert [cache.path(i).stat().st_mtime_ns for i in range(3)] == times


_never: Callable[[int, int], None] = lambda done, total: pytest.fail(f"drew {done} of {total}")  # noqa: E731


def test_the_folder_says_what_is_in_it(cache: FrameCache) -> None:
    config = cache.config
    other = config.model_copy(update={"recipe": replace(config.recipe, empty=0.3)})
    assert FrameCache(config, 11, 500).folder == cache.folder
    assert len({cache.folder, FrameCache(config, 12, 3).folder, FrameCache(other, 11, 3).folder}) == 3


def test_frames_that_hold_an_object_are_known(cache: FrameCache) -> None:
    cache.path(0).parent.mkdir(parents=True)
    for index in range(3):
        frame = a_frame()
        frame.planes[..., 1:3] = 0
        frame.planes[5, 6, 1] = index == 1
        frame.planes[5, 6, 2] = index >= 1
        store(frame, cache.path(index))
    for _ in range(2):  # counted, then read
        assert cache.holding("plume").tolist() == [1]
        assert cache.holding("hotspot").tolist() == [1, 2]
