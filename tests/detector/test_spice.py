"""Geometry from real kernels: an SSI frame of Io, JunoCam's framelets, and SPICE's own answer for every Juno camera."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spiceypy
from daf import to_binary
from numpy.typing import NDArray

from detector import spice
from detector.errors import InputError
from detector.frame import IO_RADIUS_KM, Frame, View
from detector.geometry import Pointing, backplanes
from detector.limb import Limb
from detector.optics import junocam_optics, optics_of
from detector.pointing import foreseen, geometry_of
from detector.readers import ssi
from detector.readers.junocam import framelet_step_px, mosaic_rows
from detector.readers.pds3 import read_label

NO_LIMB = Limb.none("none in this test")
DELAY_S, FRAMELETS = 0.378, 12
JUNO_START = "2016-08-27T09:00:04.129"
SEEN_FROM_KM = 30_000.0


def gather(source: Path, folder: Path) -> Path:
    """A folder as a user has it: the slices in transfer format made binary, the rest as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.suffix in {".xsp", ".xc", ".xfr"}:
            to_binary(path, folder)
        elif path.suffix in spice.TEXT_KERNELS:
            shutil.copyfile(path, folder / path.name)
    return folder


@pytest.fixture(scope="module")
def galileo(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gather(shared / "data/kernels/E6I0032", tmp_path_factory.mktemp("galileo"))


@pytest.fixture(scope="module")
def juno(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gather(shared / "data/kernels/JNCR_2016240_01M06152_V01", tmp_path_factory.mktemp("juno"))


@pytest.fixture(scope="module")
def real(shared: Path) -> Frame:
    """Frame E6I0032 by its label, with no pixels."""
    facts = ssi._facts_of_label(read_label(shared / "data/galileo_ssi/E6I0032_pds3.lbl"))
    view, _ = ssi._view(facts, summed=False)
    zeros = np.zeros((800, 800), np.float32)
    known = {"id": "E6I0032", "instrument": "galileo_ssi", "target": "IO", "filter": facts.filter}
    return Frame.of(zeros, start_time=facts.start_time, view=view, **known)


def sub_point(vector: NDArray[np.float64]) -> tuple[float, float]:
    """Planetocentric latitude and west longitude of a vector in the body's frame."""
    lat = math.degrees(math.asin(vector[2] / np.linalg.norm(vector)))
    return lat, math.degrees(-math.atan2(vector[1], vector[0])) % 360


# -- the real frame E6I0032 -----------------------------------------------------------------------------------------


def test_the_kernels_say_what_the_label_prints(real: Frame, galileo: Path) -> None:
    """Sub-points to the last printed digit; the range, from a trajectory predicted in January 1998, 8 km less in it."""
    pointing = spice.pointing_of(real, galileo)
    pose, view = pointing.poses[0], real.view
    assert (pointing.source, pointing.strip, len(pointing.poses)) == ("spice", None, 1)
    assert pose.range_km == pytest.approx(1_073_676.4, abs=0.1)
    assert pose.range_km == pytest.approx(view.range_km, rel=1e-5)
    assert sub_point(pose.position_km) == pytest.approx(
        (view.sub_spacecraft_lat_deg, view.sub_spacecraft_lon_w_deg), abs=0.0051
    )
    assert sub_point(pointing.sun) == pytest.approx((view.sub_solar_lat_deg, view.sub_solar_lon_w_deg), abs=0.0006)
    phase = float(pointing.at(*(float(c[0]) for c in pointing.pixels(np.zeros((1, 3)))[:2])).phase_deg)
    assert phase == pytest.approx(view.phase_deg, abs=0.006)


def test_what_kernels_foresee_is_what_the_label_prints(real: Frame, galileo: Path) -> None:
    """The view for the limb search: every number of the label, the centre within the label's own pointing error."""
    known, seen = real.view, foreseen(real, galileo).view
    assert (seen.source, seen.target, seen.centre_sigma_px) == ("spice", "IO", 7.0)
    assert seen.range_km == pytest.approx(known.range_km, rel=1e-5)
    for name in ("sub_spacecraft_lat_deg", "sub_spacecraft_lon_w_deg", "sub_solar_lat_deg", "sub_solar_lon_w_deg"):
        assert getattr(seen, name) == pytest.approx(getattr(known, name), abs=0.0051)
    assert seen.phase_deg == pytest.approx(known.phase_deg, abs=0.006)
    assert (seen.north_azimuth_deg - known.north_azimuth_deg) % 360 == pytest.approx(0, abs=0.1)
    off = math.hypot(seen.centre_x_px - known.centre_x_px, seen.centre_y_px - known.centre_y_px)
    assert off == pytest.approx(6.8, abs=0.2)


def test_kernels_that_do_not_cover_the_frame_foresee_nothing(real: Frame, galileo: Path, tmp_path: Path) -> None:
    assert foreseen(real, tmp_path) is real
    late = replace(real, start_time="2001-01-01T00:00:00Z")
    assert foreseen(late, galileo) is late


def test_the_camera_looks_where_the_label_says(real: Frame, galileo: Path) -> None:
    """Declination to the printed digit; the right ascension is 0.0037 degrees or 6 px off, and with it Io's place.

    The label was made from a pointing prediction; its predicted disk centre is off by the same 6 to 7 pixels.
    """
    pointing = spice.pointing_of(real, galileo)
    ask_spice(galileo)
    moment = spiceypy.utc2et(real.start_time.rstrip("Z"))
    _, light_s = spiceypy.spkpos("501", moment, "J2000", "LT+S", "-77")
    axis = spiceypy.pxform("IAU_IO", "J2000", moment - light_s) @ pointing.poses[0].rotation[2]
    ra, dec = np.degrees(spiceypy.recrad(axis)[1:])
    assert dec == pytest.approx(-25.015, abs=0.0005)
    assert ra == pytest.approx(271.728, abs=0.005)
    x, y, _ = pointing.pixels(np.zeros(3))
    off = math.hypot(float(x) - real.view.centre_x_px, float(y) - real.view.centre_y_px)
    assert off == pytest.approx(6.8, abs=0.2)
    assert math.radians(0.0037) * math.cos(math.radians(dec)) * optics_of(real).focal_px == pytest.approx(off, abs=1.2)
    assert off < 1.1 * pointing.centre_sigma_px


def test_the_reference_camera_has_the_same_attitude(real: Frame, galileo: Path, shared: Path) -> None:
    """Its answer of frame E6I0032: the matrices agree to rounding, its range is 99 km less (light time exchanged)."""
    model = json.loads((shared / "data/kernels/E6I0032/galileossi_isd.json").read_text())
    pose = spice.pointing_of(real, galileo).poses[0]
    camera = spiceypy.q2m(model["instrument_pointing"]["quaternions"][0])
    body = spiceypy.q2m(model["body_rotation"]["quaternions"][0])
    turned = pose.rotation @ (camera @ body.T).T  # the body has turned for the 3.6 s that the light took
    angle = math.degrees(math.acos(min(1.0, (np.trace(turned) - 1) / 2)))
    assert angle == pytest.approx(203.4889538 / 86400 * 3.5814, abs=1e-4)
    assert pose.range_km - np.linalg.norm(model["instrument_position"]["positions"][0]) == pytest.approx(99.4, abs=0.1)


def test_the_label_alone_is_as_good_with_the_same_centre(real: Frame, galileo: Path) -> None:
    """Within 0.01 px all over the disk."""
    by_spice = spice.pointing_of(real, galileo)
    x, y, _ = by_spice.pixels(np.zeros(3))
    view = replace(real.view, centre_x_px=float(x), centre_y_px=float(y))
    by_label = geometry_of(replace(real, view=view), NO_LIMB)
    assert by_label.source == "label"
    lat, lon_w = np.random.default_rng(4).uniform([-90, 0], [90, 360], (3000, 2)).T
    x, y, visible = by_spice.project(lat, lon_w)
    other_x, other_y, _ = by_label.project(lat, lon_w)
    assert 1300 < visible.sum() < 1700
    assert np.hypot(x - other_x, y - other_y)[visible].max() < 0.01


def test_a_limb_brings_both_to_the_same_places(real: Frame, galileo: Path) -> None:
    limb = Limb(600.0, 200.0, 167.1, 0.3)
    by_spice, by_label = geometry_of(real, limb, galileo), geometry_of(real, limb)
    assert (by_spice.source, by_label.source) == ("spice", "label")
    assert by_spice.centre_sigma_px == 0.3
    assert any("moved by" in note for note in by_spice.notes)
    here, there = (one.surface_point(570.0, 230.0) for one in (by_spice, by_label))
    assert here == pytest.approx(there, abs=0.01)


def test_prometheus_is_seen_where_spice_puts_it_loki_and_pele_are_not(real: Frame, galileo: Path) -> None:
    """Each step by SPICE's own routines: the place on the ellipsoid, its direction, the scan platform's frame."""
    pointing = spice.pointing_of(real, galileo)
    lat, lon_w = np.array([-1.5244, 13.0083, -18.71]), np.array([153.939, 308.7864, 255.28])
    x, y, visible = pointing.project(lat, lon_w)
    assert visible.tolist() == [True, False, False]
    ask_spice(galileo)
    moment = spiceypy.utc2et(real.start_time.rstrip("Z"))
    place = spiceypy.srfrec(501, math.radians(-lon_w[0]), math.radians(lat[0]))
    io, light_s = spiceypy.spkpos("501", moment, "J2000", "LT+S", "-77")
    seen = io + spiceypy.pxform("IAU_IO", "J2000", moment - light_s) @ place
    ray = spiceypy.ckgp(-77001, spiceypy.sce2c(-77, moment), 0.0, "J2000")[0] @ seen
    spiceypy.kclear()
    ideal = 1500.46655964 * ray[:2] / ray[2]
    picture = ideal
    for _ in range(20):
        picture = ideal / (1 - 2.4976983626e-5 * (picture @ picture))
    # pck00009 has 1819.3 km for the middle axis, the project 1819.4
    np.testing.assert_allclose((x[0], y[0]), 399 + picture / 0.01524, atol=0.01)
    seen_there = pointing.at(x[0], y[0])
    assert (float(seen_there.lon_w_deg), float(seen_there.lon_e_deg)) == pytest.approx((153.939, -153.939), abs=1e-6)


# -- Juno's cameras against SPICE -----------------------------------------------------------------------------------


def junocam_frame(**known: object) -> Frame:
    """The METHANE mosaic of JNCR_2016240_01M06152_V01 with no pixels; its label names Jupiter."""
    step = framelet_step_px("METHANE", DELAY_S)
    keywords = {"INTERFRAME_DELAY": "0.378 <s>", "framelets": str(FRAMELETS), "framelet_step_px": f"{step:.3f}"}
    usual = {"instrument": "junocam", "filter": "METHANE", "start_time": JUNO_START, "target": "JUPITER"}
    usual |= {"id": "JNCR_2016240_01M06152_V01", "keywords": keywords, "view": View("label", "JUPITER")}
    return Frame.of(np.zeros((mosaic_rows(FRAMELETS, step), 1648), np.float32), **(usual | known))


def other_frame(instrument: str, band: str, name: str = "x", **keywords: str) -> Frame:
    shape = (128, 432) if instrument == "jiram" else (512, 512)
    view = View("label", "IO", mirrored=instrument == "jiram")
    known = {"filter": band, "id": name, "start_time": "2016-08-27T09:00:20", "target": "IO", "keywords": keywords}
    return Frame.of(np.zeros(shape, np.float32), instrument=instrument, view=view, **known)


def ask_spice(folder: Path) -> None:
    """Put all kernels of a folder into SPICE's pool, and nothing else, for asking SPICE itself."""
    spiceypy.kclear()
    kernels = spice.kernels_in(folder)
    for path in (*kernels.text, *kernels.positions, *kernels.attitudes):
        spiceypy.furnsh(str(path))


@pytest.fixture(autouse=True)
def _clean_pool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("IO_DETECTOR_KERNELS", raising=False)
    yield
    spiceypy.kclear()


def framelet_moment(index: int) -> float:
    return spiceypy.utc2et(JUNO_START) + 0.06188 + index * (DELAY_S + 0.001)


def kernel_ray(column: float, row: float) -> NDArray[np.float64]:
    """The instrument kernel's recipe for METHANE: five steps of its own iteration; pixel centres are at 0.5."""
    x0, y0 = column + 0.5 - 814.21, row + 0.5 - 315.48
    x, y = x0, y0
    for _ in range(5):
        r2 = x * x + y * y
        factor = 1 - 5.9624209455667325e-08 * r2 + 2.7381910042256151e-14 * r2 * r2
        x, y = x0 / factor, y0 / factor
    return np.array([x, y, 10.95637 / 0.0074])


@pytest.mark.parametrize("index", [0, 7, 11])
def test_a_framelet_s_pixels_look_where_spice_says(index: int, juno: Path) -> None:
    """Rays of the framelet's own moment and attitude; in Jupiter's frame of reference, the slices hold no Io."""
    pointing = spice.pointing_of(junocam_frame(), juno, target="JUPITER")
    assert len(pointing.poses) == FRAMELETS
    ask_spice(juno)
    moment = framelet_moment(index)
    seen, light_s = spiceypy.spkpos("599", moment, "J2000", "LT+S", "-61")
    turn = spiceypy.pxform("J2000", "IAU_JUPITER", moment - light_s) @ spiceypy.pxform("JUNO_JUNOCAM", "J2000", moment)
    optics = junocam_optics("METHANE")
    pose = pointing.poses[index]
    np.testing.assert_allclose(pose.range_km, np.linalg.norm(seen), rtol=1e-12)
    for column, row in ((30, 3), (814, 64), (1600, 120)):
        u, v = optics.directions(np.array(float(column)), np.array(float(row)))
        ours = pose.rotation.T @ np.array([float(u), float(v), 1.0])
        theirs = turn @ kernel_ray(column, row)
        cosine = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)
        assert math.acos(min(1.0, cosine)) / 672.7e-6 < 0.01  # pixels


def with_io(folder: Path, target: Path, frame: str, ray: NDArray[np.float64], moment: float) -> Path:
    """The kernels, and an SPK that puts Io 30 000 km away where a camera looks at a moment."""
    shutil.copytree(folder, target)
    ask_spice(folder)
    away = SEEN_FROM_KM * (spiceypy.pxform(frame, "J2000", moment) @ (ray / np.linalg.norm(ray)))
    states = np.tile(np.concatenate([away, np.zeros(3)]), (4, 1))
    handle = spiceypy.spkopn(str(target / "io.bsp"), "IO", 0)
    spiceypy.spkw08(handle, 501, -61, "J2000", moment - 30, moment + 30, "IO", 1, 4, states, moment - 30, 20.0)
    spiceypy.spkcls(handle)
    spiceypy.kclear()
    return target


@pytest.fixture(scope="module")
def juno_io(juno: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Io in the middle of JunoCam's sixth METHANE framelet."""
    ask_spice(juno)
    return with_io(juno, tmp_path_factory.mktemp("io") / "k", "JUNO_JUNOCAM", kernel_ray(900, 64), framelet_moment(5))


def test_junocam_sees_io_in_its_mosaic_as_spice_does(juno_io: Path) -> None:
    """The label names Jupiter, Io is in the frame all the same; places on it agree with SPICE's own intercepts."""
    frame = junocam_frame()
    pointing = geometry_of(frame, NO_LIMB, juno_io)
    assert (pointing.source, pointing.range_km) == ("spice", pytest.approx(SEEN_FROM_KM, rel=1e-3))
    planes = backplanes(pointing, frame.shape)
    rows, columns = np.nonzero(planes.altitude_km < 0)
    assert math.sqrt(rows.size / math.pi) == pytest.approx(IO_RADIUS_KM / SEEN_FROM_KM * 1480.6, rel=0.05)
    assert np.unique(pointing.strip.framelet[rows]).size >= 2
    rows, columns = np.nonzero(planes.emission_deg < 80)
    ask_spice(juno_io)
    off = []
    for row, column in zip(rows[::1500], columns[::1500], strict=True):
        index = int(pointing.strip.framelet[row])
        ray = kernel_ray(column, row - pointing.strip.tops[index])
        place = spiceypy_place("JUNO_JUNOCAM", framelet_moment(index), ray)
        off.append(apart_deg(place, pointing.surface_point(float(column), float(row))))
    assert len(off) > 10
    assert max(off) < 0.02  # 0.03 px


def test_kernels_show_io_on_a_frame_of_jupiter(juno_io: Path) -> None:
    """JunoCam's labels name Jupiter: where the kernels have Io on the mosaic, that is where its limb is sought."""
    frame = junocam_frame()
    seen = foreseen(frame, juno_io)
    pointing = geometry_of(frame, NO_LIMB, juno_io)
    inside = backplanes(pointing, frame.shape).altitude_km < 0
    rows, columns = np.nonzero(inside)
    assert (frame.may_show_io, seen.may_show_io) == (False, True)
    assert (seen.view.centre_x_px, seen.view.centre_y_px) == pytest.approx((columns.mean(), rows.mean()), abs=3)
    assert seen.view.io_radius_px == pytest.approx(math.sqrt(inside.sum() / math.pi), rel=0.05)
    away = replace(frame, start_time="2016-08-27T09:01:30.129")
    assert foreseen(away, juno_io) is away


def spiceypy_place(frame: str, moment: float, ray: NDArray[np.float64]) -> tuple[float, float]:
    place, _, _ = spiceypy.sincpt("ELLIPSOID", "IO", moment, "IAU_IO", "LT+S", "JUNO", frame, ray)
    return sub_point(np.asarray(place))


def apart_deg(one: tuple[float, float], other: tuple[float, float]) -> float:
    (lat1, lon1), (lat2, lon2) = np.radians(one), np.radians(other)
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(half)))


