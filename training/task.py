"""The Lightning task: what one step is, for both branches at once."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_avg_fn

from models.network import IoNetwork
from training.config import TrainConfig
from training.losses import segmentation_loss, stretch_loss

Batch = dict[str, dict[str, Tensor] | None]
KINDS = ("limb_plume", "disk_plume", "hotspot")
WARM_UP = 0.1


class IoTask(lightning.LightningModule):
    """Trains an ``IoNetwork``. The two branches share a step, not weights."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.network = IoNetwork(config.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.save_hyperparameters({"config": config.model_dump(mode="json")})
        self._counts = torch.zeros(len(KINDS), 3)

    def limb_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 1, A, T)."""
        return self.network.limb_branch(batch["strip"], batch["seen"], batch["levels"], batch["radius"])

    def disk_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, 2, S, S)."""
        known = (batch["limb"][:, 2] > 0).float()[:, None, None, None]
        altitude, _ = self.network.polar(batch["limb"], *batch["frame"].shape[-2:])
        frame = torch.where(batch["valid"] > 0, batch["frame"], batch["levels"][:, 0, None, None, None])
        return self.network.disk_branch(frame, batch["valid"], batch["levels"], altitude, known)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Sum of both branches' losses."""
        losses = self._losses(batch)
        self.log_dict(
            {f"train_{k}": v for k, v in losses.items()}, prog_bar=True, on_step=False, on_epoch=True, batch_size=1
        )
        return torch.stack(list(losses.values())).sum()

    def validation_step(self, batch: Batch, *_: Any) -> None:
        """Losses, and the pixels that are right, wrong and missed at probability 0.5."""
        for name, value in self._losses(batch).items():
            self.log(f"val_{name}", value, on_epoch=True, batch_size=1)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._counts = torch.zeros(len(KINDS), 3)

    def on_validation_epoch_end(self) -> None:
        """IoU of each kind of mask; the mean of limb plume and hot spot chooses the best checkpoint."""
        tp, fp, fn = self._counts.unbind(1)
        iou = tp / (tp + fp + fn).clamp(min=1)
        self.log_dict({f"val_iou_{kind}": float(v) for kind, v in zip(KINDS, iou, strict=True)}, prog_bar=True)
        self.log("val_iou", float((iou[0] + iou[2]) / 2))

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        if (strips := batch.get("limb")) is not None:
            counted = strips["seen"] * (1 - strips["ignored"])
            logits = self.limb_logits(strips)
            rises = stretch_loss(logits, strips["stretch"], strips["seen"])
            losses["limb"] = segmentation_loss(logits, strips["target"], counted) + rises
            self._count(0, logits, strips["target"], counted)
        if (crops := batch.get("disk")) is not None:
            counted = crops["valid"] * (1 - crops["ignored"])
            logits = self.disk_logits(crops)
            losses["disk"] = segmentation_loss(logits, crops["target"], counted)
            self._count(1, logits[:, :1], crops["target"][:, :1], counted[:, :1])
            self._count(2, logits[:, 1:], crops["target"][:, 1:], counted[:, 1:])
        return losses

    def _count(self, kind: int, logits: Tensor, target: Tensor, counted: Tensor) -> None:
        if self.training:
            return
        said, true, counts = (logits > 0).float(), target, counted
        tally = torch.stack(
            [(said * true * counts).sum(), (said * (1 - true) * counts).sum(), ((1 - said) * true * counts).sum()]
        )
        self._counts[kind] += tally.cpu()

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises over the first tenth of the run and falls to nothing by its end."""
        o = self.config.optimiser
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=o.learning_rate, weight_decay=o.weight_decay)
        steps = max(o.epochs * o.steps_per_epoch, 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step / steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def one_cycle(progress: float) -> float:
    """Share of the learning rate at a point of the run, 0..1: a straight rise to 0.1, a cosine down to 1, then 0."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * min((progress - WARM_UP) / (1 - WARM_UP), 1)))


def moving_average(config: TrainConfig) -> WeightAveraging:
    """An exponential moving average of the weights: it is what gets validated, kept and exported."""
    return WeightAveraging(use_buffers=True, avg_fn=get_ema_avg_fn(config.optimiser.ema_decay))
