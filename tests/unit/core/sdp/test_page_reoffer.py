"""A web client's offer in a running session: what it changes, how it is answered, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from kemi.core.call.renegotiation.page_change import read_offer
from kemi.core.errors import GatewayError, NotAcceptableHere, RemoteProtocolError
from kemi.core.sdp.codecs import OnlyThese
from kemi.core.sdp.interwork.page_reoffer import (
    KnownMedium,
    PageOffer,
    page_answer,
    read_page_answer,
    read_page_offer,
)
from kemi.core.sdp.judge import Role
from kemi.core.sdp.model import Direction, Origin, SessionDescription
from kemi.core.sdp.text import sdp_from_text, sdp_to_text
from tests.peers.sdp import offer_again
from tests.unit.core.call import descriptions as sdp
from tests.unit.core.call.ladder import Call

VIDEO_CODECS = ("H264", "VP8")
ORIGIN = Origin(1000, 9)


class Session:
    """A running session as the steps hand it to the pure functions."""

    def __init__(self, call: Call) -> None:
        self.told = sdp_from_text(call.record.wic_description)
        self.known = [
            KnownMedium(m.kind, m.line, m.reverse_line, m.wic_offer, m.reverse_answer)
            for m in call.record.media
        ]
        self.running = frozenset(m.kind for m in call.record.media if m.active)

    def read(self, offer: str) -> PageOffer:
        """Read an offer."""
        return read_page_offer(offer, self.told, self.known, self.running, VIDEO_CODECS)

    def answer(self, offer: str, directions: dict[str, Direction], relayed: str = "") -> SessionDescription:
        """Answer it; ``relayed`` is the relay's new answer for audio."""
        given = {"audio": relayed} if relayed else {}
        return page_answer(self.read(offer), self.told, directions, given, {}, ORIGIN)


def one_way() -> tuple[Session, str]:
    """A page with a line for each direction, and its last description."""
    offer = sdp.chromium("audio-sendonly")
    call = Call.confirmed(body=offer)
    listening = re.sub("a=mid:0", "a=mid:r0", offer[offer.index("m=audio") :]).replace(
        "a=sendonly", "a=recvonly"
    )
    own = (offer + listening).replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 r0")
    return Session(call), own


def two_way() -> tuple[Session, str]:
    """A page with one line, and its offer."""
    offer = sdp.chromium("audio-sendrecv")
    return Session(Call.confirmed(body=offer)), offer


class TestDirection:
    """M-43: one direction over all lines of a medium."""

    @pytest.mark.parametrize("direction", [pytest.param(one, id=one.value) for one in Direction])
    def test_of_one_line(self, direction: Direction) -> None:
        session, own = two_way()
        (medium,) = session.read(offer_again(own, {"0": direction.value})).media
        assert (medium.direction, medium.is_on, medium.renewed) == (direction, True, False)

    @pytest.mark.parametrize(
        ("sending", "listening", "direction"),
        [
            pytest.param("sendonly", "recvonly", Direction.SENDRECV, id="both"),
            pytest.param("sendonly", "inactive", Direction.SENDONLY, id="hold"),
            pytest.param("inactive", "recvonly", Direction.RECVONLY, id="muted"),
            pytest.param("inactive", "inactive", Direction.INACTIVE, id="nothing"),
        ],
    )
    def test_of_two_lines(self, sending: str, listening: str, direction: Direction) -> None:
        session, own = one_way()
        (medium,) = session.read(offer_again(own, {"0": sending, "r0": listening})).media
        assert (medium.direction, medium.renewed) == (direction, False)

    def test_a_line_that_is_switched_off_says_nothing(self) -> None:
        session, own = one_way()
        (medium,) = session.read(offer_again(own, off=["r0"])).media
        assert (medium.direction, medium.is_on) == (Direction.SENDONLY, True)

    @pytest.mark.parametrize(
        ("port", "direction"),
        [
            pytest.param(4711, Direction.SENDONLY, id="hold"),
            pytest.param(9, Direction.SENDRECV, id="no candidates"),
        ],
    )
    def test_an_address_of_zeros(self, port: int, direction: Direction) -> None:
        session, own = two_way()
        zeros = re.sub(r"(?m)^c=IN IP4 \S+", "c=IN IP4 0.0.0.0", own)
        (medium,) = session.read(re.sub(r"(?m)^m=audio \d+", f"m=audio {port}", zeros)).media
        assert medium.direction is direction


