"""The store: what came, what was found in it, what people said to it. One folder; it survives restarts and kills.

::

    STORE/
    ├── service.sqlite     jobs, products, frames, detections, corrections: the one truth of what there is
    ├── uploads/<job>/     files as they came, under safe names
    ├── frames/<frame_id>/ pixels.npy, mask.fits, places.npy (serve.web.examine)
    ├── work/              what is being made; emptied at every start
    ├── labels/            the corrections as a dataset (serve.web.labels)
    └── watched/           a folder as ``io-detector detect --out`` leaves it, that another process may write to;
                           its tables are taken in whenever they change (serve.web.taken)

A frame's files are moved to their place before its row is committed, and a row is committed as a whole: whatever kills
the service, what the database names is there.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detector.catalogue import Detection
from detector.errors import InputError
from detector.table import from_values

LAYOUT = 1
"""Kept in the database's ``user_version``; a store of another layout is refused."""
SCHEMA = """
CREATE TABLE job (
    id TEXT PRIMARY KEY, name TEXT, state TEXT, reason TEXT, created TEXT, finished TEXT, products TEXT
);
CREATE TABLE product (digest TEXT PRIMARY KEY, settings TEXT, state TEXT, reason TEXT, job TEXT, files TEXT);
CREATE TABLE name (folded TEXT PRIMARY KEY, digest TEXT);
CREATE TABLE frame (
    id TEXT PRIMARY KEY, digest TEXT, opened INTEGER, added TEXT, status TEXT, instrument TEXT, filter TEXT,
    start_time TEXT, plumes REAL, hotspots REAL, document TEXT
);
CREATE INDEX frame_digest ON frame (digest);
CREATE INDEX frame_added ON frame (added);
CREATE TABLE detection (
    id TEXT PRIMARY KEY, frame TEXT, kind TEXT, score REAL, lon_e REAL, lat REAL, instrument TEXT, start_time TEXT,
    volcano TEXT, volcano_km REAL, row TEXT
);
CREATE INDEX detection_frame ON detection (frame);
CREATE INDEX detection_volcano ON detection (volcano);
CREATE TABLE in_view (frame TEXT, volcano TEXT, kind TEXT, emission REAL, PRIMARY KEY (volcano, kind, frame));
CREATE INDEX in_view_frame ON in_view (frame);
CREATE TABLE correction (frame TEXT PRIMARY KEY, saved TEXT, revision INTEGER, document TEXT);
"""

Document = dict[str, Any]


