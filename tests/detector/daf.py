"""SPICE kernels in transfer format (text) as the binary files that SPICE reads, and made-up ones for gaps in time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

WORDS = 128
"""Double precision words in a record of 1024 bytes."""
DOUBLES, INTEGERS = 2, 6
SUMMARY_WORDS = DOUBLES + (INTEGERS + 1) // 2
FTP = b"FTPSTR:\r:\n:\r\n:\r\x00:\x81:\x10\xce:ENDFTP"


def to_binary(transfer: Path, folder: Path) -> Path:
    """Write a transfer file of DAF type (SPK, CK) as a binary file of the same stem into ``folder``."""
    lines = iter(transfer.read_text(encoding="ascii").splitlines())
    next(lines)
    kind = next(lines).strip("'")
    assert [int(text(next(lines))) for _ in range(2)] == [DOUBLES, INTEGERS]
    name = text(next(lines))
    arrays = list(read_arrays(lines))
    path = folder / f"{transfer.stem}.{'bsp' if 'SPK' in kind else 'bc'}"
    words = file_record(kind, name, arrays) + index(arrays) + b"".join(data for *_, data in arrays)
    path.write_bytes(words + bytes(-len(words) % 1024))
    return path


def text(line: str) -> str:
    return line.strip().strip("'").strip()


def number(hexadecimal: str) -> float:
    """A number such as ``-5628A72E345454^7``: 0.5628A72E345454 x 16^7, negative; all digits hexadecimal."""
    mantissa, exponent = text(hexadecimal).split("^")
    digits = mantissa.lstrip("-")
    size = int(digits, 16) * 16.0 ** (int(exponent, 16) - len(digits))
    return -size if mantissa.startswith("-") else size


def read_arrays(lines: Iterator[str]) -> Iterator[tuple[str, list[float], list[int], bytes]]:
    """Name, doubles and integers of the summary (without the two addresses), and data of each array."""
    for line in lines:
        if not line.startswith("BEGIN_ARRAY"):
            break
        count, name = int(line.split()[2]), text(next(lines))
        doubles = [number(next(lines)) for _ in range(DOUBLES)]
        integers = [int(text(next(lines)), 16) for _ in range(INTEGERS - 2)]
        data: list[float] = []
        while len(data) < count:
            data += [number(next(lines)) for _ in range(int(next(lines)))]
        assert next(lines).startswith("END_ARRAY")
        yield name, doubles, integers, struct.pack(f"<{count}d", *data)


def file_record(kind: str, name: str, arrays: list[tuple[str, list[float], list[int], bytes]]) -> bytes:
    free = 3 * WORDS + 1 + sum(len(data) // 8 for *_, data in arrays)
    head = struct.pack("<8sii60siii8s", kind.encode().ljust(8), DOUBLES, INTEGERS, name.encode().ljust(60), 2, 2, free,
                       b"LTL-IEEE")  # fmt: skip
    return (head.ljust(699, b"\0") + FTP).ljust(1024, b"\0")


def index(arrays: list[tuple[str, list[float], list[int], bytes]]) -> bytes:
    """The record of summaries and the record of names."""
    assert len(arrays) <= (WORDS - 3) // SUMMARY_WORDS
    summaries, names, first = struct.pack("<3d", 0, 0, len(arrays)), b"", 3 * WORDS + 1
    for name, doubles, integers, data in arrays:
        last = first + len(data) // 8 - 1
        summaries += struct.pack(f"<{DOUBLES}d{INTEGERS}i", *doubles, *integers, first, last)
        names += name.encode().ljust(8 * SUMMARY_WORDS)[: 8 * SUMMARY_WORDS]
        first = last + 1
    return summaries.ljust(1024, b"\0") + names.ljust(1024)
