"""rtpengine.legs and the choice of profiles."""

import pytest

from kemi.settings import CORE_LEGS
from rtpengine.legs import LegKind, far_leg_of
from rtpengine.profiles import MediaProfiles


def test_a_site_may_name_every_kind_of_far_end() -> None:
    assert set(CORE_LEGS) == set(LegKind) - {LegKind.WIC}


@pytest.mark.parametrize(
    ("protocol", "configured", "expected"),
    [
        ("RTP/AVP", LegKind.IMS, LegKind.IMS),
        ("RTP/AVP", LegKind.TRUNK_RTP, LegKind.TRUNK_RTP),
        ("RTP/AVP", LegKind.TRUNK_SRTP, LegKind.IMS),
        ("RTP/SAVP", LegKind.IMS, LegKind.TRUNK_SRTP),
        ("RTP/SAVPF", LegKind.TRUNK_RTP, LegKind.TRUNK_SRTP),
        ("rtp/savp", LegKind.TRUNK_SRTP, LegKind.TRUNK_SRTP),
    ],
)
def test_a_running_leg_is_what_its_line_says(protocol: str, configured: LegKind, expected: LegKind) -> None:
    assert far_leg_of(protocol, configured) is expected


@pytest.mark.parametrize(
    ("kind", "protocol", "keys"),
    [
        (LegKind.IMS, "RTP/AVP", False),
        (LegKind.IMS_AVPF, "RTP/AVPF", False),
        (LegKind.TRUNK_RTP, "RTP/AVP", False),
        (LegKind.TRUNK_SRTP, "RTP/SAVP", True),
    ],
)
@pytest.mark.parametrize("medium", ["audio", "video"])
def test_far_ends_are_offered_what_their_kind_says(
    kind: LegKind, protocol: str, keys: bool, medium: str
) -> None:
    options = MediaProfiles(far_leg=kind).of(medium).offer()
    assert (options.transport_protocol, options.ice) == (protocol, "remove")
    assert (options.dtls == "off", "off" not in options.sdes) == (keys, True)


def test_profiles_are_made_once() -> None:
    profiles = MediaProfiles()
    assert profiles.of("audio", "pcma") is profiles.of("audio", "pcma", "RTP/AVP")
    assert profiles.of("video", "h264") is profiles.of("video", "vp8")
    assert profiles.of("audio", "unheard-of") is profiles.of("audio", "opus")


@pytest.mark.parametrize("codec", ["opus", "g722", "pcma", "pcmu"])
def test_a_page_keeps_its_codec_on_every_line(codec: str) -> None:
    profile = MediaProfiles().of("audio", codec)
    (reverse,) = profile.subscribe_request().codec.transcode
    assert reverse.partition("/")[0].lower() == codec
    assert [name.lower() for name in profile.offer().codec.mask] == [codec]
    assert profile.terminating_offer().codec.transcode[0].partition("/")[0].lower() == codec


def test_evs_is_offered_alone_and_nothing_is_transcoded() -> None:
    options = MediaProfiles(["EVS", "opus"]).of("audio", "evs").offer()
    assert (options.codec.mask, options.codec.transcode) == ((), ())
    assert "inject-DTMF" not in options.flags
