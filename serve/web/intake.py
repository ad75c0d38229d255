"""An upload on its way into the store: files and zips become one folder whose names are safe, and the products in it.

Nothing of what a file says about itself is believed: names lose their folders (``..`` and absolute ones are refused in
zips), sizes are counted as they are unpacked, links and devices are refused, a zip within a zip is not opened, and a
label may only point to files that came with it.
"""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from detector.products import LABELS, Product, look_for
from serve.web.limits import Limits
from serve.web.problems import Problem, Reason

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
PIECE_BYTES = 1 << 20
LONGEST_NAME = 120
DEEPEST = 8
LABEL_BYTES = 200_000
NOT_IN_NAMES = re.compile(r"[^\w .+()=,@-]")
POINTER = re.compile(r'\^\w+\s*=\s*[({]?\s*"([^"]*)"|<file_name>\s*([^<]*?)\s*</file_name>', re.IGNORECASE)
PLAIN_POINTER = re.compile(r"\^\w+\s*=\s*[({]?\s*([^\s\"(){},]*[/\\][^\s\"(){},]*)")
ENTITY = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True)
class Upload:
    """One file as it came.

    Attributes:
        name: as the client gave it.
        stream: its bytes, at the beginning.

    """

    name: str
    stream: BinaryIO


def receive(uploads: Sequence[Upload], folder: Path, limits: Limits) -> list[Path]:
    """Write an upload's files into an empty folder, zips unpacked.

    Returns:
        The files, in the order in which they came.

    Raises:
        Problem: 413 for more than the limits, 422 for what is refused; the folder is then to be removed.

    """
    budget = _Budget(limits)
    written: list[Path] = []
    for upload in uploads:
        head = upload.stream.read(4)
        upload.stream.seek(0)
        if head in ZIP:
            written += _unpack(upload, folder, budget)
        else:
            written.append(_write(folder / safe_name(upload.name), upload.stream, budget, upload.name))
    if not written:
        raise Problem(422, "no file came: send frames, frames with their labels, or a zip of them as `files`")
    return written


def products_in(folder: Path, files: Sequence[Path]) -> list[Product]:
    """Return the products of an upload; at least one.

    Raises:
        Problem: 422, when there is none, or a label points out of the upload.

    """
    outside = [Reason(source=_shown(path, folder), problem=text) for path in files if (text := flaw_of_label(path))]
    if outside:
        raise Problem(422, f"{outside[0].source}: {outside[0].problem}", outside)
    found = look_for([folder])
    if not any(product.problem for product in found):
        return found
    reasons = [
        Reason(source=_shown(product.data, folder), problem=product.problem)
        for product in look_for(list(files))
        if product.problem
    ]
    raise Problem(422, f"no frame among {len(files)} files: {reasons[0].source}: {reasons[0].problem}", reasons[:50])


def safe_name(name: str) -> str:
    """Return a file's name without folders and without what no name needs; its ending is kept.

    Raises:
        Problem: 422, for a name that leaves nothing.

    """
    bare = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    plain = NOT_IN_NAMES.sub("_", bare).strip().lstrip(".")
    if not plain.strip("_ "):
        raise Problem(422, f"a file named {name[:80]!r}: give it a name of letters and digits")
    stem, dot, ending = plain.rpartition(".")
    return plain if len(plain) <= LONGEST_NAME else f"{(stem or ending)[: LONGEST_NAME - 20]}{dot}{ending[:19]}"


def flaw_of_label(path: Path) -> str:
    """Say why a file's label may not be followed; empty for a label that stays in its folder, and for other files.

    A label stands in a file of its own or in front of the pixels, so the beginning of every file is looked at.
    """
    with path.open("rb") as stream:
        text = stream.read(LABEL_BYTES).decode("latin-1")
    if path.suffix.lower() == ".xml" and ENTITY.search(text):
        return "declares a document type or an entity: labels of the archive do not; remove it"
    if path.suffix.lower() not in LABELS and not text.lstrip().startswith(("PDS", "ODL", "CCSD", "RECORD", "Object")):
        return ""
    pointers = [next((group for group in found if group), "") for found in POINTER.findall(text)]
    outside = next((target for target in (*pointers, *PLAIN_POINTER.findall(text)) if _leads_out(target)), "")
    return f"points to {outside[:120]!r}: a label may only point to a file beside it" if outside else ""


def _leads_out(target: str) -> bool:
    parts = re.split(r"[/\\]", target.strip())
    return "\0" in target or ".." in parts or (len(parts) > 1 and parts[0] in ("", "~")) or ":" in parts[0]


class _Budget:
    """What is left of the limits while an upload is unpacked."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._bytes, self._members = limits, limits.unpacked_bytes, limits.members

    def take_member(self) -> None:
        """Count a file."""
        self._members -= 1
        if self._members < 0:
            raise Problem(413, f"more than {self._limits.members} files, the most of one upload; send several uploads")

    def take_bytes(self, count: int) -> None:
        """Count bytes."""
        self._bytes -= count
        if self._bytes < 0:
            most = self._limits.unpacked_bytes
            raise Problem(413, f"unpacks to more than {most:,} bytes, the most of one upload; send several uploads")


def _write(path: Path, pieces: BinaryIO, budget: _Budget, name: str) -> Path:
    """Write one file."""
    budget.take_member()
    both = Problem(422, f"{name[:200]!r} is both a file and a folder of this upload: pack it again")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise both from None
    try:
        if path.is_dir():
            raise both
        with path.open("xb") as stream:
            while piece := pieces.read(PIECE_BYTES):
                budget.take_bytes(len(piece))
                stream.write(piece)
    except FileExistsError:
        raise Problem(422, f"two files are named {path.name!r}: send them one by one, or in folders of a zip") from None
    return path


def _unpack(upload: Upload, folder: Path, budget: _Budget) -> list[Path]:
    """Write the files of a zip."""
    try:
        with zipfile.ZipFile(upload.stream) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            return [_unpack_one(archive, entry, folder, budget) for entry in _wanted(entries)]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the zip's
            raise
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise Problem(422, f"{upload.name[:80]!r} cannot be unpacked ({words}): pack it again") from error


def _wanted(entries: Iterable[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    """Leave out what a system adds to the zips that it makes."""
    for entry in entries:
        if not entry.filename.startswith("__MACOSX/") and not entry.filename.endswith(".DS_Store"):
            yield entry


def _unpack_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, budget: _Budget) -> Path:
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or len(parts) > DEEPEST:
        raise Problem(422, f"the zip's member {entry.filename[:200]!r} is not a path within it: pack it again")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Problem(422, f"the zip's member {entry.filename[:200]!r} is a link or a device: pack files only")
    if entry.flag_bits & 0x1:
        raise Problem(422, f"the zip's member {entry.filename[:200]!r} is encrypted: pack it without a password")
    path = folder.joinpath(*(safe_name(part) for part in parts))
    with archive.open(entry) as stream:
        head = stream.read(4)
    if head in ZIP:
        raise Problem(422, f"the zip's member {entry.filename[:200]!r} is a zip itself: unpack it first")
    with archive.open(entry) as stream:
        return _write(path, stream, budget, entry.filename)  # type: ignore[arg-type]


def _shown(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
