"""One product all the way, in a worker: what the store keeps of each of its frames, and the files beside it.

A frame leaves ``pixels.npy`` (H, W) float32 in its own unit, NaN where not observed; ``mask.fits``
(:mod:`detector.maskfile`); and, where the geometry is known, ``places.npy`` (2, h, w) float32: planetocentric latitude
and west longitude on a grid of every ``places_step`` pixels, NaN off the disk. Everything else is the document.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from detector.agreement import agreed
from detector.catalogue import Detection, FrameStatus
from detector.colour import with_temperatures
from detector.detect import Detector, Result, failures
from detector.errors import InputError
from detector.frame import CLASSES, Frame
from detector.limb import Limb
from detector.maskfile import mask_bytes
from detector.measure import Scene
from detector.pointing import geometry_of
from detector.products import Product
from detector.readers import read_frames
from detector.regions import Region
from detector.sightings import GRAZING_DEG, limb_of, sighting_of
from detector.table import from_values, values
from detector.volcanoes import volcanoes
from serve.atomic import write_whole
from serve.web.outlines import multipolygon, polygons_of
from serve.worker import status_of

PIXELS, MASK, PLACES = "pixels.npy", "mask.fits", "places.npy"
PLACES_PER_SIDE = 160
KEYWORDS, KEYWORD_LETTERS = 400, 400
"""So much of a label is kept in a frame's document."""
PERCENTILES = (0.1, 0.5, 1, 5, 25, 50, 75, 95, 99, 99.5, 99.9)

Document = dict[str, Any]
SuffixOf = Callable[[list[str]], str]


def examine(product: Product, name: str, detector: Detector, suffix_of: SuffixOf, out: Path) -> list[Document]:
    """Read a product, detect in its frames, write their files below ``out`` and return their documents.

    Args:
        product: the files.
        name: of the product, for its frames' ``path``.
        detector: a model at an operating point.
        suffix_of: tells, for the frames' names, what to add to them so that no other product has the same.
        out: a folder of this product alone.

    Raises:
        InputError: the product cannot be read.

    """
    frames = read_frames(product)
    suffix = suffix_of([frame.id for frame in frames])
    results = agreed([detector(replace(frame, id=frame.id + suffix)) for frame in frames])
    return _documents(results, name, detector.kernels, out)


def reopen(product: Product, known: Mapping[str, Any], masks: Path, detector: Detector, out: Path) -> list[Document]:
    """Do the same for a frame that a run of ``io-detector detect`` found things in: as it found them, not anew.

    Args:
        product: the files.
        known: ``frame`` (a row of ``frames.csv``), ``detections``, ``model`` and ``operating_point``.
        masks: the frame's mask file.
        detector: gives the kernels.
        out: as for :func:`examine`.

    Raises:
        InputError: the product no longer gives this frame, or its mask file cannot be read.

    """
    row: FrameStatus = from_values(FrameStatus, known["frame"])
    detections = tuple(from_values(Detection, one) for one in known["detections"])
    own = [frame for frame in read_frames(product) if row.frame_id.startswith(frame.id)]
    if not own:
        raise InputError(product.data, f"no longer gives the frame {row.frame_id}", "run detect again")
    frame = replace(max(own, key=lambda frame: len(frame.id)), id=row.frame_id)
    limb = limb_of(row, frame)
    pointing = geometry_of(frame, limb, detector.kernels)
    for note in failures(frame, pointing, detector.kernels is not None):
        frame = frame.with_warning(note)
    scores, regions = _of_mask(masks, detections, frame)
    result = Result(
        frame, limb, scores, regions, detections, known["model"], known["operating_point"],
        seconds=row.seconds, pointing=pointing,
    )  # fmt: skip
    return _documents([result], row.path, detector.kernels, out)


def _of_mask(path: Path, detections: Sequence[Detection], frame: Frame) -> tuple[Any, tuple[Region, ...]]:
    """Give the probabilities and the regions of a mask file."""
    try:
        with fits.open(path, memmap=False) as hdus:
            scores, labels = np.asarray(hdus["PROBABILITY"].data, np.float32), np.asarray(hdus["REGIONS"].data)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"cannot be read as a mask file: {error}", "run detect again") from error
    if scores.shape != (len(CLASSES), *frame.shape) or labels.shape != scores.shape:
        raise InputError(path, f"is of shape {scores.shape}, the frame is {frame.shape}", "run detect again")
    return scores, tuple(_region(labels, number, row) for number, row in enumerate(detections, 1))


def _region(labels: Any, number: int, row: Detection) -> Region:
    box = slice(row.bbox_y0_px, row.bbox_y1_px + 1), slice(row.bbox_x0_px, row.bbox_x1_px + 1)
    pixels = labels[CLASSES.index(row.kind)][box] == number
    return Region(row.kind, row.score, row.bbox_x0_px, row.bbox_y0_px, pixels)


