"""How good one medium of a call was on each leg, out of rtpengine's statistics; pure, and of no use without them.

A leg is seen from the relay: what came in from its party, and what the party's RTCP receiver reports say of what it
heard. The reports are end to end, because RTCP passes the relay: loss and jitter are those of the whole way.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from rtpengine.ng.statistics import (
    CallStatistics,
    MediaStatistics,
    QualitySample,
    SsrcStatistics,
    StreamStatistics,
    TagStatistics,
)
from rtpengine.sessions import IMS_TAG, REVERSE_TAG, WIC_TAG


class MosSource(StrEnum):
    """Where a mean opinion score comes from."""

    RTCP = "rtcp"
    """rtpengine's own, of each report for which it knew the round trip of both legs; averaged."""
    E_MODEL = "e-model"
    """Ours, of the averages of loss, jitter and delay."""
    ESTIMATED = "estimated"
    """Ours, for a party that reports nothing: its way is taken to be as good as the other party's, or undisturbed where
    neither reports. rtpengine 10.5 tells neither loss nor jitter of what it counts itself."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a party's receiver reports say; None where they do not tell. Averages over `samples` reports.

    With 0 samples the party told nothing: the figures are those that `mos` was estimated from.
    """

    samples: int
    loss_percent: float
    """Of the whole call. Packets are counted where the relay tells that; else it is an average of whole percents, which
    is up to two too low."""
    lost_packets: int
    jitter_ms: float
    round_trip_ms: float | None
    """Between the relay and this party."""
    end_to_end_ms: float | None
    """Between both parties."""
    mos: float | None
    """From 1.0 to 4.5; audio only, because the E-model knows speech."""
    mos_lowest: float | None
    mos_source: MosSource | None


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a medium, counted where it comes in."""

    codec: str | None
    packets: int
    """The party's own."""
    bytes: int
    errors: int
    """Packets that were dropped, beside those: of another source, or their SRTP was not the party's."""
    heard: Heard | None
    """None: the party sent no receiver report, and there is nothing to estimate: it is sent no speech."""
    reached: bool | None = None
    """Whether a right ICE check of the party has come, on any of its transports; None: it does no ICE."""
    secured: bool | None = None
    """Whether DTLS is done, with the certificate it named; None: it does no DTLS."""


@dataclass(frozen=True, slots=True)
class MediumQuality:
    """Both legs of a medium; None for one that never came to be."""

    wic: Leg | None
    ims: Leg | None


@dataclass(frozen=True, slots=True)
class _Reporter:
    """What one SSRC of a party reports."""

    told: SsrcStatistics
    is_counted: bool
    """Whether its lost packets are those that it lost itself (SsrcStatistics)."""


# Codec → Ie and Bpl (ITU-T G.113 Appendix I; G.711 with loss concealment). Codecs it does not have are taken as such.
_G711: Final = (0.0, 25.1)
_IMPAIRMENT: Final[Mapping[str, tuple[float, float]]] = {"amr": (5.0, 10.0), "g729": (11.0, 19.0)}
_CURRENT_S: Final = 20
"""Seconds in which who goes on reporting is told of again."""
_VERIFIED: Final = "DTLS fingerprint verified"
_R_DEFAULT: Final = 93.2
_PACKETIZATION_MS: Final = 20.0


def e_model_mos(codec: str, *, loss_percent: float, jitter_ms: float, round_trip_ms: float) -> float:
    """Return the MOS of a codec by the E-model with default values (ITU-T G.107), from 1.0 to 4.5.

    Losses are taken as random (BurstR 1, §7.3), the delay impairment as Cole and Rosenbluth simplified Id (2001), and
    a jitter buffer of twice the jitter is added to the delay.
    """
    delay_ms = round_trip_ms / 2 + 2 * jitter_ms + _PACKETIZATION_MS
    delay_impairment = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)
    ie, bpl = _IMPAIRMENT.get(codec.partition("/")[0].lower(), _G711)
    loss_impairment = ie + (95.0 - ie) * loss_percent / (loss_percent + bpl)
    rating = _R_DEFAULT - delay_impairment - loss_impairment
    if rating <= 0:
        return 1.0
    # G.107 Annex B; below R = 6.5 the formula dips under 1.
    return max(1.0, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)


