"""Hold and resume from both ends; changes that cross or are refused (RFC 3264 §8.4, RFC 3261 §14)."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page

from tests.browser.sdk.gateway import ScriptedGateway
from tests.browser.sdk.running_call import PEER_TONE_HZ, RunningCall, answered_call, one_way_call
from tests.browser.sdk.running_peer import RunningPeer, directions_of, groups_of

pytestmark = pytest.mark.browser


async def hold(call: RunningCall) -> dict[str, str]:
    """Hold in the page; the directions it offered."""
    await call.start("hold")
    reinvite = await call.page_offer()
    await call.accept(reinvite)
    return directions_of(reinvite.body)


async def test_a_one_way_page_holds_by_switching_its_receiving_line_off(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        assert await hold(call) == {"0": "sendonly", "r0": "inactive"}
        assert await call.results(1) == ["done"]
        assert await call.held() == (True, False)
        assert await call.directions() == {"0": "sendonly", "r0": "inactive"}
        assert await call.page_is_silent()
        # The application's own track is as it was: nothing but what is sent has changed.
        assert await page.evaluate("() => window.softphone.streams.getTracks()[0].enabled") is True

        await call.start("resume")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body) == {"0": "sendonly", "r0": "recvonly"}
        assert groups_of(reinvite.body) == [["0", "r0"]]
        assert "UPDATE" in reinvite.option_tags("Allow")
        await call.accept(reinvite)
        await call.page_is_heard()
        await call.page_hears()
        assert (await call.seen())["hold"] == [[True, False], [False, False]]
        await call.hang_up()


async def test_a_stream_of_the_pages_own_is_muted_in_the_call_alone(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        await page.evaluate("() => window.softphone.call.mute('audio', true)")
        assert await call.page_is_silent()
        assert await page.evaluate("() => window.softphone.streams.getTracks()[0].enabled") is True

        assert await hold(call) == {"0": "sendonly", "r0": "inactive"}
        await call.start("resume")
        await call.accept(await call.page_offer())
        assert await call.results(2) == ["done", "done"]
        assert await call.page_is_silent()

        await page.evaluate("() => window.softphone.call.mute('audio', false)")
        await call.page_is_heard()
        await call.hang_up()


async def two_way(page: Page, gateway: ScriptedGateway) -> tuple[RunningPeer, str]:
    """A peer with one two-way line, and its offer."""
    peer = RunningPeer(PEER_TONE_HZ)
    return peer, await peer.offer(two_way=("audio",))


async def test_a_two_way_page_holds_with_sendonly_and_both_may_hold(
    page: Page, gateway: ScriptedGateway
) -> None:
    peer, offer = await two_way(page, gateway)
    async with answered_call(page, gateway, peer, offer) as call:
        (mid,) = directions_of(offer)
        assert await hold(call) == {mid: "sendonly"}
        await call.results(1)
        assert await call.directions() == {mid: "sendonly"}
        assert await call.page_is_silent()

        # The far end holds, too: nobody sends.
        peer.receives = peer.sends = False
        answer = await call.reinvite(await peer.offer())
        assert directions_of(answer.body) == {mid: "inactive"}
        assert await call.held() == (True, True)
        peer.receives = peer.sends = True
        answer = await call.reinvite(await peer.offer())
        assert directions_of(answer.body) == {mid: "sendonly"}
        assert await call.held() == (True, False)

        await call.start("resume")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body) == {mid: "sendrecv"}
        await call.accept(reinvite)
        await call.page_is_heard()
        await call.page_hears()
        await call.hang_up()


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
async def test_the_far_end_holds_and_comes_back(page: Page, gateway: ScriptedGateway, method: str) -> None:
    async with one_way_call(page, gateway) as call:
        offer = call.update if method == "UPDATE" else call.reinvite
        call.peer.receives = False
        answer = await offer(await call.peer.offer())
        assert directions_of(answer.body) == {"0": "inactive", "r0": "recvonly"}
        assert await call.held() == (False, True)
        assert await call.page_is_silent()
        await call.page_hears()  # music on hold

        call.peer.receives = True
        answer = await offer(await call.peer.offer())
        assert directions_of(answer.body) == {"0": "sendonly", "r0": "recvonly"}
        await call.page_is_heard()
        assert (await call.seen())["hold"] == [[False, True], [False, False]]
        await call.hang_up()


async def test_an_offer_that_is_asked_for_has_every_line_and_its_answer_comes_in_the_ack(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        response = await call.dialog.reinvite()
        assert directions_of(response.body) == {"0": "sendonly", "r0": "recvonly"}
        assert groups_of(response.body) == [["0", "r0"]]
        await call.dialog.ack(sdp=await call.peer.answer(response.body))
        await call.page_is_heard()
        await call.page_hears()
        # And the next exchange goes the usual way.
        await hold(call)
        assert await call.results(1) == ["done"]
        await call.hang_up()


async def test_a_refused_hold_leaves_the_call_as_it_was(page: Page, gateway: ScriptedGateway) -> None:
    async with one_way_call(page, gateway) as call:
        await call.start("hold")
        await call.refuse(await call.page_offer(), 488)
        assert await call.results(1) == [["sip", 488]]
        assert await call.held() == (False, False)
        await call.page_is_heard()
        await call.page_hears()
        assert (await call.seen())["hold"] == []
        await hold(call)
        assert await call.results(2) == [["sip", 488], "done"]
        await call.hang_up()


async def test_a_hold_that_crosses_one_of_the_far_end_is_tried_again(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        await call.start("hold")
        reinvite = await call.page_offer()
        await call.dialog.send_request("UPDATE", sdp=reinvite.body)  # refused unread
        await gateway.receive_response(491, "UPDATE")
        crossed_at_s = asyncio.get_running_loop().time()
        await call.refuse(reinvite, 491)
        again = await call.page_offer()
        # Who made the call waits 2.1 to 4 s (RFC 3261 §14.1).
        assert 2.0 < asyncio.get_running_loop().time() - crossed_at_s < 4.5
        assert again.cseq.number > reinvite.cseq.number
        await call.accept(again)
        assert await call.results(1) == ["done"]
        await call.hang_up()


async def test_changes_wait_for_those_before_them(page: Page, gateway: ScriptedGateway) -> None:
    async with one_way_call(page, gateway) as call:
        for operation in ("hold", "resume", "hold"):
            await call.start(operation)
        for receiving in ("inactive", "recvonly", "inactive"):
            reinvite = await call.page_offer()
            assert directions_of(reinvite.body)["r0"] == receiving
            await call.accept(reinvite)
        assert await call.results(3) == ["done"] * 3
        assert await call.held() == (True, False)
        # What is still waiting when the call ends, fails with it.
        await call.start("resume")
        await call.start("hold")
        reinvite = await call.page_offer()
        await call.dialog.send_request("BYE")
        await gateway.receive_response(200, "BYE")
        assert (await call.results(5))[3:] == [["call-ended", None]] * 2
        await call.dialog.answer_request(reinvite, 487)


async def test_a_call_that_the_far_end_does_not_know_any_more_is_gone(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        await call.start("hold")
        await call.refuse(await call.page_offer(), 481)
        assert await call.results(1) == [["sip", 481]]
        end = await page.evaluate("() => ({ ...window.softphone.call.end, error: null })")
        assert (end["by"], end["cause"]) == ("failure", "gone")
