"""A known volcano through time: its detections, and the frames that had it in view and showed nothing there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.catalogue import Detection
from detector.sources import NAMED_KM
from detector.timeseries import Moment, Run
from detector.volcanoes import Volcano, volcanoes
from serve.web.store import Store

NEAR = "volcano = ? AND volcano_km <= ?"
NOTE = (
    f"Detections whose nearest known volcano this is, within {NAMED_KM:g} km; and frames that had it in view and on "
    "which nothing was reported there. A frame of which the geometry is not known says nothing of it. limit_snr is the "
    "signal-to-noise at which half are found."
)


def named(name: str) -> Volcano | None:
    """Return a known volcano by its name in any case; None where there is none."""
    return next((volcano for volcano in volcanoes() if volcano.name.casefold() == name.casefold()), None)


def counts(store: Store) -> dict[tuple[str, str], int]:
    """Return how many detections there are by volcano and kind."""
    rows = store.ask(
        "SELECT volcano, kind, COUNT(*) FROM detection WHERE volcano_km <= ? GROUP BY volcano, kind", NAMED_KM
    )
    return {(name, kind): count for name, kind, count in rows}


def moments(store: Store, volcano: Volcano) -> list[Moment]:
    """Return the volcano's moments by time."""
    found = [_seen(row) for row in store.detections(NEAR, volcano.name, NAMED_KM)]
    return sorted([*found, *_missed(store, volcano)], key=lambda row: (row.start_time_utc, row.frame_id, row.kind))


def _seen(row: Detection) -> Moment:
    return Moment(
        "", row.kind, row.volcano, row.frame_id, row.instrument, row.filter, row.start_time_utc,
        detection_id=row.detection_id, score=row.score, peak_snr=row.peak_snr,
        spectral_power_gw_um=row.spectral_power_gw_um, spectral_power_sigma_gw_um=row.spectral_power_sigma_gw_um,
        temperature_k=row.temperature_k, temperature_sigma_k=row.temperature_sigma_k,
        plume_height_km=row.plume_height_km, plume_height_sigma_km=row.plume_height_sigma_km,
        emission_deg=row.emission_deg, flags=row.flags,
    )  # fmt: skip


def _missed(store: Store, volcano: Volcano) -> Iterator[Moment]:
    rows = store.ask(
        "SELECT v.frame, v.kind, v.emission, f.instrument, f.filter, f.start_time, "
        "f.document ->> '$.facts.model', f.document ->> '$.facts.operating_point', f.document ->> '$.unit_power_gw_um' "
        "FROM in_view v JOIN frame f ON f.id = v.frame WHERE v.volcano = ? AND NOT EXISTS "
        "(SELECT 1 FROM detection d WHERE d.frame = v.frame AND d.kind = v.kind AND d.volcano = v.volcano "
        "AND d.volcano_km <= ?)",
        volcano.name,
        NAMED_KM,
    )
    return (_not_seen(volcano.name, row) for row in rows)


def _not_seen(name: str, row: tuple[Any, ...]) -> Moment:
    frame, kind, emission, instrument, band, start, model, point, unit = row
    limit = Run(Path(), (), (), model or "", point or "").limit_snr(kind)
    power = limit * unit / math.cos(math.radians(emission)) if unit is not None and kind == "hotspot" else math.nan
    return Moment(
        "", kind, name, frame, instrument or "", band or "", start or "", found="no", limit_snr=limit,
        spectral_power_limit_gw_um=power, emission_deg=emission,
    )  # fmt: skip
