"""How likely a region is a true eruption: the second look, with what the network cannot know.

The network judges pixels. Whether its region is an eruption also depends on the camera, on whether there is a limb (a
point of light beyond no known disk may be a star), on how many such regions the frame holds, and on whether the bright
pixels are as wide as the optics make a point. A sum of small decision trees (Friedman 2001, Ann. Statist. 29, 1189)
weighs these against each other; it is fitted on validation frames by ``training.release`` and travels in the model
file. Its answer is the region's score: the probability that the region is true, on frames like those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detector.card import Threshold
from detector.errors import ModelError
from detector.frame import CLASSES, Frame
from detector.levels import Levels
from detector.limb import GUESS, Limb
from detector.regions import Region, altitude_px, azimuth_deg, ordered, span_deg

JUDGE_KEY = "judge"
MARGIN_PX = 4
"""The surroundings that a region is compared with."""
REACH_PX = 2
"""Half the side of the square around the brightest pixel that is compared with a point's image."""
UNKNOWN_REACH, MOST_RADII = 0.2, 9.0
"""Share of the frame's shorter side that Io's radius may be where nothing tells it; distances beyond are as good."""
POINT_SIGMAS_PX = (0.35, 0.5, 0.7, 1.0, 1.4)
SUB_PIXEL = (-0.4, -0.2, 0.0, 0.2, 0.4)
CAMERAS = ("galileo_ssi", "junocam", "jiram", "sru")
FEATURES = (
    "score_logit", "peak_logit", "other_logit", "log_area", "peak_snr", "peak_over_relief", "background",
    "peak_over_bright", "second", "third", "sharpness", "compactness", "misfit", "width", "fill", "fellows", "limb",
    "log_radius", "arc", "peak_altitude", "top", "bottom", "span", "near_fellows", "near_share", "nearest",
    "mean_distance", "over_brightest", "over_median", "brighter", "range_known", "foreseen_radius", "place_foreseen",
    "foreseen_offset", *CAMERAS,
)  # fmt: skip
Floats = NDArray[np.float64]


class Tree(BaseModel):
    """One decision tree: node 0 is the root; a node with ``feature`` -1 is a leaf and adds its ``value``.

    Elsewhere the way goes ``left`` where the feature is at most ``threshold``, else ``right``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: tuple[Annotated[int, Field(ge=-1, lt=len(FEATURES))], ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def __call__(self, rows: NDArray[np.float32]) -> Floats:
        """(n, features) -> (n,) value of the leaf that each row ends in."""
        feature, threshold = np.array(self.feature), np.array(self.threshold)
        left, right = np.array(self.left), np.array(self.right)
        node = np.zeros(len(rows), int)
        for _ in feature:  # no path is longer than the tree has nodes
            inner = feature[node] >= 0
            if not inner.any():
                break
            low = rows[np.arange(len(rows)), feature[node]] <= threshold[node]
            node = np.where(inner, np.where(low, left[node], right[node]), node)
        return np.array(self.value)[node]


class Judge(BaseModel):
    """The trees of each class. A class without trees keeps the network's own score.

    Attributes:
        features: names of the columns the trees were fitted on, of ``FEATURES``.
        start: log-odds before any tree, by class.
        trees: by class; each adds to the log-odds.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[str, ...] = FEATURES
    start: dict[str, float] = {}
    trees: dict[str, tuple[Tree, ...]] = {}

    @classmethod
    def read(cls, text: str, source: Path) -> Judge:
        """Read what a model file carries.

        Raises:
            ModelError: it is no judge, or asks for features that are not measured here.

        """
        try:
            judge = cls.model_validate_json(text)
        except ValidationError as error:
            raise ModelError(source, f"its judge of regions is not valid: {error}") from error
        if unknown := [name for name in judge.features if name not in FEATURES]:
            asked = ", ".join(unknown)
            raise ModelError(source, f"its judge of regions asks for features that this version does not know: {asked}")
        return judge

    def probability(self, kind: str, rows: Floats) -> Floats:
        """(n, ``FEATURES``) -> (n,) probability that a region of this class is true."""
        table = rows[:, [FEATURES.index(name) for name in self.features]].astype(np.float32)
        odds = np.full(len(table), self.start[kind])
        for tree in self.trees[kind]:
            odds += tree(table)
        return 1 / (1 + np.exp(-odds))

    def __call__(
        self, frame: Frame, limb: Limb, scores: NDArray[np.float32], regions: Sequence[Region]
    ) -> tuple[Region, ...]:
        """Return the regions with their probabilities as scores, in the order of :func:`detector.regions.ordered`.

        Args:
            frame: the frame.
            limb: the limb that the scores rest on.
            scores: (2, H, W) float32 of the network.
            regions: found in them.

        """
        asked = [region for region in regions if region.kind in self.trees]
        if not asked:
            return ordered(regions)
        rows = features_of(frame, limb, scores, regions)
        judged = list(regions)
        for kind in self.trees:
            mine = [n for n, region in enumerate(regions) if region.kind == kind]
            if mine:
                for n, probability in zip(mine, self.probability(kind, rows[mine]), strict=True):
                    judged[n] = replace(regions[n], score=float(probability))
        return ordered(judged)


