"""Whom a page may call, for how long, and that an operator can end it."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.calls import incoming
from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import Call, warning_of
from tests.integration.limits.limited import LONGEST_CALL_S, LimitedStage, final_status
from tests.lab.subscribers import REALM
from tests.peers.core_script import CoreScript, Final, answers, rings_for_ever
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import SipRequest

pytestmark = [pytest.mark.lab, pytest.mark.conformance("X-11")]

BAR_S = 5.0
"""A call that has to end ends so soon on both sides."""


class TestTargets:
    """A premium number is one in every spelling that reaches Kamailio."""

    @pytest.mark.parametrize(
        "target",
        [
            "tel:+19005551234",
            "tel:+1-900-555-1234",
            "tel:+1(900)555.1234",
            "TEL:+19005551234",
            "tel:9005551234;phone-context=+1",
            "tel:0900123456",
            f"sip:+19005551234@{REALM};user=phone",
            f"SIP:+1900-555-1234@{REALM};user=phone",
            f"sip:%2B1%39005551234@{REALM};user=phone",
            f"sip:%2b19005551234@{REALM}",
            f"sip:0900123456@{REALM}",
            "tel:9005551234;x-phone-context=a;phone-context=+1",
        ],
    )
    async def test_it_is_refused_and_nobody_is_called(self, stage: LimitedStage, target: str) -> None:
        page = await stage.own_page()
        call = await page.invite(target, AUDIO)
        refused = await final_status(call)
        assert (refused.status, refused.reason_phrase) == (403, "Forbidden")
        assert "numbers that begin with" in warning_of(refused)
        assert not stage.core_knows(call.call_id)
        line = await stage.logged(call.call_id, "event=request_rejected", "status=403")
        assert "begin with" in line
        assert "5551234" not in line
        event = await stage.told("call_refused", call_id=call.call_id)
        assert (event["impu"], event["why"]) == (stage.aor, warning_of(refused))

    @pytest.mark.parametrize(
        "target", ["tel:+15550100", f"sip:+15550100@{REALM};user=phone", f"sip:mmtel@conf-factory.{REALM}"]
    )
    async def test_others_are_called(self, stage: LimitedStage, target: str) -> None:
        page = await stage.own_page()
        call = await page.invite(target, AUDIO)
        await call.wait_answer()
        both = Call(call, await stage.core.wait_call())
        await both.ims.wait_ack()
        await both.hang_up()

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            ("sip:bob@elsewhere.example", "calls to this domain are not allowed here"),
            ("sip:bob@192.0.2.7", "calls to this domain are not allowed here"),
            (f"sip:bob@{REALM}.evil.example", "calls to this domain are not allowed here"),
            (f"sip:bob@{REALM};maddr=192.0.2.7", "whom this calls cannot be told: maddr"),
        ],
    )
    async def test_the_core_is_made_to_speak_with_no_stranger(
        self, stage: LimitedStage, target: str, why: str
    ) -> None:
        page = await stage.own_page()
        call = await page.invite(target, AUDIO)
        refused = await final_status(call)
        assert (refused.status, warning_of(refused).partition(" sends")[0]) == (403, why)
        assert not stage.core_knows(call.call_id)


@pytest.mark.parametrize("target", ["tel:+1-900-555-1234", "sip:bob@192.0.2.7"])
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "PUBLISH", "REFER"])
async def test_messages_and_the_like_go_to_nobody_else_either(
    stage: LimitedStage, method: str, target: str
) -> None:
    page = await stage.own_page()
    response = await page.request(method, target, headers=[("Refer-To", f"<sip:bob@{REALM}>")])
    assert (response.status, response.reason_phrase) == (403, "Forbidden")
    assert not stage.core_knows(response.call_id)


class TestRefer:
    """A page cannot have somebody else call whom it may not."""

    @pytest.mark.parametrize(
        ("name", "value", "status"),
        [
            ("Refer-To", "<tel:+1-900-5551234>", 403),
            ("r", "<tel:+1-900-5551234>", 403),
            ("refer-to", f"<sip:%2B19005551234@{REALM};user=phone>", 403),
            ("Refer-To", f"<sip:carol@{REALM}>, <tel:+19005551234>", 400),
            ("Refer-To", f"<sip:carol@{REALM}>\r\nRefer-To: <tel:+19005551234>", 400),
            ("Refer-To", f"<sip:carol@{REALM}>\r\nr: <tel:+19005551234>", 400),
            ("Refer-To", "\r\n <tel:+19005551234>", 403),
            ("Subject", "no target", 400),
            ("Refer-To", f"<sip:carol@{REALM}?Replaces=x>", 200),
        ],
    )
    async def test_inside_a_call(self, stage: LimitedStage, name: str, value: str, status: int) -> None:
        call = await stage.answered(await stage.own_page())
        refer: SipRequest = call.wic.request("REFER", headers=[(name, value)])
        assert (await call.wic.ask(refer)).status == status
        heard = [r for r in stage.core.trace.requests("REFER") if r.call_id == call.call_id]
        assert len(heard) == (status == 200)
        await call.hang_up()


class TestRemoved:
    """A conference that hangs up on somebody calls nobody, whoever that is (TS 24.147 §5.3.1.5.3)."""

    @pytest.mark.parametrize(
        ("features", "target", "status"),
        [
            pytest.param(";isfocus", "<sip:bob@other.example;method=BYE>", 200, id="of another domain"),
            pytest.param(";isfocus", "<sip:anonymous@anonymous.invalid;method=BYE>", 200, id="anonymous"),
            pytest.param(";isfocus", f"<sip:+19005551234@{REALM};user=phone;method=BYE>", 200, id="number"),
            pytest.param(";isfocus", "<tel:+19005551234;method=BYE>", 403, id="tel has no method"),
            pytest.param(";isfocus", f"<sip:+19005551234@{REALM};method%3DBYE>", 403, id="escaped"),
            pytest.param(
                *(";isfocus", f"<sip:+19005551234;method=BYE?@{REALM};user=phone>", 403), id="of the user"
            ),
            pytest.param(";isfocus", "<sip:bob@other.example;method=INVITE>", 403, id="one who is invited"),
            pytest.param(";isfocus", "<sip:bob@other.example;method=BYE;method=INVITE>", 403, id="both"),
            pytest.param("", "<sip:bob@other.example;method=BYE>", 403, id="by a telephone"),
        ],
    )
    async def test_inside_its_call(
        self, stage: LimitedStage, features: str, target: str, status: int
    ) -> None:
        contact = ("Contact", f"<sip:conf1@conf.{REALM}>{features}")
        stage.core.script = CoreScript((Final(200, DeviceMedia(), headers=(contact,)),))
        page = await stage.own_page()
        wic = await page.invite(f"sip:mmtel@conf-factory.{REALM}", AUDIO)
        await wic.wait_answer()
        await (await stage.core.wait_call()).wait_ack()
        refer = wic.request("REFER", headers=[("Refer-To", target)])
        assert (await wic.ask(refer)).status == status
        heard = [one for one in stage.core.trace.requests("REFER") if one.call_id == wic.call_id]
        assert len(heard) == (status == 200)
        assert (await wic.bye()).status == 200


async def ended_on_both_sides(call: Call | incoming.PageCall, text: str) -> None:
    """Wait for the gateway's two BYEs and look at their reason."""
    for bye in (await call.ims.wait_request("BYE"), await call.wic.wait_request("BYE")):
        assert bye.headers.get("Reason") == f'SIP;cause=403;text="{text}"'


