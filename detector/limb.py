"""Io's limb: a circle on the frame with its error, or the answer that there is none to trust.

picture -> a glance at all of it: circles that may be -> a look at each -> the likeliest, looked at closely.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector import limb_glance, limb_look
from detector.circle import Circle
from detector.frame import Frame
from detector.limb_glance import LEAST_WORTH, glance
from detector.limb_look import Look, first_looks, last_look
from detector.limb_picture import Picture, picture_of

SMALLEST_PX = 8.0
WORKING_PX = 1100
"""Frames of more pixels than a square of this side are binned but for the last look: so large disks taught nothing."""
GUESS, GUESS_ARC_DEG = "guess", 10.0
"""A refused circle is a guess where so much of it stands out."""
TRUSTED = 1.5
"""Logarithm of the odds from which a circle is a limb."""
AGREES, DISAGREES = 1.0, -2.0
"""What a radius that the view tells adds to that."""
COARSER, LEAST_COARSE_PX = (2, 4), 48
"""A disk too faint to be found is sought again where so many pixels squared are averaged; no picture gets smaller."""
SECOND_TRUSTED = 2.0
"""What a circle of these later searches needs: each is one more chance to be wrong."""
PLAIN, LARGER = 2.5, 1.5
"""Of disks beside each other that are so plainly limbs Io is the one so much larger than the likeliest."""
UNCERTAIN_SHARE, UNCERTAIN_PX = 0.05, 1.5
"""A circle of which so little is seen that its centre is not known to this share of the radius, or to so many pixels,
is not trusted."""
MUCH_LARGER, NEAR = (2.0, 12.0), 1.3
"""How much larger than a circle on it a disk is, and how far, in its radii, such a circle may be from its centre."""
SYSTEMATIC_SHARE = 0.001
"""1-sigma beyond that of the fit, of every radius."""
ERROR_FACTOR = {"unknown": 1.35, "sru": 1.05, "jiram": 0.9}
"""How large errors are, the network's own taken as 1, by camera; pictures that somebody toned are the worst."""


@dataclass(frozen=True)
class Limb:
    """A circle on the frame, or none.

    Attributes:
        x_px, y_px, radius_px: the circle; NaN when there is none.
        sigma_px: 1-sigma of the circle's place; NaN when there is none.
        source: ``spice``, ``label``, ``image``, ``user``, or ``none`` (no trusted limb: an answer, not an error); of a
            guess ``guess``.
        arc_deg: how much of the circle was seen as an edge, 0..360.
        reason: why there is none; empty when there is one.
        figured: whether the circle is the one closest to the whole outline of Io's ellipsoid, known from the view; else
            it is the one closest to the part that was seen.
        guess: without a trusted limb, the best circle that was refused, if it comes near to a limb: no place on Io
            rests on it, but what looks like a plume there is reported as one.

    """

    x_px: float
    y_px: float
    radius_px: float
    sigma_px: float = math.nan
    source: str = "image"
    arc_deg: float = math.nan
    reason: str = ""
    figured: bool = False
    guess: Limb | None = None

    @classmethod
    def none(cls, reason: str, guess: Limb | None = None) -> Limb:
        """No trusted limb, and why; perhaps a guess."""
        return cls(math.nan, math.nan, math.nan, source="none", arc_deg=0.0, reason=reason, guess=guess)

    @property
    def trusted(self) -> bool:
        """Whether there is a circle."""
        return self.source != "none"

    @property
    def for_plumes(self) -> Limb:
        """Where plumes are looked for: at the limb, else at the guess, else nowhere."""
        return self.guess or self

    def as_array(self) -> NDArray[np.float32]:
        """(3,) float32 x, y, radius in pixels: the form the model takes; radius 0 where there is no limb."""
        if not self.trusted:
            return np.zeros(3, np.float32)
        return np.array([self.x_px, self.y_px, self.radius_px], dtype=np.float32)


def find_limb(frame: Frame) -> Limb:
    """Find Io's limb in a frame: circles are proposed, the limb network looks at each, the likeliest trusted one wins.

    Works on any unit; brightness scale and offset do not matter. A radius predicted by a label or SPICE
    (``frame.view``, target IO) adds proposals and holds the radius to about 1 %; the predicted centre is only one
    place to begin, the picture says where the disk is. Without a trusted circle the answer is ``Limb.none`` with how
    likely the best circle of the first search was.

    The circle is the one closest to the whole outline of the ellipsoid where the view says how it lies, and is seen
    through the camera's lens (``figured``); else it is the one through what is seen. ``sigma_px`` is the 1-sigma of the
    centre on either axis: what the network learned of its own errors, by camera, and 0.1 % of the radius.

    Raises:
        ModelError: the limb network's file is missing or broken.

    """
    if min(frame.shape) < 2 * SMALLEST_PX:
        return Limb.none(f"the frame of {frame.shape[1]} x {frame.shape[0]} px is smaller than the smallest disk")
    if not frame.valid.any():
        return Limb.none("no valid pixel")
    best: Sight | None = None
    for number, picture in enumerate(pictures(frame)):
        seen = likeliest(sights(picture, frame))
        if seen and seen.odds > (SECOND_TRUSTED if number else TRUSTED):
            limb = answer(seen, frame)
            if limb.sigma_px <= max(UNCERTAIN_SHARE * limb.radius_px, UNCERTAIN_PX):
                return limb
        best = best if number else seen
    return Limb.none(*refusal(best, frame))


