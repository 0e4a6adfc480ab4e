"""Pictures of the figures, as SVG, each for a light and a dark page.

The same document makes the same bytes: no date, a fixed salt for ids, text as text. Knows drawing. Must not know which
bench measured what.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tests.bench.figures import Sense
from tests.bench.page.kept import Document, Shown, chosen, ladders_of
from tests.bench.page.table import number, quantity
from tests.bench.rows import Ladder, Row, Step


@dataclass(frozen=True)
class Theme:
    """Colours on a page's background, which shows through."""

    ending: str
    text: str
    faint: str
    good: str
    bad: str
    ours: str
    native: str
    janus: str
    others: tuple[str, ...]


LIGHT: Final = Theme(
    "", "#1f2328", "#d0d7de", "#1a7f37", "#cf222e", "#0969da", "#57606a", "#bc4c00", ("#8250df", "#1b7c83")
)
DARK: Final = Theme(
    "-dark",
    "#e6edf3",
    "#3d444d",
    "#3fb950",
    "#ff7b72",
    "#58a6ff",
    "#9198a1",
    "#f0883e",
    ("#bc8cff", "#39c5cf"),
)
THEMES: Final = (LIGHT, DARK)
_WIDTH: Final = 9.0
_SALT: Final = "webrtc-ims-gateway"
_MARKERS: Final = ("o", "s", "D", "^", "v")
_PLAIN: Final = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}")
_FAR: Final = 8.0
"""So many times better than its bar, or worse, a figure is drawn at the most."""


def pictures(benches: Document, words: Container[str] = ()) -> dict[str, str]:
    """Return the SVG of every picture by the name of its file; figures that need words are not drawn beside peers."""
    spine, others = chosen(benches)
    shown = [*spine, *others]
    drawn: dict[str, Callable[[Theme], Canvas]] = {"bars": lambda theme: bars(spine, theme)}
    beside = [
        one.row
        for one in shown
        if one.row.value is not None
        and _numbers(one.row)
        and "×" not in one.row.figure.unit
        and one.row.figure.id not in words
    ]
    if beside:
        drawn["peers"] = lambda theme: peers(beside, theme)
    for name, ladders in ladders_of(benches).items():
        drawn[f"ladder-{name}"] = lambda theme, ladders=ladders: ladder(ladders, theme)  # type: ignore[misc]
    return {
        f"{name}{theme.ending}.svg": _svg(draw, theme) for name, draw in drawn.items() for theme in THEMES
    }


def _svg(draw: Callable[[Theme], Canvas], theme: Theme) -> str:
    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": _SALT, "font.family": "sans-serif", "font.size": 9.5,
        "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
        "text.color": theme.text, "axes.labelcolor": theme.text, "axes.edgecolor": theme.faint,
        "axes.titlecolor": theme.text, "axes.titlesize": 9.5, "axes.titlelocation": "left",
        "xtick.color": theme.text, "ytick.color": theme.text, "grid.color": theme.faint, "grid.linewidth": 0.6,
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
        "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none",
    }  # fmt: skip
    with mpl.rc_context(settings):
        canvas, stream = draw(theme), io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _numbers(row: Row) -> list[tuple[str, float]]:
    return [(peer.name, peer.value) for peer in row.peers if peer.value is not None]


def _color(who: str, theme: Theme) -> str:
    """Return the colour of somebody, the same in every picture."""
    if who.startswith(("rtpengine, Opus/", "kemi")):
        return theme.others[0]
    if who.startswith(("gateway", "rtpengine")):
        return theme.ours
    if who.startswith("Janus"):
        return theme.janus
    return theme.native if who.startswith(("native", "classic")) else theme.others[1]


def times_better(row: Row) -> float:
    """Return how many times better than its bar a value is, within what is drawn; below 1 it misses."""
    bar, value = row.figure.bar, row.value
    assert bar is not None
    if value is None or (row.failed and row.figure.is_kept(value)):
        return 1 / _FAR
    if row.figure.sense is Sense.AT_MOST:
        value, bar = bar, value
    if bar == 0:
        return _FAR if row.is_kept else 1 / _FAR
    return min(_FAR, max(1 / _FAR, value / bar))


