"""What of a call goes into which series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kemi.core.call.events import Due
from kemi.core.call.history import GATEWAY
from kemi.core.registration.states import Cause

ANSWERED, CANCELLED, REFUSED, FAILED = "answered", "cancelled", "refused", "failed"
OTHER: Final = "other"

CAUSES: Final = {
    # beginning of why a call ended (kemi/core/call/history.py) -> label
    "BYE": "hung up",
    "CANCEL": "cancelled",
    "answered elsewhere": "answered elsewhere",
    "refused": "refused",
    "no answer": "no answer",
    "nobody answered": "no answer",
    Due.ANSWER_TIMEOUT.value: "no answer",
    "the IMS core does not answer": "no response",
    "no trunk answers": "no response",
    "the trunk does not take our credentials": "credentials",
    "the trunk redirects": "redirected",
    "connection lost": "connection lost",
    "the WebSocket closed": "connection lost",
    Due.FLOW_RECOVERY.value: "connection lost",  # the page did not come back
    "longer than a call may be": "too long",
    "ended by": "ended by command",
    "media relay": "media relay",
    "no media": "media lost",
    "the media": "media lost",
    "no common codec": "no common codec",
    "not taken up again": "restart",
    "the far end did not refresh": "session timer",
    "the page did not refresh": "session timer",
    "the far end answered our refresh": "session timer",
    "our refreshes were refused": "session timer",
    "the far end has lost the session": "session lost",
    "the page does not know the call": "session lost",
    "the page did not follow an ICE restart": "connection lost",
    "the page did not follow": "media relay",  # to another node
    "the far end did not follow": "media relay",
    "the call could not be moved": "media relay",
    "the page does not answer": "media relay",  # its call was to be moved
    "no PRACK": "no PRACK",
    "the caller's resources": "preconditions",
    Due.PRECONDITIONS.value: "preconditions",
    "registration": "registration ended",  # while it was being set up
    **{cause.value: "registration ended" for cause in Cause if cause is not Cause.REMOVED},
}
"""The reasons of calls are sentences, with names and numbers in some: a label is one of these, or ``other``."""


_NO_FAULTS: Final = frozenset({"no answer", "redirected", "ended by command", "registration ended"})
"""Causes by which we end a call that nothing is wrong with."""


def result(*, answered: bool, by: str, status: int, why: str) -> str:
    """Return what became of a call in one word.

    A 408 or 480 that somebody else says is no failure: stock clients decline with 480 (JsSIP, SIP.js), and a core says
    them of a callee who does not pick up, or is not registered.
    """
    if answered:
        return ANSWERED
    if why in ("CANCEL", "answered elsewhere") or status == 487:
        return CANCELLED
    if 500 <= status < 600 or (by == GATEWAY and cause(why) not in _NO_FAULTS):
        return FAILED
    return REFUSED


def cause(why: str) -> str:
    """Return the label for a reason."""
    return next((label for begin, label in CAUSES.items() if why.startswith(begin)), OTHER)


def codec(leg: Mapping[str, Any] | None) -> str:
    """Return the codec of a leg as a label: the daemon's own names are few, but a party chose among them."""
    name = str((leg or {}).get("codec") or "none").partition("/")[0].lower()
    return name if name in _CODECS else OTHER


_CODECS: Final = frozenset(
    {"none", "opus", "g722", "pcma", "pcmu", "amr", "amr-wb", "evs", "g729", "vp8", "h264"}
)
