"""The released model file, on the sample frames in the repository and on the real picture with a plume."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector import Detector, read_frames
from detector.products import find_products
from detector.session import RELEASED, Model
from training.labels import check_dataset, read_dataset

SAMPLES = Path(__file__).resolve().parent / "samples"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(Model.open(device="cpu"))


def test_the_released_file_is_small_and_says_what_it_is(detector: Detector) -> None:
    card = detector.model.card
    assert RELEASED.stat().st_size < 10_000_000
    assert RELEASED.with_suffix(".sha256").read_text().split()[0] == detector.model.sha256
    assert RELEASED.with_suffix(".md").read_text().startswith(f"# {card.name} {card.version}")
    assert card.parity["largest_gap"] < 1e-3
    assert card.parity["unmatched_regions"] == 0
    assert card.limits


def test_the_sample_frames_are_a_sound_dataset() -> None:
    assert check_dataset(SAMPLES) == []


def test_it_finds_the_plumes_and_the_hot_spot_of_the_ssi_sample(detector: Detector) -> None:
    (frame,) = read_frames(find_products([SAMPLES / "frames" / "C0350040000R.LBL"])[0])
    truth = next(labelled for labelled in read_dataset(SAMPLES) if labelled.frame_id == frame.id)
    result = detector(frame)
    assert [d.kind for d in result.detections] == ["plume", "plume", "hotspot"]
    for thing in truth.objects:
        own = thing.mask(frame.shape)
        plane = result.mask.plume if thing.kind == "plume" else result.mask.hotspot
        assert (plane & own).any(), thing


def test_it_finds_pillan_on_the_limb_of_the_real_c9_picture(detector: Detector, shared: Path) -> None:
    (product,) = find_products([shared / "data" / "look" / "galileo_c9_pillan_plume_limb_prometheus_disk.jpg"])
    frames = read_frames(product)
    assert [frame.filter for frame in frames] == ["LUMINANCE", "RED", "GREEN", "BLUE"]
    for frame in frames:
        (plume,) = (d for d in detector(frame).detections if d.kind == "plume")
        assert 260 < plume.x_px < 305
        assert 24 < plume.y_px < 52


def test_the_real_disks_without_a_plume_show_none(detector: Detector, shared: Path) -> None:
    for name in ("PIA02309-io-main.jpg", "PIA00320-loki.jpg"):
        frame = read_frames(find_products([shared / "data" / "look" / name])[0])[0]
        result = detector(frame)
        assert result.limb.trusted
        assert result.detections == ()
