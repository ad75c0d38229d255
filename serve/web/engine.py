"""Jobs: a bounded queue, and workers that are processes with a time limit.

Each worker process has a thread here that hands it one product after the other. A product that takes too long, or that
takes its worker down, is turned away with the reason; the worker is replaced. What waits is in the store: a service
that ends, however, goes on with it when it starts again.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import shutil
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from detector.colour import with_temperatures
from detector.frame import sha256_of
from detector.products import Product
from detector.table import values
from serve.batch import software_version
from serve.web import worker
from serve.web.limits import Limits
from serve.web.metrics import Metrics
from serve.web.store import Document, Store
from serve.worker import Settings

START_S = 120.0
"""A worker that has not opened its model by then is given up."""
RESTARTS = 5
"""So many workers in a row that do not come up end the service's readiness."""
log = logging.getLogger(__name__)


class BusyError(Exception):
    """As many jobs wait as may wait."""


@dataclass
class Job:
    """What one worker thread takes from the queue: an upload, or a frame to be opened.

    Attributes:
        id: of the job, or of the frame.
        future: done when the job is; its result is True, or False when the service ended before.
        known: of a frame to be opened: what :func:`serve.web.examine.reopen` needs; None for an upload.

    """

    id: str
    future: Future[bool] = field(default_factory=Future)
    known: Mapping[str, Any] | None = None


class Engine:
    """The queue and its workers.

    Args:
        store: where jobs, uploads and frames lie.
        settings: model and operating point.
        model_sha256: of the model file.
        limits: of time, memory and number.
        metrics: are told of every product.

    """

    def __init__(self, store: Store, settings: Settings, model_sha256: str, limits: Limits, metrics: Metrics) -> None:
        self.store, self.settings, self.limits, self.metrics = store, settings, limits, metrics
        kernels = f" kernels {settings.kernels}" if settings.kernels else ""
        self.key = f"{model_sha256} {settings.operating_point} {software_version()}{kernels}"
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._waiting, self._lock = 0, threading.Lock()
        self._jobs: dict[str, Job] = {}
        self.took_s: deque[float] = deque(maxlen=32)
        self.ending = threading.Event()
        self._handlers = [_Handler(self, n) for n in range(limits.workers)]

    def start(self) -> None:
        """Start the workers, and take up what an earlier service left."""
        for known in self.store.unfinished():
            self.store.set_job(known["id"], "queued")
            self._put(Job(known["id"]))
        for handler in self._handlers:
            handler.start()

    def end(self) -> None:
        """Take nothing new, let the workers finish what they have in hand, and end them; what waits stays kept."""
        self.begin_end()
        for handler in self._handlers:
            handler.join()

    def begin_end(self) -> None:
        """Say that the end has come, to those who wait too; returns at once."""
        if not self.ending.is_set():
            self.ending.set()
            while not self._queue.empty():
                job = self._queue.get_nowait()
                if job is not None:
                    _settle(job, False)
            for _ in self._handlers:
                self._queue.put(None)

    @property
    def ready(self) -> bool:
        """Whether some worker has opened the model."""
        return any(handler.ready for handler in self._handlers) and not self.ending.is_set()

    @property
    def confined(self) -> bool:
        """Whether every worker's files are limited by the kernel."""
        return all(handler.confined for handler in self._handlers if handler.ready)

    @property
    def refusal(self) -> str:
        """Why no worker came up; empty where one did, or may yet."""
        return next((handler.refusal for handler in self._handlers if handler.refusal), "")

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._waiting

    def retry_after_s(self) -> float:
        """How long it may take until a job can wait again."""
        one = statistics.fmean(self.took_s) if self.took_s else 1.0
        return min(60.0, max(1.0, one * self._waiting / self.limits.workers / 4))

    def check_room(self) -> None:
        """Refuse early, before an upload is read.

        Raises:
            BusyError: as many jobs wait as may, or the service is ending.

        """
        if self._waiting >= self.limits.waiting or self.ending.is_set():
            raise BusyError

    def submit(self, job: str, name: str, products: list[Product], folder: Path) -> Future[bool]:
        """Let an upload wait for a worker.

        Raises:
            BusyError: as for :meth:`check_room`; nothing is kept then.

        """
        described = [_described(product, folder) for product in products]
        with self._lock:
            self.check_room()
            self.store.add_job(job, name, described)
            waiting = Job(job)
            self._put(waiting)
        return waiting.future

    def open_frame(self, frame: str, known: Mapping[str, Any]) -> Future[bool]:
        """Let a frame that another run has worked on be opened; one that is being opened already is not opened twice.

        Raises:
            BusyError: as for :meth:`check_room`.

        """
        with self._lock:
            if frame in self._jobs:
                return self._jobs[frame].future
            self.check_room()
            job = Job(frame, known=known)
            self._jobs[frame] = job
            self._put(job)
        job.future.add_done_callback(lambda _: self._jobs.pop(frame, None))
        return job.future

    def _put(self, job: Job) -> None:
        self._waiting += 1
        self._queue.put(job)

    def take(self) -> Job | None:
        """Return the next job; None at the end."""
        job = self._queue.get()
        with self._lock:
            self._waiting -= job is not None
        return None if self.ending.is_set() else job


