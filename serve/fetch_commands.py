"""``io-detector fetch``: frames, kernels and labels from the public archives."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import progress as bars
from rich.console import Console
from rich.markup import escape

from serve.options import options_of

if TYPE_CHECKING:
    from serve.fetch.download import Arrival
    from serve.fetch.plan import Plan
    from serve.fetch.run import Task
    from serve.fetch.web import Web

USAGE, SOME_FAILED, NOTHING_MATCHED = 2, 3, 4


class Source(StrEnum):
    """Where things come from."""

    opus = "opus"
    pds_volume = "pds-volume"
    kernels = "kernels"
    labels = "labels"


@dataclass(frozen=True)
class FetchOptions:
    """What ``io-detector fetch`` can be told."""

    source: Annotated[
        Source, typer.Argument(metavar="SOURCE", show_default=False, help="opus, pds-volume, kernels, labels.")
    ]
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", file_okay=False, show_default=False, help="The folder. A run into it goes on there."
        ),
    ]
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[key=value]...", show_default=False, help="What is asked for; docs/fetch.md has examples."
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched, with all addresses, and stop.")
    ] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before more than 1 GB is fetched.")] = False
    limit: Annotated[int, typer.Option(metavar="N", min=0, show_default=False, help="At most N products.")] = 0
    verify: Annotated[bool, typer.Option("--verify", help="Compute the checksums of files that are here anew.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Put the result on stdout as one JSON document.")] = False
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL",
            show_default=False,
            help="Another address of opus, rms, img, atm, naif or zenodo (a mirror).",
        ),
    ] = None
    connections: Annotated[int, typer.Option(metavar="N", min=1, max=8, help="To one host at a time.")] = 2
    pause: Annotated[float, typer.Option(metavar="S", min=0.0, help="Between two requests to one host, seconds.")] = 0.2
    retries: Annotated[int, typer.Option(metavar="N", min=0, help="Tries without progress before giving up.")] = 5


@options_of(FetchOptions)
def fetch(options: FetchOptions) -> None:
    """Fetch frames, SPICE kernels or labels from the public archives; the same command goes on where it stopped."""
    from serve.fetch.query import parse_query
    from serve.fetch.run import SOURCES, Task, questions
    from serve.fetch.services import addresses
    from serve.fetch.web import FetchError, Manners, Web

    query = parse_query(options.query or [], SOURCES[options.source].SUBJECT)
    task = Task(options.source.value, query, options.out, options.limit, options.verify)
    places, tries = addresses(options.base_url or []), min(options.retries, 1) if options.dry_run else options.retries
    with Web(Manners(connections=options.connections, interval_s=options.pause, attempts=tries + 1)) as web:
        try:
            code = _fetch(task, options, web, places)
        except FetchError as error:
            asked = list(dict.fromkeys([*web.asked, *questions(task, places)]))
            Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
            _show({"asked": asked, "error": str(error)}, [f"asks   {url}" for url in asked], options.as_json)
            code = SOME_FAILED
    raise typer.Exit(code)


def _fetch(task: Task, options: FetchOptions, web: Web, addresses: dict[str, str]) -> int:
    """Look, and fetch unless it is a dry run; the exit code."""
    from serve.fetch.plan import check_room, make_plan
    from serve.fetch.provenance import Provenance
    from serve.fetch.run import fetch, find, held

    if options.dry_run:
        products = find(task, web, addresses, keep=False)
        plan = make_plan(products, Provenance(task.out), web)
        _show(_document(task, web, plan, []), _lines(web, plan), options.as_json)
        return 0 if products else NOTHING_MATCHED
    with held(task.out):
        products = find(task, web, addresses)
        provenance = Provenance(task.out)
        plan = make_plan(products, provenance, web)
        check_room(plan, task.out)
        if not _agreed(plan, options.yes):
            return USAGE
        with Gauge(plan) as gauge:
            arrivals = fetch(task, products, web, provenance, gauge.saw, gauge.gained)
    _show(_document(task, web, plan, arrivals), [_summary(task, plan, arrivals)], options.as_json)
    failed = any(not arrival.is_here for arrival in arrivals)
    return SOME_FAILED if failed else 0 if products else NOTHING_MATCHED


def _agreed(plan: Plan, yes: bool) -> bool:
    """Whether the user wants this much."""
    from serve.fetch.plan import CONFIRM_ABOVE_BYTES

    typer.echo(str(plan), err=True)
    if yes or plan.size_bytes <= CONFIRM_ABOVE_BYTES:
        return True
    if sys.stdin.isatty():
        return typer.confirm("Fetch them?", err=True)
    typer.echo("this is more than 1 GB: say --yes, or fetch less (--limit)", err=True)
    return False


class Gauge:
    """Progress on a terminal: files, bytes, rate, time left; elsewhere only a line for every file that failed."""

    def __init__(self, plan: Plan) -> None:
        console = Console(stderr=True)
        columns = (
            bars.TextColumn("fetching, {task.fields[files]} files"),
            bars.BarColumn(),
            bars.DownloadColumn(),
            bars.TransferSpeedColumn(),
            bars.TimeRemainingColumn(),
        )
        self._console, self._files = console, 0
        self._bar = bars.Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("", total=plan.size_bytes or None, files=0)

    def __enter__(self) -> Gauge:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def gained(self, count: int) -> None:
        """Take note of bytes."""
        self._bar.advance(self._task, count)

    def saw(self, arrival: Arrival) -> None:
        """Take note of a file."""
        self._files += 1
        self._bar.update(self._task, files=self._files)
        if not arrival.is_here and arrival.remote.needed:
            line = f"[yellow]{arrival.state}[/] {escape(arrival.remote.url)}: {escape(arrival.reason)}"
            self._console.print(line, soft_wrap=True, highlight=False)


def _show(document: dict[str, Any], lines: list[str], as_json: bool) -> None:
    """Put the result on stdout: one document, or lines for a person."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        for line in lines:
            typer.echo(line)


