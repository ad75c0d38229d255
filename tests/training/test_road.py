"""The whole road by the user's commands: simulate, train, export, evaluate, detect. Real torch and onnxruntime."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from detector.frame import sha256_of
from detector.session import Model
from training.labels import check_dataset

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "training" / "configs" / "tiny.yaml"


def io_detector(*words: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("road")
    io_detector("simulate", "--out", folder / "frames", "--instrument", "mixed", "--count", 4, "--seed", 424_242)
    io_detector("train", "--config", TINY, "--out", folder / "run", f"data.cache={folder / 'cache'}")
    io_detector("export", folder / "run", "--out", folder / "tiny.onnx")
    return folder


def test_simulated_products_are_a_sound_dataset(road: Path) -> None:
    assert check_dataset(road / "frames") == []
    rows = list(csv.DictReader((road / "frames" / "splits.csv").open()))
    assert len(rows) == 1 + 3 + 2 + 1  # SSI, JunoCam's three filters, JIRAM's two, a picture
    assert len({row["observation"] for row in rows}) == 4


def test_the_run_says_how_it_was_made(road: Path) -> None:
    made = json.loads((road / "run" / "run.json").read_text())
    assert {"commit", "versions", "device", "frames", "seeds"} <= set(made)
    assert (road / "run" / "best.ckpt").is_file()
    assert (road / "run" / "log" / "version_0" / "metrics.csv").read_text().count("\n") > 2


def test_an_interrupted_run_goes_on(road: Path) -> None:
    """The same command with more epochs takes up the last checkpoint instead of starting again."""
    io_detector(
        "train", "--config", TINY, "--out", road / "run", f"data.cache={road / 'cache'}", "optimiser.epochs=3",
    )  # fmt: skip
    first, second = (
        {int(row["epoch"]) for row in csv.DictReader((road / "run" / "log" / sitting / "metrics.csv").open())}
        for sitting in ("version_0", "version_1")
    )
    assert first == {0, 1}
    assert second == {2}


def test_the_exported_model_carries_its_card(road: Path) -> None:
    model = Model.open(road / "tiny.onnx", device="cpu")
    assert set(model.card.operating_points) == {"screening", "confident"}
    assert model.card.parity["largest_gap"] < 1e-3
    assert model.card.training["seeds"]["training"] == 1
    assert "cache" not in model.card.training["config"]["data"]  # a folder of one machine
    assert model.card.training["frames"]["map_sha256"]
    assert (road / "tiny.md").read_text().startswith("# io-detector")


def test_a_model_is_judged_anew_and_its_network_stays(road: Path) -> None:
    anew = ("--out", road / "anew.onnx", "--version", "9", "--frames", 6, "--seed", 5)
    io_detector("rejudge", road / "tiny.onnx", *anew)
    old, new = (onnx.load(str(road / name)) for name in ("tiny.onnx", "anew.onnx"))
    assert old.graph.SerializeToString() == new.graph.SerializeToString()
    card, before = (Model.open(road / name, device="cpu").card for name in ("anew.onnx", "tiny.onnx"))
    assert (card.version, card.calibration, card.parity["cases"]) == ("9", before.calibration, 200)
    assert card.training["judged anew"]["from"] == sha256_of(road / "tiny.onnx")
    assert card.training["seeds"] == before.training["seeds"]
    assert "judged anew" in (road / "anew.md").read_text()


def test_a_negative_that_is_no_picture_is_named_before_a_frame_is_judged(road: Path) -> None:
    bad = road / "bad.jpg"
    bad.write_text("no picture")
    words = ("rejudge", road / "tiny.onnx", "--out", road / "never.onnx", "--version", "9", "--negative", bad)
    io_detector(*words, code=2)  # 8,000 frames would take half an hour
    assert not (road / "never.onnx").exists()


def test_evaluate_writes_a_report_that_stands_alone(road: Path) -> None:
    io_detector("evaluate", road / "frames", "--out", road / "report", "--model", road / "tiny.onnx")
    report = json.loads((road / "report" / "report.json").read_text())
    page = (road / "report" / "report.html").read_text()
    assert report["schema_version"] >= 1
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_detect_leaves_a_row_for_every_frame(road: Path) -> None:
    io_detector("detect", road / "frames" / "frames", "--out", road / "out", "--model", road / "tiny.onnx")
    rows = list(csv.DictReader((road / "out" / "frames.csv").open()))
    assert len(rows) == 7
    assert {row["status"] for row in rows} <= {"ok", "partial"}
    assert len(list((road / "out" / "quicklook").glob("*.png"))) == 7
    assert len(list((road / "out" / "masks").glob("*.fits"))) == 7


def test_a_wrong_setting_is_named(road: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serve.cli", "train", "--config", TINY, "--out", road / "no", "optimiser.epoch=3"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "epoch" in done.stderr
    assert not (road / "no").exists()
