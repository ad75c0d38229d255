"""A dataset comes back to the pixel, its bytes do not depend on the order, and what is broken is named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools.coco import COCO

from detector.errors import InputError
from detector.limb import Limb
from detector.mask import Mask
from training.labels import (
    DatasetWriter,
    LabelledFrame,
    LimbInterval,
    Truth,
    check_dataset,
    read_dataset,
    sector,
    write_lock,
)
from training.labels.rle import decode, encode

SHAPE = (24, 32)
PLUME = np.zeros(SHAPE, bool)
PLUME[3:9, 10:15] = True
PLUME[5, 12] = False  # a hole, which polygons cannot hold
SPOT = np.zeros(SHAPE, bool)
SPOT[8, 14] = True


def labelled(frame_id: str = "f1", **changes: object) -> LabelledFrame:
    """A frame with a plume, a hot spot under it, a faint plume without pixels, and a stray plume pixel."""
    planes = np.stack([PLUME, SPOT])
    planes[0, 20, 30] = True
    known = np.ones(SHAPE, bool)
    known[:, :2] = False
    objects = (
        Truth.cut("p1", "plume", PLUME, name="Pele", lat_deg=-18.7, lon_e_deg=104.7, height_km=300.0, snr_mf=1 / 3),
        Truth.cut("h1", "hotspot", SPOT, temperature_k=1200.0, x_px=14.25, y_px=8.1),
        Truth("p2", "plume", snr_mf=0.2, x_px=1.0, y_px=2.0, family="halo"),
    )
    base = LabelledFrame(
        frame_id, f"{frame_id}.fits", Mask(planes, known), Limb(15.5, 30.25, 20.0, source="label"), objects,
        f"o-{frame_id}", "test", "galileo_ssi", "VIOLET", (LimbInterval("plume", 6.0, 0.5, "Loki"),),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def write(folder: Path, *frames: LabelledFrame) -> Path:
    with DatasetWriter(folder, {"generator": "hand", "seed": 7}) as writer:
        for one in frames:
            fits.writeto(writer.frames / one.file, np.zeros(one.shape, np.float32), overwrite=True)
            writer.add(one.file, one)
    return folder


def same(one: LabelledFrame, other: LabelledFrame) -> None:
    np.testing.assert_array_equal(one.mask.planes, other.mask.planes)
    np.testing.assert_array_equal(one.mask.known, other.mask.known)
    for mine, theirs in zip(one.objects, other.objects, strict=True):
        np.testing.assert_array_equal(mine.mask(SHAPE), theirs.mask(SHAPE))
        assert repr(replace(mine, patch=PLUME)) == repr(replace(theirs, patch=PLUME))  # repr: NaN equals NaN
    assert (one.limb.as_array() == other.limb.as_array()).all()
    assert one.limb.trusted == other.limb.trusted
    for name in ("frame_id", "file", "observation", "split", "instrument", "filter", "limb_intervals"):
        assert getattr(one, name) == getattr(other, name), name


def test_everything_comes_back(tmp_path):
    frames = [labelled("f1"), labelled("f2", limb=Limb.none("far"), objects=(), limb_intervals=())]
    data = read_dataset(write(tmp_path, *frames))
    assert len(data) == 2
    for mine, theirs in zip(frames, data, strict=True):
        same(mine, theirs)
    assert data.lock["made"] == {"generator": "hand", "seed": 7}


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_rle_comes_back_to_the_pixel(mask):
    code = json.loads(json.dumps(encode(mask)))
    np.testing.assert_array_equal(decode(code), mask)


@given(st.floats(-180, 180, exclude_max=True))
def test_longitudes_agree(east):
    west = Truth("x", "plume", lon_e_deg=east).lon_w_deg
    assert 0 <= west < 360
    assert math.isclose((east + west) % 360, 0, abs_tol=1e-9) or math.isclose((east + west) % 360, 360, abs_tol=1e-9)


def test_bytes_do_not_depend_on_the_order(tmp_path):
    one, other = (
        write(tmp_path / "a", labelled("f1"), labelled("f2")),
        write(tmp_path / "b", labelled("f2"), labelled("f1")),
    )
    for name in ("labels.coco.json", "truth.csv", "splits.csv", "dataset.lock"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_pycocotools_reads_the_same(tmp_path, capsys):
    coco = COCO(str(write(tmp_path, labelled()) / "labels.coco.json"))
    capsys.readouterr()
    found = {note["io"]["object_id"]: note for note in coco.anns.values()}
    np.testing.assert_array_equal(coco.annToMask(found["p1"]).astype(bool), PLUME)
    assert found["p1"]["bbox"] == [10, 3, 5, 6]
    assert found["p1"]["area"] == 29
    assert "p2" not in found  # without pixels there is nothing to annotate
    assert {cat["id"]: cat["name"] for cat in coco.cats.values()} == {1: "plume", 2: "hotspot"}


def test_truth_table_has_a_row_an_object_and_nothing_is_guessed(tmp_path):
    rows = (write(tmp_path, labelled()) / "truth.csv").read_text().splitlines()
    assert rows[1].startswith("p1,f1,plume,Pele,-18.7,104.7,255.3,300.0,,")
    assert len(rows) == 4
    assert all(row.count(",") == rows[0].count(",") for row in rows)


def test_object_outside_its_mask_is_refused(tmp_path):
    wrong = labelled(mask=Mask.empty(SHAPE))
    with pytest.raises(InputError, match="29 pixels that the plume mask lacks"):
        DatasetWriter(tmp_path).add("f.fits", wrong)


def test_repeated_ids_are_refused(tmp_path):
    writer = DatasetWriter(tmp_path)
    writer.add("f.fits", labelled())
    with pytest.raises(InputError, match="added before"):
        writer.add("f.fits", labelled())
    with pytest.raises(InputError, match="repeated: \\['p1'\\]"):
        writer.add("f.fits", labelled("f2", objects=labelled().objects[:1] * 2))


def test_failed_writing_leaves_no_tables(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), DatasetWriter(tmp_path):
        raise RuntimeError("stop")
    assert not (tmp_path / "labels.coco.json").exists()


def test_frames_meet_their_labels(tmp_path):
    data = read_dataset(write(tmp_path, labelled("f1"), labelled("f2")))
    pairs = list(data.pairs(["f2"]))
    assert [(frame.id, label.frame_id, frame.shape) for frame, label in pairs] == [("f2", "f2", SHAPE)]
    assert [frame.id for frame, _ in data.pairs()] == ["f1", "f2"]


def test_a_frame_of_another_size_is_named(tmp_path):
    folder = write(tmp_path, labelled())
    fits.writeto(folder / "frames" / "f1.fits", np.zeros((5, 6), np.float32), overwrite=True)
    with pytest.raises(InputError, match="frame f1 is \\(5, 6\\)"):
        list(read_dataset(folder).pairs())


def test_sound_dataset_has_no_problem(tmp_path):
    assert check_dataset(write(tmp_path, labelled("f1"), labelled("f2"))) == []


def spoil_file(folder: Path) -> None:
    fits.writeto(folder / "frames" / "f1.fits", np.ones(SHAPE, np.float32), overwrite=True)


def spoil_size(folder: Path) -> None:
    fits.writeto(folder / "frames" / "f1.fits", np.ones((9, 9), np.float32), overwrite=True)
    write_lock(folder, {})


def spoil_split(folder: Path) -> None:
    (folder / "splits.csv").write_text("frame_id,observation,split\nf1,o,train\nf2,o,test\n")
    write_lock(folder, {})


def spoil_truth(folder: Path) -> None:
    lines = (folder / "truth.csv").read_text().splitlines()
    (folder / "truth.csv").write_text("\n".join([*lines[:2], *lines[1:2], *lines[3:]]) + "\n")
    write_lock(folder, {})


def spoil_coco(folder: Path) -> None:
    coco = json.loads((folder / "labels.coco.json").read_text())
    coco["images"].append(coco["images"][0])
    coco["annotations"][0]["segmentation"] = encode(np.ones((3, 3), bool))
    (folder / "labels.coco.json").write_text(json.dumps(coco))
    write_lock(folder, {})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_file, ["frames/f1.fits: its sha256 is not the one in dataset.lock"]),
        (
            lambda folder: (folder / "frames" / "f2.fits").unlink(),
            ["frames/f2.fits: is missing", "f2.fits: is in dataset"],
        ),
        (lambda folder: (folder / "notes.txt").write_text("x"), ["notes.txt: is not in dataset.lock"]),
        (lambda folder: (folder / "dataset.lock").unlink(), ["dataset.lock: is missing"]),
        (lambda folder: (folder / "truth.csv").unlink(), ["truth.csv: is missing"]),
        (lambda folder: (folder / "labels.coco.json").write_text("{"), ["labels.coco.json: is not JSON"]),
        (
            lambda folder: (folder / "labels.coco.json").write_text("{}"),
            ["lacks ['images', 'annotations', 'categories']"],
        ),
        (spoil_size, ["frames/f1.fits: f1 is (9, 9), expected (24, 32)"]),
        (spoil_split, ["observation 'o' is in ['test', 'train']"]),
        (spoil_truth, ["object ('f1', 'p1') appears 2 times", "hotspot 'h1' of frame 'f1' is missing"]),
        (spoil_coco, ["frame_id 'f1' appears 2 times", "annotation 1 is [3, 3], its image [24, 32]"]),
    ],
)
def test_what_is_broken_is_named(tmp_path, spoil, words):
    folder = write(tmp_path, labelled("f1"), labelled("f2"))
    spoil(folder)
    problems = "\n".join(check_dataset(folder))
    for text in words:
        assert text in problems


def test_stretch_of_limb_becomes_a_ring_sector():
    # Circle of radius 20 in a 101 x 101 frame; from 0 (up) to a quarter turn clockwise: the upper right.
    limb = Limb(50, 50, 20, source="label")
    quarter = sector(LimbInterval("plume", 0.0, math.pi / 2), limb, (101, 101))
    mask = quarter.mask((101, 101))
    rows, columns = np.nonzero(mask)
    assert (rows <= 50).all()
    assert (columns >= 50).all()
    assert mask.sum() == pytest.approx(math.pi / 4 * 20**2 * (1.3**2 - 0.97**2), rel=0.08)
    rest = sector(LimbInterval("plume", math.pi / 2, 0.0), limb, (101, 101)).mask((101, 101))
    assert rest.sum() == pytest.approx(3 * mask.sum(), rel=0.1)
    assert not sector(LimbInterval("plume", 0, 1), Limb.none("no"), (9, 9)).patch.any()
