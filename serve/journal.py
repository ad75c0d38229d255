"""The journal of a batch run: what became of every product, kept in the output folder so that a run can go on.

One SQLite file, one row a product, committed product by product: whatever kills the run, the rows written are whole.
An outcome remembers the stamps of the files it left: where another run has written over them, it no longer holds.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detector.catalogue import Detection, FrameStatus
from detector.errors import InputError
from detector.products import JOURNAL
from detector.table import from_values, values
from serve.atomic import Stamp

LAYOUT = 2
"""Kept in the file's ``user_version``; a journal of another layout is refused."""


@dataclass(frozen=True)
class Key:
    r"""What a product's rows depend on: when all three are the same, so are the rows.

    Attributes:
        path: the product as it was named, with forward slashes; bytes that are no UTF-8 are spelled ``\xff``.
        sha256: of its data file, and of its label where it has one; empty when it cannot be read.
        settings: model, operating point, software version, and the folder of SPICE kernels where there is one.

    """

    path: str
    sha256: str
    settings: str


@dataclass(frozen=True)
class Outcome:
    """What became of a product.

    Attributes:
        key: the product.
        state: ``done``, ``rejected`` (the file is not usable: it will not become so by trying again) or ``failed``
            (something else went wrong: the next run tries again).
        suffix: what was added to its frames' names to tell them from another product's.
        ids: the frames' own names, without the suffix.
        frames: a row a frame; one row without a name when rejected or failed.
        detections: of all its frames.
        files: the stamps of the masks and pictures that it left.

    """

    key: Key
    state: str
    suffix: str = ""
    ids: tuple[str, ...] = ()
    frames: tuple[FrameStatus, ...] = ()
    detections: tuple[Detection, ...] = ()
    files: tuple[Stamp, ...] = ()


class Journal:
    """The journal of one output folder. One run at a time may hold it.

    Args:
        folder: the output folder; made when missing.
        fresh: forget what is in it; one that cannot be used is replaced.

    Raises:
        InputError: another run holds it, it is damaged or of another layout, or the folder cannot be written to.

    """

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.path = folder / JOURNAL
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _opened(self.path, fresh)
        except OSError as error:
            raise InputError(folder, f"cannot be made: {error.strerror}", "name another --out") from error
        except sqlite3.OperationalError as error:  # the file may be sound: it cannot be had
            locked = "locked" in str(error)
            problem = "another run is writing into this folder" if locked else f"the journal cannot be opened: {error}"
            raise InputError(self.path, problem, f"{'wait for it, or ' * locked}use another --out") from error
        except sqlite3.Error as error:
            problem = f"the journal cannot be used: {error}"
            raise InputError(self.path, problem, "start over with --fresh") from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, key: Key) -> Outcome | None:
        """Say what became of a product; None when this run has not come to it yet."""
        row = self._file.execute(
            "SELECT state, outcome FROM product WHERE path = ? AND sha256 = ? AND settings = ?",
            (key.path, key.sha256, key.settings),
        ).fetchone()
        return None if row is None else _outcome(key, row[0], json.loads(row[1]))

    def keep(self, outcome: Outcome) -> None:
        """Write down what became of a product, in the place of what was known of it."""
        self._file.execute(
            "INSERT OR REPLACE INTO product VALUES (?, ?, ?, ?, ?)",
            (*asdict(outcome.key).values(), outcome.state, json.dumps(_plain(outcome))),
        )


def spelled(path: Path) -> str:
    r"""Return a path as text that can be written anywhere: forward slashes, bytes that are no UTF-8 as ``\xff``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _opened(path: Path, fresh: bool) -> sqlite3.Connection:
    """Return the journal, locked; a fresh one replaces a file that is locked by nobody and yet cannot be used."""
    try:
        return _locked(path, fresh)
    except sqlite3.DatabaseError as error:
        if not fresh or isinstance(error, sqlite3.OperationalError):
            raise
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return _locked(path, fresh)


def _locked(path: Path, fresh: bool) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("BEGIN EXCLUSIVE")
        (layout,) = file.execute("PRAGMA user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"its layout is {layout}, expected {LAYOUT}")
        file.execute(
            "CREATE TABLE IF NOT EXISTS product "
            "(path TEXT, sha256 TEXT, settings TEXT, state TEXT, outcome TEXT, PRIMARY KEY (path, sha256, settings))"
        )
        if fresh:
            file.execute("DELETE FROM product")
        file.execute(f"PRAGMA user_version = {LAYOUT}")
        file.execute("COMMIT")
    except sqlite3.Error:
        file.close()
        raise
    return file


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "suffix": outcome.suffix,
        "ids": outcome.ids,
        "frames": [values(row) for row in outcome.frames],
        "detections": [values(row) for row in outcome.detections],
        "files": outcome.files,
    }


def _outcome(key: Key, state: str, known: dict[str, Any]) -> Outcome:
    return Outcome(
        key,
        state,
        known["suffix"],
        tuple(known["ids"]),
        tuple(from_values(FrameStatus, row) for row in known["frames"]),
        tuple(from_values(Detection, row) for row in known["detections"]),
        tuple((name, size, time) for name, size, time in known["files"]),
    )
