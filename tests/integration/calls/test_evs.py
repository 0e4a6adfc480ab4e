"""EVS towards a page: passed bit by bit where both ends have it; a page without it has Opus, or there is no call."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.contract.rtpengine.rtp_peer import RtpPeer
from tests.integration.calls.stage import ALICE, Stage, warn_code_of, warning_of
from tests.peers.aiortc_wic import AiortcWic
from tests.peers.device_sdp import DeviceMedia, device_offer
from tests.peers.rtp import RtpPacket, rtp_from_bytes, rtp_to_bytes
from tests.peers.sdp import sdp_from_text

pytestmark = pytest.mark.lab

EVS: Final = "a=rtpmap:96 EVS/16000\r\na=fmtp:96 br=5.9-24.4;bw=nb-swb\r\n"
EVENTS: Final = "a=rtpmap:100 telephone-event/16000\r\n"
WIDEBAND: Final = "a=rtpmap:97 AMR-WB/16000\r\n"
FRAMES: Final = [bytes([number]) * 61 for number in range(20)]
FORMATS: Final = re.compile(r"(m=audio \d+ \S+) [\d ]+")


def core_offer(port: int = 40000, *, alone: bool = False) -> str:
    """An offer of a device with EVS, and AMR-WB beside it."""
    plain = device_offer(DeviceMedia(audio_port=port, telephone_event=False))
    numbers, codecs = ("96 100", EVS + EVENTS) if alone else ("96 97 100", EVS + WIDEBAND + EVENTS)
    return FORMATS.sub(rf"\1 {numbers}", plain).replace("a=rtpmap:8 PCMA/8000\r\n", codecs)


def codecs_of(description: str) -> dict[str, str]:
    """Return the codecs of the audio line, in its order."""
    line = sdp_from_text(description).section("audio")
    names = dict(value.split(" ", 1) for value in line.attributes("rtpmap"))
    return {number: names[number] for number in line.formats}


def section_address(description: str) -> tuple[str, int]:
    """Return where audio goes."""
    host = re.search(r"c=IN IP4 (\S+)", description)
    assert host is not None
    return host[1], sdp_from_text(description).section("audio").port


def speaking_evs(answer: str) -> str:
    """Let a page that knows no EVS say that it speaks it."""
    kept = [
        line for line in answer.splitlines(keepends=True) if not re.match(r"a=(rtpmap|fmtp|rtcp-fb):", line)
    ]
    return FORMATS.sub(r"\1 96 100", "".join(kept)).replace("a=mid:", f"{EVS}{EVENTS}a=mid:", 1)


@pytest.fixture
def device() -> Iterator[RtpPeer]:
    """The device's port, which takes whatever comes."""
    with RtpPeer("127.0.0.1") as peer:
        yield peer


@pytest.mark.parametrize("alone", [False, True], ids=["with AMR-WB", "alone"])
async def test_it_passes_both_ways(stage: Stage, page: AiortcWic, device: RtpPeer, alone: bool) -> None:
    offer = core_offer(device.port, alone=alone)
    ims = stage.core.call(ALICE, sdp=offer)
    wic = await page.wait_incoming()
    offered = codecs_of(wic.invite.body)
    assert list(offered.items())[:2] == [("96", "EVS/16000"), ("100", "telephone-event/16000")]
    assert ("opus/48000/2" in offered.values()) == (not alone)
    await wic.ring()
    # The page's own library answers with Opus: what it is to be offered, and its real transport, are all we want.
    opus = FORMATS.sub(r"\1 111", wic.invite.sdp).replace(EVS, "a=rtpmap:111 opus/48000/2\r\n")
    await wic.answer(speaking_evs(await wic.media.answer_offer(opus)))
    answer = (await ims.wait_status(200)).body
    assert codecs_of(answer) == {"96": "EVS/16000", "100": "telephone-event/16000"}
    assert sdp_from_text(answer).section("audio").attributes("fmtp")[0] == "96 br=5.9-24.4;bw=nb-swb"
    media = page.media[0]
    await media.until_connected()
    sender = media.connection.getTransceivers()[0].sender
    sender.replaceTrack(None)
    heard: list[bytes] = []
    _listen(sender.transport, heard)
    for number, payload in enumerate(FRAMES):
        await sender.transport._send_rtp(rtp_to_bytes(RtpPacket(96, number, 320 * number, 7, payload)))
        await asyncio.sleep(0.005)
    relay = section_address(answer)
    await asyncio.to_thread(device.send, FRAMES, codec="AMR-WB", payload_type=96, to=relay, ssrc=8)
    assert await asyncio.to_thread(device.wait_for, 96, len(FRAMES))
    assert device.payloads(96) == FRAMES
    assert heard == FRAMES
    # Who offers again without EVS would have to be transcoded; with it nothing changes.
    refused = await ims.reinvite(offer.replace("EVS", "iLBC"))
    assert (refused.status, warn_code_of(refused)) == (488, 305)
    again = await ims.reinvite(offer)
    assert (again.status, codecs_of(again.body)) == (200, codecs_of(answer))
    await ims.bye()


def _listen(transport: Any, heard: list[bytes]) -> None:
    """Keep the EVS that a page's transport brings: its own library would drop it."""
    handle = transport._handle_rtp_data

    async def handled(data: bytes, arrival_time_ms: int) -> None:
        packet = rtp_from_bytes(data)
        heard.extend([packet.payload] if packet.payload_type == 96 else [])
        await handle(data, arrival_time_ms=arrival_time_ms)

    transport._handle_rtp_data = handled


async def test_a_page_without_it_speaks_opus(stage: Stage, page: AiortcWic) -> None:
    ims = stage.core.call(ALICE, sdp=core_offer())
    wic = await page.wait_incoming()
    await wic.ring()
    await wic.answer()  # a library that does not know EVS
    assert codecs_of((await ims.wait_status(200)).body) == {"97": "AMR-WB/16000"}
    # and it stays so, though EVS is offered again
    again = await ims.reinvite(core_offer())
    assert (again.status, next(iter(codecs_of(again.body).values()))) == (200, "AMR-WB/16000")
    await ims.bye()


async def test_without_another_codec_a_page_without_it_cannot_be_called(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp=core_offer(alone=True))
    wic = await page.wait_incoming()
    await wic.ring()
    body = wic.invite.sdp
    refusal = re.sub(r"m=audio \d+", "m=audio 0", body.replace("a=setup:actpass", "a=setup:active"))
    await wic.answer(refusal)
    refused = await ims.wait_status(488)
    assert warn_code_of(refused) == 305
    assert "EVS" in warning_of(refused)
    await wic.wait_request("BYE")


async def test_a_page_that_refuses_it_at_once_gives_the_same_reason(stage: Stage) -> None:
    page = await stage.page()
    ims = stage.core.call(ALICE, sdp=core_offer(alone=True))
    wic = await page.wait_incoming()
    await wic.respond(488)
    refused = await ims.wait_status(488)
    assert warn_code_of(refused) == 305
    assert "EVS" in warning_of(refused)
