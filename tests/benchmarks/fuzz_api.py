"""The service against its own OpenAPI document: schemathesis calls every route with what the document allows, and not.

``python -m tests.benchmarks.fuzz_api URL [--examples 200] [--token TOKEN]`` runs long; the test suite runs a few
examples a route. Nothing may answer 5xx, and every answer must be as the document says.
"""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def run(url: str, examples: int, token: str = "") -> Counter[str]:
    """Call every route with so many examples of each kind; return how many answers of each status there were.

    Raises:
        Exception: schemathesis' own, with the call that failed, as a curl command.

    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    document = httpx.get(f"{url}/openapi.json", headers=headers).raise_for_status().json()
    frames = httpx.get(f"{url}/v1/frames?limit=1", headers=headers).raise_for_status().json()["frames"]
    names = [frame["frame_id"] for frame in frames]
    schema = schemathesis.openapi.from_dict(document)
    answers: Counter[str] = Counter()
    for found in schema.get_all_operations():
        for mode in GenerationMode:
            _call(found.ok(), mode, names, examples, url, headers, answers)
    return answers


def _call(
    operation: Any, mode: GenerationMode, names: list[str], examples: int, url: str, headers: dict[str, str],
    answers: Counter[str],
) -> None:  # fmt: skip
    """Call one route, every other time with a frame that there is."""

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def call(case: Any, known: bool) -> None:
        if names and known and "frame_id" in (case.path_parameters or {}):
            case.path_parameters["frame_id"] = names[0]
        answer = case.call(base_url=url, headers=headers)
        answers[f"{operation.method.upper()} {operation.path} {answer.status_code}"] += 1
        case.validate_response(answer, checks=CHECKS)

    with suppress(Unsatisfiable):  # a route without parameters has nothing that could be wrong
        call()


def main() -> None:
    """Run the trial as a command."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("url")
    options.add_argument("--examples", type=int, default=200)
    options.add_argument("--token", default="")
    chosen = options.parse_args()
    answers = run(chosen.url.rstrip("/"), chosen.examples, chosen.token)
    for line, count in sorted(answers.items()):
        print(f"{count:6} {line}")  # noqa: T201
    print(f"{sum(answers.values())} calls, no 5xx, every answer as the document says")  # noqa: T201


if __name__ == "__main__":
    main()
