"""From the web API through Redis and the gateway to the real core: logout, and an identity that two guests want."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.lab.web import Browser
from tests.integration.trust.issuers import bearer
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.subscribers import GUEST_NAMES
from tests.lab.waiting import wait_until
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

LOGOUT_S = 5.0
KEYS_S = 10.0
GUEST = GUEST_NAMES[0]
PARTS = frozenset({Part.REDIS, Part.IMS, Part.GATEWAY, Part.RTPENGINE, Part.WEB_API, Part.HAPROXY})


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Web API, gateway and real core; one identity for all guests, which rests a minute unless it is signed off."""
    guest = f"{GUEST}@ims.test"
    pool = [{"impi": guest, "impus": [f"sip:{guest}"]}]
    web = {"webapp_api_identity_pool": pool, "webapp_api_lease_settling_s": 60}
    with Lab(LabOptions(parts=PARTS, phones=(), role_variables={"webapp_api": web})) as lab:
        wait_until(
            lambda: lab.info.web.origin in lab.gateway_rpc.htable("jwks"), "keys at the gateway", KEYS_S
        )
        yield lab


@pytest.fixture
async def pages(world: Lab) -> AsyncIterator[list[ScriptedWic]]:
    """Pages to be closed afterwards."""
    opened: list[ScriptedWic] = []
    yield opened
    for page in opened:
        await page.close()


async def open_page(lab: Lab, name: str, pages: list[ScriptedWic]) -> ScriptedWic:
    """Connect a page through the TLS front."""
    handshake = Handshake(lab.info.web.wss_url, lab.info.web.origin, forwarded_for=None)
    page = ScriptedWic(handshake, WicIdentity(lab.info.users[name].impu))
    pages.append(page)
    await page.connect()
    return page


def registered(lab: Lab, name: str) -> dict[str, str]:
    """Return what the home subscriber server has as registered of a user."""
    return dict(lab.hss.ask("subscriptions")[lab.info.users[name].impi]["registered"])


async def ended(lab: Lab, name: str, page: ScriptedWic, began: float) -> None:
    """Wait for the end of a page's connection and of its registration at the core, in time."""
    await asyncio.wait_for(page.lost.wait(), LOGOUT_S)
    assert page.socket.close_code == 4401
    await asyncio.to_thread(wait_until, lambda: not registered(lab, name), "the end at the core", LOGOUT_S)
    assert time.monotonic() - began < LOGOUT_S


@pytest.mark.conformance("R-67", "X-12")
async def test_a_logout_ends_connection_and_registration_within_five_seconds(
    world: Lab, pages: list[ScriptedWic]
) -> None:
    browser = Browser(world)
    assert browser.log_in("alice", world.info.web.accounts["alice"]).status_code == 201
    token = browser.token()
    page = await open_page(world, "alice", pages)
    assert (await page.register(headers=bearer(token))).status == 200
    assert registered(world, "alice")
    began = time.monotonic()
    browser.log_out()
    await ended(world, "alice", page, began)
    again = await open_page(world, "alice", pages)
    assert (await again.register(headers=bearer(token))).status == 401


@pytest.mark.conformance("R-15", "X-12")
async def test_of_two_guests_one_has_the_identity_until_its_registration_ends(
    world: Lab, pages: list[ScriptedWic]
) -> None:
    guests = Browser(world), Browser(world)
    answers = await asyncio.gather(*(asyncio.to_thread(guest.lease) for guest in guests))
    assert sorted(answer.status_code for answer in answers) == [201, 503]
    first, second = sorted(guests, key=lambda guest: not guest.session["authenticated"])
    (refusal,) = [answer for answer in answers if answer.status_code == 503]
    assert int(refusal.headers["Retry-After"]) > 0
    assert "in use" in refusal.text
    token = first.token()
    page = await open_page(world, GUEST, pages)
    assert (await page.register(headers=bearer(token))).status == 200
    assert second.lease().status_code == 503
    began = time.monotonic()
    first.log_out()
    await ended(world, GUEST, page, began)
    await asyncio.to_thread(wait_until, lambda: second.lease().status_code == 201, "the identity", LOGOUT_S)
    successor = await open_page(world, GUEST, pages)
    assert (await successor.register(headers=bearer(token))).status == 401
    assert (await successor.register(headers=bearer(second.token()))).status == 200
    assert registered(world, GUEST)
    second.log_out()
