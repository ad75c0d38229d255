"""Eruptions put into real pictures: the simulator's plumes, hot spots and radiation on pixels that a camera took.

The picture keeps its own sky, surface, noise, optics, white level and smallest step; only what erupts is added, as
bright against the picture's own noise as the recipe draws it. What is not known of a picture (its tone curve, its
radiometric scale) is not made up: light is added in the picture's own numbers. JPEG pictures are not compressed again:
an object has no 8 x 8 blocks of its own, which is seen only by looking at single pixels.
"""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import IO_RADIUS_KM, Frame, sha256_of
from detector.instruments import CAMERAS
from detector.levels import measure_levels
from detector.limb import Limb, find_limb
from detector.mask import Mask
from detector.products import Product, find_products
from detector.readers import read_frames
from training.labels import FAINT_SNR, DatasetWriter, LabelledFrame, Truth
from training.simulate import archive
from training.simulate.bands import bandpass, broad
from training.simulate.cameras.camera import Camera, Readout
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.disk import Surface
from training.simulate.draw import AREA_KM2
from training.simulate.geometry import Geometry, lat_lon_w
from training.simulate.hotspots import HotSpot, draw_spot, spot_stamp
from training.simulate.light import Bandpass, Image, Stamp
from training.simulate.plumes import Columns, Plume, draw_plume, plume_columns
from training.simulate.radiation import strike
from training.simulate.recipe import Recipe, read_recipe
from training.simulate.scene import TRUTH_SIGMA, Sample, Scene, TrueObject, limb_seen, plume_light, true_object, visible
from training.simulate.source import source_digests
from training.simulate.write import truth_of

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
    floor = max(SMALLEST_SIGMA_STEPS * step, SMALLEST_SIGMA_SHARE * (disk or _spread(frame)), 1e-12)
    levels, sigmas = noise_curve(frame, white, floor)
    dark = disk < LIT_SIGMAS * float(np.interp(sky, levels, sigmas))
    psf = USUAL_PSF_PX if dark else edge_psf_px(frame, limb)
    return Measured(levels, sigmas, step, white, psf, sky, 0.0 if dark else disk)


