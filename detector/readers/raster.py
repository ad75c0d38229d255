"""What GDAL reads for us: ISIS cubes, GeoTIFF and ordinary pictures (PNG, JPEG, TIFF, GIF, JPEG 2000), 8 bits or more.

Decisions
---------
* A file is opened with the one driver that its first bytes call for, never by trial, and GDAL looks at no other file
  beside it and writes none.
* ISIS cubes: base and multiplier are applied; all special pixels (NULL and the four kinds of saturation) are not valid.
  JIRAM cubes made from EDR are counts, whatever their PixelUnit says.
* A colour picture gives four frames of one observation: the luminance (Rec. 709 weights; its id is the stem), then
  RED, GREEN and BLUE as they are. Grey stored as three equal channels gives one. Palettes are looked up.
* An alpha channel or a nodata value says what is valid. Other multi-band files give one frame a band.
* GDAL forgives a JPEG, PNG or cube that stops early and paints the rest. Here a JPEG needs its end marker, every chunk
  of a PNG its check sum, and a cube the bytes that its label counts.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from detector.errors import InputError
from detector.frame import Frame, View, sha256_of
from detector.instruments import CAMERAS, Camera
from detector.readers.foreign import decoding
from detector.readers.layout import check_size
from detector.readers.names import frame_id, target_name
from detector.readers.pds3 import Label, read_label

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
GREY_TOLERANCE = 1  # rounding of a colour space there and back, of 255
ISIS_INSTRUMENTS = {"JIR": "jiram", "JNC": "junocam", "SOLID STATE IMAGING SYSTEM": "galileo_ssi", "LORRI": "lorri"}
# ISIS reserves the ends of each type's range (SpecialPixel.h).
ISIS_VALID = {
    "uint8": (1, 254),
    "uint16": (3, 65522),
    "int16": (-32752, 32767),
    "uint32": (3, 4294967282),
    "int32": (-2147483632, 2147483647),
    "float32": (float(np.array(0xFF7FFFFA, np.uint32).view(np.float32)), 3.4028235e38),
}
ISIS_BYTES = {"REAL": 4, "DOUBLE": 8, "SIGNEDWORD": 2, "UNSIGNEDWORD": 2, "SIGNEDINTEGER": 4, "UNSIGNEDINTEGER": 4}
MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
}


@dataclass(frozen=True)
class Raster:
    """The bands of a file: (bands, rows, columns) samples, (rows, columns) what is valid, and what the bands are."""

    samples: NDArray[np.generic]
    valid: NDArray[np.bool_]
    colour: bool
    tags: dict[str, str]


def driver_of(head: bytes) -> str:
    """GDAL's driver for a file that begins like this; empty if it is none of ours."""
    if head.lstrip()[:32].lower().replace(b" ", b"").startswith(b"object=isiscube"):
        return "ISIS3"
    return next((driver for magic, driver in MAGIC.items() if head.startswith(magic)), "")


def read(path: Path, driver: str) -> list[Frame]:
    """Read a picture or a cube: one frame, or several of one observation (see the module's decisions).

    Args:
        path: the file.
        driver: GDAL's driver for it, from ``driver_of``.

    Raises:
        InputError: for a damaged, truncated or too large file, or complex samples.

    """
    raster = read_raster(path, driver)
    if driver == "ISIS3":
        return _cube_frames(path, raster)
    digest = sha256_of(path)
    return [
        Frame.of(
            band,
            raster.valid,
            unit=unit,
            id=frame_id(path.stem, part),
            observation=frame_id(path.stem),
            filter=part or ("LUMINANCE" if unit == "luminance" else ""),
            source=path,
            sha256=digest,
            keywords=raster.tags,
            saturation=_top(raster.samples.dtype),
        )
        for part, unit, band in _bands(raster)
    ]


def read_raster(path: Path, driver: str) -> Raster:
    """Read every band with exactly this driver.

    Raises:
        InputError: as ``read``.

    """
    check_whole(path, driver)
    with decoding(path, driver), plain_gdal(path), rasterio.open(path, driver=driver) as dataset:
        check_size(path, dataset.height, dataset.width, dataset.count)
        if any(np.dtype(kind).kind not in "uif" for kind in dataset.dtypes):
            raise InputError(
                path, f"samples of type {dataset.dtypes[0]}; expected integers or reals", "convert it to FITS"
            )
        return _raster(dataset, driver)


