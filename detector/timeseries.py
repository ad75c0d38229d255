"""Time series: every source at every moment when it was seen, or when it was in view and was not.

A row of ``timeseries.csv`` is one source on one frame. Spectral power depends on the wavelength, so the bands of one
moment are rows of their own; they share instrument and start time.

Upper limits
------------
A source in view and not found was fainter than what is found. ``limit_snr`` is the signal-to-noise at which half of the
objects are found, by model, operating point and kind. HALF_FOUND_SNR repeats what the
evaluations of the released models measured; another value can be given; for a model that nobody measured there is no
limit. It is of a perfect matched filter, which is never below that of the brightest pixel, so it bounds ``peak_snr``
too. ``spectral_power_limit_gw_um`` is that times the power of a peak S/N of 1 on the same frame: the median of
power x cos(emission) / peak S/N over the frame's own detections, divided by the cosine at the source, because the power
is that of a flat surface seen from above. Without such a detection it is empty. Plumes have no limit in km: how high
gas goes does not follow from how faint it is.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from detector.catalogue import Detection, FrameStatus
from detector.errors import InputError
from detector.frame import CLASSES
from detector.sightings import GRAZING_DEG, Places, Sighting, sightings
from detector.sources import NAMED_KM, VAGUE_DEG, Place, Source, find_sources
from detector.table import from_values, number, to_csv

HALF_FOUND_SNR: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "io-detector@0.1.0": {
        "screening": {"plume": 27.0, "hotspot": 14.0},
        "confident": {"plume": 27.0, "hotspot": 28.0},
    },
    "io-detector@0.2.0": {
        "screening": {"plume": 36.4, "hotspot": 10.2},
        "confident": {"plume": 171.6, "hotspot": 31.1},
    },
    "io-detector@0.4.0": {
        "screening": {"plume": 38.6, "hotspot": 13.6},
        "confident": {"plume": 38.6, "hotspot": 27.7},
    },
    "io-detector@0.5.0": {
        "screening": {"plume": 38.6, "hotspot": 11.9},
        "confident": {"plume": 40.9, "hotspot": 20.6},
    },
    "io-detector@0.6.0": {
        "screening": {"plume": 37.9, "hotspot": 12.0},
        "confident": {"plume": 37.9, "hotspot": 17.3},
    },
    "io-detector@0.7.0": {
        "screening": {"plume": 37.9, "hotspot": 10.1},
        "confident": {"plume": 37.9, "hotspot": 20.6},
    },
}
"""Matched-filter signal-to-noise at which half are found, by model, operating point and kind: as the model's card says,
or, of 0.1.0, the results on simulated seed 777. Half of the plumes drawn are on the disk or at no trusted limb."""

NEEDED: Mapping[type, frozenset[str]] = {
    Detection: frozenset({"detection_id", "frame_id", "kind", "lat_deg", "lon_w_deg", "position_sigma_deg"}),
    FrameStatus: frozenset({"frame_id", "path", "status"}),
}
"""Columns without which a table is not one of ours."""

Progress = Callable[[int, int], None]
Look = Callable[[Sequence[FrameStatus], Path, Places, Path | None], list[Sighting]]


@dataclass(frozen=True)
class Moment:
    """A source on a frame: the one definition of the columns of ``timeseries.csv``.

    Attributes:
        source_id, kind, name: of the source.
        frame_id, instrument, filter, start_time_utc: of the frame; frames of one moment share instrument and time.
        found: ``yes``, or ``no``: it was in view and nothing was reported there.
        detection_id: in the catalogue; empty where not found.
        score, peak_snr: of the detection.
        limit_snr: signal-to-noise below which it must have stayed; where not found only.
        spectral_power_gw_um, spectral_power_sigma_gw_um: as in the catalogue.
        spectral_power_limit_gw_um: upper limit; where not found only, and where the frame tells.
        temperature_k, temperature_sigma_k, plume_height_km, plume_height_sigma_km: as in the catalogue.
        emission_deg: angle under which the source's place was seen; above 90 beyond the limb; empty where not known.
        flags: of the detection.

    """

    source_id: str
    kind: str
    name: str
    frame_id: str
    instrument: str = ""
    filter: str = ""
    start_time_utc: str = ""
    found: str = "yes"
    detection_id: str = ""
    score: float = number(4)
    peak_snr: float = number(1)
    limit_snr: float = number(1)
    spectral_power_gw_um: float = number(4)
    spectral_power_sigma_gw_um: float = number(4)
    spectral_power_limit_gw_um: float = number(4)
    temperature_k: float = number(0)
    temperature_sigma_k: float = number(0)
    plume_height_km: float = number(1)
    plume_height_sigma_km: float = number(1)
    emission_deg: float = number(1)
    flags: str = ""

    @property
    def seen(self) -> bool:
        """Whether it was found."""
        return self.found == "yes"

    @property
    def moment(self) -> tuple[str, str]:
        """What the frames of one moment share."""
        return self.instrument, self.start_time_utc


@dataclass(frozen=True)
class SourceRow:
    """A source and its history in short: the one definition of the columns of ``sources.csv``.

    Attributes:
        source_id, kind, name: ``P01`` or ``H01``; ``plume`` or ``hotspot``; volcano, or ``new at LAT LON``.
        lon_e_deg, lon_w_deg, lat_deg, position_sigma_deg: mean place and its 1-sigma.
        scatter_deg: rms distance of the detections from it; empty for a single one.
        detections: how many; ``moments``: at how many moments (instrument and start time).
        in_view_not_found: frames that had it in view and on which nothing was found.
        not_known: frames of which it cannot be told whether they had it in view.
        first_seen_utc, last_seen_utc: of the detections.
        best_score: largest score.
        spectral_power_max_gw_um, temperature_max_k, plume_height_max_km: largest that was measured.
        volcano, volcano_distance_km: nearest catalogued feature, whether or not it gave the name.
        volcanoes_in_reach: catalogued features that may be it; with more than one the name is a choice.
        linked: sources of the other kind at the same place, joined by ``|``.

    """

    source_id: str
    kind: str
    name: str
    lon_e_deg: float = number(3)
    lon_w_deg: float = number(3)
    lat_deg: float = number(3)
    position_sigma_deg: float = number(3)
    scatter_deg: float = number(3)
    detections: int = 0
    moments: int = 0
    in_view_not_found: int = 0
    not_known: int = 0
    first_seen_utc: str = ""
    last_seen_utc: str = ""
    best_score: float = number(4)
    spectral_power_max_gw_um: float = number(4)
    temperature_max_k: float = number(0)
    plume_height_max_km: float = number(1)
    volcano: str = ""
    volcano_distance_km: float = number(0)
    volcanoes_in_reach: int = 0
    linked: str = ""

    @property
    def repeated(self) -> bool:
        """Whether it was seen at more than one moment."""
        return self.moments > 1


@dataclass(frozen=True)
class Run:
    """What one run of the detector left.

    Attributes:
        folder: of the tables.
        detections: rows of ``catalogue.csv``.
        frames: rows of ``frames.csv``, rejected products left out.
        model, operating_point: as ``catalogue.geojson`` says; empty where it is not there.

    """

    folder: Path
    detections: tuple[Detection, ...]
    frames: tuple[FrameStatus, ...] = ()
    model: str = ""
    operating_point: str = ""

    def limit_snr(self, kind: str) -> float:
        """Signal-to-noise at which half are found; of the less sensitive operating point where it is not known which.

        NaN for a model that was not measured.
        """
        points = HALF_FOUND_SNR.get(self.model, {})
        chosen = [points[self.operating_point]] if self.operating_point in points else list(points.values())
        return max((point[kind] for point in chosen), default=math.nan)


@dataclass(frozen=True)
class TimeSeries:
    """Sources and their moments.

    Attributes:
        sources: plumes, then hot spots, each by west longitude.
        moments: by source, then time.
        detections, frames: how many were read.
        unplaced: detections that belong to no source, by kind and reason.
        unseen: frames of which it cannot be told what they had in view, by reason; empty without any source.
        notes: what else there is to say.

    """

    sources: tuple[SourceRow, ...] = ()
    moments: tuple[Moment, ...] = ()
    detections: int = 0
    frames: int = 0
    unplaced: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def tables(self) -> dict[str, str]:
        """The tables as RFC 4180 text, by the names of their files."""
        return {"sources.csv": to_csv(SourceRow, self.sources), "timeseries.csv": to_csv(Moment, self.moments)}


# -- reading --------------------------------------------------------------------------------------------------------


def read_run(path: Path) -> Run:
    """Read a ``catalogue.csv`` (or the folder that holds one) and what lies beside it.

    That is ``frames.csv``, without which nothing is known of what was in view, and ``catalogue.geojson``, which names
    the model and its operating point; either may be missing.

    Raises:
        InputError: there is no such file, a column is missing, or a cell holds no number where one belongs.

    """
    catalogue = path / "catalogue.csv" if path.is_dir() else path
    beside = catalogue.with_name("frames.csv")
    frames = read_rows(FrameStatus, beside) if beside.is_file() else []
    kept = tuple(row for row in frames if row.status != "rejected" and row.frame_id)
    detections = tuple(read_rows(Detection, catalogue))
    known = _described(catalogue.with_name("catalogue.geojson"))
    model = known.get("model") or next((row.model for row in detections if row.model), "")
    return Run(catalogue.parent, detections, kept, str(model), str(known.get("operating_point") or ""))


def _described(path: Path) -> Mapping[str, Any]:
    """Return what ``catalogue.geojson`` says of the run; nothing where it is not there or is no such document."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def read_rows(kind: type, path: Path) -> list[Any]:
    """Read the rows of a table.

    Columns that the row class does not know are passed over; of its own only those in NEEDED must be there.

    Raises:
        InputError: as for ``read_run``.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream, strict=True)
            lines, named = list(table), set(table.fieldnames or ())
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "name a catalogue.csv that io-detector detect wrote") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"cannot be read as a table: {error}") from error
    missing = sorted(NEEDED[kind] - named)
    if missing:
        remedy = "give the table as io-detector detect wrote it"
        raise InputError(path, f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}", remedy)
    columns = [column for column in fields(kind) if column.name in named]
    return [_row(kind, line, columns, f"{path}, row {n}") for n, line in enumerate(lines, 2)]


def _row(kind: type, line: Mapping[str, str | None], columns: Sequence[Field[Any]], at: str) -> Any:
    texts = ((column, line[column.name]) for column in columns)
    row = {column.name: _cell(column, text, at) for column, text in texts if text}
    if kind is Detection and row.get("kind") not in CLASSES:
        raise InputError(at, f"kind is {row.get('kind', '')!r}, expected {' or '.join(CLASSES)}")
    if kind is Detection and not (row.get("detection_id") and row.get("frame_id")):
        raise InputError(at, "a detection without detection_id or frame_id")
    return from_values(kind, row)


def _cell(column: Field[Any], text: str, at: str) -> str | int | float:
    """A cell as its column has it; the annotations of the rows are plain names."""
    kinds: Mapping[Any, Callable[[str], str | int | float]] = {"int": int, "float": float}
    try:
        return kinds.get(column.type, str)(text)
    except ValueError as error:
        raise InputError(at, f"{column.name} is {text!r}, expected a number") from error


# -- building -------------------------------------------------------------------------------------------------------

Key = tuple[str, str]
"""A frame: its file's SHA-256 (the table's folder where that is not known) and its name."""


@dataclass(frozen=True)
class _Seen:
    """A frame of a run with its key."""

    key: Key
    status: FrameStatus
    run: Run


def build(
    runs: Sequence[Run],
    limit_snr: float = math.nan,
    kernels: Path | None = None,
    progress: Progress | None = None,
    look: Look = sightings,
) -> TimeSeries:
    """Join the detections of runs to sources and follow each through all frames.

    A frame that stands in several runs counts once, as the first run has it.

    Args:
        runs: what was read.
        limit_snr: signal-to-noise at which half are found; NaN takes what HALF_FOUND_SNR has for the run.
        kernels: folder of SPICE kernels; IO_DETECTOR_KERNELS of the environment where not given.
        progress: told how many products of how many were opened again.
        look: tells what the frames of one product had in view; opens it again unless given.

    """
    frames, found, repeated = _once(runs)
    sources = find_sources([_place(key, detection) for key, detection in found])
    views = _views(list(frames.values()), sources, kernels, progress, look)
    follow = _Follower(frames, found, views, _unit_powers(found, sources, views), limit_snr)
    histories = [follow.history(source, n) for n, source in enumerate(sources)]
    return TimeSeries(
        tuple(follow.summary(source, rows) for source, rows in zip(sources, histories, strict=True)),
        tuple(row for rows in histories for row in rows),
        len(found),
        len(frames),
        _unplaced([detection for _, detection in found]),
        dict(sorted(Counter(view.reason for view in views.values() if not view.known).items())),
        tuple(_notes(runs, repeated, limit_snr)),
    )


@dataclass(frozen=True)
class _Follower:
    """Everything that is known of the frames, to follow one source after the other through them.

    Attributes:
        frames: by key, in order of time.
        found: frame and detection, as the sources' members count them.
        views: what each frame had in view of the sources, in their order.
        unit: GW/um of a peak signal-to-noise of 1, seen from above, by frame.
        limit_snr: as given by the user; NaN where not.

    """

    frames: Mapping[Key, _Seen]
    found: Sequence[tuple[Key, Detection]]
    views: Mapping[Key, Sighting]
    unit: Mapping[Key, float]
    limit_snr: float

    def history(self, source: Source, n: int) -> list[Moment]:
        """Every moment of a source, the n-th that the views were asked for, by time."""
        rows = [_found(source, row, self._emission(key, n)) for key, row in (self.found[i] for i in source.members)]
        rows += [self._missed(source, seen, n) for seen in self._others(source) if self._in_view(source, seen.key, n)]
        return sorted(rows, key=_by_moment)

    def summary(self, source: Source, rows: Sequence[Moment]) -> SourceRow:
        """The source's row, of its history."""
        not_known = sum(not self.views[seen.key].known for seen in self._others(source))
        return _summary(source, rows, not_known)

    def _others(self, source: Source) -> list[_Seen]:
        """The frames on which it was not found."""
        own = {self.found[i][0] for i in source.members}
        return [seen for key, seen in self.frames.items() if key not in own]

    def _in_view(self, source: Source, key: Key, n: int) -> bool:
        return bool(self.views[key].of(source.kind)[n])

    def _emission(self, key: Key, n: int) -> float:
        return float(self.views[key].emission_deg[n]) if key in self.views else math.nan

    def _missed(self, source: Source, seen: _Seen, n: int) -> Moment:
        limit = self.limit_snr if math.isfinite(self.limit_snr) else seen.run.limit_snr(source.kind)
        frame, emission = seen.status, self._emission(seen.key, n)
        power = math.nan
        if source.kind == "hotspot" and seen.key in self.unit:
            power = limit * self.unit[seen.key] / math.cos(math.radians(emission))
        return Moment(
            source.source_id,
            source.kind,
            source.name,
            frame.frame_id,
            frame.instrument,
            frame.filter,
            frame.start_time_utc,
            found="no",
            limit_snr=limit,
            spectral_power_limit_gw_um=power,
            emission_deg=emission,
        )


