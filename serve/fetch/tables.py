"""What archives tell of themselves: index tables with their labels, checksum manifests, folder listings.

Index tables are quoted CSV of fixed width whose columns a PDS3 label names. Not all keep to their label: JIRAM's have a
header line, and a column less in the first volumes; SSI's end in NULs; widths differ. So columns go by the label where
their number fits, and the path of the label, which every row has, is known by its ending.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from urllib.parse import unquote

from detector.errors import InputError
from detector.readers.pds3 import parse_label
from serve.fetch.query import parse_moment

SPECIFICATION = "FILE_SPECIFICATION_NAME"
MOMENTS = ("START_TIME", "IMAGE_TIME")
LABEL_MD5 = "PRODUCT_LABEL_MD5CHECKSUM"
MD5 = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
HREF = re.compile(r"""<a\s[^>]*href\s*=\s*["']([^"'#?]+)["']""", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A row of an index table.

    Attributes:
        values: by the column's name; empty where the row does not keep to its label.
        specification: the path of the product's label below the volume.
        moment: when the frame was taken; None where the row does not tell.
        label_md5: of the label; empty where the row does not tell.

    """

    values: dict[str, str]
    specification: str
    moment: datetime | None = None
    label_md5: str = ""


def columns_of(label: bytes, source: str) -> list[str]:
    """Give the names of the columns that an index label describes, in their order.

    Raises:
        InputError: for a label without columns.

    """
    entries = parse_label(label).entries
    names = [value.text.upper() for path, key, value in entries if key == "NAME" and path[-1:] == ("COLUMN",)]
    if not names:
        raise InputError(source, "describes no columns; expected the label of an index table", "report it")
    return names


def rows_of(table: bytes, columns: list[str]) -> Iterator[Row]:
    """Give the rows of an index table that name a product's label; others (a header, an empty line) are passed over."""
    text = table.replace(b"\0", b"").decode("latin-1")
    for fields in csv.reader(text.splitlines(), skipinitialspace=True):
        cells = [cell.strip().strip('"').strip() for cell in fields]
        values = dict(zip(columns, cells, strict=True)) if len(cells) == len(columns) else {}
        specification = _specification(values, cells)
        if specification:
            yield Row(values, specification, _moment(values, cells), _label_md5(values, cells))


def _specification(values: dict[str, str], cells: list[str]) -> str:
    candidates = [cell.replace("\\", "/") for cell in (values.get(SPECIFICATION, ""), *cells)]
    label = next((cell for cell in candidates if cell.lower().endswith(".lbl")), "")
    image = next((cell for cell in candidates if cell.lower().endswith(".img")), "")
    return label or (image and image[:-3] + ("lbl" if image.endswith("img") else "LBL"))


def _moment(values: dict[str, str], cells: list[str]) -> datetime | None:
    candidates = [values[name] for name in MOMENTS if name in values] if values else cells
    return next((moment for moment in map(parse_moment, candidates) if moment is not None), None)


def _label_md5(values: dict[str, str], cells: list[str]) -> str:
    candidates = (values.get(LABEL_MD5, ""),) if values else cells[-1:]
    return next((cell.lower() for cell in candidates if MD5.fullmatch(cell)), "")


def manifest_of(text: bytes) -> dict[str, tuple[str, str]]:
    """Read an md5 manifest: lines of a checksum and a path.

    Returns:
        path in lower case -> (path as it is, md5).

    """
    found = {}
    for line in text.decode("utf-8", "replace").splitlines():
        digits, _, path = line.strip().partition(" ")
        if MD5.fullmatch(digits) and path.strip(" *"):
            found[path.strip(" *").lower()] = (path.strip(" *"), digits.lower())
    return found


def names_in(listing: str) -> list[str]:
    """Give the names that a folder's listing (a web page of a server) links to, without folders, sorted."""
    links = (unquote(unescape(link)) for link in HREF.findall(listing))
    names = (link.removeprefix("./") for link in links)
    return sorted({name for name in names if name and "/" not in name and not name.startswith("..")})
