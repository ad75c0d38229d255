"""Light before the camera: I/F through a band, and small patches of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

SUN_DISTANCE_AU = 5.2


@dataclass(frozen=True)
class Bandpass:
    """A filter as a box.

    Attributes:
        name: upper case, as labels say it.
        low_um, high_um: edges.
        effective_um: effective wavelength.
        solar_radiance: F / pi of the Sun at 5.2 AU averaged over the band, W m-2 sr-1 um-1: the spectral radiance of
            a surface of I/F = 1.

    """

    name: str
    low_um: float
    high_um: float
    effective_um: float
    solar_radiance: float

    @property
    def width_um(self) -> float:
        """Width of the box."""
        return self.high_um - self.low_um


@dataclass(frozen=True)
class Stamp:
    """A small patch of light somewhere on a picture; all of it lies inside the picture.

    Attributes:
        row, column: of the patch's first pixel.
        patch: (h, w) float32.

    """

    row: int
    column: int
    patch: Image

    @property
    def where(self) -> tuple[slice, slice]:
        """Its place on the picture."""
        height, width = self.patch.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)

    def times(self, factor: float | Image) -> Stamp:
        """The same patch, brighter or fainter."""
        return Stamp(self.row, self.column, (self.patch * factor).astype(np.float32))

    def on(self, shape: tuple[int, int]) -> Image:
        """(H, W): the patch on an otherwise dark picture."""
        image = np.zeros(shape, np.float32)
        image[self.where] = self.patch
        return image

    def blurred(self, sigma_px: float, shape: tuple[int, int]) -> Stamp:
        """Through a Gaussian PSF that keeps the flux; the patch grows by 4 sigma where the picture has room."""
        margin = int(np.ceil(4 * sigma_px))
        height, width = self.patch.shape
        top, left = min(margin, self.row), min(margin, self.column)
        bottom = min(margin, shape[0] - self.row - height)
        right = min(margin, shape[1] - self.column - width)
        grown = np.pad(self.patch, ((margin, margin), (margin, margin)))
        soft = cv2.GaussianBlur(grown, (2 * margin + 1, 2 * margin + 1), sigma_px, borderType=cv2.BORDER_CONSTANT)
        kept = soft[margin - top : margin + height + bottom, margin - left : margin + width + right]
        return Stamp(self.row - top, self.column - left, np.ascontiguousarray(kept))


def clipped_stamp(row: int, column: int, patch: Image, shape: tuple[int, int]) -> Stamp | None:
    """A stamp of what lies inside the picture of a patch that may stand out of it; None when nothing does."""
    top, left = max(0, -row), max(0, -column)
    bottom, right = min(patch.shape[0], shape[0] - row), min(patch.shape[1], shape[1] - column)
    if bottom <= top or right <= left:
        return None
    return Stamp(row + top, column + left, np.ascontiguousarray(patch[top:bottom, left:right], dtype=np.float32))
