"""Session timers end at the gateway on each side (RFC 4028): with the core it refreshes or waits, with pages it waits.

The lab's sessions last some seconds only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.integration.calls.incoming import answered
from tests.integration.calls.offers import AUDIO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import BOB, LONG_FOR_A_PAGE_S, Call, Stage, gateway_options
from tests.lab.lab import Lab
from tests.peers.core_call import SILENT
from tests.peers.core_script import CoreScript, Final, Provisional
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import SipRequest, SipResponse
from tests.peers.wic import ScriptedWic

pytestmark = [pytest.mark.lab, pytest.mark.conformance("S-37")]

EXPIRES_S = 6
MIN_SE_S = 3
PAGE_EXPIRES_S = 4
SOON_S = 8.0
WE_REFRESH = f"{EXPIRES_S};refresher=uac"
THEY_REFRESH = f"{EXPIRES_S};refresher=uas"
UPDATE_ALLOWED = ("Allow", "INVITE, ACK, BYE, UPDATE")
EXPIRED = "SIP;cause=408;text="


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway whose sessions are short."""
    with Lab(gateway_options(gateway_session_expires_s=EXPIRES_S, gateway_min_se_s=MIN_SE_S)) as lab:
        yield lab


def answer(*headers: tuple[str, str]) -> CoreScript:
    """Ring, then 200 with these header fields."""
    return CoreScript((Provisional(180), Final(200, DeviceMedia(), headers=headers)))


def timer_of(message: SipRequest | SipResponse) -> tuple[str | None, str | None]:
    """Return Session-Expires and Min-SE."""
    return message.headers.get("Session-Expires"), message.headers.get("Min-SE")


async def ended(call: Call) -> None:
    """Both sides get a BYE that says why."""
    for side in (call.ims, call.wic):
        bye = await side.wait_request("BYE", timeout_s=SOON_S)
        assert (bye.headers.get("Reason") or "").startswith(EXPIRED)


