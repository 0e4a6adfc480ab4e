"""The page learns its address from the gateway's STUN server and does not wait for more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser.sdk.gateway import GatewayDialog, ScriptedGateway
from tests.browser.sdk.softphone_page import diagnostics, dial, sign_in
from tests.browser.sdk.stun_server import StunServer

pytestmark = pytest.mark.browser

LONGEST_WAIT_MS: Final = 1000
"""What the page would wait if candidates never sufficed."""
MAPPED: Final = ("192.0.2.77", 40404)


@pytest_asyncio.fixture
async def stun_servers() -> AsyncIterator[tuple[str, ...]]:
    """One STUN server on a free port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: StunServer(MAPPED), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    yield (f"127.0.0.1:{port}",)
    transport.close()


async def test_the_reflexive_address_comes_from_the_gateways_stun_server_and_ends_the_wait(
    page: Page, gateway: ScriptedGateway
) -> None:
    await sign_in(page, gateway)
    invite = await dial(page, gateway)
    assert f" {MAPPED[0]} {MAPPED[1]} typ srflx" in invite.body
    known = await diagnostics(page)
    assert known["reflexiveAddress"] == {"address": MAPPED[0], "port": MAPPED[1]}
    assert known["gatheringMs"] < LONGEST_WAIT_MS
    await GatewayDialog(gateway, invite).respond(486)
    await gateway.receive_request("ACK")
