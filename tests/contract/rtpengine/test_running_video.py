"""Video comes, goes and comes again in a running audio call, through a real rtpengine; the audio does not notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest
import pytest_asyncio

from rtpengine.ng.commands import List
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon
from tests.contract.rtpengine.live_call import LiveCall
from tests.contract.rtpengine.sdp import section
from tests.peers.aiortc_wic import TONE_HZ
from tests.peers.media import RtpEndpoint

TONE_OF_IMS_HZ: Final = 440
FRAMES: Final = 15
DISTURBED: Final = 5
"""Packets of 20 ms that may be lost on a busy machine."""


@pytest.fixture
def audio() -> Iterator[RtpEndpoint]:
    """The far end's audio."""
    with RtpEndpoint("127.0.0.9") as endpoint:
        yield endpoint


@pytest.fixture
def video() -> Iterator[RtpEndpoint]:
    """Its video."""
    with RtpEndpoint("127.0.0.9") as endpoint:
        yield endpoint


def offer(kind: str, endpoint: RtpEndpoint, payload_type: int, encoding: str) -> str:
    """Write a far end's offer."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {endpoint.host}", "s=-", "t=0 0"]
    lines += [f"m={kind} {endpoint.port} RTP/AVP {payload_type}", f"c=IN IP4 {endpoint.host}"]
    lines += [f"a=rtpmap:{payload_type} {encoding}"]
    if kind == "video":
        lines += [f"a=rtcp-fb:{payload_type} nack pli", f"a=rtcp-fb:{payload_type} ccm fir"]
    return "\r\n".join([*lines, "a=sendrecv"]) + "\r\n"


@pytest_asyncio.fixture
async def calls() -> AsyncIterator[AsyncExitStack]:
    """End the calls."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest_asyncio.fixture(params=["page: one line", "page: split", "core: one line", "core: two lines"])
async def call(
    request: pytest.FixtureRequest, daemon: Daemon, calls: AsyncExitStack, audio: RtpEndpoint
) -> LiveCall:
    """A call with a tone both ways."""
    caller, _, shape = request.param.partition(": ")
    transport = "split" if shape == "split" else "shared"
    call = await calls.enter_async_context(LiveCall(daemon, transport, one_way=shape != "one line"))
    if caller == "page":
        await call.page_offers("audio", "PCMA/8000", host=audio.host, port=audio.port)
    else:
        await call.core_offers("audio", offer("audio", audio, 8, "PCMA/8000"))
    audio.send_to(IMS_ADDRESS, call.media["audio"].ims_port)
    audio.start_tone(TONE_OF_IMS_HZ)
    await both_hear(call, audio)
    return call


async def both_hear(call: LiveCall, audio: RtpEndpoint) -> None:
    """Assert that each hears the other."""
    await call.page.until_heard(TONE_OF_IMS_HZ, mid=call.media["audio"].heard)
    await audio.until_tone(TONE_HZ)


async def both_see(call: LiveCall, video: RtpEndpoint, payload_type: int) -> None:
    """Assert that new pictures arrive on either side; the far end asks for a key frame, as a phone does."""
    medium = call.media["video"]
    video.send_to(IMS_ADDRESS, medium.ims_port)
    video.start_video("VP8", payload_type)
    await call.page.until_seen(FRAMES, mid=medium.heard)
    already = video.decoded("VP8", payload_type).frames
    deadline = time.monotonic() + 20
    while video.decoded("VP8", payload_type).frames < already + FRAMES:
        assert time.monotonic() < deadline, "no new pictures"
        video.request_key_frame()
        await asyncio.sleep(1)
    video.stop_sending()


def lost(audio: RtpEndpoint) -> int:
    """Count the packets of the page's tone that did not arrive, in whatever order the others did."""
    numbers = [packet.sequence_number for packet in audio.packets(8)]
    places = {(number - numbers[0] + 0x8000) % 0x10000 for number in numbers}
    return max(places) - min(places) + 1 - len(places)


async def test_the_page_adds_it_and_again(
    call: LiveCall, audio: RtpEndpoint, video: RtpEndpoint, client: UdpClient
) -> None:
    for times in range(1, 3):
        await call.page_offers("video", "VP8/90000", host=video.host, port=video.port)
        await both_see(call, video, int(section(call.media["video"].ims_line).formats[0]))
        await both_hear(call, audio)
        assert client.request(List()).call_ids == ("call", "call-v")
        call.release("video")
        assert client.request(List()).call_ids == ("call",)
        await both_hear(call, audio)
        assert lost(audio) <= DISTURBED, f"audio was disturbed the {times}. time"


async def test_the_core_adds_it_and_again(
    call: LiveCall, audio: RtpEndpoint, video: RtpEndpoint, client: UdpClient
) -> None:
    for _ in range(2):
        answer = section(await call.core_offers("video", offer("video", video, 99, "VP8/90000")))
        assert answer.codecs == {"99": "VP8/90000"}
        await both_see(call, video, 99)
        await both_hear(call, audio)
        call.release("video")
        assert client.request(List()).call_ids == ("call",)
    await both_hear(call, audio)
    assert lost(audio) <= DISTURBED


async def test_the_core_offers_video_alone_and_the_page_takes_it_on_two_lines(
    daemon: Daemon, calls: AsyncExitStack, video: RtpEndpoint
) -> None:
    call = await calls.enter_async_context(LiveCall(daemon, one_way=True))
    answer = section(await call.core_offers("video", offer("video", video, 99, "VP8/90000")))
    assert answer.codecs == {"99": "VP8/90000"}
    await both_see(call, video, 99)


async def test_it_passes_under_the_page_s_number_whatever_the_far_end_has_answered(
    daemon: Daemon, calls: AsyncExitStack, video: RtpEndpoint
) -> None:
    """Why the gateway takes no video whose payload types are not the page's."""
    call = await calls.enter_async_context(LiveCall(daemon))
    await call.page_offers("video", "VP8/90000", host=video.host, port=video.port, answered=False)
    medium = call.media["video"]
    number = int(section(medium.ims_line).formats[0])
    medium.ims_line = medium.ims_line.replace(f"RTP/AVP {number}", "RTP/AVP 99").replace(
        f":{number} ", ":99 "
    )
    call.far_end_answers("video")
    video.send_to(IMS_ADDRESS, medium.ims_port)
    deadline = time.monotonic() + 20
    while not video.packets(number):
        assert time.monotonic() < deadline, "no video"
        await asyncio.sleep(0.2)
    assert (number != 99, video.packets(99)) == (True, [])