def _documents(results: Sequence[Result], name: str, kernels: Path | None, out: Path) -> list[Document]:
    rows = iter(with_temperatures([row for result in results for row in result.detections]))
    coloured = [replace(result, detections=tuple(next(rows) for _ in result.detections)) for result in results]
    return [_document(result, name, kernels, out / result.frame.id) for result in coloured]


def _document(result: Result, name: str, kernels: Path | None, folder: Path) -> Document:
    """Write one frame's files and return its document."""
    frame, status = result.frame, status_of(result, name)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / PIXELS, np.where(frame.valid, frame.image, np.float32(np.nan)))
    write_whole(folder / MASK, mask_bytes(result))
    return {
        "frame": values(status),
        "detections": [values(row) for row in result.detections],
        "facts": _facts(result),
        "limb": _limb(result.limb),
        "geometry": _geometry(result) | {"places_step": _write_places(result, folder / PLACES)},
        "levels": _levels(frame),
        "outlines": [multipolygon(polygons_of(region.pixels, region.x0, region.y0)) for region in result.regions],
        "in_view": list(_in_view(status, frame, kernels)),
        "unit_power_gw_um": _unit_power(result.detections),
    }


def _facts(result: Result) -> Document:
    """Return what the frame is."""
    frame = result.frame
    kept = list(frame.keywords.items())[:KEYWORDS]
    return {
        "rows": frame.shape[0],
        "columns": frame.shape[1],
        "unit": frame.unit,
        "observation": frame.observation,
        "wavelength_um": _number(frame.wavelength_um),
        "exposure_s": _number(frame.exposure_s),
        "target": frame.target,
        "source": frame.source.name,
        "saturation": _number(frame.saturation),
        "warnings": list(frame.warnings),
        "keywords": {key[:80]: str(value)[:KEYWORD_LETTERS] for key, value in kept},
        "model": result.model,
        "operating_point": result.operating_point,
    }


def _limb(limb: Limb) -> Document:
    return {
        "x_px": _number(limb.x_px),
        "y_px": _number(limb.y_px),
        "radius_px": _number(limb.radius_px),
        "sigma_px": _number(limb.sigma_px),
        "source": limb.source,
        "reason": limb.reason,
    }


def _geometry(result: Result) -> Document:
    scene = Scene.of(result.frame, result.limb, (), result.pointing)
    return {
        "source": result.pointing.source,
        "range_km": _number(result.pointing.range_km),
        "phase_deg": _number(result.pointing.phase_deg),
        "km_per_px": _number(scene.km_per_px),
        "notes": list(result.pointing.notes),
    }


def _levels(frame: Frame) -> Document:
    """Return what a display needs to choose black and white."""
    seen = frame.image[frame.valid]
    thinned = seen[:: max(1, seen.size // 200_000)] if seen.size else np.zeros(1, np.float32)
    levels = frame.levels
    percentiles = np.percentile(thinned.astype(float), PERCENTILES)
    return {
        "least": _number(float(seen.min())) if seen.size else 0.0,
        "most": _number(float(seen.max())) if seen.size else 1.0,
        "sky": _number(levels.sky),
        "sigma": _number(levels.sigma),
        "bright": _number(levels.bright),
        "percentiles": [_number(value) for value in percentiles],
    }


def _write_places(result: Result, path: Path) -> int:
    """Write where the pixels of a grid look; return its step, 0 where that is not known."""
    pointing, (rows, columns) = result.pointing, result.frame.shape
    if not (pointing.known and pointing.oriented):
        return 0
    step = max(1, math.ceil(max(rows, columns) / PLACES_PER_SIDE))
    y, x = np.mgrid[0 : rows + step : step, 0 : columns + step : step].astype(float)
    seen = pointing.at(x, y)
    np.save(path, np.stack([seen.lat_deg, seen.lon_w_deg]).astype(np.float32))
    return step


def _in_view(status: FrameStatus, frame: Frame, kernels: Path | None) -> Iterator[list[Any]]:
    """Which known volcanoes the frame would have shown: name, emission angle in degrees, and the kinds looked for."""
    known = volcanoes()
    places = np.array([v.lat_deg for v in known]), np.array([v.lon_w_deg for v in known])
    seen = sighting_of(status, frame, places, kernels)
    for n, volcano in enumerate(known):
        kinds = [kind for kind in CLASSES if seen.of(kind)[n]]
        if kinds:
            yield [volcano.name, round(float(seen.emission_deg[n]), 1), kinds]


def _unit_power(rows: Sequence[Detection]) -> float | None:
    """GW/um, seen from above, of a hot spot whose brightest pixel stands at a signal-to-noise of 1 on this frame."""
    ratios = [
        row.spectral_power_gw_um * math.cos(math.radians(row.emission_deg)) / row.peak_snr
        for row in rows
        if row.spectral_power_gw_um > 0 and row.peak_snr > 0 and row.emission_deg <= GRAZING_DEG
        if "SATURATED" not in row.flags
    ]
    return statistics.median(ratios) if ratios else None


def _number(value: float) -> float | None:
    """None for what JSON has no word for."""
    return float(value) if math.isfinite(value) else None
