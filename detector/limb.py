"""Io's limb: a circle on the frame with its error, or the answer that there is none to trust.

picture -> edges -> proposed circles -> those that come to rest at a limb -> looks of the limb network -> the likeliest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.circle import Circle, Edges, propose, vote
from detector.expected import expected_radius
from detector.frame import Frame
from detector.limb_edges import COARSE_PX, Picture, bin_mean, coarser, edges_of, picture_of
from detector.limb_look import Look, first_look, last_look
from detector.limb_settle import settle

SMALLEST_PX = 8.0
SMALLEST_WORKING_PX = 5.0
PER_WINDOW = 5
UNLIKELY = 2
"""Proposals of another size than the predicted one that are looked at in each window."""
LOOKED_AT = 8
"""Circles looked at of those of one search that came to rest."""
LEAST_PROMISE_DEG = 10.0
FULL_PX = 4096
GUESS, GUESS_ARC_DEG = "guess", 10.0
"""A refused circle is a guess where so much of it stands out."""
TRUSTED = 0.0
"""Logarithm of the odds from which a circle is a limb."""
AGREES, DISAGREES = 1.0, -2.0
"""What a radius that the view tells adds to that."""
PLAIN = 2.5
"""Where a circle is so plainly a limb no other is looked for."""
UNCERTAIN_SHARE, UNCERTAIN_PX = 0.05, 1.5
"""A circle of which so little is seen that its centre is not known to this share of the radius, or to so many pixels,
is not trusted."""
MUCH_LARGER, NEAR = (2.0, 12.0), 1.3
"""How much larger than a circle on it a disk is, and how far, in its radii, such a circle may be from its centre."""
GLARE_SHARE = 0.2
"""Where no limb is found, one is sought once more among the steps of this share of the brightest surface and more: a
halo, or what compression left around the disk, hid it."""
FAINT_FACTOR = 4
LEAST_COARSE_PX = 48
"""A disk too faint to be found is sought again where pixels are averaged, up to so many; no picture gets smaller."""
SECOND_TRUSTED = 2.0
"""What a circle of these later searches needs: each is one more chance to be wrong."""
SYSTEMATIC_SHARE = 0.001
"""1-sigma beyond that of the fit, of every radius."""
ERROR_FACTOR = {"unknown": 1.6, "sru": 1.15, "junocam": 1.1}
"""How much larger errors are than the network says, by camera; pictures that somebody toned are the worst."""


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
    place to begin, the edges say where the disk is. Without a trusted circle the answer is ``Limb.none`` with how
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
    for number, (picture, shown) in enumerate(searches(frame)):
        seen = searched(picture, shown, frame)
        if seen and seen.odds > (SECOND_TRUSTED if number else TRUSTED):
            limb = answer(seen, frame)
            if limb.sigma_px <= max(UNCERTAIN_SHARE * limb.radius_px, UNCERTAIN_PX):
                return limb
        best = best if number else seen
    return Limb.none(*refusal(best, frame))


def searches(frame: Frame) -> Iterator[tuple[Picture, Picture]]:
    """Give pictures to seek edges in, and with each the one that is looked at: the frame as it is, if not too large."""
    picture = picture_of(frame)
    shown = picture if picture.factor == 1 else picture_of(frame, FULL_PX)
    yield picture, shown
    yield replace(picture, soft=max(picture.soft, GLARE_SHARE * picture.full)), shown
    while min(picture.shape) >= 2 * LEAST_COARSE_PX and picture.factor < FAINT_FACTOR:
        picture = coarser(picture)
        yield picture, picture


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


def searched(picture: Picture, shown: Picture, frame: Frame) -> Sight | None:
    """The likeliest of the circles that a picture proposes, trusted or not; None where there is nothing to look at."""
    prior = Prior.of(frame, picture.factor)
    seen: list[Sight] = []
    for circle in itertools.chain.from_iterable(places(picture, prior)):
        look = first_look(shown, frame, circle.unbinned(picture.factor).binned(shown.factor))
        if look is None:
            continue
        told = 0.0 if not prior.r > 0 else AGREES if look.expected else DISAGREES
        seen.append(Sight(look, shown, look.limb + told))
        if seen[-1].odds > PLAIN and (look.expected or not prior.r > 0):
            break
    alone = [sight for sight in seen if not any(lies_on(sight.look.circle, other) for other in seen)]
    return max(alone, key=lambda sight: sight.odds, default=None)


def lies_on(circle: Circle, other: Sight) -> bool:
    """Whether a circle is what stands on the disk or at the limb of a much larger trusted one: a bright round plume.

    A body on Jupiter's disk, or beside it, is smaller still.
    """
    larger = other.look.circle
    apart = math.hypot(circle.x - larger.x, circle.y - larger.y)
    much = MUCH_LARGER[0] * circle.r < larger.r < MUCH_LARGER[1] * circle.r
    return other.odds > TRUSTED and much and apart < NEAR * larger.r


@dataclass(frozen=True)
class Prior:
    """What the label or SPICE says of Io's disk, in pixels of the working picture; NaN where it says nothing."""

    frame: Frame
    factor: int
    x: float = math.nan
    y: float = math.nan
    r: float = math.nan

    @classmethod
    def of(cls, frame: Frame, factor: int) -> Prior:
        """Take the prediction of a frame whose target is Io."""
        radius = frame.view.io_radius_px
        if not radius >= SMALLEST_PX:
            return cls(frame, factor)
        predicted = Circle(frame.view.centre_x_px, frame.view.centre_y_px, radius).binned(factor)
        return cls(frame, factor, predicted.x, predicted.y, predicted.r)

    def circles(self) -> list[Circle]:
        """List the predicted circle, if there is one."""
        return [Circle(self.x, self.y, self.r)] if math.isfinite(self.x + self.y + self.r) else []

    def known(self, circle: Circle) -> tuple[float, float]:
        """Return the radius predicted at a circle's place and its 1-sigma, where the circle agrees; else NaN and inf.

        Within 4 % or 1.5 px is agreement.
        """
        if not self.r > 0:
            return math.nan, math.inf
        radius, sigma = (value / self.factor for value in expected_radius(self.frame, circle.unbinned(self.factor)))
        agrees = abs(circle.r - radius) < max(1.5, 0.04 * radius)
        return (radius, sigma) if agrees else (math.nan, math.inf)

    def likely(self, circle: Circle) -> bool:
        """Whether a proposal may become the predicted circle: radius within a fifth; always without a prediction."""
        return not self.r > 0 or abs(circle.r - self.r) < 0.2 * self.r + 3