def _notes(runs: Sequence[Run], repeated: int, limit_snr: float) -> Iterator[str]:
    if repeated:
        yield f"{repeated} frames stand in more than one catalogue; the first one counts."
    unmeasured = sorted({run.model or "an unknown model" for run in runs if math.isnan(run.limit_snr("hotspot"))})
    if unmeasured and math.isnan(limit_snr):
        yield f"No limits for {', '.join(unmeasured)}: how much it finds was not measured."


def _once(runs: Sequence[Run]) -> tuple[dict[Key, _Seen], list[tuple[Key, Detection]], int]:
    """Every frame and every detection once, and how many frames were met again."""
    frames: dict[Key, _Seen] = {}
    found: list[tuple[Key, Detection]] = []
    repeated = 0
    for run in runs:
        hashes = {row.frame_id: row.sha256 for row in run.frames}
        fresh: dict[Key, _Seen] = {}
        for row in run.frames:
            key = _key(row.frame_id, hashes, run)
            repeated += key in frames
            fresh[key] = _Seen(key, row, run)
        keyed = ((_key(row.frame_id, hashes, run), row) for row in run.detections)
        found += [(key, row) for key, row in keyed if key not in frames]
        frames = fresh | frames
    found.sort(key=lambda pair: (pair[0], pair[1].detection_id))
    return dict(sorted(frames.items(), key=_by_time)), found, repeated


