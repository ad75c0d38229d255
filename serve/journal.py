"""The journal of an output folder: what a run was asked to do and what became of it, so that a run can go on.

One SQLite file, written product by product: whatever kills the run, the rows written are whole. All that grows with the
number of products lives here and not in memory.

======== =================================================================================================
table    a row is
======== =================================================================================================
product  what became of a product under one setting; rows of earlier runs and settings stay
task     a product of the present run; ``sha256`` is empty (NULL) until it is known what became of it
name     the name of a frame of the present run and whose it is: shared names are made distinct by a suffix
fact     what the present run is: its settings, its shard
======== =================================================================================================

An outcome remembers the stamps of the files it left: where another run has written over them, it no longer holds. It
also remembers those of the files it was made from: while they are the same, those files need not be read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detector.catalogue import Detection, FrameStatus
from detector.errors import InputError
from detector.products import JOURNAL, Product
from detector.table import from_values, values
from serve.atomic import Stamp

LAYOUT = 3
"""Kept in the file's ``user_version``; a journal of another layout is refused."""
PAGE = 200
"""Rows that are fetched together."""

TABLES = """
CREATE TABLE IF NOT EXISTS product (
    path TEXT, sha256 TEXT, settings TEXT, state TEXT, suffix TEXT, inputs TEXT, outcome TEXT,
    PRIMARY KEY (path, sha256, settings)
);
CREATE TABLE IF NOT EXISTS task (
    path TEXT PRIMARY KEY, place TEXT UNIQUE, stem TEXT, data BLOB, label BLOB, problem TEXT, suffix TEXT, sha256 TEXT
);
CREATE INDEX IF NOT EXISTS task_stem ON task (stem);
CREATE INDEX IF NOT EXISTS task_sha256 ON task (sha256);
CREATE INDEX IF NOT EXISTS task_undone ON task (path) WHERE sha256 IS NULL;
CREATE TABLE IF NOT EXISTS name (folded TEXT, path TEXT, PRIMARY KEY (folded, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS name_path ON name (path);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT);
"""


