"""The rival for plumes: a bright stretch of the ring above the limb.

In the manner of Thompson et al. 2012 (PSS, doi 10.1016/j.pss.2011.11.006: a circle through the horizon, then what is
bright beyond it) and Doran et al. 2019 (Planetary Data Workshop, 7026: profiles of an annulus above the fitted limb).
Neither published its thresholds; here everything is in units of the noise of the same altitude elsewhere on the limb,
and the settings are chosen on validation frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.limb import Limb
from detector.regions import EVERY_NEIGHBOUR, PLUME_SPAN_DEG, limb_zone_px
from training.rivals.sight import MOST_FINDS, Find, Sight, region_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HIGHEST = 0.28
"""Top of the annulus in radii: 510 km, as high as the model looks."""
ROWS, COLUMNS = (8, 96), (180, 1440)
LOOSE_SIGMAS = 3.0
LEVELS = (2.0, 3.0, 4.5, 7.0, 10.0, 15.0, 22.0, 33.0, 50.0, 100.0, 200.0)
"""Signal-to-noise at which cells are joined."""
OUTLINE = 0.2
WINDOW_STEP_DEG = 10.0
LEAST_WIDTH_PX, LEAST_WIDTH_DEG, LEAST_HEIGHT_PX = 1.5, 1.0, 1.5
LIMB_LIGHT = (-0.06, -0.01)
"""The band inside the limb (radii) whose brightness tells how much light is spread outwards."""
LEAST_SEEN = 0.15
CLIP_SIGMAS = 2.5


@dataclass(frozen=True)
class Ring:
    """The sky above the limb, unwrapped.

    Attributes:
        values: (altitudes, azimuths) in the frame's unit.
        seen: the same shape; whether it was observed.
        light: (azimuths,) brightness just inside the limb, above the sky.
        radius_px: of the limb.
        row_px: height of a row in pixels.
        first_px: altitude of the middle of row 0, clear of the limb's own error.

    """

    values: Floats
    seen: Bools
    light: Floats
    radius_px: float
    row_px: float
    first_px: float

    @property
    def degrees(self) -> float:
        """Azimuth of a column's width."""
        return 360.0 / self.values.shape[1]


@dataclass(frozen=True)
class LimbAnnulus:
    """Plumes as joined cells of the unwrapped limb that rise above the same altitude elsewhere on the limb.

    Attributes:
        despike: take a 3 x 3 median of the frame first, against radiation hits.
        glare: fit the light that the sunlit limb spreads outwards, altitude by altitude, and take it away.
        window_deg: the stretch of limb that an azimuth is compared with: 360, or less where the light differs.
        widths_deg: of the Gaussians that smooth along the limb; the best of them counts.

    """

    despike: bool = True
    glare: bool = True
    window_deg: float = 90.0
    widths_deg: tuple[float, ...] = (2.0, 6.0, 12.0)

    def __call__(self, sight: Sight) -> list[Find]:
        """Plumes; the score is the highest smoothed signal-to-noise of a region. None without a limb."""
        sight = sight if sight.limb.trusted else Sight(sight.frame, sight.limb.for_plumes)
        if not sight.limb.trusted or not sight.frame.valid.any():
            return []
        ring = unwrap(sight, self.despike)
        if ring.seen.mean() < LEAST_SEEN:
            return []
        excess = ring.values - _quiet(ring, self.glare)
        sigmas = smoothed(excess, ring, self.widths_deg, self.window_deg, sight.levels.sigma)
        found = plumes(sigmas, ring, limb_zone_px(sight.limb))
        finds = [find for cells, score in found if (find := _on_frame(sight, ring, cells, score))]
        return sorted(finds, key=lambda find: (-find.score, find.y_px, find.x_px))[:MOST_FINDS]


def unwrap(sight: Sight, despike: bool) -> Ring:
    """Sample the annulus at about one cell a pixel; a cell larger than a pixel takes the mean of what it covers."""
    limb, radius = sight.limb, sight.limb.radius_px
    first = max(1.0, min(limb.sigma_px, 3.0) if math.isfinite(limb.sigma_px) else 1.0)
    rows = int(np.clip(round(HIGHEST * radius), *ROWS))
    columns = int(np.clip(round(2 * math.pi * radius), *COLUMNS))
    row_px = max(HIGHEST * radius - first, 4.0) / rows
    image = cv2.medianBlur(sight.frame.image, 3) if despike else sight.frame.image
    cell = max(1, round(max(row_px, 2 * math.pi * radius / columns)))
    weight = sight.frame.valid.astype(np.float32)
    image, weight = (cv2.blur(plane, (cell, cell)) for plane in (image * weight, weight))
    altitudes: Floats = np.asarray(first + row_px * (np.arange(rows) + 0.5), np.float64)
    inside = radius * np.linspace(*LIMB_LIGHT, 4)
    values, seen = _sampled(image, weight, limb, altitudes, columns)
    lit, lit_seen = _sampled(image, weight, limb, np.asarray(inside, np.float64), columns)
    light = np.where(lit_seen, lit - sight.levels.sky, 0).sum(axis=0) / np.maximum(lit_seen.sum(axis=0), 1)
    light = ndimage.gaussian_filter1d(np.maximum(light, 0), 2.0 * columns / 360, mode="wrap")
    return Ring(values, seen, light, radius, row_px, float(altitudes[0]))


