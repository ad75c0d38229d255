"""Which archive frame a picture in a label file is: tools rename, prefix, shorten and move the pictures they are given.

A picture goes by its frame's id, or by the name of the frame's file, in any case, with any ending. What a tool puts in
front (``8a7b12cd-``, Label Studio's upload prefix; folders; an address) does not count where the whole name fits no
frame. A draft's picture carries the first digits of its file's sha256 (``0085r.1a2b3c4d.png``): then it must be that
very file.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from detector.errors import InputError
from detector.frame import Frame
from detector.products import IMAGES, Product, find_products
from detector.readers import read_frames
from detector.readers.names import frame_id
from training.labels.picture_labels import PictureLabels
from training.labels.splits import orbit_of

STAMP_DIGITS = 8
STAMP = re.compile(rf"(.+)\.([0-9a-f]{{{STAMP_DIGITS}}})")
UPLOAD_PREFIX = re.compile(r"[0-9a-f]{4,32}-(?=.)")
ADDRESS = re.compile(r"^.*[?&]d=|[?#].*$")
RAW = re.compile(r"-raw$", re.IGNORECASE)
OPEN_PRODUCTS = 8
LISTED = 5


def picture_name(frame: Frame) -> str:
    """Name of a frame's picture without ending, by which ``FrameFinder`` finds the frame again."""
    return f"{frame.id}.{frame.sha256[:STAMP_DIGITS]}"


@dataclass(frozen=True)
class Found:
    """A frame that labels speak of, without its pixels.

    Attributes:
        product: where it is.
        file: path of its image below the folder that was searched, with ``/``.
        frame_id, observation, instrument, filter, sha256: as the reader gives them.
        orbit: of the spacecraft; empty where not known.
        shape: (rows, columns).

    """

    product: Product
    file: str
    frame_id: str
    observation: str
    instrument: str
    filter: str
    sha256: str
    orbit: str
    shape: tuple[int, int]


class FrameFinder:
    """Finds the frames of a folder by the names that label files give them; only what is asked for is read.

    Args:
        folder: of archive frames, with all that is below it; or one of their files.

    Raises:
        InputError: there is no frame.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder if folder.is_dir() else folder.parent
        self._products: dict[str, list[Product]] = defaultdict(list)
        for product in find_products([folder]):
            self._products[_stem(product).casefold()].append(product)
        if not self._products:
            raise InputError(folder, "holds no frame that can be read", "name the folder of the archive frames")
        self._frames = lru_cache(maxsize=OPEN_PRODUCTS)(self._read)

    def __call__(self, labels: PictureLabels) -> Found:
        """Find the frame of a picture.

        Raises:
            InputError: none fits, several do, or it is not of the size that the labels say.

        """
        for name in _names(labels):
            stamped = STAMP.fullmatch(name)
            plain, stamp = stamped.groups() if stamped and not self._hits(name) else (name, "")
            hits = self._hits(plain)
            if hits:
                return _of_size(labels, self._choose(labels, hits, stamp))
        known = sorted({product.data.name for some in self._products.values() for product in some})
        more = ", ..." if len(known) > LISTED else ""
        problem = f"picture {labels.picture!r} fits no frame of {self.folder}"
        raise InputError(labels.source, problem, f"it holds {', '.join(known[:LISTED])}{more}")

    def _hits(self, name: str) -> list[Found]:
        """Frames of this id; where there is none, the frames of the file of this name."""
        plain = frame_id(name).casefold()
        near = [key for key in self._products if plain == key or plain.startswith(f"{key}_")]
        found = [one for key in near for product in self._products[key] for one in self._frames(product)]
        by_id = [one for one in found if one.frame_id.casefold() == plain]
        return by_id or [one for one in found if _stem(one.product).casefold() == plain]

    def _choose(self, labels: PictureLabels, hits: list[Found], stamp: str) -> Found:
        """Choose the one that is meant of the frames that fit a name."""
        right = [one for one in hits if one.sha256.startswith(stamp)]
        if not right:
            problem = f"picture {labels.picture!r} was drawn from a file whose sha256 begins with {stamp}"
            raise InputError(labels.source, problem, f"{hits[0].file} has {hits[0].sha256[:STAMP_DIGITS]}")
        where = PurePosixPath(labels.picture.replace("\\", "/")).parent.as_posix().casefold()
        near = [one for one in right if PurePosixPath(one.file).parent.as_posix().casefold().endswith(where)]
        right = near if near and where != "." else right
        if len({(one.frame_id, one.sha256) for one in right}) > 1:
            fits = ", ".join(f"{one.frame_id} of {one.file}" for one in right[:LISTED])
            problem = f"picture {labels.picture!r} fits {len(right)} frames: {fits}"
            raise InputError(labels.source, problem, "name the picture after one frame's id, or give its folder alone")
        return right[0]

    def _read(self, product: Product) -> tuple[Found, ...]:
        file = product.data.relative_to(self.folder).as_posix()
        return tuple(
            Found(product, file, frame.id, frame.observation, frame.instrument, frame.filter, frame.sha256,
                  orbit_of(frame), frame.shape)
            for frame in read_frames(product)
        )  # fmt: skip


def _stem(product: Product) -> str:
    """What the ids of a product's frames begin with: of ``JNCE_..._V01-raw.png`` what stands before ``-raw``."""
    return RAW.sub("", frame_id(product.data.stem))


def _of_size(labels: PictureLabels, found: Found) -> Found:
    if labels.shape is not None and labels.shape != found.shape:
        rows, columns = labels.shape
        wanted = f"{found.shape[1]} x {found.shape[0]}"
        problem = f"picture {labels.picture!r} is labelled as {columns} x {rows} px, its frame is {wanted} px"
        raise InputError(labels.source, problem, f"{found.file}: label the frame in its own size")
    return found


def _names(labels: PictureLabels) -> Iterator[str]:
    """Names to look for, the likeliest first."""
    name = ADDRESS.sub("", unquote(labels.picture)).replace("\\", "/").rpartition("/")[2]
    path = PurePosixPath(name)
    name = path.stem if path.suffix.lower() in IMAGES else name
    if labels.frame_id and not STAMP.fullmatch(name):
        yield labels.frame_id
    yield name
    if UPLOAD_PREFIX.match(name):
        yield UPLOAD_PREFIX.sub("", name, count=1)
