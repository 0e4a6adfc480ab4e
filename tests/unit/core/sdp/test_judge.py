"""The educated guess."""

import pytest

from kemi.core.errors import NotAcceptableHere
from kemi.core.sdp.judge import (
    ClientCapabilities,
    Flow,
    ReverseShape,
    Role,
    WicTransport,
    choose_transport,
    client_capabilities,
    judge_offer,
)
from kemi.core.sdp.model import Direction
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.sdp.samples import JSSIP, OUR_SDK, STOCK_SIP_JS, bent, golden, judged, without

PAIR = "chromium-156-audio-sendonly-and-recvonly"
AV = "chromium-156-av-sendonly"
F, P, X = Role.FORWARD, Role.REVERSE_OF, Role.REJECTED


@pytest.mark.parametrize(
    ("name", "roles", "reverse_now", "ims_directions", "transport"),
    [
        pytest.param(
            "chromium-156-audio-sendrecv", [F], (), ["sendrecv"], "split", id="sendrecv: an ordinary call"
        ),
        pytest.param(
            "chromium-156-audio-sendrecv-streamless",
            [F],
            (),
            ["sendrecv"],
            "split",
            id="track without stream",
        ),
        pytest.param(
            "chromium-156-audio-sendonly", [F], ("audio",), ["sendrecv"], "shared", id="sendonly audio"
        ),
        pytest.param(
            "firefox-form-audio-sendonly", [F], ("audio",), ["sendrecv"], "shared", id="Firefox form"
        ),
        pytest.param("aiortc-1.16.0-audio-sendonly", [F], ("audio",), ["sendrecv"], "shared", id="aiortc"),
        pytest.param("chromium-156-audio-recvonly", [F], (), ["recvonly"], "split", id="a listener"),
        pytest.param(
            "chromium-156-audio-recvonly-mdns", [F], (), ["recvonly"], "split", id="a listener, mDNS"
        ),
        pytest.param(PAIR, [F, P], (), ["sendrecv"], "shared", id="a line for each direction"),
        pytest.param(
            "aiortc-1.16.0-audio-sendonly-and-recvonly",
            [F, P],
            (),
            ["sendrecv"],
            "shared",
            id="the same, aiortc",
        ),
        pytest.param(
            AV, [F, F], ("audio", "video"), ["sendrecv", "sendrecv"], "split", id="sendonly audio and video"
        ),
        pytest.param(
            "chromium-156-av-sendrecv",
            [F, F],
            (),
            ["sendrecv", "sendrecv"],
            "split",
            id="sendrecv audio and video",
        ),
        pytest.param(
            "chromium-156-av-simulcast", [F, F], ("video",), ["sendrecv", "sendrecv"], "split", id="simulcast"
        ),
        pytest.param(
            "chromium-156-audio-and-datachannel", [F, X], (), ["sendrecv"], "split", id="data channel"
        ),
        pytest.param("chromium-156-av-max-bundle", [F, X], (), ["sendrecv"], "shared", id="max-bundle"),
        pytest.param("firefox-153-audio-sendrecv", [F], (), ["sendrecv"], "split", id="Firefox"),
        pytest.param(
            "firefox-153-audio-sendonly", [F], ("audio",), ["sendrecv"], "shared", id="sendonly, Firefox"
        ),
        pytest.param(
            "firefox-153-audio-sendonly-and-recvonly",
            [F, P],
            (),
            ["sendrecv"],
            "shared",
            id="the listening line is bundle-only, Firefox",
        ),
        pytest.param(
            "firefox-153-av-sendrecv",
            [F, F],
            (),
            ["sendrecv", "sendrecv"],
            "split",
            id="audio and video, Firefox",
        ),
        pytest.param(
            "firefox-153-av-sendonly",
            [F, F],
            ("audio", "video"),
            ["sendrecv", "sendrecv"],
            "split",
            id="sendonly audio and video, Firefox",
        ),
        pytest.param(
            "firefox-153-av-max-bundle", [F, X], (), ["sendrecv"], "shared", id="max-bundle, Firefox"
        ),
        pytest.param(
            "firefox-form-av-bundle-only", [F, X], ("audio",), ["sendrecv"], "shared", id="bundle-only video"
        ),
    ],
)
def test_a_real_offer_is_judged(
    name: str, roles: list[Role], reverse_now: tuple[str, ...], ims_directions: list[str], transport: str
) -> None:
    offer, judgement = judged(name)
    assert [line.role for line in judgement.lines] == roles
    assert [line.index for line in judgement.lines] == list(range(len(offer.media)))
    assert judgement.reverse_now == reverse_now
    assert judgement.flow is (Flow.ANSWER_THEN_UPDATE if reverse_now else Flow.BOTH_WAYS)
    assert [medium.ims_direction for medium in judgement.media] == ims_directions
    assert choose_transport(offer, judgement)[0] == transport
    assert all(line.reason for line in judgement.lines)
    assert all(medium.reason for medium in judgement.media)


