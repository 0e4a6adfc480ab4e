"""/api/operator/trunks and `trunks list`: how the trunks are, as each running gateway sees them."""

from __future__ import annotations

import time

import msgspec
import pytest
import redis

from kemi.state import keys
from kemi.state.trunks import GatewayTrunks, HopView, TrunkView
from tests.contract.web.client import NAME, WebPage
from tests.contract.web.operator import Operator
from webapp_api.services import Services

TRUNKS = "/api/operator/trunks"
HOP = HopView("sip:192.0.2.1", "down", 1_000.0, "no answer")
VIEW = TrunkView("acme", "down", 1_000.0, "registered", 2_000.0, "", 3, 30, [HOP])


@pytest.fixture
def seen(store: redis.Redis) -> None:
    """One gateway runs, another one does not any more."""
    for gateway, at in (("gw1", time.time()), ("gone", time.time() - 60)):
        store.hset(keys.TRUNKS, gateway, msgspec.json.encode(GatewayTrunks(at, [VIEW])).decode())


def test_an_operator_sees_them(page: WebPage, services: Services, seen: None) -> None:
    assert page.ask("GET", TRUNKS).status_code == 401
    assert page.log_in().status_code == 201
    assert page.ask("GET", TRUNKS).status_code == 403
    account = services.accounts.get(NAME)
    assert account is not None
    services.accounts.put(msgspec.structs.replace(account, operator=True))
    (trunk,) = page.ask("GET", TRUNKS).get_json()["trunks"]
    assert (trunk["trunk"], trunk["most_calls"]) == ("acme", 30)
    (gateway,) = trunk["gateways"]
    assert (gateway["gateway"], gateway["state"], gateway["registered_until"]) == ("gw1", "down", 2_000.0)
    assert gateway["hops"] == [
        {"uri": "sip:192.0.2.1", "state": "down", "since": 1_000.0, "why": "no answer"}
    ]


def test_the_command_shows_them(operator: Operator, seen: None) -> None:
    done = operator("trunks", "list")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["TRUNK", "STATE", "SINCE", "REGISTRATION", "CALLS", "GATEWAY", "WHY"],
        [
            "acme",
            "down",
            "1970-01-01T00:16:40Z",
            "registered",
            "until",
            "1970-01-01T00:33:20Z",
            "3/30",
            "gw1",
            "-",
        ],
        ["sip:192.0.2.1", "down", "1970-01-01T00:16:40Z", "-", "-", "-", "no", "answer"],
    ]
    (trunk,) = operator.document("trunks", "list", "--down")["trunks"]
    assert (trunk["gateway"], trunk["hops"][0]["why"]) == ("gw1", "no answer")
