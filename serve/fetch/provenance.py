"""Where each file came from: ``provenance.jsonl`` in the output folder, a line a file, the last of a place holds.

A line is on the disk before its file takes its place; a line torn by a kill is passed over.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from serve.fetch.places import PROVENANCE, inside
from serve.fetch.remote import Remote, digest_of


@dataclass(frozen=True)
class Origin:
    """A line of the file.

    Attributes:
        path: below the output folder.
        url: that was asked.
        final_url: that answered, after redirects.
        time_utc: when it was whole.
        size_bytes: of the file.
        sha256: of the file, computed here.
        checksum: as a service stated it (``md5:...``); empty where none did.
        checksum_source: who stated it.
        etag: of the answer.
        last_modified: of the answer.
        source: opus, pds-volume, kernels or labels.
        query: the question.
        software: name and version.

    """

    path: str
    url: str
    final_url: str
    time_utc: str
    size_bytes: int
    sha256: str
    checksum: str = ""
    checksum_source: str = ""
    etag: str = ""
    last_modified: str = ""
    source: str = ""
    query: str = ""
    software: str = ""


class Provenance:
    """The provenance of one output folder. May be used from several threads."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / PROVENANCE
        self._lock = threading.Lock()
        self._origins = _read(self.path)

    def of(self, place: PurePosixPath) -> Origin | None:
        """Give what is known of a place; None for a file that did not come by this way."""
        return self._origins.get(str(place))

    def holds(self, remote: Remote, verify: bool = False) -> bool:
        """Whether a file lies whole in its place, and is the one that the service has.

        Args:
            remote: the file.
            verify: compute its checksum anew instead of trusting its size.

        """
        path, origin = inside(self.out, remote.place), self.of(remote.place)
        if origin is None or not path.is_file() or path.stat().st_size != origin.size_bytes:
            return False
        if remote.size_bytes not in (None, origin.size_bytes):
            return False
        if verify and digest_of(path, "sha256") != origin.sha256:
            return False
        stated = remote.checksum
        return stated is None or str(stated) == origin.checksum or digest_of(path, stated.kind) == stated.digits

    def write(self, origin: Origin) -> None:
        """Add a line, and have it on the disk."""
        line = json.dumps(asdict(origin), ensure_ascii=False) + "\n"
        with self._lock, self.path.open("a+b") as stream:
            if stream.tell() and not _ends_with_newline(stream):
                line = "\n" + line
            stream.write(line.encode("utf-8", "backslashreplace"))
            stream.flush()
            os.fsync(stream.fileno())
            self._origins[origin.path] = origin


def _ends_with_newline(stream: Any) -> bool:
    stream.seek(-1, os.SEEK_END)
    return bool(stream.read(1) == b"\n")


def _read(path: Path) -> dict[str, Origin]:
    if not path.is_file():
        return {}
    found = (_origin(line) for line in path.read_bytes().splitlines())
    return {origin.path: origin for origin in found if origin is not None}


def _origin(line: bytes) -> Origin | None:
    """An origin from its line; None for a torn or a foreign one."""
    names = {column.name for column in fields(Origin)}
    try:
        kept = json.loads(line)
        return Origin(**{name: value for name, value in kept.items() if name in names})
    except (ValueError, TypeError, AttributeError):
        return None
