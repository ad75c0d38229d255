"""Time series: every source at every moment when it was seen, or when it was in view and was not.

A row of ``timeseries.csv`` is one source on one frame. Spectral power depends on the wavelength, so the bands of one
moment are rows of their own; they share instrument and start time.

Upper limits
------------
A source in view and not found was fainter than what is found. ``limit_snr`` is the signal-to-noise at which half of the
objects are found. The model card does not hold it; LIMIT_SNR is what the evaluation of the released model measured, and
another value can be given. It is of a perfect matched filter, which is never below that of the brightest pixel, so it
bounds ``peak_snr`` too. ``spectral_power_limit_gw_um`` is that times the power of a peak S/N of 1 on the same frame,
the median of power / peak S/N over the frame's own detections; without any it is empty. Plumes have no limit in km:
how high gas goes does not follow from how faint it is.
"""

from __future__ import annotations

import csv
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
from detector.sightings import Sighting, sightings
from detector.sources import VAGUE_DEG, Place, Source, find_sources
from detector.table import from_values, number, to_csv

LIMIT_SNR: Mapping[str, float] = {"plume": 27.0, "hotspot": 28.0}
"""Matched-filter signal-to-noise at which half are found: release 0.1.0, ``confident``, simulated seed 777 (README)."""

Progress = Callable[[int, int], None]


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


@dataclass(frozen=True)
class Run:
    """What one run of the detector left.

    Attributes:
        folder: of the tables.
        detections: rows of ``catalogue.csv``.
        frames: rows of ``frames.csv``, rejected products left out.

    """

    folder: Path
    detections: tuple[Detection, ...]
    frames: tuple[FrameStatus, ...] = ()


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

    def sources_csv(self) -> str:
        """``sources.csv`` as RFC 4180 text."""
        return to_csv(SourceRow, self.sources)

    def moments_csv(self) -> str:
        """``timeseries.csv`` as RFC 4180 text."""
        return to_csv(Moment, self.moments)


# -- reading --------------------------------------------------------------------------------------------------------


def read_run(path: Path) -> Run:
    """Read a ``catalogue.csv`` (or the folder that holds one) and the ``frames.csv`` beside it, where there is one.

    Raises:
        InputError: there is no such file, a column is missing, or a cell holds no number where one belongs.

    """
    catalogue = path / "catalogue.csv" if path.is_dir() else path
    beside = catalogue.with_name("frames.csv")
    frames = read_rows(FrameStatus, beside) if beside.is_file() else []
    kept = tuple(row for row in frames if row.status != "rejected" and row.frame_id)
    return Run(catalogue.parent, tuple(read_rows(Detection, catalogue)), kept)


