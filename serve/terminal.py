"""Where all goes that is not a result."""

from __future__ import annotations

from rich.console import Console


def stderr() -> Console:
    """The terminal, or what takes its place."""
    return Console(stderr=True)
