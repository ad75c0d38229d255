"""What the user sees: progress on stderr while it runs, the result on stdout when it is done."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich import progress as bars
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detector.table import values
from serve.batch import Report
from serve.journal import Outcome


class Bar:
    """A progress bar on a terminal, nothing elsewhere; a context manager."""

    def __init__(self, console: Console, what: str, total: int | None = None) -> None:
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeRemainingColumn(),
        )
        self._bar = bars.Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Any:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def at(self, done: int, total: int) -> None:
        """Move the bar to ``done`` of ``total``."""
        self._bar.update(self._task, completed=done, total=total)

    def stage(self, what: str, done: int, total: int) -> None:
        """Move the bar of work that has several stages."""
        self._bar.update(self._task, description=what, completed=done, total=total)


class Progress(Bar):
    """The progress of a batch run: a bar on a terminal, and a line for every product that was turned away."""

    def __init__(self, console: Console, total: int) -> None:
        super().__init__(console, "detecting", total)
        self._console = console

    def saw(self, outcome: Outcome, reused: bool) -> None:
        """Take note of one product, done now or before."""
        self._bar.advance(self._task)
        if outcome.state != "done":
            reason = escape(outcome.frames[0].reason)
            line = f"[yellow]rejected[/] {escape(outcome.key.path)}: {reason}"
            self._console.print(line, soft_wrap=True, highlight=False)


def print_document(report: Report, out: Path) -> None:
    """Print the whole result as one JSON document."""
    catalogue = report.catalogue
    document = {
        "out": str(out),
        "model": catalogue.model,
        "operating_point": catalogue.operating_point,
        "summary": _summary(report),
        "frames": [values(row) for row in report.frames],
        "detections": [values(row) for row in catalogue.rows],
    }
    sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")


def print_summary(report: Report, out: Path) -> None:
    """Print a few lines for a person: how many of what, by what, and where to look."""
    summary, console = _summary(report), Console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in ("frames", "partial", "rejected", "reused", "plumes", "hotspots"):
        if summary[name] or name in ("frames", "plumes", "hotspots"):
            table.add_row(name, str(summary[name]))
    console.print(table)
    console.print(f"by {_model_of(report)} into {escape(str(out))}", soft_wrap=True, highlight=False)


def _model_of(report: Report) -> str:
    return escape(f"{report.catalogue.model}, {report.catalogue.operating_point}")


def print_findings(findings: dict[str, dict[str, Any]], as_json: bool) -> None:
    """Print what the doctor found: a JSON document, or a line a finding."""
    if as_json:
        sys.stdout.write(json.dumps(findings, ensure_ascii=False) + "\n")
        return
    console = Console()
    for part, found in findings.items():
        console.print(f"[bold]{part}[/]")
        for name, value in found.items():
            console.print(f"  {name:16} {escape(str(value))}", soft_wrap=True, highlight=False)


def _summary(report: Report) -> dict[str, int]:
    kinds = [row.kind for row in report.catalogue.rows]
    return {
        "frames": sum(row.status != "rejected" for row in report.frames),
        "partial": sum(row.status == "partial" for row in report.frames),
        "rejected": len(report.rejected),
        "reused": report.reused,
        "plumes": kinds.count("plume"),
        "hotspots": kinds.count("hotspot"),
    }
