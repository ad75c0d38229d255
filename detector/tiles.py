"""Which windows of a frame the model looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from detector.limb import Limb

REACH = 1.32
"""How far out from the disk's centre the model looks, in radii: 0.28 R of sky (510 km) and a margin."""
TILE_PX = 1024
OVERLAP_PX = 64


@dataclass(frozen=True)
class Window:
    """A rectangle of the frame that is looked at (outer) and the part of it whose answer counts (inner).

    All numbers are pixels of the frame; the ends are exclusive.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    inner_x0: int
    inner_y0: int
    inner_x1: int
    inner_y1: int

    @property
    def outer(self) -> tuple[slice, slice]:
        """Index of the window in the frame."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def inner(self) -> tuple[slice, slice]:
        """Index of the part that counts, in the frame."""
        return slice(self.inner_y0, self.inner_y1), slice(self.inner_x0, self.inner_x1)

    @property
    def inner_in_outer(self) -> tuple[slice, slice]:
        """Index of the part that counts, in the window."""
        return (
            slice(self.inner_y0 - self.y0, self.inner_y1 - self.y0),
            slice(self.inner_x0 - self.x0, self.inner_x1 - self.x0),
        )


def tiles_around(shape: tuple[int, int], limb: Limb) -> Iterator[Window]:
    """Tiles of the limb's surroundings, for what needs no unwrapped limb."""
    for window in windows(shape, limb):
        yield from _tiles((window.x0, window.y0, window.x1, window.y1))


def windows(shape: tuple[int, int], limb: Limb) -> Iterator[Window]:
    """The windows that cover what there is to see.

    With a limb: one window, the limb's surroundings. The unwrapped limb must be seen whole, because each altitude is
    compared with itself around it; so this window is never cut. Without a limb: tiles of the whole frame.
    """
    if not limb.trusted:
        yield from _tiles((0, 0, shape[1], shape[0]))
        return
    rows, columns = shape
    reach = REACH * limb.radius_px
    x0, x1 = max(0, int(limb.x_px - reach)), min(columns, int(limb.x_px + reach) + 2)
    y0, y1 = max(0, int(limb.y_px - reach)), min(rows, int(limb.y_px + reach) + 2)
    if x1 > x0 and y1 > y0:
        yield Window(x0, y0, x1, y1, x0, y0, x1, y1)


def _tiles(box: tuple[int, int, int, int]) -> Iterator[Window]:
    """Tiles of a rectangle of the frame: x0, y0, x1, y1, the ends exclusive."""
    left, top, right, bottom = box
    for y in range(top, bottom, TILE_PX):
        for x in range(left, right, TILE_PX):
            y1, x1 = min(y + TILE_PX, bottom), min(x + TILE_PX, right)
            yield Window(
                max(left, x - OVERLAP_PX),
                max(top, y - OVERLAP_PX),
                min(right, x1 + OVERLAP_PX),
                min(bottom, y1 + OVERLAP_PX),
                x,
                y,
                x1,
                y1,
            )
