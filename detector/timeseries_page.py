"""The page of a time series: one HTML file that holds all it shows, and that no link leaves.

First a map and a table of the sources, then a chart a source: power or height against time, with 1-sigma bars, and open
triangles for the upper limits of the moments when it was in view and not found. Colours are Okabe and Ito's, told apart
by every kind of colour vision; kinds and bands differ in shape as well. The same series gives the same bytes.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from string import Template

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from detector.quicklook import COLOURS
from detector.sightings import GRAZING_DEG, PLUME_REACH_DEG
from detector.sources import AGREE, FURTHEST_DEG
from detector.timeseries import Moment, SourceRow, TimeSeries
from detector.volcanoes import volcanoes

NAMES = {"plume": ("plume", "plumes"), "hotspot": ("hot spot", "hot spots")}
SHAPES = {"plume": "D", "hotspot": "o"}
BAND_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
BAND_SHAPES = ("o", "s", "D", "P", "X", "p")
"""Bands take the next colour and the next shape; 42 of them differ. A triangle is an upper limit, so none is one."""
CHARTS = 60
"""Only so many sources get a chart, those with most detections; all stand in the table and in the files."""
LABELS = 60
"""Only so many sources carry their number on the map, those with most detections."""
SMALLEST_SPAN = timedelta(hours=1)
INK, SOFT, LINE = "#1b1f24", "#5d6670", "#d9dee3"


@dataclass(frozen=True)
class Quantity:
    """What a chart shows against time.

    Attributes:
        label: of the axis.
        value, sigma, limit: the columns; empty where there is none.
        log: whether the axis is logarithmic.

    """

    label: str
    value: str
    sigma: str = ""
    limit: str = ""
    log: bool = True


POWER = Quantity("power, GW/µm", "spectral_power_gw_um", "spectral_power_sigma_gw_um", "spectral_power_limit_gw_um")
HEIGHT = Quantity("height, km", "plume_height_km", "plume_height_sigma_km", log=False)
SNR = Quantity("peak S/N", "peak_snr", limit="limit_snr")

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Time series of Io's plumes and hot spots</title>
<style>
:root { --ink: #1b1f24; --soft: #5d6670; --line: #d9dee3; --back: #f6f8fa; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink);
       font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; padding-top: .7rem; border-top: 1px solid var(--line); }
p, li { margin: .4rem 0; max-width: 54rem; }
.soft, figcaption { color: var(--soft); }
.verdict { background: var(--back); border-left: 4px solid #0072B2; padding: .6rem 1rem; margin: .8rem 0; }
.verdict p { max-width: none; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-variant-numeric: tabular-nums;
        font-size: .88rem; }
th, td { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
td.n, th.n { text-align: right; }
td.n { white-space: nowrap; }
td.t { white-space: nowrap; }
td.w { min-width: 13rem; }
.scroll { overflow-x: auto; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(29rem, 1fr)); gap: .9rem 1.2rem; }
figure { margin: 0; break-inside: avoid; }
figure img { width: 100%; display: block; }
figcaption { font-size: .85rem; line-height: 1.35; }
figcaption b { color: var(--ink); }
figure:target { outline: 2px solid #0072B2; outline-offset: 4px; }
a { color: #0072B2; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem; border: 1px solid #1b1f24; }
.key i.hotspot { background: #E69F00; border-radius: 50%; }
.key i.plume { background: #56B4E9; transform: rotate(45deg) scale(.85); }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } }
</style>
</head>
<body>
<h1>Time series of Io’s plumes and hot spots</h1>
$body
</body>
</html>
""")


def page(series: TimeSeries) -> str:
    """Return the page of a time series; one without a source says so."""
    parts = [_verdict(series)]
    if series.sources:
        parts += [_map_part(series), _table_part(series), _charts_part(series)]
    parts.append(_notes_part(series))
    return PAGE.substitute(body="\n".join(parts))


# -- first screen ---------------------------------------------------------------------------------------------------


