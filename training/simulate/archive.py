"""Write simulated pixels as archive files: what the missions' archives hold, down to labels, prefixes and byte order.

* SSI: the REDR record layout of frame E6I0032 (Galileo orbit 6): 813 records of 1000 bytes, 2 of VICAR label, 2 of
  telemetry, 9 of bad-data list, then 800 lines of 200 prefix bytes and 800 samples; the detached label begins with
  an SFDU line and has the same keywords in the same order, LF line ends, padded to 78 columns.
* JunoCam: EDR, 8 bits, square-root companded, framelets of 128 rows in the order of FILTER_NAME. Each filter's picture
  is given in the geometry in which it is read (the mosaic), so reading gives the same picture back.
* JIRAM: RDR, 32-bit reals written little-endian under a label that says IEEE_REAL, as the archive's files are.
* FITS: anything else, float32, keywords as the reader asks for them.

What is not known is written ``N/A``. Nothing is random; two writings of the same pixels give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from detector.frame import IO_RADII_KM, IO_RADIUS_KM
from detector.instruments import (
    JIRAM,
    JUNOCAM,
    SSI,
    SSI_FILTERS,
    SSI_FRAME_S_BY_RATE,
    SSI_GAIN_E_PER_DN,
    junocam_linear,
)
from detector.readers.junocam import framelet_step_px, framelet_tops, mosaic_rows

LINE_WIDTH = 78
SSI_RECORD, SSI_PREFIX, SSI_HEADERS = 1000, 200, 13
ROWS, COLUMNS = JUNOCAM.shape


@dataclass(frozen=True)
class Meta:
    """What a label says of a frame; NaN or empty is written as N/A.

    Attributes:
        start_time: ISO-8601 UTC without zone.
        exposure_s: exposure.
        filter: the filter's name; for JunoCam and JIRAM the files hold several and it is not used.
        target: upper case.
        range_km: spacecraft to the target's centre.
        sub_spacecraft_lat_deg, sub_spacecraft_lon_w_deg, sub_solar_lat_deg, sub_solar_lon_w_deg: west-positive.
        north_azimuth_deg: clockwise from +x.
        phase_deg: Sun-target-spacecraft.
        centre_x_px, centre_y_px: predicted centre of the disk, counted from 0.
        gain_mode: SSI, 400K, 100K, 40K or 10K.
        frame_duration_s: SSI, 2.333 and 15.166 are 2 x 2 summed.
        cut_out_window: SSI, first line, first sample, lines, samples, counted from 1.
        interframe_delay_s, tdi_stages: JunoCam.
        observation: name of the observation.
        telemetry, compression: SSI, TELEMETRY_FORMAT_ID and COMPRESSION_TYPE.
        ict_step, ict_despike: SSI, quantisation step and despike threshold of the lossy compression; step 0 = none.
        truth_window: SSI, kept without loss; like ``cut_out_window``.
        on_chip_mosaic: SSI, several exposures on the frame.
        summed_geometry: SSI, the label counts the pixels of a summed frame, not those of the chip.

    """

    start_time: str = "1997-02-19T21:07:27.314"
    exposure_s: float = math.nan
    filter: str = "CLEAR"
    target: str = "IO"
    range_km: float = math.nan
    sub_spacecraft_lat_deg: float = math.nan
    sub_spacecraft_lon_w_deg: float = math.nan
    sub_solar_lat_deg: float = math.nan
    sub_solar_lon_w_deg: float = math.nan
    north_azimuth_deg: float = math.nan
    phase_deg: float = math.nan
    centre_x_px: float = math.nan
    centre_y_px: float = math.nan
    gain_mode: str = "100K"
    frame_duration_s: float = 8.667
    cut_out_window: tuple[int, int, int, int] = (1, 1, 800, 800)
    interframe_delay_s: float = 0.372
    tdi_stages: int = 2
    observation: str = "SIMULATED"
    telemetry: str = "HIM"
    compression: str = "NONE"
    ict_step: int = 0
    ict_despike: int = 255
    truth_window: tuple[int, int, int, int] = (801, 801, 96, 96)
    on_chip_mosaic: bool = False
    summed_geometry: bool = False


def _number(value: float, pattern: str = "{:.6g}", unit: str = "") -> str:
    """Give a label's number with its unit; "N/A" for NaN."""
    if not math.isfinite(value):
        return '"N/A"'
    return pattern.format(value) + (f" <{unit}>" if unit else "")


