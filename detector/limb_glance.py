"""A glance at a whole picture: where circles of Io's limb may lie.

For every cell of a thumbnail the glance network says which circle is Io's limb if the limb passes there, and what that
is worth. The circles on which the worthiest cells agree are worth a look (``limb_look``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.circle import Circle, distinct
from detector.limb_picture import Picture
from detector.limb_thumb import Thumbnail, bright_windows, whole_of, window_of
from detector.modelfile import SmallNetwork

Array = NDArray[np.float64]

RELEASED = Path(__file__).resolve().parent.parent / "models" / "io-detector-glance.onnx"
INPUTS, OUTPUTS = ("view", "facts"), ("worth", "circle")
"""Of the network."""
NETWORK = SmallNetwork(RELEASED, "train-glance", INPUTS, OUTPUTS)
EACH, MOST = 4, 6
"""Circles of a thumbnail, and of a picture."""
LEAST_WORTH = 0.02
"""Probability of being worth a look, below which none is taken."""
ALIKE_SHARE, ALIKE_PX = 0.1, 1.0
"""Circles are one where centre and radius together differ by no more than this share of the radius, or so many px of
the thumbnail."""
VOICE = 0.3
"""Cells agree on a circle that are worth this share of the worthiest one."""


def glance(picture: Picture, told_px: float, least_worth: float = LEAST_WORTH) -> list[Circle]:
    """Circles that are worth a look, px of the picture, the worthiest first.

    Args:
        picture: of the frame.
        told_px: the radius that the view tells, px of the picture; NaN or 0 where it tells none.
        least_worth: probability of being worth it that a circle needs.

    Raises:
        ModelError: the network's file is missing or broken.

    """
    whole = whole_of(picture)
    shown = [whole, *(window_of(picture, window) for window in bright_windows(picture, whole))]
    seen = [
        (worth, thumb.outside(circle)) for thumb in shown for worth, circle in circles_on(thumb, told_px, least_worth)
    ]
    return distinct((circle for _, circle in sorted(seen, key=lambda one: -one[0])), ALIKE_SHARE / 2)[:MOST]


def circles_on(thumb: Thumbnail, told_px: float, least_worth: float) -> list[tuple[float, Circle]]:
    """What circles of a thumbnail, in its pixels, are worth a look, and how likely they are it, best first."""
    told = told_px / thumb.scale if told_px > 0 else 0.0
    facts = np.array([[thumb.full, thumb.soft, told]], np.float32)
    worth, circle = NETWORK.run(thumb.view[None], facts)
    likely = 1 / (1 + np.exp(-worth[0].astype(float).ravel()))
    return agreed(likely, circle[0].reshape(3, -1).T.astype(float), least_worth)


def agreed(worth: Array, circles: Array, least: float) -> list[tuple[float, Circle]]:
    """Circles (n, 3) on which cells agree, worth (n,) 0..1: the mean of those like the worthiest, then of the rest."""
    left = np.flatnonzero(worth > least)
    found: list[tuple[float, Circle]] = []
    while len(left) and len(found) < EACH:
        top = left[worth[left].argmax()]
        apart = np.hypot(*(circles[left, :2] - circles[top, :2]).T) + np.abs(circles[left, 2] - circles[top, 2])
        alike = apart <= max(ALIKE_SHARE * circles[top, 2], ALIKE_PX)
        voices = left[alike & (worth[left] >= VOICE * worth[top])]
        mean = np.average(circles[voices], axis=0, weights=worth[voices])
        found.append((float(worth[top]), Circle(*map(float, mean))))
        left = left[~alike]
    return found
