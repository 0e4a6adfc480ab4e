"""Errors are problem details (RFC 9457), whatever goes wrong; limits hold; operators do not undo each other's work."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from flask import Flask

from kemi.state.routing_document import document_from_json
from kemi.state.web.routes import OtherVersion
from tests.contract.web.client import OWN_FIELDS, WebPage
from webapp_api.services import Services

ROUTES = "/api/operator/routes"
TABLE = {"routes": [{"id": "all", "number": "*", "to": "core"}]}


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        pytest.param("GET", "/api/nothing", {}, 404, id="no such resource"),
        pytest.param("GET", "/static/nothing", {}, 404, id="no such file"),
        pytest.param("PATCH", "/api/calls", {}, 405, id="method"),
        pytest.param(
            "POST", "/api/session", {"data": "x" * 20_000, "content_type": "application/json"}, 413, id="size"
        ),
        pytest.param("POST", "/api/session", {"data": "name=a"}, 415, id="media type"),
        pytest.param("POST", "/api/session", {"json": {"name": 1}}, 400, id="shape"),
        pytest.param("GET", "/api/calls?cursor=1&cursor=2", {}, 401, id="nobody"),
        pytest.param("POST", "/api/session", {"headers": {}}, 403, id="another site"),
    ],
)
def test_every_error_is_a_problem_document(
    page: WebPage, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    response = page.ask(method, path, **options)
    document = response.get_json()
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert (document["status"], document["instance"]) == (status, path.partition("?")[0])
    assert document["title"]
    assert document["detail"]
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert ("Allow" in response.headers) == (status == 405)


def test_a_fault_is_a_problem_document_and_tells_nothing(
    page: WebPage, app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("webapp_api.blueprints.session.session_document", fail)
    response = page.ask("GET", "/api/session")
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert "secret" not in response.text
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/calls", 200), ("DELETE", "/api/calls/abc", 204), ("GET", "/api/operator/users", 200)],
)
def test_what_costs_much_has_a_limit(
    page_of_operator: WebPage,
    services: Services,
    method: str,
    path: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for attempts in (services.history_requests, services.calls_to_end, services.operator_work):
        monkeypatch.setattr(attempts, "_limit", 2)
    answers = [page_of_operator.ask(method, path) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60


def test_two_operators_do_not_undo_each_others_table(page_of_operator: WebPage, services: Services) -> None:
    def put(**conditions: str) -> Any:
        fields = OWN_FIELDS | {name.replace("_", "-"): value for name, value in conditions.items()}
        return page_of_operator.ask("PUT", ROUTES, json=TABLE, headers=fields)

    first = put(If_Match='"0"')
    assert first.status_code == 200
    seen = first.headers["ETag"]
    assert seen == page_of_operator.ask("GET", ROUTES).headers["ETag"] == f'"{first.get_json()["version"]}"'
    second = put(If_Match=seen)
    assert second.status_code == 200
    assert put(If_Match=seen).status_code == 412
    assert put(If_Match='"nonsense"').status_code == 412
    assert put(If_Match='""').status_code == 412
    assert page_of_operator.ask("GET", ROUTES).headers["ETag"] == second.headers["ETag"]
    assert [put(**conditions).status_code for conditions in ({}, {"If_Match": "*"})] == [200, 200]


def test_of_two_tables_at_the_same_moment_one_is_told(
    services: Services, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes, document = services.routes, document_from_json(b'{"routes": []}')
    version = routes.put(document)
    asked = []

    def late() -> int:
        asked.append(version)
        if len(asked) == 2:  # within the transaction, just before it is carried out
            store.set("gw:routing-version", version + 1)
        return version

    monkeypatch.setattr(routes, "version", late)
    with pytest.raises(OtherVersion):
        routes.put(document, version)