def _key(frame_id: str, hashes: Mapping[str, str], run: Run) -> Key:
    return hashes.get(frame_id) or run.folder.absolute().as_posix(), frame_id


def _by_time(item: tuple[Key, _Seen]) -> tuple[str, Key]:
    return item[1].status.start_time_utc, item[0]


def _by_moment(row: Moment) -> tuple[str, ...]:
    return row.start_time_utc, row.instrument, row.filter, row.frame_id, row.detection_id


def _place(key: Key, row: Detection) -> Place:
    named = row.kind == "plume" and row.volcano_distance_km <= NAMED_KM
    label, vent = f"{key[0]} {row.detection_id}", row.volcano if named else ""
    return Place(row.kind, key, label, row.lat_deg, row.lon_w_deg, row.position_sigma_deg, vent)


def _views(
    frames: Sequence[_Seen], sources: Sequence[Source], kernels: Path | None, progress: Progress | None, look: Look
) -> dict[Key, Sighting]:
    """What every frame had in view of the sources; each product is opened once, none where there is no source."""
    if not sources:
        return {}
    places = np.array([s.lat_deg for s in sources]), np.array([s.lon_w_deg for s in sources])
    products: dict[tuple[Path, str, str], list[_Seen]] = {}
    for seen in frames:
        products.setdefault((seen.run.folder, seen.status.path, seen.status.sha256), []).append(seen)
    views: dict[Key, Sighting] = {}
    for done, own in enumerate(products.values(), 1):
        told = look([seen.status for seen in own], own[0].run.folder, places, kernels)
        views |= {seen.key: view for seen, view in zip(own, told, strict=True)}
        if progress is not None:
            progress(done, len(products))
    return views


