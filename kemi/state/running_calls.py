"""Running calls as an operator sees them: what a gateway says of its own, when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from kemi.core.call.history import peer_of
from kemi.core.call.record import CallRecord

MOST_CALLS: Final = 1000
"""Of one gateway, in one answer."""
CORE: Final = "core"

Figures: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Kind -> ``at``, when they were taken, and the figures of both legs (rtpengine/quality.py: MediumQuality)."""


class LegQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How one medium of a leg is: what its party sends, and what its latest receiver reports say of what it hears.

    Null is what nobody has told (lately).
    """

    at: float
    """When that was asked of the media relay, in seconds since the epoch."""
    codec: str | None
    packets: int
    """That came from the party."""
    mos: float | None
    """Mean opinion score of what the party hears, from 1.0 to 4.5; audio only."""
    mos_source: str | None
    """e-model: of its latest reports; estimated: the party sends none; rtcp: of the relay, for the call so far."""
    loss_percent: float | None
    jitter_ms: float | None
    round_trip_ms: float | None
    """Between the relay and the party."""


class LiveLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a running call."""

    party: str = ""
    """Its public identity, number or address."""
    by: str = ""
    """How it is reached: page, core, or trunk:NAME."""
    offer_answer: str = ""
    """Where offer and answer with it stand (RFC 3264): idle, offer received, answer sent, offer sent, stable."""
    media: dict[str, LegQuality] = {}
    """audio, video -> how it is; empty while the call is not answered, or where the site keeps no traces."""


class RunningCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as one gateway has it: a page that calls a page is two."""

    key: str
    """Its name in the gateway and in its relay."""
    call_id: str
    owner: str
    """Public identity of the page."""
    peer: str
    """Whom it calls, or who calls it, as the history will have it."""
    direction: str
    """out: the page calls; in: it is called."""
    kinds: list[str]
    """audio, video."""
    dialog: str
    """none, early or confirmed."""
    since: float
    """When it began, in seconds since the epoch."""
    node: str
    """Its media relay node."""


class LiveCall(RunningCall, frozen=True, kw_only=True):
    """A running call with its legs; a gateway of an older release tells nothing of them."""

    page: LiveLeg = LiveLeg()
    far: LiveLeg = LiveLeg()
    """The other side: behind the core, or behind a trunk."""


class GatewayCalls(msgspec.Struct, frozen=True, kw_only=True):
    """What one gateway answered."""

    asked: str
    """The question it answers."""
    calls: list[LiveCall]
    left_out: int = 0
    """How many more follow these."""
    total: int | None = None
    """How many fit the question, on all pages; None: the gateway is of a release that tells all it has."""
    at: float = 0.0
    """When that was so by the gateway's clock, in seconds since the epoch."""


def running_call(record: CallRecord) -> RunningCall:
    """Describe a call."""
    return RunningCall(
        key=record.key,
        call_id=record.call_id,
        owner=record.owner,
        peer=peer_of(record),
        direction="out" if record.incoming is None else "in",
        kinds=[medium.kind for medium in record.media],
        dialog=record.dialog.value,
        since=record.since,
        node=record.node,
    )


def live_call(record: CallRecord, figures: Figures) -> LiveCall:
    """Describe a call with its legs."""
    call = running_call(record)
    trunk = record.trunk
    return LiveCall(
        **msgspec.structs.asdict(call),
        page=LiveLeg(
            party=call.owner,
            by="page",
            offer_answer=record.wic_offer_answer.value,
            media=_media(figures, "wic"),
        ),
        far=LiveLeg(
            party=call.peer,
            by=far_side(trunk.trunk if trunk is not None else ""),
            offer_answer=record.ims_offer_answer.value,
            media=_media(figures, "ims"),
        ),
    )


def far_side(trunk: str) -> str:
    """Return how the far side is reached; "": by no trunk."""
    return f"trunk:{trunk}" if trunk else CORE


def _media(figures: Figures, leg: str) -> dict[str, LegQuality]:
    return {
        kind: _leg_quality(found["at"], counted)
        for kind, found in figures.items()
        if (counted := found.get(leg)) is not None
    }


def _leg_quality(at: float, counted: Mapping[str, Any]) -> LegQuality:
    heard = _heard(counted)
    return LegQuality(
        at=at,
        codec=counted["codec"],
        packets=counted["packets"],
        mos=heard.get("mos"),
        mos_source=heard.get("mos_source"),
        loss_percent=heard.get("loss_percent"),
        jitter_ms=heard.get("jitter_ms"),
        round_trip_ms=heard.get("round_trip_ms"),
    )


def _heard(counted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the party hears: of late, or of the call so far where the relay tells nothing else."""
    if "recent" not in counted:
        heard = counted["heard"] or {}
        # Of who reports nothing the figures are those its score was estimated from.
        return heard if heard.get("samples") else {name: heard.get(name) for name in ("mos", "mos_source")}
    recent = counted["recent"] or {}
    return recent if recent.get("mos") is None else {**recent, "mos_source": "e-model"}


def calls_from_texts(texts: Mapping[str, str], asked: str) -> dict[str, GatewayCalls]:
    """Return the answers to one question, by gateway."""
    found = {name: msgspec.json.decode(text, type=GatewayCalls) for name, text in texts.items()}
    return {name: calls for name, calls in sorted(found.items()) if calls.asked == asked}
