"""From a finished run to a model file: calibrate, choose the operating points on validation frames, export."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from detector.card import ModelCard, Threshold
from detector.errors import InputError
from detector.frame import CLASSES, Frame, View
from detector.limb import find_limb
from detector.regions import find_regions
from detector.session import Model
from models.export import export as export_network
from models.export import render_card
from models.network import IoNetwork
from training.config import TrainConfig, load_config
from training.data import IoData
from training.labels import FAINT_SNR, Truth
from training.metrics import FALSE_ALARM, match_objects
from training.simulate.draw import draw_sample
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.scene import Sample
from training.task import KINDS, IoTask
from training.train import BEST, LAST

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

GROW = {"plume": 0.12, "hotspot": 0.12}
SMALLEST_PX = {"plume": 4, "hotspot": 1}
FALSE_ALARMS = {"screening": 0.5, "confident": 0.05}
"""False alarms a frame and class that each operating point may raise on validation frames."""
HIGHEST_SEED = 0.995
JUDGING_SEED_OFFSET = 50_000
JUDGING_SHAPE = (416, 416)
PIXELS_PER_BATCH = 4000
SIMULATED_ONLY = "Trained on simulation alone; no labelled real frame was used."
LIMITS = (
    "Plumes are reported only at a trusted limb. One wholly on the disk, or lit beyond the terminator inside the "
    "disk's outline, is not.",
    SIMULATED_ONLY,
    "Jogs of the limb between JunoCam framelets, and clusters of bad detector pixels, can pass for eruptions.",
    "Probabilities are calibrated on simulated frames.",
)


def export(run: Path, out: Path, progress: Progress = lambda done, total: None) -> ModelCard:
    """Turn a training run into a model file.

    Args:
        run: folder written by ``io-detector train``.
        out: the .onnx file; ``.sha256`` and the card as ``.md`` are written beside it.
        progress: is told frames done and all: of the validation frames that must be drawn again, if any, and then of
            those that the operating points are chosen on.

    Raises:
        InputError: ``run`` holds no checkpoint.
        ModelError: the parity gate refused.

    """
    config, network = load_run(run)
    made = json.loads((run / "run.json").read_text())
    calibration = calibrate(network, config, progress)
    card = ModelCard(
        name=config.name,
        version=config.version,
        operating_points=provisional_points(),
        calibration=calibration,
        training=made
        | {
            "weights": sum(weight.numel() for weight in network.parameters()),
            "config": config.model_dump(mode="json", exclude={"data": {"cache", "labels"}}),
        },
        limits=tuple(limit for limit in LIMITS if limit != SIMULATED_ONLY or not config.data.labels),
    )

    def with_points(trial: Path) -> ModelCard:
        model, data = Model.open(trial, device="cpu"), config.data
        points, measured = choose_points(model, data.validation_seed, data.judging_frames, progress)
        return card.model_copy(update={"operating_points": points, "scores": {"validation": measured}})

    card = export_network(network, card, out, with_points)
    out.with_suffix(".md").write_text(render_card(card))
    return card


def load_run(run: Path) -> tuple[TrainConfig, IoNetwork]:
    """Configuration and averaged weights of a run's best checkpoint."""
    checkpoint = run / (BEST if (run / BEST).is_file() else LAST)
    if not checkpoint.is_file():
        raise InputError(run, f"holds neither {BEST} nor {LAST}", "name the folder that `io-detector train` wrote")
    config = load_config(run / "config.yaml")
    held = torch.load(checkpoint, map_location="cpu", weights_only=False)
    task = IoTask(config)
    task.load_state_dict(held["state_dict"])
    return config, task.network.eval()


# -- calibration ----------------------------------------------------------------------------------------------------


def calibrate(
    network: IoNetwork, config: TrainConfig, progress: Progress = lambda done, total: None
) -> dict[str, object]:
    """Fit probability = sigmoid(slope x logit + offset) for each kind of mask on validation pixels (Platt 1999).

    The numbers are put into the network, and so into the exported file.
    """
    data = IoData(config)
    data.validation.build(os.cpu_count() or 1, progress)
    fitted: dict[str, object] = {"method": "Platt scaling of pixel logits on simulated validation frames"}
    for kind, (logits, truth) in enumerate(_validation_pixels(network, data)):
        if truth.min() == truth.max():
            log.warning("%s: validation holds one class only; its scores stay as they are", KINDS[kind])
            continue
        fit = LogisticRegression(C=1e6).fit(logits[:, None], truth)
        network.slope[kind], network.offset[kind] = float(fit.coef_[0, 0]), float(fit.intercept_[0])
        fitted[KINDS[kind]] = {
            "slope": float(fit.coef_[0, 0]),
            "offset": float(fit.intercept_[0]),
            "pixels": len(truth),
        }
    return fitted


