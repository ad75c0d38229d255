"""A run of one of the limb's small networks: its settings, where it goes on, the file that comes of it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import lightning
import onnx
import onnxruntime
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from detector.errors import InputError, ModelError
from training.retaken_limbs import KnownLimb
from training.train import LAST, commit

Batch = dict[str, Tensor]

ASIDE = 20
"""Every so many-th product of each instrument is kept for validation."""
INSTRUMENTS_IN_TURN = 5
MAX_GAP = 1e-3
"""Largest difference between torch and onnxruntime."""
OPSET = 20


class SmallConfig(BaseModel):
    """A training run: ``products`` simulated ones of ``seed``, what is learned from them kept in ``cache``.

    ``pictures`` are real ones that are taken anew, a few among them: ``FILE@X,Y,RADIUS`` with Io's limb in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(6, ge=0)
    products: int = Field(12_000, gt=INSTRUMENTS_IN_TURN)
    pictures: tuple[str, ...] = ()
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
        """The settings that a run must not change when it goes on; of pictures only the names."""
        settings = self.model_dump(mode="json", exclude={"cache", "threads", "accelerator"})
        return {**settings, "pictures": [str(one.named) for one in self.known_limbs]}

    @property
    def known_limbs(self) -> tuple[KnownLimb, ...]:
        """Where the pictures are and Io's limb in each."""
        return tuple(KnownLimb.read(text) for text in self.pictures)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a run's configuration.

        Raises:
            InputError: it is missing, or a setting is unknown or cannot be.

        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()) or {})
        except OSError as error:
            raise InputError(path, f"cannot be read: {error.strerror}") from error
        except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(path, f"is no configuration of a limb network: {error}") from error


def kept_aside(product: Any) -> Any:
    """Whether products, by their number, are for validation."""
    return product // INSTRUMENTS_IN_TURN % ASIDE == 0


def begin(config: SmallConfig, out: Path, count: int) -> None:
    """Write down what the run is; one that goes on must be the same.

    Raises:
        InputError: the run was begun with other settings.

    """
    kept = out / "config.yaml"
    if (out / LAST).is_file():
        before = SmallConfig.load(kept)
        if before.decisive != config.decisive:
            raise InputError(out, f"was begun with {before.decisive}, not {config.decisive}", "name another folder")
        return
    out.mkdir(parents=True, exist_ok=True)
    kept.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    (out / "run.json").write_text(json.dumps(provenance(config, count), indent=1))


def provenance(config: SmallConfig, count: int) -> dict[str, object]:
    """What the run and the file that comes of it say of where they come from; ``count`` is what it learned from."""
    versions = {name: version(name) for name in ("torch", "lightning", "numpy", "scipy")}
    return {"commit": commit(Path(__file__).parent), "seen": count, "settings": config.decisive, "versions": versions}


def fit(
    task: lightning.LightningModule, learnt: Dataset[Batch], aside: Dataset[Batch], config: SmallConfig, out: Path
) -> None:
    """Train, or go on; items of the datasets are batches."""
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
    first, second = (DataLoader(data, batch_size=None, shuffle=False) for data in (learnt, aside))
    trainer.fit(task, first, second, ckpt_path=last if last.is_file() else None)


@dataclass(frozen=True)
class Trial:
    """How a network is written as a file, and compared with what it was.

    Attributes:
        given: its inputs by name, on which torch and onnxruntime must agree.
        outputs: names of what it says.
        dynamic: of each input, which axes may have any length.
        compared: what of an output is compared.

    """

    given: Mapping[str, Tensor]
    outputs: Sequence[str]
    dynamic: tuple[dict[int, Any], ...]
    compared: Callable[[str, Any], Any] = lambda name, value: value

    def gap(self, network: nn.Module, file: Path) -> float:
        """The largest difference between the network and its file."""
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        theirs = session.run(list(self.outputs), {name: array.numpy() for name, array in self.given.items()})
        with torch.no_grad():
            ours = network(*self.given.values())
        pairs = zip(self.outputs, ours, theirs, strict=True)
        return max(float(abs(self.compared(name, a.numpy()) - self.compared(name, b)).max()) for name, a, b in pairs)


def release(network: nn.Module, trial: Trial, training: dict[str, object], card: str, out: Path) -> float:
    """Write a network as the file that the detector opens, ``.sha256`` and card beside it.

    Args:
        network: trained.
        trial: how it is written and compared.
        training: what the file says of where it comes from.
        card: what is to be known of it, Markdown with {gap} and {training}.
        out: the .onnx file.

    Returns:
        the largest difference of an answer.

    Raises:
        ModelError: they do not agree; nothing is written then.

    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        part = Path(folder) / "network.onnx"
        program = torch.onnx.export(
            network.eval(), tuple(trial.given.values()), dynamo=True, opset_version=OPSET, verbose=False,
            input_names=list(trial.given), output_names=list(trial.outputs), dynamic_shapes=trial.dynamic,
        )  # fmt: skip
        if program is None:
            raise ModelError(out, "not written: torch exported nothing")
        program.save(str(part), external_data=False)
        gap = trial.gap(network, part)
        if not gap <= MAX_GAP:
            raise ModelError(out, f"not written: torch and onnxruntime differ by {gap:.2g}, {MAX_GAP:g} is allowed")
        model = onnx.load(str(part))
        onnx.helper.set_model_props(model, {"training": json.dumps(training)})
        onnx.save(model, str(part))
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        part.replace(out)
    out.with_suffix(".sha256").write_text(f"{digest}  {out.name}\n")
    out.with_suffix(".md").write_text(card.format(gap=gap, training=json.dumps(training, indent=1)))
    return gap
