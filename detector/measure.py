"""What a region measures: its place, its signal, its height and width. What cannot be known stays not known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.catalogue import Detection
from detector.flags import doubts_of
from detector.frame import IO_RADIUS_KM, Frame, View
from detector.levels import Levels, measure_levels
from detector.limb import Limb
from detector.regions import EVERY_NEIGHBOUR, Region, altitude_px, labels_of
from detector.volcanoes import nearest

SURROUNDINGS_PX = (6, 40)
"""The background is taken from a margin as wide as the region itself, within these limits."""
ENOUGH = 5
"""A background needs at least this many free pixels; with fewer the frame's sky level stands in."""
SKY_SIGMAS, SKY_ROUNDS = 6.0, 4
"""Pixels within so many sigmas of the sky's level are sky, sought anew in so many rounds."""
PLACE_SIGMA_PX = 0.5
"""1-sigma error of a centroid, taken as half a pixel: the cameras' PSF is about a pixel."""
TOP_SIGMA_PX = 1.0
"""1-sigma error of a plume's top from its pixels: a pixel either way."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A frame with everything that every one of its regions is measured against.

    Attributes:
        frame, limb: as found.
        levels: of the whole frame.
        sky_sigma: 1-sigma noise of a pixel of the sky.
        free: (H, W) bool, pixels that may serve as background: observed, and not beside any region.

    """

    frame: Frame
    limb: Limb
    levels: Levels
    sky_sigma: float
    free: NDArray[np.bool_]

    @classmethod
    def of(cls, frame: Frame, limb: Limb, regions: Sequence[Region]) -> Scene:
        """Return the scene of a frame in which these regions were found."""
        taken = labels_of(regions, frame.shape).any(axis=0)
        if regions:
            taken = ndimage.binary_dilation(taken, EVERY_NEIGHBOUR)
        levels = measure_levels(frame.image, frame.valid)
        return cls(frame, limb, levels, _sky_sigma(frame, levels), frame.valid & ~taken)

    @property
    def km_per_px(self) -> float:
        """Scale at the limb from its own radius; NaN without a trusted limb, or when the target is another body."""
        return IO_RADIUS_KM / self.limb.radius_px if self.limb.trusted and self.frame.may_show_io else math.nan

    def sigma(self, value: float) -> float:
        """1-sigma noise of a pixel of this value: the camera's where it is known, never less than the sky's."""
        signal = np.array(value - self.levels.sky, np.float32)
        camera = float(self.frame.noise.sigma(signal)) if math.isfinite(self.frame.noise.read) else 0.0
        return max(self.sky_sigma, camera)


def measure(frame: Frame, limb: Limb, regions: Sequence[Region], model: str) -> tuple[Detection, ...]:
    """Measure the regions of one frame, in their order.

    Args:
        frame: the frame.
        limb: the trusted limb, or none; then heights, widths and places on Io are not known.
        regions: of both classes, in the order in which they shall be numbered.
        model: ``name@version`` for the ``model`` column.

    """
    scene = Scene.of(frame, limb, regions)
    numbers = _numbers(regions)
    return tuple(_detection(scene, region, number, model) for region, number in zip(regions, numbers, strict=True))


def excess_above_background(scene: Scene, region: Region) -> Floats:
    """Return the signal above the local background, in the frame's unit, over the region's box grown by one pixel.

    Beside a trusted limb a plume is compared with its neighbours at the same altitude, in steps of a pixel; everything
    else with the median of its surroundings. It is 0 where the frame is not valid.
    """
    low, high = SURROUNDINGS_PX
    margin = int(np.clip(max(region.pixels.shape), low, high))
    wide, close = region.grown_box(margin, scene.frame.shape), region.grown_box(1, scene.frame.shape)
    image, free = scene.frame.image[wide].astype(float), scene.free[wide]
    by_altitude = region.kind == "plume" and scene.limb.trusted
    background = _altitude_median(scene, wide, image, free) if by_altitude else _median(scene, image, free)
    excess = np.where(scene.frame.valid[wide], image - background, 0.0)
    rows, columns = (slice(c.start - w.start, c.stop - w.start) for c, w in zip(close, wide, strict=True))
    return excess[rows, columns]


def plume_height_px(region: Region, limb: Limb, peak_snr: float) -> tuple[float, float]:
    """Altitude of the plume's highest pixel above the limb and its 1-sigma, in pixels; NaN where nothing stands above.

    The error adds in quadrature: the circle's (its place and, in proportion, its radius), one pixel, and what the noise
    does to a brightness that falls evenly from the peak to the top: height / S/N.
    """
    height = float(altitude_px(*region.points(), limb).max())
    if height <= 0:
        return math.nan, math.nan
    circle = limb.sigma_px if math.isfinite(limb.sigma_px) else 0.0
    noise = height / max(peak_snr, 1.0)
    return height, math.hypot(circle, circle * height / limb.radius_px, TOP_SIGMA_PX, noise)


