"""Any framing camera: vidicons and CCDs of other missions, telescopes, and pictures as they are published.

The numbers are ranges, not those of one camera: Voyager and Cassini ISS, New Horizons LORRI and MVIC, HST, adaptive
optics on the ground, and the cameras on their way to Jupiter should all look familiar to whoever has seen these.

Sources
-------
* Vidicon: Voyager ISS as described by Smith et al. (1977) and Danielson et al. (1981), as recalled: 800 x 800 pixels
  of 8 bits, a reseau of some 200 marks, dark level of 10 to 30 DN with a gradient, shading towards the corners, a
  residual image of the frame before, coherent noise of about 1 DN.
* Frame transfer without a shutter: LORRI (Cheng et al. 2008): some 11 ms of transfer against exposures of 1 to 100 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from training.simulate.bands import broad
from training.simulate.cameras.camera import Camera, Readout, rounded
from training.simulate.damage import hot_columns, missing
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.display import Display, draw_display
from training.simulate.light import Bandpass, Image
from training.simulate.radiation import strike

PROCESSED = 0.7
"""Share of pictures that were treated for display."""
DISPLAY_EFFECTS = ("stretch", "clip", "gamma", "sharpen", "jpeg")
MARKS_PER_SIDE = 10
"""A reseau's marks lie about this often along a side."""
DISK_I_OVER_F = 0.6
"""A typical I/F of Io's bright ground: exposures are chosen for it."""
TRANSFER_S = 0.011
"""Time of a frame transfer; exposures lie between 0.03 s and 2 s."""


@dataclass(frozen=True)
class Tube:
    """What a vidicon does to the signal; amounts are shares of the camera's full scale unless said otherwise.

    Attributes:
        tilt: (across, down): dark level's change from the centre to the edges.
        bowl: dark level's rise in the corners.
        shading: share of the answer to light that the corners lack.
        soft_px: 1-sigma of the blur in the corners.
        residual: share of the frame before that is still there. shift_px: (x, y) by which it is displaced.
        hum: amplitude of the coherent noise. wave: (x, y) radians per pixel. turn: its phase, radians.

    """

    tilt: tuple[float, float]
    bowl: float
    shading: float
    soft_px: float
    residual: float
    shift_px: tuple[float, float]
    hum: float
    wave: tuple[float, float]
    turn: float

    def see(self, signal: Image, pedestal: float, full: float) -> tuple[Image, Image]:
        """The signal (H, W) as the tube holds it, without noise; and counts per unit of signal."""
        y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in signal.shape)
        corner = (x[None] ** 2 + y[:, None] ** 2) / 2
        light = signal - np.float32(pedestal)
        soft = cv2.GaussianBlur(light, (0, 0), self.soft_px, borderType=cv2.BORDER_REFLECT)
        light += (soft - light) * corner
        if self.residual > 0:
            shift = np.array([[1, 0, self.shift_px[0]], [0, 1, self.shift_px[1]]], np.float32)
            light += np.float32(self.residual) * cv2.warpAffine(light, shift, signal.shape[::-1])
        answer = np.asarray(1 - self.shading * corner, np.float32)
        dark = self.tilt[0] * x[None] + self.tilt[1] * y[:, None] + self.bowl * corner
        return np.asarray(light * answer + np.float32(full) * dark + np.float32(pedestal), np.float32), answer

    def buzz(self, shape: tuple[int, int], full: float) -> Image:
        """(H, W): coherent noise."""
        rows, columns = (np.arange(n, dtype=np.float32) for n in shape)
        along = rows[:, None] * np.float32(self.wave[1]) + np.float32(self.turn)
        across = columns[None] * np.float32(self.wave[0])
        # sin(a + b) by its sum formula: two short rows of sines instead of one for every pixel
        waves = np.sin(along) * np.cos(across) + np.cos(along) * np.sin(across)
        return np.asarray(np.float32(self.hum * full) * waves, np.float32)


