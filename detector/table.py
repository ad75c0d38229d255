"""Rows as frozen dataclasses, tables as CSV: a dataclass is the one definition of a table's columns.

The fields' names are the header, in their order. A float says with :func:`number` how many decimals it is written with.
NaN and the empty string are "not known" and become an empty cell. Numbers are written the same way on every machine,
so the same rows give the same bytes.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any


def number(decimals: int, default: float = math.nan) -> Any:
    """Return a column written with this many decimals, as a whole number for 0; not known unless given."""
    return field(default=default, metadata={"decimals": decimals})


def header(kind: type) -> list[str]:
    """Names of the columns of a row class, in order."""
    return [column.name for column in fields(kind)]


def values(row: Any) -> dict[str, str | int | float | None]:
    """Return the row as plain values, floats rounded to their column's decimals, None where not known."""
    return {column.name: _value(getattr(row, column.name), column) for column in fields(row)}


def cells(row: Any) -> list[str]:
    """Return the row as text, one cell a column, empty where not known."""
    return [_cell(getattr(row, column.name), column) for column in fields(row)]


def to_csv(kind: type, rows: Iterable[Any]) -> str:
    """Return a table as RFC 4180 text: comma, double quotes where needed, CRLF, a header line even without rows."""
    return "".join(csv_lines(kind, rows))


def csv_lines(kind: type, rows: Iterable[Any]) -> Iterator[str]:
    """Yield the lines of such a table one by one, so that it need never be whole in memory."""
    yield _csv_line(header(kind))
    yield from (_csv_line(cells(row)) for row in rows)


def read_csv(kind: type, path: Path) -> Iterator[Any]:
    """Yield the rows of a table that :func:`csv_lines` wrote."""
    casts: Mapping[Any, Any] = {"int": int, "float": float}
    columns = [(column.name, casts.get(column.type, str)) for column in fields(kind)]
    with path.open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            yield kind(**{name: cast(line[name]) for name, cast in columns if line[name]})


def _csv_line(texts: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(texts)
    return text.getvalue()


def from_values(kind: type, known: Mapping[str, Any]) -> Any:
    """Return the row that :func:`values` came from: None is again "not known"."""
    return kind(**{name: value for name, value in known.items() if value is not None})


def _value(value: str | int | float, column: Field[Any]) -> str | int | float | None:
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        decimals = column.metadata["decimals"]
        return round(value, decimals) + 0.0 if decimals else round(value)  # + 0.0 turns -0.0 into 0.0
    return None if value == "" else value


def _cell(value: str | int | float, column: Field[Any]) -> str:
    plain = _value(value, column)
    if plain is None:
        return ""
    return f"{plain:.{column.metadata['decimals']}f}" if isinstance(plain, float) else str(plain)
