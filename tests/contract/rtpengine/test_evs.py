"""EVS, which nobody here can transcode: it arrives as it left, whoever calls, or the call has another codec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, Final

import pytest

from kemi.core.sdp.interwork import placeholder_answer
from rtpengine.ng.commands import Offer
from rtpengine.profiles import MediaProfiles, audio_profile
from rtpengine.sessions import (
    MediaSession,
    WicTransport,
    connect,
    connect_terminating,
    reserve,
    reserve_terminating,
    run,
)
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS
from tests.contract.rtpengine.rtp_peer import RtpPeer
from tests.contract.rtpengine.sdp import answer_to, section
from tests.contract.rtpengine.test_codecs import (
    ALL_IMS,
    FAR_END,
    IMS,
    WIC,
    WIC_SSRC,
    Sides,
    Spoken,
    line,
    plain,
)
from tests.lab.relay_program import daemon_version

EVS: Final = Spoken("EVS", "EVS/16000", 98, "br=5.9-24.4;bw=nb-swb")


BROWSER_ANSWER: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 98 101\r\nc=IN IP4 0.0.0.0\r\n"
    "a=rtpmap:98 EVS/16000\r\na=rtpmap:101 telephone-event/16000\r\na=ice-ufrag:abcd\r\n"
    f"a=ice-pwd:{'p' * 22}\r\na=ice-options:trickle\r\na=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\n"
    "a=setup:active\r\na=rtcp-mux\r\na=sendrecv\r\n"
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Close the RTP ports at the end."""
    with ExitStack() as peers:
        yield peers


def test_evs_passes_from_a_client_that_has_it(client: UdpClient, stack: ExitStack) -> None:
    """Nobody here can decode it, so it arrives as it left, and no other codec is offered with it."""
    profile = plain(audio_profile(("EVS", *ALL_IMS), wic_codec="evs", daemon_version=daemon_version()))
    wic, ims = stack.enter_context(RtpPeer(WIC_ADDRESS)), stack.enter_context(RtpPeer(FAR_END))
    evs = EVS._replace(payload_type=97)
    session = MediaSession("evs", "audio", line(WIC_ADDRESS, wic.port, evs), WicTransport.SHARED)
    given = run(reserve(session, profile, placeholder_answer, reverse=False), client)
    assert list(section(given.relay_offer).codecs.values()) == ["EVS/16000"]
    assert section(given.relay_offer).values("fmtp") == [f"97 {evs.fmtp}"]
    answer = answer_to(given.relay_offer, "97", host=FAR_END, port=ims.port)
    run(connect(session, profile, answer, None, daemon_version=daemon_version()), client)
    ports = section(given.relay_answer).port, section(given.relay_offer).port
    _pass_untouched((wic, ims), ports, 97)


def _pass_untouched(peers: tuple[RtpPeer, RtpPeer], ports: tuple[int, int], payload_type: int) -> None:
    """Let the page and IMS send EVS, which arrives with all its bits."""
    frames = [bytes([number]) * 61 for number in range(10)]
    for peer, host, port in zip(peers, (WIC_ADDRESS, IMS_ADDRESS), ports, strict=True):
        peer.send(frames, codec="AMR-WB", payload_type=payload_type, to=(host, port), ssrc=WIC_SSRC)
    for peer in peers:
        assert peer.wait_for(payload_type, 9)
        assert peer.payload_types() == {payload_type}
        assert set(peer.payloads(payload_type)) <= set(frames)


EVS_EVENTS = Spoken("events", "telephone-event/16000", 101, "0-15")
BESIDE_EVS: Final = [
    pytest.param((), id="alone"),
    pytest.param((IMS[1],), id="with AMR-WB"),
    pytest.param((IMS[1], IMS[6]), id="with AMR-WB and PCMA"),
]


def _offered_to_page(
    client: UdpClient, name: str, port: int, beside: tuple[Spoken, ...]
) -> tuple[MediaSession, str]:
    """Let IMS call with EVS and others, as core_offer_media() writes it: the others first."""
    profile = plain(
        MediaProfiles(ALL_IMS, daemon_version=daemon_version()).of("audio", "" if beside else "evs")
    )
    session = MediaSession(name, "audio", "", WicTransport.SHARED)
    offer = line(FAR_END, port, *beside, EVS, EVS_EVENTS)
    return session, run(reserve_terminating(session, profile, offer), client)


