"""Labels meet their frames whatever a tool did to the names; a dataset grows; what is wrong with it is found."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import label_files
import numpy as np
import pytest
from label_files import PLUME, SHAPE, SPOT, save, write_frame
from PIL import Image

from detector.errors import InputError
from detector.frame import sha256_of
from serve import cli
from training.labels import check_dataset, read_dataset
from training.labels.frame_finder import FrameFinder, picture_name
from training.labels.importing import Options, import_labels
from training.labels.picture_labels import PictureLabels

STAMP = "00112233"


def finds(finder: FrameFinder, picture: str, shape: tuple[int, int] | None = None) -> str:
    return finder(PictureLabels(Path("labels.json"), picture, shape)).file


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Frames of two orbits, two of them of one name, and a colour picture."""
    folder = tmp_path / "archive"
    for seed, name in enumerate(("e6/0085r.fits", "e6/7.two.fits", "g8/0085r.fits", "g8/8a7b-odd.fits")):
        write_frame(folder / name, seed)
    colours = np.random.default_rng(9).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    Image.fromarray(colours).save(folder / "colour.png")
    return folder


@pytest.mark.parametrize(
    ("picture", "file"),
    [
        ("7.two", "e6/7.two.fits"),
        ("7.two.png", "e6/7.two.fits"),
        ("7.TWO.FITS", "e6/7.two.fits"),
        ("8a7b12cd-7.two.png", "e6/7.two.fits"),
        ("images/8a7b-7.two.jpg", "e6/7.two.fits"),
        ("images\\3\\8a7b12cd-7.two.png", "e6/7.two.fits"),
        ("/data/upload/3/8a7b12cd-7.two.png", "e6/7.two.fits"),
        ("/data/local-files/?d=io/7.two.png", "e6/7.two.fits"),
        ("https://somewhere/7.two.png?token=a/b.png", "e6/7.two.fits"),
        ("8a7b-odd.png", "g8/8a7b-odd.fits"),  # a prefix that is none
        ("99ff-8a7b-odd.png", "g8/8a7b-odd.fits"),
        ("e6/0085r.png", "e6/0085r.fits"),
        ("G8\\0085R.IMG", "g8/0085r.fits"),
        ("colour.jpg", "colour.png"),
        ("colour_RED.png", "colour.png"),
    ],
)
def test_a_picture_is_found_whatever_a_tool_did_to_its_name(archive, picture, file):
    assert finds(FrameFinder(archive), picture) == file


def test_a_stamp_says_which_file_it_is(archive):
    finder = FrameFinder(archive)
    digest = sha256_of(archive / "g8" / "0085r.fits")
    assert finds(finder, f"0085r.{digest[:8]}.png") == "g8/0085r.fits"
    assert finds(finder, f"8a7b12cd-0085r.{digest[:8]}.png") == "g8/0085r.fits"
    with pytest.raises(InputError, match=f"sha256 begins with {STAMP}"):
        finds(finder, f"0085r.{STAMP}.png")


def test_what_fits_two_frames_is_refused(archive):
    with pytest.raises(InputError, match=r"fits 2 frames: 0085r of e6/0085r.fits, 0085r of g8/0085r.fits"):
        finds(FrameFinder(archive), "0085r.png")
    shutil.copy(archive / "e6" / "0085r.fits", archive / "g8" / "0085r.fits")
    assert finds(FrameFinder(archive), "0085r.png") == "e6/0085r.fits"  # the same file twice is no question


def test_only_what_is_asked_for_is_read(archive):
    (archive / "e6" / "0085r.fits").write_bytes(b"SIMPLE  = broken")
    assert finds(FrameFinder(archive), "7.two.png") == "e6/7.two.fits"


# -- the dataset ------------------------------------------------------------------------------------------------------


def imported(folder: Path, document: dict, *, kind: str = "coco", **options: bool) -> Path:
    write_frame(folder / "archive" / "f1.fits")
    source = save(folder / "export.json", document)
    import_labels(source, kind, folder / "archive", folder / "out", Options(**options))
    return folder / "out"