def _sampled(
    image: NDArray[np.float32], weight: NDArray[np.float32], limb: Limb, altitudes: Floats, columns: int
) -> tuple[Floats, Bools]:
    """Values and whether they were seen, (altitudes, columns), at the middles of cells; azimuth 0 is up, clockwise."""
    azimuth = (np.arange(columns) + 0.5) / columns * 2 * np.pi
    out = (limb.radius_px + altitudes)[:, None]
    x = (limb.x_px + out * np.sin(azimuth)).astype(np.float32)
    y = (limb.y_px - out * np.cos(azimuth)).astype(np.float32)
    total, share = (
        cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        for plane in (image, weight)
    )
    seen = share > 0.5
    return np.where(seen, total / np.maximum(share, 1e-3), 0).astype(float), seen


def _quiet(ring: Ring, glare: bool) -> Floats:
    """What the ring would show without plumes: of each altitude its median, or a line in the limb's own light.

    The line is fitted three times, leaving out what lies more than 2.5 deviations above or below it; light is never
    taken as negative.
    """
    quiet = np.zeros_like(ring.values)
    for row, (values, seen) in enumerate(zip(ring.values, ring.seen, strict=True)):
        if not seen.any():
            continue
        quiet[row] = np.median(values[seen])
        if glare and ring.light[seen].std() > 0:
            quiet[row] = _line(ring.light, values, seen)
    return quiet


def _line(light: Floats, values: Floats, seen: Bools) -> Floats:
    kept = seen.copy()
    fit = np.full_like(values, np.median(values[seen]))
    for _ in range(3):
        if kept.sum() < 10 or light[kept].std() == 0:
            break
        middle = light[kept].mean()
        slope = ((light[kept] - middle) * (values[kept] - values[kept].mean())).mean() / light[kept].var()
        fit = values[kept].mean() + max(slope, 0.0) * (light - middle)
        rest = values - fit
        spread = _deviation(rest[seen])
        kept = seen & (np.abs(rest - np.median(rest[seen])) <= CLIP_SIGMAS * spread)
    return fit + np.median((values - fit)[seen])


