"""What rtpengine tells of a call, in JSON: a reply of some kilobytes, which Python reads in a third of the time.

rtpengine answers in the form it is asked in, JSON or bencode, whatever the command (seen in 10.5.3.5, 12.5.1.31 and
26.0.1.26). Keys that no one here reads are ignored, so that newer daemons may add some. A key that is missing or has
another type than documented is an NgBadDatagram.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias, TypeVar

from rtpengine.ng.bencode import Decoded
from rtpengine.ng.errors import NgBadDatagram
from rtpengine.ng.replies import Reply, raise_if_refused

Dictionary: TypeAlias = dict[str, Any]
_T = TypeVar("_T", int, str, list[Any], dict[str, Any])
_MOST_DIGITS: Final = 20
_LOSS_SIGN: Final = 2**23
_INGRESS: Final = "ingress SSRCs"
_STATISTICS: Final = b'{"created":'
"""How statistics begin; a refusal has no such key."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Packets and bytes received, and errors."""

    packets: int
    bytes: int
    errors: int

    @classmethod
    def from_json(cls, dictionary: Dictionary) -> Self:
        """Read a `stats` or `totals` entry."""
        return cls(
            packets=_get(dictionary, "packets", int),
            bytes=_get(dictionary, "bytes", int),
            errors=_get(dictionary, "errors", int),
        )


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """One port of a media: `endpoint` is who we exchange packets with, None while unknown."""

    local_address: str | None
    local_port: int | None
    endpoint: tuple[str, int] | None
    counters: Counters
    last_packet_s: int
    ssrcs: tuple[int, ...]
    """Of what came in, the latest first; rtpengine 10.5 names that one only."""
    flags: frozenset[str]
    refused_count: bool = True
    """Whether a packet without SRTP that is dropped because of its source counts as packet, too, and not as error only:
    before rtpengine 11.4. Told by what else the daemon says."""

    @property
    def ssrc(self) -> int | None:
        """Return the latest one."""
        return self.ssrcs[0] if self.ssrcs else None

    @classmethod
    def from_json(cls, dictionary: Dictionary) -> Self:
        """Read an entry of `streams`; `last packet` is in seconds since 1970."""
        endpoint = _get(dictionary, "endpoint", dict, {})
        address = _optional(endpoint, "address", str)
        return cls(
            local_address=_optional(dictionary, "local address", str),
            local_port=_optional(dictionary, "local port", int),
            endpoint=None if address is None else (address, _get(endpoint, "port", int)),
            counters=Counters.from_json(_get(dictionary, "stats", dict)),
            last_packet_s=_get(dictionary, "last packet", int),
            ssrcs=_ssrcs(dictionary),
            flags=frozenset(_texts(dictionary, "flags")),
            refused_count=_INGRESS not in dictionary,
        )


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """One media of a participant; the first stream carries RTP, a second one RTCP."""

    index: int
    type: str
    protocol: str | None
    codec: str | None
    streams: tuple[StreamStatistics, ...]
    flags: frozenset[str]

    @classmethod
    def from_json(cls, dictionary: Dictionary) -> Self:
        """Read an entry of `medias`."""
        return cls(
            index=_get(dictionary, "index", int),
            type=_get(dictionary, "type", str),
            protocol=_optional(dictionary, "protocol", str),
            codec=_optional(dictionary, "codec", str),
            streams=tuple(map(StreamStatistics.from_json, _dictionaries(dictionary, "streams"))),
            flags=frozenset(_texts(dictionary, "flags")),
        )


@dataclass(frozen=True, slots=True)
class QualitySample:
    """Quality as RTCP reports show it: MOS from 1.0 to 5.0 (0.0: none), milliseconds, percent."""

    mos: float
    round_trip_time_ms: float
    """End to end; 0.0: not known of both legs."""
    round_trip_time_leg_ms: float
    """Between rtpengine and who reports; 0.0: not known."""
    jitter_ms: int
    packet_loss_percent: int
    samples: int
    """How many reports an average is of; 1 of a single one."""
    reported_at_s: int
    """When a single report came, in seconds since 1970 by the relay's clock; 0 of an average."""

    @classmethod
    def from_json(cls, dictionary: Dictionary) -> Self:
        """Read a MOS entry; rtpengine writes MOS times ten and round-trip time in microseconds."""
        return cls(
            mos=_get(dictionary, "MOS", int) / 10,
            round_trip_time_ms=_get(dictionary, "round-trip time", int, 0) / 1000,
            round_trip_time_leg_ms=_get(dictionary, "round-trip time leg", int, 0) / 1000,
            jitter_ms=_get(dictionary, "jitter", int),
            packet_loss_percent=_get(dictionary, "packet loss", int),
            samples=_get(dictionary, "samples", int, 1),
            reported_at_s=_get(dictionary, "reported at", int, 0),
        )


@dataclass(frozen=True, slots=True)
class SsrcStatistics:
    """What one RTCP reporter, named by its SSRC, says of what it hears."""

    cumulative_loss: int
    """Packets, at least 0. Of a reporter that sends RTP the relay writes its own count of what is lost of that over it,
    with each packet that it decodes (10.5 and 12.5: `ssrc_in_p->packets_lost` in codec.c)."""
    average: QualitySample | None
    lowest: QualitySample | None
    highest: QualitySample | None
    latest: QualitySample | None
    """One of its latest reports, some ten seconds old at most."""

    @classmethod
    def from_json(cls, dictionary: Dictionary) -> Self:
        """Read an entry of `SSRC`."""

        def sample(key: str) -> QualitySample | None:
            return QualitySample.from_json(_get(dictionary, key, dict)) if key in dictionary else None

        return cls(
            cumulative_loss=_signed(_get(dictionary, "cumulative loss", int, 0)),
            average=sample("average MOS"),
            lowest=sample("lowest MOS"),
            highest=sample("highest MOS"),
            latest=_latest(dictionary),
        )