def test_zeros_are_no_hold_of_a_page_that_never_had_an_address() -> None:
    """Safari up to 15 writes them, with its ports, where the page was given no microphone."""
    own = re.sub(r"(?m)^c=IN IP4 \S+", "c=IN IP4 0.0.0.0", sdp.chromium("audio-sendrecv"))
    own = re.sub(r"(?m)^m=audio \d+", "m=audio 54321", own)
    call = Call.confirmed(body=own)
    (medium,) = read_offer(call.record, own, call.settings).media
    assert medium.direction is Direction.SENDRECV
    without = sdp.chromium("audio-sendrecv")
    addressed = Call.confirmed(body=without)
    (medium,) = read_offer(addressed.record, own, addressed.settings).media
    assert medium.direction is Direction.SENDONLY


def test_a_bundled_line_of_firefox_has_port_0_and_zeros_and_is_not_held() -> None:
    session, own = one_way()
    sending, mark, listening = own.rpartition("m=audio ")
    port, rest = listening.split(" ", 1)
    listening = re.sub(r"(?m)^c=IN IP4 \S+", "c=IN IP4 0.0.0.0", f"{0 * int(port)} {rest}a=bundle-only\r\n")
    (medium,) = session.read(sending + mark + listening).media
    assert medium.direction is Direction.SENDRECV


def test_audio_that_is_added_has_a_codec_of_the_site_where_nothing_is_transcoded() -> None:
    call = Call.confirmed(body=sdp.chromium("av-sendrecv"))
    record = call.record
    record.media[0].active = False
    record.wic_description = re.sub(r"(?m)^m=audio \d+", "m=audio 0", record.wic_description)
    settings = replace(call.settings, audio_codecs=OnlyThese(("PCMA",)))
    (audio,) = read_offer(record, sdp.chromium("av-sendrecv"), settings).added
    assert audio.codecs == ("pcma", "telephone-event")


class TestRelay:
    """What only the relay has to learn."""

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda own: offer_again(own, ice="fresh"), id="ICE restart"),
            pytest.param(lambda own: re.sub(r"sha-256 ..", "sha-256 00", own), id="another certificate"),
            pytest.param(
                lambda own: own.replace(
                    "audio 9 UDP/TLS/RTP/SAVPF 111", "audio 9 UDP/TLS/RTP/SAVPF 8"
                ).replace("a=rtpmap:111 opus", "a=rtpmap:111 other"),
                id="another codec",
            ),
        ],
    )
    def test_is_renewed_for(self, change: Callable[[str], str]) -> None:
        session, own = two_way()
        (medium,) = session.read(change(re.sub(r"(?m)^m=audio \d+", "m=audio 9", own))).media
        assert medium.renewed
        assert medium.direction is Direction.SENDRECV

    def test_is_not_asked_about_the_same_again(self) -> None:
        session, own = two_way()
        (medium,) = session.read(offer_again(own)).media
        assert not medium.renewed
        assert (
            sdp_from_text(medium.wic_offer).media[0].codecs
            == sdp_from_text(session.known[0].wic_offer).media[0].codecs
        )