def _object(name: str, statements: Mapping[str, object]) -> list[str]:
    return [f"OBJECT = {name}", *(f"{key} = {value}" for key, value in statements.items()), "END_OBJECT"]


def _write_label(path: Path, lines: Sequence[str], end: str) -> None:
    text = "".join(f"{line:<{LINE_WIDTH}}{end}" for line in lines)
    path.write_bytes(text.encode("ascii"))


def _check(array: NDArray[np.generic], shape: tuple[int, int], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"got {array.dtype} {array.shape}; expected {np.dtype(dtype)} {shape}")


# ---------------------------------------------------------------------------------------------------------- Galileo SSI


def write_ssi(folder: Path, name: str, dn: NDArray[np.uint8], meta: Meta) -> Path:
    """Write an SSI REDR product: ``name.IMG`` and its detached ``name.LBL``.

    Args:
        folder: must exist.
        name: stem of both files, such as ``C0383600826R``.
        dn: (800, 800) uint8; a 2 x 2 summed frame stands in the upper left 400 x 400, the rest 0.
        meta: the label's values.

    Returns:
        Path of the label.

    Raises:
        ValueError: for another shape or type.

    """
    _check(dn, SSI.shape, np.uint8)
    headers = np.zeros((SSI_HEADERS, SSI_RECORD), np.uint8)
    vicar = np.frombuffer(_ssi_vicar_label(meta), np.uint8)
    headers.reshape(-1)[: vicar.size] = vicar
    lines = np.zeros((SSI.shape[0], SSI_RECORD), np.uint8)
    lines[:, SSI_PREFIX:] = dn
    (folder / f"{name}.IMG").write_bytes(headers.tobytes() + lines.tobytes())
    _write_label(folder / f"{name}.LBL", _ssi_label(name, meta), "\n")
    return folder / f"{name}.LBL"


def _ssi_filter_number(meta: Meta) -> int:
    return [position.name for position in SSI_FILTERS].index(meta.filter)


def _slant_km(meta: Meta) -> float:
    return meta.range_km - IO_RADIUS_KM


def _pixel_scale_m(meta: Meta) -> float:
    return _slant_km(meta) * 1000 * SSI.ifov_rad * (2 if meta.summed_geometry else 1)


def _ssi_vicar_label(meta: Meta) -> bytes:
    """2000 bytes: the system keywords and the history that a REDR file begins with."""
    pairs = _VICAR_SYSTEM | _vicar_camera(meta) | _vicar_geometry(meta)
    return "  ".join(f"{key}={value}" for key, value in pairs.items()).encode("ascii").ljust(2 * SSI_RECORD, b"\0")


_VICAR_SYSTEM: dict[str, object] = {
    "LBLSIZE": f"{2 * SSI_RECORD:<16d}",
    "FORMAT": "'BYTE'",
    "TYPE": "'IMAGE'",
    "BUFSIZ": 20480,
    "DIM": 3,
    "EOL": 0,
    "RECSIZE": SSI_RECORD,
    "ORG": "'BSQ'",
    "NL": 800,
    "NS": 800,
    "NB": 1,
    "N1": 800,
    "N2": 800,
    "N3": 1,
    "N4": 0,
    "NBB": SSI_PREFIX,
    "NLB": SSI_HEADERS - 2,
    "HOST": "'X86-LINUX'",
    "INTFMT": "'LOW'",
    "REALFMT": "'RIEEE'",
    "BHOST": "'VAX-VMS'",
    "BINTFMT": "'LOW'",
    "BREALFMT": "'VAX'",
    "BLTYPE": "''",
}


