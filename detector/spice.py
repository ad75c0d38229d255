"""Geometry from SPICE kernels: which files of a folder cover a frame, and where the camera was and how it was turned.

Needs the extra ``spice`` (spiceypy), which is imported where it is used. A folder may hold the kernels of several
missions and versions below it; text kernels are loaded in the order of their names, so that the latest version wins,
binary ones only where they cover the frame's time, reconstructed ones over predicted ones. Time that no file covers is
an error that names the gap. SPICE keeps one pool of kernels a process: the text kernels stay in it from frame to frame,
and it must not be used from several threads.

Decisions
---------
* Io is where it is seen: its position is corrected for light time and stellar aberration (``LT+S``), its rotation is
  that of the moment when the light left it.
* SSI: attitude of the scan platform (-77001), whose axes are the picture's; IMAGE_TIME is the middle of the exposure
  (ISIS ``SsiCamera``).
* JunoCam: START_TIME + 61.88 ms + i (INTERFRAME_DELAY + 1 ms) for framelet i from 0 (``juno_junocam_v03.ti``): each
  framelet has an attitude and a position of its own.
* JIRAM: axes of JUNO_JIRAM_I_LBAND and _MBAND at START_TIME; the despinning mirror keeps them there. The stored picture
  runs to -Y and down to -X, which is mirrored (J. Perry's ``jiramgeombackplane``, who turns it first). From orbit 51 on
  the clock is 0.62 s late.
* SRU: boresight +X, samples to -Y, lines to -Z, at START_TIME (SRU EDR SIS); SRU 1 or 2 by the product's name.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import Frame
from detector.geometry import Pointing, Pose, Strip
from detector.instruments import JUNOCAM_INTERFRAME_DELTA_S
from detector.optics import optics_of
from detector.readers.junocam import framelet_of_rows, framelet_tops

Array = NDArray[np.float64]

TEXT_KERNELS = (".tls", ".tsc", ".tpc", ".tf")
"""Leap seconds, clocks, planetary constants, frames; instrument kernels (.ti) say what ``detector.optics`` knows."""
PREDICTED = re.compile(r"_(pre|prd|pred|predict|pla)[_\d.]", re.IGNORECASE)
TARGETS = {"IO": 501, "JUPITER": 599}
SUN, SUNLIGHT_S = 10, 3000.0
JUNOCAM_START_BIAS_S = 0.06188
JIRAM_LATE_FROM_ORBIT, JIRAM_LATE_S = 51, 0.62
INVENTED_END_S = 1e10

Window = tuple[float, float]
"""First and last moment, seconds of TDB past J2000."""


@dataclass(frozen=True)
class Mount:
    """How SPICE knows a camera.

    Attributes:
        spacecraft: its id.
        attitude: id of the structure whose attitude the C-kernels hold.
        frame: SPICE name of the camera's frame; empty where it is the structure's own.
        axes: rows: the directions right, down and forward of the unmirrored scene, in that frame.
        sigma_px: 1-sigma of where Io's centre is predicted.

    """

    spacecraft: int
    attitude: int
    frame: str
    axes: tuple[tuple[float, float, float], ...]
    sigma_px: float


_PLAIN = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_JIRAM = ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
_SRU = ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0))
# Prediction errors: 7 px between label and kernels of SSI frame E6I0032; 1-5 px routinely corrected by hand in JIRAM
# (J. Perry); JunoCam's start time jitters by 20 ms, 6 rows. SRU as JIRAM.
MOUNTS = {
    "galileo_ssi": Mount(-77, -77001, "", _PLAIN, 7.0),
    "junocam": Mount(-61, -61000, "JUNO_JUNOCAM", _PLAIN, 6.0),
    "jiram": Mount(-61, -61000, "JUNO_JIRAM_I_{band}BAND", _JIRAM, 5.0),
    "sru": Mount(-61, -61000, "JUNO_SRU{unit}", _SRU, 5.0),
}


@dataclass(frozen=True)
class Kernels:
    """The kernels of a folder.

    Attributes:
        folder: where they were found.
        text: leap seconds, clocks, constants and frames, in the order of loading.
        positions: SPK files, in the order of loading.
        attitudes: CK files, in the order of loading.
        transfer: files in transfer format, which SPICE does not read.

    """

    folder: Path
    text: tuple[Path, ...] = ()
    positions: tuple[Path, ...] = ()
    attitudes: tuple[Path, ...] = ()
    transfer: tuple[Path, ...] = ()


def kernels_in(folder: Path) -> Kernels:
    """Find the kernels of a folder and of the folders in it, by their names' endings and first bytes.

    Raises:
        InputError: for a folder that is not there.

    """
    if not folder.is_dir():
        raise InputError(folder, "is no folder", "name a folder of SPICE kernels")
    return _scanned(folder, tuple(Path(room).stat().st_mtime_ns for room, _, _ in os.walk(folder)))


@lru_cache(maxsize=8)
def _scanned(folder: Path, _changed: tuple[int, ...]) -> Kernels:
    found = (
        path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"
    )  # not what is still coming
    files = sorted(found, key=lambda path: (path.name, path))
    heads = {path: _head(path) for path in files if path.suffix.lower() not in TEXT_KERNELS}
    text = [path for path in files if path.suffix.lower() in TEXT_KERNELS]

    def kind(mark: bytes) -> tuple[Path, ...]:
        found = (path for path, head in heads.items() if head.startswith(mark))
        return tuple(sorted(found, key=lambda path: not PREDICTED.search(path.name)))

    return Kernels(folder, tuple(text), kind(b"DAF/SPK"), kind(b"DAF/CK"), kind(b"DAFETF"))


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(8)


def pointing_of(frame: Frame, folder: Path, target: str = "IO") -> Pointing:
    """Return a frame's geometry from the kernels of a folder, not refined.

    Args:
        frame: of a camera in MOUNTS, with its start time.
        folder: of kernels.
        target: the body in whose frame of reference the geometry is; the detector's is Io.

    Raises:
        InputError: spiceypy is not installed, the camera or the time is not known, a kernel is missing or does not
            cover the frame's time.

    """
    mount = _mount_of(frame)
    kernels = kernels_in(folder)
    spice = _spiceypy()
    _keep_text(spice, kernels.text)
    moments = _moments(spice, frame, kernels)
    span = (min(moments), max(moments))
    with _loaded(spice, _covering(spice, kernels, mount, TARGETS[target], span)):
        return _pointing(spice, frame, mount, moments, target, folder)


def _pointing(
    spice: ModuleType, frame: Frame, mount: Mount, moments: Sequence[float], target: str, folder: Path
) -> Pointing:
    try:
        poses = tuple(_pose(spice, mount, moment, target) for moment in moments)
    except spice.utils.exceptions.SpiceyError as error:
        raise InputError(folder, f"SPICE cannot compute the geometry: {_short(error)}", "add the kernel") from error
    sun = _sun(spice, mount, moments[len(moments) // 2], target)
    return Pointing("spice", optics_of(frame), poses, _strip(frame), sun, centre_sigma_px=mount.sigma_px)


# -- the frame's side -----------------------------------------------------------------------------------------------


def _mount_of(frame: Frame) -> Mount:
    mount = MOUNTS.get(frame.instrument)
    if mount is None:
        raise InputError(frame.source, f"camera {frame.instrument!r}; SPICE knows {', '.join(sorted(MOUNTS))}")
    if frame.instrument == "junocam" and "framelets" not in frame.keywords:
        raise InputError(frame.source, "a JunoCam picture that was not made from framelets", "give the raw strip")
    unit = re.match(r"SRU_(\d)", frame.id, re.IGNORECASE)
    return replace(mount, frame=mount.frame.format(band=frame.filter, unit=unit[1] if unit else 1))


def _strip(frame: Frame) -> Strip | None:
    if frame.instrument != "junocam":
        return None
    count, step = int(frame.keywords["framelets"]), float(frame.keywords["framelet_step_px"])
    return Strip(framelet_tops(count, step), framelet_of_rows(count, step)[:, 0])


def _moments(spice: ModuleType, frame: Frame, kernels: Kernels) -> tuple[float, ...]:
    """TDB of the frame, or of each of its framelets."""
    try:
        start = float(spice.utc2et(frame.start_time.rstrip("Z")))
    except spice.utils.exceptions.SpiceyError as error:
        remedy = "the folder needs a leap-seconds kernel (naif0012.tls)"
        raise InputError(kernels.folder, f"no time of {frame.start_time!r}: {_short(error)}", remedy) from error
    if frame.instrument == "junocam":
        delay = _number(frame, "INTERFRAME_DELAY")
        if not delay > 0:
            raise InputError(frame.source, "INTERFRAME_DELAY is not known", "give the label or the metadata")
        step, first = delay + JUNOCAM_INTERFRAME_DELTA_S, start + JUNOCAM_START_BIAS_S
        return tuple(first + i * step for i in range(int(frame.keywords["framelets"])))
    late = frame.instrument == "jiram" and _number(frame, "ORBIT_NUMBER") >= JIRAM_LATE_FROM_ORBIT
    return (start - JIRAM_LATE_S if late else start,)


def _number(frame: Frame, key: str) -> float:
    """The number that a keyword's text begins with, its unit left out; NaN without one."""
    found = re.match(r"\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?", frame.keywords.get(key, ""))
    return float(found[0]) if found else math.nan


