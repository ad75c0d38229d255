"""The gate before every route: who may ask, from where, how much, how many at once; and the headers of every answer.

* ``Host`` must be a name of this service: a page elsewhere whose name was rebound to 127.0.0.1 is turned away (421).
* A write with an ``Origin`` must come from this service's own page (403). Programs send none.
* With a token, everything below ``/v1`` and ``/metrics`` needs it as ``Authorization: Bearer`` (401); it is compared in
  constant time. The page itself holds no data and is open, so that it can ask for the token.
* Bodies are counted as they come (413) and must not stall (408); too many requests at once are 503.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.web.limits import Limits
from serve.web.metrics import Metrics
from serve.web.problems import Problem, busy

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = ("/healthz", "/readyz")
"""Answered whatever else goes on: a probe must not be turned away because the service is busy."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UPLOADS = "/v1/detect"
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        hosts: names under which the service may be asked for, without port; empty allows any.
        token: that must be shown; empty asks for none.

    """

    hosts: frozenset[str] = LOOPBACK
    token: str = ""

    def check(self, scope: Scope, headers: Headers) -> None:
        """Turn a request away.

        Raises:
            Problem: 421, 403 or 401.

        """
        host = headers.get("host", "")
        if self.hosts and name_of(host) not in self.hosts:
            raise Problem(421, f"this service is not {host!r}: ask for it as {' or '.join(sorted(self.hosts))}")
        if scope["method"] not in SAFE_METHODS:
            _check_origin(headers, host)
        if self.token and _is_guarded(scope["path"]) and not self._shown(headers):
            challenge = {"WWW-Authenticate": 'Bearer realm="io-detector"'}
            raise Problem(401, "needs the service's token: Authorization: Bearer TOKEN", headers=challenge)

    def _shown(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(shown.strip().encode(), self.token.encode())
        return scheme.lower() == "bearer" and right


def name_of(host: str) -> str:
    """Return a Host header's name without its port, in lower case: ``[::1]:8000`` is ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _check_origin(headers: Headers, host: str) -> None:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
    if foreign or site not in ("same-origin", "none"):
        raise Problem(403, f"a write from {origin or site!r}: only this service's own page and programs may write")


def _is_guarded(path: str) -> bool:
    return path.startswith("/v1") or path in ("/metrics", "/openapi.json")


class Guard:
    """The gate, as ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits, metrics: Metrics) -> None:
        self.app, self.access, self.limits, self.metrics = app, access, limits, metrics
        self.now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watched = _Answer(send, self.metrics, scope)
        try:
            self._check(scope)
        except Problem as problem:
            await problem.answer()(scope, receive, watched.send)
            return
        self.now += 1
        try:
            await self.app(scope, _Body(receive, self._most_bytes(scope), self.limits.idle_s).receive, watched.send)
        finally:
            self.now -= 1

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self.access.check(scope, headers)
        if self.now >= self.limits.requests and scope["path"] not in OPEN:
            raise busy(f"{self.now} requests are being answered, as many as are taken at once", 2)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._most_bytes(scope):
            raise too_large(self._most_bytes(scope))

    def _most_bytes(self, scope: Scope) -> int:
        return self.limits.upload_bytes if scope["path"] == UPLOADS else self.limits.body_bytes


def too_large(most_bytes: int) -> Problem:
    """413."""
    return Problem(413, f"more than {most_bytes:,} bytes, the most that is taken; send fewer files at a time")


class _Body:
    """A request's body, counted as it comes."""

    def __init__(self, receive: Receive, most_bytes: int, idle_s: float) -> None:
        self._receive, self._most_bytes, self._idle_s = receive, most_bytes, idle_s
        self._bytes, self._whole = 0, False

    async def receive(self) -> Message:
        """Return the next piece.

        Raises:
            Problem: 413 or 408.

        """
        if self._whole:  # what comes now is the client's leaving, and that may take its time
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_s)
        except TimeoutError:
            raise Problem(408, f"nothing came for {self._idle_s:g} s: send it again") from None
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > self._most_bytes:
            raise too_large(self._most_bytes)
        return message


class _Answer:
    """An answer on its way out: it gets its headers, and is counted."""

    def __init__(self, send: Send, metrics: Metrics, scope: Scope) -> None:
        self._send, self._metrics, self._scope = send, metrics, scope
        self._started = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Pass a piece on."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            self._metrics.answered(_route(self._scope), message["status"], time.perf_counter() - self._started)
        await self._send(message)


def _route(scope: Scope) -> str:
    """Return the pattern of the route, not the path: paths are without number."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or "none"
