"""A plain RTP endpoint that sends a tone and tells which tone it hears; Opus, G.711 and AMR-WB by FFmpeg."""

import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from types import TracebackType
from typing import Final, NamedTuple, Self

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

PTIME_S: Final = 0.02
# Bytes of an AMR-WB speech frame in storage format, without its header, by frame type (RFC 4867 §5.3).
_AMR_WB_BYTES: Final = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5)


class Codec(NamedTuple):
    """How a codec is encoded, decoded and clocked."""

    encoder: str
    decoder: str
    sample_rate_hz: int
    rtp_clock_hz: int


CODECS: Final = {
    "opus": Codec("libopus", "libopus", 48_000, 48_000),
    "PCMA": Codec("pcm_alaw", "pcm_alaw", 8_000, 8_000),
    "PCMU": Codec("pcm_mulaw", "pcm_mulaw", 8_000, 8_000),
    "AMR-WB": Codec("libvo_amrwbenc", "amrwb", 16_000, 16_000),
    "AMR-WB-OA": Codec("libvo_amrwbenc", "amrwb", 16_000, 16_000),
}


class Packet(NamedTuple):
    """A received RTP packet."""

    payload_type: int
    payload: bytes
    timestamp: int = 0


def tone_payloads(codec: str, frequency_hz: int, packets: int) -> list[bytes]:
    """Encode a sine as RTP payloads of 20 ms each."""
    if codec in _AMR_WB_FORMATS:
        return _amr_wb_payloads(_AMR_WB_FORMATS[codec], frequency_hz, packets)
    facts = CODECS[codec]
    samples = int(facts.sample_rate_hz * PTIME_S)
    encoder = av.CodecContext.create(facts.encoder, "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = facts.sample_rate_hz, "mono", "s16"
    encoder.time_base = Fraction(1, facts.sample_rate_hz)
    payloads = []
    for index in range(packets):
        at = np.arange(index * samples, (index + 1) * samples)
        wave = (9000 * np.sin(2 * np.pi * frequency_hz * at / facts.sample_rate_hz)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = facts.sample_rate_hz, index * samples
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    return payloads


def _amr_wb_payloads(write: Callable[[int, bytes], bytes], frequency_hz: int, packets: int) -> list[bytes]:
    source = f"sine=frequency={frequency_hz}:sample_rate=16000:duration={packets * PTIME_S}"
    command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", source]
    command += ["-c:a", "libvo_amrwbenc", "-b:a", "23850", "-f", "amr", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout.removeprefix(b"#!AMR-WB\n")
    payloads = []
    while data:
        size = _AMR_WB_BYTES[data[0] >> 3 & 15]
        payloads.append(write(data[0], data[1 : 1 + size]))
        data = data[1 + size :]
    return payloads


def _bandwidth_efficient(header: int, frame: bytes) -> bytes:
    """Put CMR 15, table of contents and speech bits together (RFC 4867 §4.3)."""
    frame_type, quality = header >> 3 & 15, header >> 2 & 1
    bits = (15 << 6 | frame_type << 1 | quality) << 8 * len(frame) | int.from_bytes(frame, "big")
    length_bits = 10 + 8 * len(frame)
    return (bits << -length_bits % 8).to_bytes((length_bits + 7) // 8, "big")


def _octet_aligned(header: int, frame: bytes) -> bytes:
    """Put CMR 15 before a frame in storage format, which is what this payload format has (RFC 4867 §4.4)."""
    return bytes([15 << 4, header]) + frame


_AMR_WB_FORMATS: Final = {"AMR-WB": _bandwidth_efficient, "AMR-WB-OA": _octet_aligned}


def _storage_format(payload: bytes) -> bytes:
    """Undo `_bandwidth_efficient` for a decoder."""
    bits = int.from_bytes(payload, "big")
    frame_type = bits >> 8 * len(payload) - 9 & 15
    quality = bits >> 8 * len(payload) - 10 & 1
    size = _AMR_WB_BYTES[frame_type]
    speech = (bits << 10 & (1 << 8 * len(payload)) - 1).to_bytes(len(payload), "big")[:size]
    return bytes([frame_type << 3 | quality << 2]) + speech.ljust(size, b"\0")


def pcm_of(codec: str, payloads: list[bytes]) -> NDArray[np.int16]:
    """Decode payloads."""
    facts = CODECS[codec]
    decoder = av.CodecContext.create(facts.decoder, "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.sample_rate, decoder.layout = facts.sample_rate_hz, "mono"
    pieces = []
    resampler = av.AudioResampler(format="s16", layout="mono", rate=facts.sample_rate_hz)
    for payload in payloads:
        data = payload
        if codec == "AMR-WB":
            data = _storage_format(payload)
        elif codec == "AMR-WB-OA":
            data = payload[1:]
        for frame in decoder.decode(av.Packet(data)):
            assert isinstance(frame, av.AudioFrame)
            pieces += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return np.concatenate(pieces).astype(np.int16)


def loudest_frequency_hz(codec: str, payloads: list[bytes]) -> int:
    """Decode payloads and return the frequency of the strongest tone, 0 for silence."""
    facts = CODECS[codec]
    wave = pcm_of(codec, payloads).astype(float)[-facts.sample_rate_hz // 2 :]
    if np.sqrt(np.mean(wave**2)) < 100:
        return 0
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return round((int(np.argmax(spectrum[3:])) + 3) * facts.sample_rate_hz / len(wave))


class RtpPeer:
    """One RTP port on `host`; everything received is kept, telephone-event packets included."""

    def __init__(self, host: str, *, sent: int = 0) -> None:
        """`sent`: how many packets it counts as sent already; aiortc takes small steps back for late packets."""
        self.host = host
        self.packets: list[Packet] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        # Goes on from one `send` to the next, as a stream does.
        self._sent = sent
        self._closing = False
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._socket.sendto(b"", (self.host, self.port))  # wakes the reader
        self._reader.join()
        self._socket.close()

    def send(
        self, payloads: list[bytes], *, codec: str, payload_type: int, to: tuple[str, int], ssrc: int
    ) -> None:
        """Send one payload every 20 ms, which is the pace of the medium and waits for nothing."""
        step = int(CODECS[codec].rtp_clock_hz * PTIME_S)
        started = time.monotonic()
        for index, payload in enumerate(payloads):
            self._sent += 1
            header = struct.pack("!BBHII", 0x80, payload_type, self._sent, self._sent * step, ssrc)
            self._socket.sendto(header + payload, to)
            time.sleep(max(0.0, started + (index + 1) * PTIME_S - time.monotonic()))

    def press(
        self,
        digit: int,
        *,
        payload_type: int,
        to: tuple[str, int],
        ssrc: int,
        step: int = 960,
        steps: int = 11,
    ) -> None:
        """Send one telephone-event (RFC 4733 §2.5.1) of `steps` times 20 ms, each of `step` units of its clock."""
        started, start = time.monotonic(), (self._sent + 1) * step
        for number in range(1, steps + 3):
            self._sent += 1
            ended = number >= steps
            marker = 0x80 if number == 1 else 0
            header = struct.pack("!BBHII", 0x80, marker | payload_type, self._sent, start, ssrc)
            event = struct.pack("!BBH", digit, (0x80 if ended else 0) | 10, step * min(number, steps))
            self._socket.sendto(header + event, to)
            time.sleep(max(0.0, started + number * PTIME_S - time.monotonic()))

    def payloads(self, payload_type: int) -> list[bytes]:
        """Return what came with this payload type."""
        return [packet.payload for packet in self.packets if packet.payload_type == payload_type]

    def payload_types(self) -> set[int]:
        """Return the payload types that came."""
        return {packet.payload_type for packet in self.packets}

    def wait_for(self, payload_type: int, packets: int, timeout_s: float = 3.0) -> bool:
        """Wait until so many packets of a payload type have come; tell whether they did."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.payloads(payload_type)) >= packets, timeout_s)

    def _read(self) -> None:
        while not self._closing:
            data = self._socket.recv(2048)
            if len(data) < 12 or 200 <= data[1] <= 206:
                continue
            with self._arrived:
                timestamp = int.from_bytes(data[4:8], "big")
                self.packets.append(Packet(data[1] & 0x7F, data[12 + 4 * (data[0] & 15) :], timestamp))
                self._arrived.notify_all()
