"""RTP/AVPF towards the core, as far as it knows it (RFC 4585, RFC 5939, TS 26.114 §6.2.3)."""

from __future__ import annotations

import pytest

from kemi.core.sdp.interwork.avpf import agreed, answered_as, chosen_protocol, offering_feedback
from kemi.core.sdp.model import MediaDescription, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text

AUDIO = "m=audio 4000 RTP/AVP 8\r\n"
FEEDBACK = ("a=rtcp-fb:99 nack pli", "a=rtcp-fb:99 ccm fir")
TCAP = "a=tcap:1 RTP/AVPF"
PCFG = "a=pcfg:1 t=1"


def text(*lines: str, proto: str = "RTP/AVP", port: int = 4002, session: str = "") -> str:
    """Return a description of audio and video."""
    video = "\r\n".join((f"m=video {port} {proto} 99", "a=rtpmap:99 VP8/90000", *lines, ""))
    head = f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{session}"
    return head + AUDIO + video


def sdp(*lines: str, proto: str = "RTP/AVP", port: int = 4002) -> SessionDescription:
    """The same, read."""
    return sdp_from_text(text(*lines, proto=proto, port=port))


def video(description: SessionDescription) -> MediaDescription:
    """Return its video line."""
    return description.media[1]


def test_an_offer_says_avp_and_that_avpf_is_liked_better() -> None:
    offer = offering_feedback(sdp(*FEEDBACK))
    assert video(offer).proto == "RTP/AVP"
    assert video(offer).lines[2:] == (*FEEDBACK, "a=rtcp-fb:99 ccm tmmbr", TCAP, PCFG)
    assert offer.media[0].lines == tuple(AUDIO.splitlines())


def test_to_offer_it_again_changes_nothing() -> None:
    offer = offering_feedback(sdp(*FEEDBACK))
    assert sdp_to_text(offering_feedback(offer)) == sdp_to_text(offer)
    ours = sdp(*FEEDBACK, "a=acfg:1 t=1", proto="RTP/AVPF")  # an answer of ours is the base of an offer
    assert "a=acfg" not in sdp_to_text(offering_feedback(ours))


@pytest.mark.parametrize("description", [sdp(proto="RTP/SAVP"), sdp(port=0)])
def test_keys_and_what_is_off_are_left_alone(description: SessionDescription) -> None:
    assert sdp_to_text(offering_feedback(description)) == sdp_to_text(description)


@pytest.mark.parametrize("proto", ["RTP/AVP", "RTP/AVPF"])
def test_what_was_answered_holds(proto: str) -> None:
    ours = sdp_to_text(offering_feedback(sdp(*FEEDBACK)))
    told = agreed(ours, text("a=acfg:1 t=1", proto=proto))
    assert video(sdp_from_text(told)).proto == proto
    fork = agreed(told, text())  # another fork may know less
    assert video(sdp_from_text(fork)).proto == "RTP/AVP"
    assert ("a=tcap" in told) is (proto == "RTP/AVP" and told is ours)


def test_refused_video_agrees_on_nothing() -> None:
    ours = sdp_to_text(offering_feedback(sdp(*FEEDBACK)))
    assert video(sdp_from_text(agreed(ours, text(proto="RTP/AVPF", port=0)))).proto == "RTP/AVP"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        pytest.param([TCAP, PCFG], ("RTP/AVPF", ("a=acfg:1 t=1",)), id="as TS 26.114 has it"),
        pytest.param(
            ["a=tcap:3 RTP/SAVPF RTP/AVPF", "a=pcfg:2 t=3|4"],
            ("RTP/AVPF", ("a=acfg:2 t=4",)),
            id="the second of two",
        ),
        pytest.param([TCAP, "a=pcfg:1 t=1 a=1"], ("RTP/AVP", ()), id="with attributes"),
        pytest.param([TCAP], ("RTP/AVP", ()), id="nothing potential"),
        pytest.param([PCFG], ("RTP/AVP", ()), id="of unknown capabilities"),
        pytest.param(["a=tcap:", "a=tcap:x RTP/AVPF", "a=pcfg:", PCFG], ("RTP/AVP", ()), id="nonsense"),
    ],
)
def test_what_is_answered_to_the_core(lines: list[str], found: tuple[str, tuple[str, ...]]) -> None:
    offered = video(sdp(*lines))
    assert chosen_protocol(offered) == found
    answer = answered_as(video(sdp()), offered)
    assert (answer.proto, answer.lines[2:]) == (found[0], found[1])


def test_capabilities_may_stand_before_the_first_media_line() -> None:
    offered = sdp_from_text(text(PCFG, session=f"{TCAP}\r\n")).media[1]
    assert chosen_protocol(offered) == ("RTP/AVPF", ("a=acfg:1 t=1",))


def test_what_needs_no_negotiation() -> None:
    assert chosen_protocol(video(sdp(proto="RTP/AVPF"))) == ("RTP/AVPF", ())
    assert chosen_protocol(sdp().media[0]) == ("RTP/AVP", ())
