"""Io's limb: a circle on the frame with its error, or the answer that there is none to trust."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector.circle import Circle, Edges, propose, vote
from detector.expected import expected_radius
from detector.frame import Frame
from detector.limb_edges import COARSE_PX, Picture, bin_mean, coarser, edges_of, picture_of
from detector.limb_evidence import Evidence, judge, refine
from detector.limb_fit import precise
from detector.limb_settle import settle

SMALLEST_PX = 8.0
SMALLEST_WORKING_PX = 5.0
PER_WINDOW = 5
UNLIKELY = 2
"""Proposals of another size than the predicted one that are looked at in each window."""
LOOKED_AT = 6
"""Circles judged of those that came to rest."""
LEAST_PROMISE_DEG = 10.0
FULL_PX = 4096
GUESS, GUESS_ARC_DEG = "guess", 10.0
"""A refused circle is a guess where so much of it was seen as an edge."""
GLARE_SHARE = 0.2
"""Where no limb is found, one so plain that it needs no second opinion is sought once more among the steps of this
share of the brightest surface and more: a halo, or what compression left around the disk, hid it."""
FAINT_FACTOR = 4
LEAST_COARSE_PX = 48
"""A disk too faint to be found is sought again where pixels are averaged, up to so many; no picture gets smaller."""
FAINT_CONTRAST, FAINT_SCATTER_PX, FAINT_DOUBT, FAINT_RADIUS_PX = 20.0, 0.6, 1.25, 8.0
"""What such a disk must keep to, in averaged pixels: with more contrast it was seen before, and was refused."""
PLAIN_PX = 25.0
SYSTEMATIC_PX = {"junocam": 0.1, "sru": 0.17}
SYSTEMATIC_SHARE = 0.001
"""1-sigma beyond that of the fit: of cameras that smear, jog and bloom, and of every radius."""


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
    """Find Io's limb in a frame: several circles are proposed, each is refined and judged, the best trusted one wins.

    Works on any unit; brightness scale and offset do not matter. A radius predicted by a label or SPICE
    (``frame.view``, target IO) adds proposals and holds the radius to about 1 %; the predicted centre is only one
    place to begin, the edges say where the disk is. Without a trusted circle the answer is ``Limb.none`` with the
    reason that the best circle failed.

    The circle is the one closest to the whole outline of the ellipsoid where the view says how it lies, and is seen
    through the camera's lens (``figured``); else it is the one through what is seen. ``sigma_px`` is the 1-sigma of the
    centre on either axis: the fit's, 0.1 % of the radius, and what the frames of a camera were measured to be off by
    besides (``io-detector benchmark limb``, tuning seed 42000).
    """
    if min(frame.shape) < 2 * SMALLEST_PX:
        return Limb.none(f"the frame of {frame.shape[1]} x {frame.shape[0]} px is smaller than the smallest disk")
    if not frame.valid.any():
        return Limb.none("no valid pixel")
    picture = picture_of(frame)
    best = searched(picture, frame)
    if not best.reason:
        return answer(best, picture, frame)
    glaring = searched(replace(picture, soft=max(picture.soft, GLARE_SHARE * picture.full)), frame)
    if plain(glaring, Prior.of(frame, picture.factor)):
        return answer(glaring, picture, frame)
    averaged = picture
    while min(averaged.shape) >= 2 * LEAST_COARSE_PX and averaged.factor < FAINT_FACTOR:
        averaged = coarser(averaged)
        again = searched(averaged, frame)
        if faint(again):
            return answer(again, averaged, frame)
    return Limb.none(best.reason, guess_of(best, picture, frame))


def faint(e: Evidence) -> bool:
    """Whether a circle of an averaged picture is a limb too faint to be seen before, not a wrong answer once more."""
    plainly = e.scatter_px < FAINT_SCATTER_PX and e.doubt < FAINT_DOUBT
    return not e.reason and plainly and e.contrast < FAINT_CONTRAST and e.circle.r > FAINT_RADIUS_PX


def searched(picture: Picture, frame: Frame) -> Evidence:
    """The best circle of a picture, trusted or not."""
    prior = Prior.of(frame, picture.factor)
    return choose(candidates(picture, prior), prior)


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


def candidates(picture: Picture, prior: Prior) -> list[Evidence]:
    """Judge circles of the predicted radius, then any on the whole picture, then in its windows, until one is plain."""
    first, *others = windows(picture)
    edges = edges_in(picture, first)
    judged = promising(picture, prior.circles() + voted(edges, first, prior), prior)
    if not any(plain(e, prior) for e in judged):
        judged += promising(picture, proposed(edges, first, prior), prior)
    if any(plain(e, prior) for e in judged):
        return judged
    rest = [(edges_in(picture, window), window) for window in others]
    starts = [start for of in rest for start in voted(*of, prior) + proposed(*of, prior)]
    return judged + promising(picture, starts, prior)


def promising(picture: Picture, starts: list[Circle], prior: Prior) -> list[Evidence]:
    """Judge the most promising circles near which proposals came to rest; none smaller than a plain limb."""
    judged: list[Evidence] = []
    for settled in settle(picture, starts, [prior.known(start) for start in starts])[:LOOKED_AT]:
        plainest = max((e.circle.r for e in judged if plain(e, prior)), default=0.0)
        if settled.arc_deg < LEAST_PROMISE_DEG or settled.circle.r < 1.1 * plainest:
            continue
        if evidence := weighed(picture, settled.circle, prior):
            judged.append(evidence)
            if evidence.from_prior and plain(evidence, prior):
                break
    return judged


def plain(e: Evidence, prior: Prior) -> bool:
    """Whether a circle is so plainly a limb that only a larger one could be Io's instead."""
    fits = e.from_prior or not prior.r > 0
    return fits and not e.reason and e.sharp and e.doubt < 0.8 and e.arc_deg > 120 and e.circle.r > PLAIN_PX


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


