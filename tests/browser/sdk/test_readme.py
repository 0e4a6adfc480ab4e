"""The examples in the SDK's README, run as they are printed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from tests.browser.sdk.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.browser.sdk.gateway import PATIENCE_S, GatewayDialog, ScriptedGateway
from tests.browser.sdk.gateway_call import GatewayCall
from tests.browser.sdk.media_peer import TwoWayPeer
from tests.browser.sdk.running_peer import RunningPeer
from tests.browser.sdk.softphone_page import ALICE

pytestmark = pytest.mark.browser

LINES: Final = 10
TOKEN: Final = "header.payload.signature"
README: Final = Path(__file__).parents[3] / "webapp_api" / "sdk" / "README.md"
STAGE: Final = """() => {
  document.body.innerHTML =
    '<input id="password" value="correct horse"><audio id="audio" autoplay></audio>' +
    ["answer", "decline", "hold", "camera", "transfer"].map((id) => `<button id="${id}">${id}</button>`).join("");
  const part = (id) => document.getElementById(id);
  const shown = [];
  Object.assign(window, {
    form: { password: part("password") },
    accessToken: async () => "header.payload.signature",
    audioElement: part("audio"),
    answerButton: part("answer"),
    declineButton: part("decline"),
    holdButton: part("hold"),
    cameraButton: part("camera"),
    transferButton: part("transfer"),
    confirm: () => false,
    show: (...words) => shown.push(words.filter((word) => word !== undefined).join(" ")),
    shown,
  });
}"""


@pytest_asyncio.fixture
async def page(gateway: ScriptedGateway) -> AsyncIterator[Page]:
    """A page with what the examples take for granted."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_ARGUMENTS])
        try:
            page = await browser.new_page(bypass_csp=True)
            await page.goto(gateway.origin)
            await page.evaluate(STAGE)
            yield page
        finally:
            await browser.close()


def example(name: str) -> str:
    """Return an example as it is printed."""
    found = re.search(rf"<!-- example: {name} -->\n```ts\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None, f"the README has no example {name!r}"
    return found[1]


async def run(page: Page, name: str) -> None:
    """Run an example."""
    await page.add_script_tag(content=example(name), type="module")


async def shows(page: Page, words: str) -> None:
    """Wait until the example shows these words."""
    await page.wait_for_function(
        "(words) => window.shown.some((shown) => shown.includes(words))", arg=words, timeout=PATIENCE_S * 1000
    )


async def test_a_call(page: Page, gateway: ScriptedGateway) -> None:
    assert example("call").count("\n") == LINES
    await run(page, "call")
    await refused_call(page, gateway)


async def refused_call(page: Page, gateway: ScriptedGateway) -> None:
    """Play the gateway to the example of a call: nobody is there."""
    await gateway.register_with_token(TOKEN)
    invite = await gateway.receive_request("INVITE")
    assert invite.request_uri == "sip:+15550100100@ims.example.com;user=phone"
    await GatewayDialog(gateway, invite).respond(486)
    await gateway.receive_request("ACK")
    await shows(page, "486 Busy Here The other side is busy. Try later.")


async def test_an_incoming_call(page: Page, gateway: ScriptedGateway) -> None:
    await run(page, "incoming")
    await gateway.register(ALICE)
    peer = TwoWayPeer(440)
    try:
        call = GatewayCall(gateway)
        await call.invite(sdp=await peer.offer())
        await shows(page, "Carol Jones calls")
        await page.click("#answer")
        await peer.take_answer((await call.answered()).body)
        await page.wait_for_function("() => window.audioElement.srcObject.getAudioTracks().length === 1")
        await call.request("BYE")
        await shows(page, "Over")

        elsewhere = GatewayCall(gateway)
        await elsewhere.invite(sdp=await TwoWayPeer(440).offer())
        await elsewhere.cancel("SIP;cause=200")
        await shows(page, "Answered elsewhere")

        declined = GatewayCall(gateway)
        await declined.invite(sdp=await TwoWayPeer(440).offer())
        await page.click("#decline")
        await declined.refused(486)
    finally:
        await peer.close()


async def test_changes(page: Page, gateway: ScriptedGateway) -> None:
    await run(page, "changes")
    await gateway.register(ALICE)
    peer = RunningPeer(440)
    try:
        dialog = GatewayDialog(gateway, invite := await gateway.receive_request("INVITE"))
        await dialog.respond(200, sdp=await peer.answer(invite.body))
        await gateway.receive_request("ACK")
        for click, words in (("hold", "held"), ("hold", "talking"), ("camera", "")):
            await page.click(f"#{click}")
            reinvite = await gateway.receive_request("INVITE")
            await dialog.answer_request(reinvite, 200, sdp=await peer.answer(reinvite.body))
            await gateway.receive_request("ACK")
            await shows(page, words)
        await dialog.request("UPDATE", sdp=await peer.offer(reverse_of=("video",)))
        await peer.take_answer((await gateway.receive_response(200, "UPDATE")).body)
        await dialog.request("REFER", headers=[("Refer-To", "<sip:premium@ims.example.com>")])
        await gateway.receive_response(202, "REFER")
        for line in ("SIP/2.0 100 Trying\r\n", "SIP/2.0 603 Decline\r\n"):
            assert (await dialog.acknowledge("NOTIFY")).body == line
        await page.click("#transfer")
        refer = await gateway.receive_request("REFER")
        await dialog.answer_request(refer, 403)
        await shows(page, "403 Forbidden")
    finally:
        await peer.close()


async def test_reconnecting(page: Page, gateway: ScriptedGateway) -> None:
    await run(page, "reconnecting")
    await gateway.register(ALICE)
    await shows(page, "registered")
    await gateway.drop_socket()
    await shows(page, "reconnecting")
    await shows(page, "attempt 1 in ")
    await gateway.register(ALICE)
    async with asyncio.timeout(PATIENCE_S):
        while await page.evaluate("() => window.shown.at(-1)") != "registered":
            await asyncio.sleep(0.05)
    await gateway.close_socket(1008)
    await shows(page, "signed-out: Sign in again.")
