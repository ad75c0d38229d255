"""What a frame's own file tells of the view, which is less than the simulator knows; or what kernels would tell."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from detector.frame import Frame, View

KERNELS_OFF_PX = 20.0
"""1-sigma by which the centre is off that attitude and trajectory predict: SSI's C kernels are that good, the others
better."""


def as_filed(frame: Frame) -> Frame:
    """A simulated frame with the view that its camera's archive gives, and no more.

    SSI's labels tell all but a centre to rely on. JIRAM's leave out where north is, JunoCam's tell the range alone,
    SRU's the scale of a pixel alone, a picture has no label. What ``detector.readers`` read is the same.
    """
    view = frame.view
    if frame.instrument == "galileo_ssi":
        told = replace(view, centre_x_px=math.nan, centre_y_px=math.nan, centre_sigma_px=math.nan)
    elif frame.instrument == "jiram":
        told = replace(
            view, centre_x_px=math.nan, centre_y_px=math.nan, centre_sigma_px=math.nan, north_azimuth_deg=math.nan
        )
    elif frame.instrument == "junocam":
        told = View(
            source=view.source,
            target=view.target,
            range_km=view.range_km,
            ifov_rad=view.ifov_rad,
            sub_spacecraft_lat_deg=view.sub_spacecraft_lat_deg,
        )
    else:
        told = View(ifov_rad=view.ifov_rad) if frame.instrument == "sru" else View()
    return replace(frame, view=told)


def by_kernels(frame: Frame, rng: np.random.Generator) -> Frame:
    """A simulated frame with the view that SPICE kernels give, its centre off by ``KERNELS_OFF_PX``."""
    if frame.instrument == "unknown" or frame.view.source == "none":
        return as_filed(frame)
    off_x, off_y = rng.normal(0, KERNELS_OFF_PX, 2)
    view = replace(
        frame.view,
        source="spice",
        centre_x_px=frame.view.centre_x_px + off_x,
        centre_y_px=frame.view.centre_y_px + off_y,
    )
    return replace(frame, view=view)
