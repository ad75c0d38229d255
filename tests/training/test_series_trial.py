"""The trial of the time series: what was put in, and how its count is kept."""

from __future__ import annotations

import numpy as np

from detector.detect import Detector
from detector.session import Model
from detector.timeseries import Moment, SourceRow, TimeSeries
from detector.volcanoes import great_circle_km
from training.series_trial import APART_KM, PLUMES, SPOTS, frame_of, population, run, tallied


def test_eruptions_are_far_apart_and_the_same_for_the_same_seed() -> None:
    one, two = (population(np.random.default_rng(5)) for _ in range(2))
    assert one == two
    spots = [e.cause for e in one if e.kind == "hotspot"]
    assert (len(spots), len(one)) == (SPOTS, SPOTS + PLUMES)
    apart = [
        great_circle_km(a.lat_deg, a.lon_w_deg, b.lat_deg, b.lon_w_deg) for n, a in enumerate(spots) for b in spots[:n]
    ]
    assert min(apart) > APART_KM


def test_every_object_of_a_frame_is_one_of_the_eruptions() -> None:
    eruptions = population(np.random.default_rng(5))
    for index in range(3):
        sample, names = frame_of(eruptions, 5, index)
        assert len(names) == len(sample.objects)
        assert set(names) <= {e.name for e in eruptions}
        assert np.isnan(sample.frame.view.centre_x_px)


def counted(*sources: tuple[str, ...]) -> TimeSeries:
    """A series of hot spots, each with a detection a frame; frame f-n holds what the name's n-th letter says."""
    rows = tuple(SourceRow(f"H{n}", "hotspot", f"source {n}", moments=len(own)) for n, own in enumerate(sources))
    moments = tuple(
        Moment(f"H{n}", "hotspot", "", f"f{k}", detection_id=name)
        for n, own in enumerate(sources)
        for k, name in enumerate(own)
    )
    return TimeSeries(rows, moments, len(moments), 9)


def test_split_merged_and_false_sources_are_told_apart() -> None:
    series = counted(("Loki", "Loki", "Loki"), ("Loki",), ("Pele", "Pillan"), ("nothing",))
    truth = {
        (m.frame_id, m.detection_id): "" if m.detection_id == "nothing" else m.detection_id for m in series.moments
    }
    tally = tallied(series, truth, {"Loki"})
    assert tally.found == {"Loki": 4, "Pele": 1, "Pillan": 1}
    assert (tally.split, tally.merged, tally.false) == (["Loki"], ["source 2"], ["source 3"])
    assert "sources seen at more than one moment: 2 for 1 eruptions (+100 %); all sources: 4 for 3" in tally.lines()[2]


def test_the_trial_finds_eruptions_that_it_put_in() -> None:
    tally = run(Detector(Model.open(device="cpu")), 6, 52999)
    assert tally.series.frames == 6
    assert tally.found
    assert len(tally.false) <= 2
