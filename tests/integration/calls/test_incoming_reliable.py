"""A page without reliable provisional responses is called by a core that has them (RFC 3262 §3)."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.stage import ALICE, PRACK_TIMEOUT_S, Stage, until
from tests.peers.calling_device import CallingDevice
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.sdp import sdp_from_text
from tests.peers.sip import SipResponse
from tests.peers.trace import Direction

pytestmark = [pytest.mark.lab, pytest.mark.conformance("S-32")]

REQUIRED = (("Require", "100rel"),)
SOON_S = 2.0
MOMENT_S = 0.2


async def called(stage: Stage, *, required: bool = False, pracks: bool = True) -> PageCall:
    """Call a page that has answered nothing yet."""
    page = await stage.page()
    ims = stage.core.call(ALICE, headers=REQUIRED if required else ())
    ims.pracks = pracks
    return PageCall(await page.wait_incoming(), ims)


async def describe(call: PageCall, status: int = 183) -> str:
    """Let the page answer in a 18x and return what it said."""
    answer = await call.wic.media.answer_offer(call.wic.invite.body)
    await call.wic.respond(status, sdp=answer)
    return answer


def heard(ims: CallingDevice, status: int) -> list[SipResponse]:
    """Return the core's responses of a status to its INVITE, every repetition."""
    return [
        entry.message
        for entry in ims.trace.entries
        if entry.direction is Direction.RECEIVED
        and isinstance(entry.message, SipResponse)
        and (entry.message.call_id, entry.message.status, entry.message.cseq.method)
        == (ims.call_id, status, "INVITE")
    ]


async def test_its_early_answer_is_sent_reliably_and_only_there(stage: Stage) -> None:
    call = await called(stage)
    await describe(call)
    early = await call.ims.wait_status(183)
    assert (early.rseq, early.is_reliable, early.has_sdp) == (1, True, True)
    prack = await call.ims.trace.wait_response(200, "PRACK", call_id=call.call_id)
    assert not prack.has_sdp
    await call.wic.respond(180)
    assert not (await call.ims.wait_status(180)).is_reliable
    await call.wic.respond(200, sdp=await call.wic.media.answer_offer(call.wic.invite.body))
    answer = await call.ims.wait_status(200)
    assert not answer.has_sdp  # the exchange was over with the PRACK (RFC 6337 §3.1.1)
    await call.wic.wait_request("ACK")
    await call.works()
    assert "<- PRACK" not in call.wic.ladder()
    await call.ims.bye()


async def test_ringing_is_reliable_where_the_core_insists(stage: Stage) -> None:
    call = await called(stage, required=True)
    for status, rseq in ((180, 1), (182, 2)):
        await call.wic.respond(status)
        response = await call.ims.wait_status(status)
        assert (response.is_reliable, response.rseq) == (True, rseq)
        await call.ims.trace.wait_response(200, "PRACK", call_id=call.call_id, count=rseq)
    await call.wic.answer()
    assert (await call.ims.wait_status(200)).has_sdp
    await call.works()
    await call.ims.bye()


async def test_repeated_until_its_prack(stage: Stage) -> None:
    call = await called(stage, pracks=False)
    await describe(call)
    await until(lambda: len(heard(call.ims, 183)) == 3, lambda: str(call.ims.ladder()), SOON_S)
    first, *others = heard(call.ims, 183)
    for again in others:
        assert (again.rseq, again.body, again.to_tag) == (first.rseq, first.body, first.to_tag)
    assert (await call.ims.prack(first)).status == 200
    await asyncio.sleep(PRACK_TIMEOUT_S)
    assert len(heard(call.ims, 183)) == 3
    await call.wic.answer()
    await call.works()
    await call.ims.bye()


@pytest.mark.parametrize(
    "required", [pytest.param(True, id="ringing"), pytest.param(False, id="early answer")]
)
async def test_a_call_whose_prack_never_comes_is_refused_on_both_sides(stage: Stage, required: bool) -> None:
    call = await called(stage, required=required, pracks=False)
    if required:
        await call.wic.ring()
    else:
        await describe(call)
    assert (await call.ims.wait_status(504)).status == 504
    await call.wic.wait_request("CANCEL")


