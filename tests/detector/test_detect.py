"""The whole road on one frame, with a model that can be worked out by hand; and the mask file it leaves."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from brightness_model import write_model
from made_frames import CENTRE, PLUME, RADIUS, SPOT, io_image

from detector.detect import Detector, Result
from detector.errors import InputError, ModelError
from detector.frame import Frame, View
from detector.limb import Limb, find_limb
from detector.maskfile import PROBABILITY_STEP, mask_bytes
from detector.session import Model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model.open(write_model(tmp_path_factory.mktemp("model") / "brightness.onnx"), "cpu", 1)


KEYWORDS = {"^IMAGE": '("0826R.IMG",14)', "NOTE": "it's " + "long " * 60, "Größe": "5 µm\n\tand more", "N": "1"}


@pytest.fixture(scope="module")
def result(model: Model) -> Result:
    valid = np.ones((160, 200), bool)
    valid[150:] = False
    return Detector(model)(Frame.of(io_image(), valid, id="made", keywords=KEYWORDS, warnings=("line gap",)))


def test_what_is_there_is_found_where_it_is(result: Result) -> None:
    assert (result.limb.x_px, result.limb.y_px, result.limb.radius_px) == pytest.approx((*CENTRE, RADIUS), abs=0.5)
    plume, spot = result.detections
    assert (plume.kind, spot.kind) == ("plume", "hotspot")
    assert (plume.x_px, plume.y_px) == pytest.approx((PLUME[0], PLUME[1] - 1.8), abs=0.5)
    assert (spot.x_px, spot.y_px) == pytest.approx(SPOT, abs=0.05)
    assert spot.area_px == 9
    top = CENTRE[1] - RADIUS - (PLUME[1] - 8)
    assert plume.plume_height_km == pytest.approx(top * 1821.49 / RADIUS, abs=1.5 * plume.plume_height_sigma_km)
    assert plume.plume_height_sigma_km < 0.25 * plume.plume_height_km
    assert plume.model == "brightness@1"
    assert result.count("plume") == result.count("hotspot") == 1


def test_mask_and_labels_agree_with_the_detections(result: Result) -> None:
    known = np.argwhere(result.mask.known)  # the disk and 1.32 radii of it to every side, a whole rectangle
    assert known.min(axis=0) == pytest.approx([14, 34], abs=1)
    assert known.max(axis=0) == pytest.approx([147, 167], abs=1)
    assert len(known) == np.prod(np.ptp(known, axis=0) + 1)
    assert not result.mask.planes[:, 150:].any()
    for number, detection in enumerate(result.detections, start=1):
        assert (result.labels == number).sum() == detection.area_px
    assert np.array_equal(result.labels > 0, result.mask.planes)
    assert result.catalogue.rows == result.detections


def test_an_empty_frame_gives_an_empty_result(model: Model) -> None:
    found = Detector(model)(Frame.of(io_image(plume=False, spot=False)))
    assert found.detections == ()
    assert found.catalogue.to_csv().count("\n") == 1


def test_a_frame_without_a_valid_pixel_is_no_error(model: Model) -> None:
    found = Detector(model)(Frame.of(np.zeros((40, 50), np.float32), np.zeros((40, 50), bool)))
    assert found.detections == ()
    assert not found.mask.known.any()


def test_where_nobody_looked_is_not_a_no(model: Model) -> None:
    wide = np.pad(io_image(), ((60, 200), (60, 200)), mode="wrap")
    wide[:60], wide[220:], wide[:, :60], wide[:, 260:] = 10, 10, 10, 10
    found = Detector(model)(Frame.of(wide))
    inside = np.hypot(*(np.indices(wide.shape) - np.array([CENTRE[1] + 60, CENTRE[0] + 60])[:, None, None]))
    assert found.mask.known[inside < 1.3 * RADIUS].all()
    assert not found.mask.known[inside > 1.32 * RADIUS * 2**0.5 + 2].any()
    assert np.array_equal(np.isfinite(found.scores[0]), np.isfinite(found.scores[1]))
    assert found.looked_for("plume")
    assert [detection.kind for detection in found.detections] == ["plume", "hotspot"]


def test_without_a_limb_plumes_are_not_looked_for(model: Model) -> None:
    image = np.random.default_rng(3).normal(10, 1, (60, 70)).astype(np.float32)
    image[30:33, 40:43] += 200
    found = Detector(model)(Frame.of(image))
    assert not found.limb.trusted
    assert found.limb.guess is None
    assert np.isnan(found.scores[0]).all()
    assert (found.looked_for("plume"), found.looked_for("hotspot")) == (False, True)
    assert found.mask.known.all()
    assert [detection.kind for detection in found.detections] == ["hotspot"]
    with fits.open(io.BytesIO(mask_bytes(found))) as file:
        assert np.array_equal(np.isnan(file["PROBABILITY"].data), np.isnan(found.scores))


def test_plumes_are_looked_for_at_a_limb_that_is_a_guess(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same frame, its limb once trusted and once refused: the same plume, but no kilometres, and it is marked."""
    frame, limb = Frame.of(io_image()), find_limb(Frame.of(io_image()))
    refused = Limb.none("refused in this test", replace(limb, source="guess"))
    trusted = Detector(model)(frame)
    monkeypatch.setattr("detector.detect.find_limb", lambda _: refused)
    doubted = Detector(model)(frame)
    assert np.array_equal(doubted.scores[0], trusted.scores[0], equal_nan=True)
    assert np.isfinite(doubted.scores[1]).all()
    (sure, _), (plume, *spots) = trusted.detections, doubted.detections
    assert plume.kind == "plume"
    assert (plume.area_px, plume.score) == (sure.area_px, sure.score)
    assert plume.flags == "LIMB_DOUBTED"
    assert math.isnan(plume.plume_height_km)
    assert plume.geometry_source == "none"
    assert {spot.kind for spot in spots} == {"hotspot"}


