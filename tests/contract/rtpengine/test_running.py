"""Changes of a running call through a real rtpengine: a live page, plain RTP behind, media both ways."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import cache
from typing import Final, NamedTuple

import aioice.ice
import pytest
import pytest_asyncio

from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon
from tests.contract.rtpengine.live_call import LiveCall
from tests.contract.rtpengine.rtp_peer import RtpPeer, loudest_frequency_hz, tone_payloads
from tests.contract.rtpengine.sdp import section
from tests.peers.aiortc_wic import TONE_HZ

PACKETS: Final = 75
tones = cache(tone_payloads)
_frequencies = itertools.cycle((440, 560, 680, 800, 1240, 1360))


class Spoken(NamedTuple):
    """A far end's offer, and what of it is answered."""

    formats: str
    lines: tuple[str, ...]
    codec: str
    payload_type: int


PCMA = Spoken("8 101", ("rtpmap:8 PCMA/8000", "rtpmap:101 telephone-event/8000"), "PCMA", 8)
PCMU_FIRST = Spoken("0 8", ("rtpmap:0 PCMU/8000", "rtpmap:8 PCMA/8000"), "PCMU", 0)
AMR_WB_AS_104 = Spoken(
    "104 8 102 101",
    (
        "rtpmap:104 AMR-WB/16000",
        "fmtp:104 mode-change-capability=2;max-red=0",
        "rtpmap:8 PCMA/8000",
        "rtpmap:102 telephone-event/16000",
        "rtpmap:101 telephone-event/8000",
    ),
    "AMR-WB",
    104,
)
AMR_WB_AS_97 = Spoken("97", ("rtpmap:97 AMR-WB/16000", "fmtp:97 octet-align=1"), "AMR-WB-OA", 97)
OPUS_AS_98 = Spoken("98 100", ("rtpmap:98 opus/48000/2", "rtpmap:100 telephone-event/48000"), "opus", 98)
OPUS_AS_110 = Spoken("110 96", ("rtpmap:110 opus/48000/2", "rtpmap:96 telephone-event/48000"), "opus", 110)
"""The page's own number for Opus means something else here."""
CHANGES: Final = (AMR_WB_AS_104, OPUS_AS_98, PCMU_FIRST, OPUS_AS_110, AMR_WB_AS_97, PCMA)


@pytest.fixture(autouse=True)
def media_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page listen on 127.0.0.1, which it leaves out by default, and nowhere else."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture
def far_ends() -> Iterator[tuple[RtpPeer, RtpPeer]]:
    """Two addresses in the core."""
    with RtpPeer("127.0.0.9") as first, RtpPeer("127.0.0.10") as second:
        yield first, second


@pytest_asyncio.fixture
async def calls() -> AsyncIterator[AsyncExitStack]:
    """End the calls."""
    async with AsyncExitStack() as stack:
        yield stack


def line(spoken: Spoken, peer: RtpPeer) -> str:
    """Write a far end's offer."""
    head = ["v=0", f"o=- 1 1 IN IP4 {peer.host}", "s=-", "t=0 0"]
    head += [f"m=audio {peer.port} RTP/AVP {spoken.formats}", f"c=IN IP4 {peer.host}"]
    return "\r\n".join([*head, *(f"a={text}" for text in spoken.lines), "a=sendrecv"]) + "\r\n"


async def talk(call: LiveCall, peer: RtpPeer, codec: str, payload_type: int) -> None:
    """Assert that each hears the other's tone, the far end in this codec and nothing else."""
    hz = next(_frequencies)
    await asyncio.sleep(0.1)  # what was under way
    peer.packets.clear()
    sending = asyncio.create_task(send(call, peer, codec, payload_type, hz))
    await call.page.until_heard(hz, mid=call.media["audio"].heard, timeout_s=5)
    await sending
    assert peer.wait_for(payload_type, PACKETS - 10), f"{len(peer.payloads(payload_type))} packets"
    assert peer.payload_types() == {payload_type}
    heard = loudest_frequency_hz(codec, peer.payloads(payload_type))
    assert heard == pytest.approx(TONE_HZ, abs=5)


async def send(call: LiveCall, peer: RtpPeer, codec: str, payload_type: int, hz: int) -> None:
    """Send a tone to the relay's port."""
    await asyncio.to_thread(
        peer.send,
        tones(codec, hz, PACKETS),
        codec=codec,
        payload_type=payload_type,
        to=(IMS_ADDRESS, call.media["audio"].ims_port),
        ssrc=peer.port,
    )


SHAPES: Final = [
    pytest.param("shared", False, id="one two-way line"),
    pytest.param("shared", True, id="two lines, one transport"),
    pytest.param("split", True, id="two lines, two transports"),
]


async def page_calls(
    daemon: Daemon, calls: AsyncExitStack, transport: str, one_way: bool, peer: RtpPeer
) -> LiveCall:
    """Set up an audio call of a page."""
    call = await calls.enter_async_context(LiveCall(daemon, transport, one_way=one_way))
    await call.page_offers("audio", "PCMA/8000", host=peer.host, port=peer.port)
    await talk(call, peer, "PCMA", 8)
    return call


@pytest.mark.parametrize(("transport", "one_way"), SHAPES)
class TestPageCalls:
    async def test_a_page_restarts_ice(
        self,
        daemon: Daemon,
        calls: AsyncExitStack,
        far_ends: tuple[RtpPeer, RtpPeer],
        transport: str,
        one_way: bool,
    ) -> None:
        peer = far_ends[0]
        call = await page_calls(daemon, calls, transport, one_way, peer)
        offered = call.renew("audio")
        for _ in range(2):
            renewed = (await asyncio.wait_for(call.restart_ice(), 5))["audio"]
            assert section(renewed.relay_offer) == section(offered.relay_offer)
            for new, old in (
                (renewed.relay_answer, offered.relay_answer),
                (renewed.reverse_answer, offered.reverse_answer),
            ):
                assert (new is None) == (old is None)
                if new is not None and old is not None:
                    assert section(new).port == section(old).port
                    assert section(new).values("fingerprint") == section(old).values("fingerprint")
                    assert section(new).values("ice-ufrag") != section(old).values("ice-ufrag")
            await talk(call, peer, "PCMA", 8)
            offered = renewed

    async def test_a_page_comes_back_with_another_certificate(
        self,
        daemon: Daemon,
        calls: AsyncExitStack,
        far_ends: tuple[RtpPeer, RtpPeer],
        transport: str,
        one_way: bool,
    ) -> None:
        peer = far_ends[0]
        call = await page_calls(daemon, calls, transport, one_way, peer)
        await call.replace_page()
        await talk(call, peer, "PCMA", 8)

    async def test_the_core_offers_anew(
        self,
        daemon: Daemon,
        calls: AsyncExitStack,
        far_ends: tuple[RtpPeer, RtpPeer],
        transport: str,
        one_way: bool,
    ) -> None:
        call = await page_calls(daemon, calls, transport, one_way, far_ends[0])
        for change, peer in zip(CHANGES, itertools.cycle(far_ends), strict=False):
            answer = section(call.core_reoffers("audio", line(change, peer)))
            assert (answer.port, answer.formats[0]) == (
                call.media["audio"].ims_port,
                str(change.payload_type),
            )
            await talk(call, peer, change.codec, change.payload_type)
