"""From light to the numbers in the file: optics, noise, damage, compression, and what is done to a picture later."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Camera:
    """A camera in one state. Brightness is in the frame's own unit.

    Attributes:
        instrument, filter, wavelength_um, unit: as in ``Frame``.
        ifov_rad: angle of one pixel.
        psf_px: 1-sigma of the Gaussian core.
        bright: signal of a surface of I/F = 1.
        pedestal: signal of no light.
        read: 1-sigma of a dark pixel.
        gain: electrons per unit of signal.
        saturation: largest signal.
        step: spacing of the values the file can hold; 0 = floating point.
        block: quantisation step of 8x8 cosine blocks (ICT, JPEG); 0 = none.
        columns: 1-sigma of the difference between odd and even columns.
        hits: mean number of radiation hits per 10^5 pixels. hit_level: their mean signal.

    """

    instrument: str
    filter: str
    wavelength_um: float
    unit: str
    ifov_rad: float
    psf_px: float
    bright: float
    pedestal: float
    read: float
    gain: float
    saturation: float = math.inf
    step: float = 1.0
    block: float = 0.0
    columns: float = 0.0
    hits: float = 0.0
    hit_level: float = 30.0

    def blur(self, light: Image) -> Image:
        """The optics' core: keeps the flux."""
        if self.psf_px <= 0.2:
            return light
        blurred = cv2.GaussianBlur(light, (0, 0), self.psf_px, borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred, np.float32)

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise of pixels with this noise-free signal (pedestal included), rounding included."""
        shot = np.maximum(signal - self.pedestal, 0) / self.gain
        return np.asarray(np.sqrt(self.read**2 + (0.6 * self.columns) ** 2 + shot + self.step**2 / 12), np.float32)

    def expose(self, signal: Image, rng: np.random.Generator) -> Image:
        """A noise-free signal -> what is read out: noise, hits, columns, saturation, rounding, compression."""
        shot = np.maximum(signal - self.pedestal, 0) / self.gain
        spread = np.asarray(np.sqrt(self.read**2 + shot), np.float32)
        counts: Image = signal + rng.standard_normal(signal.shape, dtype=np.float32) * spread
        if self.columns > 0:
            counts[:, 1::2] += rng.normal(0, self.columns)
            counts += np.asarray(rng.normal(0, 0.3 * self.columns, signal.shape[1]), np.float32)
        add_hits(counts, rng.poisson(self.hits * counts.size / 1e5), self.hit_level, rng)
        if self.block > 0:
            counts = cosine_blocks(counts, self.block)
        if self.step > 0:
            counts = np.asarray(np.round(counts / self.step) * self.step, np.float32)
        floor = 0.0 if self.unit == "DN" else -np.inf
        return np.clip(counts, floor, self.saturation).astype(np.float32)


def add_hits(counts: Image, number: int, level: float, rng: np.random.Generator) -> None:
    """Radiation hits, in place: mostly single pixels, some short tracks and clusters, amplitudes exponential."""
    rows, columns = counts.shape
    for _ in range(int(number)):
        r, c = rng.integers(rows), rng.integers(columns)
        energy = rng.exponential(level)
        length = 1 if rng.random() < 0.65 else int(rng.integers(2, 9))
        angle = rng.uniform(0, np.pi)
        for i in range(length):
            y, x = int(r + i * np.sin(angle)), int(c + i * np.cos(angle))
            if 0 <= y < rows and 0 <= x < columns:
                counts[y, x] += energy * rng.uniform(0.4, 1.2)


_COSINE = np.array(
    [
        [math.sqrt((1 if k == 0 else 2) / 8) * math.cos(math.pi * (2 * n + 1) * k / 16) for n in range(8)]
        for k in range(8)
    ],
    np.float32,
)


def cosine_blocks(image: Image, step: float) -> Image:
    """Quantise the 8x8 cosine transform: what ICT and JPEG do to a picture. Higher frequencies are cut coarser."""
    rows, columns = image.shape
    padded = np.pad(image, ((0, -rows % 8), (0, -columns % 8)), mode="edge")
    r, c = padded.shape[0] // 8, padded.shape[1] // 8
    blocks = padded.reshape(r, 8, c, 8).transpose(0, 2, 1, 3)
    k = np.arange(8)
    quantum = (step * (1 + 0.25 * (k[:, None] + k[None]))).astype(np.float32)
    quantum[0, 0] = min(step, 1.0)
    spectrum = np.round(_COSINE @ blocks @ _COSINE.T / quantum) * quantum
    back = (_COSINE.T @ spectrum @ _COSINE).transpose(0, 2, 1, 3).reshape(padded.shape)
    return np.ascontiguousarray(back[:rows, :columns])


@dataclass(frozen=True)
class Display:
    """What was done to a picture before it was published.

    Attributes:
        black, white: signals that became 0 and 255.
        gamma: exponent.
        sharpen: amount of unsharp masking. sharpen_px: its radius.
        block: quantisation step of the JPEG, in grey levels; 0 = none.

    """

    black: float
    white: float
    gamma: float
    sharpen: float = 0.0
    sharpen_px: float = 1.5
    block: float = 0.0

    def apply(self, counts: Image) -> Image:
        """Counts -> whole grey levels 0..255."""
        grey = self.curve(counts)
        if self.sharpen > 0:
            grey = grey + self.sharpen * (grey - cv2.GaussianBlur(grey, (0, 0), self.sharpen_px))
        if self.block > 0:
            grey = cosine_blocks(grey, self.block)
        return np.clip(np.round(grey), 0, 255).astype(np.float32)

    def curve(self, counts: Image) -> Image:
        """The tone curve alone, 0..255, not rounded."""
        return (255 * np.clip((counts - self.black) / (self.white - self.black), 0, 1) ** self.gamma).astype(np.float32)

    def slope(self, counts: Image) -> Image:
        """Grey levels per count at each pixel: what noise and faint light are multiplied with."""
        delta = np.float32(0.01 * (self.white - self.black))
        return (self.curve(counts + delta) - self.curve(counts - delta)) / (2 * delta)
