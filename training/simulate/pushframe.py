"""JunoCam's lens: a mosaic of framelets, each a distorted pinhole picture taken at its own spin angle.

The spacecraft turns about an axis that is parallel to the lines, so a point of the sky keeps its column, but for the
distortion, and moves up by one step from framelet to framelet: the mosaic's rows follow the spin angle. Distortion,
optical axis and focal length are the instrument kernel's (``juno_junocam_v03.ti``), the layout is the reader's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detector.instruments import (
    JUNOCAM,
    JUNOCAM_AXIS_Y_PX,
    JUNOCAM_FOCAL_PX,
    JUNOCAM_INTERFRAME_DELTA_S,
    JUNOCAM_SPIN_RAD_S,
)
from detector.readers.junocam import framelet_of_rows, framelet_step_px, framelet_tops, mosaic_rows

Array = NDArray[np.float64]
AXIS_X_PX = 814.21


@dataclass(frozen=True)
class PushFrame:
    """Pixels of a mosaic, or of a window of it, against the ideal plane around Io (see ``lens.Lens``).

    Attributes:
        filter_name: BLUE, GREEN, RED or METHANE.
        n_frames: framelets of the mosaic.
        interframe_delay_s: between them.
        io_px: column and row on the picture where Io's centre falls; also its place on the ideal plane.
        corner_px: column and row of the mosaic of the picture's first pixel.
        jogs_px: for each framelet, how far in columns and rows its pointing is off; empty = not at all.

    """

    filter_name: str
    n_frames: int
    interframe_delay_s: float
    io_px: tuple[float, float]
    corner_px: tuple[int, int] = (0, 0)
    jogs_px: tuple[tuple[float, float], ...] = field(default=())

    def ideal(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Pixels of the picture -> the ideal plane."""
        u, v, w = self._towards(*self._sky(x_px, y_px))
        near = np.where(w > 0.05, w, np.nan)  # behind the ideal camera: nowhere
        return self.io_px[0] + u / near / JUNOCAM.ifov_rad, self.io_px[1] + v / near / JUNOCAM.ifov_rad

    def pixel(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """The ideal plane -> pixels of the picture; what lies between framelets goes to the nearest."""
        u, v = (x_px - self.io_px[0]) * JUNOCAM.ifov_rad, (y_px - self.io_px[1]) * JUNOCAM.ifov_rad
        ray = np.stack([u, v, np.ones_like(u)], -1) @ self._basis
        pitch, reach = np.arctan2(ray[..., 1], ray[..., 2]), np.hypot(ray[..., 1], ray[..., 2])
        guess = np.rint((pitch - self._middle) / self._turn)
        best_x, best_y, best = (np.full(np.shape(u), v) for v in (np.nan, np.nan, np.inf))
        for off in (0, -1, 1):
            frame = np.clip(guess + off, 0, self.n_frames - 1).astype(np.int64)
            x, y, astray = self._on_framelet(frame, ray[..., 0] / reach, pitch)
            better = astray < best
            best_x, best_y, best = (
                np.where(better, new, old) for new, old in ((x, best_x), (y, best_y), (astray, best))
            )
        return best_x, best_y

    # -- the mosaic ---------------------------------------------------------------------------------------------------

    @cached_property
    def _layout(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Framelet and row inside it of each mosaic row, and the framelets' tops."""
        step = framelet_step_px(self.filter_name, self.interframe_delay_s)
        frame, row = framelet_of_rows(self.n_frames, step).T
        return frame, row, framelet_tops(self.n_frames, step)

    @property
    def _turn(self) -> float:
        """Spin angle from framelet to framelet."""
        return JUNOCAM_SPIN_RAD_S * (self.interframe_delay_s + JUNOCAM_INTERFRAME_DELTA_S)

    @property
    def _middle(self) -> float:
        """Pitch of the middle row of framelet 0."""
        return math.atan((64 - JUNOCAM_AXIS_Y_PX[self.filter_name]) / JUNOCAM_FOCAL_PX)

    @cached_property
    def _jog(self) -> Array:
        return np.array(self.jogs_px[: self.n_frames]) if self.jogs_px else np.zeros((self.n_frames, 2))

    @cached_property
    def _basis(self) -> Array:
        """(3, 3): rows are the ideal plane's x, y and axis in the sky of framelet 0."""
        slope, pitch = self._sky(np.float64(self.io_px[0]), np.float64(self.io_px[1]))
        axis = np.array([slope, np.sin(pitch), np.cos(pitch)])
        axis /= np.linalg.norm(axis)
        across = np.array([1.0, 0, 0]) - axis[0] * axis
        across /= np.linalg.norm(across)
        return np.stack([across, np.cross(axis, across), axis])

    def _towards(self, slope: Array, pitch: Array) -> tuple[Array, Array, Array]:
        """Components of directions along the ideal plane's axes."""
        ray = np.stack([slope, np.sin(pitch), np.cos(pitch)], -1) @ self._basis.T
        return ray[..., 0], ray[..., 1], ray[..., 2]

    def _sky(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Pixels -> slope along the lines and pitch in the sky of framelet 0 (radians)."""
        frames, _, tops = self._layout
        row = y_px + self.corner_px[1]
        index = frames[np.clip(np.rint(row), 0, len(frames) - 1).astype(np.int64)]
        index = np.maximum(index, 0)
        x = x_px + self.corner_px[0] - AXIS_X_PX - self._jog[index, 0]
        y = row - tops[index] - JUNOCAM_AXIS_Y_PX[self.filter_name] - self._jog[index, 1]
        x, y = undistorted(x, y)
        return x / np.sqrt(y * y + JUNOCAM_FOCAL_PX**2), np.arctan2(y, JUNOCAM_FOCAL_PX) + index * self._turn

    def _on_framelet(self, frame: NDArray[np.int64], slope: Array, pitch: Array) -> tuple[Array, Array, Array]:
        """Pixels on a given framelet, and how many rows off the rows that it fills."""
        frames, _, tops = self._layout
        y = JUNOCAM_FOCAL_PX * np.tan(np.clip(pitch - frame * self._turn, -1.2, 1.2))
        x = slope * np.sqrt(y * y + JUNOCAM_FOCAL_PX**2)
        x, y = distorted(x, y)
        column = x + AXIS_X_PX + self._jog[frame, 0] - self.corner_px[0]
        row = y + JUNOCAM_AXIS_Y_PX[self.filter_name] + tops[frame] + self._jog[frame, 1]
        first = np.searchsorted(frames, np.arange(self.n_frames), side="left")
        last = np.searchsorted(frames, np.arange(self.n_frames), side="right") - 1
        astray = np.maximum(np.maximum(first[frame] - 0.5 - row, row - last[frame] - 0.5), 0)
        return column, row - self.corner_px[1], astray


def distorted(x: Array, y: Array) -> tuple[Array, Array]:
    """Ideal pixels from the optical axis -> where the lens puts them."""
    k1, k2 = JUNOCAM.radial
    r2 = x * x + y * y
    factor = 1 + k1 * r2 + k2 * r2 * r2
    return x * factor, y * factor


def undistorted(x: Array, y: Array) -> tuple[Array, Array]:
    """The inverse of ``distorted`` by fixed-point steps, to 0.01 px inside the detector."""
    k1, k2 = JUNOCAM.radial
    u, v = x, y
    for _ in range(4):
        r2 = u * u + v * v
        factor = 1 + k1 * r2 + k2 * r2 * r2
        u, v = x / factor, y / factor
    return u, v


def frames_for(filter_name: str, interframe_delay_s: float, rows: int) -> int:
    """How many framelets a picture of so many rows needs, from the first row of the first on."""
    step = framelet_step_px(filter_name, interframe_delay_s)
    count = 1
    while mosaic_rows(count, step) < rows:
        count += 1
    return count
