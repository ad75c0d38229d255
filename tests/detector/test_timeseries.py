"""Time series: hand-counted histories, limits on a frame that is opened again, tables that are refused, the page."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector import read_frames
from detector.catalogue import Catalogue, Detection, FrameStatus
from detector.errors import InputError
from detector.frame import sha256_of
from detector.pointing import geometry_of
from detector.products import product_of
from detector.sightings import emission_deg, limb_of, sightings
from detector.table import to_csv
from detector.timeseries import Moment, Run, build, read_run
from detector.timeseries_page import page
from serve import cli

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "frames" / "C0350040000R.IMG"
SPOT = {"lat_deg": -0.017, "lon_w_deg": 190.329, "lon_e_deg": 169.671}
"""The hot spot of the sample, as the detector places it with the limb below, at pixel (645.13, 86.23)."""
MODEL = "io-detector@0.1.0"


def spot(frame: str, number: int = 1, lat: float = 10.0, lon_w: float = 100.0, **known: object) -> Detection:
    row = Detection(f"{frame}-h{number:02d}", frame, "hotspot", lat_deg=lat, lon_w_deg=lon_w, position_sigma_deg=0.5)
    return replace(row, **{"model": MODEL, "instrument": "jiram", "filter": "M", **known})  # type: ignore[arg-type]


def status(frame: str, time: str = "2017-01-01T00:00:00.000", **known: object) -> FrameStatus:
    row = FrameStatus(frame, f"nowhere/{frame}.IMG", f"hash-{frame}", start_time_utc=time, plumes=0.0, hotspots=0.0)
    return replace(row, instrument="jiram", filter="M", **known)  # type: ignore[arg-type]


def sample_status() -> FrameStatus:
    return FrameStatus(
        "C0350040000R",
        str(SAMPLE),
        sha256_of(SAMPLE),
        "ok",
        "",
        "galileo_ssi",
        "VIOLET",
        "1997-06-28T00:00:00.000Z",
        1.0,
        0,
        0,
        "label",
        *sample_circle(),
    )


def sample_circle() -> tuple[float, float, float]:
    from detector.limb import find_limb

    (frame,) = read_frames(product_of(SAMPLE))
    limb = find_limb(frame)
    return limb.x_px, limb.y_px, limb.radius_px


@pytest.fixture(scope="module")
def sample() -> FrameStatus:
    return sample_status()


def write_run(folder: Path, run: Run, point: str = "confident") -> Path:
    folder.mkdir(parents=True)
    catalogue = Catalogue(run.detections, MODEL, point)
    (folder / "catalogue.csv").write_text(catalogue.to_csv(), encoding="utf-8", newline="")
    (folder / "catalogue.geojson").write_text(catalogue.to_geojson(), encoding="utf-8")
    (folder / "frames.csv").write_text(to_csv(FrameStatus, run.frames), encoding="utf-8", newline="")
    return folder


def test_hand_counted_history() -> None:
    run = Run(
        Path("run"),
        (
            spot("a", start_time_utc="2017-01-01T00:00:00.000", score=0.7, peak_snr=9.0, spectral_power_gw_um=2.0),
            spot("b", start_time_utc="2018-01-01T00:00:00.000", score=0.9, peak_snr=8.0, temperature_k=600.0),
            spot("b", 2, lat=-40.0, start_time_utc="2018-01-01T00:00:00.000"),
            replace(spot("b", 3), lat_deg=math.nan, lon_w_deg=math.nan, position_sigma_deg=math.nan),
            replace(spot("b", 4), position_sigma_deg=30.0),
        ),
        (status("a"), status("b", "2018-01-01T00:00:00.000"), status("c", "2019-01-01T00:00:00.000")),
        MODEL,
    )
    series = build([run])
    assert (series.detections, series.frames) == (5, 3)
    assert [(m.source_id, m.frame_id, m.found) for m in series.moments] == [
        ("H01", "b", "yes"),
        ("H02", "a", "yes"),
        ("H02", "b", "yes"),
    ]
    south, north = series.sources
    assert (north.detections, north.moments, north.in_view_not_found, north.not_known) == (2, 2, 0, 1)
    assert (south.detections, south.moments, south.in_view_not_found, south.not_known) == (1, 1, 0, 2)
    assert (north.first_seen_utc, north.last_seen_utc) == ("2017-01-01T00:00:00.000", "2018-01-01T00:00:00.000")
    assert (north.best_score, north.spectral_power_max_gw_um, north.temperature_max_k) == (0.9, 2.0, 600.0)
    assert math.isnan(north.plume_height_max_km)
    assert series.unplaced == {
        ("hotspot", "its place on Io is not known"): 1,
        ("hotspot", "its place is not known to 20 degrees"): 1,
    }
    assert series.unseen == {"the frame's file is not where frames.csv says": 3}


def test_bands_of_one_moment_are_rows_of_their_own_and_one_moment() -> None:
    time = "2017-01-01T00:00:00.000"
    rows = (spot("a_L", start_time_utc=time), spot("a_M", start_time_utc=time))
    (source,) = build([Run(Path("run"), rows)]).sources
    assert (source.detections, source.moments) == (2, 1)


def test_the_sample_frame_sees_its_own_hot_spot_and_not_the_far_side(sample: FrameStatus) -> None:
    lat, lon_w = np.array([SPOT["lat_deg"], -SPOT["lat_deg"]]), np.array([SPOT["lon_w_deg"], SPOT["lon_w_deg"] - 180])
    (told,) = sightings([sample], SAMPLE.parent, (lat, lon_w))
    assert told.known
    assert told.hotspot.tolist() == [True, False]
    assert told.plume.tolist() == [False, False]
    (frame,) = read_frames(product_of(SAMPLE))
    pointing = geometry_of(frame, limb_of(sample, frame))
    x, y, _ = pointing.project(lat, lon_w)
    assert math.hypot(x[0] - 645.13, y[0] - 86.23) < 3.0  # the limb is off by up to 1 % of 130 px
    seen = pointing.at(x[0], y[0])
    assert told.emission_deg[0] == pytest.approx(float(seen.emission_deg), abs=0.5)  # sphere and ellipsoid
    assert told.emission_deg[1] > 90


def test_a_plume_is_asked_for_near_the_limb_only(sample: FrameStatus) -> None:
    (frame,) = read_frames(product_of(SAMPLE))
    pointing = geometry_of(frame, limb_of(sample, frame))
    lat, lon_w = (grid.ravel() for grid in np.meshgrid(np.arange(-85.0, 86, 5), np.arange(0.0, 360, 5), indexing="ij"))
    (told,) = sightings([sample], SAMPLE.parent, (lat, lon_w))
    emission = emission_deg(pointing, (lat, lon_w))
    assert told.plume.any()
    assert (np.abs(emission[told.plume] - 90) <= 10).all()
    assert (emission[told.hotspot] <= 75).all()
    (blind,) = sightings([replace(sample, plumes=math.nan)], SAMPLE.parent, (lat, lon_w))
    assert not blind.plume.any()
    assert (blind.hotspot == told.hotspot).all()


def test_in_view_and_not_found_gives_a_limit(sample: FrameStatus) -> None:
    """The sample has another hot spot of 10 GW/um at a peak S/N of 5; half are found at 28: 56 GW/um but for slants."""
    here = Detection(
        "C0350040000R-h01", "C0350040000R", "hotspot", lat_deg=10.0, lon_w_deg=230.0, position_sigma_deg=0.5,
        peak_snr=5.0, spectral_power_gw_um=10.0, start_time_utc=sample.start_time_utc,
    )  # fmt: skip
    elsewhere = spot("far", lat=SPOT["lat_deg"], lon_w=SPOT["lon_w_deg"], start_time_utc="1999-01-01T00:00:00.000")
    run = Run(Path("run"), (here, elsewhere), (sample, status("far", "1999-01-01T00:00:00.000")), MODEL, "confident")
    series = build([run])
    source = next(row for row in series.sources if row.lat_deg == pytest.approx(SPOT["lat_deg"]))
    own = [row for row in series.moments if row.source_id == source.source_id]
    assert [(row.frame_id, row.found) for row in own] == [("C0350040000R", "no"), ("far", "yes")]
    assert own[0].limit_snr == 28.0
    other = next(row for row in series.moments if row.detection_id == here.detection_id)
    slant = math.cos(math.radians(other.emission_deg)) / math.cos(math.radians(own[0].emission_deg))
    assert abs(slant - 1) > 0.02
    assert own[0].spectral_power_limit_gw_um == pytest.approx(56.0 * slant)
    assert math.isnan(own[0].spectral_power_gw_um)
    assert own[0].detection_id == ""
    assert source.in_view_not_found == 1
    assert math.isnan(own[1].limit_snr)
    given = [row for row in build([run], 14.0).moments if not row.seen]
    assert [row.spectral_power_limit_gw_um for row in given] == [pytest.approx(28.0 * slant)]


def test_without_a_measured_power_on_the_frame_there_is_no_limit_in_power(sample: FrameStatus) -> None:
    found = spot("far", lat=SPOT["lat_deg"], lon_w=SPOT["lon_w_deg"], peak_snr=10.0, spectral_power_gw_um=3.0)
    missed = build([Run(Path("run"), (found,), (sample,), MODEL)]).moments[-1]
    assert (missed.found, missed.limit_snr) == ("no", 28.0)
    assert math.isnan(missed.spectral_power_limit_gw_um)


def test_a_model_that_nobody_measured_has_no_limit(sample: FrameStatus) -> None:
    found = replace(spot("far", lat=SPOT["lat_deg"], lon_w=SPOT["lon_w_deg"]), model="other@1")
    series = build([Run(Path("run"), (found,), (sample,), "other@1", "confident")])
    assert [row.found for row in series.moments] == ["yes", "no"]
    assert math.isnan(series.moments[1].limit_snr)
    assert "No limits for other@1" in series.notes[0]


@pytest.mark.parametrize(("point", "limit"), [("screening", 14.0), ("confident", 28.0), ("", 28.0)])
def test_the_limit_is_the_operating_point_s(point: str, limit: float) -> None:
    assert Run(Path(), (), (), MODEL, point).limit_snr("hotspot") == limit


def test_a_file_that_has_changed_tells_nothing(sample: FrameStatus) -> None:
    (told,) = sightings([replace(sample, sha256="0" * 64)], SAMPLE.parent, (np.zeros(1), np.zeros(1)))
    assert not told.known
    assert "changed" in told.reason


def test_a_relative_path_is_found_beside_the_table(sample: FrameStatus) -> None:
    (told,) = sightings([replace(sample, path=SAMPLE.name)], SAMPLE.parent, (np.zeros(1), np.zeros(1)))
    assert told.known


def test_a_frame_of_two_catalogues_counts_once() -> None:
    first = Run(Path("one"), (spot("a"),), (status("a"),), MODEL)
    again = Run(Path("two"), (spot("a"), spot("a", 2, lat=50.0)), (status("a"),), MODEL)
    series = build([first, again])
    assert (series.detections, series.frames, len(series.sources)) == (1, 1, 1)
    assert "more than one catalogue" in series.notes[0]
    other = replace(again, frames=(status("a", sha256="another file of this name"),))
    assert (build([first, other]).detections, len(build([first, other]).sources)) == (3, 2)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    row = spot("a", spectral_power_gw_um=1.25, flags="EDGE|SMALL")
    run = Run(tmp_path / "run", (row,), (status("a"),), MODEL, "screening")
    read = read_run(write_run(tmp_path / "run", run, "screening"))
    assert repr(read) == repr(run)  # NaN is not equal to itself
    assert repr(read_run(tmp_path / "run" / "catalogue.csv")) == repr(read)


def test_rejected_products_are_no_frames(tmp_path: Path) -> None:
    run = Run(tmp_path, (), (status("a"), FrameStatus(path="broken.IMG", status="rejected")))
    assert [row.frame_id for row in read_run(write_run(tmp_path / "run", run)).frames] == ["a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frame_id,kind\r\n", "lacks the columns detection_id, lat_deg, lon_w_deg, position_sigma_deg"),
        ("detection_id,frame_id,kind,lat_deg,lon_w_deg,position_sigma_deg\r\nd,f,plume,north,1,1\r\n",
         "row 2: lat_deg is 'north', expected a number"),
        ("detection_id,frame_id,kind,lat_deg,lon_w_deg,position_sigma_deg\r\nd,f,geyser,0,1,1\r\n",
         "row 2: kind is 'geyser', expected plume or hotspot"),
        ("detection_id,frame_id,kind,lat_deg,lon_w_deg,position_sigma_deg\r\n,f,plume,0,1,1\r\n",
         "row 2: a detection without detection_id"),
        ("", "lacks the columns"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_of_ours_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "catalogue.csv").write_text(text, newline="")
    with pytest.raises(InputError, match=re.escape(said)):
        read_run(tmp_path)


def test_columns_of_another_version_do_not_matter(tmp_path: Path) -> None:
    """A column more is passed over, and one that is not needed may be missing: not known."""
    head = "detection_id,frame_id,kind,lat_deg,lon_w_deg,position_sigma_deg,colour"
    (tmp_path / "catalogue.csv").write_text(f"{head}\r\nd,f,plume,10,20,1,red\r\n", newline="")
    (row,) = read_run(tmp_path).detections
    assert (row.lat_deg, row.lon_w_deg) == (10.0, 20.0)
    assert math.isnan(row.peak_snr)


def series_of_all_kinds(sample: FrameStatus) -> list[Run]:
    plume = replace(spot("p"), detection_id="p-p01", kind="plume", plume_height_km=90.0, plume_height_sigma_km=12.0)
    spots = [
        spot("f1", lat=SPOT["lat_deg"], lon_w=SPOT["lon_w_deg"], spectral_power_gw_um=3.0, peak_snr=9.0,
             spectral_power_sigma_gw_um=4.0, start_time_utc="2017-01-01T00:00:00Z"),
        spot("f2", lat=SPOT["lat_deg"], lon_w=SPOT["lon_w_deg"], spectral_power_gw_um=300.0, peak_snr=90.0,
             flags="SATURATED", start_time_utc="2019-07-01T00:00:00Z"),
        spot("f3", start_time_utc="no time"),
    ]  # fmt: skip
    first = Run(Path("one"), (plume, *spots), (sample, status("p"), status("f1")), MODEL, "confident")
    return [first, Run(Path("two"), (spot("f4", instrument="<b>odd</b>"),), (status("f4"),), MODEL)]


def test_the_page_shows_every_source_and_links_nowhere(sample: FrameStatus) -> None:
    series = build(series_of_all_kinds(sample))
    text = page(series)
    for source in series.sources:
        assert f'<figure id="{source.source_id}">' in text
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert addresses
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in addresses)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert "<b>odd" not in text
    assert "1 plume source and 2 hot spot sources" in text


def test_the_same_runs_in_any_order_give_the_same_bytes(sample: FrameStatus) -> None:
    runs = series_of_all_kinds(sample)
    one, other = build(runs), build(runs[::-1])
    assert one.tables() == other.tables()
    assert page(one) == page(other)


def test_the_command_writes_tables_and_page(
    tmp_path: Path, sample: FrameStatus, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [write_run(tmp_path / f"run{n}", run) for n, run in enumerate(series_of_all_kinds(sample))]
    assert cli.run(["timeseries", *map(str, folders), "--out", str(tmp_path / "out")]) == 0
    assert "3 sources from 5 detections on 4 frames" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out" / "timeseries.csv").open(newline="", encoding="utf-8")))
    assert list(rows[0]) == list(Moment.__dataclass_fields__)
    assert {row["found"] for row in rows} == {"yes", "no"}
    assert (tmp_path / "out" / "timeseries.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_empty_catalogues_give_an_empty_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", Run(tmp_path, (), (status("a"), status("b"))))
    assert cli.run(["timeseries", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "Nothing was found" in (tmp_path / "out" / "timeseries.html").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "sources.csv").read_text().count("\n") == 1


def test_a_catalogue_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["timeseries", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
