"""NAIF's SPICE kernels of a mission for a span of time, found in its folders' listings, and a meta-kernel for them.

NAIF states no checksums. Names tell the time: ``juno_sc_rec_231224_231230_v01.bc`` holds the attitude of those days,
``gll_plt_rec_1997_mav_v00.bc`` of that year. Reconstructed kernels are taken; where they leave a gap, raw or predicted
ones fill it, which the meta-kernel loads first, so that the better one wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from detector.errors import InputError
from serve.fetch.places import place_of
from serve.fetch.query import Query, Span
from serve.fetch.remote import Product, Remote
from serve.fetch.shelf import Shelf
from serve.fetch.tables import names_in

SUBJECT = "mission"
DAYS = r"_(?P<first>\d{6})_(?P<last>\d{6})"
MARGIN = timedelta(hours=1)
"""Beyond the span: light time, exposures, strips."""


@dataclass(frozen=True)
class Need:
    """Kernels that are needed.

    Attributes:
        what: for messages.
        places: (folder below NAIF, pattern of names) in order of preference; the newest by name is taken, or, where the
            pattern has ``first`` and ``last`` (YYMMDD) or ``year``, those that cover the span.
        fillers: the same for kernels that fill gaps.

    """

    what: str
    places: tuple[tuple[str, str], ...]
    fillers: tuple[tuple[str, str], ...] = field(default=())


GENERIC = "generic_kernels"
LEAPS = Need("leap seconds", ((f"{GENERIC}/lsk", r"naif\d{4}\.tls"),))
CONSTANTS = Need("planetary constants", ((f"{GENERIC}/pck", r"pck000\d\d\.tpc"),))
PLANETS = Need("planets", ((f"{GENERIC}/spk/planets", r"de440s\.bsp"),))
MISSIONS: Mapping[str, tuple[Need, ...]] = {
    "galileo": (
        LEAPS,
        Need("clock", (("GLL/kernels/sclk", r"mk\d{5}[a-z]\.tsc"),)),
        CONSTANTS,
        Need("frames", (("GLL/kernels/fk", r"gll_v\d+\.tf"),)),
        Need("camera", (("GLL/kernels/ik", r"gll36\d{3}\.ti"),)),
        PLANETS,
        Need("Io", ((f"{GENERIC}/spk/satellites", r"jup365\.bsp"),)),
        Need("spacecraft", (("GLL/kernels/spk", rf"gll{DAYS}_raj\d{{4}}\.bsp"),)),
        Need(
            "scan platform",
            (("GLL/kernels/ck", r"gll_plt_rec_(?P<year>\d{4})_[mt]av_v\d\d\.bc"),),
            (("GLL/kernels/ck", r"gll_plt_pre_(?P<year>\d{4})_v\d\d\.bc"),),
        ),
    ),
    "juno": (
        LEAPS,
        Need("clock", (("JUNO/kernels/sclk", r"jno_sclkscet[._]\d{5}\.tsc"),)),
        CONSTANTS,
        Need("frames", (("JUNO/kernels/fk", r"juno_v\d\d\.tf"),)),
        Need("JunoCam", (("JUNO/kernels/ik", r"juno_junocam_v\d\d\.ti"),)),
        Need("JIRAM", (("JUNO/kernels/ik", r"juno_jiram_v\d\d\.ti"),)),
        PLANETS,
        Need("Io", ((f"{GENERIC}/spk/satellites", r"jup380s\.bsp"), ("JUNO/kernels/spk", r"jup3\d\ds?\.bsp"))),
        Need("structure", (("JUNO/kernels/spk", r"juno_struct_v\d\d\.bsp"),)),
        Need("spacecraft", (("JUNO/kernels/spk", rf"(?:spk|juno)_rec{DAYS}_\d{{6}}\.bsp"),)),
        Need(
            "attitude",
            (("JUNO/kernels/ck", rf"juno_sc_rec{DAYS}_v\d\d\.bc"),),
            (("JUNO/kernels/ck", rf"juno_sc_raw{DAYS}(?:_v\d\d)?\.bc"),),
        ),
    ),
}
ALIASES = {"gll": "galileo", "ssi": "galileo", "jno": "juno", "junocam": "juno", "jiram": "juno", "sru": "juno"}


def find(query: Query, shelf: Shelf, addresses: Mapping[str, str], limit: int) -> list[Product]:
    """Find the kernels of a mission for a span of time, each a product of its own, in the order of loading.

    Args:
        query: ``mission`` and ``time``.
        shelf: to ask with.
        addresses: of the services.
        limit: not for kernels: a set is whole or of no use.

    Raises:
        FetchError: NAIF does not answer.
        InputError: an unknown mission, no time, or a span that the kernels do not cover (it names the gap).

    """
    mission = mission_of(query)
    span = query.span
    if span is None or span.start == datetime.min or span.end == datetime.max:
        raise InputError("QUERY", f"time {query.get('time')!r}; kernels need both ends", "time=2023-12-30")
    if limit or query.others({SUBJECT, "time"}):
        raise InputError("QUERY", f"{str(query)!r}; expected mission= and time=, no --limit", "mission=juno time=...")
    wide = Span(span.start - MARGIN, span.end + MARGIN)
    listings = _Listings(shelf, addresses["naif"])
    found = [url for need in MISSIONS[mission] for url in _choose(need, wide, listings)]
    return [_product(url) for url in dict.fromkeys(found)]


def questions(query: Query, addresses: Mapping[str, str]) -> list[str]:
    """Give the addresses of the folders that are looked into.

    Raises:
        InputError: for an unknown mission.

    """
    needs = MISSIONS[mission_of(query)]
    folders = dict.fromkeys(folder for need in needs for folder, _ in need.places)
    return [f"{addresses['naif']}/{folder}/" for folder in folders]


def mission_of(query: Query) -> str:
    """Give the mission that is asked for.

    Raises:
        InputError: for an unknown one.

    """
    name = query.get(SUBJECT).lower()
    mission = ALIASES.get(name, name)
    if mission not in MISSIONS:
        raise InputError("QUERY", f"mission {name!r}; expected {', '.join(MISSIONS)}", "mission=juno time=2023-12-30")
    return mission


class _Listings:
    """The names in NAIF's folders, each listed once."""

    def __init__(self, shelf: Shelf, root: str) -> None:
        self._shelf, self._root = shelf, root
        self._read: dict[str, list[str]] = {}

    def matching(self, folder: str, pattern: str) -> list[tuple[str, re.Match[str]]]:
        """Give the addresses of the names that match, the newest last."""
        if folder not in self._read:
            self._read[folder] = names_in(self._shelf.listing(f"{self._root}/{folder}/"))
        found = [(name, re.fullmatch(pattern, name, re.IGNORECASE)) for name in self._read[folder]]
        ordered = sorted((name.lower(), name, match) for name, match in found if match is not None)
        return [(f"{self._root}/{folder}/{name}", match) for _, name, match in ordered]


