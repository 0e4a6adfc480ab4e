"""Login at a real OpenID Connect provider, through its forms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import jwt
import msgspec
import pytest
import redis
from flask import Flask
from werkzeug.exceptions import BadGateway

from kemi.state import keys
from kemi.state.web.sessions import ProviderTokens, Session
from tests.contract.web.client import ORIGIN, WebPage
from tests.contract.web.test_session import commands
from tests.contract.web.test_tokens import checked, published, readable
from tests.oidc.provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, Person, ProviderOptions
from webapp_api.housekeeping import Housekeeping
from webapp_api.login_settings import OidcSettings
from webapp_api.oidc import sessions as oidc_sessions
from webapp_api.oidc.provider import Provider
from webapp_api.oidc.sessions import REFRESH_BELOW_S
from webapp_api.sealing import Seal
from webapp_api.services import EXTENSION, Services

pytestmark = pytest.mark.conformance("X-13")

CALLBACK = f"{ORIGIN}/api/oidc/callback"
AUDIENCE = "sip:ims.example.com"
CAROL = {"impi": "carol@ims.example.com", "impus": ["sip:carol@ims.example.com", "tel:+15550103"]}
ACCOUNTS: dict[str, dict[str, object]] = {
    "carol": {**CAROL},
    "nobody": {},
    "mallory": {"impi": "m@ims.example.com", "impus": ["sip:m@x>\r\nP-Asserted-Identity: <sip:boss@x"]},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """The operator's provider; its tokens last so shortly that they are always renewed."""
    options = ProviderOptions(CALLBACK, ACCOUNTS, AUDIENCE, access_token_ttl=REFRESH_BELOW_S - 20)
    with OidcProvider(options) as running:
        yield running


@dataclass
class Site:
    """A gateway whose people log in at the provider."""

    provider: OidcProvider
    app: Flask

    @property
    def services(self) -> Services:
        found: Services = self.app.extensions[EXTENSION]
        return found

    def sealed(self, token: str) -> str:
        """A provider's token as a session keeps it."""
        return Seal(self.services.settings.key_secret).seal(token, "provider tokens")

    def start(self, page: WebPage) -> str:
        """Press the button; returns the provider's URL."""
        response = page.ask("GET", "/api/oidc/login")
        assert response.status_code == 303, response.text
        return response.headers["Location"]

    def log_in(self, page: WebPage, login: str = "carol") -> Any:
        """Log in by the forms; returns the answer to the browser's return."""
        return self.come_back(page, Person().log_in(self.start(page), login, CALLBACK))

    @staticmethod
    def come_back(page: WebPage, url: str) -> Any:
        """Follow the provider's redirection to us; a browser that comes from there leaves the Strict cookie out."""
        strict = page.cookie()
        page.browser.delete_cookie("__Host-session", domain="gateway.example.com")
        response = page.ask("GET", url.removeprefix(ORIGIN), headers={})
        if strict is not None and page.cookie() is None:
            page.set_cookie(strict)
        return response


@pytest.fixture
def make_site(make_app: Callable[..., Flask], provider: OidcProvider) -> Callable[..., Site]:
    """Make a gateway with the provider."""

    def make(**changes: Any) -> Site:
        known = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        defaults = {"scopes": ("openid", "ims")}
        return Site(provider, make_app(oidc=OidcSettings(**{**known, **defaults, **changes})))

    return make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """The page gets our tokens, with the provider's identities."""
    return make_site()


@pytest.fixture
def foreign(make_site: Callable[..., Site]) -> Site:
    """The page gets the provider's tokens."""
    return make_site(scopes=("openid", "ims", "sip"), tokens_from="oidc", resource=AUDIENCE)


def change_tokens(store: redis.Redis, **changes: Any) -> ProviderTokens:
    """Change what the only session has of its provider; returns that."""
    (key,) = store.keys("gw:web:session:*")
    session = msgspec.json.decode(str(store.get(key)), type=Session)
    assert session.provider_tokens is not None
    tokens = msgspec.structs.replace(session.provider_tokens, **changes)
    changed = msgspec.structs.replace(session, provider_tokens=tokens)
    store.set(str(key), msgspec.json.encode(changed), keepttl=True)
    return tokens


