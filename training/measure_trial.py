"""The measurements on simulated frames: by the truth's masks and limb, or by what the detector itself finds.

With the truth in place of the model's masks and of the limb finder's circle, what is left is the error of the
measurement alone. With a detector, the numbers are those of its catalogue, for the objects that it found.

Measured are: plume heights and vents on the limb, powers of JIRAM hot spots, and temperatures from its two bands.
Frames have what their files say; JIRAM's labels say no north, so its powers rest on the limb. The two bands of a
temperature look at the same strip, as neighbouring records do, with a label that does say north. A tenth of JIRAM's
cameras is half as sensitive as it should be, which no label says (so it was during perijove 58): their true powers are
taken as half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import ndimage

from detector.catalogue import Detection
from detector.colour import with_temperatures
from detector.detect import Detector
from detector.frame import IO_RADIUS_KM, Frame, View
from detector.measure import measure
from detector.regions import EVERY_NEIGHBOUR, Region
from detector.thermal import Band, band_of, band_radiance, colour_temperature
from training.labels import Truth
from training.metrics import match_objects
from training.simulate.cameras import CAMERAS
from training.simulate.dice import Dice
from training.simulate.draw import draw_exposure
from training.simulate.geometry import Geometry, direction
from training.simulate.hotspots import HotSpot
from training.simulate.plumes import Plume, grains
from training.simulate.product import SHAPES, expose
from training.simulate.recipe import Recipe
from training.simulate.scene import Sample, TrueObject, light_of, take, view_of
from training.simulate.told import as_filed

Measurer = Callable[[Sample], list[tuple[TrueObject, Detection]]]
Progress = Callable[[int, int], None]

ASKED_SNR = 10.0
ON_LIMB_DEG = 8.0
ASKED_PX = 3.0
HALOES = ("core_halo", "gas_halo")
"""Families whose true top is a matter of taste: their height is the core's, what shows is the halo."""
KINDS = ("plume", "power", "temperature")
PLUME_CAMERAS = ("ssi", "junocam", "picture", "sru")
PLUME_SNR = (20.0, 2000.0)
SIZES_PX = (3.0, 6.0, 12.0, 25.0, 1000.0)
JIRAM_SHAPE = (128, 432)
MOMENT = "2023-12-30T00:00:00"


@dataclass(frozen=True)
class Case:
    """One measured number and its truth.

    Attributes:
        what: ``height``, ``vent``, ``power`` or ``temperature``.
        about: family, band or filter.
        snr: of a perfect matched filter.
        true, found, sigma: in km, degrees, GW um-1 or K; of a vent ``true`` is 0 and ``found`` the distance.
        flags: of the detection.
        instrument: of the frame.
        size_px: a height's truth in pixels.

    """

    what: str
    about: str
    snr: float
    true: float
    found: float
    sigma: float
    flags: str = ""
    instrument: str = ""
    size_px: float = math.nan

    @property
    def error(self) -> float:
        """Relative error."""
        return self.found / self.true - 1


def run(
    count: int,
    seed: int,
    measurer: Measurer | None = None,
    progress: Progress = lambda done, total: None,
    kinds: Sequence[str] = KINDS,
) -> list[Case]:
    """Measure ``count`` simulated frames of each kind.

    Args:
        count: frames of each kind.
        seed: theirs.
        measurer: gives the detections of a sample with the objects they belong to; by the truth where not given.
        progress: is told frames done and all.
        kinds: which of ``KINDS``.

    """
    cases: list[Case] = []
    for index in range(count):
        for number, kind in enumerate(kinds):
            cases += _CASES[kind](seed, index, measurer or measured)
            progress(index * len(kinds) + number + 1, count * len(kinds))
    return cases


def summary(cases: Sequence[Case]) -> list[str]:
    """Median errors and how often the truth lies within one sigma, in lines."""
    heights = [case for case in cases if case.what == "height"]
    clear = [case for case in heights if case.about not in HALOES]
    vents = [case.found for case in cases if case.what == "vent"]
    cameras = sorted({case.instrument for case in clear})
    parts = [(name, [case for case in clear if case.instrument == name]) for name in cameras]
    parts += [
        (f"{low:g} to {high:g} px high", [case for case in clear if low <= case.size_px < high])
        for low, high in pairwise(SIZES_PX)
    ]
    lines = [
        _relative("plume height over the limb", clear),
        *(_relative(f"  {name}", some) for name, some in parts if some),
        _relative("  of cores in haloes", [case for case in heights if case.about in HALOES]),
        f"vent along the limb: {len(vents)}, median {np.median(vents or [math.nan]):.2f} deg",
    ]
    for band in "LM":
        powers = [case for case in cases if case.what == "power" and case.about == band]
        lines.append(_relative(f"JIRAM {band} power", [case for case in powers if "SATURATED" not in case.flags]))
    warm = [case for case in cases if case.what == "temperature" and 400 <= case.true <= 1200]
    kelvin = np.median([abs(case.found - case.true) for case in warm] or [math.nan])
    return [*lines, f"temperature from L and M: {len(warm)}, median error {kelvin:.0f} K, {_covered(warm)}"]


