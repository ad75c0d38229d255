"""One frame as a picture to look at: the stretched frame, its limb, and what was found, with names and numbers.

Plumes are sky blue and hot spots orange (Okabe and Ito's colours, told apart by every kind of colour vision), each with
a dark rim so that it shows on the bright surface and on the black sky alike. The picture is drawn by matplotlib's Agg
canvas without a window and without pyplot's global state; the same result gives the same bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import NDArray

from detector.catalogue import Detection
from detector.detect import Result
from detector.levels import measure_levels
from detector.limb import GUESS, Limb
from detector.measure import Scene
from detector.regions import Region

COLOURS = {"plume": "#56B4E9", "hotspot": "#E69F00"}
GROUND, INK, FAINT, UNSEEN = "#0f1318", "#eceff3", "#9aa7b4", (0.13, 0.17, 0.24)
DPI = 100
LONGEST_PX, SHORTEST_WIDTH_PX = 1000, 760
"""The frame is drawn so that its longest side is LONGEST_PX; the page is at least SHORTEST_WIDTH_PX wide."""
TOP_PX, BOTTOM_PX, SIDE_PX = 66, 62, 18
"""Room on the page above the frame for the title, below it for the legend, and beside it."""
SOFTENING = 0.06
"""Signals below this share of the bright surface are shown linearly, brighter ones ever more compressed."""
HEADROOM = 1.15
"""White is this much above the bright surface, so that its pattern is not burnt out."""
LABELS = 40
"""Only this many detections get a label, the most certain ones; all get their outline."""
LETTER_PX = 7.7
"""Mean width of a letter of a label on the page."""
RING_PX = 11.0
"""A hot spot is ringed at least this wide on the page: it may be a single pixel."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Page:
    """Sizes of the picture, in pixels of the page.

    Attributes:
        scale: page pixels per frame pixel.
        width, height: of the page.
        frame_width, frame_height: of the drawn frame.

    """

    scale: float
    width: float
    height: float
    frame_width: float
    frame_height: float

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Page:
        """Return the page for a frame of this shape: small frames are enlarged, big ones reduced."""
        rows, columns = shape
        scale = LONGEST_PX / max(rows, columns)
        wide, high = columns * scale, rows * scale
        return cls(scale, max(wide, SHORTEST_WIDTH_PX) + 2 * SIDE_PX, high + TOP_PX + BOTTOM_PX, wide, high)


def quicklook(result: Result) -> bytes:
    """Return the PNG picture of one frame's result."""
    page = Page.of(result.frame.shape)
    figure = Figure(figsize=(page.width / DPI, page.height / DPI), dpi=DPI, facecolor=GROUND)
    canvas = FigureCanvasAgg(figure)
    axes = _axes(figure, page, result.frame.shape)
    _draw_frame(axes, result)
    _draw_limb(axes, result)
    for region in result.regions:
        _draw_region(axes, region, page)
    _draw_labels(axes, result, page)
    _draw_scale_bar(axes, result, page)
    _draw_title(figure, result, page)
    _draw_legend(figure, result, page)
    stream = io.BytesIO()
    canvas.print_png(stream, metadata={"Software": None}, pil_kwargs={"compress_level": 6})
    return stream.getvalue()


def stretched(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) float32 in 0..1 for display: asinh above the sky, so faint plumes and the bright surface both show."""
    levels = measure_levels(image, valid)
    softening = max(SOFTENING, min(3 * levels.sigma / levels.bright, 0.5))
    above = np.maximum(image - (levels.sky - levels.sigma), 0) / (HEADROOM * levels.bright)
    return np.clip(np.arcsinh(above / softening) / math.asinh(1 / softening), 0, 1).astype(np.float32)


def nice_length(at_most: float) -> float:
    """Return the largest of 1, 2, 5 x 10^n that is not above ``at_most`` (> 0)."""
    power = 10.0 ** math.floor(math.log10(at_most))
    return max(step * power for step in (1, 2, 5) if step * power <= at_most)


def _axes(figure: Figure, page: Page, shape: tuple[int, int]) -> Axes:
    left = (page.width - page.frame_width) / 2
    axes = figure.add_axes((
        left / page.width, BOTTOM_PX / page.height, page.frame_width / page.width, page.frame_height / page.height,
    ))
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#3a444f")
    return axes


def _draw_frame(axes: Axes, result: Result) -> None:
    frame = result.frame
    step = max(1, max(frame.shape) // (2 * LONGEST_PX))
    grey = _shrunk(stretched(frame.image, frame.valid), step)
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[_shrunk(frame.valid.astype(np.float32), step) < 0.5] = UNSEEN
    rows, columns = (side * step for side in grey.shape)
    enlarged = max(frame.shape) < LONGEST_PX / 2
    axes.imshow(
        picture,
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        interpolation="nearest" if enlarged else "antialiased",
        aspect="auto",
    )
    axes.set_xlim(-0.5, frame.shape[1] - 0.5)
    axes.set_ylim(frame.shape[0] - 0.5, -0.5)


def _shrunk(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Means of step x step pixels; a last incomplete block is filled by its edge."""
    if step == 1:
        return image
    rows, columns = image.shape
    padded = np.pad(image, ((0, -rows % step), (0, -columns % step)), mode="edge")
    return padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).mean(axis=(1, 3))


