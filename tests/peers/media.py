"""The RTP endpoint of the IMS side: one m-line, one socket pair, its own threads.

Knows pacing, counting and recording. Must not know SIP; SDP only as far as where to send.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

from tests.peers.rtp import (
    Report,
    RtpPacket,
    bitrate_request_to_bytes,
    confirms_bitrate,
    dtmf_digit,
    dtmf_event_to_bytes,
    is_rtcp,
    key_frame_request_to_bytes,
    key_frame_requests,
    middle_ntp,
    report_to_bytes,
    rtp_from_bytes,
    rtp_to_bytes,
)
from tests.peers.sdp import sdp_from_text
from tests.peers.tone import Peak, Samples, g711_to_samples, peak_of, samples_to_g711, sine
from tests.peers.video import CLOCK_HZ, FRAMES_PER_S, DecodedVideo, VideoEncoder, decode_video

STATIC_CODECS: Final = {0: "PCMU", 8: "PCMA"}
_AUDIO_RATE_HZ: Final = 8000
_FRAME_S: Final = 0.02
_REPORT_EVERY_S: Final = 1.0
_KEPT_PACKETS: Final = 5000
_POLL_S: Final = 0.2
_MOST_LATE_S: Final = 0.5
"""Who is later goes on from where it is: rtpengine 10.5 stops reading a port where bursts of 50 packets wait."""
_SILENCE: Final = 328
"""A hundredth of full scale."""
_DTMF_PACKETS: Final = 8
_DTMF_END_PACKETS: Final = 3


class MediaTimeoutError(AssertionError):
    """The awaited media did not come."""


def even_port_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Bind an even RTP port and the odd RTCP port above it."""
    for _ in range(200):
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port = random.randrange(40000, 60000, 2)
        try:
            rtp.bind((host, port))
            rtcp.bind((host, port + 1))
        except OSError:
            rtp.close()
            rtcp.close()
            continue
        return rtp, rtcp
    raise OSError(f"no free port pair on {host}")


