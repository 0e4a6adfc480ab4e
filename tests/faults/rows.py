"""What a fault did, as data, and whether its promise held.

Knows figures and bars.  Must not run anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.load import Attempt, End


@dataclass(frozen=True)
class Promise:
    """What a fault may do at most.

    `recovery_s`: until all is as before, after the fault struck, or after it was lifted where it lasts.
    `silence_s`: the longest pause of sound in calls that stand, None where they may end.
    """

    text: str
    recovery_s: float
    silence_s: float | None = 0.5
    calls_kept: float = 1.0
    """Share of the calls that stood; the others are told."""
    new_calls_told: bool = True
    """Whether new calls may fail meanwhile, which the caller is told; False: none fails."""
    silent_calls: bool = False
    """Whether callers may wait in vain meanwhile, told nothing."""


@dataclass
class Row:
    """One fault, measured."""

    fault: str
    promise: str
    running: dict[str, int] = field(default_factory=dict)
    """Fate of the calls that stood."""
    new: dict[str, int] = field(default_factory=dict)
    """Ends of the calls that began meanwhile."""
    web: dict[str, int] = field(default_factory=dict)
    """Ends of the requests to the web API."""
    told: dict[str, int] = field(default_factory=dict)
    """What callers were told, and how often."""
    recovery_s: float | None = None
    """None: never, as long as was waited for."""
    silence_s: float | None = None
    late_s: float = 0.0
    """How late the measuring process itself was at most, on a busy machine; taken off the silence."""
    slowest_s: float = 0.0
    """The longest wait for an answer of a call that was answered."""
    left: dict[str, int] = field(default_factory=dict)
    """What was not cleaned up."""
    clean_s: float = 0.0
    """How long that took after the last call."""
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Which parts of the promise did not hold."""
    why: str = ""
    """Why they cannot, where that is known."""


def ends(attempts: Sequence[Attempt]) -> dict[str, int]:
    """Count attempts by their end."""
    return dict(Counter(attempt.end.value for attempt in attempts))


def recovered_after(attempts: Sequence[Attempt], moment: float) -> float | None:
    """Return seconds from a moment to the first attempt after which none failed; 0 where that was before."""
    ordered = sorted(attempts, key=lambda attempt: attempt.began_at)
    bad = [at for at, attempt in enumerate(ordered) if attempt.end is not End.DONE]
    if not bad:
        return 0.0
    if bad[-1] + 1 == len(ordered):
        return None
    return max(0.0, ordered[bad[-1] + 1].began_at - moment)


def judge(row: Row, promise: Promise, slack: float = 1.0, seen: Sequence[str] = ()) -> None:
    """Write down what did not hold.

    Args:
        slack: how many times longer than promised things may take.
        seen: what pages and core saw go wrong: no fault makes the gateway send what cannot be read.
    """
    calls = sum(row.running.values())
    kept, hung = row.running.get("kept", 0), row.running.get("hung", 0)
    if hung:
        row.broken.append(f"{hung} of {calls} calls hung")
    if calls and kept / calls < promise.calls_kept:
        row.broken.append(f"{kept} of {calls} calls went on")
    failed = sum(count for end, count in row.new.items() if end not in (End.DONE, End.TOLD))
    if row.new.get(End.SILENT, 0) and not promise.silent_calls:
        row.broken.append(f"{row.new[End.SILENT]} callers were told nothing")
    if row.new.get(End.BROKEN, 0):
        row.broken.append(f"{row.new[End.BROKEN]} new calls did not end on both sides")
    if not promise.new_calls_told and (failed or row.new.get(End.TOLD, 0)):
        row.broken.append(f"{failed + row.new.get(End.TOLD, 0)} new calls failed")
    if row.recovery_s is None:
        row.broken.append("did not recover")
    elif row.recovery_s > slack * promise.recovery_s:
        row.broken.append(f"recovered in {row.recovery_s:.1f} s instead of {promise.recovery_s:g} s")
    most_s = slack * promise.silence_s if promise.silence_s is not None else None
    if most_s is not None and row.silence_s is not None and row.silence_s > most_s:
        row.broken.append(f"{row.silence_s:.1f} s of silence instead of {promise.silence_s:g} s")
    if row.left:
        names = ", ".join(f"{count} {name}" for name, count in row.left.items())
        row.broken.append(f"left behind: {names}")
    row.broken += seen[:5]
