"""The simulated JIRAM imager against its real darks, and against the published laws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from detector.readers import read_frames
from training.simulate.cameras import jiram
from training.simulate.cameras.jiram import JiramCamera, column_answer, draw_jiram, real_hot_pixels
from training.simulate.dice import Dice

Image = NDArray[np.float32]

DARKS = {1: 4, 3: 3}
"""Milliseconds: frames in the average, as the fractions in the files say (quarters, thirds)."""
QUIET = ("odd_even",)


def real_dark(shared: Path, ms: int) -> Image:
    (frame,) = read_frames(shared / "data" / "jiram" / f"dark_{ms}ms.cub")
    return frame.image


def made_dark(ms: int, seed: int = 11) -> Image:
    """An average of raw darks of one detector, as the real files are."""
    rng = np.random.default_rng(seed)
    shape, exposure_s = jiram.JIRAM_SHAPE, ms / 1e3
    dark = jiram.fixed_pattern(shape, exposure_s, 0, rng) + jiram.line_curve(256, "LM") + jiram.mean_dark(exposure_s)
    dark += np.mean([jiram.temporal_noise(shape, rng) for _ in range(DARKS[ms])], axis=0)
    return np.minimum(dark + jiram.real_hot(shape, "L", rng), np.float32(jiram.CEILING_DN))


def about_columns(dark: Image, first: int) -> Image:
    """Pixels of every second column less their column's median, in robust sigmas."""
    rest = dark[:, first::2] - np.median(dark[:, first::2], axis=0)
    return (rest / (1.4826 * np.median(np.abs(rest)))).ravel()


@pytest.mark.parametrize("ms", [1, 3])
class TestDark:
    def test_pixels_are_distributed_as_the_real_ones(self, shared: Path, ms: int) -> None:
        # Kolmogorov-Smirnov on standardised pixels. 2500 pixels drawn at random of each are independent (neighbours
        # correlate by 0.01); the median p of nine draws must pass 5 %, and no draw may reach 0.1 %.
        real, made, rng = real_dark(shared, ms), made_dark(ms), np.random.default_rng(0)
        for first in (0, 1):
            a, b = about_columns(real, first), about_columns(made, first)
            p = [stats.ks_2samp(rng.choice(a, 2500, False), rng.choice(b, 2500, False)).pvalue for _ in range(9)]
            assert np.median(p) > 0.05
            assert min(p) > 0.001

    def test_counts_are_distributed_as_the_real_ones(self, shared: Path, ms: int) -> None:
        # All pixels at once; the columns make them dependent, so a distance is stated, no p: 5 % of the pixels.
        assert stats.ks_2samp(real_dark(shared, ms).ravel(), made_dark(ms).ravel()).statistic < 0.05

    def test_columns_alternate_as_the_real_ones(self, shared: Path, ms: int) -> None:
        step, spread = [], []
        for dark in (real_dark(shared, ms), made_dark(ms)):
            columns = np.median(dark, axis=0)
            step.append(np.mean(columns[::2]) - np.mean(columns[1::2]))
            spread.append(np.hypot(columns[::2].std(), columns[1::2].std()) / np.sqrt(2))
        # 216 columns a kind: a mean step is known to 2 * 73 / sqrt(432) = 7 DN, an rms to 1 / sqrt(2 * 432) = 3.4 %
        assert step[1] == pytest.approx(step[0], abs=21)
        assert spread[1] == pytest.approx(spread[0], rel=0.10)

    def test_lines_bend_as_the_real_ones(self, shared: Path, ms: int) -> None:
        curves = []
        for dark in (real_dark(shared, ms), made_dark(ms)):
            rest = dark - np.median(dark, axis=0)
            curves.append(np.array([np.median(rest[i : i + 16]) for i in range(0, 256, 16)]))
        assert np.abs(curves[0] - curves[1]).max() < 10  # DN, of a curve that spans 60

    def test_hot_pixels_are_where_they_are(self, shared: Path, ms: int) -> None:
        real = real_dark(shared, ms)
        rows, columns = real_hot_pixels()[:, :2].astype(int).T
        hot = real[rows, columns] > np.median(real) + 300
        assert hot.mean() > 0.9
        assert np.count_nonzero((rows >= 86) & (rows <= 94) & (columns >= 44) & (columns <= 52)) >= 35  # the cluster


def state(exposure_s: float = 0.001, **changes: object) -> JiramCamera:
    """A drawn camera of this exposure, with these changes."""
    drawn = (draw_jiram(Dice(1, i, only=()), (256, 256), eclipse=False) for i in range(200))
    camera = next(camera for camera in drawn if camera.exposure_s == exposure_s)
    return replace(camera, **changes)  # type: ignore[arg-type]


