"""Galileo SSI reduced records (REDR): 800 x 800 bytes with a detached label, or with their VICAR label alone.

Decisions
---------
* A frame read 2 x 2 summed (frame time 2.333 or 15.166 s, telemetry HIS or AI8; not the repaired frames of data set
  SSI-4) fills the upper left 400 x 400 of the file; the frame is then that quarter with the IFOV doubled. If the other
  three quarters hold signal the whole file is kept and a warning says so.
* Outside CUT_OUT_WINDOW the file is fill, not sky: not valid. A line of zeros from end to end was dropped: not valid.
* The predicted disk centre is good to some 30 pixels; PDS counts lines and samples from 1.
* TARGET_CENTER_DISTANCE is believed if the slant distance fits it: 0 .. 1.2 body radii shorter. PLRANGE of the VICAR
  label is the distance to Jupiter and is not used.
* Latitudes of Jupiter's moons in these labels are planetocentric, longitudes west-positive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame, View, sha256_of
from detector.instruments import (
    SSI,
    SSI_FILTERS,
    SSI_FRAME_S_BY_RATE,
    SSI_GAIN_E_PER_DN,
    SSI_SUMMED_FRAME_S,
    SSI_SUMMED_TELEMETRY,
    ssi_noise,
)
from detector.readers import vicar
from detector.readers.names import frame_id, target_name
from detector.readers.pds3 import Label, as_number, read_image

CENTRE_SIGMA_PX = 30.0
LARGEST_RADIUS_KM = 71492.0


@dataclass(frozen=True)
class _Facts:
    """What either label says, in our units; NaN or empty where it does not."""

    filter: str
    exposure_s: float
    gain_mode: str
    frame_s: float
    telemetry: str
    start_time: str
    mosaic: bool
    repaired: bool
    window: tuple[float, ...]
    view: View
    slant_km: float
    pixel_scale_m: float
    radius_km: float


def is_ssi(keywords: Mapping[str, str]) -> bool:
    """Whether a VICAR label is Galileo SSI's."""
    return keywords.get("SENSOR", "") == "SSI" and keywords.get("MISSION", "").upper().startswith("GALILEO")


def read_with_label(data: Path, label: Label) -> list[Frame]:
    """Read a REDR frame by its detached PDS label.

    Raises:
        InputError: for a truncated file or a layout that the label does not explain.

    """
    return [_frame(data, read_image(label, data)[0], _facts_of_label(label), label.keywords)]


def read_vicar(data: Path, pairs: dict[str, str]) -> list[Frame]:
    """Read a REDR frame by the VICAR label it begins with.

    Raises:
        InputError: for a truncated file or a sample type we do not read.

    """
    frame = _frame(data, vicar.read_array(data, pairs)[0], _facts_of_pairs(pairs), pairs)
    return [frame.with_warning("no PDS label beside the image: values taken from its VICAR label")]


def _facts_of_label(label: Label) -> _Facts:
    view = View(
        source="label",
        target=target_name(label.text("TARGET_NAME")),
        range_km=label.number("TARGET_CENTER_DISTANCE"),
        centre_x_px=label.number("SUB_SPACECRAFT_LINE_SAMPLE") - 1,
        centre_y_px=label.number("SUB_SPACECRAFT_LINE") - 1,
        sub_spacecraft_lat_deg=label.number("SUB_SPACECRAFT_LATITUDE"),
        sub_spacecraft_lon_w_deg=label.number("SUB_SPACECRAFT_LONGITUDE") % 360,
        sub_solar_lat_deg=label.number("SUB_SOLAR_LATITUDE"),
        sub_solar_lon_w_deg=label.number("SUB_SOLAR_LONGITUDE") % 360,
        north_azimuth_deg=label.number("NORTH_AZIMUTH"),
        phase_deg=label.number("PHASE_ANGLE"),
    )
    return _Facts(
        filter=label.text("FILTER_NAME").upper(),
        exposure_s=label.number("EXPOSURE_DURATION") / 1000,
        gain_mode=label.text("GAIN_MODE_ID").upper(),
        frame_s=label.number("FRAME_DURATION"),
        telemetry=label.text("TELEMETRY_FORMAT_ID").upper(),
        start_time=label.text("IMAGE_TIME"),
        mosaic=label.text("ON_CHIP_MOSAIC_FLAG").upper() == "Y",
        repaired="SSI-4" in label.text("DATA_SET_ID"),
        window=label.value("CUT_OUT_WINDOW").numbers,
        view=view,
        slant_km=label.number("SLANT_DISTANCE"),
        pixel_scale_m=label.number("HORIZONTAL_PIXEL_SCALE"),
        radius_km=label.number("A_AXIS_RADIUS"),
    )


