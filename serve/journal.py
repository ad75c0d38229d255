"""The journal of a batch run: what became of every product, kept in the output folder so that a run can go on.

One SQLite file, one row a product, committed product by product: whatever kills the run, the rows written are whole.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detector.catalogue import Detection, FrameStatus
from detector.errors import InputError
from detector.table import from_values, values

NAME = ".journal.sqlite"
LAYOUT = 1
"""Kept in the file's ``user_version``; a journal of another layout is refused."""


@dataclass(frozen=True)
class Key:
    """What a product's rows depend on: when all three are the same, so are the rows.

    Attributes:
        path: the product as it was named, with forward slashes.
        sha256: of its data file, and of its label where it has one; empty when it cannot be read.
        settings: model, operating point and software version.

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

    """

    key: Key
    state: str
    suffix: str = ""
    ids: tuple[str, ...] = ()
    frames: tuple[FrameStatus, ...] = ()
    detections: tuple[Detection, ...] = ()


class Journal:
    """The journal of one output folder. One run at a time may hold it.

    Raises:
        InputError: another run holds it, it is damaged, or it is of another layout.

    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self._file = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._file.close()
            locked = "locked" in str(error)
            problem = "another run is writing into this folder" if locked else f"the journal cannot be used: {error}"
            remedy = "wait for it, or use another --out" if locked else "start over with --fresh"
            raise InputError(self.path, problem, remedy) from error

    def _prepare(self) -> None:
        self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._file.execute("BEGIN EXCLUSIVE")
        (layout,) = self._file.execute("PRAGMA user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"its layout is {layout}, expected {LAYOUT}")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS product "
            "(path TEXT, sha256 TEXT, settings TEXT, state TEXT, outcome TEXT, PRIMARY KEY (path, sha256, settings))"
        )
        self._file.execute(f"PRAGMA user_version = {LAYOUT}")
        self._file.execute("COMMIT")

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
            (*asdict(outcome.key).values(), outcome.state, json.dumps(_plain(outcome), ensure_ascii=False)),
        )


def forget(folder: Path) -> None:
    """Remove a folder's journal, so that the next run starts over."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        (folder / f"{NAME}{suffix}").unlink(missing_ok=True)


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "suffix": outcome.suffix,
        "ids": outcome.ids,
        "frames": [values(row) for row in outcome.frames],
        "detections": [values(row) for row in outcome.detections],
    }


def _outcome(key: Key, state: str, known: dict[str, Any]) -> Outcome:
    return Outcome(
        key,
        state,
        known["suffix"],
        tuple(known["ids"]),
        tuple(from_values(FrameStatus, row) for row in known["frames"]),
        tuple(from_values(Detection, row) for row in known["detections"]),
    )