def _settle(job: Job, done: bool) -> None:
    if not job.future.done():
        job.future.set_result(done)


class _Handler(threading.Thread):
    """The thread that keeps one worker process at work."""

    def __init__(self, engine: Engine, number: int) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.engine, self.number = engine, number
        self.process: _Process | None = None
        self.ready, self.confined, self.refusal = False, False, ""

    def run(self) -> None:
        """Work until the end."""
        try:
            self._open()
            while (job := self.engine.take()) is not None:
                self._do(job)
        finally:
            self.ready = False
            if self.process is not None:
                self.process.end()

    def _open(self) -> None:
        """Start a worker process; try again a few times when it does not come up."""
        self.ready = False
        for attempt in range(RESTARTS):
            self.process = _Process(self.engine)
            said = self.process.first(START_S)
            if said.get("say") == "ready":
                self.ready, self.confined, self.refusal = True, bool(said["confined"]), ""
                return
            self.process.end()
            self.refusal = str(said.get("reason", "the worker did not come up"))
            log.error("worker %d: %s", self.number, self.refusal)
            if self.engine.ending.wait(min(30.0, 2.0**attempt)):
                return

    def _do(self, job: Job) -> None:
        try:
            if job.known is None:
                self._upload(job)
            else:
                self._taken(job)
        except Exception:  # the store cannot be written to, say: the next job may fare better
            log.exception("job %s", job.id)
            if job.known is None:
                self._fail(job)
        _settle(job, True)

    def _fail(self, job: Job) -> None:
        try:
            self.engine.store.set_job(job.id, "failed", "the service could not keep the result: its log says why")
        except Exception:
            log.exception("job %s", job.id)

    def _upload(self, job: Job) -> None:
        store = self.engine.store
        known = store.job(job.id)
        if known is None:
            return
        store.set_job(job.id, "running")
        done: list[Document] = []
        for described in known["products"]:
            done.append(self._product(job.id, described))
            store.set_job(job.id, "running", products=done + known["products"][len(done) :])
            if self.engine.ending.is_set() and len(done) < len(known["products"]):
                store.set_job(job.id, "queued")  # the rest is for the next start
                return
        self._colour(done)
        state = "done" if any(one["state"] == "done" for one in done) else done[0]["state"]
        store.set_job(job.id, state, "" if state == "done" else done[0]["reason"], done)

    def _product(self, job: str, described: Document) -> Document:
        """Return what became of a product; one that is known already is not worked on again."""
        store, key = self.engine.store, self.engine.key
        files = {part: store.uploads / described[part] for part in ("data", "label") if described.get(part)}
        digest = hashlib.sha256("".join(map(sha256_of, files.values())).encode()).hexdigest()
        known = store.product(digest, key)
        if known is not None:
            return described | known
        names = {part: described[part] for part in files}
        made = store.work / f"{job}-{digest[:16]}"
        order = {part: str(files.get(part, "")) for part in ("data", "label")}
        order |= {"name": described["name"], "out": str(made)}
        answer = self._ask(order, lambda ids: store.suffix(digest, ids))
        try:
            if answer["say"] == "done":
                frames = store.keep_product(digest, key, job, names, answer["frames"], made)
                return described | {"state": "done", "reason": "", "frames": frames}
            store.keep_refusal(digest, key, job, names, answer["say"], answer["reason"])
            return described | {"state": answer["say"], "reason": answer["reason"], "frames": []}
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _colour(self, products: list[Document]) -> None:
        """Give hot spots of one moment, found in several products, their colour temperature."""
        frames = [frame for product in products for frame in product["frames"]]
        if len(products) < 2 or not frames:
            return
        marks = ", ".join("?" * len(frames))
        rows = self.engine.store.detections(f"frame IN ({marks})", *frames)
        coloured = with_temperatures(rows)
        changed = {new.detection_id: values(new) for new, old in zip(coloured, rows, strict=True) if new is not old}
        self.engine.store.set_rows(changed)

    def _taken(self, job: Job) -> None:
        """Open a frame of another run: its files are copied to where a worker may read them."""
        assert job.known is not None
        store = self.engine.store
        folder = store.uploads / f".open-{job.id}"
        made = store.work / f"open-{job.id}"
        shutil.rmtree(folder, ignore_errors=True)
        beside = folder / "mask"  # it may have the data's name
        beside.mkdir(parents=True)
        try:
            parts = {part: _copied(job.known[part], folder) for part in ("data", "label")}
            parts["mask"] = _copied(job.known["mask"], beside)
            answer = self._ask({**parts, "name": job.id, "out": str(made), "known": job.known}, lambda _: "")
            if answer["say"] == "done":
                before = store.frame(job.id) or {}
                store.keep_opened(answer["frames"][0] | {"known": before.get("known")}, made)
            else:
                log.warning("frame %s cannot be opened: %s", job.id, answer["reason"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(made, ignore_errors=True)

    def _ask(self, order: Document, suffix_of: Callable[[list[str]], str]) -> Document:
        """Let the worker do one product, within its time."""
        started = time.monotonic()
        answer = self._answer(order, suffix_of)
        took_s = time.monotonic() - started
        self.engine.took_s.append(took_s)
        self.engine.metrics.worked(answer["say"], took_s)
        return answer

    def _answer(self, order: Document, suffix_of: Callable[[list[str]], str]) -> Document:
        if self.process is None or not self.ready:
            self._open()
        if self.process is None or not self.ready:
            return {"say": "failed", "reason": f"no worker: {self.refusal}"}
        seconds = self.engine.limits.seconds
        answer = self.process.ask(order, suffix_of, seconds)
        if answer is None:
            timely = self.process.alive
            self.process.end()
            self._open()
            why = (
                f"took longer than {seconds:g} s" if timely else "ended the process that worked on it (out of memory?)"
            )
            return {"say": "rejected", "reason": f"{why}: the most that one product may take"}
        return answer


class _Process:
    """A worker process and the pipes to it."""

    def __init__(self, engine: Engine) -> None:
        spawn = get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        # its other end closes with this process, and with nothing else
        listening, self._alive = spawn.Pipe(duplex=False)
        place = worker.Place(engine.store.uploads, engine.store.work)
        self._process = spawn.Process(
            target=worker.main, args=(theirs, listening, engine.settings, place, engine.limits), daemon=True
        )
        self._process.start()
        theirs.close()
        listening.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def first(self, seconds: float) -> Document:
        """Return what the worker says when it has come up, or has not; nothing when it did not in time."""
        return self._hear(time.monotonic() + seconds) or {}

    def ask(self, order: Document, suffix_of: Callable[[list[str]], str], seconds: float) -> Document | None:
        """Return the worker's answer; None when it took too long, or died."""
        until = time.monotonic() + seconds
        try:
            worker.say(self._pipe, order)
            answer = self._hear(until)
            if answer is not None and answer["say"] == "suffix":
                worker.say(self._pipe, {"suffix": suffix_of(answer["ids"])})
                answer = self._hear(until)
        except OSError:
            return None
        return answer

    def _hear(self, until: float) -> Document | None:
        try:
            if self._pipe.poll(max(0.0, until - time.monotonic())):
                return worker.hear(self._pipe)
        except (EOFError, OSError):
            self._process.join(1.0)
        return None

    def end(self) -> None:
        """End the process: by the end of its pipe if it listens, by force if not."""
        self._pipe.close()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._alive.close()


def _described(product: Product, folder: Path) -> Document:
    """Return a product as a job keeps it: its name, and its files' paths below ``uploads``."""
    uploads = folder.parent
    label = product.label if product.label not in (None, product.data) else None
    return {
        "name": product.data.relative_to(folder).as_posix(),
        "data": product.data.relative_to(uploads).as_posix(),
        "label": label.relative_to(uploads).as_posix() if label else "",
        "state": "queued",
        "reason": "",
        "frames": [],
    }


def _copied(path: str, folder: Path) -> str:
    """Copy a file, where there is one, and return where it is now."""
    if not path:
        return ""
    into = folder / Path(path).name
    shutil.copyfile(path, into)
    return str(into)
