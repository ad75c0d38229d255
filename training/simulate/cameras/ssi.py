"""Galileo's solid-state imager: an 800 x 800 CCD, four gains, 8 bits, and a transmitter too slow for its pictures.

What a frame goes through, in this order: the scene moves while the shutter is open, saturated lava floods its columns,
electrons are counted with shot and read noise, radiation and bad pixels add theirs, the converter rounds to 8 bits
with steps of unequal width, pictures are despiked and compressed (ICT: lossy; BARC: lossless, but the ends of busy
lines are cut), and not all of it comes down. A focal-plane shutter covers the chip during readout: there is no smear
along the columns.

Sources
-------
* Electrons per DN, frame times, filters, IFOV: ``detector.instruments``. Commanded exposures: 4.17 ms .. 51.2 s, 28
  steps as recalled, the ones from 0.2 s on 4.17 ms short of a round number (labels of E6I0032 and C0532836239R say
  195.83 and 12.5003 ms). The shutter takes 1.0 .. 1.5 ms off (ISIS ``gllssical``); 1.25 ms here. How long each frame
  time lets the shutter be open is as recalled.
* Electrons per ms of a surface of I/F = 1: mirror area, IFOV, solar flux and filter widths with throughputs as recalled
  from Belton et al. (1992). The plains of Europa in C0532836239R (CLEAR, 12.5 ms, some 50 DN above the dark) ask for
  14000 in CLEAR if they reflect I/F 0.12, which is a guess. The slope files that would settle it are in no public
  program, so every camera differs by up to 20 %.
* Read noise 40 electrons and full well 1e5 electrons (a summed pixel holds four) as recalled.
* Unequal steps: DN 0 .. 32 of the four tables of galsos (nasa/VICAR), calibration of January 1989; above DN 32 they
  go on with that period. So do the published steps of frames summed at 10K and 40K (which are off by 0.42 DN rms, these
  by 0.15 DN from them); of the others only the size is right there, 0.13 DN.
* ICT: the integer cosine transform with the rows (5, 3, 2, 1) and (3, 1) made orthonormal, and one step for all
  frequencies: quantising the real frame C0532836239R again with the 17 of its label gives it back within 1 DN in all
  10000 blocks; 97 % of its pixels stay the same.
* The first column is dark, the second a third too bright, and the last line 2.8 times as bright (C0532836239R).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.instruments import SSI, SSI_GAIN_E_PER_DN
from training.simulate.bands import bandpass
from training.simulate.cameras.camera import Camera, Readout
from training.simulate.damage import hot_columns, missing
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image
from training.simulate.radiation import strike

ELECTRONS_PER_MS = {
    "CLEAR": 12000.0,
    "GREEN": 1400.0,
    "RED": 1900.0,
    "VIOLET": 400.0,
    "IR-7560": 850.0,
    "IR-9680": 300.0,
    "IR-7270": 400.0,
    "IR-8890": 250.0,
}
"""Electrons per pixel and millisecond of a surface of I/F = 1 at 5.2 AU, light flood on."""
SHUTTER_S = 0.00125
"""Commanded less true exposure, mean over the lines."""
_SHORT_MS = (4.1667, 6.25, 8.3333, 12.5, 16.667, 25.0, 33.333, 50.0, 66.667, 100.0, 133.33)
_ROUND_MS = (200.0, 266.67, 400.0, 533.33, 800.0, 1066.67, 1600.0, 2133.33, 3200.0, 4266.67, 6400.0, 8533.33)
_LONG_MS = (12800.0, 17066.67, 25600.0, 34133.33, 51200.0)
EXPOSURES_S = tuple(t / 1000 for t in (*_SHORT_MS, *(t - 4.1667 for t in (*_ROUND_MS, *_LONG_MS))))
"""The commanded exposures."""
LONGEST_S = {2.333: 0.8, 8.667: 6.4, 15.166: 12.8, 30.333: 25.6, 60.667: 51.2}
"""Frame time -> longest exposure that fits into it, s."""
READ_ELECTRONS = (35.0, 45.0)
FULL_WELL_ELECTRONS = 1e5
WINDOW = tuple[int, int, int, int]
"""First line, first sample, lines, samples; the first line and sample of a picture are 1."""
NO_WINDOW: WINDOW = (801, 801, 96, 96)
DESPIKE_OFF = 255


@dataclass(frozen=True)
class SsiCamera(Camera):
    """The camera in one state.

    Attributes:
        gain_mode: 400K, 100K, 40K or 10K, as GAIN_MODE_ID.
        frame_duration_s: as FRAME_DURATION.
        summed: 2 x 2 pixels summed on the chip; ``ifov_rad`` is then twice as large.
        telemetry: as TELEMETRY_FORMAT_ID.
        compression: as COMPRESSION_TYPE.
        ict_step: as ICT_QUANTIZATION_STEP_SIZE; 0 = not compressed with loss.
        despike: as ICT_DESPIKE_THRESHOLD, DN; 255 = off.
        uneven: whether the converter's steps are unequal.
        cut_out_window, truth_window: as the label's, counted within the picture that ``expose`` is given.
        throughput: of this camera relative to ``ELECTRONS_PER_MS``.

    """

    kind: ClassVar[str] = "ssi"

    gain_mode: str
    frame_duration_s: float
    summed: bool
    telemetry: str
    compression: str
    ict_step: int
    despike: int
    uneven: bool
    cut_out_window: WINDOW
    truth_window: WINDOW
    throughput: float

    @property
    def well(self) -> float:
        """DN of a full pixel."""
        return FULL_WELL_ELECTRONS * (4 if self.summed else 1) / self.gain

    def picture_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Shape of the picture that a file of this shape holds: a summed frame fills a quarter of 800 x 800."""
        return (shape[0] // 2, shape[1] // 2) if self.summed and shape == SSI.shape else shape

    def through(self, filter_name: str) -> SsiCamera:
        """The same moment and state through another filter, the exposure as close to as bright as may be.

        Raises:
            ValueError: for a filter that SSI has not.

        """
        response = _dn_per_s(filter_name, self.gain_mode, self.summed, self.throughput)
        exposure_s = _exposure_s(self.bright / response, LONGEST_S[self.frame_duration_s])
        bright = response * (exposure_s - SHUTTER_S)
        return replace(self, band=bandpass(SSI.name, filter_name), bright=bright, exposure_s=exposure_s)

    def i_over_f(self, counts: Image) -> Image:
        """Counts as the archive's users calibrate them: (DN - dark) * electrons per DN / (response * true exposure)."""
        electrons = (counts - self.pedestal) * SSI_GAIN_E_PER_DN[self.gain_mode] / (4 if self.summed else 1)
        per_ms = self.throughput * ELECTRONS_PER_MS[self.band.name]
        return np.asarray(electrons / (1000 * per_ms * (self.exposure_s - SHUTTER_S)), np.float32)

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise of pixels with this signal: read, shot, rounding and compression.

        Compression counts as white noise of step / sqrt(12): what it does to the mean of a block and to every
        frequency that survives. In flat places single pixels scatter less, because it takes the noise away there
        together with whatever is as faint as the noise.
        """
        variance = np.maximum(signal - np.float32(self.pedestal), 0)
        variance *= np.float32(1 / self.gain)
        variance += np.float32(self.read**2 + self.ict_step**2 / 12)
        if self.uneven:
            variance += _Converter.of(self.gain_mode, self.summed).variance(signal)
        else:
            variance += np.float32(1 / 12)
        return np.sqrt(variance)

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """Take the picture.

        Args:
            signal: (H, W) float32 in DN. Of a summed camera given a whole 800 x 800 frame only the upper left
                quarter is exposed; the rest of the file is zeros and not valid.
            dice: decides what is wrong with this picture.

        Returns:
            whole counts 0..255. ``valid`` is what ``detector.readers`` will say: false outside the cut-out window and
            on lines of zeros; ends of lines that rate control cut are valid zeros of slope 0, as no label says which.

        """
        picture = self.picture_shape((signal.shape[0], signal.shape[1]))
        if picture != signal.shape:
            return _in_corner(self.expose(np.ascontiguousarray(signal[: picture[0], : picture[1]]), dice), signal.shape)
        chip = _on_chip(self, _smeared(signal, dice), dice)
        coded = _compressed(self, _digitised(self, chip.counts), dice)
        garbled = _garbled(self, coded, dice)
        return _came_down(self, _Pixels(garbled.counts, chip.slope * garbled.slope), signal, dice)


@dataclass(frozen=True)
class _Pixels:
    """Counts on their way, and how much of its piece of the scene each still holds (1, or 0)."""

    counts: Image
    slope: Image


# -- the chip -------------------------------------------------------------------------------------------------------


def _smeared(signal: Image, dice: Dice) -> Image:
    """The scene moved along a straight line while the shutter was open."""
    rng = dice.effect("shutter_smear", 0.12)
    if rng is None:
        return signal
    length, turn = log_uniform(rng, 0.5, 4), rng.uniform(0, math.pi)
    steps = np.linspace(-length / 2, length / 2, 33)
    kernel = np.zeros((5, 5), np.float32)
    x, y = 2 + steps * math.cos(turn), 2 + steps * math.sin(turn)
    for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = np.floor(x).astype(int) + dx, np.floor(y).astype(int) + dy
        weight = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
        kept = weight > 0
        np.add.at(kernel, (row[kept], column[kept]), weight[kept])
    return np.asarray(cv2.filter2D(signal, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), np.float32)


def _on_chip(camera: SsiCamera, signal: Image, dice: Dice) -> _Pixels:
    """From light to what the converter is given."""
    pixels = _edges(camera, _flooded(camera, signal, dice))
    counts = camera.noisy(pixels.counts, dice.rng("noise"))
    rng = dice.rng("radiation")
    rate, electrons = log_uniform(rng, 0.1, 100), log_uniform(rng, 3000, 30000)
    counts = strike(counts, dice, rate, electrons / camera.gain, max(camera.well, camera.saturation))
    counts = hot_columns(counts, dice, max(1.0, 3 * camera.read))
    return _blemished(_Pixels(counts, pixels.slope), dice)


def _flooded(camera: SsiCamera, signal: Image, dice: Dice) -> _Pixels:
    """Charge beyond what the anti-blooming gates carry off fills its column until it has found room."""
    slope = np.ones(signal.shape, np.float32)
    well = camera.well
    rng = dice.effect("bleeding", 0.7)
    if rng is None or signal.max() < 1.5 * well:
        return _Pixels(signal, slope)
    drained = well * log_uniform(rng, 1.5, 8)
    columns = np.flatnonzero(signal.max(axis=0) > drained)
    held = signal[:, columns].astype(np.float64)
    excess = np.maximum(held - drained, 0)
    room = well - np.minimum(held, well)
    down = rng.choice((0.5, 0.8, 1.0))
    full = _spills(down * excess, room) | _spills((1 - down) * excess[::-1], room[::-1])[::-1]
    full &= held < well
    flooded = signal.copy()
    flooded[:, columns] = np.where(full, np.float32(well), signal[:, columns])
    slope[:, columns] = np.where(full, np.float32(0), slope[:, columns])
    return _Pixels(flooded, slope)


def _spills(excess: NDArray[np.float64], room: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where charge still flows past, down columns that each give ``excess`` and take up to ``room``: (H, n) bool.

    The flow is c[r] = max(0, c[r - 1] + excess[r] - room[r]): a sum less its own lowest value so far.
    """
    level = np.cumsum(excess - room, axis=0)
    return np.asarray(level - np.minimum(np.minimum.accumulate(level, axis=0), 0) > 0)


def _edges(camera: SsiCamera, pixels: _Pixels) -> _Pixels:
    """The rim of the chip, of whole frames read pixel by pixel."""
    if pixels.counts.shape != SSI.shape:
        return pixels
    factor = pixels.slope
    factor[:, 0] = 0
    factor[:, 1] *= 1.33
    factor[-1] *= 2.8
    dark = np.float32(camera.pedestal)
    counts = dark + (pixels.counts - dark) * factor
    counts[:, 0] = 0
    return _Pixels(counts, factor)


def _blemished(pixels: _Pixels, dice: Dice) -> _Pixels:
    """Pixels that are always dark or bright, and columns below a trap that hold little charge."""
    rng = dice.effect("blemishes", 0.35)
    if rng is None:
        return pixels
    counts, slope = pixels.counts, pixels.slope
    rows, columns = counts.shape
    number = rng.poisson(log_uniform(rng, 3, 120) * math.sqrt(counts.size / 640000)) + 1
    where = rng.integers(rows, size=number), rng.integers(columns, size=number)
    dead = rng.random(number) < 0.6
    counts[where] = np.where(dead, counts[where] * rng.uniform(0, 0.6, number), rng.uniform(30, 300, number))
    slope[where] = 0
    for _ in range(rng.integers(0, 3)):
        trap, column, depth = rng.integers(rows), rng.integers(columns), rng.uniform(20, 150)
        low = counts[trap:, column] > depth
        counts[trap:, column][low] = depth
        slope[trap:, column][low] = 0
    return _Pixels(counts, slope)


# -- the converter --------------------------------------------------------------------------------------------------

# What galsos takes the codes 1 .. 32 for; a full code before and after each pair is 1 apart.
_CENTRES = {
    "full 10/40K": (
        "1 2 3 4 5 6 6.645 7.645 8.998 9.998 10.838 11.838 13.104 14.104 15.118 16.118 17.118 18.118 18.9 19.9 21.107 "
        "22.107 23.094 24.094 25.036 26.036 26.883 27.883 29.037 30.037 31.013 32.013"
    ),
    "full 100/400K": (
        "1 2 3 4 4.695 5.695 7.141 8.141 9.064 10.064 10.889 11.889 13.096 14.096 15.063 16.063 17.163 18.163 18.94 "
        "19.94 21.15 22.15 23.201 24.201 24.893 25.894 26.826 27.826 28.98 29.98 30.987 31.987"
    ),
    "summed 10/40K": (
        "1.256 2.257 3.235 4.235 5.262 6.262 6.517 7.518 9.239 10.239 11.206 12.206 12.99 13.545 13.571 15.016 17.257 "
        "18.257 19.244 20.244 21.284 22.284 22.536 23.536 25.221 26.221 27.215 28.215 29.264 30.264 30.513 31.513"
    ),
    "summed 100/400K": (
        "1 2 3 4 4.864 5.864 7.227 8.227 9.202 10.203 11.054 12.054 13.28 14.28 15.031 16.032 17.289 18.289 19.015 "
        "20.015 21.292 22.292 23.212 24.212 25.249 26.249 26.931 27.931 29.186 30.186 30.987 31.987"
    ),
}
_PER_DN = 16


@dataclass(frozen=True)
class _Converter:
    """The 8-bit converter with its unequal steps.

    Attributes:
        code: (4096,) uint8: the code of a signal of (index + 0.5) / 16 DN.
        error: (256,) float32: mean square of code less signal within each code's step.

    """

    code: NDArray[np.uint8]
    error: NDArray[np.float32]

    @staticmethod
    @cache
    def of(gain_mode: str, summed: bool) -> _Converter:
        """The converter of a gain state."""
        table = f"{'summed' if summed else 'full'} {'10/40K' if gain_mode in ('10K', '40K') else '100/400K'}"
        published = np.array([0, *map(float, _CENTRES[table].split())])
        n = np.arange(256)
        # Codes above 32 repeat the errors of the codes 17 .. 32, which are free of the first bits' peculiarities.
        repeat = np.where(n <= 32, n, 17 + (n - 17) % 16 if not summed else 1 + (n - 1) % 32)
        centre = np.maximum.accumulate(n + published[repeat] - repeat)
        edge = (centre[1:] + centre[:-1]) / 2
        low, high = np.append(-0.5, edge), np.append(edge, 255.5)
        error = ((high - n) ** 3 - (low - n) ** 3) / (3 * np.maximum(high - low, 1e-3))
        fine = np.searchsorted(edge, (np.arange(256 * _PER_DN) + 0.5) / _PER_DN)
        return _Converter(fine.astype(np.uint8), error.astype(np.float32))

    def read(self, counts: Image) -> NDArray[np.uint8]:
        """Codes of a signal."""
        index = np.clip(counts * np.float32(_PER_DN), 0, self.code.size - 1).astype(np.int16)
        return np.take(self.code, index)

    def variance(self, signal: Image) -> Image:
        """Mean square of code less signal, over the step that the signal falls into and its neighbours."""
        smooth = np.convolve(np.pad(self.error, 1, mode="edge"), (0.25, 0.5, 0.25), "valid").astype(np.float32)
        return np.take(smooth, np.clip(signal, 0, 255).astype(np.uint8))


def _digitised(camera: SsiCamera, counts: Image) -> NDArray[np.uint8]:
    if camera.uneven:
        return _Converter.of(camera.gain_mode, camera.summed).read(counts)
    return np.clip(np.rint(counts), 0, 255).astype(np.uint8)


# -- compression ----------------------------------------------------------------------------------------------------


def _integer_cosine() -> Image:
    """(8, 8): the order-8 integer cosine transform (5, 3, 2, 1; 3, 1), its rows made of unit length."""
    odd = [(5, 3, 2, 1), (3, -1, -5, -2), (2, -5, 1, 3), (1, -2, 3, -5)]
    even = [(1, 1, 1, 1), (3, 1, -1, -3), (1, -1, -1, 1), (1, -3, 3, -1)]
    rows = np.zeros((8, 8))
    rows[0::2] = [(*row, *row[::-1]) for row in even]
    rows[1::2] = [(*row, *(-value for value in row[::-1])) for row in odd]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


_ICT = _integer_cosine()


def ict_steps(picture: Image, step: float) -> Image:
    """Whole numbers that ICT keeps of a picture: (rows / 8, 8, columns / 8, 8), frequencies on the axes 1 and 3.

    Args:
        picture: (H, W); sides that are no multiples of 8 are filled with their edge.
        step: quantum of every frequency of the orthonormal transform; > 0.

    """
    rows, columns = picture.shape
    if rows % 8 or columns % 8:
        picture = np.pad(picture, ((0, -rows % 8), (0, -columns % 8)), mode="edge")
    return np.rint(_turned(picture, _ICT) * np.float32(1 / step))


def _turned(picture: Image, matrix: Image) -> Image:
    """Multiply every 8 x 8 block by ``matrix`` from the left and by its transpose from the right."""
    rows, columns = picture.shape
    down = matrix @ picture.reshape(rows // 8, 8, columns)
    across = down.reshape(-1, 8) @ matrix.T
    return np.asarray(across.reshape(rows // 8, 8, columns // 8, 8), np.float32)


def ict(picture: Image, step: float) -> Image:
    """A picture after ICT: (H, W) whole numbers 0..255; a quantum of ``step`` for every frequency."""
    steps = ict_steps(picture, step) * np.float32(step)
    blocks = steps.shape
    back = _turned(steps.reshape(8 * blocks[0], 8 * blocks[2]), np.ascontiguousarray(_ICT.T))
    whole = back.reshape(8 * blocks[0], 8 * blocks[2])[: picture.shape[0], : picture.shape[1]]
    return np.clip(np.rint(whole), 0, 255)


def compression_ratio(picture: Image, step: float) -> float:
    """Estimated ENCODING_COMPRESSION_RATIO of ICT on a picture.

    A block costs 8 bits for its mean and its end, and each other number n that is not 0 costs 5.07 + log2 |n|; the
    5.07 is fitted to one label, that of C0532836239R (9.64 with step 17). No other frame has tested it.
    """
    numbers = np.abs(ict_steps(picture, step))
    blocks = numbers.size / 64
    numbers[:, 0, :, 0] = 0
    kept = numbers[numbers > 0]
    bits = 8 * blocks + 5.07 * kept.size + float(np.log2(kept).sum())
    return 8 * numbers.size / bits


def _compressed(camera: SsiCamera, codes: NDArray[np.uint8], dice: Dice) -> _Pixels:
    """Whole numbers as the ground decoded them."""
    counts = codes.astype(np.float32)
    slope = np.ones(counts.shape, np.float32)
    if camera.compression == _RATE_CONTROL:
        rng = dice.rng("rate control")
        cut = _rate_control(codes, rng.uniform(0.55, 0.98), alternate=bool(rng.random() < 0.5))
        counts[cut] = 0
        slope[cut] = 0
    if camera.ict_step == 0:
        return _Pixels(counts, slope)
    exact = counts
    if camera.despike < DESPIKE_OFF:
        around = cv2.medianBlur(codes, 3)
        spikes = cv2.subtract(codes, around) > camera.despike
        counts = np.where(spikes, around, codes).astype(np.float32)
        slope[spikes] = 0
    lossy = ict(counts, camera.ict_step)
    kept = _rectangle(camera.truth_window)
    lossy[kept] = exact[kept]
    slope[kept] = 1
    return _Pixels(lossy, slope)


def _rate_control(codes: NDArray[np.uint8], share: float, alternate: bool) -> NDArray[np.bool_]:
    """Pixels that did not fit any more into their line's bits: (H, W) bool.

    Args:
        codes: (H, W).
        share: of the lines fit whole.
        alternate: every other line is cut at its left end.

    """
    forward = codes.copy()
    if alternate:
        forward[1::2] = forward[1::2, ::-1]
    step = cv2.absdiff(forward[:, 1:], forward[:, :-1])
    bits = (1 + 2 * np.log2(1 + np.arange(256))).astype(np.float32)
    spent = np.cumsum(np.pad(np.take(bits, step), ((0, 0), (1, 0))), axis=1)
    cut = spent > np.quantile(spent[:, -1], share)
    if alternate:
        cut[1::2] = cut[1::2, ::-1].copy()
    return np.asarray(cut)


# -- the way down ---------------------------------------------------------------------------------------------------


def _garbled(camera: SsiCamera, pixels: _Pixels, dice: Dice) -> _Pixels:
    """Lines, or slices of 8 lines where ICT packed them, whose data lost step or were decoded into nonsense."""
    rng = dice.effect("garbled_lines", 0.05)
    if rng is None:
        return pixels
    counts, slope = pixels.counts, pixels.slope
    rows, columns = counts.shape
    tall = 8 if camera.ict_step else 1
    for _ in range(rng.geometric(0.35)):
        first = int(rng.integers(0, rows) // tall * tall)
        lines = slice(first, first + tall * int(rng.geometric(0.6)))
        part = slice(int(rng.integers(0, columns) // 8 * 8) if rng.random() < 0.6 else 0, columns)
        counts[lines, part] = _senseless(counts[lines, part], rng)
        slope[lines, part] = 0
    return pixels


def _senseless(counts: Image, rng: Rng) -> Image:
    """What stands where data lost step: the picture shifted, or patterns of the decoder's."""
    way = rng.random()
    if way < 0.5:
        return np.roll(counts, int(rng.integers(8, max(9, counts.shape[1]))), axis=1)
    if way < 0.75:
        blocks = rng.normal(
            rng.uniform(0, 200), rng.uniform(5, 60), (-(-counts.shape[0] // 8), -(-counts.shape[1] // 8))
        )
        tiles = np.repeat(np.repeat(blocks, 8, 0), 8, 1)[: counts.shape[0], : counts.shape[1]]
        return np.clip(np.rint(tiles), 0, 255).astype(np.float32)
    return rng.integers(0, 256, counts.shape).astype(np.float32)


def _came_down(camera: SsiCamera, pixels: _Pixels, signal: Image, dice: Dice) -> Readout:
    """Zeros where nothing came down; valid as the reader will say, by the window and by lines of zeros."""
    window = np.zeros(signal.shape, np.bool_)
    window[_rectangle(camera.cut_out_window)] = True
    # A cut-out window is what margins are on other cameras: the label tells of it.
    lines = replace(dice, without=(*dice.without, "margins"))
    kept = window & missing(lines, (signal.shape[0], signal.shape[1]))
    counts = pixels.counts * kept
    valid = window & (counts.max(axis=1, keepdims=True) > 0)
    sigma = camera.sigma(signal)
    if camera.ict_step:
        exact = _rectangle(camera.truth_window)
        sigma[exact] = replace(camera, ict_step=0).sigma(signal[exact])
    return Readout(counts, valid, sigma, pixels.slope * kept, camera.unit, camera.saturation)


def _rectangle(window: WINDOW) -> tuple[slice, slice]:
    line, sample, lines, samples = window
    return slice(line - 1, line - 1 + lines), slice(sample - 1, sample - 1 + samples)


def _in_corner(quarter: Readout, shape: tuple[int, int]) -> Readout:
    """A summed frame in its file: zeros, not valid, outside the upper left quarter."""
    room = ((0, shape[0] - quarter.counts.shape[0]), (0, shape[1] - quarter.counts.shape[1]))
    return replace(
        quarter,
        counts=np.pad(quarter.counts, room),
        valid=np.pad(quarter.valid, room),
        sigma=np.pad(quarter.sigma, room, constant_values=1),
        slope=np.pad(quarter.slope, room),
    )


# -- states ---------------------------------------------------------------------------------------------------------

_FILTERS = ("CLEAR", "GREEN", "VIOLET", "RED", "IR-7560", "IR-9680", "IR-7270", "IR-8890")
_BY_DAY = (0.36, 0.19, 0.17, 0.10, 0.07, 0.06, 0.025, 0.025)
_IN_ECLIPSE = (0.62, 0.06, 0.04, 0.05, 0.05, 0.16, 0.01, 0.01)
_GAINS = ("400K", "100K", "40K", "10K")
_FULL_GAINS = (0.0, 0.58, 0.33, 0.09)
_SUMMED_GAINS = (0.35, 0.40, 0.20, 0.05)
_DARK_GAINS = (0.0, 0.12, 0.33, 0.55)
_FULL_TELEMETRY = ("HIM", "IM8", "HMA", "HCA", "IM4")
_SUMMED_TELEMETRY = ("HIS", "AI8")
_RATE_CONTROL = "BARC RATE CONTROL"
_PLAINS = 0.6
"""I/F that exposures are meant for."""


def draw_ssi(dice: Dice, shape: tuple[int, int], eclipse: bool) -> SsiCamera:
    """The camera in a state as Io's sequences used it.

    Args:
        dice: of the picture.
        shape: of the file: (800, 800), or a window of one; see ``SsiCamera.picture_shape`` for summed frames.
        eclipse: whether Io is in Jupiter's shadow.

    """
    rng = dice.rng("ssi")
    filter_name = str(rng.choice(_FILTERS, p=_IN_ECLIPSE if eclipse else _BY_DAY))
    summed = dice.effect("summation", 0.2 if eclipse else 0.1) is not None
    throughput = float(rng.uniform(0.8, 1.2))
    seconds, gain_mode = _exposed(rng, filter_name, summed, eclipse, throughput)
    frame_s = _frame_s(rng, seconds, summed)
    exposure_s = _exposure_s(seconds, LONGEST_S[frame_s])
    pedestal, gain = float(rng.uniform(1.5, 12)), SSI_GAIN_E_PER_DN[gain_mode]
    compression, ict_step, despike = _packed(dice, pedestal, eclipse)
    picture = (shape[0] // 2, shape[1] // 2) if summed and shape == SSI.shape else shape
    return SsiCamera(
        instrument=SSI.name,
        band=bandpass(SSI.name, filter_name),
        unit="DN",
        ifov_rad=SSI.ifov_rad * (2 if summed else 1),
        psf_px=_psf_px(rng.uniform(1.3, 1.5), summed),
        bright=_dn_per_s(filter_name, gain_mode, summed, throughput) * (exposure_s - SHUTTER_S),
        pedestal=pedestal,
        read=float(rng.uniform(*READ_ELECTRONS)) / gain,
        gain=gain,
        saturation=SSI.saturation,
        step=1.0,
        exposure_s=exposure_s,
        gain_mode=gain_mode,
        frame_duration_s=frame_s,
        summed=summed,
        telemetry=str(rng.choice(_SUMMED_TELEMETRY if summed else _FULL_TELEMETRY)),
        compression=compression,
        ict_step=ict_step,
        despike=despike,
        uneven=dice.effect("adc_bins", 0.85) is not None,
        cut_out_window=_cut_out(dice, picture),
        truth_window=_truth_window(rng, picture) if ict_step else NO_WINDOW,
        throughput=throughput,
    )


def _dn_per_s(filter_name: str, gain_mode: str, summed: bool, throughput: float) -> float:
    """DN per second of a surface of I/F = 1.

    Raises:
        ValueError: for a filter that SSI has not.

    """
    if filter_name not in ELECTRONS_PER_MS:
        raise ValueError(f"SSI has no filter {filter_name!r}; its filters are {', '.join(ELECTRONS_PER_MS)}")
    electrons = 1000 * throughput * ELECTRONS_PER_MS[filter_name] * (4 if summed else 1)
    return electrons / SSI_GAIN_E_PER_DN[gain_mode]


def _exposure_s(seconds: float, longest_s: float) -> float:
    """The commanded exposure, up to ``longest_s``, whose true one is closest to ``seconds`` in ratio."""
    steps = [step for step in EXPOSURES_S if step <= longest_s]
    return min(steps, key=lambda step: abs(math.log((step - SHUTTER_S) / seconds)))


def _exposed(rng: Rng, filter_name: str, summed: bool, eclipse: bool, throughput: float) -> tuple[float, str]:
    """True exposure in seconds that the sequence asks for, and the gain mode."""
    odds = np.array(_DARK_GAINS if eclipse else _SUMMED_GAINS if summed else _FULL_GAINS)
    if eclipse:
        return log_uniform(rng, 0.4, 60), str(rng.choice(_GAINS, p=odds))
    wanted = _wanted_dn(rng) / _PLAINS
    per_s = np.array([_dn_per_s(filter_name, gain, summed, throughput) for gain in _GAINS])
    # Gains that overexpose even with the shortest exposure were not used.
    usable = odds * (per_s * (EXPOSURES_S[0] - SHUTTER_S) < 1.3 * wanted)
    best = rng.choice(4, p=usable / usable.sum()) if usable.sum() > 0 else int(np.flatnonzero(odds)[0])
    return wanted / per_s[best], _GAINS[best]


def _wanted_dn(rng: Rng) -> float:
    """DN that bright plains are exposed for: well, too much (where plumes at high phase were sought), or too little."""
    kind = rng.random()
    low, high = (60, 235) if kind < 0.72 else (235, 1500) if kind < 0.88 else (15, 60)
    return log_uniform(rng, low, high)


def _frame_s(rng: Rng, seconds: float, summed: bool) -> float:
    """The shortest frame time that the exposure fits into, or sometimes a longer one."""
    times = (2.333, 15.166) if summed else (8.667, 30.333, 60.667)
    fitting = [time for time in times if seconds <= LONGEST_S[time]] or [times[-1]]
    return fitting[0] if rng.random() < 0.8 else fitting[-1]


def _psf_px(fwhm_px: float, summed: bool) -> float:
    """1-sigma of the point spread of a pixel: summed, the optics' part halves and the pixel's stays."""
    whole, pixel = (fwhm_px / 2.3548) ** 2, 1 / 12
    return math.sqrt((whole - pixel) / 4 + pixel if summed else whole)


def _packed(dice: Dice, pedestal: float, eclipse: bool) -> tuple[str, int, int]:
    """COMPRESSION_TYPE, and the step and despike threshold of ICT (0 and off without)."""
    rng = dice.effect("ict", 0.6)
    if rng is not None:
        # Beyond 12 times the pedestal a dark sky would be packed into zeros, and zeros are no data to a reader.
        step = min(log_uniform(rng, 2, 16 if eclipse else 32), 12 * pedestal)
        despike = DESPIKE_OFF if rng.random() < 0.5 else int(rng.choice((15, 20, 30, 30, 40, 60, 80)))
        return "INTEGER COSINE TRANSFORM", max(2, int(step)), despike
    if dice.effect("barc", 0.3) is not None:
        return _RATE_CONTROL, 0, DESPIKE_OFF
    lossless = ("HUFFMAN", "BARC INFORMATION PRESERVING", "NONE")
    return str(dice.rng("lossless").choice(lossless)), 0, DESPIKE_OFF


def _cut_out(dice: Dice, shape: tuple[int, int]) -> WINDOW:
    rng = dice.effect("cut_out", 0.12)
    if rng is None:
        return 1, 1, *shape
    lines, samples = (int(side * rng.uniform(0.45, 1)) for side in shape)
    return int(rng.integers(1, shape[0] - lines + 2)), int(rng.integers(1, shape[1] - samples + 2)), lines, samples


def _truth_window(rng: Rng, shape: tuple[int, int]) -> WINDOW:
    """A square of 96 that is kept without loss, in some frames, on the grid of the blocks."""
    if rng.random() > 0.15 or min(shape) < 200:
        return NO_WINDOW
    line, sample = (1 + 8 * int(rng.integers(0, (side - 96) // 8 + 1)) for side in shape)
    return line, sample, 96, 96
