"""Calls to the softphone page: the ladder on the wire, media both ways, what the person reads and can do."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import PATIENCE_S, GatewayDialog, ScriptedGateway
from tests.browser.sdk.gateway_call import GatewayCall
from tests.browser.sdk.media_peer import TwoWayPeer
from tests.browser.sdk.softphone_page import HEARS_TONE, INJECT_TONE, diagnostics, dial, sign_in

pytestmark = pytest.mark.browser

PAGE_TONE_HZ: Final = 1000
PEER_TONE_HZ: Final = 440
ELSEWHERE: Final = 'SIP;cause=200;text="Call completed elsewhere"'
VERIFIED: Final = (
    "P-Asserted-Identity",
    '"Dave" <sip:+15550142;verstat=TN-Validation-Passed@ims.example.com;user=phone>',
)


async def ringing(
    page: Page, gateway: ScriptedGateway, peer: TwoWayPeer, *headers: tuple[str, str]
) -> GatewayCall:
    """Call the page until its card is there."""
    call = GatewayCall(gateway)
    await call.invite(sdp=await peer.offer(), headers=headers)
    await expect(page.locator("#incoming .ringing")).to_be_visible()
    return call


async def answer(page: Page, call: GatewayCall, peer: TwoWayPeer, button: str = "Answer") -> None:
    """Press the button; the answer goes to the peer."""
    await page.get_by_role("button", name=button, exact=True).click()
    await peer.take_answer((await call.answered()).body)
    await expect(page.locator("#call-state")).to_have_text("Connected")


async def test_an_answered_call_has_sound_both_ways_and_ends_as_any_other(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    gateway.ladder.clear()
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await ringing(page, gateway, peer, VERIFIED)
        card = page.get_by_role("group", name="Dave")
        await expect(card).to_contain_text("Incoming call")
        await expect(card).to_contain_text("+15550142")
        await expect(card).to_contain_text("The network has verified this number.")
        await expect(page).to_have_title("Dave is calling")
        await expect(page.locator("#incoming-announcement")).to_have_text("Incoming call from Dave.")
        await expect(page.get_by_role("button", name="Answer with video")).to_be_hidden()

        await answer(page, call, peer)
        await expect(page.locator("#incoming")).to_be_hidden()
        await expect(page.locator("#call-title")).to_have_text("Dave")
        await expect(page).to_have_title(re.compile("^Softphone"))
        await asyncio.wait_for(peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)
        await page.wait_for_function(HEARS_TONE, arg=PEER_TONE_HZ)
        lines = (await diagnostics(page))["mediaLines"]
        assert [line["currentDirection"] for line in lines] == ["sendrecv"]

        await page.keyboard.press("5")
        info = await call.acknowledge("INFO")
        assert info.body == "Signal=5\r\nDuration=160\r\n"
        await page.get_by_role("button", name="Mute").click()
        await asyncio.sleep(1.0)  # what was said before is still on its way
        peer.ear.forget()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.ear.hears(PAGE_TONE_HZ), 1.5)
        assert (await call.request("UPDATE")).body == ""

        await page.get_by_role("button", name="Hang up").click()
        await call.acknowledge("BYE")
        await expect(page.locator("#dial-card")).to_be_visible()
    finally:
        await peer.close()
    assert gateway.ladder == [
        *("< INVITE", "> 100 INVITE", "> 180 INVITE", "> 200 INVITE", "< ACK"),
        *("> INFO", "< 200 INFO", "< UPDATE", "> 200 UPDATE", "> BYE", "< 200 BYE"),
    ]
    states = [entry["state"] for entry in (await diagnostics(page))["states"]]
    assert states == ["alerting", "answering", "established", "ending", "ended"]
    end = await page.evaluate("() => window.softphone.call.end")
    assert end == {"by": "local", "cause": "hangup"}


async def test_a_video_call_is_answered_with_the_camera(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ, video=True)
    try:
        call = await ringing(page, gateway, peer)
        await expect(page.locator("#incoming .ringing")).to_contain_text("Incoming video call")
        await answer(page, call, peer, "Answer with video")
        await asyncio.wait_for(peer.ear.sees(10), PATIENCE_S)
        await page.wait_for_function(
            "async () => (await window.softphone.call.stats()).inbound.some((line) => line.framesDecoded > 10)"
        )
        await expect(page.locator("#local-video")).to_be_visible()
        await expect(page.locator("#stage")).to_have_attribute("data-video", "true")
        # The far side hangs up, and says why.
        await call.request("BYE", headers=[("Reason", 'Q.850;cause=16;text="Normal clearing"')])
        await expect(page.get_by_role("status").last).to_contain_text("The other side hung up.")
        await expect(page.locator("#dial-card")).to_be_visible()
        end = await page.evaluate("() => window.softphone.call.end")
        assert (end["by"], end["cause"], end["reason"]["cause"]) == ("remote", "hangup", 16)
    finally:
        await peer.close()


async def test_a_video_call_answered_without_the_camera_still_shows_the_caller(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ, video=True)
    try:
        call = await ringing(page, gateway, peer)
        await answer(page, call, peer)
        lines = (await diagnostics(page))["mediaLines"]
        assert [(line["kind"], line["currentDirection"]) for line in lines] == [
            ("audio", "sendrecv"),
            ("video", "recvonly"),
        ]
        await page.wait_for_function(
            "async () => (await window.softphone.call.stats()).inbound.some((line) => line.framesDecoded > 10)"
        )
        assert peer.ear.pictures == 0
        await page.get_by_role("button", name="Hang up").click()
        await call.acknowledge("BYE")
    finally:
        await peer.close()


@pytest.mark.conformance("S-26")
@pytest.mark.parametrize(
    ("reason", "notice"),
    [
        pytest.param(ELSEWHERE, "Answered on another device: the call from Carol Jones.", id="elsewhere"),
        pytest.param(
            "SIP;cause=603", "Declined on another device: the call from Carol Jones.", id="declined"
        ),
        pytest.param(None, "Missed call from Carol Jones.", id="missed"),
    ],
)
async def test_a_call_that_is_cancelled_stops_ringing_and_says_why(
    page: Page, gateway: ScriptedGateway, reason: str | None, notice: str
) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await ringing(page, gateway, peer)
        await call.cancel(reason)
        await expect(page.locator(".banner.info")).to_contain_text(notice)
        await expect(page.locator("#incoming")).to_be_hidden()
    finally:
        await peer.close()


async def test_a_cancel_that_crosses_the_answer_ends_the_call(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await ringing(page, gateway, peer)
        await page.evaluate(
            """() => {
              const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              window.asked = new Promise((asked) => {
                navigator.mediaDevices.getUserMedia = async (wanted) => {
                  asked();
                  await new Promise((resolve) => (window.grant = resolve));
                  return (window.granted = await ask(wanted));
                };
              });
            }"""
        )
        await page.get_by_role("button", name="Answer", exact=True).click()
        await page.evaluate("() => window.asked")
        await call.cancel(ELSEWHERE)
        await page.evaluate("() => window.grant()")
        await expect(page.locator(".banner.info")).to_contain_text("Answered on another device")
        await page.wait_for_function("() => window.granted?.getTracks()[0].readyState === 'ended'")
    finally:
        await peer.close()


async def test_declining_is_busy_here(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await ringing(page, gateway, peer)
        await page.get_by_role("button", name="Decline").click()
        await call.refused(486)
        await expect(page.locator("#incoming")).to_be_hidden()
        await expect(page.locator(".banner")).to_have_count(0)
    finally:
        await peer.close()


async def test_the_keyboard_is_enough_and_nothing_is_answered_by_accident(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await ringing(page, gateway, peer)
        await expect(page.get_by_role("group", name="Carol Jones")).to_be_focused()
        for key in ("Space", "Enter"):
            await page.keyboard.press(key)
        await expect(page.locator("#incoming .ringing")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Answer", exact=True)).to_be_focused()
        await page.keyboard.press("Enter")
        await peer.take_answer((await call.answered()).body)
        await asyncio.wait_for(peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)
        await page.get_by_role("button", name="Hang up").click()
        await call.acknowledge("BYE")
    finally:
        await peer.close()


async def test_a_person_who_types_keeps_typing(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    await page.fill("#target", "bo")
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await ringing(page, gateway, peer)
        await page.keyboard.type("b")
        await expect(page.locator("#target")).to_have_value("bob")
        await call.cancel()
    finally:
        await peer.close()


async def test_a_caller_who_withholds_the_name_stays_anonymous(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await ringing(page, gateway, peer, VERIFIED, ("Privacy", "id"))
        card = page.get_by_role("group", name="Anonymous")
        await expect(card).to_be_visible()
        await expect(card).not_to_contain_text("Dave")
        await expect(card).not_to_contain_text("15550142")
        await call.cancel()
        await expect(page.locator(".banner.info")).to_contain_text("Missed call from Anonymous.")
    finally:
        await peer.close()


async def test_a_second_call_can_take_the_place_of_the_first(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    first_peer, second_peer = TwoWayPeer(PEER_TONE_HZ), TwoWayPeer(660)
    try:
        first = await ringing(page, gateway, first_peer)
        await answer(page, first, first_peer)
        second = GatewayCall(gateway, caller='"Erin" <sip:erin@ims.example.com>')
        await second.invite(sdp=await second_peer.offer())
        await expect(page.get_by_role("group", name="Erin")).to_be_visible()
        await expect(page.locator("#call-state")).to_have_text("Connected")
        await page.get_by_role("button", name="Hang up and answer").click()
        await first.acknowledge("BYE")
        await second_peer.take_answer((await second.answered()).body)
        await expect(page.locator("#call-title")).to_have_text("Erin")
        await asyncio.wait_for(second_peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)
        await page.wait_for_function(HEARS_TONE, arg=660)
        await page.get_by_role("button", name="Hang up", exact=True).click()
        await second.acknowledge("BYE")
        await expect(page.locator("#dial-card")).to_be_visible()
    finally:
        await first_peer.close()
        await second_peer.close()


async def test_a_call_comes_in_while_another_one_is_dialled(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        outgoing = GatewayDialog(gateway, await dial(page, gateway))
        call = await ringing(page, gateway, peer)
        await page.get_by_role("button", name="Decline").click()
        await call.refused(486)
        await outgoing.respond(180)
        await expect(page.locator("#call-state")).to_have_text("Ringing…")
        await outgoing.respond(486)
        await gateway.receive_request("ACK")
    finally:
        await peer.close()


async def test_an_offer_the_browser_refuses_gets_488_with_the_reason(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = GatewayCall(gateway)
        await call.invite(sdp=(await peer.offer()).replace("a=fingerprint", "a=x-fingerprint"))
        await page.get_by_role("button", name="Answer", exact=True).click()
        refused = await call.refused(488)
        assert re.fullmatch(r'399 webrtc-ims-sdk ".+"', refused.headers.get("Warning") or "")
        await expect(page.get_by_role("alert")).to_contain_text("The browser does not take the offer")
        await expect(page.locator("#incoming")).to_be_hidden()
    finally:
        await peer.close()
