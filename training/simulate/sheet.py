"""Contact sheets: what the simulator draws, to be looked at beside real frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from detector.frame import Frame
from training.simulate.dice import EFFECTS
from training.simulate.draw import draw_sample
from training.simulate.hotspots import SHAPES
from training.simulate.plumes import FAMILIES
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.scene import Sample

Progress = Callable[[int, int], None]

PANELS = 15
TRIED = 12
PANEL_COLUMNS = 5
EFFECT_COLUMNS = 8
PANEL_INCHES = 2.6
DPI = 110
SOFTENING, LIFTED = 0.06, 0.01
"""Share of the bright surface below which light is shown linearly: on sheets of frames, and of effects."""
GROUND, INK = "#0f1318", "#dfe5ea"

OWNERS = {
    "ssi": ("summation", "adc_bins", "shutter_smear", "ict", "barc", "cut_out", "garbled_lines", "blemishes"),
    "junocam": ("tdi", "seams", "late_damage", "blooming"),
    "jiram": ("odd_even", "hot_pixels", "negative_floor", "jiram_smear"),
}
"""Cameras whose own effects these are; the others are shown by the framing camera."""
# What shows an effect best: the instrument and other settings; everything else is a plain daylight picture.
SHOWN_BY: dict[str, dict[str, object]] = {
    "mountains": {"usual_radius_px": (180, 200), "phase_deg": (20, 30)},
    "opposition_surge": {"phase_deg": (0.2, 0.5)},
    "frost_forward": {"phase_deg": (110, 120)},
    "jupiter_shine": {"phase_deg": (150, 160)},
    "auroral_limb": {"eclipse": 1.0, "only": ("eclipse", "auroral_limb")},
    "stars": {"usual_radius_px": (25, 30)},
    "moon": {"usual_radius_px": (40, 50)},
    "jupiter": {"usual_radius_px": (40, 50)},
    "ring": {"usual_radius_px": (40, 50)},
    "on_chip_mosaic": {"instrument": "ssi", "usual_radius_px": (25, 30)},
    "bleeding": {"instrument": "ssi", "only": ("bleeding", "eclipse"), "hotspots": 1, "hotspot_snr": (5e4, 1e5)},
    "column_offsets": {"instrument": "sru"},
}


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet: the lines under it, the frame, and how strongly faint light is lifted."""

    caption: str
    frame: Frame = field(repr=False)
    softening: float = SOFTENING


def write_sheets(
    out: Path, instrument: str, seed: int, recipe: Recipe, progress: Progress = lambda done, total: None
) -> list[Path]:
    """Write ``<instrument>.png`` for each instrument and ``effects.png`` into the folder ``out``.

    Args:
        out: is made when it is not there.
        instrument: one of ``INSTRUMENTS``, or ``mixed`` for all of them and the sheet of effects.
        seed: of the pictures.
        recipe: what to draw.
        progress: is told sheets done and all.

    Returns:
        the files.

    """
    out.mkdir(parents=True, exist_ok=True)
    names = (*INSTRUMENTS, "effects") if instrument == "mixed" else (instrument,)
    written = []
    for done, name in enumerate(names, 1):
        panels = effect_panels(seed) if name == "effects" else instrument_panels(name, seed, recipe)
        columns = EFFECT_COLUMNS if name == "effects" else PANEL_COLUMNS
        written.append(_draw(out / f"{name}.png", list(panels), columns, _TITLES.get(name, name)))
        progress(done, len(names))
    return written


_TITLES = {
    "ssi": "Simulated Galileo SSI",
    "junocam": "Simulated JunoCam",
    "jiram": "Simulated JIRAM (L over M)",
    "sru": "Simulated Stellar Reference Unit",
    "picture": "Simulated framing cameras and published pictures",
    "effects": "Each effect alone",
}


def instrument_panels(instrument: str, seed: int, recipe: Recipe) -> Iterator[Panel]:
    """Whole frames of one instrument as their files hold them."""
    for index in range(PANELS):
        samples = expose(instrument, recipe, seed, index).samples
        sample = samples[index % len(samples)]
        yield Panel(caption_of(sample), squared(sample))


def squared(sample: Sample) -> Frame:
    """The frame, or of a long one the square around Io (or its middle)."""
    frame, (rows, columns) = sample.frame, sample.frame.shape
    side = min(rows, columns)
    middle = sample.limb.x_px if sample.limb.trusted else columns / 2
    left = int(np.clip(middle - side / 2, 0, columns - side))
    across = slice(left, left + side)
    return replace(frame, image=frame.image[:, across], valid=frame.valid[:, across])


def caption_of(sample: Sample) -> str:
    """Filter, geometry and what erupts, in two lines."""
    geometry, kinds = sample.scene.geometry, [thing.kind for thing in sample.objects]
    seen = f"{kinds.count('plume')} plumes, {kinds.count('hotspot')} hot spots"
    first = f"{sample.frame.filter or sample.frame.unit}"
    if geometry is not None:
        first += f", {geometry.range_km:,.0f} km, phase {geometry.phase_deg:.0f}°"
    return f"{first}\n{seen}"


