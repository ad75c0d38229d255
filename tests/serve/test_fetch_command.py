"""``io-detector fetch`` against archives on loopback: frames that detect can read, kills, resumption, exit codes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import archives
import pytest
from misbehaving_server import Server, drop, instead, page, serving, status, trickle

from detector.products import look_for
from detector.readers import read_frames
from detector.spice import kernels_in
from serve import cli

pytest.importorskip("httpx")
HERE = Path(__file__).resolve().parents[2]
FRAMES = {
    "ssi": (["pds-volume", "GO_0017", "target=Io"], archives.ssi, "galileo_ssi", 3),
    "opus": (["opus", "instrument=Galileo SSI", "target=Io"], archives.opus, "galileo_ssi", 3),
    "junocam": (["pds-volume", "JNOJNC_0028", "target=Io", "orbit=57"], archives.junocam, "junocam", 1),
    "jiram": (["pds-volume", "camera=jiram", "orbit=57"], archives.jiram, "jiram", 1),
    "sru": (["pds-volume", "camera=sru", "target=Io"], archives.sru, "sru", 1),
}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; give exit code, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        command = ["fetch", *map(str, words), "--out", str(tmp_path / "out"), "--pause", "0"]
        code = cli.run([*command, *archives.overrides(server)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def fetched(out: Path) -> dict[str, bytes]:
    """The files that a user sees, without the provenance."""
    paths = (path.relative_to(out) for path in out.rglob("*") if path.is_file())
    visible = (path for path in paths if not any(part.startswith(".") for part in path.parts))
    return {path.as_posix(): (out / path).read_bytes() for path in visible if path.name != "provenance.jsonl"}


@pytest.mark.parametrize("name", FRAMES)
def test_detect_reads_what_fetch_leaves(server: Server, run: Run, tmp_path: Path, name: str) -> None:
    words, build, instrument, count = FRAMES[name]
    held = build(server)
    code, told, _ = run(*words, "--json")
    document = json.loads(told)
    assert code == 0
    assert len(document["products"]) == count
    assert {file["state"] for file in document["files"]} == {"fetched"} if count == 1 else {"fetched", "had"}
    here = fetched(tmp_path / "out")
    assert here == {path: held[path] for path in here}
    assert all(f"{path[:-4]}.LBL" in here for path in here if path.endswith((".IMG", ".FIT")))
    products = look_for([tmp_path / "out"])
    assert len(products) == count
    assert all(product.label is not None and not product.problem for product in products)
    assert {frame.instrument for frame in read_frames(products[0])} == {instrument}
    server.forget()
    code, told, _ = run(*words, "--json")
    assert code == 0
    assert json.loads(told)["summary"] == {"fetched": 0, "had": len(document["files"]), "failed": 0, "quarantined": 0}
    assert server.got("/DATA/") + server.got("/volumes/") == []
    assert server.got(method="HEAD") == []


def test_the_formats_that_labels_point_to_come_along(server: Server, run: Run, tmp_path: Path) -> None:
    archives.ssi(server)
    run("pds-volume", "GO_0017", "product=C0350040000R")
    assert sorted(fetched(tmp_path / "out")) == [
        "GO_0017/C3/IO/C0350040000R.IMG",
        "GO_0017/C3/IO/C0350040000R.LBL",
        "GO_0017/LABEL/RLINEPRX.FMT",
        "GO_0017/LABEL/RTLMTAB.FMT",
    ]


def test_tables_come_again_only_when_they_have_changed(server: Server, run: Run) -> None:
    archives.ssi(server)
    run("pds-volume", "GO_0017", "product=C0350040000R")
    server.forget()
    run("pds-volume", "GO_0017", "product=C0350040000R")
    asked = [headers for verb, path, headers in server.requests if "index" in path]
    assert len(asked) == 2
    assert all("if-none-match" in headers for headers in asked)


def test_a_dry_run_says_all_and_leaves_nothing(server: Server, run: Run, tmp_path: Path) -> None:
    files = archives.ssi(server)
    code, told, _ = run("pds-volume", "GO_0017", "target=Io", "--dry-run")
    lines = told.splitlines()
    assert code == 0
    assert f"asks   {server.url}/holdings/metadata/GO_0xxx/GO_0017/GO_0017_index.tab" in lines
    image = "GO_0017/C3/IO/C0350040000R.IMG"
    assert f"fetch  {server.url}/holdings/volumes/GO_0xxx/{image}  ->  {image}" in lines
    size = sum(len(content) for path, content in files.items() if "/IO/" in path)
    assert lines[-1] == f"3 products, 6 files to fetch, {size / 1e6:.1f} MB"
    assert not (tmp_path / "out").exists()
    assert server.got("/volumes/") == []


def test_a_dry_run_without_the_service_says_what_it_would_ask(run: Run, server: Server) -> None:
    code, told, error = run("kernels", "juno", "time=2023-12-30", "--dry-run", "--retries", "0")
    assert code == 3
    assert f"asks   {server.url}/naif/JUNO/kernels/ck/" in told.splitlines()
    assert "HTTP 404" in error


def test_the_limit_holds(server: Server, run: Run) -> None:
    archives.ssi(server)
    _, told, _ = run("pds-volume", "GO_0017", "target=Io", "--limit", "1", "--json")
    assert json.loads(told)["products"] == ["C0349500000R"]


def test_one_file_that_fails_harms_no_other(server: Server, run: Run, tmp_path: Path) -> None:
    archives.ssi(server)
    gone, wrong = "/GO_0017/C3/IO/C0350040000R.IMG", "/GO_0017/C3/IO/C0350040100R.IMG"
    server.tricks["/holdings/volumes/GO_0xxx" + gone] = [status(403)] * 9
    server.tricks["/holdings/volumes/GO_0xxx" + wrong] = [instead(b"x" * 1000)] * 2
    code, told, error = run("pds-volume", "GO_0017", "target=Io", "--json")
    assert code == 3
    document = json.loads(told)
    states = {file["path"].rpartition("/")[2]: file["state"] for file in document["files"]}
    assert states["C0350040000R.IMG"] == "failed"
    assert states["C0350040100R.IMG"] == "quarantined"
    assert states["C0349500000R.IMG"] == states["C0350040000R.LBL"] == "fetched"
    assert "HTTP 403" in error
    assert "states" in error
    assert (tmp_path / "out/.quarantine" / wrong[1:]).is_file()
    assert [product.data.name for product in look_for([tmp_path / "out"])] == ["C0349500000R.IMG"]
    server.tricks.clear()
    assert run("pds-volume", "GO_0017", "target=Io")[0] == 0
    assert len(look_for([tmp_path / "out"])) == 3


def test_a_label_that_points_out_of_its_folder_gets_nothing(server: Server, run: Run, tmp_path: Path) -> None:
    archives.junocam(server)
    path = next(path for path in server.files if path.endswith("V05.LBL"))
    hostile = server.files[path].replace(b"JNCE_2023364_57C00001_V05.IMG", b"../../../../../secret.IMG")
    row = archives.junocam_row("JNCE_2023364_57C00001_V05", digits=archives.md5(hostile))
    server.put("/img/juno/JNOJNC_0028/INDEX/INDEX.TAB", row.encode())
    server.put(path, hostile)
    server.put("/img/juno/secret.IMG", b"secret")
    code, _, error = run("pds-volume", "JNOJNC_0028")
    assert code == 3
    assert "outside its folder" in error
    assert not list(tmp_path.rglob("secret*"))


def test_nothing_matched_is_said(server: Server, run: Run) -> None:
    archives.ssi(server)
    code, told, _ = run("pds-volume", "GO_0017", "target=Callisto")
    assert (code, told) == (4, "nothing matches volume=GO_0017 target=Callisto in pds-volume\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["opus"], 2, "asks for everything"),
        (["pds-volume", "volume=XX"], 2, "expected a camera"),
        (["pds-volume", "GO_0017", "--base-url", "nowhere"], 2, "names no service"),
        (["kernels", "juno"], 2, "kernels need both ends"),
        (["labels", "record=abc"], 2, "record=NUMBER"),
        (["moon"], 2, "moon"),
        (["opus", "target=Io"], 3, "HTTP 404"),
    ],
)
def test_exit_codes(run: Run, words: list[str], code: int, said: str) -> None:
    done, _, error = run(*words)
    assert (done, said in error) == (code, True), error


def test_much_is_not_fetched_without_consent(server: Server, run: Run, tmp_path: Path) -> None:
    archives.zenodo(server, size=2_000_000_000)
    code, _, error = run("labels")
    assert code == 2
    assert "2.0 GB" in error
    assert "--yes" in error
    assert server.got("content") == []
    archives.zenodo(server, size=10**18)
    code, _, error = run("labels", "--yes")
    assert code == 2
    assert "are free" in error
    assert fetched(tmp_path / "out") == {}


def test_labels_come_checked(server: Server, run: Run, tmp_path: Path) -> None:
    content = archives.zenodo(server)
    assert run("labels", "limb-and-plume")[0] == 0
    assert fetched(tmp_path / "out") == {"labels.zip": content}


def test_kernels_come_with_a_meta_kernel_that_loads(server: Server, run: Run, tmp_path: Path) -> None:
    spice = pytest.importorskip("spiceypy")
    archives.naif(server)
    code, told, error = run("kernels", "juno", "time=2023-12-30..2023-12-31", "--json")
    assert code == 0, error
    assert len(json.loads(told)["files"]) == 12
    spice.furnsh(str(tmp_path / "out/juno.tm"))
    try:
        assert spice.gcpool("LAST_LOADED", 0, 1)[0] == "juno_sc_rec_231224_231230_v02.bc"
        assert list(spice.gcpool("LOADED", 0, 20)) == json.loads(told)["products"]
    finally:
        spice.kclear()
    unfinished = tmp_path / "out/.fetch/parts"
    unfinished.mkdir(parents=True, exist_ok=True)
    (unfinished / "x-de440s.bsp.part").write_bytes(b"DAF/SPK half of it")
    found = kernels_in(tmp_path / "out")
    assert [path.name for path in found.text] == [
        "JNO_SCLKSCET.00211.tsc",
        "juno_v12.tf",
        "naif0012.tls",
        "pck00011.tpc",
    ]
    assert found.positions == ()


def test_without_httpx_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "from serve.cli import run\n"
        f"sys.exit(run(['fetch', 'labels', '--out', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install 'io-detector[serve]'" in done.stderr


# -- a process of its own -------------------------------------------------------------------------------------------


def start(server: Server, out: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "serve.cli", "fetch", *words, "--out", str(out), "--pause", "0"]
    return subprocess.Popen(
        [*command, *archives.overrides(server)], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_killed_at_any_instant_it_goes_on(server: Server, tmp_path: Path) -> None:
    files = archives.ssi(server)
    wanted = {path: content for path, content in files.items() if "EUROPA" not in path}
    for path in wanted:  # an image takes a second or two, so that kills find it on its way
        server.tricks[f"/holdings/volumes/GO_0xxx/{path}"] = [trickle(80_000, 0.1)] * 20
    dice, kills = random.Random(5), 0
    for _ in range(3):
        before = len(server.got("/volumes/"))
        process = start(server, tmp_path / "out", "pds-volume", "GO_0017", "target=Io")
        until = time.monotonic() + 30
        while len(server.got("/volumes/")) == before and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(dice.uniform(0.0, 0.7))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills >= 2
    ranges = [asked for path in wanted for asked in server.ranges(f"/holdings/volumes/GO_0xxx/{path}")]
    assert any(ranges)  # the later runs asked for the rest
    server.tricks.clear()
    last = start(server, tmp_path / "out", "pds-volume", "GO_0017", "target=Io", "--json")
    told, error = last.communicate(timeout=60)
    assert last.returncode == 0, error
    assert fetched(tmp_path / "out") == wanted
    assert list((tmp_path / "out/.fetch/parts").glob("*")) == []
    lines = [json.loads(line) for line in (tmp_path / "out/provenance.jsonl").read_text().splitlines()]
    assert {line["path"] for line in lines} == set(wanted)
    assert json.loads(told)["summary"]["failed"] == 0


STEPS = """
import os, signal, sys
import serve.fetch.plan, serve.fetch.run
from serve.cli import run
from serve.fetch.web import Web

