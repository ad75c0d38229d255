"""Pictures taken anew: the limb and what was kept in sight lie where the turned picture shows them."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.detect import Detector
from detector.errors import InputError
from detector.frame import Frame
from detector.limb import Limb, find_limb
from detector.session import Model
from training.retakes import ENLARGED, LARGEST_DISK, SMALLEST_DISK_PX, Known, retake, retaken, trial

LIMB = Limb(300.0, 280.0, 200.0)
MARK = (300.0 + 232.0, 280.0)
"""A bright dot beyond the limb."""


@pytest.fixture(scope="module")
def frame() -> Frame:
    y, x = np.mgrid[:560, :600].astype(np.float32)
    distance = np.hypot(x - LIMB.x_px, y - LIMB.y_px)
    disk = 90 * np.clip(LIMB.radius_px - distance + 0.5, 0, 1) * (1 - 0.2 * (distance / LIMB.radius_px) ** 2)
    dot = 250 * np.exp(-((x - MARK[0]) ** 2 + (y - MARK[1]) ** 2) / (2 * 6.0**2))
    return Frame.of(cv2.GaussianBlur((disk + dot + 5).astype(np.float32), (0, 0), 1.0), unit="luminance")


@pytest.mark.parametrize("seed", range(8))
def test_limb_and_mark_lie_where_the_retake_shows_them(frame: Frame, seed: int) -> None:
    one = retake(frame, LIMB, np.random.default_rng(seed), MARK)
    rows, columns = one.frame.shape
    assert SMALLEST_DISK_PX <= one.limb.radius_px <= min(LARGEST_DISK * rows, ENLARGED * LIMB.radius_px)
    scale = one.limb.radius_px / LIMB.radius_px
    y, x = np.mgrid[:rows, :columns]
    beyond = np.hypot(x - one.limb.x_px, y - one.limb.y_px) > 1.05 * one.limb.radius_px
    sky = np.where(beyond, cv2.GaussianBlur(one.frame.image, (0, 0), 1.5), 0)
    brightest = np.unravel_index(int(sky.argmax()), sky.shape)
    assert math.dist((brightest[1], brightest[0]), one.point) < 3 + 6 * scale
    assert math.dist(one.point, (one.limb.x_px, one.limb.y_px)) == pytest.approx(232 * scale, rel=1e-6)


def test_the_finder_agrees_with_where_the_limb_is_said_to_be(frame: Frame) -> None:
    right = 0
    for seed in range(12):
        one = retake(frame, LIMB, np.random.default_rng(100 + seed), MARK)
        found = find_limb(one.frame)
        right += found.trusted and math.dist((found.x_px, found.y_px), (one.limb.x_px, one.limb.y_px)) < 2
    assert right >= 10


def test_a_retake_is_eight_bits_and_repeatable(frame: Frame) -> None:
    first, again = (retaken(frame, np.random.default_rng(4)) for _ in "12")
    assert np.array_equal(first.image, again.image)
    assert set(np.unique(first.image)) <= set(range(256))
    assert first.valid.all()
    assert max(first.shape) <= max(frame.shape)
    assert not np.array_equal(first.image, retaken(frame, np.random.default_rng(5)).image)


def test_a_picture_is_named_with_its_plume_and_its_limb(tmp_path: Path) -> None:
    assert Known.read("io.jpg") == Known(Path("io.jpg"))
    assert Known.read("a/io.jpg@282,40.5") == Known(Path("a/io.jpg"), (282.0, 40.5))
    for text in ("io.jpg@282,40@330,339.5,295", "io.jpg@330,339.5,295@282,40"):
        limb = Limb(330.0, 339.5, 295.0, source="user")
        assert Known.read(text) == Known(Path("io.jpg"), (282.0, 40.0), limb)
    odd = tmp_path / "io@1,2"
    odd.write_text("a file of that very name")
    assert Known.read(str(odd)) == Known(odd)
    assert Known.read(f"{odd}@3,4") == Known(odd, (3.0, 4.0))
    for wrong in ("here", "1", "1,2,3,4", ""):
        with pytest.raises(InputError, match=rf"'{wrong}' is neither X,Y nor X,Y,RADIUS"):
            Known.read(f"io.jpg@{wrong}")


def test_a_limb_that_is_told_is_the_truth(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:300, :300]
    disk = 20 + 180 * (np.hypot(columns - 150, rows - 140) < 100)
    file = tmp_path / "disk.png"
    cv2.imwrite(str(file), disk.astype(np.uint8))
    detector = Detector(Model.open(device="cpu"))
    (own,) = trial([Known(file)], 6, 3, detector)
    (told,) = trial([Known.read(f"{file}@150,140,100")], 6, 3, detector)
    (elsewhere,) = trial([Known.read(f"{file}@160,140,100")], 6, 3, detector)
    assert own.limbs == told.limbs == own.retakes > 3
    assert told.limbs > elsewhere.limbs


def test_the_real_c9_picture_taken_anew(shared: Path) -> None:
    picture = shared / "data" / "look" / "galileo_c9_pillan_plume_limb_prometheus_disk.jpg"
    seen: list[tuple[int, int]] = []
    known = Known(picture, (282.0, 40.0))
    (count,) = trial([known], 8, 5, Detector(Model.open(device="cpu")), lambda *at: seen.append(at))
    assert seen[-1] == (8, 8)
    assert count.asked
    assert 4 <= count.retakes <= 8
    assert count.limbs >= count.retakes - 2
    assert count.found >= count.retakes - 3
    assert sum(count.false.values()) <= 2
    assert count.line().startswith(f"{picture.name}: {count.retakes} retakes, limb right on {count.limbs}, its plume")


def test_a_picture_without_a_limb_is_refused(tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.random.default_rng(0).integers(0, 9, (200, 200)).astype(np.uint8))
    with pytest.raises(InputError, match="no limb is trusted in it"):
        trial([Known(blank)], 1, 0, Detector(Model.open(device="cpu")))
    with pytest.raises(InputError, match="lies beside its 200 x 200 px"):
        trial([Known(blank, (200.0, 5.0))], 1, 0, Detector(Model.open(device="cpu")))
    with pytest.raises(InputError, match=r"nowhere\.png: is no picture"):
        trial([Known(tmp_path / "nowhere.png")], 1, 0, Detector(Model.open(device="cpu")))