class TestLogin:
    """There and back."""

    def test_the_configuration_offers_it(self, site: Site) -> None:
        assert WebPage(site.app).ask("GET", "/config.json").get_json()["login"]["oidc"] is True

    def test_the_person_has_a_session_and_our_tokens(self, site: Site, store: redis.Redis) -> None:
        page = WebPage(site.app)
        response = site.log_in(page)
        assert (response.status_code, response.headers["Location"]) == (303, "/")
        session = page.session()
        assert (session["method"], session["name"]) == ("oidc", "carol")
        assert (session["impi"], session["impus"]) == (CAROL["impi"], CAROL["impus"])
        claims = checked(page.token().get_json()["access_token"], store)
        assert (claims["iss"], claims["sub"]) == (ORIGIN, "carol")
        assert (claims["impi"], claims["impus"]) == (CAROL["impi"], CAROL["impus"])

    def test_the_request_is_protected_in_every_way(self, site: Site) -> None:
        page = WebPage(site.app)
        query = parse_qs(urlsplit(site.start(page)).query)
        assert query["response_type"] == ["code"]
        assert query["code_challenge_method"] == ["S256"]
        assert {len(query[name][0]) for name in ("state", "nonce", "code_challenge")} == {43}
        assert query["redirect_uri"] == [CALLBACK]

    def test_the_cookies_are_the_right_ones(self, site: Site) -> None:
        page = WebPage(site.app)
        (going,) = page.ask("GET", "/api/oidc/login").headers.getlist("Set-Cookie")
        assert going.startswith("__Host-oidc-login=")
        for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert part in going
        back = site.log_in(page).headers.getlist("Set-Cookie")
        assert any(cookie.startswith("__Host-session=") and "SameSite=Strict" in cookie for cookie in back)
        assert any(cookie.startswith("__Host-oidc-login=;") for cookie in back)

    def test_a_former_session_ends(self, site: Site, store: redis.Redis) -> None:
        page = WebPage(site.app)
        page.log_in()
        former = page.session()
        assert site.log_in(page).status_code == 303
        assert len(store.keys("gw:web:session:*")) == 1
        assert page.session()["name"] == "carol"
        assert [command["impi"] for command in commands(store)] == [former["impi"]]

    def test_a_guest_who_logs_in_gives_the_identity_back(self, site: Site, store: redis.Redis) -> None:
        page = WebPage(site.app)
        page.lease()
        former = page.session()
        site.log_in(page)
        assert [command["impi"] for command in commands(store)] == [former["impi"]]
        others = [WebPage(site.app).lease().status_code for _ in range(2)]
        assert others == [201, 503], "it settles first, as after any logout"

    def test_a_login_that_fails_ends_no_session(self, site: Site, store: redis.Redis) -> None:
        page = WebPage(site.app)
        page.log_in()
        assert site.log_in(page, "nobody").status_code == 403
        assert page.session()["name"] == "alice"
        assert commands(store) == []

    @pytest.mark.conformance("R-67")
    def test_logout_tells_the_gateway(self, site: Site, store: redis.Redis) -> None:
        page = WebPage(site.app)
        site.log_in(page)
        sid = checked(page.token().get_json()["access_token"], store)["sid"]
        page.log_out()
        assert [(command["sid"], command["impi"]) for command in commands(store)] == [(sid, CAROL["impi"])]

    def test_without_settings_it_is_not_there(self, page: WebPage) -> None:
        assert page.ask("GET", "/api/oidc/login").status_code == 404
        assert page.ask("GET", "/api/oidc/callback?code=x&state=y").status_code == 404