def test_framelets_overlap_in_the_order_in_which_they_are_laid(juno_io: Path) -> None:
    """What the bottom rows of a framelet see is what the top rows of the next see: the spin turns that way.

    By SPICE the spacecraft turned at 1.953 rpm in August 2016, 2.3 % less than the reader's 2 rpm.
    """
    pointing = geometry_of(junocam_frame(), NO_LIMB, juno_io)
    x, y = np.array([[float(c[0]) for c in pointing.sights[k].image(np.zeros((1, 3)))[:2]] for k in (4, 5, 6)]).T
    step = framelet_step_px("METHANE", DELAY_S)
    assert np.diff(y).mean() == pytest.approx(-step * 0.977, abs=0.7)
    np.testing.assert_allclose(np.diff(x), 0, atol=3)


def jiram_ray(x: float, y: float) -> NDArray[np.float64]:
    """As J. Perry's program has it: the picture is turned left to right, then samples run to +Y and lines to -X."""
    turned = 431 - x
    return np.array([(63.5 - y) * 237.767e-6, (turned - 215.5) * 237.767e-6, 1.0])


def sru_ray(x: float, y: float) -> NDArray[np.float64]:
    """The SIS: corrected tangents of samples and lines are -Y and -Z, the boresight is +X."""
    tx, ty = (x - 255.5) / 1760.21137, (y - 255.5) / 1760.21137
    r = math.hypot(tx, ty)
    f = 0.999432579 - 0.0295412410 * r + 0.2733020107 * r**2 - 1.9368112951 * r**4
    return np.array([1.0, -tx * f, -ty * f])


