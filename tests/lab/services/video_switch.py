"""Pictures in a conference room: each participant gets the newest other sender's stream, as it is.

Knows RTP and key frame requests (RFC 4585, RFC 5104), and decodes nothing: who sends another codec than a receiver
takes is not shown to it. Packets get one source, one sequence and one clock per receiver, whoever is shown.
"""

import asyncio
import secrets
import time
from functools import partial
from typing import Final

from tests.lab.services.g711_stream import StreamFormat
from tests.peers.rtp import (
    RtpPacket,
    is_rtcp,
    key_frame_request_to_bytes,
    key_frame_requests,
    rtp_from_bytes,
    rtp_to_bytes,
)

CLOCK_HZ: Final = 90000
REQUEST_INTERVAL_S: Final = 0.2
"""A source is asked for key frames no more often."""
SENDING_S: Final = 1.0
"""Who has sent nothing for this long is not shown."""


class VideoStream:
    """One participant's pictures both ways; RTCP on the next port, or on the same one."""

    def __init__(self, form: StreamFormat, switch: "VideoSwitch") -> None:
        self.form = form
        self.packets_received = 0
        self.shown: VideoStream | None = None
        self._switch = switch
        self._ssrc = secrets.randbits(32)
        self._sequence_offset = 0
        self._timestamp_offset = 0
        self._last = RtpPacket(0, secrets.randbits(15), secrets.randbits(31), 0, b"")
        self._source_ssrc = 0
        self._asked_at_s = 0.0
        self._heard_at_s = 0.0
        self._sockets: list[asyncio.DatagramTransport] = []
        self._rtcp_remote: tuple[str, int] | None = None

    async def open(self, address: str, port: int) -> None:
        """Listen for RTP on this port and for RTCP on the next."""
        loop = asyncio.get_running_loop()
        for number in (port, port + 1):
            transport, _ = await loop.create_datagram_endpoint(
                partial(_Socket, self), local_addr=(address, number)
            )
            self._sockets.append(transport)

    def close(self) -> None:
        for transport in self._sockets:
            transport.close()

    def received(self, data: bytes, source: tuple[str, int]) -> None:
        """Take a datagram of either socket."""
        if is_rtcp(data):
            self._rtcp_remote = source
            if key_frame_requests(data) and self.shown is not None:
                self.shown.ask_for_key_frame()
            return
        try:
            packet = rtp_from_bytes(data)
        except ValueError:
            return
        if packet.payload_type == self.form.payload_type and packet.payload:
            self.packets_received += 1
            self._heard_at_s = time.monotonic()
            self._source_ssrc = packet.ssrc
            self._switch.received(self, packet)

    @property
    def is_sending(self) -> bool:
        return time.monotonic() - self._heard_at_s < SENDING_S

    def ask_for_key_frame(self) -> None:
        """Send PLI to the participant."""
        now = time.monotonic()
        if not self._source_ssrc or now - self._asked_at_s < REQUEST_INTERVAL_S:
            return
        self._asked_at_s = now
        host, port = self.form.remote
        request = key_frame_request_to_bytes(self._ssrc, self._source_ssrc)
        self._sockets[1].sendto(request, self._rtcp_remote or (host, port + 1))

    def show(self, source: "VideoStream", packet: RtpPacket) -> None:
        """Send a packet of the source that is to be shown."""
        if self.shown is not source:
            self.shown = source
            self._sequence_offset = self._last.sequence_number + 1 - packet.sequence_number
            self._timestamp_offset = self._last.timestamp + CLOCK_HZ // 10 - packet.timestamp
            source.ask_for_key_frame()
        self._last = RtpPacket(
            self.form.payload_type,
            packet.sequence_number + self._sequence_offset & 0xFFFF,
            packet.timestamp + self._timestamp_offset & 0xFFFFFFFF,
            self._ssrc,
            packet.payload,
            packet.marker,
        )
        self._sockets[0].sendto(rtp_to_bytes(self._last), self.form.remote)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._stream.received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Ignore ICMP: the far end may not listen yet."""


class VideoSwitch:
    """Who is shown to whom, for all rooms."""

    def __init__(self) -> None:
        self._rooms: dict[str, list[VideoStream]] = {}

    def enter(self, room: str, stream: VideoStream) -> None:
        """Put a participant into a room; the newest is last."""
        self._rooms.setdefault(room, []).append(stream)

    def leave(self, stream: VideoStream) -> None:
        """Take a participant out of its room; who saw it sees the newest of the others."""
        for streams in self._rooms.values():
            if stream in streams:
                streams.remove(stream)
            for other in streams:
                if other.shown is stream:
                    other.shown = None

    def received(self, source: VideoStream, packet: RtpPacket) -> None:
        """Hand a packet to all to whom its sender is shown."""
        for streams in self._rooms.values():
            if source in streams:
                for receiver in streams:
                    if _newest_for(receiver, streams) is source:
                        receiver.show(source, packet)


def _newest_for(receiver: VideoStream, streams: list[VideoStream]) -> VideoStream | None:
    for stream in reversed(streams):
        if stream is not receiver and stream.is_sending and stream.form.codec == receiver.form.codec:
            return stream
    return None
