"""Which fork of a page's call is heard before the answer, and which way its media may pass (RFC 5009, RFC 3960 §3.2).

We say that we understand P-Early-Media.  A fork that says nothing is heard if the site wants it so; of several the
newest one that may be heard is.  A gate of the relay does what the header field says, for each medium and direction, as
far as the descriptions of both sides have that medium pass (RFC 3264 §6.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.media.session import direction_for_core
from kemi.core.call.record import CallRecord, Leg, Medium
from kemi.core.call.settings import CallSettings
from kemi.core.messages import Message
from kemi.core.sdp.model import Direction

SUPPORTED: Final = "P-Early-Media: supported"
_DIRECTIONS: Final = frozenset(direction.value for direction in Direction)
GATED: Final = "early media"
"""Bearer of our gates."""


def learn(leg: Leg, message: Message) -> None:
    """Keep what a message of a fork asks for; other words than directions are no request (RFC 5009 §8)."""
    words = [word.strip().lower() for value in message.headers("P-Early-Media") for word in value.split(",")]
    directions = [word for word in words if word in _DIRECTIONS]
    if directions:
        leg.early_media = directions


def heard(record: CallRecord, settings: CallSettings) -> str:
    """Return the tag of the fork whose description the relay is to work with, "" for none."""
    described = [tag for tag, leg in record.legs.items() if leg.answer]
    authorized = [
        tag
        for tag in described
        if any(direction.sends for direction in _directions(record, record.legs[tag], settings))
    ]
    return (authorized or described or [""])[-1]


def gates(record: CallRecord, tag: str, settings: CallSettings) -> list[act.Action]:
    """Let pass what this fork's media may, if that is not what the gates do already; "": nothing passes."""
    before = passing(record)
    allow(record, tag, settings)
    return gates_since(record, before)


def allow(record: CallRecord, tag: str, settings: CallSettings) -> None:
    """Note what this fork's media may; "": nothing."""
    wanted = [Direction.INACTIVE] * len(record.media)
    if tag:
        wanted = _directions(record, record.legs[tag], settings)
    record.early_gates = [direction.value for direction in wanted]


def allow_all(record: CallRecord) -> None:
    """The call is answered: early media has ended."""
    record.early_gates = []


def passing(record: CallRecord) -> list[Direction]:
    """Return what the gates let pass of each medium, as seen from the far end."""
    return list(map(_passing, record.media, _allowed(record)))


def gates_since(record: CallRecord, before: list[Direction]) -> list[act.Action]:
    """Return what makes the gates of ``before`` those of now, if they differ."""
    wanted = passing(record)
    if wanted == before:
        return []
    media = tuple(
        act.MediumGate(medium.kind, wic_to_ims=direction.receives, ims_to_wic=direction.sends)
        for medium, direction in zip(record.media, wanted, strict=True)
    )
    return [act.GateMedia(record.key, record.node, media, GATED)]


def shut(record: CallRecord, kinds: Sequence[str]) -> list[act.Action]:
    """Let nothing pass of media that the fork that is heard has switched off.  Their ports stay: each early dialog is
    a session of its own (RFC 3261 §13.2.2.4), and another fork may take them."""
    gates = tuple(act.MediumGate(kind, wic_to_ims=False, ims_to_wic=False) for kind in kinds)
    return [act.GateMedia(record.key, record.node, gates, GATED)] if gates else []


def within_gates(record: CallRecord, changes: tuple[act.MediumChange, ...]) -> tuple[act.MediumChange, ...]:
    """Return changes of the relay's media that open no gate of early media."""
    kinds = (medium.kind for medium in record.media)
    gates = dict(zip(kinds, _allowed(record), strict=True))
    return tuple(
        replace(one, wic_to_ims=one.wic_to_ims and gate.receives, ims_to_wic=one.ims_to_wic and gate.sends)
        if (gate := gates.get(one.kind)) is not None
        else one
        for one in changes
    )


def _directions(record: CallRecord, leg: Leg, settings: CallSettings) -> list[Direction]:
    """Return what each medium may do, as seen from the fork; the last word counts for all lines that follow."""
    if not leg.early_media:
        default = Direction.SENDRECV if settings.early_media_by_default else Direction.INACTIVE
        return [default] * len(record.media)
    last = len(leg.early_media) - 1
    return [Direction(leg.early_media[min(medium.ims_line, last)]) for medium in record.media]


def _allowed(record: CallRecord) -> list[Direction]:
    """Return what P-Early-Media lets pass of each medium; where nothing is noted, all."""
    noted = list(map(Direction, record.early_gates))
    return noted + [Direction.SENDRECV] * (len(record.media) - len(noted))


def _passing(medium: Medium, allowed: Direction) -> Direction:
    if not medium.answered:  # the relay stops the whole medium anyway
        return Direction.of(
            sends=allowed.sends and not medium.reverse_wanted,  # closed when its ports were reserved
            receives=allowed.receives,
        )
    ours = direction_for_core(medium) if medium.active else Direction.INACTIVE
    return Direction.of(
        sends=allowed.sends and ours.receives and not medium.reverse_wanted,
        receives=allowed.receives and ours.sends,
    )
