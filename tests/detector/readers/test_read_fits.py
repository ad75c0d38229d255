"""FITS: the real LORRI crop against astropy, cubes, SRU dummies, damaged files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.io import fits

from detector.errors import InputError
from detector.readers import read_frame, read_frames


def test_real_lorri_crop(shared):
    path = shared / "data/lorri/lor_0034974380_0x630_sci_1_cropped.fit"
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.image, fits.getdata(path, 0))
    assert (frame.instrument, frame.target, frame.exposure_s) == ("lorri", "IO", 0.075)
    assert frame.start_time == "2007-02-28T13:14:22.331"
    assert frame.view.range_km == pytest.approx(2_416_533.87, abs=0.01)
    assert frame.view.sub_spacecraft_lon_w_deg == pytest.approx(360 - 281.6307, abs=1e-4)
    assert frame.view.io_radius_px == pytest.approx(151.86, abs=0.01)
    assert frame.keywords["REQDESC"] == "Jupiter shine"


def test_cube_gives_a_frame_a_plane(tmp_path):
    cube = np.arange(24, dtype=">f8").reshape(2, 3, 4)
    fits.PrimaryHDU(cube).writeto(tmp_path / "cube.fits")
    frames = read_frames(tmp_path / "cube.fits")
    assert [frame.id for frame in frames] == ["cube_P0", "cube_P1"]
    np.testing.assert_array_equal([frame.image for frame in frames], cube.astype(np.float32))
    with pytest.raises(InputError, match="cube_P0, cube_P1"):
        read_frame(tmp_path / "cube.fits")


def test_image_in_an_extension_scaled_and_blank(tmp_path):
    hdu = fits.ImageHDU(np.array([[1, 2], [3, -99]], np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 2.0, 10.0, -99
    primary = fits.PrimaryHDU()
    primary.header["INSTRUME"], primary.header["EXPTIME"] = "JIRAM", 0.5
    fits.HDUList([primary, hdu]).writeto(tmp_path / "x.fits")
    frame = read_frame(tmp_path / "x.fits")
    assert frame.image.tolist() == [[12, 14], [16, 0]]
    assert frame.valid.tolist() == [[True, True], [True, False]]
    assert (frame.instrument, frame.exposure_s) == ("jiram", 0.5)


def test_unsigned_and_blank(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[1, 40000], [65535, 7]], np.uint16))
    hdu.header["BLANK"] = 32767
    hdu.writeto(tmp_path / "x.fits")
    frame = read_frame(tmp_path / "x.fits")
    assert frame.valid.tolist() == [[True, True], [False, True]]
    assert frame.image.tolist() == [[1, 40000], [0, 7]]


def test_nan_is_not_valid(tmp_path):
    fits.PrimaryHDU(np.array([[np.nan, 1], [np.inf, -2]], np.float32)).writeto(tmp_path / "x.fits")
    frame = read_frame(tmp_path / "x.fits")
    assert frame.valid.tolist() == [[False, True], [False, True]]
    assert np.isfinite(frame.image).all()


def test_sru_dummies_and_rows_not_sent(tmp_path):
    pixels = np.random.default_rng(4).integers(1, 4000, (512, 512)).astype(">i2")
    pixels[100] = 0
    fits.PrimaryHDU(pixels).writeto(tmp_path / "SRU_1_2023364T083601_60_V01.FIT")
    frame = read_frame(tmp_path / "SRU_1_2023364T083601_60_V01.FIT")
    assert frame.instrument == "sru"
    assert frame.valid.sum() == 509 * 510
    assert not frame.valid[[100, 510, 511]].any()
    assert not frame.valid[:, :2].any()
    assert frame.view.ifov_rad == pytest.approx(0.000568, abs=1e-6)


@pytest.mark.parametrize("cut", [80, 2879, 2880, 2900])
def test_truncated(tmp_path, cut):
    fits.PrimaryHDU(np.ones((50, 50), np.float32)).writeto(tmp_path / "x.fits")
    (tmp_path / "x.fits").write_bytes((tmp_path / "x.fits").read_bytes()[:cut])
    with pytest.raises(InputError, match=r"x\.fits"):
        read_frame(tmp_path / "x.fits")


def test_no_image_and_too_large(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(InputError, match="no two-dimensional image"):
        read_frame(tmp_path / "empty.fits")
    header = fits.PrimaryHDU(np.ones((2, 2), np.uint8)).header
    header["NAXIS1"], header["NAXIS2"] = 1_000_000, 1_000_000
    (tmp_path / "bomb.fits").write_bytes(header.tostring().encode() + b"\0" * 2880)
    with pytest.raises(InputError, match="at most"):
        read_frame(tmp_path / "bomb.fits")


def test_unknown_instrument_keeps_its_name(tmp_path):
    hdu = fits.PrimaryHDU(np.ones((2, 2)))
    hdu.header["INSTRUME"], hdu.header["FILTER"] = "My Camera/2", "n1"
    hdu.writeto(tmp_path / "x.fits")
    frame = read_frame(tmp_path / "x.fits")
    assert (frame.instrument, frame.filter) == ("my_camera_2", "N1")
    assert math.isnan(frame.view.ifov_rad)
