"""One file against a real server that breaks off, lies, stalls and changes its mind."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from misbehaving_server import (
    DATE,
    Server,
    Trick,
    blind_range,
    drop,
    etag_of,
    instead,
    no_ranges,
    packed,
    page,
    redirect,
    serving,
    silence,
    stated_length,
    status,
    trickle,
)

from serve.fetch.download import Arrival, Downloader
from serve.fetch.provenance import Provenance
from serve.fetch.remote import Checksum, Remote
from serve.fetch.web import FetchError, Manners, PassingError, StoppedError, Web

pytest.importorskip("httpx")

CONTENT = random.Random(7).randbytes(300_000)
OTHER = random.Random(8).randbytes(300_000)
PATH = "/data/A.IMG"
SMALL = CONTENT[:20_000]
QUICK = Manners(interval_s=0.0, backoff_s=0.01, attempts=4, timeout_s=5.0)
ORIGIN = {"source": "test", "query": "target=Io"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    shared.files.clear()
    shared.tricks.clear()
    shared.answers.clear()
    shared.forget()
    return shared


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Web(Manners(interval_s=0.0, backoff_s=0.0, attempts=20)) as web:
        yield web


def md5(content: bytes) -> Checksum:
    return Checksum("md5", hashlib.md5(content).hexdigest(), "the manifest")


def remote_of(url: str, **known: object) -> Remote:
    return Remote(url, PurePosixPath("GO_0017/IO/A.IMG"), **known)  # type: ignore[arg-type]


Bring = Callable[..., Arrival]


@lru_cache
def web_of(manners: Manners) -> Web:
    return Web(manners)


@pytest.fixture
def bring(tmp_path: Path) -> Bring:
    def bring(remote: Remote, manners: Manners = QUICK, **options: bool) -> Arrival:
        return Downloader(web_of(manners), tmp_path, Provenance(tmp_path), ORIGIN).fetch(remote, **options)

    return bring


def placed(out: Path) -> bytes:
    return (out / "GO_0017/IO/A.IMG").read_bytes()


def leftovers(out: Path) -> list[str]:
    return [path.name for path in (out / ".fetch").rglob("*") if path.is_file()]


def test_a_file_comes_with_its_provenance(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT)
    arrival = bring(remote_of(url, checksum=md5(CONTENT)))
    assert (arrival.state, arrival.size_bytes, placed(tmp_path)) == ("fetched", len(CONTENT), CONTENT)
    (line,) = (tmp_path / "provenance.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert kept["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert kept["time_utc"].endswith("Z")
    told = {key: kept[key] for key in ("path", "url", "final_url", "size_bytes", "etag", "last_modified", "query")}
    assert told == {
        "path": "GO_0017/IO/A.IMG",
        "url": url,
        "final_url": url,
        "size_bytes": len(CONTENT),
        "etag": etag_of(CONTENT),
        "last_modified": DATE,
        "query": "target=Io",
    }
    assert kept["checksum"] == f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert server.requests[0][2]["user-agent"].startswith("io-detector/")
    assert server.requests[0][2]["accept-encoding"] == "identity"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("tricks", "gets"),
    [
        ([status(503, Retry_After="0")], 2),
        ([status(429), status(500), status(504)], 4),
        ([drop(100_000)], 2),
        ([drop(0), drop(0)], 3),
        ([drop(70_000), drop(70_000), drop(70_000), drop(70_000), drop(10_000)], 6),  # more tries than 4: each gained
        ([stated_length(len(CONTENT) + 5_000)], 3),
        ([stated_length(100_000)], 2),
        ([packed], 1),
        ([no_ranges], 1),
        ([page()], 2),
        ([instead(OTHER)], 2),
        ([instead(OTHER[:200_000])], 2),
        ([silence(1.0)], 2),
    ],
    ids=[
        "503-retry-after",
        "429-500-504",
        "dropped",
        "dropped-at-once",
        "dropped-often",
        "stated-too-long",
        "stated-too-short",
        "gzip",
        "no-ranges",
        "html-page",
        "wrong-bytes",
        "wrong-length",
        "silence",
    ],
)
def test_trouble_that_passes(server: Server, bring: Bring, tmp_path: Path, tricks: list[Trick], gets: int) -> None:
    url = server.put(PATH, CONTENT, *tricks)
    patient = Manners(interval_s=0.0, backoff_s=0.01, attempts=4, timeout_s=0.4)
    arrival = bring(remote_of(url, checksum=md5(CONTENT), size_bytes=len(CONTENT)), patient)
    assert (arrival.state, arrival.reason) == ("fetched", "")
    assert placed(tmp_path) == CONTENT
    assert len(server.got()) == gets
    assert leftovers(tmp_path) == []


def test_the_rest_is_asked_for_and_no_byte_twice(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT, drop(100_000), drop(120_000))
    assert bring(remote_of(url)).state == "fetched"
    assert placed(tmp_path) == CONTENT
    assert server.ranges(PATH) == [None, "bytes=100000-", "bytes=220000-"]
    assert {headers["if-range"] for _, _, headers in server.requests[1:]} == {etag_of(CONTENT)}


def test_a_date_stands_in_for_a_weak_etag(server: Server, bring: Bring, tmp_path: Path) -> None:
    weak = 'W/"weak"'
    url = server.put(PATH, CONTENT, drop(100_000, ETag=weak, Last_Modified=DATE), lambda h, c: h.file(c, ETag=weak))
    assert bring(remote_of(url)).state == "fetched"
    assert server.ranges(PATH) == [None, "bytes=100000-"]
    assert server.requests[1][2]["if-range"] == DATE
    assert placed(tmp_path) == CONTENT


def test_without_etag_and_date_it_starts_over(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT, drop(100_000, ETag="", Last_Modified=""))
    assert bring(remote_of(url)).state == "fetched"
    assert server.ranges(PATH) == [None, None]
    assert placed(tmp_path) == CONTENT


def test_a_file_that_changed_meanwhile_starts_over(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT, drop(100_000), instead(OTHER), instead(OTHER))
    assert bring(remote_of(url)).state == "fetched"  # If-Range: the server answers 200 with the new file
    assert placed(tmp_path) == OTHER
    assert server.ranges(PATH) == [None, "bytes=100000-"]


def test_the_rest_of_another_version_is_not_glued_on(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, OTHER, blind_range(OTHER))
    server.tricks[PATH] = [lambda handler, _: drop(100_000)(handler, CONTENT), blind_range(OTHER)]
    assert bring(remote_of(url)).state == "fetched"  # no checksum to catch it: the ETag does
    assert placed(tmp_path) == OTHER
    assert server.ranges(PATH) == [None, "bytes=100000-", None]


def test_a_range_beyond_the_end_starts_over(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT, drop(100_000), status(416, Content_Range="bytes */50000"))
    assert bring(remote_of(url)).state == "fetched"
    assert placed(tmp_path) == CONTENT


def test_a_checksum_that_fails_twice_is_put_aside(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, OTHER)
    arrival = bring(remote_of(url, checksum=md5(CONTENT)))
    assert arrival.state == "quarantined"
    assert len(server.got()) == 2
    aside = tmp_path / ".quarantine/GO_0017/IO/A.IMG"
    assert aside.read_bytes() == OTHER
    assert not (tmp_path / "GO_0017/IO/A.IMG").exists()
    reason = aside.with_name("A.IMG.reason.txt").read_text()
    assert hashlib.md5(OTHER).hexdigest() in reason
    assert hashlib.md5(CONTENT).hexdigest() in reason
    assert "same bytes came twice" in reason
    assert url in reason
    assert not (tmp_path / "provenance.jsonl").exists()
    server.put(PATH, CONTENT)  # the archive mends it
    assert bring(remote_of(url, checksum=md5(CONTENT))).state == "fetched"


@pytest.mark.parametrize(
    ("trick", "said", "gets"),
    [
        (status(404), "HTTP 404", 1),
        (status(403), "HTTP 403", 1),
        (status(503, Retry_After="3600"), "run the command again in 3600 s", 1),
        (status(503), "HTTP 503 Service Unavailable (4 times)", 4),
        (drop(0), "(4 times)", 4),
        (redirect(PATH), "redirect", 11),
        (redirect("file:///etc/passwd"), "not http", 1),
        (page(), "web page", 2),
    ],
)
def test_trouble_that_lasts(server: Server, bring: Bring, tmp_path: Path, trick: Trick, said: str, gets: int) -> None:
    url = server.put(PATH, CONTENT, *[trick] * 20)
    arrival = bring(remote_of(url))
    assert arrival.state in {"failed", "quarantined"}
    assert said in arrival.reason
    assert len(server.got()) == gets
    assert not (tmp_path / "GO_0017").exists()


def test_a_redirect_to_another_host_is_followed_and_noted(server: Server, bring: Bring, tmp_path: Path) -> None:
    with serving() as other:
        there = other.put("/moved/A.IMG", CONTENT)
        url = server.put(PATH, b"", redirect(there))
        assert bring(remote_of(url)).state == "fetched"
        assert placed(tmp_path) == CONTENT
        assert json.loads((tmp_path / "provenance.jsonl").read_text())["final_url"] == there


def test_no_redirect_leads_from_https_to_http() -> None:
    import httpx

    from serve.fetch.web import _judge

    first, second = (httpx.Request("GET", f"{scheme}://archive/a") for scheme in ("https", "http"))
    answer = httpx.Response(200, request=second, history=[httpx.Response(302, request=first)])
    with pytest.raises(FetchError, match="redirected from https to http://archive/a"):
        _judge(answer, "https://archive/a")


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for_by_everyone(server: Server, form: str) -> None:
    after = "1" if form == "seconds" else formatdate(time.time() + 1.5, usegmt=True)
    url = server.put(PATH, CONTENT, status(503, Retry_After=after))
    server.put("/b", b"x")
    with Web(QUICK) as web:
        with pytest.raises(PassingError) as trouble, web.answer("GET", url):
            pass
        assert trouble.value.after_s is not None
        assert 0.4 < trouble.value.after_s <= 1.5
        began = time.monotonic()
        server.tricks[PATH] = [status(503, Retry_After=after)]
        web.ask(url)
        assert time.monotonic() - began > 0.4


def test_a_trickle_is_dropped_and_taken_up(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT, trickle(10, 0.02))
    hasty = Manners(interval_s=0.0, backoff_s=0.01, slowest_bytes_s=5_000.0, window_s=0.3)
    assert bring(remote_of(url), hasty).state == "fetched"
    assert placed(tmp_path) == CONTENT
    (first, second) = server.ranges(PATH)
    assert first is None
    assert second is not None


def test_what_is_here_is_not_fetched_again(server: Server, bring: Bring, tmp_path: Path) -> None:
    remote = remote_of(server.put(PATH, CONTENT))
    bring(remote)
    server.forget()
    assert bring(remote).state == "had"
    assert server.requests == []


def test_verify_finds_what_was_damaged_on_the_disk(server: Server, bring: Bring, tmp_path: Path) -> None:
    remote = remote_of(server.put(PATH, CONTENT))
    bring(remote)
    path = tmp_path / "GO_0017/IO/A.IMG"
    path.write_bytes(OTHER)
    assert bring(remote).state == "had"
    assert bring(remote, verify=True).state == "fetched"
    assert placed(tmp_path) == CONTENT


def test_a_file_released_anew_is_fetched_anew(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT)
    bring(remote_of(url, checksum=md5(CONTENT)))
    server.put(PATH, OTHER)
    assert bring(remote_of(url, checksum=md5(OTHER))).state == "fetched"
    assert placed(tmp_path) == OTHER


def test_a_file_from_elsewhere_is_adopted_by_its_checksum(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put(PATH, CONTENT)
    (tmp_path / "GO_0017/IO").mkdir(parents=True)
    (tmp_path / "GO_0017/IO/A.IMG").write_bytes(CONTENT)
    assert bring(remote_of(url, checksum=md5(CONTENT))).state == "had"
    assert server.requests == []
    assert json.loads((tmp_path / "provenance.jsonl").read_text())["final_url"] == "found in its place"


def test_a_torn_line_of_provenance_harms_no_other(server: Server, bring: Bring, tmp_path: Path) -> None:
    remote = remote_of(server.put(PATH, CONTENT))
    bring(remote)
    ledger = tmp_path / "provenance.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b'{"path": "GO_0017/IO/B.I')
    assert bring(remote).state == "had"
    other = Remote(server.put("/B.IMG", OTHER), PurePosixPath("B.IMG"))
    assert bring(other).state == "fetched"
    assert bring(other).state == "had"
    assert bring(remote).state == "had"


def test_another_spelling_is_tried_where_there_is_none(server: Server, bring: Bring, tmp_path: Path) -> None:
    url = server.put("/data/a.img", CONTENT)
    assert bring(remote_of(server.url + PATH, other_urls=(url,))).state == "fetched"
    assert "HTTP 404" in bring(Remote(server.url + "/x", PurePosixPath("x"), other_urls=(server.url + "/X",))).reason


def test_a_packed_file_stays_packed(server: Server, bring: Bring, tmp_path: Path) -> None:
    packed_content = gzip.compress(CONTENT)
    server.put("/labels.tar.gz", packed_content)
    server.tricks["/labels.tar.gz"] = [lambda handler, body: handler.whole(body, Content_Encoding="x-gzip")]
    bring(Remote(server.url + "/labels.tar.gz", PurePosixPath("labels.tar.gz")))
    assert (tmp_path / "labels.tar.gz").read_bytes() == packed_content


def _ask_all_at_once(web: Web, url: str, count: int) -> None:
    threads = [threading.Thread(target=web.ask, args=(url,)) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


def test_a_host_sees_few_requests_at_a_time(server: Server) -> None:
    url = server.put(PATH, b"x" * 1000, *[trickle(500, 0.03)] * 12)
    with Web(Manners(connections=2, interval_s=0, backoff_s=0.01)) as web:
        _ask_all_at_once(web, url, 12)
    assert server.most_at_once == 2


def test_requests_to_a_host_start_apart(server: Server) -> None:
    url = server.put(PATH, b"x")
    with Web(Manners(connections=8, interval_s=0.1, backoff_s=0.01)) as web:
        _ask_all_at_once(web, url, 8)
    assert max(server.times) - min(server.times) > 0.5  # seven intervals, less what threads wait for a core


def test_stopping_ends_waiting_at_once(server: Server) -> None:
    url = server.put(PATH, CONTENT, *[status(503, Retry_After="60")] * 3)
    with Web(QUICK) as web:
        web.stop.set()
        began = time.monotonic()
        with pytest.raises(StoppedError):
            web.ask(url)
        assert time.monotonic() - began < 1


def test_a_silent_service_is_given_up(server: Server) -> None:
    url = server.put(PATH, CONTENT, *[silence(0.5)] * 3)
    with (
        Web(Manners(interval_s=0.0, backoff_s=0.01, attempts=2, timeout_s=0.1)) as web,
        pytest.raises(FetchError) as told,
    ):
        web.ask(url)
    assert url in str(told.value)
    assert "2 times" in str(told.value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(SMALL)), max_size=6), data=st.data())
def test_any_sequence_of_trouble_ends_with_the_file(
    server: Server, web: Web, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], data: st.DataObject
) -> None:
    out = tmp_path_factory.mktemp("out")
    tricks = [data.draw(st.sampled_from([drop(n), status(503), stated_length(n), page()])) for n in cuts]
    remote = remote_of(server.put(PATH, SMALL, *tricks), checksum=md5(SMALL))
    for _ in range(len(tricks) + 1):  # two answers that are whole and wrong end a run
        arrival = Downloader(web, out, Provenance(out), ORIGIN).fetch(remote)
        if arrival.is_here:
            break
        assert arrival.state == "quarantined"
    assert placed(out) == SMALL
