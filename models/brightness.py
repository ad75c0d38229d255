"""How the limb's networks see brightness."""

from __future__ import annotations

import torch
from torch import Tensor

DARKEST, BRIGHTEST = -0.3, 1.5


def seen(view: Tensor, full: Tensor, soft: Tensor) -> Tensor:
    """(B, 3, H, W): compressed and plain brightness, and which pixels are seen.

    Args:
        view: (B, H, W) brightness as a share of the brightest surface; NaN where not seen.
        full, soft: (B,) brightest surface and softening, sigmas of the noise.

    """
    known = ~torch.isnan(view)
    filled = torch.where(known, view, torch.zeros_like(view))
    steep = (full / soft)[:, None, None]
    compressed = torch.asinh(filled * steep) / torch.asinh(steep)
    return torch.stack([compressed, filled.clamp(DARKEST, BRIGHTEST), known.to(view.dtype)], dim=1)