# -- the kernels' side ----------------------------------------------------------------------------------------------


def _spiceypy() -> ModuleType:
    try:
        import spiceypy
    except ImportError as error:
        raise InputError("spiceypy", "is not installed", "pip install 'io-detector[spice]'") from error
    return spiceypy


_TEXT: list[str] = []
"""Text kernels that are loaded now. They stay: to unload one, SPICE reads all others again."""


def _keep_text(spice: ModuleType, paths: Sequence[Path]) -> None:
    """Have these text kernels loaded, and none of another folder."""
    wanted = [str(path) for path in paths]
    if wanted == _TEXT and spice.ktotal("TEXT") >= len(wanted):
        return
    while _TEXT:
        spice.unload(_TEXT.pop())
    for path in paths:
        _furnish(spice, path)
        _TEXT.append(str(path))


@contextmanager
def _loaded(spice: ModuleType, paths: Sequence[Path]) -> Iterator[None]:
    """Load kernels and take them out again."""
    done: list[str] = []
    try:
        for path in paths:
            _furnish(spice, path)
            done.append(str(path))
        yield
    finally:
        for name in reversed(done):
            spice.unload(name)


def _furnish(spice: ModuleType, path: Path) -> None:
    try:
        spice.furnsh(str(path))
    except spice.utils.exceptions.SpiceyError as error:
        raise InputError(path, f"is no kernel that SPICE can load: {_short(error)}", "fetch it again") from error


