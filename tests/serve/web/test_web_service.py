"""The service over HTTP, in a process of its own: what it answers, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import socket
import struct
import time
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits
from live_service import Live
from made_frames import CENTRE, PLUME, RADIUS, SPOT, io_image, write_frame
from PIL import Image

PROBLEM = "application/problem+json"
SQUARE = [[[[90, 20], [110, 20], [110, 40], [90, 40], [90, 20]]]]


def frame_of(live: Live, name: str = "seen") -> dict:  # type: ignore[type-arg]
    answer = live.client.get(f"/v1/frames/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def test_a_frame_is_answered_at_once_with_what_was_found(live: Live, tmp_path: Path) -> None:
    answer = live.detect(write_frame(tmp_path / "now.fits", seed=5))
    assert answer.status_code == 200
    document = answer.json()
    assert document["job"]["state"] == "done"
    assert sorted(row["kind"] for row in document["detections"]) == ["hotspot", "plume"]
    assert live.client.get(document["links"]["now"]).json()["frame"]["frame_id"] == "now"


def test_the_same_files_are_not_worked_on_twice(live: Live, tmp_path: Path) -> None:
    frame = write_frame(tmp_path / "twice.fits", seed=6)
    frames = [live.detect(frame).json()["frames"] for _ in range(2)]
    assert frames[0] == frames[1]
    listed = live.client.get("/v1/frames?limit=5000").json()["frames"]
    assert [row["frame_id"] for row in listed].count("twice") == 1


def test_other_files_of_the_same_name_get_a_name_of_their_own(live: Live, tmp_path: Path) -> None:
    first = live.detect(write_frame(tmp_path / "a" / "same.fits", seed=7)).json()["frames"][0]["frame_id"]
    second = live.detect(write_frame(tmp_path / "b" / "same.fits", seed=8)).json()["frames"][0]["frame_id"]
    assert first == "same"
    assert second.startswith("same-")
    assert frame_of(live, second)["detections"][0]["detection_id"].startswith(f"{second}-")


def test_who_does_not_want_to_wait_gets_a_job(live: Live, tmp_path: Path) -> None:
    answer = live.detect(write_frame(tmp_path / "later.fits", seed=9), prefer="respond-async")
    assert answer.status_code == 202
    place = answer.headers["location"]
    for _ in range(200):
        job = live.client.get(place).json()
        if job["state"] == "done":
            break
        time.sleep(0.05)
    assert job["products"][0]["frames"] == ["later"]
    assert place.rpartition("/")[2] in [one["id"] for one in live.client.get("/v1/jobs").json()["jobs"]]


def test_a_zip_gives_its_good_frames_and_says_what_is_wrong_with_the_others(live: Live, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("one.fits", write_frame(tmp_path / "one.fits", seed=10).read_bytes())
        archive.writestr("bad.fits", b"SIMPLE  =                    T" + b" " * 100)
    document = live.send("two.zip", stream.getvalue()).json()
    states = {one["name"]: one["state"] for one in document["job"]["products"]}
    assert states == {"one.fits": "done", "bad.fits": "rejected"}
    assert [row["frame_id"] for row in document["frames"]] == ["one"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.fits", b"SIMPLE  =                    T" + b" " * 100, "cannot be decoded"),
        ("empty.fits", b"", "0 bytes"),
        ("notes.txt", b"hello", "not of a kind"),
        ("frame.img", b"\1\2\3\4" * 100, "raw image needs its label"),
        ("x.zip", b"PK\x03\x04 rubbish", "cannot be unpacked"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(live: Live, name: str, content: bytes, words: str) -> None:
    answer = live.send(name, content)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert words in answer.json()["detail"]
    assert "/tmp" not in answer.text


def test_absurd_dimensions_are_refused(live: Live) -> None:
    label = (
        'PDS_VERSION_ID = PDS3\r\n^IMAGE = "big.img"\r\nRECORD_BYTES = 1000\r\nOBJECT = IMAGE\r\n'
        " LINES = 1000000000\r\n"
        " LINE_SAMPLES = 1000000000\r\n SAMPLE_BITS = 8\r\n SAMPLE_TYPE = UNSIGNED_INTEGER\r\nEND_OBJECT\r\nEND\r\n"
    )
    files = [("files", ("big.lbl", label.encode())), ("files", ("big.img", b"\0" * 4000))]
    answer = live.client.post("/v1/detect", files=files)
    assert answer.status_code == 422
    assert "1000000000 x 1000000000" in answer.json()["detail"]


def test_more_pixels_than_are_taken_are_refused(live: Live) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((1600, 1600), np.uint8)).save(stream, "PNG")
    answer = live.send("wide.png", stream.getvalue())
    assert answer.status_code == 422
    assert "at most 2,000,000" in answer.json()["detail"]


def test_a_frame_holds_its_limb_detections_and_outlines(live: Live) -> None:
    document = frame_of(live)
    limb = document["limb"]
    assert (limb["x_px"], limb["y_px"], limb["radius_px"]) == pytest.approx((*CENTRE, RADIUS), abs=0.5)
    outlines = {one["kind"]: one["geometry"]["coordinates"] for one in document["outlines"]}
    for kind, (x, y) in (("plume", PLUME), ("hotspot", SPOT)):
        points = np.array([point for polygon in outlines[kind] for ring in polygon for point in ring])
        assert points.min(axis=0)[0] < x < points.max(axis=0)[0]
        assert points.min(axis=0)[1] < y < points.max(axis=0)[1]
        assert (points * 2 % 2 == 1).all()  # along the pixels' edges


def test_pixels_come_as_they_are(live: Live) -> None:
    image = io_image()
    answer = live.client.get("/v1/frames/seen/pixels?x0=90&y0=10&width=30&height=20")
    size = int(answer.headers["x-rows"]), int(answer.headers["x-columns"])
    numbers = np.frombuffer(answer.content, "<f4").reshape(size)
    assert (numbers == image[10:30, 90:120]).all()
    pixel = live.client.get(f"/v1/frames/seen/pixel?x={SPOT[0]:.0f}&y={SPOT[1]:.0f}").json()
    assert pixel["value"] == pytest.approx(float(image[int(SPOT[1]), int(SPOT[0])]))
    assert pixel["detections"] == ["seen-h01"]
    assert pixel["altitude_km"] < 0
    above = live.client.get(f"/v1/frames/seen/pixel?x={PLUME[0]:.0f}&y={PLUME[1]:.0f}").json()
    assert above["altitude_km"] == pytest.approx((54 / 50 - 1) * 1821.49, rel=0.2)
    assert above["azimuth_deg"] % 360 == pytest.approx(0, abs=2) or above["azimuth_deg"] > 358


def test_pictures_are_of_the_right_size(live: Live) -> None:
    def size(path: str) -> tuple[int, int]:
        answer = live.client.get(path)
        assert answer.headers["content-type"] == "image/png"
        return Image.open(io.BytesIO(answer.content)).size

    assert size("/v1/frames/seen/image.png?stretch=linear&black=0&white=100") == (200, 160)
    assert size("/v1/frames/seen/image.png?x0=10&width=50&height=40&longest=25") == (25, 20)
    assert size("/v1/frames/seen/mask.png") == (200, 160)
    assert size("/v1/frames/seen/strip.png")[0] >= 360
    mask = np.asarray(Image.open(io.BytesIO(live.client.get("/v1/frames/seen/mask.png").content)))
    assert mask[int(SPOT[1]), int(SPOT[0]), 3] > 0
    assert mask[5, 5, 3] == 0


def test_the_mask_file_opens_as_fits(live: Live) -> None:
    answer = live.client.get("/v1/frames/seen/mask.fits")
    with fits.open(io.BytesIO(answer.content)) as hdus:
        assert hdus["REGIONS"].data.shape == (2, 160, 200)
        assert hdus[0].header["FRAMEID"] == "seen"


def test_the_catalogue_comes_in_three_forms(live: Live) -> None:
    asked = "/v1/catalogue?frame=seen"
    rows = live.client.get(asked).json()
    assert rows["total"] == 2
    table = list(csv.DictReader(io.StringIO(live.client.get(f"{asked}&format=csv").text)))
    assert [row["detection_id"] for row in table] == [row["detection_id"] for row in rows["detections"]]
    features = live.client.get(f"{asked}&format=geojson").json()
    assert [one["id"] for one in features["features"]] == [row["detection_id"] for row in rows["detections"]]
    assert live.client.get(f"{asked}&kind=plume").json()["total"] == 1
    page = live.client.get(f"{asked}&limit=1")
    assert 'rel="next"' in page.headers["link"]
    following = live.client.get(page.json()["links"]["next"]).json()
    assert following["detections"][0]["detection_id"] != page.json()["detections"][0]["detection_id"]


def test_a_volcano_has_a_time_series_and_an_unknown_one_has_none(live: Live) -> None:
    assert live.client.get("/v1/volcanoes/loki/timeseries").json()["volcano"]["name"] == "Loki"
    assert live.client.get("/v1/volcanoes/Loki/timeseries?format=csv").text.startswith("source_id,kind")
    assert live.client.get("/v1/volcanoes/Etna/timeseries").status_code == 404


def test_corrections_become_a_dataset(live: Live, tmp_path: Path) -> None:
    labels = pytest.importorskip("training.labels")
    frame = live.detect(write_frame(tmp_path / "judged.fits", seed=11)).json()["frames"][0]["frame_id"]
    path = f"/v1/frames/{frame}/corrections"
    assert live.client.get(path).json()["revision"] == 0
    objects = [
        {
            "object_id": f"{frame}-p01",
            "kind": "plume",
            "decision": "redraw",
            "detection_id": f"{frame}-p01",
            "polygons": SQUARE,
        },
        {
            "object_id": "new-h01",
            "kind": "hotspot",
            "decision": "redraw",
            "polygons": [[[[50, 80], [52, 80], [52, 82], [50, 80]]]],
        },
    ]
    saved = live.client.put(path, json={"reviewer": "R. Viewer", "objects": objects}, headers={"If-Match": '"0"'})
    assert saved.status_code == 200, saved.text
    assert saved.json()["revision"] == 1
    assert live.client.put(path, json={"objects": []}, headers={"If-Match": '"0"'}).status_code == 412
    folder = Path(live.process.args[live.process.args.index("--store") + 1]) / "labels"  # type: ignore[union-attr,arg-type]
    assert labels.check_dataset(folder) == []
    truth = labels.read_dataset(folder).labelled(frame)
    assert truth.mask.plume.sum() == 20 * 20 or truth.mask.plume.sum() == 21 * 21
    assert truth.mask.plume[30, 100]
    assert not truth.mask.known[int(SPOT[1]), int(SPOT[0])]  # nobody judged that hot spot
    assert {one.object_id for one in truth.objects} == {f"{frame}-p01", "new-h01"}
    live.client.put(path, json={"objects": []})
    assert labels.read_dataset(folder).labelled(frame).empty


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detection_id": "nobody-p01", "decision": "accept"}, "no detection"),
        ({"decision": "redraw", "polygons": [[[[500, 500], [501, 500], [501, 501]]]]}, "covers no pixel"),
        ({"decision": "redraw", "polygons": []}, "redraw needs them"),
        ({"decision": "accept"}, "needs the detection_id"),
        ({"decision": "accept", "detection_id": "seen-h01"}, "is accepted as a plume"),
        ({"decision": "redraw", "polygons": [[[[1e9, 0], [1, 0], [1, 1]]]]}, "outside the frame"),
        ({"decision": "redraw", "polygons": SQUARE, "object_id": "../x"}, "pattern"),
    ],
)
def test_a_correction_that_makes_no_sense_is_refused(live: Live, change: dict, words: str) -> None:  # type: ignore[type-arg]
    one = {"object_id": "x", "kind": "plume"} | change
    answer = live.client.put("/v1/frames/seen/corrections", json={"objects": [one]})
    assert answer.status_code == 422
    assert words in answer.text


def test_a_polygon_of_what_is_no_number_is_refused(live: Live) -> None:
    one = '{"object_id": "x", "kind": "plume", "decision": "redraw", "polygons": [[[[NaN, 0], [1, 0], [1, 1]]]]}'
    text = f'{{"objects": [{one}]}}'
    headers = {"content-type": "application/json"}
    assert live.client.put("/v1/frames/seen/corrections", content=text, headers=headers).status_code == 422


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "[::2]"])
def test_a_name_that_is_not_the_services_is_turned_away(live: Live, host: str) -> None:
    assert live.client.get("/v1/frames", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_services_own_names_are_answered(live: Live, name: str) -> None:
    port = live.url.rpartition(":")[2]
    assert live.client.get("/v1/frames", headers={"host": f"{name}:{port}"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_a_write_from_another_page_is_turned_away(live: Live, headers: dict[str, str]) -> None:
    answer = live.client.put("/v1/frames/seen/corrections", json={"objects": []}, headers=headers)
    assert answer.status_code == 403
    own = {"origin": live.url, "sec-fetch-site": "same-origin"}
    assert live.client.put("/v1/frames/seen/corrections", json={"objects": []}, headers=own).status_code == 200


def test_every_answer_says_what_a_browser_may_do_with_it(live: Live) -> None:
    for path in ("/", "/v1/frames", "/nothing", "/js/main.js"):
        headers = live.client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'"), path
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_the_page_links_to_nothing_outside(live: Live) -> None:
    page = Path(__file__).resolve().parents[3] / "serve" / "web" / "page"
    for path in page.rglob("*"):
        if path.is_file():
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text, path
            assert "https://" not in text, path
    assert live.client.get("/../../../etc/passwd").status_code == 404
    assert live.client.get("/%2e%2e/app.py").status_code == 404
    assert live.client.get("/v1/frames/..%2f..%2fservice.sqlite/mask.fits").status_code == 404


def test_a_body_that_is_too_large_is_refused_before_it_is_read(live: Live) -> None:
    host, _, port = live.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), 10) as line:
        line.sendall(f"POST /v1/detect HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {10**12}\r\n\r\n--x".encode())
        assert line.recv(12) == b"HTTP/1.1 413"


def test_a_body_that_does_not_say_its_size_is_counted(live: Live) -> None:
    pieces = (b" " * 65536 for _ in range(200))  # 12.5 MiB in chunks to a route that takes 8
    try:
        answer = live.client.put(
            "/v1/frames/seen/corrections", content=pieces, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # the connection was closed while we were still sending: refused just as well
    assert live.client.get("/healthz").status_code == 200


def test_probes_and_metrics(live: Live) -> None:
    assert live.client.get("/healthz").json()["status"] == "ok"
    ready = live.client.get("/readyz").json()
    assert ready["ready"]
    assert len(ready["model_sha256"]) == 64
    text = live.client.get("/metrics").text
    assert 'io_detector_http_requests_total{route="/v1/frames/{frame_id}"' in text
    assert "io_detector_products_total" in text


def test_every_error_is_a_problem(live: Live) -> None:
    for path in ("/v1/frames/none", "/v1/jobs/none", "/v1/catalogue?limit=0", "/v1/catalogue?bbox=1", "/v1/nothing"):
        answer = live.client.get(path)
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == PROBLEM, path
        assert answer.json()["status"] == answer.status_code


def test_the_document_of_the_api_describes_every_route(live: Live) -> None:
    document = live.client.get("/openapi.json").json()
    for path in ("/v1/detect", "/v1/jobs/{job_id}", "/v1/frames/{frame_id}/strip.png", "/v1/catalogue", "/metrics"):
        assert path in document["paths"]
    text = json.dumps(document)
    names = {name.partition('"')[0] for name in text.split('"#/components/schemas/')[1:]}
    assert names <= set(document["components"]["schemas"])


def test_a_float_is_four_little_endian_bytes(live: Live) -> None:
    content = live.client.get("/v1/frames/seen/pixels?x0=3&y0=4&width=1&height=1").content
    assert struct.unpack("<f", content)[0] == io_image()[4, 3]
