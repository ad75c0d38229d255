"""JunoCam: framelets, square-root companding, an interline CCD that blooms, and the damage of the late orbits.

What a frame goes through, in this order: rows are summed while the spacecraft turns, framelets differ a little in
sensitivity and zero, charge of saturated pixels spills, electrons are counted with shot and read noise, old electronics
add streaks and grain, hot pixels and radiation add theirs, eight bits hold the square root, and the strip is compressed
(ICT, lossy) or not. Hot pixels belong to the CCD: they come back at the same place of every framelet, drawn out along
the columns by as many rows as were summed.

Sources
-------
* Measured on the public strips JNCE_2021246_36C00061, JNCE_2022186_43C00078 and _43M00081: sky of 0.6 to 4 DN that
  scatters by 0.5 to 1.5 DN; some 40 hot pixels a framelet that stand out, of 3 to 100 DN, and streaks as long as
  JNO:TDI_STAGES_COUNT; zeros that differ from framelet to framelet by up to 3 DN, most in the middle of the lines; the
  step of the integer cosine transform, 2 companded levels, for which a third of the blocks of the sky are flat.
* The end of the scale, on the same strips: pixels of overexposed Jupiter hold 2500 to 2690 DN (GREEN and RED of orbit
  43), the full well, not the 2879 DN that the table ends at.
* 3.2 ms a stage: EXPOSURE_DURATION over JNO:TDI_STAGES_COUNT of the same strips. Table of the companding: SIS 1.3.
* Lost throughput by orbit 60, and damage seen from orbit 47 on and bad from 56 on ("graininess and horizontal noise
  streaks"): ERRATA of the volumes and press releases, as recalled. Amounts of grain and streaks are chosen wide.
* Electrons per DN: a full well of some 4e4 electrons over 2879 DN, chosen wide about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from detector.instruments import JUNOCAM, JUNOCAM_BORDER, JUNOCAM_USUAL_DELAY_S, junocam_linear
from detector.readers.junocam import COLUMNS, ROWS, framelet_step_px
from training.simulate.bands import bandpass
from training.simulate.cameras.camera import Camera, Readout, cosine_blocks
from training.simulate.damage import hot_columns
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image
from training.simulate.pushframe import PushFrame, Whole, frames_for, layout
from training.simulate.radiation import strike

RESPONSE = {"BLUE": 0.70, "GREEN": 1.0, "RED": 1.1, "METHANE": 0.15}
"""Signal of equal I/F relative to GREEN, as the strips of orbits 36 and 43 have it."""
LOST = {"BLUE": 0.64, "GREEN": 0.47, "RED": 0.23, "METHANE": 0.2}
"""Share of the throughput lost by orbit 60; METHANE is a guess."""
DAMAGED_ORBIT, WORN_ORBIT = 47, 60
STAGE_S = 0.0032
ICT_LEVELS = (1.6, 4.0)
"""Step of the cosine transform in companded levels. The measured one is 2 with a wider zero; 3 without flattens as many
blocks of the sky."""

LINEAR = junocam_linear().astype(np.float32)
_HALVES = (np.arange(2 * int(LINEAR[-1]) + 2, dtype=np.float32) + 0.5) / 2
_LEVEL = np.searchsorted((LINEAR[1:] + LINEAR[:-1]) / 2, _HALVES).astype(np.float32)
"""Companded level of each half DN: all the edges between levels are whole or half DN."""
_STEP = np.gradient(LINEAR.astype(np.float64)).astype(np.float32)[_LEVEL.astype(np.int64)]
FULL_WELL_DN = (2450.0, 2750.0)
_ROOTS = 20.0
"""Entries of the noise's table per unit of the signal's square root."""


@dataclass(frozen=True)
class JunocamCamera(Camera):
    """One exposure through one filter. A picture of 1648 columns is a whole mosaic, any other is a window of one.

    Attributes:
        orbit: of Juno: the radiation damage grows from the 47th on.
        tdi_stages: rows summed on the chip.
        interframe_delay_s: between framelets.
        jogs_px: for each framelet, how far it is off in columns and rows.
        growth: of Io from framelet to framelet, relative.
        corner_px: column and row of the mosaic where a window begins.
        ict_levels: step of the cosine transform in companded levels; 0 = without loss, unless effect ``ict`` shows.

    """

    kind: ClassVar[str] = "junocam"

    orbit: int = 30
    tdi_stages: int = 2
    interframe_delay_s: float = JUNOCAM_USUAL_DELAY_S
    jogs_px: tuple[tuple[float, float], ...] = ()
    growth: float = 0.0
    corner_px: tuple[int, int] = (0, 0)
    ict_levels: float = 0.0

    def through(self, filter_name: str) -> JunocamCamera:
        """The same moment and state through another filter."""
        ratio = _throughput(filter_name, self.orbit) / _throughput(self.band.name, self.orbit)
        return replace(self, band=bandpass("junocam", filter_name), bright=self.bright * ratio)

    @property
    def age(self) -> float:
        """Of the damage: 0 before it began, 1 from orbit 60 on."""
        return _age(self.orbit)

    @property
    def wear(self) -> float:
        """Of a damaged picture: some even where damage is forced on an early orbit."""
        return max(self.age, 0.3)

    @property
    def damage_odds(self) -> float:
        """How often pictures of this orbit are damaged."""
        return 0.0 if self.orbit <= DAMAGED_ORBIT else 0.25 + 0.65 * self.age

    def lens(self, io_px: tuple[float, float], shape: tuple[int, int]) -> PushFrame:
        """The framelets of a picture of this shape, with Io's centre at column and row ``io_px``."""
        column, row, n_frames = self._window(shape)
        delay = self.interframe_delay_s
        return PushFrame(self.band.name, n_frames, delay, io_px, (column, row), self.jogs_px, self.growth)

    def _window(self, shape: tuple[int, int]) -> tuple[int, int, int]:
        """First column and row of the picture on the mosaic, and how many framelets that has."""
        if shape[1] < COLUMNS:
            column, row = self.corner_px
            return column, row, frames_for(self.band.name, self.interframe_delay_s, row + shape[0])
        # Mosaics of the same framelets differ by some rows from filter to filter.
        step = framelet_step_px(self.band.name, self.interframe_delay_s)
        return 0, 0, max(1, round((shape[0] - ROWS) / step) + 1)

    @cached_property
    def _noise(self) -> tuple[Image, Image]:
        """Sigma of the counts, and counts per signal, of signals (i / 20)^2.

        The file holds nothing below 0: what is left of normal noise about a sky of little more than 0.
        """
        signal = (np.arange(int(_ROOTS * math.sqrt(self.saturation)) + 2) / _ROOTS) ** 2
        step = _step_at(signal)
        noise = np.sqrt(self.read**2 + np.maximum(signal - self.pedestal, 0) / self.gain + step**2 / 12)
        z = signal / noise
        above = ndtr(z)
        density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        mean = z * above + density
        left = np.maximum((z * z + 1) * above + z * density - mean**2, 0.05)
        sigma = np.sqrt(noise**2 * left + (self.ict_levels * step) ** 2 / 12)
        return sigma.astype(np.float32), above.astype(np.float32)

    def _tabled(self, signal: Image) -> NDArray[np.int32]:
        return np.rint(np.sqrt(np.clip(signal, 0, self.saturation)) * np.float32(_ROOTS)).astype(np.int32)

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise: read, shot, the width of the companded level, and compression."""
        return np.asarray(self._noise[0][self._tabled(signal)])

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """Take the picture.

        Args:
            signal: (H, W) float32 in linear DN.
            dice: decides what is wrong with this picture.

        Returns:
            linear DN of companded levels. ``sigma`` takes the transform's error for evenly spread; it is less on even
            ground, whose noise is quantised away along with sources as faint. ``valid`` is what the reader will say
            of a mosaic: not the borders of the chip and no rows beyond the last framelet; in windows, no framelet
            that was dropped either.

        """
        if not self.ict_levels and (rng := dice.effect("ict", 0.55)) is not None:
            return replace(self, ict_levels=log_uniform(rng, *ICT_LEVELS)).expose(signal, dice)
        place = _place(self, (signal.shape[0], signal.shape[1]))
        seen, contrast = _dulled(_stepped(_smeared(signal, self, dice), place, self, dice), self, dice)
        grain, pattern = _worn(self, (signal.shape[0], signal.shape[1]), dice)
        grainy = replace(self, read=math.hypot(self.read, grain))
        counts = grainy.noisy(_bloomed(seen, place, self, dice), dice.rng("noise")) + pattern
        counts = _with_columns(_speckled(counts, self, dice), self, dice)
        counts = _with_hot_pixels(counts, place, self, dice)
        rng = dice.rng("radiation")
        counts = strike(counts, dice, log_uniform(rng, 0.5, 150), log_uniform(rng, 10, 400), float(LINEAR[-1]))
        counts = hot_columns(counts, dice, 2 * self.read)
        sent = ~_dropped(place, dice)
        all_of_it = replace(self, read=math.hypot(grainy.read, float(np.std(pattern))))
        sigma, slope = (kind[self._tabled(seen)] for kind in all_of_it._noise)
        slope *= np.float32(contrast)
        return Readout(_coded(counts, place, self) * sent, place.lit & sent, sigma, slope, "DN", JUNOCAM.saturation)


# -- the mosaic -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where a picture lies on the mosaic.

    Attributes:
        frame: (H,) framelet of each row; -1 beyond the mosaic.
        row: (H,) row inside it.
        first_column: of the mosaic.
        lit: (H, W) bool: seen by pixels that the reader takes.

    """

    frame: Whole
    row: Whole
    first_column: int
    lit: NDArray[np.bool_]

    @property
    def stretches(self) -> list[tuple[int, slice]]:
        """Each framelet that shows, with its rows of the picture."""
        edges = np.flatnonzero(np.diff(self.frame, prepend=-2, append=-2))
        return [(int(self.frame[a]), slice(int(a), int(b))) for a, b in pairwise(edges) if self.frame[a] >= 0]


