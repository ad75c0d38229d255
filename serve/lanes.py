"""Worker processes that may die or hang: each works on its own products, and what it takes along is found out.

A worker has some products ahead, so that it can read one while it looks at another. When it dies, or does not get on
for too long, it may have been any of them: each is then given to a worker by itself, and only one that again takes its
worker along is lost. All others lose nothing but time.
"""

from __future__ import annotations

import math
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from detector.errors import DetectorError
from serve.journal import Key, Outcome
from serve.overlap import DONE, READY, work
from serve.worker import Settings, Task, digest_of, turned_away

AHEAD = 2
"""Products that a worker holds besides those that go through the model together."""
PATIENCE_S = 3600.0
"""Longest wait in one piece; no platform can be told to wait for ever and a time at once."""


class WorkerError(DetectorError):
    """A worker process that cannot even begin."""


@dataclass
class _Lane:
    """One worker process and the tasks that it holds."""

    process: Any
    line: Connection
    flight: dict[str, Task] = field(default_factory=dict)
    ready: bool = False
    alone: bool = False
    heard: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, settings: Settings) -> _Lane:
        here, there = (context := get_context("spawn")).Pipe()
        process = context.Process(target=work, args=(there, settings), daemon=True)
        process.start()
        there.close()
        return cls(process, here)

    def send(self, task: Task, alone: bool) -> None:
        if not self.flight:
            self.heard = time.monotonic()
        self.flight[task.path], self.alone = task, alone
        try:
            self.line.send(task)
        except OSError:  # it died: the next look at the line will say so
            return

    def messages(self) -> Iterator[tuple[Any, ...]]:
        """Yield what the worker has told; nothing more once it is dead."""
        try:
            while self.line.poll():
                message = self.line.recv()
                self.heard = time.monotonic()
                yield message
        except (EOFError, OSError):
            self.end()

    def end(self) -> None:
        """See to it that the process is no more."""
        self.process.kill()
        self.process.join()
        self.line.close()

    @property
    def dead(self) -> bool:
        return self.line.closed


class Lanes:
    """Some worker processes with the same settings; a context manager that leaves none behind.

    Args:
        settings: what the workers must know; ``timeout_s`` among it.
        workers: how many processes, at most.

    """

    def __init__(self, settings: Settings, workers: int) -> None:
        self.settings, self.workers = settings, workers
        self._lanes: list[_Lane] = []
        self._alone: deque[Task] = deque()

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.end()
        self._lanes.clear()

    def outcomes(self, tasks: Iterator[Task], stopped: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
        """Yield the outcomes in the order in which they come.

        Args:
            tasks: are drawn as workers are free for them.
            stopped: once true no more tasks are drawn, and those under way are finished.

        Raises:
            WorkerError: a worker died before it was ready.

        """
        tasks = takewhile(lambda _: not stopped(), tasks)
        while self._hand_out(tasks, stopped()):
            lines = {lane.line: lane for lane in self._lanes if lane.flight}
            for line in wait(list(lines), self._patience_s()):
                yield from self._heard(lines[line])  # type: ignore[index]
            for lane in list(lines.values()):
                if not lane.dead and self._overdue_s(lane) <= 0:
                    lane.end()
                    yield from self._lost(lane, f"no progress in {self.settings.timeout_s:g} s")

    def _hand_out(self, tasks: Iterator[Task], stopped: bool) -> bool:
        """Give each worker what it has room for, in turns; False where nothing is under way."""
        if stopped:
            self._alone.clear()
        for held in range(AHEAD + self.settings.batch):
            for lane in list(self._lanes):
                self._fill(lane, held, tasks)
            if held == 0:
                self._start(tasks)
        return any(lane.flight for lane in self._lanes)

    def _start(self, tasks: Iterator[Task]) -> None:
        """Start the workers that are still to be started, while there is something for each."""
        while len(self._lanes) < self.workers:
            alone = bool(self._alone)
            task = self._alone.popleft() if alone else next(tasks, None)
            if task is None:
                return
            self._lanes.append(_Lane.start(self.settings))
            self._lanes[-1].send(task, alone)

    def _fill(self, lane: _Lane, held: int, tasks: Iterator[Task]) -> None:
        """Give a worker that holds so many products one more; one that may take its worker along goes by itself."""
        if len(lane.flight) != held or (held and (lane.alone or self._alone)):
            return
        alone = bool(self._alone)
        task = self._alone.popleft() if alone else next(tasks, None)
        if task is not None:
            lane.send(task, alone)

    def _heard(self, lane: _Lane) -> Iterator[Outcome]:
        for what, *told in lane.messages():
            if what == READY:
                lane.ready = True
            elif what == DONE:
                (outcome,) = told
                del lane.flight[outcome.key.path]
                yield outcome
        if lane.dead:
            yield from self._lost(lane, f"the process that worked on it died ({_cause(lane.process.exitcode)})")

    def _lost(self, lane: _Lane, reason: str) -> Iterator[Outcome]:
        """Bury a lane. What it held alone is lost, what it held together is tried by itself."""
        self._lanes.remove(lane)
        if not lane.ready:
            cause = _cause(lane.process.exitcode)
            remedy = "see what it said; fewer --workers need less memory"
            raise WorkerError(f"a worker process ended before it could begin ({cause}) -> {remedy}")
        if len(lane.flight) > 1 or not lane.alone:
            self._alone.extend(lane.flight.values())
            return
        for path, task in lane.flight.items():
            yield turned_away(Key(path, digest_of(task.product), task.settings), "lost", reason)

    def _overdue_s(self, lane: _Lane) -> float:
        """Seconds until a lane has been silent for too long; while it starts it may be."""
        limit = (self.settings.timeout_s if lane.ready else None) or math.inf
        return lane.heard + limit - time.monotonic()

    def _patience_s(self) -> float:
        """How long to wait for a word."""
        overdue = (self._overdue_s(lane) for lane in self._lanes if lane.flight)
        return max(0.0, min(PATIENCE_S, *overdue))


def _cause(exitcode: int | None) -> str:
    """Say how a process ended."""
    if exitcode is None or exitcode >= 0:
        return f"exit code {exitcode}"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    return f"{name}{', out of memory?' * (name == 'SIGKILL')}"
