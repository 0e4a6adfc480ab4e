"""What is heard in a call by a trunk: before a final refusal, and with keys by SDES."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.outbound_site import CALLEE, Carriers
from tests.integration.calls.stage import Call, Stage
from tests.integration.calls.test_page_offer_media import both_heard, change
from tests.lab.lab import Lab
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.core_script import CoreScript, Provisional, UntilCancelled, answers
from tests.peers.device_sdp import SOME_KEY, DeviceMedia, device_answer
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import sdp_from_text
from tests.peers.srtp import SrtpEndpoint

pytestmark = pytest.mark.lab

ANNOUNCEMENT_HZ = 440.0
AUSTRIA = "+4315550100"


@pytest.fixture(scope="module")
def gateway_lab(outbound_lab: Lab) -> Lab:
    """The one with trunks."""
    return outbound_lab


@pytest.fixture
def safe_phone() -> Iterator[SrtpEndpoint]:
    """A device with SRTP."""
    with SrtpEndpoint() as endpoint:
        yield endpoint


@pytest.mark.parametrize("status", [404, 486])
async def test_an_announcement_is_heard_before_the_refusal(
    carriers: Carriers,
    page: AiortcWic,
    phone: RtpEndpoint,
    status: int,
) -> None:
    media = DeviceMedia(audio_port=phone.port)
    carriers.do(CoreScript((Provisional(183, media=media), UntilCancelled())))
    wic, real = await page.dial(f"tel:{CALLEE}")
    ims = await carriers.first.wait_call()
    phone.send_to_sdp(ims.invite.body)
    phone.start_tone(ANNOUNCEMENT_HZ)
    await real.until_connected()
    await real.until_heard(ANNOUNCEMENT_HZ, mid="r0")
    ims.respond(status, headers=[("Reason", "Q.850;cause=1")])
    refused = await wic.wait_status(status)
    assert refused.headers.all("Reason") == ["Q.850;cause=1"]
    assert not carriers.spare.calls


async def test_keys_by_sdes_both_ways(
    carriers: Carriers,
    page: AiortcWic,
    safe_phone: SrtpEndpoint,
) -> None:
    """Also after the page has held, and the trunk has answered that, and the return, with a new key each."""
    media = DeviceMedia(audio_port=safe_phone.port, crypto=safe_phone.crypto)
    carriers.do(answers(media))
    wic, real = await page.dial(f"tel:{AUSTRIA}")
    await wic.wait_answer(timeout_s=10)
    call = Call(wic, await carriers.second.wait_call())
    await call.ims.wait_ack()
    offered = sdp_from_text(call.ims.invite.body).section("audio")
    assert (offered.protocol, bool(offered.attributes("crypto"))) == ("RTP/SAVP", True)
    safe_phone.send_to_sdp(call.ims.invite.body)
    safe_phone.start_tone(ANNOUNCEMENT_HZ)
    await real.until_connected()
    await both_heard(safe_phone, real, "r0")
    for version, direction in enumerate(("inactive", "recvonly"), start=2):
        safe_phone.take_new_key()
        call.ims.media = replace(media, crypto=safe_phone.crypto, version=version)
        await change(call, real, await real.offer_again({"0": "sendonly", "r0": direction}))
    await both_heard(safe_phone, real, "r0")
    await call.hang_up()


async def test_a_refresh_of_the_trunk_is_answered_with_the_key_of_before(
    carriers: Carriers, page: AiortcWic, safe_phone: SrtpEndpoint
) -> None:
    """Also where the relay has to answer, for it is no mere repetition."""
    media = DeviceMedia(audio_port=safe_phone.port, crypto=safe_phone.crypto)
    carriers.do(answers(media))
    wic, real = await page.dial(f"tel:{AUSTRIA}")
    await wic.wait_answer(timeout_s=10)
    call = Call(wic, await carriers.second.wait_call())
    await call.ims.wait_ack()
    safe_phone.send_to_sdp(call.ims.invite.body)
    safe_phone.start_tone(ANNOUNCEMENT_HZ)
    await real.until_connected()
    await both_heard(safe_phone, real, "r0")
    (ours,) = sdp_from_text(call.ims.invite.body).section("audio").attributes("crypto")
    for version in (1, 2):
        answer = await call.ims.reinvite(device_answer(call.ims.invite.body, replace(media, version=version)))
        keys = sdp_from_text(answer.body).section("audio").attributes("crypto")
        assert (answer.status, keys) == (200, [ours])
        safe_phone.send_to_sdp(answer.body)
        await both_heard(safe_phone, real, "r0")
    await call.hang_up()


class TestATrunkThatAnswersInClear:
    """Keys were offered: no call goes on without them."""

    async def test_before_it_answers_the_call(self, carriers: Carriers, stage: Stage) -> None:
        carriers.do(CoreScript((Provisional(183, media=DeviceMedia(protocol="RTP/AVP")), UntilCancelled())))
        wic = await (await stage.page()).invite(f"tel:{AUSTRIA}", AUDIO_BOTH_WAYS)
        refused = await wic.wait_status(502)
        assert "RTP/AVP, which was not offered" in (refused.headers.get("Warning") or "")
        await carriers.second.calls[wic.call_id].wait_request("CANCEL")

    @pytest.mark.parametrize("protocol", ["RTP/AVP", ""])
    async def test_when_it_answers_the_call(self, carriers: Carriers, stage: Stage, protocol: str) -> None:
        carriers.do(answers(DeviceMedia(protocol=protocol)))
        wic = await (await stage.page()).invite(f"tel:{AUSTRIA}", AUDIO_BOTH_WAYS)
        await wic.wait_answer()
        await carriers.second.calls[wic.call_id].wait_request("BYE")
        await wic.wait_request("BYE")

    @pytest.mark.parametrize("protocol", ["RTP/AVP", ""])
    async def test_when_it_asks_for_our_offer_and_answers_in_its_ack(
        self, carriers: Carriers, stage: Stage, protocol: str
    ) -> None:
        carriers.do(answers(DeviceMedia(crypto=SOME_KEY)))
        wic = await (await stage.page()).invite(f"tel:{AUSTRIA}", AUDIO_BOTH_WAYS)
        await wic.wait_answer()
        ims = await carriers.second.wait_call()
        await ims.wait_ack()
        ims.media = DeviceMedia(protocol=protocol, version=2)
        offer = await ims.reinvite("")
        assert sdp_from_text(offer.sdp).section("audio").protocol == "RTP/SAVP"
        await ims.wait_request("BYE")
        await wic.wait_request("BYE")