def _vicar_camera(meta: Meta) -> dict[str, object]:
    moment = datetime.fromisoformat(meta.start_time)
    rates = {duration: code for code, duration in SSI_FRAME_S_BY_RATE.items()}
    return {
        "TASK": "'SIMULATE'",
        "MISSION": "'GALILEO'",
        "SENSOR": "'SSI'",
        "PA": f"'{meta.observation}'",
        "TARGET": f"'{meta.target}'",
        "SCETYEAR": moment.year,
        "SCETDAY": moment.timetuple().tm_yday,
        "SCETHOUR": moment.hour,
        "SCETMIN": moment.minute,
        "SCETSEC": moment.second,
        "SCETMSEC": moment.microsecond // 1000,
        "FILTER": _ssi_filter_number(meta),
        "EXP": _or_missing(1000 * meta.exposure_s),
        "GAIN": 1 + list(SSI_GAIN_E_PER_DN).index(meta.gain_mode),
        "RATE": rates.get(meta.frame_duration_s, 0),
        "TLMFMT": f"'{meta.telemetry}'",
        "CUT_OUT_WINDOW": "({},{},{},{})".format(*meta.cut_out_window),
    }


def _vicar_geometry(meta: Meta) -> dict[str, object]:
    geometry = {
        "PHA": meta.phase_deg,
        "NORAZ": meta.north_azimuth_deg,
        "SLRANGE": _slant_km(meta),
        "HSCL": _pixel_scale_m(meta),
        "SUB_SOLAR_LATITUDE": meta.sub_solar_lat_deg,
        "SUB_SOLAR_LONGITUDE": meta.sub_solar_lon_w_deg,
        "SUB_SPACECRAFT_LATITUDE": meta.sub_spacecraft_lat_deg,
        "SUB_SPACECRAFT_LONGITUDE": meta.sub_spacecraft_lon_w_deg,
        "TARGET_CENTER_DISTANCE": meta.range_km,
        "SUB_SPACECRAFT_LINE": meta.centre_y_px + 1,
        "SUB_SPACECRAFT_SAMPLE": meta.centre_x_px + 1,
    }
    return {key: _or_missing(value) for key, value in geometry.items()}


def _or_missing(value: float) -> str:
    return f"{value:.9g}" if math.isfinite(value) else "-999.0"


def _ssi_label(name: str, meta: Meta) -> list[str]:
    """Lines of the detached label in the order of the archive's."""
    return [
        "CCSD3ZF0000100000001NJPL3IF0PDS200000001 = SFDU_LABEL",
        "",
        *_ssi_file_lines(name),
        *_ssi_camera_lines(name, meta),
        *_ssi_geometry_lines(meta),
        *_ssi_processing_lines(meta),
        *_ssi_object_lines(),
        "END",
    ]


def _ssi_file_lines(name: str) -> list[str]:
    pointers = {
        "IMAGE_HEADER": 1,
        "TELEMETRY_TABLE": 3,
        "BAD_DATA_VALUES_HEADER": 5,
        "IMAGE": 14,
        "LINE_PREFIX_TABLE": 14,
    }
    return [
        "/* File Format and Length */",
        "RECORD_TYPE = FIXED_LENGTH",
        f"RECORD_BYTES = {SSI_RECORD}",
        f"FILE_RECORDS = {SSI_HEADERS + SSI.shape[0]}",
        "",
        "/* Pointers to Data Objects */",
        *(f'^{key} = ("{name}.IMG",{record})' for key, record in pointers.items()),
        "",
    ]


def _ssi_camera_lines(name: str, meta: Meta) -> list[str]:
    return [
        "/* Description/Catalog Keywords */",
        'DATA_SET_ID = "GO-J/JSA-SSI-2-REDR-V1.0"',
        'SPACECRAFT_NAME = "GALILEO ORBITER"',
        'INSTRUMENT_NAME = "SOLID STATE IMAGING SYSTEM"',
        "",
        "/* Time tags and observation descriptors */",
        "SPACECRAFT_CLOCK_CNT_PARTITION = 1",
        'SPACECRAFT_CLOCK_START_COUNT = "N/A"',
        f"IMAGE_TIME = {meta.start_time}Z",
        f"IMAGE_ID = {name}",
        'ORBIT_NUMBER = "N/A"',
        f'OBSERVATION_ID = "{meta.observation}"',
        f'TARGET_NAME = "{meta.target}"',
        'NOTE = "SIMULATED"',
        "",
        "/* Camera and spacecraft state parameters */",
        f'FILTER_NAME = "{meta.filter}"',
        f"FILTER_NUMBER = {_ssi_filter_number(meta)}",
        f"EXPOSURE_DURATION = {_number(1000 * meta.exposure_s)}",
        f'GAIN_MODE_ID = "{meta.gain_mode}"',
        f"FRAME_DURATION = {_number(meta.frame_duration_s)}",
        'LIGHT_FLOOD_STATE_FLAG = "ON"',
        'EXPOSURE_TYPE = "NORMAL"',
        'BLEMISH_PROTECTION_FLAG = "OFF"',
        'INVERTED_CLOCK_STATE_FLAG = "NOT INVERTED"',
        f'ON_CHIP_MOSAIC_FLAG = "{"Y" if meta.on_chip_mosaic else "N"}"',
        *_ssi_compression_lines(meta),
        f'TELEMETRY_FORMAT_ID = "{meta.telemetry}"',
        'INSTRUMENT_MODE_ID = "N/A"',
        "",
    ]


