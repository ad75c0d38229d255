"""Thumbnails of simulated frames, with the true limb: what the glance network learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector import circle, limb_picture, limb_thumb
from detector.circle import Circle
from detector.frame import Frame
from detector.limb import SMALLEST_PX
from detector.limb_picture import picture_of
from detector.limb_thumb import Thumbnail, bright_windows, whole_of, window_of
from training.retaken_limbs import KnownLimb, retaken_limb
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.source import source_digests
from training.simulate.told import as_filed

Progress = Callable[[int, int], None]

RECIPE = Recipe(no_limb=0.12)
EACH = 2
"""Frames of a product."""
BLOCK = 400
"""Products in a block."""
RETAKES = 8
"""One real picture taken anew for so many products."""


@dataclass(frozen=True)
class Seen:
    """A thumbnail and the truth.

    Attributes:
        view: as ``Thumbnail``.
        facts: (3,) brightest surface and softening, sigmas; the radius told, thumbnail px, 0 where none is.
        limb: (3,) x, y, radius of the true circle, thumbnail px; NaN where there is none.
        stands_out: (360,) which degrees of it do (0 = +x, towards +y).
        product: of which it is.
        scale: pixels of the picture in one of the thumbnail.

    """

    view: NDArray[np.float16]
    facts: NDArray[np.float32]
    limb: NDArray[np.float32]
    stands_out: NDArray[np.bool_]
    product: int
    scale: float


NAMES = tuple(field.name for field in fields(Seen))


def thumbnails(
    folder: Path,
    seed: int,
    products: int,
    workers: int,
    pictures: tuple[KnownLimb, ...] = (),
    progress: Progress = lambda done, total: None,
) -> list[Path]:
    """Draw thumbnails of ``products`` simulated products, in blocks that are kept in ``folder``; give the files.

    They lie in a folder named after the code that draws them; blocks that are there already are not drawn again.
    ``pictures`` of Io that are really there are taken anew, a few among them.
    """
    folder = folder / drawn_by()
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, products, BLOCK)
    files = [folder / f"{seed}-{start}-{min(start + BLOCK, products)}.npz" for start in starts]
    with ProcessPoolExecutor(max(workers, 1), mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(partial(_block, seed, products, pictures), starts, files), start=1):
            progress(done, len(files))
    return files


def drawn_by() -> str:
    """Digest of the code that draws the thumbnails."""
    files = [limb_thumb.__file__, limb_picture.__file__, circle.__file__, __file__]
    code = b"".join(Path(file).read_bytes() for file in files) + repr(sorted(source_digests().items())).encode()
    return hashlib.sha256(code).hexdigest()[:16]


def _block(seed: int, products: int, pictures: tuple[KnownLimb, ...], start: int, file: Path) -> None:
    if file.is_file():
        return
    cv2.setNumThreads(1)
    seen = [one for index in range(start, min(start + BLOCK, products)) for one in _of_product(seed, index, pictures)]
    arrays = {}
    for shape in {one.view.shape for one in seen}:
        alike = [one for one in seen if one.view.shape == shape]
        for name in NAMES:
            arrays[f"{shape[0]}x{shape[1]}-{name}"] = np.array([getattr(one, name) for one in alike])
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    part.replace(file)


def _of_product(seed: int, index: int, pictures: tuple[KnownLimb, ...]) -> Iterator[Seen]:
    samples = expose(INSTRUMENTS[index % len(INSTRUMENTS)], RECIPE, seed, index).samples
    rng = np.random.default_rng([seed, index])
    for number in rng.permutation(len(samples))[:EACH]:
        sample = samples[number]
        limb, truth = sample.limb, None
        if limb.trusted and limb.radius_px >= SMALLEST_PX and sample.limb_seen.any():
            truth = Circle(limb.x_px, limb.y_px, limb.radius_px)
        yield from seen_of(as_filed(sample.frame), truth, np.roll(sample.limb_seen, -90), index)
    if pictures and index % RETAKES == 0:
        one = retaken_limb(pictures, rng)
        yield from seen_of(one.frame, one.circle, one.stands_out, index)


def seen_of(frame: Frame, truth: Circle | None, stands_out: NDArray[np.bool_], product: int) -> Iterator[Seen]:
    """Thumbnails of one frame: the whole, and its bright windows."""
    picture = picture_of(frame)
    whole = whole_of(picture)
    told = frame.view.io_radius_px / picture.factor
    circle = truth.binned(picture.factor) if truth else None
    for shown in [whole, *(window_of(picture, window) for window in bright_windows(picture, whole))]:
        yield _seen(shown, told, circle, stands_out, product)


def _seen(shown: Thumbnail, told: float, circle: Circle | None, stands_out: NDArray[np.bool_], product: int) -> Seen:
    limb = np.full(3, np.nan, np.float32)
    if circle:
        inside = shown.inside(circle)
        limb[:] = inside.x, inside.y, inside.r
    facts = np.array([shown.full, shown.soft, told / shown.scale if told > 0 else 0.0], np.float32)
    return Seen(shown.view.astype(np.float16), facts, limb, stands_out, product, shown.scale)
