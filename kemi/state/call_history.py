"""A call that is over, as Redis keeps it for a while: written by the gateway, read by the web API."""

from __future__ import annotations

from typing import Any, Final

import msgspec

ELSEWHERE: Final = "answered elsewhere"
"""Why a page's call ended that another device has answered."""
SILENT_S: Final = 3.0
"""A call this long in which a leg sent no sound is asked about."""


class FinishedCall(msgspec.Struct, kw_only=True):
    """Times are in seconds since the epoch.  ``media``: kind -> the figures of both legs (rtpengine/quality.py:
    MediumQuality), or ``{"why": ...}`` where there are none; nothing of media that were off and have none."""

    id: str
    """Names this record; later calls have later ids."""
    key: str
    """The name the call had (``CallRecord.key``), also at the relay."""
    call_id: str
    """Its SIP Call-ID."""
    impu: str
    """Public identity of the page."""
    peer: str
    direction: str
    """``from_page`` or ``to_page``."""
    began_at: float
    answered_at: float
    """0.0: never."""
    ended_at: float
    duration_s: float
    """From the answer on."""
    by: str
    """Who ended it: ``page``, ``core`` or ``gateway``."""
    why: str
    status: int
    """SIP status of a call that was not answered, else 0."""
    relay: str
    """The rtpengine node, "" where no media was reserved."""
    node: str
    """The gateway node."""
    trunk: str = ""
    """The trunk it left by."""
    media: dict[str, dict[str, Any]]


def has_failed(call: FinishedCall) -> bool:
    """Whether nobody talked, or the gateway had to end it.

    Who gives up, a device that rang beside the one that answered, and a command to end a call are no failure; the
    console counts by the same rule (webapp_api/console/causes.ts).
    """
    if call.why.startswith("ended by"):
        return False
    if call.answered_at:
        return call.by == "gateway"
    return call.status != 487 and call.why not in ("CANCEL", ELSEWHERE)


def is_asked_about(call: FinishedCall) -> bool:
    """Whether a call is one that is asked about: one that failed, or in which somebody was not heard."""
    audio = call.media.get("audio", {})  # who has no camera sends no video
    legs = (audio.get("wic"), audio.get("ims"))
    is_silent = any(leg is not None and not leg.get("packets") for leg in legs)
    return has_failed(call) or (call.duration_s >= SILENT_S and is_silent)


def finished_from_text(text: str) -> FinishedCall:
    """Return the record; raise msgspec.DecodeError (also for one that lacks something)."""
    return msgspec.json.decode(text, type=FinishedCall)
