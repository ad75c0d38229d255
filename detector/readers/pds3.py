"""PDS3 labels as the archive holds them, not as the standard wants them, and the arrays that they describe.

Tolerated on purpose: an SFDU line in place of PDS_VERSION_ID, a comment that is never closed (one Galileo orbit),
quoted strings over several lines, LF-only and padded lines, units after values, ``N/A`` and ``UNK`` where a number
belongs, objects that are never ended. A comment ends at ``*/`` or at the end of its line, whichever comes first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.readers.foreign import reading
from detector.readers.layout import Layout

MAX_LABEL_BYTES = 1_000_000
MAX_DEPTH = 16
TOKEN = re.compile(
    r"""(?P<comment>/\*[^\r\n]*?(?:\*/|(?=[\r\n])|\Z))
      | "(?P<double>[^"]*)(?:"|\Z)
      | '(?P<single>[^'\r\n]*)'
      | <(?P<unit>[^<>\r\n]*)>
      | (?P<mark>[=(){},])
      | (?P<word>(?:(?!/\*)[^\s=(){},"<>])+)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Value:
    """What stands right of ``=``: one or more items as text, without quotation marks, and the unit of the first."""

    items: tuple[str, ...] = ()
    unit: str = ""

    @property
    def text(self) -> str:
        """The first item; empty for an empty set."""
        return self.items[0] if self.items else ""

    @property
    def numbers(self) -> tuple[float, ...]:
        """Every item as a number; NaN where it is none (``N/A``, ``UNK``)."""
        return tuple(as_number(item) for item in self.items)


@dataclass(frozen=True)
class Label:
    """The statements of a label in their order.

    Attributes:
        entries: (names of the enclosing objects and groups, keyword, value) of each statement.

    """

    entries: tuple[tuple[tuple[str, ...], str, Value], ...] = ()

    def value(self, key: str, within: str = "") -> Value:
        """Give the first value of a keyword, in the object or group ``within`` only if given; or an empty one."""
        for path, name, value in self.entries:
            if name == key and (not within or within in path):
                return value
        return Value()

    def text(self, key: str, within: str = "") -> str:
        """Give the first item of a value; empty for a keyword that is absent or says N/A, UNK or NULL."""
        text = self.value(key, within).text.strip()
        return "" if text.upper() in {"N/A", "UNK", "NULL", "NONE"} else text

    def number(self, key: str, within: str = "") -> float:
        """Give the first item of a value as a number; NaN where there is none."""
        return as_number(self.value(key, within).text)

    def integer(self, key: str, default: int, within: str = "") -> int:
        """Give the first item of a value as a whole number, or the default."""
        number = self.number(key, within)
        return int(number) if math.isfinite(number) and abs(number) < 1e15 else default

    @property
    def keywords(self) -> dict[str, str]:
        """Every statement as text, the names of objects and groups before the keyword; the first of a name wins."""
        found: dict[str, str] = {}
        for path, name, value in self.entries:
            unit = f" <{value.unit}>" if value.unit else ""
            found.setdefault(".".join((*path, name)), ", ".join(value.items) + unit)
        return found


def as_number(text: str) -> float:
    """Give a label's number; NaN for anything else."""
    try:
        return float(text)
    except ValueError:
        return math.nan


FILLS = ("MISSING_CONSTANT", "INVALID_CONSTANT", "NULL_CONSTANT", "CORE_NULL")
SPECIAL_REAL = -3.4028226e38
"""ISIS reserves reals up to this one (SpecialPixel.h)."""


def observed(label: Label, planes: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Tell which samples of an image, any shape, are none of those that its label reserves for what was not seen.

    Reserved samples are written as numbers, or as the bits of a sample: ``16#FF7FFFFB#``.
    """
    seen = np.isfinite(planes)
    if planes.dtype.kind == "f":
        seen &= np.asarray(planes > np.array(SPECIAL_REAL))
    for key in FILLS:
        for item in label.value(key).items:
            fill = _fill(item, planes.dtype)
            if math.isfinite(fill):
                seen &= planes != (np.asarray(fill, planes.dtype) if planes.dtype.kind == "f" else fill)
    return np.asarray(seen)


def _fill(item: str, dtype: np.dtype[Any]) -> float:
    """Give a reserved sample; NaN for what is no number, and for bits that are no sample of this type."""
    based = re.fullmatch(r"16#([0-9A-Fa-f]+)#", item.strip())
    if based is None:
        return as_number(item)
    digits = based[1].zfill(2 * dtype.itemsize)
    if len(digits) > 2 * dtype.itemsize:
        return math.nan
    return float(np.frombuffer(bytes.fromhex(digits), dtype.newbyteorder(">"))[0])


def parse_label(data: bytes) -> Label:
    """Parse a label; what is no statement is passed over, so any bytes give a label, perhaps an empty one."""
    tokens = _Tokens(data[:MAX_LABEL_BYTES].decode("latin-1"))
    entries: list[tuple[tuple[str, ...], str, Value]] = []
    path: tuple[str, ...] = ()
    for keyword in tokens.keywords():
        key = keyword.upper()
        if key == "END":
            break
        if key in {"END_OBJECT", "END_GROUP"}:
            path = path[:-1]
        elif key in {"OBJECT", "GROUP"}:
            path = (*path, tokens.value().text.upper())[:MAX_DEPTH]
        else:
            entries.append((path, key, tokens.value()))
    return Label(tuple(entries))


def read_label(path: Path) -> Label:
    """Read a detached label, or the label in front of attached data.

    Raises:
        InputError: for a file that cannot be read or holds no statement.

    """
    with reading(path), path.open("rb") as stream:
        label = parse_label(stream.read(MAX_LABEL_BYTES))
    if not label.entries:
        raise InputError(path, "holds no PDS3 statement (KEYWORD = value)", "check that it is a label")
    return label


class _Tokens:
    """The tokens of a label and the place reached in them."""

    def __init__(self, text: str) -> None:
        matches = (match for match in TOKEN.finditer(text) if match.lastgroup != "comment")
        self._found = [(match.lastgroup or "", match[match.lastgroup or 0]) for match in matches]
        self._at = 0

    def _take(self) -> tuple[str, str]:
        self._at += 1
        return self._found[self._at - 1]

    def _ahead(self, steps: int = 0) -> tuple[str, str]:
        return self._found[self._at + steps] if self._at + steps < len(self._found) else ("", "")

    def keywords(self) -> Iterator[str]:
        """Each word that ``=`` follows (taken off), and the words that end something."""
        while self._at < len(self._found):
            kind, text = self._take()
            if kind == "word" and self._ahead() == ("mark", "="):
                self._take()
                yield text
            elif kind == "word" and text.upper() in {"END", "END_OBJECT", "END_GROUP"}:
                yield text

    def value(self) -> Value:
        """Give the value after ``=``: a scalar, or all between brackets, flattened; empty if none follows."""
        if self._ahead() in {("mark", "("), ("mark", "{")}:
            return self._sequence()
        kind, text = self._ahead()
        if kind not in {"word", "double", "single"} or (kind == "word" and self._ahead(1) == ("mark", "=")):
            return Value()
        self._take()
        return Value((" ".join(text.split()),), self._unit())

    def _unit(self) -> str:
        return self._take()[1] if self._ahead()[0] == "unit" else ""

    def _sequence(self) -> Value:
        items: list[str] = []
        unit, depth = "", 0
        while self._ahead()[0] and self._ahead(1) != ("mark", "="):  # a keyword inside brackets: they were never closed
            kind, text = self._take()
            if kind in {"word", "double", "single"}:
                items.append(" ".join(text.split()))
            elif kind == "unit":
                unit = unit or text
            else:
                depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text, 0)
            if depth == 0:
                break
        return Value(tuple(items), unit or self._unit())


_KINDS = {
    "UNSIGNED_INTEGER": ">u",
    "MSB_UNSIGNED_INTEGER": ">u",
    "SUN_UNSIGNED_INTEGER": ">u",
    "MAC_UNSIGNED_INTEGER": ">u",
    "LSB_UNSIGNED_INTEGER": "<u",
    "PC_UNSIGNED_INTEGER": "<u",
    "VAX_UNSIGNED_INTEGER": "<u",
    "INTEGER": ">i",
    "MSB_INTEGER": ">i",
    "SUN_INTEGER": ">i",
    "MAC_INTEGER": ">i",
    "LSB_INTEGER": "<i",
    "PC_INTEGER": "<i",
    "VAX_INTEGER": "<i",
    "IEEE_REAL": ">f",
    "SUN_REAL": ">f",
    "MAC_REAL": ">f",
    "REAL": ">f",
    "FLOAT": ">f",
    "PC_REAL": "<f",
}


def image_layout(label: Label, source: Path) -> Layout:
    """Where the pixels of a label's IMAGE object lie in its data file.

    Raises:
        InputError: for a sample type, an interleave or dimensions that no frame of ours has.

    """
    bits = label.integer("SAMPLE_BITS", 8, "IMAGE")
    kind = label.text("SAMPLE_TYPE", "IMAGE").upper() or "UNSIGNED_INTEGER"
    planes = label.integer("BANDS", 1, "IMAGE")
    storage = label.text("BAND_STORAGE_TYPE", "IMAGE").upper().replace(" ", "_")
    if kind not in _KINDS or (kind[-4:] in {"REAL", "LOAT"} and bits not in {32, 64}) or bits not in {8, 16, 32, 64}:
        raise InputError(
            source, f"sample type {kind} of {bits} bits; expected integers or IEEE reals", "convert it to FITS"
        )
    if planes > 1 and storage not in {"", "BAND_SEQUENTIAL"}:
        raise InputError(source, f"band storage {storage}; expected BAND_SEQUENTIAL", "convert it to FITS")
    return Layout(
        offset=_pointer_offset(label),
        rows=label.integer("LINES", 0, "IMAGE"),
        columns=label.integer("LINE_SAMPLES", 0, "IMAGE"),
        dtype=np.dtype(f"{_KINDS[kind]}{bits // 8}"),
        prefix=label.integer("LINE_PREFIX_BYTES", 0, "IMAGE"),
        suffix=label.integer("LINE_SUFFIX_BYTES", 0, "IMAGE"),
        planes=planes,
    )


def _pointer_offset(label: Label) -> int:
    """Bytes before the image: ``^IMAGE`` counts records, or bytes when it says so, from 1; a bare name means 0."""
    pointer = label.value("^IMAGE")
    counts = [number for number in pointer.numbers if math.isfinite(number)]
    if not counts:
        return 0
    start = int(min(counts[-1], 1e12))
    return start - 1 if pointer.unit.upper() == "BYTES" else (start - 1) * label.integer("RECORD_BYTES", 1)


def read_image(label: Label, source: Path) -> NDArray[np.generic]:
    """Read a label's IMAGE object, (planes, lines, samples) in the file's own type.

    Raises:
        InputError: as ``image_layout``, or for a truncated file.

    """
    return image_layout(label, source).read(source)
