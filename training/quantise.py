"""The model in whole numbers of 8 bits, and whether it decides as the released one does.

Convolutions compute in int8, with scales measured on simulated frames (static quantisation, onnxruntime); the rest
stays float32. Such a file would be shipped if it lost nothing that matters and were faster.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from detector.frame import CLASSES, Frame
from detector.limb import Limb, find_limb
from detector.regions import Region
from detector.session import INPUTS, Model
from models.export import count_unmatched
from training.judging import draws_of
from training.labels import Truth
from training.metrics import FALSE_ALARM, match_objects
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.scene import Sample
from training.simulate.told import as_filed

Progress = Callable[[int, int], None]
CALIBRATION_FRAMES = 40
CALIBRATION_SEED = 910_001
POINT = "confident"
THREADS = 1


@dataclass(frozen=True)
class Tally:
    """One model on the test frames.

    Attributes:
        name: ``float32`` or ``int8``.
        found, false: by class, at ``confident``: true objects found, and regions that are none.
        milliseconds: median of a frame, limb known.
        megabytes: of the file.

    """

    name: str
    found: dict[str, int]
    false: dict[str, int]
    milliseconds: float
    megabytes: float


@dataclass(frozen=True)
class Comparison:
    """Both models.

    Attributes:
        frames: how many.
        float32, int8: what each found.
        regions: that the float32 model reports.
        unmatched: regions of either that the other does not report.

    """

    frames: int
    float32: Tally
    int8: Tally
    regions: int
    unmatched: int

    def lines(self) -> list[str]:
        """For a person."""
        rows = [
            f"{one.name}: {one.milliseconds:.1f} ms, {one.megabytes:.2f} MB, "
            + ", ".join(f"{kind}s {one.found[kind]} found, {one.false[kind]} false" for kind in CLASSES)
            for one in (self.float32, self.int8)
        ]
        return [f"{self.frames} frames at `{POINT}`", *rows, f"{self.unmatched} regions differ, of {self.regions}"]



class _Sights(CalibrationDataReader):  # type: ignore[misc]
    """What the scales are measured on: one frame after another, as the model takes it."""

    def __init__(self, sights: Sequence[tuple[Frame, Limb]]) -> None:
        self._feeds = iter([_feed(frame, limb) for frame, limb in sights])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next frame; None after the last."""
        return next(self._feeds, None)


def _feed(frame: Frame, limb: Limb) -> dict[str, NDArray[np.float32]]:
    arrays = frame.image[None], frame.valid[None].astype(np.float32), limb.as_array(), frame.levels.as_array()
    return {name: array[None] for name, array in zip(INPUTS, arrays, strict=True)}


def quantised(file: Path, out: Path, sights: Sequence[tuple[Frame, Limb]]) -> None:
    """Write a model file whose convolutions compute in int8; its card and its judge go with it."""
    quantize_static(
        str(file), str(out), _Sights(sights), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"],
        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    model = onnx.load(str(out))
    onnx.helper.set_model_props(model, {one.key: one.value for one in onnx.load(str(file)).metadata_props})
    onnx.save(model, str(out))


def compare(
    file: Path,
    count: int,
    seed: int,
    progress: Progress = lambda done, total: None,
    calibration_frames: int = CALIBRATION_FRAMES,
) -> Comparison:
    """Quantise a model file and set it against itself on ``count`` simulated frames of ``seed``.

    The scales are measured on frames of another seed. Times are taken in turns, frame by frame.
    """
    Model.open(file, device="cpu")  # says clearly what is wrong with a file, before the work
    calibration = [frame for _, frame in _samples(calibration_frames, CALIBRATION_SEED)]
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "int8.onnx"
        quantised(file, small, [(frame, find_limb(frame)) for frame in calibration])
        models = [Model.open(path, device="cpu", threads=THREADS) for path in (file, small)]
        sizes = [path.stat().st_size / 1e6 for path in (file, small)]
    counts = [{kind: [0, 0] for kind in CLASSES} for _ in models]
    times: list[list[float]] = [[], []]
    regions = unmatched = 0
    for done, (sample, frame) in enumerate(_samples(count, seed), start=1):
        limb = find_limb(frame)
        said: list[tuple[Region, ...]] = []
        for model, tally, spent in zip(models, counts, times, strict=True):
            started = perf_counter()
            scores = model.scores(frame, limb)
            spent.append(1000 * (perf_counter() - started))
            found = model.regions(frame, limb, scores, model.card.operating_points[POINT])
            said.append(found)
            _count(sample, frame, found, scores, tally)
        regions += len(said[0])
        unmatched += count_unmatched(said[0], said[1], frame.shape)
        progress(done, count)
    tallies = [
        Tally(name, _part(tally, 0), _part(tally, 1), float(np.median(spent)), size)
        for name, tally, spent, size in zip(("float32", "int8"), counts, times, sizes, strict=True)
    ]  # fmt: skip
    return Comparison(count, tallies[0], tallies[1], regions, unmatched)


def _part(tally: dict[str, list[int]], which: int) -> dict[str, int]:
    return {kind: counts[which] for kind, counts in tally.items()}


def _samples(count: int, seed: int) -> Iterator[tuple[Sample, Frame]]:
    """One frame each of products of all instruments in turn, and the frame as its file tells it."""
    for draw in draws_of(INSTRUMENTS, Recipe(), seed, count):
        sample = draw.sample()
        yield sample, as_filed(sample.frame)


def _count(
    sample: Sample, frame: Frame, found: Sequence[Region], scores: NDArray[np.float32], tally: dict[str, list[int]]
) -> None:
    truths = [Truth.cut(str(n), t.kind, t.on(frame.shape), snr_mf=t.snr_mf) for n, t in enumerate(sample.objects)]
    verdicts = match_objects(truths, found, scores).of_region
    for region, verdict in zip(found, verdicts, strict=True):
        if verdict >= 0 or verdict == FALSE_ALARM:
            tally[region.kind][int(verdict < 0)] += 1
