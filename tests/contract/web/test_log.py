"""What the service writes to its log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis
import requests

from kemi.state.web.client import StateUnavailable
from kemi.state.web.sessions import SessionStore
from tests.contract.web.client import OWN_FIELDS, WebPage
from tests.contract.web.fuzz import log_in, settings_on
from tests.contract.web.server import gunicorn
from webapp_api.services import Services


def test_what_an_operator_changes_is_in_the_log(store: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    with gunicorn(settings_on(redis_url), tmp_path) as server:
        headers = OWN_FIELDS | {"Cookie": f"__Host-session={log_in(server, store, 'operator')}"}
        url = f"http://127.0.0.1:{server.port}/api/operator/bans/192.0.2.7"
        order = {"for_s": 60, "why": "a\nb"}
        assert requests.put(url, json=order, headers=headers, timeout=5).status_code == 200
        (line,) = re.findall(r"(?m)^.*event=operator_change.*$", server.log.read_text())
    assert "[INFO] event=operator_change operator=operator address=127.0.0.1 action='PUT " in line
    assert "status=200" in line
    assert r"a\nb" in line


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO"])
def test_no_header_field_says_where_the_application_is(
    store: redis.Redis, redis_url: str, tmp_path: Path, name: str
) -> None:
    with gunicorn(settings_on(redis_url), tmp_path) as server:
        url = f"http://127.0.0.1:{server.port}/healthz"
        assert requests.get(url, headers={name: "/x"}, timeout=5).status_code == 200
        assert "ERROR" not in server.log.read_text()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/operator/bans/192.0.2.7", {"for_s": 60, "why": "x"}),
        ("DELETE", "/api/operator/bans/192.0.2.7", None),
        ("PUT", "/api/operator/nodes/r1", {"drain": True}),
    ],
)
def test_nobody_pushes_entries_out_of_the_audit_log(
    page_of_operator: WebPage,
    services: Services,
    method: str,
    path: str,
    body: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(services.operator_work, "_limit", 2)
    statuses = [page_of_operator.ask(method, path, json=body).status_code for _ in range(5)]
    assert statuses[2:] == [429] * 3
    assert len(services.audit.list(limit=100)[0]) == 2


def test_a_path_is_one_word_of_a_line(
    page: WebPage, services: Services, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_secret: str, _now: float) -> None:
        raise StateUnavailable

    monkeypatch.setattr(SessionStore, "use", lambda _self, secret, now: away(secret, now))
    page.set_cookie("x" * 43)
    assert page.ask("PUT", "/api/operator/nodes/a%0Aevent=operator_change%20b").status_code == 503
    assert r"path='/api/operator/nodes/a\nevent=operator_change b' " in caplog.text
