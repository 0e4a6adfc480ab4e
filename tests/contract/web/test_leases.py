"""The identity pool: one holder at a time, whatever happens."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import redis
from flask import Flask

from kemi.state import keys
from kemi.state.web.client import connect
from kemi.state.web.leases import LeaseStore
from kemi.state.web.streams import UNREAD_AT_ONCE
from tests.contract.web.client import WebPage
from tests.contract.web.conftest import POOL
from tests.contract.web.test_operator_registrations import tell_of_gateway
from tests.contract.web.test_session import commands
from tests.contract.web.test_tokens import checked
from webapp_api.housekeeping import Housekeeping
from webapp_api.services import EXTENSION, Services

pytestmark = pytest.mark.conformance("R-15")

IMPIS = [identity.impi for identity in POOL]


def leases(client: redis.Redis, **changes: float) -> LeaseStore:
    """A store with times in seconds that a test can wait for."""
    times = {"lifetime_s": 60.0, "settling_s": 60.0, "grace_s": 60.0} | changes
    return LeaseStore(client, **times)


def tell(store: redis.Redis, page: WebPage, kind: str = "deregistered") -> None:
    """Say what a gateway says when a page's registration has changed, and let the web API hear it."""
    claims = checked(page.token().get_json()["access_token"], store)
    told = {
        "type": kind,
        "impu": claims["impus"][0],
        "impi": claims["impi"],
        "sid": claims["sid"],
        "node": "a",
    }
    store.xadd(keys.EVENTS, {"json": json.dumps({**told, "at": time.time()})})
    services: Services = page.app.extensions[EXTENSION]
    Housekeeping(services).beat()


def _given_back(app: Flask, store: redis.Redis) -> tuple[str, WebPage]:
    """Let one guest come and go; return its session and the page of the next one, who has to wait."""
    first, second = WebPage(app), WebPage(app)
    first.lease()
    sid = str(store.get(keys.web_lease(IMPIS[0])))
    first.log_out()
    return sid, second


class TestGuest:
    """POST /api/leases."""

    def test_a_guest_gets_an_identity_and_tokens_for_it(self, page: WebPage, store: redis.Redis) -> None:
        response = page.lease()
        assert response.status_code == 201
        document = page.session()
        assert document["method"] == "guest"
        (identity,) = [identity for identity in POOL if identity.impi == document["impi"]]
        assert document["impus"] == list(identity.impus)
        claims = checked(page.token().get_json()["access_token"], store)
        assert (claims["impi"], claims["impus"]) == (identity.impi, list(identity.impus))

    def test_when_all_are_taken_the_next_has_to_wait(self, app: Flask) -> None:
        pages = [WebPage(app) for _ in range(3)]
        statuses = [page.lease().status_code for page in pages]
        assert statuses == [201, 201, 503]
        held = {page.session()["impi"] for page in pages[:2]}
        assert held == set(IMPIS)
        response = pages[2].lease()
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert pages[2].session() == {"authenticated": False}

    def test_the_operator_may_not_offer_it(self, make_app: Callable[..., Flask]) -> None:
        assert WebPage(make_app(guest_login=False)).lease().status_code == 404

    @pytest.mark.conformance("X-10")
    def test_one_address_cannot_ask_without_end(self, make_app: Callable[..., Flask]) -> None:
        app = make_app(login_attempts_per_address=3)
        assert [WebPage(app).lease().status_code for _ in range(4)] == [201, 201, 503, 429]
        assert WebPage(app, "198.51.100.8").lease().status_code == 503

    def test_no_token_outlives_its_lease(self, page: WebPage, store: redis.Redis) -> None:
        page.lease()
        impi = page.session()["impi"]
        store.pexpire(keys.web_lease(impi), 5_000)
        claims = checked(page.token().get_json()["access_token"], store)
        ends_at = time.time() + store.pttl(keys.web_lease(impi)) / 1000
        assert claims["exp"] <= ends_at + 0.05
        assert ends_at - claims["exp"] < 2

    def test_a_lease_that_ran_out_goes_on_where_nobody_has_had_it(
        self, page: WebPage, store: redis.Redis
    ) -> None:
        """Redis was away for longer than a lease, which nobody could renew."""
        page.lease()
        lease = keys.web_lease(page.session()["impi"])
        holder = store.getdel(lease)
        assert page.token().status_code == 200
        assert (store.get(lease), store.pttl(lease) > 500_000) == (holder, True)

    def test_a_lease_that_somebody_else_has_had_ends_the_session(
        self, app: Flask, store: redis.Redis
    ) -> None:
        first, second = WebPage(app), WebPage(app)
        first.lease()
        lost = first.session()["impi"]
        store.delete(keys.web_lease(lost))
        while second.lease().status_code == 201 and second.session()["impi"] != lost:
            pass
        second.log_out()
        store.delete(keys.web_lease(lost))
        assert first.token().status_code == 401
        assert first.session() == {"authenticated": False}

    def test_a_lease_that_went_to_somebody_else_gives_no_token(self, app: Flask, store: redis.Redis) -> None:
        first, second = WebPage(app), WebPage(app)
        first.lease()
        lost = first.session()["impi"]
        store.delete(keys.web_lease(lost))
        while second.lease().status_code == 201 and second.session()["impi"] != lost:
            pass
        holder = store.get(keys.web_lease(lost))
        assert first.token().status_code == 401
        assert store.get(keys.web_lease(lost)) == holder, "the new holder keeps it"

    def test_a_lease_that_is_anothers_ends_a_session_that_nobody_has_ended(
        self, page: WebPage, store: redis.Redis
    ) -> None:
        page.lease()
        lease = keys.web_lease(page.session()["impi"])
        sid = str(store.getset(lease, "another"))
        assert page.token().status_code == 401
        assert page.session() == {"authenticated": False}
        assert [(one["type"], one["sid"]) for one in commands(store)] == [("logout", sid)]
        assert store.get(lease) == "another"


