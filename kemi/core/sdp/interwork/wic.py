"""What the web client is told: the answer to its offer, and the second offer that adds streams.

Knows JSEP (RFC 8829) and what Chromium, Firefox and aiortc accept; takes the relay's web-side texts as they
come. The header extension that carries mids is never written: the relay stamps the mid of the first line,
and a browser would deliver the reverse stream there, silently.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from kemi.core.errors import LocalProtocolError, MediaUnavailable, NotAcceptableHere, RemoteProtocolError
from kemi.core.sdp.build import media_description, session_description, session_section
from kemi.core.sdp.interwork.orientation import orientation_lines, with_orientation_of
from kemi.core.sdp.interwork.places import new_mids
from kemi.core.sdp.interwork.relay import client_line, one_line_text, only_line
from kemi.core.sdp.judge import Judgement, LinePlan, ReverseShape, Role, WicTransport
from kemi.core.sdp.model import (
    LEGAL_ANSWERS,
    Direction,
    MediaDescription,
    Origin,
    SessionDescription,
    SessionSection,
)
from kemi.core.sdp.text import sdp_from_text

_RELAYED_ATTRIBUTES: Final = frozenset(
    {"rtpmap", "fmtp", "rtcp-fb", "ptime", "maxptime"}
    | {"rtcp", "rtcp-mux", "ice-ufrag", "ice-pwd", "ice-options", "candidate", "end-of-candidates"}
    | {"setup", "fingerprint", "tls-id"}
)
_STREAM_ID: Final = "gw"
"""One MediaStream for all streams towards the client, so that the page keeps lips and voice together."""


class Reverse(NamedTuple):
    """A stream towards the client that is to be offered."""

    line: int
    """On which the client sends."""
    relay_offer: str | None
    """The relay's line for the other direction; None copies the transport of the client's own and bundles the two."""
    place: int
    """Where its line goes: that of a line switched off before, or behind the last one; of no matter with FLIP_LINES."""


@dataclass(frozen=True, slots=True)
class ReverseAnswer:
    """A client's answer to a second offer."""

    description: SessionDescription
    lines: Mapping[str, str]
    """Per kind whose added line has a transport of its own: that line alone, for ``subscribe answer``."""
    refused: frozenset[str]
    """The kinds whose stream the client does not receive."""


def wic_answer(
    offer: SessionDescription,
    judgement: Judgement,
    relay_answers: Mapping[str, str],
    transport: WicTransport,
    origin: Origin,
) -> SessionDescription:
    """Answer a web offer: its m-lines in its order (RFC 3264 §6), the relay's transport, directions mirrored.

    Args:
        relay_answers: the relay's reply to ``answer`` per kind; a kind that is missing gets port 0.

    Raises:
        MediaUnavailable: a relay text has no port, or no kind has one.
    """
    relayed = {kind: only_line(sdp_from_text(text)) for kind, text in relay_answers.items()}
    if not any(kind in relayed for kind in judgement.kinds):
        raise MediaUnavailable("The relay answered for no medium")
    media: list[MediaDescription] = []
    bundled: list[MediaDescription] = []
    for plan in judgement.lines:
        offered = offer.media[plan.index]
        if plan.role is Role.REJECTED or plan.kind not in relayed:
            media.append(rejected_line(offered))
        elif plan.role is Role.REVERSE_OF and transport != WicTransport.SHARED:
            raise LocalProtocolError(f"{plan.kind}: the client's two lines need a shared transport")
        else:
            media.append(_accepted(offered, relayed[plan.kind], plan))
            bundled.append(offered)
    attributes = ["a=ice-lite"] if any(line.session.flag("ice-lite") for line in relayed.values()) else []
    if transport == WicTransport.SHARED:
        # The lines of one kind in a group each: a client that shares has no group with both (choose_transport).
        for kind in dict.fromkeys(line.kind for line in bundled):
            mids = [line.mid for line in bundled if line.kind == kind and line.mid is not None]
            attributes += [f"a=group:BUNDLE {' '.join(mids)}"] if mids else []
    return session_description(session_section(origin, *attributes), media)


def reverse_offer(
    current: SessionDescription,
    judgement: Judgement,
    reverse_offers: Mapping[str, str | None],
    origin: Origin,
    *,
    kinds: Collection[str] | None = None,
) -> SessionDescription:
    """Offer streams towards the client: all lines so far in their order (RFC 3264 §8), then a line per kind.

    With ReverseShape.FLIP_LINES no line is added, the kind's own line becomes sendrecv.

    Args:
        current: what the gateway described last to this client.
        reverse_offers: the relay's reply to ``subscribe request`` per kind; None, or no entry, copies the
            transport of the kind's own line and bundles the two.
        kinds: what to add; by default what the judgement wants now.

    Raises:
        LocalProtocolError: a kind has no line to reverse.
    """
    wanted = judgement.reverse_now if kinds is None else kinds
    media = [medium for medium in judgement.media if medium.kind in wanted]
    lines = [
        Reverse(medium.line, reverse_offers.get(medium.kind), place)
        for place, medium in enumerate(media, start=len(current.media))
    ]
    return reversed_lines(current, lines, judgement.shape, origin)


