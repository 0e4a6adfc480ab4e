"""What IMS is told and what it says: one m-line per kind, plain RTP.

Knows MMTel media (TS 26.114 §6.2) and takes the relay's IMS-side texts apart by list, so that nothing of
ICE, DTLS or BUNDLE reaches the core network (TS 23.228 §U.1.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kemi.core.errors import LocalProtocolError, MediaUnavailable, RemoteProtocolError
from kemi.core.sdp.bandwidth import audio_lines, packet_lines
from kemi.core.sdp.build import codec_to_lines, media_description, session_description, session_section
from kemi.core.sdp.codecs import AUXILIARY, in_order
from kemi.core.sdp.interwork.orientation import orientation_lines
from kemi.core.sdp.interwork.relay import one_line_text, only_line
from kemi.core.sdp.interwork.video import bandwidth_kbps, promising_key_frames
from kemi.core.sdp.judge import Judgement
from kemi.core.sdp.model import Codec, Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_KEPT_ATTRIBUTES: Final = ("a=rtcp:", "a=ptime:", "a=maxptime:")
_UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  an address in SDP, nothing binds to it


class ImsMedium(NamedTuple):
    """One m-line of an IMS answer."""

    sdp: str | None
    """The line alone, ready for the relay; None when the peer rejected it."""
    direction: Direction
    """Seen from the IMS peer; inactive when rejected."""
    codec: str | None
    """Name of the codec the peer prefers, lower case."""


def ims_offer(
    judgement: Judgement, relay_offers: Mapping[str, str], origin: Origin, audio_codecs: Sequence[str] = ()
) -> SessionDescription:
    """Offer IMS one m-line per kind, in the order of the web offer.

    Args:
        relay_offers: the relay's reply to ``offer`` per kind; a kind that is missing is not offered.
        audio_codecs: encoding names, best first; what is not named follows in the relay's order.
    """
    sources = [
        (medium, only_line(sdp_from_text(relay_offers[medium.kind])))
        for medium in judgement.media
        if medium.kind in relay_offers
    ]
    if not sources:
        raise MediaUnavailable("The relay offered no medium")
    connection = sources[0][1].connection
    session = session_section(origin, connection=connection)
    lines = []
    for medium, source in sources:
        codecs = ordered_codecs(source, audio_codecs)
        own_connection = None if source.connection == connection else source.connection
        lines.append(
            core_line(source, source.port, source.proto, codecs, medium.ims_direction, own_connection)
        )
    return session_description(session, lines)


def ims_answer_media(answer_text: str, kinds_offered: Sequence[str]) -> dict[str, ImsMedium]:
    """Take an IMS answer apart, per kind offered and in that order.

    Raises:
        SdpSyntaxError: it is no description. RemoteProtocolError: it has other m-lines than were offered
        (RFC 3264 §6), or one lacks address or codec.
    """
    if len(set(kinds_offered)) < len(kinds_offered):
        raise LocalProtocolError("IMS is offered one m-line per kind")
    answer = sdp_from_text(answer_text)
    kinds = [media.kind for media in answer.media]
    if kinds != list(kinds_offered):
        raise RemoteProtocolError(
            f"The answer describes {' and '.join(kinds) or 'nothing'}, not {' and '.join(kinds_offered)}"
        )
    return {media.kind: ims_medium(media) for media in answer.media}


def ims_medium(media: MediaDescription) -> ImsMedium:
    """Read one m-line of the core's; raise RemoteProtocolError when it lacks address or codec."""
    if media.port == 0:
        return ImsMedium(None, Direction.INACTIVE, None)
    address = media.connection_address
    if address is None:
        raise RemoteProtocolError(f"The {media.kind} line has no c= line and the session has none")
    codecs = media.codecs
    main = next((codec for codec in codecs if codec.name not in AUXILIARY), None)
    if main is None:
        raise RemoteProtocolError(f"The {media.kind} line names no codec")
    direction = media.direction
    line = ims_line(media, media.port, media.proto, codecs, direction, media.connection)
    if address in _UNSPECIFIED:
        # Hold as RFC 2543 had it: the peer takes nothing (RFC 3264 §8.4).
        direction = Direction.of(sends=direction.sends, receives=False)
    return ImsMedium(one_line_text(media.session, promising_key_frames(line)), direction, main.name)


def ims_line(
    source: MediaDescription,
    port: int,
    proto: str,
    codecs: Sequence[Codec],
    direction: Direction,
    connection: str | None,
) -> MediaDescription:
    """Write an m-line of the core's side with the addresses and times of ``source``."""
    formats = [codec.payload_type for codec in codecs]
    return media_description(source.kind, port, proto, formats, _body(source, codecs, direction, connection))


def core_line(
    source: MediaDescription,
    port: int,
    proto: str,
    codecs: Sequence[Codec],
    direction: Direction,
    connection: str | None,
) -> MediaDescription:
    """Write an m-line for the core, which is told the bandwidth, and of audio the packet lengths (TS 26.114 §6.2)."""
    line = ims_line(source, port, proto, codecs, direction, connection)
    head = [] if connection is None else [f"c={connection}"]
    if line.kind == "audio":
        rest = [text for text in line.body[len(head) : -1] if not text.startswith("b=")]
        body = [*head, *audio_lines(source, codecs, source.connection), *rest]
        body += [*packet_lines(source, codecs), line.body[-1]]
    elif line.kind != "video" or any(text.startswith("b=AS:") for text in line.body):
        return line
    else:
        body = [*head, f"b=AS:{bandwidth_kbps(codecs)}", *line.body[len(head) :]]
    return media_description(line.kind, port, proto, line.formats, body)


def _body(
    source: MediaDescription, codecs: Iterable[Codec], direction: Direction, connection: str | None
) -> list[str]:
    body = [] if connection is None else [f"c={connection}"]
    body += [f"b={value}" for value in source.values("b")]
    for codec in codecs:
        body += codec_to_lines(codec, feedback=source.kind == "video")
    kept = _KEPT_ATTRIBUTES if "SAVP" not in source.proto.upper() else (*_KEPT_ATTRIBUTES, "a=crypto:")
    body += [line for line in source.lines if line.startswith(kept)]
    if source.kind == "video":
        body += orientation_lines(source)
    body.append(f"a={direction}")
    return body


def ordered_codecs(source: MediaDescription, audio_codecs: Sequence[str]) -> Sequence[Codec]:
    """Put the relay's audio codecs in the operator's order, then the telephone-events that fit one (RFC 4733 §2.1)."""
    codecs = source.codecs
    if source.kind == "audio":
        speech = in_order([codec for codec in codecs if codec.name not in AUXILIARY], audio_codecs)
        rates = {codec.clock_rate for codec in speech}
        events = (codec for codec in codecs if codec.name in AUXILIARY and codec.clock_rate in rates)
        codecs = (*speech, *events) if speech else ()
    if not codecs:
        raise MediaUnavailable(f"The relay offers no {source.kind} codec to IMS")
    return codecs
