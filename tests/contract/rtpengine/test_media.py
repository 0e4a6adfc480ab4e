"""Tones through a real rtpengine over plain RTP: who hears what, in which codec, after which answer.

The WIC speaks plain RTP here, so that no browser is needed: everything but DTLS and ICE is as in production.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import cache
from typing import Final, NamedTuple

import pytest

from kemi.adapters.relay.repertoires import answered_codecs, far_speech
from kemi.core.sdp.interwork import ims_answer_media, repertoire, widened_offer
from rtpengine.capabilities import capabilities
from rtpengine.ng.commands import MediaOptions, PlayDtmf
from rtpengine.packet_times import PLACEHOLDER, FarSpeech
from rtpengine.profiles import DEFAULT_IMS_AUDIO_CODECS, MediaProfile, MediaProfiles
from rtpengine.running import gate, renew
from rtpengine.sessions import (
    WIC_TAG,
    MediaSession,
    Reservation,
    WicTransport,
    accept_reverse,
    connect,
    release,
    reserve,
    run,
)
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS
from tests.contract.rtpengine.rtp_peer import RtpPeer, loudest_frequency_hz, opus_packet_ms, tone_payloads
from tests.contract.rtpengine.sdp import answer_to, plain_offer, renumbered, reverse_answer_to, section
from tests.lab.relay_program import daemon_version

PACKETS = 40
NO_RESAMPLING: Final = capabilities(daemon_version()).opus_takes_all_rates
SHORTEST_MS: Final = 20 if NO_RESAMPLING else 10
"""What a packet of Opus holds that was made of another codec's packets of 20 ms or more."""
WIC_TONE_HZ, IMS_TONE_HZ = 1000, 440
WIC_SSRC, IMS_SSRC = 0x1111, 0x2222
WIC_PAYLOAD_TYPE, WIC_EVENT_TYPE = 111, 110
SHARED, SPLIT = WicTransport.SHARED, WicTransport.SPLIT
WITHOUT_UNSUBSCRIBING: Final = (26, 0)
tones = cache(tone_payloads)


class FarEnd(NamedTuple):
    """What IMS answers."""

    codec: str
    payload_type: int
    rtpmaps: tuple[str, ...]
    renumbering: dict[str, str] = {}  # noqa: RUF012 - never changed


OPUS = FarEnd("opus", 111, ("opus/48000/2", "telephone-event/48000"))
AMR_WB = FarEnd("AMR-WB", 96, ("AMR-WB/16000", "telephone-event/16000"))
AMR_WB_OA = FarEnd("AMR-WB-OA", 97, ("97", "telephone-event/16000"))
PCMA = FarEnd("PCMA", 8, ("PCMA/8000", "telephone-event/8000"))
G722 = FarEnd("G722", 9, ("G722/8000", "telephone-event/8000"))
PCMU = FarEnd("PCMU", 0, ("PCMU/8000", "telephone-event/8000"))
# Far ends may number dynamic payload types as they like (RFC 3264 §6.1).
OPUS_AS_96 = FarEnd("opus", 96, OPUS.rtpmaps, {"111": "96", "110": "97"})
AMR_WB_AS_100 = FarEnd("AMR-WB", 100, AMR_WB.rtpmaps, {"96": "100", "98": "101"})
PCMA_EVENTS_AS_101 = FarEnd("PCMA", 8, PCMA.rtpmaps, {"126": "101"})
CHANGES = (PCMA, OPUS, AMR_WB, PCMU, OPUS_AS_96, AMR_WB_OA, AMR_WB_AS_100)


class PlainProfile(MediaProfile):
    """The profile of audio for a WIC without DTLS and ICE."""

    def _ims_flags(self) -> tuple[str, ...]:
        """Keep the page's port when the far end's changes: without ICE, rtpengine 26 takes another one then."""
        return (*MediaProfile._ims_flags(self), "port-latching")

    def subscribe_request(self) -> MediaOptions:
        """Ask for plain RTP instead."""
        options = MediaProfile.subscribe_request(self)
        return replace(
            options, transport_protocol="RTP/AVP", ice="remove", ice_lite=None, dtls=None, rtcp_mux=()
        )


def plain_profile(
    far: FarSpeech | None = None,
    *,
    digits: bool = True,
    offered: tuple[str, ...] = DEFAULT_IMS_AUDIO_CODECS,
) -> PlainProfile:
    """Make the profile under test."""
    audio = MediaProfiles(offered, daemon_version=daemon_version()).of("audio", far=far, digits=digits)
    return PlainProfile(**{item.name: getattr(audio, item.name) for item in fields(audio)})


