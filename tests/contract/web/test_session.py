"""Logging in and out: /api/session."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest.mock import Mock

import jwt
import msgspec
import pytest
import redis
from flask import Flask

from kemi.state import keys
from kemi.state.web.accounts import Account
from kemi.state.web.bans import FRESH_S
from kemi.state.web.sessions import LoginMethod, Session, SessionStore
from kemi.state.web.streams import CommandStream
from tests.contract.web.client import NAME, ORIGIN, OWN_FIELDS, PASSWORD, WebPage
from tests.contract.web.conftest import IDENTITY
from tests.peers.refusing_redis import WAYS
from webapp_api.services import Services


def commands(store: redis.Redis) -> list[dict[str, object]]:
    """The commands on the stream."""
    entries: Any = store.xrange(keys.COMMANDS)
    return [json.loads(fields["json"]) for _, fields in entries]


class TestLogin:
    """POST /api/session."""

    def test_name_and_password_begin_a_session(self, page: WebPage) -> None:
        response = page.log_in()
        assert response.status_code == 201
        told = page.session()
        assert told == response.get_json() | {"expires_in": told["expires_in"]}
        assert told["authenticated"] is True
        assert (told["method"], told["name"], told["impi"]) == ("password", NAME, IDENTITY.impi)
        assert told["impus"] == list(IDENTITY.impus)
        assert 43_190 < told["expires_in"] <= 43_200

    def test_nobody_is_logged_in_before(self, page: WebPage) -> None:
        assert page.session() == {"authenticated": False}

    def test_identities_of_before_that_no_gateway_takes_are_left_out(
        self, page: WebPage, services: Services
    ) -> None:
        account = services.accounts.get(NAME)
        assert account is not None
        for impus, status in ([*IDENTITY.impus, "tel:600"], 201), (["tel:600"], 403):
            services.accounts.put(msgspec.structs.replace(account, impus=impus))
            assert page.log_in().status_code == status
        assert page.session()["impus"] == list(IDENTITY.impus)

    def test_a_name_has_one_spelling(self, page: WebPage) -> None:
        assert page.log_in(name="  ALICE ").status_code == 201

    @pytest.mark.conformance("X-13")
    def test_the_cookie_is_bound_to_this_host_and_hidden_from_scripts(self, page: WebPage) -> None:
        (cookie,) = page.log_in().headers.getlist("Set-Cookie")
        value, *attributes = cookie.split("; ")
        assert re.fullmatch(r"__Host-session=[A-Za-z0-9_-]{43}", value)
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
        assert not any(attribute.startswith("Domain") for attribute in attributes)

    def test_neither_cookie_nor_password_can_be_read_in_redis(
        self, page: WebPage, store: redis.Redis
    ) -> None:
        page.log_in()
        kept = "".join(map(str, (store.keys(), store.hgetall(keys.WEB_ACCOUNTS))))
        kept += "".join(str(store.get(key)) for key in store.keys("gw:web:session:*"))
        assert str(page.cookie()) not in kept
        assert PASSWORD not in kept
        assert "$argon2id$" in kept

    @pytest.mark.conformance("X-13")
    def test_a_planted_cookie_never_becomes_a_session(self, page: WebPage) -> None:
        planted = "A" * 43
        page.set_cookie(planted)
        page.log_in()
        assert page.cookie() != planted
        page.set_cookie(planted)
        assert page.session() == {"authenticated": False}

    def test_another_login_ends_the_former_session(self, page: WebPage, store: redis.Redis) -> None:
        page.log_in()
        former = page.cookie()
        page.log_in()
        assert page.cookie() != former
        assert len(store.keys("gw:web:session:*")) == 1
        assert [command["type"] for command in commands(store)] == ["logout"]
        page.set_cookie(str(former))
        assert page.session() == {"authenticated": False}

    @pytest.mark.parametrize("change", [None, {"password_hash": "another"}, {"disabled": True}])
    def test_an_account_that_is_removed_or_changed_meanwhile_gets_no_session(
        self,
        page: WebPage,
        services: Services,
        monkeypatch: pytest.MonkeyPatch,
        store: redis.Redis,
        change: dict[str, Any] | None,
    ) -> None:
        """While the password is being checked there is no session yet that the operator's command could end."""
        find = services.accounts.get

        def find_and_change(name: str) -> Account | None:
            account = find(name)
            changed = account and change and msgspec.structs.replace(account, **change)
            services.accounts.replace(name, account, changed or None)
            return account

        monkeypatch.setattr(services.accounts, "get", find_and_change)
        assert page.log_in().status_code == 401
        assert store.keys("gw:web:session:*") == []

    def test_the_operator_may_not_offer_it(self, make_app: Callable[..., Flask]) -> None:
        page = WebPage(make_app(password_login=False))
        assert page.log_in().status_code == 404


