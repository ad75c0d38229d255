"""A watched folder: what counts as whole and still, and that every product is done once."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from astropy.io import fits
from made_frames import write_frame

from detector.errors import InputError
from detector.products import find_products
from serve import batch
from serve.watch import Arrivals, Pace, watch
from serve.worker import Settings

HERE = Path(__file__).resolve().parents[2]
PACE = Pace(settle_s=5.0, label_wait_s=60.0, patience_s=600.0)
LABEL = (
    'PDS_VERSION_ID = PDS3\r\n^IMAGE = ("{name}", 1)\r\nRECORD_BYTES = 200\r\nOBJECT = IMAGE\r\nLINES = 160\r\n'
    "LINE_SAMPLES = 200\r\nSAMPLE_BITS = 8\r\nEND_OBJECT = IMAGE\r\nEND\r\n"
)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def arrivals(inbox: Path) -> Arrivals:
    return Arrivals(inbox, PACE)


def label_of(image: Path) -> Path:
    path = image.with_suffix(".LBL")
    path.write_text(LABEL.format(name=image.name))
    return path


def image(path: Path, size: int = 160 * 200) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x07" * size)
    return path


def names(arrivals: Arrivals, now: float) -> list[str]:
    return [product.data.name for product in arrivals.ready(now)]


@pytest.mark.parametrize("first", ["label", "image"])
def test_a_product_is_taken_when_both_files_are_whole_and_still(arrivals: Arrivals, inbox: Path, first: str) -> None:
    whole, text = image(inbox.parent / "A.IMG").read_bytes(), LABEL.format(name="A.IMG").encode()
    files = {"A.LBL": text, "A.IMG": whole} if first == "label" else {"A.IMG": whole, "A.LBL": text}
    now = 0.0
    for name, content in files.items():
        for part in (0.3, 0.9, 1.0):  # a downlink that pauses for longer than it takes to settle
            (inbox / name).write_bytes(content[: int(part * len(content))])
            for _ in range(4):
                assert names(arrivals, now) == []
                now += 1.5
        now += 1.5
    assert names(arrivals, now) == ["A.IMG"]
    assert names(arrivals, now + 1000) == []
    assert not arrivals.awaited


def test_an_image_without_a_label_waits_for_one(arrivals: Arrivals, inbox: Path) -> None:
    write_frame(inbox / "a.fits")
    assert [names(arrivals, now) for now in (0.0, 59.0, 61.0)] == [[], [], ["a.fits"]]


def test_what_is_renamed_in_counts_from_then_on(arrivals: Arrivals, inbox: Path) -> None:
    part = image(inbox / "A.IMG.part")
    label_of(inbox / "A.IMG")
    assert names(arrivals, 0.0) == names(arrivals, 100.0) == []
    part.rename(inbox / "A.IMG")
    assert names(arrivals, 101.0) == []
    assert names(arrivals, 107.0) == ["A.IMG"]


def test_renamed_before_it_was_taken_is_taken_once(arrivals: Arrivals, inbox: Path) -> None:
    label_of(image(inbox / "A.IMG"))
    assert names(arrivals, 0.0) == []
    (inbox / "B").mkdir()
    for name in ("A.IMG", "A.LBL"):
        (inbox / name).rename(inbox / "B" / name)
    assert names(arrivals, 6.0) == []
    assert names(arrivals, 12.0) == ["A.IMG"]
    assert not arrivals.awaited


def test_what_changes_is_taken_again(arrivals: Arrivals, inbox: Path) -> None:
    label_of(image(inbox / "A.IMG"))
    assert [names(arrivals, now) for now in (0.0, 6.0, 12.0)] == [[], ["A.IMG"], []]
    image(inbox / "A.IMG", 160 * 200 + 100)
    assert [names(arrivals, now) for now in (20.0, 26.0)] == [[], ["A.IMG"]]


def test_what_is_never_whole_is_said_and_taken_as_it_is(
    arrivals: Arrivals, inbox: Path, caplog: pytest.LogCaptureFixture
) -> None:
    label_of(image(inbox / "short.IMG", 1000))
    (inbox / "lonely.LBL").write_text(LABEL.format(name="lonely.IMG"))
    assert [names(arrivals, now) for now in (0.0, 599.0)] == [[], []]
    assert caplog.records == []
    assert names(arrivals, 601.0) == ["short.IMG"]
    said = sorted(record.getMessage() for record in caplog.records)
    assert "lonely.LBL: not whole after 601 s: a label whose image is not beside it" in said[0]
    assert "short.IMG: not whole after 601 s: short.IMG is 1000 bytes long, expected 32000" in said[1]
    image(inbox / "lonely.IMG")  # it does come, after all
    assert [names(arrivals, now) for now in (1000.0, 1006.0)] == [[], ["lonely.IMG"]]
    assert len(caplog.records) == 2


def test_hidden_files_and_what_is_no_frame_are_passed_over(arrivals: Arrivals, inbox: Path) -> None:
    write_frame(inbox / ".a.fits")
    write_frame(inbox / ".hidden" / "a.fits")
    (inbox / "notes.txt").write_text("END")
    assert names(arrivals, 0.0) == names(arrivals, 1e6) == []
    assert not arrivals.awaited


@contextmanager
def watching(inbox: Path, settings: Settings, poll: bool) -> Iterator[None]:
    """A watch in a thread of this process, as a service would begin it."""
    ended = threading.Event()
    pace = Pace(settle_s=0.4, label_wait_s=0.8, patience_s=100.0)
    thread = threading.Thread(target=watch, args=(inbox, settings, pace, ended, 1, poll))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)
        assert not thread.is_alive()


def rows(out: Path) -> list[str]:
    try:
        with (out / "frames.csv").open(newline="") as stream:
            return sorted(Path(row["path"]).name for row in csv.DictReader(stream))
    except FileNotFoundError:
        return []


def until(out: Path, expected: list[str], patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while rows(out) != sorted(expected) and time.monotonic() < end:
        time.sleep(0.05)
    assert rows(out) == sorted(expected)


def test_an_output_folder_around_the_watched_one_is_refused(model_file: Path, tmp_path: Path, inbox: Path) -> None:
    for out in (inbox, inbox.parent):
        settings = Settings(out, model=model_file)
        with pytest.raises(InputError, match="holds the watched folder"):
            watch(inbox, settings, Pace(0, 0, 0), threading.Event())


def test_every_product_is_done_once_over_restarts(model_file: Path, tmp_path: Path, inbox: Path) -> None:
    settings = Settings(tmp_path / "out", model=model_file, masks=False, quicklooks=False, threads=1, timeout_s=300)
    with watching(inbox, settings, poll=False):
        write_frame(inbox / "a.fits", 0)
        write_frame(inbox / "day" / "b.fits", 1)
        until(settings.out, ["a.fits", "b.fits"])
    write_frame(inbox / "c.fits", 2)  # came while nobody watched
    (inbox / "a.fits").rename(inbox / "day" / "moved.fits")  # and this was done already
    shutil.copy(inbox / "c.fits", inbox / "day" / "copy.fits")
    with watching(inbox, settings, poll=True):
        write_frame(inbox / "d.fits.tmp", 3).rename(inbox / "d.fits")
        until(settings.out, ["a.fits", "b.fits", "c.fits", "d.fits"])
    found = [row["frame_id"] for row in csv.DictReader((settings.out / "catalogue.csv").open(newline=""))]
    assert sorted(set(found)) == ["a", "b", "c", "d"]
    assert len(found) == 8  # a plume and a hot spot each


def test_many_products_are_done_in_rounds(
    model_file: Path, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time for a round, each still gets on, and the tables are written after it."""
    monkeypatch.setattr("serve.watch.ROUND_S", 0.0)
    tables: list[int] = []
    run = batch.run

    def counted(*arguments: object, **more: object) -> batch.Report:
        report = run(*arguments, **more)  # type: ignore[arg-type]
        tables.append(len(rows(tmp_path / "out")))
        return report

    monkeypatch.setattr("serve.watch.run", counted)
    for seed in range(9):
        write_frame(inbox / f"{seed}.fits", seed)
    settings = Settings(tmp_path / "out", model=model_file, masks=False, quicklooks=False, threads=1, timeout_s=300)
    with watching(inbox, settings, poll=True):
        until(settings.out, [f"{seed}.fits" for seed in range(9)])
    assert len(tables) >= 4  # one with nothing, then three products at a time are under way
    assert tables == sorted(tables)


