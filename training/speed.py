"""How long a frame takes: the model alone and the whole road, beside what a user could run instead.

Everybody takes turns on the same frames, round after round, so that what else the machine does strikes all alike. Times
are medians with quartiles and minimum. The networks' arithmetic is counted on their graphs (convolutions and matrix
products) and set against the float32 matrix product that the machine was measured to reach in the same minutes.
Rivals whose file or package is missing are named as missing.
"""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from detector.detect import Detector
from detector.frame import Frame
from detector.limb import Limb, find_limb
from detector.products import find_products
from detector.readers import read_frames
from detector.session import OUTPUT, Model
from detector.tiles import windows
from training.rivals import Sight
from training.rivals.spots import DaoStars
from training.simulate.product import expose
from training.simulate.recipe import Recipe
from training.simulate.write import write_product

Feed = dict[str, NDArray]
Progress = Callable[[int, int], None]

SIZE_PX = 800
THREADS, BATCHES = (1, 2), (1, 8)
GEMM_SIZE = 1536
RARE_BATCH = 4
"""Large batches are timed in every so many rounds only: they take long."""
RIVALS = ("YOLO11n-seg", "U-Net resnet18", "DAOStarFinder")
WORKED_OUT = ("Conv", "MatMul", "Gemm", "ConvTranspose")


@dataclass(frozen=True)
class Timing:
    """What one contestant needs.

    Attributes:
        name: who.
        threads, batch: of one run.
        median_ms, low_ms, high_ms, least_ms: a frame: median, quartiles, minimum.
        runs: how many were timed.
        gflop: arithmetic of a frame; NaN where it is no network.
        peak_share: of the machine's float32 matrix product with as many threads, both at their best; NaN likewise.
        note: what must be known, or why there is no time.

    """

    name: str
    threads: int
    batch: int
    median_ms: float = math.nan
    low_ms: float = math.nan
    high_ms: float = math.nan
    least_ms: float = math.nan
    runs: int = 0
    gflop: float = math.nan
    peak_share: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Speed:
    """All timings, on what machine, and its peak by number of threads in GFLOP/s (best and median)."""

    machine: str
    cores: int
    load: float
    frames: tuple[str, ...]
    peak_gflops: dict[int, tuple[float, float]]
    timings: tuple[Timing, ...]

    def to_json(self) -> str:
        """Write the content of ``speed.json``; not known is null."""
        plain = asdict(self)
        for one in plain["timings"]:
            one.update({key: None for key, value in one.items() if isinstance(value, float) and math.isnan(value)})
        return json.dumps(plain, indent=1, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Contestant:
    """Something to time.

    Attributes:
        name, threads, batch: as in :class:`Timing`.
        run: called with the number of the frame.
        gflop: arithmetic of one frame.
        note: see :class:`Timing`.

    """

    name: str
    threads: int
    batch: int
    run: Callable[[int], object]
    gflop: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class View:
    """One frame to be timed on: its file, what is read from it, and its limb."""

    path: Path
    frame: Frame
    limb: Limb


def measure(
    model: Path | None = None,
    yolo: Path | None = None,
    unet: Path | None = None,
    *,
    frames: int = 4,
    seed: int = 62_001,
    rounds: int = 12,
    progress: Progress = lambda done, total: None,
) -> Speed:
    """Time everybody on simulated SSI frames of 800 x 800 that show a limb.

    Args:
        model: the .onnx file; None takes the released one.
        yolo: YOLO11n-seg as .onnx, exported by ultralytics from its yaml for 800 x 800 pixels.
        unet: another network as .onnx of one input (n, channels, 800, 800): smp's U-Net with a resnet18.
        frames: how many different frames.
        seed: of them.
        rounds: how often each is timed on each batch size; the first is for warming up and left out.
        progress: is told rounds done and all.

    Raises:
        ModelError: the model cannot be used.

    """
    with tempfile.TemporaryDirectory() as room:
        views = list(_views(Path(room), frames, seed))
        contestants, missing = _contestants(model, yolo, unet, views)
        times: list[list[float]] = [[] for _ in contestants]
        peaks: dict[int, list[float]] = {threads: [] for threads in THREADS}
        for turn in range(rounds + 1):
            for threads in THREADS:
                peaks[threads].append(gemm_gflops(threads))
            for held, one in zip(times, contestants, strict=True):
                if one.batch > 1 and turn > 1 and turn % RARE_BATCH:
                    continue
                with threadpool_limits(one.threads):
                    start = perf_counter()
                    one.run(turn % frames)
                    held.append((perf_counter() - start) / one.batch)
            progress(turn + 1, rounds + 1)
    peak = {threads: (max(reached), float(np.median(reached))) for threads, reached in peaks.items()}
    timings = [_timing(one, held[1:], peak) for one, held in zip(contestants, times, strict=True)]
    return Speed(
        platform.processor() or platform.machine(), os.cpu_count() or 1, os.getloadavg()[0],
        tuple(view.frame.id for view in views), peak, (*timings, *missing),
    )  # fmt: skip


def _timing(one: Contestant, seconds: Sequence[float], peak: dict[int, tuple[float, float]]) -> Timing:
    """Sum up; the share of the peak is that of the fastest run, as the peak is the fastest product's."""
    milliseconds = 1000 * np.array(seconds)
    low, median, high = np.percentile(milliseconds, [25, 50, 75])
    share = one.gflop / (milliseconds.min() / 1000) / peak[one.threads][0]
    return Timing(
        one.name, one.threads, one.batch, float(median), float(low), float(high), float(milliseconds.min()),
        len(seconds), one.gflop, float(share), one.note,
    )  # fmt: skip


def gemm_gflops(threads: int, size: int = GEMM_SIZE) -> float:
    """Float32 product of two (size, size) matrices, the best of three, in GFLOP/s: what the machine can do."""
    rng = np.random.default_rng(0)
    left, right = rng.random((2, size, size), np.float32)
    best = math.inf
    with threadpool_limits(threads):
        for _ in range(3):
            start = perf_counter()
            left @ right
            best = min(best, perf_counter() - start)
    return 2 * size**3 / best / 1e9


def _views(room: Path, count: int, seed: int) -> Iterator[View]:
    """Write simulated SSI frames as archive files and read them back; the first ``count`` that show a limb."""
    recipe = Recipe(no_limb=0.0, without=("summation", "on_chip_mosaic", "cut_out"))
    index = 0
    while count:
        product = expose("ssi", recipe, seed, index)
        index += 1
        folder = room / str(index)
        folder.mkdir()
        path = write_product(folder, product)
        (frame,) = (one for found in find_products([path]) for one in read_frames(found))
        limb = find_limb(frame)
        if frame.shape == (SIZE_PX, SIZE_PX) and limb.trusted:
            count -= 1
            yield View(path, frame, limb)


def _contestants(
    model: Path | None, yolo: Path | None, unet: Path | None, views: Sequence[View]
) -> tuple[list[Contestant], list[Timing]]:
    """Everybody who is there, and who is missing and why."""
    entered: list[Contestant] = []
    missing: list[Timing] = []
    for threads in THREADS:
        entered += [*_ours(model, views, threads), *_star_finder(views, threads)]
        for name, path, option in (("YOLO11n-seg", yolo, "--yolo"), ("U-Net resnet18", unet, "--unet")):
            if path is None or not path.is_file():
                missing.append(Timing(name, threads, 1, note=f"missing: name its .onnx with {option}"))
                continue
            for batch in BATCHES:
                try:
                    entered.append(_network(name, path, threads, batch))
                except RuntimeError as error:  # what onnxruntime raises is one
                    missing.append(Timing(name, threads, batch, note=f"takes no batch of {batch}: {_first(error)}"))
    return entered, missing


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160]