@contextmanager
def plain_gdal(path: Path) -> Iterator[None]:
    """GDAL as a plain decoder: no files beside the one asked for, none written, its errors as ours."""
    settings = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO", "GDAL_NUM_THREADS": "1"}
    try:
        with rasterio.Env(**settings), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield
    except RasterioError as error:
        words = " ".join(str(error).split())[:300]
        raise InputError(
            path, f"cannot be decoded ({words})", "the file is damaged or truncated: fetch it again"
        ) from error


def check_whole(path: Path, driver: str) -> None:
    """Refuse a truncated file of a kind whose missing part GDAL would fill in without a word.

    Raises:
        InputError: saying how it is known.

    """
    check = {"JPEG": _flaw_of_jpeg, "PNG": _flaw_of_png, "ISIS3": _flaw_of_cube}.get(driver)
    if check is None:
        return
    with decoding(path, driver):
        flaw = check(path)
    if flaw:
        raise InputError(path, flaw, "the file is damaged or truncated: fetch it again")


def _flaw_of_jpeg(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4096))
        return "" if b"\xff\xd9" in stream.read() else "JPEG without its end marker"


def _flaw_of_png(path: Path) -> str:
    """Walk the chunks; each must be whole and have its check sum."""
    with path.open("rb") as stream:
        stream.seek(8)
        while head := stream.read(8):
            length, kind = struct.unpack(">I4s", head)
            body = stream.read(length)
            if stream.read(4) != struct.pack(">I", zlib.crc32(kind + body)):
                return f"PNG chunk {kind!r} is cut short or has a wrong check sum"
            if kind == b"IEND":
                return ""
    return "PNG without its end"


def _flaw_of_cube(path: Path) -> str:
    label = read_label(path)
    rows, columns, bands = (label.integer(key, 0, "DIMENSIONS") for key in ("LINES", "SAMPLES", "BANDS"))
    check_size(path, rows, columns, bands)
    outside = label.text("^CORE", "CORE") or label.text("^CORE")
    if outside or label.text("FORMAT", "CORE").upper() not in {"TILE", "BANDSEQUENTIAL", ""}:  # GDAL would follow it
        return f"its pixels lie in another file ({outside or label.text('FORMAT', 'CORE')}): attach them to the cube"
    if label.text("FORMAT", "CORE").upper() == "TILE":
        rows, columns = (
            math.ceil(length / max(tile, 1)) * max(tile, 1)
            for length, tile in ((rows, label.integer("TILELINES", 1)), (columns, label.integer("TILESAMPLES", 1)))
        )
    item = ISIS_BYTES.get(label.text("TYPE", "PIXELS").upper(), 1)
    wanted = label.integer("STARTBYTE", 1, "CORE") - 1 + rows * columns * bands * item
    size = path.stat().st_size
    return f"is {size} bytes long, its label needs {wanted}" if size < wanted else ""


