"""Digits of a relay that is armed for them with the first one, and of a WIC that sends telephone-events as well."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from rtpengine.capabilities import capabilities
from rtpengine.dtmf import DIGITS, VOLUME, DigitPath, play, refresh
from rtpengine.sessions import WicTransport, run
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.rtp_peer import loudest_frequency_hz
from tests.contract.rtpengine.test_dtmf import pressed, speaking, wait_pressed
from tests.contract.rtpengine.test_media import (
    AMR_WB,
    IMS_TONE_HZ,
    OPUS,
    PACKETS,
    PCMA,
    SHARED,
    SPLIT,
    WIC_EVENT_TYPE,
    WIC_SSRC,
    WIC_TONE_HZ,
    Call,
    FarEnd,
    tones,
)
from tests.lab.relay_program import daemon_version

WHOLE: Final = capabilities(daemon_version()).digits_after_events


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """Close the RTP ports at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("transport", [pytest.param(SHARED, id="shared"), pytest.param(SPLIT, id="split")])
def test_what_both_sides_speak_passes_untouched_until_a_digit_is_played(
    client: UdpClient, peers: ExitStack, transport: WicTransport
) -> None:
    far_end, event_type = OPUS, 110
    call = Call(client, transport, peers, digits=False)
    call.connect(far_end)
    call.talk(far_end)
    assert call.ims.wait_for(far_end.payload_type, PACKETS - 3)
    assert set(call.ims.payloads(far_end.payload_type)) <= set(tones("opus", WIC_TONE_HZ, PACKETS))
    if transport is SHARED:
        heard = set(call.listener.payloads(call.listener_type))
        assert heard
        assert heard <= set(tones("opus", IMS_TONE_HZ, PACKETS))
    call.ims.packets.clear()
    lengths = [100 + 9 * index for index in range(len(DIGITS))]
    with speaking(call):
        time.sleep(0.1)
        call.arm(far_end)
        for digit, ms in zip(DIGITS, lengths, strict=True):
            run(play(call.session, DigitPath(48000), digit, ms, daemon_version=daemon_version()), client)
        wait_pressed(call.ims, event_type, 48000, list(zip(DIGITS, lengths, strict=True)))
        sent = {packet.timestamp for packet in list(call.ims.packets)}
    powers = {payload[1] & 0x3F for payload in call.ims.payloads(event_type)}
    assert powers == {VOLUME}
    # Nothing is missing where passing ends and transcoding begins, but for what came while both were closed.
    before_events = min(packet.timestamp for packet in call.ims.packets if packet.payload_type == event_type)
    steps = sorted(timestamp for timestamp in sent if timestamp <= before_events)
    assert max(later - earlier for earlier, later in itertools.pairwise(steps)) <= 3 * 960
    call.talk(far_end)
    audio = call.ims.payloads(far_end.payload_type)
    assert loudest_frequency_hz("opus", audio) == pytest.approx(WIC_TONE_HZ, abs=5)
    assert not set(audio) & set(tones("opus", WIC_TONE_HZ, PACKETS))  # the price


def wic_presses(call: Call, *events: int) -> None:
    """Let the WIC send events of 220 ms, and speak."""
    call.speak()
    for event in events:
        call.wic.press(event, payload_type=WIC_EVENT_TYPE, to=call.to_wic_side, ssrc=WIC_SSRC)
    call.speak()


@pytest.mark.parametrize(
    ("far_end", "event_type", "clock_hz"),
    [pytest.param(PCMA, 126, 8000, id="PCMA"), pytest.param(AMR_WB, 98, 16000, id="AMR-WB")],
)
def test_after_events_of_the_wic_a_new_encoder_plays_what_the_old_one_would_lose(
    client: UdpClient, peers: ExitStack, far_end: FarEnd, event_type: int, clock_hz: int
) -> None:
    call = Call(client, SHARED, peers)
    call.connect(far_end)
    path, version = DigitPath(clock_hz), daemon_version()
    wic_presses(call, 5, 6)
    wanted = [("5", 220), ("6", 220)]
    with speaking(call):
        run(play(call.session, path, "7", 160, daemon_version=version), client)
        if WHOLE:
            wanted.append(("7", 160))
            wait_pressed(call.ims, event_type, clock_hz, wanted)
        else:
            time.sleep(0.4)
            assert [digit for digit, _ in pressed(call.ims, event_type, clock_hz)] == ["5", "6"]  # lost
        run(refresh(call.session), client)
        run(play(call.session, path, "8*D", 160, daemon_version=version), client)
        wait_pressed(call.ims, event_type, clock_hz, [*wanted, ("8", 160), ("*", 160), ("D", 160)])
    wic_presses(call, 1)
    assert [digit for digit, _ in pressed(call.ims, event_type, clock_hz)][-1] == "1"
    call.talk(far_end)
    audio = call.ims.payloads(far_end.payload_type)
    assert loudest_frequency_hz(far_end.codec, audio) == pytest.approx(WIC_TONE_HZ, abs=5)


@pytest.mark.skipif(WHOLE, reason="this daemon plays them")
def test_with_one_codec_at_both_ends_events_of_the_wic_end_what_can_be_played(
    client: UdpClient, peers: ExitStack
) -> None:
    """Why the gateway refuses such digits where the daemon loses them."""
    call = Call(client, SHARED, peers, digits=False)
    call.connect(OPUS)
    wic_presses(call, 5, 6)
    with speaking(call):
        call.arm(OPUS)
        run(refresh(call.session), client)
        run(play(call.session, DigitPath(48000), "7", 160, daemon_version=daemon_version()), client)
        time.sleep(0.5)
    assert [digit for digit, _ in pressed(call.ims, 110, 48000)] == ["5", "6"]


@pytest.mark.skipif(not WHOLE, reason="this daemon loses them")
def test_digits_after_events_of_the_wic_are_played_as_any(client: UdpClient, peers: ExitStack) -> None:
    call = Call(client, SHARED, peers, digits=False)
    call.connect(OPUS)
    wic_presses(call, 5, 6)
    wanted = [("5", 220), ("6", 220)]
    with speaking(call):
        call.arm(OPUS)
        for digit, ms in (("7", 160), ("#", 400), ("1", 100)):
            run(play(call.session, DigitPath(48000), digit, ms, daemon_version=daemon_version()), client)
            wanted.append((digit, ms))
        wait_pressed(call.ims, 110, 48000, wanted)
    wic_presses(call, 11, 2)
    wanted += [("#", 220), ("2", 220)]
    with speaking(call):
        run(play(call.session, DigitPath(48000), "9", 160, daemon_version=daemon_version()), client)
        wait_pressed(call.ims, 110, 48000, [*wanted, ("9", 160)])
