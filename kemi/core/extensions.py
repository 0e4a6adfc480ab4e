"""Which extensions a call may require (RFC 3261 §8.2.2.3, §16.3): a call ends and begins here, so that what nobody here
knows is refused here, on both sides and in every request of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from kemi.core.errors import RemoteProtocolError, SipReject
from kemi.core.messages import Request, Side

OURS: Final = frozenset({"100rel", "timer", "precondition"})
"""What the steps of a call decide on: it is kept, or refused there, for each side by itself."""
END_TO_END: Final = frozenset(
    {
        # who takes part, and who is sent where (RFC 3891, RFC 3911, RFC 4538, RFC 4488, RFC 7614)
        "replaces", "join", "tdialog", "norefersub", "nosub", "explicitsub",
        # lists of recipients (RFC 5363 to RFC 5367) and of resources (RFC 4662)
        "recipient-list-invite", "recipient-list-message", "recipient-list-subscribe", "eventlist",
        # who somebody is and was (RFC 4916, RFC 7044, RFC 3323)
        "from-change", "histinfo", "privacy",
        # how somebody is reached (RFC 5626, RFC 5627, RFC 3327, RFC 3840)
        "outbound", "gruu", "path", "pref",
        # what else is between the two ends (RFC 4412, RFC 5373, RFC 6442, RFC 7433, RFC 6228)
        "resource-priority", "answermode", "geolocation-sip", "geolocation-http", "uui", "199",
    }
)  # fmt: skip
"""What only the two ends have to know.  ``early-session`` is not among them: its media would run past the relay;
nor ``multiple-refer`` (RFC 5368): its Refer-To names a part of the body, not whom."""
OF_PROXIES: Final = {Side.WIC: frozenset[str](), Side.IMS: frozenset({"privacy"})}
"""Proxy-Require that is met, by the side that asks: what the network withholds no page sees (kemi/core/trust.py)."""
NEVER_REFUSED: Final = frozenset({"ACK", "CANCEL"})
_OPTION_TAG = re.compile(r"[\w.!%*+`'~-]+", re.ASCII)


def check_proxy_require(request: Request, *further: str) -> None:
    """Raise SipReject (420) for what a node on the way is required to do and we do not; ``further``: also refused."""
    if request.method not in NEVER_REFUSED:
        refuse({*(request.tokens("Proxy-Require") - OF_PROXIES[request.side]), *further})


def unknown_extensions(request: Request) -> set[str]:
    """Return what a request of a call requires that nobody here knows."""
    if request.method in NEVER_REFUSED:
        return set()
    return request.tokens("Require") - OURS - END_TO_END


def refuse(extensions: Iterable[str]) -> None:
    """Raise SipReject (420) that names extensions, if there are any; RemoteProtocolError (400) for no option tag."""
    names = sorted(extensions)
    if not all(map(_OPTION_TAG.fullmatch, names)):
        raise RemoteProtocolError("an option tag is not a token (RFC 3261 §25.1)")
    if names:
        raise SipReject(
            "this gateway has no such extension: " + ", ".join(names),
            status=420,
            reason_phrase="Bad Extension",
            lines=("Unsupported: " + ", ".join(names),),
        )
