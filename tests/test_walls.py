"""The rooms keep to themselves: who only runs the detector needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "torchvision", "lightning", "pytorch_lightning", "albumentations", "cv2", "sklearn"}
FORBIDDEN = {
    "detector": HEAVY | {"models", "training", "serve"},
    "serve": HEAVY | {"models", "training"},
    "models": {"lightning", "pytorch_lightning", "albumentations", "training", "serve"},
    "training": {"serve"},
}


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    breaches = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for name, line in imports(path)
        if name.split(".")[0] in FORBIDDEN[room]
    ]
    assert files
    assert breaches == []


def test_the_only_module_of_albumentations_is_augment() -> None:
    users = [
        p.name for p in (ROOT / "training").rglob("*.py") if any(n.startswith("albumentations") for n, _ in imports(p))
    ]
    assert users == ["augment.py"]


def test_networks_live_in_models() -> None:
    definers = {
        path.parent.name
        for room in FORBIDDEN
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base) in ("nn.Module", "torch.nn.Module") for base in node.bases)
    }
    assert definers == {"models"}


@pytest.mark.parametrize("module", ["detector", "serve.cli"])
def test_running_the_detector_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
