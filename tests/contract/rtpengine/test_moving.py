"""A node dies with running calls on it: another node takes their media, with real ICE, DTLS and tones both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from kemi.core.call import actions as act
from kemi.core.call.events import MediaMoved
from kemi.core.errors import MediaUnavailable
from tests.contract.rtpengine.daemon import Daemon, media_ports
from tests.contract.rtpengine.live_call import CALL_ID, LiveCall
from tests.contract.rtpengine.rtp_peer import RtpPeer
from tests.contract.rtpengine.test_running import (
    AMR_WB_AS_104,
    OPUS_AS_98,
    PCMA,
    line,
    talk,
)
from tests.unit.core.sdp.test_address_family import audio

pytestmark = pytest.mark.usefixtures("media_on_loopback")

SPARE_PORTS = 200


@pytest.fixture
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The node that lives."""
    directory: Path = tmp_path_factory.mktemp("spare")
    with media_ports(SPARE_PORTS) as ports, Daemon(directory, ports) as running:
        yield running


@pytest.fixture
def far_end() -> Iterator[RtpPeer]:
    """A device in the core."""
    with RtpPeer("127.0.0.9") as peer:
        yield peer


@pytest_asyncio.fixture
async def calls() -> AsyncIterator[AsyncExitStack]:
    """End the calls."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    "shape", ["page: one line", "page: shared", "page: split", "core: one line", "core: two lines"]
)
async def test_media_of_every_kind_of_call_go_on_at_another_node(
    own_daemon: Daemon, spare: Daemon, calls: AsyncExitStack, far_end: RtpPeer, shape: str
) -> None:
    caller, _, lines = shape.partition(": ")
    transport = "split" if lines == "split" else "shared"
    call = await calls.enter_async_context(
        LiveCall(own_daemon, transport, one_way=lines != "one line", spare=spare)
    )
    spoken = {"page": PCMA, "core: one line": AMR_WB_AS_104, "core: two lines": OPUS_AS_98}.get(shape, PCMA)
    if caller == "page":
        await call.page_offers("audio", "PCMA/8000", host=far_end.host, port=far_end.port)
    else:
        await call.core_offers("audio", line(spoken, far_end))
    await talk(call, far_end, spoken.codec, spoken.payload_type)
    own_daemon.stop()
    await call.move()
    await talk(call, far_end, spoken.codec, spoken.payload_type)


async def test_a_node_that_was_only_stuck_takes_its_call_back(
    own_daemon: Daemon, spare: Daemon, calls: AsyncExitStack, far_end: RtpPeer
) -> None:
    """It still has the call, with the DTLS association of then."""
    call = await calls.enter_async_context(LiveCall(own_daemon, spare=spare))
    await call.page_offers("audio", "PCMA/8000", host=far_end.host, port=far_end.port)
    first = call.node
    await talk(call, far_end, PCMA.codec, PCMA.payload_type)
    await call.move()
    await talk(call, far_end, PCMA.codec, PCMA.payload_type)
    await call.move()
    assert call.node == first
    await talk(call, far_end, PCMA.codec, PCMA.payload_type)


def test_without_another_node_its_own_takes_it_if_it_answers(own_daemon: Daemon) -> None:
    call = LiveCall(own_daemon)
    move = act.MoveMedia(
        CALL_ID, call.node, (act.MediumChange("audio", "", line(PCMA, RtpPeer("127.0.0.9"))),)
    )
    moved = call.relay.move(move)
    assert isinstance(moved, MediaMoved)
    assert moved.node == call.node
    own_daemon.stop()
    with pytest.raises(MediaUnavailable):
        call.relay.move(move)


def test_a_node_with_ipv4_alone_does_not_take_the_call_of_a_far_end_with_ipv6(own_daemon: Daemon) -> None:
    """Nor does it keep the ports it gave: it would have sent to the first four octets of that address."""
    call = LiveCall(own_daemon)
    change = act.MediumChange("audio", "", audio("IP6 2001:db8::5"))
    with pytest.raises(MediaUnavailable, match="has an IP6 address, the media relay an IP4 address"):
        call.relay.move(act.MoveMedia(CALL_ID, call.node, (change,)))
    with pytest.raises(MediaUnavailable, match="Unknown call"):
        call.relay.statistics(call.node, CALL_ID, "audio")
