"""Digits of a WIC that knows telephone-events at 8 kHz alone, beside Opus, after an offer of IMS; Firefox is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kemi.adapters.relay.relay_sessions import answering
from kemi.adapters.relay.repertoires import far_speech
from rtpengine.dtmf import DIGITS, DigitPath, play
from rtpengine.running import closed_during, reoffer_from_ims
from rtpengine.sessions import WicTransport, run
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.sdp import Section, plain_offer, renumbered, section
from tests.contract.rtpengine.test_dtmf import speaking, wait_pressed
from tests.contract.rtpengine.test_media import (
    AMR_WB,
    IMS_TONE_HZ,
    OPUS,
    PCMA,
    SHARED,
    SPLIT,
    WIC_SSRC,
    Call,
    FarEnd,
    assert_tone,
    plain_profile,
)
from tests.lab.relay_program import daemon_version

EVENT_TYPE = 126
FAR_ENDS = [
    pytest.param(PCMA, 126, 8000, 101, id="PCMA"),
    pytest.param(AMR_WB, 98, 16000, 102, id="AMR-WB"),
    pytest.param(OPUS, 99, 48000, 103, id="Opus"),
]


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """Close the RTP ports at the end."""
    with ExitStack() as stack:
        yield stack


def as_firefox(host: str, port: int) -> str:
    """Return an offer without telephone-events at the clock of Opus."""
    offer = plain_offer(host, port).replace(" 111 110 126", " 111 126")
    return offer.replace("a=rtpmap:110 telephone-event/48000\r\n", "")


def offer_of_ims(client: UdpClient, call: Call, far_end: FarEnd, numbers: dict[str, str]) -> Section:
    """Let IMS offer what it has answered before, under other numbers; return our answer."""
    offer = renumbered(call.answer_of(far_end), numbers)
    steps = reoffer_from_ims(
        answering(call.session),
        plain_profile(far_speech(offer), digits=True),
        offer,
        call.reverse_answer,
        daemon_version=daemon_version(),
    )
    changed = closed_during(
        call.session, steps, wic_to_ims=True, ims_to_wic=True, daemon_version=daemon_version()
    )
    return section(run(changed, client))


@pytest.mark.parametrize("transport", [pytest.param(SHARED, id="shared"), pytest.param(SPLIT, id="split")])
@pytest.mark.parametrize("renumbers", [False, True], ids=["our numbers", "its own numbers"])
@pytest.mark.parametrize(("far_end", "event_type", "clock_hz", "own_type"), FAR_ENDS)
def test_the_wics_own_are_heard(
    client: UdpClient,
    peers: ExitStack,
    far_end: FarEnd,
    event_type: int,
    clock_hz: int,
    own_type: int,
    renumbers: bool,
    transport: WicTransport,
) -> None:
    call = Call(client, transport, peers, wic_offer=as_firefox)
    call.connect(far_end)
    number = own_type if renumbers else event_type
    answer = offer_of_ims(client, call, far_end, {str(event_type): str(number)})
    assert answer.codecs[str(number)] == f"telephone-event/{clock_hz}"
    call.talk(far_end)
    assert_tone(call.listener, "opus", call.listener_type, IMS_TONE_HZ)
    call.ims.packets.clear()
    wanted = [(5, 6), (15, 11)]
    for event, steps in wanted:
        call.wic.press(
            event, payload_type=EVENT_TYPE, to=call.to_wic_side, ssrc=WIC_SSRC, step=160, steps=steps
        )
    wait_pressed(call.ims, number, clock_hz, [(DIGITS[event], 20 * steps) for event, steps in wanted])


@pytest.mark.parametrize(("far_end", "event_type", "clock_hz", "own_type"), FAR_ENDS)
def test_digits_are_played(
    client: UdpClient, peers: ExitStack, far_end: FarEnd, event_type: int, clock_hz: int, own_type: int
) -> None:
    call = Call(client, SHARED, peers, wic_offer=as_firefox)
    call.connect(far_end)
    offer_of_ims(client, call, far_end, {str(event_type): str(own_type)})
    with speaking(call):
        run(play(call.session, DigitPath(clock_hz), "0*D", 160, daemon_version=daemon_version()), client)
        wait_pressed(call.ims, own_type, clock_hz, [(digit, 160) for digit in "0*D"])
