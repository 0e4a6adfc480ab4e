"""The core's offers in a running session: what they change, and our answer.

The core has one two-way m-line for each kind.  Lines keep their places (RFC 3264 §8): one that is switched off stays
with port 0 and may be used again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kemi.core.errors import NotAcceptableHere
from kemi.core.sdp.build import off_line, session_description, session_section
from kemi.core.sdp.checks import REPLACED, Usability
from kemi.core.sdp.codecs import PASSING_AUDIO, TELEPHONE_EVENT, OnlyThese
from kemi.core.sdp.interwork.avpf import answered_as, chosen_protocol
from kemi.core.sdp.interwork.ims import check_family, core_line, far_connection, ims_line
from kemi.core.sdp.interwork.incoming import CoreLine, relayed_names, usable_core_line
from kemi.core.sdp.interwork.orientation import answering, with_orientation_of
from kemi.core.sdp.interwork.payload_types import with_known_payload_types
from kemi.core.sdp.interwork.relay import one_line_text, only_line
from kemi.core.sdp.interwork.video import passing_video, promising_key_frames
from kemi.core.sdp.model import UNSPECIFIED, Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_NOTHING: Final[Mapping[int, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Changed:
    """What the core now says of a medium of the call."""

    kind: str
    place: int
    direction: Direction
    """Seen from the far end."""
    sdp: str
    """The line alone, for the relay, as one for both directions; "" where its address is zeros and the relay keeps what
    it has."""
    codec: str
    """Name of the codec it prefers, lower case."""


@dataclass(frozen=True, slots=True)
class CoreReoffer:
    """A later offer of the core, taken apart."""

    going_on: Mapping[str, Changed]
    switched_off: frozenset[str]
    """Kinds of the call that end; also video that has no usable codec any more, or under other payload types only."""
    added: tuple[CoreLine, ...]
    """Kinds that the call does not have."""
    unfit: str = ""
    """Why video counts as switched off although the core offers it."""


def read_core_reoffer(
    offer: SessionDescription,
    told: SessionDescription,
    places: Mapping[str, int],
    video_codecs: Sequence[str],
    audio_codecs: Sequence[str] = (),
    own_video: str = "",
) -> CoreReoffer:
    """Compare an offer with what both sides had.

    Args:
        told: our last description to the core.
        places: the line of each kind the call has.
        own_video: the client's video line alone; "": our last description stands for it.

    Raises:
        NotAcceptableHere: lines that are on are missing, or have another kind (RFC 3264 §8), nothing usable is left,
            audio goes on without a usable codec, or a line gives way to another one of its kind.
        RemoteProtocolError: a line has no address.
    """
    if any(place >= len(offer.media) for place in places.values()):
        raise NotAcceptableHere(
            f"The offer has {len(offer.media)} media lines, the session {len(told.media)} (RFC 3264 §8)"
        )
    _check_replaced(offer, places)
    kinds = {place: kind for kind, place in places.items()}
    allowed = dict(relayed_names(video_codecs, audio_codecs))
    audio = places.get("audio")
    if audio is not None and told.media[audio].codecs:
        now = told.media[audio].codecs[0].name
        if now in PASSING_AUDIO or isinstance(audio_codecs, OnlyThese):
            allowed["audio"] = frozenset({now})  # the client speaks nothing that is transcoded
    ours = next((line.address_family for line in told.media if line.port and line.address_family), "")
    going_on: dict[str, Changed] = {}
    switched_off: set[str] = set()
    unfit = ""
    added: dict[str, CoreLine] = {}
    for place, media in enumerate(offer.media):
        kind = kinds.get(place)
        if kind is not None and media.kind != kind:
            raise NotAcceptableHere(f"Media line {place + 1} is {media.kind} where the session has {kind}")
        if media.port == 0:
            switched_off.update({kind} if kind is not None else ())
            continue
        found = usable_core_line(media, allowed.get(media.kind), audio_codecs)
        found = _as_numbered(found, own_video, told.media[place]) if kind == "video" else found
        reason, codecs, warn_code = found
        if reason and kind == "audio":
            raise NotAcceptableHere(f"The audio line {reason}", warn_code=warn_code)
        if reason:
            switched_off.update({kind} if kind is not None else ())
            unfit = unfit if kind is None else f"The {kind} line {reason}"
            continue
        connection = far_connection(media)
        check_family(media, ours)
        held = media.connection_address in UNSPECIFIED  # RFC 2543 §B.5: nothing is to be sent there
        direction = Direction.of(sends=media.direction.sends, receives=media.direction.receives and not held)
        proto, _ = chosen_protocol(media)
        line = ims_line(media, media.port, proto, codecs, Direction.SENDRECV, connection)
        text = one_line_text(media.session, promising_key_frames(line))
        if kind is not None:
            main = next(codec.name for codec in codecs if codec.name != TELEPHONE_EVENT)
            going_on[kind] = Changed(kind, place, direction, "" if held else text, main)
        elif media.kind not in places and media.kind not in added and not held:
            added[media.kind] = CoreLine(media.kind, place, direction, text)
    if not going_on and not added:
        raise NotAcceptableHere("The offer leaves no medium")
    return CoreReoffer(going_on, frozenset(switched_off), tuple(added.values()), unfit)


def _as_numbered(found: Usability, own_video: str, told: MediaDescription) -> Usability:
    """Leave out of a video line's codecs those that the client, else our last description, has not under the same
    payload types."""
    known = sdp_from_text(own_video).media[0] if own_video else told
    codecs = tuple(passing_video(found.codecs, known))
    if found.reason or codecs:
        return found._replace(codecs=codecs)
    return Usability("has no codec under the payload type that the client knows it by", ())


def _check_replaced(offer: SessionDescription, places: Mapping[str, int]) -> None:
    """Raise NotAcceptableHere where a line of the call stops and another one of its kind is there."""
    stopped = {kind for kind, place in places.items() if offer.media[place].port == 0}
    for media in offer.media:
        if media.port and media.kind in stopped:
            raise NotAcceptableHere(REPLACED.format(kind=media.kind))


def core_reanswer(
    offer: SessionDescription,
    told: SessionDescription,
    directions: Mapping[int, Direction],
    relay_answers: Mapping[int, str],
    origin: Origin,
    client_lines: Mapping[int, str] = _NOTHING,
) -> SessionDescription:
    """Answer a later offer of the core.

    Args:
        told: our last description to the core.
        directions: seen from us, for each place that is used.
        relay_answers: the relay's answer for a place; one without keeps what we told last.
        client_lines: what the client has said for a place the relay answers.
    """
    lines = []
    for place, offered in enumerate(offer.media):
        direction = directions.get(place)
        if direction is None:
            lines.append(off_line(offered))
            continue
        text = relay_answers.get(place)
        source = told.media[place] if text is None else _speaking_for(client_lines.get(place), text)
        line = core_line(source, source.port, offered.proto, source.codecs, direction, source.connection)
        lines.append(answered_as(answering(offered, line), offered))
    return session_description(session_section(origin), lines)


def offered_to_core_again(
    told: SessionDescription,
    directions: Mapping[int, Direction],
    relay_offers: Mapping[int, str],
    origin: Origin,
    client_lines: Mapping[int, str] = _NOTHING,
) -> SessionDescription:
    """Offer the core its lines again, for one that asked for an offer (RFC 3261 §14.2).

    Args:
        directions: seen from us, for each place that is used; the others stay switched off.
        relay_offers: the relay's offer for a place, with all its codecs; one without keeps what we told last.
        client_lines: what the client has said for a place the relay offers.
    """
    lines = []
    for place, media in enumerate(told.media):
        direction = directions.get(place)
        if direction is None:
            lines.append(off_line(media))
            continue
        text = relay_offers.get(place)
        if text is not None:
            text = with_known_payload_types(text, one_line_text(told.session, media))
        source = media if text is None else _speaking_for(client_lines.get(place), text)
        lines.append(core_line(source, source.port, media.proto, source.codecs, direction, source.connection))
    return session_description(session_section(origin), lines)


def _speaking_for(client_line: str | None, relay_text: str) -> MediaDescription:
    """Return the relay's line, which has the client's header extensions only where it has asked no participant of its
    own for anything (rtpengine from 12 to 13)."""
    line = only_line(sdp_from_text(relay_text))
    if not client_line or line.kind != "video":
        return line
    return with_orientation_of(only_line(sdp_from_text(client_line)), line)