def offer_again(current: SessionDescription, origin: Origin) -> SessionDescription:
    """Offer what the client has been told last once more."""
    return reversed_lines(current, (), ReverseShape.FLIP_LINES, origin)


def answered_again(
    current: SessionDescription, offer: SessionDescription, origin: Origin
) -> SessionDescription:
    """Answer an offer that the client makes again, without the lines that the gateway has offered since.

    Args:
        current: what the gateway described last to this client.
        offer: the client's, as it was.
    """
    lines = [
        _line_answered_again(told, offered) for told, offered in zip(current.media, offer.media, strict=False)
    ]
    mids = {line.mid for line in lines}
    groups = [[mid for mid in group if mid in mids] for group in current.bundle_groups]
    attributes = ["a=ice-lite"] if current.session.flag("ice-lite") else []
    attributes += [f"a=group:BUNDLE {' '.join(group)}" for group in groups if group]
    return session_description(session_section(origin, *attributes), lines)


def reversed_lines(
    current: SessionDescription, wanted: Sequence[Reverse], shape: ReverseShape, origin: Origin
) -> SessionDescription:
    """Offer all lines again and a stream towards the client for each of ``wanted``, as in reverse_offer."""
    lines = [line_offered_again(media) for media in current.media]
    groups = [list(group) for group in current.bundle_groups]
    for reverse in wanted:
        own, text = lines[reverse.line], reverse.relay_offer
        if own.rejected:
            raise LocalProtocolError(f"{own.kind}: the line to reverse is rejected")
        if shape is ReverseShape.FLIP_LINES:
            lines[reverse.line] = rewritten_line(
                own, own, mid=own.mid, direction=Direction.SENDRECV, setup="actpass"
            )
            continue
        (mid,) = new_mids("r", lines, 1)
        source = own if text is None else with_orientation_of(own, only_line(sdp_from_text(text)))
        if text is None:
            _bundle(groups, own.mid, mid)
        lines[reverse.place : reverse.place + 1] = [
            rewritten_line(own, source, mid=mid, direction=Direction.SENDONLY, setup="actpass")
        ]
    attributes = ["a=ice-lite"] if current.session.flag("ice-lite") else []
    attributes += [f"a=group:BUNDLE {' '.join(group)}" for group in living_groups(groups, lines)]
    return session_description(session_section(origin, *attributes), lines)


def as_agreed(offer: SessionDescription, answer: SessionDescription) -> SessionDescription:
    """Return an offer of ours as the client has taken it: a line it has refused is switched off."""
    refused = [
        answered.rejected and not offered.rejected
        for offered, answered in zip(offer.media, answer.media, strict=True)
    ]
    if not any(refused):
        return offer
    lines = [
        rejected_line(line) if is_refused else line
        for line, is_refused in zip(offer.media, refused, strict=True)
    ]
    groups = living_groups(offer.bundle_groups, lines)
    kept = [line for line in offer.session.lines if not line.startswith("a=group:BUNDLE ")]
    kept += [f"a=group:BUNDLE {' '.join(group)}" for group in groups]
    return session_description(SessionSection(tuple(kept)), lines)


def living_groups(groups: Iterable[Sequence[str]], lines: Sequence[MediaDescription]) -> list[list[str]]:
    """Leave out of BUNDLE groups what is switched off (RFC 9143 §7.5)."""
    living = {line.mid for line in lines if not line.rejected}
    found = [[mid for mid in group if mid in living] for group in groups]
    return [group for group in found if group]


def check_reverse_answer(offer2: SessionDescription, answer2_text: str) -> ReverseAnswer:
    """Read the client's answer to a second offer.

    Raises:
        SdpSyntaxError: it is no description.
        RemoteProtocolError: it does not fit the offer (RFC 3264 §6).
        NotAcceptableHere: the client gave up its audio, or does not share the transport it was offered.
    """
    answer = sdp_from_text(answer2_text)
    if len(answer.media) != len(offer2.media):
        raise RemoteProtocolError(
            f"The answer has {len(answer.media)} media lines, the offer {len(offer2.media)}"
        )
    lines: dict[str, str] = {}
    refused: set[str] = set()
    for number, (offered, answered) in enumerate(zip(offer2.media, answer.media, strict=True), start=1):
        check_answer_line(number, offered, answered)
        if (
            answered.rejected
            and not offered.rejected
            and offered.kind == "audio"
            and offered.direction.receives
        ):
            raise NotAcceptableHere(f"The client rejected its own audio line {number}")
        if offered.rejected or not offered.direction.sends:
            continue
        if answered.rejected or not answered.direction.receives:
            refused.add(offered.kind)
            continue
        check_credentials(number, answered)
        if _has_own_transport(offer2, offered, answer):
            lines[offered.kind] = _line_text(answered)
    return ReverseAnswer(answer, MappingProxyType(lines), frozenset(refused))


