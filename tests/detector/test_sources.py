"""Joining detections to sources: closed forms, hand-counted cases, known sources recovered, an independent library."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from astropy.coordinates import angular_separation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from detector.geometry import direction
from detector.sources import VAGUE_DEG, Place, angles_deg, find_sources, grouped
from detector.volcanoes import great_circle_km, volcanoes

LOKI = next(v for v in volcanoes() if v.name.startswith("Loki"))


def place(frame: str, lat: float, lon_w: float, sigma: float = 1.0, kind: str = "hotspot") -> Place:
    return Place(kind, frame, f"{frame}-{kind}-{lat}-{lon_w}", lat, lon_w, sigma)


def scattered(seed: int, count: int, frames: int) -> tuple[list[Place], list[int]]:
    """Detections of ``count`` sources at least 6 degrees apart, each seen on about half of the frames.

    The place is off by its own 1-sigma error, which differs from one detection to the next. Returns the source of each.
    """
    random_numbers = np.random.default_rng(seed)
    centres = np.empty((0, 3))
    while len(centres) < count:
        new = random_numbers.normal(size=3)
        new /= np.linalg.norm(new)
        if (angles_deg(new, centres) > 6.0).all():
            centres = np.vstack([centres, new])
    places, truth = [], []
    for frame in range(frames):
        for number in np.flatnonzero(random_numbers.random(count) < 0.5):
            sigma = random_numbers.uniform(0.5, 1.2)
            off = random_numbers.normal(size=3) * math.radians(sigma)
            x, y, z = centres[number] + off - (off @ centres[number]) * centres[number]
            lat, lon_w = math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(-math.atan2(y, x)) % 360
            places.append(Place("hotspot", frame, f"{frame}-{number}", lat, lon_w, sigma))
            truth.append(int(number))
    return places, truth


def test_hand_counted() -> None:
    places = [
        place("a", 10.0, 100.0),
        place("a", 10.0, 115.0),
        place("b", 10.5, 100.5),
        place("b", 10.0, 114.5),
        place("c", 9.5, 99.5),
        place("c", 10.0, 100.5, kind="plume"),
        place("d", math.nan, math.nan, math.nan),
        place("d", 10.0, 100.0, VAGUE_DEG + 1),
        place("e", -60.0, 300.0),
    ]
    sources = find_sources(places)
    assert [(s.source_id, s.members) for s in sources] == [
        ("P01", (5,)),
        ("H01", (0, 2, 4)),
        ("H02", (1, 3)),
        ("H03", (8,)),
    ]
    assert [s.linked for s in sources] == [("H01",), ("P01",), (), ()]
    off = math.hypot(0.5, 0.5 * math.cos(math.radians(10)))  # of two of the three; the third is the middle
    assert sources[1].scatter_deg == pytest.approx(math.sqrt(2 * off**2 / 3), 0.01)
    assert math.isnan(sources[3].scatter_deg)


def test_the_mean_of_two_is_weighted_by_their_errors() -> None:
    (source,) = find_sources([place("a", 0.0, 100.0, 1.0), place("b", 0.0, 105.0, 2.0)])
    assert source.lon_w_deg == pytest.approx(101.0, abs=0.01)  # 4:1, but for the sphere's curvature
    assert source.lat_deg == pytest.approx(0.0, abs=1e-9)
    assert source.lon_e_deg == pytest.approx(-101.0, abs=0.01)
    assert source.sigma_deg == pytest.approx((1 + 1 / 4) ** -0.5)


@pytest.mark.parametrize(("apart", "count"), [(4.9, 1), (5.0, 2)])
def test_two_agree_within_three_and_a_half_of_their_errors(apart: float, count: int) -> None:
    """3.5 times 1.0 and 1.0 in quadrature is 4.95 degrees."""
    assert len(find_sources([place("a", 0.0, 100.0), place("b", 0.0, 100.0 + apart)])) == count


def test_what_one_frame_saw_apart_stays_apart() -> None:
    assert len(find_sources([place("a", 0.0, 100.0), place("a", 0.0, 101.0)])) == 2
    assert len(find_sources([place("a", 0.0, 100.0), place("b", 0.0, 101.0)])) == 1
    third = find_sources([place("a", 0.0, 100.0), place("a", 0.0, 101.0), place("b", 0.0, 100.9)])
    assert [s.members for s in third] == [(0,), (1, 2)]


def test_an_uncertain_detection_does_not_join_two_sources() -> None:
    near, far = [place(f, 0.0, 100.0, 0.5) for f in "abc"], [place(f, 0.0, 112.0, 0.5) for f in "abc"]
    between = [place(f, 0.0, 105.0 + n, 10.0) for n, f in enumerate("defg")]
    sources = find_sources(near + far + between)
    assert len(sources) == 2
    assert {frozenset(s.members) & frozenset(range(6)) for s in sources} == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}


@pytest.mark.parametrize(
    ("one", "other"), [((0.0, 359.6), (0.0, 0.4)), ((89.8, 10.0), (89.8, 190.0)), ((-89.9, 0.0), (-89.5, 77.0))]
)
def test_neither_longitude_0_nor_a_pole_parts_a_source(one: tuple[float, float], other: tuple[float, float]) -> None:
    (source,) = find_sources([place("a", *one), place("b", *other)])
    assert great_circle_km(source.lat_deg, source.lon_w_deg, *one) < 20
    assert 0 <= source.lon_w_deg < 360
    assert -180 <= source.lon_e_deg < 180


@pytest.mark.parametrize("seed", range(6))
def test_known_sources_are_recovered(seed: int) -> None:
    """30 sources, 50 frames, random errors: their number within 10 %, and hardly a detection in the wrong one."""
    places, truth = scattered(seed, 30, 50)
    sources = find_sources(places)
    assert 27 <= len(sources) <= 33
    right = 0
    for source in sources:
        own = [truth[i] for i in source.members]
        right += max(own.count(number) for number in set(own))
    assert right >= 0.98 * len(places)


def test_where_sources_are_far_apart_it_is_what_connected_components_finds() -> None:
    places, _ = scattered(3, 8, 12)
    units = direction(np.array([p.lat_deg for p in places]), np.array([p.lon_w_deg for p in places]))
    near = np.degrees(np.arccos(np.clip(units @ units.T, -1, 1))) < 4.9
    count, labels = connected_components(near)
    expected = sorted([int(i) for i in np.flatnonzero(labels == number)] for number in range(count))
    assert sorted(grouped(places)) == expected


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_does_not_matter(shuffle: random.Random) -> None:
    places, _ = scattered(1, 12, 8)
    mixed = list(places)
    shuffle.shuffle(mixed)
    plain, other = find_sources(places), find_sources(mixed)
    assert [(s.name, s.lat_deg, s.lon_w_deg) for s in plain] == [(s.name, s.lat_deg, s.lon_w_deg) for s in other]
    assert [{places[i].label for i in s.members} for s in plain] == [{mixed[i].label for i in s.members} for s in other]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(0, 359.9), st.floats(0, 20)), max_size=25))
def test_every_known_place_stands_in_one_source(found: list[tuple[float, float, float]]) -> None:
    places = [place(f"{n % 4}", *one) for n, one in enumerate(found)]
    sources = find_sources(places)
    members = sorted(i for s in sources for i in s.members)
    assert members == [i for i, p in enumerate(places) if p.sigma_deg <= VAGUE_DEG]
    for source in sources:
        frames = [places[i].frame for i in source.members]
        assert len(set(frames)) == len(frames)


@given(st.floats(-90, 90), st.floats(0, 360), st.floats(-90, 90), st.floats(0, 360))
def test_angles_agree_with_astropy(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    expected = math.degrees(angular_separation(*map(math.radians, (lon1, lat1, lon2, lat2))))
    found = angles_deg(direction(lat1, lon1), direction(lat2, lon2)[None])
    assert found[0] == pytest.approx(expected, abs=1e-5)


def test_a_source_is_named_by_the_volcano_within_reach() -> None:
    (source,) = find_sources([place("a", LOKI.lat_deg + 1.0, LOKI.lon_w_deg, 0.5)])
    assert source.name == source.volcano == LOKI.name
    assert source.volcano_km == pytest.approx(31.79, abs=0.1)
    assert source.in_reach >= 1


def test_a_source_far_from_all_is_named_by_its_place() -> None:
    lat, lon_w = max(
        ((lat, lon) for lat in range(-70, 71, 5) for lon in range(0, 360, 5)),
        key=lambda at: min(great_circle_km(*at, v.lat_deg, v.lon_w_deg) for v in volcanoes()),
    )
    (source,) = find_sources([place("a", float(lat), float(lon_w), 0.5)])
    assert source.name == f"new at {abs(lat)}{'S' if lat < 0 else 'N'} {lon_w}W"
    assert source.in_reach == 0
    assert source.volcano_km > 100


def test_plumes_of_wide_errors_are_not_joined_over_more_than_fifteen_degrees() -> None:
    limb = [place(frame, 0.0, lon, 12.0, "plume") for frame, lon in (("a", 0.0), ("b", 3.0), ("c", 40.0))]
    assert [s.members for s in find_sources(limb)] == [(0, 1), (2,)]


def test_a_plume_has_the_name_of_the_vent_that_most_members_name() -> None:
    wide = [place(frame, 0.0, 10.0, 12.0, "plume") for frame in "abcd"]
    vents = ["Pele", "Loki", "Pele", ""]
    (source,) = find_sources([Place(**{**vars(p), "vent": vent}) for p, vent in zip(wide, vents, strict=True)])
    assert source.name == "Pele"
    assert source.volcano != "Pele"


def test_a_plume_is_linked_to_the_hot_spot_of_the_same_volcano() -> None:
    spot = place("a", LOKI.lat_deg, LOKI.lon_w_deg, 0.5)
    far = Place("plume", "b", "b", LOKI.lat_deg - 13.0, LOKI.lon_w_deg, 10.0, LOKI.name)
    plume, hot = find_sources([spot, far])
    assert (plume.linked, hot.linked) == (("H01",), ("P01",))
    alone = Place("plume", "b", "b", LOKI.lat_deg - 13.0, LOKI.lon_w_deg, 10.0, "Pele")
    assert [s.linked for s in find_sources([spot, alone])] == [(), ()]


def test_nothing_gives_nothing() -> None:
    assert find_sources([]) == ()
