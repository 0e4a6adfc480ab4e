"""Causes of ISDN (ITU-T Q.850) and responses of SIP: two tables that are not each other's inverse.

Of a response that comes without a cause, a telephone network has to be told one; and of a cause that comes alone (a
trunk that ends a call by BYE, or answers with a code of its own) a page has to be told a response.  A cause that was
received counts more than any table (RFC 6432 §4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from kemi.core.errors import RemoteProtocolError

SIP_OF_CAUSE: Final[Mapping[int, int]] = {
    1: 404, 2: 404, 3: 404, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 23: 410, 26: 404, 27: 502, 28: 484,
    29: 501, 31: 480, 34: 503, 38: 503, 41: 503, 42: 503, 47: 503, 55: 403, 57: 403, 58: 503, 65: 488, 70: 488,
    79: 501, 87: 403, 88: 503, 102: 504, 111: 500, 127: 500,
}  # fmt: skip
"""RFC 3398 §7.2.4.1."""
CAUSE_OF_SIP: Final[Mapping[int, int]] = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127, 414: 127,
    415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25, 484: 28, 485: 1, 486: 17,
    500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127, 580: 47, 600: 17, 603: 21, 604: 1,
}  # fmt: skip
"""RFC 3398 §8.2.6.1; 488 and 606 are told from their Warning."""
_INTERWORKING: Final = 127
_BEARER_NOT_AVAILABLE: Final = 58
_NOT_COMPATIBLE: Final = frozenset(range(300, 400))
_UNKNOWN_REJECTION: Final = 31
"""Normal, unspecified."""
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"?')
"""The end may be missing, so that the search does not begin again at each escaped quotation mark."""
_CAUSE: Final = re.compile(r"cause\s*=\s*([0-9]{1,3})", re.IGNORECASE)
_WARNING: Final = re.compile(r"\s*([0-9]{3})\s")


def cause_from_reasons(values: Sequence[str]) -> int | None:
    """Return the cause that Reason header fields name (RFC 3326); None: none, or none that makes sense."""
    for reason in _QUOTED.sub("", ",".join(values)).split(","):
        protocol, *parameters = (part.strip() for part in reason.split(";"))
        if protocol.lower() == "q.850":
            causes = [int(found.group(1)) for part in parameters if (found := _CAUSE.fullmatch(part))]
            if causes and 0 < causes[0] <= _INTERWORKING:
                return causes[0]
    return None


def cause_of_response(status: int, warnings: Sequence[str] = ()) -> int:
    """Return the cause that a telephone network is told for a final response; ``warnings``: values of Warning.

    Raise RemoteProtocolError for a status that ends nothing.
    """
    if not 300 <= status < 700:
        raise RemoteProtocolError(f"{status} ends no call")
    if status in (488, 606):
        codes = [int(found.group(1)) for value in warnings if (found := _WARNING.match(value))]
        return _BEARER_NOT_AVAILABLE if _NOT_COMPATIBLE.intersection(codes) else _UNKNOWN_REJECTION
    known = CAUSE_OF_SIP.get(status)
    return known if known is not None else _UNKNOWN_REJECTION


def response_of_cause(cause: int) -> int:
    """Return the response that a page is told for a cause; unknown ones count as their class (Q.850 §2.2.5)."""
    known = SIP_OF_CAUSE.get(cause)
    if known is not None:
        return known
    return {0: 404, 1: 480, 2: 503, 3: 503, 4: 488, 5: 501, 6: 500, 7: 500}[min(cause, _INTERWORKING) >> 4]


def reason_line(cause: int, text: str = "") -> str:
    """Write a Reason header field."""
    return f"Reason: Q.850;cause={cause}" + (f';text="{text}"' if text else "")
