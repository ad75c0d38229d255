"""The network: one torch module from raw pixels and a limb circle to two probability planes.

    frame, valid, limb, levels
      ├─ unwrap ── limb channels ── limb branch (U-Net on altitude x azimuth) ── wrap back ─┐ plume at the limb
      └─ disk channels ─────────── disk branch (U-Net in the image plane) ─────────────────┴ hot spot, disk plume

Everything between raw pixels and probabilities is inside the module, so any runtime gives the same answer:
normalisation by the frame's levels, missing pixels, padding to the stride, calibration. Shapes in comments: B batch,
H x W frame, A altitudes, T azimuths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

SUPERSAMPLE = 2
AZIMUTH_NUDGE_PX = 1e-4
"""The exported atan2 divides by its second argument, which must not be 0 on the row of the limb's centre."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of both branches.

    Altitudes are in units of the limb's radius: row 0 is the lowest. 96 rows from -0.04 to 0.28 are 6 km each.
    """

    altitudes: int = 96
    azimuths: int = 512
    lowest: float = -0.04
    highest: float = 0.28
    limb_widths: tuple[int, ...] = (16, 24, 32, 48)
    disk_widths: tuple[int, ...] = (24, 32, 48, 64)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limb_widths", tuple(self.limb_widths))
        object.__setattr__(self, "disk_widths", tuple(self.disk_widths))


RARE_LOGIT = -4.0
"""Where training starts: objects cover a per cent or two of the pixels."""
LIMB_CHANNELS = 6
DISK_CHANNELS = 6
STEM_CHANNELS = 8


class Conv(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU; the columns wrap round when ``wrap``."""

    def __init__(self, inputs: int, outputs: int, wrap: bool) -> None:
        ring = (WrapColumns(),) if wrap else ()
        convolution = nn.Conv2d(inputs, outputs, 3, padding=(1, 0 if wrap else 1), bias=False)
        super().__init__(*ring, convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class WrapColumns(nn.Module):
    """One column from the other end on each side: the limb is a ring."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W + 2)."""
        return torch.cat([x[..., -1:], x, x[..., :1]], dim=-1)


class UNet(nn.Module):
    """A small U-Net on 2x2 blocks of pixels: a quarter of the work, and no pixel is lost.

    Height and width of the input must be multiples of ``2 ** len(widths)``.
    """

    def __init__(self, inputs: int, widths: tuple[int, ...], outputs: int, wrap: bool) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        previous = 4 * inputs
        for width in widths:
            self.down.append(nn.Sequential(Conv(previous, width, wrap), Conv(width, width, wrap)))
            previous = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(Conv(previous + width, width, wrap))
            previous = width
        self.head = nn.Conv2d(previous, 4 * outputs, 1)
        nn.init.constant_(self.head.bias, RARE_LOGIT)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> logits (B, outputs, H, W)."""
        x = F.pixel_unshuffle(x, 2)
        kept: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        kept.pop()
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), kept.pop()], dim=1))
        return F.pixel_shuffle(self.head(x), 2)


class Unwrap(nn.Module):
    """Frame -> strip: altitude x azimuth around the limb; azimuth 0 is up, growing clockwise."""

    rows: Tensor
    sines: Tensor
    cosines: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        a, t = config.altitudes * SUPERSAMPLE, config.azimuths * SUPERSAMPLE
        altitude = config.lowest + (torch.arange(a) + 0.5) / a * (config.highest - config.lowest)
        azimuth = (torch.arange(t) + 0.5) / t * 2 * math.pi
        self.register_buffer("rows", (1 + altitude)[:, None], persistent=False)  # (2A, 1)
        self.register_buffer("sines", torch.sin(azimuth)[None], persistent=False)  # (1, 2T)
        self.register_buffer("cosines", torch.cos(azimuth)[None], persistent=False)

    def forward(self, frame: Tensor, valid: Tensor, limb: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the valid samples of each cell.

        Args:
            frame: (B, C, H, W).
            valid: (B, 1, H, W), 1 where observed, else 0.
            limb: (B, 3) x, y, radius in pixels.

        Returns:
            strip (B, C, A, T), 0 where nothing was observed, and its validity (B, 1, A, T) in {0, 1}.

        """
        height, width = frame.shape[-2:]
        x0, y0, radius = (limb[:, i, None, None] for i in range(3))
        x = x0 + radius * self.rows * self.sines  # (B, 2A, 2T)
        y = y0 - radius * self.rows * self.cosines
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
        sampled = F.grid_sample(torch.cat([frame * valid, valid], 1), grid, mode="bilinear", align_corners=False)
        pooled = _pairs_averaged(sampled)
        weight = pooled[:, -1:]
        seen = (weight > 0.25).to(frame.dtype)
        return pooled[:, :-1] / weight.clamp(min=1e-3) * seen, seen


def _pairs_averaged(x: Tensor) -> Tensor:
    """(B, C, 2A, 2T) -> (B, C, A, T): what average pooling does, five times as fast on a CPU."""
    upper, lower = x[..., ::SUPERSAMPLE, :], x[..., 1::SUPERSAMPLE, :]
    rows = upper + lower
    return 0.25 * (rows[..., ::SUPERSAMPLE] + rows[..., 1::SUPERSAMPLE])


class Wrap(nn.Module):
    """Strip -> frame: each pixel takes its altitude's and azimuth's value; 0 outside the strip."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, strip: Tensor, altitude: Tensor, azimuth: Tensor) -> Tensor:
        """(B, C, A, T) with altitude (radii) and azimuth (radians, 0..2 pi) of each pixel (B, H, W) -> (B, C, H, W)."""
        c = self.config
        ring = torch.cat([strip[..., -1:], strip, strip[..., :1]], dim=-1)
        column = azimuth / (2 * math.pi) * c.azimuths + 0.5  # in the ring, pixel centres
        grid = torch.stack(
            [(2 * column + 1) / (c.azimuths + 2) - 1, 2 * (altitude - c.lowest) / (c.highest - c.lowest) - 1], dim=-1
        )
        inside = ((altitude >= c.lowest) & (altitude <= c.highest))[:, None].to(strip.dtype)
        return F.grid_sample(ring, grid, mode="bilinear", padding_mode="border", align_corners=False) * inside


def row_statistics(strip: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Median and scaled median absolute deviation of each altitude over its valid azimuths.

    (B, 1, A, T) and its validity -> two (B, 1, A, 1); 0 where an altitude was not seen at all. MAD x 1.4826.
    """
    median = _masked_median(strip, seen)
    return median, 1.4826 * _masked_median((strip - median).abs(), seen)


def _masked_median(values: Tensor, seen: Tensor) -> Tensor:
    """Lower median of each row's seen values, 0 where there are none: (..., T) -> (..., 1)."""
    count = seen.sum(-1, keepdim=True)
    if torch.compiler.is_exporting():  # ONNX has no median: it orders the lower half
        far = torch.finfo(torch.float32).max
        lower_half = values.shape[-1] // 2 + 1
        ordered = torch.where(seen > 0, values, torch.full_like(values, far)).topk(lower_half, largest=False).values
        middle = torch.gather(ordered, -1, ((count - 1) / 2).clamp(min=0).to(torch.int64))
    else:  # twice as fast
        middle = torch.where(seen > 0, values, torch.full_like(values, math.nan)).nanmedian(-1, keepdim=True).values
    return torch.where(count > 0, middle, torch.zeros_like(count))


class LimbBranch(nn.Module):
    """Plume logits on the unwrapped limb: each altitude is compared with itself elsewhere on the limb."""

    altitude: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        a = torch.linspace(config.lowest, config.highest, config.altitudes) / config.highest
        self.register_buffer("altitude", a[None, None, :, None], persistent=False)
        self.net = UNet(LIMB_CHANNELS, config.limb_widths, 1, wrap=True)

    def channels(self, strip: Tensor, seen: Tensor, levels: Tensor, radius: Tensor) -> Tensor:
        """Strip (B, 1, A, T) in the frame's unit -> what the network sees (B, 6, A, T)."""
        sky, sigma, bright = (levels[:, i, None, None, None] for i in range(3))
        median, spread = row_statistics(strip, seen)
        contrast = (strip - median) / torch.maximum(spread, 0.3 * sigma)
        return torch.cat(
            [
                torch.asinh((strip - sky) / sigma) / 4 * seen,
                torch.asinh(contrast) / 2 * seen,
                ((strip - sky) / bright).clamp(-0.5, 1.5) * seen,
                seen,
                self.altitude.expand_as(strip),
                (torch.log2(radius.clamp(min=1))[:, None, None, None] / 4 - 1.5).expand_as(strip),
            ],
            dim=1,
        )

    def forward(self, strip: Tensor, seen: Tensor, levels: Tensor, radius: Tensor) -> Tensor:
        """Strip, validity (B, 1, A, T), levels (B, 3), limb radius in pixels (B,) -> logits (B, 1, A, T)."""
        return self.net(self.channels(strip, seen, levels, radius))


SURROUNDINGS_PX = 9


def around(x: Tensor) -> Tensor:
    """Mean over the square of SURROUNDINGS_PX round each pixel, zeros beyond the border: (B, 1, H, W) -> the same.

    Rows, then columns: what average pooling does, ten times as fast in onnxruntime.
    """
    line = torch.full((1, 1, SURROUNDINGS_PX, 1), 1 / SURROUNDINGS_PX, dtype=x.dtype, device=x.device)
    half = SURROUNDINGS_PX // 2
    return F.conv2d(F.conv2d(x, line, padding=(half, 0)), line.transpose(2, 3), padding=(0, half))


class DiskBranch(nn.Module):
    """Logits of plume and hot spot in the image plane.

    The stem looks at single pixels before they are put into blocks: what the optics blurred and what a particle hit
    differ there and nowhere else.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, STEM_CHANNELS, 5, padding=2, bias=False), nn.BatchNorm2d(STEM_CHANNELS), nn.ReLU(inplace=True)
        )
        self.net = UNet(DISK_CHANNELS + STEM_CHANNELS, config.disk_widths, 2, wrap=False)
        self.stride = 2 ** len(config.disk_widths)

    def channels(self, frame: Tensor, valid: Tensor, levels: Tensor, altitude: Tensor, known: Tensor) -> Tensor:
        """(B, 1, H, W) in the frame's unit -> what the network sees (B, 6, H, W)."""
        sky, sigma, bright = (levels[:, i, None, None, None] for i in range(3))
        excess = (frame - sky) / sigma * valid
        near = around(excess) / around(valid).clamp(min=1e-3)
        return torch.cat(
            [
                torch.asinh(excess) / 4,
                torch.asinh(excess - near) / 4 * valid,
                ((frame - sky) / bright).clamp(-0.5, 1.5) * valid,
                valid,
                altitude[:, None].clamp(-1, 1) * known,
                known.expand_as(frame),
            ],
            dim=1,
        )

    def forward(self, frame: Tensor, valid: Tensor, levels: Tensor, altitude: Tensor, known: Tensor) -> Tensor:
        """Frame, validity (B, 1, H, W), levels (B, 3), altitude (B, H, W), limb known (B, 1, 1, 1) -> (B, 2, H, W)."""
        x = self.channels(frame, valid, levels, altitude, known)
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.stride, 0, -height % self.stride))
        return self.net(torch.cat([self.stem(x[:, :2]), x], dim=1))[..., :height, :width]


