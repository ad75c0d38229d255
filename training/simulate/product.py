"""One product of each instrument: all its frames, of one moment, in the shapes of its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from training.simulate import archive
from training.simulate.cameras.camera import Camera
from training.simulate.cameras.junocam import JunocamCamera
from training.simulate.cameras.ssi import SsiCamera
from training.simulate.dice import Dice
from training.simulate.draw import draw_exposure
from training.simulate.recipe import Recipe
from training.simulate.scene import Sample, Scene, light_of, take, true_limb, visible

JUNOCAM_COLOURS = ("BLUE", "GREEN", "RED")
SHAPES = {"ssi": (800, 800), "jiram": (256, 432), "sru": (512, 512), "picture": (512, 512)}
JUNOCAM_FRAMES = 3
JUNOCAM_DELAY_S = 0.372
FIRST_MOMENTS = {
    "ssi": datetime(1997, 6, 28),  # Galileo's ninth orbit
    "junocam": datetime(2023, 12, 30),  # Juno's perijove 57, close to Io
    "jiram": datetime(2023, 12, 30),
    "sru": datetime(2023, 12, 30),
    "picture": datetime(2007, 2, 28),  # New Horizons at Jupiter
}
CENTRE_ERROR_PX = 12.0
"""1-sigma of the predicted disk centre in simulated labels: pointing predictions miss by tens of pixels."""


@dataclass(frozen=True)
class Product:
    """What one file holds.

    Attributes:
        kind: one of ``recipe.INSTRUMENTS``.
        name: stem of the files, as the archive would have it.
        meta: what its label says.
        samples: its frames, with the ids that reading gives them.

    """

    kind: str
    name: str
    meta: archive.Meta
    samples: tuple[Sample, ...]


def _moment(kind: str, index: int) -> datetime:
    return FIRST_MOMENTS[kind] + timedelta(minutes=7 * index)


def _meta(scene: Scene, camera: Camera, dice: Dice, sample: Sample) -> archive.Meta:
    """What the label says: the truth, but for the pointing, which is a prediction."""
    meta = archive.Meta(
        start_time=_moment(camera.kind, dice.index).isoformat(timespec="milliseconds"),
        filter="" if camera.kind == "picture" else camera.band.name,
        observation=f"SIM{camera.kind.upper()}{dice.index:06d}",
        exposure_s=camera.exposure_s,
        interframe_delay_s=JUNOCAM_DELAY_S,
        tdi_stages=camera.tdi_stages if isinstance(camera, JunocamCamera) else 2,
    )
    if isinstance(camera, SsiCamera):
        meta = _ssi_meta(meta, camera, scene)
    geometry = scene.geometry
    if geometry is None:
        return replace(meta, target="SKY")
    error = dice.rng("pointing").normal(0, CENTRE_ERROR_PX, 2)
    return replace(
        meta,
        range_km=geometry.range_km,
        sub_spacecraft_lat_deg=geometry.sub_spacecraft[0],
        sub_spacecraft_lon_w_deg=geometry.sub_spacecraft[1],
        sub_solar_lat_deg=geometry.sub_solar[0],
        sub_solar_lon_w_deg=geometry.sub_solar[1],
        north_azimuth_deg=geometry.north_azimuth_deg,
        phase_deg=geometry.phase_deg,
        centre_x_px=geometry.centre_x_px + error[0],
        centre_y_px=geometry.centre_y_px + error[1],
    )


def _ssi_meta(meta: archive.Meta, camera: SsiCamera, scene: Scene) -> archive.Meta:
    return replace(
        meta,
        gain_mode=camera.gain_mode,
        frame_duration_s=camera.frame_duration_s,
        cut_out_window=camera.cut_out_window,
        truth_window=camera.truth_window,
        telemetry=camera.telemetry,
        compression=camera.compression,
        ict_step=camera.ict_step,
        ict_despike=camera.despike,
        on_chip_mosaic=bool(scene.echoes),
        summed_geometry=camera.summed,
    )


def expose(kind: str, recipe: Recipe, seed: int, index: int) -> Product:
    """Draw one product of an instrument: all its frames, in the shapes of its files."""
    return _EXPOSED[kind](recipe, Dice(seed, index, "", recipe.only, recipe.without))


def _expose_one(kind: str, recipe: Recipe, dice: Dice) -> Product:
    """A product of one frame."""
    recipe = replace(recipe, instrument=kind, shape=SHAPES[kind])
    scene, light, camera = draw_exposure(recipe, dice)
    sample = take(scene, light, camera, dice, _name(kind, dice))
    return Product(kind, _name(kind, dice), _meta(scene, camera, dice, sample), (sample,))


def _expose_junocam(recipe: Recipe, dice: Dice) -> Product:
    """One moment through three filters: each a mosaic of framelets in its own geometry."""
    shapes = {colour: archive.junocam_shape(colour, JUNOCAM_FRAMES, JUNOCAM_DELAY_S) for colour in JUNOCAM_COLOURS}
    recipe = replace(recipe, instrument="junocam", shape=max(shapes.values()))
    scene, _, camera = draw_exposure(recipe, dice)
    samples = []
    for colour, (rows, _) in shapes.items():
        taken = camera.through(colour)
        seen = _behind(scene, taken)
        name = f"{_name('junocam', dice)}_{colour}"
        samples.append(cut_rows(take(seen, light_of(seen, taken.band), taken, dice.part(colour), name), 0, rows))
    return Product("junocam", _name("junocam", dice), _meta(scene, camera, dice, samples[0]), tuple(samples))


def _behind(scene: Scene, camera: Camera) -> Scene:
    """The same scene through the lens of another filter."""
    geometry = scene.geometry
    if geometry is None:
        return scene
    lens = camera.lens((geometry.centre_x_px, geometry.centre_y_px), scene.shape)
    return replace(scene, geometry=replace(geometry, lens=lens))


def _expose_jiram(recipe: Recipe, dice: Dice) -> Product:
    """L over M: one focal plane, half under each filter; mirrored left to right, as the archive's files are."""
    recipe = replace(recipe, instrument="jiram", shape=SHAPES["jiram"])
    scene, _, camera = draw_exposure(recipe, dice)
    samples = []
    for band, first in (("L", 0), ("M", 128)):
        taken = camera.through(band)
        whole = take(scene, light_of(scene, taken.band), taken, dice.part(band), f"{_name('jiram', dice)}_{band}")
        samples.append(mirrored(cut_rows(whole, first, 128)))
    return Product("jiram", _name("jiram", dice), _meta(scene, camera, dice, samples[0]), tuple(samples))