def _lines(web: Web, plan: Plan) -> list[str]:
    asked = [f"asks   {url}" for url in dict.fromkeys(web.asked)]
    return [*asked, *(f"fetch  {remote.url}  ->  {remote.place}" for remote in plan.wanted), str(plan)]


def _summary(task: Task, plan: Plan, arrivals: list[Arrival]) -> str:
    if not plan.products:
        return f"nothing matches {str(task.query) or 'this'} in {task.source}"
    from serve.fetch.plan import counted

    counts = _counts(arrivals)
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing to do"
    return f"{counted(len(plan.products), 'product')}: {told}, in {task.out}"


def _counts(arrivals: list[Arrival]) -> dict[str, int]:
    states = [arrival.state for arrival in arrivals]
    return {state: states.count(state) for state in ("fetched", "had", "failed", "quarantined")}


def _document(task: Task, web: Web, plan: Plan, arrivals: list[Arrival]) -> dict[str, Any]:
    wanted = set(plan.wanted)
    planned = [_planned(remote, remote in wanted) for product in plan.products for remote in product.files]
    return {
        "out": str(task.out),
        "source": task.source,
        "query": str(task.query),
        "asked": list(dict.fromkeys(web.asked)),
        "products": [product.name for product in plan.products],
        "size_bytes": plan.size_bytes,
        "size_is_exact": plan.exact,
        "summary": _counts(arrivals),
        "files": [_arrived(arrival) for arrival in arrivals] or planned,
    }


def _planned(remote: Any, wanted: bool) -> dict[str, Any]:
    state = "failed" if remote.problem else "planned" if wanted else "had"
    known = {"path": str(remote.place), "url": remote.url, "state": state, "size_bytes": remote.size_bytes}
    return {**known, "checksum": str(remote.checksum or ""), "reason": remote.problem}


def _arrived(arrival: Arrival) -> dict[str, Any]:
    remote = arrival.remote
    return {
        "path": str(remote.place),
        "url": remote.url,
        "state": arrival.state,
        "size_bytes": arrival.size_bytes,
        "checksum": str(remote.checksum or ""),
        "reason": arrival.reason,
    }