def _verdict(series: TimeSeries) -> str:
    frames = _number_of(series.frames, "frame", "frames")
    if not series.detections:
        return _box(f"<b>Nothing was found</b> on {frames}: there is nothing to follow.")
    placed = series.detections - sum(series.unplaced.values())
    kinds = " and ".join(_count(series, kind) for kind in NAMES)
    said = [f"<b>{kinds}</b>, followed through {frames}{_span(series)}."]
    once = sum(not row.repeated for row in series.sources)
    if once:
        said.append(
            f"{len(series.sources) - once} were seen at more than one moment; each of the {once} seen at one only may "
            "be a false alarm: the model makes some on every hundred frames, seldom two at one place."
        )
    said.append(f"{placed} of {_number_of(series.detections, 'detection', 'detections')} have a place on Io.")
    for (kind, why), count in series.unplaced.items():
        said.append(f"{_number_of(count, *NAMES[kind])} belong{'s' * (count == 1)} to no source: {escape(why)}.")
    if series.unplaced:
        said.append("Places come from labels that hold the whole geometry, or from SPICE kernels.")
    return _box(" ".join(said))


def _box(text: str) -> str:
    return f'<div class="verdict"><p>{text}</p></div>'


def _count(series: TimeSeries, kind: str) -> str:
    count = sum(row.kind == kind for row in series.sources)
    return f"{count or 'no'} {NAMES[kind][0]} {'source' if count == 1 else 'sources'}"


