"""What a page may send wrong in its INVITE and PRACK; the core hears nothing of it (docs/flow.md)."""

from __future__ import annotations

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.offers import (
    AUDIO,
    AUDIO_AND_VIDEO,
    sample,
    with_replaced,
    without_codecs_in_common,
    without_lines,
)
from tests.integration.calls.stage import BOB, PRACK_TIMEOUT_S, Call, Stage, warn_code_of, warning_of
from tests.peers.call_plan import CallPlan
from tests.peers.sip import Headers, SipRequest, message_to_bytes
from tests.peers.wic_call import OutgoingCall, TextMedia

pytestmark = pytest.mark.lab

NO_PRACK = CallPlan(prack=False)


async def check_refused(stage: Stage, offer: str, status: int, *words: str, code: int = 399) -> None:
    """Call with the offer and see status, explanation, log line and a core that heard nothing."""
    page = await stage.page()
    call = await page.invite(BOB, offer)
    refused = await call.wait_status(range(200, 700))
    assert refused.status == status, refused.start_line
    for word in words:
        assert word in warning_of(refused)
    assert warn_code_of(refused) == code
    line = await stage.logged(call.call_id, f"status={status}")
    assert warning_of(refused)[:40] in line
    assert not stage.core_knows(call.call_id)


class TestUnusableOffers:
    """488, and a Warning that names what is missing."""

    @pytest.mark.conformance("X-14")
    @pytest.mark.parametrize(
        ("offer", "words", "code"),
        [
            pytest.param(without_lines(AUDIO, "a=ice-ufrag", "a=ice-pwd"), ("ICE",), 399, id="no ICE"),
            pytest.param(without_lines(AUDIO, "a=ice-pwd"), ("ICE",), 399, id="no ICE password"),
            pytest.param(
                without_lines(AUDIO, "a=fingerprint"), ("fingerprint", "DTLS"), 399, id="no fingerprint"
            ),
            pytest.param(without_codecs_in_common(AUDIO), ("codec", "OPUS"), 305, id="no usable codec"),
            pytest.param(
                with_replaced(AUDIO, "UDP/TLS/RTP/SAVPF", "RTP/AVP"),
                ("RTP/AVP", "SAVPF"),
                302,
                id="plain RTP",
            ),
            pytest.param(with_replaced(AUDIO, r"^m=audio \d+", "m=audio 0"), ("port 0",), 399, id="port 0"),
            pytest.param(
                sample("chromium-156-datachannel-only"), ("audio", "video"), 304, id="no audio or video"
            ),
            pytest.param(AUDIO.partition("m=audio")[0], ("no media line",), 399, id="no media line"),
            pytest.param("", ("session description",), 399, id="no body"),
        ],
    )
    async def test_are_refused_with_the_reason(
        self, stage: Stage, offer: str, words: tuple[str, ...], code: int
    ) -> None:
        await check_refused(stage, offer, 488, *words, code=code)

    async def test_a_video_line_alone_may_be_unusable(self, stage: Stage) -> None:
        audio, mark, video = AUDIO_AND_VIDEO.partition("m=video")
        page = await stage.page()
        call = await stage.answered(page, audio + mark + without_lines(video, "a=fingerprint"))
        early = await call.wic.wait_status(183)
        assert "m=video 0 " in early.body
        await call.hang_up()


