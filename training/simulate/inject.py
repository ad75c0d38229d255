"""Eruptions put into real pictures: the simulator's plumes, hot spots and radiation on pixels that a camera took.

The picture keeps its own sky, surface, noise, optics, white level and smallest step; only what erupts is added, as
bright against the picture's own noise as the recipe draws it. What is not known of a picture (its tone curve, its
radiometric scale) is not made up: light is added in the picture's own numbers. JPEG pictures are not compressed again:
an object has no 8 x 8 blocks of its own, which is seen only by looking at single pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.frame import Frame
from detector.instruments import CAMERAS
from detector.limb import Limb
from detector.mask import Mask
from training.labels import FAINT_SNR
from training.simulate.cameras.camera import Camera, Readout
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.draw import AREA_KM2
from training.simulate.geometry import lat_lon_w
from training.simulate.host import PHYSICAL, Host, host_of
from training.simulate.hotspots import HotSpot, draw_spot, spot_stamp
from training.simulate.light import Image, Stamp
from training.simulate.measured import Measured, measure
from training.simulate.plumes import Columns, Plume, draw_plume, plume_columns
from training.simulate.radiation import strike
from training.simulate.recipe import Recipe
from training.simulate.scene import TRUTH_SIGMA, Sample, Scene, TrueObject, limb_seen, plume_light, true_object, visible

Floats = NDArray[np.float64]

# -- what erupts ----------------------------------------------------------------------------------------------------

TRIES = 40
BRIGHTEST_PLUME = 0.8
"""Plumes at the limb are fainter than the ground: at most so much of the disk's brightness."""
THICKEST = 0.6
"""Largest optical depth of a plume's densest line of sight: single scattering makes thicker dust too dark."""
TONE = 10.0
"""Published pictures lift faint light: so many times brighter against the ground may a plume be than dust makes it."""
SUNLIT_SHARE = 0.1
"""Ground brighter than this share of the disk outshines hot spots in reflected light."""
THERMAL_UM = 2.5
NEARLY_WHITE = 0.95
NO_LIGHT_SNR = 1e-5
"""A spot whose natural signal-to-noise is below this is too cool to shine in the picture's band, whatever its area."""
GLOW = 1e-5
SMALLEST_CHANGE_SIGMAS = 0.02
HITS_PER_1E5, HIT_SIGMAS = (0.1, 30.0), 5.0
"""Radiation hits in 100,000 pixels; and how far the faintest usual hit stands out of the sky's noise."""


@dataclass(frozen=True)
class Eruption:
    """An object and what it adds to the picture, in the frame's unit, behind the picture's optics."""

    kind: str
    cause: Plume | HotSpot
    stamp: Stamp


def eruptions(host: Host, recipe: Recipe, dice: Dice) -> tuple[Eruption, ...]:
    """Plumes and hot spots for a picture; none in the recipe's share of empty ones.

    Frames without a limb get no plumes. Objects that would touch known eruptions are drawn again.
    """
    rng = dice.rng("eruptions")
    if rng.random() < recipe.empty:
        return ()
    plumes = int(rng.integers(0, recipe.plumes + 1)) if host.limb.trusted else 0
    spots = int(rng.integers(0 if plumes else 1, max(recipe.hotspots, 1) + 1)) if recipe.hotspots else 0
    wanted = [lambda: _plume(host, recipe, rng)] * plumes + [lambda: _spot(host, recipe, rng)] * spots
    found = (_first(make, host) for make in wanted)
    return tuple(eruption for eruption in found if eruption is not None)


def _first(make: Callable[[], Eruption | None], host: Host) -> Eruption | None:
    """The first eruption of a few tries that shows, and is clear of known ones.

    One that nowhere brightens a pixel by half a sigma has no pixel in the truth: it may not change the picture either.
    """
    for _ in range(TRIES):
        made = make()
        if made is None or _touches(made.stamp, host.taken):
            continue
        if (_signal(host, made.stamp) >= TRUTH_SIGMA).any():
            return made
    return None


def _touches(stamp: Stamp, taken: NDArray[np.bool_]) -> bool:
    near = np.abs(stamp.patch) > 0.02 * np.abs(stamp.patch).max(initial=0)
    return bool((near & taken[stamp.where]).any())


def _signal(host: Host, stamp: Stamp) -> Image:
    """(h, w) light added at its place over the noise of the lit picture, up to its white level; 0 where it darkens."""
    before = host.quiet[stamp.where]
    after = before + stamp.patch
    own = np.minimum(after, host.measured.white) - np.minimum(before, host.measured.white)
    own = np.where(host.frame.valid[stamp.where], np.maximum(own, 0), np.float32(0))
    return np.asarray(own / host.measured.sigma(after), np.float32)


def _snr(host: Host, stamp: Stamp) -> float:
    return float(np.sqrt(np.sum(_signal(host, stamp) ** 2, dtype=np.float64)))


