"""The control endpoint of a running gateway: who may use it, what it says of bad input, the calls."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

import pytest

from tests.integration.calls.stage import ALICE, Stage
from tests.lab.ports import LOOPBACK
from tests.peers.core_script import rings_for_ever

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("secret", [pytest.param("", id="none"), pytest.param("x" * 64, id="wrong")])
async def test_nobody_gets_in_without_the_secret(stage: Stage, secret: str) -> None:
    for path in ("/v1/calls", "/nothing"):
        status, answer = stage.lab.control("GET", path, secret=secret)
        assert (status, list(answer)) == (401, ["error"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "/nothing", None, 404, id="unknown route"),
        pytest.param("GET", "/v1/calls/", None, 404, id="nearly a route"),
        pytest.param("GET", "/v1/calls/end", None, 405, id="another method"),
        pytest.param("PUT", "/v1/calls", {}, 405, id="PUT where GET is"),
        pytest.param("POST", "/v1/calls/end", b"{no", 400, id="no JSON"),
        pytest.param("POST", "/v1/calls/end", b"[]", 400, id="no object"),
        pytest.param("POST", "/v1/calls/end", b'{"call_id": "\xff"}', 400, id="no UTF-8"),
        pytest.param("POST", "/v1/calls/end", {}, 400, id="nothing said"),
        pytest.param("POST", "/v1/calls/end", {"call_id": 5, "why": "x"}, 400, id="a number for a name"),
        pytest.param("POST", "/v1/calls/end", {"call_id": "x", "why": "a\r\nb"}, 400, id="two lines"),
        pytest.param("POST", "/v1/calls/end", {"call_id": "x", "why": "x" * 21_000}, 413, id="too big"),
        pytest.param("POST", "/v1/calls/end", {"call_id": "nobody's", "why": "x"}, 404, id="no such call"),
        pytest.param("GET", "/v1/calls?limit=0", None, 400, id="a page of nothing"),
        pytest.param("GET", "/v1/calls?limit=1e3", None, 400, id="no whole number"),
    ],
)
async def test_bad_input_is_said_to_be_so(
    stage: Stage, method: str, path: str, body: Any, status: int
) -> None:
    got, answer = stage.lab.control(method, path, body)
    assert (got, list(answer)) == (status, ["error"])


async def test_what_does_not_even_fit_the_buffer_ends_the_connection_only(stage: Stage) -> None:
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        stage.lab.control("POST", "/v1/calls/end", b"x" * 200_000)
    status, answer = stage.lab.control("GET", "/v1/calls")
    assert (status, answer["calls"], answer["next"]) == (200, [], "")


async def test_it_is_on_its_own_port_only(stage: Stage) -> None:
    gateway = stage.lab.info.gateway
    status, text = stage.lab.control("GET", "/v1/calls", port=gateway.ws_port)
    assert (status, text) == (404, "SIP over WebSocket is at /sip")
    status, text = stage.lab.control("GET", "/v1/calls", port=gateway.sip_port)
    assert (status, text) == (403, "connections come through the TLS front only")
    with socket.create_connection((LOOPBACK, gateway.control_port), 5) as line:
        own = line.getsockname()[1]
        line.sendall(
            f"OPTIONS sip:{LOOPBACK} SIP/2.0\r\nVia: SIP/2.0/TCP {LOOPBACK}:{own};branch=z9hG4bKc\r\n"
            "From: <sip:x@y>;tag=1\r\nTo: <sip:y@y>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 5\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert line.recv(4096).startswith(b"SIP/2.0 403 ")


async def test_calls_are_listed_page_by_page_and_ended(stage: Stage) -> None:
    calls = [await stage.answered(await stage.page()) for _ in range(3)]
    names = sorted(call.call_id for call in calls)
    status, answer = stage.lab.control("GET", "/v1/calls?limit=2")
    assert (status, [call["key"] for call in answer["calls"]], answer["next"]) == (200, names[:2], names[1])
    first = answer["calls"][0]
    node = stage.lab.info.rtpengine
    assert (
        first.items()
        >= {
            "node": f"{node.ng_address}:{node.ng_port}",
            "kinds": ["audio"],
            "owner": ALICE,
            "dialog": "confirmed",
        }.items()
    )
    assert 0 <= time.time() - first["since"] < 30
    status, answer = stage.lab.control("GET", f"/v1/calls?limit=2&after={answer['next']}")
    assert (status, [call["key"] for call in answer["calls"]], answer["next"]) == (200, names[2:], "")
    for call in calls:
        assert stage.lab.control(
            "POST", "/v1/calls/end", {"call_id": call.call_id, "why": "node in repair"}
        ) == (
            200,
            {"ended": call.call_id},
        )
        for side in (call.ims, call.wic):
            bye = await side.wait_request("BYE")
            assert bye.headers.get("Reason") == 'SIP;cause=403;text="node in repair"'


async def test_a_call_that_rings_is_refused(stage: Stage) -> None:
    stage.core.script = rings_for_ever()
    call = await stage.ringing(await stage.page())
    assert stage.lab.control("POST", "/v1/calls/end", {"call_id": call.call_id, "why": "not now"})[0] == 200
    await call.ims.wait_request("CANCEL")
    assert (await call.wic.wait_status(range(300, 700))).status == 403


async def test_several_requests_share_a_connection(stage: Stage) -> None:
    gateway = stage.lab.info.gateway
    connection = http.client.HTTPConnection(LOOPBACK, gateway.control_port, timeout=5)
    for _ in range(3):
        connection.request("GET", "/v1/calls", headers={"Authorization": f"Bearer {gateway.control_secret}"})
        assert json.loads(connection.getresponse().read())["calls"] == []
    connection.close()
