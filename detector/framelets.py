"""Where directions fall on a mosaic of JunoCam's framelets, each taken at its own spin angle through the same lens.

Off the middle of the lines a point of the sky moves to another column from framelet to framelet, by as much as 10 px,
so a limb that runs over a seam jumps there.

Sources
-------
* Spin axis: angular velocity in the reconstructed attitude of 2016-08-27 (CK ``juno_sc_rec_160821_160827_v01``), in the
  camera's frame by ``juno_v12.tf``.
* Layout of the mosaic: ``detector.readers.junocam``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame
from detector.geometry import Strip
from detector.instruments import (
    JUNOCAM,
    JUNOCAM_AXIS_Y_PX,
    JUNOCAM_INTERFRAME_DELTA_S,
    JUNOCAM_SPIN_AXIS,
    JUNOCAM_SPIN_RAD_S,
    JUNOCAM_USUAL_DELAY_S,
)
from detector.optics import Optics, junocam_optics
from detector.readers.junocam import ROWS, framelet_of_rows, framelet_step_px, framelet_tops

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Framelets:
    """The framelets of a mosaic.

    Attributes:
        optics: of each.
        strip: their layout.
        turn_rad: spin angle from one to the next.

    """

    optics: Optics
    strip: Strip
    turn_rad: float

    @classmethod
    def of(cls, frame: Frame) -> Framelets | None:
        """Framelets of a JunoCam mosaic as its reader laid them out; None for a frame that is none."""
        if frame.instrument != JUNOCAM.name or frame.filter not in JUNOCAM_AXIS_Y_PX:
            return None
        if frame.shape[1] != JUNOCAM.shape[1]:
            return None
        usual = framelet_step_px(frame.filter, JUNOCAM_USUAL_DELAY_S)
        step = float(frame.keywords.get("framelet_step_px", usual))
        count = int(frame.keywords.get("framelets", max(1, round((frame.shape[0] - ROWS) / step) + 1)))
        tops = framelet_tops(count, step)
        if tops[-1] + ROWS != frame.shape[0] or step >= ROWS:
            return None
        turn = (JUNOCAM_USUAL_DELAY_S + JUNOCAM_INTERFRAME_DELTA_S) * JUNOCAM_SPIN_RAD_S * step / usual
        return cls(junocam_optics(frame.filter), Strip(tops, framelet_of_rows(count, step)[:, 0]), turn)

    def shown(self, y_px: Array) -> Whole:
        """Return which framelet is shown at rows; the first and the last one beyond the mosaic."""
        return np.maximum(self.strip.shown(np.clip(y_px, 0, self.strip.framelet.size - 1)), 0)

    def sight(self, x_px: float, y_px: float) -> Array:
        """(3,) direction in which a pixel looks, in the camera's frame of the framelet that shows it."""
        top = self.strip.tops[self.shown(np.array(y_px))]
        u, v = self.optics.directions(np.array(x_px), np.array(y_px - top))
        return np.array([float(u), float(v), 1.0])

    def pixels(self, rays: Array, home: int) -> tuple[Array, Array, Whole]:
        """Where directions fall: x and y in pixels, and on which framelet; between framelets the nearest shows it.

        Args:
            rays: (n, 3) in the camera's frame of framelet ``home``.
            home: from 0.

        """
        pitch = np.arctan2(rays[:, 1], rays[:, 2])
        middle = np.arctan((ROWS / 2 - self.optics.axis_y_px) / self.optics.focal_px)
        guess = home + np.rint((pitch - middle) / self.turn_rad).astype(np.int64)
        x, y, which = np.zeros(len(rays)), np.zeros(len(rays)), np.zeros(len(rays), np.int64)
        least = np.full(len(rays), np.inf)
        for off in (0, -1, 1):
            frame = np.clip(guess + off, 0, len(self.strip.tops) - 1)
            px, py, astray = self._on(rays, frame, home)
            better = astray < least
            x, y, which = np.where(better, px, x), np.where(better, py, y), np.where(better, frame, which)
            least = np.where(better, astray, least)
        return x, y, which

    def _on(self, rays: Array, frame: Whole, home: int) -> tuple[Array, Array, Array]:
        """Pixels on given framelets (n,), and how many rows beyond those that each of them shows."""
        turns = np.asarray((frame - home) * self.turn_rad, np.float64)
        turned = (rays[:, None, :] @ spun(turns))[:, 0]
        ahead = np.where(turned[:, 2] > 0, turned[:, 2], np.nan)
        x, y = self.optics.pixels(turned[:, 0] / ahead, turned[:, 1] / ahead)
        y = y + self.strip.tops[frame]
        first = np.searchsorted(self.strip.framelet, frame, side="left")
        last = np.searchsorted(self.strip.framelet, frame, side="right") - 1
        astray = np.maximum(np.maximum(first - 0.5 - y, y - last - 0.5), 0)
        return x, y, np.nan_to_num(astray, nan=np.inf)


def spun(angle: Array) -> Array:
    """(n, 3, 3): what gives a ray of JunoCam turned down by ``angle`` (n,), radians, in the frame before."""
    x, y, z = JUNOCAM_SPIN_AXIS
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine, versine = np.sin(angle)[:, None, None], (1 - np.cos(angle))[:, None, None]
    return np.asarray(np.eye(3) - sine * across + versine * (across @ across))
