"""Rivals for hot spots: the finders of point sources that astronomers use, alone or after taking out radiation hits.

All work on the picture in units of its local noise (:meth:`Sight.significance`), so that a score is a signal-to-noise.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import cv2
import numpy as np
import sep
from numpy.typing import NDArray
from photutils.detection import DAOStarFinder
from photutils.utils.exceptions import NoDetectionsWarning
from scipy import ndimage

from training.rivals.sight import Cut, Find, Sight, disc, region_of

LOOSE_SIGMAS = 4.0
OUTLINE_SIGMAS = 2.5
"""Sources of sep are the connected pixels above this."""
MOST_SOURCES = 20_000


@dataclass(frozen=True)
class DaoStars:
    """DAOFIND (Stetson 1987, PASP 99, 191) as photutils has it.

    Attributes:
        objlim: of the hit cleaning; None for none.
        spacing: of the background.
        crowd: whether scores count relative to the frame's own bright dots (:meth:`Sight.spots`).
        fwhm_px: of the Gaussian that is looked for.

    """

    objlim: float | None = None
    spacing: int = 2
    crowd: bool = False
    fwhm_px: float = 1.5

    def __call__(self, sight: Sight) -> list[Find]:
        """Hot spots; the score is the signal-to-noise in the convolved picture."""
        return sight.spots(sight.once(replace(self, crowd=False), lambda: self._found(sight)), self.crowd)

    def _found(self, sight: Sight) -> list[Find]:
        cut = sight.significance(self.spacing, self.objlim)
        finder = DAOStarFinder(LOOSE_SIGMAS, self.fwhm_px)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NoDetectionsWarning)
            table = finder(cut.image)
        if table is None:
            return []
        found = zip(table["x_centroid"], table["y_centroid"], table["daofind_mag"], strict=True)
        return [
            Find(disc("hotspot", x, y, self.fwhm_px / 2, cut), x + cut.x0, y + cut.y0, LOOSE_SIGMAS * 10 ** (-0.4 * m))
            for x, y, m in found
            if math.isfinite(x + y + m)
        ]


@dataclass(frozen=True)
class SepSources:
    """Source Extractor (Bertin & Arnouts 1996) as sep has it.

    Attributes:
        objlim, spacing, crowd: as above.
        kernel_px: sigma of the Gaussian filter; 0 for none.

    """

    objlim: float | None = None
    spacing: int = 2
    crowd: bool = False
    kernel_px: float = 1.0

    def __call__(self, sight: Sight) -> list[Find]:
        """Hot spots; the score is the highest signal-to-noise in the filtered picture."""
        return sight.spots(sight.once(replace(self, crowd=False), lambda: self._found(sight)), self.crowd)

    def _found(self, sight: Sight) -> list[Find]:
        cut = sight.significance(self.spacing, self.objlim)
        kernel = _gaussian(self.kernel_px) if self.kernel_px else None
        gain = 1.0 if kernel is None else math.sqrt(float((kernel**2).sum()))
        sep.set_extract_pixstack(max(300_000, cut.image.size))
        sep.set_sub_object_limit(MOST_SOURCES)
        found, owner = sep.extract(
            cut.image, OUTLINE_SIGMAS * gain, minarea=1, filter_kernel=kernel, filter_type="conv", clean=False,
            segmentation_map=True,
        )  # fmt: skip
        boxes = ndimage.find_objects(owner, len(found))
        return [
            Find(
                region_of("hotspot", owner[box] == number, cut.x0 + box[1].start, cut.y0 + box[0].start),
                float(one["x"]) + cut.x0, float(one["y"]) + cut.y0, float(one["cpeak"]) / gain,
            )
            for number, (one, box) in enumerate(zip(found, boxes, strict=True), start=1)
            if box is not None and one["cpeak"] >= LOOSE_SIGMAS * gain
        ]  # fmt: skip


def _gaussian(sigma: float) -> NDArray[np.float32]:
    """A kernel (n, n) of sum 1."""
    reach = math.ceil(3 * sigma)
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = np.outer(line, line)
    return np.asarray(kernel / kernel.sum(), np.float32)


@dataclass(frozen=True)
class LaplacianBlobs:
    """Laplacian of Gaussian at several scales (Lindeberg 1998): the maxima in place and scale.

    Attributes:
        objlim, spacing, crowd: as above.
        scales_px: sigmas.

    """

    objlim: float | None = None
    spacing: int = 2
    crowd: bool = False
    scales_px: tuple[float, ...] = (0.7, 1.0, 1.5)

    def __call__(self, sight: Sight) -> list[Find]:
        """Hot spots; the score is the response in units of what white noise gives at that scale."""
        return sight.spots(sight.once(replace(self, crowd=False), lambda: self._found(sight)), self.crowd)

    def _found(self, sight: Sight) -> list[Find]:
        cut = sight.significance(self.spacing, self.objlim)
        cube = np.stack([self._response(cut, scale) for scale in self.scales_px])
        best = cube.max(axis=0)
        peaks = (best >= LOOSE_SIGMAS) & (best == cv2.dilate(best, np.ones((3, 3), np.uint8)))
        scale = np.array(self.scales_px)[cube.argmax(axis=0)]
        return [
            Find(disc("hotspot", x, y, math.sqrt(2) * scale[y, x], cut), x + cut.x0, y + cut.y0, float(best[y, x]))
            for y, x in np.argwhere(peaks).tolist()
        ]

    @staticmethod
    def _response(cut: Cut, sigma: float) -> NDArray[np.float32]:
        reach = math.ceil(4 * sigma)
        impulse = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        impulse[reach, reach] = 1
        kernel = -ndimage.gaussian_laplace(impulse, sigma)
        kernel /= math.sqrt(float((kernel**2).sum()))
        return cv2.filter2D(cut.image, -1, kernel, borderType=cv2.BORDER_REFLECT)