def _place(camera: JunocamCamera, shape: tuple[int, int]) -> _Place:
    column, first, n_frames = camera._window(shape)
    frames, rows, _ = layout(n_frames, framelet_step_px(camera.band.name, camera.interframe_delay_s))
    frame, row = np.full(shape[0], -1), np.full(shape[0], -1)
    here = frames[first : first + shape[0]]
    frame[: len(here)], row[: len(here)] = here, rows[first : first + shape[0]]
    inside = (frame >= 0) & (row >= JUNOCAM_BORDER["top"]) & (row < ROWS - JUNOCAM_BORDER["bottom"])
    columns = column + np.arange(shape[1])
    lit = (columns >= JUNOCAM_BORDER["left"]) & (columns < COLUMNS - JUNOCAM_BORDER["right"])
    return _Place(frame, row, column, inside[:, None] & lit)


def _dropped(place: _Place, dice: Dice) -> NDArray[np.bool_]:
    """(H, 1) bool, effect ``dropped_lines``: rows of framelets that never came down; never all of them.

    Only of windows: in a strip, rows of a dropped framelet that its neighbours saw too are still there, and they are
    none of the mosaic's.
    """
    rng = dice.effect("dropped_lines", 0.05)
    frames = np.unique(place.frame[place.frame >= 0])
    if rng is None or len(frames) < 2 or place.lit.shape[1] == COLUMNS:
        return np.zeros((len(place.frame), 1), bool)
    gone = rng.choice(frames, min(1 + int(rng.poisson(0.4)), len(frames) - 1), replace=False)
    return np.asarray(np.isin(place.frame, gone)[:, None])