def likely(regions: Sequence[Region], thresholds: Mapping[str, Threshold]) -> tuple[Region, ...]:
    """Return the regions whose score reaches their class's threshold, in the order given."""
    return tuple(region for region in regions if region.score >= thresholds[region.kind].score)


# ---------------------------------------------------------------------------------------------------------- features


def features_of(frame: Frame, limb: Limb, scores: NDArray[np.float32], regions: Sequence[Region]) -> Floats:
    """(n, features) what the judge knows of each region, in the order of ``FEATURES``; every number finite."""
    levels = frame.levels
    fellows = {kind: sum(region.kind == kind for region in regions) for kind in CLASSES}
    peaks = np.array([region.peak(frame) for region in regions]).reshape(-1, 2)
    light = [_light(frame, levels, region) for region in regions]
    company = _company(regions, peaks, np.array([each[0] for each in light]), _reach_px(frame, limb))
    rows = [
        (
            *_probabilities(region, scores),
            *light[n],
            region.area_px / region.pixels.size,
            math.log1p(fellows[region.kind]),
            *_place(peaks[n], limb.for_plumes if region.kind == "plume" else limb, region),
            *company[n],
            *_foreseen(frame, peaks[n]),
            *(float(frame.instrument == camera) for camera in CAMERAS),
        )
        for n, region in enumerate(regions)
    ]
    return np.array(rows, float).reshape(len(regions), len(FEATURES))


def _reach_px(frame: Frame, limb: Limb) -> float:
    """Radius of Io: predicted, else of the limb, else what Io may have."""
    predicted = frame.view.io_radius_px
    if predicted > 0:
        return predicted
    return limb.radius_px if limb.trusted else UNKNOWN_REACH * min(frame.shape)


def _company(regions: Sequence[Region], peaks: Floats, snr: Floats, reach_px: float) -> Floats:
    """(n, 7) how each region stands among the others of its class on the frame.

    Hot spots lie together on one disk and are brighter than most stars, which lie everywhere. So: how many are within
    Io's diameter, and their share of all; how far the nearest and the mean one are, in radii; how much brighter it is
    than the brightest and the middle one; and the share of brighter ones.
    """
    rows = np.tile([0.0, 1.0, MOST_RADII, 0.0, 0.0, 0.0, 0.0], (len(regions), 1))
    kinds = np.array([region.kind for region in regions])
    for n in range(len(regions)):
        others = np.flatnonzero((kinds == kinds[n]) & (np.arange(len(regions)) != n))
        if not others.size:
            continue
        away = np.hypot(*(peaks[others] - peaks[n]).T) / reach_px
        near = int((away < 2).sum())
        over = snr[n] - snr[others]
        rows[n] = (
            math.log1p(near),
            near / others.size,
            min(float(away.min()), MOST_RADII),
            float(np.minimum(away, MOST_RADII).mean()),
            float(over.min()),
            float(np.median(over)),
            float((over < 0).mean()),
        )
    return rows


def _foreseen(frame: Frame, peak: Floats) -> tuple[float, float, float, float]:
    """Whether Io's size is predicted, and that; whether its place is, and how far from there the region is, radii."""
    view = frame.view
    radius = view.io_radius_px
    if not radius > 0:
        return 0.0, 0.0, 0.0, 0.0
    size = math.log(radius / 50)
    if not math.isfinite(view.centre_x_px + view.centre_y_px):
        return 1.0, size, 0.0, 0.0
    offset = math.hypot(peak[0] - view.centre_x_px, peak[1] - view.centre_y_px) / radius
    return 1.0, size, 1.0, min(offset, MOST_RADII)


