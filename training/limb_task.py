"""One step of the limb network's training: where circles belong, how sure that is, and what is no limb."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from detector.limb_look import FIGURE_SHARE, KNOWN, LOOSE
from detector.limb_strip import COLUMNS, FINE_PX, FINE_SHARE, ROWS
from models.limb_network import LimbNetwork
from training.task import one_cycle

Batch = dict[str, Tensor]

FIT_SHARE, ROWS_SHARE, LIMB_SHARE, STANDING_SHARE = 0.3, 0.5, 0.5, 0.2
"""Of the losses in their sum."""
MOVED_WEIGHT = 0.35
"""Of the verdict on a true circle that was moved, one of the search counting 1."""
DEGREES_OF_FREEDOM = 4.0
"""Of Student's distribution of a circle's error: a few are far off."""
ASKED_ARC = 14
"""Columns that stand out of a limb that must be found."""


class LimbTask(lightning.LightningModule):
    """Trains a ``LimbNetwork``."""

    def __init__(self, learning_rate: float, weight_decay: float, steps: int) -> None:
        super().__init__()
        self.learning_rate, self.weight_decay, self.steps = learning_rate, weight_decay, steps
        self.network = LimbNetwork()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Weighted sum of the losses; every other orientation counts as known."""
        known = torch.rand(len(batch["facts"]), device=self.device) < 0.5
        losses, _, _ = self._losses(batch, known)
        self.log_dict({f"train_{k}": v for k, v in losses.items()}, on_step=False, on_epoch=True, batch_size=1)
        return (
            FIT_SHARE * losses["fit"] + ROWS_SHARE * losses["rows"] + LIMB_SHARE * losses["limb"]
            + STANDING_SHARE * losses["standing"]
        )  # fmt: skip

    def validation_step(self, batch: Batch, index: int) -> None:
        """Losses, and the share of circles that are right: within a pixel or 1 % of the radius."""
        losses, error, limb = self._losses(batch, torch.ones_like(batch["limb"]))
        asked = limb & batch["judged"] & (batch["stands_out"].sum(dim=1) >= ASKED_ARC)
        allowed = (0.01 * batch["facts"][:, 1]).clamp(min=1.0)
        values = {f"val_{k}": v for k, v in losses.items()}
        self.log_dict(values, on_epoch=True, batch_size=len(limb))
        right = (error[asked] <= allowed[asked]).float()
        self.log("val_right", right.mean() if len(right) else 0.0, on_epoch=True, batch_size=max(len(right), 1))

    def _losses(self, batch: Batch, known: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Losses, (B,) errors of the centres, px, and which strips hold a limb."""
        reach, limb = batch["facts"][:, 0], batch["limb"]
        said = self.network.heads(batch["near"], batch["wide"], batch["facts"])
        departure = torch.where(known[:, None], batch["departure"], 0.0) / reach[:, None]
        figure = torch.where(known, KNOWN, FIGURE_SHARE * batch["facts"][:, 1] / reach)
        step, covariance = laid_through(said.offset - departure, said.weight, azimuths(batch["facts"]), figure)
        off = step - batch["step"].double() / reach[:, None]
        outline = (batch["offset"] + batch["departure"]) / reach[:, None]
        shown = batch["stands_out"] & limb[:, None] & (outline.abs() < 1)
        asked = self._asked(batch, limb)
        losses = {
            "fit": _mean(unlikely(off[limb], covariance[limb])),
            "rows": _mean(_missed_rows(said.rows.float(), outline)[shown]),
            "limb": (asked * _surprise(said.limb, limb)).sum() / asked.sum().clamp(min=1.0),
            "standing": _mean(_surprise(said.stands_out, shown)),
        }
        return losses, torch.hypot(off[:, 0], off[:, 1]) * reach, limb

    def _asked(self, batch: Batch, limb: Tensor) -> Tensor:
        """(B,) weights of verdicts: circles of the search, and moved true ones, for a rough look moves some there."""
        reach, radius = batch["facts"][:, 0], batch["facts"][:, 1]
        far = reach > 1.5 * (FINE_SHARE * radius).clamp(*FINE_PX)
        moved = limb & far & batch["stands_out"].any(dim=1)
        return torch.where(batch["judged"], 1.0, MOVED_WEIGHT * moved.float())

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises over the first tenth of the run and falls to nothing by its end."""
        optimiser = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step / self.steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _surprise(logits: Tensor, true: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), true.float(), reduction="none")