@pytest.mark.parametrize(
    ("frame", "name", "ray"),
    [
        (other_frame("jiram", "M"), "JUNO_JIRAM_I_MBAND", jiram_ray),
        (other_frame("jiram", "L"), "JUNO_JIRAM_I_LBAND", jiram_ray),
        (other_frame("sru", "", "SRU_1_2016240T090020_01_V01"), "JUNO_SRU1", sru_ray),
        (other_frame("sru", "", "SRU_2_2016240T090020_01_V01"), "JUNO_SRU2", sru_ray),
    ],
)
def test_jiram_and_sru_look_where_spice_says(frame, name, ray, juno: Path, tmp_path: Path) -> None:
    ask_spice(juno)
    moment = spiceypy.utc2et(frame.start_time)
    x, y = (150.0, 50.0) if frame.instrument == "jiram" else (400.0, 130.0)
    folder = with_io(juno, tmp_path / "k", name, ray(x, y), moment)
    pointing = geometry_of(frame, NO_LIMB, folder)
    assert pointing.source == "spice"
    ask_spice(folder)
    for dx, dy in ((0, 0), (60, 10), (-35, -40), (20, 45)):
        expected = spiceypy_place(name, moment, ray(x + dx, y + dy))
        assert apart_deg(expected, pointing.surface_point(x + dx, y + dy)) < 0.01
    # the other way: SPICE's place falls on the pixel
    back_x, back_y, visible = pointing.project(*expected)
    assert visible
    assert (float(back_x), float(back_y)) == pytest.approx((x + dx, y + dy), abs=0.01)


