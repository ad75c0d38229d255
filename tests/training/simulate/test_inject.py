"""Real pictures as hosts: what is measured of them, and what is put into them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import Frame, Noise, View
from detector.limb import Limb, find_limb
from detector.mask import Mask
from detector.readers import read_frame, read_frames
from training.labels import check_dataset, read_dataset
from training.simulate.host import geometry_of
from training.simulate.inject import inject
from training.simulate.inject_dataset import inject_dataset
from training.simulate.measured import (
    Measured,
    edge_psf_px,
    find_sun,
    measure,
    noise_curve,
    smallest_step,
    white_level,
)
from training.simulate.recipe import Recipe
from training.simulate.scene import Sample

QUIET = Recipe(empty=0.0, only=())  # something erupts in every frame; no radiation
CIRCLE = Limb(80.0, 70.0, 45.0)
NONE = Limb.none("a test")


def ball(phase_deg: float, azimuth_deg: float = 0.0, minnaert: float = 0.6, psf_px: float = 0.7) -> NDArray[np.float64]:
    """(150, 160) a ball of full brightness 1 on the circle of CIRCLE, rendered 4 x 4 finer than its pixels."""
    fine = 4
    y, x = ((c + 0.5) / fine - 0.5 for c in np.mgrid[: 150 * fine, : 160 * fine])
    u, v = (x - CIRCLE.x_px) / CIRCLE.radius_px, (y - CIRCLE.y_px) / CIRCLE.radius_px
    mu = np.sqrt(np.maximum(1 - u**2 - v**2, 0))
    a, p = np.radians([azimuth_deg, phase_deg])
    mu0 = np.maximum(np.sin(p) * (u * np.sin(a) - v * np.cos(a)) + np.cos(p) * mu, 0)
    light = np.where(mu > 0, mu0**minnaert * np.maximum(mu, 0.05) ** (minnaert - 1), 0)
    return cv2.GaussianBlur(light.reshape(150, fine, 160, fine).mean((1, 3)), (0, 0), psf_px)


def photographed(light: NDArray[np.float64], seed: int = 0, bright: float = 180.0, gain: float = 20.0) -> Frame:
    """Whole numbers: sky 12, read noise 1.5, shot noise."""
    signal = 12 + bright * light
    sigma = np.sqrt(1.5**2 + bright * light / gain)
    return Frame.of(np.round(np.random.default_rng(seed).normal(signal, sigma)), id="ball")


HALF_LIT = photographed(ball(90))


# -- what is measured -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [1.0, 5.0, 50.0])
def test_the_noise_of_every_brightness_is_recovered(gain: float) -> None:
    level = np.repeat(np.linspace(0, 400, 9), 64)[None].repeat(512, axis=0)
    true = np.sqrt(2.0**2 + level / gain)
    frame = Frame.of(np.random.default_rng(1).normal(10 + level, true))
    levels, sigmas = noise_curve(frame, math.inf, 1e-6)
    measured = Measured(levels, sigmas, 0.0, math.inf, 0.7, 10.0, 400.0)
    np.testing.assert_allclose(measured.sigma((10 + level[0]).astype(np.float32)), true[0], rtol=0.1)


def test_texture_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(2)
    rough = np.where(np.arange(512) % 128 < 64, 200 + 20 * rng.normal(size=(512, 512)), 200)
    ground = np.where(np.arange(512)[:, None] < 256, 10, rough)
    levels, sigmas = noise_curve(Frame.of(ground + rng.normal(0, 3, (512, 512))), math.inf, 1e-6)
    np.testing.assert_allclose(np.interp([10, 200], levels, sigmas), 3, rtol=0.15)


def test_a_camera_is_no_noisier_than_it_is_known_to_be() -> None:
    rng = np.random.default_rng(2)
    rough = np.concatenate([rng.normal(10, 1, (128, 256)), rng.normal(150, 20, (128, 256))])
    frame = Frame.of(rough, noise=Noise(1.0, 100.0))
    assert measure(frame, NONE).sigma(np.array([150], np.float32)) == pytest.approx(math.sqrt(1 + 1.4), rel=0.1)


@pytest.mark.parametrize("psf_px", [0.5, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("phase_deg", [5, 60, 120])
def test_the_optics_are_recovered_from_the_limb(psf_px: float, phase_deg: float) -> None:
    frame = photographed(ball(phase_deg, 40, psf_px=psf_px))
    assert edge_psf_px(frame, CIRCLE) == pytest.approx(psf_px, abs=0.15)


def test_a_limb_that_was_cut_out_says_nothing_of_the_optics() -> None:
    y, x = np.mgrid[:150, :160]
    disk = np.hypot(x - CIRCLE.x_px, y - CIRCLE.y_px) < CIRCLE.radius_px
    assert edge_psf_px(Frame.of(100.0 * disk), CIRCLE) == pytest.approx(0.7)


@pytest.mark.parametrize(("values", "step"), [([0, 1, 2, 5], 1), ([0, 0.25, 1.75], 0.25), ([7, 7, 7], 0)])
def test_the_smallest_step(values: list[float], step: float) -> None:
    assert smallest_step(Frame.of(np.array([values]))) == step


def test_floating_point_has_no_step() -> None:
    assert smallest_step(Frame.of(np.random.default_rng(0).normal(size=(64, 64)))) == 0


def test_white_is_where_the_brightest_pixels_pile_up() -> None:
    image = np.random.default_rng(0).normal(200, 30, (100, 100))
    assert white_level(Frame.of(image)) == math.inf
    assert white_level(Frame.of(image, saturation=255.0)) == 255
    assert white_level(Frame.of(np.minimum(image, 240), saturation=255.0)) == 240


@pytest.mark.parametrize("phase_deg", [30, 60, 90, 120, 150])
@pytest.mark.parametrize("minnaert", [0.5, 0.7, 1.0])
def test_the_sun_is_found_by_the_light_of_the_disk(phase_deg: float, minnaert: float) -> None:
    frame = photographed(ball(phase_deg, 3.1 * phase_deg, minnaert))
    azimuth, phase = find_sun(frame, CIRCLE, measure(frame, CIRCLE))
    assert (azimuth - 3.1 * phase_deg + 180) % 360 - 180 == pytest.approx(0, abs=15)
    assert phase == pytest.approx(phase_deg, abs=25)


def test_a_full_disk_has_little_phase() -> None:
    frame = photographed(ball(0))
    assert find_sun(frame, CIRCLE, measure(frame, CIRCLE))[1] < 25


def test_a_dark_disk_does_not_say_where_the_sun_is() -> None:
    frame = photographed(0 * ball(0))
    assert all(map(math.isnan, find_sun(frame, CIRCLE, measure(frame, CIRCLE))))


@pytest.mark.parametrize("sun", [(70.0, 80.0), (math.nan, math.nan)])
def test_the_geometry_agrees_with_the_limb_and_the_sun(sun: tuple[float, float]) -> None:
    geometry = geometry_of(HALF_LIT, CIRCLE, sun, np.random.default_rng(5))
    assert geometry.limb_circle() == pytest.approx((CIRCLE.x_px, CIRCLE.y_px, CIRCLE.radius_px), abs=0.02)
    if math.isfinite(sun[0]):
        x, y, _ = geometry.sun
        assert geometry.phase_deg == pytest.approx(sun[1], abs=1e-6)
        assert math.degrees(math.atan2(x, -y)) == pytest.approx(sun[0], abs=1e-6)
        assert abs(geometry.sub_solar[0]) < 20  # Io's equator lies towards the Sun


def test_what_the_label_says_is_kept() -> None:
    view = View("label", "IO", 400_000.0, 1e-5, math.nan, math.nan, math.nan, 5.0, 120.0, 2.0, 80.0, 30.0)
    geometry = geometry_of(replace(HALF_LIT, view=view), CIRCLE, (10.0, 40.0), np.random.default_rng(5))
    assert (geometry.sub_spacecraft, geometry.sub_solar, geometry.north_azimuth_deg) == ((5, 120), (2, 80), 30)
    assert geometry.ifov_rad == 1e-5


# -- what is put in -------------------------------------------------------------------------------------------------


def matched(sample: Sample, truth: NDArray[np.float32], sigma: float) -> list[tuple[float, float]]:
    """(matched filter's answer, what it should be on average) of a sample's objects, on a flat noise-free sky."""
    seen = (sample.frame.image - truth) / sigma
    return [(float((t.signal * seen[t.place]).sum()) / t.snr_mf, t.snr_mf) for t in sample.objects]


@pytest.mark.parametrize("step", [0.0, 1.0])
@pytest.mark.parametrize(("kind", "limb"), [("hotspot", NONE), ("plume", Limb(48.0, 60.0, 30.0))])
def test_the_matched_filter_answers_as_the_truth_says(step: float, kind: str, limb: Limb) -> None:
    sky, sigma = np.full((96, 96), 100, np.float32), 1.5
    flat = Measured(np.array([0.0, 1e5]), np.array([sigma, sigma]), step, math.inf, 0.8, 100.0, 0.0)
    one = replace(QUIET, hotspots=int(kind == "hotspot"), plumes=int(kind == "plume"))
    recipe = replace(one, hotspot_snr=(6.0, 25.0), plume_snr=(6.0, 25.0))
    found = []
    for index in range(300):
        image = np.random.default_rng(index).normal(sky, sigma)
        host = Frame.of(np.round(image) if step else image)
        found += matched(inject(host, limb, recipe, 0, index, measured=flat), sky, sigma)
    answer, promised = np.array(found).T
    assert len(found) > 120  # half of the frames get no plume
    assert np.mean(answer - promised) == pytest.approx(0, abs=0.3)
    assert np.std(answer - promised) == pytest.approx(1, abs=0.2)
    assert 5.5 < promised.min() < 8 < 18 < promised.max() < 25.1


def test_only_the_objects_pixels_change() -> None:
    for index in range(8):
        sample = inject(HALF_LIT, CIRCLE, replace(QUIET, plume_snr=(50.0, 400.0)), 1, index)
        inside = np.zeros(HALF_LIT.shape, bool)
        for thing in sample.objects:
            inside[thing.place] = True
        assert (sample.frame.image != HALF_LIT.image).any() == bool(sample.objects)
        np.testing.assert_array_equal(sample.frame.image[~inside], HALF_LIT.image[~inside])


def test_the_same_numbers_give_the_same_bytes() -> None:
    one, two, other = (inject(HALF_LIT, CIRCLE, Recipe(empty=0.0), 4, index) for index in (7, 7, 8))
    assert one.frame.image.tobytes() == two.frame.image.tobytes()
    assert [t.snr_mf for t in one.objects] == [t.snr_mf for t in two.objects]
    assert one.frame.image.tobytes() != other.frame.image.tobytes()
    assert one.frame.id == "ball-4-000007"


def test_radiation_hits_only_add_to_a_few_pixels_and_are_no_objects() -> None:
    samples = [inject(HALF_LIT, CIRCLE, Recipe(empty=1.0, only=("hits",)), 3, index) for index in range(12)]
    assert not any(sample.objects for sample in samples)
    changes = np.array([sample.frame.image - HALF_LIT.image for sample in samples])
    assert changes.min() == 0
    assert 0 < np.mean(changes > 0) < 1e-3


def test_numbers_stay_those_of_the_camera() -> None:
    clipped = np.minimum(HALF_LIT.image, 150)
    valid = np.ones(HALF_LIT.shape, bool)
    valid[:, :40] = False
    host = Frame.of(clipped, valid, id="host")
    for index in range(6):
        image = inject(host, CIRCLE, replace(Recipe(empty=0.0), plume_snr=(200.0, 900.0)), 2, index).frame.image
        assert image.max() <= 150
        np.testing.assert_array_equal(image, np.round(image))
        assert not image[:, :40].any()


def test_nothing_is_put_on_known_eruptions() -> None:
    planes = np.zeros((2, *HALF_LIT.shape), bool)
    planes[0, :, :90] = True
    known = Mask(planes, np.ones(HALF_LIT.shape, bool))
    samples = [inject(HALF_LIT, CIRCLE, QUIET, 6, index, known=known) for index in range(12)]
    assert any(sample.objects for sample in samples)
    assert not any((sample.mask().planes & planes[0]).any() for sample in samples)


def test_plumes_do_not_outshine_the_ground() -> None:
    recipe = replace(QUIET, hotspots=0, plumes=1, plume_snr=(20_000.0, 40_000.0))
    disk = measure(HALF_LIT, CIRCLE).disk
    y, x = np.mgrid[:150, :160]
    sky = np.hypot(x - CIRCLE.x_px, y - CIRCLE.y_px) > CIRCLE.radius_px + 3
    for index in range(12):
        image = inject(HALF_LIT, CIRCLE, recipe, 0, index).frame.image
        assert (image - HALF_LIT.image)[sky].max() <= 0.8 * disk + 6 * math.sqrt(0.8 * disk / 20)


def test_light_is_known_where_the_unit_is_a_physical_one() -> None:
    """Of a frame in I/F the truth says by how much the brightest pixel of a plume rises."""
    host = Frame.of((HALF_LIT.image - 12) / 300, unit="I/F", id="calibrated", instrument="galileo_ssi", filter="GREEN")
    recipe = replace(QUIET, hotspots=0, plumes=1, place="limb", plume_snr=(100.0, 300.0))
    risen = []
    for index in range(12):
        sample = inject(host, CIRCLE, recipe, 0, index)
        for thing in sample.objects:
            risen.append((thing.peak_i_over_f, (sample.frame.image - host.image)[thing.place].max()))
    said, seen = np.array(risen).T
    np.testing.assert_allclose(seen, said, atol=0.05)
    assert 0.004 < np.median(said) < 0.5


def test_in_reflected_light_hot_spots_lie_on_the_night_side() -> None:
    recipe = replace(QUIET, plumes=0, hotspots=3)
    for index in range(10):
        sample = inject(HALF_LIT, CIRCLE, recipe, 9, index)
        assert sample.objects
        for thing in sample.objects:
            row, column = np.unravel_index(thing.signal.argmax(), thing.signal.shape)
            assert thing.row + row > CIRCLE.y_px - 6  # lit from above, at a phase of 90 degrees
            assert math.hypot(thing.row + row - CIRCLE.y_px, thing.column + column - CIRCLE.x_px) < CIRCLE.radius_px + 1


def test_without_a_limb_there_are_no_plumes() -> None:
    kinds = {t.kind for index in range(8) for t in inject(HALF_LIT, NONE, QUIET, 0, index).objects}
    assert kinds == {"hotspot"}


def test_plumes_stand_at_the_limb_they_were_given() -> None:
    recipe = replace(QUIET, hotspots=0, plumes=1, place="limb", plume_snr=(60.0, 300.0))
    tops = []
    for index in range(20):
        for thing in inject(HALF_LIT, CIRCLE, recipe, 0, index).objects:
            rows, columns = np.nonzero(thing.on(HALF_LIT.shape))
            height = np.hypot(rows - CIRCLE.y_px, columns - CIRCLE.x_px) / CIRCLE.radius_px - 1
            tops.append(height.max())
    assert len(tops) > 5
    assert 0 < np.median(tops) < 0.3


# -- real frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["look/galileo_c9_pillan_plume_limb_prometheus_disk.jpg", "galileo_ssi/C0532836239R.IMG", "jiram/dark_1ms.cub"],
)
def test_real_frames_become_samples(shared: Path, name: str) -> None:
    host = read_frames(shared / "data" / name)[0]
    limb = find_limb(host)
    sample = inject(host, limb, replace(QUIET, plume_snr=(60.0, 600.0), hotspot_snr=(15.0, 200.0)), 3, 0)
    assert sample.objects
    assert sample.limb is limb
    assert np.isfinite(sample.frame.image).all()
    assert sample.frame.image.max() <= max(host.image.max(), measure(host, limb).white)
    for thing in sample.objects:
        change = (sample.frame.image - host.image)[thing.place][thing.mask]
        assert change.mean() > 0


def test_the_sun_of_the_c9_picture(shared: Path) -> None:
    """28 June 1997: the terminator runs across the picture below the disk's centre, the Sun stands above."""
    host = read_frames(shared / "data/look/galileo_c9_pillan_plume_limb_prometheus_disk.jpg")[0]
    limb = find_limb(host)
    azimuth, phase = find_sun(host, limb, measure(host, limb))
    assert min(azimuth, 360 - azimuth) <= 15
    assert phase == pytest.approx(85, abs=15)


# -- datasets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    folder = tmp_path / "hosts"
    folder.mkdir()
    fits.writeto(folder / "one.fits", HALF_LIT.image)
    fits.writeto(folder / "cube.fits", np.stack([HALF_LIT.image, photographed(ball(40), 1).image]))
    europa = fits.Header({"TARGET": "EUROPA"})
    fits.writeto(folder / "europa.fits", HALF_LIT.image, europa)
    return folder


def test_a_dataset_of_injected_frames(hosts: Path, tmp_path: Path) -> None:
    out, heard = tmp_path / "set", []
    config = tmp_path / "recipe.yaml"
    config.write_text("empty: 0.0\nplume_snr: [40, 400]\nhotspot_snr: [20, 90]\n")
    assert inject_dataset([hosts], out, 9, 5, config, lambda done, total: heard.append((done, total))) == 9
    assert heard[-1] == (9, 9)
    assert check_dataset(out) == []
    data = read_dataset(out)
    assert len(data) == 9
    assert len({s for o, s in data.splits.values() if o == "cube"}) == 1
    assert {o for o, _ in data.splits.values()} == {"one", "cube", "europa"}
    assert not any(data.labelled(name).objects for name in data.ids() if name.startswith("europa"))
    assert any(data.labelled(name).objects for name in data.ids() if name.startswith("one"))
    lock = json.loads((out / "dataset.lock").read_text())
    assert lock["made"]["hosts"] == {read_frames(p)[0].sha256: p.name for p in hosts.iterdir()}
    truth = [t for labelled in data for t in labelled.objects]
    assert all(math.isnan(t.area_km2) and math.isnan(t.optical_depth) for t in truth)  # these pictures are in DN
    again = tmp_path / "again"
    inject_dataset([hosts], again, 9, 5, config)
    assert (again / "dataset.lock").read_text() == (out / "dataset.lock").read_text()


def test_written_frames_keep_what_was_not_observed(tmp_path: Path) -> None:
    image = HALF_LIT.image.copy()
    image[:20] = np.nan
    fits.writeto(tmp_path / "host.fits", image)
    inject_dataset([tmp_path / "host.fits"], tmp_path / "set", 1, 0)
    frame = read_frame(tmp_path / "set/frames/host-0-000000.fits")
    np.testing.assert_array_equal(frame.valid, np.isfinite(image))


@pytest.mark.parametrize(("paths", "seed"), [(["nothing.fits"], 0), (["host.fits"], -1)])
def test_what_cannot_be_injected_into_is_refused(tmp_path: Path, paths: list[str], seed: int) -> None:
    fits.writeto(tmp_path / "host.fits", HALF_LIT.image)
    with pytest.raises(InputError):
        inject_dataset([tmp_path / p for p in paths], tmp_path / "set", 2, seed)
