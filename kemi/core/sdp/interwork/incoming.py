"""A call towards a web client: the core's offer for the client, the client's answer for the core.

One two-way m-line for each kind, which every WebRTC client understands, with a transport each and no BUNDLE group: the
relay has one session for each medium, and a browser that bundles would send its video to the audio's port.

A client that registered for one-way streams gets two lines for each kind, always both and in this order, with one
transport and a BUNDLE group of their own: ``0`` on which the client sends, ``r0`` on which we send, then ``1`` and
``r1``.  A line for which there is no stream is inactive and keeps its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError, WarnCode
from kemi.core.sdp.build import codec_to_lines, media_description, session_description, session_section
from kemi.core.sdp.checks import Usability
from kemi.core.sdp.codecs import (
    AUXILIARY,
    IMS_AUDIO_CODECS,
    PASSING_AUDIO,
    TELEPHONE_EVENT,
    WIC_AUDIO_CODECS,
    OnlyThese,
    in_order,
    is_unread,
    passing_and_others,
)
from kemi.core.sdp.interwork.avpf import answered_as, chosen_protocol
from kemi.core.sdp.interwork.ims import core_line, far_connection, ims_line
from kemi.core.sdp.interwork.keys import usable_keys
from kemi.core.sdp.interwork.orientation import answering
from kemi.core.sdp.interwork.payload_types import numbered_apart
from kemi.core.sdp.interwork.relay import client_line, comparable, one_line_text, only_line
from kemi.core.sdp.interwork.video import promising_key_frames
from kemi.core.sdp.interwork.wic import check_answer_line, check_credentials, rewritten_line
from kemi.core.sdp.judge import WicTransport
from kemi.core.sdp.model import Codec, Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_IMS_PROTOCOLS: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
_KEYED_PROTOCOLS: Final = frozenset({"RTP/SAVP", "RTP/SAVPF"})
"""With keys in SDP (RFC 4568)."""


class CoreLine(NamedTuple):
    """An m-line of the core's offer that a client can be offered."""

    kind: str
    place: int
    """Which line of the offer it is."""
    direction: Direction
    sdp: str
    """The line alone, as one for both directions, with the codecs the relay takes.  What only passes (EVS) comes last:
    the relay leaves it out where it can transcode others, but does not give its payload type to another."""


class ClientLine(NamedTuple):
    """A client's answer to one line."""

    direction: Direction
    """Seen from the client; inactive when refused."""
    sdp: str | None
    """The line alone, for the relay, as one for both directions; None when refused."""
    codec: str
    """Name of the codec the client prefers, lower case; "" when refused."""


def core_offer_media(
    offer: SessionDescription, video_codecs: Sequence[str], audio_codecs: Sequence[str] = ()
) -> tuple[CoreLine, ...]:
    """Choose the first usable line of each kind; audio codecs in the operator's order (``audio_codecs``).

    Raises:
        NotAcceptableHere: there is none, or audio is offered (not switched off) and none of its lines can be used.
        RemoteProtocolError: a line has no address.
    """
    allowed = relayed_names(video_codecs, audio_codecs, passing=True)
    chosen: dict[str, CoreLine] = {}
    unusable: dict[str, Usability] = {}
    wanted = {media.kind for media in offer.media if media.port}
    for index, media in enumerate(offer.media):
        found = usable_core_line(media, allowed.get(media.kind), audio_codecs)
        if found.reason:
            if media.port or media.kind not in wanted:
                unusable.setdefault(media.kind, found)
        elif media.kind not in chosen:
            chosen[media.kind] = _core_line(media, index, found.codecs)
    lacks_audio = "audio" in wanted and "audio" not in chosen
    missing = ["audio"] if lacks_audio else [] if chosen else list(unusable)
    if missing:
        why = unusable[missing[0]]
        raise NotAcceptableHere(f"The {missing[0]} line {why.reason}", warn_code=why.warn_code)
    if not chosen:
        raise NotAcceptableHere("The offer has no media line")
    return tuple(sorted(chosen.values(), key=lambda line: line.place))


