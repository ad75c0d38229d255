"""Juno's Stellar Reference Unit: a star camera that looks at Jupiter-lit night sides through a rain of electrons.

It is broad in wavelength and fast: what sunlight reaches it directly is overexposed by orders. The spacecraft turns
while it exposes, so the CCD's rows are clocked along with the sky (JNO:TDI_ON): what is off that rate smears along the
columns, a pixel's own dark current spreads over its column, and every column has a zero of its own.

Sources
-------
* 512 x 512 pixels, focal length, rows 510-511 and columns 0-1 as dummies, 0 for what was not sent: SRU EDR SIS.
* 12 bits, electrons per DN, read noise and the columns' zeros: as recalled or chosen wide; no frame was at hand.
* Radiation: Becker et al. count penetrating electrons on these frames, up to thousands in one near perijove (as
  recalled); at Io most of what is bright in a frame can be hits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from detector.instruments import SRU
from training.simulate.bands import bandpass
from training.simulate.cameras.camera import Camera, Readout
from training.simulate.damage import hot_columns, missing
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.lens import OffAxis
from training.simulate.light import Image
from training.simulate.radiation import strike

FULL = 4095.0
"""Largest count of the 12-bit converter, as recalled."""
DUMMY_ROWS, DUMMY_COLUMNS = slice(510, 512), slice(0, 2)


@dataclass(frozen=True)
class SruCamera(Camera):
    """One exposure of the Stellar Reference Unit.

    Attributes:
        hits: radiation hits in 10^5 pixels.
        hit_level: their mean signal.

    """

    kind: ClassVar[str] = "sru"

    hits: float = 100.0
    hit_level: float = 100.0

    def lens(self, io_px: tuple[float, float], shape: tuple[int, int]) -> OffAxis:
        """A flat detector 16 degrees wide: its axis is the middle of the picture, wherever Io is."""
        return OffAxis(io_px, ((shape[1] - 1) / 2, (shape[0] - 1) / 2), self.ifov_rad)

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """Take the picture.

        Args:
            signal: (H, W) float32 in DN; 512 x 512 is a whole frame, with its dummy rows and columns.
            dice: decides what is wrong with this picture.

        Returns:
            whole counts 1..4095, 0 where not valid, as the reader takes a 0 for something that was not sent.

        """
        seen = _spilt(_smeared(signal, dice), self, dice)
        zeros, spread = _column_zeros(self, signal.shape[1], dice)
        counts = self.noisy(seen, dice.rng("noise"))
        counts += zeros
        counts = strike(counts, dice, self.hits, self.hit_level, self.saturation)
        counts = hot_columns(counts, dice, 4 * self.read)
        np.clip(np.rint(counts, out=counts), 1.0, self.saturation, out=counts)
        valid = missing(dice, (signal.shape[0], signal.shape[1]))
        if signal.shape == SRU.shape:
            valid[DUMMY_ROWS], valid[:, DUMMY_COLUMNS] = False, False
        counts *= valid
        sigma = replace(self, read=math.hypot(self.read, spread)).sigma(np.minimum(seen, self.saturation))
        return Readout(counts, valid, sigma, np.ones(signal.shape, np.float32), "DN", np.inf)


def _smeared(signal: Image, dice: Dice) -> Image:
    """Effect ``tdi``: rows are clocked for stars; what is near moves at another rate, along the columns."""
    rng = dice.effect("tdi", 0.3)
    if rng is None:
        return signal
    length = rng.uniform(1, 6)
    taps = np.clip(0.5 + length / 2 - np.abs(np.arange(-4, 5)), 0, 1).astype(np.float32)
    return np.asarray(cv2.filter2D(signal, -1, (taps / taps.sum())[:, None], borderType=cv2.BORDER_REFLECT), np.float32)


def _spilt(signal: Image, camera: SruCamera, dice: Dice) -> Image:
    """Effect ``blooming``: what a pixel cannot hold runs along its column, and smears over all of it at readout."""
    most = np.float32(camera.saturation)
    rng = dice.effect("blooming", 0.7)
    columns = np.flatnonzero(signal.max(axis=0) > most)
    if rng is None or not len(columns):
        return signal
    over = np.clip(signal[:, columns], most, 30 * most) - most
    reach, share = log_uniform(rng, 1, 12), rng.uniform(0.05, 0.6)
    taps = np.exp(-np.abs(np.arange(-24, 25)) / reach)
    kernel = (share * taps / taps.sum()).astype(np.float32)[:, None]
    spilt = signal.copy()
    spilt[:, columns] += cv2.filter2D(over, -1, kernel, borderType=cv2.BORDER_CONSTANT)
    spilt[:, columns] += np.float32(log_uniform(rng, 1e-5, 3e-3)) * over.mean(axis=0)
    return spilt


def _column_zeros(camera: SruCamera, columns: int, dice: Dice) -> tuple[Image, float]:
    """Effect ``column_offsets``: zeros of the columns, even ones apart from odd ones, and their 1-sigma."""
    rng = dice.effect("column_offsets", 0.9)
    if rng is None:
        return np.zeros(columns, np.float32), 0.0
    spread, apart = log_uniform(rng, 0.3, 6) * camera.read, rng.normal(0, log_uniform(rng, 0.2, 6) * camera.read)
    zeros = rng.normal(0, spread, columns) + np.where(np.arange(columns) % 2, -apart / 2, apart / 2)
    return zeros.astype(np.float32), math.hypot(spread, apart / 2)


def draw_sru(dice: Dice, shape: tuple[int, int], eclipse: bool) -> SruCamera:
    """The camera in some state: it looks at night sides, so a sunlit crescent is overexposed a hundredfold.

    Args:
        dice: of the picture.
        shape: of the picture; the state does not depend on it.
        eclipse: whether Io is in Jupiter's shadow.

    """
    rng = dice.rng("camera")
    return SruCamera(
        SRU.name,
        bandpass("sru", ""),
        "DN",
        SRU.ifov_rad,
        psf_px=rng.uniform(0.6, 1.1),
        bright=_bright(rng, eclipse),
        pedestal=rng.uniform(40, 400),
        read=log_uniform(rng, 1.5, 12),
        gain=log_uniform(rng, 5, 40),
        saturation=FULL,
        step=1.0,
        exposure_s=float(rng.choice([0.03, 0.05, 0.1, 0.2, 0.5, 1.0])),
        hits=log_uniform(rng, 5, 2500),
        hit_level=log_uniform(rng, 30, 600),
    )


def _bright(rng: Rng, eclipse: bool) -> float:
    """DN of I/F = 1: Jupiter's light on the ground, some 0.003 of the Sun's, at 10 to 1500 DN, or much less."""
    if eclipse:
        return log_uniform(rng, 1e5, 1e7)
    return log_uniform(rng, 3e3, 5e5) if rng.random() < 0.85 else log_uniform(rng, 300, 3000)
