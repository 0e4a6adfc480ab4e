"""A web client's offer in a running session: what it changes, and the answer to it.

Knows what RFC 3264 §8 allows: lines stay where they are, further ones follow, a line that was switched off may be used
anew.  A medium has one direction over all its lines, as seen from the client: it sends on one line and listens on the
same or on another one (M-43).  Only what the far end has to know goes to the core; new ICE credentials or certificates
are the relay's business alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError, WarnCode
from kemi.core.sdp.build import media_description, session_description, session_section
from kemi.core.sdp.checks import REPLACED, check_mids, inspect_lines
from kemi.core.sdp.codecs import TELEPHONE_EVENT, relayed_codecs
from kemi.core.sdp.index import CODEC_LINES
from kemi.core.sdp.interwork.relay import client_line, one_line_text, only_line, relay_offer
from kemi.core.sdp.interwork.video import fitted_line
from kemi.core.sdp.interwork.wic import check_answer_line, check_credentials, rejected_line, rewritten_line
from kemi.core.sdp.judge import Role, judge_added
from kemi.core.sdp.model import UNSPECIFIED, Codec, Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_DISCARD_PORT: Final = 9


class KnownMedium(NamedTuple):
    """A medium of the running session, as the client sees it."""

    kind: str
    line: int
    reverse_line: int | None
    wic_offer: str
    """The client's sending line alone, as the relay knows it; "" before there was one."""
    reverse_answer: str | None
    """The client's listening line alone, where that has a transport of its own."""
    unaddressed: bool = False
    """Whether its first description had zeros in place of an address (is_unaddressed)."""


@dataclass(frozen=True, slots=True)
class OfferedMedium:
    """A medium as the client's offer has it."""

    kind: str
    line: int
    reverse_line: int | None
    direction: Direction
    """Over all its lines, seen from the client; inactive when switched off."""
    is_on: bool
    """Whether any of its lines is used."""
    wic_offer: str
    """The sending line alone for the relay; "" when it is switched off."""
    reverse_answer: str | None
    """The listening line alone for the relay, where it has a transport of its own."""
    renewed: bool
    """Whether the relay has to learn new ICE credentials, certificates or codecs."""
    codecs: tuple[str, ...]
    """Names of what the client sends, lower case."""
    reverse_wanted: bool = False
    """The client sends only: a stream towards it is to be offered."""
    unaddressed: bool = False
    """Of one that is added: see KnownMedium."""


@dataclass(frozen=True, slots=True)
class PageOffer:
    """A client's offer, read against what it was told last."""

    description: SessionDescription
    roles: tuple[Role, ...]
    """What each line is for."""
    media: tuple[OfferedMedium, ...]
    """Those of the running session, in their order."""
    added: tuple[OfferedMedium, ...]
    """Those that were not there, or were switched off."""


