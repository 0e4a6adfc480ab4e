"""DTLS of a page with the relay on a network that loses, and what strangers and pages can do to it.

What rtpengine 10.5 cannot by itself it is taught by the library that the role loads (roles/rtpengine/files).
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import pytest
from aioice.stun import Class, Message, Method
from OpenSSL import SSL

from kemi.core.call import actions as act
from kemi.core.sdp.model import MediaDescription
from kemi.core.sdp.text import sdp_from_text
from tests.contract.rtpengine.besieged import FAR_HOST
from tests.contract.rtpengine.daemon import IMS_ADDRESS, WIC_ADDRESS, Daemon
from tests.contract.rtpengine.injected import FAR_HZ, FarEnd, core_offer, pages_without
from tests.contract.rtpengine.live_call import CALL_ID, LiveCall
from tests.contract.rtpengine.live_page import relay_text
from tests.lab.relay_program import daemon_version
from tests.peers.injection import HOST as STRANGER

pytestmark = pytest.mark.usefixtures("media_on_loopback")

CHANGE_CIPHER_SPEC, HANDSHAKE = 20, 22
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


def end_of_the_handshake_lost(lost: list[bytes]) -> AbstractContextManager[None]:
    """Lose the first datagram of the relay that holds its ChangeCipherSpec, on its way to any page of this process."""

    def is_lost(data: bytes) -> bool:
        if lost or CHANGE_CIPHER_SPEC not in records(data):
            return False
        lost.append(data)
        return True

    return pages_without(is_lost)


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


def client_hello(ciphers: bytes) -> bytes:
    """Return how a handshake begins that somebody makes with these ciphers."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_cipher_list(ciphers)
    context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    connection = SSL.Connection(context)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(2048)


ONE_DATAGRAM: Final = {
    "a handshake that would succeed": client_hello(b"DEFAULT"),
    "one without a common cipher": client_hello(b"ECDHE-ECDSA-AES256-GCM-SHA384"),
    "an alert": b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28",
}
"""What ends or takes a handshake that is still to come."""


@pytest.mark.parametrize("datagram", ONE_DATAGRAM.values(), ids=ONE_DATAGRAM)
@pytest.mark.parametrize("page_calls", [True, False], ids=["reserved", "ringing"])
async def test_a_stranger_neither_ends_nor_takes_the_handshake_of_a_page(
    daemon: Daemon, datagram: bytes, page_calls: bool
) -> None:
    with FarEnd(FAR_HOST, Counter(), itertools.count(1)) as far:
        async with LiveCall(daemon) as call:
            sent = from_a_stranger(call, datagram)
            if page_calls:
                await call.page_offers(
                    "audio",
                    "PCMA/8000",
                    host=far.host,
                    port=far.port,
                    reserved=sent,
                    connected=before_the_answer,
                )
            else:
                await call.core_offers("audio", core_offer(far), ringing=sent)
            await both_heard(call, far)


async def before_the_answer() -> None:
    """Let the page be connected before the far end answers: what that has the relay do would mend much."""


def from_a_stranger(call: LiveCall, datagram: bytes) -> Callable[[], Awaitable[None]]:
    """Return what sends a datagram to each port for the page, and gives the relay time to read it."""

    async def send() -> None:
        ports = call.web_ports
        assert ports
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((STRANGER, 0))
            for port in ports:
                stranger.sendto(datagram, (WIC_ADDRESS, port))
            await asyncio.sleep(0.1)
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(2048)

    return send


async def test_whose_handshake_overtakes_its_check_repeats_it(daemon: Daemon) -> None:
    async with LiveCall(daemon) as call:
        call.page.connection.addTransceiver("audio")
        own = (await call.page.reoffer()).media[-1]
        medium = act.MediumRequest("audio", relay_text(own), False)
        reserve = act.ReserveMedia(CALL_ID, call.node, call.transport, (medium,))
        line = sdp_from_text(call.relay.reserve(reserve).reserved["audio"].relay_answer).media[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as page:
            page.connect((WIC_ADDRESS, line.port))
            page.setblocking(False)
            hello = client_hello(b"DEFAULT")
            page.send(hello)
            await asyncio.sleep(0.1)
            if daemon_version() < (12, 0):  # which lets it wait for the nomination (rtpengine/README.md)
                with pytest.raises(BlockingIOError):
                    page.recv(2048)
            page.send(check(own, line))
            await asyncio.sleep(0.1)
            assert page.recv(2048)[:2] == b"\x01\x01"
            page.send(hello)
            await asyncio.sleep(0.1)
            assert HANDSHAKE in records(page.recv(2048))


def check(page: MediaDescription, relay: MediaDescription) -> bytes:
    """Return a connectivity check of a page, which nominates at once (RFC 8445 §7.2.2)."""
    names = f"{relay.ice_ufrag}:{page.ice_ufrag}"
    attributes = {"USERNAME": names, "PRIORITY": 1 << 24, "ICE-CONTROLLING": 1, "USE-CANDIDATE": None}
    message = Message(Method.BINDING, Class.REQUEST, attributes=attributes)
    message.add_message_integrity((relay.ice_pwd or "").encode())
    message.add_fingerprint()
    return bytes(message)


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