def test_jiram_s_clock_is_late_from_orbit_51_on(juno: Path, tmp_path: Path) -> None:
    frame = other_frame("jiram", "M")
    ask_spice(juno)
    start = spiceypy.utc2et(frame.start_time)
    folder = with_io(juno, tmp_path / "k", "JUNO_JIRAM_I_MBAND", np.array([0.0, 0.0, 1.0]), start)
    for orbit, late in (("50", 0.0), ("51", 0.62)):
        of_orbit = other_frame("jiram", "M", ORBIT_NUMBER=orbit)
        pose = spice.pointing_of(of_orbit, folder).poses[0]
        ask_spice(folder)
        _, light_s = spiceypy.spkpos("501", start - late, "J2000", "LT+S", "-61")
        turn = spiceypy.pxform("JUNO_JIRAM_I_MBAND", "J2000", start - late)
        boresight = spiceypy.pxform("J2000", "IAU_IO", start - late - light_s) @ turn[:, 2]
        assert pose.rotation[2] @ boresight == pytest.approx(1, abs=1e-12)


# -- which kernels --------------------------------------------------------------------------------------------------


def test_a_gap_is_refused_and_named(real: Frame, galileo: Path) -> None:
    """Between the two slices of the scan platform's attitude and of the trajectory; before them; after them."""
    between = replace(real, start_time="1997-02-19T20:40:00Z")
    with pytest.raises(InputError) as caught:
        spice.pointing_of(between, galileo)
    text = str(caught.value)
    assert "no position of the spacecraft (-77) from 1997-02-19T20:25:04.228 to 1997-02-19T21:07:22.314" in text
    assert "the frame is of 1997-02-19T20:40:00.000" in text
    with pytest.raises(InputError, match="from ever to 1997-02-19T20:24:46"):
        spice.pointing_of(replace(real, start_time="1996-01-01"), galileo)
    with pytest.raises(InputError, match=r"from 1997-02-19T21:07:32\.392 to for ever"):
        spice.pointing_of(replace(real, start_time="1999-01-01"), galileo)
    # the ladder goes on with the label and says why
    pointing = geometry_of(between, NO_LIMB, galileo)
    assert pointing.source == "label"
    assert "from 1997-02-19T20:25:04.228" in pointing.notes[0]