# -------------------------------------------------------------------------------------------------------------- ours


def _ours(path: Path | None, views: Sequence[View], threads: int) -> Iterator[Contestant]:
    model = Model.open(path, device="cpu", threads=threads)
    detector = Detector(model)
    session = _session(model.path, threads)
    feeds = [_feed(view) for view in views]
    largest = max(feeds, key=lambda feed: feed["frame"].size)
    gflop = float(np.mean([gflop_of(model.path, feed) for feed in feeds]))
    share = np.mean([feed["frame"].size for feed in feeds]) / SIZE_PX**2
    yield Contestant(
        "io-detector, model alone", threads, 1, lambda turn: session.run([OUTPUT], feeds[turn]), gflop,
        f"looks at {100 * share:.0f} % of the frame: the limb's surroundings",
    )  # fmt: skip
    eight = {name: np.repeat(value, 8, axis=0) for name, value in largest.items()}
    yield Contestant(
        "io-detector, model alone", threads, 8, lambda _: session.run([OUTPUT], eight),
        gflop_of(model.path, largest), "eight times the largest of the views",
    )  # fmt: skip
    whole = {**largest, **_whole(views[0])}
    yield Contestant(
        "io-detector, model on all pixels", threads, 1, lambda _: session.run([OUTPUT], whole),
        gflop_of(model.path, whole), "800 x 800: no limb, or a disk that fills the frame",
    )  # fmt: skip
    yield Contestant("io-detector, limb alone", threads, 1, lambda turn: find_limb(views[turn].frame))
    yield Contestant(
        "io-detector, file to catalogue", threads, 1, lambda turn: _road(detector, views[turn].path),
        note="read, limb, geometry, model, regions, measurements",
    )  # fmt: skip


def _road(detector: Detector, path: Path) -> int:
    return sum(len(detector(frame).detections) for found in find_products([path]) for frame in read_frames(found))


def _feed(view: View) -> Feed:
    """What the session is given of a view's window."""
    (window,) = windows(view.frame.shape, view.limb)
    circle = view.limb.as_array()
    circle[:2] -= (window.x0, window.y0)
    return _inputs(view, window.outer, circle)


def _whole(view: View) -> Feed:
    return _inputs(view, (slice(None), slice(None)), view.limb.as_array())


