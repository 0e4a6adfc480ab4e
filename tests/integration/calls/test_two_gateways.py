"""Two gateways of one site, both alive: calls find their page wherever it is, and pages may change the gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.stage import ALICE, Stage, until
from tests.integration.calls.test_ice_restart import ice, offered, offers
from tests.integration.calls.test_page_offers import change, directions, local, requests_at_core
from tests.integration.calls.test_restart import restart, settled
from tests.integration.calls.test_takeover import change_at_last
from tests.integration.calls.two_gateways import comes_to, first_gateway, second_gateway
from tests.lab.lab import Lab
from tests.peers.core_script import CoreScript, Final
from tests.peers.device_sdp import DeviceMedia
from tests.peers.sdp import offer_again
from tests.peers.sip import SipRequest
from tests.peers.udp import Address
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

RECOVERY_S = 20
WAIT_S = 5
FLOW_FAILED = 430
CLOCKS_APART_S = 1.1


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """The gateway A."""
    with first_gateway(gateway_flow_recovery_s=RECOVERY_S, gateway_flow_wait_s=WAIT_S) as lab:
        yield lab


@pytest.fixture(scope="module")
def other(gateway_lab: Lab) -> Iterator[Lab]:
    """The gateway B."""
    with second_gateway(gateway_lab, gateway_flow_recovery_s=RECOVERY_S, gateway_flow_wait_s=WAIT_S) as lab:
        yield lab


def sip_of(lab: Lab) -> Address:
    return lab.info.gateway.address, lab.info.gateway.sip_port


def drain(stage: Stage) -> dict[str, Any]:
    """Return what is left at the gateway A."""
    left: dict[str, Any] = stage.lab.control("GET", "/v1/drain")[1]
    return left


async def empty(stage: Stage) -> None:
    """Wait until the gateway A, which leaves, can be restarted."""
    await until(
        lambda: not any(drain(stage)[what] for what in ("pages", "calls", "requests")),
        lambda: str(drain(stage)),
        15,
    )
    assert drain(stage)["waited_for"] == []


async def lost(stage: Stage, page: ScriptedWic) -> None:
    """End the page's connection, and wait until the gateway knows: what it sends before that is lost with it."""
    page.lose()
    await page.lost.wait()

    def noticed() -> bool:
        bindings = stage.lab.gateway_rpc.htable("registration").values()
        return all('"connection_id":""' in text for text in bindings if page.contact_uri in text)

    await until(noticed, lambda: "the gateway has not noticed", 15)


async def test_a_page_at_one_gateway_is_called_by_the_other(stage: Stage, other: Lab) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, at=sip_of(other))
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)
    await wic.answer()
    call = PageCall(wic, ims)
    await call.works()
    assert len(stage.lab.gateway_rpc.htable("call")) == 1
    assert not other.gateway_rpc.htable("call")
    assert (await ims.bye()).status == 200
    await wic.wait_request("BYE")


async def test_a_refusal_and_a_cancel_pass_through_the_other(stage: Stage, other: Lab) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, at=sip_of(other))
    await (await page.wait_incoming()).respond(486)
    assert (await ims.wait_status(486)).status == 486
    ims = stage.core.call(ALICE, at=sip_of(other))
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)
    ims.cancel()
    await wic.wait_request("CANCEL")
    assert (await ims.wait_status(487)).status == 487


@pytest.mark.parametrize("comes_back_to", ["the same", "the other"])
async def test_a_call_waits_for_a_page_that_is_changing_its_connection(
    stage: Stage, other: Lab, comes_back_to: str
) -> None:
    page = await stage.page()
    await lost(stage, page)
    ims = stage.core.call(ALICE)
    await asyncio.sleep(0.3)
    await comes_to(stage.lab if comes_back_to == "the same" else other, page)
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)
    await wic.answer()
    await PageCall(wic, ims).works()
    assert (await wic.bye()).status == 200
    await ims.wait_request("BYE")


