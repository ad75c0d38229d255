"""The service as a process: checks before it listens, then one server until it is told to end.

The first SIGTERM or SIGINT drains: no new connection is taken, what is being answered is answered, each worker finishes
the product in its hands, what waits stays in the store, and no child is left. A second SIGINT does not wait.
"""

from __future__ import annotations

import ctypes
import ipaddress
import logging
import os
import secrets
import signal
import socket
import sys
from types import FrameType

import uvicorn

from detector.errors import InputError
from serve.web.app import Service, create_app
from serve.web.engine import Engine
from serve.web.guard import LOOPBACK, Access
from serve.web.labels import Labels
from serve.web.metrics import Metrics
from serve.web.options import ServeOptions
from serve.web.store import Store
from serve.worker import Settings

SHORTEST_TOKEN = 16
M_ARENA_MAX = -8
log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A server whose end is known to the engine at once, so that who waits for a job is answered."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer a signal."""
        self._engine.begin_end()
        super().handle_exit(sig, frame)


def run(options: ServeOptions) -> int:
    """Serve until the end, and return the exit code.

    Raises:
        InputError: an option cannot be used, the address is taken, or the store is in use.
        ModelError: the model is missing or refused.

    """
    access = access_of(options)
    _share_heaps()
    settings = Settings(
        options.store, options.operating_point, options.model, options.device,
        threads=max(1, (os.cpu_count() or 1) // options.workers), kernels=options.kernels,
    )  # fmt: skip
    detector = settings.open_detector()  # in this process once: who starts the service is told what is wrong with it
    card, digest = detector.model.card, detector.model.sha256
    del detector
    listening = _listen(options.host, options.port)
    store, metrics = Store(options.store), Metrics()
    engine = Engine(store, settings, digest, options.limits, metrics)
    service = Service(store, engine, Labels(store), metrics, options.limits, settings, card, digest)
    config = uvicorn.Config(
        create_app(service, access), log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        timeout_keep_alive=15, timeout_graceful_shutdown=int(options.limits.seconds) + 10, ws="none",
    )  # fmt: skip
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, lambda *_: None)  # the server raises them once more when it is done
    sys.stderr.write(f"io-detector {url_of(options.host, listening)}  store {options.store}\n")
    sys.stderr.flush()
    server = _Server(config, engine)
    server.run(sockets=[listening])
    return 0 if server.started else 1


def access_of(options: ServeOptions) -> Access:
    """Return who may ask.

    Raises:
        InputError: the service would be open to others without a token, or the token is too short to be one.

    """
    token = options.token or ""
    local = is_loopback(options.host)
    if not local and not token:
        raise InputError(
            f"--host {options.host}", "other machines could reach the service, and it has no token",
            f"set IO_DETECTOR_TOKEN, for example to {secrets.token_urlsafe(24)}, or leave --host out",
        )  # fmt: skip
    if token and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise InputError(
            "--token", f"has {len(token)} characters; expected at least {SHORTEST_TOKEN}, ASCII, without blanks"
        )
    named = frozenset(name.lower() for name in options.allow_host or ())
    return Access(named | (LOOPBACK | {options.host.lower()} if local or named else frozenset()), token)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def url_of(host: str, listening: socket.socket) -> str:
    """Return the address to type into a browser."""
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _share_heaps() -> None:
    """Let all threads share two heaps: glibc gives each its own and little of it back, so that a service would grow."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 2)


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        InputError: the address is taken, or is none of this machine's.

    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise InputError(
            f"{host}:{port}", f"cannot be listened on: {error.strerror}", "choose another --port"
        ) from error
    return listening
