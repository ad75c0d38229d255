"""Metrics agree with pycocotools and scikit-learn on the same masks to 1e-6, and with counts by hand exactly."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, precision_score, recall_score

from detector.regions import Region
from training.labels import Truth, coco
from training.metrics import (
    FALSE_ALARM,
    MIN_IOU,
    Tally,
    average_precision,
    froc,
    match_objects,
    object_iou,
    pixel_tally,
)

SHAPE = (64, 80)
CLOSE = 1e-6


def code(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


# -- pixels -----------------------------------------------------------------------------------------------------------

PLANE = hnp.arrays(bool, (6, 7))


@given(PLANE, PLANE)
@settings(deadline=None)
def test_pixels_empty_sets_and_all(predicted, true):
    """Scikit-learn with 1 for 0/0; pycocotools' IoU and areas."""
    tally = pixel_tally(predicted, true, np.ones_like(true))
    pair, nothing = (true.ravel(), predicted.ravel()), {"zero_division": 1}
    assert tally.precision == pytest.approx(precision_score(*pair, **nothing), abs=CLOSE)
    assert tally.recall == pytest.approx(recall_score(*pair, **nothing), abs=CLOSE)
    assert tally.f1 == pytest.approx(f1_score(*pair, **nothing), abs=CLOSE)
    assert tally.iou == pytest.approx(jaccard_score(*pair, **nothing), abs=CLOSE)
    mine, theirs = code(predicted), code(true)
    assert tally.tp == coco_mask.area(coco_mask.merge([mine, theirs], intersect=True))
    assert (tally.tp + tally.fp, tally.tp + tally.fn) == (coco_mask.area(mine), coco_mask.area(theirs))
    if predicted.any() or true.any():
        assert tally.iou == pytest.approx(float(coco_mask.iou([mine], [theirs], [0])[0, 0]), abs=CLOSE)


def test_pixels_by_hand():
    # 5 x 4 = 20 true; 4 x 5 = 20 claimed; they share 4 x 4 = 16; the last row, 5 pixels of neither, was not looked at
    true, claimed, known = np.zeros((3, *SHAPE), bool)
    true[10:15, 10:14], claimed[10:14, 10:15], known[:14] = True, True, True
    tally = pixel_tally(claimed, true, known)
    assert (tally.tp, tally.fp, tally.fn) == (16, 4, 0)  # the 4 missed lie where nobody looked
    assert (tally.precision, tally.recall, tally.iou, tally.f1) == (16 / 20, 1.0, 16 / 20, 32 / 36)


@given(PLANE, PLANE)
def test_object_iou_is_that_of_pycocotools(one, other):
    if not (one.any() and other.any()):
        return
    cut = Truth.cut("x", "plume", other)
    found = Region("plume", 0.9, cut.x0_px, cut.y0_px, cut.patch)
    wanted = float(coco_mask.iou([code(other)], [code(one)], [0])[0, 0])
    assert object_iou(Truth.cut("y", "plume", one), found) == pytest.approx(wanted, abs=CLOSE)


# -- objects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Frames with true objects in cells of 16 pixels, and regions that fit, miss, repeat or invent."""

    truths: tuple[tuple[Truth, ...], ...]
    regions: tuple[tuple[Region, ...], ...]

    @classmethod
    def drawn(cls, seed: int, frames: int = 6) -> Scene:
        rng = np.random.default_rng(seed)
        pairs = [cls._frame(rng) for _ in range(frames)]
        return cls(tuple(truths for truths, _ in pairs), tuple(regions for _, regions in pairs))

    @staticmethod
    def _frame(rng: np.random.Generator) -> tuple[tuple[Truth, ...], tuple[Region, ...]]:
        truths, regions = [], []
        for row in range(0, SHAPE[0], 16):
            for column in range(0, SHAPE[1], 16):
                kind = str(rng.choice(["plume", "hotspot"]))
                height, width = rng.integers(4, 8, 2)
                if rng.random() < 0.5:
                    mask = np.zeros(SHAPE, bool)
                    box = slice(row + 3, row + 3 + height), slice(column + 3, column + 3 + width)
                    mask[box] = rng.random((height, width)) < 0.9
                    truths.append(Truth.cut(f"{row}-{column}", kind, mask, snr_mf=20.0))
                for _ in range(rng.integers(3)):  # none, one, or two on one object
                    y, x = row + 3 + rng.integers(0, 4), column + 3 + rng.integers(0, 4)
                    pixels = rng.random((height, width)) < 0.9
                    regions.append(Region(kind, float(rng.random()), int(x), int(y), pixels))
        return tuple(truths), tuple(regions)

    def apart(self) -> Scene:
        """Without the regions that are a pair by the distance of their centre alone: COCO knows IoU only."""
        kept = tuple(
            tuple(region for region in regions if _clear(region, truths))
            for truths, regions in zip(self.truths, self.regions, strict=True)
        )
        return Scene(self.truths, kept)

    def matched(self) -> list:
        scores = np.ones((2, *SHAPE), np.float32)
        return [match_objects(*pair, scores) for pair in zip(self.truths, self.regions, strict=True)]