@pytest.mark.parametrize(
    ("own", "reverse", "ims_direction"),
    [
        pytest.param("sendonly", True, "sendrecv", id="sendonly"),
        pytest.param("sendrecv", False, "sendrecv", id="sendrecv"),
        pytest.param("recvonly", False, "recvonly", id="recvonly"),
        pytest.param("inactive", False, "inactive", id="inactive"),
    ],
)
def test_the_direction_decides_what_is_added_and_what_ims_is_offered(
    own: str, reverse: bool, ims_direction: str
) -> None:
    offer = sdp_from_text(bent("chromium-156-audio-sendonly", ("a=sendonly", f"a={own}")))
    medium = judge_offer(offer, OUR_SDK).media[0]
    assert (medium.wic_direction, medium.reverse, medium.ims_direction) == (own, reverse, ims_direction)


@pytest.mark.parametrize(
    ("client", "flow", "shape", "sdp_in_final"),
    [
        pytest.param(OUR_SDK, Flow.ANSWER_THEN_UPDATE, ReverseShape.ADD_LINES, False, id="our SDK"),
        pytest.param(
            STOCK_SIP_JS, Flow.REINVITE_AFTER_ANSWER, ReverseShape.FLIP_LINES, False, id="stock SIP.js"
        ),
        pytest.param(JSSIP, Flow.REINVITE_AFTER_ANSWER, ReverseShape.ADD_LINES, True, id="JsSIP"),
        pytest.param(
            client_capabilities("INVITE,ACK,UPDATE", "100rel"),
            Flow.REINVITE_AFTER_ANSWER,
            ReverseShape.ADD_LINES,
            False,
            id="100rel and UPDATE without PRACK",
        ),
        pytest.param(
            client_capabilities(" invite, prack , update", "", "100Rel"),
            Flow.ANSWER_THEN_UPDATE,
            ReverseShape.ADD_LINES,
            False,
            id="100rel only in Require, other case",
        ),
        pytest.param(
            client_capabilities("", ""),
            Flow.REINVITE_AFTER_ANSWER,
            ReverseShape.FLIP_LINES,
            True,
            id="says nothing",
        ),
    ],
)
def test_the_flow_follows_from_what_the_invite_shows(
    client: ClientCapabilities, flow: Flow, shape: ReverseShape, sdp_in_final: bool
) -> None:
    _, judgement = judged("chromium-156-audio-sendonly", client)
    assert (judgement.flow, judgement.shape, client.needs_sdp_in_final) == (flow, shape, sdp_in_final)
    assert judged("chromium-156-audio-sendrecv", client)[1].flow is Flow.BOTH_WAYS


def test_the_reason_names_what_a_client_lacks() -> None:
    assert "no 100rel" in judged("chromium-156-audio-sendonly", JSSIP)[1].reason
    assert "no UPDATE with PRACK" in judged("chromium-156-audio-sendonly", STOCK_SIP_JS)[1].reason
    assert JSSIP.product == "JsSIP"
    assert client_capabilities("", "").product == ""


