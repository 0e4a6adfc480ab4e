"""When a node has more to do than it can: which new work is let in, and how much of it (RFC 6357).

What is measured is what hurts: how long a message waits before a worker takes it.  As long as that is short, nothing is
limited.  Where it stays too long, the rate of new work is held at what the node can do, as in RFC 7415, not a share of
what is asked for: however much comes, as much is let in, and when less comes again nobody is refused any more.  What is
under way already is never refused, because what was done for it would be lost.

The rate follows the wait as in RFC 8033 (PIE): by how far it is from the target and by how fast it changes.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kemi.core.headers import explanation
from kemi.core.trust import URGENT

NEVER: Final = -math.inf
"""A time before all others."""


class Work(enum.StrEnum):
    """New work that is counted apart from the other."""

    CALLS = "calls"  #: and whatever else is new, as messages
    LOGINS = "logins"  #: of pages that were not here


WORK_OF: Final = {
    "INVITE": Work.CALLS,
    "MESSAGE": Work.CALLS,
    "SUBSCRIBE": Work.CALLS,
    "PUBLISH": Work.CALLS,
    "REFER": Work.CALLS,
    "REGISTER": Work.LOGINS,
}
"""Method of a request outside a dialog -> what new work it is.  OPTIONS, by which others see that we live, is none."""
_WEIGHTS: Final = {"INVITE": 1.0, "REGISTER": 1.0}
_OTHER_WEIGHT: Final = 0.25
"""Of a request that begins no call, beside one that does."""


@dataclass(frozen=True, slots=True)
class OverloadSettings:
    """What the operator wants.  Durations in seconds."""

    enabled: bool = True
    target_wait_s: float = 0.1
    """How long a message may wait for a worker before new work is refused."""
    least_calls: float = 10.0
    """New calls for each second that are let in however long messages wait."""
    least_logins: float = 20.0
    least_memory: float = 0.1
    """Share of the shared memory that must be free for new work of any kind, and for new connections."""
    retry_after_s: int = 5
    """Whoever is refused comes back after this time, or up to three times as much."""


def check_overload(settings: OverloadSettings) -> None:
    """Raise ValueError for what cannot be used."""
    if not 0.01 <= settings.target_wait_s <= 10:
        raise ValueError("overload.target_wait_s: 0.01 to 10 seconds")
    for name in ("least_calls", "least_logins"):
        if not 0 < getattr(settings, name) < math.inf:
            raise ValueError(f"overload.{name}: requests for each second, more than 0")
    if not 0 <= settings.least_memory <= 0.5:
        raise ValueError("overload.least_memory: a share of at most 0.5, or 0 for none")
    if not 1 <= settings.retry_after_s <= 600:
        raise ValueError("overload.retry_after_s: 1 to 600 seconds")


# ---------------------------------------------------------------- how much


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a node at a moment.  Times are of one clock that only goes forward, in seconds."""

    wait_s: float
    """How long a message waits for a worker."""
    rate: float
    """Requests of this kind that were taken up lately, for each second."""
    refused_at: float = NEVER
    """When one was refused last."""


