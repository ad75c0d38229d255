"""What each source answers, and what is made of it: questions, pages, tables, listings, names that lead astray."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath

import archives
import pytest
from hypothesis import given
from hypothesis import strategies as st
from misbehaving_server import Server, drop, page, serving, status

from detector.errors import InputError
from serve.fetch import kernels, opus
from serve.fetch.places import inside, place_of
from serve.fetch.query import Span, parse_moment, parse_query, parse_span
from serve.fetch.remote import Product, Remote
from serve.fetch.run import SOURCES, Task, find, questions
from serve.fetch.services import SERVICES, addresses
from serve.fetch.tables import columns_of, manifest_of, names_in, rows_of
from serve.fetch.web import FetchError, Manners, Web

pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    shared.files.clear()
    shared.tricks.clear()
    shared.answers.clear()
    shared.forget()
    return shared


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with Web(Manners(interval_s=0.0, backoff_s=0.01, attempts=3)) as web:
        yield web


def look(web: Web, server: Server, source: str, *words: str, limit: int = 0) -> list[Product]:
    places = addresses(archives.overrides(server)[1::2])
    query = parse_query(words, SOURCES[source].SUBJECT)
    return find(Task(source, query, Path("nowhere"), limit), web, places, keep=False)


def names(products: list[Product]) -> list[str]:
    return [product.name for product in products]


# -- questions and times --------------------------------------------------------------------------------------------


def test_a_question_is_words_of_key_and_value() -> None:
    query = parse_query(["GO_0017,GO_0018", "target = Io", "volume=GO_0019"], "volume")
    assert query.every("volume") == ("GO_0017", "GO_0018", "GO_0019")
    assert query.get("target") == "Io"
    assert query.others(["volume"]) == (("target", "Io"),)
    with pytest.raises(InputError, match="expected key=value"):
        parse_query(["target="], "volume")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2023-12-30", (2023, 12, 30), (2023, 12, 31)),
        ("2023-364", (2023, 12, 30), (2023, 12, 31)),
        ("2024-060..2024-061", (2024, 2, 29), (2024, 3, 2)),
        ("1999-10-11T04:30..1999-10-11T04:30", (1999, 10, 11, 4, 30), (1999, 10, 11, 4, 31)),
        ("..1996-12-31", (1, 1, 1), (1997, 1, 1)),
    ],
)
def test_spans_hold_both_their_ends(text: str, start: tuple[int, ...], end: tuple[int, ...]) -> None:
    assert parse_span(text) == Span(datetime(*start), datetime(*end))


@pytest.mark.parametrize("text", ["yesterday", "2023-13-01", "2023-366", "2023-12-31..2023-12-30", "2023"])
def test_what_is_no_span_is_said(text: str) -> None:
    with pytest.raises(InputError, match="time"):
        parse_span(text)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)))
def test_calendar_and_day_of_year_are_the_same_moment(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    for form in ("%Y-%m-%dT%H:%M:%S.%f", "%Y-%jT%H:%M:%S.%f"):
        assert parse_moment(f'"{moment.strftime(form)}Z"') == moment


@pytest.mark.parametrize("text", ["N/A", "UNK", "", "NULL", "12 NOV"])
def test_an_unknown_time_is_none(text: str) -> None:
    assert parse_moment(text) is None


# -- places ---------------------------------------------------------------------------------------------------------

HOSTILE = [
    "../x.img",
    "a/../../x.img",
    "/etc/passwd",
    "C:/x.img",
    "C:x.img",
    "a\\..\\..\\x.img",
    "\\\\host\\share\\x",
    "",
    ".",
    "a//b",
    "a/./b",
    ".fetch/lock.sqlite",
    "provenance.jsonl",
    "nul",
    "a/COM1.img",
    "a/b\0.img",
    "a/b\n.img",
    "a/b.img ",
    "a/b.",
    "~/x",
    "a/" * 40 + "x",
    "x" * 300,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_name_leads_out_of_the_folder(path: str) -> None:
    with pytest.raises(InputError, match="below the output folder"):
        place_of(path)


@given(st.text(st.sampled_from("ab./\\:~ \0CONnul%2e"), max_size=30) | st.text(max_size=30))
def test_a_place_is_below_any_folder(path: str) -> None:
    try:
        place = place_of(path)
    except InputError:
        return
    folder = Path("/out/folder")
    assert (folder / place).resolve().is_relative_to(folder)
    assert not place.is_absolute()
    assert not any(part.startswith(".") for part in place.parts)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/GO_0017").symlink_to(tmp_path)
    with pytest.raises(InputError, match="link"):
        inside(tmp_path / "out", PurePosixPath("GO_0017/x.img"))


# -- OPUS -----------------------------------------------------------------------------------------------------------


def test_opus_pages_are_read_to_the_end(server: Server, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    archives.opus(server)
    monkeypatch.setattr(opus, "PAGE", 2)
    found = look(web, server, "opus", "instrument=Galileo SSI", "target=Io,Europa")
    assert len(found) == len(archives.SSI_FRAMES)
    asked = server.got("files.json")
    assert [url.split("startobs=")[1].split("&")[0] for url in asked] == ["1", "3"]
    assert all("instrument=Galileo+SSI" in url and "order=time1,opusid" in url for url in asked)
    places = {str(remote.place) for remote in found[0].files}
    assert "GO_0017/C3/IO/C0350040000R.IMG" in places
    assert not any(place.endswith(".jpg") for place in places)
    assert found[0].label is not None
    assert found[0].label.place.name == "C0350040000R.LBL"
    assert all(remote.checksum and remote.checksum.kind == "md5" for remote in found[0].files)
    assert len(server.got("md5.txt")) == 1


def test_opus_gives_no_more_than_the_limit(server: Server, web: Web) -> None:
    archives.opus(server)
    assert len(look(web, server, "opus", "target=Io", limit=2)) == 2
    assert "limit=2" in server.got("files.json")[0]


def test_times_and_types_reach_opus(server: Server, web: Web) -> None:
    archives.opus(server)
    look(web, server, "opus", "target=Io", "time=1996-11-06..1996-11-07", "types=gossi_raw", "volume=GO_0017")
    (asked,) = server.got("files.json")
    assert "time1=1996-11-06T00:00:00&time2=1996-11-08T00:00:00" in asked
    assert "volumeid=GO_0017" in asked
    assert "types=gossi_raw" in asked


def test_json_that_is_cut_off_is_asked_for_again(server: Server, web: Web) -> None:
    files = archives.opus(server)
    whole = server.answers.pop("/opus/api/files.json")(
        "/opus/api/files.json?target=Io&order=time1,opusid&startobs=1&limit=250"
    )
    path = "/opus/api/files.json?target=Io&order=time1,opusid&startobs=1&limit=250"
    cut = lambda handler, content: handler.whole(content[: len(content) // 2])  # noqa: E731
    server.put(path, whole, cut, page(), drop(100), status(503, Retry_After="0"))
    patient = Manners(interval_s=0.0, backoff_s=0.0, attempts=6)
    with Web(patient) as other:
        assert len(look(other, server, "opus", "target=Io")) == 3
    assert len(files) == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html><title>down</title>", "a web page; JSON was expected"),
        (b'{"data": {"x": ', "no whole JSON"),
        (b"[1, 2]", "expected an object"),
        (b'{"count": 1}', "without 'data'"),
        (b'{"data": {"x": ["url"]}}', "without 'data'"),
    ],
)
def test_an_answer_of_another_form_is_said(server: Server, web: Web, content: bytes, said: str) -> None:
    server.answers["/opus/api/files.json"] = lambda asked: content
    with pytest.raises(FetchError) as told:
        look(web, server, "opus", "target=Io")
    assert said in str(told.value)
    assert "/opus/api/files.json?target=Io" in str(told.value)


def test_addresses_that_lead_astray_are_refused_one_by_one(server: Server, web: Web) -> None:
    good = f"{server.url}/holdings/volumes/GO_0xxx/GO_0017/A.LBL"
    bad = [
        f"{server.url}/holdings/volumes/GO_0xxx/GO_0017/../../../../etc/passwd",
        f"{server.url}/holdings/volumes/GO_0xxx/GO_0017/%2e%2e/%2e%2e/x.IMG",
        "file:///holdings/volumes/GO_0xxx/GO_0017/x.IMG",
        f"{server.url}/elsewhere/x.IMG",
    ]
    document = {"count": 1, "available": 1, "data": {"go-ssi-1": {"gossi_raw": [good, *bad]}}}
    server.answers["/opus/api/files.json"] = lambda asked: json.dumps(document).encode()
    (product,) = look(web, server, "opus", "target=Io")
    assert [bool(remote.problem) for remote in product.files] == [False, True, True, True, True]


# -- volumes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["target=Io"], ["C0349500000R", "C0350040000R", "C0350040100R"]),
        (["target=io", "filter=violet"], ["C0349500000R", "C0350040000R"]),
        (["orbit=C3"], ["C0350040000R", "C0350040100R", "C0350050000R"]),
        (["orbit=C3", "target=I*", "time=1996-11-06T10:00..1996-11-06T10:00"], ["C0350040000R"]),
        (["product=C0350040*"], ["C0350040000R", "C0350040100R"]),
        (["note=a*"], ["C0349500000R", "C0350040000R", "C0350040100R", "C0350050000R"]),
        (["target=Callisto"], []),
    ],
)
def test_ssi_frames_are_chosen_by_their_rows(server: Server, web: Web, words: list[str], found: list[str]) -> None:
    archives.ssi(server)
    assert names(look(web, server, "pds-volume", "GO_0017", *words)) == found


def test_an_ssi_frame_knows_its_place_its_checksums_and_its_formats(server: Server, web: Web) -> None:
    files = archives.ssi(server)
    (product,) = look(web, server, "pds-volume", "volume=GO_0017", "product=C0350040000R")
    label, image = product.files
    assert label is product.label
    assert str(image.place) == "GO_0017/C3/IO/C0350040000R.IMG"
    assert image.url == f"{server.url}/holdings/volumes/GO_0xxx/GO_0017/C3/IO/C0350040000R.IMG"
    assert image.checksum is not None
    assert image.checksum.digits == archives.md5(files["GO_0017/C3/IO/C0350040000R.IMG"])
    assert product.formats.endswith("/GO_0017/LABEL")


def test_without_a_volume_the_index_of_all_is_asked(server: Server, web: Web) -> None:
    archives.ssi(server)
    found = look(web, server, "pds-volume", "camera=ssi", "target=Europa")
    assert [str(remote.place) for remote in found[0].files][1] == "GO_0017/C3/EUROPA/C0350050000R.IMG"
    assert all(remote.checksum for remote in found[0].files)
    assert len(server.got("GO_0999_index")) == 2


def test_an_index_that_cannot_tell_says_what_it_can(server: Server, web: Web) -> None:
    archives.ssi(server)
    with pytest.raises(InputError, match="tells nothing of PHASE; its columns are VOLUME_ID, FILE_SPEC"):
        look(web, server, "pds-volume", "GO_0017", "phase=3")
    archives.jiram(server)
    with pytest.raises(InputError, match="tells nothing of TARGET_NAME"):
        look(web, server, "pds-volume", "JNOJIR_2057", "target=Io")


def test_junocam_frames_of_io_are_found_though_jupiter_is_their_target(server: Server, web: Web) -> None:
    rows = [
        archives.junocam_row("JNCE_2023364_57C00001_V05"),
        archives.junocam_row("JNCE_2023364_57C00002_V01", "JUPITER", "Io flyby, a comma, PJ57"),
        archives.junocam_row("JNCE_2023364_57C00003_V01", "JUPITER", "Ionosphere"),
        archives.junocam_row("JNCE_2023364_57M00004_V01"),
        archives.junocam_row("JNCE_2023364_57C00001_V06"),
        archives.junocam_row("JNCR_2023364_57C00001_V05"),
        archives.junocam_row("JNCE_2024034_58C00005_V01"),
        archives.junocam_row("JNCM_2024034_58C00006_V01"),
        "broken row\r\n",
        "\r\n",
    ]
    archives.junocam(server, "".join(rows))

    def found(*words: str) -> list[str]:
        return [name[13:] for name in names(look(web, server, "pds-volume", "JNOJNC_0028", *words))]

    assert found("target=Io") == ["57C00001_V06", "57C00002_V01", "57M00004_V01", "58C00005_V01"]
    assert found("target=Io", "orbit=57", "filter=red") == ["57C00001_V06", "57C00002_V01"]
    assert found("filter=METHANE") == ["57M00004_V01"]
    assert found("orbit=58") == ["58C00005_V01"]
    assert found("level=RDR") == ["57C00001_V05"]
    assert found("rationale_desc=*flyby*") == ["57C00002_V01"]


def test_a_bare_junocam_name_tells_its_folder(server: Server, web: Web) -> None:
    name = "JNCE_2016346_03C00112_V02"
    archives.junocam(server, archives.junocam_row(name, path=f"{name}.LBL"))
    (product,) = look(web, server, "pds-volume", "JNOJNC_0028")
    assert str(product.files[0].place) == f"JNOJNC_0028/DATA/EDR/JUPITER/ORBIT_03/{name}.LBL"


@pytest.mark.parametrize("full", [False, True])
def test_jiram_by_orbit_in_spite_of_its_index(server: Server, web: Web, full: bool) -> None:
    archives.jiram(server, full)
    (product,) = look(web, server, "pds-volume", "camera=jiram", "orbit=57", "time=2023-12-30")
    assert product.name == "JIR_IMG_RDR_2023364T001400_V05"
    assert product.files[0].url.startswith(f"{server.url}/atm/jnojir_2057/DATA/")
    assert product.files[0].checksum is not None
    assert look(web, server, "pds-volume", "JNOJIR_2057", "time=2023-12-31") == []


def test_a_row_that_leads_astray_is_refused(server: Server, web: Web) -> None:
    row = archives.junocam_row("JNCE_2023364_57C00001_V05", path="../../../JNCE_2023364_57C00001_V05.LBL")
    archives.junocam(server, row)
    (product,) = look(web, server, "pds-volume", "JNOJNC_0028")
    assert all("below the output folder" in remote.problem for remote in product.files)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["volume=XX_0001"], "expected a camera of ssi, junocam"),
        (["camera=nims"], "camera 'nims'"),
        (["camera=junocam"], "node=rms"),
        (["camera=ssi", "volume=JNOJNC_0001"], "those of ssi are like"),
        (["GO_0017", "node=atm"], "ssi is at rms, img"),
        ([], "expected a camera"),
    ],
)
def test_unknown_volumes_are_said(server: Server, web: Web, words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        look(web, server, "pds-volume", *words)


def test_columns_and_rows_of_an_index() -> None:
    label = archives.index_label(["A", "FILE_SPECIFICATION_NAME", "START_TIME"], "X.TAB")
    assert columns_of(label, "X.LBL") == ["A", "FILE_SPECIFICATION_NAME", "START_TIME"]
    with pytest.raises(InputError, match="describes no columns"):
        columns_of(b"<html>", "X.LBL")
    rows = list(
        rows_of(b'"a, b  ","DATA\\X.LBL ", 2016-192T08:03:12.5\r\n"header","x","y"\r\n', ["A", "S", "START_TIME"])
    )
    assert [(row.values["A"], row.specification, row.moment) for row in rows] == [
        ("a, b", "DATA/X.LBL", datetime(2016, 7, 10, 8, 3, 12, 500_000))
    ]


@given(st.binary(max_size=400))
def test_no_bytes_break_the_tables(content: bytes) -> None:
    assert all(row.specification[-4:].lower() == ".lbl" for row in rows_of(content, ["A", "B"]))
    assert all(len(digits) == 32 for _, digits in manifest_of(content).values())
    assert not any("/" in name for name in names_in(content.decode("latin-1")))


# -- kernels --------------------------------------------------------------------------------------------------------


def test_juno_kernels_for_a_day(server: Server, web: Web) -> None:
    archives.naif(server)
    found = [str(product.files[0].place) for product in look(web, server, "kernels", "juno", "time=2023-12-28")]
    assert found == [
        "lsk/naif0012.tls",
        "sclk/JNO_SCLKSCET.00211.tsc",
        "pck/pck00011.tpc",
        "fk/juno_v12.tf",
        "ik/juno_junocam_v03.ti",
        "ik/juno_jiram_v02.ti",
        "spk/de440s.bsp",
        "spk/jup380s.bsp",
        "spk/juno_struct_v04.bsp",
        "spk/spk_rec_231115_240107_240115.bsp",
        "ck/juno_sc_rec_231224_231230_v02.bc",
    ]


def test_raw_attitude_fills_a_gap_and_is_loaded_first(server: Server, web: Web) -> None:
    archives.naif(server)
    found = names(look(web, server, "kernels", "mission=juno", "time=2023-12-30..2023-12-31"))
    assert found[-2:] == ["juno_sc_raw_231231_240106.bc", "juno_sc_rec_231224_231230_v02.bc"]


def test_galileo_takes_the_year_and_the_plan_for_what_was_not_reconstructed(server: Server, web: Web) -> None:
    archives.naif(server)
    assert names(look(web, server, "kernels", "galileo", "time=1996-11-06"))[-2:] == [
        "gll_951120_021126_raj2021.bsp",
        "gll_plt_rec_1996_mav_v00.bc",
    ]
    assert names(look(web, server, "kernels", "galileo", "time=1997-06-28"))[-1] == "gll_plt_pre_1997_v00.bc"


def test_a_gap_is_named(server: Server, web: Web) -> None:
    archives.naif(server)
    listing = b'<a href="spk_rec_231115_250107_250115.bsp"><a href="juno_struct_v04.bsp">'
    server.put("/naif/JUNO/kernels/spk/", listing)
    with pytest.raises(InputError, match="no kernel for attitude covers 2024-01-14T00:00 to 2024-01-15T01:00"):
        look(web, server, "kernels", "juno", "time=2024-01-13..2024-01-14")
    with pytest.raises(InputError, match="kernels need both ends"):
        look(web, server, "kernels", "juno", "time=2024-01-13..")
    with pytest.raises(InputError, match="mission 'voyager'"):
        look(web, server, "kernels", "voyager", "time=1979-03-05")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=8))
def test_gaps_are_what_nothing_covers(pieces: list[tuple[int, int]]) -> None:
    def day(number: int) -> datetime:
        return datetime.fromordinal(738_000 + number)

    covered = [Span(day(start), day(start + length)) for start, length in pieces]
    whole = Span(day(5), day(35))
    left = kernels.gaps(covered, whole)
    for number in range(5, 35):
        assert any(one.holds(day(number)) for one in left) != any(one.holds(day(number)) for one in covered)


def test_the_meta_kernel_loads_in_order_whatever_the_path(tmp_path: Path) -> None:
    spice = pytest.importorskip("spiceypy")
    out = tmp_path / ("a folder with a name that is long and has a ' in it " * 3).strip() / "kernels"
    products = []
    for name in ("pck/first.tpc", "spk/second.bsp", "ck/third.bc"):
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text(f"KPL/PCK\n\n\\begindata\nIO_TEST_LAST = '{name}'\nIO_TEST += '{name}'\n\\begintext\n")
        products.append(Product(name, (Remote("", PurePosixPath(name)),)))
    meta = tmp_path / "juno.tm"
    meta.write_text(kernels.meta_kernel(products, out))
    spice.furnsh(str(meta))
    try:
        assert list(spice.gcpool("IO_TEST", 0, 9)) == ["pck/first.tpc", "spk/second.bsp", "ck/third.bc"]
        assert list(spice.gcpool("IO_TEST_LAST", 0, 9)) == ["ck/third.bc"]
    finally:
        spice.kclear()


# -- labels and addresses -------------------------------------------------------------------------------------------


def test_a_zenodo_record_tells_size_and_checksum(server: Server, web: Web) -> None:
    content = archives.zenodo(server)
    (product,) = look(web, server, "labels")
    (remote,) = product.files
    assert (str(remote.place), remote.size_bytes) == ("labels.zip", len(content))
    assert str(remote.checksum) == f"md5:{archives.md5(content)}"
    assert look(web, server, "labels", "limb-and-plume", "file=*.txt") == []


def test_a_zenodo_file_that_leads_astray_is_refused(server: Server, web: Web) -> None:
    archives.zenodo(server, key="../../.ssh/authorized_keys")
    (product,) = look(web, server, "labels")
    assert "below the output folder" in product.files[0].problem


def test_the_real_addresses() -> None:
    def asked(source: str, *words: str) -> list[str]:
        task = Task(source, parse_query(words, SOURCES[source].SUBJECT), Path("x"))
        return questions(task, addresses())

    assert asked("opus", "instrument=Galileo SSI", "target=Io") == [
        "https://opus.pds-rings.seti.org/opus/api/files.json?instrument=Galileo+SSI&target=Io"
        "&order=time1%2Copusid&startobs=1&limit=250"
    ]
    assert asked("pds-volume", "GO_0017") == [
        "https://opus.pds-rings.seti.org/holdings/metadata/GO_0xxx/GO_0017/GO_0017_index.lbl",
        "https://opus.pds-rings.seti.org/holdings/metadata/GO_0xxx/GO_0017/GO_0017_index.tab",
        "https://opus.pds-rings.seti.org/holdings/checksums-volumes/GO_0xxx/GO_0017_md5.txt",
    ]
    assert asked("pds-volume", "JNOJNC_0028")[1] == (
        "https://planetarydata.jpl.nasa.gov/img/data/juno/JNOJNC_0028/INDEX/INDEX.TAB"
    )
    assert asked("pds-volume", "camera=jiram", "orbit=57")[1] == (
        "https://atmos.nmsu.edu/PDS/data/jnojir_2057/INDEX/INDEX.TAB"
    )
    assert asked("pds-volume", "camera=sru")[1] == (
        "https://planetarydata.jpl.nasa.gov/img/data/juno/JNOSRU_0001/INDEX/INDEX.TAB"
    )
    assert "https://naif.jpl.nasa.gov/pub/naif/JUNO/kernels/ck/" in asked("kernels", "juno", "time=2023-12-30")
    assert asked("labels") == ["https://zenodo.org/api/records/2556063"]


def test_the_page_names_the_same_addresses() -> None:
    page_text = (Path(__file__).resolve().parents[2] / "docs/fetch.md").read_text()
    assert [url for name, url in SERVICES.items() if f"| {name} | {url} |" not in page_text] == []


def test_an_address_may_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IO_DETECTOR_URL_NAIF", "http://mirror/naif/")
    found = addresses(["img=http://here:8000/img"])
    assert (found["naif"], found["img"], found["rms"]) == (
        "http://mirror/naif",
        "http://here:8000/img",
        SERVICES["rms"],
    )
    with pytest.raises(InputError, match="names no service"):
        addresses(["http://here"])
    with pytest.raises(InputError, match="expected http"):
        addresses(["img=ftp://here"])