def _probabilities(region: Region, scores: NDArray[np.float32]) -> tuple[float, ...]:
    mine = CLASSES.index(region.kind)
    own, other = (np.nan_to_num(scores[plane][region.box][region.pixels]).max() for plane in (mine, 1 - mine))
    return _logit(region.score), _logit(float(own)), _logit(float(other)), math.log(region.area_px)


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-7), 1 - 1e-7)
    return math.log(inside / (1 - inside))


def _light(frame: Frame, levels: Levels, region: Region) -> tuple[float, ...]:
    """Brightness above the surroundings, and how the light lies around the brightest pixel."""
    box = region.grown_box(MARGIN_PX, frame.shape)
    inside, valid = region.within(box), frame.valid[box]
    signal = np.where(valid, (frame.image[box].astype(float) - levels.sky) / levels.sigma, 0.0)
    around = signal[~inside & valid]
    background = float(np.median(around)) if around.size else 0.0
    relief = 1.4826 * float(np.median(np.abs(around - background))) if around.size else 1.0
    excess = np.where(valid, signal - background, 0.0)
    row, column = divmod(int(np.where(inside, excess, -np.inf).argmax()), excess.shape[1])
    square = _square(excess, row, column)
    peak = float(excess[row, column])
    core = np.sort(square[1:-1, 1:-1].ravel())[::-1]
    gathered = np.clip(core, 0, None).sum()
    misfit, width = _point_likeness(square)
    return (
        math.asinh(peak),
        math.asinh(peak / max(relief, 0.3)),
        math.asinh(background),
        peak * levels.sigma / levels.bright,
        float(core[1]) / max(peak, 1e-6),
        float(core[2]) / max(peak, 1e-6),
        peak / max(float(gathered), 1e-6),
        float(gathered) / max(float(np.clip(square, 0, None).sum()), 1e-6),
        misfit,
        width,
    )


def _square(excess: Floats, row: int, column: int) -> Floats:
    """(5, 5) around a pixel; 0 beyond the border."""
    padded = np.pad(excess, REACH_PX)
    return padded[row : row + 2 * REACH_PX + 1, column : column + 2 * REACH_PX + 1]


def _points() -> tuple[Floats, Floats]:
    """(m, 25) images of a point through Gaussian optics at sub-pixel places, of unit norm, and their (m,) widths."""
    y, x = np.mgrid[-REACH_PX : REACH_PX + 1, -REACH_PX : REACH_PX + 1]
    images, widths = [], []
    for sigma in POINT_SIGMAS_PX:
        for dy in SUB_PIXEL:
            for dx in SUB_PIXEL:
                image = np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / (2 * sigma**2)).ravel()
                images.append(image / np.linalg.norm(image))
                widths.append(sigma)
    return np.array(images), np.array(widths)


_POINTS, _WIDTHS = _points()


def _point_likeness(square: Floats) -> tuple[float, float]:
    """Log of the share of the square's power that no point's image explains, and the best image's width in pixels."""
    light = square.ravel()
    power = max(float(light @ light), 1e-9)
    fitted = _POINTS @ light
    best = int(fitted.argmax())
    unexplained = 1 - max(float(fitted[best]), 0.0) ** 2 / power
    return math.log(max(unexplained, 0.0) + 1e-4), float(_WIDTHS[best])


def _place(peak: Floats, limb: Limb, region: Region) -> tuple[float, ...]:
    """How sure the limb is; where the region lies on it: radii above it, and how far along it; zeros without a limb."""
    if not limb.trusted:
        return (0.0,) * 7
    x, y = region.points()
    altitude = altitude_px(x, y, limb) / limb.radius_px
    arc = limb.arc_deg / 360 if math.isfinite(limb.arc_deg) else 0.0
    span = span_deg(azimuth_deg(x, y, limb)) / 60
    at_peak = (math.hypot(peak[0] - limb.x_px, peak[1] - limb.y_px) - limb.radius_px) / limb.radius_px
    top, bottom = float(altitude.max()), float(altitude.min())
    return 0.5 if limb.source == GUESS else 1.0, math.log(limb.radius_px / 50), arc, at_peak, top, bottom, span
