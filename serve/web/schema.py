"""What the service answers, as the OpenAPI document describes it. Units are part of a name; null is "not known"."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from detector.catalogue import Detection, FrameStatus
from detector.timeseries import Moment

Kind = Literal["plume", "hotspot"]
JobState = Literal["queued", "running", "done", "rejected", "failed"]
MOST_POINTS, MOST_POLYGONS, MOST_OBJECTS = 2000, 64, 500


def _row(kind: type, name: str) -> type[BaseModel]:
    """Return the model of a table's row as JSON: the same columns, null where not known."""
    plain = {"str": str, "int": int, "float": float}
    columns: dict[str, Any] = {column.name: (plain[str(column.type)] | None, ...) for column in fields(kind)}
    return create_model(name, **columns)


DetectionRow = _row(Detection, "DetectionRow")
FrameRow = _row(FrameStatus, "FrameRow")
MomentRow = _row(Moment, "MomentRow")


class Links(BaseModel):
    """Where to go on."""

    model_config = ConfigDict(extra="allow")

    self: str


class ProductState(BaseModel):
    """One product of a job."""

    name: str
    state: JobState
    reason: str
    frames: list[str]


class Job(BaseModel):
    """An upload and what became of it."""

    id: str
    name: str
    state: JobState
    reason: str
    created: str
    finished: str | None
    products: list[ProductState]
    links: Links


class JobList(BaseModel):
    """Some jobs, the latest first, and how many there are."""

    total: int
    jobs: list[Job]


class Found(BaseModel):
    """A job that is done, with everything that was found."""

    job: Job
    frames: list[FrameRow]  # type: ignore[valid-type]
    detections: list[DetectionRow]  # type: ignore[valid-type]
    links: Links


class Geometry(BaseModel):
    """A GeoJSON-like MultiPolygon in the frame's pixels: (x, y), an integer is a pixel's centre."""

    type: Literal["MultiPolygon"]
    coordinates: list[list[list[tuple[float, float]]]]


class Outline(BaseModel):
    """Where a detection is on the frame."""

    detection_id: str
    kind: Kind
    score: float
    geometry: Geometry


class Circle(BaseModel):
    """Io's limb on the frame; null and a reason where there is none to trust."""

    x_px: float | None
    y_px: float | None
    radius_px: float | None
    sigma_px: float | None
    source: str
    reason: str


class View(BaseModel):
    """What the kilometres and degrees rest on."""

    source: str
    range_km: float | None
    phase_deg: float | None
    km_per_px: float | None
    notes: list[str]
    places_step: int


class Facts(BaseModel):
    """What the frame is."""

    rows: int
    columns: int
    unit: str
    observation: str
    wavelength_um: float | None
    exposure_s: float | None
    target: str
    source: str
    saturation: float | None
    warnings: list[str]
    keywords: dict[str, str]
    model: str
    operating_point: str


class Levels(BaseModel):
    """What a display needs to choose black and white, in the frame's unit."""

    least: float | None
    most: float | None
    sky: float | None
    sigma: float | None
    bright: float | None
    percentiles: list[float | None] = Field(description="0.1 0.5 1 5 25 50 75 95 99 99.5 99.9 %")


class Frame(BaseModel):
    """A frame with everything that is known about it."""

    frame: FrameRow  # type: ignore[valid-type]
    facts: Facts
    limb: Circle
    geometry: View
    levels: Levels
    detections: list[DetectionRow]  # type: ignore[valid-type]
    outlines: list[Outline]
    corrected: int = Field(description="revision of the corrections; 0 where there are none")
    added: str
    links: Links


class FrameEntry(BaseModel):
    """A frame in a list."""

    frame_id: str
    status: str
    instrument: str | None
    filter: str | None
    start_time_utc: str | None
    plumes: int | None
    hotspots: int | None
    corrected: bool
    added: str


class FrameList(BaseModel):
    """Some frames, the latest first, and how many there are."""

    total: int
    frames: list[FrameEntry]


class Pixel(BaseModel):
    """What is known of one pixel."""

    x_px: int
    y_px: int
    value: float | None = Field(description="null where not observed")
    unit: str
    altitude_km: float | None = Field(description="above the limb's circle, less than 0 on the disk")
    azimuth_deg: float | None = Field(description="position angle on the limb, 0 = up, clockwise")
    lat_deg: float | None
    lon_w_deg: float | None
    detections: list[str]


class Catalogue(BaseModel):
    """A page of the catalogue."""

    total: int
    limit: int
    offset: int
    detections: list[DetectionRow]  # type: ignore[valid-type]
    links: Links


class Volcano(BaseModel):
    """A known volcanic feature and how often something was found there."""

    name: str
    lat_deg: float
    lon_w_deg: float
    lon_e_deg: float
    hot_spot: str
    plume: bool
    plumes_found: int
    hotspots_found: int


class VolcanoList(BaseModel):
    """Every feature of the package's table."""

    volcanoes: list[Volcano]


class TimeSeries(BaseModel):
    """A volcano through time: when it was seen, and when it was in view and was not."""

    volcano: Volcano
    moments: list[MomentRow]  # type: ignore[valid-type]
    note: str


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok"]
    version: str


class Readiness(BaseModel):
    """Whether the service can detect."""

    ready: bool
    model: str
    model_sha256: str
    operating_point: str
    confined: bool = Field(description="whether the kernel limits which files a worker may open")
    thresholds: dict[str, dict[str, dict[str, float]]] = Field(description="by operating point and kind")
    limits: dict[str, float]


Point = Annotated[tuple[float, float], Field(description="x, y in pixels")]
RingOfPoints = Annotated[list[Point], Field(min_length=3, max_length=MOST_POINTS)]
PolygonOfRings = Annotated[list[RingOfPoints], Field(min_length=1, max_length=MOST_POLYGONS)]


class CorrectedObject(BaseModel):
    """What a reviewer says of one object.

    ``accept`` keeps a detection's own pixels, ``reject`` says that it is none, ``redraw`` gives other pixels: of a
    detection, or of something that was not found.
    """

    model_config = ConfigDict(extra="forbid")

    object_id: str = Field(min_length=1, max_length=160, pattern=r"^[A-Za-z0-9._-]+$")
    kind: Kind
    decision: Literal["accept", "reject", "redraw"]
    detection_id: str = Field("", max_length=160, description="empty for what was not found")
    polygons: list[PolygonOfRings] = Field([], max_length=MOST_POLYGONS, description="of a redraw, in pixels")

    @model_validator(mode="after")
    def _consistent(self) -> CorrectedObject:
        if (self.decision == "redraw") != bool(self.polygons):
            raise ValueError("polygons belong to a redraw, and a redraw needs them")
        if self.decision != "redraw" and not self.detection_id:
            raise ValueError(f"{self.decision} needs the detection_id of what it speaks of")
        return self


class Correction(BaseModel):
    """What a reviewer says to a frame. Detections that are not named are not judged: their pixels stay unknown."""

    model_config = ConfigDict(extra="forbid")

    reviewer: str = Field("", max_length=200)
    note: str = Field("", max_length=4000)
    objects: list[CorrectedObject] = Field([], max_length=MOST_OBJECTS)


class SavedCorrection(Correction):
    """What is kept, with its number and time."""

    revision: int
    saved: str