class TestBrokenDescriptions:
    """400, and a Warning with line and reason."""

    @pytest.mark.parametrize(
        ("offer", "words"),
        [
            pytest.param("hello\r\n", ("line 1",), id="no description at all"),
            pytest.param(AUDIO.replace("v=0", "v=1", 1), ("line 1", "v=0"), id="another version"),
            pytest.param(without_lines(AUDIO, "o="), ("line 2", "o="), id="no origin"),
            pytest.param(with_replaced(AUDIO, "^o=.*$", "o=- x y"), ("line 2", "o="), id="broken origin"),
            pytest.param(with_replaced(AUDIO, r"^m=audio \d+", "m=audio x"), ("port",), id="no port number"),
            pytest.param(
                with_replaced(AUDIO, r"^m=audio \d+", "m=audio 65536"), ("port",), id="port too high"
            ),
            pytest.param(with_replaced(AUDIO, r"^m=audio.*$", "m=audio 9"), ("m=",), id="short media line"),
            pytest.param(
                with_replaced(AUDIO, r"^a=mid:0", "garbage"), ("garbage",), id="a line that is none"
            ),
            pytest.param(
                with_replaced(AUDIO_AND_VIDEO, "^a=mid:1", "a=mid:0"), ("mid",), id="one mid for two lines"
            ),
            pytest.param(AUDIO + "m=audio 9 RTP/AVP 0\r\n" * 40, ("m-lines",), id="too many lines"),
        ],
    )
    async def test_are_refused_with_line_and_reason(
        self, stage: Stage, offer: str, words: tuple[str, ...]
    ) -> None:
        await check_refused(stage, offer, 400, *words)

    @pytest.mark.parametrize(
        "offer",
        [
            pytest.param(AUDIO.replace("s=-", "s=Grüße", 1), id="a name that is not ASCII"),
            pytest.param(AUDIO.replace("\r\n", "\n"), id="bare line feeds"),
        ],
    )
    async def test_harmless_oddities_are_taken(self, stage: Stage, offer: str) -> None:
        call = await stage.answered(await stage.page(), offer)
        await call.hang_up()

    async def test_bytes_that_are_no_text_are_taken(self, stage: Stage) -> None:
        page = await stage.page()
        refused = await page.invite(BOB, "")
        await refused.wait_status(488)
        invite = invite_with_body(
            refused.invite, "application/sdp", AUDIO.replace("s=-", "s=\udcff\udcfe", 1)
        )
        wic = OutgoingCall(page, invite, CallPlan(), TextMedia(AUDIO))
        page.calls[wic.call_id] = wic
        await page.send_raw(message_to_bytes(invite))
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        await Call(wic, ims).hang_up()

    async def test_a_body_of_another_type_is_refused(self, stage: Stage) -> None:
        page = await stage.page()
        call = await page.invite(BOB, "")
        await call.wait_status(488)  # no body: the page goes on to send another one
        request = invite_with_body(call.invite, "text/plain", AUDIO)
        await page.send(request)
        refused = await page.trace.wait_response(range(200, 700), "INVITE", call_id=request.call_id)
        assert (refused.status, refused.reason_phrase) == (415, "Unsupported Media Type")
        assert "application/sdp" in warning_of(refused)
        await stage.logged(request.call_id, "status=415")
        assert not stage.core_knows(request.call_id)

    async def test_an_invite_without_contact_is_refused(self, stage: Stage) -> None:
        page = await stage.page()
        call = await page.invite(BOB, "")
        await call.wait_status(488)
        request = invite_with_body(call.invite, "application/sdp", AUDIO)
        request.headers.remove("Contact")
        await page.send(request)
        refused = await page.trace.wait_response(range(200, 700), "INVITE", call_id=request.call_id)
        assert refused.status == 400
        assert "Contact" in warning_of(refused)

    @pytest.mark.conformance("S-11")
    async def test_a_request_that_went_too_far_is_refused(self, stage: Stage) -> None:
        page = await stage.page()
        call = await page.invite(BOB, "")
        await call.wait_status(488)
        request = invite_with_body(call.invite, "application/sdp", AUDIO)
        request.headers.replace("Max-Forwards", "0")
        await page.send(request)
        refused = await page.trace.wait_response(range(200, 700), "INVITE", call_id=request.call_id)
        assert refused.status == 483

    @pytest.mark.conformance("B-02")
    @pytest.mark.parametrize(
        "frame",
        [
            pytest.param("hello", id="a word"),
            pytest.param(b"\x00\xff\xfe", id="binary"),
            pytest.param("INVITE\r\n\r\n", id="half a request line"),
            pytest.param("INVITE sip:x SIP/2.0\r\n\r\n", id="no header field"),
            pytest.param("\r\n\r\n", id="keep-alive"),
        ],
    )
    async def test_a_frame_that_is_not_sip_harms_nobody_else(self, stage: Stage, frame: str | bytes) -> None:
        page, other = await stage.page(), await stage.page()
        call = await stage.answered(page)
        await other.send_raw(frame)
        assert (await call.wic.info()).status == 200
        await call.hang_up()


