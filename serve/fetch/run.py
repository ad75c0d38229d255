"""Products from an archive into a folder: several at a time, one failing harms no other, an interrupted run goes on."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from urllib.parse import quote

from detector.errors import InputError
from detector.readers.pds3 import MAX_LABEL_BYTES, Label, parse_label
from serve.atomic import sweep, write_whole
from serve.fetch import kernels, opus, volumes, zenodo
from serve.fetch.download import Arrival, Downloader
from serve.fetch.places import KEPT, inside, place_of
from serve.fetch.provenance import Provenance
from serve.fetch.query import Query
from serve.fetch.remote import NOWHERE, Checksum, Product, Remote
from serve.fetch.shelf import Shelf
from serve.fetch.web import StoppedError, Web

SOURCES: Mapping[str, ModuleType] = {"opus": opus, "pds-volume": volumes, "kernels": kernels, "labels": zenodo}
WORKERS = 4
"""Products under way; how many connections a host sees is ``Manners``'s."""
TEXTS = ("STRUCTURE", "DESCRIPTION", "DESC", "CATALOG", "NOTE", "MAP_PROJECTION")
"""Endings of pointers to what is no data; of these the formats (``.FMT``) are fetched where they are."""

Saw = Callable[[Arrival], None]


@dataclass(frozen=True)
class Task:
    """What is asked of whom, and where it goes.

    Attributes:
        source: a key of SOURCES.
        query: the question.
        out: the folder.
        limit: at most so many products; 0 for all.
        verify: compute the checksums of files that are here anew.

    """

    source: str
    query: Query
    out: Path
    limit: int = 0
    verify: bool = False


def find(task: Task, web: Web, addresses: Mapping[str, str], keep: bool = True) -> list[Product]:
    """Find the products that a task is about.

    Args:
        task: see there.
        web: the conversation.
        addresses: of the services.
        keep: whether the archives' tables may be kept in the folder, for the next time.

    Raises:
        FetchError: a service refuses, or does not answer.
        InputError: the question cannot be answered.

    """
    shelf = Shelf(web, task.out / KEPT / "tables" if keep else None)
    found: list[Product] = SOURCES[task.source].find(task.query, shelf, addresses, task.limit)
    return found


def questions(task: Task, addresses: Mapping[str, str]) -> list[str]:
    """Give the addresses that are asked first, whatever they answer.

    Raises:
        InputError: the question cannot be put.

    """
    asked: list[str] = SOURCES[task.source].questions(task.query, addresses)
    return asked


def fetch(
    task: Task,
    products: Sequence[Product],
    web: Web,
    provenance: Provenance,
    saw: Saw = lambda arrival: None,
    gained: Callable[[int], None] = lambda count: None,
) -> list[Arrival]:
    """Fetch products; those that are here are not fetched again.

    Args:
        task: see there.
        products: as found.
        web: the conversation.
        provenance: of the folder.
        saw: called after each file, from the threads that fetch.
        gained: called with every number of bytes that arrives.

    Returns:
        what became of every file, products in the order given.

    Raises:
        OSError: the disk is full, or may not be written to.

    """
    origin = {"source": task.source, "query": str(task.query)}
    downloader = Downloader(web, task.out, provenance, origin, gained)

    def one(product: Product) -> list[Arrival]:
        return list(_arrivals(product, downloader, task, saw))

    found = _side_by_side(one, products, web)
    if task.source == "kernels" and all(arrival.is_here for arrivals in found for arrival in arrivals):
        name = f"{kernels.mission_of(task.query)}.tm"
        write_whole(task.out / name, kernels.meta_kernel(products, task.out).encode("utf-8", "backslashreplace"))
    return [arrival for arrivals in found for arrival in arrivals]


def _side_by_side(
    work: Callable[[Product], list[Arrival]], products: Sequence[Product], web: Web
) -> list[list[Arrival]]:
    """Do products on several threads, which die with the process: what they leave goes on next time."""
    todo: queue.SimpleQueue[tuple[int, Product]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, list[Arrival] | Exception]] = queue.SimpleQueue()
    for numbered in enumerate(products):
        todo.put(numbered)

    def worker() -> None:
        while not web.stop.is_set():
            try:
                number, product = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((number, work(product)))
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001 - the thread that waits raises it
                done.put((number, error))

    for _ in range(min(WORKERS, len(products))):
        threading.Thread(target=worker, daemon=True).start()
    return _gather(done, len(products), web)


def _gather(
    done: queue.SimpleQueue[tuple[int, list[Arrival] | Exception]], count: int, web: Web
) -> list[list[Arrival]]:
    found: dict[int, list[Arrival]] = {}
    try:
        while len(found) < count:
            number, result = done.get()
            if isinstance(result, Exception):
                raise result
            found[number] = result
    except BaseException:
        web.stop.set()
        raise
    return [found[number] for number in range(count)]


