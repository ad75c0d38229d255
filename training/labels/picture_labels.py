"""What a label file of any format says about one picture, before it has met its frame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import CLASSES
from detector.limb import Limb
from training.labels.rle import Plane, decode, encode, filled
from training.labels.truth import UNSTATED, LimbInterval, Truth

UNKNOWN = "unknown"
"""A third name beside the classes: here nobody could tell, so nothing is counted."""
NAMES = (*CLASSES, UNKNOWN)
OFF_FRAME_PX = 1.0
"""Tools let a hand slip over the border by so much; what lies farther off belongs to another picture."""


@dataclass(frozen=True)
class Drawn:
    """One shape that somebody drew.

    Attributes:
        kind: ``plume``, ``hotspot`` or ``unknown``.
        code: its pixels as run lengths: a file may hold thousands of shapes.
        object_id: None where the format has none; empty for pixels of a class that no object owns.
        name: what the labeller called it.

    """

    kind: str
    code: Mapping[str, object]
    object_id: str | None = None
    name: str = ""

    @classmethod
    def of(cls, kind: str, pixels: Plane, object_id: str | None = None, name: str = "") -> Drawn:
        """Make one of its pixels (H, W)."""
        return cls(kind, encode(pixels), object_id, name)

    @property
    def pixels(self) -> Plane:
        """(H, W) bool."""
        return decode(self.code)


@dataclass(frozen=True)
class PictureLabels:
    """What a label file says about one picture.

    Attributes:
        source: the label file.
        picture: the picture as the file names it.
        shape: (rows, columns) as the file says it, or None where it does not.
        drawn: the shapes.
        looked_for: the classes that the labeller could have drawn.
        limb: the circle that the file names.
        intervals: stretches of limb.
        by_limb: plumes were labelled as stretches of limb and nothing else.
        frame_id: the frame's own id, where the file was written by this project.

    """

    source: Path
    picture: str
    shape: tuple[int, int] | None = None
    drawn: tuple[Drawn, ...] = ()
    looked_for: tuple[str, ...] = CLASSES
    limb: Limb = field(default_factory=lambda: Limb.none(UNSTATED))
    intervals: tuple[LimbInterval, ...] = ()
    by_limb: bool = False
    frame_id: str = ""

    def objects(self, family: str) -> tuple[Truth, ...]:
        """Return what was drawn as objects, numbered where they have no id, and ``family`` as where they come from."""
        named = [one for one in self.drawn if one.kind in CLASSES and one.object_id != ""]
        given = [one.object_id for one in named if one.object_id]
        taken = {object_id for object_id in given if given.count(object_id) == 1}
        found: list[Truth] = []
        for one in named:
            object_id = one.object_id or ""
            if object_id not in taken:
                object_id = _free(one.kind, taken | {truth.object_id for truth in found})
            found.append(Truth.cut(object_id, one.kind, one.pixels, name=one.name, family=family))
        return tuple(found)

    def planes(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(2, H, W) bool: the pixels of each class."""
        return np.stack([self._all(kind, shape) for kind in CLASSES])

    def unknown(self, shape: tuple[int, int]) -> Plane:
        """(H, W) bool: where nobody could tell."""
        return self._all(UNKNOWN, shape)

    def named(self, picture: str) -> PictureLabels:
        """Return the same about a picture of another name."""
        return replace(self, picture=picture)

    def _all(self, kind: str, shape: tuple[int, int]) -> Plane:
        whole = np.zeros(shape, bool)
        for one in self.drawn:
            if one.kind == kind:
                whole |= one.pixels
        return whole


def _free(kind: str, taken: set[str]) -> str:
    """Find the first name ``plume-1``, ``plume-2``, ... that is not taken."""
    number = 1
    while f"{kind}-{number}" in taken:
        number += 1
    return f"{kind}-{number}"


Aliases = Mapping[str, str]
NO_ALIASES: Aliases = MappingProxyType({})


def kind_of(name: str, aliases: Aliases = NO_ALIASES) -> str:
    """Class that a name in a label file stands for: case, plural, blanks, ``_`` and ``-`` do not count.

    Args:
        name: as the file has it.
        aliases: further names, and the class of each.

    Raises:
        ValueError: it is none of ours.

    """
    known = {_plain(alias): kind for alias, kind in aliases.items()} | {kind: kind for kind in NAMES}
    plain = _plain(name)
    found = known.get(plain) or known.get(plain.removesuffix("s"))
    if found is None:
        raise ValueError(f"category {name!r} is unknown, expected {', '.join(NAMES)}")
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def read_aliases(words: Iterable[str]) -> dict[str, str]:
    """Read ``NAME=class`` pairs.

    Raises:
        InputError: not of that form, or not a class of ours.

    """
    aliases = {}
    for word in words:
        name, _, kind = word.rpartition("=")
        if not name or kind not in NAMES:
            raise InputError("--category", f"is {word!r}, expected NAME=CLASS with a class of {', '.join(NAMES)}")
        aliases[name] = kind
    return aliases


# -- shapes -----------------------------------------------------------------------------------------------------------


def check_points(points: NDArray[np.float64], shape: tuple[int, int]) -> None:
    """Refuse points (n, 2) x, y that cannot have been drawn on a frame of (H, W).

    Raises:
        ValueError: a point is not a number, or lies off the frame.

    """
    for x, y in points:
        if not np.isfinite([x, y]).all():
            raise ValueError(f"point ({x:g}, {y:g}) is not a finite number")
        if not (-OFF_FRAME_PX <= x <= shape[1] + OFF_FRAME_PX and -OFF_FRAME_PX <= y <= shape[0] + OFF_FRAME_PX):
            raise ValueError(f"point ({x:g}, {y:g}) lies off the picture of {shape[1]} x {shape[0]} px")


def polygon_pixels(polygons: Iterable[Iterable[float]], shape: tuple[int, int]) -> Plane:
    """(H, W) bool of outlines given as x, y, x, y, ...; the first pixel covers 0..1.

    Raises:
        ValueError: an outline with an odd count of numbers, fewer than 3 points, or points that cannot be.

    """
    outlines = [np.asarray(list(polygon), float) for polygon in polygons]
    for outline in outlines:
        if outline.ndim != 1 or outline.size % 2:
            raise ValueError(f"a polygon of {outline.size} numbers, expected pairs of x and y")
        if outline.size < 6:
            raise ValueError(f"a polygon of {outline.size // 2} points, expected at least 3")
        check_points(outline.reshape(-1, 2), shape)
    return filled([outline.reshape(-1, 2) for outline in outlines], shape)