class TestLogout:
    """DELETE /api/session."""

    @pytest.mark.conformance("R-67")
    def test_it_ends_the_session_and_tells_the_gateway(self, page: WebPage, store: redis.Redis) -> None:
        page.log_in()
        token_sid = _claims(page.token().get_json()["access_token"])["sid"]
        cookie = page.cookie()
        before = time.time()
        response = page.log_out()
        assert response.status_code == 204
        assert page.cookie() is None
        (command,) = commands(store)
        assert before <= float(str(command.pop("at"))) <= time.time()
        assert command == {"type": "logout", "sid": token_sid, "impi": IDENTITY.impi}
        page.set_cookie(str(cookie))
        assert page.session() == {"authenticated": False}
        assert page.token().status_code == 401

    def test_a_second_logout_says_nothing_new(self, page: WebPage, store: redis.Redis) -> None:
        page.log_in()
        page.log_out()
        assert page.log_out().status_code == 204
        assert len(commands(store)) == 1

    @pytest.mark.parametrize("way", ["away", "cannot save"])
    def test_the_browser_has_no_session_any_more_whatever_redis_does(
        self, page: WebPage, services: Services, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        page.log_in()
        if way == "away":
            monkeypatch.setattr(services.bans, "all", Mock(side_effect=redis.TimeoutError))
            services.bans.ban_of("192.0.2.1", time.time() + FRESH_S)
        with WAYS[way](store) if way in WAYS else nullcontext():
            assert page.log_out().status_code == 503
            assert page.cookie() is None
            assert page.log_out().status_code == 204, "there is nobody to log out"

    def test_the_command_stream_does_not_grow_for_ever(self, store: redis.Redis) -> None:
        pipe = store.pipeline()
        for number in range(keys.STREAM_LENGTH + 500):
            pipe.xadd(keys.COMMANDS, {"json": str(number)})
        pipe.execute()
        CommandStream(store).logout("s", "i", 0.0)
        assert int(store.xlen(keys.COMMANDS)) <= keys.STREAM_LENGTH + 200


class TestCrossSiteRequests:
    """Who may change state."""

    @pytest.mark.conformance("X-13")
    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param({}, id="neither field"),
            pytest.param({"Origin": ORIGIN}, id="a form of our own page"),
            pytest.param({"X-CSRF-Protection": "1"}, id="no Origin"),
            pytest.param({**OWN_FIELDS, "Origin": "https://evil.example"}, id="another site"),
            pytest.param(
                {**OWN_FIELDS, "Origin": f"{ORIGIN}.evil.example"}, id="a name that begins like ours"
            ),
            pytest.param({**OWN_FIELDS, "Origin": "http://gateway.example.com"}, id="without TLS"),
            pytest.param({**OWN_FIELDS, "Origin": f"{ORIGIN}:8443"}, id="another port"),
            pytest.param({**OWN_FIELDS, "Origin": f"{ORIGIN}, https://evil.example"}, id="two origins"),
            pytest.param({**OWN_FIELDS, "Origin": "null"}, id="a sandboxed frame"),
            pytest.param({**OWN_FIELDS, "X-CSRF-Protection": "0"}, id="another value"),
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/api/session"),
            ("DELETE", "/api/session"),
            ("POST", "/api/tokens"),
            ("POST", "/api/leases"),
        ],
    )
    def test_a_foreign_request_is_refused(
        self, page: WebPage, method: str, path: str, headers: dict[str, str]
    ) -> None:
        page.log_in()
        body = {"json": {"name": NAME, "password": PASSWORD}} if path == "/api/session" else {}
        assert page.ask(method, path, headers=headers, **body).status_code == 403
        assert page.session()["authenticated"] is True

    @pytest.mark.parametrize("path", ["/api/session", "/api/tokens", "/api/leases", "/config.json"])
    def test_no_other_origin_is_let_in_by_cors(self, page: WebPage, path: str) -> None:
        preflight = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-csrf-protection,content-type",
        }
        for response in (
            page.browser.options(path, base_url=ORIGIN, headers=preflight),
            page.browser.get(path, base_url=ORIGIN, headers={"Origin": "https://evil.example"}),
        ):
            assert not [name for name, _ in response.headers if name.lower().startswith("access-control-")]