class RtpEndpoint:
    """Sends a tone or a test picture and records what comes in; use as a context manager.

    `speed` is how many times faster than real time everything is sent: only for two of these with nothing between
    them that goes by the clock.
    """

    def __init__(self, host: str = "127.0.0.1", *, speed: float = 1.0) -> None:
        self.host = host
        self._speed = speed
        self._rtp, self._rtcp = even_port_pair(host)
        self.port: int = self._rtp.getsockname()[1]
        self.ssrc = random.getrandbits(32)
        self._next_sequence = random.getrandbits(15)
        self._last_sent: tuple[float, int] | None = None  # when, with which timestamp
        self.packets_by_payload_type: Counter[int] = Counter()
        self.packets_by_ssrc: Counter[int] = Counter()
        self.rtcp_packets = 0
        self.key_frame_requests: list[str] = []
        self.bitrate_confirmed = threading.Event()
        """The sender keeps to what request_bitrate() wanted."""
        self.packets_sent = 0
        self.first_packet_at_s: float | None = None
        """Monotonic time of the first packet received."""
        self.first_sound_at_s: float | None = None
        """Monotonic time of the first packet of G.711 that is not silence."""
        self._digits: list[tuple[int, str]] = []
        self._event_payload_types: set[int] = set()
        self._packets: dict[int, list[RtpPacket]] = {}
        self._octets_sent = 0
        self._last_timestamp = 0
        self._last_sr: tuple[int, float] = (0, 0.0)
        self.target: tuple[str, int, int] | None = None
        """Address, RTP port and RTCP port packets go to."""
        self.extensions: dict[int, bytes] = {}
        """Header extensions of what is sent (RFC 8285)."""
        self.bad_news: dict[str, int] = {}  # its reports say so, though it is not: lost_of_256, jitter
        self.obeys_feedback = True
        """Whether RTCP that asks for a key frame gets one."""
        self._key_frame_wanted = threading.Event()
        self._fir_numbers = itertools.count()
        self._stopped = threading.Event()
        self._sending: tuple[threading.Event, threading.Thread] | None = None
        self._pending_digits: list[tuple[str, int, int]] = []
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        for sock in (self._rtp, self._rtcp):
            self._run(self._receive, sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all threads and close the sockets."""
        self._stopped.set()
        for sock in (self._rtp, self._rtcp):
            sock.sendto(b"", sock.getsockname())  # wakes its reader
        for thread in self._threads:
            thread.join()
        self._rtp.close()
        self._rtcp.close()

    # ------------------------------------------------------------------ sending

    def send_to(self, address: str, port: int, rtcp_port: int | None = None) -> None:
        """Set where packets go; RTCP goes one port higher unless told."""
        self.target = (address, port, rtcp_port or port + 1)

    def send_to_sdp(self, sdp: str, kind: str = "audio", index: int = 0) -> None:
        """Set where packets go from the other end's session description.

        Raises:
            ValueError: the description says 0.0.0.0, which is a hold (RFC 3264 §8.4).
        """
        parsed = sdp_from_text(sdp)
        section = parsed.section(kind, index)
        line = next((ln for ln in section.lines if ln.startswith("c=")), None)
        rtcp = section.attribute("rtcp")
        rtcp_port = section.port if section.attribute("rtcp-mux") is not None else None
        if rtcp_port is None and rtcp:
            rtcp_port = int(rtcp.split()[0])
        address = line.split()[2] if line else parsed.address
        if address == "0.0.0.0":
            raise ValueError(f"{kind} has the connection address 0.0.0.0")
        self.send_to(address, section.port, rtcp_port)

    def start_tone(self, hz: float = 440.0, payload_type: int = 8) -> None:
        """Send a tone as PCMA (8) or PCMU (0) every 20 ms."""
        self._start(lambda stop: self._send_tone(hz, payload_type, stop))

    def start_video(self, codec: str = "VP8", payload_type: int = 99, *, begun: bool = False) -> None:
        """Send a moving picture; after the first one a key frame only when it is asked for.

        `begun`: as if it had begun before; the first picture, a key frame, is not sent.
        """
        self._start(lambda stop: self._send_video(codec, payload_type, stop, begun=begun))

    def stop_sending(self) -> None:
        """Stop tone or video; nothing of it leaves any more."""
        if self._sending is not None:
            self._sending[0].set()
            self._sending[1].join()
            self._sending = None

    def send_digit(self, digit: str, payload_type: int, packets: int = _DTMF_PACKETS) -> None:
        """Send a telephone event in place of the running tone; it lasts `packets` times 20 ms."""
        self._pending_digits.append((digit, payload_type, packets))

    def request_key_frame(self, how: str = "PLI") -> None:
        """Send a PLI or a FIR for the stream received last."""
        newest = next(reversed(self.packets_by_ssrc), 0)
        if self.target is None:
            return
        number = next(self._fir_numbers) if how == "FIR" else None
        request = key_frame_request_to_bytes(self.ssrc, newest, fir_number=number)
        self._rtcp.sendto(request, (self.target[0], self.target[2]))

    def send_key_frame(self) -> None:
        """Make the next picture a key frame."""
        self._key_frame_wanted.set()

    def request_bitrate(self, kbps: int) -> None:
        """Send a TMMBR for the stream received last."""
        newest = next(reversed(self.packets_by_ssrc), 0)
        if self.target is not None:
            request = bitrate_request_to_bytes(self.ssrc, newest, kbps)
            self._rtcp.sendto(request, (self.target[0], self.target[2]))

    # ---------------------------------------------------------------- receiving

    def expect_events(self, payload_type: int) -> None:
        """Name the payload type of telephone events, so that digits are read."""
        self._event_payload_types.add(payload_type)

    def forget_received(self) -> None:
        """Listen anew, as after a pause."""
        with self._changed:
            self._packets.clear()

    @property
    def packets_received(self) -> int:
        """All RTP packets."""
        return self.packets_by_payload_type.total()

    @property
    def digits(self) -> str:
        """Digits received, each event once."""
        with self._changed:
            return "".join(digit for _, digit in self._digits)

    def packets(self, payload_type: int) -> list[RtpPacket]:
        """Return the recorded packets of a payload type in order of arrival."""
        with self._changed:
            return list(self._packets.get(payload_type, []))

    def heard(self, payload_type: int = 8) -> Peak | None:
        """Return the spectral peak of the last second of PCMA or PCMU; None when there is too little."""
        recorded = self.packets(payload_type)[-50:]
        if not recorded:
            return None
        payload = b"".join(packet.payload for packet in recorded)
        samples: Samples = g711_to_samples(payload, STATIC_CODECS[payload_type])
        return peak_of(samples, _AUDIO_RATE_HZ)

    def decoded(self, codec: str, payload_type: int) -> DecodedVideo:
        """Decode the video recorded so far."""
        return decode_video(self.packets(payload_type), codec)

    def wait(self, done: Callable[[RtpEndpoint], bool], *, what: str, timeout_s: float = 5.0) -> None:
        """Wait until `done`, looked at whenever a packet came.

        Raises:
            MediaTimeoutError: not within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while not done(self):
            with self._changed:
                self._changed.wait(max(0.0, min(_POLL_S, deadline - time.monotonic())))
            if time.monotonic() > deadline and not done(self):
                counts = dict(self.packets_by_payload_type)
                raise MediaTimeoutError(f"{what} not within {timeout_s} s; packets by payload type: {counts}")

    async def until(self, done: Callable[[RtpEndpoint], bool], *, what: str, timeout_s: float = 5.0) -> None:
        """Wait as `wait` does, without blocking the event loop."""
        await asyncio.to_thread(self.wait, done, what=what, timeout_s=timeout_s)

    async def until_tone(self, hz: float, *, payload_type: int = 8, timeout_s: float = 5.0) -> Peak:
        """Wait until a tone of `hz` is heard and return its peak."""

        def heard(endpoint: RtpEndpoint) -> bool:
            peak = endpoint.heard(payload_type)
            return peak is not None and peak.is_near(hz)

        await self.until(heard, what=f"{hz} Hz", timeout_s=timeout_s)
        peak = self.heard(payload_type)
        assert peak is not None
        return peak

    # ------------------------------------------------------------------ threads

    def _run(self, work: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _start(self, work: Callable[[threading.Event], None]) -> None:
        if self.target is None:
            raise RuntimeError("send_to() first")
        self.stop_sending()
        stop = threading.Event()
        self._sending = stop, self._run(work, stop)

    def _receive(self, sock: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                data = sock.recv(4096)
            except ConnectionError:  # ICMP from an earlier packet of ours
                continue
            if self._stopped.is_set():
                return
            if not (data := self.opened(data)):
                continue
            with self._changed:
                if is_rtcp(data):
                    self._take_rtcp(data)
                else:
                    self._take_rtp(data)
                self._changed.notify_all()

    def sealed(self, packet: bytes) -> bytes:
        """Return a packet as it is sent."""
        return packet

    def opened(self, packet: bytes) -> bytes:
        """Return a packet as it was before it was sent, b"" for one that is not for us."""
        return packet

    def _take_rtcp(self, data: bytes) -> None:
        self.rtcp_packets += 1
        last = middle_ntp(data)
        if last is not None:
            self._last_sr = (last, time.monotonic())
        if confirms_bitrate(data):
            self.bitrate_confirmed.set()
        asked = key_frame_requests(data)
        if asked:
            self.key_frame_requests += asked
            if self.obeys_feedback:
                self.send_key_frame()

    def _take_rtp(self, data: bytes) -> None:
        try:
            packet = rtp_from_bytes(data)
        except ValueError:
            return
        if self.first_packet_at_s is None:
            self.first_packet_at_s = time.monotonic()
        if self.first_sound_at_s is None and self._is_sound(packet):
            self.first_sound_at_s = time.monotonic()
        self.packets_by_payload_type[packet.payload_type] += 1
        self.packets_by_ssrc[packet.ssrc] += 1
        if packet.payload_type in self._event_payload_types:
            digit = dtmf_digit(packet.payload)
            if digit is not None and (packet.timestamp, digit) not in self._digits:
                self._digits.append((packet.timestamp, digit))
        kept = self._packets.setdefault(packet.payload_type, [])
        kept.append(packet)
        if len(kept) > _KEPT_PACKETS:
            del kept[: _KEPT_PACKETS // 2]

    def _is_sound(self, packet: RtpPacket) -> bool:
        codec = STATIC_CODECS.get(packet.payload_type)
        return codec is not None and bool((abs(g711_to_samples(packet.payload, codec)) > _SILENCE).any())

    def _send_tone(self, hz: float, payload_type: int, stop: threading.Event) -> None:
        codec = STATIC_CODECS[payload_type]
        per_frame = int(_AUDIO_RATE_HZ * _FRAME_S)
        offset, sequence = self._next_timestamp(_AUDIO_RATE_HZ), self._next_sequence
        number = 0
        ticks = self._ticks(_FRAME_S, stop)
        for _ in ticks:
            timestamp = offset + number * per_frame
            if self._pending_digits:
                digit, event_type, packets = self._pending_digits.pop(0)
                sequence = self._send_event(digit, event_type, packets, sequence, timestamp, ticks)
                number += packets + _DTMF_END_PACKETS
            else:
                samples = sine(hz, rate_hz=_AUDIO_RATE_HZ, start=number * per_frame, count=per_frame)
                self._send(payload_type, sequence, timestamp, samples_to_g711(samples, codec), number == 0)
                sequence += 1
                number += 1

    def _send_event(
        self,
        digit: str,
        payload_type: int,
        packets: int,
        sequence: int,
        timestamp: int,
        ticks: Iterator[None],
    ) -> int:
        """Send one event in the tone's own time: its first packet belongs to the tick that is there."""
        per_frame = int(_AUDIO_RATE_HZ * _FRAME_S)
        for count in range(1, packets + _DTMF_END_PACKETS + 1):
            if count > 1:
                next(ticks, None)
            end = count > packets
            payload = dtmf_event_to_bytes(digit, duration=min(count, packets) * per_frame, end=end)
            self._send(payload_type, sequence, timestamp, payload, count == 1)
            sequence += 1
        return sequence

    def _send_video(self, codec: str, payload_type: int, stop: threading.Event, *, begun: bool) -> None:
        encoder = VideoEncoder(codec)
        offset, sequence = self._next_timestamp(CLOCK_HZ), self._next_sequence
        for number, _ in enumerate(self._ticks(1 / FRAMES_PER_S, stop)):
            wanted = self._key_frame_wanted.is_set() or number == 0
            self._key_frame_wanted.clear()
            payloads = encoder.payloads(number, key_frame=wanted)
            if begun and number == 0:
                continue
            timestamp = offset + number * CLOCK_HZ // FRAMES_PER_S
            for index, payload in enumerate(payloads, 1):
                self._send(payload_type, sequence, timestamp, payload, index == len(payloads))
                sequence += 1

    def _next_timestamp(self, rate_hz: int) -> int:
        """Return where the stream goes on: one SSRC counts on (RFC 3550 §5.1), or SRTP takes it for a replay."""
        if self._last_sent is None:
            return random.getrandbits(30)
        return self._last_sent[1] + max(1, int((time.monotonic() - self._last_sent[0]) * rate_hz))

    def _ticks(self, every_s: float, stop: threading.Event) -> Iterator[None]:
        start = time.monotonic()
        next_report = start
        number = 0
        while not stop.is_set() and not self._stopped.is_set():
            yield
            if time.monotonic() >= next_report:
                self._send_report()
                next_report += _REPORT_EVERY_S / self._speed
            number += 1
            early_s = start + number * every_s / self._speed - time.monotonic()
            if early_s < -_MOST_LATE_S:
                start -= early_s
            time.sleep(max(0.0, early_s))

    def _send(self, payload_type: int, sequence: int, timestamp: int, payload: bytes, marker: bool) -> None:
        assert self.target is not None
        packet = RtpPacket(payload_type, sequence, timestamp, self.ssrc, payload, marker, self.extensions)
        self._last_timestamp = timestamp
        self._next_sequence, self._last_sent = sequence + 1, (time.monotonic(), timestamp)
        self._rtp.sendto(self.sealed(rtp_to_bytes(packet)), self.target[:2])
        self.packets_sent += 1
        self._octets_sent += len(payload)

    def _send_report(self) -> None:
        assert self.target is not None
        if not self.packets_sent:
            return
        last_sr, heard_at_s = self._last_sr
        report = Report(
            self.ssrc,
            time.time(),
            *(self._last_timestamp, self.packets_sent, self._octets_sent),
            about_ssrc=next(reversed(self.packets_by_ssrc), None),
            last_sr=last_sr,
            since_last_sr_s=time.monotonic() - heard_at_s if last_sr else 0.0,
            **self.bad_news,
        )
        self._rtcp.sendto(self.sealed(report_to_bytes(report)), (self.target[0], self.target[2]))
