"""Signing off at trunks that do not answer, or of which none is there; the rest is tested with a gateway."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from kemi import leave_trunks
from kemi.settings import ControlSettings, settings_from_text
from tests.unit.site import SETTINGS_TEXT


class Endpoint(BaseHTTPRequestHandler):
    """A control endpoint that says what its class was told."""

    state = "registered"
    until = 0.0
    status = 200
    heard: list[tuple[str, str, Any]]

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.heard.append((self.command, self.headers["Authorization"], body))
        trunks = [
            {"trunk": "one", "registration": self.state, "registered_until": self.until},
            {"trunk": "two", "registration": "", "registered_until": 0.0},
        ]
        content = json.dumps({"trunks": trunks}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = _answer  # noqa: N815 - names of the library

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def control() -> Iterator[ControlSettings]:
    """Where it listens."""
    Endpoint.heard, Endpoint.state, Endpoint.until, Endpoint.status = [], "registered", 0.0, 200
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield ControlSettings("127.0.0.1", server.server_port, "a-secret-of-sixteen")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("state", ["registered", "asking", "leaving"])
def test_a_carrier_that_does_not_answer_is_named_when_patience_ends(
    control: ControlSettings, state: str
) -> None:
    Endpoint.state = state
    assert leave_trunks.leave(control, 0.15) == ["one"]
    assert Endpoint.heard[0] == ("PUT", "Bearer a-secret-of-sixteen", {"leave": True})
    assert [method for method, _, _ in Endpoint.heard].count("GET") >= 2


@pytest.mark.parametrize("state", ["gone", "waiting", "idle", ""])
def test_where_nothing_is_registered_nobody_waits(control: ControlSettings, state: str) -> None:
    Endpoint.state = state
    assert leave_trunks.leave(control) == []
    assert len(Endpoint.heard) == 2


def test_a_carrier_that_did_not_take_our_leave_is_named_at_once(control: ControlSettings) -> None:
    Endpoint.state, Endpoint.until = "gone", time.time() + 600
    assert leave_trunks.leave(control) == ["one"]
    assert len(Endpoint.heard) == 2


def test_an_endpoint_that_refuses_is_no_success(control: ControlSettings) -> None:
    Endpoint.status = 401
    with pytest.raises(ValueError, match="401"):
        leave_trunks.leave(control)


def test_without_trunks_that_want_it_no_gateway_need_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave_trunks, "load_settings", lambda: settings_from_text(SETTINGS_TEXT))
    assert leave_trunks.main() == 0
