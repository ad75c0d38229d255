"""The judge of regions: trees walked by hand, features measured on drawn spots, files that are refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.card import Threshold
from detector.errors import ModelError
from detector.frame import IO_RADIUS_KM, Frame, View
from detector.judge import FEATURES, MOST_RADII, Judge, Tree, features_of, likely
from detector.limb import Limb
from detector.regions import Region, find_regions

NO_LIMB = Limb.none("none drawn")
EASY = {kind: Threshold(seed=0.1, grow=0.1, min_area_px=1) for kind in ("plume", "hotspot")}
STUMP = Tree(feature=(2, -1, 0, -1, -1), threshold=(1.5, 0, -0.5, 0, 0), left=(1, 0, 3, 0, 0), right=(2, 0, 4, 0, 0),
             value=(0, 1.0, 0, 2.0, 3.0))  # fmt: skip


def spot(sigma_px: float, shape: tuple[int, int] = (60, 70), at: tuple[float, float] = (31.2, 24.7)) -> Frame:
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * sigma_px**2))
    noise = np.random.default_rng(1).normal(0, 1, shape)
    return Frame.of((200 * light + 10 + noise).astype(np.float32))


def found_in(frame: Frame, box: tuple[slice, slice], kind: int = 1) -> tuple[np.ndarray, tuple[Region, ...]]:
    """Scores that call this box a region, and the region."""
    scores = np.zeros((2, *frame.shape), np.float32)
    scores[(kind, *box)] = 0.9
    return scores, find_regions(scores, EASY, NO_LIMB)


def named(row: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, row.tolist(), strict=True))


def test_a_tree_is_walked_by_hand() -> None:
    rows = np.zeros((4, len(FEATURES)), np.float32)
    rows[:, 2] = [1.5, 1.6, 1.6, -9]  # at most the threshold goes left
    rows[:, 0] = [7, -0.5, 0, 0]
    assert STUMP(rows).tolist() == [1.0, 2.0, 3.0, 1.0]


def test_the_odds_add_up() -> None:
    judge = Judge(start={"plume": -1.0}, trees={"plume": (STUMP, STUMP)})
    row = np.zeros((1, len(FEATURES)))
    assert judge.probability("plume", row)[0] == pytest.approx(1 / (1 + math.exp(1.0 - 2 * 1.0)))


@pytest.mark.parametrize("sigma_px", [0.5, 0.7, 1.0, 1.4])
def test_a_point_s_image_is_recognised_and_its_width_measured(sigma_px: float) -> None:
    frame = spot(sigma_px)
    scores, regions = found_in(frame, np.s_[23:27, 30:34])
    row = named(features_of(frame, NO_LIMB, scores, regions)[0])
    assert row["width"] == sigma_px
    assert row["misfit"] < math.log(0.02)  # less than 2 % of the light is not a point's
    assert row["peak_snr"] == pytest.approx(math.asinh(200), abs=0.5)


def test_a_track_is_no_point() -> None:
    image = np.random.default_rng(2).normal(10, 1, (60, 70))
    image[range(20, 28), range(30, 38)] += 150
    frame = Frame.of(image.astype(np.float32))
    scores, regions = found_in(frame, np.s_[20:28, 30:38])
    assert named(features_of(frame, NO_LIMB, scores, regions)[0])["misfit"] > math.log(0.2)


def test_place_is_measured_from_the_limb() -> None:
    """A box of rows 18..21 and columns 34..36 over a disk of 20 px round (35, 40)."""
    frame = spot(0.7, at=(35, 19))
    scores, _ = found_in(frame, np.s_[18:22, 34:37], kind=0)
    limb = Limb(35.0, 40.0, 20.0, 0.1, arc_deg=180.0)
    regions = find_regions(scores, EASY, limb)
    row = named(features_of(frame, limb, scores, regions)[0])
    assert (row["limb"], row["arc"]) == (1.0, 0.5)
    assert row["peak_altitude"] == pytest.approx(0.05)  # 21 px from the centre
    assert row["top"] == pytest.approx(math.hypot(1, 22) / 20 - 1)
    assert row["bottom"] == pytest.approx(19 / 20 - 1)
    assert row["span"] * 60 == pytest.approx(2 * math.degrees(math.atan2(1, 19)))


def test_without_a_limb_there_is_no_place() -> None:
    frame = spot(0.7)
    scores, regions = found_in(frame, np.s_[23:27, 30:34])
    row = named(features_of(frame, NO_LIMB, scores, regions)[0])
    assert all(row[name] == 0 for name in ("limb", "log_radius", "arc", "peak_altitude", "top", "bottom", "span"))


@given(st.integers(0, 58), st.integers(0, 68), st.booleans())
def test_features_are_finite_wherever_a_region_lies(y: int, x: int, seen: bool) -> None:
    frame = spot(0.7)
    valid = frame.valid.copy()
    valid[:30] = seen
    scores, regions = found_in(replace(frame, valid=valid), np.s_[y : y + 2, x : x + 2])
    rows = features_of(replace(frame, valid=valid), Limb(30.0, 30.0, 20.0), scores, regions)
    assert rows.shape == (1, len(FEATURES))
    assert np.isfinite(rows).all()


def test_only_a_judged_class_gets_a_new_score_and_the_order_follows() -> None:
    frame = spot(0.7)
    scores = np.zeros((2, *frame.shape), np.float32)
    scores[1, 23:27, 30:34], scores[1, 50:52, 5:7], scores[0, 40:44, 40:44] = 0.5, 0.9, 0.8
    regions = find_regions(scores, EASY, NO_LIMB)
    bright = FEATURES.index("peak_snr")
    tree = Tree(feature=(bright, -1, -1), threshold=(4.0, 0, 0), left=(1, 0, 0), right=(2, 0, 0), value=(0, -2, 2))
    judged = Judge(start={"hotspot": 0.0}, trees={"hotspot": (tree,)})(frame, NO_LIMB, scores, regions)
    assert [(r.kind, r.y0) for r in regions] == [("plume", 40), ("hotspot", 50), ("hotspot", 23)]
    assert [(r.kind, r.y0) for r in judged] == [("plume", 40), ("hotspot", 23), ("hotspot", 50)]
    assert [r.score for r in judged] == pytest.approx([0.8, 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))])
    limits = {kind: t.model_copy(update={"score": 0.5}) for kind, t in EASY.items()}
    assert [r.y0 for r in likely(judged, limits)] == [40, 23]


def test_trees_find_their_columns_by_name() -> None:
    """A judge fitted on fewer features than are measured now."""
    judge = Judge(features=FEATURES[3:6], start={"plume": 0.0}, trees={"plume": (STUMP,)})
    row = np.zeros((1, len(FEATURES)))
    row[0, 3:6] = [-1.0, 0.0, 9.0]  # STUMP asks for columns 2 and 0
    assert judge.probability("plume", row)[0] == pytest.approx(1 / (1 + math.exp(-2.0)))
    row[0, 5] = 1.0
    assert judge.probability("plume", row)[0] == pytest.approx(1 / (1 + math.exp(-1.0)))


def spots_at(places: list[tuple[int, int]], light: list[float]) -> tuple[Frame, np.ndarray, tuple[Region, ...]]:
    """Single bright pixels at (x, y) of a frame of 200 x 100, scores that find them, and the regions in that order."""
    image = np.random.default_rng(3).normal(0, 1, (100, 200)).astype(np.float32)
    scores = np.zeros((2, 100, 200), np.float32)
    for n, ((x, y), peak) in enumerate(zip(places, light, strict=True)):
        image[y, x] = peak
        scores[1, y, x] = 0.9 - 0.1 * n
    return Frame.of(image), scores, find_regions(scores, EASY, NO_LIMB)


def test_fellows_within_io_s_diameter_are_counted() -> None:
    """Io's radius is 10 px by the label: two spots 12 px apart are together, the third, 90 px off, is not."""
    frame, scores, regions = spots_at([(50, 50), (62, 50), (140, 50)], [400.0, 100.0, 200.0])
    view = View(source="label", target="IO", range_km=IO_RADIUS_KM / math.sin(math.atan(0.1)), ifov_rad=0.01)
    known = replace(frame, view=view)
    assert known.view.io_radius_px == pytest.approx(10.0)
    first, second, third = (named(row) for row in features_of(known, NO_LIMB, scores, regions))
    assert [each["near_fellows"] for each in (first, second, third)] == [math.log(2), math.log(2), 0]
    assert [each["near_share"] for each in (first, second, third)] == [0.5, 0.5, 0.0]
    assert (first["nearest"], third["nearest"]) == (pytest.approx(1.2), pytest.approx(7.8))
    assert [each["brighter"] for each in (first, second, third)] == [0.0, 1.0, 0.5]
    assert first["over_brightest"] == pytest.approx(math.asinh(400) - math.asinh(200), abs=0.1)
    assert (first["range_known"], first["place_foreseen"]) == (1.0, 0.0)
    assert first["foreseen_radius"] == pytest.approx(math.log(10 / 50))


