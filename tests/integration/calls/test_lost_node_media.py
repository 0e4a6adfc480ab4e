"""A media node is killed under running calls: they are heard and seen again by way of another one, in real sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.calls.incoming import answered as answered_by_page
from tests.integration.calls.offers import without_lines
from tests.integration.calls.stage import ALICE, BOB, Call
from tests.integration.calls.two_nodes import Nodes, NodeStage, stage_with_nodes
from tests.lab.lab import Lab
from tests.peers.aiortc_wic import TONE_HZ
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled, answers
from tests.peers.device_sdp import DeviceMedia
from tests.peers.media import RtpEndpoint
from tests.peers.moving import MovingMedia, MovingWic, ufrags
from tests.peers.sdp import sdp_from_text
from tests.peers.wic import WicIdentity

pytestmark = pytest.mark.lab

DEVICE_HZ = 440.0
WITHIN_S = 15.0
AWAY_S = 1.0
SIP_JS: dict[str, Any] = {
    "allow": "ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER",
    "supported": "outbound",
}
JSSIP: dict[str, Any] = {
    "allow": "INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY",
    "supported": "outbound",
}


@pytest.fixture(autouse=True)
async def stage(nodes_lab: tuple[Lab, Nodes]) -> AsyncIterator[NodeStage]:
    """A core, pages, two nodes."""
    async with stage_with_nodes(*nodes_lab) as stage:
        yield stage


async def open_page(stage: NodeStage) -> MovingWic:
    """Open a page whose media can move."""
    page = MovingWic(stage.handshake, WicIdentity(ALICE))
    await stage.join(page)
    return page


async def heard_again(media: MovingMedia, phone: RtpEndpoint, mid: str, told: str) -> None:
    """The phone sends to its new target, and both hear each other."""
    phone.send_to_sdp(told)
    phone.forget_received()
    async with asyncio.timeout(WITHIN_S):
        await media.until_heard(DEVICE_HZ, mid=mid)
        await phone.until_tone(TONE_HZ, timeout_s=WITHIN_S)


@pytest.mark.parametrize(
    ("audio", "client", "method"),
    [
        pytest.param("sendonly", {}, "UPDATE", id="two lines, one transport"),
        pytest.param("split", {}, "UPDATE", id="two lines, two transports"),
        pytest.param("sendrecv", {}, "UPDATE", id="one line"),
        pytest.param("sendrecv", SIP_JS, "INVITE", id="stock SIP.js"),
        pytest.param("sendonly", JSSIP, "UPDATE", id="JsSIP, one way"),
    ],
)
async def test_a_page_that_called_is_heard_again(
    stage: NodeStage, phone: RtpEndpoint, audio: Any, client: dict[str, Any], method: str
) -> None:
    page = await open_page(stage)
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    media = page.new_media()
    offer = await media.offer(audio="sendonly" if audio == "split" else audio)
    if audio == "split":
        offer = without_lines(offer, "a=group:")
    wic = await page.invite(BOB, offer, media=media, **client)
    await wic.wait_answer(timeout_s=10)
    call = Call(wic, await stage.core.wait_call())
    call.ims.media = DeviceMedia(audio_port=phone.port, version=2)
    await call.ims.wait_ack()
    mid = "0" if audio == "sendrecv" else "r0"
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(DEVICE_HZ)
    await media.until_heard(DEVICE_HZ, mid=mid)
    await phone.until_tone(TONE_HZ)
    before = ufrags(media.connection.remoteDescription.sdp)

    answer = stage.lose_node(call.call_id, kill=True)
    assert answer == {"moving": [call.call_id], "over": [], "elsewhere": []}
    told = await call.ims.wait_request("INVITE", count=2)
    await heard_again(media, phone, mid, told.body)
    await stage.moved(call.call_id)
    assert media.moves == 1
    assert (await call.wic.wait_request(method)).has_sdp
    assert not set(before) & set(ufrags(media.connection.remoteDescription.sdp))
    old, new = (sdp_from_text(body).media[0] for body in (call.ims.invite.body, told.body))
    assert new.port != old.port
    assert new.direction == old.direction == "sendrecv"
    assert call.ims.ladder().count("<- INVITE (SDP)") == 2
    assert (await call.wic.info_dtmf("5")).status == 200
    await call.hang_up()


@pytest.mark.parametrize("audio", ["sendonly", "sendrecv"])
async def test_one_that_was_started_again_while_the_callee_rang(
    stage: NodeStage, phone: RtpEndpoint, audio: Any
) -> None:
    """It makes a new call of whatever it is told, which neither side knows: that one goes, and the call moves."""
    page = await open_page(stage)
    stage.core.script = CoreScript((Provisional(180), UntilCancelled()))
    media = page.new_media()
    wic = await page.invite(BOB, await media.offer(audio=audio), media=media)
    await wic.wait_status(180)
    call = Call(wic, await stage.core.wait_call())
    await media.until_connected()
    stage.nodes.forget(stage.node_of(call.call_id))
    answer = DeviceMedia(audio_port=phone.port)
    call.ims.media = replace(answer, version=2)
    call.ims.respond(200, media=answer)
    await wic.wait_answer(timeout_s=10)
    told = await call.ims.wait_request("INVITE", count=2)
    phone.send_to_sdp(told.body)
    phone.start_tone(DEVICE_HZ)
    await heard_again(media, phone, "0" if audio == "sendrecv" else "r0", told.body)
    await stage.moved(call.call_id)
    assert media.moves == 1
    await call.hang_up()


async def test_a_page_that_was_called_is_heard_again(stage: NodeStage, phone: RtpEndpoint) -> None:
    page = await open_page(stage)
    call = await answered_by_page(stage, page, media=DeviceMedia(audio_port=phone.port))
    call.ims.media = DeviceMedia(audio_port=phone.port, version=2)
    (media,) = page.media
    assert isinstance(media, MovingMedia)
    phone.send_to_sdp((await call.ims.wait_status(200)).body)
    phone.start_tone(DEVICE_HZ)
    await media.until_heard(DEVICE_HZ, mid="0")
    stage.lose_node(call.call_id, kill=True)
    told = await call.ims.wait_request("INVITE")
    await heard_again(media, phone, "0", told.body)
    await stage.moved(stage.key_of(call.call_id))
    await call.works()
    assert (await call.ims.bye()).status == 200


async def test_without_another_node_it_waits_for_its_own_to_be_started_again(stage: NodeStage) -> None:
    call = await stage.answered(await stage.page())
    node = stage.node_of(call.call_id)
    stage.nodes.kill(stage.nodes.other(node))
    stage.lose_node(call.call_id, kill=True)
    await asyncio.sleep(AWAY_S)
    stage.nodes.daemons[node].start()
    await stage.moved(call.call_id)
    assert stage.node_of(call.call_id) == node
    assert "<- BYE" not in call.ims.ladder()
    await call.hang_up()
