"""The routes, and nothing else: what is asked, what is answered. The work is done next door."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Body, FastAPI, File, Header, Query, Request, Response, UploadFile
from fastapi import Path as Named
from fastapi.concurrency import run_in_threadpool
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from detector.card import ModelCard
from detector.errors import InputError
from detector.table import to_csv, values
from detector.timeseries import Moment
from detector.volcanoes import Volcano
from serve.batch import software_version
from serve.web import intake, pictures, problems, queries, schema, series, taken
from serve.web.engine import BusyError, Engine
from serve.web.examine import MASK
from serve.web.guard import Access, Guard
from serve.web.labels import Labels
from serve.web.limits import Limits
from serve.web.metrics import Metrics
from serve.web.outlines import pixels_of
from serve.web.problems import Problem, Reason, busy
from serve.web.store import Document, Store
from serve.worker import Settings

PAGE = Path(__file__).with_name("page")
MOST_ROWS = 5000
OPENING_S = 60.0
CSV, GEOJSON, PNG = "text/csv; charset=utf-8", "application/geo+json", "image/png"
EDGE_PX = 10_000.0
"""A corrected polygon may reach so far out of the frame; it is cut there."""

Format = Literal["json", "csv", "geojson"]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Offset = Annotated[int, Query(ge=0, le=10**9)]
FrameId = Annotated[str, Named(max_length=300)]
Column = Annotated[int, Query(ge=0, le=10**6)]
Side = Annotated[int | None, Query(ge=1, le=10**6)]
Stretch = Literal["linear", "asinh", "percentile"]


@dataclass(frozen=True)
class Service:
    """Everything that the routes need.

    Attributes:
        store, engine, labels, metrics: the rooms next door.
        limits: of uploads and answers.
        settings: of the workers.
        card: of the model, which has been opened once and agrees with its sha256.
        model_sha256: of its file.

    """

    store: Store
    engine: Engine
    labels: Labels
    metrics: Metrics
    limits: Limits
    settings: Settings
    card: ModelCard
    model_sha256: str


def create_app(service: Service, access: Access) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="io-detector",
        version=software_version(),
        summary="Finds volcanic plumes and thermal hot spots on Jupiter's moon Io in spacecraft frames.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(service),
        responses=problems.RESPONSES,
    )
    app.add_middleware(Guard, access=access, limits=service.limits, metrics=service.metrics)
    problems.install(app)
    for routes in (_detect, _jobs, _frames, _pixels, _catalogue, _corrections, _operations):
        routes(app, service)
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _lifespan(service: Service) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        taker = taken.Taker(service.store)
        await run_in_threadpool(service.labels.write)
        service.engine.start()
        taker.start()
        yield
        taker.end()
        await run_in_threadpool(service.engine.end)
        service.store.close()

    return lifespan


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the document with the schema of problems in it, which no route names as its model."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes, openapi_version="3.1.0"
        )
        parts = document.setdefault("components", {})
        for model in (problems.Reason, problems.ProblemDocument):
            parts["schemas"][model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
            parts["schemas"][model.__name__].pop("$defs", None)
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema


# -- uploads and jobs -----------------------------------------------------------------------------------------------


def _detect(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/detect",
        tags=["detect"],
        response_model=schema.Found,
        responses={202: {"model": schema.Job, "description": "Taken on; ask for the job"}},
    )
    async def detect(
        files: Annotated[list[UploadFile], File(description="frames, labels beside them, or a zip of these")],
        prefer: Annotated[str, Header(description="respond-async: answer 202 at once")] = "",
    ) -> Any:
        """Detect in frames: a product's image and label together, several products, or a zip.

        Answers with what was found, or with 202 and a job that can be asked for when it takes longer.
        """
        try:
            service.engine.check_room()
            job, done = await run_in_threadpool(_take_on, service, files)
        except BusyError:
            raise _busy(service) from None
        wait_s = 0.0 if "respond-async" in prefer else service.limits.answer_s
        if not await _finished(done, wait_s):
            return JSONResponse(_job(_known_job(service, job)), 202, {"Location": f"/v1/jobs/{job}"})
        return await run_in_threadpool(_found, service, job)


def _busy(service: Service) -> Problem:
    waiting = service.engine.waiting
    return busy(f"{waiting} jobs wait, as many as may: try again", service.engine.retry_after_s())


def _take_on(service: Service, files: list[UploadFile]) -> tuple[str, Future[bool]]:
    """Write an upload into the store and let it wait for a worker."""
    if service.store.full(service.limits.free_bytes):
        raise Problem(507, "the store's disk is full: make room for it")
    job = secrets.token_hex(8)
    folder = service.store.uploads / job
    folder.mkdir()
    try:
        uploads = [intake.Upload(file.filename or "", file.file) for file in files]
        written = intake.receive(uploads, folder, service.limits)
        products = intake.products_in(folder, written)
        name = uploads[0].name[:200] if len(uploads) == 1 else f"{len(uploads)} files"
        return job, service.engine.submit(job, name, products, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


async def _finished(done: Future[bool], wait_s: float) -> bool:
    """Whether a job is done within a time; not when the service ends before."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), wait_s)
    except TimeoutError:
        return False


