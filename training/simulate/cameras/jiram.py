"""JIRAM's infrared imager: a dark of columns that alternate, pixels that never cool, and a despinning mirror.

What a raw frame holds is light + dark, up to the end of the converter; a calibrated frame is that less a background
taken at another time. Both are made here the same way round, so that what a real frame keeps of its dark (columns left
over, negative floors, hot pixels, plateaus) is what is left of the subtraction.

Sources
-------
* Every ``DARK_*`` constant and ``jiram_hot_pixels.csv``: measured on the averaged darks of 1 ms and 3 ms of Io
  sequences (JIR_IMG_EDR_2024165T152348, four frames; JIR_IMG_EDR_2024100T050133, three frames). The fixed pattern of
  the two is the same to a correlation of 0.96; columns and pixels are white, without memory of their neighbours.
* Counts to radiance (2000 DN per W m-2 sr-1 and millisecond), the converter's end at 0.0073 W s m-2 sr-1 above the
  dark, and the power law by which alternate columns answer: J. Perry's reduction of the Io frames.
* 100 electrons per DN: as recalled (full well of some 10^6 electrons over 14 bits).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.instruments import JIRAM, jiram_saturation
from training.simulate.bands import bandpass
from training.simulate.cameras.camera import Camera, Readout
from training.simulate.damage import hot_columns, missing
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image
from training.simulate.radiation import strike

DN_PER_RADIANCE_MS = 2000.0
ELECTRONS_PER_DN = 100.0
CEILING_DN = 16150.0
"""The end of the converter: saturated pixels of the darks hold 16130 to 16206."""

DARK_DN = (1235.0, 130.0)
"""Mean dark: at no exposure, and per millisecond."""
DARK_ODD_EVEN_DN = (342.0, -0.138)
"""Difference of neighbouring columns at 1 ms, and the exponent of its change with the exposure."""
DARK_COLUMN_DN = (73.0, -0.040)
"""1-sigma of the columns about the mean of their kind."""
DARK_PIXEL_DN = ((78.1, -0.104), (58.5, -0.187))
"""1-sigma of the pixels about their column: high columns, low columns."""
DARK_SKEW = 0.15
DARK_LINE_DN = 8.6
"""Even lines lie this much above, odd lines below."""
DARK_LINES_DN = {
    "L": (-4.0, 6.0, 11.0, 7.0, -2.0, -9.0, -12.0, -11.0, -14.0),
    "M": (-17.0, -24.0, -25.0, -16.0, 1.0, 16.0, 25.0, 33.0, 39.0),
}
"""Smooth change along the columns, from the first line of a half to its last."""
READ_DN = 19.0
POPCORN = (0.04, 4.0)
"""Share of pixels that are noisier from frame to frame, and how many times; both fit the tails of the darks' change."""

SHOT_FROM_DN2 = 4.0
"""Shot noise of less variance than this is lost in the rest (600 DN squared) and left out."""

HOT_PER_1E5_PIXELS = 63.0
HOT_SATURATED = 0.5
"""Share of the single hot pixels that stand at the converter's end; the others are spread over the orders below."""
HOT_CHANGES = 0.05
"""Share of hot pixels that are hot in one of the two darks only, 65 days apart."""
CLUSTER_EDGE = 12.0
"""How steeply a cluster of hot pixels falls at its edge: fits the one at sample 48, line 90 (35 pixels, 3.4 in radius,
levels of 8000 to 12000 DN: round, flat and as bright as a hot spot)."""

ODD_EVEN_POWER = ((1.018, 0.08), (0.9686, -0.0891))
"""True radiance = x * a * x^-b, for x read in dark and in bright columns at 1 ms (W m-2 sr-1)."""
POWER_FROM = 0.01
"""W m-2 sr-1: the power law is continued in proportion below this."""

JIRAM_SHAPE = (256, 432)
"""Lines and columns of the imager: the L half over the M half."""

EXPOSURES_S = (0.001, 0.002, 0.003, 0.012)
EXPOSURE_SHARES = (0.3, 0.15, 0.35, 0.2)


