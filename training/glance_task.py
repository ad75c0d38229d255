"""One step of the glance network's training: circles that meet the limb that is seen, and cells that tell of them."""

from __future__ import annotations

from typing import Any

import lightning
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from detector.limb_strip import COARSE_PX, COARSE_SHARE
from detector.limb_thumb import CELL_PX
from models.glance_network import GlanceNetwork
from training.task import one_cycle

Batch = dict[str, Tensor]

POINTS = 32
"""Of the limb that is seen, on which circles are compared."""
FINE = 2880
"""Azimuths by which cells that the limb passes are found."""
GOOD = 0.35
"""How far off, in reaches of a first look, a circle is still mostly worth looking at."""
SCALE = 0.25
WORTH_SHARE, WAY_SHARE, RADIUS_SHARE = 1.0, 0.3, 0.2


class GlanceTask(lightning.LightningModule):
    """Trains a ``GlanceNetwork``."""

    def __init__(self, learning_rate: float, weight_decay: float, steps: int) -> None:
        super().__init__()
        self.learning_rate, self.weight_decay, self.steps = learning_rate, weight_decay, steps
        self.network = GlanceNetwork().to(memory_format=torch.channels_last)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Sum of the losses; the radius is told in half of those where a file tells it."""
        silent = torch.rand(len(batch["facts"]), device=self.device) < 0.3
        facts = batch["facts"].clone()
        facts[silent, 2] = 0.0
        losses, _ = self._losses({**batch, "facts": facts})
        self.log_dict({f"train_{k}": v for k, v in losses.items()}, on_step=False, on_epoch=True, batch_size=1)
        return (
            losses["off"] + WORTH_SHARE * losses["worth"] + WAY_SHARE * losses["way"] + RADIUS_SHARE * losses["radius"]
        )

    def validation_step(self, batch: Batch, index: int) -> None:
        """Losses, and the share of limbs of 40 degrees whose worthiest cell's circle is to be looked at."""
        losses, found = self._losses(batch)
        self.log_dict({f"val_{k}": v for k, v in losses.items()}, on_epoch=True, batch_size=len(batch["facts"]))
        if len(found):
            self.log("val_found", found.float().mean(), on_epoch=True, batch_size=len(found))

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        worth, circle = self.network(batch["view"], batch["facts"])
        limb, reach = batch["limb"], batch["reach"]
        passes, beside, points, count = limb_cells(batch, worth.shape[-2:])
        which, row, column = passes.nonzero(as_tuple=True)
        said = circle[which, :, row, column]
        off = _off(said, points[which], reach[which])
        good = torch.zeros_like(worth)
        good[which, row, column] = torch.exp(-((off.detach() / GOOD) ** 2))
        surprise = F.binary_cross_entropy_with_logits(worth, good, reduction="none")
        counted = ~beside | passes
        cells = max(len(which), 1)
        true = limb[which]
        middle = (torch.stack([column, row], dim=1) + 0.5) * CELL_PX - 0.5
        way, right = said[:, :2] - middle, true[:, :2] - middle
        losses = {
            "off": torch.log1p((off / SCALE) ** 2).sum() / cells,
            "worth": (surprise * counted).sum() / cells,
            "way": (1 - F.cosine_similarity(way, right, dim=1, eps=1e-2)).sum() / cells,
            "radius": (said[:, 2] / true[:, 2]).log().abs().clamp(max=2.0).sum() / cells,
        }
        asked = (count >= 40) & passes.flatten(1).any(dim=1)
        best = worth.flatten(1).argmax(dim=1)
        top = circle.flatten(2)[torch.arange(len(best)), :, best]
        return losses, (_off(top, points, reach) < 0.5)[asked]

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises over the first tenth of the run and falls to nothing by its end."""
        optimiser = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step / self.steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def limb_cells(batch: Batch, shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cells that the limb passes where it stands out, those and the ones beside them, points of that limb, and degrees.

    Returns:
        (B, h, w) bool twice, (B, POINTS, 2) x, y, and (B,) degrees of the limb that stand out on the thumbnail.

    """
    limb, seen = batch["limb"], batch["stands_out"]
    angle = torch.arange(FINE, device=limb.device) * (2 * torch.pi / FINE)
    x = limb[:, :1] + limb[:, 2:] * angle.cos()
    y = limb[:, 1:2] + limb[:, 2:] * angle.sin()
    column, row = ((side + 0.5) / CELL_PX for side in (x, y))
    shown = seen.repeat_interleave(FINE // 360, dim=1)
    shown = shown & (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
    which, place = shown.nonzero(as_tuple=True)
    passes = torch.zeros((len(limb), *shape), dtype=torch.bool, device=limb.device)
    passes[which, row[which, place].long(), column[which, place].long()] = True
    beside = F.max_pool2d(passes.float()[:, None], 3, 1, 1)[:, 0] > 0
    count = shown.sum(dim=1)
    nth = ((torch.arange(POINTS, device=limb.device) + 0.5) / POINTS * count[:, None]).long()
    order = torch.argsort(~shown, dim=1, stable=True).gather(1, nth.clamp(max=FINE - 1))
    points = torch.stack([x.gather(1, order), y.gather(1, order)], dim=-1)
    return passes, beside, torch.nan_to_num(points), count * (360 / FINE)


def _off(circle: Tensor, points: Tensor, reach: Tensor) -> Tensor:
    """(n,) how far circles (n, 3) miss points (n, p, 2) of the limb, rms, in reaches (n,)."""
    distance = torch.hypot(points[..., 0] - circle[:, None, 0], points[..., 1] - circle[:, None, 1])
    return (((distance - circle[:, None, 2]) / reach[:, None]) ** 2).mean(dim=1).clamp(max=1e6).add(1e-8).sqrt()


def reach_of(limb: Tensor, scale: Tensor) -> Tensor:
    """(B,) how far a first look reaches around circles (B, 3), thumbnail px of ``scale`` (B,) px."""
    return (COARSE_SHARE * limb[:, 2] * scale).clamp(*COARSE_PX) / scale


def turned(batch: Batch, rng: torch.Generator | None = None) -> Batch:
    """A batch mirrored left-right, up-down, both or neither, and half of them transposed."""
    view, limb, seen = batch["view"], batch["limb"].clone(), batch["stands_out"]
    if torch.rand((), generator=rng) < 0.5:
        view, seen = view.flip(-1), seen.roll(-180, 1).flip(1).roll(1, 1)
        limb[:, 0] = view.shape[-1] - 1 - limb[:, 0]
    if torch.rand((), generator=rng) < 0.5:
        view, seen = view.flip(-2), seen.flip(1).roll(1, 1)
        limb[:, 1] = view.shape[-2] - 1 - limb[:, 1]
    if torch.rand((), generator=rng) < 0.5:
        view, seen, limb = view.transpose(-1, -2), seen.flip(1).roll(91, 1), limb[:, [1, 0, 2]]
    return {**batch, "view": view.contiguous(), "limb": limb, "stands_out": seen}
