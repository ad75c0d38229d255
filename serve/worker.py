"""One product all the way: read, detect, write its masks and pictures, return its rows."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from detector.agreement import look_at
from detector.catalogue import Detection, FrameStatus
from detector.detect import Detector, Result
from detector.errors import InputError
from detector.frame import Frame, sha256_of
from detector.maskfile import mask_bytes
from detector.products import Product
from detector.quicklook import quicklook
from detector.readers import read_frames
from detector.session import Model
from serve.atomic import Stamp, stamp_of, write_whole
from serve.journal import Key, Outcome

PARTIAL_COVERAGE = 0.9
"""A frame of which less than this share was observed is ``partial``."""

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

    """

    out: Path
    operating_point: str = "confident"
    model: Path | None = None
    device: str = "auto"
    threads: int | None = None
    masks: bool = True
    quicklooks: bool = True
    kernels: Path | None = None

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
        key: what its rows depend on.
        suffix: to add to its frames' names.

    """

    product: Product
    key: Key
    suffix: str = ""


class Worker:
    """Works on one task at a time. It never raises for a product's sake: a bad file gives a rejected row."""

    def __init__(self, settings: Settings, detector: Detector | None = None) -> None:
        self.settings = settings
        self.detector = settings.open_detector() if detector is None else detector

    def __call__(self, task: Task) -> Outcome:
        """Do the task; its files are written when this returns."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what matters of them stands in the frame's own warnings
                return self._done(task)
        except InputError as error:
            return turned_away(task, "rejected", _reason(error))
        except Exception as error:  # one bad file must not stop the rest
            log.exception("%s: unexpected error", task.key.path)
            return turned_away(task, "failed", f"unexpected {type(error).__name__}: {error}")

    def _done(self, task: Task) -> Outcome:
        frames = read_frames(task.product)
        if not frames:
            raise InputError(task.product.data, "holds no frame")
        rows: list[FrameStatus] = []
        detections: list[Detection] = []
        files: list[Stamp] = []
        for result in look_at(self.detector, [replace(frame, id=frame.id + task.suffix) for frame in frames]):
            files += self._write(result)
            rows.append(status_of(result, task.key.path))
            detections += result.detections
        ids = tuple(frame.id for frame in frames)
        return Outcome(task.key, "done", task.suffix, ids, tuple(rows), tuple(detections), tuple(files))

    def _write(self, result: Result) -> list[Stamp]:
        """Write a frame's files and return their stamps."""
        writers = {".fits": mask_bytes, ".png": quicklook}
        paths = self.settings.files_of(result.frame.id)
        for path in paths:
            write_whole(path, writers[path.suffix](result))
        return [stamp_of(path) for path in paths]


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


def turned_away(task: Task, state: str, reason: str) -> Outcome:
    """Return the outcome of a product that gave no result."""
    try:
        digest = sha256_of(task.product.data)
    except OSError:
        digest = ""
    row = FrameStatus(path=task.key.path, sha256=digest, status="rejected", reason=reason)
    return Outcome(task.key, state, frames=(row,))


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
