"""The whole comparison on four small frames: kept, taken up again, the same every time, and shown by a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("photutils", reason="the extra `bench` is not installed")

from detector.errors import InputError
from detector.limb import Limb
from detector.mask import Mask
from detector.session import RELEASED
from tests import made_frames
from training.evaluate import evaluate
from training.labels import DatasetWriter, LabelledFrame, Truth
from training.power import benchmark
from training.rival_curves import read_rivals

SHAPE = (160, 200)
pytestmark = pytest.mark.skipif(not RELEASED.is_file(), reason="there is no released model")


def labelled(name: str, split: str, plume: bool, spot: bool) -> LabelledFrame:
    y, x = np.indices(SHAPE)
    (px, py), (sx, sy), (cx, cy) = made_frames.PLUME, made_frames.SPOT, made_frames.CENTRE
    outside = np.hypot(x - cx, y - cy) >= made_frames.RADIUS
    parts = []
    if plume:
        parts.append(Truth.cut("p", "plume", (np.hypot(x - px, y - py) < 9) & outside, snr_mf=600.0))
    if spot:
        parts.append(Truth.cut("h", "hotspot", (abs(x - sx) <= 1) & (abs(y - sy) <= 1), snr_mf=500.0))
    planes = np.zeros((2, *SHAPE), bool)
    for one in parts:
        planes[("plume", "hotspot").index(one.kind)] |= one.mask(SHAPE)
    limb = Limb(cx, cy, made_frames.RADIUS)
    return LabelledFrame(name, "", Mask(planes, np.ones(SHAPE, bool)), limb, tuple(parts), f"o-{name}", split)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("power") / "dataset"
    story = {
        "a": ("val", True, True),
        "b": ("val", False, False),
        "c": ("test", True, True),
        "d": ("test", False, False),
    }
    with DatasetWriter(folder, {"generator": "by hand"}) as writer:
        for seed, (name, (split, plume, spot)) in enumerate(story.items()):
            made_frames.write_frame(writer.frames / f"{name}.fits", seed, plume, spot)
            writer.add(f"{name}.fits", labelled(name, split, plume, spot))
    return folder


@pytest.fixture(scope="module")
def out(dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "power"
    benchmark(folder, dataset, workers=1)
    return folder


def test_rivals_find_a_bright_plume_and_a_bright_spot(out):
    held = json.loads((out / "power.json").read_text())
    assert held["observations"] == 2
    for kind, rivals in (("plume", ["limb annulus"]), ("hotspot", ["sep", "LoG"])):
        finders = {one["name"]: one for one in held["classes"][kind]["budgets"][0]["finders"]}
        assert finders["model"]["recall"]["whole"] == 1
        assert all(finders[name]["recall"]["part"] == 1 for name in rivals)
        assert held["classes"][kind]["budgets"][0]["ceiling"]["recall"] == pytest.approx(1.0)


def test_the_same_command_ends_with_the_same_bytes_also_after_an_interruption(dataset, out):
    first = (out / "power.json").read_bytes()
    kept = sorted((out / "finds").iterdir())
    assert len(kept) == 4
    before = {path: path.stat().st_mtime_ns for path in kept[1:]}
    kept[0].unlink()
    benchmark(out, dataset, workers=1)
    assert (out / "power.json").read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in kept[1:]} == before


def test_the_page_leads_nowhere_else(out):
    page = (out / "power.html").read_text()
    assert page.count('<img src="data:') == 2
    assert "http" not in page.split("base64")[0]
    assert "matched filter" in page


def test_a_report_shows_the_curves(dataset, out, tmp_path):
    report = evaluate(dataset, tmp_path / "report", rivals=out / "power.json")
    names = [one.name for one in report.classes["hotspot"].rivals]
    assert names == ["DAOStarFinder", "sep", "LoG", *(f"{n}, hits cleaned" for n in ("DAOStarFinder", "sep", "LoG")),
                     "matched filter"]  # fmt: skip
    assert "the ceiling" in (tmp_path / "report" / "report.html").read_text()
    held = json.loads((tmp_path / "report" / "report.json").read_text())
    assert held["classes"]["plume"]["rivals"][0]["name"] == "limb annulus"


def test_seeds_of_tuning_and_test_must_differ(tmp_path):
    with pytest.raises(InputError, match="62001 is that of the tuning frames too"):
        benchmark(tmp_path, seed=62001, tuning_seed=62001)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"about": {"test": {}}, "classes": {"plume": {"budgets": []}}}'])
def test_what_is_no_power_json_is_said(content, tmp_path):
    path = tmp_path / "power.json"
    path.write_text(content)
    with pytest.raises(InputError, match="benchmark power"):
        read_rivals(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_rivals(tmp_path / "missing.json")
