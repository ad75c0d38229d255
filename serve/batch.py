"""Many products, one catalogue: whatever the workers did and however often the run was broken off, the same bytes."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Protocol

from detector.catalogue import Catalogue
from detector.detect import Detector
from detector.errors import InputError
from detector.products import Product
from serve.atomic import stamp_of, sweep
from serve.journal import Journal, Outcome
from serve.lanes import Lanes
from serve.shards import Shard, gather
from serve.tables import Report, write_tables
from serve.worker import Settings, Task, Worker, digest_of, stamps_of, steady_stamps

log = logging.getLogger(__name__)

__all__ = ["Report", "Terms", "crew_of", "merge", "run", "software_version"]

TRIES = 3
"""A product that takes its worker along so often is quarantined."""
SETTLED = ("done", "rejected", "quarantined")
"""States that a later run does not try again."""
IN_MEMORY = 1_000_000
"""Bytes of the list of products that are held in memory before they go to a file."""

Watcher = Callable[[Outcome, bool], None]
"""Called for every product with its outcome and whether it was already done before this run."""


class Crew(Protocol):
    """Whoever does the work."""

    def outcomes(self, tasks: Iterator[Task], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Yield what became of each task, in any order; draw no more tasks once ``stopped``, but finish those drawn."""
        ...


@dataclass(frozen=True)
class Terms:
    """What decides in a run, known from the model without keeping it open.

    Attributes:
        settings: as in :class:`serve.journal.Key`.
        head: the catalogue without its rows.

    """

    settings: str
    head: Catalogue

    @classmethod
    def of(cls, detector: Detector) -> Terms:
        """Give the terms of a detector."""
        kernels = f" kernels {detector.kernels}" if detector.kernels else ""
        networks = f"{detector.model.sha256} {detector.limb_sha256}"
        settings = f"{networks} {detector.operating_point} {software_version()}{kernels}"
        return cls(settings, Catalogue((), detector.model.name, detector.operating_point, detector.thresholds))


