"""The model file, opened: a frame and its limb in, two probability planes out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from detector.card import CARD_KEY, ModelCard, Threshold
from detector.closer import sectors
from detector.errors import ModelError
from detector.frame import CLASSES, Frame
from detector.judge import JUDGE_KEY, Judge, likely
from detector.limb import Limb
from detector.modelfile import checked_digest
from detector.regions import Region
from detector.shrink import enlarged, factor_of, shrunk
from detector.terminator import possible_regions
from detector.tiles import Window, tiles_around, windows

if TYPE_CHECKING:
    import onnxruntime

RELEASED = Path(__file__).resolve().parent.parent / "models" / "io-detector.onnx"
INPUTS = ("frame", "valid", "limb", "levels")
OUTPUT = "probability"
PLUME = CLASSES.index("plume")


class Model:
    """A trained model and its card. One session may serve many frames; it holds no state between them."""

    def __init__(
        self, session: onnxruntime.InferenceSession, card: ModelCard, path: Path, sha256: str, judge: Judge
    ) -> None:
        self._session, self.card, self.path, self.sha256, self.judge = session, card, path, sha256, judge

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
        digest = checked_digest(path)
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
        return cls(session, _card_of(session, path), path, digest, _judge_of(session, path))

    def scores(self, frame: Frame, limb: Limb) -> NDArray[np.float32]:
        """Probability of plume and hot spot for every pixel.

        Where a limb is trusted the model looks at the limb's surroundings only. Without one it looks for hot spots
        everywhere, and for plumes around the limb's guess, if there is one: a plume is what rises above a limb. Levels
        are measured on the whole frame, so the answer does not depend on the windows. Very large limbs are unwrapped
        from a thinned frame (``detector.shrink``), large ones in sectors besides (``detector.closer``).

        Returns:
            (2, H, W) float32 in 0..1 in the order of ``CLASSES``; NaN where the frame is not valid or nobody looked.

        """
        (scores,) = self.scores_of([(frame, limb)])
        return scores

    def regions(
        self, frame: Frame, limb: Limb, scores: NDArray[np.float32], thresholds: Mapping[str, Threshold]
    ) -> tuple[Region, ...]:
        """Regions of both classes that reach the thresholds, each scored by the model's judge of regions.

        Args:
            frame, limb: as given to :meth:`scores`.
            scores: what it returned.
            thresholds: of one operating point, one a class.

        """
        return likely(self.judge(frame, limb, scores, possible_regions(frame, limb, scores, thresholds)), thresholds)

    def scores_of(self, sights: Sequence[tuple[Frame, Limb]], batch: int = 1) -> list[NDArray[np.float32]]:
        """Give what ``scores`` gives, for several frames; up to ``batch`` windows of one size go through together.

        A batch of one always gives the same bits. In larger ones the last bits may depend on what else is in the batch.
        """
        guessed = [(n, (frame, limb.guess)) for n, (frame, limb) in enumerate(sights) if limb.guess]
        found = self._looked([*sights, *(sight for _, sight in guessed)], batch)
        for scores, (_, limb) in zip(found, sights, strict=False):
            if not limb.trusted:
                scores[PLUME] = np.nan
        for (n, _), scores in zip(guessed, found[len(sights) :], strict=True):
            found[n][PLUME] = scores[PLUME]
        for scores, (frame, _) in zip(found, sights, strict=False):
            scores[:, ~frame.valid] = np.nan
        return found[: len(sights)]

    def _looked(self, sights: Sequence[tuple[Frame, Limb]], batch: int) -> list[NDArray[np.float32]]:
        """Both planes of each frame; large limbs unwrapped from a thinned one, and in sectors besides."""
        factors = [factor_of(*sight) for sight in sights]
        small = {n: shrunk(*sights[n], factor) for n, factor in enumerate(factors) if factor > 1}
        parts = [(n, sector) for n, sight in enumerate(sights) for sector in sectors(*sight)]
        tasks = [(*sight, _windows(*sight, factor)) for sight, factor in zip(sights, factors, strict=True)]
        tasks += [(frame, limb, windows(frame.shape, limb)) for frame, limb in small.values()]
        planes = self._planes(tasks, batch if self.batches else 1)
        for n, averaged in zip(small, planes[len(sights) :], strict=True):
            planes[n][PLUME] = enlarged(averaged[PLUME], factors[n], sights[n][0].shape)
        for n, sector in parts:
            frame, limb = sector.bent()
            (bent,) = self._planes([(frame, limb, windows(frame.shape, limb))], 1)
            sector.put_back(bent[PLUME], planes[n][PLUME])
        return planes[: len(sights)]

    def _planes(self, tasks: Sequence[tuple[Frame, Limb, Iterable[Window]]], batch: int) -> list[NDArray[np.float32]]:
        """Probabilities (2, H, W) of each frame in its windows, NaN where none looked."""
        planes = [np.full((len(CLASSES), *frame.shape), np.nan, np.float32) for frame, _, _ in tasks]
        looks = (_Look(n, frame, limb, one) for n, (frame, limb, several) in enumerate(tasks) for one in several)
        for together in _equal_sized(looks, batch):
            for look, answer in zip(together, self._answers(together), strict=True):
                counted = answer[(slice(None), *look.window.inner_in_outer)]
                planes[look.number][(slice(None), *look.window.inner)] = counted
        return planes

    @property
    def batches(self) -> bool:
        """Whether the graph takes more than one window at a time."""
        return not isinstance(self._session.get_inputs()[0].shape[0], int)

    def _answers(self, looks: Sequence[_Look]) -> NDArray[np.float32]:
        """(n, 2, h, w) probabilities of windows of one size."""
        inputs = (np.stack(arrays) for arrays in zip(*(look.arrays() for look in looks), strict=True))
        (answers,) = self._session.run([OUTPUT], dict(zip(INPUTS, inputs, strict=True)))
        return answers


@dataclass(frozen=True)
class _Look:
    """One window of one frame; ``number`` is the frame's among its fellows."""

    number: int
    frame: Frame
    limb: Limb
    window: Window

    def arrays(self) -> tuple[NDArray[np.float32], ...]:
        """Give the model's inputs in the order of INPUTS, without the batch's axis."""
        circle = self.limb.as_array()
        if self.limb.trusted:
            circle[:2] -= (self.window.x0, self.window.y0)
        image, valid = self.frame.image[self.window.outer], self.frame.valid[self.window.outer]
        return image[None], valid[None].astype(np.float32), circle, self.frame.levels.as_array()


def _windows(frame: Frame, limb: Limb, factor: int) -> Iterator[Window]:
    """Where the model looks at a frame; in tiles where its limb is unwrapped from an averaged one."""
    return windows(frame.shape, limb) if factor == 1 else tiles_around(frame.shape, limb)


def _equal_sized(looks: Iterable[_Look], batch: int) -> Iterator[list[_Look]]:
    """Looks through windows of one size together, ``batch`` at most, each as soon as it is full."""
    waiting: dict[tuple[int, int], list[_Look]] = {}
    for look in looks:
        window = look.window
        size = window.y1 - window.y0, window.x1 - window.x0
        together = waiting.setdefault(size, [])
        together.append(look)
        if len(together) == batch:
            yield waiting.pop(size)
    yield from waiting.values()


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


def _judge_of(session: onnxruntime.InferenceSession, path: Path) -> Judge:
    """The judge of regions that the file carries; one that changes nothing where it carries none."""
    text = session.get_modelmeta().custom_metadata_map.get(JUDGE_KEY)
    return Judge() if text is None else Judge.read(text, path)