def bars(shown: Sequence[Shown], theme: Theme) -> Canvas:
    """Draw how far each figure of the spine is from its bar."""
    rows = [one.row for one in shown if one.row.figure.bar is not None][::-1]
    canvas = Canvas(figsize=(_WIDTH, 0.9 + 0.31 * len(rows)), layout="constrained")
    axes = canvas.add_subplot()
    for place, row in enumerate(rows):
        bar = row.figure.bar
        assert bar is not None
        sign = "≥" if row.figure.sense is Sense.AT_LEAST else "≤"
        if row.is_kept is None:
            axes.text(1.06, place, f"not measured (bar: {sign} {quantity(bar, row.figure.unit)})", va="center",
                      color=theme.native, style="italic")  # fmt: skip
            continue
        better, color = times_better(row), theme.good if row.is_kept else theme.bad
        axes.plot([1, better], [place, place], color=color, linewidth=3, solid_capstyle="butt")
        axes.plot([better], [place], marker="o" if row.is_kept else "X", color=color, markersize=7)
        right = better >= 1
        told = "failures" if row.value is None else f"{number(row.value)}{', failures' if row.failed else ''}"
        axes.text(better * (1.09 if right else 0.92), place,
                  f"{told}  ({sign} {quantity(bar, row.figure.unit)})",
                  va="center", ha="left" if right else "right")  # fmt: skip
    axes.axvline(1, color=theme.text, linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(1 / (_FAR * 10), _FAR * 7)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])
    axes.set_xticklabels(["8 ×", "4 ×", "2 ×", "bar", "2 ×", "4 ×", "8 ×"])
    axes.set_xlabel("← times worse than the bar, times better →")
    axes.set_yticks(range(len(rows)), [_short(row.figure.what) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    return canvas


def _short(what: str, width: int = 46) -> str:
    """Break a long name into two lines."""
    return "\n".join(textwrap.wrap(what, width, max_lines=2, placeholder=" …"))


def peers(rows: Sequence[Row], theme: Theme) -> Canvas:
    """Draw the gateway beside its peers, one small picture for each figure."""
    columns = 2
    lines = -(-len(rows) // columns)
    most = [
        max(len(_numbers(row)) for row in rows[at * columns : (at + 1) * columns]) + 1 for at in range(lines)
    ]
    canvas = Canvas(figsize=(_WIDTH, sum(0.85 + 0.24 * count for count in most)), layout="constrained")
    grid = canvas.add_gridspec(lines, columns, height_ratios=[0.85 + 0.24 * count for count in most])
    for at, row in enumerate(rows):
        assert row.value is not None
        axes = canvas.add_subplot(grid[at // columns, at % columns])
        named = [("gateway", row.value), *_numbers(row)]
        for place, (who, value) in enumerate(named):
            axes.barh(place, value, height=0.7, color=_color(who, theme))
            axes.text(value, place, f" {number(value)}", va="center")
        if row.figure.bar:
            axes.axvline(row.figure.bar, color=theme.text, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(named)), [textwrap.shorten(who, 24, placeholder=" …") for who, _ in named])
        axes.set_ylim(most[at // columns] - 0.4, -0.6)
        axes.set_xlim(0, 1.22 * max(value for _, value in [*named, ("", row.figure.bar or 0)]))
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(_PLAIN)
        axes.locator_params(axis="x", nbins=5)
        side = "longer" if row.figure.sense is Sense.AT_LEAST else "shorter"
        axes.set_title(f"{_short(row.figure.what, 40)}\n{row.figure.unit}, {side} is better")
        axes.spines["left"].set_visible(False)
    return canvas


def ladder(ladders: Sequence[Ladder], theme: Theme) -> Canvas:
    """Draw what came of more and more load; a cross is a rung on which somebody was broken."""
    timed = any(step.p99_ms is not None for one in ladders for step in one.steps)
    canvas = Canvas(figsize=(_WIDTH, 7.2), layout="constrained")
    above, below = canvas.subplots(2, 1, sharex=True)
    unit = ladders[0].unit
    looks = cycle(_MARKERS)
    for one in ladders:
        color, marker = _color(one.who, theme), next(looks)
        steps = sorted(one.steps, key=lambda step: step.offered)
        label = f"{one.who}: {_stood(one)}"
        upper = [step.done if timed else 100 * (step.busy or 0) for step in steps]
        lower = [step.p99_ms if timed else 100 * step.failed for step in steps]
        for axes, values in ((above, upper), (below, lower)):
            _climb(axes, steps, values, color, marker, label)
    offered = [step.offered for one in ladders for step in one.steps]
    least, longest = min(offered), max(offered)
    if timed:
        above.set_xscale("log")
        above.set_yscale("log")
        above.plot([least, longest], [least, longest], color=theme.faint, linewidth=1, zorder=0)
        above.set_title(f"{ladders[0].what}: what was done of what was offered (on the thin line: all of it)")
        below.set_title("99th percentile of the time from INVITE to answer, ms")
        below.set_yscale("log")
        for axis, steps_of_ten in ((above.xaxis, (1, 2, 5)), (above.yaxis, (1, 2, 5)), (below.yaxis, (1,))):
            axis.set_major_locator(LogLocator(subs=steps_of_ten))
            axis.set_major_formatter(_PLAIN)
            axis.set_minor_formatter(NullFormatter())
    else:
        above.axhline(80, color=theme.text, linewidth=1, linestyle=(0, (4, 3)))
        above.set_title(f"{ladders[0].what}: % of all cores busy (dashed: the limit)")
        below.set_title("% of the packets lost")
    below.set_xlabel(f"offered, {unit}")
    below.yaxis.set_major_formatter(_PLAIN)
    for axes in (above, below):
        axes.grid()
        axes.set_axisbelow(True)
    canvas.legend(*above.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return canvas


def is_broken(step: Step) -> bool:
    """Whether a rung is drawn as broken: less than 97 % done, or packets lost, or no core left."""
    return step.done < 0.97 * step.offered or (
        step.p99_ms is None and (step.failed >= 1e-4 or (step.busy or 0) >= 0.8)
    )


def _stood(one: Ladder) -> str:
    good = [step.offered for step in one.steps if not is_broken(step)]
    if not good:
        return "broke on the first rung"
    most = f"{number(max(good))} {one.unit}"
    return f"stood at {most}" if one.breaks else f"stood at {most}, more was not tried"


def _climb(
    axes: Axes, steps: Sequence[Step], values: Sequence[float | None], color: str, marker: str, label: str
) -> None:
    points = [(step.offered, value) for step, value in zip(steps, values, strict=True) if value is not None]
    line = "--" if "with rtpengine" in label else "-"
    axes.plot(
        *zip(*points, strict=True),
        line,
        color=color,
        linewidth=1.8,
        label=label,
        marker=marker,
        markersize=4.5,
    )
    crosses = [
        (step.offered, value)
        for step, value in zip(steps, values, strict=True)
        if value is not None and is_broken(step)
    ]
    if crosses:
        axes.plot(*zip(*crosses, strict=True), color=color, linestyle="none", marker="X", markersize=10)
