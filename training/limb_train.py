"""Training the limb network: draw strips, train, write the file that the detector opens. Goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detector.errors import InputError, ModelError
from detector.limb_strip import INPUTS, OUTPUTS
from models.limb_network import LimbNetwork
from training.limb_strips import STRIP, strips
from training.limb_task import Batch, LimbTask, mirrored
from training.train import LAST, commit

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

ASIDE = 20
"""Every so many-th product of each instrument is kept for validation."""
INSTRUMENTS_IN_TURN = 5
MAX_GAP = 1e-3
"""Largest difference between torch and onnxruntime."""
OPSET = 20
CARD = """# io-detector-limb

Looks at the surroundings of a circle, unwrapped (`detector/limb_strip.py`), and says how likely Io's limb is there,
where it stands out, and at each azimuth how far off the circle it is and what that is worth. `detector.find_limb` lays
circles through it.

## Limits

* Trained on simulated frames alone. Another body's limb may look like Io's: Jupiter's does on JunoCam's frames.
* Strips are scaled by the frame's brightest surface, the 99.5th percentile: bright disks that cover less than 0.5 %
  of a frame are cut off, and their radius may come out too large.
* Errors are its own; `detector.limb.ERROR_FACTOR` says by camera how much larger they were measured to be.

## Training

torch and onnxruntime differ by {gap:.1g} at most.

```json
{training}
```

Licence of the weights: MIT.
"""
TRIALS = 64
"""Strips that both must agree on."""


class LimbConfig(BaseModel):
    """A training run: ``products`` simulated ones of ``seed``, their strips kept in ``cache``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(6, ge=0)
    products: int = Field(14_500, gt=INSTRUMENTS_IN_TURN)
    cache: Path = Path("cache/limb")
    epochs: int = Field(8, gt=0)
    batch: int = Field(64, gt=0)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-3, ge=0)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"
    threads: int = Field(2, gt=0)
    clip: float = Field(2.0, gt=0)

    @property
    def decisive(self) -> dict[str, Any]:
        """The settings that a run must not change when it goes on."""
        return self.model_dump(mode="json", exclude={"cache", "threads", "accelerator"})


def load_limb_config(path: Path) -> LimbConfig:
    """Read a run's configuration.

    Raises:
        InputError: it is missing, or a setting is unknown or cannot be.

    """
    try:
        return LimbConfig.model_validate(yaml.safe_load(path.read_text()) or {})
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(path, f"is no configuration of a limb network: {error}") from error