def at_exposure(law: tuple[float, float], exposure_s: float) -> float:
    """A measured amplitude, DN: its value at 1 ms and the exponent of its change with the exposure."""
    return law[0] * (exposure_s * 1e3) ** law[1]


def mean_dark(exposure_s: float) -> float:
    """Mean of a raw dark, DN."""
    return DARK_DN[0] + DARK_DN[1] * exposure_s * 1e3


# -- the dark ---------------------------------------------------------------------------------------------------------


def fixed_pattern(shape: tuple[int, int], exposure_s: float, parity: int, rng: Rng) -> Image:
    """(H, W) DN, mean 0: what stays from dark to dark: columns, and pixels about them; without the lines' curve.

    Args:
        shape: rows and columns.
        exposure_s: of the frame.
        parity: 0 where even columns are the high ones, 1 where odd columns are.
        rng: of this detector's pixels.

    """
    high = (np.arange(shape[1]) + parity) % 2 == 0
    half = at_exposure(DARK_ODD_EVEN_DN, exposure_s) / 2
    columns = np.where(high, half, -half) + rng.normal(0, at_exposure(DARK_COLUMN_DN, exposure_s), shape[1])
    spread = np.where(high, *(at_exposure(law, exposure_s) for law in DARK_PIXEL_DN)).astype(np.float32)
    lines = np.where(np.arange(shape[0]) % 2 == 0, DARK_LINE_DN, -DARK_LINE_DN)
    pixels = rng.standard_normal(shape, dtype=np.float32)
    skew = np.float32(DARK_SKEW / 6)
    pixels *= skew * pixels + 1  # a touch of the second Hermite polynomial; its mean goes with the columns
    pixels -= skew
    pixels *= spread
    pixels += columns.astype(np.float32)
    pixels += lines.astype(np.float32)[:, None]
    return pixels


def line_curve(rows: int, half: str) -> Image:
    """(rows, 1) DN: how the dark changes along the columns of half ``L`` or ``M``, or of both (``LM``)."""
    nodes = np.concatenate([DARK_LINES_DN[name] for name in half])
    curve = np.interp(np.linspace(0, len(nodes) - 1, rows), np.arange(len(nodes)), nodes)
    return np.asarray(curve[:, None], np.float32)


def temporal_noise(shape: tuple[int, int], rng: Rng) -> Image:
    """(H, W) DN: what changes from frame to frame, heavy tails included."""
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(READ_DN)
    share, times = POPCORN
    noise.ravel()[rng.integers(noise.size, size=round(share * noise.size))] *= np.float32(times)
    return noise


# -- hot pixels -------------------------------------------------------------------------------------------------------


@cache
def real_hot_pixels() -> NDArray[np.float32]:
    """(n, 4) float32: row, column, DN above the dark at 1 ms and at 3 ms."""
    text = resources.files("training.simulate").joinpath("cameras/jiram_hot_pixels.csv").read_text(encoding="ascii")
    return np.loadtxt(text.splitlines(), delimiter=",", dtype=np.float32, comments=("#", "row,"))


def real_hot(shape: tuple[int, int], half: str, rng: Rng) -> Image:
    """(H, W) DN: the real hot pixels, where they are on a frame of 256 or 128 lines; else a window of them."""
    rows, columns, excess = real_hot_pixels()[:, :3].T
    y, x = int(rng.integers(JIRAM_SHAPE[0])), int(rng.integers(JIRAM_SHAPE[1]))
    if shape[1] == JIRAM_SHAPE[1] and shape[0] in (128, 256):
        y, x = (128 if half == "M" and shape[0] == 128 else 0), 0
    hot = np.zeros(shape, np.float32)
    for down in range(-y, shape[0], JIRAM_SHAPE[0]):
        for right in range(-x, shape[1], JIRAM_SHAPE[1]):
            r, c = rows.astype(int) + down, columns.astype(int) + right
            here = (r >= 0) & (r < shape[0]) & (c >= 0) & (c < shape[1])
            hot[r[here], c[here]] = excess[here]
    return hot


