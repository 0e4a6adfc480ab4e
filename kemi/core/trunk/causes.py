"""Why a call ends, told in both languages: by the tables of q850.py where one side has said it in its own alone.

What was received counts more than any table (RFC 6432 §4) and passes as it came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kemi.core.trunk.q850 import (
    CAUSE_OF_SIP,
    cause_from_reasons,
    cause_of_response,
    reason_line,
    response_of_cause,
)

NORMAL: Final = 16
"""Somebody hung up."""
_REGISTERED: Final = frozenset(
    {
        *CAUSE_OF_SIP, 412, 417, 422, 424, 425, 428, 429, 430, 433, 436, 437, 438, 439, 440, 469, 470, 487, 488, 489,
        491, 493, 494, 555, 606, 607, 608,
    }
)  # fmt: skip
"""Refusals that mean something to everybody: SIP's (IANA, Response Codes)."""
_SIP_REASON: Final = re.compile(r"(?:^|,)\s*SIP\s*;[^,]*?\bcause\s*=\s*([1-6][0-9]{2})\b", re.IGNORECASE)


def status_from_reasons(values: Sequence[str]) -> int | None:
    """Return the status that Reason header fields name (RFC 3326), None for none."""
    found = _SIP_REASON.search(",".join(values))
    return int(found.group(1)) if found else None


def of_response(status: int, reasons: Sequence[str], warnings: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the Reason line that a final response lacks."""
    if status < 300 or cause_from_reasons(reasons) is not None:
        return ()
    return (reason_line(cause_of_response(status, warnings)),)


def status_for_page(status: int, reasons: Sequence[str]) -> int:
    """Return the status a page is told for a trunk's: of a code of the trunk's own only the cause says something."""
    cause = cause_from_reasons(reasons)
    return status if cause is None or status in _REGISTERED else response_of_cause(cause)


def for_trunk(reasons: Sequence[str]) -> tuple[str, ...]:
    """Return the Reason line that a BYE or CANCEL towards a trunk lacks."""
    if cause_from_reasons(reasons) is not None:
        return ()
    status = status_from_reasons(reasons)
    return (reason_line(NORMAL if status is None or status < 300 else cause_of_response(status)),)


def for_page(reasons: Sequence[str]) -> tuple[str, ...]:
    """Return the Reason line that a trunk's BYE lacks for a page; nothing for somebody who just hung up."""
    cause, status = cause_from_reasons(reasons), status_from_reasons(reasons)
    if cause is None and status is not None and status >= 300:
        return (reason_line(cause_of_response(status)),)
    if cause is None or cause == NORMAL or status is not None:
        return ()
    return (f"Reason: SIP;cause={response_of_cause(cause)}",)
