"""The table of README.md: faults in groups, what is promised, what was measured.

``python -m tests.faults.page`` writes it. Knows which faults are told of together; each is in one group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tests.faults.faults import BY_NAME
from tests.faults.rows import Row

BEGIN: Final = "<!-- faults -->\n"
END: Final = "<!-- /faults -->"


class Group(NamedTuple):
    """Faults with one promise; ``missed`` says what came of it where it is not kept."""

    fault: str
    promise: str
    names: tuple[str, ...]
    missed: str = ""


GROUPS: Final = (
    Group(
        "a Kamailio worker, Kamailio or HAProxy is killed",
        "sound goes on, calls too once their pages are back; who dials is told",
        ("worker-killed", "udp-worker-killed", "kamailio-killed", "haproxy-killed"),
    ),
    Group(
        "a worker or HAProxy stands still for 5 s",
        "calls go on, who dials waits",
        ("worker-stopped", "udp-worker-stopped", "haproxy-stopped"),
    ),
    Group(
        "Kamailio stands still for 5 s",
        "the same, served 2 s after it",
        ("kamailio-stopped",),
        "served after {recovery:.1f} s, {told} callers got 504",
    ),
    Group(
        "a relay node is killed, or stands still",
        "its calls move to another one and are heard",
        ("relay-killed", "relay-stopped"),
    ),
    Group(
        "Redis or the media agent is killed, or stands still",
        "nobody notices",
        ("redis-killed", "redis-stopped", "agent-killed", "agent-stopped"),
    ),
    Group(
        "the web API is killed, or stands still",
        "calls do not notice; its users get 503, or wait",
        ("web-killed", "web-stopped"),
    ),
    Group(
        "the core is gone, or stands still",
        "calls go on, callers are told 504",
        ("core-killed", "core-stopped"),
    ),
    Group("the log folder is full; no media ports", "calls go on, callers are told 503", ("logs-full", "no-ports")),
    Group(
        "5 % of the packets lost, or 100 ms more, to page, core or Redis; 5 % lost to the relay",
        "calls go on, new ones come about",
        ("page-loss", "page-delay", "core-loss", "core-delay", "redis-loss", "redis-delay", "relay-loss"),
    ),
    Group(
        "100 ms more to the relay",
        "the same",
        ("relay-delay",),
        "{told} of {new} new calls got 504, as 8 workers wait for it; none with 32 workers",
    ),
    Group(
        "the clock jumps by 5 s, or back by an hour",
        "the same",
        ("clock-ahead", "clock-back", "clock-hour-back"),
    ),
    Group(
        "the clock jumps ahead by an hour",
        "the same",
        ("clock-hour-ahead",),
        "registrations of that hour end, {running} of {running} calls with them; back after {recovery:.0f} s",
    ),
)  # fmt: skip


def short_table(run: Mapping[str, Any]) -> str:
    """Return the groups as a Markdown table."""
    rows = {row["fault"]: Row(**row) for row in run["rows"]}
    lines = ["| fault | promise | measured |", "|---|---|---|"]
    for group in GROUPS:
        found = [rows[BY_NAME[name].what] for name in group.names]
        lines.append(f"| {group.fault} | {group.promise} | {_measured(group, found)} |")
    return "\n".join(lines) + "\n"


def _measured(group: Group, rows: Sequence[Row]) -> str:
    if group.missed:
        (row,) = rows
        assert row.broken, f"{group.fault}: the promise is kept now"
        return "**missed**: " + group.missed.format(
            recovery=row.recovery_s or 0.0,
            told=row.new.get("told", 0),
            new=sum(row.new.values()),
            running=sum(row.running.values()),
        )
    assert not any(row.broken for row in rows), f"{group.fault}: say what is missed"
    kept, calls = (
        sum(counts)
        for counts in zip(*((row.running["kept"], sum(row.running.values())) for row in rows), strict=True)
    )
    assert kept == calls, group.fault
    back = max(row.recovery_s or 0.0 for row in rows)
    silence = max(row.silence_s or 0.0 for row in rows)
    when = "at once" if back < 0.05 else f"after {back:.1f} s"
    return f"all calls kept, pause of sound {silence:.1f} s; new calls {when}"


def with_table(readme: str, run: Mapping[str, Any]) -> str:
    """Return README.md with the table between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, "no marks"
    return before + BEGIN + short_table(run) + END + after
