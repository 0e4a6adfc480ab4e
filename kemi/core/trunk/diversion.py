"""A diverted call of a trunk: Diversion (RFC 5806) becomes History-Info (RFC 7044), as RFC 7544 §4 has it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kemi.core.messages import addresses_from_headers, parameter, uri_from_address

CAUSES: Final = {
    "unknown": 404, "user-busy": 486, "no-answer": 408, "unavailable": 503, "unconditional": 302, "time-of-day": 404,
    "do-not-disturb": 404, "deflection": 480, "follow-me": 404, "out-of-service": 404, "away": 404,
}  # fmt: skip
"""Reason of a diversion -> cause in the URI it went to (RFC 4458)."""
MOST: Final = 10
"""Diversions that are passed on; what is longer is a loop."""
_URI: Final = re.compile(r"(?:sips?|tel):[^\s<>\"?]+", re.IGNORECASE | re.ASCII)


def history_from_diversion(values: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the History-Info line of a diverted call; () for none.

    Args:
        values: of Diversion, the latest diversion first.
        target: the Request-URI it came to at last.
    """
    diversions = [
        (uri, parameter(one, "reason") or "", parameter(one, "privacy") or "")
        for one in reversed(addresses_from_headers(list(values))[:MOST])
        if _URI.fullmatch(uri := uri_from_address(one))
    ]
    if not diversions:
        return ()
    entries, index, cause = [], "1", 0
    for uri, reason, privacy in [*diversions, (target, "", "")]:
        caused = f";cause={cause}" if cause else ""
        hidden = "?Privacy=history" if privacy.lower() not in ("", "off") else ""
        entries.append(f"<{uri}{caused}{hidden}>;index={index}")
        index += ".1"
        cause = CAUSES.get(reason.lower(), CAUSES["unknown"])
    return (f"History-Info: {', '.join(entries)}",)
