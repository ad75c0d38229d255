"""What an evaluation says: the types of ``report.json``, and the one page ``report.html`` drawn from them.

``report.json`` is ``Report`` written out: dataclass fields are keys, NaN is null, ``schema_version`` grows when a key
changes its meaning or goes. Proportions stand with their counts (``part`` of ``whole``) and a 95 % interval.
``report.html`` holds everything it shows: no link leads out of it.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from detector.card import OPERATING_POINTS
from detector.frame import CLASSES
from training.accuracy import Accuracy
from training.metrics import Bin, Froc, Reliability, Tally
from training.rival_curves import RivalCurve, Rivals

SCHEMA_VERSION = 1
COLOURS = {"screening": "#0072B2", "confident": "#D55E00", "truth": "#56E0B4", "found": "#FFB000", "limb": "#E58AC0"}
"""Okabe and Ito's palette: told apart by colour-blind readers and in grey print."""
NAMES = {"plume": ("plume", "plumes"), "hotspot": ("hot spot", "hot spots")}


# ------------------------------------------------------------------------------------------------------------- types


@dataclass(frozen=True)
class Measured:
    """A ratio with its counts and its 95 % interval; ``low`` and ``high`` are NaN where they cannot be given."""

    value: float
    low: float
    high: float
    part: float
    whole: float


@dataclass(frozen=True)
class ClassScores:
    """One class at one operating point on some labelled frames.

    Attributes:
        frames: how many.
        objects: counted objects; ``ignored``: regions on faint objects only, which no score counts.
        recall, precision, f1: of objects, with intervals by observation.
        false_per_frame: false alarms a frame.
        pixels: counted pixels; ``pixel_precision``, ``pixel_recall``, ``pixel_iou`` follow from them.

    """

    frames: int
    objects: Tally
    ignored: int
    recall: Measured
    precision: Measured
    f1: Measured
    false_per_frame: Measured
    pixels: Tally
    pixel_precision: float
    pixel_recall: float
    pixel_iou: Measured


@dataclass(frozen=True)
class Finds:
    """What was reported, without asking whether it is true: all that unlabelled frames can tell.

    Attributes:
        frames, regions, frames_hit: frames, regions reported, frames with at least one.
        per_frame: regions a frame.
        empty_frames, empty_hit, empty_regions: the same on frames where labels say that there is nothing.
        per_empty_frame: false alarms a frame there.

    """

    frames: int
    regions: int
    frames_hit: int
    per_frame: Measured
    empty_frames: int
    empty_regions: int
    empty_hit: int
    per_empty_frame: Measured


@dataclass(frozen=True)
class Group:
    """The scores of the frames that share an instrument or a filter."""

    by: str
    name: str
    point: str
    scores: ClassScores


@dataclass(frozen=True)
class ClassReport:
    """One class. On unlabelled frames only ``finds`` is filled.

    Attributes:
        finds: what was reported, by operating point.
        points: scores by operating point.
        groups: scores by instrument, by filter, and by what became of the limb (right, wrong, missed, none, invented).
        by_snr: objects found in bins of ``snr_mf`` (faint ones too), by operating point.
        half_snr: ``snr_mf`` at which half of the objects are found, by operating point; NaN where the data do not tell.
        froc: free-response curve over the score of candidate regions.
        average_precision: of candidate regions; NaN where there is nothing to find.
        reliability: of the scores of candidate regions.
        rivals: what others find, held to the same false alarms, and the perfect filter; none unless given.

    Candidate regions are those of the screening point with its seed lowered to its grow threshold.

    """

    finds: Mapping[str, Finds]
    points: Mapping[str, ClassScores] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    by_snr: Mapping[str, list[Bin]] = field(default_factory=dict)
    half_snr: Mapping[str, float] = field(default_factory=dict)
    froc: Froc | None = None
    average_precision: float = math.nan
    reliability: Reliability | None = None
    rivals: tuple[RivalCurve, ...] = ()


@dataclass(frozen=True)
class LimbScores:
    """How the limb finder did. A circle is right when its centre is within max(1 px, 1 % of the radius) of the truth.

    Attributes:
        found: frames with a trusted circle, of all.
        right: of the frames with a true circle.
        wrong, missed: a circle elsewhere; none although there is one.
        invented, none: where the labels name no circle: one was found all the same; none was.
        median_offset_px, median_radius_error_px: of the right circles; NaN where there are none.

    """

    found: Measured
    right: Measured
    wrong: int
    missed: int
    invented: int
    none: int
    median_offset_px: float
    median_radius_error_px: float


