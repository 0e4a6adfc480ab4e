"""Ladders of docs/flow.md, as the two ends record them: ``->`` is what the end sent, ``<-`` what it received."""

from __future__ import annotations

from typing import Final

from tests.peers.sip import SipRequest
from tests.peers.trace import Direction
from tests.peers.wic_call import WicCall

ANSWERED_EARLY: Final = ["-> INVITE (SDP)", "<- 100 INVITE", "<- 183 INVITE (SDP)"]
"""The page's offer and the gateway's answer."""
PRACKED: Final = ["-> PRACK", "<- 200 PRACK"]
UPDATED: Final = ["<- UPDATE (SDP)", "-> 200 UPDATE (SDP)"]
SET_UP: Final = [*ANSWERED_EARLY, *PRACKED, *UPDATED]
"""All that happens before the core hears of the call."""
ANSWERED: Final = ["<- 200 INVITE", "-> ACK"]
HUNG_UP: Final = ["-> BYE", "<- 200 BYE"]

CORE_CALLED: Final = ["<- INVITE (SDP)", "-> 100 INVITE"]
CORE_ANSWERED: Final = ["-> 200 INVITE (SDP)", "<- ACK"]
CORE_HUNG_UP: Final = ["<- BYE", "-> 200 BYE"]
CORE_CANCELLED: Final = ["<- CANCEL", "-> 200 CANCEL", "-> 487 INVITE", "<- ACK"]


def requests_received(call: WicCall) -> list[SipRequest]:
    """Return the gateway's requests of a call, in order."""
    messages = (e.message for e in call.trace.entries if e.direction is Direction.RECEIVED)
    return [m for m in messages if isinstance(m, SipRequest) and m.call_id == call.call_id]
