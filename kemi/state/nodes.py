"""Relay nodes as all worker processes of this gateway see them: what the media agent reports, which ones an operator
drains, and the circuit breaker.

The agent's report counts while it is fresh.  Beside it every worker may open a node's breaker, when the node did not
answer it in time; the breaker closes when the agent has heard of the node since, or after a while, when one worker
tries for all.  A command that waits for a node is given up as soon as ``usable`` says no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from kemi.state.records import RecordTable
from kemi.state.table import Table

FRESH_S: Final = 3.0
"""How long a report counts; the agent sends one each second."""
OPEN_S: Final = 2.0
"""How long an open breaker keeps everybody from a node that no agent watches."""
TRIAL_S: Final = 1.0
"""How long one worker has for its trial before another one may try."""
SLOW_S: Final = 0.5
"""How long calls that begin prefer other nodes after one of them had to wait: until the agent knows better."""
NOT_FOR_CALLS: Final = ("down", "returning")
_REPORT: Final = "report"


class NodeReport(msgspec.Struct, frozen=True):
    """What the agent says of one node."""

    node: str
    """``address:port``."""
    state: str
    """A state of rtpengine/health.py."""
    calls: int | None = None
    """How many it has, of all who use it; None: not known."""
    counted: float = 0.0
    """Names the count: another one than before when the calls were counted anew."""
    silent_s: float | None = None
    """How long ago it answered; None: it never did."""
    version: str = ""


class Report(msgspec.Struct, frozen=True):
    """What the agent says of all nodes."""

    nodes: list[NodeReport]
    at: float = 0.0
    """When it came in, by this gateway's clock."""


class _Breaker(msgspec.Struct):
    since: float
    until: float


