"""Label files written by hand to the specification of each format, and the frame that they speak of."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from PIL import Image

SHAPE = (24, 32)
ROWS, COLUMNS = SHAPE


def area(rows: slice, columns: slice) -> np.ndarray:
    plane = np.zeros(SHAPE, bool)
    plane[rows, columns] = True
    return plane


PLUME = area(slice(3, 7), slice(2, 6))
"""Columns 2 to 5 of rows 3 to 6: the outline 2,3 6,3 6,7 2,7 with the first pixel covering 0..1."""
SPOT = area(slice(10, 12), slice(20, 23))


def write_frame(path: Path, seed: int = 0, shape: tuple[int, int] = SHAPE, **header: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cards = fits.Header(header)
    fits.writeto(path, np.random.default_rng(seed).normal(10, 1, shape).astype(np.float32), cards, overwrite=True)
    return path


def save(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def cvat() -> dict:
    """As CVAT's "COCO 1.0" export writes it: ids from 1, a polygon, and the brush as counts of ``iscrowd`` 1."""
    first = 20 * ROWS + 10  # column 20, row 10
    counts = [first, 2, ROWS - 2, 2, ROWS - 2, 2]
    counts.append(ROWS * COLUMNS - sum(counts))
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [
            {"id": 1, "name": "Plume", "supercategory": ""},
            {"id": 2, "name": "Hot spot", "supercategory": ""},
        ],
        "images": [
            {
                "id": 1, "width": COLUMNS, "height": ROWS, "file_name": "f1.png", "license": 0, "flickr_url": "",
                "coco_url": "", "date_captured": 0,
            },
        ],
        "annotations": [
            {
                "id": 1, "image_id": 1, "category_id": 1, "area": 16.0, "bbox": [2.0, 3.0, 4.0, 4.0], "iscrowd": 0,
                "segmentation": [[2.0, 3.0, 6.0, 3.0, 6.0, 7.0, 2.0, 7.0]], "attributes": {"occluded": False},
            },
            {
                "id": 2, "image_id": 1, "category_id": 2, "area": 6, "bbox": [20.0, 10.0, 2.0, 1.0], "iscrowd": 1,
                "segmentation": {"counts": counts, "size": [ROWS, COLUMNS]}, "attributes": {"occluded": False},
            },
        ],
    }  # fmt: skip


def label_studio() -> dict:
    """As Label Studio's COCO export writes it: ids from 0 in the order of names, an upload prefix, outlines only."""
    return {
        "images": [{"width": COLUMNS, "height": ROWS, "id": 0, "file_name": "images/8a7b-f1.png"}],
        "categories": [{"id": 0, "name": "HotSpot"}, {"id": 1, "name": "plume"}],
        "annotations": [
            {
                "id": 0, "image_id": 0, "category_id": 1, "segmentation": [[2.0, 3.0, 6.0, 3.0, 6.0, 7.0, 2.0, 7.0]],
                "bbox": [2.0, 3.0, 4.0, 4.0], "ignore": 0, "iscrowd": 0, "area": 16.0,
            },
            {
                "id": 1, "image_id": 0, "category_id": 0, "segmentation": [[20, 10, 23, 10, 23, 12, 20, 12]],
                "bbox": [20, 10, 3, 2], "ignore": 0, "iscrowd": 0, "area": 6,
            },
        ],
        "info": {"year": 2026, "version": "1.0", "contributor": "Label Studio"},
    }  # fmt: skip


def png_in_base64(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * 255).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def labelme() -> dict:
    """As LabelMe writes it: an outline, and the brush as a mask in its box."""
    shape = {"group_id": None, "description": "", "flags": {}}
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            shape | {
                "label": "plume", "points": [[2, 3], [6, 3], [6, 7], [2, 7]], "shape_type": "polygon", "mask": None,
            },
            shape | {
                "label": "hotspot", "points": [[20, 10], [22, 11]], "shape_type": "mask",
                "mask": png_in_base64(np.ones((2, 3), bool)),
            },
        ],
        "imagePath": "..\\frames\\f1.png",
        "imageData": None,
        "imageHeight": ROWS,
        "imageWidth": COLUMNS,
    }  # fmt: skip


def index() -> np.ndarray:
    return (PLUME * 1 + SPOT * 2).astype(np.uint8)


LIMB = (15.5, 40.0, 30.0)
"""A circle whose upper part is on the frame: x, y, radius."""


def limb_yaml(turns: tuple[float, ...] = (-0.4, -0.2, 0.0, 0.15, 0.35), intervals: str = "[[6.1, 0.2]]") -> str:
    x, y, radius = LIMB
    points = "\n".join(f"- [{x + radius * np.sin(turn)}, {y - radius * np.cos(turn)}]" for turn in turns)
    return f"plumes:\n  intervals: {intervals}\npoints:\n{points}\nuser: example\n"
