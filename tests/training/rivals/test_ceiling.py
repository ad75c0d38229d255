"""The perfect filter's closed form against dice."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("photutils", reason="the extra `bench` is not installed")

from training.rivals.ceiling import detected, threshold


@pytest.mark.parametrize(("rate", "trials"), [(0.1, 400), (0.5, 30), (0.05, 2000)])
def test_false_alarms_and_finds_are_those_of_a_filter_on_noise(rate, trials):
    rng = np.random.default_rng(5)
    frames, cut = 4000, threshold(rate, trials)
    false = (rng.normal(size=(frames, trials)) > cut).sum() / frames
    assert false == pytest.approx(rate, abs=4 * np.sqrt(rate / frames))
    template = rng.random(25)
    for snr in (2.0, 4.0, 6.0):
        signal = snr * template / np.sqrt((template**2).sum())
        output = (signal + rng.normal(size=(frames, 25))) @ template / np.sqrt((template**2).sum())
        assert (output > cut).mean() == pytest.approx(detected(snr, rate, trials), abs=0.03)


def test_half_are_found_at_the_threshold_and_more_places_cost_signal():
    assert detected(threshold(0.1, 1000), 0.1, 1000) == pytest.approx(0.5)
    assert threshold(0.1, 1e6) > threshold(0.1, 1e3) > threshold(0.5, 1e3)
    assert np.isfinite(threshold(3.0, 1.0))  # more false alarms than places: everything passes
    assert detected(0.0, 3.0, 1.0) > 0.999
