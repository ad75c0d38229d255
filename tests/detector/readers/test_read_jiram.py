"""JIRAM records: byte order, bands, units and geometry, with a label of the archive's keywords in PDS3 and in PDS4."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detector.errors import InputError
from detector.readers import read_frame, read_frames
from detector.readers.jiram import prove_byte_order, seconds_between
from training.simulate.archive import Meta, write_jiram

META = Meta(
    start_time="2023-12-30T08:36:01.000",
    exposure_s=0.003,
    range_km=30_000.0,
    sub_spacecraft_lat_deg=12.5,
    sub_spacecraft_lon_w_deg=50.25,
    sub_solar_lat_deg=-3.0,
    sub_solar_lon_w_deg=300.0,
    phase_deg=70.0,
)
XML = """<?xml version='1.0' encoding='UTF-8'?>
<Product_Observational xmlns="http://pds.nasa.gov/pds4/pds/v1" xmlns:geom="urn:geom" xmlns:juno="urn:juno">
 <Observation_Area><Time_Coordinates><start_date_time>2023-12-30T08:36:01.000Z</start_date_time>
  <stop_date_time>2023-12-30T08:36:01.003Z</stop_date_time></Time_Coordinates>
  <Observing_System><name>JUNO</name></Observing_System>
  <Target_Identification><name>Io</name></Target_Identification>
  <juno:JIRAM_Parameters><juno:M_Band_Parameters><juno:Derived_Geometry>
   <geom:phase_angle unit="deg">98.1</geom:phase_angle></juno:Derived_Geometry></juno:M_Band_Parameters>
  </juno:JIRAM_Parameters>
  <geom:Surface_Geometry_Specific><geom:subspacecraft_longitude unit="deg">309.75</geom:subspacecraft_longitude>
   </geom:Surface_Geometry_Specific>
  <geom:spacecraft_target_center_distance unit="km">30000</geom:spacecraft_target_center_distance></Observation_Area>
 <File_Area_Observational><File><file_name>J.IMG</file_name></File>
  <Array_2D_Image><offset unit="byte">0</offset><Element_Array><data_type>IEEE754MSBSingle</data_type></Element_Array>
   <Axis_Array><axis_name>Line</axis_name><elements>256</elements></Axis_Array>
   <Axis_Array><axis_name>Sample</axis_name><elements>432</elements></Axis_Array></Array_2D_Image>
 </File_Area_Observational></Product_Observational>
