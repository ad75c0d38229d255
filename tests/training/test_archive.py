"""Simulated pixels written as archive files come back bit by bit: from our readers and from the field's own."""

from __future__ import annotations

import hashlib
import math
import warnings
from dataclasses import replace

import numpy as np
import pdr
import pytest
import rasterio
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.instruments import junocam_linear
from detector.readers import junocam, read_frame, read_frames
from detector.readers.pds3 import read_label
from training.simulate.archive import (
    Meta,
    companded,
    junocam_shape,
    junocam_strip,
    write_fits,
    write_jiram,
    write_junocam,
    write_ssi,
)

META = Meta(
    exposure_s=0.19583,
    filter="VIOLET",
    range_km=1_073_668.0,
    sub_spacecraft_lat_deg=-0.352,
    sub_spacecraft_lon_w_deg=94.985,
    sub_solar_lat_deg=-0.83,
    sub_solar_lon_w_deg=64.399,
    north_azimuth_deg=89.938,
    phase_deg=30.588,
    centre_x_px=617.951,
    centre_y_px=207.036,
    cut_out_window=(1, 389, 400, 410),
)
VIEW_FIELDS = (
    "range_km",
    "sub_spacecraft_lat_deg",
    "sub_spacecraft_lon_w_deg",
    "sub_solar_lat_deg",
    "sub_solar_lon_w_deg",
    "north_azimuth_deg",
    "phase_deg",
    "centre_x_px",
    "centre_y_px",
)


@pytest.fixture
def dn():
    return np.random.default_rng(7).integers(1, 256, (800, 800)).astype(np.uint8)


@pytest.fixture
def radiance():
    return np.random.default_rng(8).normal(0.01, 0.02, (256, 432)).astype(np.float32)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(9)
    counts = rng.integers(0, 256, (3, 2000, 1648)).astype(np.uint8)
    shapes = {name: junocam_shape(name, 4, 0.372) for name in ("BLUE", "GREEN", "RED")}
    return {name: junocam_linear()[counts[k, : shape[0]]] for k, (name, shape) in enumerate(shapes.items())}


def gdal_pixels(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as dataset:
            return dataset.read(1)


def pdr_pixels(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(pdr.read(str(path))["IMAGE"])


def test_ssi_reads_back_everywhere(tmp_path, dn):
    path = write_ssi(tmp_path, "C0383600826R", dn, replace(META, cut_out_window=(1, 1, 800, 800)))
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.image, dn)
    np.testing.assert_array_equal(pdr_pixels(path), dn)
    np.testing.assert_array_equal(gdal_pixels(tmp_path / "C0383600826R.IMG"), dn)
    path.unlink()
    np.testing.assert_array_equal(read_frame(tmp_path / "C0383600826R.IMG").image, dn)


@pytest.mark.parametrize("with_label", [True, False])
def test_ssi_label_values_come_back(tmp_path, dn, with_label):
    path = write_ssi(tmp_path, "C0383600826R", dn, META)
    if not with_label:
        path.unlink()
    frame = read_frame(tmp_path / "C0383600826R.IMG")
    view = {field: getattr(frame.view, field) for field in VIEW_FIELDS}
    assert view == pytest.approx({field: getattr(META, field) for field in VIEW_FIELDS}, rel=1e-6)
    assert (frame.filter, frame.target, frame.start_time) == ("VIOLET", "IO", "1997-02-19T21:07:27.314Z")
    assert frame.exposure_s == pytest.approx(0.19583)
    assert frame.noise.gain == 378
    assert frame.valid[:400, 388:798].all()
    assert frame.valid.sum() == 400 * 410


def test_ssi_label_has_the_keywords_of_the_true_one(tmp_path, dn, shared):
    true = read_label(shared / "data/galileo_ssi/E6I0032_pds3.lbl")
    ours = read_label(write_ssi(tmp_path, "0826R", dn, META))
    common = [entry[:2] for entry in true.entries if entry[:2] in {other[:2] for other in ours.entries}]
    assert [entry[:2] for entry in ours.entries if entry[:2] != ((), "NOTE")] == [
        entry for entry in common if entry != ((), "NOTE")
    ]
    for key in ("RECORD_BYTES", "FILE_RECORDS", "^IMAGE", "LINE_PREFIX_BYTES", "CUT_OUT_WINDOW", "FILTER_NAME"):
        assert ours.value(key).items == true.value(key).items
    for key in ("TARGET_CENTER_DISTANCE", "HORIZONTAL_PIXEL_SCALE", "SUB_SPACECRAFT_LINE", "EXPOSURE_DURATION"):
        assert ours.number(key) == pytest.approx(true.number(key), rel=2e-3)
    assert (tmp_path / "0826R.IMG").stat().st_size == 813_000
    lines = (tmp_path / "0826R.LBL").read_bytes().split(b"\n")
    assert {len(line) for line in lines[:-1]} == {78}


@pytest.mark.xfail(
    strict=True, raises=rasterio.errors.RasterioIOError, reason="GDAL knows no label that begins with SFDU"
)
def test_gdal_reads_the_ssi_label(tmp_path, dn):
    gdal_pixels(write_ssi(tmp_path, "A", dn, META))


def test_unknown_is_written_as_na_and_read_as_nan(tmp_path, dn):
    path = write_ssi(tmp_path, "A", dn, Meta())
    assert b'TARGET_CENTER_DISTANCE = "N/A"' in path.read_bytes()
    view = read_frame(path).view
    assert all(math.isnan(getattr(view, field)) for field in VIEW_FIELDS)


def test_junocam_reads_back_everywhere(tmp_path, pictures):
    name = "JNCE_2023364_57C00022_V01"
    path = write_junocam(tmp_path, name, pictures, replace(META, range_km=3321.49))
    frames = read_frames(path)
    assert [frame.id for frame in frames] == [f"{name}_{key}" for key in ("BLUE", "GREEN", "RED")]
    for frame, picture in zip(frames, pictures.values(), strict=True):
        np.testing.assert_array_equal(frame.image[frame.valid], picture[frame.valid])
        assert frame.valid[2:-2, 25:-17].all()
        assert frame.view.range_km == pytest.approx(3321.49)
        assert frame.exposure_s == pytest.approx(0.19583)
        assert frame.warnings == ()
    strip = junocam_strip({key: companded(picture) for key, picture in pictures.items()}, 0.372)
    assert strip.shape == (4 * 3 * 128, 1648)
    np.testing.assert_array_equal(pdr_pixels(path), strip)
    np.testing.assert_array_equal(gdal_pixels(path), strip)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 6), delay=st.floats(0.2, 0.6), name=st.sampled_from(["BLUE", "GREEN", "RED", "METHANE"]))
