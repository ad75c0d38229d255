"""Polite conversation with archives: few requests at a time, waits where a server asks for them, tries again, gives up.

httpx comes with the extra ``serve`` and is imported where a conversation begins. A server that does not answer, breaks
off or says 408, 425, 429 or 5xx is tried again after a pause that doubles, with jitter; ``Retry-After`` is honoured for
the whole host. Redirects are followed to any host, but never from https to http. Certificates are checked against
certifi's list, which httpx brings: the JPL host's chain needs it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from detector.errors import InputError
from serve.fetch.services import user_agent

if TYPE_CHECKING:
    import httpx

Result = TypeVar("Result")

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
UNDERSTOOD_STATUS = frozenset({200, 206, 304, 416})
MAX_REDIRECTS, MAX_TRIES, CHECK_S = 10, 200, 0.2
MAX_ANSWER_BYTES = 256 << 20


@dataclass(frozen=True)
class Manners:
    """How archives are treated.

    Attributes:
        connections: at a time and host.
        interval_s: between the starts of two requests to a host.
        attempts: in a row without a byte gained, before a file is given up.
        backoff_s: first pause before trying again; doubles.
        longest_wait_s: longest pause that a server may ask for.
        timeout_s: longest silence.
        slowest_bytes_s: a connection slower than this over ``window_s`` is dropped and taken up again.
        window_s: see there.

    """

    connections: int = 2
    interval_s: float = 0.2
    attempts: int = 6
    backoff_s: float = 1.0
    longest_wait_s: float = 300.0
    timeout_s: float = 30.0
    slowest_bytes_s: float = 200.0
    window_s: float = 60.0


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        status: of HTTP.
        url: that answered, after redirects.
        headers: their names in lower case.
        content: decoded.

    """

    status: int
    url: str
    headers: Mapping[str, str]
    content: bytes


class FetchError(InputError):
    """A service that refuses, or stays silent for good. ``status`` is HTTP's, 0 where there was no answer."""

    def __init__(self, url: str, problem: str, remedy: str = "", status: int = 0) -> None:
        super().__init__(url, problem, remedy)
        self.status = status


class PassingError(Exception):
    """Trouble that may pass: worth another try, after ``after_s`` where the server said so."""

    def __init__(self, problem: str, after_s: float | None = None, progress: bool = False) -> None:
        super().__init__(problem)
        self.after_s, self.progress = after_s, progress


class StoppedError(Exception):
    """The run is being ended."""


@dataclass
class _Host:
    """The requests to one host."""

    places: threading.BoundedSemaphore
    lock: threading.Lock = field(default_factory=threading.Lock)
    not_before_s: float = 0.0

    def appointment(self, interval_s: float) -> float:
        """Take the next moment (monotonic) at which a request may start."""
        with self.lock:
            moment = max(time.monotonic(), self.not_before_s)
            self.not_before_s = moment + interval_s
            return moment

    def pause(self, seconds: float) -> None:
        with self.lock:
            self.not_before_s = max(self.not_before_s, time.monotonic() + seconds)


