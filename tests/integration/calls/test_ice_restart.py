"""A page loses its connection in a call and comes back, perhaps over another network: ICE begins anew by our offer."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from kemi.core.sdp.model import SessionDescription
from kemi.core.sdp.text import sdp_from_text
from tests.integration.calls.incoming import PageCall, ringing
from tests.integration.calls.stage import Call, Stage
from tests.integration.calls.test_page_offers import NEW_ICE, local
from tests.peers.call_plan import CallPlan, OfferReply, refused
from tests.peers.sdp import offer_again
from tests.peers.websocket import Loss, PageSocket
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

WITHIN_S: Final = 4.0
WAIT_S: Final = 1.0
"""As the role has it."""
MANY: Final = 40
"""Four times as many as housekeeping takes for single losses (``MOST_ALONE``)."""


async def come_back(stage: Stage, page: ScriptedWic, call: Call | PageCall) -> None:
    """The page's socket dies, and it registers over another one."""
    page.lose(Loss.RESET)
    await page.lost.wait()
    await stage.logged(call.wic.call_id, "event=flow_lost", "state=confirmed")
    await page.connect()
    assert (await page.register()).status == 200


def offers(call: Call | PageCall) -> list[SessionDescription]:
    """Return what the gateway has offered the page in this call by a request, in order."""
    requests = (*call.wic.trace.requests("INVITE"), *call.wic.trace.requests("UPDATE"))
    found = (one for one in requests if one.call_id == call.wic.call_id and one.has_sdp)
    return [sdp_from_text(one.body) for one in sorted(found, key=lambda one: one.cseq.number)]


async def offered(call: Call | PageCall, before: int) -> SessionDescription:
    """Wait for another offer to the page."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while len(offers(call)) <= before:
        assert asyncio.get_running_loop().time() < deadline, "the page is offered nothing"
        await asyncio.sleep(0.05)
    return offers(call)[-1]


def ice(description: SessionDescription) -> set[str | None]:
    """Return the user fragments of its lines."""
    return {line.ice_ufrag for line in description.media if not line.rejected}


async def test_a_page_that_called_is_offered_a_restart(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    before, heard = offers(call), len(call.ims.ladder())
    await come_back(stage, page, call)
    offer = await offered(call, len(before))
    assert ice(offer).isdisjoint(ice(before[-1]))
    assert [line.direction for line in offer.media] == [line.direction for line in before[-1].media]
    assert [line.port for line in offer.media] == [line.port for line in before[-1].media]
    await stage.logged(call.call_id, "event=ice_restarted")
    assert len(call.ims.ladder()) == heard, "the core is told nothing"
    assert (await call.wic.info()).status == 200
    await call.hang_up()


async def test_a_page_that_was_called_is_offered_a_restart(stage: Stage) -> None:
    page = await stage.page()
    call = await ringing(stage, page)
    await call.wic.answer()
    await call.works()
    before = offers(call)
    await come_back(stage, page, call)
    assert ice(await offered(call, len(before))).isdisjoint(ice(before[-1]))
    await stage.logged(call.wic.call_id, "event=ice_restarted")
    await call.works()
    assert (await call.ims.bye()).status == 200


async def test_a_page_that_restarts_ice_itself_is_left_alone(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    before = len(offers(call))
    await come_back(stage, page, call)
    own = offer_again(local(call), ice="fresh")
    assert (await call.wic.reinvite(own)).status == 200
    await asyncio.sleep(2 * WAIT_S)
    assert len(offers(call)) == before
    await call.hang_up()


async def test_a_page_whose_own_restart_met_a_relay_that_slept_is_offered_one(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    before = offers(call)
    with stage.relay_asleep():
        assert (await call.wic.reinvite(offer_again(local(call), ice=NEW_ICE))).status == 503
    await stage.logged(call.call_id, "event=relay_told")
    offer = await offered(call, len(before))
    assert ice(offer).isdisjoint(ice(before[-1]))
    await stage.logged(call.call_id, "event=ice_restarted")
    assert (await call.wic.info()).status == 200
    await call.hang_up()


async def test_a_page_that_refuses_has_no_media_and_its_call_ends(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page, plan=CallPlan(offer_replies=(OfferReply(), refused(488))))
    await come_back(stage, page, call)
    for side in (call.wic, call.ims):
        bye = await side.wait_request("BYE")
        assert bye.headers.get("Reason") == 'SIP;cause=488;text="the page did not follow an ICE restart"'


async def test_pages_that_are_all_lost_at_once_have_not_changed_their_networks(stage: Stage) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    before = len(offers(call))
    others = [await PageSocket.open(stage.handshake) for _ in range(MANY)]
    half = len(others) // 2  # whenever housekeeping looks, the page is among more than ten
    for socket in others[:half]:
        socket.lose(Loss.RESET)
    page.lose(Loss.RESET)
    for socket in others[half:]:
        socket.lose(Loss.RESET)
    await page.lost.wait()
    await stage.logged(call.call_id, "event=flow_lost", "state=confirmed")
    await page.connect()
    assert (await page.register()).status == 200
    await asyncio.sleep(3 * WAIT_S)
    assert len(offers(call)) == before
    assert (await call.wic.info()).status == 200
    await call.hang_up()
