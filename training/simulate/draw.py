"""Draw scenes at random: one seeded generator and one index make one sample, whatever else is being made.

Numbers follow the population facts where they are published and vary widely where they are not. Brightness is drawn
so that the matched-filter signal-to-noise is spread evenly over what can be told from noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from detector.frame import IO_RADIUS_KM
from training.simulate import sky
from training.simulate.camera import Camera, Display
from training.simulate.disk import Surface, disk_image
from training.simulate.geometry import Geometry, direction, lat_lon_w
from training.simulate.hotspots import SHAPES, HotSpot, spot_image
from training.simulate.plumes import FAMILIES, Plume, plume_image
from training.simulate.scene import Sample, Scene, render

Rng = np.random.Generator
Image = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """What to draw.

    Attributes:
        instrument: ``ssi``, ``junocam``, ``jiram``, ``picture`` (any framing camera, often processed) or ``mixed``.
        shape: rows and columns of the picture.
        radius_px: range of the disk's radius, drawn log-uniformly. usual_radius_px: where two thirds of them lie.
        plume_snr, hotspot_snr: ranges of ``snr_mf``, drawn log-uniformly.
        empty: share of pictures without any eruption.
        eclipse: share of visible-light pictures taken in Jupiter's shadow, where hot spots and glows are all there is.
        no_limb: share of pictures without Io's limb (close-ups, Jupiter, other moons, blank sky).
        gaps: whether lines and margins may be missing.

    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")  # a misspelt setting is refused, not passed over

    instrument: str = "mixed"
    shape: tuple[int, int] = (256, 256)
    radius_px: tuple[float, float] = (12.0, 700.0)
    usual_radius_px: tuple[float, float] = (40.0, 240.0)
    plume_snr: tuple[float, float] = (4.0, 1500.0)
    hotspot_snr: tuple[float, float] = (3.0, 400.0)
    empty: float = 0.2
    eclipse: float = 0.1
    no_limb: float = 0.08
    gaps: bool = True


INSTRUMENTS = ("ssi", "junocam", "jiram", "picture")
MIXED_SHARES = (0.25, 0.10, 0.20, 0.45)
DAYLIGHT_READ = 10
"""A visible-light picture whose sunlit surface is brighter than this many read noises shows no hot spot by day."""


def draw_sample(recipe: Recipe, seed: int, index: int) -> Sample:
    """One sample, the same bytes for the same recipe, seed and index."""
    rng = np.random.default_rng([seed, index])
    instrument = recipe.instrument if recipe.instrument != "mixed" else str(rng.choice(INSTRUMENTS, p=MIXED_SHARES))
    scene, camera = draw_exposure(replace(recipe, instrument=instrument), rng)
    display = _display(rng, camera) if instrument == "picture" and rng.random() < 0.7 else None
    return render(scene, camera, rng, f"sim-{instrument}-{seed}-{index:06d}", display)


def draw_exposure(recipe: Recipe, rng: Rng) -> tuple[Scene, Camera]:
    """A scene, its objects as bright as the recipe wants, and the camera in front of it."""
    camera = CAMERAS[recipe.instrument](rng)
    if recipe.instrument != "jiram" and rng.random() < recipe.eclipse:
        camera = replace(camera, bright=camera.bright * _log_uniform(rng, 1e-4, 3e-2))
    return _set_brightness(draw_scene(recipe, camera, rng), camera, recipe, rng), camera


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# -- cameras --------------------------------------------------------------------------------------------------------


def _ssi(rng: Rng) -> Camera:
    name, wavelength = [("CLEAR", 0.611), ("GREEN", 0.559), ("RED", 0.671), ("VIOLET", 0.404), ("IR-9680", 0.986)][
        rng.integers(5)
    ]
    return Camera(
        "galileo_ssi",
        name,
        wavelength,
        "DN",
        10.16e-6,
        psf_px=rng.uniform(0.5, 0.8),
        bright=_log_uniform(rng, 30, 1500),
        pedestal=rng.uniform(0, 12),
        read=rng.uniform(0.4, 1.6),
        gain=_log_uniform(rng, 20, 400),
        saturation=255,
        step=1,
        block=rng.uniform(1, 12) if rng.random() < 0.5 else 0,
        hits=_log_uniform(rng, 0.3, 60),
        hit_level=rng.uniform(8, 80),
    )