def _core_line(media: MediaDescription, place: int, codecs: Sequence[Codec]) -> CoreLine:
    proto, _ = chosen_protocol(media)
    passing, others = passing_and_others(codecs)
    if all(codec.name in AUXILIARY for codec in others):
        codecs = passing or others
    else:
        codecs = (*others, *(codec for codec in passing if codec not in others))
    line = ims_line(media, media.port, proto, codecs, Direction.SENDRECV, far_connection(media))
    text = one_line_text(media.session, promising_key_frames(line))
    return CoreLine(media.kind, place, media.direction, text)


def spoken_line(line: str, codec: str = "") -> str:
    """Leave out of a line of the core what is not spoken when the client speaks ``codec``, lower case: what only passes
    (EVS), or all else; "" as if that passed only where nothing else is there."""
    description = sdp_from_text(line)
    media = description.media[0]
    passing, others = passing_and_others(media.codecs)
    if not passing:
        return line
    is_alone = all(codec.name in AUXILIARY for codec in others)
    kept = passing if is_alone or codec in PASSING_AUDIO else others
    if len(kept) == len(media.codecs):
        return line
    said = ims_line(media, media.port, media.proto, kept, media.direction, media.connection)
    return one_line_text(description.session, said)


def answered_line(line: str, answer: MediaDescription) -> str:
    """Leave out of an audio line of the core codecs that our answer to it lacks: nobody speaks them (RFC 3264 §6.1).

    rtpengine that hears of them again, as what the core answers, is ready to transcode, and gives what passes untouched
    another source (SSRC) until the next change.  Chromium has no sound for scripts of a source that comes back.
    """
    description = sdp_from_text(line)
    media = description.media[0]
    known = {comparable(codec.encoding) for codec in answer.codecs}
    kept = [codec for codec in media.codecs if comparable(codec.encoding) in known]
    if media.kind != "audio" or answer.rejected or not kept or len(kept) == len(media.codecs):
        return line
    said = ims_line(media, media.port, media.proto, kept, media.direction, media.connection)
    return one_line_text(description.session, said)


def relayed_names(
    video_codecs: Sequence[str], audio_codecs: Sequence[str] = (), *, passing: bool = False
) -> Mapping[str, frozenset[str]]:
    """Return the codecs of the core that the relay takes, by kind, lower case; with what only passes, if wanted."""
    audio = IMS_AUDIO_CODECS | PASSING_AUDIO if passing else IMS_AUDIO_CODECS
    if isinstance(audio_codecs, OnlyThese):
        audio &= {name.lower() for name in audio_codecs} & set(WIC_AUDIO_CODECS)
    return {"audio": audio, "video": frozenset(name.lower() for name in video_codecs)}


def usable_core_line(
    media: MediaDescription, allowed: frozenset[str] | None, audio_codecs: Sequence[str] = ()
) -> Usability:
    """Say whether a line of the core can be relayed; its audio codecs in the operator's order (``audio_codecs``)."""
    if allowed is None:
        why = f"carries {media.kind}, which is neither audio nor video"
        return Usability(why, (), WarnCode.MEDIA_TYPE_NOT_AVAILABLE)
    if media.port == 0:
        return Usability("is switched off (port 0)", ())
    keyed = media.proto.upper() in _KEYED_PROTOCOLS
    if not keyed and media.proto.upper() not in _IMS_PROTOCOLS:
        why = f"uses {media.proto}, IMS media comes as RTP/AVP"
        return Usability(why, (), WarnCode.INCOMPATIBLE_TRANSPORT)
    if keyed and not usable_keys(media):
        return Usability(f"uses {media.proto} without keys of AES-CM (a=crypto)", ())
    known = [codec for codec in media.codecs if codec.name in allowed or codec.name == TELEPHONE_EVENT]
    codecs = [codec for codec in known if not is_unread(codec)]
    if all(codec.name == TELEPHONE_EVENT for codec in codecs):
        why = f"offers none of the codecs {', '.join(sorted(allowed)).upper()}"
        if len(codecs) < len(known):
            why = "offers AMR with CRCs, interleaving or robust sorting alone"
        return Usability(why, (), WarnCode.INCOMPATIBLE_FORMAT)
    return Usability("", tuple(in_order(codecs, audio_codecs) if media.kind == "audio" else codecs))