def _found(service: Service, job: str) -> Document:
    """Return what a job found.

    Raises:
        Problem: 422 where no product of it could be used, 500 where that was not the products' fault.

    """
    known = _known_job(service, job)
    if known["state"] in ("rejected", "failed"):
        reasons = [Reason(source=one["name"], problem=one["reason"]) for one in known["products"] if one["reason"]]
        status = 422 if known["state"] == "rejected" else 500
        where = f"{reasons[0].source}: " if reasons else ""
        raise Problem(status, f"{where}{known['reason']}", reasons[:50])
    names = [name for product in known["products"] for name in product["frames"]]
    frames = [frame for name in names if (frame := service.store.frame(name)) is not None]
    links = {"self": f"/v1/jobs/{job}"} | {name: f"/v1/frames/{name}" for name in names}
    return {
        "job": _job(known),
        "frames": [frame["frame"] for frame in frames],
        "detections": [row for frame in frames for row in frame["detections"]],
        "links": links,
    }


def _known_job(service: Service, job: str) -> Document:
    known = service.store.job(job)
    if known is None:
        raise Problem(404, f"there is no job {job[:80]!r}")
    return known


def _job(known: Document) -> Document:
    frames = [name for product in known["products"] for name in product["frames"]]
    links = {"self": f"/v1/jobs/{known['id']}"} | {name: f"/v1/frames/{name}" for name in frames}
    return known | {"links": links}


def _jobs(app: FastAPI, service: Service) -> None:
    @app.get("/v1/jobs", tags=["detect"], response_model=schema.JobList)
    def jobs(limit: Limit = 50, offset: Offset = 0) -> Any:
        """List jobs, the latest first."""
        total, known = service.store.jobs(limit, offset)
        return {"total": total, "jobs": [_job(one) for one in known]}

    @app.get("/v1/jobs/{job_id}", tags=["detect"], response_model=schema.Job)
    def job(job_id: Annotated[str, Named(max_length=80)]) -> Any:
        """Say how far a job is, and why a product was turned away."""
        return _job(_known_job(service, job_id))


# -- frames ---------------------------------------------------------------------------------------------------------