def _junocam(rng: Rng) -> Camera:
    name, wavelength = [("BLUE", 0.480), ("GREEN", 0.554), ("RED", 0.699)][rng.integers(3)]
    return Camera(
        "junocam",
        name,
        wavelength,
        "DN",
        672.7e-6,
        psf_px=rng.uniform(0.5, 0.9),
        bright=_log_uniform(rng, 80, 8000),
        pedestal=rng.uniform(0, 30),
        read=rng.uniform(2, 8),
        gain=_log_uniform(rng, 4, 30),
        saturation=2879,
        step=2,
        hits=_log_uniform(rng, 0.5, 150),
        hit_level=rng.uniform(30, 400),
        columns=rng.uniform(0, 4) * (rng.random() < 0.3),
    )


def _jiram(rng: Rng) -> Camera:
    band_m = rng.random() < 0.6
    exposure_s = float(rng.choice([0.001, 0.003, 0.012]))
    return Camera(
        "jiram",
        "M" if band_m else "L",
        4.780 if band_m else 3.455,
        "W m-2 sr-1",
        237.767e-6,
        psf_px=rng.uniform(0.45, 0.8),
        bright=_log_uniform(rng, 0.02, 0.4),
        pedestal=0.0,
        read=_log_uniform(rng, 5e-4, 1.2e-2),
        gain=_log_uniform(rng, 3e3, 3e5),
        saturation=0.0073 / exposure_s,
        step=0,
        columns=_log_uniform(rng, 1e-4, 8e-3),
        hits=_log_uniform(rng, 0.5, 80),
        hit_level=_log_uniform(rng, 0.02, 0.5),
    )


def _framing(rng: Rng) -> Camera:
    return Camera(
        "unknown",
        "",
        float(rng.uniform(0.4, 0.9)),
        "DN",
        10e-6,
        psf_px=rng.uniform(0.4, 1.6),
        bright=_log_uniform(rng, 60, 3000),
        pedestal=rng.uniform(0, 40),
        read=_log_uniform(rng, 0.3, 5),
        gain=_log_uniform(rng, 5, 400),
        saturation=float(rng.choice([255, 1023, 4095])),
        step=1,
        hits=_log_uniform(rng, 0.05, 10),
        hit_level=rng.uniform(5, 80),
        block=rng.uniform(1, 8) if rng.random() < 0.2 else 0,
    )


CAMERAS: dict[str, Callable[[Rng], Camera]] = {"ssi": _ssi, "junocam": _junocam, "jiram": _jiram, "picture": _framing}


def _display(rng: Rng, camera: Camera) -> Display:
    top = min(camera.saturation, camera.pedestal + camera.bright * rng.uniform(0.15, 1.0))
    span = max(top - camera.pedestal, 20 * camera.read)
    return Display(
        black=camera.pedestal + rng.uniform(-0.05, 0.03) * span,
        white=camera.pedestal + span,
        gamma=_log_uniform(rng, 0.45, 1.5),
        sharpen=rng.uniform(0, 1.5) if rng.random() < 0.4 else 0,
        sharpen_px=rng.uniform(0.7, 2.5),
        block=rng.uniform(1, 10) if rng.random() < 0.6 else 0,
    )


# -- scenes ---------------------------------------------------------------------------------------------------------


def draw_scene(recipe: Recipe, camera: Camera, rng: Rng) -> Scene:
    """A scene with every object at brightness 1; ``_set_brightness`` sets them."""
    empty = rng.random() < recipe.empty
    if rng.random() < recipe.no_limb:
        geometry = _close_up(rng, recipe, camera) if rng.random() < 0.5 else None
    else:
        geometry = _geometry(rng, recipe, camera)
    surface = _surface(rng, camera)
    plumes: tuple[Plume, ...] = ()
    spots: tuple[HotSpot, ...] = ()
    if geometry is not None and not empty:
        plumes = tuple(_plume(rng, geometry) for _ in range(rng.choice([0, 1, 2, 3], p=[0.2, 0.5, 0.2, 0.1])))
        many = 14 if camera.instrument == "jiram" else 3
        spots = tuple(_spot(rng, geometry) for _ in range(rng.integers(0, many + 1)))
        if camera.instrument != "jiram" and camera.bright > DAYLIGHT_READ * camera.read:
            spots = tuple(
                s for s in spots if direction(s.lat_deg, s.lon_w_deg) @ direction(*geometry.sub_solar) < -0.02
            )
    if geometry is not None and camera.instrument == "jiram" and rng.random() < 0.9:
        plumes = ()
    backdrop, veil = _backdrop(rng, recipe.shape, camera), _veil(rng, recipe.shape, camera, geometry, surface)
    valid = _validity(rng, recipe.shape) if recipe.gaps else np.ones(recipe.shape, bool)
    return Scene(recipe.shape, geometry, surface, plumes, spots, backdrop, veil, valid)


