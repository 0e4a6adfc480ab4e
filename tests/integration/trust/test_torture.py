"""The torture messages of RFC 4475 and RFC 5118 harm nothing: a page and the core go on as if nobody had sent them."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.integration.calls.stage import ALICE, CLEAN_WITHIN_S, CORE_PORT, gateway_options
from tests.integration.trust.torture import PASSED, PRIVATE, Torture
from tests.integration.trust.torture_meaning import APPLICATION, IPV6, OLD, OUR_OWN, TRANSACTION
from tests.integration.trust.torture_senders import CoreSender, RawPage, wire
from tests.integration.trust.torture_syntax import INVALID_SYNTAX, VALID_SYNTAX
from tests.lab.kamailio import answers_options
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK
from tests.lab.proof import wait_released
from tests.peers.websocket import Handshake

pytestmark = pytest.mark.lab

MESSAGES = (*VALID_SYNTAX, *INVALID_SYNTAX, *TRANSACTION, *APPLICATION, *OLD, *IPV6, *OUR_OWN)
SENDERS = ("registered page", "unregistered page", "core, UDP", "core, TCP")
PLACES = {"4475": 49, "5118": 12}


class RawCore(asyncio.DatagramProtocol):
    """The core as bytes: it registers everybody, refuses calls and takes the rest."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own class is no subclass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        if data.startswith((b"SIP/2.0 ", b"ACK ")):
            return
        assert self.transport is not None
        self.transport.sendto(self._answer(data), addr)

    def _answer(self, request: bytes) -> bytes:
        lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
        kept = _with_folds(lines[1:])
        status = b"486 Busy Here" if request.startswith(b"INVITE ") else b"200 OK"
        if request.startswith(b"REGISTER "):
            kept += [line for line in lines if line.lower().startswith(b"contact:")]
            kept += [
                b"Service-Route: <sip:orig@127.0.0.1:%d;lr>" % CORE_PORT,
                b"P-Associated-URI: <" + ALICE.encode() + b">",
            ]
        return b"\r\n".join([b"SIP/2.0 " + status, *kept, b"Content-Length: 0", b"", b""])


def _with_folds(lines: list[bytes]) -> list[bytes]:
    """Return the fields a response repeats, with their continuation lines; To gets a tag."""
    fields: list[bytes] = []
    for line in lines:
        if line[:1] in b" \t" and fields:
            fields[-1] += b" " + line.strip()
        else:
            fields.append(line)
    names = (b"via", b"v", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq")
    kept = [one for one in fields if one.partition(b":")[0].strip().lower() in names]
    return [one + b";tag=core" if one[:1] in b"tT" else one for one in kept]


@dataclass
class World:
    """Gateway, both sides as bytes."""

    lab: Lab
    core: RawCore
    registered: RawPage
    unregistered: RawPage

    @property
    def processes(self) -> frozenset[int]:
        """Ids of Kamailio's processes."""
        gateway = self.lab.process_ids["gateway"]
        children = Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()
        return frozenset(int(child) for child in children)

    @property
    def complaints(self) -> Counter[str]:
        """What of our own code went wrong, as the log has it."""
        log = (Path(self.lab.info.log_dir) / "gateway.log").read_text(errors="replace")
        words = ("Traceback", "callback_failed", "housekeeping_failed", "SystemError", "CRITICAL")
        return Counter({word: log.count(word) for word in words if word in log})

    def handshake(self) -> Handshake:
        """The upgrade as the TLS front forwards it."""
        return Handshake(
            f"ws://{LOOPBACK}:{self.lab.info.gateway.ws_port}/sip", origin=self.lab.info.web.origin
        )


@pytest.fixture(scope="module")
def torture_lab() -> Iterator[Lab]:
    """A gateway of its own: the log is searched for what these messages do."""
    with Lab(gateway_options(gateway_unregistered_timeout_s=60)) as lab:
        yield lab
        wait_released(lab, CLEAN_WITHIN_S)  # no record, wake-up or relay call is left of any of them


@pytest.fixture
async def world(torture_lab: Lab) -> AsyncIterator[World]:
    """A core, a registered page and one that is not."""
    loop = asyncio.get_running_loop()
    transport, core = await loop.create_datagram_endpoint(RawCore, (LOOPBACK, CORE_PORT))
    info = torture_lab.info
    handshake = Handshake(f"ws://{LOOPBACK}:{info.gateway.ws_port}/sip", origin=info.web.origin)
    pages = [RawPage(handshake, ALICE) for _ in range(2)]
    try:
        await pages[0].open(registered=True)
        await pages[1].open(registered=False)
        yield World(torture_lab, core, *pages)
        for page in pages:
            await page.close()
    finally:
        transport.close()


def path_of(world: World) -> str:
    """Return the Path of the registered page."""
    register = next(one for one in world.core.heard if one.startswith(b"REGISTER "))
    (path,) = (line for line in register.decode().split("\r\n") if line.startswith("Path: "))
    return path.removeprefix("Path: ")


def outcome(message: Torture, sender: str) -> int:
    """Return what this sender is to see, as the table says it."""
    if sender.endswith("page"):
        return message.registered if sender == "registered page" else message.unregistered
    return message.udp if sender == "core, UDP" or message.tcp is None else message.tcp


@pytest.mark.conformance("X-15")
@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("message", MESSAGES, ids=[one.name for one in MESSAGES])
async def test_it_harms_nothing(world: World, message: Torture, sender: str) -> None:
    processes, complaints, page = world.processes, world.complaints, world.registered
    call_id = f"tort-{secrets.token_hex(6)}"
    before_core, before_page = len(world.core.heard), len(page.heard)
    if sender.endswith("page"):
        of = page if sender == "registered page" else world.unregistered
        answers = await of.ask(wire(message.text, of.filling, call_id), call_id)
    else:
        gateway = (world.lab.info.gateway.address, world.lab.info.gateway.sip_port)
        answers = await CoreSender(gateway, page, path_of(world)).ask(message.text, sender[-3:], call_id)
    found, is_passed = outcome(message, sender), outcome(message, sender) == PASSED
    far_end = 486 if message.text.startswith("INVITE") else 200
    assert answers.final() == (far_end if is_passed else found), answers

    # The gateway's own SUBSCRIBE to the registration's state comes when it comes.
    own = (b"SIP/2.0 ", b"SUBSCRIBE ")
    to_core = [one for one in world.core.heard[before_core:] if not one.startswith(own)]
    to_page = [one for one in page.heard[before_page:] if not one.startswith(b"SIP/2.0 ")]
    if sender.endswith("page"):
        assert not any(PRIVATE.encode() in one for one in to_core), to_core
        assert is_passed == bool(to_core), to_core
    else:
        assert not any(PRIVATE.encode() in one for one in to_page), to_page
        assert is_passed == bool(to_page), to_page

    again = RawPage(world.handshake(), ALICE)
    await again.open(registered=True)
    await again.close()
    assert answers_options(world.lab.info.gateway.address, world.lab.info.gateway.sip_port)
    assert world.processes == processes
    assert world.complaints == complaints


def test_all_are_there() -> None:
    """RFC 4475 has 49 messages, RFC 5118 has 12."""
    found = Counter(one.section.split()[1] for one in MESSAGES)
    assert {number: found[number] for number in PLACES} == PLACES
    assert len({one.name for one in MESSAGES}) == len(MESSAGES)
