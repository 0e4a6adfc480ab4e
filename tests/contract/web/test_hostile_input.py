"""What an attacker sends to the web API."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace

import hypothesis
import pytest
import redis
from flask import Flask
from hypothesis import strategies as st

from kemi.state.web.accounts import Account
from tests.contract.web.client import NAME, PASSWORD, WebPage
from tests.contract.web.test_tokens import checked
from webapp_api import create_app
from webapp_api.passwords import password_hash
from webapp_api.services import Services
from webapp_api.settings import Settings

pytestmark = pytest.mark.conformance("X-18")

CREDENTIALS = {"name": NAME, "password": PASSWORD}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"{", 400, id="half an object"),
        pytest.param(b"null", 400, id="null"),
        pytest.param(b"[]", 400, id="a list"),
        pytest.param(b'{"name": "alice"}', 400, id="no password"),
        pytest.param(b'{"name": "alice", "password": 1}', 400, id="a number for a password"),
        pytest.param(b'{"name": ["alice"], "password": "x"}', 400, id="a list for a name"),
        pytest.param(b'{"name": "", "password": "x"}', 400, id="an empty name"),
        pytest.param(json.dumps({**CREDENTIALS, "admin": True}).encode(), 400, id="one member more"),
        pytest.param(json.dumps({"name": "a" * 129, "password": "x"}).encode(), 400, id="a long name"),
        pytest.param(json.dumps({"name": "a", "password": "x" * 257}).encode(), 400, id="a long password"),
        pytest.param(b'{"name": "\xff\xfe", "password": "x"}', 400, id="not UTF-8"),
        pytest.param(b'{"name": "\\ud800", "password": "x"}', 400, id="half a surrogate pair"),
        pytest.param(b'{"name": "a\\u0000b", "password": "x\\u0000"}', 401, id="NUL"),
        pytest.param(b'{"name": "a\\r\\nX-Evil: 1", "password": "x"}', 401, id="a header field in the name"),
        pytest.param(b'{"name": "gw:web:accounts", "password": "x"}', 401, id="a key for a name"),
        pytest.param(b"[" * 16_000, 400, id="16 000 lists in each other"),
        pytest.param(b'{"name":' * 2000, 400, id="2000 objects in each other"),
        pytest.param(b'{"x":' + b"[" * 8000 + b"]" * 8000 + b"}", 400, id="deep, in a member nobody knows"),
        pytest.param(b'{"name": ' + b"9" * 15_000 + b"}", 400, id="a number of 15 000 digits"),
        pytest.param(b'{"name": "' + b"a" * 20_000 + b'", "password": "x"}', 413, id="larger than allowed"),
    ],
)
def test_a_body_that_is_not_as_described(page: WebPage, body: bytes, status: int) -> None:
    began = time.perf_counter()
    response = page.ask("POST", "/api/session", data=body, content_type="application/json")
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert len(response.data) < 1000
    assert time.perf_counter() - began < 1.0
    assert "X-Evil" not in response.headers


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=100
)
@hypothesis.given(body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_refused_as_described(page: WebPage, body: bytes) -> None:
    assert page.ask("POST", "/api/session", data=body, content_type="application/json").status_code == 400


@hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=50
)
@hypothesis.given(name=st.text(min_size=1, max_size=128), password=st.text(min_size=1, max_size=256))
def test_any_credentials_are_only_wrong(page: WebPage, name: str, password: str) -> None:
    assert page.log_in(name, password).status_code in (401, 429)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "",
    ],
)
def test_a_body_that_a_form_can_send_is_not_read(page: WebPage, content_type: str) -> None:
    response = page.ask("POST", "/api/session", data=json.dumps(CREDENTIALS), content_type=content_type)
    assert response.status_code == 415


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param("", id="empty"),
        pytest.param("A" * 42, id="too short"),
        pytest.param("A" * 4000, id="far too long"),
        pytest.param("../../gw:web:accounts" + "A" * 22, id="a path"),
        pytest.param("é" * 43, id="not ASCII"),
    ],
)
def test_a_cookie_that_cannot_be_ours_is_no_session(page: WebPage, cookie: str) -> None:
    page.set_cookie(cookie)
    assert page.session() == {"authenticated": False}
    assert page.token().status_code == 401
    assert page.log_out().status_code == 204


@pytest.mark.conformance("X-07")
@pytest.mark.parametrize(
    ("impi", "impu", "status"),
    [
        pytest.param(
            "a@b\r\nP-Asserted-Identity: <sip:boss@b>", "sip:a@b", 500, id="a header field in the IMPI"
        ),
        pytest.param('a"@b', "sip:a@b", 500, id="a quotation mark in the IMPI"),
        pytest.param("a@b", "sip:a@b>\r\nEvil: 1", 403, id="a header field in the IMPU"),
        pytest.param("a@b", "sip:a@b;user=phone", 403, id="a parameter"),
        pytest.param("a@b", "<sip:a@b>", 403, id="brackets"),
        pytest.param("a@b", "javascript:alert(1)", 403, id="another scheme"),
    ],
)
def test_an_identity_that_would_break_a_header_field_gets_no_session(
    page: WebPage, services: Services, impi: str, impu: str, status: int
) -> None:
    """Even when it got into Redis past the command line; unusable public identities are told as such."""
    hashed = password_hash(PASSWORD)
    services.accounts.put(Account(name="mallory", password_hash=hashed, impi=impi, impus=[impu]))
    response = page.log_in(name="mallory")
    assert response.status_code == status
    assert page.session() == {"authenticated": False}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_other_methods_are_refused_with_the_right_ones(page: WebPage, method: str) -> None:
    response = page.ask(method, "/api/tokens")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


@pytest.mark.conformance("R-13", "X-19")
def test_no_secret_reaches_the_log(
    make_app: Callable[..., Flask], store: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = make_app()
    page = WebPage(app)
    page.log_in(password="my wrong password")
    page.log_in()
    token = page.token().get_json()["access_token"]
    cookie = str(page.cookie())
    checked(token, store)
    page.ask("POST", "/api/session", data=json.dumps(CREDENTIALS)[:-1], content_type="application/json")
    page.log_out()
    guest = WebPage(app)
    guest.lease()
    secrets = [PASSWORD, "my wrong password", token, token.split(".")[2], cookie, str(guest.cookie())]
    assert [secret for secret in secrets if secret in caplog.text] == []


class TestRedisAway:
    """Redis is gone: nothing is done by halves, and nobody waits long."""

    @pytest.fixture
    def page(self, settings: Settings) -> WebPage:
        """A page of a gateway whose Redis does not answer."""
        return WebPage(create_app(replace(settings, redis_url="redis://127.0.0.1:1/0")))

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            pytest.param("POST", "/api/session", CREDENTIALS, id="login"),
            pytest.param("GET", "/api/session", None, id="session"),
            pytest.param("DELETE", "/api/session", None, id="logout"),
            pytest.param("POST", "/api/tokens", None, id="token"),
            pytest.param("POST", "/api/leases", None, id="lease"),
            pytest.param("GET", "/.well-known/jwks.json", None, id="keys"),
        ],
    )
    def test_it_is_told_with_503(self, page: WebPage, method: str, path: str, body: object) -> None:
        page.set_cookie("A" * 43)
        began = time.perf_counter()
        response = page.ask(method, path, json=body)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert time.perf_counter() - began < 5

    def test_pages_and_configuration_are_served(self, page: WebPage) -> None:
        assert page.ask("GET", "/config.json").status_code == 200
        assert page.ask("GET", "/healthz").status_code == 200
