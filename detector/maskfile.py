"""The masks of one frame as a FITS file: probabilities, regions, validity, and the source's own keywords.

The file has no dates in it: the same result gives the same bytes.

===== =========== =============== ==============================================================================
HDU   name        array           meaning
===== =========== =============== ==============================================================================
0     PRIMARY     none            what, when, limb circle, model; the source's keywords as ``HIERARCH SOURCE <KEY>``
1     PROBABILITY (2,H,W) float32 plume, hot spot; NaN where not known; kept to PROBABILITY_STEP / 2
2     REGIONS     (2,H,W) int32   0, or the row of the detection in the frame's catalogue, from 1
3     VALID       (H,W) uint8     1 where observed
===== =========== =============== ==============================================================================
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from textwrap import wrap

import numpy as np
from astropy.io import fits

from detector.detect import Result

PROBABILITY_STEP = 1e-4
"""Probabilities are rounded to this step before they are compressed."""
TILE_ROWS = 64
"""Rows that are compressed together. The usual tile of one row costs three times the time and a seventh more bytes."""

Card = tuple[str, str | float | int | bool, str]


def mask_bytes(result: Result) -> bytes:
    """Return the FITS file of one frame's result."""
    rows, columns = result.frame.shape
    tile = (min(TILE_ROWS, rows), columns)
    hdus = fits.HDUList([
        fits.PrimaryHDU(header=_header(result)),
        # a negative level is an absolute step; no dithering, which would draw random numbers
        fits.CompImageHDU(result.scores, name="PROBABILITY", compression_type="RICE_1", tile_shape=(1, *tile),
                          quantize_level=-PROBABILITY_STEP, quantize_method=-1),
        fits.CompImageHDU(result.labels, name="REGIONS", compression_type="RICE_1", tile_shape=(1, *tile)),
        fits.CompImageHDU(result.frame.valid.astype(np.uint8), name="VALID", compression_type="RICE_1",
                          tile_shape=tile),
    ])
    stream = io.BytesIO()
    hdus.writeto(stream, output_verify="exception")
    return stream.getvalue()


def _header(result: Result) -> fits.Header:
    header = fits.Header()
    for keyword, value, comment in _own_cards(result):
        header.append(fits.Card(keyword, value, comment), end=True)
    for text in result.frame.warnings:
        header.add_comment(f"WARNING {_ascii(text)}")
    for card in _source_cards(result.frame.keywords):
        header.append(card, end=True)
    return header


def _own_cards(result: Result) -> Iterator[Card]:
    """Say what is known; what is not has no card."""
    frame, limb = result.frame, result.limb
    known: list[Card] = [
        ("ORIGIN", "io-detector", ""),
        ("FRAMEID", frame.id, ""),
        ("SRCFILE", frame.source.name, "file that held the pixels"),
        ("SRCSHA", frame.sha256, ""),
        ("INSTRUME", frame.instrument, ""),
        ("FILTER", frame.filter, ""),
        ("OBJECT", frame.target, ""),
        ("DATE-OBS", frame.start_time, "UTC"),
        ("EXPTIME", frame.exposure_s, "s"),
        ("SRCUNIT", frame.unit, "unit of the source's pixels"),
        ("MODEL", result.model, ""),
        ("OPPOINT", result.operating_point, "operating point"),
        ("LIMBSRC", limb.source, "where the limb circle is from"),
        ("LIMBX", limb.x_px, "px, centre of the first pixel is 0"),
        ("LIMBY", limb.y_px, "px, centre of the first pixel is 0"),
        ("LIMBR", limb.radius_px, "px"),
        ("LIMBSIG", limb.sigma_px, "px, 1 sigma"),
        ("LIMBWHY", limb.reason, "why there is no trusted limb"),
    ]
    for keyword, value, comment in known:
        if isinstance(value, str) and value:
            yield keyword, _ascii(value), comment
        elif not isinstance(value, str) and math.isfinite(value):
            yield keyword, round(float(value), 6), comment
    for kind, threshold in (result.thresholds or {}).items():
        for name, limit in threshold.model_dump().items():
            yield f"HIERARCH THRESHOLD {kind.upper()} {name.upper()}", limit, ""


def _source_cards(keywords: Mapping[str, str]) -> Iterator[fits.Card]:
    """Return the source's keywords: a card each where key and value fit into 80 characters, else comments."""
    for key, value in keywords.items():
        name = re.sub(r"[^A-Z0-9_.:-]", "_", _ascii(key).upper())
        text = _ascii(value)
        quoted = text.replace("'", "''")
        if len(f"HIERARCH SOURCE {name} = '{quoted}'") <= fits.Card.length:
            yield fits.Card(f"HIERARCH SOURCE {name}", text)
            continue
        lines = wrap(f"SOURCE {name} = {text}", fits.Card.length - len("COMMENT "))
        yield from (fits.Card("COMMENT", line) for line in lines)


def _ascii(text: str) -> str:
    """FITS headers hold printable ASCII only: anything else is written as a Python escape, white space as a blank."""
    plain = " ".join(str(text).split()).encode("ascii", "backslashreplace").decode("ascii")
    return "".join(letter if letter.isprintable() else "?" for letter in plain)
