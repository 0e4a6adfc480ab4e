"""/api/operator/users and /api/operator/audit: accounts on the web, and who changed what."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock, patch

import msgspec
import pytest
import redis
from flask import Flask

from kemi.state import keys
from kemi.state.web.streams import CommandStream
from tests.contract.web.client import NAME, OWN_FIELDS, PASSWORD, WebPage
from tests.contract.web.test_session import commands
from webapp_api.services import Services

USERS, AUDIT = "/api/operator/users", "/api/operator/audit"
BOB = {"name": "bob", "password": "a good password"}
OPERATOR = {
    "operator": True,
    "impi": "alice@ims.example.com",
    "impus": ["sip:alice@ims.example.com", "tel:+15550100"],
}


def put(page: WebPage, name: str, body: dict[str, Any], **conditions: str) -> Any:
    fields = {field.replace("_", "-"): value for field, value in conditions.items()}
    return page.ask("PUT", f"{USERS}/{name}", json=body, headers=OWN_FIELDS | fields)


def test_an_account_is_made_read_and_removed(page_of_operator: WebPage, app: Flask) -> None:
    made = page_of_operator.ask("POST", USERS, json=BOB)
    assert (made.status_code, made.headers["Location"]) == (201, f"{USERS}/bob")
    shown = made.get_json()
    etag = shown.pop("etag")
    assert made.headers["ETag"] == f'"{etag}"'
    assert shown == {
        "name": "bob",
        "impi": "bob@ims.example.com",
        "impus": ["sip:bob@ims.example.com"],
        "user_class": "",
        "operator": False,
        "disabled": False,
    }
    assert page_of_operator.ask("POST", USERS, json=BOB).status_code == 409
    bob = WebPage(app, "198.51.100.8")
    assert bob.log_in("bob", BOB["password"]).status_code == 201
    assert page_of_operator.ask("GET", f"{USERS}/bob").get_json()["etag"] == etag
    assert page_of_operator.ask("DELETE", f"{USERS}/bob").status_code == 204
    assert bob.session() == {"authenticated": False}
    assert page_of_operator.ask("GET", f"{USERS}/bob").status_code == 404
    assert page_of_operator.ask("DELETE", f"{USERS}/bob").status_code == 204


def test_filters_and_pages(page_of_operator: WebPage) -> None:
    for name in ("carol", "bob", "dave"):
        put(page_of_operator, name, {"password": PASSWORD, "disabled": name == "dave"})

    def names(query: str) -> list[str]:
        found = page_of_operator.ask("GET", f"{USERS}?{query}").get_json()
        return [user["name"] for user in found["users"]]

    assert names("") == ["alice", "bob", "carol", "dave"]
    assert names("is_operator=true") == ["alice"]
    assert names("disabled=true") == ["dave"]
    for impu in ("tel:%2B15550100", "%2B15550100", "alice@ims.example.com"):
        assert names(f"impu={impu}") == ["alice"]
    first = page_of_operator.ask("GET", f"{USERS}?limit=3").get_json()
    page_of_operator.ask("DELETE", f"{USERS}/carol")
    assert (len(first["users"]), first["total"]) == (3, 4)
    assert names(f"cursor={first['next']}") == ["dave"]


def test_put_may_be_sent_again_and_keeps_the_password(page_of_operator: WebPage, app: Flask) -> None:
    assert put(page_of_operator, "bob", {}).status_code == 400, "a new account needs one"
    statuses = [put(page_of_operator, "bob", {"password": PASSWORD}).status_code for _ in range(2)]
    assert statuses == [201, 200]
    changed = put(page_of_operator, "bob", {"user_class": "staff", "impus": ["tel:+4930"]}).get_json()
    assert (changed["user_class"], changed["impus"], changed["impi"]) == (
        "staff",
        ["tel:+4930"],
        "bob@ims.example.com",
    )
    assert WebPage(app).log_in("bob", PASSWORD).status_code == 201


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"password": "another password"}, {"impus": ["tel:+1"]}]
)
def test_what_makes_somebody_another_ends_his_sessions(
    page_of_operator: WebPage, app: Flask, change: dict[str, Any]
) -> None:
    put(page_of_operator, "bob", {"password": PASSWORD})
    bob = WebPage(app, "198.51.100.8")
    bob.log_in("bob")
    put(page_of_operator, "bob", {"user_class": "staff"})
    assert bob.session()["authenticated"]
    put(page_of_operator, "bob", change)
    assert bob.session() == {"authenticated": False}
    assert bob.log_in("bob").status_code == (201 if "impus" in change else 401)


def test_a_change_that_is_sent_again_ends_the_sessions_that_it_left(
    page_of_operator: WebPage, app: Flask, services: Services
) -> None:
    put(page_of_operator, "bob", {"password": PASSWORD})
    bob = WebPage(app, "198.51.100.8")
    bob.log_in("bob")
    account = services.accounts.get("bob")
    assert account is not None
    # Redis went away after this.
    services.accounts.put(msgspec.structs.replace(account, impus=["tel:+1"]))
    for _ in range(2):
        assert put(page_of_operator, "bob", {"impus": ["tel:+1"]}).status_code == 200
        assert bob.session() == {"authenticated": False}
    bob.log_in("bob")
    put(page_of_operator, "bob", {"impus": ["tel:+1"]})
    assert bob.session()["impus"] == ["tel:+1"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(None, id="removed"),
        pytest.param({"disabled": True}, id="disabled"),
        pytest.param({"impus": ["tel:+1"]}, id="other identities"),
    ],
)
@pytest.mark.parametrize("fails", [1, 2])
@pytest.mark.parametrize("matched", [False, True])
def test_what_is_sent_again_ends_the_registrations_that_it_left(
    page_of_operator: WebPage,
    app: Flask,
    store: redis.Redis,
    change: dict[str, Any] | None,
    fails: int,
    matched: bool,
) -> None:
    etag = put(page_of_operator, "bob", {"password": PASSWORD}).headers["ETag"]

    def asked() -> int:
        if change is None:
            fields = OWN_FIELDS | ({"If-Match": etag} if matched else {})
            return int(page_of_operator.ask("DELETE", f"{USERS}/bob", headers=fields).status_code)
        fields = {"If_Match": etag} if matched else {}
        return int(put(page_of_operator, "bob", change, **fields).status_code)

    bobs = [WebPage(app, f"198.51.100.{number}") for number in (8, 9)]
    for bob in bobs:
        assert bob.log_in("bob").status_code == 201
    logout = CommandStream.logout
    told = Mock(side_effect=[None] * (fails - 1) + [redis.ConnectionError])

    def away(*arguments: Any) -> None:
        told()
        logout(*arguments)

    with patch.object(CommandStream, "logout", away):
        assert asked() == 503
    assert asked() in ((412,) if matched else (200, 204))
    assert [bob.session() for bob in bobs] == [{"authenticated": False}] * 2
    assert len({one["sid"] for one in commands(store) if one["type"] == "logout"}) == 2


def test_an_identity_of_before_that_cannot_be_used_costs_no_session_and_the_account_can_be_disabled(
    page_of_operator: WebPage, app: Flask, services: Services
) -> None:
    page, other = page_of_operator, OWN_FIELDS | {"If-Match": '"other"'}
    put(page, "bob", {"password": PASSWORD})
    account = services.accounts.get("bob")
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, impus=[*account.impus, "tel:600"]))
    bob = WebPage(app, "198.51.100.8")
    assert bob.log_in("bob").status_code == 201
    assert page.ask("POST", USERS, json=BOB).status_code == 409
    assert page.ask("DELETE", f"{USERS}/bob", headers=other).status_code == 412
    shown = page.ask("GET", f"{USERS}/bob").get_json()
    change = {name: shown[name] for name in ("impi", "impus", "operator")}
    assert put(page, "bob", change | {"user_class": "staff"}).status_code == 200
    assert bob.session()["impus"] == account.impus
    assert put(page, "bob", change | {"impus": ["tel:600"]}).status_code == 400
    assert put(page, "bob", change | {"disabled": True}).get_json()["impus"] == shown["impus"]
    assert bob.session() == {"authenticated": False}


def test_a_session_that_has_identities_of_before_stays(
    page_of_operator: WebPage, app: Flask, services: Services
) -> None:
    put(page_of_operator, "bob", {"password": PASSWORD})
    bob = WebPage(app, "198.51.100.8")
    account = services.accounts.get("bob")
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, impus=[*account.impus, "tel:600"]))
    # The release before let it in with all of them.
    with patch("webapp_api.logins.is_usable", Mock()), patch("webapp_api.identities.is_usable", Mock()):
        assert bob.log_in("bob").status_code == 201
    assert page_of_operator.ask("POST", USERS, json=BOB).status_code == 409
    assert bob.session()["impus"] == [*account.impus, "tel:600"]


def test_an_operator_who_is_disabled_is_none_at_once(page_of_operator: WebPage, app: Flask) -> None:
    put(page_of_operator, "bob", {"password": PASSWORD, "operator": True})
    bob = WebPage(app, "198.51.100.8")
    bob.log_in("bob")
    assert put(bob, NAME, {"disabled": True}).status_code == 200
    assert page_of_operator.ask("GET", USERS).status_code == 401


def test_two_operators_do_not_undo_each_others_work(page_of_operator: WebPage, services: Services) -> None:
    etag = put(page_of_operator, "bob", {"password": PASSWORD}, If_None_Match="*").headers["ETag"]
    assert put(page_of_operator, "bob", {"password": "x" * 8}, If_None_Match="*").status_code == 412
    assert put(page_of_operator, "bob", {"user_class": "a"}, If_Match=etag).status_code == 200
    assert put(page_of_operator, "bob", {"user_class": "b"}, If_Match=etag).status_code == 412
    delete = page_of_operator.ask("DELETE", f"{USERS}/bob", headers=OWN_FIELDS | {"If-Match": etag})
    assert delete.status_code == 412
    bob = services.accounts.get("bob")
    assert bob is not None
    assert bob.user_class == "a"
    assert put(page_of_operator, "nobody", {"password": PASSWORD}, If_Match="*").status_code == 412
    services.accounts.put(bob)
    assert services.accounts.replace("bob", None, bob) is False


def test_nobody_locks_himself_out(page_of_operator: WebPage) -> None:
    assert page_of_operator.ask("DELETE", f"{USERS}/{NAME}").status_code == 409
    for change in ({"operator": False}, {"disabled": True, "operator": True}):
        assert put(page_of_operator, NAME, change).status_code == 409
    assert put(page_of_operator, NAME, OPERATOR | {"user_class": "staff"}).status_code == 200
    assert page_of_operator.ask("GET", USERS).status_code == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("bob", {"password": "short"}),
        ("bob", {"password": PASSWORD, "impi": "no identity"}),
        ("bob", {"password": PASSWORD, "impus": ["http://x"]}),
        ("bob", {"password": PASSWORD, "user_class": "a b"}),
        ("bob", {"password": PASSWORD, "user_class": "staff\n"}),
        ("bob", {"password": PASSWORD, "admin": True}),
        ("b b", {"password": PASSWORD}),
    ],
)
def test_what_is_no_account_makes_none(
    page_of_operator: WebPage, services: Services, name: str, body: dict[str, Any]
) -> None:
    assert put(page_of_operator, name, body).status_code == 400
    assert [account.name for account in services.accounts.all()] == [NAME]


def test_every_change_is_in_the_audit_log_and_no_secret(
    page_of_operator: WebPage, store: redis.Redis
) -> None:
    page_of_operator.ask("POST", USERS, json=BOB)
    put(page_of_operator, "bob", {"password": "another password", "user_class": "staff"})
    page_of_operator.ask("POST", "/api/operator/calls/end", json={"call_id": "abc"})
    page_of_operator.ask("PUT", "/api/operator/nodes/192.0.2.1:2223", json={"drain": True})
    page_of_operator.ask("DELETE", f"{USERS}/bob", headers={})
    page_of_operator.ask("GET", USERS)
    told = page_of_operator.ask("GET", AUDIT).get_json()
    assert {(one["operator"], one["address"]) for one in told["entries"]} == {(NAME, "198.51.100.7")}
    assert [(one["action"], one["status"], one["detail"]) for one in told["entries"]] == [
        ("PUT /api/operator/nodes/192.0.2.1:2223", 404, "drain=True"),
        ("POST /api/operator/calls/end", 202, "call_id=abc impu="),
        (f"PUT {USERS}/bob", 200, "user bob: user_class=staff, password"),
        (
            f"POST {USERS}",
            201,
            "user bob: impi=bob@ims.example.com, impus=['sip:bob@ims.example.com'], user_class=, operator=False,"
            " disabled=False",
        ),
    ]
    kept = str(store.xrange(keys.WEB_AUDIT))
    assert [
        secret for secret in (PASSWORD, BOB["password"], "another password", "argon2") if secret in kept
    ] == []


def test_the_audit_log_has_pages_and_filters(page_of_operator: WebPage) -> None:
    for number in range(5):
        put(page_of_operator, f"user{number}", {"password": PASSWORD})
    first = page_of_operator.ask("GET", f"{AUDIT}?limit=3").get_json()
    rest = page_of_operator.ask("GET", f"{AUDIT}?limit=3&cursor={first['next']}").get_json()
    names = [entry["action"].rpartition("/")[2] for entry in first["entries"] + rest["entries"]]
    assert names == [f"user{number}" for number in (4, 3, 2, 1, 0)]
    assert rest["next"] == ""
    assert page_of_operator.ask("GET", f"{AUDIT}?operator=bob").get_json() == {"entries": [], "next": ""}
    since = first["entries"][2]["at"] + 1000
    assert page_of_operator.ask("GET", f"{AUDIT}?since={since}").get_json()["entries"] == []
    for bad in ("x", "0-0", "99999999999999999999-0"):
        assert page_of_operator.ask("GET", f"{AUDIT}?cursor={bad}").status_code == 400
