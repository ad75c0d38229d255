"""JunoCam's lens: a mosaic of framelets, each a distorted pinhole picture taken at its own spin angle.

The spacecraft turns about an axis that is almost parallel to the lines, so a point of the sky moves up by one step from
framelet to framelet and, off the middle of the line, to another column: by as much as 10 px at the ends of the lines
of RED and METHANE, whose strips lie off the optical axis. That is why limbs are jagged at the seams of a mosaic.

Sources
-------
* Distortion, optical axis and focal length: the instrument kernel ``juno_junocam_v03.ti``.
* Spin axis: angular velocity in the reconstructed attitude of 2016-08-27 (CK ``juno_sc_rec_160821_160827_v01``), in the
  camera's frame by ``juno_v12.tf``. The nominal axis, +Z of the spacecraft, is 0.05 degrees off. Limbs in strips of
  orbit 43 run on within 1 px over the seams on the ideal plane where they jump by 2 to 6 px in the mosaic.
* Layout of the mosaic: ``detector.readers.junocam``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from detector.framelets import spun
from detector.instruments import (
    JUNOCAM,
    JUNOCAM_AXIS_Y_PX,
    JUNOCAM_FOCAL_PX,
    JUNOCAM_INTERFRAME_DELTA_S,
    JUNOCAM_SPIN_RAD_S,
)
from detector.readers.junocam import framelet_of_rows, framelet_step_px, framelet_tops, mosaic_rows

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

AXIS_X_PX = 814.21
MIDDLE_PX = 0.5
"""Where the kernel has the middle of the first pixel, by its corners of the field of view; here it is at 0."""
LENS_RADIUS_PX = 1000.0
"""The detector ends 880 px from the optical axis; beyond this radius the lens is continued in proportion."""
NEAREST_TO_SIDE = 0.05
"""Cosine of the largest angle off Io's direction that still has a place on the ideal plane."""


