"""Five tiny frames, a model of two lines, and every count known beforehand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from astropy.io import fits
from onnx import TensorProto, helper

from detector.card import ModelCard, Threshold
from detector.detect import Detector
from detector.errors import InputError
from detector.frame import Frame, sha256_of
from detector.limb import Limb
from detector.mask import Mask
from detector.session import Model as OpenedModel
from training.evaluate import (
    PHASES_DEG,
    SIZES_PX,
    _natural,
    _range,
    _spread,
    evaluate,
    evaluate_model,
    judge_limb,
    object_tally,
    score_class,
)
from training.labels import DatasetWriter, LabelledFrame, LimbInterval, Truth
from training.labels.truth import UNSTATED, limb_strip
from training.metrics import Tally

SHAPE = (40, 48)
CARD = ModelCard(
    name="sign",
    version="1",
    operating_points={
        "screening": {kind: Threshold(seed=0.5, grow=0.3, min_area_px=2) for kind in ("plume", "hotspot")},
        "confident": {kind: Threshold(seed=0.8, grow=0.3, min_area_px=2) for kind in ("plume", "hotspot")},
    },
    limits=("knows the sign of a pixel and nothing else",),
)


class Model(OpenedModel):
    """Looks for plumes without a limb too: the story's frames are too small to hold one."""

    def scores_of(self, sights: Sequence[tuple[Frame, Limb]], batch: int = 1) -> list[np.ndarray]:
        return [np.clip(np.stack([frame.image, -frame.image]) / 100, 0, 1) for frame, _ in sights]


@pytest.fixture(scope="module", autouse=True)
def _looks_everywhere():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.evaluate.Model", Model)
        yield


