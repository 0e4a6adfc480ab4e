"""What is left over on a node, and what it has lost: the gateway's calls beside the node's. Pure; `now` in seconds.

A node may serve other gateways too, whose calls look like ours. So a call is left over only when the gateway had it on
this node before, or says that it could not release it; unless the node is ours alone. What the gateway gave to another
one since, or what another one took while it was dead, is not ours any more. In both cases the call has to be
unknown for a while, because one that ends is gone from the gateway a moment before it is gone from the node; one that
begins is known to the gateway before the node hears of it, so the node is asked first.

Nothing is concluded from a list that may be cut short but what stands in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LOST_AFTER_S: Final = 1.0
"""How long a node must not know a running call, in two looks at least."""
SETTLED_AFTER_S: Final = 5.0
"""A call that is younger is still being set up, whatever its state says."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the gateway, as GET /v1/calls has it."""

    key: str
    node: str
    kinds: tuple[str, ...]
    confirmed: bool
    since: float
    """Seconds since the epoch."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the node calls its media."""
        return tuple(f"{self.key}-v" if kind == "video" else self.key for kind in self.kinds)

    @property
    def possible_names(self) -> tuple[str, str]:
        """What the node may call media of this call at any time."""
        return self.key, f"{self.key}-v"


@dataclass(frozen=True, slots=True)
class Findings:
    """What has to be done about one node."""

    left_over: tuple[str, ...]
    """Names of calls to delete."""
    lost: tuple[str, ...]
    """Keys of calls the node does not know."""
    look_again: bool
    """Something is missing that must be looked at once more, soon."""


class Ledger:
    """One node's calls over time."""

    def __init__(self, node: str, grace_s: float, *, exclusive: bool) -> None:
        self._node = node
        self._grace_s = grace_s
        self._exclusive = exclusive
        self._seen: set[str] = set()
        self._unknown_since: dict[str, float] = {}
        self._missing_since: dict[str, float] = {}

    def forget(self, names: Iterable[str]) -> None:
        """These calls are another gateway's now."""
        for name in names:
            self._seen.discard(name)
            self._unknown_since.pop(name, None)

    def forget_all(self) -> None:
        """The gateway was started anew: what it has not restored another one may have taken."""
        self._seen.clear()
        self._unknown_since.clear()

    def compare(
        self,
        listed: Iterable[str],
        calls: Iterable[Call],
        unreleased: Iterable[str],
        now: float,
        *,
        complete: bool,
    ) -> Findings:
        """Compare; call it with what was listed before the gateway was asked.

        Args:
            listed: what the node has.
            calls: all calls of the gateway, on whatever node.
            unreleased: names the gateway could not tell this node the end of.
            now: seconds since the epoch.
            complete: whether the node listed everything.
        """
        listed = set(listed)
        own = [call for call in calls if call.node == self._node]
        known = {name for call in own for name in call.possible_names}
        self._seen = (self._seen | known) & listed
        ours = listed if self._exclusive else self._seen | (set(unreleased) & listed)
        self._unknown_since = {name: self._unknown_since.get(name, now) for name in ours - known}
        left_over = tuple(
            sorted(name for name, since in self._unknown_since.items() if now - since >= self._grace_s)
        )
        missing = {
            call.key
            for call in own
            if complete
            and call.confirmed
            and call.names
            and now - call.since >= SETTLED_AFTER_S
            and listed.isdisjoint(call.names)
        }
        first_look = missing - self._missing_since.keys()
        self._missing_since = {key: self._missing_since.get(key, now) for key in missing}
        lost = tuple(sorted(key for key, since in self._missing_since.items() if now - since >= LOST_AFTER_S))
        return Findings(left_over, lost, look_again=bool(first_look))
