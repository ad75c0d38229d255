"""Mask: which pixels are plume, which are hot spot, and which were looked at. One type for truth and result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.frame import CLASSES


@dataclass(frozen=True)
class Mask:
    """Two independent planes and what is known.

    Attributes:
        planes: (2, H, W) bool in the order of ``CLASSES``; False where not known.
        known: (H, W) bool; False where nobody looked: neither a yes nor a no. In a result it is True where at least
            one class was looked for; which one, the probabilities say (without a limb there are no plumes to look for).

    """

    planes: NDArray[np.bool_]
    known: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.planes.shape != (len(CLASSES), *self.known.shape):
            raise ValueError(f"planes {self.planes.shape} must be (2, H, W) over known {self.known.shape}")

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Mask:
        """A mask that says: looked everywhere, found nothing."""
        return cls(np.zeros((len(CLASSES), *shape), bool), np.ones(shape, bool))

    @property
    def plume(self) -> NDArray[np.bool_]:
        """(H, W) bool."""
        return self.planes[0]

    @property
    def hotspot(self) -> NDArray[np.bool_]:
        """(H, W) bool."""
        return self.planes[1]
