"""OPUS, the search of the Ring-Moon Systems node: Galileo SSI, Voyager, Cassini, New Horizons, Hubble (API v2).

``files.json`` gives the addresses of the files of all observations that a question finds, page by page
(``startobs`` counts from 1). Checksums come from the manifests of the node's volumes. Juno's cameras are not in OPUS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from detector.errors import InputError
from serve.fetch.places import place_of
from serve.fetch.query import Query, alike
from serve.fetch.remote import NOWHERE, Checksum, Product, Remote
from serve.fetch.shelf import Shelf
from serve.fetch.tables import manifest_of
from serve.fetch.web import FetchError

SUBJECT = "opusid"
PAGE = 250
SEARCH_NAMES = {"volume": "volumeid", "filter": "GOSSIfilter"}
"""Our keys that OPUS calls otherwise; all other keys are its own, passed on as they are."""
RAW = "*_raw"
"""The product types that are fetched unless others are asked for: ``gossi_raw``, ``vgiss_raw``, ``coiss_raw`` ..."""
HOLDING = re.compile(r"/(?P<kind>volumes|calibrated)/(?P<set>[^/]+)/(?P<path>(?P<volume>[^/]+)/.+)$")


def find(query: Query, shelf: Shelf, addresses: Mapping[str, str], limit: int) -> list[Product]:
    """Find the products of all observations that match.

    Args:
        query: OPUS search fields, ``time``, ``types`` (patterns), ``opusid``.
        shelf: to ask with.
        addresses: of the services.
        limit: at most so many products; 0 for all.

    Raises:
        FetchError: OPUS does not answer, or not in its form.
        InputError: nothing is asked for.

    """
    manifests = _Manifests(shelf, addresses["rms"])
    types = query.every("types") or (RAW,)
    found: list[Product] = []
    for name, files in _observations(query, shelf, addresses["opus"], limit):
        urls = [url for kind, listed in files.items() if alike(kind, types) for url in _texts(listed)]
        remotes = tuple(_remote(url, manifests) for url in dict.fromkeys(urls))
        if remotes:
            label = next((remote for remote in remotes if remote.place.suffix.lower() == ".lbl"), None)
            found.append(Product(name, remotes, label))
        if limit and len(found) >= limit:
            break
    return found


def questions(query: Query, addresses: Mapping[str, str]) -> list[str]:
    """Give the addresses that are asked first, whatever they answer."""
    root, ids = addresses["opus"], query.every(SUBJECT)
    return [_files_url(root, name) for name in ids] or [_page_url(root, _search(query), 1, PAGE)]


def _files_url(root: str, name: str) -> str:
    return f"{root}/api/files/{quote(name, safe='')}.json"


def _page_url(root: str, fields: list[tuple[str, object]], start: int, size: int) -> str:
    page = [*fields, ("order", "time1,opusid"), ("startobs", start), ("limit", size)]
    return f"{root}/api/files.json?{urlencode(page)}"


def _observations(query: Query, shelf: Shelf, root: str, limit: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each observation's id with its files by type, page after page."""
    ids = query.every(SUBJECT)
    for name in ids:
        yield from _files(shelf.document(_files_url(root, name)), root).items()
    if ids:
        return
    fields, start, seen = _search(query), 1, set[str]()
    if not fields:
        raise InputError("QUERY", "asks for everything in OPUS", 'for example instrument="Galileo SSI" target=Io')
    size = min(PAGE, limit) if limit else PAGE
    while True:
        url = _page_url(root, fields, start, size)
        document = shelf.document(url)
        new = {name: files for name, files in _files(document, url).items() if name not in seen}
        yield from new.items()
        seen.update(new)
        start += max(_count(document, "count", 0), len(new))
        if not new or start > _count(document, "available", 0):
            return


def _search(query: Query) -> list[tuple[str, object]]:
    fields: list[tuple[str, object]] = [
        (SEARCH_NAMES.get(key, key), value) for key, value in query.others({"time", "types", SUBJECT})
    ]
    span = query.span
    if span is not None:
        fields += [("time1", span.start.isoformat())] if span.start > datetime.min else []
        fields += [("time2", span.end.isoformat())] if span.end < datetime.max else []
    if query.get("types") and "*" not in query.get("types"):
        fields.append(("types", query.get("types")))
    return fields


def _files(document: Mapping[str, Any], url: str) -> dict[str, Mapping[str, Any]]:
    data = document.get("data")
    if data == []:  # how an empty page may be written
        return {}
    if not isinstance(data, dict) or not all(isinstance(files, dict) for files in data.values()):
        raise FetchError(url, "answers without 'data' by observation and type", "OPUS may have changed: report it")
    return data


def _texts(listed: object) -> list[str]:
    return [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []


def _count(document: Mapping[str, Any], key: str, default: int) -> int:
    value = document.get(key, default)
    return int(value) if str(value).isdecimal() else default


def _remote(url: str, manifests: _Manifests) -> Remote:
    found = HOLDING.search(unquote(urlsplit(url).path))
    if urlsplit(url).scheme not in {"http", "https"} or found is None:
        return Remote(url, NOWHERE, problem=f"{url}: is no address of a volume's file; OPUS may have changed")
    try:
        place = place_of(found["path"])
    except InputError as error:
        return Remote(url, NOWHERE, problem=str(error))
    checksum = manifests.checksum(found["kind"], found["set"], found["volume"], found["path"])
    return Remote(url, place, checksum=checksum, needed=place.suffix.lower() != ".fmt")


class _Manifests:
    """The md5 manifests of the node's volumes, each read once; a volume without one has no checksums."""

    def __init__(self, shelf: Shelf, root: str) -> None:
        self._shelf, self._root = shelf, root
        self._read: dict[str, dict[str, tuple[str, str]]] = {}

    def checksum(self, kind: str, volume_set: str, volume: str, path: str) -> Checksum | None:
        url = f"{self._root}/checksums-{kind}/{volume_set}/{volume}_md5.txt"
        if url not in self._read:
            self._read[url] = read_manifest(self._shelf, url)
        _, digits = self._read[url].get(path.lower(), ("", ""))
        return Checksum("md5", digits, url) if digits else None


def read_manifest(shelf: Shelf, url: str) -> dict[str, tuple[str, str]]:
    """Read a volume's md5 manifest; empty where the archive has none, or does not give it out.

    Raises:
        FetchError: the service does not answer.

    """
    try:
        return manifest_of(shelf.table(url))
    except FetchError as error:
        if error.status in {401, 403, 404, 410}:
            return {}
        raise
