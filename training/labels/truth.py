"""What is true about a frame: objects with their pixels, stretches of limb, and where anybody looked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detector.frame import CLASSES
from detector.limb import Limb
from detector.mask import Mask

FAINT_SNR = 5.0
"""Below this signal-to-noise of a perfect matched filter, an object cannot be asked of any detector: it is left out of
the training loss and stays in the evaluation."""
SECTOR_FOOT, SECTOR_TOP = 0.97, 1.3
"""From where to where a labelled stretch of limb reaches, in radii: 1.3 is 550 km up, above the highest plume known
(Pele, 460 km)."""
UNSTATED = "the labels do not say where the limb is"
"""Why a label has no circle where that does not mean that the frame shows none."""

_NO_PIXELS = np.zeros((0, 0), bool)


@dataclass(frozen=True)
class Truth:
    """One true object on one frame. NaN is "not known".

    Attributes:
        object_id: unique on its frame; the same object may carry the same id on other frames.
        kind: ``plume`` or ``hotspot``.
        patch: (h, w) bool, its pixels cut out of the frame; (0, 0) where none is above the truth limit.
        x0_px, y0_px: column and row of the patch's first pixel.
        x_px, y_px: where the object is: by default the centroid of its pixels.
        lat_deg, lon_e_deg: planetocentric, east-positive in [-180, 180).
        height_km, width_km, optical_depth, peak_i_over_f: of a plume.
        temperature_k, area_km2, power_gw_um: of a hot spot; the power is spectral, the mean across the frame's band.
        snr_mf: sqrt(sum s²/σ²) of the object's own noise-free signal: the signal-to-noise of a perfect matched filter.
        name, family: the volcano; the simulator's family of shapes, or where a real label came from.

    """

    object_id: str
    kind: str
    patch: NDArray[np.bool_] = field(default_factory=lambda: _NO_PIXELS, compare=False)
    x0_px: int = 0
    y0_px: int = 0
    name: str = ""
    lat_deg: float = math.nan
    lon_e_deg: float = math.nan
    height_km: float = math.nan
    width_km: float = math.nan
    optical_depth: float = math.nan
    peak_i_over_f: float = math.nan
    temperature_k: float = math.nan
    area_km2: float = math.nan
    power_gw_um: float = math.nan
    snr_mf: float = math.nan
    x_px: float = math.nan
    y_px: float = math.nan
    family: str = ""

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise ValueError(f"kind must be one of {CLASSES}, got {self.kind!r}")

    @classmethod
    def cut(cls, object_id: str, kind: str, mask: NDArray[np.bool_], **known: object) -> Truth:
        """Cut an object out of its pixels on the whole frame.

        Args:
            object_id: unique on the frame.
            kind: ``plume`` or ``hotspot``.
            mask: (H, W) bool; may be empty.
            **known: any other attribute.

        """
        rows, columns = np.nonzero(mask)
        if not rows.size:
            return cls(object_id, kind, **known)  # type: ignore[arg-type]
        y0, x0 = int(rows.min()), int(columns.min())
        patch = np.ascontiguousarray(mask[y0 : rows.max() + 1, x0 : columns.max() + 1], dtype=bool)
        known = {"x_px": float(columns.mean()), "y_px": float(rows.mean())} | known
        return cls(object_id, kind, patch, x0, y0, **known)  # type: ignore[arg-type]

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool: the object's pixels on a frame of ``shape``."""
        whole = np.zeros(shape, bool)
        height, width = self.patch.shape
        whole[self.y0_px : self.y0_px + height, self.x0_px : self.x0_px + width] = self.patch
        return whole

    @property
    def area_px(self) -> int:
        """How many pixels."""
        return int(self.patch.sum())

    @property
    def lon_w_deg(self) -> float:
        """West-positive longitude in [0, 360)."""
        west = -self.lon_e_deg % 360.0
        return 0.0 if west == 360.0 else west  # -1e-17 % 360 rounds up to 360

    @property
    def faint(self) -> bool:
        """Known to lie below what a detector can be asked for (``snr_mf`` < 5)."""
        return self.snr_mf < FAINT_SNR


