"""Calls to a page that registered for one-way streams: a line for each direction on one transport (RFC 9143)."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import ScriptedGateway
from tests.browser.sdk.gateway_call import GatewayCall
from tests.browser.sdk.running_call import PAGE_TONE_HZ, PEER_TONE_HZ, RunningCall, answered_call
from tests.browser.sdk.running_peer import RunningPeer, directions_of, groups_of
from tests.browser.sdk.softphone_page import INJECT_TONE, sign_in

pytestmark = pytest.mark.browser

AUDIO = ["a-in", "a-out"]
VIDEO = ["v-in", "v-out"]


async def test_two_audio_lines_are_answered_the_other_way_round_and_can_be_held(
    page: Page, gateway: ScriptedGateway
) -> None:
    peer = RunningPeer(PEER_TONE_HZ)
    offer = await peer.offer(add=("audio",))
    assert list(directions_of(offer).items()) == [("a-in", "recvonly"), ("a-out", "sendonly")]
    assert "a=ssrc" not in offer
    async with answered_call(page, gateway, peer, offer) as call:
        assert re.search(r";\+g\.one-way-streams\b", gateway.register_contact)
        answer = gateway.last_response_to("INVITE").body
        assert directions_of(answer) == {"a-out": "recvonly", "a-in": "sendonly"}
        assert groups_of(answer) == [AUDIO]
        await call.start("hold")
        reinvite = await call.page_offer()
        assert directions_of(reinvite.body) == {"a-out": "inactive", "a-in": "sendonly"}
        assert groups_of(reinvite.body) == [AUDIO]
        await call.accept(reinvite)
        assert await call.page_is_silent()
        await call.start("resume")
        await call.accept(await call.page_offer())
        await call.page_is_heard()
        await call.page_hears()

        # Its own new lines go one way, too.
        await call.start("addVideo")
        reinvite = await call.page_offer()
        assert list(directions_of(reinvite.body).values()) == ["sendonly", "recvonly", "sendonly"]
        assert groups_of(reinvite.body) == [AUDIO]
        await call.accept(reinvite)
        await call.page_is_seen()
        await call.hang_up()


async def test_audio_and_video_are_two_groups(page: Page, gateway: ScriptedGateway) -> None:
    peer = RunningPeer(PEER_TONE_HZ)
    offer = await peer.offer(add=("audio", "video"))
    async with answered_call(page, gateway, peer, offer, "Answer with video", camera=True) as call:
        answer = gateway.last_response_to("INVITE").body
        assert directions_of(answer) == {
            "a-out": "recvonly",
            "a-in": "sendonly",
            "v-out": "recvonly",
            "v-in": "sendonly",
        }
        assert groups_of(answer) == [AUDIO, VIDEO]
        await call.page_sees()
        await call.page_is_seen()
        await call.hang_up()


async def test_a_page_may_register_for_two_way_streams_instead(page: Page, gateway: ScriptedGateway) -> None:
    await page.evaluate(
        """async () => {
          const { connect } = await import("/static/dist/sdk.js");
          const user = { user: "alice", password: "x" };
          const phone = await connect({ configUrl: "/config.json", ...user, oneWayStreams: false });
          phone.register();
          window.phone = phone;
        }"""
    )
    await gateway.register_again()
    assert "one-way" not in gateway.register_contact
    await page.evaluate("() => void window.phone.call('bob')")
    invite = await gateway.receive_request("INVITE")
    assert directions_of(invite.body) == {"0": "sendrecv"}


@pytest.mark.parametrize("more", [(), (("Require", "100rel"),)], ids=["supported", "required"])
async def test_a_call_that_is_prepared_has_its_media_before_it_is_answered(
    page: Page, gateway: ScriptedGateway, more: tuple[tuple[str, str], ...]
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    await page.evaluate(
        "() => void window.softphone.phone.on('call', (call) => setTimeout(() => void call.prepare()))"
    )
    peer = RunningPeer(PEER_TONE_HZ)
    try:
        dialog = GatewayCall(gateway)
        await dialog.start(sdp=await peer.offer(add=("audio",)), headers=more)
        names = ["100 INVITE", "183 INVITE"] if more else ["100 INVITE", "180 INVITE", "183 INVITE"]
        assert [await gateway.receive_any(name) for name in names] == names
        prepared = gateway.last_response_to("INVITE")
        assert "100rel" in prepared.option_tags("Require")
        assert directions_of(prepared.body) == {"a-out": "recvonly", "a-in": "sendonly"}
        await dialog.prack(prepared)
        await peer.take_answer(prepared.body)
        await page.wait_for_function(
            "() => window.softphone.phone.calls[0].diagnostics().connectionState === 'connected'"
        )
        # The gateway may offer in the early dialog, to a page that is called, too.
        await dialog.send_request("UPDATE", sdp=await peer.offer())
        update = await gateway.receive_response(200, "UPDATE")
        assert directions_of(update.body) == {"a-out": "recvonly", "a-in": "sendonly"}
        await peer.take_answer(update.body)

        await page.get_by_role("button", name="Answer", exact=True).click()
        # SIP.js repeats the answer of its 183 in the 200, whatever was agreed in between.
        assert (await dialog.answered()).body == prepared.body
        await expect(page.locator("#call-state")).to_have_text("Connected")
        call = RunningCall(page, gateway, dialog, peer)
        await call.page_is_heard()
        await call.page_hears()
        await call.hang_up()
    finally:
        await peer.close()
