"""Products among files: an image with the label that belongs to it, whatever else lies in the folder.

Decisions
---------
* A label is matched to its image by what it points to (``^IMAGE``, ``file_name``, ``FILE_NAME``), then by its name;
  case does not count, because archive disks differ in it. Only the label's own folder is looked at.
* Where an image has several labels, PDS3 goes before PDS4 (its geometry is fuller), and both before metadata.
* A file is a product by its ending or, where the ending is unknown, by its first bytes. Tables, texts, kernels, camera
  models, hidden files and labels without their image are passed over where a folder or a pattern is searched.
* What a run wrote is no input: the masks and pictures beside its journal are passed over too. (Not the whole folder:
  the frames may lie below the folder that the results go to.)
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LABELS = (".lbl", ".xml", ".json")
IMAGES = frozenset(
    {".img", ".imq", ".imd", ".raw", ".qub", ".vic", ".vicar", ".fit", ".fits", ".fts", ".cub"}
    | {".png", ".jpg", ".jpeg", ".jp2", ".tif", ".tiff", ".gif"}
)
PASSED_OVER = re.compile(
    r"\.(csv|tab|md|txt|cat|fmt|ya?ml|toml|ini|log|html?|pdf|py|t[ifm]|tsc|tls|tpc|xc|xsp|xfr|bc|bsp|bpc"
    r"|dat|zip|gz|tar|part|tmp|db|sqlite|onnx|sha256|lock|aux)$",
    re.IGNORECASE,
)
SIGNATURES = (
    b"SIMPLE  =",
    b"LBLSIZE",
    b"PDS_VERSION_ID",
    b"CCSD3ZF",
    b"\x89PNG\r\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"II*\0",
    b"MM\0*",
)
MAX_LABEL_BYTES = 200_000
JOURNAL = ".journal.sqlite"
"""The mark of a folder that a run wrote into."""
WRITTEN = ("masks", "quicklook")
"""The folders of frames' results beside the journal."""
POINTER = re.compile(
    r"""\^\w*IMAGE\s*=\s*[({]?\s*"([^"]+)"|<file_name>\s*([^<]+?)\s*</file_name>|^\s*FILE_NAME\s*=\s*"([^"]+)\"""", re.M
)


@dataclass(frozen=True)
class Product:
    """One thing to read.

    Attributes:
        label: the detached label or metadata; None where the image carries its own or has none.
        data: the file that holds the pixels.
        problem: why there is nothing to read: ``data`` is a path that was named in vain; empty for what can be tried.

    """

    label: Path | None
    data: Path
    problem: str = ""


def find_products(paths: Sequence[Path]) -> list[Product]:
    """Find the products in files, folders (with all that is below them) and glob patterns.

    Args:
        paths: as the user gives them; a label stands for its image and an image for its label.

    Returns:
        Products without repetition, sorted by the path of their data as given; empty where nothing matches.

    """
    return [product for product in look_for(paths) if not product.problem]


def look_for(paths: Sequence[Path]) -> list[Product]:
    """Find the products as ``find_products`` does; a path that gives none stands among them with its ``problem``."""
    found: dict[Path, Product] = {}
    for product in come_upon(paths):
        found.setdefault(product.data.absolute(), product)
    return sorted(found.values(), key=lambda product: product.data.as_posix())


def come_upon(paths: Iterable[Path]) -> Iterator[Product]:
    """Yield what ``look_for`` gives as it is come upon, however many there are: in no order, some more than once."""
    folders = _Folders()
    for path in paths:
        last = None
        for product in map(folders.product_of, _files(path)):
            if product is not None and product != last:
                yield (last := product)
        if last is None:
            yield Product(None, path, _problem(path))


def product_of(path: Path) -> Product:
    """Give the product that a file belongs to; a file that looks like none is taken as an image without label."""
    return _Folders().product_of(path) or Product(None, path)


