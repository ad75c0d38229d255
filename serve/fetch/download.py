"""One file, whole and checked, whatever happens on the way.

The bytes go into ``.fetch/parts/`` with a note of what the server said of them. Where a note has a strong ETag or a
date, the next try asks for the rest only (``Range`` with ``If-Range``) and starts over when the file has changed; a
file that is whole is checked, entered into the provenance, and moved to its place. A file that fails its check is
fetched anew, once; then it goes into ``.quarantine/`` with its reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from serve.atomic import write_whole
from serve.fetch.places import KEPT, QUARANTINE, inside
from serve.fetch.provenance import Origin, Provenance
from serve.fetch.remote import Remote, digest_of
from serve.fetch.services import user_agent
from serve.fetch.web import FetchError, PassingError, Web, encoding_of, length_of

if TYPE_CHECKING:
    import httpx

MAX_FILE_BYTES = 16 << 30
PAGES = frozenset({".html", ".htm", ".asc"})
"""Endings of files that may be web pages."""
PACKED = frozenset({".gz", ".tgz"})
"""Endings of files that are meant to stay packed, though servers call that an encoding."""
PAGE = re.compile(rb"\s*(<!doctype\s+html|<html|<\?xml[^>]*>\s*(<!doctype\s+html|<html))", re.IGNORECASE)
TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,100})", re.IGNORECASE)


@dataclass(frozen=True)
class Arrival:
    """What became of a file.

    Attributes:
        remote: the file.
        state: ``fetched``, ``had``, ``failed`` or ``quarantined``.
        size_bytes: of the file in its place, or in quarantine.
        reason: why it failed; empty where it did not.

    """

    remote: Remote
    state: str
    size_bytes: int = 0
    reason: str = ""

    @property
    def is_here(self) -> bool:
        """Whether the file lies in its place."""
        return self.state in {"fetched", "had"}


@dataclass(frozen=True)
class Note:
    """What a server said of the bytes of an unfinished file; ``size_bytes`` is None until it is known."""

    url: str = ""
    final_url: str = ""
    etag: str = ""
    last_modified: str = ""
    size_bytes: int | None = None


class Part:
    """An unfinished file and its note."""

    def __init__(self, folder: Path, place: PurePosixPath) -> None:
        key = hashlib.sha256(str(place).encode()).hexdigest()[:16]
        self.path = folder / f"{key}-{place.name}.part"
        self._note = folder / f"{key}.note"

    @property
    def size_bytes(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def note(self) -> Note:
        """What is known of them; an empty note where there is none."""
        try:
            return Note(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return Note()

    @note.setter
    def note(self, note: Note) -> None:
        write_whole(self._note, json.dumps(asdict(note)).encode("utf-8", "backslashreplace"))

    def discard(self) -> None:
        """Forget the bytes, then the note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def is_whole(self, url: str) -> bool:
        """Whether all bytes of an address are here."""
        note = self.note
        return note.url == url and note.size_bytes is not None and self.size_bytes == note.size_bytes > 0

    def conditions(self, url: str) -> dict[str, str]:
        """Give the headers that ask for the rest; empty where the whole must be asked for."""
        note = self.note
        strong = note.etag if note.etag.startswith('"') else ""
        validator, size = strong or note.last_modified, self.size_bytes
        beyond = note.size_bytes is not None and size >= note.size_bytes
        if note.url != url or not validator or not size or beyond:
            return {}
        return {"Range": f"bytes={size}-", "If-Range": validator}

    def goes_on(self, response: httpx.Response) -> bool:
        """Whether an answer is the rest of these bytes, of the same file."""
        note, found = self.note, re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
        same = all(response.headers.get(name, kept) == kept for name, kept in _validators(note).items())
        if found is None or not same or encoding_of(response):
            return False
        return int(found[1]) == self.size_bytes and found[2] in {"*", str(note.size_bytes)}

    def begin(self, url: str, response: httpx.Response) -> None:
        """Start over with an answer: the bytes of another version go first, then the note tells of this one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        resumable = not encoding_of(response)
        self.note = Note(
            url,
            str(response.url),
            response.headers.get("etag", "") if resumable else "",
            response.headers.get("last-modified", "") if resumable else "",
            length_of(response),
        )

    def finish(self) -> None:
        """Note that all bytes are here, on the disk."""
        with self.path.open("r+b") as stream:
            os.fsync(stream.fileno())
        self.note = replace(self.note, size_bytes=self.size_bytes)


def _validators(note: Note) -> dict[str, str]:
    return {name: kept for name, kept in (("etag", note.etag), ("last-modified", note.last_modified)) if kept}


class Downloader:
    """Fetches files into one output folder.

    Args:
        web: the conversation.
        out: the folder.
        provenance: of the folder.
        origin: what every line of provenance shall say besides: source and query.
        gained: called with every number of bytes that arrives.

    """

    def __init__(
        self,
        web: Web,
        out: Path,
        provenance: Provenance,
        origin: dict[str, str],
        gained: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.web, self.out, self.provenance = web, out, provenance
        self._origin, self._gained = origin, gained
        self._places: dict[PurePosixPath, threading.Lock] = {}
        self._lock = threading.Lock()

    def fetch(self, remote: Remote, verify: bool = False) -> Arrival:
        """Fetch a file, unless it is here.

        Raises:
            OSError: the disk is full, or may not be written to.
            StoppedError: the run is being ended.

        """
        if remote.problem:
            return Arrival(remote, "failed", reason=remote.problem)
        with self._lock:
            place = self._places.setdefault(remote.place, threading.Lock())
        with place:  # products share files
            return self._fetch(remote, verify)

    def _fetch(self, remote: Remote, verify: bool) -> Arrival:
        path = inside(self.out, remote.place)
        if self.provenance.holds(remote, verify) or self._adopted(remote, path):
            return Arrival(remote, "had", path.stat().st_size)
        refused: FetchError | None = None
        for url in (remote.url, *remote.other_urls):
            try:
                return self._checked(replace(remote, url=url), path)
            except FetchError as error:
                refused = error if refused is None or error.status not in {404, 410} else refused
                if error.status not in {404, 410}:
                    break
        return Arrival(remote, "failed", reason=str(refused))

    def _adopted(self, remote: Remote, path: Path) -> bool:
        """Whether a file of unknown origin in this place is the one that the service has, by its checksum."""
        stated = remote.checksum
        if stated is None or self.provenance.of(remote.place) is not None or not path.is_file():
            return False
        if digest_of(path, stated.kind) != stated.digits:
            return False
        self.provenance.write(self._line(remote, path, Note(remote.url, "found in its place")))
        return True

    def _checked(self, remote: Remote, path: Path) -> Arrival:
        """Fetch a file and check it; once more where the check fails, then put it aside."""
        part = Part(self.out / KEPT / "parts", remote.place)
        seen: list[str] = []
        for _ in range(2):
            self.web.patiently(remote.url, lambda: self._pull(remote.url, part, remote.place))
            problem = _problem(part.path, remote)
            if not problem:
                return self._settled(remote, part, path)
            seen.append(digest_of(part.path, "sha256"))
            if len(seen) < 2:
                part.discard()
        return self._put_aside(remote, part, problem, same=seen[0] == seen[1])

    def _pull(self, url: str, part: Part, place: PurePosixPath) -> None:
        """One try to get the bytes, or the rest of them."""
        if part.is_whole(url):
            return
        headers, before = part.conditions(url), part.size_bytes
        try:
            with self.web.answer("GET", url, headers) as response:
                self._take(response, url, part, bool(headers), place)
        except PassingError as trouble:
            trouble.progress = part.size_bytes > before
            raise
        short = part.note.size_bytes
        if short is not None and part.size_bytes != short:
            raise PassingError(f"{part.size_bytes} bytes came of {short}", progress=part.size_bytes > before)
        part.finish()

    def _take(self, response: httpx.Response, url: str, part: Part, asked_rest: bool, place: PurePosixPath) -> None:
        """Write an answer's bytes behind those that are here, or instead of them."""
        if response.status_code == 200:
            part.begin(url, response)
        elif response.status_code != 206 or not asked_rest or not part.goes_on(response):
            part.discard()
            raise PassingError(f"HTTP {response.status_code}: not the rest of the file, starting over")
        blocks = response.iter_raw() if place.suffix.lower() in PACKED else response.iter_bytes()
        if place.suffix.lower() in PACKED and encoding_of(response):
            part.note = replace(part.note, size_bytes=None)
        self._write(self.web.steadily(blocks), part, url)

    def _write(self, blocks: Iterator[bytes], part: Part, url: str) -> None:
        size = part.size_bytes
        with part.path.open("ab", buffering=0) as stream:
            for block in blocks:
                stream.write(block)
                size += len(block)
                self._gained(len(block))
                if size > MAX_FILE_BYTES:
                    raise FetchError(url, f"is larger than {MAX_FILE_BYTES >> 30} GiB", "not fetched")

    def _settled(self, remote: Remote, part: Part, path: Path) -> Arrival:
        """Enter a checked file into the provenance and move it to its place."""
        size, note = part.size_bytes, part.note
        self.provenance.write(self._line(remote, part.path, note))
        path.parent.mkdir(parents=True, exist_ok=True)
        part.path.replace(path)
        part.discard()
        return Arrival(remote, "fetched", size)

    def _line(self, remote: Remote, path: Path, note: Note) -> Origin:
        return Origin(
            path=str(remote.place),
            url=remote.url,
            final_url=note.final_url,
            time_utc=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            size_bytes=path.stat().st_size,
            sha256=digest_of(path, "sha256"),
            checksum=str(remote.checksum or ""),
            checksum_source=remote.checksum.source if remote.checksum else "",
            etag=note.etag,
            last_modified=note.last_modified,
            software=user_agent().split(" ")[0],
            **self._origin,
        )

    def _put_aside(self, remote: Remote, part: Part, problem: str, same: bool) -> Arrival:
        """Move a file that failed its check twice into quarantine, with its reason beside it."""
        aside = inside(self.out / QUARANTINE, remote.place)
        aside.parent.mkdir(parents=True, exist_ok=True)
        size = part.size_bytes
        part.path.replace(aside)
        part.discard()
        both = "the same bytes came twice: the archive itself may be wrong" if same else "other bytes came each time"
        reason = f"{problem}; {both}; it lies in {aside}"
        write_whole(aside.with_name(aside.name + ".reason.txt"), f"{remote.url}\n{reason}\n".encode())
        return Arrival(remote, "quarantined", size, reason)


def _problem(path: Path, remote: Remote) -> str:
    """Say what is wrong with a file that came whole; empty where nothing is."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if PAGE.match(head) and remote.place.suffix.lower() not in PAGES:
        title = TITLE.search(head)
        called = f" ({title[1].decode('latin-1').strip()})" if title else ""
        return f"a web page came instead of the file{called}"
    size, stated = path.stat().st_size, remote.checksum
    if remote.size_bytes is not None and size != remote.size_bytes:
        return f"{size} bytes came; {remote.size_bytes} are stated"
    if stated is not None and (digits := digest_of(path, stated.kind)) != stated.digits:
        return f"{stated.kind} is {digits}; {stated.source} states {stated.digits}"
    return "" if size else "an empty file came"
