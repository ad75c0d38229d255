"""Columns that glow and lines that never came down."""

from __future__ import annotations

import numpy as np

from training.simulate.damage import hot_columns, missing
from training.simulate.dice import Dice


def test_hot_columns_are_columns_without_a_gap() -> None:
    dark = np.zeros((60, 80), np.float32)
    for index in range(30):
        changed = hot_columns(dark, Dice(1, index, only=("hot_columns",)), 5.0)
        columns = np.flatnonzero(changed.any(0))
        assert 1 <= len(columns) < 40
        for column in columns:
            rows = np.flatnonzero(changed[:, column])
            assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
    assert not dark.any()
    assert not hot_columns(dark, Dice(1, 0, only=()), 5.0).any()


def test_what_is_missing() -> None:
    shape = (64, 80)
    assert missing(Dice(1, 0, only=()), shape).all()
    for index in range(40):
        lines = missing(Dice(2, index, only=("dropped_lines",)), shape)
        assert 0 < (~lines).mean() < 0.8
        for row in np.flatnonzero(~lines.all(1)):
            assert not lines[row, np.argmin(lines[row]) :].any()  # a cut line stays cut to its end
        window = missing(Dice(2, index, only=("margins",)), shape)
        rows, columns = np.flatnonzero(window.any(1)), np.flatnonzero(window.any(0))
        assert window[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert window.mean() > 1 / 16