def _frames(app: FastAPI, service: Service) -> None:
    @app.get("/v1/frames", tags=["frames"], response_model=schema.FrameList)
    def frames(limit: Limit = 100, offset: Offset = 0) -> Any:
        """List frames, the latest first."""
        ((total,),) = service.store.ask("SELECT COUNT(*) FROM frame")
        rows = service.store.ask(
            "SELECT id AS frame_id, status, instrument, filter, start_time, plumes, hotspots, "
            "EXISTS (SELECT 1 FROM correction WHERE frame = id), added "
            "FROM frame ORDER BY added DESC, id LIMIT ? OFFSET ?",
            limit,
            offset,
        )
        return {"total": total, "frames": [dict(zip(schema.FrameEntry.model_fields, row, strict=True)) for row in rows]}

    @app.get("/v1/frames/{frame_id}", tags=["frames"], response_model=schema.Frame)
    async def frame(frame_id: FrameId) -> Any:
        """Everything about a frame: metadata, limb, detections, and their outlines in its pixels."""
        document = await _opened(service, frame_id)
        correction = service.store.correction(frame_id)
        return document | {
            "outlines": _outlines(document),
            "corrected": correction["revision"] if correction else 0,
            "links": _links(frame_id),
        }

    @app.get(
        "/v1/frames/{frame_id}/mask.fits",
        tags=["frames"],
        response_class=FileResponse,
        responses={200: {"content": {"application/fits": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    async def mask_fits(frame_id: FrameId) -> Any:
        """Give the mask file: probabilities, regions, validity, the source's keywords."""
        await _opened(service, frame_id)
        path = service.store.frames / frame_id / MASK
        return FileResponse(path, media_type="application/fits", filename=f"{frame_id}.fits")


async def _opened(service: Service, frame_id: str) -> Document:
    """Return a frame's document; one that another run has taken in is opened first.

    Raises:
        Problem: 404 where there is none, or its file is gone; 503 where it cannot be opened now.

    """
    document = await run_in_threadpool(service.store.frame, frame_id)
    if document is None:
        raise Problem(404, f"there is no frame {frame_id[:80]!r}")
    if document["opened"]:
        return document
    try:
        done = service.engine.open_frame(frame_id, taken.files_of(service.store, document))
    except InputError as error:
        raise Problem(404, str(error)) from None
    except BusyError:
        raise _busy(service) from None
    if not await _finished(done, OPENING_S):
        raise _busy(service)
    opened = service.store.frame(frame_id)
    if opened is None or not opened["opened"]:
        raise Problem(404, f"{frame_id} cannot be opened: its file is not what it was when it was searched")
    return opened


def _outlines(document: Document) -> list[Document]:
    pairs = zip(document["detections"], document["outlines"], strict=True)
    keys = ("detection_id", "kind", "score")
    return [{key: row[key] for key in keys} | {"geometry": outline} for row, outline in pairs]


def _links(frame_id: str) -> dict[str, str]:
    own = f"/v1/frames/{frame_id}"
    parts = ("image.png", "mask.png", "mask.fits", "strip.png", "pixel", "pixels", "corrections")
    return {"self": own} | {part: f"{own}/{part}" for part in parts}


def _shape(document: Document) -> tuple[int, int]:
    return document["facts"]["rows"], document["facts"]["columns"]


# -- pixels ---------------------------------------------------------------------------------------------------------


def _binary(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}}


def _pixels(app: FastAPI, service: Service) -> None:
    @app.get("/v1/frames/{frame_id}/image.png", tags=["pixels"], response_class=Response, responses=_binary(PNG))
    async def image(
        frame_id: FrameId,
        stretch: Stretch = "asinh",
        black: Annotated[float | None, Query(description="value shown black; the stretch's own unless given")] = None,
        white: Annotated[float | None, Query(description="value shown white")] = None,
        x0: Column = 0,
        y0: Column = 0,
        width: Side = None,
        height: Side = None,
        longest: Annotated[int, Query(ge=1, le=pictures.LONGEST_PX, description="pixels a side, at most")] = 1024,
    ) -> Response:
        """Give a frame, or a part of it, stretched."""
        document = await _opened(service, frame_id)
        low, high = pictures.range_of(stretch, document["levels"])
        low, high = (low if black is None else black), (high if white is None else white)
        if not high - low > 0:
            raise Problem(422, f"white {high:g} must be above black {low:g}")
        window = _window(document, x0, y0, width, height, longest)
        part = await run_in_threadpool(_read, service, frame_id, window)
        softening = pictures.softening_of(document["levels"], low, high)
        return Response(await run_in_threadpool(_drawn, part, stretch, low, high, softening), media_type=PNG)

    @app.get("/v1/frames/{frame_id}/mask.png", tags=["pixels"], response_class=Response, responses=_binary(PNG))
    async def mask(
        frame_id: FrameId,
        min_score: Annotated[float, Query(ge=0, le=1)] = 0.0,
        x0: Column = 0,
        y0: Column = 0,
        width: Side = None,
        height: Side = None,
        longest: Annotated[int, Query(ge=1, le=pictures.LONGEST_PX)] = 1024,
    ) -> Response:
        """Give what was found as a transparent picture over the frame: plumes blue, hot spots orange."""
        document = await _opened(service, frame_id)
        window = _window(document, x0, y0, width, height, longest)
        drawn = await run_in_threadpool(pictures.mask_picture, document, _shape(document), window, min_score)
        return Response(pictures.png(drawn), media_type=PNG)

    @app.get(
        "/v1/frames/{frame_id}/pixels",
        tags=["pixels"],
        response_class=Response,
        responses=_binary("application/octet-stream"),
    )
    async def numbers(
        frame_id: FrameId,
        x0: Column = 0,
        y0: Column = 0,
        width: Side = None,
        height: Side = None,
        step: Annotated[int, Query(ge=1, le=1024, description="so many pixels a side become one, their mean")] = 1,
    ) -> Response:
        """Give a part of a frame as little-endian float32, row by row; NaN where not observed.

        The answer's size is in ``X-Rows`` and ``X-Columns``; at most 2048 a side.
        """
        document = await _opened(service, frame_id)
        window = pictures.Window.within(_shape(document), x0, y0, width, height)
        window = pictures.Window(window.x0, window.y0, window.width, window.height, step)
        if max(window.width, window.height) > pictures.LONGEST_PX * step:
            raise Problem(422, f"more than {pictures.LONGEST_PX} numbers a side: ask for less, or for a larger step")
        part = await run_in_threadpool(_read, service, frame_id, window)
        size = {"X-Rows": str(part.shape[0]), "X-Columns": str(part.shape[1])}
        kept = size | {"Cache-Control": "private, max-age=3600"}
        return Response(part.astype("<f4").tobytes(), media_type="application/octet-stream", headers=kept)

    @app.get("/v1/frames/{frame_id}/pixel", tags=["pixels"], response_model=schema.Pixel)
    async def pixel(frame_id: FrameId, x: Column, y: Column) -> Any:
        """Say what is known of one pixel."""
        document = await _opened(service, frame_id)
        rows, columns = _shape(document)
        if x >= columns or y >= rows:
            raise Problem(422, f"pixel ({x}, {y}) is outside the frame of {columns} columns and {rows} rows")
        return await run_in_threadpool(_pixel, service, document, x, y)

    @app.get("/v1/frames/{frame_id}/strip.png", tags=["pixels"], response_class=Response, responses=_binary(PNG))
    async def strip(frame_id: FrameId, flat: bool = True) -> Response:
        """Give the unwrapped limb: altitude upwards, position angle (0 = up, clockwise) to the right.

        ``flat`` subtracts each altitude's median over all angles. The scale is in ``X-Strip``, as JSON.
        """
        document = await _opened(service, frame_id)
        if document["limb"]["radius_px"] is None:
            raise Problem(404, f"no trusted limb to unwrap: {document['limb']['reason']}")
        shape = pictures.Strip.of(document["limb"]["radius_px"])
        drawn = await run_in_threadpool(_strip, service, document, shape, flat)
        return Response(drawn, media_type=PNG, headers={"X-Strip": json.dumps(asdict(shape))})


def _window(
    document: Document, x0: int, y0: int, width: int | None, height: int | None, longest: int
) -> pictures.Window:
    window = pictures.Window.within(_shape(document), x0, y0, width, height)
    if not (window.width and window.height):
        rows, columns = _shape(document)
        raise Problem(422, f"nothing at ({x0}, {y0}): the frame has {columns} columns and {rows} rows")
    return window.fitting(longest)


def _read(service: Service, frame_id: str, window: pictures.Window) -> Any:
    return pictures.read_window(pictures.read_pixels(service.store.frames / frame_id), window)


def _drawn(part: Any, stretch: str, black: float, white: float, softening: float = pictures.SOFTENING) -> bytes:
    return pictures.png(pictures.stretched(part, stretch, black, white, softening))


def _strip(service: Service, document: Document, shape: pictures.Strip, flat: bool) -> bytes:
    pixels = pictures.read_pixels(service.store.frames / document["frame"]["frame_id"])
    unwrapped = pictures.unwrap(pixels, document["limb"], shape, flat)
    return _drawn(unwrapped, "linear", *pictures.spread(unwrapped))


def _pixel(service: Service, document: Document, x: int, y: int) -> Document:
    folder = service.store.frames / document["frame"]["frame_id"]
    value = float(pictures.read_pixels(folder)[y, x])
    altitude, azimuth = pictures.above_limb(document["limb"], x, y)
    lat, lon_w = pictures.place_at(folder, document["geometry"]["places_step"], x, y)
    here = [one for one in _outlines(document) if pictures.holds(one["geometry"]["coordinates"], x, y)]
    known = {"value": value, "altitude_km": altitude, "azimuth_deg": azimuth, "lat_deg": lat, "lon_w_deg": lon_w}
    plain = {key: number if number == number else None for key, number in known.items()}  # NaN is not itself
    fixed = {"x_px": x, "y_px": y, "unit": document["facts"]["unit"]}
    return plain | fixed | {"detections": [one["detection_id"] for one in here]}


# -- catalogue ------------------------------------------------------------------------------------------------------


def _catalogue(app: FastAPI, service: Service) -> None:
    @app.get(
        "/v1/catalogue",
        tags=["catalogue"],
        response_model=schema.Catalogue,
        responses={200: {"content": {"text/csv": {}, GEOJSON: {}}}},
    )
    def catalogue(
        request: Request,
        kind: Literal["plume", "hotspot"] | None = None,
        volcano: Annotated[str, Query(max_length=100)] = "",
        frame: Annotated[str, Query(max_length=300)] = "",
        instrument: Annotated[str, Query(max_length=60)] = "",
        min_score: Annotated[float, Query(ge=0, le=1)] = 0.0,
        since: Annotated[str, Query(max_length=40, pattern=r"^[0-9TZ:.+-]*$", description="ISO-8601 UTC")] = "",
        until: Annotated[str, Query(max_length=40, pattern=r"^[0-9TZ:.+-]*$", description="a day counts whole")] = "",
        bbox: Annotated[str, Query(max_length=100, description="west,south,east,north; east-positive degrees")] = "",
        format: Format = "json",
        limit: Limit = 500,
        offset: Offset = 0,
    ) -> Any:
        """Search the catalogue; a page of rows by time, the whole number of them in ``X-Total``."""
        try:
            box = queries.box_of(bbox)
        except InputError as error:
            raise Problem(422, str(error)) from None
        asked = queries.Filter(kind or "", volcano, frame, instrument, min_score, since, until, box)
        total, rows = queries.search(service.store, asked, limit, offset)
        following = str(request.url.include_query_params(offset=offset + limit)) if offset + limit < total else ""
        headers = {"X-Total": str(total)} | ({"Link": f'<{following}>; rel="next"'} if following else {})
        if format == "csv":
            return _text(queries.as_catalogue(rows).to_csv(), CSV, headers)
        if format == "geojson":
            return _text(queries.as_catalogue(rows).to_geojson(), GEOJSON, headers)
        links = {"self": str(request.url)} | ({"next": following} if following else {})
        page = {"total": total, "limit": limit, "offset": offset, "links": links}
        return JSONResponse(page | {"detections": [values(row) for row in rows]}, headers=headers)

    @app.get("/v1/volcanoes", tags=["catalogue"], response_model=schema.VolcanoList)
    def volcanoes() -> Any:
        """List the known volcanic features and how often something was found there."""
        counts = series.counts(service.store)
        return {"volcanoes": [_volcano(volcano, counts) for volcano in series.volcanoes()]}

    @app.get(
        "/v1/volcanoes/{name}/timeseries",
        tags=["catalogue"],
        response_model=schema.TimeSeries,
        responses={200: {"content": {"text/csv": {}}}},
    )
    def timeseries(name: Annotated[str, Named(max_length=100)], format: Literal["json", "csv"] = "json") -> Any:
        """Follow a known volcano through time: when it was seen, and when it was in view and was not."""
        volcano = series.named(name)
        if volcano is None:
            raise Problem(404, f"{name[:80]!r} is no known volcano of Io: /v1/volcanoes lists them")
        rows = series.moments(service.store, volcano)
        if format == "csv":
            return _text(to_csv(Moment, rows), CSV, {})
        known = {"volcano": _volcano(volcano, series.counts(service.store)), "note": series.NOTE}
        return JSONResponse(known | {"moments": [values(row) for row in rows]})


def _text(text: str, media_type: str, headers: dict[str, str]) -> Response:
    return Response(text.encode("utf-8", "backslashreplace"), media_type=media_type, headers=headers)


def _volcano(volcano: Volcano, counts: dict[tuple[str, str], int]) -> Document:
    known = {key: getattr(volcano, key) for key in ("name", "lat_deg", "lon_w_deg", "hot_spot", "plume")}
    east = {"lon_e_deg": (180.0 - volcano.lon_w_deg) % 360.0 - 180.0}
    found = {f"{kind}s_found": counts.get((volcano.name, kind), 0) for kind in ("plume", "hotspot")}
    return known | east | found


# -- corrections ----------------------------------------------------------------------------------------------------


def _corrections(app: FastAPI, service: Service) -> None:
    path = "/v1/frames/{frame_id}/corrections"

    @app.get(path, tags=["corrections"], response_model=schema.SavedCorrection)
    async def corrections(frame_id: FrameId, response: Response) -> Any:
        """Say what reviewers said to a frame; revision 0 where nobody did."""
        await _opened(service, frame_id)
        known = service.store.correction(frame_id) or {"objects": [], "revision": 0, "saved": ""}
        response.headers["ETag"] = f'"{known["revision"]}"'
        return known

    @app.put(path, tags=["corrections"], response_model=schema.SavedCorrection)
    async def correct(
        frame_id: FrameId,
        correction: Annotated[schema.Correction, Body()],
        response: Response,
        if_match: Annotated[str, Header(description='"revision" that is replaced; any unless given')] = "",
    ) -> Any:
        """Save what a reviewer says to a frame, in the place of what was said before; the dataset is written anew."""
        document = await _opened(service, frame_id)
        await run_in_threadpool(_check_correction, document, correction)
        expected = _revision(if_match)
        plain = correction.model_dump()
        if service.store.keep_correction(frame_id, plain, expected) is None:
            known = service.store.correction(frame_id) or {"revision": 0}
            raise Problem(412, f"revision {expected} was replaced by {known['revision']}: load it again")
        await run_in_threadpool(service.labels.write)
        known = service.store.correction(frame_id) or {}
        response.headers["ETag"] = f'"{known["revision"]}"'
        return known


def _revision(if_match: str) -> int | None:
    found = re.fullmatch(r'(?:W/)?"(\d{1,9})"', if_match.strip())
    if if_match.strip() in ("", "*"):
        return None
    if found is None:
        raise Problem(422, f'If-Match is {if_match[:40]!r}, expected a revision as in "3"')
    return int(found[1])


def _check_correction(document: Document, correction: schema.Correction) -> None:
    """Refuse a correction that speaks of what is not there, or draws nothing.

    Raises:
        Problem: 422, with a reason for each object.

    """
    kinds = {row["detection_id"]: row["kind"] for row in document["detections"]}
    names = [one.object_id for one in correction.objects]
    judged = [one.detection_id for one in correction.objects if one.detection_id]
    reasons = [
        Reason(source=one.object_id, problem=flaw)
        for one in correction.objects
        if (flaw := _flaw(one, kinds, _shape(document)))
    ]
    if len(set(names)) < len(names) or len(set(judged)) < len(judged):
        reasons.append(Reason(source="objects", problem="an object_id or a detection_id stands twice"))
    if reasons:
        raise Problem(422, f"{reasons[0].source}: {reasons[0].problem}", reasons[:50])


def _flaw(one: schema.CorrectedObject, kinds: dict[str, str], shape: tuple[int, int]) -> str:
    if one.detection_id and one.detection_id not in kinds:
        return f"this frame has no detection {one.detection_id!r}"
    if one.decision == "accept" and one.kind != kinds[one.detection_id]:
        return f"is accepted as a {one.kind}, but {one.detection_id} is a {kinds[one.detection_id]}: redraw it"
    points = [value for polygon in one.polygons for ring in polygon for point in ring for value in point]
    if not all(-EDGE_PX <= value <= max(shape) + EDGE_PX for value in points):
        return f"a point lies more than {EDGE_PX:g} pixels outside the frame, or is no number"
    if one.decision == "redraw" and not pixels_of(one.polygons, shape).any():
        return "its polygon covers no pixel of the frame"
    return ""


# -- operations -----------------------------------------------------------------------------------------------------


def _operations(app: FastAPI, service: Service) -> None:
    service.metrics.watch("jobs_waiting", "Jobs that wait for a worker.", lambda: float(service.engine.waiting))
    service.metrics.watch("ready", "1 where a worker has opened the model.", lambda: float(service.engine.ready))

    @app.get("/healthz", tags=["operations"], response_model=schema.Health)
    async def healthz() -> Any:
        """Say that the service answers."""
        return {"status": "ok", "version": software_version()}

    @app.get("/readyz", tags=["operations"], response_model=schema.Readiness)
    async def readyz() -> Any:
        """Say that it can detect: a worker has opened the model, which agrees with its sha256."""
        if not service.engine.ready:
            raise busy(service.engine.refusal or "no worker has opened the model yet, or the service is ending", 5)
        points = service.card.operating_points
        return {
            "ready": True,
            "model": f"{service.card.name}@{service.card.version}",
            "model_sha256": service.model_sha256,
            "operating_point": service.settings.operating_point,
            "confined": service.engine.confined,
            "thresholds": {
                point: {kind: limit.model_dump() for kind, limit in kinds.items()} for point, kinds in points.items()
            },
            "limits": asdict(service.limits),
        }

    @app.get("/metrics", tags=["operations"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """Give the metrics for Prometheus."""
        return Response(service.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")
