"""The limb network: a strip around a circle in, how far Io's limb is off at each azimuth out.

    near, wide, facts
      ├─ fine: every cell of the near strip as a few numbers ───────────────────────────────┐
      └─ coarse: both strips, rows gathered to columns, columns that hear of each other ────┴ where it is, and trust

Each column asks its own rows where the limb is (a product of what the column looks for and what each cell is), so an
answer is as fine as a cell, while what is looked for rests on the whole limb: an edge opposite a dark one is a
terminator's. The columns are a ring, as the limb is. Everything between brightness and answer is inside the module.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from detector.limb_strip import FACTS, ROWS
from models.brightness import seen

FULL = 0.97
"""Share of the full scale from which a cell counts as overexposed."""
GONE_ROUND_RAD = 6.0
BRIGHTER = 6.0
"""Logarithm of how much brighter than its strip a picture is that makes a difference."""
SHIFT_SHARE = 0.1
LEAST_WEIGHT, MOST_WEIGHT = -12.0, 9.0
"""Logarithms of a column's weight."""


class Heads(NamedTuple):
    """What the network says before it is turned into numbers to use.

    Attributes:
        offset: (B, C) as ``LimbNetwork.forward``.
        weight: (B, C) logarithm of the weight.
        rows: (B, ROWS, C) logits of each row being the limb's.
        stands_out: (B, C) logit.
        limb: (B,) logit.

    """

    offset: Tensor
    weight: Tensor
    rows: Tensor
    stands_out: Tensor
    limb: Tensor


class RingConv(nn.Module):
    """Convolution of rows and columns, batch normalisation, ReLU; the columns wrap round, the rows are padded."""

    def __init__(self, inputs: int, outputs: int, halve: bool = False, dilation: int = 1) -> None:
        super().__init__()
        self.reach = dilation
        self.convolution = nn.Conv2d(
            inputs, outputs, 3, stride=(2 if halve else 1, 1), padding=(1, 0), dilation=(1, dilation)
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, R, C) -> (B, outputs, R or R / 2, C)."""
        x = torch.cat([x[..., -self.reach :], x, x[..., : self.reach]], dim=-1)
        return F.relu(self.norm(self.convolution(x)))


class Hearing(nn.Module):
    """Columns hear of those ``dilation`` before and behind."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.reach = dilation
        self.convolution = nn.Conv1d(width, width, 3, dilation=dilation)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, C) -> (B, width, C)."""
        round_ = torch.cat([x[..., -self.reach :], x, x[..., : self.reach]], dim=-1)
        return x + F.relu(self.norm(self.convolution(round_)))


class LimbNetwork(nn.Module):
    """Strips -> where the limb is.

    Args:
        fine: numbers that a cell becomes.
        middle: channels of the halved strips.
        wide: numbers that a column becomes.

    """

    middles: Tensor

    def __init__(self, fine: int = 12, middle: int = 24, wide: int = 96) -> None:
        super().__init__()
        self.fine = nn.Sequential(RingConv(5, fine), RingConv(fine, fine))
        self.halved = nn.Sequential(RingConv(fine, middle, halve=True), RingConv(middle, middle, halve=True))
        self.around = RingConv(3, middle, halve=True)
        self.both = RingConv(2 * middle, middle, dilation=2)
        self.gathered = nn.Conv1d(middle * ROWS // 4 + FACTS + 2, wide, 1)
        self.heard = nn.Sequential(*(Hearing(wide, dilation) for dilation in (1, 2, 4, 8, 16)))
        self.whole = nn.Linear(wide, wide)
        self.settled = nn.Sequential(*(Hearing(wide, dilation) for dilation in (1, 4)))
        self.sought = nn.Conv1d(wide, fine, 1)
        self.place = nn.Conv1d(wide, ROWS, 1)
        self.weight = nn.Conv1d(wide, 1, 1)
        self.shift = nn.Conv1d(wide, 1, 1)
        self.standing = nn.Conv1d(wide, 1, 1)
        self.verdict = nn.Sequential(nn.Linear(2 * wide, 32), nn.ReLU(), nn.Linear(32, 1))
        middles = (torch.arange(ROWS) + 0.5 - ROWS / 2) * (2 / ROWS)
        self.register_buffer("middles", middles[None, :, None], persistent=False)

    def forward(self, near: Tensor, wide: Tensor, facts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Say where the limb is.

        Args:
            near: (B, ROWS, C) brightness as a share of the brightest surface; NaN where not seen.
            wide: (B, WIDE_ROWS, C) the same of the wider view.
            facts: (B, FACTS) as ``detector.limb_strip.LimbStrip``.

        Returns:
            offset: (B, C) how far outside the circle the limb is, in units of the strip's reach.
            weight: (B, C) inverse variance of that as the fit of a circle counts it, > 0.
            stands_out: (B, C) probability that the limb stands out from the sky there.
            limb: (B,) logarithm of the odds that there is a limb of Io within the strip.

        """
        said = self.heads(near, wide, facts)
        return said.offset, said.weight.exp(), said.stands_out.sigmoid(), said.limb

    def heads(self, near: Tensor, wide: Tensor, facts: Tensor) -> Heads:
        """Give what training compares with the truth."""
        cells = self.fine(self._cells(near, facts))
        both = self.both(torch.cat([self.halved(cells), self.around(seen(wide, facts[:, 2], facts[:, 3]))], dim=1))
        columns = F.relu(self.gathered(torch.cat([both.flatten(1, 2), _told(facts, near.shape[-1])], dim=1)))
        columns = self.heard(columns)
        columns = self.settled(columns + self.whole(columns.mean(dim=-1))[..., None])
        rows = (cells.float() * self.sought(columns).float()[:, :, None]).sum(dim=1) + self.place(columns)
        offset = (rows.softmax(dim=1) * self.middles).sum(dim=1) + SHIFT_SHARE * self.shift(columns)[:, 0]
        weight = self.weight(columns)[:, 0].clamp(LEAST_WEIGHT, MOST_WEIGHT)
        verdict = self.verdict(torch.cat([columns.mean(dim=-1), columns.amax(dim=-1)], dim=1))[:, 0]
        return Heads(offset, weight, rows, self.standing(columns)[:, 0], verdict)

    def _cells(self, near: Tensor, facts: Tensor) -> Tensor:
        shown = seen(near, facts[:, 2], facts[:, 3])
        full = (shown[:, 1] > FULL * facts[:, 4, None, None]).to(shown.dtype)
        return torch.cat([shown, full[:, None], self.middles.expand_as(near)[:, None]], dim=1)


def _told(facts: Tensor, columns: int) -> Tensor:
    """(B, FACTS + 2, C): sizes, contrast, overexposure, and how the limb runs across rows and columns of the frame."""
    reach, radius, full, _, scale, first, column, brighter = facts.unbind(dim=1)
    sizes = [reach.log() / 2, radius.log() / 4, (column * radius).log() / 3, full.log() / 5, scale.clamp(0, 2)]
    sizes += [brighter.log().clamp(-BRIGHTER, BRIGHTER) / 3]
    sizes += [(column * columns < GONE_ROUND_RAD).to(facts.dtype), 10 * reach / radius]
    azimuth = first[:, None] + torch.arange(columns, device=facts.device) * column[:, None]
    each = [size[:, None].expand(-1, columns) for size in sizes]
    return torch.stack([*each, azimuth.sin().abs(), azimuth.cos().abs()], dim=1)
