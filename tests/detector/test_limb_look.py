"""Circles laid through offsets: closed forms, and the same as what the network was trained by."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector.circle import Circle
from detector.errors import ModelError
from detector.frame import Frame
from detector.limb_look import first_looks, laid_through, last_look
from detector.limb_picture import picture_of
from detector.modelfile import checked_digest
from training import limb_task

AZIMUTH = (np.arange(128) + 0.5) / 128 * 2 * math.pi


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_a_circle_that_was_moved_is_found_whatever_the_weights(x: float, y: float, r: float) -> None:
    offset = x * np.cos(AZIMUTH) + y * np.sin(AZIMUTH) + r
    weight = 1e4 * (1 + np.cos(3 * AZIMUTH) ** 2)
    step, covariance = laid_through(offset, weight, AZIMUTH, 1e-4)
    assert step == pytest.approx([x, y, r], abs=1e-5)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_equal_weights_give_the_textbook_errors() -> None:
    """Of n equal points all round: 2 s^2 / n for x and y, s^2 / n for r."""
    _, covariance = laid_through(np.zeros(128), np.full(128, 1e6), AZIMUTH, 1e-4)
    np.testing.assert_allclose(covariance, 1e-6 * np.diag([2, 2, 1]) / 128, rtol=1e-3, atol=1e-12)


def test_a_known_radius_holds_a_short_arc_and_an_ellipse_does_not_pull_it() -> None:
    short = AZIMUTH[:20]
    offset = 0.1 * np.cos(short) + 0.02 * np.random.default_rng(3).normal(size=20)
    free, errors = laid_through(offset, np.full(20, 2500.0), short, 1e-4)
    held, fewer = laid_through(offset, np.full(20, 2500.0), short, 1e-4, (0.0, 0.005))
    assert abs(held[2]) < abs(free[2])
    assert fewer[0, 0] < 0.1 * errors[0, 0]
    ellipse = 0.05 * np.cos(2 * AZIMUTH)
    step, _ = laid_through(ellipse, np.where(AZIMUTH < 4, 1e4, 1.0), AZIMUTH, 0.1)
    stiff, _ = laid_through(ellipse, np.where(AZIMUTH < 4, 1e4, 1.0), AZIMUTH, 1e-4)
    assert np.abs(step).max() < 0.1 * np.abs(stiff).max()


def test_training_lays_the_same_circles() -> None:
    rng = np.random.default_rng(4)
    offset, logarithm = rng.normal(0, 0.2, (3, 128)), rng.normal(3, 2, (3, 128))
    figure = np.array([1e-4, 0.02, 0.1])
    steps, covariances = limb_task.laid_through(
        *map(torch.from_numpy, (offset, logarithm, np.tile(AZIMUTH, (3, 1)), figure))
    )
    for k in range(3):
        step, covariance = laid_through(offset[k], np.exp(logarithm[k]), AZIMUTH, figure[k])
        np.testing.assert_allclose(steps[k].numpy(), step, rtol=1e-6)
        np.testing.assert_allclose(covariances[k].numpy(), covariance, rtol=1e-6)


def test_a_look_moves_a_circle_to_the_limb_and_a_closer_one_halves_the_error() -> None:
    rows, columns = np.mgrid[:300, :320].astype(float)
    edge = np.clip(90 - np.hypot(columns - 161.3, rows - 148.6) + 0.5, 0, 1)
    frame = Frame.of((400 * edge + np.random.default_rng(5).normal(0, 4, edge.shape)).astype(np.float32))
    picture = picture_of(frame)
    (first,) = first_looks(picture, frame, [Circle(165.3, 145.6, 86.0)])
    assert first.limb > 2
    assert first.arc_deg > 250
    last = last_look(picture, frame, first)
    assert math.hypot(last.circle.x - 161.3, last.circle.y - 148.6) < 0.5
    assert last.sigma_px <= first.sigma_px
    assert first_looks(picture, frame, [Circle(-400, 0, 50)]) == []


def test_a_model_file_that_was_changed_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "limb.onnx"
    with pytest.raises(ModelError, match="no such model file"):
        checked_digest(file)
    file.write_bytes(b"weights")
    digest = checked_digest(file)
    file.with_suffix(".sha256").write_text(f"{digest}  limb.onnx\n")
    assert checked_digest(file) == digest
    file.write_bytes(b"other weights")
    with pytest.raises(ModelError, match="promises"):
        checked_digest(file)
