"""VICAR files: written here byte by byte, read by us and by GDAL."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import InputError
from detector.readers import read_frame, read_frames, vicar

PIXELS = np.arange(12).reshape(3, 4) - 5


def vicar_bytes(pixels, kind, *, intfmt="LOW", realfmt="RIEEE", prefix=0, headers=0, more=""):
    rows, columns = pixels.shape[-2:]
    bands = pixels.shape[0] if pixels.ndim == 3 else 1
    record = prefix + columns * pixels.dtype.itemsize
    size = record * (-(-700 // record))
    label = (
        f"LBLSIZE={size}  FORMAT='{kind}'  TYPE='IMAGE'  BUFSIZ=20480  DIM=3  EOL=0  RECSIZE={record}  ORG='BSQ'  "
        f"NL={rows}  NS={columns}  NB={bands}  N1={columns}  N2={rows}  N3={bands}  N4=0  NBB={prefix}  NLB={headers}  "
        f"HOST='X86-LINUX'  INTFMT='{intfmt}'  REALFMT='{realfmt}'  BHOST='X86-LINUX'  BINTFMT='{intfmt}'  "
        f"BREALFMT='{realfmt}'  BLTYPE=''  {more}  "
    )
    lines = np.zeros((bands * rows, record), np.uint8)
    lines[:, prefix:] = np.ascontiguousarray(pixels).reshape(bands * rows, columns).view(np.uint8)
    return label.encode().ljust(size, b"\0") + b"\7" * (headers * record) + lines.tobytes()


@pytest.mark.parametrize(
    ("dtype", "kind", "formats"),
    [
        ("u1", "BYTE", {}),
        ("<i2", "HALF", {"intfmt": "LOW"}),
        (">i2", "HALF", {"intfmt": "HIGH"}),
        ("<i4", "FULL", {"intfmt": "LOW"}),
        (">i4", "FULL", {"intfmt": "HIGH"}),
        ("<f4", "REAL", {"realfmt": "RIEEE"}),
        (">f4", "REAL", {"realfmt": "IEEE", "intfmt": "HIGH"}),
        ("<f8", "DOUB", {"realfmt": "RIEEE"}),
    ],
)
@pytest.mark.parametrize(("prefix", "headers"), [(0, 0), (8, 2)])
def test_agrees_with_gdal(tmp_path, dtype, kind, formats, prefix, headers):
    pixels = (np.abs(PIXELS) if dtype == "u1" else PIXELS).astype(dtype)
    path = tmp_path / "frame.vic"
    path.write_bytes(vicar_bytes(pixels, kind, prefix=prefix, headers=headers, **formats))
    np.testing.assert_array_equal(read_frame(path).image, pixels.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), pixels.astype(pixels.dtype.newbyteorder("=")))


def vax(number: float) -> bytes:
    """A VAX F-floating number by its definition: 0.1f x 2^(e - 128), words swapped."""
    if number == 0:
        return b"\0\0\0\0"
    mantissa, exponent = np.frexp(abs(number))
    fraction = int((mantissa - 0.5) * 2**24)
    bits = (int(number < 0) << 31) | ((int(exponent) + 128) << 23) | fraction
    return struct.pack("<HH", bits >> 16, bits & 0xFFFF)


@given(st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30))
def test_vax_reals_come_back(number):
    assert vicar.vax_real(np.frombuffer(vax(number), "<u4"))[0] == number


def test_vax_reals_by_hand():
    # 1.0 is sign 0, exponent 129, fraction 0: 0x4080 first, then 0x0000. The reserved operand is sign 1, exponent 0.
    words = np.frombuffer(bytes.fromhex("80400000") + bytes.fromhex("80c00000") + bytes.fromhex("00800000"), "<u4")
    np.testing.assert_array_equal(vicar.vax_real(words), [1.0, -1.0, np.nan])


def test_vax_file_reads(tmp_path):
    numbers = [1.5, -2.0, 0.0, 1e-9, 3e20, 0.1]
    pixels = np.frombuffer(b"".join(vax(float(np.float32(x))) for x in numbers), "<u4").reshape(2, 3)
    path = tmp_path / "vax.img"
    path.write_bytes(vicar_bytes(pixels, "REAL", realfmt="VAX"))
    np.testing.assert_array_equal(read_frame(path).image.ravel(), np.float32(numbers))


def test_bands_become_frames_of_one_observation(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "two.vic").write_bytes(vicar_bytes(pixels, "BYTE"))
    frames = read_frames(tmp_path / "two.vic")
    assert [frame.id for frame in frames] == ["two_B1", "two_B2"]
    assert {frame.observation for frame in frames} == {"two"}
    np.testing.assert_array_equal([frame.image for frame in frames], pixels.astype(np.float32))


def test_label_behind_the_pixels_is_read(tmp_path):
    data = vicar_bytes(np.ones((3, 4), np.uint8), "BYTE").replace(b"EOL=0", b"EOL=1")
    (tmp_path / "eol.vic").write_bytes(data + b"LBLSIZE=20  TARGET='IO'  ")
    assert read_frame(tmp_path / "eol.vic").target == "IO"
    (tmp_path / "cut.vic").write_bytes(data)
    assert read_frame(tmp_path / "cut.vic").target == ""


def test_truncated_and_unknown_are_input_errors(tmp_path):
    data = vicar_bytes(np.ones((3, 4), np.uint8), "BYTE")
    (tmp_path / "cut.vic").write_bytes(data[:-1])
    with pytest.raises(InputError, match="truncated"):
        read_frame(tmp_path / "cut.vic")
    (tmp_path / "comp.vic").write_bytes(data.replace(b"'BYTE'", b"'COMP'"))
    with pytest.raises(InputError, match="COMP"):
        read_frame(tmp_path / "comp.vic")


def test_pairs_keep_the_first_and_unquote():
    pairs = vicar.parse_pairs("TASK='ONE'  A=(1,2)  B='it''s'  D = 3  TASK='TWO'")
    assert pairs == {"TASK": "ONE", "A": "1,2", "B": "it's", "D": "3"}


@given(st.text(max_size=500))
def test_any_text_gives_pairs(text):
    vicar.parse_pairs(text)
