"""The time series of simulated frames against the eruptions that were put into them.

A few volcanoes of the catalogue erupt for two years, their powers varying, and are seen from all around: by JIRAM for
the hot spots and by SSI for the plumes. Frames know how they lie, as SPICE tells it, but not where on the detector the
disk is. The detector finds what it finds, and its detections are joined to sources.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from detector.catalogue import Detection, FrameStatus
from detector.detect import Detector, Result
from detector.frame import CLASSES, Frame
from detector.sightings import Places, Sighting, sighting_of
from detector.timeseries import Run, TimeSeries, build
from detector.volcanoes import Volcano, great_circle_km, volcanoes
from training.labels import Truth
from training.metrics import match_objects
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.draw import draw_exposure
from training.simulate.hotspots import HotSpot, draw_components
from training.simulate.plumes import Plume
from training.simulate.product import SHAPES
from training.simulate.recipe import Recipe
from training.simulate.scene import Sample, light_of, take, view_of

Progress = Callable[[int, int], None]

SPOTS, PLUMES = 14, 4
APART_KM = 500.0
POWER_GW = (50.0, 5000.0)
VARIES = 0.4
"""1-sigma of the natural logarithm of a source's power from frame to frame."""
HEIGHT_KM = (100.0, 300.0)
DEPTH = (0.3, 1.5)
SSI_EVERY = 3
BEGIN = datetime(2000, 1, 1)
DAYS = 730


@dataclass(frozen=True)
class Eruption:
    """What erupts all along; its spot or its plume varies from frame to frame."""

    kind: str
    name: str
    cause: HotSpot | Plume

    def at(self, rng: Rng) -> HotSpot | Plume:
        """As it is on one frame."""
        factor = float(np.exp(rng.normal(0, VARIES)))
        if isinstance(self.cause, HotSpot):
            return self.cause.times(factor)
        return replace(self.cause, optical_depth=self.cause.optical_depth * factor)


