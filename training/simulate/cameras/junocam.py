"""JunoCam: framelets, square-root companding, an interline CCD that blooms, and the damage of the late orbits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.instruments import JUNOCAM, JUNOCAM_BORDER, JUNOCAM_USUAL_DELAY_S, junocam_linear
from detector.readers.junocam import COLUMNS, framelet_of_rows, framelet_step_px
from training.simulate.bands import bandpass
from training.simulate.cameras.camera import Camera, Readout
from training.simulate.damage import hot_columns, missing
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image
from training.simulate.pushframe import PushFrame, frames_for
from training.simulate.radiation import strike

RESPONSE = {"BLUE": 0.70, "GREEN": 1.0, "RED": 1.1, "METHANE": 0.15}
"""Signal of equal I/F relative to GREEN, as the strips of orbits 36 and 43 have it."""
LOST = {"BLUE": 0.64, "GREEN": 0.47, "RED": 0.23, "METHANE": 0.2}
"""Share of the throughput lost by orbit 60 (Perry, as recalled)."""
LINEAR = junocam_linear().astype(np.float32)
STEPS = np.gradient(LINEAR.astype(np.float64)).astype(np.float32)
"""Width of the companded levels in linear DN."""
EDGES = (LINEAR[1:] + LINEAR[:-1]) / 2
DAMAGED_ORBIT, WORN_ORBIT = 47, 60


@dataclass(frozen=True)
class JunocamCamera(Camera):
    """One exposure through one filter.

    Attributes:
        orbit: of Juno: the radiation damage grows from the 47th on.
        tdi_stages: rows summed on the chip.
        interframe_delay_s: between framelets.
        jogs_px: for each framelet, how far it is off in columns and rows.
        corner_px: where a small picture lies on the mosaic.

    """

    kind: ClassVar[str] = "junocam"

    orbit: int = 30
    tdi_stages: int = 2
    interframe_delay_s: float = JUNOCAM_USUAL_DELAY_S
    jogs_px: tuple[tuple[float, float], ...] = ()
    corner_px: tuple[int, int] = (0, 0)

    def through(self, filter_name: str) -> JunocamCamera:
        """The same moment and state through another filter."""
        ratio = _throughput(filter_name, self.orbit) / _throughput(self.band.name, self.orbit)
        return replace(self, band=bandpass("junocam", filter_name), bright=self.bright * ratio)

    def lens(self, io_px: tuple[float, float], shape: tuple[int, int]) -> PushFrame:
        """Framelets; a small picture is a window of the mosaic at ``corner_px``."""
        corner = self.corner_px if shape[1] < COLUMNS else (0, 0)
        return PushFrame(
            self.band.name,
            frames_for(self.band.name, self.interframe_delay_s, shape[0] + corner[1]),
            self.interframe_delay_s,
            io_px,
            corner,
            self.jogs_px,
        )

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise: read, shot, and the width of the companded level."""
        shot = np.maximum(signal - self.pedestal, 0) / self.gain
        level = np.interp(signal, LINEAR, STEPS)
        return np.asarray(np.sqrt(self.read**2 + shot + level**2 / 12), np.float32)

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """Smear, bloom, add noise and damage, compand."""
        first = self.corner_px[1] if signal.shape[1] < COLUMNS else 0
        frame, row = framelet_of_rows(
            frames_for(self.band.name, self.interframe_delay_s, first + signal.shape[0]),
            framelet_step_px(self.band.name, self.interframe_delay_s),
        ).T[:, first : first + signal.shape[0]]
        seen = _stepped(_smeared(signal, dice), frame, self, dice)
        sigma, slope = self.sigma(np.minimum(seen, self.saturation)), np.ones(signal.shape, np.float32)
        counts = _bloomed(self.noisy(seen, dice.rng("noise")), self.saturation, dice)
        counts, extra = _worn(counts, self, dice)
        rate = log_uniform(dice.rng("radiation rate"), 0.5, 150)
        counts = strike(counts, dice, rate, dice.rng("radiation level").uniform(30, 400), self.saturation)
        counts = hot_columns(counts, dice, 3 * self.read)
        valid = missing(dice, (signal.shape[0], signal.shape[1])) & _lit(frame, row, signal.shape[1])
        return Readout(companded(counts), valid, np.hypot(sigma, extra), slope, "DN", self.saturation)


def draw_junocam(dice: Dice, shape: tuple[int, int], eclipse: bool) -> JunocamCamera:
    """JunoCam in some state; in eclipse or on the night side it is exposed far longer."""
    rng = dice.rng("camera")
    filter_name = str(rng.choice(["BLUE", "GREEN", "RED", "METHANE"], p=[0.3, 0.32, 0.33, 0.05]))
    orbit = int(rng.integers(20, 46)) if rng.random() < 0.45 else int(rng.integers(46, 63))
    bright = log_uniform(rng, 250, 9000) if not eclipse else log_uniform(rng, 3e4, 1e6)
    stages = int(rng.choice([1, 2, 3, 6, 32]))
    delay = JUNOCAM_USUAL_DELAY_S
    return JunocamCamera(
        JUNOCAM.name,
        bandpass("junocam", filter_name),
        "DN",
        JUNOCAM.ifov_rad,
        psf_px=rng.uniform(0.45, 0.95),
        bright=bright * _throughput(filter_name, orbit),
        pedestal=rng.uniform(0, 30),
        read=log_uniform(rng, 0.8, 8),
        gain=log_uniform(rng, 4, 30),
        saturation=float(LINEAR[-1]),
        step=1.0,
        exposure_s=0.0032 * stages,
        orbit=orbit,
        tdi_stages=stages,
        interframe_delay_s=delay,
        jogs_px=_jogs(dice, frames_for(filter_name, delay, shape[0] + 128) + 2),
        corner_px=(int(rng.integers(0, max(COLUMNS - shape[1], 0) + 1)), int(rng.integers(0, 115))),
    )