def test_without_attitude_the_gap_is_in_the_attitude(real: Frame, galileo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(galileo, tmp_path / "k")
    for path in folder.glob("*.bc"):
        path.unlink()
    with pytest.raises(InputError, match=r"no attitude \(-77001\) from ever to for ever.*cover nothing"):
        spice.pointing_of(real, folder)


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("naif0012.tls", "leap-seconds"),
        ("mk00062b.tsc", "add the spacecraft's clock"),
        ("pck00009.tpc", "SPICE cannot compute"),
    ],
)
def test_a_missing_text_kernel_is_an_error_that_says_so(
    real: Frame, galileo: Path, tmp_path: Path, missing: str, complaint: str
) -> None:
    folder = shutil.copytree(galileo, tmp_path / "k")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=complaint):
        spice.pointing_of(real, folder)
    assert spice.pointing_of(real, galileo).known  # and the next folder is read as if nothing had been


def test_io_must_be_in_the_kernels(juno: Path) -> None:
    with pytest.raises(InputError, match=r"no position of the target \(501\)"):
        spice.pointing_of(junocam_frame(), juno)


def test_io_outside_the_frame_of_another_target_is_no_geometry(juno: Path, tmp_path: Path) -> None:
    ask_spice(juno)
    folder = with_io(juno, tmp_path / "k", "JUNO_JUNOCAM", np.array([0.0, 1.0, 0.0]), framelet_moment(5))
    pointing = geometry_of(junocam_frame(), NO_LIMB, folder)
    assert pointing.source == "none"
    assert "spice: the target is JUPITER and Io is outside the frame" in pointing.notes