def _relative(name: str, cases: Sequence[Case]) -> str:
    errors = np.array([case.error for case in cases] or [math.nan])
    middle, size = np.median(errors), np.median(np.abs(errors))
    return f"{name}: {len(cases)}, median |error| {100 * size:.1f} %, bias {100 * middle:+.1f} %, {_covered(cases)}"


def _covered(cases: Sequence[Case]) -> str:
    inside = [float(abs(case.found - case.true) <= case.sigma) for case in cases]
    return f"within one sigma {100 * np.mean(inside or [math.nan]):.0f} %"


# -- plumes ---------------------------------------------------------------------------------------------------------


def plume_cases(seed: int, index: int, measurer: Measurer) -> Iterator[Case]:
    """Heights and vents of the plumes near the limb of one frame, of the cameras in turn."""
    recipe = Recipe(no_limb=0.0, empty=0.0, place="limb", eclipse=0.0, hotspots=1, natural=0.0, plume_snr=PLUME_SNR)
    sample = expose(PLUME_CAMERAS[index % len(PLUME_CAMERAS)], recipe, seed, index).samples[0]
    geometry = sample.scene.geometry
    if geometry is None or not sample.limb.trusted:
        return
    for thing, row in measurer(replace(sample, frame=as_filed(sample.frame))):
        if not isinstance(thing.cause, Plume) or thing.snr_mf < ASKED_SNR or not math.isfinite(row.plume_height_km):
            continue
        true, beta = apparent_km(thing.cause, geometry)
        if abs(beta) > ON_LIMB_DEG or true < ASKED_PX * geometry.km_per_px or not _whole(thing, sample.frame):
            continue
        numbers, size = (true, row.plume_height_km, row.plume_height_sigma_km), true / geometry.km_per_px
        yield replace(_case("height", thing, thing.cause.family, numbers, row), size_px=size)
        yield _case("vent", thing, thing.cause.family, (0.0, off_azimuth_deg(thing.cause, row, geometry), 0.5), row)


def apparent_km(plume: Plume, geometry: Geometry) -> tuple[float, float]:
    """Height of a plume's top over the limb, and the angle of its vent beyond the limb, degrees.

    The top is the highest that any grain flies, the halo's left out where there are others: a plume that leans does not
    reach its nominal height.
    """
    up = geometry.rotation @ direction(plume.lat_deg, plume.lon_w_deg)
    beta = math.acos(float(np.clip(up[2], -1, 1))) - math.acos(IO_RADIUS_KM / geometry.range_km)
    dust = grains(replace(plume, optical_depth=1.0, glow=0.0, blueness=2.0, albedo=0.9, forward=0.4, name=""))
    x, y = geometry.project(dust.places[: dust.ends[2] or None] @ geometry.rotation.T)
    dx, dy = x - geometry.centre_x_px, y - geometry.centre_y_px
    over = np.hypot(dx, dy) / geometry.limb_radius_px(np.arctan2(dx, -dy)) - 1
    return float(over.max()) * IO_RADIUS_KM, math.degrees(beta)


def off_azimuth_deg(plume: Plume, row: Detection, geometry: Geometry) -> float:
    """How far along the limb the vent is from where it was found."""
    vent = geometry.rotation @ direction(plume.lat_deg, plume.lon_w_deg) * IO_RADIUS_KM
    x, y = (float(side) for side in geometry.project(vent))
    centre_x, centre_y, _ = geometry.limb_circle()
    true = math.degrees(math.atan2(x - centre_x, centre_y - y))
    return abs((row.plume_azimuth_deg - true + 180.0) % 360.0 - 180.0)


def _whole(thing: TrueObject, frame: Frame) -> bool:
    """Whether an object is inside the frame, with observed pixels around it."""
    rows, columns = thing.place
    inside = rows.start > 0 and columns.start > 0 and rows.stop < frame.shape[0] and columns.stop < frame.shape[1]
    return inside and bool(frame.valid[thing.place].all())


# -- hot spots ------------------------------------------------------------------------------------------------------


def power_cases(seed: int, index: int, measurer: Measurer) -> Iterator[Case]:
    """Powers of the hot spots of one JIRAM product."""
    camera = CAMERAS["jiram"](Dice(seed, index), SHAPES["jiram"], False)
    sensitivity = camera.bright / (camera.band.solar_radiance * camera.band.width_um)
    for sample in expose("jiram", Recipe(no_limb=0.0, empty=0.0, plumes=0), seed, index).samples:
        geometry = sample.scene.geometry
        if geometry is None or not sample.limb.trusted:
            continue
        view = View("label", "IO", geometry.range_km, sample.frame.view.ifov_rad, mirrored=True)
        known = replace(sample, frame=replace(sample.frame, view=view))
        for thing, row in measurer(known):
            if isinstance(thing.cause, HotSpot) and thing.snr_mf >= ASKED_SNR and _whole(thing, sample.frame):
                true = sensitivity * thing.cause.power_gw_um(sample.frame.wavelength_um)
                found = (true, row.spectral_power_gw_um, row.spectral_power_sigma_gw_um)
                if math.isfinite(row.spectral_power_gw_um):
                    yield _case("power", thing, sample.frame.filter, found, row)


