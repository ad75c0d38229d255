"""Indexed masks: a PNG or TIFF as large as the frame, whose values say what each pixel is.

Conventions
-----------
* 0 background, 1 plume, 2 hot spot, 3 both, 255 nobody could tell; a table says otherwise. Of a palette picture the
  index counts, its colours do not.
* The file has the name of its frame; ``_mask``, ``_label`` or ``_labels`` behind it do not count.
* Such a mask knows no objects: pixels of a class that touch, corners included, become one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage

from detector.errors import InputError
from detector.frame import CLASSES
from detector.readers.layout import check_size
from detector.readers.raster import check_whole, driver_of, plain_gdal
from training.labels.documents import read_csv
from training.labels.picture_labels import NAMES, UNKNOWN, Drawn, PictureLabels, kind_of
from training.labels.rle import Plane
from training.labels.truth import LabelledFrame

Table = Mapping[int, frozenset[str]]
USUAL: Table = MappingProxyType(
    {
        0: frozenset(),
        1: frozenset({"plume"}),
        2: frozenset({"hotspot"}),
        3: frozenset(CLASSES),
        255: frozenset({UNKNOWN}),
    }
)
COLOURS = {0: (0, 0, 0), 1: (86, 180, 233), 2: (230, 159, 0), 3: (240, 228, 66), 255: (120, 120, 120)}
"""Okabe and Ito's, as in the quicklooks."""
SUFFIXES = re.compile(r"[_-](mask|labels?)$", re.IGNORECASE)
ENDINGS = (".png", ".tif", ".tiff")
EVERY_NEIGHBOUR = np.ones((3, 3), bool)


def read(path: Path, table: Table = USUAL) -> list[PictureLabels]:
    """Read what a mask says about its frame.

    Args:
        path: the PNG or TIFF.
        table: what each value stands for.

    Raises:
        InputError: it cannot be read, is no index, or holds a value that the table lacks.

    """
    index = _index(path)
    for value in np.unique(index):
        if int(value) not in table:
            count = int((index == value).sum())
            known = ", ".join(map(str, sorted(table)))
            raise InputError(path, f"holds the value {value} ({count} pixels), expected {known}", "give a --table")
    drawn = [
        Drawn.of(kind, part)
        for kind in NAMES
        for values in [[value for value, kinds in table.items() if kind in kinds]]
        for part in _parts(np.isin(index, values), kind)
    ]
    looked_for = tuple(kind for kind in CLASSES if any(kind in kinds for kinds in table.values()))
    rows, columns = index.shape
    return [PictureLabels(path, SUFFIXES.sub("", path.stem), (rows, columns), tuple(drawn), looked_for)]


def read_table(path: Path) -> dict[int, frozenset[str]]:
    """Read a table of ``value,class``; several classes are joined by ``+``, none is ``background``.

    Raises:
        InputError: it cannot be read, or has a value or a class that cannot be.

    """
    table: dict[int, frozenset[str]] = {}
    for line, row in enumerate(read_csv(path), 2):
        value, named = row.get("value", "").strip(), row.get("class", "").strip()
        if not value.isdigit() or int(value) in table:
            raise InputError(path, f"line {line}: value {value!r}, expected a whole number, each once")
        try:
            kinds = () if named.casefold() in ("background", "0", "") else named.split("+")
            table[int(value)] = frozenset(kind_of(kind) for kind in kinds)
        except ValueError as error:
            raise InputError(path, f"line {line}: {error}, background, or several joined by +") from error
    if not table:
        raise InputError(path, "names no value", "expected lines of value,class below that heading")
    return table


def _index(path: Path) -> NDArray[np.integer]:
    """(H, W) integers of the one band of a file; a palette is not looked up."""
    driver = driver_of(_head(path))
    if driver not in ("PNG", "GTiff"):
        raise InputError(path, f"begins with {_head(path)[:8]!r}, expected a PNG or TIFF")
    check_whole(path, driver)
    with plain_gdal(path), rasterio.open(path, driver=driver) as file:
        check_size(path, file.height, file.width, file.count)
        bands = file.read()
    if len(bands) != 1 or bands.dtype.kind not in "ui":
        found = f"{len(bands)} bands of {bands.dtype}"
        raise InputError(path, f"has {found}, expected one band of whole numbers", "save it as palette or grey")
    return np.asarray(bands[0])


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(512)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", "check the path and the permissions") from error


def _parts(plane: Plane, kind: str) -> list[Plane]:
    """Pixels that touch, each group by itself; what nobody could tell stays whole."""
    if kind == UNKNOWN:
        return [plane] if plane.any() else []
    labels, count = ndimage.label(plane, EVERY_NEIGHBOUR)
    return [labels == number for number in range(1, count + 1)]


def write(path: Path, labelled: LabelledFrame) -> None:
    """Write the mask of one frame as a palette PNG."""
    index = labelled.mask.plume * np.uint8(1) + labelled.mask.hotspot * np.uint8(2)
    index = np.where(labelled.mask.known, index, np.uint8(255)).astype(np.uint8)
    rows, columns = index.shape
    profile = {"driver": "PNG", "width": columns, "height": rows, "count": 1, "dtype": "uint8"}
    with plain_gdal(path), rasterio.open(path, "w", **profile) as file:
        file.write(index, 1)
        file.write_colormap(1, {value: (*COLOURS.get(value, (0, 0, 0)), 255) for value in range(256)})
