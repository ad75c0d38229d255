"""Whole simulated products as archive files, with their truth, as a dataset (see ``training.labels``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import yaml
from pydantic import TypeAdapter, ValidationError

from detector.errors import InputError
from detector.frame import Frame
from detector.instruments import JIRAM_SATURATION_W_S, SSI_GAIN_E_PER_DN
from detector.limb import Limb
from detector.mask import Mask
from detector.products import find_products
from detector.readers import read_frames
from training.labels import DatasetWriter, LabelledFrame, Truth
from training.simulate import archive
from training.simulate.camera import Camera
from training.simulate.draw import INSTRUMENTS, Recipe, draw_exposure, draw_sample
from training.simulate.hotspots import HotSpot, band_radiance
from training.simulate.plumes import Plume
from training.simulate.scene import Sample, Scene, TrueObject, render, visible
from training.simulate.source import source_digests

SHAPES = {"ssi": (800, 800), "jiram": (256, 432), "picture": (512, 512)}
JUNOCAM_FRAMES = 3
JUNOCAM_DELAY_S = 0.372
JIRAM_BANDS_UM = {"L": (3.3105, 3.6005), "M": (4.54, 5.02)}
FIRST_MOMENTS = {
    "ssi": datetime(1997, 6, 28),  # Galileo's ninth orbit
    "junocam": datetime(2023, 12, 30),  # Juno's perijove 57, close to Io
    "jiram": datetime(2023, 12, 30),
    "picture": datetime(2007, 2, 28),  # New Horizons at Jupiter
}
SSI_EXPOSURE_S = 0.1 / 300
"""Exposure that brings a surface of I/F = 1 to 1 DN; what SSI could be commanded is ``SSI_EXPOSURES_S``."""
SSI_EXPOSURES_S = (0.0041667, 51.2)
CENTRE_ERROR_PX = 12.0
"""1-sigma of the predicted disk centre in simulated labels: pointing predictions miss by tens of pixels."""


@dataclass(frozen=True)
class Band:
    """One frame of a product: the id that reading will give it, and its sample in the file's own geometry."""

    frame_id: str
    sample: Sample