def temperature_cases(seed: int, index: int, measurer: Measurer) -> Iterator[Case]:
    """Temperatures of hot spots that stand alone in both bands."""
    bands = [band for band in (band_of("jiram", name) for name in "LM") if band is not None]
    things: dict[str, TrueObject] = {}
    rows: list[Detection] = []
    for sample in _both_bands(seed, index):
        for thing, row in measurer(sample):
            if isinstance(thing.cause, HotSpot) and thing.snr_mf >= ASKED_SNR and _whole(thing, sample.frame):
                things[row.detection_id] = thing
                rows.append(row)
    for row in with_temperatures(rows):
        cause = things[row.detection_id].cause
        if row.filter == "M" and math.isfinite(row.temperature_k) and isinstance(cause, HotSpot):
            true, _ = colour_temperature(bands[0], bands[1], _light(cause, bands[0]) / _light(cause, bands[1]), 0.0)
            found = (true, row.temperature_k, row.temperature_sigma_k)
            yield _case("temperature", things[row.detection_id], "", found, row)


def _light(spot: HotSpot, band: Band) -> float:
    """Radiance times area of all components in a band."""
    return sum(float(band_radiance(band, part.temperature_k)) * part.area_km2 for part in spot.components)


def _both_bands(seed: int, index: int) -> Iterator[Sample]:
    """One strip of Io through both of JIRAM's filters."""
    recipe = Recipe(instrument="jiram", shape=JIRAM_SHAPE, no_limb=0.0, empty=0.0, plumes=0)
    dice = Dice(seed, index)
    scene, _, camera = draw_exposure(recipe, dice)
    for name in "LM":
        taken = camera.through(name)
        sample = take(scene, light_of(scene, taken.band), taken, dice.part(name), f"trial-{index}_{name}")
        if scene.geometry is not None and sample.limb.trusted:
            yield replace(sample, frame=replace(sample.frame, start_time=MOMENT, view=view_of(scene.geometry)))


# -- what is measured ------------------------------------------------------------------------------------------


def measured(sample: Sample) -> list[tuple[TrueObject, Detection]]:
    """Measure the true masks of a sample; of objects that touch one another of the same class only the brightest."""
    chosen: list[tuple[TrueObject, Region]] = []
    covered = np.zeros((2, *sample.frame.shape), bool)
    for thing in sorted(sample.objects, key=lambda one: -one.snr_mf):
        region = region_of(thing, sample.frame)
        plane = covered[int(thing.kind == "hotspot")]
        if region is None or thing.snr_mf < ASKED_SNR / 2:
            continue
        alone = not (plane[region.box] & region.pixels).any()
        plane[region.box] |= ndimage.binary_dilation(region.pixels, EVERY_NEIGHBOUR)
        if alone:
            chosen.append((thing, region))
    rows = measure(sample.frame, sample.limb, [region for _, region in chosen], "truth@0")
    return [(thing, row) for (thing, _), row in zip(chosen, rows, strict=True)]


def found_by(detector: Detector) -> Measurer:
    """Return what measures a sample by the detector's own limb and masks; a label never tells it the disk's place."""

    def measurer(sample: Sample) -> list[tuple[TrueObject, Detection]]:
        view = replace(sample.frame.view, centre_x_px=math.nan, centre_y_px=math.nan)
        result = detector(replace(sample.frame, view=view))
        truths = [
            Truth.cut(str(n), thing.kind, thing.on(sample.frame.shape), snr_mf=thing.snr_mf)
            for n, thing in enumerate(sample.objects)
        ]
        pairs = zip(match_objects(truths, result.regions, result.scores).of_region, result.detections, strict=True)
        return [(sample.objects[verdict], row) for verdict, row in pairs if verdict >= 0]

    return measurer


def region_of(thing: TrueObject, frame: Frame) -> Region | None:
    """The largest connected piece of an object's true mask; None where no pixel of it was observed."""
    labels, count = ndimage.label(thing.mask & frame.valid[thing.place], EVERY_NEIGHBOUR)
    if not count:
        return None
    pixels = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    rows, columns = np.nonzero(pixels)
    piece = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return Region(thing.kind, 0.9, int(thing.column + columns.min()), int(thing.row + rows.min()), piece)


def _case(what: str, thing: TrueObject, about: str, numbers: tuple[float, float, float], row: Detection) -> Case:
    return Case(what, about, thing.snr_mf, *numbers, flags=row.flags, instrument=row.instrument)


_CASES = dict(zip(KINDS, (plume_cases, power_cases, temperature_cases), strict=True))
