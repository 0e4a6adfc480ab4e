"""The conference service: rooms that mix, and an echo of digits; both understand DTMF.

`conference*` is a room by its name: who is alone hears the prompt, others hear each other; digit 6 mutes and
unmutes. `ivr*` sends every digit back as a digit. In both, a tone of the digit's own confirms it.
"""

from collections.abc import Mapping
from typing import Final

import click
import numpy as np

from tests.lab.services.g711_stream import FRAME_S, FRAME_SAMPLES, RATE_HZ, SILENCE
from tests.lab.services.media_server import Leg, MediaServer, Treatment
from tests.lab.services.program import run
from tests.peers.rtp import DTMF_DIGITS
from tests.peers.tone import Samples, sine

ROOM: Final = "conference"
ECHO: Final = "ivr"
PROMPT_HZ: Final = 700
MUTE_DIGIT: Final = "6"
CONFIRMATION_S: Final = 0.4


def confirmation_hz(digit: str) -> int:
    """Return the tone that confirms a digit: 1000 Hz for 0, 100 Hz more for each next one."""
    return 1000 + 100 * DTMF_DIGITS.index(digit)


class ConferenceService(MediaServer):
    """Rooms by user part of the called URI."""

    def __init__(self, rtp: tuple[int, int]) -> None:
        super().__init__("conference", rtp)
        self._muted: set[str] = set()
        self._confirmations: dict[str, list[Samples]] = {}

    def treatment(self, user: str) -> Treatment:
        return Treatment() if user.startswith((ROOM, ECHO)) else Treatment(status=404)

    def digit_received(self, leg: Leg, digit: str) -> None:
        call_id = leg.invite.call_id
        frames = int(CONFIRMATION_S / FRAME_S)
        self._confirmations[call_id] = [_tone(confirmation_hz(digit), number) for number in range(frames)]
        if leg.user.startswith(ECHO) and leg.stream is not None:
            leg.stream.send_digit(digit)
        elif digit == MUTE_DIGIT:
            self._muted ^= {call_id}

    def sound(self, leg: Leg, frames: Mapping[str, Samples], tick: int) -> Samples:
        call_id = leg.invite.call_id
        if confirmation := self._confirmations.get(call_id):
            return confirmation.pop(0)
        if leg.user.startswith(ECHO):
            return SILENCE
        others = [other for other, far in self.legs.items() if far.user == leg.user and other != call_id]
        if not others:
            return _tone(PROMPT_HZ, tick)
        return mixed([frames[other] for other in others if other in frames and other not in self._muted])


def mixed(frames: list[Samples]) -> Samples:
    """Add frames up without overflow."""
    total = np.zeros(FRAME_SAMPLES, np.int32)
    for frame in frames:
        total[: len(frame)] += frame[:FRAME_SAMPLES]
    return np.clip(total, -32768, 32767).astype(np.int16)


def _tone(hz: int, frame_number: int) -> Samples:
    return sine(hz, rate_hz=RATE_HZ, start=frame_number * FRAME_SAMPLES, count=FRAME_SAMPLES)


@click.command()
@click.option("--address", required=True)
@click.option("--port", type=int, required=True)
@click.option("--control-port", type=int, required=True)
@click.option("--rtp", type=(int, int), required=True)
def main(address: str, port: int, control_port: int, rtp: tuple[int, int]) -> None:
    """Run the lab's conference service in the foreground."""
    run(ConferenceService(rtp), address, port, control_port, {})


if __name__ == "__main__":
    main()