@dataclass(frozen=True)
class Speed:
    """Median wall-clock time a frame on the machine that judged, in ms; reading the file is left out.

    ``peak_memory_mb`` is the most that the judging process held, pictures for the page and all.
    """

    limb_ms: float
    model_ms: float
    whole_ms: float
    median_megapixels: float
    peak_memory_mb: float = math.nan


@dataclass(frozen=True)
class ObjectRecord:
    """A true object and whether it was found.

    Attributes:
        found: by operating point.
        candidate_score: of the candidate region on it; NaN where there is none.
        faint: ``snr_mf`` < 5: not counted in any score.

    """

    kind: str
    object_id: str
    name: str
    family: str
    snr_mf: float
    area_px: int
    faint: bool
    found: Mapping[str, bool]
    candidate_score: float


@dataclass(frozen=True)
class RegionRecord:
    """A reported region and what became of it: ``true``, ``false``, ``ignored``, or ``unjudged`` (nobody looked)."""

    point: str
    kind: str
    score: float
    verdict: str
    x_px: float
    y_px: float
    area_px: int


@dataclass(frozen=True)
class FrameRecord:
    """Everything counted on one frame; every summary is a sum over these.

    Attributes:
        labelled, empty: whether there are labels; whether they say that there is nothing at all.
        limb: ``right``, ``wrong``, ``missed``, ``invented``, ``none``; unlabelled: ``found`` or ``none``.
        limb_offset_px, limb_radius_error_px: found minus true circle; NaN where there is no such pair.
        pixels: by operating point and class; empty where no pixels were labelled.
        regions: of both operating points, and the ``candidate`` ones.
        limb_s, model_s, whole_s: seconds.
        looked_for: the classes that were labelled; a frame counts for these only.
        disk_radius_px: of the labelled limb; NaN without one.
        phase_deg: Sun-Io-spacecraft angle, as the label says; NaN where it does not.

    """

    frame_id: str
    file: str
    observation: str
    instrument: str
    filter: str
    megapixels: float
    labelled: bool
    empty: bool
    limb: str
    limb_offset_px: float
    limb_radius_error_px: float
    pixels: Mapping[str, Mapping[str, Tally]]
    objects: tuple[ObjectRecord, ...]
    regions: tuple[RegionRecord, ...]
    limb_s: float
    model_s: float
    whole_s: float
    looked_for: tuple[str, ...] = CLASSES
    disk_radius_px: float = math.nan
    phase_deg: float = math.nan


@dataclass(frozen=True)
class DatasetSummary:
    """What was judged on.

    Attributes:
        name: the folder's.
        labelled: whether it has labels.
        split: the split that was used; empty for all.
        frames, observations: judged.
        objects, faint: demanded and faint objects by class.
        empty_frames: with nothing to find.
        lock_sha256: of ``dataset.lock``; empty without one.
        made: how the dataset says it was made.
        failed: frames and files that could not be judged, and why.

    """

    name: str
    labelled: bool
    split: str
    frames: int
    observations: int
    objects: Mapping[str, int]
    faint: Mapping[str, int]
    empty_frames: int
    lock_sha256: str
    made: Mapping[str, object]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """A cut-out to look at.

    Attributes:
        kind: class.
        verdict: ``found``, ``missed``, ``false``, or ``reported`` (unlabelled).
        rank: the larger, the sooner it is shown.
        frame_id, caption: what is seen.
        image: (h, w) float32, asinh-stretched, in units of the sky noise.
        truth, found: (h, w) bool outlines of the class: truth, and the screening point.
        limb: x, y, radius in the cut-out's pixels; NaN for none.

    """

    kind: str
    verdict: str
    rank: float
    frame_id: str
    caption: str
    image: NDArray[np.float32]
    truth: NDArray[np.bool_]
    found: NDArray[np.bool_]
    limb: tuple[float, float, float]


@dataclass(frozen=True)
class Difference:
    """Free-response scores of both models, and the 95 % interval of their difference; NaN without objects."""

    ours: float
    theirs: float
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``not distinguishable``."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not distinguishable"


