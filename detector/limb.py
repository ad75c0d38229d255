"""Io's limb: a circle on the frame with its error, or the answer that there is none to trust."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame


@dataclass(frozen=True)
class Limb:
    """A circle on the frame, or none.

    Attributes:
        x_px, y_px, radius_px: the circle; NaN when there is none.
        sigma_px: 1-sigma of the circle's place; NaN when there is none.
        source: ``spice``, ``label``, ``image``, ``user``, or ``none`` (no trusted limb: an answer, not an error).
        arc_deg: how much of the circle was seen as an edge, 0..360.
        reason: why there is none; empty when there is one.

    """

    x_px: float
    y_px: float
    radius_px: float
    sigma_px: float = math.nan
    source: str = "image"
    arc_deg: float = math.nan
    reason: str = ""

    @classmethod
    def none(cls, reason: str) -> Limb:
        """No trusted limb, and why."""
        return cls(math.nan, math.nan, math.nan, source="none", arc_deg=0.0, reason=reason)

    @property
    def trusted(self) -> bool:
        """Whether there is a circle."""
        return self.source != "none"

    def as_array(self) -> NDArray[np.float32]:
        """(3,) float32 x, y, radius in pixels: the form the model takes; radius 0 where there is no limb."""
        if not self.trusted:
            return np.zeros(3, np.float32)
        return np.array([self.x_px, self.y_px, self.radius_px], dtype=np.float32)


def find_limb(frame: Frame) -> Limb:
    """Find Io's limb in a frame."""
    return Limb.none("not looked for")
