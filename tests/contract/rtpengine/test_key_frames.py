"""Who begins to see asks for nothing: the gateway asks for the key frame, at a daemon that takes no stranger's RTCP."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from kemi.core.call import actions as act
from rtpengine.key_frames import FEEDBACK_TAGS
from rtpengine.ng.commands import Query
from rtpengine.rtcp import key_frame_request
from rtpengine.sessions import IMS_TAG, WIC_TAG
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon
from tests.contract.rtpengine.live_call import CALL_ID, LiveCall
from tests.contract.rtpengine.sdp import section
from tests.peers.media import RtpEndpoint
from tests.peers.video import FRAMES_PER_S

FIRST_FRAME_S = 1.0
WITHOUT_ASKING_S = 3 / FRAMES_PER_S
"""How long the peers' next key frame of their own is away at least, at the moments we look."""
VIDEO_CALL = f"{CALL_ID}-v"


@pytest.fixture
def video() -> Iterator[RtpEndpoint]:
    """The far end's video."""
    with RtpEndpoint("127.0.0.9") as endpoint:
        yield endpoint


@pytest.fixture
def audio() -> Iterator[RtpEndpoint]:
    """The far end's sound."""
    with RtpEndpoint("127.0.0.9") as endpoint:
        yield endpoint


@pytest_asyncio.fixture
async def calls() -> AsyncIterator[AsyncExitStack]:
    """End the calls."""
    async with AsyncExitStack() as stack:
        yield stack


async def first_frame_s(video: RtpEndpoint, payload_type: int, since_s: float) -> float:
    """Return how long after a moment the far end, which asks for nothing, has decoded a picture."""
    while not video.decoded("VP8", payload_type).frames:
        assert time.monotonic() < since_s + 10 * FIRST_FRAME_S, "no picture at all"
        await asyncio.sleep(0.01)
    return time.monotonic() - since_s


async def waiting_call(daemon: Daemon, calls: AsyncExitStack, shape: str, video: RtpEndpoint) -> LiveCall:
    """Return a call whose page has been sending a picture for a while, to nobody yet."""
    transport = "split" if shape == "split" else "shared"
    call = await calls.enter_async_context(LiveCall(daemon, transport, one_way=shape != "one line"))
    await call.page_offers("video", "VP8/90000", host=video.host, port=video.port, answered=False)
    await asyncio.sleep(5 / FRAMES_PER_S)
    assert video.packets_received == 0, "the gate is closed"
    return call


def payload_type_of(call: LiveCall) -> int:
    return int(section(call.media["video"].ims_line).formats[0])


@pytest.mark.parametrize("shape", ["one line", "shared", "split"])
async def test_the_far_end_sees_at_once_when_the_gate_opens_and_after_hold(
    shape: str, daemon: Daemon, calls: AsyncExitStack, video: RtpEndpoint, client: UdpClient
) -> None:
    call = await waiting_call(daemon, calls, shape, video)
    opened_at_s = time.monotonic()
    call.far_end_answers("video")
    payload_type = payload_type_of(call)
    assert await first_frame_s(video, payload_type, opened_at_s) < FIRST_FRAME_S
    for resume in (
        lambda: call.gate("video", wic_to_ims=True, ims_to_wic=True),
        lambda: call.core_reoffers("video", call.media["video"].ims_line),
    ):
        call.gate("video", wic_to_ims=False, ims_to_wic=False)
        await asyncio.sleep(2 / FRAMES_PER_S)
        video.forget_received()
        resumed_at_s = time.monotonic()
        resume()
        assert await first_frame_s(video, payload_type, resumed_at_s) < FIRST_FRAME_S
    # the far end's own ports and who is heard there are as they were
    streams = {tag: list(found.streams()) for tag, found in client.request(Query(VIDEO_CALL)).tags.items()}
    assert [stream.endpoint for stream in streams[IMS_TAG]] == [
        (video.host, video.port),
        (video.host, video.port + 1),
    ]
    assert FEEDBACK_TAGS[WIC_TAG] in streams


async def test_the_page_s_picture_begins_at_once_when_the_far_end_was_heard_too_early(
    daemon: Daemon, calls: AsyncExitStack, video: RtpEndpoint
) -> None:
    call = await waiting_call(daemon, calls, "shared", video)
    video.send_to(IMS_ADDRESS, call.media["video"].ims_port)
    video.start_video("VP8", payload_type_of(call))
    await asyncio.sleep(5 / FRAMES_PER_S)
    opened_at_s = time.monotonic()
    call.far_end_answers("video")
    await call.page.until_seen(1, mid=call.media["video"].heard)
    assert time.monotonic() - opened_at_s < FIRST_FRAME_S
    assert "PLI" in video.key_frame_requests


async def test_nobody_is_asked_who_has_sent_nothing(
    daemon: Daemon, calls: AsyncExitStack, video: RtpEndpoint, client: UdpClient
) -> None:
    call = await waiting_call(daemon, calls, "one line", video)
    call.relay.request_key_frames(act.RequestKeyFrames(CALL_ID, call.node))
    assert FEEDBACK_TAGS[WIC_TAG] in client.request(Query(VIDEO_CALL)).tags
    assert FEEDBACK_TAGS[IMS_TAG] not in client.request(Query(VIDEO_CALL)).tags
    call.relay.request_key_frames(act.RequestKeyFrames("another call", call.node))


async def test_a_stranger_is_not_heard_at_the_port_we_ask_from(
    daemon: Daemon, calls: AsyncExitStack, video: RtpEndpoint, client: UdpClient
) -> None:
    call = await waiting_call(daemon, calls, "one line", video)
    call.far_end_answers("video")
    await first_frame_s(video, payload_type_of(call), time.monotonic())
    before = client.request(Query(VIDEO_CALL)).tags
    ports = [stream.local_port for stream in before[FEEDBACK_TAGS[WIC_TAG]].streams()]
    sent = next(iter(video.packets_by_ssrc))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for port in filter(None, ports):  # rtpengine 26 has closed it
            stranger.sendto(key_frame_request(sent, 1), (IMS_ADDRESS, port))
    await asyncio.sleep(2 / FRAMES_PER_S)
    video.forget_received()
    await asyncio.sleep(WITHOUT_ASKING_S)
    assert video.packets_received, "the page sends"
    assert video.decoded("VP8", payload_type_of(call)).frames == 0, "it was asked by a stranger"


@pytest.mark.parametrize(("transport", "ports"), [("shared", 10), ("split", 14)])
async def test_a_call_with_video_takes_as_many_ports_as_the_operator_is_told(
    transport: str, ports: int, daemon: Daemon, calls: AsyncExitStack, video: RtpEndpoint, audio: RtpEndpoint
) -> None:
    """docs/operators.md, Sizing."""
    call = await calls.enter_async_context(LiveCall(daemon, transport, one_way=True))
    await call.page_offers("audio", "PCMA/8000", host=audio.host, port=audio.port)
    await call.page_offers("video", "VP8/90000", host=video.host, port=video.port)
    video.send_to(IMS_ADDRESS, call.media["video"].ims_port)
    video.start_video("VP8", payload_type_of(call))
    await asyncio.sleep(5 / FRAMES_PER_S)
    call.relay.request_key_frames(act.RequestKeyFrames(CALL_ID, call.node))
    assert len(call.web_ports + call.core_ports) == ports
