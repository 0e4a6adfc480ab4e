"""What the web client is offered in a running session: its own lines again, as the far end has them now.

The first answer to the client is written before anyone asked the far end.  Audio is pinned to one codec and the relay
transcodes; video cannot be transcoded, so the client must send what the far end took, and nothing where it took none.
Later the far end holds, resumes, adds and removes: the lines keep their places (RFC 3264 §8), new ones take those of
lines that were switched off before, or follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from kemi.core.sdp.build import media_description, session_description, session_section
from kemi.core.sdp.interwork.places import new_mids, places_for
from kemi.core.sdp.interwork.relay import only_line
from kemi.core.sdp.interwork.video import fitted_line, promising_key_frames
from kemi.core.sdp.interwork.wic import (
    line_offered_again,
    living_groups,
    rejected_line,
    rewritten_line,
    stream_of,
)
from kemi.core.sdp.model import Direction, MediaDescription, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text

_DIRECTIONS = frozenset(direction.value for direction in Direction)


class Shown(NamedTuple):
    """How the client is to see a medium it has."""

    kind: str
    line: int
    """Which line carries it, both ways or from the client."""
    reverse_line: int | None
    """Which line brings it to the client, where that is another one."""
    direction: Direction | None
    """Seen from the far end; None: it has switched the medium off."""
    codec: str | None = None
    """The far end's video codec, lower case, where only that one may be sent."""
    far: str = ""
    """The far end's line alone, of video."""
    own: str = ""
    """The client's line alone as the relay knows it, of video: what else the client can send."""


class Added(NamedTuple):
    """A medium the client does not have yet."""

    kind: str
    direction: Direction
    """Seen from the far end."""
    relay_offer: str
    """The relay's one-m-line offer for the client."""
    one_way: bool
    """Two lines on one transport, one for each direction, instead of one."""


class Placed(NamedTuple):
    """Where an added medium stands in an offer."""

    line: int
    reverse_line: int | None


def offered_again(
    current: SessionDescription, media: Sequence[Shown], origin: Origin, added: Sequence[Added] = ()
) -> tuple[SessionDescription | None, dict[str, Placed]]:
    """Offer the client what the far end has changed; None when that is nothing.

    A line that no medium has, because the client took it when it was offered no more, is switched off.

    Args:
        current: what the gateway described last to this client.
    """
    carrying = {place for medium in media for place in (medium.line, medium.reverse_line)}
    lines = [
        line if line.rejected or place in carrying else rejected_line(line)
        for place, line in enumerate(current.media)
    ]
    for medium in media:
        lines[medium.line] = _shown(lines[medium.line], medium)
        if medium.reverse_line is not None:
            lines[medium.reverse_line] = _shown_reverse(lines[medium.reverse_line], medium)
    if not added and all(new is old for new, old in zip(lines, current.media, strict=True)):
        return None, {}
    lines = list(map(line_offered_again, lines))
    groups: list[list[str]] = [list(group) for group in current.bundle_groups]
    places = {
        medium.kind: _add(
            lines, groups, medium, places_for(current.media, medium.kind, 1 + medium.one_way, len(lines))
        )
        for medium in added
    }
    return _description(current, lines, groups, origin), places


def _shown(media: MediaDescription, medium: Shown) -> MediaDescription:
    if media.rejected:
        return media
    if medium.direction is None:
        return rejected_line(media)
    if medium.codec is not None:
        media = fitted_line(media, medium.codec, medium.far, medium.own)
    wanted = medium.direction
    if medium.reverse_line is not None:
        wanted = Direction.of(sends=False, receives=wanted.receives)
    return _directed(media, wanted)


def _shown_reverse(media: MediaDescription, medium: Shown) -> MediaDescription:
    if media.rejected:
        return media
    if medium.direction is None:
        return rejected_line(media)
    if medium.codec is not None:
        media = fitted_line(media, medium.codec, medium.far, medium.own)
    return _directed(media, Direction.of(sends=medium.direction.sends, receives=False))


def _directed(media: MediaDescription, direction: Direction) -> MediaDescription:
    if media.direction is direction:
        return media
    body = [line for line in media.body if line[2:] not in _DIRECTIONS or not line.startswith("a=")]
    body.append(f"a={direction}")
    if direction.sends and media.attribute("msid") is None:
        body.append(stream_of(media.mid))
    return media_description(media.kind, media.port, media.proto, media.formats, body)


def _add(lines: list[MediaDescription], groups: list[list[str]], medium: Added, places: list[int]) -> Placed:
    """Put the lines of a medium into ``places``, or behind the last line; with names nobody has."""
    source = promising_key_frames(only_line(sdp_from_text(medium.relay_offer)))
    mids = new_mids("g", lines, len(places))
    directions = [medium.direction]
    if medium.one_way:  # in this order, see incoming.client_offer
        directions = [
            Direction.of(sends=False, receives=medium.direction.receives),
            Direction.of(sends=medium.direction.sends, receives=False),
        ]
        groups.append(mids)
    for place, mid, direction in zip(places, mids, directions, strict=True):
        lines[place : place + 1] = [
            rewritten_line(source, source, mid=mid, direction=direction, setup="actpass")
        ]
    return Placed(places[0], places[1] if medium.one_way else None)


def corrected_offer(
    current: SessionDescription,
    taken: Mapping[str, str | None],
    origin: Origin,
    far: Mapping[str, str] = MappingProxyType({}),
    own: Mapping[str, str] = MappingProxyType({}),
) -> SessionDescription | None:
    """Offer the client's lines again as the far end answered, or return None when they are right already.

    Args:
        current: what the gateway described last to this client.
        taken: the far end's codec per kind, lower case; None when it refused the medium.
        far: its line alone, per kind.
        own: the client's line alone as the relay knows it, per kind.
    """
    lines = [
        _corrected(media, taken[media.kind], far.get(media.kind, ""), own.get(media.kind, ""))
        if media.kind in taken
        else media
        for media in current.media
    ]
    if all(new is old for new, old in zip(lines, current.media, strict=True)):
        return None
    groups = [list(group) for group in current.bundle_groups]
    return _description(current, list(map(line_offered_again, lines)), groups, origin)


def _description(
    current: SessionDescription, lines: Sequence[MediaDescription], groups: list[list[str]], origin: Origin
) -> SessionDescription:
    attributes = ["a=ice-lite"] if current.session.flag("ice-lite") else []
    attributes += [f"a=group:BUNDLE {' '.join(group)}" for group in living_groups(groups, lines)]
    return session_description(session_section(origin, *attributes), lines)


def _corrected(media: MediaDescription, codec: str | None, far: str, own: str) -> MediaDescription:
    if media.rejected:
        return media
    return rejected_line(media) if codec is None else fitted_line(media, codec, far, own)
