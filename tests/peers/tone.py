"""Tones: G.711 both ways, a sine, and which frequency a recording holds.

Knows samples. Must not know packets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

AMPLITUDE: Final = 9000


@dataclass(frozen=True)
class Peak:
    """The strongest frequency of a recording and its level against full scale."""

    hz: float
    level_db: float

    def is_near(self, hz: float, *, tolerance_hz: float = 15.0, at_least_db: float = -40.0) -> bool:
        """Tell whether this is a tone of `hz`, not silence or noise floor."""
        return abs(self.hz - hz) <= tolerance_hz and self.level_db >= at_least_db


def _alaw_table() -> Samples:
    values = []
    for code in range(256):
        plain = code ^ 0x55
        exponent, mantissa = plain >> 4 & 7, plain & 0x0F
        size = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
        values.append(size if plain & 0x80 else -size)
    return np.array(values, np.int16)


def _ulaw_table() -> Samples:
    values = []
    for code in range(256):
        plain = ~code & 0xFF
        size = (((plain & 0x0F) << 3) + 0x84 << (plain >> 4 & 7)) - 0x84
        values.append(-size if plain & 0x80 else size)
    return np.array(values, np.int16)


G711: Final = {"PCMU": _ulaw_table(), "PCMA": _alaw_table()}
"""Codec name → sample of each code word (ITU-T G.711)."""


def g711_to_samples(payload: bytes, codec: str) -> Samples:
    """Decode PCMA or PCMU."""
    return G711[codec][np.frombuffer(payload, np.uint8)]


def samples_to_g711(samples: Samples, codec: str) -> bytes:
    """Encode to the nearest PCMA or PCMU code word."""
    table = G711[codec].astype(np.int32)
    order = np.argsort(table, kind="stable")
    levels = table[order]
    upper = np.clip(np.searchsorted(levels, samples), 1, 255)
    nearer_below = np.abs(levels[upper] - samples) > np.abs(levels[upper - 1] - samples)
    codes: NDArray[np.uint8] = order[upper - nearer_below].astype(np.uint8)
    return codes.tobytes()


def sine(hz: float, *, rate_hz: int, start: int, count: int) -> Samples:
    """Return `count` samples of a sine from sample number `start`."""
    index = np.arange(start, start + count)
    return (AMPLITUDE * np.sin(2 * np.pi * hz * index / rate_hz)).astype(np.int16)


def peak_of(samples: Samples, rate_hz: int, *, last_s: float = 1.0) -> Peak | None:
    """Return the spectral peak of the last part of a recording; None under a quarter second."""
    if len(samples) < rate_hz // 4:
        return None
    part = samples[-int(rate_hz * last_s) :].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    first = 3  # leave out direct current
    strongest = int(np.argmax(spectrum[first:])) + first
    level = float(np.sqrt(np.mean(part**2))) / 32768
    return Peak(strongest * rate_hz / len(part), float(20 * np.log10(level + 1e-9)))


def tones_of(samples: Samples, rate_hz: int, *, last_s: float = 1.0, within_db: float = 25.0) -> list[float]:
    """Return the frequencies of the tones that sound together, lowest first: what is not far below the loudest.

    Empty for silence and under a quarter second.
    """
    loudest = peak_of(samples, rate_hz, last_s=last_s)
    if loudest is None or loudest.level_db < -50.0:
        return []
    part = samples[-int(rate_hz * last_s) :].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    floor = spectrum[3:].max() * 10 ** (-within_db / 20)
    bins = np.arange(3, len(spectrum) - 3)
    highest = np.array([spectrum[at] == spectrum[at - 3 : at + 4].max() for at in bins])
    return [float(at * rate_hz / len(part)) for at in bins[highest & (spectrum[bins] > floor)]]
