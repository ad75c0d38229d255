"""What a user could pick instead: the finders that the model is measured against, and what no finder can beat.

Every rival takes a :class:`Sight` (a frame and its limb) and gives :class:`Find` s of one class with a score that rises
with certainty, so one run with loose settings gives the whole free-response curve. Few settings are discrete (kernel
widths, spacings); ``RIVALS`` lists them, and the benchmark takes the best on validation frames. All rivals are given
what the model is given: the same limb, and the rule that a hot spot lies on the disk and a plume stands on its limb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

from training.rivals.annulus import LimbAnnulus
from training.rivals.sight import Find, Sight
from training.rivals.spots import DaoStars, LaplacianBlobs, SepSources

Rival = Callable[[Sight], list[Find]]

CLEANINGS = (2.0, 5.0)
"""``objlim`` of astroscrappy: a lower one takes more hits, and more hot spots with them."""


def _spots(cleanings: tuple[float | None, ...]) -> dict[str, list[Rival]]:
    dao = product(cleanings, (2, 4), (False, True), (1.5, 2.5))
    sep = product(cleanings, (2, 4), (False, True), (0.0, 1.0))
    log = product(cleanings, (2, 4), (False, True), ((0.7, 1.0, 1.5), (0.7, 1.0, 1.5, 2.2, 3.2)))
    return {
        "DAOStarFinder": [DaoStars(*settings) for settings in dao],
        "sep": [SepSources(*settings) for settings in sep],
        "LoG": [LaplacianBlobs(*settings) for settings in log],
    }


RIVALS: Mapping[str, Mapping[str, list[Rival]]] = {
    "plume": {
        "limb annulus": [
            LimbAnnulus(*settings)
            for settings in product((False, True), (True,), (90.0, 360.0), ((1.0, 3.0), (2.0, 6.0, 12.0)))
        ]
    },
    "hotspot": _spots((None,)) | {f"{name}, hits cleaned": found for name, found in _spots(CLEANINGS).items()},
}
"""By class and name, the settings to choose from."""

__all__ = ["RIVALS", "Find", "Rival", "Sight"]
