"""Two gateways of one site: one dies, its pages come to the other one, and so do their calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from kemi.adapters.calls.adoption import LOOK_S, SILENT_S
from tests.integration.calls.incoming import PageCall
from tests.integration.calls.stage import BOB, Call, Stage, until
from tests.integration.calls.test_media import DEVICE_HZ, connected, payload_type
from tests.integration.calls.test_page_offers import change, directions, local, offers_at_core
from tests.integration.calls.test_restart import both_hear_anew, settled
from tests.integration.calls.two_gateways import comes_to, first_gateway, handshake_at, second_gateway
from tests.lab.lab import Lab
from tests.lab.options import Part
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import offer_again
from tests.peers.sip import SipResponse
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab

RECOVERY_S = 20
"""Long enough for a page on a busy machine."""
NOTICED_S = SILENT_S + 2 * LOOK_S + 1


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """The gateway that will die, with the site's relay and Redis."""
    with first_gateway(gateway_flow_recovery_s=RECOVERY_S) as lab:
        yield lab


@pytest.fixture(scope="module")
def other_lab(gateway_lab: Lab) -> Iterator[Lab]:
    """The other gateway, of the same relay and Redis."""
    with second_gateway(gateway_lab, gateway_flow_recovery_s=RECOVERY_S) as lab:
        yield lab


@pytest.fixture(autouse=True)
def both_run(gateway_lab: Lab, other_lab: Lab) -> Iterator[None]:
    """Whoever was killed is started again for the next test."""
    assert other_lab.info.redis_url
    yield
    if "gateway" not in gateway_lab.process_ids:
        gateway_lab.start_again("gateway", Part.GATEWAY)


async def move(stage: Stage, other: Lab, page: ScriptedWic, *names: str) -> None:
    """Kill the gateway, and let the page come to the other one."""
    await settled(stage, *names)
    stage.lab.kill("gateway")
    await page.lost.wait()
    await comes_to(other, page)


async def adopted(other: Lab, key: str) -> None:
    """Wait until the other gateway has a call."""
    await until(
        lambda: key in other.gateway_rpc.htable("call"), lambda: "the call was not taken over", NOTICED_S
    )


async def change_at_last(call: Call | PageCall, offer: str) -> list[SipResponse]:
    """Offer something, and again after each 491, as pages do for half a minute; return the responses."""
    responses = [await change(call, offer)]
    async with asyncio.timeout(30):
        while responses[-1].status == 491:
            await asyncio.sleep(0.5)  # RFC 3261 §14.1
            responses.append(await change(call, offer))
    return responses


async def test_a_call_goes_on_at_the_other_gateway(
    stage: Stage, other_lab: Lab, page: AiortcWic, phone: RtpEndpoint
) -> None:
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    wic, media = await page.dial(BOB)
    call = await connected(stage, wic, media)
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ, payload_type(call.ims, "PCMA"))
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await move(stage, other_lab, page, call.call_id)
    await both_hear_anew(phone, media)
    await adopted(other_lab, call.call_id)
    await both_hear_anew(phone, media)
    assert (await call.wic.info()).status == 200
    assert (await call.wic.info_dtmf("5")).status == 200
    await call.hang_up()


async def test_a_page_that_speaks_before_its_call_is_there_asks_again(stage: Stage, other_lab: Lab) -> None:
    """ICE is restarted as soon as the page has registered."""
    page = await stage.page()
    call = await stage.answered(page)
    await move(stage, other_lab, page, call.call_id)
    assert (await call.wic.info()).status == 500
    held = offer_again(local(call), {"0": "inactive", "r0": "inactive"})
    first, *_, last = await change_at_last(call, held)
    assert (first.status, last.status) == (491, 200)
    await call.hang_up()


async def test_hold_resume_and_the_end_by_the_core(stage: Stage, other_lab: Lab) -> None:
    page = await stage.page()
    call = await stage.answered(page)
    await move(stage, other_lab, page, call.call_id)
    await adopted(other_lab, call.call_id)
    # The core is told where the call is now, by a re-INVITE: a change of the page's may cross that.
    *_, held = await change_at_last(call, offer_again(local(call), {"0": "inactive", "r0": "inactive"}))
    assert (held.status, directions(held.body)) == (200, ["inactive", "inactive"])
    resumed = await change(call, offer_again(local(call), {"0": "sendonly", "r0": "recvonly"}))
    assert resumed.status == 200
    wanted = [sdp.media[0].direction for sdp in await offers_at_core(call)]
    assert wanted[-2:] == ["inactive", "sendrecv"]
    # The core has heard where the call is now.
    assert (await call.ims.info("text/plain", "found you")).status == 200
    assert (await call.ims.bye()).status == 200
    await call.wic.wait_request("BYE")


async def test_a_call_is_nobody_elses(stage: Stage, other_lab: Lab) -> None:
    """Another page of the same person has another Contact."""
    page = await stage.page()
    call = await stage.answered(page)
    await settled(stage, call.call_id)
    stage.lab.kill("gateway")
    stranger = await stage.join(ScriptedWic(handshake_at(other_lab), page.identity))
    await asyncio.sleep(NOTICED_S)
    assert call.call_id not in other_lab.gateway_rpc.htable("call")
    assert stranger.contact_uri != page.contact_uri
    stage.lab.start_again("gateway", Part.GATEWAY)
    assert call.call_id in stage.lab.gateway_rpc.htable("call")
    await page.lost.wait()
    await page.connect()
    assert (await page.register()).status == 200
    await Call(call.wic, call.ims).hang_up()
