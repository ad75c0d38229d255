"""Model files on disk: the digest that is promised beside them."""

from __future__ import annotations

from pathlib import Path

from detector.errors import ModelError
from detector.frame import sha256_of

EXPORT = "name one with --model, or export one with `io-detector export`"


def checked_digest(path: Path, remedy: str = EXPORT) -> str:
    """SHA-256 of a model file, hex.

    Raises:
        ModelError: it is missing, or differs from what the ``.sha256`` beside it promises, if there is one.

    """
    if not path.is_file():
        raise ModelError(path, "no such model file", remedy)
    digest = sha256_of(path)
    beside = path.with_suffix(".sha256")
    promised = beside.read_text(errors="replace").split()[:1] if beside.is_file() else [digest]
    if promised != [digest]:
        said = promised[0] if promised else "nothing: it is empty"
        raise ModelError(path, f"its sha256 is {digest}, {beside.name} promises {said}", "fetch or export it again")
    return digest