def offered_transport(
    lines: Sequence[CoreLine], *, one_way: bool, max_bundle: bool = False
) -> tuple[WicTransport, str]:
    """Say how the lines of each medium lie in the offer to the client, with the reason.

    Args:
        one_way: the client asked for a line for each direction.
        max_bundle: the operator says that the site's pages have the bundle policy max-bundle.
    """
    if one_way:
        return WicTransport.SHARED, "the client registered for a line for each direction"
    if max_bundle and len(lines) == 1:
        return WicTransport.SHARED, "pages have one transport for all their lines (bundle policy max-bundle)"
    return WicTransport.SPLIT, "one line for each medium needs no BUNDLE group, which would bar video later"


def client_offer(
    lines: Sequence[CoreLine],
    relay_offers: Mapping[str, str],
    origin: Origin,
    *,
    one_way: bool = False,
    max_bundle: bool = False,
) -> SessionDescription:
    """Offer a client what the core offered, with the relay's transport: one line for each kind, or two one-way lines.

    The payload types are the relay's; of what only passes (EVS) they are the core's.  On one-way lines a browser tells
    the lines apart by them alone, for there is no extension with mids: audio that has one of video's gets another.  The
    line it listens on comes second: Chromium 156 finds no way to the first line of a new group by payload type alone.
    A single line stands in a BUNDLE group only where clients have the bundle policy max-bundle (``max_bundle``): they
    take no offer without, the others could add no video to such a call (kemi.core.sdp.judge.choose_transport).
    """
    media = []
    groups = []
    sources = {line.kind: only_line(sdp_from_text(relay_offers[line.kind])) for line in lines}
    if one_way and "audio" in sources:
        video = (source for kind, source in sources.items() if kind == "video")
        sources["audio"] = numbered_apart(sources["audio"], video)
    for line in lines:
        others = [source for kind, source in sources.items() if one_way and kind != line.kind]
        sources[line.kind] = _with_passing(sources[line.kind], line, others)
    for number, line in enumerate(lines):
        source = sources[line.kind]
        named = {str(number): line.direction}
        if one_way:
            named = {
                str(number): Direction.of(sends=False, receives=line.direction.receives),
                f"r{number}": Direction.of(sends=line.direction.sends, receives=False),
            }
        media += [_offered(source, mid, direction) for mid, direction in named.items()]
        if one_way or (max_bundle and len(lines) == 1):
            groups.append(f"a=group:BUNDLE {' '.join(named)}")
    return session_description(session_section(origin, "a=ice-lite", *groups), media)


def _with_passing(
    source: MediaDescription, line: CoreLine, others: Sequence[MediaDescription]
) -> MediaDescription:
    """Name what only passes, which the relay has left out: first, for nothing is lost of it, unless the core likes what
    the client has better.

    Nobody can give it another number than the core's; where one of ``others`` has that it is left out.
    """
    known = only_line(sdp_from_text(line.sdp)).codecs
    codecs, _ = passing_and_others(known)
    taken = {number for each in (source, *others) for number in each.formats}
    if not codecs or any(codec.payload_type in taken for codec in codecs):
        return source
    lines = [text for codec in codecs for text in codec_to_lines(codec, feedback=False)]
    formats = [codec.payload_type for codec in codecs]
    is_liked = known[0].name in WIC_AUDIO_CODECS
    ordered = [*source.formats, *formats] if is_liked else [*formats, *source.formats]
    named = media_description(source.kind, source.port, source.proto, ordered, [*source.body, *lines])
    return replace(named, session=source.session)


def _offered(source: MediaDescription, mid: str, direction: Direction) -> MediaDescription:
    source = promising_key_frames(source)
    return rewritten_line(source, source, mid=mid, direction=direction, setup="actpass")


def client_answer_media(offer: SessionDescription, answer_text: str) -> dict[str, ClientLine]:
    """Take a client's answer apart, per kind; two one-way lines of a kind become one.

    Raises:
        SdpSyntaxError: it is no description.
        RemoteProtocolError: it does not fit the offer (RFC 3264 §6).
        NotAcceptableHere: the client takes no line, or no codec, or gives two lines of a kind a transport each.
    """
    answer = sdp_from_text(answer_text)
    if len(answer.media) != len(offer.media):
        raise RemoteProtocolError(
            f"The answer has {len(answer.media)} media lines, the offer {len(offer.media)}"
        )
    accepted: dict[str, list[_Answered]] = {}
    for number, (offered, answered) in enumerate(zip(offer.media, answer.media, strict=True), start=1):
        check_answer_line(number, offered, answered)
        of_kind = accepted.setdefault(offered.kind, [])
        if not answered.rejected:
            of_kind.append(_Answered(number, answered, _common_codecs(number, offered, answered)))
    found = {kind: _merged(answer, lines) for kind, lines in accepted.items()}
    if all(line.sdp is None for line in found.values()):
        raise refusal_of(offer)
    return found


