"""A real picture as a place to put things: where Io is on it, and the camera that would have taken it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADIUS_KM, Frame
from detector.instruments import CAMERAS
from detector.limb import Limb
from detector.mask import Mask
from training.simulate.bands import bandpass, broad
from training.simulate.cameras.camera import Camera
from training.simulate.dice import Rng
from training.simulate.disk import Surface
from training.simulate.geometry import Geometry, lat_lon_w
from training.simulate.light import Bandpass, Image
from training.simulate.measured import Measured, find_sun, spread
from training.simulate.scene import Scene

Floats = NDArray[np.float64]

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
    return (measured.disk or spread(frame) or 1.0) / USUAL_SUNLIT


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