@dataclass(frozen=True)
class LimbInterval:
    """A label that only names a stretch of limb: "something rises between these two angles".

    Attributes:
        kind: ``plume`` or ``hotspot``.
        start_rad, stop_rad: position angles, 0 = up, clockwise; the stretch runs clockwise from start to stop.
        name: what the labeller called it.

    """

    kind: str
    start_rad: float
    stop_rad: float
    name: str = ""

    @property
    def width_rad(self) -> float:
        """How far it runs, 0 to 2 pi."""
        return (self.stop_rad - self.start_rad) % (2 * math.pi)

    def holds(self, angles: NDArray[np.float64], margin_rad: float = 0.0) -> NDArray[np.bool_]:
        """Which position angles (any shape, radians) it holds, made longer by the margin at both ends."""
        turned = (angles - self.start_rad + margin_rad) % (2 * np.pi)
        return np.asarray(turned <= self.width_rad + 2 * margin_rad)


def sector(interval: LimbInterval, limb: Limb, shape: tuple[int, int]) -> Truth:
    """Turn a stretch of limb into an object: the ring sector from 0.97 to SECTOR_TOP radii between its two angles.

    Args:
        interval: the stretch.
        limb: the circle that its angles belong to; without one the object has no pixels.
        shape: (H, W) of the frame.

    """
    name = f"limb-{interval.kind}-{interval.start_rad:.3f}-{interval.stop_rad:.3f}"
    if not limb.trusted:
        return Truth(name, interval.kind, name=interval.name, family="limb interval")
    inside = interval.holds(azimuths(limb, shape)) & limb_strip(limb, shape)
    return Truth.cut(name, interval.kind, inside, name=interval.name, family="limb interval")


def limb_strip(limb: Limb, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: the ring along the whole limb that stretches of limb speak of."""
    rows, columns = np.indices(shape)
    radius = np.hypot(columns - limb.x_px, rows - limb.y_px) / limb.radius_px
    return (radius >= SECTOR_FOOT) & (radius <= SECTOR_TOP)


def azimuths(limb: Limb, shape: tuple[int, int]) -> NDArray[np.float64]:
    """(H, W) position angle of each pixel around the limb's centre, radians, 0 = up, clockwise, -pi to pi."""
    rows, columns = np.indices(shape)
    return np.arctan2(columns - limb.x_px, limb.y_px - rows)


@dataclass(frozen=True)
class LabelledFrame:
    """What is true about one frame.

    Attributes:
        frame_id: the id that the reader gives the frame.
        file: path of its file below ``frames/``, with ``/``; the writer fills it in.
        mask: the true pixels of both classes, and where anybody looked.
        limb: the true circle, or none; ``Limb.none(UNSTATED)`` where the labels do not say.
        objects: the objects; their pixels lie in ``mask``, which may hold more.
        observation: frames of one moment share it.
        split: ``train``, ``val`` or ``test``.
        instrument, filter: as the reader names them.
        limb_intervals: labels without pixels.
        orbit: of the spacecraft, ``galileo 26``; empty where not known.
        looked_for: the classes that the labeller looked for: of any other nothing is known.
        by_limb: plumes were labelled as stretches of limb and nothing else: what is true is known along the limb's
            strip (``mask.known``), and where on the strip a plume's pixels lie is not.

    """

    frame_id: str
    file: str
    mask: Mask
    limb: Limb
    objects: tuple[Truth, ...] = ()
    observation: str = ""
    split: str = "test"
    instrument: str = "unknown"
    filter: str = ""
    limb_intervals: tuple[LimbInterval, ...] = ()
    orbit: str = ""
    looked_for: tuple[str, ...] = CLASSES
    by_limb: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.mask.known.shape
        return rows, columns

    @property
    def empty(self) -> bool:
        """Nothing to be found, though both classes were looked for: no object, labelled pixel or stretch of limb."""
        holds = bool(self.objects or self.limb_intervals or self.mask.planes.any())
        return not holds and set(self.looked_for) == set(CLASSES)

    @property
    def limb_known(self) -> bool:
        """Whether the labels say where the limb is, or that there is none."""
        return self.limb.trusted or self.limb.reason != UNSTATED
