"""What every simulated camera is: a state, an exposure, and the numbers that come out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from training.simulate.dice import Dice, Rng
from training.simulate.lens import PINHOLE, Lens
from training.simulate.light import Bandpass, Image


@dataclass(frozen=True)
class Readout:
    """What was read out of a camera.

    Attributes:
        counts: (H, W) float32, the numbers in the file, in the camera's unit; anything where not valid.
        valid: (H, W) bool: what the file says was observed (its reader will say the same).
        sigma: (H, W) float32 > 0: 1-sigma of the noise of ``counts`` about its noise-free value: read, shot, rounding,
            column and compression noise; not radiation hits, which are outliers.
        slope: (H, W) float32: counts per unit of signal: 1 for a linear camera; 0 where a pixel holds something
            else than its piece of the scene (a garbled line, a dead pixel).
        unit: of the counts.
        saturation: counts at and above which a pixel is saturated, as a reader would know it; inf where it would not.

    """

    counts: Image
    valid: NDArray[np.bool_]
    sigma: Image
    slope: Image
    unit: str
    saturation: float


@dataclass(frozen=True)
class Camera:
    """A camera in one state. ``signal`` everywhere is the noise-free answer to light, in ``unit``, pedestal included.

    Attributes:
        instrument: as in ``Frame``.
        band: its filter.
        unit: ``DN`` or ``W m-2 sr-1``.
        ifov_rad: angle of one pixel.
        psf_px: 1-sigma of the Gaussian core.
        bright: signal above the pedestal of a surface of I/F = 1.
        pedestal: signal of no light.
        read: 1-sigma of a dark pixel.
        gain: electrons per unit of signal.
        saturation: largest signal.
        step: spacing of the values that the file can hold; 0 = floating point.
        exposure_s: as the label says it; NaN where not known.

    """

    kind: ClassVar[str] = ""

    instrument: str
    band: Bandpass
    unit: str
    ifov_rad: float
    psf_px: float
    bright: float
    pedestal: float
    read: float
    gain: float
    saturation: float
    step: float
    exposure_s: float

    def picture_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Shape of the picture that a file of this shape holds."""
        return shape

    def through(self, filter_name: str) -> Camera:
        """The same moment and state through another filter, for cameras that have several."""
        raise ValueError(f"{self.instrument} has no filter {filter_name!r}")

    def lens(self, io_px: tuple[float, float], shape: tuple[int, int]) -> Lens:
        """The lens that makes a picture of this shape with Io's centre at column and row ``io_px``."""
        return PINHOLE

    def blur(self, light: Image) -> Image:
        """The optics' core, on a whole picture."""
        if self.psf_px <= 0.2:
            return light
        blurred = cv2.GaussianBlur(light, (0, 0), self.psf_px, borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, np.float32)

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise of pixels with this signal: read, shot and rounding."""
        return self._spread(signal, self.step**2 / 12)

    def noisy(self, signal: Image, rng: Rng) -> Image:
        """The signal with read and shot noise, not yet rounded."""
        noise = rng.standard_normal(signal.shape, dtype=np.float32)
        noise *= self._spread(signal, 0.0)
        noise += signal
        return noise

    def _spread(self, signal: Image, rounding: float) -> Image:
        """Square root of the variance of read, shot and ``rounding``; in place, for it is the costliest step of all."""
        spread = np.subtract(signal, np.float32(self.pedestal), dtype=np.float32)
        np.maximum(spread, 0, out=spread)
        spread *= np.float32(1 / self.gain)
        spread += np.float32(self.read**2 + rounding)
        return np.sqrt(spread, out=spread)

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """Take the picture: everything between the noise-free signal (H, W) and the numbers in the file."""
        raise NotImplementedError


def rounded(counts: Image, step: float, low: float, high: float) -> Image:
    """Counts as the file can hold them: clipped, and whole multiples of ``step`` (0 = as they are)."""
    if step > 0:
        counts = np.asarray(np.round(counts / step) * step, np.float32)
    return np.clip(counts, low, high).astype(np.float32)


_COSINE = np.array(
    [
        [math.sqrt((1 if k == 0 else 2) / 8) * math.cos(math.pi * (2 * n + 1) * k / 16) for n in range(8)]
        for k in range(8)
    ],
    np.float32,
)


def cosine_blocks(image: Image, quantum: NDArray[np.float32]) -> Image:
    """Quantise the 8 x 8 cosine transform of a picture, as ICT and JPEG do.

    Args:
        image: (H, W); sides that are no multiples of 8 are filled with their edge.
        quantum: (8, 8) > 0: step of each frequency [vertical, horizontal], for the orthonormal transform.

    """
    rows, columns = image.shape
    padded = np.pad(image, ((0, -rows % 8), (0, -columns % 8)), mode="edge")
    r, c = padded.shape[0] // 8, padded.shape[1] // 8
    blocks = padded.reshape(r, 8, c, 8).transpose(0, 2, 1, 3)
    spectrum = np.round(_COSINE @ blocks @ _COSINE.T / quantum) * quantum
    back = (_COSINE.T @ spectrum @ _COSINE).transpose(0, 2, 1, 3).reshape(padded.shape)
    return np.ascontiguousarray(back[:rows, :columns])
