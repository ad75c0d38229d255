"""Scene -> Sample: the picture with and without each object, and so the exact truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detector.frame import CLASSES, Frame, Noise, View
from detector.limb import Limb
from detector.mask import Mask
from training.labels import FAINT_SNR
from training.simulate.camera import Camera, Display
from training.simulate.disk import Surface, disk_image
from training.simulate.geometry import Geometry
from training.simulate.hotspots import HotSpot, spot_image
from training.simulate.plumes import Plume, plume_image

Image = NDArray[np.float32]
TRUTH_SIGMA = 0.5
TRUTH_PEAK = 0.05
MIN_ARC = 0.06
"""Share of the limb's circle that must be inside the picture for the picture to have a limb."""


@dataclass(frozen=True)
class Scene:
    """Everything about a picture but the noise.

    Attributes:
        shape: rows and columns.
        geometry, surface: of Io; ``geometry`` is None for a picture without Io.
        plumes, hotspots: what erupts.
        backdrop: (H, W) light behind and around Io, in the frame's unit; what Io's disk covers is hidden.
        veil: (H, W) light in front of everything (scattered light, gradients), in the frame's unit.
        valid: (H, W) bool.

    """

    shape: tuple[int, int]
    geometry: Geometry | None
    surface: Surface
    plumes: tuple[Plume, ...]
    hotspots: tuple[HotSpot, ...]
    backdrop: Image
    veil: Image
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class TrueObject:
    """One eruption and its exact truth.

    Attributes:
        kind: ``plume`` or ``hotspot``.
        cause: the Plume or HotSpot that made it.
        mask: (H, W) bool: signal at least 0.5 sigma and at least 5 % of the object's own peak.
        signal: (H, W) float32: its own noise-free signal in units of the noise's sigma; 0 where not valid.

    """

    kind: str
    cause: Plume | HotSpot
    mask: NDArray[np.bool_]
    signal: Image

    @cached_property
    def snr_mf(self) -> float:
        """sqrt(sum s²/sigma²) over valid pixels: the signal-to-noise of a perfect matched filter."""
        return float(np.sqrt(np.sum(self.signal**2, dtype=np.float64)))

    def cut(self, piece: tuple[slice, slice]) -> TrueObject:
        """What a piece of the picture, cut out or mirrored by slices, shows of it."""
        return replace(self, mask=self.mask[piece], signal=self.signal[piece])

    def where(self, known: NDArray[np.bool_]) -> TrueObject:
        """What the ``known`` (H, W) pixels show of it."""
        return replace(self, mask=self.mask & known, signal=np.where(known, self.signal, np.float32(0)))


@dataclass(frozen=True)
class Sample:
    """A frame and the whole truth about it. ``limb`` is none where no limb is in the picture."""

    frame: Frame
    limb: Limb
    objects: tuple[TrueObject, ...]

    def mask(self, faintest: float = 0.0) -> Mask:
        """Truth of the objects with ``snr_mf`` at least ``faintest``."""
        planes = np.zeros((len(CLASSES), *self.frame.shape), bool)
        for thing in self.objects:
            if thing.snr_mf >= faintest:
                planes[CLASSES.index(thing.kind)] |= thing.mask
        return Mask(planes & self.frame.valid, self.frame.valid)

    def ignored(self) -> NDArray[np.bool_]:
        """(2, H, W) bool: pixels of objects too faint to learn from."""
        everything, learnable = self.mask(), self.mask(FAINT_SNR)
        return everything.planes & ~learnable.planes


