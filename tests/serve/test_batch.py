"""A batch run: what it leaves, that it goes on, and that nothing but the input decides the bytes."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from made_frames import io_image

from detector.detect import Detector, Result
from detector.errors import InputError, ModelError
from detector.frame import Frame
from detector.products import find_products, look_for
from detector.session import Model
from serve.batch import Report, run
from serve.journal import Journal, Key, Outcome
from serve.worker import Settings, Task, Worker, status_of


def batch(
    frames: Path, out: Path, model_file: Path, workers: int = 1, fresh: bool = False, **changed: object
) -> Report:
    settings = Settings(out, **({"model": model_file, "threads": 1} | changed))  # type: ignore[arg-type]
    return run(find_products([frames]), settings, workers, fresh)


def left(out: Path) -> dict[str, bytes]:
    """Every file of an output folder but the journal, ``frames.csv`` without its seconds."""
    files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    files.pop(".journal.sqlite")
    rows = csv.DictReader(files["frames.csv"].decode().splitlines())
    files["frames.csv"] = json.dumps([row | {"seconds": ""} for row in rows]).encode()
    return files


@pytest.fixture(scope="module")
def undisturbed(frames: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    batch(frames, out, model_file)
    return out


def test_every_file_is_there(undisturbed: Path) -> None:
    names = list(left(undisturbed))
    (first, second) = sorted(name for name in names if name.startswith("masks/b-"))
    stems = ["a", first[6:-5], second[6:-5], "c", "d"]
    assert names == sorted(
        ["catalogue.csv", "catalogue.geojson", "frames.csv"]
        + [f"masks/{stem}.fits" for stem in stems]
        + [f"quicklook/{stem}.png" for stem in stems]
    )


def test_tables_agree_with_each_other(undisturbed: Path, frames: Path) -> None:
    rows = list(csv.DictReader((undisturbed / "frames.csv").open(newline="")))
    paths = [Path(row["path"]).relative_to(frames).as_posix() for row in rows]
    assert paths == ["a.fits", "again/b.fits", "b.fits", "broken.fits", "c.fits", "d.fits"]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "rejected", "ok", "ok"]
    assert "FITS" in rows[3]["reason"]
    assert [row["plumes"] for row in rows] == ["1", "1", "0", "", "1", "1"]
    assert [row["hotspots"] for row in rows] == ["1", "1", "1", "", "0", "1"]
    found = list(csv.DictReader((undisturbed / "catalogue.csv").open(newline="")))
    for row in rows:
        kinds = [detection["kind"] for detection in found if detection["frame_id"] == row["frame_id"]]
        assert (kinds.count("plume"), kinds.count("hotspot")) == (int(row["plumes"] or 0), int(row["hotspots"] or 0))
    assert len({detection["detection_id"] for detection in found}) == len(found) == 8
    order = [row["frame_id"] for row in rows]
    assert [order.index(d["frame_id"]) for d in found] == sorted(order.index(d["frame_id"]) for d in found)
    features = json.loads((undisturbed / "catalogue.geojson").read_text())["features"]
    assert [feature["id"] for feature in features] == [detection["detection_id"] for detection in found]


def test_workers_do_not_matter(undisturbed: Path, frames: Path, model_file: Path, tmp_path: Path) -> None:
    batch(frames, tmp_path, model_file, workers=2)
    assert left(tmp_path) == left(undisturbed)


def test_a_second_run_does_nothing_and_changes_nothing(undisturbed: Path, frames: Path, model_file: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/*")}
    report = batch(frames, undisturbed, model_file)
    assert report.reused == 6
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*/*")} == before


def test_only_what_is_missing_is_done(undisturbed: Path, frames: Path, model_file: Path, tmp_path: Path) -> None:
    out = shutil.copytree(undisturbed, tmp_path / "out")
    (out / "masks" / "c.fits").unlink()
    (out / "quicklook" / ".d.png.77.part").write_bytes(b"half")
    assert batch(frames, out, model_file).reused == 5
    assert left(out) == left(undisturbed)


def test_another_operating_point_is_another_result(
    undisturbed: Path, frames: Path, model_file: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(undisturbed, tmp_path / "out")
    report = batch(frames / "a.fits", out, model_file, operating_point="screening", masks=False, quicklooks=False)
    assert (report.reused, report.catalogue.operating_point) == (0, "screening")
    assert batch(frames / "a.fits", out, model_file).reused == 1  # nothing was written over


def test_files_and_tables_are_of_one_run(frames: Path, model_file: Path, tmp_path: Path) -> None:
    """There and back again: what another run has written over is done anew."""
    for point, reused in (("confident", 0), ("screening", 0), ("confident", 0), ("confident", 1)):
        report = batch(frames / "a.fits", tmp_path, model_file, operating_point=point)
        assert (report.reused, fits.getheader(tmp_path / "masks/a.fits")["OPPOINT"]) == (reused, point)
    for wanted, reused in (("b.fits", 0), ("again", 0), ("b.fits", 0), ("b.fits", 1)):
        assert batch(frames / wanted, tmp_path, model_file).reused == reused


def test_every_path_named_in_vain_has_a_row(frames: Path, model_file: Path, tmp_path: Path) -> None:
    products = look_for([frames / "a.fits", frames / "none.fits", tmp_path])
    report = run(products, Settings(tmp_path / "out", model=model_file, masks=False, quicklooks=False))
    assert [(row.status, row.reason) for row in sorted(report.frames, key=lambda row: row.reason)] == [
        ("ok", ""),
        ("rejected", "a folder without a frame"),
        ("rejected", "no such file or folder"),
    ]


def test_a_name_that_is_no_text_is_spelled_out(frames: Path, model_file: Path, tmp_path: Path) -> None:
    named = tmp_path / "frames" / os.fsdecode(b"a\xff.fits")
    named.parent.mkdir()
    try:
        shutil.copy(frames / "a.fits", named)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for reused in (0, 1):
        report = batch(named, tmp_path / "out", model_file)
        assert (report.frames[0].path[-9:], report.reused) == ("/a\\xff.fits"[-9:], reused)
    assert "a\\xff.fits" in (tmp_path / "out" / "frames.csv").read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that gives an input/output error")
def test_a_failing_disk_is_no_verdict_on_the_file(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "a.fits").symlink_to("/proc/self/mem")
    for _ in range(2):
        report = batch(tmp_path / "a.fits", tmp_path / "out", model_file)
        assert (report.reused, report.frames[0].status) == (0, "rejected")
        assert "Input/output error" in report.frames[0].reason


def test_what_the_reader_noted_stands_in_the_row(
    model_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = io_image()
    fits.writeto(tmp_path / "a.fits", np.where(np.arange(160)[:, None] < 40, np.nan, image))
    fits.writeto(tmp_path / "b.fits", image, fits.Header({"OBJECT": "Europa"}))
    fits.writeto(tmp_path / "sky.fits", np.random.default_rng(0).normal(10, 1, (60, 70)).astype(np.float32))
    report = batch(tmp_path, tmp_path / "out", model_file, masks=False, quicklooks=False)
    cut, other, sky = report.frames
    assert (cut.status, cut.reason) == ("partial", "75.0 % of the frame observed")
    assert (other.status, other.reason) == ("ok", "target is EUROPA, not Io")
    assert {row.flags for row in report.catalogue.rows if row.frame_id == "b"} == {"OUT_OF_DISTRIBUTION"}
    assert (sky.limb_source, sky.hotspots) == ("none", 0)
    assert math.isnan(sky.plumes)
    assert [record.getMessage() for record in caplog.records] == [f"a: {cut.reason}", f"b: {other.reason}"]


def test_dropped_lines_make_a_frame_partial(model_file: Path) -> None:
    valid = np.ones((160, 200), bool)
    valid[3] = False
    frame = Frame.of(io_image(), valid).without(1, 160, "lines")
    row = status_of(Detector(Model.open(model_file, "cpu", 1))(frame), "a")
    assert (row.status, row.reason) == ("partial", "1 of 160 lines were not received")


def test_a_frame_is_written_before_the_next_is_looked_at(model_file: Path, tmp_path: Path) -> None:
    written: list[list[str]] = []

    class Watched(Detector):
        def many(self, frames: Sequence[Frame], batch: int = 1) -> list[Result]:
            written.append(sorted(path.name for path in tmp_path.glob("out/*/*")))
            return super().many(frames, batch)

    fits.writeto(tmp_path / "a.fits", np.stack([io_image(0), io_image(1)]))
    settings = Settings(tmp_path / "out", model=model_file, quicklooks=False)
    worker = Worker(settings, Watched(Model.open(model_file, "cpu", 1)))
    outcome = worker(Task(find_products([tmp_path])[0], "a", ""))
    assert written == [[], [f"{outcome.ids[0]}.fits"]]
    assert [name for name, _, _ in outcome.files] == [f"masks/{frame_id}.fits" for frame_id in outcome.ids]


def test_names_are_shared_only_while_both_are_asked_for(frames: Path, model_file: Path, tmp_path: Path) -> None:
    """Run on one file, then on both of the same name, then on one again: always as if it were the first run."""
    for wanted in (frames / "b.fits", frames / "again", frames, frames / "again"):
        batch(wanted, tmp_path / "one", model_file, quicklooks=False)
        shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
        batch(wanted, tmp_path / "fresh", model_file, quicklooks=False)
        for table in ("catalogue.csv", "catalogue.geojson"):
            assert (tmp_path / "one" / table).read_bytes() == (tmp_path / "fresh" / table).read_bytes()
        fresh = {path.name: path.read_bytes() for path in (tmp_path / "fresh" / "masks").iterdir()}
        kept = {path.name: path.read_bytes() for path in (tmp_path / "one" / "masks").iterdir()}
        assert fresh.items() <= kept.items()


def test_a_failure_is_tried_again_and_a_rejection_is_not(frames: Path, model_file: Path, tmp_path: Path) -> None:
    batch(frames / "broken.fits", tmp_path, model_file)
    assert batch(frames / "broken.fits", tmp_path, model_file).reused == 1
    with Journal(tmp_path) as journal:
        (path, sha, settings) = journal._file.execute("SELECT path, sha256, settings FROM product").fetchone()
        journal._file.execute("UPDATE product SET state = 'failed'")
    assert (len(sha), path) == (64, (frames / "broken.fits").as_posix())
    assert "confident" in settings
    assert batch(frames / "broken.fits", tmp_path, model_file).reused == 0


def test_nothing_is_written_among_the_input(frames: Path, model_file: Path) -> None:
    before = sorted(frames.rglob("*"))
    with pytest.raises(InputError, match="input files"):
        batch(frames, frames, model_file)
    assert sorted(frames.rglob("*")) == before


def test_an_output_folder_below_the_input_is_not_input(frames: Path, model_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "frames"
    copy.mkdir()
    shutil.copy(frames / "a.fits", copy)
    for _ in range(2):
        report = batch(copy, copy / "out", model_file)
        assert [row.frame_id for row in report.frames] == ["a"]
    report = batch(tmp_path, tmp_path / "other", model_file)
    assert [row.path for row in report.frames] == [(copy / "a.fits").as_posix()]


def test_two_runs_do_not_share_a_folder(frames: Path, model_file: Path, tmp_path: Path) -> None:
    half = tmp_path / "masks" / ".a.fits.1.part"
    half.parent.mkdir()
    half.write_bytes(b"half")
    for fresh in (False, True):
        with Journal(tmp_path) as journal:
            journal.keep(Outcome(Key("a", "b", "c"), "rejected"))
            with pytest.raises(InputError, match="another run"):
                batch(frames, tmp_path, model_file, fresh=fresh)
            assert journal.find(Key("a", "b", "c")) is not None
            assert half.exists()
    batch(frames / "broken.fits", tmp_path, model_file, fresh=True)
    assert not half.exists()
    with Journal(tmp_path) as journal:
        assert journal.find(Key("a", "b", "c")) is None


def test_a_folder_that_cannot_be_made_is_an_input_error(frames: Path, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="name another --out"):
        batch(frames, tmp_path / "file" / "out", model_file)


def test_a_damaged_journal_is_named_and_fresh_starts_over(frames: Path, model_file: Path, tmp_path: Path) -> None:
    (tmp_path / ".journal.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(InputError, match="--fresh"):
        batch(frames / "a.fits", tmp_path, model_file)
    assert batch(frames / "a.fits", tmp_path, model_file, fresh=True).reused == 0


def test_a_missing_model_stops_before_anything_is_written(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        batch(frames, tmp_path / "out", tmp_path / "none.onnx")
    assert not (tmp_path / "out").exists()


def test_no_products_leave_empty_tables(model_file: Path, tmp_path: Path) -> None:
    report = run([], Settings(tmp_path, model=model_file))
    assert report.frames == ()
    assert (tmp_path / "catalogue.csv").read_text().startswith("detection_id,")


def test_the_watcher_hears_of_every_product(frames: Path, model_file: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, bool]] = []

    def watch(outcome: Outcome, reused: bool) -> None:
        heard.append((Path(outcome.key.path).name, reused))

    settings = Settings(tmp_path, model=model_file, masks=False, quicklooks=False)
    run(find_products([frames / "a.fits", frames / "broken.fits"]), settings, watch=watch)
    run(find_products([frames / "a.fits"]), settings, watch=watch)
    assert heard == [("a.fits", False), ("broken.fits", False), ("a.fits", True)]
