"""The configuration of a training run: one YAML file, every setting said once, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from detector.errors import InputError
from models.network import NetworkConfig
from training.augment import Strength
from training.simulate.recipe import Recipe


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FurtherFrames(_Settings):
    """More simulated frames for training, drawn otherwise than the rest: ``count`` from ``seed``."""

    seed: int
    count: int
    recipe: Recipe = Recipe()
    sides_px: tuple[int, int] = (192, 448)


class DataConfig(_Settings):
    """Simulated frames: ``count`` for training from ``seed``, ``validation_count`` from ``validation_seed``.

    ``judging_frames`` more of the validation seed are drawn to fit the judge and choose the operating points at export.
    ``with_object`` is the share of training samples drawn among the frames that hold what the branch looks for.
    ``sides_px`` is the range of the frames' sides, ``strips_per_frame`` and ``crops_per_frame`` what is cut from each;
    ``cache`` the folder that keeps them between runs. ``negatives`` are files of real frames on which nothing erupts:
    ``negative_share`` of the training samples are cut from them, ``negatives_each`` strips and crops of every frame.
    ``labels`` are datasets of labelled frames, real ones or with eruptions put into them: ``label_share`` of the
    training samples are cut from those in their split ``train``, ``labels_each`` strips and crops of every frame.
    ``further`` are more simulated frames for training, for example with faint eruptions only.
    """

    seed: int = 1
    count: int = 12000
    validation_seed: int = 900_001
    validation_count: int = 600
    judging_frames: int = 1400
    sides_px: tuple[int, int] = (192, 448)
    cache: Path = Path("cache")
    recipe: Recipe = Recipe()
    augment: Strength = Strength()
    further: tuple[FurtherFrames, ...] = ()
    disk_crop_px: int = 256
    strips_per_frame: int = 2
    crops_per_frame: int = 2
    with_object: float = 0.65
    negatives: tuple[Path, ...] = ()
    negative_share: float = 0.12
    negatives_each: int = 30
    labels: tuple[Path, ...] = ()
    label_share: float = Field(default=0.3, ge=0, le=1)
    labels_each: int = Field(default=8, gt=0)
    workers: int = 1

    @model_validator(mode="after")
    def _shares_fit(self) -> DataConfig:
        shares = self.negative_share * bool(self.negatives) + self.label_share * bool(self.labels)
        if shares > 1:
            raise ValueError(f"negative_share + label_share is {shares:g}, expected at most 1")
        return self


class CircleConfig(_Settings):
    """Limb circles that training shows: shares of right, jittered and deliberately wrong ones; jitter in radii."""

    jittered: float = 0.35
    jitter: float = 0.01
    wrong: float = 0.15


class OptimiserConfig(_Settings):
    """AdamW with a one-cycle schedule, and an exponential moving average of the weights for evaluation and export.

    A batch of 0 leaves that branch as it is. ``keep`` says which weights are exported: the ``best`` by the validation's
    IoU at one fixed threshold, or the ``last``, of which the schedule makes the most.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    limb_batch: int = 16
    disk_batch: int = 6
    epochs: int = 20
    steps_per_epoch: int = 400
    ema_decay: float = 0.998
    gradient_clip: float = 1.0
    patience: int = 8
    keep: Literal["best", "last"] = "best"


class TrainConfig(_Settings):
    """Everything that ``io-detector train`` needs.

    ``start`` is a released model file whose weights are the first ones, instead of random ones.
    """

    name: str = "io-detector"
    version: str = "0.5.0"
    seed: int = 1
    accelerator: str = "auto"
    devices: int | str = "auto"
    precision: str = "32-true"
    threads: int = 2
    start: Path | None = None
    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    circles: CircleConfig = CircleConfig()
    optimiser: OptimiserConfig = OptimiserConfig()


def load_config(path: Path, overrides: list[str] | None = None) -> TrainConfig:
    """Read a configuration.

    Args:
        path: a YAML file.
        overrides: ``key=value`` with dotted keys, e.g. ``optimiser.epochs=3``; values are YAML.

    Raises:
        InputError: not readable, an unknown key, or a value out of its range.

    """
    try:
        settings: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise InputError(path, f"not a readable YAML file: {error}") from error
    for override in overrides or []:
        _set(settings, override)
    try:
        return TrainConfig.model_validate(settings)
    except ValidationError as error:
        raise InputError(path, f"{error}") from error


def _set(settings: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise InputError(override, "is not key=value", "write for example optimiser.epochs=3")
    *parents, last = key.split(".")
    for parent in parents:
        settings = settings.setdefault(parent, {})
        if not isinstance(settings, dict):
            raise InputError(override, f"{parent!r} holds a value, not settings")
    settings[last] = yaml.safe_load(value)