def _plume(host: Host, recipe: Recipe, rng: Rng) -> Eruption | None:
    """A plume as bright as the recipe wants, as far as dust can make it and the disk outshines it."""
    drawn = draw_plume(rng, host.geometry, recipe.families, recipe.place)
    wanted = log_uniform(rng, *recipe.plume_snr)
    columns = plume_columns(drawn, host.geometry, host.frame.shape)
    if columns is None:
        return None
    drawn = plume = replace(drawn, glow=GLOW if host.dark else 0.0)
    stamp = _plume_stamp(host, plume, columns)
    for _ in range(4):  # light is not quite in proportion to dust
        factor = wanted / max(_snr(host, stamp), 1e-9)
        peak = float(stamp.patch.max(initial=0))
        if host.measured.disk > 0 and peak > 0:
            factor = min(factor, BRIGHTEST_PLUME * host.measured.disk / peak)
        plume = _brighter(plume, factor, drawn.albedo, 1.0 if host.frame.instrument in CAMERAS else TONE)
        stamp = _plume_stamp(host, plume, columns)
    cause = replace(plume, albedo=drawn.albedo)
    return Eruption("plume", cause, stamp) if _snr(host, stamp) > min(0.5 * recipe.plume_snr[0], FAINT_SNR) else None


def _brighter(plume: Plume, factor: float, albedo: float, tone: float) -> Plume:
    """More glow, or more dust; what dust cannot do, the tone of a published picture may."""
    if plume.glow > 0:
        return replace(plume, glow=plume.glow * factor)
    light = plume.optical_depth * plume.albedo * factor
    depth = float(np.clip(light / albedo, 1e-6, THICKEST))
    return replace(plume, optical_depth=depth, albedo=float(np.clip(light / depth, albedo, tone * albedo)))


def _plume_stamp(host: Host, plume: Plume, columns: Columns) -> Stamp:
    light = plume_light(plume, columns, host.scene, host.behind, host.camera.band)
    return light.blurred(host.camera.psf_px, host.frame.shape).times(host.camera.bright)


def _spot(host: Host, recipe: Recipe, rng: Rng) -> Eruption | None:
    """A hot spot as bright as the recipe wants, where the ground does not outshine it."""
    spot = draw_spot(rng, host.geometry)
    if not host.limb.trusted:
        spot = _anywhere(spot, host, rng)
    wanted = log_uniform(rng, *recipe.hotspot_snr)
    stamp = spot_stamp(spot, host.geometry, host.camera.band, host.frame.shape)
    if stamp is None:
        return None
    stamp = stamp.blurred(host.camera.psf_px, host.frame.shape)
    stamp = stamp.times(host.camera.bright / host.camera.band.solar_radiance)
    if _outshone(host, stamp) or _snr(host, stamp) < NO_LIGHT_SNR:
        return None
    for _ in range(4):  # its own shot noise, and white, hold it back
        factor = wanted / _snr(host, stamp)
        if host.frame.unit in PHYSICAL:
            factor = min(factor, AREA_KM2[1] / spot.area_km2)
        spot, stamp = replace(spot.times(factor), size_km=spot.size_km), stamp.times(factor)
    return Eruption("hotspot", spot, stamp) if _snr(host, stamp) > min(0.5 * recipe.hotspot_snr[0], FAINT_SNR) else None


def _anywhere(spot: HotSpot, host: Host, rng: Rng) -> HotSpot:
    """The spot moved to where some pixel looks."""
    x, y = rng.uniform(0, host.frame.shape[1] - 1), rng.uniform(0, host.frame.shape[0] - 1)
    points, _ = host.geometry.surface(np.array([[x]]), np.array([[y]]))
    lat, lon_w = lat_lon_w(points @ host.geometry.rotation)
    return replace(spot, lat_deg=lat.item(), lon_w_deg=lon_w.item())


def _outshone(host: Host, stamp: Stamp) -> bool:
    """Whether its place is white, or (in reflected light) sunlit, or was not observed."""
    peak = np.unravel_index(int(stamp.patch.argmax()), stamp.patch.shape)
    row, column = stamp.row + int(peak[0]), stamp.column + int(peak[1])
    around = slice(max(row - 2, 0), row + 3), slice(max(column - 2, 0), column + 3)
    level, measured = float(host.quiet[around].max()), host.measured
    white = level > measured.sky + NEARLY_WHITE * (measured.white - measured.sky)
    reflected = host.camera.band.effective_um < THERMAL_UM and measured.disk > 0
    sunlit = reflected and level > measured.sky + SUNLIT_SHARE * measured.disk
    return bool(white or sunlit or not host.frame.valid[row, column])


# -- the picture with eruptions -------------------------------------------------------------------------------------


