"""A picture, or a window of it, made small: what the glance network sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from detector.circle import Circle
from detector.limb_picture import Image, Picture

AREA_PX, WINDOW_PX = 256 * 256, 128
"""Pixels of a whole picture's thumbnail, and side of a window's."""
ENLARGED = 2.0
"""Pictures are enlarged no more than that."""
CELL_PX, STEP_PX = 8, 32
"""Side of a cell; a thumbnail's sides are multiples of the latter."""
BRIGHTEST_PERCENT = 99.9
LEAST_FULL = 5.0
"""Sigmas: a picture without anything bright is not stretched further."""
LARGEST_SHARE, LEAST_SHARE = 4.0, -1.0
"""Limits of brightness in a thumbnail, in units of the brightest surface."""
WINDOWS, LEAST_AREA, SMALL_SHARE = 3, 2, 0.3
LEAST_BRIGHT = 0.2
"""Windows at most; area, thumbnail px, and sides as a share of the thumbnail's, of a region that gets one; and its
brightness."""
ROOMY, MARGIN_PX = 2.4, 8.0
"""A window is so much larger than its region, that the whole disk of a crescent is on it, and by so many px."""


@dataclass(frozen=True)
class Window:
    """A part of a picture: its first column and row, and sides, px; it may reach beyond the picture."""

    x0: int
    y0: int
    width: int
    height: int


@dataclass(frozen=True)
class Thumbnail:
    """A picture, or a window of it, made small.

    Attributes:
        view: (H, W) float32 brightness over the sky as a share of the brightest surface's; NaN where not seen. Sides
            are multiples of ``STEP_PX``.
        full, soft: brightest surface and softening, sigmas of the picture's noise.
        window: what is shown.
        across, down: pixels of the picture in one of the thumbnail.

    """

    view: Image
    full: float
    soft: float
    window: Window
    across: float
    down: float

    @property
    def scale(self) -> float:
        """Pixels of the picture in one of the thumbnail."""
        return math.sqrt(self.across * self.down)

    def inside(self, circle: Circle) -> Circle:
        """A circle of the picture in pixels of the thumbnail."""
        x = (circle.x - self.window.x0 + 0.5) / self.across - 0.5
        y = (circle.y - self.window.y0 + 0.5) / self.down - 0.5
        return Circle(x, y, circle.r / self.scale)

    def outside(self, circle: Circle) -> Circle:
        """A circle of the thumbnail in pixels of the picture."""
        x = (circle.x + 0.5) * self.across - 0.5 + self.window.x0
        y = (circle.y + 0.5) * self.down - 0.5 + self.window.y0
        return Circle(x, y, circle.r * self.scale)


def whole_of(picture: Picture) -> Thumbnail:
    """All of a picture, on some ``AREA_PX``."""
    rows, columns = picture.shape
    scale = min(math.sqrt(AREA_PX / (rows * columns)), ENLARGED)
    return _thumbnail(picture, Window(0, 0, columns, rows), max(1, round(scale * columns)), max(1, round(scale * rows)))


def window_of(picture: Picture, window: Window) -> Thumbnail:
    """A square window of a picture, on ``WINDOW_PX`` to a side."""
    side = min(WINDOW_PX, round(ENLARGED * window.width))
    return _thumbnail(picture, window, side, side, WINDOW_PX)


def _thumbnail(picture: Picture, window: Window, columns: int, rows: int, step: int = STEP_PX) -> Thumbnail:
    part = _part(picture.linear, window)
    known = np.isfinite(part)
    if known.all():
        small = resized(part, rows, columns)
    else:
        share = resized(known.astype(np.float32), rows, columns)
        small = resized(np.where(known, part, np.float32(0)), rows, columns)
        small = np.where(share > 0.5, small / np.maximum(share, np.float32(0.5)), np.float32(np.nan))
    seen = small[np.isfinite(small)]
    full = max(float(np.percentile(seen, BRIGHTEST_PERCENT)) if seen.size else 0.0, LEAST_FULL)
    view = np.full([-(-side // step) * step for side in (rows, columns)], np.nan, np.float32)
    view[:rows, :columns] = np.clip(small / np.float32(full), LEAST_SHARE, LARGEST_SHARE)
    return Thumbnail(view, full, picture.soft, window, window.width / columns, window.height / rows)


def resized(image: Image, rows: int, columns: int) -> Image:
    """A picture (H, W) with other numbers of rows and columns: means over areas where it shrinks, else linear."""
    if columns > image.shape[1]:
        factors = (rows / image.shape[0], columns / image.shape[1])
        return np.asarray(ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True), np.float32)
    return _means(_means(image, rows).T, columns).T


def _means(image: Image, rows: int) -> Image:
    """(rows, W) means over equal parts of the columns, to fractions of a pixel."""
    total = np.zeros((len(image) + 1, image.shape[1]))
    np.cumsum(image, axis=0, dtype=float, out=total[1:])
    border = np.linspace(0, len(image), rows + 1)
    first = np.minimum(border.astype(int), len(image) - 1)
    upto = total[first] + (border - first)[:, None] * image[first]
    return np.asarray(np.diff(upto, axis=0) * (rows / len(image)), np.float32)


def _part(image: Image, window: Window) -> Image:
    """(height, width) pixels of a window; NaN beyond the picture."""
    if window == Window(0, 0, image.shape[1], image.shape[0]):
        return image
    part = np.full((window.height, window.width), np.nan, np.float32)
    y0, x0 = max(0, -window.y0), max(0, -window.x0)
    seen = image[max(0, window.y0) : window.y0 + window.height, max(0, window.x0) : window.x0 + window.width]
    part[y0 : y0 + seen.shape[0], x0 : x0 + seen.shape[1]] = seen
    return part


def bright_windows(picture: Picture, whole: Thumbnail) -> list[Window]:
    """Squares around the largest bright regions that are much smaller than the picture, on which small disks lie."""
    view = np.nan_to_num(whole.view, nan=-1.0)
    bright = view > max(3.0 / whole.full, LEAST_BRIGHT)
    labels, _ = ndimage.label(bright, ndimage.generate_binary_structure(2, 2))
    area, boxes = np.bincount(labels.ravel())[1:], ndimage.find_objects(labels)
    found = []
    for number in np.argsort(-area, kind="stable")[:WINDOWS]:
        down, across = boxes[number]
        size = max(down.stop - down.start, across.stop - across.start)
        if area[number] >= LEAST_AREA and size < SMALL_SHARE * max(view.shape):
            found.append(_around(whole, (across.start + across.stop) / 2, (down.start + down.stop) / 2, size))
    return found


def _around(whole: Thumbnail, x: float, y: float, size: float) -> Window:
    side = int(ROOMY * size * whole.scale + 2 * MARGIN_PX)
    middle_x, middle_y = x * whole.across, y * whole.down
    return Window(round(middle_x - side / 2), round(middle_y - side / 2), side, side)
