"""From a frame with its truth to what the two branches of the network are shown: strips of the limb, crops of the disk.

A strip is an item of ``strip_fields``, a crop one of ``crop_fields``: numpy arrays with masks as bits, the form in
which they are cached. ``strip_tensors`` and ``crop_tensors`` turn an item, rolled or mirrored anew every time, into
what the training task takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detector.levels import Levels, measure_levels
from models.network import NetworkConfig, Unwrap
from training.config import CircleConfig, TrainConfig
from training.labels.truth import LimbInterval
from training.simulate.scene import Sample

Rng = np.random.Generator
Item = Mapping[str, Any]
Bits = NDArray[np.uint8]

NO_LIMB = 0.15
"""Share of the crops that are shown without their limb."""
CENTRE_JITTER = 0.004
"""1-sigma error, in radii, of the limb that a crop is told."""
IGNORED_SHARE = 0.1
"""A cell of the strip is left out of the loss when this much of it belongs to an object too faint to learn from."""


@dataclass(frozen=True)
class Picture:
    """One frame with its truth as planes.

    Attributes:
        image: (H, W) float32; anything where not valid.
        planes: (H, W, 5) uint8: valid, truth of plume and hot spot, ignored of both.
        circle: (3,) float32 x, y, radius of the limb; radius 0 = none.
        stretches: stretches of limb on which a plume rises, where its pixels are not known.

    """

    image: NDArray[np.float32]
    planes: NDArray[np.uint8]
    circle: NDArray[np.float32]
    stretches: tuple[LimbInterval, ...] = ()

    @classmethod
    def of(cls, sample: Sample) -> Picture:
        """A simulated frame in this form."""
        planes = np.concatenate([sample.frame.valid[None], sample.mask().planes, sample.ignored()])
        return cls(sample.frame.image, planes.transpose(1, 2, 0).astype(np.uint8), sample.limb.as_array())

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W) bool."""
        return self.planes[..., 0] > 0

    @cached_property
    def levels(self) -> Levels:
        """Those of the whole frame."""
        return measure_levels(self.image, self.valid)


# -- strips ---------------------------------------------------------------------------------------------------------


def strip_fields(network: NetworkConfig, stretches: bool = False) -> np.dtype[np.void]:
    """An item of the limb branch: pixels in the frame's unit, masks as bits, the frame's levels, the limb's radius.

    With ``stretches`` also the azimuths at which a plume rises, its pixels not known.
    """
    shape = (network.altitudes, network.azimuths)
    bits = (shape[0], shape[1] // 8)
    masks = [(name, np.uint8, bits) for name in ("seen", "target", "ignored")]
    rest = [("levels", np.float32, 3), ("radius", np.float32), ("holds", np.bool_)]
    more = [("stretch", np.uint8, bits[1])] if stretches else []
    return np.dtype([("strip", np.float32, shape), *masks, *rest, *more])


def strip_item(picture: Picture, unwrap: Unwrap, config: CircleConfig, rng: Rng) -> Item:
    """Unwrap around the true circle, a jittered one, or a wrong one on which there is nothing to find."""
    circle, right = choose_circle(picture, config, rng)
    levels, valid = picture.levels, picture.valid
    image = np.where(valid, picture.image, np.float32(levels.sky))
    pixels = np.concatenate([image[None], picture.planes[..., [1, 3]].transpose(2, 0, 1)]).astype(np.float32)
    strips, seen = unwrap(
        torch.from_numpy(pixels)[None],
        torch.from_numpy(valid.astype(np.float32))[None, None],
        torch.from_numpy(circle)[None],
    )
    target = (strips[0, 1] >= 0.5).numpy() & right
    stretch = _columns(picture.stretches, target.shape[1]) & right
    return {
        "strip": strips[0, 0].numpy(),
        "seen": np.packbits(seen[0, 0].numpy() > 0, axis=-1),
        "target": np.packbits(target, axis=-1),
        "ignored": np.packbits((strips[0, 2] > IGNORED_SHARE).numpy(), axis=-1),
        "stretch": np.packbits(stretch),
        "levels": levels.as_array(),
        "radius": circle[2],
        "holds": bool(target.any() or stretch.any()),
    }


def _columns(stretches: Sequence[LimbInterval], azimuths: int) -> NDArray[np.bool_]:
    """(T,) bool: the columns of a strip that lie in one of the stretches."""
    angles = (np.arange(azimuths) + 0.5) / azimuths * 2 * np.pi
    return np.any([np.zeros(azimuths, bool), *(one.holds(angles) for one in stretches)], axis=0)


def strip_tensors(item: Item, rng: Rng | None) -> dict[str, Tensor]:
    """strip, seen, target, ignored (1, A, T), stretch (1, 1, T), levels (3,), radius ().

    Turned along the limb and mirrored by ``rng``. Items without stretches have none at any azimuth.
    """
    masks = [np.unpackbits(item[name], axis=-1) for name in ("seen", "target", "ignored")]
    names = item.dtype.names if isinstance(item, np.void) else item
    stretch = np.unpackbits(item["stretch"]) if "stretch" in (names or ()) else np.zeros(masks[0].shape[1])
    planes = np.stack([item["strip"], *masks, np.broadcast_to(stretch, masks[0].shape)])
    if rng is not None:
        planes = np.roll(planes, int(rng.integers(planes.shape[-1])), axis=-1)
        if rng.random() < 0.5:
            planes = planes[..., ::-1]
    turned = torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float32))[:, None]
    strip, seen, target, ignored, everywhere = turned.unbind(0)
    return {
        "strip": strip,
        "seen": seen,
        "target": target,
        "ignored": ignored,
        "stretch": everywhere[:, :1],
        "levels": torch.from_numpy(np.array(item["levels"])),
        "radius": torch.tensor(float(item["radius"])),
    }


