"""What the limb's networks learn from, drawn in blocks by all processors and kept in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2

from training.retaken_limbs import KnownLimb
from training.simulate.source import source_digests

Progress = Callable[[int, int], None]
Pictures = tuple[KnownLimb, ...]
Draw = Callable[[int, range, Pictures, Path], None]

BLOCK = 400
"""Products in a block."""


def blocks(
    folder: Path, seed: int, products: int, workers: int, pictures: Pictures, draw: Draw, progress: Progress
) -> list[Path]:
    """Draw what is not drawn yet; give the files.

    Args:
        folder: of the files.
        seed, products: the simulated products.
        workers: processes.
        pictures: real ones taken anew among them.
        draw: is told the seed, a block's products and the pictures, and writes what comes of them to a file.
        progress: is told blocks done and all.

    """
    folder.mkdir(parents=True, exist_ok=True)
    some = [range(start, min(start + BLOCK, products)) for start in range(0, products, BLOCK)]
    files = [folder / f"{seed}-{block.start}-{block.stop}.np" for block in some]
    with ProcessPoolExecutor(max(workers, 1), mp_context=get_context("spawn")) as pool:
        for done, _ in enumerate(pool.map(partial(_drawn, draw, seed, pictures), some, files), start=1):
            progress(done, len(files))
    return files


def _drawn(draw: Draw, seed: int, pictures: Pictures, block: range, file: Path) -> None:
    if file.is_file():
        return
    cv2.setNumThreads(1)
    part = file.with_suffix(".part")
    draw(seed, block, pictures, part)
    part.replace(file)


def digest_of(code: Iterable[Path], pictures: Pictures) -> str:
    """Of files that draw, of the simulator, and of the pictures: what differs in one of these is drawn anew."""
    told = repr(sorted(source_digests().items())) + repr([one.named for one in pictures])
    return hashlib.sha256(b"".join(file.read_bytes() for file in code) + told.encode()).hexdigest()[:16]
