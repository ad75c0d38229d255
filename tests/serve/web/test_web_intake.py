"""Uploads that mean ill: every one is refused with its reason, and nothing is written outside its folder."""

from __future__ import annotations

import io
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_frames import write_frame

from serve.web.intake import Upload, flaw_of_label, products_in, receive, safe_name
from serve.web.limits import Limits
from serve.web.problems import Problem

LIMITS = Limits(unpacked_bytes=1_000_000, members=20)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    stream.seek(0)
    return stream


def refusal(*uploads: Upload, folder: Path, limits: Limits = LIMITS) -> Problem:
    folder.mkdir(exist_ok=True)
    with pytest.raises(Problem) as caught:
        products_in(folder, receive(uploads, folder, limits))
    return caught.value


@given(st.text(max_size=300))
def test_any_name_becomes_a_safe_one_or_none(name: str) -> None:
    try:
        safe = safe_name(name)
    except Problem:  # 422: nothing of the name can be kept
        return
    assert Path(safe).name == safe
    assert safe not in ("", ".", "..")
    assert not safe.startswith(".")
    assert len(safe) <= 120
    assert "\0" not in safe


def test_a_long_name_keeps_its_ending() -> None:
    assert safe_name("a" * 400 + ".IMG").endswith(".IMG")


def test_a_product_in_a_zip_is_found(tmp_path: Path) -> None:
    frame = write_frame(tmp_path / "f.fits").read_bytes()
    folder = tmp_path / "up"
    folder.mkdir()
    written = receive([Upload("x.zip", zipped({"A/one.fits": frame, "__MACOSX/._one.fits": b"x"}))], folder, LIMITS)
    assert [path.relative_to(folder).as_posix() for path in written] == ["A/one.fits"]
    assert [product.data.name for product in products_in(folder, written)] == ["one.fits"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil.fits", "not a path within"),
        ("/etc/evil.fits", "not a path within"),
        ("a/../../evil.fits", "not a path within"),
        ("..\\evil.fits", "not a path within"),
        ("C:/evil.fits", "not a path within"),
        ("/".join("abcdefghijk") + "/deep.fits", "not a path within"),
    ],
)
def test_a_member_that_leads_out_is_refused(name: str, words: str, tmp_path: Path) -> None:
    problem = refusal(Upload("x.zip", zipped({name: b"x"})), folder=tmp_path / "up")
    assert problem.status_code == 422
    assert words in problem.detail
    assert [path.name for path in tmp_path.iterdir()] == ["up"]
    assert not list((tmp_path / "up").iterdir())


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("frame.fits")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    stream.seek(0)
    assert "link" in refusal(Upload("x.zip", stream), folder=tmp_path / "up").detail


def test_a_zip_within_a_zip_is_refused(tmp_path: Path) -> None:
    inner = zipped({"a.fits": b"x"}).getvalue()
    assert "a zip itself" in refusal(Upload("x.zip", zipped({"inner.dat": inner})), folder=tmp_path / "up").detail


def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    bomb = zipped({"a.fits": b"\0" * 50_000_000})
    assert len(bomb.getvalue()) < 60_000
    problem = refusal(Upload("x.zip", bomb), folder=tmp_path / "up")
    assert problem.status_code == 413
    written = sum(path.stat().st_size for path in (tmp_path / "up").rglob("*") if path.is_file())
    assert written <= LIMITS.unpacked_bytes


def test_a_size_that_a_zip_lies_about_does_not_help_it(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.fits": b"\0" * 3_000_000}).getvalue())
    size = (3_000_000).to_bytes(4, "little")
    for _ in range(content.count(size)):
        at = content.find(size)
        content[at : at + 4] = (10).to_bytes(4, "little")
    problem = refusal(Upload("x.zip", io.BytesIO(bytes(content))), folder=tmp_path / "up")
    assert problem.status_code in (413, 422)


def test_many_members_are_too_many(tmp_path: Path) -> None:
    many = zipped({f"{n}.fits": b"x" for n in range(21)})
    assert refusal(Upload("x.zip", many), folder=tmp_path / "up").status_code == 413


def test_an_encrypted_or_damaged_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.fits": b"hello"}).getvalue())
    local, central = content.find(b"PK\x03\x04"), content.find(b"PK\x01\x02")
    locked = content.copy()
    locked[local + 6] |= 1
    locked[central + 8] |= 1
    assert "encrypted" in refusal(Upload("x.zip", io.BytesIO(bytes(locked))), folder=tmp_path / "one").detail
    cut = bytes(content[:-10])
    assert "cannot be unpacked" in refusal(Upload("x.zip", io.BytesIO(cut)), folder=tmp_path / "two").detail


def test_names_that_clash_are_refused(tmp_path: Path) -> None:
    twice = [Upload("a.fits", io.BytesIO(b"1")), Upload("b/a.fits", io.BytesIO(b"2"))]
    assert "two files" in refusal(*twice, folder=tmp_path / "one").detail
    both = zipped({"a": b"x", "a/b.fits": b"y"})
    assert "both a file and a folder" in refusal(Upload("x.zip", both), folder=tmp_path / "two").detail


@pytest.mark.parametrize(
    "label",
    [
        'PDS_VERSION_ID = PDS3\r\n^IMAGE = "/etc/passwd"\r\nEND',
        'PDS_VERSION_ID = PDS3\r\n^IMAGE = ("../../secret.img", 3)\r\nEND',
        "PDS_VERSION_ID = PDS3\r\n^IMAGE = ../secret.img\r\nEND",
        'PDS_VERSION_ID = PDS3\r\n^IMAGE = {"C:\\x.img"}\r\nEND',
        "Object = IsisCube\n Object = Core\n  ^Core = /etc/passwd\nEnd_Object\nEnd_Object\nEnd",
    ],
)
def test_a_label_that_points_elsewhere_is_refused(label: str, tmp_path: Path) -> None:
    frame = write_frame(tmp_path / "f.fits").read_bytes()
    uploads = [Upload("a.lbl", io.BytesIO(label.encode())), Upload("a.img", io.BytesIO(frame))]
    problem = refusal(*uploads, folder=tmp_path / "up")
    assert "a label may only point to a file beside it" in problem.detail
    assert problem.reasons[0].source == "a.lbl"


def test_an_xml_label_with_an_entity_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Product_Observational>&e;</Product_Observational>'
    )
    assert "entity" in flaw_of_label(path)
    path.write_text("<Product_Observational><file_name>../b.img</file_name></Product_Observational>")
    assert "points to" in flaw_of_label(path)
    path.write_text("<Product_Observational><file_name>b.img</file_name></Product_Observational>")
    assert flaw_of_label(path) == ""


def test_what_is_no_frame_is_named(tmp_path: Path) -> None:
    problem = refusal(Upload("notes.txt", io.BytesIO(b"hello")), folder=tmp_path / "up")
    assert "notes.txt" in problem.detail
    assert "no file came" in refusal(folder=tmp_path / "none").detail
    small = replace(LIMITS, unpacked_bytes=3)
    assert refusal(Upload("a.fits", io.BytesIO(b"1234")), folder=tmp_path / "small", limits=small).status_code == 413