def write_dataset(
    out: Path,
    instrument: str,
    count: int,
    seed: int,
    config: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write ``count`` simulated products and their truth.

    Args:
        out: folder of the dataset; must be new or empty.
        instrument: ``ssi``, ``junocam``, ``jiram``, ``picture``, or ``mixed`` (each in turn).
        seed: same seed, same bytes; 0 or more.
        config: YAML of ``training.simulate.draw.Recipe`` fields to change; the shapes are the instruments' own.
        progress: is told products done and all.

    Returns:
        number of frames; a JunoCam product has three, a JIRAM product two.

    Raises:
        InputError: an unknown instrument, a folder in use, a negative seed, or a configuration that is not one.

    """
    kinds = INSTRUMENTS if instrument == "mixed" else (instrument,)
    if not set(kinds) <= set(INSTRUMENTS):
        raise InputError("instrument", f"{instrument!r} is not one of {', '.join(INSTRUMENTS)} or mixed")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(out, "is not empty", "name a new folder, or empty this one")
    if seed < 0:
        raise InputError("seed", f"is {seed}, expected 0 or more")
    recipe = _recipe(config)
    made = {
        "generator": "io-detector simulate",
        "instrument": instrument,
        "count": count,
        "seed": seed,
        "recipe": asdict(recipe),
        **source_digests(),
    }
    frames = 0
    with DatasetWriter(out, made) as dataset:
        for index in range(count):
            frames += _add_product(dataset, kinds[index % len(kinds)], recipe, seed, index)
            progress(index + 1, count)
    return frames


def _recipe(config: Path | None) -> Recipe:
    if config is None:
        return Recipe()
    try:
        return TypeAdapter(Recipe).validate_python(yaml.safe_load(config.read_text()) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InputError(config, f"not a recipe for simulated frames: {error}") from error


def _add_product(dataset: DatasetWriter, kind: str, recipe: Recipe, seed: int, index: int) -> int:
    path, bands = WRITERS[kind](dataset.frames, recipe, seed, index)
    written = {frame.id: frame for product in find_products([path]) for frame in read_frames(product)}
    for band in bands:
        dataset.add(path.name, label(band, written[band.frame_id]))
    return len(bands)


def label(band: Band, frame: Frame) -> LabelledFrame:
    """The truth about a frame as reading gives it: a pixel that the reader does not know is not known."""
    known = frame.valid & band.sample.frame.valid
    seen = replace(band.sample, objects=visible(thing.where(known) for thing in band.sample.objects))
    return LabelledFrame(
        band.frame_id,
        "",
        Mask(seen.mask().planes, known),
        seen.limb,
        tuple(truth_of(str(n), thing) for n, thing in enumerate(seen.objects)),
        observation=frame.observation,
        instrument=frame.instrument,
        filter=frame.filter,
    )


def truth_of(object_id: str, thing: TrueObject) -> Truth:
    """A simulated object in the form of a label."""
    cause = thing.cause
    facts: dict[str, object] = {
        "name": cause.name,
        "lat_deg": cause.lat_deg,
        "lon_e_deg": (-cause.lon_w_deg + 180) % 360 - 180,
        "snr_mf": thing.snr_mf,
    }
    if isinstance(cause, Plume):
        facts |= {"height_km": cause.height_km, "peak_i_over_f": cause.peak, "family": cause.family}
    else:
        facts |= {"temperature_k": cause.temperature_k, "area_km2": cause.area_km2, "family": cause.shape}
    return Truth.cut(object_id, thing.kind, thing.mask, **facts)


# -- one product of each instrument: draw, expose, write ------------------------------------------------------------


def _moment(kind: str, index: int) -> datetime:
    return FIRST_MOMENTS[kind] + timedelta(minutes=7 * index)


def _version(seed: int) -> str:
    """The version in a product's name: keeps products of different seeds apart."""
    return f"V{seed % 99 + 1:02d}"


def _gain_mode(camera: Camera) -> str:
    """SSI's gain state nearest to the drawn gain."""
    return min(SSI_GAIN_E_PER_DN, key=lambda mode: abs(math.log(SSI_GAIN_E_PER_DN[mode] / camera.gain)))


def _exposure_s(camera: Camera, kind: str) -> float:
    if kind == "jiram":
        return JIRAM_SATURATION_W_S / camera.saturation
    if kind == "ssi":
        return min(max(SSI_EXPOSURE_S * camera.bright, SSI_EXPOSURES_S[0]), SSI_EXPOSURES_S[1])
    return 0.1


def _meta(scene: Scene, camera: Camera, rng: np.random.Generator, index: int, kind: str) -> archive.Meta:
    meta = archive.Meta(
        start_time=_moment(kind, index).isoformat(timespec="milliseconds"),
        filter=camera.filter,
        observation=f"SIM{kind.upper()}{index:06d}",
        exposure_s=_exposure_s(camera, kind),
        gain_mode=_gain_mode(camera),
        interframe_delay_s=JUNOCAM_DELAY_S,
    )
    geometry = scene.geometry
    if geometry is None:
        return replace(meta, target="SKY")
    error = rng.normal(0, CENTRE_ERROR_PX, 2)
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


def _write_ssi(folder: Path, recipe: Recipe, seed: int, index: int) -> tuple[Path, list[Band]]:
    rng = np.random.default_rng([seed, index])
    scene, camera = draw_exposure(replace(recipe, instrument="ssi", shape=SHAPES["ssi"]), rng)
    name = f"C{350_000_000 + (10_000 * seed + index) % 300_000_000:010d}R"
    sample = render(scene, camera, rng, name)
    rows, columns = np.flatnonzero(scene.valid.any(1)), np.flatnonzero(scene.valid.any(0))
    window = (int(rows[0]) + 1, int(columns[0]) + 1, int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
    meta = replace(_meta(scene, camera, rng, index, "ssi"), cut_out_window=window)
    dn = np.where(scene.valid, np.clip(sample.frame.image, 0, 255), 0).astype(np.uint8)
    return archive.write_ssi(folder, name, dn, meta), [Band(name, sample)]


def _write_junocam(folder: Path, recipe: Recipe, seed: int, index: int) -> tuple[Path, list[Band]]:
    rng = np.random.default_rng([seed, index])
    shapes = {
        colour: archive.junocam_shape(colour, JUNOCAM_FRAMES, JUNOCAM_DELAY_S) for colour in ("BLUE", "GREEN", "RED")
    }
    shape = max(shapes.values())
    scene, camera = draw_exposure(replace(recipe, instrument="junocam", shape=shape, gaps=False), rng)
    name = f"JNCE_{_moment('junocam', index):%Y%j}_57C{index:05d}_{_version(seed)}"
    bands, pictures = [], {}
    for colour, wavelength, response in (("BLUE", 0.480, 0.7), ("GREEN", 0.554, 1.0), ("RED", 0.699, 1.1)):
        taken = replace(camera, filter=colour, wavelength_um=wavelength, bright=camera.bright * response)
        seen = replace(
            scene,
            surface=replace(scene.surface, colour=float(np.clip((wavelength - 0.44) / 0.11, 0, 2))),
            plumes=tuple(replace(p, peak=p.peak * (0.554 / wavelength) ** 2) for p in scene.plumes),
        )
        sample = _cut_rows(render(seen, taken, rng, f"{name}_{colour}"), slice(0, shapes[colour][0]))
        pictures[colour] = sample.frame.image
        bands.append(Band(sample.frame.id, sample))
    return archive.write_junocam(folder, name, pictures, _meta(scene, camera, rng, index, "junocam")), bands


def _write_jiram(folder: Path, recipe: Recipe, seed: int, index: int) -> tuple[Path, list[Band]]:
    """L over M: one focal plane, half under each filter; stored mirrored left to right, as the archive's files are."""
    rng = np.random.default_rng([seed, index])
    scene, camera = draw_exposure(replace(recipe, instrument="jiram", shape=SHAPES["jiram"], gaps=False), rng)
    name = f"JIR_IMG_RDR_{_moment('jiram', index):%Y%jT%H%M%S}_{_version(seed)}"
    plane = np.zeros(SHAPES["jiram"], np.float32)
    bands = []
    for band, first in (("L", 0), ("M", 128)):
        taken, seen = _through(scene, camera, band)
        rows = slice(first, first + 128)
        sample = _mirrored(_cut_rows(render(seen, taken, rng, f"{name}_{band}"), rows))
        plane[rows] = sample.frame.image
        bands.append(Band(sample.frame.id, sample))
    return archive.write_jiram(folder, name, plane, _meta(scene, camera, rng, index, "jiram")), bands


def _through(scene: Scene, camera: Camera, band: str) -> tuple[Camera, Scene]:
    """The same moment through the other filter: a blackbody's brightness follows from its temperature."""
    wavelength = {"L": 3.455, "M": 4.780}[band]
    if band == camera.filter:
        return camera, scene

    def dimmed(spot: HotSpot) -> HotSpot:
        here, there = (band_radiance(*JIRAM_BANDS_UM[b], spot.temperature_k) for b in (camera.filter, band))
        return replace(spot, peak=spot.peak * there / here)

    return replace(camera, filter=band, wavelength_um=wavelength), replace(
        scene, hotspots=tuple(dimmed(s) for s in scene.hotspots)
    )


def _write_picture(folder: Path, recipe: Recipe, seed: int, index: int) -> tuple[Path, list[Band]]:
    """A framing camera's frame or a processed picture, as FITS."""
    sample = draw_sample(replace(recipe, instrument="picture", shape=SHAPES["picture"]), seed, index)
    name = f"picture-{seed}-{index:06d}"
    meta = archive.Meta(
        start_time=_moment("picture", index).isoformat(timespec="milliseconds"),
        filter="",
        target=sample.frame.target,
    )
    image = np.where(sample.frame.valid, sample.frame.image, np.nan)
    return archive.write_fits(folder, name, image, "unknown", meta), [Band(name, sample)]


def _cut_rows(sample: Sample, rows: slice) -> Sample:
    frame = replace(sample.frame, image=sample.frame.image[rows], valid=sample.frame.valid[rows])
    limb = replace(sample.limb, y_px=sample.limb.y_px - rows.start) if sample.limb.trusted else sample.limb
    objects = visible(thing.cut((rows, slice(None))) for thing in sample.objects)
    return Sample(frame, _seen_limb(limb, frame.shape), objects)


def _mirrored(sample: Sample) -> Sample:
    across = (slice(None), slice(None, None, -1))
    frame = replace(
        sample.frame, image=np.ascontiguousarray(sample.frame.image[across]), valid=sample.frame.valid[across]
    )
    limb = replace(sample.limb, x_px=frame.shape[1] - 1 - sample.limb.x_px) if sample.limb.trusted else sample.limb
    return Sample(frame, limb, tuple(thing.cut(across) for thing in sample.objects))


def _seen_limb(limb: Limb, shape: tuple[int, int]) -> Limb:
    """The limb, unless less than 20 degrees of it is left inside the picture."""
    if not limb.trusted:
        return limb
    azimuth = np.linspace(0, 2 * math.pi, 720, endpoint=False)
    x, y = limb.x_px + limb.radius_px * np.sin(azimuth), limb.y_px - limb.radius_px * np.cos(azimuth)
    arc = 360 * float(((x >= 0) & (x < shape[1] - 0.5) & (y >= 0) & (y < shape[0] - 0.5)).mean())
    return replace(limb, arc_deg=arc) if arc >= 20 else Limb.none("too little of the limb is in the picture")


WRITERS: dict[str, Callable[[Path, Recipe, int, int], tuple[Path, list[Band]]]] = {
    "ssi": _write_ssi,
    "junocam": _write_junocam,
    "jiram": _write_jiram,
    "picture": _write_picture,
}