def _unit_powers(
    found: Sequence[tuple[Key, Detection]], sources: Sequence[Source], views: Mapping[Key, Sighting]
) -> dict[Key, float]:
    """By frame, the power in GW/um, seen from above, of a source whose brightest pixel stands at a S/N of 1."""
    ratios: dict[Key, list[float]] = {}
    for n, source in enumerate(sources):
        for key, row in (found[i] for i in source.members if source.kind == "hotspot"):
            emission = float(views[key].emission_deg[n]) if key in views else math.nan
            usable = row.peak_snr > 0 and row.spectral_power_gw_um > 0 and "SATURATED" not in row.flags
            if usable and emission <= GRAZING_DEG:
                seen = row.spectral_power_gw_um * math.cos(math.radians(emission))
                ratios.setdefault(key, []).append(seen / row.peak_snr)
    return {key: statistics.median(own) for key, own in ratios.items()}


def _found(source: Source, row: Detection, emission_deg: float) -> Moment:
    return Moment(
        source.source_id,
        source.kind,
        source.name,
        row.frame_id,
        row.instrument,
        row.filter,
        row.start_time_utc,
        detection_id=row.detection_id,
        score=row.score,
        peak_snr=row.peak_snr,
        spectral_power_gw_um=row.spectral_power_gw_um,
        spectral_power_sigma_gw_um=row.spectral_power_sigma_gw_um,
        temperature_k=row.temperature_k,
        temperature_sigma_k=row.temperature_sigma_k,
        plume_height_km=row.plume_height_km,
        plume_height_sigma_km=row.plume_height_sigma_km,
        emission_deg=emission_deg,
        flags=row.flags,
    )


