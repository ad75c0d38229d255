"""Questions to the catalogue: filters as a value, and the SQL that they are."""

from __future__ import annotations

from dataclasses import dataclass

from detector.catalogue import Catalogue, Detection
from detector.errors import InputError
from serve.web.store import Store

ORDER = "ORDER BY start_time IS NULL, start_time, frame, rowid"


@dataclass(frozen=True)
class Filter:
    """Which detections are asked for; empty asks for all.

    Attributes:
        kind: ``plume`` or ``hotspot``.
        volcano: its name, in any case.
        frame: the frame's name.
        instrument: its name.
        min_score: least score.
        since, until: ISO-8601 UTC, of the frame's start; a day or a month alone counts whole.
        box: west, south, east, north in degrees, east-positive; west may be greater than east, across 180.

    """

    kind: str = ""
    volcano: str = ""
    frame: str = ""
    instrument: str = ""
    min_score: float = 0.0
    since: str = ""
    until: str = ""
    box: tuple[float, float, float, float] | None = None

    def where(self) -> tuple[str, list[str | float]]:
        """Return the condition and its values."""
        asked: list[tuple[str, list[str | float]]] = [
            ("kind = ?", [self.kind]),
            ("volcano = ? COLLATE NOCASE", [self.volcano]),
            ("frame = ?", [self.frame]),
            ("instrument = ? COLLATE NOCASE", [self.instrument]),
            ("score >= ?", [self.min_score] if self.min_score else [""]),
            ("start_time >= ?", [self.since]),
            ("start_time <= ?", [self.until + "\U0010ffff" if self.until else ""]),
        ]
        chosen = [(text, values) for text, values in asked if values[0] != ""]
        if self.box is not None:
            west, south, east, north = self.box
            joint = "AND" if west <= east else "OR"
            chosen.append((f"lat >= ? AND lat <= ? AND (lon_e >= ? {joint} lon_e <= ?)", [south, north, west, east]))
        return " AND ".join(text for text, _ in chosen) or "1", [value for _, values in chosen for value in values]


def box_of(text: str) -> tuple[float, float, float, float] | None:
    """Read ``west,south,east,north``.

    Raises:
        InputError: these are not four degrees.

    """
    if not text:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError("bbox", f"{text[:80]!r} is not west,south,east,north", "as in bbox=-60,-20,30,20") from None
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        wanted = "east longitudes of -180..180 and latitudes of -90..90, south before north"
        raise InputError("bbox", f"{text[:80]!r} is not within bounds; expected {wanted}")
    return west, south, east, north


def search(store: Store, asked: Filter, limit: int, offset: int) -> tuple[int, list[Detection]]:
    """Return how many detections there are, and a page of them, by time."""
    where, values = asked.where()
    ((total,),) = store.ask(f"SELECT COUNT(*) FROM detection WHERE {where}", *values)
    return total, store.detections(where, *values, limit, offset, tail=f"{ORDER} LIMIT ? OFFSET ?")


def as_catalogue(rows: list[Detection]) -> Catalogue:
    """Return rows as a catalogue; several models may have found them."""
    return Catalogue(tuple(rows), model="|".join(sorted({row.model for row in rows if row.model})))
