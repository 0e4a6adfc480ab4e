"""The session sequences against a real rtpengine with a browser's offer: what the SDP of each side looks like."""

from typing import Any

import pytest

from kemi.adapters.relay.repertoires import answered_codecs
from kemi.core.sdp.interwork import repertoire, widened_offer
from rtpengine.ng.commands import Answer, Command, List, Offer, Query, R
from rtpengine.ng.errors import NgErrorReply
from rtpengine.ng.replies import Reply, SdpReply
from rtpengine.profiles import MediaProfile, audio_profile, video_profile
from rtpengine.running import gate
from rtpengine.sessions import (
    MediaSession,
    WicTransport,
    accept_reverse,
    connect,
    release,
    reserve,
    run,
)
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS
from tests.contract.rtpengine.sdp import Section, answer_to, browser_offer, section
from tests.lab.relay_program import daemon_version

BROWSER = "chromium-156-av-sendonly.sdp"
AUDIO_OFFER = browser_offer(BROWSER, "audio", "opus", "telephone-event")
VIDEO_OFFER = browser_offer(BROWSER, "video", "VP8", "H264")
FAR_END = "127.0.0.9"
ANSWERS = {
    "opus": ("opus/48000/2", "telephone-event/48000"),
    "opus, events at 8000": ("opus/48000/2", "telephone-event/8000"),
    "opus, no events": ("opus/48000/2",),
    "AMR-WB": ("AMR-WB/16000", "telephone-event/16000"),
    "PCMA": ("PCMA/8000", "telephone-event/8000"),
    "PCMA, no events": ("PCMA/8000",),
    "PCMU": ("PCMU/8000", "telephone-event/8000"),
}


def placeholder(relay_offer: str) -> str:
    """Answer with PCMA, or with all of a video offer."""
    codecs = ANSWERS["PCMA"] if "m=audio" in relay_offer else ()
    return answer_to(relay_offer, *codecs, host=IMS_ADDRESS)


def reverse_answer(reverse_offer: str) -> str:
    """Answer as a browser does, transport aside."""
    return reverse_offer.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")


