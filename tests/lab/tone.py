"""The tone in a phone's recording, also while the recording still grows."""

import struct
from pathlib import Path
from typing import Final

import numpy as np

from tests.peers.tone import Peak, Samples, peak_of, tones_of

# RIFF id, size, form and "fmt " id, size, coding, channels, rate, bytes/s, frame, bits, "data" id, size.
_WAV_HEAD: Final = struct.Struct("<4s4x8s4xHHI4x2xH4s4x")

SILENCE_DB: Final = -50.0


class NoRecording(ValueError):
    """The file is not (yet) 16-bit PCM with the canonical 44-byte head."""


def samples_from_wav(path: Path) -> tuple[Samples, int]:
    """Read the first channel and the rate in Hz.

    A recorder that still runs has not written its lengths yet, so they are not believed: everything after the
    head is sound.
    """
    data = path.read_bytes()
    if len(data) < _WAV_HEAD.size:
        raise NoRecording(f"{path.name} has no head")
    riff, form, _, channels, rate, bits, chunk = _WAV_HEAD.unpack_from(data)
    if (riff, form, chunk, bits) != (b"RIFF", b"WAVEfmt ", b"data", 16):
        raise NoRecording(f"{path.name} has another head")
    frame = 2 * channels
    sound = data[_WAV_HEAD.size : len(data) - (len(data) - _WAV_HEAD.size) % frame]
    return np.frombuffer(sound, dtype="<i2")[::channels].astype(np.int16), rate


def recorded_s(path: Path) -> float:
    """Return how long a recording is, in seconds; 0.0 while it is none."""
    try:
        samples, rate = samples_from_wav(path)
    except NoRecording:
        return 0.0
    return len(samples) / rate


def peak_of_wav(path: Path, *, last_s: float = 1.0) -> Peak | None:
    """Return the strongest frequency of a recording's last part; None while there is too little."""
    try:
        samples, rate = samples_from_wav(path)
    except NoRecording:
        return None
    return peak_of(samples, rate, last_s=last_s)


def heard_hz(path: Path, *, last_s: float = 1.0) -> float:
    """Return what `peak_of_wav` hears as a number; 0.0 for silence or too little."""
    peak = peak_of_wav(path, last_s=last_s)
    return peak.hz if peak is not None and peak.level_db > SILENCE_DB else 0.0


def tones_heard(path: Path, *, last_s: float = 1.0) -> list[float]:
    """Return the tones that sound together in a recording's last part, lowest first."""
    try:
        samples, rate = samples_from_wav(path)
    except NoRecording:
        return []
    return tones_of(samples, rate, last_s=last_s)
