"""A call of the softphone page that is answered and has media both ways, with both ends in hand.

Knows the ladder and the peer. Must not decide anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import PATIENCE_S, GatewayDialog, ScriptedGateway
from tests.browser.sdk.gateway_call import GatewayCall
from tests.browser.sdk.running_peer import RunningPeer
from tests.browser.sdk.softphone_page import HEARS_TONE, INJECT_TONE, diagnostics, dial, sign_in
from tests.peers.sip import SipRequest, SipResponse

PAGE_TONE_HZ: Final = 1000
PEER_TONE_HZ: Final = 440

WATCH: Final = """() => {
  const { call } = window.softphone;
  window.seen = { hold: [], recovering: [], videoOffered: 0, transfer: [] };
  call.on("hold", (held) => window.seen.hold.push([held.local, held.remote]));
  call.on("recovering", (recovering) => window.seen.recovering.push(recovering));
  call.on("videoOffered", () => (window.seen.videoOffered += 1));
  call.on("transfer", (progress) => window.seen.transfer.push(progress.status));
}"""

START: Final = """(operation) => {
  const { call } = window.softphone;
  const run = { hold: () => call.hold(), resume: () => call.resume(), addVideo: () => call.addVideo(),
    removeVideo: () => call.removeVideo() }[operation.split(" ")[0]] ?? (() => call.transfer(operation.split(" ")[1]));
  window.results ??= [];
  run().then(
    () => window.results.push("done"),
    (error) => window.results.push([error.kind, error.status ?? null]),
  );
}"""


@dataclass
class RunningCall:
    """One answered call."""

    page: Page
    gateway: ScriptedGateway
    dialog: GatewayDialog | GatewayCall
    peer: RunningPeer

    async def start(self, operation: str) -> None:
        """Call an operation of the SDK; its result goes to `results`."""
        await self.page.evaluate(START, operation)

    async def results(self, count: int) -> list[Any]:
        """The results of the operations that were started, when that many are there."""
        await self.page.wait_for_function("(count) => window.results?.length >= count", arg=count)
        found: list[Any] = await self.page.evaluate("() => window.results")
        return found

    async def page_offer(self) -> SipRequest:
        """The page's next re-INVITE."""
        return await self.gateway.receive_request("INVITE")

    async def accept(self, reinvite: SipRequest) -> str:
        """Have the peer answer the page's re-INVITE; the answer."""
        answer = await self.peer.answer(reinvite.body)
        await self.dialog.answer_request(reinvite, 200, sdp=answer)
        await self.gateway.receive_request("ACK")
        return answer

    async def refuse(self, reinvite: SipRequest, status: int) -> None:
        """Refuse the page's re-INVITE."""
        await self.dialog.answer_request(reinvite, status)
        await self.gateway.receive_request("ACK")

    async def update(self, offer: str) -> SipResponse:
        """Offer by UPDATE, and take the answer."""
        await self.dialog.send_request("UPDATE", sdp=offer)
        response = await self.gateway.receive_response(200, "UPDATE")
        await self.peer.take_answer(response.body)
        return response

    async def reinvite(self, offer: str) -> SipResponse:
        """Offer by re-INVITE, take the answer and acknowledge it."""
        response = await self.dialog.reinvite(sdp=offer)
        await self.dialog.ack()
        await self.peer.take_answer(response.body)
        return response

    async def seen(self) -> dict[str, Any]:
        """What the call's events said."""
        found: dict[str, Any] = await self.page.evaluate("() => window.seen")
        return found

    async def held(self) -> tuple[bool, bool]:
        """Who holds the call: this side, the far side."""
        held = await self.page.evaluate("() => window.softphone.call.held")
        return held["local"], held["remote"]

    async def directions(self) -> dict[str, str | None]:
        """What each line does in the page."""
        lines = (await diagnostics(self.page))["mediaLines"]
        return {line["mid"]: line["currentDirection"] for line in lines}

    async def page_is_heard(self) -> None:
        """Wait until the peer hears the page."""
        self.peer.ear.forget()
        await asyncio.wait_for(self.peer.ear.hears(PAGE_TONE_HZ), PATIENCE_S)

    async def page_is_silent(self, seconds: float = 1.0) -> bool:
        """Whether the peer hears nothing of the page."""
        await asyncio.sleep(0.5)  # what was said before is still on its way
        self.peer.ear.forget()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.peer.ear.hears(PAGE_TONE_HZ), seconds)
            return False
        return True

    async def page_hears(self) -> None:
        """Wait until the page hears the peer."""
        await self.page.wait_for_function(HEARS_TONE, arg=PEER_TONE_HZ)

    async def page_sees(self, frames: int = 10) -> None:
        """Wait until the page has decoded that many more pictures."""
        await self.page.evaluate("async () => (window.frames = await framesDecoded())")
        await self.page.wait_for_function(
            "async (more) => (await framesDecoded()) >= window.frames + more", arg=frames
        )

    async def page_is_seen(self, pictures: int = 10) -> None:
        """Wait until the peer has decoded that many more pictures."""
        self.peer.ear.forget()
        await asyncio.wait_for(self.peer.ear.sees(pictures), PATIENCE_S)

    async def hang_up(self) -> None:
        """End the call in the page."""
        await self.page.get_by_role("button", name="Hang up", exact=True).click()
        await self.dialog.acknowledge("BYE")
        await expect(self.page.locator("#dial-card")).to_be_visible()


