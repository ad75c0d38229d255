"""Thumbnails and the circles that a glance at them finds: where things lie on them, and on what cells agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from disks import Ball, Scene, render
from hypothesis import given
from hypothesis import strategies as st

from detector.circle import Circle
from detector.frame import Frame
from detector.limb_glance import EACH, MOST, agreed, glance
from detector.limb_picture import Picture, picture_of
from detector.limb_strip import rough_reach_px
from detector.limb_thumb import AREA_PX, STEP_PX, WINDOW_PX, Thumbnail, Window, bright_windows, whole_of, window_of


def picture_with(*balls: Ball, shape: tuple[int, int] = (300, 420)) -> Picture:
    scene = render(Scene(shape, balls))
    return picture_of(Frame.of(scene + np.random.default_rng(3).normal(0, 0.01, shape)))


def flat_disk(x: float, y: float, r: float, shape: tuple[int, int]) -> Picture:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    edge = np.clip(r - np.hypot(columns - x, rows - y) + 0.5, 0, 1)
    return picture_of(Frame.of(edge + np.random.default_rng(3).normal(0, 0.01, shape)))


def middle(thumb: Thumbnail) -> tuple[float, float, float]:
    """Of what is bright: x, y and the radius of a disk of that area."""
    row, column = np.nonzero(np.nan_to_num(thumb.view) > 0.4)
    return float(column.mean()), float(row.mean()), math.sqrt(len(row) / math.pi)


@pytest.mark.parametrize("shape", [(300, 420), (128, 432), (90, 100), (1100, 800)])
def test_a_disk_lies_on_the_thumbnail_where_its_circle_does(shape: tuple[int, int]) -> None:
    disk = Circle(0.6 * shape[1], 0.45 * shape[0], 0.3 * min(shape))
    thumb = whole_of(flat_disk(disk.x, disk.y, disk.r, shape))
    assert all(side % STEP_PX == 0 for side in thumb.view.shape)
    assert np.isfinite(thumb.view).sum() == pytest.approx(min(AREA_PX, 4 * shape[0] * shape[1]), rel=0.01)
    inside = thumb.inside(disk)
    assert middle(thumb) == pytest.approx((inside.x, inside.y, inside.r), abs=1.0)


@given(st.floats(-500, 900), st.floats(-500, 900), st.floats(1, 900), st.integers(-60, 300))
def test_into_the_thumbnail_and_back_is_the_same_circle(x: float, y: float, r: float, x0: int) -> None:
    thumb = Thumbnail(np.zeros((32, 32), np.float32), 5.0, 2.0, Window(x0, 7, 300, 280), 2.31, 2.3)
    back = thumb.outside(thumb.inside(Circle(x, y, r)))
    assert (back.x, back.y, back.r) == pytest.approx((x, y, r), abs=1e-6)


def test_a_small_disk_gets_a_window_that_reaches_beyond_the_picture_where_it_must() -> None:
    disk = Circle(8, 150, 12)
    picture = flat_disk(disk.x, disk.y, disk.r, (800, 800))
    (window,) = bright_windows(picture, whole_of(picture))
    assert window.x0 < 0
    thumb = window_of(picture, window)
    assert thumb.view.shape == (WINDOW_PX, WINDOW_PX)
    assert np.isnan(thumb.view[:, 0]).all()
    inside = thumb.inside(disk)
    row = np.flatnonzero(np.nan_to_num(thumb.view[:, round(inside.x)]) > 0.4)
    assert (row[0] + row[-1]) / 2 == pytest.approx(inside.y, abs=1.0)
    assert row[-1] - row[0] + 1 == pytest.approx(2 * inside.r, rel=0.1)


def test_a_picture_all_bright_or_all_dark_has_no_window() -> None:
    assert bright_windows(picture_with(), whole_of(picture_with())) == []
    large = flat_disk(200, 150, 140, (300, 420))
    assert bright_windows(large, whole_of(large)) == []


def test_what_is_not_valid_is_not_seen() -> None:
    image = np.full((256, 256), 100.0) + np.random.default_rng(1).normal(0, 1, (256, 256))
    valid = np.ones(image.shape, bool)
    valid[:, :64] = False
    view = whole_of(picture_of(Frame.of(image, valid))).view
    assert np.isnan(view[:, :63]).all()
    assert np.isfinite(view[:, 66:]).all()


def test_cells_agree_on_their_mean_and_the_worthiest_comes_first() -> None:
    one, other = np.array([100.0, 80.0, 40.0]), np.array([30.0, 30.0, 10.0])
    rng = np.random.default_rng(2)
    circles = np.concatenate([one + rng.normal(0, 0.5, (30, 3)), other + rng.normal(0, 0.1, (9, 3)), [[5, 5, 90]]])
    worth = np.r_[np.full(30, 0.6), np.full(9, 0.9), 0.001]
    (first, small), (second, large) = agreed(worth, circles, 0.02)
    assert (first, second) == (0.9, 0.6)
    assert (small.x, small.y, small.r) == pytest.approx(tuple(other), abs=0.15)
    assert (large.x, large.y, large.r) == pytest.approx(tuple(one), abs=0.4)
    assert agreed(np.zeros(4), np.ones((4, 3)), 0.02) == []


def test_of_many_circles_few_are_kept() -> None:
    circles = np.stack([np.arange(50) * 100.0, np.zeros(50), np.full(50, 20.0)], axis=1)
    assert len(agreed(np.linspace(0.1, 0.9, 50), circles, 0.02)) == EACH


@pytest.mark.parametrize(
    "ball",
    [Ball(200, 150, 90), Ball(60, 40, 14), Ball(210, 420, 330, sun_deg=270), Ball(200, 150, 80, 120, 30)],
    ids=["whole", "small", "arc", "crescent"],
)
def test_a_glance_finds_a_circle_within_the_reach_of_a_rough_look(ball: Ball) -> None:
    found = glance(picture_with(ball), math.nan)
    assert 1 <= len(found) <= MOST
    angle = np.radians(np.arange(360))
    x, y = ball.x + ball.r * np.cos(angle), ball.y + ball.r * np.sin(angle)
    on = (x > 0) & (x < 420) & (y > 0) & (y < 300)
    off = [np.abs(np.hypot(x[on] - c.x, y[on] - c.y) - c.r).max() for c in found]
    assert min(off) < rough_reach_px(ball.r)
