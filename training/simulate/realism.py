"""Simulated against real frames, in numbers: noise, its spectrum, the histogram, the sharpness of the limb."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import Frame
from detector.limb import Limb, find_limb
from detector.products import find_products
from detector.readers import read_frames
from training.simulate.product import expose
from training.simulate.recipe import Recipe

Progress = Callable[[int, int], None]
Numbers = dict[str, float]

MEASURES = {
    "noise": "noise of the sky, vertical neighbours, in the frame's unit",
    "column_share": "rms of the sky's column means over the noise",
    "row_share": "rms of the sky's row means over the noise",
    "odd_even": "difference of odd and even columns over the noise",
    "spectrum_low": "power of the sky below 0.1 cycles a pixel over white noise",
    "spectrum_high": "power of the sky above 0.4 cycles a pixel over white noise",
    "tail": "share of sky pixels beyond 5 sigmas",
    "blocks": "steps across 8-pixel borders over steps elsewhere",
    "empty_levels": "share of the values between the 5th and 95th percentile that never occur (integers)",
    "at_floor": "share of pixels at the lowest value (integers)",
    "at_ceiling": "share of pixels at the highest value (integers)",
    "limb_width_px": "20-80 % width of the lit limb's profile",
}
PATCH_PX = 64
SIMULATED = 60


@dataclass(frozen=True)
class Row:
    """One measure of one real frame among the simulated ones of its instrument.

    Attributes:
        instrument, frame_id, measure: which.
        real: its value.
        low, middle, high: 5th, 50th and 95th percentile of the simulated values.
        rank: share of the simulated values below the real one, 0..1.
        count: simulated frames that have the measure.

    """

    instrument: str
    frame_id: str
    measure: str
    real: float
    low: float
    middle: float
    high: float
    rank: float
    count: int

    @property
    def inside(self) -> bool:
        """Whether the simulated frames reach the real value."""
        return self.low <= self.real <= self.high


def compare(
    paths: Sequence[Path], seed: int, count: int = SIMULATED, progress: Progress = lambda done, total: None
) -> list[Row]:
    """Measure real frames, and as many simulated ones of each of their instruments.

    Args:
        paths: files and folders of real frames; instruments that are not simulated are passed over.
        seed: of the simulated frames.
        count: simulated products an instrument.
        progress: is told simulated products done and all.

    Raises:
        InputError: none of the frames is of a simulated instrument.

    """
    real = [frame for product in find_products(list(paths)) if not product.problem for frame in read_frames(product)]
    kinds = {"galileo_ssi": "ssi", "jiram": "jiram", "junocam": "junocam", "sru": "sru"}
    wanted = sorted({kinds[frame.instrument] for frame in real if frame.instrument in kinds})
    if not wanted:
        raise InputError(", ".join(map(str, paths)), "holds no frame of a simulated instrument", f"one of {[*kinds]}")
    rows = []
    for number, kind in enumerate(wanted):
        simulated = [
            (sample.frame.unit, measures(sample.frame, sample.limb))
            for index in _told(count, number * count, len(wanted) * count, progress)
            for sample in expose(kind, Recipe(eclipse=0.05), seed, index).samples
        ]
        for frame in real:
            if kinds.get(frame.instrument) == kind:
                numbers = measures(frame, find_limb(frame))
                if any(unit != frame.unit for unit, _ in simulated):
                    numbers["noise"] = math.nan  # counts are not radiances
                rows += against(frame, numbers, [values for _, values in simulated])
    return rows


def _told(count: int, before: int, total: int, progress: Progress) -> Iterable[int]:
    for index in range(count):
        yield index
        progress(before + index + 1, total)


def against(frame: Frame, real: Numbers, simulated: Sequence[Numbers]) -> list[Row]:
    """The rows of one real frame."""
    rows = []
    for name in MEASURES:
        values = np.array([numbers[name] for numbers in simulated])
        values = values[np.isfinite(values)]
        if math.isfinite(real[name]) and len(values) >= 5:
            low, middle, high = (float(v) for v in np.percentile(values, [5, 50, 95]))
            rank = float(np.mean(values < real[name]) + 0.5 * np.mean(values == real[name]))
            rows.append(Row(frame.instrument, frame.id, name, real[name], low, middle, high, rank, len(values)))
    return rows


# -- measures -------------------------------------------------------------------------------------------------------


def measures(frame: Frame, limb: Limb) -> Numbers:
    """All ``MEASURES`` of a frame; NaN where the frame does not have what is measured."""
    patch = sky_patch(frame)
    return {
        **sky_numbers(patch),
        **histogram_numbers(frame),
        "blocks": blocks(frame),
        "limb_width_px": width(frame, limb),
    }


def sky_patch(frame: Frame) -> NDArray[np.float32]:
    """The darkest of the flat 64 x 64 pieces of a frame; (0, 0) when there is none.

    A piece is flat when its quarters differ by less than 1.5 of its own pixel noise, as sky and dark frames do.
    """
    best, found = math.inf, np.zeros((0, 0), np.float32)
    rows, columns = frame.shape
    for row in range(0, rows - PATCH_PX + 1, PATCH_PX // 2):
        for column in range(0, columns - PATCH_PX + 1, PATCH_PX // 2):
            where = slice(row, row + PATCH_PX), slice(column, column + PATCH_PX)
            if not frame.valid[where].all():
                continue
            patch = frame.image[where]
            half = PATCH_PX // 2
            quarters = [float(np.median(patch[r : r + half, c : c + half])) for r in (0, half) for c in (0, half)]
            noise = neighbour_noise(patch)
            if noise > 0 and np.ptp(quarters) < 1.5 * noise and np.mean(quarters) < best:
                best, found = float(np.mean(quarters)), patch
    return found


def neighbour_noise(patch: NDArray[np.float32]) -> float:
    """1-sigma from vertical neighbours, which share their column: robust, at least the rounding."""
    steps = np.diff(patch, axis=0)
    spread = 1.4826 * float(np.median(np.abs(steps))) / math.sqrt(2)
    return spread if spread > 0 else float(np.std(steps)) / math.sqrt(2)


def sky_numbers(patch: NDArray[np.float32]) -> Numbers:
    """Noise and its pattern."""
    names = ("noise", "column_share", "row_share", "odd_even", "spectrum_low", "spectrum_high", "tail")
    if not patch.size:
        return dict.fromkeys(names, math.nan)
    noise = neighbour_noise(patch)
    clipped = np.clip(patch, *(np.median(patch) + np.array([-4, 4]) * max(noise, 1e-12)))  # hits have their own measure
    columns, rows = clipped.mean(0), clipped.mean(1)
    low, high = spectrum(clipped)
    values = [
        noise,
        float(np.std(columns)) / noise,
        float(np.std(rows)) / noise,
        abs(float(columns[::2].mean() - columns[1::2].mean())) / noise,
        low,
        high,
        float(np.mean(np.abs(patch - np.median(patch)) > 5 * noise)),
    ]
    return dict(zip(names, values, strict=True))


def spectrum(patch: NDArray[np.float32]) -> tuple[float, float]:
    """Mean power below 0.1 and above 0.4 cycles a pixel (along either axis), over the mean of all but zero."""
    power = np.abs(np.fft.fft2(patch - patch.mean())) ** 2
    f = np.abs(np.fft.fftfreq(PATCH_PX))
    frequency = np.maximum(f[:, None], f[None])
    mean = power[frequency > 0].mean()
    if mean <= 0:
        return math.nan, math.nan
    return float(power[(frequency > 0) & (frequency < 0.1)].mean() / mean), float(power[frequency > 0.4].mean() / mean)


def histogram_numbers(frame: Frame) -> Numbers:
    """How the values are spread over what the file can hold."""
    seen = frame.image[frame.valid]
    if not seen.size:
        return dict.fromkeys(("empty_levels", "at_floor", "at_ceiling"), math.nan)
    low, high = np.percentile(seen, [5, 95])
    whole = bool((seen == np.round(seen)).all())
    empty = math.nan
    if whole and frame.saturation <= 255 and high - low >= 20:
        present = np.unique(seen[(seen >= low) & (seen <= high)])
        empty = 1 - len(present) / (math.floor(high) - math.ceil(low) + 1)
    return {
        "empty_levels": empty,
        "at_floor": float(np.mean(seen == seen.min())) if whole else math.nan,
        "at_ceiling": float(np.mean(seen == seen.max())) if whole else math.nan,
    }


def blocks(frame: Frame) -> float:
    """Mean step across the borders of 8 x 8 blocks over the mean step inside them; 1 without blocks."""
    steps = np.abs(np.diff(frame.image, axis=1))
    steps = np.minimum(steps, 4 * max(frame.levels.sigma, 1e-12))
    known = frame.valid[:, 1:] & frame.valid[:, :-1]
    border = (np.arange(steps.shape[1]) % 8) == 7
    inside = steps[:, ~border][known[:, ~border]]
    return (
        float(steps[:, border][known[:, border]].mean() / inside.mean()) if inside.size and inside.mean() else math.nan
    )


def width(frame: Frame, limb: Limb) -> float:
    """Median over the lit limb of the length over which brightness falls from 80 % to 20 % of the step, px."""
    if not limb.trusted or limb.radius_px < 20:
        return math.nan
    offset = np.arange(-5, 5.01, 0.1)
    azimuth = np.radians(np.arange(0, 360, 2.0))[:, None]
    radius = limb.radius_px + offset[None]
    x, y = limb.x_px + radius * np.sin(azimuth), limb.y_px - radius * np.cos(azimuth)
    profiles = cv2.remap(
        frame.image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderValue=float("nan")
    )
    step = profiles[:, :15].mean(1) - profiles[:, -15:].mean(1)
    levels = frame.levels
    sharp = np.isfinite(step) & (step > max(15 * levels.sigma, 0.2 * levels.bright))
    if sharp.sum() < 10:
        return math.nan
    share = (profiles[sharp] - profiles[sharp][:, -15:].mean(1, keepdims=True)) / step[sharp, None]
    ends = [_first_below(share, level) for level in (0.8, 0.2)]
    return float(np.median(offset[ends[1]] - offset[ends[0]]))


def _first_below(share: NDArray[np.float32], level: float) -> NDArray[np.int64]:
    return np.asarray(np.argmax(share < level, axis=1))


# -- the page -------------------------------------------------------------------------------------------------------


def write_page(rows: Sequence[Row], out: Path, seed: int, count: int) -> None:
    """The comparison as Markdown: a table for each real frame, mismatches marked."""
    lines = [
        "# Simulated and real frames, in numbers",
        "",
        f"Written by `io-detector benchmark realism`: {count} simulated products of each instrument (seed {seed})",
        "against real frames. A real value outside the 5th to 95th percentile of the simulated ones is **bold**.",
        "",
        *(f"* `{name}`: {meaning}" for name, meaning in MEASURES.items()),
    ]
    for frame_id in dict.fromkeys(row.frame_id for row in rows):
        some = [row for row in rows if row.frame_id == frame_id]
        lines += ["", f"## {frame_id} ({some[0].instrument})", ""]
        lines += ["| measure | real | simulated 5 % | 50 % | 95 % | rank | frames |", "|---|--:|--:|--:|--:|--:|--:|"]
        for row in some:
            real = f"{row.real:.4g}" if row.inside else f"**{row.real:.4g}**"
            numbers = f"{row.low:.4g} | {row.middle:.4g} | {row.high:.4g} | {row.rank:.2f} | {row.count}"
            lines.append(f"| {row.measure} | {real} | {numbers} |")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n")