def _stepped(signal: Image, place: _Place, camera: JunocamCamera, dice: Dice) -> Image:
    """Effect ``seams``, second half: framelets of different sensitivity, and stray light that ends at their edges."""
    rng = dice.effect("seams", 0.6)
    if rng is None:
        return signal
    rng = dice.rng("framelets")
    spread, stray = rng.uniform(0.001, 0.012), log_uniform(rng, 0.1, 5)
    across = np.arange(signal.shape[1], dtype=np.float32) + place.first_column
    stepped = signal.copy()
    for _, rows in place.stretches:
        gain, zero = rng.normal(1, spread), stray * max(rng.normal(), -1.0)
        middle, width = rng.uniform(0, COLUMNS), rng.uniform(200, 900)
        hump = zero * (0.3 + 0.7 * np.exp(-0.5 * ((across - middle) / width) ** 2)) + (1 - gain) * camera.pedestal
        stepped[rows] = np.float32(gain) * stepped[rows] + hump.astype(np.float32)
    return np.maximum(stepped, 0)


# -- the chip -------------------------------------------------------------------------------------------------------


def _smeared(signal: Image, camera: JunocamCamera, dice: Dice) -> Image:
    """Effect ``tdi``: rows summed at a wrong rate: smear along the columns, longer the more were summed."""
    rng = dice.effect("tdi", 0.3)
    if rng is None:
        return signal
    length = rng.uniform(0.5, 1.5 + min(2.0, 0.3 * camera.tdi_stages))
    taps = np.clip(0.5 + length / 2 - np.abs(np.arange(-3, 4)), 0, 1).astype(np.float32)
    return np.asarray(cv2.filter2D(signal, -1, (taps / taps.sum())[:, None], borderType=cv2.BORDER_REFLECT), np.float32)


