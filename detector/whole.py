"""Whether the files of a product are all there, by what they say of themselves: for files that may still be arriving.

Only sizes and ends are looked at, nothing is decoded. A file that does not say how long it is passes for whole.

=================  ========================================================================
PDS3 label         ends with ``END``; the image needs ``^IMAGE`` + lines, or its records
PDS4 label         its root element is closed; ``file_size`` where stated
metadata           is a JSON document
FITS               every HDU's data lie before the end of the file
VICAR              ``LBLSIZE`` + all its records
PNG, JPEG          end with their last chunk or marker
=================  ========================================================================
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

from detector.errors import InputError
from detector.products import SIGNATURES, Product
from detector.readers import vicar
from detector.readers.pds3 import Label, image_layout, parse_label

LABEL_BYTES = 1_000_000
TAIL_BYTES = 64
END = re.compile(r"^[ \t]*END[ \t]*\r?$", re.MULTILINE)
ROOT = re.compile(r"<([A-Za-z_][\w:.-]*)[\s>]")
FILE_SIZE = re.compile(r'<file_size\s+unit="byte">\s*(\d+)\s*</file_size>')


def lack_of(product: Product) -> str:
    """Say what of a product has not arrived yet; empty where nothing is known to be missing."""
    try:
        of_label = _lack_of_label(product.label) if product.label not in (None, product.data) else ""
        return of_label or _lack_by_label(product) or _lack_of_data(product.data)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except InputError as error:  # a label whose numbers make no sense will not arrive better
        return "" if "truncated" not in error.problem else error.problem


def _lack_of_label(label: Path | None) -> str:
    if label is None:
        return ""
    text = _head(label, LABEL_BYTES).decode("latin-1")
    kind = label.suffix.lower()
    whole: dict[str, Callable[[str], bool]] = {".xml": _is_closed, ".json": _is_document}
    return "" if whole.get(kind, _has_end)(text) else f"{label.name} breaks off"


def _has_end(text: str) -> bool:
    return END.search(text) is not None


def _is_closed(text: str) -> bool:
    root = ROOT.search(text)
    return root is not None and f"</{root[1]}>" in text


def _is_document(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _lack_by_label(product: Product) -> str:
    """Compare the size of the data with what a detached label says."""
    if product.label in (None, product.data) or product.label is None:
        return ""
    text = _head(product.label, LABEL_BYTES)
    kind = product.label.suffix.lower()
    if kind == ".xml":
        sizes = [int(size) for size in FILE_SIZE.findall(text.decode("latin-1"))]
        return _short(product.data, sizes[0]) if len(sizes) == 1 else ""
    return _short(product.data, _stated_bytes(parse_label(text), product.data)) if kind == ".lbl" else ""


def _stated_bytes(label: Label, data: Path) -> int:
    """Return how long a label says its data file is, at least; 0 where it does not say."""
    if label.text("ENCODING_TYPE"):  # compressed: the label's numbers are of what comes out
        return 0
    try:
        layout = image_layout(label, data)
    except InputError:
        return 0
    return layout.offset + layout.planes * layout.rows * layout.line_bytes - layout.suffix


def _lack_of_data(data: Path) -> str:
    head = _head(data, 2880)
    if any(mark.startswith(head) for mark in SIGNATURES):
        return f"{data.name} breaks off" if head else f"{data.name} is empty"
    if head.startswith(b"SIMPLE  ="):
        return _lack_of_fits(data)
    if head.startswith(b"LBLSIZE"):
        return _lack_of_vicar(data)
    ends = {b"\x89PNG": b"IEND\xaeB`\x82", b"\xff\xd8\xff": b"\xff\xd9"}
    missing = [end for start, end in ends.items() if head.startswith(start) and end not in _tail(data)]
    return f"{data.name} breaks off" if missing else ""


def _lack_of_fits(data: Path) -> str:
    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hdus = fits.open(data, memmap=False, lazy_load_hdus=False)
        with hdus:
            last = hdus[-1].fileinfo()
            return _short(data, int(last["datLoc"] + last["datSpan"]))
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as error:
        return f"{data.name} breaks off ({' '.join(str(error).split())[:80]})"


def _lack_of_vicar(data: Path) -> str:
    pairs = vicar.read_pairs(data)
    label, binary, record = (vicar.count(pairs, name, 0) for name in ("LBLSIZE", "NLB", "RECSIZE"))
    lines = vicar.count(pairs, "NL", 0) * vicar.count(pairs, "NB", 1)
    return _short(data, label + record * (binary + lines))


def _short(data: Path, needed: int) -> str:
    size = data.stat().st_size
    return f"{data.name} is {size} bytes long, expected {needed}" if size < needed else ""


def _head(path: Path, count: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(count)


def _tail(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return stream.read()