def _problem(path: Path) -> str:
    """Say why a path gave no product."""
    if path.is_dir():
        return "a folder without a frame"
    if not path.exists():
        return "no frame matches this pattern" if glob.has_magic(str(path)) else "no such file or folder"
    if _is_written(path.parent):
        return "a result of an earlier run, not a frame"
    if path.suffix.lower() in LABELS:
        return "a label whose image is not beside it"
    return "not of a kind that is read; expected FITS, VICAR, an ISIS cube, a PDS product or a picture"


def _files(path: Path) -> Iterator[Path]:
    """Every file that a path names, folders and patterns opened up."""
    if path.is_dir():
        yield from _below(path)
    elif path.is_file():
        yield path
    elif glob.has_magic(str(path)):
        for name in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207 - any pattern
            yield from _files(Path(name))


def _is_written(folder: Path) -> bool:
    """Whether a folder holds the masks or the pictures that a run left."""
    folder = folder.absolute()
    return folder.name in WRITTEN and (folder.parent / JOURNAL).is_file()


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(here, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in files if path.is_file())


class _Folders:
    """What lies beside a file, each folder listed once."""

    def __init__(self) -> None:
        self.entries = lru_cache(maxsize=64)(_entries)
        self.labels = lru_cache(maxsize=64)(self._labels)
        self.written = lru_cache(maxsize=64)(_is_written)

    def product_of(self, path: Path) -> Product | None:
        """Give the product of an image or a label; None for anything else and for a label whose image is not there."""
        if self.written(path.parent):
            return None
        if path.suffix.lower() in LABELS:
            data = self._data_of(path)
            return None if data is None else Product(self.labels(path.parent).get(data, path), data)
        if not _is_image(path):
            return None
        return Product(self.labels(path.parent).get(path), path)

    def _labels(self, folder: Path) -> dict[Path, Path]:
        """Give the best label of each image of a folder."""
        found: dict[Path, Path] = {}
        for kind in LABELS:
            for path in self.entries(folder).values():
                data = self._data_of(path) if path.suffix.lower() == kind else None
                if data is not None:
                    found.setdefault(data, path)
        return found

    def _data_of(self, label: Path) -> Path | None:
        """Give the image of a label: what it points to, else the image of the same name."""
        entries = self.entries(label.parent)
        pointed = [entries.get(name.lower()) for name in _names_in(label)]
        stem = label.stem.lower()
        alike = [entries.get(stem + ending) for ending in sorted(IMAGES)] if label.suffix.lower() != ".json" else []
        return next((path for path in (*pointed, *alike) if path is not None and _is_image(path)), None)


def _entries(folder: Path) -> dict[str, Path]:
    """Files of a folder by their name in lower case; the first of names that differ in case only."""
    found: dict[str, Path] = {}
    try:
        for path in sorted(folder.iterdir()):
            found.setdefault(path.name.lower(), path)
    except OSError:  # a folder that may not be listed has nothing to pair
        return {}
    return found


def _names_in(label: Path) -> list[str]:
    """File names that a label points to, in its order; empty for a file that is no label."""
    try:
        with label.open("rb") as stream:
            text = stream.read(MAX_LABEL_BYTES).decode("latin-1")
    except OSError:  # reading will say it, if the image is asked for by itself
        return []
    if label.suffix.lower() == ".json":
        return _names_in_metadata(text)
    return [Path(next(filter(None, groups))).name for groups in POINTER.findall(text)]


def _names_in_metadata(text: str) -> list[str]:
    """Give the picture that JunoCam metadata belong to: FILE_NAME, else the product's raw picture."""
    try:
        keywords = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(keywords, dict):
        return []
    names = [keywords.get("FILE_NAME"), f"{keywords.get('PRODUCT_ID')}-raw.png", f"{keywords.get('PRODUCT_ID')}.png"]
    return [Path(name).name for name in names if isinstance(name, str)]


def _is_image(path: Path) -> bool:
    ending = path.suffix.lower()
    if ending in IMAGES:
        return True
    if ending in LABELS or PASSED_OVER.search(path.name) or path.name.startswith("."):
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(32)
    except OSError:
        return False
    return head.startswith(SIGNATURES) or head.lstrip().lower().replace(b" ", b"").startswith(b"object=isiscube")
