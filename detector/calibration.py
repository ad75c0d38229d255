"""From a frame's numbers to light: I/F of Galileo SSI, and spectral radiance of SSI and JIRAM.

Galileo SSI. The published way (galsos; ISIS gllssical) is e = slope (DN - dark) / (exposure - shutter) in
foot-lamberts, then I/F = e S1 (D / 5.2)² and radiance = 0.01 S2 e. The slope files stand in no public program; in their
place stands the answer to light that the instrument paper gives (Belton et al. 1992, as recalled): electrons per pixel
and millisecond of a surface of I/F = 1 at 5.2 AU. What one camera state really answers may be 20 % off: that is the
1-sigma. The dark level is the frame's own sky. Radiance then follows as I/F S2 / S1, the published ratio.

JIRAM. Reduced records hold band radiance; the literature divides it by 0.290 um (L) and 0.4975 um (M) (Davies et al.).
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

import numpy as np

from detector.errors import InputError
from detector.frame import Frame, Noise
from detector.instruments import JIRAM, JIRAM_WIDTH_UM, SSI, SSI_FILTERS, SsiFilter

SSI_ELECTRONS_PER_MS = {
    "CLEAR": 12000.0,
    "GREEN": 1400.0,
    "RED": 1900.0,
    "VIOLET": 400.0,
    "IR-7560": 850.0,
    "IR-9680": 300.0,
    "IR-7270": 400.0,
    "IR-8890": 250.0,
}
"""Electrons per pixel and millisecond of a surface of I/F = 1 at 5.2 AU."""
SSI_SHUTTER_S = 0.00125
"""Commanded less true exposure: 1.0 ms at the top to 1.5 ms at the bottom (ISIS gllssical); their mean."""
SSI_G29 = "2000-10"
"""From orbit G29 (December 2000) on, the light flood is off and the second of each pair of constants holds."""
SSI_SHARE, JIRAM_SHARE = 0.2, 0.05
"""Relative 1-sigma of the calibrations. JIRAM: alternate columns answer some 3 % up and down to strong light at 1 ms,
and the flat field is not published; 5 % together."""
USUAL_AU = 5.2
PERIHELION, PERIOD_DAYS = datetime(1999, 5, 20), 4332.59
"""Jupiter's orbit: 5.2034 AU, eccentricity 0.0484 (JPL, Keplerian elements for approximate positions)."""


def calibrated(frame: Frame) -> Frame:
    """Return a Galileo SSI frame in I/F, the sky's level taken off; noise and saturation likewise.

    Raises:
        InputError: the frame is not SSI's, not in DN, or its label tells no filter, exposure or gain.

    """
    factor = i_over_f_per_dn(frame)
    if not math.isfinite(factor):
        state = f"filter {frame.filter!r}, {frame.exposure_s} s, {frame.noise.gain} electrons per DN"
        remedy = "give a Galileo SSI frame in DN whose label tells filter, exposure and gain"
        raise InputError(frame.id, f"cannot be turned into I/F: {frame.instrument}, {frame.unit}, {state}", remedy)
    sky = frame.levels.sky
    image = np.where(frame.valid, (frame.image - np.float32(sky)) * np.float32(factor), np.float32(0))
    noise = Noise(frame.noise.read * factor, frame.noise.gain / factor)
    return replace(frame, image=image, unit="I/F", noise=noise, saturation=(frame.saturation - sky) * factor)


def i_over_f_per_dn(frame: Frame) -> float:
    """I/F of one DN of a Galileo SSI frame; NaN where its label does not tell enough."""
    per_ms = SSI_ELECTRONS_PER_MS.get(frame.filter, math.nan)
    if frame.instrument != SSI.name or frame.unit != "DN" or not frame.exposure_s > SSI_SHUTTER_S:
        return math.nan
    summed = 4.0 if frame.view.ifov_rad > 1.5 * SSI.ifov_rad or frame.shape == (400, 400) else 1.0
    seconds = frame.exposure_s - SSI_SHUTTER_S
    return frame.noise.gain / summed / (1000 * per_ms * seconds) * (sun_distance_au(frame.start_time) / USUAL_AU) ** 2


def spectral_radiance_per_unit(frame: Frame) -> tuple[float, float]:
    """Mean spectral radiance across the band, W m-2 sr-1 um-1, of one unit of the frame, and its relative 1-sigma.

    NaN twice for a camera whose light is not calibrated here.
    """
    if frame.instrument == JIRAM.name and frame.unit.startswith("W m-2 sr-1") and frame.filter in JIRAM_WIDTH_UM:
        return (1.0 if frame.unit.endswith("um-1") else 1 / JIRAM_WIDTH_UM[frame.filter]), JIRAM_SHARE
    position = next((f for f in SSI_FILTERS if f.name == frame.filter), None)
    if position is None or not math.isfinite(i_over_f_per_dn(frame)):
        return math.nan, math.nan
    at_usual = i_over_f_per_dn(frame) * (USUAL_AU / sun_distance_au(frame.start_time)) ** 2
    return at_usual * _radiance_of_i_over_f(position, frame.start_time), SSI_SHARE


def sun_distance_au(start_time: str) -> float:
    """Distance of Jupiter from the Sun at an ISO-8601 time, within 0.3 %; 5.2 AU for no time."""
    try:
        moment = datetime.fromisoformat(start_time.rstrip("Z")).replace(tzinfo=None)
    except ValueError:
        return USUAL_AU
    mean = 2 * math.pi * (moment - PERIHELION).total_seconds() / 86400 / PERIOD_DAYS
    return 5.2034 * (1 - 0.0484 * math.cos(mean + 0.0484 * math.sin(mean)))


def _radiance_of_i_over_f(position: SsiFilter, start_time: str) -> float:
    """W m-2 sr-1 um-1 of I/F = 1 at 5.2 AU; nW cm-2 sr-1 nm-1 are 0.01 W m-2 sr-1 um-1."""
    late = int(start_time >= SSI_G29)
    return 0.01 * position.s2[late] / position.s1[late]