async def test_one_at_a_time(stage: Stage) -> None:
    call = await called(stage, required=True, pracks=False)
    for status in (180, 181, 182):
        await call.wic.respond(status)
    ringing = await call.ims.wait_status(180)
    await asyncio.sleep(MOMENT_S)
    assert not heard(call.ims, 181) + heard(call.ims, 182)
    await call.ims.prack(ringing)
    newest = await call.ims.wait_status(182)
    assert newest.rseq == 2
    assert not heard(call.ims, 181)
    await call.ims.prack(newest)
    await call.wic.answer()
    await call.works()
    await call.ims.bye()


async def test_the_answer_waits_for_the_prack_of_its_description(stage: Stage) -> None:
    call = await called(stage, pracks=False)
    answer = await describe(call)
    early = await call.ims.wait_status(183)
    await call.wic.respond(200, sdp=answer)
    await asyncio.sleep(MOMENT_S)
    assert not heard(call.ims, 200)
    await call.ims.prack(early)
    assert not (await call.ims.wait_status(200)).has_sdp
    await call.wic.wait_request("ACK")
    await call.works()
    await call.ims.bye()


async def test_an_answer_that_waits_in_vain_is_ended_at_the_page(stage: Stage) -> None:
    call = await called(stage, pracks=False)
    answer = await describe(call)
    await call.ims.wait_status(183)
    await call.wic.respond(200, sdp=answer)
    await call.ims.wait_status(504)
    bye = await call.wic.wait_request("BYE")
    assert (bye.headers.get("Reason") or "").startswith("SIP;cause=504")
    assert call.wic.ladder().index("<- ACK") < call.wic.ladder().index("<- BYE")


async def test_the_answer_does_not_wait_for_ringing(stage: Stage) -> None:
    call = await called(stage, required=True, pracks=False)
    await call.wic.ring()
    ringing = await call.ims.wait_status(180)
    await call.wic.answer()
    assert (await call.ims.wait_status(200)).has_sdp
    repeated = len(heard(call.ims, 180))
    assert (await call.ims.prack(ringing)).status == 200  # late, and still taken
    await asyncio.sleep(1.0)
    assert len(heard(call.ims, 180)) == repeated
    await call.works()
    await call.ims.bye()


async def test_a_prack_for_nothing_is_481_and_one_with_an_offer_is_answered(stage: Stage) -> None:
    call = await called(stage, pracks=False)
    await describe(call)
    early = await call.ims.wait_status(183)
    for rack in ("9 1 INVITE", "1 9 INVITE", "1 1 UPDATE", "rubbish"):
        assert (await call.ims.prack(early, rack=rack)).status == 481
    answered = await call.ims.prack(early, sdp=device_offer(DeviceMedia(audio="PCMU", version=2)))
    assert (answered.status, answered.has_sdp) == (200, True)  # RFC 3262 §5
    (audio,) = sdp_from_text(answered.body).media
    assert audio.formats[0] == "0"
    assert (await call.ims.prack(early)).status == 481
    await call.wic.answer()
    await call.works()
    await call.ims.bye()


async def test_the_page_s_own_reliable_responses_pass_under_our_numbers(stage: Stage) -> None:
    call = await called(stage, required=True)
    await call.wic.ring()
    await call.ims.trace.wait_response(200, "PRACK", call_id=call.call_id)
    answer = await call.wic.media.answer_offer(call.wic.invite.body)
    await call.wic.respond(183, sdp=answer, headers=[("Require", "100rel"), ("RSeq", "77")])
    early = await call.ims.wait_status(183)
    assert (early.rseq, early.has_sdp) == (2, True)
    prack = await call.wic.wait_request("PRACK")
    assert prack.headers.get("RAck") == "77 1 INVITE"
    await call.wic.respond(200)
    assert not (await call.ims.wait_status(200)).has_sdp
    await call.works()
    await call.ims.bye()
