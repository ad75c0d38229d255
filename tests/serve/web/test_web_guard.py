"""The gate itself, around an application that reads the whole body and answers with its length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serve.web.guard import Access, Guard, name_of
from serve.web.limits import Limits
from serve.web.metrics import Metrics
from serve.web.problems import Problem


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await Request(scope, receive).body()
    except Problem as problem:
        await problem.answer()(scope, receive, send)
        return
    await asyncio.sleep(0.05)
    await PlainTextResponse(str(len(body)))(scope, receive, send)


def client(limits: Limits) -> httpx.AsyncClient:
    guard = Guard(length, Access(), limits, Metrics())
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://127.0.0.1")


async def pieces(count: int, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(pause_s)
        yield b"x" * 1000


def test_a_body_is_counted_whether_or_not_it_says_its_size() -> None:
    async def talk() -> list[int]:
        async with client(Limits(body_bytes=5000)) as asked:
            said = [await asked.post("/v1/x", content=b"x" * size) for size in (5000, 5001)]
            said += [await asked.post("/v1/x", content=pieces(count)) for count in (5, 6)]
            return [answer.status_code for answer in said]

    assert asyncio.run(talk()) == [200, 413, 200, 413]


def test_a_body_that_stalls_is_given_up() -> None:
    async def talk() -> tuple[int, int]:
        async with client(Limits(idle_s=0.3)) as asked:
            slow = await asked.post("/v1/x", content=pieces(3, 0.01))
            stalled = await asked.post("/v1/x", content=pieces(2, 1.0))
            return slow.status_code, stalled.status_code

    assert asyncio.run(talk()) == (200, 408)


def test_more_at_once_than_may_be_are_told_when_to_come_again() -> None:
    async def talk() -> list[httpx.Response]:
        async with client(Limits(requests=2)) as asked:
            return list(await asyncio.gather(*(asked.get("/v1/x") for _ in range(5)), asked.get("/healthz")))

    *answers, probe = asyncio.run(talk())
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 503)
    assert probe.status_code == 200


def test_a_name_is_what_stands_before_the_port() -> None:
    assert [name_of(host) for host in ("A:80", "[::1]:80", "[::1]", "127.0.0.1", "")] == [
        "a", "::1", "::1", "127.0.0.1", "",
    ]  # fmt: skip