def _facts_of_pairs(pairs: Mapping[str, str]) -> _Facts:
    def number(key: str) -> float:
        value = as_number(pairs.get(key, ""))
        return value if value != -999 else math.nan

    view = View(
        source="label",
        target=target_name(pairs.get("TARGET", "")),
        range_km=number("TARGET_CENTER_DISTANCE"),
        centre_x_px=number("SUB_SPACECRAFT_SAMPLE") - 1,
        centre_y_px=number("SUB_SPACECRAFT_LINE") - 1,
        sub_spacecraft_lat_deg=number("SUB_SPACECRAFT_LATITUDE"),
        sub_spacecraft_lon_w_deg=number("SUB_SPACECRAFT_LONGITUDE") % 360,
        sub_solar_lat_deg=number("SUB_SOLAR_LATITUDE"),
        sub_solar_lon_w_deg=number("SUB_SOLAR_LONGITUDE") % 360,
        north_azimuth_deg=number("NORAZ"),
        phase_deg=number("PHA"),
    )
    return _Facts(
        filter=_indexed([f.name for f in SSI_FILTERS], number("FILTER")),
        exposure_s=number("EXP") / 1000,
        gain_mode=_indexed(["", *SSI_GAIN_E_PER_DN], number("GAIN")),
        frame_s=SSI_FRAME_S_BY_RATE.get(vicar.count(pairs, "RATE", 0), math.nan),
        telemetry=pairs.get("TLMFMT", "").upper(),
        start_time=_vicar_time(pairs),
        mosaic=False,  # the VICAR label does not say
        repaired=False,
        window=tuple(as_number(item) for item in pairs.get("CUT_OUT_WINDOW", "").split(",")),
        view=view,
        slant_km=number("SLRANGE"),
        pixel_scale_m=number("HSCL"),
        radius_km=math.nan,
    )


def _indexed(names: list[str], number: float) -> str:
    return names[int(number)] if 0 <= number < len(names) else ""


def _vicar_time(pairs: Mapping[str, str]) -> str:
    """SCETYEAR .. SCETMSEC as ISO-8601; empty where a part is missing or senseless."""
    parts = [vicar.count(pairs, f"SCET{part}", -1) for part in ("YEAR", "DAY", "HOUR", "MIN", "SEC", "MSEC")]
    year, day, hour, minute, second, millisecond = parts
    if min(parts) < 0 or not (1950 <= year <= 2100 and day <= 366 and hour < 25 and max(minute, second) < 61):
        return ""
    moment = datetime(year, 1, 1) + timedelta(day - 1, second, 0, millisecond % 1000, minute, hour)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _frame(data: Path, dn: NDArray[np.generic], facts: _Facts, keywords: Mapping[str, str]) -> Frame:
    """Give the frame of the file's whole array and its label."""
    seen, notes = _inside_window(dn.shape, facts.window)
    summed = not facts.repaired and (facts.frame_s in SSI_SUMMED_FRAME_S or facts.telemetry in SSI_SUMMED_TELEMETRY)
    if summed and (dn[400:].any() or dn[:, 400:].any()):
        summed, notes = False, [*notes, "a 2x2 summed frame by its label, but with signal outside 400x400: kept whole"]
    if summed:
        dn, seen = dn[:400, :400], seen[:400, :400]
    asked = seen.any(axis=1)
    dropped = asked & (np.where(seen, dn, 0).max(axis=1, initial=0) == 0)
    if facts.mosaic:
        notes.append("on-chip mosaic: several exposures share the frame, the disk may stand in it more than once")
    view, more = _view(facts, summed)
    frame = Frame.of(
        dn,
        seen & ~dropped[:, None],
        unit="DN",
        id=frame_id(data.stem),
        observation=frame_id(data.stem),
        instrument=SSI.name,
        filter=facts.filter,
        wavelength_um=SSI.wavelength(facts.filter),
        start_time=facts.start_time,
        exposure_s=facts.exposure_s,
        target=facts.view.target,
        source=data,
        sha256=sha256_of(data),
        noise=ssi_noise(facts.gain_mode),
        saturation=SSI.saturation,
        view=view,
        keywords=keywords,
        warnings=(*notes, *more),
    )
    return frame.without(int(dropped.sum()), int(asked.sum()), "lines")


def _inside_window(shape: tuple[int, ...], window: tuple[float, ...]) -> tuple[NDArray[np.bool_], list[str]]:
    """Pixels inside CUT_OUT_WINDOW = {line, sample, lines, samples}; all of them where it makes no sense."""
    seen = np.ones(shape, np.bool_)
    if len(window) != 4 or not all(math.isfinite(term) for term in window):
        return seen, []
    line, sample, lines, samples = (int(min(max(term, -1e9), 1e9)) for term in window)
    if min(line, sample, lines, samples) < 1 or line > shape[0] or sample > shape[1]:
        return seen, [f"CUT_OUT_WINDOW {window} lies outside the frame: not used"]
    rows, columns = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    inside = (rows >= line) & (rows < line + lines) & (columns >= sample) & (columns < sample + samples)
    return inside, []


def _view(facts: _Facts, summed: bool) -> tuple[View, list[str]]:
    """Give the label's view with what does not fit taken out, in pixels of the frame as it was cut."""
    notes: list[str] = []
    radius = facts.radius_km if facts.radius_km > 0 else LARGEST_RADIUS_KM
    view = replace(facts.view, ifov_rad=SSI.ifov_rad * (2 if summed else 1), centre_sigma_px=CENTRE_SIGMA_PX)
    above = view.range_km - facts.slant_km
    if math.isfinite(above) and not 0 <= above <= 1.2 * radius:
        notes.append(f"range {view.range_km} km does not fit the slant distance {facts.slant_km} km: not used")
        view = replace(view, range_km=math.nan)
    # A label that counts in summed pixels also has the doubled pixel scale.
    if summed and facts.pixel_scale_m < 1.5 * facts.slant_km * 1000 * SSI.ifov_rad:
        notes.append("predicted centre halved: the label counts full pixels of a 2x2 summed frame")
        view = replace(view, centre_x_px=(view.centre_x_px - 0.5) / 2, centre_y_px=(view.centre_y_px - 0.5) / 2)
    if not (math.isfinite(view.centre_x_px) and math.isfinite(view.centre_y_px)):
        view = replace(view, centre_sigma_px=math.nan)
    return view, notes
