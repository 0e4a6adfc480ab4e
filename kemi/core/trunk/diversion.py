"""Diverted calls: what a trunk says of one becomes History-Info (RFC 7044), as RFC 7544 §4 has it, and what we know of
one becomes what a trunk reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kemi.core.identity import ANONYMOUS
from kemi.core.messages import Reply, addresses_from_headers, parameter, uri_from_address
from kemi.core.trunk.numbers import number_of, trunk_uri
from kemi.core.trunk.trunk import DiversionForm, Trunk
from kemi.core.trust import privacy_of

CAUSES: Final = {
    "unknown": 404, "user-busy": 486, "no-answer": 408, "unavailable": 503, "unconditional": 302, "time-of-day": 404,
    "do-not-disturb": 404, "deflection": 480, "follow-me": 404, "out-of-service": 404, "away": 404,
}  # fmt: skip
"""Reason of a diversion -> cause in the URI it went to (RFC 4458)."""
MOST: Final = 10
"""Diversions that are passed on; what is longer is a loop."""
_REASONS: Final = {
    302: "unconditional", 404: "unknown", 408: "no-answer", 480: "deflection", 486: "user-busy", 487: "deflection",
    503: "unavailable",
}  # fmt: skip
"""Cause in a URI -> reason of a diversion (RFC 7544 §4.2; 487 is deflection during alerting)."""
_CAUSE: Final = re.compile(r";cause=(\d{3})\b", re.IGNORECASE | re.ASCII)
_URI: Final = re.compile(r"(?:sips?|tel):[^\s<>\"?]+", re.IGNORECASE | re.ASCII)


def history_from_diversion(
    values: Sequence[str], target: str, rewritten: Callable[[str], str] = str
) -> tuple[str, ...]:
    """Return the History-Info line of a diverted call; () for none.

    Args:
        values: of Diversion, the latest diversion first.
        target: the Request-URI it came to at last.
        rewritten: returns a URI as the home network has it; default: as it came.
    """
    hops = [(rewritten(uri), reason, private) for uri, reason, private in _diversions(values)]
    return (f"History-Info: {_history(hops, target)}",) if hops else ()


def _diversions(values: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Return URI, reason and whether it is private of each diversion, the oldest first."""
    return [
        (uri, (parameter(one, "reason") or "").lower(), (parameter(one, "privacy") or "off").lower() != "off")
        for one in reversed(addresses_from_headers(list(values))[:MOST])
        if _URI.fullmatch(uri := uri_from_address(one))
    ]


def _history(hops: Iterable[tuple[str, str, bool]], target: str) -> str:
    """Return entries for URIs a call was for, each with why it left and whether it is private, the oldest first."""
    entries, index, cause = [], "1", 0
    for uri, reason, private in [*hops, (target, "", False)]:
        can_say = uri.lower().startswith("sip")  # no other URI has header fields
        shown = uri if can_say or not private else ANONYMOUS
        caused = f";cause={cause}" if cause else ""
        hidden = "?Privacy=history" if private else ""
        entries.append(f"<{shown}{caused}{hidden}>;index={index}")
        index += ".1"
        cause = CAUSES.get(reason.lower(), CAUSES["unknown"])
    return ", ".join(entries)


@dataclass(frozen=True, slots=True)
class Diversion:
    """Somebody a call was for before."""

    uri: str
    reason: str
    """A key of ``CAUSES``."""
    private: bool
    """Not to be known outside the network (RFC 7044 §10.1)."""


def diversions_of(reply: Reply, called: str, before: Sequence[Diversion] = ()) -> list[Diversion]:
    """Return whom a call was for that the core redirects, the oldest first.

    Args:
        reply: the 3xx; its History-Info or Diversion counts, where it has any.
        called: whom the call was for.
        before: whom it was for before that.
    """
    private = bool({"history", "id", "user", "header"} & privacy_of(reply.headers))
    cause = next((found for one in reply.headers("Contact") if (found := _cause(one))), 0)
    reason = _REASONS.get(cause, "deflection")
    entries = [
        (_CAUSE.sub("", uri), _cause(one), private or "privacy=" in one.lower())
        for one in addresses_from_headers(list(reply.headers("History-Info")))[:MOST]
        if _URI.fullmatch(uri := uri_from_address(one).partition("?")[0])
    ]
    said = _diversions(reply.headers("Diversion"))
    if said and not entries:
        return [
            Diversion(uri, why if why in CAUSES else "unknown", private or hidden)
            for uri, why, hidden in said
        ]
    if not entries:
        return [*before, Diversion(called, reason, private)][-MOST:]
    causes = [found for _, found, _ in entries[1:]]
    reasons = [*(_REASONS.get(one, "unknown") for one in causes), reason]
    return [Diversion(uri, why, hidden) for (uri, _, hidden), why in zip(entries, reasons, strict=True)]


def lines_for_trunk(diversions: Sequence[Diversion], trunk: Trunk, target: str) -> tuple[str, ...]:
    """Return what a trunk is told of a diverted call; ``target``: its Request-URI there.

    A trunk is outside the network: who is private is anonymous there.
    """
    if not diversions or trunk.diversion is DiversionForm.NONE:
        return ()
    hops = [
        (ANONYMOUS if one.private else _uri_at(one.uri, trunk), one.reason, one.private) for one in diversions
    ]
    if trunk.diversion is DiversionForm.HISTORY_INFO:
        return (f"History-Info: {_history(hops, target)}",)
    values = (
        f"<{uri}>;reason={reason};privacy={'full' if private else 'off'};counter=1"
        for uri, reason, private in reversed(hops)
    )
    return (f"Diversion: {', '.join(values)}",)


def _uri_at(uri: str, trunk: Trunk) -> str:
    number = number_of(f"<{uri}>")
    return trunk_uri(number, trunk) if number else uri


def _cause(address: str) -> int:
    """Return the cause in a URI (RFC 4458), 0 for none."""
    found = _CAUSE.search(uri_from_address(address))
    return int(found[1]) if found else 0