@dataclass(frozen=True)
class Marks:
    """A reseau: a grid of marks on the faceplate.

    Attributes:
        spacing_px: of the grid. offset_px: (x, y) of its first mark. shear: share by which lines lean.
        size_px: half of a mark's width, 1..2.
        cross: crosses, else dots.
        depth: share of the signal above the pedestal that a mark takes away, 0..1.
        removed: marks were filled in from their surroundings, and show as smooth blobs.

    """

    spacing_px: float
    offset_px: tuple[float, float]
    shear: float
    size_px: int
    cross: bool
    depth: float
    removed: bool

    def places(self, shape: tuple[int, int]) -> list[tuple[int, int]]:
        """Rows and columns of the marks that lie wholly on a picture; every second line is shifted by half a step."""
        found = []
        for i, y in enumerate(np.arange(self.offset_px[1], shape[0], self.spacing_px)):
            start = self.offset_px[0] + (i % 2) * self.spacing_px / 2
            for x in np.arange(start, shape[1], self.spacing_px):
                found.append((round(y + self.shear * x), round(x + self.shear * y)))
        reach = self.size_px + 1
        return [(r, c) for r, c in found if reach <= r < shape[0] - reach and reach <= c < shape[1] - reach]

    def on(self, clean: Image, pedestal: float) -> tuple[Image, Image]:
        """The signal (H, W) with the marks, and counts per unit of signal: 0 in marks that were filled in."""
        marked, answer = clean.copy(), np.ones_like(clean)
        keep = 1 - self.depth * _mark(self.size_px, self.cross)
        reach = self.size_px + 1
        for r, c in self.places((clean.shape[0], clean.shape[1])):
            where = slice(r - reach, r + reach + 1), slice(c - reach, c + reach + 1)
            if self.removed:
                marked[where] = _filled(clean[where])
                answer[where] = 0
            else:
                marked[where] = pedestal + (marked[where] - pedestal) * keep
                answer[where] = keep
        return marked, answer


def _mark(size_px: int, cross: bool) -> Image:
    """(n, n), 0..1: what one mark covers, with half-covered edges."""
    n = 2 * size_px + 3
    y, x = np.abs(np.mgrid[:n, :n] - (size_px + 1))
    if cross:
        covered = ((np.minimum(x, y) == 0) & (np.maximum(x, y) <= size_px)).astype(np.float32)
        return covered + 0.25 * ((np.minimum(x, y) == 1) & (np.maximum(x, y) <= size_px))
    return np.clip(size_px + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)


def _filled(patch: Image) -> Image:
    """A patch rebuilt from its edge: the mean of what lies left and right, and above and below."""
    n = patch.shape[0]
    t = np.linspace(0, 1, n, dtype=np.float32)
    across = patch[:, :1] * (1 - t) + patch[:, -1:] * t
    down = patch[:1] * (1 - t)[:, None] + patch[-1:] * t[:, None]
    return np.asarray((across + down) / 2, np.float32)


