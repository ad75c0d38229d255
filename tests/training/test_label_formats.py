"""Every format: files written by hand to its specification come in to the pixel, and go out and come back so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import label_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_files import PLUME, SHAPE, SPOT, area, save
from PIL import Image
from pycocotools.coco import COCO
from scipy.optimize import minimize

from detector.frame import CLASSES
from detector.limb import Limb
from detector.mask import Mask
from training.labels import (
    DatasetWriter,
    LabelledFrame,
    LimbInterval,
    Truth,
    coco,
    index_mask,
    labelme,
    limb_plume,
    read_dataset,
)
from training.labels.exporting import export_labels
from training.labels.importing import import_labels
from training.labels.picture_labels import PictureLabels, kind_of


def planes_are(labels: PictureLabels, plume: np.ndarray, spot: np.ndarray) -> None:
    np.testing.assert_array_equal(labels.planes(SHAPE), np.stack([plume, spot]))


# -- COCO -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [label_files.cvat(), label_files.label_studio()], ids=["cvat", "label_studio"])
def test_coco_of_both_tools_gives_the_pixels_that_were_drawn(tmp_path, document):
    (labels,) = coco.read(save(tmp_path / "export.json", document))
    planes_are(labels, PLUME, SPOT)
    assert [truth.kind for truth in labels.objects("x")] == ["plume", "hotspot"]
    assert [truth.object_id for truth in labels.objects("x")] == ["plume-1", "hotspot-1"]
    assert labels.shape == SHAPE


def test_coco_masks_are_those_of_pycocotools(tmp_path, capsys):
    document = label_files.label_studio()
    outline = [4.3, 2.2, 28.9, 5.5, 21.7, 20.1, 9.9, 13.3]
    document["annotations"][0]["segmentation"] = [outline, [1.0, 20.0, 5.5, 20.0, 5.0, 23.5]]
    path = save(tmp_path / "export.json", document)
    theirs = COCO(str(path))
    capsys.readouterr()
    plume, spot = (theirs.annToMask(theirs.anns[n]).astype(bool) for n in (0, 1))
    planes_are(coco.read(path)[0], plume, spot)


def test_run_lengths_come_compressed_too(tmp_path):
    document = label_files.cvat()
    document["annotations"][0]["segmentation"] = coco.encode(PLUME)
    planes_are(coco.read(save(tmp_path / "a.json", document))[0], PLUME, SPOT)


def test_a_class_without_category_was_not_looked_for(tmp_path):
    document = label_files.cvat()
    document["categories"], document["annotations"] = document["categories"][:1], document["annotations"][:1]
    assert coco.read(save(tmp_path / "a.json", document))[0].looked_for == ("plume",)
    document["categories"].append({"id": 9, "name": "dust on the lens"})  # not used: may be called anything
    assert coco.read(save(tmp_path / "a.json", document))[0].looked_for == ("plume",)


def test_pixels_that_nobody_could_tell_are_a_category(tmp_path):
    document = label_files.cvat()
    document["categories"][0]["name"] = "UNKNOWN"
    labels = coco.read(save(tmp_path / "a.json", document))[0]
    np.testing.assert_array_equal(labels.unknown(SHAPE), PLUME)
    planes_are(labels, np.zeros(SHAPE, bool), SPOT)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("plume", "plume"), ("Plumes", "plume"), ("HOT SPOT", "hotspot"), ("hot-spots", "hotspot"),
        ("Hot_Spot", "hotspot"), ("unknown", "unknown"), ("Eruption", "plume"),
    ],
)  # fmt: skip
def test_names_in_any_writing(name, kind):
    assert kind_of(name, {"eruption": "plume"}) == kind


# -- LabelMe ----------------------------------------------------------------------------------------------------------


def test_labelme_gives_the_pixels_that_were_drawn(tmp_path):
    (labels,) = labelme.read(save(tmp_path / "f1.json", label_files.labelme()))
    planes_are(labels, PLUME, SPOT)
    assert (labels.picture, labels.shape) == ("..\\frames\\f1.png", SHAPE)


def shaped(folder: Path, kind: str, points: list, label: str = "plume", **more: object) -> np.ndarray:
    document = label_files.labelme()
    document["shapes"] = [{"label": label, "points": points, "shape_type": kind, **more}]
    return labelme.read(save(folder / "f1.json", document))[0].planes(SHAPE)[0]


def test_labelme_rectangles_and_circles_hold_the_pixels_whose_centre_is_inside(tmp_path):
    for corners in ([[2, 3], [6, 7]], [[6, 7], [2, 3]], [[2.4, 3.4], [5.6, 6.6]]):
        np.testing.assert_array_equal(shaped(tmp_path, "rectangle", corners), PLUME)
    four = [[2, 3], [6, 3], [6, 7], [2, 7]]
    np.testing.assert_array_equal(shaped(tmp_path, "rectangle", four), PLUME)
    circle = shaped(tmp_path, "circle", [[10.5, 10.5], [13.6, 10.5]])
    assert circle.sum() == 29  # Gauss's circle problem: whole points within 3.1 of the origin
    assert circle[10].nonzero()[0].tolist() == list(range(7, 14))
    assert circle[7:14, 10].all()
    assert not circle[7, 9]


def test_labelme_shapes_of_one_group_are_one_object(tmp_path):
    document = label_files.labelme()
    document["shapes"] *= 2
    for number, shape in enumerate(document["shapes"]):
        document["shapes"][number] = shape | {"group_id": 7 if shape["label"] == "plume" else None}
    document["shapes"][2]["points"] = [[10, 3], [12, 3], [12, 5], [10, 5]]
    objects = labelme.read(save(tmp_path / "f1.json", document))[0].objects("x")
    assert [one.kind for one in objects] == ["plume", "hotspot", "hotspot"]
    np.testing.assert_array_equal(objects[0].mask(SHAPE), PLUME | area(slice(3, 5), slice(10, 12)))


# -- indexed masks ----------------------------------------------------------------------------------------------------


def as_palette(index: np.ndarray, bits: int) -> Image.Image:
    picture = Image.fromarray(index).convert("P")
    picture.putdata(index.ravel().tolist())
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9] + [0] * (3 * (2**bits - 4)))
    return picture


@pytest.mark.parametrize("name", ["f1_mask.png", "f1.png", "f1-labels.tif", "f1_16bit_mask.tiff", "f1_2bit_mask.png"])
def test_an_index_is_read_whatever_holds_it(tmp_path, name):
    index = label_files.index()
    index[20, 5:8] = 3
    if "16bit" in name:
        Image.fromarray(index.astype(np.uint16)).save(tmp_path / name)
    elif "2bit" in name:
        as_palette(index, 2).save(tmp_path / name, bits=2)
    elif name.endswith("png") and "mask" in name:
        as_palette(index, 8).save(tmp_path / name)
    else:
        Image.fromarray(index).save(tmp_path / name)
    (labels,) = index_mask.read(tmp_path / name)
    both = area(slice(20, 21), slice(5, 8))
    planes_are(labels, PLUME | both, SPOT | both)
    assert labels.picture == name.split(".")[0].removesuffix("_mask").removesuffix("-labels")


def test_pixels_that_touch_are_one_object(tmp_path):
    index = np.zeros(SHAPE, np.uint8)
    index[2, 2] = index[3, 3] = index[10, 10] = 1  # two touch by a corner
    index[2, 3] = 2
    Image.fromarray(index).save(tmp_path / "f1.png")
    objects = index_mask.read(tmp_path / "f1.png")[0].objects("x")
    assert [(one.object_id, one.area_px) for one in objects] == [("plume-1", 2), ("plume-2", 1), ("hotspot-1", 1)]


def test_a_table_says_what_the_values_are(tmp_path):
    (tmp_path / "t.csv").write_text("value,class\n0,background\n10,Plume\n20,hot spot\n30,plume+hotspot\n99,unknown\n")
    index = np.choose(label_files.index(), [0, 10, 20, 30]).astype(np.uint8)
    index[0, 0] = 99
    Image.fromarray(index).save(tmp_path / "f1.png")
    (labels,) = index_mask.read(tmp_path / "f1.png", index_mask.read_table(tmp_path / "t.csv"))
    planes_are(labels, PLUME, SPOT)
    assert np.argwhere(labels.unknown(SHAPE)).tolist() == [[0, 0]]


# -- limb and plumes --------------------------------------------------------------------------------------------------


def test_limb_points_give_the_circle_and_intervals_their_angles(tmp_path):
    (tmp_path / "f1_label.yml").write_text(label_files.limb_yaml())
    (labels,) = limb_plume.read(tmp_path / "f1_label.yml")
    assert (labels.limb.x_px, labels.limb.y_px, labels.limb.radius_px) == pytest.approx(label_files.LIMB, abs=1e-4)
    (interval,) = labels.intervals
    assert (interval.start_rad, interval.stop_rad) == (6.1, 0.2)
    assert interval.width_rad == pytest.approx(0.2 + 2 * math.pi - 6.1)
    assert labels.by_limb
    assert labels.looked_for == ("plume",)
    assert labels.picture == "f1"


def test_the_published_example_gives_its_circle_and_both_intervals(shared):
    """The circle against another minimiser of the same sum; the angles as written in the file."""
    path = shared / "data" / "labels" / "0085r_label.yml"
    (labels,) = limb_plume.read(path)
    points = np.array(limb_plume.read_yaml(path)["points"])

    def squares(circle: np.ndarray) -> float:
        return float(((np.hypot(*(points - circle[:2]).T) - circle[2]) ** 2).sum())

    settled = {"xatol": 1e-6, "maxiter": 9999}
    best = minimize(squares, [*points.mean(axis=0), 200.0], method="Nelder-Mead", options=settled)
    found = (labels.limb.x_px, labels.limb.y_px, labels.limb.radius_px)
    assert found == pytest.approx(best.x, abs=0.01)
    assert found == pytest.approx((284.8, 213.7, 195.1), abs=0.1)
    assert labels.limb.sigma_px < 0.3
    angles = [(one.start_rad, one.stop_rad) for one in labels.intervals]
    assert angles == [pytest.approx((2.854, 3.021), abs=0.001), pytest.approx((3.219, 3.352), abs=0.001)]


def test_a_plume_stands_over_the_stretch_that_its_sector_came_from():
    limb = Limb(50.0, 50.0, 30.0, source="label")
    for start, stop in ((1.0, 1.4), (6.0, 0.3), (3.0, 3.1)):
        interval = LimbInterval("plume", start, stop)
        angles = np.indices((101, 101))
        inside = interval.holds(np.arctan2(angles[1] - 50.0, 50.0 - angles[0]))
        ring = np.abs(np.hypot(angles[1] - 50.0, angles[0] - 50.0) - 33) < 3
        back = limb_plume.stretch(Truth.cut("p", "plume", inside & ring), limb)
        assert (back.start_rad - start + math.pi) % (2 * math.pi) - math.pi == pytest.approx(0, abs=0.05)
        assert back.width_rad == pytest.approx(interval.width_rad, abs=0.1)


def test_a_plume_before_the_disk_has_no_stretch_of_limb():
    limb, (rows, columns) = Limb(50.0, 50.0, 30.0, source="label"), np.indices((101, 101))
    for x, reaches in ((50.0, False), (78.0, True)):
        plane = np.hypot(columns - x, rows - 50) < 5
        assert limb_plume.at_limb(Truth.cut("p", "plume", plane), limb) is reaches


# -- there and back ---------------------------------------------------------------------------------------------------


def dataset(folder: Path, plume: np.ndarray, spot: np.ndarray, known: np.ndarray) -> Path:
    """One frame: a plume, a hot spot, a stray plume pixel that no object owns, a limb and a stretch of it."""
    label_files.write_frame(folder / "frames" / "f1.fits")
    planes = np.stack([plume, spot])
    stray = np.zeros(SHAPE, bool)
    stray[23, 31] = not plume.any()
    planes[0] |= stray
    truths = [Truth.cut(f"{kind[0]}1", kind, plane, name="Pele") for kind, plane in zip(CLASSES, planes, strict=True)]
    objects = tuple(truth for truth, mine in zip(truths, (plume, spot), strict=True) if mine.any())
    mask, limb = Mask(planes, known | planes.any(axis=0)), Limb(*label_files.LIMB, source="label")
    stretches = (LimbInterval("plume", 6.1, 0.2),)
    labelled = LabelledFrame("f1", "", mask, limb, objects, "f1", "test", limb_intervals=stretches)
    with DatasetWriter(folder) as writer:
        writer.add("f1.fits", labelled)
    return folder


PLANES = hnp.arrays(bool, SHAPE, elements=st.booleans(), fill=st.just(False))


@pytest.mark.parametrize("kind", ["coco", "coco polygons", "labelme", "png"])
@given(plume=PLANES, spot=PLANES, unknown=PLANES)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_masks_come_back_to_the_pixel(tmp_path_factory, kind, plume, spot, unknown):
    folder = tmp_path_factory.mktemp("trip")
    first = dataset(folder / "first", plume, spot, ~unknown)
    word, _, polygons = kind.partition(" ")
    export_labels(first, word, folder / "out", polygons=bool(polygons))
    import_labels(folder / "out", word, first / "frames", folder / "second")
    (mine,), (theirs,) = (list(read_dataset(path)) for path in (first, folder / "second"))
    np.testing.assert_array_equal(theirs.mask.planes, mine.mask.planes)
    np.testing.assert_array_equal(theirs.mask.known, mine.mask.known)
    assert theirs.looked_for == CLASSES
    if word == "coco":
        assert [one.object_id for one in theirs.objects] == [one.object_id for one in mine.objects]
        assert theirs.limb.as_array().tolist() == mine.limb.as_array().tolist()
        assert theirs.limb_intervals == mine.limb_intervals


def test_limb_and_intervals_come_back(tmp_path):
    first = dataset(tmp_path / "first", np.zeros(SHAPE, bool), SPOT, np.ones(SHAPE, bool))
    done = export_labels(first, "limb-plume-yaml", tmp_path / "out")
    assert done.lost == ("heights, powers and the like of 1 objects", "1 hot spots")
    import_labels(tmp_path / "out", "limb-plume-yaml", first / "frames", tmp_path / "second")
    (labelled,) = read_dataset(tmp_path / "second")
    assert labelled.limb.as_array() == pytest.approx(label_files.LIMB, abs=1e-4)
    assert labelled.limb_intervals == (LimbInterval("plume", 6.1, 0.2),)
    assert labelled.by_limb
    assert not labelled.mask.planes.any()
    assert labelled.mask.known[10, 15]  # the limb's foot
    assert not labelled.mask.known[23].any()  # the disk


def test_the_exported_files_are_what_other_tools_read(tmp_path, capsys):
    first = dataset(tmp_path / "first", PLUME, SPOT, np.ones(SHAPE, bool))
    export_labels(first, "coco", tmp_path / "coco", pictures=True)
    theirs = COCO(str(tmp_path / "coco" / "labels.coco.json"))
    capsys.readouterr()
    found = {theirs.cats[note["category_id"]]["name"]: theirs.annToMask(note) for note in theirs.anns.values()}
    np.testing.assert_array_equal(found["plume"], PLUME)
    with Image.open(tmp_path / "coco" / "images" / "f1.png") as picture:
        assert picture.size == SHAPE[::-1]
        assert json.loads(picture.text["Description"])["stretch"]["function"] == "asinh"
    export_labels(first, "png", tmp_path / "png")
    with Image.open(tmp_path / "png" / "f1.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), label_files.index())
    assert [path.name for path in (tmp_path / "png").iterdir()] == ["f1.png"]  # nothing beside it
