"""The command as a user runs it: exit codes, what goes to stdout and what to stderr, and going on after a kill."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brightness_model import write_model
from conftest import Command
from typer.testing import CliRunner

from detector.products import find_products
from serve import batch, cli
from serve.worker import Settings

HERE = Path(__file__).resolve().parents[2]


def test_a_good_run_puts_one_document_on_stdout(
    command: Command, frames: Path, model_file: Path, tmp_path: Path
) -> None:
    done = command("detect", frames / "a.fits", "--out", tmp_path, "--model", model_file, "--json", "--no-masks")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["summary"] == {"frames": 1, "partial": 0, "rejected": 0, "reused": 0, "plumes": 1, "hotspots": 1}
    assert [row["detection_id"] for row in document["detections"]] == ["a-p01", "a-h01"]
    assert document["model"] == "brightness@1"
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "catalogue.csv",
        "catalogue.geojson",
        "frames.csv",
        "quicklook",
    ]


def test_a_bad_file_is_said_and_does_not_stop_the_rest(
    command: Command, frames: Path, model_file: Path, tmp_path: Path
) -> None:
    done = command(
        "detect",
        frames / "broken.fits",
        frames / "c.fits",
        "--out",
        tmp_path,
        "--model",
        model_file,
        "--no-masks",
        "--no-quicklook",
    )
    assert done.returncode == 3
    assert "broken.fits" in done.stderr
    assert "broken.fits" not in done.stdout
    rows = list(csv.DictReader((tmp_path / "frames.csv").open(newline="")))
    assert [row["status"] for row in rows] == ["rejected", "ok"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["detect"], 2, "PATH"),
        (["detect", "x", "--out", "{tmp}", "--workers", "0"], 2, "--workers"),
        (["detect", "x", "--out", "{tmp}", "--operating-point", "bold"], 2, "screening"),
        (["detect", "x", "--out", "{tmp}", "--device", "tpu"], 2, "cuda"),
        (["no-such-command"], 2, "no-such-command"),
        (["detect", "{tmp}/nothing", "--out", "{tmp}/out"], 4, "no frame found"),
        (["detect", "{model}", "{tmp}/nothing", "--out", "{tmp}/out"], 4, "not of a kind that is read"),
        (["detect", "{frames}", "--out", "{model}/out", "--model", "{model}"], 2, "name another --out"),
        (["simulate", "--out", "{tmp}/out", "--seed", "-1"], 2, "--seed"),
        (["detect", "{frames}", "--out", "{tmp}/out", "--model", "{tmp}/none.onnx"], 5, "no such model file"),
        (["detect", "{frames}", "--out", "{tmp}/out", "--model", "{frames}/a.fits"], 5, "onnxruntime cannot load it"),
        (["detect", "{frames}", "--out", "{frames}", "--model", "{model}"], 2, "input files"),
    ],
)
def test_errors_have_their_code_and_say_what_is_wrong(
    arguments: list[str],
    code: int,
    said: str,
    frames: Path,
    model_file: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = [word.format(tmp=tmp_path, frames=frames, model=model_file) for word in arguments]
    assert cli.run(words) == code
    captured = capfd.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["detect"], 2),
        (["detect", "nothing-here", "--out", "out"], 4),
        (["detect", "pyproject.toml", "{frames}", "--out", "out", "--model", "none.onnx"], 5),
    ],
)
def test_the_process_leaves_with_that_code(command: Command, arguments: list[str], code: int, frames: Path) -> None:
    done = command(*[word.format(frames=frames) for word in arguments])
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_model_without_the_operating_point_is_refused(frames: Path, tmp_path: Path) -> None:
    points = {"screening": {kind: {"seed": 0.5, "grow": 0.4, "min_area_px": 1} for kind in ("plume", "hotspot")}}
    model = write_model(tmp_path / "m.onnx", operating_points=points)
    assert cli.run(["detect", str(frames), "--out", str(tmp_path / "out"), "--model", str(model)]) == 2


def test_a_path_named_in_vain_is_said_beside_the_rest(
    frames: Path, model_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        "detect",
        str(frames / "a.fits"),
        str(tmp_path / "none.fits"),
        "--out",
        str(tmp_path / "out"),
        "--model",
        str(model_file),
        "--json",
        "--no-masks",
        "--no-quicklook",
    ]
    assert cli.run(words) == 3
    captured = capfd.readouterr()
    assert "none.fits: no such file or folder" in captured.err
    assert [row["plumes"] for row in json.loads(captured.out)["frames"]] == [1, None]


@pytest.mark.parametrize(("command_name", "goes_on"), [("detect", True), ("doctor", False)])
def test_only_what_goes_on_is_said_to_go_on(
    command_name: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise cli.Interrupted

    monkeypatch.setattr(cli, "app", interrupted)
    assert cli.run(["--quiet", command_name]) == 130
    assert ("goes on from here" in capfd.readouterr().err) == goes_on


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    code = (
        "import sys\n"
        "sys.modules['lightning'] = sys.modules['torch'] = None\n"
        "from serve import cli\n"
        f"sys.exit(cli.run(['train', '--config', r'{tmp_path / 'config.yaml'}', '--out', r'{tmp_path / 'run'}']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE)
    assert done.returncode == 2
    assert "pip install 'io-detector[train]'" in done.stderr


def test_help_lists_the_commands_and_every_option() -> None:
    runner = CliRunner()
    overview = runner.invoke(cli.app, ["--help"]).output
    for name in ("detect", "simulate", "train", "export", "evaluate", "labels", "doctor", "--version"):
        assert name in overview
    options = runner.invoke(cli.app, ["detect", "--help"], env={"COLUMNS": "200"}).output
    for name in (
        "--out",
        "--operating-point",
        "--device",
        "--workers",
        "--model",
        "--fresh",
        "--json",
        "--no-quicklook",
        "--no-masks",
    ):
        assert name in options


def test_doctor_names_model_and_versions(model_file: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run(["doctor", "--model", str(model_file), "--json"]) == 0
    findings = json.loads(capfd.readouterr().out)
    assert findings["model"]["name"] == "brightness@1"
    assert "CPUExecutionProvider" in findings["runtime"]["providers"]
    assert findings["packages"]["numpy"][0].isdigit()
    assert cli.run(["doctor", "--model", str(tmp_path / "none.onnx")]) == 5


def left(out: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    files.pop(".journal.sqlite")
    rows = list(csv.DictReader(files.pop("frames.csv").decode().splitlines()))
    return files | {"frames.csv": repr([row | {"seconds": ""} for row in rows]).encode()}


def begun(frames: Path, out: Path, model_file: Path) -> subprocess.Popen[bytes]:
    """Start a run and wait until it is in the middle of its work."""
    words = [sys.executable, "-m", "serve.cli", "detect", frames, "--out", out, "--model", model_file]
    process = subprocess.Popen([str(word) for word in words], cwd=HERE, stderr=subprocess.PIPE)
    patience = time.monotonic() + 60
    while len(list(out.glob("quicklook/*.png"))) < 2 and time.monotonic() < patience:
        assert process.poll() is None, "the run ended before it could be broken off"
        time.sleep(0.01)
    return process


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    command: Command, frames: Path, model_file: Path, tmp_path: Path
) -> None:
    process = begun(frames, tmp_path / "killed", model_file)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed" / "catalogue.csv").exists()
    resumed = command("detect", frames, "--out", tmp_path / "killed", "--model", model_file, "--json")
    assert resumed.returncode == 3
    assert json.loads(resumed.stdout)["summary"]["reused"] >= 1
    batch.run(find_products([frames]), Settings(tmp_path / "whole", model=model_file))
    assert left(tmp_path / "killed") == left(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_keeps_its_journal(
    sent: signal.Signals, frames: Path, model_file: Path, tmp_path: Path
) -> None:
    process = begun(frames, tmp_path, model_file)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"goes on from here" in said
    assert b"Traceback" not in said
    assert (tmp_path / ".journal.sqlite").stat().st_size > 0
