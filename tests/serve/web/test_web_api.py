"""The service's answers against its own OpenAPI document; ``python -m tests.benchmarks.fuzz_api URL`` runs longer."""

from __future__ import annotations

import pytest
from live_service import Live

EXAMPLES = 2


def test_nothing_answers_5xx_and_everything_is_as_documented(live: Live) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed (extra dev)")
    from benchmarks.fuzz_api import run

    answers = run(live.url, EXAMPLES)
    assert not [line for line in answers if line.rpartition(" ")[2].startswith("5")]
    assert {line.rpartition(" ")[2] for line in answers} >= {"200", "404", "422"}
    assert len({line.rpartition(" ")[0] for line in answers}) >= 14