def test_a_lone_region_has_no_company() -> None:
    frame, scores, regions = spots_at([(50, 50)], [400.0])
    row = named(features_of(frame, NO_LIMB, scores, regions)[0])
    assert (row["near_fellows"], row["near_share"], row["nearest"], row["brighter"]) == (0, 1, MOST_RADII, 0)


def test_distance_from_where_io_is_foreseen() -> None:
    frame, scores, regions = spots_at([(53, 54), (190, 50)], [400.0, 300.0])
    view = View(
        source="spice", target="IO", range_km=IO_RADIUS_KM / math.sin(math.atan(0.1)), ifov_rad=0.01,
        centre_x_px=50.0, centre_y_px=50.0,
    )  # fmt: skip
    near, far = (named(row) for row in features_of(replace(frame, view=view), NO_LIMB, scores, regions))
    assert (near["place_foreseen"], near["foreseen_offset"]) == (1.0, pytest.approx(0.5))
    assert far["foreseen_offset"] == MOST_RADII


def test_a_judge_survives_being_written_and_one_for_other_features_is_refused(tmp_path) -> None:
    judge = Judge(start={"plume": 0.1}, trees={"plume": (STUMP,)})
    assert Judge.read(judge.model_dump_json(), tmp_path) == judge
    with pytest.raises(ModelError, match="does not know: colour"):
        Judge.read(judge.model_copy(update={"features": (*FEATURES, "colour")}).model_dump_json(), tmp_path)
    with pytest.raises(ModelError, match="not valid"):
        Judge.read('{"trees": 3}', tmp_path)
