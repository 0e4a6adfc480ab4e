"""The same with the lab's real IMS core: its S-CSCF accepts our subscription, its HSS ends a registration."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.integration.registration.registering import GRACE_S, UNREGISTERED_S
from tests.lab.lab import Lab
from tests.lab.options import NO_LIMITS, LabOptions, Part
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import BY_NAME, Subscriber
from tests.peers.digest import Credentials
from tests.peers.websocket import Handshake
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab

WITHIN_S = 5.0
SUCCESS = 2001


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    """Gateway, relay, Redis and the core."""
    variables = {
        **NO_LIMITS,
        "gateway_unregistered_timeout_s": UNREGISTERED_S,
        "gateway_flow_recovery_s": GRACE_S,
    }
    parts = frozenset({Part.GATEWAY, Part.RTPENGINE, Part.REDIS, Part.IMS})
    with Lab(LabOptions(parts=parts, phones=(), role_variables={"kamailio": variables})) as lab:
        yield lab


@pytest.fixture
async def pages() -> AsyncIterator[list[ScriptedWic]]:
    """Pages that are closed when the test ends."""
    opened: list[ScriptedWic] = []
    yield opened
    for page in opened:
        await page.close()


async def registered(world: Lab, pages: list[ScriptedWic], name: str) -> ScriptedWic:
    user = BY_NAME[name]
    handshake = Handshake(f"ws://{LOOPBACK}:{world.info.gateway.ws_port}/sip", origin=world.info.web.origin)
    page = ScriptedWic(handshake, WicIdentity(user.impu, Credentials(user.impi, user.password)))
    pages.append(page)
    await page.connect()
    assert (await page.register()).status == 200
    return page


def table(world: Lab, name: str) -> dict[str, Any]:
    return {key: json.loads(text) for key, text in world.gateway_rpc.htable(name).items()}


def subscription(world: Lab, user: Subscriber) -> dict[str, Any]:
    mine = f"{user.impu} "
    found = [one for one in table(world, "subscription").values() if mine in "".join(one["bindings"])]
    return found[0] if found else {}


def bindings(world: Lab, user: Subscriber) -> list[str]:
    return [key for key in table(world, "registration") if key.startswith(f"{user.impu} ")]


async def until(what: Any, complaint: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline, complaint
        await asyncio.sleep(0.05)


@pytest.mark.conformance("R-60", "R-61")
async def test_the_hss_ends_a_registration_and_the_page_is_told(world: Lab, pages: list[ScriptedWic]) -> None:
    alice, dave = BY_NAME["alice"], BY_NAME["dave"]
    page = await registered(world, pages, "alice")
    second = await registered(world, pages, "alice")
    other = await registered(world, pages, "dave")
    await until(lambda: subscription(world, alice).get("version", -1) >= 0, "no NOTIFY came")
    assert subscription(world, alice)["remote_tag"]
    await until(lambda: len(subscription(world, alice)["bindings"]) == 2, "the second binding has none")
    assert world.hss.ask("terminate", impi=alice.impi, reason_code=0) == SUCCESS
    for one in (page, second):
        await asyncio.wait_for(one.lost.wait(), WITHIN_S)
        assert one.socket.close_code in (4403, 4404)
    assert bindings(world, alice) == []
    await until(lambda: not subscription(world, alice), "the subscription stays")
    assert bindings(world, dave)
    assert not other.lost.is_set()
    await page.connect()
    assert (await page.register()).status == 200
    assert len(bindings(world, alice)) == 1
    await page.unregister()
    await other.unregister()


@pytest.mark.conformance("R-64")
async def test_a_page_signs_off_and_registers_again_at_once(world: Lab, pages: list[ScriptedWic]) -> None:
    """Late notifications about what is over do not end what has begun."""
    bob = BY_NAME["bob"]
    page = await registered(world, pages, "bob")
    await until(lambda: subscription(world, bob).get("version", -1) >= 0, "no NOTIFY came")
    for _ in range(4):
        assert (await page.unregister()).status == 200
        assert bindings(world, bob) == []
        assert (await page.register()).status == 200
        await asyncio.sleep(0.7)
        assert len(bindings(world, bob)) == 1
        assert not page.lost.is_set()
    assert (await page.unregister()).status == 200
    await until(lambda: not subscription(world, bob), "the subscription stays")
    assert world.hss.ask("subscriptions")[bob.impi]["registered"] == {}


@pytest.mark.conformance("R-65")
async def test_a_page_that_comes_back_is_registered_again(world: Lab, pages: list[ScriptedWic]) -> None:
    web = BY_NAME["web1"]
    page = await registered(world, pages, "web1")
    page.lose()
    await page.lost.wait()
    await page.connect()
    assert (await page.register()).status == 200
    (binding,) = (
        one for one in table(world, "registration").values() if one["address_of_record"] == web.impu
    )
    assert binding["state"] == "registered"
    assert binding["associated_uris"][0] == f"<{web.impu}>"
    await asyncio.sleep(GRACE_S + 0.5)
    assert not page.lost.is_set()
    await page.unregister()


@pytest.mark.conformance("R-65")
async def test_the_core_believes_our_sign_off(world: Lab, pages: list[ScriptedWic]) -> None:
    web = BY_NAME["web2"]
    page = await registered(world, pages, "web2")
    (key,) = bindings(world, web)
    binding = table(world, "registration")[key]
    binding["grant"] |= {"scheme": "bearer", "impi": web.impi, "session": "sid-web2"}
    world.gateway_rpc("htable.sets", "registration", key, json.dumps(binding))
    assert world.hss.ask("subscriptions")[web.impi]["registered"]
    page.lose()
    await until(
        lambda: not world.hss.ask("subscriptions")[web.impi]["registered"], "still registered at the HSS"
    )
    assert bindings(world, web) == []


@pytest.mark.conformance("R-63")
async def test_a_page_watches_its_own_registration(world: Lab, pages: list[ScriptedWic]) -> None:
    """The S-CSCF takes its subscription beside ours, and tells it what becomes of its registration."""
    user = BY_NAME["web3"]
    page = await registered(world, pages, "web3")
    reg = [("Event", "reg"), ("Accept", "application/reginfo+xml"), ("Expires", "600")]
    subscribe = await page.send_request("SUBSCRIBE", user.impu, headers=reg)
    page.dialogs.add(subscribe.call_id)
    answer = await page.trace.wait_response(range(200, 700), "SUBSCRIBE", call_id=subscribe.call_id)
    assert answer.status == 200
    first = await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id)
    assert page.contact_uri in first.body
    assert 'state="active"' in first.body

    again = await page.request_inside(subscribe, answer, "SUBSCRIBE", cseq=2, headers=reg)
    assert again.status == 200

    assert (await page.unregister()).status == 200
    last = await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id, count=2)
    # There is one of the refresh before it (RFC 6665 §4.2.1.2), which Kamailio 5.6 leaves out.
    if "terminated" not in last.body:
        last = await page.trace.wait_request("NOTIFY", call_id=subscribe.call_id, count=3)
    assert "terminated" in last.body


@pytest.mark.conformance("R-63")
async def test_the_registration_of_another_is_not_its_business(world: Lab, pages: list[ScriptedWic]) -> None:
    page = await registered(world, pages, "web4")
    await registered(world, pages, "web5")
    reg = [("Event", "reg"), ("Expires", "600")]
    assert (await page.request("SUBSCRIBE", BY_NAME["web5"].impu, headers=reg)).status == 403
    for one in pages:
        await one.unregister()
