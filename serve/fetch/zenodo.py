"""Labels from Zenodo: "Planetary body limb and plume labels for NASA images" (record 2556063), or another record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from detector.errors import InputError
from serve.fetch.places import place_of
from serve.fetch.query import Query, alike
from serve.fetch.remote import NOWHERE, Checksum, Product, Remote
from serve.fetch.shelf import Shelf
from serve.fetch.web import FetchError

SUBJECT = "record"
LIMB_AND_PLUME = "2556063"
"""Cameron, Doran, Wagstaff; DOI 10.5281/zenodo.2556063."""
ALIASES = {"limb-and-plume": LIMB_AND_PLUME, "limb-plume": LIMB_AND_PLUME}


def find(query: Query, shelf: Shelf, addresses: Mapping[str, str], limit: int) -> list[Product]:
    """Find the files of a record, each a product of its own.

    Args:
        query: ``record`` (a number, or ``limb-and-plume``), ``file`` (patterns).
        shelf: to ask with.
        addresses: of the services.
        limit: at most so many files; 0 for all.

    Raises:
        FetchError: Zenodo does not answer, or not in its form.
        InputError: for an unknown key, or a record that is no number.

    """
    (url,) = questions(query, addresses)
    files = shelf.document(url).get("files")
    if not isinstance(files, list) or not all(isinstance(file, dict) and file.get("key") for file in files):
        raise FetchError(url, "answers without 'files'", "the record may be closed: look at it in a browser")
    wanted = query.every("file") or ("*",)
    products = [_product(file, url) for file in files if alike(str(file["key"]), wanted)]
    return products[: limit or None]


def questions(query: Query, addresses: Mapping[str, str]) -> list[str]:
    """Give the address that is asked.

    Raises:
        InputError: as ``find``.

    """
    record = ALIASES.get(query.get(SUBJECT), query.get(SUBJECT, LIMB_AND_PLUME))
    if query.others({SUBJECT, "file"}) or not record.isdecimal():
        raise InputError("QUERY", f"{str(query)!r}; expected record=NUMBER and file=PATTERN", "record=limb-and-plume")
    return [f"{addresses['zenodo']}/api/records/{record}"]


def _product(file: Mapping[str, Any], record: str) -> Product:
    key = str(file["key"])
    links = file.get("links")
    link = links.get("content", links.get("self")) if isinstance(links, dict) else None
    kind, _, digits = str(file.get("checksum", "")).partition(":")
    checksum = Checksum(kind, digits.lower(), record) if kind in {"md5", "sha256"} else None
    size = file.get("size")
    url = link if isinstance(link, str) else f"{record}/files/{quote(key, safe='')}/content"
    try:
        place = place_of(key)
    except InputError as error:
        return Product(key, (Remote(url, NOWHERE, problem=str(error)),))
    return Product(key, (Remote(url, place, size if isinstance(size, int) else None, checksum),))
