"""Completeness against ``snr_mf`` of others than the model: how it is drawn, and read from a power.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import CLASSES
from training.metrics import Bin

BUDGET = "confident"
"""Of the false-alarm rates of a power.json the one that a report shows."""
CEILING = "matched filter"
CLEANED = ", hits cleaned"
COLOURS = {"limb annulus": "#009E73", "DAOStarFinder": "#009E73", "sep": "#CC79A7", "LoG": "#000000", CEILING: "0.45"}
OTHER_COLOUR = "#56B4E9"
NOT_OURS = "is no power.json that can be read"
MAKE_ONE = "name the power.json that `io-detector benchmark power` wrote"


@dataclass(frozen=True)
class RivalCurve:
    """How much another finder, or the perfect filter, finds.

    Attributes:
        name: who.
        snr: (n,) rising ``snr_mf``.
        share: (n,) found there.
        half_snr: where half are found; NaN where they never are.
        rate: false alarms a frame that it is held to.

    """

    name: str
    snr: NDArray[np.float64]
    share: NDArray[np.float64]
    half_snr: float
    rate: float

    @classmethod
    def of_bins(cls, name: str, bins: Sequence[Bin], half_snr: float, rate: float) -> RivalCurve:
        """Draw through the middles of bins that are not empty."""
        some = [one for one in bins if one.total]
        middles, shares = [one.middle for one in some], [one.recall for one in some]
        return cls(name, np.array(middles, float), np.array(shares, float), half_snr, rate)

    def draw(self, axes: Axes) -> None:
        """Draw as one line; dashed where radiation hits were taken out first."""
        colour = COLOURS.get(self.name.removesuffix(CLEANED), OTHER_COLOUR)
        label = f"{self.name} ({f'half at {self.half_snr:.3g}' if math.isfinite(self.half_snr) else 'never half'})"
        dashes = "-." if self.name == CEILING else "--" if self.name.endswith(CLEANED) else "-"
        mark = "" if self.name == CEILING else "o"
        axes.plot(self.snr, self.share, color=colour, ls=dashes, marker=mark, ms=2.5, lw=1.0, label=label)


@dataclass(frozen=True)
class Rivals:
    """What a power.json says for a report.

    Attributes:
        judged_on: name, frames and lock of the frames that it was made on.
        curves: by class; the perfect filter stands last.

    """

    judged_on: Mapping[str, object]
    curves: Mapping[str, tuple[RivalCurve, ...]]


def read_rivals(path: Path) -> Rivals:
    """Read the curves of a power.json.

    Raises:
        InputError: the file cannot be read, or is not one.

    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        curves = {kind: tuple(_curves(held["classes"][kind])) for kind in CLASSES}
        return Rivals(dict(held["about"]["test"]), curves)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}", MAKE_ONE) from error
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise InputError(path, NOT_OURS, MAKE_ONE) from error


def _curves(power: Mapping) -> list[RivalCurve]:
    budget = next(one for one in power["budgets"] if one["name"] == BUDGET)
    rate, found = float(budget["rate"]), []
    for one in budget["finders"][1:]:
        bins = [Bin(b["low"], _known(b["high"], math.inf), b["total"], b["found"]) for b in one["by_snr"]]
        found.append(RivalCurve.of_bins(one["name"], bins, _known(one["half_snr"]["value"]), rate))
    top = budget["ceiling"]
    snr, share = np.array(top["snr"], float), np.array(top["share"], float)
    return [*found, RivalCurve(CEILING, snr, share, _known(top["half_snr"]), rate)]


def _known(value: float | None, otherwise: float = math.nan) -> float:
    return otherwise if value is None else float(value)
