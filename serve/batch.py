"""Many products, one catalogue: whatever the workers did and however often the run was broken off, the same bytes."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context

from detector.catalogue import Catalogue, FrameStatus
from detector.colour import with_temperatures
from detector.detect import Detector
from detector.errors import InputError
from detector.frame import sha256_of
from detector.products import Product
from detector.table import to_csv
from serve.atomic import stamp_of, sweep, write_whole
from serve.journal import Journal, Key, Outcome, spelled
from serve.worker import Settings, Task, Worker, turned_away

log = logging.getLogger(__name__)

Watcher = Callable[[Outcome, bool], None]
"""Called for every product with its outcome and whether it was already done before this run."""


@dataclass(frozen=True)
class Report:
    """What a run left.

    Attributes:
        frames: the rows of ``frames.csv``.
        catalogue: the detections.
        reused: how many products had been done before.

    """

    frames: tuple[FrameStatus, ...]
    catalogue: Catalogue
    reused: int

    @property
    def rejected(self) -> tuple[FrameStatus, ...]:
        """The products that gave no result."""
        return tuple(row for row in self.frames if row.status == "rejected")


def run(
    products: Sequence[Product],
    settings: Settings,
    workers: int = 1,
    fresh: bool = False,
    watch: Watcher = lambda outcome, reused: None,
) -> Report:
    """Work through the products and write the folder: masks and pictures as they come, the tables at the end.

    Products that an earlier run into the same folder has done, with the same model and operating point, are not done
    again. Rows are in the order of the products' paths, then of the frames in them, then of the detections.

    Args:
        products: what to look at; none is fine and gives empty tables. One with a ``problem`` gives a rejected row.
        settings: what a worker must know, the output folder among it.
        workers: processes; 1 works in this one.
        fresh: start over.
        watch: is told of every product.

    Raises:
        ModelError: the model is missing or refused.
        InputError: the output folder holds the input, or another run is writing into it.

    """
    products = _without_own_files(products, settings)
    detector = settings.open_detector()
    with Journal(settings.out, fresh) as journal:
        for folder in (settings.out, settings.out / "masks", settings.out / "quicklook"):
            sweep(folder)
        work = _Work(_tasks(products, detector), settings, journal, watch)
        work.finish(Worker(settings, detector), workers)
        report = _report(work, detector)
    _write_tables(report, settings)
    return report


class _Work:
    """The tasks of one run and how far they are."""

    def __init__(self, tasks: list[Task], settings: Settings, journal: Journal, watch: Watcher) -> None:
        self.tasks, self.settings, self.journal, self.watch = tasks, settings, journal, watch
        self.outcomes: dict[Key, Outcome] = {}
        self.reused = 0

    def finish(self, worker: Worker, workers: int) -> None:
        """Do what is missing; then once more those products whose frames turned out to share a name."""
        self._take_over()
        for outcome in _worked(self._missing(), worker, workers):
            self._keep(outcome)
            _log(outcome)
            self.watch(outcome, False)
        clashing = self._clashing()
        for task in clashing:
            self._remove_files(self.outcomes[task.key])
        for outcome in _worked(clashing, worker, workers):
            self._keep(outcome)

    def _take_over(self) -> None:
        for task in self.tasks:
            known = self.journal.find(task.key)
            if known is not None and known.state != "failed" and self._has_files(known):
                self.outcomes[task.key] = known
                self.reused += 1
                self.watch(known, True)

    def _missing(self) -> list[Task]:
        return [task for task in self.tasks if task.key not in self.outcomes]

    def _clashing(self) -> list[Task]:
        """Return the tasks whose frames' names are not what they must be, given the names of all the others."""
        needed = _suffixes(self.outcomes.values())
        wanted = (replace(task, suffix=needed[task.key]) for task in self.tasks)
        return [
            task
            for task in wanted
            if self.outcomes[task.key].state == "done" and self.outcomes[task.key].suffix != task.suffix
        ]

    def _keep(self, outcome: Outcome) -> None:
        self.journal.keep(outcome)
        self.outcomes[outcome.key] = outcome

    def _has_files(self, outcome: Outcome) -> bool:
        """Whether what the settings ask for is there, and as this outcome left it."""
        names = [row.frame_id for row in outcome.frames if row.frame_id]
        return all(stamp_of(path) in outcome.files for name in names for path in self.settings.files_of(name))

    def _remove_files(self, outcome: Outcome) -> None:
        for row in outcome.frames:
            for path in replace(self.settings, masks=True, quicklooks=True).files_of(row.frame_id):
                path.unlink(missing_ok=True)


def _log(outcome: Outcome) -> None:
    for row in outcome.frames:
        if row.frame_id and row.reason:
            log.warning("%s: %s", row.frame_id, row.reason)


