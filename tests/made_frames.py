"""Small frames of Io with a plume and a hot spot at known places, and the files to hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

CENTRE, RADIUS = (100.0, 80.0), 50.0
PLUME, SPOT = (100.0, 26.0), (111.0, 91.0)


def io_image(seed: int = 0, plume: bool = True, spot: bool = True) -> NDArray[np.float32]:
    """(160, 200) float32: sky 10 ± 1, a disk of 110 darkening outwards, a round plume at the top, a 3 x 3 hot spot."""
    y, x = np.mgrid[:160, :200].astype(float)
    from_centre = np.hypot(x - CENTRE[0], y - CENTRE[1])
    disk = from_centre < RADIUS
    image = np.random.default_rng(seed).normal(10, 1, disk.shape)
    image += np.where(disk, 100 * (1 - 0.3 * (from_centre / RADIUS) ** 2), 0)
    image += 60.0 * plume * ((np.hypot(x - PLUME[0], y - PLUME[1]) < 9) & ~disk)
    image += 200.0 * spot * ((np.abs(x - SPOT[0]) <= 1) & (np.abs(y - SPOT[1]) <= 1))
    return image.astype(np.float32)


def write_frame(path: Path, seed: int = 0, plume: bool = True, spot: bool = True) -> Path:
    """Write such a frame as FITS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.writeto(path, io_image(seed, plume, spot))
    return path