def invite_with_body(invite: SipRequest, content_type: str, body: str) -> SipRequest:
    """Return a new INVITE like another one, with this body."""
    fields = [(name, f"{value}-again" if name == "Call-ID" else value) for name, value in invite.headers]
    again = SipRequest("INVITE", invite.request_uri, headers=Headers(fields))
    again.headers.replace("Via", f"{invite.headers.get('Via')}again")
    return again.set_body(body, content_type)


class TestPrack:
    """RFC 3262: the answer must be acknowledged."""

    @pytest.mark.parametrize(
        "rack",
        [
            pytest.param("2 1 INVITE", id="another RSeq"),
            pytest.param("1 2 INVITE", id="another CSeq"),
            pytest.param("1 1 UPDATE", id="another method"),
            pytest.param("x", id="no numbers"),
        ],
    )
    async def test_with_a_wrong_rack_it_is_481_and_the_right_one_still_counts(
        self, stage: Stage, rack: str
    ) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, plan=NO_PRACK)
        early = await wic.wait_status(183)
        assert (await wic.prack(early, rack=rack)).status == 481
        assert not stage.core_knows(wic.call_id)
        assert (await wic.prack(early)).status == 200
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        await call.hang_up()

    async def test_a_second_one_makes_no_second_update(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, plan=NO_PRACK)
        early = await wic.wait_status(183)
        assert (await wic.prack(early)).status == 200
        assert (await wic.prack(early)).status == 481
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        await call.hang_up()
        assert wic.ladder().count("<- UPDATE (SDP)") == 1

    async def test_with_an_offer_in_it_it_is_refused_and_the_call_goes_on_waiting(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, plan=NO_PRACK)
        early = await wic.wait_status(183)
        refused = await wic.prack(early, sdp=AUDIO)
        assert refused.status == 488
        assert "PRACK" in warning_of(refused)
        assert (await wic.prack(early)).status == 200
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        await call.hang_up()

    async def test_without_one_the_call_ends_with_504(self, stage: Stage) -> None:
        page = await stage.page()
        call = await page.invite(BOB, AUDIO, plan=NO_PRACK)
        refused = await call.wait_status(range(200, 700), timeout_s=PRACK_TIMEOUT_S + 10)
        assert refused.status == 504
        assert "PRACK" in warning_of(refused)
        assert refused.to_tag == (await call.wait_status(183)).to_tag
        assert "<- UPDATE (SDP)" not in call.ladder()
        await stage.logged(call.call_id, "PRACK")
        assert not stage.core_knows(call.call_id)
        assert call.ladder()[: len(ladders.ANSWERED_EARLY)] == ladders.ANSWERED_EARLY


@pytest.mark.conformance("S-11")
async def test_a_second_invite_with_the_same_call_id_is_a_loop(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    again = SipRequest("INVITE", BOB, headers=call.wic.invite.headers.copy())
    again.set_body(AUDIO)
    again.headers.replace("Via", page.new_via())
    again.headers.replace("CSeq", "7 INVITE")
    await page.send(again)
    refused = await page.trace.wait_response(range(200, 700), "INVITE", call_id=call.call_id, cseq=7)
    assert refused.status == 482
    await call.hang_up()
