"""A dataset of real frames with eruptions put into them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import Frame, sha256_of
from detector.limb import find_limb
from detector.products import Product, find_products
from detector.readers import read_frames
from training.labels import DatasetWriter, LabelledFrame, Truth
from training.simulate import archive
from training.simulate.host import PHYSICAL
from training.simulate.inject import inject
from training.simulate.measured import measure
from training.simulate.recipe import Recipe, read_recipe
from training.simulate.scene import Sample
from training.simulate.source import source_digests
from training.simulate.write import truth_of

Floats = NDArray[np.float64]

# -- datasets -------------------------------------------------------------------------------------------------------

SPLITS = ("test", "val", *("train",) * 8)
"""An observation goes to one of ten places by its name's CRC-32."""


@dataclass(frozen=True)
class Source:
    """A frame to inject into, not read yet: the product that holds it, and which of its frames it is."""

    product: Product
    number: int


def inject_dataset(
    paths: Sequence[Path],
    out: Path,
    count: int,
    seed: int,
    config: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write a dataset of real frames with eruptions put into them.

    The frames are taken in turn until ``count`` are made, each as FITS under its own id, seed and number. Frames whose
    label names another body than Io get radiation and no eruptions: they are negatives. ``dataset.lock`` names the
    sha256 of every file injected into. All copies of one observation lie in one split. What erupts in the frames
    already is not known here: give frames without eruptions, or they count as ground without any.

    Args:
        paths: files, folders and glob patterns of readable products.
        out: folder of the dataset; must be new or empty.
        count: number of frames to make.
        seed: same seed, same bytes; 0 or more.
        config: YAML of ``Recipe`` fields to change; instrument, shape and radii play no part.
        progress: is told frames done and all.

    Returns:
        number of frames written.

    Raises:
        InputError: nothing to inject into, a file that cannot be read, a folder in use, a negative seed, a
            configuration that is not one.

    """
    if out.is_dir() and any(out.iterdir()):
        raise InputError(out, "is not empty", "name a new folder, or empty this one")
    if seed < 0:
        raise InputError("seed", f"is {seed}, expected 0 or more")
    recipe, sources = read_recipe(config), find_sources(paths)
    used = sources[:count]
    made = {
        "generator": "io-detector simulate --into",
        "count": count,
        "seed": seed,
        "recipe": asdict(recipe),
        "hosts": {sha256_of(source.product.data): source.product.data.name for source in used},
        **source_digests(),
    }
    done = 0
    with DatasetWriter(out, made) as dataset:
        for number, source in enumerate(used):
            for labelled in _copies(dataset, source, recipe, seed, range(number, count, len(sources))):
                dataset.add(f"{labelled.frame_id}.fits", labelled)
                done += 1
                progress(done, count)
    return done


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Every frame that can be injected into, in the order of their files; nothing smaller than 32 pixels a side.

    Raises:
        InputError: there is none, or a file cannot be read.

    """
    found = []
    for product in find_products(paths):
        frames = read_frames(product)
        found += [Source(product, k) for k, f in enumerate(frames) if min(f.shape) >= 32 and f.valid.any()]
    if not found:
        raise InputError(", ".join(map(str, paths)), "no frame of at least 32 x 32 pixels found", "check the paths")
    return found


def _copies(
    dataset: DatasetWriter, source: Source, recipe: Recipe, seed: int, indices: range
) -> Iterator[LabelledFrame]:
    """Inject one frame several times, and write each."""
    frame = read_frames(source.product)[source.number]
    limb = find_limb(frame)
    measured = measure(frame, limb)
    recipe = recipe if frame.may_show_io else replace(recipe, empty=1.0)
    for index in indices:
        sample = inject(frame, limb, recipe, seed, index, measured=measured)
        _write(dataset.frames, sample.frame)
        yield _label(sample)


def _write(folder: Path, frame: Frame) -> Path:
    meta = archive.Meta(
        start_time=frame.start_time, filter=frame.filter, target=frame.target, exposure_s=frame.exposure_s
    )
    image = np.where(frame.valid, frame.image, np.nan)
    return archive.write_fits(folder, frame.id, image, frame.instrument, meta)


def _label(sample: Sample) -> LabelledFrame:
    frame = sample.frame
    truths = (truth_of(str(n), thing, frame.shape, frame.wavelength_um) for n, thing in enumerate(sample.objects))
    return LabelledFrame(
        frame.id,
        "",
        sample.mask(),
        sample.limb,
        tuple(truths if frame.unit in PHYSICAL else map(_unscaled, truths)),
        observation=frame.observation,
        split=SPLITS[zlib.crc32(frame.observation.encode()) % len(SPLITS)],
        instrument=frame.instrument,
        filter=frame.filter,
    )


def _unscaled(truth: Truth) -> Truth:
    """Without the numbers that only a picture with a physical unit can give."""
    nan = math.nan
    return replace(truth, optical_depth=nan, peak_i_over_f=nan, temperature_k=nan, area_km2=nan, power_gw_um=nan)