def random_hot(shape: tuple[int, int], rng: Rng) -> Image:
    """(H, W) DN: hot pixels like the real ones anywhere, and now and then clusters of them."""
    hot = np.zeros(shape, np.float32)
    size = hot.size / 1e5
    singles = rng.poisson(size * log_uniform(rng, HOT_PER_1E5_PIXELS / 4, 3 * HOT_PER_1E5_PIXELS))
    excess = np.exp(rng.uniform(math.log(300), math.log(14000), singles))
    excess[rng.random(singles) < HOT_SATURATED] = CEILING_DN
    hot[rng.integers(shape[0], size=singles), rng.integers(shape[1], size=singles)] = excess
    for _ in range(min(6, rng.poisson(size))):
        add_cluster(hot, rng)
    return hot


def add_cluster(hot: Image, rng: Rng) -> None:
    """One round cluster like the one at sample 48, line 90; some are smaller, fainter, or of a few pixels only."""
    radius = log_uniform(rng, 0.7, 4.0)
    reach = math.ceil(1.4 * radius)
    y, x = rng.uniform(0, hot.shape[0]), rng.uniform(0, hot.shape[1])
    top, left = max(0, round(y) - reach), max(0, round(x) - reach)
    piece = hot[top : round(y) + reach + 1, left : round(x) + reach + 1]
    rows, columns = np.ogrid[top : top + piece.shape[0], left : left + piece.shape[1]]
    distance = np.hypot(rows - y, columns - x) / radius
    level = log_uniform(rng, 400, 14000) * rng.normal(1, 0.12, piece.shape)
    np.maximum(piece, level / (1 + distance**CLUSTER_EDGE), out=piece)


def hot_pixels(shape: tuple[int, int], half: str, rng: Rng) -> Image:
    """(H, W) DN above the dark: the real pixels, others like them, or both."""
    kind = rng.random()
    real = real_hot(shape, half, rng) if kind < 0.6 else np.float32(0)
    other = random_hot(shape, rng) if kind > 0.4 else np.float32(0)
    return np.asarray(np.maximum(real, other), np.float32)


# -- the answer to light ----------------------------------------------------------------------------------------------


def column_answer(light: Image, exposure_s: float, power: float, parity: int) -> tuple[Image, Image]:
    """What the columns make of light, and the slope of that, by the power law of the Io frames.

    Args:
        light: (H, W) W m-2 sr-1 above the pedestal.
        exposure_s: the law holds in counts, so a longer exposure moves it to less light.
        power: strength of the law; 1 = as published for 1 ms, 0 = both kinds of columns answer alike.
        parity: 0 where even columns have the high dark (and the weak answer), 1 where odd columns do.

    """
    counts, slope = light.copy(), np.ones_like(light)
    if power == 0:
        return counts, slope
    scale = np.float32(exposure_s * 1e3)
    for (factor, exponent), first in zip(ODD_EVEN_POWER, (parity, 1 - parity), strict=True):
        p = 1 / (1 - power * exponent)
        here = light[:, first::2] * scale
        ratio = (np.maximum(here, np.float32(POWER_FROM)) / np.float32(factor**power)) ** np.float32(p)
        ratio /= np.maximum(here, np.float32(POWER_FROM))
        counts[:, first::2] = here * ratio / scale
        slope[:, first::2] = np.where(here > POWER_FROM, np.float32(p), np.float32(1)) * ratio
    return counts, slope


