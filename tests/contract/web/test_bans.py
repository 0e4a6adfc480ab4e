"""Banned addresses at the web API: who gets there, how operators see, make and lift bans, and at what price."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis
from flask import Flask

from kemi.state import keys
from kemi.state.bans import SharedBan, ban_to_text
from tests.contract.web.client import NAME, WebPage
from tests.contract.web.operator import Operator
from webapp_api.bans import FIELD
from webapp_api.services import EXTENSION, Services

BANS = "/api/operator/bans"
HERE = "198.51.100.7"
ELSEWHERE = "192.0.2.7"


def ban(store: redis.Redis, address: str, for_s: float = 600.0) -> None:
    """Ban an address as a gateway does."""
    now = time.time()
    store.hset(keys.BANS, address, ban_to_text(SharedBan(now + for_s, "scan", "gw1", now)))


def banned(store: redis.Redis) -> list[str]:
    """Return which addresses are banned in Redis."""
    return [str(address) for address in store.hkeys(keys.BANS)]


class TestABannedClient:
    """Gets nothing, and the TLS front is told."""

    @pytest.mark.parametrize("path", ["/", "/config.json", "/api/session", "/.well-known/jwks.json", "/x"])
    def test_is_refused_everywhere(self, app: Flask, store: redis.Redis, path: str) -> None:
        ban(store, HERE)
        response = WebPage(app).ask("GET", path)
        assert (response.status_code, response.get_json()["detail"]) == (403, "Not now.")
        assert 590 <= int(response.headers[FIELD]) <= 600

    def test_whose_ban_has_run_out_is_let_in(self, app: Flask, store: redis.Redis) -> None:
        ban(store, HERE, for_s=-1)
        assert WebPage(app).ask("GET", "/config.json").status_code == 200

    def test_others_notice_nothing(self, app: Flask, store: redis.Redis) -> None:
        ban(store, ELSEWHERE)
        response = WebPage(app).ask("GET", "/config.json")
        assert (response.status_code, FIELD in response.headers) == (200, False)

    def test_a_clock_that_is_set_back_is_followed(self, store: redis.Redis, services: Services) -> None:
        now = time.time()
        assert services.bans.ban_of(ELSEWHERE, now) is None
        ban(store, ELSEWHERE)
        assert services.bans.ban_of(ELSEWHERE, now - 3600) is not None

    @pytest.mark.parametrize(
        ("front", "address"), [("192.0.2.9", "192.0.2.9"), ("2001:db8::9", "2001:db8::/64")]
    )
    def test_this_machine_and_the_tls_front_are_none(
        self, make_app: Callable[..., Flask], store: redis.Redis, front: str, address: str
    ) -> None:
        for one in (address, "127.0.0.1", "::/64"):
            ban(store, one)
        app = make_app(trusted_proxies=(front,))
        for one in (front, "127.0.0.1", "::1"):
            assert WebPage(app, one).ask("GET", "/config.json").status_code == 200
        services: Services = app.extensions[EXTENSION]
        assert services.bans.is_trusted(address)

    def test_without_redis_nobody_is_banned(
        self, page: WebPage, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(_now: float) -> dict[str, SharedBan]:
            raise redis.ConnectionError

        monkeypatch.setattr(services.bans, "all", away)
        assert page.ask("GET", "/config.json").status_code == 200


class TestOperators:
    """See, make and lift bans."""

    def test_on_the_web(self, page_of_operator: WebPage, store: redis.Redis) -> None:
        store.set(keys.BANS_TRUSTED, '["203.0.113.0/24"]')
        made = page_of_operator.ask("PUT", f"{BANS}/{ELSEWHERE}", json={"for_s": 60, "why": "a test"})
        assert (made.status_code, made.get_json()["by"]) == (200, NAME)
        page_of_operator.ask("PUT", f"{BANS}/2001:db8::7", json={})
        told = page_of_operator.ask("GET", BANS).get_json()
        assert [(one["address"], one["why"]) for one in told["bans"]] == [
            (ELSEWHERE, "a test"),
            ("2001:db8::/64", "operator"),
        ]
        assert 58 < told["bans"][0]["until"] - time.time() <= 60
        assert told["trusted"] == ["203.0.113.0/24"]
        assert page_of_operator.ask("DELETE", f"{BANS}/2001:db8::1").status_code == 204
        assert page_of_operator.ask("DELETE", f"{BANS}/{ELSEWHERE}").status_code == 204
        assert page_of_operator.ask("GET", BANS).get_json()["bans"] == []
        noted = page_of_operator.ask("GET", "/api/operator/audit").get_json()["entries"]
        assert f"{ELSEWHERE} for 60 s: a test" in [one["detail"] for one in noted]

    @pytest.mark.parametrize(
        ("address", "body", "status"),
        [
            ("192.0.2.0/24", {}, 400),
            ("nobody", {}, 400),
            ("192.0.2.7", {"for_s": 0}, 400),
            ("192.0.2.7", {"for_s": 1e12}, 400),
            ("203.0.113.9", {}, 409),
            ("127.0.0.1", {}, 409),
            ("::1", {}, 409),
            (HERE, {}, 409),
        ],
    )
    def test_what_is_not_banned(
        self,
        page_of_operator: WebPage,
        store: redis.Redis,
        address: str,
        body: dict[str, float],
        status: int,
    ) -> None:
        store.set(keys.BANS_TRUSTED, '["203.0.113.0/24"]')
        assert page_of_operator.ask("PUT", f"{BANS}/{address}", json=body).status_code == status
        assert banned(store) == []

    def test_nobody_else(self, page: WebPage, store: redis.Redis) -> None:
        assert page.log_in().status_code == 201
        for method in ("PUT", "DELETE"):
            assert page.ask(method, f"{BANS}/{ELSEWHERE}", json={}).status_code == 403
        assert page.ask("GET", BANS).status_code == 403
        assert banned(store) == []

    def test_by_command(self, operator: Operator, store: redis.Redis) -> None:
        store.set(keys.BANS_TRUSTED, '["203.0.113.0/24"]')
        made = operator.document("bans", "add", "2001:db8::7", "--for", "60", "--why", "a test")
        assert (made["address"], made["why"]) == ("2001:db8::/64", "a test")
        assert made["by"].startswith("cli:")
        (one,) = operator.document("bans", "list")["bans"]
        assert one == made
        assert "2001:db8::/64" in operator("ban", "list").stdout
        assert operator("bans", "add", "203.0.113.9").returncode == 1
        assert operator("bans", "add", "everybody").returncode == 2
        assert "this machine" in operator("bans", "add", "127.0.0.1").stderr
        assert operator.document("bans", "lift", "2001:db8::1")["lifted"] is True
        assert operator.document("bans", "lift", "2001:db8::1", returncode=1)["lifted"] is False
        assert "nobody is banned" in operator("bans").stdout

    def test_by_a_user_without_a_name(
        self, operator: Operator, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in a container that runs with any number."""
        monkeypatch.setattr("os.getuid", lambda: 987_654)
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(name, raising=False)
        assert operator.document("bans", "add", "192.0.2.7")["by"] == "cli:987654"
        assert banned(store) == ["192.0.2.7"]


class TestLogins:
    """Whoever goes on guessing although he is told to wait is banned."""

    @pytest.mark.parametrize(("trusted", "bans"), [("[]", [HERE]), ('["198.51.100.0/24"]', [])])
    def test_guessing_on_and_on(
        self, make_app: Callable[..., Flask], store: redis.Redis, trusted: str, bans: list[str]
    ) -> None:
        store.set(keys.BANS_TRUSTED, trusted)
        app = make_app(login_attempts=1000, login_attempts_per_address=3)
        page = WebPage(app)
        statuses = [page.log_in(name=f"nobody{n}", password="guessed").status_code for n in range(7)]
        assert statuses == [401] * 3 + [429] * 4
        assert banned(store) == bans
        assert page.ask("GET", "/config.json").status_code == (403 if bans else 200)