def test_a_client_split_into_lines_that_cannot_share_gets_a_line_of_the_gateway_instead() -> None:
    offer = sdp_from_text(without(PAIR, "a=group"))
    judgement = judge_offer(offer, OUR_SDK)
    assert [line.role for line in judgement.lines] == [F, X]
    assert judgement.reverse_now == ("audio",)
    assert judgement.media[0].ims_direction is Direction.SENDRECV
    assert "cannot share the transport" in judgement.lines[1].reason
    assert choose_transport(offer, judgement)[0] is WicTransport.SPLIT


def test_a_listening_line_with_other_payload_types_cannot_share() -> None:
    first, second = golden(PAIR).rsplit("m=audio", 1)
    offer = sdp_from_text(first + "m=audio" + second.replace("111", "112"))
    assert [line.role for line in judge_offer(offer, OUR_SDK).lines] == [F, X]


@pytest.mark.parametrize(
    ("directions", "roles"),
    [
        pytest.param(("sendonly", "sendonly"), [F, X], id="two sending lines"),
        pytest.param(("sendrecv", "recvonly"), [F, X], id="two-way and listening"),
        pytest.param(("recvonly", "sendrecv"), [X, F], id="listening and two-way"),
        pytest.param(("recvonly", "sendonly"), [X, F], id="listening first"),
        pytest.param(("recvonly", "recvonly"), [F, X], id="two listening lines"),
        pytest.param(("inactive", "recvonly"), [X, F], id="held and listening"),
        pytest.param(("inactive", "inactive"), [F, X], id="two held lines"),
        pytest.param(("inactive", "sendonly"), [X, F], id="held and sending"),
    ],
)
def test_one_line_or_pair_per_kind_takes_part(directions: tuple[str, str], roles: list[Role]) -> None:
    first, second = golden(PAIR).rsplit("m=audio", 1)
    text = (
        first.replace("a=sendonly", f"a={directions[0]}")
        + "m=audio"
        + second.replace("a=recvonly", f"a={directions[1]}")
    )
    judgement = judge_offer(sdp_from_text(text), OUR_SDK)
    assert [line.role for line in judgement.lines] == roles
    assert len(judgement.media) == 1


def test_shared_slides_give_way_to_the_camera() -> None:
    video = golden(AV)[golden(AV).index("m=video") :]
    slides = video.replace("a=mid:1", "a=mid:2\r\na=content:slides")
    offer = sdp_from_text(golden(AV).replace(video, slides + video))
    roles = {line.mid: line.role for line in judge_offer(offer, OUR_SDK).lines}
    assert roles == {"0": F, "2": X, "1": F}


def test_video_first_stays_first() -> None:
    head, audio, video = golden(AV).partition("m=audio")[0], *_media_texts(AV)
    judgement = judge_offer(sdp_from_text(head + video + audio), OUR_SDK)
    assert judgement.kinds == ("video", "audio")
    assert (medium := judgement.medium("audio")) is not None
    assert medium.line == 1
    assert judgement.medium("text") is None


def test_an_audio_line_that_rides_on_video_takes_the_call() -> None:
    audio, video = _media_texts("firefox-form-av-bundle-only")
    head = golden("firefox-form-av-bundle-only").partition("m=audio")[0]
    audio = audio.replace("m=audio 51734", "m=audio 0").replace("a=mid:0", "a=mid:0\r\na=bundle-only")
    video = video.replace("m=video 0", "m=video 51734").replace("a=bundle-only\r\n", "")
    judgement = judge_offer(sdp_from_text(head + video + audio), OUR_SDK)
    assert [(line.kind, line.role) for line in judgement.lines] == [("video", X), ("audio", F)]


