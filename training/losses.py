"""Losses on logits: weighted cross-entropy and batch Dice, leaving out what nobody can know."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

POSITIVE_WEIGHT = 10.0
ENTROPY_SHARE = 5.0


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


def dice_loss(probability: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """1 - Dice of each class over the batch, averaged over classes; 0 for a class that is absent and not predicted."""
    axes = (0, 2, 3)
    overlap = (probability * target * counted).sum(axes)
    total = ((probability + target) * counted).sum(axes)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
