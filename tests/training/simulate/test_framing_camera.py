"""The nameless framing camera, and what is done to pictures before they are published."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.simulate.cameras.framing import FramingCamera, Marks, draw_framing
from training.simulate.dice import Dice
from training.simulate.display import ROUNDING, Display, Tone, draw_display, jpeg

Image = NDArray[np.float32]

SHAPE = (96, 192)
REPEATS = 32


def ground(shape: tuple[int, int] = SHAPE) -> Image:
    """Counts: a dark sky, a soft edge, and ground that brightens to the right; black and white strips at the ends."""
    x = np.linspace(0, 1, shape[1], dtype=np.float32)
    line = 20 + 150 * np.clip((x - 0.3) / 0.1, 0, 1) * (0.7 + 0.3 * x)
    line[x < 0.03], line[x > 0.97] = 0, 200
    return np.tile(line, (shape[0], 1)).astype(np.float32)


def noise(taken: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Of all but the strips, so that every picture is stretched alike."""
    grain = sigma * rng.standard_normal(taken.shape, np.float32)
    return np.where((taken == 0) | (taken == 200), np.float32(0), grain)


def shown(display: Display, clean: Image, sigma: float = 3.0) -> tuple[Image, Image, Image]:
    """(REPEATS, H, W) grey levels of noisy pictures; their mean sigma and slope."""
    rng = np.random.default_rng(6)
    flat_sigma = np.full(display.taken_shape(clean.shape), sigma, np.float32)
    taken = clean if flat_sigma.shape == clean.shape else ground(display.taken_shape(clean.shape))
    pictures = [display.show(taken + noise(taken, sigma, rng), taken, flat_sigma, clean.shape) for _ in range(REPEATS)]
    grey, said, slope = (np.stack([getattr(p, name) for p in pictures]) for name in ("grey", "sigma", "slope"))
    return grey, np.sqrt(np.mean(said**2, axis=0)), slope.mean(axis=0)


TREATMENTS = {
    "as it came": Display(),
    "stretched": Display(low=0.02, high=1.4),
    "black sky": Display(low=0.3, lift=2.0),
    "lifted": Display(gamma=0.5),
    "darkened": Display(gamma=1.5),
    "sharpened": Display(sharpen=1.5, sharpen_px=1.5),
    "jpeg": Display(quality=85),
    "coarse jpeg": Display(quality=50),
    "colours": Display(gains=(1.3, 1.0, 0.6)),
    "enlarged": Display(enlarge=2.0),
    "median": Display(denoise="median"),
    "smoothed": Display(denoise="edges"),
    "local contrast": Display(local=2.0),
    "everything": Display(low=0.01, high=0.99, gamma=0.7, enlarge=1.5, sharpen=0.8, sharpen_px=1.2, quality=75),
}


@pytest.mark.parametrize("display", TREATMENTS.values(), ids=TREATMENTS.keys())
def test_sigma_is_the_scatter_of_the_picture(display: Display) -> None:
    grey, sigma, _ = shown(display, ground())
    for part in (np.s_[:, 16:44], np.s_[:, 100:170]):  # the sky, the ground
        scatter = max(np.sqrt(np.mean(grey.var(axis=0, ddof=1)[part])), ROUNDING)
        assert np.sqrt(np.mean(sigma[part] ** 2)) == pytest.approx(scatter, rel=0.20)


@pytest.mark.parametrize("name", ["as it came", "stretched", "lifted", "darkened", "colours"])
def test_slope_is_the_answer_to_more_light(name: str) -> None:
    display, clean = TREATMENTS[name], ground()
    more = clean.copy()
    more[40:56, 110:120] += 4
    grey, _, slope = shown(display, clean)
    brighter, _, _ = shown(display, more)
    answer = (brighter - grey)[:, 42:54, 112:118].mean() / 4
    assert answer == pytest.approx(float(slope[42:54, 112:118].mean()), rel=0.15)