class Regulator:
    """Finds the rate of one kind of new work at which messages wait as long as they may, and no longer."""

    PATIENCE_S: Final = {Work.CALLS: 0.2, Work.LOGINS: 2.0}
    """So long messages may wait too long, as after a burst; a whole site's pages may come back at once."""
    RELEASE_S: Final = 1.0
    """So long nobody is refused before there is no limit any more."""
    _FIRST: Final = 0.8
    """Of the rate at which messages began to wait too long."""
    _GROWTH: Final = 2.0
    """Logarithm of the factor by which the rate grows in a second when nobody waits."""
    _FALL: Final = 0.7
    """The same of its fall when messages wait for twice as long as they may, or longer."""
    _DAMPING: Final = 0.6
    _FARTHEST: Final = 1.0
    _STEEPEST: Final = 0.2
    _LOWEST: Final = 0.3
    """Of the rate at which the overload began."""
    _LONGEST_STEP_S: Final = 0.5

    def __init__(self, work: Work, settings: OverloadSettings) -> None:
        self._patience_s = self.PATIENCE_S[work]
        self._target_s = settings.target_wait_s
        self._least = settings.least_calls if work is Work.CALLS else settings.least_logins
        self._limit: float | None = None
        self._first = 0.0
        self._too_long_since: float | None = None
        self._before: tuple[float, float] | None = None
        """When this was looked at last, and how long messages waited then."""

    def step(self, seen: Seen, now: float) -> float | None:
        """Return how much new work is let in for each second from now on, None for all of it."""
        at, wait_before_s = self._before or (now, seen.wait_s)
        self._before = now, seen.wait_s
        if seen.wait_s <= self._target_s:
            self._too_long_since = None
        elif self._too_long_since is None:
            self._too_long_since = now
        if self._limit is None:
            if self._too_long_since is not None and now - self._too_long_since >= self._patience_s:
                self._first = seen.rate
                self._limit = max(self._least, self._FIRST * seen.rate)
        elif seen.wait_s <= self._target_s and now - seen.refused_at > self.RELEASE_S:
            self._limit = None
        else:
            self._follow(seen, wait_before_s, min(now - at, self._LONGEST_STEP_S))
        return self._limit

    def _follow(self, seen: Seen, wait_before_s: float, passed_s: float) -> None:
        assert self._limit is not None
        off = min((seen.wait_s - self._target_s) / self._target_s, self._FARTHEST)
        faster = (seen.wait_s - wait_before_s) / self._target_s
        change = -(self._GROWTH if off < 0 else self._FALL) * off * passed_s - self._DAMPING * faster
        change = min(max(change, -self._STEEPEST), self._GROWTH * passed_s)
        # What came before still waits, however low the rate is: it must not fall so far that it takes long to rise.
        least = max(self._least, self._LOWEST * self._first)
        self._limit = max(least, self._limit * math.exp(change))


def admit(even_at: float, weight: float, rate: float, now: float) -> tuple[float, float]:
    """Return the bucket after this request, and 0.0 when it is let in; or after how many seconds it would be.

    The generic cell rate algorithm, as in kemi/core/limits.py.

    Args:
        even_at: the bucket: when all that was let in would have been, had it come evenly.
        weight: of this request.
        rate: weight that is let in for each second; 0: none.
        now: of the same clock.
    """
    if rate <= 0:
        return even_at, math.inf
    burst_s = max(_BURST_S, _LEAST_BURST / rate)
    taken_s = weight / rate
    if even_at > now + burst_s + _ROUNDING_S:
        even_at = now + burst_s - taken_s  # of a rate that was higher, or of before a restart
    after = max(even_at, now) + taken_s
    early_s = after - now - burst_s
    return (even_at, early_s) if early_s > _ROUNDING_S else (after, 0.0)


_BURST_S: Final = 0.1
_LEAST_BURST: Final = 5.0
"""So many may come at once, however low the rate is."""
_ROUNDING_S: Final = 1e-9


def weight_of(method: str) -> float:
    """Return how much work a request is, beside others of its kind."""
    return _WEIGHTS.get(method, _OTHER_WEIGHT)


def typical_wait_s(waits_s: Sequence[float], target_s: float) -> float:
    """Return how long a message waits for one of several workers: their mean, to which one that stands still adds no
    more than four times the target."""
    return sum(min(wait, 4 * target_s) for wait in waits_s) / len(waits_s) if waits_s else 0.0


# ---------------------------------------------------------------- who


def is_urgent(headers: Callable[[str], list[str]]) -> bool:
    """Whether the network says that a request comes before others (RFC 4412, RFC 7135, RFC 7090).

    Only to be asked of requests of the core: what pages and trunks write there does not count (kemi/core/trust.py).
    """
    if any(value.strip() for value in headers("Resource-Priority")):
        return True
    return any(value.strip().lower() in URGENT for value in headers("Priority"))


# ---------------------------------------------------------------- what they hear


REFUSAL: Final = (503, "Service Unavailable")
WHY: Final = "more than this gateway can take at this moment"


def refusal_lines(retry_after_s: int | None) -> tuple[str, ...]:
    """Return the header lines of a refusal; ``retry_after_s``: None towards the core.

    A proxy that is told a time sends nothing at all until then, and its next hop has all of it at once (RFC 3261
    §21.5.4, RFC 6357 §5.3.2); without, it looks for another way for this request alone.
    """
    again = () if retry_after_s is None else (f"Retry-After: {retry_after_s}",)
    return (*again, *explanation(WHY, "gateway"))
