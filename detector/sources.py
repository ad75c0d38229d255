"""Sources: detections of many frames joined where they agree in place. Plumes and hot spots apart, with links between.

How detections are joined
-------------------------
* Two detections agree where their great-circle distance is at most AGREE times their errors, added in quadrature.
  Chance parts two detections of one place in 0.2 % of cases (a chi-square of 12 with two degrees of freedom).
* The closest two that agree are joined first, then the closest two of what is then there, and so on. A group lies at
  the mean of its members, weighted by 1 / sigma²; its error in this test stays that of its best member, so that a
  place seen a hundred times does not become too sharp for the next detection of it.
* Two detections of one frame are never one source: that frame saw them apart.
* None are joined over more than FURTHEST_DEG: the errors of plumes over the limb are long and narrow, along the line
  of sight, and a circle of that size would swallow its neighbours.
* Known places only. Where the error is above VAGUE_DEG the place says too little, and the detection joins nothing.

Everything is sorted before, so the order in which catalogues are given changes nothing.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.frame import CLASSES, IO_RADIUS_KM
from detector.geometry import direction, east, latitude, west
from detector.volcanoes import great_circle_km, volcanoes

AGREE = 3.5
"""Places agree within so many times their errors."""
SMALLEST_SIGMA_DEG = 0.5
"""No place is better than this, 16 km on Io: an eruption's middle moves about in a patera or a lava field (Io's paterae
are 41 km wide on average, Radebaugh et al. 2001, doi:10.1029/2000JE001406)."""
FURTHEST_DEG = 15.0
"""Places further apart never agree, however large their errors: the vents of Io's lasting plumes are about 25 degrees
apart."""
VAGUE_DEG = 20.0
"""A place with a larger error is no place. A plume over the limb is placed to 10 to 15 degrees (detector.vents)."""
NAMED_KM, NAMED_SIGMAS = 100.0, 2.0
"""A catalogued volcano within this distance, or within so many times the source's error, may give the source its name.
By chance 12 of 100 places on Io have one of the catalogue's within 100 km."""
LINK_KM = 100.0
"""A plume and a hot spot belong together where they have their name from the same volcano, within this distance, or
within the 1-sigma of their distance: Prometheus' plume rises some 80 km from the vent of its lava (Kieffer et al. 2000,
doi:10.1126/science.288.5469.1204)."""
DEG_KM = math.radians(1.0) * IO_RADIUS_KM
"""Length of a degree of arc on Io, 31.8 km."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """What one detection says of a source's place.

    Attributes:
        kind: ``plume`` or ``hotspot``.
        frame: what tells its frame from every other.
        label: what tells it from every other detection; the order of equals follows it.
        lat_deg, lon_w_deg: planetocentric latitude and west longitude; NaN where not known.
        sigma_deg: 1-sigma, degrees of arc; NaN where not known.
        vent: of a plume, the volcano that fits it best along its line of sight; empty where none does.

    """

    kind: str
    frame: Hashable
    label: str
    lat_deg: float
    lon_w_deg: float
    sigma_deg: float
    vent: str = ""

    @property
    def known(self) -> bool:
        """Whether it is good enough to be joined with others."""
        return math.isfinite(self.lat_deg + self.lon_w_deg) and self.sigma_deg <= VAGUE_DEG


@dataclass(frozen=True)
class Source:
    """Detections of one kind that agree in place.

    Attributes:
        source_id: ``P01`` .. for plumes, ``H01`` .. for hot spots, numbered by west longitude.
        kind: ``plume`` or ``hotspot``.
        name: of a plume the vent that most members name, else the nearest catalogued volcano's within reach, else
            ``new at LAT LON``.
        lat_deg, lon_w_deg, lon_e_deg: mean of the members' places, weighted by 1 / sigma².
        sigma_deg: 1-sigma of that mean, degrees of arc; each member's error counts as SMALLEST_SIGMA_DEG at least.
        scatter_deg: rms distance of the members from it; NaN for a single one.
        members: indices into the places that were given, ascending.
        volcano, volcano_km: nearest catalogued feature, within reach or not, and its distance.
        in_reach: how many catalogued features are within reach: with more than one the name is a choice.
        linked: ids of the sources of the other kind that belong to it.

    """

    source_id: str
    kind: str
    name: str
    lat_deg: float
    lon_w_deg: float
    lon_e_deg: float
    sigma_deg: float
    scatter_deg: float
    members: tuple[int, ...]
    volcano: str
    volcano_km: float
    in_reach: int
    linked: tuple[str, ...] = ()


def find_sources(places: Sequence[Place]) -> tuple[Source, ...]:
    """Join places to sources.

    Args:
        places: of any kinds and frames, in any order; those that are not ``known`` are left out.

    Returns:
        Plumes, then hot spots, each by west longitude and then latitude; empty where no place is known.

    """
    found: list[Source] = []
    for kind in CLASSES:
        chosen = [i for i, place in enumerate(places) if place.kind == kind and place.known]
        chosen.sort(key=lambda i: _order(places[i]))
        groups = grouped([places[i] for i in chosen])
        kin = [_source([chosen[m] for m in group], places) for group in groups]
        kin.sort(key=lambda source: (round(source.lon_w_deg, 6), round(source.lat_deg, 6)))
        digits = max(2, len(str(len(kin))))
        found += [replace(source, source_id=f"{kind[0].upper()}{n:0{digits}d}") for n, source in enumerate(kin, 1)]
    return tuple(replace(source, linked=_links(source, found)) for source in found)


def grouped(places: Sequence[Place]) -> list[list[int]]:
    """Indices of the places that belong together, group by group; every place is known and stands in one group."""
    groups = _Groups(places)
    groups.join()
    return groups.members()


class _Groups:
    """Groups of places that are joined two by two; a joined group gets the next number."""

    def __init__(self, places: Sequence[Place]) -> None:
        count = len(places)
        self.alive = np.zeros(max(1, 2 * count), bool)
        self.sums = np.zeros((self.alive.size, 3))
        self.where = np.zeros((self.alive.size, 3))
        self.sigma = np.zeros(self.alive.size)
        self.frames: list[frozenset[Hashable]] = []
        self.of: list[list[int]] = []
        self.closest: list[tuple[float, int, int]] = []
        for number, place in enumerate(places):
            sigma = _error(place)
            self._add(direction(place.lat_deg, place.lon_w_deg) / sigma**2, sigma, frozenset([place.frame]), [number])

    def join(self) -> None:
        """Join the closest two that agree until no two do."""
        while self.closest:
            _, first, second = heapq.heappop(self.closest)
            if not (self.alive[first] and self.alive[second]):
                continue
            self.alive[[first, second]] = False
            sigma = float(min(self.sigma[first], self.sigma[second]))
            frames = self.frames[first] | self.frames[second]
            self._add(self.sums[first] + self.sums[second], sigma, frames, self.of[first] + self.of[second])

    def members(self) -> list[list[int]]:
        """The members of every group, ascending."""
        return [sorted(self.of[number]) for number in np.flatnonzero(self.alive)]

    def _add(self, total: Array, sigma: float, frames: frozenset[Hashable], members: list[int]) -> None:
        new = len(self.of)
        self.sums[new], self.where[new], self.sigma[new] = total, total / np.linalg.norm(total), sigma
        self.frames.append(frames)
        self.of.append(members)
        others = np.flatnonzero(self.alive)
        angle = angles_deg(self.where[new], self.where[others])
        reach = np.minimum(AGREE * np.hypot(sigma, self.sigma[others]), FURTHEST_DEG)
        for k in np.flatnonzero(angle <= reach):
            if frames.isdisjoint(self.frames[others[k]]):
                heapq.heappush(self.closest, (float(angle[k]), int(others[k]), new))
        self.alive[new] = True


def angles_deg(one: Array, others: Array) -> Array:
    """Angles in degrees between unit vectors (3,) and (n, 3), exact for small ones."""
    return np.degrees(2 * np.arcsin(np.minimum(1.0, np.linalg.norm(others - one, axis=-1) / 2)))


def _error(place: Place) -> float:
    return max(place.sigma_deg, SMALLEST_SIGMA_DEG)


def _order(place: Place) -> tuple[float, float, float, str]:
    return place.lon_w_deg, place.lat_deg, place.sigma_deg, place.label


def _source(members: list[int], places: Sequence[Place]) -> Source:
    own = [places[i] for i in members]
    units = direction(np.array([p.lat_deg for p in own]), np.array([p.lon_w_deg for p in own]))
    weights = np.array([_error(p) ** -2 for p in own])
    mean = weights @ units
    mean /= np.linalg.norm(mean)
    lat, lon_e = float(latitude(*mean)), east(np.degrees(np.arctan2(mean[1], mean[0])))
    lon_w, sigma = float(west(lon_e)), float(weights.sum() ** -0.5)
    scatter = float(np.sqrt((angles_deg(mean, units) ** 2).mean())) if len(own) > 1 else math.nan
    volcano, distance, in_reach = _neighbours(lat, lon_w, sigma)
    named = _vent(own) or (volcano if in_reach else "")
    name = named or f"new at {_signed(lat)} {lon_w:.0f}W"
    return Source(
        "",
        own[0].kind,
        name,
        lat,
        lon_w,
        float(lon_e),
        sigma,
        scatter,
        tuple(sorted(members)),
        volcano,
        distance,
        in_reach,
    )


def _neighbours(lat_deg: float, lon_w_deg: float, sigma_deg: float) -> tuple[str, float, int]:
    """Return the nearest catalogued feature, its distance in km, and how many are within reach."""
    known = sorted((great_circle_km(lat_deg, lon_w_deg, v.lat_deg, v.lon_w_deg), v.name) for v in volcanoes())
    reach = max(NAMED_KM, NAMED_SIGMAS * sigma_deg * DEG_KM)
    return known[0][1], known[0][0], sum(distance <= reach for distance, _ in known)


def _vent(members: Sequence[Place]) -> str:
    """Return the vent that most members name, the first in the alphabet among equals; empty where none names one."""
    votes = Counter(place.vent for place in members if place.vent)
    return min(votes, key=lambda vent: (-votes[vent], vent), default="")


def _signed(lat_deg: float) -> str:
    return f"{abs(lat_deg):.0f}{'N' if round(lat_deg) >= 0 else 'S'}"


def _links(source: Source, others: Sequence[Source]) -> tuple[str, ...]:
    near = []
    for other in others:
        if other.kind != source.kind:
            distance = great_circle_km(source.lat_deg, source.lon_w_deg, other.lat_deg, other.lon_w_deg)
            reach = max(LINK_KM, math.hypot(source.sigma_deg, other.sigma_deg) * DEG_KM)
            if distance <= reach or source.name == other.name:
                near.append((distance, other.source_id))
    return tuple(name for _, name in sorted(near))