@dataclass(frozen=True)
class Comparison:
    """How a model does beside another on the same frames.

    Attributes:
        other: ``name@version`` of the other model, and the head of its sha256.
        by_class: for each class.
        whole: averaged over the classes that have objects.
        verdict: ``better``, ``worse`` or ``not distinguishable``, of ``whole``.
        rates: the false-alarm rates of the score.

    """

    other: str
    by_class: Mapping[str, Difference]
    whole: Difference
    verdict: str
    rates: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """The whole evaluation.

    Attributes:
        schema_version: of ``report.json``.
        model: name, file, sha256 and the card.
        dataset: what was judged on.
        classes: by class.
        limb, speed: the limb finder; time.
        frames: what was counted on each frame.
        examples: cut-outs for the page; not in ``report.json``.
        accuracy: errors of what was measured on found objects, at the confident point.
        comparison: with another model; None where none was asked for.
        rivals_judged_on: name, frames and lock of the frames that the rivals' curves were made on; empty without them.

    """

    model: Mapping[str, object]
    dataset: DatasetSummary
    classes: Mapping[str, ClassReport]
    limb: LimbScores
    speed: Speed
    frames: tuple[FrameRecord, ...]
    examples: tuple[Example, ...] = ()
    schema_version: int = SCHEMA_VERSION
    rivals_judged_on: Mapping[str, object] = field(default_factory=dict)
    accuracy: tuple[Accuracy, ...] = ()
    comparison: Comparison | None = None

    def with_rivals(self, rivals: Rivals) -> Report:
        """The same report, with the curves of others beside the model's."""
        classes = {kind: replace(one, rivals=rivals.curves[kind]) for kind, one in self.classes.items()}
        return replace(self, classes=classes, rivals_judged_on=rivals.judged_on)

    def to_json(self) -> str:
        """Write the content of ``report.json``."""
        known = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "examples"}
        document = {name: plain(value) for name, value in known.items()}
        return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True) + "\n"


def plain(value: object) -> object:
    """Dataclasses, arrays and NaN as JSON knows them."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_report(report: Report, out: Path) -> None:
    """Write ``report.json`` and ``report.html`` into a folder, which is made where it is not there."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(report.to_json(), encoding="utf-8")
    (out / "report.html").write_text(render_html(report), encoding="utf-8")


# -------------------------------------------------------------------------------------------------------------- page


def render_html(report: Report) -> str:
    """Draw the page as one self-contained document."""
    room = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters |= {
        "value": value, "interval": interval, "number": number, "percent": percent, "error_of": error_of,
        "bias_of": bias_of,
    }  # fmt: skip
    labelled = report.dataset.labelled
    return room.get_template("report.html.j2").render(
        report=report,
        classes=CLASSES,
        points=OPERATING_POINTS,
        names=NAMES,
        figures=figures(report) if labelled else {},
        galleries=_galleries(report.examples),
        worst=_worst(report) if labelled else [],
        hits=_frames_with_finds(report),
        said={key: told for key, told in report.dataset.made.items() if isinstance(told, str | int | float)},
    )


def percent(value: float) -> str:
    """``83 %``; one decimal near the ends, where it matters; a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f} %" if 0 < value < 0.1 or 0.99 < value < 1 else f"{100 * value:.0f} %"


def interval(measured: Measured, form: str = "percent") -> str:
    """``74–90 %``, ``0.74–0.90`` or ``0.1–0.31``, for the forms ``percent``, ``score`` and ``rate``."""
    ends = measured.low, measured.high
    if not math.isfinite(measured.low):
        return "–"
    if form == "percent":
        return f"{100 * ends[0]:.0f}–{100 * ends[1]:.0f} %"
    return "–".join(f"{end:.2f}" if form == "score" else f"{end:.2g}" for end in ends)


def value(measured: Measured, form: str = "percent") -> str:
    """Write the value alone, in the same forms."""
    if form == "percent":
        return percent(measured.value)
    return f"{measured.value:.2f}" if form == "score" else f"{measured.value:.2g}"


def number(value: float) -> str:
    """Three significant digits; a dash for NaN."""
    return f"{value:.3g}" if math.isfinite(value) else "–"


def error_of(one: Accuracy) -> str:
    """Write a median error: a share of the truth, or a number in the quantity's unit."""
    return percent(one.error) if one.relative else number(one.error)