@pytest.mark.parametrize("name", ["jpeg", "sharpened", "enlarged", "smoothed", "median", "everything"])
def test_slope_over_sigma_is_what_is_known(name: str) -> None:
    # The mean of a large square is what a matched filter of its size reads: its scatter, in counts, must be what
    # sigma / slope say of independent pixels. A square of 20 x 20 is 7 and more grains of the noise wide.
    display = TREATMENTS[name]
    grey, sigma, slope = shown(display, ground())
    plain = Tone(*_ends(display), display.gamma, display.gains)
    part = np.s_[:, 140:160]
    counts_per_grey = 1 / plain.slope(ground(), np.full(SHAPE, 3, np.float32))[part].mean()
    blocks = grey[:, 10:90, 140:160].reshape(REPEATS, 4, 20, 20).mean(axis=(2, 3))
    scatter = np.sqrt(np.mean(blocks.var(axis=0, ddof=1))) * counts_per_grey
    assert scatter * 20 == pytest.approx(float((sigma[part] / slope[part]).mean()), rel=0.30)


def _ends(display: Display) -> tuple[float, float]:
    rng = np.random.default_rng(6)
    tone = display._tone(ground() + noise(ground(), 3, rng), np.full(SHAPE, 3, np.float32))
    return tone.black, tone.white


def test_local_contrast_is_as_steep_as_it_says() -> None:
    clean = ground()
    tone = TREATMENTS["local contrast"]._tone(
        clean + noise(clean, 3, np.random.default_rng(6)), 3 * np.ones_like(clean)
    )
    one = np.ones(SHAPE, np.float32)
    slope = tone.slope(clean, one)
    assert np.allclose(slope, (tone(clean + one) - tone(clean - one)) / 2, atol=1e-4)
    assert slope[:, 100:160].mean() > 1.2 * 255 / 200  # steeper than without


def test_what_is_cut_off_at_white_says_nothing() -> None:
    _, sigma, slope = shown(Display(high=0.5), ground())
    assert slope[:, -16:].max() == 0
    assert sigma.min() > 0
    assert slope[:, 8:40].mean() > 1


def test_sharpening_rims_the_limb() -> None:
    soft, sharp = (shown(Display(sharpen=a, sharpen_px=2.0, high=1.5), ground(), 0.1)[0] for a in (0.0, 2.0))
    change = (sharp - soft).mean(axis=(0, 1))
    assert change[56] < -2  # the sky beside the limb
    assert change[77] > 2  # the ground inside of it
    assert np.abs(change[20:40]).max() < 1


def test_jpeg() -> None:
    picture = np.clip(ground() + np.random.default_rng(1).normal(0, 6, SHAPE), 0, 255).astype(np.uint8)
    assert np.all(jpeg(picture, 0) == picture)
    errors = [np.std(jpeg(picture, quality) - picture) for quality in (95, 80, 50)]
    assert errors[0] < errors[1] < errors[2] < 8


def test_every_step_can_be_drawn_and_forced() -> None:
    drawn = [draw_display(Dice(3, i)) for i in range(300)]
    for field, idle in (("gamma", 1), ("sharpen", 0), ("quality", 0), ("local", 0), ("denoise", ""), ("enlarge", 1)):
        assert 0.02 < np.mean([getattr(d, field) != idle for d in drawn]) < 0.9
    assert draw_display(Dice(3, 0, only=())) == Display()
    assert draw_display(Dice(3, 0, only=("jpeg",))).quality >= 40


# -- the camera -------------------------------------------------------------------------------------------------------


def camera_with(*, tube: bool = False, shape: tuple[int, int] = SHAPE) -> FramingCamera:
    """A raw camera, well exposed, that has a tube or not, and nothing else."""
    return draw_framing(Dice(5, 2, only=("vidicon",) if tube else ()), shape, eclipse=False)


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("effects", [(), ("vidicon",)])
def test_raw_sigma_is_the_scatter_of_flats(index: int, effects: tuple[str, ...]) -> None:
    camera = draw_framing(Dice(5, index, only=effects), (128, 128), eclipse=False)
    flat = np.full((128, 128), camera.pedestal + 0.3 * camera.full, np.float32)
    clean = flat if camera.tube is None else camera.tube.see(flat, camera.pedestal, camera.full)[0]
    squares, said = [], []
    for repeat in range(12):
        seen = camera.expose(flat, Dice(6, repeat, only=()))
        squares.append(np.mean((seen.counts - clean) ** 2))
        said.append(np.mean(seen.sigma**2))
    assert np.sqrt(np.mean(squares)) == pytest.approx(np.sqrt(np.mean(said)), rel=0.03)


