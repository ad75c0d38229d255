"""Real pictures of Io taken anew, with their limb: to learn from, beside simulated frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.circle import Circle
from detector.errors import InputError
from detector.frame import Frame
from detector.limb import Limb
from detector.readers import read_frames
from training.retakes import retake

BESIDE = 0.04
"""How far inside and outside the limb brightness is compared, in radii."""
LEAST_STEP = 0.06
"""Of the brightest surface: the least step at the limb that is seen."""


@dataclass(frozen=True)
class Retaken:
    """A real picture taken anew.

    Attributes:
        frame: as published.
        circle: its limb.
        stands_out: (360,) which degrees of it do (0 = +x, towards +y).

    """

    frame: Frame
    circle: Circle
    stands_out: NDArray[np.bool_]


@dataclass(frozen=True)
class KnownLimb:
    """A real picture whose limb is known: a circle on it, px."""

    file: Path
    circle: Circle

    @classmethod
    def read(cls, text: str) -> KnownLimb:
        """Read ``FILE@X,Y,RADIUS``.

        Raises:
            InputError: what follows the last @ are not three numbers, of which the radius is positive.

        """
        file, _, place = text.rpartition("@")
        try:
            x, y, radius = map(float, place.split(","))
        except ValueError as error:
            raise InputError(text, f"{place!r} is not X,Y,RADIUS", "write for example io.jpg@330,339,295") from error
        if not (math.isfinite(x + y + radius) and radius > 0):
            raise InputError(text, f"{place!r} is no circle", "write for example io.jpg@330,339,295")
        return cls(Path(file), Circle(x, y, radius))

    @property
    def named(self) -> str:
        """The file's name and its limb."""
        return f"{self.file.name}@{self.circle.x:g},{self.circle.y:g},{self.circle.r:g}"


def retaken_limb(pictures: tuple[KnownLimb, ...], rng: np.random.Generator) -> Retaken:
    """One of some pictures taken anew."""
    known = pictures[int(rng.integers(len(pictures)))]
    one = retake(_frame(known.file), Limb(known.circle.x, known.circle.y, known.circle.r), rng)
    circle = Circle(one.limb.x_px, one.limb.y_px, one.limb.radius_px)
    return Retaken(one.frame, circle, standing_out(one.frame, circle))


def standing_out(frame: Frame, circle: Circle) -> NDArray[np.bool_]:
    """(360,) degrees of a circle on a picture at which it is brighter inside than outside."""
    angle = np.radians(np.arange(360))
    reach = max(BESIDE * circle.r, 2.0)
    inside, outside = (
        np.mean([_at(frame, circle, circle.r + way * reach * part, angle) for part in (0.7, 1.0, 1.3)], axis=0)
        for way in (-1, 1)
    )
    step = LEAST_STEP * float(np.nanpercentile(frame.image, 99.5) - np.nanpercentile(frame.image, 1))
    return np.asarray(np.nan_to_num(inside - outside, nan=-1.0) > step)


def _at(frame: Frame, circle: Circle, radius: float, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = np.rint(circle.x + radius * np.cos(angle)), np.rint(circle.y + radius * np.sin(angle))
    rows, columns = frame.shape
    seen = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    values = np.full(len(angle), np.nan)
    values[seen] = frame.image[y[seen].astype(int), x[seen].astype(int)]
    return values


@lru_cache(maxsize=8)
def _frame(file: Path) -> Frame:
    return read_frames(file)[0]