class TestTowardsTheCore:
    """Calls of pages: our own session, whatever the page wants."""

    @pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in ("Session-Expires", "x")])
    async def test_the_core_sees_our_session_and_not_the_page_s(self, stage: Stage, name: str) -> None:
        page = await stage.page()
        wic = await page.invite(
            BOB,
            AUDIO_BOTH_WAYS,
            headers=[(name, "90"), ("Min-SE", "77")],
            supported="timer, outbound",
        )
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        assert len(call.ims.invite.headers.all("Session-Expires")) == 1
        assert timer_of(call.ims.invite) == (str(EXPIRES_S), str(MIN_SE_S))
        assert "timer" in call.ims.invite.headers.all("Supported")
        assert timer_of(await wic.wait_status(200)) == ("90;refresher=uac", None)
        await call.hang_up()

    async def test_the_page_hears_nothing_of_the_core_s_session(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", THEY_REFRESH), ("Require", "timer"))
        call = await stage.answered(await stage.page())
        page_hears = await call.wic.wait_status(200)
        assert timer_of(page_hears) == (None, None)
        assert page_hears.headers.get("Require") is None
        await call.hang_up()

    async def test_we_refresh_by_update_again_and_again(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", WE_REFRESH), ("Require", "timer"), UPDATE_ALLOWED)
        call = await stage.answered(await stage.page())
        call.ims.reply_headers["UPDATE"] = [("Session-Expires", WE_REFRESH)]
        for count in (1, 2):
            refresh = await call.ims.wait_request("UPDATE", count=count, timeout_s=SOON_S)
            assert (timer_of(refresh)[0], refresh.has_sdp) == (WE_REFRESH, False)
        assert (await call.wic.info()).status == 200  # numbers go on rising
        await call.hang_up()
        assert call.wic.ladder().count("<- UPDATE") == 0

    async def test_we_refresh_by_reinvite_where_there_is_no_update(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", WE_REFRESH), ("Require", "timer"))
        call = await stage.answered(await stage.page())
        call.ims.reply_headers["INVITE"] = [("Session-Expires", WE_REFRESH)]
        refresh = await call.ims.wait_request("INVITE", count=2, timeout_s=SOON_S)
        assert refresh.body == call.ims.invite.body  # nothing changes, not even the version
        ack = await call.ims.wait_request("ACK", count=2)
        assert ack.cseq.number == refresh.cseq.number
        assert ack.headers.all("Route") == call.ims.dialogs["a"].route_set_of_peer
        assert (await call.wic.info()).status == 200
        await call.hang_up()

    @pytest.mark.parametrize("status", [pytest.param(status, id=str(status)) for status in (481, 408)])
    async def test_a_refresh_that_finds_no_call_ends_it(self, stage: Stage, status: int) -> None:
        stage.core.script = answer(("Session-Expires", WE_REFRESH), ("Require", "timer"), UPDATE_ALLOWED)
        call = await stage.answered(await stage.page())
        call.ims.statuses["UPDATE"] = status
        await ended(call)

    async def test_a_far_end_that_answers_late_keeps_the_call(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", WE_REFRESH), ("Require", "timer"), UPDATE_ALLOWED)
        call = await stage.answered(await stage.page())
        call.ims.statuses["UPDATE"] = SILENT
        call.ims.reply_headers["UPDATE"] = [("Session-Expires", WE_REFRESH)]
        refresh = await call.ims.wait_request("UPDATE", timeout_s=SOON_S)
        await asyncio.sleep(LONG_FOR_A_PAGE_S)
        call.ims.statuses.clear()
        call.ims.respond_to(refresh, 200, headers=call.ims.reply_headers["UPDATE"])
        assert (await call.wic.info()).status == 200
        await call.hang_up()

    async def test_a_refused_refresh_is_tried_again(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", WE_REFRESH), ("Require", "timer"), UPDATE_ALLOWED)
        call = await stage.answered(await stage.page())
        call.ims.statuses["UPDATE"] = 500
        call.ims.reply_headers["INVITE"] = [("Session-Expires", WE_REFRESH)]
        await call.ims.wait_request("UPDATE", timeout_s=SOON_S)
        call.ims.statuses.clear()
        again = await call.ims.wait_request(
            "INVITE", count=2, timeout_s=2
        )  # perhaps it takes a description only
        assert again.body == call.ims.invite.body
        await call.hang_up()

    async def test_refreshes_that_are_always_refused_end_the_call(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", WE_REFRESH), ("Require", "timer"), UPDATE_ALLOWED)
        call = await stage.answered(await stage.page())
        call.ims.statuses |= {"UPDATE": 500, "INVITE": 500}
        await ended(call)

    async def test_the_far_end_refreshes_and_the_clock_starts_anew(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", THEY_REFRESH), ("Require", "timer"))
        call = await stage.answered(await stage.page())
        timer = [("Session-Expires", WE_REFRESH), ("Supported", "timer")]  # the sender is uac
        answered_with = await call.ims.ask("UPDATE", headers=timer)
        assert timer_of(answered_with)[0] == WE_REFRESH
        assert answered_with.headers.get("Require") == "timer"
        await ended(call)

    async def test_a_far_end_that_does_not_refresh_is_hung_up(self, stage: Stage) -> None:
        stage.core.script = answer(("Session-Expires", THEY_REFRESH), ("Require", "timer"))
        await ended(await stage.answered(await stage.page()))

    async def test_a_session_that_is_too_short_for_the_core_is_offered_again_once(self, stage: Stage) -> None:
        stage.core.script = CoreScript((Final(422, headers=(("Min-SE", "7200"),)),))
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        first = await stage.core.wait_call()
        stage.core.script = answer(("Session-Expires", "7200;refresher=uas"), ("Require", "timer"))
        second = await stage.core.wait_call()
        assert timer_of(second.invite) == ("7200", "7200")
        assert second.invite.cseq.number == first.invite.cseq.number + 1
        assert second.invite.body == first.invite.body
        response = await wic.wait_answer()
        assert response.cseq.number == wic.invite.cseq.number
        call = Call(wic, second)
        await second.wait_ack()
        ack = await second.wait_request("ACK", count=2)  # the first was for the 422
        assert ack.cseq.number == second.invite.cseq.number
        assert (await wic.info()).status == 200
        assert "<- 422 INVITE" not in wic.ladder()
        await call.hang_up()

    async def test_a_second_422_is_the_page_s_to_hear(self, stage: Stage) -> None:
        stage.core.script = CoreScript((Final(422, headers=(("Min-SE", "7200"),)),))
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        await wic.wait_status(422)


class TestFromTheCore:
    """Calls towards pages."""

    async def test_the_caller_refreshes(self, stage: Stage) -> None:
        call = await answered(
            stage,
            await stage.page(),
            headers=[("Require", "timer"), ("Session-Expires", str(EXPIRES_S))],
        )
        assert timer_of(call.wic.invite) == (None, None)
        assert "timer" not in (call.wic.invite.headers.get("Require") or "")
        response = await call.ims.wait_status(200)
        assert timer_of(response)[0] == WE_REFRESH  # uac is the caller
        assert response.headers.get("Require") == "timer"
        again = await call.ims.ask(
            "UPDATE", headers=[("Session-Expires", WE_REFRESH), ("Supported", "timer")]
        )
        assert timer_of(again)[0] == WE_REFRESH
        await ended(call)  # type: ignore[arg-type]

    async def test_a_caller_may_leave_it_to_us(self, stage: Stage) -> None:
        call = await answered(
            stage,
            await stage.page(),
            headers=[("Require", "timer"), ("Session-Expires", f"{EXPIRES_S};refresher=uas")],
        )
        assert timer_of(await call.ims.wait_status(200))[0] == THEY_REFRESH
        refresh = await call.ims.wait_request("UPDATE", timeout_s=SOON_S)
        assert timer_of(refresh)[0] == WE_REFRESH
        await call.works()
        await call.ims.bye()

    async def test_too_short_a_session_is_refused(self, stage: Stage) -> None:
        page = await stage.page()
        headers = [("Require", "timer"), ("Session-Expires", str(MIN_SE_S - 1))]
        refused = await stage.core.call(page.identity.aor, headers=headers).wait_status(422)
        assert refused.headers.get("Min-SE") == str(MIN_SE_S)
        assert not any("INVITE" in rung for rung in page.trace.ladder())


class TestARefreshWithADescription:
    """It says what was said before: neither relay nor page hear of it."""

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    async def test_by_a_far_end_that_called(self, stage: Stage, method: str) -> None:
        call = await answered(stage, await stage.page(), headers=[("Session-Expires", str(EXPIRES_S))])
        with stage.relay_asleep():
            again = await call.ims.ask(method, sdp=call.ims.invite.body)
        assert (again.status, again.body) == (200, (await call.ims.wait_status(200)).body)
        await call.works()
        await call.ims.bye()
        assert call.wic.ladder().count("<- INVITE (SDP)") == 1

    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INVITE", "UPDATE")])
    async def test_by_a_far_end_that_was_called(self, stage: Stage, method: str) -> None:
        stage.core.script = answer(("Session-Expires", THEY_REFRESH), ("Require", "timer"))
        call = await stage.answered(await stage.page())
        timer = [("Session-Expires", WE_REFRESH), ("Supported", "timer")]  # the sender is uac
        with stage.relay_asleep():
            again = await call.ims.ask(method, headers=timer, sdp=call.ims.said)
        assert (again.status, again.body) == (200, call.ims.invite.body)
        assert timer_of(again)[0] == WE_REFRESH
        await call.hang_up()


class TestWithThePage:
    """JsSIP asks for a session in its INVITE and refreshes it by UPDATE without a description."""

    @staticmethod
    async def call(stage: Stage, page: ScriptedWic) -> Call:
        """Call as JsSIP does."""
        stage.core.script = answer()
        wic = await page.invite(
            BOB,
            AUDIO_BOTH_WAYS,
            headers=[("Session-Expires", str(PAGE_EXPIRES_S))],
            supported="timer,ice,replaces,outbound",
        )
        await wic.wait_answer()
        call = Call(wic, await stage.core.wait_call())
        await call.ims.wait_ack()
        return call

    async def test_its_refresh_is_answered_and_one_that_is_missing_ends_the_call(self, stage: Stage) -> None:
        call = await self.call(stage, await stage.page())
        first = await call.wic.wait_status(200)
        assert timer_of(first)[0] == f"{PAGE_EXPIRES_S};refresher=uac"
        assert first.headers.get("Require") == "timer"
        refresh = call.wic.request(
            "UPDATE",
            headers=[("Session-Expires", f"{PAGE_EXPIRES_S};refresher=uac"), ("Supported", "timer")],
        )
        response = await call.wic.ask(refresh)
        assert timer_of(response)[0] == f"{PAGE_EXPIRES_S};refresher=uac"
        await ended(call)
        assert "<- UPDATE" not in call.ims.ladder()

    async def test_too_short_a_session_is_refused(self, stage: Stage) -> None:
        page = await stage.page()
        wic = await page.invite(
            BOB, AUDIO_BOTH_WAYS, headers=[("Session-Expires", str(MIN_SE_S - 1))], supported="timer"
        )
        assert (await wic.wait_status(422)).headers.get("Min-SE") == str(MIN_SE_S)
