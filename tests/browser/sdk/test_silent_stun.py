"""A STUN server that never answers: the call is late by a second, not by the browser's ten."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.sdk.gateway import GatewayDialog, ScriptedGateway
from tests.browser.sdk.running_call import one_way_call
from tests.browser.sdk.running_peer import credentials_of, directions_of
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


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
async def test_an_offer_that_comes_before_ours_is_sent_goes_first(
    page: Page, gateway: ScriptedGateway, method: str
) -> None:
    async with one_way_call(page, gateway) as call:
        # The restart takes a second: its candidates are waited for.
        await gateway.drop_socket()
        await gateway.register_again()
        await page.wait_for_function(
            "() => window.softphone.call.recovering && window.softphone.phone.state === 'registered'"
        )
        await asyncio.sleep(0.3)
        offer = call.update if method == "UPDATE" else call.reinvite
        call.peer.receives = False
        answer = await offer(await call.peer.offer())
        assert directions_of(answer.body) == {"0": "inactive", "r0": "recvonly"}
        assert await call.held() == (False, True)
        call.peer.receives = True
        restart = await call.page_offer()
        assert credentials_of(restart.body) != credentials_of(answer.body)
        await call.accept(restart)
        await call.page_is_heard()
        await call.page_hears()
        await call.hang_up()