def medium_quality(medium: str, statistics: CallStatistics) -> MediumQuality:
    """Return both legs of the `medium` that rtpengine's call carries."""
    wic, ims = _sides(statistics)
    by_wic, by_ims = _reports_by_side(statistics, wic, ims)
    wic_leg, ims_leg = _leg(medium, wic, by_wic, ims), _leg(medium, ims, by_ims, wic)
    if medium != "audio":
        return MediumQuality(wic_leg, ims_leg)
    return MediumQuality(_estimated(wic_leg, ims_leg), _estimated(ims_leg, wic_leg))


def latest_reports(statistics: CallStatistics) -> tuple[QualitySample | None, QualitySample | None]:
    """Return one of the latest reports of the page and of the far end; None for who has not reported."""
    by_wic, by_ims = _reports_by_side(statistics, *_sides(statistics))
    return _latest(by_wic), _latest(by_ims)


def _latest(reporters: list[_Reporter]) -> QualitySample | None:
    told = [one.told.latest.reported_at_s for one in reporters if one.told.latest is not None]
    if not told:
        return None
    # rtpengine 10.5 does not say whose the SSRC was that a stream had before: it reports no more.
    best = _most_telling(
        [
            one
            for one in reporters
            if one.told.latest is not None and one.told.latest.reported_at_s >= max(told) - _CURRENT_S
        ]
    )
    return None if best is None else best.told.latest


def _sides(statistics: CallStatistics) -> tuple[list[TagStatistics], list[TagStatistics]]:
    """Return the participants that are the page, and those that are the far end."""
    wic = [statistics.tags[tag] for tag in (WIC_TAG, REVERSE_TAG) if tag in statistics.tags]
    return wic, [statistics.tags[tag] for tag in (IMS_TAG,) if tag in statistics.tags]


def _reports_by_side(
    statistics: CallStatistics, wic: Iterable[TagStatistics], ims: Iterable[TagStatistics]
) -> tuple[list[_Reporter], list[_Reporter]]:
    """Sort the reporters. One that sends no RTP has an SSRC nobody knows: a browser's line that only receives."""
    own = {ssrc for tag in wic for stream in tag.streams() for ssrc in stream.ssrcs}
    far = {ssrc for tag in ims for stream in tag.streams() for ssrc in stream.ssrcs}
    decodes = _codec_name(wic) != _codec_name(ims)
    found = {
        ssrc: _Reporter(told, not (decodes and ssrc in own | far)) for ssrc, told in statistics.ssrcs.items()
    }
    by_wic = [one for ssrc, one in found.items() if ssrc in own]
    by_ims = [one for ssrc, one in found.items() if ssrc in far - own]
    others = [one for ssrc, one in found.items() if ssrc not in own | far]
    if far or not own:
        return by_wic + others, by_ims
    return by_wic, by_ims + others


def _codec(tags: Iterable[TagStatistics]) -> str | None:
    return next((media.codec for tag in tags for media in tag.medias if media.codec), None)


def _codec_name(tags: Iterable[TagStatistics]) -> str:
    return (_codec(tags) or "").partition("/")[0].lower()


def _most_telling(reporters: list[_Reporter]) -> _Reporter | None:
    """Return the reporter with the most reports: the others are of lines that carry nothing."""
    told = [one for one in reporters if one.told.average is not None]
    return max(told, key=lambda one: one.told.average.samples if one.told.average else 0, default=None)


def _leg(
    medium: str, tags: list[TagStatistics], reporters: list[_Reporter], others: list[TagStatistics]
) -> Leg | None:
    """Return a leg; ``others``: of the other one."""
    medias = [media for tag in tags for media in tag.medias]
    rtp = _rtp(tags)
    if not rtp:
        return None
    streams = [stream for _, stream in rtp]
    codec = _codec(tags)
    with_ice = [stream for media in medias if "ICE" in media.flags for stream in media.streams]
    with_dtls = [stream for media in medias if "DTLS-SRTP" in media.flags for stream in media.streams]
    return Leg(
        codec=codec,
        packets=sum(_own(media, stream) for media, stream in rtp),
        bytes=_sum(streams, "bytes"),
        errors=_sum(streams, "errors"),
        heard=_heard(medium, codec or "", reporters, _sent(others)),
        # Until a check has come the endpoint is what the description says, in which no page has an address.
        reached=any(map(_has_endpoint, with_ice)) if with_ice else None,
        secured=any(_VERIFIED in stream.flags for stream in with_dtls) if with_dtls else None,
    )