def effect_panels(seed: int) -> Iterator[Panel]:
    """A plain picture, every effect alone, every family of plumes and every kind of hot spot."""
    plain = Recipe(
        instrument="picture", usual_radius_px=(80, 90), radius_px=(80, 90), phase_deg=(40, 60), plume_snr=(3000, 5000),
        hotspot_snr=(60, 100), natural=0.0, empty=1.0, no_limb=0.0, eclipse=0.0, only=(),
    )  # fmt: skip
    yield Panel("nothing but noise\n", draw_sample(plain, seed, 0).frame)
    for name, meaning in EFFECTS.items():
        owner = next((camera for camera, own in OWNERS.items() if name in own), "picture")
        changes: dict[str, object] = {"only": (name,), "instrument": owner} | SHOWN_BY.get(name, {})
        if "usual_radius_px" in changes:
            changes["radius_px"] = changes["usual_radius_px"]
        if {"hotspots"} & changes.keys():
            changes["empty"] = 0.0
        recipe = replace(plain, **changes)  # type: ignore[arg-type]
        yield Panel(_wrapped(name, meaning), _telling(recipe, name, seed), LIFTED)
    close = replace(plain, usual_radius_px=(240, 260), radius_px=(240, 260), empty=0.0, plumes=1, hotspots=0)
    for family in FAMILIES:
        recipe = replace(close, families=(family,), place="limb", phase_deg=(60, 110))
        yield Panel(f"plume: {family}\n", _with_object(recipe, "plume", seed), LIFTED)
    for place in ("disk", "terminator"):
        recipe = replace(close, place=place, phase_deg=(60, 100))
        yield Panel(f"plume: {place}\n", _with_object(recipe, "plume", seed), LIFTED)
    for shape in SHAPES:
        recipe = replace(
            close, instrument="jiram", radius_px=(900, 950), usual_radius_px=(900, 950), spot_shapes=(shape,),
            hotspots=2, hotspot_snr=(3000, 6000),
        )  # fmt: skip
        yield Panel(f"hot spot: {shape}\n", _with_object(recipe, "hotspot", seed), LIFTED)


def _telling(recipe: Recipe, name: str, seed: int) -> Frame:
    """Of a dozen pictures the one that differs most from itself without the effect."""
    with_it = recipe.only or ()
    without = replace(recipe, only=tuple(effect for effect in with_it if effect != name))
    best, most = draw_sample(recipe, seed, 1).frame, -1.0
    for index in range(1, TRIED):
        frame, plain = draw_sample(recipe, seed, index).frame, draw_sample(without, seed, index).frame
        if frame.shape == plain.shape:
            change = np.abs(np.nan_to_num(stretched(frame, LIFTED)) - np.nan_to_num(stretched(plain, LIFTED)))
            if change.mean() > most:
                best, most = frame, float(change.mean())
    return best


def _with_object(recipe: Recipe, kind: str, seed: int) -> Frame:
    """Of two dozen pictures the one in which an object of the kind covers most pixels."""
    samples = [draw_sample(recipe, seed, index) for index in range(2 * TRIED)]
    areas = [max((int(t.mask.sum()) for t in s.objects if t.kind == kind), default=0) for s in samples]
    return samples[int(np.argmax(areas))].frame


def _wrapped(name: str, meaning: str) -> str:
    words = meaning if len(meaning) < 42 else meaning[:40].rsplit(" ", 1)[0] + " ..."
    return f"{name}\n{words}"


def _draw(path: Path, panels: Sequence[Panel], columns: int, title: str) -> Path:
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(columns * PANEL_INCHES, rows * (PANEL_INCHES + 0.42) + 0.5), facecolor=GROUND)
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title, color=INK, fontsize=14, y=0.995, va="top")
    height = 1 - 0.45 / figure.get_figheight()
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        cell = height / rows
        axes = figure.add_axes(
            (column / columns + 0.004, height - (row + 0.84) * cell, 1 / columns - 0.008, 0.83 * cell)
        )
        axes.imshow(stretched(panel.frame, panel.softening), cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        axes.set_axis_off()
        axes.text(0.5, -0.02, panel.caption, transform=axes.transAxes, color=INK, fontsize=7.5, ha="center", va="top")
    canvas.print_png(str(path))  # type: ignore[no-untyped-call]
    return path


def stretched(frame: Frame, softening: float) -> NDArray[np.float32]:
    """(H, W) 0..1: from the sky to the bright surface; light below ``softening`` of it is shown linearly.

    Not valid is NaN.
    """
    levels = frame.levels
    above = np.maximum(frame.image - levels.sky + 2 * levels.sigma, 0) / max(levels.bright, 8 * levels.sigma)
    grey = np.arcsinh(above / softening) / np.arcsinh(1.15 / softening)
    return np.where(frame.valid, np.clip(grey, 0, 1), np.nan).astype(np.float32)
