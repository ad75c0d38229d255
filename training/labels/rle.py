"""Masks as COCO run lengths, and outlines as masks: pycocotools behind checks that it does not make.

pycocotools reads damaged counts without a word, or past the end of its memory; here they must add up to the mask first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from rasterio.features import shapes

Plane = NDArray[np.bool_]
Polygon = NDArray[np.float64]


def encode(pixels: Plane) -> dict:
    """Compressed COCO RLE (column-major) of a (H, W) mask, with its counts as text so that JSON can hold it."""
    code = coco_mask.encode(np.asfortranarray(pixels, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def decode(code: Mapping) -> Plane:
    """(H, W) bool of an RLE, compressed or not.

    Raises:
        ValueError: the runs do not add up to the size, saying both.

    """
    rows, columns = (int(side) for side in code["size"])
    runs = counts_of(code["counts"])
    if sum(runs) != rows * columns or min(runs, default=0) < 0:
        wanted = f"{rows} x {columns} = {rows * columns} pixels, none below 0"
        raise ValueError(f"runs of the RLE add up to {sum(runs)}, expected {wanted}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((rows, columns), order="F")


def counts_of(counts: str | bytes | Sequence[int]) -> list[int]:
    """Lengths of the runs, which are 0 and 1 in turn, beginning with 0.

    Compressed counts are written like LEB128: five bits and one for "more follows" a letter, from ``0`` on; from the
    third run on it is the difference to the run before the last (cocoapi, ``maskApi.c``, ``rleToString``).

    Raises:
        ValueError: a letter that is none of the code's, or the last number breaks off.

    """
    if not isinstance(counts, str | bytes):
        return [int(run) for run in counts]
    letters = map(ord, counts) if isinstance(counts, str) else counts
    runs: list[int] = []
    value, shift = 0, 0
    for letter in letters:
        piece = letter - 48
        if not 0 <= piece < 64:
            raise ValueError(f"letter {chr(letter)!r} in the counts of an RLE, expected '0' to 'o'")
        value |= (piece & 31) << shift
        shift += 5
        if piece & 32:
            continue
        if piece & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("the counts of an RLE break off within a number")
    return runs


def bounding_box(code: Mapping) -> list[float]:
    """COCO's x, y, width, height of an RLE as ``encode`` gives it."""
    return [float(side) for side in coco_mask.toBbox({"size": code["size"], "counts": code["counts"].encode("ascii")})]


def filled(polygons: Sequence[Polygon], shape: tuple[int, int]) -> Plane:
    """(H, W) bool: pixels inside any of the polygons, as COCO's own tools fill them.

    Args:
        polygons: each (n, 2) x, y with n >= 3, finite; the first pixel covers 0..1.
        shape: (H, W).

    """
    codes = coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in polygons], *shape)
    return decode(coco_mask.merge(codes))


def outlines(pixels: Plane) -> Iterator[Polygon]:
    """Polygons along the edges of a mask's pixels, (n, 2) x, y; ``filled`` gives the same pixels back.

    A polygon cannot have a hole: what has one is cut in two through it.
    """
    for shape, _ in shapes(pixels.astype(np.uint8), mask=pixels, connectivity=4):
        outer, *holes = (np.asarray(ring[:-1], float) for ring in shape["coordinates"])
        if not holes:
            yield outer
            continue
        piece = filled([outer], pixels.shape) & pixels  # type: ignore[arg-type]
        cut = int(holes[0][:, 0].min()) + 1
        left, right = piece.copy(), piece.copy()
        left[:, cut:] = False
        right[:, :cut] = False
        yield from outlines(left)
        yield from outlines(right)