def _covering(spice: ModuleType, kernels: Kernels, mount: Mount, target: int, span: Window) -> list[Path]:
    """Choose the SPK and CK files to load: the necessary ones must cover the span, of others all that do are taken."""
    positions = {path: _position_windows(spice, path) for path in kernels.positions}
    attitudes = {path: _attitude_windows(spice, path, mount.attitude) for path in kernels.attitudes}
    for body, what in ((mount.spacecraft, "position of the spacecraft"), (target, "position of the target")):
        _no_gap(spice, kernels, [w.get(body, ()) for w in positions.values()], span, f"{what} ({body})")
    _no_gap(spice, kernels, list(attitudes.values()), span, f"attitude ({mount.attitude})")
    lit = (span[0] - SUNLIGHT_S, span[1])  # the Sun is where it was when its light left it
    near = [path for path, bodies in positions.items() if any(_meets(w, lit) for w in bodies.values())]
    return near + [path for path, windows in attitudes.items() if _meets(windows, span)]


def _meets(windows: Sequence[Window], span: Window) -> bool:
    return any(first <= span[1] and last >= span[0] for first, last in windows)


def _no_gap(spice: ModuleType, kernels: Kernels, windows: Sequence[Sequence[Window]], span: Window, what: str) -> None:
    """Refuse a span that no window covers from end to end, and name the time that is missing."""
    all_windows = sorted(window for of_file in windows for window in of_file)
    if any(first <= span[0] and span[1] <= last for first, last in all_windows):
        return
    before = max((last for first, last in all_windows if first <= span[0]), default=-INVENTED_END_S)
    after = min((first for first, _ in all_windows if first > span[0]), default=INVENTED_END_S)
    found = f"{len(all_windows)} intervals" if all_windows else "nothing"
    more = f"; {len(kernels.transfer)} files in transfer format are not read" if kernels.transfer else ""
    raise InputError(
        kernels.folder,
        f"no {what} from {_utc(spice, before)} to {_utc(spice, after)}, the frame is of {_utc(spice, span[0])}; "
        f"the kernels cover {found}{more}",
        "add the kernel that covers it",
    )


