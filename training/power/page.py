"""``power.json`` and ``power.html``: who finds what, on one page without outside links."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detector.frame import CLASSES
from training.power.comparison import ClassPower, FinderScores, Power, Value
from training.power.finds import MODEL_NAME
from training.report import NAMES, as_address, interval, number, percent, plain, value
from training.rival_curves import CEILING, CLEANED, COLOURS, OTHER_COLOUR, RivalCurve

MODEL_COLOUR = "#D55E00"


def write_power(power: Power, out: Path) -> None:
    """Write both into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(power), ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True) + "\n"
    (out / "power.json").write_text(text, encoding="utf-8")
    (out / "power.html").write_text(render(power), encoding="utf-8")


def render(power: Power) -> str:
    """Draw the page."""
    room = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters |= {"value": value, "interval": interval, "number": number, "percent": percent, "ends": ends,
                     "signed": signed, "half": half}  # fmt: skip
    return room.get_template("power.html.j2").render(
        power=power, classes=CLASSES, names=NAMES,
        figures={"completeness": _panels(power, _completeness), "froc": _panels(power, _froc)},
    )  # fmt: skip


def lines(power: Power) -> list[str]:
    """Summarise for the terminal: one table a class and budget."""
    said = []
    for kind in CLASSES:
        one = power.classes[kind]
        for budget in one.budgets:
            said.append(
                f"{NAMES[kind][1]}, {budget.name}: {budget.rate:.3f} false alarms a frame; "
                f"{one.objects} objects on {sum(power.frames.values())} frames"
            )
            said.append(f"  {'':<28}{'found':<18}{'false a frame, frames hit':<27}{'found at the rate':<20}half at S/N")
            said += [_line(scores) for scores in budget.finders]
            top = budget.ceiling
            said.append(f"  {'matched filter':<28}{percent(top.recall):<65}{number(top.half_snr)}")
            said += [
                f"  model - {one.rival:<28} found {signed(one.recall_gain)}, at the rate "
                f"{signed(one.recall_gain_at_rate)}; half {half(one.half_ratio)} times fainter"
                for one in budget.against
            ]
    return said


def _line(scores: FinderScores) -> str:
    found = f"{value(scores.recall)} {interval(scores.recall)}"
    false = f"{value(scores.false_per_frame, 'rate')} ({interval(scores.false_per_frame, 'rate')}), {scores.frames_hit}"
    exact = f"{percent(scores.recall_at_rate.value)} {ends(scores.recall_at_rate)}"
    return f"  {scores.name:<28}{found:<18}{false:<27}{exact:<20}{half(scores.half_snr)}"


def ends(one: Value) -> str:
    """``74–90 %``."""
    return f"{100 * one.low:.0f}–{100 * one.high:.0f} %" if math.isfinite(one.low + one.high) else "–"


def signed(one: Value) -> str:
    """``+0.12 (+0.03 to +0.20)``."""
    if not math.isfinite(one.value):
        return "–"
    span = f" ({one.low:+.2f} to {one.high:+.2f})" if math.isfinite(one.low) else ""
    return f"{one.value:+.2f}{span}"


def half(one: Value) -> str:
    """``9.1 (7.5–12)``; never for infinite."""
    if math.isnan(one.value):
        return "–"
    span = "" if math.isnan(one.low) else f" ({_or_never(one.low)}–{_or_never(one.high)})"
    return f"{_or_never(one.value)}{span}"


def _or_never(number_: float) -> str:
    return "∞" if math.isinf(number_) else f"{number_:.2g}" if number_ < 10 else f"{number_:.0f}"


# ----------------------------------------------------------------------------------------------------------- figures


def _panels(power: Power, drawer: Callable[[Axes, ClassPower], None]) -> str:
    figure = Figure(figsize=(10.5, 5.0), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), CLASSES, strict=True):
        drawer(axes, power.classes[kind])
        axes.set_title(NAMES[kind][1].capitalize(), fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda place: not labels[place].startswith(MODEL_NAME))
        axes.legend([handles[place] for place in order], [labels[place] for place in order], fontsize=7.5,
                    frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)  # fmt: skip
    return as_address(figure, "svg")


def _completeness(axes: Axes, one: ClassPower) -> None:
    """Share found against ``snr_mf`` at the budget of a tenth of a false alarm a frame."""
    budget = one.budgets[-1]
    _draw_model(axes, budget.finders[0])
    for one_ in budget.finders[1:]:
        RivalCurve.of_bins(one_.name, one_.by_snr, one_.half_snr.value, budget.rate).draw(axes)
    top = budget.ceiling
    RivalCurve(CEILING, top.snr, top.share, top.half_snr, budget.rate).draw(axes)
    axes.axvline(5, color="0.6", lw=0.8, ls=":")
    axes.axhline(0.5, color="0.6", lw=0.8, ls=":")
    for bin_ in budget.finders[0].by_snr:
        if bin_.total:
            axes.annotate(f"{bin_.total}", (bin_.middle, -0.08), ha="center", fontsize=7, color="0.4")
    axes.set(xscale="log", xlim=(1, 300), ylim=(-0.11, 1.05), xlabel="matched-filter S/N of the object",
             ylabel="share found")  # fmt: skip
    axes.set_xticks([1, 3, 5, 10, 30, 100, 300], labels=["1", "3", "5", "10", "30", "100", "300"])


def _draw_model(axes: Axes, scores: FinderScores) -> None:
    """Draw the model's share found in bins of ``snr_mf`` with Wilson's intervals."""
    some = [one for one in scores.by_snr if one.total]
    y = np.array([one.recall for one in some])
    gap = [(one.recall - one.interval.low, one.interval.high - one.recall) for one in some]
    half_snr = scores.half_snr.value
    label = f"{MODEL_NAME} ({f'half at {half_snr:.3g}' if math.isfinite(half_snr) else 'never half'})"
    axes.errorbar([one.middle for one in some], y, np.clip(np.array(gap).T, 0, 1) if some else None, fmt="o-", ms=4,
                  lw=1.8, capsize=2, color=MODEL_COLOUR, label=label)  # fmt: skip


def _froc(axes: Axes, one: ClassPower) -> None:
    """Share found against false alarms a frame; dotted: the budgets."""
    for name, (rate, recall) in one.curves.items():
        mine = name == MODEL_NAME
        colour = MODEL_COLOUR if mine else COLOURS.get(name.removesuffix(CLEANED), OTHER_COLOUR)
        axes.step(np.r_[0, rate], np.r_[0, recall], where="post", lw=1.8 if mine else 1.0, label=name, color=colour,
                  ls="--" if name.endswith(CLEANED) else "-")  # fmt: skip
    for budget in one.budgets:
        axes.axvline(budget.rate, color="0.6", lw=0.8, ls=":")
    axes.set_xscale("symlog", linthresh=0.01, linscale=0.5)
    axes.set(xlim=(0, 10), ylim=(0, 1.05), xlabel="false alarms per frame", ylabel="share of objects found")
    axes.set_xticks([0, 0.01, 0.1, 1, 10])
    axes.xaxis.set_major_formatter("{x:g}")
