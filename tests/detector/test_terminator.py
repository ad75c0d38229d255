"""Plumes on the disk: the height of the Sun in closed form, the end of the day, a real peak beyond the terminator."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.card import Threshold
from detector.frame import Frame
from detector.limb import GUESS, Limb, find_limb
from detector.readers import read_frames
from detector.terminator import beyond_day_deg, possible_regions, sun_height_deg, sun_on

LIMB = Limb(150.0, 150.0, 120.0, 0.2)
RIGHT = np.array([1.0, 0.0, 0.0])  # half phase, the day on the right
Y, X = np.mgrid[:301, :301].astype(float)
EASY = {kind: Threshold(seed=0.1, grow=0.1, min_area_px=1) for kind in ("plume", "hotspot")}
C9 = "data/look/galileo_c9_pillan_plume_limb_prometheus_disk.jpg"


def half_moon(dark_deg: float = 0.0) -> Frame:
    """A Lambert sphere lit from the right on a noisy sky; ground with the Sun below ``dark_deg`` is left dark."""
    height = sun_height_deg(X, Y, LIMB, RIGHT)
    light = np.where(height > dark_deg, np.sin(np.radians(np.nan_to_num(height))), 0.0)
    noise = np.random.default_rng(1).normal(10, 1, X.shape)
    return Frame.of((1000 * np.clip(light, 0, None) + noise).astype(np.float32))


def across(angle_deg: float) -> tuple[float, float]:
    """The pixel on the row of the centre over which the Sun is so high."""
    return LIMB.x_px + LIMB.radius_px * math.sin(math.radians(angle_deg)), LIMB.y_px


@given(st.floats(-85, 85))
def test_at_half_phase_the_sun_is_as_high_as_the_ground_is_far_from_the_middle(angle_deg: float) -> None:
    x, y = (np.array([side]) for side in across(angle_deg))
    assert sun_height_deg(x, y, LIMB, RIGHT)[0] == pytest.approx(angle_deg, abs=1e-6)


def test_off_the_disk_the_sun_has_no_height() -> None:
    assert np.isnan(sun_height_deg(np.array([275.0]), np.array([150.0]), LIMB, RIGHT)).all()


@pytest.mark.parametrize("angle_deg", [-30.0, -12.0, -5.0])
def test_beyond_the_day_is_beyond_the_terminator_where_the_light_is_known(angle_deg: float) -> None:
    assert beyond_day_deg(half_moon(), LIMB, RIGHT, across(angle_deg)) == pytest.approx(-angle_deg, abs=0.1)


@pytest.mark.parametrize("wrong_deg", [4.0, 8.0])
def test_light_that_is_off_by_degrees_does_not_move_the_end_of_the_day(wrong_deg: float) -> None:
    """A Sun thought further to the right than it is puts the ground's end under a lower Sun, and the place as well."""
    behind = np.array([math.cos(math.radians(wrong_deg)), 0.0, -math.sin(math.radians(wrong_deg))])
    assert sun_height_deg(*(np.array([side]) for side in across(-12)), LIMB, behind)[0] < -12 - 0.9 * wrong_deg
    assert beyond_day_deg(half_moon(), LIMB, behind, across(-12)) == pytest.approx(12, abs=1.6)


def test_on_lit_ground_nothing_is_beyond_the_day() -> None:
    assert beyond_day_deg(half_moon(), LIMB, RIGHT, across(15)) < 0


def regions_at(angle_deg: float, limb: Limb = LIMB) -> int:
    """How many regions are possible of a bright patch over which the Sun is so high."""
    frame, (x, y) = half_moon(), across(angle_deg)
    patch = np.hypot(X - x, Y - y) < 4
    image = np.where(patch, 300 + 50 * np.exp(-np.hypot(X - x, Y - y)), frame.image).astype(np.float32)
    scores = np.zeros((2, *frame.shape), np.float32)
    scores[0][patch] = 0.9
    return len(possible_regions(Frame.of(image), limb, scores, EASY))


@pytest.mark.parametrize(("angle_deg", "kept"), [(-20, 1), (-12, 1), (-5, 0), (10, 0)])
def test_only_what_no_mountain_reaches_is_a_plume_on_the_disk(angle_deg: float, kept: int) -> None:
    """17 km of height are lit up to 7.8 degrees beyond the terminator."""
    assert regions_at(angle_deg) == kept


def test_what_hardly_shines_is_no_plume_on_the_disk() -> None:
    """A hundredth of the brightest surface: grey steps and blocks of compression are as bright."""
    frame = half_moon()
    (x, y), bright = across(-30), frame.levels.bright - frame.levels.sky
    patch = np.hypot(X - x, Y - y) < 4
    scores = np.zeros((2, *frame.shape), np.float32)
    scores[0][patch] = 0.9
    for share, kept in ((0.006, 0), (0.03, 1)):
        image = np.where(patch, frame.levels.sky + share * bright, frame.image).astype(np.float32)
        assert len(possible_regions(Frame.of(image), LIMB, scores, EASY)) == kept


def test_at_a_guess_nothing_on_the_disk_is_a_plume() -> None:
    guess = Limb(LIMB.x_px, LIMB.y_px, LIMB.radius_px, 0.2, source=GUESS)
    assert regions_at(-20, Limb.none("doubted in this test", guess)) == 0


def test_a_plume_at_the_limb_is_possible_whatever_the_sun() -> None:
    frame = half_moon()
    scores = np.zeros((2, *frame.shape), np.float32)
    scores[0, 147:154, 24:32] = 0.9  # at the limb on the night side
    assert len(possible_regions(frame, LIMB, scores, EASY)) == 1


def test_without_any_light_nothing_on_the_disk_is_a_plume() -> None:
    dark = Frame.of(np.random.default_rng(2).normal(10, 1, X.shape).astype(np.float32))
    scores = np.zeros((2, *dark.shape), np.float32)
    scores[0, 140:146, 90:96] = 0.9
    assert sun_on(dark, LIMB) is None
    assert possible_regions(dark, LIMB, scores, EASY) == ()


def test_the_lit_peak_of_c9_may_be_a_mountain_in_every_plane(shared: Path) -> None:
    """Beyond the terminator of the picture with Pillan's plume a point is lit, 3 to 5 degrees into the night."""
    for frame in read_frames(shared / C9):
        limb = find_limb(frame)
        sun = sun_on(frame, limb)
        assert sun is not None
        assert 2 < beyond_day_deg(frame, limb, sun, (274.0, 397.0)) < 7, frame.filter
