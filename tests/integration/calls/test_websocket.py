"""SIP over WebSocket on the wire (RFC 7118): frames, lengths, retransmissions, and which connection an answer takes."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.integration.calls.offers import AUDIO
from tests.integration.calls.stage import ALICE, BOB, UPDATE_TIMEOUT_S, Stage, until
from tests.lab.subscribers import REALM
from tests.peers.call_plan import IGNORED, CallPlan
from tests.peers.sip import Headers, SipRequest, SipResponse, message_to_text
from tests.peers.trace import Direction
from tests.peers.websocket import PageSocket
from tests.peers.wic import ScriptedWic, WicIdentity

pytestmark = pytest.mark.lab


def options(page: ScriptedWic, call_id: str, cseq: int = 1) -> SipRequest:
    """Return an OPTIONS to the gateway."""
    fields = [
        ("Via", page.new_via()),
        ("Max-Forwards", "70"),
        ("From", f"<{ALICE}>;tag=a"),
        ("To", f"<sip:{REALM}>"),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} OPTIONS"),
    ]
    return SipRequest("OPTIONS", f"sip:{REALM}", headers=Headers(fields))


@pytest.mark.conformance("B-03")
class TestFrames:
    """Text, binary and fragmented messages are the same (RFC 7118 §4.2)."""

    async def test_binary(self, stage: Stage) -> None:
        page = await stage.page()
        await page.send_raw(message_to_text(options(page, "binary")).encode())
        await page.trace.wait_response(200, "OPTIONS", call_id="binary")

    @pytest.mark.parametrize("pieces", [pytest.param(n, id=f"{n} frames") for n in (2, 3, 20)])
    async def test_fragments(self, stage: Stage, pieces: int) -> None:
        page = await stage.page()
        text = message_to_text(options(page, "fragments"))
        size = len(text) // pieces + 1
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        assert len(parts) == pieces
        await page.socket.send_in_fragments(*parts)
        await page.trace.wait_response(200, "OPTIONS", call_id="fragments")


@pytest.mark.conformance("B-04")
async def test_what_is_not_utf_8_reaches_the_page_which_stays_connected(stage: Stage) -> None:
    """In a text frame it would make the page close the connection (RFC 6455 §8.1)."""
    call = await stage.answered(await stage.page())
    assert (await call.ims.info("text/plain", "caf\udce9")).status == 200
    assert (await call.wic.wait_request("INFO")).body == "caf\udce9"
    assert (await call.wic.info()).status == 200
    await call.hang_up()


class LengthlessWic(ScriptedWic):
    """A page that leaves Content-Length out of everything."""

    async def send(self, message: SipRequest | SipResponse) -> None:
        self.trace.record(Direction.SENT, message)
        text, count = re.subn(r"\r\nContent-Length: \d+", "", message_to_text(message))
        assert count == 1
        await self.socket.send(text)


@pytest.mark.conformance("B-05")
async def test_a_page_without_content_length_makes_a_call_and_the_core_gets_right_ones(stage: Stage) -> None:
    page = await stage.join(LengthlessWic(stage.handshake, WicIdentity(ALICE)))
    call = await stage.answered(page)
    await call.hang_up()
    received = [e.message for e in stage.core.trace.entries if e.direction is Direction.RECEIVED]
    for message in received:  # over UDP a message without body needs none (RFC 3261 §18.3)
        length = [str(len(message.body.encode()))]
        assert message.headers.fields("Content-Length") in ((length,) if message.body else (length, []))
    assert call.ims.invite.has_sdp


@pytest.mark.conformance("B-06")
async def test_an_unanswered_request_is_not_repeated_on_a_reliable_transport(stage: Stage) -> None:
    page = await stage.page()
    wic = await page.invite(BOB, AUDIO, plan=CallPlan(offer_replies=(IGNORED,)))
    await wic.wait_status(504, timeout_s=UPDATE_TIMEOUT_S + 10)  # T1, when UDP would repeat, is half a second
    assert wic.ladder().count("<- UPDATE (SDP)") == 1
    assert wic.ladder().count("<- 504 INVITE") == 1


@pytest.mark.conformance("B-07")
async def test_the_pages_own_names_come_back_and_ours_say_websocket(stage: Stage) -> None:
    page = await stage.page()
    assert ".invalid" in page.contact
    call = await stage.answered(page)
    await call.hang_up()
    responses = [r for method in ("REGISTER", "INVITE", "BYE") for r in page.trace.responses(method)]
    assert {str(response.headers.get("Via")).split()[0] for response in responses} == {"SIP/2.0/WSS"}
    (update,) = page.trace.requests("UPDATE")
    assert update.request_uri == page.contact.strip("<>")
    assert str(update.headers.get("Via")).split()[0] == "SIP/2.0/WS"
    assert str(update.contact_uri).endswith(";transport=ws")


@pytest.mark.conformance("B-12")
async def test_an_answer_takes_the_connection_its_request_came_by_whatever_the_call_id(stage: Stage) -> None:
    one, other = await stage.page(), await stage.page()
    await asyncio.gather(
        *(page.send(options(page, "same", cseq)) for page, cseq in ((one, 11), (other, 22), (one, 33)))
    )
    await until(
        lambda: len(one.trace.responses("OPTIONS")) + len(other.trace.responses("OPTIONS")) == 3,
        lambda: f"{one.trace.ladder()} {other.trace.ladder()}",
        15,
    )
    assert sorted(r.cseq.number for r in one.trace.responses("OPTIONS")) == [11, 33]
    assert [r.cseq.number for r in other.trace.responses("OPTIONS")] == [22]


async def test_a_crlf_keep_alive_is_answered(stage: Stage) -> None:
    """RFC 5626 §4.4.1: two of them ask, one answers."""
    socket = await PageSocket.open(stage.handshake)
    await socket.send("\r\n\r\n")
    assert await asyncio.wait_for(socket.receive(), 2) == b"\r\n"
    await socket.close()
