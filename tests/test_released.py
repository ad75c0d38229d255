"""The released model file, on the sample frames in the repository and on the real picture with a plume."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from detector import Detector, Frame, read_frames
from detector.agreement import agreed
from detector.limb_glance import RELEASED as GLANCE_NETWORK
from detector.limb_look import RELEASED as LOOK_NETWORK
from detector.modelfile import checked_digest
from detector.products import find_products
from detector.session import RELEASED, Model
from detector.timeseries import HALF_FOUND_SNR
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


@pytest.mark.parametrize(("network", "largest"), [(GLANCE_NETWORK, 4_000_000), (LOOK_NETWORK, 2_000_000)])
def test_the_limbs_networks_are_small_and_say_where_they_come_from(network: Path, largest: int) -> None:
    assert network.stat().st_size < largest
    assert network.with_suffix(".sha256").read_text().split()[0] == checked_digest(network)
    assert network.with_suffix(".md").read_text().startswith(f"# {network.stem}")
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["training"])["seen"] > 40_000


def test_the_upper_limits_of_a_time_series_rest_on_the_card(detector: Detector) -> None:
    validation = detector.model.card.scores["validation"]
    for point, kinds in HALF_FOUND_SNR[detector.model.name].items():
        assert kinds == {kind: validation[f"{point} {kind}"]["half_found_snr_mf"] for kind in kinds}


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
    for result in agreed(detector.many(frames)):
        (plume,) = result.detections
        assert plume.kind == "plume"
        assert 260 < plume.x_px < 305
        assert 24 < plume.y_px < 52


TREATMENTS = {
    "a quarter of the size": lambda grey: cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
    "a disk of 44 px": lambda grey: cv2.resize(grey, None, fx=0.15, fy=0.15, interpolation=cv2.INTER_AREA),
    "twice the size": lambda grey: cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "gamma 0.5": lambda grey: 255 * (grey / 255) ** 0.5,
    "gamma 2": lambda grey: 255 * (grey / 255) ** 2,
    "noise of 10 grey levels": lambda grey: np.clip(grey + np.random.default_rng(0).normal(0, 10, grey.shape), 0, 255),
    "overexposed": lambda grey: np.clip(3 * grey, 0, 255),
    "pedestal and gradient": lambda grey: grey + 40 + np.linspace(0, 20, grey.shape[1])[None],
    "blurred": lambda grey: cv2.GaussianBlur(grey, (0, 0), 2),
    "the upper part only": lambda grey: grey[:200],
    "the left half only": lambda grey: grey[:, :330],
}


@pytest.mark.parametrize("treatment", sorted(TREATMENTS))
def test_it_finds_pillan_however_the_picture_was_treated(detector: Detector, shared: Path, treatment: str) -> None:
    path = shared / "data" / "look" / "galileo_c9_pillan_plume_limb_prometheus_disk.jpg"
    grey = TREATMENTS[treatment](cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32))
    scale = {"a quarter of the size": 0.25, "a disk of 44 px": 0.15, "twice the size": 2.0}.get(treatment, 1.0)
    (plume,) = (d for d in detector(Frame.of(grey, unit="luminance")).detections if d.kind == "plume")
    assert plume.x_px / scale == pytest.approx(282, abs=8)
    assert plume.y_px / scale == pytest.approx(40, abs=8)


def test_the_real_disks_without_a_plume_show_none(detector: Detector, shared: Path) -> None:
    for name in ("PIA02309-io-main.jpg", "PIA00320-loki.jpg"):
        frame = read_frames(find_products([shared / "data" / "look" / name])[0])[0]
        result = detector(frame)
        assert result.limb.trusted
        assert result.detections == ()