@pytest.mark.parametrize("beside", BESIDE_EVS)
def test_evs_passes_to_a_client_that_has_it(
    client: UdpClient, stack: ExitStack, beside: tuple[Spoken, ...]
) -> None:
    wic, ims = stack.enter_context(RtpPeer(WIC_ADDRESS)), stack.enter_context(RtpPeer(FAR_END))
    session, offered = _offered_to_page(client, f"to evs {len(beside)}", ims.port, beside)
    # rtpengine leaves EVS out where it transcodes; its payload type stays free for it.
    assert section(offered).codecs.get("98") == (None if beside else "EVS/16000")
    assert section(offered).codecs.get("101", EVS_EVENTS.encoding) == EVS_EVENTS.encoding
    profile = plain(MediaProfiles(ALL_IMS, daemon_version=daemon_version()).of("audio", "evs"))
    passing = line(FAR_END, ims.port, EVS, EVS_EVENTS) if beside else ""
    answer = line(WIC_ADDRESS, wic.port, EVS, EVS_EVENTS)
    answered = section(run(connect_terminating(session, profile, answer, passing), client))
    assert answered.codecs == {"98": "EVS/16000", "101": "telephone-event/16000"}
    assert answered.values("fmtp")[0] == f"98 {EVS.fmtp}"
    _pass_untouched((wic, ims), (section(offered).port, answered.port), 98)
    event = [bytes([5, 0x8A, 0, 160])] * 3
    wic.send(event, codec="AMR-WB", payload_type=101, to=(WIC_ADDRESS, section(offered).port), ssrc=WIC_SSRC)
    assert ims.wait_for(101, 2)
    assert set(ims.payloads(101)) == set(event)


def test_a_client_without_evs_has_opus_of_what_comes_beside_it(client: UdpClient, stack: ExitStack) -> None:
    sides = Sides(stack, WIC[0], IMS[1])
    session, offered = _offered_to_page(client, "no evs", sides.ims.port, (IMS[1],))
    (number,) = (one for one, encoding in section(offered).codecs.items() if encoding == WIC[0].encoding)
    sides.wic_codec = WIC[0]._replace(payload_type=int(number))
    profile = plain(MediaProfiles(ALL_IMS, daemon_version=daemon_version()).of("audio", "opus"))
    answer = line(WIC_ADDRESS, sides.wic.port, sides.wic_codec)
    answered = section(run(connect_terminating(session, profile, answer), client))
    sides.wic_port, sides.ims_port = section(offered).port, answered.port
    sides.talk()
    sides.heard(passing=False)


def test_the_transport_of_a_client_stays_when_the_relay_hears_of_evs(
    client: UdpClient, stack: ExitStack
) -> None:
    """It has been offered that transport already."""
    profiles = MediaProfiles(ALL_IMS, daemon_version=daemon_version())
    ims = stack.enter_context(RtpPeer(FAR_END))
    session = MediaSession("evs transport", "audio", "", WicTransport.SHARED)
    offer = line(FAR_END, ims.port, IMS[1], EVS, EVS_EVENTS)
    first = run(reserve_terminating(session, profiles.of("audio"), offer), client)
    sequence = connect_terminating(
        session, profiles.of("audio", "evs"), BROWSER_ANSWER, line(FAR_END, ims.port, EVS, EVS_EVENTS)
    )
    offered: list[str] = []
    step: Any = next(sequence)
    with suppress(StopIteration):
        while True:
            reply = client.request(step)
            offered += [reply.sdp] if isinstance(step, Offer) else []
            step = sequence.send(reply)
    (second,) = offered
    transport = ("ice-ufrag", "ice-pwd", "fingerprint", "candidate")
    assert section(first).port == section(second).port
    assert all(section(first).values(name) == section(second).values(name) for name in transport)
    assert section(first).values("ice-ufrag")
