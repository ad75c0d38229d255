"""A worker process from the inside: the next product is read and the last one written while the model looks."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from queue import Empty, Queue
from typing import Any

from detector.detect import Result
from detector.frame import Frame
from serve.worker import Job, Settings, Task, Worker

log = logging.getLogger(__name__)

READY, STEP, DONE = "ready", "step", "done"
"""What a worker tells: that it is ready; that it gets on; an outcome."""


def work(line: Connection, settings: Settings) -> None:
    """Do the tasks that come down the line until it is closed; the parent answers signals, and its death ends this."""
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, signal.SIG_IGN)
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # what matters of them stands in the frames' own warnings
    worker = Worker(settings)
    line.send((READY,))
    Overlap(worker, line).run()


def _die_with_the_parent() -> None:
    """Leave nothing behind that still writes when the next run begins, whatever killed the parent."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class Overlap:
    """Three steps in three threads: read, look, write. In memory are the products of one batch and of one more."""

    def __init__(self, worker: Worker, line: Connection) -> None:
        self._worker, self._line, self._batch = worker, line, worker.settings.batch
        self._sending = threading.Lock()
        self._room = threading.Semaphore(self._batch + 1)
        self._read: Queue[Job | None] = Queue()
        self._seen: Queue[tuple[Job, Result | None, bool] | None] = Queue(maxsize=1)

    def run(self) -> None:
        """Go on until the line is closed and all is done."""
        steps = [threading.Thread(target=_or_end, args=(step,), daemon=True) for step in (self._reading, self._writing)]
        for step in steps:
            step.start()
        self._looking()
        for step in steps:
            step.join()

    def _tell(self, *message: Any) -> None:
        with self._sending:
            self._line.send(message)

    def _reading(self) -> None:
        for task in _tasks(self._line):
            self._room.acquire()
            self._tell(STEP)
            job = Job(task)
            self._worker.read(job)
            self._read.put(job)
        self._read.put(None)

    def _looking(self) -> None:
        waiting: list[tuple[Job, Frame, bool]] = []
        while (job := self._next(waiting)) is not None:
            if job.failed:
                self._look(waiting)
                self._seen.put((job, None, True))
            while job.frames and not job.failed:
                frame = job.frames.popleft()
                waiting.append((job, frame, not job.frames))
                if len(waiting) >= self._batch:
                    self._look(waiting)
            self._room.release()
        self._look(waiting)
        self._seen.put(None)

    def _next(self, waiting: list[tuple[Job, Frame, bool]]) -> Job | None:
        """Give the next product; where none is at hand, what waits is looked at first."""
        try:
            return self._read.get_nowait()
        except Empty:
            self._look(waiting)
            return self._read.get()

    def _look(self, waiting: list[tuple[Job, Frame, bool]]) -> None:
        results = self._worker.look([(job, frame) for job, frame, _ in waiting]) if waiting else []
        for (job, _, last), result in zip(waiting, results, strict=True):
            self._tell(STEP)
            self._seen.put((job, result, last or job.failed))
        waiting.clear()

    def _writing(self) -> None:
        told = None
        while (seen := self._seen.get()) is not None:
            job, result, last = seen
            self._worker.write(job, result)
            if (last or job.failed) and job is not told:
                self._tell(DONE, job.outcome())
                told = job


def _or_end(step: Callable[[], None]) -> None:
    """Do a step; what it cannot cope with ends the process, so that the parent learns of it."""
    try:
        step()
    except BaseException:
        log.exception("a worker process ends")
        os._exit(1)


def _tasks(line: Connection) -> Iterator[Task]:
    while True:
        try:
            yield line.recv()
        except EOFError:
            return
