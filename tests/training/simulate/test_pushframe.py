"""JunoCam's lens against the instrument kernel, the spacecraft's reconstructed attitude, and limbs of real strips."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import spiceypy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.frame import Frame
from detector.instruments import JUNOCAM, JUNOCAM_FOCAL_PX, JUNOCAM_SPIN_AXIS
from detector.readers import read_frames
from training.simulate.pushframe import PushFrame, distorted, undistorted

Array = NDArray[np.float64]

NAIF = {"BLUE": -61501, "GREEN": -61502, "RED": -61503, "METHANE": -61504}
DELAY_S = 0.372


def pixels(lens: PushFrame, x: Array, y: Array) -> tuple[Array, Array]:
    u, v = lens.ideal(x, y)
    return u.astype(np.float64), v.astype(np.float64)


def rays(lens: PushFrame, x: Array, y: Array) -> Array:
    """Unit vectors (..., 3) about Io's direction."""
    u, v = (offset - io for offset, io in zip(pixels(lens, x, y), lens.io_px, strict=True))
    ray = np.stack([u * JUNOCAM.ifov_rad, v * JUNOCAM.ifov_rad, np.ones_like(u)], -1)
    return np.asarray(ray / np.linalg.norm(ray, axis=-1, keepdims=True))


lenses = st.builds(
    PushFrame,
    filter_name=st.sampled_from(list(NAIF)),
    n_frames=st.integers(1, 8),
    interframe_delay_s=st.floats(0.36, 0.38),
    io_px=st.tuples(st.floats(-200, 456), st.floats(-200, 456)),
    corner_px=st.tuples(st.integers(0, 1392), st.integers(0, 60)),
    jogs_px=st.sampled_from([(), tuple((0.4 * (-1) ** n, 1.1 * n) for n in range(8))]),
    growth=st.floats(-0.003, 0.003),
)


@settings(max_examples=40, deadline=None)
@given(lens=lenses, seed=st.integers(0, 99))
def test_pixel_and_ideal_are_each_other_undone(lens: PushFrame, seed: int) -> None:
    x, y = np.random.default_rng(seed).uniform(0, 255, (2, 500))
    u, v = pixels(lens, x, np.minimum(y, 128.0))
    back = lens.pixel(u, v)
    again = pixels(lens, *back)
    assert np.hypot(again[0] - u, again[1] - v).max() < 0.05
    # What does not come back to itself is seen twice: by two framelets that overlap more than the mosaic's step says.
    elsewhere = np.hypot(back[0] - x, back[1] - np.minimum(y, 128.0)) > 0.05
    assert elsewhere.mean() < 0.15


@settings(max_examples=40, deadline=None)
@given(lens=lenses)
def test_io_is_where_it_was_asked_for(lens: PushFrame) -> None:
    at = np.array([lens.io_px[0]]), np.array([lens.io_px[1]])
    assert np.hypot(*(found - asked for found, asked in zip(pixels(lens, *at), at, strict=True)))[0] < 1e-3


def test_a_grid_of_rows_and_columns_is_every_pixel_by_itself() -> None:
    lens = PushFrame("RED", 4, DELAY_S, (130.0, 150.0), (300, 40))
    x, y = np.broadcast_arrays(np.arange(256.0)[None], np.arange(256.0)[:, None])
    np.testing.assert_array_equal(lens.ideal(x, y), lens.ideal(x.copy(), y.copy()))


def test_the_distortion_is_undone_all_over_the_detector() -> None:
    radius, angle = np.meshgrid(np.linspace(0, 880, 60), np.linspace(0, 6, 12))
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    back = undistorted(*distorted(x, y))
    assert np.hypot(back[0] - x, back[1] - y).max() < 1e-3


def test_behind_the_camera_there_is_nothing() -> None:
    lens = PushFrame("GREEN", 60, DELAY_S, (800.0, 60.0))
    u, _ = lens.ideal(np.array([800.0, 800.0]), np.array([60.0, 60.0 + 45 * 115.8]))  # 45 framelets are half a turn
    assert np.isfinite(u[0])
    assert np.isnan(u[1])


def test_what_lies_in_a_gap_goes_to_the_nearest_framelet() -> None:
    """Framelets pushed 6 rows apart leave a gap at the seam; a point a row below its upper edge comes 1 row below."""
    lens = PushFrame("GREEN", 3, DELAY_S, (800.0, 60.0), jogs_px=((0.0, 0.0), (0.0, -6.0), (0.0, -12.0)))
    edge = float(np.flatnonzero(np.diff(lens._layout[0]) == 1)[0])
    x = np.array([800.0, 800.0])
    u, v = pixels(lens, x, np.array([edge - 1, edge]))
    below = v[1] + (v[1] - v[0])
    _, row = lens.pixel(u[1:], np.array([below]))
    assert row[0] == pytest.approx(edge + 1, abs=0.05)


# -- kernels --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernels(shared: Path) -> Iterator[Path]:
    folder = shared / "data" / "kernels" / "JNCR_2016240_01M06152_V01"
    spiceypy.furnsh([str(folder / name) for name in ("juno_junocam_v03.ti", "juno_v12.tf")])
    yield folder
    spiceypy.kclear()


