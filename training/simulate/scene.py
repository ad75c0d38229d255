"""Scene -> Light -> Sample: the picture with and without each object, and so the exact truth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.frame import CLASSES, Frame, Noise, View
from detector.limb import Limb
from detector.mask import Mask
from training.labels import FAINT_SNR
from training.simulate import sky
from training.simulate.cameras.camera import Camera, Readout
from training.simulate.dice import Dice
from training.simulate.disk import Surface, disk_light
from training.simulate.geometry import Geometry
from training.simulate.hotspots import HotSpot, spot_stamp
from training.simulate.light import Bandpass, Image, Stamp
from training.simulate.plumes import Columns, Plume, plume_columns

TRUTH_SIGMA = 0.5
TRUTH_PEAK = 0.05
MIN_ARC = 0.06
"""Share of the limb's circle that must be inside the picture for the picture to have a limb."""
SMALLEST_LIMB_PX = 3.0
VISIBLE_SIGMA = 2.0
"""A stretch of limb can be seen where the pixels inside and outside of it differ by this many sigmas."""


@dataclass(frozen=True)
class Echo:
    """A second exposure of Io on the same frame (an on-chip mosaic): shifted in pixels, so much as bright."""

    dx_px: float
    dy_px: float
    brightness: float


@dataclass(frozen=True)
class Scene:
    """Everything about a picture but the camera.

    Attributes:
        shape: rows and columns.
        geometry: of Io; None for a picture without Io.
        surface: how Io's surface scatters.
        plumes, hotspots: what erupts.
        backdrop: (H, W) I/F behind Io.
        glow: (H, W) I/F-equivalent in front of the sky and the disk alike (aurora).
        echoes: further exposures on the same frame; nothing erupts on them.

    """

    shape: tuple[int, int]
    geometry: Geometry | None
    surface: Surface
    plumes: tuple[Plume, ...]
    hotspots: tuple[HotSpot, ...]
    backdrop: Image
    glow: Image | None = None
    echoes: tuple[Echo, ...] = ()


@dataclass(frozen=True)
class Light:
    """A scene through a band, before the optics, in I/F.

    Attributes:
        quiet: (H, W): all but the objects.
        columns: of each plume; those with no pixel on the picture are left out, so are hot spots.
        stamps: of each hot spot.

    """

    quiet: Image
    columns: tuple[tuple[Plume, Columns], ...] = ()
    stamps: tuple[tuple[HotSpot, Stamp], ...] = ()

    def objects(self, scene: Scene, band: Bandpass) -> Iterable[tuple[str, Plume | HotSpot, Stamp]]:
        """What each object adds to the quiet light (and, in a plume's shadow, takes from it)."""
        for plume, columns in self.columns:
            yield "plume", plume, plume_light(plume, columns, scene, self.quiet, band)
        for spot, stamp in self.stamps:
            yield "hotspot", spot, stamp


def light_of(scene: Scene, band: Bandpass) -> Light:
    """Light of the sky and the disk, and of each object alone."""
    if scene.geometry is None:
        return Light(scene.backdrop)
    disk, cover = disk_light(scene.geometry, scene.surface, scene.shape, band.effective_um)
    quiet = scene.backdrop * (1 - cover) + disk
    if scene.glow is not None:
        quiet = quiet + scene.glow
    for echo in scene.echoes:
        shift = np.array([[1, 0, echo.dx_px], [0, 1, echo.dy_px]], np.float32)
        quiet = quiet + echo.brightness * cv2.warpAffine(disk, shift, scene.shape[::-1])
    columns = ((p, plume_columns(p, scene.geometry, scene.shape)) for p in scene.plumes)
    stamps = ((s, spot_stamp(s, scene.geometry, band, scene.shape)) for s in scene.hotspots)
    return Light(
        np.asarray(quiet, np.float32),
        tuple((plume, held) for plume, held in columns if held is not None),
        tuple((spot, held.times(1 / band.solar_radiance)) for spot, held in stamps if held is not None),
    )


def plume_light(plume: Plume, columns: Columns, scene: Scene, quiet: Image, band: Bandpass) -> Stamp:
    """Sunlight that a plume's column scatters, its own glow, and what it and its shadow take from the ground behind."""
    depth = plume.depth_at(band.effective_um)
    phase = scene.geometry.phase_deg if scene.geometry is not None else 0.0
    source = plume.source_i_over_f(phase) * scene.surface.sunlight
    behind = quiet[Stamp(columns.row, columns.column, columns.seen).where]
    added = source * -np.expm1(-depth * columns.lit) + plume.glow * columns.seen
    taken = -np.expm1(-depth * columns.seen) - np.expm1(-depth * columns.shadow)
    return Stamp(columns.row, columns.column, np.asarray(added - behind * taken, np.float32))