def plume_width_px(region: Region, limb: Limb) -> float:
    """Extent along the limb's tangent of the part above the limb, in pixels; NaN where nothing stands above."""
    x, y = region.points()
    above = altitude_px(x, y, limb) > 0
    if not above.any():
        return math.nan
    dx, dy = x[above] - limb.x_px, y[above] - limb.y_px
    middle = math.atan2(float(dy.sum()), float(dx.sum()))
    along = -dx * math.sin(middle) + dy * math.cos(middle)
    return float(along.max() - along.min()) + 1.0


def place_on_io(x_px: float, y_px: float, limb: Limb, view: View) -> tuple[float, float, float]:
    """Where on Io's sphere a pixel looks: planetocentric latitude, west longitude 0..360 and 1-sigma, in degrees.

    The pinhole ray through the pixel meets the sphere as seen from the view's range; the circle's centre is the
    direction of Io's centre. NaN three times when the view does not know its range, its sub-spacecraft point and
    north, or the pixel lies off the disk.
    """
    nowhere = (math.nan, math.nan, math.nan)
    terms = (view.range_km, view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg, view.north_azimuth_deg)
    off_centre = math.hypot(x_px - limb.x_px, y_px - limb.y_px) / limb.radius_px
    if not (limb.trusted and view.target == "IO" and all(map(math.isfinite, terms)) and off_centre < 1):
        return nowhere
    east, north, toward = _on_sphere(x_px - limb.x_px, y_px - limb.y_px, limb, view)
    tilt = math.radians(view.sub_spacecraft_lat_deg)
    lat = math.asin(max(-1.0, min(1.0, north * math.cos(tilt) + toward * math.sin(tilt))))
    to_the_east = math.atan2(east, toward * math.cos(tilt) - north * math.sin(tilt))
    lon_w = (view.sub_spacecraft_lon_w_deg - math.degrees(to_the_east)) % 360.0
    circle = limb.sigma_px if math.isfinite(limb.sigma_px) else 0.0
    sigma = math.degrees(math.hypot(circle, PLACE_SIGMA_PX) / limb.radius_px) / max(toward, 1e-3)
    return math.degrees(lat), lon_w, min(sigma, 90.0)


def _on_sphere(dx: float, dy: float, limb: Limb, view: View) -> tuple[float, float, float]:
    """Return the unit vector (east, north, towards the spacecraft) of the point seen dx, dy pixels from the centre."""
    distance = view.range_km / IO_RADIUS_KM
    per_px = 1.0 / (limb.radius_px * math.sqrt(distance**2 - 1.0))  # tangent of the angle of a pixel
    angle = math.radians(view.north_azimuth_deg)
    up = (dx * math.cos(angle) + dy * math.sin(angle)) * per_px
    right = (-dx * math.sin(angle) + dy * math.cos(angle)) * (-per_px if view.mirrored else per_px)
    slope2 = up**2 + right**2
    depth = (distance - math.sqrt(max(0.0, 1.0 - slope2 * (distance**2 - 1.0)))) / (1.0 + slope2)
    return right * depth, up * depth, distance - depth


