"""The web client's lines put right once the far end has answered."""

import pytest

from kemi.core.sdp.interwork.client_offer import corrected_offer
from kemi.core.sdp.interwork.wic import reverse_offer, wic_answer
from kemi.core.sdp.judge import WicTransport, choose_transport
from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.unit.core.sdp.samples import (
    ORIGIN,
    RELAY_SUBSCRIBE_REQUESTS,
    RELAY_WIC_ANSWERS,
    bent,
    golden,
    goldens,
    judged,
)

AV = "chromium-156-av-sendonly"
NEXT = ORIGIN.next().next()
H264_AND_VP8 = (
    ("SAVPF 108", "SAVPF 108 96"),
    ("a=rtcp-fb:108 ccm fir", "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:108 ccm fir"),
)


def described(name: str = AV, *, bundled: bool = False) -> SessionDescription:
    """Return what the gateway has told the client: two lines per kind, video with both codecs."""
    offer, judgement = judged(name)
    relay_answers = goldens(RELAY_WIC_ANSWERS, judgement.kinds)
    if "video" in relay_answers:
        relay_answers["video"] = bent(RELAY_WIC_ANSWERS["video"], *H264_AND_VP8)
    transport = WicTransport.SHARED if bundled else choose_transport(offer, judgement)[0]
    answer = wic_answer(offer, judgement, relay_answers, transport, ORIGIN)
    subscriptions = (
        goldens(RELAY_SUBSCRIBE_REQUESTS, judgement.kinds) if transport is WicTransport.SPLIT else {}
    )
    return reverse_offer(answer, judgement, subscriptions, ORIGIN.next())


def corrected(current: SessionDescription, **taken: str | None) -> SessionDescription:
    offer = corrected_offer(current, taken, NEXT)
    assert offer is not None
    assert sdp_from_text(sdp_to_text(offer)).media == offer.media
    return offer


def kept(description: SessionDescription, kind: str) -> list[tuple[object, ...]]:
    """Return what must stay as it was on the lines of this kind: everything but the DTLS role."""
    return [
        (line.port, line.formats, [text for text in line.body if not text.startswith("a=setup:")])
        for line in description.media
        if line.kind == kind
    ]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        pytest.param(AV, {"audio": "pcma", "video": "h264"}, id="both taken, video as we put it first"),
        pytest.param(AV, {"audio": "amr-wb"}, id="the far end has not said anything of video yet"),
        pytest.param(AV, {}, id="nothing said at all"),
        pytest.param(AV, {"video": "av1"}, id="a codec the client does not have cannot be asked for"),
        pytest.param("chromium-156-audio-sendonly", {"audio": "pcmu"}, id="voice: the relay transcodes"),
    ],
)
def test_what_is_right_already_is_not_offered_again(name: str, taken: dict[str, str | None]) -> None:
    assert corrected_offer(described(name), taken, NEXT) is None


class TestRefusedVideo:
    """RFC 3264 §8.2: a line is taken back by port 0 and stays in its place."""

    def test_both_video_lines_go_and_all_lines_stay(self) -> None:
        before = described()
        offer = corrected(before, audio="pcma", video=None)
        assert [(line.kind, line.mid) for line in offer.media] == [
            (line.kind, line.mid) for line in before.media
        ]
        video = [line for line in offer.media if line.kind == "video"]
        assert len(video) == 2
        for line in video:
            assert line.rejected
            assert not line.direction.sends
            assert not line.direction.receives
            assert (line.ice_ufrag, line.fingerprints, line.candidates) == (None, (), ())

    def test_audio_is_as_it_was(self) -> None:
        before = described()
        assert kept(corrected(before, audio="pcma", video=None), "audio") == kept(before, "audio")

    @pytest.mark.parametrize(
        "groups", [pytest.param(2, id="one group for each kind"), pytest.param(1, id="one for all")]
    )
    def test_a_rejected_line_leaves_its_bundle_group(self, groups: int) -> None:
        before = described(bundled=True)
        audio, video = before.bundle_groups
        if groups == 1:
            text = sdp_to_text(before).replace(f"a=group:BUNDLE {' '.join(video)}\r\n", "")
            together = f"a=group:BUNDLE {' '.join(audio + video)}"
            before = sdp_from_text(text.replace(f"a=group:BUNDLE {' '.join(audio)}", together))
            assert before.bundle_groups == (audio + video,)
        assert corrected(before, audio="pcma", video=None).bundle_groups == (audio,)

    def test_a_group_without_members_is_not_written(self) -> None:
        offer = corrected(described(bundled=True), audio=None, video=None)
        assert offer.bundle_groups == ()

    def test_where_there_was_no_group_there_is_none(self) -> None:
        assert "a=group" not in sdp_to_text(corrected(described(), video=None))

    def test_taken_back_once_it_is_right(self) -> None:
        offer = corrected(described(), audio="pcma", video=None)
        assert corrected_offer(offer, {"audio": "pcma", "video": None}, NEXT.next()) is None

    def test_what_was_refused_by_one_fork_is_not_opened_for_another(self) -> None:
        offer = corrected(described(), audio="pcma", video=None)
        assert corrected_offer(offer, {"audio": "pcma", "video": "h264"}, NEXT.next()) is None

    def test_a_line_without_mid_is_taken_back_without_one(self) -> None:
        lines = [line for line in sdp_to_text(described()).splitlines() if not line.startswith("a=mid")]
        offer = corrected(sdp_from_text("\r\n".join([*lines, ""])), video=None)
        assert [line.mid for line in offer.media if line.rejected] == [None, None]


