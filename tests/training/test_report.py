"""The page: whole in itself, readable without numbers that are not there, and the same each time."""

from __future__ import annotations

import base64
import io
import json
import math
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import Bin, Froc, Tally, reliability
from training.report import (
    ClassReport,
    ClassScores,
    DatasetSummary,
    Example,
    Finds,
    FrameRecord,
    Group,
    LimbScores,
    Measured,
    RegionRecord,
    Report,
    Speed,
    draw_example,
    figures,
    interval,
    number,
    percent,
    render_html,
    write_report,
)

POINTS = ("screening", "confident")
CARD = {
    "operating_points": {
        point: {kind: {"seed": 0.5, "grow": 0.3, "min_area_px": 2} for kind in ("plume", "hotspot")} for point in POINTS
    },
    "limits": ["<script>alert(1)</script>"],
}


def measured(part: int, whole: int) -> Measured:
    return Measured(part / whole if whole else 1.0, 0.1 if whole else math.nan, 0.9 if whole else math.nan, part, whole)


def finds(regions: int) -> Finds:
    return Finds(10, regions, min(regions, 10), measured(regions, 10), 4, 0, 0, measured(0, 4))


def scores(tally: Tally) -> ClassScores:
    demanded, claimed = tally.tp + tally.fn, tally.tp + tally.fp
    return ClassScores(
        10, tally, 0, measured(tally.tp, demanded), measured(tally.tp, claimed), measured(2 * tally.tp, 9),
        measured(tally.fp, 10), tally, tally.precision, tally.recall, measured(tally.tp, 9),
    )  # fmt: skip


def class_report(tally: Tally) -> ClassReport:
    return ClassReport(
        finds={point: finds(tally.tp + tally.fp) for point in POINTS},
        points={point: scores(tally) for point in POINTS},
        groups=tuple(Group("instrument", "galileo_ssi", point, scores(tally)) for point in POINTS),
        by_snr={point: [Bin(0, 3, 2, 0), Bin(3, 5, 0, 0), Bin(100, math.inf, 4, 3)] for point in POINTS},
        half_snr={"screening": 12.3, "confident": math.nan},
        froc=Froc(np.array([0.9, 0.5]), np.array([0.5, 0.8]), np.array([0.0, 0.3])),
        average_precision=0.7,
        reliability=reliability(np.array([0.9, 0.4]), np.array([True, False])),
    )


def example(kind: str = "plume", verdict: str = "missed", rank: float = 1.0) -> Example:
    image = np.linspace(0, 1, 48 * 48, dtype=np.float32).reshape(48, 48)
    image[:5] = np.nan
    truth = np.zeros((48, 48), bool)
    truth[20:24, 20:24] = True
    return Example(kind, verdict, rank, f"frame-{verdict}-{rank}", "S/N 9", image, truth, ~truth & False, (24, 60, 40))


def record(*regions: RegionRecord) -> FrameRecord:
    nan = math.nan
    return FrameRecord(
        "f<1>", "f1.fits", "o1", "galileo_ssi", "VIOLET", 0.6, True, False, "right", 0.1, nan, {}, (), regions, 1, 1, 2
    )


def report(plume: Tally = Tally(8, 2, 1), labelled: bool = True, examples: tuple[Example, ...] = ()) -> Report:  # noqa: B008
    region = RegionRecord("screening", "plume", 0.8, "true" if labelled else "unjudged", 3, 4, 5)
    classes = {"plume": class_report(plume), "hotspot": class_report(Tally())}
    if not labelled:
        classes = {kind: ClassReport(one.finds) for kind, one in classes.items()}
    return Report(
        model={"name": "m", "version": "1", "file": "m.onnx", "sha256": "ab", "card": CARD},
        dataset=DatasetSummary(
            "set & co", labelled, "test", 10, 3, {"plume": 9, "hotspot": 0}, {"plume": 1, "hotspot": 0}, 4, "cd",
            {"seed": 1}, ("x.fits: is empty",),
        ),
        classes=classes,
        limb=LimbScores(measured(9, 10), measured(9, 10), 1, 0, 0, 0, 0.2, -0.1),
        speed=Speed(3.0, 20.0, 24.0, 0.64),
        frames=(record(region),),
        examples=examples,
    )  # fmt: skip


