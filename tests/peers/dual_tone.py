"""DTMF in the audio itself: which keys a recording holds, and for how long (ITU-T Q.23, Q.24).

Knows samples. Must not know packets.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.peers.tone import Samples

LOW_HZ: Final = (697, 770, 852, 941)
HIGH_HZ: Final = (1209, 1336, 1477, 1633)
KEYS: Final = "123A456B789C*0#D"
_WINDOW_S: Final = 0.02
_STEP_S: Final = 0.005
_LEAST_LEVEL: Final = 300.0
_LEAST_SHARE: Final = 0.7
"""Of the energy: speech and single tones have less in two of these frequencies."""


def keys_heard(samples: Samples, rate_hz: int) -> list[tuple[str, float]]:
    """Return the keys in order, each with its length in milliseconds, within 10 ms."""
    heard: list[tuple[str, float]] = []
    step, window = int(_STEP_S * rate_hz), int(_WINDOW_S * rate_hz)
    last, since = "", 0
    for index, start in enumerate(range(0, len(samples) - window + 1, step)):
        key = _key(samples[start : start + window].astype(np.float64), rate_hz)
        if key != last:
            if last:
                heard.append((last, (index - since) * _STEP_S * 1000))
            last, since = key, index
    return heard


def _key(window: NDArray[np.float64], rate_hz: int) -> str:
    """Return the key that is heard throughout a window, "" for none: Goertzel's sums at eight frequencies."""
    energy = float(np.mean(window**2))
    if energy < _LEAST_LEVEL**2:
        return ""
    shaped = window * np.hanning(len(window))
    time_s = np.arange(len(window)) / rate_hz
    # of a sine of amplitude A: A * len / 4 with this window
    levels = {
        hz: 4 / len(window) * abs(np.sum(shaped * np.exp(-2j * np.pi * hz * time_s)))
        for hz in LOW_HZ + HIGH_HZ
    }
    low, high = max(LOW_HZ, key=levels.__getitem__), max(HIGH_HZ, key=levels.__getitem__)
    share = (levels[low] ** 2 + levels[high] ** 2) / 2 / energy
    if share < _LEAST_SHARE or min(levels[low], levels[high]) < _LEAST_LEVEL / 2:
        return ""
    return KEYS[LOW_HZ.index(low) * 4 + HIGH_HZ.index(high)]