def _thinned(values: NDArray[np.float32], most: int = 1_000_000) -> NDArray[np.float32]:
    return values[:: max(1, values.size // most)]


def _spread(frame: Frame) -> float:
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
    return measure_levels(frame.image, frame.valid).sky


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


# -- the picture as a place to put things ---------------------------------------------------------------------------

FAR_IFOV_RAD = 10e-6
USUAL_SUNLIT = 0.6
"""I/F of the bright part of Io's disk, where a picture's numbers are not I/F (geometric albedo 0.63)."""
CLOSE_UP_DIAGONALS = 3.0
USUAL_UM = 0.6
PHYSICAL = ("I/F", "W m-2 sr-1", "W m-2 sr-1 um-1")
"""Units in which a picture says how much light there is."""


@dataclass(frozen=True)
class Host:
    """A real picture with what is known, measured and, where neither, invented of it.

    Attributes:
        frame, limb, measured: of the picture.
        geometry: that agrees with the limb; of a close-up without one.
        camera: its noise, optics and white level; ``bright`` is the numbers that a surface of I/F = 1 would have.
        quiet: (H, W) float32: the picture with its noise calmed: what light is added to.
        taken: (H, W) bool: known eruptions, to be kept free.

    """

    frame: Frame
    limb: Limb
    measured: Measured
    geometry: Geometry
    camera: Camera
    quiet: Image
    taken: NDArray[np.bool_]

    @property
    def dark(self) -> bool:
        """No sunlit ground in the picture."""
        return self.limb.trusted and self.measured.disk <= 0

    @functools.cached_property
    def behind(self) -> Image:
        """(H, W) float32: the picture as I/F."""
        return np.maximum(self.quiet - np.float32(self.camera.pedestal), 0) / np.float32(self.camera.bright)

    @functools.cached_property
    def scene(self) -> Scene:
        """The picture as a scene without eruptions."""
        surface = replace(Surface(), sunlight=0.0 if self.dark else 1.0)
        return Scene(self.frame.shape, self.geometry, surface, (), (), self.behind)


def host_of(frame: Frame, limb: Limb, measured: Measured, known: Mask | None, rng: Rng) -> Host:
    """The picture with a geometry and a camera; ``rng`` draws what cannot be known."""
    quiet = np.where(frame.valid, cv2.medianBlur(frame.image, 3), np.float32(measured.sky))
    taken = np.zeros(frame.shape, bool) if known is None else np.asarray(known.planes.any(axis=0))
    geometry = geometry_of(frame, limb, find_sun(frame, limb, measured), rng)
    return Host(frame, limb, measured, geometry, camera_of(frame, measured, geometry), quiet, taken)


def camera_of(frame: Frame, measured: Measured, geometry: Geometry) -> Camera:
    """The picture's camera as the simulator knows cameras."""
    band = band_of(frame)
    read = float(np.interp(measured.sky, measured.levels, measured.sigmas))
    return Camera(
        instrument=frame.instrument,
        band=band,
        unit=frame.unit,
        ifov_rad=geometry.ifov_rad,
        psf_px=measured.psf_px,
        bright=counts_per_i_over_f(frame, measured, band),
        pedestal=measured.sky,
        read=read,
        gain=frame.noise.gain,
        saturation=measured.white,
        step=measured.step,
        exposure_s=frame.exposure_s,
    )


def band_of(frame: Frame) -> Bandpass:
    """The frame's filter; where that is not known, a band of 10 % at its wavelength, or at 0.6 um."""
    try:
        return bandpass(frame.instrument, frame.filter)
    except ValueError:
        middle = frame.wavelength_um if frame.wavelength_um > 0 else USUAL_UM
        return broad(middle, 0.1 * middle)


def counts_per_i_over_f(frame: Frame, measured: Measured, band: Bandpass) -> float:
    """Known for frames in I/F and radiance; else such that the bright part of the disk has an I/F of 0.6."""
    exact = {"I/F": 1.0, "W m-2 sr-1 um-1": band.solar_radiance, "W m-2 sr-1": band.solar_radiance * band.width_um}
    if frame.unit in exact:
        return exact[frame.unit]
    return (measured.disk or _spread(frame) or 1.0) / USUAL_SUNLIT


def geometry_of(frame: Frame, limb: Limb, sun: tuple[float, float], rng: Rng) -> Geometry:
    """Where Io is and how it is turned: the limb and the label where they say it, the rest invented to agree.

    Args:
        frame: its view counts only when its target is Io.
        limb: the circle rules the scale and the place. Without one the picture is a close-up of a disk three times as
            large as itself.
        sun: azimuth (0 = up, clockwise) and phase as ``find_sun`` gives them; NaN where not known.
        rng: draws the rest: Io's equator lies towards the Sun, give or take some degrees.

    """
    view = frame.view if frame.view.target == "IO" else replace(frame.view, target="")
    x, y, radius = (limb.x_px, limb.y_px, limb.radius_px) if limb.trusted else _close_up(frame)
    ifov = _ifov(frame, radius)
    azimuth = sun[0] if math.isfinite(sun[0]) else rng.uniform(0, 360)
    phase = next((p for p in (view.phase_deg if view.target else math.nan, sun[1]) if math.isfinite(p)), math.nan)
    phase = phase if math.isfinite(phase) else rng.uniform(0, 175)
    # On the picture north is clockwise from +x, the Sun's azimuth clockwise from up.
    north = azimuth - 90 + rng.choice([-90, 90]) + rng.normal(0, 4)
    place = rng.normal(0, 3), rng.uniform(0, 360)
    if view.target:
        north = view.north_azimuth_deg if math.isfinite(view.north_azimuth_deg) else north
        said = (view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg)
        place = said if math.isfinite(sum(said)) else place
    a, p = math.radians(azimuth), math.radians(phase)
    towards = np.array([math.sin(p) * math.sin(a), -math.sin(p) * math.cos(a), math.cos(p)])
    geometry = Geometry(x, y, _range_km(radius, ifov), ifov, place, (0.0, 0.0), north % 360)
    lat, lon_w = lat_lon_w(geometry.rotation.T @ towards)
    solar = float(lat), float(lon_w)
    if view.target and math.isfinite(view.sub_solar_lat_deg + view.sub_solar_lon_w_deg + view.north_azimuth_deg):
        solar = view.sub_solar_lat_deg, view.sub_solar_lon_w_deg
    return _on_circle(replace(geometry, sub_solar=solar), (x, y, radius))


def _close_up(frame: Frame) -> tuple[float, float, float]:
    rows, columns = frame.shape
    return columns / 2, rows / 2, CLOSE_UP_DIAGONALS * math.hypot(rows, columns)


def _ifov(frame: Frame, radius_px: float) -> float:
    """Of the label, the range, the camera, or a far one's; not so wide that the camera would stand on the ground."""
    view = frame.view
    camera = CAMERAS.get(frame.instrument)
    said = [view.ifov_rad, camera.ifov_rad if camera else math.nan, FAR_IFOV_RAD]
    if view.target == "IO" and view.range_km > IO_RADIUS_KM:
        said.insert(1, math.tan(math.asin(IO_RADIUS_KM / view.range_km)) / radius_px)
    ifov = next(value for value in said if value > 0)
    return min(ifov, math.tan(math.asin(0.8)) / radius_px)


def _range_km(radius_px: float, ifov_rad: float) -> float:
    return IO_RADIUS_KM / math.sin(math.atan(radius_px * ifov_rad))


def _on_circle(geometry: Geometry, circle: tuple[float, float, float]) -> Geometry:
    """Moved and scaled so that Io's own figure, which is no sphere, has its limb on the circle."""
    x, y, radius = geometry.limb_circle()
    scaled = _range_km(geometry.radius_px * circle[2] / radius, geometry.ifov_rad)
    centre = geometry.centre_x_px + circle[0] - x, geometry.centre_y_px + circle[1] - y
    return replace(geometry, range_km=scaled, centre_x_px=centre[0], centre_y_px=centre[1])


# -- what erupts ----------------------------------------------------------------------------------------------------

TRIES = 40
BRIGHTEST_PLUME = 0.8
"""Plumes at the limb are fainter than the ground: at most so much of the disk's brightness."""
THICKEST = 0.6
"""Largest optical depth of a plume's densest line of sight: single scattering makes thicker dust too dark."""
TONE = 10.0
"""Published pictures lift faint light: so many times brighter against the ground may a plume be than dust makes it."""
SUNLIT_SHARE = 0.1
"""Ground brighter than this share of the disk outshines hot spots in reflected light."""
THERMAL_UM = 2.5
NEARLY_WHITE = 0.95
NO_LIGHT_SNR = 1e-5
"""A spot whose natural signal-to-noise is below this is too cool to shine in the picture's band, whatever its area."""
GLOW = 1e-5
SMALLEST_CHANGE_SIGMAS = 0.02
HITS_PER_1E5, HIT_SIGMAS = (0.1, 30.0), 5.0
"""Radiation hits in 100,000 pixels; and how far the faintest usual hit stands out of the sky's noise."""


@dataclass(frozen=True)
class Eruption:
    """An object and what it adds to the picture, in the frame's unit, behind the picture's optics."""

    kind: str
    cause: Plume | HotSpot
    stamp: Stamp


def eruptions(host: Host, recipe: Recipe, dice: Dice) -> tuple[Eruption, ...]:
    """Plumes and hot spots for a picture; none in the recipe's share of empty ones.

    Frames without a limb get no plumes. Objects that would touch known eruptions are drawn again.
    """
    rng = dice.rng("eruptions")
    if rng.random() < recipe.empty:
        return ()
    plumes = int(rng.integers(0, recipe.plumes + 1)) if host.limb.trusted else 0
    spots = int(rng.integers(0 if plumes else 1, max(recipe.hotspots, 1) + 1)) if recipe.hotspots else 0
    wanted = [lambda: _plume(host, recipe, rng)] * plumes + [lambda: _spot(host, recipe, rng)] * spots
    found = (_first(make, host) for make in wanted)
    return tuple(eruption for eruption in found if eruption is not None)


def _first(make: Callable[[], Eruption | None], host: Host) -> Eruption | None:
    """The first eruption of a few tries that shows, and is clear of known ones.

    One that nowhere brightens a pixel by half a sigma has no pixel in the truth: it may not change the picture either.
    """
    for _ in range(TRIES):
        made = make()
        if made is None or _touches(made.stamp, host.taken):
            continue
        if (_signal(host, made.stamp) >= TRUTH_SIGMA).any():
            return made
    return None


def _touches(stamp: Stamp, taken: NDArray[np.bool_]) -> bool:
    near = np.abs(stamp.patch) > 0.02 * np.abs(stamp.patch).max(initial=0)
    return bool((near & taken[stamp.where]).any())


def _signal(host: Host, stamp: Stamp) -> Image:
    """(h, w) light added at its place over the noise of the lit picture, up to its white level; 0 where it darkens."""
    before = host.quiet[stamp.where]
    after = before + stamp.patch
    own = np.minimum(after, host.measured.white) - np.minimum(before, host.measured.white)
    own = np.where(host.frame.valid[stamp.where], np.maximum(own, 0), np.float32(0))
    return np.asarray(own / host.measured.sigma(after), np.float32)


def _snr(host: Host, stamp: Stamp) -> float:
    return float(np.sqrt(np.sum(_signal(host, stamp) ** 2, dtype=np.float64)))


def _plume(host: Host, recipe: Recipe, rng: Rng) -> Eruption | None:
    """A plume as bright as the recipe wants, as far as dust can make it and the disk outshines it."""
    drawn = draw_plume(rng, host.geometry, recipe.families, recipe.place)
    wanted = log_uniform(rng, *recipe.plume_snr)
    columns = plume_columns(drawn, host.geometry, host.frame.shape)
    if columns is None:
        return None
    drawn = plume = replace(drawn, glow=GLOW if host.dark else 0.0)
    stamp = _plume_stamp(host, plume, columns)
    for _ in range(4):  # light is not quite in proportion to dust
        factor = wanted / max(_snr(host, stamp), 1e-9)
        peak = float(stamp.patch.max(initial=0))
        if host.measured.disk > 0 and peak > 0:
            factor = min(factor, BRIGHTEST_PLUME * host.measured.disk / peak)
        plume = _brighter(plume, factor, drawn.albedo, 1.0 if host.frame.instrument in CAMERAS else TONE)
        stamp = _plume_stamp(host, plume, columns)
    cause = replace(plume, albedo=drawn.albedo)
    return Eruption("plume", cause, stamp) if _snr(host, stamp) > min(0.5 * recipe.plume_snr[0], FAINT_SNR) else None


def _brighter(plume: Plume, factor: float, albedo: float, tone: float) -> Plume:
    """More glow, or more dust; what dust cannot do, the tone of a published picture may."""
    if plume.glow > 0:
        return replace(plume, glow=plume.glow * factor)
    light = plume.optical_depth * plume.albedo * factor
    depth = float(np.clip(light / albedo, 1e-6, THICKEST))
    return replace(plume, optical_depth=depth, albedo=float(np.clip(light / depth, albedo, tone * albedo)))


def _plume_stamp(host: Host, plume: Plume, columns: Columns) -> Stamp:
    light = plume_light(plume, columns, host.scene, host.behind, host.camera.band)
    return light.blurred(host.camera.psf_px, host.frame.shape).times(host.camera.bright)


def _spot(host: Host, recipe: Recipe, rng: Rng) -> Eruption | None:
    """A hot spot as bright as the recipe wants, where the ground does not outshine it."""
    spot = draw_spot(rng, host.geometry)
    if not host.limb.trusted:
        spot = _anywhere(spot, host, rng)
    wanted = log_uniform(rng, *recipe.hotspot_snr)
    stamp = spot_stamp(spot, host.geometry, host.camera.band, host.frame.shape)
    if stamp is None:
        return None
    stamp = stamp.blurred(host.camera.psf_px, host.frame.shape)
    stamp = stamp.times(host.camera.bright / host.camera.band.solar_radiance)
    if _outshone(host, stamp) or _snr(host, stamp) < NO_LIGHT_SNR:
        return None
    for _ in range(4):  # its own shot noise, and white, hold it back
        factor = wanted / _snr(host, stamp)
        if host.frame.unit in PHYSICAL:
            factor = min(factor, AREA_KM2[1] / spot.area_km2)
        spot, stamp = replace(spot.times(factor), size_km=spot.size_km), stamp.times(factor)
    return Eruption("hotspot", spot, stamp) if _snr(host, stamp) > min(0.5 * recipe.hotspot_snr[0], FAINT_SNR) else None


def _anywhere(spot: HotSpot, host: Host, rng: Rng) -> HotSpot:
    """The spot moved to where some pixel looks."""
    x, y = rng.uniform(0, host.frame.shape[1] - 1), rng.uniform(0, host.frame.shape[0] - 1)
    points, _ = host.geometry.surface(np.array([[x]]), np.array([[y]]))
    lat, lon_w = lat_lon_w(points @ host.geometry.rotation)
    return replace(spot, lat_deg=lat.item(), lon_w_deg=lon_w.item())


def _outshone(host: Host, stamp: Stamp) -> bool:
    """Whether its place is white, or (in reflected light) sunlit, or was not observed."""
    peak = np.unravel_index(int(stamp.patch.argmax()), stamp.patch.shape)
    row, column = stamp.row + int(peak[0]), stamp.column + int(peak[1])
    around = slice(max(row - 2, 0), row + 3), slice(max(column - 2, 0), column + 3)
    level, measured = float(host.quiet[around].max()), host.measured
    white = level > measured.sky + NEARLY_WHITE * (measured.white - measured.sky)
    reflected = host.camera.band.effective_um < THERMAL_UM and measured.disk > 0
    sunlit = reflected and level > measured.sky + SUNLIT_SHARE * measured.disk
    return bool(white or sunlit or not host.frame.valid[row, column])


# -- the picture with eruptions -------------------------------------------------------------------------------------


def inject(
    frame: Frame,
    limb: Limb,
    recipe: Recipe,
    seed: int,
    index: int,
    known: Mask | None = None,
    measured: Measured | None = None,
) -> Sample:
    """Put eruptions and radiation into a real frame.

    Every object has, against the frame's own noise, the ``snr_mf`` that the recipe draws, unless a plume would then
    outshine the ground (0.8 of the disk's brightness), be thicker than dust can be, or anything reach the white level;
    it is that of the light added: a plume's shadow does not count. The recipe's ``natural`` share plays no part.
    Hot spots lie on dark ground (in thermal bands and close-ups on any that is not white); plumes need a limb. A frame
    of another body is taken as Io: whether it may host anything is the caller's choice (``empty=1`` in the recipe
    makes a negative of it).

    Args:
        frame: at least 8 x 8 pixels; not valid pixels stay so.
        limb: of Io in it, or none.
        recipe: what to draw: numbers and S/N of objects, ``empty``, ``families``, ``place``, effects.
        seed, index: same frame, same numbers: same bytes.
        known: eruptions that the frame already shows. Nothing is put on them. They are not among the sample's objects:
            whoever trains on the sample leaves these pixels out of account.
        measured: as ``measure`` gives it; to measure a host once for many samples.

    Returns:
        the frame with its id lengthened by seed and index, the limb as given, and the truth about what was added.
        Areas, powers and optical depths are true only as far as the frame's unit is a physical one.

    """
    dice = Dice(seed, index, "inject", recipe.only, recipe.without)
    host = host_of(frame, limb, measured or measure(frame, limb), known, dice.rng("geometry"))
    added = eruptions(host, recipe, dice)
    extra = _sum(host, added)
    counts = _exposed(host, extra, dice.rng("noise"))
    counts = np.where(frame.valid, _struck(host, counts, dice), frame.image)
    signal = host.quiet + extra
    ones = np.ones_like(signal)
    seen = Readout(counts, frame.valid, host.measured.sigma(signal), ones, frame.unit, host.measured.white)
    objects = visible(_true_object(e, signal, seen, host.camera) for e in added)
    scene = _scene(host, objects)
    arc = limb_seen(scene, signal, seen) if limb.trusted else np.zeros(360, bool)
    name = f"{frame.id}-{seed}-{index:06d}"
    return Sample(replace(frame, image=counts, id=name), limb, objects, scene, arc)


def _true_object(eruption: Eruption, signal: Image, seen: Readout, camera: Camera) -> TrueObject:
    """Truth of an object by what it brightens: a plume's shadow, and ground seen dimmer through dust, are not asked."""
    thing = true_object(eruption.kind, eruption.cause, eruption.stamp, signal, seen, camera)
    return replace(thing, signal=np.maximum(thing.signal, 0))


def _sum(host: Host, added: Sequence[Eruption]) -> Image:
    """(H, W) light of all objects; 0 where it is lost in the noise by far, so that the rest of the picture stays."""
    extra = np.zeros(host.frame.shape, np.float32)
    for eruption in added:
        extra[eruption.stamp.where] += eruption.stamp.patch
    extra[np.abs(extra) < SMALLEST_CHANGE_SIGMAS * float(host.measured.sigmas[0])] = 0
    return extra


def _exposed(host: Host, extra: Image, rng: Rng) -> Image:
    """The frame with light added, its own shot noise, and rounding to the frame's own values.

    The frame's values are rounded already: before light fainter than a step is added they are spread over the step
    that they stand for, as they were before rounding.
    """
    place = extra != 0
    here, more, step = host.frame.image[place], extra[place], host.measured.step
    before = host.quiet[place]
    noise = rng.standard_normal(more.shape, np.float32) * host.measured.added_sigma(before, before + more)
    change = more + noise
    if step > 0:
        change = np.round((change + rng.uniform(-0.5, 0.5, more.shape) * step) / step) * step
    counts = host.frame.image.copy()
    lowest = float(host.frame.image[host.frame.valid].min(initial=np.inf))
    counts[place] = np.clip(here + change, np.minimum(here, lowest), np.maximum(here, host.measured.white))
    return counts


def _struck(host: Host, counts: Image, dice: Dice) -> Image:
    """Radiation hits besides those that the frame has, as strong as its numbers allow."""
    rng, measured = dice.rng("radiation"), host.measured
    high = measured.white if math.isfinite(measured.white) else float(counts.max())
    rate = log_uniform(rng, *HITS_PER_1E5)
    faint = HIT_SIGMAS * float(measured.sigmas[0])
    level = log_uniform(rng, faint, max(0.5 * (high - measured.sky), 2 * faint))
    change = np.maximum(strike(counts, dice, rate, level, high) - counts, 0)
    if measured.step > 0:
        change = np.round(change / measured.step) * measured.step
    return np.asarray(np.minimum(counts + change, np.maximum(counts, measured.white)), np.float32)


def _scene(host: Host, objects: Sequence[TrueObject]) -> Scene:
    plumes = tuple(thing.cause for thing in objects if isinstance(thing.cause, Plume))
    spots = tuple(thing.cause for thing in objects if isinstance(thing.cause, HotSpot))
    return replace(host.scene, plumes=plumes, hotspots=spots)


# -- datasets -------------------------------------------------------------------------------------------------------

SPLITS = ("test", "val", *("train",) * 8)
"""An observation goes to one of ten places by its name's CRC-32."""


@dataclass(frozen=True)
class Source:
    """A frame to inject into, not read yet: the product that holds it, and which of its frames it is."""

    product: Product
    number: int


def inject_dataset(
    paths: Sequence[Path],
    out: Path,
    count: int,
    seed: int,
    config: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write a dataset of real frames with eruptions put into them.

    The frames are taken in turn until ``count`` are made, each as FITS under its own id, seed and number. Frames whose
    label names another body than Io get radiation and no eruptions: they are negatives. ``dataset.lock`` names the
    sha256 of every file injected into. All copies of one observation lie in one split. What erupts in the frames
    already is not known here: give frames without eruptions, or they count as ground without any.

    Args:
        paths: files, folders and glob patterns of readable products.
        out: folder of the dataset; must be new or empty.
        count: number of frames to make.
        seed: same seed, same bytes; 0 or more.
        config: YAML of ``Recipe`` fields to change; instrument, shape and radii play no part.
        progress: is told frames done and all.

    Returns:
        number of frames written.

    Raises:
        InputError: nothing to inject into, a file that cannot be read, a folder in use, a negative seed, a
            configuration that is not one.

    """
    if out.is_dir() and any(out.iterdir()):
        raise InputError(out, "is not empty", "name a new folder, or empty this one")
    if seed < 0:
        raise InputError("seed", f"is {seed}, expected 0 or more")
    recipe, sources = read_recipe(config), find_sources(paths)
    used = sources[:count]
    made = {
        "generator": "io-detector simulate --into",
        "count": count,
        "seed": seed,
        "recipe": asdict(recipe),
        "hosts": {sha256_of(source.product.data): source.product.data.name for source in used},
        **source_digests(),
    }
    done = 0
    with DatasetWriter(out, made) as dataset:
        for number, source in enumerate(used):
            for labelled in _copies(dataset, source, recipe, seed, range(number, count, len(sources))):
                dataset.add(f"{labelled.frame_id}.fits", labelled)
                done += 1
                progress(done, count)
    return done


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Every frame that can be injected into, in the order of their files; nothing smaller than 32 pixels a side.

    Raises:
        InputError: there is none, or a file cannot be read.

    """
    found = []
    for product in find_products(paths):
        frames = read_frames(product)
        found += [Source(product, k) for k, f in enumerate(frames) if min(f.shape) >= 32 and f.valid.any()]
    if not found:
        raise InputError(", ".join(map(str, paths)), "no frame of at least 32 x 32 pixels found", "check the paths")
    return found


def _copies(
    dataset: DatasetWriter, source: Source, recipe: Recipe, seed: int, indices: range
) -> Iterator[LabelledFrame]:
    """Inject one frame several times, and write each."""
    frame = read_frames(source.product)[source.number]
    limb = find_limb(frame)
    measured = measure(frame, limb)
    recipe = recipe if frame.may_show_io else replace(recipe, empty=1.0)
    for index in indices:
        sample = inject(frame, limb, recipe, seed, index, measured=measured)
        _write(dataset.frames, sample.frame)
        yield _label(sample)


def _write(folder: Path, frame: Frame) -> Path:
    meta = archive.Meta(
        start_time=frame.start_time, filter=frame.filter, target=frame.target, exposure_s=frame.exposure_s
    )
    image = np.where(frame.valid, frame.image, np.nan)
    return archive.write_fits(folder, frame.id, image, frame.instrument, meta)


def _label(sample: Sample) -> LabelledFrame:
    frame = sample.frame
    whole = (replace(thing, row=0, column=0, mask=thing.on(frame.shape)) for thing in sample.objects)
    truths = (truth_of(str(n), thing, frame.wavelength_um) for n, thing in enumerate(whole))
    return LabelledFrame(
        frame.id,
        "",
        sample.mask(),
        sample.limb,
        tuple(truths if frame.unit in PHYSICAL else map(_unscaled, truths)),
        observation=frame.observation,
        split=SPLITS[zlib.crc32(frame.observation.encode()) % len(SPLITS)],
        instrument=frame.instrument,
        filter=frame.filter,
    )


def _unscaled(truth: Truth) -> Truth:
    """Without the numbers that only a picture with a physical unit can give."""
    nan = math.nan
    return replace(truth, optical_depth=nan, peak_i_over_f=nan, temperature_k=nan, area_km2=nan, power_gw_um=nan)