class TestNewLines:
    """RFC 3264 §8.1: further lines follow, a line that was off may be used anew."""

    VIDEO = sdp.chromium("av-sendrecv")[sdp.chromium("av-sendrecv").index("m=video") :].replace(
        "a=mid:1", "a=mid:9"
    )

    def test_video_is_added(self) -> None:
        session, own = two_way()
        (added,) = session.read(offer_again(own, added=[self.VIDEO])).added
        assert (added.kind, added.line, added.direction, added.reverse_wanted) == (
            "video",
            1,
            Direction.SENDRECV,
            False,
        )

    def test_of_video_one_way_the_other_is_wanted(self) -> None:
        session, own = one_way()
        line = self.VIDEO.replace("a=sendrecv", "a=sendonly")
        (added,) = session.read(offer_again(own, added=[line])).added
        assert (added.line, added.direction, added.reverse_wanted) == (2, Direction.SENDONLY, True)

    @pytest.mark.parametrize(
        "line",
        [
            pytest.param(
                "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:9\r\n", id="data channel"
            ),
            pytest.param(VIDEO.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP"), id="SDES"),
            pytest.param(
                VIDEO.replace("m=video 9 ", "m=video 0 ") + "a=bundle-only\r\n", id="no transport of its own"
            ),
            pytest.param(sdp.chromium("audio-sendonly").split("\r\n\r\n")[0], id="more audio"),
        ],
    )
    def test_what_cannot_be_used_is_switched_off_in_place(self, line: str) -> None:
        session, own = two_way()
        section = line[line.index("m=") :].replace("a=mid:0", "a=mid:9")
        offer = session.read(offer_again(own, added=[section]))
        assert (offer.added, offer.roles) == ((), (Role.FORWARD, Role.REJECTED))

    def test_a_line_in_a_group_that_stands_cannot_leave_it(self) -> None:
        session, own = one_way()
        grouped = offer_again(own, added=[self.VIDEO]).replace("BUNDLE 0 r0", "BUNDLE 0 r0 9")
        assert session.read(grouped).added == ()


class TestRefused:
    """RFC 3261 §14.2: what cannot be taken has a status and a reason."""

    @pytest.mark.parametrize(
        ("spoil", "error", "reason"),
        [
            pytest.param(
                lambda own: own[: own.rindex("m=audio")], RemoteProtocolError, "1 media lines", id="fewer"
            ),
            pytest.param(
                lambda own: own.replace("m=audio", "m=video"), NotAcceptableHere, "become video", id="kind"
            ),
            pytest.param(
                lambda own: own.replace("a=mid:r0", "a=mid:0"), RemoteProtocolError, "mid", id="mid twice"
            ),
            pytest.param(
                lambda own: own.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP"),
                NotAcceptableHere,
                "RTP/SAVP",
                id="SDES",
            ),
            pytest.param(lambda own: own.replace("a=ice-pwd", "a=x"), NotAcceptableHere, "ICE", id="no ICE"),
            pytest.param(
                lambda own: own.replace("a=fingerprint", "a=x"),
                NotAcceptableHere,
                "fingerprint",
                id="no DTLS",
            ),
            pytest.param(
                lambda own: own.replace("a=group:BUNDLE 0 r0", "a=x"),
                NotAcceptableHere,
                "BUNDLE",
                id="no group",
            ),
            pytest.param(
                lambda own: offer_again(own, off=["0", "r0"]), NotAcceptableHere, "no medium", id="nothing on"
            ),
        ],
    )
    def test_an_offer(self, spoil: Callable[[str], str], error: type[GatewayError], reason: str) -> None:
        session, own = one_way()
        with pytest.raises(error, match=reason):
            session.read(spoil(own))

    def test_a_camera_that_gives_way_to_another_one(self) -> None:
        """Both would be off: the relay has one call for video.  In two offers, one after the other, it goes."""
        own = sdp.chromium("av-sendrecv")
        session = Session(Call.confirmed(body=own))
        with pytest.raises(NotAcceptableHere, match="The video line stops and another one begins"):
            session.read(offer_again(own, off=["1"], added=[TestNewLines.VIDEO]))
        (_, video) = session.read(offer_again(own, off=["1"])).media
        assert not video.is_on
        session.running = frozenset({"audio"})
        (added,) = session.read(offer_again(own, off=["1"], added=[TestNewLines.VIDEO])).added
        assert added.line == 2


class TestAnswer:
    """RFC 3264 §6: its lines in its order, no more than it offered."""

    def test_without_news_repeats_what_was_told(self) -> None:
        session, own = one_way()
        answer = session.answer(offer_again(own), {"audio": Direction.SENDRECV})
        assert [line.direction for line in answer.media] == [Direction.RECVONLY, Direction.SENDONLY]
        assert [line.port for line in answer.media] == [line.port for line in session.told.media]
        assert {line.setup for line in answer.media} == {"passive"}
        assert answer.bundle_groups == (("0", "r0"),)
        assert "o=- 1000 9 " in sdp_to_text(answer)

    def test_says_the_relays_new_credentials_on_every_line_that_shares_them(self) -> None:
        session, own = one_way()
        relayed = sdp.relay_answer("audio").replace("relay1", "relay2")
        answer = session.answer(offer_again(own, ice="fresh"), {"audio": Direction.SENDRECV}, relayed)
        assert [line.ice_ufrag for line in answer.media] == ["relay2", "relay2"]

    @pytest.mark.parametrize(
        ("running", "directions"),
        [
            pytest.param(
                Direction.SENDONLY, [Direction.RECVONLY, Direction.INACTIVE], id="the far end holds"
            ),
            pytest.param(Direction.INACTIVE, [Direction.INACTIVE, Direction.INACTIVE], id="both hold"),
        ],
    )
    def test_says_what_runs(self, running: Direction, directions: list[Direction]) -> None:
        session, own = one_way()
        answer = session.answer(offer_again(own), {"audio": running})
        assert [line.direction for line in answer.media] == directions

    def test_has_the_far_ends_video_codec_only(self) -> None:
        session, own = two_way()
        offer = session.read(offer_again(own, added=[TestNewLines.VIDEO]))
        both = sdp.relay_answer("video").replace("SAVPF 96", "SAVPF 97 96") + "a=rtpmap:97 H264/90000\r\n"
        running = {"audio": Direction.SENDRECV, "video": Direction.SENDRECV}
        answer = page_answer(offer, session.told, running, {"video": both}, {}, ORIGIN, video_codec="vp8")
        assert [codec.name for codec in answer.media[1].codecs] == ["vp8"]

    def test_switches_off_what_the_far_end_refused(self) -> None:
        session, own = two_way()
        answer = session.answer(offer_again(own, added=[TestNewLines.VIDEO]), {"audio": Direction.SENDRECV})
        assert [line.rejected for line in answer.media] == [False, True]
        assert answer.media[1].mid == "9"


class TestAnswerOfThePage:
    """Its answer to what it was told, offered again."""

    def test_is_read_per_medium(self) -> None:
        session, _own = one_way()
        (medium,) = read_page_answer(
            session.told, sdp.page_answer(sdp_to_text(session.told)), session.known, VIDEO_CODECS
        )
        assert medium.is_on
        assert medium.direction is Direction.SENDRECV

    @pytest.mark.parametrize(
        ("spoil", "error"),
        [
            pytest.param(lambda text: text[: text.rindex("m=audio")], RemoteProtocolError, id="fewer lines"),
            pytest.param(
                lambda text: text.replace("a=setup:active", "a=setup:actpass"), RemoteProtocolError, id="role"
            ),
            pytest.param(
                lambda text: text.replace("m=audio 9", "m=audio 0"), NotAcceptableHere, id="all refused"
            ),
        ],
    )
    def test_that_does_not_fit_is_refused(
        self, spoil: Callable[[str], str], error: type[GatewayError]
    ) -> None:
        session, _own = one_way()
        with pytest.raises(error):
            read_page_answer(
                session.told, spoil(sdp.page_answer(sdp_to_text(session.told))), session.known, VIDEO_CODECS
            )