def bias_of(one: Accuracy) -> str:
    """Write the median signed error in the same way."""
    if not math.isfinite(one.bias):
        return "–"
    return f"{100 * one.bias:+.0f} %" if one.relative else f"{one.bias:+.3g}"


def _galleries(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Pictures by class and verdict, in the order of the page."""
    titles = {
        "missed": "Missed: the strongest first",
        "false": "False alarms: the most certain first",
        "found": "Found: the faintest first",
        "reported": "Reported: the most certain first",
    }
    rooms: list[dict[str, Any]] = []
    for kind in CLASSES:
        for verdict, title in titles.items():
            chosen = sorted((e for e in examples if (e.kind, e.verdict) == (kind, verdict)), key=lambda e: -e.rank)
            if chosen:
                pictures = [{"source": draw_example(e), "frame": e.frame_id, "caption": e.caption} for e in chosen]
                rooms.append({"kind": kind, "title": title, "pictures": pictures})
    return rooms


def _worst(report: Report) -> list[dict[str, str]]:
    """For each class the strongest object missed and the most certain false alarm."""
    words = {"missed": "strongest {} missed", "false": "most certain false {}"}
    chosen = []
    for kind in CLASSES:
        for verdict, text in words.items():
            options = [e for e in report.examples if (e.kind, e.verdict) == (kind, verdict)]
            if options:
                worst = max(options, key=lambda e: e.rank)
                title = text.format(NAMES[kind][0]).capitalize()
                chosen.append(
                    {"title": title, "source": draw_example(worst), "frame": worst.frame_id, "caption": worst.caption}
                )
    return chosen


def _frames_with_finds(report: Report) -> list[dict[str, Any]]:
    """Frames with a region at the screening point: how many, of what, how certain; the most certain first."""
    rows = []
    for record in report.frames:
        seen = [region for region in record.regions if region.point == "screening"]
        if seen:
            sure = [region for region in record.regions if region.point == "confident"]
            counts = {kind: (_of(kind, seen), _of(kind, sure)) for kind in CLASSES}
            rows.append({"frame": record, "counts": counts, "score": max(region.score for region in seen)})
    return sorted(rows, key=lambda row: -row["score"])


def _of(kind: str, regions: Sequence[RegionRecord]) -> int:
    return sum(region.kind == kind for region in regions)


# ----------------------------------------------------------------------------------------------------------- figures


def figures(report: Report) -> dict[str, str]:
    """Draw the curves of the page as data addresses of SVG: ``completeness``, ``froc``, ``reliability``."""
    drawers = {"completeness": _draw_completeness, "froc": _draw_froc, "reliability": _draw_reliability}
    return {name: _two_panels(report, drawer) for name, drawer in drawers.items()}


ABOVE = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.97)}
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
"""Where a legend stands: short ones above a panel, those with rivals in them below."""


def _two_panels(report: Report, drawer: Callable[[Axes, ClassReport], None]) -> str:
    """One panel a class, drawn by ``drawer(axes, class report)``."""
    crowded = drawer is _draw_completeness and any(one.rivals for one in report.classes.values())
    figure = Figure(figsize=(9.6, 4.6 if crowded else 3.4), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), CLASSES, strict=True):
        drawer(axes, report.classes[kind])
        axes.set_title(NAMES[kind][1].capitalize(), fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7.5, frameon=False, ncols=2, **(BELOW if crowded else ABOVE))
    return as_address(figure, "svg")


def _draw_completeness(axes: Axes, scores: ClassReport) -> None:
    """Share found against ``snr_mf``, with Wilson's intervals and the number of objects under each bin."""
    for shift, point in zip((0.97, 1.03), OPERATING_POINTS, strict=True):
        bins = [one for one in scores.by_snr.get(point, []) if one.total]
        x = [one.middle * shift for one in bins]
        y = np.array([one.recall for one in bins])
        error = np.array([(one.recall - one.interval.low, one.interval.high - one.recall) for one in bins])
        half = scores.half_snr.get(point, math.nan)
        label = point if math.isnan(half) else f"{point} (half at {number(half)})"
        axes.errorbar(x, y, np.clip(error.T, 0, 1) if bins else None, fmt="o-", ms=4, lw=1.2, capsize=2,
                      color=COLOURS[point], label=label)  # fmt: skip
    for rival in scores.rivals:
        rival.draw(axes)
    for one in scores.by_snr.get(OPERATING_POINTS[0], []):
        if one.total:
            axes.annotate(f"{one.total}", (one.middle, -0.1), ha="center", fontsize=7, color="0.4")
    axes.axvline(5, color="0.6", lw=0.8, ls=":")
    axes.axhline(0.5, color="0.6", lw=0.8, ls=":")
    axes.set(xscale="log", ylim=(-0.14, 1.05), xlim=(1, 300), xlabel="matched-filter S/N of the object",
             ylabel="share found")  # fmt: skip
    axes.set_xticks([1, 3, 5, 10, 30, 100, 300], labels=["1", "3", "5", "10", "30", "100", "300"])


def _draw_froc(axes: Axes, scores: ClassReport) -> None:
    """Share found against false alarms a frame, and where the operating points stand."""
    if scores.froc is not None and scores.froc.recall.size:
        axes.step(scores.froc.false_per_frame, scores.froc.recall, where="post", color="0.3", lw=1.3)
    for point, at in scores.points.items():
        x, y = at.false_per_frame, at.recall
        error = np.array([[_gap(x.value, x.low), _gap(x.high, x.value)], [_gap(y.value, y.low), _gap(y.high, y.value)]])
        axes.errorbar(x.value, y.value, error[1][:, None], error[0][:, None], fmt="s", ms=5, capsize=2,
                      color=COLOURS[point], label=point)  # fmt: skip
    axes.set_xscale("symlog", linthresh=0.01, linscale=0.5)
    axes.set(ylim=(0, 1.05), xlabel="false alarms per frame", ylabel="share of objects found")
    axes.set_xlim(-0.0015, max(0.1, 1.2 * axes.get_xlim()[1]))
    axes.set_xticks([tick for tick in (0, 0.01, 0.1, 1, 10, 100) if tick <= axes.get_xlim()[1]])
    axes.xaxis.set_major_formatter("{x:g}")


def _gap(high: float, low: float) -> float:
    return max(high - low, 0.0) if math.isfinite(high - low) else 0.0


def _draw_reliability(axes: Axes, scores: ClassReport) -> None:
    """Share true against score, with the number of regions beside each point."""
    axes.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls=":")
    curve = scores.reliability
    if curve is not None and curve.count.sum():
        some = curve.count > 0
        axes.plot(curve.score[some], curve.share_true[some], "o-", ms=4, lw=1.2, color="0.2")
        for x, y, count in zip(curve.score[some], curve.share_true[some], curve.count[some], strict=True):
            axes.annotate(
                f"{count}",
                (x, y),
                xytext=(4, 5 if y < 0.2 else -9),
                textcoords="offset points",
                fontsize=7,
                color="0.4",
            )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.05), xlabel="score of the region", ylabel="share that is true")