@pytest.mark.parametrize(
    ("name", "kind", "codecs"),
    [
        pytest.param(
            "chromium-156-audio-sendonly", "audio", ["111", "110", "126"], id="Opus and both events"
        ),
        pytest.param(
            "firefox-form-audio-sendonly", "audio", ["109", "101"], id="Firefox has 8 kHz events only"
        ),
        pytest.param("aiortc-1.16.0-audio-sendonly", "audio", ["96"], id="aiortc has no events"),
        pytest.param(
            AV, "video", ["108", "114", "96"], id="constrained baseline in both packetization modes, then VP8"
        ),
        pytest.param("aiortc-1.16.0-av-sendonly", "video", None, id="aiortc video"),
    ],
)
def test_the_codecs_that_cross_are_chosen(name: str, kind: str, codecs: list[str] | None) -> None:
    offer, judgement = judged(name)
    medium = judgement.medium(kind)
    assert medium is not None
    chosen = [codec.payload_type for codec in medium.codecs]
    assert codecs is None or chosen == codecs
    assert set(chosen) <= set(offer.media[medium.line].formats)
    assert medium.codec == medium.codecs[0].name


@pytest.mark.parametrize(
    ("changes", "codecs"),
    [
        pytest.param(
            [(" 111 63 9 0 8 13 110 126", " 63 9 0 8 13 110 126")], ["8", "126"], id="PCMA with 8 kHz events"
        ),
        pytest.param([(" 111 63 9 0 8 13 110 126", " 9 0 126")], ["0", "126"], id="PCMU before G.722"),
        pytest.param([(" 111 63 9 0 8 13 110 126", " 9 13")], ["9"], id="G.722 alone"),
    ],
)
def test_without_opus_one_telephony_codec_is_pinned(
    changes: list[tuple[str, str]], codecs: list[str]
) -> None:
    offer = sdp_from_text(bent("chromium-156-audio-sendonly", *changes))
    assert [codec.payload_type for codec in judge_offer(offer, OUR_SDK).media[0].codecs] == codecs


@pytest.mark.parametrize(
    ("changes", "codecs"),
    [
        pytest.param(
            [("packetization-mode=1;profile-level-id=42e01f", "x=1")],
            ["102", "108", "96"],
            id="plain baseline",
        ),
        pytest.param(
            [("packetization-mode=1", "packetization-mode=0")], ["108", "96"], id="single NAL units only"
        ),
        pytest.param([("profile-level-id=4", "profile-level-id=z")], ["96"], id="profile is no number"),
        pytest.param([("profile-level-id=42", "profile-level-id=64")], ["96"], id="high profile only"),
    ],
)
def test_h264_is_taken_only_as_ims_terminals_decode_it(
    changes: list[tuple[str, str]], codecs: list[str]
) -> None:
    medium = judge_offer(sdp_from_text(bent(AV, *changes)), OUR_SDK).medium("video")
    assert medium is not None
    assert [codec.payload_type for codec in medium.codecs] == codecs


def test_the_operator_orders_the_video_codecs() -> None:
    medium = judge_offer(sdp_from_text(golden(AV)), OUR_SDK, video_codecs=("vp9", "VP8")).medium("video")
    assert medium is not None
    assert [codec.payload_type for codec in medium.codecs] == ["98", "96"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param(
            "chromium-156-av-sendonly", "audio and video have a transport each", id="audio and video"
        ),
        pytest.param("chromium-156-audio-sendonly", "both lines of one medium in a BUNDLE group", id="audio"),
        pytest.param("chromium-156-audio-sendrecv", "one line needs no BUNDLE group", id="two-way audio"),
        pytest.param(PAIR, "the client bundles its two lines", id="pair"),
        pytest.param("chromium-156-av-max-bundle", "the client has one transport for all", id="max-bundle"),
    ],
)
def test_the_transport_has_a_reason(name: str, reason: str) -> None:
    assert choose_transport(*judged(name))[1].startswith(reason)


