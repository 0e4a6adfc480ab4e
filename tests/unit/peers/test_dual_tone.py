"""The DTMF detector of the tests: made tones, and what is no key."""

import numpy as np
import pytest

from tests.peers.dual_tone import HIGH_HZ, KEYS, LOW_HZ, keys_heard
from tests.peers.tone import Samples, sine


def dual_tone(key: str, ms: int, rate_hz: int) -> Samples:
    """Make the tone of a key."""
    row, column = divmod(KEYS.index(key), 4)
    count = ms * rate_hz // 1000
    low = sine(LOW_HZ[row], rate_hz=rate_hz, start=0, count=count)
    high = sine(HIGH_HZ[column], rate_hz=rate_hz, start=0, count=count)
    return low // 2 + high // 2


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_every_key_with_its_length(rate_hz: int) -> None:
    pause = np.zeros(rate_hz // 10, np.int16)
    parts = [part for key in KEYS for part in (pause, dual_tone(key, 160, rate_hz))]
    heard = keys_heard(np.concatenate([*parts, pause]), rate_hz)
    assert "".join(key for key, _ in heard) == KEYS
    assert all(abs(ms - 160) <= 15 for _, ms in heard), heard


def test_no_key_in_other_sounds() -> None:
    noise = np.random.default_rng(1).integers(-9000, 9000, 8000).astype(np.int16)
    for sound in (noise, sine(697, rate_hz=8000, start=0, count=8000), np.zeros(8000, np.int16)):
        assert keys_heard(sound, 8000) == []
