"""Errors as RFC 9457 has them: ``application/problem+json`` with what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

PROBLEM = "application/problem+json"


class Reason(BaseModel):
    """Why one file, or one part of a request, is not what it must be."""

    source: str
    problem: str


class ProblemDocument(BaseModel):
    """What every answer of 4xx and 5xx holds."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reasons: list[Reason] = []


class Problem(HTTPException):
    """A request that cannot be answered as it was meant.

    Args:
        status: of HTTP.
        detail: what is wrong, with the value found, and what to do.
        reasons: one a file, where several are wrong.
        headers: more headers of the answer.

    """

    def __init__(
        self, status: int, detail: str, reasons: Sequence[Reason] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.reasons = list(reasons)

    def answer(self) -> JSONResponse:
        """Return the response that says it."""
        return answer(self.status_code, self.detail, self.reasons, self.headers)


def busy(detail: str, retry_after_s: float) -> Problem:
    """503 with the time after which to try again."""
    return Problem(503, detail, headers={"Retry-After": str(max(1, round(retry_after_s)))})


def answer(
    status: int, detail: str, reasons: Sequence[Reason] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the response of a problem."""
    document = ProblemDocument(title=HTTPStatus(status).phrase, status=status, detail=detail, reasons=list(reasons))
    return JSONResponse(document.model_dump(), status, dict(headers or {}), media_type=PROBLEM)


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(Exception, _unexpected)


async def _of_http(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Problem):
        return error.answer()
    assert isinstance(error, HTTPException)
    return answer(error.status_code, str(error.detail), (), error.headers)


async def _of_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    reasons = [Reason(source=_place(entry), problem=str(entry["msg"])) for entry in error.errors()]
    return answer(422, "; ".join(f"{r.source}: {r.problem}" for r in reasons[:3]), reasons[:50])


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    return answer(500, f"unexpected {type(error).__name__}: the service's log says more")


def _place(entry: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in entry["loc"])


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "The request is not what it must be",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    },
    "503": {
        "description": "Busy: try again after as many seconds as Retry-After says",
        "headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    },
}
"""What every route may answer besides its own."""
