"""Requests inside an answered call, both ways: tags, numbers and routes are translated, nothing else (docs/flow.md)."""

from __future__ import annotations

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.offers import AUDIO_AND_VIDEO
from tests.integration.calls.stage import ALICE, BOB, Call, Stage, warning_of
from tests.lab.subscribers import REALM
from tests.peers.call_plan import CallPlan
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import SipRequest, SipResponse
from tests.peers.trace import Direction
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

NOT_YET = "changing a running session is not supported yet"


async def still_works(call: Call) -> None:
    """Pass an INFO both ways and hang up."""
    assert (await call.wic.info()).status == 200
    assert (await call.ims.info("text/plain", "still here")).status == 200
    await call.hang_up()


class TestInfo:
    """INFO is passed on as it is, but for digits (test_dtmf.py)."""

    async def test_from_the_page(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        response = await call.wic.info("Signal=7\r\nDuration=160", "application/x-dtmf")
        assert response.status == 200
        assert call.wic.dialog is not None
        assert response.to_tag == call.wic.dialog.remote_tag
        info = await call.ims.wait_request("INFO")
        assert info.body == "Signal=7\r\nDuration=160"
        assert info.headers.get("Content-Type") == "application/x-dtmf"
        assert info.to_tag == call.ims.dialogs["a"].local_tag
        assert info.from_tag == call.wic.invite.from_tag
        assert info.cseq.number > call.ims.invite.cseq.number
        await call.hang_up()

    async def test_from_the_core(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        response = await call.ims.info("text/plain", "hello")
        assert (response.status, response.from_tag) == (200, call.ims.dialogs["a"].local_tag)
        info = await call.wic.wait_request("INFO")
        assert info.body == "hello"
        assert call.wic.dialog is not None
        assert (info.from_tag, info.to_tag) == (call.wic.dialog.remote_tag, call.wic.dialog.local_tag)
        numbers = [request.cseq.number for request in ladders.requests_received(call.wic)]
        assert numbers == sorted(set(numbers))
        await call.hang_up()

    async def test_a_refusal_is_passed_on_to_the_page(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        call.ims.statuses["INFO"] = 415
        assert (await call.wic.info()).status == 415
        await still_works_after_refusal(call)

    async def test_a_refusal_is_passed_on_to_the_core(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(), plan=CallPlan(statuses={"INFO": 415}))
        assert (await call.ims.info("text/plain", "hello")).status == 415
        await call.hang_up()

    async def test_before_the_answer_it_reaches_the_callee_that_rings(self, stage: Stage) -> None:
        stage.core.script = answers(ring_s=0.3)
        call = await stage.ringing(await stage.page())
        assert (await call.wic.info()).status == 200
        await call.ims.wait_ack()
        await call.hang_up()


async def still_works_after_refusal(call: Call) -> None:
    """The next INFO passes."""
    call.ims.statuses.clear()
    assert (await call.wic.info()).status == 200
    await call.hang_up()


class TestBye:
    """Either side hangs up."""

    @pytest.mark.conformance("S-09")
    async def test_by_the_page(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        await call.hang_up()
        assert call.wic.ladder()[-2:] == ladders.HUNG_UP
        assert call.ims.ladder()[-2:] == ladders.CORE_HUNG_UP
        await stage.logged(call.call_id, "event=call_ended", "by=wic")

    @pytest.mark.conformance("S-09")
    async def test_by_the_core(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        assert (await call.ims.bye(headers=[("Reason", 'Q.850;cause=16;text="bye"')])).status == 200
        bye = await call.wic.wait_request("BYE")
        assert bye.headers.get("Reason") == 'Q.850;cause=16;text="bye"'
        assert call.wic.ladder()[-2:] == ["<- BYE", "-> 200 BYE"]
        await stage.logged(call.call_id, "event=call_ended", "by=ims")

    @pytest.mark.parametrize(
        "contact", ["sip:anonymous@anonymous.invalid;transport=ws;ob", f"sip:tgruu.7hs@{REALM};gr"]
    )
    async def test_by_the_core_of_an_anonymous_call(self, stage: Stage, contact: str) -> None:
        """SIP.js and JsSIP name such a Contact, and answer 404 to what is sent there."""
        page = await stage.page()
        page.call_contact = contact
        call = await stage.answered(page)
        assert (await call.ims.bye()).status == 200
        assert (await call.wic.wait_request("BYE")).request_uri == f"{page.contact_uri};ob"

    async def test_by_both_at_once(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        bye = call.wic.request("BYE")
        await call.wic.send(bye)
        # 481 when the page's BYE has been answered already and the call is forgotten (RFC 3261 §15.1.2).
        assert (await call.ims.bye()).status in {200, 481}
        response = await call.wic.trace.wait_response(range(200, 700), "BYE", call_id=call.call_id)
        assert response.status == 200

    async def test_by_a_page_with_audio_and_video(self, stage: Stage) -> None:
        stage.core.script = answers(DeviceMedia(video="H264"))
        call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
        assert set(stage.lab.relay_calls()) == {call.call_id, f"{call.call_id}-v"}
        await call.hang_up()

    async def test_repeated_it_finds_no_call(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        await call.hang_up()
        assert (await call.wic.bye()).status == 481

    async def test_a_device_that_does_not_know_the_call_any_more_ends_it_too(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        call.ims.statuses["BYE"] = 481
        assert (await call.wic.bye()).status == 481


class TestSessionChange:
    """A refresh changes nothing."""

    async def test_a_refresh_of_the_page_is_answered(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        response = await call.wic.update()
        assert (response.status, response.has_sdp) == (200, False)
        assert response.contact_uri == "sip:gateway@ims.test;transport=ws"
        await still_works(call)

    async def test_a_refresh_of_the_core_is_answered(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        response = await call.ims.update()
        assert (response.status, response.has_sdp) == (200, False)
        assert response.contact_uri == call.ims.invite.contact_uri
        await still_works(call)


class TestOtherRequests:
    """What is passed on, what is refused."""

    @pytest.mark.parametrize(
        "method", [pytest.param(name, id=name) for name in ("OPTIONS", "MESSAGE", "REFER", "NOTIFY")]
    )
    async def test_passed_on_from_the_page(self, stage: Stage, method: str) -> None:
        call = await stage.answered(await stage.page())
        request = call.wic.request(method)
        if method == "REFER":
            request.headers.add("Refer-To", f"<{BOB}>")
        assert (await call.wic.ask(request)).status == 200
        await call.ims.wait_request(method)
        await call.hang_up()

    async def test_an_unknown_method_is_refused_with_those_we_know(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        response = await call.wic.ask(call.wic.request("PUBLISH"))
        assert response.status == 405
        assert {"INVITE", "INFO", "UPDATE"} <= response.option_tags("Allow")
        await call.hang_up()

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize(
        "tags",
        [
            pytest.param(("x", None), id="From-tag"),
            pytest.param((None, "x"), id="To-tag"),
        ],
    )
    async def test_a_request_with_a_wrong_tag_is_outside_the_dialog(
        self, stage: Stage, tags: tuple[str | None, str | None]
    ) -> None:
        call = await stage.answered(await stage.page())
        request = call.wic.request("INFO")
        for name, tag in zip(("From", "To"), tags, strict=True):
            if tag is not None:
                value = (request.headers.get(name) or "").partition(";tag=")[0]
                request.headers.replace(name, f"{value};tag={tag}")
        assert (await call.wic.ask(request)).status == 481
        await call.hang_up()
        assert "<- INFO" not in call.ims.ladder()

    @pytest.mark.conformance("S-40")
    async def test_a_request_of_the_core_with_a_wrong_tag_is_outside_the_dialog(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        dialog = call.ims.dialogs["a"]
        request = dialog.request("INFO", via=stage.core.new_via())
        request.headers.replace("From", f"<{BOB}>;tag=stranger")
        assert (await stage.core.ask(request, call.ims.gateway)).status == 481
        await call.hang_up()


class TestOutsideACall:
    """What this release does not do, it says."""

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INFO", "UPDATE", "FOO")])
    async def test_a_request_of_the_page_is_refused(self, stage: Stage, method: str) -> None:
        page = await stage.page()
        response = await page.request(method, BOB)
        assert (response.status, response.reason_phrase) == (405, "Method Not Allowed")
        assert method in warning_of(response)

    async def test_options_tells_what_we_can(self, stage: Stage) -> None:
        page = await stage.page()
        response = await page.request("OPTIONS", BOB)
        assert response.status == 200
        assert "INVITE" in response.option_tags("Allow")

    @pytest.mark.conformance("S-40")
    @pytest.mark.parametrize(
        "method", [pytest.param(name, id=name) for name in ("BYE", "INFO", "PRACK", "UPDATE")]
    )
    async def test_a_request_inside_a_dialog_nobody_knows_is_refused(self, stage: Stage, method: str) -> None:
        page = await stage.page()
        request = stranger(page, method)
        await page.send(request)
        response = await page.trace.wait_response(range(200, 700), method, call_id=request.call_id)
        assert response.status == 481

    async def test_a_cancel_without_invite_is_refused(self, stage: Stage) -> None:
        page = await stage.page()
        assert (await page.request("CANCEL", BOB)).status == 481


def stranger(page: ScriptedWic, method: str) -> SipRequest:
    """Return a request in a dialog that does not exist."""
    request = SipRequest(method, "sip:gateway@ims.test;transport=ws")
    for name, value in (
        ("Via", page.new_via()),
        ("Max-Forwards", "70"),
        ("From", f"<{ALICE}>;tag=me"),
        ("To", f"<{BOB}>;tag=you"),
        ("Call-ID", "nobody-knows-this-call"),
        ("CSeq", f"2 {method}"),
        *((("RAck", "1 1 INVITE"),) if method == "PRACK" else ()),
    ):
        request.headers.add(name, value)
    return request


async def test_responses_of_the_page_go_back_into_the_cores_dialog(stage: Stage) -> None:
    call = await stage.answered(await stage.page())
    await call.ims.info("text/plain", "one")
    await call.ims.info("text/plain", "two")
    sent = [
        (entry.message.cseq.number, entry.message.status)
        for entry in call.ims.trace.entries
        if entry.direction is Direction.RECEIVED
        and isinstance(entry.message, SipResponse)
        and entry.message.cseq.method == "INFO"
    ]
    assert sent == [(1, 200), (2, 200)]
    await call.hang_up()
