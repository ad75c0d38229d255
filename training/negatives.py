"""Strips and crops of real frames on which nothing erupts: what false alarms are made of, shown as such.

The frames are read like any other. Circles are the limb that is found, jittered, and wrong ones; everything on them is
background. Frames listed here are spoilt for judging: keep others aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.limb import find_limb
from detector.readers import read_frames
from models.network import Unwrap
from training.config import TrainConfig
from training.items import Item, Picture, crop_item, strip_item

LARGEST_PX = 1700
"""Larger pictures are shown a square of this side."""


def negatives(files: Sequence[Path], config: TrainConfig, each: int, seed: int) -> dict[str, list[Item]]:
    """Items of both branches, ``each`` of every frame of the files."""
    unwrap = Unwrap(config.network)
    items: dict[str, list[Item]] = {"limb": [], "disk": []}
    for file in files:
        for picture in pictures(file):
            unsure = replace(picture, planes=picture.planes.copy())
            unsure.planes[..., 3] = 1  # whether a plume shows before the disk is not known
            rng = np.random.default_rng([seed, len(items["limb"])])
            circles = config.circles.model_copy(update={"wrong": 0.5})
            items["limb"] += [strip_item(picture, unwrap, circles, rng) for _ in range(each)]
            items["disk"] += [crop_item(unsure, config.data.disk_crop_px, rng) for _ in range(each)]
    return items


def pictures(file: Path) -> list[Picture]:
    """The frames of a product without truth."""
    found = []
    for frame in read_frames(file):
        image, valid = frame.image[:LARGEST_PX, :LARGEST_PX], frame.valid[:LARGEST_PX, :LARGEST_PX]
        limb = find_limb(frame)
        planes = np.zeros((*image.shape, 5), np.uint8)
        planes[..., 0] = valid
        found.append(Picture(image.astype(np.float32), planes, limb.as_array()))
    return found
