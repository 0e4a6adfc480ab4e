"""DTLS of a page with the relay on a network that loses, and what strangers and pages can do to it.

What rtpengine 10.5 cannot by itself it is taught by the library that the role loads (roles/rtpengine/files).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aioice.ice import Connection

from tests.contract.rtpengine.besieged import FAR_HOST
from tests.contract.rtpengine.daemon import IMS_ADDRESS, Daemon
from tests.contract.rtpengine.injected import FAR_HZ, FarEnd
from tests.contract.rtpengine.live_call import LiveCall

pytestmark = pytest.mark.usefixtures("media_on_loopback")

CHANGE_CIPHER_SPEC: Final = 20
REPEATED_S: Final = 4.0
"""A page repeats its flight after a second (RFC 6347 §4.2.4.1); the rest is for a busy machine."""
DATAGRAMS, OCTETS = 6000, 8000
MOST_GROWTH: Final = DATAGRAMS * OCTETS // 2
"""rtpengine 12.5 takes 16 MB once, however many there are."""


def records(datagram: bytes) -> list[int]:
    """Return the types of the DTLS records in a datagram (RFC 6347 §4.1)."""
    found = []
    while len(datagram) >= 13 and 20 <= datagram[0] < 64:
        found.append(datagram[0])
        datagram = datagram[13 + int.from_bytes(datagram[11:13], "big") :]
    return found


@contextmanager
def end_of_the_handshake_lost(lost: list[bytes]) -> Iterator[None]:
    """Lose the first datagram of the relay that holds its ChangeCipherSpec, on its way to any page of this process."""
    original = Connection.recvfrom

    async def recvfrom(connection: Connection) -> Any:
        data, component = await original(connection)
        if not lost and CHANGE_CIPHER_SPEC in records(data):
            lost.append(data)
            return await original(connection)
        return data, component

    Connection.recvfrom = recvfrom  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Connection.recvfrom = original  # type: ignore[method-assign]


async def both_heard(call: LiveCall, far: FarEnd) -> None:
    """Wait until the page hears the far end, and the far end gets what the page sends."""
    core = (IMS_ADDRESS, call.media["audio"].ims_port)
    heard = asyncio.create_task(call.page.until_heard(FAR_HZ, mid=call.media["audio"].heard))
    before = len(far.sequence)
    while not heard.done():
        await far.talk(core, 0.2)
    await heard
    assert len(far.sequence) > before


async def test_the_end_of_a_handshake_that_is_lost_is_sent_again(daemon: Daemon) -> None:
    lost: list[bytes] = []
    with ExitStack() as stack:
        stack.enter_context(end_of_the_handshake_lost(lost))
        far = stack.enter_context(FarEnd(FAR_HOST, Counter(), itertools.count(1)))
        async with LiveCall(daemon) as call:
            began = time.monotonic()
            await call.page_offers("audio", "PCMA/8000", host=far.host, port=far.port)
            assert time.monotonic() - began < REPEATED_S
            await both_heard(call, far)
    assert len(lost) == 1


async def test_nothing_is_kept_of_what_a_page_sends_after_the_handshake(own_daemon: Daemon) -> None:
    with FarEnd(FAR_HOST, Counter(), itertools.count(1)) as far:
        async with LiveCall(own_daemon) as call:
            await call.page_offers("audio", "PCMA/8000", host=far.host, port=far.port)
            await both_heard(call, far)
            (transceiver,) = call.page.connection.getTransceivers()
            ice = transceiver.receiver.transport.transport._connection
            before = resident_octets(own_daemon)
            for number in range(DATAGRAMS):
                await ice.send(application_data(number))
                if number % 10 == 9:
                    await asyncio.sleep(0.002)
            assert resident_octets(own_daemon) - before < MOST_GROWTH
            await both_heard(call, far)


def resident_octets(daemon: Daemon) -> int:
    """Return how much memory the process has."""
    status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
    (line,) = (one for one in status.splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def application_data(number: int) -> bytes:
    """Return a DTLS record that says it is of the association, and was made by somebody without its keys."""
    length = OCTETS - 13
    return b"\x17\xfe\xfd\x00\x01" + number.to_bytes(6, "big") + length.to_bytes(2, "big") + b"\xa5" * length
