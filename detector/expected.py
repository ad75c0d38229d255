"""What Io's limb should look like at a place on a frame: its radius, how it departs from a circle, and its light.

A view that knows the range gives the radius; one that knows the sub-spacecraft point and north gives the figure of the
ellipsoid too, through the camera's lens; with the sub-solar point it says where the limb is sunlit. Where the view is
silent the picture itself tells the light: a sphere lit from each of many directions is compared with the disk.

Directions of light are told apart by Minnaert's law, I ~ mu0^k mu^(k-1), k = 0.6 (Io in the visible: 0.5-0.7, Simonelli
& Veverka, Icarus 59, 1984).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector.circle import Circle
from detector.frame import IO_RADII_KM, IO_RADIUS_KM, Frame, View
from detector.framelets import Framelets
from detector.geometry import Pointing, Pose, direction
from detector.instruments import JUNOCAM, JUNOCAM_AXIS_Y_PX
from detector.limb_picture import Image
from detector.optics import junocam_optics, optics_of

Array = NDArray[np.float64]

MINNAERT_K = 0.6
RADIUS_SHARE = {"galileo_ssi": 0.004, "jiram": 0.004, "lorri": 0.004, "sru": 0.005, "junocam": 0.005}
"""1-sigma by which a limb's radius is off from the view's, of the radius: lenses, and framelets that jog."""
OTHER_RADIUS_SHARE = 0.01
FAR_OFF = 0.03
"""Share of the radius by which no lens changes it; beyond the chip its polynomial may."""
OUTLINE = 180
"""Points of the outline."""
LIKENESS_ACROSS = 10
"""The light is sought on the disk at most so many points from centre to limb."""
FINE_ACROSS = 16
"""The same where the light is refined."""
LEAST_LIKENESS = 0.3


@dataclass(frozen=True)
class Expected:
    """What a view says of the limb near one place.

    Attributes:
        radius_px: NaN where not known.
        radius_sigma_px: 1-sigma of it; inf where not known.
        azimuth: (n,) radians, 0 along +x, growing towards +y.
        departure_px: (n,) the limb's distance outside its best circle.
        oriented: whether the outline is that of the ellipsoid, turned as the view says.

    """

    radius_px: float = math.nan
    radius_sigma_px: float = math.inf
    azimuth: Array = field(default_factory=lambda: np.zeros(1))
    departure_px: Array = field(default_factory=lambda: np.zeros(1))
    oriented: bool = False

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
    are off their places is not known without kernels.
    """
    if not frame.view.io_radius_px > 0:
        return Expected()
    radius, sigma = expected_radius(frame, circle)
    if framelets := Framelets.of(frame):
        return _on_mosaic(frame, circle, framelets, sigma)
    x, y = _outline(frame, circle)
    if not np.isfinite(x + y).all():
        return Expected(radius, sigma)
    best = circle_through(x, y)
    if abs(best.r - radius) > FAR_OFF * radius:
        return Expected(radius, sigma)
    azimuth = np.arctan2(y - best.y, x - best.x)
    order = np.argsort(azimuth)
    away = np.hypot(x - best.x, y - best.y) - best.r
    return Expected(best.r, sigma, azimuth[order], away[order], oriented=_oriented(frame.view))


def _on_mosaic(frame: Frame, circle: Circle, framelets: Framelets, sigma: float) -> Expected:
    """``expected_at`` for a mosaic, with Io moved so that the circle of its jagged outline is where ``circle`` is."""
    place, best = circle, circle
    for _ in range(2):
        place = Circle(place.x + circle.x - best.x, place.y + circle.y - best.y, circle.r)
        x, y = _jagged(frame, place, framelets)
        if not np.isfinite(x + y).all():
            return Expected(expected_radius(frame, circle)[0], sigma)
        best = circle_through(x, y)
    azimuth = np.arctan2(y - best.y, x - best.x)
    order = np.argsort(azimuth)
    away = np.hypot(x - best.x, y - best.y) - best.r
    return Expected(best.r, sigma, azimuth[order], away[order], _oriented(frame.view))


def _jagged(frame: Frame, place: Circle, framelets: Framelets) -> tuple[Array, Array]:
    """Io's limb on a mosaic if its centre is seen at ``place``: x, y in pixels."""
    home = int(framelets.shown(np.array(place.y)))
    pose = _pose(frame.view, framelets.sight(place.x, place.y))
    sight = Pointing("label", framelets.optics, (pose,), radii_km=_radii(frame.view)).sights[0]
    x, y, _ = framelets.pixels((sight.rim(OUTLINE) - pose.position_km) @ pose.rotation.T, home)
    return x, y


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
    pose = _pose(view, np.array([u, v, 1.0]))
    x, y, _ = Pointing("label", optics, (pose,), radii_km=_radii(view)).outline(OUTLINE)
    return x, y


