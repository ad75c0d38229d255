"""Network -> .onnx, behind a gate: a file that does not decide as the network does is not written."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from detector.card import CARD_KEY, ModelCard, Threshold
from detector.errors import ModelError
from detector.frame import CLASSES
from detector.judge import JUDGE_KEY, Judge
from detector.limb import Limb
from detector.regions import Region, find_regions, labels_of
from detector.session import INPUTS, OUTPUT
from models.network import IoNetwork

Complete = Callable[[Path], tuple[ModelCard, Judge]]

OPSET = 20
MAX_GAP = 1e-3
"""Largest difference of a probability between torch and onnxruntime that the gate lets pass."""
MAX_FLIPS = 1e-5
"""Largest share of pixels whose yes or no at any operating point may differ."""


@dataclass(frozen=True)
class Case:
    """One input of the parity gate: arrays as the model takes them, and what is special about it."""

    name: str
    frame: NDArray[np.float32]
    valid: NDArray[np.float32]
    limb: NDArray[np.float32]
    levels: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """By input name."""
        return {"frame": self.frame, "valid": self.valid, "limb": self.limb, "levels": self.levels}

    def regions(self, scores: NDArray[np.float32], thresholds: Mapping[str, Threshold]) -> list[tuple[Region, ...]]:
        """What a user would be told, frame by frame of the batch, given ``scores`` (B, 2, H, W)."""
        known = np.where(self.valid > 0, scores, np.float32(np.nan))
        circles = ((float(x), float(y), float(radius)) for x, y, radius in self.limb)
        limbs = [Limb(*circle) if circle[2] > 0 else Limb.none("none is given") for circle in circles]
        return [find_regions(planes, thresholds, limb) for planes, limb in zip(known, limbs, strict=True)]


def export(
    network: IoNetwork, card: ModelCard, path: Path, complete: Complete | None = None, rounds: int = 1
) -> ModelCard:
    """Write a network as one .onnx file with its card and judge inside, and ``.sha256`` beside it.

    Args:
        network: trained and calibrated.
        card: is written into the file, with the measured parity filled in.
        path: the .onnx file; nothing is left there when the gate refuses.
        complete: is given the file while it is still a trial and returns the card to write instead, and the judge of
            regions, both made by running that very file.
        rounds: how often the gate goes through its ten cases, each time with other sizes and noise.

    Returns:
        the card as written.

    Raises:
        ModelError: onnxruntime's answers are not the network's.

    """
    network = network.eval().cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return _written(network, card, path, lambda part: _convert(network, part), complete, rounds)


def reissue(
    file: Path, network: IoNetwork, card: ModelCard, path: Path, complete: Complete, rounds: int = 1
) -> ModelCard:
    """Write the graph of a model file once more, with another card and judge; the gate is that of :func:`export`.

    Args:
        file: whose graph is taken as it is.
        network: what that graph must answer as.
        card, path, complete, rounds: as for :func:`export`.

    Returns:
        the card as written.

    Raises:
        ModelError: onnxruntime's answers are not the network's.

    """
    return _written(network.eval(), card, path, lambda part: part.write_bytes(file.read_bytes()), complete, rounds)


def _written(
    network: IoNetwork,
    card: ModelCard,
    path: Path,
    make: Callable[[Path], object],
    complete: Complete | None,
    rounds: int,
) -> ModelCard:
    path.parent.mkdir(parents=True, exist_ok=True)
    judge = Judge()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / "model.onnx"
        make(part)
        if complete is not None:
            _embed(part, card, judge)
            card, judge = complete(part)
        card = card.model_copy(update={"parity": measure_parity(network, part, card, rounds)})
        _refuse_disparity(path, card.parity)
        _embed(part, card, judge)
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        part.replace(path)
    path.with_suffix(".sha256").write_text(f"{digest}  {path.name}\n")
    return card


def _refuse_disparity(path: Path, parity: dict[str, float]) -> None:
    if parity["largest_gap"] > MAX_GAP or parity["flipped_share"] > MAX_FLIPS or parity["unmatched_regions"] > 0:
        raise ModelError(
            path,
            f"not written: torch and onnxruntime disagree: {parity} (allowed: gap {MAX_GAP}, flipped {MAX_FLIPS}, "
            "no unmatched region)",
            "report it with the versions of torch and onnxruntime",
        )


def _convert(network: IoNetwork, path: Path) -> None:
    case = next(c for c in parity_cases(1) if len(c.frame) > 1)  # a batch of one would count as a constant
    example = tuple(torch.from_numpy(a) for a in case.arrays().values())
    batch, height, width = (
        torch.export.Dim(n, min=1, max=m) for n, m in (("batch", 64), ("height", 8192), ("width", 8192))
    )
    plane = {0: batch, 2: height, 3: width}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_shapes=(plane, plane, {0: batch}, {0: batch}),
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)


def _embed(path: Path, card: ModelCard, judge: Judge) -> None:
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {CARD_KEY: card.model_dump_json(), JUDGE_KEY: judge.model_dump_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def measure_parity(network: IoNetwork, path: Path, card: ModelCard, rounds: int = 1) -> dict[str, float]:
    """Compare torch with onnxruntime from raw frame to decision, on ``rounds`` times ten cases.

    Returns:
        ``cases``, ``largest_gap`` of a probability, ``flipped_share`` of pixel decisions at the card's thresholds,
        ``regions`` that the network finds, and ``unmatched_regions`` of either side.

    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    points = card.operating_points.values()
    cuts = {cut for point in points for t in point.values() for cut in (t.seed, t.grow)} | {0.5}
    gap, flips, pixels, cases, found, unmatched = 0.0, 0, 0, 0, 0, 0
    for case in (case for number in range(rounds) for case in parity_cases(2 + number)):
        ours, theirs = _both_answers(network, session, case, path)
        gap = max(gap, float(np.abs(ours - theirs).max()))
        flips += sum(int(((ours >= cut) != (theirs >= cut)).sum()) for cut in cuts)
        pixels += ours.size * len(cuts)
        cases += 1
        for point in points:
            for mine, other in zip(case.regions(ours, point), case.regions(theirs, point), strict=True):
                found += len(mine)
                unmatched += count_unmatched(mine, other, case.frame.shape[2:])
    return {
        "cases": float(cases),
        "largest_gap": gap,
        "flipped_share": flips / pixels,
        "regions": float(found),
        "unmatched_regions": float(unmatched),
    }


