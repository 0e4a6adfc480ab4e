"""What the web client is told, and its answer to the second offer."""

import pytest

from kemi.core.errors import (
    LocalProtocolError,
    MediaUnavailable,
    NotAcceptableHere,
    RemoteProtocolError,
    SdpSyntaxError,
)
from kemi.core.sdp.interwork import check_reverse_answer, reverse_offer, wic_answer
from kemi.core.sdp.judge import (
    ClientCapabilities,
    Judgement,
    WicTransport,
    choose_transport,
    judge_offer,
)
from kemi.core.sdp.model import MediaDescription, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.sdp.samples import (
    ORIGIN,
    OUR_SDK,
    RELAY_SUBSCRIBE_REQUESTS,
    RELAY_WIC_ANSWERS,
    STOCK_SIP_JS,
    bent,
    golden,
    goldens,
    judged,
)

AUDIO = "chromium-156-audio-sendonly"
AV = "chromium-156-av-sendonly"
SHARED_CALL = "chromium-156-audio-sendonly-call"
SPLIT_CALL = "chromium-156-av-sendonly-call"


def answered(name: str, client: ClientCapabilities = OUR_SDK) -> tuple[SessionDescription, Judgement]:
    offer, judgement = judged(name, client)
    transport, _ = choose_transport(offer, judgement)
    relay_answers = goldens(RELAY_WIC_ANSWERS, judgement.kinds)
    return wic_answer(offer, judgement, relay_answers, transport, ORIGIN), judgement


def second_offer(name: str, client: ClientCapabilities = OUR_SDK) -> SessionDescription:
    answer, judgement = answered(name, client)
    split = len(judgement.media) > 1
    reverse_offers = goldens(RELAY_SUBSCRIBE_REQUESTS, judgement.kinds) if split else {}
    return reverse_offer(answer, judgement, reverse_offers, ORIGIN.next())


def transport_of(media: MediaDescription) -> tuple[object, ...]:
    return media.port, media.connection, media.ice_ufrag, media.ice_pwd, media.fingerprints


