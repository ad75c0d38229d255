"""The picture: what is drawn stands where it must, whatever the frame's size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib import image as pictures
from matplotlib.colors import to_rgb

from detector.card import Threshold
from detector.detect import Result
from detector.frame import Frame
from detector.limb import Limb
from detector.measure import measure
from detector.quicklook import (
    BOTTOM_PX,
    COLOURS,
    LONGEST_PX,
    SIDE_PX,
    TOP_PX,
    label_of,
    nice_length,
    quicklook,
    stretched,
)
from detector.regions import find_regions

EASY = {kind: Threshold(seed=0.7, grow=0.4, min_area_px=1) for kind in ("plume", "hotspot")}


def result_of(shape: tuple[int, int], limb: Limb, spots: list[tuple[int, int]] | None = None) -> Result:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    image = np.random.default_rng(1).normal(10, 1, shape)
    scores = np.zeros((2, *shape), np.float32)
    if limb.trusted:
        altitude = np.hypot(x - limb.x_px, y - limb.y_px) - limb.radius_px
        image[altitude < 0] += 150
        scores[0][(np.abs(x - limb.x_px) < 8) & (y < limb.y_px) & (altitude > -2) & (altitude < 15)] = 0.9
    for column, row in spots or []:
        scores[1, row, column] = 0.8
    frame = Frame.of(image.astype(np.float32), id="f", instrument="galileo_ssi", filter="VIOLET")
    regions = find_regions(scores, EASY, limb)
    return Result(frame, limb, scores, regions, measure(frame, limb, regions, "m@1"), "m@1", "confident", EASY)


def picture_of(result: Result) -> np.ndarray:
    return pictures.imread(io.BytesIO(quicklook(result)), format="png")[..., :3]


def coloured(picture: np.ndarray, kind: str) -> np.ndarray:
    """(n, 2) x, y in pixels of the frame's area where the class's own colour is drawn."""
    near = np.abs(picture - np.array(to_rgb(COLOURS[kind]))).max(axis=2) < 0.02
    y, x = np.nonzero(near)
    inside = (y > TOP_PX) & (y < picture.shape[0] - BOTTOM_PX)
    return np.stack([x[inside], y[inside]], axis=1)


@pytest.mark.parametrize("size", [(200, 200), (400, 500), (2600, 900)])
def test_outlines_lie_on_what_was_found(size: tuple[int, int]) -> None:
    limb = Limb(size[1] / 2, size[0] * 0.6, min(size) / 4, 0.5)
    spot = (int(limb.x_px), int(limb.y_px))
    result = result_of(size, limb, [spot])
    picture = picture_of(result)
    scale = LONGEST_PX / max(size)
    left = (picture.shape[1] - size[1] * scale) / 2
    for kind, (x, y) in {"plume": (limb.x_px, limb.y_px - limb.radius_px - 6), "hotspot": spot}.items():
        expected = np.array([left + (x + 0.5) * scale, TOP_PX + (y + 0.5) * scale])
        assert np.abs(coloured(picture, kind) - expected).sum(axis=1).min() < 25 + 20 * scale


def test_nothing_found_draws_no_outline() -> None:
    picture = picture_of(result_of((100, 150), Limb.none("no edge")))
    assert coloured(picture, "plume").size == coloured(picture, "hotspot").size == 0


def test_the_same_result_gives_the_same_bytes() -> None:
    result = result_of((120, 160), Limb(80, 70, 30, 0.5), [(80, 70)])
    assert quicklook(result) == quicklook(result)


@pytest.mark.parametrize("shape", [(3, 25), (1, 1), (1200, 40)])
def test_any_shape_can_be_drawn(shape: tuple[int, int]) -> None:
    picture = picture_of(result_of(shape, Limb.none("too small")))
    assert picture.shape[1] >= 760 + 2 * SIDE_PX


def test_a_hundred_detections_can_be_drawn() -> None:
    spots = [(5 + 10 * (k % 20), 5 + 10 * (k // 20)) for k in range(100)]
    assert len(coloured(picture_of(result_of((60, 210), Limb.none("none"), spots)), "hotspot")) > 1000


def test_the_stretch_keeps_order_and_shows_the_faint() -> None:
    image = np.full((50, 50), 10, np.float32)
    image[::2, ::2] = 11
    image[30:, :] = 210
    image[5, 5:15] = 20  # 5 % of the surface's brightness
    grey = stretched(image, np.ones(image.shape, bool))
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert grey[40, 40] > 0.9
    assert grey[5, 10] > 0.15 > grey[1, 1]


@pytest.mark.parametrize(("most", "length"), [(1.0, 1), (9.9, 5), (250, 200), (0.037, 0.02), (1000, 1000)])
def test_scale_bars_have_round_lengths(most: float, length: float) -> None:
    assert nice_length(most) == pytest.approx(length)


def test_labels_say_number_score_and_height() -> None:
    plume, spot = result_of((200, 200), Limb(100, 110, 50, 0.5), [(100, 110)]).detections
    assert label_of(plume).startswith("p01 0.90  ")
    assert label_of(plume).endswith(" km")
    assert label_of(spot) == "h01 0.80"
