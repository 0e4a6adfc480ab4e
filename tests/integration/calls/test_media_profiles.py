"""Media profiles: which codecs, and what kind of leg, hangs on the domain of the far end; the whole call through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.integration.calls.offers import AUDIO_BOTH_WAYS, without_codec
from tests.integration.calls.stage import (
    ALICE,
    BOB,
    CLEAN_WITHIN_S,
    Call,
    Stage,
    gateway_options,
    warn_code_of,
    warning_of,
)
from tests.integration.calls.test_dtmf import with_events
from tests.integration.calls.test_media import connected
from tests.lab.lab import Lab
from tests.lab.proof import wait_clean
from tests.peers.aiortc_wic import TONE_HZ, AiortcWic
from tests.peers.core_script import answers
from tests.peers.device_sdp import SOME_KEY, DeviceMedia, device_answer, device_offer
from tests.peers.media import RtpEndpoint
from tests.peers.sdp import MediaSection, sdp_from_text

pytestmark = pytest.mark.lab

PROFILES: Final[list[dict[str, Any]]] = [
    {
        "name": "pstn",
        "domains": ["pstn.example", "carrier.example"],
        "core_leg": "trunk-srtp",
        "audio_codecs": ["PCMU", "G722", "PCMA"],
    },
    {
        "name": "as-it-is",
        "domains": ["strict.example"],
        "audio_codecs": ["PCMA", "opus"],
        "transcoding": False,
    },
    {"name": "g711-first", "domains": ["g711.example"], "audio_codecs": ["PCMU", "PCMA", "opus"]},
    {"name": "evs", "domains": ["evs.example"], "audio_codecs": ["EVS", "opus"]},
]
STRICT: Final = "sip:bob@strict.example"


@contextmanager
def lab_with(profiles: list[dict[str, Any]]) -> Iterator[Lab]:
    """Start a gateway with these profiles beside the default one."""
    with Lab(gateway_options(gateway_media_profiles=profiles, gateway_callable_domains=["*"])) as lab:
        yield lab
        wait_clean(lab, CLEAN_WITHIN_S)


@pytest.fixture(scope="module")
def gateway_lab() -> Iterator[Lab]:
    """A gateway with profiles."""
    with lab_with(PROFILES) as lab:
        yield lab


def audio_of(description: str) -> MediaSection:
    """Return the audio line."""
    return sdp_from_text(description).section("audio")


def codecs_of(description: str) -> list[str]:
    """Return the codecs in order, and no telephone-events."""
    line = audio_of(description)
    names = dict(value.partition("/")[0].split(" ", 1) for value in line.attributes("rtpmap"))
    found = [names[number] for number in line.formats]
    return [name for name in found if name != "telephone-event"]


async def calling(stage: Stage, target: str, offer: str = AUDIO_BOTH_WAYS) -> Call:
    """Let a page call."""
    wic = await (await stage.page()).invite(target, offer)
    await wic.wait_answer()
    call = Call(wic, await stage.core.wait_call())
    await call.ims.wait_ack()
    return call


async def test_the_domain_a_page_calls_says_which_profile_it_is(stage: Stage) -> None:
    stage.core.script = answers(DeviceMedia(audio="PCMU", crypto=SOME_KEY))
    call = await calling(stage, BOB)
    assert codecs_of(call.ims.invite.body)[0] == "opus"
    assert audio_of(call.ims.invite.body).protocol == "RTP/AVP"
    await call.hang_up()
    call = await calling(stage, "sip:+15550199@PSTN.example;user=phone")
    offered = call.ims.invite.body
    assert codecs_of(offered) == ["PCMU", "G722", "PCMA"]
    assert (audio_of(offered).protocol, bool(audio_of(offered).attributes("crypto"))) == ("RTP/SAVP", True)
    assert '"profile":"pstn"' in stage.record(call.call_id)
    # Asked for an offer in the running call, the gateway makes one of the same profile.
    response = await call.ims.reinvite("")
    assert codecs_of(response.body) == ["PCMU", "G722", "PCMA"]
    assert audio_of(response.body).protocol == "RTP/SAVP"
    await call.hang_up()


async def test_the_caller_of_a_page_has_a_profile_by_its_asserted_identity(stage: Stage) -> None:
    page = await stage.page()
    offer = device_offer(DeviceMedia())
    both = offer.replace(" 8 101", " 104 8 101").replace(
        "a=rtpmap:8", "a=rtpmap:104 AMR-WB/16000\r\na=rtpmap:8"
    )
    ims = stage.core.call(ALICE, caller="sip:+15550199@strict.example", sdp=both)
    wic = await page.wait_incoming()
    assert codecs_of(wic.invite.body) == ["PCMA"]  # nothing that would have to be transcoded
    await wic.ring()
    await wic.answer()
    assert codecs_of((await ims.wait_status(200)).body) == ["PCMA"]
    # The page speaks PCMA now: another codec would have to be transcoded, so the session stays as it was.
    refused = await ims.reinvite(both.replace("104 8 101", "104 101").replace("a=rtpmap:8 PCMA/8000\r\n", ""))
    assert (refused.status, warn_code_of(refused)) == (488, 305)
    assert (await ims.reinvite(both)).status == 200
    await ims.bye()


async def test_without_a_codec_in_common_and_without_transcoding_there_is_no_call(stage: Stage) -> None:
    page = await stage.page()
    wideband = device_offer(DeviceMedia(audio="AMR-WB"))
    refused = await stage.core.call(ALICE, caller=STRICT, sdp=wideband).wait_status(488)
    assert warn_code_of(refused) == 305
    assert "OPUS, PCMA" in warning_of(refused)
    assert not any("INVITE" in rung for rung in page.trace.ladder())
    bare = without_codec(without_codec(AUDIO_BOTH_WAYS, "PCMA"), "opus")
    refused = await (await page.invite(STRICT, bare)).wait_status(488)
    assert warn_code_of(refused) == 305
    ims = stage.core.call(ALICE, sdp=wideband)  # with the default profile it is transcoded
    wic = await page.wait_incoming()
    await wic.ring()
    await wic.answer()
    assert codecs_of((await ims.wait_status(200)).body) == ["AMR-WB"]
    await ims.bye()


async def test_a_caller_without_an_offer_is_offered_what_the_page_speaks(stage: Stage) -> None:
    """What the page has not taken would have to be transcoded."""
    page = await stage.page()
    ims = stage.core.call(ALICE, caller=STRICT, sdp="", media=DeviceMedia())
    wic = await page.wait_incoming()
    assert codecs_of(wic.invite.body) == ["PCMA", "opus"]
    await wic.ring()
    await wic.answer(without_codec(await wic.media.answer_offer(wic.invite.sdp), "opus"))
    offer = (await ims.wait_status(200)).body
    assert codecs_of(offer) == ["PCMA"]
    await ims.bye()


async def test_sound_without_transcoding(stage: Stage, page: AiortcWic, phone: RtpEndpoint) -> None:
    media = DeviceMedia(audio="PCMA", audio_port=phone.port)
    stage.core.script = answers(media)
    wic, real = await page.dial(STRICT, audio="sendrecv")
    call = await connected(stage, wic, real)
    assert codecs_of(call.ims.invite.body) == ["PCMA"]
    phone.send_to_sdp(call.ims.invite.body)
    phone.start_tone(440)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    await real.until_heard(440, mid=real.mids[0])
    (sender,) = (one.sender for one in real.connection.getTransceivers())
    assert set(phone.packets_by_ssrc) == {sender._ssrc}  # a relay that encodes has one of its own
    held = await call.ims.reinvite(
        device_answer(call.ims.invite.body, replace(media, direction="sendonly", version=2))
    )
    assert (held.status, codecs_of(held.body)) == (200, ["PCMA"])
    await call.hang_up()


async def test_a_page_that_is_called_speaks_the_callers_g711_where_that_comes_first(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint
) -> None:
    """Nothing is transcoded then (tests/contract/rtpengine/test_codecs.py proves it); with Opus first it would be."""
    media = DeviceMedia(audio="PCMU", audio_port=phone.port)
    ims = stage.core.call(ALICE, caller="sip:bob@g711.example", media=media)
    wic = await page.wait_incoming()
    assert codecs_of(wic.invite.body) == ["PCMU", "opus"]
    await wic.ring()
    offer = wic.invite.sdp
    await wic.respond(200, sdp=with_events(await wic.media.answer_offer(offer), offer))
    answer = (await ims.wait_status(200)).body
    assert codecs_of(answer) == ["PCMU"]
    phone.send_to_sdp(answer)
    phone.start_tone(440, 0)
    real = page.media[0]
    await phone.until_tone(TONE_HZ, payload_type=0, timeout_s=10)
    await real.until_heard(440, mid=real.mids[0])
    await ims.bye()


async def test_evs_of_a_page_goes_to_the_core_as_it_is(stage: Stage) -> None:
    """What passes is proven with the relay alone (tests/contract/rtpengine/test_codecs.py): nobody here decodes it."""
    evs = "a=rtpmap:97 EVS/16000\r\na=fmtp:97 br=5.9-24.4;bw=nb-swb\r\n"
    offer = re.sub(r"(m=audio \d+ \S+)", r"\1 97", AUDIO_BOTH_WAYS).replace(
        "a=rtpmap:111 ", f"{evs}a=rtpmap:111 "
    )
    stage.core.script = answers(DeviceMedia(audio="EVS"))
    call = await calling(stage, "sip:bob@evs.example", offer)
    assert codecs_of(call.ims.invite.body) == ["EVS"]
    assert "97 br=5.9-24.4;bw=nb-swb" in audio_of(call.ims.invite.body).attributes("fmtp")
    early = await call.wic.wait_status(183)
    assert codecs_of(early.body) == ["EVS"]
    response = await call.ims.reinvite("")
    assert codecs_of(response.body) == ["EVS"]
    await call.hang_up()


@pytest.mark.parametrize("ptime_ms", [20, 30, 40, 60])
async def test_packet_lengths_of_the_caller_are_told_and_kept(
    stage: Stage, page: AiortcWic, phone: RtpEndpoint, ptime_ms: int
) -> None:
    lines = f"a=ptime:{ptime_ms}\r\na=maxptime:{ptime_ms}\r\n"
    offer = device_offer(DeviceMedia(audio_port=phone.port)).replace("a=sendrecv", f"{lines}a=sendrecv")
    ims = stage.core.call(ALICE, sdp=offer)
    wic = await page.wait_incoming()
    await wic.ring()
    await wic.answer()
    answer = audio_of((await ims.wait_status(200)).body)
    assert answer.attributes("ptime") == [str(ptime_ms)]
    phone.send_to_sdp((await ims.wait_status(200)).body)
    phone.start_tone(440)
    await phone.until_tone(TONE_HZ, timeout_s=10)
    assert {len(packet.payload) for packet in phone.packets(8)} == {8 * ptime_ms}
    real = page.media[0]
    await real.until_heard(440, mid=real.mids[0])
    await ims.bye()