def transport_of(part: Section) -> tuple[object, ...]:
    """What a browser would have to connect to anew if it changed."""
    return part.port, *(part.values(name)[0] for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"))


class Recorder:
    """Passes commands on and keeps the SDP that came for IMS and for the WIC."""

    def __init__(self, client: UdpClient) -> None:
        self._client = client
        self.offer_sdp = self.answer_sdp = ""

    def request(self, command: Command[R]) -> R:
        """Pass a command on."""
        reply = self._client.request(command)
        if isinstance(command, Offer) and isinstance(reply, SdpReply):
            self.offer_sdp = reply.sdp
        if isinstance(command, Answer) and isinstance(reply, SdpReply):
            self.answer_sdp = reply.sdp
        return reply

    def request_all(self, commands: tuple[Command[Any], ...]) -> list[Reply]:
        """Pass them on one after the other."""
        return [self.request(command) for command in commands]


@pytest.fixture(params=["audio", "video"])
def medium(request: pytest.FixtureRequest) -> tuple[MediaProfile, str, str]:
    """Profile, medium and the WIC's offer."""
    if request.param == "audio":
        return audio_profile(daemon_version=daemon_version()), "audio", AUDIO_OFFER
    return video_profile(daemon_version=daemon_version()), "video", VIDEO_OFFER


class TestReservation:
    def test_ims_is_offered_the_codecs_of_the_profile_and_dtmf_at_each_of_their_rates(
        self, client: UdpClient
    ) -> None:
        session = MediaSession("call", "audio", AUDIO_OFFER, WicTransport.SHARED)
        offer = section(
            run(
                reserve(session, audio_profile(daemon_version=daemon_version()), placeholder, reverse=False),
                client,
            ).relay_offer
        )
        names = [codec for codec in offer.codecs.values() if not codec.startswith("telephone-event")]
        events = {codec for codec in offer.codecs.values() if codec.startswith("telephone-event")}
        assert names == ["opus/48000/2", "AMR-WB/16000", "AMR-WB/16000", "PCMA/8000", "PCMU/8000"]
        assert events == {f"telephone-event/{rate}" for rate in (8000, 16000, 48000)}

    @pytest.mark.parametrize(
        "codecs", [("PCMA", "PCMU"), ("PCMU", "opus"), ("AMR-WB", "AMR", "G722")], ids=str
    )
    def test_the_order_of_the_profile_is_the_order_of_the_offer(
        self, client: UdpClient, codecs: tuple[str, ...]
    ) -> None:
        session = MediaSession("call", "audio", AUDIO_OFFER, WicTransport.SHARED)

        def first_codec(relay_offer: str) -> str:
            return answer_to(relay_offer, *list(section(relay_offer).codecs.values())[:1], host=IMS_ADDRESS)

        offer = section(
            run(
                reserve(
                    session,
                    audio_profile(codecs, daemon_version=daemon_version()),
                    first_codec,
                    reverse=False,
                ),
                client,
            ).relay_offer
        )
        names = [codec.split("/")[0] for codec in offer.codecs.values()]
        assert tuple(name for name in names if name != "telephone-event") == codecs

    @pytest.mark.parametrize(
        "wic_offer",
        [
            pytest.param(AUDIO_OFFER, id="Chromium"),
            pytest.param(browser_offer(BROWSER, "audio", "opus"), id="no telephone-event"),
        ],
    )
    def test_a_widened_offer_brings_the_same_descriptions(self, client: UdpClient, wic_offer: str) -> None:
        def opus(relay_offer: str) -> str:
            return answer_to(relay_offer, *ANSWERS["opus"], host=IMS_ADDRESS)

        first = MediaSession("first", "audio", wic_offer, WicTransport.SHARED)
        learned = run(
            reserve(first, audio_profile(daemon_version=daemon_version()), opus, reverse=True), client
        )
        second = MediaSession("second", "audio", wic_offer, WicTransport.SHARED)
        widened = widened_offer(wic_offer, repertoire(learned.relay_offer))
        known = run(
            reserve(
                second,
                audio_profile(daemon_version=daemon_version()),
                opus,
                reverse=True,
                widened_offer=widened,
            ),
            client,
        )
        assert repertoire(known.relay_offer) == repertoire(learned.relay_offer)
        answers = repertoire(known.relay_answer), repertoire(learned.relay_answer)
        # what Opus may do besides is nothing that a WIC has to hear of: rtpengine 12.5 says it otherwise
        assert answers[0].formats == answers[1].formats
        assert answers[0].encodings_by_type == answers[1].encodings_by_type
        assert section(known.relay_answer).protocol == section(learned.relay_answer).protocol

    @pytest.mark.parametrize("answered", [name for name in ANSWERS if name != "opus"])
    @pytest.mark.parametrize("events", [True, False], ids=["with events", "no events"])
    def test_an_offer_for_what_ims_took_keeps_its_payload_types(
        self, client: UdpClient, answered: str, events: bool
    ) -> None:
        wic_offer = AUDIO_OFFER if events else browser_offer(BROWSER, "audio", "opus")
        session, profile = (
            MediaSession("call", "audio", wic_offer, WicTransport.SHARED),
            audio_profile(daemon_version=daemon_version()),
        )
        reserved = run(reserve(session, profile, placeholder, reverse=True), client)
        taken = [codec for codec in ANSWERS[answered] if events or not codec.startswith("telephone-event")]
        ims_answer = answer_to(reserved.relay_offer, *taken, host=FAR_END, port=5004)
        names = answered_codecs(wic_offer, ims_answer)
        assert names is not None
        steps = connect(session, profile, ims_answer, None, daemon_version=daemon_version(), answered=names)
        recorder = Recorder(client)
        run(steps, recorder)
        made_ready = section(recorder.offer_sdp)
        assert section(ims_answer).codecs.items() <= made_ready.codecs.items()
        assert len(made_ready.codecs) < len(section(reserved.relay_offer).codecs)

    @pytest.mark.parametrize("transport", WicTransport)
    def test_each_side_gets_the_transport_it_speaks(
        self, client: UdpClient, medium: tuple[MediaProfile, str, str], transport: WicTransport
    ) -> None:
        profile, kind, wic_offer = medium
        session = MediaSession("call", kind, wic_offer, transport)
        reservation = run(reserve(session, profile, placeholder, reverse=True), client)
        relay_offer, relay_answer = section(reservation.relay_offer), section(reservation.relay_answer)

        assert relay_offer.protocol == "RTP/AVP"
        assert not [
            name for name in ("ice-ufrag", "fingerprint", "setup", "extmap") if relay_offer.values(name)
        ]
        assert relay_answer.protocol == "UDP/TLS/RTP/SAVPF"
        assert "a=ice-lite" in reservation.relay_answer.splitlines()
        assert relay_answer.values("setup") == ["passive"]
        assert f"c=IN IP4 {IMS_ADDRESS}" in reservation.relay_offer
        assert f"c=IN IP4 {WIC_ADDRESS}" in reservation.relay_answer

        assert (reservation.reverse_offer is None) == (transport is WicTransport.SHARED)
        if reservation.reverse_offer is not None:
            reverse = section(reservation.reverse_offer)
            assert (reverse.protocol, reverse.values("setup")) == ("UDP/TLS/RTP/SAVPF", ["actpass"])
            assert "a=sendonly" in reverse.lines
            assert reverse.port != relay_answer.port

    def test_the_reverse_audio_offer_has_opus_alone(self, client: UdpClient) -> None:
        session = MediaSession("call", "audio", AUDIO_OFFER, WicTransport.SPLIT)
        reservation = run(
            reserve(session, audio_profile(daemon_version=daemon_version()), placeholder, reverse=True),
            client,
        )
        assert reservation.reverse_offer is not None
        assert section(reservation.reverse_offer).codecs == {"96": "opus/48000/2"}

    def test_video_feedback_is_offered_to_both_sides(self, client: UdpClient) -> None:
        session = MediaSession("call", "video", VIDEO_OFFER, WicTransport.SPLIT)
        reservation = run(
            reserve(session, video_profile(daemon_version=daemon_version()), placeholder, reverse=True),
            client,
        )
        assert reservation.reverse_offer is not None
        for sdp in (reservation.relay_offer, reservation.relay_answer, reservation.reverse_offer):
            assert {"96 nack pli", "96 ccm fir"} <= set(section(sdp).values("rtcp-fb"))
            assert "VP8/90000" in section(sdp).codecs.values()

    def test_a_refused_reservation_leaves_no_call(self, client: UdpClient) -> None:
        session = MediaSession("call", "audio", AUDIO_OFFER, WicTransport.SPLIT)
        with pytest.raises(NgErrorReply):
            run(
                reserve(
                    session,
                    audio_profile(daemon_version=daemon_version()),
                    lambda offer: "nonsense",
                    reverse=True,
                ),
                client,
            )
        assert client.request(List()).call_ids == ()


class TestConnection:
    @pytest.mark.parametrize("transport", WicTransport)
    def test_the_wic_s_ports_keys_and_codecs_stay_whatever_ims_answers(
        self, client: UdpClient, transport: WicTransport
    ) -> None:
        session, profile = (
            MediaSession("call", "audio", AUDIO_OFFER, transport),
            audio_profile(daemon_version=daemon_version()),
        )
        reserved = run(reserve(session, profile, placeholder, reverse=True), client)
        reverse = None if reserved.reverse_offer is None else reverse_answer(reserved.reverse_offer)
        if reverse is not None:
            run(accept_reverse(session, profile, reverse), client)
        before = section(reserved.relay_answer)
        assert before.codecs == {"111": "opus/48000/2", "110": "telephone-event/48000"}

        for codecs in ANSWERS.values():
            recorder = Recorder(client)
            ims_answer = answer_to(reserved.relay_offer, *codecs, host=FAR_END, port=5004)
            steps = connect(session, profile, ims_answer, reverse, daemon_version=daemon_version())
            assert run(steps, recorder) == recorder.answer_sdp
            again, offered = section(recorder.offer_sdp), section(reserved.relay_offer)
            assert again.port == offered.port
            if daemon_version() < (
                12,
                5,
            ):  # newer ones number dynamic types anew where one of an answer is gone
                assert again.lines == offered.lines
            after = section(recorder.answer_sdp)
            assert (after.codecs, transport_of(after)) == (before.codecs, transport_of(before))

    def test_audio_and_video_are_connected_and_released_independently(self, client: UdpClient) -> None:
        media = [
            (
                MediaSession("call", "audio", AUDIO_OFFER, WicTransport.SPLIT),
                audio_profile(daemon_version=daemon_version()),
            ),
            (
                MediaSession("call", "video", VIDEO_OFFER, WicTransport.SPLIT),
                video_profile(daemon_version=daemon_version()),
            ),
        ]
        for session, profile in media:
            reserved = run(reserve(session, profile, placeholder, reverse=True), client)
            assert reserved.reverse_offer is not None
            reverse = reverse_answer(reserved.reverse_offer)
            run(accept_reverse(session, profile, reverse), client)
            for port in (5004, 5006):
                ims_answer = answer_to(reserved.relay_offer, *(), host=FAR_END, port=port)
                run(connect(session, profile, ims_answer, reverse, daemon_version=daemon_version()), client)
        assert set(client.request(List()).call_ids) == {"call", "call-v"}
        for session, _ in media:
            statistics = client.request(Query(session.ng_call_id))
            (ims,) = statistics.tags["ims"].medias
            assert (ims.type, ims.streams[0].endpoint) == (session.medium, (FAR_END, 5006))
            assert run(release(session, with_statistics=True), client) is not None
            assert run(release(session, with_statistics=True), client) is None
        assert client.request(List()).call_ids == ()

    def test_the_gate_of_an_unknown_call_says_so(self, client: UdpClient) -> None:
        session = MediaSession("none", "audio", AUDIO_OFFER, WicTransport.SHARED)
        with pytest.raises(NgErrorReply):
            run(gate(session, wic_to_ims=True, ims_to_wic=True, daemon_version=daemon_version()), client)
