"""What can be fetched: files of a service, and the products that they make up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Checksum:
    """A checksum as a service states it.

    Attributes:
        kind: ``md5`` or ``sha256``.
        digits: in lower-case hexadecimal.
        source: who states it.

    """

    kind: str
    digits: str
    source: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.digits}"


@dataclass(frozen=True)
class Remote:
    """A file of a service.

    Attributes:
        url: where it is.
        place: where it goes, below the output folder.
        size_bytes: as the service states it; None where it does not.
        checksum: as the service states it; None where it does not.
        other_urls: where else it may be: archives differ in upper and lower case.
        needed: whether the product is of no use without it.
        problem: why it cannot be fetched; empty for what can be tried.

    """

    url: str
    place: PurePosixPath
    size_bytes: int | None = None
    checksum: Checksum | None = None
    other_urls: tuple[str, ...] = ()
    needed: bool = True
    problem: str = ""


NOWHERE = PurePosixPath("-")
"""The place of a file that may lie nowhere."""


@dataclass(frozen=True)
class Product:
    """Files that belong together.

    Attributes:
        name: what it is called in the plan.
        files: what is known of it before anything is fetched.
        label: the one of ``files`` that names the others; None where there is none.
        formats: address of the folder of the formats (``.FMT``) that labels point to; empty where there is none.

    """

    name: str
    files: tuple[Remote, ...]
    label: Remote | None = None
    formats: str = ""


def digest_of(path: Path, kind: str) -> str:
    """Give the checksum of a file, in lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()