def _bloomed(signal: Image, place: _Place, camera: JunocamCamera, dice: Dice) -> Image:
    """Effect ``blooming``: what saturated pixels cannot hold runs along their columns, not beyond their framelet."""
    most = np.float32(camera.saturation)
    rng = dice.effect("blooming", 0.7)
    if rng is None or signal.max() <= 1.2 * most:
        return np.minimum(signal, most)
    near, far = rng.uniform(0.05, 0.5), log_uniform(rng, 1e-5, 5e-3)
    reach = log_uniform(rng, 1.0, 8.0)
    taps = np.exp(-np.abs(np.arange(-16, 17)) / reach)
    kernel = (near * taps / taps.sum()).astype(np.float32)[:, None]
    bloomed = np.minimum(signal, most)
    for _, rows in place.stretches:
        columns = np.flatnonzero(signal[rows].max(axis=0) > most)
        if len(columns):
            over = np.minimum(signal[rows][:, columns], 20 * most) - most
            over = np.maximum(over, 0)
            spilt = cv2.filter2D(over, -1, kernel, borderType=cv2.BORDER_CONSTANT)
            bloomed[rows, columns] += spilt + np.float32(far) * over.mean(axis=0)
    return np.minimum(bloomed, most, out=bloomed)


def _with_columns(counts: Image, camera: JunocamCamera, dice: Dice) -> Image:
    """Effect ``column_offsets``: a few columns in a hundred are a little brighter, in all framelets."""
    rng = dice.effect("column_offsets", 0.7)
    if rng is None:
        return counts
    raised = rng.random(counts.shape[1]) < log_uniform(rng, 0.005, 0.06) * (1 + 2 * camera.age)
    zeros = np.where(raised, rng.exponential(log_uniform(rng, 0.5, 3) * camera.read, counts.shape[1]), 0)
    return np.asarray(counts + zeros.astype(np.float32))


def _with_hot_pixels(counts: Image, place: _Place, camera: JunocamCamera, dice: Dice) -> Image:
    """Effect ``hot_pixels``: they come back in each framelet, drawn out by the rows that were summed."""
    rng = dice.effect("hot_pixels", 0.85)
    if rng is None:
        return counts
    older = 1 + 6 * camera.age
    many = 1 + int(rng.poisson(counts.shape[1] * log_uniform(rng, 3e-3, 5e-2) * older))
    column, first = rng.integers(0, counts.shape[1], many), rng.integers(-camera.tdi_stages + 1, ROWS, many)
    level = np.minimum(2 * camera.read * (1 + rng.pareto(1.2, many)), 300)
    # a few are trapped charge that trails to the end of the framelet, or nearly so
    length = np.where(rng.random(many) < 0.08, rng.integers(10, ROWS, many), min(camera.tdi_stages, ROWS))
    run = place.row[:, None] - first[None]
    row, which = np.nonzero((run >= 0) & (run < length) & (place.frame >= 0)[:, None])
    hot = (level[which] * rng.uniform(0.85, 1.15, len(which))).astype(np.float32)
    counts = counts.copy()
    np.add.at(counts, (row, column[which]), hot)
    return counts


# -- wear -----------------------------------------------------------------------------------------------------------