def now() -> str:
    """Return the time as ISO-8601 UTC, to the microsecond, so that what comes later sorts later."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Store:
    """The folder and its database. Its methods may be called from any thread.

    Args:
        folder: made when missing.

    Raises:
        InputError: it cannot be made, is in use by another service, or is of another layout.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.uploads, self.frames, self.work, self.labels, self.watched = (
            self.folder / name for name in ("uploads", "frames", "work", "labels", "watched")
        )
        try:
            for part in (self.uploads, self.frames, self.work):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(folder, f"cannot be made: {error.strerror}", "name another --store") from error
        self._lock = threading.RLock()
        self._file = _opened(self.folder / "service.sqlite")
        self._sweep()

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._file.close()

    @contextmanager
    def _whole(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, or nothing."""
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield self._file
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        with self._lock:
            return self._file.execute(query, values).fetchall()

    def _sweep(self) -> None:
        """Remove what a killed service left: unfinished work, uploads without a job, frames without a row."""
        shutil.rmtree(self.work)
        self.work.mkdir()
        known = {job for (job,) in self.ask("SELECT id FROM job")} | {"."}
        for folder in self.uploads.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        framed = {frame for (frame,) in self.ask("SELECT id FROM frame WHERE opened")}
        for folder in self.frames.iterdir():
            if folder.name not in framed:
                shutil.rmtree(folder, ignore_errors=True)

    def full(self, wanted_free_bytes: int) -> bool:
        """Whether the disk has less room than is to be left free."""
        return shutil.disk_usage(self.folder).free < wanted_free_bytes

    # -- jobs -------------------------------------------------------------------------------------------------------

    def add_job(self, job: str, name: str, products: Sequence[Document]) -> None:
        """Keep a job that waits."""
        with self._whole() as file:
            file.execute(
                "INSERT INTO job VALUES (?, ?, 'queued', '', ?, NULL, ?)", (job, name, now(), json.dumps(products))
            )

    def set_job(self, job: str, state: str, reason: str = "", products: Sequence[Document] | None = None) -> None:
        """Keep how far a job is."""
        finished = now() if state in ("done", "rejected", "failed") else None
        with self._whole() as file:
            file.execute(
                "UPDATE job SET state = ?, reason = ?, finished = ? WHERE id = ?", (state, reason, finished, job)
            )
            if products is not None:
                file.execute("UPDATE job SET products = ? WHERE id = ?", (json.dumps(products), job))

    def forget_job(self, job: str) -> None:
        """Remove a job that was never taken on, and its files."""
        with self._whole() as file:
            file.execute("DELETE FROM job WHERE id = ?", (job,))
        shutil.rmtree(self.uploads / job, ignore_errors=True)

    def jobs(self, limit: int, offset: int) -> tuple[int, list[Document]]:
        """Return how many jobs there are, and some of them, the latest first."""
        ((count,),) = self.ask("SELECT COUNT(*) FROM job")
        rows = self.ask("SELECT * FROM job ORDER BY created DESC LIMIT ? OFFSET ?", limit, offset)
        return count, [_job(row) for row in rows]

    def job(self, job: str) -> Document | None:
        """Return a job; None where there is none of this name."""
        rows = self.ask("SELECT * FROM job WHERE id = ?", job)
        return _job(rows[0]) if rows else None

    def unfinished(self) -> list[Document]:
        """Return the jobs that wait or were broken off, the first first."""
        return [
            _job(row) for row in self.ask("SELECT * FROM job WHERE state IN ('queued', 'running') ORDER BY created")
        ]

    # -- products and frames ----------------------------------------------------------------------------------------

    def product(self, digest: str, settings: str) -> Document | None:
        """Return what became of a product under these settings; None where it is not known."""
        rows = self.ask("SELECT state, reason FROM product WHERE digest = ? AND settings = ?", digest, settings)
        if not rows or rows[0][0] == "failed":
            return None
        frames = [frame for (frame,) in self.ask("SELECT id FROM frame WHERE digest = ? ORDER BY id", digest)]
        return {"state": rows[0][0], "reason": rows[0][1], "frames": frames}

    def suffix(self, digest: str, ids: Iterable[str]) -> str:
        """Reserve frames' names for a product, and return what must be added so that they are its own.

        Names that differ only in case count as the same: some file systems hold them for one.
        """
        with self._whole() as file:
            folded = [name.casefold() for name in ids]
            marks = ", ".join("?" * len(folded))
            taken = file.execute(f"SELECT digest FROM name WHERE folded IN ({marks})", folded).fetchall()
            suffix = "-" + digest[:8] if any(owner != digest for (owner,) in taken) else ""
            names = ((name + suffix.casefold(), digest) for name in folded)
            file.executemany("INSERT OR IGNORE INTO name VALUES (?, ?)", names)
        return suffix

    def keep_product(
        self, digest: str, settings: str, job: str, files: Mapping[str, str], documents: Sequence[Document], made: Path
    ) -> list[str]:
        """Keep a product's frames in the place of what was known of it, and return their names.

        Args:
            digest: of the product's files.
            settings: under which it was worked on.
            job: whose upload holds the files.
            files: ``data`` and, where there is one, ``label``: paths below ``uploads``.
            documents: of the frames.
            made: the folder that holds their files.

        """
        names = [str(document["frame"]["frame_id"]) for document in documents]
        for name in names:
            shutil.rmtree(self.frames / name, ignore_errors=True)
            (made / name).rename(self.frames / name)
        with self._whole() as file:
            gone = [name for (name,) in file.execute("SELECT id FROM frame WHERE digest = ?", (digest,))]
            _forget_frames(file, [*gone, *names])
            row = (digest, settings, "done", "", job, json.dumps(files))
            file.execute("INSERT OR REPLACE INTO product VALUES (?, ?, ?, ?, ?, ?)", row)
            for document in documents:
                _insert_frame(file, digest, document, opened=True)
        return names

    def keep_refusal(
        self, digest: str, settings: str, job: str, files: Mapping[str, str], state: str, reason: str
    ) -> None:
        """Keep that a product gave nothing, and why."""
        with self._whole() as file:
            row = (digest, settings, state, reason, job, json.dumps(files))
            file.execute("INSERT OR REPLACE INTO product VALUES (?, ?, ?, ?, ?, ?)", row)

    def take_in(self, digest: str, documents: Sequence[Document]) -> None:
        """Keep frames that another run has worked on, not opened yet, in the place of what was known of them."""
        with self._whole() as file:
            _forget_frames(file, [str(document["frame"]["frame_id"]) for document in documents])
            for document in documents:
                _insert_frame(file, digest, document, opened=False)

    def keep_opened(self, document: Document, made: Path) -> None:
        """Keep what opening a taken-in frame gave."""
        name = str(document["frame"]["frame_id"])
        shutil.rmtree(self.frames / name, ignore_errors=True)
        (made / name).rename(self.frames / name)
        with self._whole() as file:
            ((digest,),) = file.execute("SELECT digest FROM frame WHERE id = ?", (name,)).fetchall()
            _forget_frames(file, [name])
            _insert_frame(file, digest, document, opened=True)

    def frame(self, frame: str) -> Document | None:
        """Return a frame's document, with ``opened``, ``added`` and ``digest``; None where there is none."""
        rows = self.ask("SELECT document, opened, added, digest FROM frame WHERE id = ?", frame)
        if not rows:
            return None
        document, opened, added, digest = rows[0]
        detections = self.ask("SELECT row FROM detection WHERE frame = ? ORDER BY rowid", frame)
        found = {"detections": [json.loads(row) for (row,) in detections]}
        return json.loads(document) | found | {"opened": bool(opened), "added": added, "digest": digest}

    def files_of(self, digest: str) -> dict[str, Path]:
        """Return where a product's files lie: ``data`` and perhaps ``label``; nothing for one that was not uploaded."""
        rows = self.ask("SELECT files FROM product WHERE digest = ?", digest)
        known = json.loads(rows[0][0]) if rows else {}
        return {part: self.uploads / name for part, name in known.items()}

    def detections(self, where: str = "1", *values: Any, tail: str = "") -> list[Detection]:
        """Return detections that meet a condition in SQL, with what stands after it (order, limit)."""
        rows = self.ask(f"SELECT row FROM detection WHERE {where} {tail}", *values)
        return [from_values(Detection, json.loads(row)) for (row,) in rows]

    def set_rows(self, rows: Mapping[str, Document]) -> None:
        """Replace detections' rows, by their names."""
        with self._whole() as file:
            texts = ((json.dumps(row), name) for name, row in rows.items())
            file.executemany("UPDATE detection SET row = ? WHERE id = ?", texts)

    # -- corrections ------------------------------------------------------------------------------------------------

    def correction(self, frame: str) -> Document | None:
        """Return what was said to a frame; None where nothing was."""
        rows = self.ask("SELECT document, saved, revision FROM correction WHERE frame = ?", frame)
        return json.loads(rows[0][0]) | {"saved": rows[0][1], "revision": rows[0][2]} if rows else None

    def keep_correction(self, frame: str, document: Document, expected: int | None) -> int | None:
        """Keep what was said to a frame, and return its new revision; None when it is not the ``expected`` one now."""
        with self._whole() as file:
            rows = file.execute("SELECT revision FROM correction WHERE frame = ?", (frame,)).fetchall()
            current = rows[0][0] if rows else 0
            if expected is not None and expected != current:
                return None
            row = (frame, now(), current + 1, json.dumps(document))
            file.execute("INSERT OR REPLACE INTO correction VALUES (?, ?, ?, ?)", row)
        return current + 1

    def corrected(self) -> list[str]:
        """Return the frames that something was said to."""
        return [frame for (frame,) in self.ask("SELECT frame FROM correction ORDER BY frame")]


def _opened(path: Path) -> sqlite3.Connection:
    """Return the database, for this process alone."""
    try:
        file = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        file.execute("BEGIN EXCLUSIVE")
        (layout,) = file.execute("PRAGMA user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"its layout is {layout}, expected {LAYOUT}")
        if not layout:
            for statement in SCHEMA.split(";"):
                file.execute(statement)
        file.execute(f"PRAGMA user_version = {LAYOUT}")
        file.execute("COMMIT")
    except sqlite3.Error as error:
        locked = "locked" in str(error)
        problem = "another service uses this store" if locked else f"cannot be used: {error}"
        raise InputError(path, problem, f"{'stop it, or ' * locked}name another --store") from error
    return file


def _job(row: tuple[Any, ...]) -> Document:
    names = ("id", "name", "state", "reason", "created", "finished", "products")
    return dict(zip(names, row, strict=True)) | {"products": json.loads(row[-1])}


def _forget_frames(file: sqlite3.Connection, names: Sequence[str]) -> None:
    for name in names:
        file.execute("DELETE FROM frame WHERE id = ?", (name,))
        file.execute("DELETE FROM detection WHERE frame = ?", (name,))
        file.execute("DELETE FROM in_view WHERE frame = ?", (name,))


def _insert_frame(file: sqlite3.Connection, digest: str, document: Document, opened: bool) -> None:
    row, detections = document["frame"], document["detections"]
    kept = {key: value for key, value in document.items() if key not in ("detections", "in_view")}
    known = (row["status"], row["instrument"], row["filter"], row["start_time_utc"], row["plumes"], row["hotspots"])
    values = (row["frame_id"], digest, opened, now(), *known, json.dumps(kept))
    file.execute(f"INSERT INTO frame VALUES ({', '.join('?' * len(values))})", values)
    file.executemany(
        "INSERT OR REPLACE INTO detection VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (_detection_row(one) for one in detections),
    )
    seen = ((row["frame_id"], name, kind, angle) for name, angle, kinds in document["in_view"] for kind in kinds)
    file.executemany("INSERT OR IGNORE INTO in_view VALUES (?, ?, ?, ?)", seen)


def _detection_row(row: Document) -> tuple[Any, ...]:
    columns = (
        "detection_id", "frame_id", "kind", "score", "lon_e_deg", "lat_deg", "instrument", "start_time_utc", "volcano",
        "volcano_distance_km",
    )  # fmt: skip
    return (*(row[name] for name in columns), json.dumps(row))