def read_page_offer(
    text: str,
    told: SessionDescription,
    known: Sequence[KnownMedium],
    running: frozenset[str],
    video_codecs: Sequence[str],
    audio_codecs: Sequence[str] = (),
) -> PageOffer:
    """Compare a client's new offer with the session.

    Args:
        told: what the gateway described last to this client.
        known: its media, also those that are switched off.
        running: kinds that are on.

    Raises:
        SdpSyntaxError: it is no description.
        RemoteProtocolError: it has fewer lines than the session, or a mid twice.
        NotAcceptableHere: a running line has become another kind, cannot be relayed any more, or gives way to another
            one; nothing is left on.
    """
    offer = sdp_from_text(text)
    check_mids(offer)
    if len(offer.media) < len(told.media):
        raise RemoteProtocolError(
            f"The offer has {len(offer.media)} media lines where the session has {len(told.media)} (RFC 3264 §8)"
        )
    found = inspect_lines(offer, video_codecs, audio_codecs)
    roles = [Role.REJECTED] * len(offer.media)
    taken: set[int] = set()
    media: list[OfferedMedium] = []
    for medium in known:
        if medium.kind not in running:
            continue
        places = [medium.line] if medium.reverse_line is None else [medium.line, medium.reverse_line]
        taken.update(places)
        for place, role in zip(places, (Role.FORWARD, Role.REVERSE_OF), strict=False):
            line = offer.media[place]
            if line.rejected:
                continue
            if line.kind != medium.kind:
                raise NotAcceptableHere(f"Media line {place + 1} has become {line.kind}, it is {medium.kind}")
            if found[place].reason:
                raise NotAcceptableHere(
                    f"Media line {place + 1} {found[place].reason}", warn_code=found[place].warn_code
                )
            roles[place] = role
        media.append(_changed(medium, offer, told, roles, video_codecs))
    _check_groups(offer, told, roles)
    on = {medium.kind for medium in media if medium.is_on}
    for place, line in enumerate(offer.media):
        if place not in taken and line.kind in running - on and not found[place].reason:
            raise NotAcceptableHere(REPLACED.format(kind=line.kind))
    free = [
        place
        for place, line in enumerate(offer.media)
        if place not in taken
        and not found[place].reason
        and line.kind not in running
        and (place >= len(told.media) or told.media[place].rejected)
        and not _rides_on_the_session(offer, line, told)
    ]
    plans, line_plans = judge_added(offer, free, video_codecs, audio_codecs)
    for plan in line_plans:
        roles[plan.index] = plan.role
    added = [
        OfferedMedium(
            kind=plan.kind,
            line=plan.line,
            reverse_line=plan.reverse_line,
            direction=plan.wic_direction,
            is_on=True,
            wic_offer=relay_offer(offer, plan),
            reverse_answer=None,
            renewed=True,
            codecs=tuple(codec.name for codec in plan.codecs),
            reverse_wanted=plan.reverse,
            unaddressed=is_unaddressed(offer.media[plan.line]),
        )
        for plan in plans
    ]
    if not on and not added:
        raise NotAcceptableHere("The offer leaves no medium on")
    return PageOffer(offer, tuple(roles), tuple(media), tuple(added))


def read_page_answer(
    offer: SessionDescription, text: str, known: Sequence[KnownMedium], video_codecs: Sequence[str]
) -> tuple[OfferedMedium, ...]:
    """Read a client's answer to an offer of ours that repeats the session; each running medium as it is now.

    Raises:
        SdpSyntaxError: it is no description.
        RemoteProtocolError: it does not fit the offer (RFC 3264 §6).
        NotAcceptableHere: it leaves no medium on.
    """
    answer = sdp_from_text(text)
    if len(answer.media) != len(offer.media):
        raise RemoteProtocolError(
            f"The answer has {len(answer.media)} media lines, the offer {len(offer.media)}"
        )
    roles = [Role.REJECTED] * len(answer.media)
    places = {medium.line: Role.FORWARD for medium in known}
    places |= {medium.reverse_line: Role.REVERSE_OF for medium in known if medium.reverse_line is not None}
    for place, (offered, answered) in enumerate(zip(offer.media, answer.media, strict=True)):
        check_answer_line(place + 1, offered, answered)
        if place in places and not answered.rejected:
            check_credentials(place + 1, answered)
            roles[place] = places[place]
    media = tuple(_changed(medium, answer, offer, roles, video_codecs, answers=True) for medium in known)
    if not any(medium.is_on for medium in media):
        raise NotAcceptableHere("The answer leaves no medium on")
    return media


