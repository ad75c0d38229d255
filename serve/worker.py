"""One product all the way: read it, look at its frames, write their masks and pictures, return its rows."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from detector.agreement import agreed, is_plane
from detector.catalogue import Detection, FrameStatus
from detector.detect import Detector, Result
from detector.errors import InputError
from detector.frame import Frame, sha256_of
from detector.products import Product
from detector.readers import read_frames
from detector.session import Model
from serve.atomic import Stamp, stamp_of, write_whole
from serve.journal import Key, Outcome

PARTIAL_COVERAGE = 0.9
"""A frame of which less than this share was observed is ``partial``."""
YOUNG_NS = 2_000_000_000
"""A file changed less than this ago may change again without its time telling: clocks of file systems are coarse."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a worker must know.

    Attributes:
        out: the output folder.
        operating_point: of the model.
        model: the model file; None is the released one.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of one inference; None leaves it to the runtime.
        masks, quicklooks: whether to write them.
        kernels: folder of SPICE kernels; None leaves it to IO_DETECTOR_KERNELS of the environment.
        batch: how many windows of one size go through the model at once.
        timeout_s: a worker that does not get on for so long is taken to hang; None waits for ever.

    """

    out: Path
    operating_point: str = "confident"
    model: Path | None = None
    device: str = "auto"
    threads: int | None = None
    masks: bool = True
    quicklooks: bool = True
    kernels: Path | None = None
    batch: int = 1
    timeout_s: float | None = None

    def open_detector(self) -> Detector:
        """Return the detector that these settings ask for."""
        return Detector(Model.open(self.model, self.device, self.threads), self.operating_point, self.kernels)

    def files_of(self, frame_id: str) -> list[Path]:
        """Return the files that a frame of this name leaves."""
        wanted = {
            self.out / "masks" / f"{frame_id}.fits": self.masks,
            self.out / "quicklook" / f"{frame_id}.png": self.quicklooks,
        }
        return [path for path, want in wanted.items() if want]


@dataclass(frozen=True)
class Task:
    """A product to work on.

    Attributes:
        product: the files.
        path: of the outcome's key.
        settings: of the outcome's key.
        suffix: to add to its frames' names.

    """

    product: Product
    path: str
    settings: str
    suffix: str = ""


class Job:
    """A task under way: what was read and is still to be looked at, and what was found so far."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.inputs = steady_stamps(task.product)
        self.key = Key(task.path, digest_of(task.product), task.settings)
        self.frames: deque[Frame] = deque()
        self._failure: Outcome | None = None
        self._ids: tuple[str, ...] = ()
        self._rows: list[FrameStatus] = []
        self._detections: list[Detection] = []
        self._files: list[Stamp] = []
        self._planes = 0
        self._waiting: list[Result] = []

    def take(self, frames: Sequence[Frame]) -> None:
        """Set down what is to be looked at."""
        self._ids = tuple(frame.id for frame in frames)
        self._planes = sum(is_plane(frame) for frame in frames)
        self.frames.extend(replace(frame, id=frame.id + self.task.suffix) for frame in frames)

    def settled(self, result: Result) -> Sequence[Result]:
        """Results that may be set down now: planes of one picture wait for each other, to be compared."""
        if self._planes < 2 or not is_plane(result.frame):
            return [result]
        self._waiting.append(result)
        return agreed(self._waiting) if len(self._waiting) == self._planes else []

    def add(self, result: Result, files: Sequence[Stamp]) -> None:
        """Take note of one frame's result and of the files that it left."""
        self._rows.append(status_of(result, self.task.path))
        self._detections += result.detections
        self._files += files

    def fail(self, error: Exception) -> None:
        """Give the product up: one bad file must not stop the rest."""
        if isinstance(error, InputError):
            self._failure = turned_away(self.key, "rejected", _reason(error))
        else:
            log.error("%s: unexpected error", self.task.path, exc_info=error)
            self._failure = turned_away(self.key, "failed", f"unexpected {type(error).__name__}: {error}")

    @property
    def failed(self) -> bool:
        """Whether it was given up."""
        return self._failure is not None

    def outcome(self) -> Outcome:
        """Say what became of the product."""
        if self._failure is not None:
            return replace(self._failure, inputs=self.inputs)
        rows, found = tuple(self._rows), tuple(self._detections)
        files = tuple(self._files)
        return Outcome(self.key, "done", self.task.suffix, self._ids, rows, found, files, self.inputs)


