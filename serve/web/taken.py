"""What ``io-detector detect --out STORE/watched`` leaves, taken in: frames and detections that other processes found.

The tables are read whenever they changed. A frame taken in is listed at once; its pixels are read when somebody looks
at it, from where ``frames.csv`` says its file is.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path
from typing import Any

from detector.catalogue import FrameStatus
from detector.errors import InputError
from detector.products import product_of
from detector.table import values
from detector.timeseries import Run, read_run
from serve.atomic import Stamp, stamp_of
from serve.web.store import Document, Store

EVERY_S = 2.0
TABLES = ("catalogue.csv", "frames.csv")
log = logging.getLogger(__name__)


class Taker(threading.Thread):
    """Looks at the watched folder every few seconds."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="taker", daemon=True)
        self._store, self._ending = store, threading.Event()
        self._seen: tuple[Stamp, ...] = ()
        self._known: dict[str, Document] = {}

    def run(self) -> None:
        """Look until the end."""
        while True:
            try:
                self.look()
            except Exception:  # whatever is there now, something better may be there later
                log.exception("%s", self._store.watched)
            if self._ending.wait(EVERY_S):
                return

    def end(self) -> None:
        """Stop looking."""
        self._ending.set()
        self.join()

    def look(self) -> int:
        """Take in what is new, and return how many frames that was."""
        folder = self._store.watched
        stamps = tuple(stamp_of(folder / name) for name in TABLES)
        if stamps == self._seen or any(size < 0 for _, size, _ in stamps):
            return 0
        try:
            run = read_run(folder)
        except InputError as error:  # half of a table of a writer that does not write it whole: the next look is soon
            log.warning("%s", error)
            return 0
        found: dict[str, list[Document]] = {}
        for one in run.detections:
            found.setdefault(one.frame_id, []).append(values(one))
        count = sum(self._take(run, row, found.get(row.frame_id, [])) for row in run.frames)
        self._seen = stamps
        return count

    def _take(self, run: Run, row: FrameStatus, found: list[Document]) -> bool:
        """Take in one frame; not one that is known as it is."""
        digest = hashlib.sha256(f"watched {row.sha256} {row.frame_id}".encode()).hexdigest()
        known = {"frame": values(row), "detections": found, "model": run.model, "operating_point": run.operating_point}
        if self._known.get(row.frame_id) == known:
            return False
        name = row.frame_id + self._store.suffix(digest, [row.frame_id])
        have = self._store.frame(name)
        self._known[row.frame_id] = known
        if have is not None and have.get("known") == known:
            return False
        self._store.take_in(digest, [_document(name, known)])
        return True


def _document(name: str, known: dict[str, Any]) -> Document:
    """Return a frame that is not opened yet."""
    detections = [row | {"frame_id": name, "detection_id": _renamed(row, name)} for row in known["detections"]]
    return {
        "frame": known["frame"] | {"frame_id": name},
        "detections": detections,
        "facts": {"model": known["model"], "operating_point": known["operating_point"]},
        "unit_power_gw_um": None,
        "in_view": [],
        "known": known,
    }


def _renamed(row: dict[str, Any], name: str) -> str:
    return name + str(row["detection_id"]).removeprefix(str(row["frame_id"]))


def files_of(store: Store, document: Document) -> dict[str, Any]:
    """Return what opening a taken-in frame needs (:func:`serve.web.examine.reopen`).

    Raises:
        InputError: its file is not where it was.

    """
    row = document["known"]["frame"]
    places = (Path(row["path"] or ""), store.watched / (row["path"] or ""))
    path = next((path for path in places if row["path"] and path.is_file()), None)
    if path is None:
        raise InputError(row["path"] or row["frame_id"], "the frame's file is not where frames.csv says")
    product = product_of(path)
    return {
        "data": str(product.data),
        "label": str(product.label or ""),
        "mask": str(store.watched / "masks" / f"{row['frame_id']}.fits"),
        "frame": document["frame"],
        "detections": document["detections"],
        "model": document["known"]["model"],
        "operating_point": document["known"]["operating_point"],
    }
