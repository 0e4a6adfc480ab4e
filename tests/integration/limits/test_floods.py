"""A page that asks for too much gets 503 with Retry-After, the core hears nothing of it, and others notice nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import BOB, warning_of
from tests.integration.limits.limited import (
    ADDRESS,
    BURST_S,
    CALLS,
    CONNECTION,
    IDENTITY,
    LimitedStage,
    final_status,
)
from tests.peers.core_script import answers, rejects, rings_for_ever
from tests.peers.sip import CSeq, SipRequest
from tests.peers.wic import ScriptedWic

pytestmark = [pytest.mark.lab, pytest.mark.conformance("X-10")]

FLOOD = 60


def at_once(kind: str) -> int:
    """Return how many requests of one connection pass at once."""
    return int(CONNECTION[kind] * BURST_S)


class TestRegister:
    """A loop that registers again and again."""

    async def test_the_core_gets_what_is_allowed_and_the_page_is_told_when_to_come_back(
        self, stage: LimitedStage
    ) -> None:
        page = await stage.own_page(registered=False)
        began = time.monotonic()
        requests = stage.registers(page, FLOOD)
        statuses = await stage.flood(page, requests)
        allowed = at_once("register") + CONNECTION["register"] * (time.monotonic() - began) + 1
        assert at_once("register") <= statuses.count(200) <= allowed
        assert set(statuses) == {200, 503}
        heard = [
            r
            for r in stage.core.trace.requests("REGISTER")
            if page.contact_uri in str(r.headers.get("Contact"))
        ]
        assert len(heard) == statuses.count(200)
        refused = await stage.answer_to(page, requests[-1])
        assert refused.headers.get("Retry-After") == "1"
        assert "too many requests" in warning_of(refused)
        await asyncio.sleep(1.2)
        assert (await page.register()).status == 200

    async def test_one_line_tells_of_it(self, stage: LimitedStage) -> None:
        page = await stage.own_page(registered=False)
        before = stage.count_lines("event=limit_reached")
        requests = stage.registers(page, FLOOD)
        await stage.flood(page, requests)
        assert stage.count_lines("event=limit_reached") == before + 1
        assert stage.count_lines("event=request_rejected", requests[0].call_id) == 0

    async def test_others_behind_other_addresses_notice_nothing(self, stage: LimitedStage) -> None:
        page = await stage.own_page(registered=False)
        other = await stage.own_page(address=stage.new_address(), aor="sip:bystander@ims.test")
        await asyncio.gather(stage.flood(page, stage.registers(page, FLOOD)), self._lives_on(other))

    @staticmethod
    async def _lives_on(page: ScriptedWic) -> None:
        for _ in range(3):
            assert (await page.register()).status == 200
            await asyncio.sleep(0.1)

    async def test_many_connections_of_one_address_share(self, stage: LimitedStage) -> None:
        pages = [await stage.own_page(registered=False, aor=f"sip:u{n}@ims.test") for n in range(5)]
        statuses, began = [], time.monotonic()
        for page in pages:
            statuses += await stage.flood(page, stage.registers(page, 3))
        at_most = ADDRESS["register"] * (BURST_S + time.monotonic() - began) + 1
        assert ADDRESS["register"] * BURST_S <= statuses.count(200) <= at_most
        assert statuses.count(503) == len(statuses) - statuses.count(200)
        elsewhere = await stage.own_page(registered=False, address=stage.new_address())
        assert (await elsewhere.register()).status == 200


class TestInvite:
    """A page that dials and dials."""

    async def test_those_of_one_connection(self, stage: LimitedStage) -> None:
        stage.core.script = rejects(486, ringing=False)
        page = await stage.own_page()
        calls = [await page.invite(BOB, AUDIO) for _ in range(12)]
        statuses = [(await final_status(call)).status for call in calls]
        assert statuses[: at_once("invite")] == [486] * at_once("invite")
        assert 503 in statuses
        reached = [call for call in calls if stage.core_knows(call.call_id)]
        assert len(reached) == statuses.count(486)

    async def test_those_of_one_user_over_several_connections(self, stage: LimitedStage) -> None:
        stage.core.script = rejects(486, ringing=False)
        pages = [await stage.own_page(address=stage.new_address()) for _ in range(6)]
        began = time.monotonic()
        calls = [await page.invite(BOB, AUDIO) for page in pages]
        answered = [await final_status(call) for call in calls]
        statuses = [response.status for response in answered]
        at_most = IDENTITY["invite"] * (BURST_S + time.monotonic() - began) + 1
        assert IDENTITY["invite"] * BURST_S <= statuses.count(486) <= at_most
        refused = next(response for response in answered if response.status == 503)
        assert "identity" in warning_of(refused)
        assert refused.headers.get("Retry-After") == "1"


class TestCallsAtOnce:
    """A user may have so many calls, over whatever connections."""

    async def test_the_next_one_is_refused_until_another_ends(self, stage: LimitedStage) -> None:
        stage.core.script = rings_for_ever()
        page, other = await stage.own_page(), await stage.own_page()
        calls = []
        for one in (page, other, page):
            calls.append(await one.invite(BOB, AUDIO))
            await calls[-1].wait_status(180)
            await asyncio.sleep(0.8)
        one_more = await page.invite(BOB, AUDIO)
        refused = await final_status(one_more)
        assert refused.status == 403
        assert warning_of(refused) == f"no more than {CALLS} calls at once are allowed"
        assert refused.headers.get("Retry-After") is None
        assert not stage.core_knows(one_more.call_id)
        await stage.logged(one_more.call_id, "event=request_rejected", "status=403")
        assert (await stage.told("call_refused", impu=stage.aor))["why"] == "too many calls at once"
        await calls[0].cancel()
        await calls[0].wait_status(487)
        await asyncio.sleep(1)
        again = await page.invite(BOB, AUDIO)
        await again.wait_status(180)
        for call in (*calls[1:], again):
            await call.cancel()
            await call.wait_status(487)

    async def test_calls_that_were_refused_are_none(self, stage: LimitedStage) -> None:
        stage.core.script = rejects(486, ringing=False)
        page = await stage.own_page()
        for _ in range(CALLS + 2):
            assert (await final_status(await page.invite(BOB, AUDIO))).status == 486
            await asyncio.sleep(1.1)


class TestInsideACall:
    """INFO, UPDATE, re-INVITE."""

    @pytest.mark.parametrize("method", ["INFO", "UPDATE", "OPTIONS"])
    async def test_a_flood_ends_and_the_call_does_not(self, stage: LimitedStage, method: str) -> None:
        stage.core.script = answers()
        page = await stage.own_page()
        call = await stage.answered(page)
        requests = [call.wic.request(method) for _ in range(FLOOD)]
        statuses = await stage.flood(page, requests)
        assert set(statuses) == {200, 503}
        assert statuses.count(200) <= at_once("in_call") + 5
        heard = [r for r in stage.core.trace.requests(method) if r.call_id == call.call_id]
        assert len(heard) == (statuses.count(200) if method != "UPDATE" else 0)
        await call.hang_up()  # a BYE always passes

    async def test_a_flood_of_offers_is_not_even_read(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        call = await stage.answered(page)
        requests = [call.wic.request("INVITE", sdp=AUDIO) for _ in range(FLOOD)]
        statuses = await stage.flood(page, requests)
        assert set(statuses) == {400, 503}  # the call has a line more
        assert statuses.count(488) <= at_once("in_call") + 5
        await call.hang_up()

    async def test_another_pages_call_is_not_touched(self, stage: LimitedStage) -> None:
        page, other = await stage.own_page(), await stage.own_page()
        call, its = await stage.answered(page), await stage.answered(other)
        await stage.flood(page, [call.wic.request("INFO") for _ in range(FLOOD)])
        assert (await its.wic.info()).status == 200
        await call.hang_up()
        await its.hang_up()

    async def test_cancel_passes_whatever_came_before(self, stage: LimitedStage) -> None:
        stage.core.script = rings_for_ever()
        page = await stage.own_page()
        call = await page.invite(BOB, AUDIO)
        await call.wait_status(180)
        await stage.flood(page, stage.outside(page, "OPTIONS", FLOOD))
        await stage.flood(page, stage.registers(page, FLOOD))
        await call.cancel()
        await call.wait_status(487)


class TestOthers:
    """Whatever else there is."""

    @pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("MESSAGE", 200), ("NEWFANGLED", 405)])
    async def test_requests_outside_a_call(self, stage: LimitedStage, method: str, status: int) -> None:
        page = await stage.own_page()
        statuses = await stage.flood(page, stage.outside(page, method, FLOOD))
        assert set(statuses) == {status, 503}
        assert at_once("other") <= statuses.count(status) <= at_once("other") + 3

    async def test_a_made_up_dialog_is_no_way_round(self, stage: LimitedStage) -> None:
        page = await stage.own_page()
        requests: list[SipRequest] = stage.outside(page, "INFO", FLOOD)
        for number, request in enumerate(requests):
            request.headers.replace("To", "<sip:x@ims.test>;tag=none")
            request.headers.replace("CSeq", str(CSeq(number + 1, "INFO")))
        statuses = await stage.flood(page, requests)
        assert set(statuses) == {481, 503}