class TestGuessing:
    """Enumeration and brute force."""

    @pytest.mark.conformance("X-20")
    def test_an_unknown_name_and_a_wrong_password_look_the_same(self, page: WebPage) -> None:
        wrong, unknown = page.log_in(password="wrong password"), page.log_in(name="nobody")
        assert wrong.status_code == unknown.status_code == 401
        assert wrong.get_json() == unknown.get_json()
        assert dict(wrong.headers) == dict(unknown.headers)
        assert page.cookie() is None

    @pytest.mark.conformance("X-20")
    def test_they_take_the_same_time(self, make_app: Callable[..., Flask]) -> None:
        page = WebPage(make_app(login_attempts=1000, login_attempts_per_address=1000))

        def seconds(name: str) -> float:
            began = time.perf_counter()
            page.log_in(name=name, password="wrong password")
            return time.perf_counter() - began

        pairs = [(seconds(NAME), seconds(f"nobody{i}")) for i in range(15)]
        known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
        assert unknown > 0.6 * known, (
            f"unknown names are told in {unknown:.4f} s, wrong passwords in {known:.4f} s"
        )
        assert known > 0.6 * unknown

    @pytest.mark.conformance("X-10")
    @pytest.mark.parametrize("name", [NAME, "nobody"])
    def test_after_some_wrong_passwords_the_right_one_has_to_wait(
        self, make_app: Callable[..., Flask], name: str
    ) -> None:
        app = make_app(login_attempts=3, login_window_s=60)
        pages = [WebPage(app, f"198.51.100.{i}") for i in range(5)]
        statuses = [
            page.log_in(name=name, password=f"guess number {i}").status_code for i, page in enumerate(pages)
        ]
        assert statuses == [401, 401, 401, 429, 429]
        response = pages[0].log_in(name=name)
        assert response.status_code == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60

    def test_a_stranger_locks_nobody_out_where_the_last_login_came_from(
        self, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(login_attempts=3, login_window_s=60)
        home, stranger = WebPage(app, "198.51.100.7"), WebPage(app, "203.0.113.9")
        assert home.log_in().status_code == 201
        guesses = [stranger.log_in(password="wrong password").status_code for _ in range(4)]
        assert guesses == [401, 401, 401, 429]
        assert home.log_in().status_code == 201
        assert stranger.log_in().status_code == 429, "the login at home does not help who guesses"
        assert [home.log_in(password="wrong password").status_code for _ in range(4)] == guesses
        assert home.log_in().status_code == 429, "nor may be guessed there"

    def test_other_accounts_are_not_locked_out(self, make_app: Callable[..., Flask]) -> None:
        page = WebPage(make_app(login_attempts=2))
        for _ in range(3):
            page.log_in(name="mallory", password="wrong password")
        assert page.log_in().status_code == 201

    def test_a_success_forgives_failures(self, make_app: Callable[..., Flask]) -> None:
        page = WebPage(make_app(login_attempts=3))
        for _ in range(4):
            page.log_in(password="wrong password")
            page.log_in(password="wrong password")
            assert page.log_in().status_code == 201

    @pytest.mark.conformance("X-10")
    @pytest.mark.parametrize(
        ("one", "other", "together"),
        [
            pytest.param("198.51.100.7", "198.51.100.7", True, id="one IPv4 address"),
            pytest.param("198.51.100.7", "198.51.100.8", False, id="two IPv4 addresses"),
            pytest.param("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True, id="one IPv6 subnet"),
            pytest.param("2001:db8:0:1::1", "2001:db8:0:2::1", False, id="two IPv6 subnets"),
        ],
    )
    def test_an_address_that_guesses_names_has_to_wait(
        self, make_app: Callable[..., Flask], one: str, other: str, together: bool
    ) -> None:
        app = make_app(login_attempts_per_address=3)
        guesser = WebPage(app, one)
        for number in range(3):
            assert guesser.log_in(name=f"name{number}").status_code == 401
        assert WebPage(app, other).log_in().status_code == (429 if together else 201)

    def test_many_people_behind_one_address_may_log_in(self, make_app: Callable[..., Flask]) -> None:
        app = make_app(login_attempts_per_address=3)
        assert [WebPage(app).log_in().status_code for _ in range(8)] == [201] * 8

    def test_a_client_cannot_choose_its_address(self, make_app: Callable[..., Flask]) -> None:
        app = make_app(login_attempts_per_address=2)
        # HAProxy removes what the client says; were it not so, the last word would still be the front's.
        pages = [WebPage(app, f"192.0.2.{i}, 198.51.100.7") for i in range(3)]
        assert [page.log_in(name=f"n{i}").status_code for i, page in enumerate(pages)] == [401, 401, 429]


class TestEnd:
    """A session's end by itself."""

    SESSION = Session(
        sid="s1", method=LoginMethod.PASSWORD, name=NAME, impi=IDENTITY.impi, impus=[], expires_at=1000.0
    )

    def test_it_ends_when_it_is_not_used(self, store: redis.Redis) -> None:
        sessions = SessionStore(store, idle_s=1.5)
        sessions.begin("secret", self.SESSION, now=0.0)
        for _ in range(4):
            time.sleep(0.5)
            assert sessions.use("secret", now=1.0) == self.SESSION
        time.sleep(2.0)
        assert sessions.use("secret", now=1.0) is None

    def test_it_ends_after_its_lifetime_whatever_the_use(self, store: redis.Redis) -> None:
        sessions = SessionStore(store, idle_s=60)
        sessions.begin("secret", self.SESSION, now=999.8)
        assert sessions.use("secret", now=999.9) is not None
        assert sessions.use("secret", now=1000.0) is None
        time.sleep(0.25)
        assert store.keys("gw:web:session:*") == []

    def test_one_of_many_ends_it(self, store: redis.Redis) -> None:
        sessions, told = SessionStore(store, idle_s=60), Mock()
        sessions.begin("secret", self.SESSION, now=0.0)
        assert [sessions.end("secret", told) is not None for _ in range(3)] == [True, False, False]
        told.assert_called_once_with(self.SESSION)
        assert sessions.change("secret", self.SESSION) is False

    def test_all_of_an_account_end_together(self, store: redis.Redis) -> None:
        sessions = SessionStore(store, idle_s=60)
        for number in range(3):
            sessions.begin(f"secret{number}", self.SESSION, now=0.0)
        assert len(sessions.end_all(LoginMethod.PASSWORD, NAME, Mock())) == 3
        assert sessions.end_all(LoginMethod.PASSWORD, NAME, Mock()) == []
        assert store.keys("gw:web:*") == [keys.web_session_of("s1")], "so that nobody looks for it for long"

    def test_all_end_together_also_where_the_last_one_was_shorter(self, store: redis.Redis) -> None:
        sessions, now = SessionStore(store, idle_s=60), time.time()
        for secret, lifetime_s in (("long", 1000.0), ("short", 0.3)):
            session = msgspec.structs.replace(self.SESSION, sid=secret, expires_at=now + lifetime_s)
            sessions.begin(secret, session, now)
        time.sleep(0.4)
        assert [one.sid for one in sessions.end_all(LoginMethod.PASSWORD, NAME, Mock())] == ["long"]
        assert not sessions.is_there("long")

    @pytest.mark.parametrize("fails", [1, 2, 3])
    def test_an_end_that_nobody_was_told_of_is_told_by_the_next_try(
        self, store: redis.Redis, fails: int
    ) -> None:
        sessions, told = SessionStore(store, idle_s=60), set()
        for number in range(3):
            sessions.begin(
                f"secret{number}", msgspec.structs.replace(self.SESSION, sid=f"s{number}"), now=0.0
            )
        away = Mock(side_effect=[None] * (fails - 1) + [redis.ConnectionError])

        def tell(session: Session) -> None:
            away()
            told.add(session.sid)

        with pytest.raises(redis.ConnectionError):
            sessions.end_all(LoginMethod.PASSWORD, NAME, tell)
        assert [sessions.is_there(f"secret{number}") for number in range(3)].count(False) == fails
        again = sessions.end_all(LoginMethod.PASSWORD, NAME, lambda one: told.add(one.sid))
        assert (len(again), told) == (4 - fails, {"s0", "s1", "s2"})
        assert {key for key in store.keys("gw:web:*") if "session-of" not in key} == set()

    def test_it_can_be_ended_by_its_public_name(self, store: redis.Redis) -> None:
        sessions = SessionStore(store, idle_s=60)
        sessions.begin("secret", self.SESSION, now=0.0)
        assert 990 < store.ttl(keys.web_session_of("s1")) <= 1000
        assert sessions.end_sid("another", Mock()) is None
        assert sessions.end_sid("s1", Mock()) == self.SESSION
        assert sessions.end_sid("s1", Mock()) is None
        assert not sessions.is_there("secret")


def _claims(token: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return claims
