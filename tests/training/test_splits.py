"""Splits keep orbits and observations whole; a leak is found, and nothing goes on with it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import label_files
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import SHAPE

from detector.errors import InputError
from detector.frame import Frame
from detector.limb import Limb
from detector.mask import Mask
from detector.readers import read_frame
from serve import cli
from training.evaluate import evaluate
from training.labels import DatasetWriter, LabelledFrame, check_dataset, read_dataset, write_lock
from training.labels.splits import leaks, orbit_of, place_of, refuse_leaks, split_dataset

ORBITS = {
    "galileo_ssi": ("galileo 6", "galileo 24", "galileo 27"),
    "jiram": ("juno 57", "juno 58"),
    "sru": ("juno 58",),
}


def a_dataset(folder: Path) -> Path:
    """Twelve frames: six orbits of three cameras, two frames of one observation each; one camera's orbit is shared."""
    with DatasetWriter(folder, {"generator": "by hand"}) as writer:
        seed = 0
        for instrument, orbits in ORBITS.items():
            for orbit in orbits:
                for part in "ab":
                    seed += 1
                    name = f"{instrument}-{orbit.split()[1]}-{part}"
                    label_files.write_frame(writer.frames / f"{name}.fits", seed)
                    frame = LabelledFrame(
                        name, "", Mask.empty(SHAPE), Limb.none("none"), observation=f"{instrument} {orbit}",
                        instrument=instrument, orbit=orbit,
                    )  # fmt: skip
                    writer.add(f"{name}.fits", frame)
    return folder


def splits_of(folder: Path) -> dict[str, str]:
    with (folder / "splits.csv").open() as stream:
        return {row["frame_id"]: row["split"] for row in csv.DictReader(stream)}


# -- orbits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instrument", "name", "keywords", "orbit"),
    [
        ("galileo_ssi", "0085r", {"ORBIT_NUMBER": "6"}, "galileo 6"),
        ("galileo_ssi", "0085r", {"ORBIT_NUMBER": '"N/A"', "IMAGE_ID": "E6I0032"}, "galileo 6"),
        ("galileo_ssi", "C0532836239R", {"PICNO": "26E0001"}, "galileo 26"),
        ("galileo_ssi", "C0350040000R", {"IMAGE_ID": "C0350040000R"}, ""),
        ("junocam", "JNCE_2022186_43C00078_V01_BLUE", {}, "juno 43"),
        ("junocam", "x", {"PRODUCT_ID": "JNCE_2023364_57C00001_V05"}, "juno 57"),
        ("jiram", "dark", {"ISISCUBE.ARCHIVE.ORBITNUMBER": "62"}, "juno 62"),
        ("sru", "SRU1_2024100T045333_60_V01", {}, "juno 60"),
        ("lorri", "lor_0034974380_0x630_sci_1", {"REQID": "JELR_ISHINE01"}, ""),
        ("unknown", "PIA02309", {}, ""),
    ],
)
def test_orbit_by_label_or_name(instrument, name, keywords, orbit):
    frame = Frame.of(np.zeros((2, 2)), id=name, instrument=instrument, keywords=keywords)
    assert orbit_of(frame) == orbit


@pytest.mark.parametrize(
    ("path", "orbit"),
    [
        ("galileo_ssi/C0532836239R.IMG", "galileo 26"),
        ("junocam/JNCE_2022186_43M00081_V01-raw.png", "juno 43"),
        ("jiram/dark_3ms.cub", "juno 60"),
        ("lorri/lor_0034974380_0x630_sci_1_cropped.fit", ""),
    ],
)
def test_orbit_of_real_frames(shared, path, orbit):
    assert orbit_of(read_frame(shared / "data" / path)) == orbit


# -- splitting --------------------------------------------------------------------------------------------------------


def test_leave_one_orbit_out_by_one_option(tmp_path, capfd):
    folder = a_dataset(tmp_path / "d")
    assert cli.run(["labels", "split", str(folder), "--leave-out", "galileo 24"]) == 0
    said = capfd.readouterr().out
    splits = splits_of(folder)
    assert {name for name, split in splits.items() if split == "test"} == {"galileo_ssi-24-a", "galileo_ssi-24-b"}
    train, val = (list(splits.values()).count(name) for name in ("train", "val"))
    assert said == f"train {train}, val {val}, test 2 frames, by orbit\n"
    assert train + val == 10
    assert check_dataset(folder) == []
    last_words = ["--leave-out", "57", "--leave-out", "6"]
    assert cli.run(["labels", "split", str(folder), *last_words]) == 0
    assert sorted(name for name, split in splits_of(folder).items() if split == "test") == [
        "galileo_ssi-6-a", "galileo_ssi-6-b", "jiram-57-a", "jiram-57-b",
    ]  # fmt: skip


def test_an_orbit_of_two_cameras_stays_whole(tmp_path):
    folder = a_dataset(tmp_path / "d")
    split_dataset(folder, "orbit", ["juno 58"])
    assert sum(split == "test" for split in splits_of(folder).values()) == 4


def test_leave_one_instrument_out_by_one_option(tmp_path):
    folder = a_dataset(tmp_path / "d")
    assert cli.run(["labels", "split", str(folder), "--by", "instrument", "--leave-out", "sru"]) == 0
    assert {name for name, split in splits_of(folder).items() if split == "test"} == {"sru-58-a", "sru-58-b"}
    assert check_dataset(folder) == []  # juno 58 is in two splits, and was meant to be
    assert json.loads((folder / "dataset.lock").read_text())["made"] == {
        "generator": "by hand", "split": {"by": "instrument", "leave_out": ["sru"]},
    }  # fmt: skip


