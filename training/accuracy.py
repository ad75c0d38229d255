"""How well the catalogue's numbers agree with the truth, for the objects that were found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.catalogue import Detection
from detector.colour import with_temperatures
from detector.flags import Doubt
from detector.frame import IO_RADIUS_KM
from detector.volcanoes import great_circle_km
from training.labels import Truth

Pair = tuple[Truth, Detection]
Numbers = tuple[float, float, float]
"""True value, found value, quoted 1-sigma."""


@dataclass(frozen=True)
class Accuracy:
    """Errors of one quantity.

    Attributes:
        quantity: what, and its unit.
        count: objects that have both a truth and a measurement.
        error: median of the errors' sizes: a share of the truth where ``relative``, else in the unit.
        bias: median of the signed errors; NaN for distances.
        relative: whether errors are shares of the truth.
        covered: share within the quoted 1-sigma (about 0.68 when it is honest); NaN where none is quoted.

    """

    quantity: str
    count: int
    error: float
    bias: float
    relative: bool
    covered: float


def accuracies(pairs: Sequence[Pair]) -> tuple[Accuracy, ...]:
    """Compare all numbers of found objects with their truth; a quantity nobody measured has a count of 0."""
    truths = [truth for truth, _ in pairs]
    rows = with_temperatures([row for _, row in pairs])
    both = list(zip(truths, rows, strict=True))
    return (
        _errors("plume height, km", (_height(t, d) for t, d in both), relative=True),
        _errors("position, degrees on Io", (_place(t, d) for t, d in both), relative=False, distance=True),
        _errors("hot-spot power, GW/um", (_power(t, d) for t, d in both), relative=True),
        _errors("temperature from two bands, K", (_kelvin(t, d) for t, d in both), relative=False),
    )


def _height(truth: Truth, row: Detection) -> Numbers:
    return truth.height_km, row.plume_vent_height_km, row.plume_vent_height_sigma_km


def _place(truth: Truth, row: Detection) -> Numbers:
    """Distance from the true place, as an error of 0."""
    if not (math.isfinite(truth.lat_deg) and math.isfinite(row.lat_deg)):
        return math.nan, math.nan, math.nan
    apart = great_circle_km(truth.lat_deg, truth.lon_w_deg, row.lat_deg, row.lon_w_deg)
    return 0.0, math.degrees(apart / IO_RADIUS_KM), row.position_sigma_deg


def _power(truth: Truth, row: Detection) -> Numbers:
    bound = str(Doubt.SATURATED.name) in row.flags.split("|")
    found = math.nan if bound else row.spectral_power_gw_um
    return truth.power_gw_um, found, row.spectral_power_sigma_gw_um


def _kelvin(truth: Truth, row: Detection) -> Numbers:
    return truth.temperature_k, row.temperature_k, row.temperature_sigma_k


def _errors(quantity: str, numbers: Iterable[Numbers], *, relative: bool, distance: bool = False) -> Accuracy:
    table = np.array([one for one in numbers if math.isfinite(one[0]) and math.isfinite(one[1])], float).reshape(-1, 3)
    true, found, sigma = table.T
    if not len(table):
        return Accuracy(quantity, 0, math.nan, math.nan, relative, math.nan)
    errors = (found - true) / true if relative else found - true
    quoted = np.isfinite(sigma) & (sigma > 0)
    inside = np.abs(found - true)[quoted] <= sigma[quoted]
    return Accuracy(
        quantity,
        len(table),
        float(np.median(np.abs(errors))),
        math.nan if distance else float(np.median(errors)),
        relative,
        float(inside.mean()) if quoted.any() else math.nan,
    )
