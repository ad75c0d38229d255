"""JSON, YAML and CSV that must be of a certain form: read whole, or one sentence about what is wrong and where."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from detector.errors import InputError

SHOWN = 60
"""This many letters of a wrong value are shown."""
LISTED = 20
"""This many problems of one import are listed."""


class Part(BaseModel):
    """A part of a document: what is named must be as it says, anything else may stand beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)


Document = TypeVar("Document", bound=BaseModel)


def read_text(path: Path) -> str:
    """Text of a file in UTF-8, with or without a byte-order mark.

    Raises:
        InputError: it is missing, a folder, or not text.

    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(path, "is missing", "check the path") from None
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "check the path and the permissions") from error
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not UTF-8 text: {error.reason} at byte {error.start}", "save it again") from error


def read_json(path: Path) -> dict:
    """Read a JSON object.

    Raises:
        InputError: it cannot be read, is not JSON, or holds something else.

    """
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is not JSON: {error}", "it was cut short or edited: export it again") from error
    return _mapping(path, document)


def read_yaml(path: Path) -> dict:
    """Read a YAML mapping.

    Raises:
        InputError: it cannot be read, is not YAML, or holds something else.

    """
    try:
        document = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(path, f"is not YAML: {' '.join(str(error).split())}") from error
    return _mapping(path, document)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a table by the names in its first line; what a short row lacks is empty.

    Raises:
        InputError: it cannot be read, or a row has more cells than the first line.

    """
    rows = list(csv.DictReader(read_text(path).splitlines(), restval=""))
    for number, row in enumerate(rows, 2):
        if None in row:
            raise InputError(path, f"line {number} has more cells than the first line: {row[None]}")  # type: ignore[index]
    return rows


def parsed(kind: type[Document], document: dict, path: Path) -> Document:
    """Give a document the form that it must have.

    Raises:
        InputError: naming the file, the first place that is wrong, the value there and what was expected.

    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"]).lstrip(".")
        if first["type"] == "missing":
            raise InputError(path, f"lacks {where!r}", f"expected {_fields(kind)}") from error
        raise InputError(path, f"{where} is {shown(first['input'])}: {first['msg']}") from error


def shown(value: object) -> str:
    """Give a value as it is shown in a message."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


class Problems:
    """What is wrong with many label files, all of it told at once: who corrects labels wants the whole list."""

    def __init__(self) -> None:
        self.found: list[InputError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Take note of an error and go on behind the block."""
        try:
            yield
        except InputError as error:
            self.found.append(error)

    def refuse(self, source: Path) -> None:
        """Raise one error for everything noted; nothing where nothing was."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            more = len(self.found) - LISTED
            lines = [str(error) for error in self.found[:LISTED]] + [f"and {more} more"] * (more > 0)
            raise InputError(source, "\n  ".join([f"{len(self.found)} problems, nothing was imported:", *lines]))


def _mapping(path: Path, document: Any) -> dict:
    if not isinstance(document, dict):
        raise InputError(path, f"holds a {type(document).__name__} ({shown(document)}), expected names with values")
    return document


def _fields(kind: type[BaseModel]) -> str:
    return ", ".join(name for name, info in kind.model_fields.items() if info.is_required())
