"""The table of volcanoes and distances on Io's sphere."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.frame import IO_RADIUS_KM
from detector.volcanoes import great_circle_km, nearest, volcanoes

latitudes, longitudes = st.floats(-90, 90), st.floats(0, 360)


@pytest.mark.parametrize(
    ("a", "b", "turns"),
    [((0, 0), (0, 90), 0.25), ((90, 0), (-90, 77), 0.5), ((0, 350), (0, 10), 20 / 360), ((10, 5), (10, 365), 0.0),
     ((0, 0), (0, 180), 0.5)],
)
def test_great_circles(a: tuple[float, float], b: tuple[float, float], turns: float) -> None:
    assert great_circle_km(*a, *b) == pytest.approx(turns * 2 * math.pi * IO_RADIUS_KM, abs=1e-6)


@given(latitudes, longitudes, latitudes, longitudes)
def test_distance_agrees_with_the_angle_between_vectors(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    def vector(lat: float, lon: float) -> tuple[float, float, float]:
        a, b = math.radians(lat), math.radians(lon)
        return math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a)

    chord = math.dist(vector(lat1, lon1), vector(lat2, lon2))
    assert great_circle_km(lat1, lon1, lat2, lon2) == pytest.approx(
        2 * IO_RADIUS_KM * math.asin(min(1.0, chord / 2)), abs=1e-3
    )


def test_the_table_is_sound() -> None:
    names = [volcano.name for volcano in volcanoes()]
    assert len(names) == len(set(names)) > 150
    assert {"Loki Patera", "Pele", "Prometheus", "Tvashtar Paterae", "Pillan Patera"} <= set(names)
    for volcano in volcanoes():
        assert -90 <= volcano.lat_deg <= 90
        assert 0 <= volcano.lon_w_deg < 360
        assert volcano.hot_spot in ("A", "B") or (volcano.hot_spot == "" and volcano.plume)
    assert sum(volcano.plume for volcano in volcanoes()) > 15


def test_every_volcano_is_nearest_to_itself() -> None:
    for volcano in volcanoes():
        found, distance = nearest(volcano.lat_deg, volcano.lon_w_deg)
        assert (found, distance) == (volcano, 0.0)


def test_coordinates_are_the_gazetteers(shared: Path) -> None:
    with (shared / "catalogs" / "io_iau_features.csv").open(encoding="utf-8") as stream:
        gazetteer = {row["name"]: row for row in csv.DictReader(stream)}
    ours = [volcano for volcano in volcanoes() if volcano.source == "IAU Gazetteer"]
    assert len(ours) > 150
    for volcano in ours:
        official = gazetteer[volcano.name]
        assert (volcano.lat_deg, volcano.lon_w_deg) == (float(official["lat_deg"]), float(official["lon_west_deg"]))
