"""Fixtures: the built page, a real Chromium, a scripted gateway; all on loopback."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aioice.ice
import pytest
import pytest_asyncio
from playwright.async_api import ConsoleMessage, Page, async_playwright

from tests.browser.sdk.gateway import ScriptedGateway
from webapp_api import STATIC_DIRECTORY, create_app
from webapp_api.settings import Settings
from webapp_api.static_files import HOW_TO_BUILD

CHROMIUM: Final = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS: Final = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # Media stays on this machine's loopback, whatever networks it has.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)


@pytest.fixture(autouse=True)
def media_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the media peer listen on 127.0.0.1, which it leaves out by default, and nowhere else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture(scope="session")
def built_page() -> Path:
    """The folder of built files."""
    if not (STATIC_DIRECTORY / "dist" / "manifest.json").exists():
        pytest.fail("the page is not built; run: " + " && ".join(HOW_TO_BUILD), pytrace=False)
    return STATIC_DIRECTORY


@pytest.fixture
def stun_servers() -> tuple[str, ...]:
    """STUN servers of the page; a test that wants some overrides this."""
    return ()


@pytest_asyncio.fixture
async def gateway(built_page: Path, stun_servers: tuple[str, ...]) -> AsyncIterator[ScriptedGateway]:
    """A gateway on a free port."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gateway = ScriptedGateway(port)
    settings = Settings(public_origin=gateway.origin, domain="ims.example.com", stun_servers=stun_servers)
    async with gateway.serving(create_app(settings, built_page)):
        yield gateway


def _faults(message: ConsoleMessage) -> list[str]:
    """Errors of scripts; what a gateway or web service refuses is reported by the browser itself."""
    refused = (
        "WebSocket connection to",
        "Failed to load resource: the server responded with a status of 503",
    )
    own = message.type == "error" and not message.text.startswith(refused)
    return [message.text] if own else []


@pytest_asyncio.fixture
async def page(gateway: ScriptedGateway) -> AsyncIterator[Page]:
    """The softphone in a fresh Chromium; a fault in its scripts fails the test."""
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_ARGUMENTS])
        try:
            page = await browser.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.extend(_faults(message)))
            await page.goto(gateway.origin)
            yield page
        finally:
            await browser.close()
    assert faults == []
