"""The page gives up before the answer: CANCEL and BYE at every stage of the set-up (RFC 3261 §9, §15)."""

from __future__ import annotations

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.offers import AUDIO, AUDIO_AND_VIDEO
from tests.integration.calls.stage import ALICE, BOB, CAROL, Call, Stage
from tests.peers.call_plan import CallPlan, Step, cancel_and_go_on, cancel_instead, hang_up_instead
from tests.peers.core_script import (
    CoreScript,
    Provisional,
    UntilCancelled,
    crosses_cancel,
    early_media,
    rings_for_ever,
)
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sip import CSeq, Headers, SipRequest
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab

BEFORE_THE_CORE = [
    pytest.param(Step.INVITE_SENT, id="right after the INVITE"),
    pytest.param(Step.RELIABLE_RECEIVED, id="before the PRACK"),
    pytest.param(Step.PRACK_SENT, id="after the PRACK"),
    pytest.param(Step.UPDATE_RECEIVED, id="during the UPDATE"),
]
EARLY_DIALOG = BEFORE_THE_CORE[1:]
KEPT_BY_CANCEL = ("Via", "Max-Forwards", "Route", "From", "To", "Call-ID")


async def check_terminated(call: OutgoingCall, method: str) -> None:
    """See that the page heard 200 to its request and 487 to the INVITE, all with one To-tag."""
    ok = await call.trace.wait_response(range(200, 700), method, call_id=call.call_id)
    assert ok.status == 200
    ladder = call.ladder()
    assert ladder.count("<- 487 INVITE") == 1
    tags = {r.to_tag for r in call.trace.responses("INVITE") if r.status > 100}
    assert len(tags) == 1


class TestBeforeTheCoreKnows:
    """The INVITE is still suspended: it ends here."""

    @pytest.mark.parametrize("step", BEFORE_THE_CORE)
    @pytest.mark.parametrize(
        "offer", [pytest.param(AUDIO, id="audio"), pytest.param(AUDIO_AND_VIDEO, id="audio and video")]
    )
    async def test_a_cancelled_call_never_reaches_the_core(
        self, stage: Stage, step: Step, offer: str
    ) -> None:
        page = await stage.page()
        call = await page.invite(BOB, offer, plan=CallPlan(hooks={step: cancel_instead}))
        await call.wait_status(487)
        await check_terminated(call, "CANCEL")
        await stage.logged(call.call_id, "event=call_cancelled")
        assert not stage.core_knows(call.call_id)

    async def test_the_pages_answer_that_crosses_its_own_cancel_changes_nothing(self, stage: Stage) -> None:
        page = await stage.page()
        plan = CallPlan(hooks={Step.UPDATE_RECEIVED: cancel_and_go_on})
        call = await page.invite(BOB, AUDIO, plan=plan)
        await call.wait_status(487)
        await check_terminated(call, "CANCEL")
        assert "-> 200 UPDATE (SDP)" in call.ladder()
        assert not stage.core_knows(call.call_id)

    @pytest.mark.parametrize("step", EARLY_DIALOG)
    async def test_a_bye_in_the_early_dialog_ends_the_invite_with_487(self, stage: Stage, step: Step) -> None:
        page = await stage.page()
        call = await page.invite(BOB, AUDIO, plan=CallPlan(hooks={step: hang_up_instead}))
        await call.wait_status(487)
        await check_terminated(call, "BYE")
        assert not stage.core_knows(call.call_id)

    async def test_the_same_page_calls_again_at_once(self, stage: Stage) -> None:
        page = await stage.page()
        plan = CallPlan(hooks={Step.RELIABLE_RECEIVED: cancel_instead})
        cancelled = await page.invite(BOB, AUDIO, plan=plan)
        call = await stage.answered(page)
        await cancelled.wait_status(487)
        await call.hang_up()


