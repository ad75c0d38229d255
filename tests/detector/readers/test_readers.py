"""Every real file, every damage: frames or an InputError that names the file, and the input folder as it was."""

from __future__ import annotations

import contextlib
import hashlib
import shutil

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from detector.errors import InputError
from detector.frame import sha256_of
from detector.products import Product, find_products
from detector.readers import read_frame, read_frames
from training.simulate.archive import Meta, junocam_shape, write_jiram, write_junocam, write_ssi

RNG = np.random.default_rng(6)


def state_of(folder):
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_real_product_reads_and_its_frames_keep_the_contract(shared):
    ids = []
    for product in find_products([shared / "data"]):
        if product.data.stat().st_size > 2_000_000 and "maps" in product.data.parts:
            continue  # the two large maps are read in other tests
        for frame in read_frames(product):
            assert frame.id.replace("-", "").replace("_", "").replace(".", "").isalnum()
            assert frame.source == product.data
            assert frame.sha256 == sha256_of(product.data)
            assert (frame.image[~frame.valid] == 0).all()
            assert np.isfinite(frame.image).all()
            assert frame.coverage > 0.9
            ids.append(frame.id)
    assert len(ids) == len(set(ids))
    assert len(ids) == 1 + 3 + 7 + 5 * 4 + 1 + 4


def test_reading_leaves_the_folder_as_it_was(shared, tmp_path):
    source = tmp_path / "archive"
    for name in ("galileo_ssi/C0532836239R.IMG", "jiram/dark_1ms.cub", "look/PIA02505-prometheus.jpg"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / "data" / name, source / name)
    write_ssi(source, "A", np.full((800, 800), 7, np.uint8), Meta())
    for path in source.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    source.chmod(0o555)
    before = state_of(source)
    products = find_products([source])
    assert len(products) == 4
    for product in products:
        read_frames(product)
    assert state_of(source) == before
    source.chmod(0o755)


def files_of_every_kind(folder):
    """A small file of each kind, with its label where it has one."""
    sky = RNG.integers(3, 9, (800, 800)).astype(np.uint8)
    write_ssi(folder, "S", sky, Meta())
    write_jiram(folder, "J", RNG.normal(0, 0.01, (256, 432)).astype(np.float32), Meta(exposure_s=0.003))
    write_junocam(
        folder, "JNCE_2023364_57G00022_V01", {"GREEN": RNG.uniform(0, 50, junocam_shape("GREEN", 2, 0.372))}, Meta()
    )
    Image.fromarray(sky[:40, :50]).save(folder / "p.png")
    Image.fromarray(sky[:40, :50]).save(folder / "p.tif")
    Image.fromarray(sky[:40, :50]).save(folder / "g.gif")
    Image.fromarray(sky[:40, :50]).save(folder / "q.jpg")
    fits.PrimaryHDU(sky[:40, :50].astype(np.float32)).writeto(folder / "f.fits")
    return folder


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return files_of_every_kind(tmp_path_factory.mktemp("kinds"))


