"""One frame all the way: frame -> limb -> geometry -> scores -> regions -> judgement -> measurements."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.card import Threshold
from detector.catalogue import Catalogue, Detection
from detector.errors import InputError
from detector.frame import CLASSES, Frame
from detector.geometry import Pointing
from detector.limb import Limb, find_limb, networks
from detector.mask import Mask
from detector.measure import measure
from detector.optics import Optics
from detector.pointing import KERNELS, foreseen, geometry_of
from detector.regions import Region, labels_of, mask_of

if TYPE_CHECKING:
    from detector.session import Model

NO_GEOMETRY = Pointing("none", Optics(math.nan, math.nan, math.nan))


@dataclass(frozen=True)
class Result:
    """Everything that was found out about one frame.

    Attributes:
        frame: what went in, with a warning for each better source of geometry that failed.
        limb: the circle that was used, or none and why.
        scores: (2, H, W) float32 probabilities in 0..1, NaN where not known.
        regions: the pixels of each detection, in the order of ``detections``.
        detections: the measurements; empty when nothing was found.
        model: ``name@version``.
        operating_point: ``screening`` or ``confident``.
        thresholds: of that operating point, one a class.
        seconds: wall-clock time of all this.
        pointing: the geometry, and what it rests on.

    """

    frame: Frame
    limb: Limb
    scores: NDArray[np.float32]
    regions: tuple[Region, ...]
    detections: tuple[Detection, ...]
    model: str = ""
    operating_point: str = ""
    thresholds: Mapping[str, Threshold] | None = None
    seconds: float = 0.0
    pointing: Pointing = NO_GEOMETRY

    @property
    def mask(self) -> Mask:
        """Which pixels are plume and which are hot spot; known where at least one of the two was looked for."""
        return mask_of(self.regions, np.asarray(np.isfinite(self.scores).any(axis=0)))

    @property
    def labels(self) -> NDArray[np.int32]:
        """(2, H, W) int32: 0, or the row of the detection in ``detections``, counted from 1."""
        return labels_of(self.regions, self.frame.shape)

    @property
    def catalogue(self) -> Catalogue:
        """The detections with what decided them."""
        return Catalogue(self.detections, self.model, self.operating_point, dict(self.thresholds or {}))

    def looked_for(self, kind: str) -> bool:
        """Whether any pixel was judged for ``plume`` or ``hotspot``: no plume without a limb or its guess."""
        return bool(np.isfinite(self.scores[CLASSES.index(kind)]).any())

    def count(self, kind: str) -> int:
        """How many ``plume`` or ``hotspot`` were found."""
        return sum(detection.kind == kind for detection in self.detections)


class Detector:
    """A model at one operating point. Call it with a frame.

    Args:
        model: an opened model; None opens the released one.
        operating_point: ``screening`` (misses little) or ``confident`` (few false alarms).
        kernels: folder of SPICE kernels; IO_DETECTOR_KERNELS of the environment where not given.

    Raises:
        ModelError: there is no released model, or it or one of the limb's networks cannot be used.
        InputError: the model has no such operating point.

    """

    def __init__(
        self, model: Model | None = None, operating_point: str = "confident", kernels: Path | None = None
    ) -> None:
        if model is None:
            from detector.session import Model  # onnxruntime is slow to load and not needed before

            model = Model.open()
        self.limb_sha256 = " ".join(networks().values())
        points = model.card.operating_points
        if operating_point not in points:
            raise InputError("operating point", f"{operating_point!r} is not one of {', '.join(sorted(points))}")
        self.model, self.operating_point, self.thresholds = model, operating_point, points[operating_point]
        named = os.environ.get(KERNELS)
        self.kernels = kernels if kernels is not None or not named else Path(named)

    def __call__(self, frame: Frame) -> Result:
        """Find and measure what is in a frame. An empty frame gives an empty result, not an error."""
        (result,) = self.many([frame])
        return result

    def many(self, frames: Sequence[Frame], batch: int = 1) -> list[Result]:
        """Find and measure what is in several frames; up to ``batch`` windows of one size go through the model at once.

        Each result's seconds are its own share of the limb search and of the measurements, and an equal one of the
        model's time.
        """
        placed = [self._placed(frame) for frame in frames]
        started = time.perf_counter()
        scores = self.model.scores_of([(frame, limb) for frame, limb, _, _ in placed], batch)
        each_s = (time.perf_counter() - started) / max(1, len(placed))
        return [
            self._measured(frame, limb, pointing, planes, seconds + each_s)
            for (frame, limb, pointing, seconds), planes in zip(placed, scores, strict=True)
        ]

    def _placed(self, frame: Frame) -> tuple[Frame, Limb, Pointing, float]:
        """Give the frame with its warnings, its limb, its geometry, and the seconds that took."""
        started = time.perf_counter()
        frame = foreseen(frame, self.kernels)
        limb = find_limb(frame)
        pointing = geometry_of(frame, limb, self.kernels)
        for note in failures(frame, pointing, self.kernels is not None):
            frame = frame.with_warning(note)
        return frame, limb, pointing, time.perf_counter() - started

    def _measured(
        self, frame: Frame, limb: Limb, pointing: Pointing, scores: NDArray[np.float32], seconds: float
    ) -> Result:
        started = time.perf_counter()
        regions = self.model.regions(frame, limb, scores, self.thresholds)
        detections = measure(frame, limb, regions, self.model.name, pointing)
        return Result(
            frame, limb, scores, regions, detections, self.model.name, self.operating_point, self.thresholds,
            seconds + time.perf_counter() - started, pointing,
        )  # fmt: skip


def failures(frame: Frame, pointing: Pointing, kernels: bool) -> tuple[str, ...]:
    """Return why sources of geometry failed that the user could count on: the given kernels, a label that names Io.

    Other notes stay in ``pointing.notes`` alone: no kernels named, no index, how far the predicted limb was moved.
    """
    counted_on = {"spice": kernels, "label": frame.view.target == "IO"}
    return tuple(
        note for note in pointing.notes if counted_on.get(note.partition(":")[0], False) and " moved by " not in note
    )