class Page(HTMLParser):
    """Collects addresses, tags and text of a page; complains about tags left open."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_page_is_whole_and_holds_all_it_shows():
    html = render_html(report(examples=(example(), example("plume", "false"), example("hotspot", "found"))))
    page = Page(html)
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe"}
    assert "http" not in page.text
    assert "url(" not in html


def test_page_says_the_numbers_and_escapes_what_is_foreign():
    text = Page(render_html(report())).text
    assert "Finds 8 of 9 plumes: 89 % 10–90 %" in text
    assert "There was no hot spot to find" in text
    assert "f<1>" not in text  # a labelled report does not list frames
    assert "<script>alert(1)</script>" in text  # shown, not run
    assert "set & co" in text
    assert "1 could not be judged" in text
    assert "nan" not in text.lower().replace("names", "")


def test_worst_failures_are_the_strongest():
    shown = (example(rank=3.0), example(rank=9.0), example("plume", "false", 0.7))
    text = Page(render_html(report(examples=shown))).text
    first = text.split("The worst failures")[1].split("Scores")[0]
    assert "Strongest plume missed S/N 9 frame-missed-9.0" in first
    assert "Most certain false plume S/N 9 frame-false-0.7" in first
    assert "frame-missed-3.0" not in first


def test_unlabelled_page_lists_frames_and_judges_nothing():
    text = Page(render_html(report(labelled=False, examples=(example("plume", "reported"),)))).text
    assert "without labels" in text
    assert "f<1>" in text
    for word in ("Finds", "missed", "found /", "Wilson", "one false"):
        assert word not in text


def test_json_is_strict_and_complete(tmp_path):
    write_report(report(examples=(example(),)), tmp_path / "new" / "folder")
    document = json.loads((tmp_path / "new" / "folder" / "report.json").read_text(), parse_constant=pytest.fail)
    parts = {"schema_version", "model", "dataset", "classes", "limb", "speed", "frames", "rivals_judged_on"}
    assert set(document) == parts
    assert document["classes"]["plume"]["half_snr"] == {"screening": 12.3, "confident": None}
    assert document["classes"]["plume"]["by_snr"]["screening"][2]["high"] is None
    assert document["classes"]["plume"]["points"]["screening"]["objects"] == {"tp": 8, "fp": 2, "fn": 1}


def test_same_report_same_bytes():
    one, other = report(examples=(example(),)), report(examples=(example(),))
    assert one.to_json() == other.to_json()
    assert render_html(one) == render_html(other)


def test_figures_are_drawings_also_of_nothing():
    empty = report(plume=Tally())
    for address in (*figures(report()).values(), *figures(empty).values()):
        kind, data = address.split(";base64,")
        assert kind == "data:image/svg+xml"
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")


def test_cut_out_shows_truth_where_it_is():
    data = base64.b64decode(draw_example(example()).split(";base64,")[1])
    picture = matplotlib.image.imread(io.BytesIO(data))[..., :3]
    greenish = np.argwhere((picture[..., 1] > picture[..., 0] + 0.3) & (picture[..., 1] > 0.6))
    scale = picture.shape[0] / 48
    assert greenish.size
    assert greenish.min() / scale == pytest.approx(20, abs=1.0)  # the box covers pixels 20..23 both ways
    assert greenish.max() / scale == pytest.approx(24, abs=1.0)


@given(st.floats(0, 1))
def test_percent_is_near_the_value_and_never_rounds_to_certainty(share):
    text = percent(share)
    assert abs(float(text.removesuffix(" %")) / 100 - share) <= 0.005 + 1e-9
    if 0.0005 < share < 0.9995:
        assert text not in ("0 %", "100 %")


def test_what_is_not_known_is_a_dash():
    assert percent(math.nan) == number(math.nan) == interval(Measured(1, math.nan, math.nan, 0, 0)) == "–"
    assert interval(Measured(0.5, 0.25, 0.75, 1, 2), "score") == "0.25–0.75"
    assert interval(Measured(0.5, 0.25, 1.75, 1, 2), "rate") == "0.25–1.8"