# -- truth ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrueObject:
    """One eruption and its exact truth, on the rectangle of the picture that it touches.

    Attributes:
        kind: ``plume`` or ``hotspot``.
        cause: the Plume or HotSpot that made it.
        row, column: of the rectangle's first pixel.
        mask: (h, w) bool: signal at least 0.5 sigma and at least 5 % of the object's own peak.
        signal: (h, w) float32: its own noise-free signal in units of the noise's sigma; 0 where not valid.
        peak_i_over_f: brightest pixel that it adds, after the optics.

    """

    kind: str
    cause: Plume | HotSpot
    row: int
    column: int
    mask: NDArray[np.bool_]
    signal: Image
    peak_i_over_f: float = math.nan

    @cached_property
    def snr_mf(self) -> float:
        """sqrt(sum s²/sigma²) over valid pixels: the signal-to-noise of a perfect matched filter."""
        return float(np.sqrt(np.sum(self.signal**2, dtype=np.float64)))

    @property
    def place(self) -> tuple[slice, slice]:
        """Its rectangle on the picture."""
        return slice(self.row, self.row + self.mask.shape[0]), slice(self.column, self.column + self.mask.shape[1])

    def on(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool: its pixels on the whole picture."""
        whole = np.zeros(shape, bool)
        whole[self.place] = self.mask
        return whole

    def cut(self, first_row: int, rows: int) -> TrueObject:
        """What the ``rows`` rows of the picture from ``first_row`` on show of it, counted from there."""
        low, high = max(first_row - self.row, 0), max(first_row + rows - self.row, 0)
        piece = slice(low, high)
        return replace(self, row=max(self.row - first_row, 0), mask=self.mask[piece], signal=self.signal[piece])

    def mirrored(self, columns: int) -> TrueObject:
        """On the picture of that many columns turned left to right."""
        across = (slice(None), slice(None, None, -1))
        left = columns - self.column - self.mask.shape[1]
        return replace(self, column=left, mask=self.mask[across], signal=self.signal[across])

    def where(self, known: NDArray[np.bool_]) -> TrueObject:
        """What the ``known`` (H, W) pixels show of it."""
        seen = known[self.place]
        return replace(self, mask=self.mask & seen, signal=np.where(seen, self.signal, np.float32(0)))


@dataclass(frozen=True)
class Sample:
    """A frame and the whole truth about it.

    Attributes:
        frame: as a reader would give it.
        limb: the circle closest to the true limb; none where no limb is in the picture.
        objects: what erupts and has a pixel.
        scene: what the picture was taken of.
        limb_seen: (360,) bool: degrees of the limb circle (0 = up, clockwise) that stand out from what is beside them.

    """

    frame: Frame
    limb: Limb
    objects: tuple[TrueObject, ...]
    scene: Scene = field(repr=False)
    limb_seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(360, bool), repr=False)

    @property
    def visible_arc_deg(self) -> float:
        """How much of the limb stands out, 0..360."""
        return float(self.limb_seen.sum())

    def mask(self, faintest: float = 0.0) -> Mask:
        """Truth of the objects with ``snr_mf`` at least ``faintest``."""
        planes = np.zeros((len(CLASSES), *self.frame.shape), bool)
        for thing in self.objects:
            if thing.snr_mf >= faintest:
                planes[CLASSES.index(thing.kind)][thing.place] |= thing.mask
        return Mask(planes & self.frame.valid, self.frame.valid)

    def ignored(self) -> NDArray[np.bool_]:
        """(2, H, W) bool: pixels of objects too faint to learn from."""
        everything, learnable = self.mask(), self.mask(FAINT_SNR)
        return everything.planes & ~learnable.planes


Added = list[tuple[str, "Plume | HotSpot", Stamp]]


def take(scene: Scene, light: Light, camera: Camera, dice: Dice, frame_id: str) -> Sample:
    """Take the picture, and take note of what each object added to it."""
    signal, added = signal_of(scene, light, camera, dice)
    seen = _with_inset(camera.expose(signal, dice), camera, dice)
    objects = [true_object(kind, cause, stamp, signal, seen, camera) for kind, cause, stamp in added]
    frame = Frame.of(seen.counts, seen.valid, **_known(scene, camera, seen, frame_id))
    return Sample(frame, true_limb(scene, seen.valid), visible(objects), scene, limb_seen(scene, signal, seen))


def signal_of(scene: Scene, light: Light, camera: Camera, dice: Dice) -> tuple[Image, Added]:
    """The noise-free signal (H, W) through the optics, and what each object added to it."""
    quiet = camera.blur(light.quiet)
    dark = camera.sigma(np.full((1, 1), camera.pedestal, np.float32)).item() / camera.bright
    quiet = camera.pedestal + camera.bright * (quiet + sky.veil(dice, quiet, dark))
    added = [
        (kind, cause, stamp.blurred(camera.psf_px, scene.shape).times(camera.bright))
        for kind, cause, stamp in light.objects(scene, camera.band)
    ]
    signal = quiet.astype(np.float32)
    for _, _, stamp in added:
        signal[stamp.where] += stamp.patch
    return signal, added


def _with_inset(seen: Readout, camera: Camera, dice: Dice) -> Readout:
    """Published pictures have other pictures set into them; what an inset covers shows nothing of the scene."""
    if camera.kind != "picture":
        return seen
    counts, covered = sky.inset(dice, seen.counts)
    return replace(seen, counts=counts, slope=np.where(covered, np.float32(0), seen.slope))


def true_object(
    kind: str, cause: Plume | HotSpot, stamp: Stamp, signal: Image, seen: Readout, camera: Camera
) -> TrueObject:
    """Mask and signal of an object: the noise-free picture with it less the one without it, over the noise.

    What a plume takes from the ground behind it, and its shadow, are in the picture but not in its signal.
    """
    here = signal[stamp.where]
    own = np.minimum(here, camera.saturation) - np.minimum(here - stamp.patch, camera.saturation)
    own = np.where(seen.valid[stamp.where], np.maximum(own, 0) * seen.slope[stamp.where], 0)
    sigma = seen.sigma[stamp.where]
    mask = (own >= TRUTH_SIGMA * sigma) & (own >= TRUTH_PEAK * own.max(initial=0)) & (own > 0)
    peak = float(stamp.patch.max()) / camera.bright
    return TrueObject(kind, cause, stamp.row, stamp.column, mask, (own / sigma).astype(np.float32), peak)


def visible(objects: Iterable[TrueObject]) -> tuple[TrueObject, ...]:
    """The objects that have a pixel: the others can be asked of nobody."""
    return tuple(thing for thing in objects if thing.mask.any())


# -- the true limb --------------------------------------------------------------------------------------------------


def true_limb(scene: Scene, valid: NDArray[np.bool_]) -> Limb:
    """The circle closest to Io's limb, when enough of it is inside the picture."""
    if scene.geometry is None:
        return Limb.none("no Io in the picture")
    x, y, radius = scene.geometry.limb_circle()
    share = float(np.mean(_sampled(valid.astype(np.float32), x, y, radius) > 0.5))
    if share < MIN_ARC or radius < SMALLEST_LIMB_PX:
        return Limb.none("too little of the limb is in the picture")
    return Limb(x, y, radius, sigma_px=0.0, source="truth", arc_deg=360 * share)


def limb_seen(scene: Scene, signal: Image, seen: Readout) -> NDArray[np.bool_]:
    """(360,) bool: where the noise-free picture changes across the limb by a few sigmas of one pixel."""
    if scene.geometry is None:
        return np.zeros(360, bool)
    x, y, radius = scene.geometry.limb_circle()
    step = min(2.0, 0.3 * radius)
    change = _sampled(signal, x, y, radius - step) - _sampled(signal, x, y, radius + step)
    change = change * _sampled(seen.slope, x, y, radius)
    sigma = np.maximum(_sampled(seen.sigma, x, y, radius), 1e-12)
    known = _sampled(seen.valid.astype(np.float32), x, y, radius) > 0.5
    return np.asarray(known & (np.abs(change) > VISIBLE_SIGMA * sigma))


def _sampled(image: Image, x: float, y: float, radius: float) -> Image:
    """The picture along a circle, a value a degree (360,); 0 outside it."""
    azimuth = np.radians(np.arange(360))
    column = np.rint(x + radius * np.sin(azimuth)).astype(int)
    row = np.rint(y - radius * np.cos(azimuth)).astype(int)
    inside = (column >= 0) & (column < image.shape[1]) & (row >= 0) & (row < image.shape[0])
    along = np.zeros(360, np.float32)
    along[inside] = image[row[inside], column[inside]]
    return along


# -- what a reader would say ----------------------------------------------------------------------------------------


def _known(scene: Scene, camera: Camera, seen: Readout, frame_id: str) -> dict[str, object]:
    view = View() if scene.geometry is None else view_of(scene.geometry)
    return {
        "unit": seen.unit,
        "id": frame_id,
        "observation": frame_id,
        "instrument": camera.instrument,
        "filter": camera.band.name,
        "wavelength_um": camera.band.effective_um,
        "exposure_s": camera.exposure_s,
        "noise": Noise(camera.read, camera.gain) if seen.unit == camera.unit else Noise(),
        "saturation": seen.saturation,
        "view": view,
        "target": view.target,
    }


def view_of(geometry: Geometry, error_px: tuple[float, float] = (0.0, 0.0)) -> View:
    """What a label would say, its predicted centre wrong by ``error_px``."""
    return View(
        source="label",
        target="IO",
        range_km=geometry.range_km,
        ifov_rad=geometry.ifov_rad,
        centre_x_px=geometry.centre_x_px + error_px[0],
        centre_y_px=geometry.centre_y_px + error_px[1],
        centre_sigma_px=30.0,
        sub_spacecraft_lat_deg=geometry.sub_spacecraft[0],
        sub_spacecraft_lon_w_deg=geometry.sub_spacecraft[1],
        sub_solar_lat_deg=geometry.sub_solar[0],
        sub_solar_lon_w_deg=geometry.sub_solar[1],
        north_azimuth_deg=geometry.north_azimuth_deg,
        phase_deg=geometry.phase_deg,
    )