def _inputs(view: View, box: tuple[slice, slice], circle: NDArray[np.float32]) -> Feed:
    frame = view.frame
    return {
        "frame": frame.image[box][None, None],
        "valid": frame.valid[box][None, None].astype(np.float32),
        "limb": circle[None],
        "levels": frame.levels.as_array()[None],
    }


# ------------------------------------------------------------------------------------------------------------ rivals


def _star_finder(views: Sequence[View], threads: int) -> Iterator[Contestant]:
    finder = DaoStars()
    everywhere = Limb.none("all pixels are looked at")
    yield Contestant(
        "DAOStarFinder", threads, 1, lambda turn: finder(Sight(views[turn].frame, everywhere)),
        note="with its background and noise; hot spots only",
    )  # fmt: skip


def _network(name: str, path: Path, threads: int, batch: int) -> Contestant:
    """A network with one input of 800 x 800 pixels; tried once, so that a batch that it refuses shows now.

    Raises:
        RuntimeError: it takes no such batch.

    """
    session = _session(path, threads)
    entry = session.get_inputs()[0]
    shape = [batch, entry.shape[1] if isinstance(entry.shape[1], int) else 1, SIZE_PX, SIZE_PX]
    fixed = entry.shape[0]
    if isinstance(fixed, int) and fixed != batch:
        raise RuntimeError(f"the file is for batches of {fixed}")
    feed = {entry.name: np.random.default_rng(0).random(shape, np.float32)}
    session.run(None, feed)
    counted = {entry.name: feed[entry.name][: fixed if isinstance(fixed, int) else 1]}
    gflop = gflop_of(path, counted) / len(counted[entry.name])
    return Contestant(name, threads, batch, lambda _: session.run(None, feed), gflop, "random weights, no decoding")


# -------------------------------------------------------------------------------------------------------- arithmetic


def _session(path: Path, threads: int, profile: Path | None = None) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def gflop_of(path: Path, feed: Feed) -> float:
    """Multiplications and additions of a graph's convolutions and matrix products on an input, in 1e9.

    The shapes are those that onnxruntime's own profile saw.
    """
    with tempfile.TemporaryDirectory() as room:
        session = _session(path, 1, Path(room) / "profile")
        session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [event["args"] for event in events if event.get("args", {}).get("op_name") in WORKED_OUT]
    return sum(_flop(node) for node in nodes if "output_type_shape" in node) / 1e9


def _flop(node: dict) -> float:
    """2 x outputs x terms of each sum: of a convolution inputs/groups x kernel, of a product the inner length."""
    first, second = (next(iter(one.values())) for one in node["input_type_shape"][:2])
    out = math.prod(next(iter(node["output_type_shape"][0].values())))
    if node["op_name"] == "Conv":
        return 2.0 * out * math.prod(second[1:])
    if node["op_name"] == "ConvTranspose":
        return 2.0 * math.prod(first) * math.prod(second[1:])
    return 2.0 * out * first[-1]


# ------------------------------------------------------------------------------------------------------------- table


def lines(speed: Speed) -> list[str]:
    """Summarise for the terminal: milliseconds a frame."""
    peaks = (
        f"float32 matrix product with {threads} threads: {best:.0f} GFLOP/s at best, {median:.0f} in the median"
        for threads, (best, median) in speed.peak_gflops.items()
    )
    columns = f"{'threads':>7}{'batch':>6}{'median':>9}{'quartiles':>16}{'least':>8}{'GFLOP':>8}{'of peak':>9}"
    said = ["; ".join((f"{speed.machine}, {speed.cores} cores, load {speed.load:.1f}", *peaks))]
    if speed.load > speed.cores:
        said.append("other work was running: read the ratios; times are too long, and shares of the peak mean little")
    said.append(f"{'ms a frame':<34}{columns}")
    for one in sorted(speed.timings, key=lambda one: (one.threads, one.batch, one.name)):
        if not one.runs:
            said.append(f"{one.name:<34}{one.threads:>7}{one.batch:>6}  {one.note}")
            continue
        spread = f"{one.low_ms:.1f}–{one.high_ms:.1f}"
        work = f"{one.gflop:>8.2f}{100 * one.peak_share:>7.0f} %" if math.isfinite(one.gflop) else " " * 17
        times = f"{one.median_ms:>9.1f}{spread:>16}{one.least_ms:>8.1f}"
        said.append(f"{one.name:<34}{one.threads:>7}{one.batch:>6}{times}{work}  {one.note}")
    return said + _verdicts(speed)


def _verdicts(speed: Speed) -> list[str]:
    """How the whole road stands to the others, with as many threads, batch 1."""
    said = []
    for threads in THREADS:
        held = {one.name: one.median_ms for one in speed.timings if (one.threads, one.batch) == (threads, 1)}
        road, alone = held["io-detector, file to catalogue"], held["io-detector, model alone"]
        said.append(f"{threads} threads: file to catalogue costs {road / alone:.2f} times the model alone")
        said += [
            f"{threads} threads: {what} is {held[name] / mine:.2f} times as fast as {name}"
            for name, (what, mine) in product(RIVALS, (("model alone", alone), ("whole road", road)))
            if math.isfinite(held.get(name, math.nan))
        ]
    return said