def test_vidicon_darkens_and_softens_its_corners() -> None:
    camera = camera_with(tube=True)
    assert camera.tube is not None
    tube = replace(camera.tube, tilt=(0.0, 0.0), bowl=0.0, shading=0.2, residual=0.0)
    seen, answer = tube.see(np.full((65, 65), 100, np.float32), 0.0, 255.0)
    assert seen[32, 32] == pytest.approx(100, abs=0.1)
    assert seen[0, 0] == pytest.approx(80, abs=0.1)
    assert answer[0, 0] == pytest.approx(0.8, abs=1e-3)


def test_hum_is_a_plane_wave_of_its_amplitude() -> None:
    camera = camera_with(tube=True)
    assert camera.tube is not None
    hum = replace(camera.tube, hum=0.01, wave=(0.3, 0.2), turn=0.4).buzz((40, 50), 100.0)
    y, x = np.mgrid[:40, :50]
    assert np.allclose(hum, np.sin(0.3 * x + 0.2 * y + 0.4), atol=1e-4)


def marks(**changes: object) -> Marks:
    plain = Marks(20.0, (10.0, 10.0), 0.0, 1, cross=True, depth=1.0, removed=False)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_marks_lie_on_their_grid() -> None:
    places = marks().places((60, 80))
    # rows 10, 30, 50; the middle one is shifted by half a step: columns 20, 40, 60 instead of 10, 30, 50, 70
    assert places == [(10, c) for c in (10, 30, 50, 70)] + [(30, c) for c in (20, 40, 60)] + [
        (50, c) for c in (10, 30, 50, 70)
    ]
    marked, answer = marks().on(np.full((60, 80), 50, np.float32), 10.0)
    assert marked[10, 10] == marked[10, 11] == 10  # no light in the arms of the cross
    assert marked[12, 12] == 50
    assert answer[10, 10] == 0


def test_removed_marks_are_filled_from_their_edge() -> None:
    plane = np.add.outer(np.arange(60), 2 * np.arange(80)).astype(np.float32)
    filled, answer = marks(removed=True).on(plane, 0.0)
    assert np.allclose(filled, plane, atol=1e-3)  # a plane is rebuilt exactly
    assert answer[10, 10] == 0


def test_frame_transfer_adds_the_mean_of_the_column() -> None:
    camera = replace(camera_with(), transfer=0.1, read=0.0, gain=1e12, step=0.0)
    signal = np.full(SHAPE, camera.pedestal, np.float32)
    signal[:48, 10] += 0.4 * camera.full
    counts = camera.expose(signal, Dice(0, 0, only=())).counts
    assert counts[90, 10] - camera.pedestal == pytest.approx(0.1 * 0.2 * camera.full, rel=1e-3)
    assert counts[90, 11] == pytest.approx(camera.pedestal, rel=1e-5, abs=1e-5)


def test_pictures_are_of_many_kinds() -> None:
    cameras = [draw_framing(Dice(9, i), (256, 256), eclipse=False) for i in range(400)]
    assert 0.6 < np.mean([c.display is not None for c in cameras]) < 0.8
    units = {c.unit for c in cameras if c.display is None}
    assert units == {"DN", "I/F"}
    disk = [0.6 * c.bright / c.full for c in cameras if c.unit == "DN"]
    assert min(disk) < 0.1
    assert max(disk) > 2
    assert any(c.lowest < 0 for c in cameras)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_any_picture_is_whole(index: int, eclipse: bool) -> None:
    dice = Dice(13, index)
    camera = draw_framing(dice, (70, 90), eclipse)
    signal = camera.pedestal + camera.bright * ground((70, 90)) / 300 * (1e-5 if eclipse else 1)
    seen, again = camera.expose(signal, dice), camera.expose(signal, dice)
    for part in (seen.counts, seen.sigma, seen.slope):
        assert part.shape == (70, 90)
        assert part.dtype == np.float32
        assert np.isfinite(part).all()
    assert (seen.sigma > 0).all()
    assert (seen.slope >= 0).all()
    assert seen.counts.tobytes() == again.counts.tobytes()
    if camera.display is not None:
        assert (seen.unit, seen.saturation) == ("luminance", 255.0)
        assert np.all(seen.counts == np.clip(np.rint(seen.counts), 0, 255))
