"""What Io's limb should look like at a place on a frame: its radius, how it departs from a circle, and how it is lit.

A view that knows the range gives the radius; one that knows the sub-spacecraft point and north gives the figure of the
ellipsoid too, through the camera's lens; with the sub-solar point it says where the limb is sunlit. Where the view is
silent the picture itself tells the light: a sphere lit from each of many directions is compared with the disk.

The lit disk is Minnaert's, I ~ mu0^k mu^(k-1), k = 0.6 (Io in the visible: 0.5-0.7, Simonelli & Veverka, Icarus 59,
1984). It needs to be right only within a few pixels of the limb: it says on which side of it the steepest fall lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.circle import Circle
from detector.frame import IO_RADII_KM, IO_RADIUS_KM, Frame, View
from detector.geometry import Pointing, Pose, direction
from detector.instruments import JUNOCAM, JUNOCAM_AXIS_Y_PX
from detector.limb_edges import Image
from detector.optics import junocam_optics, optics_of

Array = NDArray[np.float64]

MINNAERT_K = 0.6
RADIUS_SHARE = {"galileo_ssi": 0.004, "jiram": 0.004, "lorri": 0.004, "sru": 0.005, "junocam": 0.008}
"""1-sigma by which a limb's radius is off from the view's, of the radius; the framelets of JunoCam jog."""
OTHER_RADIUS_SHARE = 0.01
FAR_OFF = 0.03
"""Share of the radius by which no lens changes it; beyond the chip its polynomial may."""
STEP_PX = 0.25
LIKENESS_ACROSS = 10
"""The light is sought on the disk at most so many points from centre to limb."""
LEAST_LIKENESS = 0.3


@dataclass(frozen=True)
class Expected:
    """What a view says of the limb near one place.

    Attributes:
        radius_px: NaN where not known.
        radius_sigma_px: 1-sigma of it; inf where not known.
        azimuth: (n,) radians, 0 along +x, growing towards +y.
        departure_px: (n,) the limb's distance outside its best circle.

    """

    radius_px: float = math.nan
    radius_sigma_px: float = math.inf
    azimuth: Array = field(default_factory=lambda: np.zeros(1))
    departure_px: Array = field(default_factory=lambda: np.zeros(1))

    def departure(self, azimuth: Array) -> Array:
        """(m,) departure from the circle at azimuths, px."""
        return np.interp(azimuth, self.azimuth, self.departure_px, period=2 * math.pi)


def expected_radius(frame: Frame, circle: Circle) -> tuple[float, float]:
    """Return the radius expected where a circle is, px, and its 1-sigma: ``expected_at`` without the shape."""
    radius = frame.view.io_radius_px
    if not radius > 0:
        return math.nan, math.inf
    share = RADIUS_SHARE.get(frame.instrument, OTHER_RADIUS_SHARE)
    if frame.instrument == JUNOCAM.name:
        along, across = _mosaic_scales(frame, circle.x)
        radius *= 0.5 * (along + across)
    return radius, share * radius


def expected_at(frame: Frame, circle: Circle) -> Expected:
    """Expect Io's limb where a circle is, both in pixels of the frame.

    Nothing is expected where the target is not Io, or range or pixel scale are not known. How the framelets of a mosaic
    jog is not known without kernels.
    """
    if not frame.view.io_radius_px > 0:
        return Expected()
    radius, sigma = expected_radius(frame, circle)
    if frame.instrument == JUNOCAM.name:
        along, across = _mosaic_scales(frame, circle.x)
        azimuth = np.linspace(-math.pi, math.pi, 73)
        return Expected(radius, sigma, azimuth, radius * (along - across) / (along + across) * np.cos(2 * azimuth))
    x, y = _outline(frame, circle)
    if not np.isfinite(x + y).all():
        return Expected(radius, sigma)
    best = circle_through(x, y)
    if abs(best.r - radius) > FAR_OFF * radius:
        return Expected(radius, sigma)
    azimuth = np.arctan2(y - best.y, x - best.x)
    order = np.argsort(azimuth)
    away = np.hypot(x - best.x, y - best.y) - best.r
    return Expected(best.r, sigma, azimuth[order], away[order])


def _mosaic_scales(frame: Frame, x_px: float) -> tuple[float, float]:
    """How much larger than on the axis a disk is along the lines and across them, at a column of a mosaic.

    Columns are tangents of an angle, rows the spin's angle, so a disk off the middle is an ellipse.
    """
    if frame.filter not in JUNOCAM_AXIS_Y_PX or frame.shape[1] != JUNOCAM.shape[1]:
        return 1.0, 1.0
    optics = junocam_optics(frame.filter)
    x = np.clip(x_px, 0, frame.shape[1] - 1) + np.array([-50.0, 50.0])
    u, _ = optics.directions(x, np.full(2, optics.axis_y_px))
    return 100.0 / (optics.focal_px * float(np.diff(np.arctan(u))[0])), math.hypot(1.0, float(u.mean()))


def _outline(frame: Frame, circle: Circle) -> tuple[Array, Array]:
    """Io's limb if its centre is where the circle's is: x and y in pixels of the frame."""
    view, optics = frame.view, optics_of(frame)
    u, v = (float(side) for side in optics.directions(np.array(circle.x), np.array(circle.y)))
    known = _oriented(view)
    place = (view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg) if known else (0.0, 0.0)
    pose = Pose.of(view.range_km * direction(*place), np.array([u, v, 1.0]), _north(view))
    radii = IO_RADII_KM if known else (IO_RADIUS_KM,) * 3
    x, y, _ = Pointing("label", optics, (pose,), radii_km=radii).outline(180)
    return x, y


def _oriented(view: View) -> bool:
    """Whether the view says how Io is turned."""
    said = (view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg, view.north_azimuth_deg)
    return all(map(math.isfinite, said))


def _north(view: View) -> Array:
    """(3,) direction of north in the unmirrored camera; up where the view does not say."""
    angle = math.radians(view.north_azimuth_deg if _oriented(view) else -90.0)
    return np.array([-math.cos(angle) if view.mirrored else math.cos(angle), math.sin(angle), 0.0])


def circle_through(x: Array, y: Array) -> Circle:
    """The circle closest to points: (x - a)² + (y - b)² = r² is linear in a, b and r² - a² - b²."""
    dx, dy = x - x.mean(), y - y.mean()
    system = np.stack([2 * dx, 2 * dy, np.ones_like(dx)], axis=-1)
    (a, b, c), *_ = np.linalg.lstsq(system, dx * dx + dy * dy, rcond=None)
    return Circle(float(a + x.mean()), float(b + y.mean()), math.sqrt(max(float(c + a * a + b * b), 0.0)))


# -- light ----------------------------------------------------------------------------------------------------------


def sun_of_view(view: View) -> Array | None:
    """(3,) unit vector to the Sun on the picture: x right, y down, z towards the camera; None where not known."""
    if not (_oriented(view) and math.isfinite(view.sub_solar_lat_deg + view.sub_solar_lon_w_deg)):
        return None
    towards = direction(view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg)
    pose = Pose.of(towards, np.array([0.0, 0.0, 1.0]), _north(view))
    sun = pose.rotation @ direction(view.sub_solar_lat_deg, view.sub_solar_lon_w_deg)
    return np.asarray(sun * [-1.0 if view.mirrored else 1.0, 1.0, -1.0])


def sun_of_disk(linear: Image, circle: Circle) -> tuple[Array | None, float]:
    """The light that explains a disk best, and how well: (3,) as ``sun_of_view``, and the correlation, -1..1.

    None, and 0, where too little of the disk is in the picture.
    """
    across = int(np.clip(circle.r, 6, LIKENESS_ACROSS))
    x, y, suns, spheres = _lit_spheres(across)
    column = np.rint(circle.x + x * circle.r).astype(int)
    row = np.rint(circle.y + y * circle.r).astype(int)
    inside = (column >= 0) & (column < linear.shape[1]) & (row >= 0) & (row < linear.shape[0])
    seen = np.full(x.shape, np.nan)
    seen[inside] = linear[row[inside], column[inside]]
    known = np.isfinite(seen)
    if known.sum() < 20:
        return None, 0.0
    level = np.minimum(seen[known], np.percentile(seen[known], 98))
    level -= level.mean()
    models = spheres[:, known] - spheres[:, known].mean(axis=1, keepdims=True)
    scale = np.sqrt((models**2).sum(axis=1) * (level @ level)) + 1e-12
    likeness = models @ level / scale
    best = int(likeness.argmax())
    return suns[best], float(likeness[best])


@lru_cache(maxsize=LIKENESS_ACROSS)
def _lit_spheres(across: int) -> tuple[Array, Array, Array, Array]:
    """Points of the unit disk x, y (n,), directions of light (m, 3), and the sphere's brightness at each (m, n)."""
    grid = (np.arange(-across, across) + 0.5) / across
    x, y = (side.ravel() for side in np.meshgrid(grid, grid))
    within = x * x + y * y < 0.94
    x, y = x[within], y[within]
    z = np.sqrt(1 - x * x - y * y)
    phase, side = (a.ravel() for a in np.meshgrid(np.radians(np.arange(0, 176, 8)), np.radians(np.arange(0, 360, 20))))
    suns = np.stack([np.sin(phase) * np.cos(side), np.sin(phase) * np.sin(side), np.cos(phase)], axis=1)
    spheres = np.maximum(suns @ np.stack([x, y, z]), 0) ** MINNAERT_K * z ** (MINNAERT_K - 1)
    return x, y, suns, np.minimum(spheres, np.percentile(spheres, 90, axis=1, keepdims=True))


