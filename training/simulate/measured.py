"""What a real picture is like: its noise at each brightness, its smallest step, its white, its PSF, and its Sun."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame
from detector.limb import Limb
from training.simulate.light import Image

Floats = NDArray[np.float64]

# -- what a picture is like -----------------------------------------------------------------------------------------

BLOCK = 8
FEWEST_BLOCKS = 20
LEVEL_BINS = 12
QUIET_SHARE, QUIET_BIAS = 0.2, 0.383
"""The quietest fifth of the blocks of a brightness tells its noise: the others hold texture. In pure Gaussian noise
that quantile of a block's mean square, as ``_blocks`` takes it, is 0.383 of the variance (measured on 65,000)."""
SMALLEST_SIGMA_STEPS = 0.5
"""What is fainter than half a step of the numbers does not survive rounding, however quiet the sky is."""
SMALLEST_SIGMA_SHARE = 1e-3
"""The same of the disk's brightness: pictures mixed of several bands hold finer steps than what they were made of."""
USUAL_PSF_PX = 0.7
LIT_SIGMAS = 8.0
"""A disk less bright than so many sigmas of the sky is dark: in eclipse, or its night side."""


@dataclass(frozen=True)
class Measured:
    """What a picture's own pixels say of its camera, in the frame's unit.

    Attributes:
        levels, sigmas: (n,) 1-sigma noise of pixels of these brightnesses; n >= 2, levels rising.
        step: smallest step between values; 0 for floating point.
        white: largest value there can be; inf where none is known.
        psf_px: 1-sigma of the optics' Gaussian core; 0.7 where no limb tells it.
        sky: of the dark background.
        disk: how far the bright part of the disk rises above ``sky``; 0 for a dark disk or none.

    """

    levels: Floats
    sigmas: Floats
    step: float
    white: float
    psf_px: float
    sky: float
    disk: float

    def sigma(self, signal: Image) -> Image:
        """1-sigma noise of pixels of noise-free ``signal``; beyond the brightest level that of the brightest."""
        return np.sqrt(np.interp(signal, self.levels, self.sigmas**2)).astype(np.float32)

    def added_sigma(self, before: Image, after: Image) -> Image:
        """1-sigma of the noise that comes with the light between two signals; 0 where there is less light."""
        return np.sqrt(np.maximum(self.sigma(after) ** 2 - self.sigma(before) ** 2, 0)).astype(np.float32)


def measure(frame: Frame, limb: Limb) -> Measured:
    """Measure noise, step, white level, optics and brightness of a real frame.

    Args:
        frame: at least 8 x 8 pixels, some of them valid.
        limb: of Io, or none: then there is no ``disk`` and the optics are the usual ones.

    """
    step, white = smallest_step(frame), white_level(frame)
    sky = _sky(frame, limb)
    disk = _disk(frame, limb, sky)
    floor = max(SMALLEST_SIGMA_STEPS * step, SMALLEST_SIGMA_SHARE * (disk or spread(frame)), 1e-12)
    levels, sigmas = noise_curve(frame, white, floor)
    dark = disk < LIT_SIGMAS * float(np.interp(sky, levels, sigmas))
    psf = USUAL_PSF_PX if dark else edge_psf_px(frame, limb)
    return Measured(levels, sigmas, step, white, psf, sky, 0.0 if dark else disk)


