"""From the pixels of a picture to the plane of an ideal pinhole camera, and back."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Lens(Protocol):
    """What lies between a picture's pixels and an ideal pinhole camera whose axis points at Io's centre.

    Both sides count in pixels of the camera's IFOV; on the ideal side a direction at the angle t off the axis lies
    tan(t) / IFOV from where Io's centre falls.
    """

    def ideal(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Pixels of the picture -> the ideal plane; arrays of one shape."""

    def pixel(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """The ideal plane -> pixels of the picture; arrays of one shape."""


class Pinhole:
    """No distortion at all."""

    def ideal(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """The same."""
        return x_px, y_px

    def pixel(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """The same."""
        return x_px, y_px


PINHOLE = Pinhole()


class OffAxis:
    """A camera without distortion whose axis points at the middle of its detector and not at Io.

    On its flat detector a disk off the axis is longer, away from it, by 1 / cos² of the angle off the axis.

    Args:
        io_px: column and row where Io's centre falls.
        axis_px: column and row of the axis.
        ifov_rad: angle of one pixel on the axis.

    """

    def __init__(self, io_px: tuple[float, float], axis_px: tuple[float, float], ifov_rad: float) -> None:
        self.io, self.axis, self.ifov = np.array(io_px), np.array(axis_px), ifov_rad
        towards = np.append((self.io - self.axis) * ifov_rad, 1.0)
        towards /= np.linalg.norm(towards)
        right = np.array([1.0, 0.0, 0.0]) - towards[0] * towards
        right /= np.linalg.norm(right)
        # Rows: right, down and towards Io in the camera's frame, whose third axis is the camera's.
        self.basis = np.stack([right, np.cross(towards, right), towards])

    def ideal(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Pixels of the picture -> the ideal plane; arrays of one shape."""
        x, y = (np.asarray(x_px) - self.axis[0]) * self.ifov, (np.asarray(y_px) - self.axis[1]) * self.ifov
        right, down, towards = (row[0] * x + row[1] * y + row[2] for row in self.basis)
        return right / towards / self.ifov + self.io[0], down / towards / self.ifov + self.io[1]

    def pixel(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """The ideal plane -> pixels of the picture; arrays of one shape."""
        right, down = (np.asarray(x_px) - self.io[0]) * self.ifov, (np.asarray(y_px) - self.io[1]) * self.ifov
        x, y, z = (right * self.basis[0, n] + down * self.basis[1, n] + self.basis[2, n] for n in range(3))
        return x / z / self.ifov + self.axis[0], y / z / self.ifov + self.axis[1]
