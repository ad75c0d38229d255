"""Training the limb network: draw strips, train, write the file that the detector opens. Goes on where it stopped."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from detector.errors import InputError
from detector.limb_strip import INPUTS, OUTPUTS
from models.limb_network import LimbNetwork
from training.drawn import Progress
from training.limb_strips import STRIP, strips
from training.limb_task import Batch, LimbTask, mirrored
from training.small_run import SmallConfig, Trial, begin, fit, kept_aside, release

log = logging.getLogger(__name__)
CARD = """# io-detector-limb

Looks at the surroundings of a circle, unwrapped (`detector/limb_strip.py`), and says how likely Io's limb is there,
where it stands out, and at each azimuth how far off the circle it is and what that is worth. `detector.find_limb` lays
circles through it.

## Limits

* Trained on simulated frames, and on few real pictures. Another body's limb may look like Io's: Jupiter's does on
  JunoCam's frames.
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


class StripData(Dataset[Batch]):
    """Strips of blocks, mapped into memory; one item is a batch."""

    def __init__(self, files: Sequence[Path], aside: bool, batch: int, shuffled: bool) -> None:
        self.blocks = [np.load(file, mmap_mode="r") for file in files]
        self.places = [
            (number, row)
            for number, block in enumerate(self.blocks)
            for row in np.flatnonzero(kept_aside(block["product"]) == aside)
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


def train_limb(config: SmallConfig, out: Path, progress: Progress = lambda done, total: None) -> LimbNetwork:
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
    files = strips(config.cache, config.seed, config.products, os.cpu_count() or 1, config.known_limbs, progress)
    learnt, aside = (StripData(files, flag, config.batch, not flag) for flag in (False, True))
    if not len(learnt):
        raise InputError(config.cache, f"{len(learnt.places)} strips are less than one batch of {config.batch}")
    log.info("strips: %d for training, %d for validation", len(learnt.places), len(aside.places))
    begin(config, out, len(learnt.places))
    task = LimbTask(config.learning_rate, config.weight_decay, config.epochs * len(learnt))
    fit(task, learnt, aside, config, out)
    return task.network.eval()


def train_and_release(config: Path, out: Path, file: Path, progress: Progress = lambda done, total: None) -> float:
    """Train a limb network by a configuration, and write it as ``file``; give what ``release_limb`` does."""
    settings = SmallConfig.load(config)
    network = train_limb(settings, out, progress)
    blocks = strips(settings.cache, settings.seed, settings.products, 1, settings.known_limbs)
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
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    given = {name: trials[name] for name in INPUTS}
    return release(network, Trial(given, OUTPUTS, (batch,) * len(INPUTS), _compared), training, CARD, out)


def _compared(name: str, value: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Weights by their logarithms."""
    return np.log(value) if name == "weight" else value
