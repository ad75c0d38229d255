"""What the user sees: progress on stderr while it runs, the result on stdout when it is done."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich import progress as bars
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detector.catalogue import Detection, FrameStatus
from detector.table import read_csv, values
from serve.batch import Report
from serve.journal import Outcome
from serve.tables import CATALOGUE, FRAMES

LINE_S = 30.0
"""Where there is no terminal, a line says how far a batch is, so often at most."""


class Bar:
    """A progress bar on a terminal, nothing elsewhere; a context manager."""

    def __init__(self, console: Console, what: str, total: int | None = None, *more: bars.ProgressColumn) -> None:
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            *more,
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
    """The progress of a batch run, and a line for every product that was turned away.

    On a terminal a bar with rate and time left; elsewhere a line with them every LINE_S seconds.
    """

    def __init__(self, console: Console) -> None:
        rate = bars.TextColumn("{task.fields[rate]}")
        super().__init__(console, "detecting", None, rate)
        self._bar.update(self._task, rate="")
        self._console = console
        self._total = self._seen = self._worked = 0
        self._began = self._said = time.monotonic()

    def began(self, total: int) -> None:
        """Take note of how many products there are."""
        self._total, self._began = total, time.monotonic()
        self._bar.update(self._task, total=total)

    def saw(self, outcome: Outcome, reused: bool) -> None:
        """Take note of one product, done now or before."""
        self._seen += 1
        self._worked += not reused
        now = time.monotonic()
        if reused:  # the clock runs for work, not for looking up what is done
            self._began = now
        per_s = self._worked / max(now - self._began, 1e-9)
        self._bar.update(self._task, completed=self._seen, rate=f"{per_s:.2f}/s" if self._worked else "")
        if not self._console.is_terminal and self._worked and now - self._said > LINE_S:
            self._said = now
            self._console.print(self._line(per_s), soft_wrap=True, highlight=False)
        self._say_turned_away(outcome)

    def _line(self, per_s: float) -> str:
        left = timedelta(seconds=round((self._total - self._seen) / per_s))
        return f"{self._seen} of {self._total} products, {per_s:.2f}/s, {left} left"

    def _say_turned_away(self, outcome: Outcome) -> None:
        if outcome.state != "done":
            reason = escape(outcome.frames[0].reason)
            line = f"[yellow]rejected[/] {escape(outcome.key.path)}: {reason}"
            self._console.print(line, soft_wrap=True, highlight=False)


def print_document(report: Report, out: Path) -> None:
    """Print the whole result as one JSON document, row by row."""
    head = report.catalogue_head
    document = {
        "out": str(out),
        "model": head.model,
        "operating_point": head.operating_point,
        "summary": _summary(report),
    }
    sys.stdout.write(json.dumps(document).removesuffix("}"))
    for name, kind, table in (("frames", FrameStatus, FRAMES), ("detections", Detection, CATALOGUE)):
        sys.stdout.write(f', "{name}": [')
        for number, row in enumerate(read_csv(kind, out / table)):
            sys.stdout.write(", " * bool(number) + json.dumps(values(row), allow_nan=False))
        sys.stdout.write("]")
    sys.stdout.write("}\n")


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
    return escape(f"{report.catalogue_head.model}, {report.catalogue_head.operating_point}")


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
    counts = report.counts
    return {
        "frames": counts["ok"] + counts["partial"],
        "partial": counts["partial"],
        "rejected": counts["rejected"],
        "reused": report.reused,
        "plumes": counts["plume"],
        "hotspots": counts["hotspot"],
    }