def _clear(region: Region, truths: tuple[Truth, ...]) -> bool:
    """Whether a region overlaps an object by enough, or lies far from all."""
    overlaps = [object_iou(truth, region) for truth in truths if truth.kind == region.kind]
    scores = np.ones((2, *SHAPE), np.float32)
    near = match_objects([truth for truth in truths if truth.kind == region.kind], [region], scores)
    return max(overlaps, default=0.0) >= MIN_IOU or near.of_region == (FALSE_ALARM,)


def coco_eval(scene: Scene, kind: str, levels: np.ndarray) -> COCOeval:
    """What pycocotools makes of a scene at our IoU: greedy by score, one to one."""
    images = [{"id": n, "file_name": f"{n}", "height": SHAPE[0], "width": SHAPE[1]} for n in range(len(scene.truths))]
    truths = [
        [coco.annotation(truth.kind, "", truth.mask(SHAPE)) for truth in some] for some in scene.truths
    ]  # fmt: skip
    document = coco.document([{k: v for k, v in image.items() if k != "id"} for image in images], truths)
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = document
        ground.createIndex()
        found = [
            {"image_id": n + 1, "category_id": 1 + (region.kind == "hotspot"), "score": region.score,
             "segmentation": code(whole(region))}
            for n, some in enumerate(scene.regions) for region in some
        ]  # fmt: skip
        judge = COCOeval(ground, ground.loadRes(found), "segm")
        judge.params.iouThrs, judge.params.recThrs, judge.params.maxDets = np.array([MIN_IOU]), levels, [10_000]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.params.catIds = [1 + (kind == "hotspot")]
        judge.evaluate()
        judge.accumulate()
    return judge


def whole(region: Region) -> np.ndarray:
    plane = np.zeros(SHAPE, bool)
    plane[region.box] = region.pixels
    return plane


@pytest.mark.parametrize("seed", range(6))
def test_found_missed_and_false_objects_are_those_of_cocoeval(seed):
    scene = Scene.drawn(seed).apart()
    for kind in ("plume", "hotspot"):
        judge = coco_eval(scene, kind, np.array([0.5]))
        hits = np.concatenate([one["dtMatches"][0] > 0 for one in judge.evalImgs if one])
        demanded = sum(truth.kind == kind for some in scene.truths for truth in some)
        tally = sum((_of_kind(scene, n, kind) for n in range(len(scene.truths))), Tally())
        assert (tally.tp, tally.fp, tally.fn) == (hits.sum(), (~hits).sum(), demanded - hits.sum())
        assert tally.recall == pytest.approx(float(judge.eval["recall"][0, 0, 0, 0]), abs=CLOSE)
        assert 0 < tally.tp < demanded  # the scene asks for something
        assert tally.fp > 0


