"""Pictures and ISIS cubes against PIL, rasterio and arrays that were written here."""

from __future__ import annotations

import struct
import warnings
import zlib

import numpy as np
import pytest
import rasterio
from PIL import Image

from detector.errors import InputError
from detector.readers import read_frame, read_frames

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("name", ["dark_1ms", "dark_3ms", "flat_1ms"])
def test_real_jiram_cubes_agree_with_rasterio(shared, name):
    path = shared / f"data/jiram/{name}.cub"
    frame = read_frame(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(frame.image, dataset.read(1))
    assert frame.shape == (256, 432)
    assert frame.valid.all()
    assert (frame.instrument, frame.target) == ("jiram", "IO")
    assert frame.exposure_s == pytest.approx(0.003 if "3ms" in name else 0.001, rel=0.01)


def test_jiram_counts_are_not_called_radiance(shared):
    assert read_frame(shared / "data/jiram/dark_1ms.cub").unit == "DN"
    assert read_frame(shared / "data/jiram/flat_1ms.cub").filter == "L"


def test_real_pictures_agree_with_pil(shared):
    for path in sorted((shared / "data/look").glob("*.jpg")):
        luminance, red, green, blue = read_frames(path)
        theirs = np.asarray(Image.open(path)).astype(np.float32)
        ours = np.stack([red.image, green.image, blue.image], axis=2)
        # JPEG decoders differ in how they spread colour over 2 x 2 pixels: alike, not equal.
        assert np.abs(ours - theirs).mean() < 0.6
        assert (np.abs(ours - theirs) <= 3).mean() > 0.97
        np.testing.assert_allclose(luminance.image, ours @ [0.2126, 0.7152, 0.0722], rtol=1e-5, atol=1e-4)
        assert [luminance.id, red.id] == [path.stem, f"{path.stem}_RED"]
        assert {frame.observation for frame in (luminance, red, green, blue)} == {path.stem}
        assert luminance.unit == "luminance"


def test_grey_map_stored_as_rgb_is_one_frame(shared):
    path = shared / "data/maps/io_usgs_grey_5723x2862.jpg"
    frames = read_frames(path)
    assert len(frames) == 1
    np.testing.assert_array_equal(frames[0].image, np.asarray(Image.open(path))[..., 0])


@pytest.mark.parametrize("ending", ["png", "tif", "gif", "jp2"])
def test_grey_pictures_keep_their_pixels(tmp_path, ending):
    pixels = RNG.integers(0, 256, (9, 13)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"x.{ending}", **({"irreversible": False} if ending == "jp2" else {}))
    frame = read_frame(tmp_path / f"x.{ending}")
    np.testing.assert_array_equal(frame.image, pixels)
    assert frame.saturation == 255


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_stay_sixteen_bits(tmp_path, ending):
    pixels = RNG.integers(0, 65536, (9, 13)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / f"x.{ending}")
    frame = read_frame(tmp_path / f"x.{ending}")
    np.testing.assert_array_equal(frame.image, pixels)
    assert frame.saturation == 65535


def test_float_tiff_with_nan(tmp_path):
    pixels = RNG.normal(size=(5, 6)).astype(np.float32)
    pixels[1, 2] = np.nan
    Image.fromarray(pixels).save(tmp_path / "x.tif")
    frame = read_frame(tmp_path / "x.tif")
    assert np.argwhere(~frame.valid).tolist() == [[1, 2]]
    np.testing.assert_array_equal(frame.image[frame.valid], pixels[np.isfinite(pixels)])


def test_colour_in_reals_is_colour(tmp_path):
    pixels = np.random.default_rng(4).random((3, 20, 30), np.float32)
    pixels[:, 3, 4] = np.nan
    known = {"driver": "GTiff", "height": 20, "width": 30, "count": 3, "dtype": "float32", "photometric": "RGB"}
    for name, planes in (("colour", pixels), ("grey", np.repeat(pixels[:1], 3, axis=0))):
        with rasterio.open(tmp_path / f"{name}.tif", "w", **known) as out:
            out.write(planes)
    assert [frame.filter for frame in read_frames(tmp_path / "colour.tif")] == ["LUMINANCE", "RED", "GREEN", "BLUE"]
    (grey,) = read_frames(tmp_path / "grey.tif")
    np.testing.assert_array_equal(grey.image[grey.valid], pixels[0][grey.valid])


def test_bands_of_one_filter_have_names_of_their_own(tmp_path):
    pixels = np.full((3, 2, 2), 7, np.uint8)
    content = isis_cube(pixels, "UnsignedByte").replace(b'("F0", "F1", "F2")', b'("F0", "F1", "F0")')
    (tmp_path / "x.cub").write_bytes(content)
    assert [frame.id for frame in read_frames(tmp_path / "x.cub")] == ["x_F0_B1", "x_F1", "x_F0_B3"]


def test_a_cube_of_tiles_holds_whole_tiles(tmp_path):
    content = isis_cube(np.zeros((1, 6, 5), np.uint8), "UnsignedByte")
    tiled = content.replace(b"Format = BandSequential", b"Format = Tile\n TileLines = 4\n TileSamples = 4")
    (tmp_path / "x.cub").write_bytes(tiled[:4096] + bytes(40))
    with pytest.raises(InputError, match="its label needs 4160"):
        read_frames(tmp_path / "x.cub")


def test_alpha_says_what_is_valid(tmp_path):
    pixels = RNG.integers(0, 256, (4, 5, 4)).astype(np.uint8)
    pixels[..., 3] = 255
    pixels[2, 3, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "x.png")
    frames = read_frames(tmp_path / "x.png")
    assert len(frames) == 4
    assert np.argwhere(~frames[0].valid).tolist() == [[2, 3]]


def test_palette_is_looked_up(tmp_path):
    colours = np.array([[0, 0, 0], [255, 0, 0], [9, 200, 30]], np.uint8)
    index = RNG.integers(0, 3, (6, 7)).astype(np.uint8)
    picture = Image.fromarray(index, "P")
    picture.putpalette(colours.ravel().tolist())
    picture.save(tmp_path / "x.png")
    red, green, blue = read_frames(tmp_path / "x.png")[1:]
    np.testing.assert_array_equal(np.stack([red.image, green.image, blue.image], axis=2), colours[index])


def test_filter_chooses_a_channel(tmp_path):
    pixels = RNG.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_frame(tmp_path / "x.png", filter="green").image, pixels[..., 1])
    with pytest.raises(InputError, match="LUMINANCE, RED, GREEN, BLUE; expected one frame"):
        read_frame(tmp_path / "x.png")
    with pytest.raises(InputError, match="expected filter INFRARED"):
        read_frame(tmp_path / "x.png", filter="infrared")


