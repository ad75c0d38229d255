"""Losses on logits: weighted cross-entropy and batch Dice, leaving out what nobody can know; stretches of limb."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

POSITIVE_WEIGHT = 10.0
ENTROPY_SHARE = 5.0
UNSEEN_LOGIT = -30.0


def segmentation_loss(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy + Dice over the batch, class by class.

    Args:
        logits, target: (B, C, H, W), target in {0, 1}.
        counted: (B, C, H, W), 1 where the pixel counts; not observed and too faint pixels do not.

    Dice is taken over the whole batch: per image, the many images without an object would ask for nothing at all.
    A focal weight was tried and learnt slower: objects are a per cent of the pixels, and at first all are hard.

    """
    weight = torch.tensor(POSITIVE_WEIGHT, device=logits.device)
    entropy = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
    mean_entropy = (entropy * counted).sum() / counted.sum().clamp(min=1)
    return ENTROPY_SHARE * mean_entropy + dice_loss(torch.sigmoid(logits), target, counted)


def stretch_loss(logits: Tensor, stretch: Tensor, seen: Tensor) -> Tensor:
    """Loss of columns in which a plume rises nobody knows how high: their most plume-like cell should be one.

    Args:
        logits, seen: (B, 1, A, T), seen 1 where observed.
        stretch: (B, 1, 1, T), 1 where a plume is known to rise.

    Returns:
        mean cross-entropy of those columns; 0 without any.

    """
    asked = stretch * seen.amax(dim=2, keepdim=True)
    highest = torch.where(seen > 0, logits, UNSEEN_LOGIT).amax(dim=2, keepdim=True)
    return (F.softplus(-highest) * asked).sum() / asked.sum().clamp(min=1)


def dice_loss(probability: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """1 - Dice of each class over the batch, averaged over classes; 0 for a class that is absent and not predicted."""
    axes = (0, 2, 3)
    overlap = (probability * target * counted).sum(axes)
    total = ((probability + target) * counted).sum(axes)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