def _without_own_files(products: Sequence[Product], settings: Settings) -> list[Product]:
    """Return the products less what earlier runs wrote: an output folder inside the searched one is not input."""
    out = settings.out.resolve()
    own = {out / "masks", out / "quicklook"}
    kept = [product for product in products if product.problem or product.data.resolve().parent not in own]
    if any(product.data.resolve().parent == out for product in kept if not product.problem):
        raise InputError(settings.out, "is a folder of input files: nothing is written there", "name another --out")
    return kept


def _tasks(products: Sequence[Product], detector: Detector) -> list[Task]:
    kernels = f" kernels {detector.kernels}" if detector.kernels else ""
    settings = f"{detector.model.sha256} {detector.operating_point} {software_version()}{kernels}"
    tasks = {}
    for product in products:
        path = spelled(product.data)
        tasks[path] = Task(product, Key(path, _digest(product), settings))
    return [tasks[path] for path in sorted(tasks)]


def _digest(product: Product) -> str:
    files = [product.data] if product.label in (None, product.data) else [product.data, product.label]
    try:
        return "+".join(sha256_of(path) for path in files if path is not None)
    except OSError:
        return ""


def software_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("io-detector")
    except PackageNotFoundError:
        return "not installed"


def _suffixes(outcomes: Iterable[Outcome]) -> dict[Key, str]:
    """For every product the suffix that its frames need: empty, or a hash of its path where a frame's name is shared.

    Names that differ only in case count as shared: some file systems hold them for one.
    """
    outcomes = list(outcomes)
    owners: dict[str, set[Key]] = {}
    for outcome in outcomes:
        for frame_id in outcome.ids:
            owners.setdefault(frame_id.casefold(), set()).add(outcome.key)
    return {
        outcome.key: _path_hash(outcome.key.path) if any(len(owners[i.casefold()]) > 1 for i in outcome.ids) else ""
        for outcome in outcomes
    }


def _path_hash(path: str) -> str:
    return "-" + hashlib.sha256(path.encode()).hexdigest()[:8]


def _report(work: _Work, detector: Detector) -> Report:
    ordered = [work.outcomes[task.key] for task in work.tasks]
    rows = with_temperatures([row for outcome in ordered for row in outcome.detections])
    catalogue = Catalogue(rows, detector.model.name, detector.operating_point, detector.thresholds)
    return Report(tuple(row for outcome in ordered for row in outcome.frames), catalogue, work.reused)


def _write_tables(report: Report, settings: Settings) -> None:
    tables = {
        "catalogue.csv": report.catalogue.to_csv(),
        "catalogue.geojson": report.catalogue.to_geojson(),
        "frames.csv": to_csv(FrameStatus, report.frames),
    }
    for name, text in tables.items():  # a label may hold halves of characters that UTF-8 does not know
        write_whole(settings.out / name, text.encode("utf-8", "backslashreplace"))


def _worked(tasks: list[Task], worker: Worker, workers: int) -> Iterator[Outcome]:
    """Return the outcomes in the order in which they come."""
    if workers == 1 or len(tasks) < 2:
        yield from map(worker, tasks)
        return
    left = {task.key: task for task in tasks}
    count = min(workers, len(tasks))
    while left:
        for outcome in _pooled(list(left.values()), worker.settings, count):
            del left[outcome.key]
            yield outcome
        if left:  # a worker died and took its pool along: go on one by one until the culprit is found
            for outcome in _until_one_dies(list(left.values()), worker.settings):
                del left[outcome.key]
                yield outcome


def _pooled(tasks: list[Task], settings: Settings, count: int) -> Iterator[Outcome]:
    """Return the outcomes until all are done or a worker dies."""
    with _pool(settings, count) as pool:
        futures = [pool.submit(_work, task) for task in tasks]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BrokenProcessPool:
            return
        finally:
            _cancel(futures)


def _until_one_dies(tasks: list[Task], settings: Settings) -> Iterator[Outcome]:
    """Return the outcomes one by one, up to and including that of the product that kills its worker."""
    with _pool(settings, 1) as pool:
        for task in tasks:
            try:
                yield pool.submit(_work, task).result()
            except BrokenProcessPool:
                yield turned_away(task, "failed", "the process that worked on it died (out of memory?)")
                return


def _cancel(futures: Iterable[Future[Outcome]]) -> None:
    for future in futures:
        future.cancel()


def _pool(settings: Settings, count: int) -> ProcessPoolExecutor:
    threads = settings.threads or max(1, (os.cpu_count() or 1) // count)
    shared = replace(settings, threads=threads)
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start, initargs=(shared,))


_this_process: list[Worker] = []


def _start(settings: Settings) -> None:
    """Prepare a worker process: one detector for all its tasks; an interrupt is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _this_process[:] = [Worker(settings)]


def _work(task: Task) -> Outcome:
    return _this_process[0](task)