def _drawn_limb(result: Result) -> Limb:
    """The trusted limb, or the guess if a plume stands on it."""
    return result.limb.for_plumes if result.count("plume") else result.limb


def _dashes(limb: Limb) -> tuple[int, tuple[int, int]]:
    return 0, (1, 4) if limb.source == GUESS else (6, 5)


def _draw_limb(axes: Axes, result: Result) -> None:
    limb = _drawn_limb(result)
    if not limb.trusted:
        return
    circle = Circle((limb.x_px, limb.y_px), limb.radius_px, fill=False, ls=_dashes(limb), lw=1.0, ec=INK, alpha=0.9)
    circle.set_path_effects(_rim(2.4, 0.6))
    axes.add_patch(circle)


def _draw_region(axes: Axes, region: Region, page: Page) -> None:
    colour = COLOURS[region.kind]
    rows, columns = region.pixels.shape
    if region.kind == "hotspot" and max(rows, columns) * page.scale < 3 * RING_PX:
        middle = (region.x0 + (columns - 1) / 2, region.y0 + (rows - 1) / 2)
        radius = max(RING_PX, 0.5 * math.hypot(rows, columns) * page.scale + 4) / page.scale
        ring = Circle(middle, radius, fill=False, ec=colour, lw=1.8)
        ring.set_path_effects(_rim(4))
        axes.add_patch(ring)
        return
    padded = np.pad(region.pixels.astype(float), 1)
    outline = axes.contour(
        np.arange(-1, columns + 1) + region.x0, np.arange(-1, rows + 1) + region.y0, padded, [0.5], colors=[colour],
        linewidths=1.8,
    )
    outline.set_path_effects(_rim(4))


def _draw_labels(axes: Axes, result: Result, page: Page) -> None:
    certain = sorted(result.detections, key=lambda d: -d.score)[:LABELS]
    shown = {detection.detection_id for detection in certain}
    taken = [_surrounding(region, page) for region in result.regions]
    for region, detection in zip(result.regions, result.detections, strict=True):
        if detection.detection_id not in shown:
            continue
        text = label_of(detection)
        leftward = result.limb.trusted and detection.x_px < result.limb.x_px
        size = (LETTER_PX * len(text) + 6, 15.0)
        place = min(_places(region, size, page, leftward), key=lambda box: _crowding(box, taken, page))
        taken.append(place)
        anchor = (place[0] / page.scale - 0.5, (place[1] + place[3]) / 2 / page.scale - 0.5)
        axes.text(*anchor, text, color=COLOURS[detection.kind], fontsize=9, fontweight="bold", va="center",
                  path_effects=_rim(3), clip_on=True)


def label_of(detection: Detection) -> str:
    """Return number, score and, for a plume of known height, the height: ``p01 0.93 86±12 km``."""
    number = detection.detection_id.rpartition("-")[2]
    text = f"{number} {detection.score:.2f}"
    if math.isfinite(detection.plume_height_km):
        text += f"  {detection.plume_height_km:.0f}±{detection.plume_height_sigma_km:.0f} km"
    return text


def _surrounding(region: Region, page: Page) -> Box:
    """Return the region's box in page pixels of the frame; of a small hot spot, its ring's."""
    rows, columns = region.pixels.shape
    ring = max(0.0, RING_PX - 0.5 * max(rows, columns) * page.scale) if region.kind == "hotspot" else 0.0
    x0, y0 = region.x0 * page.scale - ring, region.y0 * page.scale - ring
    return x0, y0, x0 + columns * page.scale + 2 * ring, y0 + rows * page.scale + 2 * ring


