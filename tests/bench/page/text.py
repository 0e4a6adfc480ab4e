"""docs/performance.md as text.

Knows the order of the page and its words. Must not measure or draw.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from tests.bench.page.kept import FOLDER, Document, Shown, chosen, ladders_of
from tests.bench.page.plots import is_broken
from tests.bench.page.table import HEAD, cells, markdown, number, verdict
from tests.bench.rows import Ladder, Peer

REMARKS: Final = FOLDER / "remarks.toml"
Remarks = dict[str, Any]
_ALTERNATIVES: Final = {
    "bars": "how far each figure is from its bar",
    "peers": "the gateway beside its peers",
}


def remarks() -> Remarks:
    """Return what figures cannot say of themselves."""
    return tomllib.loads(REMARKS.read_text(encoding="utf-8"))


def page(benches: Document, remarked: Remarks, drawn: Sequence[str]) -> str:
    """Return the page; ``drawn`` are the names of the pictures' files."""
    spine, others = chosen(benches)
    said = caveats(benches, remarked)
    parts = [
        _HEAD,
        f"Of {_counted(spine)} in [the table](#the-table), and of {_counted(others)} in the one below it; each missed"
        " one with its reason [below](#bars-that-are-missed).",
        _picture("bars", drawn),
        *([_picture("peers", drawn)] if "peers.svg" in drawn else []),
        "## The table",
        _table(spine, said, remarked.get("janus", {})),
        "What else the benches promise:",
        _table(others, said),
        "## Where it breaks",
        _LADDERS,
        *_ladders(benches, drawn),
        "## Bars that are missed",
        *_missed([*spine, *others], remarked),
        "## What Janus has no value for",
        _cannot(spine, remarked),
        "## Method",
        _METHOD,
        "## Machine and runs",
        *_machines(benches, remarked.get("calibrated_at_end", {})),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


_HEAD: Final = """
# Performance

How fast the gateway is, beside what else does this job. `make bench` measures it; this page and its pictures are made
of `docs/performance/measured.json` ([shape](../tests/bench/page/schema.json)) by `python -m tests.bench.page`.
"""

_LADDERS: Final = """
More and more load, until something breaks. A cross is a rung on which somebody was broken: fewer than 97 % of the calls
answered within a second and ended as they should; of running calls, a packet in 10,000 lost or the cores 80 % busy.
Load clients, callee, gateway and relay share the cores; on other machines the ladders end elsewhere. How much more
somebody could take who never broke is not known.
"""

_METHOD: Final = """
* **Side by side.** Gateway and peers run in the same minutes on the same machine, one of them loaded at a time, in an
  order that turns from round to round, so that a slow drift of the machine hits all alike. A figure is the median of
  such rounds; least and most are in the table where there are several. Read ratios rather than figures.
* **Peers.** *native* is a `kamailio.cfg` that passes the same call on, in Kamailio's own language; *kemi* is the same,
  line for line, in KEMI Python (`tests/bench/twin/`). Neither reserves media, authenticates or asserts anything, and a
  page's call is half the messages there: it is a floor, not a rival. The *classic recipe* is native Kamailio with its
  rtpengine module, media at the answer. *Janus* is Debian's, with its SIP plugin and everything else switched off. A
  peer that cannot do a case is named with the reason.
* **The load's share.** CPU per call is that of the gateway's processes (scheduler's nanoseconds, whole process trees),
  relay apart. Load clients and callee are processes of their own on the same cores; what they took of all CPU time is
  in the last column. A rate includes them: on a machine of its own the gateway would do more.
* **Delay** of an INVITE is from the page's `send` to the core's socket, on one clock, without what the page itself took
  for PRACK and UPDATE. Calls come evenly, one load client's between those of the other; how long the same takes where
  they come by chance, as people make them, has rows of its own.
* **Real-time priority** in the list of runs: other work went on and was pushed aside. Of the same relay 21 µs a packet
  were seen on an idle machine and 51 µs so, why was not looked into. Such runs are for ratios.
* **Limits are off** where a load of one address would run into them, except in the figures that say so.
* **Nothing is tuned to a benchmark**: the same configuration as the roles', with the same memory manager for all.
"""


def _picture(name: str, drawn: Sequence[str]) -> str:
    if f"{name}.svg" not in drawn:
        return ""
    told = _ALTERNATIVES.get(name, "what was done of what was offered")
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="performance/{name}-dark.svg">'
        f'<img alt="{told}" src="performance/{name}.svg"></picture>'
    )


