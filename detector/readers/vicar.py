"""VICAR: an ASCII label of KEY=value pairs, binary header records, then lines with a binary prefix.

``LBLSIZE`` bytes of label, ``NLB`` records of ``RECSIZE`` bytes, then lines of ``NBB`` prefix bytes and ``NS`` samples.
With ``EOL=1`` the label goes on behind the pixels; the pixels do not depend on it, so a missing end is forgiven.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.readers.foreign import reading
from detector.readers.layout import Layout
from detector.readers.pds3 import as_number

MAX_LABEL_BYTES = 1_000_000
PAIR = re.compile(r"([A-Za-z]\w*)\s*=\s*('(?:[^']|'')*'|\([^()]*\)|[^\s'()]+)")


def parse_pairs(text: str) -> dict[str, str]:
    """KEY=value pairs as text without quotation marks; the first of a key wins, because tasks repeat theirs."""
    pairs: dict[str, str] = {}
    for key, value in PAIR.findall(text):
        pairs.setdefault(key.upper(), value.strip("'()").replace("''", "'").strip())
    return pairs


def read_pairs(path: Path) -> dict[str, str]:
    """Read the label in front of a VICAR file and, with EOL, the one behind its pixels.

    Raises:
        InputError: for a file that does not begin with a VICAR label.

    """
    try:
        with reading(path), path.open("rb") as stream:
            size = re.match(rb"LBLSIZE\s*=\s*(\d{1,7})\s", stream.read(32))
            if not size:
                raise InputError(path, "does not begin with LBLSIZE=", "check that it is a VICAR file")
            stream.seek(0)
            pairs = parse_pairs(stream.read(min(int(size[1]), MAX_LABEL_BYTES)).split(b"\0")[0].decode("latin-1"))
            if pairs.get("EOL") == "1":
                stream.seek(_end_of_pixels(pairs))
                pairs = parse_pairs(stream.read(MAX_LABEL_BYTES).split(b"\0")[0].decode("latin-1")) | pairs
    except OverflowError as error:
        raise InputError(path, f"cannot be read: {error}") from error
    return pairs


def count(pairs: Mapping[str, str], key: str, default: int) -> int:
    """Give a whole number of the label, or the default; never negative, never above 10^12."""
    number = as_number(pairs.get(key, ""))
    return int(number) if 0 <= number <= 1e12 else default


def _end_of_pixels(pairs: Mapping[str, str]) -> int:
    lines = count(pairs, "NLB", 0) + count(pairs, "NL", 0) * count(pairs, "NB", 1)
    return count(pairs, "LBLSIZE", 0) + lines * count(pairs, "RECSIZE", 0)


def _sample_type(pairs: Mapping[str, str], source: Path) -> str:
    """Numpy type of a sample; VAX reals are read as pairs of little-endian words."""
    order = ">" if pairs.get("INTFMT", "LOW").upper() == "HIGH" else "<"
    real = pairs.get("REALFMT", "VAX").upper()
    kind = pairs.get("FORMAT", "BYTE").upper()
    if kind in {"REAL", "DOUB"} and real in {"IEEE", "RIEEE"}:
        return (">" if real == "IEEE" else "<") + ("f4" if kind == "REAL" else "f8")
    known = {"BYTE": "u1", "HALF": f"{order}i2", "WORD": f"{order}i2", "FULL": f"{order}i4", "LONG": f"{order}i4"}
    if kind == "REAL" and real == "VAX":
        return "<u4"
    if kind not in known:
        raise InputError(
            source, f"VICAR format {kind} ({real}); expected BYTE, HALF, FULL, REAL or DOUB", "convert it to FITS"
        )
    return known[kind]


def vax_real(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """VAX F-floating numbers from their four bytes read little-endian; NaN for the reserved operand."""
    bits = ((words & 0xFFFF) << 16 | words >> 16).astype(np.int64)
    exponent, fraction = (bits >> 23) & 0xFF, bits & 0x7FFFFF
    sign = np.where(bits >> 31, -1.0, 1.0)
    value = sign * np.ldexp(0.5 + fraction / 2.0**24, (exponent - 128).astype(np.int32))
    return np.where(exponent > 0, value, np.where(sign < 0, np.nan, 0.0))


def read_array(path: Path, pairs: Mapping[str, str]) -> NDArray[np.generic]:
    """Read the pixels, (bands, lines, samples); integers keep their type, VAX reals become float64.

    Raises:
        InputError: for a truncated file, absurd dimensions or a sample type we do not read.

    """
    if pairs.get("ORG", "BSQ").upper() != "BSQ" and count(pairs, "NB", 1) > 1:
        raise InputError(path, f"VICAR organisation {pairs.get('ORG')}; expected BSQ", "convert it to FITS")
    layout = Layout(
        offset=count(pairs, "LBLSIZE", 0) + count(pairs, "NLB", 0) * count(pairs, "RECSIZE", 0),
        rows=count(pairs, "NL", 0),
        columns=count(pairs, "NS", 0),
        dtype=np.dtype(_sample_type(pairs, path)),
        prefix=count(pairs, "NBB", 0),
        planes=count(pairs, "NB", 1),
    )
    samples = layout.read(path)
    return vax_real(samples.astype(np.uint32)) if layout.dtype == np.dtype("<u4") else samples