def _both_answers(
    network: IoNetwork, session: onnxruntime.InferenceSession, case: Case, path: Path
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities (B, 2, H, W) by torch and by onnxruntime."""
    with torch.no_grad():
        ours = network(*(torch.from_numpy(a) for a in case.arrays().values())).numpy()
    theirs = session.run([OUTPUT], case.arrays())[0]
    for name, answer in (("torch", ours), ("onnxruntime", theirs)):
        expected = (len(case.frame), len(CLASSES), *case.frame.shape[2:])
        if answer.shape != expected or not np.isfinite(answer).all():
            raise ModelError(
                path, f"case {case.name!r}: {name} gives {answer.shape}, or not finite; expected {expected}"
            )
    return ours, theirs


def count_unmatched(ours: Sequence[Region], theirs: Sequence[Region], shape: tuple[int, ...]) -> int:
    """How many regions of either side have no counterpart: one of the same class that shares more than half.

    A pixel on the threshold may fall to either side, so the edge of a region may differ, but not the catalogue's rows.

    Args:
        ours, theirs: regions of one frame, those of one class disjoint.
        shape: (H, W) of the frame.

    """
    numbers = labels_of(theirs, shape)
    matched = 0
    for region in ours:
        under = numbers[CLASSES.index(region.kind)][region.box][region.pixels]
        number, shared = max(Counter(under[under > 0].tolist()).items(), key=lambda item: item[1], default=(0, 0))
        matched += number > 0 and 2 * shared > region.area_px + theirs[number - 1].area_px - shared
    return len(ours) + len(theirs) - 2 * matched


def parity_cases(seed: int) -> Iterator[Case]:
    """Odd sizes, gaps, no limb, half a limb, batches and extremes: a lit ball with a bump in noise, scaled and cut.

    Every seed has other noise and other sizes.
    """
    rng = np.random.default_rng(seed)
    yield _case(rng, "plain", (1, 256, 272), (130.0, 120.0, 80.0), 1.0)
    yield _case(rng, "odd size", (1, 201, 199), (100.0, 90.0, 60.0), 20.0)
    yield _case(rng, "no limb", (1, 161, 240), (0.0, 0.0, 0.0), 1.0)
    yield _case(rng, "half outside", (2, 150, 170), (-20.0, 70.0, 95.0), 5.0)
    yield _case(rng, "limb outside", (1, 96, 100), (3000.0, 60.0, 2500.0), 5.0)
    yield _case(rng, "batch of three", (3, 128, 128), (64.0, 64.0, 30.0), 0.01)
    yield _case(rng, "tiny", (1, 17, 23), (11.0, 8.0, 6.0), 1.0)
    gaps = _case(rng, "gaps", (1, 180, 180), (90.0, 90.0, 60.0), 30.0)
    gaps.valid[..., 40:60, :] = 0
    gaps.frame[..., 40:60, :] = np.nan
    yield gaps
    nothing = _case(rng, "nothing valid", (1, 64, 64), (32.0, 32.0, 20.0), 1.0)
    nothing.valid[:] = 0
    yield nothing
    extreme = _case(rng, "extremes", (1, 160, 160), (80.0, 80.0, 50.0), 1.0)
    extreme.frame[..., ::37, ::41] = 1e7
    extreme.frame[..., 5::37, 3::41] = -1e7
    yield extreme


def _case(
    rng: np.random.Generator, name: str, shape: tuple[int, int, int], limb: tuple[float, float, float], unit: float
) -> Case:
    batch, height, width = shape[0], shape[1] + int(rng.integers(16)), shape[2] + int(rng.integers(16))
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - limb[0], y - limb[1])
    ball = np.clip(limb[2] - distance + 0.5, 0, 1) * (0.5 + 0.5 * np.sin(x / 9) * np.cos(y / 7))
    bump = 0.4 * np.exp(
        -((distance - 1.04 * limb[2]) ** 2 + (x - limb[0] - 0.5 * limb[2]) ** 2) / max(0.004 * limb[2] ** 2, 1)
    )
    image = ball + bump + rng.normal(0, 0.02, (batch, height, width))
    levels = np.tile(np.array([[0.0, 0.02, 1.0]]) * unit, (batch, 1))
    return Case(
        name,
        (unit * image[:, None]).astype(np.float32),
        np.ones((batch, 1, height, width), np.float32),
        np.tile(np.array([limb], np.float32), (batch, 1)),
        levels.astype(np.float32),
    )


POINTS_HEAD = "| point | class | score | seed | grow | smallest area, px |\n|---|---|---|---|---|---|\n"


def render_card(card: ModelCard) -> str:
    """The card as Markdown, to stand beside the .onnx."""
    points = "\n".join(
        f"| {point} | {name} | {t.score:.3f} | {t.seed:.3f} | {t.grow:.3f} | {t.min_area_px} |"
        for point, thresholds in card.operating_points.items()
        for name, t in thresholds.items()
    )
    sections = [
        f"# {card.name} {card.version}",
        "Segments volcanic plumes and hot spots on Io. Input: a raw frame, its validity, the limb's circle (or none) "
        "and the frame's levels; output: calibrated probabilities. Use it through `io-detector detect`.",
        f"## Operating points\n\n{POINTS_HEAD}" + points,
        "## Calibration\n\n```json\n" + json.dumps(card.calibration, indent=1) + "\n```",
        "## Measured\n\n```json\n" + json.dumps(card.scores, indent=1) + "\n```",
        "## Parity of torch and onnxruntime\n\n```json\n" + json.dumps(card.parity, indent=1) + "\n```",
        "## Limits\n\n" + "\n".join(f"* {limit}" for limit in card.limits),
        "## Training\n\n```json\n" + json.dumps(_without_files(card.training), indent=1) + "\n```",
        f"Licence of the weights: {card.licence}.",
    ]
    return "\n\n".join(sections) + "\n"


def _without_files(training: dict[str, Any]) -> dict[str, Any]:
    """Leave out the thousands of files that a model was trained on: the card in the model lists them."""
    return {name: value for name, value in training.items() if name != "seen_files"}