class TestAfterForwarding:
    """The core has the INVITE: it is cancelled there, without our To-tag (the core checks that)."""

    async def test_before_any_response_but_100(self, stage: Stage) -> None:
        stage.core.script = CoreScript((UntilCancelled(),))
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO)
        ims = await stage.core.wait_call()
        await wic.cancel()
        await wic.wait_status(487)
        await check_terminated(wic, "CANCEL")
        await ims.wait_request("ACK")
        assert ims.ladder() == [*ladders.CORE_CALLED, *ladders.CORE_CANCELLED]

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
    async def test_while_ringing(self, stage: Stage, script: CoreScript) -> None:
        stage.core.script = script
        call = await stage.ringing(await stage.page())
        await call.wic.cancel()
        await call.wic.wait_status(487)
        await check_terminated(call.wic, "CANCEL")
        await call.ims.wait_request("ACK")
        assert call.ims.ladder()[-4:] == ladders.CORE_CANCELLED

    async def test_an_answer_that_crosses_the_cancel_is_the_pages_to_end(self, stage: Stage) -> None:
        stage.core.script = crosses_cancel()
        page = await stage.page()
        plan = CallPlan(hooks={Step.RINGING_RECEIVED: cancel_and_go_on})
        call = await stage.answered(page, AUDIO, plan)
        await call.hang_up()
        assert call.wic.ladder() == [
            *ladders.SET_UP,
            "<- 180 INVITE",
            "-> CANCEL",
            "<- 200 CANCEL",
            *ladders.ANSWERED,
            *ladders.HUNG_UP,
        ]
        assert call.ims.ladder() == [
            *ladders.CORE_CALLED,
            "-> 180 INVITE",
            "<- CANCEL",
            "-> 200 CANCEL",
            *ladders.CORE_ANSWERED,
            *ladders.CORE_HUNG_UP,
        ]

    async def test_a_bye_in_the_early_dialog_cancels_at_the_core(self, stage: Stage) -> None:
        stage.core.script = rings_for_ever()
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, plan=CallPlan(hooks={Step.RINGING_RECEIVED: hang_up_instead}))
        call = Call(wic, await stage.core.wait_call())
        await wic.wait_status(487, timeout_s=2)  # well before nobody answers in time
        await check_terminated(wic, "BYE")
        await call.ims.wait_request("ACK")
        assert call.ims.ladder()[-4:] == ladders.CORE_CANCELLED

    @pytest.mark.parametrize(
        "registered", [pytest.param(True, id="another user"), pytest.param(False, id="nobody")]
    )
    async def test_nobody_else_cancels_who_knows_all_of_the_invite(
        self, stage: Stage, registered: bool
    ) -> None:
        stage.core.script = rings_for_ever()
        call = await stage.ringing(await stage.page(ALICE))
        other = await stage.page(CAROL, registered=registered)
        invite = call.wic.invite
        kept = [(name, value) for name, value in invite.headers if name in KEPT_BY_CANCEL]
        fields = Headers([*kept, ("CSeq", str(CSeq(invite.cseq.number, "CANCEL")))])
        await other.send(SipRequest("CANCEL", invite.request_uri, headers=fields))
        response = await other.trace.wait_response(range(200, 700), "CANCEL", call_id=call.call_id)
        assert response.status == 481
        assert stage.record(call.call_id)
        await call.wic.cancel()
        await call.wic.wait_status(487)
        await check_terminated(call.wic, "CANCEL")

    async def test_a_cancel_after_the_answer_does_nothing(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        await call.wic.cancel()
        await call.wic.trace.wait_response(range(200, 700), "CANCEL", call_id=call.call_id)
        assert (await call.wic.info()).status == 200
        await call.hang_up()
        assert "<- CANCEL" not in call.ims.ladder()

    async def test_a_cancel_during_the_correction_of_video(self, stage: Stage) -> None:
        stage.core.script = early_media(DeviceMedia(video="VP8"), ring_s=3)
        call = await stage.ringing(await stage.page(), AUDIO_AND_VIDEO)
        await call.wic.cancel()
        await call.wic.wait_status(487)
        await check_terminated(call.wic, "CANCEL")
