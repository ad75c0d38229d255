"""Strips around circles of simulated frames, with the true limb: what the limb network learns from.

Of every frame there are circles that the search looks at, right and wrong ones, and some of the true
circle moved at random, for a rough, a first and a last look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import detector.limb
from detector import expected
from detector.circle import Circle
from detector.expected import expected_at
from detector.frame import Frame
from detector.limb import SMALLEST_PX, candidates
from detector.limb_glance import RELEASED as GLANCE
from detector.limb_look import full_scale
from detector.limb_picture import Picture, picture_of
from detector.limb_strip import (
    COLUMNS,
    FACTS,
    ROWS,
    WIDE_ROWS,
    coarse_reach_px,
    fine_reach_px,
    rough_reach_px,
    strip_of,
)
from training import retaken_limbs
from training.drawn import Pictures, Progress, blocks, digest_of
from training.retaken_limbs import retaken_limb
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.scene import Sample
from training.simulate.told import as_filed

Array = NDArray[np.float64]

RECIPE = Recipe(no_limb=0.12)
TAUGHT = (*INSTRUMENTS, "sru", "picture")
"""In turn: a product of the latter two is one frame, on which limbs are the hardest to place."""
EACH = 2
"""Frames of a product."""
JUDGED = 4
BARELY_WORTH = 0.003
"""Circles are learned from that are worth a look by no more than this, or there would be few wrong ones."""
RETAKES = 6
"""One real picture taken anew for so many products."""
MOVED = (rough_reach_px, coarse_reach_px, coarse_reach_px, fine_reach_px, fine_reach_px)
LEAST_MOVE, LARGEST_MOVE = 0.02, 0.45
"""1-sigma of the moves, shares of the strip's reach."""
WITHIN = 0.97
"""Share of the reach within which the limb must lie all along."""

STRIP = np.dtype(
    [
        ("near", np.float16, (ROWS, COLUMNS)),
        ("wide", np.float16, (WIDE_ROWS, COLUMNS)),
        ("facts", np.float32, FACTS),
        ("offset", np.float32, COLUMNS),
        ("departure", np.float32, COLUMNS),
        ("stands_out", np.bool_, COLUMNS),
        ("step", np.float32, 3),
        ("limb", np.bool_),
        ("judged", np.bool_),
        ("product", np.int32),
    ]
)
"""A strip: brightness and facts as ``LimbStrip``; px from its circle to the true limb's at each azimuth, and on to the
ellipsoid's outline; where the limb stands out; how far x, y and radius are off, px; whether the true limb lies
within; whether the circle is one of the search's; and of which product."""


def strips(
    folder: Path,
    seed: int,
    products: int,
    workers: int,
    pictures: Pictures = (),
    progress: Progress = lambda done, total: None,
) -> list[Path]:
    """Draw the strips of ``products`` simulated products, in blocks that are kept in ``folder``; give the files.

    They lie in a folder named after what draws them, the released glance included; blocks that are there already are
    not drawn again. ``pictures`` of Io that are really there are taken anew, a few among them.
    """
    search = sorted(Path(detector.limb.__file__).parent.glob("limb*.py"))
    code = [*search, GLANCE, *(Path(str(room.__file__)) for room in (expected, retaken_limbs)), Path(__file__)]
    return blocks(folder / digest_of(code, pictures), seed, products, workers, pictures, _draw, progress)


def _draw(seed: int, block: range, pictures: Pictures, file: Path) -> None:
    rows = [row for index in block for row in _of_product(seed, index, pictures)]
    with file.open("wb") as stream:
        np.save(stream, np.array(rows, STRIP))


def _of_product(seed: int, index: int, pictures: Pictures) -> Iterator[Any]:
    samples = expose(TAUGHT[index % len(TAUGHT)], RECIPE, seed, index).samples
    rng = np.random.default_rng([seed, index])
    for number in rng.permutation(len(samples))[:EACH]:
        sample = samples[number]
        yield from of_frame(as_filed(sample.frame), TrueLimb.of(sample), index, rng)
    if pictures and index % RETAKES == 0:
        one = retaken_limb(pictures, rng)
        yield from of_frame(one.frame, TrueLimb.on(one.frame, one.circle, one.stands_out), index, rng)


