"""The limb annulus: a plume is found, whatever the azimuth; noise, glare and a lone hit are not plumes."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("photutils", reason="the extra `bench` is not installed")

from detector.frame import Frame
from detector.limb import Limb
from training.labels import Truth
from training.metrics import match_objects
from training.rivals import Sight
from training.rivals.annulus import LimbAnnulus, unwrap

SHAPE, LIMB = (220, 220), Limb(110.0, 108.0, 70.0, 0.2)
FINDERS = [LimbAnnulus(despike, glare, window) for despike, glare, window in
           ((False, True, 90.0), (True, True, 90.0), (True, False, 360.0))]  # fmt: skip


def disk(seed: int = 0, glare: float = 0.0) -> np.ndarray:
    """Half-lit Io on a sky of 10 ± 1; ``glare``: how much light of the bright limb reaches the sky beside it."""
    y, x = np.indices(SHAPE).astype(float)
    dx, dy = (x - LIMB.x_px) / LIMB.radius_px, (y - LIMB.y_px) / LIMB.radius_px
    away = np.hypot(dx, dy)
    light = np.clip(0.3 + dx, 0, None)
    image = np.where(away < 1, 200 * light, 0) + glare * light * np.exp(-np.clip(away - 1, 0, None) / 0.05) * (
        away >= 1
    )
    return 10 + image + np.random.default_rng(seed).normal(0, 1, SHAPE)


def plume(azimuth_deg: float, brightness: float = 6.0) -> tuple[np.ndarray, Truth]:
    """A round plume of radius 9 px that stands on the limb."""
    turn = math.radians(azimuth_deg)
    y, x = np.indices(SHAPE)
    centre = LIMB.x_px + 73 * math.sin(turn), LIMB.y_px - 73 * math.cos(turn)
    away = np.hypot(x - LIMB.x_px, y - LIMB.y_px) - LIMB.radius_px
    where = (np.hypot(x - centre[0], y - centre[1]) < 9) & (away > 0)
    return brightness * where, Truth.cut("p", "plume", where)


@pytest.mark.parametrize("azimuth", [0, 90, 181, 300])
@pytest.mark.parametrize("finder", FINDERS, ids=repr)
def test_a_plume_is_found_once_at_any_azimuth(finder, azimuth):
    light, truth = plume(azimuth)
    finds = finder(Sight(Frame.of(disk() + light), LIMB))
    match = match_objects([truth], [one.region for one in finds], np.ones((2, *SHAPE), np.float32))
    assert match.of_truth == (0,)
    assert finds[0].score > 15
    assert all(one.score < 7 for one in finds[1:])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("finder", FINDERS, ids=repr)
def test_noise_is_no_plume(finder, seed):
    assert all(one.score < 7 for one in finder(Sight(Frame.of(disk(seed)), LIMB)))


def test_glare_of_the_bright_limb_hides_a_plume_only_from_who_does_not_fit_it():
    light, truth = plume(300, 8.0)  # where the limb is dark
    image = disk(0, glare=30.0) + light
    plain, fitted = (
        match_objects([truth], [one.region for one in finder(Sight(Frame.of(image), LIMB)) if one.score > 7],
                      np.ones((2, *SHAPE), np.float32)).tally
        for finder in (LimbAnnulus(True, False, 360.0), LimbAnnulus(True, True, 90.0))
    )  # fmt: skip
    assert (plain.tp, fitted.tp, fitted.fp) == (0, 1, 0)


def test_a_hit_beside_the_limb_is_no_plume_to_who_despikes():
    image = disk()
    image[36, 110] += 400
    hit, despiked = (LimbAnnulus(despike, True, 90.0)(Sight(Frame.of(image), LIMB)) for despike in (False, True))
    assert max(one.score for one in hit) > 10
    assert all(one.score < 7 for one in despiked)


@pytest.mark.parametrize("limb", [Limb.none("none"), Limb(-400.0, 90.0, 60.0)], ids=["none", "outside"])
def test_without_a_limb_in_sight_there_is_no_plume(limb):
    assert FINDERS[0](Sight(Frame.of(disk()), limb)) == []


def test_half_a_ring_is_searched_where_it_was_seen():
    light, truth = plume(90)
    valid = np.zeros(SHAPE, bool)
    valid[:, 100:] = True
    finds = FINDERS[0](Sight(Frame.of(disk() + light, valid), LIMB))
    assert match_objects([truth], [one.region for one in finds], np.ones((2, *SHAPE), np.float32)).tally.tp == 1
    assert all(one.region.x0 >= 100 for one in finds)


def test_cells_of_the_ring_hold_what_lies_at_their_altitude():
    y, x = np.indices(SHAPE)
    away = np.hypot(x - LIMB.x_px, y - LIMB.y_px) - LIMB.radius_px
    ring = unwrap(Sight(Frame.of(away), LIMB), despike=False)
    altitudes = ring.first_px + ring.row_px * np.arange(len(ring.values))
    assert ring.seen.all()
    assert np.abs(ring.values - altitudes[:, None]).max() < 0.05
