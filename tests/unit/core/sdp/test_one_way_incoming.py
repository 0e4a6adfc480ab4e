"""A call towards a client that registered for one-way streams: two lines for each medium, one for the relay."""

from __future__ import annotations

import re

import pytest

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError
from kemi.core.sdp.interwork.incoming import ClientLine, client_answer_media, client_offer
from kemi.core.sdp.model import Direction, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.call import descriptions
from tests.unit.core.sdp.samples import ORIGIN
from tests.unit.core.sdp.test_incoming import AUDIO, VIDEO, chosen


def offered(*lines: str) -> SessionDescription:
    """Offer a client what the core offers, on two lines."""
    found = chosen(*lines)
    relay = {line.kind: descriptions.relay_reverse_offer(line.kind) for line in found}
    return client_offer(found, relay, ORIGIN, one_way=True)


def answered(change: tuple[str, str] = ("", ""), *, refuse: tuple[str, ...] = ()) -> str:
    """Return a browser's answer to audio and video, with a pattern changed."""
    text = descriptions.page_answer(sdp_to_text(offered(AUDIO, VIDEO)), refuse=refuse)
    changed, count = re.subn(*change, text, count=1) if change[0] else (text, 1)
    assert count
    return changed


def taken(text: str) -> dict[str, ClientLine]:
    """Read an answer to audio and video."""
    return client_answer_media(offered(AUDIO, VIDEO), text)


class TestTheOffer:
    def test_each_medium_is_a_pair_on_one_transport(self) -> None:
        offer = offered(AUDIO, VIDEO)
        assert [(media.kind, media.mid, media.direction) for media in offer.media] == [
            ("audio", "0", "recvonly"),
            ("audio", "r0", "sendonly"),
            ("video", "1", "recvonly"),
            ("video", "r1", "sendonly"),
        ]
        assert offer.bundle_groups == (("0", "r0"), ("1", "r1"))
        receiving, sending, *_ = offer.media
        assert (sending.port, sending.ice_ufrag, sending.formats) == (
            receiving.port,
            receiving.ice_ufrag,
            receiving.formats,
        )
        assert [media.attribute("msid") for media in offer.media] == [None, "gw gwr0", None, "gw gwr1"]

    def test_the_first_line_of_a_new_group_is_never_one_the_client_listens_on(self) -> None:
        """Chromium 156 brings nothing to that line by payload type alone, and there is nothing else to go by."""
        offer = offered(AUDIO, VIDEO)
        lines = {media.mid: media for media in offer.media}
        for first, *others in offer.bundle_groups:
            assert not lines[first].direction.sends
            assert [lines[mid].direction.sends for mid in others] == [True]
        text = sdp_to_text(offer)
        assert "a=ssrc" not in text
        assert "a=extmap" not in text

    @pytest.mark.parametrize(
        ("core", "pair"),
        [
            pytest.param("sendonly", ["inactive", "sendonly"], id="sendonly"),
            pytest.param("recvonly", ["recvonly", "inactive"], id="recvonly"),
            pytest.param("inactive", ["inactive", "inactive"], id="inactive"),
        ],
    )
    def test_a_line_without_a_stream_keeps_its_place(self, core: str, pair: list[str]) -> None:
        offer = offered(AUDIO.replace("sendrecv", core))
        assert [media.direction for media in offer.media] == pair
        assert offer.bundle_groups == (("0", "r0"),)

    def test_video_without_feedback_asks_for_key_frames_on_both_lines(self) -> None:
        bare = descriptions.relay_reverse_offer("video").replace("a=rtcp-fb:96 nack pli\r\n", "")
        offer = client_offer(chosen(VIDEO), {"video": bare}, ORIGIN, one_way=True)
        assert [media.attributes("rtcp-fb") for media in offer.media] == [["96 nack pli", "96 ccm fir"]] * 2


class TestTheAnswer:
    @pytest.mark.parametrize(
        ("refuse", "audio", "video"),
        [
            pytest.param((), "sendrecv", "sendrecv", id="all"),
            pytest.param(("1",), "sendrecv", "recvonly", id="no camera"),
            pytest.param(("r1",), "sendrecv", "sendonly", id="no picture wanted"),
            pytest.param(("r0",), "sendonly", "sendrecv", id="only a microphone"),
            pytest.param(("0",), "recvonly", "sendrecv", id="only a loudspeaker"),
            pytest.param(("1", "r1"), "sendrecv", "inactive", id="no video"),
        ],
    )
    def test_two_lines_are_one_medium(self, refuse: tuple[str, ...], audio: str, video: str) -> None:
        found = taken(answered(refuse=refuse))
        assert [(kind, line.direction) for kind, line in found.items()] == [
            ("audio", audio),
            ("video", video),
        ]
        assert (found["video"].sdp is None) is (video == "inactive")
        for line in found.values():
            if line.sdp is not None:
                (media,) = sdp_from_text(line.sdp).media
                assert media.direction is Direction.SENDRECV  # the gate holds back what does not pass
                assert media.ice_ufrag
                assert media.fingerprints

    def test_inactive_lines_are_a_medium_on_hold(self) -> None:
        text = answered()
        held = text.replace("a=recvonly", "a=inactive").replace("a=sendonly", "a=inactive")
        found = taken(held)
        assert {line.direction for line in found.values()} == {Direction.INACTIVE}
        assert all(line.sdp is not None for line in found.values())

    def test_the_transport_may_be_described_once_for_the_group(self) -> None:
        text = answered()
        first, second = text.index("a=mid:0"), text.index("a=mid:r0")
        end = text.index("m=video")
        bare = re.sub(r"a=(ice-ufrag|ice-pwd|fingerprint|setup):[^\r]*\r\n", "", text[second:end])
        found = taken(text[:second] + bare + text[end:])
        assert found["audio"].sdp is not None
        assert "a=ice-ufrag:page" in found["audio"].sdp
        only_held = (text[:second] + bare + text[end:]).replace("a=recvonly", "a=inactive", 1)
        held = taken(only_held)["audio"]
        assert (held.direction, held.sdp is not None) == ("sendonly", True)
        assert first < second

    def test_payload_types_of_the_line_it_listens_on_come_first(self) -> None:
        text = answered()
        second = text.rindex("m=audio")
        found = taken(text[:second] + text[second:].replace("111", "97"))
        assert found["audio"].sdp is not None
        (media,) = sdp_from_text(found["audio"].sdp).media
        assert next((codec.payload_type, codec.name) for codec in media.codecs) == ("97", "opus")
        assert len({codec.encoding for codec in media.codecs}) == len(media.codecs)

    @pytest.mark.parametrize(
        ("change", "error", "words"),
        [
            pytest.param((r"BUNDLE 0 r0", "BUNDLE 0"), NotAcceptableHere, "does not bundle", id="apart"),
            pytest.param((r"a=recvonly", "a=sendrecv"), RemoteProtocolError, "offered sendonly", id="both"),
            pytest.param((r"a=mid:r0", "a=mid:r9"), RemoteProtocolError, "mid", id="another mid"),
        ],
    )
    def test_what_does_not_fit(self, change: tuple[str, str], error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            taken(answered(change))

    def test_a_page_that_refuses_all(self) -> None:
        with pytest.raises(NotAcceptableHere, match="every medium"):
            taken(answered(refuse=("0", "r0", "1", "r1")))
