"""An RTP endpoint that sends a tone and tells which tone it hears; Opus, G.711, G.722 and AMR by FFmpeg."""

import socket
import struct
import subprocess
import threading
import time
from fractions import Fraction
from types import TracebackType
from typing import Final, NamedTuple, Self

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

PTIME_S: Final = 0.02
# Speech bits of an AMR and an AMR-WB frame by frame type, comfort noise last (TS 26.101, TS 26.201).
_AMR_BITS: Final = (95, 103, 118, 134, 148, 159, 204, 244, 39)
_AMR_WB_BITS: Final = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
NO_DATA: Final = 15


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
    "G722": Codec("g722", "g722", 16_000, 8_000),
    "AMR": Codec("libopencore_amrnb", "amrnb", 8_000, 8_000),
    "AMR-OA": Codec("libopencore_amrnb", "amrnb", 8_000, 8_000),
    "AMR-WB": Codec("libvo_amrwbenc", "amrwb", 16_000, 16_000),
    "AMR-WB-OA": Codec("libvo_amrwbenc", "amrwb", 16_000, 16_000),
}


class Packet(NamedTuple):
    """A received RTP packet."""

    payload_type: int
    payload: bytes
    timestamp: int = 0


def tone_payloads(codec: str, frequency_hz: int, packets: int, bitrate: int = 0) -> list[bytes]:
    """Encode a sine as RTP payloads of 20 ms each."""
    if codec.startswith("AMR"):
        return [
            amr_payload(codec, header, frame)
            for header, frame in amr_frames(codec, frequency_hz, packets, bitrate)
        ]
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