def _throughput(filter_name: str, orbit: int) -> float:
    worn = np.clip((orbit - DAMAGED_ORBIT) / (WORN_ORBIT - DAMAGED_ORBIT), 0, 1)
    return RESPONSE[filter_name] * float(1 - LOST[filter_name] * worn)


def _jogs(dice: Dice, count: int) -> tuple[tuple[float, float], ...]:
    """Effect ``seams``, first half: framelets off by the error of the spin rate and a little wobble."""
    rng = dice.effect("seams", 0.6)
    if rng is None:
        return ()
    rate, wobble = rng.normal(0, 0.4), rng.uniform(0.05, 0.5)
    return tuple((float(rng.normal(0, wobble)), float(rate * n + rng.normal(0, wobble))) for n in range(count))


def _smeared(signal: Image, dice: Dice) -> Image:
    """Effect ``tdi``: rows summed at a wrong rate: smear along the columns."""
    rng = dice.effect("tdi", 0.3)
    if rng is None:
        return signal
    length = rng.uniform(1, 3.5)
    taps = np.clip(length - 2 * np.abs(np.arange(-2, 3)) + 1, 0, 2).astype(np.float32)
    return np.asarray(cv2.filter2D(signal, -1, (taps / taps.sum())[:, None], borderType=cv2.BORDER_REFLECT), np.float32)


def _stepped(signal: Image, frame: NDArray[np.int64], camera: JunocamCamera, dice: Dice) -> Image:
    """Effect ``seams``, second half: framelets of slightly different sensitivity and zero."""
    rng = dice.effect("seams", 0.6)
    if rng is None:
        return signal
    count = int(frame.max()) + 1
    gain, zero = rng.normal(1, 0.008, count), rng.normal(0, 0.4 * camera.read, count)
    which = np.maximum(frame, 0)
    stepped = camera.pedestal + (signal - camera.pedestal) * gain[which][:, None] + zero[which][:, None]
    return np.asarray(stepped, np.float32)


def _bloomed(counts: Image, high: float, dice: Dice) -> Image:
    """Effect ``blooming``: what does not fit a saturated pixel runs along its column, fainter the farther."""
    rng = dice.effect("blooming", 0.5)
    if rng is None or counts.max() <= high:
        return counts
    excess = np.maximum(counts - high, 0)
    reach = int(log_uniform(rng, 3, 60))
    taps = np.exp(-np.abs(np.arange(-reach, reach + 1)) / (reach / 3)).astype(np.float32)
    spilt = cv2.filter2D(excess, -1, (taps / taps.sum())[:, None], borderType=cv2.BORDER_CONSTANT)
    return np.minimum(counts, high) + np.float32(rng.uniform(0.2, 0.8)) * spilt


def _worn(counts: Image, camera: JunocamCamera, dice: Dice) -> tuple[Image, float]:
    """Effect ``late_damage``: hot and dead pixels by the thousand, banding, streaks; and its noise, 1-sigma."""
    age = (camera.orbit - DAMAGED_ORBIT + 3) / (WORN_ORBIT - DAMAGED_ORBIT + 3)
    rng = dice.effect("late_damage", 0.8 if age > 0 else 0.0)
    if rng is None:
        return counts, 0.0
    amount = log_uniform(rng, 0.3, 3) * max(age, 0.3) * camera.read
    counts = counts + _bands(rng, counts.shape, amount)
    speckled = rng.random(counts.shape, dtype=np.float32)
    share = log_uniform(rng, 2e-4, 2e-2) * max(age, 0.2)
    hot = speckled < share
    counts[hot] += rng.exponential(40 * amount + 20, int(hot.sum())).astype(np.float32)
    counts[speckled > 1 - 0.1 * share] = camera.pedestal
    return counts.astype(np.float32), amount


def _bands(rng: Rng, shape: tuple[int, ...], amount: float) -> Image:
    """Offsets of lines, slow waves down the picture, and columns that differ."""
    lines = rng.normal(0, 0.5 * amount, shape[0])
    lines += amount * np.sin(np.arange(shape[0]) * rng.uniform(0.02, 0.6) + rng.uniform(0, 6))
    columns = rng.normal(0, 0.6 * amount, shape[1])
    return np.asarray(lines[:, None] + columns[None], np.float32)


def _lit(frame: NDArray[np.int64], row: NDArray[np.int64], columns: int) -> NDArray[np.bool_]:
    """(rows, columns or 1) bool: rows that a framelet fills, and on a whole detector the columns that see light."""
    inside = (frame >= 0) & (row >= JUNOCAM_BORDER["top"]) & (row < 128 - JUNOCAM_BORDER["bottom"])
    column = np.arange(columns)
    lit = (column >= JUNOCAM_BORDER["left"]) & (column < columns - JUNOCAM_BORDER["right"])
    return np.asarray(inside[:, None] & (lit if columns == COLUMNS else np.ones(columns, bool))[None])


def companded(counts: Image) -> Image:
    """Linear DN as the eight bits can say them, in linear DN again."""
    return LINEAR[np.searchsorted(EDGES, np.nan_to_num(counts), side="left")]
