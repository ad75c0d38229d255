"""Thumbnails of simulated frames, with the true limb: what the glance network learns from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector import circle, limb_picture, limb_thumb
from detector.circle import Circle
from detector.frame import Frame
from detector.limb import SMALLEST_PX
from detector.limb_picture import picture_of
from detector.limb_thumb import Thumbnail, bright_windows, whole_of, window_of
from training import retaken_limbs
from training.drawn import Pictures, Progress, blocks, digest_of
from training.retaken_limbs import retaken_limb
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.told import as_filed

RECIPE = Recipe(no_limb=0.12)
EACH = 2
"""Frames of a product."""
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
    pictures: Pictures = (),
    progress: Progress = lambda done, total: None,
) -> list[Path]:
    """Draw thumbnails of ``products`` simulated products, in blocks that are kept in ``folder``; give the files.

    They lie in a folder named after what draws them; blocks that are there already are not drawn again. ``pictures``
    of Io that are really there are taken anew, a few among them.
    """
    code = [Path(str(room.__file__)) for room in (limb_thumb, limb_picture, circle, retaken_limbs)] + [Path(__file__)]
    return blocks(folder / digest_of(code, pictures), seed, products, workers, pictures, _draw, progress)


def _draw(seed: int, block: range, pictures: Pictures, file: Path) -> None:
    seen = [one for index in block for one in _of_product(seed, index, pictures)]
    arrays = {}
    for shape in {one.view.shape for one in seen}:
        alike = [one for one in seen if one.view.shape == shape]
        for name in NAMES:
            arrays[f"{shape[0]}x{shape[1]}-{name}"] = np.array([getattr(one, name) for one in alike])
    with file.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)


def _of_product(seed: int, index: int, pictures: Pictures) -> Iterator[Seen]:
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
