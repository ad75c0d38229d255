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
