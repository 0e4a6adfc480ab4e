"""What IMS is told and what it says: one m-line per kind, plain RTP.

Knows MMTel media (TS 26.114 §6.2) and takes the relay's IMS-side texts apart by list, so that nothing of
ICE, DTLS or BUNDLE reaches the core network (TS 23.228 §U.1.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

from kemi.core.errors import (
    LocalProtocolError,
    MediaUnavailable,
    NotAcceptableHere,
    RemoteProtocolError,
    WarnCode,
)
from kemi.core.sdp.bandwidth import audio_lines, packet_lines, video_lines
from kemi.core.sdp.build import codec_to_lines, media_description, session_description, session_section
from kemi.core.sdp.codecs import AUXILIARY, in_order
from kemi.core.sdp.interwork.keys import usable_keys
from kemi.core.sdp.interwork.orientation import orientation_lines
from kemi.core.sdp.interwork.relay import one_line_text, only_line
from kemi.core.sdp.interwork.video import bandwidth_kbps, passing_video, promising_key_frames
from kemi.core.sdp.judge import Judgement
from kemi.core.sdp.model import (
    UNSPECIFIED,
    Codec,
    Direction,
    MediaDescription,
    Origin,
    SessionDescription,
    is_packet_length,
)
from kemi.core.sdp.text import sdp_from_text

_KEPT_ATTRIBUTES: Final = ("rtcp", "ptime", "maxptime")
_IN_CLEAR: Final = ("RTP/AVP", "RTP/AVPF")


class ImsMedium(NamedTuple):
    """One m-line of an IMS answer."""

    sdp: str | None
    """The line alone, for the relay, as one for both directions; None when the peer rejected it."""
    direction: Direction
    """Seen from the IMS peer; inactive when rejected."""
    codec: str | None
    """Name of the codec the peer prefers, lower case."""
    why: str = ""
    """Why it counts as rejected although the peer has not."""
    is_missing: bool = False
    """Whether the answer ends before this line, which says the same as port 0 to those that leave out what they refuse
    (RFC 3264 §6 wants the line)."""


MISSING: Final = ImsMedium(None, Direction.INACTIVE, None, is_missing=True)


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


def ims_answer_media(
    answer_text: str, kinds_offered: Sequence[str], offer_text: str = ""
) -> dict[str, ImsMedium]:
    """Take an IMS answer apart, per kind offered and in that order; ``offer_text`` is what we offered, if known.

    Raises:
        SdpSyntaxError: it is no description. RemoteProtocolError: it has other m-lines than the first ones offered
        (RFC 3264 §6), or one lacks address, codec or a key where keys were offered. NotAcceptableHere: its audio has
        no codec of the offer.
    """
    if len(set(kinds_offered)) < len(kinds_offered):
        raise LocalProtocolError("IMS is offered one m-line per kind")
    answer = sdp_from_text(answer_text)
    check_kinds(answer, kinds_offered)
    offer = sdp_from_text(offer_text).media if offer_text else (None,) * len(answer.media)
    found = {
        media.kind: ims_medium(media, offered) for media, offered in zip(answer.media, offer, strict=False)
    }
    return {kind: found.get(kind, MISSING) for kind in kinds_offered}


def check_kinds(answer: SessionDescription, offered: Sequence[str]) -> None:
    """Raise RemoteProtocolError where an answer has other lines than the first ones of these kinds."""
    kinds = [media.kind for media in answer.media]
    if not kinds or kinds != list(offered[: len(kinds)]):
        raise RemoteProtocolError(
            f"The answer describes {' and '.join(kinds) or 'nothing'}, not {' and '.join(offered)}"
        )


def ims_medium(media: MediaDescription, offered: MediaDescription | None = None) -> ImsMedium:
    """Read one m-line of the core's; raise RemoteProtocolError when it lacks address or codec, has another protocol
    than was ``offered``, or no key where keys were; NotAcceptableHere when it is audio and has no codec that was, under
    whichever payload type."""
    refused_by_us = offered is not None and offered.port == 0
    if media.port == 0 or refused_by_us:
        return ImsMedium(None, Direction.INACTIVE, None)
    if offered is not None:
        _check_protocol(media, offered)
    connection = far_connection(media)
    if offered is not None:
        check_family(media, offered.address_family)
    codecs = media.codecs
    main = next((codec for codec in codecs if codec.name not in AUXILIARY), None)
    if main is None:
        raise RemoteProtocolError(f"The {media.kind} line names no codec")
    if offered is not None and media.kind == "video":
        codecs = tuple(passing_video(codecs, offered))
        passing = next((codec for codec in codecs if codec.name not in AUXILIARY), None)
        if passing is None:
            why = f"{main.encoding} as payload type {main.payload_type}, which our offer has not"
            return ImsMedium(None, Direction.INACTIVE, None, f"video is answered with {why}")
        main = passing
    if offered is not None and media.kind == "audio":
        known = {(codec.name, codec.clock_rate) for codec in offered.codecs if codec.name not in AUXILIARY}
        if known.isdisjoint((codec.name, codec.clock_rate) for codec in codecs):
            raise NotAcceptableHere(
                f"The far end answers with {main.encoding}, which was not offered",
                warn_code=WarnCode.INCOMPATIBLE_FORMAT,
            )
        # RFC 3264 §6.1 lets it name more, which nobody has to send.
        codecs = tuple(
            codec for codec in codecs if codec.name in AUXILIARY or (codec.name, codec.clock_rate) in known
        )
        main = next(codec for codec in codecs if codec.name not in AUXILIARY)
    direction = media.direction
    line = ims_line(media, media.port, media.proto, codecs, Direction.SENDRECV, connection)
    if media.connection_address in UNSPECIFIED:
        # Hold as RFC 2543 had it: the peer takes nothing (RFC 3264 §8.4).
        direction = Direction.of(sends=direction.sends, receives=False)
    return ImsMedium(one_line_text(media.session, promising_key_frames(line)), direction, main.name)


def far_connection(media: MediaDescription) -> str:
    """Return what c= says for a line of the core, as the relay reads it: one blank between words, capitals, no TTL.

    Raises:
        SdpSyntaxError: it has not three words.
        RemoteProtocolError: there is none.
        NotAcceptableHere: it has a name (RFC 8866 §5.7), which the relay does not look up, or what is no address of one
            host.
    """
    if media.connection is None:
        raise RemoteProtocolError(f"The {media.kind} line has no c= line and the session has none")
    address = media.connection_address or ""
    network, family, _ = media.connection.upper().split()
    try:
        found = ip_address(address)
    except ValueError:
        found = None
    if (
        found is None
        or "%" in address
        or found.is_multicast
        or (network, family) != ("IN", f"IP{found.version}")
    ):
        raise NotAcceptableHere(
            f"The {media.kind} line has c={media.connection}, which is no address that the media relay sends to",
            warn_code=WarnCode.INCOMPATIBLE_ADDRESSES,
        )
    return f"IN {family} {address}"


def check_family(media: MediaDescription, ours: str) -> None:
    """Raise NotAcceptableHere where a line of the core has another address family than the relay's (``ours``; "": not
    known).  The relay would take it, and send to a stranger."""
    theirs = media.address_family
    if theirs and ours and theirs != ours:
        raise NotAcceptableHere(
            f"The {media.kind} line has an {theirs} address, the media relay an {ours} address",
            warn_code=WarnCode.INCOMPATIBLE_ADDRESSES,
        )


def _check_protocol(media: MediaDescription, offered: MediaDescription) -> None:
    """Raise RemoteProtocolError where an answer has a protocol that was not offered (RFC 3264 §6; in clear, RTP/AVPF is
    as good as RTP/AVP), or keys were and are not answered (RFC 4568 §5.1.3): nothing goes on in clear that was to be
    encrypted."""
    keyed = "SAVP" in offered.proto.upper()
    if media.proto.upper() not in ((offered.proto.upper(),) if keyed else _IN_CLEAR):
        raise RemoteProtocolError(
            f"The {media.kind} line answers {offered.proto} with {media.proto}, which was not offered"
        )
    known = {tuple(value.upper().split()[:2]) for value in offered.attributes("crypto")}
    if keyed and known.isdisjoint(tuple(value.upper().split()[:2]) for value in usable_keys(media)):
        raise RemoteProtocolError(f"The {media.kind} line has no key of a suite that was offered")


def ims_line(
    source: MediaDescription,
    port: int,
    proto: str,
    codecs: Sequence[Codec],
    direction: Direction,
    connection: str | None,
) -> MediaDescription:
    """Write an m-line of the core's side with the addresses and times of ``source``."""
    head = [] if connection is None else [f"c={connection}"]
    bandwidth = [f"b={value}" for value in source.values("b")]
    keys = usable_keys(source)
    body = [*head, *bandwidth, *_attributes(source, codecs, keys), f"a={direction}"]
    return media_description(source.kind, port, proto, [codec.payload_type for codec in codecs], body)