FILES = ["S.IMG", "S.LBL", "J.LBL", "JNCE_2023364_57G00022_V01.LBL", "p.png", "p.tif", "g.gif", "q.jpg", "f.fits"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_frames_or_an_input_error(kinds, tmp_path, name, data):
    """A few bytes changed, or the end cut off, mostly near the beginning, where labels and headers are."""
    raw = bytearray((kinds / name).read_bytes())
    far = min(len(raw), data.draw(st.sampled_from([200, 4000, len(raw)])))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, far - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.one_of(st.just(len(raw)), st.integers(0, far)))]
    folder = tmp_path / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(raw)
    image = kinds / f"{name.removesuffix('.LBL')}.IMG"
    product = Product(folder / name, image) if name.endswith(".LBL") else Product(None, folder / name)
    with contextlib.suppress(InputError):
        frames = read_frames(product)
        assert frames
        assert all(np.isfinite(frame.image).all() for frame in frames)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(
        [b"", b"SIMPLE  =", b"LBLSIZE=40 ", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"PDS_VERSION_ID = PDS3\n"]
    ),
    body=st.binary(max_size=600),
)
def test_any_bytes_give_an_input_error(tmp_path, head, body):
    (tmp_path / "x").write_bytes(head + body)
    with pytest.raises(InputError, match=r"/x"):
        read_frames(tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("no.fits", None, "cannot be read"), ("zero.png", b"", "0 bytes"), ("raw.img", b"\1" * 5000, "needs its label")],
)
def test_errors_say_what_is_wrong(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_frame(tmp_path / name)
    assert name in str(caught.value)


def test_kind_is_known_by_content_not_by_name(kinds, tmp_path):
    shutil.copy(kinds / "f.fits", tmp_path / "really_fits.png")
    shutil.copy(kinds / "p.png", tmp_path / "really_png.fits")
    assert read_frame(tmp_path / "really_fits.png").shape == (40, 50)
    assert read_frame(tmp_path / "really_png.fits").shape == (40, 50)


def test_label_image_and_product_are_the_same_door(kinds):
    doors = (kinds / "S.LBL", kinds / "S.IMG", Product(kinds / "S.LBL", kinds / "S.IMG"))
    frames = [read_frame(door) for door in doors]
    assert {frame.id for frame in frames} == {"S"}
    assert all((frame.image == frames[0].image).all() for frame in frames)


def test_other_pds_product_is_read_by_its_image_object(tmp_path):
    pixels = RNG.integers(-99, 99, (6, 7)).astype(">i2")
    (tmp_path / "C1.IMG").write_bytes(b"\0" * 14 + pixels.tobytes())
    (tmp_path / "C1.LBL").write_text(
        'PDS_VERSION_ID = PDS3\nRECORD_TYPE = FIXED_LENGTH\nRECORD_BYTES = 14\n^IMAGE = ("C1.IMG", 2)\n'
        "INSTRUMENT_ID = ISSN\nTARGET_NAME = IO\nFILTER_NAME = CLEAR\nEXPOSURE_DURATION = 250 <ms>\n"
        "OBJECT = IMAGE\nLINES = 6\nLINE_SAMPLES = 7\nSAMPLE_TYPE = MSB_INTEGER\nSAMPLE_BITS = 16\nEND_OBJECT\nEND\n"
    )
    frame = read_frame(tmp_path / "C1.LBL")
    np.testing.assert_array_equal(frame.image, pixels)
    assert (frame.instrument, frame.target, frame.filter, frame.exposure_s) == ("issn", "IO", "CLEAR", 0.25)


@pytest.mark.parametrize(
    ("kind", "said", "fill"),
    [
        ("real", "-1.0E32", -1e32),
        ("real", "16#FF7FFFFB#", np.array(0xFF7FFFFB, ">u4").view(">f4")),
        ("real", "UNK", np.array(0xFF7FFFFB, ">u4").view(">f4")),
        ("real", "UNK", np.nan),
        ("real", "16#FF7FFFFBF#", np.nan),
        ("integer", "-32768", -32768),
        ("integer", "16#8000#", -32768),
    ],
)
def test_samples_that_a_label_reserves_were_not_seen(tmp_path, kind, said, fill):
    pixels = RNG.integers(1, 99, (6, 7)).astype(">f4" if kind == "real" else ">i2")
    pixels[2:4, 5] = fill
    (tmp_path / "C1.IMG").write_bytes(pixels.tobytes())
    (tmp_path / "C1.LBL").write_text(
        f'PDS_VERSION_ID = PDS3\nRECORD_TYPE = FIXED_LENGTH\nRECORD_BYTES = 14\n^IMAGE = ("C1.IMG", 1)\n'
        f"OBJECT = IMAGE\nLINES = 6\nLINE_SAMPLES = 7\nMISSING_CONSTANT = {said}\n"
        f"SAMPLE_TYPE = {'IEEE_REAL' if kind == 'real' else 'MSB_INTEGER'}\n"
        f"SAMPLE_BITS = {8 * pixels.itemsize}\nEND_OBJECT\nEND\n"
    )
    frame = read_frame(tmp_path / "C1.LBL")
    assert np.argwhere(~frame.valid).tolist() == [[2, 5], [3, 5]]
    np.testing.assert_array_equal(frame.image[frame.valid], pixels[frame.valid])


def test_attached_label(tmp_path):
    pixels = RNG.integers(0, 99, (6, 7)).astype(np.uint8)
    label = (
        "PDS_VERSION_ID = PDS3\r\nRECORD_TYPE = FIXED_LENGTH\r\nRECORD_BYTES = 7\r\n^IMAGE = 101\r\n"
        "OBJECT = IMAGE\r\nLINES = 6\r\nLINE_SAMPLES = 7\r\nSAMPLE_BITS = 8\r\nEND_OBJECT\r\nEND\r\n"
    )
    (tmp_path / "C2.IMG").write_bytes(label.encode().ljust(700) + pixels.tobytes())
    np.testing.assert_array_equal(read_frame(tmp_path / "C2.IMG").image, pixels)


def test_what_our_layout_refuses_is_left_to_pdr(tmp_path):
    pixels = RNG.integers(0, 99, (6, 7, 3)).astype(np.uint8)
    (tmp_path / "C3.IMG").write_bytes(pixels.tobytes())
    (tmp_path / "C3.LBL").write_text(
        'PDS_VERSION_ID = PDS3\nRECORD_TYPE = FIXED_LENGTH\nRECORD_BYTES = 21\n^IMAGE = "C3.IMG"\n'
        "OBJECT = IMAGE\nLINES = 6\nLINE_SAMPLES = 7\nBANDS = 3\nBAND_STORAGE_TYPE = SAMPLE_INTERLEAVED\n"
        "SAMPLE_TYPE = UNSIGNED_INTEGER\nSAMPLE_BITS = 8\nEND_OBJECT = IMAGE\nEND\n"
    )
    frames = read_frames(tmp_path / "C3.LBL")
    np.testing.assert_array_equal(np.stack([frame.image for frame in frames], axis=2), pixels)
