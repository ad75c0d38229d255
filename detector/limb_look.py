"""What the limb network sees around a circle: whether Io's limb is there, and the circle through it with its error.

The network says of every azimuth how far the limb is off the circle and what that is worth; through these a circle is
laid, with what else is known: the radius and the ellipsoid's outline that the view tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.circle import Circle
from detector.errors import ModelError
from detector.expected import expected_at
from detector.frame import Frame
from detector.limb_edges import Picture
from detector.limb_strip import INPUTS, OUTPUTS, LimbStrip, coarse_reach_px, fine_reach_px, strip_of
from detector.modelfile import checked_digest

if TYPE_CHECKING:
    import onnxruntime

Array = NDArray[np.float64]

RELEASED = Path(__file__).resolve().parent.parent / "models" / "io-detector-limb.onnx"
LOOSE = 1e-2
"""Weight with which a circle stays where it is, per reach squared: keeps short arcs from running away."""
FIGURE_SHARE, KNOWN = 0.002, 1e-4
"""1-sigma of the ellipsoid's longer axis where its orientation is not known, of the radius; where it is, in reaches."""
SAME_SHARE, SAME_PX = 0.1, 2.0
"""A radius that the view tells holds circles that come as near to it."""
AGAIN = 0.2
"""A first look that moves a circle by more than this share of its reach is repeated."""
SURE, RESTED, CLOSE_LOOKS = 0.5, 0.3, 2
"""Close looks need a circle that is known to the first share of their reach, and end when it moves by less than the
second, or after so many."""


@dataclass(frozen=True)
class Look:
    """What was seen around a circle.

    Attributes:
        circle: the circle moved to the limb, px of the picture.
        covariance: (3, 3) of x, y, r, px².
        limb: logarithm of the odds that Io's limb is there.
        arc_deg: how much of the limb stands out from the sky, 0..360.
        figured: whether the ellipsoid's outline was known.
        moved: how far the circle was off, in reaches of the look.

    """

    circle: Circle
    covariance: Array
    limb: float
    arc_deg: float
    figured: bool
    moved: float

    @property
    def sigma_px(self) -> float:
        """1-sigma of the centre along its worse axis."""
        return math.sqrt(max(float(np.linalg.eigvalsh(self.covariance[:2, :2])[-1]), 0.0))


def first_look(picture: Picture, frame: Frame, circle: Circle) -> Look | None:
    """Look at what is around a circle that may be up to a tenth of its radius off; None where nothing is seen of it.

    Args:
        picture: of the frame, binned or not.
        frame: for what its view tells.
        circle: in pixels of the picture.

    """
    look = _look(picture, frame, circle, coarse_reach_px(circle.r))
    if look and look.moved > AGAIN:
        return _look(picture, frame, look.circle, coarse_reach_px(look.circle.r)) or look
    return look


def last_look(picture: Picture, frame: Frame, first: Look) -> Look:
    """Look closely at a circle that a first look has found; what that said of the limb as a whole stands."""
    look = first
    for _ in range(CLOSE_LOOKS):
        reach = fine_reach_px(look.circle.r)
        closer = _look(picture, frame, look.circle, reach) if look.sigma_px <= SURE * reach else None
        if closer is None:
            break
        look = replace(closer, limb=first.limb, arc_deg=first.arc_deg)
        if look.moved < RESTED:
            break
    return look


def _look(picture: Picture, frame: Frame, circle: Circle, reach_px: float) -> Look | None:
    strip = strip_of(picture, circle, reach_px, full_scale(picture, frame))
    if strip is None:
        return None
    given = dict(zip(INPUTS, (strip.near[None], strip.wide[None], strip.facts[None]), strict=True))
    offset, weight, stands_out, limb = (said[0] for said in _session().run(list(OUTPUTS), given))
    step, covariance, figured = _laid(picture, frame, circle, strip, (offset.astype(float), weight.astype(float)))
    x, y, r = (float(side) for side in reach_px * step)
    moved = Circle(circle.x + x, circle.y + y, max(circle.r + r, 0.5 * circle.r))
    arc = float(stands_out.sum()) * math.degrees(strip.column_rad)
    return Look(moved, covariance * reach_px**2, float(limb), arc, figured, float(np.abs(step).max()))


def _laid(
    picture: Picture, frame: Frame, circle: Circle, strip: LimbStrip, said: tuple[Array, Array]
) -> tuple[Array, Array, bool]:
    """Step of (x, y, r) to a circle through what the network said, its covariance, in reaches; whether figured."""
    offset, weight = said
    azimuth, reach = strip.azimuth_rad, strip.reach_px
    expected = expected_at(frame, circle.unbinned(picture.factor))
    away = offset - expected.departure((azimuth + math.pi) % (2 * math.pi) - math.pi) / (picture.factor * reach)
    figure = KNOWN if expected.oriented else FIGURE_SHARE * circle.r / reach
    larger, certain = expected.radius_px / picture.factor - circle.r, math.inf
    if abs(larger) < SAME_SHARE * circle.r + SAME_PX:
        certain = expected.radius_sigma_px / picture.factor
    radius = (larger / reach, certain / reach) if math.isfinite(certain) else (0.0, math.inf)
    return *laid_through(away, weight, azimuth, figure, radius), expected.oriented


def laid_through(
    offset: Array, weight: Array, azimuth: Array, figure: float, radius: tuple[float, float] = (0.0, math.inf)
) -> tuple[Array, Array]:
    """Lay a circle through offsets from another one; all lengths in one unit.

    Args:
        offset: (n,) outwards.
        weight: (n,) inverse variances.
        azimuth: (n,) radians.
        figure: 1-sigma of the second harmonic, which is solved for too.
        radius: how much larger the circle is known to be, and 1-sigma of that; inf where it is not known.

    Returns:
        (3,) step of x, y, r and (3, 3) its covariance.

    """
    harmonics = [np.cos(azimuth), np.sin(azimuth), np.ones_like(azimuth), np.cos(2 * azimuth), np.sin(2 * azimuth)]
    design = np.stack(harmonics, axis=-1)
    weighed = design * weight[:, None]
    held, pull = np.array([LOOSE] * 3 + [figure**-2] * 2), weighed.T @ offset
    held[2] += radius[1] ** -2
    pull[2] += radius[1] ** -2 * radius[0]
    covariance: Array = np.linalg.inv(design.T @ weighed + np.diag(held)).astype(float)
    return (covariance @ pull)[:3], covariance[:3, :3]


def full_scale(picture: Picture, frame: Frame) -> float:
    """The level at which pixels are overexposed, in the picture's sigmas: the brightest one's where it is not told."""
    if not math.isfinite(frame.saturation):
        return picture.brightest
    return min(picture.brightest, (frame.saturation - picture.sky) / picture.sigma)


def ready() -> None:
    """Open the limb network, which the first look would do else.

    Raises:
        ModelError: its file is missing or broken.

    """
    _session()


@lru_cache(maxsize=1)
def _session() -> onnxruntime.InferenceSession:
    """The released limb network; one thread, for it is small."""
    import onnxruntime as ort

    ort.disable_telemetry_events()
    checked_digest(RELEASED)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(str(RELEASED), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(RELEASED, f"onnxruntime cannot load it: {error}", "fetch it again") from error