class StripData(Dataset[Batch]):
    """Strips of blocks, mapped into memory; one item is a batch."""

    def __init__(self, files: Sequence[Path], aside: bool, batch: int, shuffled: bool) -> None:
        self.blocks = [np.load(file, mmap_mode="r") for file in files]
        self.places = [
            (number, row)
            for number, block in enumerate(self.blocks)
            for row in np.flatnonzero((block["product"] // INSTRUMENTS_IN_TURN % ASIDE == 0) == aside)
        ]
        self.batch, self.shuffled = batch, shuffled

    def __len__(self) -> int:
        return len(self.places) // self.batch if self.shuffled else -(-len(self.places) // self.batch)

    def __getitem__(self, index: int) -> Batch:
        if index == 0 and self.shuffled:
            order = torch.randperm(len(self.places)).tolist()
            self.places = [self.places[k] for k in order]
        chosen = self.places[index * self.batch : (index + 1) * self.batch]
        batch = tensors(np.stack([self.blocks[number][row] for number, row in chosen]))
        return mirrored(batch) if self.shuffled else batch


def tensors(rows: NDArray[np.void]) -> Batch:
    """Strips (B,) as tensors by field."""
    return {name: _tensor(rows[name]) for name in STRIP.names or () if name != "product"}


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values if values.dtype == np.bool_ else values.astype(np.float32))


def train_limb(config: LimbConfig, out: Path, progress: Progress = lambda done, total: None) -> LimbNetwork:
    """Draw the strips and train, or go on with a run that was interrupted.

    Args:
        config: of the run.
        out: its folder: ``config.yaml``, ``run.json``, ``last.ckpt``, logs.
        progress: is told blocks of strips drawn and all.

    Raises:
        InputError: the run was begun with other settings, or there are too few strips.

    """
    lightning.seed_everything(config.seed, workers=True)
    torch.set_num_threads(config.threads)
    files = strips(config.cache, config.seed, config.products, os.cpu_count() or 1, progress)
    learnt, aside = (StripData(files, flag, config.batch, not flag) for flag in (False, True))
    if not len(learnt):
        raise InputError(config.cache, f"{len(learnt.places)} strips are less than one batch of {config.batch}")
    log.info("strips: %d for training, %d for validation", len(learnt.places), len(aside.places))
    _begin(config, out, len(learnt.places))
    task = LimbTask(config.learning_rate, config.weight_decay, config.epochs * len(learnt))
    trainer = lightning.Trainer(
        accelerator=config.accelerator,
        devices=1,
        precision=config.precision,
        max_epochs=config.epochs,
        gradient_clip_val=config.clip,
        callbacks=[ModelCheckpoint(out, filename=Path(LAST).stem, enable_version_counter=False)],
        num_sanity_val_steps=0,
        logger=CSVLogger(out, "log"),
        log_every_n_steps=50,
        enable_model_summary=False,
    )
    last = out / LAST
    each = (DataLoader(data, batch_size=None, shuffle=False) for data in (learnt, aside))
    trainer.fit(task, next(each), next(each), ckpt_path=last if last.is_file() else None)
    return task.network.eval()


def _begin(config: LimbConfig, out: Path, count: int) -> None:
    """Write down what the run is; one that goes on must be the same."""
    kept = out / "config.yaml"
    if (out / LAST).is_file():
        before = load_limb_config(kept)
        if before.decisive != config.decisive:
            raise InputError(out, f"was begun with {before.decisive}, not {config.decisive}", "name another folder")
        return
    out.mkdir(parents=True, exist_ok=True)
    kept.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    (out / "run.json").write_text(json.dumps(provenance(config, count), indent=1))


def provenance(config: LimbConfig, count: int) -> dict[str, object]:
    """What the run and the file that comes of it say of where they come from."""
    versions = {name: version(name) for name in ("torch", "lightning", "numpy", "scipy")}
    return {"commit": commit(Path(__file__).parent), "strips": count, "settings": config.decisive, "versions": versions}


def train_and_release(config: Path, out: Path, file: Path, progress: Progress = lambda done, total: None) -> float:
    """Train a limb network by a configuration, and write it as ``file``; give what ``release_limb`` does."""
    settings = load_limb_config(config)
    network = train_limb(settings, out, progress)
    blocks = strips(settings.cache, settings.seed, settings.products, 1)
    trials = tensors(np.load(blocks[0], mmap_mode="r")[:TRIALS])
    return release_limb(network, json.loads((out / "run.json").read_text()), file, trials)


def release_limb(network: LimbNetwork, training: dict[str, object], out: Path, trials: Batch) -> float:
    """Write a limb network as the file that the detector opens, ``.sha256`` beside it.

    Args:
        network: trained.
        training: what the file says of where it comes from.
        out: the .onnx file.
        trials: strips on which torch and onnxruntime must agree.

    Returns:
        the largest difference of an answer, weights by their logarithms.

    Raises:
        ModelError: they do not agree; nothing is written then.

    """
    arrays = [trials[name] for name in INPUTS]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        part = Path(folder) / "limb.onnx"
        batch = {0: torch.export.Dim("batch", min=1, max=4096)}
        program = torch.onnx.export(
            network.eval(), tuple(arrays), dynamo=True, opset_version=OPSET, verbose=False,
            input_names=list(INPUTS), output_names=list(OUTPUTS), dynamic_shapes=(batch, batch, batch),
        )  # fmt: skip
        assert program is not None
        program.save(str(part), external_data=False)
        gap = _gap(network, part, arrays)
        if not gap <= MAX_GAP:
            raise ModelError(out, f"not written: torch and onnxruntime differ by {gap:.2g}, {MAX_GAP:g} is allowed")
        model = onnx.load(str(part))
        onnx.helper.set_model_props(model, {"training": json.dumps(training)})
        onnx.save(model, str(part))
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        part.replace(out)
    out.with_suffix(".sha256").write_text(f"{digest}  {out.name}\n")
    out.with_suffix(".md").write_text(render_limb_card(training, gap))
    return gap


def render_limb_card(training: dict[str, object], gap: float) -> str:
    """What is to be known of a limb network, as Markdown, to stand beside the file."""
    return CARD.format(gap=gap, training=json.dumps(training, indent=1))


def _gap(network: LimbNetwork, file: Path, arrays: Sequence[Tensor]) -> float:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    theirs = session.run(list(OUTPUTS), {n: a.numpy() for n, a in zip(INPUTS, arrays, strict=True)})
    with torch.no_grad():
        ours = network(*arrays)
    pairs = [(a.numpy(), b) for a, b in zip(ours, theirs, strict=True)]
    pairs[1] = (np.log(pairs[1][0]), np.log(pairs[1][1]))
    return max(float(np.abs(a - b).max()) for a, b in pairs)
