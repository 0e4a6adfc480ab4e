"""How good a running call's sound has been lately, out of two sets of statistics; pure.

What the relay tells are averages since the call began. Loss alone can be taken apart, because packets are counted:
delay and jitter are those of the whole call.
"""

from dataclasses import dataclass

from rtpengine.quality import Leg, MediumQuality, e_model_mos


@dataclass(frozen=True, slots=True)
class RecentLeg:
    """What a party has heard between two moments."""

    packets: int
    """That the other party sent meanwhile; 0: there was nothing to hear."""
    loss_percent: float
    """Of the whole way."""
    jitter_ms: float
    round_trip_ms: float | None
    """Between the relay and this party."""
    mos: float
    """By the E-model (rtpengine/quality.py), from 1.0 to 4.5."""


def recent_sound(earlier: MediumQuality, later: MediumQuality) -> tuple[RecentLeg | None, RecentLeg | None]:
    """Return what the page (`wic`) and the far end (`ims`) heard; None for a party that has not reported meanwhile."""
    return (
        _recent(earlier.wic, later.wic, _sent(earlier.ims, later.ims)),
        _recent(earlier.ims, later.ims, _sent(earlier.wic, later.wic)),
    )


def _sent(earlier: Leg | None, later: Leg | None) -> int:
    """Packets that came from a party."""
    if earlier is None or later is None:
        return 0
    return max(0, later.packets - earlier.packets)


def _recent(earlier: Leg | None, later: Leg | None, sent: int) -> RecentLeg | None:
    if earlier is None or later is None or earlier.heard is None or later.heard is None:
        return None
    before, after = earlier.heard, later.heard
    if after.samples <= before.samples:
        return None
    lost = max(0, after.lost_packets - before.lost_packets)
    loss_percent = min(100.0, 100.0 * lost / sent) if sent else 0.0
    round_trip_ms = after.end_to_end_ms or after.round_trip_ms or 0.0
    mos = e_model_mos(
        later.codec or "", loss_percent=loss_percent, jitter_ms=after.jitter_ms, round_trip_ms=round_trip_ms
    )
    return RecentLeg(sent, round(loss_percent, 1), after.jitter_ms, after.round_trip_ms, round(mos, 2))