def _signed(cumulative_loss: int) -> int:
    """Return how many packets were lost: rtpengine reads the 24 bits as if they had no sign (RFC 3550 §6.4.1)."""
    has_duplicates = _LOSS_SIGN <= cumulative_loss < 2 * _LOSS_SIGN
    return 0 if has_duplicates else max(0, cumulative_loss)


def _latest(dictionary: Dictionary) -> QualitySample | None:
    """Return the last of the ten that are spread over the call; the step between them is in whole seconds."""
    entries = _dictionaries(_get(dictionary, "MOS progression", dict, {"entries": []}), "entries")
    return QualitySample.from_json(entries[-1]) if entries else None


@dataclass(frozen=True, slots=True)
class TagStatistics:
    """One participant of the call."""

    tag: str
    created_s: int
    medias: tuple[MediaStatistics, ...]

    @classmethod
    def from_json(cls, dictionary: Dictionary) -> Self:
        """Read an entry of `tags`; `created` is in seconds since 1970."""
        return cls(
            tag=_get(dictionary, "tag", str),
            created_s=_get(dictionary, "created", int),
            medias=tuple(map(MediaStatistics.from_json, _dictionaries(dictionary, "medias"))),
        )

    def streams(self) -> Iterator[StreamStatistics]:
        """Go through the streams of all medias."""
        for media in self.medias:
            yield from media.streams


@dataclass(frozen=True, slots=True)
class CallStatistics(Reply):
    """What `query` tells. Times are in seconds since 1970."""

    created_s: int
    last_signal_s: int
    tags: Mapping[str, TagStatistics]
    ssrcs: Mapping[int, SsrcStatistics]
    rtp: Counters
    rtcp: Counters

    @classmethod
    def from_json(cls, dictionary: Dictionary) -> Self:
        """Read the statistics of a call."""
        tags = _get(dictionary, "tags", dict)
        ssrcs = _get(dictionary, "SSRC", dict)
        totals = _get(dictionary, "totals", dict)
        return cls(
            created_s=_get(dictionary, "created", int),
            last_signal_s=_get(dictionary, "last signal", int),
            tags={tag: TagStatistics.from_json(_get(tags, tag, dict)) for tag in tags},
            ssrcs={_number(ssrc): SsrcStatistics.from_json(_get(ssrcs, ssrc, dict)) for ssrc in ssrcs},
            rtp=Counters.from_json(_get(totals, "RTP", dict)),
            rtcp=Counters.from_json(_get(totals, "RTCP", dict)),
        )


@dataclass(frozen=True, slots=True)
class RawStatistics(Reply):
    """The same as it came, for who has no time to read it."""

    payload: bytes = field(repr=False)

    def read(self) -> CallStatistics:
        """Read the statistics; raises NgBadDatagram."""
        return CallStatistics.from_json(_dictionary(self.payload))


def reply_from_payload(command: str, kind: type[Reply], payload: bytes) -> CallStatistics | RawStatistics:
    """Read the reply to a command about statistics, or leave it unread where that is wanted.

    Raises NgErrorReply when the daemon refused the command, NgBadDatagram when the reply cannot be read.
    """
    if kind is RawStatistics and payload.startswith(_STATISTICS):
        return RawStatistics(payload)
    dictionary = _dictionary(payload)
    texts: dict[bytes, Decoded] = {
        key.encode(errors="replace"): value.encode(errors="replace")
        for key, value in dictionary.items()
        if isinstance(value, str)
    }
    raise_if_refused(command, texts)
    return CallStatistics.from_json(dictionary)


def _dictionary(payload: bytes) -> Dictionary:
    """Read a reply in JSON; raises NgBadDatagram."""
    try:
        dictionary = json.loads(payload)
    except (ValueError, RecursionError):
        raise NgBadDatagram("reply is not JSON") from None
    if not isinstance(dictionary, dict):
        raise NgBadDatagram("reply is not a dictionary")
    return dictionary


_MISSING: Final = object()


def _get(dictionary: Dictionary, key: str, kind: type[_T], default: object = _MISSING) -> _T:
    value = dictionary.get(key, default)
    if not isinstance(value, kind):
        problem = "no" if value is _MISSING else "unexpected type of"
        raise NgBadDatagram(f"{problem} '{key}' in reply")
    return value


def _optional(dictionary: Dictionary, key: str, kind: type[_T]) -> _T | None:
    return _get(dictionary, key, kind) if key in dictionary else None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        raise NgBadDatagram("a number in the reply is none")
    return int(text)


def _ssrcs(stream: Dictionary) -> tuple[int, ...]:
    """Return the SSRCs of what came in: rtpengine 12 has a list in the place of one number."""
    listed = _dictionaries(stream, _INGRESS) if _INGRESS in stream else [stream]
    return tuple(ssrc for one in listed if (ssrc := _optional(one, "SSRC", int)) is not None)


def _texts(dictionary: Dictionary, key: str) -> list[str]:
    return _all(_get(dictionary, key, list), key, str)


def _dictionaries(dictionary: Dictionary, key: str) -> list[Dictionary]:
    return _all(_get(dictionary, key, list), key, dict)


def _all(items: list[Any], key: str, kind: type[_T]) -> list[_T]:
    if not all(isinstance(item, kind) for item in items):
        raise NgBadDatagram(f"unexpected type in '{key}' in reply")
    return items
