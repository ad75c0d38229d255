"""JunoCam strips: the real ones against an independent reading, and the mosaic's step against a measured one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from detector.errors import InputError
from detector.readers import junocam, read_frame, read_frames

STRIPS = {
    "JNCE_2021246_36C00061_V01-raw.png": (("BLUE", "GREEN", "RED"), 18),
    "JNCE_2022186_43C00078_V01-raw.png": (("BLUE", "GREEN", "RED"), 12),
    "JNCE_2022186_43M00081_V01-raw.png": (("METHANE",), 12),
}


def strip_of(shared, name):
    return np.asarray(Image.open(shared / "data/junocam" / name))


@pytest.fixture(scope="module")
def table(shared):
    return np.loadtxt(shared / "catalogs/junocam_sqroot_lut.csv", delimiter=",", skiprows=1)[:, 1]


@pytest.mark.parametrize("name", STRIPS)
def test_real_strip_gives_a_frame_a_filter_made_of_its_own_pixels(shared, table, name):
    filters, n_frames = STRIPS[name]
    frames = read_frames(shared / "data/junocam" / name)
    linear = table[strip_of(shared, name)]
    assert tuple(frame.filter for frame in frames) == filters
    assert {frame.observation for frame in frames} == {name.removesuffix("-raw.png")}
    for band, frame in enumerate(frames):
        step = float(frame.keywords["framelet_step_px"])
        assert frame.keywords["framelets"] == str(n_frames)
        # Independently: framelet i of this filter is rows (i n + band) 128.., its top i steps down; the later wins.
        mosaic = np.zeros(frame.shape)
        for i in range(n_frames):
            top, first = round(i * step), (i * len(filters) + band) * 128
            mosaic[top + (2 if i else 0) : top + 128] = linear[first + (2 if i else 0) : first + 128]
        np.testing.assert_array_equal(frame.image[frame.valid], mosaic[frame.valid])
        rows = junocam.framelet_rows(n_frames, len(filters), band, step)
        np.testing.assert_array_equal(linear[rows], mosaic)


@pytest.mark.parametrize("name", STRIPS)
def test_split_is_the_plain_loop_over_framelets(shared, name):
    strip, (filters, n_frames) = strip_of(shared, name), STRIPS[name]
    split = junocam.split_framelets(strip, len(filters))
    assert split.shape == (n_frames, len(filters), 128, 1648)
    for k in range(n_frames * len(filters)):
        assert (split[k // len(filters), k % len(filters)] == strip[128 * k : 128 * (k + 1)]).all()


def test_metadata_are_used(shared):
    frame = read_frame(shared / "data/junocam/JNCE_2022186_43M00081_V01-raw.png")
    assert (frame.filter, frame.target, frame.start_time) == ("METHANE", "JUPITER", "2022-07-05T12:18:09.446")
    assert frame.exposure_s == pytest.approx(0.1024)
    assert frame.saturation == 2879
    assert frame.keywords["TITLE"] == "PJ43 South Pole at Minimum Emission Angle"
    assert frame.warnings == ()


def test_borders_are_not_valid(shared):
    frame = read_frame(shared / "data/junocam/JNCE_2022186_43M00081_V01-raw.png")
    assert not frame.valid[:, :25].any()
    assert not frame.valid[:, -17:].any()
    assert not frame.valid[[0, 1, -2, -1]].any()
    assert frame.valid[2:-2, 25:-17].all()


def measured_step(strip, band, columns):
    """Rows by which neighbouring framelets of a filter overlap best, one for each pair that has texture."""
    found = []
    for above, below in zip(strip[:-1, band], strip[1:, band], strict=True):
        a, b = (part - gaussian_filter(part, 6) for part in (above, below))
        best = (0.0, 0)
        for step in range(110, 122):
            for shift in range(-6, 7):
                window = slice(columns.start + shift, columns.stop + shift)
                upper, lower = a[step + 2 : 126, window], b[2 : 126 - step, columns]
                if above[step + 2 : 126, window].mean() > 8:
                    best = max(best, (float(np.corrcoef(upper.ravel(), lower.ravel())[0, 1]), step))
        if best[0] > 0.5:
            found.append(best[1])
    return found


@pytest.mark.parametrize(
    ("strip", "band", "columns", "shrink"),
    # Only red and green have texture near the middle of the line; further out the lens shrinks the step by 1.3 %.
    [
        ("36C00061", 2, slice(560, 800), 1.0),
        ("36C00061", 1, slice(560, 800), 1.0),
        ("43C00078", 0, slice(300, 430), 0.987),
    ],
)
def test_the_step_is_the_one_measured_on_a_real_strip(shared, strip, band, columns, shrink):
    name = next(name for name in STRIPS if strip in name)
    framelets = junocam.split_framelets(strip_of(shared, name).astype(float), 3)
    steps = measured_step(framelets, band, columns)
    assert len(steps) >= 4
    assert np.median(steps) == pytest.approx(junocam.framelet_step_px(STRIPS[name][0][band], 0.372) * shrink, abs=1.0)


def test_step_by_hand():
    # On the axis: 2 rpm x 0.373 s = 0.078121 rad, f = 1480.6 px, 115.7 rows; green looks closest to the axis.
    plain = 2 * 1480.59 * math.tan(0.078121 / 2)
    assert plain == pytest.approx(115.7, abs=0.1)
    assert junocam.framelet_step_px("GREEN", 0.372) == pytest.approx(plain, abs=0.3)
    assert junocam.framelet_step_px("GREEN", 0.745) == pytest.approx(2 * plain, rel=0.01)


@given(n_frames=st.integers(1, 30), step=st.floats(64.5, 256))
def test_every_row_of_the_mosaic_is_one_row_of_the_strip_or_a_gap(n_frames, step):
    rows = junocam.framelet_rows(n_frames, 3, 1, step)
    assert len(rows) == junocam.mosaic_rows(n_frames, step)
    used = rows[rows >= 0]
    assert len(set(used)) == len(used)
    assert (np.diff(used) > 0).all()
    assert set(used // 128 % 3) == {1}
    gaps = (rows < 0).sum()
    assert gaps == 0 if step < 127.5 else gaps >= 0


def write_picture(folder, strip, **metadata):
    known = {"FILE_NAME": "JNCE_2024034_58C00025_V01-raw.png", "SAMPLE_BIT_MODE_ID": "SQROOT", "TARGET_NAME": "IO"}
    known |= {"INTERFRAME_DELAY": "0.372 <s>", "FILTER_NAME": ["BLUE", "GREEN", "RED"]}
    Image.fromarray(strip).save(folder / known["FILE_NAME"])
    (folder / "99-Metadata.json").write_text(json.dumps(known | metadata))
    return folder / known["FILE_NAME"]


@pytest.fixture
def noise():
    return np.random.default_rng(3).integers(0, 30, (6 * 128, 1648)).astype(np.uint8)


def test_io_range_is_altitude_and_radius(tmp_path, noise):
    frames = read_frames(
        write_picture(tmp_path, noise, SPACECRAFT_ALTITUDE="1500.0 <km>", FOCAL_PLANE_TEMPERATURE="273.0 <K>")
    )
    assert frames[0].view.range_km == pytest.approx(3321.49)
    assert frames[0].view.io_radius_px == pytest.approx(1821.49 / math.sqrt(3321.49**2 - 1821.49**2) / 672.7e-6)


@pytest.mark.parametrize(
    ("said", "target"), [("Io and Jupiter's limb", "IO"), ("IO PLUME WATCH", "IO"), ("Radiation", "JUPITER")]
)
def test_what_a_frame_was_taken_for_tells_its_target(tmp_path, noise, said, target):
    picture = write_picture(
        tmp_path, noise, TARGET_NAME="JUPITER", RATIONALE_DESC=said, SPACECRAFT_ALTITUDE="90000.0 <km>"
    )
    frame = read_frames(picture)[0]
    assert frame.target == target
    assert frame.may_show_io == (target == "IO")
    assert frame.view.target == "JUPITER"  # whose altitude the label tells
    assert math.isnan(frame.view.range_km)


def test_framelet_of_zeros_was_not_sent(tmp_path, noise):
    noise[3 * 128 : 4 * 128] = 0  # the second blue framelet
    blue, green, _ = read_frames(write_picture(tmp_path, noise))
    assert blue.valid[2:118, 25:-17].all()
    assert not blue.valid[118:].any()
    assert (blue.dropped, green.dropped) == (1, 0)
    assert "1 of 2 framelets were not received" in blue.warnings
    assert green.valid[130:200, 25:-17].all()


def test_long_delay_stacks_the_framelets_and_says_so(tmp_path, noise):
    frame = read_frames(write_picture(tmp_path, noise, INTERFRAME_DELAY="5 <s>"))[0]
    assert frame.shape == (256, 1648)
    assert any("no overlap" in text for text in frame.warnings)


def test_delay_that_leaves_a_gap_leaves_it_not_valid(tmp_path, noise):
    frame = read_frames(write_picture(tmp_path, noise, INTERFRAME_DELAY="0.5 <s>"))[1]
    gap = frame.shape[0] - 256
    assert gap == 28
    assert not frame.valid[126 : 130 + gap].any()
    assert frame.valid[2:126, 25:-17].all()


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"FILTER_NAME": ["BLUE", "ULTRA"]}, "ULTRA"),
        ({"FILTER_NAME": ["BLUE", "BLUE"]}, "BLUE"),
        ({"FILTER_NAME": ["BLUE", "GREEN", "RED", "METHANE"]}, "expected n x 512"),
    ],
)
def test_filters_that_do_not_fit_are_named(tmp_path, noise, metadata, words):
    with pytest.raises(InputError, match=words):
        read_frames(write_picture(tmp_path, noise, **metadata))


def test_damaged_metadata_are_named(tmp_path, noise):
    path = write_picture(tmp_path, noise)
    (tmp_path / "99-Metadata.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="99-Metadata"):
        junocam.label_of_metadata(tmp_path / "99-Metadata.json")
    assert any("no metadata" in text for text in read_frames(path)[0].warnings)


def test_companding_table_is_the_published_one(table):
    np.testing.assert_array_equal(junocam.junocam_linear(), table)
    assert (np.diff(junocam.junocam_linear()) > 0).all()


def test_reduced_record_of_sixteen_bits_is_linear(tmp_path):
    strip = np.random.default_rng(4).integers(1, 12_000, (2 * 2 * 128, 1648)).astype(">u2")
    (tmp_path / "JNCR_2024034_58T00025_V01.IMG").write_bytes(strip.tobytes())
    (tmp_path / "JNCR_2024034_58T00025_V01.LBL").write_text(
        'PDS_VERSION_ID = PDS3\r\nRECORD_BYTES = 3296\r\n^IMAGE = "JNCR_2024034_58T00025_V01.IMG"\r\n'
        'INSTRUMENT_NAME = "JUNO EPO CAMERA"\r\nFILTER_NAME = ("BLUE","RED")\r\nINTERFRAME_DELAY = 0.372 <s>\r\n'
        'SAMPLE_BIT_MODE_ID = "SQROOT"\r\nOBJECT = IMAGE\r\nLINES = 512\r\nLINE_SAMPLES = 1648\r\n'
        "SAMPLE_TYPE = MSB_UNSIGNED_INTEGER\r\nSAMPLE_BITS = 16\r\nEND_OBJECT = IMAGE\r\nEND\r\n"
    )
    blue, red = read_frames(tmp_path / "JNCR_2024034_58T00025_V01.IMG")
    np.testing.assert_array_equal(blue.image[2:118, 25:-17], strip[2:118, 25:-17])
    np.testing.assert_array_equal(red.image[-126:-2, 25:-17], strip[-126:-2, 25:-17])
    assert math.isinf(red.saturation)
