"""JunoCam and the Stellar Reference Unit: noise, companding, damage, and the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector.instruments import junocam_linear
from detector.products import find_products
from detector.readers import read_frames
from training.simulate.archive import Meta
from training.simulate.cameras.junocam import DAMAGED_ORBIT, JunocamCamera, companded, draw_junocam
from training.simulate.cameras.sru import SruCamera, draw_sru
from training.simulate.dice import Dice
from training.simulate.sru_archive import write_sru

SHAPE = (256, 300)


def junocam(**changes: object) -> JunocamCamera:
    return replace(draw_junocam(Dice(1, 1), SHAPE, False), orbit=30, jogs_px=(), corner_px=(0, 0), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [30.0, 200.0, 1500.0])
def test_junocam_noise_is_what_sigma_says(level: float) -> None:
    camera = junocam(pedestal=20.0, read=6.0, gain=8.0)
    flat = np.full(SHAPE, level, np.float32)
    shots = np.stack([camera.expose(flat, Dice(2, n, only=())).counts for n in range(6)])
    assert shots.std() == pytest.approx(float(camera.sigma(flat)[0, 0]), rel=0.03)
    if level == 30.0:
        assert shots.var() == pytest.approx(6.0**2 + 10 / 8 + 1 / 12, rel=0.03)


def test_values_are_those_that_eight_bits_can_say() -> None:
    table = set(junocam_linear().tolist())
    counts = junocam().expose(np.full(SHAPE, 700, np.float32), Dice(2, 0)).counts
    assert set(np.unique(counts).tolist()) <= table
    assert companded(np.array([[0.4, 2879.0, 9999.0]], np.float32)).tolist() == [[0, 2879, 2879]]


def test_the_filters_answer_as_published() -> None:
    fresh, worn = junocam(), replace(junocam(), orbit=60)
    ratios = {name: worn.through(name).bright / worn.bright / (fresh.through(name).bright / fresh.bright)
              for name in ("BLUE", "RED")}  # fmt: skip
    kept = {"BLUE": 0.36, "GREEN": 0.53, "RED": 0.77}
    own = kept[fresh.band.name] if fresh.band.name in kept else 0.8
    assert ratios == pytest.approx({name: kept[name] / own for name in ratios})
    assert fresh.through("RED").band.name == "RED"


def test_blooming_runs_along_the_column_and_only_from_saturation() -> None:
    signal = np.full(SHAPE, 50, np.float32)
    signal[120:124, 80:84] = 30_000
    camera = junocam(pedestal=20.0, read=1.0)
    plain, bloomed = (camera.expose(signal, Dice(3, 0, only=only)).counts for only in ((), ("blooming",)))
    spilt = bloomed - plain > 40
    assert spilt[:, 80:84].any(1).sum() > 4
    assert not spilt[:, :78].any()
    assert not spilt[:, 86:].any()


def test_late_orbits_are_rougher() -> None:
    flat = np.full(SHAPE, 60, np.float32)

    def roughness(orbit: int) -> float:
        camera = replace(junocam(), orbit=orbit)
        return float(np.median([camera.expose(flat, Dice(4, n, only=("late_damage",))).counts.std() for n in range(8)]))

    assert roughness(61) > 1.5 * roughness(DAMAGED_ORBIT - 2)


def test_borders_of_a_whole_mosaic_are_dark() -> None:
    camera = junocam()
    valid = camera.expose(np.full((355, 1648), 50, np.float32), Dice(5, 0, only=())).valid
    assert not valid[:, :25].any()
    assert not valid[:, -17:].any()
    assert valid[60, 25:-17].all()


@pytest.mark.parametrize("level", [150.0, 900.0])
def test_sru_noise_is_what_sigma_says(level: float) -> None:
    camera = replace(draw_sru(Dice(1, 1), SHAPE, False), pedestal=100.0, read=5.0, gain=20.0)
    flat = np.full(SHAPE, level, np.float32)
    shots = np.stack([camera.expose(flat, Dice(2, n, only=())).counts for n in range(6)])
    assert shots.var() == pytest.approx(25 + (level - 100) / 20 + 1 / 12, rel=0.03)
    assert shots.std() == pytest.approx(float(camera.sigma(flat)[0, 0]), rel=0.03)


def test_every_column_has_its_own_zero() -> None:
    camera: SruCamera = replace(draw_sru(Dice(1, 1), SHAPE, False), pedestal=200.0, read=5.0)
    shot = camera.expose(np.full((512, 512), 200, np.float32), Dice(6, 0, only=("column_offsets",)))
    columns = shot.counts[shot.valid.any(1)].mean(0)[2:]
    assert columns.std() > 3 * 5 / np.sqrt(510)
    assert shot.sigma[10, 10] > camera.sigma(np.full((1, 1), 200, np.float32))[0, 0]
    assert not shot.valid[-2:].any()
    assert not shot.valid[:, :2].any()


def test_sru_files_are_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 4096, (512, 512)).astype(np.float32)
    valid = np.ones((512, 512), bool)
    valid[100:110], valid[-2:], valid[:, :2] = False, False, False
    path = write_sru(
        tmp_path, "SRU_1_2023364T083601_57_V01", counts, valid, Meta(start_time="2023-12-30T08:36:01", exposure_s=0.1)
    )
    [product] = find_products([path])
    [frame] = read_frames(product)
    assert (frame.instrument, frame.target, frame.exposure_s) == ("sru", "IO", 0.1)
    assert np.array_equal(frame.valid, valid)
    assert np.array_equal(frame.image[valid], counts[valid])
    with pytest.raises(ValueError, match="512"):
        write_sru(tmp_path, "a", counts[:100], valid[:100], Meta())
