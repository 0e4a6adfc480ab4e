"""The educated guess: what a web client's offer means and what is still missing from it.

A web page often sends its voice on a sendonly line and waits for a second line that brings the other voice;
IMS has one two-way stream per medium.  From the offer and what the client says it can do, these pure
functions decide per m-line what it is for, per medium whether a stream for the other direction is wanted,
and for the call which flow gets it there.  Every decision carries its reason for the log.

| lines of one kind      | meaning                                | reverse stream                  |
|------------------------|----------------------------------------|---------------------------------|
| one sendrecv           | ordinary two-way call                  | none                            |
| sendonly + recvonly    | the client split the directions itself | none where they can share a     |
|                        |                                        | transport, else one             |
| sendonly               | the client waits for the other line    | one                             |
| recvonly               | a listener without microphone/camera   | none: it cannot be forced       |
| inactive               | held                                   | none                            |
| a second sending line  | screen share and the like              | rejected, IMS has one per kind  |
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from kemi.core.sdp.checks import Usability, inspect_lines, refuse_unusable
from kemi.core.sdp.codecs import DEFAULT_VIDEO_CODECS
from kemi.core.sdp.model import Codec, Direction, MediaDescription, SessionDescription


class Role(enum.StrEnum):
    """What an m-line of the web offer is for."""

    FORWARD = "forward"
    """Carries the medium, one way or both."""
    REVERSE_OF = "reverse_of"
    """The recvonly half of a medium whose sendonly half is another line."""
    REJECTED = "rejected"
    """Answered with port 0."""


class Flow(enum.StrEnum):
    """How the streams wanted now reach the client."""

    ANSWER_THEN_UPDATE = "answer_then_update"
    """Reliable 183 with the answer, PRACK, UPDATE in the early dialog (RFC 3262, RFC 3311)."""
    REINVITE_AFTER_ANSWER = "reinvite_after_answer"
    """Nothing before the ACK; then a second offer in the confirmed dialog."""
    BOTH_WAYS = "both_ways"
    """The first answer says it all."""


class ReverseShape(enum.StrEnum):
    """What a second offer does to the m-lines."""

    ADD_LINES = "add_lines"
    """Old lines stay one-way, new sendonly lines follow."""
    FLIP_LINES = "flip_lines"
    """The old lines become sendrecv: for clients that give all lines one direction (stock SIP.js)."""


class WicTransport(enum.StrEnum):
    """How the two directions of a medium lie on the web side."""

    SHARED = "shared"
    """One port, one ICE, one DTLS, in a BUNDLE group."""
    SPLIT = "split"
    """Each line its own transport, no BUNDLE group."""


class ClientCapabilities(NamedTuple):
    """What an INVITE says about its sender."""

    reliable_provisional: bool
    early_update: bool
    late_update: bool
    product: str
    """First product of User-Agent, for the log; nothing is decided from it."""

    @property
    def reverse_shape(self) -> ReverseShape:
        """Never add lines for a client without UPDATE: stock SIP.js gives all lines one direction."""
        return ReverseShape.ADD_LINES if self.late_update else ReverseShape.FLIP_LINES

    @property
    def needs_sdp_in_final(self) -> bool:
        """Without reliable provisionals the 2xx must carry the answer (RFC 3261 §13.2.1)."""
        return not self.reliable_provisional


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One m-line of the offer; ``index`` is its place there."""

    index: int
    kind: str
    mid: str | None
    wic_direction: Direction
    role: Role
    reason: str