def _choose(need: Need, span: Span, listings: _Listings) -> list[str]:
    """The addresses of the kernels of a need, those that fill gaps first."""
    found = next((listed for place in need.places if (listed := listings.matching(*place))), [])
    if not found:
        where = " and ".join(f"{folder}/{pattern}" for folder, pattern in need.places)
        raise InputError("NAIF", f"lists no kernel for {need.what}: looked for {where}", "NAIF has changed: report it")
    if "first" not in found[-1][1].groupdict() and "year" not in found[-1][1].groupdict():
        return [found[-1][0]]
    best = _covering(found, span)
    if not gaps(best.values(), span):
        return list(best)
    fill = _covering([one for place in need.fillers for one in listings.matching(*place)], span)
    left = gaps([*best.values(), *fill.values()], span)
    if left:
        gap = f"{left[0].start:%Y-%m-%dT%H:%M} to {left[0].end:%Y-%m-%dT%H:%M}"
        raise InputError("NAIF", f"no kernel for {need.what} covers {gap}", "narrow time=, or try again later")
    return [*fill, *best]


def _covering(found: Sequence[tuple[str, re.Match[str]]], span: Span) -> dict[str, Span]:
    """The addresses that touch the span, with what they cover; of those that cover the same, the newest."""
    newest: dict[tuple[Span, str], str] = {}
    for url, match in found:
        covered = _covered(match)
        if covered is not None and covered.start < span.end and covered.end > span.start:
            kind = re.split(r"_\d", match[0].lower())[0] + ("mav" if "_mav" in match[0].lower() else "")
            newest[covered, kind] = url
    return {url: covered for (covered, _), url in newest.items()}


def _covered(match: re.Match[str]) -> Span | None:
    """What a kernel covers by its name, both days whole; None for a name that tells no days."""
    told = match.groupdict()
    try:
        if told.get("year"):
            year = int(told["year"])
            return Span(datetime(year, 1, 1), datetime(year + 1, 1, 1))
        first, last = (datetime.strptime(told[key], "%y%m%d") for key in ("first", "last"))
    except (KeyError, ValueError):
        return None
    return Span(first, last + timedelta(days=1))


def gaps(covered: Iterable[Span], span: Span) -> list[Span]:
    """Give what of a span is not covered, in order."""
    found, reached = [], span.start
    for one in sorted(covered, key=lambda one: one.start):
        if one.start > reached:
            found.append(Span(reached, min(one.start, span.end)))
        reached = max(reached, one.end)
        if reached >= span.end:
            return found
    return [*found, Span(reached, span.end)]


def _product(url: str) -> Product:
    """A kernel lies by its kind: ``spk/de440s.bsp``."""
    parts = url.split("/")
    kind = next(part for part in reversed(parts[:-1]) if part in {"lsk", "sclk", "pck", "fk", "ik", "spk", "ck"})
    return Product(parts[-1], (Remote(url, place_of(f"{kind}/{parts[-1]}")),))


def meta_kernel(products: Sequence[Product], out: Path) -> str:
    """Write the text of a meta-kernel that loads the kernels of a folder, in their order.

    SPICE takes strings of 80 characters at most: longer ones go on in the next with a ``+``.
    """
    root = str(out.resolve())
    pieces = [root[start : start + 60].replace("'", "''") for start in range(0, len(root), 60)]
    values = "\n                 ".join([*(f"'{piece}+'" for piece in pieces[:-1]), f"'{pieces[-1]}'"])
    files = "\n".join(f"                      '$KERNELS/{product.files[0].place}'" for product in products)
    return (
        "KPL/MK\n\nKernels in the order of loading: what is loaded later wins. Absolute paths: move the folder, and\n"
        "PATH_VALUES must follow.\n\n\\begindata\n\n"
        f"PATH_SYMBOLS = ( 'KERNELS' )\nPATH_VALUES  = ( {values} )\n"
        f"KERNELS_TO_LOAD = (\n{files}\n                  )\n\n\\begintext\n"
    )
