"""Is this circle a limb? Refining a proposed circle, and the evidence for and against it, azimuth by azimuth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.circle import Circle, Fit, fit_circle
from detector.expected import sun_of_disk
from detector.limb_edges import Look, Picture, Profiles, profiles, sector_count, steepest_descents
from detector.limb_settle import LEAST_EDGES

Known = tuple[float, float]
"""A radius that is known from elsewhere and its 1-sigma, px."""
UNKNOWN: Known = (math.nan, math.inf)
LEAST_ARC_DEG = 40.0
LEAST_ARC_KNOWN_DEG, LEAST_ARC_KNOWN_PX = 25.0, 15.0
LEAST_ARC_PX = 2400.0
MOST_DOUBT = 2.0
NOISY_FALL = 12.0
EASE_KNOWN = 1.6
EASE_SPHERE = 1.5
LIKE_A_SPHERE = 0.8


@dataclass(frozen=True)
class Evidence:
    """What speaks for a circle.

    Attributes:
        circle: in pixels of the working picture.
        sigma_px: 1-sigma of the centre.
        radius_sigma_px: 1-sigma of the radius.
        arc_deg: azimuths with a step from bright inside to dark outside at the circle.
        against_deg: azimuths where the outside is bright, or the step lies elsewhere.
        scatter_px: robust 1-sigma of the edge points about the circle.
        width_px: length over which the mean profile falls from 80 % to 20 %.
        darkness: level just outside, 0 at the frame's darkest, 1 at the level just inside.
        texture: relief of the sky outside (noise taken off), in units of the step.
        crowding: share of the neighbourhood outside that is brighter than the sky.
        grain: pixel-to-pixel roughness of the disk beyond that of the sky, in units of the step.
        contrast: the step, sigmas of one pixel's noise.
        likeness: correlation of what is inside with a lit sphere, -1..1.
        from_prior: whether the known radius was used.
        reason: why it is not a limb; empty when it is.

    """

    circle: Circle
    sigma_px: float = math.nan
    radius_sigma_px: float = math.nan
    arc_deg: float = 0.0
    against_deg: float = 0.0
    scatter_px: float = math.nan
    width_px: float = math.nan
    darkness: float = math.nan
    texture: float = math.nan
    crowding: float = math.nan
    grain: float = math.nan
    contrast: float = math.nan
    likeness: float = 0.0
    from_prior: bool = False
    reason: str = ""

    @property
    def ease(self) -> float:
        """How much more is tolerated where the radius is the predicted one, or a lit sphere is seen inside."""
        if self.from_prior:
            return EASE_KNOWN
        return EASE_SPHERE if self.likeness > LIKE_A_SPHERE and self.arc_deg > 60 else 1.0

    @property
    def doubts(self) -> dict[str, float]:
        """What speaks against the circle, each in units of what is just tolerable."""
        return {why: doubt / self.ease for why, doubt in self._doubts.items()}

    @property
    def _doubts(self) -> dict[str, float]:
        r = self.circle.r
        noise = 1.0 / self.contrast
        return {
            f"the edge strays {self.scatter_px:.1f} px from a circle": self.scatter_px
            / (min(0.25 + 0.006 * r, 0.5 + 0.002 * r) + noise),
            f"it is bright beyond the edge over {self.against_deg:.0f} degrees": self.against_deg
            / max(60.0, (1.0 if self.sharp else 0.6) * self.arc_deg),
            f"beyond the edge it is not dark ({self.darkness:.0%} of the level inside)": self.darkness / 0.45,
            f"beyond the edge it is not smooth sky (relief {self.texture:.0%} of the step)": self.texture
            / (0.12 + 0.3 * noise),
            f"{self.crowding:.0%} of the neighbourhood is brighter than sky": self.crowding / 0.6,
            f"the disk is as rough as a cluster of hits ({self.grain:.0%} of the step)": self.grain / 0.12,
            f"the edge is {self.width_px:.0f} px wide: a terminator or a cloud": self.width_px / max(5.5, 0.03 * r),
        }

    @property
    def doubt(self) -> float:
        """Sum of the doubts, the width's left out (every real edge has some)."""
        return sum(max(value, 0.0) for value in list(self.doubts.values())[:-1])

    @property
    def sharp(self) -> bool:
        """Whether the edge follows the circle as closely as only a disk's does."""
        return self.scatter_px < 0.3 + 0.001 * self.circle.r

    @property
    def score(self) -> float:
        """Arc of evidence less what speaks against it, with some weight for size: Io is seldom the smaller disk.

        The least there is where nothing of an edge was seen.
        """
        if not math.isfinite(self.scatter_px + self.contrast):
            return -math.inf
        evidence = (
            (self.arc_deg - 0.5 * self.against_deg) * math.sqrt(self.circle.r) * (1.0 - 0.3 * min(self.doubt, 3.0))
        )
        return evidence / (1.0 + (self.scatter_px / (0.15 + 0.001 * self.circle.r)) ** 2)