def io_light(scene: Scene, camera: Camera) -> tuple[Image, list[tuple[str, Plume | HotSpot, Image]]]:
    """Light of the sky and the disk (H, W), and of each object alone, in the frame's unit before the optics."""
    if scene.geometry is None:
        return scene.backdrop.copy(), []
    disk = disk_image(scene.geometry, scene.surface, scene.shape)
    rows, columns = np.mgrid[: scene.shape[0], : scene.shape[1]]
    dx, dy = columns - scene.geometry.centre_x_px, rows - scene.geometry.centre_y_px
    covered = np.clip(scene.geometry.radius_px - np.hypot(dx, dy) + 0.5, 0, 1).astype(np.float32)
    base = scene.backdrop * (1 - covered) + camera.bright * disk
    things: list[tuple[str, Plume | HotSpot, Image]] = [
        ("plume", plume, camera.bright * plume_image(plume, scene.geometry, scene.shape)) for plume in scene.plumes
    ]
    things += [("hotspot", spot, spot_image(spot, scene.geometry, scene.shape)) for spot in scene.hotspots]
    return base, things


def render(
    scene: Scene, camera: Camera, rng: np.random.Generator, frame_id: str, display: Display | None = None
) -> Sample:
    """Take the picture, and take note of what each object added to it."""
    base, things = io_light(scene, camera)
    quiet = camera.blur(base) + scene.veil + camera.pedestal
    added = [(kind, cause, camera.blur(light)) for kind, cause, light in things]
    signal = quiet + sum((light for _, _, light in added), np.zeros(scene.shape, np.float32))
    counts = camera.expose(signal, rng)
    sigma = camera.sigma(np.minimum(signal, camera.saturation))
    seen = np.minimum(signal, camera.saturation)
    response = np.ones(scene.shape, np.float32)
    if display is not None:
        counts, response = display.apply(counts), display.slope(seen)
        sigma = np.hypot(sigma * response, 0.29 + 0.2 * display.block).astype(np.float32)
    objects = []
    for kind, cause, light in added:
        own = (seen - np.minimum(signal - light, camera.saturation)) * response
        objects.append(true_object(kind, cause, own, sigma, scene.valid))
    frame = Frame.of(counts, scene.valid, **_known(scene, camera, frame_id, display))
    return Sample(frame, true_limb(scene), visible(objects))


def true_object(kind: str, cause: Plume | HotSpot, own: Image, sigma: Image, valid: NDArray[np.bool_]) -> TrueObject:
    """Mask and signal of an object from its own noise-free brightness and the noise (H, W)."""
    own = np.where(valid, own, 0)
    mask = (own >= TRUTH_SIGMA * sigma) & (own >= TRUTH_PEAK * own.max()) & (own > 0)
    return TrueObject(kind, cause, mask, own / sigma)


def visible(objects: Iterable[TrueObject]) -> tuple[TrueObject, ...]:
    """The objects that have a pixel: the others can be asked of nobody."""
    return tuple(thing for thing in objects if thing.mask.any())


def true_limb(scene: Scene) -> Limb:
    """The circle closest to Io's limb, when enough of it is inside the picture."""
    if scene.geometry is None:
        return Limb.none("no Io in the picture")
    x, y, radius = scene.geometry.limb_circle()
    azimuth = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    column, row = np.round(x + radius * np.sin(azimuth)).astype(int), np.round(y - radius * np.cos(azimuth)).astype(int)
    inside = (column >= 0) & (column < scene.shape[1]) & (row >= 0) & (row < scene.shape[0])
    inside[inside] = scene.valid[row[inside], column[inside]]
    if inside.mean() < MIN_ARC or radius < 6:
        return Limb.none("too little of the limb is in the picture")
    return Limb(x, y, radius, sigma_px=0.0, source="truth", arc_deg=360 * float(inside.mean()))


def _known(scene: Scene, camera: Camera, frame_id: str, display: Display | None) -> dict[str, object]:
    view = View() if scene.geometry is None else view_of(scene.geometry)
    known: dict[str, object] = {
        "unit": camera.unit,
        "id": frame_id,
        "observation": frame_id,
        "instrument": camera.instrument,
        "filter": camera.filter,
        "wavelength_um": camera.wavelength_um,
        "noise": Noise(camera.read, camera.gain),
        "saturation": camera.saturation,
        "view": view,
        "target": view.target,
    }
    return known if display is None else known | {"unit": "luminance", "noise": Noise(), "saturation": 255.0}


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
