"""Fences around files and the libraries that decode them: what they raise becomes an InputError that names the file.

An InputError is a verdict on the file. What says nothing about the file passes as it is, so that it can be tried again:
a lack of memory, and a disk or a network that fails at the moment.
"""

from __future__ import annotations

import errno
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
    EOFError,
    struct.error,
    SyntaxError,
    AssertionError,
)
PASSING = frozenset(
    {errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT}
    | {errno.ESTALE, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET, errno.EHOSTUNREACH}
)
"""Errors of the machine, not of the file."""


@contextmanager
def reading(source: Path, remedy: str = "") -> Iterator[None]:
    """Turn a failure to open or read ``source`` into an InputError.

    Raises:
        InputError: the file is not there, or may not be read.
        OSError: of the machine (PASSING).

    """
    try:
        yield
    except OSError as error:
        if error.errno in PASSING:
            raise
        raise InputError(source, f"cannot be read: {error}", remedy) from error


@contextmanager
def decoding(source: Path, what: str, *more: type[Exception]) -> Iterator[None]:
    """Turn a library's failure on ``source`` into an InputError; ``what`` is the format, ``more`` its own exceptions.

    Raises:
        InputError: with the library's own words.
        OSError: of the machine (PASSING).

    """
    failures: tuple[type[Exception], ...] = (*FAILURES, *more)
    try:
        yield
    except failures as error:
        if isinstance(error, (InputError, MemoryError)) or (isinstance(error, OSError) and error.errno in PASSING):
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(
            source, f"cannot be decoded as {what} ({words})", "the file is damaged: fetch it again"
        ) from error
