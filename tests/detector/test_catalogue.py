"""The tables that users read: columns, unknowns, and that other readers understand them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.card import Threshold
from detector.catalogue import Catalogue, Detection, FrameStatus
from detector.table import cells, from_values, header, read_csv, to_csv, values

COLUMNS = (
    "detection_id,frame_id,kind,score,x_px,y_px,bbox_x0_px,bbox_y0_px,bbox_x1_px,bbox_y1_px,area_px,peak_snr,"
    "lon_e_deg,lon_w_deg,lat_deg,position_sigma_deg,geometry_source,plume_height_km,plume_height_sigma_km,"
    "plume_width_km,spectral_power_gw_um,spectral_power_sigma_gw_um,temperature_k,temperature_sigma_k,volcano,"
    "volcano_distance_km,instrument,filter,start_time_utc,flags,model,"
    "plume_azimuth_deg,plume_vent_height_km,plume_vent_height_sigma_km,peak_i_over_f,emission_deg,hot_area_km2"
)
FRAME_COLUMNS = (
    "frame_id,path,sha256,status,reason,instrument,filter,start_time_utc,coverage,plumes,hotspots,limb_source,"
    "disk_x_px,disk_y_px,disk_radius_px,seconds"
)

PLUME = Detection("a-p01", "a", "plume", 0.91234, 10.005, -0.001, area_px=12, plume_height_km=86.04, model="m@1")
SPOT = Detection(
    "a-h01", "a", "hotspot", 0.8, 1.0, 2.0, lon_e_deg=-153.939, lon_w_deg=153.939, lat_deg=-1.5244,
    volcano='Euboea Fluctūs, "west"', filter="CLR,\nNEW", flags="EDGE|GAP",
)


def test_columns_are_those_agreed_and_in_that_order() -> None:
    assert ",".join(header(Detection)) == COLUMNS
    assert ",".join(header(FrameStatus)) == FRAME_COLUMNS


def test_csv_parses_back_and_unknown_is_empty() -> None:
    text = Catalogue((PLUME, SPOT)).to_csv()
    assert text.count("\r\n") == 3
    plume, spot = csv.DictReader(io.StringIO(text, newline=""))
    assert ",".join(plume) == COLUMNS
    assert (plume["score"], plume["y_px"], plume["area_px"]) == ("0.9123", "0.00", "12")
    assert plume["plume_height_km"] == "86.0"
    assert {plume[name] for name in ("lon_e_deg", "lat_deg", "temperature_k", "volcano", "filter", "flags")} == {""}
    assert (spot["volcano"], spot["filter"], spot["flags"]) == (SPOT.volcano, SPOT.filter, "EDGE|GAP")
    assert spot["lat_deg"] == "-1.524"


def test_an_empty_catalogue_is_a_header() -> None:
    assert Catalogue().to_csv() == COLUMNS + "\r\n"
    assert json.loads(Catalogue().to_geojson())["features"] == []


@pytest.mark.parametrize("rows", [(), (PLUME,), (PLUME, SPOT, PLUME)])
def test_geojson_in_pieces_is_what_json_would_write(rows: tuple[Detection, ...]) -> None:
    limits = {"plume": Threshold(seed=0.7, grow=0.4, min_area_px=5)}
    text = Catalogue(rows, "m@1", "confident", limits).to_geojson()
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"
    assert "".join(Catalogue((), "m@1", "confident", limits).geojson_lines(iter(rows))) == text


def test_a_table_reads_back(tmp_path: Path) -> None:
    table = tmp_path / "catalogue.csv"
    table.write_text(Catalogue((PLUME, SPOT)).to_csv(), encoding="utf-8", newline="")
    assert [cells(row) for row in read_csv(Detection, table)] == [cells(PLUME), cells(SPOT)]


def test_geojson() -> None:
    limits = {"plume": Threshold(seed=0.7, grow=0.4, min_area_px=5)}
    document = json.loads(Catalogue((PLUME, SPOT), "m@1", "confident", limits).to_geojson())
    assert document["type"] == "FeatureCollection"
    assert document["crs"]["properties"]["name"] == "urn:ogc:def:crs:IAU::50100"
    assert document["thresholds"] == {"plume": {"seed": 0.7, "grow": 0.4, "min_area_px": 5, "score": 0.0}}
    plume, spot = document["features"]
    assert plume["geometry"] is None
    assert plume["properties"]["lat_deg"] is None
    assert spot["geometry"] == {"type": "Point", "coordinates": [-153.939, -1.524]}
    assert spot["properties"]["volcano"] == SPOT.volcano
    assert [feature["id"] for feature in document["features"]] == ["a-p01", "a-h01"]


finite_or_not = st.floats(width=32)


@settings(max_examples=60)
@given(st.text(), finite_or_not, finite_or_not, st.integers(0, 10**9))
def test_rows_survive_being_kept_as_values(name: str, score: float, snr: float, area: int) -> None:
    row = Detection(name, "f", "plume", score, peak_snr=snr, area_px=area)
    kept = json.loads(json.dumps(values(row), allow_nan=False))
    again = from_values(Detection, {"detection_id": "", **{k: v for k, v in kept.items() if v is not None}})
    assert cells(again) == cells(row)


@settings(max_examples=60)
@given(st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
def test_any_text_survives_csv(reason: str) -> None:
    (row,) = csv.DictReader(io.StringIO(to_csv(FrameStatus, [FrameStatus(reason=reason)]), newline=""))
    assert row["reason"] == reason


def test_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(TypeError):
        from_values(FrameStatus, {"no_such_column": 1})


def test_geopandas_opens_the_geojson_on_io(tmp_path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed (extra dev)")
    path = tmp_path / "catalogue.geojson"
    placed = replace(PLUME, lon_e_deg=-153.939, lon_w_deg=153.939, lat_deg=-1.5)
    path.write_text(Catalogue((placed, SPOT), "m@1", "confident", {}).to_geojson())
    table = geopandas.read_file(path)
    assert table.crs.name == "Io (2015) - Sphere / Ocentric"
    assert 'AUTHORITY["IAU","50100"]' in table.crs.to_wkt("WKT1_GDAL")
    assert table.crs.ellipsoid.semi_major_metre == 1_821_490
    assert [(point.x, point.y) for point in table.geometry] == [(-153.939, -1.5), (-153.939, -1.524)]
    assert table.kind.tolist() == ["plume", "hotspot"]
