"""What a page can do to the connection itself: frames, sizes, handshakes (RFC 6455, RFC 7118 §5)."""

from __future__ import annotations

import asyncio
import base64
import random
import secrets
import socket
from dataclasses import replace

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.calls.stage import ALICE, Stage
from tests.integration.trust.issuers import token_for
from tests.integration.trust.raw import options_text, register_text, send_register
from tests.lab.ports import LOOPBACK
from tests.lab.subscribers import REALM
from tests.peers.websocket import Handshake, PageSocket
from tests.peers.wic import ScriptedWic

pytestmark = pytest.mark.lab


async def still_works(stage: Stage) -> None:
    """A new page registers: the gateway lives."""
    page = await stage.page(registered=False)
    assert (await send_register(page, [])).status == 200


async def answer_to(page: ScriptedWic, text: str | bytes) -> int:
    """Send one WebSocket message and return the status of the answer."""
    already = len(page.trace.entries)
    await page.send_raw(text)
    entry = await page.trace.wait(lambda e: True, count=already + 1, what="an answer")
    status: int = entry.message.status  # type: ignore[union-attr]
    return status


class TestOneMessageInEachFrame:
    """Request smuggling: what follows Content-Length would be read as another request behind us."""

    @pytest.mark.conformance("X-06")
    async def test_a_second_request_behind_an_empty_body(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        both = register_text(page, call_id="first") + register_text(page, call_id="second")
        assert await answer_to(page, both) == 400
        assert not any(stage.core_knows(call_id) for call_id in ("first", "second"))
        await still_works(stage)
        assert not any(entry.message.call_id == "second" for entry in page.trace.entries)

    @pytest.mark.conformance("X-06")
    async def test_a_second_request_in_a_call(self, stage: Stage) -> None:
        call = await stage.answered(await stage.page())
        info = call.wic.request("INFO")
        text = "\r\n".join(
            [info.start_line, *(f"{n}: {v}" for n, v in info.headers), "Content-Length: 0", "", ""]
        )
        page = stage.pages[0]
        await page.send_raw(text + register_text(page, ["X: smuggled"]))
        response = await page.trace.wait_response(range(200, 700), "INFO", call_id=call.call_id)
        assert response.status == 400
        assert not stage.core.trace.requests("INFO")
        await call.hang_up()

    @pytest.mark.conformance("X-06")
    @pytest.mark.parametrize(
        ("content_length", "body", "status"),
        [
            pytest.param("0", "", 200, id="none and none said"),
            pytest.param(None, "", 200, id="none and nothing said"),
            pytest.param("0", "x", 400, id="one byte more"),
            pytest.param("5", "abc", 400, id="less than said"),
            pytest.param("0\r\nContent-Length: 3", "abc", 400, id="two lengths"),
            pytest.param("0\r\nl: 3", "abc", 400, id="two lengths, one compact"),
            pytest.param("+0", "", 400, id="sign"),
            pytest.param("0x0", "", 400, id="hexadecimal"),
            pytest.param("99999999999999999999", "", 400, id="huge"),
            pytest.param(None, "abc", 400, id="a body of no type"),
        ],
    )
    async def test_content_length_is_the_length(
        self, stage: Stage, content_length: str | None, body: str, status: int
    ) -> None:
        page = await stage.page(registered=False)
        await page.send_raw(options_text(body, content_length))
        await still_works(stage)
        answers = [answer.status for answer in page.trace.responses("OPTIONS")]
        if status == 400 and not answers:  # Kamailio cannot answer: the connection ends
            await asyncio.wait_for(page.lost.wait(), 15)
        else:
            assert answers == [status]

    @pytest.mark.conformance("X-06")
    async def test_umlauts_count_as_bytes(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        body = "Grüße"
        length = str(len(body.encode()))
        assert await answer_to(page, options_text(body, length, ["Content-Type: text/plain"])) == 200
        assert await answer_to(page, options_text(body, length, ["Content-Type: text/plain"]).encode()) == 200


class TestSizes:
    @pytest.mark.conformance("X-05")
    @pytest.mark.parametrize("size", [70_000, 1_000_000])
    async def test_a_message_that_is_too_long_ends_its_connection_only(self, stage: Stage, size: int) -> None:
        page = await stage.page(registered=False)
        await page.send_raw(register_text(page, [f"X-Long: {'x' * size}"], call_id="long"))
        await asyncio.wait_for(page.lost.wait(), 10)
        assert not stage.core_knows("long")
        await still_works(stage)

    async def test_a_hundred_kilobytes_of_header_lines(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        await page.send_raw(register_text(page, [f"X-{n}: {'x' * 90}" for n in range(1000)]))
        await asyncio.wait_for(page.lost.wait(), 10)
        await still_works(stage)

    async def test_many_small_header_lines_do_no_harm(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        lines = [f"P-Asserted-Identity: <sip:{n}@x>" for n in range(1000)]
        await page.send_raw(register_text(page, lines, call_id="many"))
        await still_works(stage)
        answers = [answer.status for answer in page.trace.responses("REGISTER")]
        if not answers:
            await asyncio.wait_for(page.lost.wait(), 15)
        assert answers in ([], [200], [400], [413], [500], [513])
        assert not any(
            request.headers.fields("P-Asserted-Identity") for request in stage.core.trace.requests("REGISTER")
        )
        await still_works(stage)

    async def test_a_message_that_is_no_sip_does_no_harm(self, stage: Stage) -> None:
        page = await stage.page(registered=False)
        for text in ("GARBAGE\r\n\r\n", "REGISTER sip:x\r\n\r\n", "\0", " ", "\r\n\r\n", b"\xff\xfe\r\n\r\n"):
            await page.send_raw(text)
        await still_works(stage)


async def test_a_response_over_http_ends_its_connection(stage: Stage) -> None:
    """Kamailio is set up to parse those that leave, and would take one that comes for a response of SIP."""
    page = await stage.page()
    begins = len(stage.gateway_log.read_text(errors="replace"))
    await page.send_raw(
        "HTTP/1.1 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1:9\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    await asyncio.wait_for(page.lost.wait(), 15)
    await still_works(stage)
    # Read, it would have been a response that is refused, and the connection gone as well.
    assert "event=message_unreadable" in stage.gateway_log.read_text(errors="replace")[begins:]


async def test_a_handshake_is_no_error_in_the_log(stage: Stage) -> None:
    """Kamailio parses its own responses over HTTP as they leave, and logged each, whole, for it could not."""
    begins = len(stage.gateway_log.read_text(errors="replace"))
    await stage.page()
    await still_works(stage)
    assert " ERROR: " not in stage.gateway_log.read_text(errors="replace")[begins:]


@pytest.mark.conformance("X-19", "R-13")
async def test_credentials_in_broken_messages_are_in_no_log(stage: Stage) -> None:
    """Kamailio logs what it cannot parse, whole; such a message never gets so far."""
    page = await stage.page(registered=False)
    token = token_for()
    header = f"Authorization: Bearer {token}"
    good = register_text(page, [header])
    broken = [
        f"GARBAGE {token}\r\n\r\n",
        f"REGISTER sip:x\r\n{header}\r\n\r\n",
        good.replace("SIP/2.0\r\n", "SIP/9.9\r\n", 1),
        good.replace("\r\n", "\n"),
        register_text(page, ["Via", header]),
        register_text(page, [header, ": nothing"]),
        *(
            good.replace(f"\r\n{name}: ", f"\r\n{name}: {junk}", 1)
            for name in ("Via", "To", "From", "CSeq", "Content-Length", "Contact", "Call-ID", "Max-Forwards")
            for junk in ("<", '"', ";", "\x01", "@:", "\u20ac", "SIP/2.0/WSS ;", "x" * 300)
        ),
    ]
    for text in broken:
        if page.lost.is_set():  # dropped before it was parsed, and the connection with it
            page = await stage.page(registered=False)
        await page.send_raw(text)
        await asyncio.sleep(0.05)
    page = await stage.page(registered=False)
    await page.send_raw(good.encode() + b"\xff")
    page = await stage.page(registered=False)
    await page.send_raw(good.replace("raw.invalid", "r\u00e4w.invalid").encode("latin-1"))
    await still_works(stage)
    log = stage.gateway_log.read_text(errors="replace")
    assert token not in log
    assert token.rpartition(".")[2] not in log
    assert "event=message_unreadable" in log


MUTATIONS = 150
JUNK = (*'<>";@:\\\x01 \t=,([%a0/\u00e9', "\r\n", "\r\n ")


@pytest.mark.conformance("X-19")
async def test_no_small_fault_brings_credentials_into_the_log(stage: Stage) -> None:
    """One or two characters of a good REGISTER are changed, by chance that is the same each time."""
    chance = random.Random(1)
    token = token_for()
    page = await stage.page(registered=False)
    for number in range(MUTATIONS):
        if page.lost.is_set():
            page = await stage.page(registered=False)
        text = list(register_text(page, [f"Authorization: Bearer {token}", "Supported: path, outbound"]))
        for _ in range(chance.choice((1, 1, 2))):
            place = chance.randrange(len(text))
            text[place] = chance.choice((text[place] + chance.choice(JUNK), chance.choice(JUNK), ""))
        await page.send_raw("".join(text))
        if number % 5 == 0:
            await asyncio.sleep(0.02)
    await still_works(stage)
    assert "eyJ" not in stage.gateway_log.read_text(errors="replace")


class TestHandshake:
    @pytest.mark.conformance("X-02")
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda good: None, id="none"),
            pytest.param(lambda good: "null", id="null"),
            pytest.param(lambda good: good.upper(), id="capitals"),
            pytest.param(lambda good: good + "/", id="slash behind"),
            pytest.param(lambda good: good + ".evil.test", id="longer host"),
            pytest.param(lambda good: good.replace("https://", "https://evil."), id="longer at the front"),
            pytest.param(lambda good: good.replace("https://", "http://"), id="http"),
            pytest.param(lambda good: good.rpartition(":")[0], id="no port"),
            pytest.param(lambda good: good.replace("localhost", "localhost:443@evil.test"), id="user part"),
            pytest.param(
                lambda good: good.replace("localhost", "lоcalhost").encode().decode("latin-1"),
                id="IDN look-alike",
            ),
            pytest.param(lambda good: f"https://evil.test {good}", id="two in one"),
            pytest.param(lambda good: good + "\t", id="tab behind"),
        ],
    )
    async def test_another_origin(self, stage: Stage, change: object) -> None:
        assert callable(change)
        origin = change(stage.handshake.origin or "")
        if origin is not None and origin.strip() == stage.handshake.origin:
            await PageSocket.open(
                Handshake(stage.handshake.url, origin=origin)
            )  # white space is no part of it
            return
        with pytest.raises(InvalidStatus) as caught:
            await PageSocket.open(Handshake(stage.handshake.url, origin=origin))
        assert caught.value.response.status_code == 403

    @pytest.mark.conformance("X-03")
    async def test_a_cookie_opens_nothing(self, stage: Stage) -> None:
        cookie = {"Cookie": "session=somebody-is-logged-in"}
        with pytest.raises(InvalidStatus):
            await PageSocket.open(Handshake(stage.handshake.url, origin="https://evil.test", headers=cookie))
        handshake = Handshake(stage.handshake.url, origin=stage.handshake.origin, headers=cookie)
        page = await stage.join(ScriptedWic(handshake), registered=False)
        call = await page.invite(f"sip:bob@{REALM}", "")
        assert (await call.wait_status(range(300, 700))).status == 403

    async def test_cookies_and_credentials_of_the_web_do_no_harm(self, stage: Stage) -> None:
        headers = {"Cookie": f"session={token_for()}", "Authorization": f"Bearer {token_for()}"}
        handshake = Handshake(stage.handshake.url, origin=stage.handshake.origin, headers=headers)
        page = await stage.join(ScriptedWic(handshake), registered=False)
        page.identity = replace(page.identity, aor=ALICE)
        assert (await send_register(page, [])).status == 200
        assert "eyJ" not in stage.gateway_log.read_text(errors="replace")

    async def test_one_that_never_finishes(self, stage: Stage) -> None:
        lines = [socket.create_connection((LOOPBACK, stage.lab.info.gateway.ws_port)) for _ in range(50)]
        try:
            for number, line in enumerate(lines):
                line.sendall(b"GET /sip HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"[: number + 1])
            await still_works(stage)
        finally:
            for line in lines:
                line.close()

    async def test_one_with_a_hundred_kilobytes_of_header(self, stage: Stage) -> None:
        with socket.create_connection((LOOPBACK, stage.lab.info.gateway.ws_port), 5) as line:
            try:
                line.sendall(b"GET /sip HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
                answer = line.recv(4096)
            except ConnectionError:
                answer = b""
        assert not answer.startswith(b"HTTP/1.1 101")
        await still_works(stage)

    @pytest.mark.parametrize("size", [1 << 31, 1 << 62])
    async def test_a_frame_that_claims_to_be_endless(self, stage: Stage, size: int) -> None:
        with socket.create_connection((LOOPBACK, stage.lab.info.gateway.ws_port), 5) as line:
            key = base64.b64encode(secrets.token_bytes(16)).decode()
            line.sendall(
                (
                    f"GET /sip HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n"
                    f"Origin: {stage.handshake.origin}\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"
                ).encode()
            )
            assert line.recv(4096).startswith(b"HTTP/1.1 101")
            line.sendall(b"\x81\xff" + size.to_bytes(8) + b"abcd" + b"REGISTER")
            await still_works(stage)


@pytest.mark.conformance("X-16")
async def test_sip_over_plain_tcp_to_the_websocket_port_is_nobody(stage: Stage) -> None:
    text = options_text().replace("OPTIONS", "INVITE").replace("SIP/2.0/WSS", "SIP/2.0/TCP")
    assert ALICE in text
    with socket.create_connection((LOOPBACK, stage.lab.info.gateway.ws_port), 5) as line:
        line.sendall(text.encode())
        assert line.recv(4096).startswith(b"SIP/2.0 403 ")
