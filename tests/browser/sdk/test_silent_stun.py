"""A STUN server that never answers: the call is late by a second, not by the browser's ten."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import GatewayDialog, ScriptedGateway
from tests.browser.sdk.softphone_page import diagnostics, dial, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
def stun_servers() -> Iterator[tuple[str, ...]]:
    """A socket that takes requests and says nothing."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        yield (f"127.0.0.1:{silent.getsockname()[1]}",)


async def test_the_invite_goes_out_after_the_configured_wait(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    invite = await dial(page, gateway)
    assert "typ host" in invite.body
    known = await diagnostics(page)
    assert known["reflexiveAddress"] is None
    assert 1000 <= known["gatheringMs"] < 5000
    await GatewayDialog(gateway, invite).respond(486)
    await gateway.receive_request("ACK")


async def test_a_hang_up_before_the_invite_sends_nothing(page: Page, gateway: ScriptedGateway) -> None:
    await sign_in(page, gateway)
    gateway.ladder.clear()
    await page.fill("#target", "bob")
    await page.get_by_role("button", name="Call", exact=True).click()
    await expect(page.locator("#call-state")).to_have_text("Calling…")
    await page.get_by_role("button", name="Hang up").click()
    await expect(page.locator("#dial-card")).to_be_visible()
    assert await page.evaluate("() => window.softphone.call.end") == {
        "by": "local",
        "cause": "cancelled",
    }
    # The next call's INVITE comes first on the wire: the one hung up was never sent.
    invite = await dial(page, gateway)
    assert gateway.ladder == ["> INVITE"]
    await GatewayDialog(gateway, invite).respond(486)
    await gateway.receive_request("ACK")
