"""A running call without media is ended on both sides (TS 24.229 §5.2.8), one on hold is not.

The lab's calls may be silent for two seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from rtpengine.ng.commands import Delete
from rtpengine.pool import NodeAddress
from rtpengine.transport.udp import UdpClient
from tests.integration.calls.incoming import answered
from tests.integration.calls.offers import AUDIO_AND_VIDEO, AUDIO_BOTH_WAYS
from tests.integration.calls.stage import Call, Stage, gateway_options
from tests.integration.calls.test_page_offers import change, local
from tests.lab.lab import Lab
from tests.peers.core_script import answers
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import offer_again

pytestmark = [pytest.mark.lab, pytest.mark.conformance("S-39")]

SILENCE_S = 2
SOON_S = 2.5 * SILENCE_S


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway that does not wait long for media."""
    with Lab(gateway_options(gateway_media_timeout_s=SILENCE_S)) as lab:
        yield lab


async def ended(call: Call, words: str) -> None:
    """Both sides get a BYE that says why."""
    for side in (call.ims, call.wic):
        bye = await side.wait_request("BYE", timeout_s=SOON_S)
        assert bye.headers.get("Reason") == f'SIP;cause=503;text="{words}"'


async def test_a_silent_call_is_ended(stage: Stage) -> None:
    call = await stage.answered(await stage.page())
    await ended(call, f"no media for {SILENCE_S} s")
    await stage.logged(call.call_id, "event=media_lost")


async def test_so_is_one_the_page_answered(stage: Stage) -> None:
    call = await answered(stage, await stage.page())
    await ended(call, f"no media for {SILENCE_S} s")  # type: ignore[arg-type]


async def test_media_of_one_side_is_enough_until_it_ends(stage: Stage, phone: RtpEndpoint) -> None:
    stage.core.script = answers(DeviceMedia(audio_port=phone.port))
    call = await stage.answered(await stage.page())
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone()
    await asyncio.sleep(2 * SILENCE_S)
    assert (await call.wic.info()).status == 200
    phone.stop_sending()
    await ended(call, f"no media for {SILENCE_S} s")


async def test_a_far_end_that_does_not_listen_may_be_silent(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia(direction="sendonly"))
    call = await stage.answered(await stage.page())
    await asyncio.sleep(SOON_S)
    await call.hang_up()


@pytest.mark.parametrize("holder", ["page", "far end"])
async def test_on_hold_both_may_be_silent_and_not_after_it(stage: Stage, holder: str) -> None:
    call = await stage.answered(await stage.page(), AUDIO_BOTH_WAYS)
    for step, direction in enumerate(("inactive", "sendrecv")):
        if holder == "page":
            response = await change(call, offer_again(local(call), {"0": direction}))
        else:
            device = DeviceMedia(direction=direction, version=2 + step)
            response = await call.ims.reinvite(device_offer(device))
        assert response.status == 200, response.start_line
        if direction == "inactive":
            await asyncio.sleep(SOON_S)
            assert (await call.wic.info()).status == 200
    await ended(call, f"no media for {SILENCE_S} s")


async def test_a_call_the_relay_does_not_know_any_more_is_ended(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia(direction="sendonly"))
    call = await stage.answered(await stage.page())
    forget(stage, call.call_id)
    await ended(call, "the media relay has lost the call")


async def test_one_medium_less_is_not_the_end(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia(direction="sendonly", video="H264"))
    call = await stage.answered(await stage.page(), AUDIO_AND_VIDEO)
    forget(stage, f"{call.call_id}-v")
    await asyncio.sleep(SOON_S)
    await call.hang_up()


async def test_a_relay_that_does_not_answer_ends_nothing(stage: Stage) -> None:
    call = await stage.answered(await stage.page())
    with stage.relay_asleep():
        await asyncio.sleep(SOON_S)
        assert (await call.wic.info()).status == 200
    await call.hang_up()


def forget(stage: Stage, ng_call_id: str) -> None:
    """Let the relay lose one of its calls."""
    node = stage.lab.info.rtpengine
    client = UdpClient(NodeAddress(node.ng_address, node.ng_port))
    client.request(Delete(ng_call_id))
    client.close()
