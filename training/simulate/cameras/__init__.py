"""The cameras: each draws itself in one state, and turns a noise-free signal into the numbers of its files."""

from __future__ import annotations

from collections.abc import Callable

from training.simulate.cameras.camera import Camera
from training.simulate.cameras.framing import draw_framing
from training.simulate.cameras.jiram import draw_jiram
from training.simulate.cameras.junocam import draw_junocam
from training.simulate.cameras.sru import draw_sru
from training.simulate.cameras.ssi import draw_ssi
from training.simulate.dice import Dice

CAMERAS: dict[str, Callable[[Dice, tuple[int, int], bool], Camera]] = {
    "ssi": draw_ssi,
    "junocam": draw_junocam,
    "jiram": draw_jiram,
    "sru": draw_sru,
    "picture": draw_framing,
}
