"""PDS3 volumes: which products a volume's index table lists, and where they are.

Decisions
---------
* A product is taken by its row: target, time, orbit, filter, level, or any other column. What an index does not tell
  is an error that says so, never a guess: JIRAM's names no targets, JunoCam's no orbits (the product's name does).
* ``target=Io`` finds JunoCam frames whose TARGET_NAME is JUPITER, too, where RATIONALE_DESC names Io: the frame's
  target is usually Jupiter even if Io is in it.
* Frames only: JIRAM's spectra and logs, JunoCam's maps and SRU's count rates are passed over.
* Of several versions of a product the latest counts.
* Paths go by the archive; two JunoCam volumes give bare names, whose folder follows from the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from detector.errors import InputError
from serve.fetch.opus import read_manifest
from serve.fetch.places import place_of
from serve.fetch.query import Query, alike
from serve.fetch.remote import NOWHERE, Checksum, Product, Remote
from serve.fetch.shelf import Shelf
from serve.fetch.tables import Row, columns_of, rows_of

SUBJECT = "volume"
KNOWN = ("volume", "camera", "node", "target", "time", "orbit", "filter", "level", "product")


@dataclass(frozen=True)
class Archive:
    """The volumes of a camera at a node.

    Attributes:
        service: whose address they are below.
        tree: a volume below it; ``{volume}`` in the node's case.
        index: index label and table below the service.
        manifest: md5 manifest below the service; empty where there is none.
        whole: the volume whose index lists all volumes; empty where there is none.
        lower: whether volumes are written in lower case.

    """

    service: str
    tree: str
    index: tuple[str, str]
    manifest: str = ""
    whole: str = ""
    lower: bool = False

    def path(self, template: str, volume: str) -> str:
        """Fill a template."""
        return template.format(volume=volume.lower() if self.lower else volume)


@dataclass(frozen=True)
class Camera:
    """What the volumes of a camera have in common.

    Attributes:
        volumes: pattern of their names.
        frame: pattern of the stems of frames, with the groups ``level``, ``orbit``, ``filter`` that it tells.
        level: which processing level is fetched unless another is asked for; empty where there is one only.
        levels: what the frame's ``level`` means.
        data: ending of the image beside the label.
        archives: by node; the first is asked unless another is named.

    """

    volumes: str
    frame: str
    level: str
    levels: Mapping[str, str]
    data: str
    archives: Mapping[str, Archive]


def _rms(volume_set: str, whole: str = "") -> Archive:
    """The holdings of the Ring-Moon Systems node: one layout for all."""
    index = f"metadata/{volume_set}/{{volume}}/{{volume}}_index"
    manifest = f"checksums-volumes/{volume_set}/{{volume}}_md5.txt"
    return Archive("rms", f"volumes/{volume_set}/{{volume}}", (f"{index}.lbl", f"{index}.tab"), manifest, whole)


def _own(service: str, tree: str, whole: str = "", lower: bool = False, index: str = "INDEX/INDEX") -> Archive:
    label, table = (index + (ending if index.islower() else ending.upper()) for ending in (".lbl", ".tab"))
    return Archive(service, tree, (f"{tree}/{label}", f"{tree}/{table}"), whole=whole, lower=lower)


CAMERAS: Mapping[str, Camera] = {
    "ssi": Camera(
        r"GO_00\d\d",
        r"C?\d{4,10}[RS]",
        "",
        {},
        ".IMG",
        {
            "rms": _rms("GO_0xxx", "GO_0999"),
            "img": _own("img", "go-j_jsa-ssi-2-redr-v1.0/{volume}", lower=True, index="index/imgindex"),
        },
    ),
    "junocam": Camera(
        r"JNOJNC_\d{4}",
        r"JNC(?P<level>[ER])_\d{7}_(?P<orbit>\d\d)(?P<filter>[ABCGMRT])\d{5}_V\d\d",
        "EDR",
        {"E": "EDR", "R": "RDR"},
        ".IMG",
        {"img": _own("img", "juno/{volume}"), "rms": _rms("JNOJNC_xxxx", "JNOJNC_0999")},
    ),
    "jiram": Camera(
        r"JNOJIR_[12]\d{3}",
        r"JIR_IMG_(?P<level>[ER]DR)_\d{7}T\d{6}_V\d\d",
        "RDR",
        {"EDR": "EDR", "RDR": "RDR"},
        ".IMG",
        {"atm": _own("atm", "{volume}", lower=True), "rms": _rms("JNOJIR_xxxx", "JNOJIR_2999")},
    ),
    "sru": Camera(
        r"JNOSRU_\d{4}",
        r"SRU_?\d_\d{7}T\d{6}_\d\d_V\d\d",
        "",
        {},
        ".FIT",
        {"img": _own("img", "juno/{volume}", "JNOSRU_0001"), "rms": _rms("JNOSRU_xxxx", "JNOSRU_0001")},
    ),
}
JUNOCAM_FILTERS = {
    "A": ("BLUE", "GREEN", "RED", "METHANE"),
    "B": ("BLUE",),
    "C": ("BLUE", "GREEN", "RED"),
    "G": ("GREEN",),
    "M": ("METHANE",),
    "R": ("RED",),
    "T": ("RED", "BLUE"),
}
"""What the letter in a JunoCam name stands for (EDR/RDR SIS, appendix B)."""


def find(query: Query, shelf: Shelf, addresses: Mapping[str, str], limit: int) -> list[Product]:
    """Find the products of volumes that match.

    Args:
        query: ``volume``, ``camera``, ``node``, ``target``, ``time``, ``orbit``, ``filter``, ``level``, ``product``,
            and columns of the index; patterns with ``*``.
        shelf: to ask with.
        addresses: of the services.
        limit: at most so many products; 0 for all.

    Raises:
        FetchError: an archive does not answer.
        InputError: an index does not tell what is asked for; an unknown volume, camera or node.

    """
    camera_name, camera, archive = _archive_of(query)
    root = addresses[archive.service]
    chosen: list[tuple[str, Row, re.Match[str]]] = []
    for volume in _volumes(query, camera_name, camera, archive):
        label, table = (f"{root}/{archive.path(path, volume)}" for path in archive.index)
        columns = columns_of(shelf.table(label), label)
        _check_columns(query, columns, label, camera_name)
        for row in rows_of(shelf.table(table), columns):
            name = re.fullmatch(camera.frame, PurePosixPath(row.specification).stem.strip(), re.IGNORECASE)
            if name is not None and _wanted(query, row, name, camera):
                chosen.append((_volume_of(row, volume, camera), row, name))
    found = _latest(chosen)[: limit or None]
    manifests = {volume: _manifest(shelf, archive, root, volume) for volume, _, _ in found}
    return [_product(volume, row, camera, archive, root, manifests[volume]) for volume, row, _ in found]


def questions(query: Query, addresses: Mapping[str, str]) -> list[str]:
    """Give the addresses of the tables that are read first, whatever they tell.

    Raises:
        InputError: as ``find``.

    """
    name, camera, archive = _archive_of(query)
    asked = [path for path in (*archive.index, archive.manifest) if path]
    volumes = _volumes(query, name, camera, archive)
    return [f"{addresses[archive.service]}/{archive.path(path, volume)}" for volume in volumes for path in asked]


# -- which volumes --------------------------------------------------------------------------------------------------


def _archive_of(query: Query) -> tuple[str, Camera, Archive]:
    """The camera and the node that are asked for, by name or by the volumes' names."""
    volumes = query.every(SUBJECT)
    by_volume = (name for name, camera in CAMERAS.items() if volumes and _is_volume(camera, volumes[0]))
    name = query.get("camera", next(by_volume, "")).lower()
    if name not in CAMERAS:
        said = f"volume {volumes[0]!r}" if volumes else f"camera {name!r}"
        raise InputError("QUERY", f"{said}; expected a camera of {', '.join(CAMERAS)}", "camera=ssi volume=GO_0017")
    camera = CAMERAS[name]
    node = query.get("node", next(iter(camera.archives))).lower()
    if node not in camera.archives:
        raise InputError("QUERY", f"node {node!r}; {name} is at {', '.join(camera.archives)}")
    wrong = next((volume for volume in volumes if not _is_volume(camera, volume)), None)
    if wrong is not None:
        raise InputError("QUERY", f"volume {wrong!r}; those of {name} are like {camera.volumes}")
    return name, camera, camera.archives[node]