def _pose(view: View, sight: Array) -> Pose:
    """The camera that sees Io in direction ``sight`` (3,), turned as the view says, if it does."""
    known = _oriented(view)
    place = (view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg) if known else (0.0, 0.0)
    return Pose.of(view.range_km * direction(*place), sight, _north(view))


def _radii(view: View) -> tuple[float, float, float]:
    """Io's axes where the view says how it is turned, else those of the sphere."""
    return IO_RADII_KM if _oriented(view) else (IO_RADIUS_KM,) * 3


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
    x, y, suns, spheres = _lit_spheres(int(np.clip(circle.r, 6, LIKENESS_ACROSS)))
    likeness = _likeness(linear, circle, (x, y), spheres)
    if likeness is None:
        return None, 0.0
    best = int(likeness.argmax())
    return suns[best], float(likeness[best])


def refined_sun(linear: Image, circle: Circle, sun: Array) -> Array:
    """The light near ``sun`` that explains a disk best, sought between the directions of ``sun_of_disk``."""
    x, y = _points_of_disk(int(np.clip(circle.r, 6, FINE_ACROSS)))
    for step_deg in (6.0, 2.0):
        suns = _around(sun, math.radians(step_deg))
        likeness = _likeness(linear, circle, (x, y), _lit(suns, x, y))
        if likeness is None:
            return sun
        sun = suns[int(likeness.argmax())]
    return sun


def _sampled(linear: Image, circle: Circle, x: Array, y: Array) -> Array:
    """(n,) pixels at points of a disk whose radius is 1; NaN off the picture."""
    column = np.rint(circle.x + x * circle.r).astype(int)
    row = np.rint(circle.y + y * circle.r).astype(int)
    inside = (column >= 0) & (column < linear.shape[1]) & (row >= 0) & (row < linear.shape[0])
    seen = np.full(column.shape, np.nan)
    seen[inside] = linear[row[inside], column[inside]]
    return seen


def _around(sun: Array, step: float) -> Array:
    """(25, 3) directions within 2 steps (radians) of one."""
    side = np.cross(sun, [0.0, 0.0, 1.0] if abs(sun[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    a, b = (step * grid.reshape(-1, 1) for grid in np.mgrid[-2:3, -2:3])
    suns = sun + a * side + b * np.cross(sun, side)
    return np.asarray(suns / np.linalg.norm(suns, axis=1, keepdims=True))


def _likeness(linear: Image, circle: Circle, at: tuple[Array, Array], spheres: Array) -> Array | None:
    """(m,) correlation of a disk with lit spheres (m, n) at points (n,) of the unit disk; None without enough of it."""
    seen = _sampled(linear, circle, *at)
    known = np.isfinite(seen)
    if known.sum() < 20:
        return None
    level = np.minimum(seen[known], np.percentile(seen[known], 98))
    level -= level.mean()
    models = spheres[:, known] - spheres[:, known].mean(axis=1, keepdims=True)
    return np.asarray(models @ level / (np.sqrt((models**2).sum(axis=1) * (level @ level)) + 1e-12))


@lru_cache(maxsize=LIKENESS_ACROSS)
def _lit_spheres(across: int) -> tuple[Array, Array, Array, Array]:
    """Points of the unit disk x, y (n,), directions of light (m, 3), and the sphere's brightness at each (m, n)."""
    x, y = _points_of_disk(across)
    phase, side = (a.ravel() for a in np.meshgrid(np.radians(np.arange(0, 176, 8)), np.radians(np.arange(0, 360, 20))))
    suns = np.stack([np.sin(phase) * np.cos(side), np.sin(phase) * np.sin(side), np.cos(phase)], axis=1)
    return x, y, suns, _lit(suns, x, y)


@lru_cache(maxsize=2 * LIKENESS_ACROSS)
def _points_of_disk(across: int) -> tuple[Array, Array]:
    """Points of a grid on the unit disk, ``across`` from centre to limb: x, y (n,)."""
    grid = (np.arange(-across, across) + 0.5) / across
    x, y = (side.ravel() for side in np.meshgrid(grid, grid))
    within = x * x + y * y < 0.94
    return x[within], y[within]


def _lit(suns: Array, x: Array, y: Array) -> Array:
    """(m, n) brightness of a sphere under lights (m, 3) at points (n,) of the unit disk, capped where brightest."""
    z = np.sqrt(1 - x * x - y * y)
    spheres = np.maximum(suns @ np.stack([x, y, z]), 0) ** MINNAERT_K * z ** (MINNAERT_K - 1)
    return np.asarray(np.minimum(spheres, np.percentile(spheres, 90, axis=1, keepdims=True)))