def _dulled(signal: Image, camera: JunocamCamera, dice: Dice) -> tuple[Image, float]:
    """Effect ``late_damage``, first part: less contrast over a veil; and what is left of the contrast."""
    if dice.effect("late_damage", camera.damage_odds) is None:
        return signal, 1.0
    rng = dice.rng("late contrast")
    contrast = 1 - 0.6 * camera.wear * rng.random()
    veil = camera.pedestal + 100 * camera.wear * rng.random() ** 3
    return np.asarray((signal - camera.pedestal) * np.float32(contrast) + np.float32(veil), np.float32), contrast


def _worn(camera: JunocamCamera, shape: tuple[int, int], dice: Dice) -> tuple[float, Image]:
    """Effect ``late_damage``, second part: the 1-sigma of the grain, and streaks and bands; zeros without."""
    if dice.effect("late_damage", camera.damage_odds) is None:
        return 0.0, np.zeros((1, 1), np.float32)
    rng = dice.rng("late noise")
    amount = log_uniform(rng, 1.5, 150) * camera.wear
    grain = amount * rng.uniform(0.2, 1.5)
    return grain, _streaks(rng, shape, amount) + _bands(rng, shape, amount)


def _streaks(rng: Rng, shape: tuple[int, int], amount: float) -> Image:
    """Stretches of lines that are brighter or darker."""
    many = int(rng.poisson(shape[0] * log_uniform(rng, 0.02, 2.0)))
    row, start = rng.integers(0, shape[0], many), rng.integers(-200, shape[1], many)
    stop = start + np.exp(rng.uniform(math.log(15), math.log(COLUMNS), many)).astype(np.int64)
    level = (rng.exponential(2 * amount, many) * rng.choice((-1.0, 1.0, 1.0), many)).astype(np.float32)
    edges = np.zeros((shape[0], shape[1] + 1), np.float32)
    np.add.at(edges, (row, np.maximum(start, 0)), level)
    np.subtract.at(edges, (row, np.clip(stop, 0, shape[1])), level)
    return np.asarray(np.cumsum(edges, axis=1)[:, :-1])


def _bands(rng: Rng, shape: tuple[int, ...], amount: float) -> Image:
    """Offsets of lines, slow waves down the picture, and columns that differ."""
    lines = rng.normal(0, 0.4 * amount, shape[0])
    lines += amount * rng.random() * np.sin(np.arange(shape[0]) * rng.uniform(0.02, 0.6) + rng.uniform(0, 6))
    columns = rng.normal(0, amount * log_uniform(rng, 0.05, 0.8), shape[1])
    return np.asarray((lines[:, None] + columns[None]).astype(np.float32))


