"""Rows as cells of a table, for a terminal and for the page.

Knows words and numbers. Must not know where rows come from.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from tests.bench.figures import Sense
from tests.bench.rows import Peer, Row

HEAD: Final = ("figure", "bar", "measured", "peers, same run", "verdict", "load's share of the CPU")
NOT_MEASURED: Final = "not measured"
FAILED: Final = "missed: failures"
_SIGNS: Final = {Sense.AT_LEAST: "≥", Sense.AT_MOST: "≤"}
_SHORT_UNITS: Final = frozenset({"pages", "calls", "packets", "share", "share of the most"})
"""Of these the name of the figure says enough."""


def number(value: float) -> str:
    """Print three significant digits, whole numbers as they are."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def quantity(value: float, unit: str) -> str:
    """Print a number with its unit."""
    return number(value) if unit in _SHORT_UNITS else f"{number(value)} {unit}"


def verdict(row: Row) -> str:
    """Say whether the bar is kept, and by how much it is not."""
    bar, value = row.figure.bar, row.value
    if bar is None or row.is_kept is None:
        return NOT_MEASURED if value is None else "no bar"
    if row.is_kept:
        return "kept"
    if value is None or row.figure.is_kept(value):
        return FAILED
    missing = abs(value - bar)
    return f"missed by {quantity(missing, row.figure.unit)}" + (f" ({missing / bar:.0%})" if bar else "")


def peer_text(peer: Peer, unit: str) -> str:
    """Say what a peer did, or why it cannot."""
    if peer.value is None:
        return f"{peer.name}: – ({peer.note})"
    return f"{peer.name}: {quantity(peer.value, unit)}" + (f" ({peer.note})" if peer.note else "")


def measured_text(row: Row) -> str:
    """Print the value, the least and the most of its runs, and the note."""
    if row.value is None:
        return row.note or NOT_MEASURED
    spread = f", {number(min(row.runs))} to {number(max(row.runs))}" if len(row.runs) > 1 else ""
    notes = [f"median of {len(row.runs)}{spread}"] if spread else []
    notes += [row.note] if row.note else []
    return quantity(row.value, row.figure.unit) + (f" ({'; '.join(notes)})" if notes else "")


def cells(row: Row, others: Sequence[Peer] = ()) -> list[str]:
    """Return a line of the table; ``others`` are peers that cannot do the case or were measured elsewhere."""
    figure = row.figure
    bar = f"{_SIGNS[figure.sense]} {quantity(figure.bar, figure.unit)}" if figure.bar is not None else "–"
    names = {peer.name.partition(" ")[0].rstrip(",") for peer in row.peers}
    peers = [*row.peers, *(peer for peer in others if peer.name.partition(" ")[0] not in names)]
    load = f"{row.generator:.0%}" if row.generator is not None else "–"
    return [
        figure.what, bar, measured_text(row), "; ".join(peer_text(peer, figure.unit) for peer in peers) or "–",
        verdict(row), load,
    ]  # fmt: skip


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(sign) else 1 for sign in text)


def terminal(rows: Sequence[Row]) -> str:
    """Return the table for a terminal: figure, bar, measured, verdict; peers on lines of their own."""
    lines = []
    table = [cells(row) for row in rows]
    shown = [(what, bar, row, said) for (what, bar, _, _, said, _), row in zip(table, rows, strict=True)]
    widest = max(_width(what) for what, *_ in shown)
    for what, bar, row, said in shown:
        value = quantity(row.value, row.figure.unit) if row.value is not None else "–"
        reason = f": {row.note}" if row.value is None and row.note else ""
        lines.append(f"{what:<{widest}}  {bar:>18}  {value:>18}  {said}{reason}")
        lines += [f"{'':<{widest}}  {'':>18}    {peer_text(peer, row.figure.unit)}" for peer in row.peers]
        if row.note and row.value is not None:
            lines.append(f"{'':<{widest}}  {'':>18}    {row.note}")
    head = f"{'figure':<{widest}}  {'bar':>18}  {'measured':>18}  verdict"
    return "\n".join([head, *lines])


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table of the page."""
    rows = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {row} |" for row in rows)])
