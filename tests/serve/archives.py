"""Archives as they are, small: OPUS, PDS volumes, NAIF and Zenodo on the loopback server, with the sample frames."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from astropy.io import fits
from misbehaving_server import Server

SAMPLES = Path(__file__).resolve().parents[1] / "samples/frames"
SSI_FORMATS = ("RLINEPRX.FMT", "RTLMTAB.FMT")
JUNOCAM_COLUMNS = [
    *("VOLUME_ID", "STANDARD_DATA_PRODUCT_ID", "DATA_SET_ID", "PRODUCT_ID", "START_TIME", "STOP_TIME"),
    *("PROCESSING_LEVEL_ID", "RATIONALE_DESC", "SOLAR_DISTANCE", "SPACECRAFT_ALTITUDE", "SUB_SPACECRAFT_LATITUDE"),
    *("SUB_SPACECRAFT_LONGITUDE", "TARGET_NAME", "FILE_SPECIFICATION_NAME", "PRODUCT_CREATION_TIME"),
    "PRODUCT_LABEL_MD5CHECKSUM",
]
JIRAM_COLUMNS = [
    *("VOLUME_ID", "STANDARD_DATA_PRODUCT_ID", "DATA_SET_ID", "PRODUCT_ID", "START_TIME", "STOP_TIME"),
    *("FILE_SPECIFICATION_NAME", "CR_DATE", "PRODUCT_LABEL_MD5CHECKSUM"),
]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def overrides(server: Server) -> list[str]:
    """The words that point the command at the server."""
    places = {name: f"{server.url}/{name}" for name in ("img", "atm", "naif", "zenodo")}
    places |= {"opus": f"{server.url}/opus", "rms": f"{server.url}/holdings"}
    return [word for name, url in places.items() for word in ("--base-url", f"{name}={url}")]


def index_label(columns: Sequence[str], table: str, width: int = 40) -> bytes:
    """The label of an index table."""
    blocks = [
        f"  OBJECT = COLUMN\r\n    COLUMN_NUMBER = {i + 1}\r\n    NAME = {name}\r\n    DATA_TYPE = CHARACTER\r\n"
        f"    START_BYTE = {2 + i * (width + 3)}\r\n    BYTES = {width}\r\n"
        f'    DESCRIPTION = "The {name} of the product,\r\n    as in OBJECT = COLUMN."\r\n  END_OBJECT = COLUMN\r\n'
        for i, name in enumerate(columns)
    ]
    head = f'PDS_VERSION_ID = PDS3\r\n^INDEX_TABLE = "{table}"\r\nVOLUME_ID = X\r\nOBJECT = INDEX_TABLE\r\n'
    return (head + "".join(blocks) + "END_OBJECT = INDEX_TABLE\r\nEND\r\n").encode()


def line(*cells: str) -> str:
    return ",".join(f'"{cell:<12}"' for cell in cells) + "\r\n"


def sample(stem: str) -> tuple[bytes, bytes]:
    """Label and image of a sample frame."""
    return (SAMPLES / f"{stem}.LBL").read_bytes(), (SAMPLES / f"{stem}.IMG").read_bytes()


# -- Galileo SSI at the Ring-Moon Systems node ----------------------------------------------------------------------

SSI_FRAMES = {
    "GO_0017/C3/IO/C0350040000R": ("IO", "VIOLET", "1996-11-06T10:00:00.000"),
    "GO_0017/C3/IO/C0350040100R": ("IO", "GREEN", "1996-11-06T10:01:00.000"),
    "GO_0017/G1/IO/C0349500000R": ("IO", "VIOLET", "1996-06-27T10:00:00.000"),
    "GO_0017/C3/EUROPA/C0350050000R": ("EUROPA", "VIOLET", "1996-11-06T11:00:00.000"),
}


def ssi(server: Server) -> dict[str, bytes]:
    """Volume GO_0017 with index and md5 manifest; give its files by their path below the volume set."""
    label, image = sample("C0350040000R")
    files = {f"GO_0017/LABEL/{name}": f"OBJECT = COLUMN /* {name} */".encode() for name in SSI_FORMATS}
    for path in SSI_FRAMES:
        name = path.rpartition("/")[2].encode()
        files[f"{path}.LBL"] = label.replace(b"C0350040000R", name)
        files[f"{path}.IMG"] = image.replace(b"C0350040000R", name)
    columns = ["VOLUME_ID", "FILE_SPECIFICATION_NAME", "TARGET_NAME", "FILTER_NAME", "IMAGE_TIME", "NOTE"]
    rows = "".join(
        line("GO_0017", f"{path.removeprefix('GO_0017/')}.LBL", target, colour, moment, 'a, "b"'.replace('"', "'"))
        for path, (target, colour, moment) in SSI_FRAMES.items()
    )
    meta = "/holdings/metadata/GO_0xxx/GO_0017/GO_0017_index"
    for index in (meta, meta.replace("GO_0017", "GO_0999")):  # the second is of all volumes
        server.put(f"{index}.lbl", index_label(columns, "GO_0017_index.tab"))
        server.put(f"{index}.tab", rows.encode() + b"\0\0\0")
    manifest = "".join(f"{md5(content)}  {path}\n" for path, content in files.items())
    server.put("/holdings/checksums-volumes/GO_0xxx/GO_0017_md5.txt", manifest.encode())
    for path, content in files.items():
        server.put(f"/holdings/volumes/GO_0xxx/{path}", content)
    return files


def opus(server: Server) -> dict[str, bytes]:
    """OPUS over the same frames, which answers questions of instrument, target and page."""
    files = ssi(server)

    def urls(path: str) -> list[str]:
        root = f"{server.url}/holdings/volumes/GO_0xxx"
        formats = [f"{root}/GO_0017/LABEL/{name}" for name in SSI_FORMATS]
        return [f"{root}/{path}.IMG", f"{root}/{path}.LBL", *formats]

    def answer(asked: str) -> bytes:
        fields = {key: value[0] for key, value in parse_qs(urlsplit(asked).query).items()}
        found = [path for path, (target, _, _) in SSI_FRAMES.items() if target in fields.get("target", target).upper()]
        start, limit = int(fields["startobs"]), int(fields["limit"])
        page = found[start - 1 : start - 1 + limit]
        data = {
            f"go-ssi-{path.rpartition('/')[2][:-1].lower()}": {
                "gossi_raw": urls(path),
                "browse_full": [f"{server.url}/holdings/previews/GO_0xxx/{path}_full.jpg"],
            }
            for path in page
        }
        return json.dumps(
            {"start_obs": start, "limit": limit, "count": len(page), "available": len(found), "data": data}
        ).encode()

    server.answers["/opus/api/files.json"] = answer
    return files


# -- Juno -----------------------------------------------------------------------------------------------------------


def junocam_row(name: str, target: str = "IO", reason: str = "", path: str = "", digits: str = "") -> str:
    level = "EDR" if name[3] == "E" else "RDR"
    where = path or f"DATA/{level}/JUPITER/ORBIT_{name[13:15]}/{name}.LBL"
    moment = f"{name[5:9]}-{name[9:12]}T08:36:00.000"
    start = f'"JNOJNC_00028","JUNOCAM-{level}","JUNO-J-JUNOCAM",{name},{moment},{moment},"2","{reason}"'
    return f'{start},7.4e+08 <km>,1500.0 <km>,1.0,2.0,"{target}  ","{where}",2024-05-01,"{digits}"\r\n'


def junocam(server: Server, rows: str = "") -> dict[str, bytes]:
    """A JunoCam volume of the Imaging node."""
    label, image = sample("JNCE_2023364_57C00001_V05")
    tree, folder = "/img/juno/JNOJNC_0028", "DATA/EDR/JUPITER/ORBIT_57"
    rows = rows or junocam_row("JNCE_2023364_57C00001_V05", digits=md5(label))
    server.put(f"{tree}/INDEX/INDEX.LBL", index_label(JUNOCAM_COLUMNS, "INDEX.TAB"))
    server.put(f"{tree}/INDEX/INDEX.TAB", rows.encode())
    files = {f"{folder}/JNCE_2023364_57C00001_V05.{end}": data for end, data in (("LBL", label), ("IMG", image))}
    for path, content in files.items():
        server.put(f"{tree}/{path}", content)
    return {f"JNOJNC_0028/{path}": content for path, content in files.items()}


def jiram(server: Server, full: bool = False) -> dict[str, bytes]:
    """A JIRAM volume of the Atmospheres node, lower-case, its table with a header and, unless full, a column less."""
    stem = "JIR_IMG_RDR_2023364T001400_V05"
    label, image = sample(stem)
    tree = "/atm/jnojir_2057"
    header = ",".join(JIRAM_COLUMNS) + "\r\n"
    spectrum = stem.replace("IMG", "SPE")
    rows = "".join(
        f'"RDR","IMAGE","JNO-J-JIRAM-3-RDR-V1.0",{f"{name}," * full}'
        f'2023-364T00:14:00.000,2023-364T00:14:01.000,"DATA/{name}.LBL",2024-100T00:00:00.000,"{md5(label)}"\r\n'
        for name in (stem, spectrum)
    )
    server.put(f"{tree}/INDEX/INDEX.LBL", index_label(JIRAM_COLUMNS, "INDEX.TAB"))
    server.put(f"{tree}/INDEX/INDEX.TAB", (header + rows).encode())
    for end, content in (("LBL", label), ("IMG", image)):
        server.put(f"{tree}/DATA/{stem}.{end}", content)
    return {f"JNOJIR_2057/DATA/{stem}.LBL": label, f"JNOJIR_2057/DATA/{stem}.IMG": image}


def sru(server: Server) -> dict[str, bytes]:
    """The SRU volume of the Imaging node."""
    stem, folder = "SRU_1_2023364T083601_60_V01", "DATA/SRU_EDR/JUPITER/ORBIT_57"
    pixels = np.random.default_rng(3).integers(50, 400, (512, 512)).astype(np.int16)
    stream = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(stream)
    image = stream.getvalue()
    label = f'PDS_VERSION_ID = PDS3\r\n^HEADER = ("{stem}.FIT", 1)\r\n^IMAGE = ("{stem}.FIT", 2)\r\nEND\r\n'.encode()
    tree = "/img/juno/JNOSRU_0001"
    columns = ["VOLUME_ID", "PRODUCT_ID", "START_TIME", "TARGET_NAME", "FILE_SPECIFICATION_NAME"]
    row = line("JNOSRU_0001", stem, "2023-12-30T08:36:01.000", "IO", f"{folder}/{stem}.LBL")
    server.put(f"{tree}/INDEX/INDEX.LBL", index_label(columns, "INDEX.TAB"))
    server.put(f"{tree}/INDEX/INDEX.TAB", row.encode())
    for end, content in (("LBL", label), ("FIT", image)):
        server.put(f"{tree}/{folder}/{stem}.{end}", content)
    return {f"JNOSRU_0001/{folder}/{stem}.LBL": label, f"JNOSRU_0001/{folder}/{stem}.FIT": image}


# -- NAIF and Zenodo ------------------------------------------------------------------------------------------------

KERNELS = {
    "generic_kernels/lsk": ("naif0011.tls", "naif0012.tls", "aareadme.txt"),
    "generic_kernels/pck": ("pck00010.tpc", "pck00011.tpc", "pck00011_n0066.tpc"),
    "generic_kernels/spk/planets": ("de440.bsp", "de440s.bsp"),
    "generic_kernels/spk/satellites": ("jup365.bsp", "jup380s.bsp"),
    "JUNO/kernels/sclk": ("JNO_SCLKSCET.00210.tsc", "JNO_SCLKSCET.00211.tsc"),
    "JUNO/kernels/fk": ("juno_v11.tf", "juno_v12.tf"),
    "JUNO/kernels/ik": ("juno_jiram_v02.ti", "juno_junocam_v02.ti", "juno_junocam_v03.ti"),
    "JUNO/kernels/spk": (
        "juno_struct_v04.bsp",
        "spk_rec_231007_231115_231120.bsp",
        "spk_rec_231115_240107_240112.bsp",
        "spk_rec_231115_240107_240115.bsp",
        "spk_pre_240101_250101_240101.bsp",
    ),
    "JUNO/kernels/ck": (
        "juno_sc_rec_231217_231223_v01.bc",
        "juno_sc_rec_231224_231230_v01.bc",
        "juno_sc_rec_231224_231230_v02.bc",
        "juno_sc_raw_231231_240106.bc",
        "juno_sc_rec_240107_240113_v01.bc",
    ),
    "GLL/kernels/sclk": ("mk00062a.tsc",),
    "GLL/kernels/fk": ("gll_v0.tf",),
    "GLL/kernels/ik": ("gll36001.ti",),
    "GLL/kernels/spk": ("gll_951120_021126_raj2007.bsp", "gll_951120_021126_raj2021.bsp", "s980326a.bsp"),
    "GLL/kernels/ck": ("gll_plt_pre_1996_v00.bc", "gll_plt_rec_1996_mav_v00.bc", "gll_plt_pre_1997_v00.bc"),
}


def naif(server: Server) -> None:
    """NAIF's folders as Apache lists them; each kernel is a text kernel that says its name."""
    for folder, names in KERNELS.items():
        links = "".join(f'<a href="{name}">{name}</a>  2024-01-30 10:00   52M\n' for name in names)
        head = '<html><head><title>Index</title></head><a href="?C=N;O=D">Name</a> <a href="/pub/naif/">Parent</a> '
        server.put(f"/naif/{folder}/", f'{head}<a href="a_old_versions/">a_old_versions/</a>{links}</html>'.encode())
        for name in names:
            text = f"KPL/PCK\n\n\\begindata\nLAST_LOADED = '{name}'\nLOADED += '{name}'\n\\begintext\n"
            server.put(f"/naif/{folder}/{name}", text.encode())


def zenodo(server: Server, record: str = "2556063", **stated: object) -> bytes:
    """A record with one file of labels; give the file."""
    content = b"PK\3\4" + bytes(range(256)) * 40
    url = f"{server.url}/zenodo/api/records/{record}/files/labels.zip/content"
    file = {
        "key": "labels.zip",
        "size": len(content),
        "checksum": f"md5:{md5(content)}",
        "links": {"self": url},
    } | stated
    server.put(f"/zenodo/api/records/{record}", json.dumps({"id": int(record), "files": [file]}).encode())
    server.put(urlsplit(url).path, content)
    return content