def test_geotiff_nodata(tmp_path):
    pixels = np.arange(12, dtype=np.int16).reshape(3, 4)
    settings = {"driver": "GTiff", "width": 4, "height": 3, "count": 1, "dtype": "int16", "nodata": 7}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(tmp_path / "x.tif", "w", **settings) as dataset:
            dataset.write(pixels, 1)
    frame = read_frame(tmp_path / "x.tif")
    assert np.argwhere(~frame.valid).tolist() == [[1, 3]]


def isis_cube(pixels, kind, base=0.0, multiplier=1.0):
    """Bytes of a band-sequential ISIS cube."""
    bands, rows, columns = pixels.shape
    label = f"""Object = IsisCube
  Object = Core
    StartByte = 4097
    Format = BandSequential
    Group = Dimensions
      Samples = {columns}
      Lines = {rows}
      Bands = {bands}
    End_Group
    Group = Pixels
      Type = {kind}
      ByteOrder = Lsb
      Base = {base}
      Multiplier = {multiplier}
    End_Group
  End_Object
  Group = Instrument
    InstrumentId = "SOLID STATE IMAGING SYSTEM"
    TargetName = Io
    StartTime = 1997-02-19T21:07:27.314
    ExposureDuration = 195.83 <ms>
  End_Group
  Group = BandBin
    FilterName = ({", ".join(f'"F{k}"' for k in range(bands))})
  End_Group
End_Object
End
"""
    return label.encode().ljust(4096, b"\0") + pixels.tobytes()


def test_isis_scales_and_special_pixels_of_words(tmp_path):
    pixels = np.array([[[100, -32768, -32767, -32766], [-32765, -32764, -32752, 32767]]], "<i2")
    (tmp_path / "x.cub").write_bytes(isis_cube(pixels, "SignedWord", base=10, multiplier=0.5))
    frame = read_frame(tmp_path / "x.cub")
    assert frame.valid.tolist() == [[True, False, False, False], [False, False, True, True]]
    assert frame.image.tolist() == [[60, 0, 0, 0], [0, 0, -16366, 16393.5]]
    assert (frame.instrument, frame.target, frame.filter) == ("galileo_ssi", "IO", "F0")
    assert frame.exposure_s == pytest.approx(0.19583)


def test_isis_special_pixels_of_reals(tmp_path):
    special = np.array([0xFF7FFFFB, 0xFF7FFFFC, 0xFF7FFFFD, 0xFF7FFFFE, 0xFF7FFFFF], "<u4").view("<f4")
    pixels = np.concatenate([special, np.array([-3.4028226e38 * 0.9, 0.0, 1.5], "<f4")]).reshape(1, 2, 4)
    (tmp_path / "x.cub").write_bytes(isis_cube(pixels, "Real"))
    frame = read_frame(tmp_path / "x.cub")
    assert frame.valid.ravel().tolist() == [False] * 5 + [True] * 3
    assert frame.image[1, 3] == 1.5


def test_isis_special_pixels_of_bytes_and_several_bands(tmp_path):
    pixels = np.array([[[0, 1], [254, 255]], [[5, 6], [7, 8]]], np.uint8)
    (tmp_path / "x.cub").write_bytes(isis_cube(pixels, "UnsignedByte"))
    first, second = read_frames(tmp_path / "x.cub")
    assert first.valid.tolist() == [[False, True], [True, False]]
    assert (first.id, second.id) == ("x_F0", "x_F1")
    np.testing.assert_array_equal(second.image, pixels[1])


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "tif"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated_pictures(tmp_path, ending, part):
    path = tmp_path / f"x.{ending}"
    Image.fromarray(RNG.integers(0, 256, (60, 70)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(InputError, match=f"x.{ending}"):
        read_frame(path)


def test_truncated_cube(tmp_path):
    (tmp_path / "x.cub").write_bytes(isis_cube(np.ones((1, 20, 20), "<f4"), "Real")[:-100])
    with pytest.raises(InputError, match=r"x\.cub"):
        read_frame(tmp_path / "x.cub")


def test_decompression_bomb_is_refused_by_its_header(tmp_path):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 60_001))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(InputError, match="60000 x 60000"):
        read_frame(tmp_path / "bomb.png")