def _sky_sigma(frame: Frame, levels: Levels) -> float:
    """Noise of the sky from differences of horizontal neighbours.

    ``levels.sigma`` looks at the darker part of the sky only, which is narrower than the whole; from there the sky's
    level and noise are sought again among all pixels near it. Never less than ``levels.sigma``, which knows rounding.
    """
    thin = max(1, frame.image.size // 200_000)
    image, valid = frame.image[::thin], frame.valid[::thin]
    level, sigma = levels.sky, float(levels.sigma)
    for _ in range(SKY_ROUNDS):
        sky = valid & (np.abs(image - level) <= SKY_SIGMAS * sigma)
        steps = np.diff(image, axis=1)[sky[:, 1:] & sky[:, :-1]]
        if steps.size < ENOUGH:
            break
        level = float(np.median(image[sky]))
        sigma = max(1.4826 * float(np.median(np.abs(steps))) / math.sqrt(2.0), float(levels.sigma))
    return sigma


def _numbers(regions: Sequence[Region]) -> list[int]:
    """Each region's number within its class, from 1."""
    counts: dict[str, int] = {}
    for region in regions:
        counts[region.kind] = counts.get(region.kind, 0) + 1
    seen: dict[str, int] = dict.fromkeys(counts, 0)
    numbers = []
    for region in regions:
        seen[region.kind] += 1
        numbers.append(seen[region.kind])
    return numbers


def _detection(scene: Scene, region: Region, number: int, model: str) -> Detection:
    frame, (rows, columns) = scene.frame, region.box
    excess = excess_above_background(scene, region)
    x_px, y_px, peak_snr, sigma = _signal(scene, region, excess)
    extent = _plume_extent(scene, region, peak_snr) if region.kind == "plume" else _surface_place(scene, x_px, y_px)
    return Detection(
        detection_id=f"{frame.id}-{region.kind[0]}{number:02d}",
        frame_id=frame.id,
        kind=region.kind,
        score=region.score,
        x_px=x_px,
        y_px=y_px,
        bbox_x0_px=columns.start,
        bbox_y0_px=rows.start,
        bbox_x1_px=columns.stop - 1,
        bbox_y1_px=rows.stop - 1,
        area_px=region.area_px,
        peak_snr=peak_snr,
        instrument=frame.instrument,
        filter=frame.filter,
        start_time_utc=frame.start_time,
        flags=doubts_of(frame, region, excess, sigma).text,
        model=model,
        **extent,
    )


def _signal(scene: Scene, region: Region, excess: Floats) -> tuple[float, float, float, float]:
    """Centroid x and y, peak signal-to-noise, and the noise at the peak."""
    box = region.grown_box(1, scene.frame.shape)
    rows, columns = np.nonzero(_counted(scene, region, box))
    signal = excess[rows, columns]
    weight = np.maximum(signal, 0.0)
    weight = weight if weight.sum() > 0 else np.ones_like(weight)
    x_px = float(np.average(columns, weights=weight)) + box[1].start
    y_px = float(np.average(rows, weights=weight)) + box[0].start
    peak = int(signal.argmax())
    sigma = scene.sigma(float(scene.frame.image[box][rows[peak], columns[peak]]))
    return x_px, y_px, float(signal[peak]) / sigma, sigma


def _counted(scene: Scene, region: Region, box: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return the region's pixels whose signal counts: of a plume only what stands above the limb, where anything does.

    On the disk beside the limb the ground's own pattern outshines a plume.
    """
    inside = region.within(box)
    if region.kind != "plume" or not scene.limb.trusted:
        return inside
    above = inside & (altitude_px(*_grid(box), scene.limb) > 0)
    return above if above.any() else inside


def _plume_extent(scene: Scene, region: Region, peak_snr: float) -> dict[str, Any]:
    if not math.isfinite(scene.km_per_px):
        return {}
    height, sigma = plume_height_px(region, scene.limb, peak_snr)
    return {
        "plume_height_km": height * scene.km_per_px,
        "plume_height_sigma_km": sigma * scene.km_per_px,
        "plume_width_km": plume_width_px(region, scene.limb) * scene.km_per_px,
        "geometry_source": scene.limb.source if scene.limb.source in ("spice", "label") else "limb",
    }


def _surface_place(scene: Scene, x_px: float, y_px: float) -> dict[str, Any]:
    view = scene.frame.view
    lat, lon_w, sigma = place_on_io(x_px, y_px, scene.limb, view)
    if not math.isfinite(lat):
        return {}
    volcano, distance_km = nearest(lat, lon_w)
    return {
        "lat_deg": lat,
        "lon_w_deg": lon_w,
        "lon_e_deg": (-lon_w + 180.0) % 360.0 - 180.0,
        "position_sigma_deg": sigma,
        "geometry_source": view.source,
        "volcano": volcano.name,
        "volcano_distance_km": distance_km,
    }


def _median(scene: Scene, image: Floats, free: NDArray[np.bool_]) -> float:
    return float(np.median(image[free])) if free.sum() >= ENOUGH else scene.levels.sky


def _altitude_median(scene: Scene, box: tuple[slice, slice], image: Floats, free: NDArray[np.bool_]) -> Floats:
    """Median of the free pixels at the same altitude, over the box; the sky's level where too few are free."""
    altitude = np.rint(altitude_px(*_grid(box), scene.limb)).astype(int)
    step = altitude - altitude.min()
    steps = np.arange(step.max() + 1)
    medians = np.full(steps.size, scene.levels.sky)
    enough = np.bincount(step[free], minlength=steps.size) >= ENOUGH
    if enough.any():
        medians[enough] = ndimage.median(image, np.where(free, step, -1), steps[enough])
    return medians[step]


def _grid(box: tuple[slice, slice]) -> tuple[Floats, Floats]:
    """(h, w) x and (h, w) y of the pixel centres of a box of the frame."""
    y, x = np.mgrid[box].astype(float)
    return x, y