def amr_frames(codec: str, frequency_hz: int, packets: int, bitrate: int = 0) -> list[tuple[int, bytes]]:
    """Encode a sine as frames in storage format, header and speech apart (RFC 4867 §5.3)."""
    wide = "WB" in codec
    rate, magic = (16_000, b"#!AMR-WB\n") if wide else (8_000, b"#!AMR\n")
    source = f"sine=frequency={frequency_hz}:sample_rate={rate}:duration={packets * PTIME_S}"
    command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", source, "-c:a", CODECS[codec].encoder]
    command += ["-b:a", str(bitrate or (23_850 if wide else 12_200)), "-f", "amr", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout.removeprefix(magic)
    frames = []
    while data:
        size = -(-_bits(codec, data[0] >> 3 & 15) // 8)
        frames.append((data[0], data[1 : 1 + size]))
        data = data[1 + size :]
    return frames


def amr_payload(codec: str, header: int, frame: bytes) -> bytes:
    """Put CMR 15, table of contents and one frame together (RFC 4867 §4.3, §4.4)."""
    if codec.endswith("-OA"):
        return bytes([15 << 4, header]) + frame
    frame_type, quality = header >> 3 & 15, header >> 2 & 1
    speech = _bits(codec, frame_type)
    bits = (15 << 6 | frame_type << 1 | quality) << speech
    bits |= int.from_bytes(frame, "big") >> 8 * len(frame) - speech
    length_bits = 10 + speech
    return (bits << -length_bits % 8).to_bytes((length_bits + 7) // 8, "big")


def _bits(codec: str, frame_type: int) -> int:
    known = _AMR_WB_BITS if "WB" in codec else _AMR_BITS
    return known[frame_type] if frame_type < len(known) else 0


def amr_frame_type(codec: str, payload: bytes) -> int:
    """Return the mode of a payload's first frame."""
    return payload[1] >> 3 & 15 if codec.endswith("-OA") else int.from_bytes(payload[:2], "big") >> 7 & 15


def _storage_format(codec: str, payload: bytes) -> bytes:
    """Undo `amr_payload` for a decoder."""
    if codec.endswith("-OA"):
        return payload[1:]
    bits = int.from_bytes(payload, "big")
    frame_type = bits >> 8 * len(payload) - 9 & 15
    quality = bits >> 8 * len(payload) - 10 & 1
    size = -(-_bits(codec, frame_type) // 8)
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
        data = _storage_format(codec, payload) if codec.startswith("AMR") else payload
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


def opus_packet_ms(payload: bytes) -> float:
    """Return how much sound a packet has (RFC 6716 §3)."""
    configuration, code = payload[0] >> 3, payload[0] & 3
    frames = (1, 2, 2, payload[1] & 63)[code]
    if configuration < 12:
        return frames * (10, 20, 40, 60)[configuration & 3]
    return frames * (
        (10, 20)[configuration & 1] if configuration < 16 else (2.5, 5, 10, 20)[configuration & 3]
    )


FIRST_TIMESTAMP: Final = 0x90000000
"""Any may be the first (RFC 3550 §5.1); some daemons take one of this half for a negative number."""


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
        self._silent = 0
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
        self,
        payloads: list[bytes],
        *,
        codec: str,
        payload_type: int,
        to: tuple[str, int],
        ssrc: int,
        frames: int = 1,
    ) -> None:
        """Send one payload of so many frames every 20 ms times their number: the pace of the medium."""
        step = int(CODECS[codec].rtp_clock_hz * PTIME_S * frames)
        started = time.monotonic()
        for index, payload in enumerate(payloads):
            self._sent += 1
            timestamp = FIRST_TIMESTAMP + (self._sent + self._silent) * step
            header = struct.pack("!BBHII", 0x80, payload_type, self._sent & 0xFFFF, timestamp, ssrc)
            self._socket.sendto(self.sealed(header + payload), to)
            time.sleep(max(0.0, started + (index + 1) * PTIME_S * frames - time.monotonic()))

    def pause(self, packets: int) -> None:
        """Send nothing for as long as so many packets of 20 ms take; time stamps go on, sequence numbers do not."""
        self._silent += packets
        time.sleep(packets * PTIME_S)

    def sealed(self, packet: bytes) -> bytes:
        """Encrypt what is sent; here nothing is."""
        return packet

    def opened(self, packet: bytes) -> bytes:
        """Decrypt what came."""
        return packet

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
        started, start = time.monotonic(), FIRST_TIMESTAMP + (self._sent + 1) * step
        for number in range(1, steps + 3):
            self._sent += 1
            ended = number >= steps
            marker = 0x80 if number == 1 else 0
            header = struct.pack("!BBHII", 0x80, marker | payload_type, self._sent & 0xFFFF, start, ssrc)
            event = struct.pack("!BBH", digit, (0x80 if ended else 0) | 10, step * min(number, steps))
            self._socket.sendto(header + event, to)
            time.sleep(max(0.0, started + number * PTIME_S - time.monotonic()))

    def payloads(self, payload_type: int) -> list[bytes]:
        """Return what came with this payload type."""
        return [packet.payload for packet in self.packets if packet.payload_type == payload_type]

    def payload_types(self) -> set[int]:
        """Return the payload types that came."""
        return {packet.payload_type for packet in self.packets}

    def wait_quiet(self, quiet_s: float = 0.06, timeout_s: float = 2.0) -> None:
        """Wait until nothing has come for a while: what was on its way on a busy machine has arrived."""
        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while self._arrived.wait(quiet_s) and time.monotonic() < deadline:
                pass

    def wait_for(self, payload_type: int, packets: int, timeout_s: float = 3.0) -> bool:
        """Wait until so many packets of a payload type have come; tell whether they did."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.payloads(payload_type)) >= packets, timeout_s)

    def _read(self) -> None:
        while not self._closing:
            data = self._socket.recv(2048)
            if len(data) < 12 or 200 <= data[1] <= 206:
                continue
            data = self.opened(data)
            with self._arrived:
                timestamp = int.from_bytes(data[4:8], "big")
                self.packets.append(Packet(data[1] & 0x7F, data[12 + 4 * (data[0] & 15) :], timestamp))
                self._arrived.notify_all()