class Worker:
    """Reads, looks and writes, a product at a time or each step by itself. It never raises for a product's sake."""

    def __init__(self, settings: Settings, detector: Detector | None = None) -> None:
        self.settings = settings
        self.detector = settings.open_detector() if detector is None else detector

    def __call__(self, task: Task) -> Outcome:
        """Do the task, one frame after the other; its files are written when this returns."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them stands in the frame's own warnings
            job = Job(task)
            self.read(job)
            while job.frames and not job.failed:
                for result in self.look([(job, job.frames.popleft())]):
                    self.write(job, result)
        return job.outcome()

    def read(self, job: Job) -> None:
        """Read a product's frames."""
        try:
            frames = read_frames(job.task.product)
            if not frames:
                raise InputError(job.task.product.data, "holds no frame")
            job.take(frames)
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest
            job.fail(error)

    def look(self, frames: Sequence[tuple[Job, Frame]]) -> list[Result | None]:
        """Find what is in frames, of one product or several; None for one whose product was given up over it."""
        try:
            return list(self.detector.many([frame for _, frame in frames], self.settings.batch))
        except Exception as error:  # noqa: BLE001
            if len(frames) > 1:  # not the fault of all of them
                return [result for one in frames for result in self.look([one])]
            frames[0][0].fail(error)
            return [None]

    def write(self, job: Job, result: Result | None) -> None:
        """Write a frame's files and take note of what was found; nothing for a product that was given up."""
        if result is None or job.failed:
            return
        try:
            for settled in job.settled(result):
                job.add(settled, self._written(settled))
        except Exception as error:  # noqa: BLE001
            job.fail(error)

    def _written(self, result: Result) -> list[Stamp]:
        """Write a frame's files and return their stamps."""
        paths = self.settings.files_of(result.frame.id)
        for path in paths:
            write_whole(path, _drawn(result) if path.suffix == ".png" else _masks(result))
        return [stamp_of(path) for path in paths]


def _masks(result: Result) -> bytes:
    from detector.maskfile import mask_bytes  # astropy takes a while to import

    return mask_bytes(result)


def _drawn(result: Result) -> bytes:
    from detector.quicklook import quicklook  # and so does matplotlib

    return quicklook(result)


def files_of(product: Product) -> list[Path]:
    """Return the files of a product: its data, and its label where that is another file."""
    beside = product.label is not None and product.label != product.data
    return [product.data, *([product.label] if beside and product.label else [])]


def digest_of(product: Product) -> str:
    """Return the SHA-256 of a product's files joined by ``+``; empty where one cannot be read."""
    try:
        return "+".join(sha256_of(path) for path in files_of(product))
    except OSError:
        return ""


def stamps_of(product: Product) -> tuple[Stamp, ...]:
    """Return the stamps of a product's files as they are now."""
    return tuple(stamp_of(path) for path in files_of(product))


def steady_stamps(product: Product) -> tuple[Stamp, ...]:
    """Return the stamps of a product's files, or nothing where one is so young that a change might not show in it."""
    stamps = stamps_of(product)
    youngest = max(time_ns for _, _, time_ns in stamps)
    return stamps if time.time_ns() - youngest > YOUNG_NS else ()


def status_of(result: Result, path: str) -> FrameStatus:
    """Return the row of ``frames.csv`` of a frame that was worked on."""
    frame, limb = result.frame, result.limb
    partial = frame.coverage < PARTIAL_COVERAGE or frame.dropped > 0
    return FrameStatus(
        frame_id=frame.id,
        path=path,
        sha256=frame.sha256,
        status="partial" if partial else "ok",
        reason="; ".join(_notes(frame)),
        instrument=frame.instrument,
        filter=frame.filter,
        start_time_utc=frame.start_time,
        coverage=frame.coverage,
        plumes=_found(result, "plume"),
        hotspots=_found(result, "hotspot"),
        limb_source=limb.source,
        disk_x_px=limb.x_px,
        disk_y_px=limb.y_px,
        disk_radius_px=limb.radius_px,
        seconds=result.seconds,
    )


def turned_away(key: Key, state: str, reason: str) -> Outcome:
    """Return the outcome of a product that gave no result."""
    row = FrameStatus(path=key.path, sha256=key.sha256.partition("+")[0], status="rejected", reason=reason)
    return Outcome(key, state, frames=(row,))


def _found(result: Result, kind: str) -> float:
    """How many were found; NaN where none was looked for."""
    return float(result.count(kind)) if result.looked_for(kind) else math.nan


def _notes(frame: Frame) -> list[str]:
    """Return what there is to say about a frame."""
    few = [f"{100 * frame.coverage:.1f} % of the frame observed"] if frame.coverage < PARTIAL_COVERAGE else []
    other = [] if frame.may_show_io else [f"target is {frame.target}, not Io"]
    return [*few, *other, *frame.warnings]


def _reason(error: InputError) -> str:
    """Return the error without the file's name, which has its own column, on one line."""
    text = f"{error.problem} -> {error.remedy}" if error.remedy else error.problem
    return " ".join(text.split())
