"""LabelMe: one JSON a picture, with shapes.

Conventions
-----------
* The first pixel covers 0..1. A pixel belongs to a polygon, circle or rectangle when its centre is inside. (LabelMe's
  own conversion to masks also paints the pixels that the outline touches: half a pixel more on every side. Of a hot
  spot of three pixels that makes nine.)
* ``circle``: its centre and a point on it. ``rectangle``: two opposite corners. ``mask``: first and last pixel of its
  box, both inside, and a PNG of that size in base64.
* Shapes of one label and one ``group_id`` are one object.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from detector.errors import InputError
from detector.frame import CLASSES
from detector.readers.layout import check_size
from training.labels.documents import Part, Problems, parsed, read_json, shown
from training.labels.picture_labels import (
    NO_ALIASES,
    UNKNOWN,
    Aliases,
    Drawn,
    PictureLabels,
    check_points,
    kind_of,
    polygon_pixels,
)
from training.labels.rle import Plane
from training.labels.truth import LabelledFrame

VERSION = "5.5.0"
"""Of the program whose files these are like."""
Points = NDArray[np.float64]


class Shape(Part):
    """One shape of a file."""

    label: str
    points: list[tuple[float, float]]
    shape_type: str = "polygon"
    group_id: int | None = None
    description: str | None = ""
    mask: str | None = None


class Page(Part):
    """The file."""

    shapes: list[Shape]
    imagePath: str = ""  # noqa: N815 - the format's own name
    imageHeight: int = Field(gt=0)  # noqa: N815
    imageWidth: int = Field(gt=0)  # noqa: N815

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.imageHeight, self.imageWidth


# -- reading ----------------------------------------------------------------------------------------------------------


def read(path: Path, aliases: Aliases = NO_ALIASES) -> list[PictureLabels]:
    """Read what a file says about its picture.

    Args:
        path: the JSON file.
        aliases: further names of labels, and the class of each.

    Raises:
        InputError: whatever is wrong with it; several things in one error.

    """
    page = parsed(Page, read_json(path), path)
    check_size(path, page.imageHeight, page.imageWidth)
    problems = Problems()
    parts: dict[object, list[Drawn]] = {}
    for number, shape in enumerate(page.shapes):
        with problems.noted():
            drawn = _drawn(path, number, shape, page.shape, aliases)
            group = (drawn.kind, shape.group_id) if shape.group_id is not None else number
            parts.setdefault(group, []).append(drawn)
    problems.refuse(path)
    drawn_whole = tuple(_joined(some) for some in parts.values())
    return [PictureLabels(path, page.imagePath or path.stem, page.shape, drawn_whole)]


def _drawn(path: Path, number: int, shape: Shape, size: tuple[int, int], aliases: Aliases) -> Drawn:
    try:
        kind = kind_of(shape.label, aliases)
        draw = SHAPES.get(shape.shape_type)
        if draw is None:
            raise ValueError(f"is of type {shape.shape_type!r}, expected {', '.join(SHAPES)}")
        pixels = draw(shape, np.asarray(shape.points, float).reshape(-1, 2), size)
        if not pixels.any():
            raise ValueError("covers no pixel")
    except ValueError as error:
        raise InputError(path, f"shape {number} ({shape.label}): {error}", "draw it again, or remove it") from error
    return Drawn.of(kind, pixels, name=shape.description or "")


def _joined(parts: list[Drawn]) -> Drawn:
    if len(parts) == 1:
        return parts[0]
    return Drawn.of(parts[0].kind, np.logical_or.reduce([one.pixels for one in parts]), name=parts[0].name)


def _polygon(_: Shape, points: Points, size: tuple[int, int]) -> Plane:
    return polygon_pixels([points.ravel().tolist()], size)


def _circle(_: Shape, points: Points, size: tuple[int, int]) -> Plane:
    """Pixels whose centre lies within the circle; a circle may reach over the border, its two points may not."""
    (x0, y0), (x1, y1) = _two(points, size, "a centre and a point on the circle")
    rows, columns = np.indices(size)
    return np.asarray(np.hypot(columns + 0.5 - x0, rows + 0.5 - y0) <= np.hypot(x1 - x0, y1 - y0))


def _rectangle(_: Shape, points: Points, size: tuple[int, int]) -> Plane:
    if len(points) == 4:  # newer versions turn rectangles, and name all corners
        return polygon_pixels([points.ravel().tolist()], size)
    (x0, y0), (x1, y1) = _two(points, size, "two corners")
    rows, columns = np.indices(size) + 0.5
    inside_x = (columns > min(x0, x1)) & (columns <= max(x0, x1))
    return np.asarray(inside_x & (rows > min(y0, y1)) & (rows <= max(y0, y1)))


def _mask(shape: Shape, points: Points, size: tuple[int, int]) -> Plane:
    corners = _two(points, size, "first and last pixel of the box")
    (x0, y0), (x1, y1) = corners.round().astype(int)
    cut = _unpacked(shape.mask)
    if cut.shape != (y1 - y0 + 1, x1 - x0 + 1):
        box = f"({x0}, {y0}) to ({x1}, {y1})"
        raise ValueError(f"mask of {cut.shape} (rows, columns) in a box from {box}")
    if min(x0, y0) < 0 or y1 >= size[0] or x1 >= size[1]:
        raise ValueError(f"box from ({x0}, {y0}) to ({x1}, {y1}) lies off the picture of {size[1]} x {size[0]} px")
    whole = np.zeros(size, bool)
    whole[y0 : y1 + 1, x0 : x1 + 1] = cut
    return whole


def _two(points: Points, size: tuple[int, int], what: str) -> Points:
    if len(points) != 2:
        raise ValueError(f"has {len(points)} points, expected {what}")
    check_points(points, size)
    return points


def _unpacked(mask: str | None) -> Plane:
    """Pixels of a mask's PNG."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(mask or "", validate=True))) as picture:
            return np.asarray(picture.convert("L")) > 0
    except (binascii.Error, UnidentifiedImageError, OSError) as error:
        raise ValueError(f"its mask is {shown(mask)}, expected a PNG in base64") from error


