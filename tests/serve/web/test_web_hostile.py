"""A hundred and more mutated products; ``python -m tests.benchmarks.mutate`` runs ten thousand."""

from __future__ import annotations

from pathlib import Path

from benchmarks.mutate import run

COUNT = 120


def test_no_mutated_product_crashes_hangs_or_reads_another_file(model_file: Path) -> None:
    trial = run(COUNT, model_file)
    assert sum(trial.counts.values()) >= COUNT
    assert trial.counts["read"] > 15
    assert trial.counts["refused"] > 50