def places(picture: Picture, prior: Prior) -> Iterator[list[Circle]]:
    """Give circles to look at: the predicted one, those of its radius, any of the whole picture, those of its windows.

    All but the first are moved to where they come to rest.
    """
    yield prior.circles()
    first, *others = windows(picture)
    edges = edges_in(picture, first)
    yield resting(picture, prior.circles() + voted(edges, first, prior), prior)
    yield resting(picture, proposed(edges, first, prior), prior)
    rest = [(edges_in(picture, window), window) for window in others]
    yield resting(picture, [start for of in rest for start in voted(*of, prior) + proposed(*of, prior)], prior)


def resting(picture: Picture, starts: list[Circle], prior: Prior) -> list[Circle]:
    """The most promising circles near which proposals come to rest."""
    settled = settle(picture, starts, [prior.known(start) for start in starts])[:LOOKED_AT]
    return [one.circle for one in settled if one.arc_deg >= LEAST_PROMISE_DEG]


@dataclass(frozen=True)
class Window:
    """A part of the working picture, and how it is binned for the search: rows y0:y1, columns x0:x1."""

    x0: int
    y0: int
    x1: int
    y1: int
    factor: int


def windows(picture: Picture) -> list[Window]:
    """List the whole picture at two scales, and a closer look at each small bright region (small disks)."""
    rows, columns = picture.shape
    factor = max(1, -(-max(rows, columns) // COARSE_PX))
    whole = [Window(0, 0, columns, rows, factor), Window(0, 0, columns, rows, 2 * factor)]
    return whole + bright_windows(picture, factor)


def bright_windows(picture: Picture, factor: int) -> list[Window]:
    """Windows around the brightest connected regions that are much smaller than the picture."""
    coarse = np.nan_to_num(picture.compress(bin_mean(picture.linear, factor)), nan=0.0)
    if not coarse.size:
        return []
    threshold = max(math.asinh(3.0 / picture.soft), 0.35 * float(np.percentile(coarse, 99.95)))
    labels, count = ndimage.label(coarse > threshold)
    if count == 0:
        return []
    area = np.bincount(labels.ravel())[1:]
    boxes = ndimage.find_objects(labels)
    found = []
    for k in np.argsort(-area, kind="stable")[:3]:
        height, width = (s.stop - s.start for s in boxes[k])
        if area[k] >= 4 and max(height, width) < 0.4 * max(coarse.shape):
            found.append(around(boxes[k], factor, picture.shape))
    return found


def around(box: tuple[slice, slice], factor: int, shape: tuple[int, int]) -> Window:
    """Lay the window around a region of the coarse picture, wide enough for the whole disk of a crescent."""
    (top, bottom), (left, right) = ((s.start * factor, s.stop * factor) for s in box)
    margin = int(0.7 * max(bottom - top, right - left)) + 8
    y0, x0 = max(0, top - margin), max(0, left - margin)
    y1, x1 = min(shape[0], bottom + margin), min(shape[1], right + margin)
    return Window(x0, y0, x1, y1, max(1, -(-max(y1 - y0, x1 - x0) // COARSE_PX)))


def edges_in(picture: Picture, window: Window) -> Edges:
    """Edges of one window, in its pixels."""
    part = picture.compress(bin_mean(picture.linear[window.y0 : window.y1, window.x0 : window.x1], window.factor))
    if min(part.shape) < 8:
        return Edges(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    return edges_of(part, 1.2)


def voted(edges: Edges, window: Window, prior: Prior) -> list[Circle]:
    """Circles of the predicted radius on which many edges of a window agree; none without a prediction."""
    if not prior.r > 0:
        return []
    return [circle.unbinned(window.factor, window.x0, window.y0) for circle in vote(edges, prior.r / window.factor, 2)]


def proposed(edges: Edges, window: Window, prior: Prior) -> list[Circle]:
    """Circles of any radius on which many edges of a window agree, few of another radius than the predicted one."""
    largest = 8.0 * max(window.x1 - window.x0, window.y1 - window.y0) / window.factor
    rng = np.random.default_rng(len(edges))
    found = propose(edges, SMALLEST_WORKING_PX / window.factor, largest, PER_WINDOW, rng)
    circles = [circle.unbinned(window.factor, window.x0, window.y0) for circle in found]
    likely = [circle for circle in circles if prior.likely(circle)]
    return likely + [circle for circle in circles if circle not in likely][:UNLIKELY]


def refusal(best: Sight | None, frame: Frame) -> tuple[str, Limb | None]:
    """Why there is no limb, and the likeliest circle as a guess where some of it stands out, unless of another body."""
    if best is None:
        return "no edge that curves like a limb", None
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
    picture, look = best.picture, last_look(best.picture, frame, best.look)
    circle, sigma = look.circle.unbinned(picture.factor), look.sigma_px * picture.factor
    if circle.r < SMALLEST_PX - 0.4:
        return Limb.none(f"the disk has a radius of {circle.r:.1f} px, {SMALLEST_PX:.0f} needed")
    predicted = "spice" if frame.view.source == "spice" else "label"
    source = predicted if look.expected else "image"
    sigma = math.hypot(sigma * ERROR_FACTOR.get(frame.instrument, 1.0), SYSTEMATIC_SHARE * circle.r)
    return Limb(circle.x, circle.y, circle.r, sigma, source, best.look.arc_deg, figured=look.figured)
