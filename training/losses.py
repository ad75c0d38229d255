"""Losses on logits: batch Dice with a mild focal cross-entropy, leaving out what nobody can know."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

POSITIVE_WEIGHT = 4.0
FOCUS = 1.0


def segmentation_loss(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Focal cross-entropy + Dice over the batch, class by class.

    Args:
        logits, target: (B, C, H, W), target in {0, 1}.
        counted: (B, C, H, W), 1 where the pixel counts; not observed and too faint pixels do not.

    Dice is taken over the whole batch: per image, the many images without an object would ask for nothing at all.

    """
    probability = torch.sigmoid(logits)
    wrongness = torch.where(target > 0, 1 - probability, probability).detach() ** FOCUS
    entropy = F.binary_cross_entropy_with_logits(
        logits, target, pos_weight=torch.tensor(POSITIVE_WEIGHT), reduction="none"
    )
    focal = (wrongness * entropy * counted).sum() / counted.sum().clamp(min=1)
    return 10 * focal + dice_loss(probability, target, counted)


def dice_loss(probability: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """1 - Dice of each class over the batch, averaged over classes; 0 for a class that is absent and not predicted."""
    axes = (0, 2, 3)
    overlap = (probability * target * counted).sum(axes)
    total = ((probability + target) * counted).sum(axes)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()