def read_rows(kind: type, path: Path) -> list[Any]:
    """Read the rows of a table; columns that the row class does not know are passed over.

    Raises:
        InputError: as for ``read_run``.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.DictReader(stream, strict=True))
            head = [] if lines else _head(path)
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "name a catalogue.csv that io-detector detect wrote") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"cannot be read as a table: {error}") from error
    named = set(lines[0]) if lines else set(head)
    missing = [column.name for column in fields(kind) if column.name not in named]
    if missing:
        remedy = "give the table as io-detector detect wrote it"
        raise InputError(path, f"lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}", remedy)
    return [_row(kind, line, path, n) for n, line in enumerate(lines, 2)]


def _head(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return next(csv.reader(stream), [])


def _row(kind: type, line: Mapping[str, str | None], path: Path, at: int) -> Any:
    known = {}
    for column in fields(kind):
        text = line[column.name]
        if text:
            known[column.name] = _cell(column, text, path, at)
    for needed in ("detection_id", "frame_id", "kind") if kind is Detection else ():
        if needed not in known:
            raise InputError(path, f"row {at} has no {needed}")
    return from_values(kind, known)


def _cell(column: Field[Any], text: str, path: Path, at: int) -> str | int | float:
    kinds: Mapping[Any, Callable[[str], str | int | float]] = {"int": int, "float": float}
    try:
        return kinds.get(column.type, str)(text)
    except ValueError as error:
        raise InputError(path, f"row {at}, column {column.name}: {text!r} is no number") from error


# -- building -------------------------------------------------------------------------------------------------------

Key = tuple[str, str]
"""A frame: its file's SHA-256 (the table's folder where that is not known) and its name."""


@dataclass(frozen=True)
class _Seen:
    """A frame of a run with its key."""

    key: Key
    status: FrameStatus
    folder: Path


def build(
    runs: Sequence[Run],
    limit_snr: Mapping[str, float] = LIMIT_SNR,
    kernels: Path | None = None,
    progress: Progress | None = None,
) -> TimeSeries:
    """Join the detections of runs to sources and follow each through all frames.

    A frame that stands in several runs counts once, as the first run has it.

    Args:
        runs: what was read.
        limit_snr: signal-to-noise at which half are found, by kind.
        kernels: folder of SPICE kernels; IO_DETECTOR_KERNELS of the environment where not given.
        progress: told how many products of how many were opened again.

    """
    frames, found, repeated = _once(runs)
    keys, detections = [key for key, _ in found], [detection for _, detection in found]
    sources = find_sources([_place(key, detection) for key, detection in found])
    views = _views(list(frames.values()), sources, kernels, progress)
    unit = _unit_powers(found)
    moments: list[Moment] = []
    rows: list[SourceRow] = []
    for n, source in enumerate(sources):
        own = [_found(source, detections[i], _emission(views.get(keys[i]), n)) for i in source.members]
        others = {key: frames[key].status for key in frames.keys() - {keys[i] for i in source.members}}
        own += [
            _missed(source, status, _emission(views[key], n), limit_snr[source.kind], unit.get(key))
            for key, status in others.items()
            if views[key].of(source.kind)[n]
        ]
        own.sort(key=_by_moment)
        moments += own
        rows.append(_summary(source, own, sum(not views[key].known for key in others)))
    unseen = Counter(view.reason for view in views.values() if not view.known)
    notes = (f"{repeated} frames stand in more than one catalogue; the first one counts.",) if repeated else ()
    return TimeSeries(
        tuple(rows), tuple(moments), len(found), len(frames), _unplaced(detections), dict(sorted(unseen.items())), notes
    )


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
            fresh[key] = _Seen(key, row, run.folder)
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


def _place(key: Key, detection: Detection) -> Place:
    return Place(
        detection.kind, key, f"{key[0]} {detection.detection_id}", detection.lat_deg, detection.lon_w_deg,
        detection.position_sigma_deg,
    )


def _views(
    frames: Sequence[_Seen], sources: Sequence[Source], kernels: Path | None, progress: Progress | None
) -> dict[Key, Sighting]:
    """What every frame had in view of the sources; each product is opened once, none where there is no source."""
    if not sources:
        return {}
    places = np.array([s.lat_deg for s in sources]), np.array([s.lon_w_deg for s in sources])
    products: dict[tuple[Path, str, str], list[_Seen]] = {}
    for seen in frames:
        products.setdefault((seen.folder, seen.status.path, seen.status.sha256), []).append(seen)
    views: dict[Key, Sighting] = {}
    for done, own in enumerate(products.values(), 1):
        told = sightings([seen.status for seen in own], own[0].folder, places, kernels)
        views |= {seen.key: view for seen, view in zip(own, told, strict=True)}
        if progress is not None:
            progress(done, len(products))
    return views


def _emission(view: Sighting | None, n: int) -> float:
    return math.nan if view is None else float(view.emission_deg[n])


def _unit_powers(found: Sequence[tuple[Key, Detection]]) -> dict[Key, float]:
    """By frame, the spectral power in GW/um of a source whose brightest pixel stands at a signal-to-noise of 1."""
    ratios: dict[Key, list[float]] = {}
    for key, row in found:
        ratio = row.spectral_power_gw_um / row.peak_snr if row.peak_snr > 0 else math.nan
        if row.kind == "hotspot" and ratio > 0 and math.isfinite(ratio) and "SATURATED" not in row.flags:
            ratios.setdefault(key, []).append(ratio)
    return {key: statistics.median(own) for key, own in ratios.items()}


def _found(source: Source, row: Detection, emission_deg: float) -> Moment:
    return Moment(
        source.source_id, source.kind, source.name, row.frame_id, row.instrument, row.filter, row.start_time_utc,
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


def _missed(source: Source, frame: FrameStatus, emission_deg: float, limit_snr: float, unit: float | None) -> Moment:
    power = limit_snr * unit if unit is not None and source.kind == "hotspot" else math.nan
    return Moment(
        source.source_id, source.kind, source.name, frame.frame_id, frame.instrument, frame.filter,
        frame.start_time_utc,
        found="no",
        limit_snr=limit_snr,
        spectral_power_limit_gw_um=power,
        emission_deg=emission_deg,
    )


def _summary(source: Source, rows: Sequence[Moment], not_known: int) -> SourceRow:
    seen = [row for row in rows if row.seen]
    times = sorted(row.start_time_utc for row in seen if row.start_time_utc)
    return SourceRow(
        source.source_id, source.kind, source.name, source.lon_e_deg, source.lon_w_deg, source.lat_deg,
        source.sigma_deg, source.scatter_deg,
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
