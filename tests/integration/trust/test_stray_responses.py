"""What a page writes into Via leads to nobody: responses of its own that nobody asked for reach neither whom they name
nor ourselves as the core's, and responses to its requests come back to where these came from.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kemi.core.messages import uri_from_address
from tests.integration.calls.incoming import answered
from tests.integration.calls.stage import Stage, until
from tests.integration.trust.raw import register_text
from tests.lab.ports import LOOPBACK
from tests.peers.sip import SipRequest, new_branch, response_to

pytestmark = pytest.mark.lab

STRANGER = "127.0.0.99"
NOTHING_CAME_S = 0.5
GONE_S = 15
OURS = "SIP/2.0/WSS a;branch=z9hG4bKq"
SPELLINGS = {
    "behind an angle bracket": f"Via: {OURS};x=<, @NEXT@",
    "between angle brackets": f"Via: {OURS};x=<a, @NEXT@;y=b>",
    "behind an escaped quotation mark": rf'Via: {OURS};x="a\", @NEXT@;y="b"',
    "compact": f"v: {OURS};x=<, @NEXT@",
    "folded": f"Via: {OURS};x=<,\r\n @NEXT@",
    "folded before the comma": f"Via: {OURS};x=<\r\n\t, @NEXT@",
    "two fields": f"Via: {OURS}\r\nv: @NEXT@",
    "two in one": f"VIA : {OURS},@NEXT@",
}


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """Somebody who shall hear nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((STRANGER, 0))
        line.setblocking(False)
        yield line


def next_hop(address: str, port: int) -> str:
    return f"SIP/2.0/UDP {address}:{port};branch={new_branch()}"


async def hears_nothing(line: socket.socket) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(line, 1), NOTHING_CAME_S)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
async def test_nobody_hears_of_them(
    stage: Stage, stranger: socket.socket, spelling: str, method: str
) -> None:
    page = await stage.page(registered=False)
    via = SPELLINGS[spelling].replace("@NEXT@", next_hop(*stranger.getsockname()))
    status = 486 if method == "INVITE" else 200
    lines = [
        f"SIP/2.0 {status} Because", via, "From: <sip:a@ims.test>;tag=a", "To: <sip:b@ims.test>;tag=b",
        f"Call-ID: stray-{new_branch()}", f"CSeq: 1 {method}", "Content-Length: 0", "", "",
    ]  # fmt: skip
    await page.send_raw("\r\n".join(lines))
    await hears_nothing(stranger)


async def test_nor_of_one_in_a_call(stage: Stage, stranger: socket.socket) -> None:
    call = await answered(stage, await stage.page())
    ours = call.wic.invite.headers.get("Via")
    await stage.pages[-1].send_raw(
        "\r\n".join(
            [
                "SIP/2.0 200 OK",
                f"Via: {ours};x=<, {next_hop(*stranger.getsockname())}",
                *(f"{name}: {call.wic.invite.headers.get(name)}" for name in ("From", "Call-ID")),
                f"To: {call.wic.invite.headers.get('To')};tag=x",
                "CSeq: 77 INFO",
                "Content-Length: 0",
                "",
                "",
            ]
        )
    )
    await hears_nothing(stranger)
    await call.works()
    assert (await call.ims.bye()).status == 200


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_none_comes_back_as_the_core_s(stage: Stage, spelling: str) -> None:
    """A page that answers its own REGISTER in the core's place registers nobody."""
    stage.core.registrar = replace(stage.core.registrar, status=None)
    page = await stage.page(registered=False)
    text = register_text(page, call_id=f"own-{new_branch()}")
    await page.send_raw(text)
    await stage.core.trace.wait(lambda entry: True, what="the REGISTER")
    gateway = stage.lab.info.gateway
    via = SPELLINGS[spelling].replace("@NEXT@", next_hop(LOOPBACK, gateway.sip_port))
    kept = [line for line in text.split("\r\n")[1:] if not line.startswith(("Via", "Max-Forwards"))]
    await page.send_raw("\r\n".join(["SIP/2.0 200 OK", via, *kept]))
    await asyncio.sleep(NOTHING_CAME_S)
    granted = "".join(stage.lab.gateway_rpc.htable("registration").values())
    assert uri_from_address(page.contact) not in granted


@pytest.mark.parametrize("max_forwards", ["70", "0"])
@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP @HOST@:@PORT@;branch=@BRANCH@",
        "SIP/2.0/UDP @HOST@:@PORT@;received=@HOST@;rport=@PORT@;maddr=@HOST@;branch=@BRANCH@",
        "SIP/2.0/UDP a;x=<;received=@HOST@;rport=@PORT@>;branch=@BRANCH@",
        "SIP/2.0/UDP @HOST@:@PORT@;branch=@BRANCH@;x=<, SIP/2.0/UDP @HOST@:@PORT@;branch=@BRANCH@a",
        r'SIP/2.0/UDP a;branch=@BRANCH@;x="\", SIP/2.0/UDP @HOST@:@PORT@;branch=@BRANCH@a;y="b"',
    ],
)
async def test_responses_come_back_to_the_page(
    stage: Stage, stranger: socket.socket, via: str, max_forwards: str
) -> None:
    """Also when they come after the transaction, where Kamailio goes by Via alone."""
    stage.core.registrar = replace(stage.core.registrar, status=None)
    page = await stage.page(registered=False)
    host, port = stranger.getsockname()
    for mark, value in (("@HOST@", host), ("@PORT@", str(port)), ("@BRANCH@", new_branch())):
        via = via.replace(mark, value)
    call_id = f"via-{new_branch()}"
    kept = [line for line in register_text(page, call_id=call_id).split("\r\n") if not line.startswith("Via")]
    text = "\r\n".join([kept[0], f"Via: {via}", *kept[1:]])
    await page.send_raw(text.replace("Max-Forwards: 70", f"Max-Forwards: {max_forwards}"))
    if max_forwards != "0":
        entry = await stage.core.trace.wait(lambda entry: True, call_id=call_id, what="the REGISTER")
        assert isinstance(entry.message, SipRequest)
        await until(lambda: not stage.has_transaction(call_id), lambda: "the transaction stays", GONE_S)
        gateway = stage.lab.info.gateway
        stage.core.send(response_to(entry.message, 200), (gateway.address, gateway.sip_port))
    await hears_nothing(stranger)