def refusal_of(offer: SessionDescription) -> NotAcceptableHere:
    """Say why a client takes no medium of our offer, as far as that is known."""
    speech = {codec.name for media in offer.media for codec in media.codecs} - AUXILIARY
    if speech and speech <= PASSING_AUDIO:
        names = ", ".join(sorted(speech)).upper()
        return NotAcceptableHere(
            f"The page does not have {names}, which cannot be transcoded",
            warn_code=WarnCode.INCOMPATIBLE_FORMAT,
        )
    return NotAcceptableHere("The page refused every medium")


class _Answered(NamedTuple):
    number: int
    line: MediaDescription
    codecs: list[Codec]


def _common_codecs(number: int, offered: MediaDescription, answered: MediaDescription) -> list[Codec]:
    """Keep what was offered; the client may number it otherwise (RFC 3264 §6.1)."""
    known = {(codec.name, codec.clock_rate) for codec in offered.codecs}
    codecs = [codec for codec in answered.codecs if (codec.name, codec.clock_rate) in known]
    if all(codec.name == TELEPHONE_EVENT for codec in codecs):
        raise NotAcceptableHere(
            f"Media line {number} is answered with none of the codecs offered",
            warn_code=WarnCode.INCOMPATIBLE_FORMAT,
        )
    return codecs


def _merged(answer: SessionDescription, lines: Sequence[_Answered]) -> ClientLine:
    """Make one two-way line for the relay of the lines of one kind: ICE and DTLS are those of their group.

    Where a client describes its transport once for a group (RFC 9143 §7.1.3), that line need not be one it uses.
    """
    if not lines:
        return ClientLine(Direction.INACTIVE, None, "")
    used = [one for one in lines if one.line.direction is not Direction.INACTIVE] or [lines[0]]
    group = answer.bundle_group_of(used[0].line.mid)
    if any(one.line.mid not in group for one in used[1:]):
        raise NotAcceptableHere(f"The page does not bundle its {used[0].line.kind} lines")
    together = [one for one in lines if one is used[0] or one.line.mid in group]
    carrier = next((one for one in together if one.line.ice_ufrag), used[0])
    check_credentials(carrier.number, carrier.line)
    direction = Direction.of(
        sends=any(one.line.direction.sends for one in used),
        receives=any(one.line.direction.receives for one in used),
    )
    # What the client receives on comes first: its payload types are what the relay has to send.
    first, *others = sorted(used, key=lambda one: not one.line.direction.receives)
    chosen = list(first.codecs)
    for codec in (codec for one in others for codec in one.codecs):
        if not any(
            codec.encoding == own.encoding or codec.payload_type == own.payload_type for own in chosen
        ):
            chosen.append(codec)
    main = next(codec.name for codec in chosen if codec.name != TELEPHONE_EVENT)
    chosen = list(passing_and_others(chosen)[main not in PASSING_AUDIO])
    line = client_line(carrier.line, chosen, Direction.SENDRECV, carrier.line.setup or "active")
    return ClientLine(direction, one_line_text(answer.session, line), main)


def added_answer(
    offer: SessionDescription, answer: SessionDescription, line: int, reverse_line: int | None
) -> str | None:
    """Return the client's answer for a medium on one line, or on two with one transport, as one line for the relay;
    None when it refused it.

    Raises:
        RemoteProtocolError: a line that was taken has no credentials.
        NotAcceptableHere: it has no codec that was offered, or the lines do not share their transport.
    """
    places = (line,) if reverse_line is None else (line, reverse_line)
    taken = [
        _Answered(place + 1, answered, _common_codecs(place + 1, offer.media[place], answered))
        for place in places
        if not (answered := answer.media[place]).rejected
    ]
    return _merged(answer, taken).sdp


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
        line = core_line(source, source.port, offered.proto, source.codecs, direction, own)
        media.append(answered_as(answering(offered, line), offered))
    return session_description(session_section(origin, connection=connection), media)
