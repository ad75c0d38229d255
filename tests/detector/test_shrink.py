"""Very large disks: thinned to what the unwrapped limb needs, searched in tiles, with the same answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import shrink, tiles
from detector.frame import CLASSES, Frame
from detector.limb import Limb
from detector.session import Model
from detector.shrink import enlarged, factor_of, shrunk


@given(
    factor=st.integers(1, 5), shape=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    place=st.tuples(st.floats(0, 19), st.floats(0, 19)),
)  # fmt: skip
def test_what_is_thinned_stays_where_it_was(factor: int, shape: tuple[int, int], place: tuple[float, float]) -> None:
    rows, columns = np.indices(shape)
    limb = Limb(*place, 12.0)
    distance = np.hypot(rows - limb.y_px, columns - limb.x_px).astype(np.float32)
    small, circle = shrunk(Frame.of(distance), limb, factor)
    y, x = np.indices(small.shape)
    np.testing.assert_allclose(np.hypot(y - circle.y_px, x - circle.x_px) * factor, small.image, rtol=1e-5, atol=1e-5)
    back = enlarged(small.image, factor, shape)
    assert back.shape == shape
    assert np.abs(back - distance).max() <= factor * math.sqrt(2)


def test_only_a_limb_whose_surroundings_are_very_large_is_thinned() -> None:
    frame = Frame.of(np.zeros((2796, 2796), np.float32))
    assert factor_of(frame, Limb(1398, 1398, 1390)) == 3
    assert factor_of(frame, Limb(1398, 1398, 300)) == 1
    assert factor_of(frame, Limb.none("dark")) == 1
    assert factor_of(Frame.of(np.zeros((512, 512), np.float32)), Limb(256, 5000, 4900)) == 1
    assert factor_of(frame, Limb(9000, 9000, 1500)) == 1  # nothing of it is in the frame


def test_the_released_model_finds_the_same_on_a_thinned_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plume and a hot spot on a disk of 330 px, the network's windows made small enough to come to tiles."""
    limb = Limb(400, 400, 330)
    rows, columns = np.indices((800, 800)).astype(float)
    radius = np.hypot(rows - 400, columns - 400)
    azimuth = np.arctan2(columns - 400, 400 - rows)
    image = 4 + 60.0 * np.clip(330.5 - radius, 0, 1) * (0.35 + 0.65 * np.clip((columns - 250) / 400, 0, 1))
    plume = np.clip(1 - np.hypot((azimuth - 1.0) * 330 / 30, (radius - 330) / 28), 0, 1) * (radius > 329)
    spot = np.exp(-((rows - 420) ** 2 + (columns - 130) ** 2) / (2 * 1.1**2))
    image = image + 25 * plume + 400 * spot + np.random.default_rng(3).normal(0, 1, image.shape)
    frame, model = Frame.of(image.astype(np.float32)), Model.open(device="cpu", threads=1)
    whole = model.scores(frame, limb)
    monkeypatch.setattr(shrink, "LARGE_PX", 400_000)
    monkeypatch.setattr(shrink, "PLENTY_PX", 150.0)
    monkeypatch.setattr(tiles, "TILE_PX", 416)
    assert factor_of(frame, limb) == 2
    thinned = model.scores(frame, limb)
    plumes, spots = (CLASSES.index(kind) for kind in ("plume", "hotspot"))
    both = [scores[plumes] > 0.12 for scores in (whole, thinned)]
    assert both[0].sum() > 100
    assert (both[0] & both[1]).sum() > 0.7 * (both[0] | both[1]).sum()
    assert np.nanmax(whole[spots]) > 0.5
    np.testing.assert_allclose(thinned[spots], whole[spots], atol=0.05)
