"""What a region measures: its place, its signal, its height and width. What cannot be known stays not known.

Places, scales and slants come from the frame's :class:`~detector.geometry.Pointing`, whatever it rests on.

* A hot spot is where its centroid's line of sight meets the ground.
* A plume on the limb stands over the place of the limb at its azimuth, but its vent may lie before or beyond the limb:
  how far follows from how tall plumes are (:mod:`detector.vents`), and goes into the place's 1-sigma. Its volcano is
  the known one that fits best: near the line of possible vents, and not far from the limb.
* What lies further than NEW_KM and two 1-sigmas of its place from every known volcano is a new candidate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibration import i_over_f_per_dn
from detector.catalogue import Detection
from detector.flags import Doubt, doubts_of
from detector.frame import IO_RADIUS_KM, Frame
from detector.geometry import Pointing, east
from detector.hotspot_measure import Seen, flux_of, power_of
from detector.limb import Limb
from detector.plume_measure import Extent, extent_of
from detector.regions import Region, altitude_px, on_the_disk
from detector.scene import Floats, Scene, excess_above_background, grid
from detector.vents import TALLEST_KM, UnknownVent, candidates, unknown_vent
from detector.volcanoes import nearest

PLACE_SIGMA_PX = 0.5
"""Largest 1-sigma error of a compact spot's centroid: half a pixel, the size of the cameras' PSF."""
NEW_KM = 100.0
"""No known volcano within this and two 1-sigmas: a new candidate. Catalogued places are of centres; lava flows reach
100 km and more from them."""
KM_PER_DEG = math.radians(IO_RADIUS_KM)

__all__ = ["NEW_KM", "Scene", "excess_above_background", "measure"]


def measure(
    frame: Frame, limb: Limb, regions: Sequence[Region], model: str, pointing: Pointing | None = None
) -> tuple[Detection, ...]:
    """Measure the regions of one frame, in their order.

    Args:
        frame: the frame.
        limb: the trusted limb, or none; then heights and widths are not known.
        regions: of both classes, in the order in which they shall be numbered.
        model: ``name@version`` for the ``model`` column.
        pointing: the frame's geometry; sought by :func:`detector.pointing.geometry_of` where not given.

    """
    if not regions:
        return ()
    scene = Scene.of(frame, limb, regions, pointing)
    numbers = _numbers(regions)
    return tuple(_detection(scene, region, number, model) for region, number in zip(regions, numbers, strict=True))


def _numbers(regions: Sequence[Region]) -> list[int]:
    """Each region's number within its class, from 1."""
    seen: dict[str, int] = {}
    numbers = []
    for region in regions:
        seen[region.kind] = seen.get(region.kind, 0) + 1
        numbers.append(seen[region.kind])
    return numbers


def _detection(scene: Scene, region: Region, number: int, model: str) -> Detection:
    frame, (rows, columns) = scene.frame, region.box
    excess = excess_above_background(scene, region)
    x_px, y_px, peak_snr, sigma = _signal(scene, region, excess)
    of_kind = _plume(scene, region, excess) if region.kind == "plume" else _hotspot(scene, region, (x_px, y_px))
    doubts = doubts_of(frame, region, excess, sigma) | of_kind.pop("doubt", Doubt(0))
    return Detection(
        detection_id=f"{frame.id}-{region.kind[0]}{number:02d}",
        frame_id=frame.id,
        kind=region.kind,
        score=region.score,
        x_px=x_px,
        y_px=y_px,
        bbox_x0_px=columns.start,
        bbox_y0_px=rows.start,
        bbox_x1_px=columns.stop - 1,
        bbox_y1_px=rows.stop - 1,
        area_px=region.area_px,
        peak_snr=peak_snr,
        peak_i_over_f=peak_snr * sigma * i_over_f_per_dn(frame),
        instrument=frame.instrument,
        filter=frame.filter,
        start_time_utc=frame.start_time,
        flags=doubts.text,
        model=model,
        **of_kind,
    )


def _signal(scene: Scene, region: Region, excess: Floats) -> tuple[float, float, float, float]:
    """Centroid x and y, peak signal-to-noise, and the noise at the peak."""
    box = region.grown_box(1, scene.frame.shape)
    rows, columns = np.nonzero(_counted(scene, region, box))
    signal = excess[rows, columns]
    weight = np.maximum(signal, 0.0)
    weight = weight if weight.sum() > 0 else np.ones_like(weight)
    x_px = float(np.average(columns, weights=weight)) + box[1].start
    y_px = float(np.average(rows, weights=weight)) + box[0].start
    peak = int(signal.argmax())
    sigma = scene.sigma(float(scene.frame.image[box][rows[peak], columns[peak]]))
    return x_px, y_px, float(signal[peak]) / sigma, sigma