def _geometry(rng: Rng, recipe: Recipe, camera: Camera) -> Geometry:
    rows, columns = recipe.shape
    side = min(rows, columns)
    low, high = recipe.usual_radius_px if rng.random() < 2 / 3 else recipe.radius_px
    radius = _log_uniform(rng, low, max(min(high, 4 * side), low))
    angle = rng.uniform(0, 2 * np.pi)
    # Small disks lie anywhere; of large ones the limb, not the centre, is put into the picture.
    limb_x, limb_y = columns * rng.uniform(0.2, 0.8), rows * rng.uniform(0.2, 0.8)
    if radius > 0.5 * side:
        x, y = limb_x + radius * np.cos(angle), limb_y + radius * np.sin(angle)
    else:
        room = 0.5 - 0.7 * radius / side
        x, y = columns * (0.5 + rng.uniform(-room, room)), rows * (0.5 + rng.uniform(-room, room))
    return _looking(rng, camera, float(x), float(y), radius)


def _close_up(rng: Rng, recipe: Recipe, camera: Camera) -> Geometry:
    size = math.hypot(*recipe.shape)
    radius = size * rng.uniform(1.0, 5)
    off = rng.uniform(0, radius - 0.75 * size) if radius > 0.75 * size else 0.0
    angle = rng.uniform(0, 2 * np.pi)
    return _looking(
        rng, camera, recipe.shape[1] / 2 + off * np.cos(angle), recipe.shape[0] / 2 + off * np.sin(angle), radius
    )


def _looking(rng: Rng, camera: Camera, x: float, y: float, radius: float) -> Geometry:
    ifov = min(camera.ifov_rad, math.asin(0.8) / radius)
    spacecraft = np.degrees(np.arcsin(np.clip(rng.normal(0, 0.3), -0.98, 0.98))), rng.uniform(0, 360)
    phase = np.radians(rng.uniform(0, 170))
    towards = direction(*spacecraft)
    aside = np.cross(towards, rng.normal(size=3))
    sun = np.cos(phase) * towards + np.sin(phase) * aside / np.linalg.norm(aside)
    lat, lon_w = lat_lon_w(sun)
    return Geometry(
        x,
        y,
        IO_RADIUS_KM / math.sin(radius * ifov),
        ifov,
        (float(spacecraft[0]), float(spacecraft[1])),
        (float(lat), float(lon_w)),
        rng.uniform(0, 360),
    )


def _surface(rng: Rng, camera: Camera) -> Surface:
    colour = float(np.clip((camera.wavelength_um - 0.44) / 0.11, 0, 2))
    return Surface(
        colour=colour,
        level=rng.uniform(0.3, 0.9),
        contrast=rng.uniform(0.4, 2.2),
        minnaert=rng.uniform(0.5, 0.95),
        jupiter_shine=_log_uniform(rng, 1e-4, 0.05) if rng.random() < 0.4 else 0.0,
        mountains_km=rng.uniform(3, 17) if rng.random() < 0.35 else 0.0,
        seed=int(rng.integers(2**31)),
    )


def _plume(rng: Rng, geometry: Geometry) -> Plume:
    """At the limb mostly, with the vent before or behind it; one in six anywhere on the disk."""
    kind = rng.choice(3, p=[0.7, 0.2, 0.1])
    height = float([rng.uniform(40, 120), rng.uniform(120, 250), rng.uniform(250, 450)][kind])
    horizon = math.acos(IO_RADIUS_KM / geometry.range_km)
    over = math.acos(IO_RADIUS_KM / (IO_RADIUS_KM + height))
    if rng.random() < 5 / 6:
        apart = horizon + rng.uniform(-1.2, 0.75) * over
    else:
        apart = math.acos(rng.uniform(math.cos(horizon), 1))
    lat, lon_w = _place(geometry, rng.uniform(0, 2 * np.pi), apart)
    return Plume(lat, lon_w, height, str(rng.choice(list(FAMILIES))), 1.0, int(rng.integers(2**31)))


