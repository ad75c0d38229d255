"""Real pictures as somebody else would have published them: other sizes, cuts, turns, tones and compressions.

Few real pictures of Io are at hand. Turned, scaled, cut, toned, overexposed, given noise and compressed anew, one
becomes many that a detector must answer alike: the limb lies where the picture's own limb goes, a plume that is there
is found, and where there is none nothing is reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.detect import Detector, Result
from detector.errors import InputError
from detector.frame import CLASSES, Frame
from detector.limb import Limb, find_limb
from detector.products import find_products
from detector.readers import read_frames
from training.simulate.dice import log_uniform
from training.simulate.display import WHITE, jpeg

Progress = Callable[[int, int], None]
RETAKEN_PX = (250.0, 1400.0)
"""Longer side of a retake that shows all of a picture."""
SIDES_PX = (256, 400, 512, 800, 1024)
SMALLEST_DISK_PX, LARGEST_DISK = 20.0, 0.9
"""Radius of the smallest disk, and of the largest in sides of the picture."""
ENLARGED = 1.5
"""A picture is enlarged no more than that: it has no finer detail."""
LEAST_ARC_DEG = 40
NEAR_PX, NEAR_SHARE = 1.0, 0.01
"""A limb is right when its centre is within so many px, or this share of the radius."""
PLUME_NEAR_PX, PLUME_NEAR_SHARE = 4.0, 0.12
"""A plume is the one that is there within so much of its place."""


def retaken(frame: Frame, rng: np.random.Generator) -> Frame:
    """All of a picture in another size, tone and compression, 8 bits."""
    factor = min(log_uniform(rng, *RETAKEN_PX) / max(frame.shape), 1.0)
    image = cv2.resize(frame.image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return published(frame, np.asarray(image, np.float32), rng)


def published(frame: Frame, image: NDArray[np.float32], rng: np.random.Generator) -> Frame:
    """A picture (H, W) in any unit as 8 bits: tone curve, over- or underexposure, noise, mostly JPEG."""
    low, high = float(image.min()), float(np.percentile(image, 99.9))
    toned = np.clip((image - low) / max(high - low, 1e-6), 0, 1) ** rng.uniform(0.5, 1.5)
    noisy = WHITE * toned * rng.uniform(0.8, 1.3) + rng.normal(0, rng.uniform(0, 2), toned.shape)
    grey = np.clip(np.rint(noisy), 0, WHITE).astype(np.uint8)
    seen = jpeg(grey, int(rng.integers(50, 96)) if rng.random() < 0.7 else 0)
    return replace(frame, image=seen, valid=np.ones(seen.shape, np.bool_))


@dataclass(frozen=True)
class Retake:
    """A part of a picture, turned and scaled.

    Attributes:
        frame: what is to be looked at.
        limb: where the picture's limb is on it. point: (x, y) of what was kept in sight; NaN where nothing was.

    """

    frame: Frame
    limb: Limb
    point: tuple[float, float]

    @property
    def arc_deg(self) -> int:
        """How much of the limb is on the picture."""
        angle = np.radians(np.arange(360))
        x = self.limb.x_px + self.limb.radius_px * np.cos(angle)
        y = self.limb.y_px + self.limb.radius_px * np.sin(angle)
        rows, columns = self.frame.shape
        return int(((x > 2) & (x < columns - 3) & (y > 2) & (y < rows - 3)).sum())


def retake(frame: Frame, limb: Limb, rng: np.random.Generator, keep: tuple[float, float] | None = None) -> Retake:
    """Take a picture anew: turned by any angle, perhaps mirrored, scaled to a disk of 20 px up to most of the frame.

    Args:
        frame: a picture.
        limb: of Io in it.
        rng: chance.
        keep: (x, y) that stays in sight on a picture too small for the disk; else a part of the limb does.

    """
    side = int(rng.choice(SIDES_PX))
    radius = min(log_uniform(rng, SMALLEST_DISK_PX, LARGEST_DISK * side), ENLARGED * limb.radius_px)
    scale, angle = radius / limb.radius_px, rng.uniform(0, 2 * np.pi)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turn = turn @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
    middle = np.array([limb.x_px, limb.y_px])
    aim = rng.uniform(0, 2 * np.pi)
    kept = middle + limb.radius_px * np.array([math.cos(aim), math.sin(aim)]) if keep is None else np.array(keep)
    if radius < 0.4 * side:
        place = rng.uniform(1.1 * radius, side - 1.1 * radius, 2) - turn @ middle
    else:
        place = rng.uniform(0.25 * side, 0.75 * side, 2) - turn @ kept
    source = frame.image if scale > 0.7 else cv2.GaussianBlur(frame.image, (0, 0), 0.42 / scale)
    sky = float(np.percentile(frame.image, 1))
    image = cv2.warpAffine(source, np.c_[turn, place], (side, side), flags=cv2.INTER_LINEAR, borderValue=sky)
    x, y = turn @ middle + place
    point = turn @ np.array(keep) + place if keep is not None else np.full(2, np.nan)
    shown = published(frame, np.asarray(image, np.float32), rng)
    return Retake(shown, Limb(float(x), float(y), radius), (float(point[0]), float(point[1])))


@dataclass(frozen=True)
class Count:
    """What was answered on the retakes of one picture.

    Attributes:
        name: of its file.
        retakes: how many showed 40 degrees of the limb or more.
        limbs: on how many of them the limb was right.
        found: on how many the plume that is there was reported; ``asked``: whether one is there.
        false: plumes that are not there, and hot spots, by class.

    """

    name: str
    retakes: int
    limbs: int
    found: int
    asked: bool
    false: dict[str, int]

    def line(self) -> str:
        """For a person."""
        plume = f", its plume found on {self.found}" if self.asked else ""
        false = ", ".join(f"{self.false[kind]} false {kind}s" for kind in CLASSES)
        return f"{self.name}: {self.retakes} retakes, limb right on {self.limbs}{plume}, {false}"


@dataclass(frozen=True)
class Known:
    """A picture and what is known of it.

    Attributes:
        file: of the picture.
        plume: (x, y) of the one plume that is there; None where there is none.
        limb: of Io, px; None where the finder's own is to be taken.

    """

    file: Path
    plume: tuple[float, float] | None = None
    limb: Limb | None = None

    @classmethod
    def read(cls, text: str) -> Known:
        """Read ``FILE``, ``FILE@X,Y`` (a plume), ``FILE@X,Y,RADIUS`` (the limb) or both, one after the other.

        Raises:
            InputError: what follows an @ are not two or three numbers.

        """
        file, plume, limb = text, None, None
        while "@" in file and not Path(file).exists():
            file, _, place = file.rpartition("@")
            try:
                numbers = [float(part) for part in place.split(",")]
                if len(numbers) == 2:
                    plume = (numbers[0], numbers[1])
                else:
                    x, y, radius = numbers
                    limb = Limb(x, y, radius, source="user")
            except ValueError as error:
                what = f"{place!r} is neither X,Y nor X,Y,RADIUS"
                raise InputError(text, what, "write for example io.jpg@282,40 or io.jpg@330,339,295") from error
        return cls(Path(file), plume, limb)


def trial(
    pictures: Sequence[Known],
    count: int,
    seed: int,
    detector: Detector,
    progress: Progress = lambda done, total: None,
) -> list[Count]:
    """Look at ``count`` retakes of each picture.

    Args:
        pictures: files, and what is known of each.
        count, seed: of the retakes.
        detector: whose answers are counted.
        progress: is told retakes done and all.

    Raises:
        InputError: a file is no picture, its plume lies beside it, or no limb is trusted in it as it is.

    """
    counts: list[Count] = []
    for number, known in enumerate(pictures):
        frame, limb = _picture(known)
        shown: list[tuple[Retake, Result]] = []
        for index in range(count):
            one = retake(frame, limb, np.random.default_rng([seed, number, index]), known.plume)
            if one.arc_deg >= LEAST_ARC_DEG:
                shown.append((one, detector(one.frame)))
            progress(number * count + index + 1, len(pictures) * count)
        counts.append(_counted(known.file.name, shown, known.plume is not None))
    return counts


def _picture(known: Known) -> tuple[Frame, Limb]:
    file, plume = known.file, known.plume
    products = find_products([file])
    if not products:
        raise InputError(file, "is no picture that can be read", "name pictures that show Io's limb")
    frame = read_frames(products[0])[0]
    rows, columns = frame.shape
    if plume is not None and not (0 <= plume[0] < columns and 0 <= plume[1] < rows):
        raise InputError(file, f"its plume at {plume} lies beside its {columns} x {rows} px", "write FILE@COLUMN,ROW")
    limb = known.limb or find_limb(frame)
    if not limb.trusted:
        raise InputError(file, f"no limb is trusted in it: {limb.reason}", "write FILE@X,Y,RADIUS, or name another")
    return frame, limb


def _counted(name: str, shown: Sequence[tuple[Retake, Result]], asked: bool) -> Count:
    limbs = found = 0
    false = dict.fromkeys(CLASSES, 0)
    for one, result in shown:
        limbs += _right(result.limb, one.limb)
        reach = PLUME_NEAR_PX + PLUME_NEAR_SHARE * one.limb.radius_px
        near = [d.kind == "plume" and math.dist((d.x_px, d.y_px), one.point) < reach for d in result.detections]
        found += any(near)
        for row, own in zip(result.detections, near, strict=True):
            false[row.kind] += not own
    return Count(name, len(shown), limbs, found, asked, false)


def _right(limb: Limb, true: Limb) -> bool:
    near = max(NEAR_PX, NEAR_SHARE * true.radius_px)
    return limb.trusted and math.hypot(limb.x_px - true.x_px, limb.y_px - true.y_px) <= near
