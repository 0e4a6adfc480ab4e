"""Media sessions of the relay, by what a step knows of them."""

from __future__ import annotations

from dataclasses import replace

from kemi.core.call import actions as act
from kemi.core.sdp.interwork import with_events_of_its_clock, without_events
from rtpengine.sessions import MediaSession, WicTransport


def running(call_id: str, transport: str, kind: str, wic_line: str) -> MediaSession:
    """Return a session of a running call, which has no transport of its own choosing where the core called."""
    return MediaSession(call_id, kind, wic_line, WicTransport(transport or WicTransport.SHARED))


def answering(session: MediaSession) -> MediaSession:
    """Return it with the page's line as it answers IMS."""
    return replace(session, wic_offer=with_events_of_its_clock(session.wic_offer))


def taking(medium: act.MediumChange) -> act.MediumChange:
    """Write the page's lines as answers, in which it stays the DTLS client (RFC 8842 §5.5)."""

    def as_answer(line: str) -> str:
        return line.replace("a=setup:actpass", "a=setup:active")

    reverse_line = None if medium.reverse_line is None else without_events(as_answer(medium.reverse_line))
    return replace(medium, wic_line=as_answer(medium.wic_line), reverse_line=reverse_line)


def named(call_id: str, kind: str) -> MediaSession:
    """Return a session whose relay call is all that matters, or that the core offered."""
    return MediaSession(call_id, kind, "", WicTransport.SHARED)
