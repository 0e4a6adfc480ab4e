"""What of logins at a provider is refused before the provider is asked, and what it says in vain."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import Mock

import jwt
import msgspec
import pytest
import redis
from flask import Flask
from werkzeug.exceptions import BadGateway

from kemi.state import keys
from kemi.state.web.sessions import LoginMethod, ProviderTokens, Session
from tests.contract.web.client import WebPage
from tests.contract.web.test_tokens import published
from tests.peers.refusing_redis import WAYS
from webapp_api import create_app
from webapp_api.login_settings import OidcSettings
from webapp_api.logins import new_secret
from webapp_api.oidc.keys import ProviderKeys
from webapp_api.oidc.provider import DEADLINE_S, Provider, TokenAnswer
from webapp_api.sealing import Seal
from webapp_api.services import EXTENSION, Services
from webapp_api.settings import Settings

ISSUER = "http://127.0.0.1:1"
KEYS = {"keys": [{"kty": "EC", "kid": "1", "crv": "P-256", "x": "x", "y": "y"}]}


@pytest.fixture
def with_provider(make_app: Callable[..., Flask]) -> Flask:
    """A gateway whose people log in at a provider, which is away."""
    return make_app(oidc=OidcSettings(issuer=ISSUER, client_id="x"))


@pytest.mark.parametrize(
    ("mode", "site", "user", "is_wanted"),
    [
        pytest.param("", "", "", True, id="no browser"),
        pytest.param("navigate", "same-origin", "", True, id="our page"),
        pytest.param("navigate", "none", "?1", True, id="typed in"),
        pytest.param("navigate", "cross-site", "?1", True, id="a link"),
        pytest.param("navigate", "cross-site", "", False, id="a frame of another site"),
        pytest.param("no-cors", "cross-site", "", False, id="an image of another site"),
        pytest.param("cors", "same-origin", "", False, id="a script"),
    ],
)
def test_who_did_not_want_a_login_is_not_counted(
    with_provider: Flask, store: redis.Redis, mode: str, site: str, user: str, is_wanted: bool
) -> None:
    named = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site, "Sec-Fetch-User": user}
    headers = {name: value for name, value in named.items() if value}
    answer = WebPage(with_provider).ask("GET", "/api/oidc/login", headers=headers)
    assert answer.status_code == (502 if is_wanted else 403)
    assert bool(store.keys(keys.web_attempts("oidc-login", "*"))) is is_wanted


@pytest.mark.parametrize("path", ["/api/oidc/login", "/api/oidc/callback?state=a&code=b"])
def test_without_redis_a_browser_comes_back_to_the_page(settings: Settings, path: str) -> None:
    away, oidc = "redis://127.0.0.1:1/0", OidcSettings(issuer=ISSUER, client_id="x")
    page = WebPage(create_app(replace(settings, redis_url=away, oidc=oidc)))
    answer = page.ask("GET", path, headers={"Accept": "text/html,application/xml;q=0.9,*/*;q=0.8"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?login_failed=503")
    assert page.ask("GET", path).status_code == 503


def test_an_answer_without_keys_replaces_none(
    with_provider: Flask, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = with_provider.extensions[EXTENSION]
    assert services.provider_keys is not None
    monkeypatch.setattr(Provider, "key_set", Mock(return_value=KEYS))
    services.provider_keys.refresh()
    monkeypatch.setattr(Provider, "key_set", Mock(return_value={"error": "down"}))
    with pytest.raises(BadGateway):
        services.provider_keys.refresh()
    assert published(store, ISSUER) == KEYS


def test_who_looks_for_a_new_key_while_another_does_finds_it(
    with_provider: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = with_provider.extensions[EXTENSION]
    keys_of_provider = services.provider_keys
    assert keys_of_provider is not None
    monkeypatch.setattr(Provider, "key_set", Mock(return_value=KEYS))
    keys_of_provider.refresh()
    newer = {"keys": [{**KEYS["keys"][0], "kid": "2"}]}

    def slow(_: object) -> dict[str, object]:
        time.sleep(0.3)
        return {**newer}

    monkeypatch.setattr(Provider, "key_set", slow)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(keys_of_provider.find, ("2", "2"))) == newer["keys"] * 2


def test_a_key_is_looked_for_again_when_the_provider_did_not_answer(
    with_provider: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = with_provider.extensions[EXTENSION]
    assert services.provider_keys is not None
    newer = {"keys": [{**KEYS["keys"][0], "kid": "2"}]}
    monkeypatch.setattr(Provider, "key_set", Mock(side_effect=[KEYS, BadGateway("away"), newer]))
    services.provider_keys.refresh()
    with pytest.raises(BadGateway):
        services.provider_keys.find("2")
    assert services.provider_keys.find("2") == newer["keys"][0]


def _session_to_renew(services: Services, page: WebPage) -> str:
    """Begin a session whose token is near its end; return its cookie."""
    now, cookie = time.time(), new_secret()
    sealed = Seal(services.settings.key_secret).seal("token", "provider tokens")
    tokens = ProviderTokens(access_token=sealed, refresh_token=sealed, expires_at=now + 30)
    services.sessions.begin(
        cookie,
        Session(
            sid="s",
            method=LoginMethod.OIDC,
            name="carol",
            impi="carol@ims.example.com",
            impus=["sip:carol@ims.example.com"],
            expires_at=now + 600,
            provider_tokens=tokens,
        ),
        now,
    )
    page.set_cookie(cookie)
    return cookie


def test_nobody_else_sends_a_refresh_token_however_slow_the_provider_is(
    with_provider: Flask, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider may end the login when it sees one twice."""
    lock, page = keys.web_lock("oidc-refresh:s"), WebPage(with_provider)
    _session_to_renew(with_provider.extensions[EXTENSION], page)
    locked_for_s = []

    def note(*_: object) -> None:
        locked_for_s.append(store.ttl(lock))
        raise BadGateway("away")

    monkeypatch.setattr(Provider, "metadata", note)
    monkeypatch.setattr(Provider, "refresh", note)
    assert page.token().status_code == 200
    before, while_asked = locked_for_s
    assert before == -2, "there was none yet"
    assert while_asked > 4 * DEADLINE_S, "connecting, header, body"


