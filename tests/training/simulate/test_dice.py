"""Streams of random numbers by name."""

from __future__ import annotations

import numpy as np
import pytest

from training.simulate.dice import EFFECTS, Dice, log_uniform


def test_streams_depend_on_seed_index_part_and_name_alone() -> None:
    dice = Dice(3, 7)
    first = dice.rng("scene").random(4)
    dice.rng("brightness").random(100)
    assert np.array_equal(dice.rng("scene").random(4), first)
    others = [
        Dice(4, 7).rng("scene"), Dice(3, 8).rng("scene"), dice.rng("pointing"), dice.part("L").rng("scene"),
    ]  # fmt: skip
    assert all(not np.array_equal(other.random(4), first) for other in others)


def test_switching_one_effect_leaves_the_others_alone() -> None:
    plain, without = Dice(1, 2), Dice(1, 2, without=("ghost",))
    for name in EFFECTS:
        one, other = plain.effect(name, 1.0), without.effect(name, 1.0)
        assert one is not None
        assert (other is None) == (name == "ghost")
        if other is not None:
            assert one.random() == other.random()


def test_an_effect_alone() -> None:
    alone = Dice(1, 2, only=("ict",))
    assert [name for name in EFFECTS if alone.effect(name, 0.5) is not None] == ["ict"]
    assert alone.effect("ict", 0.0) is not None
    assert alone.part("L").effect("hits", 1.0) is None


def test_probability_is_kept() -> None:
    shown = np.mean([Dice(5, index).effect("moon", 0.2) is not None for index in range(4000)])
    assert shown == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 4000))


def test_an_unknown_effect_is_named() -> None:
    with pytest.raises(ValueError, match="gohst"):
        Dice(1, 2, without=("gohst",))
    with pytest.raises(ValueError, match="gohst"):
        Dice(1, 2).effect("gohst", 0.5)


def test_log_uniform_spreads_the_logarithm() -> None:
    rng = np.random.default_rng(0)
    drawn = np.log10([log_uniform(rng, 1e-2, 1e4) for _ in range(4000)])
    assert drawn.min() >= -2
    assert drawn.max() <= 4
    assert np.histogram(drawn, 6, (-2, 4))[0] == pytest.approx(4000 / 6, rel=0.2)
