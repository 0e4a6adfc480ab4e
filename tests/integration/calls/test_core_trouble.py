"""The core refuses, is silent or talks nonsense (docs/flow.md)."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import (
    ALICE,
    BOB,
    CAROL,
    FLOW_RECOVERY_S,
    IMS_ANSWER_TIMEOUT_S,
    IMS_RESPONSE_TIMEOUT_S,
    Call,
    Stage,
    warn_code_of,
    warning_of,
)
from tests.lab.subscribers import REALM
from tests.peers.core_call import CalledDevice
from tests.peers.core_script import (
    CoreScript,
    Pause,
    Provisional,
    UntilCancelled,
    answers,
    crosses_cancel,
    rejects,
    rings_for_ever,
    silent,
)
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.digest import Challenge, Credentials, challenge_to_text, is_authorized
from tests.peers.sip import SipResponse, response_to
from tests.peers.wic import ScriptedWic, WicIdentity
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab

TRYING_ONLY = CoreScript((UntilCancelled(),))


async def answer_with(wic: OutgoingCall, ims: CalledDevice, status: int, sdp: str) -> SipResponse:
    """Let the callee ring, then send a response with any text as session description."""
    ims.respond(180)
    await wic.wait_status(180)
    dialog = ims.dialogs["a"]
    fields = [
        *(("Record-Route", route) for route in reversed(dialog.route_set_of_peer)),
        ("Contact", ims.contact),
    ]
    response = response_to(ims.invite, status, to_tag=dialog.local_tag, headers=fields, sdp=sdp)
    ims.peer.send(response, ims.gateway)
    return response


class TestRefusals:
    """3xx to 6xx end the call with what the core said, in the page's own dialog."""

    @pytest.mark.parametrize(
        ("status", "heard"),
        [
            *(
                pytest.param(code, code, id=str(code))
                for code in (400, 403, 404, 480, 486, 488, 500, 600, 603)
            ),
            pytest.param(503, 500, id="503 is 500 behind a proxy (RFC 3261 §16.7)"),
        ],
    )
    @pytest.mark.parametrize(
        "ringing", [pytest.param(True, id="after 180"), pytest.param(False, id="at once")]
    )
    async def test_are_passed_on(self, stage: Stage, status: int, heard: int, ringing: bool) -> None:
        stage.core.script = rejects(status, ("Reason", "Q.850;cause=17"), ringing=ringing)
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        refused = await wic.wait_status(range(300, 700))
        assert refused.status == heard
        if heard == status:
            assert refused.headers.get("Reason") == "Q.850;cause=17"
        assert refused.to_tag == (await wic.wait_status(183)).to_tag
        assert refused.contact_uri is None
        ims = await stage.core.wait_call()
        ack = await ims.wait_request("ACK")
        assert ack.to_tag == ims.dialogs["a"].local_tag
        await stage.logged(wic.call_id, "event=call_rejected", f"status={status}")

    @pytest.mark.conformance("S-38")
    async def test_a_redirection_keeps_its_targets(self, stage: Stage) -> None:
        target = f"<sip:elsewhere@{REALM}>"
        stage.core.script = rejects(302, ("Contact", target))
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        refused = await wic.wait_status(302)
        assert refused.headers.all("Contact") == [target]

    @pytest.mark.parametrize(
        ("status", "challenge", "credentials"),
        [
            pytest.param(401, "WWW-Authenticate", "Authorization", id="401"),
            pytest.param(407, "Proxy-Authenticate", "Proxy-Authorization", id="407"),
        ],
    )
    async def test_a_challenge_is_answered_by_the_page_in_a_second_try(
        self, stage: Stage, status: int, challenge: str, credentials: str
    ) -> None:
        secret = Credentials(f"alice@{REALM}", "secret-alice")
        asked = Challenge(REALM, "0123456789abcdef")
        stage.core.script = rejects(status, (challenge, challenge_to_text(asked)), ringing=False)
        page = await stage.join(ScriptedWic(stage.handshake, WicIdentity(ALICE, credentials=secret)))
        wic = await page.invite(BOB, AUDIO)
        await stage.core.wait_call()
        stage.core.script = answers()
        await wic.wait_answer()
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        assert ims.invite.headers.fields(credentials)
        assert is_authorized(ims.invite, asked, secret)
        await Call(wic, ims).hang_up()


