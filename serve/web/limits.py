"""How much the service takes on: every limit in one place, each with the answer that passing it gives."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one service.

    Attributes:
        upload_bytes: of one request's body; more is 413.
        unpacked_bytes: of one upload's files, zips unpacked; more is 413.
        members: files in one upload, zips unpacked; more is 413.
        pixels: samples of one product; more is 422.
        seconds: that a worker may take for one product; more is 422.
        memory_bytes: that a worker may allocate for one product; more is 422.
        workers: processes that detect.
        waiting: jobs that may wait; one more is 503 with Retry-After.
        requests: that are answered at one time; one more is 503 with Retry-After.
        answer_s: how long ``POST /v1/detect`` waits for its job before it answers 202.
        idle_s: how long the next piece of a request's body may take; longer is 408.
        body_bytes: of a request's body other than an upload; more is 413.
        free_bytes: that the store leaves free on its disk; an upload that finds less is 507.

    """

    upload_bytes: int = 256 * MIB
    unpacked_bytes: int = 1024 * MIB
    members: int = 500
    pixels: int = 64_000_000
    seconds: float = 120.0
    memory_bytes: int = 3072 * MIB
    workers: int = 1
    waiting: int = 32
    requests: int = 64
    answer_s: float = 20.0
    idle_s: float = 30.0
    body_bytes: int = 8 * MIB
    free_bytes: int = 256 * MIB
