"""Run lengths and outlines: exact there and back, as pycocotools has them, and refused where pycocotools is silent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.path import Path as Outline
from pycocotools import mask as coco_mask

from training.labels.rle import bounding_box, counts_of, decode, encode, filled, outlines

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


@given(MASKS)
def test_outlines_give_the_same_pixels_back_holes_and_all(mask):
    polygons = list(outlines(mask))
    assert all(len(polygon) >= 4 for polygon in polygons)
    np.testing.assert_array_equal(filled(polygons, mask.shape) if polygons else np.zeros_like(mask), mask)


@given(MASKS)
def test_counts_are_those_of_pycocotools(mask):
    """Its own decoder, its own box, and a run-length coding of three lines agree."""
    code = encode(mask)
    theirs = coco_mask.decode({"size": code["size"], "counts": code["counts"].encode()})
    np.testing.assert_array_equal(decode(code), theirs)
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat.astype(int), prepend=0)).tolist()
    assert counts_of(code["counts"]) == np.diff([0, *edges, flat.size]).tolist()
    if mask.any():
        rows, columns = np.nonzero(mask)
        wanted = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert bounding_box(code) == wanted


def test_by_hand():
    """Column by column: 3 zeros, 2 ones, 1 zero."""
    mask = np.array([[0, 1], [0, 1], [0, 0]], bool)
    assert counts_of(encode(mask)["counts"]) == [3, 2, 1]
    np.testing.assert_array_equal(decode({"size": [3, 2], "counts": [3, 2, 1]}), mask)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ({"size": [3, 2], "counts": [3, 2]}, "add up to 5, expected 3 x 2 = 6"),
        ({"size": [3, 2], "counts": [3, 4]}, "add up to 7"),
        ({"size": [3, 2], "counts": [8, -3, 1]}, "none below 0"),
        ({"size": [3, 2], "counts": "é"}, "expected '0' to 'o'"),
        ({"size": [3, 2], "counts": "32Q"}, "break off"),
        ({"size": [3, 2], "counts": ""}, "add up to 0"),
    ],
)
def test_what_does_not_add_up_is_refused(code, words):
    with pytest.raises(ValueError, match=words):
        decode(code)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_pixel_is_inside_when_its_centre_is(seed):
    """By matplotlib's point in polygon, but for centres within 0.2 px of an edge: pycocotools works in fifths."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    radii = rng.uniform(4, 11, angles.size)
    polygon = np.column_stack([12 + radii * np.cos(angles), 12 + radii * np.sin(angles)])
    mask = filled([polygon], (24, 24))
    rows, columns = np.indices(mask.shape)
    centres = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
    inside = Outline(polygon, closed=False).contains_points(centres).reshape(mask.shape)
    near = _distance(centres, polygon).reshape(mask.shape) < 0.2
    np.testing.assert_array_equal(mask[~near], inside[~near])


def _distance(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """From each point to the nearest edge of a polygon."""
    ends = np.roll(polygon, -1, axis=0)
    along = ends - polygon
    shares = ((points[:, None] - polygon) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    nearest = polygon + np.clip(shares, 0, 1)[..., None] * along
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1)