def refine(picture: Picture, start: Circle, known_radius: Known = UNKNOWN) -> Fit | None:
    """Fit a settled circle to sub-pixel edge points, smoothed more where it is noisy; None where it runs away."""
    if typical_fall(picture, start) < NOISY_FALL:
        look = Look(1.6 * max(2.5, 0.012 * start.r), 2.0, sectors=180, across=5)
    else:
        look = Look(max(1.5, 0.008 * start.r), 0.6, sectors=360, across=3)
    prior = known_radius if known_radius[0] > 0 else (0.0, math.inf)
    found = steepest_descents(picture, start, look)
    if len(found.fall) < LEAST_EDGES:
        return None
    weights = np.clip(found.fall / np.percentile(found.fall, 80), 0, 1) ** 2
    fit = fit_circle(found.points, weights, start, floor_px=0.05, radius_prior=prior)
    moved = math.hypot(fit.circle.x - start.x, fit.circle.y - start.y) + abs(fit.circle.r - start.r)
    return fit if fit.circle.r > 3 and moved < 2.5 * look.window + 2 + 0.1 * start.r else None


def typical_fall(picture: Picture, circle: Circle) -> float:
    """Fall across the edge where it is well seen, sigmas of one pixel's noise; good for crescents two pixels thin."""
    seen = profiles(picture.linear, circle, 72, np.array([-3.0, -2.0, -1.0, 3.0, 4.0])).values
    rise = seen[:, :3].max(axis=1) - seen[:, 3:].mean(axis=1)
    rise = rise[np.isfinite(rise)]
    return float(np.percentile(rise, 80)) if rise.size else 0.0


def judge(picture: Picture, fit: Fit, known_radius: Known = UNKNOWN) -> Evidence:
    """Weigh a refined circle, azimuth by azimuth."""
    circle = fit.circle
    gap = max(1.5, 0.008 * circle.r)
    depth = float(np.clip(0.06 * circle.r, 2.0, 20.0))
    sky_depth = max(6.0, 0.2 * circle.r)
    sectors = sector_count(picture.shape, circle, 360)
    step = max(0.5, (sky_depth + depth) / 120)
    offset = np.arange(-gap - depth, gap + sky_depth + step, step)
    seen = profiles(picture.linear, circle, sectors, offset)
    inside = band_mean(seen, -gap - depth, -gap)
    outside = band_mean(seen, gap, gap + depth)
    sector_area = 2 * math.pi * circle.r / sectors * depth
    noise = math.sqrt(2.0 / max(sector_area, 1.0))
    here = math.hypot(0.5 * gap, 0.75)
    at_edge = band_mean(seen, -here - 1, -here) - band_mean(seen, here, here + 1)
    rise = inside - outside
    significant = (rise > 5 * noise) & (at_edge > 0.25 * rise)
    if significant.sum() * 360 / sectors < 15:
        return Evidence(circle, reason="no dark sky beside a bright edge")
    return weigh(picture, fit, seen, (inside, outside, significant), known_radius)