def _raster(dataset: Any, driver: str) -> Raster:
    """Take samples, validity and colour from an open file."""
    samples = dataset.read()
    roles = list(dataset.colorinterp)
    valid = np.ones(samples.shape[1:], np.bool_)
    if driver == "ISIS3":
        return Raster(samples, valid, False, {})
    alpha = [role is ColorInterp.alpha for role in roles]
    if any(alpha):
        valid &= samples[alpha.index(True)] > 0
        samples = samples[[k for k, yes in enumerate(alpha) if not yes]]
    if dataset.nodata is not None and driver == "GTiff":
        valid &= (samples != dataset.nodata).any(axis=0)
    if roles[0] is ColorInterp.palette:
        samples = _palette(dataset.colormap(1))[:, samples[0]]
        roles = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    colour = len(samples) == 3 and roles[:3] == [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    return Raster(samples, valid, colour, {str(k): str(v) for k, v in dataset.tags().items()})


def _palette(colours: dict[int, tuple[int, int, int, int]]) -> NDArray[np.uint8]:
    """(3, 256 or more) red, green and blue of each index; black for an index that has none."""
    table = np.zeros((3, max(256, *(index + 1 for index in colours))), np.uint8)
    for index, (red, green, blue, _) in colours.items():
        table[:, index] = red, green, blue
    return table


def _bands(raster: Raster) -> Iterator[tuple[str, str, NDArray[np.generic]]]:
    """Name of the part, unit and samples of each frame that a picture gives."""
    if not raster.colour:
        count = len(raster.samples)
        yield from ((f"B{k + 1}" if count > 1 else "", "DN", band) for k, band in enumerate(raster.samples))
        return
    wide = raster.samples.astype(np.float32)
    unit = GREY_TOLERANCE if raster.samples.dtype.kind in "ui" else GREY_TOLERANCE / 255 * _span(wide)
    if not (np.ptp(wide, axis=0) > unit).any():
        yield "", "DN", raster.samples[1]
        return
    yield "", "luminance", np.tensordot(LUMINANCE, wide, axes=1)
    yield from zip(("RED", "GREEN", "BLUE"), ("DN",) * 3, raster.samples, strict=True)


def _span(values: NDArray[np.float32]) -> float:
    """Difference of the largest and the least number; 0 of none."""
    numbers = values[np.isfinite(values)]
    return float(np.ptp(numbers)) if numbers.size else 0.0


def _top(dtype: np.dtype[Any]) -> float:
    """Give the largest value of an integer type; inf for reals."""
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else math.inf


def _cube_frames(path: Path, raster: Raster) -> list[Frame]:
    label = read_label(path)
    low, high = ISIS_VALID.get(str(raster.samples.dtype), (-math.inf, math.inf))
    base, scale = (label.number(key, "PIXELS") for key in ("BASE", "MULTIPLIER"))
    names = [name.upper().removesuffix("-BAND") for name in label.value("FILTERNAME", "BANDBIN").items]
    digest = sha256_of(path)
    frames = []
    for k, band in enumerate(raster.samples):
        name = names[k] if len(names) == len(raster.samples) else ""
        own = name if names.count(name) == 1 else f"{name}_B{k + 1}".lstrip("_")
        part = own if len(raster.samples) > 1 else ""
        with np.errstate(invalid="ignore"):
            seen = (band >= low) & (band <= high)
        values = np.where(seen, band, 0).astype(np.float64)
        values = values * (scale if math.isfinite(scale) else 1) + (base if math.isfinite(base) else 0)
        frame = _cube_frame(path, values, seen, label, name)
        frames.append(replace(frame, id=frame_id(path.stem, part), sha256=digest))
    return frames


def _cube_frame(path: Path, values: NDArray[np.float64], seen: NDArray[np.bool_], label: Label, name: str) -> Frame:
    camera = _isis_camera(label)
    exposure = label.number("EXPOSUREDURATION", "INSTRUMENT")
    milli = label.value("EXPOSUREDURATION", "INSTRUMENT").unit.lower() in {"ms", "milliseconds"}
    target = target_name(label.text("TARGETNAME", "INSTRUMENT"))
    return Frame.of(
        values,
        seen,
        unit=_isis_unit(label),
        id=frame_id(path.stem),
        observation=frame_id(path.stem),
        instrument=camera.name,
        filter=name,
        wavelength_um=camera.wavelength(name),
        start_time=label.text("STARTTIME", "INSTRUMENT"),
        exposure_s=exposure / 1000 if milli else exposure,
        target=target,
        source=path,
        view=View(source="label" if target else "none", target=target, ifov_rad=camera.ifov_rad),
        keywords=label.keywords,
    )


def _isis_camera(label: Label) -> Camera:
    said = label.text("INSTRUMENTID", "INSTRUMENT").upper()
    name = ISIS_INSTRUMENTS.get(said, frame_id(said.lower()) if said else "unknown")
    return CAMERAS.get(name, Camera(name, math.nan, (0, 0)))


def _isis_unit(label: Label) -> str:
    said = label.text("PIXELUNIT", "ARCHIVE")
    if not said.startswith("W/") or "_EDR_" in label.text("PRODUCTID", "ARCHIVE").upper():
        return "DN"
    return "W m-2 sr-1 um-1" if "micron" in said.lower() else "W m-2 sr-1"
