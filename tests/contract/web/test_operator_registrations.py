"""/api/operator/registrations: who is registered where, and the end of one."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
import redis

from kemi.core.registration import Grant, Registration
from kemi.core.registration.records import Sent
from kemi.state import keys
from kemi.state.web.sessions import LoginMethod
from tests.contract.web.client import NAME, WebPage
from webapp_api.services import Services

REGISTRATIONS = "/api/operator/registrations"
LATER = 4e9


def register(store: redis.Redis, node: str, user: str, *, expires_at: float = LATER, **grant: Any) -> str:
    """Write a binding as a gateway does; return its key."""
    binding = Registration(
        address_of_record=f"sip:{user}@ims.example.com",
        contact=f"sip:{user}@page.invalid;transport=ws",
        expires_at=expires_at,
        associated_uris=[f"<sip:{user}@ims.example.com>", f"<tel:+1555{len(user):04}>"],
        grant=Grant(impi=f"{user}@ims.example.com", **grant),
        connection_id="7",
        granted_at=1400.0,
        registered_at=1000.0,
        client_address="198.51.100.7",
        user_agent="SIP.js/0.21.2",
        sent=Sent(contact_value=f'<sip:{user}@page.invalid>;+sip.instance="<urn:uuid:{user}>"'),
    )
    store.hset(keys.registrations(node), binding.key, msgspec.json.encode(binding).decode())
    tell_of_gateway(store, node)
    return binding.key


def tell_of_gateway(store: redis.Redis, node: str) -> None:
    """Write what each gateway writes of itself; this one has not done so for long, and has no relay nodes."""
    store.hset(keys.RELAY_NODES, node, json.dumps({"at": 1.0, "agent": False, "nodes": []}))


def commands(store: redis.Redis) -> list[dict[str, Any]]:
    entries: Any = store.xrange(keys.COMMANDS)
    return [json.loads(fields["json"]) for _, fields in entries]


def asked(page: WebPage, query: str = "") -> dict[str, Any]:
    document: dict[str, Any] = page.ask("GET", REGISTRATIONS + query).get_json()
    return document


def users(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["impu"], one["gateway"]) for one in document["registrations"]]


def test_they_are_shown_with_what_an_operator_asks_for(page_of_operator: WebPage, store: redis.Redis) -> None:
    register(store, "gw1", "bob", scheme="bearer", session="SID")
    store.hset(keys.registrations("gw1"), "another release", "{}")
    (shown,) = asked(page_of_operator)["registrations"]
    assert len(shown.pop("id")) == 32
    assert shown == {
        "impu": "sip:bob@ims.example.com",
        "impi": "bob@ims.example.com",
        "impus": ["sip:bob@ims.example.com", "tel:+15550003"],
        "gateway": "gw1",
        "state": "registered",
        "contact": "sip:bob@page.invalid;transport=ws",
        "connection": "7",
        "address": "198.51.100.7",
        "user_agent": "SIP.js/0.21.2",
        "scheme": "bearer",
        "session": "SID",
        "since": 1000.0,
        "refreshed_at": 1400.0,
        "expires_at": LATER,
    }


def test_filters_and_pages(page_of_operator: WebPage, store: redis.Redis) -> None:
    for node, user in (("gw2", "carol"), ("gw1", "bob"), ("gw1", "dave"), ("gw2", "bob")):
        register(store, node, user)
    bob, carol, dave = (f"sip:{user}@ims.example.com" for user in ("bob", "carol", "dave"))
    assert users(asked(page_of_operator, "?node=gw1")) == [(bob, "gw1"), (dave, "gw1")]
    for impu in ("tel:%2B15550005", "sip:carol@IMS.example.com", "%2B1555-0005", "carol@ims.example.com"):
        assert users(asked(page_of_operator, f"?impu={impu}")) == [(carol, "gw2")]
    found, cursor = [], ""
    for _ in range(4):
        page = asked(page_of_operator, f"?limit=1&cursor={cursor}")
        assert (len(page["registrations"]), page["total"]) == (1, 4)
        found += users(page)
        cursor = page["next"]
    assert (sorted(found), cursor) == ([(bob, "gw1"), (bob, "gw2"), (carol, "gw2"), (dave, "gw1")], "")
    assert [impu for impu, _ in found] == [bob, bob, carol, dave]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=1.5", "cursor=!", "cursor=_w", "node=%0A"])
def test_a_query_that_is_none(page_of_operator: WebPage, query: str) -> None:
    assert page_of_operator.ask("GET", f"{REGISTRATIONS}?{query}").status_code == 400


@pytest.mark.parametrize("release", ["of now", "of before"])
def test_the_end_of_one_that_came_from_a_web_session_logs_that_out(
    app: Any, page_of_operator: WebPage, services: Services, store: redis.Redis, release: str
) -> None:
    guest = WebPage(app)
    guest.lease()
    impi = guest.session()["impi"]
    sid = str(store.get(keys.web_lease(impi)))
    if release == "of before":  # which kept no names of sessions
        store.delete(*store.keys("gw:web:session-of:*"))
    register(store, "gw1", impi.partition("@")[0], scheme="bearer", session=sid)
    (shown,) = asked(page_of_operator)["registrations"]
    assert page_of_operator.ask("DELETE", f"{REGISTRATIONS}/{shown['id']}").status_code == 202
    assert guest.session() == {"authenticated": False}
    assert [(one["type"], one["sid"]) for one in commands(store)] == [("logout", sid)]
    assert store.get(keys.web_lease(impi)) == f"-{sid}"
    assert page_of_operator.session()["authenticated"], "nobody else is logged out"
    assert len(services.sessions.end_all(LoginMethod.PASSWORD, NAME, Mock())) == 1


def test_the_end_of_one_with_a_sip_password_and_of_one_that_is_not_there(
    page_of_operator: WebPage, store: redis.Redis
) -> None:
    key = register(store, "gw1", "bob")
    (shown,) = asked(page_of_operator)["registrations"]
    assert page_of_operator.ask("DELETE", f"{REGISTRATIONS}/{shown['id']}").status_code == 202
    assert [(one["type"], one["key"]) for one in commands(store)] == [("end_registration", key)]
    store.delete(keys.registrations("gw1"))
    assert page_of_operator.ask("DELETE", f"{REGISTRATIONS}/{shown['id']}").status_code == 404


def test_what_a_dead_gateway_could_not_end_is_none_any_more(
    page_of_operator: WebPage, services: Services, store: redis.Redis
) -> None:
    register(store, "gw1", "alice", session="s1")
    (shown,) = asked(page_of_operator)["registrations"]
    register(store, "gw1", "alice", session="s1", expires_at=1500.0)
    assert asked(page_of_operator)["registrations"] == []
    assert page_of_operator.ask("DELETE", f"{REGISTRATIONS}/{shown['id']}").status_code == 404
    assert services.registrations.any_of("s1", 1499.0)
    assert not services.registrations.any_of("s1", 1500.0)


def test_nobody_looks_through_all_keys_of_redis(
    app: Any, page_of_operator: WebPage, services: Services, store: redis.Redis
) -> None:
    guest = WebPage(app)
    guest.lease()
    impi = guest.session()["impi"]
    sid = str(store.get(keys.web_lease(impi)))
    register(store, "gw1", impi.partition("@")[0], scheme="bearer", session=sid)
    store.config_resetstat()
    (shown,) = asked(page_of_operator)["registrations"]
    assert services.registrations.any_of(sid, 1500.0)
    for _ in range(2):  # the second time the session is over already
        assert page_of_operator.ask("DELETE", f"{REGISTRATIONS}/{shown['id']}").status_code == 202
    assert not {"cmdstat_scan", "cmdstat_keys"} & store.info("commandstats").keys()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", REGISTRATIONS),
        ("DELETE", f"{REGISTRATIONS}/x"),
        ("GET", "/api/operator/users"),
        ("POST", "/api/operator/users"),
        ("GET", "/api/operator/users/alice"),
        ("PUT", "/api/operator/users/alice"),
        ("DELETE", "/api/operator/users/alice"),
        ("GET", "/api/operator/pools"),
        ("DELETE", "/api/operator/pools/guests/leases/guest1@ims.example.com"),
        ("GET", "/api/operator/audit"),
    ],
)
def test_nobody_else_may(page: WebPage, store: redis.Redis, method: str, path: str) -> None:
    assert page.ask(method, path).status_code == 401
    page.log_in()
    assert page.ask(method, path).status_code == 403
    assert (commands(store), store.xlen(keys.WEB_AUDIT)) == ([], 0)
