"""A fence around the libraries that decode for us: whatever they raise becomes an InputError that names the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.errors import InputError

# What GDAL, astropy and pdr were seen to raise on damaged files; RuntimeError includes RecursionError.
FAILURES = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    EOFError,
    struct.error,
    SyntaxError,
    AssertionError,
)


@contextmanager
def decoding(source: Path, what: str, *more: type[Exception]) -> Iterator[None]:
    """Turn a library's failure on ``source`` into an InputError; ``what`` is the format, ``more`` its own exceptions.

    Raises:
        InputError: with the library's own words.

    """
    failures: tuple[type[Exception], ...] = (*FAILURES, *more)
    try:
        yield
    except failures as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(
            source, f"cannot be decoded as {what} ({words})", "the file is damaged: fetch it again"
        ) from error
