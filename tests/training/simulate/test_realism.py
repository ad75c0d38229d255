"""Measures of a frame, each on a frame where it is known, and the table they end in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.errors import InputError
from detector.frame import Frame
from detector.limb import Limb
from training.simulate.cameras.camera import cosine_blocks
from training.simulate.realism import MEASURES, Row, against, compare, measures, spectrum, write_page

SHAPE = (256, 256)
NONE = Limb.none("nothing")


def frame(image: np.ndarray) -> Frame:
    return Frame.of(np.asarray(image, np.float32), id="a")


def white(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(20, 3, SHAPE)


def test_white_noise_measures_as_white_noise() -> None:
    numbers = measures(frame(white()), NONE)
    assert numbers["noise"] == pytest.approx(3, rel=0.05)
    assert numbers["column_share"] == pytest.approx(1 / 8, rel=0.25)  # 64 rows are averaged
    assert numbers["row_share"] == pytest.approx(1 / 8, rel=0.25)
    assert numbers["odd_even"] < 0.1
    assert numbers["spectrum_low"] == pytest.approx(1, abs=0.3)
    assert numbers["spectrum_high"] == pytest.approx(1, abs=0.1)
    assert numbers["blocks"] == pytest.approx(1, abs=0.05)
    assert numbers["tail"] < 1e-3
    assert np.isnan(numbers["limb_width_px"])
    assert set(numbers) == set(MEASURES)


def test_patterns_are_told() -> None:
    columns = white() + 6 * (np.arange(256) % 2)[None]
    assert measures(frame(columns), NONE)["odd_even"] == pytest.approx(2, rel=0.1)
    soft = cv2.GaussianBlur(white(), (0, 0), 1.5)
    assert measures(frame(soft), NONE)["spectrum_high"] < 0.2
    ramp = white() + 0.5 * np.arange(256)[None]
    blocky = cosine_blocks(ramp.astype(np.float32), np.full((8, 8), 16, np.float32))
    assert measures(frame(blocky), NONE)["blocks"] > 1.3
    hit = white()
    hit[np.random.default_rng(1).random(SHAPE) < 0.02] += 100
    assert measures(frame(hit), NONE)["tail"] == pytest.approx(0.02, rel=0.4)


def test_a_spectrum_of_one_wave_lies_at_its_frequency() -> None:
    wave = np.sin(2 * np.pi * 3 / 64 * np.arange(64))[None] * np.ones((64, 1))
    low, high = spectrum(wave.astype(np.float32))
    assert low > 10
    assert high < 1e-6


def test_unused_levels_and_ends_are_counted() -> None:
    values = np.random.default_rng(2).integers(0, 200, SHAPE)
    combed = values - values % 4
    image = replace(frame(combed), saturation=255.0)
    numbers = measures(image, NONE)
    assert numbers["empty_levels"] == pytest.approx(0.75, abs=0.02)
    assert numbers["at_floor"] == pytest.approx(1 / 50, rel=0.15)


@pytest.mark.parametrize("sigma", [0.8, 1.4])
def test_the_width_of_a_blurred_edge(sigma: float) -> None:
    """From 80 to 20 % a Gaussian-blurred step falls in 1.683 sigma; pixels and sampling blur it by 0.45 px more."""
    y, x = np.mgrid[:1024, :1024] / 4
    disk = 100.0 * (np.hypot(x - 128, y - 128) < 70)
    image = cv2.resize(cv2.GaussianBlur(disk, (0, 0), 4 * sigma), SHAPE, interpolation=cv2.INTER_AREA)
    numbers = measures(frame(image), Limb(127.6, 127.6, 70.0, 0.1))
    assert numbers["limb_width_px"] == pytest.approx(1.683 * np.hypot(sigma, 0.45), rel=0.1)


def test_a_real_value_among_simulated_ones() -> None:
    blank = dict.fromkeys(MEASURES, np.nan)
    rows = against(frame(white()), blank | {"noise": 7.5}, [blank | {"noise": float(n)} for n in range(11)])
    assert rows == [Row("unknown", "a", "noise", 7.5, 0.5, 5.0, 9.5, pytest.approx(8 / 11), 11)]
    assert rows[0].inside
    assert not replace(rows[0], real=9.6).inside


def test_the_page_marks_what_is_outside(tmp_path: Path) -> None:
    rows = [Row("jiram", "dark", "noise", 3.0, 1, 2, 4, 0.6, 9), Row("jiram", "dark", "tail", 9.0, 1, 2, 4, 1.0, 9)]
    write_page(rows, tmp_path / "docs" / "page.md", 3, 9)
    text = (tmp_path / "docs" / "page.md").read_text()
    assert "| noise | 3 | 1 | 2 | 4 | 0.60 | 9 |" in text
    assert "| tail | **9** |" in text
    assert "## dark (jiram)" in text


def test_real_darks_lie_within_the_simulated_ones(shared: Path) -> None:
    rows = compare([shared / "data" / "jiram" / "dark_1ms.cub"], seed=3, count=12)
    assert {row.measure for row in rows} >= {"column_share", "odd_even", "spectrum_low", "spectrum_high"}
    assert sum(row.inside for row in rows) >= len(rows) // 2


def test_frames_of_no_simulated_camera_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64), 9, np.uint8))
    with pytest.raises(InputError, match="simulated instrument"):
        compare([tmp_path / "a.png"], 0, 5)