def _spot(rng: Rng, geometry: Geometry) -> HotSpot:
    horizon = math.acos(IO_RADIUS_KM / geometry.range_km)
    lat, lon_w = _place(geometry, rng.uniform(0, 2 * np.pi), math.acos(rng.uniform(math.cos(horizon * 0.98), 1)))
    size = _log_uniform(rng, 0.3, 150)
    shape = "point" if rng.random() < 0.5 else str(rng.choice(SHAPES[1:]))
    return HotSpot(
        lat, lon_w, rng.uniform(250, 1500), _log_uniform(rng, 1e-2, 3e3), size, shape, 1.0, int(rng.integers(2**31))
    )


def _place(geometry: Geometry, azimuth: float, apart: float) -> tuple[float, float]:
    """The point of the surface at an azimuth on the picture and an angle from the sub-spacecraft point."""
    camera = np.array([math.sin(apart) * math.sin(azimuth), -math.sin(apart) * math.cos(azimuth), math.cos(apart)])
    lat, lon_w = lat_lon_w(geometry.rotation.T @ camera)
    return float(lat), float(lon_w)


def _backdrop(rng: Rng, shape: tuple[int, int], camera: Camera) -> Image:
    image = np.zeros(shape, np.float32)
    if rng.random() < 0.4:
        image += sky.stars(rng, shape, int(rng.integers(1, 30)), 3 * camera.read)
    if rng.random() < 0.12:
        image += sky.jupiter(rng, shape, camera.bright * rng.uniform(0.05, 0.8))
    if rng.random() < 0.12:
        image += sky.moon(rng, shape, _log_uniform(rng, 1.5, 0.15 * min(shape)), camera.bright * rng.uniform(0.1, 0.8))
    if rng.random() < 0.05:
        image += sky.ring(rng, shape, camera.bright * _log_uniform(rng, 1e-3, 0.2))
    return image


def _veil(rng: Rng, shape: tuple[int, int], camera: Camera, geometry: Geometry | None, surface: Surface) -> Image:
    veil = np.zeros(shape, np.float32)
    if rng.random() < 0.5:
        veil += sky.gradient(rng, shape, camera.read * _log_uniform(rng, 0.3, 15))
    if geometry is not None and rng.random() < 0.75:
        disk = camera.bright * disk_image(geometry, surface, shape)
        veil += sky.scattered(rng, disk, _log_uniform(rng, 0.003, 0.12))
        if rng.random() < 0.1:
            veil += sky.ghost(rng, disk, _log_uniform(rng, 1e-3, 0.03))
    return veil


def _validity(rng: Rng, shape: tuple[int, int]) -> NDArray[np.bool_]:
    valid = np.ones(shape, bool)
    if rng.random() < 0.15:
        for _ in range(rng.integers(1, 5)):
            start = rng.integers(shape[0])
            valid[start : start + rng.integers(1, 9)] = False
    if rng.random() < 0.15:
        edge = rng.integers(0, shape[0] // 4, 4)
        valid[: edge[0]], valid[shape[0] - edge[1] :] = False, False
        valid[:, : edge[2]], valid[:, shape[1] - edge[3] :] = False, False
    return valid


def _set_brightness(scene: Scene, camera: Camera, recipe: Recipe, rng: Rng) -> Scene:
    """Give every object the peak that makes its ``snr_mf`` what was drawn; drop what cannot be seen at all."""
    if scene.geometry is None or not (scene.plumes or scene.hotspots):
        return scene
    geometry = scene.geometry
    noise = camera.read + 0.3 * camera.step
    glow = max(1.0, DAYLIGHT_READ * camera.read / camera.bright)  # in eclipse plumes shine by themselves

    def scaled(thing: Plume | HotSpot, light: Image, most: float) -> Plume | HotSpot | None:
        own = np.where(scene.valid, camera.blur(light), 0)
        size = float(np.sqrt(np.sum((own / noise) ** 2)))
        if size <= 0:
            return None
        wanted = recipe.plume_snr if isinstance(thing, Plume) else recipe.hotspot_snr
        return replace(thing, peak=min(_log_uniform(rng, *wanted) / size, most))

    plumes = (scaled(p, camera.bright * plume_image(p, geometry, scene.shape), 0.5 * glow) for p in scene.plumes)
    spots = (scaled(s, spot_image(s, geometry, scene.shape), math.inf) for s in scene.hotspots)
    return replace(
        scene,
        plumes=tuple(p for p in plumes if isinstance(p, Plume)),
        hotspots=tuple(s for s in spots if isinstance(s, HotSpot)),
    )
