"""Draw pictures at random: one seed and one index make one picture, whatever else is being made.

Numbers follow the population facts where they are published and vary widely where they are not. Most objects are then
scaled, within what is physical, so that the matched-filter signal-to-noise is spread evenly over what can be told from
noise: the masses, areas and powers in the truth are those of the scaled object.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from detector.frame import IO_RADIUS_KM
from training.simulate import sky
from training.simulate.cameras import CAMERAS
from training.simulate.cameras.camera import Camera
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.disk import auroral_glow, draw_surface
from training.simulate.geometry import Geometry, direction, lat_lon_w
from training.simulate.hotspots import HotSpot, draw_spot
from training.simulate.lens import Lens
from training.simulate.light import Image, Stamp
from training.simulate.plumes import Plume, draw_plume
from training.simulate.recipe import INSTRUMENTS, MIXED_SHARES, Recipe
from training.simulate.scene import Echo, Light, Sample, Scene, light_of, plume_light, take

DAYLIGHT_READ = 10
"""A visible-light picture whose sunlit surface is brighter than this many read noises is a daylight picture."""
OPTICAL_DEPTH = (0.002, 2.0)
AREA_KM2 = (1e-5, 2e4)
LEAST_SNR = 0.3
"""Objects below this are in no picture: they could be neither seen nor scored."""
GLOW = (1e-6, 1e-4)
TRIES = 6
LEAST_OUTLINE_KM = 20.0


def draw_sample(recipe: Recipe, seed: int, index: int) -> Sample:
    """One sample, the same bytes for the same recipe, seed and index."""
    dice = Dice(seed, index, "", recipe.only, recipe.without)
    recipe = of_one_instrument(recipe, dice)
    scene, light, camera = draw_exposure(recipe, dice)
    return take(scene, light, camera, dice, f"sim-{recipe.instrument}-{seed}-{index:06d}")


def of_one_instrument(recipe: Recipe, dice: Dice) -> Recipe:
    """The recipe with its instrument drawn, when it is mixed."""
    if recipe.instrument != "mixed":
        return recipe
    return replace(recipe, instrument=str(dice.rng("instrument").choice(INSTRUMENTS, p=MIXED_SHARES)))


def draw_exposure(recipe: Recipe, dice: Dice) -> tuple[Scene, Light, Camera]:
    """A scene, its light, and the camera in front of it; every object as bright as the recipe wants."""
    eclipse = dice.effect("eclipse", recipe.eclipse) is not None
    camera = CAMERAS[recipe.instrument](dice, recipe.shape, eclipse)
    recipe = replace(recipe, shape=camera.picture_shape(recipe.shape))
    scene = draw_scene(recipe, camera, dice, eclipse)
    light = light_of(scene, camera.band)
    return *tuned(scene, light, camera, recipe, dice.rng("brightness")), camera


# -- scenes ---------------------------------------------------------------------------------------------------------


def draw_scene(recipe: Recipe, camera: Camera, dice: Dice, eclipse: bool) -> Scene:
    """A scene with objects as the populations have them."""
    rng = dice.rng("scene")
    limbless, close = rng.random() < recipe.no_limb, rng.random() < 0.5
    geometry = _geometry(rng, recipe, camera, close_up=limbless)
    surface = draw_surface(dice, camera.band.effective_um)
    sunlight = 1.0
    if eclipse:
        sunlight = log_uniform(rng, 1e-8, 1e-5) if rng.random() < 0.3 else 0.0
        surface = replace(surface, sunlight=sunlight, jupiter_shine=0.0)
    dark = camera.sigma(np.full((1, 1), camera.pedestal, np.float32)).item() / camera.bright
    if limbless and not close:
        warm = log_uniform(rng, 1, 20) if camera.kind == "jiram" else 1.0  # Jupiter glows at 5 um
        return Scene(
            recipe.shape,
            None,
            surface,
            (),
            (),
            max(sunlight, 1e-4) * warm * sky.no_io(dice, recipe.shape, 3 * dark, camera.ifov_rad),
        )
    plumes, spots = ((), ()) if rng.random() < recipe.empty else _eruptions(rng, recipe, camera, geometry, eclipse)
    glow = dice.effect("auroral_limb", 0.6) if eclipse and camera.kind != "jiram" else None
    return Scene(
        recipe.shape,
        geometry,
        surface,
        plumes,
        spots,
        sky.backdrop(dice, recipe.shape, 3 * dark, camera.ifov_rad, sunlight, geometry.sun),
        glow=None if glow is None else auroral_glow(geometry, glow, recipe.shape),
        echoes=_echoes(dice, recipe.shape, camera, geometry),
    )


def _eruptions(
    rng: Rng, recipe: Recipe, camera: Camera, geometry: Geometry, eclipse: bool
) -> tuple[tuple[Plume, ...], tuple[HotSpot, ...]]:
    plumes: list[Plume] = []
    if camera.kind != "jiram" or rng.random() < 0.1:
        odds = np.array([0.2, 0.5, 0.2, 0.1, 0.05, 0.03])[: recipe.plumes + 1]
        for _ in range(rng.choice(len(odds), p=odds / odds.sum())):
            plumes.append(_plume(rng, recipe, geometry, eclipse))
    if eclipse and camera.kind != "jiram":
        plumes = [replace(p, glow=log_uniform(rng, *GLOW)) for p in plumes]
    many = recipe.hotspots * (5 if camera.kind == "jiram" or eclipse else 1)
    spots = tuple(_spot(rng, recipe, geometry) for _ in range(rng.integers(0, many + 1)))
    return tuple(plumes), spots


def _plume(rng: Rng, recipe: Recipe, geometry: Geometry, eclipse: bool) -> Plume:
    """A plume, drawn again a few times when its top is off the picture or in the dark."""
    for _ in range(TRIES):
        plume = draw_plume(rng, geometry, recipe.families, recipe.place)
        up = geometry.rotation @ direction(plume.lat_deg, plume.lon_w_deg)
        top = up * (IO_RADIUS_KM + 0.7 * plume.height_km)
        x, y = (float(value) for value in geometry.project(top))
        along = float(top @ geometry.sun)
        lit = eclipse or along > 0 or np.linalg.norm(top - along * geometry.sun) > IO_RADIUS_KM
        if lit and 0 <= x < recipe.shape[1] and 0 <= y < recipe.shape[0]:
            break
    return plume


def _spot(rng: Rng, recipe: Recipe, geometry: Geometry) -> HotSpot:
    spot = draw_spot(rng, geometry)
    if not recipe.spot_shapes:
        return spot
    return replace(spot, shape=str(rng.choice(recipe.spot_shapes)), size_km=max(spot.size_km, LEAST_OUTLINE_KM))


def _echoes(dice: Dice, shape: tuple[int, int], camera: Camera, geometry: Geometry) -> tuple[Echo, ...]:
    """Further exposures of an on-chip mosaic: the camera was moved by more than a disk between them."""
    rng = dice.effect("on_chip_mosaic", 0.04) if camera.kind == "ssi" else None
    if rng is None or geometry.radius_px > 0.3 * min(shape):
        return ()
    step = 2.3 * geometry.radius_px * rng.uniform(1, 1.6)
    turn = rng.uniform(0, 2 * np.pi)
    bright = rng.uniform(0.4, 1.6, 3)
    return tuple(
        Echo(step * n * math.cos(turn), step * n * math.sin(turn), float(bright[n]))
        for n in range(1, rng.integers(2, 4))
    )


def _geometry(rng: Rng, recipe: Recipe, camera: Camera, close_up: bool) -> Geometry:
    x, y, radius = _close_up(rng, recipe) if close_up else _framed(rng, recipe)
    return _looking(rng, recipe, camera, (x, y, radius), camera.lens((x, y), recipe.shape))


def _framed(rng: Rng, recipe: Recipe) -> tuple[float, float, float]:
    """Centre and radius of a disk whose limb is in the picture."""
    rows, columns = recipe.shape
    side = min(rows, columns)
    low, high = recipe.usual_radius_px if rng.random() < 2 / 3 else recipe.radius_px
    radius = log_uniform(rng, low, max(min(high, 4 * side), low))
    angle = rng.uniform(0, 2 * np.pi)
    # Small disks lie anywhere; of large ones the limb, not the centre, is put into the picture.
    limb_x, limb_y = columns * rng.uniform(0.2, 0.8), rows * rng.uniform(0.2, 0.8)
    if radius > 0.5 * side:
        return float(limb_x + radius * np.cos(angle)), float(limb_y + radius * np.sin(angle)), radius
    room = 0.5 - 0.7 * radius / side
    return columns * (0.5 + rng.uniform(-room, room)), rows * (0.5 + rng.uniform(-room, room)), radius


def _close_up(rng: Rng, recipe: Recipe) -> tuple[float, float, float]:
    """A disk so large that no limb is in the picture."""
    size = math.hypot(*recipe.shape)
    radius = size * rng.uniform(1.0, 5)
    off = rng.uniform(0, radius - 0.75 * size)
    angle = rng.uniform(0, 2 * np.pi)
    return recipe.shape[1] / 2 + off * math.cos(angle), recipe.shape[0] / 2 + off * math.sin(angle), radius


def _looking(rng: Rng, recipe: Recipe, camera: Camera, disk: tuple[float, float, float], lens: Lens) -> Geometry:
    x, y, radius = disk
    ifov = min(camera.ifov_rad, math.tan(math.asin(0.8)) / radius)  # no closer than 450 km above the ground
    spacecraft = math.degrees(math.asin(np.clip(rng.normal(0, 0.3), -0.98, 0.98))), rng.uniform(0, 360)
    phase = math.radians(rng.uniform(*recipe.phase_deg))
    towards = direction(*spacecraft)
    aside = np.cross(towards, rng.normal(size=3))
    sun = math.cos(phase) * towards + math.sin(phase) * aside / np.linalg.norm(aside)
    lat, lon_w = lat_lon_w(sun)
    range_km = IO_RADIUS_KM / math.sin(math.atan(radius * ifov))
    north = rng.uniform(0, 360)
    return Geometry(x, y, range_km, ifov, spacecraft, (float(lat), float(lon_w)), north, lens)


# -- brightness -----------------------------------------------------------------------------------------------------


def tuned(scene: Scene, light: Light, camera: Camera, recipe: Recipe, rng: Rng) -> tuple[Scene, Light]:
    """Scale most objects to the signal-to-noise that the recipe wants; drop what cannot be seen at all.

    Hot spots in daylight stay as nature has them: only the largest outbursts outshine the sunlit ground.
    """
    noise = camera.sigma(camera.pedestal + camera.bright * light.quiet)

    def snr(stamp: Stamp) -> float:
        seen = stamp.blurred(camera.psf_px, scene.shape)
        return _snr(camera.bright * seen.patch, noise[seen.where])

    columns, stamps = [], []
    for plume, held in light.columns:
        wanted = log_uniform(rng, *recipe.plume_snr)
        if rng.random() >= recipe.natural:
            reached = snr(plume_light(plume, held, scene, light.quiet, camera.band))
            plume = _denser(plume, wanted / max(reached, 1e-9))
        if snr(plume_light(plume, held, scene, light.quiet, camera.band)) >= LEAST_SNR:
            columns.append((plume, held))
    for spot, stamp in light.stamps:
        wanted, reached = log_uniform(rng, *recipe.hotspot_snr), snr(stamp)
        factor = wanted / max(reached, 1e-9)
        if rng.random() < recipe.natural or _by_day(spot, scene, camera):
            factor = 1.0
        factor = float(np.clip(factor, AREA_KM2[0] / spot.area_km2, AREA_KM2[1] / spot.area_km2))
        if factor * reached >= LEAST_SNR:
            stamps.append((spot.times(factor), stamp.times(factor)))
    scene = replace(scene, plumes=tuple(p for p, _ in columns), hotspots=tuple(s for s, _ in stamps))
    return scene, replace(light, columns=tuple(columns), stamps=tuple(stamps))


def _snr(own: Image, noise: Image) -> float:
    return float(np.sqrt(np.sum((own / noise) ** 2, dtype=np.float64)))


def _denser(plume: Plume, factor: float) -> Plume:
    """More dust, or a brighter glow in eclipse, within what is physical."""
    if plume.glow > 0:
        return replace(plume, glow=float(np.clip(plume.glow * factor, 0.1 * GLOW[0], 3 * GLOW[1])))
    return replace(plume, optical_depth=float(np.clip(plume.optical_depth * factor, *OPTICAL_DEPTH)))


def _by_day(spot: HotSpot, scene: Scene, camera: Camera) -> bool:
    if scene.geometry is None or camera.kind == "jiram":
        return False
    sunlit = direction(spot.lat_deg, spot.lon_w_deg) @ direction(*scene.geometry.sub_solar) > -0.02
    return bool(sunlit and camera.bright * scene.surface.sunlight > DAYLIGHT_READ * camera.read)