@contextmanager
def _reading(spice: ModuleType, path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except spice.utils.exceptions.SpiceyError as error:
        raise InputError(path, f"its coverage cannot be read: {_short(error)}", remedy) from error


def _utc(spice: ModuleType, moment: float) -> str:
    if abs(moment) >= INVENTED_END_S:
        return "ever" if moment < 0 else "for ever"
    return str(spice.et2utc(moment, "ISOC", 3))


def _position_windows(spice: ModuleType, path: Path) -> dict[int, tuple[Window, ...]]:
    key = (path, path.stat().st_mtime_ns, 0)
    if key not in _COVERAGE:
        with _reading(spice, path, "fetch it again"):
            bodies = [int(body) for body in spice.spkobj(str(path))]
            _COVERAGE[key] = {body: _pairs(spice.spkcov(str(path), body)) for body in bodies}
    return _COVERAGE[key]


def _attitude_windows(spice: ModuleType, path: Path, structure: int) -> tuple[Window, ...]:
    """Return when a CK file knows a structure's attitude; needs the structure's clock."""
    key = (path, path.stat().st_mtime_ns, structure)
    if key not in _COVERAGE:
        with _reading(spice, path, "add the spacecraft's clock (.tsc), or fetch it again"):
            known = structure in {int(item) for item in spice.ckobj(str(path))}
            windows = spice.ckcov(str(path), structure, False, "INTERVAL", 0.0, "TDB") if known else ()
            _COVERAGE[key] = {structure: _pairs(windows)}
    return _COVERAGE[key].get(structure, ())


_COVERAGE: dict[tuple[Path, int, int], dict[int, tuple[Window, ...]]] = {}
"""What each binary kernel covers (an SPK all bodies, a CK one structure), read once a process."""


def _pairs(cell: Any) -> tuple[Window, ...]:
    return tuple((float(cell[k]), float(cell[k + 1])) for k in range(0, len(cell), 2))


def _pose(spice: ModuleType, mount: Mount, moment: float, target: str) -> Pose:
    """Where the camera was at a moment, in the target's frame of reference."""
    seen, body = _seen(spice, mount, moment, target)
    camera = np.array(mount.axes) @ _attitude(spice, mount, moment)
    return Pose(-body @ seen, camera @ body.T)


def _seen(spice: ModuleType, mount: Mount, moment: float, target: str) -> tuple[Array, Array]:
    """(3,) km from the camera to the target as it is seen, in J2000; and (3, 3) J2000 -> the target's frame then."""
    seen, light_s = spice.spkpos(str(TARGETS[target]), moment, "J2000", "LT+S", str(mount.spacecraft))
    return np.asarray(seen), np.asarray(spice.pxform("J2000", f"IAU_{target}", moment - light_s))


def _attitude(spice: ModuleType, mount: Mount, moment: float) -> Array:
    """(3, 3): J2000 -> the camera's SPICE frame."""
    if mount.frame:
        return np.asarray(spice.pxform("J2000", mount.frame, moment))
    ticks = spice.sce2c(mount.spacecraft, moment)
    return np.asarray(spice.ckgp(mount.attitude, ticks, 0.0, "J2000")[0])


def _sun(spice: ModuleType, mount: Mount, moment: float, target: str) -> Array:
    """Unit vector from the target to the Sun in the target's frame of reference; NaN where no kernel has the Sun."""
    _, body = _seen(spice, mount, moment, target)
    try:
        towards, _ = spice.spkpos(str(SUN), moment, "J2000", "LT", str(TARGETS[target]))
    except spice.utils.exceptions.SpiceyError:
        return np.full(3, np.nan)
    return body @ np.asarray(towards) / np.linalg.norm(towards)


def _short(error: Exception) -> str:
    """The short message of a SPICE error, such as SPKINSUFFDATA."""
    return str(getattr(error, "short", "") or str(error).strip().splitlines()[0])
