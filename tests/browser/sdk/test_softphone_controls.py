"""What a person does with the buttons of the running call, by mouse and by keyboard, and what they read."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import GatewayDialog, ScriptedGateway
from tests.browser.sdk.running_call import PAGE_TONE_HZ, PEER_TONE_HZ, RunningCall, one_way_call
from tests.browser.sdk.running_peer import RunningPeer
from tests.browser.sdk.softphone_page import INJECT_TONE, dial, sign_in

pytestmark = pytest.mark.browser

DIAL_CAROL = """() => {
  document.getElementById("target").value = "carol";
  document.getElementById("dial").requestSubmit();
}"""
"""As click-to-dial does, which waits for no button."""


async def test_hold_is_a_switch_that_says_who_holds(page: Page, gateway: ScriptedGateway) -> None:
    async with one_way_call(page, gateway) as call:
        state = page.locator("#call-state")
        await page.get_by_role("button", name="Hold", exact=True).focus()
        await page.keyboard.press("Space")
        # Until the far end agrees nothing has changed, and nothing else can be asked for.
        reinvite = await call.page_offer()
        await expect(page.locator("#hold")).to_be_disabled()
        await expect(state).to_have_text("Connected")
        await call.accept(reinvite)
        await expect(state).to_have_text("On hold")
        await expect(page.get_by_role("button", name="Resume")).to_have_attribute("aria-pressed", "true")

        call.peer.receives = False
        await call.update(await call.peer.offer())
        await expect(state).to_have_text("On hold on both sides")
        await page.get_by_role("button", name="Resume").press("Enter")
        await call.accept(await call.page_offer())
        await expect(state).to_have_text("The other side holds the call")
        call.peer.receives = True
        await call.update(await call.peer.offer())
        await expect(state).to_have_text("Connected")
        await expect(page.get_by_role("button", name="Hold", exact=True)).to_be_enabled()
        await call.hang_up()


async def test_the_camera_comes_and_goes_by_one_button(page: Page, gateway: ScriptedGateway) -> None:
    async with one_way_call(page, gateway) as call:
        await page.get_by_role("button", name="Add video").click()
        await call.accept(await call.page_offer())
        await expect(page.locator("#local-video")).to_be_visible()
        await call.page_is_seen()
        await page.get_by_role("button", name="Camera off").click()
        assert await page.evaluate("() => window.softphone.call.muted('video')") is True
        await page.get_by_role("button", name="End video").click()
        await call.accept(await call.page_offer())
        await expect(page.locator("#local-video")).to_be_hidden()
        await expect(page.get_by_role("button", name="Camera off")).to_be_hidden()
        await expect(page.get_by_role("button", name="Add video")).to_be_enabled()
        await call.hang_up()


async def test_what_the_far_end_refuses_is_said_with_advice(page: Page, gateway: ScriptedGateway) -> None:
    async with one_way_call(page, gateway) as call:
        await page.get_by_role("button", name="Add video").click()
        await call.refuse(await call.page_offer(), 488)
        await expect(page.get_by_role("alert")).to_contain_text("Try again without video.")
        await expect(page.locator("#local-video")).to_be_hidden()
        await expect(page.get_by_role("button", name="Add video")).to_be_enabled()
        await call.page_is_heard()
        await call.hang_up()


async def test_video_of_the_far_end_is_announced_and_the_camera_stays_off(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        await call.update(await call.peer.offer(add=("video",)))
        await expect(page.locator(".banner.info")).to_contain_text(
            "The other side shows its video. Your camera stays off until you add your video."
        )
        await expect(page.locator("#stage")).to_have_attribute("data-video", "true")
        await expect(page.locator("#local-video")).to_be_hidden()
        out = page.get_by_role("button", name="Picture in picture")
        for pressed in ("true", "false"):
            await out.click()
            await expect(out).to_have_attribute("aria-pressed", pressed)
            shown = await page.evaluate("() => document.pictureInPictureElement?.id ?? ''")
            assert shown == ("remote-video" if pressed == "true" else "")
        await call.hang_up()
        await expect(out).to_be_hidden()


async def test_the_form_of_a_transfer_closes_with_escape(page: Page, gateway: ScriptedGateway) -> None:
    async with one_way_call(page, gateway) as call:
        button = page.get_by_role("button", name="Transfer", exact=True)
        await button.click()
        await expect(page.locator("#transfer-target")).to_be_focused()
        # Digits go into the form, not out as tones.
        gateway.ladder.clear()
        await page.keyboard.type("123")
        await expect(page.locator("#transfer-target")).to_have_value("123")
        await page.keyboard.press("Escape")
        await expect(page.locator("#transfer-form")).to_be_hidden()
        await expect(button).to_be_focused()
        assert gateway.ladder == []
        await call.hang_up()


async def test_whoever_answers_after_being_set_aside_hears_nothing(
    page: Page, gateway: ScriptedGateway
) -> None:
    """A call that still rings cannot be put on hold: it is once it is answered, and says nothing until then."""
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    peer = RunningPeer(PEER_TONE_HZ)
    try:
        ringing = GatewayDialog(gateway, invite := await dial(page, gateway))
        await ringing.respond(180)
        await expect(page.locator("#call-state")).to_have_text("Ringing…")
        await page.evaluate(DIAL_CAROL)
        other = GatewayDialog(gateway, await gateway.receive_request("INVITE"))
        await other.respond(180)
        await expect(page.locator("#held-calls span")).to_have_text("On hold: bob")
        await ringing.respond(200, sdp=await peer.answer(invite.body))
        await gateway.receive_request("ACK")
        call = RunningCall(page, gateway, ringing, peer)
        hold = await call.page_offer()
        assert await call.page_is_silent()
        await call.accept(hold)
        assert await call.page_is_silent()
    finally:
        await peer.close()


async def test_a_second_click_while_a_call_makes_room_places_no_second_call(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        before = gateway.ladder.count("> INVITE")
        await page.evaluate(DIAL_CAROL)
        hold = await call.page_offer()
        await page.evaluate(DIAL_CAROL)
        await call.accept(hold)
        carol = GatewayDialog(gateway, await gateway.receive_request("INVITE"))
        await carol.respond(180)
        await expect(page.locator("#call-title")).to_have_text("carol")
        await page.wait_for_timeout(500)
        assert gateway.ladder.count("> INVITE") == before + 2
        assert await page.evaluate("() => window.softphone.phone.calls.length") == 2
