"""What the TLS front hands on, and what it keeps away from Kamailio and the web service."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.lab.lab import Lab
from tests.lab.options import LabOptions, Part

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Protocol": "sip",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Backend(ThreadingHTTPServer):
    """Stands where Kamailio or the web service would, and answers with its name."""

    def __init__(self, name: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.name = name
        self.requests: list[dict[str, list[str]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    server: Backend

    def do_GET(self) -> None:
        names = {name.lower() for name in self.headers}
        self.server.requests.append({name: self.headers.get_all(name) or [] for name in names})
        body = self.server.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def front() -> Iterator[tuple[Lab, Backend, Backend]]:
    """HAProxy alone, with stand-ins for Kamailio and the web service."""
    with Lab(LabOptions(parts=frozenset({Part.HAPROXY}))) as lab:
        kamailio = Backend("kamailio", lab.info.gateway.ws_port)
        web = Backend("web", urlsplit(lab.info.web.service_url).port or 0)
        yield lab, kamailio, web
        for backend in (kamailio, web):
            backend.shutdown()
            backend.server_close()


def get(lab: Lab, path: str, headers: list[tuple[str, str]], source: str = "127.0.0.1") -> HTTPResponse:
    """Ask the public origin over TLS from a source address."""
    origin = urlsplit(lab.info.web.origin)
    context = ssl.create_default_context(cafile=lab.info.web.certificate)
    connection = HTTPSConnection(
        "localhost", origin.port, context=context, source_address=(source, 0), timeout=5
    )
    connection.putrequest("GET", path)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


@pytest.mark.parametrize(
    ("path", "headers", "answer"),
    [
        pytest.param("/sip", UPGRADE, "kamailio", id="the-websocket"),
        pytest.param("/sip?t=1", UPGRADE, "kamailio", id="the-websocket-with-a-query"),
        pytest.param("/sip/", UPGRADE, "web", id="below-the-path"),
        pytest.param("/SIP", UPGRADE, "web", id="other-case"),
        pytest.param("/control", UPGRADE, "web", id="another-websocket"),
        pytest.param("/", {}, "web", id="a-page"),
    ],
)
def test_only_the_sip_websocket_reaches_kamailio(
    front: tuple[Lab, Backend, Backend], path: str, headers: dict[str, str], answer: str
) -> None:
    response = get(front[0], path, list(headers.items()))
    assert (response.status, response.read().decode()) == (200, answer)


def test_plain_http_on_the_sip_path_is_told_to_upgrade(front: tuple[Lab, Backend, Backend]) -> None:
    seen = len(front[1].requests)
    response = get(front[0], "/sip", [])
    assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
    assert len(front[1].requests) == seen


def test_a_client_cannot_say_who_it_is(front: tuple[Lab, Backend, Backend]) -> None:
    lab, kamailio, _ = front
    lies = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Forwarded-Proto", "http"),
    ]
    get(lab, "/sip", [*UPGRADE.items(), *lies], source="127.0.0.77")
    request = kamailio.requests[-1]
    assert request["x-forwarded-for"] == ["127.0.0.77"]
    assert request["x-forwarded-proto"] == ["https"]
    assert not {"forwarded", "x-real-ip"} & request.keys()


def test_a_field_that_might_be_taken_for_another_does_not_pass(front: tuple[Lab, Backend, Backend]) -> None:
    lab, _, web = front
    names = ("SCRIPT_NAME", "PATH_INFO", "X_Forwarded_For", "X-Fine")
    assert get(lab, "/", [(name, "/x") for name in names]).status == 200
    assert {"script_name", "path_info", "x_forwarded_for", "x-fine"} & web.requests[-1].keys() == {"x-fine"}


def test_a_query_string_never_reaches_the_log(front: tuple[Lab, Backend, Backend]) -> None:
    lab, _, _ = front
    get(lab, "/page?token=very-secret", []).read()
    get(lab, "/marker", []).read()
    log = lab.log_tails()["haproxy"]
    assert "path=/page " in log
    assert "very-secret" not in log


@pytest.mark.conformance("X-01")
def test_tls_below_1_2_is_refused(front: tuple[Lab, Backend, Backend]) -> None:
    port = urlsplit(front[0].info.web.origin).port
    attempt = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1"),
            *("-cipher", "ALL:@SECLEVEL=0"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert attempt.returncode != 0
    assert "alert protocol version" in attempt.stderr


@pytest.fixture(scope="module")
def impatient() -> Iterator[Lab]:
    """HAProxy that waits a second only."""
    waits = {"haproxy_handshake_timeout_s": 1, "haproxy_request_timeout_s": 1}
    options = LabOptions(parts=frozenset({Part.HAPROXY}), role_variables={"haproxy": waits})
    with Lab(options) as lab:
        yield lab


@pytest.mark.conformance("X-04")
@pytest.mark.parametrize(
    "sent",
    [pytest.param(b"", id="nothing"), pytest.param(b"\x16\x03\x01\x02\x00\x01", id="half a ClientHello")],
)
def test_a_tls_handshake_that_never_finishes_is_ended(impatient: Lab, sent: bytes) -> None:
    origin = urlsplit(impatient.info.web.origin)
    with socket.create_connection((origin.hostname or "", origin.port or 443), 5) as line:
        line.sendall(sent)
        assert line.recv(64) == b""


@pytest.mark.conformance("X-04")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /sip HTTP/1.1\r\nUpgrade: webso", id="half a request"),
    ],
)
def test_an_upgrade_that_never_finishes_is_ended(impatient: Lab, sent: bytes) -> None:
    origin = urlsplit(impatient.info.web.origin)
    context = ssl.create_default_context(cafile=impatient.info.web.certificate)
    with (
        socket.create_connection((origin.hostname or "", origin.port or 443), 5) as line,
        context.wrap_socket(line, server_hostname=origin.hostname) as secure,
    ):
        secure.sendall(sent)
        answer = secure.recv(4096)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