def band_mean(seen: Profiles, start: float, stop: float) -> NDArray[np.float64]:
    """(N,) mean of each radius between two offsets, px (at least of the sample in the middle); NaN where not seen."""
    chosen = (seen.offset >= start - 1e-9) & (seen.offset <= stop + 1e-9)
    chosen[np.abs(seen.offset - 0.5 * (start + stop)).argmin()] = True
    return seen.values[:, chosen].mean(axis=1).astype(float)


def weigh(
    picture: Picture,
    fit: Fit,
    seen: Profiles,
    levels: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]],
    known_radius: Known,
) -> Evidence:
    """Evidence from the levels inside and outside each azimuth, and which of them step."""
    inside, outside, significant = levels
    circle, sectors = fit.circle, len(inside)
    step = float(np.median((inside - outside)[significant]))
    sky = float(np.percentile(outside[significant], 30))
    dark = significant & (outside < sky + 0.5 * np.maximum(step, inside - outside))
    bright_outside = np.isfinite(outside) & (outside > sky + max(0.3 * step, 8.0)) & ~(dark & significant)
    degrees = 360.0 / sectors
    floor = darkest(picture)
    level_inside = float(np.median(inside[dark])) if dark.any() else math.nan
    level_outside = float(np.median(outside[dark])) if dark.any() else math.nan
    evidence = Evidence(
        circle=circle,
        sigma_px=float(np.sqrt(max(np.linalg.eigvalsh(fit.covariance[:2, :2])[-1], 0)))
        if np.isfinite(fit.covariance).all()
        else math.inf,
        radius_sigma_px=float(np.sqrt(max(fit.covariance[2, 2], 0))),
        arc_deg=degrees * float(dark.sum()),
        against_deg=degrees * float(bright_outside.sum()),
        scatter_px=fit.scatter_px,
        width_px=fall_width(seen, dark),
        darkness=(level_outside - floor) / max(level_inside - floor, 1e-6),
        texture=sky_texture(seen, outside, dark, step),
        grain=grain(seen, dark, step),
        crowding=crowding(picture, circle, sky, step),
        contrast=step,
        likeness=sun_of_disk(picture.linear, circle)[1],
        from_prior=known_radius[0] > 0,
    )
    return Evidence(**{**evidence.__dict__, "reason": verdict(evidence)})


def darkest(picture: Picture) -> float:
    """First percentile of the picture, sigmas, noise taken off, without its very minimum (filled gaps, clipped sky)."""
    pixels = picture.linear[::3, ::3]
    lowest = np.nanmin(pixels)
    above = pixels[pixels > lowest]
    return float(np.percentile(above, 1)) + 2.3 if above.size else float(lowest)


def crowding(picture: Picture, circle: Circle, sky: float, step: float) -> float:
    """Share of the neighbourhood (out to two radii, within the frame) that is brighter than the sky."""
    reach = max(circle.r, 20.0)
    offset = np.linspace(0.15 * circle.r + 4.0, reach, 12)
    around = profiles(picture.linear, circle, 72, offset)
    levels = around.values[np.isfinite(around.values)]
    if levels.size < 40:
        return 0.0
    return float((levels - sky > max(0.3 * step, 6.0)).mean())


def fall_width(seen: Profiles, chosen: NDArray[np.bool_]) -> float:
    """Length, px, over which the mean of the chosen radii falls from 80 % to 20 % of its step."""
    rows = seen.values[chosen]
    rows = rows[np.isfinite(rows[:, np.abs(seen.offset) < 6]).all(axis=1)]
    if len(rows) < 3:
        return math.inf
    mean = np.where(np.isfinite(rows), rows, 0).sum(axis=0) / np.maximum(np.isfinite(rows).sum(axis=0), 1)
    low = np.nanmedian(mean[seen.offset > 2])
    high = np.nanmax(mean[(seen.offset < 0)])
    share = (mean - low) / max(high - low, 1e-9)
    lit = seen.offset[(share > 0.8) & (seen.offset < 3)]
    after = seen.offset[(share < 0.2) & (seen.offset > max(lit[0] if len(lit) else -3.0, -3.0))]
    before = lit[lit < after[0]] if len(after) else lit
    return float(after[0] - before[-1]) if len(after) and len(before) else math.inf


