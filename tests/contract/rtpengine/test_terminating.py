"""A medium that IMS offers, through a real rtpengine: what the WIC is offered, what IMS is answered, who hears whom."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest

from kemi.core.sdp.interwork.incoming import client_answer_media, client_offer, core_offer_media
from kemi.core.sdp.model import Origin
from kemi.core.sdp.text import sdp_from_text
from rtpengine.capabilities import capabilities
from rtpengine.ng.commands import Command, List, MediaOptions, R, Unsubscribe
from rtpengine.ng.errors import NgErrorReply
from rtpengine.ng.replies import Reply
from rtpengine.profiles import MediaProfile, audio_profile, video_profile
from rtpengine.running import gate
from rtpengine.sessions import (
    MediaSession,
    WicTransport,
    connect_terminating,
    release,
    reserve_terminating,
    run,
)
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS
from tests.contract.rtpengine.rtp_peer import RtpPeer, loudest_frequency_hz, tone_payloads
from tests.contract.rtpengine.sdp import section
from tests.lab.relay_program import daemon_version

FAR_END = "127.0.0.9"
PACKETS = 40
WIC_TONE_HZ, IMS_TONE_HZ = 1000, 440
tones = cache(tone_payloads)


class Offer(NamedTuple):
    """What IMS offers, and which of it is to be answered."""

    formats: str
    lines: tuple[str, ...]
    codec: str
    payload_type: int


OFFERS = {
    "PCMA": Offer("8 101", ("rtpmap:8 PCMA/8000", "rtpmap:101 telephone-event/8000"), "PCMA", 8),
    "PCMU": Offer("0", ("rtpmap:0 PCMU/8000",), "PCMU", 0),
    "AMR-WB before PCMA": Offer(
        "104 8 102 101",
        (
            "rtpmap:104 AMR-WB/16000",
            "fmtp:104 mode-change-capability=2;max-red=0",
            "rtpmap:8 PCMA/8000",
            "rtpmap:102 telephone-event/16000",
            "rtpmap:101 telephone-event/8000",
        ),
        "AMR-WB",
        104,
    ),
    "AMR-WB octet-aligned": Offer("97", ("rtpmap:97 AMR-WB/16000", "fmtp:97 octet-align=1"), "AMR-WB-OA", 97),
    "Opus among others": Offer(
        "104 98 0 100",
        (
            "rtpmap:104 AMR-WB/16000",
            "rtpmap:98 opus/48000/2",
            "rtpmap:0 PCMU/8000",
            "rtpmap:100 telephone-event/48000",
        ),
        "opus",
        98,
    ),
}


def ims_offer(port: int, offer: Offer, kind: str = "audio") -> str:
    """Return one m-line as the gateway hands it over."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {FAR_END}", "s=-", "t=0 0"]
    lines += [f"m={kind} {port} RTP/AVP {offer.formats}", f"c=IN IP4 {FAR_END}"]
    lines += [f"a={line}" for line in (*offer.lines, "sendrecv")]
    return "\r\n".join(lines) + "\r\n"