class TestAnswer:
    """RFC 3264 §6, RFC 8829 §5.3.1."""

    @pytest.mark.parametrize(
        ("name", "lines", "groups"),
        [
            pytest.param(AUDIO, ["0 recvonly"], [("0",)], id="sendonly audio"),
            pytest.param("chromium-156-audio-sendrecv", ["0 sendrecv"], [], id="sendrecv audio"),
            pytest.param("chromium-156-audio-recvonly", ["0 sendonly"], [], id="a listener"),
            pytest.param(
                "chromium-156-audio-sendonly-and-recvonly",
                ["0 recvonly", "1 sendonly"],
                [("0", "1")],
                id="pair",
            ),
            pytest.param(AV, ["0 recvonly", "1 recvonly"], [], id="audio and video"),
            pytest.param("chromium-156-av-sendrecv", ["0 sendrecv", "1 sendrecv"], [], id="both ways"),
            pytest.param(
                "chromium-156-audio-and-datachannel", ["0 sendrecv", "1 off"], [], id="data channel"
            ),
            pytest.param("chromium-156-av-max-bundle", ["0 sendrecv", "1 off"], [("0",)], id="max-bundle"),
        ],
    )
    def test_it_has_the_lines_of_the_offer_with_directions_mirrored(
        self, name: str, lines: list[str], groups: list[tuple[str, ...]]
    ) -> None:
        answer, _ = answered(name)
        assert [f"{line.mid} {line.direction if line.port else 'off'}" for line in answer.media] == lines
        assert list(answer.bundle_groups) == groups
        assert answer.session.flag("ice-lite")

    def test_it_is_ours_and_carries_the_transport_of_the_relay(self) -> None:
        answer, _ = answered(AUDIO)
        relayed = sdp_from_text(golden(RELAY_WIC_ANSWERS["audio"])).media[0]
        assert answer.session.values("o") == ["- 4711 1 IN IP4 192.0.2.10"]
        assert transport_of(answer.media[0]) == transport_of(relayed)
        assert answer.media[0].codecs == relayed.codecs
        assert answer.media[0].setup == "passive"
        assert answer.media[0].rtcp_mux

    def test_both_lines_of_a_pair_have_one_transport(self) -> None:
        sending, listening = answered("chromium-156-audio-sendonly-and-recvonly")[0].media
        assert transport_of(sending) == transport_of(listening)
        assert listening.attribute("msid") == "gw gw1"
        assert sending.attribute("msid") is None

    def test_a_refused_line_keeps_protocol_format_and_mid(self) -> None:
        refused = answered("chromium-156-audio-and-datachannel")[0].media[1]
        assert refused.lines[0] == "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
        assert refused.mid == "1"

    def test_a_kind_the_relay_did_not_answer_for_is_refused(self) -> None:
        offer, judgement = judged(AV)
        answer = wic_answer(
            offer, judgement, goldens(RELAY_WIC_ANSWERS, ("audio",)), WicTransport.SPLIT, ORIGIN
        )
        assert [line.port > 0 for line in answer.media] == [True, False]

    def test_a_client_that_names_no_lines_gets_no_names(self) -> None:
        offer = sdp_from_text(bent(AUDIO, ("a=mid:0\r\n", ""), ("a=group:BUNDLE 0\r\n", "")))
        judgement = judge_offer(offer, OUR_SDK)
        answer = wic_answer(
            offer, judgement, goldens(RELAY_WIC_ANSWERS, ("audio",)), WicTransport.SPLIT, ORIGIN
        )
        assert answer.media[0].mid is None

    def test_what_an_ims_peer_wrote_does_not_come_through(self) -> None:
        offer, judgement = judged(AUDIO)
        leaking = bent(
            RELAY_WIC_ANSWERS["audio"],
            (
                "a=sendrecv",
                "a=curr:qos local none\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendrecv",
            ),
        )
        text = sdp_to_text(wic_answer(offer, judgement, {"audio": leaking}, WicTransport.SHARED, ORIGIN))
        assert "qos" not in text
        assert "extmap" not in text

    def test_without_any_relay_answer_media_is_unavailable(self) -> None:
        offer, judgement = judged(AUDIO)
        with pytest.raises(MediaUnavailable, match="answered for no medium"):
            wic_answer(offer, judgement, {}, WicTransport.SHARED, ORIGIN)

    def test_a_pair_never_gets_split_transports(self) -> None:
        offer, judgement = judged("chromium-156-audio-sendonly-and-recvonly")
        with pytest.raises(LocalProtocolError, match="need a shared transport"):
            wic_answer(offer, judgement, goldens(RELAY_WIC_ANSWERS, ("audio",)), WicTransport.SPLIT, ORIGIN)

    def test_the_text_of_a_transport_will_do(self) -> None:
        offer, judgement = judged(AUDIO)
        transport = WicTransport("shared")
        answer = wic_answer(offer, judgement, goldens(RELAY_WIC_ANSWERS, ("audio",)), transport, ORIGIN)
        assert answer.bundle_groups == (("0",),)


