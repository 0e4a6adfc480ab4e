"""Rows as a Markdown table, as JSON, and as the page docs/faults.md.

Knows figures as text.  Must not run anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.bench.cpu import Machine
from tests.faults.rows import Row
from tests.faults.scale import Scale

REPOSITORY: Final = Path(__file__).parents[2]
KEPT: Final = Path(__file__).parent / "measured.json"
"""The run that the page shows."""
PAGE: Final = REPOSITORY / "docs" / "faults.md"
_HEAD: Final = (
    "fault",
    "promise",
    "holds",
    "back after",
    "calls that stood",
    "new calls meanwhile",
    "left behind",
)


def to_json(rows: Sequence[Row], scale: Scale, machine: Machine) -> str:
    """Return a run."""
    found = {"machine": asdict(machine), "scale": asdict(scale), "rows": [asdict(row) for row in rows]}
    return json.dumps(found, indent=1) + "\n"


def rows_of(run: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a run."""
    return [Row(**row) for row in run["rows"]]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = [_HEAD, ("---",) * len(_HEAD), *(_cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(one)} |" for one in cells)


def _cells(row: Row) -> tuple[str, ...]:
    back = "**never seen**" if row.recovery_s is None else _seconds(row.recovery_s)
    running = _counts(row.running)
    if row.silence_s is not None:
        running += f"; longest pause of sound {row.silence_s:.1f} s"
    new = _counts(row.new)
    if row.slowest_s > 1:
        new += f"; longest wait for an answer {row.slowest_s:.1f} s"
    if row.told:
        most = sorted(row.told.items(), key=lambda one: -one[1])[:3]
        new += f" (told: {', '.join(what for what, _ in most)})"
    if row.web.keys() - {"done"}:
        new += f"; requests to the web API: {_counts(row.web)}"
    holds = "yes" if not row.broken else f"**no**: {'; '.join(row.broken)}"
    if row.why:
        holds += f". {row.why}"
    left = ", ".join(f"{count} {name}" for name, count in row.left.items()) or "nothing"
    return (row.fault, row.promise, holds, back, running, new, left)


def _seconds(value: float) -> str:
    return "at once" if value < 0.05 else f"{value:.1f} s"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "-"


def page(run: Mapping[str, Any]) -> str:
    """Return docs/faults.md."""
    scale, machine = run["scale"], run["machine"]
    note = f"{run['note']}\n\n" if run.get("note") else ""
    return f"""# Faults

What a fault does to calls, measured by `make test-faults`. This page is made of what is kept in
`tests/faults/measured.json`; `python -m tests.faults.page RUN.json ...` takes other runs, and of each fault the last
one that has it. A promise that did not hold says so, with what was measured.

While each fault strikes, {scale["running"]} calls stand ({scale["heard"]} of them with sound both ways, whose pauses
are measured at both ends) and {scale["per_s"]:g} new ones begin every second, through HAProxy, Kamailio and relay
nodes. *Back after* is the time from the fault, or from its end where it lasts, to the first call (or request to the
web API) after which none failed. *Told* is a caller who got a status that says why, or whose page saw that its
connection was gone; *silent* is one who heard nothing for twelve seconds; *hung* is a call of which one side never
heard. Whoever is killed is started again after a second, as the roles' units have it (`Restart=always`,
`RestartSec=1`).

Machine: {machine["cores"]} cores, {machine["model"].replace("_", " ")}, load {machine["load_1min"]} at the beginning.
A smaller scale for a busy one: `make test-faults CALLS=20 RATE=5`; a short form runs with every `make test`.

{note}{table(rows_of(run))}

What is not tried, or not so:

- Nobody starts a process again that stands still for ever: no unit has a watchdog. Alerts and `gwctl doctor` tell
  of one that does not answer.
- The clock is that of each process (`tests/faults/clock_offset.c`), not the machine's: Linux has time namespaces
  for monotonic clocks only.
- The core is a scripted one, whose socket is closed or not read; the devices behind it live on. Several entry points
  of a core are tested by `tests/integration/registration/test_entry_points.py`, a Redis that fails over by
  `tests/integration/calls/test_redis_failover.py`.
- A page's own network is changed by `python -m tests.bench.network_change`.
{_soak(run["soak"]) if run.get("soak") else ""}"""


def _soak(run: Mapping[str, Any]) -> str:
    """Return what a long run showed."""
    begun, ended = run["descriptors"]
    more = sum(max(0, count - begun.get(name, 0)) for name, count in ended.items())
    asked, refused = run["web"]
    private, shared = (f"{100 * run['drift'][name]:+.1f} %" for name in ("all processes", "shared memory"))
    return f"""
## For long

`make soak`: calls of {run["kinds"]} kinds, most of the ways in which a call can go or fail, {run["rate"]:g} begun each
second; none may fail, nothing may grow or stay.

| | measured | promise |
| --- | --- | --- |
| time, calls | {run["seconds"] / 60:.0f} minutes, {run["calls"]:,} | |
| calls that failed | {run["failed"]} | 0 |
| requests to the web API, failed | {asked:,}, {refused} | 0 |
| growth of what all processes have written to memory, after 40 % of the time | {private} | < 2 % |
| the same of memory that Kamailio's workers share | {shared} | < 2 % |
| records, transactions, relay calls left | {sum(run["left"].values())} | 0 |
| file descriptors more than before | {more} | 0 |
"""
