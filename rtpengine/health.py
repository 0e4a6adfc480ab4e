"""Whether a node is alive, as its answers to pings tell. Pure: no I/O; `now` is any clock that never goes back.

A node is `suspect` as soon as a ping is answered late, which costs it nothing but new calls while others are there. It
is `down` when nothing was heard of it for a while although several pings went out, or when the network refuses them:
one late answer is never enough, and a pause of our own process is none of the node's. Who was down is `returning` until
it has answered a few times in a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class NodeState(StrEnum):
    """What is known of a node."""

    UNKNOWN = "unknown"
    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"
    RETURNING = "returning"


class Sign(StrEnum):
    """What was noticed of a node."""

    ANSWERED = "answered"
    STEADY = "steady"
    """Several answers in a row, none of them late."""
    LATE = "late"
    SILENT = "silent"
    """No answer for too long, or refused by the network."""


TRANSITIONS: Final[Mapping[tuple[NodeState, Sign], NodeState]] = {
    (NodeState.UNKNOWN, Sign.ANSWERED): NodeState.UP,
    (NodeState.UNKNOWN, Sign.SILENT): NodeState.DOWN,
    (NodeState.UP, Sign.LATE): NodeState.SUSPECT,
    (NodeState.UP, Sign.SILENT): NodeState.DOWN,
    (NodeState.SUSPECT, Sign.ANSWERED): NodeState.UP,
    (NodeState.SUSPECT, Sign.SILENT): NodeState.DOWN,
    (NodeState.DOWN, Sign.ANSWERED): NodeState.RETURNING,
    (NodeState.RETURNING, Sign.STEADY): NodeState.UP,
    (NodeState.RETURNING, Sign.LATE): NodeState.DOWN,
    (NodeState.RETURNING, Sign.SILENT): NodeState.DOWN,
}
"""A pair that is not here changes nothing."""

STEADY_ANSWERS: Final = 3
REFUSALS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for what, in seconds, and after how many pings at least a node is down."""

    late_s: float = 0.15
    silent_s: float = 0.6
    unanswered: int = 4


@dataclass(slots=True)
class Health:
    """One node's health."""

    patience: Patience = field(default_factory=Patience)
    state: NodeState = NodeState.UNKNOWN
    answered_at: float | None = None
    """When it answered last."""
    _unanswered: int = 0
    """Pings since its last answer."""
    _since: float = 0.0
    """When the first of them went out."""
    _in_a_row: int = 0
    _refusals: int = 0

    def pinged(self, now: float) -> None:
        """A ping goes out."""
        if not self._unanswered:
            self._since = now
        self._unanswered += 1

    def answered(self, now: float) -> None:
        """A ping was answered, however old it was."""
        self._unanswered = 0
        self._refusals = 0
        self._in_a_row += 1
        self.answered_at = now
        self._see(Sign.ANSWERED)
        if self._in_a_row >= STEADY_ANSWERS:
            self._see(Sign.STEADY)

    def refused(self) -> None:
        """The network refused a ping: nobody listens."""
        self._in_a_row = 0
        self._refusals += 1
        self._see(Sign.LATE)
        if self._refusals >= REFUSALS:
            self._see(Sign.SILENT)

    def look(self, now: float) -> None:
        """See what is overdue."""
        if not self._unanswered:
            return
        silence_s = now - self._since
        if silence_s >= self.patience.late_s:
            self._in_a_row = 0
            self._see(Sign.LATE)
        if silence_s >= self.patience.silent_s and self._unanswered >= self.patience.unanswered:
            self._see(Sign.SILENT)

    def _see(self, sign: Sign) -> None:
        self.state = TRANSITIONS.get((self.state, sign), self.state)
