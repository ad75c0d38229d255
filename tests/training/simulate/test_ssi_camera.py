"""The SSI camera against closed forms, published numbers and a real frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.instruments import SSI_FILTERS
from detector.readers import read_frames
from training.simulate import archive
from training.simulate.cameras import ssi
from training.simulate.cameras.camera import Readout
from training.simulate.cameras.ssi import SsiCamera, draw_ssi
from training.simulate.dice import Dice
from training.simulate.light import Image

FILTERS = [position.name for position in SSI_FILTERS]
WINDOW = (256, 256)
FULL = (800, 800)


def camera_of(seed: int = 0, shape: tuple[int, int] = WINDOW, only: tuple[str, ...] = (), **state: object) -> SsiCamera:
    return replace(draw_ssi(Dice(seed, 0, "", only), shape, False), **state)


def exposed(camera: SsiCamera, signal: Image, only: tuple[str, ...] = (), seed: int = 0) -> Readout:
    return camera.expose(np.asarray(signal, np.float32), Dice(seed, 0, "", only))


def ramp(low: float, high: float, shape: tuple[int, int] = WINDOW) -> Image:
    """Every level between two, evenly, in no order."""
    levels = np.linspace(low, high, shape[0] * shape[1], endpoint=False, dtype=np.float32)
    return np.random.default_rng(1).permutation(levels).reshape(shape)


def ball(shape: tuple[int, int], camera: SsiCamera) -> Image:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = np.hypot(rows - shape[0] * 0.3, columns - shape[1] * 0.25) < 0.18 * shape[0]
    return np.asarray(camera.pedestal + 120 * inside * (1 + 0.2 * np.sin(columns / 3)), np.float32)


# -- compression against the real frame -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def europa(shared: Path) -> Image:
    return read_frames(shared / "data/galileo_ssi/C0532836239R.IMG")[0].image


def test_a_real_frame_quantised_again_with_its_own_step_stays_as_it_is(europa: Image) -> None:
    again = ssi.ict(europa, 17)
    assert np.abs(again - europa).max() <= 1
    assert np.mean(again == europa) > 0.96
    assert np.mean(ssi.ict(europa, 15) == europa) < 0.5, "another step changes it"


def test_compression_ratio_stays_fitted_to_the_label_it_was_fitted_to(europa: Image) -> None:
    assert ssi.compression_ratio(europa, 17) == pytest.approx(9.64155, rel=0.01)


def test_edges_of_a_whole_frame_stay_those_measured_on_the_real_one(europa: Image) -> None:
    camera = camera_of(shape=FULL, pedestal=8.0)
    seen = exposed(camera, np.full(FULL, 58, np.float32)).counts
    assert seen[:, 0].max() == 0
    assert europa[:, 0].mean() < 3
    assert (seen[:, 1].mean() - 8) / 50 == pytest.approx((europa[:, 1].mean() - 8) / (europa[:, 2].mean() - 8), abs=0.1)
    assert (seen[-1, 2:].mean() - 8) / 50 == pytest.approx((europa[-1].mean() - 8) / (europa[-2].mean() - 8), rel=0.12)


def test_ict_has_the_rows_5_3_2_1_and_3_1() -> None:
    row = np.array([5, 3, 2, 1, -1, -2, -3, -5], np.float32)
    column = np.array([3, 1, -1, -3, -3, -1, 1, 3], np.float32)
    steps = ssi.ict_steps(np.outer(column, row), 1.0)[0, :, 0, :]
    expected = np.zeros((8, 8))
    expected[2, 1] = round(np.sqrt(78 * 40))
    np.testing.assert_array_equal(steps, expected)


@given(st.floats(2, 40), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_ict_is_off_by_no_more_than_its_quantum_allows(step: float, seed: int) -> None:
    picture = np.random.default_rng(seed).uniform(60, 190, (24, 31)).astype(np.float32)
    error = ssi.ict(picture, step)[:24, :24] - picture[:, :24]
    assert np.sqrt(np.mean(error**2)) < step / np.sqrt(12) * 1.15 + 0.5


# -- brightness -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize("seed", range(3))
def test_published_formula_gives_the_scene_back(filter_name: str, seed: int) -> None:
    camera = camera_of(seed).through(filter_name)
    light = min(0.5, 200 / camera.bright)
    seen = exposed(camera, np.full(WINDOW, camera.pedestal + camera.bright * light))
    assert camera.i_over_f(seen.counts).mean() == pytest.approx(light, rel=0.03)


def test_gain_states_differ_by_the_published_ratios() -> None:
    camera, counts = camera_of(), np.full((1, 1), 100, np.float32)
    light = {mode: float(replace(camera, gain_mode=mode).i_over_f(counts)[0, 0]) for mode in ssi.SSI_GAIN_E_PER_DN}
    ratios = [light[mode] / light["10K"] for mode in ("400K", "100K", "40K")]
    assert ratios == pytest.approx([47.135, 9.771, 4.824], rel=0.005)


def test_exposures_are_those_of_the_real_labels() -> None:
    milliseconds = 1000 * np.array(ssi.EXPOSURES_S)
    assert len(milliseconds) == 28
    assert np.all(np.diff(milliseconds) > 0)
    assert np.abs(milliseconds - 195.83).min() < 0.01
    assert np.abs(milliseconds - 12.5003).min() < 0.001
    assert milliseconds[[0, -1]] == pytest.approx([4.17, 51200], rel=0.001)


@given(st.integers(0, 10**6), st.sampled_from(FILTERS), st.booleans())
@settings(max_examples=60, deadline=None)
def test_another_filter_is_exposed_as_brightly_as_its_shutter_and_frame_time_allow(
    seed: int, filter_name: str, eclipse: bool
) -> None:
    camera = draw_ssi(Dice(seed, 0), WINDOW, eclipse)
    other = camera.through(filter_name)
    assert other.exposure_s in ssi.EXPOSURES_S
    assert other.exposure_s <= ssi.LONGEST_S[other.frame_duration_s]
    fitting = [step for step in ssi.EXPOSURES_S if step <= ssi.LONGEST_S[other.frame_duration_s]]
    # Half of the widest step between two exposures that the shutter could have taken.
    assert 0.75 < other.bright / camera.bright < 1.35 or other.exposure_s in (fitting[0], fitting[-1])
    same = ("gain_mode", "gain", "read", "pedestal", "ict_step", "cut_out_window", "frame_duration_s", "ifov_rad")
    assert all(getattr(other, name) == getattr(camera, name) for name in same)
    assert other.band.name == filter_name


def test_a_filter_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="BLUE"):
        camera_of().through("BLUE")


def test_plains_are_mostly_well_exposed_by_day_and_glows_can_be_seen_in_eclipse() -> None:
    day = np.array([0.6 * draw_ssi(Dice(2, n), WINDOW, False).bright for n in range(400)])
    assert np.mean((day > 20) & (day < 255)) > 0.7
    assert 0.05 < np.mean(day > 255) < 0.25
    clear = [camera for n in range(200) if (camera := draw_ssi(Dice(2, n), WINDOW, True)).band.name == "CLEAR"]
    assert 2 < np.median([1e-5 * camera.bright for camera in clear]) < 200


# -- noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain_mode", ["400K", "100K", "40K", "10K"])
@pytest.mark.parametrize("level", [0.0, 20.0, 150.0])
def test_noise_of_flat_fields_is_read_shot_and_rounding(gain_mode: str, level: float) -> None:
    gain = ssi.SSI_GAIN_E_PER_DN[gain_mode]
    camera = camera_of(gain_mode=gain_mode, gain=gain, read=40 / gain, pedestal=10.0, uneven=False)
    signal = ramp(10 + level, 11 + level)
    seen = exposed(camera, signal)
    # Electrons: 40 read, and as many as there are squared; one step of the converter is 1 / sqrt(12).
    expected = (40**2 + (level + 0.5) * gain) / gain**2 + 1 / 12
    assert np.var(seen.counts - signal) == pytest.approx(expected, rel=0.03)
    assert np.mean(seen.sigma**2) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("summed", "gain_mode"), [(False, "100K"), (False, "40K"), (True, "10K"), (True, "100K")])
def test_unequal_steps_are_in_sigma(summed: bool, gain_mode: str) -> None:
    gain = ssi.SSI_GAIN_E_PER_DN[gain_mode]
    camera = camera_of(gain_mode=gain_mode, gain=gain, read=40 / gain, summed=summed, uneven=True, pedestal=4.0)
    signal = ramp(4, 200)
    seen = exposed(camera, signal)
    assert np.mean((seen.counts - signal) ** 2) == pytest.approx(np.mean(seen.sigma**2), rel=0.1)


def test_codes_5_and_7_stand_for_what_was_published() -> None:
    camera = camera_of(gain_mode="100K", gain=378.0, read=0.02, summed=False, uneven=True, pedestal=50.0)
    signal = ramp(3, 10)
    codes = exposed(camera, signal).counts
    assert signal[codes == 5].mean() == pytest.approx(4.695, abs=0.12)
    assert signal[codes == 7].mean() == pytest.approx(7.141, abs=0.12)


def test_every_ninth_code_of_summed_frames_stands_for_what_was_published() -> None:
    published = np.array(
        [9.239, 18.257, 27.215, 36.238, 44.993, 54.287, 62.476, 71.492, 81.173, 90.225, 99.242, 108.213]
    )
    camera = camera_of(gain_mode="40K", gain=187.0, read=0.02, summed=True, uneven=True, pedestal=500.0)
    signal = ramp(5, 115)
    codes = exposed(camera, signal).counts
    middle = np.array([signal[codes == code].mean() for code in range(9, 109, 9)])
    assert np.sqrt(np.mean((middle - published) ** 2)) < 0.2
    assert np.sqrt(np.mean((np.arange(9, 109, 9) - published) ** 2)) > 0.28, "equal steps would not do"


def test_histograms_of_summed_frames_are_combs() -> None:
    camera = camera_of(gain_mode="40K", gain=187.0, read=0.2, summed=True, uneven=True, pedestal=50.0)
    counts = np.bincount(exposed(camera, ramp(8, 20)).counts.astype(int).ravel(), minlength=20)
    assert counts[14] < 0.6 * counts[11]
    assert counts[16] > 1.3 * counts[11]


@pytest.mark.parametrize("step", [3, 8, 17, 30])
def test_compression_noise_of_block_means_and_of_busy_places_is_in_sigma(step: int) -> None:
    state = {"gain_mode": "10K", "gain": 38.7, "read": 1.03, "uneven": False, "ict_step": step, "pedestal": 10.0}
    camera = camera_of(**state)
    rng = np.random.default_rng(3)
    flat = np.kron(rng.uniform(60, 90, (32, 32)), np.ones((8, 8))).astype(np.float32)
    seen = exposed(camera, flat)
    means = (seen.counts - flat).reshape(32, 8, 32, 8).mean((1, 3))
    assert 8 * np.sqrt(np.mean(means**2)) == pytest.approx(np.sqrt(np.mean(seen.sigma**2)), rel=0.15)
    busy = np.clip(rng.normal(120, 1.2 * step, WINDOW), 30, 220).astype(np.float32)
    seen = exposed(camera, busy)
    assert np.std(seen.counts - busy) == pytest.approx(np.sqrt(np.mean(seen.sigma**2)), rel=0.15)


def test_a_truth_window_is_kept_without_loss() -> None:
    camera = camera_of(gain_mode="100K", gain=378.0, read=0.1, ict_step=30, uneven=False, truth_window=(9, 17, 96, 96))
    signal = ramp(50, 150)
    seen = exposed(camera, signal)
    inside = np.zeros(WINDOW, bool)
    inside[8:104, 16:112] = True
    assert np.std((seen.counts - signal)[inside]) == pytest.approx(seen.sigma[inside].mean(), rel=0.1)
    assert seen.sigma[~inside].min() > 8
    assert np.std((seen.counts - signal)[~inside]) > 6


# -- damage ---------------------------------------------------------------------------------------------------------


def test_charge_floods_its_own_column_and_more_charge_floods_more_of_it() -> None:
    camera = camera_of(gain_mode="100K", gain=378.0, uneven=False, pedestal=5.0)
    lengths = []
    for peak in (3e3, 1e4, 3e4):
        signal = np.full(WINDOW, 5, np.float32)
        signal[128, 77] = peak
        seen = exposed(camera, signal, ("bleeding",))
        flooded = seen.counts >= 255
        assert set(np.flatnonzero(flooded.any(axis=0))) == {77}
        assert np.all(np.diff(np.flatnonzero(flooded[:, 77])) == 1)
        assert np.all(seen.slope[flooded & (signal < 255)] == 0)
        lengths.append(int(flooded.sum()))
    assert lengths[0] < lengths[1] < lengths[2]
    # Each flooded pixel takes up one full well of what the gates left over.
    well = ssi.FULL_WELL_ELECTRONS / 378
    assert lengths[2] - lengths[1] == pytest.approx(2e4 / (well - 5), abs=3)


def test_despiking_takes_lone_bright_pixels_away_and_says_so() -> None:
    camera = camera_of(gain_mode="100K", gain=378.0, read=0.1, ict_step=2, despike=30, uneven=False, pedestal=10.0)
    signal = np.full(WINDOW, 10, np.float32)
    signal[50, 60], signal[90, 40] = 120, 30
    seen = exposed(camera, signal)
    assert seen.counts[50, 60] < 14
    assert seen.slope[50, 60] == 0
    assert seen.counts[90, 40] > 24
    assert seen.slope[90, 40] == 1


def test_rate_control_cuts_ends_of_busy_lines() -> None:
    camera = camera_of(3, FULL, ("barc",), pedestal=10.0)
    signal = np.full((200, 256), 40, np.float32)
    signal[100:, :200] += 30 * np.random.default_rng(0).standard_normal((100, 200), dtype=np.float32)
    seen = camera.expose(np.clip(signal, 10, 200), Dice(3, 0, "", ("barc",)))
    cut = seen.slope == 0
    assert not cut[:100].any()
    assert cut[100:].any()
    assert np.all(seen.counts[cut] == 0)
    edges = np.abs(np.diff(cut.astype(int), axis=1)).sum(axis=1)
    assert edges.max() == 1, "one cut a line, at one of its ends"


def test_garbled_slices_are_eight_lines_in_compressed_frames() -> None:
    for seed in range(6):
        camera = camera_of(seed, ict_step=4)
        seen = exposed(camera, ball(WINDOW, camera), ("garbled_lines",), seed)
        lines = np.flatnonzero((seen.slope == 0).any(axis=1))
        assert seen.valid.all()
        assert lines.size % 8 == 0
        assert lines[0] % 8 == 0


@pytest.mark.parametrize("seed", range(4))
def test_smear_keeps_the_light_and_spreads_it_along_one_line(seed: int) -> None:
    camera = camera_of(gain_mode="10K", gain=38.7, read=0.1, uneven=False, pedestal=10.0)
    signal = np.full(WINDOW, 10, np.float32)
    signal[100, 100] += 240
    sharp, soft = exposed(camera, signal).counts, exposed(camera, signal, ("shutter_smear",), seed).counts
    around = slice(90, 111), slice(90, 111)
    spread = np.clip(soft[around] - 12, 0, None)
    assert (soft[around] - 10).sum() == pytest.approx((sharp[around] - 10).sum(), rel=0.06)
    assert soft.max() < 0.95 * sharp.max()
    rows, columns = np.mgrid[-10:11, -10:11]
    assert abs((spread * rows).sum() / spread.sum()) < 0.15
    assert abs((spread * columns).sum() / spread.sum()) < 0.15
    assert np.hypot(rows, columns)[spread > 0].max() <= 3


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=25, deadline=None)
def test_every_picture_is_whole_numbers_and_the_scene_stays_untouched(seed: int, eclipse: bool) -> None:
    dice = Dice(seed, 1)
    camera = draw_ssi(dice, (96, 120), eclipse)
    signal = ball((96, 120), camera)
    signal[40:42, 20] = 1e6
    before = signal.copy()
    seen, again = camera.expose(signal, dice), camera.expose(signal, dice)
    np.testing.assert_array_equal(signal, before)
    np.testing.assert_array_equal(seen.counts, again.counts)
    assert seen.counts.dtype == seen.sigma.dtype == seen.slope.dtype == np.float32
    assert np.all((seen.counts == np.round(seen.counts)) & (seen.counts >= 0) & (seen.counts <= 255))
    assert np.all(seen.sigma > 0)
    assert np.all((seen.slope >= 0) & (seen.slope <= 1))
    assert seen.valid.any()


# -- files ----------------------------------------------------------------------------------------------------------


def written(folder: Path, camera: SsiCamera, seen: Readout) -> Path:
    dn = np.zeros(FULL, np.uint8)
    dn[: seen.counts.shape[0], : seen.counts.shape[1]] = seen.counts
    meta = archive.Meta(
        exposure_s=camera.exposure_s,
        filter=camera.band.name,
        gain_mode=camera.gain_mode,
        frame_duration_s=camera.frame_duration_s,
        cut_out_window=camera.cut_out_window,
    )
    archive.write_ssi(folder, "C0350000000R", dn, meta)
    return folder / "C0350000000R.LBL"


@pytest.mark.parametrize(
    "effect", ["cut_out", "barc", "ict", "dropped_lines", "garbled_lines", "summation", "blemishes"]
)
def test_a_file_is_read_as_it_was_exposed(effect: str, tmp_path: Path) -> None:
    dice = Dice(5, 0, "", (effect,))
    camera = draw_ssi(dice, FULL, False)
    shape = camera.picture_shape(FULL)
    seen = camera.expose(ball(shape, camera), dice)
    frame = read_frames(written(tmp_path, camera, seen))[0]
    assert frame.shape == shape
    np.testing.assert_array_equal(frame.valid, seen.valid)
    np.testing.assert_array_equal(frame.image[frame.valid], seen.counts[seen.valid])
    assert frame.view.ifov_rad == camera.ifov_rad
    assert frame.exposure_s == pytest.approx(camera.exposure_s, rel=1e-4)
    assert frame.noise.gain == camera.gain


def test_a_summed_frame_fills_a_quarter_of_its_file() -> None:
    dice = Dice(1, 0, "", ("summation",))
    camera = draw_ssi(dice, FULL, False)
    signal = ball(FULL, camera)
    whole, quarter = camera.expose(signal, dice), camera.expose(signal[:400, :400].copy(), dice)
    np.testing.assert_array_equal(whole.counts[:400, :400], quarter.counts)
    assert whole.valid.sum() == quarter.valid.sum() == 400 * 400
    assert not whole.counts[400:].any()
    assert not whole.counts[:, 400:].any()
    assert camera.ifov_rad == 2 * ssi.SSI.ifov_rad


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_valid_outside_a_cut_out_window(seed: int) -> None:
    dice = Dice(seed, 0, "", ("cut_out",))
    camera = draw_ssi(dice, WINDOW, False)
    seen = camera.expose(ball(WINDOW, camera), dice)
    line, sample, lines, samples = camera.cut_out_window
    expected = np.zeros(WINDOW, bool)
    expected[line - 1 : line - 1 + lines, sample - 1 : sample - 1 + samples] = True
    np.testing.assert_array_equal(seen.valid, expected)
    assert not seen.counts[~expected].any()
    assert lines + samples < sum(WINDOW)


def test_without_effects_nothing_is_wrong() -> None:
    camera = camera_of(9)
    seen = exposed(camera, ball(WINDOW, camera))
    assert seen.valid.all()
    assert np.all(seen.slope == 1)
    assert camera.ict_step == 0
    assert not camera.uneven
    assert not camera.summed
    assert camera.cut_out_window == (1, 1, *WINDOW)