def test_the_same_split_gives_the_same_bytes(tmp_path):
    texts = set()
    for name in "ab":
        folder = a_dataset(tmp_path / name)
        split_dataset(folder, "orbit", ["juno 58"])
        texts.add((folder / "splits.csv").read_bytes() + (folder / "dataset.lock").read_bytes())
    assert len(texts) == 1


@given(st.sets(st.text(min_size=1), min_size=1, max_size=30), st.text(min_size=1))
def test_a_group_stays_where_it_is_when_others_come(groups, another):
    before = {group: place_of(group) for group in groups}
    assert {group: place_of(group) for group in [another, *groups]}.items() >= before.items()


def test_a_tenth_goes_to_test_and_a_tenth_to_val():
    places = [place_of(f"galileo {n}") for n in range(5000)]
    assert places.count("test") == pytest.approx(500, abs=70)
    assert places.count("val") == pytest.approx(500, abs=70)


@pytest.mark.parametrize(
    ("by", "leave_out", "words"),
    [
        ("orbit", ["galileo 99"], r"'galileo 99' is no orbit of this dataset -> choose of galileo 24, galileo 27"),
        ("instrument", [], "instruments are left out one at a time"),
        ("instrument", ["junocam"], "'junocam' is no instrument"),
        ("instrument", list(ORBITS), "falls into train"),
        ("frame", [], "'frame', expected orbit, observation, instrument"),
    ],
)
def test_what_cannot_be_split_is_refused_and_nothing_changes(tmp_path, by, leave_out, words):
    folder = a_dataset(tmp_path / "d")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(InputError, match=words):
        split_dataset(folder, by, leave_out)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_changed_dataset_is_not_locked_anew(tmp_path):
    folder = a_dataset(tmp_path / "d")
    label_files.write_frame(folder / "frames" / "sru-58-a.fits", 77)
    with pytest.raises(InputError, match=r"sru-58-a\.fits: its sha256"):
        split_dataset(folder, "orbit", ["juno 58"])


def test_added_frames_follow_the_rule_of_the_dataset(tmp_path):
    from training.labels.importing import import_labels

    folder = a_dataset(tmp_path / "d")
    split_dataset(folder, "orbit", ["galileo 24"])
    label_files.write_frame(tmp_path / "new" / "f1.fits", 99)
    source = label_files.save(tmp_path / "export.json", label_files.cvat())
    import_labels(source, "coco", tmp_path / "new", folder)
    splits = splits_of(folder)
    assert {splits["galileo_ssi-24-a"], splits["galileo_ssi-24-b"]} == {"test"}
    assert json.loads((folder / "dataset.lock").read_text())["made"]["split"]["leave_out"] == ["galileo 24"]
    assert check_dataset(folder) == []


# -- leaks ------------------------------------------------------------------------------------------------------------


def planted(folder: Path, what: str) -> Path:
    """A dataset with a leak: one frame of an observation, of an orbit, or a copy of a file moved to another split."""
    a_dataset(folder)
    split_dataset(folder, "orbit", ["juno 58"])
    rows = (folder / "splits.csv").read_text().splitlines()
    moved = "sru-58-b" if what != "orbit" else "sru-58-"
    rows = [row.replace(",test", ",train") if row.startswith(moved) else row for row in rows]
    if what == "file":
        rows = [row.replace("sru-58-b,sru juno 58", "sru-58-b,another") for row in rows]
        (folder / "frames" / "sru-58-b.fits").write_bytes((folder / "frames" / "sru-58-a.fits").read_bytes())
        document = json.loads((folder / "labels.coco.json").read_text())
        for image in document["images"]:
            if image["frame_id"] == "sru-58-b":
                image["io"].pop("orbit")
        (folder / "labels.coco.json").write_text(json.dumps(document))
    (folder / "splits.csv").write_text("\n".join(rows) + "\n")
    write_lock(folder, {})
    return folder


LEAKS = {
    "observation": "observation 'sru juno 58' is in ['test', 'train']",
    "orbit": "orbit 'juno 58' is in ['test', 'train']",
    "file": "file content (sha256)",
}


@pytest.mark.parametrize("what", LEAKS)
def test_a_planted_leak_is_found_and_refused_everywhere(tmp_path, what, capfd):
    folder = planted(tmp_path / "d", what)
    assert LEAKS[what] in "\n".join(check_dataset(folder))
    assert LEAKS[what] in leaks(read_dataset(folder))[0]
    assert cli.run(["labels", "check", str(folder)]) == 2
    with pytest.raises(InputError, match="leaks between its splits"):
        evaluate(folder, tmp_path / "report")
    assert not (tmp_path / "report").exists()
    tiny = Path(__file__).parents[2] / "training" / "configs" / "tiny.yaml"
    words = ["train", "--config", str(tiny), "--out", str(tmp_path / "run"), f"data.labels=[{folder}]"]
    capfd.readouterr()
    assert cli.run([*words, f"data.cache={tmp_path / 'cache'}"]) == 2
    assert LEAKS[what] in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "cache").exists()


def test_what_one_dataset_trains_on_another_may_not_keep_for_the_test(tmp_path):
    one, other = a_dataset(tmp_path / "one"), a_dataset(tmp_path / "other")
    split_dataset(one, "orbit", ["juno 58"])
    split_dataset(other, "orbit", ["galileo 24"])
    refuse_leaks([read_dataset(one), read_dataset(one)], "train")
    with pytest.raises(InputError, match=r"is in 'test' here and in 'train' of|is in 'train' here and in 'test' of"):
        refuse_leaks([read_dataset(one), read_dataset(other)], "train")
