"""A circle on a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Circle:
    """A circle in pixels; x and y may lie outside the frame, r > 0."""

    x: float
    y: float
    r: float

    def unbinned(self, factor: int) -> Circle:
        """Return the circle on the picture that was binned ``factor`` x ``factor``."""
        return Circle(factor * (self.x + 0.5) - 0.5, factor * (self.y + 0.5) - 0.5, factor * self.r)

    def binned(self, factor: int) -> Circle:
        """Return the circle on the picture binned ``factor`` x ``factor``."""
        return Circle((self.x + 0.5) / factor - 0.5, (self.y + 0.5) / factor - 0.5, self.r / factor)

    def resembles(self, other: Circle, share: float = 0.03) -> bool:
        """Whether centre and radius agree within ``share`` of the radius, or 1.5 px."""
        apart = np.hypot(self.x - other.x, self.y - other.y) + abs(self.r - other.r)
        return bool(apart < max(1.5, share * min(self.r, other.r)))


def distinct(circles: Iterable[Circle], share: float) -> list[Circle]:
    """Those that resemble none before them, to ``share`` of the radius."""
    kept: list[Circle] = []
    for circle in circles:
        if not any(circle.resembles(other, share) for other in kept):
            kept.append(circle)
    return kept
