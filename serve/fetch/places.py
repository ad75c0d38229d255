"""Where a file may lie: below the output folder, whatever a server calls it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from detector.errors import InputError

KEPT = ".fetch"
"""Folder in the output folder for what a run needs to go on: unfinished files, tables, the lock."""
QUARANTINE = ".quarantine"
PROVENANCE = "provenance.jsonl"
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')
MAX_NAME_BYTES, MAX_PARTS = 200, 16


def place_of(path: str) -> PurePosixPath:
    """Turn a path that a server gave (slashes of either kind) into one that is safe below any folder on any system.

    Raises:
        InputError: for a path that leads elsewhere (``..``, absolute, a drive), is hidden, or holds what some file
            system cannot: nothing is guessed, the file is not fetched.

    """
    parts = path.replace("\\", "/").split("/")
    wrong = next((part for part in parts if not _is_plain(part)), None)
    if wrong is not None or len(parts) > MAX_PARTS or path == PROVENANCE:
        raise InputError(repr(path), "is no path below the output folder", "not fetched; report it to the archive")
    return PurePosixPath(*parts)


def _is_plain(part: str) -> bool:
    """Whether one part of a path is a plain, visible name."""
    ends_well = part == part.strip() and not part.startswith((".", "~")) and not part.endswith(".")
    short = 0 < len(part.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
    return ends_well and short and not FORBIDDEN.search(part) and not RESERVED.fullmatch(part)


def inside(out: Path, place: PurePosixPath) -> Path:
    """Give the path of a place, which no link leads out of the folder.

    Raises:
        InputError: for a link that does.

    """
    path = out / place
    if not path.resolve().is_relative_to(out.resolve()):
        raise InputError(path, "is reached through a link that leads out of the output folder", "remove the link")
    return path