def _is_volume(camera: Camera, name: str) -> bool:
    return re.fullmatch(camera.volumes, name, re.IGNORECASE) is not None


def _volumes(query: Query, name: str, camera: Camera, archive: Archive) -> list[str]:
    """The volumes to look into: those named; JIRAM's by orbit; the one whose index lists all."""
    named = [volume.upper() for volume in query.every(SUBJECT)]
    if named:
        return named
    if name == "jiram" and query.every("orbit"):
        series = {"EDR": 1, "RDR": 2}
        levels = [level.upper() for level in query.every("level") or (camera.level,)]
        return [f"JNOJIR_{series.get(x, 2)}{int(o):03d}" for x in levels for o in query.every("orbit") if o.isdecimal()]
    if not archive.whole:
        other = next((node for node, one in camera.archives.items() if one.whole), "")
        raise InputError("QUERY", f"names no volume of {name}", f"volume=..., or node={other}, whose index lists all")
    return [archive.whole]


# -- which rows -----------------------------------------------------------------------------------------------------


def _check_columns(query: Query, columns: list[str], label: str, camera: str) -> None:
    """Refuse a question that the index cannot answer."""
    names = [key.upper() for key, _ in query.others(KNOWN)]
    names += ["TARGET_NAME"] if query.get("target") else []
    names += ["FILTER_NAME"] if query.get("filter") and camera != "junocam" else []
    missing = next((name for name in names if name not in columns), None)
    if missing is not None:
        told = ", ".join(columns)
        raise InputError(label, f"tells nothing of {missing}; its columns are {told}", "ask by time=, orbit= or these")


