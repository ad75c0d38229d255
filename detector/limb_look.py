"""What the limb network sees around a circle: whether Io's limb is there, and the circle through it with its error.

The network says of every azimuth how far the limb is off the circle and what that is worth; through these a circle is
laid, with what else is known: the radius and the ellipsoid's outline that the view tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.circle import Circle, distinct
from detector.expected import expected_at
from detector.frame import Frame
from detector.limb_picture import Picture
from detector.limb_strip import INPUTS, OUTPUTS, LimbStrip, coarse_reach_px, fine_reach_px, rough_reach_px, strip_of
from detector.modelfile import SmallNetwork

Array = NDArray[np.float64]

RELEASED = Path(__file__).resolve().parent.parent / "models" / "io-detector-limb.onnx"
NETWORK = SmallNetwork(RELEASED, "train-limb", INPUTS, OUTPUTS)
LOOSE = 1e-2
"""Weight with which a circle stays where it is, per reach squared: keeps short arcs from running away."""
FIGURE_SHARE, KNOWN = 0.002, 1e-4
"""1-sigma of the ellipsoid's longer axis where its orientation is not known, of the radius; where it is, in reaches."""
EXPECTED_SHARE, EXPECTED_PX = 0.04, 1.5
"""A circle whose own radius is no further from the one that the view tells is the one that it tells of."""
HELD_SIGMA, HELD_PX = 3.0, 1.0
"""The view's radius holds such a circle where they differ by no more, in their common 1-sigma or in px."""
HOPELESS = -5.0
"""Logarithm of the odds after a rough look."""
ALIKE_SHARE = 0.03
"""Circles that differ by less, in their radii, are looked at once."""
FAR, AGAIN = 0.2, 2
"""A first look that moves a circle by more than this share of its reach is repeated, so many times at most."""
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

    def seen_on(self, factor: int, other: int) -> Look:
        """What was seen on a picture that was binned ``factor`` x ``factor``, in pixels of another of the frame."""
        circle = self.circle.unbinned(factor).binned(other)
        return replace(self, circle=circle, covariance=self.covariance * (factor / other) ** 2)

    @property
    def sigma_px(self) -> float:
        """1-sigma of the centre along its worse axis."""
        return math.sqrt(max(float(np.linalg.eigvalsh(self.covariance[:2, :2])[-1]), 0.0))


def first_looks(picture: Picture, frame: Frame, circles: Sequence[Circle]) -> list[Look]:
    """Look at what is around circles that may be up to a third of their radius off; nothing is seen of some.

    A rough look, which sees far, moves them first; what is hopeless then is left out.

    Args:
        picture: of the frame, binned or not.
        frame: for what its view tells.
        circles: in pixels of the picture.

    """
    rough = _looks(picture, frame, [(circle, rough_reach_px(circle.r)) for circle in circles])
    moved = distinct((look.circle for look in rough if look.limb > HOPELESS), ALIKE_SHARE)
    found = _looks(picture, frame, [(circle, coarse_reach_px(circle.r)) for circle in moved])
    for _ in range(AGAIN):
        far = [look for look in found if look.moved > FAR]
        if not far:
            break
        circles = distinct((look.circle for look in far), ALIKE_SHARE)
        found = [look for look in found if look.moved <= FAR]
        found += _looks(picture, frame, [(circle, coarse_reach_px(circle.r)) for circle in circles])
    return found


def last_look(picture: Picture, frame: Frame, first: Look) -> Look:
    """Look closely at a circle that a first look has found; what that said of the limb as a whole stands."""
    look = first
    for _ in range(CLOSE_LOOKS):
        reach = fine_reach_px(look.circle.r)
        closer = _looks(picture, frame, [(look.circle, reach)]) if look.sigma_px <= SURE * reach else []
        if not closer:
            break
        look = replace(closer[0], limb=first.limb, arc_deg=first.arc_deg)
        if look.moved < RESTED:
            break
    return look


def _looks(picture: Picture, frame: Frame, places: Sequence[tuple[Circle, float]]) -> list[Look]:
    """Look at circles, each as far as its reach, px; what shows nothing is left out."""
    full = full_scale(picture, frame)
    strips = [(circle, strip_of(picture, circle, reach_px, full)) for circle, reach_px in places]
    seen = [(circle, strip) for circle, strip in strips if strip is not None]
    if not seen:
        return []
    given = [np.stack([getattr(strip, name) for _, strip in seen]) for name in INPUTS]
    offset, weight, stands_out, limb = (said.astype(float) for said in NETWORK.run(*given))
    found = []
    for k, (circle, strip) in enumerate(seen):
        laid = _laid(picture, frame, circle, strip, (offset[k], weight[k]))
        x, y, r = (float(side) for side in strip.reach_px * laid.step)
        moved = Circle(circle.x + x, circle.y + y, max(circle.r + r, 0.5 * circle.r))
        arc_deg = float(stands_out[k].sum()) * math.degrees(strip.column_rad)
        covariance, off = laid.covariance * strip.reach_px**2, float(np.abs(laid.step).max())
        found.append(Look(moved, covariance, float(limb[k]), arc_deg, laid.figured, laid.expected, off))
    return found


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
