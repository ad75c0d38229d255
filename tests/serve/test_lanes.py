"""Worker processes that die or hang, and what becomes of the products that they held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_frames import write_frame

from detector.products import find_products
from serve import batch
from serve.journal import Journal, Key, Outcome
from serve.lanes import Lanes, WorkerError
from serve.worker import Settings, Task

HERE = Path(__file__).resolve().parents[2]
POISON = """
import os, signal, sys, time
def watch(event, arguments):
    if event == 'open' and 'spawn_main' in ' '.join(sys.orig_argv):
        name = str(arguments[0])
        if name.endswith('/dies.fits'):
            signal.raise_signal(signal.SIGKILL)
        if name.endswith('/hangs.fits'):
            time.sleep(1000)
sys.addaudithook(watch)
"""


@pytest.fixture
def poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every worker process die on opening one file and hang on opening another."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site") + os.pathsep + os.environ.get("PYTHONPATH", ""))


def frames_named(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        write_frame(folder / f"{name}.fits", seed)
    return folder


def bare(out: Path, model_file: Path, **more: object) -> Settings:
    return Settings(out, model=model_file, masks=False, quicklooks=False, threads=1, **more)  # type: ignore[arg-type]


@pytest.mark.usefixtures("poison")
def test_a_product_that_kills_its_worker_is_quarantined_and_no_other(model_file: Path, tmp_path: Path) -> None:
    products = find_products([frames_named(tmp_path / "in", "a", "dies", "z")])
    settings = bare(tmp_path / "out", model_file, timeout_s=300)
    report = batch.run(products, settings)
    assert [row.status for row in report.frames] == ["ok", "rejected", "ok"]
    died = "the process that worked on it died (SIGKILL, out of memory?)"
    assert report.frames[1].reason == f"quarantined after 3 tries: {died}"
    assert len(report.frames[1].sha256) == 64
    table = (tmp_path / "out" / "frames.csv").read_bytes()
    assert batch.run(products, settings).reused == 3  # left alone from now on
    assert (tmp_path / "out" / "frames.csv").read_bytes() == table


@pytest.mark.usefixtures("poison")
def test_tries_are_counted_over_runs(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is broken off between two tries does not begin to count anew; --retry does."""
    (product,) = find_products([frames_named(tmp_path / "in", "dies")])
    settings = bare(tmp_path / "out", model_file, timeout_s=300)
    keep = Journal.keep

    def broken_off(journal: Journal, outcome: Outcome, settled: bool = True) -> None:
        keep(journal, outcome, settled)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "keep", broken_off)
        with pytest.raises(KeyboardInterrupt):
            batch.run([product], settings)
    with Journal(settings.out) as journal:
        (known,) = journal.known(product.data.as_posix(), journal.fact("settings"))
        assert (known.state, known.tries) == ("lost", 1)
    assert "after 3 tries" in batch.run([product], settings).frames[0].reason
    monkeypatch.setattr(batch, "TRIES", 1)
    again = batch.run([product], settings, retry=True)
    assert (again.reused, again.frames[0].reason[:25]) == (0, "quarantined after 1 tries")


@pytest.mark.usefixtures("poison")
def test_a_product_that_hangs_is_given_up(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "TRIES", 1)
    products = find_products([frames_named(tmp_path / "in", "a", "hangs", "z")])
    began = time.monotonic()
    report = batch.run(products, bare(tmp_path / "out", model_file, timeout_s=6.0))
    assert [row.status for row in report.frames] == ["ok", "rejected", "ok"]
    assert report.frames[1].reason.endswith("no progress in 6 s")
    assert time.monotonic() - began > 2 * 6.0  # once with its neighbours, once alone


def test_a_worker_that_cannot_begin_is_no_fault_of_the_products(tmp_path: Path) -> None:
    """A model that is gone by then must not quarantine a whole archive."""
    (product,) = find_products([frames_named(tmp_path / "in", "a")])
    task = Task(product, "a", "")
    with Lanes(bare(tmp_path, tmp_path / "none.onnx"), 1) as lanes, pytest.raises(WorkerError, match="could begin"):
        list(lanes.outcomes(iter([task])))


def test_outcomes_do_not_depend_on_the_lanes(model_file: Path, tmp_path: Path) -> None:
    """Overlapped or one by one, alone or in batches: the same rows, and lanes can be used again."""
    products = find_products([frames_named(tmp_path / "in", *"abcdefg")])
    (tmp_path / "in" / "bad.fits").write_bytes(b"SIMPLE  =" + b" " * 91)
    products += find_products([tmp_path / "in" / "bad.fits"])
    one = batch.run(products, bare(tmp_path / "one", model_file))
    settings = bare(tmp_path / "lanes", model_file, batch=3)
    terms = batch.Terms.of(settings.open_detector())
    with Lanes(settings, 1) as lanes:
        half = batch.run(products[::2], settings, crew=lanes, terms=terms)
        other = batch.run(products, settings, crew=lanes, terms=terms)
    assert (half.reused, other.reused) == (0, 4)
    assert other.catalogue.rows == one.catalogue.rows
    assert [row.status for row in other.frames] == [row.status for row in one.frames]


def test_stopping_finishes_what_is_under_way(model_file: Path, tmp_path: Path) -> None:
    products = find_products([frames_named(tmp_path / "in", *"abcdefgh")])
    seen: list[Key] = []
    settings = bare(tmp_path / "out", model_file)
    with batch.crew_of(settings, 1) as crew:
        report = batch.run(
            products,
            settings,
            watch=lambda outcome, reused: seen.append(outcome.key),
            crew=crew,
            terms=batch.Terms.of(settings.open_detector()),
            stopped=lambda: len(seen) >= 2,
        )
    assert 2 <= len(seen) <= 5
    assert (len(report.frames), report.unfinished) == (len(seen), 8 - len(seen))
    assert len(batch.run(products, settings).frames) == 8


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for child processes in /proc")
def test_a_killed_run_leaves_no_worker_behind(model_file: Path, tmp_path: Path) -> None:
    frames_named(tmp_path / "in", *"abcdefghijklmnop")
    words = ["detect", tmp_path / "in", "--out", tmp_path / "out", "--model", model_file, "--workers", "2"]
    process = subprocess.Popen([sys.executable, "-m", "serve.cli", *map(str, words)], cwd=HERE, stderr=subprocess.PIPE)
    end = time.monotonic() + 100
    while len(list((tmp_path / "out").glob("quicklook/*.png"))) < 1 and time.monotonic() < end:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    theirs = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(theirs) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    while any(Path(f"/proc/{pid}").exists() for pid in theirs) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in theirs)
