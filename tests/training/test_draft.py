"""The loop by which real labels grow: draft, correct in CVAT or Label Studio, import onto the original frames."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from brightness_model import write_model
from made_frames import write_frame
from PIL import Image

from detector.errors import InputError
from detector.frame import sha256_of
from detector.quicklook import stretched
from detector.readers import read_frame
from detector.regions import mask_of
from detector.session import Model
from serve import cli
from training.labels import check_dataset, read_dataset
from training.labels.draft import Detector, draft
from training.labels.importing import import_labels


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "brightness.onnx")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """A frame with a plume and a hot spot, one of the same name in another folder, and one with nothing."""
    folder = tmp_path_factory.mktemp("archive")
    write_frame(folder / "a.fits", 0)
    write_frame(folder / "again" / "a.fits", 1, plume=False)
    write_frame(folder / "b.fits", 2, plume=False, spot=False)
    return folder


@pytest.fixture
def drafted(archive, model, tmp_path) -> Path:
    done = draft([archive], tmp_path / "draft", model)
    assert (done.pictures, done.regions, done.failed) == (3, {"plume": 1, "hotspot": 2}, ())
    return tmp_path / "draft"


def test_the_draft_is_what_the_detector_finds_on_the_stretched_frames(drafted, archive, model):
    rows = list(csv.DictReader((drafted / "pictures.csv").open()))
    assert [row["frame_id"] for row in rows] == ["a", "a", "b"]
    assert not (drafted / ".drafted").exists()
    document = json.loads((drafted / "labels.coco.json").read_text())
    assert [entry["name"] for entry in document["categories"]] == ["plume", "hotspot", "unknown"]
    assert all(0 < note["score"] <= 1 for note in document["annotations"])
    for row in rows:
        (path,) = [path for path in archive.rglob("*.fits") if sha256_of(path) == row["sha256"]]
        frame = read_frame(path)
        with Image.open(drafted / "images" / row["picture"]) as picture:
            grey, text = np.asarray(picture), json.loads(picture.text["Description"])
        np.testing.assert_allclose(grey / 255, stretched(frame.image, frame.valid), atol=0.6 / 255)
        # the noted stretch gives the values back, where the eye can tell greys apart
        black, white, softening = (float(row[name]) for name in ("black", "white", "softening"))
        assert text["stretch"] == {"function": "asinh", "black": black, "white": white, "softening": softening}
        back = np.sinh(grey / 255 * np.arcsinh(1 / softening)) * softening * (white - black) + black
        middle = (grey > 20) & (grey < 235)
        assert np.abs(back - frame.image)[middle].max() < 0.02 * (white - black)


def test_an_untouched_draft_comes_back_to_the_pixel_on_the_archive_frames(drafted, archive, model, tmp_path):
    one = subset(drafted, tmp_path, archive / "again" / "a.fits", archive / "b.fits")
    import_labels(one, "coco", archive, tmp_path / "out")
    assert check_dataset(tmp_path / "out") == []
    detector = Detector(Model.open(model), "screening")
    for frame, labelled in read_dataset(tmp_path / "out").pairs():
        found = detector(frame)
        wanted = mask_of(found.regions, np.ones(frame.shape, bool))
        np.testing.assert_array_equal(labelled.mask.planes, wanted.planes)
        assert len(labelled.objects) == len(found.regions)
        assert not labelled.limb_known  # what the detector found is no truth about the limb
    copied = tmp_path / "out" / "frames" / "again" / "a.fits"
    assert copied.read_bytes() == (archive / "again" / "a.fits").read_bytes()


def subset(drafted: Path, folder: Path, *paths: Path) -> Path:
    """The draft without the other pictures: two frames of one name cannot stand in one dataset."""
    digests = {sha256_of(path)[:8] for path in paths}
    document = json.loads((drafted / "labels.coco.json").read_text())
    document["images"] = [image for image in document["images"] if image["file_name"].split(".")[-2] in digests]
    kept = {image["id"] for image in document["images"]}
    document["annotations"] = [note for note in document["annotations"] if note["image_id"] in kept]
    path = folder / "subset.json"
    path.write_text(json.dumps(document))
    return path


def as_cvat(document: dict) -> dict:
    """What CVAT gives back: its own fields only, brushed masks as counts."""
    keep = ("id", "width", "height", "file_name")
    kept = ("id", "image_id", "category_id", "segmentation", "area", "bbox")
    return {
        "categories": [entry | {"supercategory": ""} for entry in document["categories"]],
        "images": [{name: image[name] for name in keep} | {"license": 0} for image in document["images"]],
        "annotations": [{name: note[name] for name in kept} | {"iscrowd": 0} for note in document["annotations"]],
    }


def as_label_studio(document: dict) -> dict:
    """What Label Studio gives back: other ids, categories by name, a prefix before every picture's name."""
    order = sorted(document["categories"], key=lambda entry: entry["name"])
    numbers = {entry["id"]: number for number, entry in enumerate(order)}
    given = as_cvat(document)
    return given | {
        "categories": [{"id": number, "name": entry["name"]} for number, entry in enumerate(order)],
        "images": [
            image | {"id": image["id"] - 1, "file_name": f"images/8a7b{image['id']}-{image['file_name']}"}
            for image in given["images"]
        ],
        "annotations": [
            note | {"image_id": note["image_id"] - 1, "category_id": numbers[note["category_id"]]}
            for note in given["annotations"]
        ],
    }


