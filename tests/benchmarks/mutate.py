"""Mutated labels and images against the service's own way in: no crash, no hang, no read outside the given files.

``python -m tests.benchmarks.mutate --count 10000`` runs many; the test suite runs a few hundred. Products of every
format are changed by Hypothesis (bytes, lengths, numbers of labels, pointers) and read in a process of their own that
is not confined: an audit hook notes every file that is opened, and a file outside holds a word that must never turn up
in what was read. Small frames go all the way through the detector.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "samples" / "frames"
CANARY = b"CANARY-7f3a91"
LIMIT_S = 5.0
NUMBERS = (
    "0",
    "-1",
    "1",
    "7",
    "2147483648",
    "1000000000",
    "99999999999999999999",
    "1e308",
    "-1e308",
    "NaN",
    "INF",
    "N/A",
    "",
    '"x"',
)
POINTERS = (
    b"/etc/passwd", b"../canary.img", b"../../canary.img", b"..\\canary.img", b"file:///etc/passwd",
    b"/proc/self/environ",
    b"canary.img", b".", b"..", b"~/canary.img", b"C:\\canary.img", b"/vsicurl/http://localhost/x", b"/vsizip/x.zip",
)  # fmt: skip
NUMBER = re.compile(rb"(?<==)\s*-?\d[\d.]*")
STRING = re.compile(rb'(?<=")[^"\r\n]{1,80}(?=")|(?<=<file_name>)[^<]*')

Files = dict[str, bytes]


def seeds() -> dict[str, Files]:
    """Return small products of every format: their files by name."""
    made = {
        "fits": {"a.fits": _fits(np.arange(60 * 50, dtype=np.float32).reshape(60, 50))},
        "fits_cube": {"a.fits": _fits(np.ones((3, 20, 20), np.int16))},
        "png": {"a.png": _picture("PNG")},
        "png16": {"a.png": _picture("PNG", np.uint16)},
        "jpeg": {"a.jpg": _picture("JPEG")},
        "tiff": {"a.tif": _picture("TIFF")},
        "gif": {"a.gif": _picture("GIF")},
        "jp2": {"a.jp2": _picture("JPEG2000")},
        "pds3": {"a.lbl": _pds3(), "a.img": bytes(range(200)) * 20},
        "pds3_odd": {
            "a.lbl": _pds3().replace(b"UNSIGNED_INTEGER", b"VAX_REAL").replace(b"= 8", b"= 32"),
            "a.img": bytes(range(200)) * 80,
        },
        "vicar": {"a.img": _vicar()},
        "isis": {"a.cub": _isis()},
        "pds4": {"a.xml": _pds4(), "a.img": bytes(range(200)) * 20},
    }
    for name in ("C0350040000R", "JIR_IMG_RDR_2023364T001400_V05", "JNCE_2023364_57C00001_V05"):
        made[name] = {f"{name}{ending}": (SAMPLES / f"{name}{ending}").read_bytes() for ending in (".LBL", ".IMG")}
    return made


def _fits(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    fits.writeto(stream, image)
    return stream.getvalue()


def _picture(kind: str, dtype: type = np.uint8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(40 * 50).reshape(40, 50).astype(dtype)).save(stream, kind)
    return stream.getvalue()


def _pds3() -> bytes:
    return (
        b"PDS_VERSION_ID = PDS3\r\nRECORD_TYPE = FIXED_LENGTH\r\nRECORD_BYTES = "
        b'50\r\nFILE_RECORDS = 80\r\n^IMAGE = ("a.img", 1)\r\n'
        b'TARGET_NAME = "IO"\r\nINSTRUMENT_ID = "CAM"\r\nSTART_TIME = '
        b"1999-07-03T10:00:00\r\nEXPOSURE_DURATION = 10.5 <ms>\r\n"
        b"OBJECT = IMAGE\r\n LINES = 80\r\n LINE_SAMPLES = 50\r\n SAMPLE_BITS = 8\r\n SAMPLE_TYPE "
        b"= UNSIGNED_INTEGER\r\n"
        b" LINE_PREFIX_BYTES = 0\r\nEND_OBJECT = IMAGE\r\nEND\r\n"
    )


def _vicar() -> bytes:
    label = (
        "LBLSIZE=400             FORMAT='BYTE'  TYPE='IMAGE'  BUFSIZ=50  DIM=3  EOL=0  "
        "RECSIZE=50  ORG='BSQ'  NL=40  NS=50  NB=1  "
        "N1=50  N2=40  N3=1  N4=0  NBB=0  NLB=0  HOST='X'  INTFMT='LOW'  REALFMT='RIEEE'  "
        "BHOST='X'  BINTFMT='LOW'  TASK='T'  "
    )
    return label.ljust(400, "\0").encode() + bytes(range(200)) * 10


def _isis() -> bytes:
    label = (
        "Object = IsisCube\n  Object = Core\n    StartByte = 1025\n    Format = BandSequential\n "
        "   Group = Dimensions\n"
        "      Samples = 50\n      Lines = 40\n      Bands = 1\n    End_Group\n    Group = "
        "Pixels\n      Type = UnsignedByte\n"
        "      ByteOrder = Lsb\n      Base = 0.0\n      Multiplier = 1.0\n    End_Group\n  "
        "End_Object\nEnd_Object\nEnd\n"
    )
    return label.ljust(1024, "\0").encode() + bytes(range(200)) * 10


def _pds4() -> bytes:
    return (
        b'<?xml version="1.0"?><Product_Observational xmlns="http://pds.nasa.gov/pds4/pds/v1"><Identification_Area>'
        b"<logical_identifier>urn:nasa:pds:x:y:z</logical_identifier><version_id>1.0</version_id></Identification_Area>"
        b"<Observation_Area><Time_Coordinates><start_date_time>2023-01-01T00:00:00Z</start_date_time>"
        b"</Time_Coordinates>"
        b"</Observation_Area><File_Area_Observational><File><file_name>a.img</file_name></File><Array_2D_Image>"
        b'<offset unit="byte">0</offset><axes>2</axes><axis_index_order>Last Index '
        b"Fastest</axis_index_order><Element_Array>"
        b"<data_type>UnsignedByte</data_type></Element_Array><Axis_Array><axis_name>Line</axis_name>"
        b"<elements>80</elements>"
        b"<sequence_number>1</sequence_number></Axis_Array><Axis_Array><axis_name>Sample</axis_name>"
        b"<elements>50</elements>"
        b"<sequence_number>2</sequence_number></Axis_Array></Array_2D_Image></File_Area_Observational>"
        b"</Product_Observational>"
    )


@st.composite
def mutated(draw: st.DrawFn, products: dict[str, Files]) -> tuple[str, Files]:
    """Draw a product and change one or more of its files in one or more ways."""
    name = draw(st.sampled_from(sorted(products)))
    files = dict(products[name])
    for _ in range(draw(st.integers(1, 4))):
        part = draw(st.sampled_from(sorted(files)))
        files[part] = draw(st.sampled_from(CHANGES))(draw, files[part])
    return name, files


def _flip(draw: st.DrawFn, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 16))):
        if changed:
            changed[draw(_place(len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


def _cut(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(_place(len(data)))]


def _drop(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(_place(len(data)))
    return data[:at] + data[at + draw(st.integers(1, 4096)) :]


def _repeat(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(_place(len(data)))
    piece = data[at : at + draw(st.integers(1, 512))]
    return data[:at] + piece * draw(st.integers(2, 64)) + data[at:]


def _insert(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(_place(len(data)))
    return data[:at] + draw(st.binary(min_size=1, max_size=64)) + data[at:]


def _number(draw: st.DrawFn, data: bytes) -> bytes:
    return _replace(draw, data, NUMBER, st.sampled_from(NUMBERS).map(lambda text: b" " + text.encode()))


def _string(draw: st.DrawFn, data: bytes) -> bytes:
    return _replace(draw, data, STRING, st.sampled_from(POINTERS))


def _replace(draw: st.DrawFn, data: bytes, pattern: re.Pattern[bytes], other: st.SearchStrategy[bytes]) -> bytes:
    """Replace one of what a pattern finds in the head of a file."""
    found = list(pattern.finditer(data[:60_000]))
    if not found:
        return _flip(draw, data)
    one = draw(st.sampled_from(found))
    return data[: one.start()] + draw(other) + data[one.end() :]


def _place(last: int) -> st.SearchStrategy[int]:
    """Somewhere in a file, in its head more often than not."""
    return st.one_of(st.integers(0, max(0, min(last, 600))), st.integers(0, max(0, last)))


CHANGES = (_flip, _cut, _drop, _repeat, _insert, _number, _number, _string, _string)


@dataclass
class Trial:
    """A reader process and what was seen of it.

    Attributes:
        model: file of the model that small frames go through.
        counts: products by what became of them.
        slowest_s: the longest that one took.

    """

    model: Path
    counts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    def __enter__(self) -> Trial:
        self.folder = Path(tempfile.mkdtemp(prefix="mutate-"))
        (self.folder / "canary.img").write_bytes(CANARY * 1000)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        shutil.rmtree(self.folder)

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_read_all, args=(theirs, self.folder, self.model), daemon=True)
        self._process.start()
        theirs.close()
        assert self._pipe.poll(120), "the reader did not come up"
        self._pipe.recv()

    def check(self, name: str, files: Files) -> None:
        """Let one product be read, and look at what came of it."""
        folder = self.folder / "up"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for part, content in files.items():
            (folder / part).write_bytes(content)
        started = time.monotonic()
        self._pipe.send(name)
        try:
            answered = self._pipe.poll(20 * LIMIT_S)
            state, cpu_s, detail = self._pipe.recv() if answered else ("hang", 20 * LIMIT_S, "no answer")
        except (EOFError, OSError):
            state, cpu_s, detail = "crash", time.monotonic() - started, f"exit code {self._process.exitcode}"
        self.counts[state] += 1
        self.slowest_s = max(self.slowest_s, cpu_s)
        if state not in ("read", "refused"):
            self._process.kill()
            self._start()
            raise AssertionError(f"{name}: {state}: {detail}")
        assert cpu_s <= LIMIT_S, f"{name} took {cpu_s:.1f} s"


def _read_all(pipe: Connection, folder: Path, model: Path) -> None:
    """Read what is put into ``folder / "up"`` whenever told to; say what became of it."""
    from detector.detect import Detector
    from detector.errors import InputError
    from detector.readers import layout, read_frames
    from detector.session import Model
    from serve.web import confine, intake
    from serve.web.problems import Problem

    confine.limit_memory(3 << 30)
    layout.allow_pixels(64_000_000)
    detector = Detector(Model.open(model, "cpu", 1))
    warnings.simplefilter("ignore")
    watch = _Opened([folder / "up", *confine.system_files(), ROOT])
    sys.addaudithook(watch.saw)

    def look() -> tuple[str, str]:
        up = folder / "up"
        try:
            for product in intake.products_in(up, sorted(up.iterdir())):
                for frame in read_frames(product):
                    said = " ".join((*frame.keywords.values(), *frame.warnings)).encode("utf-8", "replace")
                    if CANARY in said or CANARY in np.nan_to_num(frame.image).clip(0, 255).astype(np.uint8).tobytes():
                        return "leak", "what stands in another file was read"
                    if frame.image.size <= 50_000:
                        detector(frame)
        except (InputError, Problem, MemoryError):
            return "refused", ""
        return "read", ""

    pipe.send("ready")
    while True:
        name = pipe.recv()
        watch.outside.clear()
        started = time.process_time()
        try:
            state, detail = look()
        except Exception as error:  # noqa: BLE001 - what is looked for
            state, detail = "unexpected", f"{type(error).__name__}: {error}"
        if watch.outside:
            state, detail = "outside", f"{name} opened {sorted(watch.outside)}"
        pipe.send((state, time.process_time() - started, detail))


class _Opened:
    """Notes which files are opened, by Python or by libraries through it."""

    def __init__(self, allowed: list[Path]) -> None:
        self.allowed = tuple(str(path.resolve()) for path in allowed) + tuple(map(str, allowed))
        self.outside: set[str] = set()

    def saw(self, event: str, values: tuple[Any, ...]) -> None:
        """Take note of an event."""
        if event in ("subprocess.Popen", "os.system", "socket.connect", "socket.getaddrinfo"):
            self.outside.add(f"{event} {values[:2]}")
        if event == "open" and isinstance(values[0], str | bytes):
            path = values[0].decode("utf-8", "replace") if isinstance(values[0], bytes) else values[0]
            plain = str(Path(path).absolute()) if ".." not in path else str(Path(path).resolve())
            if not plain.startswith(self.allowed) and not plain.startswith(
                ("/dev/null", "/dev/urandom", "/proc/self/")
            ):
                self.outside.add(path)


def run(count: int, model: Path, progress: bool = False) -> Trial:
    """Try ``count`` mutated products.

    Raises:
        AssertionError: the smallest product found that crashes, hangs, or reads what it must not.

    """
    products = seeds()
    with Trial(model) as trial:

        @settings(
            max_examples=count, deadline=None, database=None, derandomize=True, print_blob=False,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
        )  # fmt: skip
        @given(mutated(products))
        def one(drawn: tuple[str, Files]) -> None:
            trial.check(*drawn)
            done = sum(trial.counts.values())
            if progress and done % 500 == 0:
                print(f"{done} {dict(trial.counts)} slowest {trial.slowest_s:.2f} s", flush=True)  # noqa: T201

        for name, files in products.items():  # what is not mutated is read, or the trial proves nothing
            trial.check(name, files)
        assert trial.counts["read"] >= len(products) - 2, trial.counts
        one()
    return trial


def main() -> None:
    """Run the trial as a command."""
    from detector.session import RELEASED

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=10_000)
    given_ = options.parse_args()
    started = time.monotonic()
    trial = run(given_.count, RELEASED, progress=True)
    took = time.monotonic() - started
    print(f"{sum(trial.counts.values())} products {dict(trial.counts)}, slowest {trial.slowest_s:.2f} s, {took:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