def caveats(benches: Document, remarked: Remarks) -> dict[str, str]:
    """Return by figure what must be said of the run that is shown, and of no later one."""
    found = {}
    for shown in itertools.chain(*chosen(benches)):
        remark = remarked.get("measured", {}).get(shown.row.figure.id)
        if remark and shown.bench and benches[shown.bench]["revision"] == remark["revision"]:
            found[shown.row.figure.id] = remark["said"]
    return found


def _counted(shown: Sequence[Shown]) -> str:
    kept = sum(one.row.is_kept is True for one in shown)
    missed = sum(one.row.is_kept is False for one in shown)
    judged = sum(one.row.figure.bar is not None for one in shown)
    return f"{judged} bars **{kept} are kept, {missed} missed and {judged - kept - missed} not measured**"


def _table(shown: Sequence[Shown], said: Mapping[str, str], cannot: Container[str] = ()) -> str:
    lines = []
    for one in shown:
        name = one.row.figure.id
        others = [Peer("Janus", None, "[why](#what-janus-has-no-value-for)")] if name in cannot else []
        notes = (one.row.note, said.get(name, ""))
        line = cells(replace(one.row, note="; ".join(filter(None, notes))), others)
        line[4] = f"**{line[4]}**" if one.row.is_kept is False else line[4]
        lines.append([*line, f"`{one.bench}`" if one.bench else "–"])
    return markdown([*HEAD, "bench"], lines)


def _ladders(benches: Document, drawn: Sequence[str]) -> Iterator[str]:
    found = ladders_of(benches)
    if not found:
        yield "No ladder has been climbed yet."
    for name, ladders in found.items():
        yield _picture(f"ladder-{name}", drawn)
        yield markdown(
            ("who", "stood at", "then", "what ended it"), [_ladder_line(ladder) for ladder in ladders]
        )


def _ladder_line(ladder: Ladder) -> list[str]:
    good = [step.offered for step in ladder.steps if not is_broken(step)]
    bad = [step.offered for step in ladder.steps if is_broken(step)]
    stood = f"{number(max(good))} {ladder.unit}" if good else "nothing"
    return [ladder.who, stood, f"{number(min(bad))}" if bad else "–", ladder.breaks or "more was not tried"]


def _missed(shown: Sequence[Shown], remarked: Remarks) -> Iterator[str]:
    lines = []
    for one in shown:
        if one.row.is_kept is False:
            said = remarked.get("missed", {}).get(one.row.figure.id, {})
            much = f"{verdict(one.row)}; {one.row.note}" if one.row.failed else verdict(one.row)
            lines.append([one.row.figure.what, much, said.get("why", ""), said.get("next", "")])
    yield markdown(("figure", "by how much", "why", "what to try next"), lines) if lines else "None."


def _cannot(shown: Sequence[Shown], remarked: Remarks) -> str:
    reasons = remarked.get("janus", {})
    rows = [one.row for one in shown]
    lines = [
        [row.figure.what, reasons[row.figure.id]]
        for row in rows
        if row.figure.id in reasons and not any(peer.name.startswith("Janus") for peer in row.peers)
    ]
    return markdown(("figure", "why"), lines) if lines else "Nothing."


def _machines(benches: Document, at_end: Mapping[str, str]) -> Iterator[str]:
    lines, versions = [], dict[str, dict[str, str]]()
    for bench, measured in benches.items():
        machine = measured["machine"]
        versions[" ".join(f"{name} {at}" for name, at in measured["versions"].items() if at)] = {}
        how = [
            word
            for word, told in (("short form", "short"), ("real-time priority", "real_time"))
            if measured.get(told)
        ]
        if at_end.get(bench) == measured["revision"]:
            how.append("speed and load at its end, its own load in them")
        when = datetime.fromisoformat(measured["date"])
        lines.append([
            f"`{bench}`", f"`{measured['command']}`", f"{when:%Y-%m-%d %H:%M}", measured["revision"] or "not known",
            f"{machine['cores']} × {machine['model'].replace('_', ' ')}", number(machine["load_1min"]),
            f"{machine['sha256_mb_per_s']:.0f}", f"{machine['python_loops_per_ms']:,.0f}", ", ".join(how) or "–",
        ])  # fmt: skip
    yield (
        "How fast the machine was when each bench began, where nothing else is said; a load above 0 is other work, or"
        " the bench before."
    )
    yield markdown(
        ("bench", "command", "UTC", "revision", "cores", "load", "SHA-256 MB/s", "Python loops/ms", "how"),
        sorted(lines),
    )
    yield "\n".join(f"* {line}" for line in versions)