class MediumPlan(NamedTuple):
    """One medium that takes part; audio and video appear at most once."""

    kind: str
    line: int
    """Index of the FORWARD line."""
    reverse_line: int | None
    """Index of the REVERSE_OF line of a client that split the directions itself; it shares the transport."""
    wic_direction: Direction
    """What the client offered over all lines of this medium."""
    reverse: bool
    """Whether a stream towards the client is to be added."""
    codecs: tuple[Codec, ...]
    """What the relay is offered, the main codec first."""
    reason: str

    @property
    def codec(self) -> str:
        """The main codec's name, lower case; on the web side audio is pinned to it."""
        return self.codecs[0].name

    @property
    def ims_direction(self) -> Direction:
        """What IMS is offered: the client's own wish and the stream that is added."""
        wic = self.wic_direction
        return Direction.of(sends=wic.sends, receives=wic.receives or self.reverse)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is done with an offer."""

    lines: tuple[LinePlan, ...]
    media: tuple[MediumPlan, ...]
    """In the order of their lines; never empty."""
    flow: Flow
    shape: ReverseShape
    reason: str

    def medium(self, kind: str) -> MediumPlan | None:
        """Give the plan of a kind, if it takes part."""
        return next((medium for medium in self.media if medium.kind == kind), None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that take part, in order."""
        return tuple(medium.kind for medium in self.media)

    @property
    def reverse_now(self) -> tuple[str, ...]:
        """The kinds that get a stream towards the client."""
        return tuple(medium.kind for medium in self.media if medium.reverse)


def client_capabilities(
    allow: str, supported: str, require: str = "", user_agent: str = ""
) -> ClientCapabilities:
    """Read what a client can do; each argument is all header fields of that name joined by commas.

    ``Allow: UPDATE`` alone is no promise for the early dialog: JsSIP lists it and answers 403 there.  Only
    with PRACK and 100rel can the first answer be acknowledged before the 2xx, which RFC 3311 §5.1 asks for.
    """
    methods = {word.strip().upper() for word in allow.split(",")}
    options = {word.strip().lower() for word in f"{supported},{require}".split(",")}
    reliable = "100rel" in options
    return ClientCapabilities(
        reliable_provisional=reliable,
        early_update=reliable and "PRACK" in methods and "UPDATE" in methods,
        late_update="UPDATE" in methods,
        product=user_agent.split(maxsplit=1)[0] if user_agent.strip() else "",
    )


def judge_offer(
    offer: SessionDescription,
    capabilities: ClientCapabilities,
    video_codecs: Sequence[str] = DEFAULT_VIDEO_CODECS,
    audio_codecs: Sequence[str] = (),
) -> Judgement:
    """Decide what an offer means; raise what refuse_unusable raises when nothing of it can be used."""
    found = inspect_lines(offer, video_codecs, audio_codecs)
    refuse_unusable(offer, found)
    lines: dict[int, LinePlan] = {}
    usable: dict[str, list[int]] = {}
    for index, (media, usability) in enumerate(zip(offer.media, found, strict=True)):
        if usability.reason:
            lines[index] = _line(index, media, Role.REJECTED, usability.reason)
        else:
            usable.setdefault(media.kind, []).append(index)
    _leave_out_video_without_transport(offer, usable, lines)
    media_plans = [
        _judge_medium(offer, indexes, found, lines, alone=len(usable) == 1) for indexes in usable.values()
    ]
    media_plans.sort(key=lambda medium: medium.line)
    flow, reason = _flow([medium.kind for medium in media_plans if medium.reverse], capabilities)
    ordered = tuple(lines[index] for index in range(len(offer.media)))
    return Judgement(ordered, tuple(media_plans), flow, capabilities.reverse_shape, reason)


def judge_added(
    offer: SessionDescription,
    indexes: Sequence[int],
    video_codecs: Sequence[str] = DEFAULT_VIDEO_CODECS,
    audio_codecs: Sequence[str] = (),
) -> tuple[tuple[MediumPlan, ...], tuple[LinePlan, ...]]:
    """Decide what lines are for that an offer adds to a running session; ``indexes`` are usable lines of new kinds."""
    found = inspect_lines(offer, video_codecs, audio_codecs)
    lines: dict[int, LinePlan] = {}
    kinds = dict.fromkeys(offer.media[index].kind for index in indexes)
    media = [
        _judge_medium(
            offer,
            [index for index in indexes if offer.media[index].kind == kind],
            found,
            lines,
            alone=False,
        )
        for kind in kinds
    ]
    return tuple(media), tuple(lines[index] for index in sorted(lines))