def pictures(frame: Frame) -> Iterator[Picture]:
    """Give the picture that the limb is sought in, and where it is not found the same averaged, for faint disks."""
    first = picture_of(frame, working_px(frame))
    yield first
    for times in COARSER:
        if min(first.shape) >= times * LEAST_COARSE_PX:
            yield picture_of(frame, -(-max(frame.shape) // (times * first.factor)))


@dataclass(frozen=True)
class Sight:
    """A circle that was looked at.

    Attributes:
        look: what was seen.
        picture: where.
        odds: logarithm of the odds that it is Io's limb, what the view says of its radius included.

    """

    look: Look
    picture: Picture
    odds: float


def networks() -> dict[str, str]:
    """Open the networks that find the limb; their files' names and SHA-256.

    Raises:
        ModelError: a file is missing or broken.

    """
    return {room.NETWORK.path.name: room.NETWORK.ready() for room in (limb_glance, limb_look)}


def sights(picture: Picture, frame: Frame) -> list[Sight]:
    """Look at the predicted circle, and at those that a glance at the picture finds worth it."""
    told = told_circle(frame, picture.factor).r > 0
    looks = first_looks(picture, frame, candidates(picture, frame))
    return [Sight(look, picture, look.limb + (agreement(look) if told else 0.0)) for look in looks]


def candidates(picture: Picture, frame: Frame, least_worth: float = LEAST_WORTH) -> list[Circle]:
    """The predicted circle, if there is one, and those that a glance finds worth a look; px of the picture."""
    told = told_circle(frame, picture.factor)
    predicted = [told] if math.isfinite(told.x + told.y + told.r) else []
    return predicted + glance(picture, told.r, least_worth)


def working_px(frame: Frame) -> int:
    """Longer side of a frame of its shape that is as large as a square of ``WORKING_PX``, or its own."""
    return math.ceil(max(frame.shape) * min(1.0, WORKING_PX / math.sqrt(math.prod(frame.shape))))


def agreement(look: Look) -> float:
    """What it adds to the odds that a circle has the radius that the view tells, or another."""
    return AGREES if look.expected else DISAGREES


def told_circle(frame: Frame, factor: int) -> Circle:
    """What the label or SPICE says of Io's disk, px of the picture; NaN where it says nothing."""
    radius = frame.view.io_radius_px
    if not radius >= SMALLEST_PX:
        return Circle(math.nan, math.nan, math.nan)
    return Circle(frame.view.centre_x_px, frame.view.centre_y_px, radius).binned(factor)


def likeliest(seen: list[Sight]) -> Sight | None:
    """The likeliest circle, trusted or not; None where there is none."""
    alone = [sight for sight in seen if not any(lies_on(sight.look.circle, other) for other in seen)]
    best = max(alone, key=lambda sight: sight.odds, default=None)
    larger = [sight for sight in alone if best and sight.odds > PLAIN and stands_larger_beside(sight, best)]
    return max(larger, key=lambda sight: sight.look.circle.r, default=best)


def stands_larger_beside(sight: Sight, other: Sight) -> bool:
    """Whether a disk is another one than ``other`` and much larger: Io is seldom the smaller one."""
    circle, smaller = sight.look.circle, other.look.circle
    apart = math.hypot(circle.x - smaller.x, circle.y - smaller.y)
    return circle.r > LARGER * smaller.r and apart > circle.r and not (other.look.expected and not sight.look.expected)


def lies_on(circle: Circle, other: Sight) -> bool:
    """Whether a circle is what stands on the disk or at the limb of a much larger trusted one: a bright round plume.

    A body on Jupiter's disk, or beside it, is smaller still.
    """
    larger = other.look.circle
    apart = math.hypot(circle.x - larger.x, circle.y - larger.y)
    much = MUCH_LARGER[0] * circle.r < larger.r < MUCH_LARGER[1] * circle.r
    return other.odds > TRUSTED and much and apart < NEAR * larger.r


def refusal(best: Sight | None, frame: Frame) -> tuple[str, Limb | None]:
    """Why there is no limb, and the likeliest circle as a guess where some of it stands out, unless of another body."""
    if best is None:
        return "nothing that looks like a limb", None
    guess = answer(best, frame)
    share = 1 / (1 + math.exp(-best.odds))
    reason = guess.reason or f"the likeliest circle is Io's limb with a probability of {share:.0%} only"
    if best.odds > TRUSTED and guess.trusted:
        reason = f"a limb, but its circle is known to {guess.sigma_px:.0f} px only: too little of it is seen"
    if best.look.arc_deg < GUESS_ARC_DEG or not (guess.trusted and frame.may_show_io):
        return reason, None
    return reason, replace(guess, source=GUESS)


def answer(best: Sight, frame: Frame) -> Limb:
    """Look at the chosen circle closely and put it in pixels of the frame; none where it is too small."""
    picture, first = best.picture, best.look
    if picture.factor != 1:
        whole = picture_of(frame)
        first, picture = first.seen_on(picture.factor, whole.factor), whole
    look = last_look(picture, frame, first)
    circle, sigma = look.circle.unbinned(picture.factor), look.sigma_px * picture.factor
    if circle.r < SMALLEST_PX - 0.4:
        return Limb.none(f"the disk has a radius of {circle.r:.1f} px, {SMALLEST_PX:.0f} needed")
    predicted = "spice" if frame.view.source == "spice" else "label"
    source = predicted if look.expected else "image"
    sigma = math.hypot(sigma * ERROR_FACTOR.get(frame.instrument, 1.0), SYSTEMATIC_SHARE * circle.r)
    return Limb(circle.x, circle.y, circle.r, sigma, source, best.look.arc_deg, figured=look.figured)