# -- one product ----------------------------------------------------------------------------------------------------


def _arrivals(product: Product, downloader: Downloader, task: Task, saw: Saw) -> Iterator[Arrival]:
    """Fetch a product's label, then what it points to, then what else belongs to it."""

    def bring(remote: Remote) -> Arrival:
        arrival = _bring(remote, downloader, task)
        saw(arrival)
        return arrival

    label = product.label
    if label is None:
        yield from map(bring, product.files)
        return
    first = bring(label)
    yield first
    others = [remote for remote in product.files if remote != label]
    if first.is_here:
        others = companions(inside(task.out, label.place), product, label, others)
    yield from (arrival for arrival in map(bring, others) if arrival.is_here or arrival.remote.needed)


def _bring(remote: Remote, downloader: Downloader, task: Task) -> Arrival:
    try:
        return downloader.fetch(remote, task.verify)
    except InputError as error:  # a link out of the folder: this file's trouble only
        return Arrival(remote, "failed", reason=str(error))


def companions(path: Path, product: Product, label: Remote, expected: Sequence[Remote]) -> list[Remote]:
    """Give the files that a label points to, and those of the product besides.

    Args:
        path: of the label.
        product: that it belongs to.
        label: the same label as a file of the service.
        expected: what was expected beside it: addresses and checksums, which are taken over by name.

    Returns:
        expected files whose ending the label points to under another name give way to those.

    """
    with path.open("rb") as stream:
        parsed = parse_label(stream.read(MAX_LABEL_BYTES))
    md5 = parsed.text("MD5_CHECKSUM").lower()
    by_name = {remote.place.name.lower(): remote for remote in expected}
    found: dict[str, Remote] = {}
    for key, name in _pointed(parsed):
        known = by_name.get(name.lower())
        remote = known or (_format(label, product, name) if key.endswith(TEXTS) else _beside(label, name))
        if md5 and key == "^IMAGE" and remote.checksum is None:
            remote = replace(remote, checksum=Checksum("md5", md5, "the label"))
        if name.lower() not in found or key == "^IMAGE":
            found[name.lower()] = remote
    endings = {PurePosixPath(name).suffix for name in found}
    rest = [one for name, one in by_name.items() if name not in found and PurePosixPath(name).suffix not in endings]
    return [*found.values(), *rest]


def _pointed(label: Label) -> Iterator[tuple[str, str]]:
    """The files that a label points to, data and formats: pointer, name."""
    for _, key, value in label.entries:
        name = value.text
        is_name = key.startswith("^") and name and not name.replace(".", "").isdecimal()
        if is_name and (not key.endswith(TEXTS) or name.lower().endswith(".fmt")):
            yield key, name


def _beside(label: Remote, name: str) -> Remote:
    """A file in the label's folder."""
    if "/" in name or "\\" in name:
        return Remote(name, NOWHERE, problem=f"{label.url}: points to {name!r}, outside its folder")
    folder = label.url.rpartition("/")[0]
    cases = (f"{folder}/{quote(one)}" for one in (_in_case_of(label, name), name.lower(), name.upper()))
    try:
        place = place_of(str(label.place.parent / name))
    except InputError as error:
        return Remote(label.url, NOWHERE, problem=str(error))
    return Remote(f"{folder}/{quote(name)}", place, other_urls=tuple(dict.fromkeys(cases)))


def _in_case_of(label: Remote, name: str) -> str:
    """A name with its ending in the case of the label's."""
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{ending.lower() if label.place.suffix.islower() else ending.upper()}"


def _format(label: Remote, product: Product, name: str) -> Remote:
    """A format that a label points to, in the folder of the volume for such; good to have, not needed for frames."""
    try:
        place = place_of(f"{label.place.parts[0]}/{product.formats.rpartition('/')[2]}/{name}")
    except InputError as error:
        return Remote(name, NOWHERE, needed=False, problem=str(error))
    url = f"{product.formats}/{quote(name)}"
    return Remote(url, place, needed=False, problem="" if product.formats else f"{name}: where it is is not known")


# -- the folder -----------------------------------------------------------------------------------------------------


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold a folder against other runs; the hold ends with the process, however that ends.

    Raises:
        InputError: another run holds it.

    """
    folder = out / KEPT
    folder.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(folder / "lock.sqlite", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        raise InputError(
            out, "another fetch is writing into this folder", "wait for it, or use another --out"
        ) from error
    try:
        for left in (out, folder / "parts", folder / "tables"):
            sweep(left)
        yield
    finally:
        lock.close()
