"""What a batch holds in memory does not grow with the number of products, and its tables are those of all rows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.catalogue import Catalogue, Detection, FrameStatus
from detector.colour import with_temperatures
from detector.products import Product
from serve.batch import Terms, run
from serve.journal import Journal, Key, Outcome
from serve.tables import write_tables
from serve.worker import Settings, Task

TERMS = Terms("canned", Catalogue((), "canned@1", "confident"))
SPOT = Detection(
    "x-h01",
    "x",
    "hotspot",
    0.9,
    instrument="galileo_ssi",
    filter="CLEAR",
    lat_deg=10.0,
    lon_w_deg=310.0,
    lon_e_deg=50.0,
    position_sigma_deg=0.2,
    spectral_power_gw_um=50.0,
    spectral_power_sigma_gw_um=5.0,
    emission_deg=20.0,
    start_time_utc="1997-06-28T13:00:00Z",
)


class Canned:
    """A crew that knows its answers: all that is left is what the batch itself does."""

    def outcomes(self, tasks: Iterator[Task], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        for task in tasks:
            name = task.product.data.stem + task.suffix
            frame = FrameStatus(name, task.path, "0" * 64)
            number = int(task.product.data.stem[1:-1])
            time = f"{1900 + number // 24}-01-01T{number % 24:02d}:00:00Z"
            spot = replace(SPOT, frame_id=name, start_time_utc=time)
            rows = tuple(replace(spot, detection_id=f"{name}-h{n:02d}") for n in range(3))
            yield Outcome(Key(task.path, "0" * 64, task.settings), "done", task.suffix, (name,), (frame,), rows)


def peak_kb(count: int, out: Path) -> float:
    products = (Product(None, Path(f"/none/{n % 50:02d}/C{n:010d}R.IMG")) for n in range(count))
    tracemalloc.start()
    report = run(products, Settings(out, masks=False, quicklooks=False), crew=Canned(), terms=TERMS)
    peak = tracemalloc.get_traced_memory()[1] / 1000
    tracemalloc.stop()
    assert report.counts == {"ok": count, "hotspot": 3 * count}
    return peak


def test_memory_does_not_grow_with_the_number_of_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.batch.IN_MEMORY", 10_000)
    few, many = peak_kb(250, tmp_path / "few"), peak_kb(1250, tmp_path / "many")
    assert many < few + 1000  # a thousand products more: 1 kB each at most, where an outcome takes 10


def spots() -> st.SearchStrategy[list[Detection]]:
    made = st.builds(
        lambda second, band, camera, lat, power: replace(
            SPOT,
            start_time_utc=f"1997-06-28T13:{second // 60:02d}:{second % 60:02d}Z",
            filter=band,
            instrument=camera,
            lat_deg=lat,
            spectral_power_gw_um=power,
        ),
        st.integers(0, 3599),
        st.sampled_from(["CLEAR", "IR-9680", "RED"]),
        st.sampled_from(["galileo_ssi", "jiram"]),
        st.sampled_from([10.0, 10.05, 10.3, 40.0]),
        st.integers(10, 1000).map(lambda tenths: tenths / 10),
    )
    return st.lists(made, max_size=25)


@settings(max_examples=60, deadline=None)
@given(spots())
def test_temperatures_a_moment_at_a_time_are_those_of_all_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Detection]
) -> None:
    rows = [replace(row, detection_id=f"d{n}") for n, row in enumerate(rows)]
    out = tmp_path_factory.mktemp("moments")
    with Journal(out) as journal:
        products = [Product(None, Path(f"/p{n:03d}")) for n in range(len(rows))]
        journal.begin(products, "s")
        for n, row in enumerate(rows):
            journal.keep(Outcome(Key(f"/p{n:03d}", "0", "s"), "done", detections=(row,)))
        report = write_tables(journal, out, Catalogue((), "m"))
    whole = Catalogue(with_temperatures(rows), "m")
    assert (out / "catalogue.csv").read_bytes().decode() == whole.to_csv()
    assert (out / "catalogue.geojson").read_bytes().decode() == whole.to_geojson()
    assert [row.detection_id for row in report.catalogue.rows] == [row.detection_id for row in rows]


def test_some_of_those_rows_have_partners() -> None:
    """The property above would hold of nothing at all if nothing were ever paired."""
    pair = with_temperatures([SPOT, replace(SPOT, filter="RED", spectral_power_gw_um=5.0)])
    assert 1000 < pair[0].temperature_k < 1500