def _ssi_compression_lines(meta: Meta) -> list[str]:
    lines = [f'COMPRESSION_TYPE = "{meta.compression}"']
    if meta.ict_step:
        lines += [f"ICT_QUANTIZATION_STEP_SIZE = {meta.ict_step}", f"ICT_DESPIKE_THRESHOLD = {meta.ict_despike}"]
    return lines


def _ssi_geometry_lines(meta: Meta) -> list[str]:
    a, b, c = IO_RADII_KM
    return [
        "/* Viewing Geometry */",
        "POSITIVE_LONGITUDE_DIRECTION = WEST",
        f"TARGET_CENTER_DISTANCE = {_number(meta.range_km, '{:.9e}')}",
        f"SUB_SPACECRAFT_LATITUDE = {_number(meta.sub_spacecraft_lat_deg)}",
        f"SUB_SPACECRAFT_LONGITUDE = {_number(meta.sub_spacecraft_lon_w_deg)}",
        f"SUB_SPACECRAFT_LINE = {_number(meta.centre_y_px + 1, '{:.3f}')}",
        f"SUB_SPACECRAFT_LINE_SAMPLE = {_number(meta.centre_x_px + 1, '{:.3f}')}",
        f"NORTH_AZIMUTH = {_number(meta.north_azimuth_deg)}",
        'SMEAR_AZIMUTH = "UNK"',
        'SMEAR_MAGNITUDE = "UNK"',
        f"HORIZONTAL_PIXEL_SCALE = {_number(_pixel_scale_m(meta), '{:.6e}')}",
        f"VERTICAL_PIXEL_SCALE = {_number(_pixel_scale_m(meta), '{:.6e}')}",
        f"SLANT_DISTANCE = {_number(_slant_km(meta), '{:.9e}')}",
        f"SUB_SOLAR_LATITUDE = {_number(meta.sub_solar_lat_deg)}",
        f"SUB_SOLAR_LONGITUDE = {_number(meta.sub_solar_lon_w_deg)}",
        f"PHASE_ANGLE = {_number(meta.phase_deg)}",
        "",
        "/* Target radii */",
        f"A_AXIS_RADIUS = {a:.6e}",
        f"B_AXIS_RADIUS = {b:.6e}",
        f"C_AXIS_RADIUS = {c:.6e}",
        "",
    ]


def _ssi_processing_lines(meta: Meta) -> list[str]:
    window = ",".join(str(term) for term in meta.cut_out_window)
    return [
        "/* Processing parameters */",
        *(f'{key} = "N/A"' for key in ("MEAN_RADIANCE", "RADIANCE_SCALING_FACTOR", "DARK_CURRENT_FILE_NAME")),
        "DATA_TYPE = LSB_UNSIGNED_INTEGER",
        'PROCESSING_HISTORY_TEXT = "Simulated frame in the layout of a reduced data',
        'record."',
        'PRODUCT_TYPE = "REDR"',
        f"CUT_OUT_WINDOW = {{{window}}}",
        f"TRUTH_WINDOW = {{{','.join(map(str, meta.truth_window))}}}",
        "PRODUCT_VERSION_ID = 0",
        "",
    ]