def _rtp(tags: Iterable[TagStatistics]) -> list[tuple[MediaStatistics, StreamStatistics]]:
    medias = (media for tag in tags for media in tag.medias)
    return [(media, stream) for media in medias for stream in media.streams if "RTP" in stream.flags]


def _own(media: MediaStatistics, stream: StreamStatistics) -> int:
    """Return how many packets were the party's own; what is no SRTP of its own never counts as packet."""
    counters = stream.counters
    if stream.refused_count and "SAVP" not in (media.protocol or ""):
        return max(0, counters.packets - counters.errors)
    return counters.packets


def _has_endpoint(stream: StreamStatistics) -> bool:
    return stream.endpoint is not None and not ip_address(stream.endpoint[0]).is_unspecified


def _estimated(leg: Leg | None, other: Leg | None) -> Leg | None:
    """Give a leg whose party reports nothing a score, if the other party has sent something."""
    if leg is None or leg.heard is not None or other is None or not other.packets:
        return leg
    told = other.heard
    loss, jitter, delay = (0.0, 0.0, 0.0)
    if told is not None:
        loss, jitter = told.loss_percent, told.jitter_ms
        delay = told.end_to_end_ms or told.round_trip_ms or 0.0
    mos = e_model_mos(leg.codec or "", loss_percent=loss, jitter_ms=jitter, round_trip_ms=delay)
    guess = Heard(0, loss, 0, jitter, None, None, _rounded(mos), None, MosSource.ESTIMATED)
    return replace(leg, heard=guess)


def _rounded(mos: float) -> float:
    return math.floor(mos * 100 + 0.5) / 100


def _sum(streams: Iterable[StreamStatistics], name: str) -> int:
    return sum(getattr(stream.counters, name) for stream in streams)


def _sent(tags: Iterable[TagStatistics]) -> int:
    """Packets that came from a party."""
    return sum(_own(media, stream) for media, stream in _rtp(tags))


def _heard(medium: str, codec: str, reporters: list[_Reporter], sent: int) -> Heard | None:
    """Return what a party says of the ``sent`` packets of the other."""
    best = _most_telling(reporters)
    if best is None:
        return None
    average, lowest = best.told.average, best.told.lowest
    assert average is not None
    loss_percent, lost = _lost(best, average.packet_loss_percent, sent)
    mos, mos_lowest, source = None, None, None
    if medium == "audio":
        if average.mos and average.round_trip_time_ms:
            mos, source = average.mos, MosSource.RTCP
            mos_lowest = lowest.mos if lowest is not None else None
        else:
            mos, source = (
                e_model_mos(
                    codec,
                    loss_percent=loss_percent,
                    jitter_ms=average.jitter_ms,
                    round_trip_ms=average.round_trip_time_ms or average.round_trip_time_leg_ms,
                ),
                MosSource.E_MODEL,
            )
    return Heard(
        samples=average.samples,
        loss_percent=loss_percent,
        lost_packets=lost,
        jitter_ms=average.jitter_ms,
        round_trip_ms=average.round_trip_time_leg_ms or None,
        end_to_end_ms=average.round_trip_time_ms or None,
        mos=None if mos is None else _rounded(mos),
        mos_lowest=mos_lowest,
        mos_source=source,
    )


def _lost(reporter: _Reporter, average_percent: float, sent: int) -> tuple[float, int]:
    """Return percent and number of the packets that a party lost in the whole call."""
    if not reporter.is_counted:
        return average_percent, round(sent * average_percent / 100)
    lost = reporter.told.cumulative_loss
    if not sent:
        return average_percent, lost
    # Those lost on their way to the relay are not in `sent`: of how many they were lost lies between these two.
    least, most = 100 * lost / (sent + lost), min(100.0, 100 * lost / sent)
    return _rounded(min(max(average_percent, least), most)), lost
