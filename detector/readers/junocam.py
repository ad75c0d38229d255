"""JunoCam strips: framelets of 128 rows, one below the other, frame by frame in the order of FILTER_NAME.

The spacecraft turns at 2 rpm and every filter looks through its own strip of the CCD, so the framelets of one filter,
placed one spin step below each other, are one picture of the sky. That picture is the frame: one for each filter.

Decisions
---------
* **The overlap was measured** on three public strips of Jupiter (orbits 36 and 43; rows high-passed, correlated with a
  free shift): the *bottom* rows of framelet i show what the *top* rows of framelet i + 1 of the same filter show, with
  r > 0.9 where there is texture; the reverse order does not. The step is 117 rows (RED) and 115 (GREEN) near the
  middle of the line, 116 (RED) and 114 (GREEN, BLUE) at a quarter of it. A camera that turns about its line axis gives
  f tan(angle) with the kernel's distortion: the same numbers. So the step of a filter is what a point on the middle
  column moves in one interframe delay, between the rows that overlap: 116.0 (BLUE), 115.8 (GREEN), 117.2 (RED) and
  117.8 rows (METHANE) for 0.373 s; framelet i begins at the whole row nearest to i steps. Nothing is resampled.
* Rule of the overlap: the later framelet wins, but for its own border rows where the earlier one has good ones.
* Borders (25 columns left, 17 right, 2 rows at the top and bottom of a framelet) are not valid. All-zero framelets were
  not downlinked: not valid.
* 8-bit strips are square-root companded and are decompanded by the table of the SIS; 16-bit ones are linear.
* A step that leaves no overlap (or an INTERFRAME_DELAY that is not known to be one) is kept as it is up to 256 rows,
  the gap not valid; beyond that the framelets are stacked without overlap, with a warning.
* The label's geometry belongs to its TARGET_NAME and does not say where in the strip it is: the view has no centre. Its
  longitudes carry no direction and are not used. The range is used where the target is Io. TARGET_NAME is
  mostly JUPITER, also where RATIONALE_DESC names Io: then the frame's target is Io, the label's geometry Jupiter's.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import IO_RADIUS_KM, Frame, Noise, View, sha256_of
from detector.instruments import (
    JUNOCAM,
    JUNOCAM_AXIS_Y_PX,
    JUNOCAM_BORDER,
    JUNOCAM_FILTERS,
    JUNOCAM_FOCAL_PX,
    JUNOCAM_INTERFRAME_DELTA_S,
    JUNOCAM_SPIN_RAD_S,
    JUNOCAM_USUAL_DELAY_S,
    junocam_linear,
)
from detector.readers.foreign import reading
from detector.readers.names import frame_id, target_name
from detector.readers.pds3 import Label, Value, read_image

ROWS, COLUMNS = JUNOCAM.shape
MAX_JSON_BYTES = 1_000_000
LARGEST_STEP_PX = 2 * ROWS
PRODUCT_ID = re.compile(r"JNC[ER]_\d{7}_\d\d([A-Z])\d{5}_V\d\d", re.IGNORECASE)


@dataclass(frozen=True)
class _Strip:
    """A strip and what its label says of it."""

    source: Path
    pixels: NDArray[np.generic]
    filters: tuple[str, ...]
    label: Label
    warnings: tuple[str, ...] = ()


def is_raw_picture(path: Path) -> bool:
    """Whether a picture's name is that of a raw strip, such as ``JNCE_2022186_43C00078_V01-raw.png``."""
    return bool(PRODUCT_ID.match(path.stem)) and path.stem.lower().endswith("-raw")


def label_of_metadata(path: Path) -> Label:
    """Read a ``-Metadata.json``: the keywords of the label, with the units inside the strings.

    Raises:
        InputError: for a file that is not a JSON object.

    """
    try:
        with reading(path):
            document = json.loads(path.read_bytes()[:MAX_JSON_BYTES])
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is no readable JSON: {error}", "fetch the metadata again") from error
    if not isinstance(document, dict):
        raise InputError(
            path, f"holds a JSON {type(document).__name__}; expected an object", "fetch the metadata again"
        )
    return Label(tuple(((), str(key).upper(), _json_value(value)) for key, value in document.items()))


def _json_value(value: object) -> Value:
    if isinstance(value, list):
        return Value(tuple(str(item) for item in value))
    number, unit = re.match(r"(.*?)\s*(?:<([^<>]*)>)?$", str(value), re.DOTALL).groups()  # type: ignore[union-attr]
    return Value((number,), unit or "")


def read_with_label(data: Path, label: Label) -> list[Frame]:
    """Read an EDR or RDR strip by its PDS3 label: one frame for each filter.

    Raises:
        InputError: for a truncated file or lines that are not whole framelets.

    """
    return _frames(_strip(data, read_image(label, data)[0], label))