def _ssi_object_lines() -> list[str]:
    binary = {"INTERCHANGE_FORMAT": "BINARY"}
    header = binary | {"HEADER_TYPE": "VICAR2", "BYTES": 2000, "RECORDS": 2, "^DESCRIPTION": '"VICAR2.TXT"'}
    table = binary | {"ROWS": 1, "COLUMNS": 86, "ROW_BYTES": 1800, "^STRUCTURE": '"RTLMTAB.FMT"'}
    bad = {"HEADER_TYPE": "BDV"} | binary | {"BYTES": 9000, "RECORDS": 9, "^DESCRIPTION": '"BADDATA.TXT"'}
    image = {
        "LINES": 800,
        "LINE_SAMPLES": 800,
        "SAMPLE_BITS": 8,
        "SAMPLE_TYPE": "UNSIGNED_INTEGER",
        "INVALID_CONSTANT": '"N/A"',
        "LINE_PREFIX_BYTES": SSI_PREFIX,
        "^LINE_PREFIX_STRUCTURE": '"RLINEPRX.FMT"',
    }
    objects = {"IMAGE_HEADER": header, "TELEMETRY_TABLE": table, "BAD_DATA_VALUES_HEADER": bad, "IMAGE": image}
    return [line for name, statements in objects.items() for line in (*_object(name, statements), "")]


# -------------------------------------------------------------------------------------------------------------- JunoCam


def write_junocam(folder: Path, name: str, pictures: Mapping[str, NDArray[np.floating]], meta: Meta) -> Path:
    """Write a JunoCam EDR strip: ``name.IMG`` and its detached ``name.LBL``.

    Args:
        folder: must exist.
        name: stem of both files, such as ``JNCE_2023364_57C00022_V01``.
        pictures: one image in linear DN for each filter, in the order of the strip, each (mosaic rows, 1648) with the
            rows that ``junocam_shape`` gives for one and the same number of framelets. Values are companded: rounded
            to the nearest of the 256 that the camera can say (``companded`` shows which).
        meta: the label's values.

    Returns:
        Path of the label.

    Raises:
        ValueError: for pictures that do not fit the framelets.

    """
    strip = junocam_strip({key: companded(value) for key, value in pictures.items()}, meta.interframe_delay_s)
    (folder / f"{name}.IMG").write_bytes(strip.tobytes())
    _write_label(folder / f"{name}.LBL", _junocam_label(name, tuple(pictures), strip.shape[0], meta), "\r\n")
    return folder / f"{name}.LBL"


def junocam_shape(filter_name: str, n_frames: int, interframe_delay_s: float) -> tuple[int, int]:
    """Shape of the mosaic of a filter's framelets, as it is written and read: (rows, 1648)."""
    return mosaic_rows(n_frames, framelet_step_px(filter_name, interframe_delay_s)), COLUMNS