def of_frame(frame: Frame, truth: TrueLimb | None, product: int, rng: np.random.Generator) -> Iterator[Any]:
    """Strips of one frame, as its file alone tells of the view."""
    picture = picture_of(frame)
    found = candidates(picture, frame, BARELY_WORTH)
    if picture.factor != 1:
        return
    for number in rng.permutation(len(found))[:JUDGED]:
        circle = found[number]
        for reach_px in (rough_reach_px(circle.r), coarse_reach_px(circle.r)):
            yield from _strip(picture, frame, circle, reach_px, truth, product, judged=True)
    if truth:
        for reach in MOVED:
            circle = _moved(truth.circle, reach(truth.circle.r), rng)
            yield from _strip(picture, frame, circle, reach(truth.circle.r), truth, product, judged=False)


@dataclass(frozen=True)
class TrueLimb:
    """The true limb: its circle, the outline's departure from that by azimuth, and which of 360 degrees stand out.

    Azimuths count from +x towards +y.
    """

    circle: Circle
    azimuth: Array
    departure: Array
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, sample: Sample) -> TrueLimb | None:
        """None where the frame shows no limb of a disk large enough to be Io's."""
        limb = sample.limb
        if not (limb.trusted and limb.radius_px >= SMALLEST_PX and sample.limb_seen.any()):
            return None
        circle = Circle(limb.x_px, limb.y_px, limb.radius_px)
        return cls.on(sample.frame, circle, np.roll(sample.limb_seen, -90))

    @classmethod
    def on(cls, frame: Frame, circle: Circle, seen: NDArray[np.bool_]) -> TrueLimb:
        """A known circle, and which degrees of it (0 = +x, towards +y) stand out."""
        azimuth = np.linspace(-math.pi, math.pi, 361)
        return cls(circle, azimuth, expected_at(frame, circle).departure(azimuth), seen)

    def offset_px(self, circle: Circle, azimuth: Array) -> Array:
        """(n,) px outwards from a circle to the true one along its radii; NaN where they miss it."""
        dx, dy = self.circle.x - circle.x, self.circle.y - circle.y
        along, aside = dx * np.cos(azimuth) + dy * np.sin(azimuth), dy * np.cos(azimuth) - dx * np.sin(azimuth)
        with np.errstate(invalid="ignore"):
            return np.asarray(along + np.sqrt(self.circle.r**2 - aside**2) - circle.r)

    def departure_px(self, azimuth: Array) -> Array:
        """(n,) px from the circle on to the outline."""
        return np.interp(azimuth, self.azimuth, self.departure, period=2 * math.pi)

    def stands_out(self, azimuth: Array) -> NDArray[np.bool_]:
        """(n,) whether the limb is seen."""
        return self.seen[np.rint(np.degrees(azimuth)).astype(int) % 360]


def _strip(
    picture: Picture,
    frame: Frame,
    circle: Circle,
    reach_px: float,
    truth: TrueLimb | None,
    product: int,
    *,
    judged: bool,
) -> Iterator[Any]:
    """One strip, or none where the frame shows nothing of it."""
    strip = strip_of(picture, circle, reach_px, full_scale(picture, frame))
    if strip is None:
        return
    row = np.zeros((), STRIP)
    row["near"], row["wide"], row["facts"] = strip.near, strip.wide, strip.facts
    row["judged"], row["product"] = judged, product
    if truth:
        offset, seen = truth.offset_px(circle, strip.azimuth_rad), truth.stands_out(strip.azimuth_rad)
        around = offset if strip.whole or not seen.any() else offset[seen]
        within = bool(np.abs(around).max() < WITHIN * reach_px)
        if within and np.isfinite(offset).all():
            row["offset"], row["departure"] = offset, truth.departure_px(strip.azimuth_rad)
            row["stands_out"], row["limb"] = seen, True
            row["step"] = [truth.circle.x - circle.x, truth.circle.y - circle.y, truth.circle.r - circle.r]
    yield row[()]


def _moved(circle: Circle, reach_px: float, rng: np.random.Generator) -> Circle:
    """A circle moved at random, mostly a little, and never by more than a strip's reach."""
    low, high = math.log(LEAST_MOVE), math.log(LARGEST_MOVE)
    while True:
        x, y, r = rng.normal(0, reach_px * math.exp(rng.uniform(low, high)), 3)
        if math.hypot(x, y) + abs(r) < WITHIN * reach_px and circle.r + r > 0.5 * circle.r:
            return Circle(circle.x + x, circle.y + y, circle.r + r)
