"""The store: names that are nobody else's, filters, restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.catalogue import Detection, FrameStatus
from detector.errors import InputError
from detector.table import values
from serve.web.queries import Filter, box_of, search
from serve.web.store import Document, Store


def document(frame: str, *detections: Detection, in_view: list[list[object]] | None = None) -> Document:
    return {
        "frame": values(FrameStatus(frame_id=frame, instrument="ssi", start_time_utc="1999-07-03T10:00:00.000Z")),
        "detections": [values(one) for one in detections],
        "facts": {},
        "in_view": in_view or [],
        "outlines": [],
    }


def found(frame: str, number: int = 1, **known: object) -> Detection:
    kind = str(known.pop("kind", "hotspot"))
    columns = {"score": 0.5, "lat_deg": 0.0, "lon_e_deg": 0.0, "lon_w_deg": 0.0} | known
    return Detection(f"{frame}-{kind[0]}{number:02d}", frame, kind, **columns)  # type: ignore[arg-type]


def keep(store: Store, digest: str, *documents: Document) -> None:
    made = store.work / digest
    for one in documents:
        (made / one["frame"]["frame_id"]).mkdir(parents=True)
    store.keep_product(digest, "settings", "job", {"data": "job/a.img"}, documents, made)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_name_that_another_product_has_gets_a_suffix(store: Store) -> None:
    assert store.suffix("aaaaaaaaaa", ["F1_RED", "F1_BLUE"]) == ""
    assert store.suffix("bbbbbbbbbb", ["f1_red"]) == "-bbbbbbbb"  # case does not tell them apart
    assert store.suffix("aaaaaaaaaa", ["F1_RED"]) == ""  # its own
    assert store.suffix("bbbbbbbbbb", ["f1_red"]) == "-bbbbbbbb"


def test_a_second_service_may_not_use_the_store(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another service uses this store"):
        Store(tmp_path / "store")
    store.close()
    Store(tmp_path / "store").close()


def test_what_a_killed_service_left_is_swept_and_what_was_kept_stays(store: Store, tmp_path: Path) -> None:
    keep(store, "d1", document("kept", found("kept")))
    store.add_job("job", "x", [])
    for folder in (store.frames / "half", store.uploads / "nobody", store.uploads / "job", store.work / "part"):
        folder.mkdir()
    store.close()
    again = Store(tmp_path / "store")
    assert [path.name for path in again.frames.iterdir()] == ["kept"]
    assert [path.name for path in again.uploads.iterdir()] == ["job"]
    assert not list(again.work.iterdir())
    assert [row.detection_id for row in again.detections()] == ["kept-h01"]
    assert [job["state"] for job in again.unfinished()] == ["queued"]


def test_a_product_that_is_worked_on_again_replaces_its_frames(store: Store) -> None:
    keep(store, "d1", document("a", found("a"), found("a", 2)), document("b"))
    keep(store, "d1", document("a", found("a", 3)))
    assert [row.detection_id for row in store.detections()] == ["a-h03"]
    assert store.frame("b") is None
    assert store.product("d1", "settings") == {"state": "done", "reason": "", "frames": ["a"]}
    assert store.product("d1", "other settings") is None


def test_a_failure_is_tried_again_and_a_refusal_is_not(store: Store) -> None:
    for state in ("failed", "rejected"):
        store.keep_refusal(state, "settings", "job", {}, state, "why")
    assert store.product("failed", "settings") is None
    assert store.product("rejected", "settings") == {"state": "rejected", "reason": "why", "frames": []}


def test_of_two_reviewers_the_second_is_told(store: Store) -> None:
    assert store.keep_correction("a", {"objects": []}, 0) == 1
    assert store.keep_correction("a", {"objects": []}, 0) is None
    assert store.keep_correction("a", {"objects": []}, None) == 2
    assert store.corrected() == ["a"]


@settings(max_examples=30, deadline=None)
@given(
    places=st.lists(st.tuples(st.floats(-180, 179.99), st.floats(-90, 90)), max_size=12),
    west=st.floats(-180, 180), east=st.floats(-180, 180), south=st.floats(-90, 90), north=st.floats(-90, 90),
)  # fmt: skip
def test_a_box_holds_what_lies_in_it(
    places: list[tuple[float, float]], west: float, east: float, south: float, north: float, tmp_path_factory
) -> None:  # type: ignore[no-untyped-def]
    store = Store(tmp_path_factory.mktemp("s"))
    rounded = [(round(lon, 3) + 0.0, round(lat, 3) + 0.0) for lon, lat in places]
    rows = [found("f", n, lon_e_deg=lon, lat_deg=lat) for n, (lon, lat) in enumerate(rounded)]
    keep(store, "d", document("f", *rows))
    south, north = sorted((south, north))
    total, hits = search(store, Filter(box=(west, south, east, north)), 100, 0)
    store.close()

    def inside(lon: float) -> bool:
        return west <= lon <= east if west <= east else lon >= west or lon <= east

    expected = {
        row.detection_id for row, (lon, lat) in zip(rows, rounded, strict=True) if south <= lat <= north and inside(lon)
    }
    assert {row.detection_id for row in hits} == expected
    assert total == len(expected)


def test_filters_and_pages(store: Store) -> None:
    rows = [found("f", n, score=n / 10, kind="plume" if n % 2 else "hotspot", volcano="Loki") for n in range(10)]
    keep(store, "d", document("f", *[_at(row, n) for n, row in enumerate(rows)]))
    assert search(store, Filter(kind="plume"), 100, 0)[0] == 5
    assert search(store, Filter(volcano="loki", min_score=0.75), 100, 0)[0] == 2
    assert search(store, Filter(since="1999-07-05", until="1999-07-06"), 100, 0)[0] == 2  # both days count whole
    total, page = search(store, Filter(), 4, 8)
    assert (total, len(page)) == (10, 2)
    pages = [row.detection_id for offset in range(0, 10, 3) for row in search(store, Filter(), 3, offset)[1]]
    assert len(set(pages)) == 10


def _at(row: Detection, day: int) -> Detection:
    return replace(row, start_time_utc=f"1999-07-{day + 1:02d}T12:00:00.000Z")


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "0,10,5,-10", "0,0,400,0", "nan,0,0,0"])
def test_a_box_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="bbox"):
        box_of(text)
