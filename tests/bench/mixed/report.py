"""What ran, what went wrong and what was left, as text, and whether the promises are kept.

Knows figures and bars.  Must not run anything.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from tests.bench.mixed.remains import Remains
from tests.bench.mixed.run import Outcome, of_calls
from tests.bench.report import Bar, aligned

SHARED_BAR_BYTES: Final = 100.0
PRIVATE_BAR_BYTES: Final = 2000.0
"""Growth for each call, in all workers together; allocators fill their pages before it ends."""
FEWEST_CALLS: Final = 200
"""Over fewer calls memory says nothing."""


def text(outcome: Outcome) -> str:
    """Return the whole report but the bars."""
    rows = [["scenario", "calls", "failed"]]
    failed = [failure.scenario for failure in outcome.failures]
    rows += [[name, str(count), str(failed.count(name))] for name, count in sorted(outcome.ran.items())]
    rows.append(["all", str(outcome.ran.total()), str(len(failed))])
    lines = [
        aligned(rows),
        f"{outcome.ran.total() / outcome.seconds:.1f} calls/s, pauses for looking included",
    ]
    lines += [f"failed: {f.scenario}, call {f.number}: {f.what}" for f in outcome.failures]
    looks = {
        "before": outcome.start,
        "after the first calls": outcome.warm,
        "in the middle": outcome.middle,
        "after the calls": outcome.after,
        "without pages": outcome.end,
    }
    for when, remains in looks.items():
        if remains is not None:
            lines.append(f"{when}: {_described(remains)}")
    if outcome.recorded is not None:
        lines.append(f"records of calls whose relay said nothing: {outcome.recorded.without_figures}")
    return "\n".join(lines)


def bars(outcome: Outcome) -> list[Bar]:
    """Return the promises."""
    found = [Bar("every call went as its scenario says; failed", len(outcome.failures), not outcome.failures)]
    for when, left in (
        ("after the calls", of_calls(outcome.after) if outcome.after else {"look": 1}),
        ("without pages", outcome.end.left if outcome.end else {"look": 1}),
    ):
        names = ", ".join(f"{name} {count}" for name, count in left.items())
        found.append(
            Bar(f"nothing is left {when}{': ' if names else ''}{names}", sum(left.values()), not left)
        )
    if (known := outcome.recorded) is not None:
        promise = f"each of {known.calls} calls has one record in Redis; missing"
        found.append(Bar(promise, known.missing, known.calls > 0 and not known.missing))
    start, middle, after, end = outcome.start, outcome.middle, outcome.after, outcome.end
    if start is None or middle is None or after is None or end is None:
        return found
    sockets = end.relay_sockets - start.relay_sockets
    found.append(Bar("sockets of the relay more than before", sockets, sockets <= 0))
    if outcome.measured_calls < FEWEST_CALLS:
        return found
    # A connected page holds a hundred kilobytes: what calls keep is seen without pages.
    shared = (end.shared_bytes - start.shared_bytes) / outcome.ran.total()
    found.append(Bar("shared memory, bytes for each call, at most 100", shared, shared <= SHARED_BAR_BYTES))
    grown = sum(after.worker_rss_bytes.values()) - sum(middle.worker_rss_bytes.values())
    private = grown / outcome.measured_calls
    promise = "private memory of all workers in the second half, bytes for each call, at most 2000"
    found.append(Bar(promise, private, private <= PRIVATE_BAR_BYTES))
    return found


def _described(remains: Remains) -> str:
    kept = {name: count for name, count in remains.tables.items() if count}
    private = sum(remains.worker_rss_bytes.values()) / 1e6
    return (
        f"tables {kept}, transactions {remains.transactions}, connections {remains.connections}, relay calls "
        f"{remains.relay_calls}, relay sockets {remains.relay_sockets}, shared {remains.shared_bytes / 1e6:.3f} MB, "
        f"private {private:.1f} MB"
    )


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Return plain data."""
    looks = {
        "start": outcome.start,
        "warm": outcome.warm,
        "middle": outcome.middle,
        "after": outcome.after,
        "end": outcome.end,
    }
    return {
        "ran": dict(outcome.ran),
        "failures": [asdict(failure) for failure in outcome.failures],
        "seconds": outcome.seconds,
        "measured_calls": outcome.measured_calls,
        **{name: None if look is None else asdict(look) for name, look in looks.items()},
    }