WITH_CAMERA: Final = """async () => {
  const camera = await navigator.mediaDevices.getUserMedia({ video: true });
  for (const track of camera.getTracks()) window.softphone.streams.addTrack(track);
}"""

FRAMES: Final = """() => {
  window.framesDecoded = async () => (await window.softphone.call.stats()).inbound
    .reduce((sum, line) => sum + (line.framesDecoded ?? 0), 0);
}"""


@contextlib.asynccontextmanager
async def one_way_call(page: Page, gateway: ScriptedGateway) -> AsyncIterator[RunningCall]:
    """A call of the page whose second line shares the transport of the first: `group:BUNDLE 0 r0`."""
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    peer = RunningPeer(PEER_TONE_HZ)
    try:
        dialog = GatewayDialog(gateway, invite := await dial(page, gateway))
        call = RunningCall(page, gateway, dialog, peer)
        await dialog.respond(183, sdp=await peer.answer(invite.body), rseq=1)
        await dialog.acknowledge("PRACK")
        await call.update(await peer.offer(reverse_of=("audio",)))
        await dialog.respond(200)
        await gateway.receive_request("ACK")
        await expect(page.locator("#call-state")).to_have_text("Connected")
        await _both_ways(call)
        yield call
    finally:
        await peer.close()


@contextlib.asynccontextmanager
async def answered_call(
    page: Page,
    gateway: ScriptedGateway,
    peer: RunningPeer,
    offer: str,
    button: str = "Answer",
    *,
    camera: bool = False,
) -> AsyncIterator[RunningCall]:
    """A call to the page with this offer, answered in the page; with `camera`, the page also sends pictures."""
    await sign_in(page, gateway)
    await page.evaluate(INJECT_TONE, PAGE_TONE_HZ)
    if camera:
        await page.evaluate(WITH_CAMERA)
    try:
        dialog = GatewayCall(gateway)
        await dialog.invite(sdp=offer)
        await page.get_by_role("button", name=button, exact=True).click()
        await peer.take_answer((await dialog.answered()).body)
        await expect(page.locator("#call-state")).to_have_text("Connected")
        call = RunningCall(page, gateway, dialog, peer)
        await _both_ways(call)
        yield call
    finally:
        await peer.close()


async def _both_ways(call: RunningCall) -> None:
    await call.page.evaluate(WATCH)
    await call.page.evaluate(FRAMES)
    await call.page_is_heard()
    await call.page_hears()