class Web:
    """A conversation; a context manager. May be used from several threads.

    Attributes:
        manners: how the archives are treated.
        stop: set to end all waiting and reading.
        asked: addresses of the questions put so far (not of the files fetched).

    """

    def __init__(self, manners: Manners | None = None) -> None:
        self.manners = manners or Manners()
        self.stop = threading.Event()
        self.asked: list[str] = []
        self._httpx = _httpx()
        self._client = self._httpx.Client(
            headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"},
            verify=_trusted(),
            timeout=self.manners.timeout_s,
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
        )
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._client.close()

    # -- questions --------------------------------------------------------------------------------------------------

    def ask(self, url: str, known: Mapping[str, str] | None = None) -> Answer:
        """Get a whole answer, which is small: JSON, a table, a listing.

        Args:
            url: the question.
            known: ``ETag`` and ``Last-Modified`` of the answer that is at hand: status 304 says that it still holds.

        Raises:
            FetchError: the service refuses, or does not answer.

        """
        self.asked.append(url)
        return self.patiently(url, lambda: self._whole(url, _conditions(known or {})))

    def _whole(self, url: str, headers: Mapping[str, str]) -> Answer:
        with self.answer("GET", url, headers) as response:
            content = bytearray()
            for block in self.steadily(response.iter_bytes()):
                content += block
                if len(content) > MAX_ANSWER_BYTES:
                    raise FetchError(url, f"answers with more than {MAX_ANSWER_BYTES >> 20} MB", "narrow the question")
            return Answer(response.status_code, str(response.url), dict(response.headers), bytes(content))

    def size_of(self, url: str) -> int | None:
        """Ask for a file's size; None where the service does not say."""
        try:
            return self.patiently(url, lambda: self._stated(url))
        except FetchError:
            return None

    def _stated(self, url: str) -> int | None:
        with self.answer("HEAD", url) as response:
            return length_of(response)

    # -- one try ----------------------------------------------------------------------------------------------------

    @contextmanager
    def answer(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """Put one request, in turn, and give its answer with the body still to be read.

        Raises:
            PassingError: trouble that may pass, while asking or while the body is read.
            FetchError: the service refuses.

        """
        with self._turn(url):
            try:
                with self._client.stream(method, url, headers=dict(headers or {})) as response:
                    _judge(response, url)
                    yield response
            except (self._httpx.TransportError, self._httpx.DecodingError) as error:
                raise self._trouble(error, url) from error
            except (self._httpx.TooManyRedirects, self._httpx.InvalidURL) as error:
                raise FetchError(url, f"cannot be followed: {error}", "check the address") from error

    def _trouble(self, error: Exception, url: str) -> Exception:
        said = str(error) or type(error).__name__
        if isinstance(error, self._httpx.UnsupportedProtocol):
            return FetchError(url, f"leads to what is not http: {said}")
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return FetchError(url, f"the host cannot prove who it is: {said}", "check the address and the clock")
        return PassingError(said)

    def steadily(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass blocks on, unless the run ends (StoppedError) or they only trickle (PassingError)."""
        since, got = time.monotonic(), 0
        for block in blocks:
            if self.stop.is_set():
                raise StoppedError
            yield block
            got += len(block)
            passed_s = time.monotonic() - since
            if passed_s >= self.manners.window_s:
                if got / passed_s < self.manners.slowest_bytes_s:
                    raise PassingError(f"only {got / passed_s:.0f} bytes a second")
                since, got = time.monotonic(), 0

    # -- patience ---------------------------------------------------------------------------------------------------

    def patiently(self, url: str, attempt: Callable[[], Result]) -> Result:
        """Do an attempt until it succeeds; tries that gained something do not count.

        Raises:
            FetchError: it failed too often, or the server asks for a longer pause than is granted.
            StoppedError: the run is being ended.

        """
        failures = 0
        for _ in range(MAX_TRIES):
            try:
                return attempt()
            except PassingError as trouble:
                failures = 1 if trouble.progress else failures + 1
                if failures >= self.manners.attempts:
                    raise FetchError(url, f"{trouble} ({failures} times)", "run the command again later") from trouble
                self._rest(url, failures, trouble)
        raise FetchError(url, f"no end after {MAX_TRIES} tries", "run the command again later")

    def _rest(self, url: str, failures: int, trouble: PassingError) -> None:
        if trouble.after_s is not None:
            if trouble.after_s > self.manners.longest_wait_s:
                later = f"run the command again in {trouble.after_s:.0f} s"
                raise FetchError(url, f"{trouble}; the server asks for a pause", later) from trouble
            self._host(url).pause(trouble.after_s)
        pause_s = self.manners.backoff_s * 2 ** (failures - 1) * random.uniform(0.5, 1.0)
        self._sleep(max(min(pause_s, self.manners.longest_wait_s), trouble.after_s or 0.0))

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(max(seconds, 0.0)):
            raise StoppedError

    @contextmanager
    def _turn(self, url: str) -> Iterator[None]:
        host = self._host(url)
        while not host.places.acquire(timeout=CHECK_S):
            if self.stop.is_set():
                raise StoppedError
        try:
            self._sleep(host.appointment(self.manners.interval_s) - time.monotonic())
            yield
        finally:
            host.places.release()

    def _host(self, url: str) -> _Host:
        name = urlsplit(url).netloc
        with self._lock:
            return self._hosts.setdefault(name, _Host(threading.BoundedSemaphore(self.manners.connections)))


def length_of(response: httpx.Response) -> int | None:
    """Give the length that an answer states for a body that is not encoded; None where it states none."""
    stated = response.headers.get("content-length", "")
    return int(stated) if stated.isdecimal() and not encoding_of(response) else None


def encoding_of(response: httpx.Response) -> str:
    """Give the content encoding of an answer; empty for a body that is sent as it is."""
    encoding = str(response.headers.get("content-encoding", "")).strip().lower()
    return "" if encoding == "identity" else encoding


def _conditions(known: Mapping[str, str]) -> dict[str, str]:
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    return {names[key]: value for key, value in known.items() if key in names and value}


def _judge(response: httpx.Response, url: str) -> None:
    """Let pass what can be used."""
    status = response.status_code
    schemes = [step.url.scheme for step in (*response.history, response)]
    if "https" in schemes and schemes[-1] == "http":
        raise FetchError(url, f"is redirected from https to {response.url}", "not followed")
    if status in PASSING_STATUS:
        raise PassingError(f"HTTP {status} {response.reason_phrase}", _retry_after_s(response))
    if status not in UNDERSTOOD_STATUS:
        remedy = "check the question" if status in {400, 404, 410} else "the archive does not give it out"
        raise FetchError(url, f"HTTP {status} {response.reason_phrase}", remedy, status)


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, stated as such or as a date; None where it does not."""
    stated = response.headers.get("retry-after", "").strip()
    if stated.isdecimal():
        return float(stated)
    try:
        moment = parsedate_to_datetime(stated)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


@lru_cache
def _trusted() -> Any:
    """Certifi's certificates, read once: it takes a tenth of a second."""
    return _httpx().create_ssl_context()


def _httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as error:
        raise InputError("httpx", "is not installed, and fetch needs it", "pip install 'io-detector[serve]'") from error
    return httpx