def _of_kind(scene: Scene, number: int, kind: str) -> Tally:
    truths = [one for one in scene.truths[number] if one.kind == kind]
    regions = [one for one in scene.regions[number] if one.kind == kind]
    return match_objects(truths, regions, np.ones((2, *SHAPE), np.float32)).tally


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 9), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_average_precision_is_that_of_scikit_learn_times_the_share_ever_found(hits, missed, seed):
    """And a sum over ranks of three lines; scores may tie."""
    scores = np.random.default_rng(seed).integers(1, 12, len(hits)) / 12
    hit = np.array(hits)
    objects = int(hit.sum()) + missed
    ours = average_precision(scores[hit], scores[~hit], objects)
    if not hit.any():
        assert np.isnan(ours) if not objects else ours == 0
        return
    assert ours == pytest.approx(average_precision_score(hit, scores) * hit.sum() / objects, abs=CLOSE)
    levels = np.unique(scores)[::-1]
    tp = np.array([(hit & (scores >= level)).sum() for level in levels])
    claimed = np.array([(scores >= level).sum() for level in levels])
    assert ours == pytest.approx(float((np.diff(tp, prepend=0) / objects * tp / claimed).sum()), abs=CLOSE)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_cocoeval_where_interpolation_changes_nothing(seed):
    """COCO replaces each precision by the best at any higher recall: the same where true regions outrank false ones."""
    scene = Scene.drawn(seed).apart()
    of_region = [match.of_region for match in scene.matched()]
    sorted_scene = Scene(
        scene.truths,
        tuple(
            tuple(
                Region(one.kind, one.score / 2 + 0.5 * (owner != FALSE_ALARM), one.x0, one.y0, one.pixels)
                for one, owner in zip(regions, owners, strict=True)
            )
            for regions, owners in zip(scene.regions, of_region, strict=True)
        ),
    )
    for kind in ("plume", "hotspot"):
        objects = sum(truth.kind == kind for some in scene.truths for truth in some)
        pairs = [
            (one.score, owner != FALSE_ALARM)
            for match, regions in zip(sorted_scene.matched(), sorted_scene.regions, strict=True)
            for one, owner in zip(regions, match.of_region, strict=True)
            if one.kind == kind
        ]
        true, false = (np.array([score for score, right in pairs if right is want]) for want in (True, False))
        judge = coco_eval(sorted_scene, kind, np.arange(1, objects + 1) / objects)
        theirs = float(judge.eval["precision"][0, :, 0, 0, 0].mean())
        assert average_precision(true, false, objects) == pytest.approx(theirs, abs=CLOSE)
        curve = froc(true, false, objects, len(scene.truths))
        assert curve.recall[-1] == pytest.approx(float(judge.eval["recall"][0, 0, 0, 0]), abs=CLOSE)
        assert curve.false_per_frame[-1] == false.size / len(scene.truths)


def test_objects_by_hand():
    """Five objects and six regions on one frame.

    A 4 x 4 object under a 4 x 4 region shifted by one: 12 of 20, found. One under two regions: found, and one false.
    One with a region of the other class: missed, and one false. One with nothing: missed. One pixel with a region of
    one pixel beside it: found by distance. One region on nothing: false.
    """

    def truth(name: str, kind: str, rows: slice, columns: slice) -> Truth:
        mask = np.zeros(SHAPE, bool)
        mask[rows, columns] = True
        return Truth.cut(name, kind, mask, snr_mf=20.0)

    def region(kind: str, x: int, y: int, height: int = 4, width: int = 4) -> Region:
        return Region(kind, 0.9, x, y, np.ones((height, width), bool))

    truths = [
        truth("shifted", "plume", slice(0, 4), slice(0, 4)),
        truth("twice", "plume", slice(0, 4), slice(20, 24)),
        truth("other", "plume", slice(20, 24), slice(0, 4)),
        truth("none", "plume", slice(20, 24), slice(20, 24)),
        truth("pixel", "hotspot", slice(40, 41), slice(40, 41)),
    ]
    regions = [
        region("plume", 1, 0), region("plume", 20, 0), region("plume", 22, 2), region("hotspot", 0, 20),
        region("hotspot", 41, 40, 1, 1), region("plume", 60, 40),
    ]  # fmt: skip
    match = match_objects(truths, regions, np.ones((2, *SHAPE), np.float32))
    assert object_iou(truths[0], regions[0]) == 12 / 20
    assert match.of_truth == (0, 1, -1, -1, 4)
    assert match.tally == Tally(tp=3, fp=3, fn=2)
    assert (match.tally.precision, match.tally.recall, match.tally.iou) == (3 / 6, 3 / 5, 3 / 8)