def _wanted(query: Query, row: Row, name: re.Match[str], camera: Camera) -> bool:
    parts = name.groupdict()
    level = camera.levels.get((parts.get("level") or "").upper(), "")
    return (
        (not level or alike(level, query.every("level") or (camera.level,)))
        and _in_span(query, row)
        and _on_target(query, row)
        and _in_orbit(query, row, parts.get("orbit") or "")
        and _through_filter(query, row, parts.get("filter") or "")
        and (not query.get("product") or alike(name[0], query.every("product")))
        and all(alike(row.values.get(key.upper(), ""), value.split(",")) for key, value in query.others(KNOWN))
    )


def _in_span(query: Query, row: Row) -> bool:
    return query.span is None or (row.moment is not None and query.span.holds(row.moment))


def _on_target(query: Query, row: Row) -> bool:
    targets = query.every("target")
    if not targets or alike(row.values.get("TARGET_NAME", ""), targets):
        return True
    reason = row.values.get("RATIONALE_DESC", "")
    return any(re.search(rf"\b{re.escape(target.capitalize())}\b", reason) for target in targets)


def _in_orbit(query: Query, row: Row, named: str) -> bool:
    """Whether a row is of an orbit asked for: by its name, its folders (``C3``, ``ORBIT_57``), or JIRAM's volume."""
    orbits = query.every("orbit")
    if not orbits:
        return True
    folders = [part.upper() for part in PurePosixPath(row.specification).parts[:-1]]
    numbers = {named, *(found[1] for part in folders if (found := re.fullmatch(r"ORBIT_?(\d+)", part)))} - {""}
    volume = re.fullmatch(r"JNOJIR_[12](\d{3})", row.values.get("VOLUME_ID", "").upper())
    numbers |= {volume[1]} if volume else set()
    if not numbers and not folders[:-1]:  # a JIRAM volume is an orbit
        return True
    return any(o.upper() in folders or (o.isdecimal() and int(o) in map(int, numbers)) for o in orbits)


def _through_filter(query: Query, row: Row, letter: str) -> bool:
    filters = query.every("filter")
    if not filters:
        return True
    named = JUNOCAM_FILTERS[letter.upper()] if letter else (row.values.get("FILTER_NAME", ""),)
    return any(alike(one, filters) for one in named)


