"""The page's WebSocket dies: a set-up ends, a running call waits for its page (docs/flow.md; RFC 5626 §4.4)."""

from __future__ import annotations

import time

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO
from tests.integration.calls.stage import ALICE, BOB, CAROL, FLOW_RECOVERY_S, Call, Stage, until
from tests.peers.call_plan import CallPlan, Hook, Step, drop_socket, reset_socket
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled, answers, rings_for_ever
from tests.peers.device_sdp import DeviceMedia
from tests.peers.websocket import Loss
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

PAGE_GONE = 'SIP;cause=503;text="the page is gone"'
OTHER_CONTACTS = [
    pytest.param(f"{ALICE};gr=urn:uuid:1", id="GRUU"),
    pytest.param("sip:anonymous@anonymous.invalid;transport=ws", id="anonymous"),
]
AT_ONCE_S = 2.0
"""Well before the core's own time to answer is over."""

LOSSES = [
    pytest.param(reset_socket, id="reset"),
    pytest.param(drop_socket, id="closed"),
]


async def gone(stage: Stage, call_id: str) -> None:
    """Wait until the gateway has no record of a call."""
    await until(lambda: not stage.record(call_id), lambda: f"still there: {stage.record(call_id)}", 15)


@pytest.mark.parametrize("lose", LOSSES)
class TestDuringTheSetUp:
    """It ends at once."""

    @pytest.mark.parametrize(
        "step",
        [
            pytest.param(Step.RELIABLE_RECEIVED, id="before the PRACK"),
            pytest.param(Step.PRACK_SENT, id="after the PRACK"),
            pytest.param(Step.UPDATE_RECEIVED, id="during the UPDATE"),
        ],
    )
    async def test_the_core_never_hears_of_it(self, stage: Stage, lose: Hook, step: Step) -> None:
        page = await stage.page()
        call = await page.invite(BOB, AUDIO_AND_VIDEO, plan=CallPlan(hooks={step: lose}))
        noticed = [("event=flow_lost", "state=early")]
        if step is Step.PRACK_SENT:
            # A reset may show first when our UPDATE is sent.
            noticed.append(("event=call_rejected", "our UPDATE to the page ended with 408"))
        await until(
            lambda: any(
                first in line and second in line
                for line in stage.log_lines(call.call_id)
                for first, second in noticed
            ),
            lambda: f"none of {noticed}:\n" + "\n".join(stage.log_lines(call.call_id)),
            AT_ONCE_S,
        )
        await gone(stage, call.call_id)
        assert not stage.core_knows(call.call_id)

    async def test_right_after_the_invite_nothing_is_left(self, stage: Stage, lose: Hook) -> None:
        page = await stage.page()
        call = await page.invite(BOB, AUDIO, plan=CallPlan(hooks={Step.INVITE_SENT: lose}))
        await gone(stage, call.call_id)
        assert not stage.core_knows(call.call_id)

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(rings_for_ever(), id="ringing"),
            pytest.param(
                CoreScript((Provisional(183, True, DeviceMedia()), Provisional(180), UntilCancelled())),
                id="ringing with early media",
            ),
        ],
    )
    async def test_a_callee_that_rings_is_cancelled(
        self, stage: Stage, lose: Hook, script: CoreScript
    ) -> None:
        stage.core.script = script
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, plan=CallPlan(hooks={Step.RINGING_RECEIVED: lose}))
        ims = await stage.core.wait_call()
        cancel = await ims.wait_request("CANCEL", timeout_s=AT_ONCE_S)
        assert cancel.headers.get("Reason") == PAGE_GONE
        await ims.wait_request("ACK")
        assert ims.ladder()[-4:] == ladders.CORE_CANCELLED
        await stage.logged(wic.call_id, "event=flow_lost", "state=early")
        await gone(stage, wic.call_id)

    async def test_a_callee_that_has_not_rung_yet_is_cancelled(self, stage: Stage, lose: Hook) -> None:
        stage.core.script = CoreScript((UntilCancelled(),))
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        await lose(wic)
        await ims.wait_request("CANCEL", timeout_s=AT_ONCE_S)
        await ims.wait_request("ACK")
        await gone(stage, wic.call_id)


