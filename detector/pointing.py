"""The geometry of a frame from the best source there is: SPICE, label, index table, limb, none.

Each source that cannot be used leaves a note that says why. Whatever says where the camera looked, the fitted limb says
where the disk is: the camera is turned until the predicted limb lies on the circle. The circle's radius checks the
scale; where it disagrees the limb is believed and a note says so.

The index table is given as one row of it (PDS INDEX.TAB): a mapping from column name to text, with the names and the
west-positive longitudes of the SSI labels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector import spice
from detector.errors import InputError
from detector.frame import IO_RADIUS_KM, Frame, View
from detector.geometry import Pointing, Pose, direction, east, latitude, west
from detector.instruments import JUNOCAM
from detector.limb import Limb
from detector.optics import Optics, optics_of

Array = NDArray[np.float64]

KERNELS = "IO_DETECTOR_KERNELS"
"""Environment variable: the folder of SPICE kernels."""
FAR_KM = 2e7
"""Range where none is known: from there the disk shows all but 0.005 degrees of a hemisphere."""
SCALE_SHARE, SCALE_PX = 0.01, 1.0
"""The limb's radius agrees with the predicted one within three of its 1-sigma, this share, or so many pixels."""
ENOUGH_LIMB = 60
"""Points of the limb, of 720, that must be lit and inside the frame for the others to be left out."""
REFINING = 4


class _UnusableError(Exception):
    """A source that cannot be used, and why."""


def geometry_of(
    frame: Frame,
    limb: Limb,
    kernels: Path | None = None,
    index: Mapping[str, str] | None = None,
    range_km: float = math.nan,
) -> Pointing:
    """Find the geometry of a frame by the best source that has it, refined by the limb.

    Args:
        frame: with the view that its reader found.
        limb: of the same frame; may be none.
        kernels: folder of SPICE kernels; IO_DETECTOR_KERNELS of the environment where not given.
        index: the frame's row of an index table.
        range_km: spacecraft to Io's centre, for a frame whose label does not know it.

    Returns:
        Geometry with its source and the reasons against the better ones; ``none`` is an answer, not an error.

    """
    ranged = frame.view if not range_km > 0 else replace(frame.view, range_km=range_km)
    of_index = _view_of_row(frame, index or {})
    sources: tuple[Callable[[], Pointing], ...] = (
        lambda: _by_spice(frame, limb, kernels),
        lambda: _by_view(frame, limb, ranged),
        lambda: _by_view(frame, limb, of_index),
        lambda: _by_limb(frame, limb, ranged if ranged.range_km > 0 else of_index),
    )
    notes: list[str] = []
    for source in sources:
        try:
            found = source()
        except _UnusableError as reason:
            notes.append(str(reason))
        else:
            return replace(found, notes=(*notes, *found.notes))
    return Pointing("none", optics_of(frame), notes=tuple(notes))


def foreseen(frame: Frame, kernels: Path | None = None) -> Frame:
    """The frame with the view that SPICE predicts, for the limb search and the judge of regions.

    The same frame where no folder of kernels is named, its kernels do not tell, or Io is neither the target nor on the
    frame: ``geometry_of`` says why.

    Args:
        frame: with the view that its reader found.
        kernels: folder of SPICE kernels; IO_DETECTOR_KERNELS of the environment where not given.

    """
    try:
        pointing = _of_kernels(frame, kernels)
    except _UnusableError:
        return frame
    if not (frame.may_show_io or _in_frame(pointing, frame.shape)):
        return frame
    return replace(frame, view=view_of(pointing, frame.view))


def view_of(pointing: Pointing, known: View) -> View:
    """What a pointing at Io says, as a view.

    Args:
        pointing: with one pose or, of a mosaic, several: then the one that sees Io's centre counts.
        known: the view by the label, for the angle of a pixel and the Sun where the pointing does not say them.

    Returns:
        a view whose centre is NaN where Io's centre is behind the camera or in no framelet.

    """
    x, y, _ = pointing.pixels(np.zeros(3))
    pose = pointing.pose_at(float(y))
    sun = _with_sun(pointing, known).sun
    towards, pole = -pose.rotation @ pose.position_km, pose.rotation[:, 2]
    right, down = (pole - pole[2] / towards[2] * towards)[:2]
    sub_lat, sub_lon = _place(pose.position_km)
    sun_lat, sun_lon = _place(sun)
    return View(
        source=pointing.source,
        target="IO",
        range_km=pose.range_km,
        ifov_rad=known.ifov_rad if known.ifov_rad > 0 else 1 / pointing.optics.focal_px,
        centre_x_px=float(x),
        centre_y_px=float(y),
        centre_sigma_px=pointing.centre_sigma_px,
        sub_spacecraft_lat_deg=sub_lat,
        sub_spacecraft_lon_w_deg=sub_lon,
        sub_solar_lat_deg=sun_lat,
        sub_solar_lon_w_deg=sun_lon,
        north_azimuth_deg=math.degrees(math.atan2(down, -right if pointing.optics.mirrored else right)) % 360,
        phase_deg=math.degrees(math.acos(np.clip(sun @ pose.position_km / pose.range_km, -1, 1))),
        mirrored=known.mirrored,
    )


