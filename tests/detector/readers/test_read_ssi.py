"""Galileo SSI frames: the real REDR file, the true label of an Io frame, and the layouts that its labels warn of."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import rasterio

from detector.errors import InputError
from detector.readers import read_frame
from training.simulate.archive import Meta, write_ssi

META = Meta(exposure_s=0.19583, range_km=1_073_668.0, centre_x_px=400.0, centre_y_px=300.0)


@pytest.fixture(scope="module")
def real(shared):
    return read_frame(shared / "data/galileo_ssi/C0532836239R.IMG")


@pytest.fixture
def sky():
    return np.random.default_rng(1).integers(3, 9, (800, 800)).astype(np.uint8)


def rewrite(path, old, new):
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new))


def test_real_frame_is_what_its_label_says(real):
    assert real.shape == (800, 800)
    assert (real.id, real.filter, real.target, real.unit) == ("C0532836239R", "CLEAR", "EUROPA", "DN")
    assert real.exposure_s == pytest.approx(0.0125003)
    assert real.start_time == "2000-01-03T18:02:23.556Z"
    assert real.wavelength_um == 0.611
    assert real.saturation == 255
    assert (real.noise.read, real.noise.gain) == (1.0, 378.0)
    assert any("VICAR" in text for text in real.warnings)


def test_real_frame_agrees_with_gdal_in_every_pixel(real, shared):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(shared / "data/galileo_ssi/C0532836239R.IMG") as dataset:
            np.testing.assert_array_equal(real.image, dataset.read(1))
    assert real.valid.all()


def test_real_range_fits_the_pixel_scale(real):
    # 1066 km above a moon of 1561 km: 2631 km is right, and the 674371 km of PLRANGE is the distance to Jupiter.
    assert real.view.range_km == 2631.06
    surface_km = real.view.range_km - 1561
    assert surface_km * 1000 * real.view.ifov_rad == pytest.approx(10.86, abs=0.05)
    assert float(real.keywords["VSCL"]) == pytest.approx(10.86, abs=0.05)
    assert real.view.io_radius_px != real.view.io_radius_px  # not Io: NaN


def test_real_view_counts_from_zero(real):
    assert (real.view.centre_x_px, real.view.centre_y_px) == pytest.approx((1296.77, 343.908))
    assert real.view.centre_sigma_px == 30
    assert real.view.phase_deg == 78.6544


def test_true_label_of_the_io_frame(shared, tmp_path, sky):
    label = (shared / "data/galileo_ssi/E6I0032_pds3.lbl").read_bytes()
    (tmp_path / "0826r.LBL").write_bytes(label)
    lines = np.zeros((813, 1000), np.uint8)
    lines[13:, 200:] = sky
    (tmp_path / "0826R.IMG").write_bytes(lines.tobytes())
    frame = read_frame(tmp_path / "0826R.IMG")
    inside = np.zeros((800, 800), bool)
    inside[:400, 388:798] = True
    np.testing.assert_array_equal(frame.valid, inside)
    np.testing.assert_array_equal(frame.image, np.where(inside, sky, 0))
    assert (frame.filter, frame.target, frame.start_time) == ("VIOLET", "IO", "1997-02-19T21:07:27.314Z")
    view = frame.view
    assert (view.centre_x_px, view.centre_y_px) == pytest.approx((617.951, 207.036))
    assert (view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg) == (-0.352, 94.985)
    assert (view.sub_solar_lat_deg, view.sub_solar_lon_w_deg, view.north_azimuth_deg) == (-0.830, 64.399, 89.938)
    # asin(1821.49 / 1073668) / 10.16e-6, by hand
    assert view.io_radius_px == pytest.approx(166.98, abs=0.01)
    assert any("on-chip mosaic" in text for text in frame.warnings)


def test_dropped_lines_are_not_sky(tmp_path, sky):
    sky[100:108] = 0
    sky[200, :400] = 0
    frame = read_frame(write_ssi(tmp_path, "A", sky, META))
    assert not frame.valid[100:108].any()
    assert frame.valid.sum() == 792 * 800
    assert frame.dropped == 8
    assert "8 of 800 lines were not received" in frame.warnings


@pytest.mark.parametrize("window", [(0, 1, 5, 5), (900, 1, 5, 5), (1, 1, -5, 5)])
def test_senseless_window_is_not_used_and_said(tmp_path, sky, window):
    frame = read_frame(write_ssi(tmp_path, "A", sky, Meta(cut_out_window=window)))
    assert frame.valid.all()
    assert any("CUT_OUT_WINDOW" in text for text in frame.warnings)


@pytest.mark.parametrize("duration", [2.333, 15.166])
def test_summed_frame_is_the_upper_left_quarter(tmp_path, sky, duration):
    sky[400:], sky[:, 400:] = 0, 0
    frame = read_frame(write_ssi(tmp_path, "A", sky, Meta(frame_duration_s=duration, range_km=1e6)))
    np.testing.assert_array_equal(frame.image, sky[:400, :400])
    assert frame.valid.all()
    assert frame.view.ifov_rad == pytest.approx(2 * 10.16e-6)


def test_summed_frame_with_full_label_geometry_has_its_centre_halved(tmp_path, sky):
    sky[400:], sky[:, 400:] = 0, 0
    frame = read_frame(
        write_ssi(tmp_path, "A", sky, Meta(frame_duration_s=2.333, range_km=1e6, centre_x_px=401.5, centre_y_px=0.5))
    )
    # The corner shared by full pixels 401 and 402 is the middle of summed pixel 200 (full pixels 400, 401) plus half.
    assert (frame.view.centre_x_px, frame.view.centre_y_px) == (200.5, 0.0)


def test_summed_label_over_a_full_picture_keeps_the_picture(tmp_path, sky):
    frame = read_frame(write_ssi(tmp_path, "A", sky, Meta(frame_duration_s=2.333)))
    assert frame.shape == (800, 800)
    assert any("summed" in text for text in frame.warnings)


def test_repaired_frame_of_2333_ms_is_not_summed(tmp_path, sky):
    sky[400:], sky[:, 400:] = 0, 0
    label = write_ssi(tmp_path, "A", sky, Meta(frame_duration_s=2.333))
    rewrite(label, b"SSI-2-REDR", b"SSI-4-REDR")
    frame = read_frame(label)
    assert frame.shape == (800, 800)
    assert frame.valid[:400].all()
    assert not frame.valid[400:].any()


def test_repaired_layout_of_800_byte_records(tmp_path, sky):
    label = write_ssi(tmp_path, "0826S", sky, META)
    rewrite(label, b"RECORD_BYTES = 1000", b"RECORD_BYTES = 800 ")
    rewrite(label, b"LINE_PREFIX_BYTES = 200", b"LINE_PREFIX_BYTES = 0  ")
    rewrite(label, b'^IMAGE = ("0826S.IMG",14)', b'^IMAGE = ("0826S.IMG",4) ')
    (tmp_path / "0826S.IMG").write_bytes(b"\0" * 2400 + sky.tobytes())
    np.testing.assert_array_equal(read_frame(label).image, sky)


def test_range_that_does_not_fit_is_taken_out(tmp_path, sky):
    label = write_ssi(tmp_path, "A", sky, META)
    rewrite(label, b"TARGET_CENTER_DISTANCE = 1.073668000e+06", b"TARGET_CENTER_DISTANCE = 2.631060000e+03")
    frame = read_frame(label)
    assert math.isnan(frame.view.range_km)
    assert any("does not fit" in text for text in frame.warnings)


def test_truncated_frame_is_an_input_error(tmp_path, sky):
    label = write_ssi(tmp_path, "A", sky, META)
    whole = (tmp_path / "A.IMG").read_bytes()
    (tmp_path / "A.IMG").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"A\.IMG: is 812999 bytes long, the label needs 813000"):
        read_frame(label)
