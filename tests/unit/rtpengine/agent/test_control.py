"""The agent's HTTP client against a real server socket: answers, refusals, a gateway that restarts or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from rtpengine.agent.control import ControlClient, ControlRefused, ControlUnreachable


class Gateway:
    """Answers with what it was told, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answers: list[bytes] = []
        self.connections = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while not reader.at_eof():
            with suppress(asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
            if reader.at_eof():
                break
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.asked.append(head + await reader.readexactly(length))
            answer = self.answers.pop(0)
            if not answer:
                break
            writer.write(answer)
        writer.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()


def answer(status: int, body: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\nSia: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    found = Gateway()
    yield found
    await found.stop()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[ControlClient]:
    client = ControlClient("127.0.0.1", await gateway.start(), "secret", timeout_s=0.3)
    yield client
    client.close()


async def test_questions_share_a_connection(gateway: Gateway, client: ControlClient) -> None:
    gateway.answers = [answer(200, '{"a":1}'), answer(200, '{"b":2}')]
    answers = await asyncio.gather(client.ask("GET", "/v1/x"), client.ask("PUT", "/v1/y", {"c": 3}))
    assert list(answers) == [{"a": 1}, {"b": 2}]
    assert gateway.connections == 1
    assert gateway.asked[1].startswith(b"PUT /v1/y HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer secret\r\n" in gateway.asked[1]
    assert gateway.asked[1].endswith(b'\r\n\r\n{"c":3}')


async def test_a_refusal_has_its_status(gateway: Gateway, client: ControlClient) -> None:
    gateway.answers = [answer(404, '{"error":"no such call"}')]
    with pytest.raises(ControlRefused, match="404: no such call") as caught:
        await client.ask("GET", "/v1/x")
    assert caught.value.status == 404


async def test_a_connection_that_was_closed_is_opened_again(gateway: Gateway, client: ControlClient) -> None:
    gateway.answers = [answer(200, "{}"), b"", answer(200, '{"again":true}')]
    await client.ask("GET", "/v1/x")
    assert await client.ask("GET", "/v1/x") == {"again": True}
    assert gateway.connections == 2


@pytest.mark.parametrize("garbage", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", answer(200, "no JSON")])
async def test_garbage_is_no_answer(gateway: Gateway, client: ControlClient, garbage: bytes) -> None:
    gateway.answers = [garbage, garbage]
    with pytest.raises(ControlUnreachable):
        await client.ask("GET", "/v1/x")


async def test_nobody_listens(client: ControlClient, gateway: Gateway) -> None:
    await gateway.stop()
    with pytest.raises(ControlUnreachable):
        await client.ask("GET", "/v1/x")