def browser_answer(offer: str) -> str:
    """Answer as a browser does: DTLS client, no address."""
    part = section(offer)
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines += [f"m={part.lines[0][2:].split()[0]} 9 UDP/TLS/RTP/SAVPF {' '.join(part.formats)}"]
    lines += ["c=IN IP4 0.0.0.0", "a=ice-ufrag:AwWU", "a=ice-pwd:CpJm0YYJJ032cM4AhZdJzcx1"]
    lines += ["a=ice-options:trickle", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:active"]
    lines += ["a=mid:0", "a=rtcp-mux"]
    lines += [f"a=rtpmap:{number} {codec}" for number, codec in part.codecs.items()]
    return "\r\n".join([*lines, "a=sendrecv"]) + "\r\n"


def session(medium: str = "audio") -> MediaSession:
    """Return the medium under test."""
    return MediaSession("call;gw-in-1", medium, "", WicTransport.SHARED)


class GivingBack:
    """A client that somebody is faster than once, who gives the medium back."""

    def __init__(self, client: UdpClient, medium: MediaSession) -> None:
        self._client, self._medium, self.done = client, medium, False

    def request(self, command: Command[R]) -> R:
        """Ask the relay."""
        if isinstance(command, Unsubscribe) and not self.done:
            self.done = True
            run(release(self._medium), self._client)
        return self._client.request(command)

    def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        """Ask it several things."""
        return self._client.request_all(commands)


class TestDescriptions:
    @pytest.mark.parametrize("name", OFFERS)
    def test_the_wic_is_offered_opus_alone_and_ims_answered_in_its_own_codec(
        self, client: UdpClient, name: str
    ) -> None:
        offer = OFFERS[name]
        profile = audio_profile(daemon_version=daemon_version())
        given = run(reserve_terminating(session(), profile, ims_offer(5004, offer)), client)
        part = section(given)
        assert list(part.codecs.values()) == ["opus/48000/2", "telephone-event/48000"]
        assert (part.protocol, part.values("setup")) == ("UDP/TLS/RTP/SAVPF", ["actpass"])
        assert "a=ice-lite" in given.splitlines()
        assert "a=rtcp-mux" in part.lines
        assert all(
            part.values(attribute) for attribute in ("ice-ufrag", "ice-pwd", "fingerprint", "candidate")
        )
        assert not part.values("crypto")
        assert f"c=IN IP4 {WIC_ADDRESS}" in part.lines

        answer = run(connect_terminating(session(), profile, browser_answer(given)), client)
        answered = section(answer)
        assert f"c=IN IP4 {IMS_ADDRESS}" in answer.splitlines()
        assert answered.protocol == "RTP/AVP"
        assert int(answered.formats[0]) == offer.payload_type
        events = [codec for codec in answered.codecs.values() if codec.startswith("telephone-event")]
        assert len(events) <= 1
        assert not [name for name in ("ice-ufrag", "fingerprint", "setup") if answered.values(name)]

    @pytest.mark.parametrize("codec", ["VP8/90000", "H264/90000"])
    def test_video_is_offered_as_it_came(self, client: UdpClient, codec: str) -> None:
        offer = Offer("99", (f"rtpmap:99 {codec}",), codec, 99)
        profile = video_profile(daemon_version=daemon_version())
        given = run(reserve_terminating(session("video"), profile, ims_offer(5006, offer, "video")), client)
        assert section(given).codecs == {"99": codec}
        answer = run(connect_terminating(session("video"), profile, browser_answer(given)), client)
        assert section(answer).codecs == {"99": codec}

    @pytest.mark.parametrize("formats", ["8", "0"])
    @pytest.mark.parametrize("packet_ms", [0, 1, 1000, 1001, 1_000_000, 2**31 - 1])
    def test_no_packet_length_of_the_far_end_ends_the_relay(
        self, client: UdpClient, formats: str, packet_ms: int
    ) -> None:
        """With a=ptime:1000000 as it is, 10.5 aborts."""
        said = ims_offer(5004, Offer(formats, (f"ptime:{packet_ms}",), "", int(formats)))
        (line,) = core_offer_media(sdp_from_text(said), ())
        profile = audio_profile(daemon_version=daemon_version())
        given = run(reserve_terminating(session(), profile, line.sdp), client)
        run(connect_terminating(session(), profile, browser_answer(given)), client)
        assert client.request(List()).call_ids == ("call;gw-in-1",)

    def test_a_refused_offer_leaves_no_call(self, client: UdpClient) -> None:
        with pytest.raises(NgErrorReply):
            run(
                reserve_terminating(session(), audio_profile(daemon_version=daemon_version()), "nonsense"),
                client,
            )
        assert client.request(List()).call_ids == ()

    def test_what_is_given_back_under_its_name_meanwhile_costs_nothing(self, client: UdpClient) -> None:
        """As when the page's own offer of video is taken back, which the core's has crossed."""
        if capabilities(daemon_version()).offer_takes_over:
            pytest.skip("one command reserves it")
        video = Offer("99", ("rtpmap:99 VP8/90000",), "VP8", 99)
        giving_back = GivingBack(client, session("video"))
        profile = video_profile(daemon_version=daemon_version())
        given = run(
            reserve_terminating(session("video"), profile, ims_offer(5006, video, "video")), giving_back
        )
        assert giving_back.done
        answer = run(connect_terminating(session("video"), profile, browser_answer(given)), client)
        assert section(answer).codecs == {"99": "VP8/90000"}

    def test_audio_and_video_are_calls_of_their_own(self, client: UdpClient) -> None:
        video = Offer("99", ("rtpmap:99 VP8/90000",), "VP8", 99)
        run(
            reserve_terminating(
                session(), audio_profile(daemon_version=daemon_version()), ims_offer(5004, OFFERS["PCMA"])
            ),
            client,
        )
        run(
            reserve_terminating(
                session("video"),
                video_profile(daemon_version=daemon_version()),
                ims_offer(5006, video, "video"),
            ),
            client,
        )
        assert set(client.request(List()).call_ids) == {"call;gw-in-1", "call;gw-in-1-v"}
        for medium in ("audio", "video"):
            run(release(session(medium)), client)
        assert client.request(List()).call_ids == ()


class PlainProfile(MediaProfile):
    """The profile of audio for a WIC without DTLS and ICE."""

    def terminating_offer(self) -> MediaOptions:
        """Ask for plain RTP instead."""
        options = MediaProfile.terminating_offer(self)
        return replace(
            options, transport_protocol="RTP/AVP", ice="remove", ice_lite=None, rtcp_mux=("demux",)
        )


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    """Close the RTP ports at the end."""
    with ExitStack() as stack:
        yield stack


class Call:
    """IMS calls a WIC that speaks plain RTP."""

    def __init__(
        self, client: UdpClient, peers: ExitStack, offer: Offer, direction: str = "sendrecv"
    ) -> None:
        """Take what IMS offers with this direction and what the WIC answers, both as the gateway hands them over."""
        self.client, self.offer = client, offer
        audio = audio_profile(daemon_version=daemon_version())
        profile = PlainProfile(
            terminating_codec=audio.terminating_codec, dtmf=audio.dtmf, daemon_version=audio.daemon_version
        )
        self.wic, self.ims = peers.enter_context(RtpPeer(WIC_ADDRESS)), peers.enter_context(RtpPeer(FAR_END))
        said = ims_offer(self.ims.port, offer).replace("a=sendrecv", f"a={direction}")
        (line,) = core_offer_media(sdp_from_text(said), ())
        given = run(reserve_terminating(session(), profile, line.sdp), client)
        part = section(given)
        self.opus = int(part.formats[0])
        secured = given.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")
        offered = client_offer([line], {"audio": secured}, Origin(1, 1))
        page = browser_answer(secured).replace("a=sendrecv", f"a={line.direction.mirrored}")
        taken = client_answer_media(offered, page)["audio"]
        (told,) = sdp_from_text(taken.sdp or "").media
        answer = "\r\n".join(
            [
                *("v=0", f"o=- 1 1 IN IP4 {WIC_ADDRESS}", "s=-", f"c=IN IP4 {WIC_ADDRESS}", "t=0 0"),
                f"m=audio {self.wic.port} RTP/AVP {self.opus}",
                f"a=rtpmap:{self.opus} opus/48000/2",
                f"a={told.direction}\r\n",
            ]
        )
        answered = section(run(connect_terminating(session(), profile, answer), client))
        self.to_wic_side, self.to_ims_side = (WIC_ADDRESS, part.port), (IMS_ADDRESS, answered.port)

    def gate(self, *, wic_to_ims: bool, ims_to_wic: bool) -> None:
        """Let media pass so."""
        steps = gate(session(), wic_to_ims=wic_to_ims, ims_to_wic=ims_to_wic, daemon_version=daemon_version())
        run(steps, self.client)

    def talk(self) -> None:
        """Let both sides send their tone."""
        for peer in (self.wic, self.ims):
            peer.wait_quiet()
            peer.packets.clear()
        with ThreadPoolExecutor(2) as sides:
            sides.submit(
                self.wic.send,
                tones("opus", WIC_TONE_HZ, PACKETS),
                codec="opus",
                payload_type=self.opus,
                to=self.to_wic_side,
                ssrc=0x1111,
            )
            sides.submit(
                self.ims.send,
                tones(self.offer.codec, IMS_TONE_HZ, PACKETS),
                codec=self.offer.codec,
                payload_type=self.offer.payload_type,
                to=self.to_ims_side,
                ssrc=0x2222,
            )

    def assert_both_heard(self) -> None:
        """Assert that each side got the other's tone, and nothing else."""
        for peer, codec, number, hz in (
            (self.ims, self.offer.codec, self.offer.payload_type, WIC_TONE_HZ),
            (self.wic, "opus", self.opus, IMS_TONE_HZ),
        ):
            assert peer.wait_for(number, PACKETS - 3), f"only {len(peer.payloads(number))} packets"
            assert peer.payload_types() == {number}
            assert loudest_frequency_hz(codec, peer.payloads(number)) == pytest.approx(hz, abs=5)


@pytest.mark.parametrize("name", OFFERS)
def test_each_hears_the_other(client: UdpClient, peers: ExitStack, name: str) -> None:
    call = Call(client, peers, OFFERS[name])
    call.talk()
    call.assert_both_heard()


@pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive"])
def test_what_begins_on_hold_is_heard_both_ways_once_the_gate_is_open(
    client: UdpClient, peers: ExitStack, direction: str
) -> None:
    """It is the gate that holds it, whatever the daemon makes of directions."""
    call = Call(client, peers, OFFERS["PCMA"], direction)
    call.gate(wic_to_ims=direction == "recvonly", ims_to_wic=direction == "sendonly")
    call.talk()
    assert call.ims.wait_for(8, PACKETS - 3) if direction == "recvonly" else not call.ims.packets
    assert call.wic.wait_for(call.opus, PACKETS - 3) if direction == "sendonly" else not call.wic.packets
    call.gate(wic_to_ims=True, ims_to_wic=True)
    call.talk()
    call.assert_both_heard()