def choose_transport(
    offer: SessionDescription, judgement: Judgement, *, max_bundle: bool = False
) -> tuple[WicTransport, str]:
    """Choose how both directions lie on the web side, with the reason.

    Chromium puts all m-lines of its later offers into the one BUNDLE group it knows and refuses answers that
    take a line out of an established group; the relay has one transport per medium.  So a group is answered
    only where two lines of one medium share it: a medium with one line is answered without any, and the page may
    add video whenever it likes.  A page that offers a group for each kind keeps them apart later as well, so both
    lines of each kind share theirs.

    Chromium with the bundle policy max-bundle takes no answer without the group.  An offer of several lines shows
    that policy, an offer of one does not.

    Args:
        max_bundle: the operator says that the site's pages have that policy.
    """
    if len(judgement.media) > 1:
        adds = judgement.reverse_now and judgement.shape is ReverseShape.ADD_LINES
        if adds and _groups_each_kind(offer, judgement):
            return WicTransport.SHARED, "the client has a BUNDLE group for each kind"
        return (
            WicTransport.SPLIT,
            "audio and video have a transport each, a BUNDLE group would bar later offers",
        )
    medium = judgement.media[0]
    group = offer.bundle_group_of(offer.media[medium.line].mid)
    if not group:
        return WicTransport.SPLIT, "the offer has no BUNDLE group"
    if medium.reverse_line is not None:
        return WicTransport.SHARED, "the client bundles its two lines"
    if max_bundle or _has_one_transport(offer, medium):
        return (
            WicTransport.SHARED,
            "the client has one transport for all its lines (bundle policy max-bundle)",
        )
    if not medium.reverse or judgement.shape is ReverseShape.FLIP_LINES:
        return WicTransport.SPLIT, "one line needs no BUNDLE group, which would bar video later"
    if medium.kind != "audio":
        return WicTransport.SPLIT, "only audio shares a transport"
    return WicTransport.SHARED, "both lines of one medium in a BUNDLE group"


def _groups_each_kind(offer: SessionDescription, judgement: Judgement) -> bool:
    """Say whether each medium's line is in a BUNDLE group that no line of another kind is in."""
    kinds = {media.mid: media.kind for media in offer.media}
    groups = [
        (medium.kind, offer.bundle_group_of(offer.media[medium.line].mid)) for medium in judgement.media
    ]
    return all(group and {kinds.get(mid) for mid in group} == {kind} for kind, group in groups)


def _has_one_transport(offer: SessionDescription, medium: MediumPlan) -> bool:
    """Say whether another line rides on the transport of the medium's."""
    carrier = offer.media[medium.line]
    group = offer.bundle_group_of(carrier.mid)
    return any(_rides(media, carrier) for media in offer.media if media is not carrier and media.mid in group)


# Lines that show something beside the speaker (RFC 4796 §5): not what IMS gets when there is another.
_SIDE_CONTENT: Final = frozenset({"slides", "alt", "sl"})

_NO_REVERSE: Final[Mapping[Direction, str]] = {
    Direction.SENDRECV: "the line is two-way",
    Direction.RECVONLY: "the client only listens, a line it sends on cannot be forced",
    Direction.INACTIVE: "the line is held",
}
_REVERSE: Final = "the client only sends, the other direction is added at once"


def _line(index: int, media: MediaDescription, role: Role, reason: str) -> LinePlan:
    return LinePlan(index, media.kind, media.mid, media.direction, role, reason)


def _leave_out_video_without_transport(
    offer: SessionDescription, usable: dict[str, list[int]], lines: dict[int, LinePlan]
) -> None:
    """Reject video lines that can only ride on audio's transport, or carry audio on theirs (max-bundle).

    Such a client cannot use a second transport (RFC 9143 §7.2), which is what the relay has for video.
    """
    if "audio" not in usable or "video" not in usable:
        return
    audio = offer.media[usable["audio"][0]]
    for index in list(usable["video"]):
        video = offer.media[index]
        if video.mid in offer.bundle_group_of(audio.mid) and (_rides(video, audio) or _rides(audio, video)):
            lines[index] = _line(
                index,
                video,
                Role.REJECTED,
                "has no transport of its own (bundle policy max-bundle, or the offer was sent before video had a "
                "candidate), audio goes on",
            )
            usable["video"].remove(index)
    if not usable["video"]:
        del usable["video"]