def sky_texture(seen: Profiles, outside: NDArray[np.float64], chosen: NDArray[np.bool_], step: float) -> float:
    """Relief of the sky in units of the step: the geometric mean of that along the radius and that along the limb.

    A halo has none along the limb, a gradient none along the radius; a surface has both.
    """
    return math.sqrt(radial_relief(seen, chosen) * azimuthal_relief(outside, chosen)) / step


def radial_relief(seen: Profiles, chosen: NDArray[np.bool_]) -> float:
    """Median over the chosen radii of the sky's relief about a straight line, noise taken off."""
    sky = seen.values[chosen][:, seen.offset > 3]
    sky = sky[np.isfinite(sky).all(axis=1)]
    if len(sky) < 5 or sky.shape[1] < 6:
        return 0.0
    smooth = (sky[:-2] + sky[1:-1] + sky[2:]) / 3
    t = np.linspace(-1, 1, smooth.shape[1])
    smooth = smooth - smooth.mean(axis=1, keepdims=True)
    smooth = smooth - np.outer(smooth @ t / (t @ t), t)
    noise = 0.6 * np.median(np.abs(np.diff(sky, axis=1, n=2))) / 0.6745 / math.sqrt(6)
    return float(np.sqrt(max(np.median(smooth.std(axis=1)) ** 2 - noise**2, 0)))


def azimuthal_relief(outside: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """Typical bend of the level just outside over 30 degrees of limb, noise taken off."""
    lag = max(1, len(outside) // 24)
    level = np.where(chosen, outside, np.nan)
    bend, noise = (typical_bend(level, k) for k in (lag, 1))
    return math.sqrt(max(bend**2 - noise**2, 0.0)) if lag > 1 else bend


def typical_bend(level: NDArray[np.float64], lag: int) -> float:
    """1-sigma of the values about the mean of those ``lag`` before and after, around the circle; 0 where too few."""
    bend = level - 0.5 * (np.roll(level, lag) + np.roll(level, -lag))
    bend = bend[np.isfinite(bend)]
    return float(np.median(np.abs(bend)) / 0.6745 / math.sqrt(1.5)) if bend.size >= 5 else 0.0


def grain(seen: Profiles, chosen: NDArray[np.bool_], step: float) -> float:
    """How much rougher, pixel by pixel, the disk is than the sky, in units of the step: hits are, Io is not."""
    bends = np.abs(np.diff(seen.values[chosen], axis=1, n=2)) / 0.6745 / math.sqrt(6)
    offset = seen.offset[1:-1]
    within, beyond = bends[:, offset < -2], bends[:, offset > 3]
    if not (np.isfinite(within).any() and np.isfinite(beyond).any()):
        return 0.0
    return math.sqrt(max(float(np.nanmedian(within)) ** 2 - 4 * float(np.nanmedian(beyond)) ** 2, 0.0)) / step


def verdict(e: Evidence) -> str:
    """Why a circle is not a limb, or an empty string.

    A small circle is found anywhere, so less doubt is allowed it; bright neighbours do not count there if it is sharp.
    """
    if e.from_prior:
        least = float(np.clip(math.degrees(LEAST_ARC_KNOWN_PX / e.circle.r), LEAST_ARC_KNOWN_DEG, LEAST_ARC_DEG * 2))
    else:
        least = float(np.clip(LEAST_ARC_PX / e.circle.r, LEAST_ARC_DEG, 170.0))
    if e.arc_deg < least:
        return f"only {e.arc_deg:.0f} degrees of a limb seen, {least:.0f} needed"
    if not e.radius_sigma_px < 0.04 * e.circle.r:
        return "the edge does not tell a circle from a line"
    worst = max(e.doubts, key=lambda name: e.doubts[name])
    beside = max(e.against_deg / max(60.0, e.arc_deg), 0.0) + max(e.crowding / 0.6, 0.0)
    alone = e.doubt - beside if e.sharp else e.doubt
    if e.doubts[worst] > 1 or e.doubt > MOST_DOUBT or alone > np.clip(0.7 + 0.03 * e.circle.r, 1.0, MOST_DOUBT):
        return worst
    return ""
