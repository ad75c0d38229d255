"""A model file that can be worked out by hand: same inputs, output and card as a trained one.

plume   = clip(4 x (pixel - sky) / bright) above the limb, 0 without a limb
hotspot = clip(2 x (pixel - sky) / bright - 2) on the disk, and everywhere without a limb
"""

from __future__ import annotations

import json
from pathlib import Path

import onnx
from onnx import parser

CARD = {
    "name": "brightness",
    "version": "1",
    "operating_points": {
        "screening": {
            "plume": {"seed": 0.3, "grow": 0.2, "min_area_px": 3},
            "hotspot": {"seed": 0.3, "grow": 0.2, "min_area_px": 1},
        },
        "confident": {
            "plume": {"seed": 0.6, "grow": 0.4, "min_area_px": 6},
            "hotspot": {"seed": 0.6, "grow": 0.4, "min_area_px": 2},
        },
    },
}

GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
brightness (float[B,1,H,W] frame, float[B,1,H,W] valid, float[B,3] limb, float[B,3] levels)
    => (float[B,2,H,W] probability)
<float zero = {0}, float one = {1}, float two = {2}, float four = {4}, int64 z = {0}, int64 step = {1},
 int64 two_i = {2}, int64 three_i = {3}, int64[2] last = {2, 3}, int64[1] rows_axis = {1}>
{
    x2, y2, r2 = Split <axis = 1, num_outputs = 3> (limb)
    s2, n2, b2 = Split <axis = 1, num_outputs = 3> (levels)
    x = Unsqueeze (x2, last)
    y = Unsqueeze (y2, last)
    r = Unsqueeze (r2, last)
    sky = Unsqueeze (s2, last)
    bright = Unsqueeze (b2, last)
    shape = Shape (frame)
    h = Gather (shape, two_i)
    w = Gather (shape, three_i)
    ci = Range (z, w, step)
    ri = Range (z, h, step)
    columns = Cast <to = 1> (ci)
    rows1 = Cast <to = 1> (ri)
    rows = Unsqueeze (rows1, rows_axis)
    dx = Sub (columns, x)
    dy = Sub (rows, y)
    dx2 = Mul (dx, dx)
    dy2 = Mul (dy, dy)
    d2 = Add (dx2, dy2)
    d = Sqrt (d2)
    above_b = Greater (d, r)
    above = Cast <to = 1> (above_b)
    has_b = Greater (r, zero)
    has = Cast <to = 1> (has_b)
    high = Mul (above, has)
    low = Sub (one, high)
    over = Sub (frame, sky)
    part = Div (over, bright)
    seen = Mul (part, valid)
    p4 = Mul (seen, four)
    p1 = Clip (p4, zero, one)
    plume = Mul (p1, high)
    q2 = Mul (seen, two)
    q0 = Sub (q2, two)
    q1 = Clip (q0, zero, one)
    hotspot = Mul (q1, low)
    probability = Concat <axis = 1> (plume, hotspot)
}
"""


def write_model(path: Path, **changed: object) -> Path:
    """Write the model file; ``changed`` replaces entries of its card."""
    model = parser.parse_model(GRAPH)
    onnx.checker.check_model(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = "card", json.dumps(CARD | changed)
    onnx.save(model, path)
    return path
