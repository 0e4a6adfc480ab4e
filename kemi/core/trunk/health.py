"""Whether a trunk's next hop lives: what its answers and its silence say, and what all workers read of it.

The table ``trunks`` has ``NAME URI`` -> ``down SINCE UNTIL REASON`` for a next hop that gets new calls only where no
trunk that is up is left, in seconds since the epoch; one that is not there is up, or nobody has asked it.  Housekeeping
alone writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from kemi.core.trunk.trunk import Trunk

DEAD_ANSWERS: Final = frozenset({408, 430, 503})
"""Final responses to OPTIONS that tell of nobody who could take a call; any other one comes from somebody alive."""
MOST_RETRY_AFTER_S: Final = 3600.0
"""A next hop that says it will be away for longer is asked again after this."""
_DOWN: Final = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one next hop; the default: up, as far as anybody knows."""

    down_since: float = 0.0
    """Seconds since the epoch; 0.0: it is up."""
    reason: str = ""
    not_before: float = 0.0
    """It asked not to be tried before (Retry-After, RFC 3261 §20.33)."""

    @property
    def is_down(self) -> bool:
        """Whether it gets new calls only where nobody else takes them."""
        return self.down_since > 0


UP: Final = Health()


def after_answer(health: Health, status: int, retry_after_s: float, now: float) -> Health:
    """Return what a final response says; ``retry_after_s``: 0.0 where it names none."""
    if status not in DEAD_ANSWERS:
        return UP
    wait_s = min(retry_after_s, MOST_RETRY_AFTER_S) if status == 503 else 0.0
    return _down(health, f"it answered {status}", now, now + wait_s if wait_s > 0 else 0.0)


def after_silence(health: Health, now: float, reason: str = "no answer") -> Health:
    """Return what no final response at all says; ``reason`` may be a connection that failed.

    One OPTIONS is enough: over UDP it was sent several times.
    """
    return _down(health, reason, now, 0.0)


def _down(health: Health, reason: str, now: float, not_before: float) -> Health:
    if health.is_down:
        return replace(health, reason=reason, not_before=not_before)
    return Health(now, reason, not_before)


def health_key(trunk: str, uri: str) -> str:
    """Return what a next hop is called in the table; ``trunk`` is the trunk's name."""
    return f"{trunk} {uri}"


def health_to_text(health: Health) -> str | None:
    """Return what the table says of it, None for nothing."""
    if not health.is_down:
        return None
    return f"{_DOWN} {health.down_since:.3f} {health.not_before:.3f} {health.reason}"


def health_from_text(text: str | None) -> Health:
    """Read what the table says of a next hop."""
    if text is None or not text.startswith(_DOWN):
        return UP
    _, since, until, reason = text.split(" ", 3)
    return Health(float(since), reason, float(until))


def hops_up(trunk: Trunk, read: Callable[[str], str | None]) -> list[str]:
    """Return the next hops of a trunk that are up, best first; ``read`` looks into the table."""
    return [uri for uri in trunk.uris if not health_from_text(read(health_key(trunk.name, uri))).is_down]
