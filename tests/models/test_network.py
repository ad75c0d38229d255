"""The network's geometry in closed form, and what must hold for any weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.network import IoNetwork, NetworkConfig, Unwrap, Wrap, around, row_statistics

SMALL = NetworkConfig(altitudes=48, azimuths=128, limb_widths=(4, 6, 8), disk_widths=(4, 6, 8))


@pytest.fixture(scope="module")
def network() -> IoNetwork:
    torch.manual_seed(3)
    return IoNetwork(SMALL).eval()


def picture(
    height: int = 120, width: int = 140, limb: tuple[float, float, float] = (66.0, 58.0, 40.0)
) -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    ball = 100.0 * (np.hypot(x - limb[0], y - limb[1]) < limb[2]) + rng.normal(5, 2, (height, width))
    frame = torch.from_numpy(ball.astype(np.float32))[None, None]
    return [frame, torch.ones_like(frame), torch.tensor([limb]), torch.tensor([[5.0, 2.0, 100.0]])]


def test_a_strip_holds_altitude_by_azimuth() -> None:
    limb = (70.0, 61.0, 40.0)
    y, x = np.mgrid[:130, :140]
    altitude = np.hypot(x - limb[0], y - limb[1]) / limb[2] - 1
    azimuth = np.arctan2(x - limb[0], limb[1] - y) % (2 * np.pi)
    planes = torch.from_numpy(np.stack([altitude, np.cos(azimuth), np.sin(azimuth)]).astype(np.float32))[None]
    strip, seen = Unwrap(SMALL)(planes, torch.ones(1, 1, 130, 140), torch.tensor([limb]))
    rows = SMALL.lowest + (np.arange(48) + 0.5) / 48 * (SMALL.highest - SMALL.lowest)
    columns = (np.arange(128) + 0.5) / 128 * 2 * np.pi
    assert seen.min() == 1
    np.testing.assert_allclose(strip[0, 0].numpy(), np.broadcast_to(rows[:, None], (48, 128)), atol=2e-3)
    np.testing.assert_allclose(strip[0, 1].numpy(), np.broadcast_to(np.cos(columns), (48, 128)), atol=2e-3)
    np.testing.assert_allclose(strip[0, 2].numpy(), np.broadcast_to(np.sin(columns), (48, 128)), atol=2e-3)


def test_a_column_of_the_strip_comes_back_to_its_place_on_the_limb(network: IoNetwork) -> None:
    limb = torch.tensor([[100.0, 100.0, 60.0]])
    altitude, azimuth = network.polar(limb, 201, 201)
    strip = torch.zeros(1, 1, 48, 128)
    strip[..., 32] = 1  # azimuth 90 degrees: to the right
    image = Wrap(SMALL)(strip, altitude, azimuth)[0, 0]
    y, x = np.nonzero(image.numpy() > 0.5)
    assert x.min() > 100 + 0.9 * 60
    assert abs(y.mean() - 100) < 3.0
    heights = np.hypot(x - 100, y - 100) / 60 - 1
    assert SMALL.lowest <= heights.min()
    assert heights.max() <= SMALL.highest


def test_pixels_outside_the_frame_are_not_seen() -> None:
    frame = torch.full((1, 1, 60, 60), 7.0)
    strip, seen = Unwrap(SMALL)(frame, torch.ones_like(frame), torch.tensor([[0.0, 30.0, 25.0]]))
    left, right = seen[0, 0, :, 96], seen[0, 0, :, 32]
    assert left.sum() == 0
    assert right.min() == 1
    assert set(np.unique(strip.numpy()).round(4)) <= {0.0, 7.0}


def test_row_statistics_are_the_median_and_the_mad_of_what_was_seen() -> None:
    rng = np.random.default_rng(4)
    values, seen = rng.normal(size=(2, 1, 5, 31)), rng.random((2, 1, 5, 31)) < 0.6
    seen[0, 0, 3] = False
    median, spread = row_statistics(torch.from_numpy(values).float(), torch.from_numpy(seen).float())
    for b in range(2):
        for row in range(5):
            held = np.sort(values[b, 0, row][seen[b, 0, row]])
            middle = held[(len(held) - 1) // 2] if len(held) else 0.0
            deviation = np.sort(np.abs(held - middle))
            mad = deviation[(len(held) - 1) // 2] if len(held) else 0.0
            assert median[b, 0, row, 0].item() == pytest.approx(middle, abs=1e-6)
            assert spread[b, 0, row, 0].item() == pytest.approx(1.4826 * mad, abs=1e-6)


def test_turning_the_limb_turns_the_answer(network: IoNetwork) -> None:
    torch.manual_seed(1)
    strip, seen = torch.randn(1, 1, 48, 128), torch.ones(1, 1, 48, 128)
    levels, radius = torch.tensor([[0.0, 1.0, 5.0]]), torch.tensor([40.0])
    turn = 2 ** len(SMALL.limb_widths) * 3
    with torch.no_grad():
        straight = network.limb_branch(strip, seen, levels, radius)
        turned = network.limb_branch(strip.roll(turn, -1), seen, levels, radius)
    torch.testing.assert_close(straight.roll(turn, -1), turned, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_without_a_limb_there_is_no_plume(network: IoNetwork) -> None:
    frame, valid, limb, levels = picture()
    answer = network(frame, valid, torch.zeros_like(limb), levels)
    assert answer[:, 0].abs().max() == 0
    assert answer[:, 1].max() > 0


@torch.no_grad()
def test_missing_pixels_are_not_looked_at(network: IoNetwork) -> None:
    frame, valid, limb, levels = picture()
    valid[..., 30:40, :] = 0
    other = frame.clone()
    other[..., 30:40, :] = math.nan
    answer, same = network(frame, valid, limb, levels), network(other, valid, limb, levels)
    torch.testing.assert_close(answer, same, rtol=0, atol=0)
    assert answer[..., 30:40, :].abs().max() == 0


@torch.no_grad()
@pytest.mark.parametrize(("scale", "offset"), [(0.001, 0.0), (7.0, 300.0)])
def test_the_unit_of_the_frame_does_not_matter(network: IoNetwork, scale: float, offset: float) -> None:
    frame, valid, limb, levels = picture()
    scaled = levels * scale
    scaled[:, 0] += offset
    torch.testing.assert_close(
        network(frame, valid, limb, levels), network(frame * scale + offset, valid, limb, scaled), atol=2e-4, rtol=0
    )


@torch.no_grad()
def test_a_batch_gives_what_its_frames_give_alone(network: IoNetwork) -> None:
    one, two = picture(), picture(limb=(30.0, 70.0, 55.0))
    both = network(*(torch.cat(pair) for pair in zip(one, two, strict=True)))
    torch.testing.assert_close(both, torch.cat([network(*one), network(*two)]), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("size", [(17, 23), (33, 64), (100, 77)])
def test_any_size_keeps_its_size(network: IoNetwork, size: tuple[int, int]) -> None:
    frame, valid, limb, levels = picture(*size, limb=(10.0, 8.0, 6.0))
    answer = network(frame, valid, limb, levels)
    assert answer.shape == (1, 2, *size)
    assert answer.min() >= 0
    assert answer.max() <= 1


def test_the_mean_of_the_surroundings_is_average_pooling() -> None:
    x = torch.from_numpy(np.random.default_rng(4).normal(0, 100, (2, 1, 33, 41))).float()
    torch.testing.assert_close(around(x), torch.nn.functional.avg_pool2d(x, 9, 1, 4), atol=1e-4, rtol=1e-5)