def test_what_was_not_looked_at_counts_as_not_found(model, story):
    """The detector's own model looks for no plume without a limb: every plume of the story is missed."""
    seen, blind = (evaluate_model(kind.open(model), story) for kind in (Model, OpenedModel))
    for record, other in zip(seen.frames, blind.frames, strict=True):
        for point in ("screening", "confident"):
            plume, missed = record.pixels[point]["plume"], other.pixels[point]["plume"]
            assert missed == Tally(0, 0, plume.tp + plume.fn)
            assert other.pixels[point]["hotspot"] == record.pixels[point]["hotspot"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Plume probability = frame / 100, hot-spot probability = -frame / 100, both cut to 0..1."""
    axes = {"frame": ["n", 1, "h", "w"], "valid": ["n", 1, "h", "w"], "limb": ["n", 3], "levels": ["n", 3]}
    graph = helper.make_graph(
        [
            helper.make_node("Div", ["frame", "hundred"], ["plus"]),
            helper.make_node("Neg", ["plus"], ["minus"]),
            helper.make_node("Concat", ["plus", "minus"], ["both"], axis=1),
            helper.make_node("Clip", ["both", "zero", "one"], ["probability"]),
        ],
        "sign",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in axes.items()],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 2, "h", "w"])],
        [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("hundred", 100), ("zero", 0), ("one", 1))],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(made, {"card": CARD.model_dump_json()})
    path = tmp_path_factory.mktemp("model") / "sign.onnx"
    onnx.save(made, path)
    return path


def blob(rows: slice, columns: slice) -> np.ndarray:
    plane = np.zeros(SHAPE, bool)
    plane[rows, columns] = True
    return plane


A, B, C = blob(slice(4, 9), slice(5, 11)), blob(slice(20, 22), slice(30, 33)), blob(slice(30, 36), slice(10, 14))


def frame_of(*parts: tuple[np.ndarray, float]) -> np.ndarray:
    image = np.zeros(SHAPE, np.float32)
    for where, value in parts:
        image[where] = value
    return image


def label(name: str, *objects: Truth, **known: object) -> LabelledFrame:
    planes = np.zeros((2, *SHAPE), bool)
    for truth in objects:
        planes[("plume", "hotspot").index(truth.kind)] |= truth.mask(SHAPE)
    defaults = {"observation": f"o-{name}", "limb": Limb.none("none"), "mask": Mask(planes, np.ones(SHAPE, bool))}
    return LabelledFrame(name, "", objects=objects, **(defaults | known))  # type: ignore[arg-type]


STORY = {
    # a plume, reported at both points; 30 px, of which 24 reported
    "f1": (frame_of((A & ~blob(slice(4, 5), slice(0, 48)), 90)), label("f1", Truth.cut("p", "plume", A, snr_mf=30.0))),
    # a plume reported at the screening point only, a hot spot missed
    "f2": (
        frame_of((A, 60)),
        label("f2", Truth.cut("p", "plume", A, snr_mf=8.0), Truth.cut("h", "hotspot", B, snr_mf=6.0)),
    ),
    # nothing there, a false hot spot at both points
    "f3": (frame_of((C, -95)), label("f3")),
    # a faint plume, reported: neither true nor false; a hot spot found
    "f4": (
        frame_of((A, 90), (B, -90)),
        label("f4", Truth.cut("p", "plume", A, snr_mf=2.0), Truth.cut("h", "hotspot", B, snr_mf=50.0)),
    ),
    # nothing there, nothing reported
    "f5": (frame_of(), label("f5")),
}


def write_story(folder: Path, story: dict = STORY) -> Path:
    with DatasetWriter(folder, {"generator": "by hand"}) as writer:
        for name, (image, labelled) in story.items():
            fits.writeto(writer.frames / f"{name}.fits", image)
            writer.add(f"{name}.fits", labelled)
    return folder


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Path:
    return write_story(tmp_path_factory.mktemp("story") / "dataset")


@pytest.fixture(scope="module")
def report(story, model, tmp_path_factory):
    return evaluate(story, tmp_path_factory.mktemp("report"), model)


def test_objects_are_counted_as_by_hand(report):
    tallies = {(kind, point): one.points[point].objects for kind, one in report.classes.items() for point in one.points}
    assert tallies == {
        ("plume", "screening"): Tally(2, 0, 0),
        ("plume", "confident"): Tally(1, 0, 1),
        ("hotspot", "screening"): Tally(1, 1, 1),
        ("hotspot", "confident"): Tally(1, 1, 1),
    }
    assert report.classes["plume"].points["screening"].ignored == 1


def test_pixels_are_counted_as_by_hand(report):
    # f1: 24 of 30; f2: 30 of 30 at the screening point; the faint plume of f4 is left out
    assert report.classes["plume"].points["screening"].pixels == Tally(54, 0, 6)
    assert report.classes["plume"].points["confident"].pixels == Tally(24, 0, 36)
    assert report.classes["hotspot"].points["screening"].pixels == Tally(6, 24, 6)


def test_frames_with_nothing_to_find_stand_apart(report):
    finds = report.classes["hotspot"].finds["confident"]
    assert (finds.empty_frames, finds.empty_hit, finds.empty_regions) == (2, 1, 1)
    assert finds.per_empty_frame.value == 0.5
    assert report.dataset.empty_frames == 2
    assert report.dataset.faint == {"plume": 1, "hotspot": 0}


def test_curves_are_those_of_the_counts(report):
    hot = report.classes["hotspot"]
    # the false region is the more certain (0.95 against 0.90): 1/2 found at a precision of 1/2
    assert hot.average_precision == pytest.approx(0.25)
    assert hot.froc.recall.tolist() == [0.0, 0.5]
    assert hot.froc.false_per_frame.tolist() == [0.2, 0.2]
    # two bins of one region: 0.95 of which none is true, just under 0.90 of which all are
    assert hot.reliability.ece == pytest.approx((0.95 + 0.10) / 2, abs=1e-6)
    bins = {one.low: (one.total, one.found) for one in hot.by_snr["screening"] if one.total}
    assert bins == {5.0: (1, 0), 50.0: (1, 1)}
    assert hot.half_snr["screening"] == pytest.approx(math.sqrt(6 * 50))


def test_the_road_is_the_detectors_own(report, story, model):
    for point in ("screening", "confident"):
        detector = Detector(Model.open(model), point)
        for record in report.frames:
            path = story / "frames" / record.file
            result = detector(Frame.of(fits.getdata(path).astype(np.float32), id=record.frame_id))
            theirs = [(one.kind, one.score, one.area_px) for one in result.regions]
            ours = [(one.kind, one.score, one.area_px) for one in record.regions if one.point == point]
            assert ours == theirs


def test_groups_and_frames_add_up_to_the_whole(report):
    for kind, one in report.classes.items():
        for point, whole in one.points.items():
            for by in ("instrument", "filter"):
                parts = [group.scores.objects for group in one.groups if (group.by, group.point) == (by, point)]
                assert sum(parts, Tally()) == whole.objects
            assert sum((object_tally(record, kind, point) for record in report.frames), Tally()) == whole.objects


def test_report_json_says_the_same_and_is_strict_json(report, story, model, tmp_path):
    out = tmp_path / "again"
    evaluate(story, out, model)
    document = json.loads((out / "report.json").read_text(), parse_constant=pytest.fail)
    assert document["schema_version"] == 1
    assert document["classes"]["hotspot"]["points"]["screening"]["objects"] == {"tp": 1, "fp": 1, "fn": 1}
    assert document["dataset"]["lock_sha256"] == sha256_of(story / "dataset.lock")
    assert document["model"]["sha256"] == sha256_of(model)
    assert [frame["frame_id"] for frame in document["frames"]] == ["f1", "f2", "f3", "f4", "f5"]
    assert "examples" not in document
    assert report.to_json() == report.to_json()


def test_pictures_show_what_happened(report):
    shown = sorted((one.kind, one.verdict, one.frame_id) for one in report.examples)
    assert shown == [
        ("hotspot", "false", "f3"),
        ("hotspot", "found", "f4"),
        ("hotspot", "missed", "f2"),
        ("plume", "found", "f1"),
        ("plume", "found", "f2"),
    ]
    found = next(one for one in report.examples if one.frame_id == "f1")
    assert (found.truth.sum(), found.found.sum()) == (30, 24)
    assert found.image.shape == found.truth.shape == found.found.shape


def test_input_is_left_alone(story, model, tmp_path):
    before = {path: sha256_of(path) for path in story.rglob("*") if path.is_file()}
    evaluate(story, tmp_path / "out", model)
    assert before == {path: sha256_of(path) for path in story.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="lies inside the dataset"):
        evaluate(story, story / "report", model)


def test_frames_without_labels_give_candidates_and_no_verdict(story, model, tmp_path):
    report = evaluate(story / "frames", tmp_path, model)
    assert not report.dataset.labelled
    assert report.classes["hotspot"].finds["screening"].frames_hit == 2
    assert report.classes["plume"].finds["confident"].regions == 2
    assert report.classes["plume"].points == {}
    assert {region.verdict for record in report.frames for region in record.regions} == {"unjudged"}
    assert {one.verdict for one in report.examples} == {"reported"}


def test_limit_and_progress(story, model):
    seen: list[tuple[int, int]] = []
    report = evaluate_model(Model.open(model), story, limit=3, progress=lambda done, total: seen.append((done, total)))
    assert [record.frame_id for record in report.frames] == ["f1", "f3", "f5"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert _spread(range(10), 1) == [0]
    assert _spread(range(3), None) == [0, 1, 2]


def test_split_is_chosen_or_refused(story, model):
    assert evaluate_model(Model.open(model), story).dataset.split == "test"
    with pytest.raises(InputError, match="no frame of split 'train'"):
        evaluate_model(Model.open(model), story, split="train")


def test_broken_file_is_named_and_the_rest_judged(model, tmp_path):
    folder = write_story(tmp_path / "d")
    (folder / "frames" / "f2.fits").write_bytes(b"SIMPLE  =   broken")
    report = evaluate_model(Model.open(model), folder)
    assert len(report.frames) == 4
    assert len(report.dataset.failed) == 1
    assert report.dataset.failed[0].startswith("f2.fits: ")


def test_nothing_to_judge_is_an_error(model, tmp_path):
    with pytest.raises(InputError, match="not one frame could be judged"):
        evaluate_model(Model.open(model), tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        evaluate_model(Model.open(model), tmp_path / "nowhere")


def test_where_nobody_looked_nothing_is_false(model, tmp_path):
    image, _ = STORY["f3"]
    unseen = label("f3", mask=Mask(np.zeros((2, *SHAPE), bool), ~C))
    record = evaluate_model(Model.open(model), write_story(tmp_path / "d", {"f3": (image, unseen)})).frames[0]
    assert {region.verdict for region in record.regions} == {"unjudged"}
    assert record.pixels["screening"]["hotspot"] == Tally()


def test_stretch_of_limb_is_found_by_what_rises_there(model, tmp_path):
    # a circle of radius 12 around (24, 24); blob A (5..10, 4..8) rises up-left of it, at 5.4 rad
    limb = Limb(24.0, 24.0, 14.5, source="label")
    near, wrong = LimbInterval("plume", 5.0, 5.9), LimbInterval("plume", 1.0, 2.0)
    outside = blob(slice(11, 14), slice(12, 16))
    image = frame_of((outside, 90))
    for interval, wanted in ((near, Tally(1, 0, 0)), (wrong, Tally(0, 1, 1))):
        labelled = label("f1", limb=limb, limb_intervals=(interval,), mask=Mask.empty(SHAPE))
        folder = write_story(tmp_path / f"{interval.start_rad}", {"f1": (image, labelled)})
        record = evaluate_model(Model.open(model), folder).frames[0]
        assert object_tally(record, "plume", "confident") == wanted
        assert record.pixels == {}


@pytest.mark.parametrize(
    ("found", "true", "verdict"),
    [
        (Limb(10.9, 10, 50), Limb(10, 10, 50), "right"),
        (Limb(11.1, 10, 50), Limb(10, 10, 50), "wrong"),
        (Limb(13.9, 10, 400), Limb(10, 10, 400), "right"),
        (Limb.none(""), Limb(10, 10, 50), "missed"),
        (Limb(1, 1, 9), Limb.none(""), "invented"),
        (Limb.none(""), Limb.none(""), "none"),
    ],
)
def test_circle_is_right_within_a_pixel_or_a_hundredth(found, true, verdict):
    assert judge_limb(found, label("f", limb=true))[0] == verdict


def test_intervals_draw_observations_not_frames(report):
    scores = score_class([report.frames[1]] * 50, "plume", "confident")
    assert scores.objects == Tally(0, 0, 50)
    assert scores.false_per_frame.high == pytest.approx(3.689 / 50, rel=1e-3)  # one observation: Poisson, not bootstrap


def test_labels_along_the_limb_judge_what_rises_there_and_nothing_else(model, tmp_path):
    """Four reports: a plume on the labelled stretch, one elsewhere on the limb, one on the disk, and a hot spot."""
    limb = Limb(24.0, 24.0, 14.5, source="label")
    there, elsewhere = blob(slice(11, 14), slice(12, 16)), blob(slice(22, 26), slice(39, 42))
    disk, spot = blob(slice(26, 30), slice(20, 24)), blob(slice(10, 12), slice(28, 31))
    image = frame_of((there, 90), (elsewhere, 90), (disk, 90), (spot, -90))
    labelled = label(
        "f1", limb=limb, limb_intervals=(LimbInterval("plume", 5.0, 5.9),), looked_for=("plume",), by_limb=True,
        mask=Mask(np.zeros((2, *SHAPE), bool), limb_strip(limb, SHAPE)),
    )  # fmt: skip
    folder = write_story(tmp_path / "d", {"f1": (image, labelled)})
    report = evaluate_model(Model.open(model), folder)
    (record,) = report.frames
    verdicts = {
        (region.kind, round(region.x_px), round(region.y_px)): region.verdict
        for region in record.regions
        if region.point == "confident"
    }
    assert verdicts == {
        ("plume", 14, 12): "true", ("plume", 40, 24): "false", ("plume", 22, 28): "unjudged",
        ("hotspot", 29, 10): "unjudged",
    }  # fmt: skip
    assert object_tally(record, "plume", "confident") == Tally(1, 1, 0)
    assert object_tally(record, "hotspot", "confident") == Tally()
    assert record.pixels == {}
    assert not record.empty
    assert report.classes["plume"].points["confident"].frames == 1
    assert report.classes["hotspot"].points["confident"].frames == 0  # no frame was searched for hot spots
    pictures = {one.verdict: one for one in report.examples if one.kind == "plume"}
    assert pictures["found"].truth.any()  # the stretch is drawn


def test_a_limb_without_plume_shows_false_ones(model, tmp_path):
    limb = Limb(24.0, 24.0, 14.5, source="label")
    image = frame_of((blob(slice(11, 14), slice(12, 16)), 90))
    quiet = label("f1", limb=limb, looked_for=("plume",), by_limb=True,
                  mask=Mask(np.zeros((2, *SHAPE), bool), limb_strip(limb, SHAPE)))  # fmt: skip
    record = evaluate_model(Model.open(model), write_story(tmp_path / "d", {"f1": (image, quiet)})).frames[0]
    assert object_tally(record, "plume", "confident") == Tally(0, 1, 0)
    assert not record.empty  # whether hot spots show, nobody said
    assert record.pixels == {}


def test_a_class_that_nobody_looked_for_is_not_judged(model, tmp_path):
    image = frame_of((A, 90), (C, -95))
    labelled = label("f1", Truth.cut("p", "plume", A), looked_for=("plume",))
    record = evaluate_model(Model.open(model), write_story(tmp_path / "d", {"f1": (image, labelled)})).frames[0]
    assert object_tally(record, "hotspot", "confident") == Tally()
    assert set(record.pixels["confident"]) == {"plume"}
    assert object_tally(record, "plume", "confident") == Tally(1, 0, 0)


def test_labels_that_do_not_name_the_limb_do_not_call_it_invented():
    found = Limb(1, 1, 9)
    assert judge_limb(found, label("f", limb=Limb.none(UNSTATED)))[0] == "found"
    assert judge_limb(Limb.none(""), label("f", limb=Limb.none(UNSTATED)))[0] == "none"


def test_frames_that_the_model_was_trained_on_are_refused(model, story):
    opened = Model.open(model)
    digest = sha256_of(story / "frames" / "f3.fits")
    opened.card = CARD.model_copy(update={"training": {"seen_files": [digest[:16]]}})
    with pytest.raises(InputError, match=r"sign@1 was trained on 1 of these frames: f3"):
        evaluate_model(opened, story)
    opened.card = CARD.model_copy(update={"training": {"seen_files": ["0" * 16]}})
    assert len(evaluate_model(opened, story).frames) == 5


@pytest.mark.parametrize(
    ("radius", "name"),
    [
        (12.0, "disk of 0 to 30 px radius"),
        (30.0, "disk of 30 to 100 px radius"),
        (300.0, "disk of 300 px radius and more"),
        (math.nan, "disk not known"),
    ],
)
def test_sizes_are_named(radius, name):
    assert _range("disk of", radius, SIZES_PX, "px radius") == name


def test_ranges_are_sorted_as_numbers():
    names = [_range("phase", angle, PHASES_DEG, "degrees") for angle in (170, 50, 100, 10)]
    assert [name.split()[1] for name in sorted(names, key=_natural)] == ["0", "45", "90", "135"]


def test_groups_by_size_and_phase_add_up(report):
    for kind, one in report.classes.items():
        for by in ("size", "phase"):
            parts = [group.scores.objects for group in one.groups if (group.by, group.point) == (by, "confident")]
            assert sum(parts, Tally()) == one.points["confident"].objects, kind