class TestAttacks:
    """What must not give a session."""

    def test_another_browser_cannot_finish_a_login(self, site: Site) -> None:
        """Login CSRF: the attacker's code in the victim's browser."""
        attacker, victim = WebPage(site.app), WebPage(site.app)
        url = Person().log_in(site.start(attacker), "carol", CALLBACK)
        assert site.come_back(victim, url).status_code == 400
        assert victim.session() == {"authenticated": False}

    def test_another_browser_with_a_login_of_its_own_cannot_either(self, site: Site) -> None:
        attacker, victim = WebPage(site.app), WebPage(site.app)
        site.start(victim)
        url = Person().log_in(site.start(attacker), "carol", CALLBACK)
        assert site.come_back(victim, url).status_code == 400

    def test_a_response_is_good_once(self, site: Site) -> None:
        page = WebPage(site.app)
        url = Person().log_in(site.start(page), "carol", CALLBACK)
        cookie = page.cookie("__Host-oidc-login")
        assert site.come_back(page, url).status_code == 303
        page.log_out()
        page.set_cookie(str(cookie), "__Host-oidc-login")
        assert site.come_back(page, url).status_code == 400
        assert page.session() == {"authenticated": False}

    def test_a_code_of_another_login_does_not_fit_its_verifier(self, site: Site) -> None:
        one, other = WebPage(site.app), WebPage(site.app)
        stolen = parse_qs(urlsplit(Person().log_in(site.start(one), "carol", CALLBACK)).query)["code"][0]
        own = parse_qs(urlsplit(Person().log_in(site.start(other), "carol", CALLBACK)).query)
        url = f"{CALLBACK}?state={own['state'][0]}&code={stolen}&iss={own['iss'][0]}"
        assert site.come_back(other, url).status_code == 502
        assert other.session() == {"authenticated": False}

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            pytest.param("", 400, id="nothing"),
            pytest.param("?code=x&state=unknown", 400, id="a state nobody gave"),
            pytest.param("?code=x&state=a&state=b", 400, id="two states"),
            pytest.param(f"?code={'x' * 5000}&state=a", 400, id="a long code"),
        ],
    )
    def test_a_made_up_response_is_refused(self, site: Site, query: str, status: int) -> None:
        page = WebPage(site.app)
        site.start(page)
        assert site.come_back(page, f"{CALLBACK}{query}").status_code == status

    @pytest.mark.parametrize("issuer", ["&iss=https://evil.example", ""])
    def test_a_response_of_another_issuer_is_refused(self, site: Site, issuer: str) -> None:
        """Mix-up attack (RFC 9207)."""
        page = WebPage(site.app)
        state = parse_qs(urlsplit(site.start(page)).query)["state"][0]
        assert site.come_back(page, f"{CALLBACK}?code=x&state={state}{issuer}").status_code == 400

    def test_a_person_who_says_no_is_told_so(self, site: Site, provider: OidcProvider) -> None:
        page = WebPage(site.app)
        state = parse_qs(urlsplit(site.start(page)).query)["state"][0]
        url = f"{CALLBACK}?error=access_denied&state={state}&iss={provider.issuer}"
        assert site.come_back(page, url).status_code == 401

    @pytest.mark.parametrize(
        "login", ["nobody", pytest.param("mallory", marks=pytest.mark.conformance("X-07"))]
    )
    def test_an_account_without_a_proper_identity_gets_no_session(self, site: Site, login: str) -> None:
        page = WebPage(site.app)
        response = site.log_in(page, login)
        assert response.status_code == 403
        assert "identity" in response.get_json()["detail"]
        assert page.session() == {"authenticated": False}

    def test_a_browser_is_sent_to_the_page_that_has_the_words(self, site: Site) -> None:
        response = WebPage(site.app).ask(
            "GET", "/api/oidc/callback", headers={"Accept": "text/html,*/*;q=0.8"}
        )
        assert (response.status_code, response.headers["Location"]) == (303, "/?login_failed=400")

    def test_an_address_cannot_begin_logins_without_end(
        self, make_app: Callable[..., Flask], site: Site
    ) -> None:
        app = make_app(oidc=site.services.settings.oidc, login_attempts_per_address=3)
        page = WebPage(app)
        assert [page.ask("GET", "/api/oidc/login").status_code for _ in range(4)] == [303, 303, 303, 429]

    def test_a_provider_that_is_away_is_told(self, make_app: Callable[..., Flask]) -> None:
        page = WebPage(make_app(oidc=OidcSettings(issuer="http://127.0.0.1:1", client_id="x")))
        assert page.ask("GET", "/api/oidc/login").status_code == 502
        assert page.log_in().status_code == 201, "the other ways go on"