@pytest.mark.parametrize("document", [label_files.cvat(), label_files.label_studio()], ids=["cvat", "label_studio"])
def test_an_import_is_a_sound_dataset_of_the_frames_as_they_are(tmp_path, document):
    out = imported(tmp_path, document)
    assert check_dataset(out) == []
    assert (out / "frames" / "f1.fits").read_bytes() == (tmp_path / "archive" / "f1.fits").read_bytes()
    (labelled,) = read_dataset(out)
    np.testing.assert_array_equal(labelled.mask.planes, [PLUME, SPOT])
    assert labelled.mask.known.all()
    assert [(truth.object_id, truth.kind, truth.family) for truth in labelled.objects] == [
        ("plume-1", "plume", "label coco"),
        ("hotspot-1", "hotspot", "label coco"),
    ]
    assert not labelled.limb_known
    assert not labelled.empty
    made = json.loads((out / "dataset.lock").read_text())["made"]
    assert made["imports"] == [{"format": "coco", "frames": 1, "source": "export.json"}]


def test_a_listed_picture_without_a_shape_is_an_empty_frame(tmp_path):
    document = label_files.cvat() | {"annotations": []}
    (labelled,) = read_dataset(imported(tmp_path, document))
    assert labelled.empty
    document["categories"] = document["categories"][:1]  # nobody looked for hot spots: whether it is empty is not known
    (labelled,) = read_dataset(imported(tmp_path / "again", document))
    assert not labelled.empty


def test_zip_files_come_in_as_exported(tmp_path):
    write_frame(tmp_path / "archive" / "f1.fits")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("annotations/instances_default.json", json.dumps(label_files.cvat()))
        archive.writestr("images/default/f1.png", b"")
    import_labels(tmp_path / "export.zip", "coco", tmp_path / "archive", tmp_path / "out")
    assert len(read_dataset(tmp_path / "out")) == 1


