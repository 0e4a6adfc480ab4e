"""The WebSocket handshake: who may connect, and what others are told (RFC 6455 §4.2.2)."""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.calls.stage import Stage, until
from tests.lab.ports import LOOPBACK
from tests.peers.websocket import PageSocket

pytestmark = pytest.mark.lab


async def refusal(stage: Stage, **changes: Any) -> tuple[int, str]:
    """Try to connect and return status and text of the refusal."""
    with pytest.raises(InvalidStatus) as caught:
        await PageSocket.open(replace(stage.handshake, **changes))
    response = caught.value.response
    return response.status_code, bytes(response.body or b"").decode()


@pytest.mark.conformance("B-01")
async def test_a_page_of_ours_is_let_in_and_speaks_sip(stage: Stage) -> None:
    socket = await PageSocket.open(stage.handshake)
    assert socket.subprotocol == "sip"
    await socket.close()


@pytest.mark.conformance("X-02")
@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        pytest.param({"origin": "https://evil.example"}, 403, "origin", id="another origin"),
        pytest.param({"origin": None}, 403, "origin", id="no origin"),
        pytest.param({"origin": "null"}, 403, "origin", id="null origin"),
        pytest.param({"forwarded_for": None}, 400, "client address", id="no client address"),
        pytest.param({"forwarded_for": ""}, 400, "client address", id="empty client address"),
        pytest.param(
            {"forwarded_for": "198.51.100.7, 203.0.113.9"},
            400,
            "client address",
            id="two addresses in one field",
        ),
        pytest.param(
            {"headers": {"x-forwarded-for": "203.0.113.9"}}, 400, "client address", id="the field twice"
        ),
    ],
)
async def test_others_are_refused_with_the_reason(
    stage: Stage, changes: dict[str, Any], status: int, word: str
) -> None:
    got, text = await refusal(stage, **changes)
    assert got == status
    assert word in text


@pytest.mark.parametrize("path", [pytest.param(p, id=p) for p in ("/", "/sipx", "/api/sip", "/SIP")])
async def test_another_path_is_not_found(stage: Stage, path: str) -> None:
    url = stage.handshake.url.removesuffix("/sip") + path
    assert (await refusal(stage, url=url))[0] == 404


async def test_a_query_does_not_matter(stage: Stage) -> None:
    socket = await PageSocket.open(replace(stage.handshake, url=stage.handshake.url + "?page=1"))
    await socket.close()


@pytest.mark.conformance("B-01")
async def test_a_page_that_does_not_speak_sip_is_refused(stage: Stage) -> None:
    assert (await refusal(stage, subprotocols=("chat",)))[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/sip", 400, id="no upgrade"),
        pytest.param("GET", "/", 404, id="another path"),
        pytest.param("POST", "/sip", 400, id="POST"),
    ],
)
async def test_plain_http_is_refused(stage: Stage, method: str, path: str, status: int) -> None:
    def ask() -> int:
        connection = http.client.HTTPConnection(LOOPBACK, stage.lab.info.gateway.ws_port, timeout=3)
        origin = str(stage.handshake.origin)
        headers = {"Origin": origin, "X-Forwarded-For": "198.51.100.7", "Content-Length": "0"}
        connection.request(method, path, headers=headers)
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    assert await asyncio.to_thread(ask) == status


async def test_a_refused_handshake_leaves_no_flow(stage: Stage) -> None:
    await refusal(stage, origin="https://evil.example")
    await refusal(stage, subprotocols=("chat",))
    await until(
        lambda: not stage.lab.gateway_rpc.htable("flow"),
        lambda: f"flows stay: {stage.lab.gateway_rpc.htable('flow')}",
        15,
    )
