"""Frame: one band of one moment, with everything that is known about it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.levels import Levels, measure_levels

CLASSES = ("plume", "hotspot")

IO_RADIUS_KM = 1821.49
IO_RADII_KM = (1829.4, 1819.4, 1815.7)


@dataclass(frozen=True)
class Noise:
    """The camera's noise in the frame's own unit: variance of a pixel = read² + max(signal - bias, 0) / gain.

    Attributes:
        read: 1-sigma of a dark pixel, in the frame's unit; NaN where not known.
        gain: electrons per unit of signal; NaN where not known (the shot-noise term is then left out).

    """

    read: float = math.nan
    gain: float = math.nan

    def sigma(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """1-sigma of pixels holding ``signal`` (any shape, the frame's unit); NaN where the read noise is not known."""
        shot = np.maximum(signal, 0) / self.gain if math.isfinite(self.gain) else 0.0
        return np.sqrt(self.read**2 + shot).astype(np.float32)


@dataclass(frozen=True)
class View:
    """Where the camera was and what it looked at, as predicted by a label, SPICE or an index table.

    NaN is "not known". Positions are pixels of the frame; the centre is a prediction that a limb fit refines.

    Attributes:
        source: ``spice``, ``label``, ``index`` or ``none``.
        target: the body that the numbers below belong to, upper case.
        range_km: spacecraft to the target's centre.
        ifov_rad: angle of one pixel.
        centre_x_px, centre_y_px: predicted centre of the target's disk.
        centre_sigma_px: 1-sigma of that prediction.
        sub_spacecraft_lat_deg, sub_spacecraft_lon_w_deg: planetocentric, west-positive; sub_solar_* likewise.
        north_azimuth_deg: direction of north on the frame, clockwise from +x (sample).
        phase_deg: Sun-target-spacecraft angle.
        mirrored: the frame is stored mirrored against the sky: east is 90 degrees counterclockwise from north on it,
            where it is clockwise on a frame as the eye would see it.

    """

    source: str = "none"
    target: str = ""
    range_km: float = math.nan
    ifov_rad: float = math.nan
    centre_x_px: float = math.nan
    centre_y_px: float = math.nan
    centre_sigma_px: float = math.nan
    sub_spacecraft_lat_deg: float = math.nan
    sub_spacecraft_lon_w_deg: float = math.nan
    sub_solar_lat_deg: float = math.nan
    sub_solar_lon_w_deg: float = math.nan
    north_azimuth_deg: float = math.nan
    phase_deg: float = math.nan
    mirrored: bool = False

    @property
    def io_radius_px(self) -> float:
        """Radius of Io's limb in pixels, tan(asin(R / range)) / IFOV; NaN when it is not Io or a term is unknown.

        A framing camera projects by the tangent, and IFOV is the angle of a pixel on its axis. The rows of a JunoCam
        mosaic follow the spin angle instead: there the number holds along the lines.
        """
        if self.target != "IO" or not (self.range_km > IO_RADIUS_KM and self.ifov_rad > 0):
            return math.nan
        return math.tan(math.asin(IO_RADIUS_KM / self.range_km)) / self.ifov_rad


@dataclass(frozen=True)
class Frame:
    """One band of one moment.

    Attributes:
        image: (H, W) float32 in ``unit``; never squeezed to fewer bits than the file holds. 0 where not valid.
        valid: (H, W) bool; False where nothing was observed (fill, gaps, outside a cut-out window).
        unit: ``DN``, ``W m-2 sr-1``, ``W m-2 sr-1 um-1``, ``I/F`` or ``luminance``.
        id: unique in a run; safe as a file name (letters, digits, ``.``, ``_``, ``-``).
        observation: frames of one moment share it.
        instrument: ``galileo_ssi``, ``junocam``, ``jiram``, ``sru``, ``lorri``, ... or ``unknown``.
        filter: the band's name, upper case; empty where not known.
        wavelength_um: effective wavelength; NaN where not known.
        start_time: ISO-8601 UTC as the label says it; empty where not known.
        exposure_s: NaN where not known.
        target: upper case; empty where not known.
        source: the file that holds the pixels.
        sha256: of that file.
        noise: the camera's noise.
        saturation: value at and above which a pixel is saturated; inf where not known.
        view: the predicted geometry.
        keywords: the source's own keywords, kept as text.
        warnings: what the reader had to assume, and what did not come down.
        dropped: lines or framelets that were asked for and did not come down; 0 where that is not known.

    """

    image: NDArray[np.float32]
    valid: NDArray[np.bool_]
    unit: str
    id: str
    observation: str
    instrument: str = "unknown"
    filter: str = ""
    wavelength_um: float = math.nan
    start_time: str = ""
    exposure_s: float = math.nan
    target: str = ""
    source: Path = Path()
    sha256: str = ""
    noise: Noise = Noise()
    saturation: float = math.inf
    view: View = View()
    keywords: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    dropped: int = 0

    def __post_init__(self) -> None:
        if self.image.ndim != 2 or self.image.shape != self.valid.shape:
            raise ValueError(f"image {self.image.shape} and valid {self.valid.shape} must be the same (H, W)")
        if self.image.dtype != np.float32 or self.valid.dtype != np.bool_:
            raise ValueError(f"image must be float32 and valid bool, got {self.image.dtype} and {self.valid.dtype}")

    @classmethod
    def of(cls, image: NDArray[np.generic], valid: NDArray[np.bool_] | None = None, **known: object) -> Frame:
        """A frame from any real 2-D array: not-finite pixels become not valid and hold 0."""
        pixels = np.asarray(image, dtype=np.float32)
        seen = np.isfinite(pixels) if valid is None else np.isfinite(pixels) & valid
        known = {"unit": "DN", "id": "frame", "observation": known.get("id", "frame")} | known
        return cls(np.where(seen, pixels, np.float32(0)), seen, **known)  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.image.shape
        return rows, columns

    @cached_property
    def levels(self) -> Levels:
        """Sky, noise and bright level of the whole frame, measured once."""
        return measure_levels(self.image, self.valid)

    @property
    def coverage(self) -> float:
        """Share of the frame's pixels that were observed, 0..1."""
        return float(self.valid.mean()) if self.valid.size else 0.0

    @property
    def may_show_io(self) -> bool:
        """Whether Io is what the label names, or it names nothing, or kernels say that Io is on the frame."""
        return self.target in ("", "IO") or self.view.target == "IO"

    def like(self, image: NDArray[np.float32], valid: NDArray[np.bool_]) -> Frame:
        """Other pixels of the same frame, (h, w) each, with the levels of this one."""
        other = replace(self, image=image, valid=valid)
        vars(other)["levels"] = self.levels
        return other

    def without(self, dropped: int, asked: int, what: str) -> Frame:
        """The same frame, saying that ``dropped`` of the ``asked`` lines or framelets (``what``) did not come down."""
        if not dropped:
            return self
        return replace(self, dropped=dropped).with_warning(f"{dropped} of {asked} {what} were not received")

    def with_warning(self, text: str) -> Frame:
        """The same frame with one more warning."""
        return replace(self, warnings=(*self.warnings, text))


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
