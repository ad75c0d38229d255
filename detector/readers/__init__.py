"""From an archive file to its frames, whatever the file is: ``read_frames`` and ``read_frame``.

A file is known by its first bytes and by its label's keywords, its name's ending is not asked. Nothing is ever written
beside it. Everything that can be wrong with a file is an ``InputError`` that names it.

======================  ==========================================================
Galileo SSI             detached PDS label, or the VICAR label alone (``ssi``)
JunoCam                 EDR and RDR, raw PNG with metadata (``junocam``)
JIRAM imager            PDS3 label, or a PDS4 label that names JIRAM (``jiram``)
FITS                    LORRI, SRU, any image (``fits``)
ISIS cubes, pictures    ``raster``
other VICAR, PDS3       ``vicar``, ``pds3``; what those do not read, and other PDS4, is left to pdr
======================  ==========================================================
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import Frame, sha256_of
from detector.products import Product, product_of
from detector.readers import jiram, junocam, pds3, raster, ssi, vicar
from detector.readers.foreign import decoding, reading
from detector.readers.layout import check_size
from detector.readers.names import frame_id, target_name
from detector.readers.pds3 import Label

__all__ = ["read_frame", "read_frames"]

HEAD_BYTES = 512


def read_frames(product: Product | Path) -> list[Frame]:
    """Read every frame of a product: one for each band, all of one observation; at least one.

    Args:
        product: a product, or the path of its image or of its label; the other part is looked for beside it.

    Raises:
        InputError: for a file that is missing, empty, truncated, damaged, too large or of a kind we do not read.

    """
    found = product if isinstance(product, Product) else product_of(Path(product))
    if found.problem:
        raise InputError(found.data, found.problem)
    head = _head(found.data)
    if head.startswith(b"SIMPLE  ="):
        from detector.readers import fits  # astropy takes a while to import, most frames are not FITS

        return fits.read(found.data)
    driver = raster.driver_of(head)
    if driver:
        return _read_raster(found, driver)
    by_xml = found.label is not None and found.label.suffix.lower() == ".xml"
    if found.label is not None and by_xml and jiram.is_named_in(found.label):
        return jiram.read_with_xml(found.data, found.label)
    if found.label is not None and not by_xml:
        return _read_by_label(found.data, pds3.read_label(found.label), found.label)
    if head.startswith(b"LBLSIZE"):
        return _read_vicar(found.data)
    if head.startswith((b"CCSD", b"PDS_VERSION_ID", b"RECORD_TYPE", b"ODL_VERSION_ID")):
        return _read_by_label(found.data, pds3.read_label(found.data), found.data)
    if found.label is not None:
        return _read_pds4(found.data, found.label)
    raise InputError(
        found.data,
        f"begins with {head[:16]!r}; expected FITS, VICAR, an ISIS cube, a PDS label or a picture",
        "a raw image needs its label (.LBL or .xml) beside it",
    )


def read_frame(path: Product | Path, filter: str | None = None) -> Frame:
    """Read the one frame of a product.

    Args:
        path: a product, or the path of its image or label.
        filter: the band to take where the product holds several: its FILTER_NAME, in any case.

    Raises:
        InputError: as ``read_frames``; also for several frames without ``filter``, naming the filters, and for a filter
            that the product does not hold.

    """
    frames = read_frames(path)
    names = [frame.filter or frame.id for frame in frames]
    chosen = [frame for frame, name in zip(frames, names, strict=True) if filter is None or name == filter.upper()]
    if len(chosen) == 1:
        return chosen[0]
    wanted = "one frame" if filter is None else f"filter {filter.upper()}"
    raise InputError(frames[0].source, f"holds {', '.join(names)}; expected {wanted}", "name one of them as filter")


def _head(path: Path) -> bytes:
    with reading(path, "check the path and the permissions"), path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise InputError(path, "is empty (0 bytes)", "fetch it again")
    return head


def _read_raster(product: Product, driver: str) -> list[Frame]:
    metadata = product.label if product.label and product.label.suffix.lower() == ".json" else None
    if driver == "PNG" and (metadata or junocam.is_raw_picture(product.data)):
        samples = raster.read_raster(product.data, driver).samples
        return junocam.read_picture(product.data, samples[0], metadata)
    return raster.read(product.data, driver)


def _read_pds4(data: Path, xml: Path) -> list[Frame]:
    """Read what only a PDS4 label describes, as plain frames."""
    values = jiram.xml_values(xml)
    known = {
        "observation": frame_id(data.stem),
        "start_time": values.get("start_date_time", ""),
        "target": target_name(values.get("Target_Identification.name", "")),
        "source": data,
        "sha256": sha256_of(data),
        "keywords": values,
    }
    return _one_a_plane(data, _planes_of_pdr(xml), known)


def _read_by_label(data: Path, label: Label, label_path: Path) -> list[Frame]:
    """Read by a PDS3 label, detached or attached: our own readers first, pdr for what they refuse."""
    instrument = f"{label.text('INSTRUMENT_NAME')} {label.text('INSTRUMENT_ID')} {label.text('DATA_SET_ID')}".upper()
    if "SSI" in instrument and ("GALILEO" in label.text("SPACECRAFT_NAME").upper() or "GO-" in instrument):
        return ssi.read_with_label(data, label)
    if "JUNOCAM" in instrument or "JUNO EPO CAMERA" in instrument:
        return junocam.read_with_label(data, label)
    if "JIRAM" in instrument:
        return jiram.read_with_label(data, label)
    try:
        planes = pds3.read_image(label, data)
    except InputError as refused:
        try:
            planes = _planes_of_pdr(label_path)
        except InputError as error:  # ours says what is wrong with the label, pdr's that it found nothing
            raise refused from error
    return _generic_frames(data, planes, label)


def _planes_of_pdr(label_path: Path) -> NDArray[np.generic]:
    """Give the image of a product that pdr knows, (planes, rows, columns)."""
    with decoding(label_path, "a PDS product", Exception):  # pdr has exceptions of many kinds, some of its own
        import pdr  # pandas comes with it: half a second that few files need

        product = pdr.read(str(label_path))
        named = [key for key in product.keys() if re.search("IMAGE|QUBE|ARRAY", key.upper())]  # noqa: SIM118
        arrays = (product[key] for key in named)
        image = next((array for array in arrays if isinstance(array, np.ndarray) and array.ndim in {2, 3}), None)
        if image is None or image.dtype.kind not in "uif":
            raise InputError(label_path, "holds no image that can be read", "convert it to FITS")
        check_size(label_path, image.shape[-2], image.shape[-1], image.shape[0] if image.ndim == 3 else 1)
        return image.reshape(-1, *image.shape[-2:])


def _generic_frames(data: Path, planes: NDArray[np.generic], label: Label) -> list[Frame]:
    exposure = label.number("EXPOSURE_DURATION")
    milli = label.value("EXPOSURE_DURATION").unit.lower() in {"", "ms", "millisecond", "milliseconds"}
    known = {
        "observation": frame_id(data.stem),
        "instrument": frame_id((label.text("INSTRUMENT_ID") or "unknown").lower()),
        "filter": label.text("FILTER_NAME").upper(),
        "start_time": label.text("START_TIME") or label.text("IMAGE_TIME"),
        "exposure_s": exposure / 1000 if milli else exposure,
        "target": target_name(label.text("TARGET_NAME")),
        "source": data,
        "sha256": sha256_of(data),
        "keywords": label.keywords,
    }
    return _one_a_plane(data, planes, known, pds3.observed(label, planes))


def _read_vicar(data: Path) -> list[Frame]:
    pairs = vicar.read_pairs(data)
    if ssi.is_ssi(pairs):
        return ssi.read_vicar(data, pairs)
    known = {
        "observation": frame_id(data.stem),
        "target": target_name(pairs.get("TARGET", "")),
        "source": data,
        "sha256": sha256_of(data),
        "keywords": pairs,
    }
    return _one_a_plane(data, vicar.read_array(data, pairs), known)


def _one_a_plane(
    data: Path, planes: NDArray[np.generic], known: dict[str, object], seen: NDArray[np.bool_] | None = None
) -> list[Frame]:
    parts = [f"B{k + 1}" if len(planes) > 1 else "" for k in range(len(planes))]
    return [
        Frame.of(plane, None if seen is None else seen[k], id=frame_id(data.stem, part), **known)
        for k, (plane, part) in enumerate(zip(planes, parts, strict=True))
    ]
