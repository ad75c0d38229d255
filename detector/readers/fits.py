"""FITS: the first HDU with an image; a cube gives a frame for each plane.

Decisions
---------
* Rows are kept in the file's order (row 0 is FITS row 1), so pixels agree with astropy's array.
* LORRI's header carries the geometry of its target. FITS counts rows upwards, so shown with row 0 at the top the sky is
  mirrored: the view says so, keeps range and sub-points, and leaves north out (the clock angles of the first delivery
  are known to be off by 90 degrees).
* SRU (512 x 512): rows 510-511 and columns 0-1 are dummies, 0 means not downlinked: not valid.
* What is written as BLANK, NaN or infinite is not valid.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import Frame, View, sha256_of
from detector.instruments import CAMERAS, LORRI, SRU, Camera
from detector.readers.foreign import decoding
from detector.readers.layout import check_size
from detector.readers.names import frame_id, target_name
from detector.readers.pds3 import as_number

INSTRUMENTS = {"LOR": "lorri", "LORRI": "lorri", "SSI": "galileo_ssi", "JNC": "junocam", "JIR": "jiram", "SRU": "sru"}
MAX_AXES = 999
"""As the standard has it."""
BLOCK_BYTES = 2880
AXES = re.compile(rb"NAXIS   = *\+?(\d+)")
UNITS = ("DN", "W m-2 sr-1", "W m-2 sr-1 um-1", "I/F", "luminance")


@dataclass(frozen=True)
class _Header:
    """A header as text, asked by several names for the same thing."""

    cards: Mapping[str, str]

    def text(self, *keys: str) -> str:
        found = (self.cards.get(key, "").strip() for key in keys)
        return next((text for text in found if text and text.upper() not in {"N/A", "UNK", "NONE"}), "")

    def number(self, *keys: str) -> float:
        return as_number(self.text(*keys))


def read(path: Path) -> list[Frame]:
    """Read the first image of a FITS file: one frame, or one for each plane of a cube.

    Raises:
        InputError: for a damaged file, one without an image, or one that is too large.

    """
    with decoding(path, "FITS", fits.VerifyError), warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)  # what matters of it comes back as an error below
        data, header = _first_image(path)
    planes = data.reshape(-1, *data.shape[-2:])
    digest = sha256_of(path)
    return [_frame(path, plane, header, _part(k, len(planes)), digest) for k, plane in enumerate(planes)]


def _part(index: int, count: int) -> str:
    return f"P{index:0{len(str(count - 1))}d}" if count > 1 else ""


def _check_axes(path: Path) -> None:
    """Refuse a number of axes that astropy would count up to for ever.

    Raises:
        InputError: naming it.

    """
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            found = AXES.search(block) if block.startswith((b"SIMPLE  =", b"XTENSION")) else None
            if found is not None and int(found[1]) > MAX_AXES:
                problem = f"NAXIS is {int(found[1])}, expected at most {MAX_AXES}"
                raise InputError(path, problem, "the file is damaged: fetch it again")


def _first_image(path: Path) -> tuple[NDArray[np.generic], _Header]:
    """Give the array, and the primary header with the image's own cards over it."""
    _check_axes(path)
    with fits.open(path, mode="readonly", memmap=False, lazy_load_hdus=True) as hdus:
        for hdu in hdus:
            shape = tuple(hdu.header.get(f"NAXIS{k}", 0) for k in range(hdu.header.get("NAXIS", 0), 0, -1))
            if hdu.is_image and len(shape) >= 2:
                planes = math.prod(shape[:-2])
                check_size(path, shape[-2], shape[-1], planes)
                return np.asarray(hdu.data), _Header(_cards(hdus[0].header) | _cards(hdu.header))
    raise InputError(path, "holds no two-dimensional image", "give a FITS file with an image HDU")


def _cards(header: fits.Header) -> dict[str, str]:
    return dict(_readable_cards(header))


def _readable_cards(header: fits.Header) -> Iterator[tuple[str, str]]:
    for card in header.cards:
        if card.keyword and card.keyword not in {"COMMENT", "HISTORY"}:
            yield card.keyword, str(card.value)


def _camera(path: Path, header: _Header, shape: tuple[int, int]) -> Camera:
    said = header.text("INSTRUME", "INSTRU", "INSTRUMENT_ID").upper()
    if path.stem.upper().startswith("SRU_") and shape == SRU.shape:
        return SRU
    name = INSTRUMENTS.get(said, said.lower())
    return CAMERAS.get(name, Camera(frame_id(name) if name else "unknown", math.nan, shape))


def _frame(path: Path, plane: NDArray[np.generic], header: _Header, part: str, digest: str) -> Frame:
    rows, columns = plane.shape
    camera = _camera(path, header, (rows, columns))
    filter_name = header.text("FILTER", "FILTNAM", "FILTER1").upper()
    return Frame.of(
        plane,
        _observed(plane, camera) & _not_blank(plane, header),
        unit=_unit(header),
        id=frame_id(path.stem, part),
        observation=frame_id(path.stem),
        instrument=camera.name,
        filter=filter_name,
        wavelength_um=camera.wavelength(filter_name),
        start_time=header.text("DATE-OBS", "SPCUTCAL", "START_TIME"),
        exposure_s=header.number("EXPTIME", "EXPOSURE"),
        target=target_name(header.text("TARGET", "TARGNAME", "OBJECT")),
        source=path,
        sha256=digest,
        view=_view(header, camera),
        keywords=header.cards,
    )


def _observed(plane: NDArray[np.generic], camera: Camera) -> NDArray[np.bool_]:
    seen = np.isfinite(plane)
    if camera is SRU and plane.shape == SRU.shape:
        seen &= plane != 0
        seen[510:] = False
        seen[:, :2] = False
    return seen


def _not_blank(plane: NDArray[np.generic], header: _Header) -> NDArray[np.bool_]:
    """What is blank in unsigned samples, which FITS stores with an offset: astropy gives them as they are."""
    blank = header.number("BLANK") + 2.0 ** (8 * plane.dtype.itemsize - 1) if plane.dtype.kind == "u" else math.nan
    return np.asarray(plane != blank) if math.isfinite(blank) else np.ones(plane.shape, np.bool_)


def _unit(header: _Header) -> str:
    """Give the header's unit where it is one of ours, DN otherwise."""
    said = re.sub(r"\s+", " ", header.text("BUNIT"))
    return said if said in UNITS else "DN"


def _view(header: _Header, camera: Camera) -> View:
    if camera is not LORRI or not header.text("SPCTCB"):
        return View(ifov_rad=camera.ifov_rad)
    binned = 4 if header.text("SFORMAT").upper() == "4X4" else 1
    return View(
        source="label",
        target=target_name(header.text("SPCTCB")),
        range_km=header.number("SPCTRANG"),
        ifov_rad=camera.ifov_rad * binned,
        sub_spacecraft_lat_deg=header.number("SPCTSCLA"),
        sub_spacecraft_lon_w_deg=-header.number("SPCTSCLO") % 360,
        sub_solar_lat_deg=header.number("SPCTSOLA"),
        sub_solar_lon_w_deg=-header.number("SPCTSOLO") % 360,
        mirrored=True,
    )
