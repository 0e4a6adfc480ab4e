"""/api/operator/pools: who holds which identity, and the end of a lease."""

from __future__ import annotations

import time

import redis
from flask import Flask

from kemi.state import keys
from tests.contract.web.client import WebPage

POOLS = "/api/operator/pools"
ONE, TWO = "guest1@ims.example.com", "guest2@ims.example.com"


def test_holders_are_shown_and_a_lease_is_ended(
    page_of_operator: WebPage, app: Flask, store: redis.Redis
) -> None:
    (pool,) = page_of_operator.ask("GET", POOLS).get_json()["pools"]
    assert (pool["pool"], pool["offered"], pool["free"]) == ("guests", True, 2)
    guest = WebPage(app)
    guest.lease()
    impi = guest.session()["impi"]
    (pool,) = page_of_operator.ask("GET", POOLS).get_json()["pools"]
    assert pool["free"] == 1
    shown = {one["impi"]: one for one in pool["identities"]}
    held, free = shown[impi], shown[({ONE, TWO} - {impi}).pop()]
    assert (held["state"], free["state"]) == ("held", "free")
    assert held["session"] == store.get(keys.web_lease(impi))
    assert abs(held["since"] - time.time()) < 2
    assert 590 < held["ends_at"] - time.time() <= 600
    assert (free["session"], free["since"], free["ends_at"]) == ("", 0.0, 0.0)

    ended = page_of_operator.ask("DELETE", f"{POOLS}/guests/leases/{impi}")
    assert (ended.status_code, ended.get_json()["state"]) == (202, "settling")
    assert guest.session() == {"authenticated": False}
    store.delete(keys.web_lease(impi))
    assert page_of_operator.ask("DELETE", f"{POOLS}/guests/leases/{impi}").status_code == 404


def test_a_lease_whose_session_is_over_is_ended(page_of_operator: WebPage, store: redis.Redis) -> None:
    store.set(keys.web_lease(ONE), "nobody", px=60_000)
    assert page_of_operator.ask("DELETE", f"{POOLS}/guests/leases/{ONE}").get_json()["state"] == "settling"


def test_there_is_no_such_identity(page_of_operator: WebPage) -> None:
    for pool, impi in (("guests", "alice@ims.example.com"), ("staff", ONE)):
        assert page_of_operator.ask("DELETE", f"{POOLS}/{pool}/leases/{impi}").status_code == 404
