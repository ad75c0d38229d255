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
REMEDY = "install io-detector again, or write it with `io-detector train-limb`"
LOOSE = 1e-2
"""Weight with which a circle stays where it is, per reach squared: keeps short arcs from running away."""
FIGURE_SHARE, KNOWN = 0.002, 1e-4
"""1-sigma of the ellipsoid's longer axis where its orientation is not known, of the radius; where it is, in reaches."""
EXPECTED_SHARE, EXPECTED_PX = 0.04, 1.5
"""A circle whose own radius is no further from the one that the view tells is the one that it tells of."""
HELD_SIGMA, HELD_PX = 3.0, 1.0
"""The view's radius holds such a circle where they differ by no more, in their common 1-sigma or in px."""
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
        expected: whether the circle has the radius that the view tells, by the picture alone.
        moved: how far the circle was off, in reaches of the look.

    """

    circle: Circle
    covariance: Array
    limb: float
    arc_deg: float
    figured: bool
    expected: bool
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
    offset, weight, stands_out, limb = (said[0].astype(float) for said in _session().run(list(OUTPUTS), given))
    laid = _laid(picture, frame, circle, strip, (offset, weight))
    x, y, r = (float(side) for side in reach_px * laid.step)
    moved = Circle(circle.x + x, circle.y + y, max(circle.r + r, 0.5 * circle.r))
    arc_deg = float(stands_out.sum()) * math.degrees(strip.column_rad)
    off = float(np.abs(laid.step).max())
    return Look(moved, laid.covariance * reach_px**2, float(limb), arc_deg, laid.figured, laid.expected, off)


@dataclass(frozen=True)
class _Laid:
    """Step of (x, y, r) to a circle through what the network said and its covariance, in reaches; see ``Look``."""

    step: Array
    covariance: Array
    figured: bool
    expected: bool


def _laid(picture: Picture, frame: Frame, circle: Circle, strip: LimbStrip, said: tuple[Array, Array]) -> _Laid:
    """Lay a circle by the picture alone, and once more with the radius that the view tells, if they agree."""
    offset, weight = said
    azimuth, reach = strip.azimuth_rad, strip.reach_px
    expected = expected_at(frame, circle.unbinned(picture.factor))
    away = offset - expected.departure((azimuth + math.pi) % (2 * math.pi) - math.pi) / (picture.factor * reach)
    figure = KNOWN if expected.oriented else FIGURE_SHARE * circle.r / reach
    step, covariance = laid_through(away, weight, azimuth, figure)
    larger = (expected.radius_px / picture.factor - circle.r) / reach
    sigma = expected.radius_sigma_px / picture.factor / reach
    apart = abs(larger - step[2])
    is_expected = bool(reach * apart < max(EXPECTED_PX, EXPECTED_SHARE * circle.r))
    if is_expected and apart < max(HELD_SIGMA * math.hypot(sigma, math.sqrt(covariance[2, 2])), HELD_PX / reach):
        step, covariance = laid_through(away, weight, azimuth, figure, (larger, sigma))
    return _Laid(step, covariance, expected.oriented, is_expected)


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
    return np.asarray((covariance @ pull)[:3]), covariance[:3, :3]


def full_scale(picture: Picture, frame: Frame) -> float:
    """The level at which pixels are overexposed, in the picture's sigmas: the brightest one's where it is not told."""
    if not math.isfinite(frame.saturation):
        return picture.brightest
    return min(picture.brightest, (frame.saturation - picture.sky) / picture.sigma)


def ready() -> str:
    """Open the limb network, which the first look would do else; its file's SHA-256.

    Raises:
        ModelError: the file is missing or broken.

    """
    _session()
    return checked_digest(RELEASED, REMEDY)


@lru_cache(maxsize=1)
def _session() -> onnxruntime.InferenceSession:
    """The released limb network; one thread, for it is small."""
    import onnxruntime as ort

    ort.disable_telemetry_events()
    checked_digest(RELEASED, REMEDY)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(RELEASED), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(RELEASED, f"onnxruntime cannot load it: {error}", REMEDY) from error
    names = tuple(i.name for i in session.get_inputs()), tuple(o.name for o in session.get_outputs())
    if names != (INPUTS, OUTPUTS):
        raise ModelError(RELEASED, f"takes and gives {names}, expected {(INPUTS, OUTPUTS)}", REMEDY)
    return session
