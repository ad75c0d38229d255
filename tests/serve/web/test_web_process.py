"""The service as a process: who may start it, how it ends, and what survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import TOKEN, Command
from live_service import ROOT, Live
from made_frames import write_frame

from detector.errors import InputError
from serve.web.options import ServeOptions
from serve.web.run import access_of, is_loopback


def wait_for(condition, seconds: float = 20) -> bool:  # type: ignore[no-untyped-def]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_others_are_not_let_in_without_a_token(command: Command, model_file: Path, tmp_path: Path) -> None:
    done = command("serve", "--store", tmp_path / "s", "--port", 0, "--model", model_file, "--host", "0.0.0.0")
    assert done.returncode == 2, done.stderr
    assert "it has no token" in done.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "token", ["short", "with a blank in the middle", "ünïcode-of-many-letters", "tab\tin-it-somewhere"]
)
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(InputError, match="expected at least 16"):
        access_of(ServeOptions(token=token))


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("LOCALHOST", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("example.org", False), ("localhost.example.org", False), ("127.0.0.1.example.org", False)],
)  # fmt: skip
def test_what_is_this_machine_alone(host: str, local: bool) -> None:
    assert is_loopback(host) == local


def test_names_that_are_allowed_are_the_only_ones() -> None:
    assert "localhost" in access_of(ServeOptions()).hosts
    assert access_of(ServeOptions(host="0.0.0.0", token=TOKEN)).hosts == frozenset()  # the token is what guards it
    named = access_of(ServeOptions(host="0.0.0.0", token=TOKEN, allow_host=["Io.example.org"])).hosts
    assert "io.example.org" in named
    assert "evil.example" not in named


def test_a_model_that_was_changed_is_refused(command: Command, model_file: Path, tmp_path: Path) -> None:
    changed = tmp_path / "m.onnx"
    changed.write_bytes(model_file.read_bytes() + b"x")
    changed.with_suffix(".sha256").write_text("0" * 64)
    done = command("serve", "--store", tmp_path / "s", "--port", 0, "--model", changed)
    assert done.returncode == 5
    assert "sha256" in done.stderr


def test_with_a_token_nothing_is_told_without_it(guarded: Live) -> None:
    assert guarded.client.get("/v1/frames").status_code == 200
    for shown in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
    ):
        with httpx.Client(base_url=guarded.url, headers=shown) as stranger:
            for path in ("/v1/frames", "/v1/catalogue", "/metrics", "/openapi.json"):
                answer = stranger.get(path)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert stranger.post("/v1/detect", files=[("files", ("x", b""))]).status_code == 401
            assert stranger.get("/healthz").status_code == 200
            assert stranger.get("/").status_code == 200  # the page holds no data, and asks for the token


def test_sigterm_drains_and_leaves_no_child(model_file: Path, tmp_path: Path) -> None:
    """What is being worked on is finished and answered, what waits is kept, the next service goes on with it."""
    store = tmp_path / "store"
    frames = [write_frame(tmp_path / f"f{n}.fits", seed=n) for n in range(8)]
    with Live(store, model_file) as live:
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(live.detect, frame) for frame in frames]
            assert wait_for(lambda: len(live.client.get("/v1/jobs").json()["jobs"]) >= 4)
            children = live.children()
            assert children
            began = time.monotonic()
            assert live.end() == 0, live.said
            codes = _codes(answers)
        assert time.monotonic() - began < 60
        assert wait_for(lambda: gone(children), 15)
    assert set(codes) <= {200, 202, 503, None}
    assert not any("Traceback" in line for line in live.said), live.said
    taken_on = sum(code in (200, 202) for code in codes)
    with Live(store, model_file) as again:
        assert wait_for(lambda: all(one["state"] == "done" for one in again.client.get("/v1/jobs").json()["jobs"]))
        assert again.client.get("/v1/frames").json()["total"] >= taken_on >= 1


def _codes(answers) -> list[int | None]:  # type: ignore[no-untyped-def]
    """Status of each request; None for one that came when nobody listened any more."""
    codes: list[int | None] = []
    for answer in answers:
        try:
            codes.append(answer.result().status_code)
        except httpx.TransportError:
            codes.append(None)
    return codes


def test_sigkill_loses_nothing_and_leaves_no_child(model_file: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Live(store, model_file) as live:
        done = live.detect(write_frame(tmp_path / "done.fits", seed=1)).json()
        jobs = [live.detect(write_frame(tmp_path / f"w{n}.fits", seed=n + 2), prefer="respond-async") for n in range(4)]
        live.client.put("/v1/frames/done/corrections", json={"note": "kept", "objects": []})
        children = live.children()
        live.process.send_signal(signal.SIGKILL)
        live.process.wait()
        assert wait_for(lambda: gone(children), 10), "workers outlived the service"
    with Live(store, model_file) as again:
        places = [job.headers["location"] for job in jobs]
        assert wait_for(lambda: all(again.client.get(place).json()["state"] == "done" for place in places))
        assert again.client.get("/v1/frames/done").json()["detections"] == done["detections"]
        assert again.client.get("/v1/frames/done/corrections").json()["note"] == "kept"
        assert again.client.get("/v1/frames").json()["total"] == 5


def test_a_worker_that_hangs_or_dies_takes_one_product_along_and_the_queue_has_an_end(
    model_file: Path, tmp_path: Path
) -> None:
    frames = iter([write_frame(tmp_path / f"f{n}.fits", seed=n) for n in range(5)])
    with Live(tmp_path / "store", model_file, "--max-seconds", 5, "--max-waiting", 1) as live:

        def later() -> httpx.Response:
            return live.detect(next(frames), prefer="respond-async")

        def job(answer: httpx.Response) -> dict:  # type: ignore[type-arg]
            return live.client.get(answer.headers["location"]).json()  # type: ignore[no-any-return]

        _stop(live)
        hanging = later()
        assert wait_for(lambda: job(hanging)["state"] == "running")
        waiting, refused = later(), later()
        assert (hanging.status_code, waiting.status_code, refused.status_code) == (202, 202, 503)
        assert int(refused.headers["retry-after"]) >= 1
        assert live.client.get("/v1/jobs").json()["total"] == 2
        assert wait_for(lambda: job(waiting)["state"] == "done", 60)
        assert job(hanging)["state"] == "rejected"
        assert "took longer than 5 s" in job(hanging)["reason"]

        worker = _stop(live)
        dying = later()
        assert wait_for(lambda: job(dying)["state"] == "running")
        os.kill(worker, signal.SIGKILL)
        assert wait_for(lambda: job(dying)["state"] == "rejected")
        assert "out of memory?" in job(dying)["reason"]
        assert live.detect(next(frames)).status_code == 200


def _stop(live: Live) -> int:
    """Make the one worker hang, and return its number."""
    (worker,) = (pid for pid in live.children() if _is_worker(pid))
    os.kill(worker, signal.SIGSTOP)
    return worker


def _is_worker(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_what_another_run_found_is_shown_too(command: Command, model_file: Path, tmp_path: Path) -> None:
    """The seam that ``--watch`` uses: a folder that ``detect --out`` leaves, inside the store."""
    store, source = tmp_path / "store", write_frame(tmp_path / "in" / "other.fits", seed=20)
    with Live(store, model_file) as live:
        assert live.client.get("/v1/frames").json()["total"] == 0
        done = command("detect", source.parent, "--out", store / "watched", "--model", model_file, "--no-quicklook")
        assert done.returncode == 0, done.stderr
        assert wait_for(lambda: live.client.get("/v1/frames").json()["total"] == 1)
        frame = live.client.get("/v1/frames/other").json()
        assert "detections" in frame, frame
        assert [row["kind"] for row in frame["detections"]] == ["plume", "hotspot"]
        assert len(frame["outlines"]) == 2
        assert live.client.get("/v1/frames/other/image.png").status_code == 200
        own = live.detect(source).json()["frames"][0]["frame_id"]  # the same file, uploaded: a frame of its own
        assert own.startswith("other-")
        theirs = live.client.get(f"/v1/frames/{own}").json()
        assert frame["levels"] == theirs["levels"]
        write_frame(source.parent / "more.fits", seed=21)
        command("detect", source.parent, "--out", store / "watched", "--model", model_file, "--no-quicklook")
        assert wait_for(lambda: live.client.get("/v1/frames").json()["total"] == 3)
        source.unlink()
        assert live.client.get("/v1/frames/other/mask.fits").status_code == 200  # it has been opened before


def test_a_confined_process_opens_nothing_else(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from serve.web.confine import limit_memory, only_these, system_files
allowed = Path({str(tmp_path / "in")!r}); allowed.mkdir(); (allowed / "a").write_text("yes")
if not only_these(system_files(), [allowed]): sys.exit(77)
assert (allowed / "a").read_text() == "yes"
for path in ("/etc/passwd", {str(tmp_path / "secret")!r}):
    try: open(path).read()
    except PermissionError: continue
    sys.exit(f"{{path}} was read")
import rasterio, pdr
try: rasterio.open({str(tmp_path / "secret")!r})
except rasterio.errors.RasterioIOError: pass
else: sys.exit("GDAL read it")
limit_memory(50 << 20)
try: bytearray(200 << 20)
except MemoryError: pass
else: sys.exit("it allocated 200 MiB")
"""
    (tmp_path / "secret").write_text("P2 1 1 255 7")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("this kernel has no Landlock")
    assert done.returncode == 0, done.stderr
