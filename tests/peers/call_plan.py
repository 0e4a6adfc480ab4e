"""What a scripted page does by itself during a call, and where a test steps in.

Knows the steps of an outgoing call and the ways to depart from them, as values. Must not know
how a call is carried out: that is `wic_call`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from tests.peers.websocket import Loss

if TYPE_CHECKING:
    from tests.peers.wic_call import WicCall

FINAL: Final = range(200, 700)
SUCCESS: Final = range(200, 300)


class Step(Enum):
    """Points of an outgoing call where a test can step in, in the order they are reached."""

    INVITE_SENT = auto()
    RELIABLE_RECEIVED = auto()
    """A reliable 18x came; the PRACK has not been sent."""
    PRACK_SENT = auto()
    UPDATE_RECEIVED = auto()
    """The gateway's offer came; it has not been answered."""
    UPDATE_ANSWERED = auto()
    RINGING_RECEIVED = auto()
    ANSWER_RECEIVED = auto()
    """2xx to the INVITE came; the ACK has not been sent."""
    ACK_SENT = auto()


class Go(Enum):
    """Whether the page does what it would have done after a step."""

    ON = auto()
    NO_FURTHER = auto()


Hook = Callable[["WicCall"], Awaitable[Go]]


async def cancel_instead(call: WicCall) -> Go:
    """Send CANCEL and leave out what the page would have sent."""
    await call.cancel()
    return Go.NO_FURTHER


async def cancel_and_go_on(call: WicCall) -> Go:
    """Send CANCEL, then do what the page would have done."""
    await call.cancel()
    return Go.ON


async def hang_up_instead(call: WicCall) -> Go:
    """Send BYE (legal in an early dialog for the caller, RFC 3261 §15) and nothing more."""
    await call.send(call.request("BYE"))
    return Go.NO_FURTHER


async def reset_socket(call: WicCall) -> Go:
    """Lose the WebSocket with a TCP RST."""
    call.line.lose(Loss.RESET)
    return Go.NO_FURTHER


async def drop_socket(call: WicCall) -> Go:
    """Lose the WebSocket with a TCP FIN and no close frame."""
    call.line.lose(Loss.FIN)
    return Go.NO_FURTHER


async def fall_silent(call: WicCall) -> Go:
    """Keep the socket and say nothing at this step."""
    return Go.NO_FURTHER


@dataclass(frozen=True)
class OfferReply:
    """How the page answers the gateway's UPDATE or re-INVITE with SDP."""

    status: int | None = 200
    """None: no response at all."""
    sdp: str | None = None
    """A fixed answer; None: the answer of the call's media."""
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0


ANSWERED: Final = OfferReply()
IGNORED: Final = OfferReply(None)


def refused(status: int, *headers: tuple[str, str]) -> OfferReply:
    """Return a reply that refuses the offer, as 488, 491 or 500 with Retry-After."""
    return OfferReply(status, headers=headers)


@dataclass(frozen=True)
class CallPlan:
    """What the page does on its own; everything else is up to the test."""

    trying: bool = True
    """Whether an incoming INVITE gets its 100."""
    prack: bool = True
    ack: bool = True
    offer_replies: Sequence[OfferReply] = (ANSWERED,)
    """One per offer of the gateway; the last repeats."""
    hooks: Mapping[Step, Hook] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Method → status for other in-dialog requests; 200 unless given."""
