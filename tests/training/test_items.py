"""What the network is shown: circles, strips and crops, as they are cut, stored and turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.network import NetworkConfig, Unwrap
from training.config import CircleConfig
from training.items import (
    Item,
    Picture,
    _corner,
    _cut,
    choose_circle,
    crop_fields,
    crop_item,
    crop_tensors,
    strip_fields,
    strip_item,
    strip_tensors,
)

TRUE = (50.0, 44.0, 30.0)
CIRCLE = np.array(TRUE, np.float32)


def a_frame(shape: tuple[int, int] = (90, 101), circle: NDArray[np.float32] = CIRCLE) -> Picture:
    """A lit ball with a plume above its eastern limb, all of it seen."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 100 * (np.hypot(x - TRUE[0], y - TRUE[1]) < TRUE[2]) + rng.normal(10, 1, shape)
    planes = np.zeros((*shape, 5), np.uint8)
    planes[..., 0] = 1
    planes[38:50, 78:90, 1] = 1
    return Picture(image.astype(np.float32), planes, circle)


NETWORK = NetworkConfig(altitudes=32, azimuths=64, limb_widths=(4, 6), disk_widths=(4, 6))


def a_strip(seed: int = 5, **circles: float) -> Item:
    return strip_item(a_frame(), Unwrap(NETWORK), CircleConfig(**circles), np.random.default_rng(seed))


def stored(item: Item, fields: np.dtype[np.void]) -> Item:
    """The item as the cache gives it back."""
    table = np.zeros(1, fields)
    for name in fields.names or ():
        table[0][name] = item[name]
    record: Item = table[0]
    return record


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


def test_a_plume_is_asked_for_on_the_right_circle_only() -> None:
    right, wrong = (strip_tensors(a_strip(**c), None) for c in ({"wrong": 0, "jittered": 0}, {"wrong": 1}))
    assert right["target"].sum() > 0
    assert (right["target"] * (1 - right["seen"])).sum() == 0
    assert right["radius"] == 30
    assert wrong["target"].sum() == 0


def test_a_strip_comes_back_as_it_was_stored() -> None:
    item = a_strip(wrong=0)
    one, other = strip_tensors(item, None), strip_tensors(stored(item, strip_fields(NETWORK)), None)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["strip"].shape == one["seen"].shape == (1, 32, 64)


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_strip_is_turned_whole(seed: int) -> None:
    """Each altitude keeps its values, and what is asked for stays on what it belongs to."""
    item = a_strip(wrong=0, jittered=0)
    plain, turned = strip_tensors(item, None), strip_tensors(item, np.random.default_rng(seed))
    for name in ("strip", "seen", "target", "ignored"):
        torch.testing.assert_close(turned[name].sort(-1).values, plain[name].sort(-1).values)
    both = [(t["strip"] * t["target"]).sum() for t in (plain, turned)]
    torch.testing.assert_close(both[0], both[1])


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


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_the_limb_moves_with_the_crop(seed: int) -> None:
    """However cut, turned and mirrored, the disk lies where the item's circle says, to the circle's own jitter."""
    rng = np.random.default_rng(seed)
    item = crop_tensors(stored(crop_item(a_frame(), 60, rng), crop_fields(60)), rng)
    x, y, radius = (float(v) for v in item["limb"])
    rows, columns = np.mgrid[:60, :60]
    inside = (np.hypot(columns - x, rows - y) < radius - 2) & (item["valid"][0].numpy() > 0)
    assert (item["frame"][0].numpy()[inside] > 50).all()
    plume = item["target"][0].numpy() > 0
    assert plume.shape == (60, 60)
    if radius and plume.any():
        assert np.hypot(columns - x, rows - y)[plume].min() > radius - 2.5


def test_no_limb_is_told_in_a_share_of_the_crops() -> None:
    rng = np.random.default_rng(2)
    told = [crop_item(a_frame(), 32, rng)["limb"][2] > 0 for _ in range(600)]
    assert np.mean(told) == pytest.approx(0.85, abs=0.05)
    assert not crop_item(a_frame(circle=np.zeros(3, np.float32)), 32, rng)["limb"].any()
