"""A call towards a web client: the core's offer for the client, the client's answer for the core.

One two-way m-line for each kind, which every WebRTC client understands.  Two lines have a transport each and no BUNDLE
group: the relay has one session for each medium, and a browser that bundles would send its video to the audio's port.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError
from kemi.core.sdp.build import media_description, session_description, session_section
from kemi.core.sdp.codecs import IMS_AUDIO_CODECS, TELEPHONE_EVENT
from kemi.core.sdp.interwork.ims import ims_line
from kemi.core.sdp.interwork.relay import client_line, one_line_text, only_line
from kemi.core.sdp.interwork.wic import check_answer_line, check_credentials, rewritten_line
from kemi.core.sdp.model import Codec, Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_IMS_PROTOCOLS: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
_KEY_FRAMES: Final = ("nack pli", "ccm fir")
"""What a browser must be promised to ask for a key frame, and to send one when asked (RFC 4585, RFC 5104)."""


class CoreLine(NamedTuple):
    """An m-line of the core's offer that a client can be offered."""

    kind: str
    place: int
    """Which line of the offer it is."""
    direction: Direction
    sdp: str
    """The line alone, with the codecs the relay takes."""


class ClientLine(NamedTuple):
    """A client's answer to one line."""

    direction: Direction
    """Seen from the client; inactive when refused."""
    sdp: str | None
    """The line alone, ready for the relay; None when refused."""
    codec: str
    """Name of the codec the client prefers, lower case; "" when refused."""


def core_offer_media(offer: SessionDescription, video_codecs: Sequence[str]) -> tuple[CoreLine, ...]:
    """Choose the first usable line of each kind.

    Raises:
        NotAcceptableHere: there is none, or audio is offered and none of its lines can be used.
        RemoteProtocolError: a line has no address.
    """
    allowed = {
        "audio": IMS_AUDIO_CODECS,
        "video": frozenset(name.lower() for name in video_codecs),
    }
    chosen: dict[str, CoreLine] = {}
    reasons: dict[str, str] = {}
    for index, media in enumerate(offer.media):
        reason, codecs = _usable(media, allowed.get(media.kind))
        if reason:
            reasons.setdefault(media.kind, reason)
        elif media.kind not in chosen:
            if media.connection_address is None:
                raise RemoteProtocolError(f"The {media.kind} line has no c= line and the session has none")
            line = ims_line(media, media.port, media.proto, codecs, media.direction, media.connection)
            chosen[media.kind] = CoreLine(
                media.kind, index, media.direction, one_line_text(media.session, line)
            )
    if "audio" in reasons and "audio" not in chosen:
        raise NotAcceptableHere(f"The audio line {reasons['audio']}")
    if not chosen:
        kind, reason = next(iter(reasons.items()), ("", ""))
        raise NotAcceptableHere(f"The {kind} line {reason}" if kind else "The offer has no media line")
    return tuple(sorted(chosen.values(), key=lambda line: line.place))


def _usable(media: MediaDescription, allowed: frozenset[str] | None) -> tuple[str, list[Codec]]:
    """Return why not, as the end of a sentence, or "" with the codecs."""
    if allowed is None:
        return f"carries {media.kind}, which is neither audio nor video", []
    if media.port == 0:
        return "is switched off (port 0)", []
    if media.proto.upper() not in _IMS_PROTOCOLS:
        return f"uses {media.proto}, IMS media comes as RTP/AVP", []
    codecs = [codec for codec in media.codecs if codec.name in allowed or codec.name == TELEPHONE_EVENT]
    if all(codec.name == TELEPHONE_EVENT for codec in codecs):
        return f"offers none of the codecs {', '.join(sorted(allowed)).upper()}", []
    return "", codecs


def client_offer(
    lines: Sequence[CoreLine], relay_offers: Mapping[str, str], origin: Origin, *, max_bundle: bool = False
) -> SessionDescription:
    """Offer a client what the core offered: the relay's transport, one line for each kind.

    A single line stands in a BUNDLE group only where clients have the bundle policy max-bundle (``max_bundle``): they
    take no offer without, the others could add no video to such a call (kemi.core.sdp.judge.choose_transport).
    """
    media = []
    for mid, line in enumerate(lines):
        source = only_line(sdp_from_text(relay_offers[line.kind]))
        written = rewritten_line(source, source, mid=str(mid), direction=line.direction, setup="actpass")
        if line.kind == "video" and not any(codec.feedback for codec in source.codecs):
            feedback = [f"a=rtcp-fb:* {value}" for value in _KEY_FRAMES]
            body = (*written.body, *feedback)
            written = media_description(written.kind, written.port, written.proto, written.formats, body)
        media.append(written)
    groups = ("a=group:BUNDLE 0",) if max_bundle and len(media) == 1 else ()
    return session_description(session_section(origin, "a=ice-lite", *groups), media)


def client_answer_media(offer: SessionDescription, answer_text: str) -> dict[str, ClientLine]:
    """Take a client's answer apart, per kind.

    Raises:
        SdpSyntaxError: it is no description.
        RemoteProtocolError: it does not fit the offer (RFC 3264 §6).
        NotAcceptableHere: the client takes no line.
    """
    answer = sdp_from_text(answer_text)
    if len(answer.media) != len(offer.media):
        raise RemoteProtocolError(
            f"The answer has {len(answer.media)} media lines, the offer {len(offer.media)}"
        )
    found: dict[str, ClientLine] = {}
    for number, (offered, answered) in enumerate(zip(offer.media, answer.media, strict=True), start=1):
        check_answer_line(number, offered, answered)
        if answered.rejected:
            found[offered.kind] = ClientLine(Direction.INACTIVE, None, "")
            continue
        check_credentials(number, answered)
        codecs = answered.codecs
        main = next((codec.name for codec in codecs if codec.name != TELEPHONE_EVENT), "")
        if not main:
            raise RemoteProtocolError(f"Media line {number} is answered without a codec")
        line = client_line(answered, codecs, answered.direction, answered.setup or "active")
        found[offered.kind] = ClientLine(answered.direction, one_line_text(answer.session, line), main)
    if all(line.sdp is None for line in found.values()):
        raise NotAcceptableHere("The page refused every medium")
    return found


def core_answer(
    offer: SessionDescription,
    lines: Sequence[CoreLine],
    directions: Mapping[str, Direction],
    relay_answers: Mapping[str, str],
    origin: Origin,
) -> SessionDescription:
    """Answer the core: its m-lines in its order (RFC 3264 §6), port 0 where there is no answer of the relay."""
    sources = {
        line.place: only_line(sdp_from_text(relay_answers[line.kind]))
        for line in lines
        if line.kind in relay_answers
    }
    connection = next(source.connection for source in sources.values())
    media = []
    for index, offered in enumerate(offer.media):
        source = sources.get(index)
        if source is None:
            media.append(media_description(offered.kind, 0, offered.proto, offered.formats, ()))
            continue
        own = None if source.connection == connection else source.connection
        direction = directions[offered.kind]
        media.append(ims_line(source, source.port, offered.proto, source.codecs, direction, own))
    return session_description(session_section(origin, connection=connection), media)