class TestRelease:
    """When an identity is free again."""

    def test_after_a_logout_it_settles_before_the_next_holder(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        app = make_app(identity_pool=POOL[:1], lease_settling_s=3)
        first, second = WebPage(app), WebPage(app)
        first.lease()
        first.log_out()
        assert second.lease().status_code == 503
        time.sleep(3.1)
        assert second.lease().status_code == 201

    def test_it_need_not_settle_once_the_registration_has_ended(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        app = make_app(identity_pool=POOL[:1], lease_settling_s=60)
        services: Services = app.extensions[EXTENSION]
        sid, second = _given_back(app, store)
        assert second.lease().status_code == 503
        store.xadd(
            keys.EVENTS,
            {"json": json.dumps({"type": "deregistered", "impi": IMPIS[0], "sid": sid, "at": 1.0})},
        )
        Housekeeping(services).beat()
        assert second.lease().status_code == 201

    def test_however_much_else_has_happened(self, make_app: Callable[..., Flask], store: redis.Redis) -> None:
        app = make_app(identity_pool=POOL[:1], lease_settling_s=60)
        services: Services = app.extensions[EXTENSION]
        sid, second = _given_back(app, store)
        with store.pipeline(transaction=False) as pipe:
            for _ in range(2 * UNREAD_AT_ONCE):
                pipe.xadd(keys.EVENTS, {"json": '{"type": "call_started"}'})
            pipe.xadd(
                keys.EVENTS, {"json": json.dumps({"type": "deregistered", "impi": IMPIS[0], "sid": sid})}
            )
            pipe.execute()
        Housekeeping(services).beat()
        assert second.lease().status_code == 201

    def test_a_page_without_registration_keeps_it_for_the_grace_time(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        page = WebPage(make_app(identity_pool=POOL[:1], lease_grace_s=3))
        page.lease()
        tell(store, page)
        assert 0 < store.pttl(keys.web_lease(IMPIS[0])) <= 3000
        assert page.token().status_code == 200, "a page that was only loaded anew goes on"
        assert store.pttl(keys.web_lease(IMPIS[0])) > 500_000
        tell(store, page)
        time.sleep(3.1)
        assert store.get(keys.web_lease(IMPIS[0])) is None
        assert WebPage(page.app).lease().status_code == 201
        assert page.token().status_code == 401

    @pytest.mark.parametrize(
        "record",
        [
            pytest.param({"grant": {"session": "SID"}, "expires_at": 4e9, "state": "away"}, id="another tab"),
            pytest.param({"unknown": "shape"}, id="a record of another version"),
        ],
    )
    def test_it_is_kept_while_a_registration_may_be_there(
        self, page: WebPage, store: redis.Redis, record: dict[str, object]
    ) -> None:
        """A page that is loaded anew registers first; the end of its former binding is told later."""
        page.lease()
        impi = page.session()["impi"]
        sid = str(store.get(keys.web_lease(impi)))
        store.hset(keys.registrations("node2"), "binding", json.dumps(record).replace("SID", sid))
        tell_of_gateway(store, "node2")
        tell(store, page)
        assert store.pttl(keys.web_lease(impi)) > 500_000
        store.hset(
            keys.registrations("node2"),
            "binding",
            json.dumps({"grant": {"session": "somebody else"}, "expires_at": 4e9}),
        )
        tell(store, page)
        assert store.pttl(keys.web_lease(impi)) <= 60_000

    def test_tokens_of_the_former_holder_are_worth_nothing_to_the_gateway(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        """The lease of a page that left ends before its last token does."""
        app = make_app(identity_pool=POOL[:1])
        first, second = WebPage(app), WebPage(app)
        first.lease()
        sid = store.get(keys.web_lease(IMPIS[0]))
        store.delete(keys.web_lease(IMPIS[0]))
        second.lease()
        assert [(command["type"], command["sid"]) for command in commands(store)] == [("logout", sid)]

    def test_the_former_holder_is_logged_out_everywhere(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        """It would hear events of the new one's calls, and could end them."""
        app = make_app(identity_pool=POOL[:1])
        first, second = WebPage(app), WebPage(app)
        first.lease()
        assert first.ask("GET", "/api/calls").status_code == 200
        store.delete(keys.web_lease(IMPIS[0]))
        assert first.ask("GET", "/api/calls").status_code == 200, "nobody has it yet"
        second.lease()
        assert first.ask("GET", "/api/calls").status_code == 401
        assert first.ask("DELETE", "/api/calls/somebody").status_code == 401
        assert second.ask("GET", "/api/calls").status_code == 200

    def test_other_events_change_nothing(self, page: WebPage, store: redis.Redis) -> None:
        page.lease()
        tell(store, page, "registered")
        store.xadd(keys.EVENTS, {"json": "{broken"})
        store.xadd(keys.EVENTS, {"other": "field"})
        impi = page.session()["impi"]
        foreign = {"type": "deregistered", "impi": impi, "sid": "somebody else", "at": 1.0}
        store.xadd(keys.EVENTS, {"json": json.dumps(foreign)})
        tell(store, page, "registered")
        assert store.pttl(keys.web_lease(impi)) > 500_000
        newest: Any = store.xrevrange(keys.EVENTS, count=1)
        assert store.get(keys.WEB_EVENTS_READ) == newest[0][0]


class TestRace:
    """Many at the same moment."""

    def test_two_guests_never_get_the_same_identity(
        self, make_app: Callable[..., Flask], store: redis.Redis
    ) -> None:
        pool = tuple(type(POOL[0])(f"g{i}@ims.example.com", (f"sip:g{i}@ims.example.com",)) for i in range(5))
        app = make_app(identity_pool=pool, login_attempts_per_address=1000)
        for _ in range(5):
            for key in store.keys("gw:web:lease:*"):
                store.delete(key)
            pages = [WebPage(app) for _ in range(8)]
            start = Barrier(len(pages))

            def lease(page: WebPage, start: Barrier = start) -> tuple[int, Any]:
                start.wait()
                response = page.lease()
                return response.status_code, response.get_json().get("impi")

            with ThreadPoolExecutor(len(pages)) as threads:
                results = list(threads.map(lease, pages))
            assert Counter(status for status, _ in results) == {201: 5, 503: 3}
            assert len({impi for status, impi in results if status == 201}) == 5

    def test_two_processes_give_an_identity_back_and_take_it_without_a_second_holder(
        self, store: redis.Redis, redis_url: str
    ) -> None:
        held: list[str] = []
        faults: list[str] = []
        end = time.monotonic() + 1.0

        def guest(number: int) -> int:
            client = connect(redis_url)
            mine, taken = leases(client, settling_s=0.001), 0
            while time.monotonic() < end:
                lease = mine.take(IMPIS[:1], f"guest{number}")
                if lease is None:
                    continue
                held.append(lease.impi)
                client.ping()  # others have their turn meanwhile
                if len(held) > 1:
                    faults.append(f"guest{number} is not alone")
                taken += 1
                held.pop()
                assert mine.give_back(lease.impi, f"guest{number}")
            return taken

        with ThreadPoolExecutor(4) as threads:
            counts = list(threads.map(guest, range(4)))
        assert faults == []
        assert sum(counts) > 20

    def test_only_the_last_holder_can_renew_one_that_ran_out(self, store: redis.Redis) -> None:
        mine = leases(store)
        for sid in ("one", "two"):
            assert mine.take(IMPIS[:1], sid) is not None
            store.delete(keys.web_lease(IMPIS[0]))
        assert [mine.renew(IMPIS[0], sid) for sid in ("one", "two", "one")] == [False, True, False]
        assert store.get(keys.web_lease(IMPIS[0])) == "two"

    def test_only_the_holder_can_renew_or_give_back(self, store: redis.Redis) -> None:
        mine = leases(store)
        assert mine.take(IMPIS[:1], "one") == (IMPIS[0], "")
        assert (mine.renew(IMPIS[0], "two"), mine.give_back(IMPIS[0], "two")) == (False, False)
        assert mine.renew(IMPIS[0], "one") is True
        assert mine.give_back(IMPIS[0], "one") is True
        assert (mine.renew(IMPIS[0], "one"), mine.give_back(IMPIS[0], "one")) == (False, False)
        assert mine.take(IMPIS[:1], "-one") is None
