"""A worker process: it opens the model, puts itself between walls, then works on one product after the other.

Both sides speak JSON over a pipe. The worker says ``ready`` (with its model) or ``refused``; then for each order it
asks once for the ``suffix`` of the frames' names and answers ``done`` with the frames' documents, or ``rejected`` with
why.
It ends when the pipe does, whatever it is doing then: a service that was killed leaves no worker behind.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from detector.detect import Detector
from detector.errors import InputError, ModelError
from detector.products import Product
from serve.web import confine
from serve.web.limits import Limits
from serve.worker import Settings

Message = dict[str, Any]
NO_MEMORY = re.compile("bad_alloc|allocate memory|MemoryError", re.IGNORECASE)
"""How libraries in C say that there is no memory."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Which files a worker may open.

    Attributes:
        uploads: the folder of all uploads, to read.
        work: the folder that products are worked on in, to write.

    """

    uploads: Path
    work: Path


def say(pipe: Connection, message: Message) -> None:
    """Send a message."""
    pipe.send_bytes(json.dumps(message, allow_nan=False).encode("utf-8", "backslashreplace"))


def hear(pipe: Connection) -> Message:
    """Return the next message.

    Raises:
        EOFError: the other side is gone.

    """
    heard: Message = json.loads(pipe.recv_bytes())
    return heard


def main(pipe: Connection, alive: Connection, settings: Settings, place: Place, limits: Limits) -> None:
    """Run a worker; the parent tells when it ends. Interrupts are the parent's to answer."""
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
    warnings.simplefilter("ignore")  # what matters of them stands in the frame's own warnings
    try:
        worker = _Worker(settings, limits)
    except (ModelError, InputError) as error:
        say(pipe, {"say": "refused", "reason": str(error)})
        return
    confined = worker.enclose(place, settings)
    say(pipe, {"say": "ready", "model": worker.detector.model.name, "confined": confined})
    while True:
        try:
            order = hear(pipe)
        except EOFError:
            return
        say(pipe, worker.answer(order, lambda ids: _suffix(pipe, ids)))


def _end_with_parent(alive: Connection) -> None:
    """Wait for the end of a pipe whose other end only the parent holds."""
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _suffix(pipe: Connection, ids: list[str]) -> str:
    say(pipe, {"say": "suffix", "ids": ids})
    return str(hear(pipe)["suffix"])


class _Worker:
    """A detector and the rooms it needs, loaded before the walls go up."""

    def __init__(self, settings: Settings, limits: Limits) -> None:
        from detector.readers import layout
        from serve.web import examine

        layout.allow_pixels(limits.pixels)
        self.limits, self.examine = limits, examine
        self.detector: Detector = settings.open_detector()

    def enclose(self, place: Place, settings: Settings) -> bool:
        """Put up the walls."""
        model = self.detector.model.path
        readable = [*confine.system_files(), place.uploads, model, model.with_suffix(".sha256")]
        kernels = self.detector.kernels
        confine.limit_memory(self.limits.memory_bytes)
        return confine.only_these([*readable, *([kernels] if kernels else [])], [place.work])

    def answer(self, order: Message, suffix_of: Callable[[list[str]], str]) -> Message:
        """Work on one product. Whatever its files are, this returns."""
        product = Product(Path(order["label"]) if order["label"] else None, Path(order["data"]))
        try:
            return {"say": "done", "frames": self._documents(order, product, suffix_of)}
        except InputError as error:
            return _turned_away("rejected", _reason(error, product))
        except MemoryError:
            return self._too_much()
        except Exception as error:  # one bad file must not stop the rest
            if NO_MEMORY.search(str(error)):
                return self._too_much()
            log.exception("%s: unexpected error", order["name"])
            return _turned_away("failed", f"unexpected {type(error).__name__}: {error}")

    def _too_much(self) -> Message:
        most = self.limits.memory_bytes >> 20
        return _turned_away("rejected", f"needs more than the {most} MiB of memory that one product may take")

    def _documents(self, order: Message, product: Product, suffix_of: Callable[[list[str]], str]) -> list[Message]:
        out = Path(order["out"])
        if order.get("known"):
            return self.examine.reopen(product, order["known"], Path(order["mask"]), self.detector, out)
        return self.examine.examine(product, order["name"], self.detector, suffix_of, out)


def _turned_away(state: str, reason: str) -> Message:
    return {"say": state, "reason": reason}


def _reason(error: InputError, product: Product) -> str:
    """Return the error without this machine's folders."""
    text = f"{error.problem} -> {error.remedy}" if error.remedy else error.problem
    return " ".join(text.replace(str(product.data.parent) + os.sep, "").split())
