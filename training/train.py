"""A training run: frames, task, checkpoints. Interrupted, it goes on where it stopped."""

from __future__ import annotations

import json
import logging
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from detector.errors import InputError
from detector.frame import sha256_of
from training.config import TrainConfig, load_config
from training.data import IoData
from training.labels.splits import SEEN_DIGITS
from training.simulate.source import source_digests
from training.start import seen_by, start_from
from training.task import IoTask, moving_average

log = logging.getLogger(__name__)
LAST = "last.ckpt"
BEST = "best.ckpt"


def train(config: Path, out: Path, overrides: list[str] | None = None) -> Path:
    """Train a model, or go on with a run that was interrupted.

    Args:
        config: a YAML file (see ``training.config.TrainConfig``).
        out: folder of the run: ``config.yaml``, ``run.json``, ``best.ckpt``, ``last.ckpt``, logs.
        overrides: ``key=value`` settings that replace the file's.

    Returns:
        the best checkpoint.

    Raises:
        InputError: a setting or a dataset cannot be used, or something leaks between the datasets' splits.

    """
    settings = load_config(config, overrides)
    if settings.start is not None and not settings.start.is_file():
        raise InputError(settings.start, "no such model file to start from", "name a file of `io-detector export`")
    lightning.seed_everything(settings.seed, workers=True)
    torch.set_num_threads(settings.threads)
    data = IoData(settings)
    if data.labelled is not None:
        log.info("labelled frames of %d datasets, in %s", len(data.labelled.datasets), data.labelled.folder)
    out.mkdir(parents=True, exist_ok=True)
    log.info(
        "frames: %d for training, %d for validation, in %s", len(data.frames), len(data.validation), settings.data.cache
    )
    (out / "config.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    (out / "run.json").write_text(json.dumps(provenance(settings, data), indent=1))
    last = ModelCheckpoint(out, filename=Path(LAST).stem, enable_version_counter=False)
    best = ModelCheckpoint(out, filename=Path(BEST).stem, monitor="val_iou", mode="max", enable_version_counter=False)
    stop = EarlyStopping("val_iou", mode="max", patience=settings.optimiser.patience)
    trainer = lightning.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.optimiser.epochs,
        gradient_clip_val=settings.optimiser.gradient_clip,
        callbacks=[moving_average(settings), best, last, stop],
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=[CSVLogger(out, "log"), TensorBoardLogger(str(out), "", "tensorboard")],
        log_every_n_steps=20,
        enable_model_summary=False,
    )
    task, goes_on = IoTask(settings), (out / LAST).is_file()
    if settings.start is not None and not goes_on:
        data.prepare_data()
        start_from(task, settings.start, data.some_items())
    trainer.fit(task, data, ckpt_path=out / LAST if goes_on else None)
    return out / BEST


def provenance(settings: TrainConfig, data: IoData) -> dict[str, Any]:
    """What a reader needs to repeat the run: commit, versions, machine, hashes of what the frames were drawn from."""
    return {
        "commit": commit(Path(__file__).parent),
        "versions": {name: version(name) for name in ("torch", "lightning", "albumentations", "numpy")},
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
        "frames": {
            "training": [one.digest for one in (data.frames, *data.further)],
            "validation": data.validation.digest,
            **source_digests(),
        },
        "start": None if settings.start is None else sha256_of(settings.start),
        "labels": {} if data.labelled is None else data.labelled.facts(),
        "seen_files": seen_files(data),
        "seeds": {
            "training": settings.data.seed,
            "validation": settings.data.validation_seed,
            "weights": settings.seed,
        },
    }


def seen_files(data: IoData) -> list[str]:
    """Beginning of the sha256 of every real file that is trained on: a model cannot be judged on these.

    Those of the model that training starts from are among them.
    """
    labelled = [] if data.labelled is None else data.labelled.seen
    real = {*labelled, *(sha256_of(path) for path in data.config.data.negatives)}
    before = [] if data.config.start is None else seen_by(data.config.start)
    return sorted({*before, *(digest[:SEEN_DIGITS] for digest in real)})


def commit(folder: Path) -> str:
    """The commit of a working tree, ``-dirty`` where a tracked file was changed; ``unknown`` without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
