"""Io's known volcanic features, and which of them is nearest to a place."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from detector.frame import IO_RADIUS_KM

TABLE = Path(__file__).with_name("volcanoes.csv")


@dataclass(frozen=True)
class Volcano:
    """A named place that is known to glow or to erupt.

    Attributes:
        name: as the IAU Gazetteer has it, or a description for the unnamed.
        lat_deg: planetocentric.
        lon_w_deg: west-positive, 0..360.
        hot_spot: ``A`` in published hot-spot lists, ``B`` probably, empty when only a plume is known.
        plume: a plume has been seen from it.
        source: of the coordinates.

    """

    name: str
    lat_deg: float
    lon_w_deg: float
    hot_spot: str
    plume: bool
    source: str


@cache
def volcanoes() -> tuple[Volcano, ...]:
    """Every feature of the table, in its order."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(line for line in stream if not line.startswith("#"))
        return tuple(_volcano(row) for row in rows)


def nearest(lat_deg: float, lon_w_deg: float) -> tuple[Volcano, float]:
    """Return the feature nearest to a planetocentric latitude and west longitude, and its distance in km."""
    distances = ((great_circle_km(lat_deg, lon_w_deg, v.lat_deg, v.lon_w_deg), v) for v in volcanoes())
    distance, volcano = min(distances, key=lambda pair: pair[0])
    return volcano, distance


def great_circle_km(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    """Distance along Io's sphere of 1821.49 km; the haversine form, exact for near and for opposite places."""
    lat1, lat2 = math.radians(lat1_deg), math.radians(lat2_deg)
    half_lat, half_lon = (lat2 - lat1) / 2, math.radians(lon2_deg - lon1_deg) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(half_lon) ** 2
    return 2 * IO_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))


def _volcano(row: dict[str, str]) -> Volcano:
    lat, lon_w, plume = float(row["lat_deg"]), float(row["lon_w_deg"]), row["plume"] == "yes"
    return Volcano(row["name"], lat, lon_w, row["hot_spot"], plume, row["source"])
