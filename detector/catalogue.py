"""The catalogue: detections with what was measured of them. Empty is an ordinary value."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from textwrap import indent
from typing import Any

from detector.card import Threshold
from detector.table import number, to_csv, values

GEOJSON_CRS = "urn:ogc:def:crs:IAU::50100"
"""Io (2015), sphere of 1821.49 km, ocentric latitude, east-positive longitude."""


@dataclass(frozen=True)
class Detection:
    """One region and its measurements: the one definition of the catalogue's columns and of their order.

    NaN and the empty string are "not known" and are written as an empty cell, never guessed.

    Attributes:
        detection_id: ``<frame_id>-p01`` for plumes, ``-h01`` for hot spots, numbered from the most certain.
        frame_id: the frame it was found in.
        kind: ``plume`` or ``hotspot``.
        score: of the region, 0..1.
        x_px, y_px: centroid weighted by the signal above the background; an integer is a pixel's centre.
        bbox_x0_px, bbox_y0_px, bbox_x1_px, bbox_y1_px: first and last column and row of the region, both included.
        area_px: number of pixels.
        peak_snr: brightest pixel above the local background over the 1-sigma noise there.
        lon_e_deg, lon_w_deg, lat_deg: place on Io, east-positive -180..180, west-positive 0..360, planetocentric. Of a
            plume over the limb the place of the limb below it.
        position_sigma_deg: 1-sigma of the place, degrees of arc; of a plume over the limb with all that its vent may
            lie before or beyond it.
        geometry_source: what the kilometres and degrees rest on: ``spice``, ``label``, ``index``, ``limb`` or ``none``.
        plume_height_km: apparent height of the plume's top above the limb; less than the true one for a vent that is
            not on the limb.
        plume_height_sigma_km: its 1-sigma.
        plume_width_km: extent along the limb's tangent of what stands above the limb.
        spectral_power_gw_um, spectral_power_sigma_gw_um: mean across the band of what a flat surface would radiate,
            seen from above; a lower limit where flagged SATURATED.
        temperature_k, temperature_sigma_k: colour temperature from two bands of the same place (detector.colour).
        volcano, volcano_distance_km: nearest known volcanic feature and its great-circle distance; of a plume over the
            limb the one that fits best as its vent, and its distance from the line of possible vents.
        instrument, filter, start_time_utc: of the frame.
        flags: names of :class:`detector.flags.Doubt` joined by ``|``.
        model: ``name@version``.
        plume_azimuth_deg: where on the limb, 0..360: 0 = towards row 0, growing clockwise as the picture is seen.
        plume_vent_height_km, plume_vent_height_sigma_km: height over the vent, mean and 1-sigma over all places that
            the vent may have (detector.vents).
        peak_i_over_f: brightest pixel above the local background, where the camera is calibrated.
        emission_deg: of a hot spot: angle between the ground's normal and the camera.
        hot_area_km2: of a black body of ``temperature_k`` that gives the power.

    """

    detection_id: str
    frame_id: str
    kind: str
    score: float = number(4)
    x_px: float = number(2)
    y_px: float = number(2)
    bbox_x0_px: int = 0
    bbox_y0_px: int = 0
    bbox_x1_px: int = 0
    bbox_y1_px: int = 0
    area_px: int = 0
    peak_snr: float = number(1)
    lon_e_deg: float = number(3)
    lon_w_deg: float = number(3)
    lat_deg: float = number(3)
    position_sigma_deg: float = number(3)
    geometry_source: str = "none"
    plume_height_km: float = number(1)
    plume_height_sigma_km: float = number(1)
    plume_width_km: float = number(1)
    spectral_power_gw_um: float = number(4)
    spectral_power_sigma_gw_um: float = number(4)
    temperature_k: float = number(0)
    temperature_sigma_k: float = number(0)
    volcano: str = ""
    volcano_distance_km: float = number(0)
    instrument: str = ""
    filter: str = ""
    start_time_utc: str = ""
    flags: str = ""
    model: str = ""
    plume_azimuth_deg: float = number(2)
    plume_vent_height_km: float = number(1)
    plume_vent_height_sigma_km: float = number(1)
    peak_i_over_f: float = number(6)
    emission_deg: float = number(1)
    hot_area_km2: float = number(4)


@dataclass(frozen=True)
class FrameStatus:
    """What became of one frame (or of a product that could not be read): the one definition of ``frames.csv``.

    Attributes:
        frame_id: empty for a rejected product.
        path: the file as it was named.
        sha256: of the file.
        status: ``ok``, ``partial`` (less than 90 % observed, or lines or framelets missing) or ``rejected``.
        reason: what there is to say about it: why it is not ``ok``, another target than Io, what the reader assumed.
        instrument, filter, start_time_utc: as the label says.
        coverage: share of the frame's pixels that were observed, 0..1.
        plumes, hotspots: how many were found; NaN where none was looked for: in a rejected product, a frame without a
            valid pixel, and, for plumes, a frame with neither a limb nor a guess of one.
        limb_source, disk_x_px, disk_y_px, disk_radius_px: the limb circle and where it is from.
        seconds: wall-clock time spent on the frame, reading left out.

    """

    frame_id: str = ""
    path: str = ""
    sha256: str = ""
    status: str = "ok"
    reason: str = ""
    instrument: str = ""
    filter: str = ""
    start_time_utc: str = ""
    coverage: float = number(4)
    plumes: float = number(0)
    hotspots: float = number(0)
    limb_source: str = ""
    disk_x_px: float = number(2)
    disk_y_px: float = number(2)
    disk_radius_px: float = number(2)
    seconds: float = number(3)


@dataclass(frozen=True)
class Catalogue:
    """Detections and what decided them.

    Attributes:
        rows: the detections, in the order in which they are written.
        model: ``name@version``.
        operating_point: ``screening`` or ``confident``.
        thresholds: of that operating point, one a class.

    """

    rows: tuple[Detection, ...] = ()
    model: str = ""
    operating_point: str = ""
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)

    def to_csv(self) -> str:
        """Return the table as RFC 4180 text; a header line even when nothing was found."""
        return to_csv(Detection, self.rows)

    def to_geojson(self) -> str:
        """Return a FeatureCollection: a point where the place on Io is known, else ``geometry: null``."""
        return "".join(replace(self, rows=()).geojson_lines(self.rows))

    def geojson_lines(self, rows: Iterable[Detection]) -> Iterator[str]:
        """Yield that text for other rows piece by piece, so that it need never be whole in memory."""
        document = {
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": GEOJSON_CRS}},
            "model": self.model,
            "operating_point": self.operating_point,
            "thresholds": {kind: limit.model_dump() for kind, limit in sorted(self.thresholds.items())},
        }
        yield _json(document).removesuffix("\n}") + ',\n "features": ['
        between = ""
        for row in rows:
            yield between + "\n" + indent(_json(_feature(row)), "  ")
            between = ","
        yield ("\n ]" if between else "]") + "\n}\n"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)


def _feature(row: Detection) -> dict[str, Any]:
    properties = values(row)
    known = math.isfinite(row.lon_e_deg) and math.isfinite(row.lat_deg)
    place = {"type": "Point", "coordinates": [properties["lon_e_deg"], properties["lat_deg"]]} if known else None
    return {"type": "Feature", "id": row.detection_id, "geometry": place, "properties": properties}