class Call:
    """A WIC with a port for each direction, rtpengine, and IMS."""

    def __init__(
        self,
        client: UdpClient,
        transport: WicTransport,
        peers: ExitStack,
        name: str = "call",
        *,
        digits: bool = True,
        offered: tuple[str, ...] = DEFAULT_IMS_AUDIO_CODECS,
        wic_offer: Callable[[str, int], str] = plain_offer,
    ) -> None:
        """Reserve, with the placeholder the gateway takes for this transport."""
        self.client, self.digits, self.offered = client, digits, offered
        self.profile = plain_profile(PLACEHOLDER, digits=digits, offered=offered)
        self.wic, self.reverse = (peers.enter_context(RtpPeer(WIC_ADDRESS)) for _ in range(2))
        self.ims = peers.enter_context(RtpPeer("127.0.0.9"))
        self.session = MediaSession(name, "audio", wic_offer(WIC_ADDRESS, self.wic.port), transport)

        assumed = OPUS if transport is SHARED else PCMA

        def placeholder(offer: str) -> str:
            return answer_to(offer, *assumed.rtpmaps, host=IMS_ADDRESS)

        widens = transport is SHARED and wic_offer is plain_offer
        widened = self.widened(placeholder, f"{name}-other") if widens else None
        self.reserved: Reservation = run(
            reserve(self.session, self.profile, placeholder, reverse=True, widened_offer=widened), client
        )
        self.to_wic_side = (WIC_ADDRESS, section(self.reserved.relay_answer).port)
        self.to_ims_side = (IMS_ADDRESS, section(self.reserved.relay_offer).port)
        self.listener, self.listener_type, self.reverse_answer = self.wic, WIC_PAYLOAD_TYPE, None
        if self.reserved.reverse_offer is not None:
            self.listener = self.reverse
            self.reverse_answer = reverse_answer_to(
                self.reserved.reverse_offer, WIC_ADDRESS, self.reverse.port
            )
            self.listener_type = int(section(self.reverse_answer).formats[0])
            run(accept_reverse(self.session, self.profile, self.reverse_answer), client)

    def widened(self, placeholder: Callable[[str], str], name: str) -> str:
        """Learn from another call what rtpengine makes of the WIC's codecs, as the gateway does."""
        other = replace(self.session, call_id=name)
        learned = run(reserve(other, self.profile, placeholder, reverse=True), self.client)
        run(release(other), self.client)
        return widened_offer(self.session.wic_offer, repertoire(learned.relay_offer))

    def answer_of(self, far_end: FarEnd) -> str:
        """Return an answer of IMS."""
        answer = answer_to(
            self.reserved.relay_offer, *far_end.rtpmaps, host=self.ims.host, port=self.ims.port
        )
        return renumbered(answer, far_end.renumbering)

    def arm(self, far_end: FarEnd) -> None:
        """Let the relay play digits from now on, as the gateway does with the first one."""
        answer = self.answer_of(far_end)
        armed = plain_profile(far_speech(answer), digits=True)
        steps = renew(self.session, armed, answer, self.reverse_answer, daemon_version=daemon_version())
        run(steps, self.client)

    def connect(
        self,
        far_end: FarEnd,
        *,
        version: tuple[int, int] | None = None,
        ptime: str = "",
        direction: str = "sendrecv",
    ) -> None:
        """Take an answer of IMS, as the gateway writes it where it has another direction."""
        self.far_type = far_end.payload_type
        answer = self.answer_of(far_end) + ptime
        if direction != "sendrecv":
            said = answer.replace("a=sendrecv", f"a={direction}")
            answer = ims_answer_media(said, ("audio",))["audio"].sdp or ""
        steps = connect(
            self.session,
            plain_profile(far_speech(answer), digits=self.digits, offered=self.offered),
            answer,
            self.reverse_answer,
            daemon_version=version or daemon_version(),
            answered=answered_codecs(self.session.wic_offer, answer),
        )
        run(steps, self.client)

    def talk(self, far_end: FarEnd) -> None:
        """Let both sides send their tone for a second."""
        for peer in (self.wic, self.reverse, self.ims):
            peer.wait_quiet()
            peer.packets.clear()
        with ThreadPoolExecutor(2) as sides:
            sides.submit(self.speak)
            sides.submit(
                self.ims.send,
                tones(far_end.codec, IMS_TONE_HZ, PACKETS),
                codec=far_end.codec,
                payload_type=far_end.payload_type,
                to=self.to_ims_side,
                ssrc=IMS_SSRC,
            )

    def speak(self) -> None:
        """Let the WIC send its tone for a second."""
        payloads = tones("opus", WIC_TONE_HZ, PACKETS)
        self.wic.send(
            payloads, codec="opus", payload_type=WIC_PAYLOAD_TYPE, to=self.to_wic_side, ssrc=WIC_SSRC
        )


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """Close the RTP ports at the end."""
    with ExitStack() as stack:
        yield stack