def _places(region: Region, size: tuple[float, float], page: Page, leftward: bool) -> Iterator[Box]:
    """Boxes (x0, y0, x1, y1) in page pixels of the frame where the region's label may stand, the best first."""
    x0, y0, x1, y1 = _surrounding(region, page)
    middle_x, middle_y = (x0 + x1 - size[0]) / 2, (y0 + y1 - size[1]) / 2
    for far in (6.0, 22.0, 40.0):
        sides = (x1 + far, x0 - far - size[0])
        first, second = sides[::-1] if leftward else sides
        above, below = y0 - far - size[1], y1 + far
        for x, y in ((first, middle_y), (middle_x, above), (middle_x, below), (first, above), (first, below),
                     (second, middle_y), (second, above), (second, below)):
            yield x, y, x + size[0], y + size[1]


def _crowding(box: Box, taken: list[Box], page: Page) -> float:
    """How much of a box (page pixels²) lies outside the frame or on other labels and outlines."""
    x0, y0, x1, y1 = box
    inside = max(0.0, min(x1, page.frame_width) - max(x0, 0.0)) * max(0.0, min(y1, page.frame_height) - max(y0, 0.0))
    overlap = sum(max(0.0, min(x1, b[2]) - max(x0, b[0])) * max(0.0, min(y1, b[3]) - max(y0, b[1])) for b in taken)
    return (x1 - x0) * (y1 - y0) - inside + overlap


def _draw_scale_bar(axes: Axes, result: Result, page: Page) -> None:
    km_per_px = Scene.of(result.frame, result.limb, (), result.pointing).km_per_px
    if not math.isfinite(km_per_px):
        return
    length_km = nice_length(0.25 * result.frame.shape[1] * km_per_px)
    length = length_km / km_per_px * page.scale / page.frame_width
    right, height = 1 - 16 / page.frame_width, 16 / page.frame_height
    axes.plot([right - length, right], [height, height], transform=axes.transAxes, color=INK, lw=2.5,
              solid_capstyle="butt", path_effects=_rim(5))
    text = f"{length_km:,.0f} km" if length_km >= 1 else f"{length_km:g} km"
    axes.annotate(text, (right - length / 2, height), (0, 6), xycoords="axes fraction", textcoords="offset pixels",
                  color=INK, fontsize=9, ha="center", path_effects=_rim(3))


def _draw_title(figure: Figure, result: Result, page: Page) -> None:
    frame = result.frame
    exposure = f"{frame.exposure_s:g} s" if math.isfinite(frame.exposure_s) else ""
    known = (frame.instrument, frame.filter, frame.start_time.replace("T", " "), exposure)
    left = SIDE_PX / page.width
    figure.text(left, 1 - 20 / page.height, "   ".join(filter(None, known)), color=INK, fontsize=13, va="center",
                fontweight="bold")
    found = f"{_counted(result, 'plume', 'plume')}, {_counted(result, 'hotspot', 'hot spot')}"
    by = f"{result.model} {result.operating_point}".strip()
    under = "   ".join(filter(None, (frame.id, found, by)))
    figure.text(left, 1 - 46 / page.height, under, color=FAINT, fontsize=10, va="center")


def _counted(result: Result, kind: str, name: str) -> str:
    count = result.count(kind)
    return f"{count} {name}" + ("" if count == 1 else "s")


def _draw_legend(figure: Figure, result: Result, page: Page) -> None:
    entries: list[tuple[Artist, str]] = [
        (Line2D([], [], color=COLOURS["plume"], lw=2), "plume: number, score, height"),
        (Line2D([], [], ls="", marker="o", mfc="none", mec=COLOURS["hotspot"], ms=9, mew=1.8),
         "hot spot: number, score"),
    ]
    if (limb := _drawn_limb(result)).trusted:
        entries.append((Line2D([], [], color=INK, ls=_dashes(limb), lw=1), f"limb ({limb.source})"))
    if not result.frame.valid.all():
        entries.append((Patch(facecolor=UNSEEN, edgecolor="#3a444f"), "not observed"))
    handles, texts = zip(*entries, strict=True)
    figure.legend(handles, texts, loc="center left", bbox_to_anchor=(SIDE_PX / page.width, 36 / page.height),
                  borderaxespad=0, ncols=len(entries), frameon=False, labelcolor=INK, fontsize=9, handlelength=2.4,
                  columnspacing=1.8)
    notes = "   ".join(_notes(result))
    figure.text(SIDE_PX / page.width, 12 / page.height, notes, color=FAINT, fontsize=9, va="center")


def _notes(result: Result) -> Iterator[str]:
    if not result.limb.trusted:
        yield f"No trusted limb: {shorten(result.limb.reason, 90)}."
    if len(result.detections) > LABELS:
        yield f"The {LABELS} most certain of {len(result.detections)} detections carry a label."


def _rim(width: float, alpha: float = 0.85) -> list[AbstractPathEffect]:
    return [withStroke(linewidth=width, foreground="black", alpha=alpha)]
