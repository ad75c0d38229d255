"""Training that begins with a released model file: its weights are put back into a network.

An exported file holds each convolution with its batch normalisation folded in. Here they are taken apart again: the
normalisation gets the mean and the variance that the convolution's answers have on a batch of training items, and a
scale and an offset that undo both, so that the network says what the file says, and can be trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from detector.card import CARD_KEY, ModelCard
from detector.errors import ModelError
from models.network import IoNetwork, NetworkConfig
from training.config import TrainConfig
from training.task import KINDS, IoTask

Weights = dict[str, NDArray[np.float32]]


def start_from(task: IoTask, file: Path, batches: dict[str, dict[str, Tensor]]) -> None:
    """Give a task's network the weights of a model file.

    Inputs that the file's network did not have begin with weights of zero: they are not listened to yet.

    Args:
        task: whose network has the sizes of the file's.
        file: written by ``io-detector export``.
        batches: strips (``limb``) and crops (``disk``), some dozens of each.

    Raises:
        ModelError: the file cannot be read, or holds a network of other sizes.

    """
    weights, network = _weights_of(file), task.network
    unfolding: list[RemovableHandle] = []
    for name, convolution, norm in _layers(network):
        with torch.no_grad():
            _put(convolution.weight, weights, f"{name}.weight", file)
            if convolution.bias is not None:
                _put(convolution.bias, weights, f"{name}.bias", file)
        if norm is not None:
            offset = weights.get(f"{name}.weight_bias")
            if offset is None or offset.shape != (norm.num_features,):
                raise ModelError(file, f"has no offsets of layer {name}", "name a file written by `io-detector export`")
            unfolding.append(norm.register_forward_pre_hook(_Unfold(torch.from_numpy(offset.copy()))))
    network.eval()
    with torch.no_grad():
        task.limb_logits(batches["limb"])
        task.disk_logits(batches["disk"])
    for handle in unfolding:
        handle.remove()
    network.train()


def network_of(file: Path, card: ModelCard) -> IoNetwork:
    """The network of a model file, calibrated as its card says: it answers as the file does.

    Raises:
        ModelError: the file cannot be read, or its card does not say what it holds.

    """
    try:
        config = TypeAdapter(NetworkConfig).validate_python(card.training["config"]["network"])
        fitted = [card.calibration.get(kind, {"slope": 1.0, "offset": 0.0}) for kind in KINDS]
        slopes, offsets = ([float(one[what]) for one in fitted] for what in ("slope", "offset"))
    except (KeyError, TypeError, ValidationError) as error:
        remedy = "name a file written by `io-detector export`"
        raise ModelError(file, f"its card does not say how the network is built: {error!r}", remedy) from error
    task = IoTask(TrainConfig(network=config))
    start_from(task, file, _noise(config))
    task.network.slope.copy_(torch.tensor(slopes))
    task.network.offset.copy_(torch.tensor(offsets))
    return task.network.eval()


def _noise(config: NetworkConfig) -> dict[str, dict[str, Tensor]]:
    """Items of noise: statistics of any will do where the network is not trained on."""
    made = torch.Generator().manual_seed(0)
    levels = torch.tensor([[0.0, 1.0, 5.0]]).repeat(2, 1)
    strip = torch.randn(2, 1, config.altitudes, config.azimuths, generator=made)
    frame = torch.randn(2, 1, 64, 64, generator=made)
    limb = {"strip": strip, "seen": torch.ones_like(strip), "levels": levels, "radius": torch.full((2,), 40.0)}
    circle = torch.tensor([[30.0, 30.0, 20.0]]).repeat(2, 1)
    return {"limb": limb, "disk": {"frame": frame, "valid": torch.ones_like(frame), "levels": levels, "limb": circle}}


def seen_by(file: Path) -> list[str]:
    """Beginnings of the sha256 of the real files that a model file was trained on, as its card says.

    Raises:
        ModelError: the file cannot be read, or carries no card.

    """
    try:
        held = {one.key: one.value for one in onnx.load(str(file), load_external_data=False).metadata_props}
        return list(json.loads(held[CARD_KEY])["training"].get("seen_files", []))
    except Exception as error:  # onnx raises what its parts raise
        raise ModelError(file, f"its card cannot be read: {error!r}", "name a file of `io-detector export`") from error


class _Unfold:
    """Sets a normalisation by the answers of its convolution, so that it adds an offset to them and nothing else."""

    def __init__(self, offset: Tensor) -> None:
        self.offset = offset

    def __call__(self, norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(variance)  # type: ignore[union-attr]
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(mean + self.offset)


def _weights_of(file: Path) -> Weights:
    try:
        model = onnx.load(str(file))
    except Exception as error:  # onnx raises what its parts raise
        raise ModelError(file, f"cannot be read: {error}", "name a file written by `io-detector export`") from error
    return {one.name: np.asarray(numpy_helper.to_array(one)) for one in model.graph.initializer}


def _layers(network: IoNetwork) -> Iterator[tuple[str, nn.Conv2d, nn.BatchNorm2d | None]]:
    """Every convolution with the normalisation behind it, if there is one."""
    modules = dict(network.named_modules())
    for name, module in modules.items():
        if isinstance(module, nn.Conv2d):
            before, _, number = name.rpartition(".")
            behind = modules.get(f"{before}.{int(number) + 1}") if number.isdigit() else None
            yield name, module, behind if isinstance(behind, nn.BatchNorm2d) else None


def _put(parameter: Tensor, weights: Weights, name: str, file: Path) -> None:
    """Copy an array into a parameter; inputs beyond the array's get zeros."""
    held = weights.get(name)
    shape = tuple(parameter.shape)
    fits = held is not None and held.ndim == len(shape) and (held.shape[0], *held.shape[2:]) == (shape[0], *shape[2:])
    if held is None or not fits or (len(shape) > 1 and held.shape[1] > shape[1]):
        raise ModelError(
            file,
            f"its layer {name} has shape {None if held is None else held.shape}, expected {shape} or fewer inputs",
            "set `network` in the configuration to the sizes that the file's card names",
        )
    parameter.zero_()
    if len(shape) == 1:
        parameter.copy_(torch.from_numpy(held.copy()))
    else:
        parameter[:, : held.shape[1]] = torch.from_numpy(held.copy())
