"""The conference service: rooms that mix sound and switch video, doors with a PIN, and an echo of digits.

`conference*` is a room by its name. `conference-pin*`, and the number by which the PSTN reaches us, is a door: the PIN
(RFC 4733) says which room. Who is alone in a room hears the prompt, others hear each other but not themselves; digit 6
mutes and unmutes. `ivr*` sends every digit back as a digit. In rooms and echo a tone of its own confirms each digit.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import click
import numpy as np

from tests.lab.services.admission import Door, Verdict
from tests.lab.services.g711_stream import FRAME_S, FRAME_SAMPLES, RATE_HZ, SILENCE
from tests.lab.services.leg import Leg, Treatment
from tests.lab.services.media_server import MediaServer
from tests.lab.services.negotiation import video_codec, video_format
from tests.lab.services.program import run
from tests.lab.services.video_switch import VideoStream, VideoSwitch
from tests.peers.device_sdp import DeviceMedia
from tests.peers.rtp import DTMF_DIGITS
from tests.peers.tone import Samples, sine

ROOM: Final = "conference"
DOOR: Final = "conference-pin"
NUMBER: Final = "+15550800"
"""The door's number in the PSTN."""
ECHO: Final = "ivr"
PINS: Final[Mapping[str, str]] = {"470815": "weekly", "A5B90C*D71346802": "weekly", "230477": "board"}
"""PIN -> room."""

PROMPT_HZ: Final = 700
PIN_PROMPT_HZ: Final = 850
"""Asks for the PIN, until the first key."""
ADMITTED_HZ: Final = 1900
WRONG_PIN_HZ: Final = 350
MUTE_DIGIT: Final = "6"
CONFIRMATION_S: Final = 0.4
WRONG_PIN_S: Final = 1.0
TURNED_AWAY: Final = 'Q.850;cause=21;text="wrong PIN"'
"""Reason of the BYE after the third wrong PIN: call rejected."""


def confirmation_hz(digit: str) -> int:
    """Return the tone that confirms a digit: 1000 Hz for 0, 100 Hz more for each next one."""
    return 1000 + 100 * DTMF_DIGITS.index(digit)


class ConferenceService(MediaServer):
    """Rooms by user part of the called URI, or by PIN."""

    contact_features = ";isfocus"

    def __init__(self, rtp: tuple[int, int]) -> None:
        super().__init__("conference", rtp)
        self._muted: set[str] = set()
        self._signals: dict[str, list[Samples]] = {}
        self._doors: dict[str, Door] = {}
        self._rooms: dict[str, str] = {}
        self._pictures: dict[str, VideoStream] = {}
        self._video_ports: dict[str, int] = {}
        self._switch = VideoSwitch()

    def treatment(self, user: str) -> Treatment:
        return Treatment() if user == NUMBER or user.startswith((ROOM, ECHO)) else Treatment(status=404)

    async def serve(self, leg: Leg) -> None:
        if leg.user == NUMBER or leg.user.startswith(DOOR):
            self._doors[leg.call_id] = Door(PINS)
        elif leg.user.startswith(ROOM):
            self._rooms[leg.call_id] = leg.user
        await super().serve(leg)

    def described(self, leg: Leg) -> dict[str, Any]:
        picture = self._pictures.get(leg.call_id)
        return {
            **super().described(leg),
            "room": self._rooms.get(leg.call_id, ""),
            "video_packets_received": picture.packets_received if picture else 0,
        }

    def leg_ended(self, leg: Leg) -> None:
        for table in (self._doors, self._rooms, self._signals, self._video_ports):
            table.pop(leg.call_id, None)
        self._muted.discard(leg.call_id)
        self._close_picture(leg)

    # Digits.

    def digit_received(self, leg: Leg, digit: str) -> None:
        if (door := self._doors.get(leg.call_id)) is not None:
            self._key_at_door(leg, door, digit)
            return
        super().digit_received(leg, digit)
        self._signal(leg, confirmation_hz(digit), CONFIRMATION_S)
        if leg.user.startswith(ECHO) and leg.stream is not None:
            leg.stream.send_digit(digit)
        elif digit == MUTE_DIGIT:
            self._muted ^= {leg.call_id}

    def _key_at_door(self, leg: Leg, door: Door, key: str) -> None:
        verdict = door.key(key)
        if verdict is Verdict.ADMITTED and door.room is not None:
            del self._doors[leg.call_id]
            self._signal(leg, ADMITTED_HZ, CONFIRMATION_S)
            self._rooms[leg.call_id] = door.room
            if picture := self._pictures.get(leg.call_id):
                self._switch.enter(door.room, picture)
        elif verdict in (Verdict.WRONG, Verdict.TURNED_AWAY):
            self._signal(leg, WRONG_PIN_HZ, WRONG_PIN_S)
            if verdict is Verdict.TURNED_AWAY:
                self.spawn(self._turn_away(leg.call_id))

    async def _turn_away(self, call_id: str) -> None:
        await asyncio.sleep(WRONG_PIN_S)
        if call_id in self.legs:
            await self.hang_up(call_id, [TURNED_AWAY])

    # Sound.

    def _signal(self, leg: Leg, hz: int, duration_s: float) -> None:
        self._signals[leg.call_id] = [_tone(hz, number) for number in range(int(duration_s / FRAME_S))]

    def sound(self, leg: Leg, frames: Mapping[str, Samples], tick: int) -> Samples:
        if signal := self._signals.get(leg.call_id):
            return signal.pop(0)
        if (door := self._doors.get(leg.call_id)) is not None:
            return SILENCE if door.is_typing else _tone(PIN_PROMPT_HZ, tick)
        if (room := self._rooms.get(leg.call_id)) is None:
            return SILENCE
        others = [other for other, name in self._rooms.items() if name == room and other != leg.call_id]
        if not others:
            return _tone(PROMPT_HZ, tick)
        return mixed([frames[other] for other in others if other in frames and other not in self._muted])

    # Pictures.

    def media(self, leg: Leg, offer: str = "") -> DeviceMedia:
        media = super().media(leg, offer)
        codec = video_codec(offer) if offer else None
        if codec is None or leg.user.startswith(ECHO):
            return media
        port = self._video_ports.get(leg.call_id) or self.take_port()
        self._video_ports[leg.call_id] = port
        return dataclasses.replace(media, video=codec, video_port=port, feedback=("nack pli", "ccm fir"))

    async def open_media(self, leg: Leg, far_sdp: str) -> None:
        await super().open_media(leg, far_sdp)
        form = video_format(far_sdp)
        port = self._video_ports.get(leg.call_id)
        if form is None or port is None:
            self._close_picture(leg)
        elif picture := self._pictures.get(leg.call_id):
            picture.form = form
        else:
            self._pictures[leg.call_id] = picture = VideoStream(form, self._switch)
            await picture.open(self.address[0], port)
            if room := self._rooms.get(leg.call_id):
                self._switch.enter(room, picture)

    def _close_picture(self, leg: Leg) -> None:
        if picture := self._pictures.pop(leg.call_id, None):
            self._switch.leave(picture)
            picture.close()


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