def _counted(scene: Scene, region: Region, box: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return the region's pixels whose signal counts: of a plume only what stands above the limb, where anything does.

    On the disk beside the limb the ground's own pattern outshines a plume.
    """
    inside = region.within(box)
    if region.kind != "plume" or not scene.limb.trusted:
        return inside
    above = inside & (altitude_px(*grid(box), scene.limb) > 0)
    return above if above.any() else inside


# -- hot spots ------------------------------------------------------------------------------------------------------


def _hotspot(scene: Scene, region: Region, centroid: tuple[float, float]) -> dict[str, Any]:
    """Place, slant and power of a hot spot."""
    pointing = scene.pointing
    if not pointing.known:
        return {}
    flux = flux_of(scene, region)
    sigma_px = math.hypot(_pointing_sigma_px(scene), _centroid_sigma_px(region, flux.total / max(flux.sigma, 1e-300)))
    ground = pointing.at(*centroid)
    sigma_deg = pointing.place_sigma_deg(*centroid, sigma_px)
    seen = Seen(float(ground.emission_deg), float(ground.km_per_px), sigma_deg)
    power, power_sigma = power_of(scene, flux, seen)
    known = {
        "geometry_source": pointing.source,
        "emission_deg": seen.emission_deg,
        "spectral_power_gw_um": power,
        "spectral_power_sigma_gw_um": power_sigma,
    }
    return known | _place(float(ground.lat_deg), float(ground.lon_w_deg), sigma_deg)


def _centroid_sigma_px(region: Region, snr: float) -> float:
    """1-sigma of a centroid: its spread over the signal-to-noise, at least a twentieth of a pixel."""
    spread = max(math.sqrt(region.area_px / math.pi) / 2, PLACE_SIGMA_PX)
    return min(max(spread / max(snr, 1e-3), 0.05), spread)


def _pointing_sigma_px(scene: Scene) -> float:
    """1-sigma of where the geometry puts the disk."""
    sigma = scene.pointing.centre_sigma_px
    return sigma if math.isfinite(sigma) else scene.limb_sigma_px


def _place(lat: float, lon_w: float, sigma_deg: float) -> dict[str, Any]:
    """Columns of a place on Io, with the nearest known volcano; nothing for a place that is not known."""
    if not math.isfinite(lat):
        return {}
    volcano, distance_km = nearest(lat, lon_w)
    return {
        "lat_deg": lat,
        "lon_w_deg": lon_w,
        "lon_e_deg": float(east(np.array(-lon_w))),
        "position_sigma_deg": sigma_deg,
        "volcano": volcano.name,
        "volcano_distance_km": distance_km,
        "doubt": Doubt.NEW_CANDIDATE if distance_km > _reach_km(sigma_deg) else Doubt(0),
    }


def _reach_km(sigma_deg: float) -> float:
    """How far from its catalogued centre a volcano's eruption may be found."""
    return NEW_KM + 2 * sigma_deg * KM_PER_DEG


# -- plumes ---------------------------------------------------------------------------------------------------------


def _plume(scene: Scene, region: Region, excess: Floats) -> dict[str, Any]:
    """Height, width and vent of a plume."""
    if not scene.limb.trusted:
        return {"doubt": Doubt.LIMB_DOUBTED}
    on_disk = on_the_disk(region, scene.limb)
    if not (math.isfinite(scene.km_per_px) and scene.pointing.known):
        return {"doubt": Doubt.ON_DISK} if on_disk else {}
    if on_disk:
        return _on_the_disk(scene, region)
    extent = extent_of(scene, region, excess)
    x, y = _at(scene.limb, extent, extent.height_px)
    lat, lon_w, height = scene.pointing.limb_point(x, y)
    scale = height / extent.height_px if height > 0 else scene.km_per_px
    height, sigma = max(height, 0.0), extent.height_sigma_px * scale
    vent = unknown_vent(min(height, TALLEST_KM))
    return {
        "geometry_source": scene.pointing.source,
        "plume_height_km": height,
        "plume_height_sigma_km": sigma,
        "plume_width_km": extent.width_px * scale,
        "plume_azimuth_deg": (math.degrees(extent.azimuth_rad) + 90.0) % 360.0,
        "plume_vent_height_km": max(vent.height_km, height),
        "plume_vent_height_sigma_km": math.hypot(vent.sigma_km, sigma),
    } | _vent(scene, extent, (lat, lon_w), vent)


def _vent(scene: Scene, extent: Extent, foot: tuple[float, float], vent: UnknownVent) -> dict[str, Any]:
    """Place over which a plume stands, how far its vent may be from there, and the volcano that fits best."""
    sideways = math.degrees(extent.azimuth_sigma_rad)
    place = _place(*foot, math.hypot(sideways, vent.beta_sigma_deg))
    if not place:
        return {}
    x, y = _at(scene.limb, extent, extent.height_px)
    reach = _reach_km(sideways)
    fits = candidates(scene.pointing, x, y, reach)
    if not fits:
        return place | {"doubt": Doubt.NEW_CANDIDATE}
    best = min(fits, key=lambda c: (c.off_km / reach) ** 2 + (c.beta_deg / max(vent.beta_sigma_deg, 1.0)) ** 2)
    return place | {"volcano": best.volcano.name, "volcano_distance_km": best.off_km, "doubt": Doubt(0)}


def _on_the_disk(scene: Scene, region: Region) -> dict[str, Any]:
    """Place of a plume of which nothing stands over the limb: the middle of its pixels, as uncertain as it is large."""
    x, y = region.points()
    middle = float(x.mean()), float(y.mean())
    sigma_px = math.hypot(_pointing_sigma_px(scene), math.sqrt(region.area_px / math.pi) / 2)
    lat, lon_w = scene.pointing.surface_point(*middle)
    known = {"geometry_source": scene.pointing.source, "doubt": Doubt.ON_DISK}
    place = _place(lat, lon_w, scene.pointing.place_sigma_deg(*middle, sigma_px))
    return known | place | {"doubt": Doubt.ON_DISK | place.get("doubt", Doubt(0))}


def _at(limb: Limb, extent: Extent, altitude: float) -> tuple[float, float]:
    """Pixel at an altitude over the limb in the plume's direction."""
    reach = limb.radius_px + altitude
    return limb.x_px + reach * math.cos(extent.azimuth_rad), limb.y_px + reach * math.sin(extent.azimuth_rad)
