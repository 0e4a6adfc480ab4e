"""Which fork of a page's call is heard before the answer, and which way its media may pass (RFC 5009, RFC 3960 §3.2).

We say that we understand P-Early-Media.  A fork that says nothing is heard if the site wants it so; of several the
newest one that may be heard is.  A gate of the relay does what the header field says, for each medium and direction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kemi.core.call import actions as act
from kemi.core.call.record import CallRecord, Leg
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
    wanted = [Direction.INACTIVE] * len(record.media)
    if tag:
        wanted = _directions(record, record.legs[tag], settings)
    return _gate(record, wanted)


def open_gates(record: CallRecord) -> list[act.Action]:
    """The call is answered: early media has ended."""
    return _gate(record, [Direction.SENDRECV] * len(record.media))


def within_gates(record: CallRecord, changes: tuple[act.MediumChange, ...]) -> tuple[act.MediumChange, ...]:
    """Return changes of the relay's media that open no gate of early media."""
    kinds = (medium.kind for medium in record.media)
    gates = dict(zip(kinds, map(Direction, record.early_gates), strict=False))  # none: all are open
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


def _gate(record: CallRecord, wanted: list[Direction]) -> list[act.Action]:
    now = [Direction(word) for word in record.early_gates] or [Direction.SENDRECV] * len(wanted)
    if wanted == now:
        return []
    record.early_gates = [direction.value for direction in wanted]
    media = tuple(
        act.MediumGate(medium.kind, wic_to_ims=direction.receives, ims_to_wic=direction.sends)
        for medium, direction in zip(record.media, wanted, strict=True)
    )
    return [act.GateMedia(record.key, record.node, media, GATED)]