def test_an_empty_checksum_beside_the_model_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    (tmp_path / "m.sha256").write_text("\n")
    with pytest.raises(ModelError, match=r"m\.sha256 promises nothing"):
        Model.open(path, "cpu", 1)


def test_screening_finds_at_least_what_confident_finds(model: Model) -> None:
    frame = Frame.of(io_image())
    sure, more = (Detector(model, point)(frame).mask.planes for point in ("confident", "screening"))
    assert not (sure & ~more).any()


def test_an_operating_point_that_is_not_there_is_named(model: Model) -> None:
    with pytest.raises(InputError, match="'bold' is not one of confident, screening"):
        Detector(model, "bold")


LABELLED = View("label", "IO", range_km=4e5, sub_spacecraft_lat_deg=3.0, sub_spacecraft_lon_w_deg=130.0)


def test_the_geometry_is_in_the_result_and_in_the_rows(model: Model) -> None:
    view = replace(LABELLED, north_azimuth_deg=260.0)
    found = Detector(model)(Frame.of(io_image(), id="made", view=view, target="IO"))
    plume, spot = found.detections
    assert found.pointing.source == plume.geometry_source == spot.geometry_source == "label"
    assert (spot.lat_deg, spot.lon_w_deg) == pytest.approx(found.pointing.surface_point(spot.x_px, spot.y_px))
    assert plume.position_sigma_deg > spot.position_sigma_deg
    assert found.frame.warnings == ()


def test_why_the_better_geometry_failed_is_said(model: Model, tmp_path: Path) -> None:
    frame = Frame.of(io_image(), id="made", view=LABELLED, target="IO")
    found = Detector(model)(frame)
    assert found.pointing.source == "limb"
    assert found.frame.warnings == ("label: no north azimuth",)
    with_kernels = Detector(model, kernels=tmp_path)(frame)
    assert [warning.partition(":")[0] for warning in with_kernels.frame.warnings] == ["spice", "label"]
    bare = Detector(model)(Frame.of(io_image(), id="made"))
    assert bare.frame.warnings == ()  # a picture without a label promised nothing
    assert bare.pointing.notes


def test_mask_file_reads_back(result: Result) -> None:
    with fits.open(io.BytesIO(mask_bytes(result))) as file:
        file.verify("exception")
        header = file[0].header
        probability, regions, valid = (file[name].data for name in ("PROBABILITY", "REGIONS", "VALID"))
        assert np.array_equal(np.isnan(probability), np.isnan(result.scores))
        assert np.nanmax(np.abs(probability - result.scores)) <= PROBABILITY_STEP / 2 + 1e-7
        assert np.array_equal(regions, result.labels)
        assert np.array_equal(valid == 1, result.frame.valid)
    assert header["LIMBR"] == pytest.approx(RADIUS, abs=0.5)
    assert header["MODEL"] == "brightness@1"
    assert header["THRESHOLD PLUME SEED"] == 0.6
    assert header["SOURCE N"] == "1"
    assert header["SOURCE _IMAGE"] == KEYWORDS["^IMAGE"]
    comments = " ".join(header["COMMENT"])
    assert "WARNING line gap" in comments
    assert KEYWORDS["NOTE"].strip() in comments


def test_mask_file_without_limb_and_with_any_probability() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random((2, 37, 53)).astype(np.float32)
    scores[0, 5:9] = np.nan
    from detector.limb import Limb

    made = Result(Frame.of(np.zeros((37, 53), np.float32)), Limb.none("a reason " * 30), scores, (), ())
    content = mask_bytes(made)
    assert content == mask_bytes(made)
    with fits.open(io.BytesIO(content)) as file:
        assert np.nanmax(np.abs(file["PROBABILITY"].data - scores)) <= PROBABILITY_STEP / 2 + 1e-7
        assert np.isnan(file["PROBABILITY"].data[0, 5:9]).all()
        assert file[0].header["LIMBWHY"].startswith("a reason")
        assert "LIMBR" not in file[0].header


def test_the_runtime_is_not_loaded_before_it_is_needed() -> None:
    heavy = "{'onnxruntime', 'torch', 'matplotlib', 'astropy', 'pdr', 'typer'}"
    code = f"import sys, detector.detect; print(sorted({heavy} & set(sys.modules)))"
    here = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=here)
    assert done.stdout.strip() == "[]"


def test_frames_together_are_frames_one_by_one(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of one size go through the model together, whatever frames they are of; everything else stays apart."""
    rng = np.random.default_rng(5)
    blank = [Frame.of(rng.normal(10, 1, shape).astype(np.float32)) for shape in ((70, 90), (90, 70), (70, 90))]
    frames = [Frame.of(io_image(0)), blank[0], Frame.of(io_image(1)), blank[1], Frame.of(io_image(0)), blank[2]]
    sights = [(frame, find_limb(frame)) for frame in frames]
    alone = [model.scores(frame, limb) for frame, limb in sights]
    sizes: list[int] = []
    answers = Model._answers
    monkeypatch.setattr(Model, "_answers", lambda self, looks: (sizes.append(len(looks)), answers(self, looks))[1])
    for one, other in zip(alone, model.scores_of(sights, batch=4), strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(sizes) == [1, 2, 3]  # the lying blank, the standing ones, the disks
    detector = Detector(model)
    many = detector.many(frames, batch=3)
    assert [result.catalogue.to_csv() for result in many] == [detector(frame).catalogue.to_csv() for frame in frames]
