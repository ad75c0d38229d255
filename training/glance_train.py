"""Training the glance network: draw thumbnails, train, write the file that the detector opens."""

from __future__ import annotations

import json
import logging
import math
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
from detector.limb_glance import INPUTS, OUTPUTS
from detector.limb_thumb import AREA_PX, STEP_PX, WINDOW_PX
from models.glance_network import GlanceNetwork
from training.drawn import Progress
from training.glance_frames import NAMES, thumbnails
from training.glance_task import Batch, GlanceTask, reach_of, turned
from training.small_run import SmallConfig, Trial, begin, fit, kept_aside, release

log = logging.getLogger(__name__)

WINDOWS_SHARE = 1 / 3
"""Of the windows, which are many and often show nothing, shown in an epoch."""
TRIALS = 16
"""Thumbnails that torch and onnxruntime must agree on."""
CARD = """# io-detector-glance

Sees a whole picture as a thumbnail (`detector/limb_thumb.py`), and says of every cell which circle is Io's limb if the
limb passes there, and what that is worth. `detector.find_limb` looks closer at the circles that it finds worth it.

## Training

torch and onnxruntime differ by {gap:.1g} at most.

```json
{training}
```

Licence of the weights: MIT.
"""


class Thumbnails(Dataset[Batch]):
    """Thumbnails of blocks, those of a shape together; one item is a batch of ``batch`` whole pictures' pixels."""

    def __init__(self, files: Sequence[Path], aside: bool, batch: int, shuffled: bool) -> None:
        self.batch, self.shuffled = batch, shuffled
        parts: dict[str, list[dict[str, NDArray[Any]]]] = {}
        for file in files:
            for shape, block in _by_shape(file):
                chosen = kept_aside(block["product"]) == aside
                parts.setdefault(shape, []).append({name: block[name][chosen] for name in NAMES})
        self.shapes = {
            shape: {name: np.concatenate([part[name] for part in some]) for name in NAMES}
            for shape, some in sorted(parts.items())
        }
        self.batches = self._plan()

    @property
    def count(self) -> int:
        """Thumbnails of all shapes."""
        return sum(len(block["facts"]) for block in self.shapes.values())

    def _plan(self) -> list[tuple[str, NDArray[np.intp]]]:
        batches = []
        for shape, block in self.shapes.items():
            rows, columns = map(int, shape.split("x"))
            count, each = len(block["facts"]), max(1, self.batch * AREA_PX // (rows * columns))
            order = torch.randperm(count).numpy() if self.shuffled else np.arange(count)
            if self.shuffled and (rows, columns) == (WINDOW_PX, WINDOW_PX):
                order = order[: int(WINDOWS_SHARE * count)]
            batches += [(shape, np.sort(order[k : k + each])) for k in range(0, len(order), each)]
        return [batches[k] for k in torch.randperm(len(batches))] if self.shuffled else batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        if index == 0 and self.shuffled:
            self.batches = self._plan()
        shape, chosen = self.batches[index]
        batch = {name: _tensor(values[chosen]) for name, values in self.shapes[shape].items() if name != "product"}
        batch["reach"] = reach_of(batch["limb"], batch["scale"])
        return turned(batch) if self.shuffled else batch


def _by_shape(file: Path) -> list[tuple[str, dict[str, NDArray[Any]]]]:
    with np.load(file) as stored:
        shapes = sorted({name.split("-")[0] for name in stored.files})
        return [(shape, {name: stored[f"{shape}-{name}"] for name in NAMES}) for shape in shapes]


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values if values.dtype == np.bool_ else values.astype(np.float32))


def train_glance(config: SmallConfig, out: Path, progress: Progress = lambda done, total: None) -> GlanceNetwork:
    """Draw thumbnails and train, or go on with a run that was interrupted.

    Args:
        config: of the run.
        out: its folder: ``config.yaml``, ``run.json``, ``last.ckpt``, logs.
        progress: is told blocks drawn and all.

    Raises:
        InputError: the run was begun with other settings, or there are too few thumbnails.

    """
    lightning.seed_everything(config.seed, workers=True)
    torch.set_num_threads(config.threads)
    files = thumbnails(config.cache, config.seed, config.products, os.cpu_count() or 1, config.known_limbs, progress)
    learnt, aside = (Thumbnails(files, flag, config.batch, not flag) for flag in (False, True))
    if not len(learnt):
        raise InputError(config.cache, "no thumbnails to learn from", "draw more products")
    log.info("thumbnails: %d for training, %d for validation", learnt.count, aside.count)
    begin(config, out, learnt.count)
    task = GlanceTask(config.learning_rate, config.weight_decay, config.epochs * len(learnt))
    fit(task, learnt, aside, config, out)
    return task.network.eval()


def train_and_release(config: Path, out: Path, file: Path, progress: Progress = lambda done, total: None) -> float:
    """Train a glance network by a configuration, write it as ``file``; give the largest difference to onnxruntime."""
    settings = SmallConfig.load(config)
    network = train_glance(settings, out, progress)
    return release_glance(network, json.loads((out / "run.json").read_text()), file)


def release_glance(network: GlanceNetwork, training: dict[str, object], out: Path) -> float:
    """Write a glance network as the file that the detector opens; see ``small_run.release``."""
    rng = torch.Generator().manual_seed(TRIALS)
    view = torch.rand((TRIALS, 4 * STEP_PX, 6 * STEP_PX), generator=rng)
    view[view < 0.02] = torch.nan
    facts = torch.tensor([[50.0, 2.0, 30.0], [8.0, 2.0, 0.0]]).repeat(TRIALS // 2, 1)
    batch = torch.export.Dim("batch", min=1, max=4096)
    rows, columns = (torch.export.Dim(name, min=1, max=256) for name in ("rows", "columns"))
    sides = {0: batch, 1: STEP_PX * rows, 2: STEP_PX * columns}
    given = dict(zip(INPUTS, (view, facts), strict=True))
    return release(network, Trial(given, OUTPUTS, (sides, {0: batch}), _compared), training, CARD, out)


def _compared(name: str, value: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Circles in sides of a thumbnail."""
    return value / math.sqrt(AREA_PX) if name == "circle" else value