def _thinned(values: NDArray[np.float32], most: int = 1_000_000) -> NDArray[np.float32]:
    return values[:: max(1, values.size // most)]


def spread(frame: Frame) -> float:
    """From the 0.5th to the 99.5th percentile of the picture."""
    seen = _thinned(frame.image[frame.valid])
    return float(np.ptp(np.percentile(seen, [0.5, 99.5]))) if seen.size else 0.0


def _radius(frame: Frame, limb: Limb) -> Image:
    """(H, W) float32 distance from the disk's centre in radii of the limb; inf without a limb."""
    if not limb.trusted:
        return np.full(frame.shape, np.inf, np.float32)
    y, x = np.ogrid[: frame.shape[0], : frame.shape[1]]
    return np.hypot((x - limb.x_px) / limb.radius_px, (y - limb.y_px) / limb.radius_px).astype(np.float32)


def _sky(frame: Frame, limb: Limb) -> float:
    far = frame.image[frame.valid & (_radius(frame, limb) > 1.15)]
    if limb.trusted and far.size >= 200:
        return float(np.percentile(_thinned(far), 30))  # the darker part: Jupiter may fill the rest
    return frame.levels.sky


def _disk(frame: Frame, limb: Limb, sky: float) -> float:
    inside = frame.image[frame.valid & (_radius(frame, limb) < 0.97)]
    return max(float(np.percentile(_thinned(inside), 99)) - sky, 0.0) if inside.size else 0.0  # a crescent is thin


def smallest_step(frame: Frame) -> float:
    """The step that all values are whole multiples of, counted from the lowest; 0 where there is none."""
    values = np.unique(_thinned(frame.image[frame.valid])).astype(float)
    if values.size < 2:
        return 0.0
    step = float(np.diff(values).min())
    multiples = (values - values[0]) / step
    return step if np.abs(multiples - np.round(multiples)).max() < 0.02 else 0.0


def white_level(frame: Frame) -> float:
    """The value that the brightest pixels pile up at, when they do; never above ``frame.saturation``."""
    seen = frame.image[frame.valid]
    top = float(seen.max(initial=-np.inf))
    piled = np.count_nonzero(seen == top)
    just_below = np.count_nonzero((seen < top) & (seen > top - 0.02 * (top - float(np.median(seen))))) if piled else 0
    return min(top, frame.saturation) if piled >= 20 and piled > 2 * just_below else frame.saturation


def noise_curve(frame: Frame, white: float, floor: float) -> tuple[Floats, Floats]:
    """1-sigma noise against brightness, from the second differences of neighbours in small blocks.

    Brightnesses are taken in steps that grow towards white. Texture swells the noise of some blocks, so the quietest
    fifth speaks for all; above the sky no brightness is noisier than a greater one, nor than the camera is known to be.

    Args:
        frame: the picture.
        white: pixels at and above it have no noise and are left out.
        floor: smallest sigma there can be.

    Returns:
        levels (n,) rising and sigmas (n,) >= ``floor``; n >= 2.

    """
    level, variance = _blocks(frame, white)
    if level.size == 0:
        return np.array([0.0, 1.0]), np.array([floor, floor])
    low, high = np.percentile(level, [0, 99.9])
    edges = low + max(high - low, floor) * np.linspace(0, 1, LEVEL_BINS + 1) ** 2
    place = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, LEVEL_BINS - 1)
    full = [k for k in range(LEVEL_BINS) if np.count_nonzero(place == k) >= FEWEST_BLOCKS] or [place[0]]
    levels = np.array([np.median(level[place == k]) for k in full])
    quiet = np.array([np.quantile(variance[place == k], QUIET_SHARE) for k in full]) / QUIET_BIAS
    if math.isfinite(frame.noise.read) and math.isfinite(frame.noise.gain):
        known = frame.noise.sigma((levels - levels[0]).astype(np.float32)).astype(float) ** 2
        quiet[1:] = np.minimum(quiet, known)[1:]
    quiet[1:] = np.minimum.accumulate(quiet[:0:-1])[::-1]
    if quiet[0] == 0:  # the sky is cut off at black: it was as noisy as the darkest ground that is not
        quiet[0] = quiet[min(1, len(quiet) - 1)]
    return _carried_on(levels, np.maximum(quiet, floor**2))


def _carried_on(levels: Floats, variances: Floats) -> tuple[Floats, Floats]:
    """The curve and one more point, far up: shot noise goes on growing as it did."""
    reach = max(float(np.ptp(levels)), 1e-6)
    slope = max(float(variances[-1] - variances[0]) / reach, 0.0)
    further = variances[-1] + 10 * reach * slope
    return np.append(levels, levels[-1] + 10 * reach), np.sqrt(np.append(variances, further))


def _blocks(frame: Frame, white: float) -> tuple[Floats, Floats]:
    """Median level, and mean of the smallest three quarters of the squared second differences, of every good block.

    The quarter left out holds hot pixels and radiation hits, which are no noise of their brightness.
    """
    image, good = frame.image, frame.valid & (frame.image < white)
    square = np.full(image.shape, np.inf, np.float32)
    across = image[1:-1, :-2] - 2 * image[1:-1, 1:-1] + image[1:-1, 2:]
    along = image[:-2, 1:-1] - 2 * image[1:-1, 1:-1] + image[2:, 1:-1]
    whole = cv2.erode(good.astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    square[1:-1, 1:-1] = np.where(whole, (across**2 + along**2) / 12, np.inf)
    rows, columns = (side // BLOCK for side in image.shape)

    def blocks(values: Image) -> Image:
        cut = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
        return cut.transpose(0, 2, 1, 3).reshape(rows * columns, BLOCK**2)

    kept = 3 * BLOCK**2 // 4
    smallest = np.partition(blocks(square), kept - 1, axis=1)[:, :kept]
    full = np.isfinite(smallest[:, -1])
    level = np.median(blocks(image)[full], axis=1)
    return level.astype(float), smallest[full].mean(axis=1, dtype=np.float64)


# -- optics: the spread of the limb's edge --------------------------------------------------------------------------

EDGE_PX = 6.0
STRETCH_PX = 14.0
SHARPEST = 16
SHARPEST_OPTICS_PX = 0.35
PSF_GRID = np.arange(0.2, 2.65, 0.1)
SHIFTS = np.arange(-2.5, 2.51, 0.25)
PIXEL_VARIANCE = 1 / 24
"""A pixel gathers light over its own width, so an edge is wider than the optics make it: by less than the 1/12 of a
box, for such an edge is no Gaussian (half of it measures balls behind 0.5 .. 1.5 px within 0.1 px)."""


def edge_psf_px(frame: Frame, limb: Limb) -> float:
    """1-sigma of the optics' Gaussian core from the best lit stretches of limb, 0.35 .. 2.6 px.

    Each stretch is fitted with a sky, and a disk that begins at an edge and brightens inwards as its root and in
    proportion (limb darkening does both), behind a Gaussian; the median of the sharper half is the optics': mountains
    and plumes only widen an edge. 0.7 px where fewer than three stretches can be fitted, and where the edge is sharper
    than any optics make it: published pictures are cut out, or sharpened.
    """
    if not limb.trusted:
        return USUAL_PSF_PX
    widths = sorted(w for w in map(_edge_width, _stretches(frame, limb)) if math.isfinite(w))
    if len(widths) < 3:
        return USUAL_PSF_PX
    width = float(np.median(widths[: (len(widths) + 1) // 2 + 1]))
    return width if width > SHARPEST_OPTICS_PX else USUAL_PSF_PX


def _stretches(frame: Frame, limb: Limb) -> Iterator[tuple[Floats, Floats]]:
    """Heights above the limb in pixels and values of the best lit stretches of limb."""
    rows, columns = _ring(frame, limb)
    x, y = columns - limb.x_px, rows - limb.y_px
    height, values = np.hypot(x, y) - limb.radius_px, frame.image[rows, columns].astype(float)
    count = int(np.clip(2 * np.pi * limb.radius_px / STRETCH_PX, 6, 180))
    place = ((np.arctan2(y, x) / (2 * np.pi)) % 1 * count).astype(int) % count
    order = np.argsort(place, kind="stable")
    cuts = np.searchsorted(place[order], np.arange(count + 1))
    pieces = [order[a:b] for a, b in itertools.pairwise(cuts)]
    enough = [p for p in pieces if p.size >= 40 and np.ptp(height[p]) > 1.6 * EDGE_PX]
    contrast = [_contrast(height[p], values[p]) for p in enough]
    for k in np.argsort(contrast)[::-1][:SHARPEST]:
        if contrast[k] > 0.25 * max(contrast):
            yield height[enough[k]], values[enough[k]]


def _ring(frame: Frame, limb: Limb) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the good pixels within EDGE_PX of the limb."""
    near = np.abs(_radius(frame, limb) - 1) * limb.radius_px < EDGE_PX
    rows, columns = np.nonzero(near & frame.valid & (frame.image < frame.saturation))
    return rows, columns


def _contrast(height: Floats, values: Floats) -> float:
    """By how many times its own scatter a stretch falls from the disk to the sky."""
    inside, outside = values[(height < -2) & (height > -4)], values[height > 2.5]
    if min(inside.size, outside.size) < 5:
        return 0.0
    return float((np.median(inside) - np.median(outside)) / (np.std(outside) + 0.1 * np.std(inside) + 1e-9))


@functools.cache
def _edges() -> tuple[Floats, Floats]:
    """Heights (n,), and disks that begin at height 0 (sigmas, 3, n): even, growing as the root, growing evenly."""
    fine = np.arange(-14, 14.01, 0.1)
    depth = np.maximum(-fine, 0)
    shapes = np.stack([(depth > 0).astype(float), np.sqrt(depth), depth])
    soft = []
    for psf in PSF_GRID:
        kernel = np.exp(-0.5 * (np.arange(-100, 101) * 0.1) ** 2 / (psf**2 + PIXEL_VARIANCE))
        soft.append([np.convolve(np.pad(s, 100, mode="edge"), kernel / kernel.sum(), mode="valid") for s in shapes])
    return fine, np.array(soft)


def _edge_width(stretch: tuple[Floats, Floats]) -> float:
    """The optics' sigma that fits a stretch best; NaN where the best is not inside the range looked at."""
    height, values = stretch
    fine, soft = _edges()
    left = np.empty((len(PSF_GRID), len(SHIFTS)))
    ridge = 1e-9 * height.size * np.eye(4)
    for j, shift in enumerate(SHIFTS):
        at = np.clip(np.rint((height - shift - fine[0]) / 0.1).astype(int), 0, fine.size - 1)
        terms = np.concatenate([np.ones((len(PSF_GRID), 1, height.size)), soft[:, :, at]], axis=1)
        weights = np.linalg.solve(terms @ terms.swapaxes(1, 2) + ridge, (terms @ values)[..., None])
        left[:, j] = np.sum((values - (weights.swapaxes(1, 2) @ terms)[:, 0]) ** 2, axis=-1)
    best = left.min(axis=1)
    k = int(best.argmin())
    if k in (0, len(PSF_GRID) - 1):
        return PSF_GRID[0] if k == 0 else math.nan
    a, b, c = best[k - 1 : k + 2]
    return float(PSF_GRID[k] + 0.05 * (a - c) / max(a - 2 * b + c, 1e-12))


# -- where the Sun stands -------------------------------------------------------------------------------------------

SUN_GRID = 41
SUN_AZIMUTHS = np.arange(0, 360, 10.0)
SUN_PHASES = np.arange(0, 176, 5.0)
MINNAERT = (0.6, 1.0)
FEWEST_GRID = 40


def find_sun(frame: Frame, limb: Limb, measured: Measured) -> tuple[float, float]:
    """The Sun's direction from how the disk is lit.

    The disk's light, as far as it lies in the picture, is compared with that of balls that scatter after Minnaert (k
    0.6 and 1), every 10 degrees of azimuth and 5 of phase; roots of the brightness, which calms bright and dark ground.
    Good to about 15 and 25 degrees; at phases below about 20 degrees the azimuth says little.

    Returns:
        azimuth on the picture (0 = up, clockwise) and phase, degrees; NaN for a disk that is dark or hardly in view.

    """
    if not (limb.trusted and measured.disk > 0):
        return math.nan, math.nan
    x, y, templates = _lit_balls()
    column = np.rint(limb.x_px + limb.radius_px * x).astype(int)
    row = np.rint(limb.y_px + limb.radius_px * y).astype(int)
    seen = (column >= 0) & (column < frame.shape[1]) & (row >= 0) & (row < frame.shape[0])
    seen[seen] &= frame.valid[row[seen], column[seen]]
    if np.count_nonzero(seen) < FEWEST_GRID:
        return math.nan, math.nan
    width = 2 * int(limb.radius_px / SUN_GRID) + 1
    smooth = cv2.blur(frame.image, (width, width))
    dark = measured.sky + 2 * float(np.interp(measured.sky, measured.levels, measured.sigmas))
    light = np.sqrt(np.maximum(smooth[row[seen], column[seen]] - dark, 0))
    alike = templates[:, seen] @ light / np.sqrt((templates[:, seen] ** 2).sum(-1) + 1e-9)
    best = int(alike.argmax()) % (len(SUN_AZIMUTHS) * len(SUN_PHASES))
    return float(SUN_AZIMUTHS[best // len(SUN_PHASES)]), float(SUN_PHASES[best % len(SUN_PHASES)])


@functools.cache
def _lit_balls() -> tuple[Floats, Floats, NDArray[np.float32]]:
    """Points of the unit disk (n,), and the root of the light of balls lit from everywhere (k, n)."""
    y, x = np.mgrid[-1 : 1 : SUN_GRID * 1j, -1 : 1 : SUN_GRID * 1j]
    inside = np.hypot(x, y) < 0.96
    x, y = x[inside], y[inside]
    mu = np.sqrt(1 - x**2 - y**2)
    azimuth, phase = (a.ravel() for a in np.radians(np.meshgrid(SUN_AZIMUTHS, SUN_PHASES, indexing="ij")))
    sun = np.stack([np.sin(phase) * np.sin(azimuth), -np.sin(phase) * np.cos(azimuth), np.cos(phase)], -1)
    mu0 = np.maximum(sun @ np.stack([x, y, mu]), 0)
    return x, y, np.concatenate([np.sqrt(mu0**k * mu ** (k - 1)) for k in MINNAERT]).astype(np.float32)