def _speckled(counts: Image, camera: JunocamCamera, dice: Dice) -> Image:
    """Effect ``late_damage``, third part: salt and pepper, in place."""
    if dice.effect("late_damage", camera.damage_odds) is None:
        return counts
    rng = dice.rng("late speckle")
    many = int(counts.size * min(log_uniform(rng, 1e-4, 2e-2) * camera.wear, 0.05))
    salt, pepper = (rng.integers(0, counts.size, n) for n in (many, many // 6))
    flat = counts.reshape(-1)
    flat[salt] += rng.exponential(log_uniform(rng, 30, 1000), many).astype(np.float32)
    flat[pepper] = 0
    return counts


# -- the file -------------------------------------------------------------------------------------------------------


def _step_at(signal: NDArray[np.floating]) -> NDArray[np.float32]:
    """Width in DN of the companded level that holds a signal."""
    return np.asarray(_STEP[np.clip(2 * signal, 0, len(_STEP) - 1).astype(np.int64)])


def companded(counts: Image) -> Image:
    """Linear DN as the eight bits can say them, in linear DN again."""
    return np.asarray(LINEAR[_levels(counts).astype(np.int32)])


def _levels(counts: Image) -> Image:
    """Companded levels 0..255."""
    half = np.clip(counts * np.float32(2), 0, len(_LEVEL) - 1).astype(np.int32)
    return np.asarray(_LEVEL[half])


def _coded(counts: Image, place: _Place, camera: JunocamCamera) -> Image:
    """Companded and, where compressed, cut in blocks of 8 x 8 levels that begin with the framelet's first row."""
    if not camera.ict_levels:
        return companded(counts)
    levels = _levels(counts)
    quantum = np.full((8, 8), camera.ict_levels, np.float32)
    for _, rows in place.stretches:
        above, left = int(place.row[rows.start]) % 8, place.first_column % 8
        part = np.pad(levels[rows], ((above, 0), (left, 0)), mode="edge")
        levels[rows] = cosine_blocks(part, quantum)[above:, left:]
    return np.asarray(LINEAR[np.clip(np.rint(levels), 0, 255).astype(np.int32)])


# -- states ---------------------------------------------------------------------------------------------------------


def draw_junocam(dice: Dice, shape: tuple[int, int], eclipse: bool) -> JunocamCamera:
    """JunoCam in some state; of the night side and in eclipse it exposes as long as it can.

    Args:
        dice: of the picture.
        shape: of the picture; of 1648 columns it is a whole mosaic, taken with the usual delay between framelets.
        eclipse: whether Io is in Jupiter's shadow.

    """
    rng = dice.rng("camera")
    filter_name = str(rng.choice(["BLUE", "GREEN", "RED", "METHANE"], p=[0.3, 0.32, 0.33, 0.05]))
    orbit = int(rng.integers(1, 47)) if rng.random() < 0.5 else int(rng.integers(47, 63))
    night = eclipse or rng.random() < 0.1
    bright = log_uniform(rng, 3e4, 1e6) if eclipse else log_uniform(rng, 1e4, 2e5) if night else _by_day(rng)
    stages = int(rng.choice((32, 64, 80) if night else (1, 2, 3, 4, 6)))
    delay = JUNOCAM_USUAL_DELAY_S if shape[1] == COLUMNS else float(rng.choice((0.368, 0.370, 0.372, 0.375, 0.378)))
    room = COLUMNS - shape[1], 2 * int(framelet_step_px(filter_name, delay))
    jogs, growth = _wobble(dice, frames_for(filter_name, delay, shape[0] + room[1]) + 1)
    return JunocamCamera(
        JUNOCAM.name,
        bandpass("junocam", filter_name),
        "DN",
        JUNOCAM.ifov_rad,
        psf_px=rng.uniform(0.5, 1.1),
        bright=bright * _throughput(filter_name, orbit),
        pedestal=log_uniform(rng, 0.5, 4) if rng.random() < 0.65 else rng.uniform(4, 30),
        read=log_uniform(rng, 0.45, 2.5) * (1 + 3 * _age(orbit) * rng.random()),
        gain=log_uniform(rng, 6, 30),
        saturation=JUNOCAM.saturation if rng.random() < 0.3 else rng.uniform(*FULL_WELL_DN),
        step=1.0,
        exposure_s=STAGE_S * stages,
        orbit=orbit,
        tdi_stages=stages,
        interframe_delay_s=delay,
        jogs_px=jogs,
        growth=growth,
        corner_px=(int(rng.integers(0, max(room[0], 0) + 1)), int(rng.integers(0, room[1]))),
    )


def _by_day(rng: Rng) -> float:
    """Signal of I/F = 1 in GREEN: Io's plains at 150 to 3000 DN, or too bright where plumes were sought."""
    return log_uniform(rng, 300, 6000) if rng.random() < 0.8 else log_uniform(rng, 6000, 3e4)


def _age(orbit: int) -> float:
    """0 up to the orbit of the first damage, 1 from the 60th on."""
    return float(np.clip((orbit - DAMAGED_ORBIT) / (WORN_ORBIT - DAMAGED_ORBIT), 0, 1))


def _throughput(filter_name: str, orbit: int) -> float:
    return RESPONSE[filter_name] * (1 - LOST[filter_name] * _age(orbit))


def _wobble(dice: Dice, count: int) -> tuple[tuple[tuple[float, float], ...], float]:
    """Effect ``seams``, first half: framelets off by the spin rate's error and a little wobble; and Io's growth."""
    rng = dice.effect("seams", 0.6)
    if rng is None:
        return (), 0.0
    # 2 rpm is nominal: it was 1.953 rpm on 2016-08-27 by the reconstructed attitude, 2.7 px in a step
    rate = rng.normal(0, 0.3) if rng.random() < 0.85 else rng.uniform(-2.7, 1)
    wobble = rng.uniform(0.02, 0.4)
    jogs = tuple((float(rng.normal(0, wobble)), float(rate * n + rng.normal(0, wobble))) for n in range(count))
    return jogs, float(rng.normal(0, 1e-3))
