"""RTP and RTCP packets as bytes and back (RFC 3550, RFC 8285), telephone events (RFC 4733), key frame requests.

Knows packet layout only. Must not know sockets, clocks or codecs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
TRANSPORT_FEEDBACK: Final = 205
PAYLOAD_FEEDBACK: Final = 206

_KEY_FRAME_FORMATS: Final = {1: "PLI", 4: "FIR"}
_TMMBR: Final = 3
_TMMBN: Final = 4
_ONE_BYTE_EXTENSIONS: Final = 0xBEDE
_NTP_OFFSET_S: Final = 2208988800
DTMF_DIGITS: Final = "0123456789*#ABCD"


@dataclass(frozen=True)
class RtpPacket:
    """One RTP packet without padding."""

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    extensions: Mapping[int, bytes] = field(default_factory=dict)
    """Header extensions by number, in one-byte form (RFC 8285 §4.2)."""


def rtp_from_bytes(data: bytes) -> RtpPacket:
    """Parse an RTP packet; CSRC and padding are dropped.

    Raises:
        ValueError: not RTP version 2, or too short.
    """
    if len(data) < 12 or data[0] >> 6 != 2:
        raise ValueError("not an RTP packet")
    sequence_number, timestamp, ssrc = struct.unpack("!HII", data[2:12])
    start = 12 + 4 * (data[0] & 0x0F)
    extensions = {}
    if data[0] & 0x10:
        profile, words = struct.unpack("!HH", data[start : start + 4])
        if profile == _ONE_BYTE_EXTENSIONS:
            extensions = dict(_extensions(data[start + 4 : start + 4 + 4 * words]))
        start += 4 + 4 * words
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    return RtpPacket(
        data[1] & 0x7F,
        sequence_number,
        timestamp,
        ssrc,
        data[start:end],
        marker=bool(data[1] & 0x80),
        extensions=extensions,
    )


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        number, length = data[at] >> 4, (data[at] & 0x0F) + 1
        if number == 0:  # padding
            at += 1
            continue
        yield number, data[at + 1 : at + 1 + length]
        at += 1 + length


def in_sequence(packets: Iterable[RtpPacket]) -> list[RtpPacket]:
    """Put packets in the order they were sent, as a jitter buffer does; a further source follows the one before it.

    A relay with several threads passes packets of one frame on in any order.
    """
    sources: dict[int, list[tuple[int, RtpPacket]]] = {}
    for packet in packets:
        source = sources.setdefault(packet.ssrc, [])
        last = source[-1][0] if source else packet.sequence_number
        ahead = (packet.sequence_number - last + 0x8000) % 0x10000 - 0x8000  # RFC 3550 §A.1
        source.append((last + ahead, packet))
    return [packet for source in sources.values() for _, packet in sorted(source, key=itemgetter(0))]


def rtp_to_bytes(packet: RtpPacket) -> bytes:
    """Print an RTP packet."""
    second = packet.payload_type | (0x80 if packet.marker else 0)
    first = 0x90 if packet.extensions else 0x80
    head = struct.pack(
        "!BBHII", first, second, packet.sequence_number & 0xFFFF, packet.timestamp & 0xFFFFFFFF, packet.ssrc
    )
    if packet.extensions:
        body = b"".join(
            bytes([number << 4 | len(value) - 1]) + value for number, value in packet.extensions.items()
        )
        body += bytes(-len(body) % 4)
        head += struct.pack("!HH", _ONE_BYTE_EXTENSIONS, len(body) // 4) + body
    return head + packet.payload


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP on a shared port (RFC 5761 §4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


def rtcp_parts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (packet type, count or format, whole packet) of a compound packet."""
    start = 0
    while start + 4 <= len(data):
        first, kind, words = struct.unpack("!BBH", data[start : start + 4])
        end = start + 4 * (words + 1)
        yield kind, first & 0x1F, data[start:end]
        start = end


def key_frame_requests(data: bytes) -> list[str]:
    """Return "PLI" or "FIR" for each key frame request in a compound packet (RFC 4585, RFC 5104)."""
    return [
        _KEY_FRAME_FORMATS[fmt]
        for kind, fmt, _ in rtcp_parts(data)
        if kind == PAYLOAD_FEEDBACK and fmt in _KEY_FRAME_FORMATS
    ]


def middle_ntp(data: bytes) -> int | None:
    """Return the middle 32 bits of the NTP time of the first sender report, for LSR."""
    for kind, _, part in rtcp_parts(data):
        if kind == SENDER_REPORT and len(part) >= 16:
            seconds, fraction = struct.unpack("!II", part[8:16])
            return int((seconds & 0xFFFF) << 16 | fraction >> 16)
    return None


@dataclass(frozen=True)
class Report:
    """What a sender report says; the block about the other end is optional."""

    ssrc: int
    wall_clock_s: float
    timestamp: int
    packets: int
    octets: int
    about_ssrc: int | None = None
    highest_sequence_number: int = 0
    last_sr: int = 0
    since_last_sr_s: float = 0.0
    lost_of_256: int = 0
    """Of the packets since the last report."""
    jitter: int = 0
    """In ticks of the clock of what is heard."""