@pytest.mark.parametrize("way", WAYS)
def test_while_redis_takes_nothing_a_token_that_is_good_is_given(
    with_provider: Flask, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    services: Services = with_provider.extensions[EXTENSION]
    page = WebPage(with_provider)
    cookie = _session_to_renew(services, page)
    refresh = Mock()
    monkeypatch.setattr(Provider, "refresh", refresh)
    with WAYS[way](store):
        assert page.token().get_json()["access_token"] == "token"
    session = services.sessions.use(cookie, time.time())
    assert session is not None
    assert session.provider_tokens is not None
    over = msgspec.structs.replace(session.provider_tokens, expires_at=time.time() - 1)
    services.sessions.change(cookie, msgspec.structs.replace(session, provider_tokens=over))
    with WAYS[way](store):
        assert page.token().status_code == 503
        assert page.session()["authenticated"]
    refresh.assert_not_called()


@pytest.mark.parametrize("left_s", [30, 600], ids=["to be renewed", "good still"])
def test_what_was_kept_with_another_key_secret_ends_the_session(
    with_provider: Flask, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, left_s: int
) -> None:
    services: Services = with_provider.extensions[EXTENSION]
    page = WebPage(with_provider)
    cookie = _session_to_renew(services, page)
    session = services.sessions.use(cookie, time.time())
    assert session is not None
    assert session.provider_tokens is not None
    tokens = msgspec.structs.replace(session.provider_tokens, expires_at=time.time() + left_s)
    services.sessions.change(cookie, msgspec.structs.replace(session, provider_tokens=tokens))
    monkeypatch.setattr(Provider, "metadata", Mock())
    later = WebPage(make_app(oidc=services.settings.oidc, key_secret="f" * 32))
    later.set_cookie(cookie)
    assert later.token().status_code == 401
    assert later.session() == {"authenticated": False}


@pytest.mark.conformance("R-67", "X-12")
def test_who_logs_out_while_the_provider_renews_a_token_does_not_get_it(
    with_provider: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is issued after the logout, so the gateway would take it."""
    services: Services = with_provider.extensions[EXTENSION]
    page, now = WebPage(with_provider), time.time()
    cookie = _session_to_renew(services, page)
    renewed = TokenAnswer(access_token=jwt.encode({"exp": now + 600}, "k" * 32), token_type="Bearer")

    has_asked = []

    def refresh(*_: object) -> TokenAnswer:
        has_asked.append(True)
        services.logins.end(cookie)
        return renewed

    monkeypatch.setattr(ProviderKeys, "has_key_of", lambda *_: True)
    monkeypatch.setattr(Provider, "refresh", refresh)
    assert page.token().status_code == 401
    assert has_asked == [True]
