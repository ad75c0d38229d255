"""Whole simulated products as archive files, with their truth, as a dataset (see ``training.labels``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from detector.errors import InputError
from detector.frame import Frame
from detector.instruments import SSI
from detector.mask import Mask
from detector.products import find_products
from detector.readers import read_frames
from training.labels import DatasetWriter, LabelledFrame, Truth
from training.simulate import archive
from training.simulate.bands import bandpass
from training.simulate.light import Bandpass
from training.simulate.plumes import Plume, plume_width_km
from training.simulate.product import JUNOCAM_COLOURS, Product, expose
from training.simulate.recipe import INSTRUMENTS, Recipe, read_recipe
from training.simulate.scene import Sample, TrueObject, visible
from training.simulate.source import source_digests
from training.simulate.sru_archive import write_sru


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
    recipe = read_recipe(config)
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


def _add_product(dataset: DatasetWriter, kind: str, recipe: Recipe, seed: int, index: int) -> int:
    product = expose(kind, recipe, seed, index)
    path = write_product(dataset.frames, product)
    written = {frame.id: frame for found in find_products([path]) for frame in read_frames(found)}
    for sample in product.samples:
        dataset.add(path.name, label(sample, written[sample.frame.id]))
    return len(product.samples)


def label(sample: Sample, frame: Frame) -> LabelledFrame:
    """The truth about a frame as reading gives it: a pixel that the reader does not know is not known."""
    known = frame.valid & sample.frame.valid
    seen = replace(sample, objects=visible(thing.where(known) for thing in sample.objects))
    wavelength_um, band = sample.frame.wavelength_um, _band_of(frame)
    return LabelledFrame(
        frame.id,
        "",
        Mask(seen.mask().planes, known),
        seen.limb,
        tuple(truth_of(str(n), thing, frame.shape, wavelength_um, band) for n, thing in enumerate(seen.objects)),
        observation=frame.observation,
        instrument=frame.instrument,
        filter=frame.filter,
    )


def _band_of(frame: Frame) -> Bandpass | None:
    """The band of a frame, where it is known."""
    try:
        return bandpass(frame.instrument, frame.filter)
    except ValueError:
        return None


def truth_of(
    object_id: str, thing: TrueObject, shape: tuple[int, int], wavelength_um: float, band: Bandpass | None = None
) -> Truth:
    """A simulated object in the form of a label; the power is the mean across the band, else that at the wavelength."""
    cause = thing.cause
    facts: dict[str, object] = {
        "name": cause.name,
        "lat_deg": cause.lat_deg,
        "lon_e_deg": (-cause.lon_w_deg + 180) % 360 - 180,
        "snr_mf": thing.snr_mf,
    }
    if isinstance(cause, Plume):
        facts |= {
            "height_km": cause.height_km,
            "width_km": plume_width_km(cause),
            "optical_depth": cause.depth_at(wavelength_um),
            "peak_i_over_f": thing.peak_i_over_f,
            "family": cause.family,
        }
    else:
        facts |= {
            "temperature_k": cause.temperature_k,
            "area_km2": cause.area_km2,
            "power_gw_um": cause.band_power_gw_um(band) if band else cause.power_gw_um(wavelength_um),
            "family": cause.shape,
        }
    return Truth.cut(object_id, thing.kind, thing.on(shape), **facts)


def write_product(folder: Path, product: Product) -> Path:
    """Write a product as the archive file of its instrument; returns the file to read it by."""
    name, meta, images = product.name, product.meta, [sample.frame.image for sample in product.samples]
    first, valid = images[0], product.samples[0].frame.valid
    if product.kind == "ssi":
        dn = np.zeros(SSI.shape, np.uint8)  # a summed picture stands in the upper left quarter
        dn[: first.shape[0], : first.shape[1]] = np.where(valid, first, 0)
        return archive.write_ssi(folder, name, dn, meta)
    if product.kind == "junocam":
        return archive.write_junocam(folder, name, dict(zip(JUNOCAM_COLOURS, images, strict=True)), meta)
    if product.kind == "jiram":
        return archive.write_jiram(folder, name, np.concatenate(images), meta)
    if product.kind == "sru":
        return write_sru(folder, name, first, valid, meta)
    return archive.write_fits(folder, name, np.where(valid, first, np.nan), "unknown", meta)
