"""Juno's Stellar Reference Unit: a star camera that looks at Jupiter-lit night sides through a rain of electrons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detector.instruments import SRU
from training.simulate.bands import bandpass
from training.simulate.cameras.camera import Camera, Readout, rounded
from training.simulate.damage import hot_columns, missing
from training.simulate.dice import Dice, log_uniform
from training.simulate.light import Image
from training.simulate.radiation import strike

FULL = 4095.0
"""Largest count of the 12-bit converter, as recalled."""


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

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """Noise, the columns' own zeros, radiation; rows 510-511 and columns 0-1 of a whole frame are dummies."""
        counts = self.noisy(signal, dice.rng("noise"))
        sigma = self.sigma(np.minimum(signal, self.saturation))
        if (rng := dice.effect("column_offsets", 0.9)) is not None:
            spread = log_uniform(rng, 0.3, 6) * self.read
            zeros = np.asarray(rng.normal(0, spread, signal.shape[1]))
            zeros[::2] += rng.normal(0, spread)
            counts = counts + zeros.astype(np.float32)
            sigma = np.hypot(sigma, np.float32(spread))
        counts = strike(counts, dice, self.hits, self.hit_level, self.saturation)
        counts = rounded(hot_columns(counts, dice, 4 * self.read), 1.0, 1.0, self.saturation)
        valid = missing(dice, (signal.shape[0], signal.shape[1]))
        if signal.shape == SRU.shape:
            valid[-2:], valid[:, :2] = False, False
        slope = np.ones(signal.shape, np.float32)
        return Readout(counts, valid, np.asarray(sigma, np.float32), slope, "DN", np.inf)


def draw_sru(dice: Dice, shape: tuple[int, int], eclipse: bool) -> SruCamera:
    """The camera in some state: it looks at night sides, so a sunlit crescent is overexposed a hundredfold."""
    rng = dice.rng("camera")
    dark, bright = rng.random() < 0.7 or eclipse, log_uniform(rng, 300, 5000)
    if dark:
        bright = log_uniform(rng, 2e4, 2e6) if eclipse else log_uniform(rng, 2e3, 3e5)
    return SruCamera(
        SRU.name,
        bandpass("sru", ""),
        "DN",
        SRU.ifov_rad,
        psf_px=rng.uniform(0.6, 1.1),
        bright=bright,
        pedestal=rng.uniform(40, 400),
        read=log_uniform(rng, 1.5, 12),
        gain=log_uniform(rng, 5, 40),
        saturation=FULL,
        step=1.0,
        exposure_s=float(rng.choice([0.03, 0.05, 0.1, 0.2, 0.5, 1.0])),
        hits=log_uniform(rng, 5, 600),
        hit_level=log_uniform(rng, 30, 500),
    )
