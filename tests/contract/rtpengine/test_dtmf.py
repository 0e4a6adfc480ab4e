"""DTMF through a real rtpengine, digit by digit: order, none lost, and how long each one is."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from rtpengine.agent.dtmf import DtmfReceiver, KeyPress, is_pressed, listen
from rtpengine.dtmf import DIGITS, DigitPath, play, refresh, withhold
from rtpengine.running import gate
from rtpengine.sessions import WicTransport, run
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import Daemon, free_port, media_ports
from tests.contract.rtpengine.rtp_peer import CODECS, RtpPeer, pcm_of
from tests.contract.rtpengine.test_media import (
    AMR_WB,
    IMS_SSRC,
    OPUS,
    PCMA,
    PCMU,
    SHARED,
    SPLIT,
    WIC_EVENT_TYPE,
    WIC_SSRC,
    Call,
    FarEnd,
    tones,
)
from tests.lab.relay_program import daemon_version
from tests.peers.dual_tone import keys_heard
from tests.peers.rtp import RtpPacket, key_presses

TOLERANCE_MS: Final = 20
PORTS: Final = 200
WITHOUT_EVENTS: Final = {
    "PCMA": FarEnd("PCMA", 8, ("PCMA/8000",)),
    "PCMU": FarEnd("PCMU", 0, ("PCMU/8000",)),
    "AMR-WB": FarEnd("AMR-WB", 96, ("AMR-WB/16000",)),
}
WITH_EVENTS = [
    pytest.param(OPUS, 110, 48000, id="Opus"),
    pytest.param(AMR_WB, 98, 16000, id="AMR-WB"),
    pytest.param(PCMA, 126, 8000, id="PCMA"),
    pytest.param(PCMU, 126, 8000, id="PCMU"),
]


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """Close the RTP ports at the end."""
    with ExitStack() as stack:
        yield stack


@contextmanager
def speaking(call: Call) -> Iterator[None]:
    """Let the WIC send its tone meanwhile."""
    over = threading.Event()

    def speak() -> None:
        while not over.is_set():
            call.speak()

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        assert call.ims.wait_for(call.far_type, 5)
        yield
    finally:
        over.set()
        thread.join()


def talk(client: UdpClient, peers: ExitStack, far_end: FarEnd, transport: WicTransport = SHARED) -> Call:
    """Connect a WIC with a far end."""
    call = Call(client, transport, peers)
    call.connect(far_end)
    return call


def pressed(peer: RtpPeer, payload_type: int, clock_hz: int) -> list[tuple[str, float]]:
    """Return which keys a peer has heard of, and how long; all of them have ended."""
    packets = [
        RtpPacket(one.payload_type, 0, one.timestamp, 0, one.payload)
        for one in list(peer.packets)
        if one.payload_type == payload_type
    ]
    return [(one.digit, one.duration_ms) for one in key_presses(packets, clock_hz) if one.ended]


def wait_pressed(peer: RtpPeer, payload_type: int, clock_hz: int, wanted: list[tuple[str, int]]) -> None:
    """Wait for these keys and check their lengths."""
    with peer._arrived:
        peer._arrived.wait_for(lambda: len(pressed(peer, payload_type, clock_hz)) >= len(wanted), 12)
    heard = pressed(peer, payload_type, clock_hz)
    assert [digit for digit, _ in heard] == [digit for digit, _ in wanted]
    off = [abs(ms - wanted_ms) for (_, ms), (_, wanted_ms) in zip(heard, wanted, strict=True)]
    assert max(off) <= TOLERANCE_MS, off


@pytest.mark.parametrize(("far_end", "event_type", "clock_hz"), WITH_EVENTS)
def test_digits_at_once_are_played_one_after_the_other(
    client: UdpClient, peers: ExitStack, far_end: FarEnd, event_type: int, clock_hz: int
) -> None:
    call = talk(client, peers, far_end)
    digits = DIGITS if far_end is PCMA else "0*D"
    lengths = [100 + 9 * index for index in range(len(digits))]
    with speaking(call):
        for digit, ms in zip(digits, lengths, strict=True):
            run(play(call.session, DigitPath(clock_hz), digit, ms, daemon_version=daemon_version()), client)
        wait_pressed(call.ims, event_type, clock_hz, list(zip(digits, lengths, strict=True)))


@pytest.mark.parametrize("codec", [pytest.param(name, id=name) for name in WITHOUT_EVENTS])
def test_without_events_they_are_tones(client: UdpClient, peers: ExitStack, codec: str) -> None:
    far_end = WITHOUT_EVENTS[codec]
    call = talk(client, peers, far_end)
    rate_hz = CODECS[codec].sample_rate_hz
    with speaking(call):
        run(
            play(
                call.session, DigitPath(None, 48000 // rate_hz), "159D", 160, daemon_version=daemon_version()
            ),
            client,
        )
        assert call.ims.wait_for(far_end.payload_type, 80)
    packets = sorted(call.ims.packets, key=lambda packet: packet.timestamp)
    heard = keys_heard(pcm_of(codec, [packet.payload for packet in packets]), rate_hz)
    assert "".join(key for key, _ in heard) == "159D", heard
    assert all(abs(ms - 160) <= TOLERANCE_MS for _, ms in heard), heard


@pytest.mark.parametrize(("far_end", "event_type", "clock_hz"), WITH_EVENTS)
def test_digits_that_wait_behind_a_closed_gate_are_dropped_by_a_new_encoder(
    client: UdpClient, peers: ExitStack, far_end: FarEnd, event_type: int, clock_hz: int
) -> None:
    call, version, path = talk(client, peers, far_end), daemon_version(), DigitPath(clock_hz)

    def heard() -> str:
        return "".join(digit for digit, _ in pressed(call.ims, event_type, clock_hz))

    with speaking(call), call.ims._arrived:
        run(play(call.session, path, "1234567890", 160, daemon_version=version), client)
        assert call.ims._arrived.wait_for(lambda: len(heard()) >= 2, 12)
        run(gate(call.session, wic_to_ims=False, ims_to_wic=True, daemon_version=version), client)
        run(refresh(call.session), client)
        call.arm(far_end)
        run(gate(call.session, wic_to_ims=True, ims_to_wic=True, daemon_version=version), client)
        run(play(call.session, path, "A", 160, daemon_version=version), client)
        assert call.ims._arrived.wait_for(lambda: heard().endswith("A"), 12)
    assert len(heard()) < 8, heard()


@pytest.mark.parametrize(("far_end", "event_type", "clock_hz"), WITH_EVENTS)
def test_what_the_wic_presses_has_its_length_at_every_clock(
    client: UdpClient, peers: ExitStack, far_end: FarEnd, event_type: int, clock_hz: int
) -> None:
    call = talk(client, peers, far_end)
    call.speak()
    wanted = [(5, 6), (15, 11), (5, 25)]
    for event, steps in wanted:
        call.wic.press(event, payload_type=WIC_EVENT_TYPE, to=call.to_wic_side, ssrc=WIC_SSRC, steps=steps)
    keys = [(DIGITS[event], steps * 20) for event, steps in wanted]
    wait_pressed(call.ims, event_type, clock_hz, keys)


def test_events_at_another_clock_than_the_wics_codec_have_their_length(
    client: UdpClient, peers: ExitStack
) -> None:
    """As of a browser that knows telephone-event/8000 alone, beside Opus."""
    call = talk(client, peers, PCMA)
    call.speak()
    wanted = [(5, 6), (15, 11)]
    for event, steps in wanted:
        call.wic.press(event, payload_type=126, to=call.to_wic_side, ssrc=WIC_SSRC, step=160, steps=steps)
    wait_pressed(call.ims, 126, 8000, [(DIGITS[event], steps * 20) for event, steps in wanted])


@pytest.mark.parametrize(
    ("far_end", "event_type", "clock_hz", "transport"),
    [
        pytest.param(OPUS, 110, 48000, SHARED, id="Opus"),
        pytest.param(AMR_WB, 98, 16000, SHARED, id="AMR-WB"),
        pytest.param(PCMA, 126, 8000, SPLIT, id="PCMA, split transport"),
    ],
)
def test_what_ims_presses_is_told_and_withheld(
    tmp_path: Path, peers: ExitStack, far_end: FarEnd, event_type: int, clock_hz: int, transport: WicTransport
) -> None:
    """With the daemon's own log of DTMF, read as the media agent does."""
    port = free_port("127.0.0.1")
    told: list[KeyPress] = []

    async def tell(one: KeyPress) -> None:
        told.append(one)

    with (
        media_ports(PORTS) as ports,
        Daemon(tmp_path, ports, rtpengine_dtmf_log_dest=f"127.0.0.1:{port}") as daemon,
    ):
        client = peers.enter_context(_closing(UdpClient(daemon.address, deadline_s=3.0)))
        call = talk(client, peers, far_end, transport)

        def press(event: int) -> None:
            payloads = tones(far_end.codec, 440, 5)
            where = {"to": call.to_ims_side, "ssrc": IMS_SSRC}
            call.ims.send(payloads, codec=far_end.codec, payload_type=far_end.payload_type, **where)  # type: ignore[arg-type]
            call.ims.press(event, payload_type=event_type, step=clock_hz // 50, steps=9, **where)  # type: ignore[arg-type]

        async def play_all() -> None:
            transport = await listen("127.0.0.1", port, DtmfReceiver(tell, is_pressed))
            await asyncio.to_thread(press, 1)
            run(withhold(call.session), client)
            call.listener.packets.clear()
            for event in (1, 13):
                await asyncio.to_thread(press, event)
            await asyncio.sleep(0.1)
            transport.close()

        asyncio.run(play_all())
        assert call.listener.payload_types() == {call.listener_type}  # none passed since
    assert [one.event for one in told] == [1, 1, 13]
    assert all(abs(one.duration_ms - 180) <= TOLERANCE_MS for one in told), told


@contextmanager
def _closing(client: UdpClient) -> Iterator[UdpClient]:
    try:
        yield client
    finally:
        client.close()
