"""What is too long for a datagram goes to the core over TCP (RFC 3261 §18.1.1; TS 24.229 §4.2A)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from tests.integration.calls.stage import CORE_PORT, Stage, gateway_options
from tests.integration.trust.raw import send_register
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK
from tests.peers.sip import SipRequest, message_from_bytes, message_to_text, response_to

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab_with_limit() -> Iterator[Lab]:
    """A gateway as the role sets it up by default."""
    with Lab(gateway_options(kamailio_udp_mtu=1300)) as lab:
        yield lab


@pytest.mark.conformance("R-30")
@pytest.mark.parametrize(("filler", "over_tcp"), [(20, False), (2500, True)], ids=["short", "long"])
async def test_the_length_decides(lab_with_limit: Lab, filler: int, over_tcp: bool) -> None:
    by_tcp: list[SipRequest] = []
    done = asyncio.Event()

    async def registrar(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert re.search(rb"Content-Length: *0\r\n", head)
        request = message_from_bytes(head)
        assert isinstance(request, SipRequest)
        by_tcp.append(request)
        answer = response_to(
            request, 200, to_tag="t", headers=[("Contact", request.headers.get("Contact") or "")]
        )
        writer.write(message_to_text(answer).encode())
        await writer.drain()
        await done.wait()
        writer.close()

    stage = Stage(lab_with_limit)
    await stage.open()
    try:
        async with await asyncio.start_server(registrar, LOOPBACK, CORE_PORT):
            page = await stage.page(registered=False)
            assert (await send_register(page, [f"X-Long: {'x' * filler}"])).status == 200
            done.set()  # from Python 3.12 on the server waits for its connections
    finally:
        await stage.close()
    assert len(by_tcp) == int(over_tcp)
    assert len(stage.core.trace.requests("REGISTER")) == int(not over_tcp)
    for request in by_tcp:
        assert (request.headers.get("Via") or "").startswith("SIP/2.0/TCP ")