def weighed(picture: Picture, start: Circle, prior: Prior) -> Evidence | None:
    """Refine and judge a settled circle; None when there is nothing to refine on."""
    known = prior.known(start)
    fit = refine(picture, start, known)
    return judge(picture, fit, known) if fit else None


def choose(judged: list[Evidence], prior: Prior) -> Evidence:
    """Choose the largest of the plain circles; else the trusted one of highest score; else the best refused one.

    Where the radius is predicted, a circle that has it goes first, and another one needs over half of a circle:
    beside Io it is most likely another body.
    """
    if not judged:
        return Evidence(Circle(0, 0, 1), reason="no edge that curves like a limb")
    trusted = [e for e in judged if not e.reason]
    expected = [e for e in trusted if e.from_prior]
    if prior.r > 0 and not expected:
        trusted = [e for e in trusted if e.arc_deg > 200]
    if not trusted:
        best = max(judged, key=lambda e: e.score)
        return best if best.reason else replace(best, reason="the only limb has another radius than Io's")
    moons = expected or [e for e in trusted if not is_planet_beside(e, trusted)]
    return max(
        (e for e in moons if plain(e, prior)), key=lambda e: e.circle.r, default=max(moons, key=lambda e: e.score)
    )


def is_planet_beside(candidate: Evidence, trusted: list[Evidence]) -> bool:
    """Whether a candidate is over twelve times larger than a well-seen disk beside it: Jupiter's radius is 39 of Io's.

    Where over a third of the candidate's limb is seen, the small disk must stand clear of it: a round plume does not.
    """
    big = candidate.circle
    for other in trusted:
        small = other.circle
        clear = math.hypot(big.x - small.x, big.y - small.y) - big.r > 1.5 * small.r
        if other.arc_deg > 120 and other.sharp and big.r > 12 * small.r and (clear or candidate.arc_deg < 120):
            return True
    return False


def guess_of(refused: Evidence, picture: Picture, frame: Frame) -> Limb | None:
    """The best refused circle, fitted as a trusted one is; None where hardly any of it was seen, or of another body."""
    if refused.arc_deg < GUESS_ARC_DEG or not frame.may_show_io:
        return None
    guess = answer(refused, picture, frame)
    return replace(guess, source=GUESS) if guess.trusted else None


def answer(best: Evidence, picture: Picture, frame: Frame) -> Limb:
    """Put the chosen circle in pixels of the frame, fitted once more at full size; none where it is too small."""
    circle = best.circle.unbinned(picture.factor)
    if circle.r < SMALLEST_PX - 0.4:
        return Limb.none(f"the disk has a radius of {circle.r:.1f} px, {SMALLEST_PX:.0f} needed")
    predicted = "spice" if frame.view.source == "spice" else "label"
    source = predicted if best.from_prior else "image"
    sigma, figured = best.sigma_px * picture.factor, False
    whole = picture if picture.factor == 1 else picture_of(frame, FULL_PX)
    if whole.factor == 1 and (fit := precise(whole, frame, circle)):
        circle, figured = fit.circle, fit.figured
        sigma = math.sqrt(np.linalg.eigvalsh(fit.covariance[:2, :2])[-1])
    sigma = math.hypot(sigma, SYSTEMATIC_PX.get(frame.instrument, 0.0), SYSTEMATIC_SHARE * circle.r)
    return Limb(circle.x, circle.y, circle.r, sigma, source, best.arc_deg, figured=figured)
