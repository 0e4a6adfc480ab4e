"""HAProxy's port for plain HTTP leads to HTTPS, and whoever floods it takes nothing away from HTTPS."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.contract.web.haproxy import haproxy
from tests.lab.ports import LOOPBACK, PortBlocks, PortMode
from tests.peers import http2

MOST = 200
"""Connections of the origin; a tenth as many for plain HTTP, beside them."""
MOST_OF_ONE = 10
FLOOD = 260
REQUEST = b"GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n"


class Web(BaseHTTPRequestHandler):
    """Stands where the web API would."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Strict-Transport-Security", "max-age=77")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Front:
    """The two ports of a running HAProxy."""

    def __init__(self, plain: int, secure: int) -> None:
        self.plain = plain
        self.secure = secure

    def redirect(self, host: str = "gw.example", path: str = "/") -> http.client.HTTPResponse:
        """Ask over plain HTTP; the body of the answer is read."""
        return self._ask(http.client.HTTPConnection(LOOPBACK, self.plain, timeout=3), host, path)

    def page(self) -> http.client.HTTPResponse:
        """Ask over HTTPS, from another address than a flood comes from."""
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        source = ("127.0.1.1", 0)
        line = http.client.HTTPSConnection(
            LOOPBACK, self.secure, timeout=3, context=trust, source_address=source
        )
        return self._ask(line, "gw.example", "/")

    @staticmethod
    def _ask(line: http.client.HTTPConnection, host: str, path: str) -> http.client.HTTPResponse:
        line.request("GET", path, headers={"Host": host})
        answer = line.getresponse()
        answer.read()
        line.close()
        return answer


@contextmanager
def front(folder: Path, **chosen: object) -> Iterator[Front]:
    """Start HAProxy by the role's template; with haproxy_https_port 443 it believes so and has another port."""
    with PortBlocks(PortMode.FREE, rtp_ports=0) as ports, ThreadingHTTPServer((LOOPBACK, 0), Web) as web:
        running = Front(plain=ports.port(), secure=ports.port())
        variables = {
            "haproxy_https_port": running.secure,
            "haproxy_http_port": running.plain,
            "haproxy_web_port": web.server_port,
            "haproxy_max_connections": MOST,
            "haproxy_client_connections": MOST_OF_ONE,
            "haproxy_new_connections_per_s": 0,
            "haproxy_metrics_port": 0,
        }
        threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True).start()
        port = (f"{LOOPBACK}:443 ssl", f"{LOOPBACK}:{running.secure} ssl")
        try:
            with haproxy(folder, variables | chosen, instead=port):
                yield running
        finally:
            web.shutdown()


@contextmanager
def flooded(port: int, addresses: int, *, asks: bool) -> Iterator[None]:
    """Hold connections from so many addresses; ``asks``: over each there is a request every half second."""
    over = threading.Event()
    with ExitStack() as stack:
        lines = []
        for number in range(FLOOD):
            line = stack.enter_context(socket.socket())
            line.bind((f"127.0.0.{5 + number % addresses}", 0))
            line.setblocking(False)
            line.connect_ex((LOOPBACK, port))  # not waited for: it may be refused, or never be taken
            lines.append(line)

        def ask() -> None:
            while True:
                for line in lines:
                    try:
                        line.send(REQUEST)
                    except OSError:  # it is refused, or its answer has ended it
                        continue
                if over.wait(0.5):
                    return

        asking = threading.Thread(target=ask)
        if asks:
            asking.start()
        try:
            yield
        finally:
            over.set()
            if asks:
                asking.join()


@pytest.mark.parametrize(
    "addresses", [pytest.param(1, id="one address"), pytest.param(30, id="30 addresses")]
)
@pytest.mark.parametrize("asks", [pytest.param(False, id="silent"), pytest.param(True, id="asking")])
def test_a_flood_of_plain_http_keeps_nobody_out_of_https(tmp_path: Path, addresses: int, asks: bool) -> None:
    with front(tmp_path) as running, flooded(running.plain, addresses, asks=asks):
        assert [running.page().status for _ in range(3)] == [200, 200, 200]
        if addresses == 1:
            assert running.redirect().status == 308


@pytest.mark.parametrize(
    ("https_port", "host", "location"),
    [
        pytest.param(443, "gw.example", "https://gw.example/a?b=c", id="as usual"),
        pytest.param(443, "gw.example:8080", "https://gw.example/a?b=c", id="another plain port"),
        pytest.param(443, "[2001:db8::1]:8080", "https://[2001:db8::1]/a?b=c", id="an IPv6 address"),
        pytest.param(None, "gw.example", "https://gw.example:PORT/a?b=c", id="another port"),
        pytest.param(None, "gw.example:8080", "https://gw.example:PORT/a?b=c", id="both other ports"),
        pytest.param(None, "[2001:db8::1]", "https://[2001:db8::1]:PORT/a?b=c", id="another port of IPv6"),
    ],
)
def test_plain_http_leads_to_the_port_of_https(
    tmp_path: Path, https_port: int | None, host: str, location: str
) -> None:
    chosen = {} if https_port is None else {"haproxy_https_port": https_port}
    with front(tmp_path, **chosen) as running:
        answer = running.redirect(host, "/a?b=c")
        assert (answer.status, answer.headers["Location"]) == (
            308,
            location.replace("PORT", str(running.secure)),
        )
        assert answer.headers["Connection"] == "close"


def test_one_connection_has_one_redirect_whatever_it_begins_with(tmp_path: Path) -> None:
    """HTTP/2 would have one for each of a hundred streams."""
    with front(tmp_path) as running, socket.create_connection((LOOPBACK, running.plain), 3) as line:
        line.sendall(http2.PREFACE + REQUEST * 3)
        answer = b"".join(iter(lambda: line.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("age_s", "shown"),
    [pytest.param(0, None, id="left out"), pytest.param(5, "max-age=5", id="five seconds")],
)
def test_how_long_browsers_remember_https_is_said_by_the_setting_alone(
    tmp_path: Path, age_s: int, shown: str | None
) -> None:
    with front(tmp_path, haproxy_hsts_max_age_s=age_s) as running:
        assert running.page().headers["Strict-Transport-Security"] == shown