def test_more_of_a_product_replaces_it(model_file: Path, tmp_path: Path, inbox: Path) -> None:
    settings = Settings(tmp_path / "out", model=model_file, masks=False, quicklooks=False, threads=1, timeout_s=300)
    write_frame(inbox / "a.fits", 0, spot=False)
    with watching(inbox, settings, poll=False):
        until(settings.out, ["a.fits"])
        os.utime(write_frame(tmp_path / "a.fits", 0), ns=(0, 10**18))
        (tmp_path / "a.fits").replace(inbox / "a.fits")
        table, end = settings.out / "catalogue.csv", time.monotonic() + 60
        while len(table.read_text().splitlines()) < 3 and time.monotonic() < end:
            time.sleep(0.05)
    assert [row["kind"] for row in csv.DictReader(table.open(newline=""))] == ["plume", "hotspot"]
    assert rows(settings.out) == ["a.fits"]


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")
def test_the_command_ends_in_order_when_asked_to(model_file: Path, tmp_path: Path, inbox: Path) -> None:
    write_frame(inbox / "a.fits")
    words = ["watch", inbox, "--out", tmp_path / "out", "--model", model_file, "--settle-s", 0.2, "--label-wait-s", 0.2]
    process = subprocess.Popen(
        [sys.executable, "-m", "serve.cli", *map(str, words)], cwd=HERE, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    until(tmp_path / "out", ["a.fits"])
    process.send_signal(signal.SIGTERM)
    said, logged = process.communicate(timeout=60)
    assert process.returncode == 0, logged
    assert said.decode().startswith("1 products in ")
    assert b"a.fits: 1 frames, 1 plumes, 1 hot spots" in logged
    assert fits.getdata(tmp_path / "out" / "masks" / "a.fits", "VALID").all()
    assert len(find_products([inbox])) == 1