class TestColumnAnswer:
    def test_the_published_correction_undoes_it(self) -> None:
        light = np.full((4, 6), 0.4, np.float32)
        counts, _ = column_answer(light, 0.001, 1.0, parity=0)
        dark, bright = counts[:, ::2], counts[:, 1::2]
        assert np.allclose(dark * 1.018 * dark**-0.08, 0.4, rtol=1e-5)
        assert np.allclose(bright * 0.9686 * bright**0.0891, 0.4, rtol=1e-5)

    def test_the_real_flat_lies_in_its_range(self, shared: Path) -> None:
        (flat, *_) = read_frames(shared / "data" / "jiram" / "flat_1ms.cub")
        ratio = np.median(flat.image[:, 1::2]) / np.median(flat.image[:, 2::2])
        light = np.geomspace(0.01, 1, 50, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
        counts, _ = column_answer(light, 0.001, 1.0, parity=0)
        ratios = counts[:, 1] / counts[:, 0]
        assert ratios.min() < ratio < ratios.max()

    def test_slope_is_the_derivative(self) -> None:
        light = np.linspace(-0.2, 3, 601, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
        counts, slope = column_answer(light, 0.002, 0.8, parity=1)
        numeric = np.gradient(counts.astype(np.float64), light[:, 0].astype(np.float64), axis=0)
        away = np.abs(light[:, 0] - jiram.POWER_FROM / 2) > 0.012  # the law's kink
        assert np.allclose(numeric[away][1:-1], slope[away][1:-1], rtol=0.02)


class TestExpose:
    @pytest.mark.parametrize(("left", "signal"), [(0.0, 0.0), (1.0, 0.0), (0.2, 0.3), (0.0, 1.5)])
    def test_sigma_is_the_scatter_of_flats(self, left: float, signal: float) -> None:
        camera = state(dark_left=left, hot_left=1.0, power=0.0)
        flat = np.full((200, 200), camera.pedestal + signal, np.float32)
        squares, said = [], []
        for index in range(24):
            seen = camera.expose(flat, Dice(4, index, only=()))
            for first in (0, 1):
                part = seen.counts[:, first::2]
                squares.append(np.mean((part - flat[0, 0] - left * odd_even(camera, first)) ** 2))
                said.append(np.mean(seen.sigma[:, first::2] ** 2))
        assert np.sqrt(np.mean(squares)) == pytest.approx(np.sqrt(np.mean(said)), rel=0.03)

    def test_saturates_where_the_archive_says(self) -> None:
        for exposure_s in jiram.EXPOSURES_S[:3]:
            camera = state(exposure_s=exposure_s, dark_left=0.0, pedestal=0.0, power=0.0)
            seen = camera.expose(np.full((8, 8), 20 / (exposure_s * 1e3), np.float32), Dice(1, 0, only=()))
            assert np.ptp(seen.counts) == 0  # a plateau
            assert float(seen.counts[0, 0]) == pytest.approx(0.0073 / exposure_s, rel=0.02)

    def test_smear_keeps_the_light_and_its_length(self) -> None:
        point = np.zeros((9, 41), np.float32)
        point[4, 20] = 1
        streak = jiram.smeared(point, 7.0)
        assert streak.sum() == pytest.approx(1, rel=1e-5)
        assert np.count_nonzero(streak > 1e-4) == 7
        assert np.all(jiram.smeared(point, 1.0) == point)

    def test_any_window_and_the_same_bytes_twice(self) -> None:
        for shape in ((128, 432), (256, 432), (256, 256), (65, 130)):
            dice = Dice(8, 3)
            camera = draw_jiram(dice, shape, eclipse=False)
            signal = np.full(shape, camera.pedestal + 0.02, np.float32)
            one, two = camera.expose(signal, dice), camera.expose(signal, dice)
            assert one.counts.shape == one.valid.shape == one.sigma.shape == one.slope.shape == shape
            assert one.counts.dtype == np.float32
            assert np.isfinite(one.counts).all()
            assert (one.sigma > 0).all()
            assert one.counts.tobytes() == two.counts.tobytes()

    def test_cluster_looks_like_a_hot_spot_and_carries_none(self) -> None:
        hot = np.zeros((41, 41), np.float32)
        jiram.add_cluster(hot, np.random.default_rng(2))
        assert 0 < np.count_nonzero(hot > 0.3 * hot.max()) <= 64
        camera = state(exposure_s=0.001)
        seen = camera.expose(np.full((256, 256), camera.pedestal, np.float32), Dice(0, 5, only=("hot_pixels",)))
        assert seen.counts.max() > 20 * camera.read


def odd_even(camera: JiramCamera, first: int) -> float:
    half = jiram.at_exposure(jiram.DARK_ODD_EVEN_DN, camera.exposure_s) / 2 / camera.dn
    return half if (first + camera.parity) % 2 == 0 else -half


def test_other_half_keeps_the_exposure_and_the_sensitivity() -> None:
    camera = state()
    other = camera.through("L" if camera.band.name == "M" else "M")
    assert other.exposure_s == camera.exposure_s
    assert other.band.name != camera.band.name
    whole = other.band.solar_radiance * other.band.width_um
    assert other.bright / whole == pytest.approx(camera.bright / (camera.band.solar_radiance * camera.band.width_um))
    assert other.through(camera.band.name) == replace(camera, bright=other.through(camera.band.name).bright)


def test_effects_forced_off_leave_plain_noise() -> None:
    camera = draw_jiram(Dice(2, 0, only=()), (256, 256), eclipse=False)
    assert (camera.dark_left, camera.power, camera.smear_px) == (0.0, 0.0, 0.0)
    raw = [draw_jiram(Dice(2, i, only=QUIET), (256, 256), eclipse=False).dark_left for i in range(60)]
    assert 5 <= sum(left == 1 for left in raw) <= 27  # a quarter of 60 is raw, 3.5 sigma