async def test_a_call_does_not_wait_for_ever(stage: Stage, other: Lab) -> None:
    assert other.info
    page = await stage.page()
    await lost(stage, page)
    cancelled, ims = stage.core.call(ALICE), stage.core.call(ALICE)
    began = time.monotonic()
    await cancelled.wait_status(100)
    cancelled.cancel()
    assert (await cancelled.wait_status(487)).status == 487
    assert (await ims.wait_status(FLOW_FAILED, timeout_s=WAIT_S + 15)).status == FLOW_FAILED
    assert WAIT_S - 0.5 < time.monotonic() - began < WAIT_S + 15
    late = stage.core.call(ALICE)
    assert (await late.wait_status(FLOW_FAILED)).status == FLOW_FAILED


async def test_a_call_goes_with_its_page(stage: Stage, other: Lab) -> None:
    """Nobody has died: the page has changed its network, and found the other gateway."""
    page = await stage.page()
    call = await stage.answered(page)
    await settled(stage, call.call_id)
    await lost(stage, page)
    await comes_to(other, page)
    await until(
        lambda: call.call_id in other.gateway_rpc.htable("call"), lambda: "the call was not handed over", 15
    )
    assert not stage.record(call.call_id)
    *_, held = await change_at_last(call, offer_again(local(call), {"0": "inactive", "r0": "inactive"}))
    assert (held.status, directions(held.body)) == (200, ["inactive", "inactive"])
    resumed = await change(call, offer_again(local(call), {"0": "sendonly", "r0": "recvonly"}))
    assert resumed.status == 200
    assert (await call.ims.info("text/plain", "found you")).status == 200
    assert (await call.wic.info()).status == 200
    await call.hang_up()


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
async def test_the_far_end_hears_at_once_where_its_call_is(stage: Stage, other: Lab, method: str) -> None:
    """It has no session timer, and the page says nothing."""
    allow = ("Allow", f"INVITE, ACK, CANCEL, BYE, INFO, {method}")
    stage.core.script = CoreScript((Final(200, DeviceMedia(), headers=(allow,)),))
    page = await stage.page()
    call = await stage.answered(page)
    await settled(stage, call.call_id)
    await lost(stage, page)
    await comes_to(other, page)
    there = f":{other.info.gateway.sip_port}"

    def told() -> list[SipRequest]:
        requests = requests_at_core(call, method)
        return [request for request in requests if (request.contact_uri or "").endswith(there)]

    await until(lambda: len(told()) > 0, lambda: "nobody told the far end", 15)
    assert "Session-Expires" not in {name for name, _ in told()[0].headers}
    assert (await call.ims.info("text/plain", "found you")).status == 200
    await call.hang_up()


async def test_so_it_does_where_the_connection_of_before_never_ends(stage: Stage, other: Lab) -> None:
    """The network of before is gone, and nobody says so."""
    page = await stage.page()
    call = await stage.answered(page)
    await settled(stage, call.call_id)
    left_behind = page.socket
    await asyncio.sleep(CLOCKS_APART_S)  # else it might be the clocks
    await comes_to(other, page)
    held = offer_again(local(call), {"0": "inactive", "r0": "inactive"})
    first, *_, last = await change_at_last(call, held)
    assert (first.status, last.status) == (491, 200)
    assert left_behind.close_code == 4409
    assert not stage.record(call.call_id)
    assert (await call.ims.info("text/plain", "found you")).status == 200
    await call.hang_up()


async def test_a_page_that_leaves_ice_alone_is_offered_a_restart_by_the_other(
    stage: Stage, other: Lab
) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    before = offers(call)
    await settled(stage, call.call_id)
    await lost(stage, page)
    await comes_to(other, page)
    assert ice(await offered(call, len(before))).isdisjoint(ice(before[-1]))
    log = Path(other.info.log_dir) / "gateway.log"
    await until(
        lambda: f"event=ice_restarted call_id={call.call_id}" in log.read_text(errors="replace"),
        lambda: "the relay did not learn the answer",
        15,
    )
    assert (await call.wic.info()).status == 200
    await call.hang_up()


