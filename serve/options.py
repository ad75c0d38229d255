"""Commands whose options are the fields of a dataclass: each option is said once, and passed on whole."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

Options = TypeVar("Options")


def options_of(kind: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Turn ``command(options)`` into a command that typer shows with one parameter a field of ``kind``."""
    hints = get_type_hints(kind, include_extras=True)
    parameters = [
        inspect.Parameter(
            column.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if column.default is MISSING else column.default,
            annotation=hints[column.name],
        )
        for column in fields(kind)  # type: ignore[arg-type]
    ]

    def decorate(command: Callable[[Options], None]) -> Callable[..., None]:
        def with_fields(**given: Any) -> None:
            command(kind(**given))

        with_fields.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_fields.__annotations__ = {name: hints[name] for name in (p.name for p in parameters)}
        with_fields.__name__, with_fields.__doc__ = command.__name__, command.__doc__
        return with_fields

    return decorate
