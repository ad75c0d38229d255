"""Sectors of a large limb bent round to smaller ones, and the answers put back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.closer import CLOSER_FROM_PX, COUNTED, SECTOR_PX, Sector, sectors
from detector.frame import Frame
from detector.limb import Limb
from detector.regions import altitude_px, azimuth_deg

SHAPE = (700, 900)
LIMB = Limb(430.0, 1050.0, 800.0, 0.2)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
ALTITUDE = altitude_px(COLUMNS, ROWS, LIMB)
TOP_RAD = -math.pi / 2


def frame_of(image: np.ndarray) -> Frame:
    return Frame.of(image.astype(np.float32))


DISK = frame_of(np.where(ALTITUDE < 0, 100.0, 5.0) + np.random.default_rng(0).normal(0, 1, SHAPE))


@settings(deadline=None, max_examples=30)
@given(st.floats(CLOSER_FROM_PX, 1500), st.floats(0, 2 * math.pi))
def test_every_azimuth_counts_in_one_sector_of_the_right_size(radius: float, azimuth: float) -> None:
    """On a frame that shows the whole limb."""
    side = math.ceil(2 * radius) + 8
    frame = Frame.of(np.broadcast_to(np.float32(1), (side, side)))
    listed = sectors(frame, Limb(side / 2, side / 2, radius))
    counting = [
        sector
        for sector in listed
        if abs(math.remainder(azimuth - sector.middle_rad, 2 * math.pi)) <= 0.5 * COUNTED * sector.span_rad + 1e-9
    ]
    assert 1 <= len(counting) <= 2  # two only where they meet
    assert len(listed) == math.ceil(radius / SECTOR_PX)
    assert all(sector.radius_px <= SECTOR_PX / COUNTED + 1e-6 for sector in listed)


def test_only_sectors_that_the_frame_shows_are_looked_at() -> None:
    """Of three: the limb leaves this frame at 237 and 306 degrees from +x towards +y, so the first shows nothing."""
    assert [math.degrees(sector.middle_rad) for sector in sectors(DISK, LIMB)] == pytest.approx([180, 300])
    assert sectors(DISK, Limb.none("none in this test")) == []
    assert sectors(DISK, Limb(430.0, 650.0, 499.0)) == []


def test_a_bent_sector_is_a_disk_with_the_levels_of_the_whole_frame() -> None:
    sector = Sector(DISK, LIMB, TOP_RAD, math.radians(80))
    frame, limb = sector.bent()
    assert limb.radius_px == pytest.approx(800 * 80 / 360)
    assert frame.levels == DISK.levels
    rows, columns = np.nonzero(frame.valid)
    altitude = altitude_px(columns.astype(float), rows.astype(float), limb)
    light = frame.image[frame.valid]
    assert np.abs(np.median(light[altitude < -2]) - 100) < 1
    assert np.abs(np.median(light[altitude > 2]) - 5) < 1
    assert (light[altitude < -2] > 50).all()
    assert (light[altitude > 2] < 50).all()


def test_a_pixel_along_the_limb_stays_a_pixel() -> None:
    """Two stakes on the limb 40 px apart are 40 px apart on the bent limb, as high as before."""
    turn = 40 / 800
    image = np.full(SHAPE, 1.0)
    for angle in (TOP_RAD - turn / 2, TOP_RAD + turn / 2):
        x, y = (LIMB.x_px + 815 * math.cos(angle), LIMB.y_px + 815 * math.sin(angle))
        image += 100 * np.exp(-((COLUMNS - x) ** 2 + (ROWS - y) ** 2) / (2 * 2.0**2))
    frame, limb = Sector(frame_of(image), LIMB, TOP_RAD, math.radians(80)).bent()
    rows, columns = (axis.astype(float) for axis in np.nonzero(frame.image > 80))
    altitude, azimuth = altitude_px(columns, rows, limb), azimuth_deg(columns, rows, limb)
    first, second = (np.mean(azimuth[part]) for part in (azimuth < azimuth.mean(), azimuth > azimuth.mean()))
    assert math.radians(second - first) * limb.radius_px == pytest.approx(40, abs=0.5)
    assert altitude.mean() == pytest.approx(15, abs=0.5)


def test_what_was_found_comes_back_to_where_it_is() -> None:
    """A patch bent and put back is the patch, where the sector counts; elsewhere the plane stays as it was."""
    patch = np.exp(-((COLUMNS - 445) ** 2 + (ROWS - 238) ** 2) / (2 * 8.0**2))
    frame, _ = Sector(frame_of(patch), LIMB, TOP_RAD, math.radians(80)).bent()
    plane = np.full(SHAPE, np.nan, np.float32)
    plane[240, 445] = 2.0
    Sector(DISK, LIMB, TOP_RAD, math.radians(80)).put_back(frame.image, plane)
    assert plane[240, 445] == 2.0  # the higher of the two
    plane[240, 445] = patch[240, 445]
    known = np.isfinite(plane)
    assert np.abs(plane[known] - patch[known]).max() < 0.02
    aside = np.abs((azimuth_deg(COLUMNS, ROWS, LIMB) + 180) % 360 - 180)
    radius = 800 * 80 / 360
    counted = (aside <= 0.5 * COUNTED * 80) & (np.abs(ALTITUDE - 0.12 * radius) <= 0.16 * radius)
    assert (known != counted).mean() < 1e-3