def page_answer(
    offer: PageOffer,
    told: SessionDescription,
    directions: Mapping[str, Direction],
    relayed: Mapping[str, str],
    reverse_relayed: Mapping[str, str],
    origin: Origin,
    *,
    role: str = "passive",
    video_codec: str = "",
    far_video: str = "",
) -> SessionDescription:
    """Answer a client's offer in a running session: its lines in its order (RFC 3264 §6).

    Args:
        directions: per kind that is on what runs now, seen from the client; a kind that is missing gets port 0.
        relayed: the relay's new answer for the sending line of a kind, where there is one.
        reverse_relayed: the same for a listening line with its own transport.
        role: ours in DTLS, where the relay says nothing new (RFC 8842 §5.3: a role stays).
        video_codec: the far end's, lower case, which the client has to send; "" where there is none.
        far_video: its line alone.
    """
    lines: list[MediaDescription] = []
    kept: set[str] = set()
    by_kind = {medium.kind: medium for medium in (*offer.media, *offer.added)}
    for place, offered in enumerate(offer.description.media):
        use = offer.roles[place]
        if use is Role.REJECTED or offered.kind not in directions:
            lines.append(rejected_line(offered))
            continue
        medium, running = by_kind[offered.kind], directions[offered.kind]
        forward = use is Role.FORWARD
        before = told.media[place] if place < len(told.media) else None
        if forward:
            text = relayed.get(offered.kind)
        else:
            text = reverse_relayed.get(offered.kind)
            if text is None and medium.reverse_answer is None:  # it shares the transport of the sending line
                text = relayed.get(offered.kind)
        source = before if text is None else only_line(sdp_from_text(text))
        if source is None:
            raise RemoteProtocolError(
                f"Media line {place + 1} has no transport"
            )  # a new line is always relayed
        listens = (
            not forward or medium.reverse_line is None or offer.roles[medium.reverse_line] is Role.REJECTED
        )
        direction = Direction.of(
            sends=running.receives and listens and offered.direction.receives,
            receives=running.sends and forward and offered.direction.sends,
        )
        source = _saying_all(source)
        if not forward and before is not None:
            source = _with_formats_of(source, before)
        source = fitted_line(source, video_codec, far_video, medium.wic_offer) if video_codec else source
        setup = None if text is not None and source.setup != "actpass" else role
        lines.append(rewritten_line(offered, source, mid=offered.mid, direction=direction, setup=setup))
        if offered.mid is not None:
            kept.add(offered.mid)
    attributes = ["a=ice-lite"] if told.session.flag("ice-lite") else []
    for group in told.bundle_groups:
        mids = [mid for mid in group if mid in kept and mid in offer.description.bundle_group_of(mid)]
        attributes += [f"a=group:BUNDLE {' '.join(mids)}"] if mids else []
    return session_description(session_section(origin, *attributes), lines)


def _changed(
    medium: KnownMedium,
    offer: SessionDescription,
    told: SessionDescription,
    roles: Sequence[Role],
    video_codecs: Sequence[str],
    *,
    answers: bool = False,
) -> OfferedMedium:
    """Read the lines of a running medium; they are known to be usable."""
    sending = offer.media[medium.line] if roles[medium.line] is Role.FORWARD else None
    listening = None
    if medium.reverse_line is not None and roles[medium.reverse_line] is Role.REVERSE_OF:
        listening = offer.media[medium.reverse_line]
    sends = sending is not None and sending.direction.sends
    receiving = sending if medium.reverse_line is None else listening
    held = receiving is not None and not medium.unaddressed and is_unaddressed(receiving)
    receives = receiving is not None and receiving.direction.receives and not held
    wic_offer = ""
    codecs: tuple[str, ...] = ()
    if sending is not None:
        chosen = _stable_codecs(sending, medium.wic_offer, video_codecs, answers=answers)
        codecs = tuple(codec.name for codec in chosen)
        line = client_line(sending, chosen, Direction.SENDRECV, _setup_kept(sending, medium.wic_offer))
        wic_offer = one_line_text(offer.session, line)
    reverse_answer = None
    if listening is not None and medium.reverse_answer is not None and medium.reverse_line is not None:
        chosen = _same_codecs(listening, told.media[medium.reverse_line])
        reverse_answer = one_line_text(
            offer.session, client_line(listening, chosen, Direction.RECVONLY, "active")
        )
    renewed = (sending is not None and _differs(medium.wic_offer, wic_offer)) or (
        reverse_answer is not None and _differs(medium.reverse_answer or "", reverse_answer)
    )
    return OfferedMedium(
        kind=medium.kind,
        line=medium.line,
        reverse_line=medium.reverse_line,
        direction=Direction.of(sends=sends, receives=receives),
        is_on=sending is not None or listening is not None,
        wic_offer=wic_offer,
        reverse_answer=reverse_answer,
        renewed=renewed,
        codecs=codecs,
    )


def _setup_kept(sending: MediaDescription, before: str) -> str:
    """Return the client's DTLS role: who has answered as the server offers any role again, and stays it where nothing
    begins anew (RFC 8842 §5.5)."""
    setup = sending.setup or "actpass"
    return "passive" if setup == "actpass" and "a=setup:passive" in before else setup


def _saying_all(media: MediaDescription) -> MediaDescription:
    """Write the address of its session on a line that will stand without it."""
    body = [f"c={media.connection}", *(line for line in media.body if not line.startswith("c="))]
    return media_description(media.kind, media.port, media.proto, media.formats, body)


