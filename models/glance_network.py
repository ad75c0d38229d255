"""The glance network: a thumbnail in; for each cell the circle whose limb passes there out, and what it is worth.

    view, facts ── 1/4 ── 1/8 ── 1/16 ── 1/32 ─┐
                            │       └─────(+)──┘   what is told and what the whole picture is like, in each cell
                            └───────(+)────┘
                                    └── worth, circle

A cell knows the limb by what it sees and the circle by how the limb bends around it: inward direction, distance of the
cell from the limb, and radius. Everything between brightness and answer is inside the module.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from detector.limb_thumb import CELL_PX
from models.brightness import seen

FACTS = 3
USUAL_PX = 40.0
"""Radius around which answers and what is told are centred, thumbnail px."""
PATCH_PX, AROUND = 4, 9
"""Side of what the first layer sees at once; its surroundings are so many of these squared."""
LEAST_SPREAD, NOISE, FARTHEST = 0.003, 0.5, 4.0
"""Surroundings spread by no less than the first, as a share of the brightest surface, and so much of the noise; how far
brightness stands out of them at most, in spreads."""


class Conv(nn.Module):
    """3 x 3 convolution, batch normalisation, ReLU; with ``halve`` of every other pixel; ``over`` skips around it."""

    def __init__(self, inputs: int, outputs: int, halve: bool = False, dilation: int = 1, over: bool = False) -> None:
        super().__init__()
        self.over = over
        stride = 2 if halve else 1
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H or H / 2, W or W / 2)."""
        y = F.relu(self.norm(self.convolution(x)))
        return x + y if self.over else y


class GlanceNetwork(nn.Module):
    """Thumbnails -> circles.

    Args:
        widths: channels at 1/4, 1/8, 1/16 and 1/32 of the thumbnail.

    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 48, 64, 96)) -> None:
        super().__init__()
        quarter, eighth, sixteenth, least = widths
        self.stem = nn.Sequential(
            nn.Conv2d(4, quarter, PATCH_PX, stride=PATCH_PX, bias=False),
            nn.BatchNorm2d(quarter),
            nn.ReLU(),
            Conv(quarter, quarter, over=True),
        )
        self.eighth = nn.Sequential(Conv(quarter, eighth, halve=True), Conv(eighth, eighth, over=True))
        self.sixteenth = nn.Sequential(
            Conv(eighth, sixteenth, halve=True), *(Conv(sixteenth, sixteenth, dilation=d, over=True) for d in (1, 2, 4))
        )
        self.least = nn.Sequential(
            Conv(sixteenth, least, halve=True), *(Conv(least, least, dilation=d, over=True) for d in (1, 2, 4))
        )
        self.told = nn.Linear(4 + least, least)
        self.to_sixteenth = nn.Conv2d(least, sixteenth, 1)
        self.joined = nn.Sequential(*(Conv(sixteenth, sixteenth, dilation=d, over=True) for d in (1, 2, 4, 1)))
        self.to_eighth = nn.Conv2d(sixteenth, eighth, 1)
        self.last = nn.Sequential(*(Conv(eighth, eighth, dilation=d, over=True) for d in (1, 2)))
        self.answer = nn.Conv2d(eighth, 5, 1)

    def forward(self, view: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Say where circles may be.

        Args:
            view: (B, H, W) brightness as a share of the brightest surface; NaN where not seen; sides multiples of 32.
            facts: (B, FACTS) brightest surface and softening, sigmas; the radius told, thumbnail px, 0 where none is.

        Returns:
            worth: (B, H / 8, W / 8) logit of the cell's circle being one to look at.
            circle: (B, 3, H / 8, W / 8) its x, y and radius, thumbnail px.

        """
        shown = seen(view, facts[:, 0], facts[:, 1])
        quarter = self.stem(torch.cat([shown, standing_out(shown[:, 1:2], shown[:, 2:3], facts[:, 0])], dim=1))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        least = self.least(sixteenth)
        told = self.told(torch.cat([_told(facts), least.mean(dim=(2, 3))], dim=1))
        least = F.relu(least + told[..., None, None])
        joined = self.joined(sixteenth + _larger(self.to_sixteenth(least)))
        said = self.answer(self.last(eighth + _larger(self.to_eighth(joined)))).float()
        return said[:, 0], _circles(said)


def standing_out(plain: Tensor, known: Tensor, full: Tensor) -> Tensor:
    """(B, 1, H, W) how far pixels stand out of their patch's surroundings: a disk before Jupiter differs by little.

    Args:
        plain, known: (B, 1, H, W) brightness as a share of the brightest surface, and 1 where it is seen, else 0.
        full: (B,) brightest surface, sigmas of the noise.

    """
    moments = torch.cat([known, plain * known, plain.square() * known], dim=1)
    share, mean, square = _around(moments).split(1, dim=1)
    mean, square = mean / share.clamp(min=1e-3), square / share.clamp(min=1e-3)
    least = LEAST_SPREAD + NOISE / full[:, None, None, None]
    spread = ((square - mean.square()).clamp(min=0) + least.square()).sqrt()
    mean, spread = (F.interpolate(side, scale_factor=float(PATCH_PX), mode="nearest") for side in (mean, spread))
    return known * ((plain - mean) / spread).clamp(-FARTHEST, FARTHEST)


def _around(x: Tensor) -> Tensor:
    """(B, C, H / 4, W / 4) means over patches and their neighbours."""
    return F.avg_pool2d(F.avg_pool2d(x, PATCH_PX), AROUND, stride=1, padding=AROUND // 2, count_include_pad=False)


def _larger(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _circles(said: Tensor) -> Tensor:
    """(B, 3, h, w) circles by inward direction, distance from the limb (cells) and logarithm of the radius."""
    inward = said[:, 1:3] / (said[:, 1:3].square().sum(dim=1, keepdim=True) + 1e-4).sqrt()
    radius = USUAL_PX * said[:, 4:5].clamp(-5.0, 5.0).exp()
    rows, columns = said.shape[-2:]
    y = (torch.arange(rows, device=said.device) + 0.5) * CELL_PX - 0.5
    x = (torch.arange(columns, device=said.device) + 0.5) * CELL_PX - 0.5
    cells = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)])
    return torch.cat([cells + (radius - CELL_PX * said[:, 3:4]) * inward, radius], dim=1)


def _told(facts: Tensor) -> Tensor:
    """(B, 4): contrast, whether a radius is told, and the radius."""
    full, soft, radius = facts.unbind(dim=1)
    known = (radius > 0).to(facts.dtype)
    size = known * (radius.clamp(min=0.1) / USUAL_PX).log()
    return torch.stack([full.log() / 5, (full / soft).log() / 3, known, size], dim=1)