def assert_tone(peer: RtpPeer, codec: str, payload_type: int, frequency_hz: int) -> None:
    """Assert that a peer got this tone in this codec and nothing else."""
    assert peer.wait_for(payload_type, PACKETS - 3), f"only {len(peer.payloads(payload_type))} packets"
    assert peer.payload_types() == {payload_type}
    assert loudest_frequency_hz(codec, peer.payloads(payload_type)) == pytest.approx(frequency_hz, abs=5)


def packet_times_ms(listener: RtpPeer) -> set[float]:
    """Return how much sound there is in the packets of Opus that came; after a change one may be as before."""
    return {opus_packet_ms(packet.payload) for packet in listener.packets[2:]}


class TestBothDirections:
    @pytest.mark.parametrize("transport", WicTransport)
    def test_each_hears_the_other_after_every_change_of_codec(
        self, client: UdpClient, peers: ExitStack, transport: WicTransport
    ) -> None:
        call = Call(client, transport, peers, digits=False)
        for far_end in CHANGES:
            call.connect(far_end)
            call.talk(far_end)
            assert_tone(call.ims, far_end.codec, far_end.payload_type, WIC_TONE_HZ)
            assert_tone(call.listener, "opus", call.listener_type, IMS_TONE_HZ)
            assert packet_times_ms(call.listener) == {20 if far_end.codec == "opus" else SHORTEST_MS}
        statistics = run(release(call.session, with_statistics=True), client)
        assert statistics is not None
        assert statistics.rtp.packets >= len(CHANGES) * 2 * (PACKETS - 3)

    def test_the_first_port_of_a_split_wic_gets_no_copy(self, client: UdpClient, peers: ExitStack) -> None:
        if capabilities(daemon_version()).unsubscribe_removes_participant:
            pytest.skip("with the copy of this daemon the WIC's own media would end")
        call = Call(client, SPLIT, peers)
        call.connect(PCMA)
        call.talk(PCMA)
        assert_tone(call.listener, "opus", call.listener_type, IMS_TONE_HZ)
        assert call.wic.packets == []

    def test_without_unsubscribing_it_gets_a_copy_and_all_else_is_the_same(
        self, client: UdpClient, peers: ExitStack
    ) -> None:
        call = Call(client, SPLIT, peers)
        for far_end in (PCMA, AMR_WB):
            call.connect(far_end, version=WITHOUT_UNSUBSCRIBING)
            call.talk(far_end)
            assert_tone(call.ims, far_end.codec, far_end.payload_type, WIC_TONE_HZ)
            assert_tone(call.listener, "opus", call.listener_type, IMS_TONE_HZ)
            assert_tone(call.wic, "opus", WIC_PAYLOAD_TYPE, IMS_TONE_HZ)


