"""What was heard before a change does not count as heard after it."""

from __future__ import annotations

import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from tests.lab.proof import ANEW_S, ProofFailedError, wait_until_heard
from tests.peers.aiortc_wic import ReceivedAudio
from tests.peers.tone import sine

HZ = 1000.0
RATE_HZ = 8000


def record(path: Path, seconds: float) -> None:
    """Write a recording of this length that is a tone."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(sine(HZ, rate_hz=RATE_HZ, start=0, count=int(seconds * RATE_HZ)).tobytes())


def world_of(*paths: Path) -> Any:
    """Return a world whose phones have these recordings, oldest first."""
    phone = SimpleNamespace(recordings=lambda: [path for path in paths if path.exists()])
    return SimpleNamespace(phone=lambda name: phone)


def test_a_recording_that_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "1.wav"
    record(path, 3)
    assert wait_until_heard(world_of(path), "phone", HZ, 1.0) == pytest.approx(HZ, abs=10)
    with pytest.raises(ProofFailedError):
        wait_until_heard(world_of(path), "phone", HZ, 0.2, anew=True)


@pytest.mark.parametrize("later", ["1.wav", "2.wav"], ids=["it grows", "a new one begins"])
def test_one_that_comes_afterwards_counts(tmp_path: Path, later: str) -> None:
    first, second = tmp_path / "1.wav", tmp_path / later
    record(first, 3)
    asked = iter(range(100))
    world = world_of(first, second)
    recordings = world.phone("phone").recordings

    def growing() -> list[Path]:
        if next(asked) == 1:
            record(second, ANEW_S + (3 if second == first else 0))
        return list(recordings())

    world.phone("phone").recordings = growing
    assert wait_until_heard(world, "phone", HZ, 5.0, anew=True) == pytest.approx(HZ, abs=10)


def test_a_page_forgets() -> None:
    ear = ReceivedAudio()
    frame = av.AudioFrame.from_ndarray(
        sine(HZ, rate_hz=48000, start=0, count=48000).reshape(1, -1), format="s16", layout="mono"
    )
    frame.sample_rate = 48000
    ear.take(frame)
    assert ear.peak is not None
    assert ear.peak.is_near(HZ)
    ear.forget()
    assert ear.peak is None