def test_the_same_labels_give_the_same_bytes(tmp_path):
    one, other = (imported(tmp_path / name, label_files.cvat()) for name in "ab")
    for name in ("labels.coco.json", "truth.csv", "splits.csv", "dataset.lock"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_dataset_grows_and_old_labels_are_replaced_only_on_demand(tmp_path):
    out = imported(tmp_path, label_files.cvat())
    before = (out / "labels.coco.json").read_bytes()
    write_frame(tmp_path / "archive" / "f2.fits", 2)
    more = json.loads(json.dumps(label_files.cvat()).replace("f1.png", "f2.png"))
    import_labels(save(tmp_path / "more.json", more), "coco", tmp_path / "archive", out)
    assert [one.frame_id for one in read_dataset(out)] == ["f1", "f2"]
    assert check_dataset(out) == []
    with pytest.raises(InputError, match=r"f1 has labels in .* already"):
        imported(tmp_path, label_files.cvat())
    imported(tmp_path, label_files.cvat() | {"annotations": []}, replace=True)
    assert [bool(one.objects) for one in read_dataset(out)] == [False, True]
    assert check_dataset(out) == []
    assert before != (out / "labels.coco.json").read_bytes()
    (out / "truth.csv").write_text("changed by hand\n")
    with pytest.raises(InputError, match=r"truth\.csv"):
        imported(tmp_path, label_files.cvat(), replace=True)


def test_another_file_of_a_taken_name_is_refused(tmp_path):
    out = imported(tmp_path, label_files.cvat())
    write_frame(tmp_path / "archive" / "f1.fits", 5)
    with pytest.raises(InputError, match="another file of this name"):
        import_labels(tmp_path / "export.json", "coco", tmp_path / "archive", out, Options(replace=True))


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and no dataset"):
        imported(tmp_path, label_files.cvat())


# -- what is wrong with a dataset -------------------------------------------------------------------------------------


def relocked(folder: Path) -> Path:
    from training.labels import write_lock

    write_lock(folder, {})
    return folder


def edited(folder: Path, change) -> Path:
    path = folder / "labels.coco.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return relocked(folder)


FLAWS = {
    "polygon of two points": (lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "2 points"),
    "nan": (lambda d: d["annotations"][0].update(segmentation=[[1, 2, float("nan"), 4, 5, 5]]), "(nan, 4)"),
    "off the frame": (lambda d: d["annotations"][0].update(segmentation=[[1, 2, 99, 4, 5, 5]]), "(99, 4) lies off"),
    "empty mask": (lambda d: d["annotations"][0]["segmentation"].update(counts=[768]), "covers no pixel"),
    "damaged": (lambda d: d["annotations"][0]["segmentation"].update(counts="ab~"), "letter '~'"),
    "category": (lambda d: d["annotations"][0].update(category_id=9), "category 9, expected one of [1, 2]"),
    "stray": (lambda d: d["annotations"][0].update(image_id=9), "belongs to image 9, which is not listed"),
    "annotation twice": (lambda d: d["annotations"].append(d["annotations"][0]), "annotations: id 1 appears 2 times"),
    "limb": (lambda d: d["images"][0]["io"].update(limb=[1, 2, -3]), "limb [1, 2, -3]"),
    "interval without limb": (
        lambda d: d.update(limb_intervals=[{"frame_id": "f1", "kind": "plume", "start_rad": 0, "stop_rad": 1}]),
        "has no limb to lie on",
    ),
    "interval of nothing": (
        lambda d: d.update(limb_intervals=[{"frame_id": "f1", "kind": "plume", "start_rad": 1, "stop_rad": 1}]),
        "is 0 rad wide",
    ),
    "interval of no frame": (
        lambda d: d.update(limb_intervals=[{"frame_id": "f7", "kind": "plume", "start_rad": 0, "stop_rad": 1}]),
        "limb interval of frame 'f7'",
    ),
    "size": (lambda d: d["images"][0].update(width="x"), "images[0].width is 'x'"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), FLAWS.values(), ids=FLAWS)
def test_labels_check_names_what_is_wrong(tmp_path, capfd, change, words):
    out = edited(imported(tmp_path, label_files.cvat()), change)
    assert words in "\n".join(check_dataset(out))
    assert cli.run(["labels", "check", str(out)]) == 2
    assert words in capfd.readouterr().out


def test_the_same_pixels_under_two_names_are_found_and_as_a_leak_where_they_leak(tmp_path):
    out = imported(tmp_path, label_files.cvat())
    write_frame(tmp_path / "archive" / "f2.fits", 0, COMMENT="another header, the same pixels")
    more = json.loads(json.dumps(label_files.cvat()).replace("f1.png", "f2.png"))
    import_labels(save(tmp_path / "more.json", more), "coco", tmp_path / "archive", out)
    rows = (out / "splits.csv").read_text().splitlines()
    for split, words in (("train", ""), ("test", "in the splits ['test', 'train']: a leak")):
        table = [rows[0], "f1,f1,train", f"f2,f2,{split}"]
        (out / "splits.csv").write_text("\n".join(table) + "\n")
        (problem,) = check_dataset(relocked(out))
        assert "frames ['f1', 'f2'] hold the same pixels under 2 names" in problem
        assert words in problem


def test_a_mask_where_nothing_was_observed_is_found(tmp_path):
    out = imported(tmp_path, label_files.cvat())
    from astropy.io import fits

    path = out / "frames" / "f1.fits"
    image = fits.getdata(path).copy()
    image[10:12] = np.nan
    fits.writeto(path, image, overwrite=True)
    assert "hotspot 'hotspot-1' of frame 'f1': 6 of its 6 pixels lie where nothing was observed" in "\n".join(
        check_dataset(relocked(out))
    )


@pytest.mark.parametrize(
    ("table", "old", "new", "words"),
    [
        ("splits.csv", ",f1,", ",f1,dev", "in split 'dev"),
        ("splits.csv", "frame_id,observation,split", "frame,observation,split", "lacks the columns ['frame_id']"),
        ("truth.csv", "plume-1,f1,plume", "plume-1,f1,volcano", "kind must be one of"),
        ("truth.csv", "3.5", "far", "could not convert string to float: 'far'"),
    ],
)
def test_tables_edited_by_hand(tmp_path, table, old, new, words):
    out = imported(tmp_path, label_files.cvat())
    text = (out / table).read_text()
    assert old in text
    (out / table).write_text(text.replace(old, new, 1))
    assert words in "\n".join(check_dataset(relocked(out)))


def test_pictures_are_named_so_that_they_are_found(archive):
    from detector.readers import read_frame

    frame = read_frame(archive / "g8" / "0085r.fits")
    assert finds(FrameFinder(archive), f"{picture_name(frame)}.png", SHAPE) == "g8/0085r.fits"
