"""From a picture's pixels to directions and back: focal length, optical axis, distortion, mirror.

A direction is a pair of tangents (u, v): u to the right, v down, as the unmirrored scene is seen; the axis is (0, 0).

Sources
-------
* SSI: focal length 1500.46655964 mm, pixel 15.24 um, axis at line and sample 400 (counted from 1), and
  ideal = picture (1 - 2.4976983626e-5 r²), r in mm: ``ssiAddendum005.ti`` and ISIS ``RadialDistortionMap``, after
  Davies et al. (Icarus 107, 18, 1994). The camera's own kernel ``gll36001.ti`` says the same the other way round,
  picture = ideal + A r³. The values are those without the cover, that is from April 1994 on.
* JunoCam: kernel ``juno_junocam_v03.ti``, which counts the first pixel from 0 to 1.
* JIRAM: 237.767 urad a pixel (``juno_jiram_v02.ti``); the axes of JUNO_JIRAM_I_LBAND and _MBAND are the bands' middles.
* SRU: SRU EDR SIS: 1760.21137 px, axis 255.5, and ideal = picture f(R), R the tangent of the picture's angle.
* LORRI: Cheng et al. (2008): 4.96357 urad; its distortion, less than 0.5 px, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame
from detector.instruments import CAMERAS, JIRAM, JUNOCAM, JUNOCAM_AXIS_Y_PX, JUNOCAM_FOCAL_PX, LORRI, SRU

Array = NDArray[np.float64]

SSI_FOCAL_PX = 1500.46655964 / 0.01524
SSI_K1_PER_PX2 = -2.4976983626e-5 * 0.01524**2
SRU_FACTOR = (0.999432579, -0.0295412410, 0.2733020107, 0.0, -1.9368112951)
JUNOCAM_AXIS_X_PX = 814.21
NEWTON_STEPS = 4
"""From a start within 6 % (JunoCam's corner) four steps end below 1e-9 px."""


@dataclass(frozen=True)
class Lens:
    """Radial distortion: one side's distance from the axis is the other's times a polynomial of it.

    Attributes:
        factor: coefficients c0, c1, ... of the factor c0 + c1 r + c2 r² + ..., r in pixels; empty for none.
        of_picture: r is the picture's and the result the ideal camera's; else the other way round.
        reach_px: the polynomial is not used beyond this r, the factor stays what it is there.

    """

    factor: tuple[float, ...] = ()
    of_picture: bool = False
    reach_px: float = math.inf

    def ideal(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Picture -> ideal camera; pixels from the axis, any shape."""
        return self._applied(x, y) if self.of_picture else self._solved(x, y)

    def picture(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Ideal camera -> picture; pixels from the axis, any shape."""
        return self._solved(x, y) if self.of_picture else self._applied(x, y)

    def _factor(self, r: Array) -> Array:
        return _polynomial(self.factor, np.minimum(r, self.reach_px))

    def _applied(self, x: Array, y: Array) -> tuple[Array, Array]:
        if not self.factor:
            return x, y
        f = self._factor(np.sqrt(x * x + y * y))
        return x * f, y * f

    def _solved(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Newton's method for r f(r) = R."""
        if not self.factor:
            return x, y
        slope = tuple((k + 1) * c for k, c in enumerate(self.factor))  # of r f(r)
        out = np.sqrt(x * x + y * y)
        r = out / self.factor[0]
        for _ in range(NEWTON_STEPS):
            f = self._factor(r)
            r = r - (r * f - out) / np.where(r < self.reach_px, _polynomial(slope, np.minimum(r, self.reach_px)), f)
        shrink = 1 / self._factor(r)
        return x * shrink, y * shrink

    def binned(self, count: float) -> Lens:
        """The same lens over pixels ``count`` times as large."""
        factor = tuple(c * count**k for k, c in enumerate(self.factor))
        return replace(self, factor=factor, reach_px=self.reach_px / count)


def _polynomial(coefficients: tuple[float, ...], r: Array) -> Array:
    value = np.full_like(r, coefficients[-1])
    for c in coefficients[-2::-1]:
        value *= r
        value += c
    return value


@dataclass(frozen=True)
class Optics:
    """What a camera does with a direction.

    Attributes:
        focal_px: 1 / angle of a pixel on the axis; NaN where not known.
        axis_x_px, axis_y_px: where the axis meets the picture; of a framelet for JunoCam.
        lens: its distortion.
        mirrored: the picture is stored turned left to right (or top to bottom) against the scene.

    """

    focal_px: float
    axis_x_px: float
    axis_y_px: float
    lens: Lens = Lens()
    mirrored: bool = False

    def directions(self, x_px: Array, y_px: Array) -> tuple[Array, Array]:
        """Tangents (u right, v down) of the unmirrored scene in which pixels look; any shapes that broadcast."""
        x, y = x_px - self.axis_x_px, y_px - self.axis_y_px
        if self.lens.factor:
            x, y = self.lens.ideal(*np.broadcast_arrays(x, y))
        return x / (-self.focal_px if self.mirrored else self.focal_px), y / self.focal_px

    def pixels(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Where directions fall on the picture, x and y in pixels."""
        x, y = self.lens.picture(u * self.focal_px, v * self.focal_px)
        return self.axis_x_px + (-x if self.mirrored else x), self.axis_y_px + y

    def binned(self, count: float) -> Optics:
        """The same camera with ``count`` x ``count`` pixels summed into one."""
        x, y = ((axis + 0.5) / count - 0.5 for axis in (self.axis_x_px, self.axis_y_px))
        return replace(self, focal_px=self.focal_px / count, axis_x_px=x, axis_y_px=y, lens=self.lens.binned(count))


_FULL = {
    "galileo_ssi": Optics(SSI_FOCAL_PX, 399.0, 399.0, Lens((1.0, 0.0, SSI_K1_PER_PX2), True, 1200.0)),
    "jiram": Optics(1 / JIRAM.ifov_rad, 215.5, 63.5),
    "sru": Optics(
        1 / SRU.ifov_rad,
        255.5,
        255.5,
        Lens(tuple(c * SRU.ifov_rad**k for k, c in enumerate(SRU_FACTOR)), True, 500.0),
    ),
    "lorri": Optics(1 / LORRI.ifov_rad, 511.5, 511.5),
}


def junocam_optics(filter_name: str) -> Optics:
    """Return the camera of one of JunoCam's framelets of 128 x 1648 pixels: BLUE, GREEN, RED or METHANE."""
    k1, k2 = JUNOCAM.radial
    lens = Lens((1.0, 0.0, k1, 0.0, k2), reach_px=1100.0)
    return Optics(JUNOCAM_FOCAL_PX, JUNOCAM_AXIS_X_PX - 0.5, JUNOCAM_AXIS_Y_PX[filter_name] - 0.5, lens)


def optics_of(frame: Frame) -> Optics:
    """Return the camera of a frame: its own model where the frame has the shape of a full one (or a binned one).

    Any other picture is an ideal camera about its middle with the view's IFOV; the focal length is NaN without one.
    """
    known = _known(frame)
    if known is not None:
        return replace(known, mirrored=frame.view.mirrored)
    rows, columns = frame.shape
    return Optics(1 / frame.view.ifov_rad, (columns - 1) / 2, (rows - 1) / 2, mirrored=frame.view.mirrored)


def _known(frame: Frame) -> Optics | None:
    if frame.instrument == JUNOCAM.name and frame.filter in JUNOCAM_AXIS_Y_PX and "framelets" in frame.keywords:
        return junocam_optics(frame.filter)
    camera, full = CAMERAS.get(frame.instrument), _FULL.get(frame.instrument)
    if camera is None or full is None:
        return None
    count = camera.shape[0] / frame.shape[0]
    whole = count == round(count) and camera.shape == (count * frame.shape[0], count * frame.shape[1])
    return full.binned(count) if whole else None
