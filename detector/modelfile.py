"""Model files on disk: the digest that is promised beside them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class SmallNetwork:
    """A network of the limb finder, for one thread; its file is opened once.

    Attributes:
        path: of the .onnx file.
        command: that writes it.
        inputs, outputs: names that it must have.

    """

    path: Path
    command: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """What to do where the file cannot be used."""
        return f"install io-detector again, or write it with `io-detector {self.command}`"

    def run(self, *given: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """What it says, in the order of its outputs, to what it is given, in that of its inputs.

        Raises:
            ModelError: the file is missing, broken, or another network.

        """
        return list(self._session.run(list(self.outputs), dict(zip(self.inputs, given, strict=True))))

    def ready(self) -> str:
        """Open the file, which the first run would do else; its SHA-256.

        Raises:
            ModelError: it is missing, broken, or another network.

        """
        _ = self._session
        return checked_digest(self.path, self.remedy)

    @cached_property
    def _session(self) -> InferenceSession:
        import onnxruntime as ort

        ort.disable_telemetry_events()
        checked_digest(self.path, self.remedy)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(self.path, f"onnxruntime cannot load it: {error}", self.remedy) from error
        names = tuple(i.name for i in session.get_inputs()), tuple(o.name for o in session.get_outputs())
        if names != (self.inputs, self.outputs):
            said = f"takes and gives {names}, expected {(self.inputs, self.outputs)}"
            raise ModelError(self.path, said, self.remedy)
        return session
