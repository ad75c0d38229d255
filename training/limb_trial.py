"""The limb finder on simulated frames: right, wrong, missed and invented circles, their errors and what they cost."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from detector.frame import Frame
from detector.limb import find_limb
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.scene import Sample
from training.simulate.told import as_filed, by_kernels

Progress = Callable[[int, int], None]

ASKED_ARC_DEG = 40.0
ASKED_RADIUS_PX = 15.0
CLEAN_ARC_DEG = 150.0
CLEAN_RADIUS_PX = 20.0
RECIPE = Recipe(no_limb=0.2)
SMALLEST_PX = 8.0
"""Smaller disks are no more Io than any other dot: a circle there is as good as none."""


@dataclass(frozen=True)
class Trial:
    """One frame.

    Attributes:
        frame_id, instrument: which.
        arc_deg, radius_px: of the true limb: how much of it stands out, and its radius; 0 where there is none.
        asked: whether the limb must be found; ``forbidden``: whether none may be.
        outcome: ``right``, ``wrong``, ``missed``, ``none`` (rightly), ``invented``, or ``other``: no Io, but another
            moon large in the picture, whose limb is a limb; only its label can tell which it is.
        error_px, radius_error_px: of the centre and the radius; NaN without both circles.
        sigma_px: what the finder said of its error.
        seconds: what it took.
        reason: why there was none.

    """

    frame_id: str
    instrument: str
    arc_deg: float
    radius_px: float
    asked: bool
    forbidden: bool
    outcome: str
    error_px: float
    radius_error_px: float
    sigma_px: float
    seconds: float
    reason: str

    @property
    def clean(self) -> bool:
        """A whole, well-lit disk."""
        return self.arc_deg >= CLEAN_ARC_DEG and self.radius_px > CLEAN_RADIUS_PX


def run(
    count: int, seed: int, workers: int, progress: Progress = lambda done, total: None, kernels: bool = False
) -> list[Trial]:
    """Try ``count`` simulated products of all instruments in turn, one frame of each.

    Args:
        count: frames.
        seed: of the frames; keep it apart from those that the finder was tuned on.
        workers: processes.
        kernels: whether SPICE kernels tell the view, or the file alone, which for SRU and pictures tells nothing.
        progress: is told frames done and all.

    """
    trials = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for trial in pool.map(partial(_tried, seed, kernels), range(count), chunksize=4):
            trials.append(trial)
            progress(len(trials), count)
    return trials


def _tried(seed: int, kernels: bool, index: int) -> Trial:
    cv2.setNumThreads(1)
    sample = _drawn(RECIPE, seed, index)
    told = by_kernels(sample.frame, np.random.default_rng([seed, index])) if kernels else as_filed(sample.frame)
    trial = judge(sample, told)
    if sample.scene.geometry is None:
        moonless = _drawn(replace(RECIPE, without=("moon",)), seed, index)
        if not np.array_equal(moonless.scene.backdrop, sample.scene.backdrop):
            return replace(trial, forbidden=False, outcome="other")
    return trial


def _drawn(recipe: Recipe, seed: int, index: int) -> Sample:
    samples = expose(INSTRUMENTS[index % len(INSTRUMENTS)], recipe, seed, index).samples
    return samples[index // len(INSTRUMENTS) % len(samples)]


def judge(sample: Sample, told: Frame) -> Trial:
    """Find the limb of one frame, with the view that it is told, and compare it with the truth."""
    start = time.perf_counter()
    found = find_limb(told)
    seconds = time.perf_counter() - start
    true, arc = sample.limb, sample.visible_arc_deg
    radius = true.radius_px if true.trusted else 0.0
    forbidden = not true.trusted or radius < SMALLEST_PX or arc == 0
    asked = true.trusted and radius >= ASKED_RADIUS_PX and arc >= ASKED_ARC_DEG
    error, radius_error = math.nan, math.nan
    if true.trusted and found.trusted:
        error = math.hypot(found.x_px - true.x_px, found.y_px - true.y_px)
        radius_error = found.radius_px - true.radius_px
    near = error <= max(1.0, 0.01 * radius)
    if not found.trusted:
        outcome = "missed" if asked else "none"
    else:
        outcome = "right" if near else "invented" if forbidden else "wrong"
    instrument = sample.frame.instrument
    return Trial(
        sample.frame.id, instrument, arc, radius, asked, forbidden, outcome, error, radius_error, found.sigma_px,
        seconds, found.reason,
    )  # fmt: skip


def summary(trials: Sequence[Trial]) -> list[str]:
    """What the trials say, in lines."""
    asked = [t for t in trials if t.asked]
    forbidden = [t for t in trials if t.forbidden]
    right = [t for t in trials if t.outcome == "right"]
    clean = [t for t in right if t.clean]
    errors = np.array([t.error_px for t in right])
    within = np.array([t.error_px <= 1.5152 * t.sigma_px for t in right])  # 68.3 % of a circular normal
    lines = [
        f"right on {_share([t.outcome == 'right' for t in asked])} of the frames that show "
        f"{ASKED_ARC_DEG:.0f} degrees of a limb of {ASKED_RADIUS_PX:.0f} px or more",
        f"invented on {_share([t.outcome == 'invented' for t in forbidden])} of the frames without one "
        f"(and {sum(t.outcome == 'other' for t in trials)} frames show another moon instead)",
        f"centre error of the right ones: median {np.median(errors):.3f} px, 95th percentile "
        f"{np.percentile(errors, 95):.3f} px; on {len(clean)} clean disks median "
        f"{np.median([t.error_px for t in clean]):.3f} px, 95th percentile "
        f"{np.percentile([t.error_px for t in clean], 95):.3f} px",
        f"the quoted sigma covers {_share(list(within))}",
        f"{1e3 * np.median([t.seconds for t in trials]):.0f} ms median, "
        f"{1e3 * np.percentile([t.seconds for t in trials], 95):.0f} ms 95th percentile",
    ]
    for instrument in sorted({t.instrument for t in trials}):
        some = [t for t in asked if t.instrument == instrument]
        bad = [t for t in forbidden if t.instrument == instrument]
        lines.append(
            f"  {instrument:<12} right {_share([t.outcome == 'right' for t in some])}, "
            f"wrong {sum(t.outcome == 'wrong' for t in some)}, missed {sum(t.outcome == 'missed' for t in some)}, "
            f"invented {_share([t.outcome == 'invented' for t in bad])}"
        )
    return lines


def _share(flags: Sequence[bool]) -> str:
    hit, count = sum(map(bool, flags)), len(flags)
    return f"{hit} of {count} ({100 * hit / max(count, 1):.1f} %)"


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """One row a frame."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Trial)])
        writer.writeheader()
        writer.writerows(asdict(trial) for trial in trials)
