"""The measurements hold up on simulated frames: loose bounds on a handful, the figures are of hundreds."""

from __future__ import annotations

import numpy as np
import pytest

from detector.detect import Detector
from training import measure_trial
from training.measure_trial import HALOES, Case, found_by, measured, summary
from training.simulate.product import expose
from training.simulate.recipe import Recipe


def cases(kind: str, count: int) -> list[Case]:
    draw = getattr(measure_trial, f"{kind}_cases")
    return [case for index in range(count) for case in draw(4242, index, measure_trial.measured)]


def errors(some: list[Case]) -> float:
    return float(np.median([abs(case.error) for case in some]))


def covered(some: list[Case]) -> float:
    return float(np.mean([abs(case.found - case.true) <= case.sigma for case in some]))


def test_plumes() -> None:
    found = cases("plume", 120)
    heights = [case for case in found if case.what == "height" and case.about not in HALOES]
    assert len(heights) >= 5
    assert errors(heights) < 0.25
    assert covered(heights) > 0.4
    assert np.median([case.found for case in found if case.what == "vent"]) < 1.0


def test_powers() -> None:
    found = [case for case in cases("power", 25) if "SATURATED" not in case.flags]
    assert len(found) >= 20
    assert errors(found) < 0.2
    assert covered(found) > 0.5


def test_temperatures() -> None:
    found = [case for case in cases("temperature", 15) if 400 <= case.true <= 1200]
    assert len(found) >= 8
    assert np.median([abs(case.found - case.true) for case in found]) < 80
    assert covered(found) > 0.5


def test_summary_counts_what_lies_within_a_sigma() -> None:
    some = [
        Case("height", "jet", 20.0, 100.0, found, 10.0, instrument=name, size_px=size)
        for found, name, size in ((95.0, "sru", 4.0), (108.0, "lorri", 7.0), (120.0, "sru", 5.0), (99.0, "sru", 30.0))
    ]
    lines = summary(some)
    assert lines[0] == "plume height over the limb: 4, median |error| 6.5 %, bias +3.5 %, within one sigma 75 %"
    assert lines[1].startswith("  lorri: 1, median |error| 8.0 %")
    assert lines[2].startswith("  sru: 3, median |error| 5.0 %")
    sizes = [line.split(":")[0].strip() for line in lines[3:6]]
    assert sizes == ["3 to 6 px high", "6 to 12 px high", "25 to 1000 px high"]
    assert "3 to 6 px high: 2, median |error| 12.5 %" in lines[3]


@pytest.mark.parametrize("kind", ["plume", "power", "temperature"])
def test_a_trial_is_the_same_every_time(kind: str) -> None:
    assert cases(kind, 4) == cases(kind, 4)


def test_what_the_detector_finds_is_measured_at_the_same_objects() -> None:
    """Of every object that the detector found, the truth's own measurement names the same one, at the same place."""
    by_model, known = found_by(Detector()), 0
    for index in range(40):
        (sample,) = expose("ssi", Recipe(no_limb=0.0, empty=0.0, place="limb", eclipse=0.0), 4242, index).samples
        places = {id(thing): (row.x_px, row.y_px) for thing, row in measured(sample)}
        for thing, row in by_model(sample):
            assert row.kind == thing.kind
            if id(thing) in places:
                known += 1
                x, y = places[id(thing)]
                assert abs(row.x_px - x) < 0.5 * thing.mask.shape[1] + 2
                assert abs(row.y_px - y) < 0.5 * thing.mask.shape[0] + 2
    assert known >= 3