COLUMNS = "path, sha256, settings, state, product.suffix, inputs, outcome"
OF_KEY = "path = ? AND sha256 = ? AND settings = ?"
JOINED = f"SELECT {COLUMNS} FROM task JOIN product USING (path, sha256) WHERE settings = ?"


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
        state: ``done``, ``rejected`` (the file is not usable: it will not become so by trying again), ``failed``
            (something else went wrong: the next run tries again), ``lost`` (the process that worked on it died or
            hung: it is tried again) or ``quarantined`` (lost too often: it is left alone).
        suffix: what was added to its frames' names to tell them from another product's.
        ids: the frames' own names, without the suffix.
        frames: a row a frame; one row without a name when there is no result.
        detections: of all its frames.
        files: the stamps of the masks and pictures that it left.
        inputs: the stamps of the files it was made from; empty where they may not be relied on.
        tries: how often it was lost.

    """

    key: Key
    state: str
    suffix: str = ""
    ids: tuple[str, ...] = ()
    frames: tuple[FrameStatus, ...] = ()
    detections: tuple[Detection, ...] = ()
    files: tuple[Stamp, ...] = ()
    inputs: tuple[Stamp, ...] = ()
    tries: int = 0


@dataclass(frozen=True)
class Listed:
    """A product of the present run: its files, the path that its rows are sorted by, the suffix that it should need."""

    path: str
    product: Product
    suffix: str


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

    # -- what is to be done -------------------------------------------------------------------------------------------

    def begin(self, products: Iterable[Product], settings: str, adding: bool = False) -> None:
        """Set down what a run is asked to do.

        Args:
            products: in any order; of those at one place the first counts.
            settings: as in :class:`Key`.
            adding: the products of the run before stay, with what became of them where the settings are the same; a
                product that is named again is looked at again.

        """
        with self.transaction():
            if not adding:
                self._file.execute("DELETE FROM task")
            if not adding or self.fact("settings") != settings:
                self._file.execute("UPDATE task SET sha256 = NULL")
                self._file.execute("DELETE FROM name")
            self.state(settings=settings)
            clash = "REPLACE" if adding else "IGNORE"
            self._file.executemany(
                f"INSERT OR {clash} INTO task VALUES (?, ?, ?, ?, ?, ?, '', NULL)", map(_task_row, products)
            )
            self._file.execute("DELETE FROM name WHERE path NOT IN (SELECT path FROM task WHERE sha256 IS NOT NULL)")
            self._file.execute(
                "UPDATE task SET suffix = suffix_of(path) WHERE sha256 IS NULL AND EXISTS"
                " (SELECT 1 FROM task AS other WHERE other.stem = task.stem AND other.path != task.path)"
            )

    def count(self) -> int:
        """How many products the present run has."""
        return int(self._one("SELECT count(*) FROM task"))

    def undone(self) -> Iterator[Listed]:
        """Yield the products of the run of which it is not known what became of them, by path.

        Others may become known meanwhile. The suffix of a product whose data file shares its name with another's is
        what its frames are likely to need.
        """
        last = ""
        while rows := self._file.execute(
            "SELECT path, data, label, problem, suffix FROM task"
            " WHERE sha256 IS NULL AND path > ? ORDER BY path LIMIT ?",
            (last, PAGE),
        ).fetchall():
            yield from (Listed(path, _product(*files), suffix) for path, *files, suffix in rows)
            last = rows[-1][0]

    def rename(self) -> Iterator[Outcome]:
        """Yield what became of products whose frames' names are not what they must be, and have them done again.

        A name is shared when frames of several products have it, also when they differ only in case: some file systems
        hold such names for one.
        """
        self._file.execute(
            "CREATE TEMP TABLE wrong AS SELECT path, iif(needed, suffix_of(path), '') AS suffix FROM"
            " (SELECT path, product.suffix AS had, path IN (SELECT path FROM name WHERE folded IN"
            " (SELECT folded FROM name GROUP BY folded HAVING count(*) > 1)) AS needed"
            " FROM task JOIN product USING (path, sha256) WHERE settings = ? AND state = 'done')"
            " WHERE needed != (had != '')",
            self._settings,
        )
        yield from map(_outcome, self._file.execute(f"{JOINED} AND path IN (SELECT path FROM wrong)", self._settings))
        self._file.execute(
            "UPDATE task SET sha256 = NULL, suffix = (SELECT suffix FROM wrong WHERE wrong.path = task.path)"
            " WHERE path IN (SELECT path FROM wrong)"
        )
        self._file.execute("DROP TABLE wrong")

    def place_of(self, sha256: str) -> str:
        """Return the path of a product of the run that has these bytes and is done; empty where there is none."""
        return str(self._one("SELECT path FROM task WHERE sha256 = ? ORDER BY path", sha256) or "")

    def drop(self, path: str) -> None:
        """Take a product out of the run."""
        self._file.execute("DELETE FROM task WHERE path = ?", (path,))

    # -- what became of it --------------------------------------------------------------------------------------------

    def find(self, key: Key) -> Outcome | None:
        """Say what became of a product; None when no run has come to it yet."""
        row = self._file.execute(f"SELECT {COLUMNS} FROM product WHERE {OF_KEY}", (*asdict(key).values(),)).fetchone()
        return None if row is None else _outcome(row)

    def known(self, path: str, settings: str) -> list[Outcome]:
        """Say what became of a product in whatever state its files were."""
        rows = self._file.execute(
            f"SELECT {COLUMNS} FROM product WHERE path = ? AND settings = ? ORDER BY sha256", (path, settings)
        )
        return [_outcome(row) for row in rows]

    def keep(self, outcome: Outcome, settled: bool = True) -> None:
        """Write down what became of a product, in the place of what was known of it.

        A settled one is no longer to be done in the present run.
        """
        with self.transaction():
            self._file.execute("INSERT OR REPLACE INTO product VALUES (?, ?, ?, ?, ?, ?, ?)", _row(outcome))
            if settled:
                self.settle(outcome)

    def settle(self, outcome: Outcome) -> None:
        """Take what became of a product for the present run's."""
        path, sha256 = outcome.key.path, outcome.key.sha256
        self._file.execute("UPDATE task SET sha256 = ? WHERE path = ?", (sha256, path))
        self._file.execute("DELETE FROM name WHERE path = ?", (path,))
        names = {(name.casefold(), path) for name in outcome.ids}
        self._file.executemany("INSERT INTO name VALUES (?, ?)", sorted(names))

    def outcomes(self) -> Iterator[Outcome]:
        """Yield what became of the products of the present run, by path."""
        yield from map(_outcome, self._file.execute(f"{JOINED} ORDER BY path", self._settings))

    def take_in(self, other: Path) -> None:
        """Take over all that another journal, which nobody holds, knows of its present run."""
        self._file.execute("ATTACH DATABASE ? AS other", (str(other),))
        with self.transaction():
            self._file.execute("INSERT OR REPLACE INTO main.task SELECT * FROM other.task")
            self._file.execute("INSERT OR REPLACE INTO main.name SELECT * FROM other.name")
            self._file.execute(
                "INSERT OR REPLACE INTO main.product SELECT p.* FROM other.product AS p JOIN other.task USING"
                " (path, sha256) WHERE settings = (SELECT value FROM other.fact WHERE name = 'settings')"
            )
        self._file.execute("DETACH DATABASE other")

    # -- notes --------------------------------------------------------------------------------------------------------

    def state(self, **facts: str) -> None:
        """Write facts about the present run."""
        self._file.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts.items())

    def fact(self, name: str) -> str:
        """Read a fact; empty where it was not stated."""
        return str(self._one("SELECT value FROM fact WHERE name = ?", name) or "")

    def unsettled(self) -> int:
        """How many products are still to be done."""
        return int(self._one("SELECT count(*) FROM task WHERE sha256 IS NULL"))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all of it or nothing; transactions may be nested."""
        if self._file.in_transaction:
            yield
            return
        self._file.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    @property
    def scratch(self) -> sqlite3.Connection:
        """The connection, for temporary tables: they lie in a file of their own that nobody else sees."""
        return self._file

    @property
    def _settings(self) -> tuple[str]:
        return (self.fact("settings"),)

    def _one(self, query: str, *values: str) -> Any:
        row = self._file.execute(query, values).fetchone()
        return None if row is None else row[0]


def spelled(path: Path) -> str:
    r"""Return a path as text that can be written anywhere: forward slashes, bytes that are no UTF-8 as ``\xff``."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def suffix_of(path: str) -> str:
    """Return what is added to the names of a product's frames where they would be another's too."""
    return "-" + hashlib.sha256(path.encode()).hexdigest()[:8]


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
    file.create_function("suffix_of", 1, suffix_of, deterministic=True)
    try:
        file.execute("PRAGMA locking_mode = EXCLUSIVE")  # before WAL: then it needs no shared memory, which NFS lacks
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute("BEGIN EXCLUSIVE")
        (layout,) = file.execute("PRAGMA user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"its layout is {layout}, expected {LAYOUT}")
        for statement in filter(str.strip, TABLES.split(";")):
            file.execute(statement)
        if fresh:
            file.execute("DELETE FROM product")
        file.execute(f"PRAGMA user_version = {LAYOUT}")
        file.execute("COMMIT")
    except sqlite3.Error:
        file.close()
        raise
    return file


def _task_row(product: Product) -> tuple[object, ...]:
    label = None if product.label is None else os.fsencode(product.label)
    place = spelled(product.data.absolute())
    stem = spelled(Path(product.data.stem)).casefold()
    return spelled(product.data), place, stem, os.fsencode(product.data), label, product.problem


def _product(data: bytes, label: bytes | None, problem: str) -> Product:
    return Product(None if label is None else Path(os.fsdecode(label)), Path(os.fsdecode(data)), problem)


def _row(outcome: Outcome) -> tuple[str, ...]:
    told = {
        "ids": outcome.ids,
        "frames": [values(row) for row in outcome.frames],
        "detections": [values(row) for row in outcome.detections],
        "files": outcome.files,
        "tries": outcome.tries,
    }
    inputs = json.dumps(outcome.inputs)
    return *asdict(outcome.key).values(), outcome.state, outcome.suffix, inputs, json.dumps(told)


def _outcome(row: tuple[str, ...]) -> Outcome:
    *key, state, suffix, inputs, told = row
    known = json.loads(told)
    return Outcome(
        Key(*key),
        state,
        suffix,
        tuple(known["ids"]),
        tuple(from_values(FrameStatus, row) for row in known["frames"]),
        tuple(from_values(Detection, row) for row in known["detections"]),
        _stamps(known["files"]),
        _stamps(json.loads(inputs)),
        known["tries"],
    )


def _stamps(stamps: list[tuple[str, int, int]]) -> tuple[Stamp, ...]:
    return tuple((name, size, time) for name, size, time in stamps)