class Alone:
    """The process itself as the crew: nothing to start, but a product that kills its worker kills the run."""

    def __init__(self, settings: Settings, detector: Detector) -> None:
        self._worker = Worker(settings, detector)

    def outcomes(self, tasks: Iterator[Task], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Do one task after the other."""
        for task in tasks:
            if stopped():
                return
            yield self._worker(task)


def run(
    products: Iterable[Product],
    settings: Settings,
    workers: int = 1,
    fresh: bool = False,
    watch: Watcher = lambda outcome, reused: None,
    *,
    began: Callable[[int], None] = lambda count: None,
    crew: Crew | None = None,
    terms: Terms | None = None,
    shard: Shard = Shard(),  # noqa: B008 - frozen
    adding: bool = False,
    retry: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Report:
    """Work through the products and write the folder: masks and pictures as they come, the tables at the end.

    Products that an earlier run into the same folder has done, with the same model and operating point, are not done
    again. Rows are in the order of the products' paths, then of the frames in them, then of the detections. Memory does
    not grow with the number of products, as long as they come from an iterator.

    Args:
        products: what to look at; none is fine and gives empty tables. One with a ``problem`` gives a rejected row.
        settings: what a worker must know, the output folder among it.
        workers: processes. 1 without ``settings.timeout_s`` works in this process; else a product that kills its worker
            or hangs is tried TRIES times and then quarantined.
        fresh: start over.
        watch: is told of every product.
        began: is told how many products there are.
        crew: does the work in the place of ``workers``; its settings must be the same.
        terms: of the settings, where they are known already.
        shard: the part of the products that is this run's.
        adding: the products of the run before stay in the tables, and copies of them are passed over.
        retry: try again what was quarantined.
        stopped: once true, what is under way is finished, the tables are written, and the rest is left undone.

    Raises:
        ModelError: the model is missing or refused.
        InputError: the output folder holds the input, or another run is writing into it.

    """
    with _listed(products, settings, shard) as listed:
        detector = settings.open_detector() if terms is None or crew is None else None
        terms = terms or Terms.of(_opened(detector))
        with Journal(settings.out, fresh) as journal, _crew(crew, settings, workers, detector) as doing:
            del detector
            sweep_all(settings.out)
            journal.begin(_read_back(listed), terms.settings, adding)
            listed.close()
            shard.state(journal, settings)
            began(journal.count())
            work = _Work(settings, journal, watch, stopped, SETTLED[:2] if retry else SETTLED)
            work.finish(doing, once=adding)
            return replace(write_tables(journal, settings.out, terms.head), reused=work.reused)


def merge(
    folders: Sequence[Path],
    settings: Settings,
    workers: int = 1,
    watch: Watcher = lambda outcome, reused: None,
) -> Report:
    """Join the finished folders of all shards into one: the bytes are those of one run over all products.

    Only products whose frames share a name across shards are done again; their files must be where they were.

    Raises:
        InputError: a shard is missing, not finished, or of other settings.

    """
    detector = settings.open_detector()
    terms = Terms.of(detector)
    settings = gather(folders, settings, terms.settings)
    with _crew(None, settings, workers, detector) as crew:
        return run([], settings, watch=watch, crew=crew, terms=terms, adding=True)


def crew_of(settings: Settings, workers: int) -> Lanes:
    """Return worker processes that share the machine's cores."""
    threads = settings.threads or max(1, (os.cpu_count() or 1) // workers)
    return Lanes(replace(settings, threads=threads), workers)


def sweep_all(out: Path) -> None:
    """Remove what a killed run left unfinished in an output folder."""
    for folder in (out, out / "masks", out / "quicklook"):
        sweep(folder)


def software_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("io-detector")
    except PackageNotFoundError:
        return "not installed"


class _Work:
    """What is left of one run."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        watch: Watcher,
        stopped: Callable[[], bool],
        kept: tuple[str, ...],
    ) -> None:
        self.settings, self.journal, self.watch, self.stopped, self.kept = settings, journal, watch, stopped, kept
        self.reused = 0

    def finish(self, crew: Crew, once: bool) -> None:
        """Do what is missing; then once more those products whose frames turned out to share a name.

        With ``once`` a product that is the same as another, byte for byte, is passed over, and one that is gone.
        """
        self._take_over()
        if once:
            self._pass_over()
        self._do(crew, self.watch)
        while not self.stopped() and self._renamed():
            self._do(crew, lambda outcome, reused: None)

    def _take_over(self) -> None:
        with self.journal.transaction():
            for listed in self.journal.undone():
                known = self._still_true(listed.path, listed.product)
                if known is not None:
                    self.journal.settle(known)
                    self.reused += 1
                    self.watch(known, True)

    def _pass_over(self) -> None:
        new: dict[str, str] = {}
        with self.journal.transaction():
            for listed in self.journal.undone():
                digest = digest_of(listed.product)
                other = self.journal.place_of(digest) or new.setdefault(digest, listed.path)
                if not listed.product.data.exists():  # renamed while nobody watched
                    self.journal.drop(listed.path)
                elif digest and other != listed.path:
                    self.journal.drop(listed.path)
                    log.warning("%s: is the same as %s: not done again", listed.path, other)

    def _still_true(self, path: str, product: Product) -> Outcome | None:
        """Return what an earlier run made of the same files, if its own files are there as it left them."""
        outcomes = [known for known in self.journal.known(path, self.journal.fact("settings")) if self._counts(known)]
        if not outcomes:
            return None
        stamps = stamps_of(product)
        unchanged = [known for known in outcomes if known.inputs == stamps]
        if unchanged:
            return unchanged[0]
        digest = digest_of(product)
        for known in outcomes:
            if known.key.sha256 == digest:
                self.journal.keep(known := replace(known, inputs=steady_stamps(product)), settled=False)
                return known
        return None

    def _counts(self, known: Outcome) -> bool:
        """Whether an outcome is final and what the settings ask for is there, as this outcome left it."""
        names = [row.frame_id for row in known.frames if row.frame_id]
        files = (path for name in names for path in self.settings.files_of(name))
        return known.state in self.kept and all(stamp_of(path) in known.files for path in files)

    def _do(self, crew: Crew, watch: Watcher) -> None:
        """Do what is undone, those that were lost once more at the end, until nothing is left or it is to stop."""
        while self.journal.unsettled() and not self.stopped():
            for outcome in crew.outcomes(self._tasks(), self.stopped):
                kept = self._keep(outcome)
                if kept.state != "lost":
                    _log(kept)
                    watch(kept, False)

    def _tasks(self) -> Iterator[Task]:
        settings = self.journal.fact("settings")
        for listed in self.journal.undone():
            yield Task(listed.product, listed.path, settings, listed.suffix)

    def _keep(self, outcome: Outcome) -> Outcome:
        """Write down an outcome; return it as it was written: what was lost too often is quarantined."""
        if outcome.state == "lost":
            before = self.journal.find(outcome.key)
            tries = before.tries + 1 if before is not None and before.state == "lost" else 1
            outcome = replace(outcome, tries=tries)
            outcome = outcome if tries < TRIES else _quarantined(outcome)
        self.journal.keep(outcome, settled=outcome.state != "lost")
        return outcome

    def _renamed(self) -> bool:
        """Have those done again whose frames' names are not what they must be; False where there are none."""
        wrong = False
        for outcome in self.journal.rename():
            wrong = True
            for row in outcome.frames:
                for path in replace(self.settings, masks=True, quicklooks=True).files_of(row.frame_id):
                    path.unlink(missing_ok=True)
        return wrong


def _quarantined(outcome: Outcome) -> Outcome:
    (row,) = outcome.frames
    row = replace(row, reason=f"quarantined after {outcome.tries} tries: {row.reason}")
    return replace(outcome, state="quarantined", frames=(row,))


def _log(outcome: Outcome) -> None:
    for row in outcome.frames:
        if row.frame_id and row.reason:
            log.warning("%s: %s", row.frame_id, row.reason)


def _listed(products: Iterable[Product], settings: Settings, shard: Shard) -> SpooledTemporaryFile[bytes]:
    """Write the products of a shard, less what earlier runs wrote, into a file of their own.

    So all have been looked at before the first is worked on: nothing is written among the input.
    """
    out = settings.out.resolve()
    own = {out / "masks", out / "quicklook"}
    listed: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the caller closes it
    for product in products:
        folder = None if product.problem else product.data.resolve().parent
        if folder == out:
            listed.close()
            raise InputError(settings.out, "is a folder of input files: nothing is written there", "name another --out")
        if folder not in own and product in shard:
            pickle.dump(product, listed)
    return listed


def _read_back(listed: SpooledTemporaryFile[bytes]) -> Iterator[Product]:
    end = listed.tell()
    listed.seek(0)
    while listed.tell() < end:
        yield pickle.load(listed)


def _opened(detector: Detector | None) -> Detector:
    if detector is None:
        raise ValueError("a crew without terms")
    return detector


def _crew(
    crew: Crew | None, settings: Settings, workers: int, detector: Detector | None
) -> AbstractContextManager[Crew]:
    """Return who does the work: a crew that was given stays, one that is made here leaves when all is done."""
    if crew is not None:
        return nullcontext(crew)
    if workers == 1 and not settings.timeout_s:
        return nullcontext(Alone(settings, _opened(detector)))
    return crew_of(settings, workers)