@pytest.mark.parametrize("transport", WicTransport)
class TestPacketTimes:
    """Where what becomes Opus is resampled, a little is kept back: no frame of 20 ms comes of one packet."""

    @pytest.mark.parametrize("far_end", [PCMA, AMR_WB], ids=lambda far_end: far_end.codec)
    def test_the_first_packet_of_ims_is_heard_before_the_second(
        self, client: UdpClient, peers: ExitStack, transport: WicTransport, far_end: FarEnd
    ) -> None:
        call = Call(client, transport, peers)
        call.connect(far_end)
        first = tones(far_end.codec, IMS_TONE_HZ, PACKETS)[:1]
        kind, to = far_end.payload_type, call.to_ims_side
        call.ims.send(first, codec=far_end.codec, payload_type=kind, to=to, ssrc=IMS_SSRC)
        assert call.listener.wait_for(call.listener_type, 1)

    def test_ims_gets_packets_as_long_as_it_wants(
        self, client: UdpClient, peers: ExitStack, transport: WicTransport
    ) -> None:
        call = Call(client, transport, peers)
        call.connect(PCMU, ptime="a=ptime:40\r\n")
        call.talk(PCMU)
        # Newer daemons heed IMS's wish in the description of the other direction, too.
        wic_ms = 40 if NO_RESAMPLING and transport is SPLIT else SHORTEST_MS
        assert call.listener.wait_for(call.listener_type, PACKETS * 20 // max(20, wic_ms) - 3)
        assert {len(payload) for payload in call.ims.payloads(0)} == {320}
        assert packet_times_ms(call.listener) == {wic_ms}

    @pytest.mark.parametrize("ptime_ms", [10, 40])
    @pytest.mark.parametrize("far_end", [AMR_WB, G722], ids=lambda far_end: far_end.codec)
    def test_but_where_there_are_only_those_of_20_ms(
        self,
        client: UdpClient,
        peers: ExitStack,
        transport: WicTransport,
        far_end: FarEnd,
        ptime_ms: int,
    ) -> None:
        call = Call(client, transport, peers, offered=(*DEFAULT_IMS_AUDIO_CODECS, "G722"))
        call.connect(far_end, ptime=f"a=ptime:{ptime_ms}\r\n")
        call.talk(far_end)
        assert_tone(call.ims, far_end.codec, far_end.payload_type, WIC_TONE_HZ)
        assert_tone(call.listener, "opus", call.listener_type, IMS_TONE_HZ)
        assert packet_times_ms(call.listener) == {SHORTEST_MS}


class TestGate:
    @pytest.mark.parametrize("transport", WicTransport)
    def test_nothing_passes_while_it_is_closed(
        self, client: UdpClient, peers: ExitStack, transport: WicTransport
    ) -> None:
        call = Call(client, transport, peers)
        call.connect(PCMA)
        run(gate(call.session, wic_to_ims=False, ims_to_wic=False, daemon_version=daemon_version()), client)
        call.talk(PCMA)
        assert (call.ims.packets, call.listener.packets, call.wic.packets) == ([], [], [])
        run(gate(call.session, wic_to_ims=True, ims_to_wic=True, daemon_version=daemon_version()), client)
        call.talk(PCMA)
        assert_tone(call.ims, "PCMA", 8, WIC_TONE_HZ)
        assert_tone(call.listener, "opus", call.listener_type, IMS_TONE_HZ)

    @pytest.mark.parametrize("transport", WicTransport)
    @pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive"])
    def test_what_ims_has_answered_one_way_is_heard_both_ways_once_it_is_open(
        self, client: UdpClient, peers: ExitStack, transport: WicTransport, direction: str
    ) -> None:
        call = Call(client, transport, peers)
        call.connect(PCMA, direction=direction)
        run(gate(call.session, wic_to_ims=True, ims_to_wic=True, daemon_version=daemon_version()), client)
        call.talk(PCMA)
        assert_tone(call.ims, "PCMA", 8, WIC_TONE_HZ)
        assert_tone(call.listener, "opus", call.listener_type, IMS_TONE_HZ)


@pytest.mark.parametrize("transport", WicTransport)
@pytest.mark.parametrize(
    ("far_end", "event_type"),
    [
        pytest.param(OPUS, 110, id="opus"),
        pytest.param(AMR_WB, 98, id="AMR-WB"),
        pytest.param(PCMA, 126, id="PCMA"),
        pytest.param(OPUS_AS_96, 97, id="opus, renumbered"),
        pytest.param(AMR_WB_AS_100, 101, id="AMR-WB, renumbered"),
        pytest.param(PCMA_EVENTS_AS_101, 101, id="events alone renumbered"),
    ],
)
class TestDtmf:
    """RFC 4733, at the clock rate of the far end's codec. One way or the other: see the README of the package."""

    def test_a_digit_pressed_by_the_wic_reaches_ims_as_event(
        self, client: UdpClient, peers: ExitStack, transport: WicTransport, far_end: FarEnd, event_type: int
    ) -> None:
        call = Call(client, transport, peers)
        call.connect(far_end)
        call.speak()
        call.wic.press(5, payload_type=WIC_EVENT_TYPE, to=call.to_wic_side, ssrc=WIC_SSRC)
        assert_digit(call.ims, event_type, 5)

    def test_a_digit_played_for_the_wic_reaches_ims_as_event(
        self, client: UdpClient, peers: ExitStack, transport: WicTransport, far_end: FarEnd, event_type: int
    ) -> None:
        call = Call(client, transport, peers)
        call.connect(far_end)
        with ThreadPoolExecutor(1) as wic:
            wic.submit(call.speak)
            assert call.ims.wait_for(far_end.payload_type, 3)
            client.request(PlayDtmf(call.session.ng_call_id, WIC_TAG, "7"))
        assert_digit(call.ims, event_type, 7)


def assert_digit(peer: RtpPeer, payload_type: int, digit: int) -> None:
    """Assert that a peer got this digit, to its end, and no other."""
    assert peer.wait_for(payload_type, 12)
    events = peer.payloads(payload_type)
    assert {event[0] for event in events} == {digit}
    assert any(event[1] & 0x80 for event in events), "no end of event"