"""


@pytest.fixture
def radiance():
    return np.random.default_rng(2).normal(0, 0.01, (256, 432)).astype(np.float32)


def rewrite(path, old, new):
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new))


def test_upper_half_is_l_lower_half_is_m(tmp_path, radiance):
    low, middle = read_frames(write_jiram(tmp_path, "J", radiance, META))
    assert (low.filter, middle.filter) == ("L", "M")
    assert (low.id, middle.id, low.observation, middle.observation) == ("J_L", "J_M", "J", "J")
    np.testing.assert_array_equal(low.image, radiance[:128])
    np.testing.assert_array_equal(middle.image, radiance[128:])
    assert (low.wavelength_um, middle.wavelength_um) == (3.455, 4.780)
    assert low.unit == "W m-2 sr-1"


def test_geometry_turns_east_into_west(tmp_path, radiance):
    frame = read_frames(write_jiram(tmp_path, "J", radiance, META))[0]
    assert b"SUB_SPACECRAFT_LONGITUDE = 309.7500 <degree>" in (tmp_path / "J.LBL").read_bytes()
    assert frame.view.sub_spacecraft_lon_w_deg == pytest.approx(50.25)
    assert frame.view.sub_solar_lon_w_deg == pytest.approx(300.0)
    assert (frame.view.range_km, frame.view.phase_deg, frame.target) == (30_000.0, 70.0, "IO")
    assert frame.view.io_radius_px == pytest.approx(1821.49 / math.sqrt(30_000**2 - 1821.49**2) / 237.767e-6)
    assert math.isnan(frame.view.north_azimuth_deg)


def test_exposure_and_saturation(tmp_path, radiance):
    frame = read_frames(write_jiram(tmp_path, "J", radiance, META))[1]
    assert frame.exposure_s == pytest.approx(0.003)
    assert frame.saturation == pytest.approx(0.0073 / 0.003)
    assert math.isinf(read_frames(write_jiram(tmp_path, "K", radiance, Meta()))[1].saturation)


def test_unit_per_micrometre(tmp_path, radiance):
    label = write_jiram(tmp_path, "J", radiance, META)
    rewrite(label, b'"W/(m^2*sr)"', b'"W/(m^2*sr*micron)"')
    low, middle = read_frames(label)
    assert low.unit == "W m-2 sr-1 um-1"
    assert middle.saturation == pytest.approx(0.0073 / 0.003 / 0.4975)
    assert low.saturation == pytest.approx(0.0073 / 0.003 / 0.290)


def test_little_endian_under_an_msb_label_warns(tmp_path, radiance):
    frame = read_frames(write_jiram(tmp_path, "J", radiance, META))[0]
    assert any("little-endian" in text for text in frame.warnings)


def test_true_big_endian_is_read_without_warning(tmp_path, radiance):
    label = write_jiram(tmp_path, "J", radiance, META)
    (tmp_path / "J.IMG").write_bytes(radiance.astype(">f4").tobytes())
    frames = read_frames(label)
    np.testing.assert_array_equal(frames[0].image, radiance[:128])
    assert frames[0].warnings == ()


def test_constant_frame_is_taken_as_little_endian(tmp_path):
    zeros = np.zeros((256, 432), np.float32)
    frame = read_frames(write_jiram(tmp_path, "J", zeros, META))[0]
    assert (frame.image == 0).all()
    assert any("little-endian" in text for text in frame.warnings)


@given(
    hnp.arrays(np.float32, (8, 8), elements=st.floats(-100, 100, width=32).filter(lambda x: abs(x) > 1e-9)),
    st.sampled_from("<>"),
)
def test_byte_order_is_proved_for_any_frame_of_radiances(values, order):
    """A frame whose bytes are as sane read backwards is the one undecidable case, and it falls to little-endian."""
    stored = values.astype(f"{order}f4")
    found, said = prove_byte_order(stored)
    with np.errstate(invalid="ignore"):
        backwards = np.abs(values.byteswap().astype(np.float64))
    undecidable = ((backwards == 0) | ((backwards > 1e-12) & (backwards < 1e6))).all()
    if said == order:
        np.testing.assert_array_equal(found, values)
    else:
        assert undecidable
        assert said == "<"


@pytest.mark.parametrize(
    ("mode", "band", "warned"), [("SCI_I2_S1", "M", False), ("SCI_I3_S1", "L", False), ("SCI", "M", True)]
)
def test_half_frames(tmp_path, radiance, mode, band, warned):
    label = write_jiram(tmp_path, "J", radiance[:128], META)
    rewrite(label, b"SCI_I2_S1", mode.encode().ljust(9))
    frame = read_frame(label)
    assert frame.filter == band
    assert any("half frame" in text for text in frame.warnings) == warned


def test_fill_and_nan_are_not_valid(tmp_path, radiance):
    radiance[3, 4], radiance[5, 6], radiance[7, 8] = np.nan, -999, -np.inf
    low, _ = read_frames(write_jiram(tmp_path, "J", radiance, META))
    assert np.argwhere(~low.valid).tolist() == [[3, 4], [5, 6], [7, 8]]
    assert (low.image[~low.valid] == 0).all()


def test_pds4_label_reads_the_same_pixels(tmp_path, radiance):
    write_jiram(tmp_path, "J", radiance, META).unlink()
    (tmp_path / "J.xml").write_text(XML)
    low, middle = read_frames(tmp_path / "J.IMG")
    np.testing.assert_array_equal(low.image, radiance[:128])
    assert (middle.target, middle.view.range_km, middle.view.phase_deg) == ("IO", 30_000.0, 98.1)
    assert middle.view.sub_spacecraft_lon_w_deg == pytest.approx(50.25)
    assert middle.exposure_s == pytest.approx(0.003)
    assert any("names no unit" in text for text in low.warnings)


def test_pds4_label_that_does_not_name_jiram_leaves_the_file_to_its_own_head(tmp_path, radiance):
    other = XML.replace("JIRAM", "OTHER")
    fits.writeto(tmp_path / "J.IMG", radiance)
    (tmp_path / "J.xml").write_text(other)
    frame = read_frame(tmp_path / "J.xml")
    np.testing.assert_array_equal(frame.image, radiance)
    assert frame.instrument == "unknown"


def test_what_only_a_pds4_label_describes_is_read_by_pdr_as_a_plain_frame(tmp_path, radiance):
    (tmp_path / "J.IMG").write_bytes(radiance.astype(">f4").tobytes())
    other = XML.replace("JIRAM", "OTHER")
    (tmp_path / "J.xml").write_text(other)
    with pytest.raises(InputError, match="'axes'"):
        read_frame(tmp_path / "J.xml")
    whole = other.replace("<offset", "<axes>2</axes><axis_index_order>Last Index Fastest</axis_index_order><offset")
    for number, elements in enumerate((256, 432), start=1):
        axis = f"<elements>{elements}</elements>"
        whole = whole.replace(axis, f"{axis}<sequence_number>{number}</sequence_number>")
    (tmp_path / "J.xml").write_text(whole)
    frame = read_frame(tmp_path / "J.xml")
    np.testing.assert_array_equal(frame.image, radiance)
    assert (frame.instrument, frame.target, frame.start_time[:10]) == ("unknown", "IO", "2023-12-30")


def test_lines_of_fill_are_counted(tmp_path, radiance):
    radiance[7] = radiance[9] = radiance[200] = -999
    low, middle = read_frames(write_jiram(tmp_path, "J", radiance, META))
    assert (low.dropped, middle.dropped) == (2, 1)
    assert "2 of 128 lines were not received" in low.warnings


@pytest.mark.parametrize(
    "xml",
    [
        "<a>",
        "",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        XML.replace("256", "-1"),
        XML.replace("Array_2D_Image", "T"),
    ],
)
def test_xml_that_is_no_label(tmp_path, radiance, xml):
    write_jiram(tmp_path, "J", radiance, META).unlink()
    (tmp_path / "J.xml").write_text(xml)
    with pytest.raises(InputError, match=r"J\.(xml|IMG)"):
        read_frames(tmp_path / "J.IMG")


def test_spectra_are_refused_by_their_lines(tmp_path, radiance):
    label = write_jiram(tmp_path, "J", radiance, META)
    rewrite(label, b"LINES = 256", b"LINES = 200")
    with pytest.raises(InputError, match="200 lines"):
        read_frames(label)


def test_seconds_between():
    assert seconds_between("2017-02-02T11:40:03.870", "2017-02-02T11:40:03.882") == pytest.approx(0.012)
    assert math.isnan(seconds_between("", "2017-02-02T11:40:03.882"))
    assert math.isnan(seconds_between("2017-02-02T11:40:03.870+00:00", "2017-02-02T11:40:03.882"))
