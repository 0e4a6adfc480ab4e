"""What a long run showed, as text, and whether its promises held.

Knows figures and bars.  Must not run anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

from tests.bench.report import Bar, aligned
from tests.bench.soak.measure import Sample, Soak
from tests.faults.load import End

DRIFT_BAR: Final = 0.02
_WARM_SHARE: Final = 0.4
"""Of the samples: buffers and pools of allocators are full by then."""
_ALL: Final = "all processes"


def drifts(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the growth of private memory after the warm-up, the median of the last third against that of the first,
    as a share; of each process, of all together, and of the shared memory."""
    warm = samples[int(len(samples) * _WARM_SHARE) :]
    third = max(1, len(warm) // 3)
    if len(warm) < 2:
        return {}

    def drift(sizes: list[int]) -> float:
        first, last = statistics.median(sizes[:third]), statistics.median(sizes[-third:])
        return last / first - 1 if first else 0.0

    names = warm[0].private_bytes
    found = {name: drift([sample.private_bytes[name] for sample in warm]) for name in names}
    found[_ALL] = drift([sum(sample.private_bytes.values()) for sample in warm])
    found["shared memory"] = drift([sample.shared_bytes for sample in warm])
    return found


def bars(found: Soak) -> list[Bar]:
    """Return the promises."""
    web = sum(attempt.end is not End.DONE for attempt in found.web)
    judged = [
        Bar(f"of {found.ran.total()} calls failed", len(found.failures), not found.failures),
        Bar(f"of {len(found.web)} requests to the web API failed", web, not web),
        Bar(_named("left behind", found.left), sum(found.left.values()), not found.left),
        Bar("sockets of the relay more than before", found.sockets, found.sockets <= 0),
    ]
    if found.start is not None and found.end is not None:
        more = {
            name: count - found.start.descriptors.get(name, 0)
            for name, count in found.end.descriptors.items()
            if count > found.start.descriptors.get(name, 0)
        }
        judged.append(Bar(_named("file descriptors more than before", more), sum(more.values()), not more))
    grown = drifts(found.samples)
    for name in (_ALL, "shared memory"):
        if name in grown:
            judged.append(Bar(f"{name}: drift of memory, below 0.02", grown[name], grown[name] < DRIFT_BAR))
    return judged


def _named(what: str, counts: dict[str, int]) -> str:
    names = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"{what} ({names})" if names else what


def text(found: Soak) -> str:
    """Return the report but the bars."""
    calls = found.ran.total()
    lines = [
        f"{calls} calls in {found.seconds:.0f} s ({calls / found.seconds:.1f}/s), {found.late} began late"
    ]
    rows = [
        ["process", "MB at the start", "MB at the end", "drift", "descriptors at the start", "at the end"]
    ]
    grown = drifts(found.samples)
    if found.start is not None and found.end is not None:
        for name, size in found.start.private_bytes.items():
            rows.append(
                [
                    name,
                    f"{size / 1e6:.1f}",
                    f"{found.end.private_bytes.get(name, 0) / 1e6:.1f}",
                    f"{100 * grown.get(name, 0.0):+.2f} %",
                    str(found.start.descriptors[name]),
                    str(found.end.descriptors.get(name, 0)),
                ]
            )
    lines.append(aligned(rows))
    lines += [f"failed: {one.scenario}, call {one.number}: {one.what}" for one in found.failures[:20]]
    return "\n".join(lines)


def to_json(found: Soak) -> dict[str, Any]:
    """Return plain data."""
    return {
        "seconds": found.seconds,
        "ran": dict(found.ran),
        "late": found.late,
        "failures": [[one.number, one.scenario, one.what] for one in found.failures],
        "samples": [[one.at_s, one.private_bytes, one.shared_bytes] for one in found.samples],
        "descriptors": [one.descriptors for one in (found.start, found.end) if one],
        "ended_sockets": [one.ended_sockets for one in (found.start, found.end) if one],
        "relay_sockets_more": found.sockets,
        "web": [len(found.web), sum(attempt.end is not End.DONE for attempt in found.web)],
        "drift": drifts(found.samples),
        "left": found.left,
    }
