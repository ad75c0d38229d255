"""A closer look at the limb of a large disk: sectors of it, each bent round to the limb of a smaller disk.

The unwrapped limb has so many azimuths and altitudes whatever the disk's size. On a large disk a low plume covers a few
of its cells only and is lost among the traces of compression. Bent round, pixel for pixel along the limb and across, a
sector is a whole limb of a size that the network knows well. Angles grow by 2 pi / span; altitudes stay what they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.frame import Frame
from detector.limb import Limb
from detector.tiles import REACH

CLOSER_FROM_PX = 500.0
"""Radius of the disks that are looked at once more in sectors."""
SECTOR_PX = 350.0
"""Radius of the disk whose circumference the counted part of a sector has, at most."""
COUNTED = 0.8
"""Share of a sector's span whose answer counts: its ends are joined to each other, which they are not."""
LOWEST, HIGHEST = -0.04, 0.28
"""Altitudes that the unwrapped limb shows, in radii."""


@dataclass(frozen=True)
class Sector:
    """A part of a limb: ``span_rad`` about ``middle_rad`` (atan2(y, x) on the frame), bent round to a circle."""

    frame: Frame
    limb: Limb
    middle_rad: float
    span_rad: float

    @property
    def radius_px(self) -> float:
        """Of the circle that the sector's limb becomes."""
        return self.limb.radius_px * self.span_rad / (2 * math.pi)

    def bent(self) -> tuple[Frame, Limb]:
        """The frame and the limb that the network looks at; the levels are those of the whole frame."""
        half = math.ceil(REACH * self.radius_px) + 1
        y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
        angle = np.arctan2(y, x) * np.float32(self.span_rad / (2 * math.pi)) + np.float32(self.middle_rad)
        distance = np.hypot(x, y) + np.float32(self.limb.radius_px - self.radius_px)
        rows, columns = self.limb.y_px + distance * np.sin(angle), self.limb.x_px + distance * np.cos(angle)
        place = np.stack([rows, columns]).astype(np.float32)
        image = ndimage.map_coordinates(self.frame.image, place, order=1)
        valid = ndimage.map_coordinates(self.frame.valid.astype(np.float32), place, order=1) > 1 - 1e-3
        limb = replace(self.limb, x_px=float(half), y_px=float(half), radius_px=self.radius_px)
        return self.frame.like(np.where(valid, image, np.float32(0)), valid), limb

    def put_back(self, bent: NDArray[np.float32], plane: NDArray[np.float32]) -> None:
        """Raise a plane of the frame to what the network said of the bent sector, where its answer counts.

        Args:
            bent: probabilities of the bent frame; NaN counts as 0.
            plane: (H, W) probabilities of the frame, changed in place; what is NaN becomes known.

        """
        rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
        dx, dy = columns - np.float32(self.limb.x_px), rows - np.float32(self.limb.y_px)
        aside = (np.arctan2(dy, dx) - self.middle_rad + math.pi) % (2 * math.pi) - math.pi
        altitude = np.hypot(dx, dy) - np.float32(self.limb.radius_px)
        counted = (np.abs(aside) <= 0.5 * COUNTED * self.span_rad) & self.frame.valid
        counted &= (altitude >= LOWEST * self.radius_px) & (altitude <= HIGHEST * self.radius_px)
        angle, distance = aside[counted] * (2 * math.pi / self.span_rad), altitude[counted] + self.radius_px
        middle = (bent.shape[0] - 1) / 2
        place = np.stack([middle + distance * np.sin(angle), middle + distance * np.cos(angle)])
        plane[counted] = np.fmax(plane[counted], ndimage.map_coordinates(np.nan_to_num(bent), place, order=1))


def sectors(frame: Frame, limb: Limb) -> list[Sector]:
    """List the sectors of a large disk's limb of which the frame shows something; none of a smaller disk."""
    if not limb.trusted or limb.radius_px < CLOSER_FROM_PX:
        return []
    count = math.ceil(limb.radius_px / SECTOR_PX)
    step = 2 * math.pi / count
    listed = [Sector(frame, limb, (number + 0.5) * step, step / COUNTED) for number in range(count)]
    return [sector for sector in listed if _in_sight(sector)]


def _in_sight(sector: Sector) -> bool:
    """Whether the frame shows any of the limb where the sector's answer counts."""
    limb, half = sector.limb, 0.5 * COUNTED * sector.span_rad
    angle = sector.middle_rad + np.linspace(-half, half, 720)
    rows = np.rint(limb.y_px + limb.radius_px * np.sin(angle)).astype(int)
    columns = np.rint(limb.x_px + limb.radius_px * np.cos(angle)).astype(int)
    height, width = sector.frame.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return bool(sector.frame.valid[rows[inside], columns[inside]].any())
