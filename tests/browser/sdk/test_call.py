"""Calls of the softphone page: the ladder on the wire, the media on the lines, what the person reads."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import PATIENCE_S, GatewayDialog, ScriptedGateway
from tests.browser.sdk.media_peer import REVERSE_MID, MediaPeer
from tests.browser.sdk.softphone_page import HEARS_TONE, INJECT_TONE, diagnostics, dial, sign_in

pytestmark = pytest.mark.browser

PAGE_TONE_HZ: Final = 1000
PEER_TONE_HZ: Final = 440
DTMF_RELAY: Final = "application/dtmf-relay"


async def test_a_call_gets_its_second_direction_by_update_before_the_callee_is_alerted(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    gateway.ladder.clear()
    peer = MediaPeer(PEER_TONE_HZ)
    try:
        invite = await dial(page, gateway)
        assert len(invite.headers.fields("Allow")) == 1
        assert {"UPDATE", "PRACK"} <= invite.option_tags("Allow")
        assert "100rel" in invite.option_tags("Supported")
        assert invite.headers.get("Recv-Info") == "infoDtmf"
        assert re.findall(r"^m=(\w+)|^a=(sendonly|sendrecv|recvonly)\b", invite.body, re.M) == [
            ("audio", ""),
            ("", "sendonly"),
        ]

        dialog = GatewayDialog(gateway, invite)
        await dialog.respond(183, sdp=await peer.answer(invite.body), rseq=1)
        await dialog.acknowledge("PRACK")
        await dialog.request("UPDATE", sdp=await peer.offer_reverse_line())
        update_answer = await gateway.receive_response(200, "UPDATE")
        assert {"UPDATE", "PRACK"} <= update_answer.option_tags("Allow")
        assert "Contact" in update_answer.headers
        await peer.take_answer(update_answer.body)
        await expect(page.locator("#call-state")).to_have_text("Connecting…")

        # Both ways before anybody rings: this is what the flow is for.
        await asyncio.wait_for(peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)
        await page.wait_for_function(HEARS_TONE, arg=PEER_TONE_HZ)
        known = await diagnostics(page)
        assert [(line["mid"], line["currentDirection"]) for line in known["mediaLines"]] == [
            ("0", "sendonly"),
            (REVERSE_MID, "recvonly"),
        ]
        assert known["updates"] == 1
        stats = await page.evaluate("() => window.softphone.call.stats()")
        assert [(line["mid"], line["codec"]) for line in stats["inbound"]] == [(REVERSE_MID, "opus")]
        assert stats["inbound"][0]["totalAudioEnergy"] > 0
        assert [line["mid"] for line in stats["outbound"]] == ["0"]

        await dialog.respond(180)
        await expect(page.locator("#call-state")).to_have_text("Ringing…")
        await dialog.respond(200)
        await gateway.receive_request("ACK")
        await expect(page.locator("#call-state")).to_have_text("Connected")
        await expect(page.locator("#timer")).to_have_text(re.compile(r"^00:0\d$"))

        await page.keyboard.press("5")
        info = await gateway.receive_request("INFO")
        assert info.headers.get("Content-Type") == DTMF_RELAY
        assert info.body == "Signal=5\r\nDuration=160\r\n"
        await dialog.respond_to(info)
        await page.evaluate("() => window.softphone.call.on('dtmf', (key) => (window.heardKey = key))")
        await dialog.request("INFO", sdp="Signal=D\r\nDuration=220\r\n", content_type=DTMF_RELAY)
        await gateway.receive_response(200, "INFO")
        assert await page.evaluate("() => window.heardKey") == {"signal": "D", "durationMs": 220}
        await asyncio.wait_for(peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)

        await page.get_by_role("button", name="Hang up").click()
        await dialog.acknowledge("BYE")
        await expect(page.locator("#dial-card")).to_be_visible()
    finally:
        await peer.close()
    assert gateway.ladder == [
        *("> INVITE", "< 183 INVITE", "> PRACK", "< 200 PRACK"),
        *("< UPDATE", "> 200 UPDATE", "< 180 INVITE", "< 200 INVITE", "> ACK"),
        *("> INFO", "< 200 INFO", "< INFO", "> 200 INFO", "> BYE", "< 200 BYE"),
    ]
    ended = await diagnostics(page)
    states = [entry["state"] for entry in ended["states"]]
    assert states == ["preparing", "dialling", "connecting", "ringing", "established", "ending", "ended"]
    assert await page.evaluate("() => window.softphone.streams.getTracks()[0].readyState") == "live"


async def test_a_bad_update_is_refused_and_the_next_good_one_works(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    peer = MediaPeer(PEER_TONE_HZ)
    try:
        dialog = GatewayDialog(gateway, invite := await dial(page, gateway))
        await dialog.respond(183, sdp=await peer.answer(invite.body), rseq=1)
        await dialog.acknowledge("PRACK")
        offer = await peer.offer_reverse_line()

        await dialog.request("UPDATE", sdp=offer.replace("a=fingerprint", "a=x-fingerprint"))
        refused = await gateway.receive_response(488, "UPDATE")
        assert re.fullmatch(r'399 webrtc-ims-sdk ".+"', refused.headers.get("Warning") or "")
        known = await diagnostics(page)
        assert [line["currentDirection"] for line in known["mediaLines"]] == ["sendonly"]

        await dialog.request("UPDATE")
        assert (await gateway.receive_response(200, "UPDATE")).body == ""
        await dialog.request("UPDATE", sdp=offer, cseq=1)
        await gateway.receive_response(500, "UPDATE")
        await dialog.request("UPDATE", sdp=offer, to_tag="nobody")
        await gateway.receive_response(481, "UPDATE")

        await dialog.request("UPDATE", sdp=offer)
        await peer.take_answer((await gateway.receive_response(200, "UPDATE")).body)
        await page.wait_for_function(HEARS_TONE, arg=PEER_TONE_HZ)
        await dialog.respond(486)
        await gateway.receive_request("ACK")
        await expect(page.get_by_role("alert")).to_contain_text("The other side is busy. Try again later.")
    finally:
        await peer.close()


async def test_an_audio_and_video_call_offers_two_one_way_lines(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    invite = await dial(page, gateway, "Video call")
    lines = re.split(r"^(?=m=)", invite.body, flags=re.M)[1:]
    assert [line.split(" ", 1)[0] for line in lines] == ["m=audio", "m=video"]
    assert ["a=sendonly" in line for line in lines] == [True, True]
    await expect(page.locator("#local-video")).to_be_visible()
    await page.get_by_role("button", name="Mute").click()
    assert await page.evaluate("() => window.softphone.call.muted('audio')") is True
    dialog = GatewayDialog(gateway, invite)
    await dialog.respond(100)
    await page.get_by_role("button", name="Hang up").click()
    await dialog.acknowledge("CANCEL")
    await dialog.respond(487)
    await gateway.receive_request("ACK")
    await expect(page.locator("#dial-card")).to_be_visible()
    await expect(page.locator(".banner")).to_have_count(0)


async def test_a_refusal_is_shown_in_plain_words_with_advice(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    dialog = GatewayDialog(gateway, await dial(page, gateway))
    warning = ("Warning", '304 gateway.example "no codec in common"')
    await dialog.respond(488, headers=[warning])
    await gateway.receive_request("ACK")
    await expect(page.get_by_role("alert")).to_contain_text("There is no common sound or picture format.")
    await expect(page.get_by_role("alert")).to_contain_text("Try again without video.")


async def test_an_answer_the_browser_refuses_cancels_the_call(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    dialog = GatewayDialog(gateway, await dial(page, gateway))
    await dialog.respond(183, sdp="v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", rseq=1)
    await dialog.acknowledge("PRACK")
    cancel = await gateway.receive_request("CANCEL")
    assert cancel.headers.get("Reason") == 'SIP;cause=488;text="Not Acceptable Here"'
    await dialog.respond_to(cancel)
    await dialog.respond(487)
    await gateway.receive_request("ACK")
    assert await page.evaluate("() => window.softphone.call.end.error.kind") == "session-description"


async def test_a_second_challenge_with_a_fresh_nonce_is_answered(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway, challenges=2)
    assert gateway.ladder == [*["> REGISTER", "< 401 REGISTER"] * 3, "> REGISTER", "< 200 REGISTER"]


async def test_a_password_in_the_address_is_ignored_and_removed(page: Page, gateway: ScriptedGateway) -> None:
    await page.goto(f"{gateway.origin}/?user=alice&password=secret")
    await expect(page.locator("#user")).to_have_value("alice")
    await expect(page.locator("#password")).to_have_value("")
    assert page.url == f"{gateway.origin}/?user=alice"
    await expect(page.get_by_role("alert")).to_contain_text("A password in the address is ignored.")


async def test_a_media_path_that_breaks_ends_the_call_with_a_typed_error(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    peer = MediaPeer(PEER_TONE_HZ)
    dialog = GatewayDialog(gateway, invite := await dial(page, gateway))
    try:
        await dialog.respond(200, sdp=await peer.answer(invite.body))
        await gateway.receive_request("ACK")
        await asyncio.wait_for(peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)
    finally:
        await peer.close()
    # Chromium takes some seconds to notice; then the page offers new ICE credentials, to a gateway that takes none.
    restart = await gateway.receive_request("INVITE")
    await dialog.answer_request(restart, 488)
    await gateway.receive_request("ACK")
    await page.wait_for_function("() => window.softphone.call.state === 'ended'")
    await dialog.acknowledge("BYE")
    await expect(page.get_by_role("alert")).to_contain_text("No media path to the gateway.")
    assert await page.evaluate("() => window.softphone.call.end.error.kind") == "ice"
