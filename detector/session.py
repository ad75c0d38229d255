"""The model file, opened: a frame and its limb in, two probability planes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from detector.card import CARD_KEY, ModelCard
from detector.errors import ModelError
from detector.frame import CLASSES, Frame, sha256_of
from detector.levels import measure_levels
from detector.limb import Limb
from detector.tiles import Window, windows

if TYPE_CHECKING:
    import onnxruntime

RELEASED = Path(__file__).resolve().parent.parent / "models" / "io-detector.onnx"
INPUTS = ("frame", "valid", "limb", "levels")
OUTPUT = "probability"


class Model:
    """A trained model and its card. One session may serve many frames; it holds no state between them."""

    def __init__(self, session: onnxruntime.InferenceSession, card: ModelCard, path: Path, sha256: str) -> None:
        self._session, self.card, self.path, self.sha256 = session, card, path, sha256

    @property
    def name(self) -> str:
        """``name@version`` as written into catalogues."""
        return f"{self.card.name}@{self.card.version}"

    @classmethod
    def open(cls, path: Path | None = None, device: str = "auto", threads: int | None = None) -> Model:
        """Open a model file.

        Args:
            path: the .onnx file; None opens the released model.
            device: ``cpu``, ``cuda``, or ``auto`` (cuda where onnxruntime has it, else cpu).
            threads: threads of one inference; None leaves it to onnxruntime.

        Raises:
            ModelError: the file is missing, differs from the ``.sha256`` beside it, cannot be loaded, carries no card
                or takes other inputs; or the device is not there.

        """
        import onnxruntime as ort

        ort.disable_telemetry_events()  # what is looked at stays here
        path = RELEASED if path is None else path
        digest = _checked_digest(path)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = ort.InferenceSession(
                str(path), options, providers=_providers(device, ort.get_available_providers())
            )
        except Exception as error:
            raise ModelError(
                path, f"onnxruntime cannot load it: {error}", "use a released model or export it again"
            ) from error
        return cls(session, _card_of(session, path), path, digest)

    def scores(self, frame: Frame, limb: Limb) -> NDArray[np.float32]:
        """Probability of plume and hot spot for every pixel.

        Where a limb is trusted the model looks at the limb's surroundings only. Without one it looks everywhere, but
        for hot spots only: a plume is what rises above a limb. Levels are measured on the whole frame, so the answer
        does not depend on the windows.

        Returns:
            (2, H, W) float32 in 0..1 in the order of ``CLASSES``; NaN where the frame is not valid or nobody looked.

        """
        levels = measure_levels(frame.image, frame.valid).as_array()
        scores = np.full((len(CLASSES), *frame.shape), np.nan, np.float32)
        for window in windows(frame.shape, limb):
            scores[(slice(None), *window.inner)] = self._look(frame, limb, levels, window)
        if not limb.trusted:
            scores[CLASSES.index("plume")] = np.nan
        scores[:, ~frame.valid] = np.nan
        return scores

    def _look(self, frame: Frame, limb: Limb, levels: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        circle = limb.as_array()
        if limb.trusted:
            circle[:2] -= (window.x0, window.y0)
        outputs = self._session.run(
            [OUTPUT],
            {
                "frame": frame.image[window.outer][None, None],
                "valid": frame.valid[window.outer][None, None].astype(np.float32),
                "limb": circle[None],
                "levels": levels[None],
            },
        )
        return outputs[0][0][(slice(None), *window.inner_in_outer)]


def _checked_digest(path: Path) -> str:
    if not path.is_file():
        raise ModelError(path, "no such model file", "name one with --model, or export one with `io-detector export`")
    digest = sha256_of(path)
    beside = path.with_suffix(".sha256")
    promised = beside.read_text(errors="replace").split()[:1] if beside.is_file() else [digest]
    if promised != [digest]:
        said = promised[0] if promised else "nothing: it is empty"
        raise ModelError(path, f"its sha256 is {digest}, {beside.name} promises {said}", "fetch or export it again")
    return digest


def _providers(device: str, available: list[str]) -> list[str]:
    if device not in ("auto", "cpu", "cuda"):
        raise ModelError("device", f"{device!r} is not auto, cpu or cuda")
    has_cuda = "CUDAExecutionProvider" in available
    if device == "cuda" and not has_cuda:
        raise ModelError(
            "device",
            f"onnxruntime has no CUDA provider here (it has {', '.join(available)})",
            "install onnxruntime-gpu, or use --device cpu",
        )
    return (
        ["CUDAExecutionProvider", "CPUExecutionProvider"] if has_cuda and device != "cpu" else ["CPUExecutionProvider"]
    )


def _card_of(session: onnxruntime.InferenceSession, path: Path) -> ModelCard:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ModelError(
            path, f"carries no {CARD_KEY!r} in its metadata", "only files written by `io-detector export` can be used"
        )
    try:
        card = ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(path, f"its card is not valid: {error}") from error
    names = tuple(i.name for i in session.get_inputs())
    if names != INPUTS or card.classes != CLASSES:
        raise ModelError(path, f"takes {names} and gives {card.classes}, expected {INPUTS} and {CLASSES}")
    return card
