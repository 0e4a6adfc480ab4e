"""The Via fields of the core's requests stay with the gateway, and its responses find back by them all the same.

That every response comes back by all hops of its request, the scripted core checks in every test.
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.integration.calls.incoming import answered
from tests.integration.calls.stage import Stage, until
from tests.lab.ports import LOOPBACK
from tests.peers.core_call import INNER_HOPS
from tests.peers.sip import response_to
from tests.peers.trace import Direction

pytestmark = pytest.mark.lab

TRANSACTION_GONE_S = 10
NOTHING_CAME_S = 0.5


async def test_a_2xx_that_comes_after_its_transaction_still_reaches_the_caller(stage: Stage) -> None:
    """RFC 3261 §13.3.1.4: the page repeats it until it has the ACK, Kamailio forgets after five seconds."""
    call = await answered(stage, await stage.page())
    first = await call.ims.wait_status(200)
    await until(
        lambda: not stage.has_transaction(call.call_id), lambda: "the transaction stays", TRANSACTION_GONE_S
    )
    await call.wic.respond(200)
    again = await call.ims.wait_status(200, count=2)
    assert again.headers.all("Via") == first.headers.all("Via")
    assert again.headers.all("Via")[1:] == [hop for _, value in INNER_HOPS for hop in value.split(", ")]
    assert again.body == first.body
    await call.wic.wait_request("ACK", count=2)
    assert (await call.ims.bye()).status == 200


async def test_a_request_of_the_core_that_is_sent_again_reaches_the_page_once(stage: Stage) -> None:
    call = await answered(stage, await stage.page())
    assert (await call.ims.info("text/plain", "hello")).status == 200
    (sent,) = stage.core.trace.requests("INFO", Direction.SENT)
    stage.core.send(sent, call.ims.gateway)
    await stage.core.trace.wait_response(200, "INFO", call_id=call.call_id, count=2)
    assert (await call.ims.info("text/plain", "again")).status == 200
    first, second = (r for r in call.wic.trace.requests("INFO") if r.call_id == call.call_id)
    assert second.cseq.number == first.cseq.number + 1
    assert (await call.ims.bye()).status == 200


@pytest.mark.parametrize("known", [pytest.param(True, id="in a call"), pytest.param(False, id="of no call")])
async def test_a_page_does_not_say_where_its_responses_go(stage: Stage, known: bool) -> None:
    call = await answered(stage, await stage.page())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((LOOPBACK, 0))
        stranger.setblocking(False)
        response = response_to(call.wic.invite, 200, to_tag="x")
        response.headers.remove("CSeq")
        response.headers.add("CSeq", "77 MESSAGE")
        if not known:
            response.headers.remove("Call-ID")
            response.headers.add("Call-ID", "of-no-call")
        response.headers.add("Via", f"SIP/2.0/UDP {LOOPBACK}:{stranger.getsockname()[1]};branch=z9hG4bKx")
        await call.wic.send(response)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_recv(stranger, 1), NOTHING_CAME_S)
    await stage.logged(response.call_id, "event=request_rejected", "one Via")
    await call.works()
    assert (await call.ims.bye()).status == 200
