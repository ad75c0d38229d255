"""The tables of a run, written row by row from its journal: however many rows there are, few are in memory."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from detector.catalogue import Catalogue, Detection, FrameStatus
from detector.colour import is_usable, moments, seconds_of, with_temperatures
from detector.table import csv_lines, from_values, read_csv, values
from serve.atomic import write_whole
from serve.journal import Journal

CATALOGUE, GEOJSON, FRAMES = "catalogue.csv", "catalogue.geojson", "frames.csv"
ENCODING = ("utf-8", "backslashreplace")
"""A label may hold halves of characters that UTF-8 does not know."""


@dataclass(frozen=True)
class Report:
    """What a run left.

    Attributes:
        out: its folder.
        catalogue_head: the catalogue without its rows: the model and what decided.
        counts: of frames by status (``ok``, ``partial``, ``rejected``) and of detections by kind.
        reused: how many products had been done before.
        unfinished: how many products were not come to, because the run was asked to stop.

    """

    out: Path
    catalogue_head: Catalogue
    counts: Counter[str]
    reused: int = 0
    unfinished: int = 0

    @property
    def frames(self) -> tuple[FrameStatus, ...]:
        """The rows of ``frames.csv``, all at once."""
        return tuple(read_csv(FrameStatus, self.out / FRAMES))

    @property
    def catalogue(self) -> Catalogue:
        """The detections, all at once."""
        return replace(self.catalogue_head, rows=tuple(read_csv(Detection, self.out / CATALOGUE)))

    @property
    def rejected(self) -> tuple[FrameStatus, ...]:
        """The products that gave no result."""
        return tuple(row for row in self.frames if row.status == "rejected")


def write_tables(journal: Journal, out: Path, head: Catalogue) -> Report:
    """Write catalogue and frames of the present run; rows are by the products' paths.

    Args:
        journal: of the run.
        out: its folder.
        head: the catalogue without its rows.

    """
    counts: Counter[str] = Counter()
    _find_temperatures(journal)
    tables: dict[str, Iterable[str]] = {
        CATALOGUE: csv_lines(Detection, _counted(_detections(journal), counts)),
        GEOJSON: head.geojson_lines(_detections(journal)),
        FRAMES: csv_lines(FrameStatus, _counted(_frames(journal), counts)),
    }
    for name, lines in tables.items():
        write_whole(out / name, (line.encode(*ENCODING) for line in lines))
    return Report(out, head, counts, unfinished=journal.unsettled())


def _counted(rows: Iterable[Detection] | Iterable[FrameStatus], counts: Counter[str]) -> Iterator[object]:
    for row in rows:
        counts[row.kind if isinstance(row, Detection) else row.status] += 1
        yield row


def _frames(journal: Journal) -> Iterator[FrameStatus]:
    for outcome in journal.outcomes():
        yield from outcome.frames


def _measured(journal: Journal) -> Iterator[Detection]:
    """Yield the detections as their frames gave them."""
    for outcome in journal.outcomes():
        yield from outcome.detections


def _detections(journal: Journal) -> Iterator[Detection]:
    """Yield the rows of the catalogue: temperatures stand beside them, in the same order."""
    query = "SELECT number, kelvin, sigma, area FROM warm ORDER BY number"
    warm = chain(journal.scratch.execute(query), [(-1, 0.0, 0.0, 0.0)])
    at, *found = next(warm)
    for number, row in enumerate(_measured(journal)):
        if number == at:
            kelvin, sigma, area = (math.nan if value is None else value for value in found)  # SQLite has no NaN
            row = replace(row, temperature_k=kelvin, temperature_sigma_k=sigma, hot_area_km2=area)
            at, *found = next(warm)
        yield row


def _find_temperatures(journal: Journal) -> None:
    """Pair the hot spots of one moment, a moment at a time, and leave what follows in the table ``warm``."""
    scratch = journal.scratch
    scratch.execute("DROP TABLE IF EXISTS temp.spot")
    scratch.execute("DROP TABLE IF EXISTS temp.warm")
    scratch.execute("CREATE TEMP TABLE spot (instrument TEXT, seconds REAL, number INTEGER PRIMARY KEY, row TEXT)")
    scratch.execute("CREATE TEMP TABLE warm (number INTEGER PRIMARY KEY, kelvin REAL, sigma REAL, area REAL)")
    with journal.transaction():
        scratch.executemany("INSERT INTO spot VALUES (?, ?, ?, ?)", _spots(journal))
    ordered = scratch.execute("SELECT instrument, seconds, number FROM spot ORDER BY instrument, seconds, number")
    with journal.transaction():
        for moment in moments(ordered):
            numbers = sorted(number for _, _, number in moment)
            scratch.executemany("INSERT INTO warm VALUES (?, ?, ?, ?)", _warmed(journal, numbers))


def _spots(journal: Journal) -> Iterator[tuple[str, float, int, str]]:
    for number, row in enumerate(_measured(journal)):
        seconds = seconds_of(row) if is_usable(row) else None
        if seconds is not None:
            yield row.instrument, seconds, number, json.dumps(values(row))


def _warmed(journal: Journal, numbers: list[int]) -> Iterator[tuple[int, float, float, float]]:
    if len(numbers) < 2:
        return
    one = "SELECT row FROM spot WHERE number = ?"
    rows = [from_values(Detection, json.loads(journal.scratch.execute(one, (n,)).fetchone()[0])) for n in numbers]
    for number, before, after in zip(numbers, rows, with_temperatures(rows), strict=True):
        if after is not before:
            yield number, after.temperature_k, after.temperature_sigma_k, after.hot_area_km2