def _deviation(values: Floats) -> float:
    """1.4826 x the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def smoothed(excess: Floats, ring: Ring, widths_deg: tuple[float, ...], window_deg: float, sigma: float) -> Floats:
    """Signal-to-noise of the excess, the highest over the widths of smoothing; -inf where not seen.

    Zero is the median of the same altitude within the window; the noise is the deviation there after smoothing, at
    least that of white noise of the sky's ``sigma`` a cell.
    """
    best = np.full(excess.shape, -np.inf)
    for width in widths_deg:
        columns = max(width / ring.degrees / 2.355, 0.5)
        kernel = (min(max(0.5 * columns, 0.7), 0.08 * excess.shape[0]), columns)
        weight = ndimage.gaussian_filter(ring.seen.astype(float), kernel, mode=("nearest", "wrap"))
        mean = ndimage.gaussian_filter(np.where(ring.seen, excess, 0), kernel, mode=("nearest", "wrap"))
        mean = mean / np.maximum(weight, 1e-3)
        least = sigma / math.sqrt(max(4 * math.pi * kernel[0] * kernel[1], 1.0))
        level, deviation = _around(mean, ring.seen, window_deg)
        sigmas = (mean - level) / np.maximum(deviation, least)
        best = np.maximum(best, np.where(ring.seen, sigmas, -np.inf))
    return best


def _around(values: Floats, seen: Bools, window_deg: float) -> tuple[Floats, Floats]:
    """Median and deviation of each altitude within the window around each azimuth, both (altitudes, azimuths).

    Measured every WINDOW_STEP_DEG and interpolated.
    """
    azimuths = values.shape[1]
    held = np.where(seen, values, np.nan)
    steps = 1 if window_deg >= 360 else round(360 / WINDOW_STEP_DEG)
    half = min(round(window_deg / 720 * azimuths), azimuths // 2)
    middles = np.arange(steps) * azimuths / steps
    found = np.zeros((2, values.shape[0], steps))
    for step, middle in enumerate(middles):
        part = held[:, (round(middle) + np.arange(-half, half)) % azimuths]
        level = _median(part)
        found[:, :, step] = level, 1.4826 * _median(np.abs(part - level[:, None]))
    place = np.arange(azimuths)
    level, deviation = (np.array([np.interp(place, middles, row, period=azimuths) for row in plane]) for plane in found)
    return level, deviation


def _median(values: Floats) -> Floats:
    """Median of every row without its NaN; 0 for a row of NaN."""
    empty = np.asarray(np.isnan(values).all(axis=1), bool)
    return np.where(empty, 0.0, np.nanmedian(np.where(empty[:, None], 0.0, values), axis=1))


def plumes(sigmas: Floats, ring: Ring, zone_px: float) -> list[tuple[Bools, float]]:
    """Joined cells that begin at the limb, are no speck and span less than a plume can, with their score.

    Cells are joined at the lowest of LEVELS; what spans too much there, a plume in a sea of glare, is looked at again
    at the next.
    """
    seam = int(np.argmin((sigmas >= LEVELS[0]).sum(axis=0)))  # where the ring is cut open: through as little as can be
    turned = np.roll(sigmas, -seam, axis=1)
    found: list[tuple[Bools, float]] = []
    sea = np.ones(turned.shape, bool)
    for level in LEVELS:
        labels, _ = ndimage.label(sea & (turned >= level), structure=EVERY_NEIGHBOUR)
        sea = np.zeros_like(sea)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            cells = labels == label
            if (box[1].stop - box[1].start) * ring.degrees >= PLUME_SPAN_DEG:
                sea |= cells
            elif _stands(box, ring, zone_px) and (score := float(turned[cells].max())) >= LOOSE_SIGMAS:
                found.append((np.roll(_core(turned, cells, score), seam, axis=1), score))
    return found


def _core(sigmas: Floats, cells: Bools, score: float) -> Bools:
    """Cells of a region that are joined with its peak above OUTLINE of it: what a person would draw around."""
    labels, _ = ndimage.label(cells & (sigmas >= OUTLINE * score), structure=EVERY_NEIGHBOUR)
    peak = int(np.where(cells, sigmas, -np.inf).argmax())
    return np.asarray(labels == labels.ravel()[peak])


def _stands(box: tuple[slice, slice], ring: Ring, zone_px: float) -> bool:
    """Whether the box of a region (altitudes, azimuths) begins at the limb and is no speck."""
    rows, columns = box
    width_deg = (columns.stop - columns.start) * ring.degrees
    return (
        ring.first_px + ring.row_px * rows.start <= max(zone_px, ring.first_px)
        and (rows.stop - rows.start) * ring.row_px >= LEAST_HEIGHT_PX
        and width_deg >= LEAST_WIDTH_DEG
        and math.radians(width_deg) * ring.radius_px >= LEAST_WIDTH_PX
    )


def _on_frame(sight: Sight, ring: Ring, cells: Bools, score: float) -> Find | None:
    """Draw the pixels of the frame whose cell belongs to a plume; None where the frame shows none of them."""
    limb, (rows, columns) = sight.limb, sight.frame.shape
    reach = limb.radius_px * (1 + HIGHEST) + 2
    y0, y1 = max(0, int(limb.y_px - reach)), min(rows, int(limb.y_px + reach) + 2)
    x0, x1 = max(0, int(limb.x_px - reach)), min(columns, int(limb.x_px + reach) + 2)
    if y0 >= y1 or x0 >= x1:
        return None
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    altitude = np.hypot(x - limb.x_px, y - limb.y_px) - limb.radius_px
    row = np.floor((altitude - ring.first_px) / ring.row_px + 0.5).astype(int)
    turn = np.arctan2(x - limb.x_px, limb.y_px - y) % (2 * np.pi) / (2 * np.pi)
    column = (turn * cells.shape[1]).astype(int) % cells.shape[1]
    inside = (row >= 0) & (row < cells.shape[0])
    pixels = inside & cells[np.clip(row, 0, cells.shape[0] - 1), column] & sight.frame.valid[y0:y1, x0:x1]
    if not pixels.any():
        return None
    return Find(region_of("plume", pixels, x0, y0), float(x[pixels].mean()), float(y[pixels].mean()), score)
