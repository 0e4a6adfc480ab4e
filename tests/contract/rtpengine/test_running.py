"""Changes of a running call through a real rtpengine: a live page, plain RTP behind, media both ways."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import cache
from typing import Final, NamedTuple, cast

import pytest
import pytest_asyncio

from kemi.adapters.relay.relay_sessions import named
from rtpengine.capabilities import OLDEST
from rtpengine.ng.commands import Offer
from rtpengine.profiles import audio_profile
from rtpengine.running import reoffer_from_ims
from rtpengine.transport.udp import UdpClient
from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon
from tests.contract.rtpengine.live_call import CALL_ID, LiveCall, with_credentials
from tests.contract.rtpengine.rtp_peer import RtpPeer, loudest_frequency_hz, tone_payloads
from tests.contract.rtpengine.sdp import answer_to, section
from tests.peers.aiortc_wic import TONE_HZ

pytestmark = pytest.mark.usefixtures("media_on_loopback")

PACKETS: Final = 50
BEFORE_ROLL_OVER: Final = 2**16 - 3 * PACKETS // 2
"""So the second of the times that both talk rolls over the sequence number."""
RESTARTS: Final = 5
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


@pytest.fixture
def far_ends() -> Iterator[tuple[RtpPeer, RtpPeer]]:
    """Two addresses in the core."""
    with RtpPeer("127.0.0.9", sent=BEFORE_ROLL_OVER) as first, RtpPeer("127.0.0.10", sent=30_000) as second:
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
    # In a thread: the page sends in this one.
    came = await asyncio.to_thread(peer.wait_for, payload_type, PACKETS - 10)
    assert came, f"{len(peer.payloads(payload_type))} packets"
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


async def page_calls(
    daemon: Daemon, calls: AsyncExitStack, transport: str, one_way: bool, peer: RtpPeer
) -> LiveCall:
    """Set up an audio call of a page."""
    call = await calls.enter_async_context(LiveCall(daemon, transport, one_way=one_way))
    await call.page_offers("audio", "PCMA/8000", host=peer.host, port=peer.port)
    await talk(call, peer, "PCMA", 8)
    return call


async def core_calls(
    daemon: Daemon, calls: AsyncExitStack, one_way: bool, peer: RtpPeer, spoken: Spoken = AMR_WB_AS_104
) -> LiveCall:
    """Set up an audio call of the core."""
    call = await calls.enter_async_context(LiveCall(daemon, one_way=one_way))
    answer = section(await call.core_offers("audio", line(spoken, peer)))
    assert answer.formats[0] == str(spoken.payload_type)
    await talk(call, peer, spoken.codec, spoken.payload_type)
    return call


class Running(NamedTuple):
    """A call with media both ways, and what the first far end speaks in it."""

    call: LiveCall
    spoken: Spoken


@pytest_asyncio.fixture(
    params=["page: one line", "page: shared", "page: split", "core: one line", "core: two lines"]
)
async def running(
    request: pytest.FixtureRequest,
    daemon: Daemon,
    calls: AsyncExitStack,
    far_ends: tuple[RtpPeer, RtpPeer],
) -> Running:
    """Every kind of call, whoever began it, with the codec the far end speaks."""
    caller, _, shape = request.param.partition(": ")
    peer, one_way = far_ends[0], shape != "one line"
    if caller == "core":
        return Running(await core_calls(daemon, calls, one_way, peer), AMR_WB_AS_104)
    transport = "split" if shape == "split" else "shared"
    return Running(await page_calls(daemon, calls, transport, one_way, peer), PCMA)


class TestPage:
    """The page moves, the far end notices nothing."""

    async def test_it_restarts_ice(self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]) -> None:
        call, spoken = running
        before = call.renew("audio")
        for _ in range(2):
            after = (await asyncio.wait_for(call.restart_ice(), 5))["audio"]
            assert section(after.relay_offer) == section(before.relay_offer)
            assert section(after.relay_offer).port == call.media["audio"].ims_port
            moved = [(after.relay_answer, before.relay_answer)]
            assert (after.reverse_answer is None) == (before.reverse_answer is None)
            if after.reverse_answer is not None and before.reverse_answer is not None:
                moved.append((after.reverse_answer, before.reverse_answer))
            for new, old in ((section(one), section(other)) for one, other in moved):
                assert (new.port, new.codecs) == (old.port, old.codecs)
                assert new.values("fingerprint") == old.values("fingerprint")
                assert new.values("ice-ufrag") != old.values("ice-ufrag")
            await talk(call, far_ends[0], spoken.codec, spoken.payload_type)
            before = after

    async def test_it_restarts_ice_while_both_speak(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]
    ) -> None:
        """A packet that is late, from the socket the page has left, must not take the media back there."""
        call, spoken = running
        for number in range(RESTARTS):
            speaking = asyncio.create_task(
                send(call, far_ends[0], spoken.codec, spoken.payload_type, next(_frequencies))
            )
            await asyncio.sleep(0.1 + 0.013 * number)  # another moment between two packets each time
            await asyncio.wait_for(call.restart_ice(), 5)
            await speaking
            await talk(call, far_ends[0], spoken.codec, spoken.payload_type)

    @pytest.mark.parametrize("running", ["page: one line", "page: shared", "core: one line"], indirect=True)
    async def test_it_goes_over_to_a_worse_network_and_is_offered_a_restart(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]
    ) -> None:
        """Without, the page would hear nothing: the relay keeps to the pair of the highest priority of all times."""
        call, spoken = running
        for preference in (40_000, 30_000):
            await call.go_over(preference)
            received = call.page.received
            await send(call, far_ends[0], spoken.codec, spoken.payload_type, 440)
            assert call.page.received <= received + PACKETS / 2, "no restart would be needed"
            await asyncio.wait_for(call.offer_restart(), 5)
            await talk(call, far_ends[0], spoken.codec, spoken.payload_type)
        await asyncio.wait_for(call.restart_ice(), 5)
        await talk(call, far_ends[0], spoken.codec, spoken.payload_type)

    @pytest.mark.parametrize("running", ["page: one line", "page: shared", "core: one line"], indirect=True)
    async def test_a_restart_that_was_refused_and_taken_back_is_two_to_the_relay(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]
    ) -> None:
        """By its credentials we see that, and the page, which knows of neither, is offered one more."""
        call, spoken = running
        medium = call.media["audio"]
        known = (await asyncio.wait_for(call.restart_ice(), 5))["audio"]
        ufrag = section(known.relay_answer).values("ice-ufrag")
        assert section(call.renew("audio").relay_answer).values("ice-ufrag") == ufrag
        held = medium.wic_line
        medium.wic_line = with_credentials(held, "anew", "0123456789abcdefghijkl")
        call.renew("audio")
        medium.wic_line = held
        assert section(call.renew("audio").relay_answer).values("ice-ufrag") != ufrag
        await asyncio.wait_for(call.offer_restart(), 5)
        await talk(call, far_ends[0], spoken.codec, spoken.payload_type)

    async def test_it_comes_back_with_another_certificate(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]
    ) -> None:
        """Twice, and the second one begins to listen in another 2^16 packets than the call began in."""
        call, spoken = running
        for _ in range(2):
            await call.replace_page()
            await talk(call, far_ends[0], spoken.codec, spoken.payload_type)


class TestCore:
    """The far end changes, the page notices nothing."""

    async def test_it_offers_anew(self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]) -> None:
        call = running.call
        for change, peer in zip(CHANGES, itertools.cycle(far_ends), strict=False):
            answer = section(call.core_reoffers("audio", line(change, peer)))
            assert (answer.port, answer.formats[0]) == (
                call.media["audio"].ims_port,
                str(change.payload_type),
            )
            await talk(call, peer, change.codec, change.payload_type)

    async def test_an_offer_of_it_that_was_given_up_half_way_is_undone(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer], daemon: Daemon
    ) -> None:
        """As of a relay that was too slow for it."""
        (call, spoken), (first, second) = running, far_ends
        client = UdpClient(daemon.address)
        for change in (PCMU_FIRST, OPUS_AS_110):
            steps = reoffer_from_ims(
                named(CALL_ID, "audio"), audio_profile(), line(change, second), None, daemon_version=OLDEST
            )
            client.request(cast("Offer", next(steps)))
            call.renew("audio")
            await talk(call, first, spoken.codec, spoken.payload_type)
        client.close()

    async def test_it_is_offered_everything_without_a_change_and_may_answer_otherwise(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]
    ) -> None:
        call, spoken = running
        first, second = far_ends
        offer = call.renew("audio").relay_offer
        assert {"opus/48000/2", "AMR-WB/16000", "PCMA/8000", "PCMU/8000"} <= set(
            section(offer).codecs.values()
        )
        await talk(call, first, spoken.codec, spoken.payload_type)
        call.media["audio"].ims_line = answer_to(offer, "PCMU/8000", host=second.host, port=second.port)
        assert section(call.renew("audio").relay_offer) == section(offer)
        await talk(call, second, "PCMU", 0)

    async def test_after_its_offer_the_page_can_move(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]
    ) -> None:
        call, second = running.call, far_ends[1]
        for change in (AMR_WB_AS_104, OPUS_AS_110):
            call.core_reoffers("audio", line(change, second))
            await asyncio.wait_for(call.restart_ice(), 5)
            await talk(call, second, change.codec, change.payload_type)


class TestGate:
    """No packet in a direction that is closed."""

    async def test_each_direction_alone(self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]) -> None:
        (call, spoken), peer = running, far_ends[0]
        for wic_to_ims, ims_to_wic in ((False, True), (True, False), (False, False)):
            call.gate("audio", wic_to_ims=wic_to_ims, ims_to_wic=ims_to_wic)
            await asyncio.sleep(0.5)  # what was under way, and what the page's jitter buffer holds
            peer.packets.clear()
            arrived = call.page.received
            await send(call, peer, spoken.codec, spoken.payload_type, 440)
            assert (len(peer.packets) > PACKETS / 2) == bool(peer.packets) == wic_to_ims
            assert (
                (call.page.received - arrived > PACKETS / 2) == (call.page.received > arrived) == ims_to_wic
            )
            call.renew("audio")  # opens both
        await talk(call, peer, spoken.codec, spoken.payload_type)

    async def test_a_change_leaves_it_closed(
        self, running: Running, far_ends: tuple[RtpPeer, RtpPeer]
    ) -> None:
        (call, spoken), peer = running, far_ends[0]
        medium = call.media["audio"]
        call.passing = (False, False)
        for change in (call.renew, lambda kind: call.core_reoffers(kind, medium.ims_line)):
            change("audio")
            await asyncio.sleep(0.5)
            peer.packets.clear()
            arrived = call.page.received
            await send(call, peer, spoken.codec, spoken.payload_type, 440)
            assert (peer.packets, call.page.received - arrived) == ([], 0)
        call.gate("audio", wic_to_ims=True, ims_to_wic=True)
        await talk(call, peer, spoken.codec, spoken.payload_type)