def _place(vector: Array) -> tuple[float, float]:
    """Planetocentric latitude and west longitude of a vector in the body's frame; NaN of one that is not known."""
    x, y, z = (np.asarray(side, float) for side in vector)
    return float(latitude(x, y, z)), float(west(east(np.degrees(np.arctan2(y, x)))))


def view_of_row(row: Mapping[str, str], ifov_rad: float) -> View:
    """Return what one row of an index table says, as a view; NaN where a column is missing or holds no number.

    Args:
        row: column name -> text, the names as in the labels of Galileo SSI.
        ifov_rad: angle of a pixel, which no table says.

    """

    def number(*names: str) -> float:
        for name in names:
            text = row.get(name, "").strip().strip('"')
            try:
                return float(text) if float(text) not in (-999.0, -9999.0) else math.nan
            except ValueError:
                continue
        return math.nan

    return View(
        source="index",
        target=row.get("TARGET_NAME", "").strip().strip('"').strip().upper(),
        range_km=number("TARGET_CENTER_DISTANCE"),
        ifov_rad=ifov_rad,
        centre_x_px=number("SUB_SPACECRAFT_LINE_SAMPLE", "SUB_SPACECRAFT_SAMPLE") - 1,
        centre_y_px=number("SUB_SPACECRAFT_LINE") - 1,
        centre_sigma_px=30.0,
        sub_spacecraft_lat_deg=number("SUB_SPACECRAFT_LATITUDE"),
        sub_spacecraft_lon_w_deg=number("SUB_SPACECRAFT_LONGITUDE") % 360,
        sub_solar_lat_deg=number("SUB_SOLAR_LATITUDE"),
        sub_solar_lon_w_deg=number("SUB_SOLAR_LONGITUDE") % 360,
        north_azimuth_deg=number("NORTH_AZIMUTH"),
        phase_deg=number("PHASE_ANGLE"),
    )


def _view_of_row(frame: Frame, row: Mapping[str, str]) -> View:
    view = view_of_row(row, frame.view.ifov_rad) if row else View(source="index")
    return replace(view, mirrored=frame.view.mirrored)


# -- SPICE ----------------------------------------------------------------------------------------------------------


def _of_kernels(frame: Frame, kernels: Path | None) -> Pointing:
    """Geometry by the kernels alone, not refined."""
    named = kernels or os.environ.get(KERNELS)
    if not named:
        raise _UnusableError(f"spice: {KERNELS} names no folder of kernels")
    try:
        return spice.pointing_of(frame, Path(named))
    except InputError as error:
        raise _UnusableError(f"spice: {error}") from error


def _by_spice(frame: Frame, limb: Limb, kernels: Path | None) -> Pointing:
    pointing = _with_sun(_of_kernels(frame, kernels), frame.view)
    if frame.target in ("", "IO"):
        return refined(pointing, limb)
    if not _in_frame(pointing, frame.shape):
        raise _UnusableError(f"spice: the target is {frame.target} and Io is outside the frame")
    # The circle may be the target's: it counts as Io's only where its size is.
    return refined(pointing, limb) if _scale(pointing, limb) == 1.0 else pointing


def _with_sun(pointing: Pointing, view: View) -> Pointing:
    """The same with the view's Sun where the kernels have none."""
    if np.isfinite(pointing.sun).all() or view.target != "IO":
        return pointing
    return replace(pointing, sun=_sun(view))


def _sun(view: View) -> Array:
    return direction(view.sub_solar_lat_deg, view.sub_solar_lon_w_deg)


def _in_frame(pointing: Pointing, shape: tuple[int, int]) -> bool:
    x, y, _ = pointing.outline()
    return bool(((x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)).any())


