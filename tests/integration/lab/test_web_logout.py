"""From the web API through Redis and the gateway to the real core: logout, and an identity that two guests want."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from kemi.state.web.accounts import AccountStore
from kemi.state.web.client import connect
from tests.integration.lab.web import Browser
from tests.integration.trust.issuers import bearer
from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part
from tests.lab.subscribers import GUEST_NAMES
from tests.lab.waiting import wait_until
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

REGISTRATIONS = "/api/operator/registrations"
LOGOUT_S = 20.0
BAR_S = 5.0
KEYS_S = 30.0
GUEST = GUEST_NAMES[0]
PARTS = frozenset({Part.REDIS, Part.IMS, Part.GATEWAY, Part.RTPENGINE, Part.WEB_API, Part.HAPROXY})


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Web API, gateway and real core; one identity for all guests, which rests a minute unless it is signed off."""
    guest = f"{GUEST}@ims.test"
    pool = [{"impi": guest, "impus": [f"sip:{guest}"]}]
    web = {
        "webapp_api_identity_pool": pool,
        "webapp_api_lease_settling_s": 60,
        "webapp_api_login_attempts_per_address": 1000,  # whoever waits for an identity asks often
    }
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


async def open_page(
    lab: Lab, name: str, pages: list[ScriptedWic], *, with_password: bool = False
) -> ScriptedWic:
    """Connect a page through the TLS front."""
    handshake = Handshake(lab.info.web.wss_url, lab.info.web.origin, forwarded_for=None)
    user = lab.info.users[name]
    credentials = Credentials(user.impi, user.password) if with_password else None
    page = ScriptedWic(handshake, WicIdentity(user.impu, credentials))
    pages.append(page)
    await page.connect()
    return page


def operator_of(lab: Lab, name: str) -> Browser:
    """Make somebody an operator, who logs in."""
    store = AccountStore(connect(lab.info.redis_url))
    account = store.get(name)
    assert account is not None
    store.put(msgspec.structs.replace(account, operator=True))
    browser = Browser(lab)
    assert browser.log_in(name, lab.info.web.accounts[name]).status_code == 201
    return browser


def shown_registrations(operator: Browser, *impus: str) -> dict[str, dict[str, Any]]:
    """Return what the operator is shown of pages that are there, by identity, once it is these identities."""

    def ask() -> dict[str, dict[str, Any]]:
        found = operator.http.get(f"{operator.origin}{REGISTRATIONS}", timeout=5).json()["registrations"]
        return {one["impu"]: one for one in found if one["state"] == "registered"}

    wait_until(lambda: ask().keys() == set(impus), "the registrations", KEYS_S)
    return ask()


def registered(lab: Lab, name: str) -> dict[str, str]:
    """Return what the home subscriber server has as registered of a user."""
    return dict(lab.hss.ask("subscriptions")[lab.info.users[name].impi]["registered"])


async def ended(lab: Lab, name: str, page: ScriptedWic) -> None:
    """Wait for the end of a page's connection and of its registration at the core."""
    await asyncio.wait_for(page.lost.wait(), LOGOUT_S)
    assert page.socket.close_code == 4401
    await asyncio.to_thread(wait_until, lambda: not registered(lab, name), "the end at the core", LOGOUT_S)


async def taken_by_core(page: ScriptedWic, token: str) -> None:
    """Register after somebody else with the same identity: Kamailio's S-CSCF clears that one's contact by a timer.

    Once in many runs it answers 500 (``P-Registrar-Error: SAR failed``) just then, and a page asks again.
    """
    response = await page.register(headers=bearer(token))
    if response.status == 500:
        assert response.headers.get("P-Registrar-Error") == "SAR failed", response
        response = await page.register(headers=bearer(token))
    assert response.status == 200, response


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
    await ended(world, "alice", page)
    assert time.monotonic() - began < BAR_S
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
    first.log_out()
    await ended(world, GUEST, page)
    await asyncio.to_thread(wait_until, lambda: second.lease().status_code == 201, "the identity", LOGOUT_S)
    successor = await open_page(world, GUEST, pages)
    assert (await successor.register(headers=bearer(token))).status == 401
    await taken_by_core(successor, second.token())
    assert registered(world, GUEST)
    second.log_out()


async def test_an_operator_sees_and_ends_registrations_with_a_token_and_with_a_sip_password(
    world: Lab, pages: list[ScriptedWic]
) -> None:
    operator, browser = operator_of(world, "alice"), Browser(world)
    browser.log_in("alice", world.info.web.accounts["alice"])
    with_token = await open_page(world, "alice", pages)
    with_password = await open_page(world, "dave", pages, with_password=True)
    assert (await with_token.register(headers=bearer(browser.token()))).status == 200
    dave = world.info.users["dave"]
    assert (await with_password.register()).status == 200
    shown = await asyncio.to_thread(shown_registrations, operator, world.info.users["alice"].impu, dave.impu)
    alice = shown[world.info.users["alice"].impu]
    assert (alice["scheme"], alice["state"], alice["address"]) == ("bearer", "registered", "127.0.0.1")
    assert 0 <= time.time() - alice["since"] < 30
    for impu, page, code in ((alice["impu"], with_token, 4401), (dave.impu, with_password, 4403)):
        path = f"{REGISTRATIONS}/{shown[impu]['id']}"
        assert operator.http.delete(f"{operator.origin}{path}", timeout=5).status_code == 202
        await asyncio.wait_for(page.lost.wait(), LOGOUT_S)
        assert page.socket.close_code == code
    assert await asyncio.to_thread(shown_registrations, operator) == {}
    assert not browser.session["authenticated"]
    again = await open_page(world, "dave", pages, with_password=True)
    assert (await again.register()).status == 200
