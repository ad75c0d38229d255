"""Circles on a frame: what a circle is, and proposing some from edges with directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]

PAIRS = 6000
SCORED_PAIRS = 300
SCORED_EDGES = 500
ROUGHLY = 3
"""The many first circles are scored by every third of the edges."""
POLISHED = 20
AZIMUTH_BINS = 72


@dataclass(frozen=True)
class Circle:
    """A circle in pixels; x and y may lie outside the frame, r > 0."""

    x: float
    y: float
    r: float

    def unbinned(self, factor: int, x0: float = 0.0, y0: float = 0.0) -> Circle:
        """Return the circle on the picture whose window at (x0, y0) was binned ``factor`` x ``factor``."""
        return Circle(factor * (self.x + 0.5) - 0.5 + x0, factor * (self.y + 0.5) - 0.5 + y0, factor * self.r)

    def binned(self, factor: int) -> Circle:
        """Return the circle on the picture binned ``factor`` x ``factor``."""
        return Circle((self.x + 0.5) / factor - 0.5, (self.y + 0.5) / factor - 0.5, self.r / factor)

    def resembles(self, other: Circle, share: float = 0.03) -> bool:
        """Whether centre and radius agree within ``share`` of the radius, or 1.5 px."""
        apart = np.hypot(self.x - other.x, self.y - other.y) + abs(self.r - other.r)
        return bool(apart < max(1.5, share * min(self.r, other.r)))


@dataclass(frozen=True)
class Edges:
    """Edge points with a direction.

    Attributes:
        points: (n, 2) x, y in px.
        inward: (n, 2) unit vectors to the brighter side.
        strength: (n,) > 0.

    """

    points: Array
    inward: Array
    strength: Array

    def __len__(self) -> int:
        return len(self.points)

    def take(self, chosen: NDArray[np.int_]) -> Edges:
        """Keep the chosen edges."""
        return Edges(self.points[chosen], self.inward[chosen], self.strength[chosen])


def propose(edges: Edges, smallest: float, largest: float, count: int, rng: np.random.Generator) -> list[Circle]:
    """Propose the circles that most azimuths of edge points agree on, each edge's brighter side towards the centre.

    The edges of the best circle are then taken away and the rest is searched again, so that a planet's long limb does
    not hide a moon's.

    Args:
        edges: on one picture.
        smallest: radius, px.
        largest: radius, px.
        count: at most this many of each search, best first.
        rng: draws the pairs.

    """
    first = search(edges, smallest, largest, count, rng)
    if not len(first):
        return []
    rest = edges.take(np.flatnonzero(~agreement(first[:1], edges, 0.03)[0]))
    second = search(rest, smallest, largest, count - 1, rng)
    return [Circle(*map(float, row)) for row in distinct(np.concatenate([first, second]), 2 * count, 0.04)]


def search(edges: Edges, smallest: float, largest: float, count: int, rng: np.random.Generator) -> Array:
    """(n, 3) circles, best first: pairs of edges whose directions meet give many, the best are polished."""
    if len(edges) < 8:
        return np.zeros((0, 3))
    chance = edges.strength / edges.strength.sum()
    first, second = rng.choice(len(edges), (2, PAIRS), p=chance)
    circles = meet(edges, first, second, smallest, largest)[:SCORED_PAIRS]
    if not len(circles):
        return np.zeros((0, 3))
    few = edges.take(rng.choice(len(edges), SCORED_EDGES, p=chance)) if len(edges) > SCORED_EDGES else edges
    scores = coverage(circles, few.take(np.arange(len(few))[::ROUGHLY]), 0.06)
    best = distinct(circles[np.argsort(-scores, kind="stable")], POLISHED, 0.08)
    for share in (0.06, 0.035, 0.02):
        best = polish(best, few, share)
    best = best[(best[:, 2] >= smallest) & (best[:, 2] <= largest)]
    merit = coverage(best, few, 0.02)
    return assorted(best[np.argsort(-merit * np.sqrt(best[:, 2]), kind="stable")], count, 0.05)


def assorted(circles: Array, count: int, share: float) -> Array:
    """Keep the first ``count`` distinct circles, and the first of each octave of radius that has none among them."""
    kept = distinct(circles, count, share)
    octaves = np.floor(np.log2(np.maximum(circles[:, 2], 1)))
    missing = [o for o in np.unique(octaves) if o not in np.floor(np.log2(np.maximum(kept[:, 2], 1)))]
    return np.concatenate([kept, *(circles[octaves == octave][:1] for octave in missing)])


def vote(edges: Edges, radius: float, count: int) -> list[Circle]:
    """Circles of a known radius, by the centres that most edges point to, best first."""
    if len(edges) == 0:
        return []
    cell = max(1.0, 0.04 * radius)
    centres = edges.points + radius * edges.inward
    low = centres.min(axis=0)
    cells = ((centres - low) / cell).astype(int)
    votes = np.zeros(cells.max(axis=0) + 1)
    np.add.at(votes, (cells[:, 0], cells[:, 1]), np.sqrt(edges.strength))
    votes = ndimage.uniform_filter(votes, 3, mode="constant")
    best = np.argsort(-votes, axis=None, kind="stable")[:20]
    x, y = np.unravel_index(best, votes.shape)
    rows = np.column_stack([low[0] + (x + 0.5) * cell, low[1] + (y + 0.5) * cell, np.full(len(x), radius)])
    return [Circle(*map(float, row)) for row in distinct(rows, count, 0.15)]


def meet(edges: Edges, i: NDArray[np.int_], j: NDArray[np.int_], smallest: float, largest: float) -> Array:
    """(n, 3) circles x, y, r on which both edges of a pair lie with their inward directions meeting at the centre."""
    chord = edges.points[j] - edges.points[i]
    turn = edges.inward[i] - edges.inward[j]
    radius = (chord * turn).sum(1) / np.maximum((turn**2).sum(1), 1e-6)
    miss = np.hypot(*(chord - radius[:, None] * turn).T)
    good = (radius >= smallest) & (radius <= largest) & (miss < 0.2 * radius) & ((turn**2).sum(1) > 0.01)
    centre = 0.5 * (edges.points[i] + edges.points[j] + radius[:, None] * (edges.inward[i] + edges.inward[j]))
    return np.column_stack([centre, radius])[good]


def agreement(circles: Array, edges: Edges, share: float) -> NDArray[np.bool_]:
    """(c, n) which edges lie on which circle: within ``share`` of its radius or 1 px, and 25 degrees."""
    towards = circles[:, None, :2] - edges.points
    x, y = towards[..., 0], towards[..., 1]
    square = x**2 + y**2
    allowed = np.maximum(1.0, share * circles[:, 2:])
    near = (square < (circles[:, 2:] + allowed) ** 2) & (square > np.maximum(circles[:, 2:] - allowed, 0.0) ** 2)
    inward = x * edges.inward[:, 0] + y * edges.inward[:, 1]
    return near & (inward > 0) & (inward**2 > 0.81 * square)


def coverage(circles: Array, edges: Edges, share: float) -> Array:
    """(c,) score of each circle: the azimuth bins that hold an edge of it, each weighted by its strongest."""
    order = np.argsort(edges.strength)
    edges = edges.take(order)
    row, edge = np.nonzero(agreement(circles, edges, share))
    away = circles[row, :2] - edges.points[edge]
    bins = ((np.arctan2(away[:, 1], away[:, 0]) / (2 * np.pi) + 0.5) * AZIMUTH_BINS).astype(int) % AZIMUTH_BINS
    best = np.zeros((len(circles), AZIMUTH_BINS))
    best[row, bins] = np.sqrt(edges.strength)[edge]  # the last of a bin is its strongest
    return best.sum(axis=1)


def polish(circles: Array, edges: Edges, share: float) -> Array:
    """(c, 3) circles refitted (algebraically, all at once) to the edges that agree with them."""
    on = agreement(circles, edges, share)
    weight = on * np.sqrt(edges.strength)
    middle = edges.points.mean(axis=0)
    x, y = (edges.points - middle).T
    design = np.stack([x, y, np.ones_like(x)], axis=1)
    normal = np.einsum("cn,ni,nj->cij", weight, design, design, optimize=True)
    right = np.einsum("cn,ni,n->ci", weight, design, x**2 + y**2, optimize=True)
    a, b, c = np.einsum("cij,cj->ci", np.linalg.pinv(normal, hermitian=True), right).T
    square = c + a**2 / 4 + b**2 / 4
    fitted = np.column_stack([a / 2 + middle[0], b / 2 + middle[1], np.sqrt(np.maximum(square, 0))])
    usable = (on.sum(axis=1) >= 5) & (square > 0) & np.isfinite(fitted).all(axis=1)
    usable &= np.abs(fitted[:, 2] - circles[:, 2]) < 0.3 * circles[:, 2]
    return np.where(usable[:, None], fitted, circles)


def distinct(circles: Array, count: int, share: float) -> Array:
    """Keep the first ``count`` of (n, 3) circles that differ from all kept before by over ``share`` of the radius."""
    kept: list[Array] = []
    left = circles
    while len(left) and len(kept) < count:
        kept.append(left[0])
        apart = np.abs(left - left[0]).sum(axis=1)
        left = left[apart > np.maximum(2.0, share * np.minimum(left[:, 2], left[0, 2]))]
    return np.array(kept).reshape(-1, 3)