def _mean(values: Tensor) -> Tensor:
    """Mean; 0 of none."""
    return values.sum() / max(values.numel(), 1)


def azimuths(facts: Tensor) -> Tensor:
    """(B, C) azimuths of a strip's columns, radians."""
    return facts[:, 5, None] + torch.arange(COLUMNS, device=facts.device) * facts[:, 6, None]


def laid_through(offset: Tensor, weight: Tensor, azimuth: Tensor, figure: Tensor) -> tuple[Tensor, Tensor]:
    """Lay circles through offsets, as ``detector.limb_look`` does.

    Args:
        offset: (B, C) in reaches.
        weight: (B, C) logarithms of inverse variances.
        azimuth: (B, C) radians.
        figure: (B,) 1-sigma of the outline's second harmonic, in reaches.

    Returns:
        (B, 3) steps of x, y, radius and (B, 3, 3) their covariance, in reaches.

    """
    harmonics = [azimuth.cos(), azimuth.sin(), torch.ones_like(azimuth), (2 * azimuth).cos(), (2 * azimuth).sin()]
    design = torch.stack(harmonics, dim=-1).double()
    weighed = design * weight.double().exp()[..., None]
    loose = torch.full((len(offset), 5), LOOSE, dtype=torch.float64, device=offset.device)
    loose[:, 3:] = figure.double()[:, None] ** -2
    covariance = torch.linalg.inv(design.transpose(1, 2) @ weighed + torch.diag_embed(loose))
    pull = (weighed * offset.double()[..., None]).sum(dim=1)
    return (covariance @ pull[..., None])[:, :3, 0], covariance[:, :3, :3]


def unlikely(off: Tensor, covariance: Tensor) -> Tensor:
    """(B,) negative logarithm of Student's density of errors (B, 3) with covariances (B, 3, 3), but for a constant."""
    precision = torch.linalg.inv(covariance)
    square = (off[:, None] @ precision @ off[..., None])[:, 0, 0]
    nu = DEGREES_OF_FREEDOM
    return 0.5 * (nu + 3) * torch.log1p(square / nu) - 0.5 * torch.logdet(precision)


def _missed_rows(rows: Tensor, outline: Tensor) -> Tensor:
    """(B, C) cross-entropy of the rows' logits with the two rows between which the outline lies."""
    place = (outline + 1) * ROWS / 2 - 0.5
    first = place.floor().clamp(0, ROWS - 2)
    share = (place - first).clamp(0, 1)
    spoken = rows.log_softmax(dim=1)
    below, above = (spoken.gather(1, (first.long() + k)[:, None])[:, 0] for k in (0, 1))
    return -((1 - share) * below + share * above)


def mirrored(batch: Batch, rng: torch.Generator | None = None) -> Batch:
    """A batch with its frames mirrored up-down, left-right, both or neither, all alike."""
    for axis in (0, 1):
        if torch.rand((), generator=rng) < 0.5:
            batch = _mirrored(batch, axis)
    return batch


def _mirrored(batch: Batch, axis: int) -> Batch:
    """Azimuths become pi minus themselves (axis 0: x turns round) or minus themselves (axis 1: y does)."""
    turned = dict(batch)
    for name in ("near", "wide", "offset", "departure", "stands_out"):
        turned[name] = batch[name].flip(-1)
    facts, step = batch["facts"].clone(), batch["step"].clone()
    last = facts[:, 5] + (batch["near"].shape[-1] - 1) * facts[:, 6]
    facts[:, 5] = (math.pi - last) if axis == 0 else -last
    step[:, axis] *= -1
    return {**turned, "facts": facts, "step": step}