def _rides(passenger: MediaDescription, carrier: MediaDescription) -> bool:
    if passenger.bundle_only:
        return True
    return passenger.attribute("candidate") is None and carrier.attribute("candidate") is not None


def _judge_medium(
    offer: SessionDescription,
    indexes: Sequence[int],
    found: Sequence[Usability],
    lines: dict[int, LinePlan],
    *,
    alone: bool,
) -> MediumPlan:
    """Find the line or the pair that carries a kind and put the plans of all its lines into ``lines``."""
    forward, listening = _carriers(offer, indexes)
    media, codecs = offer.media[forward], found[forward].codecs
    direction = medium_direction = media.direction
    reverse_line = None
    if listening is None:
        reverse = direction is Direction.SENDONLY
        reason = _NO_REVERSE.get(direction, _REVERSE)
    elif alone and media.kind == "audio" and _can_share(offer, forward, listening, codecs[0]):
        medium_direction, reverse = Direction.SENDRECV, False
        reverse_line, reason = listening, "the client offers a line for each direction"
        lines[listening] = _line(listening, offer.media[listening], Role.REVERSE_OF, reason)
    else:
        # The relay makes a transport of its own only with payload types of its own, so it must be the offerer.
        reverse, reason = True, "the client's listening line cannot be used, one is added"
        why = "cannot share the transport of the sending line, a line of the gateway's takes its place"
        lines[listening] = _line(listening, offer.media[listening], Role.REJECTED, why)
    lines[forward] = LinePlan(forward, media.kind, media.mid, direction, Role.FORWARD, reason)
    for index in indexes:
        if index not in lines:
            further = offer.media[index]
            why = f"is a further {further.direction} line, IMS has one per kind"
            lines[index] = _line(index, further, Role.REJECTED, why)
    return MediumPlan(media.kind, forward, reverse_line, medium_direction, reverse, codecs, reason)


def _carriers(offer: SessionDescription, indexes: Sequence[int]) -> tuple[int, int | None]:
    """Choose the FORWARD line and, when that only sends, the line the client wants to listen on."""
    if len(indexes) == 1:
        return indexes[0], None
    # A stable sort: the client's order decides among equals.
    ordered = sorted(indexes, key=lambda index: offer.media[index].attribute("content") in _SIDE_CONTENT)
    directions = {index: offer.media[index].direction for index in indexes}
    listening = next((index for index in ordered if directions[index] is Direction.RECVONLY), None)
    forward = next((index for index in ordered if directions[index].sends), None)
    if forward is None:
        return (ordered[0] if listening is None else listening), None
    return forward, (listening if directions[forward] is Direction.SENDONLY else None)


def _can_share(offer: SessionDescription, forward: int, reverse: int, main: Codec) -> bool:
    """Say whether the listening line takes the sending line's transport and payload type.

    It has to come second: Chromium 156 finds no way to the first line of a group by payload type alone.
    """
    sending, listening = offer.media[forward], offer.media[reverse]
    bundled = sending.mid is not None and listening.mid in offer.bundle_group_of(sending.mid)
    return (bundled and reverse > forward) and any(
        codec.payload_type == main.payload_type and codec.name == main.name for codec in listening.codecs
    )


def _flow(now: Sequence[str], capabilities: ClientCapabilities) -> tuple[Flow, str]:
    if not now:
        return Flow.BOTH_WAYS, "no stream is to be added"
    wanted = " and ".join(now)
    if capabilities.early_update:
        return (
            Flow.ANSWER_THEN_UPDATE,
            f"{wanted} towards the client by UPDATE, it has 100rel, PRACK and UPDATE",
        )
    missing = "no UPDATE with PRACK" if capabilities.reliable_provisional else "no 100rel"
    return Flow.REINVITE_AFTER_ANSWER, f"{wanted} towards the client after the ACK, it has {missing}"