def _validation_pixels(network: IoNetwork, data: IoData) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Logits and truth of a seeded draw of counted validation pixels, for each of ``KINDS``."""
    task = IoTask(data.config)
    task.network = network
    draw = np.random.default_rng(data.config.seed)
    held: list[list[tuple[NDArray[np.float32], NDArray[np.bool_]]]] = [[] for _ in KINDS]

    def keep(kind: int, logits: torch.Tensor, target: torch.Tensor, counted: torch.Tensor) -> None:
        where = np.flatnonzero(counted.numpy().ravel() > 0)
        chosen = draw.choice(where, min(PIXELS_PER_BATCH, len(where)), replace=False)
        held[kind].append((logits.numpy().ravel()[chosen], target.numpy().ravel()[chosen] > 0))

    with torch.no_grad():
        for batch, _, _ in data.val_dataloader():
            if (s := batch["limb"]) is not None:
                keep(0, task.limb_logits(s), s["target"], s["seen"] * (1 - s["ignored"]))
            if (c := batch["disk"]) is not None:
                logits, counted = task.disk_logits(c), c["valid"] * (1 - c["ignored"])
                for kind in (1, 2):
                    keep(kind, logits[:, kind - 1], c["target"][:, kind - 1], counted[:, kind - 1])
    return [(np.concatenate([a for a, _ in kind]), np.concatenate([b for _, b in kind])) for kind in held]


# -- operating points -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A region of a validation frame: its class, its most probable pixel, and whether it is a true object."""

    kind: str
    peak: float
    true: bool


def provisional_points() -> dict[str, dict[str, Threshold]]:
    """Thresholds low enough to keep every candidate."""
    lowest = {kind: Threshold(seed=GROW[kind], grow=GROW[kind], min_area_px=SMALLEST_PX[kind]) for kind in CLASSES}
    return dict.fromkeys(FALSE_ALARMS, lowest)


def choose_points(
    model: Model, seed: int, frames: int, progress: Progress = lambda done, total: None
) -> tuple[dict[str, dict[str, Threshold]], dict[str, object]]:
    """Choose the seeds that keep false alarms under ``FALSE_ALARMS`` on validation frames, limb finding included.

    Returns:
        the operating points, and what they did on those frames.

    """
    candidates: list[Candidate] = []
    objects = dict.fromkeys(CLASSES, 0)
    for done, sample in enumerate(judging_samples(seed, frames), start=1):
        candidates += judge(model, sample)
        for thing in sample.objects:
            objects[thing.kind] += thing.snr_mf >= FAINT_SNR
        progress(done, frames)
    points: dict[str, dict[str, Threshold]] = {}
    measured: dict[str, object] = {"frames": frames, "objects": objects}
    for point, allowed in FALSE_ALARMS.items():
        points[point] = {}
        for kind in CLASSES:
            cut = lowest_seed([c for c in candidates if c.kind == kind], allowed * frames, GROW[kind])
            points[point][kind] = Threshold(seed=cut, grow=min(GROW[kind], cut), min_area_px=SMALLEST_PX[kind])
            kept = [c for c in candidates if c.kind == kind and c.peak >= cut]
            measured[f"{point} {kind}"] = {"found": sum(c.true for c in kept), "false": sum(not c.true for c in kept)}
    return points, measured


def lowest_seed(candidates: list[Candidate], false_alarms: float, least: float) -> float:
    """The lowest threshold at which at most ``false_alarms`` false candidates are left, at least ``least``."""
    false = sorted((c.peak for c in candidates if not c.true), reverse=True)
    allowed = int(false_alarms)
    if len(false) <= allowed:
        return least
    above = float(np.nextafter(np.float32(false[allowed]), np.float32(1)))
    return min(max(above, least), HIGHEST_SEED)


def judging_samples(seed: int, count: int) -> Iterator[Sample]:
    """Validation frames of all instruments in turn, drawn apart from those of the training's own validation."""
    for index in range(count):
        recipe = Recipe(instrument=INSTRUMENTS[index % len(INSTRUMENTS)], shape=JUDGING_SHAPE)
        yield draw_sample(recipe, seed + JUDGING_SEED_OFFSET, index)


def labelled_view(frame: Frame) -> View:
    """What the label of such a frame tells: the centre is never trusted, and a picture has no label at all."""
    if frame.instrument == "unknown":
        return View()
    return replace(frame.view, centre_x_px=np.nan, centre_y_px=np.nan)


def judge(model: Model, sample: Sample) -> list[Candidate]:
    """The candidates of one frame, each with its verdict; what matches only a faint object counts neither way."""
    limb = find_limb(replace(sample.frame, view=labelled_view(sample.frame)))
    scores = model.scores(sample.frame, limb)
    regions = find_regions(scores, provisional_points()["screening"], limb)
    truths = [
        Truth.cut(str(i), t.kind, t.on(sample.frame.shape), snr_mf=t.snr_mf) for i, t in enumerate(sample.objects)
    ]
    match = match_objects(truths, regions, scores)
    found = []
    for region, verdict in zip(regions, match.of_region, strict=True):
        if verdict >= 0 or verdict == FALSE_ALARM:
            plane = scores[CLASSES.index(region.kind)]
            found.append(Candidate(region.kind, float(plane[region.box][region.pixels].max()), verdict >= 0))
    return found
