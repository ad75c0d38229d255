"""Files that are still arriving: whatever their end is cut off at, they are not taken for whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.image import imsave

from detector.products import Product, find_products
from detector.whole import lack_of

SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "frames"


def test_real_files_are_whole(shared: Path) -> None:
    assert {product.data.name: lack_of(product) for product in find_products([shared])} == {
        product.data.name: "" for product in find_products([shared])
    }


def samples() -> list[Product]:
    return find_products([SAMPLES])


@pytest.mark.parametrize("product", samples(), ids=lambda product: product.data.name)
def test_cut_short_anywhere_it_is_not_whole(product: Product, tmp_path: Path) -> None:
    assert lack_of(product) == ""
    for path in [product.data, product.label]:
        if path is None:
            continue
        content = path.read_bytes()
        copies = {p: Path(shutil.copy(p, tmp_path)) for p in (product.data, product.label) if p is not None}
        copy = Product(None if product.label is None else copies[product.label], copies[product.data])
        for kept in (0, 1, 100, len(content) // 2, int(0.9 * len(content))):
            copies[path].write_bytes(content[:kept])
            assert lack_of(copy) != "", f"{path.name}, {kept} of {len(content)} bytes"
        copies[path].write_bytes(content)
        assert lack_of(copy) == ""


def test_formats_that_say_where_they_end(tmp_path: Path) -> None:
    imsave(tmp_path / "a.png", np.zeros((30, 40)))
    imsave(tmp_path / "a.jpg", np.zeros((30, 40)))
    fits.HDUList([fits.PrimaryHDU(np.zeros((50, 60), np.float32)), fits.ImageHDU(np.zeros((9, 9)))]).writeto(
        tmp_path / "a.fits"
    )
    vicar = b"LBLSIZE=100 FORMAT='BYTE' NL=10 NS=20 NB=1 RECSIZE=20 NLB=0 NBB=0 EOL=0 ".ljust(100, b"\0") + b"\1" * 200
    (tmp_path / "a.vic").write_bytes(vicar)
    for name in ("a.png", "a.jpg", "a.fits", "a.vic"):
        path = tmp_path / name
        assert lack_of(Product(None, path)) == ""
        content = path.read_bytes()
        for kept in (0, 60, len(content) // 2, len(content) - 150):
            path.write_bytes(content[:kept])
            assert lack_of(Product(None, path)) != "", (name, kept)


def test_labels_of_other_kinds_say_when_they_end(tmp_path: Path) -> None:
    data = tmp_path / "a.img"
    data.write_bytes(b"\1" * 500)
    xml = '<?xml version="1.0"?>\n<Product_Observational xmlns="x">\n<file_size unit="byte">{}</file_size>\n{}'
    for name, text, lacks in (
        ("a.xml", xml.format(500, "</Product_Observational>"), ""),
        ("a.xml", xml.format(500, ""), "a.xml breaks off"),
        ("a.xml", xml.format(501, "</Product_Observational>"), "a.img is 500 bytes long, expected 501"),
        ("a.json", '{"FILE_NAME": "a.img"}', ""),
        ("a.json", '{"FILE_NAME": "a.i', "a.json breaks off"),
        ("a.LBL", 'FILE_NAME = "a.img"\r\nEND\r\n', ""),
        ("a.LBL", 'FILE_NAME = "a.img"\r\nNOTE = "THE END"\r\n', "a.LBL breaks off"),
    ):
        (tmp_path / name).write_text(text)
        assert lack_of(Product(tmp_path / name, data)) == lacks


def test_a_file_that_is_gone_lacks_everything(tmp_path: Path) -> None:
    assert "cannot be read" in lack_of(Product(None, tmp_path / "a.fits"))
