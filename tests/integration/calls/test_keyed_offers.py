"""Offers of ours to a far end with keys in SDP (SDES, RFC 4568) that are not an INVITE's: none is in clear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.integration.calls.incoming import PageCall
from tests.integration.calls.incoming import answered as answered_by_page
from tests.integration.calls.offers import AUDIO_BOTH_WAYS
from tests.integration.calls.stage import ALICE, BOB, Call, Stage
from tests.integration.calls.test_late_offer import called
from tests.integration.calls.test_media_profiles import lab_with
from tests.integration.calls.test_page_offer_media import both_heard
from tests.integration.calls.test_page_offers import change, directions, local, offers_at_core
from tests.integration.calls.test_page_video import video_line
from tests.lab.lab import Lab
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import SOME_KEY, DeviceMedia, device_answer
from tests.peers.sdp import offer_again, sdp_from_text
from tests.peers.srtp import SrtpEndpoint

pytestmark = pytest.mark.lab

PROFILES: Final[list[dict[str, Any]]] = [
    {
        "name": "safe",
        "domains": ["safe.example"],
        "core_leg": "trunk-srtp",
        "audio_codecs": ["PCMA", "PCMU"],
    },
]
SAFE: Final = "sip:+15550199@safe.example"
DEVICE_HZ: Final = 440.0


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway whose core speaks in clear, and one domain with keys."""
    with lab_with(PROFILES) as lab:
        yield lab


@pytest.fixture
def phone() -> Iterator[SrtpEndpoint]:
    """A device with SRTP."""
    with SrtpEndpoint() as endpoint:
        yield endpoint


async def test_a_caller_without_an_offer_is_offered_keys(
    stage: Stage, page: AiortcWic, phone: SrtpEndpoint
) -> None:
    """And has the key of our offer as long as the call, whatever it offers itself."""
    media = DeviceMedia(audio_port=phone.port, crypto=phone.crypto)
    call, offer = await called(stage, page, media, caller=SAFE)
    (audio,) = sdp_from_text(offer).media
    (key,) = audio.attributes("crypto")
    assert audio.protocol == "RTP/SAVP"
    (real,) = page.media
    await real.until_connected()
    phone.send_to_sdp(offer)
    phone.start_tone(DEVICE_HZ)
    await both_heard(phone, real, "0")
    phone.take_new_key()
    again = device_answer(offer, replace(media, crypto=phone.crypto, version=2))
    answer = await call.ims.reinvite(again)
    assert (answer.status, sdp_from_text(answer.body).section("audio").attributes("crypto")) == (200, [key])
    await both_heard(phone, real, "0")
    assert (await call.ims.bye()).status == 200


@pytest.mark.parametrize("media", [DeviceMedia(protocol="RTP/AVP"), DeviceMedia()])
async def test_who_answers_our_offer_without_a_key_has_no_call(stage: Stage, media: DeviceMedia) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, caller=SAFE, sdp="", media=media)
    wic = await page.wait_incoming()
    await wic.ring()
    await wic.answer()
    assert sdp_from_text((await ims.wait_status(200)).body).section("audio").protocol == "RTP/SAVP"
    await ims.wait_request("BYE")
    await wic.wait_request("BYE")


async def test_video_that_a_page_adds_has_keys_where_the_callers_audio_has_some(stage: Stage) -> None:
    """Although its domain is offered none by itself."""
    media = DeviceMedia(crypto=SOME_KEY)
    call = await answered_by_page(stage, await stage.page(), media=media)
    call.ims.media = replace(media, video="VP8", version=2)
    await adds_video(call)
    assert (await call.wic.bye()).status == 200


async def test_video_that_a_page_adds_is_in_clear_where_the_core_is(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia())
    wic = await (await stage.page()).invite(BOB, AUDIO_BOTH_WAYS)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    call.ims.media = DeviceMedia(video="VP8", version=2)
    await adds_video(call, "RTP/AVP")
    await call.hang_up()


async def adds_video(call: Call | PageCall, protocol: str = "RTP/SAVP") -> None:
    """Let the page add it, and look at what the far end was offered."""
    added = await change(call, offer_again(local(call), added=[video_line("v", "sendrecv")]))
    assert (added.status, directions(added.body)) == (200, ["sendrecv", "sendrecv"])
    (asked,) = await offers_at_core(call)
    assert [line.protocol for line in asked.media] == [protocol] * 2
    assert [len(line.attributes("crypto")) for line in asked.media] == [int("SAVP" in protocol)] * 2
