"""Write simulated SRU frames as the archive's FITS: 16-bit counts, rows 510-511 and columns 0-1 dummies, 0 not sent."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from detector.instruments import SRU
from training.simulate.archive import Meta

LARGEST = 32767


def write_sru(folder: Path, name: str, counts: NDArray[np.floating], valid: NDArray[np.bool_], meta: Meta) -> Path:
    """Write ``name.FIT``: signed 16-bit big-endian counts and the cards that the reader asks for.

    Args:
        folder: must exist.
        name: stem such as ``SRU_1_2023364T083601_57_V01``: by it the reader knows the camera.
        counts: (512, 512), 0..32767 where valid; written as whole numbers.
        valid: (512, 512) bool; what is not is written as 0.
        meta: the header's values.

    Returns:
        path of the file.

    Raises:
        ValueError: for another shape, or valid counts that 16 bits do not hold.

    """
    if counts.shape != SRU.shape or valid.shape != SRU.shape:
        raise ValueError(f"got counts {counts.shape} and valid {valid.shape}; expected {SRU.shape}")
    whole = np.rint(np.where(valid, counts, 0))
    if whole.min() < 0 or whole.max() > LARGEST:
        raise ValueError(f"counts {whole.min():g} .. {whole.max():g}; expected 0 .. {LARGEST}")
    hdu = fits.PrimaryHDU(whole.astype(np.int16))
    cards = {"INSTRUME": "SRU", "TARGET": meta.target, "DATE-OBS": meta.start_time}
    hdu.header.update({key: value for key, value in cards.items() if value})
    if math.isfinite(meta.exposure_s):
        hdu.header["EXPTIME"] = (meta.exposure_s, "s")
    path = folder / f"{name}.FIT"
    hdu.writeto(path, overwrite=True)
    return path
