"""Pixels of a file with records: where they start, how wide a record is, what surrounds the samples of a line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.readers.foreign import reading

MAX_PIXELS = 400_000_000
_allowed = [MAX_PIXELS]


def allow_pixels(count: int) -> None:
    """Let this process take at most ``count`` samples from one file, where that is less than MAX_PIXELS."""
    _allowed[0] = min(count, MAX_PIXELS)


def check_size(source: Path, rows: int, columns: int, planes: int = 1) -> None:
    """Refuse dimensions that no frame has: none at all, or more than MAX_PIXELS samples (or what is allowed here).

    Raises:
        InputError: naming the dimensions.

    """
    if min(rows, columns, planes) < 1 or rows * columns * planes > _allowed[0]:
        raise InputError(
            source,
            f"{planes} plane(s) of {rows} x {columns} pixels; expected at least one pixel and at most {_allowed[0]:,}",
            "check that the file and its label belong together",
        )


@dataclass(frozen=True)
class Layout:
    """Band-sequential lines of samples with bytes before and after each line.

    Attributes:
        offset: bytes before the first line.
        rows, columns, planes: dimensions.
        dtype: numpy type of a sample, with its byte order.
        prefix, suffix: bytes before and after the samples of a line.

    """

    offset: int
    rows: int
    columns: int
    dtype: np.dtype[np.generic]
    prefix: int = 0
    suffix: int = 0
    planes: int = 1

    @property
    def line_bytes(self) -> int:
        """Bytes of one line with what stands before and after its samples."""
        return self.prefix + self.columns * self.dtype.itemsize + self.suffix

    def read(self, source: Path) -> NDArray[np.generic]:
        """Read the samples, (planes, rows, columns) in the file's own type.

        Raises:
            InputError: for absurd dimensions or a file that ends too early.

        """
        check_size(source, self.rows, self.columns, self.planes)
        if min(self.offset, self.prefix, self.suffix) < 0:
            raise InputError(source, f"a negative offset in {self}", "check the label")
        lines = self.planes * self.rows
        raw = self._bytes(source, lines * self.line_bytes)
        body = raw.reshape(lines, self.line_bytes)[:, self.prefix : self.line_bytes - self.suffix or None]
        samples = np.ascontiguousarray(body[:, : self.columns * self.dtype.itemsize]).view(self.dtype)
        return samples.reshape(self.planes, self.rows, self.columns)

    def _bytes(self, source: Path, wanted: int) -> NDArray[np.uint8]:
        with reading(source):
            size = source.stat().st_size
            if size < self.offset + wanted - self.suffix:
                raise InputError(
                    source,
                    f"is {size} bytes long, the label needs {self.offset + wanted}",
                    "the file is truncated, or the label is another product's: fetch both again",
                )
            raw = np.fromfile(source, np.uint8, count=wanted, offset=self.offset)
        return np.pad(raw, (0, wanted - raw.size))