@pytest.mark.parametrize("tool", [as_cvat, as_label_studio])
def test_what_was_corrected_is_what_comes_back(drafted, archive, tmp_path, tool, capfd):
    path = subset(drafted, tmp_path, archive / "a.fits", archive / "b.fits")
    document = tool(json.loads(path.read_text()))
    plume = next(entry["id"] for entry in document["categories"] if entry["name"] == "plume")
    spots = [note for note in document["annotations"] if note["category_id"] != plume]
    assert len(spots) == 1
    document["annotations"].remove(spots[0])  # struck out
    empty = next(image["id"] for image in document["images"] if "b." in image["file_name"])
    document["annotations"].append(  # drawn anew
        {"id": 99, "image_id": empty, "category_id": plume, "segmentation": [[95, 20, 105, 20, 105, 30, 95, 30]]}
    )
    corrected = tmp_path / "corrected.json"
    corrected.write_text(json.dumps(document))
    words = ["labels", "import", corrected, "--format", "coco", "--frames", archive, "--out", tmp_path / "d"]
    assert cli.run([str(word) for word in words]) == 0
    assert "2 frames" in capfd.readouterr().out
    one, other = read_dataset(tmp_path / "d")
    assert [truth.kind for truth in one.objects] == ["plume"]
    (drawn,) = other.objects
    assert (drawn.kind, drawn.x0_px, drawn.y0_px, drawn.area_px) == ("plume", 95, 20, 100)
    assert cli.run(["labels", "check", str(tmp_path / "d")]) == 0


def test_a_draft_goes_on_and_ends_with_the_same_bytes(drafted, archive, model, tmp_path):
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draft([archive], tmp_path / "again", model, progress=stop)
    assert not (tmp_path / "again" / "labels.coco.json").exists()
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "again" / "images").iterdir()}
    assert len(first) == 2
    with pytest.raises(InputError, match="was begun with"):
        draft([archive], tmp_path / "again", model, "confident")
    draft([archive], tmp_path / "again", model)
    assert {path: path.stat().st_mtime_ns for path in first} == first  # not drawn again
    for name in ("labels.coco.json", "pictures.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (drafted / name).read_bytes()


def test_a_finished_draft_is_never_written_over(drafted, archive, model):
    with pytest.raises(InputError, match="holds a finished draft"):
        draft([archive], drafted, model)


def test_a_broken_frame_is_named_and_the_rest_drafted(archive, model, tmp_path, capfd):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.fits").write_bytes((archive / "a.fits").read_bytes())
    (tmp_path / "in" / "broken.fits").write_bytes(b"SIMPLE  = broken")
    words = ["labels", "draft", str(tmp_path / "in"), "--out", str(tmp_path / "draft"), "--model", str(model)]
    assert cli.run(words) == 3
    captured = capfd.readouterr()
    assert "broken.fits" in captured.err
    assert "1 pictures" in captured.out


def test_fewer_points_cost_little(archive, model, tmp_path):
    counts, areas = [], []
    for simplify in (0.0, 0.7):
        folder = tmp_path / str(simplify)
        draft([archive / "a.fits"], folder, model, simplify_px=simplify)
        import_labels(folder / "labels.coco.json", "coco", archive / "a.fits", folder / "out")
        notes = json.loads((folder / "labels.coco.json").read_text())["annotations"]
        counts.append(sum(len(polygon) for note in notes for polygon in note["segmentation"]))
        areas.append(next(iter(read_dataset(folder / "out"))).mask.planes)
    assert counts[1] < 0.7 * counts[0]
    assert (areas[0] & areas[1]).sum() > 0.9 * (areas[0] | areas[1]).sum()