@dataclass
class Tally:
    """What was put in, what was found of it, and what the series made of it.

    Attributes:
        series: sources and moments.
        bright: eruptions that stood above the limit of half found on a frame at least once.
        found: eruptions that were detected and placed, and at how many moments.
        split: eruptions that the series takes for several sources.
        merged: sources made of several eruptions.
        false: sources of which no detection is of an eruption.

    """

    series: TimeSeries
    bright: set[str] = field(default_factory=set)
    found: Counter[str] = field(default_factory=Counter)
    split: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it."""
        sources = self.series.sources
        repeated = sum(source.repeated for source in sources)
        again = sum(times > 1 for times in self.found.values())
        return [
            f"{self.series.frames} frames, {self.series.detections} detections, {len(sources)} sources",
            f"eruptions above the half-found signal-to-noise at least once: {len(self.bright)}; "
            f"found and placed at least once: {len(self.found)}, at more than one moment: {again}",
            f"sources seen at more than one moment: {repeated} for {again} eruptions "
            f"({100 * (repeated / max(again, 1) - 1):+.0f} %); "
            f"all sources: {len(sources)} for {len(self.found)} eruptions",
            f"{len(self.split)} eruptions split, {len(self.merged)} sources merged, {len(self.false)} false",
        ]


def run(detector: Detector, count: int, seed: int, progress: Progress = lambda done, total: None) -> Tally:
    """Simulate the frames, detect, join.

    Args:
        detector: at the operating point to be tried.
        count: frames.
        seed: of the eruptions and of the frames.
        progress: is told frames done and all.

    """
    eruptions = population(np.random.default_rng([seed, 1]))
    frames: dict[str, Frame] = {}
    rows: list[Detection] = []
    states: list[FrameStatus] = []
    belongs: dict[tuple[str, str], str] = {}
    bright: set[str] = set()
    limits = Run(Path(), (), (), detector.model.name, detector.operating_point)
    for index in range(count):
        sample, names = frame_of(eruptions, seed, index)
        result = detector(sample.frame)
        frames[sample.frame.id] = sample.frame
        rows += result.detections
        states.append(_status(result))
        truths = [
            Truth.cut(str(n), thing.kind, thing.on(sample.frame.shape), snr_mf=thing.snr_mf)
            for n, thing in enumerate(sample.objects)
        ]
        bright |= {names[n] for n, thing in enumerate(sample.objects) if thing.snr_mf >= limits.limit_snr(thing.kind)}
        verdicts = match_objects(truths, result.regions, result.scores).of_region
        for row, verdict in zip(result.detections, verdicts, strict=True):
            belongs[row.frame_id, row.detection_id] = names[verdict] if verdict >= 0 else ""
        progress(index + 1, count)

    def look(own: Sequence[FrameStatus], _: Path, places: Places, kernels: Path | None) -> list[Sighting]:
        return [sighting_of(row, frames[row.frame_id], places, kernels) for row in own]

    whole = Run(Path(), tuple(rows), tuple(states), detector.model.name, detector.operating_point)
    return tallied(build([whole], look=look), belongs, bright)


def _status(result: Result) -> FrameStatus:
    """What a series needs to know of a frame that was looked at."""
    frame, limb = result.frame, result.limb
    plumes, hotspots = (float(result.count(kind)) if result.looked_for(kind) else math.nan for kind in CLASSES)
    return FrameStatus(
        frame.id, frame.id, instrument=frame.instrument, filter=frame.filter, start_time_utc=frame.start_time,
        plumes=plumes, hotspots=hotspots, limb_source=limb.source,
        disk_x_px=limb.x_px, disk_y_px=limb.y_px, disk_radius_px=limb.radius_px,
    )  # fmt: skip


def tallied(series: TimeSeries, belongs: dict[tuple[str, str], str], bright: set[str]) -> Tally:
    """Count what the sources are made of."""
    tally = Tally(series, bright)
    sources_of: Counter[str] = Counter()
    for source in series.sources:
        own = [m for m in series.moments if m.source_id == source.source_id and m.seen]
        names = Counter(belongs[m.frame_id, m.detection_id] for m in own)
        del names[""]
        sources_of.update(set(names))
        tally.found += names
        if not names:
            tally.false.append(source.name)
        if len(names) > 1:
            tally.merged.append(source.name)
    tally.split = [name for name, times in sources_of.items() if times > 1]
    return tally


def population(rng: Rng) -> list[Eruption]:
    """Draw the eruptions: hot spots at catalogued volcanoes far apart, plumes over some of those known for theirs."""
    chosen: list[Volcano] = []
    for volcano in rng.permutation(np.array(volcanoes(), object)):
        if volcano.hot_spot == "A" and all(_km(volcano, other) > APART_KM for other in chosen):
            chosen.append(volcano)
        if len(chosen) == SPOTS:
            break
    spots = [Eruption("hotspot", f"{v.name} (hot spot)", _spot(rng, v)) for v in chosen]
    vents: list[Volcano] = []
    for volcano in rng.permutation(np.array([v for v in volcanoes() if v.plume], object)):
        if abs(volcano.lat_deg) < 45 and all(_km(volcano, other) > 2 * APART_KM for other in vents):
            vents.append(volcano)
        if len(vents) == PLUMES:
            break
    return spots + [Eruption("plume", f"{v.name} (plume)", _plume(rng, v)) for v in vents]


def _km(one: Volcano, other: Volcano) -> float:
    return great_circle_km(one.lat_deg, one.lon_w_deg, other.lat_deg, other.lon_w_deg)


def _spot(rng: Rng, volcano: Volcano) -> HotSpot:
    _, components = draw_components(rng, log_uniform(rng, *POWER_GW))
    size = 2 * math.sqrt(sum(part.area_km2 for part in components))
    return HotSpot(
        volcano.lat_deg, volcano.lon_w_deg, components, size, "point", int(rng.integers(2**31)), volcano.name
    )


def _plume(rng: Rng, volcano: Volcano) -> Plume:
    seed, height, depth = int(rng.integers(2**31)), log_uniform(rng, *HEIGHT_KM), log_uniform(rng, *DEPTH)
    return Plume(volcano.lat_deg, volcano.lon_w_deg, height, "umbrella", depth, seed, volcano.name)


def frame_of(eruptions: Sequence[Eruption], seed: int, index: int) -> tuple[Sample, list[str]]:
    """One frame with whatever of the eruptions it shows, and the eruption of each of its objects."""
    kind = "ssi" if index % SSI_EVERY == 0 else "jiram"
    recipe = Recipe(
        instrument=kind, shape=SHAPES[kind], empty=1.0, no_limb=0.0, eclipse=0.0,
        radius_px=(60.0, 150.0), usual_radius_px=(60.0, 150.0), phase_deg=(10.0, 110.0),
    )  # fmt: skip
    dice = Dice(seed, index)
    scene, _, camera = draw_exposure(recipe, dice)
    wanted = "plume" if kind == "ssi" else "hotspot"
    rng = dice.rng("eruptions")
    now = [(eruption, eruption.at(rng)) for eruption in eruptions if eruption.kind == wanted]
    scene = replace(
        scene,
        plumes=tuple(cause for _, cause in now if isinstance(cause, Plume)),
        hotspots=tuple(cause for _, cause in now if isinstance(cause, HotSpot)),
    )
    sample = take(scene, light_of(scene, camera.band), camera, dice, f"series-{index:04d}")
    if scene.geometry is None:
        raise RuntimeError("a frame of the series has no geometry")
    view = replace(view_of(scene.geometry), centre_x_px=math.nan, centre_y_px=math.nan)
    moment = (BEGIN + timedelta(days=DAYS * float(rng.random()))).isoformat(timespec="seconds")
    names = {id(cause): eruption.name for eruption, cause in now}
    named = [names[id(thing.cause)] for thing in sample.objects]
    return replace(sample, frame=replace(sample.frame, view=view, start_time=moment)), named
