"""What happens without a request, in the real HTTP server with two processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis

from kemi.state import keys
from tests.contract.web.client import ORIGIN
from tests.contract.web.server import Server, gunicorn
from tests.lab.waiting import wait_until
from webapp_api.housekeeping import Housekeeping
from webapp_api.login_settings import TokenService
from webapp_api.services import Services
from webapp_api.settings import Settings


@pytest.fixture
def server(settings: Settings, tmp_path: Path, store: redis.Redis) -> Iterator[Server]:
    """A gunicorn with two workers, on an empty Redis."""
    with gunicorn(settings, tmp_path) as running:
        yield running


@pytest.mark.conformance("X-12")
def test_the_keys_are_there_before_anybody_asks_and_one_process_leads(
    server: Server, store: redis.Redis
) -> None:
    wait_until(lambda: store.get(keys.jwks(ORIGIN)) is not None, "keys published", 5)
    assert len(json.loads(str(store.get(keys.jwks(ORIGIN))))["keys"]) == 1
    leader = store.get(keys.web_lock("housekeeper"))
    assert leader

    last = store.xadd(keys.EVENTS, {"json": json.dumps({"type": "registered", "at": 1.0})})
    wait_until(lambda: store.get(keys.WEB_EVENTS_READ) == last, "events heard", 5)
    assert store.get(keys.web_lock("housekeeper")) == leader


@pytest.fixture
def token_service() -> Iterator[str]:
    """Where somebody's own token service shows its keys, private parts and all."""
    key = {"kty": "EC", "kid": "k1", "crv": "P-256", "x": "eA", "y": "eQ", "d": "ZA"}

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"keys": [key]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()
        thread.join()


def test_keys_of_a_token_service_of_ones_own_are_shown_to_the_gateway(
    settings: Settings, store: redis.Redis, token_service: str
) -> None:
    service = TokenService(issuer="https://app.example", jwks_uri=token_service)
    Housekeeping(Services.of(replace(settings, token_services=(service,)))).beat()
    assert json.loads(str(store.get(keys.jwks("https://app.example")))) == {
        "keys": [{"kty": "EC", "kid": "k1", "crv": "P-256", "x": "eA", "y": "eQ"}]
    }
