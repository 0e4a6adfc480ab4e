"""How good a medium of a running call has been lately, out of its statistics as they are asked for one after the other.

Averages of the relay are of the whole call, and the packets that it calls lost are not always those of the reports
(rtpengine/ng/statistics.py); its single reports are what a party heard in the seconds before.  Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rtpengine.ng.statistics import QualitySample
from rtpengine.quality import Leg, MediumQuality, e_model_mos

STALE_LOOKS: Final = 3
"""After so many looks without a new report nothing is known any more."""


@dataclass(frozen=True, slots=True)
class RecentLeg:
    """What a party has heard lately."""

    packets: int
    """That the other party sent since the report before; 0: there was nothing to hear."""
    loss_percent: float
    """Of the whole way."""
    jitter_ms: float
    round_trip_ms: float | None
    """Between the relay and this party."""
    mos: float | None
    """By the E-model (rtpengine/quality.py), from 1.0 to 4.5; audio only."""


@dataclass(slots=True)
class _Listener:
    """What is known of one party."""

    at_s: int = 0
    """When its last report came, by the relay's clock."""
    sent: int = 0
    """Packets the other party had sent then."""
    now: RecentLeg | None = None
    looks: int = 0
    """How many there were since."""
    kept: list[QualitySample] = field(default_factory=list)
    """Reports since the last entry."""
    kept_sent: int = 0

    def begin_anew(self, at_s: int, sent: int) -> None:
        """Count from here: what was sent since the report before is not known."""
        self.at_s, self.looks = at_s, 0
        self.sent = self.kept_sent = sent
        self.kept.clear()


class Course:
    """One medium of a call in the course of time, for both parties."""

    def __init__(self, medium: str) -> None:
        self._medium = medium
        self._listeners = {"wic": _Listener(), "ims": _Listener()}

    def take(
        self, quality: MediumQuality, latest: Sequence[QualitySample | None]
    ) -> dict[str, RecentLeg | None]:
        """Take what was asked just now; return what is new of the page (`wic`) and the far end (`ims`).

        ``latest``: as `latest_reports` (rtpengine/quality.py) returns them, of the same statistics.
        """
        legs = (quality.wic, quality.ims)
        found: dict[str, RecentLeg | None] = {}
        for (name, listener), leg, other, report in zip(
            self._listeners.items(), legs, reversed(legs), latest, strict=True
        ):
            found[name] = None
            if leg is None or report is None or report.reported_at_s == listener.at_s:
                listener.looks += 1
                if listener.looks >= STALE_LOOKS:
                    listener.now = None
                continue
            sent = _sent(other)
            if sent < listener.sent:  # another relay has the call now, or its own was restarted
                listener.begin_anew(report.reported_at_s, sent)
                continue
            listener.now = found[name] = self._heard(leg, [report], sent - listener.sent)
            listener.at_s, listener.sent, listener.looks = report.reported_at_s, sent, 0
            listener.kept.append(report)
        return found

    def now(self) -> Mapping[str, RecentLeg | None]:
        """Return what each party has heard lately; None where it has told nothing lately, no key where it never has."""
        return {name: one.now for name, one in self._listeners.items() if one.at_s}

    def since_entry(self, quality: MediumQuality) -> Mapping[str, RecentLeg | None]:
        """Return the same, of all reports since this was asked last; ``quality``: what was taken just now."""
        found = dict(self.now())
        legs = {"wic": quality.wic, "ims": quality.ims}
        for name, listener in self._listeners.items():
            leg = legs[name]
            if leg is not None and listener.kept:
                found[name] = self._heard(leg, listener.kept, listener.sent - listener.kept_sent)
            listener.kept_sent = listener.sent
            listener.kept.clear()
        return found

    def _heard(self, leg: Leg, reports: Sequence[QualitySample], packets: int) -> RecentLeg:
        loss_percent = _mean([one.packet_loss_percent for one in reports])
        jitter_ms = _mean([one.jitter_ms for one in reports])
        to_relay_ms = _mean([one.round_trip_time_leg_ms for one in reports if one.round_trip_time_leg_ms])
        round_trip_ms = (
            _mean([one.round_trip_time_ms for one in reports if one.round_trip_time_ms]) or to_relay_ms
        )
        mos = None
        if self._medium == "audio":
            mos = round(
                e_model_mos(
                    leg.codec or "",
                    loss_percent=loss_percent,
                    jitter_ms=jitter_ms,
                    round_trip_ms=round_trip_ms,
                ),
                2,
            )
        return RecentLeg(
            packets, round(loss_percent, 1), round(jitter_ms, 1), round(to_relay_ms, 3) or None, mos
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _sent(leg: Leg | None) -> int:
    """Packets that came from a party."""
    return 0 if leg is None else leg.packets