@dataclass(frozen=True)
class LitEdge:
    """The steepest fall near the limb of a lit sphere, azimuth by azimuth.

    Attributes:
        offset_px: (n,) where it lies, from the limb outwards.
        height: (n,) its steepness, of the steepest anywhere.

    """

    offset_px: Array
    height: Array


def lit_edge(sun: Array, radius_px: float, azimuth: Array, blur_px: float, window_px: float) -> LitEdge:
    """Where the steepest fall is seen after a blur of ``blur_px``, within ``window_px`` of the limb."""
    reach = window_px + 4 * blur_px
    offset = np.arange(-reach, reach + STEP_PX, STEP_PX)
    rho = 1 + offset / radius_px
    inside = np.clip(rho, 0, 1)
    mu = np.sqrt(np.maximum(1 - inside**2, 1e-6))
    along = np.cos(azimuth) * sun[0] + np.sin(azimuth) * sun[1]
    mu0 = np.maximum(inside * along[:, None] + mu * sun[2], 0)
    light = mu0**MINNAERT_K * np.maximum(mu, 0.02) ** (MINNAERT_K - 1) * ((rho <= 1) & (rho >= 0))
    fall = -ndimage.gaussian_filter1d(light, blur_px / STEP_PX, axis=1, order=1, mode="nearest")
    fall[:, np.abs(offset) > window_px] = -1
    peak, shift, top = summits(fall)
    return LitEdge(offset[peak] + shift * STEP_PX, top / max(float(top.max()), 1e-12))


def summits(rows: Array) -> tuple[NDArray[np.int_], Array, Array]:
    """Largest value of each row (n, m): its index (never at an end), its place about it in steps, and the value."""
    peak = np.clip(rows.argmax(axis=1), 1, rows.shape[1] - 2)
    number = np.arange(len(peak))
    before, top, after = (rows[number, peak + k] for k in (-1, 0, 1))
    with np.errstate(invalid="ignore"):
        shift = 0.5 * (before - after) / np.minimum(before + after - 2 * top, -1e-12)
    return peak, np.clip(np.nan_to_num(shift), -0.5, 0.5), top