# -- label and index ------------------------------------------------------------------------------------------------


def _by_view(frame: Frame, limb: Limb, view: View) -> Pointing:
    """The camera that a view describes, aimed at the limb's centre, or at the predicted one without a limb."""
    name = view.source if view.source != "none" else "label"
    if view.target != "IO":
        raise _UnusableError(f"{name}: " + (f"the target is {view.target}" if view.target else "it names no target"))
    wanted = {
        "range": view.range_km,
        "sub-spacecraft latitude": view.sub_spacecraft_lat_deg,
        "sub-spacecraft longitude": view.sub_spacecraft_lon_w_deg,
        "north azimuth": view.north_azimuth_deg,
    }
    missing = [key for key, value in wanted.items() if not math.isfinite(value)]
    if missing or not view.range_km > IO_RADIUS_KM:
        raise _UnusableError(f"{name}: no {', '.join(missing) or 'possible range'}")
    x, y = (limb.x_px, limb.y_px) if limb.trusted else (view.centre_x_px, view.centre_y_px)
    if not math.isfinite(x + y):
        raise _UnusableError(f"{name}: neither a trusted limb nor a predicted centre")
    pointing = _aimed(_posed(frame, limb, view, name), view, x, y)
    pointing = replace(pointing, sun=_sun(view), centre_sigma_px=view.centre_sigma_px)
    return refined(pointing, limb)


def _posed(frame: Frame, limb: Limb, view: View, source: str) -> Pointing:
    """A pointing with the frame's camera, its focal length from the limb where nothing else says it; no pose yet.

    Rows of a mosaic of JunoCam's framelets are no rows of one of them: without the framelets' attitudes the mosaic is
    what an ideal camera sees that looks at the disk.
    """
    optics = optics_of(frame)
    if frame.instrument == JUNOCAM.name and "framelets" in frame.keywords:
        x, y = (limb.x_px, limb.y_px) if limb.trusted else (view.centre_x_px, view.centre_y_px)
        optics = Optics(optics.focal_px, x, y, mirrored=optics.mirrored)
    if not math.isfinite(optics.focal_px):
        if not limb.trusted:
            raise _UnusableError(
                f"{source}: the angle of a pixel is not known, and there is no trusted limb to tell it"
            )
        optics = replace(optics, focal_px=limb.radius_px / math.tan(math.asin(IO_RADIUS_KM / view.range_km)))
    return Pointing(source, optics, phase_deg=view.phase_deg)


def _aimed(pointing: Pointing, view: View, x_px: float, y_px: float) -> Pointing:
    """Look from where the view says, with Io's centre at a pixel and its north in the view's direction there."""
    towards = direction(view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg)
    u, v = (float(side) for side in pointing.optics.directions(np.array(x_px), np.array(y_px)))
    angle = math.radians(view.north_azimuth_deg)
    right = -math.cos(angle) if pointing.optics.mirrored else math.cos(angle)
    pose = Pose.of(view.range_km * towards, np.array([u, v, 1.0]), np.array([right, math.sin(angle), 0.0]))
    return replace(pointing, poses=(pose,))


# -- limb alone -----------------------------------------------------------------------------------------------------


def _by_limb(frame: Frame, limb: Limb, view: View) -> Pointing:
    """A sphere of Io's size behind the limb: altitudes, scales and emission angles, but no places."""
    if not limb.trusted:
        raise _UnusableError(f"limb: {limb.reason or 'none'}")
    if not frame.may_show_io:
        raise _UnusableError(f"limb: the target is {frame.target}")
    known = view.range_km if view.range_km > IO_RADIUS_KM and view.target in ("", "IO") else math.nan
    north_up = replace(view, sub_spacecraft_lat_deg=0.0, sub_spacecraft_lon_w_deg=0.0, north_azimuth_deg=-90.0)
    ranged = replace(north_up, range_km=known if math.isfinite(known) else _range_of(frame, limb))
    pointing = _posed(frame, limb, ranged, "limb")
    pointing = replace(pointing, radii_km=(IO_RADIUS_KM,) * 3, oriented=False)
    return refined(_aimed(pointing, ranged, limb.x_px, limb.y_px), limb)


def _range_of(frame: Frame, limb: Limb) -> float:
    """From how far Io looks as large as the limb is; far away where the angle of a pixel is not known."""
    focal = optics_of(frame).focal_px
    return IO_RADIUS_KM / math.sin(math.atan(limb.radius_px / focal)) if math.isfinite(focal) else FAR_KM