def _with_formats_of(source: MediaDescription, told: MediaDescription) -> MediaDescription:
    """Write the relay's listening line with what the client has been offered there: it lists further payload types."""
    body = [line for line in source.body if not line.startswith(CODEC_LINES)]
    body += [line for line in told.body if line.startswith(CODEC_LINES)]
    return media_description(source.kind, source.port, source.proto, told.formats, body)


def is_unaddressed(media: MediaDescription) -> bool:
    """Whether a line has zeros in place of an address: hold of RFC 2543 (RFC 3264 §8.4), where it had one before.

    With port 9 the zeros say that no candidate is known (RFC 8840); a bundled line of Firefox has port 0 and zeros.
    Safari up to 15 writes zeros from the beginning in pages that were not given a microphone or camera.
    """
    return media.port not in (0, _DISCARD_PORT) and media.connection_address in UNSPECIFIED


def _stable_codecs(
    media: MediaDescription, before: str, video_codecs: Sequence[str], *, answers: bool
) -> tuple[Codec, ...]:
    """Choose what is relayed: what it was, where the client still has it under the same payload types.

    An answer names no more than it was offered, so it takes back nothing but the main codec.
    """
    if not before:
        return relayed_codecs(media, video_codecs)
    old = sdp_from_text(before).media[0].codecs
    here = {(codec.payload_type, codec.name) for codec in media.codecs}
    again = tuple(codec for codec in old if (codec.payload_type, codec.name) in here)
    if media.kind == "audio" and any(codec.name != TELEPHONE_EVENT for codec in again):
        return old if answers else again
    if media.kind == "video" and again and (answers or again == old):
        return old
    return relayed_codecs(media, video_codecs)


def _same_codecs(media: MediaDescription, told: MediaDescription) -> tuple[Codec, ...]:
    """Choose what a listening line has been offered; the relay sends nothing else there."""
    before = {(codec.payload_type, codec.name) for codec in told.codecs}
    again = tuple(codec for codec in media.codecs if (codec.payload_type, codec.name) in before)
    if not again:
        raise NotAcceptableHere(
            f"The listening {media.kind} line has none of its codecs any more",
            warn_code=WarnCode.INCOMPATIBLE_FORMAT,
        )
    return again


def _differs(before: str, now: str) -> bool:
    """Whether a line of a client needs the relay: another ICE session, certificate or payload type."""
    return not before or _essence(before) != _essence(now)


def _essence(one_line_sdp: str) -> tuple[object, ...]:
    media = sdp_from_text(one_line_sdp).media[0]
    codecs = [(codec.payload_type, codec.name, codec.clock_rate) for codec in media.codecs]
    if media.kind == "audio":  # its events come and go
        codecs = [codec for codec in codecs if codec[1] != TELEPHONE_EVENT]
    return (
        media.ice_ufrag,
        media.ice_pwd,
        frozenset(media.fingerprints),
        media.attribute("tls-id"),
        tuple(codecs),
    )


def _check_groups(offer: SessionDescription, told: SessionDescription, roles: Sequence[Role]) -> None:
    """Lines that share a transport have to go on doing so (RFC 9143 §7.4)."""
    mid_of = {line.mid: offer.media[place].mid for place, line in enumerate(told.media)}
    used = {line.mid for place, line in enumerate(offer.media) if roles[place] is not Role.REJECTED}
    for group in told.bundle_groups:
        mids = [mid_of[mid] for mid in group if mid_of.get(mid) in used]
        if len(mids) > 1 and not set(mids) <= set(offer.bundle_group_of(mids[0])):
            raise NotAcceptableHere("The lines that share a transport are in no BUNDLE group any more")


def _rides_on_the_session(
    offer: SessionDescription, media: MediaDescription, told: SessionDescription
) -> bool:
    """Whether a new line can have no transport of its own: the relay has one for each medium.

    A line in a group that was answered cannot leave it either (RFC 9143 §7.3.3), so it is refused: port 0.
    """
    if media.bundle_only:
        return True
    established = {mid for group in told.bundle_groups for mid in group}
    return not established.isdisjoint(offer.bundle_group_of(media.mid))
