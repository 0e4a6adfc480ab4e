"""RTP/AVPF towards the core, for feedback on video (RFC 4585), without asking anybody for more than it knows.

TS 26.114 §6.2.3 has video offered as RTP/AVPF by capability negotiation (RFC 5939): the m-line says RTP/AVP, which
every device takes, and names RTP/AVPF as what is liked better; who understands that answers RTP/AVPF.  What is agreed
holds for later offers.
"""

from __future__ import annotations

from typing import Final

from kemi.core.sdp.build import media_description, session_description
from kemi.core.sdp.model import MediaDescription, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

_PLAIN: Final = "RTP/AVP"
_WITH_FEEDBACK: Final = "RTP/AVPF"
_NEGOTIATION: Final = ("a=tcap:", "a=pcfg:", "a=acfg:")
_LIKED_BETTER: Final = (f"a=tcap:1 {_WITH_FEEDBACK}", "a=pcfg:1 t=1")
_FIR: Final = "ccm fir"
_TMMBR: Final = "ccm tmmbr"
"""How much the far end wants to be sent (RFC 5104 §4.2.1).  Browsers obey it without naming it: Chromium 156 and
Firefox ESR 153 answer with TMMBN."""


def offering_feedback(offer: SessionDescription) -> SessionDescription:
    """Write an offer for the core so that video may be answered as RTP/AVPF, and be asked to send less."""
    media = [_offering(line) if line.kind == "video" and line.port else line for line in offer.media]
    return session_description(offer.session, media)


def _offering(line: MediaDescription) -> MediaDescription:
    if line.proto not in (_PLAIN, _WITH_FEEDBACK):
        return line
    body = [text for text in line.body if not text.startswith(_NEGOTIATION)]
    if not any(text.endswith(f" {_TMMBR}") for text in body):
        asked = [text for text in body if text.startswith("a=rtcp-fb:") and text.endswith(f" {_FIR}")]
        for text in asked:
            body.insert(body.index(text) + 1, text.replace(_FIR, _TMMBR))
    if line.proto == _PLAIN:
        body += _LIKED_BETTER
    return media_description(line.kind, line.port, line.proto, line.formats, body)


def agreed(ours: str, answer: str) -> str:
    """Return our offer with the protocols that the core has answered; the same text where it says nothing new."""
    if _WITH_FEEDBACK not in answer and _WITH_FEEDBACK not in ours:
        return ours
    offer = sdp_from_text(ours)
    answered = sdp_from_text(answer).media
    media = [
        _answered(line, answered[place].proto) if place < len(answered) and answered[place].port else line
        for place, line in enumerate(offer.media)
    ]
    return sdp_to_text(session_description(offer.session, media))


def _answered(line: MediaDescription, proto: str) -> MediaDescription:
    if (
        line.kind != "video"
        or proto not in (_PLAIN, _WITH_FEEDBACK)
        or line.proto not in (_PLAIN, _WITH_FEEDBACK)
    ):
        return line
    body = [text for text in line.body if not text.startswith(_NEGOTIATION)]
    return media_description(line.kind, line.port, proto, line.formats, body)


def chosen_protocol(offered: MediaDescription) -> tuple[str, tuple[str, ...]]:
    """Return the protocol of our answer to a line of the core, with the line that says so (RFC 5939 §3.6.2)."""
    if offered.kind == "video" and offered.proto == _PLAIN:
        capabilities = _transport_capabilities(offered)
        for value in offered.attributes("pcfg"):
            number, *rest = value.split()[:3] or [""]
            if len(rest) != 1 or not rest[0].startswith("t="):
                continue  # it wants more than another protocol
            for name in rest[0][2:].split("|"):
                if capabilities.get(name) == _WITH_FEEDBACK:
                    return _WITH_FEEDBACK, (f"a=acfg:{number} t={name}",)
    return offered.proto, ()


def _transport_capabilities(offered: MediaDescription) -> dict[str, str]:
    """Return protocol by number: the first of a line has the number, the others follow (RFC 5939 §3.4.2)."""
    found: dict[str, str] = {}
    for section in (offered.session, offered):
        for value in section.attributes("tcap"):
            first, *protocols = value.split() or [""]
            if first.isascii() and first.isdigit() and len(first) < 6:
                found |= {str(int(first) + place): name for place, name in enumerate(protocols)}
    return found


def answered_as(line: MediaDescription, offered: MediaDescription) -> MediaDescription:
    """Write a line of our answer with the protocol that the core likes better."""
    proto, lines = chosen_protocol(offered)
    if proto == line.proto and not lines:
        return line
    return media_description(line.kind, line.port, proto, line.formats, [*line.body, *lines])