EACH_KIND = "a=group:BUNDLE 0\r\na=group:BUNDLE 1"


@pytest.mark.parametrize(
    ("name", "groups", "client", "transport", "reason"),
    [
        pytest.param(
            AV, EACH_KIND, OUR_SDK, "shared", "the client has a BUNDLE group for each kind", id="each"
        ),
        pytest.param(AV, "a=group:BUNDLE 0 1", OUR_SDK, "split", "audio and video", id="one for both"),
        pytest.param(AV, "a=group:BUNDLE 0", OUR_SDK, "split", "audio and video", id="audio alone"),
        pytest.param(AV, EACH_KIND, STOCK_SIP_JS, "split", "audio and video", id="lines are flipped"),
        pytest.param(
            "chromium-156-av-sendrecv", EACH_KIND, OUR_SDK, "split", "audio and video", id="two-way"
        ),
    ],
)
def test_both_lines_of_each_kind_share_a_transport_where_the_client_keeps_kinds_apart(
    name: str, groups: str, client: ClientCapabilities, transport: str, reason: str
) -> None:
    offer = sdp_from_text(bent(name, ("a=group:BUNDLE 0 1", groups)))
    found, why = choose_transport(offer, judge_offer(offer, client))
    assert found == transport
    assert why.startswith(reason)


def test_audio_is_split_without_a_group() -> None:
    offer = sdp_from_text(without("chromium-156-audio-sendonly", "a=group"))
    assert choose_transport(offer, judge_offer(offer, OUR_SDK)) == (
        WicTransport.SPLIT,
        "the offer has no BUNDLE group",
    )


@pytest.mark.parametrize("client", [OUR_SDK, STOCK_SIP_JS], ids=["lines added", "line flipped"])
def test_a_line_that_becomes_two_way_itself_is_alone(client: ClientCapabilities) -> None:
    offer, judgement = judged("chromium-156-audio-sendonly", client)
    flipped = judgement.shape is ReverseShape.FLIP_LINES
    transport = WicTransport.SPLIT if flipped else WicTransport.SHARED
    assert choose_transport(offer, judgement)[0] is transport


@pytest.mark.parametrize("client", [OUR_SDK, STOCK_SIP_JS], ids=["SDK", "SIP.js"])
@pytest.mark.parametrize("name", ["chromium-156-audio-sendrecv", "chromium-156-audio-sendonly"])
def test_where_pages_have_one_transport_for_all_a_single_line_is_bundled(
    name: str, client: ClientCapabilities
) -> None:
    offer, judgement = judged(name, client)
    assert choose_transport(offer, judgement, max_bundle=True)[0] is WicTransport.SHARED


def test_video_alone_is_split() -> None:
    offer = sdp_from_text(bent(AV, ("m=audio 38159", "m=audio 0")))
    assert choose_transport(offer, judge_offer(offer, OUR_SDK)) == (
        WicTransport.SPLIT,
        "only audio shares a transport",
    )


def test_an_offer_without_use_is_refused() -> None:
    with pytest.raises(NotAcceptableHere):
        judged("chromium-156-datachannel-only")


def _media_texts(name: str) -> tuple[str, str]:
    _, _, media = golden(name).partition("m=audio")
    audio, _, video = media.partition("m=video")
    return "m=audio" + audio, "m=video" + video


def test_video_that_has_no_candidate_yet_may_be_told_so() -> None:
    """JsSIP sends its offer at the first candidate where the page asks for that; the two cases look the same."""
    audio, mark, video = golden("chromium-156-av-sendrecv").partition("m=video")
    gathered = "".join(
        line for line in video.splitlines(keepends=True) if not line.startswith("a=candidate:")
    )
    assert gathered != video
    lines = judge_offer(sdp_from_text(audio + mark + gathered), OUR_SDK).lines
    assert [line.role for line in lines] == [F, X]
    assert "or the offer was sent before video had a candidate" in lines[1].reason
