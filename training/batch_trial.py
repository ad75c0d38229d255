"""Does a batch keep its promises: damaged files, SIGKILL at any instant, memory, speed, products that arrive in pieces.

The command line is run as a user runs it, in processes of its own, and killed for real.
"""

from __future__ import annotations

import csv
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from detector.detect import Detector
from detector.errors import InputError
from detector.limb import find_limb
from detector.products import Product, find_products
from detector.readers import read_frames
from detector.session import Model
from training.simulate.write import write_dataset

Progress = Callable[[int, int], None]

COMMAND = (sys.executable, "-m", "serve.cli")
ORIGINALS = 200
"""Products that are simulated; the rest are copies of them under other names."""
TABLES = ("catalogue.csv", "catalogue.geojson", "frames.csv")
ARRIVING_S = 0.005
"""Pause between the pieces of a file that arrives."""


# -- products -------------------------------------------------------------------------------------------------------


def make_products(folder: Path, count: int, damaged: float, seed: int) -> dict[str, str]:
    """Write simulated products of all instruments, some of them damaged.

    Args:
        folder: is filled.
        count: products.
        damaged: share that is damaged, each in one of the ways of DAMAGES.
        seed: of the products and of the damage.

    Returns:
        what is wrong by the name of the data file; empty for sound ones.

    """
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as made:
        write_dataset(Path(made) / "set", "mixed", min(count, ORIGINALS), seed)
        originals = find_products([Path(made) / "set" / "frames"])
        folder.mkdir(parents=True, exist_ok=True)
        products = [_copy(originals[n % len(originals)], folder, n // len(originals)) for n in range(count)]
    wrong = dict.fromkeys((product.data.name for product in products), "")
    ways = sorted(DAMAGES)
    for number, product in enumerate(dice.sample(products, round(damaged * count))):
        way = ways[number % len(ways)]
        DAMAGES[way](product)
        wrong[product.data.name] = way
    return wrong


def _copy(product: Product, folder: Path, copy: int) -> Product:
    """Write a product under another name; its label names the new file, and no two files have the same bytes."""
    old, new = product.data.stem, f"{product.data.stem}{f'C{copy:03d}' * bool(copy)}"
    data = folder / (new + product.data.suffix)
    shutil.copyfile(product.data, data)
    if product.label is None:
        _mark(data, copy)
        return Product(None, data)
    label = folder / (new + product.label.suffix)
    label.write_bytes(product.label.read_bytes().replace(old.encode(), new.encode()))
    return Product(label, data)


def _mark(data: Path, copy: int) -> None:
    """Write a number into what fills the last block of a FITS file."""
    if copy:
        with data.open("r+b") as stream:
            stream.seek(-2, os.SEEK_END)
            stream.write(copy.to_bytes(2))


def _truncate(product: Product) -> None:
    os.truncate(product.data, int(0.4 * product.data.stat().st_size))


def _empty(product: Product) -> None:
    os.truncate(product.data, 0)


def _other_type(product: Product) -> None:
    product.data.write_bytes(b"%PDF-1.7 this is no image\n" * 2000)


def _huge(product: Product) -> None:
    """Make the label, or the header, speak of an absurd size."""
    target = product.label or product.data
    text = target.read_bytes()
    if product.label is None:
        cards = [text[at : at + 80] for at in range(0, 2880, 80)]
        sizes = {b"NAXIS1": 3_000_000, b"NAXIS2": 4_000_000}
        for name, size in sizes.items():
            at = next(n for n, card in enumerate(cards) if card.startswith(name))
            cards[at] = f"{name.decode():8}= {size:>20}".ljust(80).encode()
        target.write_bytes(b"".join(cards) + text[2880:])
    else:
        lines = text.decode("latin-1").splitlines(keepends=True)
        absurd = [_with_value(line, 4_000_000) if line.split("=")[0].strip() in SIZES else line for line in lines]
        target.write_bytes("".join(absurd).encode("latin-1"))


SIZES = ("LINES", "LINE_SAMPLES")


def _with_value(line: str, value: int) -> str:
    return f"{line.split('=')[0]}= {value}\r\n"


def _wrong_label(product: Product) -> None:
    """Put another product's label in the place of the right one; without a label, text where the header was."""
    if product.label is None:
        product.data.write_bytes(b"PDS_VERSION_ID = PDS3\r\nEND\r\n" + product.data.read_bytes()[2880:])
        return
    product.label.write_text(
        f'PDS_VERSION_ID = PDS3\r\n^IMAGE = "{product.data.name}"\r\nINSTRUMENT_NAME = "OTHER"\r\n'
        "OBJECT = IMAGE\r\nLINES = 5000\r\nLINE_SAMPLES = 5000\r\nSAMPLE_BITS = 16\r\n"
        "SAMPLE_TYPE = MSB_UNSIGNED_INTEGER\r\nEND_OBJECT = IMAGE\r\nEND\r\n"
    )


DAMAGES: dict[str, Callable[[Product], None]] = {
    "truncated": _truncate,
    "zero bytes": _empty,
    "wrong type": _other_type,
    "huge dimensions": _huge,
    "wrong label": _wrong_label,
}


# -- a run that is watched ------------------------------------------------------------------------------------------


@dataclass
class Usage:
    """What a process and its children took.

    Attributes:
        seconds: wall-clock time.
        cpu_s: processor time of all of them.
        peaks_mb: largest resident memory of the process, and of all together, by products done until then.

    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    peaks_mb: list[tuple[int, float, float]] = field(default_factory=list)

    def peak_mb(self, share: float = 1.0) -> float:
        """Largest memory of all processes over the first part of the run, by products."""
        last = share * self.peaks_mb[-1][0] if self.peaks_mb else 0
        return max((whole for done, _, whole in self.peaks_mb if done <= last), default=0.0)

    def parent_mb(self) -> float:
        """Largest memory of the process that hands out the work."""
        return max((own for _, own, _ in self.peaks_mb), default=0.0)


def detect(frames: Path, out: Path, workers: int, *more: str) -> list[str]:
    """Return the command of a batch run without pictures."""
    words = ["detect", frames, "--out", out, "--workers", workers, "--no-quicklook", *more]
    return [*COMMAND, *map(str, words)]


def run_watched(words: Sequence[str], done: Callable[[], int] = lambda: 0) -> Usage:
    """Run a command to its end and see what it takes.

    Raises:
        InputError: it ended with another code than 0 or 3.

    """
    usage, start = Usage(), time.monotonic()
    before = os.times()
    process = _begin(words)
    while process.poll() is None:
        own, others = memory_mb(process.pid), map(memory_mb, children(process.pid))
        usage.peaks_mb.append((done(), own, own + sum(others)))
        time.sleep(0.25)
    after = os.times()
    usage.seconds = time.monotonic() - start
    usage.cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    if process.returncode not in (0, 3):
        raise InputError(" ".join(words), f"ended with code {process.returncode}")
    return usage


def _begin(words: Sequence[str], stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    here = Path(__file__).resolve().parents[1]
    return subprocess.Popen(list(words), cwd=here, stdout=subprocess.DEVNULL, stderr=stderr)


def children(pid: int) -> list[int]:
    """Processes that a process started, of /proc; none where there is no such thing."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def memory_mb(pid: int) -> float:
    """Resident memory of a process, of /proc; 0 where there is no such thing."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def masks_in(out: Path) -> Callable[[], int]:
    """Count the masks in an output folder."""
    return lambda: sum(1 for _ in (out / "masks").glob("*.fits")) if (out / "masks").is_dir() else 0


# -- killed and gone on ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What came of a trial: the lines to print, and whether all is as it should be."""

    lines: tuple[str, ...]
    passed: bool


def trial(
    count: int,
    damaged: float,
    kills: int,
    workers: int,
    seed: int,
    keep: Path | None = None,
    model: Path | None = None,
    engines: Sequence[str] = (),
) -> Verdict:
    """Run products undisturbed, with kills, and by other engines; compare statuses, bytes and memory."""
    more = () if model is None else ("--model", str(model.absolute()))
    with _place(keep) as place:
        wrong = make_products(place / "frames", count, damaged, seed)
        whole = place / "whole"
        usage = run_watched(detect(place / "frames", whole, workers, *more), masks_in(whole))
        statuses = odd_statuses(whole, wrong)
        again = detect(place / "frames", place / "killed", workers, *more)
        survived, orphans = run_killed(again, kills, usage.seconds, seed)
        differing = differences(whole, place / "killed")
        apart = {}
        for engine in engines:
            ended = run_watched(detect(place / "frames", place / engine, workers, "--engine", engine, *more))
            apart[engine] = (ended.seconds, differences(whole, place / engine))
    quarter, full = usage.peak_mb(0.25), usage.peak_mb()
    tally = Counter(wrong.values())
    lines = (
        f"{count} products, {sum(map(bool, wrong.values()))} damaged: "
        + ", ".join(f"{n} {way}" for way, n in sorted(tally.items()) if way),
        f"undisturbed: {usage.seconds:.0f} s, {count / usage.seconds:.2f} products/s with {workers} workers",
        f"status as it should be: {count - len(statuses)} of {count}" + "".join(f"\n  {said}" for said in statuses[:5]),
        f"SIGKILL: {survived} times, processes left behind: {orphans}",
        f"files that differ after going on: {len(differing)}" + "".join(f"\n  {name}" for name in differing[:5]),
        f"peak memory: {quarter:.0f} MB in the first quarter of the products, {full:.0f} MB over all; "
        f"{usage.parent_mb():.0f} MB of it where the work is handed out",
        *(f"engine {name}: {took:.0f} s, files that differ: {len(names)}" for name, (took, names) in apart.items()),
    )
    wrong_bytes = [*differing, *(name for _, names in apart.values() for name in names)]
    return Verdict(lines, not (statuses or wrong_bytes or orphans) and full < 1.25 * quarter + 50)


def odd_statuses(out: Path, wrong: dict[str, str]) -> list[str]:
    """Say which products have another status than they should: damaged ones are rejected, all others are not."""
    found: dict[str, set[str]] = {}
    with (out / "frames.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(Path(row["path"]).name, set()).add(row["status"])
    said = []
    for name, way in wrong.items():
        statuses = found.get(name, {"no row"})
        if (statuses != {"rejected"}) if way else not statuses <= {"ok", "partial"}:
            said.append(f"{name}: {way or 'sound'}, but {', '.join(sorted(statuses))}")
    return said


def run_killed(words: Sequence[str], kills: int, seconds: float, seed: int) -> tuple[int, int]:
    """Run with SIGKILL at random instants, then to the end; return kills that hit, and processes they left behind."""
    dice, hit, orphans = random.Random(seed), 0, 0
    for _ in range(kills):
        process = _begin(words)
        end = time.monotonic() + dice.uniform(0.0, 1.6 * seconds / kills)
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is None:
            theirs = children(process.pid)
            process.kill()
            process.wait()
            hit += 1
            orphans += _left(theirs)
    run_watched(words)
    return hit, orphans


def _left(pids: Sequence[int], patience_s: float = 60.0) -> int:
    """How many of these processes are still there after a while."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end and any(memory_mb(pid) for pid in pids):
        time.sleep(0.02)
    return sum(memory_mb(pid) > 0 for pid in pids)


def differences(one: Path, other: Path) -> list[str]:
    """Names of files that are not the same in two output folders; the ``seconds`` of ``frames.csv`` do not count."""
    names = {path.relative_to(folder) for folder in (one, other) for path in folder.glob("masks/*")}
    apart = [str(name) for name in sorted(names) if not _same(one / name, other / name)]
    for name in TABLES:
        texts = [_without_seconds(folder / name) for folder in (one, other)]
        apart += [name] * (texts[0] != texts[1])
    return apart


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _without_seconds(table: Path) -> bytes:
    if table.name != "frames.csv":
        return table.read_bytes()
    with table.open(encoding="utf-8", newline="") as stream:
        return json.dumps([row | {"seconds": ""} for row in csv.DictReader(stream)]).encode()


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


PARTS = ("network", "limb", "detector")
ENOUGH = 0.85
"""Share of the detector's throughput that a batch must reach."""


# -- how fast -------------------------------------------------------------------------------------------------------


def speed(count: int, workers: int, rounds: int, seed: int, keep: Path | None = None) -> Verdict:
    """Time the network, the limb search, the detector and whole batches, in turns; starting up is left out of all.

    The detector is limb, network, regions and measurements of frames in memory. A whole batch is timed as the
    difference between one over all products and one over a few. It passes at 85 % of the detector's own throughput:
    reading, journal, masks and tables may cost the rest.
    """
    with _place(keep) as place:
        frames = place / "frames"
        make_products(frames, count, 0.0, seed)
        products = find_products([frames])
        few, few_frames = place / "few", 0
        few.mkdir(exist_ok=True)
        for product in products[:: max(1, len(products) // 8)]:
            few_frames += len(read_frames(product))
            for path in {product.data, product.label} - {None}:
                shutil.copyfile(str(path), few / path.name)  # type: ignore[union-attr]
        alone: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
        whole: list[tuple[float, float]] = []
        total = 0
        for turn in range(rounds):
            for part, took in alone.items():
                total, *costs = _alone(frames, part, workers)
                took.append((costs[0], costs[1]))
            out = place / f"out{turn}"
            some = run_watched(detect(few, out / "few", workers))
            all_ = run_watched(detect(frames, out / "all", workers))
            more = total - few_frames
            whole.append(((all_.seconds - some.seconds) / more, (all_.cpu_s - some.cpu_s) / more))
    rows = {part: _middle(took) for part, took in alone.items()} | {"whole batch": _middle(whole)}
    lines = [f"{total} frames of {len(products)} products, {workers} workers of one thread, median of {rounds} rounds"]
    for part, (seconds, cpu_s) in rows.items():
        lines.append(f"{part:<12} {1 / seconds:7.2f} frames/s {1000 * cpu_s:7.1f} ms of processor a frame")
    seconds, cpu_s = rows["whole batch"]
    for part in PARTS:
        wall, cpu = rows[part]
        shares = f"{100 * wall / seconds:.0f} % by the clock, {100 * cpu / cpu_s:.0f} % by processor time"
        lines.append(f"batch / {part} alone: {shares}")
    return Verdict(tuple(lines), rows["detector"][0] / seconds >= ENOUGH)


def _middle(took: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Medians of wall-clock and processor seconds a frame."""
    ranked = [sorted(values) for values in zip(*took, strict=True)]
    return ranked[0][len(took) // 2], ranked[1][len(took) // 2]


def _alone(folder: Path, part: str, workers: int) -> tuple[int, float, float]:
    """Frames; wall-clock and processor seconds a frame of one step in so many processes, everything else left out."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_timed, *zip(*((folder, part, n, workers) for n in range(workers)), strict=True)))
    frames = sum(n for n, _, _ in parts)
    return frames, max(wall for _, wall, _ in parts) / frames, sum(cpu for _, _, cpu in parts) / frames


def _timed(folder: Path, part: str, number: int, workers: int) -> tuple[int, float, float]:
    """Do one step on every so-many-th product: frames, wall-clock and processor seconds of the step alone."""
    detector, wall, cpu, frames = Detector(Model.open(None, "cpu", 1)), 0.0, 0.0, 0
    for product in find_products([folder])[number::workers]:
        for frame in read_frames(product):
            limb = find_limb(frame) if part == "network" else None
            start, before = time.perf_counter(), time.process_time()
            if limb is not None:
                detector.model.scores(frame, limb)
            elif part == "limb":
                find_limb(frame)
            else:
                detector(frame)
            wall, cpu, frames = wall + time.perf_counter() - start, cpu + time.process_time() - before, frames + 1
    return frames, wall, cpu


# -- arriving in pieces ---------------------------------------------------------------------------------------------


def watch_trial(
    count: int, restarts: int, workers: int, seed: int, keep: Path | None = None, model: Path | None = None
) -> Verdict:
    """Let products arrive in pieces while a watch runs, end and begin it anew, and count what is in the catalogue."""
    with _place(keep) as place:
        make_products(place / "source", count, 0.0, seed)
        products = find_products([place / "source"])
        (place / "inbox").mkdir()
        words = ["watch", place / "inbox", "--out", place / "out", "--workers", workers, "--settle-s", "1"]
        words += ["--label-wait-s", "20", "--no-quicklook", "--no-masks"]
        words += [] if model is None else ["--model", model.absolute()]
        arriving = threading.Thread(target=_arrive, args=(products, place / "inbox", seed))
        arriving.start()
        codes, done = [], 0
        for turn in range(restarts + 1):
            process = _begin([*COMMAND, *map(str, words)], subprocess.PIPE)
            _until_said(process, b"watching")
            goal = count * (turn + 1) // (restarts + 1)
            done = _until(place / "out", goal if turn < restarts else count, process)
            process.send_signal(signal.SIGTERM if turn % 2 else signal.SIGINT)
            codes.append(process.wait(120))
        arriving.join()
        expected = {product.data.stem for product in products}
        with (place / "out" / "frames.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    names = Counter(Path(path).stem for path in {row["path"] for row in rows})
    ids = Counter(row["frame_id"] for row in rows if row["frame_id"])
    missing = expected - set(names)
    twice = [name for seen in (names, ids) for name, times in seen.items() if times > 1]
    rejected = [row["path"] for row in rows if row["status"] == "rejected"]
    lines = (
        f"{count} products in pieces, renamed, in sub-folders; ended and begun anew {restarts} times (codes {codes})",
        f"in the tables: {done}; missing {len(missing)}, twice {len(twice)}, rejected {len(rejected)}",
    )
    return Verdict(lines, not (missing or twice or rejected or any(codes)))


def _until_said(process: subprocess.Popen[bytes], word: bytes) -> None:
    """Wait until a process says a word, or ends; what it says later is heard by nobody, but does not hold it up."""
    assert process.stderr is not None
    while (line := process.stderr.readline()) and word not in line:
        pass
    threading.Thread(target=process.stderr.read, daemon=True).start()


def _until(out: Path, goal: int, process: subprocess.Popen[bytes], patience_s: float = 3600.0) -> int:
    """Wait until so many products are in the tables; return how many there are."""
    end, seen = time.monotonic() + patience_s, 0
    while seen < goal and time.monotonic() < end and process.poll() is None:
        time.sleep(0.2)
        table = out / "frames.csv"
        if table.is_file():
            with table.open(encoding="utf-8", newline="") as stream:
                seen = len({row["path"] for row in csv.DictReader(stream)})
    return seen


def _arrive(products: Sequence[Product], inbox: Path, seed: int) -> None:
    """Write each product into the inbox: label or image first, in pieces, in place or renamed when whole."""
    dice = random.Random(seed)
    for product in products:
        folder = inbox / f"day{dice.randrange(5)}"
        folder.mkdir(exist_ok=True)
        files = [path for path in (product.label, product.data) if path is not None]
        dice.shuffle(files)
        for path in files:
            renamed = dice.random() < 0.5
            _in_pieces(path, folder / (f"{path.name}.part" if renamed else path.name), dice)
            if renamed:
                (folder / f"{path.name}.part").rename(folder / path.name)


def _in_pieces(source: Path, target: Path, dice: random.Random) -> None:
    content = source.read_bytes()
    cuts = sorted(dice.randrange(len(content)) for _ in range(3))
    with target.open("wb") as stream:
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            stream.write(content[start:end])
            stream.flush()
            time.sleep(ARRIVING_S)