class TestLongestCall:
    """The gateway hangs up when the time is over."""

    TEXT = "longer than a call may be"

    async def test_a_call_of_a_page(self, stage: LimitedStage) -> None:
        call = await stage.answered(await stage.own_page())
        began = time.monotonic()
        await ended_on_both_sides(call, self.TEXT)
        assert LONGEST_CALL_S - 0.5 <= time.monotonic() - began <= LONGEST_CALL_S + BAR_S
        await stage.logged(call.call_id, "event=call_forbidden", "longer than a call may be")
        await stage.told("call_forbidden", call_id=call.call_id, impu=stage.aor, why=self.TEXT)

    async def test_a_call_towards_a_page(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        call = await incoming.answered(stage, page, stage.aor)
        await ended_on_both_sides(call, self.TEXT)

    async def test_a_page_that_lost_its_connection_and_came_back_does_not_gain_time(
        self, stage: LimitedStage
    ) -> None:
        page = await stage.own_page()
        call = await stage.answered(page)
        began = time.monotonic()
        page.lose()
        await page.lost.wait()
        await page.connect()
        assert (await page.register()).status == 200
        await ended_on_both_sides(call, self.TEXT)
        assert time.monotonic() - began <= LONGEST_CALL_S + BAR_S

    async def test_a_call_that_ended_before_is_forgotten(self, stage: LimitedStage) -> None:
        call = await stage.answered(await stage.own_page())
        assert call.call_id in stage.table("lifetime")
        await call.hang_up()
        await stage.soon(lambda: call.call_id not in stage.table("lifetime"), "forgotten")


class TestTheOperator:
    """A command on the stream ends calls within a second."""

    TEXT = "ended by the operator"

    async def test_one_call_by_its_call_id(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        call = await stage.answered(page)
        await asyncio.sleep(1)
        other = await stage.answered(page)
        began = time.monotonic()
        stage.command(type="end_call", call_id=call.call_id)
        await ended_on_both_sides(call, self.TEXT)
        assert time.monotonic() - began <= BAR_S
        assert (await other.wic.info()).status == 200
        await other.hang_up()

    async def test_all_calls_of_an_identity_at_every_stage(self, stage: LimitedStage) -> None:
        page, callee = await stage.own_page(), await stage.own_page()
        answered = await stage.answered(page)
        stage.core.script = rings_for_ever()
        rings = await stage.ringing(page)
        towards = await incoming.answered(stage, callee, stage.aor)
        bystander = await self._bystander(stage)
        began = time.monotonic()
        stage.command(type="end_call", impu=stage.aor.replace("sip:", "SIP:"))
        await ended_on_both_sides(answered, self.TEXT)
        await ended_on_both_sides(towards, self.TEXT)
        refused = await rings.wic.wait_status(403)
        assert warning_of(refused) == self.TEXT
        await rings.ims.wait_request("CANCEL")
        assert time.monotonic() - began <= BAR_S
        assert (await bystander.wic.info()).status == 200
        await bystander.hang_up()

    @staticmethod
    async def _bystander(stage: LimitedStage) -> Call:
        stage.core.script = answers()
        aor = f"sip:bystander-{stage.user}@{REALM}"
        stage.with_nobodys_password(aor)
        return await stage.answered(await stage.own_page(aor=aor))

    async def test_nonsense_ends_nothing(self, stage: LimitedStage) -> None:
        call = await stage.answered(await stage.own_page())
        stage.command(type="end_call")
        stage.command(type="end_call", call_id="", impu="")
        stage.command(type="end_call", call_id="unknown", impu="sip:nobody@ims.test")
        await asyncio.sleep(1)
        assert (await call.wic.info()).status == 200
        await call.hang_up()