class TestDuringTheCall:
    """The page has a while to come back, on another connection, as the same user."""

    @pytest.mark.parametrize("loss", [pytest.param(loss, id=loss.name.lower()) for loss in Loss])
    @pytest.mark.conformance("S-39")
    async def test_a_page_that_stays_away_ends_its_call(self, stage: Stage, loss: Loss) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        lost_at = time.monotonic()
        page.lose(loss)
        bye = await call.ims.wait_request("BYE", timeout_s=FLOW_RECOVERY_S + 10)
        assert time.monotonic() - lost_at >= FLOW_RECOVERY_S
        assert bye.to_tag == call.ims.dialogs["a"].local_tag
        assert bye.headers.get("Reason") == PAGE_GONE
        assert call.ims.ladder()[-2:] == ladders.CORE_HUNG_UP
        await stage.logged(call.call_id, "event=call_ended", "by=flow_lost")

    async def come_back(self, stage: Stage, page: ScriptedWic, call: Call) -> None:
        page.lose(Loss.RESET)
        await page.lost.wait()
        await stage.logged(call.call_id, "event=flow_lost", "state=confirmed")
        await page.connect()
        assert (await page.register()).status == 200

    async def test_a_page_that_comes_back_goes_on(self, stage: Stage) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        await self.come_back(stage, page, call)
        assert (await call.wic.info()).status == 200
        assert (await call.ims.info("text/plain", "welcome back")).status == 200
        await call.hang_up()

    async def test_a_page_that_came_back_keeps_its_call_after_the_time_is_over(self, stage: Stage) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        await self.come_back(stage, page, call)
        assert (await call.wic.info()).status == 200
        await until(
            lambda: call.call_id not in stage.lab.gateway_rpc.htable("away"),
            lambda: "the wake-up stays",
            FLOW_RECOVERY_S + 10,
        )
        assert stage.record(call.call_id)
        assert (await call.ims.info("text/plain", "still there")).status == 200
        await call.hang_up()

    async def test_a_page_that_came_back_and_says_nothing_keeps_its_call_too(self, stage: Stage) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        await self.come_back(stage, page, call)
        await until(
            lambda: call.call_id not in stage.lab.gateway_rpc.htable("away"),
            lambda: "the wake-up stays",
            FLOW_RECOVERY_S + 10,
        )
        assert stage.record(call.call_id)
        assert "<- BYE" not in call.ims.ladder()
        assert (await call.ims.info("text/plain", "are you there?")).status == 200
        await call.hang_up()

    @pytest.mark.conformance("R-48")
    @pytest.mark.parametrize("contact", OTHER_CONTACTS)
    async def test_a_page_is_known_by_what_it_registered_not_by_its_contact_in_the_call(
        self, stage: Stage, contact: str
    ) -> None:
        page = await stage.page()
        page.call_contact = contact
        call = await stage.answered(page)
        await self.come_back(stage, page, call)
        assert (await call.ims.info("text/plain", "welcome back")).status == 200
        asked = (
            f"{page.contact_uri};ob" if "anonymous" in contact else contact
        )  # its own name, as it reads it
        assert page.trace.requests("INFO")[-1].request_uri == asked
        await until(
            lambda: call.call_id not in stage.lab.gateway_rpc.htable("away"),
            lambda: "the wake-up stays",
            FLOW_RECOVERY_S + 10,
        )
        assert stage.record(call.call_id)
        assert (await call.ims.bye()).status == 200
        await call.wic.wait_request("BYE")

    async def test_a_request_for_a_page_that_is_away_is_refused(self, stage: Stage) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        page.lose()
        await stage.logged(call.call_id, "event=flow_lost", "state=confirmed")
        assert (await call.ims.info("text/plain", "hello?")).status == 480
        await call.ims.wait_request("BYE", timeout_s=FLOW_RECOVERY_S + 10)

    async def test_a_core_that_hangs_up_on_a_page_that_is_away_is_answered(self, stage: Stage) -> None:
        page = await stage.page()
        call = await stage.answered(page)
        page.lose()
        await stage.logged(call.call_id, "event=flow_lost")
        assert (await call.ims.bye()).status == 200
        await gone(stage, call.call_id)

    @pytest.mark.parametrize(
        "registered", [pytest.param(True, id="another user"), pytest.param(False, id="nobody")]
    )
    @pytest.mark.parametrize("method", [pytest.param(name, id=name) for name in ("INFO", "BYE", "UPDATE")])
    async def test_somebody_else_cannot_take_the_call(
        self, stage: Stage, registered: bool, method: str
    ) -> None:
        call = await stage.answered(await stage.page(ALICE))
        other = await stage.page(CAROL, registered=registered)
        request = call.wic.request(method)
        await other.send(request)
        response = await other.trace.wait_response(range(200, 700), method, call_id=call.call_id)
        # Who has not registered may be the page that is about to: JsSIP would take 481 for the end of the call.
        assert response.status == (481 if registered or method == "BYE" else 500)
        assert f"<- {method}" not in call.ims.ladder()
        assert (await call.wic.info()).status == 200
        await call.hang_up()

    async def test_a_second_connection_of_the_same_user_may_take_it(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page(ALICE))
        second = await stage.page(ALICE)
        request = call.wic.request("BYE")
        await second.send(request)
        response = await second.trace.wait_response(200, "BYE", call_id=call.call_id)
        assert response.status == 200
        await call.ims.wait_request("BYE")


async def test_the_answer_that_comes_while_the_page_dies_is_ended(stage: Stage) -> None:
    stage.core.script = answers(ring_s=0.1)
    page = await stage.page()
    plan = CallPlan(hooks={Step.ANSWER_RECEIVED: reset_socket})
    wic = await page.invite(BOB, AUDIO, plan=plan)
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_request("BYE", timeout_s=FLOW_RECOVERY_S + 10)
    await gone(stage, call.call_id)