def report_to_bytes(report: Report) -> bytes:
    """Print a compound packet: sender report and CNAME (RFC 3550 §6.1)."""
    ntp = report.wall_clock_s + _NTP_OFFSET_S
    blocks = b""
    if report.about_ssrc is not None:
        blocks = struct.pack(
            "!IIIIII",
            report.about_ssrc,
            report.lost_of_256 << 24,
            report.highest_sequence_number,
            report.jitter,
            report.last_sr,
            int(report.since_last_sr_s * 65536),
        )
    body = struct.pack(
        "!IIIIII",
        report.ssrc,
        int(ntp),
        int(ntp % 1 * 2**32),
        report.timestamp & 0xFFFFFFFF,
        report.packets,
        report.octets,
    )
    count = 1 if blocks else 0
    head = struct.pack("!BBH", 0x80 | count, SENDER_REPORT, (len(body) + len(blocks)) // 4)
    cname = struct.pack("!BBHIBB", 0x81, SOURCE_DESCRIPTION, 3, report.ssrc, 1, 4) + b"peer\0\0"
    return head + body + blocks + cname


def key_frame_request_to_bytes(own_ssrc: int, media_ssrc: int, *, fir_number: int | None = None) -> bytes:
    """Print an empty receiver report and a PLI, or with the number of the command a FIR (RFC 5104 §4.3.1)."""
    empty = struct.pack("!BBHI", 0x80, RECEIVER_REPORT, 1, own_ssrc)
    if fir_number is None:
        return empty + struct.pack("!BBHII", 0x81, PAYLOAD_FEEDBACK, 2, own_ssrc, media_ssrc)
    entry = struct.pack("!IB3x", media_ssrc, fir_number & 0xFF)
    return empty + struct.pack("!BBHII", 0x84, PAYLOAD_FEEDBACK, 4, own_ssrc, 0) + entry


def bitrate_request_to_bytes(own_ssrc: int, media_ssrc: int, kbps: int) -> bytes:
    """Print an empty receiver report and a TMMBR (RFC 5104 §4.2.1)."""
    empty = struct.pack("!BBHI", 0x80, RECEIVER_REPORT, 1, own_ssrc)
    head = struct.pack("!BBHII", 0x80 | _TMMBR, TRANSPORT_FEEDBACK, 4, own_ssrc, 0)
    return empty + head + struct.pack("!II", media_ssrc, kbps * 1000 >> 4 << 9 | 4 << 26 | 40)


def confirms_bitrate(data: bytes) -> bool:
    """Say whether a compound packet has a TMMBN: the sender keeps to a TMMBR (RFC 5104 §4.2.2)."""
    return any((kind, fmt) == (TRANSPORT_FEEDBACK, _TMMBN) for kind, fmt, _ in rtcp_parts(data))


def dtmf_event_to_bytes(digit: str, *, duration: int, end: bool, volume: int = 10) -> bytes:
    """Print a telephone-event payload; `duration` is in timestamp units."""
    return struct.pack("!BBH", DTMF_DIGITS.index(digit), (0x80 if end else 0) | volume, duration)


def dtmf_digit(payload: bytes) -> str | None:
    """Return the digit of a telephone-event payload, None for other events."""
    return DTMF_DIGITS[payload[0]] if len(payload) >= 4 and payload[0] < len(DTMF_DIGITS) else None


@dataclass(frozen=True)
class KeyPress:
    """One telephone-event from its first packet to its last."""

    digit: str
    duration_ms: float
    ended: bool
    """A packet with the end bit came (RFC 4733 §2.3.3)."""


def key_presses(packets: Iterable[RtpPacket], clock_hz: int) -> list[KeyPress]:
    """Read telephone-event packets; those of one event have one timestamp (RFC 4733 §2.2.1), which orders the events.

    A relay that gets no time to run sends packets out of order.
    """
    packets = list(packets)
    first = packets[0].timestamp if packets else 0
    events: dict[int, KeyPress] = {}
    for packet in packets:
        digit = dtmf_digit(packet.payload)
        if digit is None:
            continue
        duration_ms = int(struct.unpack("!H", packet.payload[2:4])[0]) * 1000 / clock_hz
        known = events.get(packet.timestamp, KeyPress(digit, 0.0, ended=False))
        if known.digit != digit:
            raise ValueError("two digits in one event")
        ended = known.ended or bool(packet.payload[1] & 0x80)
        events[packet.timestamp] = KeyPress(digit, max(known.duration_ms, duration_ms), ended)
    # as a signed distance: timestamps wrap (RFC 3550 §5.1)
    order = sorted(events, key=lambda timestamp: (timestamp - first + 0x80000000) & 0xFFFFFFFF)
    return [events[timestamp] for timestamp in order]
