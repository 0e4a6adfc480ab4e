"""Which web offers the gateway can work with."""

from collections.abc import Sequence

import pytest

from kemi.core.errors import NotAcceptableHere, RemoteProtocolError
from kemi.core.sdp.checks import inspect_lines, refuse_unusable
from kemi.core.sdp.codecs import DEFAULT_VIDEO_CODECS
from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.text import sdp_from_text
from tests.unit.core.sdp.samples import GOLDEN_NAMES, bent, golden, without

AUDIO = "chromium-156-audio-sendonly"
AV = "chromium-156-av-sendonly"
OFFERS = [
    name
    for name in GOLDEN_NAMES
    if name.startswith(("chromium", "firefox", "aiortc")) and "update" not in name and "only-" not in name
]


def check(offer: SessionDescription, video_codecs: Sequence[str] = DEFAULT_VIDEO_CODECS) -> None:
    refuse_unusable(offer, inspect_lines(offer, video_codecs))


@pytest.mark.parametrize("name", [name for name in OFFERS if "datachannel-only" not in name])
def test_a_real_offer_with_audio_is_accepted(name: str) -> None:
    check(sdp_from_text(golden(name)))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            bent(AUDIO, ("m=audio 43158", "m=audio 9"), ("192.0.2.2", "0.0.0.0")), id="before gathering"
        ),
        pytest.param(without(AUDIO, "a=candidate"), id="no candidates"),
        pytest.param(golden("chromium-156-audio-recvonly-mdns"), id="mDNS candidates"),
        pytest.param(bent(AUDIO, ("SAVPF", "SAVP")), id="without feedback profile"),
        pytest.param(bent(AUDIO, (" 111 63", " 63")), id="no Opus but G.711"),
        pytest.param(without(AV, "a=rtpmap:111", "a=rtpmap:9 ").replace("H264", "H265"), id="video only VP8"),
    ],
)
def test_what_browsers_do_before_they_know_everything_is_accepted(text: str) -> None:
    check(sdp_from_text(text))


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        pytest.param(
            golden("chromium-156-datachannel-only"), "The application line carries application", id="data"
        ),
        pytest.param(golden("sipp-3-audio-lf"), "The audio line uses RTP/AVP, WebRTC media", id="plain RTP"),
        pytest.param(
            without(AUDIO, "a=ice-ufrag"),
            "The audio line has no ICE credentials (a=ice-ufrag, a=ice-pwd)",
            id="ufrag",
        ),
        pytest.param(without(AUDIO, "a=ice-pwd"), "The audio line has no ICE credentials", id="pwd"),
        pytest.param(
            without(AUDIO, "a=fingerprint"),
            "The audio line has no certificate fingerprint for DTLS-SRTP",
            id="DTLS",
        ),
        pytest.param(
            bent(AUDIO, ("111 63 9 0 8 13 110 126", "63 13 110 126")),
            "The audio line offers none of the codecs OPUS, PCMA, PCMU, G722",
            id="codecs",
        ),
        pytest.param(
            bent(AV, ("111 63 9 0 8 13 110 126", "63 13 110 126")),
            "The audio line offers none of the codecs",
            id="audio unusable though video is fine",
        ),
        pytest.param(
            bent(AUDIO, ("m=audio 43158", "m=audio 0")),
            "The audio line is switched off (port 0), and",
            id="port 0",
        ),
        pytest.param(golden(AUDIO).partition("m=audio")[0], "The offer has no media line", id="no m-line"),
        pytest.param(
            bent(AV, ("m=audio 38159", "m=audio 0"), ("VP8", "VP7"), ("H264", "H265")),
            "The audio line is switched off (port 0), and there is no other audio or video line",
            id="audio off and no video codec",
        ),
    ],
)
def test_an_offer_without_use_is_refused_with_a_reason_for_people(text: str, detail: str) -> None:
    with pytest.raises(NotAcceptableHere) as refusal:
        check(sdp_from_text(text))
    assert refusal.value.detail.startswith(detail)
    assert refusal.value.status == 488


def test_video_alone_is_accepted_when_audio_is_switched_off() -> None:
    check(sdp_from_text(bent(AV, ("m=audio 38159", "m=audio 0"))))


def test_the_operator_names_the_video_codecs() -> None:
    offer = sdp_from_text(bent(AV, ("m=audio 38159", "m=audio 0")))
    with pytest.raises(NotAcceptableHere):
        check(offer, video_codecs=("H265",))


def test_a_mid_that_names_two_lines_is_a_protocol_error() -> None:
    offer = sdp_from_text(bent(AV, ("a=mid:1", "a=mid:0")))
    with pytest.raises(RemoteProtocolError, match="Two media lines have the mid '0'"):
        check(offer)
