"""Real pictures taken anew with their limb: how they are named, and that the limb is where it is said to be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.errors import InputError
from training.retaken_limbs import KnownLimb, retaken_limb, standing_out


@pytest.fixture
def picture(tmp_path: Path) -> KnownLimb:
    """A half-lit disk: bright to the right, dark to the left, sky all round."""
    y, x = np.mgrid[:500, :600]
    disk = np.clip(180 - np.hypot(x - 320, y - 240), 0, 1) * np.clip((x - 300) / 60, 0.0, 1)
    file = tmp_path / "half.png"
    cv2.imwrite(str(file), (20 + 200 * disk).astype(np.uint8))
    return KnownLimb.read(f"{file}@320,240,180")


def test_the_lit_half_of_the_limb_stands_out(picture: KnownLimb) -> None:
    from training.retaken_limbs import _frame

    seen = standing_out(_frame(picture.file), picture.circle)
    assert seen[:80].all()
    assert seen[281:].all()
    assert not seen[110:250].any()


def test_a_retake_has_its_limb_where_it_steps(picture: KnownLimb) -> None:
    counts = []
    for k in range(12):
        one = retaken_limb((picture,), np.random.default_rng(k))
        counts.append(int(one.stands_out.sum()))
        assert one.circle.r <= 1.5 * 180
    assert np.median(counts) > 60
    again = retaken_limb((picture,), np.random.default_rng(3))
    np.testing.assert_array_equal(again.frame.image, retaken_limb((picture,), np.random.default_rng(3)).frame.image)


@pytest.mark.parametrize("text", ["io.jpg", "io.jpg@1,2", "io.jpg@1,2,x", "io.jpg@1,2,-3"])
def test_a_limb_that_is_no_circle_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"io\.jpg@330,339,295"):
        KnownLimb.read(text)


def test_a_name_does_not_tell_where_files_lie() -> None:
    assert KnownLimb.read("a/b@c/io.jpg@330,339.5,295").named == "io.jpg@330,339.5,295"