def _summary(source: Source, rows: Sequence[Moment], not_known: int) -> SourceRow:
    seen = [row for row in rows if row.seen]
    times = sorted(row.start_time_utc for row in seen if row.start_time_utc)
    return SourceRow(
        source.source_id,
        source.kind,
        source.name,
        source.lon_e_deg,
        source.lon_w_deg,
        source.lat_deg,
        source.sigma_deg,
        source.scatter_deg,
        detections=len(seen),
        moments=len({row.moment for row in seen}),
        in_view_not_found=len(rows) - len(seen),
        not_known=not_known,
        first_seen_utc=times[0] if times else "",
        last_seen_utc=times[-1] if times else "",
        best_score=_largest(row.score for row in seen),
        spectral_power_max_gw_um=_largest(row.spectral_power_gw_um for row in seen),
        temperature_max_k=_largest(row.temperature_k for row in seen),
        plume_height_max_km=_largest(row.plume_height_km for row in seen),
        volcano=source.volcano,
        volcano_distance_km=source.volcano_km,
        volcanoes_in_reach=source.in_reach,
        linked="|".join(source.linked),
    )


def _largest(values: Iterator[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def _unplaced(detections: Sequence[Detection]) -> dict[tuple[str, str], int]:
    """How many detections belong to no source, by kind and reason."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in detections:
        if not math.isfinite(row.lat_deg + row.lon_w_deg):
            counts[row.kind, "its place on Io is not known"] += 1
        elif not row.position_sigma_deg <= VAGUE_DEG:
            counts[row.kind, f"its place is not known to {VAGUE_DEG:g} degrees"] += 1
    return dict(sorted(counts.items()))