@dataclass(frozen=True)
class FramingCamera(Camera):
    """A camera that nobody named.

    Attributes:
        lowest: smallest number that the file can hold.
        fills_with_nan: lines that did not come down are said to be missing; else they hold 0.
        transfer: share of its column's mean that every pixel collects while the frame is moved off the chip.
        hits: per 10^5 pixels. hit_level: usual counts of one.
        tube: of a vidicon; None for a CCD.
        marks: reseau; None for none.
        display: what was done for publishing; None for counts as they came.

    """

    kind: ClassVar[str] = "picture"

    lowest: float
    fills_with_nan: bool
    transfer: float
    hits: float
    hit_level: float
    tube: Tube | None
    marks: Marks | None
    display: Display | None

    @property
    def full(self) -> float:
        """Counts from no light to saturation."""
        return self.saturation - self.pedestal

    def expose(self, signal: Image, dice: Dice) -> Readout:
        """Counts of a camera, or the grey levels of a picture made of them."""
        if self.display is None:
            return self._raw(signal, dice)[0]
        shape = (signal.shape[0], signal.shape[1])
        taken = self.display.taken_shape(shape)
        small = signal if taken == shape else cv2.resize(signal, taken[::-1], interpolation=cv2.INTER_AREA)
        raw, clean = self._raw(np.asarray(small, np.float32), dice)
        shown = self.display.show(raw.counts, clean, raw.sigma, shape)
        slope = raw.slope if taken == shape else cv2.resize(raw.slope, shape[::-1], interpolation=cv2.INTER_LINEAR)
        valid = np.ones(shape, np.bool_)  # a picture does not say what is missing in it
        return Readout(shown.grey, valid, shown.sigma, shown.slope * slope, "luminance", 255.0)

    def _raw(self, signal: Image, dice: Dice) -> tuple[Readout, Image]:
        """What came out of the camera, and what would have without noise."""
        clean, slope = self._seen(signal)
        rng = dice.rng("framing noise")
        counts = self.noisy(clean, rng)
        if self.tube is not None:
            counts += self.tube.buzz((signal.shape[0], signal.shape[1]), self.full)
        counts = strike(counts, dice, self.hits, self.hit_level, self.saturation)
        counts = hot_columns(counts, dice, 4 * self.read)
        counts = rounded(counts, self.step, self.lowest, self.saturation)
        came = missing(dice, (signal.shape[0], signal.shape[1]))
        fill = np.float32(max(self.lowest, 0))
        counts[~came] = fill
        slope = np.where(came, slope, np.float32(0))
        clean = np.where(came, np.clip(clean, self.lowest, self.saturation), fill)
        valid = came if self.fills_with_nan else np.ones_like(came)
        top = self.saturation if self.step > 0 and self.display is None else math.inf
        return Readout(counts, valid, self.sigma(clean), slope, self.unit, top), clean

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise of pixels with this signal: read, shot, rounding and a tube's coherent noise."""
        shot = np.maximum(signal - self.pedestal, 0) / self.gain
        hum = 0.0 if self.tube is None else self.tube.hum * self.full / math.sqrt(2)
        return np.asarray(np.sqrt(self.read**2 + hum**2 + self.step**2 / 12 + shot), np.float32)

    def _seen(self, signal: Image) -> tuple[Image, Image]:
        """The signal with everything that is no chance, and counts per unit of it."""
        clean, slope = signal, np.ones_like(signal)
        if self.tube is not None:
            clean, slope = self.tube.see(signal, self.pedestal, self.full)
        if self.transfer > 0:
            clean = clean + np.float32(self.transfer) * (clean.mean(axis=0, keepdims=True) - np.float32(self.pedestal))
        if self.marks is not None:
            clean, covered = self.marks.on(clean, self.pedestal)
            slope = slope * covered
        return np.asarray(clean, np.float32), slope


# -- drawing one ------------------------------------------------------------------------------------------------------


def draw_framing(dice: Dice, shape: tuple[int, int], eclipse: bool) -> FramingCamera:
    """A framing camera in one state.

    Args:
        dice: of the picture.
        shape: rows and columns.
        eclipse: whether there is no sunlight: exposures are then thousands of times longer.

    """
    rng = dice.rng("framing")
    display = draw_display(dice) if _is_processed(dice) else None
    tube = _tube(dice, shape)
    lowest, full, step, unit = _file(rng, tube is not None, display is not None)
    read = max(full * (log_uniform(rng, 2e-4, 1e-2) if tube is None else log_uniform(rng, 3e-3, 1.2e-2)), 0.4 * step)
    pedestal = _pedestal(rng, lowest, full, read if tube is None else 4 * read)
    exposed = log_uniform(rng, 0.25, 1.3) if rng.random() < 0.75 else log_uniform(rng, 0.03, 4.0)
    bright = 1.0 if unit == "I/F" and not eclipse else exposed * full / DISK_I_OVER_F
    if eclipse:
        bright *= log_uniform(rng, 1e3, 3e4)
    return FramingCamera(
        instrument="unknown",
        band=_band(rng),
        unit=unit,
        ifov_rad=log_uniform(rng, 2e-6, 2e-4),
        psf_px=_psf_px(rng, display),
        bright=bright,
        pedestal=pedestal,
        read=read,
        gain=log_uniform(rng, 5e3, 2e5) * (1 if display is None else 3) / full,  # noisy ones are seldom published
        saturation=full,
        step=step,
        exposure_s=float("nan"),
        lowest=lowest,
        fills_with_nan=bool(rng.random() < 0.4),
        transfer=_transfer(dice, tube),
        hits=log_uniform(rng, 0.2, 30),
        hit_level=full * log_uniform(rng, 0.02, 0.5),
        tube=tube,
        marks=_marks(dice, shape),
        display=display,
    )