@pytest.mark.conformance("B-11")
async def test_a_gateway_that_leaves_keeps_the_pages_with_calls(stage: Stage, other: Lab) -> None:
    idle, busy = await stage.page(), await stage.page("sip:carol@ims.test")
    call = await stage.answered(busy)
    try:
        assert stage.lab.control("PUT", "/v1/drain", {"drain": True})[0] == 200
        await asyncio.wait_for(idle.lost.wait(), 15)
        assert idle.socket.close_code == 1000
        with pytest.raises(InvalidStatus, match="503"):
            await idle.connect()
        ims = stage.core.call(ALICE)
        await comes_to(other, idle)
        wic = await idle.wait_incoming()
        await wic.ring()
        await wic.answer()
        await PageCall(wic, ims).works()
        assert (await wic.bye()).status == 200
        left = drain(stage)
        assert (left["drain"], left["pages"], left["calls"]) == (True, 1, 1)
        assert [(one["impu"], one["calls"]) for one in left["waited_for"]] == [("sip:carol@ims.test", 1)]
        await call.hang_up()
        await asyncio.wait_for(busy.lost.wait(), 15)
        await comes_to(other, busy)
        await empty(stage)
    finally:
        stage.lab.control("PUT", "/v1/drain", {"drain": False})


@pytest.mark.parametrize("ends", ["answered", "refused", "cancelled", "given up"])
async def test_a_gateway_that_leaves_is_empty_when_nothing_passes_through_it(
    stage: Stage, other: Lab, ends: str
) -> None:
    """A restart would lose the transaction, and the caller would hear nothing for ever."""
    page = await stage.page()
    stage.lab.control("PUT", "/v1/drain", {"drain": True})
    try:
        await asyncio.wait_for(page.lost.wait(), 15)
        ims = stage.core.call(ALICE)
        await ims.wait_status(100)
        await until(lambda: drain(stage)["requests"] == 1, lambda: str(drain(stage)), 15)
        if ends == "given up":
            assert (await ims.wait_status(FLOW_FAILED, timeout_s=WAIT_S + 15)).status == FLOW_FAILED
        else:
            assert drain(stage)["pages"] == 1
            await comes_to(other, page)
            wic = await page.wait_incoming()
            await wic.ring()
            await ims.wait_status(180)
            assert (drain(stage)["calls"], drain(stage)["requests"]) == (0, 1)
            if ends == "answered":
                await wic.answer()
                await PageCall(wic, ims).works()
                assert drain(stage)["requests"] == 0
                assert (await ims.bye()).status == 200
                await wic.wait_request("BYE")
            elif ends == "refused":
                await wic.respond(486)
                assert (await ims.wait_status(486)).status == 486
            else:
                ims.cancel()
                assert (await ims.wait_status(487)).status == 487
        await empty(stage)
    finally:
        stage.lab.control("PUT", "/v1/drain", {"drain": False})


async def test_a_call_that_rings_survives_the_upgrade_of_the_gateway_it_passes_through(
    stage: Stage, other: Lab
) -> None:
    """As a playbook does it: drain, wait until it is empty, restart."""
    page = await stage.page()
    stage.lab.control("PUT", "/v1/drain", {"drain": True})
    await asyncio.wait_for(page.lost.wait(), 15)
    ims = stage.core.call(ALICE)
    await ims.wait_status(100)
    await comes_to(other, page)
    wic = await page.wait_incoming()
    await wic.ring()
    await ims.wait_status(180)

    async def answer() -> None:
        await asyncio.sleep(
            2
        )  # people take their time; a gateway that did not wait for them is restarted by then
        await wic.answer()

    answered = asyncio.create_task(answer())
    await empty(stage)
    await restart(stage)
    await answered
    await PageCall(wic, ims).works()
    assert (await wic.bye()).status == 200
    await ims.wait_request("BYE")