class IoNetwork(nn.Module):
    """Raw frame, validity, limb circle and levels in; calibrated probabilities out."""

    slope: Tensor
    offset: Tensor

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        self.unwrap, self.wrap = Unwrap(config), Wrap(config)
        self.limb_branch, self.disk_branch = LimbBranch(config), DiskBranch(config)
        # Calibration by class: limb plume, disk plume, hot spot. probability = sigmoid(slope * logit + offset).
        self.register_buffer("slope", torch.ones(3))
        self.register_buffer("offset", torch.zeros(3))

    def polar(self, limb: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Altitude above the limb (in radii) and azimuth (radians, 0..2 pi) of every pixel, each (B, H, W)."""
        x = torch.arange(width, device=limb.device, dtype=limb.dtype)[None, None] - limb[:, 0, None, None]
        y = torch.arange(height, device=limb.device, dtype=limb.dtype)[None, :, None] - limb[:, 1, None, None]
        radius = limb[:, 2, None, None].clamp(min=1e-3)
        azimuth = torch.atan2(x, AZIMUTH_NUDGE_PX - y)
        return torch.sqrt(x * x + y * y) / radius - 1, torch.where(azimuth < 0, azimuth + 2 * math.pi, azimuth)

    def forward(self, frame: Tensor, valid: Tensor, limb: Tensor, levels: Tensor) -> Tensor:
        """Probabilities (B, 2, H, W) of plume and hot spot; 0 where not valid.

        Args:
            frame: (B, 1, H, W) in the frame's unit; what it holds where not valid does not matter.
            valid: (B, 1, H, W), 1 where observed, else 0.
            limb: (B, 3) x, y, radius in pixels; radius 0 = no trusted limb.
            levels: (B, 3) sky, sigma, bright of the whole frame (``detector.levels``).

        """
        frame = torch.where(valid > 0, frame, levels[:, 0, None, None, None])
        known = (limb[:, 2] > 0).to(frame.dtype)[:, None, None, None]
        altitude, azimuth = self.polar(limb, frame.shape[-2], frame.shape[-1])

        strip, seen = self.unwrap(frame, valid, limb)
        limb_logits = self.limb_branch(strip, seen, levels, limb[:, 2])
        limb_plume = self.wrap(self.calibrated(limb_logits, 0), altitude, azimuth)

        disk_logits = self.disk_branch(frame, valid, levels, altitude, known)
        disk_plume = self.calibrated(disk_logits[:, :1], 1)
        hotspot = self.calibrated(disk_logits[:, 1:], 2)

        above = (altitude >= self.config.lowest)[:, None].to(frame.dtype)
        plume = known * torch.where(above > 0, limb_plume, disk_plume)
        return torch.cat([plume, hotspot], dim=1) * valid

    def calibrated(self, logits: Tensor, kind: int) -> Tensor:
        """Logits -> probabilities by the fitted slope and offset."""
        return torch.sigmoid(self.slope[kind] * logits + self.offset[kind])