def read_picture(data: Path, strip: NDArray[np.generic], metadata: Path | None) -> list[Frame]:
    """Read a raw strip that was published as a picture, with its metadata if it is at hand.

    Args:
        data: the picture's path.
        strip: its (rows, 1648) pixels.
        metadata: the ``-Metadata.json``; without it filters and delay are taken from the product's name and habit.

    Raises:
        InputError: for a width other than 1648 or rows that are not whole framelets.

    """
    label = label_of_metadata(metadata) if metadata else Label()
    made = _strip(data, strip, label)
    if metadata is None:
        note = f"no metadata beside the picture: filters {', '.join(made.filters)} from its name, delay as usual"
        made = replace(made, warnings=(*made.warnings, note))
    return _frames(made)


def _strip(data: Path, pixels: NDArray[np.generic], label: Label) -> _Strip:
    named = tuple(item.strip().upper() for item in label.value("FILTER_NAME").items)
    letter = PRODUCT_ID.match(data.stem)
    filters = named or JUNOCAM_FILTERS.get(letter[1].upper() if letter else "", ())
    if not filters or len(set(filters)) != len(filters) or not set(filters) <= set(JUNOCAM_AXIS_Y_PX):
        raise InputError(data, f"filters {filters}; expected some of {sorted(JUNOCAM_AXIS_Y_PX)}", "check FILTER_NAME")
    split_framelets(pixels, len(filters), data)
    linear, notes = _linear(pixels, label)
    return _Strip(data, linear, filters, label, notes)


def _linear(pixels: NDArray[np.generic], label: Label) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """Linear counts, and what had to be assumed."""
    if pixels.dtype != np.uint8:
        return pixels, ()
    mode = label.text("SAMPLE_BIT_MODE_ID").upper()
    if mode == "LIN8":
        return pixels, ()
    known = () if mode == "SQROOT" else (f"SAMPLE_BIT_MODE_ID {mode or 'not known'}: taken as SQROOT",)
    return junocam_linear()[pixels], known


def split_framelets(strip: NDArray[np.generic], n_filters: int, source: Path | str = "strip") -> NDArray[np.generic]:
    """Cut a strip into framelets, (n_frames, n_filters, 128, 1648), a view of the same memory where possible.

    Args:
        strip: (rows, 1648), rows a multiple of 128 x n_filters.
        n_filters: filters of the strip, at least 1.
        source: the file to name in an error.

    Raises:
        InputError: for any other shape.

    """
    rows, columns = strip.shape
    if columns != COLUMNS or rows % (ROWS * n_filters) or not rows:
        raise InputError(
            source,
            f"{rows} x {columns} pixels for {n_filters} filter(s); expected n x {ROWS * n_filters} x {COLUMNS}",
            "check FILTER_NAME, or fetch the whole strip again",
        )
    return strip.reshape(-1, n_filters, ROWS, COLUMNS)


def framelet_step_px(filter_name: str, interframe_delay_s: float) -> float:
    """Rows between the tops of two neighbouring framelets of a filter in the mosaic.

    What a point on the middle column moves while the spacecraft turns for one delay, taken symmetrically about the
    middle row of the filter's framelet: f (tan b - tan a) with the kernel's radial distortion.

    Args:
        filter_name: BLUE, GREEN, RED or METHANE.
        interframe_delay_s: INTERFRAME_DELAY of the label, seconds.

    """
    middle = math.atan((ROWS / 2 - JUNOCAM_AXIS_Y_PX[filter_name]) / JUNOCAM_FOCAL_PX)
    half = JUNOCAM_SPIN_RAD_S * (interframe_delay_s + JUNOCAM_INTERFRAME_DELTA_S) / 2
    return _image_row(middle + half) - _image_row(middle - half)


def _image_row(angle: float) -> float:
    y = JUNOCAM_FOCAL_PX * math.tan(angle)
    k1, k2 = JUNOCAM.radial
    return y * (1 + k1 * y**2 + k2 * y**4)


def framelet_tops(n_frames: int, step_px: float) -> NDArray[np.int64]:
    """(n_frames,) first mosaic row of each framelet: the whole row nearest to i steps."""
    return np.floor(np.arange(n_frames) * step_px + 0.5).astype(np.int64)


def framelet_of_rows(n_frames: int, step_px: float) -> NDArray[np.int64]:
    """Which framelet fills each row of the mosaic and with which of its rows.

    Args:
        n_frames: framelets of one filter.
        step_px: rows between their tops.

    Returns:
        (mosaic rows, 2): framelet and row inside it, both from 0; -1, -1 for a row that none fills.

    """
    tops = framelet_tops(n_frames, step_px)
    filled = np.full((int(tops[-1]) + ROWS, 2), -1, np.int64)
    good = slice(JUNOCAM_BORDER["top"], ROWS - JUNOCAM_BORDER["bottom"])
    for part in (slice(0, ROWS), good):  # border rows first, so that good rows lie over them
        rows = np.arange(ROWS)[part]
        for frame, top in enumerate(tops):
            filled[top + rows] = np.stack([np.full_like(rows, frame), rows], axis=1)
    return filled


