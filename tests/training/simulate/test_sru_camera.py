"""The simulated Stellar Reference Unit against closed forms, and its files against the reader and astropy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.readers import read_frame
from training.simulate.archive import Meta
from training.simulate.cameras.camera import Readout
from training.simulate.cameras.sru import FULL, SruCamera, draw_sru
from training.simulate.dice import Dice
from training.simulate.sru_archive import write_sru

Image = NDArray[np.float32]

FRAME = (512, 512)
RADIATION = ("hits", "tracks", "clusters")
NAME = "SRU_1_2023364T083601_57_V01"


def camera_of(dice: Dice, **state: object) -> SruCamera:
    """Pedestal 200, read noise 5, 20 electrons a DN."""
    plain = replace(draw_sru(dice, FRAME, eclipse=False), pedestal=200.0, read=5.0, gain=20.0)
    return replace(plain, **state)  # type: ignore[arg-type]


def exposed(value: float, only: tuple[str, ...] = (), seed: int = 1, **state: object) -> Readout:
    dice = Dice(seed, 0, only=only)
    return camera_of(dice, **state).expose(np.full(FRAME, value, np.float32), dice)


@pytest.mark.parametrize("value", [200.0, 600.0, 3000.0])
def test_noise_of_a_flat_is_read_shot_and_rounding(value: float) -> None:
    readout = exposed(value)
    seen = readout.counts[readout.valid]
    expected = 25 + (value - 200) / 20 + 1 / 12
    assert seen.var() == pytest.approx(expected, rel=0.03)
    assert float(readout.sigma[9, 9]) == pytest.approx(np.sqrt(expected), rel=1e-4)
    assert seen.mean() == pytest.approx(value, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_zeros_of_the_columns_are_in_sigma(seed: int) -> None:
    shots = [exposed(400.0, ("column_offsets",), 10 * seed + n) for n in range(12)]
    ratios = [readout.counts[readout.valid].std() / float(readout.sigma[9, 9]) for readout in shots]
    assert np.mean(ratios) == pytest.approx(1, rel=0.06)
    columns = shots[0].counts[5:505, 5:505]
    assert columns.mean(axis=0).std() > 5 * columns.mean(axis=1).std()


def test_even_columns_stand_apart_from_odd_ones() -> None:
    def apart(seed: int) -> float:
        line = exposed(400.0, ("column_offsets",), seed, read=1.0).counts[10:500].mean(axis=0)
        return float(line[2::2].mean() - line[3::2].mean())

    steps = np.array([apart(seed) for seed in range(20)])
    assert np.abs(steps).max() > 2
    assert (steps > 0).any()
    assert (steps < 0).any()


def test_dummies_are_not_valid_and_nothing_that_was_sent_is_zero() -> None:
    readout = exposed(0.2, read=20.0, pedestal=0.1)
    assert not readout.valid[510:].any()
    assert not readout.valid[:, :2].any()
    assert readout.valid[:510, 2:].all()
    assert readout.counts[readout.valid].min() == 1
    assert readout.counts[~readout.valid].max() == 0


def test_a_frame_in_the_belts_holds_thousands_of_hits_and_long_streaks() -> None:
    clean, struck = exposed(200.0), exposed(200.0, RADIATION, hits=1500.0, hit_level=200.0)
    changed = (struck.counts - clean.counts > 30) & struck.valid
    assert 3000 < changed.sum() < 60_000
    assert struck.counts.max() <= FULL
    np.testing.assert_array_equal(struck.sigma, clean.sigma)


def test_overexposed_light_runs_along_its_columns() -> None:
    signal = np.full(FRAME, 200, np.float32)
    signal[240:260, 100:110] = 1e5
    dice = Dice(3, 0, only=("blooming",))
    clean, spilt = (camera_of(dice).expose(signal, d).counts for d in (replace(dice, only=()), dice))
    assert clean[245:255, 100:110].min() == FULL
    over = spilt - clean
    assert over[260:264, 101:109].mean() > 20
    assert np.abs(over[:, :100]).max() == np.abs(over[:, 110:]).max() == 0


def test_stars_stay_and_near_bodies_smear_along_the_columns() -> None:
    signal = np.full(FRAME, 200, np.float32)
    signal[300, 300] = 2200
    longest = 0
    for seed in range(6):
        dice = Dice(seed, 0, only=("tdi",))
        smeared = camera_of(dice, read=0.01, gain=1e9).expose(signal, dice).counts - 200
        assert smeared.sum(where=np.ones(FRAME, bool) & (smeared > 2)) == pytest.approx(2000, rel=0.02)
        assert (smeared[:510, 2:] > 2).any(axis=0).sum() == 1
        longest = max(longest, int((smeared[:, 300] > 2).sum()))
    assert 4 <= longest <= 7


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), eclipse=st.booleans(), level=st.floats(0, 0.01))
def test_any_picture_is_whole_counts_and_repeatable(seed: int, eclipse: bool, level: float) -> None:
    dice = Dice(seed, 5)
    camera = draw_sru(dice, (90, 100), eclipse)
    signal = np.full((90, 100), camera.pedestal + camera.bright * level, np.float32)
    one, two = camera.expose(signal, dice), camera.expose(signal, dice)
    assert one.counts.tobytes() == two.counts.tobytes()
    assert (one.counts == np.round(one.counts)).all()
    assert one.counts.max() <= FULL
    assert (one.counts[one.valid] >= 1).all()
    assert (one.sigma > 0).all()
    assert one.counts.dtype == one.sigma.dtype == one.slope.dtype == np.float32


# -- files ----------------------------------------------------------------------------------------------------------


def test_a_written_frame_is_read_as_what_was_seen(tmp_path: Path) -> None:
    dice = Dice(8, 0, only=("dropped_lines", "margins", "column_offsets", *RADIATION))
    readout = camera_of(dice).expose(np.full(FRAME, 500, np.float32), dice)
    meta = Meta(start_time="2023-12-30T08:36:01.000", exposure_s=0.03)
    frame = read_frame(write_sru(tmp_path, NAME, readout.counts, readout.valid, meta))
    assert (frame.instrument, frame.unit, frame.target, frame.exposure_s) == ("sru", "DN", "IO", 0.03)
    np.testing.assert_array_equal(frame.valid, readout.valid)
    np.testing.assert_array_equal(frame.image, readout.counts)
    assert not readout.valid[:510, 2:].all()


def test_the_file_is_16_bits_big_endian_as_the_archive_has_it(tmp_path: Path) -> None:
    counts = np.arange(512 * 512, dtype=np.float32).reshape(FRAME) % 4000
    path = write_sru(tmp_path, NAME, counts, np.ones(FRAME, bool), Meta())
    with fits.open(path) as hdus:
        assert hdus[0].header["BITPIX"] == 16
        assert "BZERO" not in hdus[0].header
        assert "EXPTIME" not in hdus[0].header
    raw = path.read_bytes()
    first = raw.index(b"END" + b" " * 77) // 2880 * 2880 + 2880
    np.testing.assert_array_equal(np.frombuffer(raw, ">i2", 512 * 512, first).reshape(FRAME), counts)


@pytest.mark.parametrize(
    ("counts", "named"),
    [(np.zeros((512, 500)), "512, 500"), (np.full(FRAME, 4e4), "40000"), (np.full(FRAME, -1.0), "-1")],
)
def test_what_the_file_cannot_hold_is_refused(tmp_path: Path, counts: Image, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        write_sru(tmp_path, NAME, counts, np.ones(counts.shape, bool), Meta())
    assert not list(tmp_path.iterdir())
