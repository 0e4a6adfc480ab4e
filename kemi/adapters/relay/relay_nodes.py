"""The relay nodes as one worker process asks them: who takes a call, who is waited for, what a miss means."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

from kemi.adapters.log import log_event
from kemi.adapters.monitoring.measuring import METRICS
from kemi.adapters.monitoring.trace_notes import NOTES
from kemi.core.errors import MediaUnavailable
from kemi.core.metrics import catalogue as series
from kemi.settings import MediaSettings
from kemi.state.nodes import NodeStore, NodeView
from rtpengine.capabilities import Version
from rtpengine.ng.commands import Command
from rtpengine.ng.errors import NgBadDatagram, NgError, NgErrorReply
from rtpengine.pool import Candidate, Node, NodeAddress, choose, node_to_text, version_from_text
from rtpengine.sessions import Sequence, T, run
from rtpengine.transport.udp import UdpClient

NODES_ASKED: Final = 2
"""How many nodes a call waits for in vain, a new one or one of a dead node: each has its deadline."""
HASTY_S: Final = 0.25
"""How long housekeeping waits, which everything else waits for."""


class RelayNodes:
    """Blocking clients of all nodes, with the view of them that the workers share."""

    def __init__(self, settings: MediaSettings, store: NodeStore, missed: Callable[[], None]) -> None:
        """``missed`` is called after a node has not answered: it may come back as another one."""
        self._nodes = {
            node.name: Node(
                NodeAddress(node.address, node.port), node.weight, version_from_text(node.version)
            )
            for node in settings.nodes
        }
        self._store = store
        self._missed = missed
        self._asked_at = 0.0
        """When this worker began what it waits for; it does one thing at a time."""
        self._tried: list[str] | None = None
        """Who was asked for the call that begins, whom it waits for included; None: it cannot go elsewhere."""
        self._waited = False
        """Whether a node was waited for in vain since this was last reset."""
        self.versions = {name: node.daemon_version for name, node in self._nodes.items()}
        self._gives_way = False
        deadline_s = settings.ng_deadline_ms / 1000
        self._clients, self._hasty = (
            {
                name: UdpClient(node.address, deadline_s=longest_s, give_up=partial(self._is_lost, name))
                for name, node in self._nodes.items()
            }
            for longest_s in (deadline_s, min(deadline_s, HASTY_S))
        )

    def choose(self, call_id: str, leave_out: Collection[str] = ()) -> str:
        """Return the node that takes a call; raise MediaUnavailable when none can."""
        views = self._others(leave_out)
        steady = [view for view in views if view.is_steady]
        candidates = [Candidate(self._nodes[view.node], view.calls) for view in steady or views]
        try:
            chosen = node_to_text(choose(call_id, candidates).address)
        except NgError as error:
            raise MediaUnavailable(str(error)) from error
        self._store.taken(chosen, time.time())
        major, minor = self.versions[chosen]
        log_event(logging.INFO, "media_node_chosen", call_id=call_id, node=chosen, daemon=f"{major}.{minor}")
        return chosen

    def version(self, node: str) -> Version:
        """Return that of its daemon; raise MediaUnavailable where a call still has a node that is no longer known."""
        found = self.versions.get(node)
        if found is None:
            raise _not_configured(node)
        return found

    def takes_calls(self, node: str) -> bool:
        """Whether a node that is configured may take a call."""
        return node in self._nodes and self._store.view([node], time.time())[0].takes_calls

    def on_one(
        self, call_id: str, node: str, attempt: Callable[[str], T], left_out: Collection[str] = ()
    ) -> T:
        """Let a node do something, "" for any; one that fails is not the last one that is asked.

        Who refuses does so at once, and is the one with the fewest calls: another one may have room all the same.
        """
        tried, failed, to_come = list(left_out), None, NODES_ASKED - 1
        while True:
            try:
                chosen = node or self.choose(call_id, tried)
            except MediaUnavailable as error:
                raise failed or error from error
            self._tried = [*tried, chosen] if to_come else None
            self._waited = False
            try:
                return attempt(chosen)
            except MediaUnavailable as error:
                note = {"call_id": call_id, "node": chosen, "detail": error.detail}
                log_event(logging.WARNING, "media_node_failed", **note)
                to_come -= self._waited
                if to_come < 0:
                    raise
                tried, failed, node = [*tried, chosen], error, ""
            finally:
                self._tried = None

    def run(self, node: str, sequence: Sequence[T]) -> T:
        """Let a node carry a sequence out; raise MediaUnavailable if it cannot or does not answer in time."""
        client = self._clients.get(node)
        if client is None:
            raise _not_configured(node)
        if not self._store.may_try(node, time.time()):
            raise MediaUnavailable(f"media relay {node} does not answer: known to be down")
        self._asked_at = time.time()
        self._gives_way = False
        began = time.perf_counter()
        try:
            result = run(sequence, NOTES.client(client))
        except (NgErrorReply, NgBadDatagram) as error:  # it answers
            METRICS.count(series.RELAY_FAILED, node, "refused")
            raise MediaUnavailable(f"media relay {node}: {error}") from error
        except NgError as error:
            METRICS.count(series.RELAY_FAILED, node, "silent")
            self._waited = True
            if not self._gives_way:
                self._store.missed(node, time.time())
                self._missed()
            raise MediaUnavailable(f"media relay {node} does not answer: {error}") from error
        self._store.answered(node)
        METRICS.observe(
            series.RELAY, time.perf_counter() - began, node, getattr(sequence, "__name__", "other")
        )
        return result

    def run_hastily(self, node: str, sequence: Sequence[T], now: float) -> T:
        """The same for who must not wait long; ``now`` is in seconds since the epoch."""
        client = self._hasty.get(node)
        if client is None or not self._store.is_prompt(node, now):
            raise MediaUnavailable(f"media relay {node} does not answer: not waited for")
        self._asked_at = now
        try:
            return run(sequence, client)
        except NgError as error:
            raise MediaUnavailable(f"media relay {node}: {error}") from error

    def check_prompt(self, node: str) -> None:
        """Raise MediaUnavailable where an answer is not to be expected at once."""
        if not self._store.is_prompt(node, time.time()):
            raise MediaUnavailable(f"media relay {node} does not answer: not waited for")

    def throw(self, node: str, commands: tuple[Command[Any], ...]) -> None:
        """Send commands that nobody waits for: the node hears of them when it wakes up."""
        if node in self._clients:
            self._clients[node].send_only(commands)

    def _is_lost(self, node: str) -> bool:
        """Whether waiting on makes no sense; asked only when no answer came at once.

        A call that begins need not wait for a node that is slow: it goes to one against which nothing is known.
        """
        now = time.time()
        if not self._store.usable(node, now, self._asked_at):
            return True
        if self._tried is None:
            return False
        self._store.waited_for(node, now)
        # It was slow, and no more: the calls it has go on asking it.
        self._gives_way = any(view.is_steady for view in self._others(self._tried))
        return self._gives_way

    def _others(self, leave_out: Collection[str]) -> list[NodeView]:
        """Return the other nodes, as far as new calls may go there."""
        others = [name for name in self._nodes if name not in leave_out]
        views = self._store.view(others, time.time())
        return [view for view in views if view.may_be_chosen(self._nodes[view.node].weight)]


def _not_configured(node: str) -> MediaUnavailable:
    return MediaUnavailable(f"media relay {node} is no longer configured")
