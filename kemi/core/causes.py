"""What a refusal on one side means on the other, as tables; and what a Reason says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

REFUSED_UPDATE: Final[Mapping[int, tuple[int, str]]] = MappingProxyType(
    {
        # the page will not take the line we need: the session is not acceptable to it
        415: (488, "Not Acceptable Here"),
        488: (488, "Not Acceptable Here"),
        606: (488, "Not Acceptable Here"),
        # it never answered: to the caller this is a time-out of the call
        408: (504, "Server Time-out"),
        # it stayed busy with another exchange although we waited and tried again
        491: (500, "Session Update Refused"),
        500: (500, "Session Update Refused"),
        # it does not know the dialog (any more)
        481: (481, "Call/Transaction Does Not Exist"),
    }
)
"""Page's final response to our UPDATE -> final response to its INVITE."""


def invite_status_after_refused_update(status: int) -> tuple[int, str]:
    """Return status and reason phrase for the INVITE whose page answered our UPDATE with ``status``."""
    if status in REFUSED_UPDATE:
        return REFUSED_UPDATE[status]
    return (488, "Not Acceptable Here") if status < 500 or status >= 600 else (500, "Session Update Refused")


_ELSEWHERE = re.compile(r"\s*SIP\s*;(?:.*;)?\s*cause\s*=\s*200\s*(?:;.*)?", re.IGNORECASE)


def answered_elsewhere(reasons: Iterable[str]) -> bool:
    """Whether the Reason values of a CANCEL say that another device has answered the call (RFC 3326 §2, §3.1)."""
    return any(_ELSEWHERE.fullmatch(value) for reason in reasons for value in reason.split(","))
