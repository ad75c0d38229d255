"""Broken label files: one clear message each, with the file's name and the value that is wrong; nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import label_files
import numpy as np
import pytest
from label_files import ROWS, SHAPE, save
from PIL import Image

from detector.errors import InputError
from training.labels import index_mask
from training.labels.importing import Options, import_labels
from training.labels.picture_labels import read_aliases

Spoil = Callable[[Any], Any]


def refused(folder: Path, source: Path, kind: str, options: Options | None = None) -> str:
    """The message with which an import is refused; nothing is there afterwards."""
    label_files.write_frame(folder / "frames" / "f1.fits")
    with pytest.raises(InputError) as caught:
        import_labels(source, kind, folder / "frames", folder / "out", options or Options())
    assert not (folder / "out").exists()
    return str(caught.value)


def said(message: str, source: Path, words: list[str]) -> None:
    assert source.name in message
    for word in words:
        assert word in message
    assert "Error" not in message.replace("EncodingError", "")  # no library's own words alone
    assert len(message) < 600


def set_(*path: object, to: object) -> Spoil:
    """Put a value at a place of a document."""

    def spoil(document: Any) -> Any:
        *parents, last = path
        for step in parents:
            document = document[step]
        document[last] = to

    return spoil


def drop(*path: object) -> Spoil:
    def spoil(document: Any) -> Any:
        *parents, last = path
        for step in parents:
            document = document[step]
        del document[last]

    return spoil


def again(key: str, **changes: object) -> Spoil:
    """Append the first entry of a list once more, changed."""
    return lambda document: document[key].append(document[key][0] | changes)


OUTLINE = ("annotations", 0, "segmentation")
COCO: dict[str, tuple[Spoil, list[str]]] = {
    "no annotations": (drop("annotations"), ["lacks 'annotations'"]),
    "no pictures": (set_("images", to=[]), ["lists no picture"]),
    "no height": (drop("images", 0, "height"), ["lacks 'images[0].height'"]),
    "height of nothing": (set_("images", 0, "height", to=0), ["images[0].height is 0", "greater than 0"]),
    "width in words": (set_("images", 0, "width", to="wide"), ["images[0].width is 'wide'"]),
    "more pixels than any frame": (set_("images", 0, "width", to=10**9), ["24 x 1000000000"]),
    "picture id twice": (again("images"), ["images: id 1 appears 2 times"]),
    "picture twice": (again("images", id=2), ["'f1.png'", "frame f1", "keep one of the two"]),
    "category id twice": (again("categories", name="dust"), ["categories: id 1 appears 2 times"]),
    "annotation of no picture": (set_("annotations", 0, "image_id", to=7), ["annotation 1", "image 7"]),
    "category not listed": (set_("annotations", 0, "category_id", to=9), ["category 9", "1: 'Plume'"]),
    "unknown category": (set_("categories", 0, "name", to="volcano"), ["'volcano'", "plume, hotspot, unknown"]),
    "two points": (set_(*OUTLINE, to=[[2, 3, 6, 3]]), ["annotation 1", "f1.png", "2 points"]),
    "half a point": (set_(*OUTLINE, to=[[2, 3, 6, 3, 6, 7, 2]]), ["annotation 1", "7 numbers"]),
    "a point that is no number": (set_(*OUTLINE, to=[[2, 3, float("nan"), 3, 6, 7]]), ["(nan, 3)"]),
    "an infinite point": (set_(*OUTLINE, to=[[2, 3, 1e400, 3, 6, 7]]), ["(inf, 3)"]),
    "off the frame": (set_(*OUTLINE, to=[[2, 3, 61, 3, 61, 7]]), ["(61, 3)", "32 x 24"]),
    "in words": (set_(*OUTLINE, to=[["2", "3", "6", "3", "6", "7"]]), ["annotation 1", "'2'"]),
    "nothing inside": (set_(*OUTLINE, to=[[2, 3, 6, 3, 2, 3]]), ["annotation 1", "covers no pixel"]),
    "a box alone": (set_(*OUTLINE, to=[]), ["annotation 1", "a box alone is not a mask"]),
    "run lengths of another size": (
        set_("annotations", 1, "segmentation", "size", to=[32, 24]), ["annotation 2", "[32, 24]", "[24, 32]"],
    ),
    "run lengths too short": (
        set_("annotations", 1, "segmentation", "counts", to=[5, 2]), ["annotation 2", "add up to 7", "24 x 32 = 768"],
    ),
    "run lengths that are damaged": (set_(*OUTLINE, to={"size": list(SHAPE), "counts": "ab~"}), ["letter '~'"]),
    "run lengths of fractions": (
        set_(*OUTLINE, to={"size": list(SHAPE), "counts": [1.5, 766.5]}), ["[1.5, 766.5]", "whole numbers"],
    ),
    "no such frame": (set_("images", 0, "file_name", to="g9.png"), ["'g9.png'", "f1.fits"]),
    "another size than the frame": (
        lambda d: (d["images"][0].update(width=64, height=48), d["annotations"].clear()), ["64 x 48", "32 x 24"],
    ),
    "drawn from another file": (set_("images", 0, "file_name", to="f1.0123abcd.png"), ["0123abcd", "sha256"]),
    "a limb of two numbers": (set_("images", 0, "io", to={"limb": [1, 2]}), ["limb [1, 2]", "radius"]),
    "a limb without size": (set_("images", 0, "io", to={"limb": [1, 2, 0]}), ["limb [1, 2, 0]", "above 0"]),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), COCO.values(), ids=COCO)
def test_coco(tmp_path, spoil, words):
    document = label_files.cvat()
    spoil(document)
    source = tmp_path / "export.json"
    text = json.dumps(document).replace("Infinity", "1e400")
    source.write_text(text)
    said(refused(tmp_path, source, "coco"), source, words)


SHAPE_0 = ("shapes", 0)
MASK = ("shapes", 1)
LABELME: dict[str, tuple[Spoil, list[str]]] = {
    "no shapes": (drop("shapes"), ["lacks 'shapes'"]),
    "no size": (drop("imageWidth"), ["lacks 'imageWidth'"]),
    "shape of another kind": (set_(*SHAPE_0, "shape_type", to="line"), ["shape 0", "'line'", "polygon, rectangle"]),
    "unknown label": (set_(*SHAPE_0, "label", to="cloud"), ["shape 0", "'cloud'"]),
    "circle of one point": (
        lambda d: d["shapes"][0].update(shape_type="circle", points=[[5, 5]]), ["shape 0", "1 points", "a centre"],
    ),
    "circle round nothing": (
        lambda d: d["shapes"][0].update(shape_type="circle", points=[[5, 5], [5, 5]]), ["shape 0", "covers no pixel"],
    ),
    "point of three numbers": (set_(*SHAPE_0, "points", to=[[1, 2, 3]]), ["shapes[0].points[0]", "[1, 2, 3]"]),
    "point that is no number": (
        set_(*SHAPE_0, "points", to=[[1, 2], [float("nan"), 2], [3, 3]]), ["shape 0", "(nan, 2)"],
    ),
    "off the frame": (set_(*SHAPE_0, "points", to=[[2, 3], [6, 3], [6, 99]]), ["shape 0", "(6, 99)", "32 x 24"]),
    "mask without pixels": (set_(*MASK, "mask", to=None), ["shape 1", "None", "base64"]),
    "mask that is no picture": (set_(*MASK, "mask", to="bm8="), ["shape 1", "'bm8='"]),
    "mask smaller than its box": (
        set_(*MASK, "mask", to=label_files.png_in_base64(np.ones((2, 2), bool))), ["shape 1", "(2, 2)", "(20, 10)"],
    ),
    "another size than the frame": (
        lambda d: d.update(imageWidth=33, imageHeight=ROWS), ["33 x 24", "32 x 24"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), LABELME.values(), ids=LABELME)
def test_labelme(tmp_path, spoil, words):
    document = label_files.labelme()
    spoil(document)
    source = save(tmp_path / "f1.json", document)
    said(refused(tmp_path, source, "labelme"), source, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["is not JSON"]),
        (b'{"images": [', ["is not JSON", "char 12"]),
        (b"[1, 2]", ["holds a list", "[1, 2]"]),
        (b"\xff\xfe{\x00", ["is not UTF-8"]),
        (b'{"images": ' + b"[" * 100_000, ["is not JSON"]),
    ],
)
@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_what_is_no_document(tmp_path, kind, text, words):
    source = tmp_path / "export.json"
    source.write_bytes(text)
    said(refused(tmp_path, source, kind), source, words)


YAML = {
    "no yaml": ("points: [", ["is not YAML"]),
    "a list": ("- 1\n- 2", ["holds a list"]),
    "no points": ("plumes: {intervals: []}", ["lacks 'points'"]),
    "two points": ("points: [[1, 2], [3, 4]]", ["points is [[1, 2], [3, 4]]", "at least 3"]),
    "a point in words": ("points: [[1, 2], [3, 4], [left, 5]]", ["points[2][0] is 'left'"]),
    "a point that is no number": ("points: [[1, 2], [3, 4], [.nan, 5]]", ["(nan, 5)"]),
    "points on a line": ("points: [[1, 2], [2, 4], [3, 6], [9, 18]]", ["4 points lie on a line"]),
    "points in one place": ("points: [[1, 2], [1, 2], [1, 2]]", ["one place"]),
    "points on two limbs": (
        "points: [[10, 0], [0, 10], [-10, 0], [0, -10], [0, 3]]", ["(0, 3)", "off the circle"],
    ),
    "a limb off the frame": (
        "points: [[910, 900], [900, 910], [890, 900], [900, 890]]", ["radius 10.0", "(900.0, 900.0)", "32 x 24"],
    ),
    "one angle": (label_files.limb_yaml(intervals="[[0.1]]"), ["plumes.intervals[0]"]),
    "an angle in degrees": (label_files.limb_yaml(intervals="[[10.0, 25.0]]"), ["[10, 25]", "radians"]),
    "no width": (label_files.limb_yaml(intervals="[[0.3, 0.3]]"), ["[0.3, 0.3]", "more than 0"]),
    "the wrong way round": (label_files.limb_yaml(intervals="[[0.3, 0.1]]"), ["[0.3, 0.1]", "clockwise"]),
    "an angle that is no number": (label_files.limb_yaml(intervals="[[.nan, 0.1]]"), ["[nan, 0.1]"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), YAML.values(), ids=YAML)
def test_limb_plume_yaml(tmp_path, text, words):
    source = tmp_path / "f1_label.yml"
    source.write_text(text)
    said(refused(tmp_path, source, "limb-plume-yaml"), source, words)


def a_mask(**changes: object) -> Image.Image:
    index = label_files.index()
    index[0, :3] = changes.get("value", 0)
    shape = changes.get("shape", SHAPE)
    return Image.fromarray(np.resize(index, shape).astype(changes.get("dtype", np.uint8)))


MASKS = {
    "a value too many": (lambda path: a_mask(value=7).save(path), ["the value 7 (3 pixels)", "0, 1, 2, 3, 255"]),
    "colours": (lambda path: a_mask().convert("RGB").save(path), ["3 bands of uint8", "one band"]),
    "another size": (lambda path: a_mask(shape=(20, 32)).save(path), ["32 x 20", "32 x 24"]),
    "another kind of file": (lambda path: path.write_bytes(b"GIF89a" + b"\0" * 90), ["GIF89a", "PNG or TIFF"]),
    "nothing": (lambda path: path.write_bytes(b""), ["b''"]),
    "half a file": (
        lambda path: (a_mask().save(path), path.write_bytes(path.read_bytes()[:-20])), ["cut short", "check sum"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), MASKS.values(), ids=MASKS)
def test_indexed_masks(tmp_path, make, words):
    source = tmp_path / "f1.png"
    make(source)
    said(refused(tmp_path, source, "png"), source, words)


def test_a_mask_of_reals(tmp_path):
    source = tmp_path / "f1.tif"
    Image.fromarray(label_files.index().astype(np.float32)).save(source)
    said(refused(tmp_path, source, "png"), source, ["float32", "whole numbers"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("value,class\nfirst,plume\n", ["line 2", "'first'"]),
        ("value,class\n1,plume\n1,hotspot\n", ["line 3", "'1'", "each once"]),
        ("value,class\n1,plume+cloud\n", ["line 2", "'cloud'"]),
        ("value,class\n", ["names no value"]),
        ("value,class\n1,plume,3\n", ["line 2", "more cells", "'3'"]),
    ],
)
def test_tables_of_values(tmp_path, text, words):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        index_mask.read_table(tmp_path / "table.csv")
    said(str(caught.value), tmp_path / "table.csv", words)


@pytest.mark.parametrize("word", ["eruption", "eruption=fire", "=plume"])
def test_aliases(word):
    with pytest.raises(InputError, match=word):
        read_aliases([word])


def test_several_flaws_are_told_at_once(tmp_path):
    document = label_files.cvat()
    document["annotations"][0]["segmentation"] = [[2, 3, 6, 3]]
    document["categories"][1]["name"] = "cloud"
    document["images"].append({"id": 2, "file_name": "g9.png", "width": 3, "height": 3})
    source = save(tmp_path / "export.json", document)
    message = refused(tmp_path, source, "coco")
    assert "2 problems, nothing was imported" in message
    assert "'cloud'" in message
    assert "2 points" in message


def test_damaged_zip_and_empty_folders(tmp_path):
    (tmp_path / "export.zip").write_bytes(b"PK\3\4 no")
    assert "cannot be unpacked" in refused(tmp_path, tmp_path / "export.zip", "coco")
    (tmp_path / "empty").mkdir()
    assert "holds no file of .yml, .yaml" in refused(tmp_path, tmp_path / "empty", "limb-plume-yaml")
    assert "is missing" in refused(tmp_path, tmp_path / "nowhere.json", "coco")
    assert "'voc'" in refused(tmp_path, tmp_path / "empty", "voc")
    source = save(tmp_path / "export.json", label_files.cvat())
    with pytest.raises(InputError, match="holds no frame that can be read"):
        import_labels(source, "coco", tmp_path / "empty", tmp_path / "out")
