"""JIRAM imager records: 256 x 432 (L over M) or 128 x 432 (one band), 32-bit reals, PDS3 or PDS4 label.

Decisions
---------
* Byte order is proved, not believed: the archive's reals are little-endian although its labels say IEEE_REAL (MSB).
  Both are decoded; the one with more sane values (zero or 1e-12 < |x| < 1e6) is taken, little-endian where they tie
  (a constant frame). The frame warns when its label disagrees.
* INSTRUMENT_MODE_ID ..I1..: lines 1-128 are the L band, 129-256 the M band. I2 is M alone, I3 is L alone.
* UNIT decides between W m-2 sr-1 and W m-2 sr-1 um-1; without it the frame is taken as W m-2 sr-1, with a warning.
* The picture stays as the archive stores it, which is mirrored left to right against the sky, and the view says so. It
  has no predicted centre and no north: NORTH_AZIMUTH stays in the keywords only. In the one real label that was looked
  at (JIR_IMG_RDR_2017033T114006) it repeats SUB_SPACECRAFT_AZIMUTH and fits the quaternion in no way of counting.
* Sub-spacecraft and sub-solar longitudes are east-positive in these labels; the view is west-positive.
* The exposure is STOP_TIME - START_TIME where no exposure is named.
* Values at or below -999 are fill.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import Frame, View, sha256_of
from detector.instruments import JIRAM, jiram_saturation
from detector.readers.foreign import reading
from detector.readers.layout import Layout
from detector.readers.names import frame_id, target_name
from detector.readers.pds3 import Label, as_number, image_layout

FILL = -999.0
MAX_XML_BYTES = 4_000_000
HALF_ROWS = 128


@dataclass(frozen=True)
class _Facts:
    """What either kind of label says; NaN or empty where it does not."""

    layout: Layout
    mode: str
    unit: str
    target: str
    start_time: str
    exposure_s: float
    view: View
    phase_deg: Mapping[str, float]
    keywords: Mapping[str, str]


def read_with_label(data: Path, label: Label) -> list[Frame]:
    """Read an imager record by its PDS3 label: one frame for each band it holds.

    Raises:
        InputError: for a truncated file, or lines that are neither 128 nor 256.

    """
    return _frames(data, _facts_of_label(label, data))


def read_with_xml(data: Path, xml: Path) -> list[Frame]:
    """Read an imager record by its PDS4 label: one frame for each band it holds.

    Raises:
        InputError: for XML that is no PDS4 label of a two-dimensional image, or a truncated file.

    """
    return _frames(data, _facts_of_xml(data, xml))


def is_named_in(xml: Path) -> bool:
    """Whether a PDS4 label names JIRAM anywhere.

    Raises:
        InputError: for a file that cannot be read.

    """
    with reading(xml), xml.open("rb") as stream:
        return b"JIRAM" in stream.read(MAX_XML_BYTES).upper()


def prove_byte_order(samples: NDArray[np.generic]) -> tuple[NDArray[np.float32], str]:
    """Decode 32-bit reals both ways and take the sane ones.

    Args:
        samples: any shape, 4-byte items in any declared order.

    Returns:
        The values in the machine's order and ``<`` or ``>``; ``<`` where both are equally sane.

    """
    raw = np.ascontiguousarray(samples).view(np.uint8).reshape(*samples.shape, 4)
    both = {order: raw.view(f"{order}f4")[..., 0] for order in "<>"}
    order = ">" if _sane(both[">"]) > _sane(both["<"]) else "<"
    return both[order].astype(np.float32), order


def _sane(values: NDArray[np.float32]) -> float:
    """Share of values that a radiance can have: zero, or between 1e-12 and 1e6 in size."""
    with np.errstate(invalid="ignore"):  # a wrong order meets signalling NaNs
        size = np.abs(values.astype(np.float64))
    return float(((size == 0) | ((size > 1e-12) & (size < 1e6))).mean())


def seconds_between(start: str, stop: str) -> float:
    """Seconds from one ISO-8601 time to another; NaN where one of them cannot be read."""
    try:
        first, last = (datetime.fromisoformat(text.rstrip("Z")) for text in (start, stop))
        return (last - first).total_seconds()
    except (ValueError, TypeError):
        return math.nan


def _facts_of_label(label: Label, data: Path) -> _Facts:
    start, named = label.text("START_TIME"), label.number("EXPOSURE_DURATION")
    milli = label.value("EXPOSURE_DURATION").unit.lower().startswith("ms")
    view = View(
        source="label",
        target=target_name(label.text("TARGET_NAME")),
        range_km=label.number("TARGET_CENTER_DISTANCE"),
        ifov_rad=JIRAM.ifov_rad,
        sub_spacecraft_lat_deg=label.number("SUB_SPACECRAFT_LATITUDE"),
        sub_spacecraft_lon_w_deg=-label.number("SUB_SPACECRAFT_LONGITUDE") % 360,
        sub_solar_lat_deg=label.number("SUB_SOLAR_LATITUDE"),
        sub_solar_lon_w_deg=-label.number("SUB_SOLAR_LONGITUDE") % 360,
        mirrored=True,
    )
    return _Facts(
        layout=image_layout(label, data),
        mode=label.text("INSTRUMENT_MODE_ID").upper(),
        unit=label.text("UNIT"),
        target=view.target,
        start_time=start,
        exposure_s=named * (1e-3 if milli else 1.0) if named > 0 else seconds_between(start, label.text("STOP_TIME")),
        view=view,
        phase_deg={band: label.number("PHASE_ANGLE", f"{band}_BAND_PARAMETERS") for band in "LM"},
        keywords=label.keywords,
    )


def _facts_of_xml(data: Path, xml: Path) -> _Facts:
    values = xml_values(xml)

    def number(tag: str) -> float:
        return as_number(values.get(tag, ""))

    start = values.get("start_date_time", "")
    view = View(
        source="label",
        target=target_name(values.get("Target_Identification.name", "")),
        range_km=number("spacecraft_target_center_distance"),
        ifov_rad=JIRAM.ifov_rad,
        sub_spacecraft_lat_deg=number("subspacecraft_latitude"),
        sub_spacecraft_lon_w_deg=-number("subspacecraft_longitude") % 360,
        sub_solar_lat_deg=number("subsolar_latitude"),
        sub_solar_lon_w_deg=-number("subsolar_longitude") % 360,
        mirrored=True,
    )
    offset, rows, columns = (number(tag) for tag in ("Array_2D_Image.offset", "Line.elements", "Sample.elements"))
    if not all(0 <= term < 1e9 for term in (offset, rows, columns)):
        raise InputError(xml, "describes no two-dimensional image", "use the .LBL label, or fetch the product again")
    return _Facts(
        layout=Layout(int(offset), int(rows), int(columns), np.dtype(">f4")),
        mode="",
        unit=values.get("Element_Array.unit", ""),
        target=view.target,
        start_time=start,
        exposure_s=seconds_between(start, values.get("stop_date_time", "")),
        view=view,
        phase_deg={band: number(f"{band}_Band_Parameters.phase_angle") for band in "LM"},
        keywords=values,
    )


def xml_values(xml: Path) -> dict[str, str]:
    """Text of each element by its name, and by parent and name, axes by their own names; the first wins.

    Raises:
        InputError: for a file that cannot be read or is no XML, or that declares entities.

    """
    try:
        with reading(xml):
            text = xml.read_bytes()[:MAX_XML_BYTES]
        if re.search(rb"<!\s*(?:DOCTYPE|ENTITY)", text):
            raise InputError(xml, "declares entities; expected a plain PDS4 label", "fetch the label again")
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(xml, f"is no readable XML: {error}", "fetch the label again") from error
    values: dict[str, str] = {}
    for parent in root.iter():
        outer = _local(parent.tag)
        for child in parent.iter() if outer.endswith("_Band_Parameters") else parent:
            name, content = _local(child.tag), (child.text or "").strip()
            if content:
                values.setdefault(f"{outer}.{name}", content)
                values.setdefault(name, content)
        if outer == "Axis_Array":
            parts = {_local(child.tag): (child.text or "").strip() for child in parent}
            values.setdefault(f"{parts.get('axis_name', '')}.elements", parts.get("elements", ""))
    return values


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _frames(data: Path, facts: _Facts) -> list[Frame]:
    samples = facts.layout.read(data)[0]
    notes: list[str] = []
    real = facts.layout.dtype.itemsize == 4 and facts.layout.dtype.kind == "f"
    if real:
        samples, order = prove_byte_order(samples)
        said = ">" if facts.layout.dtype.str.startswith(">") else "<"
        if order != said:
            notes.append(f"the label says {_order_name(said)} reals, the values are {_order_name(order)}: read as such")
    unit, more = _unit(facts.unit) if real else ("DN", [])
    bands, which = _bands(samples.shape[0], facts.mode, data)
    warnings = (*notes, *more, *which)
    digest = sha256_of(data)
    halves = {band: samples[i * HALF_ROWS : (i + 1) * HALF_ROWS] for i, band in enumerate(bands)}
    frames = [_frame(data, half, band, facts, unit, warnings) for band, half in halves.items()]
    return [replace(frame, sha256=digest) for frame in frames]


def _order_name(order: str) -> str:
    return "little-endian" if order == "<" else "big-endian (MSB)"


def _unit(text: str) -> tuple[str, list[str]]:
    """Give the frame's unit from the label's, and what had to be assumed."""
    if not text:
        return "W m-2 sr-1", ["the label names no unit: taken as band radiance, W m-2 sr-1"]
    return ("W m-2 sr-1 um-1" if re.search(r"micron|um|µm", text, re.IGNORECASE) else "W m-2 sr-1"), []


def _bands(rows: int, mode: str, data: Path) -> tuple[tuple[str, ...], list[str]]:
    """Bands from top to bottom, and what had to be assumed."""
    if rows == 2 * HALF_ROWS:
        return ("L", "M"), []
    if rows != HALF_ROWS:
        raise InputError(data, f"{rows} lines; a JIRAM image has 128 or 256", "spectra (JIR_SPE) are not read")
    if "_I3" in mode:
        return ("L",), []
    return ("M",), [] if "_I2" in mode else [f"mode {mode or 'not known'} of a half frame: taken as the M band"]


def _frame(
    data: Path, values: NDArray[np.generic], band: str, facts: _Facts, unit: str, notes: tuple[str, ...]
) -> Frame:
    fill = np.asarray(values, np.float64) <= FILL
    frame = Frame.of(
        values,
        ~fill,
        unit=unit,
        id=frame_id(data.stem, band),
        observation=frame_id(data.stem),
        instrument=JIRAM.name,
        filter=band,
        wavelength_um=JIRAM.wavelength(band),
        start_time=facts.start_time,
        exposure_s=facts.exposure_s,
        target=facts.target,
        source=data,
        saturation=jiram_saturation(facts.exposure_s, band, unit) if unit != "DN" else math.inf,
        view=replace(facts.view, phase_deg=facts.phase_deg[band]),
        keywords=facts.keywords,
        warnings=notes,
    )
    return frame.without(int(fill.all(axis=1).sum()), len(fill), "lines")
