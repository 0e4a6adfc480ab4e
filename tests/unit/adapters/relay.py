"""The media relay as the gateway sees it, without ng: gives ports, or fails when told to."""

from __future__ import annotations

import time

from kemi.core.call import actions as act
from kemi.core.call.events import (
    AnsweredAhead,
    ImsReoffered,
    IncomingConnected,
    IncomingReserved,
    MediaConnected,
    MediaGated,
    MediaRenewed,
    MediaReserved,
    Renewed,
    Reserved,
    ReverseAccepted,
)
from kemi.core.errors import GatewayError
from kemi.state.nodes import NodeReport, NodeStore
from rtpengine.ng.statistics import RawStatistics
from tests.unit.core.call import descriptions as sdp


class ScriptedRelay:
    """Stands where kemi.adapters.relay.media.MediaRelay stands."""

    def __init__(self) -> None:
        self.asked: list[act.Action] = []
        self.fails: dict[str, Exception] = {}
        """Method -> what it raises."""

    def _ask(self, name: str, action: act.Action) -> None:
        self.asked.append(action)
        if name in self.fails:
            raise self.fails[name]

    def fail(self, name: str, error: GatewayError | RuntimeError) -> None:
        """Make a method raise."""
        getattr(self, name)  # a misspelt one is an error
        self.fails[name] = error

    def choose_node(self, _call_id: str) -> str:
        """Return the one node."""
        if "choose_node" in self.fails:
            raise self.fails["choose_node"]
        return "192.0.2.9:2223"

    def reserve(self, action: act.ReserveMedia) -> MediaReserved:
        """Give ports for every medium."""
        self._ask("reserve", action)
        given = {m.kind: Reserved(sdp.relay_offer(m.kind), sdp.relay_answer(m.kind)) for m in action.media}
        return MediaReserved(given, action.context)

    def accept_reverse(self, action: act.AcceptReverse) -> ReverseAccepted:
        """Take the page's answers."""
        self._ask("accept_reverse", action)
        return ReverseAccepted(action.bearer)

    def connect(self, action: act.ConnectMedia) -> MediaConnected:
        """Take the far end's answer."""
        self._ask("connect", action)
        return MediaConnected(action.reply, action.bearer)

    def reserve_incoming(self, action: act.ReserveIncoming) -> IncomingReserved:
        """Give ports for every medium of the core's offer."""
        self._ask("reserve_incoming", action)
        offers = {kind: sdp.relay_reverse_offer(kind) for kind in action.media}
        return IncomingReserved(offers, action.edits, action.bearer)

    def answer_ahead(self, action: act.AnswerAhead) -> AnsweredAhead:
        """Give ports and answer, for every medium of the core's offer."""
        self._ask("answer_ahead", action)
        answers = {kind: sdp.relay_offer(kind) for kind in action.media}
        offers = {kind: sdp.relay_reverse_offer(kind) for kind in action.media}
        return AnsweredAhead(answers, offers, action.bearer, action.node)

    def connect_incoming(self, action: act.ConnectIncoming) -> IncomingConnected:
        """Take the page's answer."""
        self._ask("connect_incoming", action)
        answers = {kind: sdp.relay_offer(kind) for kind in action.media}
        return IncomingConnected(answers, action.reply, action.bearer)

    def renew(self, action: act.RenewMedia) -> MediaRenewed:
        """Take what both sides said last."""
        self._ask("renew", action)
        given = {m.kind: Renewed(sdp.relay_offer(m.kind), sdp.relay_answer(m.kind)) for m in action.media}
        return MediaRenewed(given, action.bearer)

    def reoffer_from_ims(self, action: act.ReofferFromIms) -> ImsReoffered:
        """Take the core's new offer."""
        self._ask("reoffer_from_ims", action)
        return ImsReoffered({m.kind: sdp.relay_offer(m.kind) for m in action.media}, action.bearer)

    def gate(self, action: act.GateMedia) -> MediaGated:
        """Open and close."""
        self._ask("gate", action)
        return MediaGated(action.bearer)

    def release(self, action: act.ReleaseMedia) -> dict[str, RawStatistics | str]:
        """Take the ports back."""
        self._ask("release", action)
        return dict.fromkeys(action.kinds, "a scripted relay counts nothing")


def heard_of(store: NodeStore, node: str) -> None:
    """Let the media agent say that a node answers."""
    store.report([NodeReport(node, "up", 0, silent_s=-0.001)], time.time())
