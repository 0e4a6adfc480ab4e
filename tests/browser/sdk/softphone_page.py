"""What a person does on the softphone page, and what the page knows, for the tests."""

from __future__ import annotations

from typing import Any, Final

from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import ScriptedGateway
from tests.peers.digest import Credentials
from tests.peers.sip import SipRequest

ALICE: Final = Credentials("alice@ims.example.com", "correct horse")
INJECT_TONE: Final = """(hz) => {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: hz });
  const destination = context.createMediaStreamDestination();
  oscillator.connect(new GainNode(context, { gain: 0.3 })).connect(destination);
  oscillator.start();
  window.softphone.streams = destination.stream;
}"""

HEARS_TONE: Final = """(hz) => {
  window.ear ??= (() => {
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 16384, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(window.softphone.call.remoteStream).connect(analyser);
    return { analyser, bins: new Float32Array(analyser.frequencyBinCount), rate: context.sampleRate };
  })();
  window.ear.analyser.getFloatFrequencyData(window.ear.bins);
  const loudest = window.ear.bins.indexOf(Math.max(...window.ear.bins));
  const heard = loudest * window.ear.rate / window.ear.analyser.fftSize;
  return window.ear.bins[loudest] > -60 && Math.abs(heard - hz) < 10;
}"""


async def sign_in(page: Page, gateway: ScriptedGateway, *, challenges: int = 1) -> None:
    """Sign in through the form."""
    await page.fill("#user", ALICE.username.partition("@")[0])
    await page.fill("#password", ALICE.password)
    await page.click("#sign-in button[type=submit]")
    await gateway.register(ALICE, challenges)
    await expect(page.locator("#phone-state")).to_have_text("Registered")


async def dial(page: Page, gateway: ScriptedGateway, button: str = "Call") -> SipRequest:
    """Dial bob; the INVITE that comes."""
    await page.fill("#target", "bob")
    await page.get_by_role("button", name=button, exact=True).click()
    return await gateway.receive_request("INVITE")


async def diagnostics(page: Page) -> dict[str, Any]:
    """What the SDK tells about the call."""
    result: dict[str, Any] = await page.evaluate("() => window.softphone.call.diagnostics()")
    return result
