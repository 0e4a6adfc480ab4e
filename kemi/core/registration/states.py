"""The life of a binding, as a table, and what its end means.

A binding is an address of record registered by one instance of a page (RFC 5626 §3.3); it outlives the page's
connections.  ``ENDINGS`` says what each way to end does to the page's calls, its connection and the core.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class BindingState(enum.StrEnum):
    """Where a binding stands."""

    REGISTERED = "registered"  #: the page is on a connection
    AWAY = "away"  #: its connection is gone; it may come back and go on (RFC 5626 §4.5)
    ABANDONED = (
        "abandoned"  #: it did not come back; only the core's time runs out, which we cannot end for it
    )
    TERMINATED = "terminated"


class BindingEvent(enum.StrEnum):
    """What moves a binding."""

    GRANTED = "granted"
    FLOW_LOST = "flow lost"
    GRACE_OVER = "grace over"
    DEREGISTERED = "deregistered"
    EXPIRED = "expired"
    NETWORK_ENDED = "ended by the network"
    LOGGED_OUT = "logged out"


_ENDS: Final = {
    BindingEvent.DEREGISTERED: BindingState.TERMINATED,
    BindingEvent.EXPIRED: BindingState.TERMINATED,
    BindingEvent.NETWORK_ENDED: BindingState.TERMINATED,
    BindingEvent.LOGGED_OUT: BindingState.TERMINATED,
}

BINDING: Final[Mapping[BindingState, Mapping[BindingEvent, BindingState]]] = MappingProxyType(
    {
        BindingState.REGISTERED: {
            BindingEvent.GRANTED: BindingState.REGISTERED,
            BindingEvent.FLOW_LOST: BindingState.AWAY,
            **_ENDS,
        },
        BindingState.AWAY: {
            BindingEvent.GRANTED: BindingState.REGISTERED,
            BindingEvent.FLOW_LOST: BindingState.AWAY,  # a restart of the gateway: the time begins anew
            BindingEvent.GRACE_OVER: BindingState.ABANDONED,
            **_ENDS,
        },
        BindingState.ABANDONED: {
            BindingEvent.GRANTED: BindingState.REGISTERED,
            BindingEvent.FLOW_LOST: BindingState.AWAY,
            **_ENDS,
        },
        BindingState.TERMINATED: {},
    }
)


class Cause(enum.StrEnum):
    """Why a binding ended."""

    DEREGISTERED = "deregistered"
    EXPIRED = "expired"
    GRANT_ENDED = "access token ended"  #: before the core's own time
    LEFT = "left"  #: the page lost its connection and stayed away
    MOVED = "moved"  #: the page is registered at another gateway of the site now
    LOGGED_OUT = "logged out"
    REMOVED = "ended by an operator"
    # what the core reports (RFC 3680 §5.1, event of a contact)
    REJECTED = "rejected"
    DEACTIVATED = "deactivated"
    PROBATION = "probation"
    UNREGISTERED = "unregistered"
    CORE_EXPIRED = "expired at the core"


@dataclass(frozen=True, slots=True)
class Ending:
    """What follows from an end; the page's calls are released in every case (TS 24.229 §5.2.8.1).

    The calls of a registration that is no more would run without anybody whom the core can charge, reach or stop, so
    nothing of them is kept; TS 24.229 §5.1.1.6 has the page end them itself before it signs off.
    """

    event: BindingEvent
    on_behalf: bool = False
    """De-register at the core for the page, where we vouched for it (token; TS 24.371 §6)."""
    close: tuple[int, str] | None = None
    """WebSocket close code and reason; None leaves the connection, which may register anew (or is idle soon)."""


GONE: Final = 4404
REJECTED: Final = 4403
LOGGED_OUT: Final = 4401
REPLACED: Final = (4409, "this page is registered over another connection now")
RENEW: Final = (1012, "the registration must be renewed now")
# Not 1012, after which pages spread their return over seconds: these are sent away one after the other anyway.
LEAVING: Final = (1000, "this gateway is going out of service: please connect again")
IDLE: Final = (1008, "no registration in time")
CORE_FAILED: Final = (1013, "the network does not answer: please try again later")

ENDINGS: Final[Mapping[Cause, Ending]] = MappingProxyType(
    {
        # The connection stays: a page that missed its refresh, or signs in as somebody else, needs no new handshake.
        Cause.DEREGISTERED: Ending(BindingEvent.DEREGISTERED),
        Cause.EXPIRED: Ending(BindingEvent.EXPIRED),
        # The core still sends this user's calls down this connection, which must not become somebody else's.  The page
        # is not logged out: it may just have got no answer from a silent core to the refresh that had its next token.
        Cause.GRANT_ENDED: Ending(
            BindingEvent.EXPIRED,
            on_behalf=True,
            close=(1012, "the access token ended: please bring a new one"),
        ),
        Cause.LEFT: Ending(BindingEvent.DEREGISTERED, on_behalf=True),
        Cause.MOVED: Ending(BindingEvent.DEREGISTERED),
        Cause.LOGGED_OUT: Ending(
            BindingEvent.LOGGED_OUT, on_behalf=True, close=(LOGGED_OUT, "the web session was logged out")
        ),
        # The page may sign in anew: who is to stay away, loses the account or its session.
        Cause.REMOVED: Ending(
            BindingEvent.LOGGED_OUT, on_behalf=True, close=(REJECTED, "an operator ended the registration")
        ),
        Cause.REJECTED: Ending(
            BindingEvent.NETWORK_ENDED, close=(REJECTED, "the network ended the registration")
        ),
        # RFC 3680 §5.1: deactivated means register again at once, probation after a while
        Cause.DEACTIVATED: Ending(
            BindingEvent.NETWORK_ENDED, close=(1012, "the network asks to register again")
        ),
        Cause.PROBATION: Ending(
            BindingEvent.NETWORK_ENDED, close=(1013, "the network asks to register again later")
        ),
        Cause.UNREGISTERED: Ending(BindingEvent.NETWORK_ENDED, close=(GONE, "the registration is gone")),
        Cause.CORE_EXPIRED: Ending(BindingEvent.NETWORK_ENDED, close=(GONE, "the registration is gone")),
    }
)
