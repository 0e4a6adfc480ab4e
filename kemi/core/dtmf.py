"""DTMF in INFO requests: what pages and devices write, and what we write.

Three forms are read:

    application/dtmf-relay              Signal=5, Duration=160 on lines of their own: SIP.js, JsSIP, Cisco and others;
                                        also inside the package infoDtmf (draft-kaplan-dispatch-info-dtmf-package)
    application/dtmf                    the digit alone
    application/session-info            SubsequentDigit: 123, the package infoDtmf of TS 24.229 §7.12.2

A signal is 0-9, A-D, * or #, or the number of an event (RFC 4733 §3.2): 10 for *, 11 for #, 12 to 15 for A to D.
A flash (16) is no digit: nobody can play it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from kemi.core.errors import RemoteProtocolError

PACKAGE: Final = "infodtmf"
"""In lower case; Info-Package and Recv-Info name it ``infoDtmf`` (TS 24.229 §7.12.2)."""
RELAY: Final = "application/dtmf-relay"
PLAIN: Final = "application/dtmf"
SESSION_INFO: Final = "application/session-info"
TYPES: Final = (RELAY, PLAIN, SESSION_INFO)

DIGITS: Final = "0123456789*#ABCD"
"""In the order of their events (RFC 4733 §3.2)."""
DEFAULT_MS: Final = 160
"""Of a key press that does not say how long it is."""
LEAST_MS: Final = 40
MOST_MS: Final = 5000
MOST_DIGITS: Final = 32
"""In one request."""

_DIGIT = re.compile(r"[0-9A-D*#]")
_EVENT = re.compile(r"1[0-5]")
_LINE = re.compile(r"([\w-]+)[ \t]*[=:][ \t]*(.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyPresses:
    """Digits, each pressed for so long."""

    digits: str = field(repr=False)
    duration_ms: int = DEFAULT_MS


def key_presses_from_body(content_type: str, body: str) -> KeyPresses:
    """Read the body of an INFO whose type is one of TYPES; raise RemoteProtocolError (400) for what is none.

    Durations outside LEAST_MS to MOST_MS are brought inside.
    """
    kind = type_of(content_type)
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    if kind in (RELAY, PLAIN) and len(lines) == 1 and "=" not in lines[0] and ":" not in lines[0]:
        return KeyPresses(_digit(lines[0]))
    fields = _fields(lines)
    if kind == SESSION_INFO:
        return KeyPresses(_dialled(fields.get("subsequentdigit", "")))
    if "signal" not in fields:
        raise RemoteProtocolError("the INFO has no Signal")
    return KeyPresses(_digit(fields["signal"]), _duration(fields.get("duration", "")))


def type_of(content_type: str) -> str:
    """Return a media type without its parameters; what some call application/x-session-info is the same."""
    kind = content_type.partition(";")[0].strip().lower()
    return SESSION_INFO if kind == "application/x-session-info" else kind


def key_press_to_body(content_type: str, digit: str, duration_ms: int) -> str:
    """Write one key press."""
    if content_type == SESSION_INFO:
        return f"SubsequentDigit: {digit}\r\n"
    return f"Signal={digit}\r\nDuration={duration_ms}\r\n"


def duration_of_event(reported_ms: int, clock_hz: int) -> int:
    """Return how long an event lasted of which rtpengine reports a duration.

    It multiplies by whole microseconds for each unit of the clock (1000000 / 48000 = 20.83 becomes 20).
    """
    whole_us = 1_000_000 // clock_hz
    return round(reported_ms * 1_000_000 / clock_hz / whole_us)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("a line of the INFO is not name and value")
        name = match.group(1).lower()
        if name in fields:
            raise RemoteProtocolError("the INFO says something twice")
        fields[name] = match.group(2).strip()
    return fields


def _digit(text: str) -> str:
    signal = text.strip().strip("\"'").upper()
    if _EVENT.fullmatch(signal):
        return DIGITS[int(signal)]
    if not _DIGIT.fullmatch(signal):
        raise RemoteProtocolError("the signal is no DTMF digit")
    return signal


def _dialled(text: str) -> str:
    digits = re.sub(r"[-.() ]", "", text).upper()  # visual separators (RFC 3966 §5.1.1)
    if not digits or len(digits) > MOST_DIGITS or not re.fullmatch(r"[0-9A-D*#]+", digits):
        raise RemoteProtocolError("SubsequentDigit is no DTMF digits")
    return digits


def _duration(text: str) -> int:
    if not text:
        return DEFAULT_MS
    match = re.fullmatch(r"([0-9]{1,9})(?:\.[0-9]*)?(?:[ \t]*ms)?", text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise RemoteProtocolError("the duration is no number")
    return max(LEAST_MS, min(MOST_MS, int(match.group(1))))
