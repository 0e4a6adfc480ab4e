"""Bodies in chunks (RFC 9112 §7.1), of which no length is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis
from flask import Flask

from tests.contract.web.client import NAME, OWN_FIELDS, PASSWORD, WebPage
from tests.contract.web.server import Server, gunicorn, plain_settings
from webapp_api.blueprints import operator_routes
from webapp_api.bodies import MAX_BYTES

LOGIN = ("POST", "/api/session", json.dumps({"name": NAME, "password": PASSWORD}))
TABLE = ("PUT", "/api/operator/routes", json.dumps({"routes": []}))
END = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def server_on(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, for all tests of this file; its log has no traceback in the end."""
    with gunicorn(plain_settings(redis_url), tmp_path_factory.mktemp("web")) as running:
        yield running


def answer_to(server: Server, method: str, path: str, chunks: bytes, cookie: str = "") -> tuple[int, str]:
    """Send a body as it is, and the end of what can be sent; return status and media type of the answer."""
    fields = OWN_FIELDS | {"Cookie": f"__Host-session={cookie}", "Connection": "close"}
    head = (f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    own = (f"{name}: {value}" for name, value in fields.items())
    text = "\r\n".join([*head, *own, "Transfer-Encoding: chunked", "", ""]).encode()
    answered = b""
    with socket.create_connection(("127.0.0.1", server.port), 10) as line:
        line.sendall(text + chunks)
        line.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):  # what was not read ends the connection so
            while data := line.recv(65536):
                answered += data
    status, _, fields_of_answer = answered.decode().partition("\r\n")
    (media_type,) = [
        line.partition(": ")[2] for line in fields_of_answer.split("\r\n") if line.startswith("Content-Type")
    ]
    return int(status.split(" ")[1]), media_type


def chunk(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()


@pytest.mark.parametrize(
    ("request_", "most", "status"),
    [
        pytest.param(LOGIN, MAX_BYTES, 201, id="login"),
        pytest.param(TABLE, operator_routes.MAX_BYTES, 200, id="routes"),
    ],
)
def test_one_byte_too_many_is_refused_though_what_is_before_it_is_good(
    server_on: Server, page_of_operator: WebPage, request_: tuple[str, str, str], most: int, status: int
) -> None:
    (method, path, text), cookie = request_, str(page_of_operator.cookie())
    whole = text.ljust(most)
    assert answer_to(server_on, method, path, chunk(whole) + END, cookie)[0] == status
    for blanks in (" ", " " * 20_000):
        refused = answer_to(server_on, method, path, chunk(whole) + chunk(blanks) + END, cookie)
        assert refused == (413, "application/problem+json")


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"xyz\r\n{}\r\n0\r\n\r\n", id="no size"),
        pytest.param(b"\r\n{}\r\n0\r\n\r\n", id="an empty size"),
        pytest.param(b"2\r\n{}}}0\r\n\r\n", id="more than its size"),
        pytest.param(b"2;=\r\n{}\r\n0\r\n\r\n", id="a bad extension"),
        pytest.param(b"2\r\n{}\r\n0\r\nno field\r\n\r\n", id="a bad trailer"),
        pytest.param(b"2\r\n{}\r\n0\r\n", id="no end"),
        pytest.param(b"20\r\n{}", id="half a chunk"),
    ],
)
def test_chunks_that_are_none_are_the_clients_fault(
    server_on: Server, app: Flask, store: redis.Redis, chunks: bytes
) -> None:
    assert answer_to(server_on, "POST", "/api/session", chunks) == (400, "application/problem+json")
