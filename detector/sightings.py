"""Which places a frame of an earlier run could see: a non-detection says something of these only.

``frames.csv`` holds the limb's circle but neither the sub-spacecraft point nor the frame's size, so the frame's file is
opened again where ``frames.csv`` says it is. It must be the same file (its SHA-256 is compared). Its label, index or
SPICE kernels then give the geometry, turned to the circle. Where any of that fails it is not known what was in view:
no limit is set, and the reason is kept.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.catalogue import FrameStatus
from detector.circle import Circle
from detector.errors import InputError
from detector.expected import expected_at
from detector.frame import Frame
from detector.geometry import Pointing, direction
from detector.limb import Limb
from detector.pointing import geometry_of
from detector.products import product_of
from detector.readers import read_frames

GRAZING_DEG = 75.0
"""A hot spot seen more slantwise than this is not asked for: foreshortened to a quarter, hidden by the least relief."""
PLUME_REACH_DEG = 10.0
"""A plume is asked for where its vent is this near the limb: the limb then hides 28 km of it at most. On the disk no
plume is looked for."""


@dataclass(frozen=True)
class Sighting:
    """What one frame saw of some places.

    Attributes:
        known: whether that can be told.
        reason: why not; empty where it can.
        emission_deg: (n,) angle between the place's normal and the camera, above 90 beyond the limb; NaN if not known.
        hotspot, plume: (n,) bool, whether one there would have been looked for.

    """

    known: bool
    reason: str
    emission_deg: NDArray[np.float64]
    hotspot: NDArray[np.bool_]
    plume: NDArray[np.bool_]

    @classmethod
    def unknown(cls, count: int, reason: str) -> Sighting:
        """Nothing can be told of so many places."""
        return cls(False, reason, np.full(count, np.nan), np.zeros(count, bool), np.zeros(count, bool))

    def of(self, kind: str) -> NDArray[np.bool_]:
        """(n,) bool for one kind of source."""
        return self.plume if kind == "plume" else self.hotspot


Places = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(n,) planetocentric latitudes and (n,) west longitudes."""


def sightings(rows: Sequence[FrameStatus], folder: Path, places: Places, kernels: Path | None = None) -> list[Sighting]:
    """Tell what the frames of one product saw.

    Args:
        rows: of ``frames.csv``, of one path.
        folder: where that table lies; a relative path is tried from the working folder and from here.
        places: to be judged.
        kernels: folder of SPICE kernels; IO_DETECTOR_KERNELS of the environment where not given.

    Returns:
        One a row.

    """
    count = len(places[0])
    try:
        frames = _frames(rows[0], folder)
    except InputError as error:
        return [Sighting.unknown(count, _short(error)) for _ in rows]
    return [_sighting(row, frames, places, kernels) for row in rows]


def sighting_of(row: FrameStatus, frame: Frame, places: Places, kernels: Path | None = None) -> Sighting:
    """Tell what one frame, opened again, saw of some places."""
    limb = limb_of(row, frame)
    pointing = geometry_of(frame, limb, kernels)
    if not (pointing.known and pointing.oriented):
        return Sighting.unknown(len(places[0]), "; ".join(pointing.notes) or "no geometry")
    x, y, visible = pointing.project(*places)
    observed, emission = _observed(frame, x, y), emission_deg(pointing, places)
    hotspot = observed & visible & (emission <= GRAZING_DEG) & math.isfinite(row.hotspots)
    at_limb = limb.trusted and math.isfinite(row.plumes)  # what is not found at a guess says nothing
    plume = observed & (np.abs(emission - 90.0) <= PLUME_REACH_DEG) & at_limb
    return Sighting(True, "", emission, hotspot, plume)


def limb_of(row: FrameStatus, frame: Frame) -> Limb:
    """Return the limb's circle as the table has it; its error is not written there. The frame says what it is of."""
    if row.limb_source in ("", "none") or not math.isfinite(row.disk_radius_px):
        return Limb.none("none in frames.csv")
    circle = Circle(row.disk_x_px, row.disk_y_px, row.disk_radius_px)
    figured = bool(expected_at(frame, circle).departure_px.any())
    return Limb(circle.x, circle.y, circle.r, source=row.limb_source, figured=figured)


def emission_deg(pointing: Pointing, places: Places) -> NDArray[np.float64]:
    """(n,) angles between the sphere's normals and the camera; of the middle pose where there are several."""
    pose = pointing.poses[len(pointing.poses) // 2]
    normal = direction(*places)
    towards = pose.position_km - normal * float(np.mean(pointing.radii_km))
    cosine = (towards * normal).sum(-1) / np.linalg.norm(towards, axis=-1)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _sighting(row: FrameStatus, frames: Sequence[Frame], places: Places, kernels: Path | None) -> Sighting:
    own = [frame for frame in frames if row.frame_id.startswith(frame.id)]
    if not own:
        return Sighting.unknown(len(places[0]), "the file no longer gives this frame")
    frame = max(own, key=lambda frame: len(frame.id))  # a suffix may tell it from another product's frame
    if not frame.may_show_io:
        return Sighting.unknown(len(places[0]), f"the target is {frame.target}")
    return sighting_of(row, frame, places, kernels)


def _frames(row: FrameStatus, folder: Path) -> tuple[Frame, ...]:
    """Open the product again.

    Raises:
        InputError: it is not there, cannot be read, or is another file than it was.

    """
    path = next((path for path in (Path(row.path), folder / row.path) if row.path and path.is_file()), None)
    if path is None:
        raise InputError(row.path, "the frame's file is not where frames.csv says")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were said when the frame was searched
        frames = tuple(read_frames(product_of(path)))
    if any(row.sha256 and frame.sha256 != row.sha256 for frame in frames):
        raise InputError(row.path, "the frame's file has changed since it was searched")
    return frames


def _observed(frame: Frame, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether positions fall on pixels of the frame that were observed."""
    rows, columns = frame.shape
    inside = (x > -0.5) & (x < columns - 0.5) & (y > -0.5) & (y < rows - 0.5)
    row = np.clip(np.rint(np.where(inside, y, 0)), 0, rows - 1).astype(int)
    column = np.clip(np.rint(np.where(inside, x, 0)), 0, columns - 1).astype(int)
    return inside & frame.valid[row, column]


def _short(error: InputError) -> str:
    return " ".join(error.problem.split())
