"""Model files on disk: the digest that is promised beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detector.errors import ModelError
from detector.frame import sha256_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

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


def opened(path: Path, remedy: str, inputs: Sequence[str], outputs: Sequence[str]) -> InferenceSession:
    """Open a small network for one thread.

    Args:
        path: of the .onnx file.
        remedy: what to do where it cannot be used.
        inputs, outputs: names that it must have.

    Raises:
        ModelError: it is missing, broken, or another network.

    """
    import onnxruntime as ort

    ort.disable_telemetry_events()
    checked_digest(path, remedy)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(path, f"onnxruntime cannot load it: {error}", remedy) from error
    names = tuple(i.name for i in session.get_inputs()), tuple(o.name for o in session.get_outputs())
    if names != (tuple(inputs), tuple(outputs)):
        raise ModelError(path, f"takes and gives {names}, expected {(tuple(inputs), tuple(outputs))}", remedy)
    return session
