"""The losses in closed form, and what they must not look at."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import ENTROPY_SHARE, POSITIVE_WEIGHT, dice_loss, segmentation_loss

SHAPE = (2, 1, 5, 7)
ONES, ZEROS = torch.ones(SHAPE), torch.zeros(SHAPE)
N = ONES.numel()


@pytest.mark.parametrize(
    ("target", "entropy", "dice"),
    [(ZEROS, math.log(2), 1 - 1 / (0.5 * N + 1)), (ONES, POSITIVE_WEIGHT * math.log(2), 1 - (N + 1) / (1.5 * N + 1))],
)
def test_undecided_everywhere(target: torch.Tensor, entropy: float, dice: float) -> None:
    assert float(dice_loss(0.5 * ONES, target, ONES)) == pytest.approx(dice, rel=1e-6)
    assert float(segmentation_loss(ZEROS, target, ONES)) == pytest.approx(ENTROPY_SHARE * entropy + dice, rel=1e-6)


def test_dice_is_taken_over_the_batch_and_averaged_over_classes() -> None:
    """Class 0: 3 of 4 pixels found in the whole batch, 1 false; class 1: absent and not predicted."""
    target, said = torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 1, 4)
    target[0, 0, 0, :3] = target[1, 0, 0, 0] = 1
    said[0, 0, 0, :2] = said[1, 0, 0, :2] = 1
    expected = (1 - (2 * 3 + 1) / (4 + 4 + 1) + 0) / 2
    assert float(dice_loss(said, target, torch.ones_like(said))) == pytest.approx(expected)


def test_what_does_not_count_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(SHAPE, generator=generator, requires_grad=True)
    target = (torch.rand(SHAPE, generator=generator) > 0.7).float()
    counted = (torch.rand(SHAPE, generator=generator) > 0.5).float()
    loss = segmentation_loss(logits, target, counted)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[counted == 0] == 0).all()
    assert (logits.grad[counted > 0] != 0).all()
    other = torch.where(counted > 0, target, 1 - target)
    assert torch.equal(segmentation_loss(logits, other, counted), loss)


def test_nothing_counted_asks_for_nothing() -> None:
    assert float(segmentation_loss(5 * ONES, ZEROS, ZEROS)) == 0


def test_better_answers_cost_less() -> None:
    target = ZEROS.clone()
    target[..., :2] = 1
    sure = 12 * (2 * target - 1)
    answers = [sure, 0.25 * sure, torch.where(target > 0, sure, -sure), -sure]  # right, unsure, all yes, all wrong
    costs = [float(segmentation_loss(answer, target, ONES)) for answer in answers]
    assert costs == sorted(costs)
    assert costs[0] < 1e-3