Web()  # all that is slow, once
words, out = sys.argv[2:], sys.argv[1]

def changes(event, given):
    return event in ("os.rename", "os.remove") or (event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR))

def child(folder, kill_at):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = kill_at
    def hook(event, given):
        nonlocal left
        if changes(event, given) and str(given[0]).startswith(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    sys.stdout = sys.stderr = open(os.devnull, "w")
    os._exit(run(["fetch", *words, "--out", folder]))

step, code = 0, -9
while code == -9:
    step += 1
    folder = f"{out}/{step:03d}"
    code = child(folder, step)
    print(step, code, child(folder, 0) if code == -9 else 0, flush=True)
"""


def test_killed_at_every_step_on_the_disk_it_goes_on(server: Server, tmp_path: Path) -> None:
    """A process kills itself (SIGKILL) at its first, second, third ... change on the disk; the next one finishes."""
    files = archives.junocam(server)
    image = next(path for path in files if path.endswith(".IMG"))
    server.put(f"/img/juno/{image}", files[image][:5000])
    files[image] = files[image][:5000]
    words = ["pds-volume", "JNOJNC_0028", "--pause", "0", *archives.overrides(server)]
    command = [sys.executable, "-c", STEPS, str(tmp_path), *words]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=120)
    steps = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert len(steps) > 20
    assert steps[-1][1:] == (0, 0)
    assert {(first, second) for _, first, second in steps[:-1]} == {(-signal.SIGKILL, 0)}
    for step, *_ in steps:
        out = tmp_path / f"{step:03d}"
        assert fetched(out) == files, step
        lines = (out / "provenance.jsonl").read_bytes().splitlines()
        assert {json.loads(line)["path"] for line in lines if line} == set(files)
        assert not list((out / ".fetch").rglob("*.part"))


def test_interrupted_it_says_so_and_a_second_run_waits_its_turn(server: Server, tmp_path: Path) -> None:
    archives.junocam(server)
    path = next(path for path in server.files if path.endswith("V05.IMG"))
    server.tricks[path] = [trickle(10_000, 0.1)]
    process = start(server, tmp_path / "out", "pds-volume", "JNOJNC_0028")
    until = time.monotonic() + 30
    while not server.got("V05.IMG") and time.monotonic() < until:
        time.sleep(0.02)
    other = start(server, tmp_path / "out", "pds-volume", "JNOJNC_0028")
    _, error = other.communicate(timeout=60)
    assert other.returncode == 2
    assert "another fetch is writing into this folder" in error
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "the same command goes on from here" in error


def test_a_rough_day_at_the_archive(server: Server, run: Run, tmp_path: Path) -> None:
    """Everything at once, through the command: the frames are whole in the end."""
    files = archives.opus(server)
    tree = "/holdings/volumes/GO_0xxx"
    server.tricks[f"{tree}/GO_0017/C3/IO/C0350040000R.IMG"] = [drop(400_000), status(503, Retry_After="0"), drop(100)]
    server.tricks[f"{tree}/GO_0017/C3/IO/C0350040000R.LBL"] = [page()]
    server.tricks[f"{tree}/GO_0017/C3/IO/C0350040100R.IMG"] = [instead(b"wrong" * 100)]
    server.tricks["/holdings/checksums-volumes/GO_0xxx/GO_0017_md5.txt"] = [drop(50)]
    assert run("opus", "target=Io")[0] == 0
    here = fetched(tmp_path / "out")
    assert here == {path: files[path] for path in files if "EUROPA" not in path}
