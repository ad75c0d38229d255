"""The simulated JunoCam against closed forms, its reader, and the sky of real strips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Picture

from detector.instruments import junocam_linear
from detector.readers import read_frames
from detector.readers.junocam import framelet_step_px, framelet_tops
from training.simulate.archive import Meta, junocam_shape, write_junocam
from training.simulate.cameras.camera import Readout
from training.simulate.cameras.junocam import JunocamCamera, companded, draw_junocam
from training.simulate.dice import Dice

Image = NDArray[np.float32]

WINDOW = (256, 256)
WEAR = ("late_damage",)
DELAY_S = 0.372


def camera_of(dice: Dice, shape: tuple[int, int] = WINDOW, **state: object) -> JunocamCamera:
    """A plain GREEN camera: pedestal 20, read noise 4, 10 electrons a DN."""
    drawn = draw_junocam(dice, shape, eclipse=False).through("GREEN")
    plain = replace(drawn, orbit=40, tdi_stages=2, pedestal=20.0, read=4.0, gain=10.0, saturation=2879.0)
    if shape == WINDOW:
        plain = replace(plain, interframe_delay_s=DELAY_S, corner_px=(600, 30))
    return replace(plain, **state)  # type: ignore[arg-type]


def flat(value: float, shape: tuple[int, int] = WINDOW) -> Image:
    return np.full(shape, value, np.float32)


def exposed(value: float, only: tuple[str, ...] = (), seed: int = 1, **state: object) -> Readout:
    dice = Dice(seed, 0, only=only)
    return camera_of(dice, **state).expose(flat(value), dice)


# -- noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [30.0, 120.0, 700.0, 2400.0])
def test_noise_of_a_flat_is_read_shot_and_level(value: float) -> None:
    """sigma² = read² + signal / gain + step² / 12, and 1e6 pixels scatter so within 1 % in sigma."""
    table = junocam_linear().astype(float)
    step = np.gradient(table)[np.abs(table - value).argmin()]
    expected = np.sqrt(16 + (value - 20) / 10 + step**2 / 12)
    counts = np.stack([exposed(value, seed=seed).counts for seed in range(15)])
    assert counts.std() == pytest.approx(expected, rel=0.03)
    assert float(exposed(value).sigma[100, 100]) == pytest.approx(expected, rel=0.03)
    assert counts.mean() == pytest.approx(value, abs=0.02 * expected + 0.02 * step)


@pytest.mark.parametrize("pedestal", [0.5, 2.0, 5.0])
def test_a_sky_that_is_cut_off_at_zero_says_what_noise_and_light_are_left(pedestal: float) -> None:
    made = [exposed(pedestal + more, seed=seed, pedestal=pedestal) for more in (0.0, 0.5) for seed in range(12)]
    dark, light = (np.stack([readout.counts for readout in part]) for part in (made[:12], made[12:]))
    assert dark.std() == pytest.approx(float(made[0].sigma[100, 100]), rel=0.03)
    assert light.mean() - dark.mean() == pytest.approx(0.5 * float(made[0].slope[100, 100]), rel=0.1)
    assert float(made[0].slope[100, 100]) < 0.95


@pytest.mark.parametrize("seed", range(4))
def test_sigma_of_a_worn_camera_is_that_of_its_pictures(seed: int) -> None:
    """Grain, streaks and bands are in sigma; a sky well above zero, the median of pixels so that speckle is not."""
    readout = exposed(900.0, WEAR, seed, orbit=60)
    half = np.diff(np.percentile(readout.counts, [15.87, 84.13]))[0] / 2
    assert half == pytest.approx(float(readout.sigma[100, 100]), rel=0.25)
    assert float(readout.sigma[100, 100]) > 1.1 * float(exposed(900.0).sigma[100, 100])


def test_overexposed_ground_stands_at_the_full_well() -> None:
    readout = exposed(1e5, saturation=2600.0)
    seen = readout.counts[readout.valid]
    assert seen.mean() == pytest.approx(2600, abs=5)
    assert seen.std() == pytest.approx(np.sqrt(16 + 258 + 32**2 / 12), rel=0.2)
    assert readout.saturation == 2879


# -- files ----------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), eclipse=st.booleans(), level=st.floats(0, 1.2))
def test_any_picture_holds_levels_of_the_table_and_is_repeatable(seed: int, eclipse: bool, level: float) -> None:
    dice = Dice(seed, 3)
    camera = draw_junocam(dice, (96, 110), eclipse)
    signal = flat(camera.pedestal + camera.bright * level, (96, 110))
    one, two = camera.expose(signal, dice), camera.expose(signal, dice)
    assert one.counts.tobytes() == two.counts.tobytes()
    assert np.isin(one.counts, junocam_linear()).all()
    assert one.counts.dtype == one.sigma.dtype == one.slope.dtype == np.float32
    assert (one.sigma > 0).all()
    assert ((one.slope >= 0) & (one.slope <= 1)).all()


@given(st.lists(st.floats(-50, 4000, width=32), min_size=1, max_size=30))
def test_companding_takes_the_nearest_level(values: list[float]) -> None:
    counts = np.array([values], np.float32)
    table = junocam_linear()
    nearest = np.abs(counts[..., None] - table).min(-1)
    np.testing.assert_array_equal(np.abs(companded(counts) - counts), nearest)


@pytest.mark.parametrize("effects", [(), ("dropped_lines", "seams", "hot_pixels")])
@pytest.mark.parametrize("name", ["GREEN", "RED"])
def test_what_is_valid_is_what_the_reader_says(tmp_path: Path, name: str, effects: tuple[str, ...]) -> None:
    shape, dice = junocam_shape(name, 4, DELAY_S), Dice(4, 0, only=effects)
    camera = camera_of(dice, shape).through(name)
    readout = camera.expose(flat(300.0, shape), dice)
    path = write_junocam(tmp_path, "JNCE_2023364_57C00022_V01", {name: readout.counts}, Meta())
    (frame,) = read_frames(path)
    np.testing.assert_array_equal(frame.valid, readout.valid)
    np.testing.assert_array_equal(frame.image, np.where(readout.valid, readout.counts, 0))


def test_filters_of_one_product_are_mosaics_of_the_same_framelets(tmp_path: Path) -> None:
    """Exposed with the rows of the largest of them and cut, as a product is made."""
    shapes = {name: junocam_shape(name, 3, DELAY_S) for name in ("BLUE", "GREEN", "RED")}
    dice, largest = Dice(4, 0, only=()), max(shapes.values())
    camera = camera_of(dice, largest)
    made = {name: camera.through(name).expose(flat(300.0, largest), dice) for name in shapes}
    pictures = {name: readout.counts[: shapes[name][0]] for name, readout in made.items()}
    frames = read_frames(write_junocam(tmp_path, "JNCE_2023364_57C00022_V01", pictures, Meta()))
    for frame, readout in zip(frames, made.values(), strict=True):
        np.testing.assert_array_equal(frame.valid, readout.valid[: frame.shape[0]])
        assert not readout.valid[frame.shape[0] :].any()
        assert camera.through(frame.filter).lens((0.0, 0.0), largest).n_frames == 3


def test_a_window_at_the_edge_of_the_detector_has_its_unlit_columns() -> None:
    assert not exposed(100.0, corner_px=(0, 30)).valid[:, :25].any()
    assert exposed(100.0, corner_px=(0, 30)).valid[:, 25:].all()
    right = exposed(100.0, corner_px=(1392, 30)).valid
    assert right[:, :-17].all()
    assert not right[:, -17:].any()


def test_dropped_framelets_are_whole_and_never_all() -> None:
    for seed in range(8):
        valid = exposed(100.0, ("dropped_lines",), seed).valid
        frames = camera_of(Dice(seed, 0)).lens((0.0, 0.0), WINDOW)._layout[0][30 : 30 + WINDOW[0]]
        shares = {frame: valid[frames == frame].mean() for frame in np.unique(frames)}
        assert set(shares.values()) == {0.0, 1.0}


# -- states ---------------------------------------------------------------------------------------------------------


def test_late_orbits_have_lost_what_is_published() -> None:
    for name, lost in (("RED", 0.23), ("GREEN", 0.47), ("BLUE", 0.64)):
        young, old = (
            replace(camera_of(Dice(0, 0)), orbit=orbit, bright=1000.0).through(name).bright for orbit in (40, 60)
        )
        green = 1 - 0.47
        assert old / young == pytest.approx((1 - lost) / green)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_states_are_those_of_the_mission(seed: int) -> None:
    camera = draw_junocam(Dice(seed, 0), WINDOW, eclipse=False)
    assert camera.exposure_s == pytest.approx(0.0032 * camera.tdi_stages)
    assert 114 < framelet_step_px(camera.band.name, camera.interframe_delay_s) < 121
    assert camera.damage_odds == 0 or camera.orbit > 47
    lens = camera.lens((100.0, 100.0), WINDOW)
    assert len(lens._layout[0]) >= WINDOW[0] + camera.corner_px[1]
    assert not lens.jogs_px or len(lens.jogs_px) >= lens.n_frames


def test_eclipse_is_exposed_a_thousand_times_longer() -> None:
    day, night = (
        np.median([draw_junocam(Dice(seed, 0), WINDOW, eclipse).bright for seed in range(300)])
        for eclipse in (False, True)
    )
    assert 30 < night / day < 1000


# -- effects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [1, 6, 32])
def test_hot_pixels_come_back_in_every_framelet_as_long_as_rows_are_summed(stages: int) -> None:
    dice, tops = Dice(5, 0, only=("hot_pixels",)), framelet_tops(4, framelet_step_px("GREEN", DELAY_S))
    shape = junocam_shape("GREEN", 4, DELAY_S)
    camera = camera_of(dice, shape, read=5.0, pedestal=100.0, tdi_stages=stages)
    struck, clean = (camera.expose(flat(100.0, shape), part).counts for part in (dice, replace(dice, only=())))
    excess = struck - clean > 4
    rows = slice(tops[1] + 2, tops[1] + 112), slice(tops[2] + 2, tops[2] + 112)
    first, second = (excess[part].astype(int) for part in rows)
    columns = excess.any(axis=0)
    assert 5 < columns.sum() < 400
    agree = (first & second).sum() / max((first | second).sum(), 1)
    assert agree > 0.6
    longest = np.array([longest_run(excess[tops[1] + 2 : tops[1] + 112, column]) for column in np.flatnonzero(columns)])
    assert np.median(longest[longest > 0]) == pytest.approx(stages, abs=max(1, 0.3 * stages))


def longest_run(line: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def test_blooming_stays_in_its_framelet_and_its_columns() -> None:
    dice = Dice(2, 0, only=("blooming",))
    camera = camera_of(dice, read=0.5)
    tops = framelet_tops(4, framelet_step_px("GREEN", DELAY_S)) - 30  # the window begins 30 rows down
    signal = flat(20.0)
    middle = int(tops[1]) + 60
    signal[middle - 10 : middle + 10, 100:140] = 60_000
    over = camera.expose(signal, dice).counts - camera.expose(signal, replace(dice, only=())).counts
    inside = np.zeros(WINDOW, bool)
    inside[tops[1] + 2 : tops[2] + 2, 100:140] = True
    assert np.abs(over[~inside]).max() < 12
    assert over[middle + 10, 110:130].mean() > 30
    assert over[middle - 11, 110:130].mean() > 30


def test_framelets_differ_and_are_even_in_themselves() -> None:
    readout = exposed(500.0, ("seams",), 3)
    plain = exposed(500.0, (), 3)
    lens = camera_of(Dice(3, 0, only=())).lens((0.0, 0.0), WINDOW)
    frames = lens._layout[0][30 : 30 + WINDOW[0]]
    rows = (readout.counts - plain.counts).mean(axis=1)
    means = [rows[frames == frame].mean() for frame in np.unique(frames)]
    within = np.concatenate([rows[frames == frame] - rows[frames == frame].mean() for frame in np.unique(frames)])
    assert np.ptp(means) > 5 * within.std()


def test_summing_at_a_wrong_rate_smears_along_the_columns_and_keeps_the_light() -> None:
    signal = flat(500.0)
    signal[128, 100] += 2000
    lengths = []
    for seed in range(6):
        dice = Dice(seed, 0, only=("tdi",))
        camera = camera_of(dice, read=0.01, gain=1e9, tdi_stages=6)
        spread = (camera.expose(signal, dice).counts - camera.expose(flat(500.0), dice).counts)[110:146, 90:111]
        assert (spread > 30).any(axis=0).sum() == 1
        assert spread.sum() == pytest.approx(2000, rel=0.05)
        lengths.append(int((spread[:, 10] > 30).sum()))
    assert max(lengths) >= 3
    assert max(lengths) <= 6


def test_the_cosine_transform_levels_what_is_below_its_step_and_keeps_what_is_far_above() -> None:
    plain, coded = (exposed(1500.0, (), 4, ict_levels=levels) for levels in (0.0, 3.0))
    assert coded.counts.std() < 0.8 * plain.counts.std()
    assert coded.sigma[0, 0] > plain.sigma[0, 0]
    signal, dice = flat(20.0), Dice(4, 0, only=())
    signal[60:64, 60:64] = 1500
    seen = camera_of(dice, ict_levels=3.0).expose(signal, dice).counts
    assert seen[60:64, 60:64].mean() == pytest.approx(1500, rel=0.05)


def flat_blocks(levels: NDArray[np.generic]) -> float:
    rows, columns = levels.shape[0] // 8 * 8, levels.shape[1] // 8 * 8
    blocks = levels[:rows, :columns].reshape(rows // 8, 8, columns // 8, 8)
    return float((blocks.max(axis=(1, 3)) == blocks.min(axis=(1, 3))).mean())


def test_compressed_sky_is_as_flat_as_that_of_a_real_strip(shared: Path) -> None:
    """A third of the blocks of real sky of 1 DN are flat, where lossless METHANE has none; so are the made ones."""
    folder = shared / "data" / "junocam"
    strip = np.asarray(Picture.open(folder / "JNCE_2021246_36C00061_V01-raw.png")).reshape(-1, 128, 1648)
    sky = [piece[:, 1100:1500] for piece in strip if piece[:, 1100:1500].mean() < 1.2]
    real = np.median([flat_blocks(piece) for piece in sky])
    made = exposed(0.8, (), 6, pedestal=0.8, read=0.5, ict_levels=3.0, corner_px=(1096, 0))
    lossless = exposed(0.8, (), 6, pedestal=0.8, read=0.5, corner_px=(1096, 0))
    assert real > 0.15
    assert flat_blocks(made.counts[2:112]) == pytest.approx(real, abs=0.25)
    assert flat_blocks(lossless.counts[2:112]) < 0.01


def test_nothing_is_wrong_that_was_not_asked_for() -> None:
    plain, again = exposed(400.0, (), 9), exposed(400.0, ("stars", "barc"), 9)
    assert plain.counts.tobytes() == again.counts.tobytes()
    assert plain.valid.all()
    assert (plain.slope == 1).all()