class TestSecondOffer:
    """RFC 3264 §8, RFC 8842 §5.3."""

    def test_a_shared_transport_is_copied_into_one_group(self) -> None:
        offer2 = second_offer(AUDIO)
        own, added = offer2.media
        assert offer2.session.values("o") == ["- 4711 2 IN IP4 192.0.2.10"]
        assert offer2.bundle_groups == (("0", "r0"),)
        assert transport_of(own) == transport_of(added)
        assert own.formats == added.formats
        assert [f"{line.mid} {line.direction} {line.setup}" for line in offer2.media] == [
            "0 recvonly actpass",
            "r0 sendonly actpass",
        ]
        assert added.attribute("msid") == "gw gwr0"

    def test_split_transports_come_from_the_relay_and_without_group(self) -> None:
        offer2 = second_offer(AV)
        assert offer2.bundle_groups == ()
        assert offer2.session.flag("ice-lite")
        assert [f"{line.kind} {line.mid} {line.direction} {line.setup}" for line in offer2.media] == [
            "audio 0 recvonly actpass",
            "video 1 recvonly actpass",
            "audio r0 sendonly actpass",
            "video r1 sendonly actpass",
        ]
        for kind, added in zip(("audio", "video"), offer2.media[2:], strict=True):
            subscribed = sdp_from_text(golden(RELAY_SUBSCRIBE_REQUESTS[kind])).media[0]
            assert transport_of(added) == transport_of(subscribed)
            assert added.codecs == subscribed.codecs
        assert len({transport_of(line) for line in offer2.media}) == 4

    @pytest.mark.parametrize("name", [AUDIO, AV])
    def test_old_lines_stay_as_they_were_but_for_the_dtls_role(self, name: str) -> None:
        answer, _ = answered(name)
        for old, again in zip(answer.media, second_offer(name).media, strict=False):
            assert [line for line in old.lines if not line.startswith("a=setup")] == [
                line for line in again.lines if not line.startswith("a=setup")
            ]

    @pytest.mark.parametrize("name", [AUDIO, AV])
    def test_the_mid_header_extension_is_never_offered(self, name: str) -> None:
        assert "extmap" not in sdp_to_text(second_offer(name))

    def test_stock_sip_js_gets_its_line_flipped_and_none_added(self) -> None:
        offer2 = second_offer(AUDIO, STOCK_SIP_JS)
        assert [f"{line.mid} {line.direction} {line.setup}" for line in offer2.media] == [
            "0 sendrecv actpass"
        ]
        assert offer2.bundle_groups == (), "one line, with which video may still come"

    def test_both_lines_of_each_kind_share_a_transport_where_the_client_keeps_kinds_apart(self) -> None:
        offer = sdp_from_text(bent(AV, ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0\r\na=group:BUNDLE 1")))
        judgement = judge_offer(offer, OUR_SDK)
        relay_answers = goldens(RELAY_WIC_ANSWERS, judgement.kinds)
        answer = wic_answer(offer, judgement, relay_answers, WicTransport.SHARED, ORIGIN)
        assert answer.bundle_groups == (("0",), ("1",))
        offer2 = reverse_offer(answer, judgement, {}, ORIGIN.next())
        assert offer2.bundle_groups == (("0", "r0"), ("1", "r1"))
        audio, video, *added = offer2.media
        assert [(line.kind, line.port) for line in added] == [("audio", audio.port), ("video", video.port)]

    def test_a_mid_the_client_uses_already_is_not_used_again(self) -> None:
        offer = sdp_from_text(bent(AUDIO, ("a=mid:0", "a=mid:r0"), ("BUNDLE 0", "BUNDLE r0")))
        judgement = judge_offer(offer, OUR_SDK)
        relay_answers = goldens(RELAY_WIC_ANSWERS, ("audio",))
        answer = wic_answer(offer, judgement, relay_answers, WicTransport.SHARED, ORIGIN)
        assert reverse_offer(answer, judgement, {}, ORIGIN.next()).bundle_groups == (("r0", "r1"),)

    def test_only_what_is_wanted_now_is_added(self) -> None:
        offer = sdp_from_text(bent(AV, ("a=mid:1\r\n", "a=mid:1\r\na=sendrecv\r\n")))
        judgement = judge_offer(offer, OUR_SDK)
        relay_answers = goldens(RELAY_WIC_ANSWERS, ("audio", "video"))
        answer = wic_answer(offer, judgement, relay_answers, WicTransport.SPLIT, ORIGIN)
        subscriptions = goldens(RELAY_SUBSCRIBE_REQUESTS, ("audio", "video"))
        added = reverse_offer(answer, judgement, subscriptions, ORIGIN).media[2:]
        assert [line.kind for line in added] == ["audio"]

    def test_video_can_be_added_later_behind_what_is_there(self) -> None:
        offer, judgement = judged(AV)
        relay_answers = goldens(RELAY_WIC_ANSWERS, judgement.kinds)
        answer = wic_answer(offer, judgement, relay_answers, WicTransport.SPLIT, ORIGIN)
        subscriptions = goldens(RELAY_SUBSCRIBE_REQUESTS, judgement.kinds)
        offer2 = reverse_offer(answer, judgement, subscriptions, ORIGIN.next(), kinds=["audio"])
        offer3 = reverse_offer(offer2, judgement, subscriptions, ORIGIN.next().next(), kinds=["video"])
        assert [line.mid for line in offer3.media] == ["0", "1", "r0", "r1"]

    def test_a_refused_line_is_offered_again_as_refused(self) -> None:
        offer = sdp_from_text(bent("chromium-156-audio-and-datachannel", ("a=sendrecv", "a=sendonly")))
        judgement = judge_offer(offer, OUR_SDK)
        relay_answers = goldens(RELAY_WIC_ANSWERS, ("audio",))
        answer = wic_answer(offer, judgement, relay_answers, WicTransport.SHARED, ORIGIN)
        assert [line.port > 0 for line in reverse_offer(answer, judgement, {}, ORIGIN).media] == [
            True,
            False,
            True,
        ]

    def test_a_rejected_line_cannot_be_reversed(self) -> None:
        offer, judgement = judged(AV)
        relay_answers = goldens(RELAY_WIC_ANSWERS, ("audio",))
        answer = wic_answer(offer, judgement, relay_answers, WicTransport.SPLIT, ORIGIN)
        with pytest.raises(LocalProtocolError, match="video: the line to reverse is rejected"):
            reverse_offer(answer, judgement, goldens(RELAY_SUBSCRIBE_REQUESTS, ("audio", "video")), ORIGIN)

    def test_a_line_without_name_cannot_share_its_transport(self) -> None:
        offer = sdp_from_text(bent(AUDIO, ("a=mid:0\r\n", "")))
        judgement = judge_offer(offer, OUR_SDK)
        relay_answers = goldens(RELAY_WIC_ANSWERS, ("audio",))
        answer = wic_answer(offer, judgement, relay_answers, WicTransport.SPLIT, ORIGIN)
        with pytest.raises(LocalProtocolError, match="without mid"):
            reverse_offer(answer, judgement, {}, ORIGIN)


class TestAnswerToTheSecondOffer:
    """RFC 3264 §6, as real browsers answer and as broken ones might."""

    def test_a_shared_line_needs_nothing_from_the_relay(self) -> None:
        answer = check_reverse_answer(
            second_offer(SHARED_CALL), golden("chromium-156-audio-update-answer-shared")
        )
        assert dict(answer.lines) == {}
        assert answer.refused == frozenset()
        assert len(answer.description.media) == 2

    def test_split_lines_are_handed_to_the_relay_without_addresses(self) -> None:
        answer = check_reverse_answer(second_offer(SPLIT_CALL), golden("chromium-156-av-update-answer-split"))
        assert list(answer.lines) == ["audio", "video"]
        assert answer.refused == frozenset()
        line = sdp_from_text(answer.lines["audio"]).media[0]
        assert (line.kind, line.mid, line.direction, line.setup) == ("audio", "r0", "recvonly", "active")
        assert [codec.name for codec in line.codecs][:1] == ["opus"]
        assert "a=candidate" not in answer.lines["video"]
        assert "127.0.0.1" not in answer.lines["video"].partition("m=video")[2]

    def test_an_inactive_video_line_is_reported_as_refused(self) -> None:
        head, _, last = golden("chromium-156-av-update-answer-split").rpartition("m=video ")
        answer = check_reverse_answer(
            second_offer(SPLIT_CALL), f"{head}m=video {last.replace('a=recvonly', 'a=inactive')}"
        )
        assert list(answer.lines) == ["audio"]
        assert answer.refused == {"video"}

    def test_a_video_line_with_port_0_is_reported_as_refused(self) -> None:
        head, _, last = golden("chromium-156-av-update-answer-split").rpartition("m=video ")
        answer = check_reverse_answer(second_offer(SPLIT_CALL), f"{head}m=video 0 {last.partition(' ')[2]}")
        assert list(answer.lines) == ["audio"]
        assert answer.refused == {"video"}

    def test_a_flipped_line_is_taken_or_refused_by_its_direction(self) -> None:
        offer2 = second_offer(AUDIO, STOCK_SIP_JS)
        head, _, _ = golden("chromium-156-audio-update-answer-shared").rpartition("m=audio ")
        head = head.replace("BUNDLE 0 r0", "BUNDLE 0")
        assert check_reverse_answer(offer2, head).refused == {"audio"}
        taken = check_reverse_answer(offer2, head.replace("a=sendonly", "a=sendrecv"))
        assert taken.refused == frozenset()
        assert dict(taken.lines) == {}

    @pytest.mark.parametrize(
        ("old", "new", "detail"),
        [
            pytest.param(
                "a=mid:r0", "a=mid:1", "Media line 2 has the mid '1', 'r0' was offered", id="another mid"
            ),
            pytest.param(
                "a=recvonly",
                "a=sendrecv",
                "Media line 2 was offered sendonly and answered sendrecv",
                id="way",
            ),
            pytest.param(
                "SAVPF", "SAVP", "Media line 1 uses UDP/TLS/RTP/SAVP where UDP/TLS/RTP/SAVPF", id="protocol"
            ),
            pytest.param(
                "m=audio", "m=video", "Media line 1 is video where audio was offered", id="another kind"
            ),
            pytest.param(
                "a=setup:active", "a=setup:actpass", "answered with setup:actpass", id="no DTLS role"
            ),
            pytest.param("a=ice-pwd", "a=x-pwd", "without ICE credentials or fingerprint", id="no ICE"),
            pytest.param(
                "a=fingerprint", "a=x-print", "without ICE credentials or fingerprint", id="no DTLS"
            ),
        ],
    )
    def test_an_answer_that_does_not_fit_is_a_protocol_error(self, old: str, new: str, detail: str) -> None:
        text = bent("chromium-156-audio-update-answer-shared", (old, new))
        with pytest.raises(RemoteProtocolError, match=detail):
            check_reverse_answer(second_offer(SHARED_CALL), text)

    def test_an_answer_with_other_lines_is_a_protocol_error(self) -> None:
        text = golden("chromium-156-audio-update-answer-shared")
        with pytest.raises(RemoteProtocolError, match="The answer has 2 media lines, the offer 4"):
            check_reverse_answer(second_offer(SPLIT_CALL), text)

    def test_a_line_offered_with_port_0_is_not_brought_to_life(self) -> None:
        offer2 = second_offer(SHARED_CALL)
        dead = sdp_from_text(
            sdp_to_text(offer2).replace("m=audio", "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nx=", 1)
        )
        with pytest.raises(RemoteProtocolError, match="Media line 1 was offered with port 0"):
            check_reverse_answer(dead, golden("chromium-156-audio-update-answer-shared"))

    def test_a_client_that_gives_up_its_audio_is_not_acceptable(self) -> None:
        head, _, rest = golden("chromium-156-audio-update-answer-shared").partition("m=audio ")
        text = f"{head}m=audio 0 {rest.partition(' ')[2]}"
        with pytest.raises(NotAcceptableHere, match="rejected its own audio line 1"):
            check_reverse_answer(second_offer(SHARED_CALL), text)

    def test_a_client_that_does_not_bundle_is_not_acceptable(self) -> None:
        text = bent("chromium-156-audio-update-answer-shared", ("a=group:BUNDLE 0 r0", "a=group:BUNDLE 0"))
        with pytest.raises(NotAcceptableHere, match="does not bundle the lines 0 and r0"):
            check_reverse_answer(second_offer(SHARED_CALL), text)

    def test_what_is_no_description_is_a_syntax_error(self) -> None:
        with pytest.raises(SdpSyntaxError):
            check_reverse_answer(second_offer(SHARED_CALL), "busy")
