"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

UNFINISHED = ".part"

Stamp = tuple[str, int, int]
"""What tells a file from any other that lay in its place: its name with its folder's, its size, its time of change."""


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file under another name beside its place and move it there: a reader never sees half of it.

    The content may come in pieces. The folder is made when missing. Several processes may write the same path; the last
    one wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    with unfinished.open("wb") as stream:
        stream.writelines([content] if isinstance(content, bytes) else content)
    unfinished.replace(path)


def stamp_of(path: Path) -> Stamp:
    """Return a file's stamp, its time in nanoseconds; the size is -1 where none can be seen."""
    name = f"{path.parent.name}/{path.name}"
    try:
        known = path.stat()
    except OSError:
        return name, -1, 0
    return name, known.st_size, known.st_mtime_ns


def sweep(folder: Path) -> None:
    """Remove what a killed run left unfinished in a folder; the folder may be missing."""
    for unfinished in folder.glob(f".*{UNFINISHED}"):
        unfinished.unlink(missing_ok=True)
