"""What both sides are offered when the media of a call move to another node: the session as it is, at other addresses.

Lines, payload types and directions stay as they were told last; a client gets another transport for each of its own
(RFC 8839 §4.4.1.1.1: an ICE restart; RFC 8842 §5.1: another certificate, so DTLS begins anew), the core other ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kemi.core.sdp.build import media_description, off_line, session_description, session_section
from kemi.core.sdp.interwork.ims import ims_line
from kemi.core.sdp.interwork.relay import only_line
from kemi.core.sdp.interwork.wic import living_groups, rejected_line
from kemi.core.sdp.model import Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_TRANSPORT: Final = frozenset(
    {"rtcp", "rtcp-mux", "ice-ufrag", "ice-pwd", "ice-options", "candidate", "end-of-candidates"}
    | {"setup", "fingerprint", "tls-id"}
)
_OF_THE_NODE: Final = ("a=rtcp:", "a=crypto:")
"""Of the core's line: the other node has another port for RTCP, and its own keys (RFC 4568)."""


def moved_client_offer(
    told: SessionDescription, transports: Mapping[int, str], origin: Origin
) -> SessionDescription:
    """Offer a client its lines again.

    Args:
        told: what the gateway described last to this client.
        transports: the relay's one-m-line text whose transport a line gets; a line that is missing is switched off.

    Raises:
        MediaUnavailable: a text of the relay has no port.
    """
    lines = []
    for place, media in enumerate(told.media):
        text = transports.get(place)
        lines.append(rejected_line(media) if media.rejected or text is None else _moved(media, text))
    attributes = ["a=ice-lite"] if told.session.flag("ice-lite") else []
    groups = living_groups(told.bundle_groups, lines)
    attributes += [f"a=group:BUNDLE {' '.join(group)}" for group in groups]
    return session_description(session_section(origin, *attributes), lines)


def moved_core_offer(
    told: SessionDescription,
    directions: Mapping[int, Direction],
    relay_answers: Mapping[int, str],
    origin: Origin,
) -> SessionDescription:
    """Offer the core its lines again.

    Args:
        directions: seen from us, for each place that is used; the others stay switched off, and so does what was.
        relay_answers: the relay's text for a place, which has its new address and port.

    Raises:
        MediaUnavailable: a text of the relay has no port.
    """
    lines = []
    for place, media in enumerate(told.media):
        if place not in directions or media.rejected:
            lines.append(off_line(media))
            continue
        source = only_line(sdp_from_text(relay_answers[place]))
        line = ims_line(media, source.port, media.proto, media.codecs, directions[place], source.connection)
        kept = (text for text in line.body if not text.startswith(_OF_THE_NODE))
        body = [*kept, *(text for text in source.body if text.startswith(_OF_THE_NODE))]
        lines.append(media_description(line.kind, line.port, line.proto, line.formats, body))
    return session_description(session_section(origin), lines)


def _moved(media: MediaDescription, text: str) -> MediaDescription:
    source = only_line(sdp_from_text(text))
    kept = [line for line in media.body if not line.startswith("c=") and not _is_transport(line)]
    given = [line for line in source.body if _is_transport(line)]
    # The role in DTLS is open in an offer (RFC 8842 §5.3).
    given = ["a=setup:actpass" if line.startswith("a=setup:") else line for line in given]
    body = [f"c={source.connection}", *kept, *given]
    return media_description(media.kind, source.port, media.proto, media.formats, body)


def _is_transport(line: str) -> bool:
    return line.startswith("a=") and line[2:].partition(":")[0] in _TRANSPORT
