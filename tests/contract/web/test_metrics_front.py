"""HAProxy's figures are read on a full node, too; programs behind it are shown their secrets as they are."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.contract.web.haproxy import haproxy
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.lab.waiting import wait_until
from tests.peers import http2

MOST = 20
"""Connections of the public origin."""


class Front:
    """The ports of a running HAProxy."""

    def __init__(self, public: int, metrics: int) -> None:
        self.public = public
        self.metrics = metrics

    def read(self, path: str = "/metrics") -> tuple[int, str]:
        """Return status and text; what takes 5 s is an error."""
        line = http.client.HTTPConnection(LOOPBACK, self.metrics, timeout=5)
        try:
            line.request("GET", path)
            answer = line.getresponse()
            return answer.status, answer.read().decode()
        finally:
            line.close()


@contextmanager
def front(folder: Path, **chosen: object) -> Iterator[Front]:
    """Start HAProxy by the role's template."""
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports:
        running = Front(public=ports.port(), metrics=ports.port())
        variables = {
            "haproxy_https_port": running.public,
            "haproxy_http_port": 0,
            "haproxy_max_connections": MOST,
            "haproxy_metrics_port": running.metrics,
        }
        with haproxy(folder, variables | chosen):
            yield running


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("0123456789abcdef0123456789abcdef", id="of openssl"),
        pytest.param("%bbb%[src]%%0123456789abcdef", id="percent"),
        pytest.param('"$HOME${PATH}#0123456789abcdef', id="double quote and dollar"),
        pytest.param("'\\n\\'0123456789abcdef", id="single quote and backslash"),
    ],
)
def test_a_secret_is_shown_as_it_is(tmp_path: Path, secret: str) -> None:
    shown: list[str | None] = []

    class Program(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((LOOPBACK, 0), Program) as program:
        threading.Thread(target=program.serve_forever, args=(0.05,), daemon=True).start()
        gateway = {
            "haproxy_metrics_gateway_port": program.server_port,
            "haproxy_metrics_gateway_secret": secret,
        }
        try:
            with front(tmp_path, **gateway) as running:
                assert running.read("/metrics/gateway") == (200, "")
        finally:
            program.shutdown()
    assert shown == [f"Bearer {secret}"]


def test_a_full_node_is_read_and_says_that_it_is_full(tmp_path: Path) -> None:
    silent = {"haproxy_new_connections_per_s": 0, "haproxy_handshake_timeout_s": 60}
    with front(tmp_path, **silent) as running, ExitStack() as stack:
        for _ in range(2 * MOST):  # of which the kernel keeps those that HAProxy does not take
            stack.enter_context(socket.create_connection((LOOPBACK, running.public), 3))

        def connections() -> tuple[str, ...]:
            status, text = running.read()
            assert status == 200
            figures = re.findall(
                r'^haproxy_frontend_(\w+_sessions)\{proxy="public"\} (\d+)$', text, re.MULTILINE
            )
            return tuple(dict(figures)[name] for name in ("current_sessions", "limit_sessions"))

        wait_until(lambda: connections() == (str(MOST), str(MOST)), "it is full", 10)


def test_figures_are_read_one_after_the_other_on_a_connection(tmp_path: Path) -> None:
    """HTTP/2 would have a hundred at a time."""
    with front(tmp_path) as running, socket.create_connection((LOOPBACK, running.metrics), 3) as line:
        line.sendall(http2.PREFACE)
        assert b"".join(iter(lambda: line.recv(4096), b"")).startswith(b"HTTP/1.1 400 ")