@dataclass(frozen=True)
class PushFrame:
    """Pixels of a mosaic, or of a window of it, against the ideal plane around Io (see ``lens.Lens``).

    Attributes:
        filter_name: BLUE, GREEN, RED or METHANE.
        n_frames: framelets of the mosaic; rows before the first and after the last continue those.
        interframe_delay_s: between them.
        io_px: column and row on the picture where Io's centre falls; also its place on the ideal plane.
        corner_px: column and row of the mosaic of the picture's first pixel.
        jogs_px: for each framelet, how far in columns and rows its pointing is off; empty = not at all.
        growth: how much larger Io is from framelet to framelet, relative; less than 0 when receding.

    """

    filter_name: str
    n_frames: int
    interframe_delay_s: float
    io_px: tuple[float, float]
    corner_px: tuple[int, int] = (0, 0)
    jogs_px: tuple[tuple[float, float], ...] = ()
    growth: float = 0.0

    def ideal(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Pixels of the picture -> the ideal plane, float32; NaN for directions 87 degrees and more off Io's."""
        index = self._framelet_at(_thin(y_px))
        x = (x_px - self._origin[index, 0]).astype(np.float32)
        y = (y_px - self._origin[index, 1]).astype(np.float32)
        factor = _undistortion(x * x + y * y)
        turned = self._turned.astype(np.float32)[index]
        u, v, w = (factor * (turned[..., i, 0] * x + turned[..., i, 1] * y) + turned[..., i, 2] for i in range(3))
        if w.size and w.min() < NEAREST_TO_SIDE:
            w = np.where(w < NEAREST_TO_SIDE, np.float32(np.nan), w)
        across, down = (np.float32(place) for place in self.io_px)
        return across + u / w, down + v / w

    def pixel(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """The ideal plane -> pixels of the picture; what lies between framelets goes to the nearest."""
        ideal = np.stack(np.broadcast_arrays(x_px - self.io_px[0], y_px - self.io_px[1], 1.0), -1)
        towards = (np.linalg.inv(self._turned[self._io_framelet]) @ ideal[..., None])[..., 0]
        pitch = np.arctan2(towards[..., 1], JUNOCAM_FOCAL_PX * towards[..., 2]) + self._turn * self._io_framelet
        guess = np.rint((pitch - self._middle) / self._turn)
        best = (np.full(ideal.shape[:-1], np.nan), np.full(ideal.shape[:-1], np.nan))
        least = np.full(ideal.shape[:-1], np.inf)
        for off in (0, -1, 1):
            x, y, astray = self._on_framelet(np.clip(guess + off, 0, self.n_frames - 1).astype(np.int64), ideal)
            better = astray < least
            best = np.where(better, x, best[0]), np.where(better, y, best[1])
            least = np.where(better, astray, least)
        return best

    # -- the mosaic ---------------------------------------------------------------------------------------------------

    @property
    def _layout(self) -> tuple[Whole, Whole, Whole]:
        return layout(self.n_frames, framelet_step_px(self.filter_name, self.interframe_delay_s))

    @property
    def _turn(self) -> float:
        """Spin angle from framelet to framelet."""
        return JUNOCAM_SPIN_RAD_S * (self.interframe_delay_s + JUNOCAM_INTERFRAME_DELTA_S)

    @property
    def _middle(self) -> float:
        """Pitch of the middle row of framelet 0."""
        return math.atan((64 - JUNOCAM_AXIS_Y_PX[self.filter_name]) / JUNOCAM_FOCAL_PX)

    @property
    def _io_framelet(self) -> int:
        return int(self._framelet_at(np.array(self.io_px[1])))

    def _framelet_at(self, y_px: Array) -> Whole:
        """Which framelet fills rows of the picture."""
        frames = self._layout[0]
        row = np.rint(y_px + self.corner_px[1])
        return np.maximum(frames[np.clip(row, 0, len(frames) - 1).astype(np.int64)], 0)

    @cached_property
    def _origin(self) -> Array:
        """(n_frames, 2): column and row of the picture where the optical axis pierces each framelet's plane."""
        origin = np.zeros((self.n_frames, 2))
        origin[:, 0] = AXIS_X_PX - MIDDLE_PX - self.corner_px[0]
        origin[:, 1] = self._layout[2] + JUNOCAM_AXIS_Y_PX[self.filter_name] - MIDDLE_PX - self.corner_px[1]
        if self.jogs_px:
            origin += np.array(self.jogs_px)[: self.n_frames]
        return origin

    @cached_property
    def _turned(self) -> Array:
        """(n_frames, 3, 3): what takes (x, y, 1) in undistorted pixels of a framelet to the ideal plane around Io.

        Applied to pixels its last component is the cosine of the angle off Io, over that of the angle off the axis.
        """
        io = self._io_framelet
        frames = np.arange(self.n_frames) - io
        turned = spun(frames.astype(np.float64) * self._turn)
        zoom = np.ones((self.n_frames, 3, 1))
        zoom[:, :2, 0] = ((1 + self.growth) ** frames / JUNOCAM.ifov_rad)[:, None]
        basis = _basis(*undistorted(*(np.array(self.io_px) - self._origin[io])))
        return np.asarray(zoom * (basis @ turned) * np.array([1, 1, JUNOCAM_FOCAL_PX]) / JUNOCAM_FOCAL_PX)

    def _on_framelet(self, frame: Whole, ideal: Array) -> tuple[Array, Array, Array]:
        """Pixels on given framelets, and how many rows off the rows that those fill."""
        rays = (np.linalg.inv(self._turned)[frame] @ ideal[..., None])[..., 0]
        ahead = np.maximum(rays[..., 2], NEAREST_TO_SIDE)
        x, y = distorted(rays[..., 0] / ahead, rays[..., 1] / ahead)
        row = y + self._origin[frame, 1]
        frames, mosaic_row = self._layout[0], row + self.corner_px[1]
        first = np.searchsorted(frames, np.arange(self.n_frames), side="left")[frame]
        last = np.searchsorted(frames, np.arange(self.n_frames), side="right")[frame] - 1
        astray = np.maximum(np.maximum(first - 0.5 - mosaic_row, mosaic_row - last - 0.5), 0)
        return x + self._origin[frame, 0], row, astray


@lru_cache(maxsize=64)
def layout(n_frames: int, step_px: float) -> tuple[Whole, Whole, Whole]:
    """Framelet and row inside it of each mosaic row (-1: none), and the framelets' tops, as the reader has them."""
    frame, row = framelet_of_rows(n_frames, step_px).T
    return np.ascontiguousarray(frame), np.ascontiguousarray(row), framelet_tops(n_frames, step_px)


def frames_for(filter_name: str, interframe_delay_s: float, rows: int) -> int:
    """How many framelets a picture of so many rows needs, from the first row of the first on."""
    step = framelet_step_px(filter_name, interframe_delay_s)
    count = 1
    while mosaic_rows(count, step) < rows:
        count += 1
    return count


# -- optics ---------------------------------------------------------------------------------------------------------


def _thin(values: Array) -> Array:
    """One column of values that are the same along the lines."""
    return values[:, :1] if values.ndim == 2 and values.strides[1] == 0 else values


def _basis(x: Array, y: Array) -> Array:
    """(3, 3): rows are the ideal plane's x, y and axis when it looks at undistorted pixel (x, y) of a framelet."""
    axis = np.array([float(x), float(y), JUNOCAM_FOCAL_PX])
    axis /= np.linalg.norm(axis)
    across = np.array([1.0, 0, 0]) - axis[0] * axis
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(axis, across), axis])


def distorted(x: Array, y: Array) -> tuple[Array, Array]:
    """Ideal pixels from the optical axis -> where the lens puts them."""
    k1, k2 = JUNOCAM.radial
    r2 = np.minimum(x * x + y * y, LENS_RADIUS_PX**2)
    factor = 1 + r2 * (k1 + k2 * r2)
    return x * factor, y * factor


def undistorted(x: Array, y: Array) -> tuple[Array, Array]:
    """The inverse of ``distorted``, to 0.001 px."""
    factor = _undistortion(x * x + y * y)
    return x * factor, y * factor


@cache
def _inverse() -> tuple[float, tuple[float, ...]]:
    """Largest r2 on the detector, and coefficients of r / r_image as a polynomial of r_image2, highest power first."""
    radius = np.linspace(1.0, LENS_RADIUS_PX, 400)
    image = distorted(radius, np.zeros_like(radius))[0]
    power = (image[:, None] / image[-1]) ** (2 * np.arange(1, 6))
    found = np.linalg.lstsq(power * image[:, None], radius - image, rcond=None)[0]
    scaled = found / image[-1] ** (2.0 * np.arange(1, 6))
    return float(image[-1] ** 2), tuple(float(c) for c in scaled[::-1])


def _undistortion(r2: Array) -> Array:
    """By what to multiply pixels whose squared distance from the optical axis is ``r2``; keeps float32."""
    most, coefficients = _inverse()
    r2 = np.minimum(r2, r2.dtype.type(most))
    factor = coefficients[0] * r2
    for coefficient in coefficients[1:]:
        factor = (factor + coefficient) * r2
    return factor + 1
