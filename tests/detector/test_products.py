"""Which files are products, and which label belongs to which image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.products import JOURNAL, Product, find_products, look_for, product_of


def make(folder, *names, content=b"\1" * 40):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def label(folder, name, points_to):
    (folder / name).write_text(f'PDS_VERSION_ID = PDS3\n^IMAGE = ("{points_to}", 14)\nEND\n')


def pairs(products, folder):
    def short(path):
        return path.relative_to(folder).as_posix() if path else None

    return [(short(product.label), short(product.data)) for product in products]


def test_real_folder(shared):
    found = find_products([shared])
    names = [product.data.name for product in found]
    assert names == sorted(names, key=lambda name: next(p.data for p in found if p.data.name == name).as_posix())
    assert len(found) == 1 + 3 + 3 + 1 + 5 + 3
    metadata = {product.data.name: product.label.name for product in found if product.label}
    assert metadata == {
        "JNCE_2022186_43C00078_V01-raw.png": "13537-Metadata.json",
        "JNCE_2022186_43M00081_V01-raw.png": "13540-Metadata.json",
    }


def test_labels_without_an_image_kernels_and_camera_models_are_no_products(shared):
    assert find_products([shared / "data/kernels", shared / "data/labels", shared / "facts", shared / "catalogs"]) == []
    assert find_products([shared / "data/galileo_ssi/E6I0032_pds3.lbl"]) == []


def test_label_and_image_are_one_product_however_they_are_asked_for(tmp_path):
    make(tmp_path, "A.IMG")
    label(tmp_path, "A.LBL", "A.IMG")
    only = [Product(tmp_path / "A.LBL", tmp_path / "A.IMG")]
    for asked in (["."], ["A.IMG"], ["A.LBL"], ["A.LBL", "A.IMG", "."], ["*.LBL"], ["A.*", "*"]):
        assert find_products([tmp_path / part for part in asked]) == only


def test_case_of_names_does_not_count(tmp_path):
    make(tmp_path, "7845R.IMG", "b.img")
    label(tmp_path, "7845r.LBL", "7845R.img")
    (tmp_path / "B.lbl").write_text("NO = POINTER\n")
    assert pairs(find_products([tmp_path]), tmp_path) == [("7845r.LBL", "7845R.IMG"), ("B.lbl", "b.img")]


def test_pointer_goes_before_the_name(tmp_path):
    make(tmp_path, "A.IMG", "B.IMG")
    label(tmp_path, "A.LBL", "B.IMG")
    assert pairs(find_products([tmp_path]), tmp_path) == [(None, "A.IMG"), ("A.LBL", "B.IMG")]


def test_pds3_goes_before_pds4(tmp_path):
    make(tmp_path, "J.IMG")
    (tmp_path / "J.xml").write_text("<a><file_name>J.IMG</file_name></a>")
    assert pairs(find_products([tmp_path]), tmp_path) == [("J.xml", "J.IMG")]
    label(tmp_path, "J.LBL", "J.IMG")
    assert pairs(find_products([tmp_path]), tmp_path) == [("J.LBL", "J.IMG")]
    assert pairs(find_products([tmp_path / "J.xml"]), tmp_path) == [("J.LBL", "J.IMG")]


@pytest.mark.parametrize(
    "keywords", [{"FILE_NAME": "JNCE_X-raw.png"}, {"PRODUCT_ID": "jnce_x"}, {"FILE_NAME": 3, "PRODUCT_ID": "JNCE_X"}]
)
def test_metadata_are_matched_by_their_keywords(tmp_path, keywords):
    make(tmp_path, "JNCE_X-raw.png", "other.png")
    (tmp_path / "13540-Metadata.json").write_text(json.dumps(keywords))
    found = pairs(find_products([tmp_path]), tmp_path)
    assert found == [("13540-Metadata.json", "JNCE_X-raw.png"), (None, "other.png")]


def test_labels_are_matched_in_their_own_folder_only(tmp_path):
    make(tmp_path, "one/A.IMG", "two/x.txt")
    label(tmp_path / "two", "A.LBL", "A.IMG")
    assert pairs(find_products([tmp_path]), tmp_path) == [(None, "one/A.IMG")]


def test_passed_over_and_hidden(tmp_path):
    make(tmp_path, "a.csv", "b.md", ".hidden/c.png", "._d.IMG", "e.tm", "f.json", "g.xml", "h.IMG.part", "i.unknown")
    assert find_products([tmp_path]) == []
    (tmp_path / "no_ending").write_bytes(b"SIMPLE  =                    T")
    assert [product.data.name for product in find_products([tmp_path])] == ["no_ending"]


def test_globs_and_recursion(tmp_path):
    make(tmp_path, "a/x.png", "a/b/y.png", "c/z.png")
    assert len(find_products([tmp_path])) == 3
    assert [product.data.name for product in find_products([tmp_path / "**/y.png"])] == ["y.png"]
    assert len(find_products([tmp_path / "?"])) == 3
    assert len(find_products([tmp_path / "[ab]/*.png", tmp_path / "a"])) == 2


def test_nothing_is_an_empty_list(tmp_path):
    assert find_products([]) == []
    assert find_products([tmp_path / "none", tmp_path / "*.png", tmp_path]) == []


def test_every_path_named_in_vain_says_why(tmp_path):
    make(tmp_path, "good.png", "walked/notes.dat", "strange.bin")
    label(tmp_path, "alone.LBL", "not_here.IMG")
    (tmp_path / "empty").mkdir()
    names = ("none", "empty", "strange.bin", "alone.LBL", "*.jpg", "good.png", "walked", "*.bin", "*.png")
    found = {product.data.name: product.problem for product in look_for([tmp_path / name for name in names])}
    reasons = {
        "*.bin": "no frame matches", "*.jpg": "no frame matches", "alone.LBL": "label whose image", "good.png": "",
        "empty": "without a frame", "walked": "without a frame", "none": "no such", "strange.bin": "not of a kind",
    }  # fmt: skip
    assert found.keys() == reasons.keys()
    assert all(words in found[name] and bool(words) == bool(found[name]) for name, words in reasons.items())
    assert look_for([tmp_path]) == find_products([tmp_path]) == [Product(None, tmp_path / "good.png")]


def test_what_a_run_wrote_is_no_input(tmp_path):
    make(tmp_path, "frames/a.png", "out/masks/a.fits", "out/quicklook/a.png", "out/below/b.png", "masks/c.fits")
    (tmp_path / "out" / JOURNAL).touch()
    assert [path for _, path in pairs(find_products([tmp_path]), tmp_path)] == [
        "frames/a.png", "masks/c.fits", "out/below/b.png",
    ]  # fmt: skip
    assert find_products([tmp_path / "out/masks", tmp_path / "out/*/a.*"]) == []
    (named,) = look_for([tmp_path / "out/masks/a.fits"])
    assert "earlier run" in named.problem


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path):
    make(tmp_path, "x[1].png")
    assert [product.data.name for product in find_products([tmp_path / "x[1].png"])] == ["x[1].png"]


def test_product_of_takes_an_unknown_file_as_it_is(tmp_path):
    make(tmp_path, "strange.bin")
    assert product_of(tmp_path / "strange.bin") == Product(None, tmp_path / "strange.bin")


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    make(tmp_path, "a/x.png")
    monkeypatch.chdir(tmp_path)
    assert find_products([Path("a")]) == [Product(None, Path("a/x.png"))]


@given(
    st.lists(st.sampled_from(["A.IMG", "A.LBL", "b.png", "c.fits", "d.csv", "D.lbl", "B.PNG"]), unique=True),
    st.randoms(),
)
def test_order_of_asking_changes_nothing(tmp_path_factory, names, random):
    folder = tmp_path_factory.mktemp("order")
    make(folder, *names)
    asked = [folder / name for name in names]
    found = find_products(asked)
    random.shuffle(asked)
    assert find_products(asked) == found == find_products([folder])
    assert len({product.data for product in found}) == len(found)


@given(st.binary(max_size=300), st.sampled_from(["x.lbl", "x.xml", "x-Metadata.json"]))
def test_any_label_bytes_are_survived(tmp_path_factory, content, name):
    folder = tmp_path_factory.mktemp("label")
    (folder / name).write_bytes(content)
    assert find_products([folder]) == []
