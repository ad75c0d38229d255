"""A simulated dataset: archive-true labels, and truth about what is left in the files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from detector.errors import InputError
from detector.frame import Frame
from detector.products import find_products
from detector.readers import read_frames
from detector.readers.junocam import PRODUCT_ID
from training.labels import read_dataset
from training.simulate.draw import CAMERAS, INSTRUMENTS, Recipe, draw_exposure, draw_sample
from training.simulate.scene import Sample, TrueObject
from training.simulate.surface import MAP_VARIABLE, map_digest
from training.simulate.write import Band, _cut_rows, _exposure_s, _gain_mode, _recipe, label, write_dataset

GALILEO_AT_JUPITER = (datetime(1995, 12, 7), datetime(2003, 9, 21))
JUNO_AT_JUPITER = (datetime(2016, 7, 5), datetime(2025, 9, 30))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "set"
    assert write_dataset(folder, "mixed", 4, 424_242) == 7
    return folder


@pytest.fixture(scope="module")
def frames(written: Path) -> dict[str, Frame]:
    return {f.id: f for product in find_products([written / "frames"]) for f in read_frames(product)}


# -- labels ---------------------------------------------------------------------------------------------------------


def test_every_frame_was_taken_while_its_spacecraft_was_there(frames: dict[str, Frame]) -> None:
    for instrument, (first, last) in {
        "galileo_ssi": GALILEO_AT_JUPITER, "junocam": JUNO_AT_JUPITER, "jiram": JUNO_AT_JUPITER,
    }.items():  # fmt: skip
        moments = [datetime.fromisoformat(f.start_time).replace(tzinfo=None) for f in frames.values()
                   if f.instrument == instrument]  # fmt: skip
        assert moments
        assert all(first <= moment <= last for moment in moments)


def test_products_are_named_as_the_archive_names_them(written: Path) -> None:
    names = sorted(path.stem for path in (written / "frames").glob("*.LBL"))
    patterns = (r"C0[3-6]\d{8}R", r"JIR_IMG_RDR_\d{7}T\d{6}_V\d\d", PRODUCT_ID.pattern)
    assert len(names) == len(patterns)
    assert all(re.fullmatch(pattern, name) for pattern, name in zip(patterns, names, strict=True))


@pytest.mark.parametrize(("gain", "mode"), [(20, "10K"), (80, "10K"), (90, "40K"), (260, "40K"), (400, "100K")])
def test_the_gain_mode_is_the_nearest(gain: float, mode: str) -> None:
    camera = replace(CAMERAS["ssi"](np.random.default_rng(0)), gain=gain)
    assert _gain_mode(camera) == mode


def test_twice_the_exposure_is_twice_as_bright() -> None:
    camera = replace(CAMERAS["ssi"](np.random.default_rng(0)), bright=300.0)
    assert _exposure_s(replace(camera, bright=600.0), "ssi") == 2 * _exposure_s(camera, "ssi")
    assert _exposure_s(replace(camera, bright=1e-3), "ssi") == pytest.approx(0.00417, abs=1e-5)  # the shortest


def test_the_label_says_what_the_camera_was_set_to(written: Path, frames: dict[str, Frame]) -> None:
    frame = next(f for f in frames.values() if f.instrument == "galileo_ssi")
    recipe = Recipe(instrument="ssi", shape=(800, 800))
    _, camera = draw_exposure(recipe, np.random.default_rng([424_242, 0]))
    assert frame.exposure_s == pytest.approx(_exposure_s(camera, "ssi"), rel=1e-5)
    text = next((written / "frames").glob("C0*.LBL")).read_text()
    assert f'GAIN_MODE_ID = "{_gain_mode(camera)}"' in text


def test_the_lock_says_what_the_frames_were_drawn_from(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads((written / "dataset.lock").read_text())["made"]
    assert made["map_sha256"] == map_digest()
    assert re.fullmatch(r"[0-9a-f]{64}", made["simulator_sha256"])
    monkeypatch.setenv(MAP_VARIABLE, str(written / "labels.coco.json"))
    assert re.fullmatch(r"[0-9a-f]{64}", map_digest())
    monkeypatch.setenv(MAP_VARIABLE, str(written / "nowhere.jpg"))
    with pytest.raises(InputError, match=MAP_VARIABLE):
        map_digest()


# -- truth ----------------------------------------------------------------------------------------------------------


def test_every_demanded_object_has_pixels(written: Path) -> None:
    objects = [thing for labelled in read_dataset(written) for thing in labelled.objects]
    assert objects
    assert all(thing.area_px > 0 and thing.snr_mf > 0 for thing in objects)


@pytest.fixture
def sample() -> Sample:
    recipe = Recipe(instrument="jiram", shape=(128, 144), empty=0, no_limb=0)
    return next(s for s in (draw_sample(recipe, 5, i) for i in range(20)) if len(s.objects) > 3)


def snrs(objects: tuple[TrueObject, ...]) -> list[float]:
    return [thing.snr_mf for thing in objects]


def test_the_halves_of_an_object_hold_its_signal_between_them(sample: Sample) -> None:
    for thing in sample.objects:
        top, bottom = thing.cut((slice(0, 60), slice(None))), thing.cut((slice(60, None), slice(None)))
        assert np.hypot(top.snr_mf, bottom.snr_mf) == pytest.approx(thing.snr_mf, rel=1e-6)
        everywhere = np.ones(thing.mask.shape, bool)
        assert thing.where(everywhere).snr_mf == thing.snr_mf
        assert thing.where(~everywhere).snr_mf == 0


def test_a_cut_picture_holds_what_its_rows_show(sample: Sample) -> None:
    part = _cut_rows(sample, slice(0, 60))
    left = [thing for thing in sample.objects if thing.mask[:60].any()]
    assert len(left) < len(sample.objects)
    expected = [float(np.sqrt((thing.signal[:60] ** 2).sum(dtype=np.float64))) for thing in left]
    assert snrs(part.objects) == pytest.approx(expected)


def test_what_the_reader_does_not_know_is_not_demanded(sample: Sample) -> None:
    """Of two objects one is hidden wholly, one to a half: the one goes, the other keeps what is left of its signal."""
    hidden, halved = sample.objects[:2]
    valid = ~hidden.mask.copy()
    rows, columns = np.nonzero(halved.mask)
    valid[rows[0], columns[0]] = False
    labelled = label(Band("a", sample), replace(sample.frame, valid=valid & sample.frame.valid))
    kept = [t for t in sample.objects if (t.mask & valid).any()]
    assert hidden not in kept
    assert [truth.area_px for truth in labelled.objects] == [int((t.mask & valid).sum()) for t in kept]
    assert [truth.snr_mf for truth in labelled.objects] == pytest.approx([t.where(valid).snr_mf for t in kept])
    assert not (labelled.mask.planes & ~valid).any()


# -- what is refused ------------------------------------------------------------------------------------------------


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    config = tmp_path / "recipe.yaml"
    config.write_text("plume_snrs: [5, 10]\n")
    with pytest.raises(InputError, match="plume_snrs"):
        write_dataset(tmp_path / "out", "picture", 1, 0, config)
    assert not (tmp_path / "out").exists()
    config.write_text("plume_snr: [5, 10]\n")
    assert write_dataset(tmp_path / "out", "picture", 1, 0, config) == 1


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_dataset(tmp_path, "picture", 1, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("instrument", "seed", "named"), [("picture", -1, "seed"), ("lorri", 0, "lorri")])
def test_what_cannot_be_drawn_is_refused(tmp_path: Path, instrument: str, seed: int, named: str) -> None:
    assert instrument not in INSTRUMENTS or seed < 0
    with pytest.raises(InputError, match=named):
        write_dataset(tmp_path / "out", instrument, 1, seed)
    assert not (tmp_path / "out").exists()


def test_the_recipe_of_the_sample_frames_is_valid() -> None:
    recipe = _recipe(Path(__file__).parents[2] / "training" / "simulate" / "samples.yaml")
    assert recipe.empty == 0
    assert recipe.plume_snr == (80.0, 900.0)
