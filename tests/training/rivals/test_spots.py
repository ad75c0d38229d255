"""Finders of point sources: a star of known strength is found where it is, noise is not, hits are told from stars."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("photutils", reason="the extra `bench` is not installed")
pytest.importorskip("sep", reason="the extra `bench` is not installed")
pytest.importorskip("astroscrappy", reason="the extra `bench` is not installed")

from detector.frame import Frame
from detector.limb import Limb
from training.rivals import RIVALS, Sight
from training.rivals.sight import disc, spaced_median
from training.rivals.spots import DaoStars, LaplacianBlobs, SepSources

NOWHERE = Limb.none("no limb")
STAR = (61.3, 40.8)
SIGMA_PX = 0.9
ALONE = (DaoStars(None, 4, False, 2.1), SepSources(None, 4, False, 0.9), LaplacianBlobs(None, 4))
CLEANED = (DaoStars(5.0, 4, False, 2.1), SepSources(5.0, 4, False, 0.9), LaplacianBlobs(5.0, 4))


def star(snr: float, place: tuple[float, float] = STAR, shape: tuple[int, int] = (120, 140)) -> np.ndarray:
    """A Gaussian whose matched filter reaches ``snr`` in noise of sigma 1."""
    y, x = np.indices(shape)
    light = np.exp(-0.5 * ((x - place[0]) ** 2 + (y - place[1]) ** 2) / SIGMA_PX**2)
    return light * snr / math.sqrt(float((light**2).sum()))


def noise(seed: int = 0, shape: tuple[int, int] = (120, 140)) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 1, shape)


@pytest.mark.parametrize("finder", ALONE, ids=lambda one: type(one).__name__)
def test_a_star_is_found_where_it_is_and_its_score_is_its_signal_to_noise(finder):
    best, *others = finder(Sight(Frame.of(noise() + star(25)), NOWHERE))
    assert math.hypot(best.x_px - STAR[0], best.y_px - STAR[1]) < 0.7
    assert best.region.kind == "hotspot"
    assert best.region.within((slice(0, 120), slice(0, 140)))[41, 61]
    assert 13 < best.score < 28  # DAOFIND looks at 1.5 sigma of the star only, and takes its mean away
    assert all(one.score < 5.5 for one in others)


@pytest.mark.parametrize("finder", [*ALONE, *CLEANED], ids=repr)
def test_nothing_is_sure_in_noise_nothing_at_all_in_a_flat_frame(finder):
    assert max((one.score for one in finder(Sight(Frame.of(noise(1)), NOWHERE))), default=0) < 5.5
    assert finder(Sight(Frame.of(np.full((90, 90), 7.0)), NOWHERE)) == []


@pytest.mark.parametrize(
    ("alone", "cleaned"), list(zip(ALONE, CLEANED, strict=True)), ids=lambda one: type(one).__name__
)
def test_cleaning_takes_the_hit_and_leaves_the_star(alone, cleaned):
    image = noise() + star(60, (61.0, 41.0))
    image[90, 30] += 60  # one pixel: no optics make that
    found, left = (
        {(round(one.x_px), round(one.y_px)) for one in finder(Sight(Frame.of(image), NOWHERE)) if one.score > 8}
        for finder in (alone, cleaned)
    )
    assert (61, 41) in left
    assert (30, 90) not in left
    if not isinstance(alone, DaoStars):  # its sharpness sees the hit for what it is
        assert (30, 90) in found


def test_a_hot_spot_lies_on_the_disk():
    frame = Frame.of(noise() + star(40) + star(40, (110.0, 100.0)))
    (only,) = [one for one in ALONE[2](Sight(frame, Limb(60.0, 50.0, 30.0))) if one.score > 10]
    assert round(only.x_px) == 61


@pytest.mark.parametrize("limb", [Limb(-500.0, -500.0, 40.0), NOWHERE])
def test_where_nothing_is_seen_nothing_is_found(limb):
    frame = Frame.of(noise(), np.zeros((120, 140), bool))
    assert all(
        settings(Sight(frame, limb)) == [] for kind in RIVALS.values() for one in kind.values() for settings in one
    )


def test_the_spaced_median_is_that_of_its_25_pixels():
    image = np.random.default_rng(3).normal(size=(40, 40)).astype(np.float32)
    assert spaced_median(image, 3)[20, 17] == np.median(image[14:27:3, 11:24:3])


def test_a_disc_holds_at_least_the_pixel_it_stands_on():
    from training.rivals.sight import Cut

    cut = Cut(np.zeros((10, 12), np.float32), 100, 200)
    region = disc("hotspot", 3.4, 5.5, 0.1, cut)
    assert (region.x0, region.y0, region.area_px) == (103, 206, 1)
    assert disc("hotspot", 0.0, 0.0, 1.0, cut).area_px == 3  # a quarter of the plus of five


def test_a_dot_in_a_crowd_means_less():
    image = noise() + star(60)
    crowded = image.copy()
    rows, columns = np.random.default_rng(2).integers(0, 120, (2, 60))
    crowded[rows, columns] += 50
    alone, among = (LaplacianBlobs(None, 4, True)(Sight(Frame.of(one), NOWHERE))[0].score for one in (image, crowded))
    assert alone > 5 * among
    assert alone == LaplacianBlobs(None, 4, False)(Sight(Frame.of(image), NOWHERE))[0].score
