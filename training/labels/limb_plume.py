"""Limb points and plume intervals in YAML: the form of Cameron, Doran and Wagstaff's labels (10.5281/zenodo.2556063).

::

    points: [[x, y], ...]                     pixels on the limb; the least-squares circle through them is the limb
    plumes: {intervals: [[start, stop], ...]} radians along the limb, 0 = up, clockwise
    user: who

An integer is a pixel's centre. Plumes were looked for along the whole limb, and nothing else was looked for: the
labels say nothing about the disk, the sky farther up, or hot spots. A file is called after its frame, with ``_label``
behind it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import least_squares

from detector.errors import InputError
from detector.limb import Limb
from training.labels.documents import Part, Problems, parsed, read_yaml
from training.labels.picture_labels import PictureLabels
from training.labels.truth import LabelledFrame, LimbInterval, Truth

OFF_CIRCLE = 0.1
"""Points farther than this off the circle, in radii, were not set on one limb."""
POINTS_WRITTEN = 12
SUFFIX = re.compile(r"[_-]labels?$", re.IGNORECASE)
ENDINGS = (".yml", ".yaml")


class Plumes(Part):
    """The plumes of a file."""

    intervals: list[tuple[float, float]] | None = None


class Sheet(Part):
    """The file."""

    points: list[tuple[float, float]] = Field(min_length=3)
    plumes: Plumes | None = None


def read(path: Path) -> list[PictureLabels]:
    """Read what a file says about its frame.

    Raises:
        InputError: it is not of this form, its points lie on no circle, or an interval cannot be.

    """
    sheet = parsed(Sheet, read_yaml(path), path)
    problems = Problems()
    limb = Limb.none("")
    with problems.noted():
        limb = fit_limb(path, np.asarray(sheet.points, float))
    intervals = []
    for start, stop in (sheet.plumes and sheet.plumes.intervals) or []:
        with problems.noted():
            intervals.append(_interval(path, start, stop))
    problems.refuse(path)
    name = SUFFIX.sub("", path.stem)
    return [PictureLabels(path, name, None, (), ("plume",), limb, tuple(intervals), by_limb=True)]


def fit_limb(path: Path, points: NDArray[np.float64]) -> Limb:
    """Circle with the least sum of squared distances from the points.

    Args:
        path: the file that they are from.
        points: (n, 2) x, y in pixels, n >= 3.

    Returns:
        the limb; its ``sigma_px`` is the points' scatter over the root of their count, NaN for three of them.

    Raises:
        InputError: they are not finite, lie on a line, or do not lie on one circle.

    """
    if not np.isfinite(points).all():
        x, y = points[~np.isfinite(points).all(axis=1)][0]
        raise InputError(path, f"points: ({x:g}, {y:g}) is not a finite number")
    middle = points.mean(axis=0)
    matrix = np.column_stack([2 * (points - middle), np.ones(len(points))])
    if np.linalg.matrix_rank(matrix, tol=1e-6 * np.abs(matrix).max()) < 3:
        raise InputError(path, f"the {len(points)} points lie on a line or in one place: no circle goes through them")
    start = np.linalg.lstsq(matrix, ((points - middle) ** 2).sum(axis=1), rcond=None)[0]  # Kåsa's, to begin with
    radius = math.sqrt(max(start[2] + start[0] ** 2 + start[1] ** 2, 1.0))
    fit = least_squares(_off, [*(start[:2] + middle), radius], args=(points,))
    x, y, radius = (float(number) for number in fit.x)
    worst = int(np.abs(fit.fun).argmax())
    if radius <= 0 or abs(fit.fun[worst]) > OFF_CIRCLE * radius:
        px, py = points[worst]
        circle = f"of radius {radius:.1f} px around ({x:.1f}, {y:.1f})"
        raise InputError(path, f"point ({px:g}, {py:g}) lies {fit.fun[worst]:.1f} px off the circle {circle}")
    free = len(points) - 3
    sigma = math.sqrt(float((fit.fun**2).sum()) / free / len(points)) if free else math.nan
    return Limb(x, y, radius, sigma, source="label")


def _off(circle: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(points[:, 0] - circle[0], points[:, 1] - circle[1]) - circle[2]


def _interval(path: Path, start: float, stop: float) -> LimbInterval:
    interval = LimbInterval("plume", start, stop)
    if not (math.isfinite(start) and math.isfinite(stop)):
        raise InputError(path, f"plumes.intervals: [{start:g}, {stop:g}] is not finite")
    if not (abs(stop - start) < 2 * math.pi and 0 < interval.width_rad <= math.pi):
        problem = f"[{start:g}, {stop:g}] runs {stop - start:g} rad clockwise, expected more than 0 and at most pi"
        raise InputError(path, f"plumes.intervals: {problem}", "radians along the limb, 0 = up, clockwise")
    return interval


# -- writing ----------------------------------------------------------------------------------------------------------


def sheet(labelled: LabelledFrame) -> dict[str, Any]:
    """Build the file about one frame, which must have a limb: its circle by points, plumes by their stretch of it."""
    limb = labelled.limb
    turns = 2 * np.pi * np.arange(POINTS_WRITTEN) / POINTS_WRITTEN
    points = [
        [float(limb.x_px + limb.radius_px * np.sin(turn)), float(limb.y_px - limb.radius_px * np.cos(turn))]
        for turn in turns
    ]
    intervals = [one for one in labelled.limb_intervals if one.kind == "plume"]
    intervals += [stretch(one, limb) for one in labelled.objects if one.kind == "plume" and at_limb(one, limb)]
    return {
        "plumes": {"intervals": [[one.start_rad, one.stop_rad] for one in intervals]},
        "points": points,
        "user": "io-detector",
    }


def stretch(truth: Truth, limb: Limb) -> LimbInterval:
    """Give the stretch of limb that an object's pixels stand over: the circle less the largest gap between them."""
    x, y = _from_centre(truth, limb)
    angles = np.unique(np.arctan2(x, -y) % (2 * np.pi))
    half = 0.5 / limb.radius_px  # a pixel reaches half a pixel to each side of its centre
    gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
    last = int(gaps.argmax())
    start, stop = float(angles[(last + 1) % angles.size]) - half, float(angles[last]) + half
    return LimbInterval(truth.kind, start, stop if stop > start else stop + 2 * math.pi, truth.name)


def at_limb(truth: Truth, limb: Limb) -> bool:
    """Whether an object has pixels as far out as the limb: of a plume before the disk no stretch of limb can tell."""
    x, y = _from_centre(truth, limb)
    return bool((np.hypot(x, y) >= limb.radius_px).any())


def _from_centre(truth: Truth, limb: Limb) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) x and (n,) y of an object's pixels from the limb's centre."""
    rows, columns = (indices.astype(np.float64) for indices in np.nonzero(truth.patch))
    return columns + truth.x0_px - limb.x_px, rows + truth.y0_px - limb.y_px


def text(labelled: LabelledFrame) -> str:
    """Write the file about one frame."""
    return yaml.safe_dump(sheet(labelled), default_flow_style=None, sort_keys=True)
