"""Calls with real media at both ends, whose media node is killed, all at once.

Knows when each end hears again.  Must not know what figures mean.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import av
import msgspec
import numpy as np

from rtpengine.pool import Candidate, Node, choose, node_to_text
from tests.integration.calls.stage import ALICE, BOB
from tests.integration.calls.two_nodes import NodeStage, lab_with_nodes
from tests.peers.aiortc_wic import ReceivedAudio, SendDirection
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.moving import MovingMedia
from tests.peers.sdp import sdp_from_text
from tests.peers.tone import samples_to_g711, sine
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall

CALLS_OF_A_PAGE: Final = 5
IN_ONE_REQUEST: Final = 10
"""Keys the gateway takes (control_lost.MOST_LOST)."""
_FRAME: Final = 160
_LOUD: Final = 300
WAITED_S: Final = 10.0
PATIENT: Final = {
    "gateway_ng_deadline_ms": 1000,
    "gateway_update_timeout_s": 5,
    "gateway_ims_response_timeout_s": 5,
}
"""As a site has it: the timers of the tests are too short for a busy machine."""


@dataclass(frozen=True)
class Silence:
    """Seconds from the kill until each side heard the other again; None: not within ten."""

    lines: str
    page_s: float | None
    phone_s: float | None


class _Phone(asyncio.DatagramProtocol):
    """A device that sends a tone and notes what it hears; light enough for fifty in a process."""

    def __init__(self) -> None:
        self.heard_at = 0.0
        """Monotonic time of the newest packet with sound."""
        self.first_at = 0.0
        """Of the first one since it was set to 0."""
        self._heard_from: tuple[str, int] | None = None
        self._gone: tuple[str, int] | None = None
        self.target: tuple[str, int] | None = None
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) > 12 and len(set(data[12:])) > 8 and addr != self._gone:  # not silence
            self._heard_from = addr
            self.heard_at = time.monotonic()
            self.first_at = self.first_at or self.heard_at

    def wait_for_another(self) -> None:
        """Count from now on what comes from elsewhere: a dead node's last packets may still be under way."""
        self._gone, self.first_at = self._heard_from, 0.0

    def send(self) -> None:
        """Send the next 20 ms."""
        if self.target is None:
            return
        self._count += 1
        head = b"\x80\x08" + (self._count & 0xFFFF).to_bytes(2) + (self._count * _FRAME).to_bytes(4)
        self.transport.sendto(head + self.port.to_bytes(4) + _TONE, self.target)


_TONE: Final = samples_to_g711(sine(500.0, rate_hz=8000, start=0, count=_FRAME), "PCMA")