class _Taken(msgspec.Struct):
    """How many calls were given to a node since they were counted there."""

    counted: float
    calls: int


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node at one moment."""

    node: str
    state: str = "unknown"
    """"unknown" without a fresh report."""
    calls: int | None = None
    drained: bool = False
    broken: bool = False
    """Its breaker is open."""
    slow: bool = False
    """A call that began had to wait for it just now."""

    @property
    def is_steady(self) -> bool:
        """Whether nothing at all is known against it."""
        return self.takes_calls and self.state != "suspect" and not self.slow

    @property
    def takes_calls(self) -> bool:
        """Whether a new call may be tried there."""
        return not (self.drained or self.broken or self.state in NOT_FOR_CALLS)

    def may_be_chosen(self, weight: int) -> bool:
        """Whether new calls may go to this node, which is configured with this weight."""
        return self.takes_calls and weight > 0


class NodeStore:
    """Tables ``node`` (report, breakers, load), ``drain`` and ``unreleased``."""

    def __init__(self, table: Callable[[str], Table]) -> None:
        nodes = table("node")
        self._reports = RecordTable(nodes, Report)
        self._breakers = RecordTable(nodes, _Breaker)
        self._taken = RecordTable(nodes, _Taken)
        self._drains = table("drain")
        self._drain_changes = table("drain_change")
        self._unreleased = table("unreleased")
        self._read: tuple[str, Report] = ("", Report([]))

    # ------------------------------------------------------------ the agent

    def report(self, nodes: list[NodeReport], now: float) -> None:
        """Take the agent's report."""
        self._reports.set(_REPORT, Report(nodes, now))

    def reported(self, now: float) -> dict[str, NodeReport] | None:
        """Return the agent's report by node; None when no agent is running."""
        text = self._reports.raw.get(_REPORT)
        if text is None:
            return None
        if text != self._read[0]:
            self._read = (text, msgspec.json.decode(text, type=Report))
        report = self._read[1]
        if not 0 <= now - report.at < FRESH_S:
            return None
        return {entry.node: entry for entry in report.nodes}

    # ------------------------------------------------------------ who may be asked

    def usable(self, node: str, now: float, since: float = 0.0) -> bool:
        """Whether a command to this node makes sense; of one sent at ``since``, whether waiting on does.

        A breaker that was open then tells nothing: the command is the trial.
        """
        found = (self.reported(now) or {}).get(node)
        if found is not None and found.state == "down":
            return False
        breaker = self._breakers.get(_breaker(node)) if since else None
        if breaker is not None and breaker.since <= since:
            return True
        return not self._is_broken(node, found, now)

    def may_try(self, node: str, now: float) -> bool:
        """The same for who is about to send one; once a breaker's time is over this makes it the one that tries."""
        found = (self.reported(now) or {}).get(node)
        if found is not None and found.state == "down":
            return False
        key = _breaker(node)
        if not self._breakers.raw.has(key):
            return True
        with self._breakers.locked(key):
            if self._is_broken(node, found, now):
                return False
            breaker = self._breakers.get(key)
            if breaker is not None and breaker.since <= now < breaker.until:
                self._breakers.remove(key)  # the agent has heard of it
            elif breaker is not None:
                self._breakers.set(key, _Breaker(min(breaker.since, now), now + TRIAL_S))
        return True

    def is_prompt(self, node: str, now: float) -> bool:
        """Whether the node is likely to answer at once: what can do without an answer does not wait for another one."""
        found = (self.reported(now) or {}).get(node)
        return (found is None or found.state not in ("suspect", "down")) and not self._is_broken(
            node, found, now
        )

    def missed(self, node: str, now: float) -> None:
        """A node did not answer in time."""
        self._breakers.set(_breaker(node), _Breaker(now, now + OPEN_S))

    def answered(self, node: str) -> None:
        """A node answered."""
        if self._breakers.raw.has(_breaker(node)):
            self._breakers.remove(_breaker(node))

    def waited_for(self, node: str, now: float) -> None:
        """A call that began did not get its answer at once: others that begin go elsewhere for a moment."""
        self._breakers.set(_slow(node), _Breaker(now, now + SLOW_S))

    def _is_slow(self, node: str, now: float) -> bool:
        mark = self._breakers.get(_slow(node))
        return mark is not None and mark.since <= now < mark.until

    def _is_broken(self, node: str, report: NodeReport | None, now: float) -> bool:
        breaker = self._breakers.get(_breaker(node))
        if breaker is None or not breaker.since <= now < breaker.until:
            return False
        if report is None or report.state != "up" or report.silent_s is None:
            return True
        heard_at = self._read[1].at - report.silent_s
        return heard_at <= breaker.since

    # ------------------------------------------------------------ new calls

    def view(self, nodes: Iterable[str], now: float) -> list[NodeView]:
        """Return these nodes as they are now."""
        reported = self.reported(now)
        found = []
        for node in nodes:
            report = (reported or {}).get(node)
            drained = self._drains.get(node) is not None
            broken, slow = self._is_broken(node, report, now), self._is_slow(node, now)
            if report is None:
                found.append(NodeView(node, drained=drained, broken=broken, slow=slow))
            else:
                calls = None if report.calls is None else report.calls + self._taken_since(report)
                found.append(NodeView(node, report.state, calls, drained, broken, slow))
        return found

    def taken(self, node: str, now: float) -> None:
        """A call was given to this node: the next count has it, until then it is counted here."""
        report = (self.reported(now) or {}).get(node)
        if report is None:
            return
        key = _load(node)
        with self._taken.locked(key):
            self._taken.set(key, _Taken(report.counted, self._taken_since(report) + 1))

    def _taken_since(self, report: NodeReport) -> int:
        taken = self._taken.get(_load(report.node))
        return taken.calls if taken is not None and taken.counted == report.counted else 0

    # ------------------------------------------------------------ drain

    def drain(self, node: str, drain: bool, *, to_ship: bool = True) -> None:
        """Let a node have no new calls, or have some again; ``to_ship``: Redis does not know yet."""
        if drain:
            self._drains.set(node, "1")
        else:
            self._drains.remove(node)
        if to_ship:
            self._drain_changes.set(node, "1" if drain else "")

    def drained(self) -> set[str]:
        """Return the nodes that get no new calls."""
        return {node for node, _ in self._drains.items()}

    def drain_changes(self) -> dict[str, str]:
        """Return what has to be shipped: node -> "1" drained, "" not any more."""
        return dict(self._drain_changes.items())

    def shipped(self, changes: dict[str, str]) -> None:
        """These changes are in Redis."""
        for node, drain in changes.items():
            with self._drain_changes.locked(node):
                if self._drain_changes.get(node) == drain:
                    self._drain_changes.remove(node)

    def learn_drained(self, nodes: Iterable[str]) -> list[str]:
        """Take over which nodes are drained, as Redis has it; return those for which this is news."""
        if self.drain_changes():
            return []  # ours is newer
        wanted, known = set(nodes), self.drained()
        for node in wanted ^ known:
            self.drain(node, node in wanted, to_ship=False)
        return sorted(wanted ^ known)

    # ------------------------------------------------------------ what could not be released

    def not_released(self, node: str, ng_call_ids: Iterable[str], now: float) -> None:
        """A node could not be told that these calls are over."""
        for call_id in ng_call_ids:
            self._unreleased.set(f"{node} {call_id}", f"{now:.0f}")

    def unreleased(self, node: str) -> list[str]:
        """Return the calls that this node was not told to delete in the last hour."""
        prefix = f"{node} "
        return [key.removeprefix(prefix) for key, _ in self._unreleased.items() if key.startswith(prefix)]


def _breaker(node: str) -> str:
    return f"breaker {node}"


def _slow(node: str) -> str:
    return f"slow {node}"


def _load(node: str) -> str:
    return f"load {node}"
