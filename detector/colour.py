"""Colour temperature: the same hot spot in two bands of one moment.

Two detections are the same spot when they are of one camera, in different filters, taken within PAIR_S of each other,
and their places on Io agree within three 1-sigmas. Only catalogue rows are needed, so frames of one product, of a
sequence, or of a whole catalogue can be paired. (The L and M halves of one JIRAM record look at different strips of Io:
their pairs are in neighbouring records, some 30 s apart.)

The ratio of the two powers gives the temperature of a black body, and this and either power its area. The slant is
common to both powers, so what is not known of the fall-off with the emission angle cancels. Saturated spots have no
ratio.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from detector.catalogue import Detection
from detector.flags import Doubt
from detector.hotspot_measure import emission_law_sigma
from detector.thermal import Band, band_of, band_radiance, colour_temperature
from detector.volcanoes import great_circle_km

PAIR_S = 120.0
SIGMAS = 3.0
KM_PER_DEG = 31.79
"""Along a great circle of Io."""
SLACK_KM = 5.0
"""Places agree within this whatever their errors: extended spots are brightest at different places in two bands."""

Spot = tuple[str, float, int]
"""Instrument, time in seconds, and the number of a catalogue's row."""


def with_temperatures(rows: Sequence[Detection]) -> tuple[Detection, ...]:
    """Return the rows, in their order, with colour temperature and area where a spot was measured in two bands.

    Of several partners the nearest place is taken, then the first. A row without a partner stays as it is.
    """
    found = list(rows)
    ready = [n for n, row in enumerate(rows) if is_usable(row)]
    pairs = sorted(_pairs(rows, ready))
    taken: set[int] = set()
    for _, first, second in pairs:
        if first not in taken and second not in taken:
            taken |= {first, second}
            found[first], found[second] = _measured(rows[first], rows[second])
    return tuple(found)


def moments(spots: Iterable[Spot]) -> Iterator[list[Spot]]:
    """Group spots that may be pairs, so that a catalogue of any length can be worked through a group at a time.

    Between the groups there are no pairs, so the temperatures of all are those of each group by itself.

    Args:
        spots: (instrument, seconds, row) of usable rows, in the order of instrument and time.

    """
    group: list[Spot] = []
    for spot in spots:
        if group and (spot[0] != group[-1][0] or spot[1] - group[-1][1] > PAIR_S):
            yield group
            group = []
        group.append(spot)
    if group:
        yield group


def is_usable(row: Detection) -> bool:
    """Whether a row may have a partner: a hot spot with power, place and band."""
    return (
        row.kind == "hotspot"
        and row.spectral_power_gw_um > 0
        and math.isfinite(row.lat_deg)
        and band_of(row.instrument, row.filter) is not None
        and str(Doubt.SATURATED.name) not in row.flags.split("|")
    )


def _pairs(rows: Sequence[Detection], ready: Sequence[int]) -> Iterator[tuple[float, int, int]]:
    """Distances in km and row numbers of what may be the same spot; rows of unknown time never are."""
    timed = sorted((time, n) for n in ready if (time := seconds_of(rows[n])) is not None)
    for place, (start, n) in enumerate(timed):
        for time, m in timed[place + 1 :]:
            if time - start > PAIR_S:
                break
            first, second = min(n, m), max(n, m)
            one, other = rows[first], rows[second]
            if one.instrument != other.instrument or one.filter == other.filter:
                continue
            apart = great_circle_km(one.lat_deg, one.lon_w_deg, other.lat_deg, other.lon_w_deg)
            sigma = math.hypot(one.position_sigma_deg, other.position_sigma_deg) * KM_PER_DEG
            if apart <= max(SIGMAS * sigma, SLACK_KM):
                yield apart, first, second


def seconds_of(row: Detection) -> float | None:
    """The row's time as a number; None where it has none."""
    try:
        return datetime.fromisoformat(row.start_time_utc.rstrip("Z")).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _measured(one: Detection, other: Detection) -> tuple[Detection, Detection]:
    first, second = band_of(one.instrument, one.filter), band_of(other.instrument, other.filter)
    if first is None or second is None:
        return one, other
    ratio = one.spectral_power_gw_um / other.spectral_power_gw_um
    kelvin, sigma = colour_temperature(first, second, ratio, math.hypot(_own_sigma(one), _own_sigma(other)))
    return _warm(one, first, kelvin, sigma), _warm(other, second, kelvin, sigma)


def _own_sigma(row: Detection) -> float:
    """Relative 1-sigma of a power without what it has in common with its partner's."""
    whole = row.spectral_power_sigma_gw_um / row.spectral_power_gw_um
    common = emission_law_sigma(row.emission_deg)
    return math.sqrt(max(whole**2 - common**2, 0.0))


def _warm(row: Detection, band: Band, kelvin: float, sigma: float) -> Detection:
    if not math.isfinite(kelvin):
        return row
    area_km2 = row.spectral_power_gw_um * 1000 / (math.pi * float(band_radiance(band, kelvin)))
    return replace(row, temperature_k=kelvin, temperature_sigma_k=sigma, hot_area_km2=area_km2)