def draw_example(example: Example) -> str:
    """Draw truth (dashed), the screening point's region (solid) and the limb (dotted) on a cut-out: a data address."""
    height, width = example.image.shape
    figure = Figure(figsize=(2.3, 2.3 * min(max(height / width, 0.5), 1.6)), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    finite = example.image[np.isfinite(example.image)]
    low, high = np.percentile(finite, [0.5, 99.8]) if finite.size else (0.0, 1.0)
    axes.set_facecolor("#303848")
    axes.imshow(
        example.image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest", aspect="auto"
    )
    for name, style in (("truth", "dashed"), ("found", "solid")):
        _outline(axes, getattr(example, name), COLOURS[name], style)
    x, y, radius = example.limb
    if math.isfinite(radius):
        axes.add_patch(Circle((x, y), radius, fill=False, ls=":", lw=1.0, color=COLOURS["limb"]))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
    return as_address(figure, "png")


def _outline(axes: Axes, plane: NDArray[np.bool_], colour: str, style: str) -> None:
    """Outline true pixels, also those at the border and single ones."""
    if plane.any():
        padded = np.pad(plane, 1).repeat(4, axis=0).repeat(4, axis=1).astype(float)
        rows, columns = ((np.arange(size) - 1.5) / 4 - 1 for size in padded.shape)
        axes.contour(columns, rows, padded, [0.5], colors=[colour], linestyles=[style], linewidths=[1.2])


def as_address(figure: Figure, kind: str) -> str:
    """Write the picture as a ``data:`` address, the same bytes every time."""
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "io-detector"}):
        figure.savefig(stream, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
