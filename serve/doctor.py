"""What is installed, which model is used, where it runs."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from detector.errors import ModelError
from serve.batch import software_version

NEEDED = ("numpy", "scipy", "onnxruntime", "astropy", "rasterio", "pdr", "pydantic", "matplotlib", "typer", "rich")
OPTIONAL = {"spiceypy": "spice", "torch": "train", "fastapi": "serve"}
"""Packages that stand for an extra."""


def examine(model: Path | None = None) -> dict[str, dict[str, Any]]:
    """Return findings by part: ``io-detector``, ``packages``, ``extras``, ``runtime``, ``model``."""
    import onnxruntime

    return {
        "io-detector": {"version": software_version()},
        "system": {"python": platform.python_version(), "platform": platform.platform()},
        "packages": {name: _version(name) for name in NEEDED},
        "extras": {extra: f"{name} {_version(name)}" for name, extra in OPTIONAL.items()},
        "runtime": {"providers": ", ".join(onnxruntime.get_available_providers())},
        "model": _model(model),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _model(path: Path | None) -> dict[str, Any]:
    from detector.limb import networks
    from detector.session import Model

    try:
        model, limb = Model.open(path), networks()
    except ModelError as error:
        return {"usable": False, "problem": str(error)}
    points = ", ".join(sorted(model.card.operating_points))
    own = {"name": model.name, "file": str(model.path), "sha256": model.sha256, "points": points}
    return {"usable": True, **own, **{f"{name} sha256": digest for name, digest in limb.items()}}