def test_junocam_strip_and_mosaic_are_inverse(n, delay, name):
    """Wherever a framelet looks, the mosaic made of the strip is the picture that the strip was cut from."""
    rows, columns = junocam_shape(name, n, delay)
    picture = (np.arange(rows)[:, None] * 7 + np.arange(columns)).astype(np.uint8)
    strip = junocam_strip({name: picture}, delay)
    filled = junocam.framelet_rows(n, 1, 0, junocam.framelet_step_px(name, delay))
    np.testing.assert_array_equal(strip[filled[filled >= 0]], picture[filled >= 0])


def test_companding_goes_to_the_nearest_value():
    table = junocam_linear()
    np.testing.assert_array_equal(companded(table), np.arange(256))
    linear = np.random.default_rng(0).uniform(-5, 3500, 4000)
    nearest = np.abs(linear[:, None] - table).min(axis=1)
    np.testing.assert_allclose(np.abs(table[companded(linear)] - linear), nearest, atol=1e-3)


def test_junocam_pictures_that_do_not_fit_are_named(tmp_path, pictures):
    pictures["RED"] = pictures["RED"][:-1]
    with pytest.raises(ValueError, match="expected"):
        write_junocam(tmp_path, "X", pictures, META)


def test_jiram_reads_back_from_us_and_from_pdr(tmp_path, radiance):
    path = write_jiram(tmp_path, "JIR_IMG_RDR_2023364T083601_V01", radiance, META)
    low, middle = read_frames(path)
    np.testing.assert_array_equal(np.concatenate([low.image, middle.image]), radiance)
    np.testing.assert_array_equal(pdr_pixels(path), radiance)
    digest = hashlib.md5((tmp_path / "JIR_IMG_RDR_2023364T083601_V01.IMG").read_bytes()).hexdigest()
    assert read_label(path).text("MD5_CHECKSUM") == digest
    assert low.view.sub_spacecraft_lon_w_deg == pytest.approx(94.985)
    assert low.exposure_s == pytest.approx(0.196, abs=1e-3)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="GDAL believes the label's byte order")
@pytest.mark.filterwarnings("ignore")
def test_gdal_reads_jiram(tmp_path, radiance):
    np.testing.assert_array_equal(gdal_pixels(write_jiram(tmp_path, "J", radiance, META)), radiance)


def test_jiram_half_frame(tmp_path, radiance):
    frame = read_frame(write_jiram(tmp_path, "J", radiance[:128], META))
    assert frame.filter == "M"
    np.testing.assert_array_equal(frame.image, radiance[:128])


def test_fits_reads_back(tmp_path, radiance):
    radiance[3, 4] = np.nan
    path = write_fits(tmp_path, "x", radiance, "sru", META)
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.image[frame.valid], radiance[np.isfinite(radiance)])
    np.testing.assert_array_equal(fits.getdata(path), radiance)
    assert (frame.instrument, frame.filter, frame.target, frame.exposure_s) == ("sru", "VIOLET", "IO", 0.19583)
    assert not frame.valid[3, 4]


@pytest.mark.parametrize(
    ("write", "array"),
    [
        (write_ssi, np.zeros((800, 799), np.uint8)),
        (write_ssi, np.zeros((800, 800))),
        (write_jiram, np.zeros((256, 432))),
    ],
)
def test_wrong_shapes_and_types_are_refused(tmp_path, write, array):
    with pytest.raises(ValueError, match="expected"):
        write(tmp_path, "X", array, META)
    assert list(tmp_path.iterdir()) == []


def test_two_writings_give_the_same_bytes(tmp_path, dn):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write_ssi(folder, "A", dn, META)
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second
