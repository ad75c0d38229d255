"""A folder where products arrive: each is taken when label and image are whole and still, once, whatever happens.

What is done stands in the journal of the output folder, so nothing is lost or done twice when the watch is ended or
killed and begun again. A product that changes after it was taken (more of it came down, a label followed late) is done
again and its rows are replaced; one that is moved or copied within the folder is the same product and is not done
again. What leaves the folder stays in the catalogue.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from detector.errors import InputError
from detector.products import LABELS, Product, come_upon
from detector.whole import lack_of
from serve.atomic import Stamp
from serve.batch import Crew, Terms, crew_of, run
from serve.journal import Outcome
from serve.worker import Settings, stamps_of

log = logging.getLogger(__name__)

RESCAN_S = 30.0
"""The folder is looked through so often even when nobody tells of changes: a message may be missed."""
ROUND_S = 300.0
"""The tables are written at least so often while there is much to do."""
STEP_S = (0.05, 2.0)
"""Shortest and longest pause while something is awaited."""


@dataclass(frozen=True)
class Pace:
    """How patient a watch is, in seconds.

    Attributes:
        settle_s: a product whose files have not changed for so long is still.
        label_wait_s: an image that came without a label waits so long for one.
        patience_s: after so long a product that is not whole is reported, and taken as it is.

    """

    settle_s: float = 5.0
    label_wait_s: float = 60.0
    patience_s: float = 600.0

    @property
    def step_s(self) -> float:
        """How often to look while something is awaited."""
        return min(max(self.settle_s / 2, STEP_S[0]), STEP_S[1])


@dataclass
class _Arrival:
    """A product that is not taken yet: its files as they were last seen, since when, and since when it is known."""

    product: Product
    stamps: tuple[Stamp, ...]
    since: float
    first: float
    reported: bool = False


class Arrivals:
    """What lies in a folder and below it, and how far it is."""

    def __init__(self, folder: Path, pace: Pace) -> None:
        self._folder, self._pace = folder, pace
        self._looks: dict[str, int] = {}
        self._taken: dict[Path, tuple[Stamp, ...]] = {}
        self._coming: dict[Path, _Arrival] = {}

    @property
    def awaited(self) -> bool:
        """Whether something is there that is not taken yet."""
        return bool(self._coming)

    def ready(self, now: float) -> list[Product]:
        """Look through the folder and give what can be taken; it counts as taken from then on."""
        seen = set(self._look(now))
        for path in [path for path in self._coming if path.parent not in seen and not path.exists()]:
            del self._coming[path]  # it was renamed or taken away before it was whole
        ready = [path for path, arrival in self._coming.items() if self._may_be_taken(arrival, now)]
        return [self._take(path) for path in ready]

    def _take(self, path: Path) -> Product:
        arrival = self._coming.pop(path)
        self._taken[path] = arrival.stamps
        return arrival.product

    def _look(self, now: float) -> Iterator[Path]:
        """Look at the folders whose files changed or in which something is awaited; yield them."""
        awaited = {path.parent for path in self._coming}
        for here, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            folder = Path(here)
            look = hash(tuple(_stamps(folder, names)))
            if self._looks.get(here) != look or folder in awaited:
                self._looks[here] = look
                self._pair(folder, names, now)
                yield folder

    def _pair(self, folder: Path, names: list[str], now: float) -> None:
        """Take note of the products of one folder, and of labels whose image is not there."""
        found = {}
        for product in come_upon(folder / name for name in sorted(names) if not name.startswith(".")):
            if not product.problem or (product.data.suffix.lower() in LABELS and product.data.exists()):
                found[product.data] = product
        for path in [path for path in self._coming if path.parent == folder and path not in found]:
            del self._coming[path]
        for path, product in found.items():
            stamps, known = stamps_of(product), self._coming.get(path)
            if self._taken.get(path) == stamps:
                self._coming.pop(path, None)
            elif known is None or known.stamps != stamps:
                first = now if known is None else known.first
                self._coming[path] = _Arrival(product, stamps, now, first, known is not None and known.reported)

    def _may_be_taken(self, arrival: _Arrival, now: float) -> bool:
        pace, still_s = self._pace, now - arrival.since
        if still_s < pace.settle_s:
            return False
        lack = arrival.product.problem or lack_of(arrival.product)
        if not lack:
            return arrival.product.label is not None or still_s >= pace.label_wait_s
        if still_s >= pace.patience_s and not arrival.reported:
            arrival.reported = True
            log.warning("%s: not whole after %.0f s: %s", arrival.product.data, now - arrival.first, lack)
        return still_s >= pace.patience_s and not arrival.product.problem


def watch(
    folder: Path,
    settings: Settings,
    pace: Pace,
    ended: threading.Event,
    workers: int = 1,
    poll: bool = False,
) -> int:
    """Detect what arrives in a folder until ``ended`` is set; what is under way then is finished.

    Args:
        folder: where products arrive; sub-folders count, hidden files and folders do not.
        settings: what a worker must know, the output folder among it; it may lie in the watched folder, not around it.
        pace: how patient to be.
        ended: may be set by another thread or a signal.
        workers: processes.
        poll: look again and again instead of waiting for the system to tell of changes.

    Returns:
        number of products that were done.

    Raises:
        ModelError: the model is missing or refused.
        InputError: another run is writing into the output folder, or that holds the watched one.

    """
    if settings.out.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError(settings.out, f"holds the watched folder {folder}", "name an output folder beside or in it")
    terms = Terms.of(settings.open_detector())
    arrivals, done = Arrivals(folder, pace), 0

    def saw(outcome: Outcome, reused: bool) -> None:
        nonlocal done
        done += not reused
        if not reused:
            log.info("%s: %s", outcome.key.path, _said(outcome))

    def is_over(before: int, end: float) -> bool:
        return ended.is_set() or (done > before and time.monotonic() > end)

    def do(products: list[Product], crew: Crew) -> None:
        """Do the products, and what was left undone before, in rounds that end with the tables."""
        while True:
            over = partial(is_over, done, time.monotonic() + ROUND_S)
            report = run(products, settings, watch=saw, crew=crew, terms=terms, adding=True, stopped=over)
            if ended.is_set() or not report.unfinished:
                return
            products = []

    with crew_of(settings, workers) as crew:
        log.info("watching %s", folder)
        do([], crew)
        for _ in _moments(folder, arrivals, pace, ended, poll):
            ready = _not_below(arrivals.ready(time.monotonic()), settings.out)
            if ready:
                do(ready, crew)
    return done


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set instead of what they usually do."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {sent: signal.signal(sent, end) for sent in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


def _moments(folder: Path, arrivals: Arrivals, pace: Pace, ended: threading.Event, poll: bool) -> Iterator[None]:
    """Yield whenever the folder is to be looked through, until the end."""
    looked = -RESCAN_S
    for changed in _changes(folder, pace.step_s, ended, poll):
        now = time.monotonic()
        if changed or arrivals.awaited or now - looked >= RESCAN_S:
            looked = now
            yield


def _changes(folder: Path, step_s: float, ended: threading.Event, poll: bool) -> Iterator[bool]:
    """Yield every so often until the end, whether something changed; always yes where nobody tells."""
    try:
        from watchfiles import watch as told
    except ImportError:
        poll = True
    yield True
    if not poll:
        step_ms = int(1000 * step_s)
        try:
            for changes in told(
                folder,
                watch_filter=None,
                step=min(50, step_ms),
                debounce=step_ms,
                rust_timeout=step_ms,
                yield_on_timeout=True,
                stop_event=ended,
                raise_interrupt=False,
            ):
                yield bool(changes)
        except OSError as error:
            log.warning("%s: the system does not tell of changes (%s): looking again and again", folder, error)
    while not ended.wait(step_s):
        yield True


def _stamps(folder: Path, names: list[str]) -> Iterator[tuple[str, int, int]]:
    for name in sorted(names):
        try:
            known = (folder / name).stat()
        except OSError:  # gone in the meantime
            continue
        yield name, known.st_size, known.st_mtime_ns


def _not_below(products: list[Product], out: Path) -> list[Product]:
    """Return the products that lie outside the output folder."""
    out = out.resolve()
    return [product for product in products if out not in product.data.resolve().parents]


def _said(outcome: Outcome) -> str:
    """Say what became of a product in a few words."""
    if outcome.state != "done":
        return outcome.frames[0].reason
    kinds = [row.kind for row in outcome.detections]
    return f"{len(outcome.frames)} frames, {kinds.count('plume')} plumes, {kinds.count('hotspot')} hot spots"