def _is_processed(dice: Dice) -> bool:
    if dice.only is not None:
        return any(name in dice.only for name in DISPLAY_EFFECTS)
    return bool(dice.rng("processed").random() < PROCESSED)


def _file(rng: Rng, tube: bool, shown: bool) -> tuple[float, float, float, str]:
    """Lowest and highest number of the file, step and unit: 8 to 16 bits, dark-subtracted numbers, or I/F."""
    kind = rng.random()
    if tube or kind < 0.35:
        return 0.0, 255.0, 1.0, "DN"
    if kind < 0.75 or (shown and kind < 0.85):
        return 0.0, float(2.0 ** rng.choice([10, 12, 14, 16]) - 1), 1.0, "DN"
    if kind < 0.9:
        return -math.inf, log_uniform(rng, 200, 60000), float(rng.choice([0.0, 1.0])), "DN"
    return -math.inf, log_uniform(rng, 0.8, 3), 0.0, "I/F"


def _pedestal(rng: Rng, low: float, full: float, read: float) -> float:
    """About zero where the dark was subtracted; else a bias that keeps the noise above the converter's floor."""
    if low < 0:
        return float(rng.normal(0, 0.002) * full)
    return max(full * log_uniform(rng, 0.005, 0.12), 4 * read)


def _band(rng: Rng) -> Bandpass:
    """Mostly visible light, sometimes near ultraviolet or infrared."""
    effective = float(
        rng.choice([rng.uniform(0.45, 0.75), rng.uniform(0.3, 0.45), rng.uniform(0.75, 1.0)], p=[0.65, 0.2, 0.15])
    )
    return broad(effective, effective * log_uniform(rng, 0.08, 0.6))


def _psf_px(rng: Rng, display: Display | None) -> float:
    """1-sigma of the PSF: sharp or undersampled mostly, wide on the ground; an enlarged picture has no finer detail."""
    taken = rng.uniform(0.35, 0.9) if rng.random() < 0.8 else rng.uniform(0.9, 2.5)
    return taken if display is None else max(taken, min(taken * display.enlarge, 3.0))


def _transfer(dice: Dice, tube: Tube | None) -> float:
    """Share of the column's mean that adds to every pixel; never when effects are forced."""
    rng = dice.rng("transfer")
    if tube is not None or dice.only is not None or rng.random() > 0.12:
        return 0.0
    return TRANSFER_S / log_uniform(rng, 0.03, 2.0)


def _tube(dice: Dice, shape: tuple[int, int]) -> Tube | None:
    drawn = dice.effect("vidicon", 0.18)
    if drawn is None:
        return None
    residual = drawn.random() < 0.4
    far = 0.25 * max(shape)
    return Tube(
        tilt=(drawn.normal(0, 0.015), drawn.normal(0, 0.015)),
        bowl=drawn.normal(0.01, 0.015),
        shading=drawn.uniform(0, 0.3),
        soft_px=drawn.uniform(0.6, 1.6),
        residual=log_uniform(drawn, 0.003, 0.05) if residual else 0.0,
        shift_px=(drawn.normal(0, far), drawn.normal(0, far)),
        hum=log_uniform(drawn, 4e-4, 6e-3),
        wave=(drawn.uniform(0.02, 2.5), drawn.uniform(-0.6, 0.6)),
        turn=drawn.uniform(0, 2 * math.pi),
    )


def _marks(dice: Dice, shape: tuple[int, int]) -> Marks | None:
    rng = dice.effect("fiducials", 0.1)
    if rng is None:
        return None
    spacing = max(shape) / MARKS_PER_SIDE * rng.uniform(0.7, 2.0)
    return Marks(
        spacing_px=spacing,
        offset_px=(rng.uniform(0, spacing), rng.uniform(0, spacing)),
        shear=rng.normal(0, 0.01),
        size_px=int(rng.integers(1, 3)),
        cross=bool(rng.random() < 0.4),
        depth=rng.uniform(0.5, 1.0),
        removed=bool(rng.random() < 0.4),
    )