def rejected_line(offered: MediaDescription) -> MediaDescription:
    """Answer with port 0; the mid stays so that the client finds the line (RFC 8829 §5.3.1)."""
    body = ["c=IN IP4 0.0.0.0", *_mid_line(offered.mid), "a=inactive"]
    return media_description(offered.kind, 0, offered.proto, offered.formats, body)


def _accepted(offered: MediaDescription, relayed: MediaDescription, plan: LinePlan) -> MediaDescription:
    return rewritten_line(offered, relayed, mid=offered.mid, direction=plan.wic_direction.mirrored)


def rewritten_line(
    line: MediaDescription,
    source: MediaDescription,
    *,
    mid: str | None,
    direction: Direction,
    setup: str | None = None,
) -> MediaDescription:
    """Write a line of the kind and protocol of ``line`` with the transport and codecs of ``source``."""
    # How much video the far end takes: the client's encoder keeps to it.
    bandwidth = [f"b={value}" for value in source.values("b") if line.kind == "video" and value[:3] == "AS:"]
    body = [f"c={source.connection}", *bandwidth, *_mid_line(mid), *_relayed_lines(source, setup)]
    body.append(f"a={direction}")
    if direction.sends:
        body.append(stream_of(mid))
    return media_description(line.kind, source.port, line.proto, source.formats, body)


def line_offered_again(media: MediaDescription) -> MediaDescription:
    """Repeat a line in an offer: the DTLS role is open there (RFC 8842 §5.3), everything else stays."""
    body = ["a=setup:actpass" if line.startswith("a=setup:") else line for line in media.body]
    return media_description(media.kind, media.port, media.proto, media.formats, body)


def _line_answered_again(told: MediaDescription, offered: MediaDescription) -> MediaDescription:
    role = "active" if offered.setup == "passive" else "passive"  # RFC 8842 §5.3, as the relay chose
    body = [f"a=setup:{role}" if line.startswith("a=setup:") else line for line in told.body]
    return media_description(told.kind, told.port, told.proto, told.formats, body)


def _relayed_lines(source: MediaDescription, setup: str | None) -> list[str]:
    kept = [
        line for line in source.body if line[0] == "a" and line[2:].partition(":")[0] in _RELAYED_ATTRIBUTES
    ]
    if setup is not None:
        kept = [f"a=setup:{setup}" if line.startswith("a=setup:") else line for line in kept]
    return [*kept, *orientation_lines(source)] if source.kind == "video" else kept


def _mid_line(mid: str | None) -> tuple[str, ...]:
    return () if mid is None else (f"a=mid:{mid}",)


def stream_of(mid: str | None) -> str:
    """Write which stream a line that sends belongs to (RFC 8830)."""
    return f"a=msid:{_STREAM_ID} {_STREAM_ID}{mid or ''}"


def _bundle(groups: list[list[str]], mid: str | None, new_mid: str) -> None:
    if mid is None:
        raise LocalProtocolError("a line without mid cannot share its transport")
    for group in groups:
        if mid in group:
            group.append(new_mid)
            return
    groups.append([mid, new_mid])


def check_answer_line(number: int, offered: MediaDescription, answered: MediaDescription) -> None:
    """Compare what must be equal between offer and answer, and the direction (RFC 3264 §6, §6.1)."""
    if answered.kind != offered.kind:
        raise RemoteProtocolError(f"Media line {number} is {answered.kind} where {offered.kind} was offered")
    if answered.proto.upper() != offered.proto.upper():
        raise RemoteProtocolError(
            f"Media line {number} uses {answered.proto} where {offered.proto} was offered"
        )
    if answered.mid is not None and answered.mid != offered.mid:
        raise RemoteProtocolError(
            f"Media line {number} has the mid {answered.mid!r}, {offered.mid!r} was offered"
        )
    if answered.rejected:
        return
    if offered.rejected:
        raise RemoteProtocolError(f"Media line {number} was offered with port 0 and answered with a port")
    if answered.direction not in LEGAL_ANSWERS[offered.direction]:
        raise RemoteProtocolError(
            f"Media line {number} was offered {offered.direction} and answered {answered.direction}"
        )


def check_credentials(number: int, answered: MediaDescription) -> None:
    if not answered.ice_ufrag or not answered.ice_pwd or not answered.fingerprints:
        raise RemoteProtocolError(f"Media line {number} is answered without ICE credentials or fingerprint")
    if answered.setup == "actpass":
        raise RemoteProtocolError(f"Media line {number} is answered with setup:actpass (RFC 8842 §5.3)")


def _has_own_transport(
    offer: SessionDescription, offered: MediaDescription, answer: SessionDescription
) -> bool:
    """Say whether a stream comes by a transport of its own; make sure that the client joins a shared one."""
    group = offer.bundle_group_of(offered.mid)
    if not group or group[0] == offered.mid:
        return offered.direction is Direction.SENDONLY
    if group[0] not in answer.bundle_group_of(offered.mid):
        raise NotAcceptableHere(f"The client does not bundle the lines {group[0]} and {offered.mid}")
    return False


def _line_text(answered: MediaDescription) -> str:
    line = client_line(answered, answered.codecs, answered.direction, answered.setup or "active")
    return one_line_text(answered.session, line)