_EXPOSED: dict[str, Callable[[Recipe, Dice], Product]] = {
    "ssi": partial(_expose_one, "ssi"),
    "junocam": _expose_junocam,
    "jiram": _expose_jiram,
    "sru": partial(_expose_one, "sru"),
    "picture": partial(_expose_one, "picture"),
}


def _name(kind: str, dice: Dice) -> str:
    """Name of a product, as its archive would have it."""
    moment, version = _moment(kind, dice.index), f"V{dice.seed % 99 + 1:02d}"  # keeps products of different seeds apart
    return {
        "ssi": f"C{350_000_000 + (10_000 * dice.seed + dice.index) % 300_000_000:010d}R",
        "junocam": f"JNCE_{moment:%Y%j}_57C{dice.index:05d}_{version}",
        "jiram": f"JIR_IMG_RDR_{moment:%Y%jT%H%M%S}_{version}",
        "sru": f"SRU_1_{moment:%Y%jT%H%M%S}_57_{version}",
        "picture": f"picture-{dice.seed}-{dice.index:06d}",
    }[kind]


def cut_rows(sample: Sample, first: int, rows: int) -> Sample:
    """The ``rows`` rows of a sample from ``first`` on, with the truth about them."""
    piece = slice(first, first + rows)
    image, valid = sample.frame.image[piece], sample.frame.valid[piece]
    geometry = sample.scene.geometry
    if geometry is not None and first:
        geometry = replace(geometry, centre_y_px=geometry.centre_y_px - first)
    scene = replace(sample.scene, shape=image.shape, geometry=geometry)
    objects = visible(thing.cut(first, rows) for thing in sample.objects)
    frame = replace(sample.frame, image=image, valid=valid)
    y_px = sample.limb.y_px - sample.limb.radius_px * np.cos(np.radians(np.arange(360)))
    seen = sample.limb_seen & (y_px > first - 0.5) & (y_px < first + rows - 0.5)
    return replace(sample, frame=frame, limb=true_limb(scene, valid), objects=objects, scene=scene, limb_seen=seen)


def mirrored(sample: Sample) -> Sample:
    """The sample turned left to right."""
    across = (slice(None), slice(None, None, -1))
    image, valid = sample.frame.image[across], sample.frame.valid[across]
    columns = sample.frame.shape[1]
    view = replace(
        sample.frame.view,
        mirrored=True,
        centre_x_px=columns - 1 - sample.frame.view.centre_x_px,
        north_azimuth_deg=(180 - sample.frame.view.north_azimuth_deg) % 360,
    )
    frame = replace(sample.frame, image=np.ascontiguousarray(image), valid=np.ascontiguousarray(valid), view=view)
    limb = replace(sample.limb, x_px=columns - 1 - sample.limb.x_px) if sample.limb.trusted else sample.limb
    objects = tuple(thing.mirrored(columns) for thing in sample.objects)
    return replace(sample, frame=frame, limb=limb, objects=objects, limb_seen=np.roll(sample.limb_seen[::-1], 1))
