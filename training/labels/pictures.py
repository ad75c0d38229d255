"""Frames as 8-bit pictures for tools that know no archive format, with the stretch that made them."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from detector.frame import Frame
from detector.quicklook import HEADROOM, SOFTENING


@dataclass(frozen=True)
class Stretch:
    """How a frame's values became grey: asinh, so that faint plumes and the bright surface both show.

    255 * asinh((value - black) / (white - black) / softening) / asinh(1 / softening), within 0 and 255; as in the
    quicklooks. Pixels that were not observed are black.

    Attributes:
        black, white: values shown as 0 and 255, in the frame's unit.
        softening: values below this share of white are shown linearly.

    """

    black: float
    white: float
    softening: float

    @classmethod
    def of(cls, frame: Frame) -> Stretch:
        """Return the stretch that shows this frame."""
        levels = frame.levels
        black = levels.sky - levels.sigma
        softening = max(SOFTENING, min(3 * levels.sigma / levels.bright, 0.5))
        return cls(float(black), float(black + HEADROOM * levels.bright), float(softening))

    def grey(self, frame: Frame) -> NDArray[np.uint8]:
        """(H, W) uint8 of a frame."""
        share = (frame.image.astype(float) - self.black) / (self.white - self.black)
        shown = np.arcsinh(np.maximum(share, 0) / self.softening) / math.asinh(1 / self.softening)
        return np.where(frame.valid, np.clip(255 * shown, 0, 255).round(), 0).astype(np.uint8)

    def as_dict(self) -> dict[str, object]:
        """Everything that is needed to undo it."""
        return {"function": "asinh", **asdict(self)}


def picture(frame: Frame, stretch: Stretch) -> bytes:
    """Return the PNG of a frame; its text says which frame it is and how it was stretched."""
    text = PngInfo()
    text.add_text("Title", frame.id)
    text.add_text("Source", f"sha256 {frame.sha256}")
    text.add_text("Description", json.dumps({"unit": frame.unit, "stretch": stretch.as_dict()}))
    stream = io.BytesIO()
    Image.fromarray(stretch.grey(frame)).save(stream, "PNG", pnginfo=text)
    return stream.getvalue()