SHAPES: Mapping[str, Callable[[Shape, Points, tuple[int, int]], Plane]] = MappingProxyType(
    {"polygon": _polygon, "rectangle": _rectangle, "circle": _circle, "mask": _mask}
)


# -- writing ----------------------------------------------------------------------------------------------------------


def page(picture: str, labelled: LabelledFrame) -> dict[str, Any]:
    """Build the file about one picture: every object a mask, exact to the pixel."""
    rows, columns = labelled.shape
    shapes = [
        _shape(truth.kind, truth.mask(labelled.shape), truth.name) for truth in labelled.objects if truth.patch.any()
    ]
    shapes += [_shape(kind, plane, "") for kind, plane in _loose(labelled) if plane.any()]
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": picture,
        "imageData": None,
        "imageHeight": rows,
        "imageWidth": columns,
    }


def _loose(labelled: LabelledFrame) -> Iterable[tuple[str, Plane]]:
    """Pixels of each class that no object owns, and where nobody could tell."""
    left = labelled.mask.planes.copy()
    for truth in labelled.objects:
        left[CLASSES.index(truth.kind)] &= ~truth.mask(labelled.shape)
    return [*zip(CLASSES, left, strict=True), (UNKNOWN, ~labelled.mask.known)]


def _shape(label: str, pixels: Plane, description: str) -> dict[str, Any]:
    rows, columns = np.nonzero(pixels)
    y0, y1, x0, x1 = int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
    stream = io.BytesIO()
    Image.fromarray(pixels[y0 : y1 + 1, x0 : x1 + 1].astype(np.uint8) * 255).save(stream, "PNG")
    return {
        "label": label,
        "points": [[float(x0), float(y0)], [float(x1), float(y1)]],
        "group_id": None,
        "description": description,
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(stream.getvalue()).decode("ascii"),
    }