def test_the_limb_of_jupiter_does_not_move_io(juno_io: Path) -> None:
    """The label names Jupiter and the circle has not Io's size: it is left alone."""
    free = geometry_of(junocam_frame(), NO_LIMB, juno_io)
    kept = geometry_of(junocam_frame(), Limb(800.0, 600.0, 500.0, 0.3), juno_io)
    assert kept.surface_point(900.0, 630.0) == free.surface_point(900.0, 630.0)


def test_transfer_files_are_not_read_but_mentioned(real: Frame, shared: Path) -> None:
    with pytest.raises(InputError, match="4 files in transfer format are not read"):
        spice.pointing_of(real, shared / "data/kernels/E6I0032")


def test_reconstructed_kernels_come_after_predicted_ones(tmp_path: Path) -> None:
    """The file loaded last wins."""
    for name in ("ckz_plt_pre_1997.bc", "cka_plt.bc", "gll_rec.bc"):
        (tmp_path / name).write_bytes(b"DAF/CK  ")
    (tmp_path / "notes.txt").write_text("no kernel")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/b.bsp").write_bytes(b"DAF/SPK ")
    (tmp_path / "pck00010.tpc").write_text("KPL/PCK")
    (tmp_path / "pck00009.tpc").write_text("KPL/PCK")
    kernels = spice.kernels_in(tmp_path)
    assert [path.name for path in kernels.attitudes] == ["ckz_plt_pre_1997.bc", "cka_plt.bc", "gll_rec.bc"]
    assert [path.name for path in kernels.positions] == ["b.bsp"]
    assert [path.name for path in kernels.text] == ["pck00009.tpc", "pck00010.tpc"]
    (tmp_path / "deeper/c.bsp").write_bytes(b"DAF/SPK ")
    assert [path.name for path in spice.kernels_in(tmp_path).positions] == ["b.bsp", "c.bsp"]


