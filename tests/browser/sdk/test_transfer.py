"""Transfers from the page and to it, calls sent elsewhere, and a second call (RFC 3515, RFC 3891, RFC 5589)."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import CONTACT, GatewayDialog, ScriptedGateway
from tests.browser.sdk.gateway_call import GatewayCall
from tests.browser.sdk.running_call import RunningCall, one_way_call
from tests.browser.sdk.running_peer import RunningPeer
from tests.browser.sdk.softphone_page import sign_in

pytestmark = pytest.mark.browser

SIPFRAG = "message/sipfrag;version=2.0"


async def notify(call: RunningCall, line: str, *, over: bool = False) -> None:
    """Tell the page how its transfer goes."""
    state = "terminated;reason=noresource" if over else "active;expires=60"
    fields = [("Event", "refer"), ("Subscription-State", state)]
    assert isinstance(call.dialog, GatewayDialog)
    await call.dialog.request("NOTIFY", headers=fields, sdp=f"SIP/2.0 {line}\r\n", content_type=SIPFRAG)
    await call.gateway.receive_response(200, "NOTIFY")


async def test_a_blind_transfer_by_the_form_ends_the_call_when_the_target_has_answered(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        await page.get_by_role("button", name="Transfer", exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#transfer-target")).to_be_focused()
        await page.keyboard.type("carol")
        await page.keyboard.press("Enter")
        refer = await gateway.receive_request("REFER")
        assert refer.headers.get("Refer-To") == "<sip:carol@ims.example.com>"
        assert refer.headers.get("Referred-By") == "<sip:alice@ims.example.com>"
        await call.dialog.answer_request(refer, 202)
        await notify(call, "100 Trying")
        await notify(call, "180 Ringing")
        await notify(call, "200 OK", over=True)
        await call.dialog.acknowledge("BYE")
        await expect(page.locator(".banner")).to_contain_text("The call is transferred.")
        assert (await call.seen())["transfer"] == [100, 180, 200]


@pytest.mark.parametrize("how", ["refused", "unanswered"])
async def test_a_transfer_that_fails_leaves_the_call(page: Page, gateway: ScriptedGateway, how: str) -> None:
    async with one_way_call(page, gateway) as call:
        await call.start("transfer carol")
        refer = await gateway.receive_request("REFER")
        if how == "refused":
            await call.dialog.answer_request(refer, 403)
            assert await call.results(1) == [["sip", 403]]
        else:
            await call.dialog.answer_request(refer, 202)
            await notify(call, "486 Busy Here", over=True)
            assert await call.results(1) == [["sip", 486]]
        await call.page_is_heard()
        await call.page_hears()
        await call.hang_up()


async def test_a_call_waits_while_another_one_is_answered_and_both_can_be_joined(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        second_peer = RunningPeer(660)
        try:
            second = GatewayCall(gateway, caller='"Erin" <sip:erin@ims.example.com>')
            await second.invite(sdp=await second_peer.offer(add=("audio",)))
            await page.get_by_role("button", name="Hold and answer").click()
            await call.accept(await call.page_offer())
            await second_peer.take_answer((await second.answered()).body)
            await expect(page.locator("#call-title")).to_have_text("Erin")
            await expect(page.locator("#held-calls")).to_contain_text("On hold: bob")
            assert await call.page_is_silent()

            # Back to the first one: the second is held.
            await page.get_by_role("button", name="Switch to bob").click()
            other = RunningCall(page, gateway, second, second_peer)
            await other.accept(await other.page_offer())
            await call.accept(await call.page_offer())
            await expect(page.locator("#call-title")).to_have_text("bob")
            await expect(page.locator("#call-state")).to_have_text("Connected")
            await expect(page.locator("#held-calls")).to_contain_text("On hold: Erin")
            await second.request(
                "UPDATE", headers=[("P-Asserted-Identity", '"Frank" <sip:frank@ims.example.com>')]
            )
            await expect(page.locator("#held-calls")).to_contain_text("On hold: Frank")
            await call.page_is_heard()

            await page.evaluate(
                """() => {
                  const [first, second] = window.softphone.phone.calls;
                  window.joined = first.transfer(second);
                }"""
            )
            refer = await gateway.receive_request("REFER")
            refer_to = refer.headers.get("Refer-To") or ""
            replaces = re.search(r"\?Replaces=([^>]+)>$", refer_to)
            assert replaces is not None
            call_id, to_tag, from_tag = unquote(replaces[1]).split(";")
            assert call_id == second.call_id
            assert (to_tag, from_tag) == (f"to-tag={second.from_tag}", f"from-tag={second.to_tag}")
            await call.dialog.answer_request(refer, 202)
            await notify(call, "200 OK", over=True)
            await call.dialog.acknowledge("BYE")
            # The one that was replaced is ended by its far end.
            await second.send_request("BYE")
            await gateway.receive_response(200, "BYE")
            await page.evaluate("() => window.joined")
            await expect(page.locator("#dial-card")).to_be_visible()
        finally:
            await second_peer.close()


async def refer_the_page(call: RunningCall, target: str) -> None:
    """Ask the page to call somebody else."""
    assert isinstance(call.dialog, GatewayDialog)
    fields = [("Refer-To", target), ("Referred-By", "<sip:bob@ims.example.com>")]
    await call.dialog.request("REFER", headers=fields)


async def test_the_page_calls_nobody_for_the_far_end_without_consent(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        await refer_the_page(call, "<sip:premium@ims.example.com>")
        await gateway.receive_response(202, "REFER")
        await call.dialog.respond_to(await gateway.receive_request("NOTIFY"))
        await expect(page.get_by_role("alert")).to_contain_text(
            "The other side wants to connect you with premium@ims.example.com."
        )
        await page.get_by_role("button", name="Stay").click()
        told = await gateway.receive_request("NOTIFY")
        assert told.body == "SIP/2.0 603 Decline\r\n"
        await call.dialog.respond_to(told)
        await expect(page.locator("#transfer-request")).to_be_hidden()
        await call.page_is_heard()
        await call.hang_up()


@pytest.mark.parametrize("consent", [True, False])
async def test_with_consent_the_page_calls_the_target_and_tells_how_it_goes(
    page: Page, gateway: ScriptedGateway, consent: bool
) -> None:
    async with one_way_call(page, gateway) as call:
        await page.evaluate(
            """() => {
              window.softphone.call.on("transferRequest", (request) => (window.request = request));
            }"""
        )
        await refer_the_page(call, "<sip:carol@ims.example.com?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz>")
        await gateway.receive_response(202, "REFER")
        asked = await gateway.receive_request("NOTIFY")
        assert asked.body == "SIP/2.0 100 Trying\r\n"
        await call.dialog.respond_to(asked)
        known = await page.evaluate("() => ({ ...window.request })")
        assert known["target"] == "sip:carol@ims.example.com"
        assert known["referredBy"] == "<sip:bob@ims.example.com>"
        assert known["attended"] is True
        if not consent:
            await page.evaluate("() => window.request.refuse()")
            told = await gateway.receive_request("NOTIFY")
            assert told.body == "SIP/2.0 603 Decline\r\n"
            assert (told.headers.get("Subscription-State") or "").startswith("terminated")
            await call.dialog.respond_to(told)
            await call.hang_up()
            return
        await page.evaluate(
            "() => void (window.next = window.request.accept({ streams: window.softphone.streams }))"
        )
        invite = await gateway.receive_request("INVITE")
        assert invite.request_uri == "sip:carol@ims.example.com"
        assert invite.headers.get("Replaces") == "x;to-tag=y;from-tag=z"
        assert invite.headers.get("Referred-By") == "<sip:bob@ims.example.com>"
        await GatewayDialog(gateway, invite).respond(486)
        names = {await gateway.receive_any("ACK", "NOTIFY") for _ in range(2)}
        assert names == {"ACK", "NOTIFY"}
        assert gateway.last_request("NOTIFY").body == "SIP/2.0 486 Busy Here\r\n"
        await call.dialog.respond_to(gateway.last_request("NOTIFY"))
        await call.hang_up()


async def test_a_call_can_be_sent_to_somebody_else(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    call = GatewayCall(gateway)
    await call.invite()
    await page.evaluate("() => window.softphone.phone.calls[0].deflect('carol')")
    refused = await call.refused(302)
    assert refused.headers.get("Contact") == "<sip:carol@ims.example.com>"
    await expect(page.locator("#incoming")).to_be_hidden()
    await expect(page.locator(".banner")).to_have_count(0)


async def test_who_takes_the_place_of_the_far_end_is_shown(page: Page, gateway: ScriptedGateway) -> None:
    """A transfer in the network: the page hears of it by an UPDATE without a description (RFC 4916)."""
    async with one_way_call(page, gateway) as call:
        assert isinstance(call.dialog, GatewayDialog)
        named = [("P-Asserted-Identity", '"Erin" <sip:erin@ims.example.com>')]
        await call.dialog.request("UPDATE", headers=named)
        await gateway.receive_response(200, "UPDATE")
        await expect(page.locator("#call-title")).to_have_text("Erin")
        assert await page.evaluate("() => window.softphone.call.farEnd.uri") == "sip:erin@ims.example.com"
        await call.hang_up()


async def test_a_call_that_replaces_another_one_is_answered_at_once(
    page: Page, gateway: ScriptedGateway
) -> None:
    async with one_way_call(page, gateway) as call:
        next_peer = RunningPeer(660)
        try:
            assert isinstance(call.dialog, GatewayDialog)
            tags = f"to-tag={call.dialog.page_tag};from-tag={call.dialog.tag}"
            new = GatewayCall(gateway, caller='"Erin" <sip:erin@ims.example.com>')
            replaces = ("Replaces", f"{call.dialog.call_id};{tags}")
            await new.start(sdp=await next_peer.offer(add=("audio",)), headers=[CONTACT, replaces])
            # It does not ring: the person has answered already.
            names = {await gateway.receive_any("100 INVITE", "BYE", "200 INVITE") for _ in range(3)}
            assert names == {"100 INVITE", "200 INVITE", "BYE"}
            await call.dialog.respond_to(gateway.last_request("BYE"))
            await next_peer.take_answer((await new.acknowledged()).body)
            await expect(page.locator("#call-title")).to_have_text("Erin")
            await expect(page.locator("#held-calls")).to_be_hidden()
            other = RunningCall(page, gateway, new, next_peer)
            await other.page_is_heard()
            await other.hang_up()
        finally:
            await next_peer.close()