def _number_of(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _span(series: TimeSeries) -> str:
    times = sorted(row.start_time_utc[:10] for row in series.moments if row.start_time_utc)
    if not times:
        return ""
    return f" on {times[0]}" if times[0] == times[-1] else f" from {times[0]} to {times[-1]}"


def _map_part(series: TimeSeries) -> str:
    return f"""<figure>{_image(_map(series.sources), "map of the sources")}<figcaption class="key">
<i class="hotspot"></i>hot spots <i class="plume"></i>plumes; the area grows with the number of detections. Grey dots:
catalogued volcanic features. Bars: 1-sigma of the place, where it is above 1.5 degrees. West longitude, planetocentric
latitude; seen from outside, so west longitude grows to the left. The middle is the side turned away from Jupiter.
</figcaption></figure>"""


def _map(sources: Sequence[SourceRow]) -> Figure:
    figure = Figure(figsize=(10.4, 5.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(360, 0), ylim=(-90, 90), aspect="equal", xticks=range(0, 361, 30), yticks=range(-90, 91, 30))
    axes.set(xlabel="west longitude, degrees", ylabel="latitude, degrees")
    axes.grid(color=LINE, lw=0.6)
    axes.set_axisbelow(True)
    known = volcanoes()
    axes.scatter([v.lon_w_deg for v in known], [v.lat_deg for v in known], s=5, c="#aab2ba", lw=0, zorder=1)
    _draw_place_errors(axes, sources)
    for kind, shape in sorted(SHAPES.items()):
        own = [row for row in sources if row.kind == kind]
        sizes = [_area(row.detections) for row in own]
        for turn in (-360, 0, 360):  # what lies across the map's edge shows on both sides
            x, y = [row.lon_w_deg + turn for row in own], [row.lat_deg for row in own]
            axes.scatter(x, y, s=sizes, c=COLOURS[kind], marker=shape, edgecolors=INK, linewidths=0.8, zorder=3)
    _label_sources(axes, sources)
    _draw_size_key(axes, sources)
    return figure


def _area(detections: int) -> float:
    """Area of a marker in points²."""
    return 26.0 + 14.0 * min(detections, 60)


def _draw_place_errors(axes: Axes, sources: Sequence[SourceRow]) -> None:
    wide = [row for row in sources if row.position_sigma_deg > 1.5]
    if wide:
        across = [row.position_sigma_deg / max(math.cos(math.radians(row.lat_deg)), 0.1) for row in wide]
        x, y = [row.lon_w_deg for row in wide], [row.lat_deg for row in wide]
        up = [row.position_sigma_deg for row in wide]
        axes.errorbar(x, y, xerr=across, yerr=up, fmt="none", ecolor=SOFT, elinewidth=0.9, zorder=2)


def _label_sources(axes: Axes, sources: Sequence[SourceRow]) -> None:
    """Write the numbers beside the markers, where they hide least of each other and of other markers."""
    chosen = _most_seen(sources, LABELS)
    taken = [(row.lon_w_deg, row.lat_deg) for row in sources]
    for row in chosen:
        away = 2.5 + 0.33 * math.sqrt(_area(row.detections))
        spots = [
            (row.lon_w_deg + dx * (away + 4.0), row.lat_deg + dy * (away + 1.0))
            for dx, dy in ((-1, 0), (1, 0), (0, 1), (0, -1), (-0.8, 0.9), (0.8, 0.9), (-0.8, -0.9), (0.8, -0.9))
        ]
        x, y = max(spots, key=lambda spot: _freedom(spot, taken))
        taken.append((x, y))
        axes.text(x, y, row.source_id, fontsize=7.5, ha="center", va="center", color=INK, zorder=4)


def _freedom(spot: tuple[float, float], taken: Sequence[tuple[float, float]]) -> float:
    """How far a label's place is from the nearest other one, in its own sizes, at most 3; negative outside the map."""
    x, y = spot
    if not (4 < x < 356 and -86 < y < 86):
        return -1.0
    return min([3.0, *(max(abs(x - other[0]) / 9.0, abs(y - other[1]) / 5.0) for other in taken)])


def _draw_size_key(axes: Axes, sources: Sequence[SourceRow]) -> None:
    most = max(row.detections for row in sources)
    steps = [step for step in (1, 3, 10, 30) if step <= max(most, 1)]
    handles = [Line2D([], [], ls="", marker="o", mfc="white", mec=INK, ms=math.sqrt(_area(step))) for step in steps]
    axes.legend(
        handles,
        [f"{step}" for step in steps],
        title="detections",
        loc="upper left",
        ncols=len(steps),
        bbox_to_anchor=(0.0, 1.14),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        borderpad=0,
        borderaxespad=0,
    )


# -- table ----------------------------------------------------------------------------------------------------------

HEADINGS = (
    ("", "source"), ("", "name"), ("n", "W lon"), ("n", "lat"), ("n", "± deg"), ("n", "found"), ("n", "moments"),
    ("n", "not found"), ("", "seen"), ("n", "max power, GW/µm"), ("n", "max T, K"), ("n", "max height, km"),
    ("n", "best score"), ("", "same place"),
)  # fmt: skip


def _table_part(series: TimeSeries) -> str:
    head = "".join(f'<th class="{kind}">{escape(text)}</th>' for kind, text in HEADINGS)
    charted = {row.source_id for row in _most_seen(series.sources, CHARTS)}
    rows = "\n".join(_table_row(row, charted) for row in series.sources)
    said = (
        "Found: on how many frames. Moments: at how many times. Not found: frames that had it in view and on which "
        "nothing was reported there; in brackets frames of which that is not known. Same place: sources of the other "
        "kind."
    )
    table = f'<div class="scroll"><table>\n<tr>{head}</tr>\n{rows}\n</table></div>'
    return f'<h2>Sources</h2>\n<p class="soft">{said}</p>\n{table}'


def _table_row(row: SourceRow, charted: set[str]) -> str:
    perhaps = f" <span class='soft'>(+{row.not_known}?)</span>" if row.not_known else ""
    cells = (
        ("", _link(row.source_id, charted)),
        ("w", _name(row)),
        ("n", _number(row.lon_w_deg, 1)),
        ("n", _number(row.lat_deg, 1)),
        ("n", _number(row.position_sigma_deg, 1)),
        ("n", str(row.detections)),
        ("n", str(row.moments)),
        ("n", f"{row.in_view_not_found}{perhaps}"),
        ("t", _dates(row)),
        ("n", _number(row.spectral_power_max_gw_um, 1 if row.spectral_power_max_gw_um >= 10 else 2)),
        ("n", _number(row.temperature_max_k, 0)),
        ("n", _number(row.plume_height_max_km, 0)),
        ("n", _number(row.best_score, 2)),
        ("", ", ".join(_link(other, charted) for other in row.linked.split("|") if other)),
    )
    return "<tr>" + "".join(f'<td class="{kind}">{text}</td>' for kind, text in cells) + "</tr>"


def _link(source_id: str, charted: set[str]) -> str:
    return f'<a href="#{source_id}">{source_id}</a>' if source_id in charted else source_id


def _name(row: SourceRow) -> str:
    """The name; how sure it is, or what is nearest where nothing is near."""
    said = [f"one of {row.volcanoes_in_reach} in reach"] if row.volcanoes_in_reach > 1 else []
    if row.name == row.volcano:
        said.append(f"{row.volcano_distance_km:.0f} km off")
    elif row.name.startswith("new at"):
        said.append(f"{row.volcano_distance_km:.0f} km from {row.volcano}")
    else:
        said.append("the vent that fits best")
    return f"{escape(row.name)} <span class='soft'>({escape(', '.join(said))})</span>"


def _dates(row: SourceRow) -> str:
    first, last = row.first_seen_utc[:10], row.last_seen_utc[:10]
    return escape(first if first == last else f"{first} … {last}")


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace("-", "−") if math.isfinite(value) else "–"


# -- charts ---------------------------------------------------------------------------------------------------------


def _charts_part(series: TimeSeries) -> str:
    chosen = {row.source_id for row in _most_seen(series.sources, CHARTS)}
    bands = _bands(series.moments)
    figures = []
    for source in (row for row in series.sources if row.source_id in chosen):
        rows = [row for row in series.moments if row.source_id == source.source_id]
        figures.append(_chart_figure(source, rows, bands))
    left = len(series.sources) - len(chosen)
    more = f"<p>The {CHARTS} sources with most detections; {left} more stand in the table.</p>" if left else ""
    return f"""<h2>Against time</h2>
<p>Filled: found, with 1-sigma. Open: saturated, a lower bound. Open triangles: in view and not found, so fainter than
this. Crosses on the axis: in view and not found, without a limit. Each chart has its own time axis; bands differ in
shape and colour, and their powers are at different wavelengths.</p>
{more}<div class="row">
{chr(10).join(figures)}
</div>"""


def _most_seen(sources: Sequence[SourceRow], count: int) -> list[SourceRow]:
    """The sources with most detections, the first ones among equals."""
    return sorted(sources, key=lambda row: -row.detections)[:count]


def _bands(moments: Sequence[Moment]) -> dict[str, int]:
    """Every band's number, the same in all charts."""
    return {band: n for n, band in enumerate(sorted({_band(row) for row in moments}))}


def _band(row: Moment) -> str:
    return " ".join(filter(None, (row.instrument, row.filter)))


def _chart_figure(source: SourceRow, rows: Sequence[Moment], bands: Mapping[str, int]) -> str:
    quantity = _quantity(source, rows)
    dated = [(time, row) for row in rows if (time := _time(row.start_time_utc)) is not None]
    title = escape(f"{source.source_id} {source.name}")
    image = _image(_chart(dated, quantity, bands), f"{quantity.label} of {title} against time") if dated else ""
    said = [
        f"found on {_number_of(source.detections, 'frame', 'frames')}, in view and not found on "
        f"{source.in_view_not_found}."
    ]
    if quantity is SNR:
        said.append(f"{'Power' if source.kind == 'hotspot' else 'Height'} was not measured: signal-to-noise instead.")
    if len(dated) < len(rows):
        said.append(f"{_number_of(len(rows) - len(dated), 'row', 'rows')} without a time not drawn.")
    caption = f"<b>{title}</b>, {NAMES[source.kind][0]}: {' '.join(said)}"
    return f'<figure id="{source.source_id}">{image}<figcaption>{caption}</figcaption></figure>'


def _quantity(source: SourceRow, rows: Sequence[Moment]) -> Quantity:
    """The source's own quantity where any detection has it, else the signal-to-noise."""
    own = POWER if source.kind == "hotspot" else HEIGHT
    return own if any(math.isfinite(getattr(row, own.value)) for row in rows) else SNR


def _time(text: str) -> datetime | None:
    """The moment in UTC, without a zone; None for what is no ISO-8601 time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


Dated = Sequence[tuple[datetime, Moment]]


def _chart(dated: Dated, quantity: Quantity, bands: Mapping[str, int]) -> Figure:
    figure = Figure(figsize=(5.6, 2.5), layout="constrained")
    axes = figure.add_subplot()
    if quantity.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    for band in sorted({_band(row) for _, row in dated}):
        own = [(time, row) for time, row in dated if _band(row) == band]
        _draw_found(axes, own, quantity, bands[band])
        _draw_limits(axes, own, quantity, bands[band])
    _fit(axes, dated, quantity)
    axes.set_ylabel(quantity.label, fontsize=9)
    axes.grid(color=LINE, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.xaxis.get_offset_text().set_fontsize(8)
    _draw_band_key(axes, dated, bands)
    return figure


def _draw_found(axes: Axes, own: Dated, quantity: Quantity, band: int) -> None:
    colour, shape = BAND_COLOURS[band % len(BAND_COLOURS)], BAND_SHAPES[band % len(BAND_SHAPES)]
    for time, row in own:
        value = getattr(row, quantity.value)
        if not row.seen or not math.isfinite(value) or (quantity.log and value <= 0):
            continue
        sigma = getattr(row, quantity.sigma) if quantity.sigma else math.nan
        bar = [[_down(value, sigma, quantity.log)], [sigma]] if sigma > 0 else None
        saturated = "SATURATED" in row.flags and quantity is not HEIGHT  # which is brightness only
        axes.errorbar(
            [dates.date2num(time)],
            [value],
            yerr=bar,
            fmt=shape,
            color=colour,
            ms=5,
            elinewidth=1,
            capsize=2,
            mfc="white" if saturated else colour,
            zorder=3,
        )


def _down(value: float, sigma: float, log: bool) -> float:
    """The lower bar's length: on a logarithmic axis it ends above 0."""
    return min(sigma, 0.9 * value) if log else sigma


def _draw_limits(axes: Axes, own: Dated, quantity: Quantity, band: int) -> None:
    colour = BAND_COLOURS[band % len(BAND_COLOURS)]
    missed = [(dates.date2num(time), row) for time, row in own if not row.seen]
    limits = [(x, getattr(row, quantity.limit) if quantity.limit else math.nan) for x, row in missed]
    known = [(x, limit) for x, limit in limits if limit > 0]
    bare = [x for x, limit in limits if not limit > 0]
    if known:
        axes.plot(*zip(*known, strict=True), ls="", marker="v", ms=6, mfc="none", mec=colour, mew=1.0, zorder=2)
    if bare:
        axes.plot(
            bare,
            [0.03] * len(bare),
            ls="",
            marker="x",
            ms=4,
            mec=colour,
            mew=0.9,
            zorder=2,
            transform=axes.get_xaxis_transform(),
        )


def _fit(axes: Axes, dated: Dated, quantity: Quantity) -> None:
    times = [time for time, _ in dated]
    span = max(max(times) - min(times), SMALLEST_SPAN)
    middle = min(times) + (max(times) - min(times)) / 2
    axes.set_xlim(dates.date2num(middle - 0.56 * span), dates.date2num(middle + 0.56 * span))
    locator = dates.AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    if not quantity.log:
        axes.set_ylim(0, 1.08 * max(axes.get_ylim()[1], 1.0))
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.5, high * 1.5)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,), numticks=9))