class TestOtherVideoCodec:
    """Nobody transcodes video: the client must send what the far end took."""

    def test_only_the_far_ends_codec_is_left_with_its_attributes(self) -> None:
        before = described()
        offer = corrected(before, audio="pcma", video="vp8")
        first = next(line for line in offer.media if line.kind == "video")
        assert first.formats == ("96",)
        assert [(codec.name, codec.feedback) for codec in first.codecs] == [("vp8", ("nack pli",))]
        assert not [
            line for line in first.body if line.startswith(("a=rtpmap:108", "a=fmtp:108", "a=rtcp-fb:108"))
        ]

    def test_its_transport_stays(self) -> None:
        before = described()
        offer = corrected(before, audio="pcma", video="vp8")
        for old, new in zip(before.media, offer.media, strict=True):
            assert (new.port, new.connection, new.ice_ufrag, new.ice_pwd, new.fingerprints, new.candidates) == (
                old.port, old.connection, old.ice_ufrag, old.ice_pwd, old.fingerprints, old.candidates,
            )  # fmt: skip
            assert (new.mid, new.direction) == (old.mid, old.direction)

    def test_feedback_for_every_format_stays(self) -> None:
        text = sdp_to_text(described()).replace("a=rtcp-fb:96 nack pli", "a=rtcp-fb:* nack pli")
        offer = corrected(sdp_from_text(text), video="vp8")
        first = next(line for line in offer.media if line.kind == "video")
        assert "a=rtcp-fb:* nack pli" in first.body

    def test_put_right_once_it_is_right(self) -> None:
        offer = corrected(described(), video="vp8")
        assert corrected_offer(offer, {"video": "vp8"}, NEXT.next()) is None

    def test_audio_is_as_it_was(self) -> None:
        before = described()
        assert kept(corrected(before, audio="pcma", video="vp8"), "audio") == kept(before, "audio")


class TestSession:
    """What a further offer of ours says for all lines."""

    def test_the_origin_is_ours_with_a_new_version(self) -> None:
        text = sdp_to_text(corrected(described(), video=None))
        assert text.split("\r\n")[1] == f"o=- {NEXT.session_id} {NEXT.version} IN IP4 {NEXT.address}"

    @pytest.mark.parametrize("lite", [True, False])
    def test_ice_lite_is_said_as_before(self, lite: bool) -> None:
        text = sdp_to_text(described())
        assert "a=ice-lite\r\n" in text
        current = sdp_from_text(text if lite else text.replace("a=ice-lite\r\n", ""))
        assert corrected(current, video=None).session.flag("ice-lite") is lite

    @pytest.mark.parametrize("setup", ["passive", "active", "actpass"])
    def test_the_dtls_role_is_open_again(self, setup: str) -> None:
        """RFC 8842 §5.3."""
        text = sdp_to_text(described()).replace("a=setup:actpass", f"a=setup:{setup}")
        offer = corrected(sdp_from_text(text.replace("a=setup:passive", f"a=setup:{setup}")), video="vp8")
        assert {line.setup for line in offer.media} == {"actpass"}

    def test_an_answer_in_force_becomes_an_offer(self) -> None:
        before = sdp_from_text(golden("rtpengine-10.5-av-video-wic-answer"))
        offer = corrected(before, video=None)
        assert [line.rejected for line in offer.media] == [True]