def companded(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Nearest 8-bit square-root companded values of linear DN, any shape; clipped to 0..255."""
    table = junocam_linear()
    edges = (table[1:] + table[:-1]) / 2
    return np.searchsorted(edges, np.nan_to_num(linear), side="left").astype(np.uint8)


def junocam_strip(pictures: Mapping[str, NDArray[np.uint8]], interframe_delay_s: float) -> NDArray[np.uint8]:
    """Cut each filter's mosaic into framelets that overlap, and stack them frame by frame: (128 n filters, 1648).

    Raises:
        ValueError: for pictures whose rows do not belong to one number of framelets.

    """
    steps = {name: framelet_step_px(name, interframe_delay_s) for name in pictures}
    counts = {name: round((picture.shape[0] - ROWS) / steps[name]) + 1 for name, picture in pictures.items()}
    n_frames = next(iter(counts.values()))
    shapes = {name: (mosaic_rows(n_frames, step), COLUMNS) for name, step in steps.items()}
    if {name: picture.shape for name, picture in pictures.items()} != shapes:
        found = {name: picture.shape for name, picture in pictures.items()}
        raise ValueError(f"pictures {found}; expected {shapes} for {n_frames} framelets")
    strip = np.zeros((n_frames, len(pictures), ROWS, COLUMNS), np.uint8)
    for band, (name, picture) in enumerate(pictures.items()):
        for frame, top in enumerate(framelet_tops(n_frames, steps[name])):
            strip[frame, band] = picture[top : top + ROWS]
    return strip.reshape(-1, COLUMNS)


def _junocam_label(name: str, filters: tuple[str, ...], rows: int, meta: Meta) -> list[str]:
    frames = rows // (ROWS * len(filters))
    stop = datetime.fromisoformat(meta.start_time) + timedelta(seconds=frames * (meta.interframe_delay_s + 0.001))
    names = ", ".join(f'"{item}"' for item in filters)
    image = {
        "LINES": rows,
        "LINE_SAMPLES": COLUMNS,
        "SAMPLE_TYPE": "UNSIGNED_INTEGER",
        "SAMPLE_BITS": 8,
        "SAMPLE_BIT_MASK": "2#11111111#",
        "LINE_PREFIX_BYTES": 0,
        "LINE_SUFFIX_BYTES": 0,
    }
    return [
        "PDS_VERSION_ID = PDS3",
        "RECORD_TYPE = FIXED_LENGTH",
        f"RECORD_BYTES = {COLUMNS}",
        f"FILE_RECORDS = {rows}",
        f'^IMAGE = ("{name}.IMG", 1)',
        'DATA_SET_ID = "JUNO-J-JUNOCAM-2-EDR-L0-V1.0"',
        f'PRODUCT_ID = "{name}"',
        'INSTRUMENT_HOST_NAME = "JUNO"',
        'INSTRUMENT_NAME = "JUNO EPO CAMERA"',
        "INSTRUMENT_ID = JNC",
        'SPACECRAFT_NAME = "JUNO"',
        'MISSION_PHASE_NAME = "SIMULATED"',
        f'TARGET_NAME = "{meta.target}"',
        f"START_TIME = {meta.start_time}",
        f"STOP_TIME = {stop.isoformat(timespec='milliseconds')}",
        f"IMAGE_TIME = {meta.start_time}",
        f"EXPOSURE_DURATION = {_number(1000 * meta.exposure_s, '{:.6f}', 'ms')}",
        f"INTERFRAME_DELAY = {_number(meta.interframe_delay_s, '{:.3f}', 's')}",
        f"FILTER_NAME = ({names})",
        'COMPRESSION_TYPE = "NONE"',
        "SAMPLING_FACTOR = 1",
        'SAMPLE_BIT_MODE_ID = "SQROOT"',
        f"JNO:TDI_STAGES_COUNT = {meta.tdi_stages}",
        f"SUB_SPACECRAFT_LATITUDE = {_number(meta.sub_spacecraft_lat_deg, '{:.4f}')}",
        f"SUB_SPACECRAFT_LONGITUDE = {_number(meta.sub_spacecraft_lon_w_deg, '{:.4f}')}",
        f"SPACECRAFT_ALTITUDE = {_number(meta.range_km - IO_RADIUS_KM, '{:.3f}', 'km')}",
        *_object("IMAGE", image),
        "END",
    ]


# ---------------------------------------------------------------------------------------------------------------- JIRAM


def write_jiram(folder: Path, name: str, radiance: NDArray[np.float32], meta: Meta) -> Path:
    """Write a JIRAM imager RDR: ``name.IMG`` and its detached ``name.LBL``.

    Args:
        folder: must exist.
        name: stem of both files, such as ``JIR_IMG_RDR_2023364T083601_V01``.
        radiance: float32 in W m-2 sr-1, mirrored as the archive's are: (256, 432) with L over M, or (128, 432) of M.
        meta: the label's values; the exposure is kept as STOP_TIME - START_TIME, to the millisecond.

    Returns:
        Path of the label.

    Raises:
        ValueError: for another shape or type.

    """
    rows = radiance.shape[0] if radiance.shape[:1] in {(128,), (256,)} else 256
    _check(radiance, (rows, JIRAM.shape[1]), np.float32)
    data = radiance.astype("<f4").tobytes()
    (folder / f"{name}.IMG").write_bytes(data)
    _write_label(folder / f"{name}.LBL", _jiram_label(name, data, rows, meta), "\r\n")
    return folder / f"{name}.LBL"


def _jiram_label(name: str, data: bytes, rows: int, meta: Meta) -> list[str]:
    stop = '"N/A"'
    if math.isfinite(meta.exposure_s):
        end = datetime.fromisoformat(meta.start_time) + timedelta(milliseconds=round(1000 * meta.exposure_s))
        stop = end.isoformat(timespec="milliseconds")
    mode = "SCI_I1_S1" if rows == 256 else "SCI_I2_S1"
    return [
        "PDS_VERSION_ID = PDS3",
        'DATA_SET_NAME = "JUNO JUPITER JIRAM REDUCED DATA RECORD V1.0"',
        'DATA_SET_ID = "JNO-J-JIRAM-3-RDR-V1.0"',
        f"PRODUCT_ID = {name}",
        "PRODUCT_TYPE = RDR",
        f"START_TIME = {meta.start_time}",
        f"STOP_TIME = {stop}",
        'STANDARD_DATA_PRODUCT_ID = "IMAGE"',
        f'MD5_CHECKSUM = "{hashlib.md5(data, usedforsecurity=False).hexdigest()}"',
        'INSTRUMENT_HOST_NAME = "JUNO"',
        'INSTRUMENT_NAME = "JOVIAN INFRARED AURORAL MAPPER"',
        'INSTRUMENT_ID = "JIR"',
        f'TARGET_NAME = "{meta.target}"',
        'COORDINATE_SYSTEM_NAME = "PLANETOCENTRIC"',
        *_jiram_geometry_lines(meta),
        'CHANNEL_ID = "1"       /* 0:SPECTRUM IR; 1:IMAGE */',
        f"INSTRUMENT_MODE_ID = {mode}",
        *_jiram_object_lines(name, rows),
        "END",
    ]


def _jiram_geometry_lines(meta: Meta) -> list[str]:
    degrees = {
        "SUB_SPACECRAFT_LATITUDE": meta.sub_spacecraft_lat_deg,
        "SUB_SPACECRAFT_LONGITUDE": -meta.sub_spacecraft_lon_w_deg % 360,
        "SUB_SOLAR_LATITUDE": meta.sub_solar_lat_deg,
        "SUB_SOLAR_LONGITUDE": -meta.sub_solar_lon_w_deg % 360,
    }
    lines = [f"{key} = {_number(value, '{:.4f}', 'degree')}" for key, value in degrees.items()]
    lines += [f"SPACECRAFT_ALTITUDE = {_number(meta.range_km - IO_RADIUS_KM, '{:.4f}', 'km')}"]
    lines += [f"TARGET_CENTER_DISTANCE = {_number(meta.range_km, '{:.4f}', 'km')}"]
    for band in "LM":
        group = f"{band}_BAND_PARAMETERS"
        lines += [f"GROUP = {group}", f"   /* Illumination Filter {band} */"]
        lines += [f"   PHASE_ANGLE = {_number(meta.phase_deg, '{:.4f}', 'degree')}", '   NORTH_AZIMUTH = "N/A"']
        lines += [f"END_GROUP = {group}"]
    return lines


def _jiram_object_lines(name: str, rows: int) -> list[str]:
    columns = JIRAM.shape[1]
    return [
        "OBJECT = FILE",
        "   RECORD_TYPE = FIXED_LENGTH",
        f"   FILE_RECORDS = {rows}",
        f"   RECORD_BYTES = {4 * columns}",
        '   UNIT = "W/(m^2*sr)"',
        f'^IMAGE = "{name}.IMG"',
        *_object("IMAGE", {"LINES": rows, "LINE_SAMPLES": columns, "SAMPLE_TYPE": "IEEE_REAL", "SAMPLE_BITS": 32}),
        "END_OBJECT = FILE",
    ]


# ----------------------------------------------------------------------------------------------------------------- FITS


def write_fits(folder: Path, name: str, image: NDArray[np.floating], instrument: str, meta: Meta) -> Path:
    """Write an image as FITS with the keywords that the reader asks for.

    Args:
        folder: must exist.
        name: stem of the file.
        image: (H, W), written as float32; NaN is not observed.
        instrument: the frame's instrument.
        meta: the header's values.

    Returns:
        Path of the file.

    """
    hdu = fits.PrimaryHDU(np.asarray(image, np.float32))
    cards = {"INSTRUME": instrument, "FILTER": meta.filter, "TARGET": meta.target, "DATE-OBS": meta.start_time}
    hdu.header.update({key: value for key, value in cards.items() if value})
    if math.isfinite(meta.exposure_s):
        hdu.header["EXPTIME"] = (meta.exposure_s, "s")
    path = folder / f"{name}.fits"
    hdu.writeto(path, overwrite=True)
    return path