def _volume_of(row: Row, volume: str, camera: Camera) -> str:
    """The volume of a row: its own word where it is a volume's name, else the one whose index it stands in."""
    stated = row.values.get("VOLUME_ID", "").upper()
    return stated if _is_volume(camera, stated) else volume


def _latest(chosen: Iterable[tuple[str, Row, re.Match[str]]]) -> list[tuple[str, Row, re.Match[str]]]:
    """The latest version of each product, in the order of time and name."""
    latest: dict[str, tuple[str, Row, re.Match[str]]] = {}
    for one in sorted(chosen, key=lambda one: (one[2][0].upper(), one[0])):
        latest[re.sub(r"_V\d\d$", "", one[2][0].upper())] = one
    return sorted(latest.values(), key=lambda one: (str(one[1].moment or ""), one[2][0].upper()))


# -- where they are -------------------------------------------------------------------------------------------------


def _manifest(shelf: Shelf, archive: Archive, root: str, volume: str) -> dict[str, tuple[str, str]]:
    """The md5 of the volume's files by their path below it, in lower case; empty where the node keeps none."""
    if not archive.manifest:
        return {}
    url = f"{root}/{archive.path(archive.manifest, volume)}"
    listed = read_manifest(shelf, url)
    start = f"{volume}/".lower()
    return {
        path.removeprefix(start): (real[len(start) :] if path.startswith(start) else real, digits)
        for path, (real, digits) in listed.items()
    }


def _product(
    volume: str, row: Row, camera: Camera, archive: Archive, root: str, manifest: Mapping[str, tuple[str, str]]
) -> Product:
    """The label of a row, and the image that is to be expected beside it."""
    path = _path_in_volume(row, volume)
    tree = f"{root}/{archive.path(archive.tree, volume)}"
    stem, ending = path[:-4], path[-4:]
    data = stem + (camera.data.lower() if ending == ending.lower() else camera.data)
    stated = Checksum("md5", row.label_md5, "the index") if row.label_md5 else None
    files = tuple(
        _remote(tree, volume, wanted, manifest, checksum) for wanted, checksum in ((path, stated), (data, None))
    )
    return Product(PurePosixPath(path).stem, files, files[0], f"{tree}/{'label' if archive.lower else 'LABEL'}")


def _remote(
    tree: str, volume: str, path: str, manifest: Mapping[str, tuple[str, str]], stated: Checksum | None
) -> Remote:
    real, digits = manifest.get(path.lower(), (path, ""))
    checksum = Checksum("md5", digits, "the volume's md5 manifest") if digits else stated
    try:
        place = place_of(f"{volume}/{real}")
    except InputError as error:
        return Remote(f"{tree}/{quote(real)}", NOWHERE, problem=str(error))
    return Remote(f"{tree}/{quote(real)}", place, checksum=checksum, other_urls=_other_cases(f"{tree}/", real))


def _other_cases(tree: str, path: str) -> tuple[str, ...]:
    """The same file with its ending, its name, or its path in another case: disks differ, and labels from disks."""
    folder, _, name = path.rpartition("/")
    stem, _, ending = name.rpartition(".")
    folder = f"{folder}/" if folder else ""
    names = [folder + stem + "." + ending.swapcase(), folder + name.lower(), folder + name.upper(), path.lower()]
    return tuple(dict.fromkeys(tree + quote(one) for one in names if one != path))


def _path_in_volume(row: Row, volume: str) -> str:
    """The label's path below the volume; that of a bare JunoCam name follows from the name."""
    path = row.specification.strip().removeprefix("/")
    if path.upper().startswith(f"{volume}/"):
        path = path[len(volume) + 1 :]
    bare = re.fullmatch(r"JNC([ER])_\d{7}_(\d\d)[A-Z]\d{5}_V\d\d\.LBL", path, re.IGNORECASE)
    if bare is not None:
        return f"DATA/{'EDR' if bare[1].upper() == 'E' else 'RDR'}/JUPITER/ORBIT_{bare[2]}/{path}"
    return path