@pytest.mark.parametrize("name", NAIF)
def test_rays_of_the_corners_are_those_of_the_kernel(kernels: Path, name: str) -> None:
    corners = spiceypy.gdpool(f"INS{NAIF[name]}_FOV_BOUNDARY_CORNERS", 0, 12).reshape(4, 3)
    lens = PushFrame(name, 1, DELAY_S, (800.0, 60.0))
    ours = rays(lens, np.array([23.0, 23.0, 1630.0, 1630.0]), np.array([0.0, 127.0, 127.0, 0.0]))
    # Whatever way the ideal plane is turned, they are as far from each other; a pixel is 6.7e-4.
    apart = (np.linalg.norm(four[:, None] - four[None], axis=-1) for four in (ours, corners))
    np.testing.assert_allclose(*apart, atol=2e-6)


def transfer_number(text: str) -> float:
    """A number of a DAF transfer file: hexadecimal mantissa after the point, ^, exponent of 16."""
    mantissa, _, exponent = text.strip("'").partition("^")
    digits = mantissa.lstrip("-")
    size = int(digits, 16) * 16.0 ** ((int(exponent, 16) if exponent else len(digits)) - len(digits))
    return -size if mantissa.startswith("-") else size


@pytest.fixture(scope="module")
def spin(kernels: Path) -> Array:
    """Angular velocity of the spacecraft in the camera's frame, rad/s, in its reconstructed attitude."""
    lines = (kernels / "juno_sc_rec_160821_160827_v01_0_sliced_-61000.xc").read_text().split("\n")
    first = lines.index("771") + 1
    numbers = [transfer_number(line) for line in lines[first : first + 7]]
    turned = spiceypy.q2m(numbers[:4]) @ numbers[4:]
    return np.asarray(spiceypy.pxform("JUNO_SPACECRAFT", "JUNO_JUNOCAM", 0.0) @ turned)


def test_the_spin_axis_is_that_of_the_attitude(spin: Array) -> None:
    assert np.linalg.norm(-np.array(JUNOCAM_SPIN_AXIS) - spin / np.linalg.norm(spin)) < 1e-4
    assert np.linalg.norm(JUNOCAM_SPIN_AXIS) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(spin) == pytest.approx(2 * math.pi / 30, rel=0.03)


def test_framelets_look_where_a_turned_camera_looks(spin: Array) -> None:
    """The angle between pixels of two framelets is that of the camera's rays after SPICE has turned it."""
    lens = PushFrame("RED", 3, DELAY_S, (800.0, 60.0))
    tops, x = lens._layout[2], np.array([100.0, 1500.0])
    u, v = undistorted(x - 813.71, np.array([64.0, 40.0]) - (-151.52 - 0.5))
    camera = np.stack([u, v, np.full(2, JUNOCAM_FOCAL_PX)], -1)
    camera /= np.linalg.norm(camera, axis=-1, keepdims=True)
    turn = 2 * (DELAY_S + 0.001) * 2 * math.pi / 30
    later = spiceypy.axisar(spin / np.linalg.norm(spin), turn) @ camera[1]
    ours = rays(lens, x, np.array([64.0, 40.0 + tops[2]]))
    assert ours[0] @ ours[1] == pytest.approx(camera[0] @ later, abs=2e-5)


# -- real strips ----------------------------------------------------------------------------------------------------


def limb_column(line: NDArray[np.float32], level: float) -> float:
    """Where a line first rises above a level, from the left, between pixels."""
    first = int(np.argmax(line[30:] > level)) + 30
    return first - 1 + float((level - line[first - 1]) / (line[first] - line[first - 1]))


def jump(along: Array, across: Array) -> float:
    """By how much a curve jumps in its middle, by straight lines through both halves."""
    half = len(along) // 2
    upper, lower = (np.polyfit(along[part], across[part], 1) for part in (slice(half), slice(half, None)))
    return float(
        np.polyval(lower, along[half - 1 : half + 1].mean()) - np.polyval(upper, along[half - 1 : half + 1].mean())
    )


@pytest.mark.parametrize(
    ("name", "level", "least"), [("RED", 1000.0, 5.0), ("GREEN", 1000.0, 1.9), ("BLUE", 500.0, 1.5)]
)
def test_jupiters_limb_runs_on_over_the_seams(shared: Path, name: str, level: float, least: float) -> None:
    """Near-vertical limb: it jumps in the mosaic and runs on within 1.1 px on the ideal plane."""
    frames = read_frames(shared / "data" / "junocam" / "JNCE_2022186_43C00078_V01-raw.png")
    frame: Frame = next(f for f in frames if f.filter == name)
    lens = PushFrame(name, int(frame.keywords["framelets"]), DELAY_S, (420.0, 470.0))
    jumps = []
    for seam in np.flatnonzero(np.diff(lens._layout[0]) == 1) + 1:
        rows = np.arange(seam - 8.0, seam + 8.0)
        bright = frame.image[seam - 8 : seam + 8, 30:].max() > 2 * level
        x = np.array([limb_column(frame.image[int(row)], level) for row in rows]) if bright else np.zeros(16)
        if bright and abs(np.median(np.diff(x))) < 0.5:
            u, v = pixels(lens, x, rows)
            jumps.append((abs(jump(rows, x)), abs(jump(v, u))))
    assert len(jumps) >= 2
    mosaic, ideal = np.median(jumps, axis=0)
    assert mosaic > least
    assert ideal < 1.1
