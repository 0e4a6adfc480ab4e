"""The page answers our UPDATE with anything but a good 200: the call ends, or is tried again (docs/flow.md)."""

from __future__ import annotations

import pytest

from tests.integration.calls import ladders
from tests.integration.calls.offers import AUDIO, with_replaced
from tests.integration.calls.stage import BOB, UPDATE_TIMEOUT_S, Stage, warning_of
from tests.peers.call_plan import ANSWERED, IGNORED, CallPlan, OfferReply, refused
from tests.peers.sdp import sdp_from_text
from tests.peers.sip import SipResponse
from tests.peers.wic_call import OutgoingCall

pytestmark = pytest.mark.lab


async def ended(
    stage: Stage, *replies: OfferReply, timeout_s: float = 30.0
) -> tuple[OutgoingCall, SipResponse]:
    """Call with this plan and return the call and the INVITE's failure; the core must not hear of it."""
    page = await stage.page()
    call = await page.invite(BOB, AUDIO, plan=CallPlan(offer_replies=replies))
    final = await call.wait_status(range(200, 700), timeout_s=timeout_s)
    assert final.status >= 300, call.ladder()
    assert final.to_tag == (await call.wait_status(183)).to_tag
    assert not stage.core_knows(call.call_id)
    return call, final


class TestRefused:
    """The call ends with what the caller should hear."""

    @pytest.mark.parametrize(
        ("status", "status_of_invite"),
        [
            pytest.param(488, 488, id="488"),
            pytest.param(606, 488, id="606"),
            pytest.param(415, 488, id="415"),
            pytest.param(403, 488, id="403"),
            pytest.param(481, 481, id="481"),
            pytest.param(501, 500, id="501"),
            pytest.param(408, 504, id="408"),
        ],
    )
    async def test_for_good_it_ends_the_call(self, stage: Stage, status: int, status_of_invite: int) -> None:
        call, final = await ended(stage, refused(status))
        assert final.status == status_of_invite
        assert f"UPDATE to the page ended with {status}" in warning_of(final)
        assert call.ladder().count("<- UPDATE (SDP)") == 1
        await stage.logged(call.call_id, f"UPDATE to the page ended with {status}")

    async def test_without_an_answer_in_its_200_it_ends_the_call(self, stage: Stage) -> None:
        call, final = await ended(stage, OfferReply(200, sdp=""))
        assert final.status == 488
        assert "without a session description" in warning_of(final)
        await stage.logged(call.call_id, "without a session description")

    @pytest.mark.parametrize(
        "sdp",
        [
            pytest.param("hello\r\n", id="no description"),
            pytest.param(AUDIO, id="an answer to something else"),
            pytest.param(with_replaced(AUDIO, "^m=audio", "m=image"), id="another medium"),
        ],
    )
    async def test_with_a_broken_answer_it_ends_the_call(self, stage: Stage, sdp: str) -> None:
        call, final = await ended(stage, OfferReply(200, sdp=sdp))
        assert final.status == 488
        assert warning_of(final)
        await stage.logged(call.call_id, warning_of(final)[:30])

    async def test_never_answered_it_ends_the_call(self, stage: Stage) -> None:
        call, final = await ended(stage, IGNORED, timeout_s=UPDATE_TIMEOUT_S + 10)
        assert final.status == 504
        assert "UPDATE" in warning_of(final)
        await stage.logged(call.call_id, "UPDATE to the page ended with 408")


class TestTriedAgain:
    """RFC 3311 §5.3: 491 and 500 mean "not now"."""

    @pytest.mark.parametrize(
        "first",
        [
            pytest.param((refused(491),), id="491"),
            pytest.param((refused(500, ("Retry-After", "1")),), id="500 with Retry-After"),
            pytest.param((refused(500, ("Retry-After", "0")),), id="500 with Retry-After 0"),
            pytest.param((refused(491), refused(500)), id="491 and 500"),
        ],
    )
    async def test_the_call_goes_on_when_the_page_takes_it_later(
        self, stage: Stage, first: tuple[OfferReply, ...]
    ) -> None:
        page = await stage.page()
        wic = await page.invite(BOB, AUDIO, plan=CallPlan(offer_replies=(*first, ANSWERED)))
        await wic.wait_answer(timeout_s=30)
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        updates = page.trace.requests("UPDATE")
        assert [update.cseq.number for update in updates] == list(range(1, len(first) + 2))
        assert len({update.body for update in updates}) == 1
        assert (await wic.info()).status == 200
        assert (await ims.info("text/plain", "numbers still rise")).status == 200
        assert (await wic.bye()).status == 200

    async def test_retry_after_is_kept(self, stage: Stage) -> None:
        page = await stage.page()
        plan = CallPlan(offer_replies=(refused(500, ("Retry-After", "1 (busy)")), ANSWERED))
        wic = await page.invite(BOB, AUDIO, plan=plan)
        await wic.wait_answer(timeout_s=30)
        times = [e.at_s for e in page.trace.entries if e.label == "<- UPDATE (SDP)"]
        assert times[1] - times[0] >= 0.95
        ims = await stage.core.wait_call()
        await ims.wait_ack()
        assert (await wic.bye()).status == 200

    @pytest.mark.parametrize("status", [pytest.param(491, id="491"), pytest.param(500, id="500")])
    async def test_after_the_third_time_the_call_ends(self, stage: Stage, status: int) -> None:
        call, final = await ended(stage, refused(status))
        assert final.status == 500
        assert f"UPDATE to the page ended with {status}" in warning_of(final)
        assert call.ladder().count("<- UPDATE (SDP)") == 3
        await stage.logged(call.call_id, f"UPDATE to the page ended with {status}")


async def test_a_page_that_refuses_only_the_added_line_is_connected_one_way(stage: Stage) -> None:
    page = await stage.page()
    one_way = with_replaced(AUDIO, "^a=setup:actpass", "a=setup:active")
    added = sdp_from_text(one_way).section("audio").lines[0].replace("m=audio", "", 1).split()
    answer = one_way + f"m=audio 0 {' '.join(added[1:])}\r\na=mid:r0\r\n"
    wic = await page.invite(BOB, AUDIO, plan=CallPlan(offer_replies=(OfferReply(200, sdp=answer),)))
    await wic.wait_answer()
    ims = await stage.core.wait_call()
    await ims.wait_ack()
    assert (await wic.bye()).status == 200
    assert wic.ladder()[: len(ladders.SET_UP)] == ladders.SET_UP
