"""Weak finds of one plane alone go, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detector.agreement import agreed
from detector.card import Threshold
from detector.detect import Result
from detector.frame import Frame
from detector.limb import Limb
from detector.measure import measure
from detector.regions import find_regions

EASY = {kind: Threshold(seed=0.1, grow=0.1, min_area_px=1) for kind in ("plume", "hotspot")}
LIMB = Limb(30.0, 40.0, 20.0, 0.2)


def plane(name: str, spots: dict[tuple[int, int], float], instrument: str = "unknown") -> Result:
    """A picture's plane with 2 x 2 hot spots: (column, row) -> score."""
    image = np.random.default_rng(1).normal(10, 1, (60, 70))
    scores = np.zeros((2, 60, 70), np.float32)
    for (x, y), score in spots.items():
        scores[1, y : y + 2, x : x + 2] = score
        image[y : y + 2, x : x + 2] += 50
    frame = Frame.of(image.astype(np.float32), id=f"picture{name}", instrument=instrument, filter=name)
    regions = find_regions(scores, EASY, LIMB)
    return Result(frame, LIMB, scores, regions, measure(frame, LIMB, regions, "m@1"), "m@1", "confident", EASY)


def found(result: Result) -> list[tuple[int, int]]:
    assert [d.bbox_x0_px for d in result.detections] == [r.x0 for r in result.regions]
    return sorted((r.x0, r.y0) for r in result.regions)


def test_a_weak_find_needs_a_second_plane() -> None:
    red = plane("RED", {(30, 40): 0.5, (20, 40): 0.5, (25, 30): 0.95})
    blue = plane("BLUE", {(31, 41): 0.4})  # shares one pixel with the first
    first, second = agreed([red, blue])
    assert found(first) == [(25, 30), (30, 40)]
    assert found(second) == [(31, 41)]
    assert "left out 1 weak find" in first.frame.warnings[-1]
    assert not second.frame.warnings


@pytest.mark.parametrize("instrument", ["junocam", "jiram"])
def test_filters_of_a_camera_are_not_compared(instrument: str) -> None:
    results = [plane("RED", {(30, 40): 0.3}, instrument), plane("BLUE", {}, instrument)]
    assert agreed(results) == tuple(results)


def test_a_single_picture_keeps_its_weak_finds() -> None:
    alone = plane("", {(30, 40): 0.3})
    assert agreed([alone]) == (alone,)


def test_a_plane_of_another_size_supports_nothing() -> None:
    other = plane("BLUE", {(30, 40): 0.3})
    small = replace(other, frame=Frame.of(np.zeros((50, 50), np.float32), instrument="unknown", filter="BLUE"))
    assert found(agreed([plane("RED", {(30, 40): 0.3}), small])[0]) == []