# -- refinement -----------------------------------------------------------------------------------------------------


def refined(pointing: Pointing, limb: Limb) -> Pointing:
    """Turn the camera until the predicted limb lies on the fitted circle; without a trusted limb nothing changes.

    A circle that is closest to the whole outline is compared with all of it, any other with what can be seen: inside
    the frame's sight and lit, where that is known and enough of it. Where the circle's radius does not fit, the focal
    length is changed so that it does, and a note says so. A mosaic of framelets keeps its scale.
    """
    if not (limb.trusted and pointing.known):
        return pointing
    scale = _scale(pointing, limb)
    if scale != 1.0:
        said = f"the limb's radius of {limb.radius_px:.1f} px is {scale:.3f} of what {pointing.source} says"
        if pointing.strip is None:
            focal = pointing.optics.focal_px * scale
            pointing = replace(pointing, optics=replace(pointing.optics, focal_px=focal))
        pointing = pointing.noting(said + (": scale taken from the limb" if pointing.strip is None else ""))
    moved = 0.0
    for _ in range(REFINING):
        dx, dy = _shift(pointing, limb)
        moved = max(moved, math.hypot(dx, dy))
        pointing = _moved(pointing, limb, dx, dy)
    if moved > 1.0:
        pointing = pointing.noting(f"{pointing.source}: moved by {moved:.1f} px to the limb")
    return replace(pointing, centre_sigma_px=limb.sigma_px)


def _scale(pointing: Pointing, limb: Limb) -> float:
    """Return the limb's radius over the predicted one; 1 where they agree within their errors, or nothing tells."""
    x, y, _ = pointing.outline()
    seen = np.isfinite(x)
    if not limb.trusted or seen.sum() < ENOUGH_LIMB:
        return 1.0
    radius = _circle_radius(x[seen], y[seen])
    sigma = limb.sigma_px if math.isfinite(limb.sigma_px) else 0.0
    allowed = max(3 * sigma, SCALE_SHARE * radius, SCALE_PX)
    return 1.0 if abs(limb.radius_px - radius) <= allowed else limb.radius_px / radius


def _circle_radius(x: Array, y: Array) -> float:
    """Radius of the circle closest to points: (x - a)² + (y - b)² = r² is linear in a, b and r² - a² - b²."""
    x, y = x - x.mean(), y - y.mean()
    system = np.stack([2 * x, 2 * y, np.ones_like(x)], axis=-1)
    (a, b, c), *_ = np.linalg.lstsq(system, x * x + y * y, rcond=None)
    return math.sqrt(max(float(c + a * a + b * b), 0.0))


def _shift(pointing: Pointing, limb: Limb) -> tuple[float, float]:
    """How far the predicted limb must move, in pixels, to lie on the circle: least squares of the distances."""
    x, y, light = pointing.outline()
    seen = np.isfinite(x)
    lit = seen & (light > 0)
    chosen = lit if lit.sum() >= ENOUGH_LIMB and not limb.figured else seen
    if chosen.sum() < 3:
        return 0.0, 0.0
    points, shift = np.stack([x[chosen] - limb.x_px, y[chosen] - limb.y_px], axis=-1), np.zeros(2)
    for _ in range(REFINING):
        away = points + shift
        distance = np.linalg.norm(away, axis=-1)
        step, *_ = np.linalg.lstsq(away / distance[:, None], limb.radius_px - distance, rcond=None)
        shift = shift + step
    return float(shift[0]), float(shift[1])


def _moved(pointing: Pointing, limb: Limb, dx: float, dy: float) -> Pointing:
    """Turn the camera so that what was seen (dx, dy) beside the circle's centre is seen there."""
    top = 0.0
    if pointing.strip is not None:
        middle = np.clip(limb.y_px, 0, pointing.strip.framelet.size - 1)
        top = float(pointing.strip.tops[max(int(pointing.strip.shown(middle)), 0)])
    ends = []
    for x, y in ((limb.x_px - dx, limb.y_px - dy), (limb.x_px, limb.y_px)):
        u, v = pointing.optics.directions(np.array(x), np.array(y - top))
        ends.append(np.array([float(u), float(v), 1.0]))
    return replace(pointing, poses=tuple(pose.turned(*ends) for pose in pointing.poses))