class _Ear(ReceivedAudio):
    """Notes when it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.first_at = 0.0

    def take(self, frame: av.AudioFrame) -> None:
        if not self.first_at and int(np.abs(frame.to_ndarray().astype(np.int32)).max()) > _LOUD:
            self.first_at = time.monotonic()
        self.frames += 1


class _Media(MovingMedia):
    def ear(self) -> _Ear | None:
        """Return the line that hears."""
        found = [one for one in self.audio.values() if isinstance(one, _Ear) and one.first_at]
        return found[0] if found else None

    def _track_received(self, track: object) -> None:
        for one in self.connection.getTransceivers():
            if one.receiver.track is track and one.kind == "audio":
                self.audio.setdefault(one.mid or "", _Ear())
        super()._track_received(track)  # type: ignore[arg-type]


@dataclass
class _Call:
    lines: SendDirection
    wic: OutgoingCall
    media: _Media
    phone: _Phone
    key: str


async def measure(directory: Path, calls: int, say: Callable[[str], None]) -> list[Silence]:
    """Set calls up on one of two nodes, kill it, say so at once, and wait for sound."""
    with lab_with_nodes(directory, **PATIENT) as (lab, nodes):
        stage = NodeStage(lab, nodes)
        await stage.open()
        phones: list[_Phone] = []
        ticking = asyncio.create_task(_tick(phones))
        try:
            victim, *_ = nodes.daemons
            found = await _set_up(stage, victim, calls, phones, say)
            await asyncio.sleep(1.0)
            return await _kill(stage, victim, found)
        finally:
            ticking.cancel()
            for page in stage.pages:
                await page.close()
            await stage.core.close()


async def _tick(phones: list[_Phone]) -> None:
    due = time.monotonic()
    while True:
        for phone in phones:
            phone.send()
        due += 0.02
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _set_up(
    stage: NodeStage, victim: str, count: int, phones: list[_Phone], say: Callable[[str], None]
) -> list[_Call]:
    found: list[_Call] = []
    candidates = [Candidate(Node(daemon.address)) for daemon in stage.nodes.daemons.values()]
    page: ScriptedWic | None = None
    number = 0
    while len(found) < count:
        number += 1
        call_id = f"node-loss-{number}"
        if node_to_text(choose(call_id, candidates).address) != victim:
            continue
        if page is None or len(found) % CALLS_OF_A_PAGE == 0:
            page = await stage.join(ScriptedWic(stage.handshake, WicIdentity(ALICE)))
        call = await _call(stage, page, call_id, len(found), phones)
        if _node_of(stage, call_id) != victim:  # on a busy machine a node may be slower than a new call waits
            say(f"{call_id} went to the other node and does not count")
            phones.remove(call.phone)
            await call.wic.bye()
            await call.media.close()
            continue
        found.append(call)
        if len(found) % 10 == 0:
            say(f"{len(found)} calls")
    return found


async def _call(
    stage: NodeStage, page: ScriptedWic, call_id: str, number: int, phones: list[_Phone]
) -> _Call:
    loop = asyncio.get_running_loop()
    _, phone = await loop.create_datagram_endpoint(_Phone, local_addr=("127.0.0.1", 0))
    phones.append(phone)
    lines: SendDirection = "sendonly" if number % 2 else "sendrecv"
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    media = _Media()
    offer = await media.offer(audio=lines)
    wic = await page.invite(BOB, offer, media=media, call_id=call_id)
    await wic.wait_answer(timeout_s=20)
    ims = await stage.core.wait_call()
    await ims.wait_ack()
    ims.media = DeviceMedia(audio_port=phone.port, version=2)
    phone.target = _target(ims.invite.body)
    deadline = time.monotonic() + 10
    while media.ear() is None or not phone.heard_at:
        if time.monotonic() > deadline:
            raise RuntimeError(f"call {number} is silent")
        await asyncio.sleep(0.02)
    return _Call(lines, wic, media, phone, call_id)


def _node_of(stage: NodeStage, key: str) -> str:
    """Return where a call is; all calls at once, as the stage asks for them, do not fit into one answer."""
    record = stage.lab.gateway_rpc("htable.get", "call", key)["item"]["value"]
    return str(msgspec.json.decode(record)["node"])


def _target(sdp: str) -> tuple[str, int]:
    description = sdp_from_text(sdp)
    section = description.section("audio")
    line = next((text for text in section.lines if text.startswith("c=")), None)
    return line.split()[2] if line else description.address, section.port


async def _kill(stage: NodeStage, victim: str, calls: list[_Call]) -> list[Silence]:
    following = [asyncio.create_task(_follow(stage, call)) for call in calls]
    stage.nodes.kill(victim)
    began = time.monotonic()
    for call in calls:
        call.phone.wait_for_another()
        call.media.audio = {}
    keys = [call.key for call in calls]
    portions = [keys[at : at + IN_ONE_REQUEST] for at in range(0, len(keys), IN_ONE_REQUEST)]
    answered = await asyncio.gather(
        *(
            asyncio.to_thread(stage.lab.control, "POST", "/v1/calls/lost", {"node": victim, "calls": portion})
            for portion in portions
        )
    )
    assert all(status == 200 for status, _ in answered), answered
    while time.monotonic() < began + WAITED_S and not all(
        call.media.ear() is not None and call.phone.first_at for call in calls
    ):
        await asyncio.sleep(0.01)
    for task in following:
        task.cancel()
    silences = []
    for call in calls:
        ear = call.media.ear()
        silences.append(
            Silence(
                "two lines" if call.lines == "sendonly" else "one line",
                None if ear is None else ear.first_at - began,
                call.phone.first_at - began if call.phone.first_at else None,
            )
        )
    return silences


async def _follow(stage: NodeStage, call: _Call) -> None:
    """Let the device send where the core is told to."""
    ims = stage.core.calls[call.wic.call_id]
    told = await ims.wait_request("INVITE", count=2, timeout_s=WAITED_S)
    call.phone.target = _target(told.body)
