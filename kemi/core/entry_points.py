"""Entry points of the home network (I-CSCFs): which one a request goes to first, and where it goes on when that fails.

TS 24.229 §5.2.2.1 wants another one tried, and 504 when none answers; RFC 3263 §4.3 says what a failure is: silence, a
transport that fails, or 503.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kemi.core.call.actions import ForwardInvite, SendRequest

UNAVAILABLE = 503
MAX_ENTRY_POINTS_S = 28
_HOST = re.compile(r"sip:(?:[^@;?]*@)?(\[[^\]]*\]|[^;?]*)")


@dataclass(slots=True)
class Attempt:
    """A request under way to an entry point."""

    uris: list[str]
    """The one it is at, then those that are left, best first."""
    invite: ForwardInvite | None = None
    """How an INVITE was changed: the next entry point gets the page's INVITE changed in the same way."""
    request: SendRequest | None = None
    """A request of our own, which is sent anew."""


def in_order(uris: Sequence[str], avoided_until: Mapping[str, float], now: float) -> list[str]:
    """Return all entry points in the order they are to be tried.

    Args:
        uris: the configured ones, best first.
        avoided_until: those that failed, and until when they come last; seconds since the epoch.
        now: seconds since the epoch.
    """
    waiting = {uri for uri in uris if avoided_until.get(uri, 0.0) > now}
    later = sorted(waiting, key=lambda uri: (avoided_until[uri], uris.index(uri)))
    return [uri for uri in uris if uri not in waiting] + later


def on_trial(uri: str, avoided_until: Mapping[str, float]) -> bool:
    """Whether a request to this entry point finds out if it is back: others keep away until it has."""
    return uri in avoided_until


def attempt_key(method: str, call_id: str, cseq: int) -> str:
    """Return what a request under way is remembered by."""
    return f"{method} {call_id} {cseq}"


def attempt_key_of(request: SendRequest) -> str:
    """Return the same for a request of our own."""
    fields = dict(line.split(": ", 1) for line in request.headers)
    return attempt_key(request.method, fields["Call-ID"], int(fields["CSeq"].split()[0]))


def check_entry_points(uris: Sequence[str], answer_s: float) -> None:
    """Raise ValueError, which names the key, unless these can be used; ``answer_s``: how long each is waited for."""
    if not uris or len(set(uris)) != len(uris):
        raise ValueError("icscf_uris: at least one entry point of the home network, each of them once")
    for uri in uris:
        found = _HOST.match(uri)
        if found is None:
            raise ValueError(f"icscf_uris: {uri!r} is not a sip: URI")
        if found[1].count(":") > 1:
            raise ValueError(f"icscf_uris: {uri!r}: the gateway speaks IPv4 with the core")
    if len(uris) * answer_s > MAX_ENTRY_POINTS_S:
        raise ValueError(
            f"timers.entry_point_s: {len(uris)} entry points must fail within {MAX_ENTRY_POINTS_S} s, "
            "before a page gives its REGISTER up (RFC 3261 timer F)"
        )