def core_line(
    source: MediaDescription,
    port: int,
    proto: str,
    codecs: Sequence[Codec],
    direction: Direction,
    connection: str | None,
) -> MediaDescription:
    """Write an m-line for the core, which is told the bandwidth, and of audio the packet lengths (TS 26.114 §6.2).

    Of the relay's keys it has the first alone: in a running call that in use, and the relay forgets the others before
    they could be answered (rtpengine/legs.py).
    """
    head = [] if connection is None else [f"c={connection}"]
    bandwidth = [f"b={value}" for value in source.values("b")]
    packets: list[str] = []
    if source.kind == "audio":
        bandwidth = audio_lines(source, codecs, source.connection)
        packets = packet_lines(source, codecs)
    elif source.kind == "video":
        bandwidth = video_lines(source, bandwidth_kbps(codecs))
    keys = usable_keys(source)[:1]
    body = [*head, *bandwidth, *_attributes(source, codecs, keys), *packets, f"a={direction}"]
    return media_description(source.kind, port, proto, [codec.payload_type for codec in codecs], body)


def _attributes(source: MediaDescription, codecs: Iterable[Codec], keys: Iterable[str]) -> list[str]:
    is_video = source.kind == "video"
    lines: list[str] = []
    for codec in codecs:
        lines += codec_to_lines(codec, feedback=is_video)
    kept = ((name, value) for name in _KEPT_ATTRIBUTES for value in source.attributes(name))
    lines += [f"a={name}:{value}" for name, value in kept if name == "rtcp" or is_packet_length(value)]
    if "SAVP" in source.proto.upper():
        lines += [f"a=crypto:{value}" for value in keys]
    if is_video:
        lines += orientation_lines(source)
    return lines


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
