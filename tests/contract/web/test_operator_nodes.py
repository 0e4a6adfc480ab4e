"""/api/operator/nodes: who may see and drain the relay nodes, and what becomes of it."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
import redis

from kemi.state import keys
from tests.contract.web.client import NAME, NODE_PATH, WebPage
from webapp_api.services import Services

NODES = "/api/operator/nodes"
A, SILENT = "192.0.2.1:2223", "192.0.2.9:2223"


@pytest.fixture
def operator(page: WebPage, services: Services, store: redis.Redis) -> WebPage:
    """Alice as operator, logged in; one gateway runs, and another one does not any more."""
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=True))
    node = {
        "node": A,
        "state": "up",
        "calls": 3,
        "weight": 1,
        "drained": False,
        "broken": False,
        "version": "10.5",
    }
    for gateway, at, name in (("gw1", time.time(), A), ("gone", time.time() - 60, SILENT)):
        view = {"at": at, "agent": True, "nodes": [{**node, "node": name}]}
        store.hset(keys.RELAY_NODES, gateway, json.dumps(view))
    assert page.log_in().status_code == 201
    return page


def test_nodes_are_shown_as_each_running_gateway_sees_them(operator: WebPage) -> None:
    (shown,) = operator.ask("GET", NODES).get_json()["nodes"]
    assert (shown["node"], shown["drained"]) == (A, False)
    assert [(seen["gateway"], seen["state"], seen["calls"]) for seen in shown["gateways"]] == [
        ("gw1", "up", 3)
    ]


def test_a_node_is_drained_and_used_again(operator: WebPage, store: redis.Redis) -> None:
    drained = operator.ask("PUT", NODE_PATH + A, json={"drain": True})
    assert (drained.status_code, drained.get_json()["drained"]) == (200, True)
    assert store.smembers(keys.DRAINED) == {A}
    assert operator.ask("PUT", NODE_PATH + A, json={"drain": False}).get_json()["drained"] is False
    assert store.smembers(keys.DRAINED) == set()


def test_a_drained_node_that_no_gateway_has_any_more_is_taken_back(
    operator: WebPage, store: redis.Redis
) -> None:
    unknown = "192.0.2.8:2223"
    store.sadd(keys.DRAINED, unknown)
    taken = operator.ask("PUT", NODE_PATH + unknown, json={"drain": False})
    assert (taken.status_code, taken.get_json()) == (
        200,
        {"node": unknown, "drained": False, "gateways": []},
    )
    assert store.smembers(keys.DRAINED) == set()
    assert [one["node"] for one in operator.ask("GET", NODES).get_json()["nodes"]] == [A]


def test_a_node_whose_gateway_is_silent_is_drained(operator: WebPage, store: redis.Redis) -> None:
    drained = operator.ask("PUT", NODE_PATH + SILENT, json={"drain": True})
    assert (drained.status_code, drained.get_json()) == (
        200,
        {"node": SILENT, "drained": True, "gateways": []},
    )
    assert store.smembers(keys.DRAINED) == {SILENT}


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_nobody_else_may(page: WebPage, store: redis.Redis, method: str) -> None:
    path, body = (NODES, None) if method == "GET" else (NODE_PATH + A, {"drain": True})
    assert page.ask(method, path, json=body).status_code == 401
    page.log_in()
    assert page.ask(method, path, json=body).status_code == 403
    page.log_out()
    page.lease()
    assert page.ask(method, path, json=body).status_code == 403
    assert store.smembers(keys.DRAINED) == set()


def test_the_role_may_be_taken_away_at_once(operator: WebPage, services: Services) -> None:
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=False))
    assert operator.ask("GET", NODES).status_code == 403


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param(A, {}, 400, id="no order"),
        pytest.param(A, {"drain": "yes"}, 400, id="no truth value"),
        pytest.param(A, {"drain": True, "weight": 5}, 400, id="more than an order"),
        pytest.param("192.0.2.7:1", {"drain": True}, 404, id="unknown node"),
    ],
)
def test_bad_orders(operator: WebPage, store: redis.Redis, path: str, body: object, status: int) -> None:
    assert operator.ask("PUT", NODE_PATH + path, json=body).status_code == status
    assert store.smembers(keys.DRAINED) == set()


def test_another_site_cannot_order(operator: WebPage) -> None:
    refused = operator.ask(
        "PUT", NODE_PATH + A, json={"drain": True}, headers={"Origin": "https://evil.example"}
    )
    assert refused.status_code == 403