def choose_circle(picture: Picture, config: CircleConfig, rng: Rng) -> tuple[NDArray[np.float32], bool]:
    """A circle to unwrap around, and whether what is found on it counts."""
    size = max(picture.image.shape)
    true = picture.circle
    draw = rng.random()
    if true[2] <= 0 or draw < config.wrong:
        anywhere = np.array(
            [rng.uniform(0, size), rng.uniform(0, size), np.exp(rng.uniform(np.log(8), np.log(2 * size)))]
        )
        if true[2] > 0 and rng.random() < 0.5:  # beside the truth, by more than a plume's height
            anywhere = true + true[2] * rng.uniform(0.25, 0.7) * np.array([*_unit(rng), rng.choice([-1, 1]) * 0.6])
        return np.maximum(anywhere, [-np.inf, -np.inf, 6]).astype(np.float32), False
    if draw < config.wrong + config.jittered:
        shift = true[2] * config.jitter * rng.uniform(0, 1)
        return (true + shift * np.array([*_unit(rng), rng.uniform(-1, 1)])).astype(np.float32), True
    return true, True


def _unit(rng: Rng) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))


# -- crops ----------------------------------------------------------------------------------------------------------


def crop_fields(side: int) -> np.dtype[np.void]:
    """An item of the disk branch: pixels in the frame's unit, masks as bits, the frame's levels, the limb."""
    bits = (side, -(-side // 8))
    masks = [("valid", np.uint8, bits), ("target", np.uint8, (2, *bits)), ("ignored", np.uint8, (2, *bits))]
    rest = [("levels", np.float32, 3), ("limb", np.float32, 3), ("holds", np.bool_)]
    return np.dtype([("frame", np.float32, (side, side)), *masks, *rest])


def crop_item(picture: Picture, side: int, rng: Rng) -> Item:
    """Cut a square, around an object half of the time; levels are the whole frame's."""
    row, column = _corner(picture, side, rng)
    planes = _cut(picture.planes, row, column, side).transpose(2, 0, 1)
    limb = picture.circle.copy()
    limb[:2] += rng.normal(0, CENTRE_JITTER * limb[2], 2).astype(np.float32) - np.array([column, row], np.float32)
    if rng.random() < NO_LIMB or picture.circle[2] <= 0:
        limb[:] = 0
    return {
        "frame": _cut(picture.image, row, column, side),
        "valid": np.packbits(planes[0], axis=-1),
        "target": np.packbits(planes[1:3], axis=-1),
        "ignored": np.packbits(planes[3:5], axis=-1),
        "levels": picture.levels.as_array(),
        "limb": limb,
        "holds": bool(planes[2].any()),
    }


def crop_tensors(item: Item, rng: Rng | None) -> dict[str, Tensor]:
    """frame, valid (1, S, S), target, ignored (2, S, S), levels (3,), limb (3,): turned and mirrored by ``rng``."""
    side = item["frame"].shape[0]
    masks = [item["valid"][None], item["target"], item["ignored"]]
    bits = np.unpackbits(np.concatenate(masks), axis=-1)[..., :side]
    planes = np.concatenate([item["frame"][None], bits.astype(np.float32)])
    x, y, radius = (float(v) for v in item["limb"])
    if rng is not None:
        if rng.random() < 0.5:
            planes, x = planes[..., ::-1], side - 1 - x
        for _ in range(rng.integers(4)):  # a quarter turn takes (x, y) to (y, side - 1 - x)
            planes, x, y = np.rot90(planes, axes=(1, 2)), y, side - 1 - x
    turned = torch.from_numpy(np.ascontiguousarray(planes))
    limb = torch.tensor([x, y, radius] if radius > 0 else [0.0, 0.0, 0.0])
    return {
        "frame": turned[:1],
        "valid": turned[1:2],
        "target": turned[2:4],
        "ignored": turned[4:6],
        "levels": torch.from_numpy(np.array(item["levels"])),
        "limb": limb,
    }


def _corner(picture: Picture, side: int, rng: Rng) -> tuple[int, int]:
    rows, columns = picture.image.shape
    objects = np.argwhere(picture.planes[..., 1:3].any(-1))
    if len(objects) and rng.random() < 0.5:
        y, x = objects[rng.integers(len(objects))] - rng.integers(side // 8, side - side // 8, 2)
    else:
        y, x = (
            rng.integers(-side // 8, max(rows - side + side // 8, 1)),
            rng.integers(-side // 8, max(columns - side + side // 8, 1)),
        )
    return int(y), int(x)


def _cut(array: NDArray[Any], row: int, column: int, side: int) -> NDArray[Any]:
    """A square of ``array``, zero outside it."""
    piece = np.zeros((side, side, *array.shape[2:]), array.dtype)
    r0, c0 = max(row, 0), max(column, 0)
    r1, c1 = min(row + side, array.shape[0]), min(column + side, array.shape[1])
    if r1 > r0 and c1 > c0:
        piece[r0 - row : r1 - row, c0 - column : c1 - column] = array[r0:r1, c0:c1]
    return piece


def items_of(picture: Picture, config: TrainConfig, unwrap: Unwrap, rng: Rng) -> tuple[list[Item], list[Item]]:
    """The strips and the crops that one frame gives."""
    data = config.data
    strips = [strip_item(picture, unwrap, config.circles, rng) for _ in range(data.strips_per_frame)]
    crops = [crop_item(picture, data.disk_crop_px, rng) for _ in range(data.crops_per_frame)]
    return strips, crops
