"""From a scene to a frame and the truth about it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.frame import CLASSES
from training.labels import FAINT_SNR
from training.simulate.cameras.camera import Camera
from training.simulate.dice import EFFECTS, Dice
from training.simulate.draw import draw_exposure, draw_sample
from training.simulate.light import Image
from training.simulate.product import cut_rows, expose, mirrored
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.scene import Light, Sample, Scene, signal_of, take

CLEAN = Recipe(instrument="ssi", shape=(160, 176), usual_radius_px=(50, 55), radius_px=(50, 55), only=(), no_limb=0)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@settings(max_examples=8, deadline=None)
@given(index=st.integers(0, 10_000))
def test_a_sample_is_whole_and_repeatable(instrument: str, index: int) -> None:
    recipe = Recipe(instrument=instrument, shape=(128, 144))
    one, two = draw_sample(recipe, 77, index), draw_sample(recipe, 77, index)
    assert one.frame.image.tobytes() == two.frame.image.tobytes()
    assert one.frame.shape == (128, 144)
    assert np.isfinite(one.frame.image).all()
    assert one.frame.image[~one.frame.valid].max(initial=0) == 0
    mask = one.mask()
    for thing in one.objects:
        assert thing.snr_mf > 0
        assert not (thing.on(one.frame.shape) & ~one.frame.valid).any()
        assert (mask.planes[CLASSES.index(thing.kind)] >= thing.on(one.frame.shape)).all()
    assert not (one.ignored() & one.mask(FAINT_SNR).planes).any()


@pytest.mark.parametrize(
    ("instrument", "kind"),
    [(i, k) for i in INSTRUMENTS for k in ("plume", "hotspot") if (i, k) != ("jiram", "plume")],  # dust is dark at 5 um
)
def test_snr_is_that_of_a_perfect_matched_filter(instrument: str, kind: str) -> None:
    """Over 6000 exposures of one object the matched filter answers snr_mf within 3 %, with unit variance within 5 %.

    Of cameras whose noise is at least half a step: below it rounding is no noise but an error that always comes back.
    """
    recipe = Recipe(
        instrument=instrument, shape=(44, 48), usual_radius_px=(17, 18), radius_px=(17, 18), only=("eclipse",),
        no_limb=0, empty=0, natural=0, plume_snr=(30, 40), hotspot_snr=(30, 40), plumes=1, hotspots=1, place="limb",
    )  # fmt: skip
    scene, light, camera, dice = next(
        made for made in (_drawn(recipe, seed) for seed in range(300)) if _honest(made[2]) and _asked(made, kind) > 10
    )
    signal, added = signal_of(scene, light, camera, dice)
    cause, stamp = next((cause, stamp) for what, cause, stamp in added if what == kind)
    thing = next(t for t in take(scene, light, camera, dice, "a").objects if t.cause is cause)
    bare = signal.copy()
    bare[stamp.where] -= stamp.patch

    def exposed(of: Image, salt: int) -> Image:
        shots = (camera.expose(of, Dice(salt, n, only=())).counts[stamp.where] for n in range(6000))
        return np.stack(list(shots))

    sigma = camera.expose(signal, Dice(0, 0, only=())).sigma[stamp.where]
    answers = ((exposed(signal, 1) - exposed(bare, 2).mean(0)) / sigma * thing.signal / thing.snr_mf).sum((1, 2))
    assert answers.mean() == pytest.approx(thing.snr_mf, rel=0.03)
    assert answers.var(ddof=1) == pytest.approx(1, rel=0.05)


def _honest(camera: Camera) -> bool:
    """Whether the dark is neither rounded to few values nor cut off at zero."""
    return camera.read > 0.5 * camera.step and (camera.unit != "DN" or camera.pedestal > 3 * camera.read)


Drawn = tuple[Scene, Light, Camera, Dice]


def _drawn(recipe: Recipe, seed: int) -> Drawn:
    dice = Dice(seed, 0, "", recipe.only, recipe.without)
    return *draw_exposure(recipe, dice), dice


def _asked(made: Drawn, kind: str) -> float:
    """S/N of the brightest object of a kind."""
    objects = take(*made[:3], made[3], "a").objects
    return max((t.snr_mf for t in objects if t.kind == kind), default=0)


# -- pieces ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample() -> Sample:
    recipe = Recipe(instrument="jiram", shape=(128, 144), empty=0, no_limb=0, eclipse=1.0)
    return next(s for s in (draw_sample(recipe, 5, i) for i in range(40)) if len(s.objects) > 3)


def test_the_halves_of_an_object_hold_its_signal_between_them(sample: Sample) -> None:
    for thing in sample.objects:
        top, bottom = thing.cut(0, 60), thing.cut(60, 68)
        assert np.hypot(top.snr_mf, bottom.snr_mf) == pytest.approx(thing.snr_mf, rel=1e-6)
        assert top.mask.sum() + bottom.mask.sum() == thing.mask.sum()
        everywhere = np.ones(sample.frame.shape, bool)
        assert thing.where(everywhere).snr_mf == thing.snr_mf
        assert thing.where(~everywhere).snr_mf == 0


def test_a_cut_picture_holds_what_its_rows_show(sample: Sample) -> None:
    part = cut_rows(sample, 60, 68)
    assert np.array_equal(part.frame.image, sample.frame.image[60:])
    assert np.array_equal(part.mask().planes, sample.mask().planes[:, 60:])
    if part.limb.trusted:
        assert part.limb.y_px == pytest.approx(sample.limb.y_px - 60)


def test_a_mirrored_picture_holds_the_same_turned(sample: Sample) -> None:
    other = mirrored(sample)
    assert np.array_equal(other.frame.image, sample.frame.image[:, ::-1])
    assert np.array_equal(other.mask().planes, sample.mask().planes[..., ::-1])
    assert other.limb.x_px == pytest.approx(143 - sample.limb.x_px)
    assert mirrored(other).limb_seen.tolist() == sample.limb_seen.tolist()


# -- the true limb --------------------------------------------------------------------------------------------------


def test_the_true_limb_is_where_the_picture_has_its_edge() -> None:
    recipe = replace(CLEAN, empty=1.0, phase_deg=(0, 20), shape=(176, 176))
    dice = Dice(3, 0, "", recipe.only)
    scene, light, camera = draw_exposure(recipe, dice)
    signal, _ = signal_of(replace(scene, surface=replace(scene.surface, mountains=None)), light, camera, dice)
    sample = take(scene, light, camera, dice, "edge")
    limb = sample.limb
    crossings = []
    for azimuth in np.radians(np.flatnonzero(sample.limb_seen)[::5]):
        offset = np.arange(-8, 6, 0.05)
        radii = limb.radius_px + offset
        x, y = limb.x_px + radii * np.sin(azimuth), limb.y_px - radii * np.cos(azimuth)
        if not (x.min() > 1 and y.min() > 1 and x.max() < 174 and y.max() < 174):
            continue
        profile = cv2.remap(signal, x.astype(np.float32)[None], y.astype(np.float32)[None], cv2.INTER_LINEAR)[0]
        level, sky = profile[np.abs(offset + 2.5) < 0.5].mean(), profile[-20:].mean()
        if level - sky > 0.25 * (signal.max() - sky):  # well lit
            crossings.append(offset[np.argmax(profile < 0.5 * (level + sky))])
    assert len(crossings) > 15
    assert np.median(crossings) == pytest.approx(0, abs=0.3)
    assert np.max(np.abs(crossings)) < 1.0


def test_the_limb_is_seen_on_the_lit_side_only() -> None:
    recipe = replace(CLEAN, empty=1.0, phase_deg=(89, 91), instrument="picture")
    seen = [draw_sample(recipe, 8, i).visible_arc_deg for i in range(8)]
    assert np.median(seen) == pytest.approx(180, abs=30)
    dark = replace(recipe, eclipse=1.0, only=("eclipse",))
    assert np.median([draw_sample(dark, 8, i).visible_arc_deg for i in range(8)]) < 30


# -- effects --------------------------------------------------------------------------------------------------------


def test_close_juno_mosaics_are_drawn() -> None:
    """450 km above the ground, far off the picture: the lens bends some of its pixels behind the camera."""
    for index in range(6):
        recipe = Recipe(no_limb=1.0, only=())
        for sample in expose("junocam", recipe, 31_000, index).samples:
            assert np.isfinite(sample.frame.image).all()
    assert np.isfinite(expose("junocam", Recipe(no_limb=0.2), 31_000, 11).samples[0].frame.image).all()


def test_every_effect_changes_some_picture() -> None:
    """Each is switched on alone, in the instrument that has it."""
    idle = set(EFFECTS)
    for name in EFFECTS:
        for instrument in ("picture", "ssi", "junocam", "jiram", "sru"):
            recipe = Recipe(
                instrument=instrument, shape=(128, 128), usual_radius_px=(25, 30), radius_px=(25, 30), no_limb=0,
                empty=0.0, phase_deg=(100, 120), eclipse=0.0, natural=0, hotspot_snr=(3e4, 1e5),
            )  # fmt: skip
            base = ("eclipse",) if name in ("auroral_limb", "bleeding", "blooming") else ()
            pairs = (
                [draw_sample(replace(recipe, only=only), 4, index) for only in (base, (*base, name))]
                for index in range(4)
            )
            if any(not np.array_equal(a.frame.image, b.frame.image) for a, b in pairs):
                idle.discard(name)
                break
    assert not idle