def _draw_band_key(axes: Axes, dated: Dated, bands: Mapping[str, int]) -> None:
    names = sorted({_band(row) for _, row in dated})
    handles = [
        Line2D(
            [],
            [],
            ls="",
            marker=BAND_SHAPES[bands[name] % len(BAND_SHAPES)],
            ms=5,
            color=BAND_COLOURS[bands[name] % len(BAND_COLOURS)],
        )
        for name in names
    ]
    axes.legend(
        handles,
        [name or "unknown band" for name in names],
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=3,
        frameon=False,
        fontsize=8,
        borderpad=0.2,
        handletextpad=0.2,
        columnspacing=1.0,
    )


# -- end ------------------------------------------------------------------------------------------------------------


HOW_TO_READ = (
    f"Detections are joined where their places agree within {AGREE:g} times their errors and are no more than "
    f"{FURTHEST_DEG:g} degrees apart; two of one frame never are.",
    "A plume over the limb is placed on the limb, with an error for all that its vent may lie before or beyond it; its "
    "name is that of the vent that fits best.",
    f"A hot spot is in view where its place is on the frame, observed, and seen at {GRAZING_DEG:g} degrees from its "
    f"normal or less; a plume where its place is within {PLUME_REACH_DEG:g} degrees of the limb and a limb is trusted "
    "(likely rather than certain where the place itself is no better known).",
    "An upper limit is the matched-filter signal-to-noise at which half of the simulated objects are found, times the "
    "power of a peak signal-to-noise of 1 on the same frame at the same slant. The matched filter's is never the lower "
    "of the two, so the limit is a cautious one: what is found may lie below it. Plumes have no limit in kilometres.",
    "Heights are apparent heights above the limb. The same rows stand in <code>sources.csv</code> and "
    "<code>timeseries.csv</code>.",
)


def _notes_part(series: TimeSeries) -> str:
    unseen = [
        f"On {_number_of(n, 'frame', 'frames')} it is not known what was in view: {escape(why)}."
        for why, n in sorted(series.unseen.items(), key=lambda item: (-item[1], item[0]))[:8]
    ]
    other = len(series.unseen) - len(unseen)
    more = [f"{other} more reasons of this kind."] if other > 0 else []
    lines = [*map(escape, series.notes), *unseen, *more, *HOW_TO_READ]
    return "<h2>How to read this</h2>\n<ul>\n" + "\n".join(f"<li>{line}</li>" for line in lines) + "\n</ul>"


def _image(figure: Figure, alt: str) -> str:
    """Return the figure as an image inside the page; the same figure gives the same bytes."""
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "io-detector"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    content = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="{alt}" src="data:image/svg+xml;base64,{content}">'
