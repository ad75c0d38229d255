"""From a finished run to a model file: calibrate the pixels, judge the regions, choose operating points, export."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from detector.card import ModelCard
from detector.errors import InputError
from detector.frame import sha256_of
from detector.judge import Judge
from detector.session import Model
from models.export import export as export_network
from models.export import reissue, render_card
from models.network import IoNetwork
from training.config import TrainConfig, load_config
from training.data import IoData
from training.judging import FALSE_ALARMS, every_region, judge_and_points
from training.labels.splits import SEEN_DIGITS
from training.simulate.source import source_digests
from training.start import network_of
from training.task import KINDS, IoTask
from training.train import BEST, LAST, commit

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

PIXELS_PER_BATCH = 4000
HERE_ONLY = {"cache", "labels", "negatives"}
"""Settings of the data that are paths on the machine that trained; hashes and names say what they held."""
PARITY_ROUNDS = 20
"""Of ten frames each."""
SIMULATED_ONLY = "Trained on simulated frames and a few real ones without eruptions; no real eruption was labelled."
LIMITS = (
    "Plumes on the disk are reported only deep in the night, where no mountain top is lit.",
    SIMULATED_ONLY,
    "Jogs of the limb between JunoCam framelets, and clusters of bad detector pixels, can pass for eruptions.",
    "Scores are calibrated on simulated frames.",
    "Without a limb a star cannot be told from a hot spot; there only what stands out from its fellows is reported.",
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
        operating_points=dict.fromkeys(FALSE_ALARMS, every_region()),
        calibration=calibration,
        training=made
        | {
            "weights": sum(weight.numel() for weight in network.parameters()),
            "real frames without eruption": [path.name for path in config.data.negatives],
            "config": config.model_dump(mode="json", exclude={"start": True, "data": HERE_ONLY}),
        },
        limits=tuple(limit for limit in LIMITS if limit != SIMULATED_ONLY or not config.data.labels),
    )

    def judged(trial: Path) -> tuple[ModelCard, Judge]:
        data, workers = config.data, os.cpu_count() or 1
        made = judge_and_points(
            trial, data.validation_seed, data.judging_frames, progress, data.negatives, workers
        )
        decided = {"operating_points": made.points, "scores": {"validation": made.measured}}
        return card.model_copy(update=decided), made.judge

    card = export_network(network, card, out, judged, PARITY_ROUNDS)
    out.with_suffix(".md").write_text(render_card(card))
    return card


def rejudge(
    file: Path,
    out: Path,
    version: str,
    frames: int,
    seed: int,
    negatives: Sequence[Path] = (),
    progress: Progress = lambda done, total: None,
) -> ModelCard:
    """Write a model file with its network as it is and its judge and operating points anew.

    That is needed when the limb finder changed, or what the judge looks at.

    Args:
        file: the model.
        out: the new .onnx file; ``.sha256`` and the card as ``.md`` are written beside it.
        version: of the new file.
        frames, seed: of the simulated frames to judge by, see ``judging.judging_draws``.
        negatives: files of real frames on which nothing erupts.
        progress: is told frames done and all.

    Raises:
        ModelError: the file is none that ``io-detector export`` wrote, or the parity gate refused.

    """
    known = Model.open(file, device="cpu").card
    network = network_of(file, known)
    anew = {
        "from": sha256_of(file),
        "version": known.version,
        "commit": commit(Path(__file__).parent),
        "frames": frames,
        "seed": seed,
        "real frames without eruption": [path.name for path in negatives],
        "simulator": source_digests(),
    }
    seen = {*map(str, known.training.get("seen_files", [])), *(sha256_of(path)[:SEEN_DIGITS] for path in negatives)}
    training = known.training | {"judged anew": anew, "seen_files": sorted(seen)}
    card = known.model_copy(
        update={
            "version": version,
            "training": training,
            "operating_points": dict.fromkeys(FALSE_ALARMS, every_region()),
            "limits": tuple(one for one in LIMITS if one != SIMULATED_ONLY or SIMULATED_ONLY in known.limits),
        }
    )

    def judged(trial: Path) -> tuple[ModelCard, Judge]:
        made = judge_and_points(trial, seed, frames, progress, negatives, os.cpu_count() or 1)
        decided = {"operating_points": made.points, "scores": {"validation": made.measured}}
        return card.model_copy(update=decided), made.judge

    card = reissue(file, network, card, out, judged, PARITY_ROUNDS)
    out.with_suffix(".md").write_text(render_card(card))
    return card


def load_run(run: Path) -> tuple[TrainConfig, IoNetwork]:
    """Configuration and averaged weights of a run's best checkpoint, or of its last one if it is to be kept."""
    if not any((run / name).is_file() for name in (BEST, LAST)):
        raise InputError(run, f"holds neither {BEST} nor {LAST}", "name the folder that `io-detector train` wrote")
    config = load_config(run / "config.yaml")
    wanted, other = (BEST, LAST) if config.optimiser.keep == "best" else (LAST, BEST)
    checkpoint = run / (wanted if (run / wanted).is_file() else other)
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
