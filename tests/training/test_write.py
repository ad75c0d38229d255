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
from training.simulate.draw import draw_sample
from training.simulate.hotspots import HotSpot
from training.simulate.plumes import Plume
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe, read_recipe
from training.simulate.scene import Sample
from training.simulate.surface import MAP_VARIABLE, map_digest
from training.simulate.write import label, truth_of, write_dataset, write_product

GALILEO_AT_JUPITER = (datetime(1995, 12, 7), datetime(2003, 9, 21))
JUNO_AT_JUPITER = (datetime(2016, 7, 5), datetime(2025, 9, 30))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "set"
    assert write_dataset(folder, "mixed", 5, 424_242) == 8
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


@pytest.mark.parametrize("index", range(6))
def test_an_ssi_product_is_read_back_with_its_state(tmp_path: Path, index: int) -> None:
    """Pixels, gaps and what the camera was set to: summed frames, windows and all."""
    product = expose("ssi", Recipe(), 9, index)
    [sample] = product.samples
    [found] = find_products([write_product(tmp_path, product)])
    [frame] = read_frames(found)
    both = frame.valid & sample.frame.valid
    assert frame.shape == sample.frame.shape
    assert np.array_equal(frame.image[both], sample.frame.image[both])
    assert (frame.valid != sample.frame.valid).mean() < 0.25  # lines that never came are zeros to the reader
    assert frame.exposure_s == pytest.approx(product.meta.exposure_s, rel=1e-5)
    assert frame.filter == product.meta.filter
    geometry = sample.scene.geometry
    if geometry is not None:
        assert frame.view.io_radius_px == pytest.approx(geometry.radius_px, rel=2e-3)
        assert frame.view.centre_x_px == pytest.approx(product.meta.centre_x_px, abs=0.01)


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_products_are_read_back(tmp_path: Path, kind: str) -> None:
    for index in range(3):
        product = expose(kind, Recipe(), 31, index)
        frames = {f.id: f for found in find_products([write_product(tmp_path, product)]) for f in read_frames(found)}
        for sample in product.samples:
            frame = frames[sample.frame.id]
            both = frame.valid & sample.frame.valid
            assert frame.shape == sample.frame.shape
            assert np.array_equal(frame.image[both], sample.frame.image[both])
            assert frame.instrument == sample.frame.instrument


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


@pytest.fixture(scope="module")
def sample() -> Sample:
    recipe = Recipe(instrument="jiram", shape=(128, 144), empty=0, no_limb=0, natural=0, hotspot_snr=(30, 90))
    return next(s for s in (draw_sample(recipe, 5, i) for i in range(60)) if len(s.objects) > 3)


def test_objects_lie_in_the_file_where_they_lie_in_the_picture(sample: Sample) -> None:
    whole = sample.mask().planes
    for number, thing in enumerate(sample.objects):
        truth = truth_of(str(number), thing, sample.frame.shape, 4.78)
        assert np.array_equal(truth.mask(sample.frame.shape), thing.on(sample.frame.shape))
        assert whole[1][round(truth.y_px), round(truth.x_px)] or truth.area_px > 1


def test_the_truth_says_what_erupts() -> None:
    plume = Plume(10.0, 350.0, 120.0, "dome", 0.4, 1, "Prometheus", blueness=2.0)
    recipe = Recipe(instrument="picture", shape=(160, 160), empty=0, natural=0, no_limb=0, phase_deg=(60, 90))
    samples = [draw_sample(recipe, 6, index) for index in range(20)]
    kinds = {type(thing.cause) for s in samples for thing in s.objects}
    assert kinds == {Plume, HotSpot}
    thing = next(t for s in samples for t in s.objects if t.kind == "plume")
    truth = truth_of("0", replace(thing, cause=plume), (160, 160), 0.275)
    assert (truth.name, truth.height_km, truth.lat_deg, truth.lon_e_deg) == ("Prometheus", 120.0, 10.0, 10.0)
    assert truth.optical_depth == pytest.approx(0.4 * 4)
    assert truth.width_km > 50
    assert truth.peak_i_over_f == thing.peak_i_over_f > 0
    spot = next(t for s in samples for t in s.objects if t.kind == "hotspot")
    said = truth_of("1", spot, (160, 160), 0.8)
    assert isinstance(spot.cause, HotSpot)
    assert (said.power_gw_um, said.area_km2) == (spot.cause.power_gw_um(0.8), spot.cause.area_km2)
    assert 100 < said.temperature_k < 2000


def test_what_the_reader_does_not_know_is_not_demanded(sample: Sample) -> None:
    """Of two objects one is hidden wholly, of the other a pixel: the one goes, the other keeps what is left of it."""
    shape = sample.frame.shape
    hidden, halved = sample.objects[:2]
    valid = ~hidden.on(shape)
    rows, columns = np.nonzero(halved.on(shape))
    valid[rows[0], columns[0]] = False
    labelled = label(sample, replace(sample.frame, valid=valid & sample.frame.valid))
    kept = [t for t in sample.objects if (t.on(shape) & valid).any()]
    assert hidden not in kept
    assert [truth.area_px for truth in labelled.objects] == [int((t.on(shape) & valid).sum()) for t in kept]
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
    recipe = read_recipe(Path(__file__).parents[2] / "training" / "simulate" / "samples.yaml")
    assert recipe.empty == 0
    assert recipe.plume_snr == (80.0, 900.0)
