"""What one client may do to the TLS front: floods, slow bodies, smuggled requests, and how a ban is felt there."""

from __future__ import annotations

import json
import re
import secrets
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
import requests

from kemi.state.bans import SharedBan
from kemi.state.web.bans import BanList
from kemi.state.web.client import connect
from tests.integration.hostile.site import (
    CONNECTIONS,
    CONNECTIONS_PER_10S,
    ERRORS_PER_10S,
    LOGIN_ATTEMPTS,
    MARK_S,
    NEW_PER_S,
    WAITING,
    Client,
    bans,
    log_of,
    tell_front,
)
from tests.lab.lab import Lab
from tests.lab.ports import LOOPBACK
from tests.lab.waiting import wait_until
from tests.peers import http2
from webapp_api.bans import FIELD

pytestmark = pytest.mark.lab

FORGED = "203.0.113.99"
SLICES_S = 10.0
"""For so long a connection without an answer is waited for at the most."""


def survivors(lines: list[socket.socket]) -> int:
    """Return how many connections still stand a moment later."""
    time.sleep(0.2)
    count = 0
    for line in lines:
        line.setblocking(False)
        try:
            count += line.recv(1) != b""
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


class TestFloods:
    """One address can have so much, and others notice nothing."""

    def test_connections_at_a_time(self, lab: Lab) -> None:
        client = Client(lab)
        with ExitStack() as stack:
            lines = []
            for _ in range(CONNECTIONS + 15):
                with suppress(ConnectionResetError):
                    lines.append(stack.enter_context(client.tcp()))
            assert survivors(lines) == CONNECTIONS
            assert not client.is_let_in()
            assert Client(lab).is_let_in()

    def test_handshakes_in_a_row(self, lab: Lab) -> None:
        client = Client(lab)
        for _ in range(CONNECTIONS_PER_10S + 15):
            with suppress(ConnectionResetError):
                client.tcp().close()
        wait_until(lambda: not client.is_let_in(), "refused", 3)
        assert Client(lab).is_let_in()

    def test_whoever_is_trusted_is_not_counted(self, lab: Lab) -> None:
        client = Client(lab, LOOPBACK)
        for _ in range(CONNECTIONS_PER_10S + 20):
            client.tcp().close()
        assert client.is_let_in()

    def test_more_clients_than_can_be_served(self, lab: Lab) -> None:
        asked = 380
        time.sleep(SLICES_S)  # in which other tests have connected
        with ExitStack() as stack:
            lines = []
            began = time.monotonic()
            for client in [Client(lab) for _ in range(asked // 38)]:
                for _ in range(38):
                    with suppress(ConnectionResetError):
                        lines.append(stack.enter_context(client.tcp()))
            took_s = time.monotonic() - began
            let_in = survivors(lines)
            assert let_in < asked
            assert NEW_PER_S // 2 < let_in <= NEW_PER_S * (1 + took_s)
            assert Client(lab, LOOPBACK).is_let_in()  # trusted
        wait_until(Client(lab).is_let_in, "let in", 3)
        assert Client(lab).get("/config.json") == 200

    def test_more_clients_than_are_answered(self, lab: Lab) -> None:
        time.sleep(SLICES_S)  # in which other tests have connected
        answered = [Client(lab) for _ in range(WAITING // 4 + 2)]
        for client in answered:
            assert [client.get("/config.json") for _ in range(4)] == [200] * 4
        time.sleep(1.1)  # the rate is that of a second
        with ExitStack() as stack:
            lines = []
            began = time.monotonic()
            for client in [Client(lab) for _ in range(WAITING // 4 + 10)]:
                for _ in range(4):
                    with suppress(ConnectionResetError):
                        lines.append(stack.enter_context(client.tcp()))
            took_s = time.monotonic() - began
            assert WAITING - 4 <= survivors(lines) <= WAITING + (1 + NEW_PER_S // 20) * (1 + took_s)
        wait_until(Client(lab).is_let_in, "they are no longer waited for", SLICES_S + 2)

    @pytest.mark.parametrize(
        "state", [pytest.param("ready", id="Origin"), pytest.param("maint", id="drained")]
    )
    def test_refused_handshakes_are_answered_and_keep_nobody_out(self, lab: Lab, state: str) -> None:
        time.sleep(SLICES_S)  # in which other tests have connected
        request = text(*HANDSHAKE, "Origin: https://elsewhere.example")

        def handshake(client: Client) -> bytes:
            with client.tls() as line:
                line.settimeout(10)
                line.sendall(request)
                return line.recv(4096).split(b" ", 2)[1]

        with ExitStack() as stack:
            tell_front(lab, f"set server sip/kamailio state {state}")
            stack.callback(tell_front, lab, "set server sip/kamailio state ready")
            # More than may wait, and fewer than the rate should all come in one second.
            clients = [Client(lab) for _ in range(WAITING + 20)]
            pool = stack.enter_context(ThreadPoolExecutor(4))
            statuses = set(pool.map(handshake, clients))
            assert statuses == {b"403" if state == "ready" else b"503"}
            assert [Client(lab).get("/config.json") for _ in range(20)] == [200] * 20

    def test_one_client_who_says_nothing_keeps_no_others_out(self, lab: Lab) -> None:
        time.sleep(SLICES_S)
        with ExitStack() as stack:
            for client in [Client(lab) for _ in range(3)]:
                for _ in range(CONNECTIONS - 2):
                    with suppress(ConnectionResetError):
                        stack.enter_context(client.tcp())
                time.sleep(0.5)  # these are less than the rate
            assert [Client(lab).get("/config.json") for _ in range(20)] == [200] * 20

    def test_what_is_not_there(self, lab: Lab) -> None:
        client = Client(lab)
        request = b"GET /wp-login.php HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answers = client.ask(request * (ERRORS_PER_10S + 10), wait_s=1)
        statuses = re.findall(rb"HTTP/1\.1 (\d+)", answers)
        assert set(statuses) == {b"404", b"429"}
        assert statuses.count(b"404") <= ERRORS_PER_10S + 1
        assert Client(lab).get("/config.json") == 200

    def test_bodies_that_never_end_hold_no_thread(self, lab: Lab) -> None:
        client = Client(lab)
        head = (
            "POST /api/session HTTP/1.1\r\nHost: localhost\r\n"
            f"Origin: {client.origin}\r\nX-CSRF-Protection: 1\r\nContent-Type: application/json\r\n"
            "Content-Length: 60\r\n\r\n{"
        )
        with ExitStack() as stack:
            lines: list[ssl.SSLSocket] = [stack.enter_context(client.tls()) for _ in range(CONNECTIONS - 5)]
            for line in lines:
                line.sendall(head.encode())
            began = time.monotonic()
            assert Client(lab).get("/config.json") == 200
            assert time.monotonic() - began < 0.5
            for line in lines:
                line.settimeout(15)
                assert line.recv(4096).startswith(b"HTTP/1.1 408 ")
            assert time.monotonic() - began < 15

    @pytest.mark.parametrize(
        ("padding", "begun", "status"),
        [
            pytest.param(0, 15_000, 408, id="it would fit"),
            pytest.param(14_000, 9_600, 413, id="the buffer is full"),
        ],
    )
    def test_bodies_that_trickle_hold_no_place(self, lab: Lab, padding: int, begun: int, status: int) -> None:
        client, other = Client(lab), Client(lab)  # more errors than one may have
        fields = (
            *("POST /api/session HTTP/1.1", "Host: localhost", f"Origin: {client.origin}"),
            *("X-CSRF-Protection: 1", "Content-Type: application/json", "Content-Length: 16384"),
            *(f"X-Padding-{number}: {'x' * 2000}" for number in range(padding // 2000)),
        )
        with ExitStack() as stack:
            lines = [stack.enter_context(one.tls()) for one in (client, other) for _ in range(16)]
            for line in lines:
                line.sendall(text(*fields, body="[" * begun))
            time.sleep(0.5)
            began = time.monotonic()
            assert Client(lab).get("/healthz") == 200
            assert time.monotonic() - began < 1
            for line in lines:
                line.settimeout(15)
                assert line.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())

    def test_a_body_of_unknown_length(self, lab: Lab) -> None:
        client = Client(lab)
        head = ("Host: localhost", "Content-Type: application/json", "Transfer-Encoding: chunked")
        for path, status in (("/api/session", 411), ("/api/operator/routes", 403)):
            answer = client.ask(text(f"PUT {path} HTTP/1.1", *head, body="2\r\n{}\r\n0\r\n\r\n"), wait_s=1)
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    def test_the_largest_body_passes(self, lab: Lab) -> None:
        client = Client(lab)
        head = (
            *("POST /api/session HTTP/1.1", "Host: localhost", f"Origin: {client.origin}"),
            *("X-CSRF-Protection: 1", "Content-Type: application/json", f"X-Padding: {'x' * 6000}"),
        )
        for size, status in ((16_384, 400), (16_385, 413)):
            request = text(*head, f"Content-Length: {size}", body="[" * size)
            assert client.ask(request, wait_s=2).startswith(f"HTTP/1.1 {status} ".encode())


HANDSHAKE = [
    "GET /sip HTTP/1.1",
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: sip",
]
"""Of a page; its Origin is missing."""


def text(*lines: str, body: str = "") -> bytes:
    return "\r\n".join([*lines, "", body]).encode()


def smuggled(lab: Lab) -> str:
    """Return a handshake that says it comes from another client, as only the front may."""
    return text(*HANDSHAKE, f"Origin: {lab.info.web.origin}", f"X-Forwarded-For: {FORGED}").decode()


def smuggling(head: list[str], inner: str) -> dict[str, bytes]:
    """Return requests of which front and backend might disagree where they end."""
    size, chunk = len(inner), f"{len(inner):x}\r\n{inner}\r\n0\r\n\r\n"
    chunked = "Transfer-Encoding: chunked"
    return {
        "a body": text(*head, f"Content-Length: {size}", body=inner),
        "two lengths": text(*head, "Content-Length: 0", f"Content-Length: {size}", body=inner),
        "a list of lengths": text(*head, f"Content-Length: 0, {size}", body=inner),
        "a length with a sign": text(*head, f"Content-Length: +{size}", body=inner),
        "a length of another number system": text(*head, f"Content-Length: 0x{size:x}", body=inner),
        "a length before a space": text(*head, f"Content-Length : {size}", body=inner),
        "a folded length": text(*head, f"Content-Length:\r\n {size}", body=inner),
        "chunks": text(*head, chunked, body=chunk),
        "chunks and a length": text(*head, f"Content-Length: {size}", chunked, body=chunk),
        "no chunk and a length": text(*head, chunked, f"Content-Length: {size}", body=f"0\r\n\r\n{inner}"),
        "chunks in capitals and spaces": text(*head, "Transfer-Encoding:  Chunked ", body=chunk),
        "chunks under a vertical tab": text(*head, "Transfer-Encoding: \x0bchunked", body=chunk),
        "chunks after what nobody knows": text(*head, "Transfer-Encoding: x, chunked", body=chunk),
        "chunks before what nobody knows": text(*head, "Transfer-Encoding: chunked, x", body=chunk),
        "a chunk with an extension": text(*head, chunked, body=f"{size:x};a=\r\n{inner}\r\n0\r\n\r\n"),
        "a chunk that ends with LF": text(*head, chunked, body=f"{size:x}\n{inner}\n0\n\n"),
        "a chunk of too many digits": text(*head, chunked, body=f"{size + (1 << 68):x}\r\n{inner}"),
        "a header field after LF": text(*head, "X-A: b\nContent-Length: 0", body=inner),
        "NUL in a header field": text(*head, "X-A: b\0\r\nContent-Length: 0", body=inner),
        "HTTP/1.0 with chunks": text(head[0].replace("HTTP/1.1", "HTTP/1.0"), *head[1:], chunked, body=chunk),
        "a trailer": text(*head, chunked, body=f"0\r\nX-Forwarded-For: {FORGED}\r\n\r\n{inner}"),
    }


def answers_to(lab: Lab, requests_of: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Send each from an address of its own, and return what came."""
    with ThreadPoolExecutor(8) as pool:
        return list(
            zip(
                requests_of,
                pool.map(lambda data: Client(lab).ask(data, wait_s=0.5), requests_of.values()),
                strict=True,
            )
        )


class TestSmuggling:
    """Front and backends agree on where a request ends, or there is none."""

    def test_towards_kamailio(self, lab: Lab) -> None:
        known, now = BanList(connect(lab.info.redis_url)), time.time()
        known.put(
            FORGED, SharedBan(now + 60, "a test", "cli:test", now)
        )  # so that the gateway says when it comes
        wait_until(lambda: FORGED in lab.gateway_rpc.htable("ban"), "the gateway knows", 4)
        for name, answer in answers_to(lab, smuggling(HANDSHAKE, smuggled(lab))):
            first = re.match(rb"HTTP/1\.[01] (\d+)", answer)
            assert first is None or first.group(1) in (b"400", b"413", b"422"), name
            # What the front takes for a second request is one, and this client's.
            assert f"handshake_banned address={FORGED}" not in log_of(lab, "gateway"), name

    def test_towards_the_web_service(self, lab: Lab) -> None:
        head = ["POST /api/session HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        path = f"/{secrets.token_hex(8)}"
        inner = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {FORGED}\r\n\r\n"
        before = self._unknown(lab)
        for name, answer in answers_to(lab, smuggling(head, inner)):
            # What the front itself takes for a second request is one, and is named as this client's.
            statuses = re.findall(rb"HTTP/1\.[01] (\d+)", answer)
            assert len(statuses) <= 1 or path in log_of(lab, "haproxy"), name
        seen = log_of(lab, "haproxy").count(f"path={path} ")
        assert self._unknown(lab) - before <= seen

    @staticmethod
    def _unknown(lab: Lab) -> int:
        """Return how many requests for what is not there the web service has had."""
        text_of_metrics = requests.get(f"{lab.info.web.metrics_url}/webapp_api", timeout=3).text
        found = re.findall(r'webapp_requests_total\{endpoint="none",.* (\d+)\.', text_of_metrics)
        return sum(map(int, found))

    def test_a_handshake_is_a_get(self, lab: Lab) -> None:
        assert b" 400 " in Client(lab).ask(text("POST /sip HTTP/1.1", *HANDSHAKE[1:]), wait_s=0.5)


class TestVersion:
    """One connection carries one WebSocket, or limits of connections would be none."""

    def test_http_2_is_not_spoken_unasked_either(self, lab: Lab) -> None:
        answer = Client(lab).ask(http2.PREFACE)
        assert not answer or answer.startswith(b"HTTP/1.1 400 ")


class TestLogins:
    """Whoever guesses passwords on the web is slowed, then banned for a while, and let in again."""

    def test_guessing_on_and_on(self, lab: Lab) -> None:
        client, name = Client(lab), next(iter(lab.info.web.accounts))
        body = json.dumps({"name": name, "password": "guessed"})
        request = text(
            *("POST /api/session HTTP/1.1", "Host: localhost", "Connection: close"),
            *(f"Origin: {client.origin}", "X-CSRF-Protection: 1", "Content-Type: application/json"),
            f"Content-Length: {len(body)}",
            body=body,
        )
        answers = [client.ask(request, wait_s=10) for _ in range(2 * LOGIN_ATTEMPTS + 1)]
        statuses = [int(answer.split(b" ", 2)[1]) for answer in answers]
        assert statuses == [401] * LOGIN_ATTEMPTS + [429] * (LOGIN_ATTEMPTS + 1)
        assert bans(lab)[client.host]["by"] == "webapp_api"
        refused = client.ask(text("GET / HTTP/1.1", "Host: localhost", "Connection: close"), wait_s=10)
        assert refused.startswith(b"HTTP/1.1 403 ")
        assert FIELD.encode().lower() not in refused.lower()
        assert not client.is_let_in()  # from now on before TLS
        assert Client(lab).get("/config.json") == 200

    def test_an_operators_ban_and_its_end(self, lab: Lab) -> None:
        client = Client(lab)
        assert client.get("/config.json") == 200
        known, now = BanList(connect(lab.info.redis_url)), time.time()
        known.put(client.host, SharedBan(now + 60, "a test", "cli:test", now))
        wait_until(lambda: not is_served(client), "the ban is felt", 4)
        wait_until(lambda: client.host in lab.gateway_rpc.htable("ban"), "the gateway knows", 4)
        assert known.lift(client.host)
        wait_until(lambda: is_served(client), "the ban is over", MARK_S + 15)
        wait_until(lambda: client.host not in lab.gateway_rpc.htable("ban"), "the gateway knows", 4)


def is_served(client: Client) -> bool:
    """Whether a client gets what it asks for; not asked more often than any client may."""
    time.sleep(0.3)
    try:
        return client.get("/config.json") == 200
    except (OSError, IndexError):
        return False