class TestSilence:
    """The core does not answer."""

    async def test_nothing_at_all_is_a_time_out(self, stage: Stage) -> None:
        stage.core.script = silent()
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        began = time.monotonic()
        refused = await wic.wait_status(range(200, 700))
        assert refused.status == 504
        assert time.monotonic() - began < IMS_RESPONSE_TIMEOUT_S + 5
        assert warning_of(refused) == "the IMS core does not answer"
        assert refused.to_tag == (await wic.wait_status(183)).to_tag
        await stage.logged(wic.call_id, "event=call_rejected", "local=1")

    async def test_a_core_that_is_not_there_is_a_time_out(self, stage: Stage) -> None:
        page = await stage.page()
        await stage.core.close()
        try:
            wic = await page.invite(BOB, AUDIO)
            refused = await wic.wait_status(range(200, 700))
            assert refused.status == 504
        finally:
            await stage.open()

    async def test_a_callee_nobody_answers_for_is_cancelled(self, stage: Stage) -> None:
        stage.core.script = rings_for_ever()
        call = await stage.ringing(await stage.page())
        refused = await call.wic.wait_status(range(200, 700), timeout_s=IMS_ANSWER_TIMEOUT_S + 10)
        assert (refused.status, warning_of(refused)) == (480, "nobody answered")
        await call.ims.wait_request("CANCEL")
        await call.ims.wait_request("ACK")

    async def test_one_that_answers_just_as_it_is_cancelled_is_hung_up(self, stage: Stage) -> None:
        """RFC 3261 §9.1: the page has had its refusal, and no transaction passes the answer on."""
        stage.core.script = crosses_cancel()
        call = await stage.ringing(await stage.page())
        refused = await call.wic.wait_status(range(200, 700), timeout_s=IMS_ANSWER_TIMEOUT_S + 10)
        assert refused.status == 480
        await call.ims.wait_ack()
        await call.ims.wait_request("BYE")
        assert "<- 200 INVITE" not in call.wic.ladder()

    async def test_a_bye_reaches_a_core_that_is_away_for_longer_than_other_requests_wait(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page, other = await stage.page(ALICE), await stage.page(CAROL)
        hung_up, lost = await stage.answered(page), await stage.answered(other)
        with monkeypatch.context() as away:
            away.setattr(stage.core, "datagram_received", lambda data, addr: None)
            await hung_up.wic.send(hung_up.wic.request("BYE"))
            other.lose()
            await asyncio.sleep(FLOW_RECOVERY_S + 2 * IMS_RESPONSE_TIMEOUT_S)
            assert not [end for end in (hung_up, lost) if "<- BYE" in end.ims.ladder()]
        for end in (hung_up, lost):
            await end.ims.wait_request("BYE")


class TestNonsense:
    """An answer the gateway cannot work with ends the call on both sides."""

    @pytest.mark.parametrize(
        "sdp",
        [
            pytest.param("hello\r\n", id="no description"),
            pytest.param("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", id="no media line"),
            pytest.param("", id="no body"),
        ],
    )
    async def test_in_a_200_it_is_acknowledged_and_hung_up(self, stage: Stage, sdp: str) -> None:
        stage.core.script = TRYING_ONLY
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        await answer_with(wic, ims, 200, sdp)
        await wic.wait_answer()
        to_page = await wic.wait_request("BYE")
        assert "cause=488" in (to_page.headers.get("Reason") or "")
        await ims.wait_request("BYE")
        ladder = ims.ladder()
        assert ladder.index("<- ACK") < ladder.index("<- BYE")
        assert wic.ladder()[-4:] == ["<- 200 INVITE", "-> ACK", "<- BYE", "-> 200 BYE"]
        await stage.logged(wic.call_id, "event=call_ended", "by=gateway")

    @pytest.mark.parametrize("status", [183, 200])
    async def test_audio_in_a_codec_that_was_not_offered(self, stage: Stage, status: int) -> None:
        stage.core.script = TRYING_ONLY
        wic = await (await stage.page()).invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        await answer_with(wic, ims, status, device_offer(DeviceMedia()).replace("PCMA/8000", "iLBC/8000"))
        if status == 200:  # too late for a refusal
            await wic.wait_answer()
            assert "iLBC/8000, which was not offered" in str(
                (await wic.wait_request("BYE")).headers.get("Reason")
            )
            await ims.wait_request("BYE")
            return
        refused = await wic.wait_status(488)
        assert warn_code_of(refused) == 305
        assert warning_of(refused) == "The far end answers with iLBC/8000, which was not offered"
        await ims.wait_request("CANCEL")

    @pytest.mark.parametrize("status", [pytest.param(180, id="180"), pytest.param(183, id="183")])
    async def test_in_a_provisional_response_it_is_cancelled_and_the_page_is_told_why(
        self, stage: Stage, status: int
    ) -> None:
        stage.core.script = TRYING_ONLY
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        await answer_with(wic, ims, status, "hello\r\n")
        refused = await wic.wait_status(range(200, 700))
        await ims.wait_request("CANCEL")
        await ims.wait_request("ACK")
        assert (refused.status, refused.reason_phrase) == (502, "Bad Gateway")
        assert "line 1" in warning_of(refused)
        await stage.logged(wic.call_id, "event=media_failed")

    async def test_all_media_refused_in_a_200_is_hung_up(self, stage: Stage) -> None:
        stage.core.script = TRYING_ONLY
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        refused = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\n"
        )
        await answer_with(wic, ims, 200, refused)
        await wic.wait_answer()
        await wic.wait_request("BYE")
        await ims.wait_request("BYE")

    async def test_a_response_to_a_call_that_is_over_goes_nowhere(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        await call.hang_up()
        heard = len(call.wic.ladder())
        call.ims.respond(200, fork="late", media=DeviceMedia())
        other = await stage.answered(stage.pages[0])
        await other.hang_up()
        assert len(call.wic.ladder()) == heard


async def test_an_answer_after_long_ringing_is_like_any_other(stage: Stage) -> None:
    stage.core.script = CoreScript(
        (Provisional(180), Pause(IMS_RESPONSE_TIMEOUT_S + 0.5), *answers().steps[1:])
    )
    call = await stage.answered(await stage.page())
    await call.hang_up()
    assert call.wic.ladder() == [*ladders.SET_UP, "<- 180 INVITE", *ladders.ANSWERED, *ladders.HUNG_UP]
