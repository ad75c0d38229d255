"""Windows, stretches, masks and the unwrapped limb, against closed forms."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detector.frame import IO_RADIUS_KM
from serve.web import pictures
from serve.web.examine import PLACES
from serve.web.pictures import Strip, Window

LEVELS = {
    "sky": 10.0,
    "sigma": 1.0,
    "bright": 100.0,
    "least": 2.0,
    "most": 300.0,
    "percentiles": [3.0, 4.0] + [5.0] * 7 + [90.0, 95.0],
}


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 7), st.data())
def test_a_reduced_window_holds_the_means_of_its_blocks(
    rows: int, columns: int, step: int, data: st.DataObject
) -> None:
    image = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    image[data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))] = np.nan
    reduced = pictures.read_window(image, Window(0, 0, columns, rows, step))
    assert reduced.shape == (math.ceil(rows / step), math.ceil(columns / step))
    for r, c in np.ndindex(reduced.shape):
        block = image[r * step : (r + 1) * step, c * step : (c + 1) * step]
        seen = block[np.isfinite(block)]
        assert np.isclose(reduced[r, c], seen.mean()) if seen.size else np.isnan(reduced[r, c])


def test_a_window_is_cut_at_the_frame() -> None:
    assert Window.within((10, 20), 15, 8, 100, None) == Window(15, 8, 5, 2)
    assert Window.within((10, 20), 50, 0, None, None).width == 0
    assert Window.within((10, 4000), 0, 0, None, None).fitting(1000).step == 4


@pytest.mark.parametrize("stretch", pictures.STRETCHES)
def test_every_stretch_runs_from_black_to_white_and_never_back(stretch: str) -> None:
    ramp = np.linspace(-5, 15, 201, dtype=np.float32)[None]
    grey = pictures.stretched(ramp, stretch, 0, 10)[0, :, 0].astype(int)
    assert (np.diff(grey) >= 0).all()
    assert grey[ramp[0] <= 0].max() == 0
    assert grey[ramp[0] >= 10].min() == 255


def test_the_stretches_differ_as_they_should() -> None:
    half = np.array([[5.0]], np.float32)
    assert pictures.stretched(half, "linear", 0, 10)[0, 0, 0] == 128
    expected = 255 * math.asinh(0.5 / 0.06) / math.asinh(1 / 0.06)
    assert abs(int(pictures.stretched(half, "asinh", 0, 10)[0, 0, 0]) - expected) <= 1
    assert pictures.range_of("linear", LEVELS) == (2.0, 300.0)
    assert pictures.range_of("asinh", LEVELS) == pytest.approx((9.0, 124.0))
    assert pictures.range_of("percentile", LEVELS) == (4.0, 90.0)


def test_what_was_not_observed_has_a_colour_of_its_own() -> None:
    picture = pictures.stretched(np.array([[np.nan, 1.0]], np.float32), "linear", 0, 2)
    assert tuple(picture[0, 0]) == pictures.UNSEEN
    assert len(set(picture[0, 1])) == 1


def test_a_png_is_what_went_in() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(pictures.png(picture)))) == picture).all()


def test_the_unwrapped_limb_shows_altitude_upwards_and_angle_to_the_right() -> None:
    """A frame whose pixels hold their own altitude; and one that holds their angle."""
    y, x = np.mgrid[:400, :400].astype(np.float32)
    limb = {"x_px": 210.0, "y_px": 190.0, "radius_px": 100.0}
    altitude = (np.hypot(x - 210, y - 190) / 100 - 1) * IO_RADIUS_KM
    strip = Strip.of(100.0)
    rows = strip.high_km - (np.arange(strip.rows) + 0.5) * strip.km_per_row
    unwrapped = pictures.unwrap(altitude, limb, strip, flat=False)
    assert np.abs(unwrapped - rows[:, None]).max() < 0.1
    towards_x = pictures.unwrap(x, limb, strip, flat=False)
    middle = strip.rows // 2
    assert towards_x[middle].argmax() * strip.deg_per_column == pytest.approx(90, abs=1)  # right of the centre
    assert pictures.unwrap(y, limb, strip, flat=False)[middle].argmax() * strip.deg_per_column == pytest.approx(
        180, abs=1
    )


def test_flattening_takes_each_altitudes_median_away() -> None:
    y, x = np.mgrid[:300, :300].astype(np.float32)
    limb = {"x_px": 150.0, "y_px": 150.0, "radius_px": 80.0}
    image = 1000 - np.hypot(x - 150, y - 150)
    image[60:66, 148:154] += 50  # a plume at the top
    strip = Strip.of(80.0)
    flat = pictures.unwrap(image, limb, strip, flat=True)
    assert np.nanmax(np.abs(np.nanmedian(flat, axis=1))) < 1e-3
    row, column = np.unravel_index(np.nanargmax(flat), flat.shape)
    angle = column * strip.deg_per_column
    assert min(angle, 360 - angle) < 5
    assert strip.high_km - row * strip.km_per_row == pytest.approx((87 / 80 - 1) * IO_RADIUS_KM, abs=80)


def test_a_limb_outside_the_frame_is_not_observed() -> None:
    limb = {"x_px": -5000.0, "y_px": 0.0, "radius_px": 50.0}
    assert np.isnan(pictures.unwrap(np.zeros((20, 20), np.float32), limb, Strip.of(50.0), flat=True)).all()


def test_a_place_lies_between_those_of_the_grid(tmp_path) -> None:  # type: ignore[no-untyped-def]
    lat = np.array([[0, 0], [10, 10]], np.float32)
    lon = np.array([[355, 5], [355, 5]], np.float32)
    np.save(tmp_path / PLACES, np.stack([lat, lon]))
    found = pictures.place_at(tmp_path, 8, 4, 4)
    assert found[0] == pytest.approx(5, abs=0.05)
    assert math.cos(math.radians(found[1])) == pytest.approx(1)
    lat[1, 1] = np.nan
    np.save(tmp_path / PLACES, np.stack([lat, lon]))
    assert math.isnan(pictures.place_at(tmp_path, 8, 4, 4)[0])
    assert math.isnan(pictures.place_at(tmp_path, 0, 4, 4)[0])


def test_a_mask_shows_only_what_passes() -> None:
    square = {"type": "MultiPolygon", "coordinates": [[[(1.5, 1.5), (3.5, 1.5), (3.5, 3.5), (1.5, 3.5), (1.5, 1.5)]]]}
    document = {"detections": [{"kind": "plume", "score": 0.4}], "outlines": [square]}
    window = Window(0, 0, 8, 8)
    assert (pictures.mask_picture(document, (8, 8), window, 0.3)[..., 3] > 0).sum() == 4
    assert not pictures.mask_picture(document, (8, 8), window, 0.5).any()
    assert pictures.holds(square["coordinates"], 2, 3)  # type: ignore[arg-type]
    assert not pictures.holds(square["coordinates"], 5, 3)  # type: ignore[arg-type]