def framelet_rows(n_frames: int, n_filters: int, band: int, step_px: float) -> NDArray[np.int64]:
    """(mosaic rows,) row of the strip that fills each row of a filter's mosaic; -1 where none does.

    Args:
        n_frames: framelets of one filter.
        n_filters: filters of the strip.
        band: place of the filter in the strip, from 0.
        step_px: rows between the tops of its framelets in the mosaic.

    """
    frame, row = framelet_of_rows(n_frames, step_px).T
    return np.where(frame < 0, -1, (frame * n_filters + band) * ROWS + row)


def mosaic_rows(n_frames: int, step_px: float) -> int:
    """Rows of the mosaic of one filter's framelets."""
    return int(framelet_tops(n_frames, step_px)[-1]) + ROWS


def _step(strip: _Strip, filter_name: str) -> tuple[float, tuple[str, ...]]:
    """Give the filter's step and what had to be assumed."""
    delay = strip.label.number("INTERFRAME_DELAY")
    if not delay > 0:
        return framelet_step_px(filter_name, JUNOCAM_USUAL_DELAY_S), ("INTERFRAME_DELAY not known: taken as 0.372 s",)
    turn = JUNOCAM_SPIN_RAD_S * (delay + JUNOCAM_INTERFRAME_DELTA_S)
    step = framelet_step_px(filter_name, delay) if turn < 0.5 else math.inf
    if not ROWS / 2 < step <= LARGEST_STEP_PX:
        return float(ROWS), (f"INTERFRAME_DELAY {delay:g} s leaves no overlap: framelets stacked without one",)
    return step, ()


def _frames(strip: _Strip) -> list[Frame]:
    digest = sha256_of(strip.source)
    frames = [_frame(strip, band) for band in range(len(strip.filters))]
    return [replace(frame, sha256=digest) for frame in frames]


def _frame(strip: _Strip, band: int) -> Frame:
    """Give the mosaic of one filter."""
    filter_name, stem = strip.filters[band], re.sub(r"-raw$", "", strip.source.stem, flags=re.IGNORECASE)
    framelets = split_framelets(strip.pixels, len(strip.filters), strip.source)[:, band]
    step, notes = _step(strip, filter_name)
    sent = np.asarray(framelets.any(axis=(1, 2)))
    valid = _valid(sent, step)
    rows = framelet_rows(len(framelets), len(strip.filters), band, step)
    label = strip.label
    exposure = label.number("EXPOSURE_DURATION")
    frame = Frame.of(
        strip.pixels[rows],
        valid,
        unit="DN",
        id=frame_id(stem, filter_name if len(strip.filters) > 1 else ""),
        observation=frame_id(stem),
        instrument=JUNOCAM.name,
        filter=filter_name,
        wavelength_um=JUNOCAM.wavelength(filter_name),
        start_time=label.text("START_TIME") or label.text("IMAGE_TIME"),
        exposure_s=exposure * (1e-3 if label.value("EXPOSURE_DURATION").unit != "s" else 1.0),
        target="IO" if _meant_for_io(label) else target_name(label.text("TARGET_NAME")),
        source=strip.source,
        noise=Noise(read=JUNOCAM.read_noise),
        saturation=JUNOCAM.saturation if strip.pixels.dtype == np.float32 else math.inf,
        view=_view(label),
        keywords={**label.keywords, "framelets": str(len(framelets)), "framelet_step_px": f"{step:.9f}"},
        warnings=(*strip.warnings, *notes),
    )
    return frame.without(int((~sent).sum()), len(sent), "framelets")


def _valid(sent: NDArray[np.bool_], step: float) -> NDArray[np.bool_]:
    """(mosaic rows, 1648) which pixels of the mosaic were observed; ``sent`` says which framelets were downlinked."""
    frame, row = framelet_of_rows(len(sent), step).T
    inside = (row >= JUNOCAM_BORDER["top"]) & (row < ROWS - JUNOCAM_BORDER["bottom"])
    column = np.arange(COLUMNS)
    lit = (column >= JUNOCAM_BORDER["left"]) & (column < COLUMNS - JUNOCAM_BORDER["right"])
    return ((frame >= 0) & inside & sent[frame])[:, None] & lit


def _meant_for_io(label: Label) -> bool:
    return re.search(r"\b(Io|IO)\b", label.text("RATIONALE_DESC")) is not None


def _view(label: Label) -> View:
    target = target_name(label.text("TARGET_NAME"))
    if not target:
        return View(ifov_rad=JUNOCAM.ifov_rad)
    altitude = label.number("SPACECRAFT_ALTITUDE")
    return View(
        source="label",
        target=target,
        range_km=altitude + IO_RADIUS_KM if target == "IO" else math.nan,
        ifov_rad=JUNOCAM.ifov_rad,
        sub_spacecraft_lat_deg=label.number("SUB_SPACECRAFT_LATITUDE"),
    )
