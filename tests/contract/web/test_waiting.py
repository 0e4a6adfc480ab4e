"""Clients and services that are waited for: nobody else waits with them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import redis
import requests
from flask import Flask

from kemi.state import keys
from kemi.state.web.client import DEADLINE_S
from kemi.state.web.nodes import GatewayNodes
from tests.contract.web.client import NAME, OWN_FIELDS, WebPage
from tests.contract.web.server import gunicorn
from tests.peers.redis_site import silent_sentinels
from webapp_api import bodies, create_app, gate
from webapp_api.services import EXTENSION, Services
from webapp_api.settings import Settings

PROCESSES = 1
THREADS = 2


def half_a_request(path: str, *fields: str) -> bytes:
    """Return a request whose body has only begun."""
    own = (f"{name}: {value}" for name, value in OWN_FIELDS.items())
    head = (f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *own, *fields)
    return "\r\n".join([*head, "", ""]).encode()


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(half_a_request("/api/session", "Content-Length: 16000") + b"{", id="of known length"),
        pytest.param(
            half_a_request("/api/session", "Transfer-Encoding: chunked") + b"3e80\r\n{", id="in chunks"
        ),
    ],
)
def test_a_body_that_trickles_holds_no_place_and_is_given_up(
    settings: Settings, store: redis.Redis, tmp_path: Path, begun: bytes
) -> None:
    with gunicorn(settings, tmp_path, workers=PROCESSES, threads=THREADS) as server, ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            for _ in range(4 * THREADS)
        ]
        began = time.monotonic()
        for line in lines:
            line.sendall(begun)
        answers = [b""] * len(lines)
        while not all(answers) and time.monotonic() - began < 15:
            asked = time.monotonic()
            assert server.get("/healthz") == 200
            assert time.monotonic() - asked < 3
            time.sleep(0.5)
            for number, line in enumerate(lines):
                if not answers[number]:
                    line.setblocking(False)
                    try:
                        answers[number] = line.recv(4096)
                    except BlockingIOError:
                        line.sendall(b" ")
        assert {answer.split(b" ", 2)[1] for answer in answers} == {b"408"}
        assert time.monotonic() - began > 5


def test_so_many_bodies_are_waited_for_at_a_time(
    settings: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    with gunicorn(settings, tmp_path, workers=PROCESSES, threads=THREADS) as server, ExitStack() as stack:
        for _ in range(gate.MOST_WAITING):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            line.sendall(half_a_request("/api/session", "Content-Length: 16000") + b"{")
        time.sleep(0.5)
        late = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
        late.sendall(half_a_request("/api/session", f"Content-Length: {bodies.MAX_BYTES}") + b"{")
        late.settimeout(10)
        assert late.recv(4096).split(b" ", 2)[1] == b"503"
        assert server.get("/healthz") == 200


def test_a_provider_that_says_nothing_holds_nobody_up(
    settings: Settings, store: redis.Redis, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        oidc = {"issuer": f"http://127.0.0.1:{silent.getsockname()[1]}", "client_id": "x"}
        server = stack.enter_context(
            gunicorn(settings, tmp_path, workers=PROCESSES, threads=THREADS, oidc=oidc)
        )

        def log_in(_number: int) -> int:
            url = f"http://127.0.0.1:{server.port}/api/oidc/login"
            return requests.get(url, timeout=15, allow_redirects=False).status_code

        pool = stack.enter_context(ThreadPoolExecutor(16))
        answers = pool.map(log_in, range(16))
        time.sleep(1)
        asked = time.monotonic()
        assert server.get("/healthz") == 200
        assert time.monotonic() - asked < 3
        assert set(answers) == {502}
        asked = time.monotonic()
        assert log_in(0) == 502
        assert time.monotonic() - asked < 3, "it is left alone for a while"


@pytest.mark.parametrize("path", ["/api/calls/current", "/api/operator/calls"])
def test_a_gateway_that_says_nothing_holds_nobody_up(
    make_app: Callable[..., Flask], store: redis.Redis, path: str
) -> None:
    app = make_app(threads=THREADS)
    services: Services = app.extensions[EXTENSION]
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=True))
    pages = [WebPage(app) for _ in range(3 * THREADS)]
    for page in pages:
        assert page.log_in().status_code == 201
    seen = GatewayNodes(at=time.time(), agent=True, nodes=[])
    store.hset(keys.RELAY_NODES, "gw1", msgspec.json.encode(seen))
    with ThreadPoolExecutor(len(pages)) as pool:
        asked = [pool.submit(page.ask, "GET", path) for page in pages]
        time.sleep(0.3)
        began = time.monotonic()
        assert app.test_client().get("/healthz").status_code == 200
        assert time.monotonic() - began < 1
        assert not any(one.done() for one in asked)
        assert {one.result().status_code for one in asked} == {200}


def test_a_redis_that_says_nothing_holds_nobody_up(settings: Settings, tmp_path: Path) -> None:
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        server = stack.enter_context(
            gunicorn(settings, tmp_path, workers=PROCESSES, threads=THREADS, redis_url=url)
        )
        pool = stack.enter_context(ThreadPoolExecutor(16))

        def timed(path: str) -> tuple[int, float]:
            asked = time.monotonic()
            status = requests.get(f"http://127.0.0.1:{server.port}{path}", timeout=30).status_code
            return status, time.monotonic() - asked

        asked = []
        for _ in range(10):
            asked += [pool.submit(timed, path) for path in ("/healthz", "/config.json") * 3]
            time.sleep(1)
        answers = [one.result() for one in asked]
        assert {status for status, _ in answers} == {200}
        assert max(seconds for _, seconds in answers) < DEADLINE_S
        answers = list(pool.map(timed, ["/.well-known/jwks.json"] * 16))
        assert {status for status, _ in answers} == {503}
        assert max(seconds for _, seconds in answers) < DEADLINE_S, (
            "it is left alone while nobody has heard from it"
        )


def test_a_site_of_silent_sentinels_holds_nobody_up(settings: Settings) -> None:
    """All places are taken by who asks for what is in Redis, before anybody knows that nobody answers there."""
    with ExitStack() as stack:
        app = create_app(replace(settings, redis_url=silent_sentinels(stack)))
        *people, other = (WebPage(app) for _ in range(settings.threads + 1))
        pool = stack.enter_context(ThreadPoolExecutor(settings.threads))

        def timed(page: WebPage, method: str, path: str) -> tuple[int, float]:
            asked = time.monotonic()
            return page.ask(method, path).status_code, time.monotonic() - asked

        for page in people:
            page.set_cookie("x" * 43)
        first = [pool.submit(timed, page, "POST", "/api/tokens") for page in people]
        time.sleep(1)
        for path in ("/healthz", "/config.json"):
            status, took_s = timed(other, "GET", path)
            assert (status, took_s < DEADLINE_S) == (200, True)
        for status, took_s in [one.result() for one in first]:
            assert (status, took_s < 2 * DEADLINE_S) == (503, True)
        for _ in range(8):
            status, took_s = timed(people[0], "POST", "/api/tokens")
            assert (status, took_s < DEADLINE_S) == (503, True)
            time.sleep(0.5)
