"""What a person hears of the page itself, and is told when nobody hears them."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import PATIENCE_S, GatewayDialog, ScriptedGateway
from tests.browser.sdk.gateway_call import GatewayCall
from tests.browser.sdk.media_peer import MediaPeer, TwoWayPeer
from tests.browser.sdk.softphone_page import INJECT_TONE, dial, sign_in

pytestmark = pytest.mark.browser

RING_HZ: Final = [440, 480]
SEVEN_HZ: Final = [852, 1209]
# What the page plays begins with an oscillator; what it asks the screen for is a lock.
WATCH: Final = """() => {
    window.played = [];
    window.quiet = 0;
    const {start} = OscillatorNode.prototype;
    OscillatorNode.prototype.start = function (...all) {
        window.played.push(this.frequency.value);
        start.apply(this, all);
    };
    window.locks = [];
    const {request} = WakeLock.prototype;
    WakeLock.prototype.request = async function (...all) {
        const lock = await request.apply(this, all);
        window.locks.push(lock);
        return lock;
    };
    const {disconnect} = GainNode.prototype;
    GainNode.prototype.disconnect = function (...all) {
        window.quiet += 1;
        disconnect.apply(this, all);
    };
}"""


async def test_ringback_until_the_far_end_is_heard_then_keys_and_a_word_to_who_speaks_muted(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, 1000)
    await page.evaluate(WATCH)
    peer = MediaPeer(440)
    try:
        dialog = GatewayDialog(gateway, invite := await dial(page, gateway))
        await dialog.respond(183, sdp=await peer.answer(invite.body), rseq=1)
        await dialog.acknowledge("PRACK")
        await dialog.respond(180)
        await page.wait_for_function("() => window.played.length === 2")
        assert await page.evaluate("() => window.played") == RING_HZ
        assert await page.evaluate("() => window.quiet") == 0
        # Sound of the network, before anybody has answered.
        await dialog.request("UPDATE", sdp=await peer.offer_reverse_line())
        await peer.take_answer((await gateway.receive_response(200, "UPDATE")).body)
        await page.wait_for_function("() => window.quiet === 1")
        await expect(page.locator("#call-state")).to_have_text("Ringing…")
        await dialog.respond(200)
        await gateway.receive_request("ACK")
        await expect(page.locator("#call-state")).to_have_text("Connected")

        await page.keyboard.press("7")
        await dialog.respond_to(await gateway.receive_request("INFO"))
        assert await page.evaluate("() => window.played") == RING_HZ + SEVEN_HZ

        assert await page.evaluate("() => window.locks.map(({released}) => released)") == [False]
        await expect(page.locator("#call-notice")).to_be_hidden()
        await page.click("#mute-audio")
        await expect(page.locator("#call-notice")).to_have_text("You are muted: nobody hears you.")
        await page.click("#mute-audio")
        await expect(page.locator("#call-notice")).to_be_hidden()
        await asyncio.wait_for(peer.ear.hears(1000), PATIENCE_S)
        await page.keyboard.press("8")
        await gateway.receive_request("INFO")  # whose answer the call does not outlive
        await page.get_by_role("button", name="Hang up").click()
        await dialog.acknowledge("BYE")
        await expect(page.locator("#dial-card")).to_be_visible()
        assert await page.evaluate("() => window.locks.map(({released}) => released)") == [True]
        await page.evaluate("() => new Promise((resolve) => setTimeout(resolve))")
        await expect(page.locator(".banner")).to_have_count(0)
    finally:
        await peer.close()


async def test_it_rings_where_the_person_wants_and_talks_elsewhere(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(
        """() => {
        window.sinks = [];
        const {setSinkId} = AudioContext.prototype;
        AudioContext.prototype.setSinkId = function (id) {
            window.sinks.push(id);
            return setSinkId.call(this, id);
        };
    }"""
    )
    await page.click("#devices summary")
    # Browsers name devices once the page may use the microphone.
    await page.evaluate("async () => { await navigator.mediaDevices.getUserMedia({audio: true}); }")
    await page.evaluate("() => navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    await page.select_option("#ringer", label="Fake Audio Output 2")
    ringer = await page.input_value("#ringer")
    assert ringer
    peer = TwoWayPeer(440)
    try:
        call = GatewayCall(gateway)
        await call.invite(sdp=await peer.offer())
        await expect(page.locator("#incoming")).to_be_visible()
        await page.wait_for_function("() => window.sinks.length > 0")
        assert await page.evaluate("() => window.sinks") == [ringer]
        await page.keyboard.press("Escape")
        await call.cancel()
        await expect(page.locator("#incoming")).to_be_hidden()
    finally:
        await peer.close()
    await page.reload()
    assert (
        await page.evaluate("() => JSON.parse(localStorage.getItem('softphone.devices')).ringoutput")
        == ringer
    )