def test_a_damaged_kernel_is_an_error_that_names_it(real: Frame, galileo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(galileo, tmp_path / "k")
    path = folder / "gllssi2isisAle1_1.bsp"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError, match=r"gllssi2isisAle1_1\.bsp"):
        spice.pointing_of(real, folder)


def test_without_spiceypy_the_label_is_used(real: Frame, galileo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spiceypy", None)
    pointing = geometry_of(real, NO_LIMB, galileo)
    assert pointing.source == "label"
    assert "io-detector[spice]" in pointing.notes[0]


def test_the_folder_may_be_named_in_the_environment(
    real: Frame, galileo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IO_DETECTOR_KERNELS", str(galileo))
    assert geometry_of(real, NO_LIMB).source == "spice"
    monkeypatch.setenv("IO_DETECTOR_KERNELS", str(galileo / "nowhere"))
    assert "is no folder" in geometry_of(real, NO_LIMB).notes[0]


def test_other_cameras_have_no_spice_geometry(galileo: Path) -> None:
    with pytest.raises(InputError, match="camera 'lorri'"):
        spice.pointing_of(Frame.of(np.zeros((4, 4)), instrument="lorri"), galileo)
    assert isinstance(geometry_of(Frame.of(np.zeros((4, 4))), NO_LIMB, galileo), Pointing)


def test_nothing_of_spice_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, detector.pointing, detector.vents; print('spiceypy' in sys.modules)"
    root = Path(spice.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