def inject(
    frame: Frame,
    limb: Limb,
    recipe: Recipe,
    seed: int,
    index: int,
    known: Mask | None = None,
    measured: Measured | None = None,
) -> Sample:
    """Put eruptions and radiation into a real frame.

    Every object has, against the frame's own noise, the ``snr_mf`` that the recipe draws, unless a plume would then
    outshine the ground (0.8 of the disk's brightness), be thicker than dust can be, or anything reach the white level;
    it is that of the light added: a plume's shadow does not count. The recipe's ``natural`` share plays no part.
    Hot spots lie on dark ground (in thermal bands and close-ups on any that is not white); plumes need a limb. A frame
    of another body is taken as Io: whether it may host anything is the caller's choice (``empty=1`` in the recipe
    makes a negative of it).

    Args:
        frame: at least 8 x 8 pixels; not valid pixels stay so.
        limb: of Io in it, or none.
        recipe: what to draw: numbers and S/N of objects, ``empty``, ``families``, ``place``, effects.
        seed, index: same frame, same numbers: same bytes.
        known: eruptions that the frame already shows. Nothing is put on them. They are not among the sample's objects:
            whoever trains on the sample leaves these pixels out of account.
        measured: as ``measure`` gives it; to measure a host once for many samples.

    Returns:
        the frame with its id lengthened by seed and index, the limb as given, and the truth about what was added.
        Areas, powers and optical depths are true only as far as the frame's unit is a physical one.

    """
    dice = Dice(seed, index, "inject", recipe.only, recipe.without)
    host = host_of(frame, limb, measured or measure(frame, limb), known, dice.rng("geometry"))
    added = eruptions(host, recipe, dice)
    extra = _sum(host, added)
    counts = _exposed(host, extra, dice.rng("noise"))
    counts = np.where(frame.valid, _struck(host, counts, dice), frame.image)
    signal = host.quiet + extra
    ones = np.ones_like(signal)
    seen = Readout(counts, frame.valid, host.measured.sigma(signal), ones, frame.unit, host.measured.white)
    objects = visible(_true_object(e, signal, seen, host.camera) for e in added)
    scene = _scene(host, objects)
    arc = limb_seen(scene, signal, seen) if limb.trusted else np.zeros(360, bool)
    name = f"{frame.id}-{seed}-{index:06d}"
    return Sample(replace(frame, image=counts, id=name), limb, objects, scene, arc)


def _true_object(eruption: Eruption, signal: Image, seen: Readout, camera: Camera) -> TrueObject:
    """Truth of an object by what it brightens: a plume's shadow, and ground seen dimmer through dust, are not asked."""
    thing = true_object(eruption.kind, eruption.cause, eruption.stamp, signal, seen, camera)
    return replace(thing, signal=np.maximum(thing.signal, 0))


def _sum(host: Host, added: Sequence[Eruption]) -> Image:
    """(H, W) light of all objects; 0 where it is lost in the noise by far, so that the rest of the picture stays."""
    extra = np.zeros(host.frame.shape, np.float32)
    for eruption in added:
        extra[eruption.stamp.where] += eruption.stamp.patch
    extra[np.abs(extra) < SMALLEST_CHANGE_SIGMAS * float(host.measured.sigmas[0])] = 0
    return extra


def _exposed(host: Host, extra: Image, rng: Rng) -> Image:
    """The frame with light added, its own shot noise, and rounding to the frame's own values.

    The frame's values are rounded already: before light fainter than a step is added they are spread over the step
    that they stand for, as they were before rounding.
    """
    place = extra != 0
    here, more, step = host.frame.image[place], extra[place], host.measured.step
    before = host.quiet[place]
    noise = rng.standard_normal(more.shape, np.float32) * host.measured.added_sigma(before, before + more)
    change = more + noise
    if step > 0:
        change = np.round((change + rng.uniform(-0.5, 0.5, more.shape) * step) / step) * step
    counts = host.frame.image.copy()
    lowest = float(host.frame.image[host.frame.valid].min(initial=np.inf))
    counts[place] = np.clip(here + change, np.minimum(here, lowest), np.maximum(here, host.measured.white))
    return counts


def _struck(host: Host, counts: Image, dice: Dice) -> Image:
    """Radiation hits besides those that the frame has, as strong as its numbers allow."""
    rng, measured = dice.rng("radiation"), host.measured
    high = measured.white if math.isfinite(measured.white) else float(counts.max())
    rate = log_uniform(rng, *HITS_PER_1E5)
    faint = HIT_SIGMAS * float(measured.sigmas[0])
    level = log_uniform(rng, faint, max(0.5 * (high - measured.sky), 2 * faint))
    change = np.maximum(strike(counts, dice, rate, level, high) - counts, 0)
    if measured.step > 0:
        change = np.round(change / measured.step) * measured.step
    return np.asarray(np.minimum(counts + change, np.maximum(counts, measured.white)), np.float32)


def _scene(host: Host, objects: Sequence[TrueObject]) -> Scene:
    plumes = tuple(thing.cause for thing in objects if isinstance(thing.cause, Plume))
    spots = tuple(thing.cause for thing in objects if isinstance(thing.cause, HotSpot))
    return replace(host.scene, plumes=plumes, hotspots=spots)
