"""A real HTTP server on loopback that behaves like an archive, and misbehaves where a test tells it to.

A file has an ETag, a date and knows ranges. A trick is used up by one GET of its path; then the file behaves again.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Trick = Callable[["Handler", bytes], None]
DATE = "Tue, 04 Aug 2026 10:00:00 GMT"


@dataclass
class Server:
    """What the server holds, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Callable[[str], bytes]] = field(default_factory=dict)
    tricks: dict[str, list[Trick]] = field(default_factory=lambda: defaultdict(list))
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, path: str, content: bytes, *tricks: Trick) -> str:
        """Hold a file; give its address."""
        self.files[path] = content
        self.tricks[path] = list(tricks)
        return self.url + path

    def got(self, part: str = "", method: str = "GET") -> list[str]:
        """The paths that were asked for."""
        return [path for verb, path, _ in self.requests if verb == method and part in path]

    def ranges(self, path: str) -> list[str | None]:
        """The ranges that were asked for, GET by GET."""
        return [headers.get("range") for verb, asked, headers in self.requests if verb == "GET" and asked == path]

    def forget(self) -> None:
        self.requests.clear()
        self.times.clear()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any
    counted: bool = False

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        held: Server = self.server.held
        path = unquote(self.path)
        with held.lock:
            held.requests.append((self.command, path, {key.lower(): value for key, value in self.headers.items()}))
            held.times.append(time.monotonic())
            held.at_once += 1
            held.most_at_once = max(held.most_at_once, held.at_once)
        self.counted = True
        try:
            self.answer(held, path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.over(held)

    def over(self, held: Server) -> None:
        """Count this request no longer: once its last bytes are out, the client is free to put the next."""
        with held.lock:
            held.at_once -= self.counted
        self.counted = False

    def answer(self, held: Server, path: str) -> None:
        if path.partition("?")[0] in held.answers:
            self.whole(held.answers[path.partition("?")[0]](path))
        elif path not in held.files:
            self.whole(b"<html><title>404 Not Found</title></html>", 404)
        elif self.command == "GET" and held.tricks[path]:
            held.tricks[path].pop(0)(self, held.files[path])
        else:
            self.file(held.files[path])

    def whole(self, content: bytes, status: int = 200, **headers: str) -> None:
        """Send an answer with its length, whatever the method."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def file(self, content: bytes, **headers: str) -> None:
        """Behave: ranges, conditions."""
        tag = etag_of(content)
        headers = {"ETag": tag, "Last_Modified": DATE, "Accept_Ranges": "bytes"} | headers
        asked, condition = self.headers.get("Range", ""), self.headers.get("If-Range", tag)
        if self.headers.get("If-None-Match") == tag:
            self.whole(b"", 304, ETag=tag)
        elif asked and condition in (tag, DATE):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(content):
                self.whole(b"", 416, Content_Range=f"bytes */{len(content)}")
            else:
                span = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.whole(content[start:], 206, Content_Range=span, **headers)
        else:
            self.whole(content, **headers)

    def begin(self, content: bytes, length: int, **headers: str) -> bytes:
        """Send the head of an answer that states a length; give the bytes that belong into it (the rest, if asked)."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        stated = {"ETag": etag_of(content), "Content_Length": str(length - start)}
        stated |= {"Content_Range": f"bytes {start}-{length - 1}/{length}"} if start else {}
        for name, value in (stated | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.close_connection = True
        return content[start:]


def etag_of(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _write(handler: Handler, content: bytes) -> None:
    handler.wfile.write(content)


def status(code: int, **headers: str) -> Trick:
    return lambda handler, content: handler.whole(b"busy", code, **headers)


def drop(after: int, **headers: str) -> Trick:
    """Break the connection in the middle of the body (of the rest, where the rest is asked for)."""

    return lambda handler, content: _write(handler, handler.begin(content, len(content), **headers)[:after])


def stated_length(length: int) -> Trick:
    """State a wrong length, then send the body."""
    return lambda handler, content: _write(handler, handler.begin(content, length))


def instead(content: bytes) -> Trick:
    """Send other bytes of the same standing."""
    return lambda handler, _: handler.file(content)


def page(title: str = "Maintenance") -> Trick:
    text = f"<!DOCTYPE html><html><head><title>{title}</title></head></html>".encode()
    return lambda handler, _: handler.whole(text, Content_Type="text/html")


def redirect(url: str) -> Trick:
    return lambda handler, _: handler.whole(b"", 302, Location=url)


def no_ranges(handler: Handler, content: bytes) -> None:
    handler.whole(content)


def blind_range(content: bytes) -> Trick:
    """Send the rest of another version in spite of If-Range."""

    def trick(handler: Handler, _: bytes) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.whole(content[start:], 206, Content_Range=span, ETag=etag_of(content))

    return trick


def packed(handler: Handler, content: bytes) -> None:
    handler.whole(gzip.compress(content), Content_Encoding="gzip", ETag=etag_of(content))


def trickle(block: int, pause_s: float) -> Trick:
    def trick(handler: Handler, content: bytes) -> None:
        body = handler.begin(content, len(content))
        for start in range(0, len(body), block):
            time.sleep(pause_s)
            if start + block >= len(body):
                handler.over(handler.server.held)
            _write(handler, body[start : start + block])

    return trick


def silence(seconds: float) -> Trick:
    def trick(handler: Handler, content: bytes) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return trick


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up: tests kill them."""


@contextmanager
def serving() -> Iterator[Server]:
    httpd = Quiet(("127.0.0.1", 0), Handler)
    held = Server(f"http://127.0.0.1:{httpd.server_port}")
    httpd.held = held  # type: ignore[attr-defined]
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield held
    finally:
        httpd.shutdown()
        httpd.server_close()
