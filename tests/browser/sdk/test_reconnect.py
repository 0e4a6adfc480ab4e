"""The softphone page loses its socket: it comes back by itself, and its calls with it (RFC 5626, RFC 7118)."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import PATIENCE_S, ScriptedGateway
from tests.browser.sdk.gateway_call import GatewayCall
from tests.browser.sdk.media_peer import TwoWayPeer
from tests.browser.sdk.running_call import answered_call
from tests.browser.sdk.running_peer import RunningPeer, directions_of
from tests.browser.sdk.softphone_page import ALICE, HEARS_TONE, INJECT_TONE, sign_in

pytestmark = pytest.mark.browser

PAGE_TONE_HZ: Final = 1000
PEER_TONE_HZ: Final = 440
NOTICE: Final = "#connection-notice"


async def running_call(page: Page, gateway: ScriptedGateway, peer: TwoWayPeer) -> GatewayCall:
    """A call with sound both ways."""
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    call = GatewayCall(gateway)
    await call.invite(sdp=await peer.offer())
    await page.get_by_role("button", name="Answer", exact=True).click()
    await peer.take_answer((await call.answered()).body)
    await asyncio.wait_for(peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)
    await page.wait_for_function(HEARS_TONE, arg=PEER_TONE_HZ)
    return call


@pytest.mark.conformance("B-11", "B-13")
async def test_a_page_comes_back_as_the_same_instance_without_a_new_login(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    before = gateway.register_contact
    gateway.accepts = False
    await gateway.drop_socket()
    await expect(page.locator("#phone-state")).to_have_text("Reconnecting…")
    await expect(page.locator(NOTICE)).to_contain_text("The connection to the gateway is lost. Reconnecting.")
    await expect(page.locator("#dial button.call").first).to_be_disabled()
    # The first attempts find nobody.
    await expect(page.locator("#connection-countdown")).to_have_text(re.compile(r"Next attempt in [23] s"))
    gateway.accepts = True
    await gateway.register(ALICE)
    await expect(page.locator("#phone-state")).to_have_text("Registered")
    await expect(page.locator(NOTICE)).to_be_hidden()
    assert gateway.connections == 2
    assert gateway.register_contact == before
    assert re.search(r';reg-id=1;\+sip\.instance="<urn:uuid:[0-9a-f-]{36}>"', before)
    # And it can be called again.
    call = GatewayCall(gateway)
    await call.invite()
    await page.get_by_role("button", name="Decline").click()
    await call.refused(486)


async def test_a_call_goes_on_and_uses_the_new_connection(page: Page, gateway: ScriptedGateway) -> None:
    peer = RunningPeer(PEER_TONE_HZ)
    offer = await peer.offer(two_way=("audio",))
    async with answered_call(page, gateway, peer, offer) as call:
        before = gateway.register_contact
        await gateway.drop_socket()
        await expect(page.locator(NOTICE)).to_contain_text("Your call goes on.")
        await expect(page.locator("#call-state")).to_have_text("Connected")
        await call.page_is_heard()
        await gateway.register(ALICE)
        assert gateway.register_contact == before
        await expect(page.locator(NOTICE)).to_be_hidden()
        # The page's address may be another one now: new ICE credentials, the lines are the same.
        restart = await call.page_offer()
        assert directions_of(restart.body) == {"a-both": "sendrecv"}
        await call.accept(restart)
        assert peer.renewed == 1
        await call.page_is_heard()
        await call.page_hears()
        await page.keyboard.press("7")
        info = await call.dialog.acknowledge("INFO")
        assert info.body.startswith("Signal=7")
        # The far side's hang-up reaches the page on its new connection.
        await call.dialog.send_request("BYE")
        await gateway.receive_response(200, "BYE")
        await expect(page.locator("#dial-card")).to_be_visible()


async def test_a_hang_up_without_a_connection_is_said_when_there_is_one(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = await running_call(page, gateway, peer)
        gateway.accepts = False
        await gateway.drop_socket()
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.locator("#dial-card")).to_be_visible()
        assert await page.evaluate("() => window.softphone.call.end.cause") == "hangup"
        gateway.accepts = True
        await gateway.register(ALICE)
        await call.acknowledge("BYE")
    finally:
        await peer.close()


async def test_a_call_that_rings_ends_with_the_connection(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        call = GatewayCall(gateway)
        await call.invite(sdp=await peer.offer())
        await expect(page.locator("#incoming .ringing")).to_be_visible()
        await gateway.drop_socket()
        await expect(page.locator("#incoming")).to_be_hidden()
        await gateway.register(ALICE)
        await expect(page.locator("#phone-state")).to_have_text("Registered")
    finally:
        await peer.close()


@pytest.mark.conformance("B-11")
@pytest.mark.parametrize("code", [1008, 4001])
async def test_a_page_that_the_gateway_sends_away_stays_away(
    page: Page, gateway: ScriptedGateway, code: int
) -> None:
    await sign_in(page, gateway)
    peer = TwoWayPeer(PEER_TONE_HZ)
    try:
        await running_call(page, gateway, peer)
        await page.evaluate(
            """() => {
              window.errors = [];
              window.softphone.phone.on("error", ({ kind, reason, closeCode }) => {
                window.errors.push({ kind, reason, closeCode });
              });
            }"""
        )
        await gateway.close_socket(code)
        await expect(page.locator("#sign-in-card")).to_be_visible()
        await expect(page.locator("#phone-state")).to_have_text("Signed out")
        await expect(page.get_by_role("alert")).to_contain_text("Sign in again.")
        assert await page.evaluate("() => window.errors") == [
            {"kind": "signed-out", "reason": "network", "closeCode": code}
        ]
        assert await page.evaluate("() => window.softphone.call.end.error.kind") == "signed-out"
        # Longer than the longest first wait.
        await page.wait_for_timeout(1500)
        assert gateway.connections == 1
        # The person can sign in again at once.
        await sign_in(page, gateway)
        assert gateway.connections == 2
    finally:
        await peer.close()


async def test_a_refused_registration_ends_the_sign_in(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    await gateway.drop_socket()
    register = await gateway.receive_request("REGISTER")
    await gateway.refuse(register, 403)
    await expect(page.locator("#sign-in-card")).to_be_visible()
    await expect(page.get_by_role("alert")).to_contain_text("The registration is refused: 403 Forbidden.")


async def test_a_restarting_gateway_is_no_reason_to_sign_in_again(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await gateway.close_socket(1012)
    await gateway.register(ALICE)
    await expect(page.locator("#phone-state")).to_have_text("Registered")
