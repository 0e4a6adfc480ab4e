"""A login provider whose certificate is of a CA that only the system's store has."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

import pytest
from werkzeug.exceptions import BadGateway

from tests.unit.webapp_api.gwctl.certificates import issued, new_key, pem
from webapp_api.gwctl.machine.clock import _provider as asked_by_doctor
from webapp_api.login_settings import OidcSettings
from webapp_api.oidc.provider import Provider

TEMPLATES: Final = Path(__file__).parents[3] / "ansible" / "roles" / "webapp_api" / "templates"
STORE: Final = "/etc/ssl/certs/ca-certificates.crt"
VARIABLE: Final = "REQUESTS_CA_BUNDLE"


class Discovery(BaseHTTPRequestHandler):
    """The provider's metadata."""

    def do_GET(self) -> None:
        issuer = f"https://{self.headers['Host']}"
        ends = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        body = json.dumps({"issuer": issuer, **dict.fromkeys(ends, f"{issuer}/x")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class QuietServer(HTTPServer):
    """Writes nothing about clients that leave in the handshake."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.pem"


@pytest.fixture
def issuer(tmp_path: Path, store: Path) -> Iterator[str]:
    """A provider; the store has its CA."""
    authority_key, key = new_key(), new_key()
    authority = issued("Company CA", authority_key, is_authority=True)
    store.write_bytes(pem(None, authority))
    chain = tmp_path / "provider.pem"
    chain.write_bytes(
        pem(key, issued("localhost", key, (authority, authority_key), names=("localhost",)), authority)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = QuietServer(("127.0.0.1", 0), Discovery)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def provider(issuer: str) -> Provider:
    return Provider(OidcSettings(issuer=issuer, client_id="gateway"), "https://gw.example.com/callback")


def test_it_counts(monkeypatch: pytest.MonkeyPatch, issuer: str, store: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(store))
    assert provider(issuer).metadata().issuer == issuer


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("webrtc-ims-web.service.j2", f"Environment={VARIABLE}={STORE}\n"),
        ("gwctl.j2", f'export {VARIABLE}="${{{VARIABLE}:-{STORE}}}"\n'),
    ],
)
def test_service_and_command_take_the_systems_store(template: str, line: str) -> None:
    assert line in (TEMPLATES / template).read_text()


def test_log_and_doctor_say_why_a_certificate_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, issuer: str
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(BadGateway):
        provider(issuer).metadata()
    assert "event=provider_unreachable" in caplog.text
    assert "certificate verify failed" in caplog.text
    assert "certificate verify failed" in asked_by_doctor(issuer).reason
