"""The label parser: the true label of frame E6I0032, the archive's known sins, and any bytes at all."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdr.parselabel.pds3 import read_pvl

from detector.errors import InputError
from detector.readers.layout import Layout
from detector.readers.pds3 import image_layout, parse_label, read_image, read_label


@pytest.fixture(scope="module")
def true_label(shared):
    return read_label(shared / "data/galileo_ssi/E6I0032_pds3.lbl")


def test_true_label_has_the_values_that_one_reads_in_it(true_label):
    assert true_label.text("FILTER_NAME") == "VIOLET"
    assert true_label.number("EXPOSURE_DURATION") == 195.83
    assert true_label.number("TARGET_CENTER_DISTANCE") == 1073668.0
    assert true_label.number("SUB_SPACECRAFT_LINE_SAMPLE") == 618.951
    assert true_label.number("NORTH_AZIMUTH") == 89.938
    assert true_label.value("CUT_OUT_WINDOW").numbers == (1, 389, 400, 410)
    assert true_label.text("IMAGE_TIME") == "1997-02-19T21:07:27.314Z"
    assert true_label.integer("LINES", 0, "IMAGE") == 800


def test_na_and_unk_are_not_numbers_and_not_words(true_label):
    assert true_label.value("SMEAR_AZIMUTH").text == "UNK"
    assert true_label.text("SMEAR_AZIMUTH") == ""
    assert math.isnan(true_label.number("SMEAR_AZIMUTH"))
    assert math.isnan(true_label.number("MEAN_RADIANCE"))
    assert math.isnan(true_label.number("NO_SUCH_KEYWORD"))


def test_true_label_lays_out_the_archives_records(true_label, tmp_path):
    layout = image_layout(true_label, tmp_path)
    assert layout == Layout(13000, 800, 800, np.dtype("u1"), prefix=200)
    assert layout.line_bytes == 1000


def test_same_keyword_in_two_objects_is_kept_apart(true_label):
    assert true_label.number("BYTES", "IMAGE_HEADER") == 2000
    assert true_label.number("BYTES", "BAD_DATA_VALUES_HEADER") == 9000
    assert true_label.keywords["BAD_DATA_VALUES_HEADER.BYTES"] == "9000"


def test_set_over_two_lines(true_label):
    assert true_label.value("SOURCE_PRODUCT_ID").items[-2:] == ("CKE06APE.PLT", "NULL")


def test_label_agrees_with_pdr_on_every_number(true_label, shared):
    theirs, _ = read_pvl(str(shared / "data/galileo_ssi/E6I0032_pds3.lbl"))
    numbers = {key: value for key, value in theirs.items() if isinstance(value, int | float)}
    assert len(numbers) > 40
    assert {key: true_label.number(key) for key in numbers} == pytest.approx(numbers)


@pytest.mark.parametrize(
    ("text", "key", "items", "unit"),
    [
        ("A = 3 <ms>\nB = 4", "A", ("3",), "ms"),
        ("A = (1 <km>,\n 2 <km>)\nB = 4", "A", ("1", "2"), "km"),
        ("A = {1,{2,3}}", "A", ("1", "2", "3"), ""),
        ('A = "over\r\n   two lines"\nB = 4', "A", ("over two lines",), ""),
        ("A =\nB = 4", "A", (), ""),
        ("A = (1,2\nB = 4", "B", ("4",), ""),
        ("A = 'N/A'", "A", ("N/A",), ""),
        ('A = "1"      /* 0:SPECTRUM; 1:IMAGE */\nB = 2', "B", ("2",), ""),
        ("JNO:TDI_STAGES_COUNT = 2", "JNO:TDI_STAGES_COUNT", ("2",), ""),
        ("A = 2#11111111#", "A", ("2#11111111#",), ""),
        ('A = "never closed\nB = 2', "A", ("never closed B = 2",), ""),
        ("A = 1\nEND\nA = 2\nB = 3", "B", (), ""),
        ("A = 1\rB = 2\r", "B", ("2",), ""),
    ],
)
def test_statements(text, key, items, unit):
    value = parse_label(text.encode()).value(key)
    assert (value.items, value.unit) == (items, unit)


def test_comment_that_is_never_closed_ends_with_its_line():
    label = parse_label(b"/* Image Object /\nOBJECT = IMAGE\nLINES = 800\nEND_OBJECT\nEND\n")
    assert label.integer("LINES", 0, "IMAGE") == 800


def test_object_that_is_never_ended_keeps_its_statements():
    label = parse_label(b"OBJECT = IMAGE\nLINES = 7\nEND")
    assert label.integer("LINES", 0, "IMAGE") == 7


@given(st.binary(max_size=4000))
def test_any_bytes_give_a_label(data):
    label = parse_label(data)
    assert all(isinstance(text, str) for text in label.keywords.values())


@given(
    st.lists(
        st.sampled_from(["A", "=", "(", ")", "{", "}", '"', "<m>", "/*", "*/", "\n", "OBJECT", "END_OBJECT", "3,"])
    )
)
def test_any_order_of_a_labels_own_marks_gives_a_label(parts):
    parse_label(" ".join(parts).encode())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutated_true_label_gives_a_layout_or_an_input_error(shared, tmp_path_factory, data):
    path = shared / "data/galileo_ssi/E6I0032_pds3.lbl"
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    label = parse_label(bytes(raw))
    with contextlib.suppress(InputError):
        # A label as its own data: too short for most layouts, so this ends in our error or in pixels, never in a crash.
        assert read_image(label, path).ndim == 3


def test_empty_label_is_an_input_error(tmp_path):
    (tmp_path / "a.lbl").write_bytes(b"nothing here")
    with pytest.raises(InputError, match="no PDS3 statement"):
        read_label(tmp_path / "a.lbl")


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ("SAMPLE_TYPE = VAX_REAL\nSAMPLE_BITS = 32", "VAX_REAL"),
        ("SAMPLE_BITS = 12", "12 bits"),
        ("SAMPLE_TYPE = IEEE_REAL\nSAMPLE_BITS = 16", "16 bits"),
        ("BANDS = 3\nBAND_STORAGE_TYPE = SAMPLE_INTERLEAVED", "SAMPLE_INTERLEAVED"),
    ],
)
def test_layout_we_do_not_read_is_named(tmp_path, statements, words):
    label = parse_label(f"OBJECT = IMAGE\nLINES = 4\nLINE_SAMPLES = 4\n{statements}\nEND_OBJECT".encode())
    with pytest.raises(InputError, match=words):
        image_layout(label, tmp_path / "x.img")


@pytest.mark.parametrize(("rows", "columns"), [(0, 5), (-3, 5), (1_000_000, 1_000_000)])
def test_absurd_dimensions_are_refused_before_anything_is_read(tmp_path, rows, columns):
    (tmp_path / "x.img").write_bytes(b"\0" * 100)
    with pytest.raises(InputError, match="at most"):
        Layout(0, rows, columns, np.dtype("u1")).read(tmp_path / "x.img")


@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 7),
    prefix=st.integers(0, 9),
    suffix=st.integers(0, 9),
    kind=st.sampled_from(["u1", ">i2", "<f4"]),
)
def test_layout_reads_what_was_laid_out(tmp_path_factory, rows, columns, prefix, suffix, kind):
    dtype = np.dtype(kind)
    values = np.arange(rows * columns).reshape(rows, columns).astype(dtype)
    lines = np.full((rows, prefix + columns * dtype.itemsize + suffix), 255, np.uint8)
    lines[:, prefix : prefix + columns * dtype.itemsize] = values.view(np.uint8).reshape(rows, -1)
    path = tmp_path_factory.mktemp("layout") / "x.img"
    path.write_bytes(b"head" + lines.tobytes())
    layout = Layout(4, rows, columns, dtype, prefix, suffix)
    np.testing.assert_array_equal(layout.read(path)[0], values)
    path.write_bytes((b"head" + lines.tobytes())[: -suffix - 1])
    with pytest.raises(InputError, match="truncated"):
        layout.read(path)