class TestProvidersTokens:
    """tokens_from = "oidc": the gateway checks the provider's own tokens."""

    @pytest.mark.conformance("R-08", "X-12")
    def test_the_gateway_can_check_them_with_what_redis_has(self, foreign: Site, store: redis.Redis) -> None:
        page = WebPage(foreign.app)
        assert foreign.log_in(page).status_code == 303
        document = page.token().get_json()
        issuer = foreign.provider.issuer
        claims = checked(document["access_token"], store, issuer)
        assert (claims["iss"], claims["aud"], claims["scope"]) == (issuer, AUDIENCE, "sip")
        assert (claims["impi"], claims["impus"]) == (CAROL["impi"], CAROL["impus"])
        assert jwt.get_unverified_header(document["access_token"])["typ"] == "at+jwt"
        assert (document["impi"], document["impus"]) == (CAROL["impi"], CAROL["impus"])
        assert 0 < document["expires_in"] <= claims["exp"] - time.time() + 1

    @pytest.mark.conformance("R-67")
    def test_logout_names_the_session_that_the_tokens_name(self, foreign: Site, store: redis.Redis) -> None:
        page = WebPage(foreign.app)
        foreign.log_in(page)
        sid = checked(page.token().get_json()["access_token"], store, foreign.provider.issuer)["sid"]
        page.log_out()
        assert [command["sid"] for command in commands(store)] == [sid]

    def test_two_logins_of_one_name_at_the_provider_do_not_end_each_other(
        self, foreign: Site, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The gateway would take no token of this name any more."""
        monkeypatch.setattr(oidc_sessions, "_session_of", lambda _: "the provider's session")
        page = WebPage(foreign.app)
        for _ in range(2):
            assert foreign.log_in(page).status_code == 303
        assert len(store.keys("gw:web:session:*")) == 1
        assert page.session()["authenticated"] is True
        assert commands(store) == []

    def test_a_token_near_its_end_is_renewed(self, foreign: Site, store: redis.Redis) -> None:
        page = WebPage(foreign.app)
        foreign.log_in(page)
        first = page.token().get_json()["access_token"]
        second = page.token().get_json()["access_token"]
        ids = {checked(token, store, foreign.provider.issuer)["jti"] for token in (first, second)}
        assert len(ids) == 2, "each had less than two minutes left"

    def test_tabs_that_renew_at_the_same_moment_do_it_one_after_another(self, foreign: Site) -> None:
        """The provider ends everything when it sees a refresh token twice."""
        page = WebPage(foreign.app)
        foreign.log_in(page)
        tabs = [WebPage(foreign.app) for _ in range(4)]
        for tab in tabs:
            tab.set_cookie(str(page.cookie()))
        start = Barrier(len(tabs))

        def token(tab: WebPage) -> int:
            start.wait()
            return tab.token().status_code

        with ThreadPoolExecutor(len(tabs)) as threads:
            assert list(threads.map(token, tabs)) == [200] * len(tabs)
        assert page.token().status_code == 200

    def test_they_cannot_be_read_in_redis(self, foreign: Site, store: redis.Redis) -> None:
        page = WebPage(foreign.app)
        foreign.log_in(page)
        token = page.token().get_json()["access_token"]
        (text,) = [readable(str(store.get(key))) for key in store.keys("gw:web:session:*")]
        assert token not in text
        assert "eyJ" not in text

    def test_a_session_whose_tokens_ran_out_has_ended(self, foreign: Site, store: redis.Redis) -> None:
        page = WebPage(foreign.app)
        foreign.log_in(page)
        change_tokens(store, refresh_token="", expires_at=time.time() - 1)
        assert page.token().status_code == 401
        assert page.session() == {"authenticated": False}

    def test_a_login_that_the_provider_has_ended_lasts_as_long_as_its_token(
        self, foreign: Site, store: redis.Redis
    ) -> None:
        page = WebPage(foreign.app)
        foreign.log_in(page)
        revoked = foreign.sealed("a refresh token that the provider knows no more")
        change_tokens(store, refresh_token=revoked)
        tokens = [page.token() for _ in range(2)]
        assert [token.status_code for token in tokens] == [200, 200]
        assert tokens[0].get_json()["access_token"] == tokens[1].get_json()["access_token"]
        assert change_tokens(store, expires_at=time.time() - 1).refresh_token == "", "nobody asks in vain"
        assert page.token().status_code == 401
        assert page.session() == {"authenticated": False}

    def test_a_login_that_the_provider_has_ended_ends_when_its_token_has_run_out(
        self, foreign: Site, store: redis.Redis
    ) -> None:
        page = WebPage(foreign.app)
        foreign.log_in(page)
        revoked = foreign.sealed("a refresh token that the provider knows no more")
        change_tokens(store, refresh_token=revoked, expires_at=time.time() - 1)
        assert page.token().status_code == 401
        assert page.session() == {"authenticated": False}
        assert [command["impi"] for command in commands(store)] == [CAROL["impi"]]

    @pytest.mark.parametrize(("left_s", "status"), [(30, 200), (-1, 502)])
    def test_a_provider_that_is_away_ends_no_session(
        self, foreign: Site, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, left_s: float, status: int
    ) -> None:
        page = WebPage(foreign.app)
        foreign.log_in(page)
        kept = change_tokens(store, expires_at=time.time() + left_s)
        with monkeypatch.context() as away:
            away.setattr(Provider, "metadata", Mock(side_effect=BadGateway("away")))
            assert page.token().status_code == status
        assert page.session()["authenticated"] is True
        assert change_tokens(store) == kept
        assert page.token().status_code == 200, "it is back"
        assert change_tokens(store) != kept

    def test_while_others_renew_a_token_that_is_good_is_given(
        self, foreign: Site, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(oidc_sessions, "_PATIENCE_S", 0.2)
        page = WebPage(foreign.app)
        foreign.log_in(page)
        session = msgspec.json.decode(str(store.get(store.keys("gw:web:session:*")[0])), type=Session)
        store.set(keys.web_lock(f"oidc-refresh:{session.sid}"), "another process")
        assert page.token().status_code == 200
        change_tokens(store, expires_at=time.time() - 1)
        assert page.token().status_code == 503

    def test_tokens_that_nobody_can_check_give_no_session(self, make_site: Callable[..., Site]) -> None:
        """Without the resource the provider's access tokens are opaque."""
        site = make_site(tokens_from="oidc")
        page = WebPage(site.app)
        response = site.log_in(page)
        assert response.status_code == 502
        assert "access tokens that the gateway can check" in response.get_json()["detail"]


@pytest.mark.conformance("X-12")
class TestProvidersKeys:
    """gw:jwks:ISSUER of the provider."""

    def test_they_are_there_before_anybody_logs_in(self, site: Site, store: redis.Redis) -> None:
        Housekeeping(site.services).beat()
        (key,) = published(store, site.provider.issuer)["keys"]
        assert "d" not in key

    def test_a_new_key_is_fetched_when_it_is_seen_and_only_once_a_minute(
        self, site: Site, store: redis.Redis
    ) -> None:
        page = WebPage(site.app)
        assert site.log_in(page).status_code == 303
        (former,) = published(store, site.provider.issuer)["keys"]
        site.provider.rotate_keys()
        assert site.log_in(page).status_code == 303
        (newer,) = published(store, site.provider.issuer)["keys"]
        assert newer["kid"] != former["kid"]
        site.provider.rotate_keys()
        assert site.log_in(page).status_code == 502, "the minute is not over"
        store.delete(keys.web_lock("oidc-keys"))
        assert site.log_in(page).status_code == 303
