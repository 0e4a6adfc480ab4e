"""The shape of a call's trace.  Times are seconds since the epoch; texts hold no token, password, key or digit."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class What(StrEnum):
    """What an entry tells of."""

    SIP = "sip"
    """A message that came or went."""
    STATE = "state"
    """An event that changed the call's states."""
    DECISION = "decision"
    """Something that was judged, and why: way, strategy of the media, codecs, refusal."""
    RELAY = "relay"
    """A command to the media relay and what came of it."""
    QUALITY = "quality"
    """What the relay counted of one medium, while the call runs."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One thing that happened.  Fields that do not belong to its kind are empty."""

    at: float
    what: What
    leg: str = ""
    """``page``, ``core``, or ``trunk:NAME``; of quality: ``wic`` or ``ims`` as the relay names its legs."""
    incoming: bool = False
    """SIP: came to us; otherwise we sent it."""
    name: str = ""
    """SIP: method of the request or status with reason (``183 Session Progress``); state: the event; decision: what was
    judged; relay: the ng command; quality: the medium."""
    why: str = ""
    """Decision: the reason in plain words; relay: the error."""
    values: dict[str, Any] = field(default_factory=dict)
    """Decision: what was chosen; state: the four states after it; relay: the ng dictionary without its SDP, ``ms`` it
    took; SIP: ``call_id``, ``cseq``; quality: figures of the call so far (rtpengine/quality.py, Leg), and ``recent``,
    what was heard since the entry before (rtpengine/recent.py, RecentLeg; None: nothing was told, no key: never)."""
    text: str = ""
    """SIP: the message, redacted; relay: the SDP that was given to it."""
    result: str = ""
    """Relay: the SDP that came of it."""


@dataclass(slots=True, kw_only=True)
class CallTrace:
    """A call with its entries in the order of their times.  Names are those of kemi/state/call_history.py."""

    key: str
    """``CallRecord.key``, its name at the relay."""
    call_id: str
    """SIP Call-ID of the page's leg."""
    impu: str
    peer: str
    direction: str
    """``from_page`` or ``to_page``."""
    node: str
    """The gateway node."""
    began_at: float
    answered_at: float = 0.0
    ended_at: float = 0.0
    """0.0: running."""
    by: str = ""
    why: str = ""
    status: int = 0
    relay: str = ""
    media: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Kind -> figures of both legs at the end (MediumQuality), or ``{"why": ...}``."""
    left_out: int = 0
    """Entries that were not kept because there were too many."""
    entries: list[Entry] = field(default_factory=list)
