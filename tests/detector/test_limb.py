"""The limb finder against circles that are known: closed forms, symmetries, and pictures without a limb."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from disks import Ball, Plume, Scene, fractal, render
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.frame import IO_RADIUS_KM, Frame, View
from detector.limb import Limb, find_limb

SHAPE = (220, 260)


def noisy(picture: NDArray[np.float64], sigma: float = 0.01, seed: int = 1) -> NDArray[np.float64]:
    return picture + np.random.default_rng(seed).normal(0, sigma, picture.shape)


def limb_of(scene: Scene, sigma: float = 0.01) -> Limb:
    return find_limb(Frame.of(noisy(render(scene), sigma, scene.seed)))


def miss(limb: Limb, ball: Ball) -> tuple[float, float]:
    """Error of the centre and of the radius, px."""
    return math.hypot(limb.x_px - ball.x, limb.y_px - ball.y), abs(limb.radius_px - ball.r)


def right(limb: Limb, ball: Ball) -> bool:
    """Within 1 px or 1 % of the radius."""
    return limb.trusted and max(miss(limb, ball)) <= max(1.0, 0.01 * ball.r)


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_a_flat_disk_is_recovered_to_a_sixth_of_a_pixel() -> None:
    """A disk of even brightness drawn by area coverage, as no camera sees one: nothing but the circle to measure."""
    errors = []
    for k in range(5):
        ball = Ball(128 + 0.37 * k, 101 - 0.23 * k, 31.3 + 8.1 * k)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        flat = np.clip(ball.r - np.hypot(x - ball.x, y - ball.y) + 0.5, 0, 1)
        limb = find_limb(Frame.of(noisy(flat, 0.005)))
        assert limb.source == "image"
        assert limb.arc_deg > 250  # so sharp an edge is strange to the network
        errors.append(miss(limb, ball))
    assert np.median(errors, axis=0) == pytest.approx([0, 0], abs=0.16)


def test_a_lit_sphere_is_recovered_to_a_fifth_of_a_pixel() -> None:
    """Limb darkening and albedo relief move the steepest fall a little."""
    balls = [Ball(120, 110, 20 + 15 * k, phase_deg=15 * k, sun_deg=70 * k) for k in range(5)]
    errors = [miss(limb_of(Scene(SHAPE, (b,), sky=0.02, seed=k)), b) for k, b in enumerate(balls)]
    assert np.median(errors, axis=0) == pytest.approx([0, 0], abs=0.2)


def test_the_error_is_stated_honestly() -> None:
    """Centre errors over the stated 1-sigma: neither tiny nor large."""
    pulls = []
    for k in range(12):
        ball = Ball(130 + k % 5, 112 - k % 3, 30 + 4 * k, phase_deg=10.0 * k, sun_deg=33.0 * k)
        limb = limb_of(Scene(SHAPE, (ball,), sky=0.03, seed=k), sigma=0.02)
        pulls.append(miss(limb, ball)[0] / limb.sigma_px)
    assert 0.1 < np.median(pulls) < 2.5
    assert max(pulls) < 8


@pytest.mark.parametrize(
    "ball",
    [
        Ball(60, 60, 9, phase_deg=20),
        Ball(120, 100, 60, phase_deg=100, sun_deg=20),
        Ball(120, 100, 70, phase_deg=140, sun_deg=250),
        Ball(20, 210, 130, phase_deg=30, sun_deg=300),
        Ball(130, 330, 300, phase_deg=50, sun_deg=270),
        Ball(120, 100, 60, phase_deg=150, sun_deg=120, night=0.03),
    ],
    ids=["small", "half", "crescent", "cut", "centre outside", "faint night side"],
)
def test_whole_cut_and_crescent_disks_are_found(ball: Ball) -> None:
    assert right(limb_of(Scene(SHAPE, (ball,), sky=0.02, seed=3)), ball)


def test_a_disk_far_larger_than_the_frame_is_found_from_its_arc() -> None:
    ball = Ball(300, -420, 800, phase_deg=40, sun_deg=90)
    limb = limb_of(Scene((600, 1000), (ball,), sky=0.02, seed=5))
    assert right(limb, ball)
    assert limb.arc_deg < 90


def test_a_very_large_frame_is_binned_and_the_circle_is_in_its_own_pixels() -> None:
    ball = Ball(1500.4, 1300.6, 700, phase_deg=30, texture=0.0)
    limb = limb_of(Scene((2600, 2900), (ball,), sky=0.02))
    assert miss(limb, ball) == pytest.approx((0, 0), abs=0.8)


# --- what must not drag the circle ------------------------------------------------------------------------------------


@pytest.mark.parametrize("brightness", [0.1, 0.3, 0.5])
def test_a_plume_on_the_limb_does_not_drag_it(brightness: float) -> None:
    ball = Ball(125, 108, 70, phase_deg=40, sun_deg=180)
    plumes = (Plume(170, 0.2, 0.18, brightness), Plume(270, 0.15, 0.12, brightness))
    with_plumes = limb_of(Scene(SHAPE, (ball,), plumes, sky=0.02))
    without = limb_of(Scene(SHAPE, (ball,), sky=0.02))
    assert math.hypot(with_plumes.x_px - without.x_px, with_plumes.y_px - without.y_px) < 0.4
    assert with_plumes.radius_px == pytest.approx(without.radius_px, abs=0.4)


def test_plumes_brighter_than_the_disk_make_the_limb_a_guess_but_do_not_drag_it() -> None:
    ball = Ball(125, 108, 70, phase_deg=40, sun_deg=180)
    plumes = (Plume(170, 0.2, 0.18, 1.2), Plume(270, 0.15, 0.12, 1.2))
    found = limb_of(Scene(SHAPE, (ball,), plumes, sky=0.02))
    assert miss(found if found.trusted else found.for_plumes, ball) == pytest.approx((0, 0), abs=0.7)


@pytest.mark.parametrize("phase_deg", [30.0, 60.0, 90.0])
def test_the_terminator_does_not_drag_it(phase_deg: float) -> None:
    ball = Ball(125, 108, 75, phase_deg=phase_deg, sun_deg=10, texture=0.1)
    assert miss(limb_of(Scene(SHAPE, (ball,), sky=0.02)), ball) == pytest.approx((0, 0), abs=0.5)


def test_hits_gaps_and_fiducial_marks_do_not_drag_it() -> None:
    ball = Ball(125, 108, 70, phase_deg=50, sun_deg=200)
    rng = np.random.default_rng(4)
    picture = noisy(render(Scene(SHAPE, (ball,), sky=0.05)))
    picture[rng.random(SHAPE) < 0.01] += 1.5
    picture[10::50, 10::50] = 0
    valid = np.ones(SHAPE, bool)
    valid[60:66], valid[:, 150:170] = False, False
    picture[~valid] = 9.0
    assert right(find_limb(Frame.of(picture, valid)), ball)


@pytest.mark.parametrize("seed", range(4))
def test_a_disk_fainter_than_a_pixels_noise_is_found_by_the_radius_that_is_known(seed: int) -> None:
    """A night side 0.8 sigma above the sky: 2 x 2 or 4 x 4 pixels together show it, one pixel does not."""
    rng = np.random.default_rng(seed)
    ball = Ball(128 + rng.uniform(-9, 9), 110 + rng.uniform(-9, 9), 72.0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    flat = 0.8 * np.clip(ball.r - np.hypot(x - ball.x, y - ball.y) + 0.5, 0, 1)
    view = View(source="label", target="IO", range_km=IO_RADIUS_KM / math.sin(math.atan(72e-5)), ifov_rad=1e-5)
    found = find_limb(Frame.of(noisy(flat, 1.0, seed), view=view, target="IO"))
    assert found.trusted
    assert miss(found, ball)[0] < 3 * found.sigma_px + 0.5
    assert found.sigma_px < 2


def test_halo_pedestal_gradient_and_an_eight_bit_stretch_do_not_hide_it() -> None:
    ball = Ball(125, 108, 60, phase_deg=80, sun_deg=30)
    picture = noisy(render(Scene(SHAPE, (ball,), sky=0.3, gradient=0.1, halo=0.06, blur_px=1.2)))
    assert right(find_limb(Frame.of(picture)), ball)
    stretched = np.clip(picture / np.percentile(picture, 99), 0, 1) ** 0.6 * 255
    assert right(find_limb(Frame.of(stretched.astype(np.uint8))), ball)


def test_io_is_chosen_beside_jupiter_and_beside_a_smaller_moon() -> None:
    io = Ball(90, 80, 25, phase_deg=40, sun_deg=180)
    jupiter = Ball(900, 300, 750, phase_deg=40, sun_deg=180, brightness=1.2, texture=0.1)
    assert right(limb_of(Scene((300, 400), (jupiter, io), sky=0.02)), io)
    moon = Ball(180, 150, 14, phase_deg=40, sun_deg=180)
    assert right(limb_of(Scene(SHAPE, (moon, Ball(90, 80, 40, 40, 180)), sky=0.02)), Ball(90, 80, 40))
    cut = Ball(30, 80, 55, phase_deg=25, sun_deg=100)
    whole_moon = Ball(140, 170, 28, phase_deg=25, sun_deg=100)
    assert right(limb_of(Scene(SHAPE, (whole_moon, cut), sky=0.02)), cut)


# --- no trusted limb --------------------------------------------------------------------------------------------------


def without_a_limb() -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(6)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    return {
        "noise": rng.normal(10, 3, SHAPE),
        "hits on noise": rng.normal(10, 1, SHAPE) + (rng.random(SHAPE) < 0.02) * rng.exponential(100, SHAPE),
        "one value": np.full(SHAPE, 7.0),
        "gradient": 0.3 * x + 0.1 * y,
        "surface": 100 * np.exp(0.4 * fractal(SHAPE, rng)) + rng.normal(0, 1, SHAPE),
        "cloud bands": 100 + 20 * np.sin(y / 9 + 0.5 * fractal(SHAPE, rng, 2.0)) + rng.normal(0, 1, SHAPE),
        "straight edge": np.where(x + 0.3 * y > 150, 100.0, 5.0) + rng.normal(0, 1, SHAPE),
        "odd and even columns": 100 + 5 * (x % 2) + rng.normal(0, 1, SHAPE),
        "moon of 5 px": noisy(render(Scene(SHAPE, (Ball(100, 100, 5.0),), sky=0.02))),
        "crop of 25 x 3": rng.normal(10, 1, (3, 25)),
    }


@pytest.mark.parametrize("name", without_a_limb())
def test_where_there_is_no_limb_the_answer_is_none_and_says_why(name: str) -> None:
    limb = find_limb(Frame.of(without_a_limb()[name]))
    assert not limb.trusted
    assert limb.reason
    assert math.isnan(limb.radius_px)


def test_a_limb_of_which_too_little_is_seen_is_a_guess_and_no_more() -> None:
    ball = Ball(110, 480, 420)
    limb = find_limb(Frame.of(noisy(render(Scene((150, 220), (ball,), sky=0.02)))))
    assert not limb.trusted
    assert "too little of it is seen" in limb.reason
    assert math.isnan(limb.radius_px)
    assert limb.guess is not None
    assert limb.guess.source == "guess"
    assert miss(limb.guess, ball) == pytest.approx((0, 0), abs=8)
    assert limb.for_plumes is limb.guess
    other = find_limb(Frame.of(noisy(render(Scene((150, 220), (ball,), sky=0.02))), target="EUROPA"))
    assert other.guess is None


def test_what_is_trusted_needs_no_guess() -> None:
    limb = limb_of(Scene(SHAPE, (Ball(125, 108, 60),), sky=0.02))
    assert limb.guess is None
    assert limb.for_plumes is limb


def test_a_frame_without_valid_pixels_has_none() -> None:
    assert find_limb(Frame.of(np.zeros(SHAPE), np.zeros(SHAPE, bool))).reason == "no valid pixel"


# --- symmetries -------------------------------------------------------------------------------------------------------

PICTURE = noisy(render(Scene((160, 200), (Ball(110, 70, 45, phase_deg=60, sun_deg=160),), sky=0.02, seed=8)))
FOUND = find_limb(Frame.of(PICTURE))


@settings(max_examples=6, deadline=None)
@given(turns=st.integers(0, 3), flip=st.booleans())
def test_turning_the_frame_turns_the_circle(turns: int, flip: bool) -> None:
    x, y, (rows, columns) = FOUND.x_px, FOUND.y_px, PICTURE.shape
    turned = PICTURE
    if flip:
        turned, x = turned[:, ::-1], columns - 1 - x
    for _ in range(turns):
        turned, x, y, rows, columns = np.rot90(turned), y, columns - 1 - x, columns, rows
    limb = find_limb(Frame.of(turned))
    assert (limb.x_px, limb.y_px, limb.radius_px) == pytest.approx((x, y, FOUND.radius_px), abs=0.25)


@settings(max_examples=6, deadline=None)
@given(scale=st.sampled_from([1e-4, 0.5, 3.0, 1e4]), offset=st.floats(-5, 5))
def test_scale_and_offset_of_the_brightness_change_nothing(scale: float, offset: float) -> None:
    limb = find_limb(Frame.of((PICTURE + offset) * scale))
    assert limb.as_array() == pytest.approx(FOUND.as_array(), abs=0.05)


# --- the label's prediction -------------------------------------------------------------------------------------------


def view(ball: Ball, target: str = "IO", off: float = 12.0, scale: float = 1.0) -> View:
    ifov = 1e-5
    distance = IO_RADIUS_KM / math.sin(ball.r * scale * ifov)
    return View("label", target, distance, ifov, ball.x + off, ball.y - off, centre_sigma_px=20)


SHORT = Ball(130, 480, 420, phase_deg=40, sun_deg=270)


def test_a_label_makes_a_short_arc_enough_and_is_refined() -> None:
    picture = noisy(render(Scene((110, 260), (SHORT,), sky=0.02)))
    limb = find_limb(Frame.of(picture, view=view(SHORT)))
    assert limb.source == "label"
    assert right(limb, SHORT)


def test_the_prediction_for_another_target_is_not_used() -> None:
    ball = Ball(125, 108, 60)
    picture = noisy(render(Scene(SHAPE, (ball,), sky=0.02)))
    limb = find_limb(Frame.of(picture, view=view(ball, "EUROPA", scale=0.5)))
    assert limb.source == "image"
    assert right(limb, ball)


@pytest.mark.parametrize("scale", [0.88, 0.94, 1.06, 1.12])
def test_a_label_that_is_a_little_wrong_does_not_pull_a_plain_limb(scale: float) -> None:
    ball = Ball(125, 108, 70)
    limb = find_limb(Frame.of(noisy(render(Scene(SHAPE, (ball,), sky=0.02))), view=view(ball, scale=scale)))
    assert miss(limb, ball) == pytest.approx((0, 0), abs=0.7)


def test_a_wrong_label_is_not_believed() -> None:
    ball = Ball(125, 108, 60)
    limb = find_limb(Frame.of(noisy(render(Scene(SHAPE, (ball,), sky=0.02))), view=view(ball, scale=0.6)))
    assert limb.source == "image"
    assert right(limb, ball)


# --- real pictures ----------------------------------------------------------------------------------------------------


def real(path: Path) -> Frame:
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as picture:
        return Frame.of(np.asarray(picture.convert("L"), np.float32), unit="luminance", id=path.stem)


def test_the_limb_of_a_real_galileo_picture_with_a_plume(shared: Path) -> None:
    """Read by eye: the limb's top at y = 43 +- 2, its left end at x = 35 +- 3, its right end at x = 625 +- 3."""
    limb = find_limb(real(shared / "data/look/galileo_c9_pillan_plume_limb_prometheus_disk.jpg"))
    assert limb.y_px - limb.radius_px == pytest.approx(43, abs=2)
    assert limb.x_px - limb.radius_px == pytest.approx(35, abs=3)
    assert limb.x_px + limb.radius_px == pytest.approx(625, abs=3)


@pytest.mark.parametrize("name", ["PIA02505-prometheus", "PIA02599-tupan"])
def test_real_close_ups_have_no_limb(shared: Path, name: str) -> None:
    assert not find_limb(real(shared / f"data/look/{name}.jpg")).trusted