def smeared(signal: Image, length_px: float) -> Image:
    """Drawn out along the lines by ``length_px``; 1 or less changes nothing."""
    reach = math.ceil((length_px - 1) / 2)
    if reach <= 0:
        return signal
    kernel = np.ones((1, 2 * reach + 1), np.float32)
    kernel[0, [0, -1]] = (length_px - (2 * reach - 1)) / 2
    return np.asarray(cv2.filter2D(signal, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.float32)


@dataclass(frozen=True)
class JiramCamera(Camera):
    """One half of JIRAM's imager.

    Attributes:
        dark_left: share of the dark's fixed pattern that the file still holds: 1 raw, about 0 when well subtracted.
        hot_left: the same of hot pixels.
        power: strength of the alternating columns' answer to light, see ``column_answer``.
        parity: 0 where even columns have the high dark.
        smear_px: how far the scene moved along the lines; 1 or less: not at all.

    """

    kind: ClassVar[str] = "jiram"

    dark_left: float
    hot_left: float
    power: float
    parity: int
    smear_px: float

    @property
    def dn(self) -> float:
        """DN per W m-2 sr-1."""
        return DN_PER_RADIANCE_MS * self.exposure_s * 1e3

    def through(self, filter_name: str) -> JiramCamera:
        """The other half in the same moment: ``L`` or ``M``."""
        band = bandpass("jiram", filter_name)
        whole = band.solar_radiance * band.width_um
        seen = self.bright / (self.band.solar_radiance * self.band.width_um)
        return replace(self, band=band, bright=whole * seen)

    @property
    def pattern_dn(self) -> float:
        """1-sigma, DN, of the dark's columns, pixels and lines about their mean, the odd/even step left out."""
        pixels = [at_exposure(law, self.exposure_s) ** 2 for law in DARK_PIXEL_DN]
        curve = float(np.var(DARK_LINES_DN[self.band.name]))
        columns = at_exposure(DARK_COLUMN_DN, self.exposure_s) ** 2
        return math.sqrt(sum(pixels) / 2 + columns + curve + DARK_LINE_DN**2)

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise of pixels with this signal: change from frame to frame, pattern left, shot and rounding.

        The step between odd and even columns is not in it: it belongs to each column's noise-free value.
        """
        fixed = (self.dark_left * self.pattern_dn / self.dn) ** 2
        shot = np.maximum(signal - self.pedestal, 0) / self.gain
        return np.asarray(np.sqrt(self.read**2 + fixed + self.step**2 / 12 + shot), np.float32)

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """A raw frame less its background, W m-2 sr-1."""
        light = smeared(signal, self.smear_px) - np.float32(self.pedestal)
        answer, slope = column_answer(light, self.exposure_s, self.power, self.parity)
        raw = self._noisy(answer, dice.rng("jiram noise"))
        dark, (hot, cured) = self._dark(signal.shape, dice), self._hot(signal.shape, dice)
        raw += dark
        raw += hot
        struck = hot_columns(strike(raw, dice, *self._radiation(dice)), dice, 4 * READ_DN)
        raw = np.minimum(np.rint(struck), np.float32(CEILING_DN))
        slope[(raw >= CEILING_DN) & (hot > 0)] = 0
        slope *= np.float32(max(1.0, self.smear_px) ** -0.5)  # what a streak keeps of a point's signal-to-noise
        raw -= self._background(dark, hot + cured)
        return Readout(
            counts=raw / np.float32(self.dn) + np.float32(self.pedestal),
            valid=missing(dice, signal.shape),
            sigma=self.sigma(answer + np.float32(self.pedestal)),
            slope=slope,
            unit=self.unit,
            saturation=jiram_saturation(self.exposure_s, self.band.name, self.unit),
        )

    def _noisy(self, answer: Image, rng: Rng) -> Image:
        """(H, W) DN: light with shot noise where that matters, and what changes from frame to frame."""
        raw = temporal_noise((answer.shape[0], answer.shape[1]), rng)
        raw += answer * np.float32(self.dn)
        electrons_dn = np.maximum(answer, 0) * np.float32(self.dn / ELECTRONS_PER_DN)  # variance, DN squared
        if electrons_dn.max(initial=0) > SHOT_FROM_DN2:
            raw += np.sqrt(electrons_dn) * rng.standard_normal(answer.shape, dtype=np.float32)
        return raw

    def _dark(self, shape: tuple[int, int], dice: Dice) -> Image:
        """(H, W) DN: mean, fixed pattern and lines of a raw dark; the mean alone where all else is taken off again."""
        mean = np.float32(mean_dark(self.exposure_s))
        if self.dark_left == 0:
            return np.full(shape, mean)
        pattern = fixed_pattern(shape, self.exposure_s, self.parity, dice.rng("jiram dark"))
        pattern += line_curve(shape[0], "LM" if shape == JIRAM_SHAPE else self.band.name) + mean
        return pattern

    def _hot(self, shape: tuple[int, int], dice: Dice) -> tuple[Image, Image]:
        """(H, W) DN: pixels that are hot, and those that were hot when the background was taken and are no longer."""
        hot, cured = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        rng = dice.effect("hot_pixels", 0.9)
        if rng is not None:
            hot = hot_pixels(shape, self.band.name, rng)
            where = np.flatnonzero(hot)
            where = where[rng.random(where.size) < HOT_CHANGES]
            cured.ravel()[where], hot.ravel()[where] = hot.ravel()[where], 0
        return hot, cured

    def _background(self, dark: Image, hot: Image) -> Image:
        """(H, W) DN: what the pipeline takes away; the raw frame keeps its mean in the pedestal."""
        taken = np.float32(1 - self.dark_left) * dark + np.float32(self.dark_left * mean_dark(self.exposure_s))
        if self.hot_left != 1:
            taken += np.float32(1 - self.hot_left) * np.minimum(hot, np.float32(CEILING_DN) - dark)
        return taken

    def _radiation(self, dice: Dice) -> tuple[float, float, float]:
        """Hits per 10^5 pixels, their usual level and the highest, DN."""
        rng = dice.rng("jiram radiation")
        return log_uniform(rng, 0.5, 200), log_uniform(rng, 60, 1500), CEILING_DN


# -- drawing one ------------------------------------------------------------------------------------------------------


def draw_jiram(dice: Dice, shape: tuple[int, int], eclipse: bool) -> JiramCamera:
    """JIRAM in one state.

    Args:
        dice: of the picture.
        shape: rows and columns; any.
        eclipse: changes nothing: what glows in the infrared is exposed alike by day and by night.

    """
    rng = dice.rng("jiram")
    band = bandpass("jiram", "M" if rng.random() < 0.65 else "L")
    exposure_s = float(rng.choice(EXPOSURES_S, p=EXPOSURE_SHARES))
    dn = DN_PER_RADIANCE_MS * exposure_s * 1e3
    sensitivity = 0.5 if rng.random() < 0.1 else 1.0  # as during PJ58
    dark_left, power = _columns(dice, exposure_s)
    pedestal_dn = mean_dark(exposure_s) if dark_left == 1 else _floor_dn(dice)
    share, times = POPCORN
    return JiramCamera(
        instrument=JIRAM.name,
        band=band,
        unit="W m-2 sr-1",
        ifov_rad=JIRAM.ifov_rad,
        psf_px=rng.uniform(0.4, 0.75),
        bright=sensitivity * band.solar_radiance * band.width_um,
        pedestal=pedestal_dn / dn,
        read=READ_DN * math.sqrt(1 + share * (times**2 - 1)) / dn,
        gain=ELECTRONS_PER_DN * dn,
        saturation=(CEILING_DN - mean_dark(exposure_s) + pedestal_dn) / dn,
        step=1 / dn,
        exposure_s=exposure_s,
        dark_left=dark_left,
        hot_left=1.0 if dark_left == 1 or rng.random() < 0.4 else abs(rng.normal(0, 0.05)),
        power=power,
        parity=int(rng.integers(2)),
        smear_px=_smear_px(dice),
    )


def _columns(dice: Dice, exposure_s: float) -> tuple[float, float]:
    """Share of the dark left in the frame, and strength of the columns' answer to light: strongest at 1 ms."""
    rng = dice.effect("odd_even", 0.75)
    if rng is None:
        return 0.0, 0.0
    left = 1.0 if rng.random() < 0.25 else float(np.clip(rng.normal(0, 0.12), -0.5, 0.5))
    return left, rng.uniform(0.2, 1.3) * (exposure_s * 1e3) ** -0.7


def _floor_dn(dice: Dice) -> float:
    """Zero of a calibrated frame: about right, or far too low."""
    rng = dice.effect("negative_floor", 0.25)
    return float(dice.rng("jiram zero").normal(0, 4)) if rng is None else -log_uniform(rng, 15, 300)


def _smear_px(dice: Dice) -> float:
    rng = dice.effect("jiram_smear", 0.08)
    return 0.0 if rng is None else log_uniform(rng, 2, 15)
